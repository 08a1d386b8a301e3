#!/usr/bin/perl

# The command line on a cluster: whole tables on every master, and slots that
# move while it works.

use Perm::Cluster;
use Perm::Test;

my $t = Perm::Test->new;
my $dir = $t->dir;
my $now = int time;

my $c = Perm::Cluster->start(dir => "$dir/c");
my @nodes = $c->nodes;
my $url = "redis+cluster://127.0.0.1:$nodes[1]{port}";

sub cli_is {
    my ($status, $name, @args) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %o = ref $args[-1] ? %{pop @args} : ();
    return $t->cli_is($status, $name, @args, { redis => $url, %o });
}

sub total { my $n = 0; $n += $_->cmd('DBSIZE') for @nodes; return $n }

sub lines { scalar split /\n/, $_[0] }


subtest 'every master' => sub {
    cli_is(0, 'import', 'import', { stdin => join '', map {
        qq({"gateway":"g","resource":"r","app":"a$_","expires":)
            . ($now + $_) . "}\n" } 1 .. 3000 });
    is total(), 3001, 'all grants, and the mark of the table';
    ok !(grep { $_->cmd('DBSIZE') < 500 } @nodes), 'on every node';

    is lines(cli_is(0, 'list', '--json', 'list')), 3000, 'visits every master';
    is lines(cli_is(0, 'export', 'export')), 3000, 'so does export';
    cli_is(0, 'check', qw(--json check --gateway g --resource r --app a3000));

    $c->each(map { [key('access', 'a' . 10 * $_, 'g'), 'ZADD', $now - 10, 'r'] }
                 1 .. 300);
    is lines(cli_is(0, 'access', 'access')), 300, 'so does access';
    my ($out, $err) = cli_is(0, 'renew', 'renew');
    like $err, qr/renewed 300 of 3000/, 'so does renew';

    ($out) = cli_is(0, 'doctor', 'doctor', '--verbose');
    is scalar(() = $out =~ /^ok +version/mg), 3, 'looks at every master';

    for my $lacks (['cluster|slots', 3, qr/needed for connecting/],
                   ['asking', 1, qr/^user "few" lacks the command ASKING,/])
    {
        my ($command, $status, $message) = @$lacks;
        $_->cmd('ACL', 'SETUSER', 'few', 'reset', 'on', '>secret', '~*', '+@all',
                "-$command") for @nodes;
        ($out) = cli_is($status, "doctor without +$command: $status", '--json',
            'doctor', { redis => $c->url =~ s{//}{//few:secret@}r });
        my @errors = grep { $_->{status} eq 'error' } json_lines($out);
        is scalar @errors, 1, 'one error';
        like $errors[0]{message}, $message, 'which says it';
        is $errors[0]{remedy}, 'in redis-cli, on each server, replicas too: '
            . "ACL SETUSER few +$command", '... and where to type what';
    }

    my @few = ('few', 'reset', 'on', '>secret', '~*', '&*', '+@all');
    my $owner = $c->owner('app_permission:grants:{:doctor}');
    $_->cmd('ACL', 'SETUSER', @few, $_ == $owner ? () : '-pttl') for @nodes;
    ($out) = cli_is(1, 'other rights on other nodes: 1', '--json', 'doctor',
                    { redis => $c->url =~ s{//}{//few:secret@}r });
    is_deeply [map { $_->{message} } grep { $_->{status} eq 'error' } json_lines($out)],
        ['user "few" lacks the command PTTL, needed for keeping to the time to live of keys'],
        'every node is looked at';

    ($out, $err) = cli_is(3, 'a URL of one server only: 3', 'list',
                          { redis => $nodes[0]->tcp_url });
    like $err, qr/MOVED.*redis\+cluster:\/\//, 'what to do';

    cli_is(0, 'a node that is down is passed by', 'list', { redis =>
        "redis+cluster://127.0.0.1:1,127.0.0.1:$nodes[2]{port}" });
};


subtest 'a slot on its way: ASK for what has left already' => sub {
    my $key = key('grants', 'a10', 'g');
    my $from = $c->owner($key);
    my ($to) = grep { $_ != $from } @nodes;
    my @move = ($c->slot($key), $from, $to);
    my @a10 = qw(--gateway g --resource r --app a10);

    $c->move_begin(@move);
    $c->move_keys(@move);

    cli_is(0, 'ASK is followed', '--json', 'check', @a10);
    cli_is(0, 'by writers too', 'import', { stdin => sprintf
        '{"gateway":"g","resource":"r","app":"a10","expires":%d}', $now + 777 });
    my $client = $to->connect;
    $client->cmd('ASKING');
    is json($client->cmd('HGET', $key, 'r'))->{expires}, $now + 777,
        'and it is where it belongs';

    # several keys at once have to wait until all of them are in one place

    my $run = $t->cli_begin('grant', @a10, '--expires', $now + 888,
                            { redis => $url });
    wait_for(sub { $to->cmd('INFO', 'errorstats') =~ /TRYAGAIN/ });
    $c->move_end(@move);
    my ($status, undef, $err) = $run->end;
    is $status, 0, 'a grant and its history wait for the end' or diag $err;
    is json($to->cmd('HGET', $key, 'r'))->{expires}, $now + 888, 'granted';
    cli_is(0, 'MOVED is followed', 'revoke', @a10);
};


subtest 'resharding while an import runs' => sub {
    POSIX::mkfifo("$dir/fifo", 0600);
    my $run = $t->cli_begin('import', "$dir/fifo", { redis => $url });
    open my $fifo, '>', "$dir/fifo" or die;
    $fifo->autoflush;

    for my $round (0 .. 19) {
        print {$fifo} map { qq({"gateway":"h","resource":"r","app":"b$_",)
            . qq("expires":@{[$now + $round]}}\n) } 1 .. 500;
        $c->move($_, @nodes[0, 2]) for 200 * $round .. 200 * $round + 4;
    }
    close $fifo;
    my ($status, $out, $err) = $run->end;
    is $status, 0, 'an import outlives it' or diag $err;

    my @got = json_lines(cli_is(0, 'list', qw(--json list --gateway h)));
    is scalar @got, 500, 'nothing is missing';
    is scalar(grep { $_->{expires} != $now + 19 } @got), 0,
        'and all of it is the last';
};


subtest 'replace and purge everywhere' => sub {
    cli_is(0, 'replace', 'import', '--replace',
           '--max-removals', '100%', { stdin => join '', map {
        qq({"gateway":"n","app":"c$_","expires":5}\n) } 1 .. 300 });
    is lines(cli_is(0, 'list', '--json', 'list')), 300, 'on every master';

    my ($out) = cli_is(0, 'purge', '--json', 'purge');
    is_deeply json($out), { grants => 300, accesses => 300, requests => 0,
                            notices => 0, history => 0 }, 'as well';
    is total(), 2, 'only the mark and a history are left';
};


subtest 'requests, each in a slot of its own' => sub {
    my @apps = map { "asks$_" } 1 .. 30;
    cli_is(0, "$_ applies", 'apply', '--gateway', 'g', '--app', $_) for @apps;
    my ($out) = cli_is(0, 'requests', '--json', 'requests');
    is lines($out), 30, 'of every master';
    cli_is(0, "$_ gets it", 'approve', '--gateway', 'g', '--app', $_)
        for @apps[0 .. 9];
    cli_is(0, "$_ does not", 'reject', '--gateway', 'g', '--app', $_,
           '--comment', 'no') for @apps[10 .. 19];
    ($out) = cli_is(0, 'those that are left', '--json', 'requests');
    is lines($out), 10, "ten";
    is lines(cli_is(0, 'what they did', '--json', 'history', '--gateway', 'g',
                    '--app', $apps[0])), 2, 'history';
    ($out) = cli_is(0, 'purge', '--json', 'purge', '--expired-for', '0');
    is_deeply json($out), { grants => 0, accesses => 0, requests => 20,
        notices => 0, history => 52 }, 'purged everywhere';
};

done_testing;

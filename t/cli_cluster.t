#!/usr/bin/perl

# The command line on a cluster: whole tables on every master, and slots that
# move while it works.

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use Perm::Test;

my $t = Perm::Test->new;
my $dir = $t->dir;
my $json = JSON::PP->new;
my $now = time;

my @nodes = map { Perm::Redis->start(dir => "$dir/n$_", conf => [
    'cluster-enabled yes', 'cluster-node-timeout 10000' ]) } 0 .. 2;
my @ids = map { $_->cmd('CLUSTER', 'MYID') } @nodes;

my @ranges = ([0, 5460], [5461, 10922], [10923, 16383]);
$nodes[$_]->cmd('CLUSTER', 'ADDSLOTS', $ranges[$_][0] .. $ranges[$_][1]) for 0 .. 2;
$nodes[0]->cmd('CLUSTER', 'MEET', '127.0.0.1', $_->{port}) for @nodes[1, 2];

ok wait_for(sub { !grep { $_->cmd('CLUSTER', 'INFO') !~ /cluster_state:ok/
    || $_->cmd('CLUSTER', 'INFO') !~ /cluster_known_nodes:3/ } @nodes }, 30),
    'a cluster';

my $url = "redis+cluster://127.0.0.1:$nodes[1]{port}";
sub cli { return $t->cli(@_, { redis => $url }) }
sub key { "app_permission:grants:{$_[0]:$_[1]}" }
sub total { my $n = 0; $n += $_->cmd('DBSIZE') for @nodes; return $n }

# the node that has a slot, by what the nodes say themselves

sub slot { $nodes[0]->cmd('CLUSTER', 'KEYSLOT', $_[0]) }

{
    my ($status, $out, $err) = $t->cli('import', { redis => $url, stdin =>
        join '', map { qq({"gateway":"g","resource":"r","app":"a$_","expires":)
            . ($now + $_) . "}\n" } 1 .. 3000 });
    is $status, 0, 'import' or diag $err;
    is total(), 3001, 'all grants, and the mark of the table';
    ok !(grep { $_->cmd('DBSIZE') < 500 } @nodes), 'on every node';

    ($status, $out) = cli('--json', 'list');
    is scalar(split /\n/, $out), 3000, 'list visits every master';
    ($status, $out) = cli('export');
    is scalar(split /\n/, $out), 3000, 'so does export';

    ($status, $out) = cli('--json', 'check', '--gateway', 'g', '--resource',
        'r', '--app', 'a3000');
    is $status, 0, 'check';

    for (1 .. 3000) {
        my $k = "app_permission:access:{g:a$_}";
        my $s = slot($k);
        my ($i) = grep { $ranges[$_][0] <= $s && $s <= $ranges[$_][1] } 0 .. 2;
        $nodes[$i]->cmd('ZADD', $k, $now - 10, 'r') if $_ % 10 == 0;
    }
    ($status, $out) = cli('access');
    is scalar(split /\n/, $out), 300, 'so does access';
    ($status, $out, $err) = cli('renew');
    like $err, qr/renewed 300 of 3000/, 'so does renew';

    ($status, $out, $err) = cli('doctor');
    is $status, 0, 'doctor' or diag $out;
    is scalar(() = $out =~ /^ok +version/mg), 3, 'looks at every master';

    ($status, $out, $err) = $t->cli('list', { redis => $nodes[0]->tcp_url });
    is $status, 3, 'a URL of one server only: 3';
    like $err, qr/MOVED.*redis\+cluster:\/\//, 'what to do';

    ($status) = $t->cli('list', { redis =>
        "redis+cluster://127.0.0.1:1,127.0.0.1:$nodes[2]{port}" });
    is $status, 0, 'a node that is down is passed by';
}

# ---- a slot on its way: ASK for what has left already

sub move_begin {
    my ($slot, $from, $to) = @_;
    $nodes[$to]->cmd('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $ids[$from]);
    $nodes[$from]->cmd('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $ids[$to]);
}
sub move_keys {
    my ($slot, $from, $to) = @_;
    while (my @keys = @{$nodes[$from]->cmd('CLUSTER', 'GETKEYSINSLOT', $slot,
                                           100)}) {
        $nodes[$from]->cmd('MIGRATE', '127.0.0.1', $nodes[$to]{port}, '', 0,
            5000, 'KEYS', @keys);
    }
}
sub move_end {
    my ($slot, $from, $to) = @_;
    $nodes[$_]->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $ids[$to])
        for $to, $from;
}

{
    my $slot = slot(key('g', 'a10'));
    my ($from) = grep { $ranges[$_][0] <= $slot && $slot <= $ranges[$_][1] }
        0 .. 2;
    my $to = ($from + 1) % 3;

    move_begin($slot, $from, $to);
    move_keys($slot, $from, $to);

    my ($status, $out, $err) = cli('--json', 'check', '--gateway', 'g',
        '--resource', 'r', '--app', 'a10');
    is $status, 0, 'ASK is followed' or diag $err;
    ($status, $out, $err) = cli('grant', '--gateway', 'g', '--resource', 'r',
        '--app', 'a10', '--expires', $now + 777);
    is $status, 0, 'by writers too' or diag $err;
    is $json->decode(eval { my $c = $nodes[$to]->connect; $c->cmd('ASKING');
        $c->cmd('HGET', key('g', 'a10'), 'r') })->{expires}, $now + 777,
        'and it is where it belongs';

    move_end($slot, $from, $to);
    ($status) = cli('revoke', '--gateway', 'g', '--resource', 'r', '--app',
        'a10');
    is $status, 0, 'MOVED is followed';
}

# ---- resharding while an import runs

{
    POSIX::mkfifo("$dir/fifo", 0600);
    my $pid = fork // die;
    if (!$pid) {
        my ($status, $out, $err) = cli('import', "$dir/fifo");
        diag $err if $status;
        POSIX::_exit($status);
    }
    open my $fifo, '>', "$dir/fifo" or die;
    $fifo->autoflush;

    for my $round (0 .. 19) {
        print {$fifo} map { qq({"gateway":"h","resource":"r","app":"b$_",)
            . qq("expires":@{[$now + $round]}}\n) } 1 .. 500;

        for my $slot (200 * $round .. 200 * $round + 4) {
            move_begin($slot, 0, 2);
            move_keys($slot, 0, 2);
            move_end($slot, 0, 2);
        }
    }
    close $fifo;
    waitpid $pid, 0;
    is $?, 0, 'an import outlives a resharding';

    my ($status, $out) = cli('--json', 'list', '--gateway', 'h');
    my @got = map { $json->decode($_) } split /\n/, $out;
    is scalar @got, 500, 'nothing is missing';
    is scalar(grep { $_->{expires} != $now + 19 } @got), 0,
        'and all of it is the last';
}

# ---- replace and purge everywhere

{
    my ($status, $out, $err) = $t->cli('import', '--replace', { redis => $url,
        stdin => join '', map { qq({"gateway":"n","app":"c$_","expires":5}\n) }
            1 .. 300 });
    is $status, 0, 'replace' or diag $err;
    ($status, $out) = cli('--json', 'list');
    is scalar(split /\n/, $out), 300, 'on every master';

    ($status, $out, $err) = cli('--json', 'purge');
    is_deeply $json->decode($out), { grants => 300, accesses => 300 },
        'purge as well';
    is total(), 1, 'only the mark is left';
}

$_->stop for @nodes;
done_testing;

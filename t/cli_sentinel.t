#!/usr/bin/perl

# The command line behind Sentinels: it finds the master, believes no replica,
# passes by Sentinels that are down, and follows a fail-over.

use Perm::Sentinels;
use Perm::Test;

my $t = Perm::Test->new;
my $dir = $t->dir;

my $s = Perm::Sentinels->start(dir => "$dir/s", password => 'sesame');
my ($master, $replica) = @{$s->{servers}};
$master->load->grant('g', 'r', 'a', 4102444800);
my $url = $s->url('sesame');

# the Sentinels have a password, the servers none

spew("$dir/nothing", "\n");
my @server = ('--password-file', "$dir/nothing");

sub list_is {
    my ($status, $name, $url) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return $t->cli_is($status, $name, @server, 'list', { redis => $url });
}


subtest 'what Sentinels say' => sub {
    my ($out) = list_is(0, 'list', $url);
    like $out, qr/^g +r +a +permanent/m, 'finds the master';

    list_is(0, 'a Sentinel that is down is passed by',
            $url =~ s/@/\@127.0.0.1:1,/r);

    (undef, my $err) = list_is(3, 'a name nobody knows: 3',
                               $url =~ s/mine/theirs/r);
    like $err, qr/knows no master "theirs"/, 'says so';

    (undef, $err) = list_is(3, 'a wrong password of the Sentinels: 3',
                            $s->url('wrong'));
    like $err, qr/Sentinel 127\.0\.0\.1:\d+: AUTH: WRONGPASS/, 'says so';

    (undef, $err) = list_is(3, 'none that answers: 3',
        'redis+sentinel://127.0.0.1:1,127.0.0.1:2/mine');
    like $err, qr/: no Sentinel helps; the last one: Sentinel 127\.0\.0\.1:2: cannot connect: Connection refused$/m,
        'says that it is none, and why of one';
};


subtest 'a Sentinel that refuses to say is told of by doctor' => sub {
    my $fake = $t->fake_redis;
    $fake->rules({ match => qr/^SENTINEL/, reply => "-NOPERM this user has no "
        . "permissions to run the 'sentinel|get-master-addr-by-name' command\r\n" });
    my ($out) = $t->cli_is(3, 'status 3', '--json', '--user', 'server', @server, 'doctor',
        { redis => "redis+sentinel://watch:x\@127.0.0.1:$fake->{port}/mine" });
    my ($line) = json_lines($out);
    like $line->{message}, qr/^user "watch" lacks the command sentinel\|get-/,
        'whose right';
    is $line->{remedy}, 'in redis-cli, on each Sentinel: ACL SETUSER watch '
        . '+sentinel|get-master-addr-by-name', 'and what gives it';
};


subtest 'a Sentinel that names a replica is not believed' => sub {
    my $fake = $t->fake_redis;
    my $port = $replica->{port};
    $fake->rules(Perm::FakeRedis::sentinel($port));

    my ($out, $err) = list_is(3, 'a replica for a master: 3',
        "redis+sentinel://127.0.0.1:$fake->{port}/mine");
    like $err, qr/127\.0\.0\.1:$port is no master/, 'says so';

    list_is(0, 'the next Sentinel is asked',
            $url =~ s/@/\@127.0.0.1:$fake->{port},/r);
};


# "host" without a port is how the command line names a unix socket

subtest 'a Sentinel that names no valid address' => sub {
    my $fake = $t->fake_redis;
    my $path = "$dir/named";
    for ([ $path, '0' ], [ $path, '65536' ], [ $path, 'x' ],
         [ '127.0.0.1', '65536' ], [ '127.0.0.1', '0' ], [ '127.0.0.1', '-1' ],
         [ '127.0.0.1', '4294967296' ], [ '127.0.0.1', '' ], [ '', '6379' ])
    {
        my ($host, $port) = @$_;
        $fake->rules({ match => qr/^SENTINEL/, reply =>
            "*2\r\n" . Perm::FakeRedis::bulk($host)
                     . Perm::FakeRedis::bulk($port) });
        my ($out, $err) = list_is(3, "\"$host\", port \"$port\": 3",
            "redis+sentinel://127.0.0.1:$fake->{port}/mine");
        like $err, qr/Sentinel .*: it names a master that has no valid address/,
            'says so';
    }
};


# Redis refuses one command of many, and is a master again when asked

subtest 'a master that was a replica for a moment' => sub {
    my $redis = $t->redis;
    my $fake = Perm::FakeRedis->start(dir => "$dir/moment", to => $redis);
    $fake->rules(Perm::FakeRedis::sentinel($fake->{port}),
                 { match => qr/^HSETNX \S+grants:/, times => 1,
                   reply => "-READONLY a replica for a moment\r\n" });

    my $lines = join '', map { qq({"gateway":"g","app":"a$_","expires":1}\n) }
                             1 .. 500;
    my ($out, $err) = $t->cli_is(0, 'import', 'import',
        { redis => "redis+sentinel://127.0.0.1:$fake->{port}/mine",
          stdin => $lines, timeout => 8 });

    like $err, qr/imported 500 grants: 500 new/, 'goes on';
    is $redis->cmd('DBSIZE'), 501, 'nothing is missing';
};


subtest 'a master that goes away between the change and its answer' => sub {
    my $redis = $t->redis->load->grant('g', 'r', 'a', 2000000000);
    my $fake = Perm::FakeRedis->start(dir => "$dir/lost", to => $redis);

    for (['extend', qr/^extended: .*2033-05-28/],
         ['grant', qr/^granted: .*permanent/, '--expires', 4102444800],
         ['revoke', qr/^revoked/], ['apply', qr/^applied/],
         ['approve', qr/^approved: .*, until/], ['apply', qr/^applied/],
         ['reject', qr/^rejected/, '--comment', 'no'])
    {
        my ($command, $says, @more) = @$_;
        $fake->rules(Perm::FakeRedis::sentinel($fake->{port}),
                     { match => qr/^EVAL/, times => 1, lose => 1 });
        @more = qw(--days 10) if $command eq 'extend';
        my ($out) = $t->cli_is(0, $command, $command,
            qw(--gateway g --resource r --app a), @more,
            { redis => "redis+sentinel://127.0.0.1:$fake->{port}/mine" });
        like $out, $says, 'was done, once';
    }

    is $redis->cmd('XLEN', 'app_permission:history:{g:a}'), 7,
        'and is once in the history';
};


# it waits, and goes on with the new master

subtest 'a fail-over while an import runs' => sub {
    my $n = 100_000;
    spew("$dir/many", join '', map {
        qq({"gateway":"g","app":"a$_","expires":1}\n) } 1 .. $n);

    # it stands still until the replica has all that was written so far

    my $run = $t->cli_begin(@server, 'import', "$dir/many",
                            { redis => $url, timeout => 120 });
    ok wait_for(sub { $master->cmd('DBSIZE') > 2000 }), 'it writes';
    kill 'STOP', $run->{pid};
    wait_for(sub { $replica->cmd('DBSIZE') == $master->cmd('DBSIZE') });
    cmp_ok $replica->cmd('DBSIZE'), '<', $n, '... and is not done';

    $master->kill;
    kill 'CONT', $run->{pid};
    my ($status, $out, $err) = $run->end;

    is $status, 0, 'an import outlives it' or diag $err;
    $replica->{client} = undef;    # a fail-over ends all connections
    like $replica->cmd('INFO', 'replication'), qr/role:master/, 'there was one';
    is $replica->cmd('DBSIZE'), $n + 2, 'nothing is missing on the new master';

    $t->cli_is(0, 'a grant goes to the new master', @server,
               qw(grant --gateway g --app new), { redis => $url });
};

done_testing;

#!/usr/bin/perl

# The command line behind Sentinels: it finds the master, believes no replica,
# passes by Sentinels that are down, and follows a fail-over.

use strict;
use warnings;

use Test::More;

use Perm::Test;
use Perm::Util qw(free_port spawn reap);

my $t = Perm::Test->new;
my $dir = $t->dir;

my $master = Perm::Redis->start(dir => "$dir/master");
my $replica = Perm::Redis->start(dir => "$dir/replica",
    conf => ["replicaof 127.0.0.1 $master->{port}"]);
$master->load->grant('g', 'r', 'a', 4102444800);

my %sentinels;

sub sentinel {
    my ($name) = @_;
    my $port = free_port();
    mkdir "$dir/$name";
    spew("$dir/$name/conf", <<"EOT");
port $port
bind 127.0.0.1
dir $dir/$name
requirepass sesame
sentinel monitor mine 127.0.0.1 $master->{port} 2
sentinel down-after-milliseconds mine 500
sentinel failover-timeout mine 2000
sentinel sentinel-pass sesame
EOT
    my $pid = spawn("$dir/$name/log", 'redis-server', "$dir/$name/conf",
        '--sentinel');
    $sentinels{$name} = { port => $port, pid => $pid };
}

sentinel($_) for qw(s1 s2 s3);

sub ask {
    my ($name, @command) = @_;
    return eval {
        my $c = Perm::Redis::Client->connect($sentinels{$name}{port}, 'sesame');
        $c->cmd(@command);
    };
}

ok wait_for(sub {
    my %s = @{ask('s1', 'SENTINEL', 'MASTER', 'mine') // []};
    ($s{'num-slaves'} // 0) == 1 && ($s{'num-other-sentinels'} // 0) == 2;
}, 30), 'the Sentinels know each other';

my $hosts = join ',', map { "127.0.0.1:$sentinels{$_}{port}" } qw(s1 s2 s3);
my $url = "redis+sentinel://:sesame\@$hosts/mine";

# the Sentinels have a password, the servers none

spew("$dir/nothing", "\n");
my @server = ('--password-file', "$dir/nothing");

{
    my ($status, $out, $err) = $t->cli(@server, 'list', { redis => $url });
    is $status, 0, 'list' or diag $err;
    like $out, qr/^g +r +a +permanent/m, 'finds the master';

    ($status, $out, $err) = $t->cli(@server, 'list', { redis =>
        "redis+sentinel://:sesame\@127.0.0.1:1,$hosts/mine" });
    is $status, 0, 'a Sentinel that is down is passed by' or diag $err;

    ($status, $out, $err) = $t->cli(@server, 'list', { redis =>
        "redis+sentinel://:sesame\@$hosts/theirs" });
    is $status, 3, 'a name nobody knows: 3';
    like $err, qr/knows no master "theirs"/, 'says so';

    ($status, $out, $err) = $t->cli(@server, 'list', { redis =>
        "redis+sentinel://:wrong\@$hosts/mine" });
    is $status, 3, 'a wrong password of the Sentinels: 3';
    like $err, qr/Sentinel 127\.0\.0\.1:\d+: AUTH: WRONGPASS/, 'says so';
}

# a Sentinel that names a replica is not believed

{
    my $fake = Perm::FakeRedis->start(dir => "$dir/liar");
    my $port = $replica->{port};
    $fake->rules({ match => qr/^SENTINEL/, reply => sprintf
        "*2\r\n\$9\r\n127.0.0.1\r\n\$%d\r\n%s\r\n", length $port, $port });

    my ($status, $out, $err) = $t->cli(@server, 'list', { redis =>
        "redis+sentinel://127.0.0.1:$fake->{port}/mine" });
    is $status, 3, 'a replica for a master: 3';
    like $err, qr/127\.0\.0\.1:$port is no master/, 'says so';

    ($status, $out, $err) = $t->cli(@server, 'list', { redis =>
        "redis+sentinel://:sesame\@127.0.0.1:$fake->{port},$hosts/mine" });
    is $status, 0, 'the next Sentinel is asked' or diag $err;
    $fake->stop;
}

# a fail-over while an import runs: it waits, and goes on with the new master

{
    POSIX::mkfifo("$dir/fifo", 0600);
    my $pid = fork // die;
    if (!$pid) {
        my ($status, $out, $err) = $t->cli(@server, 'import', "$dir/fifo",
            { redis => $url, timeout => 120 });
        diag $err if $status;
        POSIX::_exit($status);
    }
    open my $fifo, '>', "$dir/fifo" or die;
    $fifo->autoflush;

    my $lines = sub {
        print {$fifo} map { qq({"gateway":"g","app":"a$_","expires":1}\n) } @_;
    };
    $lines->(1 .. 3000);
    wait_for(sub { $master->cmd('DBSIZE') > 2000 });
    wait_for(sub { $replica->cmd('DBSIZE') == $master->cmd('DBSIZE') });

    $master->kill;
    $lines->(3001 .. 6000);
    close $fifo;
    waitpid $pid, 0;

    is $?, 0, 'an import outlives a fail-over';
    $replica->{client} = undef;    # a fail-over ends all connections
    like $replica->cmd('INFO', 'replication'), qr/role:master/,
        'there was one';
    is $replica->cmd('DBSIZE'), 6002, 'nothing is missing on the new master';

    my ($status, $out, $err) = $t->cli(@server, 'grant', '--gateway', 'g',
        '--app', 'new', { redis => $url });
    is $status, 0, 'a grant goes to the new master' or diag $err;
}

for (values %sentinels) { kill 'TERM', $_->{pid}; reap($_->{pid}, 10) }
$replica->stop;
done_testing;

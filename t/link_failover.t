#!/usr/bin/perl

# A master that is no longer one: behind a name, behind an address of a load
# balancer, among the addresses of a name, and alone.

use Perm::Dns;
use Perm::Proxy;
use Perm::Test;

my $t = Perm::Test->new(late => 1);

# the same port at two addresses: 127.0.0.2 is the master to begin with

my $port = $t->port('redis');
my %at = map { my $n = $_;
    $n => Perm::Redis->start(dir => "$t->{dir}/r$n", port => $port,
        conf => ["bind 127.0.0.$n", 'repl-diskless-sync-delay 0']) } 2, 3;

my $dns = Perm::Dns->start(dir => $t->{dir}, port => $t->port('dns'));
my $RESOLVER = 'resolver 127.0.0.1:%%PORT_dns%% ipv6=off valid=1s;
                resolver_timeout 1s;';

my $SERVER = $ASKS . <<'END';
        location = /off {
            app_permission_cache_valid 0s;
            app_permission_cache_stale off;
            empty_gif;
        }
END

sub replicate {
    my ($from, $to) = @_;
    $at{$to}->cmd('REPLICAOF', "127.0.0.$from", $port);
}

sub replicated {
    my ($from, $to) = @_;
    ok wait_for(sub {
        $at{$to}->cmd('INFO', 'replication') =~ /master_link_status:up/
            && $at{$to}->cmd('INFO', 'replication')
                =~ /slave_read_repl_offset:(\d+)/
            && $at{$from}->cmd('INFO', 'replication')
                =~ /master_repl_offset:$1\b/;
    }), "127.0.0.$to is a replica of 127.0.0.$from";
}

# The replica is promoted.  The former master is its replica, or one that hears
# of nothing any more, which makes it plain who is asked.

sub promote {
    my ($to, $alone) = @_;
    my $from = 5 - $to;
    $at{$to}->cmd('REPLICAOF', 'NO', 'ONE');
    replicate($alone ? 9 : $to, $from);
}

sub rejoin {
    my ($from, $to) = @_;
    replicate($from, $to);
    replicated($from, $to);
}

sub with {
    my ($url, $more) = @_;
    $t->apply(server => $SERVER, redis => $url, workers => 2,
              http => 'app_permission_flush 1s; ' . ($more // ''));
    ok $t->up, 'up, and pushed' or diag $t->new_log;
}

# From now on it is the one that is asked, that tells of changes, and that gets
# the accesses.  "app" was allowed, and is known for an hour.

sub serves {
    my ($n, $begun, $app, $limit) = @_;

    $at{$n}->cmd('HSET', $at{$n}->key('grants', "new-$app"), 'get_user',
                 '4102444800');
    $at{$n}->forbid($app);
    becomes("new-$app", "$ALLOW MISS", "127.0.0.$n is asked", undef, $limit + 3);
    my $asked = time - $begun;
    becomes($app, '403', '... a revocation is honoured', '/long', $limit + 3);
    my $revoked = time - $begun;
    note sprintf 'first lookup after %.2f s, first revocation after %.2f s',
        $asked, $revoked;
    $t->soon($begun, $limit, sprintf '... after %.2f s', $revoked);

    ok $t->up, '... and changes are pushed';
    for (1 .. 4) {
        is outcome($app, '/long') =~ /^403/, 1, '... by every worker'
            or last;
    }
    outcome("new-$app");
    ok wait_for(sub { $at{$n}->access('smoke', 'get_user', "new-$app") }, 5),
        '... accesses are written';
}

my @apps = map { "app-$_" } 1 .. 9;
$at{2}->load->allow(@apps, 'stays');
replicate(2, 3);
replicated(2, 3);

my $url = "redis://redis.test:$port";


subtest 'the name leads to the new master' => sub {
    $dns->names('127.0.0.2');
    with($url, $RESOLVER);
    becomes('app-1', "$ALLOW HIT", 'known for an hour', '/long');

    promote(3, 'alone');
    $dns->names('127.0.0.3');
    serves(3, time, 'app-1', 2.3);
    is scalar($t->new_lines(qr/\[error\].*Redis redis\.test:\d+: |is down/)), 0,
        '... which is no error' or diag $t->new_log;
    rejoin(3, 2);
};


subtest 'the name has both addresses' => sub {
    $dns->names('127.0.0.2', '127.0.0.3');
    with($url, $RESOLVER);
    becomes('app-2', "$ALLOW MISS", 'the master is found');
    ok !$t->status->{redis}{replica}, '... at once';
    becomes('app-2', "$ALLOW HIT", 'known for an hour', '/long');

    promote(2, 'alone');
    serves(2, time, 'app-2', 2);
    rejoin(2, 3);
};


subtest 'a load balancer leads to the new master' => sub {
    my $proxy = Perm::Proxy->start(to => "127.0.0.2:$port");
    with("redis://127.0.0.1:$proxy->{port}");
    becomes('app-3', "$ALLOW HIT", 'known for an hour', '/long');

    promote(3, 'alone');
    $proxy->to("127.0.0.3:$port");
    serves(3, time, 'app-3', 2);
    rejoin(3, 2);

    # later than the connections: the replica is asked for a while

    promote(2, 'alone');
    becomes('app-4', "$ALLOW STALE", 'a replica alone: stale', undef, 3);
    $proxy->to("127.0.0.2:$port");
    serves(2, time, 'app-5', 2);
    rejoin(2, 3);
};


subtest 'nothing but a replica' => sub {
    with("redis://127.0.0.2:$port");
    becomes('app-6', "$ALLOW HIT", 'known for an hour', '/long');
    promote(3);

    ok $t->wait_new(qr/\[error\].*127\.0\.0\.2:\d+ says that it is a replica/),
        'the log says so';
    becomes('app-6', "$ALLOW STALE", 'what is known: stale', '/long', 3);
    is outcome('app-7'), "$ALLOW STALE", 'what is not known: asked, and stale';
    is outcome('nobody'), '403 deny/no_grant STALE', '... a denial too';
    is outcome('app-7', '/off'), $UNKNOWN, 'not where stale is off';

    $at{3}->forbid('app-7');
    becomes('app-7', '403 deny/no_grant STALE', 'its changes are seen');

    ok $t->status->{redis}{replica}, 'in the status';
    ok wait_for(sub { !$t->status->{invalidation}{active} }, 2),
        '... no changes are pushed';
    ok grep({ $_->{name} eq 'redis_replica' } @{$t->status->{problems}}),
        '... an alert';
    like $t->get('/status?format=prometheus')->{body},
        qr/^app_permission_redis_replica 1$/m, '... and for Prometheus';

    outcome('app-7') for 1 .. 20;
    is scalar($t->new_lines(qr/says that it is a replica/)), 1,
        'the log says it once' or diag $t->new_log;

    # not the replica that is still one

    $at{3}->allow('app-7');
    promote(2);
    serves(2, time, 'app-8', 2.5);
    ok wait_for(sub { !$t->status->{redis}{replica} }, 3), 'no alert any more';
    ok $t->wait_new(qr/\[error\].*127\.0\.0\.2:\d+ is a master/),
        '... and the log says so';
    is outcome('app-7', '/off'), "$ALLOW MISS", 'asked everywhere';
};

done_testing;

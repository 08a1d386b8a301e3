#!/usr/bin/perl

# What Redis told of before it was gone counts while it is away: a grant that
# was revoked is not allowed as a stale one, whatever the link, the table and
# the catching up were doing when the change was pushed.

use Perm::Cluster;
use Perm::Sentinels;
use Perm::Test;

my $SERVER = <<'EOT';
        %%DECISION%%
        app_permission required;
        location = /a     { app_permission_cache_valid 1h; empty_gif; }
        location = /short { app_permission_cache_valid 1s denied=1s;
                            empty_gif; }
EOT

my ($t, $redis);

sub start {
    my (%o) = @_;
    $t = Perm::Test->new;
    $redis = $t->redis(conf => ['appendonly yes'])->load;
    $redis->cmd(@{$o{acl}}) if $o{acl};
    $redis->allow(map { "x$_" } 1 .. 10);
    $t->fake_redis(to => $redis) if $o{fake};
    $t->nginx(server => $SERVER, workers => $o{workers} // 2,
              $o{http} ? (http => $o{http}) : ());
    return if $o{acl};
    ok $t->settled, 'ready';
    like outcome("x$_"), qr/^$ALLOW/, "x$_: known" for 1 .. $o{known} // 0;
}

sub away {
    $redis->kill;
    return $t->down;
}

sub revoke_untold { $redis->untold('HDEL', key('grants', $_[0]), 'get_user') }


subtest 'revoked just after Redis was back' => sub {
    start();
    for my $app (map { "x$_" } 1 .. 6) {
        ok $t->settled, 'ready';
        like outcome($app), qr/^$ALLOW/, "$app: known";
        ok away(), 'an outage';
        $redis->run;
        ok $t->up, 'over';
        ok $t->revoke($app), 'revoked';
        ok away(), 'another one';
        unlike outcome($app), qr/^200/, 'not allowed';
        $redis->run;
        ok $t->up, 'over';
    }
};


subtest 'revoked while the table was not loaded' => sub {
    start(known => 2);
    $redis->cmd('DEL', 'app_permission:meta');
    becomes('x1', "$ALLOW STALE", 'not loaded');
    ok $t->revoke('x1'), 'revoked';
    is outcome('x1'), "$ALLOW STALE", 'which does not count yet';
    $redis->load;
    becomes('x2', "$ALLOW HIT", 'loaded');
    ok wait_for(sub { my $cache = $t->cached('x1');
                      !$cache->{resource_expires} || !$cache->{unchanged} }),
        'it counts';
    ok away(), 'an outage';
    unlike outcome('x1'), qr/^200/, 'not allowed';
    is outcome('x2'), "$ALLOW STALE", 'the other one is';
};


subtest 'asked for again, in vain at first' => sub {
    start(fake => 1, known => 10);
    $t->{fake}->rules({ match => qr/^HMGET \S*grants:/, reply => "-BUSY a script\r\n" });
    $t->{fake}->forget;
    $redis->grant('smoke', 'get_user', "x$_", time + 7200) for 1 .. 10;
    ok wait_for(sub { $t->{fake}->commands(qr/^HMGET \S*grants:/) >= 10 }), 'refused';
    $t->{fake}->rules;
    ok wait_for(sub { !grep { !$t->cached("x$_")->{unchanged} } 1 .. 10 }),
        'asked for again';
    $t->{fake}->refuse(1);
    ok away(), 'an outage';
    is outcome("x$_"), "$ALLOW STALE", "x$_: stale" for 1 .. 10;
};


# nobody was told, so that all grants that are known are asked for again, but
# not the denials, of which a flood may have left many

subtest 'revoked in a gap' => sub {
    start(known => 10);
    is outcome("nobody$_"), "$DENY MISS", "nobody$_: denied" for 1 .. 10;
    revoke_untold('x1');
    ok $t->settled, 'over';
    ok wait_for(sub { !$t->cached('x1')->{resource_expires} }), 'x1 is denied';
    ok wait_for(sub { !grep { !$t->cached("x$_")->{trusted} } 2 .. 10 }),
        'the others are trusted again';
    is scalar(grep { $t->cached("nobody$_")->{trusted} } 1 .. 10), 0,
        'denials can wait for their apps';
    ok away(), 'an outage';
    unlike outcome('x1'), qr/^200/, 'not allowed';
    is outcome("x$_"), "$ALLOW STALE", "x$_: stale" for 2 .. 10;
};


# at once, since Redis may be gone again in a moment: a change that is told of
# is given 100 ms for more to come

subtest 'asked for again as soon as a gap is over' => sub {
    start(http => 'app_permission_zone 2m;', known => 1);
    my $monitor = $redis->connect;
    $monitor->send('MONITOR');
    is $monitor->reply, 'OK', 'monitored';

    my $took = 1;
    for (my $turn = 1; $turn <= 20 && $took >= 0.1; $turn++) {
        my $before = $t->status->{cache}{refreshes};
        $redis->kill_listeners;
        wait_for(sub { $t->status->{cache}{refreshes} > $before })
            or last;
        $redis->cmd('ECHO', "end $turn");
        my ($told, $asked, $line) = (0, 0, '');
        while ($line !~ /"end $turn"/) {
            $line = $monitor->reply;
            my ($at) = $line =~ /^(\d+\.\d+)/;
            ($told, $asked) = ($at, 0) if $line =~ /"CLIENT" "TRACKING"/;
            $asked ||= $at if $line =~ /"HMGET"/;
        }
        $took = $asked ? $asked - $told : 1;    # Redis may read ECHO first
    }
    cmp_ok $took, '>', 0, 'after changes are pushed again';
    cmp_ok $took, '<', 0.1, "... without a wait: $took s";
};


# of many, some at a time: Redis has others to answer

subtest 'no storm after a gap' => sub {
    start(http => 'app_permission_zone 2m;');
    my @many = map { "many-$_" } 1 .. 3000;
    $redis->allow(@many);
    ok $t->settled, 'granted';
    $t->all_are(\@many, "$ALLOW MISS", 'known');

    my $before = $t->status->{cache}{refreshes};
    my $begun = time;
    $redis->kill_listeners;
    ok wait_for(sub { $t->status->{cache}{refreshes} >= $before + 3000 }, 30),
        'all are asked for again';
    my $took = time - $begun;
    cmp_ok $took, '>', 0.09, "... 32 a millisecond at the most: $took s";
    ok wait_for(sub { !grep { !$t->cached($_)->{trusted} } @many[0, 1500, 2999] }),
        'and trusted';
};


# who uses no stale answers needs nothing for that

subtest 'no stale answers' => sub {
    start(http => 'app_permission_cache_stale off;', known => 10);
    my $before = $t->status->{cache}{refreshes};
    $redis->allow('x1', 'x2');
    ok $t->settled, 'some are changed';
    like outcome('x1'), qr/^$ALLOW MISS/, 'asked for when it is called';
    ok !wait_for(sub { $t->cached('x2')->{trusted} }, 1), '... and not before';
    is $t->status->{cache}{refreshes}, $before, 'none is refreshed';
    ok away(), 'an outage';
    is outcome('x3'), $UNKNOWN, 'no stale answers';
};


# "late" is no reason to go on where changes are not told of

subtest 'changes are not pushed, and Redis is slow' => sub {
    start(fake => 1,
          acl => [qw(ACL SETUSER default -client +client|id +client|list)]);
    ok $t->wait_log(qr/does not push changes/), 'not pushed';
    becomes('x1', "$ALLOW HIT", 'known', '/short');
    $redis->forbid('x1');
    ok wait_for(sub { $t->cached('x1')->{age_ms} > 1000 }), 'its time is over';
    $t->{fake}->rules({ match => qr/^HMGET \S*grants:/, delay => 0.2 });
    is outcome('x1', '/short'), "$DENY MISS", 'waits for the answer';
};


# nor where they may have been missed: nobody was told of this one

subtest 'changes may have been missed, and Redis is slow' => sub {
    start(fake => 1, http => 'app_permission_redis_timeout 5s;');
    like outcome('x1', '/short'), qr/^$ALLOW/, 'known';
    ok wait_for(sub { $t->cached('x1')->{age_ms} > 1000 }), 'its time is over';
    $t->{fake}->rules({ match => qr/^HMGET \S*grants:/, delay => 0.5 });
    revoke_untold('x1');
    ok $t->wait_log(qr/a connection for tracking .* ended/), 'a gap';
    ok $t->up, '... which is over';
    like outcome('x1', '/short'), qr/^$DENY (?:MISS|HIT)$/, 'waits for the answer';
};


# what is fetched where changes are not told of for a while is not trusted for
# long, whatever "cache_valid" says

subtest 'revoked while changes are not pushed' => sub {
    start(fake => 1, http => 'app_permission_redis_timeout 5s;');
    $t->{fake}->rules({ match => qr/^CLIENT TRACKING/,
                        reply => "-BUSY a script\r\n" });
    $redis->kill_listeners;
    ok wait_for(sub { !$t->status->{invalidation}{active} }), 'not pushed';
    for my $app (map { "x$_" } 1 .. 5) {
        like outcome($app), qr/^$ALLOW/, "$app: known";
        $redis->forbid($app);
        becomes($app, '403', '... and revoked');
    }
    ok !$t->status->{invalidation}{active}, 'not pushed still';
    my @told = $t->log_lines(qr/\[error\].*changes of grants/);
    is scalar @told, 1, 'logged, once';
    like $told[0], qr/"-?BUSY.*are not pushed until it does/, '... and why';
};


# for a while a worker may still ask the old one, so that nothing is trusted

subtest 'the master is another one' => sub {
    $t = Perm::Test->new;
    my $s = Perm::Sentinels->start(dir => "$t->{dir}/s");
    $s->master->load;
    $s->master->allow(map { "x$_" } 1 .. 10);
    $t->nginx(server => $SERVER, workers => 1, redis => $s->url);
    ok $t->up, 'ready';
    becomes("x$_", "$ALLOW HIT", "x$_") for 1 .. 10;
    $s->failover;
    ok wait_for(sub { !grep { $t->cached("x$_")->{trusted} } 1 .. 10 }),
        'nothing is trusted';
    ok wait_for(sub { !grep { !$t->cached("x$_")->{trusted} } 1 .. 10 }, 20),
        '... until it was asked for anew';
    wait_until(time + 1);
    is scalar(grep { !$t->cached("x$_")->{trusted} } 1 .. 10), 0, '... for good';
    $t->stop;
};


# in a cluster one master is away, with "meta", or with keys that changed

subtest 'a master is away' => sub {
    $t = Perm::Test->new;
    my $cluster = Perm::Cluster->start(dir => "$t->{dir}/cluster",
        conf => ['cluster-require-full-coverage no']);
    my @apps = map { "x$_" } 1 .. 40;
    my $grant = sub {
        my ($ends, @of) = @_;
        $cluster->each(map { [key('grants', $_), 'HSET', 'get_user', $ends] } @of);
    };
    my $ends = int(time) + 3600;
    $cluster->load;
    $grant->($ends, @apps);

    $t->nginx(server => $SERVER, workers => 1, redis => $cluster->url);
    ok $t->up, 'ready';
    becomes($_, "$ALLOW HIT", $_) for @apps;

    my $meta = $cluster->owner('app_permission:meta');
    my %owner;
    @owner{@apps} = $cluster->owners(map { key('grants', $_) } @apps);
    my ($dead) = grep { $_ != $meta } $cluster->masters;
    my @dead = grep { $owner{$_} == $dead } @apps;
    my @well = grep { $owner{$_} != $dead && $owner{$_} != $meta } @apps;

    # those of the dead one cannot be asked for, which holds up no other

    $grant->(++$ends, @dead);
    $dead->kill;
    $grant->(++$ends, @well);
    ok wait_for(sub {
        !grep { my $cache = $t->cached($_);
                !$cache->{unchanged} || $cache->{resource_expires} != $ends }
            @well;
    }, 20), 'changes at the others are caught up with';

    # nothing is trusted for long meanwhile: what is fetched, not once more

    wait_until(time + 2);
    my $before = $owner{$well[0]}->calls('hmget');
    $grant->($ends, $well[0]) for 1 .. 5;
    wait_until(time + 5);
    cmp_ok $owner{$well[0]}->calls('hmget') - $before, '<=', 10,
        'and nothing else';

    # nobody can say whether the table is loaded; a change is a change

    $meta->kill;
    my $app = $well[0];
    becomes($app, "$ALLOW STALE", 'the one with meta is gone', undef, 20);
    ok $t->told(sub { $owner{$app}->forbid($app) }),
        'revoked at one that is well';
    unlike outcome($app), qr/^200/, 'not allowed';

    $t->stop;
};

done_testing;

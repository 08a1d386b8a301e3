#!/usr/bin/perl

# The table is emptied.  What was revoked before that is not served as a stale
# grant, whoever finds the table empty first and whatever was not answered; and
# no known app is denied while it is loaded again.

use Perm::Test;

my $SERVER = <<'EOT';
        %%DECISION%%
        app_permission required;
        location = /a { app_permission_cache_valid 1h; empty_gif; }
EOT

my $META = qr/^HGET .*meta/;
my $TRACKING = qr/^CLIENT TRACKING/;
my ($META_BUSY, $TRACKING_BUSY) = map {
    { match => $_, reply => "-BUSY a script\r\n" }
} $META, $TRACKING;
my $META_HELD = { match => $META, delay => 0.3, times => 1 };

my $PROBES = 40;
my ($t, $redis);

sub start {
    my (%o) = @_;
    $t = Perm::Test->new;
    $redis = $t->redis->load;
    $redis->allow(map { "x$_" } 1 .. 4);
    $redis->allow(map { "probe$_" } 1 .. $PROBES);
    $t->fake_redis(to => $redis) if $o{fake};
    $t->nginx(server => $SERVER, workers => $o{workers} // 1,
              http => "app_permission_redis_timeout 3s; @{[$o{http} // '']}");
    ok $t->settled, 'ready';
    known();
}

sub known {
    like outcome("x$_"), qr/^$ALLOW/, "x$_: known" for 1 .. 4;
    outcome("probe$_") for 1 .. $PROBES;
}

# from the worker of a connection

sub outcome_of { my ($app, $c) = @_; return answer(ask($app, undef, $c)) }


sub emptied {
    is outcome('y'), $UNKNOWN, 'it is empty';
    is outcome('x2'), "$ALLOW STALE", 'x2: stale';
    unlike outcome('x1'), qr/^200/, 'x1: revoked before, not allowed';
}

sub loading {
    ok $t->told(sub { $redis->allow('x3') }), 'x3 is loaded';
    is outcome('x3'), "$ALLOW STALE", 'x3: stale';
    is outcome('x2'), "$ALLOW STALE", 'x2: stale';
    unlike outcome('x1'), qr/^200/, 'x1: still not';
}


# It is emptied, and all that was changed before has been pushed: from then on
# what is pushed is the load.

sub empty_settled {
    my $n = 0;
    ok wait_for(sub {
        my $app = 'probe' . ++$n;
        $n <= $PROBES && $t->told(sub { $redis->allow($app) })
            && outcome($app) eq "$ALLOW STALE";
    }), 'found to be empty';
}


# the worker that changes are pushed to, and a connection to each other one

sub workers {
    my ($n) = @_;
    my %worker = $t->worker_connections($n);

    my ($holder, @others) = sort keys %worker;
    for (@others) {
        my $before = $t->received($worker{$others[0]});
        kill 'STOP', $holder;
        $redis->cmd('HSET', key('grants', 'probe'), 'z', rand);
        my $heard = wait_for(sub {
            $t->received($worker{$others[0]}) > $before
        }, 0.3);
        kill 'CONT', $holder;
        last if !$heard;
        push @others, $holder;
        $holder = shift @others;
    }

    ok $t->settled, 'ready';
    known();
    return ($holder, map { $worker{$_} } @others);
}


# ... while the worker that changes are pushed to is stopped

sub revoked_and_emptied {
    my ($holder, $other) = @_;
    $redis->forbid('x1');
    $redis->cmd('EXISTS', 'x');             # in a turn of its own
    my $before = $t->received($other);
    $redis->cmd('FLUSHALL');
    is outcome_of('y', $other), $UNKNOWN, 'the other one finds it empty';
    is $t->received($other), $before, '... without a push';
    kill 'CONT', $holder;
    ok wait_for(sub { $t->received >= $before + 2 }), 'pushed';

    emptied();
    loading();
    $t->stop;
}


subtest 'another worker finds it empty before the push' => sub {
    start(workers => 2);
    my ($holder, $other) = workers(2);

    kill 'STOP', $holder;
    revoked_and_emptied($holder, $other);
};


subtest '... after a push of "meta" that was not answered' => sub {
    start(workers => 2, fake => 1);
    my ($holder, $other) = workers(2);
    $t->{fake}->rules($META_BUSY);
    ok $t->told(sub { $redis->load }), '"meta" was pushed';

    kill 'STOP', $holder;
    $t->{fake}->rules;
    revoked_and_emptied($holder, $other);
};


subtest 'revoked, and emptied without a push' => sub {
    start(workers => 2);
    my ($holder, $other) = workers(2);

    ok $t->revoke('x1'), 'revoked';
    kill 'STOP', $holder;
    my $before = $t->received($other);
    $redis->cmd('FLUSHALL');
    is outcome_of('y', $other), $UNKNOWN, 'the other one finds it empty';
    unlike outcome_of('x1', $other), qr/^200/, 'x1: not allowed';
    like outcome_of('x2', $other), qr/^$ALLOW/, 'x2: allowed';
    is $t->received($other), $before, '... without a push';
    kill 'CONT', $holder;
    ok wait_for(sub { $t->received > $before }), 'pushed';

    emptied();
    loading();
};


subtest 'revoked, and emptied right after it' => sub {
    start();
    ok $t->revoke('x1'), 'revoked';
    ok $t->told(sub { $redis->cmd('FLUSHALL') }), 'pushed';
    emptied();
    loading();
};


# Redis pushes that everything changed before it pushes the keys that were
# changed in the same turn.

my @REVOKE = ('HSET', key('grants', 'x1'), 'get_user', 1);

my %ONE_TURN = (
    'a pipeline' => sub {
        $redis->{client}->pipeline(\@REVOKE, ['FLUSHALL']);
    },
    'a transaction' => sub {
        $redis->{client}->pipeline(['MULTI'], \@REVOKE, ['FLUSHALL'], ['EXEC']);
    },
    'a script' => sub {
        $redis->cmd('EVAL', 'redis.call("HSET", KEYS[1], ARGV[1], 1);'
                    . 'redis.call("FLUSHALL")', 1, @REVOKE[1, 2]);
    },
);

subtest 'revoked and emptied in one turn' => sub {
    start();
    for my $way (sort keys %ONE_TURN) {
        ok $t->told($ONE_TURN{$way}, 2), "in $way";
        emptied();
        empty_settled();
        loading();
        $redis->allow(map { "x$_" } 1 .. 4);
        $redis->allow(map { "probe$_" } 1 .. $PROBES);
        $redis->load;
        ok wait_for(sub { $t->settled && outcome('x1') =~ /^$ALLOW (?:HIT|MISS)/ }),
            'loaded again';
        known();
    }
};


# "meta" was pushed, so that the table may be empty; whether it is was not
# answered before pushes end

sub suspect {
    start(fake => 1);
    $t->{fake}->rules($META_BUSY);
    ok $t->told(sub { $redis->load }), '"meta" was pushed';
    ok $t->revoke('x1'), 'revoked';
    $t->{fake}->rules($TRACKING_BUSY);
}

subtest 'pushes end before the table was asked for' => sub {
    suspect();
    $redis->kill;
    $redis->run;
    ok wait_for(sub { $t->status->{redis}{up} }), 'another Redis';
    ok !$t->status->{invalidation}{active}, 'which does not push';
    emptied();
    $t->{fake}->rules;
    ok $t->up, 'it does';
    loading();
};


subtest 'the worker is killed before the table was asked for' => sub {
    suspect();
    $t->{nginx}->allow(qr/exited on signal 9/);
    kill 'KILL', $t->{nginx}->workers;
    $t->{fake}->forget;             # what the one before has sent
    ok wait_for(sub { $t->{fake}->commands($TRACKING) }), 'taken over';
    $redis->cmd('FLUSHALL');
    emptied();
};


# the answer is of then, or of before

for my $case (['then', $META_HELD, 'x1', 'x2'],
              ['before', { %$META_HELD, reply => "\$1\r\n1\r\n" }, 'x1'])
{
    my ($when, $held, @apps) = @$case;

    subtest "asked before it was emptied, answered after it: $when" => sub {
        start(fake => 1);

        # until it is asked for: in the background it may have been before

        my @c;
        ok wait_for(sub {
            $t->{fake}->rules;
            $t->told(sub { $redis->load });
            $t->{fake}->rules($held);
            $t->{fake}->forget;
            @c = map { ask($_) } @apps;
            return wait_for(sub { !grep { !$t->{fake}->commands($_) }
                                  $META, map { qr/^HMGET .*:$_\}/ } @apps },
                            0.2);
        }), 'nothing is trusted, and asked for';
        ok $t->told(sub { $redis->cmd('FLUSHALL') }), 'emptied';
        empty_settled();
        ok $t->told(sub { $redis->allow('x1') }), 'x1 loaded';
        is answer($_), "$ALLOW STALE", 'asked: stale' for @c;
        is outcome($_), "$ALLOW STALE", "$_: stale" for 'x1', 'x2';
    };
}


subtest 'asked before it was loaded, answered after it' => sub {
    start(fake => 1);
    $redis->cmd('FLUSHALL');
    becomes('x1', "$ALLOW STALE", 'empty');
    $t->{fake}->rules($META_HELD);
    $t->{fake}->forget;
    my $c = ask('x1');
    ok wait_for(sub { $t->{fake}->commands($META) }), 'asked';
    $redis->allow('x1')->load;
    like answer($c), qr/^$ALLOW/, 'x1: not denied';
    like outcome('x1'), qr/^$ALLOW/, '... nor after it';
};

# ... without a push

subtest 'asked before it was loaded, answered before the push' => sub {
    start(fake => 1, workers => 2);
    my ($holder, $other) = workers(2);
    $redis->cmd('FLUSHALL');
    ok wait_for(sub { outcome_of('x1', $other) eq "$ALLOW STALE" }), 'empty';
    kill 'STOP', $holder;
    $t->{fake}->rules($META_HELD);
    $t->{fake}->forget;
    my $c = ask('x1', undef, $other);
    ok wait_for(sub { $t->{fake}->commands($META) }), 'asked';
    $redis->allow('x1')->load;
    like answer($c), qr/^$ALLOW/, 'x1: not denied';
    like outcome_of('x1', $other), qr/^$ALLOW/, '... nor after it';
    kill 'CONT', $holder;
    ok $t->settled, 'pushed';
    like outcome_of('x1', $other), qr/^$ALLOW/, '... nor then';
};


subtest 'asked before it was loaded, answered after another one' => sub {
    start(fake => 1, workers => 3);
    my ($holder, $other, $quick) = workers(3);
    $redis->cmd('FLUSHALL');
    becomes('x1', "$ALLOW STALE", 'empty');
    ok $t->told(sub { $redis->allow('x1') }), 'x1 is loaded';
    is outcome('x1'), "$ALLOW STALE", 'x1: stale';
    kill 'STOP', $holder;
    $t->{fake}->rules({ %$META_HELD, reply => "\$-1\r\n" });
    $t->{fake}->forget;
    ask('x1', undef, $other);
    ok wait_for(sub { $t->{fake}->commands($META) }), 'asked';
    $redis->load;
    is outcome_of('y', $quick), "$DENY MISS", 'it is loaded';
    like answer($other), qr/^$ALLOW/, 'x1: not unavailable';
    like outcome_of('x1', $quick), qr/^$ALLOW/, '... nor after it';
    is scalar($t->log_lines(qr/is not loaded/)), 1, '... nor said to be';
    kill 'CONT', $holder;
};


# A lookup is sent again in what is left of its time.

subtest 'asked once more, and not answered' => sub {
    start(fake => 1);
    $t->{fake}->rules({ %$META_HELD, delay => 2 },
                      { match => qr/^HMGET .*:y}/, times => 1 },
                      { match => qr/^HMGET .*:y}/, hang => 1 });
    my $begun = time;
    my $c = ask('y');
    ok wait_for(sub { $t->{fake}->commands(qr/^HMGET .*:y}/)
                      && $t->{fake}->commands($META) }), 'asked';
    ok $t->told(sub { $redis->load }), '"meta" was pushed';
    is answer($c), $UNKNOWN, 'unavailable';
    is scalar($t->{fake}->commands(qr/^HMGET .*:y}/)), 2, 'asked twice';
    my $took = time - $begun;
    cmp_ok $took, '>', 2.5, 'after the time-out';
    cmp_ok $took, '<', 4, '... of one lookup';
};


# ... and within the limit of unknown keys.

subtest 'asked once more, beyond the limit' => sub {
    start(fake => 1, http => 'app_permission_lookup_limit 1r/s burst=4;');
    ok wait_for(sub { outcome('z' . rand) =~ /MISS/ }), 'the burst is used up'
        for 1 .. 5;
    $t->{fake}->rules($META_HELD);
    $t->{fake}->forget;
    my $c = ask('y');
    ok wait_for(sub { $t->{fake}->commands(qr/^HMGET .*:y}/)
                      && $t->{fake}->commands($META) }), 'asked';
    ok $t->told(sub { $redis->load }), '"meta" was pushed';
    is answer($c), $UNKNOWN, 'unavailable';
    is scalar($t->{fake}->commands(qr/^HMGET .*:y}/)), 1, 'asked once';
};


# A changed grant goes on deciding, a changed denial does not: the load may have
# brought a grant.

subtest 'a grant that was not there before' => sub {
    start();
    ok $t->revoke('x1'), 'revoked';
    is outcome('new'), "$DENY MISS", 'new: denied';
    $redis->grant('smoke', 'get_user', 'ended', time - 60);
    like outcome('ended'), qr/^403 deny\/resource_grant_expired/, 'ended';
    ok $t->told(sub { $redis->cmd('FLUSHALL') }), 'emptied';
    is outcome('y'), $UNKNOWN, 'it is empty';
    is outcome('new'), "$DENY STALE", 'new: denied still';
    for my $app ('new', 'ended') {
        ok $t->told(sub { $redis->allow($app) }), "$app is loaded";
        is outcome($app), $UNKNOWN, '... and not denied any more';
    }
    loading();
    $redis->load;
    ok wait_for(sub { outcome('new') =~ /^$ALLOW (?:MISS|HIT)/ }), 'allowed';
};


subtest 'restarted while it is loaded' => sub {
    start(http => 'app_permission_zone 4m state=%%DIR%%/state;');
    ok $t->revoke('x1'), 'revoked';
    ok $t->told(sub { $redis->cmd('FLUSHALL') }), 'emptied';
    emptied();
    loading();
    is $t->{nginx}->quit, 0, 'nginx quits';
    $redis->stop;
    $t->start;
    is outcome($_), "$ALLOW STALE", "$_: stale" for 'x2', 'x3';
    unlike outcome('x1'), qr/^200/, 'x1: still not';
};

done_testing;

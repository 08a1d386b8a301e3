#!/usr/bin/perl

# No race leaves a stale allow: a lookup that is on its way when a change is
# pushed never lands as current.

use Perm::Test;

my %nginx = (http => <<'HTTP', server => <<'EOT');
        app_permission_cache_valid 1h denied=1h;
        app_permission_redis_timeout 3s;
        keepalive_requests 1000000;
HTTP
        %%DECISION%%

        location = /a { app_permission required; empty_gif; }
EOT

my $soon = int(time) + 3600;

my ($t, $redis, $fake);

# from here on the next push is the next change's

sub pushed { $t->settled; return $t->received }

# a call whose lookup is on its way

sub begin {
    my ($app) = @_;
    my $c = ask($app);
    wait_for(sub { $fake->lookups($app) });
    return $c;
}


subtest 'forced' => sub {
    $t = Perm::Test->new;
    $redis = $t->redis->load;
    $fake = $t->fake_redis(to => $redis);
    $t->nginx(%nginx);
    $t->up;

    # an answer from before the change is held back until after it; nobody
    # asks meanwhile

    my $old = { hold => 1, times => 1,
                reply => Perm::FakeRedis::grants(undef, $soon) };

    # their keys stay: the time to live of one that is gone ends its grants

    $redis->grant('smoke', 'other', $_, $soon)
        for qw(quiet shared lost missed flushed);

    $redis->allow('quiet');
    my $before = pushed();
    $fake->rules({ %$old, match => qr/^HMGET .*quiet/ });
    my $c = begin('quiet');
    $redis->forbid('quiet');
    ok wait_for(sub { $t->received > $before }), 'the change is known';
    is $fake->lookups('quiet'), 1, 'the answer is on its way';
    $fake->release;
    is $c->response->{status}, 200, 'who asked before it has the old answer';
    is outcome('quiet'), "$DENY MISS", 'who asks after it does not';
    is outcome('quiet'), "$DENY HIT", '... and that one is cached';

    # somebody asks meanwhile, and must not share the lookup

    $redis->allow('shared');
    $before = pushed();
    $fake->rules({ %$old, match => qr/^HMGET .*shared/ });
    $c = begin('shared');
    my $together = ask('shared');
    $t->status;         # nginx reads connections in the order they were made in
    $redis->forbid('shared');
    ok wait_for(sub { $t->received > $before }), 'the change is known';
    my $after = ask('shared');
    ok wait_for(sub { $fake->lookups('shared') == 2 }),
        'who asks after the change: a lookup of its own';
    $fake->release;
    is $after->response->{status}, 403, '... denied';
    is $_->response->{status}, 200, 'who asked before: the old answer'
        for $c, $together;
    is outcome('shared'), "$DENY HIT", 'the new answer is cached';

    # the other way round: a grant

    $before = pushed();
    $fake->rules({ %$old, match => qr/^HMGET .*granted/,
                   reply => Perm::FakeRedis::grants() });
    $c = begin('granted');
    $redis->allow('granted');
    ok wait_for(sub { $t->received > $before }), 'the change is known';
    $fake->release;
    is $c->response->{status}, 403, 'who asked before it has the old answer';
    is outcome('granted'), "$ALLOW MISS", 'who asks after it does not';

    # the link that pushes is lost, and with it the change

    $redis->allow('lost');
    $fake->rules({ %$old, match => qr/^HMGET .*lost/ });
    $c = begin('lost');
    $redis->untold('HDEL', key('grants', 'lost'), 'get_user');
    ok $t->wait_log(qr/a connection for tracking .* ended/), 'lost';
    $fake->release;

    # a lookup that is on its way when tracking is back is sent again

    like $c->response->{status}, qr/^(?:200|403)$/,
        'who asked before may have the old answer';
    like outcome('lost'), qr/^\Q$DENY\E (?:MISS|HIT)$/,
        'which is not trusted after the gap';

    # who asks in the gap must not share it, either

    $redis->allow('missed');
    ok $t->settled, 'pushed again';
    $fake->rules({ %$old, match => qr/^HMGET .*missed/ },
                 { match => qr/^CLIENT TRACKING/,
                   reply => "-BUSY a script\r\n" });
    $c = begin('missed');
    $redis->kill_listeners;
    ok wait_for(sub { !$t->status->{invalidation}{active} }), 'a gap';
    $redis->forbid('missed');
    $after = ask('missed');
    ok wait_for(sub { $fake->lookups('missed') == 2 }),
        'who asks in it: a lookup of its own';
    $fake->release;
    is answer($after), "$DENY MISS", '... denied';
    is $c->response->{status}, 200, 'who asked before it: the old answer';
    $fake->rules;
    ok $t->settled, 'over';

    # a refresh in the background has nobody waiting, and must not land either

    $redis->allow('flushed');
    $before = pushed();
    is outcome('flushed'), "$ALLOW MISS", 'known';
    $redis->forbid('flushed');
    wait_for(sub { $t->received > $before });
    $redis->allow('flushed');
    wait_for(sub { $t->received > $before + 1 });
    $fake->rules({ %$old, match => qr/^HMGET .*flushed/ });
    $fake->forget;
    $c = begin('flushed');
    $redis->empty;
    $fake->release;
    is $c->response->{status}, 503, 'FLUSHALL behind a lookup: not loaded';
    is outcome('flushed'), $UNKNOWN,
        'a changed key is not served stale, were it flushed after it or not';
};


# A change just before Redis begins to push them again.  In a gap an answer
# counts for a moment: what is asked for in it may still count at its end.

subtest 'forced, as tracking begins' => sub {
    $t = Perm::Test->new;
    $redis = $t->redis->load;
    $fake = $t->fake_redis(to => $redis);
    $t->nginx(%nginx);

    for my $app (map { "gap-$_" } 1 .. 5) {
        $redis->allow($app);
        ok $t->settled, 'ready';
        $fake->forget;
        $fake->rules({ match => qr/^CLIENT TRACKING/, hold => 1 });
        $redis->kill_listeners;
        ok wait_for(sub { $fake->commands(qr/^CLIENT TRACKING/) }), 'a gap';

        is outcome($app), "$ALLOW MISS", "$app: asked for in it";
        $redis->forbid($app);
        $fake->rules->release;
        ok $t->up, 'over';
        becomes($app, '403', 'the change counts');
    }
};


# Thousands of grants, revocations and new ends at random, under a load of
# lookups on the same apps.  Whatever was acknowledged by the push counts on
# both workers, to the second of its end.

subtest 'at random' => sub {
    $t = Perm::Test->new;
    $redis = $t->redis->load;
    $t->nginx(%nginx, workers => 2);
    $t->up;

    my %worker = $t->worker_connections(2);
    my $status = $t->connect;

    my @apps = map { "app-$_" } 1 .. 6;
    my $load = $t->load(\@apps, connections => 8, rate => 4000);
    my %end = map { ($_ => 0) } @apps;
    my $expected = $t->received;
    my $random = int($ENV{TEST_SEED} // time);
    note "TEST_SEED=$random";
    srand $random;

    my ($rounds, $late, @wrong) = (0, 0);
    my $begun = time;

    # for 20 s, and on a busy machine until there were thousands

    while ($rounds < 8000 && time < $begun + ($rounds > 2000 ? 20 : 100)) {
        my $app = $apps[rand @apps];
        $rounds++;

        # one to three changes of it in a row

        for (0 .. int rand 3) {
            $end{$app} = $end{$app} && rand() < 0.5 ? 0
                : $soon + int rand 100000;
            $end{$app} ? $redis->cmd('HSET', key('grants', $app), 'get_user', $end{$app})
                       : $redis->cmd('HDEL', key('grants', $app), 'get_user');
            $expected++;
        }

        my $got = 0;
        my $until = time + 10;
        for ( ;; ) {
            $status->send("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
            ($got) = $status->response->{body}
                =~ /"invalidation":\{[^}]*"received":(\d+)/;
            last if $got >= $expected || time > $until;
        }
        $late++ if $got < $expected;

        ask($app, undef, $_) for values %worker;
        for my $pid (keys %worker) {
            my $r = $worker{$pid}->response;
            my $end = $r->{headers}{'x-expires'} || 0;
            push @wrong, "round $rounds, worker $pid, $app: "
                . "$r->{status} $r->{headers}{'x-decision'} until $end, "
                . "not $end{$app}"
                if $r->{status} != ($end{$app} ? 200 : 403)
                    || $end != $end{$app};
        }
    }

    my $seen = $load->stop;
    note "$rounds rounds, $seen->{n} requests besides";
    is scalar(@wrong), 0, "no wrong answer in $rounds rounds"
        or diag join "\n", @wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)];
    is $late, 0, 'every change was pushed';
    cmp_ok $rounds, '>', 1000, 'thousands';
    cmp_ok $seen->{n}, '>', 1000, 'under load';
    is_deeply [grep { !/^(200 allow\/resource_grant|403 deny\/no_grant) / }
        keys %{$seen->{outcome}}], [], 'which had no other answer'
        or diag explain $seen->{outcome};
    cmp_ok $seen->{outcome}{"$ALLOW MISS"} // 0, '>', 200,
        'and looked up again and again' or diag explain $seen->{outcome};
};

done_testing;

#!/usr/bin/perl

# No race leaves a stale allow: a lookup that is on its way when a change is
# pushed never lands as current.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use Time::HiRes qw(time sleep);

use Perm::Load;
use Perm::Test;

my %nginx = (http => <<'HTTP', server => <<'EOT');
        app_permission_cache_valid 1h denied=1h;
        app_permission_redis_timeout 3s;
        keepalive_requests 1000000;
HTTP
        add_header X-Decision
 "$app_permission_decision/$app_permission_reason $app_permission_cache" always;
        add_header X-Expires $app_permission_expires always;
        add_header X-Worker $pid always;

        location = /a { app_permission required; empty_gif; }
EOT

my ($ALLOW, $DENY) = ('200 allow/resource_grant', '403 deny/no_grant');
my $soon = int(time) + 3600;

my ($t, $redis, $fake);

sub outcome {
    my ($app) = @_;
    my $r = $t->get('/a', app => $app);
    return "$r->{status} " . ($r->{headers}{'x-decision'} // '');
}

sub received { $t->status->{invalidation}{received} }

# from here on the next push is the next change's

sub pushed { $t->settled; return received() }

sub key { "app_permission:grants:{smoke:$_[0]}" }

sub lookups { scalar $fake->commands(qr/^HMGET .*\{smoke:\Q$_[0]\E\}/) }

# the connection that is told of changes

sub listener {
    my ($id) = map { /sub=1/ && /^id=(\d+)/ ? $1 : () }
        split /\n/, $redis->cmd('CLIENT', 'LIST');
    return $id;
}

sub bulk { '$' . length($_[0]) . "\r\n$_[0]\r\n" }

sub ask {
    my ($app) = @_;
    my $c = $t->connect;
    $c->send("GET /a HTTP/1.1\r\nHost: a\r\nX-App: $app\r\n\r\n");
    wait_for(sub { lookups($app) });
    return $c;
}


subtest 'forced' => sub {
    $t = Perm::Test->new;
    $redis = $t->redis->load;
    $fake = $t->fake_redis(to => $redis);
    $t->nginx(%nginx);
    wait_for(sub { $t->status->{invalidation}{active} });

    # an answer from before the change is held back until after it; nobody
    # asks meanwhile

    my $old = { delay => 0.5, times => 1,
                reply => "*2\r\n\$-1\r\n" . bulk($soon) };

    $redis->grant('smoke', 'get_user', 'quiet', $soon);
    my $before = pushed();
    $fake->rules({ %$old, match => qr/^HMGET .*quiet/ });
    my $c = ask('quiet');
    $redis->revoke('smoke', 'get_user', 'quiet');
    ok wait_for(sub { received() > $before }), 'the change is known';
    is lookups('quiet'), 1, 'the answer is on its way';
    is $c->response->{status}, 200, 'who asked before it has the old answer';
    is outcome('quiet'), "$DENY MISS", 'who asks after it does not';
    is outcome('quiet'), "$DENY HIT", '... and that one is cached';

    # somebody asks meanwhile, and must not share the lookup

    $redis->grant('smoke', 'get_user', 'shared', $soon);
    $before = pushed();
    $fake->rules({ %$old, match => qr/^HMGET .*shared/ });
    $c = ask('shared');
    my $together = $t->connect;
    $together->send("GET /a HTTP/1.1\r\nHost: a\r\nX-App: shared\r\n\r\n");
    $t->status;         # nginx reads connections in the order they were made in
    $redis->revoke('smoke', 'get_user', 'shared');
    ok wait_for(sub { received() > $before }), 'the change is known';
    my $after = $t->connect;
    $after->send("GET /a HTTP/1.1\r\nHost: a\r\nX-App: shared\r\n\r\n");
    is $after->response->{status}, 403, 'who asks after the change: denied';
    is lookups('shared'), 2, 'by a lookup of its own';
    is $_->response->{status}, 200, 'who asked before: the old answer'
        for $c, $together;
    is outcome('shared'), "$DENY HIT", 'the new answer is cached';

    # the other way round: a grant

    $before = pushed();
    $fake->rules({ %$old, match => qr/^HMGET .*granted/,
                   reply => "*2\r\n\$-1\r\n\$-1\r\n" });
    $c = ask('granted');
    $redis->grant('smoke', 'get_user', 'granted', $soon);
    ok wait_for(sub { received() > $before }), 'the change is known';
    is $c->response->{status}, 403, 'who asked before it has the old answer';
    is outcome('granted'), "$ALLOW MISS", 'who asks after it does not';

    # the link that pushes is lost, and with it the change

    $redis->grant('smoke', 'get_user', 'lost', $soon);
    $fake->rules({ %$old, match => qr/^HMGET .*lost/ });
    $c = ask('lost');
    my $id = listener();
    my $other = $redis->connect;
    $other->send('MULTI');
    $other->send('CLIENT', 'KILL', 'ID', $id);
    $other->send('HDEL', key('lost'), 'get_user');
    $other->send('EXEC');
    $other->reply for 1 .. 4;

    # a lookup that is on its way when tracking is back is sent again

    like $c->response->{status}, qr/^(?:200|403)$/,
        'who asked before may have the old answer';
    like outcome('lost'), qr/^\Q$DENY\E (?:MISS|HIT)$/,
        'which is not trusted after the gap';

    # who asks in the gap must not share it, either

    ok $t->settled, 'pushed again';
    $redis->grant('smoke', 'get_user', 'missed', $soon);
    $fake->rules({ %$old, match => qr/^HMGET .*missed/ },
                 { match => qr/^CLIENT TRACKING/,
                   reply => "-BUSY a script\r\n" });
    $c = ask('missed');
    $redis->cmd('CLIENT', 'KILL', 'ID', listener());
    ok wait_for(sub { !$t->status->{invalidation}{active} }), 'a gap';
    $redis->revoke('smoke', 'get_user', 'missed');
    is outcome('missed'), "$DENY MISS", 'who asks in it: denied';
    is $c->response->{status}, 200, 'who asked before it: the old answer';
    $fake->rules;
    ok $t->settled, 'over';

    # a refresh in the background has nobody waiting, and must not land either

    $redis->grant('smoke', 'get_user', 'flushed', $soon);
    $before = pushed();
    is outcome('flushed'), "$ALLOW MISS", 'known';
    $redis->revoke('smoke', 'get_user', 'flushed');
    wait_for(sub { received() > $before });
    $redis->grant('smoke', 'get_user', 'flushed', $soon);
    wait_for(sub { received() > $before + 1 });
    $fake->rules({ match => qr/^HMGET .*flushed/, delay => 0.5, times => 1,
                   reply => "*2\r\n\$-1\r\n" . bulk($soon) });
    $fake->forget;
    $c = ask('flushed');
    $redis->cmd('FLUSHALL');
    is $c->response->{status}, 503, 'FLUSHALL behind a lookup: not loaded';
    is outcome('flushed'), '503 fail/unavailable MISS',
        'a changed key is not served stale, were it flushed after it or not';
    $t->stop;
};


# A change just before Redis begins to push them again.  In a gap nothing is
# trusted for long: what is asked for right after it was distrusted, is by then.

sub epoch {
    my $r = $t->get('/status/explain?gateway=smoke&resource=r&app=x');
    return JSON::PP->new->decode($r->{body})
        ->{cache}{current_generation}{epoch};
}

subtest 'forced, as tracking begins' => sub {
    $t = Perm::Test->new;
    $redis = $t->redis->load;
    $fake = $t->fake_redis(to => $redis);
    $t->nginx(%nginx);

    for my $app (map { "gap-$_" } 1 .. 5) {
        $redis->grant('smoke', 'get_user', $app, $soon);
        ok $t->settled, 'ready';
        my $id = listener();
        $fake->forget;
        $fake->rules({ match => qr/^CLIENT TRACKING/, delay => 60 });
        $redis->cmd('CLIENT', 'KILL', 'ID', $id);
        ok wait_for(sub { $fake->commands(qr/^CLIENT TRACKING/) }), 'a gap';

        my ($epoch, $until) = (epoch(), time + 5);
        1 until epoch() != $epoch || time > $until;
        is outcome($app), "$ALLOW MISS", "$app: asked for in it";
        $redis->revoke('smoke', 'get_user', $app);
        $fake->release;
        ok wait_for(sub { $t->status->{invalidation}{active} }), 'over';
        ok wait_for(sub { outcome($app) =~ /^403/ }), 'the change counts';
    }
    $t->stop;
};


# Thousands of grants, revocations and new ends at random, under a load of
# lookups on the same apps.  Whatever was acknowledged by the push counts on
# both workers, to the second of its end.

subtest 'at random' => sub {
    $t = Perm::Test->new;
    $redis = $t->redis->load;
    $t->nginx(%nginx, workers => 2);
    wait_for(sub { $t->status->{invalidation}{active} });

    my %worker;
    wait_for(sub {
        my $c = $t->connect;
        $c->send("GET /a HTTP/1.1\r\nHost: a\r\nX-App: x\r\n\r\n");
        $worker{$c->response->{headers}{'x-worker'}} = $c;
        return keys %worker == 2;
    });
    is scalar(keys %worker), 2, 'a connection to each worker';
    my $status = $t->connect;

    my @apps = map { "app-$_" } 1 .. 6;
    my $load = Perm::Load->start($t, uri => '/a', apps => \@apps,
                                 connections => 8, rate => 4000);
    my %end = map { ($_ => 0) } @apps;
    my $expected = received();
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
            $end{$app} ? $redis->cmd('HSET', key($app), 'get_user', $end{$app})
                       : $redis->cmd('HDEL', key($app), 'get_user');
            $expected++;
        }

        my $got = 0;
        my $until = time + 10;
        for ( ;; ) {
            $status->send("GET /status HTTP/1.1\r\nHost: a\r\n\r\n");
            ($got) = $status->response->{body}
                =~ /"invalidation":\{[^}]*"received":(\d+)/;
            last if $got >= $expected || time > $until;
        }
        $late++ if $got < $expected;

        $_->send("GET /a HTTP/1.1\r\nHost: a\r\nX-App: $app\r\n\r\n")
            for values %worker;
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
    $t->stop;
};

done_testing;

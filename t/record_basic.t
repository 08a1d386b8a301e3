#!/usr/bin/perl

# Last accesses: whose are recorded and whose are not, when they reach Redis,
# what happens to them there, and when there is no room or no right.

use Perm::Test;

my $SERVER = <<'EOT';
        %%DECISION%%

        app_permission required;
        location = /a     { empty_gif; }
        location = /other { app_permission_resource other; empty_gif; }
        location = /off   { app_permission off; empty_gif; }
        location = /open  { app_permission open; empty_gif; }
        location = /dry   { app_permission_dry_run on; empty_gif; }
        location = /not   { app_permission_record off; empty_gif; }
        location = /allow { app_permission_on_error allow; empty_gif; }
        location = /fresh { app_permission_cache_valid 0s; empty_gif; }
        location = /err   { app_permission_error off; error_page 403 /open;
                            empty_gif; }
EOT

my ($t, $redis);

sub start {
    my (%o) = @_;
    $t = Perm::Test->new(late => 1);
    $redis = $t->redis->load;
    $t->fake_redis(to => $redis) if $o{fake};
    $t->nginx(server => $SERVER, workers => $o{workers} // 2,
              http => ($o{http} // '') . " app_permission_flush @{[$o{flush} // '1s']};");
}

# every access there is in Redis: "gateway:app resource" => second

sub accesses {
    my %seen;
    for my $key (@{$redis->cmd('KEYS', 'app_permission:access:*')}) {
        my ($name) = $key =~ /\{(.*)\}/;
        my %member = @{$redis->cmd('ZRANGE', $key, 0, -1, 'WITHSCORES')};
        $seen{"$name $_"} = $member{$_} for keys %member;
    }
    return \%seen;
}

subtest 'who' => sub {
    start();
    $redis->allow(qw(demo stale not open off error));
    $redis->grant('smoke', undef, 'gateway', time + 3600);
    $redis->grant('smoke', 'get_user', 'expired', time - 1);
    ok $t->settled, 'ready';

    my $before = int time;
    is outcome('demo'), "$ALLOW MISS", 'a grant';
    is outcome('demo'), "$ALLOW HIT", '... cached';
    is outcome('gateway'), '200 allow/gateway_grant MISS', 'a gateway grant';
    is outcome('gateway', '/other'), '200 allow/gateway_grant MISS',
        '... on another resource';

    is outcome('none'), "$DENY MISS", 'denied';
    is outcome('expired'), '403 deny/resource_grant_expired MISS', 'expired';
    is outcome('none', '/dry'), '200 deny/no_grant HIT', 'would be denied';
    is outcome('open', '/open'), '200 allow/open', 'open';
    is outcome('off', '/off'), '200 /', 'off';
    is outcome('not', '/not'), "$ALLOW MISS", 'record off';
    is outcome('not', '/not'), "$ALLOW HIT", '... cached';
    is outcome('a b'), '403 deny/invalid_app', 'invalid';
    is outcome(''), '403 deny/no_app', 'no app';
    is $t->get('/err', app => 'none')->{status}, 403,
        'an error page that is open';

    ok $t->flushed, 'written';
    my $seen = accesses();
    is_deeply [sort keys %$seen], ['smoke:demo get_user',
        'smoke:gateway get_user', 'smoke:gateway other'],
        'those a grant allowed, and no others';
    cmp_ok $seen->{$_}, '>=', $before, "$_: when" for keys %$seen;
    cmp_ok $seen->{$_}, '<=', time, '... not later' for keys %$seen;

    # dry run of one that has a grant is a call like any other

    is outcome('error', '/dry'), "$ALLOW MISS", 'dry run, allowed';
    ok $t->flushed, 'written';
    ok $redis->access('smoke', 'get_user', 'error'), 'recorded';

    # in an outage

    is outcome('stale'), "$ALLOW MISS", 'known before the outage';
    ok $t->flushed, 'written';
    my $last = $redis->access('smoke', 'get_user', 'stale');
    wait_until($last + 1);
    $redis->cmd('DEL', 'app_permission:meta');
    becomes('stale', "$ALLOW STALE", 'stale', '/fresh');
    is outcome('unknown', '/allow'), '200 allow/unavailable MISS',
        'on_error allow';
    is outcome('unknown'), $UNKNOWN, 'unavailable';
    ok $t->flushed, 'written';
    cmp_ok $redis->access('smoke', 'get_user', 'stale'), '>', $last,
        'one that a stale grant allowed is recorded';
    is $redis->access('smoke', 'get_user', 'unknown'), undef,
        'one that on_error allowed is not';
    $redis->load;

    my $access = $t->status->{access};
    cmp_ok $access->{recorded}, '>=', 6, 'counted';
    is $access->{dropped}, 0, 'none dropped';
    is $access->{oldest_pending_seconds}, 0, 'none pending';
};


subtest 'in time' => sub {
    start();
    $redis->allow(map { "app-$_" } 1 .. 4);

    for (1 .. 4) {
        my $app = "app-$_";
        wait_until(time + rand 0.5);    # anywhere between two flushes
        my $begun = time;
        outcome($app);
        ok wait_for(sub { $redis->access('smoke', 'get_user', $app) }, 5),
            "$app is there";
        is scalar($t->{late}->over($begun, 2.05)), undef,
            '... within the interval and a second';
    }
};


subtest 'newest wins' => sub {
    start();
    $redis->allow(qw(ahead behind));

    # another gateway, with a clock an hour ahead or behind, was there before

    my $ahead = int(time) + 3600;
    my $behind = int(time) - 3600;
    $redis->used('smoke', 'get_user', 'ahead', $ahead);
    $redis->used('smoke', 'get_user', 'behind', $behind);
    outcome($_) for qw(ahead behind);
    ok $t->flushed, 'written';
    is $redis->access('smoke', 'get_user', 'ahead'), $ahead,
        'a newer one in Redis stays';
    cmp_ok $redis->access('smoke', 'get_user', 'behind'), '>', $behind + 3500,
        'an older one is moved';

    # two gateways

    my $other = Perm::Test->new;
    $other->{redis} = $redis;
    $other->nginx(server => $SERVER, http => 'app_permission_flush 1s;');
    my %last;
    for my $round (1 .. 6) {
        for my $gateway ($t, $other) {
            $gateway->get('/a', app => 'behind');
            $last{behind} = int time;
        }
        wait_until($last{behind} + 1) if $round % 2;
    }
    my $end = int time;
    ok $t->flushed, 'one has written';
    ok $other->flushed, 'the other has';
    my $score = $redis->access('smoke', 'get_user', 'behind');
    ok $score >= $last{behind} - 1 && $score <= $end,
        'the newest of two gateways' or diag "$score, not $last{behind}";
    delete $other->{redis};
    $_->stop for $other, $t;
};


subtest 'Redis refuses some' => sub {
    start();
    my @apps = map { "app-$_" } 1 .. 20;
    $redis->allow(@apps);

    # one key of the wrong type: the others are written

    $redis->cmd('SET', 'app_permission:access:{smoke:app-7}', 'x');
    outcome($_) for @apps;
    ok wait_for(sub { keys %{$redis->accesses(@apps)} == 19 }, 5),
        'all but one are there';
    ok $t->wait_log(qr/access:\{smoke:app-7\}.*/), 'the log names that one';
    is $t->status->{access}{pending}, 1, 'it is pending';
    my $flushed = $t->status->{redis}{commands};
    wait_for(sub { $t->status->{redis}{commands} > $flushed + 3 }, 10);
    is scalar($t->log_lines(qr/\[error\].*app-7/)), 1, '... logged once';
    $redis->cmd('DEL', 'app_permission:access:{smoke:app-7}');
    ok $t->flushed, 'removed: written';
    ok $redis->access('smoke', 'get_user', 'app-7'), '... in the end';
};

# What is on its way when a link ends, or hangs, was not acknowledged.  Lookups
# share the link: here there are none any more, so that nothing but writing
# suffers.

for my $case (['the link ends in a batch', close => 1],
              ['a reply is cut', reply => ':', close => 1],
              ['an answer never comes', hang => 1],
              ['an answer is no number', reply => "+OK\r\n"])
{
    my ($what, @rule) = @$case;

    subtest $what => sub {
        start(fake => 1, http => 'app_permission_redis_timeout 2s;
                                  app_permission_cache_valid 1h;');
        my @apps = map { "app-$_" } 1 .. 200;
        $redis->allow(@apps);
        ok $t->settled, 'ready';

        $t->all_are(\@apps, "$ALLOW MISS", 'known');
        ok $t->flushed, '... and written';
        $redis->cmd('DEL', map { key('access', $_) } @apps);
        wait_until(int(time) + 1);

        $t->{fake}->forget;
        $t->{fake}->rules({ match => qr/^ZADD .*app-1?50\b/, times => 4, @rule });
        $t->all_are(\@apps, "$ALLOW HIT", 'allowed');
        ok wait_for(sub { $t->{fake}->commands(qr/^ZADD .*app-150\b/) }, 5),
            'on its way';
        $t->{fake}->rules if $what =~ /never/;
        ok $t->flushed, 'all are written';
        is keys %{accesses()}, 200, '... and there';
        cmp_ok $t->{fake}->commands(qr/^ZADD .*app-150\b/), '>=', 2,
            '... sent again';
    };
}


# What was lost with the link is sent again when there is one, not when the next
# flush is due.

subtest 'the link ends, and is back before anybody notices' => sub {
    start(fake => 1, flush => '5s', http => 'app_permission_cache_valid 1h;');
    $redis->allow(map { "app-$_" } 1, 2);
    ok $t->settled, 'ready';

    # a link that ends within its first second counts as down for a while

    is outcome('app-2'), "$ALLOW MISS", 'an access';
    ok $t->flushed, '... and written';
    $t->{fake}->rules({ match => qr/^ZADD .*app-1/, times => 1, close => 1 });
    is outcome('app-1'), "$ALLOW MISS", 'another';
    ok wait_for(sub { $t->{fake}->commands(qr/^ZADD .*app-1/) }), 'on its way';
    my $begun = time;
    ok wait_for(sub { defined $redis->access('smoke', 'get_user', 'app-1') }),
        'written';
    $t->soon($begun, 3, 'soon');
};


subtest 'the link ends under the last flush' => sub {
    start(fake => 1, flush => '1h', workers => 1);
    my $fake = $t->{fake};
    $redis->allow('demo');
    ok $t->settled, 'ready';
    ok wait_for(sub { $fake->commands(qr/^TIME/) }), 'the first flush is over';

    is outcome('demo'), "$ALLOW MISS", 'allowed';
    $fake->rules({ match => qr/^ZADD/, times => 1, close => 1 });
    is $t->{nginx}->quit, 0, 'quits';
    is scalar($fake->commands(qr/^ZADD.*demo/)), 2, 'sent twice';
    ok accesses()->{'smoke:demo get_user'}, '... and written';
};


# Redis takes no writes: as a replica, for want of memory, for want of rights

for my $case (
    [READONLY => sub { $redis->cmd('REPLICAOF', '127.0.0.1', '1') },
                 sub { $redis->cmd('REPLICAOF', 'NO', 'ONE') },
     qr/it is a replica,.* last accesses are kept/, qr/is a master: no replica/],
    [OOM => sub { $redis->cmd('CONFIG', 'SET', 'maxmemory', '1') },
            sub { $redis->cmd('CONFIG', 'SET', 'maxmemory', '0') }],
    [NOPERM => sub { $redis->cmd('ACL', 'SETUSER', 'default', '-zadd') },
               sub { $redis->cmd('ACL', 'SETUSER', 'default', '+zadd') }],
    [MISCONF => sub {
        mkdir "$redis->{dir}/dump.rdb";    # where the file should be
        $redis->cmd('CONFIG', 'SET', 'save', '1000 1');
        $redis->cmd('BGSAVE');
        wait_for(sub { $redis->cmd('INFO', 'persistence')
            =~ /rdb_last_bgsave_status:err/ });
     }, sub {
        $redis->cmd('CONFIG', 'SET', 'save', '');
     }],
) {
    my ($what, $break, $mend, $bad, $good) = @$case;
    $bad //= qr/Redis refuses last accesses.*$what/;
    $good //= qr/last accesses are written again after/;

    subtest $what => sub {
        start();
        my @apps = map { "app-$_" } 1 .. 300;
        $redis->allow(@apps);
        $break->();

        my $before = int time;
        $t->all_are(\@apps, "$ALLOW MISS", 'decided as usual');
        ok $t->wait_log($bad, 5), 'logged';
        my $access = $t->status->{access};
        is "$access->{pending} $access->{dropped}", '300 0',
            'all pending, none dropped';
        my $commands = $t->status->{redis}{errors};
        wait_for(sub { $t->status->{redis}{errors} > $commands }, 5);
        my @told = $t->log_lines(qr/\[error\].*last accesses/);
        is scalar @told, 1, '... once' or diag join "\n", @told;

        $mend->();
        ok $t->flushed, 'mended: written';
        is keys %{accesses()}, 300, 'all of them';
        my ($oldest) = sort { $a <=> $b } values %{accesses()};
        cmp_ok $oldest, '>=', $before, '... with their times';
        ok $t->wait_log(qr/\[error\].*$good/, 5), 'the log tells';
    };
}


subtest 'no room' => sub {
    start(http => 'app_permission_zone 1m;');
    my $room = $t->status->{access}{capacity};
    my @apps = map { "app-$_" } 1 .. 2 * $room;
    $redis->allow(@apps);
    $redis->cmd('ACL', 'SETUSER', 'default', '-zadd');

    $t->all_are(\@apps, "$ALLOW MISS", 'decided as usual');
    my $access = $t->status->{access};
    is $access->{pending} + $access->{dropped}, 2 * $room,
        'what is not pending was dropped, and counted';
    cmp_ok $access->{pending}, '>', 0.7 * $room, 'the room is used';
    ok $t->wait_log(qr/no room for more pending accesses/, 5), 'logged';

    $redis->cmd('ACL', 'SETUSER', 'default', '+zadd');
    ok $t->flushed, 'the rest is written';
    is keys %{accesses()}, $access->{pending}, 'all of it';
    is scalar($t->log_lines(qr/no room for more pending accesses/)), 1,
        '... once';

    # what is written makes room

    $t->load([reverse @apps], times => int $room * 0.9)->wait;
    ok $t->flushed, 'later ones are written';
    my $dropped = $t->status->{access}{dropped} - $access->{dropped};
    cmp_ok $dropped, '<', $room * 0.3, "there is room again: $dropped dropped";
};

done_testing;

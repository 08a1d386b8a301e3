#!/usr/bin/perl

# The cache: what is a hit, for how long, for whom; one lookup for many
# waiters; a zone that is full.

use IO::Socket::INET;
use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $fake = $t->fake_redis(to => $redis);

my %nginx = (http => 'app_permission_cache_valid 1h denied=1h;
                      app_permission_redis_timeout 5s;',
             server => <<'EOT');
        %%DECISION%%

        location = /a     { app_permission required; empty_gif; }
        location = /other { app_permission required;
                            app_permission_resource other; empty_gif; }
        location = /short { app_permission required;
                            app_permission_cache_valid 1s denied=2s; empty_gif; }
        location = /then  { app_permission required; post_action /silent;
                            empty_gif; }
        location = /then/asks { app_permission required;
                            post_action /silent/asks; empty_gif; }
        location = /then/explain { app_permission_status; post_action /silent; }
        location /silent {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_silent%%;
            proxy_read_timeout 1s;

            location = /silent/asks {
                app_permission required;
                app_permission_resource other;
                proxy_pass http://127.0.0.1:%%PORT_silent%%;
                proxy_read_timeout 1s;
            }
        }
EOT

# a grant whose own push is not on its way any more

sub grant {
    my ($app, $expires) = @_;
    $redis->grant('smoke', 'get_user', $app, $expires // int(time) + 3600);
    $t->settled;
}

$t->nginx(%nginx);
ok $t->settled, 'changes are pushed';


subtest 'hits' => sub {
    grant('demo');

    is outcome('demo'), "$ALLOW MISS", 'the first: a miss';
    is outcome('demo'), "$ALLOW HIT", 'the second: a hit';
    is $fake->lookups('demo'), 1, 'one lookup';

    is outcome('demo', '/other'), "$DENY MISS", 'another resource: a miss';
    is outcome('demo', '/other'), "$DENY HIT", 'a cached denial is a hit too';
    is $fake->lookups('demo'), 2, 'one lookup each';

    my $cache = $t->status->{cache};
    is "$cache->{hit} $cache->{miss} $cache->{stale} $cache->{entries}",
        '2 2 0 2', 'counted';
};


# times: from when an answer came until it is asked for anew

sub lasts {
    my ($app, $decision) = @_;
    my $first = time;

    is outcome($app, '/short'), "$decision MISS", "$app: a miss";
    my ($hits, $other) = (0, '');
    wait_for(sub {
        my $got = outcome($app, '/short');
        $hits++ if $got eq "$decision HIT";
        $other = $got if $got !~ /HIT$/;
        return $got =~ /MISS/;
    }, 5);
    is $other, "$decision MISS", '... and one again';
    cmp_ok $hits, '>', 5, '... hits between';
    return time - $first;
}

subtest 'cache_valid and denied' => sub {
    my $took = lasts('nobody', '403 deny/no_grant');
    cmp_ok $took, '>=', 1.95, "denied=2s: $took s";
    cmp_ok $took, '<', 3, '... and not much more';

    # a live one that nobody asks for meanwhile is not refreshed

    grant('idle');
    is outcome('idle', '/short'), "$ALLOW MISS", 'idle';
    wait_until(time + 1.1);
    is outcome('idle', '/short'), "$ALLOW MISS", 'after cache_valid: a miss';
    is outcome('idle', '/a'), "$ALLOW HIT",
        'it is the location that says how old an answer may be';
};


subtest 'a cached grant ends on time' => sub {
    my $expires = int(time) + 3;
    grant('ending', $expires);

    is outcome('ending'), "$ALLOW MISS", 'live';
    my (@wrong, $got);
    for ( ;; ) {
        my $before = time;
        $got = outcome('ending');
        my $after = time;
        push @wrong, "$got at $before"
            if $got =~ /^200/ && $before >= $expires + 0.02
                || $got =~ /^403/ && $after < $expires;
        last if $before > $expires + 0.3;
        wait_until(time + 0.005);
    }
    is "@wrong", '', 'not a moment longer, nor shorter';
    is $got, '403 deny/resource_grant_expired HIT', 'denied out of the cache';
    is $fake->lookups('ending'), 1, 'by one lookup';
};


subtest 'concurrent misses share a lookup' => sub {
    grant('crowd');
    $fake->rules({ match => qr/^HMGET .*crowd/, delay => 0.2 });

    my @c = map { ask('crowd') } 1 .. 50;
    is_deeply [map { answer($_) } @c], [("$ALLOW MISS") x 50],
        'all 50 have the answer';
    is $fake->lookups('crowd'), 1, 'of one lookup';
    $fake->rules;
};


subtest 'a client that leaves while it waits' => sub {
    grant($_) for qw(gone kept);
    $fake->rules({ match => qr/^HMGET .*gone/, delay => 0.3 });

    my @c = map { ask('gone') } 1 .. 5;
    wait_for(sub { $fake->lookups('gone') });
    my $stays = pop @c;
    close $_->{socket} for @c;

    is outcome('kept'), "$ALLOW MISS",
        'one behind it on the same connection has its own answer';
    is answer($stays), "$ALLOW MISS", 'one that stays has it too';
    is $fake->lookups('gone'), 1, 'one lookup';
    is outcome('gone'), "$ALLOW HIT", 'which was not wasted';
    is scalar(grep { $_->{status} == 499 } $t->access(5)), 4,
        'those that left are logged as such';

    # all leave

    $fake->rules({ match => qr/^HMGET .*lonely/, delay => 0.3 });
    my $c = ask('lonely');
    wait_for(sub { $fake->lookups('lonely') });
    close $c->{socket};
    wait_for(sub { outcome('lonely') =~ /HIT/ });
    is outcome('lonely'), "$DENY HIT", 'the answer nobody waited for is cached';
    $fake->rules;
};


# nginx goes on with the request then, while the lookup is still on its way

subtest 'a client that leaves where there is a post_action' => sub {
    my $silent = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1',
                                       LocalPort => $t->port('silent'));
    ok $silent, 'a backend that says nothing';

    for my $uri ('/then', '/then/asks', '/then/explain') {
        my $app = 'left' . $uri =~ tr{/}{-}r;
        grant($app);
        my $before = $t->access;
        $fake->rules({ match => qr/^HMGET .*\Q$app\E/, delay => 0.3 });
        my $c = $t->connect;
        $c->send("GET $uri?gateway=smoke&resource=get_user&app=$app HTTP/1.1"
                 . "\r\nHost: localhost\r\nX-App: $app\r\n\r\n");
        ok wait_for(sub { $fake->lookups($app) }), "$uri: looked up";
        close $c->{socket};
        ok wait_for(sub { $fake->answered(qr/^HMGET .*\Q$app\E/) }),
            '... and answered, when the client was gone';
        ok wait_for(sub { $t->access > $before }, 5), '... and over';
        $fake->rules;
    }
    is outcome('left-then'), "$ALLOW HIT", 'all is well';
};


subtest 'two workers, and a reload' => sub {
    my $entries = $t->status->{cache}{entries};
    $t->config(%nginx, workers => 2);
    ok $t->reload, 'reload, to two workers';

    cmp_ok $t->status->{cache}{entries}, '>=', $entries, 'the cache was kept';

    # from here on nothing but a lookup makes a difference

    ok $t->settled, 'the new workers track';
    grant("shared-$_") for 1 .. 5;

    my %miss;
    for my $app (map { "shared-$_" } 1 .. 5) {
        for (1 .. 20) { $miss{$app}++ if outcome($app) =~ /MISS/ }
    }
    is_deeply \%miss, { map { ("shared-$_" => 1) } 1 .. 5 },
        'what one has looked up is a hit in the other';
};

$t->stop;


# A full zone.  1m has room for some 4700 short calls.

subtest 'full' => sub {
    my $t = Perm::Test->new;
    my $redis = $t->redis->load;
    $t->nginx(%nginx, http => "$nginx{http} app_permission_zone 1m;");
    ok $t->settled, 'changes are pushed';

    my @known = map { "known-$_" } 1 .. 200;
    my @many = map { "granted-$_" } 1 .. 8000;
    $redis->allow(@known, @many);

    $t->once(\@known);
    my $capacity = $t->status->{cache}{capacity};
    cmp_ok $capacity, '>', 2000, "room for $capacity";
    cmp_ok $capacity, '<', 8000, '... and not for all';

    my @unknown = map { "unknown-$_" } 1 .. 8000;
    $t->all_are(\@unknown, "$DENY MISS", 'unknown ones: denied, no error');
    $t->all_are(\@known, "$ALLOW HIT", 'pushed none of the known ones out');

    my $cache = $t->status->{cache};
    cmp_ok $cache->{evicted}, '>', 1000, 'evicted, and counted';
    cmp_ok $cache->{denied_entries}, '<', $capacity / 2,
        'denials have a share of their own';

    $t->all_are(\@many, "$ALLOW MISS", 'as many with a grant: no error');
    $cache = $t->status->{cache};
    cmp_ok $cache->{entries}, '<=', $capacity, 'no more entries than room';
    cmp_ok $cache->{entries}, '>', $capacity * 0.8, 'the room is used';
};

done_testing;

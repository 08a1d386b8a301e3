#!/usr/bin/perl

# A flood of unknown app codes: it does not push known ones out, Redis gets no
# more lookups than the limit allows, and known apps do not notice.

use Perm::Test;

my %nginx = (workers => 2, server => <<'EOT', http => <<'HTTP');
        %%DECISION%%

        app_permission required;
        location = /a { empty_gif; }
EOT
        app_permission_zone 2m;
        app_permission_cache_valid 4s denied=1h;
        app_permission_lookup_limit 200r/s burst=50;
        app_permission_redis_timeout 1s;
        app_permission_log_level info;
        error_log %%DIR%%/error.log notice;
HTTP

my $PER_SECOND = 200;
my $BURST = 50;
my $TIMEOUT = 1;          # second
my $CONNECTIONS = 300;    # more than have their turn by then

my $t = Perm::Test->new(late => 1);
my $redis = $t->redis->load;
my @known = map { "known-$_" } 1 .. 40;
$redis->allow(@known);
$t->nginx(%nginx);
ok $t->settled, 'changes are pushed';

$t->load(\@known, pass => 4)->wait;


subtest 'a flood' => sub {
    my $quiet = $t->load(\@known, rate => 200, times => 400, connections => 2)
        ->wait;
    is_deeply [keys %{$quiet->{outcome}}], ["$ALLOW HIT"], 'before it: hits';

    my $evicted = $t->status->{cache}{evicted};
    my $lost = $t->status->{redis}{errors};
    my $before = $redis->calls('hmget');
    my $begun = time;
    my $known = $t->load(\@known, rate => 200, connections => 2);
    my $seen = $t->load([map { sprintf '%x', $_ } 1 .. 25000], pass => 1,
                    rate => 1e9, connections => $CONNECTIONS)->wait(120);
    my $took = time - $begun;
    my $all = $redis->calls('hmget') - $before;
    my $held = $known->stop;

    note sprintf '%d unknown and %d known ones in %.1f s, %d lookups',
        $seen->{n}, $held->{n}, $took, $all;

    # 40 known ones are refreshed each 3 seconds or later

    my $refresh = @known * ($took / 3 + 1);
    cmp_ok $all, '<=', $PER_SECOND * $took + $BURST + 1 + $refresh,
        'Redis gets no more lookups than the limit allows';

    # fewer when the link had to begin anew, after a time-out on a busy machine

    $lost = $t->status->{redis}{errors} - $lost;
    cmp_ok $all, '>=', $PER_SECOND * ($took - 1) * ($lost ? 0.3 : 0.7),
        "... and as many, $lost commands being lost";

    is_deeply [sort keys %{$seen->{outcome}}], ["$DENY MISS", $UNKNOWN],
        'unknown ones: denied, or unavailable over the limit'
        or diag explain $seen->{outcome};
    my $busy = $t->{late}->since($begun);
    cmp_ok $seen->{worst}, '<', $TIMEOUT + 0.5 + $busy,
        "none waits longer than the time-out: $seen->{worst} s";
    cmp_ok $t->status->{redis}{limited_lookups}, '>=',
        $seen->{outcome}{$UNKNOWN} // 1, 'counted';

    # a refresh has a second, unless the machine is busy for longer

    my $hits = delete $held->{outcome}{"$ALLOW HIT"};
    my $misses = $busy > 0.9 ? delete $held->{outcome}{"$ALLOW MISS"} // 0 : 0;
    cmp_ok $hits, '>', 20 * $took, 'known ones go on: hits';
    cmp_ok $hits, '>', 10 * $misses, '... most of them';
    is_deeply $held->{outcome}, {}, '... all of them, refreshed as usual'
        or diag explain $held->{outcome};
    cmp_ok $held->{worst}, '<', 0.25 + $busy, "the slowest took $held->{worst} s";
};


# a known grant has its turn although the unknown ones have used theirs up

subtest 'known ones are asked for regardless' => sub {
    $t->config(%nginx, http => 'app_permission_cache_stale off;' .
        $nginx{http} =~ s/200r\/s burst=50/1r\/s burst=1/r);
    ok $t->reload, 'one a second';
    $t->settled;
    my @some = @known[0 .. 9];
    $t->once(\@some);

    $redis->grant('smoke', 'get_user', $_, time + 7200) for @some;
    $t->settled;
    my $seen = $t->load([map { "some-$_" } 1 .. 10], pass => 1, connections => 10)
        ->wait;
    ok $seen->{outcome}{$UNKNOWN}, 'unknown ones: over the limit'
        or diag explain $seen->{outcome};
    $t->all_are(\@some, "$ALLOW MISS", 'changed ones are asked for at once');
};


# the other kind: each one is looked up, and takes a place in the cache

subtest 'more unknown ones than room' => sub {
    $t->config(%nginx, http =>
        $nginx{http} =~ s/200r\/s burst=50/off/r);
    ok $t->reload, 'no limit';
    $t->settled;
    $t->load(\@known, pass => 4)->wait;

    my $known = $t->load(\@known, rate => 200, connections => 2);
    $t->all_are([map { "flood-$_" } 1 .. 20000], "$DENY MISS",
                '20000 unknown ones: denied', connections => 64);
    my $held = $known->stop;
    my $cache = $t->status->{cache};
    cmp_ok $cache->{capacity}, '<', 20000, 'more than there is room for';
    cmp_ok $cache->{evicted}, '>', 1000, 'made room for each other';
    is join(' ', grep { !/^\Q$ALLOW\E / } keys %{$held->{outcome}}), '',
        'known ones stay allowed';
    cmp_ok $held->{outcome}{"$ALLOW HIT"}, '>', 0.9 * $held->{n},
        '... and are hits' or diag explain $held->{outcome};
};

# more calls than the limit must not open what a down Redis would

subtest 'a flood lets nobody in' => sub {
    my @http = (http => $nginx{http} =~ s/200r\/s burst=50/200r\/s burst=5/r,
                server => $nginx{server} .
                          '        app_permission_on_error allow;');
    $t->config(%nginx, @http);
    ok $t->reload, '200 a second, on_error allow';
    $t->settled;
    $t->once(\@known);

    my $some = sub { my $n = shift; map { "$n-$_" } 1 .. 300 };
    my $seen = $t->load([$some->('up')], pass => 1, rate => 1e9,
                        connections => 300)->wait;
    my %outcome = %{$seen->{outcome}};
    ok delete $outcome{$UNKNOWN}, 'over the limit: 503';
    ok delete $outcome{"$DENY MISS"}, 'within it: denied';
    is_deeply \%outcome, {}, '... and nothing else' or diag explain \%outcome;

    $redis->stop;
    ok $t->down, 'Redis is down';
    like outcome('one'), qr/^200 allow\/unavailable/, 'on_error allow allows';
    $seen = $t->load([$some->('down')], pass => 1, rate => 1e9,
                     connections => 100)->wait;
    ok $seen->{outcome}{$UNKNOWN}, 'but not what is over the limit'
        or diag explain $seen->{outcome};
    my $stale = $t->load(\@known, pass => 1, connections => 40, rate => 1e9)
        ->wait;
    is join(' ', grep { !/^\Q$ALLOW\E / } keys %{$stale->{outcome}}), '',
        'known ones do not notice';
};


done_testing;

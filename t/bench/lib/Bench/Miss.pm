package Bench::Miss;

# Every request asks Redis: the module against the same check in Lua, with a
# pool of connections.  One worker, 64 connections, 100,000 apps at random.

use strict;
use warnings;

use Bench;
use Bench::Lua;

our ($PAIRS, $SECONDS) = (5, 3);


sub run {
    section('Every request a miss, 1 worker, 64 connections, against Lua '
            . 'with lua-resty-redis');

    my $b = Bench->new;
    my $script = "$Perm::Test::ROOT/t/bench/apps.lua";
    $b->grants(0, 100_000);

    $b->nginx(lua => 1, http => Bench::Lua::http($b)
        . 'app_permission_lookup_limit off;',
        server => Bench::Lua::server() . <<'EOT');
        location = /miss {
            app_permission required;
            app_permission_record off;
            app_permission_cache_valid 0 denied=0;
            empty_gif;
        }
EOT
    $b->wrk($_, script => $script, seconds => 1) for '/miss', '/lua_miss';

    my $before = $b->status->{cache};
    my (@ours, @lua);

    for (1 .. $PAIRS) {
        push @ours, [$b->wrk('/miss', script => $script,
                             seconds => $SECONDS)];
        push @lua, [$b->wrk('/lua_miss', script => $script,
                            seconds => $SECONDS)];
    }

    my $hits = $b->status->{cache}{hit} - $before->{hit};
    die "$hits requests were hits\n" if $hits;

    my $ratio = median(map { $ours[$_][0] / $lua[$_][0] } 0 .. $PAIRS - 1);
    my ($p99, $lua_p99) = map { median(map { $_->[1] } @$_) } \@ours, \@lua;

    row('requests/s', commas(median(map { $_->[0] } @ours)));
    row('requests/s, Lua', commas(median(map { $_->[0] } @lua)));
    row('ratio', decimals($ratio), '>= 1.5', $ratio >= 1.5);
    row('p99, ms', decimals($p99 / 1000), 'below Lua', $p99 < $lua_p99);
    row('p99, Lua, ms', decimals($lua_p99 / 1000));
}


1;

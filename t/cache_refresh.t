#!/usr/bin/perl

# Refresh ahead: the answer of a call that is in use is renewed before it
# ends, by one lookup in all workers, and nobody waits for it.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use Perm::Load;
use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $fake = $t->fake_redis(to => $redis);

$t->nginx(workers => 2, server => <<'EOT');
        add_header X-Decision
 "$app_permission_decision/$app_permission_reason $app_permission_cache" always;

        add_header X-Expires $app_permission_expires always;

        app_permission_cache_valid 1s denied=1s;
        location = /a { app_permission required; empty_gif; }
EOT

ok $t->settled, 'changes are pushed';

my $ALLOW = '200 allow/resource_grant';

sub lookups { scalar $fake->commands(qr/^HMGET .*\{smoke:\Q$_[0]\E\}/) }

sub during {
    my ($app, $seconds) = @_;

    my $load = Perm::Load->start($t, uri => '/a', apps => [$app],
                                 connections => 8, rate => 800);
    my $begun = time;
    $fake->forget;
    wait_for(sub { time - $begun > $seconds }, $seconds + 5);
    my $lookups = lookups($app);
    my $took = time - $begun;
    my $seen = $load->stop;
    note sprintf '%d requests, %d lookups in %.1f s', $seen->{n}, $lookups,
        $took;
    return ($seen, $lookups, $took);
}


subtest 'a hot key' => sub {
    $redis->grant('smoke', 'get_user', 'hot', time + 3600);
    $t->get('/a', app => 'hot');

    my ($seen, $lookups, $took) = during('hot', 4);
    is_deeply [keys %{$seen->{outcome}}], ["$ALLOW HIT"],
        'each request is a hit' or diag explain $seen->{outcome};
    cmp_ok $lookups, '<=', $took / 0.75 + 1, 'one lookup a period, not more';
    cmp_ok $lookups, '>=', int($took) - 1, '... nor less';
    cmp_ok $t->status->{cache}{refreshes}, '>=', $lookups, 'counted';
};


subtest 'nobody waits, although Redis is slow' => sub {
    $redis->grant('smoke', 'get_user', 'slow', time + 3600);
    $t->get('/a', app => 'slow');
    $fake->rules({ match => qr/^HMGET .*slow/, delay => 0.15 });

    my ($seen, $lookups, $took) = during('slow', 3);
    is_deeply [keys %{$seen->{outcome}}], ["$ALLOW HIT"],
        'each request is a hit' or diag explain $seen->{outcome};
    cmp_ok $seen->{worst}, '<', 0.14, "the slowest took $seen->{worst} s";
    cmp_ok $lookups, '<=', $took / 0.75 + 1, 'one lookup a period';
    $fake->rules;
};


subtest 'what a refresh brings' => sub {
    my $ends = int(time) + 3600;
    $redis->grant('smoke', 'get_user', 'renewed', $ends);
    $t->get('/a', app => 'renewed');

    # behind the back of tracking, so that only the refresh can see it

    my $renewed = $ends + 1000;
    $fake->rules({ match => qr/^HMGET .*renewed/, reply => "*2\r\n\$-1\r\n\$"
        . length($renewed) . "\r\n$renewed\r\n" });
    ok wait_for(sub {
        my $r = $t->get('/a', app => 'renewed');
        return $r->{headers}{'x-decision'} =~ /HIT/
            && $r->{headers}{'x-expires'} eq $renewed;
    }, 3), 'the new end counts, as a hit';

    # and when it fails, the old answer goes on while it may

    $fake->rules({ match => qr/^HMGET .*renewed/,
                   reply => "-LOADING busy\r\n" });
    my ($seen) = during('renewed', 2);
    is_deeply [grep { !/^200/ } keys %{$seen->{outcome}}], [],
        'none fails when Redis refuses the refresh';
    ok $seen->{outcome}{"$ALLOW STALE"}, '... and the answer has ended';
    $fake->rules;
    ok wait_for(sub { $t->get('/a', app => 'renewed')
        ->{headers}{'x-decision'} =~ /MISS/ }, 2), 'asked for again';
};

$t->done;

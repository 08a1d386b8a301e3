#!/usr/bin/perl

# A reload with a zone of another size, when it matters: with Redis down.  What
# is known goes on deciding, what is pending is written later, and what was
# revoked stays so.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use Perm::Load;
use Perm::Test;

my %nginx = (workers => 2, server => <<'EOT');
        add_header X-Decision
 "$app_permission_decision/$app_permission_reason $app_permission_cache" always;
        app_permission_cache_valid 1h;
        app_permission required;
        location = /a { empty_gif; }
EOT

my $ALLOW = '200 allow/resource_grant';
my $UNKNOWN = '503 fail/unavailable MISS';

sub outcome {
    my ($t, $app) = @_;
    my $r = $t->get('/a', app => $app);
    return "$r->{status} " . ($r->{headers}{'x-decision'} // '');
}


for my $state ('', ' state=%%DIR%%/state') {
    my $t = Perm::Test->new;
    my $redis = $t->redis->load;
    my $with = $state ? 'with state=' : 'without state=';

    my $zone = sub { (%nginx, http => "app_permission_flush 1h;
                      app_permission_zone $_[0]$state;") };

    # the state of a run before: it knows what is revoked now

    if ($state) {
        $redis->grant('smoke', 'get_user', 'gone', time + 3600);
        $t->nginx($zone->('4m'));
        $t->settled;
        like outcome($t, 'gone'), qr/^$ALLOW/, "$with: a run before";
        is $t->{nginx}->quit, 0, '... which quits';
    }

    $redis->grant('smoke', 'get_user', $_, time + 3600)
        for 'demo', 'gone', 'twin', 'x' x 128;
    $redis->cmd('ACL', 'SETUSER', 'default', '-zadd');
    $state ? $t->start : $t->nginx($zone->('4m'));
    ok $t->settled, "$with: ready";
    my $begun = int time;
    for ('demo', 'gone', 'twin', 'x' x 128) {
        ok wait_for(sub { outcome($t, $_) eq "$ALLOW HIT" }), "$_: known";
    }
    my $known = time;
    is outcome($t, 'nobody'), '403 deny/no_grant MISS', 'nobody: denied';
    my $received = $t->status->{invalidation}{received};
    $redis->revoke('smoke', 'get_user', 'gone');
    ok wait_for(sub { $t->status->{invalidation}{received} > $received }),
        'gone: revoked';
    $redis->stop;
    ok wait_for(sub { !$t->status->{redis}{up} }), 'Redis is down';

    ok $t->config($zone->('8m'))->reload, "$with: a bigger zone";
    like $t->log, qr/3 grants and 4 accesses moved/, '... takes over';
    is outcome($t, $_), "$ALLOW STALE", "$_: stale" for 'twin', 'x' x 128;
    unlike outcome($t, 'gone'), qr/^200/, 'gone: not allowed';
    is outcome($t, 'nobody'), $UNKNOWN, 'nobody: not known';

    ok $t->config($zone->('2m'))->reload, "$with: a smaller one";
    is outcome($t, 'twin'), "$ALLOW STALE", 'twin: stale';
    unlike outcome($t, 'gone'), qr/^200/, 'gone: not allowed';

    # with another worker number, which keeps the zone, it is the same one

    ok $t->config($zone->('2m'), workers => 1)->reload, "$with: the same size";
    is scalar($t->log_lines(qr/moved to the zone/)), 2, '... nothing moves';

    # how it was when nginx ended

    $redis->run;
    $redis->cmd('ACL', 'SETUSER', 'default', '+zadd');
    $redis->grant('smoke', 'get_user', $_, time + 3600)
        for 'demo', 'twin', 'x' x 128;
    $redis->load;
    ok $t->settled, 'Redis is back';
    is $t->{nginx}->quit, 0, "$with: quits";
    my $access = $redis->access('smoke', 'get_user', 'demo');
    ok $access && $access >= $begun && $access <= $known,
        'what was pending is written as it was' or diag $access // 'none';
    ok $redis->access('smoke', 'get_user', 'gone'),
        '... also of who was revoked later';
    $t->no_alerts;
}



# a zone that is too small for all of it says so, and keeps what it can

subtest 'more than the new one has room for' => sub {
    my @apps = map { "app-$_" } 1 .. 4000;
    my $zone = sub { (%nginx, http => "app_permission_flush 1h;
                      app_permission_redis_timeout 5s;
                      app_permission_zone $_[0];") };
    my $t = Perm::Test->new;
    my $redis = $t->redis->load;
    $redis->{client}->pipeline(map { ['HSET',
        "app_permission:grants:{smoke:$_}", 'get_user', int(time) + 3600]
    } @apps);
    $redis->cmd('ACL', 'SETUSER', 'default', '-zadd');
    $t->nginx($zone->('8m'));
    ok $t->settled, 'ready';
    my $seen = Perm::Load->start($t, uri => '/a', apps => \@apps, pass => 1,
                                 rate => 1e9)->wait;
    is $seen->{outcome}{"$ALLOW MISS"}, 4000, 'all are known';
    my $s = $t->status;
    is $s->{access}{dropped}, 0, '... and recorded';
    ok !grep({ $_->{name} =~ /cache_full|access_dropped/ } @{$s->{problems}}),
        '... in time';

    $redis->stop;
    ok wait_for(sub { !$t->status->{redis}{up} }), 'Redis is down';
    ok $t->config($zone->('1m'))->reload, 'a small zone';
    $s = $t->status;
    my ($pending, $dropped) = @{$s->{access}}{qw(pending dropped)};
    is $pending + $dropped, 4000, "$pending kept, $dropped dropped";
    cmp_ok $dropped, '>', 500, '... for want of room';
    is scalar($t->log_lines(
        qr/\[warn\].*no room for $dropped pending accesses of before/)), 1,
        'which the log says';
    ok grep({ $_->{name} eq 'cache_full' } @{$s->{problems}}),
        'the status says that grants made room';
    like join("\n", $t->log_lines(qr/moved to the zone/)),
        qr/ $s->{cache}{entries} grants and $pending accesses moved/,
        'what moved is what is there';
    is $t->{nginx}->quit, 0, 'quits';
    $t->no_alerts;
};

done_testing;

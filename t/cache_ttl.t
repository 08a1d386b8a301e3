#!/usr/bin/perl

# The time to live of a key bounds its grants: cached, stale, of the state file
# and of another zone.

use Perm::Test;

my %nginx = (workers => 2, server => <<'EOT');
        %%DECISION%%
        app_permission required;
        app_permission_expires_header on;
        app_permission_cache_valid 1h denied=1h;
        location = /a { empty_gif; }
EOT

my $GATEWAY = '200 allow/gateway_grant';
my $EXPIRED = '403 deny/resource_grant_expired';

my $t = Perm::Test->new;
my $redis = $t->redis(conf => ['enable-debug-command yes'])->load;

sub zone {
    return (%nginx, http => "app_permission_zone $_[0] state=%%DIR%%/state;");
}

sub ttl { $redis->cmd('PEXPIRE', key('grants', $_[0]), $_[1] * 1000) }

# what a call says of the end, unix seconds

sub ends { $t->get('/a', app => $_[0])->{headers}{'x-expires'} }

$t->nginx(zone('4m'));
$redis->cmd('DEBUG', 'SET-ACTIVE-EXPIRE', 0);


subtest 'cached' => sub {
    $redis->grant('smoke', undef, $_, 4102444800) for 'short', 'free';
    $redis->grant('smoke', 'get_user', 'old', int(time) - 5);
    my $sooner = int(time) + 100;
    $redis->grant('smoke', 'get_user', 'sooner', $sooner);
    my $begun = time;
    ttl(short => 3);
    ttl(old => 3);
    ttl(sooner => 1000);
    ok $t->settled, 'ready';

    is outcome('short'), "$GATEWAY MISS", 'it allows';
    is outcome('old'), "$EXPIRED MISS", 'one that ended denies';
    my $r = $t->get('/a', app => 'short');
    my $left = $r->{headers}{'x-app-permission-expires-in'};
    ok $left >= 1 && $left <= 3, "the end of the key is what is told: $left s"
        or diag explain $r->{headers};
    is ends('sooner'), $sooner, '... unless the grant ends sooner';
    is ends('free'), 4102444800, 'a key without one does not end';

    is outcome('short'), "$GATEWAY HIT", 'cached';
    wait_until($begun + 2.5);
    is outcome('short'), "$GATEWAY HIT", '... and not a second too short';
    wait_until($begun + 3.1);
    is outcome('short'), "$DENY HIT", 'ended in time, and Redis tells nobody';
    is outcome('old'), "$DENY HIT", 'one that had ended is absent, too';
};


subtest 'stale, and of the state file and another zone' => sub {
    $redis->allow('short', 'longer', 'plain');
    my $begun = time;
    ttl(short => 6);
    ttl(longer => 1000);
    ok $t->settled, 'ready';
    is outcome($_), "$ALLOW MISS", "$_: allowed" for 'short', 'longer', 'plain';
    my $end = ends('longer');

    $redis->stop;
    ok $t->down, 'Redis is down';
    ok $t->config(zone('8m'))->reload, 'a bigger zone';
    is outcome($_), "$ALLOW STALE", "$_: moved" for 'short', 'longer', 'plain';
    my $moved = ends('longer');
    cmp_ok abs($moved - $end), '<=', 2, 'the end stays';

    is $t->{nginx}->quit, 0, 'nginx quits';
    $t->start;
    is outcome($_), "$ALLOW STALE", "$_: restored"
        for 'short', 'longer', 'plain';
    $moved = ends('longer');
    cmp_ok abs($moved - $end), '<=', 2, 'the end stays';

    wait_until($begun + 5.6);
    is outcome('short'), "$ALLOW STALE", 'not ended a second too early';
    wait_until($begun + 6.1);
    is outcome('short'), "$DENY STALE", 'ended in time';
    is outcome('longer'), "$ALLOW STALE", 'another one did not';

    is $t->{nginx}->quit, 0, 'nginx quits';
    $t->start;
    is outcome('short'), $UNKNOWN, 'what has ended does not come back';
    is outcome('longer'), "$ALLOW STALE", 'another one does';
};


# a user of before, who has no right to PTTL

subtest 'no right to PTTL' => sub {
    $redis->run;
    $redis->load->allow('poor');
    ok $t->up, 'Redis is back';
    $t->mark;
    $redis->cmd('ACL', 'SETUSER', 'default', '-pttl');
    ttl(poor => 1000);
    ok $t->settled, 'the right is gone';
    becomes('poor', $ALLOW, 'grants decide as before');
    becomes("poor-$_", $DENY, "... and so do denials") for 1 .. 5;
    cmp_ok ends('poor'), '>', time + 3000, 'the end is not known';
    is scalar($t->new_lines(qr/answered PTTL with "NOPERM/)), 1, 'logged once';
};

done_testing;

#!/usr/bin/perl

# A master of the cluster is gone for good: what the others are to be told
# waits neither for it nor behind what it has to be told, which is much.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use Perm::Cluster;
use Perm::Test;

my $GONE = 3000;      # accesses that stay pending
my $SERVED = 1500;    # those of the two other masters

my %conf = (setup => '', server => <<'EOT');
        app_permission_app $http_x_app;
        app_permission_gateway smoke;
        app_permission_resource get_user;
        app_permission_cache_valid 1h;
        access_log off;
        keepalive_requests 100000;
        location = /a { app_permission required; empty_gif; }
EOT

my $key = sub { "app_permission:$_[0]:{smoke:$_[1]}" };

my $t = Perm::Test->new;
my $c = Perm::Cluster->start(dir => "$t->{dir}/c",
    conf => ['cluster-require-full-coverage no']);

my $meta = $c->owner('app_permission:meta');
my ($gone, $other) = grep { $_ != $meta } $c->masters;
my (@lost, @served, %owner);

{
    my @apps = map { "app-$_" } 1 .. 4 * ($GONE + $SERVED);
    @owner{@apps} = $c->owners(map { $key->('access', $_) } @apps);
    @lost = (grep { $owner{$_} == $gone } @apps)[0 .. $GONE - 1];
    @served = (grep { $owner{$_} != $gone } @apps)[0 .. $SERVED - 1];
}

$c->cmd('app_permission:meta', 'HSET', 'schema', '1');
$c->each(map { [$key->('grants', $_), 'HSET', 'get_user', int(time) + 3600] }
             @lost, @served);

sub conf {
    my ($flush) = @_;
    return $t->config(%conf, http => "app_permission_flush $flush;
    app_permission_redis " . $c->url . ';');
}


# one request each: how many were allowed

sub allowed {
    my $client = $t->connect or return 0;
    my $n = 0;

    for my $app (@_) {
        $client->send("GET /a HTTP/1.1\r\nHost: a\r\nX-App: $app\r\n\r\n");
        my $r = $client->response or last;
        $n++ if $r->{status} == 200;
    }
    return $n;
}


# how many of them Redis knows an access of since then

sub written {
    my ($since, @apps) = @_;
    my $n = 0;

    for my $node ($c->nodes) {
        my @at = grep { $owner{$_} == $node } @apps or next;
        $n += grep { ($_ // 0) >= $since } $node->connect->pipeline(
            map { ['ZSCORE', $key->('access', $_), 'get_user'] } @at);
    }
    return $n;
}

sub pending { $t->status->{access}{pending} }

# what is recorded from now on has a second of its own

sub new_second {
    my $since = int(time) + 1;
    sleep $since - time + 0.01;
    return $since;
}


conf('1s')->start;
ok wait_for(sub { $t->status->{invalidation}{active} }), 'ready';
ok wait_for(sub { allowed(@lost, @served) == @lost + @served }),
    'all are known';
ok wait_for(sub { pending() == 0 }), 'and written';

$gone->stop;
ok wait_for(sub { $t->log_lines(qr/Connection refused/) }), 'a master is gone';

new_second();
is allowed(@lost), @lost, 'what it knew is still allowed';

subtest 'many wait for it' => sub {
    my @few = ((grep { $owner{$_} == $meta } @served)[0, 1],
               (grep { $owner{$_} == $other } @served)[0, 1]);

    for my $round (1, 2) {
        my $since = new_second();
        is allowed(@few), @few, "round $round: a few for the others";
        ok wait_for(sub { written($since, @few) == @few }, 2.5),
            'are written within the interval and a second'
            or diag written($since, @few) . ' of ' . @few;
    }
    ok wait_for(sub { pending() == @lost }), 'all others still wait';
};

subtest 'nginx quits' => sub {
    ok conf('1h')->reload, 'accesses wait for long';
    ok wait_for(sub { pending() == @lost }), 'those of before are written';
    sleep 1;

    my $since = new_second();
    is allowed(@served), @served, 'many for the others';
    is pending(), @lost + @served, 'which wait, too';
    is $t->{nginx}->quit, 0, 'quits';
    is written($since, @served), @served, 'they are written';
};

subtest 'nginx quits, and another master hangs' => sub {
    conf('1h')->start;
    ok wait_for(sub { $t->status->{redis}{up} }), 'started again';
    ok wait_for(sub { allowed(@served) == @served }), 'all are known';
    sleep 1;

    my @at = grep { $owner{$_} == $meta } @served;
    my $since = new_second();
    is allowed(@served), @served, 'many for both';
    is pending(), @served, 'which wait';

    $other->pause;
    my $begin = time;
    is $t->{nginx}->quit, 0, 'quits';
    note sprintf 'in %.2f s', time - $begin;
    $other->resume;
    is written($since, @at), @at, 'those of the one that answers are written';
};

$t->done;

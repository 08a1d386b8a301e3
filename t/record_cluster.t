#!/usr/bin/perl

# A master of the cluster is gone for good: what the others are to be told
# waits neither for it nor behind what it has to be told, which is much.

use Perm::Cluster;
use Perm::Test;

my $GONE = 3000;      # accesses that stay pending
my $SERVED = 1500;    # those of the two other masters

my %conf = (server => <<'EOT');
        app_permission_cache_valid 1h;
        access_log off;
        keepalive_requests 100000;
        location = /a { app_permission required; empty_gif; }
EOT

my $t = Perm::Test->new;
my $c = Perm::Cluster->start(dir => "$t->{dir}/c",
    conf => ['cluster-require-full-coverage no']);

my $meta = $c->owner('app_permission:meta');
my ($gone, $other) = grep { $_ != $meta } $c->masters;
my (@lost, @served, %owner);

{
    my @apps = map { "app-$_" } 1 .. 4 * ($GONE + $SERVED);
    @owner{@apps} = $c->owners(map { key('access', $_) } @apps);
    @lost = (grep { $owner{$_} == $gone } @apps)[0 .. $GONE - 1];
    @served = (grep { $owner{$_} != $gone } @apps)[0 .. $SERVED - 1];
}

$c->load->allow(@lost, @served);

sub apply {
    my ($flush) = @_;
    return $t->apply(%conf, redis => $c->url,
                     http => "app_permission_flush $flush;");
}


# one request each: how many were allowed

sub allowed {
    my $client = $t->connect or return 0;
    my $n = 0;

    for my $app (@_) {
        my $r = ask($app, undef, $client)->response or last;
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
        $n += grep { $_ >= $since } values %{$node->accesses(@at)};
    }
    return $n;
}

sub pending { $t->status->{access}{pending} }

# what is recorded from now on has a second of its own

sub new_second {
    my $since = int(time) + 1;
    wait_until($since + 0.01);
    return $since;
}


subtest 'a master is gone' => sub {
    apply('1s');
    ok $t->up, 'ready';
    ok wait_for(sub { allowed(@lost, @served) == @lost + @served }),
        'all are known';
    ok $t->flushed, 'and written';

    $gone->stop;
    ok $t->wait_log(qr/Connection refused/), 'gone';
    new_second();
    is allowed(@lost), @lost, 'what it knew is still allowed';
};

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
    ok apply('1h'), 'accesses wait for long';
    ok wait_for(sub { pending() == @lost }), 'those of before are written';
    wait_until(time + 1);    # a flush that is under way

    my $since = new_second();
    is allowed(@served), @served, 'many for the others';
    is pending(), @lost + @served, 'which wait, too';
    is $t->{nginx}->quit, 0, 'quits';
    is written($since, @served), @served, 'they are written';
};

subtest 'nginx quits, and another master hangs' => sub {
    apply('1h');
    ok wait_for(sub { $t->status->{redis}{up} }), 'started again';
    ok wait_for(sub { allowed(@served) == @served }), 'all are known';
    wait_until(time + 1);    # a flush that is under way

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

done_testing;

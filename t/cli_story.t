#!/usr/bin/perl

# Half a year and more of an app's life, with a moved clock: grant, use, renew,
# use late, stop using, be told at 15, 7, 3, 1 and 0 days, lapse, be denied, be
# granted anew.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $clock = $t->fake_redis(to => $redis);

my $DAY = 86400;
my $START = 1800000000;

# the command line on that day: it goes by Redis's time

sub on {
    my ($day, @args) = @_;
    $clock->time($START + $day * $DAY);
    return $t->cli(@args, { redis => $clock->url });
}

my @call = ('--gateway', 'smoke', '--resource', 'get_user', '--app', 'demo');

# what the gateway records when it lets a call through

sub use_it {
    my ($day) = @_;
    my ($status) = on($day, 'check', @call);
    $redis->used('smoke', 'get_user', 'demo', int($START + $day * $DAY))
        if $status == 0;
    return $status == 0;
}

sub ends {
    my $v = $redis->value('smoke', 'get_user', 'demo');
    return (json($v)->{expires} - $START) / $DAY;
}

sub told {
    my ($day) = @_;
    my ($status, $out) = on($day, 'expiring', '--notify', 'cat');
    return join ' ', map { my $o = $_;
        map { "$o->{app}:$_->{resource}:$_->{days_left}" } @{$o->{grants}}
    } json_lines($out);
}


subtest 'granted, used, renewed' => sub {
    on(0, 'init');
    on(0, 'grant', @call, '--type', 'apply');
    is ends(), 180, 'granted for half a year';
    ok use_it(100), 'used on day 100';
    on(101, 'renew');
    is ends(), 280, 'renewed to half a year after that';
};


subtest 'renewed late' => sub {
    ok use_it(279.9), 'used on the last day';
    is told(279.95), '', 'nobody is told: renewal will save it';
    is +(on(285, 'check', @call))[0], 1, 'no renewal ran: it ended';
    on(290, 'renew');
    is ends(), 459.9, 'a late run still honours that access';
    ok use_it(291), 'and the app is in again';
    on(291, 'renew');
    is ends(), 471, 'renewed';
};


subtest 'it stops using the API; a daily job runs' => sub {
    my %told;
    for my $day (440 .. 473) {
        on($day, 'renew');
        my $text = told($day + 0.01);
        $told{471 - $day} = $text if $text ne '';
    }
    is_deeply [sort { $a <=> $b } keys %told], [1, 2, 4, 8, 16],
        'told on five days and no other';
    is $told{16}, 'demo:get_user:15', '15 days before';
    is $told{1}, 'demo:get_user:0', 'and on the last';
    is ends(), 471, 'unused it is not renewed';

    my ($denied, $out) = on(471, '--json', 'check', @call);
    is $denied, 1, 'it lapsed';
    is json($out)->{reason}, 'resource_grant_expired', 'denied';
    ok !use_it(472), 'a denied call is no use';
};


subtest 'used after the end, by something else' => sub {
    $redis->used('smoke', 'get_user', 'demo', $START + 475 * $DAY);
    on(476, 'renew');
    is ends(), 471, 'which renews nothing';
};


subtest 'granted anew' => sub {
    on(480, 'grant', @call);
    is ends(), 660, 'granted';
    ok use_it(481), 'used';
    on(481, 'renew');
    is ends(), 661, 'and so on';
};


subtest 'purged a year after its end' => sub {
    on(1100, 'purge');
    is $redis->cmd('EXISTS', key($_, 'demo')), 0, "no $_"
        for 'grants', 'access';
};

done_testing;

#!/usr/bin/perl

# Half a year and more of an app's life, with a moved clock: grant, use, renew,
# use late, stop using, be told at 15, 7, 3, 1 and 0 days, lapse, be denied, be
# granted anew.

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use Perm::Test;
use Perm::Util qw(build_dir);

my ($faketime) = grep { -x } map { "$_/faketime" } split /:/, $ENV{PATH};
plan skip_all => 'no faketime' unless $faketime;
plan skip_all => 'faketime does not go with sanitizers'
    if `ldd @{[build_dir()]}/app-permission` =~ /lib[a-z]+san/;

my $t = Perm::Test->new;
my $redis = $t->redis;
my $json = JSON::PP->new;

my $DAY = 86400;
my $START = 1800000000;

# the command line as it is on that day

sub on {
    my ($day, @args) = @_;
    my $time = POSIX::strftime('@%Y-%m-%d %H:%M:%S',
        localtime($START + $day * $DAY)) =~ s/^@//r;
    my $dir = $t->dir;

    my $pid = fork // die;
    if (!$pid) {
        open STDOUT, '>', "$dir/out";
        open STDERR, '>', "$dir/err";
        $ENV{APP_PERMISSION_REDIS} = $redis->url;
        exec $faketime, '-f', $time, build_dir() . '/app-permission', @args
            or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return ($? >> 8, slurp("$dir/out"), slurp("$dir/err"));
}

# what the gateway records when it lets a call through

sub use_it {
    my ($day) = @_;
    my ($status) = on($day, 'check', @_[1 .. $#_]);
    $redis->cmd('ZADD', 'app_permission:access:{smoke:demo}', 'GT',
        int($START + $day * $DAY), 'get_user') if $status == 0;
    return $status == 0;
}

my @call = ('--gateway', 'smoke', '--resource', 'get_user', '--app', 'demo');

sub ends {
    my $v = $redis->cmd('HGET', 'app_permission:grants:{smoke:demo}', 'get_user');
    return ($json->decode($v)->{expires} - $START) / $DAY;
}

sub told {
    my ($day) = @_;
    my ($status, $out) = on($day, 'expiring');
    return join ' ', map { my $o = $json->decode($_);
        map { "$o->{app}:$_->{resource}:$_->{days_left}" } @{$o->{grants}} }
        split /\n/, $out;
}

on(0, 'grant', @call, '--type', 'apply');
is ends(), 180, 'granted for half a year';

ok use_it(100, @call), 'used on day 100';
on(101, 'renew');
is ends(), 280, 'renewed to half a year after that';

ok use_it(279.9, @call), 'used on the last day';
is told(279.95), '', 'nobody is told: renewal will save it';
my ($status) = on(285, 'check', @call);
is $status, 1, 'no renewal ran: it ended';
on(290, 'renew');
is ends(), 459.9, 'a late run still honours that access';
ok use_it(291, @call), 'and the app is in again';
on(291, 'renew');
is ends(), 471, 'renewed';

# it stops using the API; a daily job runs

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
is $json->decode($out)->{reason}, 'resource_grant_expired', 'denied';
ok !use_it(472, @call), 'a denied call is no use';

# what is recorded after the end by something else is no reason either

$redis->cmd('ZADD', 'app_permission:access:{smoke:demo}', $START + 475 * $DAY,
    'get_user');
on(476, 'renew');
is ends(), 471, 'an access after the end renews nothing';

on(480, 'grant', @call);
is ends(), 660, 'granted anew';
ok use_it(481, @call), 'used';
on(481, 'renew');
is ends(), 661, 'and so on';

on(1100, 'purge');
is $redis->cmd('EXISTS', 'app_permission:grants:{smoke:demo}'), 0,
    'purged a year after its end';
is $redis->cmd('EXISTS', 'app_permission:access:{smoke:demo}'), 0,
    'with its accesses';

$redis->stop;
done_testing;

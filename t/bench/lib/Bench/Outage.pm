package Bench::Outage;

# Redis hangs, stops, and comes back, under a steady load on known apps.  An
# answer is valid for 4 seconds instead of 60, so that every app needs a refresh
# again and again while Redis is away, and a quarter of them when it goes.

use strict;
use warnings;

use List::Util qw(sum);
use Time::HiRes qw(sleep time);

use Bench;

our ($RATE, $APPS) = (5000, 1000);
our ($ROUNDS, $QUIET, $AWAY, $AFTER) = (5, 6, 5, 3);    # seconds


sub run {
    section('Redis away, 2 workers, ' . commas($RATE)
            . ' requests/s on ' . commas($APPS) . " known apps; medians of "
            . "$ROUNDS rounds");

    my $b = Bench->new(redis => ['save 3600 1']);
    $b->grants(0, $APPS);

    for my $how (qw(SIGSTOP shutdown)) {
        report($how, map { round($b, $how) } 1 .. $ROUNDS);
    }
}


sub report {
    my ($how, @rounds) = @_;

    my $all = sub { my ($key) = @_; map { $_->{$key} } @rounds };
    my $ms = sub { decimals(median($all->(@_)) / 1000) };

    row("$how: p99 before, in the median second, ms", $ms->('quiet'));
    row("$how: p99 before, in the worst second, ms", $ms->('quiet_worst'));
    for (['first', 'in the first second'], ['usual', 'in the median second'],
         ['worst', 'in the worst second'])
    {
        my ($key, $when) = @$_;
        my $ratio = median(map { $_->{$key} / $_->{quiet} } @rounds);
        row("$how: p99 $when, ms", $ms->($key));
        row('  ratio to the median second before', decimals($ratio), '<= 2',
            $ratio <= 2);
    }
    row("$how: slowest request of all rounds, ms",
        decimals(quantile(1, $all->('max')) / 1000));
    for (['away', 'while Redis was away'], ['back', 'when it was back']) {
        my ($key, $when) = @$_;
        my $failed = sum($all->("failed_$key"));
        row("$how: failed $when", $failed, '0', $failed == 0);
    }
    row("$how: p99 in the worst second after that, ms", $ms->('after'));
    row("$how: lookups/s when it was back, peak",
        commas(quantile(1, $all->('peak'))));
}


sub round {
    my ($b, $how) = @_;
    my $redis = $b->redis;

    $b->nginx(workers => 2,
              http => 'app_permission_cache_valid 4s denied=4s;');
    $b->fill(0, $APPS);

    my $load = $b->load_begin(to => $APPS, rate => $RATE, seconds => 3600,
                              connections => 64);
    sleep 1 + $QUIET;
    my $away = position($load);

    if ($how eq 'SIGSTOP') { $redis->pause }
    else { $redis->stop }
    sleep $AWAY;

    my $back = position($load);
    if ($how eq 'SIGSTOP') { $redis->resume }
    else { $redis->run }

    my $peak = recovery($b, $AFTER);
    my @seconds = @{$load->stop->{each}};

    # the second in which it happened may have been almost over: with the next
    # one it is the first of the outage

    my @quiet = @seconds[1 .. $away - 1];
    my @gone = @seconds[$away .. $back - 1];
    my @after = @seconds[$back .. $#seconds];

    return {
        quiet => median(map { $_->{p99} } @quiet),
        quiet_worst => quantile(1, map { $_->{p99} } @quiet),
        usual => median(map { $_->{p99} } @gone),
        first => quantile(1, map { $_->{p99} } @gone[0, 1]),
        worst => quantile(1, map { $_->{p99} } @gone),
        after => quantile(1, map { $_->{p99} } @after),
        max => quantile(1, map { $_->{max} } @gone),
        failed_away => sum(map { $_->{failed} } @gone),
        failed_back => sum(map { $_->{failed} } @after),
        peak => $peak,
    };
}


# how many seconds the load has reported

sub position {
    my ($load) = @_;
    return scalar(() = slurp($load->{out}) =~ /\n/g);
}


# lookups in the busiest 100 ms, as a rate

sub recovery {
    my ($b, $seconds) = @_;
    my $end = time + $seconds;
    my ($peak, $at) = (0, time);
    my $calls = $b->calls('hmget');

    while (time < $end) {
        sleep 0.1;
        my ($now, $count) = (time, $b->calls('hmget'));
        my $rate = ($count - $calls) / ($now - $at);
        $peak = $rate if $rate > $peak;
        ($at, $calls) = ($now, $count);
    }
    return $peak;
}


1;

package Bench::Outage;

# Redis hangs, stops, and comes back, under a steady load on known apps.  An
# answer is valid for 4 seconds here instead of 60, so that every app needs a
# refresh again and again while Redis is away.

use strict;
use warnings;

use Time::HiRes qw(sleep time);

use Bench;

our ($RATE, $APPS, $QUIET, $AWAY, $AFTER) = (5000, 1000, 8, 6, 5);


sub run {
    section('Redis away, 2 workers, ' . commas($RATE)
            . ' requests/s on ' . commas($APPS) . ' known apps');

    my $b = Bench->new(redis => ['save 3600 1']);
    $b->grants(0, $APPS);

    for my $how (qw(SIGSTOP shutdown)) {
        $b->nginx(workers => 2,
                  http => 'app_permission_cache_valid 4s denied=4s;');
        $b->fill(0, $APPS);
        outage($b, $how);
    }
}


sub outage {
    my ($b, $how) = @_;
    my $redis = $b->redis;

    my $load = $b->load_begin(to => $APPS, rate => $RATE, seconds => 3600);
    sleep 1;

    sleep $QUIET;
    my $away = position($load);

    if ($how eq 'SIGSTOP') { $redis->pause }
    else { $redis->cmd('SAVE'); $redis->stop }
    sleep $AWAY;

    my $back = position($load);
    if ($how eq 'SIGSTOP') { $redis->resume }
    else { $redis->run }

    my $peak = recovery($b, $AFTER);
    my $r = $load->stop;
    my @seconds = @{$r->{each}};

    # the second in which it happened is the first one of the outage

    my @quiet = @seconds[1 .. $away - 1];
    my @gone = @seconds[$away .. $back - 1];
    my @after = @seconds[$back .. $#seconds];

    my $p99 = quantile(0.5, map { $_->{p99} } @quiet);
    my $first = $gone[0]{p99};
    my $worst = quantile(1, map { $_->{p99} } @gone);

    row("$how: p99 before, ms", decimals($p99 / 1000));
    row("$how: p99 in the first second, ms", decimals($first / 1000),
        '<= 2 x', $first <= 2 * $p99);
    row("$how: p99 in the worst second, ms", decimals($worst / 1000),
        '<= 2 x', $worst <= 2 * $p99);
    row("$how: slowest request, ms",
        decimals(quantile(1, map { $_->{max} } @gone) / 1000));
    row("$how: failed while Redis was away", failed(@gone), '0',
        failed(@gone) == 0);
    row("$how: failed when it was back", failed(@after), '0',
        failed(@after) == 0);
    row("$how: p99 in the worst second after that, ms",
        decimals(quantile(1, map { $_->{p99} } @after) / 1000));
    row("$how: lookups/s when it was back, peak", commas($peak));
}


sub failed {
    my $n = 0;
    $n += $_->{failed} for @_;
    return $n;
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

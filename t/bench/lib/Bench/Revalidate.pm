package Bench::Revalidate;

# Redis restarts with its data: how long until all cached grants were looked up
# again, and what calls of known apps notice of it.  And hits while another
# application empties its database of the same server all the time.

use strict;
use warnings;

use Time::HiRes qw(sleep time);

use Bench;

our $ENTRIES = $ENV{BENCH_ENTRIES} // 1_000_000;
our ($RATE, $KNOWN, $ROUNDS, $QUIET) = (2000, 1000, 3, 8);    # seconds
our ($FLUSHES, $SECONDS) = (50, 10);                          # a second


sub run {
    section('Redis restarts, ' . commas($ENTRIES) . ' cached grants, 2 workers, '
            . commas($RATE) . ' requests/s beside');

    my $b = Bench->new;
    $b->grants(0, $ENTRIES);
    $b->nginx(workers => 2, zone => '400m', http => <<'EOT');
    app_permission_lookup_limit off;
    app_permission_cache_valid 1h;
EOT
    my $r = $b->fill(0, $ENTRIES);
    die "$r->{failed} requests failed\n" if $r->{failed};
    $b->redis->cmd('SAVE');

    my (@took, @ratio);
    for (1 .. $ROUNDS) {
        my ($took, $quiet, $during) = round($b);
        push @took, $took;
        push @ratio, $during / $quiet;
        row('p99, quiet, ms', decimals($quiet / 1000));
        row('p99, meanwhile, ms', decimals($during / 1000));
        row('all looked up again after, s', decimals($took, 1));
    }
    row('the slowest, s', decimals(quantile(1, @took), 1), '<= 60',
        quantile(1, @took) <= 60);
    row('ratio of the p99s, median', decimals(median(@ratio)), '<= 1.5',
        median(@ratio) <= 1.5);

    flushes($b);
    die "nginx did not quit\n" unless defined $b->quit;
}


# seconds, and the median p99 of a second before and meanwhile

sub round {
    my ($b) = @_;
    my @load = (to => $KNOWN, rate => $RATE);

    $b->load(@load, seconds => 1);
    my $quiet = $b->load(@load, seconds => $QUIET);

    $b->redis->stop;
    $b->redis->run;
    wait_for(sub { $b->status->{invalidation}{active} }, 30)
        or die "tracking does not become active\n";

    # each lookup has one PTTL, which nothing else sends

    my $start = time;
    my $load = $b->load_begin(@load, seconds => 3600);
    wait_for(sub { sleep 0.05; $b->calls('pttl') >= 0.99 * $ENTRIES }, 600)
        or die "not all were looked up again\n";
    my $took = time - $start;
    sleep 3 if $took < 3;    # the load prints whole seconds

    return ($took, map { median(map { $_->{p99} } @{$_->{each}}) }
                   $quiet, $load->stop);
}


sub flushes {
    my ($b) = @_;

    my $before = $b->status->{cache};
    my $load = $b->load_begin(to => $KNOWN, rate => $RATE, seconds => 3600);

    $b->redis->cmd('SELECT', 1);
    for (1 .. $FLUSHES * $SECONDS) {
        $b->redis->cmd('SET', 'k', 1);
        $b->redis->cmd('FLUSHDB');
        sleep 1 / $FLUSHES;
    }
    $b->redis->cmd('SELECT', 0);
    $load->stop;

    my $after = $b->status->{cache};
    my ($hit, $miss) = map { $after->{$_} - $before->{$_} } qw(hit miss);
    my $share = 100 * $hit / ($hit + $miss);
    row("hits at $FLUSHES FLUSHDB/s of another database, %",
        decimals($share, 1), '>= 98', $share >= 98);
}


1;

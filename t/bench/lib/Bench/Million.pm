package Bench::Million;

# A million entries: what a hit costs then, and how long a million accesses
# take to Redis, with requests beside.

use strict;
use warnings;

use Time::HiRes qw(sleep time);

use Bench;
use Bench::Cost;

our ($ENTRIES, $RATE, $KNOWN, $QUIET) = (1_000_000, 2000, 1000, 8);
our $ZONE = '512m';


sub run {
    section(commas($ENTRIES) . " entries in a zone of $ZONE, 2 workers");

    my $b = Bench->new;
    my $state = "state=$b->{dir}/state";
    $b->grants(0, $ENTRIES);

    # Redis takes no accesses until it is allowed to

    $b->redis->cmd('ACL', 'SETUSER', 'default', '-zadd');
    $b->{nginx}->allow(qr/./);
    $b->nginx(workers => 2, zone => "$ZONE $state", http => <<'EOT');
    app_permission_lookup_limit off;
    app_permission_flush 1s;
EOT
    my $r = $b->fill(0, $ENTRIES);
    die "$r->{failed} requests failed\n" if $r->{failed};
    my $status = $b->status;
    row('requests/s while it was filled', commas($r->{rate}));
    row('entries', commas($status->{cache}{entries}));
    row('evicted', $status->{cache}{evicted}, '0',
        $status->{cache}{evicted} == 0);
    row('accesses pending', commas($status->{access}{pending}));
    row('a status request, ms', decimals(status_time($b)));

    flush($b);

    die "nginx did not quit\n" unless defined $b->quit;
    hits($b, $state);
}


sub status_time {
    my ($b) = @_;

    return median(map {
        my $start = time;
        $b->status;
        1000 * (time - $start);
    } 1 .. 7);
}


sub flush {
    my ($b) = @_;
    my @load = (to => $KNOWN, rate => $RATE);

    $b->load(@load, seconds => 1);
    my $quiet = $b->load(@load, seconds => $QUIET);
    my $before = $b->redis->cmd('DBSIZE');
    my $load = $b->load_begin(@load, seconds => 3600);

    # every access makes a key

    my $start = time;
    $b->redis->cmd('ACL', 'SETUSER', 'default', '+zadd');
    my $all = wait_for(sub {
        sleep 0.05;
        return $b->redis->cmd('DBSIZE') >= $before + $ENTRIES;
    }, 100);
    my $seconds = time - $start;
    my $during = $load->stop;

    row('flush of all, s', $all ? decimals($seconds, 1) : 'unfinished');
    row('  accesses/s', commas($ENTRIES / $seconds));

    my ($p99, $flush) = map {
        median(map { $_->{p99} } @{$_->{each}})
    } $quiet, $during;
    row('p99 of requests, quiet, ms', decimals($p99 / 1000));
    row('p99 of requests, meanwhile, ms', decimals($flush / 1000));
    row('  ratio', decimals($flush / $p99));
    row('failed meanwhile', $during->{failed}, '0', $during->{failed} == 0);
}


# Hits on 1,000 apps, spread over the table, in both.  Without stale answers, for
# whose sake nginx asks for all grants anew after its start, which takes minutes.

sub hits {
    my ($b, $state) = @_;

    my ($many, $calls) = hit($b, $ENTRIES, "$ZONE $state");
    unlink glob "$b->{dir}/state*";
    my ($few, $before) = hit($b, 1000, '4m');
    my $ratio = $many / $few;

    row('a hit, 1,000 entries, instructions', commas($few));
    row('a hit, ' . commas($ENTRIES) . ' entries, instructions',
        commas($many));
    row('  difference', sprintf('%+.1f %%', 100 * ($ratio - 1)),
        'within 5 %', abs($ratio - 1) <= 0.05);
    row('  calls of malloc and free more or less',
        decimals(abs($calls - $before)), '0.00', abs($calls - $before) < 0.005);
}


# what it adds to an unprotected location: instructions, calls of malloc

sub hit {
    my ($b, $entries, $zone) = @_;
    my $step = $entries / 1000;
    my @apps = map { $Bench::APP =~ s/%/sprintf '%08d', $_ * $step/er }
        0 .. 999;

    my @cost = map {
        $b->config(zone => $zone, main => "master_process off;\ndaemon off;\n",
                   http => 'app_permission_flush 1h; '
                           . 'app_permission_cache_stale off;',
                   server => Bench::Cost::location($_));

        [Bench::Cost::per_request($b, apps => \@apps, entries => $entries,
                                  wait => $entries > 1000 ? 12 : 4)];
    } 'app_permission required;', '';

    return map { $cost[0][$_] - $cost[1][$_] } 0, 1;
}


1;

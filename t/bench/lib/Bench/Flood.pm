package Bench::Flood;

# A million app codes that nobody knows.  Against the quiet case, and against
# the same flood on a location that refuses without a check: what that does to
# the known apps is the machine's share, which two CPUs for load, nginx and
# Redis together leave little of.

use strict;
use warnings;

use Bench;

our ($FLOOD, $FLOOD_RATE, $KNOWN, $RATE) = (1_000_000, 20_000, 1000, 2000);


sub run {
    section('A flood of ' . commas($FLOOD) . ' unknown app codes at '
            . commas($FLOOD_RATE) . '/s, 2 workers, known apps at '
            . commas($RATE) . '/s');

    my $b = Bench->new;
    $b->grants(0, $KNOWN);
    $b->nginx(workers => 2, server => $Bench::PROTECTED . <<'EOT');
        location = /refused {
            app_permission required;
            app_permission_app "";
            empty_gif;
        }
EOT
    $b->fill(0, $KNOWN);

    my $quiet = known($b, 8);
    my $control = known($b, 8, flood($b, '/refused', $FLOOD_RATE * 8));

    my $before = $b->status->{cache};
    my $calls = $b->calls('hmget');
    my $start = Time::HiRes::time();
    my $flood = flood($b, '/protected', $FLOOD);
    my $during = known($b, $FLOOD / $FLOOD_RATE, $flood);
    my $seconds = Time::HiRes::time() - $start;
    my $lookups = ($b->calls('hmget') - $calls) / $seconds;

    # known ones that were evicted would be misses now

    my $cache = $b->status->{cache};
    my $r = $b->fill(0, $KNOWN);
    my $misses = $b->status->{cache}{miss} - $cache->{miss};
    my $ratio = $during->{p99} / $quiet->{p99};

    row('known apps, p99, quiet, ms', decimals($quiet->{p99} / 1000));
    row('known apps, p99, flood without lookups, ms',
        decimals($control->{p99} / 1000));
    row('known apps, p99, flood, ms', decimals($during->{p99} / 1000));
    row('ratio to quiet', decimals($ratio), '<= 1.2', $ratio <= 1.2);
    row('ratio to a flood without lookups',
        decimals($during->{p99} / $control->{p99}));
    row('known apps, failed', $during->{failed}, '0', $during->{failed} == 0);
    row('known apps that have to be looked up again', $misses, '0',
        $misses == 0);
    row('lookups/s, limit 10,000 and its burst', commas($lookups),
        '<= 10,000', $lookups <= 10_000 + 10_000 / $seconds);
    my $statuses = $during->{flood}{statuses};
    row('flood, answered 403 / 503', join ' / ',
        map { commas($statuses->{$_} // 0) } 403, 503);
}


sub flood {
    my ($b, $uri, $count) = @_;
    return $b->load_begin(uri => $uri, app => 'flood%', shuffle => 0,
        from => 0, to => $FLOOD, count => $count, rate => $FLOOD_RATE,
        connections => 512, status => 403);
}


sub known {
    my ($b, $seconds, $flood) = @_;

    my $r = $b->load(to => $KNOWN, rate => $RATE, seconds => $seconds);
    $r->{flood} = $flood->end if $flood;
    return $r;
}


1;

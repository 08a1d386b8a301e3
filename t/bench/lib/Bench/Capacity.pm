package Bench::Capacity;

# How many answers a zone holds before the first has to make room.

use strict;
use warnings;

use Bench;

our ($FIRST, $STEP, $LAST) = (100_000, 5_000, 200_000);


sub run {
    section('Entries in a zone of 32m, names of 12, 24 and 16 bytes');

    my $b = Bench->new;
    $b->grants(0, $LAST);
    $b->nginx(zone => '32m', http => 'app_permission_lookup_limit off;');

    my ($entries, $capacity) = (0, 0);

    for (my $n = 0; $n < $LAST; ) {
        my $to = $n ? $n + $STEP : $FIRST;
        my $r = $b->fill($n, $to);
        die "$r->{failed} requests failed\n" if $r->{failed};
        $n = $to;

        my $cache = $b->status->{cache};
        $capacity = $cache->{capacity};
        last if $cache->{evicted};
        $entries = $cache->{entries};
    }

    row('entries before the first was evicted', commas($entries),
        '>= 100,000', $entries >= 100_000);
    row('slots', commas($capacity));
}


1;

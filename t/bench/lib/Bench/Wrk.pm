package Bench::Wrk;

# Requests a second on a hit, against a location without the check.

use strict;
use warnings;

use Bench;

our ($PAIRS, $SECONDS) = (21, 1);


sub run {
    section('wrk on a hit against the unprotected location, 1 worker, '
            . '64 connections');

    my $b = Bench->new;
    $b->grants(0, 2);
    $b->nginx;
    $b->wrk($_, seconds => 1) for '/protected', '/unprotected';

    # each pair the other way round than the one before

    my %rates;
    for my $i (1 .. $PAIRS) {
        my @order = ('/protected', '/unprotected');
        @order = reverse @order if $i % 2;
        push @{$rates{$_}}, ($b->wrk($_, seconds => $SECONDS))[0] for @order;
    }

    my ($ours, $bare) = @rates{'/protected', '/unprotected'};
    my $ratio = median(map { $ours->[$_] / $bare->[$_] } 0 .. $PAIRS - 1);

    row('requests/s, unprotected', commas(median(@$bare)));
    row('requests/s, a hit', commas(median(@$ours)));
    row('ratio, median of ' . $PAIRS . ' pairs', decimals($ratio, 3),
        '> 0.97', $ratio > 0.97);
}


1;

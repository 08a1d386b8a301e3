#!/usr/bin/perl

# t/allocation.t with each allocation, its parts at once.

use Perm::Test;
use Perm::Util qw(reap spawn);

my $t = Perm::Test->new;
my %part;

$ENV{ALLOCATION_STEP} = 1;

for my $part (qw(commands gateway reloads)) {
    $ENV{ALLOCATION_PART} = $part;
    $part{$part} = spawn($t->dir . "/$part", $^X, '-It/lib',
                         "$Perm::Test::ROOT/t/allocation.t");
}

for my $part (sort keys %part) {
    is reap($part{$part}, 1200), 0, $part;
    diag slurp($t->dir . "/$part") =~ s/^ *(?:ok\b|\d\.\.).*\n//gmr;
}

done_testing;

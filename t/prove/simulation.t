#!/usr/bin/perl

# Histories of t/sim, a million steps each.  SEED=n runs that one alone.

use Perm::Simulation;
use Perm::Test;

simulate(steps => 1_000_000, seeds => [ $ENV{SEED} || 1 .. 200 ]);

done_testing;

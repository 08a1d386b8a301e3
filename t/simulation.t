#!/usr/bin/perl

# Workers, network and Redis simulated in one process: t/sim, seeds and steps
# of which a short run has few.  t/prove/simulation.t has many.

use Perm::Simulation;
use Perm::Test;

simulate(steps => 500_000, seeds => [ 1 .. 4, 45 ]);

done_testing;

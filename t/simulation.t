#!/usr/bin/perl

# Workers, network and Redis simulated in one process: t/sim, seeds and steps
# of which a short run has few.  t/prove/simulation.t has many.

use Perm::Simulation;
use Perm::Test;

# Seeds that found a fault, or find it when it is put back: 7 and 210, changes
# read late in an emptied table; 9 and 639, a tracked connection that Redis has
# lost; 44, an access hidden by one on its way; 45, a time to live; 105, answers
# of a former master.

simulate(steps => 500_000, seeds => [ 1 .. 4, 7, 9, 44, 45, 105, 210, 639 ]);

done_testing;

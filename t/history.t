#!/usr/bin/perl

# A short history with faults of the link to Redis and of workers.  The long
# ones, with all kinds of servers, are t/prove/histories.t.

use Perm::Test;
use Perm::History;

Perm::History->run(seed => $ENV{SEED} || 3, seconds => 7, kind => 'proxy')
    ->asserts;

done_testing;

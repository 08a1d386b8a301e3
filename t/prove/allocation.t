#!/usr/bin/perl

# t/allocation.t with each allocation.

use Perm::Test;

$ENV{ALLOCATION_STEP} = 1;
exec $^X, '-It/lib', "$Perm::Test::ROOT/t/allocation.t";

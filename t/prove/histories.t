#!/usr/bin/perl

# Histories with faults: grants come and go while apps call, and links, servers
# and workers break.  See Perm::History.
#
#   SEED=n                  the first seed; else one by the clock, which a
#                           failure names
#   HISTORY_SECONDS=60      of each history
#   HISTORY_KINDS="proxy"   of single, proxy, clock, sentinel, cluster
#   HISTORY_ONLY="hang cut" these faults alone

use Perm::Test;
use Perm::History;

my $seed = $ENV{SEED} || time % 1_000_000;
my $seconds = $ENV{HISTORY_SECONDS} // 90;
my @kinds = split ' ', $ENV{HISTORY_KINDS}
    // 'single proxy clock sentinel cluster';

diag sprintf 'SEED=%d', $seed;

for my $kind (@kinds) {
    my $clock = $kind eq 'clock';

    subtest "$kind, seed $seed" => sub {
        if ($clock && !glob '/usr/lib/*/faketime/libfaketime.so.1') {
            plan skip_all => 'no libfaketime' if $ENV{PROVE_MAY_SKIP};
            die "no libfaketime: t/tools/install-deps prove;"
                . " or PROVE_MAY_SKIP=1\n";
        }

        Perm::History->run(seed => int $seed, seconds => $seconds,
            kind => $clock ? 'single' : $kind, clock => $clock,
            $ENV{HISTORY_ONLY} ? (only => [split ' ', $ENV{HISTORY_ONLY}])
                               : ())->asserts;
    };
}

done_testing;

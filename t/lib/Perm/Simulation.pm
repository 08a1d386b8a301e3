package Perm::Simulation;

# The simulation of t/sim:
#
#   simulate(steps => 500_000, seeds => [ 1, 2 ])
#       builds it, and runs a subtest for each seed

use strict;
use warnings;

use Perm::Test ();
use Perm::Util qw(build_dir compile);
use Test::More;

use Exporter qw(import);

our @EXPORT = qw(simulate);


sub simulate {
    my (%args) = @_;

    chdir $Perm::Test::ROOT or die;

    my $build = build_dir();
    my $errors = compile('sim', 'sim/sim');
    is $?, 0, 'compiles' or return diag $errors;

    local $ENV{STEPS} = $args{steps};

    for my $seed (@{ $args{seeds} }) {
        local $ENV{SEED} = $seed;

        my $output = `$build/sim/sim 2>&1`;
        my $status = $?;

        like $output, qr/^ok - seed $seed:/m, "SEED=$seed" or diag $output;
        is $status, 0, 'and ends well';
        note $output;
    }
}

1;

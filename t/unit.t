#!/usr/bin/perl

# The C tests in t/unit, each a program of its own that speaks TAP: how they
# are built is in t/unit/Makefile.  Without nginx's source there are none of
# its objects to link, and every test fails.

use Perm::Test;
use Perm::Util qw(build_dir compile);

chdir $Perm::Test::ROOT or die;

my $dir = build_dir() . '/unit';

for my $file (sort glob 't/unit/*.c') {
    my ($name) = $file =~ m{([^/]+)\.c$};

    subtest $name => sub {
        my $errors = compile('unit', "unit/$name");
        is $?, 0, 'compiles' or return diag $errors;

        my $output = `$dir/$name 2>&1`;
        my ($status, $passed) = ($?, 0);

        for (split /\n/, $output) {
            $passed++ if /^ok\b/;
            fail $_ if /^not ok\b/;
        }
        cmp_ok $passed, '>', 0, "$passed checks passed";
        is $status, 0, 'ends with status 0' or diag $output;
    };
}

done_testing;

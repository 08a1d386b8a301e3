#!/usr/bin/perl

# The inputs in t/fuzz/corpus, each given to its fuzzer under AddressSanitizer
# and UBSan.  "make fuzz" looks for new ones.

use Perm::Test;
use Perm::Util qw(build_dir compile);

chdir $Perm::Test::ROOT or die;

my $dir = build_dir() . '/unit';

for my $file (sort glob 't/fuzz/*.c') {
    my ($name) = $file =~ m{([^/]+)\.c$};
    next if $name eq 'replay';

    subtest $name => sub {
        my $errors = compile('fuzz', "unit/fuzz/$name");
        is $?, 0, 'compiles' or return diag $errors;

        my @inputs = glob "t/fuzz/corpus/$name/*";
        cmp_ok scalar @inputs, '>', 0, scalar(@inputs) . ' inputs';

        my $output = `$dir/fuzz/$name t/fuzz/corpus/$name/* 2>&1`;
        is $?, 0, 'what has to hold does' or diag $output;

        my $given = () = $output =~ m{^t/fuzz/corpus/}gm;
        is $given, scalar @inputs, 'with each of them';
    };
}

done_testing;

#!/usr/bin/perl

# The C tests in t/unit, each a program of its own that speaks TAP.  They are
# compiled with src/core, and with what a line "sources: src/x/y.c ..." in
# their first comment names, under AddressSanitizer and UBSan.

use strict;
use warnings;

use Test::More;

use Perm::Test;
use Perm::Util qw(build_dir);

my $dir = build_dir() . '/unit';
mkdir $dir;

my $cc = $ENV{CC} || 'cc';
my $tree = build_dir() . '/nginx';
no warnings 'qw';
my @flags = qw(-std=gnu99 -D_GNU_SOURCE -g -O1 -Wall -Wextra -Werror
               -Wno-unused-parameter -fsanitize=address,undefined
               -fno-sanitize-recover=undefined -fno-omit-frame-pointer
               -Isrc -It/unit);
my @nginx = map { "-I$tree/$_" } qw(src/core src/event src/event/modules
    src/os/unix objs src/http src/http/modules);

chdir $Perm::Test::ROOT or die;

for my $file (sort glob 't/unit/*.c') {
    my ($name) = $file =~ m{([^/]+)\.c$};
    my $text = slurp($file);

    my %seen;
    my @sources = grep { !$seen{$_}++ } glob('src/core/*.c'),
        map { split ' ' } $text =~ m{^[ */]*sources:(.*?)(?:\*/)?$}mg;

    subtest $name => sub {
        my $errors = `$cc @flags @nginx -o $dir/$name $file @sources \\
            -l:libhiredis.a -lcjson -lm 2>&1`;
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

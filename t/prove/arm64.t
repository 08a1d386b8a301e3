#!/usr/bin/perl

# The C tests of t/unit built for arm64, and run by qemu.  It shows that the
# code is portable; qemu on x86 has x86's order of memory, for arm64's there is
# t/memory_model.t.  nginx's configuration is this machine's: both are LP64.
#
#   PROVE_MAY_SKIP=1  skips it where something is not here; else it fails

use Perm::Test;
use Perm::Util qw(build_dir nginx_source);

use Config;

chdir $Perm::Test::ROOT or die;

my $build = build_dir();
my $dir = "$build/arm64";
my $root = "$dir/root";
my $triplet = 'aarch64-linux-gnu';
my $lib = "$root/usr/lib/$triplet";

sub lacks {
    my ($what) = @_;
    plan skip_all => $what if $ENV{PROVE_MAY_SKIP};
    die "$what; or PROVE_MAY_SKIP=1\n";
}

for my $program ("$triplet-gcc", 'qemu-aarch64-static') {
    lacks("no $program here: t/tools/install-deps prove")
        if !grep { -x "$_/$program" } split /:/, $ENV{PATH};
}
lacks('nginx is not configured for 64 bits here') if $Config{ptrsize} != 8;

mkdir $dir;
my $missing = `t/tools/arm64-root $root 2>&1`;
lacks("no packages of arm64, which apt-get downloads: $missing") if $?;

my $source = nginx_source();

-e "$dir/nginx" or symlink '../nginx', "$dir/nginx" or die;

my $gcc = "$triplet-gcc -isystem $root/usr/include"
          . " -isystem $root/usr/include/$triplet -L$lib";

my $same = `$gcc -shared -fPIC -Wall -Wextra -Werror -o $dir/open.so \\
            t/prove/arm64.c 2>&1`;
is $?, 0, 'open() compiles' or BAIL_OUT($same);

my @names = map { m{([^/]+)\.c$} } sort glob 't/unit/*.c';
my $errors = `make -s -k -j2 -f t/unit/Makefile BUILD=$dir SOURCE=$source \\
              SANITIZE= CC="$gcc" @{[map { "$dir/unit/$_" } @names]} 2>&1`;
is $?, 0, 'all compile' or diag $errors;

my $qemu = "qemu-aarch64-static -L /usr/$triplet -E LD_LIBRARY_PATH=$lib"
           . " -E LD_PRELOAD=$dir/open.so";

for my $name (@names) {
    subtest $name => sub {
        my $output = `$qemu $dir/unit/$name 2>&1`;
        is $?, 0, 'ends with status 0' or diag $output;
        my $passed = () = $output =~ /^ok\b/mg;
        cmp_ok $passed, '>', 0, "$passed checks passed";
        unlike $output, qr/^not ok/m, 'and none failed';
    };
}

done_testing;

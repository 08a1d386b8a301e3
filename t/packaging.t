#!/usr/bin/perl

# The recipes for other systems name this version, and files that are there.

use Perm::Test;

my ($version) = slurp("$Perm::Test::ROOT/src/core/version.h")
    =~ /PERM_VERSION\s+"(.*?)"/;
my $dir = "$Perm::Test::ROOT/src/packaging";

subtest 'one version' => sub {
    my %at = (
        'rpm/nginx-mod-app-permission.spec' => qr/^Version:\s*(\S+)/m,
        'alpine/APKBUILD' => qr/^pkgver=(\S+)/m,
        'pkg-oss/Makefile.module-app-permission' =>
            qr/^MODULE_VERSION_app_permission=\s*(\S+)/m,
    );
    for my $file (sort keys %at) {
        my ($is) = slurp("$dir/$file") =~ $at{$file};
        is $is, $version, $file;
    }
    my ($is) = slurp("$dir/../debian/changelog") =~ /^\S+ \((.*)-\d+\)/;
    is $is, $version, "Debian's changelog";
};

subtest 'the shell of the Alpine recipe' => sub {
    is system('sh', '-n', "$dir/alpine/APKBUILD"), 0, 'is read';
};

done_testing;

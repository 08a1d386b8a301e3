#!/usr/bin/perl

# What "make install" puts where, "make uninstall" takes away, how it was
# built, and that "make dist" gives the same bytes each time.

use Perm::Test;
use Perm::Util qw(build_dir);

chdir $Perm::Test::ROOT or die;
delete $ENV{MAKEFLAGS};

my $t = Perm::Test->new;
my $root = "$t->{dir}/root";
my $build = build_dir();

sub make { my $said = `make -s DEPS= BUILD=$build @_ 2>&1`; is $?, 0, "make @_" or diag $said; $said }

sub files { return join ' ', sort map { s/^\Q$root\E//r } split /\n/, `find $root -type f` }


subtest 'install, and uninstall' => sub {
    make("install DESTDIR=$root PREFIX=/usr MODULES=/usr/lib/nginx/modules");

    my $files = files();
    like $files, qr{(?:^| )\Q$_\E(?: |$)}, $_ for qw(
        /usr/bin/app-permission
        /usr/lib/nginx/modules/ngx_http_app_permission_module.so
        /usr/lib/systemd/system/app-permission-renewal.service
        /usr/lib/systemd/system/app-permission-renewal.timer
        /usr/share/app-permission/mail/app-permission-mail
        /usr/share/app-permission/mail/en/ending.txt
        /usr/share/bash-completion/completions/app-permission
        /usr/share/man/man1/app-permission.1);

    my $unit = slurp("$root/usr/lib/systemd/system/app-permission-renewal.service");
    unlike $unit =~ s/^#.*//mgr, qr{/usr/local}, 'the unit names the prefix';
    unlike $unit, qr/^ExecStart=.*--password-file/m,
        'APP_PERMISSION_PASSWORD_FILE of its environment file counts';
    unlike $unit =~ s/^#.*//mgr, qr/%d/, 'which systemd before 251 leaves as it is';
    like `$root/usr/bin/app-permission --version`, qr/\d+\.\d+/, 'it runs';

    make("uninstall DESTDIR=$root PREFIX=/usr MODULES=/usr/lib/nginx/modules");
    is files(), '', 'nothing is left';
};


subtest 'hardened, as Debian builds everything else' => sub {
    for my $file ('app-permission', 'ngx_http_app_permission_module.so') {
        my $elf = `readelf -W -d -l --dyn-syms $build/$file`;
        like $elf, qr/GNU_RELRO/, "$file: RELRO";
        like $elf, qr/BIND_NOW|FLAGS_1.*NOW/, '... full: BIND_NOW';
        like $elf, qr/__stack_chk_fail/, '... stack protector';
        like $elf, qr/__\w+_chk\b(?<!stack_chk)/, '... fortified';
    }
};


subtest 'CFLAGS and LDFLAGS add to what is there' => sub {
    my $said = make('-n -B cli CFLAGS=-DOURS LDFLAGS=-Wl,-O1');
    like $said, qr/-fstack-protector-strong.* -DOURS .*sorted\.c/, 'compiler';
    like $said, qr/-z,now -Wl,-O1 -o \S+app-permission/, 'linker';
};


subtest 'the tarball' => sub {
    plan skip_all => 'no repository' unless -e '.git';
    my @sums;
    for my $n (1, 2) {
        make("dist BUILD=$t->{dir}/dist$n");
        my ($file) = glob "$t->{dir}/dist$n/app-permission-*.tar.gz";
        push @sums, (split ' ', `sha256sum $file`)[0];
    }
    is $sums[0], $sums[1], 'the same bytes';
    my ($version) = slurp('src/core/version.h') =~ /PERM_VERSION\s+"(.*?)"/;
    like `tar -tzf $t->{dir}/dist1/app-permission-$version.tar.gz`,
        qr{^app-permission-\Q$version\E/Makefile$}m, 'the version in its names';
};

done_testing;

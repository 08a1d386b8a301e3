#!/usr/bin/perl

# t/tools/layers refuses each break of a rule: on a small tree of two floors,
# with one thing wrong in it.

use File::Path qw(make_path);

use Perm::Test;
use Perm::Util qw(temp_dir);

my $temp = File::Temp->newdir('layers-XXXXXX', DIR => temp_dir());
my $cc = $ENV{CC} || 'cc';
my $trees = 0;
my $name = "int perm_name_valid(int n);\n";
my $cache = "int perm_cache_find(int n);\n";

sub function {
    my ($head, @body) = @_;
    return join "\n", 'int', $head, '{', (map { "    $_" } @body), "}\n";
}

# the sources of the tree; what uses another file includes its header

my %tree = (
    'core/name.h' => $name,
    'core/name.c' => qq(#include "core/name.h"\n\n)
        . function('perm_name_valid(int n)', 'return n;'),
    'shm/cache.h' => $cache,
    'shm/cache.c' => qq(#include "shm/cache.h"\n#include "core/name.h"\n\n)
        . function('perm_cache_find(int n)', 'return perm_name_valid(n);'),
    'cli/main.c' => function('main(void)', 'return 0;'),
);

# what the tool says of the tree with these changes, and its exit status

sub layers {
    my (%changed) = @_;
    my %file = (%tree, %changed);
    my $dir = "$temp/" . ++$trees;

    for my $file (sort keys %file) {
        make_path("$dir/src/" . $file =~ s{/[^/]*$}{}r);
        spew("$dir/src/$file", $file{$file});
    }
    for my $file (grep { /\.c$/ } sort keys %file) {
        my @programs = $file =~ /^cli/ ? 'obj' : 'nginx/objs/addon';
        push @programs, 'obj' if $file =~ /^core/;
        for (map { "$dir/build/$_/" . $file =~ s/c$/o/r } @programs) {
            make_path(s{/[^/]*$}{}r);
            system($cc, '-I', "$dir/src", '-c', '-o', $_, "$dir/src/$file") == 0
                or die "$file does not compile\n";
        }
    }
    my $said = `cd $dir && BUILD=build $Perm::Test::ROOT/t/tools/layers`;
    return ($said, $? >> 8);
}

sub refused {
    my ($what, $pattern, %changed) = @_;
    subtest $what => sub {
        my ($said, $status) = layers(%changed);
        is $status, 1, 'refused';
        like $said, $pattern, '... and says where';
        is scalar(split /\n/, $said), 1, '... and nothing else' or diag $said;
    };
}


subtest 'a tree as it should be' => sub {
    my ($said, $status) = layers();
    is $status, 0, 'taken';
    is $said, '', '... without a word';
};

# "shm" as it is without "core"

my %alone = ('shm/cache.c' => qq(#include "shm/cache.h"\n\n)
    . function('perm_cache_find(int n)', 'return n;'));

refused('an upward include',
    qr{^src/core/name\.c:2: "shm/cache\.h": core must not use shm$},
    'core/name.c' => qq(#include "core/name.h"\n#include "shm/cache.h"\n\n)
        . function('perm_name_valid(int n)', 'return n;'), %alone);

refused('an upward call without an include',
    qr{^src/core/name\.c: perm_cache_find\(\): core must not use shm$},
    'core/name.c' => qq(#include "core/name.h"\n$cache\n)
        . function('perm_name_valid(int n)', 'return perm_cache_find(n);'),
    %alone);

refused('a circle of includes',
    qr{^circle of includes: shm/cache -> shm/zone -> shm/cache$},
    'shm/cache.h' => qq(#ifndef C\n#define C\n#include "shm/zone.h"\n)
        . "$cache#endif\n",
    'shm/zone.h'  => qq(#ifndef Z\n#define Z\n#include "shm/cache.h"\n)
        . "#endif\n");

refused('a circle of calls',
    qr{^circle of calls: shm/cache -> shm/zone -> shm/cache$},
    'shm/zone.h'  => "int perm_zone_size(int n);\n",
    'shm/zone.c'  => qq(#include "shm/zone.h"\n$cache\n)
        . function('perm_zone_size(int n)', 'return perm_cache_find(n);'),
    'shm/cache.c' => qq(#include "shm/cache.h"\n#include "shm/zone.h"\n\n)
        . function('perm_cache_find(int n)', 'return perm_zone_size(n);'));

refused('a function with the name of another file',
    qr{^src/shm/cache\.c: perm_zone_size\(\) has not the name of its file$},
    'shm/cache.h' => $cache . "int perm_zone_size(int n);\n",
    'shm/cache.c' => $tree{'shm/cache.c'} . "\n\n"
        . function('perm_zone_size(int n)', 'return n;'));

refused('a function that another header declares',
    qr{cache\.c: perm_cache_size\(\) is not declared in src/shm/cache\.h$},
    'shm/zone.h'  => "int perm_cache_size(int n);\n",
    'shm/cache.c' => $tree{'shm/cache.c'} . "\n\n"
        . function('perm_cache_size(int n)', 'return n;'));

refused('a file of more than 700 lines', qr{^src/core/name\.h: 701 lines$},
    'core/name.h' => $name . "\n" x 700);

refused('a function of more than 80 lines',
    qr{^src/core/name\.c:5: a function of 81 lines$},
    'core/name.c' => qq(#include "core/name.h"\n\n)
        . function('perm_name_valid(int n)', ('n++;') x 78, 'return n;'));

refused('nginx in a floor below it', qr{core knows nothing of nginx$},
    'core/name.h' => "#if 0\n#include <ngx_core.h>\n#endif\n$name");

refused('HTTP in a floor below it', qr{shm knows nothing of HTTP$},
    'shm/cache.h' => "#if 0\n#include <ngx_http.h>\n#endif\n$cache");

refused('a file of no floor', qr{^src/attic/old\.h: no floor "attic"$},
    'attic/old.h' => "int perm_old;\n");

refused('a line of more than 80 columns', qr{^src/core/name\.h:2: over 80},
    'core/name.h' => $name . '/* ' . 'x' x 75 . " */\n");

done_testing;

#!/usr/bin/perl

# A million decisions of src/core against the rules in Perm::Oracle; renewals
# and notices as well.  core.c has the C side.

use Perm::Oracle qw(decide renew notice read_grant);
use Perm::Random;
use Perm::Test;
use Perm::Util qw(build_dir temp_dir);

use File::Temp ();

my $seed = seed();
my $DECISIONS = $ENV{ORACLE_DECISIONS} // 1_000_000;
my $BATCH = 50_000;
my $NOW = 1_800_000_000;
my $DAY = 86400;

my $dir = File::Temp->newdir('app-permission-XXXXXX', DIR => temp_dir());
my $program = build_dir() . '/prove-core';
chdir $Perm::Test::ROOT or die;

my @cc = (split(' ', $ENV{CC} // 'cc'), qw(-std=gnu99 -D_GNU_SOURCE -g -O1
    -Wall -Wextra -Werror -fsanitize=address -fsanitize=undefined
    -fno-sanitize-recover=undefined -Isrc -o), $program, 't/prove/core.c',
    glob('src/core/*.c'), qw(-lcjson -lm));
system(@cc) == 0 or BAIL_OUT('core.c does not compile');


sub escaped {
    my ($text) = @_;
    return '\\-' if !defined $text;
    $text =~ s/([\\\t\n\0])/{ "\\" => '\\\\', "\t" => '\\t', "\n" => '\\n',
                              "\0" => '\\0' }->{$1}/ge;
    return $text;
}

# what the C side says to those lines, a line each

sub core_says {
    my ($lines) = @_;
    spew("$dir/in", join '', map { "$_\n" } @$lines);
    my $out = `$program < $dir/in`;
    die "core.c ended with status $?\n" if $?;
    return split /\n/, $out, -1;
}

# compares the answers, and shows the first that differ

sub same {
    my ($name, $lines, $expected) = @_;
    my @is = core_says($lines);
    my @bad = grep { $is[$_] ne $expected->[$_] } 0 .. $#$lines;
    diag substr($lines->[$_], 0, 400) . "\n  is       $is[$_]\n"
        . "  expected $expected->[$_]" for splice @bad, 0, 3;
    return scalar @bad;
}

# absent, or a value: its text for the C side, and the grant that Perl reads

sub a_pool {
    my ($n) = @_;
    return ((map { { text => '\\-' } } 1 .. $n / 4), map {
        my $value = a_value($NOW);
        { value => $value, text => escaped($value),
          grant => read_grant($value) };
    } 1 .. $n);
}

sub a_moment {
    my $end = (any(@_) || {})->{expires};
    return $NOW if !defined $end || rand > 0.7;
    return int($end) + any(-1, 0, 1);
}


subtest 'decisions' => sub {
    my (%seen, $bad, $done);

    while (($done // 0) < $DECISIONS) {
        my (@lines, @expected);
        my @pool = a_pool(2000);

        for (1 .. $BATCH) {
            my ($gateway, $resource) = (any(@pool), any(@pool));
            my %q = (
                policy => any(('required') x 30, qw(open off maybe Off), ''),
                gateway => a_name(64, @GATEWAYS),
                resource => a_name(256, @RESOURCES),
                app => a_name(128, @APPS),
                of_gateway => ,
                of_resource => $resource->{grant},
                left => rand > 0.9 ? any(-2, 0, 1, 999, 1000, 1001, 9e9) : undef,
                now => a_moment($gateway->{grant}, $resource->{grant}),
            );
            my ($outcome, $reason, $expires) = $q{policy} eq 'off'
                ? ('', '') : decide(%q);
            push @lines, join "\t", 'd', $q{policy}, map({ escaped($_) }
                @q{qw(gateway resource app)}), $gateway->{text},
                $resource->{text}, $q{left} // '\\-', $q{now};
            push @expected, join "\t", $outcome, $reason, $expires // '-';
            $seen{$reason}++;
        }
        $bad += same('decisions', \@lines, \@expected);
        $done += @lines;
        last if $bad;
    }
    is $bad, 0, "$done decisions, as the rules have them";
    cmp_ok scalar keys %seen, '==', 10, 'of all kinds: '
        . join ', ', map { "$_ $seen{$_}" } sort keys %seen;
};

done_testing;

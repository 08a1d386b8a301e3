#!/usr/bin/perl

# A million decisions of src/core against the rules in Perm::Oracle; renewals
# and notices as well.  core.c has the C side.

use Perm::CJson qw(read_json);
use Perm::Oracle qw(decide renew notice told read_grant read_request read_body);
use Perm::Random;
use Perm::Test;
use Perm::Util qw(build_dir temp_dir);

use File::Temp ();
use List::Util qw(max);

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
    my ($lines, $expected, $plain) = @_;
    my @is = core_says($lines);
    @is = map { $plain->($_) } @is if $plain;
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
                of_gateway => $gateway->{grant},
                of_resource => $resource->{grant},
                impossible => rand > 0.95 ? any('allow', 'deny') : undef,
                left => rand > 0.9 ? any(-2, 0, 1, 999, 1000, 1001, 9e9) : undef,
                now => a_moment($gateway->{grant}, $resource->{grant}),
            );
            my ($outcome, $reason, $expires) = $q{policy} eq 'off'
                ? ('', '') : decide(%q);
            push @lines, join "\t", 'd', $q{policy}, map({ escaped($_) }
                @q{qw(gateway resource app)}), $gateway->{text},
                $resource->{text}, $q{left} // '\\-', $q{now},
                $q{impossible} // '\\-';
            push @expected, join "\t", $outcome, $reason, $expires // '-';
            $seen{$reason}++;
        }
        $bad += same(\@lines, \@expected);
        $done += @lines;
        last if $bad;
    }
    is $bad, 0, "$done decisions, as the rules have them";
    cmp_ok scalar keys %seen, '==', 11, 'of all kinds: '
        . join ', ', map { "$_ $seen{$_}" } sort keys %seen;
};


# a moment near those that matter for a grant

sub an_access {
    my ($grant) = @_;
    return undef if rand > 0.85;
    my $from = any($NOW, map { $_ // $NOW } @{$grant // {}}{qw(expires granted)});
    return max(0, int($from) + any(-1, 0, 1, -40 * $DAY, any(-$DAY, 1000)));
}

# Pairs of a line and the answer to it, in batches.  plain: what of an answer is
# compared.

sub batches {
    my ($n, $pair, $plain) = @_;
    my ($bad, $done) = (0, 0);

    while (!$bad && $done < $n) {
        my @pool = a_pool(2000);
        my @pairs = map { [$pair->(\@pool)] } 1 .. $BATCH / 5;
        $bad += same([map { $_->[0] } @pairs], [map { $_->[1] } @pairs], $plain);
        $done += @pairs;
    }
    is $bad, 0, "$done, as the rules have them";
}

my $JSON = JSON::PP->new->canonical->allow_nonref->max_depth(1000);

# text of a JSON value as the C side writes it -> the same for equal values

sub canonical {
    my ($line) = @_;
    return $line =~ s/(\{.*\})/$JSON->encode(scalar((read_json(
        $1 =~ s{\\([\\tn0])}{{ t => "\t", n => "\n", 0 => "\0" }->{$1} || "\\"}gre
        ))[0]))/re;
}


subtest 'renewals' => sub {
    my $term;
    batches($DECISIONS / 10, sub {
        my $of = any(@{$_[0]});
        my $grant = $of->{grant};
        my $last = an_access($grant);
        $term = any(1, 30 * $DAY, 180 * $DAY, defined $last && $grant
                    ? max(1, $grant->{expires} - $last + any(-1, 0, 1)) : ());
        my $new = renew($of->{value}, $last, $NOW, $term);
        my $end = $new ? $new->{expires} : $grant ? $grant->{expires} : '';
        return (join("\t", 'r', $of->{text}, $last // '\\-', $NOW, $term),
            join "\t", $new ? 'renewed' : 'kept', $end,
                $new ? $JSON->encode($new) : '');
    }, sub { canonical($_[0] =~ s/^(?!renewed)\w+/kept/r) });
};


subtest 'notices' => sub {
    batches($DECISIONS / 10, sub {
        my $of = any(@{$_[0]});
        my $grant = $of->{grant};
        my $last = an_access($grant);
        my @days = any([0, 1, 3, 7, 15], [30], [400, 0, 7], [5, 3]);
        my $now = $grant && rand > 0.3 ? max(0, $grant->{expires} - any(-1, 0, 1,
            any(@{$days[0]}, 2) * $DAY + any(-1, 0, 1))) : $NOW;
        my $end = any($grant ? $grant->{expires} : 0, 7);
        my $kept = any(undef, undef, 'x', "$end:", "$end:-1", "$end:x",
                       map { "$end:$_" } 0, 1, 3, 7, 15, 30, 400);
        my $n = notice($of->{value}, $last, $now, 180 * $DAY, @{$days[0]});
        $n = undef if defined $n && told($kept, $grant->{expires}, $n);
        return (join("\t", 'n', $of->{text}, $last // '\\-', $now, 180 * $DAY,
            escaped($kept), join ',', @{$days[0]}), $n // '-');
    });
};


subtest 'requests' => sub {
    batches($DECISIONS / 20, sub {
        my $value = any('{"status":' . any('"pending"', '"approved"',
            '"rejected"', '"new"', 'null', '["pending"]', '""') . join('', map {
                any('', ",\"$_\":" . any(0, 7, 36500, 36501, 1.5, -1, '1e9', '"7"',
                    'null', $NOW, 253402300799, 253402300800)) }
            qw(days at handled_at)) . any('', '', ',"status":"pending"',
                ',"status":"rejected","days":1', ',"status\u0000x":"pending"',
                ",\x02\"x\":\"\n\xff\"", ',"x":NaN', ',"x":{"status":1,"status":2}')
            . any('', '', '}', '}', '}', "}\0", '}}')
            , 'null', '', '{}', '[]', a_value($NOW));
        my $r = read_request($value);
        return ('q' . "\t" . escaped($value), join "\t", $r
            ? @$r{qw(status days at handled_at)} : 'unreadable');
    }, sub { $_[0] =~ s/^unreadable.*/unreadable/r });
};


subtest 'applications' => sub {
    my @names = ('r', 'a/b', '-', 'a b', '', 'x' x 256, 'x' x 257, "r\0");
    batches($DECISIONS / 20, sub {
        my $text = '{' . join(',', map { any(@$_) }
            ['"resources":[' . join(',', map { any(map({ $JSON->encode($_) }
                @names[0, 1, 5, rand @names]), any(7, '"r"', 'null')) }
                1 .. any(0, 1, 2, 3)) . ']', '"whole_gateway":'
                . any('true', 'true', 'false', 1), '"resources":"r"'],
            ['"days":' . any(0, 1, 180, 36500, 36501, 1.5, -1, '1e2', '"1"'),
             '"x":{}', '"x":{"days":1,"days":2}', '"d\u0061ys":3',
             '"days\u0000x":3'],
            ['"reason":' . any('"why"', '""', '"\u00e9"', '"a\u0000"', 7,
             'null'), '"y":[]'], map({ ["\"$_\":" . any(1, '[]')] }
                any('z', 'z', 'z', 'y', 'd\u0061ys', qw(days reason resources whole_gateway))))
            . any('}', '}', '}', ']}', '', '}x', '}' . any("\0", "\n"));
        my ($error, $body) = read_body($text);
        return ('b' . "\t" . escaped($text), $error ? 'refused' : join "\t",
            $body->{days}, $body->{reason} =~ s/\xc3\xa9/\\\\u00e9/r
                =~ s/\0/\\\\u0000/r,
            grep { $_ ne '-' } @{$body->{resources}});
    }, sub { $_[0] =~ s/^refused.*/refused/r });
};

done_testing;

package Perm::Random;

# Random input for the tests against Perm::Oracle.  SEED repeats a run, and is
# said where a long run begins and where a test fails.
#
#   my $seed = seed();            # begins the sequence
#   any(@list)                    # one of them
#   an_end($now)                  # an expiry, odd ones as well, as JSON text
#   a_value($now)                 # the value of a grant, as in Redis
#   @GATEWAYS @RESOURCES @APPS    # valid names
#   a_name($max, @valid)          # mostly a valid one

use strict;
use warnings;

use Exporter qw(import);
use Test::More ();

our @EXPORT = qw(seed any an_end a_value a_name @GATEWAYS @RESOURCES @APPS);

our @GATEWAYS = qw(smoke a/b ~x G.1 +);
our @RESOURCES = ('get_user', 'a/b', '~', 'R-1', '--', 'x' x 256);
our @APPS = ((map { "app$_" } 1 .. 300), 'a' x 128, '@', '-');

my $DAY = 86400;
my $PERMANENT = 4102444800;
my $say;


sub seed {
    my $given = $ENV{SEED} // '';
    my $seed = $given ne '' ? $given : int rand 1_000_000_000;
    srand $seed;

    $say = "$0: SEED=$seed repeats this";
    Test::More::diag($say) if $0 =~ m{\bprove/} || $given ne '';
    return $seed;
}

END {
    Test::More::diag($say)
        if defined $say && ($? || !Test::More->builder->is_passing);
}


sub any { $_[rand @_] }


sub an_end {
    my ($now) = @_;
    return any(0, 1, $now - 1000, $now - 100 * $DAY, $now + 1000,
        $now + 1000.5, $now, $now + 1, $now + 3 + int(rand 28),
        $now + int(rand 400 * $DAY),
        $now + 100 * $DAY, $now + int(rand(40) * $DAY), $PERMANENT - 1,
        $PERMANENT, $PERMANENT + 1, 253402300799, 253402300800, '-0',
        ($now + 1000) * 1000, -1, -0.5, '1e3', '1.8E9', '9e99', '1e999',
        '1E+9', '0.25', '1800000000.000', sprintf('%.0e', $now + 9e8),
        any('253402300798.5', '253402300799.5', '-1e-300', '-1e999',
            $PERMANENT - 0.5, $now + 0.5, $now - 0.5));
}


sub a_value {
    my ($now) = @_;

    my $end = an_end($now);
    my $odd = any(qw(null true "soon" [] {}), "\"$end\"", '');

    # what readers of JSON differ on: cJSON takes some of it

    my $other = any(0, $PERMANENT, $now + 1000);
    my $differs = any(
        map({ ",\"n\":$_" } qw(NaN -Infinity 0x1F 01 1. -.5 - 1e +1 .5)),
        map({ ",\"s\":\"$_\"" } "a\nb\x01", "\xff\xc3", 'a\u0000b', 'a\uzzzzb',
            '\u12', '\ud800', '\udc00x', '\q', 'a\\\\', '\"{[:,]}'),
        map({ ",\"$_\":$other" } 'expires', '\u0065xpires', 'expires\u0000x',
            "expires\n"),
        ",\x1f\"s\"\x01:\x02 1", ',"renew":true,"renew":false',
        ",\"granted\":0,\"granted\":$now", ',"type":"a\u0000b"', ',', ',"n":',
        ',"n":{"expires":1,"expires":2}', ',n:1');
    my $more = join '', map { any(@$_) }
        ['', '', ',"type":"apply"', ',"type":7', ',"type":null', ',"type":""',
         ',"type":"\\ud83d\\ude00"'],
        ['', '', map { ",\"granted\":$_" } 0, $now - 50 * $DAY, $now - 5, $now,
         $now + 5, 'null', '"x"', -3, $now - 9.5, 253402300800, '1e999'],
        ['', '', ',"renew":false', ',"renew":true', ',"renew":0',
         ',"renew":null', ',"renew":"false"', ',"Renew":false'],
        ['', '', ',"by":"me"', ',"x":{"a":[1,2,{"expires":null}]}',
         ',"n":12345678901234567890', ',"t":"\\u00e9\\n\\t\\\\"',
         ",\"u\":\"\xc3\xa9\"", ',"deep":' . '[' x 90 . ']' x 90],
        ['', '', '', $differs];

    return any(
        $end, "0$end", "$end.", "\x1f$end",
        map({ $_, $_ } "{\"expires\":$end$more}"),
        "{\"expires\":$end$more}", " {\t\"expires\" :\n$end$more } ",
        '{"by":"you","expires":' . $end . $more . '}',
        "{\"expires\":$odd,\"expires\":$end$more}",
        "{\"\\u0065xpires\\u0000\":$end,\"expires\":$other$more}",
        "{\"expires\":$odd$more}", $odd, '{"type":"apply"}', '{', 'x',
        "{\"expires\":$end}x", "{\"expires\":$end", "[$end]", "$end $end",
        "{\"Expires\":$end}", "{\"expires\":$end}\0", "\0$end", '{"":1}',
        rand > 0.1 ? $end : "{\"expires\":$end,\"pad\":\""
            . 'x' x any(100, 65500 - length $end, 65536, 70000) . '"}');
}


sub a_name {
    my ($max, @valid) = @_;
    return any((@valid) x 4) if rand > 0.15;
    return any('', 'a b', 'x' x $max, 'x' x ($max + 1), '-', "caf\xe9", 'a,b',
        'a{b}', "a\nb", "a\0", 'a"b', 'a:b', '*', '.', '0');
}

1;

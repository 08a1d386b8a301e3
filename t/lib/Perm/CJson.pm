package Perm::CJson;

# Reads JSON as cJSON 1.7.15 does, which the contract names: it takes more than
# JSON has, of several members with one name the first, and a string up to its
# NUL.  Around it, what src/core/json.c refuses: a NUL byte, a byte order mark
# and a comma at the end.
#
#   my ($value) = read_json($text);       # () when it cannot be read
#   my ($value, $names) = read_json($text, whole => 1);
#       # strings beyond their NUL; names of the outermost object, in order
#
# Strings are bytes, numbers are Perl's; true, false and null are JSON::PP's.

use strict;
use warnings;
no warnings 'recursion';

use Exporter qw(import);
use JSON::PP ();

our @EXPORT_OK = qw(read_json);

my $BLANK = qr/[\x01-\x20]*/;
my $DEPTH_MAX = 1000;
my $HEX = qr/[0-9a-fA-F]/;
my %WORD = (null => undef, true => JSON::PP::true, false => JSON::PP::false);
my %ESCAPED = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t",
               '"' => '"', '\\' => '\\', '/' => '/');

my ($whole, $depth, @names);


sub read_json {
    my ($text, %options) = @_;
    ($whole, $depth, @names) = ($options{whole}, 0);

    return () if $text =~ /\0/;
    $text =~ s/^$BLANK//;
    $text =~ s/$BLANK\z//;
    return () if $text =~ /^\xef/ || $text =~ /,\z/;

    my ($value, $end) = eval { local $_ = $text; (value(), pos) };
    return !$@ && $end == length $text ? ($value, [@names]) : ();
}


# from here on the text is $_, and pos() the place in it

sub value {
    return string() if /\G"/;
    return $WORD{$1} if /\G(null|true|false)/gc;
    return number($1) if /\G(?=[-0-9])([-+.0-9eE]+)/gc;
    return array() if /\G\[$BLANK/gc;
    return object() if /\G\{$BLANK/gc;
    die;
}

# as much of it as strtod() takes

sub number {
    my ($run) = @_;
    my $end = pos;
    $run =~ /^-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?/ or die;
    pos = $end - length($run) + length $&;
    return 0 + $&;
}

sub string {
    /\G"((?:[^"\\]++|\\.)*+)"/gcs or die;
    my $text = $1 =~ s{ (\\u[dD][89abAB]$HEX$HEX) (\\u[dD][c-fC-F]$HEX$HEX)
                      | (\\u.{4}) | \\(.) }{
        defined $1 ? utf8(0x10000 + (code($1) - 0xd800 << 10) + code($2)
                          - 0xdc00)
        : defined $3 ? utf8(code($3)) : $ESCAPED{$4} // die }gesxr;
    return $whole ? $text : $text =~ s/\0.*//sr;
}

# without four digits it is a NUL

sub code { $_[0] =~ /^\\u((?:$HEX){4})\z/ ? hex $1 : 0 }

sub utf8 {
    my ($code) = @_;
    die if $code >= 0xd800 && $code <= 0xdfff;
    utf8::encode(my $character = chr $code);
    return $character;
}

sub array {
    my @array;
    die if ++$depth > $DEPTH_MAX;

    if (!/\G\]/) {
        do { push @array, scalar value(); /\G$BLANK/gc } while (/\G,$BLANK/gc);
    }

    /\G\]/gc or die;
    $depth--;
    return \@array;
}

sub object {
    my %object;
    die if ++$depth > $DEPTH_MAX;

    if (!/\G\}/) {
        do {
            my $name = string();
            push @names, $name if $depth == 1;
            /\G$BLANK:$BLANK/gc or die;
            my $value = value();
            $object{$name} = $value if !exists $object{$name};
            /\G$BLANK/gc;
        } while (/\G,$BLANK/gc);
    }

    /\G\}/gc or die;
    $depth--;
    return \%object;
}

1;

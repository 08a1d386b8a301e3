package Perm::Oracle;

# The rules as a small, slow and obvious program, written from the contract and
# not from the C: names, grants, the decision, renewal and notices.  Tests run
# both on random input and compare; see t/oracle.t.
#
#   valid_gateway($name)  valid_resource($name)  valid_app($name)
#   my $grant = read_grant($value);   # {expires, granted, renew, type} or undef
#   my ($outcome, $reason, $expires) = decide(policy => 'required',
#       gateway => 'g', resource => 'r', app => 'a', of_gateway => $value,
#       of_resource => $value, now => $now);
#   my $value = renew($value, $last, $now, $term);   # the new one, or undef
#   my $n = notice($value, $last, $now, $term, @days);    # N, or undef
#
# Times are unix seconds.  A value is as in Redis, undef where there is none.

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use POSIX ();

our @EXPORT_OK = qw(valid_gateway valid_resource valid_app read_grant decide
                    renew notice PERMANENT);

use constant PERMANENT => 4102444800;
use constant LAST_YEAR => 253402300799;
use constant VALUE_MAX => 65536;

my $JSON = JSON::PP->new->allow_nonref->allow_bignum(0);


# ---- section 1: names

sub valid_name {
    my ($name, $max) = @_;
    return defined $name && length $name >= 1 && length $name <= $max
        && $name !~ m{[^A-Za-z0-9._~\@/+-]};
}

sub valid_gateway { valid_name($_[0], 64) }
sub valid_app { valid_name($_[0], 128) }
sub valid_resource { valid_name($_[0], 256) && $_[0] ne '-' }


# ---- section 2: grants

sub is_number {
    my ($value) = @_;
    return 0 if !defined $value || ref $value;
    return $JSON->encode($value) =~ /^-?[0-9]/;
}

sub read_grant {
    my ($value) = @_;

    return $value if ref $value;
    return undef if !defined $value || length $value > VALUE_MAX
        || $value =~ /\0/;

    my $read = eval { $JSON->decode($value) };
    my $object = ref $read eq 'HASH' ? $read : { expires => $read };
    my $expires = $object->{expires};

    return undef if !is_number($expires) || $expires < 0
        || $expires > LAST_YEAR;
    $expires = POSIX::ceil($expires);

    my $granted = $object->{granted};
    my $renew = $object->{renew};

    return {
        expires => $expires,
        granted => is_number($granted) ? $granted : undef,
        renew => !(JSON::PP::is_bool($renew) && !$renew),
        type => $object->{type},
        object => $object,
    };
}


# ---- section 3: the decision

sub decide {
    my (%q) = @_;

    return ('allow', 'open') if $q{policy} eq 'open';

    return ('fail', 'bad_config')
        if $q{policy} ne 'required' || !valid_gateway($q{gateway})
        || !valid_resource($q{resource});

    return ('deny', 'no_app') if !defined $q{app} || $q{app} eq '';
    return ('deny', 'invalid_app') if !valid_app($q{app});

    # the time to live of the key, milliseconds, bounds both grants

    return ('deny', 'no_grant') if defined $q{left} && $q{left} <= 0;

    my ($gateway, $resource) = map { read_grant($q{$_}) }
        qw(of_gateway of_resource);
    my $end = sub {
        my $key = $q{now} + POSIX::ceil(($q{left} // 9e18) / 1000);
        return $_[0]{expires} < $key ? $_[0]{expires} : $key;
    };

    return ('allow', 'gateway_grant', $end->($gateway))
        if $gateway && $gateway->{expires} > $q{now};
    return ('allow', 'resource_grant', $end->($resource))
        if $resource && $resource->{expires} > $q{now};

    return ('deny', $resource ? 'resource_grant_expired'
                    : $gateway ? 'gateway_grant_expired' : 'no_grant');
}


# ---- sections 6 and 8: renewal

sub counted {
    my ($grant, $last, $now) = @_;

    return undef if !defined $last;
    $last = $now if $last > $now;
    return undef if defined $grant->{granted} && $last < $grant->{granted};
    return $last;
}

sub new_end {
    my ($grant, $last, $now, $term) = @_;

    $last = counted($grant, $last, $now);

    return undef if $grant->{expires} >= PERMANENT || !$grant->{renew}
        || !defined $last || $last >= $grant->{expires}
        || $last + $term <= $grant->{expires};

    return $last + $term;
}

sub renew {
    my ($value, $last, $now, $term) = @_;

    my $grant = read_grant($value) or return undef;
    my $end = new_end($grant, $last, $now, $term) // return undef;

    return { %{$grant->{object}}, expires => $end, type => 'auto_renew' };
}

sub notice {
    my ($value, $last, $now, $term, @days) = @_;

    my $grant = read_grant($value) or return undef;

    return undef if $grant->{expires} >= PERMANENT
        || $grant->{expires} <= $now
        || defined new_end($grant, $last, $now, $term);

    my $left = int(($grant->{expires} - $now) / 86400);

    for my $n (sort { $a <=> $b } @days) {
        return $n if $n >= $left;
    }
    return undef;
}

1;

package Perm::Oracle::Commands;

# The commands of section 7 of the contract that only write or list; those of
# sections 8 and 12 are in Perm::Oracle, of which this is a class.
#
#   my $o = Perm::Oracle::Commands->new(who => 'me');
#   my $status = $o->grant(now => $now, gateway => 'g', app => 'a', ...);

use strict;
use warnings;

use List::Util qw(max min);
use Perm::Oracle qw(is_string key field DAY PERMANENT);
use parent -norequire, 'Perm::Oracle';


# ---- grant, extend, revoke: exit status

sub grant {
    my ($self, %q) = @_;
    my $old = $self->grant_at(key(\%q), field(\%q));
    my $days = $q{days} // 180;
    my $end = $q{expires} // ($days == 0 ? PERMANENT : $q{now} + $days * DAY);

    # unless it is told when, it never shortens

    $end = max($end, $old->{expires})
        if $old && !defined $q{days} && !defined $q{expires};

    # who gave the former grant did not give this one

    my $by = $old ? $old->{object}{by} : undef;
    my %by = defined $q{by} ? (by => $q{by})
        : is_string($by) && $by ne '' ? (by => undef) : ();

    return $self->change('grant', { $old ? %{$old->{object}} : (),
        expires => $end, granted => $q{now}, %by,
        defined $q{type} ? (type => $q{type}) : (),
        $q{no_renew} ? (renew => JSON::PP::false) : () }, \%q);
}

sub extend {
    my ($self, %q) = @_;
    my $old = $self->grant_at(key(\%q), field(\%q));
    return 1 if !$old || !$self->{loaded};
    return 0 if $old->{expires} >= PERMANENT;

    my $end = max($old->{expires}, $q{now}) + ($q{days} // 180) * DAY;
    return $self->change('extend', { %{$old->{object}}, expires => $end }, \%q);
}

sub change {
    my ($self, $action, $object, $q) = @_;
    return 1 if !$self->{loaded}
        || !$self->write_grant(key($q), field($q), $object);
    $self->remember($action, field($q), $q, $q->{comment});
    return 0;
}

sub revoke {
    my ($self, %q) = @_;
    return 1 if !exists $self->{grants}{key(\%q)}{field(\%q)};

    delete $self->{$_}{key(\%q)}{field(\%q)} for qw(grants notices);
    $self->remember('revoke', field(\%q), \%q, $q{comment});
    return 0;
}


# ---- list, access: (exit status, [key, field, expires, last access] ...)

sub list {
    my ($self, %q) = @_;
    my @rows;

    for ($self->all('grants')) {
        my $grant = $self->grant_at(@$_) or next;
        my $last = $self->last_access(@$_);
        $last = min($last, $q{now}) if defined $last;
        next if $q{expired} && $grant->{expires} > $q{now};
        next if defined $last && $last >= ($q{unused_since} // 9e18);
        push @rows, [@$_, $grant->{expires}, $last];
    }
    return (@rows ? 0 : 1, @rows);
}

sub access {
    my ($self, %q) = @_;
    my @rows = grep { $_->[3] >= ($q{since} // 0) }
        map { [@$_, undef, min($self->last_access(@$_), $q{now})] }
        $self->all('access');
    return (@rows || $self->{loaded} ? 0 : 1, @rows);
}


# ---- requests, purge

# (exit status, row ...): the oldest first, with what the app has today

sub requests {
    my ($self, %q) = @_;
    my ($unreadable, @rows) = (0);

    for ($self->all('requests')) {
        my ($key, $field) = @$_;
        next if defined $q{app} && $key !~ /:\Q$q{app}\E\z/;

        my $request = $self->request_at($key, $field);
        $unreadable = 1 if !$request;
        next if !$request || $q{status} !~ /^(?:all|$request->{status})\z/;

        my ($grant, $whole) = map { $self->grant_at($key, $_) // {} } $field, '-';
        push @rows, { key => $key, field => $field, at => $request->{at},
            expires => $grant->{expires}, gateway_expires => $whole->{expires} };
    }
    return (@rows && !$unreadable ? 0 : 1, sort { $a->{at} <=> $b->{at} } @rows);
}

sub purge {
    my ($self, %q) = @_;
    return 1 if !$self->{loaded};
    my $before = $q{now} - $q{expired_for};

    my %goes = (
        grants => sub { my $grant = $self->grant_at(@_);
            $grant && $grant->{expires} <= $before },
        access => sub { !grep { defined $self->{grants}{$_[0]}{$_} } $_[1], '-' },
        requests => sub { my $request = $self->request_at(@_);
            $request && $request->{status} ne 'pending'
                && $request->{handled_at} <= $before },
        notices => sub { $self->{notices}{$_[0]}{$_[1]} =~ /^([0-9]+):/
            && $1 <= $before },
    );

    for my $kind (qw(grants access requests notices)) {
        for (grep { $goes{$kind}->(@$_) } $self->all($kind)) {
            my ($key, $field) = @$_;
            delete $self->{$kind}{$key}{$field};
            delete $self->{notices}{$key}{$field} if $kind eq 'grants';
        }
    }
    return 0;
}

1;

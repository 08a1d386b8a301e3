package Perm::Oracle;

# This is the specification that runs: the rules of the contract, sections 2, 3,
# 6, 8 and 12, as a small, slow and obvious program.  It was written from the
# contract and not from the C.  Tests run both on random input and compare.
#
# The rules alone.  A value is as in Redis: its text, or the object that the
# text stands for; undef where there is none.  Times are unix seconds.
#
#   valid_gateway($name)  valid_resource($name)  valid_app($name)
#   my $grant = read_grant($value);   # {expires, granted, renew, object} or undef
#   my ($outcome, $reason, $expires) = decide(policy => 'required',
#       gateway => 'g', resource => 'r', app => 'a', now => $now,
#       of_gateway => $grant, of_resource => $grant,     # as read, or undef
#       left => $ms,          # of the key that has them; undef: without end
#       impossible => 'deny');    # no lookup, nothing known: "on_error" decides
#   my $value = renew($value, $last, $now, $term);   # the new one, or undef
#   my $n = notice($value, $last, $now, $term, @days);    # N, or undef
#   my $told = told($kept, $expires, $n);
#   my $request = read_request($value);    # {status, days, at, handled_at,
#                                          #   object} or undef
#   my ($error, $body) = read_body($text);   # {resources, days, reason} of POST
#
# All of a table and what the commands do to it:
#
#   my $o = Perm::Oracle->new;     # {loaded}, {grants}{"g:a"}{field} = value,
#                                  # and likewise {access} {requests} {notices}
#   my ($status, ...) = $o->grant(now => $now, gateway => 'g', app => 'a', ...);
#
# The arguments of a command are named as its options are.  It returns the exit
# status, and then what is said of each field: see there.

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use List::Util qw(max min uniq);
use POSIX qw(ceil);

our @EXPORT_OK = qw(valid_gateway valid_resource valid_app read_grant decide
                    renew notice told too_long read_request read_body
                    PERMANENT);

use constant DAY => 86400;
use constant PERMANENT => 4102444800;
use constant LAST_SECOND => 253402300799;
use constant VALUE_MAX => 65536;

my $JSON = JSON::PP->new->utf8->allow_nonref->canonical->max_depth(1000);


# ---- section 1: names

sub valid_name {
    my ($name, $max) = @_;
    return defined $name && length $name >= 1 && length $name <= $max
        && $name !~ m{[^A-Za-z0-9._~\@/+-]};
}

sub valid_gateway { valid_name($_[0], 64) }
sub valid_app { valid_name($_[0], 128) }
sub valid_resource { valid_name($_[0], 256) && $_[0] ne '-' }


# ---- section 2: values

# what the text of a value stands for; undef: it cannot be read

sub decoded {
    my ($value) = @_;

    return $value if !defined $value || ref $value;
    return undef if length $value > VALUE_MAX || $value =~ /\0/;
    return scalar eval { $JSON->decode($value) };
}

sub too_long { length $JSON->encode($_[0]) > VALUE_MAX }

sub is_number {
    my ($value) = @_;
    return defined $value && !ref $value && $JSON->encode($value) =~ /^-?[0-9]/;
}

# A time, or undef.  Of a fraction the next second: "expires > now" is the same
# for whole seconds.

sub seconds {
    my ($value) = @_;
    return undef if !is_number($value) || $value < 0 || $value > LAST_SECOND;
    return ceil($value);
}

sub read_grant {
    my $read = decoded($_[0]);
    my $object = ref $read eq 'HASH' ? $read : { expires => $read };
    my $expires = seconds($object->{expires}) // return undef;
    my $renew = $object->{renew};

    return {
        expires => $expires,
        granted => seconds($object->{granted}),
        renew => !(JSON::PP::is_bool($renew) && !$renew),
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

    return ($q{impossible} eq 'allow' ? 'allow' : 'fail', 'unavailable')
        if $q{impossible};

    # the time to live of the key bounds both grants

    my $left = $q{left} // 9e18;
    return ('deny', 'no_grant') if $left <= 0;
    my $gone = $q{now} + ceil($left / 1000);

    my ($gateway, $resource) = @q{qw(of_gateway of_resource)};

    return ('allow', 'gateway_grant', min($gateway->{expires}, $gone))
        if $gateway && $gateway->{expires} > $q{now};
    return ('allow', 'resource_grant', min($resource->{expires}, $gone))
        if $resource && $resource->{expires} > $q{now};

    return ('deny', $resource ? 'resource_grant_expired'
                    : $gateway ? 'gateway_grant_expired' : 'no_grant');
}


# ---- sections 6 and 8: accesses, renewal, notices

# a last access as it counts for a grant, or undef

sub counted {
    my ($grant, $last, $now) = @_;

    return undef if !defined $last;
    $last = min($last, $now);
    return $last < ($grant->{granted} // 0) ? undef : $last;
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

    my $left = int(($grant->{expires} - $now) / DAY);
    return min(grep { $_ >= $left } @days);
}

# kept is "<expires>:<days>"; a smaller N of that end was a later notice

sub told {
    my ($kept, $expires, $n) = @_;
    return ($kept // '') =~ /^([0-9]+):([0-9]+)\z/ && $1 == $expires && $2 <= $n;
}


# ---- section 12: requests

sub read_request {
    my $object = decoded($_[0]);

    return undef if ref $object ne 'HASH' || ref $object->{status}
        || ($object->{status} // '') !~ /^(?:pending|approved|rejected)\z/;

    my $days = seconds($object->{days});

    return {
        status => $object->{status},
        days => defined $days && $days <= 36500 ? $days : 180,
        at => seconds($object->{at}) // 0,
        handled_at => seconds($object->{handled_at}) // 0,
        object => $object,
    };
}

# (400 or 413) or (undef, {resources => [fields], days, reason})

sub read_body {
    my ($text) = @_;

    return 413 if length $text > 16384;

    # of a caller: no member twice

    my @members = $text =~ /"((?:[^"\\]|\\.)*)"\s*:/g;
    return 400 if $text =~ /\0/ || uniq(@members) < @members;
    my $body = eval { $JSON->decode($text) };
    return 400 if ref $body ne 'HASH';

    my ($names, $whole) = @$body{qw(resources whole_gateway)};
    return 400 if exists $body->{resources} == exists $body->{whole_gateway}
        || (exists $body->{resources} && (ref $names ne 'ARRAY' || !@$names))
        || (exists $body->{whole_gateway}
            && !(JSON::PP::is_bool($whole) && $whole));

    return 413 if @{$names // []} > 100;
    return 400 if grep { ref $_ || is_number($_) || !valid_resource($_) }
        @{$names // []};

    my $days = exists $body->{days} ? $body->{days} : 180;
    return 400 if !is_number($days) || $days < 0 || $days > 36500
        || $days != int $days;

    my $reason = exists $body->{reason} ? $body->{reason} : '';
    return 400 if !defined $reason || ref $reason || is_number($reason);

    return (undef, { resources => $names ? [uniq @$names] : ['-'],
                     days => 0 + $days, reason => $reason });
}


# ---- the table

sub new {
    my ($class) = @_;
    return bless { loaded => 1, grants => {}, access => {}, requests => {},
                   notices => {} }, $class;
}

sub key { "$_[0]{gateway}:$_[0]{app}" }
sub field { $_[0]{resource} // '-' }

# every ("g:a", field) of a kind

sub all {
    my ($self, $kind) = @_;
    return map { my $key = $_; map { [$key, $_] } sort keys %{$self->{$kind}{$key}} }
        sort keys %{$self->{$kind}};
}

sub grant_at { read_grant($_[0]{grants}{$_[1]}{$_[2]}) }

# of a grant on a whole gateway the newest over its resources

sub last_access {
    my ($self, $key, $field) = @_;
    my $of = $self->{access}{$key} // {};
    return $field eq '-' ? max(values %$of) : $of->{$field};
}

sub owned_forever {
    my ($self, $key, $field) = @_;
    return scalar grep { $_ && $_->{expires} >= PERMANENT }
        map { $self->grant_at($key, $_) } $field, '-';
}

# with an end that is set anew, notices begin anew; 1 when it was written

sub write_grant {
    my ($self, $key, $field, $object) = @_;
    return 0 if too_long($object);
    $self->{grants}{$key}{$field} = $object;
    delete $self->{notices}{$key}{$field};
    return 1;
}


# ---- the gateway: a call, and what an app sees and asks for itself

sub call {
    my ($self, %q) = @_;

    my $key = key(\%q);
    my @d = decide(policy => 'required', %q,
        of_gateway => $self->grant_at($key, '-'),
        of_resource => $self->grant_at($key, $q{resource}),
        impossible => $self->{loaded} ? undef : $q{on_error} // 'deny');

    # what a grant allowed is an access, in a dry run as well, at Redis's time
    # at the latest; "ask" only asks

    if ($d[1] =~ /_grant\z/ && $d[0] eq 'allow' && !$q{ask}) {
        my $last = \$self->{access}{$key}{$q{resource}};
        $$last = max($$last // 0, min($q{now}, $q{redis_now} // $q{now}));
    }
    return @d;
}

# (HTTP status, {grants => {field => {...}}, requests => {field => object}})

sub self_get {
    my ($self, %q) = @_;
    my ($key, $now) = (key(\%q), $q{now});
    return 503 if !$self->{loaded};

    my (%grants, %requests);
    for my $field (keys %{$self->{grants}{$key}}) {
        my $grant = $self->grant_at($key, $field) or next;
        my $last = $self->last_access($key, $field);
        my $type = $grant->{object}{type};
        $grants{$field} = {
            expires => $grant->{expires},
            expires_in => max(0, $grant->{expires} - $now),
            type => defined $type && !ref $type && !is_number($type)
                ? $type : undef,
            last_access => defined $last ? min($last, $now) : undef,
            renews => defined new_end($grant, $last, $now, 180 * DAY)
                ? JSON::PP::true : JSON::PP::false,
        };
    }
    for my $field (keys %{$self->{requests}{$key}}) {
        my $request = read_request($self->{requests}{$key}{$field}) or next;
        $requests{$field} = $request->{object};
    }
    return (200, { grants => \%grants, requests => \%requests });
}

# (HTTP status, field => object of each that was stored)

sub self_post {
    my ($self, %q) = @_;

    my ($error, $body) = read_body($q{body});
    return $error if $error;
    return 503 if !$self->{loaded};

    my $said = $self->ask(%q, %$body, by => "app:$q{app}", most => 1000);
    my %stored = map { $said->{$_} eq 'applied'
        ? ($_ => $self->{requests}{key(\%q)}{$_}) : () } keys %$said;

    return %stored ? (202, %stored) : 409;
}


# ---- apply, approve, reject: (exit status, field => result)

sub ask {
    my ($self, %q) = @_;
    my $requests = $self->{requests}{key(\%q)} //= {};
    my %said;

    for my $field (@{$q{resources}}) {
        my $old = read_request($requests->{$field});

        if ($old && $old->{status} eq 'pending') {
            $said{$field} = 'pending already';
        } elsif ($self->owned_forever(key(\%q), $field)) {
            $said{$field} = 'owned permanently';
        } elsif ($q{most} && keys %$requests >= $q{most}
                 && !exists $requests->{$field}) {
            $said{$field} = 'full';
        } else {
            $requests->{$field} = { status => 'pending', days => $q{days},
                length $q{reason} ? (reason => $q{reason}) : (),
                by => $q{by}, at => $q{now} };
            $said{$field} = 'applied';
        }
    }
    return \%said;
}

sub apply {
    my ($self, %q) = @_;
    my $said = $self->ask(days => 180, reason => '', %q,
        resources => $q{resources} ? [uniq @{$q{resources}}] : ['-']);
    my $asked = grep { $_ eq 'applied' } values %$said;
    return ($asked ? 0 : 1, %$said);
}

sub approve { my ($self, %q) = @_; $self->handle(%q, status => 'approved') }
sub reject { my ($self, %q) = @_; $self->handle(%q, status => 'rejected') }

sub handle {
    my ($self, %q) = @_;
    my $key = key(\%q);
    my $requests = $self->{requests}{$key} // {};

    return 1 if $q{status} eq 'approved' && !$self->{loaded};

    my @fields = $q{resources} ? @{$q{resources}} : sort grep {
        (read_request($requests->{$_}) // { status => '' })->{status}
            eq 'pending' } keys %$requests;
    my %said;

    for my $field (@fields) {
        my $request = read_request($requests->{$field});
        $said{$field} = !defined $requests->{$field} ? 'no such request'
            : !$request ? 'the request is unreadable'
            : $request->{status} ne 'pending' ? "$request->{status} already"
            : $self->answer($key, $field, $request, %q);
    }
    my $all = @fields && !grep { $_ ne $q{status} } values %said;
    return ($all ? 0 : 1, %said);
}

# request and grant change together, or neither does

sub answer {
    my ($self, $key, $field, $request, %q) = @_;

    my $days = $q{days} // $request->{days};
    my $new = { %{$request->{object}}, status => $q{status},
        handled_by => $q{by}, handled_at => $q{now},
        defined $q{comment} ? (comment => $q{comment}) : (),
        $q{status} eq 'approved' ? (granted_days => $days) : () };

    return 'too long' if too_long($new);

    if ($q{status} eq 'approved') {
        my $old = $self->grant_at($key, $field);
        my $live = $old && $old->{expires} > $q{now};

        # a live grant is extended; a permanent one stays

        my $end = $old && $old->{expires} >= PERMANENT ? $old->{expires}
            : $days == 0 ? PERMANENT
            : ($live ? $old->{expires} : $q{now}) + $days * DAY;

        $self->write_grant($key, $field, { $old ? %{$old->{object}} : (),
            expires => $end, type => 'apply', by => $q{by},
            $live ? () : (granted => $q{now}) }) or return 'too long';
    }
    $self->{requests}{$key}{$field} = $new;
    return $q{status};
}

# (exit status, row ...): the oldest first, with what the app has today

sub requests {
    my ($self, %q) = @_;
    my ($unreadable, @rows) = (0);

    for ($self->all('requests')) {
        my ($key, $field) = @$_;
        next if defined $q{app} && $key !~ /:\Q$q{app}\E\z/;

        my $request = read_request($self->{requests}{$key}{$field});
        $unreadable = 1 if !$request;
        next if !$request || ($q{status} ne 'all'
                              && $request->{status} ne $q{status});

        push @rows, { key => $key, field => $field, at => $request->{at},
            map({ $_->[0] => ($_->[1] // {})->{expires} }
                ['expires', $self->grant_at($key, $field)],
                ['gateway_expires', $self->grant_at($key, '-')]) };
    }
    return (@rows && !$unreadable ? 0 : 1, sort { $a->{at} <=> $b->{at} } @rows);
}


# ---- grant, extend, revoke: exit status

sub grant {
    my ($self, %q) = @_;
    return 1 if !$self->{loaded};

    my $old = $self->grant_at(key(\%q), field(\%q));
    my $days = $q{days} // 180;
    my $end = $q{expires} // ($days == 0 ? PERMANENT : $q{now} + $days * DAY);

    # unless it is told when, it never shortens

    $end = max($end, $old->{expires})
        if $old && !defined $q{days} && !defined $q{expires};

    # who gave the former grant did not give this one

    my $by = $q{by} // (defined $old && ($old->{object}{by} // '') ne ''
                        ? 'unknown' : undef);

    return $self->write_grant(key(\%q), field(\%q), {
        $old ? %{$old->{object}} : (), expires => $end, granted => $q{now},
        defined $q{type} ? (type => $q{type}) : (),
        defined $by ? (by => $by eq 'unknown' ? undef : $by) : (),
        $q{no_renew} ? (renew => JSON::PP::false) : () }) ? 0 : 1;
}

sub extend {
    my ($self, %q) = @_;
    return 1 if !$self->{loaded};

    my $old = $self->grant_at(key(\%q), field(\%q)) or return 1;
    return 0 if $old->{expires} >= PERMANENT;

    my $end = max($old->{expires}, $q{now}) + ($q{days} // 180) * DAY;
    return $self->write_grant(key(\%q), field(\%q),
                              { %{$old->{object}}, expires => $end }) ? 0 : 1;
}

sub revoke {
    my ($self, %q) = @_;
    my $grants = $self->{grants}{key(\%q)} // {};
    return 1 if !exists $grants->{field(\%q)};

    delete $grants->{field(\%q)};
    delete $self->{notices}{key(\%q)}{field(\%q)};
    return 0;
}


# ---- list, access: (exit status, [key, field, expires, last access] ...)

sub list {
    my ($self, %q) = @_;

    my @rows = grep {
        !($q{expired} && $_->[2] > $q{now})
        && !(defined $q{unused_since} && ($_->[3] // -1) >= $q{unused_since})
    } map {
        my $grant = $self->grant_at(@$_);
        my $last = $self->last_access(@$_);
        $grant ? [@$_, $grant->{expires},
                  defined $last ? min($last, $q{now}) : undef] : ();
    } $self->all('grants');

    return (@rows ? 0 : 1, @rows);
}

sub access {
    my ($self, %q) = @_;
    my @rows = grep { $_->[3] >= ($q{since} // 0) } map {
        [@$_, undef, min($self->{access}{$_->[0]}{$_->[1]}, $q{now})]
    } $self->all('access');
    return (@rows || $self->{loaded} ? 0 : 1, @rows);
}


# ---- renew, expiring, purge

sub any_unreadable {
    my ($self) = @_;
    return scalar grep { !$self->grant_at(@$_) } $self->all('grants');
}

sub run_renewal {
    my ($self, %q) = @_;
    my $status = $self->any_unreadable ? 1 : 0;
    my @of = grep { ($q{dimension} // 'both')
        ne ($_->[1] eq '-' ? 'resource' : 'gateway') } $self->all('grants');

    return 1 if !$self->{loaded} && !@of;

    for (@of) {
        my ($key, $field) = @$_;
        my $new = renew($self->{grants}{$key}{$field},
                        $self->last_access($key, $field), @q{qw(now term)});
        next if !$new;

        if (too_long($new)) {
            $status = 1;
        } else {
            $self->{grants}{$key}{$field} = $new;
        }
    }
    return $status;
}

# (exit status, [app, key, field, N] ...).  notify: returns false when CMD fails
# for the app.  Nobody is told of a resource whose gateway's grant ends later,
# nor of one that needs no grant.

sub expiring {
    my ($self, %q) = @_;
    my @list;

    for ($self->all('grants')) {
        my ($key, $field) = @$_;
        my @last = map { $self->last_access($key, $_) } $field, '-';
        my @now = @q{qw(now term)};
        my $n = notice($self->{grants}{$key}{$field}, $last[0], @now,
                       @{$q{days}}) // next;
        my $end = $self->grant_at($key, $field)->{expires};
        my $whole = $self->grant_at($key, '-');

        next if $field ne '-' && ($q{open}{$field} || ($whole
            && (new_end($whole, $last[1], @now) // $whole->{expires}) > $end));
        next if $q{notify} && told($self->{notices}{$key}{$field}, $end, $n);

        push @list, [$key =~ s/.*://r, $key, $field, $n, $end];
    }

    my %failed = map { $_ => 1 } grep { $q{notify} && !$q{notify}->($_) }
        uniq map { $_->[0] } @list;

    for (grep { $q{notify} && !$failed{$_->[0]} } @list) {
        my (undef, $key, $field, $n, $end) = @$_;
        $self->{notices}{$key}{$field} = "$end:$n";
    }
    return (%failed || $self->any_unreadable
            || (!$self->{loaded} && !$self->all('grants')) ? 1 : 0,
            map { [@$_[0 .. 3]] } @list);
}

sub purge {
    my ($self, %q) = @_;
    return 1 if !$self->{loaded};
    my $before = $q{now} - $q{expired_for};

    my $remove = sub {
        my ($kind, $goes) = @_;
        for ($self->all($kind)) {
            my ($key, $field) = @$_;
            delete $self->{$kind}{$key}{$field} if $goes->($key, $field);
        }
    };

    $remove->('grants', sub {
        my $grant = $self->grant_at(@_);
        return 0 if !$grant || $grant->{expires} > $before;
        delete $self->{notices}{$_[0]}{$_[1]};
        return 1 });
    $remove->('access', sub {
        !grep { defined $self->{grants}{$_[0]}{$_} } $_[1], '-' });
    $remove->('requests', sub {
        my $request = read_request($self->{requests}{$_[0]}{$_[1]});
        return $request && $request->{status} ne 'pending'
            && $request->{handled_at} <= $before });
    $remove->('notices', sub {
        $self->{notices}{$_[0]}{$_[1]} =~ /^([0-9]+):/ && $1 <= $before });
    return 0;
}

1;

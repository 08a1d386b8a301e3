package Perm::Oracle;

# This is the specification that runs: the rules of the contract, sections 2, 3,
# 6, 8 and 12, as a small, slow and obvious program.  It was written from the
# contract and not from the C.  Tests run both on random input and compare.
#
# A value is as in Redis: its text, or the object that the text stands for;
# undef where there is none.  Times are unix seconds.
#
#   my $grant = read_grant($value);   # {expires, granted, renew, object} or undef
#   my ($outcome, $reason, $expires) = decide(policy => 'required',
#       gateway => 'g', resource => 'r', app => 'a', now => $now,
#       of_gateway => $grant, of_resource => $grant,     # as read, or undef
#       left => $ms,          # of the key that has them; undef: without end
#       impossible => 'deny');    # no lookup, nothing known: "on_error" decides
#   my $value = renew($value, $last, $now, $term);   # the new one, or undef
#   my $n = notice($value, $last, $now, $term, @days);    # N, or undef
#   my $request = read_request($value);    # {status, days, at, handled_at,
#                                          #   object} or undef
#   my ($error, $body) = read_body($text);   # {resources, days, reason} of POST
#
# Perm::Oracle::Commands has section 7.
#
#   my $o = Perm::Oracle->new(who => 'me');   # a table: {loaded}, and {grants}
#       # {"g:a"}{field} = value, likewise {access} {requests} {notices};
#       # {history}{"g:a"} = [{action, resource, by, comment}, ...]
#   my ($status, ...) = $o->grant(now => $now, gateway => 'g', app => 'a', ...);
#       # arguments as the options of the command: the exit status, and more

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use List::Util qw(max min uniq);
use Perm::CJson qw(read_json);
use POSIX qw(ceil);

our @EXPORT_OK = qw(read_grant decide renew notice told covered too_long
                    read_request read_body is_string key field DAY PERMANENT);

use constant { DAY => 86400, PERMANENT => 4102444800,
               LAST_SECOND => 253402300799, VALUE_MAX => 65536 };

my $JSON = JSON::PP->new->allow_nonref->canonical->max_depth(1000);

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
    return length $value > VALUE_MAX ? undef : scalar((read_json($value))[0]);
}

sub too_long { length $JSON->encode($_[0]) > VALUE_MAX }
sub is_scalar { defined $_[0] && !ref $_[0] && $JSON->encode($_[0]) =~ $_[1] }
sub is_number { is_scalar($_[0], qr/^-?[0-9]/) }
sub is_string { is_scalar($_[0], qr/^"/) }

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

# when the time to live of a key, "left", ends its grants

sub gone {
    my (%q) = @_;
    return defined $q{left} ? $q{now} + ceil($q{left} / 1000) : 9e18;
}

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

    my $gone = gone(%q);
    return ('deny', 'no_grant') if $gone <= $q{now};
    my ($gateway, $resource) = @q{qw(of_gateway of_resource)};

    return ('allow', 'gateway_grant', min($gateway->{expires}, $gone))
        if $gateway && $gateway->{expires} > $q{now};
    return ('allow', 'resource_grant', min($resource->{expires}, $gone))
        if $resource && $resource->{expires} > $q{now};

    return ('deny', $resource ? 'resource_grant_expired'
                    : $gateway ? 'gateway_grant_expired' : 'no_grant');
}

# ---- sections 6 and 8: accesses, renewal, notices

# the end that an access gives to a grant, or undef: it stays as it is

sub new_end {
    my ($grant, $last, $now, $term) = @_;
    return undef if !defined $last || !$grant->{renew}
        || $grant->{expires} >= PERMANENT;

    $last = min($last, $now);
    return undef if $last < ($grant->{granted} // 0)
        || $last >= $grant->{expires} || $last + $term <= $grant->{expires};
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

# nobody is told of a resource when the grant on its gateway lasts longer

sub covered {
    my ($grant, $whole, $last, $now, $term) = @_;
    return $whole && $grant->{expires}
        < (new_end($whole, $last, $now, $term) // $whole->{expires});
}

# kept is "<expires>:<days>"; a smaller N of that end was a later notice

sub told {
    my ($kept, $expires, $n) = @_;
    return ($kept // '') =~ /^([0-9]+):([0-9]+)\z/ && $1 == $expires && $2 <= $n;
}

# ---- section 12: requests

sub read_request {
    my $object = decoded($_[0]);

    return undef if ref $object ne 'HASH' || !is_string($object->{status})
        || $object->{status} !~ /^(?:pending|approved|rejected)\z/;

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

    # no name with a NUL, and none of these twice

    my ($body, $members) = read_json($text, whole => 1);
    my %seen;
    return 400 if ref $body ne 'HASH' || grep { /\0/ || ($seen{$_}++
        && /^(?:resources|whole_gateway|days|reason)\z/) } @$members;

    my ($names, $whole) = @$body{qw(resources whole_gateway)};
    return 400 if exists $body->{resources} == exists $body->{whole_gateway}
        || (exists $body->{resources} && (ref $names ne 'ARRAY' || !@$names))
        || (exists $body->{whole_gateway}
            && !(JSON::PP::is_bool($whole) && $whole));

    return 413 if @{$names // []} > 100;
    return 400 if grep { !is_string($_) || !valid_resource($_) } @{$names // []};

    my $days = exists $body->{days} ? $body->{days} : 180;
    return 400 if !is_number($days) || $days < 0 || $days > 36500
        || $days != int $days;

    my $reason = exists $body->{reason} ? $body->{reason} : '';
    return 400 if !is_string($reason);

    return (undef, { resources => $names ? [uniq @$names] : ['-'],
                     days => 0 + $days, reason => $reason });
}

# ---- a table, what its commands do to it, and what they say

sub new {
    my ($class, %of) = @_;
    return bless { loaded => 1, %of,
        map { $_ => {} } qw(grants access requests notices history) }, $class;
}

sub key { "$_[0]{gateway}:$_[0]{app}" }
sub field { $_[0]{resource} // '-' }
sub grant_at { read_grant($_[0]{grants}{$_[1]}{$_[2]}) }
sub request_at { read_request($_[0]{requests}{$_[1]}{$_[2]}) }

# every ["g:a", field] of a kind

sub all {
    my ($self, $kind) = @_;
    my $of = $self->{$kind};
    return map { my $key = $_; map { [$key, $_] } sort keys %{$of->{$key}} }
        sort keys %$of;
}

# of a grant on a whole gateway the newest over its resources

sub last_access {
    my ($self, $key, $field) = @_;
    my $of = $self->{access}{$key} // {};
    return $field eq '-' ? max(values %$of) : $of->{$field};
}

# with an end that is set anew, notices begin anew; false: it is too long

sub write_grant {
    my ($self, $key, $field, $object) = @_;
    return 0 if too_long($object);
    $self->{grants}{$key}{$field} = $object;
    delete $self->{notices}{$key}{$field};
    return 1;
}

# the history: who did it, and why

sub remember {
    my ($self, $action, $field, $q, $why) = @_;
    push @{$self->{history}{key($q)}}, { action => $action, resource => $field,
        by => $q->{by} // $self->{who}, defined $why ? (comment => $why) : () };
}

# ---- the gateway: a call, and what an app sees and asks for itself

# what a grant allows is an access, in a dry run as well, at Redis's time at the
# latest; "ask" only asks

sub call {
    my ($self, %q) = @_;
    my $key = key(\%q);
    my @d = decide(policy => 'required', %q,
        of_gateway => $self->grant_at($key, '-'),
        of_resource => $self->grant_at($key, $q{resource}),
        impossible => $self->{loaded} ? undef : $q{on_error} // 'deny');

    if ($d[0] eq 'allow' && $d[1] =~ /_grant\z/ && !$q{ask}) {
        my $last = \$self->{access}{$key}{$q{resource}};
        $$last = max($$last // 0, min($q{now}, $q{redis_now} // $q{now}));
    }
    return @d;
}

# (HTTP status, {grants => {field => {...}}, requests => {field => object}})

sub self_get {
    my ($self, %q) = @_;
    return 503 if !$self->{loaded};
    my ($key, $now, $gone) = (key(\%q), $q{now}, gone(%q));
    my (%grants, %requests);

    for my $field ($gone > $now ? keys %{$self->{grants}{$key}} : ()) {
        my $grant = $self->grant_at($key, $field) or next;
        my $last = $self->last_access($key, $field);
        my $type = $grant->{object}{type};
        my $end = min($grant->{expires}, $gone);
        my $renews = defined new_end($grant, $last, $now, 180 * DAY)
            && $end < $gone;

        $grants{$field} = {
            expires => $end, expires_in => max(0, $end - $now),
            type => is_string($type) && $type ne '' ? $type : undef,
            last_access => defined $last ? min($last, $now) : undef,
            renews => $renews ? JSON::PP::true : JSON::PP::false,
        };
    }
    for my $field (keys %{$self->{requests}{$key}}) {
        my $request = $self->request_at($key, $field) or next;
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

    my %said = $self->ask(%q, %$body, by => "app:$q{app}", most => 1000);
    my %stored = map { $_ => $self->{requests}{key(\%q)}{$_} }
        grep { $said{$_} eq 'applied' } keys %said;
    return %stored ? (202, %stored) : 409;
}

# ---- apply, approve, reject: (exit status, field => result)

sub apply {
    my ($self, %q) = @_;
    my %said = $self->ask(days => 180, reason => '', %q,
        resources => [uniq @{$q{resources} // ['-']}]);
    return ((grep { $_ eq 'applied' } values %said) ? 0 : 1, %said);
}

sub ask {
    my ($self, %q) = @_;
    my $key = key(\%q);
    my $requests = $self->{requests}{$key} //= {};
    my %said;

    for my $field (@{$q{resources}}) {
        my $old = read_request($requests->{$field});
        my @forever = grep { $_ && $_->{expires} >= PERMANENT }
            map { $self->grant_at($key, $_) } $field, '-';

        if ($old && $old->{status} eq 'pending') {
            $said{$field} = 'pending already';
        } elsif (@forever) {
            $said{$field} = 'owned permanently';
        } elsif ($q{most} && keys %$requests >= $q{most}
                 && !exists $requests->{$field}) {
            $said{$field} = 'full';
        } else {
            my @why = length $q{reason} ? $q{reason} : ();
            $requests->{$field} = { status => 'pending', days => $q{days},
                by => $q{by}, at => $q{now}, @why ? (reason => @why) : () };
            $self->remember('apply', $field, \%q, @why);
            $said{$field} = 'applied';
        }
    }
    return %said;
}

sub approve { my $self = shift; $self->handle(@_, status => 'approved') }
sub reject { my $self = shift; $self->handle(@_, status => 'rejected') }

sub handle {
    my ($self, %q) = @_;
    my $key = key(\%q);
    my $requests = $self->{requests}{$key} // {};
    return 1 if $q{status} eq 'approved' && !$self->{loaded};

    my @fields = $q{resources} ? @{$q{resources}} : grep {
        (($self->request_at($key, $_) // {})->{status} // '') eq 'pending'
    } keys %$requests;
    my %said;

    for my $field (@fields) {
        my $request = $self->request_at($key, $field);
        $said{$field} = !defined $requests->{$field} ? 'no such request'
            : !$request ? 'the request is unreadable'
            : $request->{status} ne 'pending' ? "$request->{status} already"
            : $self->answer($key, $field, $request, %q) ? $q{status}
            : 'too long';
    }
    return (@fields && !(grep { $_ ne $q{status} } values %said) ? 0 : 1, %said);
}

# request and grant change together, or neither does

sub answer {
    my ($self, $key, $field, $request, %q) = @_;
    my $approved = $q{status} eq 'approved';
    my $days = $q{days} // $request->{days};
    my $new = { %{$request->{object}}, status => $q{status},
        handled_by => $q{by}, handled_at => $q{now},
        defined $q{comment} ? (comment => $q{comment}) : (),
        $approved ? (granted_days => $days) : () };

    return 0 if too_long($new);

    if ($approved) {
        my $old = $self->grant_at($key, $field);
        my $live = $old && $old->{expires} > $q{now};

        # a live grant is extended; a permanent one stays

        my $end = $old && $old->{expires} >= PERMANENT ? $old->{expires}
            : $days == 0 ? PERMANENT
            : ($live ? $old->{expires} : $q{now}) + $days * DAY;

        $self->write_grant($key, $field, { $old ? %{$old->{object}} : (),
            expires => $end, type => 'apply', by => $q{by},
            $live ? () : (granted => $q{now}) }) or return 0;
    }
    $self->{requests}{$key}{$field} = $new;
    $self->remember($approved ? 'approve' : 'reject', $field, \%q, $q{comment});
    return 1;
}

# ---- renew, expiring

# exit status 1: a grant cannot be read, or there is no table

sub incomplete {
    my ($self, @grants) = @_;
    return (grep { !$self->grant_at(@$_) } $self->all('grants'))
        || (!$self->{loaded} && !@grants) ? 1 : 0;
}

sub run_renewal {
    my ($self, %q) = @_;
    my @of = grep { $q{dimension} ne ($_->[1] eq '-' ? 'resource' : 'gateway') }
        $self->all('grants');
    my $status = $self->incomplete(@of);

    for (@of) {
        my ($key, $field) = @$_;
        my $new = renew($self->{grants}{$key}{$field},
                        $self->last_access($key, $field), @q{qw(now term)});
        $self->{grants}{$key}{$field} = $new if $new && !too_long($new);
        $status = 1 if $new && too_long($new);
    }
    return $status;
}

# (exit status, [app, key, field, N, end] ...).  notify: false when CMD fails
# for the app.

sub expiring {
    my ($self, %q) = @_;
    my @now = @q{qw(now term)};
    my @list;

    for ($self->all('grants')) {
        my ($key, $field) = @$_;
        my ($grant, $whole) = map { $self->grant_at($key, $_) } $field, '-';
        my ($last, $any) = map { $self->last_access($key, $_) } $field, '-';
        my $n = notice($self->{grants}{$key}{$field}, $last, @now, @{$q{days}});

        next if !defined $n || $q{open}{$field}
            || ($field ne '-' && covered($grant, $whole, $any, @now))
            || ($q{notify} && told($self->{notices}{$key}{$field},
                                   $grant->{expires}, $n));
        push @list, [$key =~ s/.*://r, $key, $field, $n, $grant->{expires}];
    }

    my %failed = map { $_ => 1 } grep { $q{notify} && !$q{notify}->($_) }
        uniq map { $_->[0] } @list;

    for (grep { $q{notify} && !$failed{$_->[0]} } @list) {
        my (undef, $key, $field, $n, $end) = @$_;
        $self->{notices}{$key}{$field} = "$end:$n";
    }
    return (%failed ? 1 : $self->incomplete($self->all('grants')), @list);
}

1;

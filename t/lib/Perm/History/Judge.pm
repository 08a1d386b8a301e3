package Perm::History::Judge;

# Whether each call of a history was answered as it had to be, and whether each
# access was kept.
#
#   my $judge = Perm::History::Judge->new(events => {...}, windows => [...],
#       clocks => [...], late => sub { my ($from, $to) = @_; seconds });
#       # late: how late the machine was at worst in that time
#   my @wrong = $judge->calls(@calls);        # [call, what is wrong]
#   my @wrong = $judge->accesses(\%score, \@emptied, @calls);
#
# An event of an app is a change of its key: {b, a, fields, lo, hi}.  It was
# sent at b and had its reply at a (9e99: it may have been made or not).
# "fields" are the values from then on; the key's time to live ends between lo
# and hi, where it has one.
#
# From when is a former state wrong?  $SOON after the reply, unless a window
# says more.  A window is a time in which something was broken: {from, to}, and
#   after   seconds until the gateway is at work again
#   apps    of these alone; else all
#   stale   Redis cannot be asked: what was known before goes on deciding
#           until the end of the window, for changes that were made in it
#   blind   seconds within which a change counts, where it is not pushed
#   less    one of the two workers that track is away, until that many seconds
#           after its end.  Where two such times overlap, both may be away
#   timeout 503 for what is not known, when no answer came in time
#   fail    503 for what is not known; a number: where it lasts that long
#   slow    answers come that many seconds late.  A time to live in a late
#           answer counts from the question, as nobody knows when Redis read it:
#           it may end that much too early, and never too late
#   lost    a call may have no answer; a number: where it lasts that long
#   again   seconds after its end until which a change of that time may be
#           reported once more, by the tracker that was late
#   asks    seconds until which Redis is asked each time, after "after": else
#           $TRACKS, where changes may have been missed
#   forgets denials are not known any more, nor is what was first answered in
#           it: the state file and a zone of another size get live grants
#
# STALE is an answer for a window with "stale", "slow", "timeout" or "fail", and
# for a worker of which a call has waited 100 ms.
#
# A call is known when one was answered before, after its key's last change
# counted: it has no 503 in any window.  What was reported as changed is always
# looked up, when the report comes late, too.  And Redis is not asked for what is
# known and cached for an hour, unless changes may have been missed.

use strict;
use warnings;

use List::Util qw(max min);
use POSIX qw(floor);

use Perm::Oracle qw(decide read_grant);

our $SOON = 0.05;       # README: a revoked grant is denied
my $TIMEOUT = 0.5;      # app_permission_redis_timeout
my $SLOW = 0.1;         # README: a later answer is not waited for
my $UNHEARD = 0.5;      # README: then every call asks Redis
my $BEAT = 0.1;         # between the questions that are heard
my $GAP = 0.05;         # README: an answer counts when nothing is pushed
my $IN_A_ROW = 3;       # processes that an answer passes, each of them late
my $TTL = 0.03;         # 16 ms, and Redis's own milliseconds
my $TRACKS = 2;         # README: connected anew within about a second
my $EXPIRED = 0.5;      # until Redis has looked at a key that has ended


sub new {
    my ($class, %o) = @_;
    my $self = bless { %o, judged => {} }, $class;
    $self->{windows} = [@{$o{windows}}, $self->unheard];
    return $self;
}


# windows in which both workers that track may be away

sub unheard {
    my ($self) = @_;
    my (@windows, @before);

    for my $w (sort { $a->{from} <=> $b->{from} }
                   grep { defined $_->{less} } @{$self->{windows}})
    {
        my $end = $w->{to} + $w->{less};
        push @windows, map { { from => $w->{from}, to => min($end, $_),
                               blind => $UNHEARD + $GAP } }
            grep { $_ > $w->{from} } @before;
        push @before, $end;
    }
    return @windows;
}


# seconds more that something may have taken on a machine that was late

sub slack {
    my ($self, $from, $to) = @_;
    return $IN_A_ROW * $self->{late}->($from, $to);
}


# ---- what may be answered

sub windows {
    my ($self, $app) = @_;
    return grep { !$_->{apps} || $_->{apps}{$app} } @{$self->{windows}};
}


# from then on nobody may be answered by what was before this event

sub deadline {
    my ($self, $app, $event) = @_;
    return $event->{deadline} //= do {
        my $by = $event->{a} + $SOON;
        my $again = 1;

        while ($again && $event->{a} < 9e9) {
            $again = 0;
            for my $w ($self->windows($app)) {
                my $end = $w->{to} + ($w->{after} // 0);
                next if $w->{from} > $by || $end < $event->{b};
                my $then = max($w->{stale} ? $end : 0,
                    $w->{blind} ? $event->{a} + $w->{blind} + $SOON
                                  + $self->slowest($app, $event) : 0);
                ($by, $again) = ($then, 1) if $then > $by;
            }
        }
        $by;
    };
}


# A call may share a lookup that was sent before a change which was not pushed.

sub slowest {
    my ($self, $app, $event) = @_;
    return max(0, map { $_->{slow} } grep {
        $_->{slow} && $_->{from} <= $event->{a}
            && $_->{to} + ($_->{after} // 0) >= $event->{b}
    } $self->windows($app));
}


# The states that may have decided a call.  "slack" are seconds more for each
# deadline.  Where Redis cannot be asked, what was known before decides until a
# change is reported.

sub states {
    my ($self, $call, $slack) = @_;
    my @events = grep { $_->{b} <= $call->{done} }
        @{$self->{events}{$call->{app}}};
    my @states;

    for my $event (reverse @events) {
        push @states, $event;
        my $until = $call->{cache} eq 'STALE' ? 'reported' : 'deadline';
        last if $self->$until($call->{app}, $event)
            + ($slack ? $self->slack($event->{a}, $call->{sent}) : 0)
            <= $call->{sent};
    }
    return @states;
}


# seconds that nginx may have taken for now

sub seconds {
    my ($self, $call) = @_;
    my %now;

    for my $clock (@{$self->{clocks}}) {
        next if $clock->{from} > $call->{done} || $clock->{to} < $call->{sent};
        my ($from, $to) = map { floor($_ + $clock->{off}) }
            max($clock->{from}, $call->{sent}), min($clock->{to}, $call->{done});
        $now{$_} = 1 for $from .. $to;
    }
    return keys %now;
}


# {"allow/resource_grant 4000000001" => 1, ...}

sub outcomes {
    my ($self, $call, $slack) = @_;
    my %may;

    for my $state ($self->states($call, $slack)) {
        my @fields;
        my $late = $slack ? $self->slack($call->{sent} - 1, $call->{done}) : 0;
        push @fields, $state->{fields}
            if !$state->{hi} || $call->{sent} <= $state->{hi} + $TTL + $late;
        my $early = !$state->{lo} ? 0
            : (grep { ($_->{slow} || $_->{stale}) && $_->{from} <= $call->{done}
                      && $_->{to} >= $state->{b} } $self->windows($call->{app}))
            ? $TIMEOUT : $call->{done} - $call->{sent};
        $early += $self->slack($state->{b}, $call->{done})
            if $slack && $state->{lo};
        push @fields, {}
            if $state->{lo} && $call->{done} >= $state->{lo} - $TTL - $early;

        for my $fields (@fields) {
            for my $now ($self->seconds($call)) {
                my ($outcome, $reason, $expires) = decide(
                    policy => 'required', gateway => 'smoke',
                    resource => $call->{resource}, app => $call->{app},
                    of_gateway => read_grant($fields->{'-'}),
                    of_resource => read_grant($fields->{$call->{resource}}),
                    now => $now);

                $may{"$outcome/$reason " . ($expires // '')} = 1;
                next if !$expires || !$state->{hi};

                # the header has the end of the key, where that is sooner

                $may{"$outcome/$reason $_"} = 1
                    for grep { $_ <= $expires }
                        map { my $off = $_->{off};
                              floor($state->{lo} + $off) - 1
                              .. floor($state->{hi} + $off) + 1 }
                        @{$self->{clocks}};
            }
        }
    }
    return \%may;
}


# ---- calls

sub calls {
    my ($self, @calls) = @_;
    my @wrong;

    $self->{slow} = [grep { $_->{done} - $_->{sent} >= $SLOW - 0.005 } @calls];

    for my $call (@calls) {
        $self->{judged}{$call->{status}}++;
        my $wrong = $self->wrong($call);
        push @wrong, [$call, $wrong] if $wrong;

        my $known = "$call->{app} $call->{resource}";
        push @{$self->{answered}{$known}}, $call
            if $call->{status} =~ /^(?:200|403)$/
               && $call->{cache} =~ /^(?:HIT|MISS)$/;
    }
    return @wrong;
}


# undef, or what is wrong with it

sub wrong {
    my ($self, $call) = @_;

    return $self->within($call, 'lost') ? undef : 'no answer'
        if $call->{status} == 0;

    return $self->unavailable($call) if $call->{status} == 503;
    return "status $call->{status}" if $call->{status} !~ /^(?:200|403)$/;
    return "$call->{decision} with $call->{status}"
        if $call->{decision} !~ ($call->{status} == 200 ? qr{^allow/}
                                                        : qr{^deny/});

    return 'stale while Redis answers' if $call->{cache} eq 'STALE'
        && !(grep { $self->within($call, $_) } qw(stale slow timeout fail))
        && !(grep { $_->{worker} eq $call->{worker}
                    && $_->{sent} <= $call->{done}
                    && $_->{done} >= $call->{sent} - $SOON } @{$self->{slow}})
        && $self->slack($call->{sent} - $TIMEOUT, $call->{done}) < $SLOW;

    my $got = "$call->{decision} $call->{expires}";
    return $self->asked_again($call) if $self->outcomes($call)->{$got};
    my $may = $self->outcomes($call, 1);
    return undef if $may->{$got};
    return "$got, not " . join ' or ', sort keys %$may;
}


sub asked_again {
    my ($self, $call) = @_;
    return undef if $call->{cache} ne 'MISS' || $call->{resource} ne 'r0';

    my ($known) = grep { $_->{done} < $call->{sent} }
        reverse @{$self->{answered}{"$call->{app} r0"} // []};
    return undef if !$known;

    # an unreadable value is looked up once a second

    my @changes = $self->changes($call);
    my $fields = $changes[0]{fields};
    return undef if grep { defined && !read_grant($_) } @$fields{'-', 'r0'};

    my $slack = $self->slack($known->{sent} - $TRACKS, $call->{done});
    return undef if grep {
        $self->reported($call->{app}, $_) + $slack >= $known->{sent}
    } @changes;
    return undef if grep {
        $_->{from} <= $call->{done}
            && $_->{to} + ($_->{after} // 0) + ($_->{asks} // $TRACKS) + $slack
               >= $known->{sent}
            && (defined $_->{asks} || $_->{stale} || $_->{blind} || $_->{slow}
                || $_->{forgets} || ($_->{fail} // 0) == 1)
    } $self->windows($call->{app});

    return $self->slack($known->{sent} - $UNHEARD, $call->{done})
        >= $UNHEARD - $BEAT ? undef : 'Redis was asked, and it was known';
}


sub within {
    my ($self, $call, $what) = @_;
    return grep {
        $_->{$what} && $_->{from} <= $call->{done}
            && $_->{to} + ($_->{after} // 0)
               + $self->slack($_->{to}, $call->{sent}) >= $call->{sent}
            && ($_->{$what} == 1 || $_->{to} - $_->{from} >= $_->{$what})
    } $self->windows($call->{app});
}


sub unavailable {
    my ($self, $call) = @_;

    return 'unavailable while Redis can be asked'
        if !$self->within($call, 'fail')
           && $self->slack($call->{sent} - $TIMEOUT, $call->{done}) < $TIMEOUT
           && !($self->within($call, 'timeout')
                && $call->{done} - $call->{sent} > $TIMEOUT - 0.05);

    my $since = max(map { $self->reported($call->{app}, $_) }
        $self->changes($call));

    my @forgets = grep { $_->{forgets} && $_->{from} <= $call->{done} }
        $self->windows($call->{app});
    my $denials = max(0, map { $_->{to} } @forgets);
    my $live = grep { /^allow/ } keys %{$self->outcomes($call)};

    $since += $self->slack($since - 1, $since + 1);

    my @known = grep {
        my $known = $_;
        $known->{sent} > $since && $known->{done} < $call->{sent}
            && ($known->{sent} > $denials || $live && $known->{status} == 200
                && !grep { $known->{done} >= $_->{from}
                           && $known->{sent} <= $_->{to} } @forgets)
    } @{$self->{answered}{"$call->{app} $call->{resource}"} // []};
    return @known ? 'unavailable, and it was known' : undef;
}


# The newest changes of a call's key.  The end of its time to live is one, too:
# Redis reports it when it comes across it.

sub changes {
    my ($self, $call) = @_;
    my ($last) = grep { $_->{b} <= $call->{done} }
        reverse @{$self->{events}{$call->{app}}};
    my $ends = ($last->{lo} // 9e99) - $TTL;
    return $last, $ends > $call->{done} ? ()
        : { b => $ends, a => $last->{hi} + $EXPIRED };
}

# Until when a change may be reported, for the first time or once more.  What is
# late may be held by the next window as well.

sub reported {
    my ($self, $app, $event) = @_;
    my $by = $self->deadline($app, $event);
    my $before;

    do {
        $before = $by;
        $by = max($by, map { $_->{to} + $_->{again} } grep {
            $_->{again} && $_->{from} <= $by && $event->{b} <= $_->{to}
        } $self->windows($app));
    } while ($by > $before);

    return $by;
}


# ---- accesses

# %score: "app resource" => second in Redis.  @emptied: {from, to, apps}: times
# in which Redis itself may have lost some; "all": of any time before, too.

sub accesses {
    my ($self, $score, $emptied, @calls) = @_;
    my (%least, %most, %recorded, @wrong);

    for my $call (sort { $a->{sent} <=> $b->{sent} } @calls) {
        my $name = "$call->{app} $call->{resource}";
        my $allowed = $call->{decision} =~ m{^allow/\w+_grant$};
        next unless $allowed || $call->{status} == 0;

        # a worker that was stopped answers later a client that is gone

        my @late = $call->{status} ? () : map { $_->{to} + ($_->{after} // 0) }
            $self->within($call, 'lost');
        $most{$name} = floor(max($most{$name} // 0, $call->{done}, @late));
        my $recorded = $recorded{$name} // 0;
        $recorded{$name} = max($recorded, $self->least($call)) if $allowed;
        next if !$allowed || grep {
            (!$_->{apps} || $_->{apps}{$call->{app}})
                && ($_->{all} || floor($_->{from}) - 2 <= $call->{sent})
                && $call->{sent} < floor($_->{to}) + 1
        } @$emptied;

        # by a clock that was set back it is older than the one before, which
        # Redis had, and may have lost

        my $least = $self->least($call);
        $least{$name} = max($least{$name} // 0, $least)
            if $least >= $recorded;
    }

    # an access of a clock that was ahead is written with the time of Redis

    my $end = max(map { $_->{done} } @calls);
    if (grep { $_->{off} > 0 } @{$self->{clocks}}) {
        $_ = floor($end) + 5 for values %most;
    }

    for my $name (sort keys %most) {
        my $got = $score->{$name};
        push @wrong, "$name: " . ($got // 'nothing') . ", not $least{$name}"
            if $least{$name} && ($got // 0) < $least{$name};
        push @wrong, "$name: $got, and the newest was $most{$name}"
            if defined $got && $got > $most{$name};
    }
    push @wrong, map { "$_: never allowed" } grep { !$most{$_} } keys %$score;
    return @wrong;
}


# The second of an access, by the clock that was behind most.  One that was set
# is a second off: Redis's time, which bounds it, is as old.

sub least {
    my ($self, $call) = @_;
    my @clocks = @{$self->{clocks}};
    my $behind = min(0, map { $_->{off} } grep {
        $_->{from} <= $call->{done} && $call->{sent} <= $_->{to} } @clocks);
    return floor($call->{sent} + $behind) - (@clocks > 1 ? 1 : 0);
}


1;

package Perm::History::Plan;

# What a history does, step by step: from the seed alone.
#
#   my $plan = Perm::History::Plan->make(seed => 7, seconds => 60,
#       kind => 'single',              # proxy, sentinel, cluster
#       clock => 1,                    # nginx's clock is stepped, too
#       only => ['hang', 'kill']);     # these faults alone
#   $plan->{steps}    # [{at, do, ...}], by time, seconds from the start
#   $plan->{apps}     # [[app, from, to]]: when each of them calls.  A guest,
#                     #   "g" and a number, has a grant from the start and calls
#                     #   for a moment: its accesses are sent once.  A quiet
#                     #   one, "q" and a number, calls about once a second: what
#                     #   nginx missed of it is not looked up soon
#   kinds()           # names of all steps: of changes, and of faults by kind
#
# A fault that lasts has two steps, "NAME" and "NAME_end".  One of servers or
# links ("server" below) is over before the next one of that sort begins.
# "frozen": nothing can be written meanwhile, so nothing is changed.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(kinds);

my $APPS = 14;          # that call at the same time
my $QUIET = 4;          # more of them that are quiet
my $CHANGES = 12;       # a second
my $CALM = 3;           # seconds at the end, in which faults heal
my $VISIT = 0.25;       # seconds in which a guest calls


# name => [seconds it lasts (least, more at random), what is drawn for it]

my %WORKERS = (
    kill    => [0, 0, sub { (worker => int rand 8) }],
    stop    => [0.1, 2.5, sub { (worker => int rand 8) }],
    stopall => [0.1, 1.2],
    reload  => [0, 0],
    resize  => [0, 0],
);

my %LINKS = (
    deaf    => [0, 0],                 # the connections with pushes end
    untold  => [0, 0, sub { (app => app()) }],
);

my %SINGLE = (
    %LINKS,
    hang     => [0.1, 2.5, undef, 'frozen'],
    crash    => [0, 2.5, undef, 'frozen'],
    lose     => [0, 2, undef, 'frozen'],
    empty    => [0, 3, undef, 'frozen'],
    unload   => [0, 2.5],              # "meta" goes, changes go on
    otherdb  => [0, 0],
    busy     => [0.1, 0.9, undef, 'frozen'],
    pause    => [0.1, 0.8, undef, 'frozen'],
    nowrite  => [0.3, 2, undef, 'frozen'],
    demote   => [0.2, 2.5, undef, 'frozen'],
    restart  => [0, 0],                # nginx, with its state file
    down     => [0.3, 1.5, undef, 'frozen'],    # ... while Redis is down
    replace  => [0, 0],                # the whole table, by import
);

my %PROXY = (
    %LINKS,
    hold    => [0.2, 2, sub { (late => [rand(1.2), rand(1.2)]) }],
    holdone => [0.2, 3, sub { (late => rand() < .5 ? [3, 0] : [0, 3]) }],
    late    => [0.2, 2, sub { (late => 0.02 + rand 0.36) }],
    verylate => [0.2, 1.5, sub { (late => 0.6 + rand 0.5) }],
    jitter  => [0.5, 3, sub { (late => rand 0.3) }],
    double  => [0.5, 4],
    trickle => [0.3, 2],
    cut     => [0, 0, sub { (times => 1, cut()) }],
    cuts    => [0.2, 2, sub { (times => 2 + int rand 6, cut()) }],
    refuse  => [0, 2.5],
    silence => [0.5, 2],
    swallow => [0, 0, sub { (times => 1 + int rand 3) }],
    tell    => [1.5, 3, sub { (off => (-60, -3, 3, 7200)[rand 4]) }],
);

my %SENTINEL = (
    %LINKS,
    hang     => [0.1, 0.2, undef, 'frozen'],     # too short to be noticed
    failover => [0, 0],
    crash    => [0, 0],                 # of the master: another one takes over
    freeze   => [1.5, 3],               # likewise, and it comes back
    sentinel => [0.2, 3, sub { (which => int rand 3) }],
);

my %CLUSTER = (
    %LINKS,
    hang     => [0.1, 0.5, sub { (node => int rand 3) }, 'frozen'],
    failover => [0, 0, sub { (node => int rand 3) }],
    crash    => [0, 0, sub { (node => int rand 3) }],
    freeze   => [2, 2, sub { (node => int rand 3) }],
    move     => [0, 0, sub { (app => app(), to => int rand 3) }],
);

my %FAULTS = (single => \%SINGLE, proxy => \%PROXY, sentinel => \%SENTINEL,
              cluster => \%CLUSTER);

my %CHANGES = (
    set    => 8, unset  => 5, drop => 2, ttl => 2, expire => 1, burst => 1,
    grant  => 1, revoke => 1,           # by the command line
);

my @at;         # the apps that call now


sub kinds {
    return { changes => [sort keys %CHANGES], workers => [sort keys %WORKERS],
             map { $_ => [sort keys %{$FAULTS{$_}}] } keys %FAULTS };
}


sub make {
    my ($class, %o) = @_;

    srand $o{seed};
    @at = map { "a$_" } 1 .. $APPS;
    my $self = bless { %o, steps => [], next => $APPS, n => 0, frozen => [],
        from => { map { $_ => -9e9 } @at }, apps => [] }, $class;

    $self->faults(1, $FAULTS{$o{kind}}, 2);
    $self->faults(1.5, \%WORKERS, 1.2);
    $self->clock if $o{clock};
    $self->changes;

    push @{$self->{apps}}, (map { [$_, $self->{from}{$_}, 9e9] } @at),
        (map { ["q$_", -9e9, 9e9] } 1 .. $QUIET),
        map { ["g$_", $_ * $VISIT, ($_ + 1) * $VISIT] }
            0 .. $self->{seconds} / $VISIT - 1;
    @{$self->{steps}} = sort { $a->{at} <=> $b->{at} || $a->{n} <=> $b->{n} }
        @{$self->{steps}};
    srand;
    return $self;
}


sub step {
    my ($self, $at, $do, %more) = @_;
    push @{$self->{steps}}, { at => $at, do => $do, n => $self->{n}++, %more };
}


# one of these after another, with a pause of so many seconds on average

sub faults {
    my ($self, $at, $faults, $pause) = @_;
    my @names = grep {
        my $name = $_;

        # the times of a state file are those of nginx's clock

        !($self->{clock} && $name =~ /^(?:restart|down)$/)
            && (!$self->{only} || grep { $_ eq $name } @{$self->{only}});
    } sort keys %$faults;

    $at += rand $pause * 2;
    while (@names && $at < $self->{seconds} - $CALM) {
        my $name = $names[rand @names];
        my ($least, $more, $draw, $frozen) = @{$faults->{$name}};
        my $lasts = $least + rand $more;

        $self->step($at, $name, $draw ? $draw->() : (),
                    ($least || $more ? (lasts => $lasts) : ()));
        if ($least || $more) {
            $self->step($at + $lasts, "${name}_end");
            push @{$self->{frozen}}, [$at, $at + $lasts] if $frozen;
        }
        $at += $lasts + 0.05 + rand $pause * 2;
    }
}


sub clock {
    my ($self) = @_;
    for (my $at = 2; $at < $self->{seconds} - $CALM; $at += 0.5 + rand 3) {
        $self->step($at, 'clock', off => (0, 0, 1, -1, 2, 3600, -3600, 90000,
                                          -90000)[rand 9]);
    }
    $self->step($self->{seconds} - $CALM, 'clock', off => 0);
}


sub changes {
    my ($self) = @_;
    my @names = map { ($_) x $CHANGES{$_} } sort keys %CHANGES;

    for (my $at = 0.3; $at < $self->{seconds} - 0.5;
         $at += rand 2 / $CHANGES)
    {
        next if grep { $_->[0] <= $at && $at <= $_->[1] } @{$self->{frozen}};

        $self->retire($at) if rand() < .03;

        my $name = $names[rand @names];
        my $app = app();
        $self->step($at, $name, app => $app, $self->$name);
    }
}


# this one never calls again, and an unknown one does

sub retire {
    my ($self, $at) = @_;
    my $i = int rand @at;

    push @{$self->{apps}}, [$at[$i], delete $self->{from}{$at[$i]}, $at];
    $at[$i] = 'a' . ++$self->{next};
    $self->{from}{$at[$i]} = $at;
}


sub app { rand() < .15 ? 'q' . (1 + int rand $QUIET) : $at[rand @at] }

sub cut {
    return (after => int rand 4000, reset => rand() < .5 ? 1 : 0,
            which => (qw(any push reply command))[rand 4]);
}

sub field { (qw(- r0 r0 r1))[rand 4] }


# "in": seconds from when it is done; "end": a time of its own

sub value {
    my ($self) = @_;
    my $n = 4000000000 + ++$self->{ends};
    my $kind = int rand 20;

    return (in => -1 + int rand 5) if $kind < 4;
    return (end => 1000 + int rand 1e9) if $kind == 4;
    return (text => ('{"expires":"soon"}', '{"expires"', "$n\0",
                     '{"type":"apply"}', $n . '000', '-1')[rand 6])
        if $kind == 5;
    return (text => qq({"expires":$n,"type":"apply","renew":false}))
        if $kind < 10;
    return (end => $n);
}

sub set    { my $self = shift; (field => field(), $self->value) }
sub unset  { rand() < .3 ? (fields => [qw(- r0 r1)]) : (fields => [field()]) }
sub drop   { (by => (qw(DEL UNLINK))[rand 2]) }
sub expire { (ms => 200 + int rand 2500) }
sub grant  { (field => field(), end => 4000000000 + ++$_[0]{ends}) }
sub revoke { (field => field()) }

sub ttl {
    my $self = shift;
    return (field => field(), ms => 200 + int rand 2500,
            end => 4000000000 + ++$self->{ends});
}

sub burst {
    my $self = shift;
    return (apps => [grep { rand() < .5 } @at], field => field(),
            end => rand() < .5 ? 4000000000 + ++$self->{ends} : undef);
}


1;

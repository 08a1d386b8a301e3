package Perm::Late;

# How late the machine is: what a bound of time has to allow for, as a busy
# machine keeps every process waiting and not the module's alone.
#
#   my $late = Perm::Late->start($dir);
#   my $begun = time;
#   ... something happens ...
#   my $took = time - $begun;
#   cmp_ok $took, '<', 0.5 + $late->since($begun), 'soon';
#   $late->over($begun, 0.5)     # the seconds it took by now when that is more
#
# Two processes do what client and server do of a request, with the module
# left out: one sleeps for a moment and asks, the other wakes up, writes a line
# to a file and answers.  "since" gives the seconds that the worst of these
# rounds took too long, for each of some processes in a row, and 0 on a machine
# that is not busy.

use strict;
use warnings;

use IO::Handle;
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);
use Time::HiRes qw(time sleep);

use Perm::Util qw(reap slurp);

my $TICK = 0.01;        # seconds between rounds
my $NOTED = 0.01;       # what is less is usual
my $IN_A_ROW = 3;


sub start {
    my ($class, $dir) = @_;
    my $self = bless { file => "$dir/late", owner => $$, pids => [] }, $class;

    socketpair my $here, my $there, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "socketpair: $!\n";
    $self->child(\&asks, $here, $there);
    $self->child(\&answers, $there, $here);
    return $self;
}


sub child {
    my ($self, $does, $mine, $other) = @_;

    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        $SIG{INT} = $SIG{TERM} = 'DEFAULT';
        close $other;
        $self->$does($mine);
        POSIX::_exit(0);
    }
    push @{$self->{pids}}, $pid;
}


# to the end of the test: the parent may be gone without a word

sub asks {
    my ($self, $socket) = @_;
    my $parent = getppid;
    open my $out, '>>', $self->{file} or return;
    $out->autoflush(1);

    while (getppid == $parent) {
        my $begun = time;
        sleep $TICK;
        syswrite $socket, '.' or return;
        sysread $socket, my $answer, 1 or return;
        my $late = time - $begun - $TICK;
        printf {$out} "%.3f %.3f\n", $begun, $late if $late > $NOTED;
    }
}

sub answers {
    my ($self, $socket) = @_;
    open my $log, '>>', "$self->{file}.log" or return;

    while (sysread $socket, my $question, 1) {
        syswrite $log, 'x' x 100 . "\n";
        syswrite $socket, '.' or return;
    }
}


sub since {
    my ($self, $since) = @_;
    my $worst = 0;

    sleep 3 * $TICK;    # for the round that is under way

    for (split /\n/, slurp($self->{file})) {
        my ($begun, $late) = split or next;
        next if $begun + $late + $TICK < $since;
        $worst = $late if $late > $worst;
    }
    return $IN_A_ROW * $worst;
}


sub over {
    my ($self, $begun, $limit) = @_;
    my $took = time - $begun;
    return $took >= $limit && $took >= $limit + $self->since($begun) ? $took
                                                                     : ();
}


sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    return if $self->{owner} != $$;
    kill 'KILL', @{$self->{pids}};
    reap($_, 5) for @{$self->{pids}};
}


1;

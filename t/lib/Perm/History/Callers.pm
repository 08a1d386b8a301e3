package Perm::History::Callers;

# Requests without end, of the apps of a plan, and what came of each.
#
#   my $callers = Perm::History::Callers->start(socket => $path, dir => $dir,
#       apps => $plan->{apps}, seed => 7, begun => $moment, n => 2);
#   my @calls = $callers->stop;      # hashes, by when they were sent:
#       # sent, done, app, resource, status (0: no answer), decision, cache,
#       #   expires, worker
#   my $call = one($path, $app, $resource);
#
# Resources are r0 and r1: locations of that name.  Apps of which the name
# begins with "q" call seldom.

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use Time::HiRes qw(time sleep);

use Perm::Util qw(reap slurp);

our @EXPORT_OK = qw(one);

my $AT_ONCE = 6;        # of each process
my $RATE = 250;         # a second, of each process
my $QUIET = 0.02;       # of the calls are those of quiet apps
my $PATIENCE = 8;       # seconds

my @FIELDS = qw(sent done app resource status decision cache expires worker);


sub start {
    my ($class, %o) = @_;
    my $self = bless { %o, owner => $$, pids => [] }, $class;

    for my $i (1 .. $o{n} // 2) {
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            $SIG{INT} = 'DEFAULT';
            srand $o{seed} * 100 + $i;
            eval { $self->run("$o{dir}/calls.$i") };
            print STDERR "callers: $@" if $@;
            POSIX::_exit(0);
        }
        push @{$self->{pids}}, $pid;
    }
    return $self;
}


sub stop {
    my ($self) = @_;
    kill 'TERM', @{$self->{pids}};
    reap($_, 20) for splice @{$self->{pids}};

    return sort { $a->{sent} <=> $b->{sent} } map {
        my %call;
        @call{@FIELDS} = split /\t/, $_, -1;
        \%call;
    } map { split /\n/, slurp($_) } glob "$self->{dir}/calls.*";
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    return if $self->{owner} != $$ || !@{$self->{pids}};
    kill 'KILL', @{$self->{pids}};
    reap($_, 5) for @{$self->{pids}};
}


sub begin {
    my ($where, $app, $resource) = @_;
    my $call = { sent => time, app => $app, resource => $resource, in => '' };
    $call->{socket} = IO::Socket::UNIX->new(Peer => $where);
    syswrite $call->{socket},
        "GET /$resource HTTP/1.0\r\nX-App: $app\r\n\r\n" if $call->{socket};
    return $call;
}


# reads more; true when all is there, or nothing comes any more

sub more {
    my ($call) = @_;
    my $n = sysread $call->{socket}, $call->{in}, 4096, length $call->{in};
    return !$n || $call->{in} =~ /\r\n\r\n/;
}


sub done {
    my ($call) = @_;
    my $in = delete $call->{in};
    delete $call->{socket};

    $call->{done} = time;
    ($call->{status}) = $in =~ m{^HTTP/1.1 (\d+).*\r\n\r\n}s ? $1 : 0;
    my ($says) = $in =~ /^X-Decision: (.*?)\r/m;
    @$call{'decision', 'cache'} = split / /, $says // '';
    ($call->{expires}) = $in =~ /^X-Expires: (\d+)/m;
    ($call->{worker}) = $in =~ /^X-Worker: (\d+)/m;
    $call->{$_} //= '' for @FIELDS;
    return $call;
}


sub one {
    my ($where, $app, $resource) = @_;
    my $call = begin($where, $app, $resource);
    my $select = IO::Select->new($call->{socket} // ());
    while ($select->count && $select->can_read($PATIENCE)) {
        last if more($call);
    }
    return done($call);
}


sub run {
    my ($self, $file) = @_;
    my $stop;
    local $SIG{TERM} = sub { $stop = 1 };
    local $SIG{PIPE} = 'IGNORE';

    open my $out, '>', $file or die "$file: $!\n";
    my ($next, $select, %open) = (time, IO::Select->new);

    my $end = sub {
        my ($call) = @_;
        if ($call->{socket}) {
            delete $open{fileno $call->{socket}};
            $select->remove($call->{socket});
        }
        done($call);
        $_ = sprintf '%.4f', $_ for @$call{'sent', 'done'};
        print {$out} join("\t", @$call{@FIELDS}), "\n";
    };

    until ($stop && !%open) {
        my $now = time;

        if (!$stop && keys %open < $AT_ONCE && $now >= $next) {
            $next += rand 2 / $RATE;
            $next = $now if $next < $now - 0.1;
            my $quiet = rand() < $QUIET;
            my @apps = grep { ($quiet xor $_->[0] !~ /^q/)
                              && $self->{begun} + $_->[1] <= $now
                              && $now < $self->{begun} + $_->[2] }
                @{$self->{apps}};
            my $call = begin($self->{socket}, $apps[rand @apps][0],
                             (qw(r0 r0 r1))[rand 3]);
            $open{fileno $call->{socket}} = $call if $call->{socket};
            $call->{socket} ? $select->add($call->{socket}) : $end->($call);
            sleep 0.002 if !$call->{socket};
        }

        my $wait = $stop || keys %open >= $AT_ONCE ? 0.02 : $next - time;
        if (%open) {
            for my $socket ($select->can_read($wait > 0 ? $wait : 0)) {
                my $call = $open{fileno $socket};
                $end->($call) if more($call);
            }
        } elsif ($wait > 0) {
            sleep $wait;
        }
        $end->($_) for grep { $_->{sent} + $PATIENCE < $now } values %open;
    }
    close $out;
}


1;

package Perm::Load;

# Requests without end, from a process of its own: for tests of what happens
# to them meanwhile.
#
#   my $load = Perm::Load->start($t, uri => '/a', apps => [qw(a b)],
#       connections => 4,         # kept alive, one request on each at a time
#       rate => 500,              # requests a second, default 1000
#       times => 100,             # ends by itself after that many
#       pass => 1);               # ... after each app was sent that often
#   ... something happens ...
#   $load->n;                     # requests answered so far
#   $load->more(500);             # waits for so many more; true when they came
#   my $seen = $load->stop;       # or ->wait: what there was
#
#   $seen->{n}                    # answers
#   $seen->{lost}                 # connections that ended without one
#   $seen->{outcome}{'200 allow/resource_grant HIT'}   # how many, by status
#                                 #   and header X-Decision
#   $seen->{worst}                # the slowest one's seconds
#   $seen->{newest}{$app}         # when the newest one was sent
#
# Apps take turns.  A location shows its decision with
#   add_header X-Decision "$app_permission_decision/..." always;

use strict;
use warnings;

use IO::Select;
use POSIX ();
use Storable qw(store retrieve);
use Time::HiRes qw(time sleep);

use Perm::Http;
use Perm::Util qw(wait_for reap);

my $n = 0;


sub start {
    my ($class, $t, %o) = @_;

    my $self = bless { file => "$t->{dir}/load." . $n++, owner => $$,
        where => $o{port} // $t->{listen}, uri => $o{uri} // '/',
        apps => $o{apps}, connections => $o{connections} // 4,
        rate => $o{rate} // 1000,
        times => $o{pass} ? $o{pass} * @{$o{apps}} : $o{times} }, $class;

    pipe my $out, my $in or die "pipe: $!\n";

    $self->{pid} = fork // die "fork: $!\n";
    if (!$self->{pid}) {
        $SIG{INT} = 'DEFAULT';
        close $out;
        $in->autoflush(1);
        eval { $self->run($in) };
        print STDERR "load: $@" if $@;
        POSIX::_exit(0);
    }

    close $in;
    $self->{progress} = $out;
    wait_for(sub { $self->n }) or die "no answer to any request\n";
    return $self;
}


sub n {
    my ($self) = @_;
    my $select = IO::Select->new($self->{progress});

    while ($select->can_read(0)) {
        sysread $self->{progress}, my $bytes, 65536 or last;
        $self->{answered} += length $bytes;
    }
    return $self->{answered} // 0;
}


sub more {
    my ($self, $n, $timeout) = @_;
    $n += $self->n;
    return wait_for(sub { $self->n > $n }, $timeout // 20);
}


sub stop {
    my ($self) = @_;
    kill 'TERM', $self->{pid};
    return $self->wait;
}


sub wait {
    my ($self, $timeout) = @_;

    my $end = time + ($timeout // 60) * $Perm::Util::SLOW;
    while (time < $end) {
        $self->n;
        last if defined reap($self->{pid}, 0.05);
    }
    $self->{pid} = undef;
    return -e $self->{file} ? retrieve($self->{file})
                            : die "the load did not end\n";
}


sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    kill 'KILL', $self->{pid} if $self->{pid} && $self->{owner} == $$;
    reap($self->{pid}, 5) if $self->{pid} && $self->{owner} == $$;
}


# the child

sub run {
    my ($self, $progress) = @_;

    my $stop;
    local $SIG{TERM} = sub { $stop = 1 };
    my %seen = (n => 0, lost => 0, outcome => {}, worst => 0, newest => {});
    my $started = time;
    my ($sent, @idle, %busy) = (0);
    my $select = IO::Select->new;

    @idle = (undef) x $self->{connections};

    for ( ;; ) {
        my $now = time;
        my $done = $stop || defined $self->{times} && $sent >= $self->{times};
        last if $done && (!%busy || $stop && $now > $stop + 10);
        $stop = $now if $stop && $stop == 1;

        while (!$done && @idle && $sent < ($now - $started) * $self->{rate}) {
            my $c = shift(@idle) // Perm::Http->connect($self->{where});
            if (!$c) {
                $seen{refused}++;
                push @idle, undef;
                last;
            }
            my $app = $self->{apps}[$sent++ % @{$self->{apps}}];
            $c->send("GET $self->{uri} HTTP/1.1\r\nHost: localhost\r\n"
                . "X-App: $app\r\n\r\n");
            $seen{newest}{$app} = time;
            $busy{fileno $c->{socket}} = [$c, $app, time];
            $select->add($c->{socket});
            $done = defined $self->{times} && $sent >= $self->{times};
        }

        for my $socket ($select->can_read(@idle ? 0.001 : 0.05)) {
            my ($c, $app, $begun) = @{delete $busy{fileno $socket}};
            $select->remove($socket);
            my $r = $c->response('GET', 10);

            if (!$r) {
                $seen{lost}++;
                $seen{lost_app}{$app} = $begun;
                push @idle, undef;
                next;
            }

            my $took = time - $begun;
            $seen{worst} = $took if $took > $seen{worst};
            $seen{n}++;
            my $decision = $r->{headers}{'x-decision'};
            $seen{outcome}{$r->{status}
                . (defined $decision ? " $decision" : '')}++;
            syswrite $progress, '.';
            push @idle, ($r->{headers}{connection} // '') eq 'close'
                ? undef : $c;
        }
    }

    store(\%seen, "$self->{file}.new");
    rename "$self->{file}.new", $self->{file};
}


1;

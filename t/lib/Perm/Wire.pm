package Perm::Wire;

# A proxy between nginx and Redis that knows the frames of both directions, and
# has the timing of replies and pushes in its hand.
#
#   my $wire = Perm::Wire->start(to => $redis->{socket}, seed => 7,
#       late => $file);         # how late it is itself, as Perm::Late has it
#   $wire->set(name => value, ...);      # the others stay; undef: as usual
#       hold    => [0.3, 0],    # seconds that the connections with pushes are
#                               #   late, in turn, the oldest first; a new one
#                               #   is as late as the one before the newest
#       late    => 0.2,         # ... that all other replies are late
#       jitter  => 0.1,         # each connection is late by its own share
#       double  => 1,           # each push comes twice
#       trickle => 1,           # a byte at a time
#       time    => -60,         # seconds that Redis's TIME is off
#       refuse  => 1,           # what is open ends, nothing is accepted
#       swallow => 2,           # that often a connection ends when a ZADD comes,
#                               #   which Redis never sees
#   $wire->cut(times => 2, after => 17, reset => 1, which => 'push');
#                               # ends a connection that many bytes (modulo its
#                               #   length) into the next "push", "reply" or
#                               #   either ("any"), or "command" of nginx
#   $wire->silence;             # what is open stays, but not a byte comes
#                               #   through any more
#   $wire->left                 # cuts that are still to come
#   $wire->tcp_url  $wire->{port}
#
# What is late keeps its order on its connection, as it does in TCP.

use strict;
use warnings;

use Perm::Controlled;
use Perm::Util qw(free_port);

our @ISA = qw(Perm::Controlled);


sub start {
    my ($class, %o) = @_;
    my $self = bless { port => $o{port} // free_port() }, $class;
    my $listen = $self->listener;

    return $self->launch(sub {
        my ($control) = @_;
        srand $o{seed} // 1;
        Perm::Wire::Server->new($listen, $control, %o)->loop;
    });
}


sub set     { my $self = shift; $self->ask('set', {@_}) }
sub cut     { my $self = shift; $self->ask('cut', {@_}) }
sub silence { $_[0]->ask('silence') }
sub left    { $_[0]->ask('left') }


package Perm::Wire::Server;

use strict;
use warnings;

use IO::Handle;
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER TCP_NODELAY);
use Time::HiRes qw(time);

use Perm::Controlled qw(obey);
use Perm::Frames qw(more take_command take_reply bulk);


sub new {
    my ($class, $listen, $control, %o) = @_;
    my $self = bless { listen => $listen, control => $control, to => $o{to},
                       set => {}, cut => undef, links => {}, n => 0 }, $class;
    if ($o{late}) {
        open $self->{late}, '>>', $o{late} or die "$o{late}: $!\n";
        $self->{late}->autoflush(1);
    }
    return $self;
}


# what came since then had to wait

sub was_late {
    my ($self, $since) = @_;
    my $late = time - $since;
    printf {$self->{late}} "%.3f %.3f\n", $since, $late
        if $self->{late} && $late > 0.01;
}


my %CONTROL = (
    set => sub {
        my ($self, $set) = @_;
        $self->{set}{$_} = $set->{$_} for keys %$set;
        $self->end($_) for $set->{refuse} ? $self->all : ();
        my @pushed = $set->{hold} ? $self->pushed : ();
        $pushed[$_]{turn} = $_ for 0 .. $#pushed;
        return 1;
    },
    cut     => sub { $_[0]{cut} = $_[1]; 1 },
    left    => sub { ($_[0]{cut} // {})->{times} // 0 },
    silence => sub { $_->{silent} = 1 for $_[0]->all; 1 },
);


# in the order they were made in

sub all {
    my ($self) = @_;
    my %seen;
    return sort { $a->{n} <=> $b->{n} }
        grep { !$seen{$_}++ } values %{$self->{links}};
}


sub pushed { grep { $_->{push} && !$_->{silent} } $_[0]->all }


sub loop {
    my ($self) = @_;

    for (my $begun = time; ; $self->was_late($begun)) {
        my $wait = 5;
        for my $link ($self->all) {
            $self->deliver($link);
            my $first = $link->{queue}[0] or next;
            my $left = $first->[0] - time;
            $wait = $left if $left < $wait;
        }

        my $select = IO::Select->new($self->{control}, $self->{listen},
            map { $_->{silent} ? () : ($_->{client}, $_->{server}) }
                $self->all);

        my @ready = $select->can_read($wait > 0 ? $wait : 0);
        $begun = time;

        for my $handle (@ready) {
            my $fd = fileno $handle;
            next unless defined $fd;

            if ($handle == $self->{control}) {
                obey($handle, \%CONTROL, $self) or return;
            } elsif ($handle == $self->{listen}) {
                $self->accept;
            } elsif (my $link = $self->{links}{$fd}) {
                $handle == $link->{client} ? $self->from_client($link)
                                           : $self->from_server($link);
            }
        }
    }
}


sub accept {
    my ($self) = @_;
    my $client = $self->{listen}->accept or return;
    my $server = !$self->{set}{refuse}
        && IO::Socket::UNIX->new(Peer => $self->{to});
    return close $client unless $server;
    setsockopt $client, IPPROTO_TCP, TCP_NODELAY, 1;

    my $link = { client => $client, server => $server, in => '', back => '',
                 asked => [], queue => [], n => $self->{n}++,
                 share => rand };
    $self->{links}{fileno $_} = $link for $client, $server;
}


sub end {
    my ($self, $link, $reset) = @_;
    for my $socket ($link->{client}, $link->{server}) {
        delete $self->{links}{fileno $socket};
        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $reset;
        close $socket;
    }
    $link->{queue} = [];
}


sub from_client {
    my ($self, $link) = @_;

    more($link->{client}, \$link->{in}) or return $self->end($link);

    while (my ($raw, @words) = take_command(\$link->{in})) {
        return $self->end($link)
            if $words[0] =~ /^zadd$/i && ($self->{set}{swallow} // 0) > 0
               && $self->{set}{swallow}--;
        return $self->end_within($link->{server}, $raw, $link)
            if $self->cuts('command');
        syswrite $link->{server}, $raw;
        if ($words[0] =~ /^subscribe$/i) {
            my ($newest) = reverse $self->pushed;
            @$link{'push', 'turn'} = (1, $newest ? $newest->{turn} + 1 : 0);
        }
        push @{$link->{asked}}, lc $words[0];
    }
}


sub from_server {
    my ($self, $link) = @_;

    more($link->{server}, \$link->{back}) or return $self->end($link);

    while (my $frame = take_reply(\$link->{back})) {
        my $pushed = $frame =~ /\A\*3\r\n\$7\r\nmessage\r\n/;
        my $asked = $pushed ? '' : shift(@{$link->{asked}}) // '';

        $frame = $self->other_time($frame) if $asked eq 'time';
        $frame .= $frame if $pushed && $self->{set}{double};
        $self->queue($link, $frame);
    }
    $self->deliver($link);
}


sub other_time {
    my ($self, $frame) = @_;
    my $off = $self->{set}{time} or return $frame;
    my ($second, $rest) = $frame =~ /\A\*2\r\n\$\d+\r\n(\d+)\r\n(.*)\z/s
        or return $frame;
    return "*2\r\n" . bulk($second + $off) . $rest;
}


# not before what is in front of it

sub queue {
    my ($self, $link, $bytes) = @_;
    my $set = $self->{set};
    my $late = ($set->{jitter} // 0) * $link->{share};

    if (!$link->{push}) {
        $late += $set->{late} // 0;
    } elsif ($set->{hold}) {
        $late += $set->{hold}[$link->{turn} % @{$set->{hold}}];
    }

    my $due = time + $late;
    my $last = $link->{queue}[-1];
    $due = $last->[0] if $last && $last->[0] > $due;

    push @{$link->{queue}}, $set->{trickle} && length $bytes < 2000
        ? map { [$due, $_] } split //, $bytes : [$due, $bytes];
}


sub deliver {
    my ($self, $link) = @_;
    my $now = time;
    return if $link->{silent};

    while ($link->{queue}[0] && $link->{queue}[0][0] <= $now) {
        my ($due, $bytes) = @{shift @{$link->{queue}}};
        $self->was_late($due);
        return $self->end_within($link->{client}, $bytes, $link)
            if $self->cuts($link->{push} ? 'push' : 'reply');
        syswrite $link->{client}, $bytes;
    }
}


# whether a connection is to end now, within something of that kind

sub cuts {
    my ($self, $kind) = @_;
    my $cut = $self->{cut} or return;
    return $cut->{times} > 0
        && ($cut->{which} eq $kind
            || $cut->{which} eq 'any' && $kind ne 'command')
        && $cut->{times}--;
}

sub end_within {
    my ($self, $to, $bytes, $link) = @_;
    my $cut = $self->{cut};
    syswrite $to, substr $bytes, 0, $cut->{after} % length $bytes;
    $self->end($link, $cut->{reset});
}


1;

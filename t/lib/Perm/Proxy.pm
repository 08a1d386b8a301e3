package Perm::Proxy;

# A TCP proxy: a load balancer, or a firewall that forgets connections.
#
#   my $proxy = Perm::Proxy->start(to => "127.0.0.1:$port");
#   $proxy->to("127.0.0.2:$port");   # of new connections; the others stay
#   $proxy->drop;                    # what is open ends, with a reset
#   $proxy->silence;                 # what is open stays, but no byte of it
#                                    #   comes through any more
#   $proxy->connections;             # open, and not silenced
#   $proxy->accepted;                # since the start
#   $proxy->{port}

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
        Perm::Proxy::Server->new($listen, $control, $o{to})->loop;
    });
}


sub to          { $_[0]->ask('to', $_[1]) }
sub drop        { $_[0]->ask('drop') }
sub silence     { $_[0]->ask('silence') }
sub connections { $_[0]->ask('connections') }
sub accepted    { $_[0]->ask('accepted') }


package Perm::Proxy::Server;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER);

use Perm::Controlled qw(obey);


sub new {
    my ($class, $listen, $control, $to) = @_;
    return bless { listen => $listen, control => $control, to => $to,
                   peer => {}, silent => [], accepted => 0 }, $class;
}


my %CONTROL = (
    to          => sub { $_[0]{to} = $_[1] },
    connections => sub { keys(%{$_[0]{peer}}) / 2 },
    accepted    => sub { $_[0]{accepted} },

    silence => sub {
        my ($self) = @_;
        push @{$self->{silent}}, map { $_->{from} } values %{$self->{peer}};
        $self->{peer} = {};
        return 1;
    },

    drop => sub {
        my ($self) = @_;
        $self->end($_) for map { $_->{from} } values %{$self->{peer}};
        return 1;
    },
);


# "peer" knows both sockets of a connection, by their descriptors

sub loop {
    my ($self) = @_;

    for ( ;; ) {
        my $select = IO::Select->new($self->{control}, $self->{listen},
            map { $_->{from} } values %{$self->{peer}});

        for my $handle ($select->can_read) {
            my $fd = fileno $handle;
            next unless defined $fd;

            if ($handle == $self->{control}) {
                obey($handle, \%CONTROL, $self) or return;
            } elsif ($handle == $self->{listen}) {
                $self->accept;
            } elsif ($self->{peer}{$fd}) {
                sysread $handle, my $bytes, 65536;
                length($bytes // '')
                    ? syswrite $self->{peer}{$fd}{to}, $bytes
                    : $self->end($handle);
            }
        }
    }
}


sub accept {
    my ($self) = @_;
    my $client = $self->{listen}->accept or return;
    my $server = IO::Socket::INET->new(PeerAddr => $self->{to})
        or return close $client;

    $self->{accepted}++;
    $self->{peer}{fileno $client} = { from => $client, to => $server };
    $self->{peer}{fileno $server} = { from => $server, to => $client };
}


# a reset, whatever is unread

sub end {
    my ($self, $handle) = @_;
    my $pair = delete $self->{peer}{fileno($handle) // -1} or return;
    delete $self->{peer}{fileno $pair->{to}};

    for my $socket ($pair->{from}, $pair->{to}) {
        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
        close $socket;
    }
}


1;

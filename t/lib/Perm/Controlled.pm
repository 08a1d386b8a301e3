package Perm::Controlled;

# A server in a process of its own, which the test asks for things.
#
#   our @ISA = qw(Perm::Controlled);
#   my $self = bless { port => free_port() }, $class;
#   my $listen = $self->listener;      # of that port
#   return $self->launch(sub { my ($control) = @_; ... });   # there; its loop
#                                      #   ends when obey() says so
#   $self->ask('rules', $value);       # from the test: what CONTROL returns
#   obey($control, \%CONTROL, $server) # in the loop, when $control can be read:
#                                      #   calls $CONTROL{rules}->($server,
#                                      #   $value).  False: the test is gone
#   $self->stop;

use strict;
use warnings;

use Exporter qw(import);
use IO::Socket::INET;
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);
use Storable qw(freeze thaw);

use Perm::Util qw(reap);

our @EXPORT_OK = qw(obey);


sub listener {
    my ($self) = @_;
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128,
        LocalPort => $self->{port}, ReuseAddr => 1)
        || die ref $self, ", port $self->{port}: $!\n";
}


sub launch {
    my ($self, $loop) = @_;
    socketpair my $here, my $there, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "socketpair: $!\n";

    $self->{owner} = $$;
    $self->{pid} = fork // die "fork: $!\n";
    if (!$self->{pid}) {
        $SIG{INT} = $SIG{TERM} = 'DEFAULT';
        $SIG{PIPE} = 'IGNORE';
        close $here;
        eval { $loop->($there) };
        print STDERR ref $self, ": $@" if $@;
        POSIX::_exit(0);
    }

    close $there;
    $self->{control} = $here;
    return $self;
}


sub tcp_url { "redis://127.0.0.1:$_[0]{port}" }

sub ask {
    my ($self, @message) = @_;
    put($self->{control}, \@message);
    return take($self->{control})->[0];
}

sub obey {
    my ($handle, $control, $server) = @_;
    my ($what, $value) = @{take($handle) // return 0};
    put($handle, [scalar $control->{$what}->($server, $value)]);
    return 1;
}


sub put {
    my ($handle, $message) = @_;
    my $bytes = freeze($message);
    $bytes = pack('N', length $bytes) . $bytes;
    while (length $bytes) {
        my $n = syswrite $handle, $bytes or return;
        substr $bytes, 0, $n, '';
    }
}

sub take {
    my ($handle) = @_;
    my $bytes = '';

    for ( ;; ) {
        sysread $handle, $bytes, 65536, length $bytes or return undef;
        next if length $bytes < 4;
        my $size = unpack 'N', $bytes;
        return thaw(substr $bytes, 4) if length($bytes) >= 4 + $size;
    }
}


sub stop {
    my ($self) = @_;
    return unless $self->{pid} && $self->{owner} == $$;
    kill 'KILL', $self->{pid};
    reap($self->{pid}, 5);
    $self->{pid} = undef;
}

sub DESTROY {
    local ($?, $@, $!);
    $_[0]->stop;
}


1;

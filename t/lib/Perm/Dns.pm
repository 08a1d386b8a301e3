package Perm::Dns;

# A DNS server of one zone: every name has the addresses that it is told, with
# a time to live of a second.
#
#   my $dns = Perm::Dns->start(dir => $dir, port => $port);
#   $dns->names('127.0.0.2', '127.0.0.3');
#   $dns->names('none');       # no such name
#   $dns->names('silent');     # no answer
#   $dns->queries;             # how many there were

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();

use Perm::Util qw(slurp spew reap);


sub start {
    my ($class, %o) = @_;
    my $self = bless { zone => "$o{dir}/zone", log => "$o{dir}/queries",
                       owner => $$ }, $class;

    my $socket = IO::Socket::INET->new(Proto => 'udp',
        LocalAddr => '127.0.0.1', LocalPort => $o{port}) or die "DNS: $!\n";
    $self->names('none');

    $self->{pid} = fork // die "fork: $!\n";
    if (!$self->{pid}) {
        $SIG{INT} = $SIG{TERM} = 'DEFAULT';
        open my $log, '>>', $self->{log};
        while (my $from = $socket->recv(my $query, 512)) {
            my $answer = $self->resolve($query);
            syswrite $log, '.';
            $socket->send($answer, 0, $from) if defined $answer;
        }
        POSIX::_exit(0);
    }
    return $self;
}


sub names {
    my ($self, @addrs) = @_;
    spew("$self->{zone}.new", join ' ', @addrs);
    rename "$self->{zone}.new", $self->{zone};
}

sub queries { length slurp($_[0]{log}) }


sub resolve {
    my ($self, $query) = @_;
    my ($id) = unpack 'n', $query;
    my $text = slurp($self->{zone});
    return if $text eq 'silent';

    my $end = index $query, "\0", 12;
    my $question = substr $query, 12, $end + 5 - 12;
    my ($type) = unpack 'n', substr $question, -4;
    my @addrs = $text eq 'none' ? () : split ' ', $text;
    my $rcode = @addrs ? 0 : 3;
    @addrs = () if $type != 1;

    return pack('n6', $id, 0x8180 | $rcode, 1, scalar @addrs, 0, 0) . $question
        . join '', map { pack('n3Nn', 0xc00c, 1, 1, 1, 4)
                         . pack 'C4', split /\./ } @addrs;
}


sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    return unless $self->{pid} && $self->{owner} == $$;
    kill 'KILL', $self->{pid};
    reap($self->{pid}, 5);
}


1;

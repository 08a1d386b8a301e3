package Perm::Http;

# A client that sends the bytes it is told to, and reads answers one by one:
# for keep-alive, pipelining, HEAD, HTTP/1.0 and malformed requests.
#
#   my $c = Perm::Http->connect($port_or_unix_socket_path);
#   $c->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
#   my $r = $c->response;            # ->response('HEAD') when no body follows
#   $r->{status}  $r->{body}  $r->{raw}
#   $r->{headers}{'content-type'}    # the last of that name
#   $r->{fields}                     # [[name, value], ...] as they came
#   $c->closed                       # the server closed (waits for it)

use strict;
use warnings;

use Errno;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Time::HiRes qw(time);

use Perm::Util;


sub connect {
    my ($class, $where) = @_;

    my $socket = $where =~ m{^/}
        ? IO::Socket::UNIX->new(Peer => $where)
        : IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $where);

    return undef unless $socket;
    return bless { socket => $socket, buffer => '' }, $class;
}


sub send {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';

    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes;
        next if !defined $n && $!{EINTR};
        return 0 unless $n;
        substr $bytes, 0, $n, '';
    }

    return 1;
}


# reads more; 0 at the end or when nothing came for $timeout seconds, whatever
# signals come meanwhile

sub more {
    my ($self, $timeout) = @_;
    my $select = IO::Select->new($self->{socket});
    my $end = time + ($timeout // 10) * $Perm::Util::SLOW;

    for ( ;; ) {
        my $left = $end - time;
        if (!$select->can_read($left > 0 ? $left : 0)) {
            return 0 if $left <= 0;
            next;
        }

        my $n = sysread $self->{socket}, $self->{buffer}, 65536,
            length $self->{buffer};
        return $n if defined $n || !$!{EINTR};
    }
}


sub closed {
    my ($self, $timeout) = @_;
    my $n = $self->more($timeout);
    return defined $n && $n == 0 && $self->{buffer} eq '';
}


sub response {
    my ($self, $method, $timeout) = @_;

    my $end;
    while (($end = index $self->{buffer}, "\r\n\r\n") < 0) {
        $self->more($timeout) or return undef;
    }

    my $head = substr $self->{buffer}, 0, $end + 4, '';

    my ($status_line, @lines) = split /\r\n/, $head;
    my ($status) = $status_line =~ m{^HTTP/1\.[01] (\d{3})} or return undef;
    my @fields = map { [/^([^:]+):[ \t]*(.*)$/s] } @lines;
    my %headers = map { lc $_->[0] => $_->[1] } @fields;

    my $body = '';

    if (($method // '') eq 'HEAD' || $status =~ /^(1..|204|304)$/) {
        # no body follows: what does is one all the same

        if (lc($headers{connection} // '') eq 'close') {
            while ($self->more($timeout)) { }
            $body = $self->{buffer};
            $self->{buffer} = '';
        }

    } elsif (($headers{'transfer-encoding'} // '') eq 'chunked') {
        $body = $self->chunked($timeout) // return undef;

    } elsif (defined $headers{'content-length'}) {
        while (length $self->{buffer} < $headers{'content-length'}) {
            $self->more($timeout) or return undef;
        }
        $body = substr $self->{buffer}, 0, $headers{'content-length'}, '';

    } else {
        while ($self->more($timeout)) { }
        $body = $self->{buffer};
        $self->{buffer} = '';
    }

    return { status => $status, headers => \%headers, fields => \@fields,
             body => $body, raw => $head . $body };
}


sub chunked {
    my ($self, $timeout) = @_;
    my $body = '';

    for ( ;; ) {
        my $end;
        while (($end = index $self->{buffer}, "\r\n") < 0) {
            $self->more($timeout) or return undef;
        }
        my ($size, $at) = (hex substr($self->{buffer}, 0, $end), $end + 2);

        while (length $self->{buffer} < $at + $size + 2) {
            $self->more($timeout) or return undef;
        }
        $body .= substr $self->{buffer}, $at, $size;
        substr $self->{buffer}, 0, $at + $size + 2, '';
        return $body unless $size;
    }
}


# One request on a connection of its own.  $options: method, headers (hash or
# list of pairs), app (for the header X-App), body, version, host, timeout.

sub request {
    my ($class, $where, $uri, %o) = @_;

    my $c = $class->connect($where) or return undef;
    $c->send($class->text($uri, close => 1, %o));
    return $c->response($o{method}, $o{timeout});
}


# the bytes of a request

sub text {
    my ($class, $uri, %o) = @_;

    my @headers = ref $o{headers} eq 'HASH'
        ? map { [$_, $o{headers}{$_}] } sort keys %{$o{headers}}
        : @{$o{headers} // []};
    push @headers, ['X-App', $o{app}] if defined $o{app};
    my $version = $o{version} // '1.1';

    return join "\r\n",
        ($o{method} // 'GET') . " $uri HTTP/$version",
        ($version eq '1.1' ? ('Host: ' . ($o{host} // 'localhost')) : ()),
        ($o{close} && $version eq '1.1' ? 'Connection: close' : ()),
        (defined $o{body} ? 'Content-Length: ' . length $o{body} : ()),
        (map { "$_->[0]: $_->[1]" } @headers),
        '', $o{body} // '';
}


1;

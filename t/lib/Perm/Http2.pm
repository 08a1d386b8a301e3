package Perm::Http2;

# As much of HTTP/2 as the tests need: requests on one connection, with bodies
# that come late or never, and answers as status and body.
#
#   my $c = Perm::Http2->connect($port);
#   my $id = $c->request('/a', method => 'POST', app => 'demo', open => 1);
#   $c->data($id, 'bytes', 1);              # 1: the last
#   my $r = $c->response($id);              # {status, block, body, reset}
#   my $r = $c->get('/a', app => 'demo');   # both

use strict;
use warnings;

use Perm::Http;

my %STATUS = (8 => 200, 9 => 204, 10 => 206, 11 => 304, 12 => 400, 13 => 404,
              14 => 500);


sub connect {
    my ($class, $where) = @_;
    my $http = Perm::Http->connect($where) or return undef;
    my $self = bless { http => $http, next => 1, streams => {} }, $class;
    $http->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    $self->frame(4, 0, 0, '');
    return $self;
}


sub frame {
    my ($self, $type, $flags, $id, $payload) = @_;
    return $self->{http}->send(substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $id) . $payload);
}


sub integer {                            # with a 7-bit prefix
    my ($n) = @_;
    return chr $n if $n < 127;
    my $bytes = chr 127;
    for ($n -= 127; $n >= 128; $n >>= 7) { $bytes .= chr($n & 127 | 128) }
    return $bytes . chr $n;
}


sub request {
    my ($self, $path, %o) = @_;
    my $id = $self->{next};
    $self->{next} += 2;

    my $block = join '', map {
        "\0" . integer(length $_->[0]) . $_->[0]
             . integer(length $_->[1]) . $_->[1]
    } [':method', $o{method} // 'GET'], [':scheme', 'http'],
      [':path', $path], [':authority', $o{host} // 'localhost'],
      defined $o{app} ? ['x-app', $o{app}] : ();

    $self->{streams}{$id} = { body => '', block => '' };
    $self->frame(1, 4 | ($o{open} || defined $o{body} ? 0 : 1), $id, $block);
    $self->data($id, $o{body}, 1) if defined $o{body};
    return $id;
}


sub get { my $self = shift; return $self->response($self->request(@_)) }


sub data {
    my ($self, $id, $bytes, $last) = @_;
    while (length $bytes > 16384) {
        $self->frame(0, 0, $id, substr $bytes, 0, 16384, '');
    }
    $self->frame(0, $last ? 1 : 0, $id, $bytes);
}


sub response {
    my ($self, $id) = @_;
    my $stream = $self->{streams}{$id};

    until ($stream->{end} || defined $stream->{reset}) {
        my $http = $self->{http};
        while (length $http->{buffer} < 9
               || length $http->{buffer}
                  < 9 + unpack('N', "\0" . substr $http->{buffer}, 0, 3))
        {
            $http->more or return undef;
        }

        my $size = unpack('N', "\0" . substr $http->{buffer}, 0, 3, '');
        my ($type, $flags, $to) = unpack 'CCN', substr $http->{buffer}, 0, 6,
            '';
        my $payload = substr $http->{buffer}, 0, $size, '';
        my $s = $self->{streams}{$to} // {};

        if ($type == 0) {
            $s->{body} .= $payload;
        } elsif ($type == 1 || $type == 9) {
            $s->{block} .= $payload;
        } elsif ($type == 3) {
            $s->{reset} = unpack 'N', $payload;
        } elsif ($type == 4 && !($flags & 1)) {
            $self->frame(4, 1, 0, '');
        } elsif ($type == 7) {
            return undef;
        }
        $s->{end} = 1 if $type <= 1 && $flags & 1;
    }

    (my $block = $stream->{block}) =~ s/^[\x20-\x3f]//;
    $stream->{status} = $block =~ /^[\x48\x08\x18]\x03(\d{3})/ ? $1
        : $block =~ /^([\x80-\xff])/ ? $STATUS{ord($1) & 127} : undef;
    return $stream;
}


1;

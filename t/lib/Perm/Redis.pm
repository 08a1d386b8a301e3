package Perm::Redis;

# A real redis-server in a directory of its own, and a client of it.
#
#   my $redis = Perm::Redis->start(dir => $dir, conf => ['maxmemory 10mb']);
#   $redis->cmd('HSET', 'k', 'f', 'v');    # dies on an error reply
#   $redis->{socket}  $redis->{port}  $redis->url  $redis->tcp_url
#   $redis->load->grant(...)               # what is in it: see Perm::Table
#   $redis->empty                          # of everything
#   $redis->calls('hmget');                # how often it was asked that
#   $redis->listeners;                     # ids of the connections that hear
#                                          #   of changes; no Sentinel's
#   $redis->kill_listeners;                # ends them
#   $redis->untold('HDEL', ...);           # ... and makes a change, in one
#                                          #   step: nobody is told of it
#   $redis->stop;  $redis->kill;  $redis->pause;  $redis->resume;
#   $redis->run;                           # again, with the same address
#
# With "appendonly yes" what was acknowledged outlives $redis->kill.

use strict;
use warnings;

use IO::Socket::INET;
use IO::Socket::UNIX;

use Perm::Table;
use Perm::Util qw(wait_for free_port reap spawn);

our @ISA = qw(Perm::Table);


sub start {
    my ($class, %o) = @_;

    my $self = bless {
        dir => $o{dir}, conf => $o{conf} // [], bin => 'redis-server',
        port => $o{port} // free_port(), socket => "$o{dir}/redis.sock",
        prefix => $o{prefix}, password => $o{password},
        owner => $$,
    }, $class;

    mkdir $self->{dir} unless -d $self->{dir};
    return $self->run;
}


# An answer has to come after the write to the append-only file, for a test to
# kill the server and expect the data back.  "everysec", the default, puts the
# write off while the disk is busy with an fsync; "no" never does.  Without an
# fsync nothing is lost either as long as only the process dies, and no answer
# waits for the disk, as it would with "always".

sub run {
    my ($self) = @_;

    my @conf = map { split ' ', "--$_" } @{$self->{conf}};
    unlink $self->{socket};
    $self->{client} = undef;

    $self->{pid} = spawn("$self->{dir}/redis.log", $self->{bin},
        '--bind', '127.0.0.1', '--port', $self->{port}, '--dir', $self->{dir},
        '--unixsocket', $self->{socket}, '--unixsocketperm', '777',
        '--save', '', '--appendonly', 'no', '--appendfsync', 'no',
        '--daemonize', 'no', @conf);

    wait_for(sub { -S $self->{socket} && eval { $self->ping } })
        or die "redis-server did not start, see $self->{dir}/redis.log:\n",
               Perm::Util::slurp("$self->{dir}/redis.log");
    return $self;
}


sub ping {
    my ($self) = @_;
    $self->{client} //= Perm::Redis::Client->connect($self->{socket},
        $self->{password});
    return $self->{client}->cmd('PING') eq 'PONG' if eval {
        $self->{client}->cmd('PING');
    };
    return 1 if $@ =~ /^(NOAUTH|LOADING|NOPERM)/;
    $self->{client} = undef;
    return 0;
}


sub cmd {
    my $self = shift;
    $self->{client} //= Perm::Redis::Client->connect($self->{socket},
        $self->{password});
    return $self->{client}->cmd(@_);
}


# another connection, on a socket or a port

sub connect {
    my ($self) = @_;
    return Perm::Redis::Client->connect($self->{socket}, $self->{password});
}


sub at {
    my ($self, $key, $name, @args) = @_;
    return $self->cmd($name, $key, @args);
}

sub each {
    my ($self, @commands) = @_;
    return $self->connect->pipeline(map { [@$_[1, 0, 2 .. $#$_]] } @commands);
}


sub url     { "unix:$_[0]{socket}" }
sub tcp_url { "redis://127.0.0.1:$_[0]{port}" }


sub empty {
    my ($self) = @_;
    $self->cmd('FLUSHALL');
    return $self;
}


sub calls {
    my ($self, $command) = @_;
    return $self->cmd('INFO', 'commandstats')
        =~ /^cmdstat_\Q$command\E:calls=(\d+)/m ? $1 : 0;
}


sub listeners {
    my ($self) = @_;
    return map { /sub=1/ && !/ name=sentinel-/ && /^id=(\d+)/ ? $1 : () }
        split /\n/, $self->connect->cmd('CLIENT', 'LIST');
}

my @KILL = qw(CLIENT KILL TYPE pubsub);

sub kill_listeners { $_[0]->cmd(@KILL) }

sub untold {
    my ($self, @change) = @_;
    $self->together(\@KILL, \@change);
}


# commands in one step

sub together {
    my ($self, @commands) = @_;
    $self->connect->pipeline(['MULTI'], @commands, ['EXEC']);
}


sub signal {
    my ($self, $signal) = @_;
    kill $signal, $self->{pid} if $self->{pid};
}

sub pause  { $_[0]->signal('STOP') }
sub resume { $_[0]->signal('CONT') }


sub stop { $_[0]->end('TERM') }
sub kill { $_[0]->end('KILL') }

sub end {
    my ($self, $signal) = @_;

    return unless $self->{pid} && $self->{owner} == $$;
    CORE::kill 'CONT', $self->{pid};
    CORE::kill $signal, $self->{pid};
    if (!defined reap($self->{pid}, 10)) {
        CORE::kill 'KILL', $self->{pid};
        reap($self->{pid}, 5);
    }
    $self->{pid} = $self->{client} = undef;
}


sub DESTROY {
    local ($?, $@, $!);
    $_[0]->kill;
}


package Perm::Redis::Client;

use strict;
use warnings;


sub connect {
    my ($class, $where, $password) = @_;

    my $socket = $where =~ m{^/}
        ? IO::Socket::UNIX->new(Peer => $where)
        : IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $where);
    die "no Redis at $where: $!\n" unless $socket;

    my $self = bless { socket => $socket, buffer => '' }, $class;
    $self->cmd('AUTH', split /:/, $password) if defined $password;
    return $self;
}


sub encode {
    return join '', '*' . @_ . "\r\n",
        map { '$' . length($_) . "\r\n$_\r\n" } @_;
}


sub cmd {
    my ($self, @argv) = @_;

    $self->send(@argv);
    my $reply = $self->reply;

    # "%R~" and "%W~" are of Redis 7, see the manual

    if (ref $reply eq 'Perm::Redis::Error'
        && $$reply =~ /ACL SETUSER modifier '%/) {
        s/^%[RW]+~/~/ for @argv;
        $self->send(@argv);
        $reply = $self->reply;
    }

    die "$$reply\n" if ref $reply eq 'Perm::Redis::Error';
    return $reply;
}


sub send {
    my ($self, @argv) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $bytes = encode(@argv);

    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes;
        die "Redis: $!\n" unless $n;
        substr $bytes, 0, $n, '';
    }
}


# pipelined: the replies to all commands, errors as objects

sub pipeline {
    my ($self, @commands) = @_;
    my @replies;

    while (my @part = splice @commands, 0, 500) {
        $self->send(@$_) for @part;
        push @replies, map { $self->reply } @part;
    }
    return @replies;
}


sub line {
    my ($self) = @_;
    my $end;
    $self->fill while ($end = index $self->{buffer}, "\r\n") < 0;
    return substr substr($self->{buffer}, 0, $end + 2, ''), 0, $end;
}


sub fill {
    my ($self) = @_;
    my $n = sysread $self->{socket}, $self->{buffer}, 65536,
        length $self->{buffer};
    die "Redis closed the connection\n" unless $n;
}


sub reply {
    my ($self) = @_;
    my ($type, $rest) = $self->line =~ /^(.)(.*)$/s;

    return $rest if $type eq '+' || $type eq ':';
    return bless \$rest, 'Perm::Redis::Error' if $type eq '-';
    return undef if $rest < 0;
    return [map { $self->reply } 1 .. $rest] if $type eq '*';

    while (length $self->{buffer} < $rest + 2) { $self->fill }
    my $bulk = substr $self->{buffer}, 0, $rest;
    substr $self->{buffer}, 0, $rest + 2, '';
    return $bulk;
}


1;

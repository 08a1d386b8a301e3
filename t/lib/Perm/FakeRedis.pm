package Perm::FakeRedis;

# A Redis that answers as it is told: between nginx and a real one ("to"), or
# alone.  What no rule speaks of is passed on, or alone answered as an empty
# but loaded table would.
#
#   my $fake = $t->fake_redis(to => $redis);           # or without "to"
#   $fake->rules(
#       { match => qr/^HMGET/i, reply => "-LOADING busy\r\n" },
#       { match => qr/^HMGET .*:demo/i, times => 2, delay => 0.3 },
#       { match => qr/^HMGET/, hold => 1 },     # waits for "release"
#       { match => qr/./, hang => 1 },          # never answers; what follows
#                                               #   on that connection neither
#       { match => qr/./, reply => "\$100\r\nab", close => 1 },   # then close
#       { match => qr/^PING/i, close => 1 },    # reset => 1: with RST
#       { match => qr/^EVAL/, lose => 1 },      # done, but closed before it says so
#   );
#   $fake->rules;                  # none: as the real one
#   $fake->time($second);          # the only rule: what it says the time is
#   $fake->release;                # what is held or delayed goes on at once
#   $fake->refuse(1);              # closes what is open and accepts nothing
#   $fake->commands(qr/^HMGET/i);  # those seen so far, words with blanks
#   $fake->answered(qr/^HMGET/i);  # ... those of them that have their reply
#   $fake->lookups($app);          # how many of this app it has seen
#   $fake->connections;            # open now
#   $fake->forget;                 # commands seen start anew
#   $fake->url  $fake->tcp_url  $fake->{port}  $fake->{socket}
#
# Replies to write into rules: bulk('text'), grants($gateway, $resource) (their
# expiry times, undef where there is none), and sentinel($port), a whole rule.
#
# A rule is matched against the words of a command joined with blanks.  The
# first that matches counts, "times" times.  delay: seconds before the reply
# (or before passing on); later replies on that connection wait behind it.

use strict;
use warnings;

use IO::Select;
use IO::Socket::UNIX;

use Perm::Controlled;
use Perm::Frames qw(bulk);
use Perm::Util qw(free_port);

our @ISA = qw(Perm::Controlled);


sub start {
    my ($class, %o) = @_;

    mkdir $o{dir};
    my $self = bless {
        socket => "$o{dir}/redis.sock", port => $o{port} // free_port(),
        to => $o{to} && $o{to}{socket},
    }, $class;

    unlink $self->{socket};
    my $unix = IO::Socket::UNIX->new(Local => $self->{socket}, Listen => 128)
        or die "fake Redis: $!\n";
    chmod 0777, $self->{socket};

    my @listen = ($unix, $self->listener);
    return $self->launch(sub {
        my ($control) = @_;
        Perm::FakeRedis::Server->new($self, $control, @listen)->loop;
    });
}


sub url { "unix:$_[0]{socket}" }


sub grants { "*2\r\n" . bulk($_[0]) . bulk($_[1]) }

sub sentinel {
    my ($port, $host) = @_;
    return { match => qr/^SENTINEL/i,
             reply => "*2\r\n" . bulk($host // '127.0.0.1') . bulk($port) };
}


sub rules {
    my ($self, @rules) = @_;
    $self->ask('rules', [map { { %$_, match => "$_->{match}" } } @rules]);
    return $self;
}

sub time {
    my ($self, $second) = @_;
    return $self->rules({ match => qr/^TIME$/,
        reply => "*2\r\n" . bulk(int $second) . bulk(0) });
}

sub release     { $_[0]->ask('release') }
sub refuse      { $_[0]->ask('refuse', $_[1] ? 1 : 0) }
sub forget      { $_[0]->ask('forget') }
sub connections { $_[0]->ask('connections') }

sub commands {
    my ($self, $pattern) = @_;
    return grep { !$pattern || $_ =~ $pattern } @{$self->ask('commands')};
}

sub lookups {
    my ($self, $app) = @_;
    return scalar $self->commands(qr/^HMGET .*\{\w+:\Q$app\E\}/);
}

sub answered {
    my ($self, $pattern) = @_;
    return grep { !$pattern || $_ =~ $pattern } @{$self->ask('answered')};
}


package Perm::FakeRedis::Server;

use strict;
use warnings;

use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);

use Perm::Controlled qw(obey);
use Perm::Frames qw(more take_command take_reply bulk);


sub new {
    my ($class, $fake, $control, @listen) = @_;
    return bless { to => $fake->{to}, control => $control,
                   listen => \@listen, rules => [], seen => [],
                   answered => [], refuse => 0, clients => {} }, $class;
}


# what the test asks for

my %CONTROL = (
    rules => sub {
        my ($self, $rules) = @_;
        $self->{rules} = [map { { %$_, match => qr/$_->{match}/ } } @$rules];
    },
    release => sub {
        $_->{until} = 0 for map { @{$_->{queue}} } values %{$_[0]{clients}};
    },
    refuse => sub {
        my ($self, $on) = @_;
        $self->{refuse} = $on;
        $self->drop($_) for $on ? values %{$self->{clients}} : ();
    },
    commands    => sub { $_[0]{seen} },
    answered    => sub { $_[0]{answered} },
    forget      => sub { @{$_[0]}{qw(seen answered)} = ([], []) },
    connections => sub { scalar keys %{$_[0]{clients}} },
);


sub loop {
    my ($self) = @_;

    for ( ;; ) {
        my $now = time;
        my $wait = 10;

        for my $client (values %{$self->{clients}}) {
            $self->advance($client, $now);
            my $until = $client->{queue}[0] && $client->{queue}[0]{until};
            $wait = $until - $now if $until && $until - $now < $wait;
        }

        my %server = map { fileno $_->{server} => $_ }
            grep { $_->{server} } values %{$self->{clients}};
        my $select = IO::Select->new($self->{control}, @{$self->{listen}},
            map { $_->{socket}, $_->{server} || () }
                values %{$self->{clients}});

        for my $handle ($select->can_read($wait > 0 ? $wait : 0)) {
            my $fd = fileno $handle;
            next unless defined $fd;

            if ($handle == $self->{control}) {
                obey($handle, \%CONTROL, $self) or return;
            } elsif (grep { $_ == $handle } @{$self->{listen}}) {
                $self->accept($handle);
            } elsif ($server{$fd}) {
                $self->from_server($server{$fd});
            } elsif ($self->{clients}{$fd}) {
                $self->from_client($self->{clients}{$fd});
            }
        }
    }
}


sub accept {
    my ($self, $listen) = @_;

    my $socket = $listen->accept or return;
    return close $socket if $self->{refuse};

    my $server = $self->{to} && IO::Socket::UNIX->new(Peer => $self->{to});
    return close $socket if $self->{to} && !$server;

    $self->{clients}{fileno $socket} = { socket => $socket, in => '',
        server => $server, back => '', queue => [] };
}


sub drop {
    my ($self, $client) = @_;
    delete $self->{clients}{fileno $client->{socket}};
    close $client->{socket};
    close $client->{server} if $client->{server};
}


sub from_client {
    my ($self, $client) = @_;

    more($client->{socket}, \$client->{in}) or return $self->drop($client);

    while (my ($raw, @words) = take_command(\$client->{in})) {
        my $line = join ' ', @words;
        push @{$self->{seen}}, $line;
        push @{$client->{queue}}, $self->plan($line, $raw, @words);
    }

    $self->advance($client, time);
}


# what to do for a command: an entry of its connection's queue

sub plan {
    my ($self, $line, $raw, @words) = @_;

    for my $rule (@{$self->{rules}}) {
        next if $line !~ $rule->{match};
        next if defined $rule->{times} && $rule->{times}-- <= 0;
        return { raw => $raw, words => \@words, %$rule,
                 until => $rule->{hold} ? 9e99
                        : $rule->{delay} ? time + $rule->{delay} : 0 };
    }

    return { raw => $raw, words => \@words };
}


# Takes the queue as far as it goes.  With a real server behind, "sent" marks
# the entry whose reply is awaited; one at a time keeps the order.

sub advance {
    my ($self, $client, $now) = @_;

    while (my $entry = $client->{queue}[0]) {
        return if $entry->{hang} || $entry->{sent};
        return if $entry->{until} && $entry->{until} > $now;

        if (defined $entry->{reply} || $entry->{close}) {
            syswrite $client->{socket}, $entry->{reply}
                if length($entry->{reply} // '');
            setsockopt $client->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
                if $entry->{reset};
            return $self->drop($client) if $entry->{close};

        } elsif ($client->{server}) {
            syswrite $client->{server}, $entry->{raw};
            if ($entry->{words}[0] =~ /subscribe/i) {
                $client->{raw} = 1;
            } elsif (!$client->{raw}) {
                $entry->{sent} = 1;
                return;
            }

        } else {
            syswrite $client->{socket}, alone(@{$entry->{words}});
        }

        $self->done($client);
    }
}


# the first of the queue has its reply

sub done {
    my ($self, $client) = @_;
    my $entry = shift @{$client->{queue}};
    push @{$self->{answered}}, join ' ', @{$entry->{words}};
}


sub from_server {
    my ($self, $client) = @_;

    more($client->{server}, \$client->{back}) or return $self->drop($client);

    if ($client->{raw} || ($client->{queue}[0]
        && $client->{queue}[0]{words}[0] =~ /subscribe/i))
    {
        syswrite $client->{socket}, $client->{back};
        $client->{back} = '';
        return;
    }

    while (my $reply = take_reply(\$client->{back})) {
        return $self->drop($client) if ($client->{queue}[0] // {})->{lose};
        syswrite $client->{socket}, $reply;
        $self->done($client) if $client->{queue}[0]{sent};
        $self->advance($client, time);
    }
}


# alone: an empty, loaded table

sub alone {
    my ($name, @args) = @_;
    $name = lc $name;

    return "\$1\r\n1\r\n"           if $name eq 'hget';
    return '*' . $#args . "\r\n" . join '', map {
        bulk($_ eq 'schema' ? 1 : undef)
    } @args[1 .. $#args]            if $name eq 'hmget';
    return "+PONG\r\n"              if $name eq 'ping';
    return ":7\r\n"                 if $name eq 'client' && lc $args[0] eq 'id';
    return ":1\r\n"                 if $name eq 'zadd';
    return ":-1\r\n"                if $name eq 'pttl';
    return "*2\r\n" . bulk(int time)
        . bulk(0)  if $name eq 'time';
    return "*3\r\n\$9\r\nsubscribe\r\n\$" . length($args[0])
        . "\r\n$args[0]\r\n:1\r\n"  if $name eq 'subscribe';
    return "*3\r\n\$6\r\nmaster\r\n:0\r\n*0\r\n" if $name eq 'role';
    return "+OK\r\n";
}


1;

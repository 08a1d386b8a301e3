package Perm::Sentinels;

# A master, a replica of it, and Sentinels that watch them.
#
#   my $s = Perm::Sentinels->start(dir => "$t->{dir}/s",
#       n => 3,                     # of Sentinels, default 3
#       password => 'sesame',       # the Sentinels' own
#       down => 500,                # ms without an answer until a server counts
#                                   #   as down.  A Sentinel connects again only
#                                   #   once a second: with less than that, a
#                                   #   connection that ends may do
#       conf => [...]);             # more for both servers
#   $s->url                         # redis+sentinel://…/mine, without password
#   $s->url('sesame')               # … with the one for the Sentinels
#   $s->master  $s->replica         # Perm::Redis
#   $s->failover                    # forced; returns when the Sentinel has it
#   $s->end(0)                      # kill -9 of the first Sentinel
#   $s->ask(1, 'SENTINEL', ...)     # undef when it is down
#   $s->stop

use strict;
use warnings;

use Perm::Redis;
use Perm::Util qw(wait_for free_port reap slurp spawn spew);


sub start {
    my ($class, %o) = @_;

    mkdir $o{dir};
    my $conf = ['repl-diskless-sync-delay 0', @{$o{conf} // []}];
    my $first = Perm::Redis->start(dir => "$o{dir}/one", conf => $conf);
    my $second = Perm::Redis->start(dir => "$o{dir}/two",
        conf => [@$conf, "replicaof 127.0.0.1 $first->{port}"]);

    my $self = bless { dir => $o{dir}, servers => [$first, $second],
        password => $o{password}, down => $o{down} // 500, sentinels => [], owner => $$ }, $class;

    $self->sentinel($_) for 1 .. $o{n} // 3;

    my $others = ($o{n} // 3) - 1;
    wait_for(sub {
        my @all = map {
            my %s = @{$self->ask($_, 'SENTINEL', 'MASTER', 'mine') // []};
            ($s{'num-slaves'} // 0) == 1
                && ($s{'num-other-sentinels'} // 0) == $others;
        } 0 .. $others;
        return !grep { !$_ } @all;
    }, 30) or die "the Sentinels do not find each other\n";

    return $self;
}


sub sentinel {
    my ($self, $n) = @_;

    my $dir = "$self->{dir}/sentinel-$n";
    my $port = free_port();
    my $own = defined $self->{password}
        ? "requirepass $self->{password}\n"
          . "sentinel sentinel-pass $self->{password}\n" : '';

    mkdir $dir;
    spew("$dir/conf", <<"EOT");
port $port
bind 127.0.0.1
dir $dir
sentinel monitor mine 127.0.0.1 $self->{servers}[0]{port} 2
sentinel down-after-milliseconds mine $self->{down}
sentinel failover-timeout mine 3000
$own
EOT
    push @{$self->{sentinels}}, { port => $port, dir => $dir,
        pid => spawn("$dir/log", 'redis-server', "$dir/conf", '--sentinel') };
}


sub url {
    my ($self, $password) = @_;
    my $user = defined $password ? ":$password\@" : '';
    return "redis+sentinel://$user" . join(',',
        map { "127.0.0.1:$_->{port}" } @{$self->{sentinels}}) . '/mine';
}


sub ask {
    my ($self, $i, @command) = @_;
    return eval {
        Perm::Redis::Client->connect($self->{sentinels}[$i]{port},
            $self->{password})->cmd(@command);
    };
}


# An old master may take itself for one for seconds more: what counts is the
# one that the Sentinels name, and that says so.

sub master {
    my ($self) = @_;
    return wait_for(sub {
        my $port = $self->named;
        my ($server) = grep { $_->{port} == $port } @{$self->{servers}};
        return $server && $self->role($server) eq 'master'
            ? $self->fresh($server) : undef;
    }, 20);
}


sub replica {
    my ($self) = @_;
    return wait_for(sub {
        my ($server) = grep { $_->{pid} && $self->role($_) eq 'slave' }
            @{$self->{servers}} or return undef;
        return $self->fresh($server);
    }, 30);
}


# a fail-over ends all connections

sub fresh {
    my ($self, $server) = @_;
    $server->{client} = undef;
    return $server;
}


sub role {
    my ($self, $server) = @_;
    return eval { $server->connect->cmd('ROLE')->[0] } // '';
}


# A Sentinel that is asked too early, or just voted, says no.

sub failover {
    my ($self) = @_;
    my $old = $self->master->{port};

    wait_for(sub {
        for my $i (0 .. $#{$self->{sentinels}}) {
            my $ok = $self->ask($i, 'SENTINEL', 'FAILOVER', 'mine') // '';
            return 1 if $ok eq 'OK';
        }
        return 0;
    }, 20) or die "no Sentinel begins a fail-over\n";

    wait_for(sub { $self->named != $old }, 20)
        or die "no fail-over took place\n";
}


# the port of the master that a Sentinel names

sub named {
    my ($self) = @_;
    for my $i (0 .. $#{$self->{sentinels}}) {
        my $addr = $self->ask($i, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME',
                              'mine') or next;
        return $addr->[1];
    }
    return 0;
}


sub end {
    my ($self, $i) = @_;
    my $sentinel = $self->{sentinels}[$i];

    return unless $sentinel->{pid} && $self->{owner} == $$;
    kill 'KILL', $sentinel->{pid};
    reap($sentinel->{pid}, 5);
    $sentinel->{pid} = undef;
}


sub stop {
    my ($self) = @_;
    $self->end($_) for 0 .. $#{$self->{sentinels}};
    $_->stop for @{$self->{servers}};
}


sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    $self->end($_) for 0 .. $#{$self->{sentinels}};
}


1;

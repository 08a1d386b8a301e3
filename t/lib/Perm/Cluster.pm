package Perm::Cluster;

# A Redis Cluster on this machine.
#
#   my $c = Perm::Cluster->start(dir => "$t->{dir}/c",
#       masters => 3,               # the default; each has a third of the slots
#       replicas => 1,              # of each, default 0
#       conf => [...]);             # more for every node
#   $c->url                         # redis+cluster://…
#   $c->nodes                       # all Perm::Redis, those that run
#   $c->masters                     # by what a node says now
#   $c->replica_of($node)
#   $c->owner($key)  $c->owners(@keys)   # the master that has its slot
#   $c->load->grant(...)            # what is in it: see Perm::Table
#   $c->add                         # one node more, without slots
#   $c->move($slot, $from, $to)     # with all its keys
#   $c->move_begin(...)  $c->move_keys(...)  $c->move_end(...)
#   $c->forget($node)               # by all others, and it ends
#   $c->stop

use strict;
use warnings;

use Perm::Redis;
use Perm::Table;
use Perm::Util qw(wait_for);

our @ISA = qw(Perm::Table);


sub start {
    my ($class, %o) = @_;

    mkdir $o{dir};
    my $self = bless { dir => $o{dir}, nodes => [],
                       conf => [@{$o{conf} // []}] }, $class;

    # that long a node may be silent; without replicas nothing waits for it

    unshift @{$self->{conf}}, 'cluster-node-timeout '
        . ($o{replicas} ? 1000 : 10_000);
    my $masters = $o{masters} // 3;
    my $all = $masters * (1 + ($o{replicas} // 0));

    $self->node for 1 .. $all;
    my @nodes = @{$self->{nodes}};

    for my $i (0 .. $masters - 1) {
        $nodes[$i]->cmd('CLUSTER', 'ADDSLOTS',
            int(16384 * $i / $masters)
            .. int(16384 * ($i + 1) / $masters) - 1);
    }
    $nodes[$_]->cmd('CLUSTER', 'SET-CONFIG-EPOCH', $_ + 1) for 0 .. $all - 1;
    $self->meet($_) for @nodes[1 .. $#nodes];

    $self->agreed or die "no cluster came about\n";

    for my $i ($masters .. $all - 1) {
        $nodes[$i]->cmd('CLUSTER', 'REPLICATE',
            $nodes[$i % $masters]{id});
    }
    $self->agreed or die "no cluster came about\n";

    for my $node (@nodes[$masters .. $all - 1]) {
        wait_for(sub { $node->cmd('ROLE')->[3] eq 'connected' }, 30)
            or die "a replica does not replicate\n";
    }
    return $self;
}


sub node {
    my ($self) = @_;
    my $node = Perm::Redis->start(
        dir => "$self->{dir}/node-" . @{$self->{nodes}},
        conf => ['cluster-enabled yes', 'repl-diskless-sync-delay 0',
                 @{$self->{conf}}]);
    $node->{id} = $node->cmd('CLUSTER', 'MYID');
    push @{$self->{nodes}}, $node;
    return $node;
}


sub meet {
    my ($self, $node) = @_;
    my ($first) = grep { $_ != $node } $self->nodes;
    $first->cmd('CLUSTER', 'MEET', '127.0.0.1', $node->{port});
    wait_for(sub {
        $first->cmd('CLUSTER', 'NODES') =~ /^\Q$node->{id}\E (?!.*handshake)/m
            && $node->cmd('CLUSTER', 'NODES') =~ /^\Q$first->{id}\E /m
    }, 20) or die "a node does not join\n";
}


# all that run know all of them, and that all is well

sub agreed {
    my ($self) = @_;
    my @nodes = $self->nodes;

    return wait_for(sub {
        for my $node (@nodes) {
            my $info = $node->cmd('CLUSTER', 'INFO');
            return 0 if $info !~ /cluster_state:ok/;
            my $text = $node->cmd('CLUSTER', 'NODES');
            for (@nodes) {
                return 0 if $text !~ /^$_->{id} (?!.*(?:handshake|fail))/m;
            }
        }
        return 1;
    }, 30);
}


sub nodes { grep { $_->{pid} } @{$_[0]{nodes}} }

sub url {
    my ($self) = @_;
    return 'redis+cluster://' . join ',',
        map { "127.0.0.1:$_->{port}" } @{$self->{nodes}}[0 .. 2];
}


# [from, to, port of the master] of every range, as most nodes see it

sub ranges {
    my ($self) = @_;
    my (%seen, %ranges);

    for my $node ($self->nodes) {
        my @ranges = map { [$_->[0], $_->[1], $_->[2][1]] }
            @{(eval { $node->cmd('CLUSTER', 'SLOTS') }) // []};
        my $text = join ' ', sort map { "@$_" } @ranges;
        $seen{$text}++;
        $ranges{$text} = \@ranges;
    }
    my ($most) = sort { $seen{$b} <=> $seen{$a} } keys %seen;
    return @{$ranges{$most}};
}


sub by_port {
    my ($self, $port) = @_;
    return (grep { $_->{port} == $port } @{$self->{nodes}})[0];
}


sub masters {
    my ($self) = @_;
    my %seen = map { $_->[2] => 1 } $self->ranges;
    return map { $self->by_port($_) } sort keys %seen;
}


sub replica_of {
    my ($self, $master) = @_;
    return wait_for(sub {
        for my $node ($self->nodes) {
            my $role = $node->cmd('ROLE');
            return $node if $role->[0] eq 'slave'
                && $role->[2] == $master->{port} && $role->[3] eq 'connected';
        }
        return undef;
    }, 20);
}


sub slot { ($_[0]->nodes)[0]->cmd('CLUSTER', 'KEYSLOT', $_[1]) }

# the masters of many keys, in order

sub owners {
    my ($self, @keys) = @_;
    my @slots = (($self->nodes)[0])->connect->pipeline(
        map { ['CLUSTER', 'KEYSLOT', $_] } @keys);

    my @port;
    for my $range ($self->ranges) {
        $port[$_] = $range->[2] for $range->[0] .. $range->[1];
    }
    return map { $self->by_port($port[$_]) } @slots;
}

sub owner { ($_[0]->owners($_[1]))[0] }


sub at {
    my ($self, $key, $name, @args) = @_;
    return $self->owner($key)->connect->cmd($name, $key, @args);
}


# one connection a node

sub each {
    my ($self, @commands) = @_;
    my @owners = $self->owners(map { $_->[0] } @commands);
    my (%at, @replies);

    push @{$at{$owners[$_]{port}}}, $_ for 0 .. $#commands;

    for my $port (keys %at) {
        my @got = Perm::Redis::Client->connect($port)->pipeline(map {
            my ($key, $name, @args) = @{$commands[$_]};
            [$name, $key, @args];
        } @{$at{$port}});
        @replies[@{$at{$port}}] = @got;
    }
    return @replies;
}


sub add {
    my ($self) = @_;
    my $node = $self->node;
    $self->meet($node);
    $self->agreed or die "a node does not join\n";
    return $node;
}


sub move_begin {
    my ($self, $slot, $from, $to) = @_;
    $to->cmd('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $from->{id});
    $from->cmd('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $to->{id});
}

sub move_keys {
    my ($self, $slot, $from, $to) = @_;
    while (my @keys = @{$from->cmd('CLUSTER', 'GETKEYSINSLOT', $slot, 100)}) {
        $from->cmd('MIGRATE', '127.0.0.1', $to->{port}, '', 0, 5000, 'KEYS',
                   @keys);
    }
}

sub move_end {
    my ($self, $slot, $from, $to) = @_;
    $to->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $to->{id});

    # a master that has lost its last slot has become a replica by itself

    eval { $from->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $to->{id}) }
        or $@ =~ /only with masters/ or die $@;
}

sub move {
    my ($self, @how) = @_;
    $self->move_begin(@how);
    $self->move_keys(@how);
    $self->move_end(@how);
}


sub forget {
    my ($self, $node) = @_;
    $_->cmd('CLUSTER', 'FORGET', $node->{id})
        for grep { $_ != $node } $self->nodes;
    $node->stop;
}


sub stop { $_->stop for $_[0]->nodes }


1;

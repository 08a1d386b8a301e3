#!/usr/bin/perl

# A cluster: every slot is asked, tracked and written to where it is, while
# slots move, masters fail over, and nodes come and go.

use Perm::Cluster;
use Perm::Test;
use Perm::Watch;

my @apps = map { "app-$_" } 1 .. 150;
my @revoked = map { "revoke-$_" } 1 .. 60;

my $t = Perm::Test->new(late => 1);
my $c = Perm::Cluster->start(dir => "$t->{dir}/c", replicas => 1,
    conf => ['appendonly yes']);
my $w = Perm::Watch->new($t, apps => \@apps, redis => sub { $c });

$c->load->allow(@apps, @revoked);
$w->nginx(redis => $c->url);

# one known app of every master: its port => app

sub of_each {
    my @owners = $c->owners(map { key('grants', $_) } @_);
    my %of;
    $of{$owners[$_]{port}} //= $_[$_] for 0 .. $#_;
    return \%of;
}

# a revoke on every master is honoured, however long answers are cached

sub revoke_on_each {
    my ($masters) = @_;
    my $of = of_each(@revoked);
    is scalar keys %$of, $masters, "a grant on each of $masters masters";

    for my $port (sort keys %$of) {
        my $app = $of->{$port};
        @revoked = grep { $_ ne $app } @revoked;
        becomes($app, "$ALLOW HIT", "$app: known for an hour", '/long', 3);
        $c->forbid($app);
        becomes($app, '403', '... and revoked at once', '/long', 1);
    }
}

sub normal {
    my ($since, $limit) = @_;
    $w->normal($since, $limit, values %{of_each(@apps)});
}


subtest 'all slots' => sub {
    ok $t->up, 'ready';
    is_deeply [grep { outcome($_, '/fresh') ne "$ALLOW MISS" } @apps], [],
        'grants of all masters are found';
    is_deeply [grep { outcome("no-$_", '/fresh') !~ /^403 deny\/no_grant/ }
                   1 .. 50], [], 'and those that are not';
    revoke_on_each(3);
};


$w->under_load('nothing happens', sub { });

subtest 'writes are split by node' => sub {
    for my $master ($c->masters) {
        my $info = $master->cmd('INFO', 'commandstats');
        my ($zadd) = $info =~ /cmdstat_zadd:calls=(\d+)/;
        my ($bad) = $info =~ /cmdstat_zadd:.*rejected_calls=(\d+)/;
        cmp_ok $zadd, '>', 20, "$zadd at $master->{port}";
        is $bad // 0, 0, '... none refused';
    }
};


# each node has users of its own

subtest 'a master without the right to PTTL' => sub {
    my ($poor) = $c->masters;
    $t->mark;
    $poor->cmd('ACL', 'SETUSER', 'default', '-pttl');
    is_deeply [grep { outcome($_, '/fresh') ne "$ALLOW MISS" } @apps], [],
        'grants of all masters are found';
    is scalar($t->new_lines(qr/PTTL/)), 1, 'the log says it once';
    $poor->cmd('ACL', 'SETUSER', 'default', '+pttl');
};


subtest 'ASK and MOVED' => sub {
    my $app = 'app-7';
    my $slot = $c->slot(key('grants', $app));
    my $from = $c->owner(key('grants', $app));
    my ($to) = grep { $_ != $from } $c->masters;

    $c->move_begin($slot, $from, $to);
    is outcome($app, '/fresh'), "$ALLOW MISS", 'before its keys move';
    $c->move_keys($slot, $from, $to);
    is outcome($app, '/fresh'), "$ALLOW MISS", 'ASK';

    # a change where the slot is not yet

    is outcome($app, '/long') =~ /^200/, 1, 'known';
    my $client = $to->connect;
    $client->cmd('ASKING');
    $client->cmd('HDEL', key('grants', $app), 'get_user');
    becomes($app, '403', 'revoked', '/long', 1);
    $client->cmd('ASKING');
    $client->cmd('HSET', key('grants', $app), 'get_user', int(time) + 3600);
    becomes($app, '200', 'granted', '/long', 1);

    $c->move_end($slot, $from, $to);
    is outcome($app, '/fresh'), "$ALLOW MISS", 'MOVED';
};


$w->under_load('resharding', sub {
    my ($more) = @_;
    my ($from, $to) = $c->masters;
    my $begun = time;

    # all slots of one master that apps are in

    my @keys = map { key('grants', $_) } @apps;
    my @owners = $c->owners(@keys);
    my @slots = map { $c->slot($keys[$_]) }
        grep { $owners[$_] == $from } 0 .. $#keys;
    $c->move($_, $from, $to) for @slots;
    note sprintf '%d slots moved in %.2f s', scalar @slots, time - $begun;
    normal(time, 3);
    $more->(400);
});

subtest 'after it' => sub { revoke_on_each(3) };


$w->under_load('a fail-over by command', sub {
    my ($more) = @_;
    my $old = ($c->masters)[0];
    my $new = $c->replica_of($old);

    my $begun = time;
    $new->cmd('CLUSTER', 'FAILOVER');
    ok wait_for(sub { grep { $_ == $new } $c->masters }, 10), 'a new master';
    normal($begun, 6);
    $more->(400);
    revoke_on_each(3);
});


$w->under_load('a master dies by kill -9', sub {
    my ($more) = @_;
    my $old = ($c->masters)[1];
    my $new = $c->replica_of($old);
    is $old->connect->cmd('WAIT', 1, 2000), 1, 'replicated';

    my $begun = time;
    $old->kill;
    ok wait_for(sub { grep { $_ == $new } $c->masters }, 20), 'a new master';
    note sprintf 'the cluster took %.2f s', time - $begun;
    normal($begun, 10);
    revoke_on_each(3);
    $old->run;
    $more->(400);
    ok $c->agreed, 'the old one is back';
    $more->(400);
}, worst => 3);


my $added;

$w->under_load('a node is added', sub {
    my ($more) = @_;
    $added = $c->add;
    my @keys = map { key('grants', $_) } @apps[0 .. 39], @revoked[0 .. 9];
    my @owners = $c->owners(@keys);
    my %moved;
    for (0 .. $#keys) {
        my $slot = $c->slot($keys[$_]);
        $c->move($slot, $owners[$_], $added) unless $moved{$slot}++;
    }
    normal(time, 3);
    $more->(400);
    revoke_on_each(4);
});


$w->under_load('a node is removed', sub {
    my ($more) = @_;
    my ($to) = grep { $_ != $added } $c->masters;
    for my $range (grep { $_->[2] == $added->{port} } $c->ranges) {
        $c->move($_, $added, $to) for $range->[0] .. $range->[1];
    }
    wait_for(sub { !grep { $_ == $added } $c->masters }, 10);
    $more->(200);
    $c->forget($added);
    normal(time, 3);
    $more->(400);
    revoke_on_each(3);
});

done_testing;

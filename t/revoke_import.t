#!/usr/bin/perl

# A slot of a cluster is on its way to a node that has none yet: keys that were
# moved there are looked up there, but the node is not tracked.

use Perm::Cluster;
use Perm::Test;
use Perm::Watch;

my @others = map { "other-$_" } 1 .. 9;

my $t = Perm::Test->new(late => 1);
my $c = Perm::Cluster->start(dir => "$t->{dir}/c");
my $w = Perm::Watch->new($t);
my (@moves, $node);

$c->load->allow(qw(called quiet), @others);
$w->nginx(redis => $c->url);
ok $t->up, 'ready';

# the connections of the node that track it

sub trackers {
    return map { / (?:sub=1|redir=[1-9])/ && /^id=(\d+)/ ? $1 : () }
        split /\n/, $node->cmd('CLIENT', 'LIST');
}

sub lookups { $node->calls('hmget') }

sub at_node {
    my $client = $node->connect;
    $client->cmd('ASKING');
    return $client->cmd(@_);
}

# known, and nobody has to ask for them

sub hits {
    my ($seconds, $what) = @_;
    my ($until, $n, %not) = (time + $seconds, 0);
    while (time < $until) {
        for (@others) {
            $n++;
            my $got = outcome($_, '/long');
            $not{$got}++ if $got ne "$ALLOW HIT";
        }
        wait_until(time + 0.02);
    }
    is_deeply \%not, {}, "$what: $n hits";
}

sub known {
    ok wait_for(sub {
        !grep { outcome($_, '/long') ne "$ALLOW HIT" } @others
    }), 'all are known';
}


subtest 'revoked where nobody tells of it' => sub {
    $node = $c->add;
    known();

    for (qw(called quiet)) {
        my $key = key('grants', $_);
        my @move = ($c->slot($key), $c->owner($key), $node);
        $c->move_begin(@move);
        $c->move_keys(@move);
        push @moves, \@move;
    }
    for my $app (qw(called quiet)) {
        $t->within($app, $ALLOW, 1, "$app: found at the new node", '/long');
        my $before = lookups();
        is_deeply [map { outcome($app, '/long') } 1 .. 5],
            [("$ALLOW MISS") x 5], '... its answer is never trusted';
        cmp_ok lookups(), '>=', $before + 5, '... and asked for each time';
    }
    is scalar(trackers()), 0, 'it is not tracked';

    at_node('HDEL', key('grants', $_), 'get_user') for qw(called quiet);
    $t->within($_, $DENY, 1, "$_: revoked", '/long') for qw(called quiet);

    ok $t->status->{invalidation}{active}, 'the others are tracked';
    hits(1, 'and known');
};


subtest 'it is dead' => sub {
    known();
    $node->kill;
    like outcome('quiet', '/long'), qr/^\Q$DENY\E|^503/,
        'what was revoked is not allowed';
    hits(4, 'the others do not mind');
};


subtest 'it gets the slots' => sub {
    $node->run;
    ok $c->agreed, 'back';
    at_node('HSET', key('grants', $_), 'get_user', int(time) + 3600)
        for qw(called quiet);
    $c->move_end(@$_) for @moves;

    for my $app (qw(called quiet)) {
        becomes($app, "$ALLOW HIT", 'trusted now', '/long', 10);
        $node->cmd('HDEL', key('grants', $app), 'get_user');
        $t->within($app, $DENY, 1, '... and revoked at once', '/long');
    }
};

done_testing;

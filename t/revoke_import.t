#!/usr/bin/perl

# A slot of a cluster is on its way to a node that has none yet: what was moved
# there already is looked up there, where nobody may tell of changes.

use Time::HiRes qw(time);

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

# the connections of the node that hear of changes, or have them heard

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


subtest 'revoked while nobody tells of it' => sub {
    $node = $c->add;
    ok wait_for(sub { 2 == trackers() }, 10), 'it is tracked beforehand';
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
        outcome($app, '/long') for 1 .. 5;
    }

    # what the move itself had asked for anew is no answer of after the gap

    ok wait_for(sub {
        my $n = lookups();
        wait_until(time + 0.5);
        return lookups() == $n;
    }, 10), 'nobody asks any more';

    # whoever is in the gap is not missed

    my $client = $node->connect;
    my @ids = trackers();
    $client->cmd('MULTI');
    $client->cmd('CLIENT', 'KILL', 'ID', $_) for @ids;
    $client->cmd('EXEC');
    at_node('HDEL', key('grants', $_), 'get_user') for qw(called quiet);
    my $before = lookups();

    $t->within('called', $DENY, 1, 'revoked in the gap', '/long');
    ok wait_for(sub { 2 == trackers() }, 5), 'tracked again';
    ok wait_for(sub { lookups() > $before + 1 }, 2),
        'the other one is asked for without a call';
    ok $t->status->{invalidation}{active}, 'which nobody calls a loss';
    is scalar($t->log_lines(qr/does not push changes|are not pushed/)), 0,
        '... neither does the log';
};


subtest 'its connections are closed again and again' => sub {
    known();
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        my $client = $node->connect;
        for (1 .. 40) {
            $client->cmd('CLIENT', 'KILL', 'TYPE', 'pubsub');
            wait_until(time + 0.05);
        }
        POSIX::_exit(0);
    }
    hits(2, 'the others do not mind');
    waitpid $pid, 0;
    ok wait_for(sub { 2 == trackers() }, 5), 'tracked again';
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

#!/usr/bin/perl

# A slot of a cluster is on its way to a node that has none yet: what was moved
# there already is looked up there, where nobody may tell of changes.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Perm::Cluster;
use Perm::Late;
use Perm::Test;
use Perm::Watch;

my $ALLOW = $Perm::Watch::ALLOW;
my $DENY = '403 deny/no_grant';
my @others = map { "other-$_" } 1 .. 9;
my $key = sub { "app_permission:grants:{smoke:$_[0]}" };

my $t = Perm::Test->new;
my $late = Perm::Late->start($t->{dir});
my $c = Perm::Cluster->start(dir => "$t->{dir}/c");
my $w = Perm::Watch->new($t, apps => \@others);
my (@moves, $node);

sub grants { map { [$key->($_), 'HSET', 'get_user', int(time) + 3600] } @_ }

$c->cmd('app_permission:meta', 'HSET', 'schema', '1');
$c->each(grants(qw(called quiet), @others));
$w->nginx(redis => $c->url);
ok wait_for(sub { $t->status->{invalidation}{active} }, 10), 'ready';

sub outcome { $w->outcome('/long', $_[0]) }

sub within {
    my ($app, $decision, $limit, $what) = @_;
    my ($begun, $got) = (time);
    wait_for(sub { ($got = outcome($app)) =~ /^\Q$decision\E/ }, $limit + 5);
    my $took = time - $begun;
    like $got, qr/^\Q$decision\E/, $what;
    cmp_ok $took, '<', $limit + $late->since($begun),
        sprintf '... after %.0f ms', $took * 1000;
}

# the connections of the node that hear of changes, or have them heard

sub trackers {
    return map { / (?:sub=1|redir=[1-9])/ && /^id=(\d+)/ ? $1 : () }
        split /\n/, $node->cmd('CLIENT', 'LIST');
}

sub lookups {
    my ($n) = $node->cmd('INFO', 'commandstats') =~ /cmdstat_hmget:calls=(\d+)/;
    return $n // 0;
}

sub at_node {
    my $client = $node->connect;
    $client->cmd('ASKING');
    return $client->cmd(@_);
}

# known, and nobody has to ask for them

sub hits {
    my ($seconds, $what) = @_;
    my ($until, $n, %not) = (time + $seconds, 0);
    for ( ; time < $until; sleep 0.02) {
        for (@others) {
            $n++;
            my $got = outcome($_);
            $not{$got}++ if $got ne "$ALLOW HIT";
        }
    }
    is_deeply \%not, {}, "$what: $n hits";
}

sub known {
    ok wait_for(sub { !grep { outcome($_) ne "$ALLOW HIT" } @others }, 10),
        'all are known';
}


subtest 'revoked while nobody tells of it' => sub {
    $node = $c->add;
    ok wait_for(sub { 2 == trackers() }, 10), 'it is tracked beforehand';
    known();

    for (qw(called quiet)) {
        my @move = ($c->slot($key->($_)), $c->owner($key->($_)), $node);
        $c->move_begin(@move);
        $c->move_keys(@move);
        push @moves, \@move;
    }
    for my $app (qw(called quiet)) {
        within($app, $ALLOW, 1, "$app: found at the new node");
        outcome($app) for 1 .. 5;
    }

    # what the move itself had asked for anew is no answer of after the gap

    ok wait_for(sub { my $n = lookups(); sleep 0.5; lookups() == $n }, 10),
        'nobody asks any more';

    # whoever is in the gap is not missed

    my $client = $node->connect;
    my @ids = trackers();
    $client->cmd('MULTI');
    $client->cmd('CLIENT', 'KILL', 'ID', $_) for @ids;
    $client->cmd('EXEC');
    at_node('HDEL', $key->($_), 'get_user') for qw(called quiet);
    my $before = lookups();

    within('called', $DENY, 1, 'revoked in the gap');
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
            sleep 0.05;
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
    like outcome('quiet'), qr/^\Q$DENY\E|^503/, 'what was revoked is not allowed';
    hits(4, 'the others do not mind');
};


subtest 'it gets the slots' => sub {
    $node->run;
    ok $c->agreed, 'back';
    at_node('HSET', $key->($_), 'get_user', int(time) + 3600)
        for qw(called quiet);
    $c->move_end(@$_) for @moves;

    for my $app (qw(called quiet)) {
        ok wait_for(sub { outcome($app) eq "$ALLOW HIT" }, 10), 'trusted now'
            or diag outcome($app);
        $node->cmd('HDEL', $key->($app), 'get_user');
        within($app, $DENY, 1, '... and revoked at once');
    }
};

$c->stop;
$t->done;

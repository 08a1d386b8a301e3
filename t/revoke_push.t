#!/usr/bin/perl

# Changes of grants take effect at once, whoever makes them and however, and
# what happens when they cannot be pushed.

use Perm::Test;

my %nginx = (workers => 2, http => 'app_permission_cache_valid 1h denied=1h;',
             server => <<'EOT');
        %%DECISION%%

        app_permission required;
        location = /a     { empty_gif; }
        location = /short { app_permission_cache_valid 1s denied=1s; empty_gif; }
EOT

my ($t, $redis, $other, $marks);
my $in_an_hour = time + 3600;

sub grants { key('grants', $_[0]) }

sub redis {
    $t = Perm::Test->new(late => 1);
    $redis = $t->redis(@_)->load->allow('demo');
}

sub start {
    redis(@_);
    $t->nginx(%nginx, redis => $redis->tcp_url);
    $other = $redis->connect;
    ok $t->up, 'changes are pushed';
}

# Changes are pushed in their order: when this one has come, those before it
# have, too.

sub pushed {
    my $app = 'mark-' . ++$marks;
    outcome($app);
    $redis->allow($app);
    return wait_for(sub { outcome($app) =~ /^200/ }, 5);
}


# cached for an hour, on both workers

sub cached {
    my ($app, $decision) = @_;
    pushed();
    becomes($app, "$decision HIT", "$app: cached", undef, 2);
}

# connections that hear of changes, and those whose changes they hear of

sub pairs {
    my @clients = split /\n/, $redis->cmd('CLIENT', 'LIST');
    return join ' and ', scalar(grep { / sub=1 / } @clients),
                         scalar(grep { / redir=[1-9]/ } @clients);
}


subtest 'whatever the command' => sub {
    start;
    ok wait_for(sub { pairs() eq '2 and 2' }), 'a pair for each of two';
    my $n = 0;

    for my $case (
        [HDEL => sub { ['HDEL', grants($_[0]), 'get_user'] }, $DENY],
        [HSET => sub { ['HSET', grants($_[0]), 'get_user', 1] },
         '403 deny/resource_grant_expired'],
        [DEL => sub { ['DEL', grants($_[0])] }, $DENY],
        [UNLINK => sub { ['UNLINK', grants($_[0])] }, $DENY],
        [RENAME => sub { ['RENAME', grants($_[0]), 'elsewhere'] }, $DENY],
        [SET => sub { ['SET', grants($_[0]), 'x'] }, '503 fail/unavailable'],
        [PEXPIRE => sub { ['PEXPIRE', grants($_[0]), 100] }, $DENY],
        [EVAL => sub { ['EVAL', 'redis.call("DEL", KEYS[1])', 1,
                        grants($_[0])] }, $DENY],
    ) {
        my ($what, $command, $decision) = @$case;
        my $app = 'app-' . ++$n;
        $redis->allow($app, "next-$n");
        cached($_, $ALLOW) for $app, "next-$n";
        $other->cmd(@{$command->($app)});
        $t->within($app, $decision, 1, $what);
        is outcome("next-$n"), "$ALLOW HIT", '... another one is a hit still';
    }

    cached('later', $DENY);
    $other->cmd('HSET', grants('later'), 'get_user', $in_an_hour);
    $t->within('later', $ALLOW, 1, 'a new grant after a cached denial');

    cached('gateway', $DENY);
    $other->cmd('HSET', grants('gateway'), '-', $in_an_hour);
    $t->within('gateway', '200 allow/gateway_grant', 1,
           '... and one for the whole gateway');

    cached('renamed', $DENY);
    $other->cmd('RENAME', grants('gateway'), grants('renamed'));
    $t->within('renamed', '200 allow/gateway_grant', 1, 'renamed to');
    is $t->get('/a', app => 'gateway')->{status}, 403, '... and from';

    cmp_ok $t->status->{invalidation}{received}, '>=', 30, 'counted';
    is scalar($t->log_lines(qr/\[error\]/)), 1, 'WRONGTYPE is all there is '
        . 'in the log' or diag $t->log_lines(qr/\[error\]/);
};


subtest 'FLUSHALL' => sub {
    start;
    $other->cmd('FLUSHALL');
    ok $t->wait_log(qr/the grant table is not loaded/), 'seen without a call';
    $redis->load;
    ok wait_for(sub { $t->status->{table}{loaded} }), '... and that it is over';

    for my $command (['FLUSHALL'], ['FLUSHDB'], ['FLUSHALL', 'ASYNC'],
                     ['DEL', 'app_permission:meta']) {
        $redis->load;
        $redis->allow('demo');
        cached('demo', $ALLOW);
        $other->cmd(@$command);
        $t->within('demo', "$ALLOW STALE", 1, "@$command: seen at once, stale");
        is outcome('demo'), "$ALLOW STALE", '... which it stays';
        is outcome('unknown'), $UNKNOWN,
            '... and an unknown one is unavailable';

        $redis->load;
        $t->within('demo', $command->[0] eq 'DEL' ? $ALLOW : $DENY, 1,
               'over with meta');
    }
};


# those with a time to live, so that "meta" stays: nothing else tells of it

subtest 'eviction' => sub {
    start(conf => ['maxmemory-policy volatile-lru', 'maxmemory-samples 10',
                   'maxmemory 100mb']);
    my @apps = map { "evicted-$_" } 1 .. 50;
    for my $app (@apps) {
        $redis->allow($app);
        $redis->cmd('EXPIRE', grants($app), 3600);
    }
    cached($_, $ALLOW) for @apps;

    my ($used) = $redis->cmd('INFO', 'memory') =~ /used_memory:(\d+)/;
    $redis->cmd('CONFIG', 'SET', 'maxmemory', $used + 200_000);
    my $n;
    my $gone = sub { grep { !$redis->cmd('EXISTS', grants($_)) } @apps };
    wait_for(sub {
        eval { $redis->cmd('SET', 'filler-' . ++$n, 'x' x 2000) };
        return scalar $gone->();
    }, 5);
    $redis->cmd('CONFIG', 'SET', 'maxmemory', '0');
    my @gone = $gone->();

    ok @gone && @gone < @apps, scalar(@gone) . ' evicted';
    $t->within($gone[0], "$DENY MISS", 1, 'an evicted grant is none');
    my %gone = map { $_ => 1 } @gone;
    my ($left) = grep { !$gone{$_} } @apps;
    is outcome($left), "$ALLOW HIT", '... another one is a hit still';
};


subtest 'the tracking connections are killed' => sub {
    start;
    for my $which (qw(source listener)) {
        $redis->allow('demo');
        cached('demo', $ALLOW);

        my @clients = grep { !/cmd=client\|list/ }
            split /\n/, $redis->cmd('CLIENT', 'LIST');
        my ($victim) = grep { $which eq 'source'
            ? $_ =~ /flags=\S*t|redir=[1-9]/ : $_ =~ /sub=1/ } @clients;
        my ($id) = ($victim // '') =~ /^id=(\d+)/;
        ok $id, "the $which" or diag @clients;

        # whoever is in the gap is not missed

        $redis->together(['CLIENT', 'KILL', 'ID', $id],
                         ['HDEL', grants('demo'), 'get_user']);
        $t->within('demo', $DENY, 1, "a change while the $which is gone");
        ok $t->up, 'made anew';

        $redis->allow('demo');
        $t->within('demo', $ALLOW, 1, 'and pushed again');
        cached('demo', $ALLOW);
        $redis->forbid('demo');
        $t->within('demo', $DENY, 1, '... also a revocation');
    }
};


subtest 'the worker that tracks is killed' => sub {
    start;
    $t->{nginx}->allow(qr/worker process \d+ exited on signal 9/);

    for my $round (1 .. 3) {
        $redis->allow("killed-$round");
        cached("killed-$round", $ALLOW);

        my $pid = wait_for(\&holder) or die "no worker tracks\n";
        note "worker $pid tracks";
        kill 'KILL', $pid;
        $redis->forbid("killed-$round");
        $t->within("killed-$round", $DENY, 1,
                   'a revocation in the gap takes effect');

        ok wait_for(sub { my $new = holder(); $new && $new != $pid }, 2),
            'another one has taken over';
        ok $t->up, '... and tracks';
        cached("killed-$round", $DENY);
        $redis->allow("killed-$round");
        $t->within("killed-$round", $ALLOW, 1, '... with effect');
    }
};

# the worker whose connection is subscribed

sub holder {
    my ($port) = map { /sub=1/ && / addr=[\d.]+:(\d+)/ ? $1 : () }
        split /\n/, $redis->cmd('CLIENT', 'LIST');
    return undef unless $port;

    my ($from, $to) = map { sprintf '0100007F:%04X', $_ } $port, $redis->{port};
    my ($inode) = map {
        my @f = split;
        $f[1] eq $from && $f[2] eq $to ? $f[9] : ()
    } split /\n/, slurp('/proc/net/tcp');
    return undef unless $inode;

    for my $pid ($t->{nginx}->workers) {
        for (glob "/proc/$pid/fd/*") {
            return $pid if (readlink($_) // '') eq "socket:[$inode]";
        }
    }
    return undef;
}


subtest 'a reload, again and again' => sub {
    start;
    $redis->allow('demo');

    for (1 .. 4) {
        cached('demo', $ALLOW);
        $t->{nginx}->signal('HUP');
        $redis->forbid('demo');
        $t->within('demo', $DENY, 1, 'a revocation during a reload');
        $redis->allow('demo');
        $t->within('demo', $ALLOW, 1, 'a grant');
        ok $t->up, 'pushed again';
        ok wait_for(sub { pairs() eq '2 and 2' }), '... by two';
    }
    is scalar($t->log_lines(qr/does not push changes/)), 0,
        'a hand-over is no loss';
};


sub refused {
    my ($n) = $redis->cmd('INFO', 'commandstats')
        =~ /cmdstat_client\|tracking:.*rejected_calls=(\d+)/;
    return $n // 0;
}


subtest 'no rights to track' => sub {
    redis()->cmd(qw(ACL SETUSER default -client +client|id));
    $t->nginx(%nginx);

    ok $t->wait_log(qr/does not push changes.*NOPERM/), 'logged';
    ok !$t->status->{invalidation}{active}, 'and in the status';

    is outcome('demo', '/short'), "$ALLOW MISS", 'a miss';
    is outcome('demo', '/short'), "$ALLOW HIT", 'cached nevertheless';
    $redis->forbid('demo');
    $t->within('demo', $DENY, 3, 'revoked within cache_valid', '/short');
    my $told = $t->log_lines(qr/does not push changes/);
    cmp_ok $told, '<=', 2,
        'logged once, or by the next worker that takes over once more';
    my $tried = refused();
    ok wait_for(sub { refused() > $tried }, 15), 'tried again: refused';
    ok !wait_for(sub { $t->log_lines(qr/does not push changes/) > $told }, 0.3),
        '... which is no news';

    # what one worker cannot, the others neither: no carrousel of leases

    $redis->cmd('ACL', 'SETUSER', 'default', '+client|tracking');
    ok $t->up(12), 'tried again: allowed now';
};


# neither a right nor a version: it may be over soon, and is said once

subtest 'what makes no sense' => sub {
    for my $answer ("+OK\r\n", "-ERR not available\r\n") {
        $t = Perm::Test->new;
        my $fake = $t->fake_redis;
        $fake->rules({ match => qr/^CLIENT ID/, reply => $answer });
        $t->nginx(%nginx);
        ok wait_for(sub { 5 <= scalar $fake->answered(qr/^CLIENT ID/) }),
            'asked again and again';
        is scalar($t->log_lines(qr/\[error\].*"CLIENT ID"/)), 1,
            '... the log is told once';

        $fake->rules;
        ok $t->up, '... until it makes sense';
        $t->stop;
    }
};


# as one before 6.0 says it

subtest 'Redis that cannot track' => sub {
    redis();
    $t->fake_redis(to => $redis)->rules({ match => qr/^CLIENT/,
        reply => "-ERR unknown command `CLIENT`, with args beginning with:\r\n"
    });
    $t->nginx(%nginx);

    ok $t->wait_log(qr/does not push changes.*it needs Redis 6/), 'logged';
    is outcome('demo', '/short'), "$ALLOW MISS", 'a miss';
    is outcome('demo', '/short'), "$ALLOW HIT", 'cached nevertheless';
    $redis->forbid('demo');
    $t->within('demo', $DENY, 5, 'revoked within cache_valid', '/short');
};


# the promise in milliseconds, not under load here: make bench has that; on top
# of what any call takes on this machine just now

subtest 'how long it takes' => sub {
    start;
    my (@took, @usual);
    for my $round (1 .. 200) {
        my $app = 'timed';
        my $grant = $round % 2;
        $grant ? $other->cmd('HSET', grants($app), 'get_user', $in_an_hour)
               : $other->cmd('HDEL', grants($app), 'get_user');
        my $begun = time;
        my $wanted = $grant ? $ALLOW : $DENY;
        1 until outcome($app) =~ /^\Q$wanted/ || time > $begun + 2;
        push @took, time - $begun;
        $begun = time;
        outcome($app);
        push @usual, time - $begun;
    }
    @took = sort { $a <=> $b } @took;
    @usual = sort { $a <=> $b } @usual;
    note sprintf 'median %.1f ms, p99 %.1f ms, worst %.1f ms',
        map { $_ * 1000 } @took[100, 197, 199];
    cmp_ok $took[100], '<', 0.02 + 2 * $usual[100], 'milliseconds';
};

done_testing;

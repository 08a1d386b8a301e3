#!/usr/bin/perl

# Two workers hear of changes at the same time.  So nothing is looked up again
# after a reload or when one of them is killed, and nothing is late when one of
# them is stopped.

use Perm::Test;

use Fcntl qw(O_RDWR O_NONBLOCK);
use POSIX qw(mkfifo);

my ($t, $redis);
my @known = map { "known-$_" } 1 .. 300;

sub start {
    my ($workers, %o) = @_;
    $t = Perm::Test->new(late => 1);
    $redis = $t->redis->load->allow(@known, map { "r-$_" } 1 .. 200);
    $redis = $o{before}->() if $o{before};
    my $pipe = $o{pipe} ? "access_log $t->{dir}/pipe;" : '';
    $t->nginx(workers => $workers, redis => $o{url} // $redis->tcp_url,
        http => 'app_permission_cache_valid 1h denied=1h;', server => <<"EOT");
        %%DECISION%%
        app_permission required;
        location = /a    { empty_gif; }
        location = /pipe { $pipe app_permission off; empty_gif; }
EOT
    ok $t->settled, "$workers worker(s)";
    $t->all_are(\@known, "$ALLOW MISS", 'known');
    ok wait_for(sub { trackers() == ($workers > 1 ? 2 : 1) }), 'tracked';

    # one that begins has heard all when another one has sent a PING

    my $pings = $redis->calls('ping');
    ok wait_for(sub { $redis->calls('ping') >= $pings + 6 }), '... by all';
}

# pids of the workers that have a subscribed connection

sub trackers {
    my %from = map { /sub=1/ && / addr=[\d.]+:(\d+)/
                     ? (sprintf('0100007F:%04X', $1) => 1) : () }
        split /\n/, $redis->cmd('CLIENT', 'LIST');
    my $to = sprintf '0100007F:%04X', $redis->{port};
    my %inode = map {
        my @f = split;
        $from{$f[1]} && $f[2] eq $to ? ("socket:[$f[9]]" => 1) : ()
    } split /\n/, slurp('/proc/net/tcp');
    return grep {
        my $pid = $_;
        grep { $inode{readlink($_) // ''} } glob "/proc/$pid/fd/*";
    } $t->{nginx}->workers;
}

sub epoch { $t->cached('x')->{current_generation}{epoch} }

# milliseconds from each revocation until it counts

my $next;

sub revoke {
    my ($n) = @_;
    my @took;
    for (1 .. $n) {
        my $app = "r-" . (1 + $next++ % 200);
        $redis->allow($app);
        becomes($app, "$ALLOW HIT", "$app is known") or return 1e9;
        $redis->forbid($app);
        my $begun = time;
        1 until outcome($app) =~ /^403/ || time > $begun + 5;
        push @took, 1000 * (time - $begun);
    }
    return sort { $a <=> $b } @took;
}

# no app of the load was looked up meanwhile

sub costs_nothing {
    my ($what, $do, $lookups) = @_;
    my ($epoch, $before) = (epoch(), $redis->calls('pttl'));
    my $load = $t->load(\@known, rate => 1500);
    ok $load->more(300), 'calls';
    $do->();
    ok $load->more(900), 'all are called again';
    my $seen = $load->stop;
    is_deeply [keys %{$seen->{outcome}}], ["$ALLOW HIT"], "$what: hits"
        or diag explain $seen->{outcome};
    is $redis->calls('pttl') - $before, 0, '... nothing was looked up'
        unless $lookups;
    is epoch(), $epoch, '... nothing was distrusted';
}


for my $workers (1, 2) {
    subtest "a reload, $workers worker(s)" => sub {
        start($workers);
        costs_nothing('a reload', sub { ok $t->reload, 'reloaded' })
            for 1 .. 2;
        costs_nothing('reloads and revocations', sub {
            for (1 .. 2) {
                $t->{nginx}->signal('HUP');
                my @took = revoke(15);
                note sprintf 'median %.1f ms, worst %.1f ms', @took[7, 14];
                cmp_ok $took[7], '<', 50, 'revocations count at once';
                cmp_ok $took[14], '<', 400, '... each of them';
            }
        }, 'lookups');
        is scalar($t->log_lines(qr/does not push changes/)), 0,
            'a hand-over is no loss';
    };
}


subtest 'a worker that tracks is killed' => sub {
    start(2);
    $t->{nginx}->allow(qr/worker process \d+ exited on signal 9/);
    my $kill = sub {
        my ($pid) = trackers();
        kill 'KILL', $pid;
        ok wait_for(sub { my @now = trackers();
                          @now == 2 && !grep { $_ == $pid } @now }),
            'another one tracks';
    };
    costs_nothing('killed', $kill) for 1 .. 2;
    costs_nothing('killed, and revocations', sub {
        my ($pid) = trackers();
        kill 'KILL', $pid;
        my @took = revoke(15);
        note sprintf 'median %.1f ms, worst %.1f ms', @took[7, 14];
        cmp_ok $took[14], '<', 400, 'revocations count at once';
    }, 'lookups');
    is scalar($t->log_lines(qr/does not push changes/)), 0, 'no loss';
};


subtest 'one of two is stopped' => sub {
    start(2);
    for my $pid (trackers()) {
        kill 'STOP', $pid;
        my @took = revoke(20);
        ok $t->status->{invalidation}{active}, 'changes are pushed';
        kill 'CONT', $pid;
        note sprintf 'median %.1f ms, worst %.1f ms', @took[10, 19];
        cmp_ok $took[10], '<', 50, 'revocations count at once';
        cmp_ok $took[19], '<', 400, '... each of them';
        is outcome($known[0]), "$ALLOW HIT", '... and what is known is a hit';
    }
};


subtest 'all that track are stopped' => sub {
    start(3);
    my @pids = trackers();

    for my $round (1 .. 3) {
        my $epoch = epoch();
        becomes("r-$round", "$ALLOW HIT", 'known');
        kill 'STOP', @pids;
        my $begun = time;
        $redis->forbid("r-$round");
        $t->within("r-$round", '403', 0.6, 'revoked', '/a');
        ok wait_for(sub { !$t->status->{invalidation}{active} }, 1),
            'the status says so';
        like outcome($known[0]), qr/^\Q$ALLOW\E (MISS|HIT)$/, 'looked up';
        kill 'CONT', @pids;
        ok $t->up, 'they go on';
        is outcome($known[-1]), "$ALLOW HIT", 'trusted again';
        is epoch(), $epoch, '... without another lookup';
    }
};


# a log that nobody reads stops whoever writes into it

subtest 'the only one waits for its log' => sub {
    my $pipe;
    start(1, pipe => 1, before => sub {
        mkfifo("$t->{dir}/pipe", 0666) or die "mkfifo: $!\n";
        chmod 0666, "$t->{dir}/pipe";
        sysopen $pipe, "$t->{dir}/pipe", O_RDWR | O_NONBLOCK or die "$!\n";
        return $redis;
    });
    my $kept = $t->connect;
    ask('r-1', '/a', $kept);
    is answer($kept), "$ALLOW MISS", 'a kept connection';
    ask('r-1', '/a', $kept);
    is answer($kept), "$ALLOW HIT", '... known';

    1 while syswrite $pipe, 'x' x 4096;
    is $t->get('/pipe')->{status}, 200, 'the log is full';
    $redis->forbid('r-1');
    ask('r-1', '/a', $kept);
    wait_until(time + 0.7);
    sysread $pipe, my $buf, 1 << 20;
    like answer($kept), qr/^403/, 'revoked before it was asked';
    is outcome($known[0]), "$ALLOW HIT", '... and all others are trusted';
};


# what workers of two configurations hear is not of the same grants then

subtest 'a reload to another database' => sub {
    start(2);
    my $url = $redis->tcp_url . '/5';
    $redis->cmd('COPY', 'app_permission:meta', 'app_permission:meta', 'DB', 5);
    ok $t->config(workers => 2, redis => $url, server => <<'EOT')->reload, $url;
        %%DECISION%%
        app_permission required;
        location = /a    { empty_gif; }
EOT
    $t->within($known[0], '403', 0.6, 'no grant there');
    ok $t->up, 'tracked';
    my $app = $known[1];
    becomes($app, "$DENY HIT", 'known');
    $redis->cmd('COPY', key('grants', $app), key('grants', $app), 'DB', 5);
    $t->within($app, $ALLOW, 0.6, 'pushed');
};


# A worker that is killed leaves connections that Redis closes late, and the
# new one tracks before.

subtest 'far from Redis' => sub {
    start(2);
    my $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/./, delay => 0.01 });
    ok $t->config->reload, 'far';
    $t->{nginx}->allow(qr/worker process \d+ exited on signal 9/);

    for my $round (1 .. 3) {
        ok $t->up, 'tracked';
        my ($pid) = $t->{nginx}->workers;
        kill 'KILL', $pid;
        ok wait_for(sub { !grep { $_ == $pid } $t->{nginx}->workers }), 'dead';
    }
    wait_until(time + 1);
    ok $t->status->{invalidation}{active}, 'known to be tracked';
};

done_testing;

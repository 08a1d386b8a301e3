#!/usr/bin/perl

# A server has many databases.  Redis does not say which of them was emptied,
# and says nothing when two of them are exchanged.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
$t->fake_redis(to => $redis);

my $META = $redis->prefix . 'meta';
my @APPS = map { "x$_" } 1 .. 5;

sub id { $redis->cmd('HSET', $META, 'id', $_[0]) }

sub in_database {
    my ($n, $code) = @_;
    $redis->cmd('SELECT', $n);
    $code->();
    $redis->cmd('SELECT', 0);
}

sub looked_up { scalar($t->{fake}->commands(qr/^HMGET .*grants:/)) }

sub known {
    my ($name, @apps) = @_;
    ok wait_for(sub { !grep { outcome($_) ne "$ALLOW HIT" } @apps }), $name;
}

$redis->allow(@APPS);
id('1');
my %nginx = (server => <<'EOT');
        %%DECISION%%
        app_permission required;
        location = /a { app_permission_cache_valid 1h; empty_gif; }
EOT
$t->nginx(%nginx);
ok $t->settled, 'ready';
known('known', @APPS);


# ---- another application's database is emptied

subtest 'another database is emptied' => sub {
    in_database(1, sub { $redis->cmd('SET', 'k', 1) });
    $t->{fake}->forget;
    for (1 .. 10) {
        ok $t->told(sub { in_database(1, sub { $redis->cmd('FLUSHDB') }) }),
            'pushed';
        known('trusted again', @APPS);
    }
    my $lookups = looked_up();
    cmp_ok $lookups, '<=', 10, "$lookups lookups meanwhile, of 50 and more";

    ok $t->revoke('x1'), 'revoked';
    is outcome('x1'), "$DENY MISS", '... and denied';
};


subtest 'ours is emptied and loaded again in one step, with less in it' => sub {
    ok $t->told(sub {
        $redis->{client}->pipeline(['MULTI'], ['FLUSHDB'],
            ['HSET', $META, 'schema', 1, 'id', 1],
            ['HSET', key('grants', 'x3'), 'get_user', 4102444800], ['EXEC']);
    }, 3), 'pushed';
    is outcome('x2'), "$DENY MISS", 'x2: not in it';
    like outcome('x3'), qr/^$ALLOW/, 'x3: in it';
};


# ---- two databases are exchanged

subtest 'another table takes the place of this one' => sub {
    $redis->allow('x2', 'x4');
    in_database(1, sub {
        $redis->cmd('HSET', $META, 'schema', 1, 'id', 2);
        $redis->cmd('HSET', key('grants', 'x5'), 'get_user', 4102444800);
    });
    ok $t->settled, 'ready';
    known('known', 'x3', 'x4');
    like outcome('x5'), qr{^$DENY}, 'x5: not in the first one';
    $t->mark;

    $redis->cmd('SWAPDB', 0, 1);
    becomes('x4', $DENY, 'x4: not in the second one', undef, 3);
    like outcome('x5'), qr/^$ALLOW/, 'x5: in it';
    ok $t->wait_log(qr/another grant table/), 'the log tells';

    $redis->cmd('SWAPDB', 0, 1);
    becomes('x4', $ALLOW, 'and back', undef, 3);
};


subtest 'an empty database takes its place' => sub {
    known('known', 'x4');
    $redis->cmd('SWAPDB', 0, 2);
    becomes('x4', "$ALLOW STALE", 'an outage', undef, 3);
    $redis->cmd('SWAPDB', 0, 2);
    becomes('x4', "$ALLOW MISS", 'and back', undef, 3);
};

# Trust is suspended until a worker has the answer.  One that dies before that
# does not suspend it for ever.

my $WATCH = qr/^HMGET .*meta schema id/;

sub killed_while_it_asks {
    my ($times, $name) = @_;
    my ($pid) = $t->{nginx}->workers;

    $t->{fake}->rules({ match => $WATCH, hold => 1, times => $times });
    $t->{fake}->forget;
    in_database(1, sub { $redis->cmd('FLUSHDB') });
    ok wait_for(sub { $t->{fake}->commands($WATCH) >= $times }), $name;
    kill 'KILL', $pid;
    ok wait_for(sub { !grep { $_ == $pid } $t->{nginx}->workers }), 'killed';
    $t->{fake}->rules;
}

subtest 'a worker is killed before it has the answer' => sub {
    $redis->allow(@APPS);
    $t->{nginx}->allow(qr/exited on signal 9/);
    ok $t->config(%nginx, workers => 2)->reload, 'two workers';

    for my $round (1 .. 4) {
        ok $t->settled, 'ready';
        known('known', @APPS);
        killed_while_it_asks(1, 'one of two asks');
        known('trusted again', @APPS);
    }

    ok $t->config(%nginx, workers => 1)->reload, 'one worker';
    ok $t->settled, 'ready';
    killed_while_it_asks(1, 'the only one asks');
    $t->{fake}->rules({ match => qr/^CLIENT TRACKING/,
                        reply => "-NOPERM no\r\n" });
    ok wait_for(sub { $t->{fake}->commands(qr/^CLIENT TRACKING/) }),
        'and the next one cannot';
    known('trusted again, as without pushes', @APPS);

};

done_testing;

#!/usr/bin/perl

# Redis is down: known grants go on deciding, each until its own end; unknown
# ones follow on_error; nobody waits; and it is over within a second.

use Perm::Test;

# a time-out that cannot be taken for a busy machine

my $TIMEOUT = 2;    # seconds

my %nginx = (workers => 2, http => "app_permission_redis_timeout ${TIMEOUT}s;",
             server => <<'EOT');
        %%DECISION%%

        app_permission_cache_valid 1s denied=1s;
        app_permission required;
        location = /a     { empty_gif; }
        location = /long  { app_permission_cache_valid 1h; empty_gif; }
        location = /open  { app_permission_on_error allow; empty_gif; }
        location = /bound { app_permission_cache_stale 2s; empty_gif; }
        location = /off   { app_permission_cache_stale off; empty_gif; }
EOT

my $OPEN = '200 allow/unavailable MISS';

my $t = Perm::Test->new;
my $redis = $t->redis(conf => ['appendonly yes'])->load;

sub fill {
    $redis->load->allow(map { "app-$_" } 1 .. 50)
          ->grant('smoke', undef, 'gateway', int(time) + 3600);
}

my @outages;

sub normal {
    my ($what) = @_;
    my $begun = time;
    ok wait_for(sub {
        $t->status->{redis}{up}
            && !grep { outcome('app-1', '/off') !~ /^200/ } 1 .. 4;
    }, 15), "$what: normal again";
    my $took = time - $begun;
    cmp_ok $took, '<', 3, '... soon';
    push @outages, $took if $what =~ /back|started/;
}

fill();
$t->nginx(%nginx);
ok $t->settled, 'ready';


subtest 'down' => sub {
    my $ends = int(time) + 3;
    $redis->grant('smoke', 'get_user', 'ending', $ends);
    ok $t->settled, 'pushed';
    is outcome('ending'), "$ALLOW MISS", 'one that ends soon';
    is outcome('app-1'), "$ALLOW MISS", 'one that does not';
    is outcome('gateway'), '200 allow/gateway_grant MISS', 'a gateway grant';
    is outcome('nobody'), "$DENY MISS", 'one that has none';

    $redis->kill;
    ok $t->wait_log(qr/Redis is down/), 'down';
    wait_for(sub { outcome('app-1') =~ /STALE/ });

    is outcome('app-1'), "$ALLOW STALE", 'a known grant: stale';
    is outcome('gateway'), '200 allow/gateway_grant STALE', 'a gateway grant';
    is outcome('nobody'), "$DENY STALE", 'a known denial: stale';
    is outcome('unknown'), $UNKNOWN, 'unknown: unavailable';
    is outcome('unknown', '/open'), $OPEN, 'unknown, on_error allow: allowed';
    is outcome('app-1', '/open'), "$ALLOW STALE",
        'known, on_error allow: by the grant';
    is outcome('nobody', '/open'), "$DENY STALE",
        'a known denial is not allowed by it';
    is outcome('app-1', '/off'), $UNKNOWN, 'cache_stale off: unavailable';
    is outcome('app-1', '/long'), "$ALLOW STALE",
        'where cache_valid is longer too: changes are not pushed any more';

    my ($allowed_at, $got) = (0);
    wait_for(sub {
        my $now = time;
        $got = outcome('ending');
        $allowed_at = $now if $got =~ /^200/;
        return $got =~ /^403/;
    }, 6);
    is $got, '403 deny/resource_grant_expired STALE', 'the end counts';
    cmp_ok $allowed_at, '<=', $ends + 0.02, '... on time';
    cmp_ok time, '>=', $ends, '... and not before';

    is outcome('app-1', '/bound'), $UNKNOWN,
        'cache_stale 2s: unavailable after valid and that'
        if ok wait_for(sub { outcome('app-1', '/bound') =~ /^503/ }, 4);
    is outcome('app-1'), "$ALLOW STALE", '... where it is 24h: stale still';

    is scalar($t->log_lines(qr/Redis is down/)), 1, 'logged once';
    my $status = $t->status;
    ok !$status->{redis}{up}, 'in the status';
    cmp_ok $status->{cache}{stale}, '>', 5, 'counted';

    $redis->run;
    normal('started');
    ok $t->settled, 'changes are pushed again';
    $redis->forbid('app-1');
    becomes('app-1', '403', '... with effect', undef, 0.5);
    fill();
};


# A change that was pushed before the outage counts in it: what was known
# before the change is not served, not as stale either.

subtest 'changed just before' => sub {
    ok $t->settled, 'pushed';
    is outcome('app-2', '/long') =~ /^200/, 1, 'known';
    $t->revoke('app-2');
    $redis->kill;
    $t->down;
    is outcome('app-2', '/long'), $UNKNOWN, 'unavailable';
    is outcome('app-2', '/open'), $OPEN, '... or on_error';

    $redis->run;
    normal('started');
    fill();
};


# What changed is asked for again in the background: a renewal of all grants at
# night must not leave those who call in the morning without any.

subtest 'changed, and nobody called' => sub {
    my ($ends, $n) = (int(time) + 7200, 40);
    ok $t->settled, 'pushed';
    is outcome("app-$_", '/long') =~ /^200/, 1, 'known' for 1 .. $n;
    $redis->grant('smoke', 'get_user', "app-$_", $ends) for 1 .. $n - 1;
    $redis->forbid("app-$n");
    for (1 .. $n) {
        my ($expires, $cache) = $_ < $n ? $ends : 'none';
        ok wait_for(sub {
            $cache = $t->cached("app-$_");
            $cache->{unchanged}
                && ($cache->{resource_expires} // 'none') eq $expires;
        }), "asked for again: app-$_" or last;
    }

    $redis->kill;
    wait_for(sub {
        my $status = $t->status;
        return !$status->{redis}{up} && !$status->{invalidation}{active};
    });
    is outcome("app-$_", '/long'), "$ALLOW STALE", "app-$_" for 1 .. $n - 1;
    is outcome("app-$n", '/long'), "$DENY STALE", 'a revoked one: denied';

    $redis->run;
    normal('started');
    fill();
};


# From the first moment on nobody waits, and nobody fails.

for my $way (qw(kill stop pause)) {
    subtest "under load: $way" => sub {
        my @apps = map { "app-$_" } 1 .. 50;
        ok $t->settled, 'pushed';
        outcome($_) for @apps, @apps, @apps;

        my $load = $t->load(\@apps, connections => 16, rate => 1500);
        $load->more(1500);
        $redis->$way;
        ok $load->more(4000), 'requests go on';
        $way eq 'pause' ? $redis->resume : $redis->run;
        normal('back');
        $load->more(1500);
        my $seen = $load->stop;

        my $failed = 0;
        /^200/ or $failed += $seen->{outcome}{$_} for keys %{$seen->{outcome}};
        is $failed, 0, "none of $seen->{n} failed"
            or diag explain $seen->{outcome};
        is $seen->{lost}, 0, 'none was lost';
        cmp_ok $seen->{outcome}{"$ALLOW STALE"} // 0, '>', 1000,
            'most by a stale grant' or diag explain $seen->{outcome};
        cmp_ok $seen->{worst}, '<', $way eq 'pause' ? $TIMEOUT + 1.5 : $TIMEOUT / 2,
            "the slowest took $seen->{worst} s";
    };
}


# The worker that hears of changes finds out, and the others need not.

subtest 'hangs, and one has found out' => sub {
    ok $t->settled, 'pushed';
    my %worker = $t->worker_connections(2);
    $redis->pause;
    ok wait_for(sub { !$t->status->{redis}{up} }, 10), 'found out';

    for (1 .. 3) {
        my $begun = time;
        ask('hung', undef, $_) for values %worker;
        is answer($_), $UNKNOWN, 'unavailable' for values %worker;
        my $took = time - $begun;
        cmp_ok $took, '<', $TIMEOUT / 2, "... without waiting: $took s";
    }
    $redis->resume;
    normal('back');
};


subtest 'unknown ones do not wait' => sub {
    $redis->kill;
    wait_for(sub { outcome('unknown-0') eq $UNKNOWN
                   && !$t->status->{redis}{up} });
    my $seen = $t->once([map { "unknown-$_" } 1 .. 2000]);
    is_deeply $seen->{outcome}, { $UNKNOWN => 2000 }, 'unavailable, all';
    cmp_ok $seen->{worst}, '<', $TIMEOUT / 2, "the slowest took $seen->{worst} s";

    # refusals are told of one by one, the outage is not

    cmp_ok scalar($t->log_lines(qr/Redis is down/)), '<=', 20,
        'a line for each outage, not for each request';
    $redis->run;
    normal('started');
    fill();
};


subtest 'emptied' => sub {
    ok $t->settled, 'pushed';
    for my $app (map { "app-$_" } 1 .. 10) {
        becomes($app, "$ALLOW HIT", $app, '/long');
    }
    my $lines = () = $t->log =~ /the grant table is not loaded/g;

    $redis->cmd('FLUSHALL');
    becomes('app-3', "$ALLOW STALE", 'known: stale');
    for (1 .. 50) { $t->get('/a', app => 'app-' . (1 + $_ % 10)) }
    is outcome("app-$_"), "$ALLOW STALE", "app-$_" for 3 .. 10;
    is outcome('unknown'), $UNKNOWN, 'unknown: unavailable, not "no grant"';
    is outcome('unknown', '/open'), $OPEN, '... or on_error';
    my $now = () = $t->log =~ /\[error\].*the grant table is not loaded/g;
    is $now - $lines, 1, 'loud, once';
    my $s = $t->status;
    ok !$s->{table}{loaded}, 'in the status';
    my ($p) = grep { $_->{name} eq 'table_not_loaded' } @{$s->{problems}};
    for (['the log', $t->log =~ /(.*the grant table is not loaded.*)/],
         ['the alert', $p->{advice}])
    {
        like $_->[1], qr/app-permission init\b/, "$_->[0] names init";
        like $_->[1], qr/app-permission import\b/, '... and import';
    }

    # an unfinished load without meta is not used, nor does it take anything
    # from those whose grants are there already

    ok $t->told(sub { $redis->allow(map { "app-$_" } 1 .. 5) }, 5),
        'half loaded';
    is outcome("app-$_"), "$ALLOW STALE", "app-$_: stale still" for 4 .. 6;
    is outcome('new'), $UNKNOWN, 'unknown: unavailable still';

    fill();
    normal('loaded');
    is outcome('unknown'), "$DENY MISS", 'unknown: no grant';
    ok $t->wait_log(qr/the grant table is loaded again/), 'the log tells';
};


# Likewise when the load follows at once.  Keys that are pushed before the loss
# is certain count as changed: unavailable, but never denied.

subtest 'emptied and half loaded at once' => sub {
    ok $t->settled, 'pushed';
    for my $app (map { "app-$_" } 1 .. 10) {
        becomes($app, "$ALLOW HIT", $app, '/long');
    }
    ok $t->told(sub { $redis->empty->allow(map { "app-$_" } 1 .. 5) }, 6),
        'pushed';
    like outcome("app-$_"), qr/^(?:\Q$ALLOW STALE\E|\Q$UNKNOWN\E)$/,
        "app-$_: stale, or unavailable" for 1 .. 5;
    is outcome("app-$_"), "$ALLOW STALE", "app-$_: stale" for 6 .. 10;

    fill();
    normal('loaded');
    $redis->forbid('app-2');
    becomes('app-2', '403', 'changes count again', '/long', 0.5);
    fill();
};


# A fresh one, one with another schema.

subtest 'another table' => sub {
    outcome('app-6');
    for my $case (['schema 2', 'HSET', 'app_permission:meta', 'schema', '2'],
                  ['schema empty', 'HSET', 'app_permission:meta', 'schema', ''],
                  ['schema 11', 'HSET', 'app_permission:meta', 'schema', '11'],
                  ['a string', 'SET', 'app_permission:meta', '1'])
    {
        my ($what, @command) = @$case;
        $redis->cmd(@command);
        becomes('app-6', "$ALLOW STALE", "$what: stale", undef, 2);
        is outcome('unknown-6'), $UNKNOWN, '... unknown: unavailable';
        $redis->cmd('DEL', 'app_permission:meta');
        $redis->load;
        normal($what);
    }
};

# A configuration that names another database, or another prefix.

subtest 'elsewhere' => sub {
    my $n = 700;
    for my $case (['a wrong database', 'app_permission:',
                   redis => '"' . $redis->url . '?db=5"'],
                  ['a wrong prefix', 'other:', http => $nginx{http}
                   . 'app_permission_redis_prefix other:;'])
    {
        my ($what, $prefix, @change) = @$case;
        ok wait_for(sub { outcome('app-7') =~ /^\Q$ALLOW\E (?:MISS|HIT)/ }),
            'known';
        ok $t->apply(%nginx, @change), $what;
        becomes('app-7', "$ALLOW STALE", 'stale');
        is outcome('unknown-' . ++$n), $UNKNOWN, 'unknown: unavailable';
        like $t->new_log, qr/\[error\].*table is not loaded.*"\Q$prefix\Emeta"/, 'loud';
        my $told = qr/the grant table is/;
        is scalar $t->new_lines($told), 1, '... and said once';
        wait_until(int(time) + 1);
        my $stale = int time;
        is outcome('app-7'), "$ALLOW STALE", 'an access';
        wait_until($stale + 0.7);
        cmp_ok $t->status->{access}{pending}, '>=', 1, '... waits';
        $t->mark;
        ok $t->config(%nginx)->reload, 'the right one';
        ok wait_for(sub { outcome("unknown-$n") =~ /^\Q$DENY\E/ }), 'over';
        is scalar $t->new_lines($told), 1, '... and said once';
        ok $t->flushed, 'accesses are written';
        cmp_ok $redis->access('smoke', 'get_user', 'app-7') // 0, '>=', $stale,
            '... here';
        is $redis->cmd('EVAL', <<'LUA', 0), 0, '... and not there';
            redis.call('SELECT', 5)
            local keys = #redis.call('KEYS', '*')
            redis.call('SELECT', 0)
            return keys + #redis.call('KEYS', 'other:*')
LUA
    }
};


# one alone may be late on a busy machine

@outages = sort { $a <=> $b } @outages;
cmp_ok $outages[@outages / 2], '<', 1, 'normal within a second, mostly'
    or diag "@outages";

done_testing;

#!/usr/bin/perl

# A node of a cluster gives its slots up, or ends, and owes answers: whoever
# has the slots then gives them, in time, and nothing is sent about for ever.
# The nodes are fakes, that hang and move as they are told.

use IO::Handle;
use POSIX qw(mkfifo);
use Perm::Test;

my $HELD = qr/^HMGET .*:held-/;

my ($t, $pipe, %node, @ranges);


# as Redis has it: CRC16 (XMODEM) of what is in the braces

sub slot {
    my $crc = 0;
    for my $byte (unpack 'C*', "smoke:$_[0]") {
        $crc ^= $byte << 8;
        $crc = ($crc & 0x8000 ? $crc << 1 ^ 0x1021 : $crc << 1) & 0xffff
            for 1 .. 8;
    }
    return $crc % 16384;
}

# so many apps of the lower half of the slots (0), or the upper one (1)

my $made = 0;

sub apps {
    my ($kind, $half, $n) = @_;
    my @apps;
    while (@apps < $n) {
        my $app = "$kind-" . ++$made;
        push @apps, $app if (slot($app) >= 8192) == $half;
    }
    return @apps;
}

# [from, to, node, host]

sub slots {
    return '*' . @_ . "\r\n" . join '', map {
        my ($from, $to, $node, $host) = (@$_, '127.0.0.1');
        "*3\r\n:$from\r\n:$to\r\n*2\r\n"
            . Perm::FakeRedis::bulk($host) . ":$node{$node}{port}\r\n"
    } @_;
}

# what one node does from now on; all agree on the slots

sub does {
    my ($name, @rules) = @_;
    $node{$name}{does} = \@rules;
    $node{$name}->rules(
        { match => qr/^CLUSTER SLOTS/, reply => slots(@ranges) }, @rules,
        { match => qr/^HMGET \S*grants:/, reply => Perm::FakeRedis::grants(undef,
                                                                4102444800) });
}

sub ranges {
    @ranges = @_;
    does($_, @{$node{$_}{does}}) for sort keys %node;
}

sub cluster {
    my ($names, @ranges) = @_;
    $t = Perm::Test->new(late => 1);
    mkfifo("$t->{dir}/pipe", 0600) or die "$!\n";
    open $pipe, '+<', "$t->{dir}/pipe" or die "$!\n";
    $pipe->blocking(0);
    %node = map { $_ => Perm::FakeRedis->start(dir => "$t->{dir}/$_") } @$names;
    ranges(@ranges);
}

sub nginx {
    my ($directives, $host) = @_;
    $host //= '127.0.0.1';
    $t->nginx(redis => "redis+cluster://$host:$node{a}{port}",
              http => "app_permission_flush 1h; $directives",
              server => <<"END");
        add_header X-Decision
            \$app_permission_decision/\$app_permission_reason always;
        app_permission required;
        location = /logged { app_permission off;
                             access_log $t->{dir}/pipe perm_uri; empty_gif; }
        location = /a    { app_permission_cache_valid 0s denied=0s; empty_gif; }
        location = /long { app_permission_cache_valid 1h denied=1h; empty_gif; }
END
    is outcome(apps('first', 0, 1)), $ALLOW, 'the lower half';
    is outcome(apps('first', 1, 1)), $ALLOW, 'the upper half';
}

sub stop {
    $t->stop;
    $_->stop for values %node;
}

sub calls {
    return map { ask($_, "/a?$_") } @_;
}

sub outcomes { map { answer($_, 60) } @_ }

# how often this node was asked for each of these

sub asked {
    my ($name, @apps) = @_;
    my @seen = $node{$name}->commands(qr/^HMGET \S*grants:/);
    return map { my $app = $_; scalar grep { /:\Q$app\E\} / } @seen } @apps;
}

# the first node has the lower half, and nginx knows

sub to_begin_with {
    my ($app);
    ranges([0, 8191, 'a'], [8192, 16383, 'b']);
    ok wait_for(sub {
        ($app) = apps('back', 0, 1);
        return outcome($app) =~ /^200/ && (asked('a', $app))[0];
    }), 'it has slots';
}

# lookups that the first node owes an answer

sub hold {
    my ($n) = @_;
    does('a', { match => $HELD, hang => 1 });
    my @apps = apps('held', 0, $n);
    my @calls = calls(@apps);
    ok wait_for(sub { $n == grep { $_ } asked('a', @apps) }),
        "$n lookups are held";
    return (\@apps, \@calls);
}

sub answered_by {
    my ($name, $apps, $calls) = @_;
    is_deeply [outcomes(@$calls)], [($ALLOW) x @$apps], 'all are answered';
    is_deeply [asked('a', @$apps)], [(1) x @$apps], '... asked there once';

    # again where tracking, begun anew meanwhile, leaves them in doubt

    is_deeply [grep { $_ < 1 || $_ > 5 } asked($name, @$apps)], [],
        '... and at the new owner';
}


cluster([qw(a b c)], [0, 8191, 'a'], [8192, 16383, 'b']);
nginx('app_permission_redis_timeout 30s;');

subtest 'all slots go to a node that is known' => sub {
    to_begin_with();
    my @held = hold(5);
    ranges([0, 16383, 'b']);
    answered_by('b', @held);
};

subtest 'all slots go to a node that is new' => sub {
    to_begin_with();
    my @held = hold(5);
    ranges([0, 8191, 'c'], [8192, 16383, 'b']);
    answered_by('c', @held);
};

subtest 'its connection ends, and it keeps other slots' => sub {
    to_begin_with();
    my (@probes, @probing);
    my @held = hold(5);

    ranges([8192, 8192, 'a'], [0, 8191, 'b'], [8193, 16383, 'b']);
    ok wait_for(sub {
        push @probes, apps('probe', 0, 1);
        push @probing, calls($probes[-1]);
        return wait_for(sub { (asked('b', $probes[-1]))[0] }, 0.1);
    }), 'others go to the new owner already';
    is_deeply [asked('b', @{$held[0]})], [(0) x 5], '... the held ones do not';

    $node{a}->refuse(1);
    answered_by('b', @held);
    is_deeply [outcomes(@probing)], [($ALLOW) x @probing], '... and all others';
};

subtest 'its connection ends before anybody knows' => sub {
    $node{a}->refuse(0);
    to_begin_with();
    my @held = hold(5);

    # the next question is a second away

    my $answers = sub {
        scalar map { $_->answered(qr/^CLUSTER SLOTS/) } values %node
    };
    my $before = $answers->();
    ok wait_for(sub { $answers->() > $before }), 'answered as before';
    ranges([0, 8191, 'c'], [8192, 16383, 'b']);
    $node{a}->refuse(1);
    answered_by('c', @held);
};

subtest 'a node ends, and nobody has its slots' => sub {
    $node{a}->refuse(0);
    to_begin_with();
    my ($apps, $calls) = hold(5);
    $node{a}->refuse(1);
    is_deeply [outcomes(@$calls)],
        [('503 fail/unavailable') x 5], 'all are told, long before their time';
    is_deeply [asked('a', @$apps)], [(1) x 5], '... asked there once';
};

subtest 'a node ends while the last accesses are written' => sub {
    does('a', { match => qr/^ZADD/, close => 1 });
    $node{a}->refuse(0);
    to_begin_with();
    my $begun = time;
    is $t->{nginx}->quit, 0, 'nginx quits';
    $t->soon($begun, 1.5, '... and does not wait');
    ok $_->commands(qr/^ZADD/), '... both were told' for @node{qw(a b)};
};

stop();


# "d" sends lookups on to nodes that take their time to greet

cluster([qw(a c d e)], [0, 8191, 'a'], [8192, 16383, 'd']);
does('c', { match => qr/^PING/, hang => 1 });
does('e', { match => qr/^PING/, delay => 1 },
          { match => qr/^HMGET \S*grants:/, hang => 1 });
does('d', map { { match => qr/^HMGET .*:to-$_-/,
                  reply => "-ASK 1 127.0.0.1:$node{$_}{port}\r\n" } } qw(c e));
nginx('app_permission_redis_timeout 3s; app_permission_redis_connect_timeout 60s;');

subtest 'who waits behind others is told in time' => sub {
    my ($old, $waits) = hold(1);
    my $begun = time;
    wait_until($begun + 1);

    my @young = apps('to-c', 1, 1);
    push @$waits, calls(@young);
    ok wait_for(sub { $node{d}->answered(qr/:\Q$young[0]\E\}/) }),
        'one waits for a connection';
    ranges([0, 8191, 'c'], [8192, 16383, 'd']);

    is_deeply [outcomes(@$waits)],
        [('503 fail/unavailable') x 2], 'both are told';
    my @uris = map { $_->{request_uri} =~ /\?(held|to-c)/ } $t->access(4);
    is "@uris", 'held to-c', '... the one first whose time is up first';
};

subtest 'who got a connection too late is told soon' => sub {
    my ($app) = apps('to-e', 1, 1);
    my $begun = time;
    my ($call) = calls($app);
    ok wait_for(sub { $node{e}->commands(qr/^ROLE/) }), 'the greeting is sent';

    # the worker waits for its log, until both answer and end of time are there

    syswrite $pipe, 'x' x 65536;
    is $t->get('/logged')->{status}, 200, 'the worker is busy';
    ok wait_for(sub { $node{e}->answered(qr/^ROLE/) }), '... for long';
    wait_until($begun + 3.5);
    my $late = time;
    sysread $pipe, my $bytes, 65536;
    is answer($call, 60), '503 fail/unavailable', 'too late';
    cmp_ok time - $late, '<', 2, '... but told soon';
};

$_->refuse(1) for values %node;     # nginx need not wait for them to quit
stop();


cluster(['a' .. 'f'], map { [$_->[0] * 2048, $_->[1] * 2048 - 1, $_->[2]] }
    [0, 1, 'a'], [1, 2, 'b'], [2, 3, 'c'], [3, 4, 'd'], [4, 6, 'e'], [6, 8, 'f']);
nginx('app_permission_redis_timeout 5s;');

subtest 'many nodes are down' => sub {
    ok wait_for(sub {
        outcome(apps('any', $made % 2, 1));
        return 6 == grep { $_->commands(qr/^HMGET \S*grants:/) } values %node;
    }), 'all are asked';
    $_->refuse(1) for values %node;
    ok $t->wait_log(qr/no node of the cluster helps/), 'all are gone';

    my ($said, $since) = (0, time);
    ok wait_for(sub {
        my $now = () = $t->log_lines(qr/\[error\]/);
        ($said, $since) = ($now, time) if $now != $said;
        return time > $since + 1;
    }, 15), 'the log is not told at every attempt';

    $_->refuse(0) for values %node;
    becomes(apps('any', 0, 1), '200', 'back');
};

stop();


# nobody tells of changes at "c", which has no slot and is no node of theirs

cluster([qw(a b c)], [0, 8191, 'a'], [8192, 16383, 'b']);
nginx('app_permission_redis_timeout 5s;');

# calls, and how often the node was asked for their sake

sub asks {
    my ($name, $app, $calls) = @_;
    my ($before) = asked($name, $app);
    for (1 .. $calls) {
        is outcome($app, '/long'), $ALLOW, "$app: allowed";
    }
    return (asked($name, $app))[0] - $before;
}

subtest 'sent to a node without slots' => sub {
    my ($known, $b, $c) = map { apps($_, 0, 1) } qw(known to-b to-c);
    does('a', map { { match => qr/^HMGET .*:to-$_-/,
                      reply => "-ASK 1 127.0.0.1:$node{$_}{port}\r\n" } } qw(b c));

    ok wait_for(sub { !asks('a', $known, 1) }), 'what a master says is cached';
    asks('b', $b, 1);
    is asks('b', $b, 3), 0, '... also where ASK led to it';
    cmp_ok asks('c', $c, 3), '>=', 3, 'another node is asked each time';

    $node{c}->refuse(1);
    asks('c', $c, 1);
    is asks('a', $known, 3), 0, 'it is down: the others do not mind';
    $node{c}->refuse(0);

    # as a master that this worker knows of, and others may not yet

    ranges([0, 8191, 'c'], [8192, 16383, 'b']);
    ok wait_for(sub {
        my ($app) = apps('new', 0, 1);
        outcome($app);
        return (asked('c', $app))[0] && !(asked('a', $app))[0];
    }), 'it has slots';

    # ... but for a call that joins a lookup in the background

    cmp_ok asks('c', $c, 5), '>=', 3, '... and is asked each time at first';
    ok wait_for(sub { !asks('c', $c, 1) }), '... cached later';
};

stop();


# what a node calls another goes to the log, to the resolver and to TLS

my $EVIL = "a\x1b[2J\n2026/01/01 00:00:00 [alert] 1#1: b\x7f\0c\xff";

sub clean {
    my @bad = grep { /[^\x20-\x7e]/ || !m{^\d{4}/} } split /\n/, $t->log;
    is join('|', @bad), '', 'the log is clean';
}

cluster([qw(a b)], [0, 8191, 'a'], [8192, 16383, 'b']);
nginx('app_permission_redis_timeout 5s;');

subtest 'a name of MOVED or ASK that is none' => sub {
    for my $how ('MOVED', 'ASK') {
        my ($app) = apps('evil', 0, 1);
        does('a', { match => qr/^HMGET .*:evil-/,
                    reply => "-$how 1 a\x1b[2J\x07b\xff:7000\r\n" });
        is outcome($app), '503 fail/unavailable', "$how: unavailable";
        is_deeply [asked('a', $app)], [1], '... asked once';
    }
    clean();
};

subtest 'sent to a node that is down, time and again' => sub {
    my @down = map { free_port() } 1 .. 2;
    does('a', map { { match => qr/^HMGET .*:to-$_-/,
                      reply => "-ASK 1 127.0.0.1:$down[$_]\r\n" } } 0, 1);
    for (1 .. 5) {
        is outcome(apps("to-$_", 0, 1)), '503 fail/unavailable', 'unavailable'
            for 0, 1;
    }
    is scalar($t->log_lines(qr/\[error\].* Redis 127\.0\.0\.1:$_: /)), 1,
        'which the log is told once' for @down;
    clean();
};

subtest 'a name of CLUSTER SLOTS that is none' => sub {
    ranges([0, 8191, 'a', $EVIL], [8192, 16383, 'b']);
    ok $t->wait_log(qr/no node of the cluster helps.*something unknown/),
        'of no use';
    clean();
    ranges([0, 8191, 'a'], [8192, 16383, 'b']);
    becomes(apps('any', 0, 1), '200', 'back with one that is of use');
};

stop();

subtest 'a name of a Sentinel that is none' => sub {
    cluster(['a']);
    does('a', Perm::FakeRedis::sentinel(7000, $EVIL));
    $t->nginx(redis => "redis+sentinel://127.0.0.1:$node{a}{port}/m");
    ok $t->wait_log(qr/no Sentinel helps.*has no valid address/), 'of no use';
    clean();
    stop();
};


# Nodes that do not know by which address they are reached: the one at hand
# counts, each with its own port.

cluster([qw(a b c)], [0, 8191, 'a', undef], [8192, 16383, 'b', undef]);
nginx('app_permission_redis_timeout 5s;', 'localhost');

for my $none ([undef, ''], ['', ''], ['?', '?']) {
    my ($host, $moved) = @$none;

    subtest 'nodes without a name: ' . ($host // 'NULL') => sub {
        ranges([0, 8191, 'a', $host], [8192, 16383, 'b', $host]);
        $_->forget for values %node;
        ok wait_for(sub {
            4 <= map { $_->answered(qr/^CLUSTER SLOTS/) } values %node
        }), 'asked';

        my ($low, $high) = map { apps('nameless', $_, 1) } 0, 1;
        like outcome($_), qr/^200/, 'answered' for $low, $high;
        is_deeply [map { !!$_ } asked('a', $low, $high)], [1, ''],
            '... the one here';
        is_deeply [map { !!$_ } asked('b', $low, $high)], ['', 1],
            '... the other there';

        for my $how ('MOVED', 'ASK') {
            my ($app) = apps('on', 0, 1);
            does('a', { match => qr/^HMGET .*:on-/,
                        reply => "-$how 1 $moved:$node{c}{port}\r\n" });
            like outcome($app), qr/^200/, "$how: answered";
            cmp_ok +(asked('c', $app))[0], '>', 0, '... at the new port';
        }
    };
}


subtest 'sent from one to the other and back' => sub {
    my ($app) = apps('round', 0, 1);
    my @does = map { { match => qr/^HMGET .*:round-/,
                       reply => "-MOVED 1 :$node{$_}{port}\r\n" } } qw(a b);
    does('b', $does[0]);
    does('a', $does[1]);
    is outcome($app), '503 fail/unavailable', 'given up';
    is join('+', asked('a', $app), asked('b', $app)), '3+3',
        '... after six times';
    like outcome(apps('any', 0, 1)), qr/^200/, '... others do not mind';
};

stop();
done_testing;

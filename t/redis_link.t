#!/usr/bin/perl

# The link to Redis: the ways to name one, and each way it can fail, with what
# a known call, an unknown one, and the log get of it.

use Perm::Test;

use Fcntl qw(O_RDWR O_NONBLOCK);
use POSIX qw(mkfifo);
use Time::HiRes qw(sleep);

my $SERVER = <<'EOT';
        %%DECISION%%

        app_permission required;
        location = /a     { empty_gif; }
        location = /open  { app_permission_on_error allow; empty_gif; }

        # always asks

        location = /fresh { app_permission_cache_valid 0s denied=0s; empty_gif; }

        # asks too, but is content with what is known where that takes long

        location = /short { app_permission_cache_valid 1ms; empty_gif; }
EOT

my $t;

sub back {
    my ($what, $limit) = @_;
    my $begun = time;
    becomes('demo', "$ALLOW MISS", "$what: back to normal", '/fresh', 5);
    $t->soon($begun, $limit // 1.2, '... within a second');
}


# the ways to name a server

subtest 'urls' => sub {
    $t = Perm::Test->new(late => 1);
    my $redis = $t->redis->load;
    $redis->allow('demo');
    my $port = $redis->{port};

    $redis->cmd('ACL', 'SETUSER', 'gate', 'on', '>pa ss:w/d@', '~*', '&*',
                '+@all');
    $redis->cmd('CONFIG', 'SET', 'requirepass', 'secret');
    my $db = Perm::Redis::Client->connect($redis->{socket}, 'secret');
    $db->cmd('SELECT', 3);
    $db->cmd('HSET', 'app_permission:meta', 'schema', '1');
    $db->cmd('HSET', 'app_permission:grants:{smoke:three}', '-', '4102444800');
    spew("$t->{dir}/password", "secret\n");
    spew("$t->{dir}/gate", 'pa ss:w/d@');

    my $file = 'app_permission_redis_password_file %%DIR%%';

    for my $case (
        ["redis://:secret\@127.0.0.1:$port", '', 'demo'],
        ["redis://:secret\@localhost:$port", '', 'demo', 'a host name'],
        ["redis://default:secret\@127.0.0.1:$port", '', 'demo', 'a user'],
        ["redis://gate:pa%20ss%3Aw%2Fd%40\@127.0.0.1:$port/0", '', 'demo',
         'a percent-encoded password'],
        ["redis://:secret\@127.0.0.1:$port/3", '', 'three', 'a database'],
        ["unix:$redis->{socket}", "$file/password;", 'demo',
         'a socket, the password in a file'],
        ["unix:$redis->{socket}?db=3", "$file/password;", 'three',
         'a socket and a database'],
        ["redis://127.0.0.1:$port",
         "app_permission_redis_user gate; $file/gate;", 'demo',
         'user and password outside the URL'],
        ["redis://other:wrong\@127.0.0.1:$port",
         "app_permission_redis_user gate; $file/gate;", 'demo',
         '... which count more than those in it'],
    ) {
        my ($url, $more, $app, $what) = @$case;
        $t->apply(server => $SERVER, redis => "\"$url\"", http => $more);
        like outcome($app, '/fresh'), qr/^200 allow\/\w+_grant MISS/,
            $what // 'an address';
    }

    is scalar($t->log_lines(qr/secret|pa ss/)), 0, 'no password in the log';
};


subtest 'a prefix of its own' => sub {
    $t = Perm::Test->new(late => 1);
    my $redis = $t->redis(prefix => 'perm/2:')->load;
    $redis->allow('demo');
    $t->nginx(server => $SERVER, http => 'app_permission_redis_prefix perm/2:;');
    is outcome('demo'), "$ALLOW MISS", 'found';
    $redis->forbid('demo');
    becomes('demo', '403', 'and its changes are seen', undef, 2);
};


subtest 'gone at start' => sub {
    $t = Perm::Test->new(late => 1);
    my $redis = $t->redis->load;
    $redis->stop;
    $t->nginx(server => $SERVER);

    is outcome('demo'), $UNKNOWN, 'unavailable';
    is outcome('demo', '/open'), '200 allow/unavailable MISS',
        'on_error allow: allowed';
    ok $t->wait_log(qr/Redis is down/), 'logged';
    outcome('demo') for 1 .. 100;
    is scalar($t->log_lines(qr/Redis is down/)), 1, '... once';
    ok !$t->status->{redis}{up}, 'in the status';

    $redis->run->load->allow('demo');
    back('started');
    ok $t->status->{redis}{up}, 'in the status';

    my $errors = $t->log_lines(qr/\[error\]/);
    $redis->stop;
    ok $t->wait_log(qr/Redis is down.*Redis is down/s), 'gone: logged again';
    is outcome('demo', '/fresh'), "$ALLOW STALE", 'stale';
    is outcome('unknown'), $UNKNOWN, 'unavailable';
    $redis->run->load->allow('demo');
    back('started again');
    ok $t->wait_log(qr/Redis is up again after \d+ s/), 'the log tells';
    cmp_ok scalar($t->log_lines(qr/\[error\]/)) - $errors, '<=', 6,
        'a few lines for all of it';
};


# What a fake one does, in front of a real one.  The known call has been
# looked up once, and its answer does for /a but not for /fresh.

$t = Perm::Test->new(late => 1);
my $redis = $t->redis->load;
my $fake = $t->fake_redis(to => $redis);
$redis->allow(qw(demo other));
$redis->cmd('SET', 'app_permission:grants:{smoke:string}', 'x');

$t->nginx(server => $SERVER, http => 'app_permission_redis_timeout 300ms;');
my $n = 0;

sub failing {
    my ($what, $rules, %o) = @_;

    subtest $what => sub {
        $fake->rules;
        back('before', 5);
        wait_for(sub { $t->status->{redis}{up} }, 2);
        $t->mark;

        $fake->rules(@$rules);
        is outcome('demo', '/fresh'), "$ALLOW STALE", 'known: stale';
        is outcome('unknown-' . ++$n), $UNKNOWN, 'unknown: unavailable';
        is outcome('unknown-' . ++$n, '/open'), '200 allow/unavailable MISS',
            '... or allowed';
        outcome('demo', '/fresh') for 1 .. 20;

        ok $t->wait_new($o{log}, 3), 'the log tells why';
        my @told = $t->new_lines($o{log});
        cmp_ok scalar @told, '<=', $o{told} // 2, '... by link and retry'
            or diag join "\n", @told;

        $fake->rules;
        back('after');
    };
}

my $lookup = qr/^HMGET \S*grants:/;

failing 'closed in the middle of a reply',
    [{ match => $lookup, reply => "*2\r\n\$20\r\nabc", close => 1 }],
    log => qr/closed|Broken pipe|reset/;

# the same cause as just before: it need not be told again

failing 'closed instead of a reply', [{ match => $lookup, close => 1 }],
    log => qr/closed|Broken pipe|reset|Redis is down/, told => 3;

failing 'garbage', [{ match => $lookup, reply => "HTTP/1.1 400 no\r\n\r\n" }],
    log => qr/no answer of a Redis server/;

failing 'a type of RESP3', [{ match => $lookup, reply => "~1\r\n:1\r\n" }],
    log => qr/no answer of a Redis server|Redis is down/, told => 3;

failing 'a huge reply',
    [{ match => $lookup, reply => "*100\r\n"
                                  . Perm::FakeRedis::bulk('x' x 60000) x 100 }],
    log => qr/a reply is too long/;

failing 'a string without an end',
    [{ match => $lookup, reply => "*2\r\n\$99999999\r\n" . 'x' x 2_000_000 }],
    log => qr/no answer/;

failing 'a string longer than Redis has',
    [{ match => $lookup, reply => "*2\r\n\$999999999\r\n" }],
    log => qr/no valid length/;

failing 'an array without an end',
    [{ match => $lookup, reply => "*1000000000\r\n" }],
    log => qr/too many elements/;

failing 'an endless array',
    [{ match => $lookup, reply => "*1000000\r\n" . "\$-1\r\n" x 1_000_000 }],
    log => qr/too many elements|Redis is down/, told => 3;

failing 'wide arrays in each other',
    [{ match => $lookup, reply => "*100000\r\n" x 7 }],
    log => qr/too many elements|Redis is down/, told => 3;

failing 'deeply nested arrays',
    [{ match => $lookup, reply => "*1\r\n" x 300_000 }],
    log => qr/nested too deeply/;

for my $reply ("+OK\r\n", ":1\r\n", "\$-1\r\n", "*-1\r\n", "*0\r\n",
    "*1\r\n\$-1\r\n", "*3\r\n\$-1\r\n\$-1\r\n\$-1\r\n", "*2\r\n:1\r\n:1\r\n",
    "*2\r\n*0\r\n*0\r\n", "*2\r\n\$-1\r\n-ERR x\r\n")
{
    (my $shown = $reply) =~ s/\r\n/ /g;
    failing "a reply of another type: $shown",
        [{ match => $lookup, reply => $reply }], log => qr/another type/;
}

failing 'meta of another type', [{ match => qr/^HGET/, reply => ":1\r\n" }],
    log => qr/another type/;

for my $error ('LOADING Redis is loading the dataset in memory',
    'MASTERDOWN Link with MASTER is down', 'NOPERM this user has no rights',
    'NOAUTH Authentication required.', 'ERR unknown command',
    'CLUSTERDOWN The cluster is down', "WRONGPASS \e[31m\"evil\"", '')
{
    my ($code) = $error =~ /^(\w*)/;
    failing "an error reply: $code",
        [{ match => $lookup, reply => "-$error\r\n" }],
        log => qr/Redis answered HMGET with "\Q$code\E/, told => 1;
}

failing 'an error reply to the question for meta',
    [{ match => qr/^HGET/, reply => "-NOPERM no rights\r\n" }],
    log => qr/Redis answered HGET with "NOPERM/;

failing 'meta is missing', [{ match => qr/^HGET/, reply => "\$-1\r\n" }],
    log => qr/the grant table is not loaded/;

failing 'meta has another schema',
    [{ match => qr/^HGET/, reply => "\$1\r\n2\r\n" }],
    log => qr/the grant table is not loaded/;


subtest 'nothing of a reply reaches the log raw' => sub {
    ok !grep({ /[^\t -~\n]/ } $t->log_lines(qr/./)), 'printable bytes only';
};


subtest 'a wrong type at the key' => sub {
    is outcome('string'), $UNKNOWN, 'unavailable, not "no grant"';
    is outcome('demo', '/fresh'), "$ALLOW MISS", 'others go on';
    for (1 .. 10) {
        outcome('string');
        outcome('demo', '/fresh');
    }
    is scalar($t->log_lines(qr/grants:\{smoke:string\}/)), 1,
        'the log names the key, once';
    $redis->cmd('DEL', 'app_permission:grants:{smoke:string}');
    becomes('string', '403', 'over when it is a hash, or none', undef, 2);
};


subtest 'slow' => sub {
    ok $t->apply(server => $SERVER, http => 'app_permission_redis_timeout 1s;'),
        'a time-out that a busy machine does not reach by itself';
    back('ready');
    $fake->rules({ match => $lookup, delay => 0.15 });
    is outcome('demo', '/fresh'), "$ALLOW MISS", 'within the time-out: waits';
    is outcome('slow'), "$DENY MISS", 'unknown: waits too';
    is outcome('demo'), "$ALLOW HIT", 'a hit does not';

    # slower than that

    $fake->rules({ match => $lookup, delay => 1.3, times => 1 });
    my $begun = time;
    is outcome('demo', '/fresh'), "$ALLOW STALE", 'over it: stale';
    my $took = time - $begun;
    cmp_ok $took, '>', 0.95, "after the time-out: $took s";
    $t->soon($begun, 1.15, '... and not later');
    back('answers again');
};


# What is known waits for a tenth of a second, and not at all once that has
# shown the answers to be late.  They still come, and count.

subtest 'late' => sub {
    my $short = sub {
        my ($app, $outcome, $what, $min, $max) = @_;
        my $begun = time;
        is outcome($app, '/short'), $outcome, $what;
        my $took = time - $begun;
        cmp_ok $took, '>', $min, "... after $took s" if $min;
        $t->soon($begun, $max, "... before $max s") if $max;
    };

    back('before', 5);
    ok $t->settled, 'changes are pushed';
    wait_for(sub { outcome($_, '/short') eq "$ALLOW MISS" }) for qw(demo other);

    $fake->rules({ match => $lookup, delay => 0.03 });
    $short->('demo', "$ALLOW MISS", 'a little late: waits');

    $fake->rules({ match => $lookup, delay => 0.4 });
    $short->('demo', "$ALLOW STALE", 'late: known', 0.09, 0.39);
    $short->('other', "$ALLOW STALE", 'another', 0, 0.09);
    $short->('late', "$DENY MISS", 'unknown: waits', 0.3);
    $short->('demo', "$ALLOW STALE", 'late again', 0.09, 0.39);

    # a change is waited for

    ok $t->told(sub {
        $redis->grant('smoke', 'get_user', 'other', int(time) - 60);
    }), 'a grant ends';
    $short->('other', '403 deny/resource_grant_expired MISS',
             'what was known is out of date: waits');

    $fake->rules;
    $redis->allow('other');
    back('answers again');
    becomes('other', "$ALLOW MISS", 'asked for again', '/short');
};


subtest 'hung' => sub {
    $fake->rules;
    ok $t->apply(server => $SERVER,
                 http => 'app_permission_redis_timeout 300ms;'), 'less time';
    back('before', 5);
    is outcome('demo'), "$ALLOW HIT", 'a hit before';
    $redis->pause;

    my $begun = time;
    is outcome('demo', '/fresh'), "$ALLOW STALE", 'the first one is stale';
    $t->soon($begun, 0.6, '... within the time-out');
    $begun = time;
    is outcome('hung-next'), $UNKNOWN, 'the next one: unavailable';
    $t->soon($begun, 0.15, '... at once');
    ok $t->down, 'found out';

    my @waited;
    for (1 .. 50) {
        is outcome('demo', '/fresh'), "$ALLOW STALE", 'known: stale'
            if $_ == 1;
        for (['demo', '/fresh'], ["hung-$_"]) {
            $begun = time;
            outcome(@$_);
            push @waited, $t->{late}->over($begun, 0.1);
        }
    }
    cmp_ok scalar @waited, '<=', 2, 'a hundred more do not wait'
        or diag "@waited";
    is outcome('hung'), $UNKNOWN, 'unknown: unavailable';

    $redis->resume;
    back('resumed');
};


subtest 'the connection itself hangs at the handshake' => sub {
    $fake->rules({ match => qr/./, hang => 1 });
    $fake->refuse(1);
    $fake->refuse(0);
    ok wait_for(sub { outcome('demo', '/fresh') =~ /STALE/ }, 3), 'stale';
    my $first = time;
    my @waited;
    for (1 .. 50) {
        my $begun = time;
        outcome('demo', '/fresh');
        push @waited, $t->{late}->over($begun, 0.1);
    }

    # one for each try to connect

    cmp_ok scalar @waited, '<=', 4 + time - $first, 'few of them wait'
        or diag "@waited";
    $fake->rules;
    back('answered again', 2.5);
};


subtest 'refused at the handshake' => sub {
    $t->mark;
    $redis->cmd('CONFIG', 'SET', 'requirepass', 'secret');
    $fake->refuse(1);
    $fake->refuse(0);
    ok wait_for(sub { outcome('demo', '/fresh') =~ /STALE/ }, 3), 'stale';
    is outcome('noauth'), $UNKNOWN, 'unavailable';
    ok $t->wait_new(qr/NOAUTH/, 3), 'logged';
    outcome('demo', '/fresh') for 1 .. 50;

    spew("$t->{dir}/password", 'wrong');
    ok $t->apply(server => $SERVER, http => 'app_permission_redis_timeout 300ms;
                 app_permission_redis_password_file %%DIR%%/password;'),
        'a wrong password';
    ok wait_for(sub { outcome('demo', '/fresh') =~ /STALE/ }, 3), 'stale';
    is outcome('wrongpass'), $UNKNOWN, 'unavailable';
    ok $t->wait_new(qr/WRONGPASS/, 3), 'logged';
    my @told = $t->new_lines(qr/\[error\].*WRONGPASS/);
    cmp_ok scalar @told, '<=', 2, 'once by the link, once by the tracking'
        or diag join "\n", @told;

    spew("$t->{dir}/password", 'secret');
    ok $t->reload, 'the right one';
    back('with it', 2);
};

# a lookup and, in the same turn, a call whose log line has to wait

subtest 'a worker that waits for its log' => sub {
    $t = Perm::Test->new(late => 1);
    my $redis = $t->redis->load;
    $redis->allow('demo', 'busy');
    my $fake = $t->fake_redis(to => $redis);

    mkfifo("$t->{dir}/pipe", 0666) or die "mkfifo: $!\n";
    chmod 0666, "$t->{dir}/pipe";
    sysopen my $pipe, "$t->{dir}/pipe", O_RDWR | O_NONBLOCK or die "$!\n";

    $t->nginx(workers => 1, redis => $fake->url,
              http => 'app_permission_redis_timeout 300ms;', server => <<"EOT");
        %%DECISION%%
        app_permission required;
        location = /a    { empty_gif; }
        location = /pipe { access_log $t->{dir}/pipe; app_permission off;
                           empty_gif; }
EOT
    my ($lookup, $logged) = ($t->connect, $t->connect);
    is answer(ask('demo', '/a', $_)), "$ALLOW MISS", 'a call' for $lookup;
    ask(undef, '/pipe', $logged)->response;

    1 while syswrite $pipe, 'x' x 4096;
    $fake->rules({ match => qr/^HMGET .*busy/, delay => 0.05 });

    my ($worker) = $t->{nginx}->workers;
    kill 'STOP', $worker;
    ask('busy', '/a', $lookup);
    ask(undef, '/pipe', $logged);
    kill 'CONT', $worker;
    sleep 0.6;
    1 while sysread $pipe, my $buf, 65536;

    is answer($lookup), "$ALLOW MISS", 'the time of a lookup begins later';
    is scalar(() = $t->log_lines(qr/no answer/)), 0, 'the link stays';
    $t->stop;
};


# A worker that was stopped, or paused with its whole machine, knows what time
# it is before epoll has told it of all answers.

subtest 'an answer that is there is read before its time is up' => sub {
    plan skip_all => 'no lua module' if !Perm::Test->has_lua;
    $t = Perm::Test->new;
    my $redis = $t->redis->load->allow('demo', 'busy');
    my $fake = $t->fake_redis(to => $redis);

    $t->nginx(workers => 1, lua => 1, redis => $fake->url,
              http => 'app_permission_redis_timeout 300ms;', server => <<'EOT');
        %%DECISION%%
        app_permission required;
        location = /a    { empty_gif; }
        location = /busy { app_permission off; content_by_lua_block {
            local e = ngx.now() + 0.6
            repeat ngx.update_time() until ngx.now() > e
        } }
EOT
    ok $t->up, 'up';
    my ($lookup, $busy) = ($t->connect, $t->connect);
    $fake->rules({ match => qr/^HMGET .*busy/, delay => 0.1 });
    ask('busy', '/a', $lookup);
    ok wait_for(sub { $fake->lookups('busy') }), 'a lookup is on its way';
    ask(undef, '/busy', $busy);

    is answer($lookup), "$ALLOW MISS", 'allowed, late';
    is scalar(() = $t->log_lines(qr/no answer/)), 0, 'the link stays';
    $busy->response;
    $t->stop;
};


# One worker has found out that Redis hung.  It is back, and another one was
# stopped meanwhile: a call is there, and the answer to the one before.

subtest 'an answer that is there shows that Redis is back' => sub {
    $t = Perm::Test->new;
    my $redis = $t->redis->load->allow('demo');
    $t->nginx(workers => 2, server => $SERVER);
    ok $t->up, 'up';

    my ($other, $worker) = $t->{nginx}->workers;
    kill 'STOP', $other;
    my ($first, $second) = ($t->connect, $t->connect);
    like answer(ask('demo', '/a', $_)), qr/^\Q$ALLOW\E/, 'a call'
        for $first, $second;
    kill 'CONT', $other;
    ok $t->up, 'both track';

    my $lookups = $redis->calls('hmget');
    $redis->pause;
    ask('unknown-1', '/a', $first);
    sleep 0.1;
    kill 'STOP', $worker;
    ask('unknown-2', '/a', $second);
    ok $t->wait_log(qr/no answer to a command/), 'the other one has found out';

    $redis->resume;
    ok wait_for(sub { $redis->calls('hmget') > $lookups }), 'answered';
    kill 'CONT', $worker;
    is answer($first), "$DENY MISS", 'the answer is read';
    is answer($second), "$DENY MISS", '... and the link asks on';
    $t->stop;
};


subtest 'the first calls do not wait for a Sentinel that hangs' => sub {
    $t = Perm::Test->new(late => 1);
    my $redis = $t->redis->load->allow('demo');
    my $hung = $t->fake_redis;
    my $well = Perm::FakeRedis->start(dir => "$t->{dir}/well");

    $hung->rules({ match => qr/./, hang => 1 });
    $well->rules(Perm::FakeRedis::sentinel($redis->{port}));
    $t->config(workers => 1, server => $ASKS, redis => 'redis+sentinel://'
        . join(',', map { "127.0.0.1:$_->{port}" } $hung, $well) . '/mine');

    # a worker begins with any of the two

    for (1 .. 6) {
        $t->start;
        is outcome('demo'), "$ALLOW MISS", 'allowed';
        $t->{nginx}->quit;
        unlink "$t->{dir}/backend.sock";
    }
    cmp_ok scalar $hung->commands, '>', 0, 'the other one was asked, too';
};

done_testing;

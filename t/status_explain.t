#!/usr/bin/perl

# Why a call is decided as it is: the cache's side, Redis's side, and where
# they differ; with Redis down, hung, and answering nonsense.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $fake = $t->fake_redis(to => $redis);
my $now = int time;
my $end = $now + 86400;

$redis->grant('smoke', 'get_user', 'demo', $end)
      ->grant('smoke', undef, 'whole', 4102444800);
$redis->cmd('HSET', 'app_permission:grants:{smoke:broken}', '-', '{}',
            'get_user', $now - 10);

# without tracking a change is not seen before the entry is old

$fake->rules({ match => qr/^(CLIENT|SUBSCRIBE)/i, reply => "-NOPERM no\r\n" });

$t->nginx(http => 'app_permission_redis_timeout 2s;', server => <<'EOT');
location / {
    app_permission required;
    proxy_pass %%BACKEND%%;
}
location = /exact {
    app_permission_status;
}
location = /ssi.html {
    app_permission off;
    ssi on;
    root %%DIR%%;
}
EOT

ok $t->wait_log(qr/does not push changes/), 'Redis refuses to push changes';

sub uri { "/status/explain?gateway=smoke&resource=get_user&app=$_[0]" }

sub why {
    my ($app) = @_;
    my $r = $t->get(uri($app));
    is $r->{status}, 200, "explained: $app";
    return json($r->{body});
}


sub agree {
    my ($e, $agree, $summary) = @_;
    is $e->{agree}, $agree, 'whether they agree: ' . ($agree // 'unknown');
    like $e->{summary}, $summary, '... in one sentence';
    unlike $e->{summary}, qr/\. /, '... and no more';
}


subtest 'not in the cache' => sub {
    my $e = why('demo');
    is "$e->{gateway} $e->{resource} $e->{app}", 'smoke get_user demo', 'whose';
    ok !$e->{cache}{found}, 'not in the cache';
    ok $e->{redis}{answered} && $e->{redis}{table_loaded}, 'Redis answered';
    is $e->{redis}{gateway_expires}, undef, '... no grant on the gateway';
    is $e->{redis}{resource_expires}, $end, '... one on the resource';
    is "$e->{redis}{decision} $e->{redis}{reason}", 'allow resource_grant',
        '... which allows';
    is "$e->{decision} $e->{by}", 'allow redis', 'so a call would be allowed';
    is_deeply $e->{differs}, [], 'nothing differs';
    agree($e, JSON::PP::true, qr/no cached answer.*asks Redis: they agree/);
    is $t->status->{cache}{entries}, 0, 'asking left nothing in the cache';
    is $t->status->{requests}{allow}{resource_grant}, 0,
        '... nor in the counters';
};


subtest 'in the cache, and the same' => sub {
    is outcome($_), $_ eq 'broken' ? 403 : 200, "call: $_"
        for qw(demo whole broken);

    my $e = why('demo');
    is "$e->{cache}{state} $e->{cache}{reason} $e->{by}",
        'fresh resource_grant cache', 'decided by the cache';
    cmp_ok $e->{cache}{age_ms}, '<', 60_000, '... its age';
    cmp_ok abs($e->{cache}{valid_until} - time - 60), '<', 5, '... valid until';
    is_deeply $e->{cache}{generation}, $e->{cache}{current_generation},
        '... of the current generation';
    is_deeply $e->{differs}, [], 'nothing differs';
    agree($e, JSON::PP::true, qr/^This instance and Redis agree; the cached/);

    $e = why('whole');
    is "$e->{cache}{gateway_expires} $e->{redis}{gateway_expires}",
        '4102444800 4102444800', 'permanent';

    $e = why('broken');
    is "$e->{redis}{gateway_expires} $e->{redis}{reason}",
        'unreadable resource_grant_expired', 'unreadable';
    is_deeply $e->{differs}, [], 'nothing differs';
};


subtest 'changed meanwhile' => sub {
    $redis->forbid('demo');

    my $e = why('demo');
    is "$e->{cache}{decision} $e->{redis}{decision}", 'allow deny',
        'revoked: the sides are not of one mind';
    is_deeply [sort @{$e->{differs}}], [qw(decision reason resource_expires)],
        '... and in what';
    is $e->{by}, 'cache', '... and the cache still decides';
    agree($e, JSON::PP::false, qr/the cached answer says allow, Redis says deny;/);
    like $e->{summary}, qr/until valid_until, since Redis does not push/,
        '... and until when';

    $redis->grant('smoke', 'get_user', 'demo', $end + 5);
    $e = why('demo');
    is_deeply $e->{differs}, ['resource_expires'],
        'another end differs in that alone';
    agree($e, JSON::PP::false, qr/same decision, but differ in its reason or/);
    $redis->grant('smoke', 'get_user', 'demo', $end);
};


subtest 'what Redis may answer' => sub {
    my $hmget = qr/^HMGET \S*grants:/i;
    for (
        [{ match => $hmget, reply => "-LOADING busy\r\n" }, qr/LOADING busy/],
        [{ match => $hmget, reply => "*2\r\n:1\r\n:2\r\n" }, qr/wrong type/],
        [{ match => qr/^HGET /i, reply => ":1\r\n" }, qr/wrong type/],
        [{ match => $hmget, reply => "-ERR \x01\"<b>\\\r\n" },
         qr/ERR \x01"<b>/],
        [{ match => $hmget, hang => 1 }, qr/no answer|down/],
        [{ match => $hmget, reply => "\$9\r\nab", close => 1 },
         qr/no answer|down/],
    ) {
        my ($rule, $error) = @$_;
        $fake->rules($rule);
        wait_for(sub { $t->status->{redis}{up} }, 5);
        my $e = why('demo');
        ok exists $e->{redis} && !defined $e->{redis},
            "no answer: $rule->{match}";
        like $e->{redis_error}, $error, '... why';
        agree($e, undef, $rule->{reply} && $rule->{reply} =~ /^-/
            ? qr/^Redis refused: $error/
            : qr/^Redis gave no answer: nobody can tell/);
        is_deeply $e->{differs}, [], '... nothing to compare with';
        $fake->rules;
    }

    wait_for(sub { $t->status->{redis}{up} }, 5);
    $redis->cmd('DEL', 'app_permission:meta');
    my $e = why('nobody');
    is $e->{redis}{table_loaded}, JSON::PP::false, 'the table is not loaded';
    agree($e, undef, qr/not loaded: there is nothing to compare with/);
    is_deeply why('demo')->{differs}, [], '... not even with what is cached';
    is "$e->{decision} $e->{reason} $e->{by}", 'fail unavailable on_error',
        '... which is not "no grant"';
    $redis->load;
};


subtest 'a client that leaves while Redis is asked' => sub {
    $fake->rules({ match => qr/^HMGET \S*grants:/i, delay => 0.25 });
    for my $i (1 .. 5) {
        my $c = ask(undef, uri("gone$i"));
        ok wait_for(sub { $fake->lookups("gone$i") }, 3), 'asked';
    }
    $fake->rules;
    ok why('demo')->{redis}{answered}, 'clients that left leave no trace';
};


subtest 'HEAD, and many on a connection' => sub {
    my $r = $t->get(uri('demo'), method => 'HEAD');
    is "$r->{status} $r->{body}", '200 ', 'HEAD';

    my $c = $t->connect;
    $c->send(Perm::Http->text(uri('demo')) x 3);
    is $c->response->{status}, 200, 'pipelined and kept alive' for 1 .. 3;
};


subtest 'included in a page' => sub {
    open my $page, '>', $t->dir . '/ssi.html' or die;
    print $page map { '<!--# include virtual="' . uri($_) . '" -->,' }
        qw(demo whole);
    close $page;
    like $t->get('/ssi.html')->{body}, qr/^\{.*"demo".*\}\s+,\{.*"whole".*\}\s+,$/s,
        'as often as it asks, and all of the page';
};


subtest 'Redis gone' => sub {
    $fake->refuse(1);
    $t->down;
    my $e = why('demo');
    is $e->{redis}, undef, 'Redis is down';
    like $e->{redis_error}, qr/down|no answer/, '... and it says so';
    agree($e, undef, qr/^Redis gave no answer/);
    is $e->{decision}, 'allow', 'what is known still decides';
    is why('stranger')->{decision}, 'fail', '... what is not fails';
    $fake->refuse(0);
};


subtest 'arguments' => sub {
    my $ok = 'gateway=smoke&resource=get_user&app=demo';
    for ('', 'gateway=smoke&resource=get_user', $ok =~ s/demo/de%20mo/r,
         $ok =~ s/demo/%0d%0aX:/r, $ok =~ s/get_user/-/r, $ok =~ s/smoke/a:b/r,
         $ok =~ s/demo/'x' x 129/er, $ok =~ s/demo/de%00mo/r,
         $ok =~ s/demo/%3Cscript%3E/r) {
        my $r = $t->get("/status/explain?$_");
        is $r->{status}, 400, 'refused: ' . substr $_, 0, 60;
        unlike $r->{body}, qr/script/, '... and not echoed';
    }

    my $r = $t->get(uri('d%65mo'));
    is json($r->{body})->{app}, 'demo', 'escapes are understood';
    is $t->get(uri('demo'), method => 'POST', body => '')->{status}, 405, 'POST';
    is $r->{headers}{'cache-control'}, 'no-store', 'not to be stored';
    is $t->get("/exact?$ok")->{status}, 200, 'an exact location has the status';
};

# the status says what is wrong with the link, and what is not known then

subtest 'a wrong password' => sub {
    ok wait_for(sub { $t->status->{redis}{up} }), 'up';
    is $t->status->{redis}{last_error}{over}, JSON::PP::true, 'over';
    $redis->cmd('CONFIG', 'SET', 'requirepass', 'secret');
    $redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal');
    $redis->cmd('CLIENT', 'KILL', 'TYPE', 'pubsub');
    my $s;
    ok wait_for(sub {
        $s = $t->status;
        my $e = $s->{redis}{last_error};
        return !$s->{redis}{up} && !$e->{over} && $e->{cause} =~ /NOAUTH/;
    }), 'the cause is the server\'s word' or diag explain $s->{redis};
    my ($p) = grep { $_->{name} eq 'redis_down' } @{$s->{problems}};
    like $p->{advice}, qr/^\S+: .*NOAUTH.*Cached grants still decide/s,
        'the alert gives address and cause';
    unlike $p->{advice}, qr/Start Redis/, '... in place of another guess';
    like $t->get('/status?format=prometheus')->{body},
        qr/^app_permission_redis_last_error_timestamp_seconds \d{10}$/m,
        '... and Prometheus has the time';
    $redis->cmd('AUTH', 'secret');
    $redis->cmd('CONFIG', 'SET', 'requirepass', '');
    ok wait_for(sub { $t->status->{redis}{up} }), 'mended';
    $s = $t->status;
    is $s->{redis}{last_error}{over}, JSON::PP::true, '... and over';
};


subtest 'a lookup that is refused' => sub {
    ok wait_for(sub { $t->status->{redis}{up} }), 'up';
    $redis->cmd('ACL', 'SETUSER', 'default', '-hmget');
    my ($s, $p, $n);
    ok wait_for(sub {
        $t->get('/', app => 'refused' . ++$n);
        $s = $t->status;
        ($p) = grep { $_->{name} eq 'lookups_refused' } @{$s->{problems}};
    }), 'an alert';
    like $p->{advice}, qr/^\S+: HMGET was refused: NOPERM .*ACL SETUSER/,
        'with the cause';
    my $e = $s->{redis}{last_error};
    like $e->{cause}, qr/^HMGET was refused: NOPERM/, 'the last error';
    like $e->{address}, qr/redis\.sock$/, '... of an address';
    is $s->{redis}{up}, JSON::PP::true, 'Redis is up all the same';
    $redis->cmd('ACL', 'SETUSER', 'default', '+hmget');
    ok wait_for(sub {
        $t->get('/', app => 'refused' . ++$n);
        !grep { $_->{name} eq 'lookups_refused' } @{$t->status->{problems}};
    }), 'it ends with the first answer';
    $e = $t->status->{redis}{last_error};
    like $e->{cause}, qr/^HMGET was refused/, '... and is the newest still';
    is $e->{over}, JSON::PP::true, '... that is over';
};


subtest 'lookups that are refused for two causes in turn' => sub {
    $fake->rules({ match => qr/^HMGET .*:alt-\d*[02468]\}/,
                   reply => "-NOPERM no right\r\n" },
                 { match => qr/^HMGET .*:alt-/,
                   reply => "-MASTERDOWN no master\r\n" });
    $t->mark;
    $t->get('/', app => "alt-$_") for 1 .. 20;
    is join(' ', map { /with "(\w+)/ } $t->new_lines(qr/\[error\].*HMGET/)),
        'MASTERDOWN NOPERM', 'each is logged once';
    $fake->rules;
};


# explain asks Redis, and would be a way past the limit

subtest 'explain counts against the limit of lookups' => sub {
    ok $t->config(http => 'app_permission_redis_timeout 100ms;'
        . ' app_permission_lookup_limit 5r/s burst=10;')->reload, 'reloaded';
    ok wait_for(sub { $t->status->{redis}{up} }), 'up';
    $fake->forget;

    my $begun = time;
    my @r = map { $t->get(uri("limited-$_")) } 1 .. 60;
    my $asked = $fake->commands(qr/^HMGET.*limited/);
    my %status;
    $status{$_->{status}}++ for @r;

    cmp_ok $asked, '<=', 12 + 5 * (time - $begun), 'Redis was asked so often';
    is $status{200}, $asked, '... and each of these was explained';
    is $status{503}, 60 - $asked, 'the others got 503';
    my ($over) = grep { $_->{status} == 503 } @r;
    like json($over->{body})->{error}, qr/app_permission_lookup_limit/,
        '... in words';
};


# what the log says of an outage: one line each way, for all workers

subtest 'an outage in the log' => sub {
    my $t = Perm::Test->new;
    my $redis = $t->redis->load->allow('demo');
    $t->nginx(workers => 2, http => 'app_permission_flush 100ms;'
              . 'app_permission_redis_timeout 200ms;'
              . 'app_permission_redis_connect_timeout 200ms;',
              server => 'app_permission required;'
              . 'location = /a { empty_gif; }');
    ok $t->settled, 'ready';
    my $errors = sub { map { /\[error\] \S+ (app_permission: .*)/ ? $1 : () }
                           $t->new_lines(qr/./) };
    my $pushed = sub { $t->status->{invalidation}{active} };
    my $call = sub { $t->get('/a', app => $_) for ('demo', 'nobody') x 4 };

    $t->mark;
    $redis->pause;
    $call->();
    ok wait_for(sub { !$t->status->{redis}{up} && !$pushed->() }), 'it hangs';
    my $since = time;
    $call->() while time < $since + 2.5;
    my $p = join ' ', map { $_->{name} } @{$t->status->{problems}};
    like $p, qr/redis_down/, 'an alert';
    unlike $p, qr/access_unwritten|invalidation/, '... and no other';
    $redis->resume;
    ok wait_for(sub { $t->status->{redis}{up} && $pushed->() }), 'it goes on';
    $call->();
    ok $t->flushed, 'and takes accesses';
    my $what = qr/Redis is \w+|no answer to \w+ \w+/;
    is_deeply [map { /($what)/ ? $1 : $_ } $errors->()],
        ['no answer to a command', 'Redis is down',
         'no answer to the handshake', 'Redis is up'],
        'why, that it is down, and that it is up'
        or diag join "\n", $errors->();
    is scalar(grep { /is up again after \d+ s$/ } $errors->()), 1, 'again';

    $t->mark;
    $redis->cmd('ACL', 'SETUSER', 'default', '-hget');
    ok wait_for(sub { $call->(); scalar $errors->() }), 'lookups are refused';
    wait_until(time + 2.1);
    $redis->cmd('ACL', 'SETUSER', 'default', '+hget');
    ok wait_for(sub { $call->(); $errors->() > 1 }), '... and answered';
    my @told = $errors->();
    is scalar @told, 2, 'a line each way' or diag join "\n", @told;
    like $told[0], qr/Redis answered HGET with "NOPERM .*: run "app-permission doctor --for gateway".*; known/,
        'the cause, what to do, and what follows';
    like $told[1], qr/lookups are answered again after \d+ s$/, 'over';
    $t->stop;
};

done_testing;

#!/usr/bin/perl

# app_permission_self: an app sees its own grants and requests, and asks for
# more.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $now = int time;
my $day = 86400;

$redis->grant('smoke', 'used', 'demo', $now + 10 * $day, type => '"apply"')
      ->grant('smoke', 'unused', 'demo', $now + 20 * $day)
      ->grant('smoke', 'over', 'demo', $now - $day)
      ->grant('smoke', 'kept', 'demo', $now + 5 * $day, renew => 'false')
      ->grant('smoke', 'ever', 'demo', 4102444800)
      ->grant('smoke', 'odd', 'demo', '{"expires":"soon"}')
      ->grant('smoke', undef, 'whole', $now + 30 * $day)
      ->grant('smoke', 'secret', 'other', $now + $day);
$redis->used('smoke', $_, 'demo', $now - 100) for qw(used kept ever);
$redis->used('smoke', 'unused', 'demo', 'inf');    # is no time
$redis->used('smoke', 'any', 'whole', $now - 50);
$redis->used('smoke', 'more', 'whole', $now + 1000);

my $server = <<'EOT';
        app_permission required;
        app_permission_resource $arg_nosuch;

        location = /permissions { app_permission_self apply; }
        location = /read        { app_permission_self; }
        location = /problem     { app_permission_self apply;
                                  app_permission_error problem; }
        location = /off         { app_permission_self apply;
                                  app_permission_error off; }
        location = /bad         { app_permission_self;
                                  app_permission_gateway $arg_gateway; }
        location = /small       { app_permission_self apply;
                                  client_body_buffer_size 16;
                                  client_body_in_file_only clean; }
        location = /then        { app_permission_self apply;
                                  post_action /permissions; }
        location = /led         { app_permission_self;
                                  app_permission_app $arg_nosuch;
                                  app_permission_error off;
                                  error_page 403 = /permissions; }
        location /outer         { app_permission_self;
            location = /outer/in { app_permission_resource get_user;
                                   proxy_pass %%BACKEND%%; } }
        location = /asks        { app_permission off; auth_request /read;
                                  proxy_pass %%BACKEND%%; }
EOT
my $h2 = <<'EOT';
    server {
        listen 127.0.0.1:%%PORT_h2%% http2;
        app_permission_app $http_x_app;
        app_permission_gateway smoke;
        location / { app_permission_self apply; }
    }
EOT
$t->nginx(server => $server, http => $h2);
$t->up;

sub self {
    my ($app, %o) = @_;
    my $uri = delete $o{uri} // '/permissions';
    my $r = $t->get($uri, defined $app ? (app => $app) : (), %o);
    $r->{json} = eval { json($r->{body}) };
    return $r;
}

sub post {
    my ($app, $body, %o) = @_;
    return self($app, method => 'POST', %o,
                body => ref $body ? JSON::PP->new->encode($body) : $body);
}

# all of them

sub cache_control {
    my ($r) = @_;
    return join ', ', map { $_->[1] } grep { lc $_->[0] eq 'cache-control' }
        @{$r->{fields}};
}

sub requests { $redis->cmd('HGETALL', key('requests', $_[0])) // [] }

sub stored {
    my ($app, $resource) = @_;
    my $value = $redis->cmd('HGET', key('requests', $app), $resource);
    return defined $value ? json($value) : undef;
}


subtest 'what an app has' => sub {
    my $r = self('demo');
    is $r->{status}, 200, 'GET';
    is $r->{headers}{'content-type'}, 'application/json; charset=utf-8', 'JSON';
    is cache_control($r), 'no-store', 'not to be cached';
    is_deeply [sort keys %{$r->{json}}], [qw(app gateway grants requests)],
        'members';
    is "$r->{json}{app} $r->{json}{gateway}", 'demo smoke', 'of whom';

    my %g = map { $_->{resource} => $_ } @{$r->{json}{grants}};
    is_deeply [sort keys %g], [qw(ever kept over unused used)],
        'each readable grant';
    is_deeply [sort keys %{$g{used}}],
        [qw(expires expires_in last_access renews resource type)], 'its members';
    is $g{used}{expires}, $now + 10 * $day, 'expires';
    cmp_ok abs($g{used}{expires_in} - 10 * $day), '<', 60, 'expires_in';
    is $g{over}{expires_in}, 0, 'none is left of one that is over';
    is $g{used}{type}, 'apply', 'type';
    is $g{unused}{type}, undef, 'no type';
    is $g{used}{last_access}, $now - 100, 'last access';
    is $g{unused}{last_access}, undef, 'no access';
    is join(' ', grep { $g{$_}{renews} } sort keys %g), 'used',
        'renewal saves the one that is used';
    is_deeply $r->{json}{requests}, [], 'no requests';

    $r = self('whole');
    my ($whole) = @{$r->{json}{grants}};
    is $whole->{resource}, undef, 'the whole gateway';
    cmp_ok abs($whole->{last_access} - time), '<', 30,
        'used now at the latest, by the newest of its resources';
    ok $whole->{renews}, 'renews';

    is_deeply self('stranger')->{json}{grants}, [], 'nothing of a stranger';
    unlike self('demo')->{body}, qr/secret/, 'nothing of others';
    is self('demo', uri => '/permissions?app=other&gateway=x')->{json}{app},
        'demo', 'whatever the query says';
    is self('demo', uri => '/read')->{status}, 200, 'without "apply"';
    is self('demo', uri => '/asks')->{status}, 200, 'in a subrequest';

    $r = self('demo', uri => '/led');
    is $r->{status}, 200, 'where error_page leads';
    is cache_control($r), 'no-store', 'not to be cached, said once';

    $r = self('demo', method => 'HEAD');
    is $r->{status}, 200, 'HEAD';
    is $r->{body}, '', 'no body';
    is $t->get('/outer/in', app => 'demo')->{status}, 403,
        'a location inside keeps its policy';
};


subtest 'a key that ends' => sub {
    my %end = (sooner => $now + 5 * $day, later => $now + 30 * $day,
               ever => 4102444800);
    for my $resource (keys %end) {
        $redis->grant('smoke', $resource, 'brief', $end{$resource});
        $redis->used('smoke', $resource, 'brief', $now - 10);
    }
    $redis->cmd('EXPIREAT', key('grants', 'brief'), $now + 10 * $day);

    my %g = map { $_->{resource} => $_ } @{self('brief')->{json}{grants}};
    is $g{sooner}{expires}, $end{sooner}, 'a grant that ends sooner';
    ok $g{sooner}{renews}, 'is renewed';
    for my $resource (qw(later ever)) {
        cmp_ok abs($g{$resource}{expires} - ($now + 10 * $day)), '<=', 1,
            "$resource: the end of the key is that of the grant";
        cmp_ok abs($g{$resource}{expires_in} - 10 * $day), '<', 60,
            'expires_in as well';
        ok !$g{$resource}{renews}, 'which no renewal moves';
    }
};


subtest 'a request with bytes that are no JSON' => sub {
    my $key = key('requests', 'bytes');
    my %put = (
        control => qq({"status":"pending","reason":"a\x01\n\tb","a\x02":[ 1 ]}),
        latin   => qq({"status":"pending","reason":"caf\xe9","days":7}),
        number  => qq({"status":"pending","days":007,"x":[1.,-.5,1.e2]}),
        escape  => qq({"status":"pending","reason":"\\uzzzz\\u0000"}),
    );
    $redis->cmd('HSET', $key, $_, $put{$_}) for sort keys %put;

    my $r = self('bytes');
    my %is = map { $_->{resource} => $_ } @{$r->{json}{requests} // []};
    is_deeply [sort keys %is], [sort keys %put], 'the answer is JSON'
        or diag $r->{body};
    is $is{control}{reason}, "a\x01\n\tb", 'control bytes are escaped';
    is_deeply $is{control}{"a\x02"}, [1], 'in a name, too';
    is $is{latin}{reason}, "caf\x{fffd}", 'no UTF-8';
    is_deeply [$is{number}{days}, @{$is{number}{x}}], [7, 1, -0.5, 100],
        'numbers';
    $redis->cmd('DEL', $key);
};


subtest 'what no tool of ours has written' => sub {
    my %score = (below => -5, huge => '1e300');
    for my $resource (keys %score) {
        $redis->grant('smoke', $resource, 'strange', $now + 10 * $day);
        $redis->used('smoke', $resource, 'strange', $score{$resource});
    }
    my $key = key('requests', 'strange');
    $redis->cmd('HSET', $key, list => '[]', word => '{"status":"other"}',
                own => '{"resource":"secret","status":"pending","days":1}');

    my $is = self('strange')->{json};
    my %last = map { $_->{resource} => $_->{last_access} } @{$is->{grants}};
    is $last{below}, undef, 'an access before 1970 is none';
    cmp_ok abs($last{huge} - time), '<', 60, 'one in the future is of now';
    is_deeply $is->{requests},
        [{ resource => 'own', status => 'pending', days => 1 }],
        'a request is an object, and of the resource of its field';
    $redis->cmd('DEL', $key);
};


subtest 'who may not' => sub {
    my $r = self(undef);
    is $r->{status}, 403, 'no app';
    like $r->{json}{message}, qr/no app code/, 'says so';
    is $r->{headers}{'cache-control'}, 'no-store', 'not to be cached';
    is self('a b')->{status}, 403, 'an invalid app';
    is self('demo', uri => '/bad')->{status}, 500, 'no gateway';
    is post(undef, { resources => ['a'] })->{status}, 403, 'POST without one';

    for (['PUT', '/permissions', 'GET, HEAD, POST'],
         ['DELETE', '/permissions', 'GET, HEAD, POST'],
         ['POST', '/read', 'GET, HEAD']) {
        my ($method, $uri, $allow) = @$_;
        $r = self('demo', method => $method, uri => $uri, body => '{}');
        is $r->{status}, 405, "$method $uri";
        is $r->{headers}{allow}, $allow, 'says what may be';
        is $r->{headers}{'cache-control'}, 'no-store', 'not to be cached';
        is "$r->{json}{code} $r->{json}{code_name}",
            '1640501 METHOD_NOT_ALLOWED', '... in the format of errors';
        is $r->{headers}{'x-bkapi-error-code'}, 1640501, '... with its header';
    }
    $r = self('demo', method => 'PUT', uri => '/problem', body => '{}');
    is $r->{json}{type}, 'urn:app-permission:method_not_allowed', 'a problem';
    is $r->{headers}{allow}, 'GET, HEAD, POST', '... with Allow';
    $r = self('demo', method => 'PUT', uri => '/off', body => '{}');
    is $r->{status}, 405, 'without a format';
    is $r->{headers}{allow}, 'GET, HEAD, POST', '... with Allow';
};


subtest 'asking' => sub {
    my $r = post('dev', { resources => ['get_user', 'x', 'get_user'],
                          days => 30, reason => "why\r\nnot", app => 'other',
                          by => 'root' });
    is $r->{status}, 202, 'accepted';
    my @got = sort { $a->{resource} cmp $b->{resource} } @{$r->{json}{requests}};
    is join(' ', map { $_->{resource} } @got), 'get_user x', 'both, once each';

    my $s = stored('dev', 'x');
    is_deeply [sort keys %$s], [qw(at by days reason status)], 'members';
    is "$s->{status} $s->{days} $s->{by}", 'pending 30 app:dev', 'values';
    is $s->{reason}, "why\r\nnot", 'the reason, as it was';
    cmp_ok abs($s->{at} - time), '<', 30, 'when';
    delete $got[1]{resource};
    is_deeply $got[1], $s, 'as stored';
    is_deeply requests('other'), [], 'nothing of others';

    $r = self('dev');
    is scalar @{$r->{json}{requests}}, 2, 'it sees them';

    $r = post('dev', { resources => ['x', 'y'] });
    is $r->{status}, 202, 'one that is new';
    is join(' ', map { $_->{resource} } @{$r->{json}{requests}}), 'y',
        'and that alone';
    is stored('dev', 'y')->{days}, 180, 'for 180 days unless it says';

    $r = post('dev', { resources => ['x', 'y'] });
    is $r->{status}, 409, 'nothing new';
    is cache_control($r), 'no-store', 'not to be cached';
    is "$r->{json}{code} $r->{json}{code_name}", '1640901 CONFLICT', 'CONFLICT';
    like $r->{json}{message}, qr/: all of it is pending\b(?! or)/, 'and why';

    is post('dev', { whole_gateway => \1 })->{status}, 202, 'the whole gateway';
    is stored('dev', '-')->{status}, 'pending', 'is field "-"';
    is((grep { !defined $_->{resource} } @{self('dev')->{json}{requests}})[0]
       {status}, 'pending', 'and null in the answer');

    $r = post('demo', { resources => ['ever'] });
    is $r->{status}, 409, 'not what it owns permanently';
    like $r->{json}{message}, qr/: all of it is owned permanently/, 'and why';
    is post('demo', { resources => ['used'] })->{status}, 202,
        'but what it may extend';

    my $history = $redis->cmd('XRANGE', key('history', 'dev'), '-', '+');
    is scalar @$history, 4, 'the history has them';
    is_deeply { @{$history->[0][1]} }, { action => 'apply',
        resource => 'get_user', by => 'app:dev', comment => "why\r\nnot" },
        'who, what and why';

    $redis->cmd('HSET', key('requests', 'dev'), 'x',
        '{"status":"rejected","days":30,"at":1,"comment":"no","handled_at":2}');
    is post('dev', { resources => ['x'] })->{status}, 202, 'again when handled';
    is stored('dev', 'x')->{status}, 'pending', 'which replaces it';
};


# which takes the last member of several, and NaN, unlike cJSON

subtest 'what Redis would read otherwise than the gateway' => sub {
    my $ever = 4102444800;
    my %grant = (
        "{\"expires\":1,\"expires\":$ever}" => 202,
        "{\"expires\":$ever,\"expires\":1}" => 409,
        "{\"x\\u0000\":1,\"\\u0065xpires\\u0000y\":$ever,\"expires\":1}" => 409,
        "\1{\"a\":[{\"expires\":1},\"\\\"}]\"],\"expires\":\1$ever}" => 409,
        "{\"a\":\"\\uzzzz\",\"expires\":0$ever.}" => 409,
        "{\"a\":{\"expires\":$ever}}" => 202,
        "{\"expires\":$ever,\"a\":NaN}" => 202,
        "{\"expires\":$ever,\"a\":-infinity}" => 202,
        '{"expires":0xF4865700}' => 202,
        "{\"expires\":$ever,\"a\":" . '[' x 999 . ']' x 999 . '}' => 409,
        "{\"expires\":$ever,\"a\":" . '[' x 1000 . ']' x 1000 . '}' => 202,
        "{\"expires\":$ever}x" => 202,
        "+$ever" => 202,
        "{\"expires\":$ever,\"a\":+1}" => 202,
        "{\"expires\":$ever,\"a\":[1e+1,\"+\"]}" => 409,
        "$ever." => 409,
        "\"$ever\"" => 202,
    );
    my %request = (
        '{"status":"pending","status":"approved"}' => 409,
        '{"status":"approved","status":"pending"}' => 202,
        '{"status":"pending\u0000x","days":01}' => 409,
        "{\"reason\":\"a\nb\",\x1f\"status\":\"pending\"}" => 409,
        '{"reason":"\\\\","status":"pending"}' => 409,
        '{"status":"pending","days":Infinity}' => 202,
        '{"a":{"status":"pending"},"status":"rejected"}' => 202,
        '["pending"]' => 202,
    );

    for (['grants', %grant], ['requests', %request]) {
        my ($kind, %of) = @$_;
        for my $value (sort keys %of) {
            $redis->cmd('DEL', key('requests', 'read'), key('grants', 'read'));
            $redis->cmd('HSET', key($kind, 'read'), 'r', $value);
            is post('read', { resources => ['r'] })->{status}, $of{$value},
                "$kind: " . substr $value =~ s/[\0-\x1f]/?/gr, 0, 60;
        }
    }
};


# Redis serves nobody else while it reads: past 128 KiB the first member counts

subtest 'many long values' => sub {
    my $long = 'x' x 20_000;
    my @names = map { sprintf 'r%02d', $_ } 1 .. 40;
    my $asked = sub {
        my ($kind, $value) = @_;
        $redis->cmd('DEL', key('requests', 'many'), key('grants', 'many'));
        $redis->cmd('HSET', key($kind, 'many'), map { ($_, $value) } @names);
        my $r = post('many', { resources => \@names });
        return $r->{status} == 202
            ? scalar @{json($r->{body})->{requests}} : $r->{status};
    };

    is $asked->('requests', qq({"status":"pending","reason":"$long"})), 409,
        'pending ones';
    is $asked->('requests', qq({"status":"rejected","reason":"$long"})), 40,
        'rejected ones';
    is $asked->('requests', qq({"reason":"$long","status":"rejected"})), 6,
        'where the status does not come first: as if they were pending';
    is $asked->('grants', qq({"expires":4102444800,"note":"$long"})), 409,
        'permanent grants';
    is $asked->('grants', qq({"note":"$long","expires":4102444800})), 34,
        'where the end does not come first: as if they were not permanent';
};


subtest 'HTTP/2' => sub {
    my $ask = sub {
        my $command = join ' ', 'curl -s -m 10 --http2-prior-knowledge',
            "-H 'X-App: h2' -w '%{http_code}'", @_,
            'http://127.0.0.1:' . $t->port('h2') . '/';
        return scalar qx($command);
    };
    like $ask->('-d', q('{"resources":["a"]}')), qr/"pending".*202$/s, 'POST';
    like $ask->('-T', '-', '-X', 'POST', q(< /dev/null)), qr/INVALID_ARGS.*400$/s,
        'no body, of no length';
    like $ask->(), qr/"requests":\[\{"resource":"a".*200$/s, 'GET';
    is $ask->('-I') =~ s/.*\r\n\r\n//sr, '200', 'HEAD';
};


subtest 'bodies' => sub {
    my $many = sub { { resources => [map { "r$_" } 1 .. $_[0]] } };
    my %deep = (resources => ['a'], reason => 'x');

    for (['', 400], ['[]', 400], ['{}', 400], ['null', 400], ['{"resources":', 400],
         ['{"resources":[]}', 400], ['{"resources":"a"}', 400],
         ['{"resources":["a",1]}', 400], ['{"resources":["-"]}', 400],
         ['{"resources":["a b"]}', 400], ['{"resources":["a\u0000"]}', 400],
         ['{"resources":["a"],"resources":["b"]}', 400],
         ['{"resources":["a"],"whole_gateway":true}', 400],
         ['{"whole_gateway":false}', 400], ['{"whole_gateway":1}', 400],
         ['{"resources":["a"],"days":-1}', 400],
         ['{"resources":["a"],"days":1.5}', 400],
         ['{"resources":["a"],"days":"7"}', 400],
         ['{"resources":["a"],"days":1e99}', 400],
         ['{"resources":["a"],"reason":7}', 400],
         ['{"resources":["a"],"reason":"x"} x', 400],
         ["{\"resources\":[\"a\"]}\0", 400],
         ['[' x 5000, 400],
         ['{"x":' . '[' x 5000 . '"]', 400],
         [$many->(101), 413], ['{"resources":["a"],"x":"' . 'y' x 16400 . '"}', 413],
         ['x' x 1_000_000, 413]) {
        my ($body, $is) = @$_;
        my $r = post('bad', $body);
        my $name = ref $body ? '101 resources' : substr $body, 0, 50;
        is $r->{status}, $is, $name;
        is cache_control($r), 'no-store', 'not to be cached' if $is == 400;
        is "$r->{json}{code} $r->{json}{code_name}", '1640001 INVALID_ARGS',
            'INVALID_ARGS' if $is == 400;
    }

    is post('bad', "{\"resources\":[\"a b\"]}", uri => '/problem')
        ->{headers}{'content-type'}, 'application/problem+json',
        'as a problem, where it is configured';
    is_deeply requests('bad'), [], 'nothing was stored';

    my $c = $t->connect;
    $c->send("POST /permissions HTTP/1.1\r\nHost: a\r\nX-App: bad\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n"
        . join('', map { "1000\r\n" . 'x' x 4096 . "\r\n" } 1 .. 8)
        . "0\r\n\r\n");
    is $c->response->{status}, 413, '32 KiB in chunks';
    $c->send("POST /permissions HTTP/1.1\r\nHost: a\r\nX-App: bad\r\n"
        . "Content-Length: 100\r\n\r\n{\"resources\"");
    undef $c;

    is post('small', $many->(100), uri => '/small')->{status}, 202,
        '100 resources, in a file';
    is scalar keys %{{@{requests('small')}}}, 100, 'all of them';

    my $r = post('odd', "{\"resources\":[\"a\"],\"reason\":\"a\\u0000b\xff\x01<\"}");
    is $r->{status}, 202, 'a reason with a NUL and bytes that are no text';
    is $r->{json}{requests}[0]{reason}, "a\0b\x{fffd}\x01<",
        'is kept, escaped, as valid JSON';
    is self('odd')->{json}{requests}[0]{reason}, "a\0b\x{fffd}\x01<", 'and read';
};


subtest 'an app has 1,000 requests at most' => sub {
    my $key = key('requests', 'full');
    $redis->cmd('HSET', $key, map { ("old$_", '{"status":"rejected"}') } 1 .. 999);
    my $r = post('full', { resources => [map { "new$_" } 1 .. 5] });
    is $r->{status}, 202, 'one has room';
    is scalar @{$r->{json}{requests}}, 1, 'one of five';
    is $redis->cmd('HLEN', $key), 1000, '1,000';
    $r = post('full', { resources => ['more'] });
    is $r->{status}, 409, 'no more';
    like $r->{json}{message}, qr/: there are 1000 requests already\b(?!,)/,
        'and why';
    is post('full', { resources => ['old1'] })->{status}, 202,
        'but one that is there, again';
    is scalar @{self('full')->{json}{requests}}, 1000, 'it sees all of them';
};


# enough, and needed; none to write a grant

subtest 'the rights in the README' => sub {
    my $readme = slurp("$Perm::Test::ROOT/README.md");
    my @user = split ' ', ($readme =~ /^ACL SETUSER (gateway .*)$/m)[0];
    my ($read, $ask) = map { [split ' ', $_] }
        $readme =~ /^# with "?app_permission_self(?: apply"|) also (.*)$/mg;
    spew("$t->{dir}/password", "PASSWORD\n");

    my $can = sub {
        my ($method, $status, $what, @rights) = @_;
        $redis->cmd('ACL', 'DELUSER', 'gateway');
        $redis->cmd('ACL', 'SETUSER', @user, @rights);
        $t->apply(server => $server, http => $h2 . <<'EOT');
            app_permission_redis_user gateway;
            app_permission_redis_password_file %%DIR%%/password;
EOT
        my $r;
        ok wait_for(sub {
            $r = $method eq 'GET' ? self('demo')
                : post('demo', { resources => ['r' . rand] });
            return $r->{status} == $status;
        }, 5), $what or diag explain $r;
    };

    $can->('GET', 200, 'GET', @$read);
    $can->('POST', 202, 'POST', @$read, @$ask);
    for my $list (['GET', @$read], ['POST', @$ask]) {
        my ($method, @rights) = @$list;
        for my $right (@rights) {
            my @all = grep { $_ ne $right }
                $method eq 'GET' ? @rights : (@$read, @rights);
            $can->($method, 503, "no $method without $right", @all);
        }
    }
    $t->apply(server => $server);
    $t->up;
};


subtest 'more than one answer can hold' => sub {
    my $key = key('requests', 'large');
    $redis->cmd('HSET', $key, "r$_", '{"status":"rejected","reason":"'
        . 'x' x 30000 . '"}') for 1 .. 250;
    $t->mark;
    is self('large')->{status}, 503, 'is refused' for 1 .. 2;
    is scalar($t->new_lines(qr/more than 6291456 bytes: it cannot see them/)),
        1, 'and logged once';
    is self('demo')->{status}, 200, 'the others get theirs';
};


subtest 'at most 256 at a time in a worker' => sub {
    $redis->pause;
    my @c = map { my $c = $t->connect;
        $c->send("GET /read HTTP/1.1\r\nHost: a\r\nX-App: many\r\n\r\n");
        $c } 1 .. 256;
    ok wait_for(sub { self('demo'); $t->status->{redis}{limited_lookups} > 0 },
                5), 'one more is refused, and counted';
    undef @c;
    $redis->resume;
    $t->up;
    ok wait_for(sub { self('demo')->{status} == 200 }, 5),
        'until some have ended';
};


subtest 'a client that leaves' => sub {
    $redis->pause;
    for my $method ('GET', 'POST') {
        for my $uri ('/permissions', '/asks', '/then') {
            my $c = $t->connect;
            my $body = '{"resources":["left"]}';
            $c->send("$method $uri HTTP/1.1\r\nHost: a\r\nX-App: leaves\r\n"
                . "Content-Length: " . length($body) . "\r\n\r\n$body");
            $t->connect->closed(0.05);
        }
    }
    $redis->resume;
    $t->up;
    is self('demo')->{status}, 200, 'harms nobody';
};


subtest 'Redis cannot be asked' => sub {
    $redis->cmd('RENAME', 'app_permission:meta', 'away');
    my $r = self('demo');
    is $r->{status}, 503, 'a table that is not loaded';
    is $r->{json}{code}, 1650300, 'as in section 4';
    is post('demo', { resources => ['z'] })->{status}, 503, 'POST';
    is stored('demo', 'z'), undef, 'stored nothing';
    $redis->cmd('RENAME', 'away', 'app_permission:meta');

    $redis->cmd('SET', key('requests', 'wrong'), 'x');
    is self('wrong')->{status}, 503, 'a key of another type';

    $redis->stop;
    $t->down;
    is self('demo')->{status}, 503, 'no Redis';
    is post('demo', { resources => ['z'] })->{status}, 503, 'POST';
};


subtest 'what the status counts' => sub {
    my $self = $t->status->{self};
    cmp_ok $self->{shown}, '>=', 8, 'apps that saw what they have';
    cmp_ok $self->{requests}, '>=', 105, 'requests that were stored';
    cmp_ok $self->{unavailable}, '>=', 5, 'and Redis that could not be asked';
};


subtest 'what nginx -t refuses' => sub {
    $t->refuses('another parameter', qr/invalid parameter "ask" in "app_permission_self"/,
        server => 'location /s { app_permission_self ask; }');
    $t->refuses('no app', qr/"app_permission_self" in location "\/s" needs "app_permission_app"/,
        setup => 'app_permission_redis %%REDIS%%; app_permission_gateway g;',
        server => 'location /s { app_permission_self; }');
    $t->refuses('no Redis', qr/needs "app_permission_redis"/,
        setup => 'app_permission_app a; app_permission_gateway g;',
        server => 'location /s { app_permission_self; }');
    $t->refuses('two contents', qr/take away the other directive/,
        server => 'location /s { app_permission_self; proxy_pass %%BACKEND%%; }');
};

done_testing;

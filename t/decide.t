#!/usr/bin/perl

# The decision as the content of a location: for auth_request, for captures of
# Lua, and for gateways that ask by a request of their own.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $ends = int(time) + 1000;

$redis->grant('smoke', 'get_user', 'demo', 4102444800)
      ->grant('smoke', 'get_user', 'ending', $ends)
      ->grant('a/b', 'r+1', 'demo', $ends)
      ->grant('smoke', 'get_user', 'late', int(time) - 10);

# "200 allow/resource_grant HIT" of the headers

sub decided {
    my ($r) = @_;
    return join ' ', $r->{status},
        join('/', grep { defined } map { $r->{headers}{"x-app-permission-$_"} }
                           qw(decision reason)),
        grep { defined } $r->{headers}{'x-app-permission-cache'};
}

# of the main request with that URI, once it is there

sub reason_logged {
    my ($uri) = @_;
    my $log;
    wait_for(sub {
        ($log) = grep { $_->{request_uri} eq $uri } $t->access(0);
    }, 5);
    return $log->{app_permission_reason};
}

# a cache that answers in the access phase; OpenResty has it built in

my $cache = !$t->has_lua ? ''
    : $ENV{TEST_NGINX_LUA} ? 'built-in'
    : $Perm::Test::LUA =~ s/http_lua/http_srcache_filter/r;
$cache = '' unless $cache eq 'built-in' || -e $cache;

my %server = (lua => $t->has_lua, server => <<'EOT', http => <<'HTTP');
        app_permission required;
        add_header X-Seen "$app_permission_decision/$app_permission_reason"
                   always;

        location /decide      { app_permission_decide; }
        location /problem     { app_permission_decide;
                                app_permission_error problem; }
        location /bare        { app_permission_decide;
                                app_permission_error off; }
        location /page        { app_permission_decide;
                                app_permission_error off;
                                error_page 403 /403.html; }
        location = /403.html  { app_permission off; return 200 "page"; }
        location /second      { app_permission_decide;
                                app_permission_error off;
                                error_page 403 = /decide/second; }
        location /dry         { app_permission_decide;
                                app_permission_dry_run on; }
        location /header      { app_permission_decide;
                                app_permission_expires_header on; }
        location /quiet       { app_permission_decide;
                                app_permission_record off; }
        location /if          { app_permission_decide;
                                if ($arg_x) { set $y 1; } }
        location /args        { app_permission_decide;
                                app_permission $by_arg;
                                app_permission_gateway $arg_gateway;
                                app_permission_resource $arg_resource;
                                app_permission_app $arg_app; }
        location /part        { app_permission_decide;
                                app_permission_app "de${http_x_app}"; }
        location /bkapi       { app_permission_decide;
                                app_permission_app
                                    $app_permission_bkapi_app_code; }

        location /asks        { app_permission off;
                                auth_request /decide/sub;
                                proxy_pass %%BACKEND%%; }
        location /both        { app_permission_app other;
                                auth_request /decide/sub;
                                proxy_pass %%BACKEND%%; }
        location /mapped      { app_permission off;
                                set $from_main demo;
                                auth_request /mapped_decide;
                                proxy_pass %%BACKEND%%; }
        location = /mapped_decide { app_permission_decide;
                                app_permission_app $from_main; }
%%LUA%%
EOT
        map $arg_gateway $by_arg {
            default required; open open; off off; odd maybe;
        }
HTTP

my $lua = $t->has_lua ? <<'EOT' : '';
        location = /capture {
            app_permission off;
            access_by_lua_block {
                local before = ngx.var.app_permission_decision
                local r = ngx.location.capture("/decide/capture",
                    { method = ngx.HTTP_POST, body = "x" })
                ngx.header["X-Captured"] = r.status .. " "
                    .. tostring(r.header["X-App-Permission-Reason"]) .. " "
                    .. #r.body
                if r.status ~= 200 then
                    ngx.exit(r.status)
                end
            }
            proxy_pass %%BACKEND%%;
        }
        location = /answers {
            access_by_lua_block { ngx.print("answered") ngx.exit(200) }
        }
        location = /answers_asked {
            auth_request /decide/sub;
            access_by_lua_block { ngx.print("answered") ngx.exit(200) }
        }
        location = /early_asked {
            rewrite_by_lua_block {
                local r = ngx.location.capture("/decide/early")
                if r.status ~= 200 then
                    return ngx.exit(r.status)
                end
                ngx.print("answered")
                ngx.exit(200)
            }
        }
        location = /before {
            access_by_lua_block {
                ngx.header["X-Before"] = tostring(
                    ngx.var.app_permission_decision)
            }
            proxy_pass %%BACKEND%%;
        }
EOT
$lua .= <<'EOT' if $cache;
        location /cached {
            set $entry $uri;
            srcache_fetch GET /cache $entry;
            srcache_store PUT /cache $entry;
            proxy_pass %%BACKEND%%;

            location /cached/by_app {
                set $entry $uri:$http_x_app;
                srcache_fetch GET /cache $entry;
                srcache_store PUT /cache $entry;
                proxy_pass %%BACKEND%%;
            }
            location /cached/asked {
                auth_request /decide/sub;
                set $entry $uri;
                srcache_fetch GET /cache $entry;
                srcache_store PUT /cache $entry;
                proxy_pass %%BACKEND%%;
            }
        }
        location = /cache {
            internal;
            app_permission off;
            content_by_lua_block {
                local cache = ngx.shared.cache
                if ngx.req.get_method() == "PUT" then
                    ngx.req.read_body()
                    cache:set(ngx.var.args, ngx.req.get_body_data())
                    return ngx.exit(201)
                end
                local entry = cache:get(ngx.var.args)
                if not entry then
                    return ngx.exit(404)
                end
                ngx.print(entry)
            }
        }
EOT
$server{server} =~ s/%%LUA%%\n/$lua/;
$server{main} = "load_module $cache;" if $cache =~ /^\//;
$server{http} .= 'lua_shared_dict cache 1m;' if $cache;

$t->nginx(%server);
$t->up;


subtest 'allowed' => sub {
    my $r = $t->get('/decide/any/uri?x=1', app => 'demo');
    is decided($r), '200 allow/resource_grant MISS', 'the headers tell all';
    is $r->{body}, '', 'no body';
    is $r->{headers}{'content-length'}, 0, 'of no length';
    is $r->{headers}{'cache-control'}, 'no-store', 'not to be cached';
    is $r->{headers}{'x-app-permission-expires-in'}, undef,
        'a permanent grant has no end';
    is decided($t->get('/decide', app => 'demo')),
        '200 allow/resource_grant HIT', 'the next one out of the cache';

    $r = $t->get('/decide', app => 'ending');
    cmp_ok abs($r->{headers}{'x-app-permission-expires-in'} - 1000), '<', 30,
        'when the grant ends';

    $r = $t->get('/header', app => 'ending');
    is scalar(grep { lc $_->[0] eq 'x-app-permission-expires-in' }
                  @{$r->{fields}}), 1, 'said once';
};


subtest 'denied and failed' => sub {
    my $r = $t->get('/decide', app => 'nobody');
    is decided($r), '403 deny/no_grant MISS', 'denied';
    is json($r->{body})->{code}, 1640301, 'with the body of section 4';
    is $r->{headers}{'x-bkapi-error-code'}, 1640301, 'and its headers';
    is $r->{headers}{'cache-control'}, 'no-store', 'not to be cached';

    is decided($t->get('/decide')), '403 deny/no_app', 'no app';
    is decided($t->get('/decide', app => 'a b')), '403 deny/invalid_app',
        'an invalid app';
    is decided($t->get('/decide', app => 'late')),
        '403 deny/resource_grant_expired MISS', 'expired';
    is decided($t->get('/args?gateway=odd&resource=r&app=demo')),
        '500 fail/bad_config', 'a policy that is none';

    $r = $t->get('/problem', app => 'nobody');
    is $r->{headers}{'content-type'}, 'application/problem+json',
        'as "app_permission_error" says';
    is decided($r), '403 deny/no_grant HIT', 'with the same headers';

    $r = $t->get('/bare', app => 'nobody');
    is decided($r), '403 deny/no_grant HIT', 'the bare status';
    unlike $r->{body}, qr/code_name/, 'has nginx\'s body';
    is $t->get('/page', app => 'nobody')->{body}, 'page',
        'so that error_page works';

    $r = $t->get('/second', app => 'nobody');
    is join(' ', map { "$_->[0]: $_->[1]" }
                 grep { $_->[0] =~ /^(?:x-app-permission-|cache-control)/i }
                      @{$r->{fields}}),
        'Cache-Control: no-store X-App-Permission-Decision: deny '
        . 'X-App-Permission-Reason: no_grant X-App-Permission-Cache: HIT',
        'the headers once, where error_page leads to another decision';

    $r = $t->get('/dry', app => 'nobody');
    is decided($r), '200 deny/no_grant HIT', 'a dry run allows and tells';
};


subtest 'any method and body' => sub {
    for my $method (qw(POST PUT DELETE PATCH OPTIONS PROPFIND FOO)) {
        is decided($t->get('/decide', app => 'demo', method => $method,
                           body => 'x' x 51200)),
            '200 allow/resource_grant HIT', $method;
    }

    my $r = $t->get('/decide', app => 'nobody', method => 'HEAD');
    is decided($r), '403 deny/no_grant HIT', 'HEAD';
    is $r->{body}, '', 'without the body';

    my $c = $t->connect;
    my $head = "POST /decide HTTP/1.1\r\nHost: localhost\r\nX-App: demo\r\n";

    for my $n (1 .. 2) {
        $c->send($head . "Transfer-Encoding: chunked\r\n\r\n"
                 . sprintf("%x\r\n%s\r\n", 50000, 'y' x 50000) . "0\r\n\r\n");
        is decided($c->response), '200 allow/resource_grant HIT',
            "chunked, $n";
    }

    $c->send($head . "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    is decided($c->response), '200 allow/resource_grant HIT',
        'no "100 Continue" for a body that nobody reads';

    $c = $t->connect;
    $c->send($head . "Transfer-Encoding: chunked\r\n\r\nzz\r\n");
    is $c->response->{status}, 400, 'a broken body';
};


subtest 'names out of arguments' => sub {
    my $q = 'gateway=a%2Fb&resource=r%2B1&app=demo';
    is decided($t->get("/args?$q")), '200 allow/resource_grant MISS',
        'decoded once';
    is decided($t->get('/args?gateway=a%252Fb&resource=r%2B1&app=demo')),
        '500 fail/bad_config', 'and not twice';
    is decided($t->get('/args?gateway=a/b&resource=r+1&app=demo')),
        '200 allow/resource_grant HIT', 'a "+" is no blank';

    for my $odd (qw(a%2 a% %zz a%zz a%00 a%0Ab)) {
        is decided($t->get("/args?gateway=a/b&resource=$odd&app=demo")),
            '500 fail/bad_config', "resource $odd";
        is decided($t->get("/args?gateway=a/b&resource=r+1&app=$odd")),
            '403 deny/invalid_app', "app $odd";
    }

    for my $twice ("$q&app=nobody", "app=nobody&$q", "$q&App=x", "$q&x&x",
                   "$q&&x=1&y=2&x=", "$q&app") {
        is decided($t->get("/args?$twice")), '500 fail/bad_config', $twice;
    }
    my $log = join '', $t->log =~ /(.*got the query argument.*\n)/g;
    like $log, qr/\[warn\].*app_permission_decide got the query argument "(?i:app)" twice, and refuses such calls/,
        'the log names the argument';
    cmp_ok scalar(() = $log =~ /\n/g), '<=', 8, '... not for each call';

    my %p = map { $_->{name} => $_ } @{$t->status->{problems}};
    like $p{argument_twice}{text}, qr/query argument twice: 6, the newest \d+ s/,
        'so does an alert';
    like $p{argument_twice}{advice}, qr/Whoever asks must send one/,
        '... with what to do';
    my ($bad) = ($p{bad_config}{text} // '') =~ /configuration: (\d+)/;
    is $bad, $t->status->{requests}{fail}{bad_config} - 6,
        '... and is none of an incomplete configuration';

    is decided($t->get("/args?$q&x=1&y=2&&xx=3")),
        '200 allow/resource_grant HIT', 'other arguments may be there';
    is decided($t->get('/args?gateway=open&resource=r')), '200 allow/open',
        'an open policy';
    is decided($t->get('/args?gateway=open&resource=r&gateway=off')),
        '500 fail/bad_config', 'which an argument twice does not get';

    my $r = $t->get('/args?gateway=off&resource=r');
    is decided($r), '200 ', 'where the policy is off, nothing is said';
};


subtest 'the app out of a header' => sub {
    my $c = $t->connect;

    for my $header ("X-App: demo\r\nx-app: nobody\r\n",
                    "X-App: nobody\r\nX-App: demo\r\n",
                    "X-App: demo\r\nX-App: demo\r\n") {
        $c->send("GET /decide HTTP/1.1\r\nHost: a\r\n$header\r\n");
        is decided($c->response), '403 deny/invalid_app', 'twice';
    }
    my @log = $t->log =~ /(.*got the header of \$http_ .*)/g;
    like $log[0], qr/\[warn\].*app_permission_decide got the header of \$http_ "(?i:x.app)" twice, and refuses such calls/,
        'the log names the header';
    cmp_ok scalar @log, '<=', 2, '... not for each call';

    $c->send("GET /decide HTTP/1.1\r\nHost: a\r\nX-App: demo\r\n"
             . "X-Abc: 1\r\nX-Abc: 2\r\nX-Other: 1\r\nX-Other: 2\r\n\r\n");
    is decided($c->response), '200 allow/resource_grant HIT',
        'other headers may be there twice';

    $c->send("GET /part HTTP/1.1\r\nHost: a\r\nX-App: mo\r\n\r\n");
    is decided($c->response), '200 allow/resource_grant HIT', 'a part of it';
    $c->send("GET /part HTTP/1.1\r\nHost: a\r\nX-App: mo\r\nX-App: mo\r\n\r\n");
    is decided($c->response), '403 deny/invalid_app', 'twice';

    my $code = 'X-Bkapi-Authorization: {"bk_app_code":"demo"}';
    $c->send("GET /bkapi HTTP/1.1\r\nHost: a\r\n$code\r\n\r\n");
    is decided($c->response), '200 allow/resource_grant HIT', 'bk_app_code';
    $c->send("GET /bkapi HTTP/1.1\r\nHost: a\r\n$code\r\n$code\r\n\r\n");
    is decided($c->response), '403 deny/invalid_app', 'twice';
};


subtest 'an access is recorded' => sub {
    $redis->allow($_) for qw(used unused tried);
    $t->settled;
    $t->get('/decide', app => 'used');
    $t->get('/quiet', app => 'unused');
    $t->get('/dry', app => 'nobody');
    $t->flushed;
    ok $redis->access('smoke', 'get_user', 'used'),
        'of a 200 by a grant';
    ok !$redis->access('smoke', 'get_user', 'unused'),
        'not with "app_permission_record off"';
    ok !$redis->access('smoke', 'get_user', 'nobody'),
        'not of a dry run';
};


subtest 'auth_request' => sub {
    $redis->allow('sub');
    $t->settled;

    my $r = $t->get('/asks/1', app => 'sub');
    is $r->{status}, 200, 'allowed';
    like $r->{body}, qr{^backend /asks/1}, 'and proxied';
    is $r->{headers}{'x-seen'}, 'allow/resource_grant',
        'the main request has the variables';
    is $t->get('/asks/2', app => 'nobody')->{status}, 403, 'denied';

    is reason_logged('/asks/2'), 'no_grant', 'its log, too';
    is scalar(grep { m{/asks/2} } $t->backend), 0, 'not proxied';

    is $t->get('/both/1', app => 'sub')->{status}, 403,
        'a check of the main request is its own';
    is $t->get('/mapped/1')->{status}, 200,
        'variables of the main request are there';
};


subtest 'captures of Lua' => sub {
    plan skip_all => 'no Lua module' unless $t->has_lua;

    my $r = $t->get('/capture', app => 'demo', method => 'POST',
                    body => 'z' x 50000);
    is $r->{headers}{'x-captured'}, '200 resource_grant 0', 'allowed';
    is $r->{status}, 200, 'and proxied';

    $redis->allow('captured');
    $t->settled;
    is $t->get('/capture', app => 'captured')->{status}, 200,
        'also where the capture waits for Redis';

    $r = $t->get('/capture?denied', app => 'nobody');
    is $r->{status}, 403, 'denied';
    is reason_logged('/capture?denied'), 'no_grant', 'its log tells why';

    $r = $t->get('/before', app => 'demo');
    is $r->{headers}{'x-before'}, 'nil', 'before the check there is none';
    is $r->{headers}{'x-seen'}, 'allow/resource_grant', 'and later there is';
};


# The phases are nginx's: what is answered before the check is not checked, and
# the decision can be asked for earlier.

subtest 'what Lua answers before the check' => sub {
    plan skip_all => 'no Lua module' unless $t->has_lua;

    is $t->get('/answers', app => 'nobody')->{body}, 'answered',
        'in the access phase: unchecked';
    for my $uri ('/answers_asked', '/early_asked') {
        is $t->get($uri, app => 'demo')->{body}, 'answered', "$uri: allowed";
        is $t->get($uri, app => 'nobody')->{status}, 403, '... and denied';
    }
};


subtest 'what a cache answers before the check' => sub {
    plan skip_all => 'no srcache module' unless $cache;

    for ('', '/by_app', '/asked') {
        my $uri = "/cached$_/x";
        is $t->get($uri, app => 'nobody')->{status}, 403, "$uri: denied";
        my $n = $t->backend;
        is $t->get($uri, app => 'demo')->{status}, 200, 'allowed, and stored';
        is $t->get($uri, app => 'demo')->{status}, 200, 'out of the cache';
        is scalar($t->backend), $n + 1, 'one call of the backend';
    }

    is $t->get('/cached/x', app => 'nobody')->{status}, 200,
        'the answer of another app: unchecked';
    is $t->get('/cached/by_app/x', app => 'nobody')->{status}, 403,
        'with the app in the key: none to give';
    is $t->get('/cached/asked/x', app => 'nobody')->{status}, 403,
        'where the decision is asked first: denied';
};


subtest 'a client that leaves while Redis is late' => sub {
    $redis->pause;

    for my $uri ('/decide', '/asks/3', '/both/3') {
        my @c = map { $t->connect } 1 .. 3;
        $_->send("GET $uri HTTP/1.1\r\nHost: a\r\nX-App: late$_\r\n\r\n")
            for @c;
    }

    my $kept = ask('kept', '/asks/4');
    $redis->resume;
    is $kept->response->{status}, 403, 'the others get their answer';
    $t->up;
    is $t->get('/decide', app => 'demo')->{status}, 200, 'nginx goes on';
};


subtest 'Redis is away' => sub {
    $redis->stop;
    $t->down;
    is decided($t->get('/decide', app => 'demo')),
        '200 allow/resource_grant STALE', 'what is known decides';

    my $r = $t->get('/decide', app => 'unknown');
    is decided($r), '503 fail/unavailable MISS', 'what is not fails';
    is json($r->{body})->{code}, 1650300, 'as in section 4';
    is $t->get('/asks/5', app => 'unknown')->{status}, 500,
        'which auth_request takes for an error of the service';
};


subtest 'what nginx -t refuses' => sub {
    $t->refuses('nothing to decide', qr/"app_permission_decide" in location "\/d" has nothing to decide: the policy is "off"/,
        server => 'location /d { app_permission_decide; }');
    $t->refuses('an inherited "off"', qr/the policy is "off"/,
        http => 'app_permission required;',
        server => 'app_permission off; location /d { app_permission_decide; }');
    $t->refuses('two contents', qr/take away the other directive/,
        server => 'location /d { app_permission required;
                   app_permission_decide; proxy_pass %%BACKEND%%; }');
    $t->refuses('two decisions', qr/"app_permission_decide" directive is duplicate/,
        server => 'location /d { app_permission required;
                   app_permission_decide; app_permission_decide; }');
    $t->refuses('a name is missing', qr/needs "app_permission_app"/,
        setup => 'app_permission_redis %%REDIS%%; app_permission_gateway g;
                  app_permission_resource r; app_permission required;',
        server => 'location /d { app_permission_decide; } '
                  . 'location /ok { app_permission_app a; }');
};

done_testing;

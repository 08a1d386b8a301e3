#!/usr/bin/perl

# The variables, in the log, in headers and towards the backend; and the line
# of a refused call.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $expires = int(time) + 5000;

$redis->grant('smoke', undef, 'whole', $expires)
      ->grant('smoke', 'get_user', 'demo', $expires + 1)
      ->grant('smoke', 'get_user', 'ever', 4102444800)
      ->grant('smoke', 'get_user', 'gone', $expires - 9000);

my $lua = !$t->has_lua ? '' : <<'EOT';
        location /early {
            set_by_lua_block $by_set {
                return tostring(ngx.var.app_permission_decision)
            }
            rewrite_by_lua_block {
                ngx.ctx.seen = ngx.var.by_set .. " "
                    .. tostring(ngx.var.app_permission_reason)
            }
            access_by_lua_block {
                ngx.header["X-Early"] = ngx.ctx.seen .. " "
                    .. tostring(ngx.var.app_permission_cache) .. " "
                    .. tostring(ngx.var.app_permission_expires) .. " "
                    .. tostring(ngx.var.app_permission_expires_in)
            }
            header_filter_by_lua_block {
                ngx.header["X-Late"] = tostring(ngx.var.app_permission_reason)
            }
            proxy_pass %%BACKEND%%;
        }
EOT

$t->nginx(log => 'info', lua => $t->has_lua, server => <<'EOT' . $lua);
        app_permission required;

        location /required {
            proxy_set_header X-Reason $app_permission_reason;
            proxy_pass %%BACKEND%%;
        }
        location /open { app_permission open; proxy_pass %%BACKEND%%; }
        location /off  { app_permission off;  proxy_pass %%BACKEND%%; }
        location /dry  { app_permission_dry_run on; proxy_pass %%BACKEND%%; }
        location /bad  { app_permission_resource $arg_none;
                         proxy_pass %%BACKEND%%; }
        location /allow { app_permission_on_error allow;
                          app_permission_cache_valid 1s denied=1s;
                          proxy_pass %%BACKEND%%; }
        location /moves { app_permission off;
                          rewrite ^ /required last; }
        location /moves_off { app_permission open;
                              error_page 404 /off;
                              root %%DIR%%/nowhere; }

        location /set { set $early $app_permission_decision;
                        set $early $early$app_permission_reason;
                        set $early $early$app_permission_cache;
                        set $early $early$app_permission_expires;
                        set $early $early$app_permission_expires_in;
                        proxy_pass %%BACKEND%%; }
        location /page { app_permission_error off;
                         error_page 403 /off;
                         proxy_pass %%BACKEND%%; }

        location /level/error  { app_permission_log_level error;
                                 proxy_pass %%BACKEND%%; }
        location /level/notice { app_permission_log_level notice;
                                 proxy_pass %%BACKEND%%; }
        location /level/info   { app_permission_log_level info;
                                 proxy_pass %%BACKEND%%; }
EOT

ok $t->settled, 'Redis is there';

my $n = 0;

sub entry {                              # of the request just made
    my @entries = $t->access(++$n);
    return $entries[$n - 1];
}

sub logged {
    my ($uri, %o) = @_;
    $t->get($uri, %o);
    my $line = entry();
    my $in = $line->{app_permission_expires_in};
    my $e = $line->{app_permission_expires};
    is $in ne '', $e ne '', "$uri: expires and expires_in together";
    if ($e ne '') {
        cmp_ok abs($e - time - $in), '<=', 3, "$uri: expires_in fits expires";
    }
    return join ' ', map { $line->{"app_permission_$_"} || '-' }
        qw(decision reason cache expires);
}

my $e1 = $expires + 1;

subtest 'who and why' => sub {
    is logged($_->[0], app => $_->[1]), $_->[2],
        "$_->[0] as " . ($_->[1] // 'nobody') for (
        ['/required', 'whole', "allow gateway_grant MISS $expires"],
        ['/required', 'whole', "allow gateway_grant HIT $expires"],
        ['/required', 'demo',  "allow resource_grant MISS $e1"],
        ['/required', 'demo',  "allow resource_grant HIT $e1"],
        ['/required', 'ever',  'allow resource_grant MISS 4102444800'],
        ['/required', 'gone',  'deny resource_grant_expired MISS -'],
        ['/required', 'gone',  'deny resource_grant_expired HIT -'],
        ['/required', 'other', 'deny no_grant MISS -'],
        ['/required', 'other', 'deny no_grant HIT -'],
        ['/required', undef,   'deny no_app - -'],
        ['/required', 'a b',   'deny invalid_app - -'],
        ['/open',     'demo',  'allow open - -'],
        ['/off',      'demo',  '- - - -'],
        ['/dry',      'demo',  "allow resource_grant HIT $e1"],
        ['/dry',      'other', 'deny no_grant HIT -'],
        ['/bad',      'demo',  'fail bad_config - -'],
        ['/moves',    'demo',  "allow resource_grant HIT $e1"],
        ['/moves',    'other', 'deny no_grant HIT -'],
        ['/moves_off', 'demo', 'allow open - -'],
        ['/page',     'other', 'deny no_grant HIT -']);
};


# before the check there is no value, and none may be kept that says so: nginx
# and Lua read it again

subtest 'read before the check, and again in the log' => sub {
    for (['demo', "allow resource_grant HIT $e1"],
         ['other', 'deny no_grant HIT -'])
    {
        my ($app, $want) = @$_;
        is logged('/set', app => $app), $want, "by nginx, $app";
        next unless $t->has_lua;
        my $late = (split ' ', $want)[1];
        is logged('/early', app => $app), $want, "by Lua, $app";
        my $r = $t->get('/early', app => $app);
        $n++;
        is $r->{headers}{'x-late'}, $late, 'and in the headers';
        is $r->{headers}{'x-early'}, join(' ', ('nil') x 5),
            'before the check there is none' if $app eq 'demo';
    }
};


subtest 'an outage: STALE for what is known, on_error for the rest' => sub {
    is logged('/allow', app => 'demo'), "allow resource_grant HIT $e1",
        'before it';
    $redis->stop;
    ok wait_for(sub {
        logged('/allow', app => 'demo') eq "allow resource_grant STALE $e1"
    }), 'known: STALE';
    is logged('/allow', app => 'unheard-of'), 'allow unavailable MISS -',
        'not known, on_error allow';
    is logged('/required', app => 'unheard-of'), 'fail unavailable MISS -',
        'not known, on_error deny';
    $redis->run->load;
    ok wait_for(sub {
        $n++;
        $t->get('/required', app => 'none-yet')->{status} == 403;
    }), 'Redis is back';
};


subtest 'an app code out of JSON that nothing has verified' => sub {
    for (
        ['{"bk_app_code":"demo"}', 'demo'],
        ['{"a":1,"bk_app_code":"x","b":{"bk_app_code":"y"}}', 'x'],
        ['{"bk_app_code":""}', ''],
        ['{"bk_app_code":7}', ''],
        ['nonsense', ''],
    ) {
        my ($json, $code) = @$_;
        $t->get('/open', headers => { 'X-Bkapi-Authorization' => $json });
        is entry()->{app_permission_bkapi_app_code}, $code, "of $json";
    }
    $t->get('/open');
    is entry()->{app_permission_bkapi_app_code}, '', 'no such header';
};


# one each, at its level

sub lines {
    my ($uri, $app) = @_;
    my $mark = qr/app "\Q$app\E"/;
    $t->get($_, app => $app) for $uri, '/off';
    ok $t->wait_log($mark), "$uri: logged";
    return [$t->log_lines($mark)];
}

subtest 'the line of a refused call' => sub {
    my $lines = lines('/required', 'first');
    is @$lines, 1, 'one line';
    like $lines->[0], qr/\[warn\]/, 'warn by default';
    like $lines->[0], qr/denied: no_grant/, 'the reason';
    like $lines->[0], qr/gateway "smoke", resource "get_user"/,
        'gateway and resource';
    like $lines->[0], qr{request: "GET /required HTTP/1.1"}, 'the request';

    for my $level (qw(error notice info)) {
        $lines = lines("/level/$level", $level);
        is @$lines, 1, "$level: one line";
        like $lines->[0], qr/\[$level\]/, "$level: at its level";
    }

    like lines('/dry', 'trial')->[0], qr/would/, 'dry run says so';
    is scalar($t->log_lines(qr/app "demo"/)), 1,
        'allowed requests log nothing but what bad_config did';
};

done_testing;

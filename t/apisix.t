#!/usr/bin/perl

# conf.d/apisix: its snippets and its plugin, on nginx with Lua and stand-ins
# for APISIX's core and the error functions of BlueKing's plugins.

use Perm::Test;
use Perm::Http2;

my $t = Perm::Test->new;
plan skip_all => 'no Lua module' unless $t->has_lua;

my $redis = $t->redis->load;
my $dir = $t->dir;
my $now = int time;

$redis->grant('bk-demo/prod', 'get_user', 'demo', 4102444800)
      ->grant('bk-demo/prod', 'get_user', 'late', $now - 10)
      ->grant('bk-demo/prod', undef, 'ended', $now - 10);

system("mkdir -p $dir/lua/apisix/plugins/bk-core && cp "
       . "$Perm::Test::ROOT/conf.d/apisix/plugins/*.lua $dir/lua/apisix/plugins")
    and die;

spew("$dir/lua/apisix/core.lua", <<'EOT');
return {
    schema = { check = function() return true end },
    log = { error = function(...) ngx.log(ngx.ERR, ...) end },
}
EOT

# the outer shape of BlueKing's errorx: constructors, with_field, exit

spew("$dir/lua/apisix/plugins/bk-core/errorx.lua", <<'EOT');
local mt = { __index = {
    with_field = function(self, key, value)
        self.message = self.message .. ' [' .. key .. '="' .. value .. '"]'
        return self
    end } }
local function new(status, code, message)
    return function()
        return setmetatable({ status = status, code = code,
                              message = message }, mt)
    end
end
return {
    new_app_no_permission = new(403, 1640301,
        "App has no permission to the resource"),
    new_service_unavailable = new(503, 1650300, "Service Unavailable"),
    new_internal_server_error = new(500, 1650001, "Internal Server Error"),
    new_invalid_resource_config = new(500, 1650002,
        "Resource configuration error"),
    exit_with_apigw_err = function(ctx, err, plugin)
        ctx.var.bk_apigw_error = err
        ctx.var.refused_by = plugin.name
        return err.status, ""
    end,
}
EOT

# what APISIX does around a plugin; the context is what the test says

my $ACCESS = <<'EOT';
access_by_lua_block {
    local h = ngx.req.get_headers()
    local ctx = { var = {
        bk_gateway_name = h["T-Gateway"] or "bk-demo",
        bk_stage_name = h["T-Stage"] or "prod",
        bk_resource_name = h["T-Resource"] or "get_user",
        bk_app = { verified = h["T-Unverified"] == nil },
        bk_app_code = h["T-App"],
        bk_resource_auth = { resource_perm_required = h["T-Open"] == nil },
    } }
    if h["T-Broken"] then
        ctx.var.bk_app = setmetatable({}, { __index = error })
    end
    ngx.ctx.api_ctx = ctx
    if h["T-No-Plugin"] == nil then
        local plugin = require("apisix.plugins.bk-app-permission")
        local code = plugin.rewrite({}, ctx)  -- before any access phase
        if code then
            local err = ctx.var.bk_apigw_error
            ngx.status = code
            ngx.header["X-Refused-By"] = ctx.var.refused_by
            ngx.header["X-Code"] = err.code
            ngx.print(err.message)
            return ngx.exit(code)
        end
    end
    if h["T-Mock"] then
        ngx.print("mocked")
        return ngx.exit(200)
    end
    if h["T-Grpc"] then
        return ngx.exec("@grpc_pass")
    end

    -- APISIX chooses the upstream after the plugins
    ctx.up_checker = ngx.shared.reported
}

# http_log_phase() of APISIX 3.13: the plugins, then healthcheck_passive()

log_by_lua_block {
    local ctx = ngx.ctx.api_ctx
    if ctx and not ngx.var.http_t_no_log then
        require("apisix.plugins.bk-app-permission").log({}, ctx)
    end
    if ctx and ctx.up_checker then
        ctx.up_checker:incr(ngx.status, 1, 0)
    end
}
EOT

# "key: |" and what is indented below it

sub snippet {
    my ($name) = @_;
    my $text = slurp("$Perm::Test::ROOT/conf.d/apisix/config.yaml");
    my ($snippet) = $text =~ /^  ${name}_configuration_snippet: \|\n((?:    .*\n|\n)+)/m
        or die $name;
    $snippet =~ s{redis://127\.0\.0\.1:6379}{%%REDIS%%};
    return $snippet;
}

sub configuration {
    my ($decide) = @_;
    return (lua => 1, setup => '',
        http => snippet('http') . "lua_package_path '$dir/lua/?.lua;;';
            lua_shared_dict reported 64k;",
        server => 'location = /a { empty_gif; }',
        servers => join '', 'server { listen 127.0.0.1:%%PORT_gw%%;
            listen 127.0.0.1:%%PORT_h2%% http2;',
            ($decide // sub { $_[0] })->(snippet('http_server')),
            'location = /apisix/nginx_status { stub_status; }',
            'location = /lua { app_permission off; content_by_lua_block {
                ngx.print(ngx.config.ngx_lua_version) } }',
            'location = /reported { app_permission off; content_by_lua_block {
                local d = ngx.shared.reported
                for _, s in ipairs(d:get_keys()) do
                    ngx.print(s, ":", d:get(s), " ")
                end
                d:flush_all() } }',
            'location /dead {', snippet('http_server_location'), $ACCESS,
            'proxy_pass http://unix:%%DIR%%/nobody; }',
            'location / {', snippet('http_server_location'), $ACCESS,
            'proxy_pass %%BACKEND%%; }',
            'location @grpc_pass { proxy_pass %%BACKEND%%; } }');
}

like snippet('main'), qr/load_module .*ngx_http_app_permission_module\.so;/,
    'the module is loaded';
$t->nginx(configuration());
$t->up;

sub call {
    my ($app, %o) = @_;
    my %with = map { ("T-$_" => $o{$_}) } grep { /^[A-Z]/ } keys %o;
    my $r = $t->get($o{uri} // '/x', port => $t->port('gw'),
        method => $o{method}, body => $o{body},
        headers => { %with, defined $app ? ('T-App' => $app) : (),
                     %{$o{headers} // {}} });
    return $r if $o{whole};
    return join ' ', $r->{status},
        $r->{headers}{'x-code'} // $r->{headers}{'x-bkapi-error-code'} // ();
}

sub reason { call(@_, whole => 1)->{body} =~ /\[reason="(.*)"\]/ ? $1 : 'none' }


subtest 'allowed and denied' => sub {
    my $r = call('demo', whole => 1, uri => '/in');
    is $r->{status}, 200, 'allowed';
    like $r->{body}, qr{^backend /in}, 'and proxied';
    is call('nobody'), '403 1640301', 'denied';
    is reason('nobody'), 'no permission, bk_app_code=nobody', 'why';
    is reason('late'), 'permission has expired, type=resource_permission, bk_app_code=late', 'expired';
    is reason('ended'), 'permission has expired, type=gateway_permission, bk_app_code=ended', 'for the gateway';
    is reason(undef), 'no app code', 'no app';
    is reason('a b%1'), 'invalid app code', 'an invalid one, not echoed';
    is call('demo', Resource => 'other'), '403 1640301', 'another resource';
    is call('demo', Stage => 'test'), '403 1640301', 'another stage';
    is call('nobody', whole => 1)->{headers}{'x-refused-by'},
        'bk-app-permission', 'by the error function of the gateway';

    $t->flushed;
    ok $redis->access('bk-demo/prod', 'get_user', 'demo'), 'recorded';
    is $t->status->{requests}{deny}{no_app} > 0, 1, 'and counted';
};


subtest 'only a verified app' => sub {
    is reason('demo', Unverified => 1), 'no app code', 'it is none';
    is call('demo', Unverified => 1, Open => 1), '200',
        'where no permission is needed, it is let through';
    is call(undef, Open => 1), '200', 'and so is a call without one';
};


subtest 'what a caller sends picks nothing' => sub {
    for my $app ('nobody&app=demo', 'nobody&gateway=x', "nobody\%26app=demo") {
        is reason($app), 'invalid app code', "app $app";
    }
    is call('nobody', uri => '/x?app=demo&gateway=bk-demo/prod&resource=get_user'),
        '403 1640301', 'arguments';
    is call('nobody', headers => { 'X-App' => 'demo',
        'X-Bkapi-Authorization' => '{"bk_app_code":"demo"}' }), '403 1640301',
        'headers';
    is call('demo', uri => '/_app_permission_decide?gateway=bk-demo/prod&resource=get_user&app=demo'),
        '404', 'the decision is no way in';
    is call('demo', Resource => 'x&resource=get_user'), '500 1650002',
        'a resource with odd bytes';
    is call('demo', Gateway => ''), '500 1650002', 'no gateway';
};


subtest 'before anything else answers' => sub {
    is call('nobody', Mock => 1), '403 1640301', 'a mock';
    is call('demo', Mock => 1, whole => 1)->{body}, 'mocked',
        'which the others get';
};


subtest 'the second line: a call that the plugin did not see' => sub {
    is call('demo', 'No-Plugin' => 1), '500 1650002', 'is refused';
    is call('demo', 'No-Plugin' => 1, Grpc => 1), '500 1650002',
        'also through @grpc_pass';
    is call('demo', Grpc => 1), '200', 'where the plugin has said yes';
    is call('demo', Open => 1, Grpc => 1), '200', '... or open';
    is $t->get('/apisix/nginx_status', port => $t->port('gw'))->{status}, 200,
        'nginx_status is no call';
};


sub reported { $t->get('/reported', port => $t->port('gw'))->{body} }

subtest 'passive health checks count answers of the upstream' => sub {
    reported();
    call('demo');
    is reported(), '200:1 ', 'an answer counts';
    is call('demo', uri => '/dead'), '502', 'an upstream that is away';
    is reported(), '502:1 ', 'counts';
    call('demo', 'No-Plugin' => 1, 'No-Log' => 1);
    is reported(), '500:1 ', 'a refusal by the check alone would';

    call('demo', 'No-Plugin' => 1) for 1 .. 3;
    is reported(), '', 'the plugin takes it out';

    $redis->pause;
    is call("hung$_"), '503 1650300', 'Redis hangs' for 1 .. 2;
    $redis->resume;
    is reported(), '', 'refusals of the plugin do not count';
};


subtest 'bodies, HTTP/2, clients that leave' => sub {
    my $r = call('demo', method => 'POST', body => 'x' x 51200, whole => 1);
    is $r->{status}, 200, '50 KB';
    is call('nobody', method => 'POST', body => 'x' x 51200), '403 1640301',
        'denied';
    my $c = Perm::Http->connect($t->port('gw'));
    for (1 .. 2) {
        $c->send("PUT /x HTTP/1.1\r\nHost: a\r\nT-App: demo\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n"
            . sprintf("%x\r\n%s\r\n0\r\n\r\n", 50000, 'y' x 50000));
        is $c->response->{status}, 200, "chunked, $_";
    }

    # Lua before 0.10.28 refuses to capture for HTTP/2: the call is refused

    my $version = $t->get('/lua', port => $t->port('gw'))->{body};
    my $no_app = $version < 10028 ? 500 : 403;
    my $h2 = Perm::Http2->connect($t->port('h2'));
    is $h2->get('/x')->{status}, $no_app, 'HTTP/2';
    $redis->pause;
    my $id = $h2->request('/x');
    my @c = map { Perm::Http->connect($t->port('gw')) } 1 .. 3;
    $c[$_]->send("GET /x HTTP/1.1\r\nHost: a\r\nT-App: gone$_\r\n\r\n")
        for 0 .. 2;
    @c = ();
    $redis->resume;
    is $h2->response($id)->{status}, $no_app, 'goes on';
    is call('demo'), '200', 'and so does nginx';
};


subtest 'a fault on the way refuses' => sub {
    is call('demo', Broken => 1), '500 1650001', 'an error in Lua';

    $redis->stop;
    $t->down;
    is call('unknown'), '503 1650300', 'Redis is away';
    is reason('unknown'), 'permission lookup failed', 'why';
    is call('demo'), '200', 'what is known decides';

    for (['no such location', sub { $_[0] =~ s/_app_permission_decide/_other/r }],
         ['one that says 200 to all', sub { $_[0] =~ s/app_permission_decide;/return 200;/r }],
         ['a decision that is off', sub { $_[0] =~ s/app_permission \$bk_perm_decide;/app_permission \$bk_perm_off;/r }],
         ['a location that redirects', sub { $_[0] =~ s/app_permission_decide;/return 302 \/;/r }],
         ['a proxy to nowhere', sub { $_[0] =~ s/app_permission_decide;/app_permission off; proxy_pass http:\/\/unix:%%DIR%%\/no;/r
             =~ s/app_permission \$bk_perm_decide;//r }])
    {
        my ($name, $change) = @$_;
        my %o = configuration($change);
        $o{http} .= "\n map \$uri \$bk_perm_off { default off; }";
        is $t->config(%o)->reload, 1, "$name: taken";
        is call('demo'), '500 1650001', '... refused';
    }
};

done_testing;

#!/usr/bin/perl

# The check comes after every authentication step, whatever module does it and
# whatever the order of load_module; nothing gets around it.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;

$redis->allow('demo')
      ->grant('smoke', 'other', 'demo2', int(time) + 1000);

my $lua = $t->has_lua;

my $server = <<'EOT';
        app_permission required;
        add_header X-Decision $app_permission_decision/$app_permission_reason
            always;

        # identity from an authentication service

        location = /_who {
            internal;
            app_permission off;
            proxy_pass %%AUTH%%;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }

        location /auth_request {
            auth_request /_who;
            auth_request_set $who $upstream_http_x_who;
            app_permission_app $who;
            proxy_pass %%BACKEND%%;
        }

        # the request that asks has a policy of its own: a main request's
        # check only

        location = /_who_checked { internal; proxy_pass %%AUTH%%; }

        location /auth_request_checked {
            auth_request /_who_checked;
            auth_request_set $who $upstream_http_x_who;
            app_permission_app $who;
            proxy_pass %%BACKEND%%;
        }

        location /auth_basic {
            auth_basic "who";
            auth_basic_user_file %%DIR%%/htpasswd;
            app_permission_app $remote_user;
            proxy_pass %%BACKEND%%;
        }

        # "satisfy any": an allowed address is enough for the access phase,
        # and not for the check

        location /satisfy {
            satisfy any;
            allow 127.0.0.1;
            deny all;
            auth_basic "who";
            auth_basic_user_file %%DIR%%/htpasswd;
            proxy_pass %%BACKEND%%;
        }

        location /forbidden { deny all; proxy_pass %%BACKEND%%; }
        location /mirror { mirror /_mirror; proxy_pass %%BACKEND%%; }

        location = /_mirror {
            internal;
            app_permission off;
            proxy_pass %%BACKEND%%/mirrored$request_uri;
        }

        location /try { try_files /hello.txt =404; }
        location /try_fallback { try_files /none.txt @fallback; }

        location @fallback { app_permission_resource other;
                             proxy_pass %%BACKEND%%; }
        location /try_internal { app_permission open;
                                 try_files /none.txt /guarded$uri; }

        location /guarded { proxy_pass %%BACKEND%%; }
        location /rewritten { rewrite ^ /guarded last; }

        location /unguarded { app_permission off;
                              rewrite ^/unguarded/(.*) /guarded/$1 last; }
        location /index/ { app_permission open; index hello.txt; }
        location ~ \.txt$ { root %%DIR%%/html; }

        location /page { app_permission open; error_page 404 /guarded/page;
                         root %%DIR%%/nowhere; }
        location /page_named { app_permission open; error_page 404 @fallback;
                               root %%DIR%%/nowhere; }

        location /accel { app_permission open; proxy_pass %%AUTH%%/accel; }
        location /accel_denied { proxy_pass %%AUTH%%/accel; }
        location /static { }

        location /post_dav {
            root %%DIR%%/dav;
            client_body_temp_path %%DIR%%/dav_temp;
            %%DAV%%
        }

        location /limited {
            limit_req zone=slow burst=5;
            limit_conn conns 10;
            proxy_pass %%BACKEND%%;
        }

        location /ssi {
            app_permission open;
            ssi on;
            ssi_types *;
            alias %%DIR%%/html/ssi;
        }

        location /returned { return 200 "before the check\n"; }
EOT

$server .= <<'EOT' if $lua;
        location /lua_access {
            set $who "";
            app_permission_app $who;
            access_by_lua_block { ngx.var.who = ngx.var.http_x_key }
            proxy_pass %%BACKEND%%;
        }

        location /lua_slow {
            set $who "";
            app_permission_app $who;
            access_by_lua_block {
                ngx.sleep(0.05)
                ngx.var.who = ngx.var.http_x_key
            }
            proxy_pass %%BACKEND%%;
        }

        location /lua_refuses { access_by_lua_block { ngx.exit(401) }
                                proxy_pass %%BACKEND%%; }
        location /lua_rewrite {
            set $who "";
            app_permission_app $who;
            rewrite_by_lua_block { ngx.var.who = ngx.var.http_x_key }
            proxy_pass %%BACKEND%%;
        }
        location /lua_content { content_by_lua_block { ngx.say("content") } }
        location /lua_exec { app_permission open;
                             content_by_lua_block { ngx.exec("/guarded/exec") } }
        location /lua_named { app_permission open;
                              content_by_lua_block { ngx.exec("@fallback") } }
        location /lua_body { access_by_lua_block { ngx.req.read_body() }
                             proxy_pass %%BACKEND%%; }
EOT

my $dav = qx($Perm::Nginx::BINARY -V 2>&1) =~ /http_dav_module/;
$server =~ s/%%AUTH%%/http:\/\/127.0.0.1:%%PORT_auth%%/g;
$server =~ s/%%DAV%%/$dav ? 'dav_methods PUT DELETE; create_full_put_path on;'
                          : ''/e;

my $http = <<'EOT';
    limit_req_zone $uri zone=slow:1m rate=100r/s;
    limit_conn_zone $uri zone=conns:1m;
EOT

my $servers = <<'EOT';
    server {
        listen 127.0.0.1:%%PORT_auth%%;
        app_permission off;

        location / {
            if ($http_x_key = "") { return 401; }
            add_header X-Who $http_x_key;
            return 204;
        }

        location /accel {
            add_header X-Accel-Redirect /guarded/accel;
            return 200;
        }
    }
EOT

sub files {
    mkdir $t->dir . "/$_" for qw(html html/ssi html/index html/static dav);
    chmod 0777, $t->dir . '/dav';
    spew($t->dir . "/html/$_", "hello\n")
        for qw(hello.txt index/hello.txt static/hello.txt);
    spew($t->dir . '/html/ssi/page',
         '<!--#include virtual="/guarded/included" -->' . "\n");
    # demo:secret, other:secret
    spew($t->dir . '/htpasswd', "demo:{PLAIN}secret\nother:{PLAIN}secret\n");
}

sub basic { (headers => { Authorization => 'Basic ' . $_[0] }) }

sub key_of { (headers => { 'X-Key' => $_[0] }) }

my @upload = (method => 'POST', body => 'x' x 30000);

sub is_as {
    my ($status, $decision, $uri, $name, @get) = @_;
    my $r = $t->get($uri, @get);
    is $r->{status}, $status, "$name: status";
    is $r->{headers}{'x-decision'}, $decision, "$name: decision"
        if defined $decision;
    return $r;
}

# "demo" has the grant, and "other" has not

sub allowed {
    is_as(200, 'allow/resource_grant', @_, @_ > 2 ? () : (app => 'demo'));
}

sub denied {
    is_as(403, 'deny/no_grant', @_, @_ > 2 ? () : (app => 'other'));
}


sub checks {
    my ($how) = @_;

    subtest "$how: auth_request" => sub {
        allowed('/auth_request', 'granted', key_of('demo'));
        denied('/auth_request', 'not granted', key_of('other'));
        is_as(401, '/', '/auth_request', 'the service refuses');
        denied('/auth_request', 'POST', @upload, key_of('other'));
        allowed('/auth_request_checked', 'the subrequest is not checked',
                key_of('demo'));
        denied('/auth_request_checked', '... but the request is',
               key_of('other'));
    };

    subtest "$how: auth_basic" => sub {
        allowed('/auth_basic', 'granted', basic('ZGVtbzpzZWNyZXQ='));
        denied('/auth_basic', 'not granted', basic('b3RoZXI6c2VjcmV0'));
        is_as(401, '/', '/auth_basic', 'a wrong password',
              basic('ZGVtbzp3cm9uZw=='));
    };

    subtest "$how: addresses, and satisfy any" => sub {
        denied('/satisfy', 'satisfy any');
        allowed('/satisfy', '... granted');
        is_as(403, '/', '/forbidden', 'denied by address', app => 'demo');
    };

    subtest "$how: mirror" => sub {
        denied('/mirror', 'GET');
        denied('/mirror/post', 'POST', method => 'POST', body => 'payload',
               app => 'other');
        allowed('/mirror/yes', 'granted');
        ok wait_for(sub { grep { m{^/mirrored/mirror/yes} } $t->backend }),
            'granted requests are mirrored';
        is_deeply [grep { m{/mirror(/post)?$} } $t->backend], [],
            'denied requests are neither proxied nor mirrored';
    };

    subtest "$how: try_files" => sub {
        denied('/try', 'a file');
        is allowed('/try', '... granted')->{body}, "hello\n", '... is served';
        denied('/try_fallback', 'to a named location');
        denied('/try_fallback', '... whose resource counts', app => 'demo');
        denied('/try_internal', 'to a guarded location');
        allowed('/try_internal', '... granted');
    };

    subtest "$how: redirects" => sub {
        denied('/rewritten', 'rewrite');
        denied('/unguarded/x', 'rewrite out of an unguarded location');
        allowed('/unguarded/x', '... granted');
        denied('/index/', 'index into a guarded location');
        allowed('/index/', '... granted');
        denied('/page', 'error_page to a guarded location');
        is_as(404, 'allow/resource_grant', '/page', '... granted',
              app => 'demo');
        denied('/page_named', 'error_page to a named location', app => 'demo');
        is_as(404, 'allow/resource_grant', '/page_named', '... granted',
              app => 'demo2');
        denied('/accel', 'X-Accel-Redirect');
        allowed('/accel', '... granted');
        denied('/accel_denied', '... of a denied request');
    };

    subtest "$how: files and limits" => sub {
        denied('/static/hello.txt', 'static file');
        denied('/static/hello.txt', 'static file, HEAD', app => 'other',
               method => 'HEAD');
        allowed('/static/hello.txt', 'static file, granted');
        denied('/limited', 'with limit_req');
        allowed('/limited', 'with limit_req, granted');
    };

    subtest "$how: what is not checked" => sub {
        is is_as(200, 'allow/open', '/ssi/page', 'SSI', app => 'other')->{body},
            "backend /guarded/included\n\n",
            'subrequests of an allowed request are not checked anew';
        is is_as(200, undef, '/returned', 'return', app => 'other')->{body},
            "before the check\n", 'return acts before the check';
    };

    subtest "$how: DAV" => sub {
        plan skip_all => 'nginx without DAV' unless $dav;
        my $file = $t->dir . '/dav/post_dav/file';
        my @put = (method => 'PUT', body => 'x');

        denied('/post_dav/file', 'PUT', @put, app => 'other');
        ok !-e $file, '... wrote nothing';
        is_as(201, 'allow/resource_grant', '/post_dav/file', 'PUT, granted',
              @put, app => 'demo');
        denied('/post_dav/file', 'DELETE', method => 'DELETE', app => 'other');
        ok -e $file, '... left it';
        unlink $file;
    };

    subtest "$how: Lua" => sub {
        plan skip_all => 'nginx without Lua' unless $lua;
        for my $phase (qw(lua_access lua_slow lua_rewrite)) {
            allowed("/$phase", "$phase sets the app, granted", key_of('demo'));
            denied("/$phase", "$phase sets the app, not granted",
                   key_of('other'));
            is_as(403, 'deny/no_app', "/$phase", "$phase sets no app",
                  app => 'demo');
        }
        is_as(401, '/', '/lua_refuses', 'Lua refuses', app => 'demo');
        denied('/lua_content', 'content');
        allowed('/lua_content', '... granted');
        denied('/lua_exec', 'ngx.exec');
        allowed('/lua_exec', '... granted');
        denied('/lua_named', 'ngx.exec to a named location', app => 'demo');
        denied('/lua_body', 'Lua reads the body', @upload, app => 'other');
        allowed('/lua_body', '... granted', @upload, app => 'demo');
    };
}

files();
$t->nginx(server => $server, http => $http, servers => $servers,
          lua => $lua ? 'first' : 0);
checks($lua ? 'Lua loaded first' : 'no Lua');

if ($lua) {
    is $t->{nginx}->quit, 0, 'quits';
    spew($t->dir . '/backend.log', '');
    $t->nginx(server => $server, http => $http, servers => $servers,
              lua => 'last');
    checks('Lua loaded last');
}

done_testing;

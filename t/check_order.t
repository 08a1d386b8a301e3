#!/usr/bin/perl

# The check comes after every authentication step, whatever module does it and
# whatever the order of load_module; nothing gets around it.

use strict;
use warnings;

use Test::More;

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;

$redis->grant('smoke', 'get_user', 'demo', time + 1000)
      ->grant('smoke', 'other', 'demo2', time + 1000);

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

        location = /_who_checked {
            internal;
            proxy_pass %%AUTH%%;
        }

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

        location /forbidden {
            deny all;
            proxy_pass %%BACKEND%%;
        }

        location /mirror {
            mirror /_mirror;
            proxy_pass %%BACKEND%%;
        }

        location = /_mirror {
            internal;
            app_permission off;
            proxy_pass %%BACKEND%%/mirrored$request_uri;
        }

        location /try {
            try_files /hello.txt =404;
        }

        location /try_fallback {
            try_files /none.txt @fallback;
        }

        location @fallback {
            app_permission_resource other;
            proxy_pass %%BACKEND%%;
        }

        location /try_internal {
            app_permission open;
            try_files /none.txt /guarded$uri;
        }

        location /guarded {
            proxy_pass %%BACKEND%%;
        }

        location /rewritten {
            rewrite ^ /guarded last;
        }

        location /unguarded {
            app_permission off;
            rewrite ^/unguarded/(.*) /guarded/$1 last;
        }

        location /index/ {
            app_permission open;
            index hello.txt;
        }

        location ~ \.txt$ {
            root %%DIR%%/html;
        }

        location /page {
            app_permission open;
            error_page 404 /guarded/page;
            root %%DIR%%/nowhere;
        }

        location /page_named {
            app_permission open;
            error_page 404 @fallback;
            root %%DIR%%/nowhere;
        }

        location /accel {
            app_permission open;
            proxy_pass %%AUTH%%/accel;
        }

        location /accel_denied {
            proxy_pass %%AUTH%%/accel;
        }

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

        location /lua_refuses {
            access_by_lua_block { ngx.exit(401) }
            proxy_pass %%BACKEND%%;
        }

        location /lua_rewrite {
            set $who "";
            app_permission_app $who;
            rewrite_by_lua_block { ngx.var.who = ngx.var.http_x_key }
            proxy_pass %%BACKEND%%;
        }

        location /lua_content {
            content_by_lua_block { ngx.say("content") }
        }

        location /lua_exec {
            app_permission open;
            content_by_lua_block { ngx.exec("/guarded/exec") }
        }

        location /lua_named {
            app_permission open;
            content_by_lua_block { ngx.exec("@fallback") }
        }

        location /lua_body {
            access_by_lua_block { ngx.req.read_body() }
            proxy_pass %%BACKEND%%;
        }
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

sub ok_as {
    my ($uri, $status, $decision, $name, %o) = @_;
    my $r = $t->get($uri, %o);
    is $r->{status}, $status, "$name: status";
    is $r->{headers}{'x-decision'}, $decision, "$name: decision"
        if defined $decision;
    return $r;
}

sub basic { { Authorization => 'Basic ' . $_[0] } }
my $demo = basic('ZGVtbzpzZWNyZXQ=');
my $other = basic('b3RoZXI6c2VjcmV0');
my $wrong = basic('ZGVtbzp3cm9uZw==');

my @no = (403, 'deny/no_grant');
my @yes = (200, 'allow/resource_grant');

sub checks {
    my ($how) = @_;

    ok_as('/auth_request', @yes, "$how, auth_request, granted",
          headers => { 'X-Key' => 'demo' });
    ok_as('/auth_request', @no, "$how, auth_request, not granted",
          headers => { 'X-Key' => 'other' });
    ok_as('/auth_request', 401, '/', "$how, auth_request refuses");
    ok_as('/auth_request', @no, "$how, auth_request, POST", method => 'POST',
          body => 'x' x 9000, headers => { 'X-Key' => 'other' });
    ok_as('/auth_request_checked', @yes, "$how, the subrequest is not checked",
          headers => { 'X-Key' => 'demo' });
    ok_as('/auth_request_checked', @no, "$how, ... but the request is",
          headers => { 'X-Key' => 'other' });

    ok_as('/auth_basic', @yes, "$how, auth_basic, granted", headers => $demo);
    ok_as('/auth_basic', @no, "$how, auth_basic, not granted",
          headers => $other);
    ok_as('/auth_basic', 401, '/', "$how, auth_basic refuses",
          headers => $wrong);

    ok_as('/satisfy', @no, "$how, satisfy any", app => 'other');
    ok_as('/satisfy', @yes, "$how, satisfy any, granted", app => 'demo');
    ok_as('/forbidden', 403, '/', "$how, denied by address", app => 'demo');

    ok_as('/mirror', @no, "$how, mirror", app => 'other');
    ok_as('/mirror/post', @no, "$how, mirror, POST", app => 'other',
          method => 'POST', body => 'payload');
    ok_as('/mirror/yes', @yes, "$how, mirror, granted", app => 'demo');
    ok wait_for(sub { grep { m{^/mirrored/mirror/yes} } $t->backend }),
        "$how, granted requests are mirrored";
    is_deeply [grep { m{/mirror(/post)?$} } $t->backend], [],
        "$how, denied requests are neither proxied nor mirrored";

    ok_as('/try', @no, "$how, try_files", app => 'other');
    is ok_as('/try', @yes, "$how, try_files, granted", app => 'demo')->{body},
        "hello\n", "$how, try_files serves";
    ok_as('/try_fallback', @no, "$how, try_files to a named location",
          app => 'other');
    ok_as('/try_fallback', @no,
          "$how, the named location's resource counts", app => 'demo');
    ok_as('/try_internal', @no, "$how, try_files to a guarded location",
          app => 'other');
    ok_as('/try_internal', @yes, "$how, ... granted", app => 'demo');

    ok_as('/rewritten', @no, "$how, rewrite", app => 'other');
    ok_as('/unguarded/x', @no, "$how, rewrite out of an unguarded location",
          app => 'other');
    ok_as('/unguarded/x', @yes, "$how, ... granted", app => 'demo');
    ok_as('/index/', @no, "$how, index into a guarded location",
          app => 'other');
    ok_as('/index/', @yes, "$how, ... granted", app => 'demo');
    ok_as('/page', @no, "$how, error_page to a guarded location",
          app => 'other');
    ok_as('/page', 404, 'allow/resource_grant', "$how, ... granted",
          app => 'demo');
    ok_as('/page_named', @no, "$how, error_page to a named location",
          app => 'demo');
    ok_as('/page_named', 404, 'allow/resource_grant', "$how, ... granted",
          app => 'demo2');
    ok_as('/accel', @no, "$how, X-Accel-Redirect", app => 'other');
    ok_as('/accel', @yes, "$how, X-Accel-Redirect, granted", app => 'demo');
    ok_as('/accel_denied', @no, "$how, X-Accel-Redirect of a denied request",
          app => 'other');

    ok_as('/static/hello.txt', @no, "$how, static file", app => 'other');
    ok_as('/static/hello.txt', @no, "$how, static file, HEAD",
          app => 'other', method => 'HEAD');
    ok_as('/static/hello.txt', @yes, "$how, static file, granted",
          app => 'demo');
    ok_as('/limited', @no, "$how, with limit_req", app => 'other');
    ok_as('/limited', @yes, "$how, with limit_req, granted", app => 'demo');

    is ok_as('/ssi/page', 200, 'allow/open', "$how, SSI", app => 'other')
        ->{body}, "backend /guarded/included\n\n",
        "$how, subrequests of an allowed request are not checked anew";

    is ok_as('/returned', 200, undef, "$how, return", app => 'other')->{body},
        "before the check\n", "$how, return acts before the check";

    if ($dav) {
        ok_as('/post_dav/file', @no, "$how, PUT", app => 'other',
              method => 'PUT', body => 'x');
        ok !-e $t->dir . '/dav/post_dav/file', "$how, denied PUT wrote nothing";
        ok_as('/post_dav/file', 201, 'allow/resource_grant',
              "$how, PUT, granted", app => 'demo', method => 'PUT',
              body => 'x');
        ok_as('/post_dav/file', @no, "$how, DELETE", app => 'other',
              method => 'DELETE');
        ok -e $t->dir . '/dav/post_dav/file', "$how, denied DELETE left it";
        unlink $t->dir . '/dav/post_dav/file';
    }

    return unless $lua;

    for my $phase (qw(lua_access lua_slow lua_rewrite)) {
        ok_as("/$phase", @yes, "$how, $phase sets the app, granted",
              headers => { 'X-Key' => 'demo' });
        ok_as("/$phase", @no, "$how, $phase sets the app, not granted",
              headers => { 'X-Key' => 'other' });
        ok_as("/$phase", 403, 'deny/no_app', "$how, $phase sets no app",
              app => 'demo');
    }
    ok_as('/lua_refuses', 401, '/', "$how, Lua refuses", app => 'demo');
    ok_as('/lua_content', @no, "$how, Lua content", app => 'other');
    ok_as('/lua_content', @yes, "$how, Lua content, granted", app => 'demo');
    ok_as('/lua_exec', @no, "$how, ngx.exec", app => 'other');
    ok_as('/lua_exec', @yes, "$how, ngx.exec, granted", app => 'demo');
    ok_as('/lua_named', @no, "$how, ngx.exec to a named location",
          app => 'demo');
    ok_as('/lua_body', @no, "$how, Lua reads the body", app => 'other',
          method => 'POST', body => 'x' x 30000);
    ok_as('/lua_body', @yes, "$how, Lua reads the body, granted",
          app => 'demo', method => 'POST', body => 'x' x 30000);
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

$t->done;

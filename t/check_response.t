#!/usr/bin/perl

# What the caller sees: status, headers and body to the byte.

use strict;
use warnings;

use JSON::PP;
use Test::More;

use Perm::Http2;
use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $now = time;

$redis->grant('smoke', undef, 'gone', $now - 10)
      ->grant('smoke', 'get_user', 'gone.resource', $now - 10)
      ->grant('smoke', undef, 'good', $now + 1000)
      ->grant('smoke', undef, 'ever', 4102444800);

my $server = <<'EOT';
        app_permission required;

        location /bkapi   { proxy_pass %%BACKEND%%; }
        location /charset { charset utf-8; charset_types *;
                            proxy_pass %%BACKEND%%; }
        location /problem { app_permission_error problem;
                            proxy_pass %%BACKEND%%; }
        location /off     { app_permission_error off;
                            proxy_pass %%BACKEND%%; }

        location /bad {
            app_permission_resource $arg_none;
            proxy_pass %%BACKEND%%;

            location /bad/problem { app_permission_error problem;
                                    proxy_pass %%BACKEND%%; }
            location /bad/off     { app_permission_error off;
                                    proxy_pass %%BACKEND%%; }
        }

        location /expires {
            app_permission_expires_header on;
            proxy_pass %%BACKEND%%;

            location /expires/open { app_permission open;
                                     proxy_pass %%BACKEND%%; }
            location /expires/dry  { app_permission_dry_run on;
                                     proxy_pass %%BACKEND%%; }
        }

        location /page {
            app_permission_error off;
            error_page 403 = /denied.html;
            proxy_pass %%BACKEND%%;
        }

        location /named {
            app_permission_error off;
            error_page 403 @denied;
            proxy_pass %%BACKEND%%;
        }

        location /bkapi_page {
            error_page 403 = /denied.html;
            proxy_pass %%BACKEND%%;
        }

        location = /denied.html { app_permission off;
                                  add_header X-Page 1 always; }
        location @denied        { app_permission off; return 403 "named\n"; }

        location /upload {
            client_max_body_size 10m;
            proxy_pass %%BACKEND%%;
        }
EOT

$t->config(server => $server, servers => <<"EOT");
    server {
        listen 127.0.0.1:%%PORT_h2%% http2;
$server
    }
EOT
spew($t->dir . '/html/denied.html', "see the manual\n");
$t->start;


sub bkapi {
    my ($code, $name, $message) = @_;
    (my $escaped = $message) =~ s/"/\\"/g;
    return qq({"code":$code,"code_name":"$name","message":"$escaped",)
         . '"result":false,"data":null}';
}

my $no = 'App has no permission to the resource';
my @cases = (
    # app, path, status, code, code name, message, reason, title
    ['demo', '/bkapi', 403, 1640301, 'APP_NO_PERMISSION',
     "$no [reason=\"no permission, bk_app_code=demo\"]", 'no_grant'],
    ['gone', '/bkapi', 403, 1640301, 'APP_NO_PERMISSION',
     "$no [reason=\"permission has expired, type=gateway_permission,"
     . " bk_app_code=gone\"]", 'gateway_grant_expired'],
    ['gone.resource', '/bkapi', 403, 1640301, 'APP_NO_PERMISSION',
     "$no [reason=\"permission has expired, type=resource_permission,"
     . " bk_app_code=gone.resource\"]", 'resource_grant_expired'],
    [undef, '/bkapi', 403, 1640301, 'APP_NO_PERMISSION',
     "$no [reason=\"no app code\"]", 'no_app'],
    ['<b>"evil"</b>', '/bkapi', 403, 1640301, 'APP_NO_PERMISSION',
     "$no [reason=\"invalid app code\"]", 'invalid_app'],
    ['demo', '/bad', 500, 1650002, 'INVALID_RESOURCE_CONFIG',
     'Resource configuration error'
     . ' [reason="policy, gateway or resource is not set"]', 'bad_config'],
);

sub answers {
    for (@cases) {
        my ($app, $path, $status, $code, $name, $message, $reason) = @$_;

        my $r = $t->get($path, app => $app);
        is $r->{status}, $status, "$reason: status";
        is $r->{body}, bkapi($code, $name, $message), "$reason: body";
        is $r->{headers}{'content-type'}, 'application/json; charset=utf-8',
            "$reason: type";
        is $r->{headers}{'x-bkapi-error-code'}, $code, "$reason: code";
        is $r->{headers}{'x-bkapi-error-message'}, $message,
            "$reason: message";
        is_deeply decode_json($r->{body}), { code => $code,
            code_name => $name, message => $message, data => undef,
            result => JSON::PP::false }, "$reason: the members, read back";

        my $head = $t->get($path, app => $app, method => 'HEAD');
        is $head->{status}, $status, "$reason: HEAD";
        is $head->{body}, '', "$reason: HEAD has no body";
        is $head->{headers}{'x-bkapi-error-code'}, $code,
            "$reason: HEAD has the headers";
        is $head->{headers}{'content-length'}, length $r->{body},
            "$reason: HEAD says how long the body is";

        # RFC 9457

        my $problem = $status == 500 ? '/bad/problem' : '/problem';
        $r = $t->get($problem, app => $app);
        is $r->{status}, $status, "$reason: problem";
        is $r->{headers}{'content-type'}, 'application/problem+json',
            "$reason: problem type";
        my $p = eval { decode_json($r->{body}) } // {};
        is $p->{type}, "urn:app-permission:$reason", "$reason: urn";
        is $p->{status}, $status, "$reason: problem status";
        ok length $p->{title} && length $p->{detail},
            "$reason: title and detail";
        my $known = $reason !~ /app$/ ? $app : undef;
        is $p->{app}, $known, "$reason: app where known";
        is $p->{gateway}, 'smoke', "$reason: gateway";
        is $p->{resource}, $status == 500 ? undef : 'get_user',
            "$reason: resource where known";
        unlike $r->{raw}, qr/evil/, "$reason: what is not valid is not echoed";
        ok !exists $r->{headers}{'x-bkapi-error-code'},
            "$reason: no bkapi headers";

        # the bare status

        $r = $t->get($status == 500 ? '/bad/off' : '/off', app => $app);
        is $r->{status}, $status, "$reason: off";
        like $r->{body}, qr/<html>/, "$reason: nginx's own page";
        ok !exists $r->{headers}{'x-bkapi-error-code'},
            "$reason: off has no headers";
    }
}

answers();

is $t->get('/charset', app => 'demo')->{headers}{'content-type'},
    'application/json; charset=utf-8', 'the type with "charset" around it';


# versions and connections

my $c = $t->connect;
$c->send("GET /bkapi HTTP/1.0\r\nX-App: demo\r\n\r\n");
my $r = $c->response;
is $r->{status}, 403, 'HTTP/1.0';
is $r->{body}, bkapi(@{$cases[0]}[3 .. 5]), 'HTTP/1.0 body';
ok $c->closed, 'HTTP/1.0 connection is closed';

for my $format ('/bkapi', '/problem', '/off') {
    $c = $t->connect;
    for (1 .. 3) {
        $c->send(Perm::Http->text($format, headers => { 'X-App' => 'demo' }));
        is $c->response->{status}, 403, "$format: keep-alive, denied";
        $c->send(Perm::Http->text($format, headers => { 'X-App' => 'good' }));
        is $c->response->{status}, 200, "$format: keep-alive, allowed";
    }

    # bodies nobody reads

    $c->send(Perm::Http->text($format, method => 'POST', body => 'x' x 5000,
             headers => { 'X-App' => 'demo' })
           . Perm::Http->text($format, headers => { 'X-App' => 'good' }));
    is $c->response->{status}, 403, "$format: POST, denied";
    is $c->response->{status}, 200, "$format: the next, pipelined";

    $c->send("POST $format HTTP/1.1\r\nHost: a\r\nX-App: demo\r\n"
           . "Transfer-Encoding: chunked\r\n\r\n");
    is $c->response->{status}, 403, "$format: denied before the body came";
    $c->send("5\r\nhello\r\n0\r\n\r\n"
           . Perm::Http->text($format, headers => { 'X-App' => 'good' }));
    my $next = $c->response;
    is $next->{status}, 200, "$format: body discarded, connection kept";
}

$c = $t->connect;
$c->send("POST /bkapi HTTP/1.1\r\nHost: a\r\nX-App: demo\r\n"
       . "Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n");
is $c->response->{status}, 403, 'no body is asked for: no 100 Continue';

# a cold key suspends the request: pipelining and bodies meanwhile

$redis->grant('smoke', undef, "cold$_", $now + 1000) for 1 .. 20;
$c = $t->connect;
$c->send(join '', map { Perm::Http->text('/upload', method => 'POST',
    body => 'y' x 20000, headers => { 'X-App' => "cold$_" }) } 1 .. 20);
is join(' ', map { ($c->response // {})->{status} // '-' } 1 .. 20),
    join(' ', (200) x 20), '20 POSTs with cold keys, pipelined';


# HTTP/2

my $h2 = Perm::Http2->connect($t->port('h2'));
my $denied = bkapi(@{$cases[0]}[3 .. 5]);

for my $round (1, 2) {
    $r = $h2->response($h2->request('/bkapi', headers => { 'X-App' => 'good' }));
    is $r->{status}, 200, 'HTTP/2: allowed';
    is $r->{body}, "backend /bkapi\n", 'HTTP/2: the backend answers';

    $r = $h2->response($h2->request('/bkapi', headers => { 'X-App' => 'demo' }));
    is $r->{status}, 403, 'HTTP/2: denied';
    is $r->{body}, $denied, 'HTTP/2: body';

    $r = $h2->response($h2->request('/bkapi', method => 'HEAD',
                                    headers => { 'X-App' => 'demo' }));
    is $r->{status}, 403, 'HTTP/2 HEAD: denied';
    is $r->{body}, '', 'HTTP/2 HEAD: no body';

    $r = $h2->response($h2->request('/bkapi', method => 'POST',
        body => 'x' x 40000, headers => { 'X-App' => 'demo' }));
    is $r->{status}, 403, 'HTTP/2 POST: denied';
    is $r->{body}, $denied, 'HTTP/2 POST: body';

    # the body comes after the answer

    my $id = $h2->request('/bkapi', method => 'POST', open => 1,
                          headers => { 'X-App' => 'demo' });
    $r = $h2->response($id);
    is $r->{status}, 403, 'HTTP/2: denied before the body came';
    $h2->data($id, 'late', 1);

    # cold keys suspend; many streams at once

    my @ids = map { $h2->request('/bkapi', method => 'POST', body => 'z' x 500,
        headers => { 'X-App' => "cold$_.h2.$round" }) } 1 .. 20;
    is join(' ', map { $h2->response($_)->{status} } @ids),
        join(' ', (403) x 20), 'HTTP/2: 20 streams with cold keys';
}

# clients that give up while their key is looked up

for (1 .. 5) {
    my $gone = Perm::Http2->connect($t->port('h2'));
    my $id = $gone->request('/bkapi', headers => { 'X-App' => "left$_" });
    $gone->frame(3, 0, $id, pack 'N', 8);
    undef $gone;
}
$r = $h2->response($h2->request('/bkapi', headers => { 'X-App' => 'good' }));
is $r->{status}, 200, 'HTTP/2: others go on';
undef $h2;


# error_page works with "off", and only there

$r = $t->get('/page', app => 'demo');
is $r->{body}, "see the manual\n", 'error_page: its page';
is $r->{status}, 200, 'error_page: its status';
$r = $t->get('/named', app => 'demo');
is $r->{body}, "named\n", 'error_page: a named location';
$r = $t->get('/bkapi_page', app => 'demo');
is $r->{body}, bkapi(@{$cases[0]}[3 .. 5]), 'bkapi: the answer stays';


# X-App-Permission-Expires-In

my $left = $now + 1000 - time;
$r = $t->get('/expires', app => 'good');
my $in = $r->{headers}{'x-app-permission-expires-in'};
ok defined $in && $in =~ /^\d+$/ && $in <= $left && $in >= $left - 5,
    'seconds of the grant' or diag $in;
ok !exists $t->get('/expires', app => 'ever')
    ->{headers}{'x-app-permission-expires-in'}, 'none when permanent';
ok !exists $t->get('/expires', app => 'demo')
    ->{headers}{'x-app-permission-expires-in'}, 'none when denied';
ok !exists $t->get('/expires/open', app => 'good')
    ->{headers}{'x-app-permission-expires-in'}, 'none when open';
ok !exists $t->get('/expires/dry', app => 'demo')
    ->{headers}{'x-app-permission-expires-in'}, 'none when dry run denied';
ok !exists $t->get('/bkapi', app => 'good')
    ->{headers}{'x-app-permission-expires-in'}, 'off by default';
$r = $t->get('/bkapi', app => 'good');
is $r->{body}, "backend /bkapi\n", 'allowed: the backend answers';
ok !(grep { /bkapi/i } keys %{$r->{headers}}), '... without our headers';


# without Redis: 503

$redis->stop;
$r = $t->get('/bkapi', app => 'unheard-of');
is $r->{status}, 503, 'unavailable: status';
is $r->{body}, bkapi(1650300, 'SERVICE_UNAVAILABLE',
    'Service Unavailable [reason="permission lookup failed"]'),
    'unavailable: body';
is $r->{headers}{'x-bkapi-error-code'}, 1650300, 'unavailable: code';
$r = $t->get('/problem', app => 'unheard-of');
is $r->{status}, 503, 'unavailable: problem';
is decode_json($r->{body})->{type}, 'urn:app-permission:unavailable',
    'unavailable: urn';

$t->done;

#!/usr/bin/perl

# What the caller sees: status, headers and body to the byte.

use Perm::Http2;
use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $now = int time;

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

        location /help {
            app_permission_help
                https://x.test/apply?gateway=smoke&app=$http_x_app&v=$arg_v;
            proxy_pass %%BACKEND%%;

            location /help/problem { app_permission_error problem;
                                     proxy_pass %%BACKEND%%; }
            location /help/off     { app_permission_error off;
                                     proxy_pass %%BACKEND%%; }
            location /help/dry     { app_permission_dry_run on;
                                     proxy_pass %%BACKEND%%; }
            location /help/none    { app_permission_help "";
                                     app_permission_error problem;
                                     proxy_pass %%BACKEND%%; }
            location /help/bad     { app_permission_help $http_x_where;
                                     app_permission_error problem;
                                     proxy_pass %%BACKEND%%; }
            location /help/again   { app_permission_error off;
                                     error_page 403 /help/denied;
                                     proxy_pass %%BACKEND%%; }
            location /help/denied  { proxy_pass %%BACKEND%%; }
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
        location /upload { client_max_body_size 10m; proxy_pass %%BACKEND%%; }
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

my $denied = bkapi(@{$cases[0]}[3 .. 5]);
my $type = 'application/json; charset=utf-8';

sub header { $_[0]{headers}{lc $_[1]} }

for (@cases) {
    my ($app, $path, $status, $code, $name, $message, $reason) = @$_;

    subtest "$reason: bkapi" => sub {
        my $r = $t->get($path, app => $app);
        is $r->{status}, $status, 'status';
        is $r->{body}, bkapi($code, $name, $message), 'body';
        is header($r, 'Content-Type'), $type, 'type';
        is header($r, 'X-Bkapi-Error-Code'), $code, 'code';
        is header($r, 'X-Bkapi-Error-Message'), $message, 'message';
        is_deeply json($r->{body}), { code => $code, code_name => $name,
            message => $message, data => undef, result => JSON::PP::false },
            'the members, read back';

        my $head = $t->get($path, app => $app, method => 'HEAD');
        is $head->{status}, $status, 'HEAD';
        is $head->{body}, '', 'HEAD has no body';
        is header($head, 'X-Bkapi-Error-Code'), $code, 'HEAD has the headers';
        is header($head, 'Content-Length'), length $r->{body},
            'HEAD says how long the body is';
    };

    subtest "$reason: problem, as in RFC 9457" => sub {
        my $r = $t->get($status == 500 ? '/bad/problem' : '/problem',
                        app => $app);
        is $r->{status}, $status, 'status';
        is header($r, 'Content-Type'), 'application/problem+json', 'type';
        my $p = eval { json($r->{body}) } // {};
        is $p->{type}, "urn:app-permission:$reason", 'urn';
        is $p->{status}, $status, 'status';
        ok length $p->{title} && length $p->{detail}, 'title and detail';
        is $p->{app}, $reason !~ /app$/ ? $app : undef, 'app where known';
        is $p->{gateway}, 'smoke', 'gateway';
        is $p->{resource}, $status == 500 ? undef : 'get_user',
            'resource where known';
        unlike $r->{raw}, qr/evil/, 'what is not valid is not echoed';
        is header($r, 'X-Bkapi-Error-Code'), undef, 'no bkapi headers';
    };

    subtest "$reason: the bare status" => sub {
        my $r = $t->get($status == 500 ? '/bad/off' : '/off', app => $app);
        is $r->{status}, $status, 'off';
        like $r->{body}, qr/<html>/, 'nginx\'s own page';
        is header($r, 'X-Bkapi-Error-Code'), undef, 'no headers';
    };
}


subtest 'versions' => sub {
    is header($t->get('/charset', app => 'demo'), 'Content-Type'), $type,
        'the type with "charset" around it';

    my $c = $t->connect;
    $c->send("GET /bkapi HTTP/1.0\r\nX-App: demo\r\n\r\n");
    my $r = $c->response;
    is $r->{status}, 403, 'HTTP/1.0';
    is $r->{body}, $denied, 'HTTP/1.0 body';
    ok $c->closed, 'HTTP/1.0 connection is closed';
};


for my $format ('/bkapi', '/problem', '/off') {
    subtest "$format: kept connections" => sub {
        my $c = $t->connect;
        for (1 .. 3) {
            is ask('demo', $format, $c)->response->{status}, 403, 'denied';
            is ask('good', $format, $c)->response->{status}, 200, 'allowed';
        }

        # bodies nobody reads

        my $good = Perm::Http->text($format, app => 'good');
        $c->send(Perm::Http->text($format, method => 'POST', app => 'demo',
                                  body => 'x' x 5000) . $good);
        is $c->response->{status}, 403, 'POST, denied';
        is $c->response->{status}, 200, 'the next, pipelined';

        $c->send("POST $format HTTP/1.1\r\nHost: a\r\nX-App: demo\r\n"
               . "Transfer-Encoding: chunked\r\n\r\n");
        is $c->response->{status}, 403, 'denied before the body came';
        $c->send("5\r\nhello\r\n0\r\n\r\n$good");
        is $c->response->{status}, 200, 'body discarded, connection kept';
    };
}


subtest 'bodies' => sub {
    my $c = $t->connect;
    $c->send("POST /bkapi HTTP/1.1\r\nHost: a\r\nX-App: demo\r\n"
           . "Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n");
    is $c->response->{status}, 403, 'no body is asked for: no 100 Continue';

    # a cold key suspends the request: pipelining and bodies meanwhile

    $redis->grant('smoke', undef, "cold$_", $now + 1000) for 1 .. 20;
    $c = $t->connect;
    $c->send(join '', map { Perm::Http->text('/upload', method => 'POST',
        body => 'y' x 20000, app => "cold$_") } 1 .. 20);
    is join(' ', map { ($c->response // {})->{status} // '-' } 1 .. 20),
        join(' ', (200) x 20), '20 POSTs with cold keys, pipelined';
};


my $h2 = Perm::Http2->connect($t->port('h2'));

for my $round (1, 2) {
    subtest "HTTP/2, round $round" => sub {
        my $r = $h2->get('/bkapi', app => 'good');
        is $r->{status}, 200, 'allowed';
        is $r->{body}, "backend /bkapi\n", 'the backend answers';

        for (['GET', $denied], ['HEAD', ''],
             ['POST', $denied, body => 'x' x 40000])
        {
            my ($method, $body, @more) = @$_;
            $r = $h2->get('/bkapi', app => 'demo', method => $method, @more);
            is $r->{status}, 403, "$method: denied";
            is $r->{body}, $body, "$method: body";
        }

        # the body comes after the answer

        my $id = $h2->request('/bkapi', method => 'POST', open => 1,
                              app => 'demo');
        is $h2->response($id)->{status}, 403, 'denied before the body came';
        $h2->data($id, 'late', 1);

        # cold keys suspend; many streams at once

        my @ids = map { $h2->request('/bkapi', method => 'POST',
            body => 'z' x 500, app => "cold$_.h2.$round") } 1 .. 20;
        is join(' ', map { $h2->response($_)->{status} } @ids),
            join(' ', (403) x 20), '20 streams with cold keys';
    };
}

subtest 'HTTP/2 clients that give up while their key is looked up' => sub {
    for (1 .. 5) {
        my $gone = Perm::Http2->connect($t->port('h2'));
        my $id = $gone->request('/bkapi', app => "left$_");
        $gone->frame(3, 0, $id, pack 'N', 8);
    }
    is $h2->get('/bkapi', app => 'good')->{status}, 200, 'others go on';
    undef $h2;
};


subtest 'error_page works with "off", and only there' => sub {
    my $r = $t->get('/page', app => 'demo');
    is $r->{body}, "see the manual\n", 'its page';
    is $r->{status}, 200, 'its status';
    is $t->get('/named', app => 'demo')->{body}, "named\n", 'a named location';
    is $t->get('/bkapi_page', app => 'demo')->{body}, $denied,
        'bkapi: the answer stays';
};


subtest 'X-App-Permission-Expires-In' => sub {
    my $in = sub { header($t->get($_[0], app => $_[1]),
                          'X-App-Permission-Expires-In') };
    my $left = $now + 1000 - int time;
    my $got = $in->('/expires', 'good');
    ok defined $got && $got =~ /^\d+$/ && $got <= $left && $got >= $left - 5,
        'seconds of the grant' or diag $got;
    for (['/expires', 'ever', 'permanent'], ['/expires', 'demo', 'denied'],
         ['/expires/open', 'good', 'open'], ['/bkapi', 'good', 'not asked for'],
         ['/expires/dry', 'demo', 'dry run denied'])
    {
        is $in->(@$_), undef, "none when $_->[2]";
    }
};


subtest 'allowed' => sub {
    my $r = $t->get('/bkapi', app => 'good');
    is $r->{body}, "backend /bkapi\n", 'the backend answers';
    ok !(grep { /bkapi/i } keys %{$r->{headers}}), '... without our headers';
};



subtest 'where to apply' => sub {
    my $apply = 'https://x.test/apply?gateway=smoke&app=%s&v=%s';
    my $link = sub { sprintf "<$apply>; rel=\"help\"", @_ };

    for my $app ('nobody', 'gone', 'gone.resource') {
        my $r = $t->get('/help?v=1', app => $app);
        is $r->{headers}{link}, $link->($app, 1), "header, $app";
        is json($r->{body})->{help}, undef, 'bkapi has its members only';

        $r = $t->get('/help/problem?v=2', app => $app);
        is $r->{headers}{link}, $link->($app, 2), 'problem has the header';
        is json($r->{body})->{help}, sprintf($apply, $app, 2), 'and a member';
    }

    is $t->get('/help/off?v=3', app => 'nobody')->{headers}{link},
        $link->('nobody', 3), 'a bare status has the header';
    is $t->get('/help/dry', app => 'nobody')->{headers}{link}, undef,
        'not in a dry run';
    is $t->get('/help', app => 'good')->{headers}{link}, undef, 'not allowed';
    is $t->get('/help')->{headers}{link}, undef, 'not without an app';
    is $t->get('/help', app => 'a b')->{headers}{link}, undef,
        'not of an invalid app';

    my $r = $t->get('/help/none', app => 'nobody');
    is $r->{headers}{link}, undef, 'nor where the value is empty';
    is json($r->{body})->{help}, undef, 'no member either';

    $r = $t->get('/help/again', app => 'nobody');
    is scalar(grep { lc $_->[0] eq 'link' } @{$r->{fields}}), 1,
        'once, where error_page leads to another denial';

    $t->mark;
    for my $odd ('http://a/%zz', 'http://a/%4', 'a>b', 'http://a/#b#c', '1:b',
                 'a"b', "a\\b", "\xc3\xa9") {
        $r = $t->get('/help/bad', app => 'nobody',
                     headers => { 'X-Where' => $odd });
        is $r->{headers}{link}, undef, "no header for $odd";
        is json($r->{body})->{help}, undef, 'no member';
    }
    is scalar($t->new_lines(qr/"app_permission_help \$http_x_where" gave "/)), 1,
        'logged once';

    for my $good ('/a', 'a/b:c', '?q', '#f', 'mailto:a@b', 'http://[::1]/%41') {
        $r = $t->get('/help/bad', app => 'nobody',
                     headers => { 'X-Where' => $good });
        is $r->{headers}{link}, "<$good>; rel=\"help\"", "header for $good";
        is json($r->{body})->{help}, $good, 'member';
    }
};


subtest 'without Redis: 503' => sub {
    $redis->stop;
    my $r = $t->get('/bkapi', app => 'unheard-of');
    is $r->{status}, 503, 'status';
    is $r->{body}, bkapi(1650300, 'SERVICE_UNAVAILABLE',
        'Service Unavailable [reason="permission lookup failed"]'), 'body';
    is header($r, 'X-Bkapi-Error-Code'), 1650300, 'code';
    $r = $t->get('/problem', app => 'unheard-of');
    is $r->{status}, 503, 'problem';
    is json($r->{body})->{type}, 'urn:app-permission:unavailable', 'urn';
};

done_testing;

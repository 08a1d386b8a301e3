#!/usr/bin/perl

# conf.d/decide: what Envoy, Traefik, Caddy, APISIX and nginx send, as their
# documentation says, and what they get.

use Perm::Test;
use Perm::Http2;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $dir = $t->dir;

$redis->grant('smoke', 'get_user', 'demo', 4102444800)
      ->grant('smoke', 'create_order', 'demo', 4102444800)
      ->grant('smoke', 'get_user', 'late', int(time) - 10);

system("mkdir -p $dir/conf.d && cp -r $Perm::Test::ROOT/conf.d/decide $dir/conf.d")
    and die;

sub sample {
    my ($name) = @_;
    my $text = slurp("$Perm::Test::ROOT/conf.d/decide/$name");
    $text =~ s/127\.0\.0\.1:8086/unix:%%DIR%%\/backend.sock/g;
    $text =~ s/\b808(\d)\b/%%PORT_sample$1%%/g;
    $text =~ s/\$ssl_client_s_dn\b/\$http_x_verified/;
    return $text;
}

my $decide = sample('decide.conf')
    =~ s/(listen )127\.0\.0\.1:%%PORT_sample8%%;/$1 127.0.0.1:%%PORT_sample8%%; $1 127.0.0.1:%%PORT_h2%% http2;/r;

$t->nginx(setup => "app_permission_redis %%REDIS%%;\n",
    server => 'location = /a { empty_gif; }',
    servers => $decide . sample('auth_request.conf'));
$t->up;

my $port = $t->port('sample8');


# Each gateway's own request about a call: method, URI, verified app, body, and
# headers of the caller that it passes on

my %ask = (
    envoy => sub {
        my ($method, $uri, $app, $body, @more) = @_;
        return "$method /envoy$uri HTTP/1.1\r\nhost: api.example.org\r\n"
            . (defined $app ? "x-app: $app\r\n" : '')
            . 'content-length: ' . length($body) . "\r\n"
            . "x-envoy-internal: true\r\nx-forwarded-for: 192.0.2.1\r\n"
            . "x-envoy-expected-rq-timeout-ms: 2000\r\n\r\n$body";
    },
    traefik => sub {
        my ($method, $uri, $app, $body) = @_;
        return "GET /forward HTTP/1.1\r\nHost: 127.0.0.1:8088\r\n"
            . "User-Agent: Go-http-client/1.1\r\n"
            . ($body ne '' ? 'Content-Length: ' . length($body) . "\r\n" : '')
            . (defined $app ? "X-App: $app\r\n" : '')
            . "X-Forwarded-For: 192.0.2.1\r\n"
            . "X-Forwarded-Host: api.example.org\r\n"
            . "X-Forwarded-Method: $method\r\nX-Forwarded-Port: 443\r\n"
            . "X-Forwarded-Proto: https\r\nX-Forwarded-Server: gw\r\n"
            . "X-Forwarded-Uri: $uri\r\nX-Real-Ip: 192.0.2.1\r\n"
            . "Accept-Encoding: gzip\r\n\r\n$body";
    },
    caddy => sub {
        my ($method, $uri, $app, $body, @more) = @_;
        return "GET /forward HTTP/1.1\r\nHost: example.org\r\n"
            . "User-Agent: curl/8.5.0\r\n"
            . join('', map { "$_\r\n" } @more) . "Accept: */*\r\n"
            . (defined $app ? "X-App: $app\r\n" : '')
            . ($body ne '' ? "Transfer-Encoding: chunked\r\n" : '')
            . "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: example.org\r\n"
            . "X-Forwarded-Method: $method\r\nX-Forwarded-Proto: https\r\n"
            . "X-Forwarded-Uri: $uri\r\n\r\n"
            . ($body ne '' ? sprintf "%x\r\n%s\r\n0\r\n\r\n", length $body,
                             $body : '');
    },
    apisix => sub {
        my ($method, $uri, $app, $body) = @_;
        my %resource = ('GET /users/' => 'get_user',
                        'POST /orders' => 'create_order');
        my ($to) = grep { index("$method $uri", $_) == 0 } keys %resource;
        return ($body ne '' ? 'POST' : 'GET') . " /apisix HTTP/1.1\r\n"
            . "X-Forwarded-Host: api.example.org\r\n"
            . "X-Forwarded-Uri: $uri\r\nX-Forwarded-Method: $method\r\n"
            . "X-Forwarded-Proto: http\r\nX-Forwarded-For: 192.0.2.1\r\n"
            . 'X-App: ' . ($app // '') . "\r\n"
            . 'X-Resource: ' . ($to ? $resource{$to} : '') . "\r\n"
            . ($body ne '' ? 'Content-Length: ' . length($body) . "\r\n" : '')
            . "Host: 127.0.0.1:8088\r\n"
            . "User-Agent: lua-resty-http/0.17.2 (Lua) ngx_lua/10028\r\n"
            . "\r\n$body";
    },
);

my %connection = map { $_ => Perm::Http->connect($port) } keys %ask;

sub told {
    my ($gateway, $method, $uri, $app, $body, @more) = @_;
    my $c = $connection{$gateway};
    $c->send($ask{$gateway}->($method, $uri, $app, $body // '', @more));
    my $r = $c->response($gateway eq 'envoy' ? $method : 'GET') or return 'no answer';
    return join ' ', $r->{status},
        $r->{headers}{'x-app-permission-reason'} // ();
}


for my $gateway (sort keys %ask) {
    subtest $gateway => sub {
        my @call = ($gateway, 'GET', '/users/7');
        is told(@call, 'demo'), '200 resource_grant', 'allowed';
        is told(@call, 'nobody'), '403 no_grant', 'denied';
        is told(@call, 'late'), '403 resource_grant_expired', 'expired';
        is told(@call, undef), '403 no_app', 'no app';
        is told(@call, ''), '403 no_app', 'an empty one';
        is told($gateway, 'GET', '/orders', 'demo'),
            $gateway eq 'apisix' ? '500 bad_config' : '403 no_grant',
            'another resource';
        is told($gateway, 'DELETE', '/users/7', 'demo'), '500 bad_config',
            'a call that is no resource';
        is told($gateway, 'POST', '/orders', 'demo', 'x' x 51200),
            '200 resource_grant', 'a body of 50 KB';
        is told($gateway, 'GET', '/users/7?a=1&a=2&A=3', 'demo'),
            '200 resource_grant', 'the query of the caller does no harm';
        is told($gateway, 'GET',
            '/users/7?gateway=x&resource=y&app=z', 'nobody'),
            '403 no_grant', 'and picks nothing';
        is told(@call, 'demo'), '200 resource_grant', 'on one connection';
    };
}


subtest 'a path that others may read in another way' => sub {
    for my $gateway (qw(envoy traefik caddy)) {
        for my $path ('/orders/../users/7', '/orders/%2e%2e/users/7',
                      '/users/%37', '//users/7', '/x/..//users/7',
                      '/users/7;x=1', '/orders/..', '/orders/./', '/orders\x',
                      '/users/7%3Fx', $gateway eq 'envoy' ? () : '/users/7%00')
        {
            is told($gateway, 'GET', $path, 'demo'), '500 bad_config',
                "$gateway: $path";
        }
    }
    is told('envoy', 'GET', '/users/7?path=/a/../b//c%2F;', 'demo'),
        '200 resource_grant', 'the query may have such things';
};


subtest 'what the caller forges' => sub {
    is told('caddy', 'GET', '/orders', 'nobody', '', 'X-Resource: get_user',
        'X-Gateway: smoke', 'X-Original-URI: /users/7',
        'X-HTTP-Method-Override: GET', 'X-Forwarded-Path: /users/7',
        'X-Bkapi-Authorization: {"bk_app_code":"demo"}'), '403 no_grant',
        'other headers pick nothing';
    is told('caddy', 'GET', '/users/7', 'nobody', '', 'X-App: demo'),
        '403 invalid_app', 'X-App twice is no app, whichever comes first';
    is told('traefik', 'GET', '/users/7', "nobody\r\nX-App: demo"),
        '403 invalid_app', '... in the other order, too';
    is told('envoy', 'GET', '/users/7', 'nobody', ''), '403 no_grant',
        'Envoy sends what is allowed only';

    my $c = Perm::Http->connect($port);
    $c->send("GET /_envoy HTTP/1.1\r\nHost: a\r\nX-App: demo\r\n\r\n");
    is $c->response->{status}, 404, 'the inner location is no way in';
    $c->send("GET /envoy/../envoy/users/7 HTTP/1.1\r\nHost: a\r\n"
             . "X-App: demo\r\n\r\n");
    is $c->response->{status}, 500, 'nor is a path that nginx normalizes';
    $c->send("GET /elsewhere HTTP/1.1\r\nHost: a\r\nX-App: demo\r\n\r\n");
    is $c->response->{status}, 404, 'anything else';
};


subtest 'another nginx asks' => sub {
    my $call = sub {
        my ($uri, $app, %o) = @_;
        return $t->get($uri, port => $t->port('sample9'), method => $o{method},
            body => $o{body}, headers => { %{$o{headers} // {}},
                defined $app ? ('X-Verified' => "CN=$app,O=x") : () })->{status};
    };

    is $call->('/users/7', 'demo'), 200, 'allowed';
    is $call->('/users/7?a=1&a=2', 'demo'), 200, 'with a query';
    is $call->('/orders', 'demo', method => 'POST', body => 'x' x 51200), 200,
        'with a body of 50 KB';
    is $call->('/users/7', 'nobody'), 403, 'denied';
    is $call->('/users/7', undef), 403, 'not verified';
    is $call->('/users/7', undef, headers => { 'X-App' => 'demo' }), 403,
        'X-App of the caller is not passed on';
    is $call->('/orders', 'nobody', headers => {
        'X-Forwarded-Uri' => '/users/7', 'X-Forwarded-Method' => 'GET',
        'X-App' => 'demo' }), 403, 'nor is what it says of the call';
    is $call->('/users/7%2f..', 'demo'), 500, 'no resource';
    is_deeply [grep { /orders|users/ } $t->backend],
        ['/users/7', '/users/7?a=1&a=2', '/orders'],
        'the backend has seen what was allowed';
};


subtest 'HTTP/2, and a gateway that gives up while Redis is late' => sub {
    my $c = Perm::Http2->connect($t->port('h2'));
    is $c->get('/envoy/users/7', app => 'demo')->{status}, 200, 'allowed';
    is $c->get('/envoy/users/7', app => 'nobody')->{status}, 403, 'denied';
    is $c->get('/envoy/orders', app => 'demo', method => 'POST',
        body => 'x' x 30000)->{status}, 200, 'with a body';

    $redis->allow('kept');
    $t->settled;
    $redis->pause;

    my @ids = map { $c->request('/envoy/users/7', app => "late-$_") } 1 .. 5;
    my $kept = $c->request('/envoy/users/7', app => 'kept');
    $c->frame(3, 0, $_, pack 'N', 8) for @ids;          # RST_STREAM, CANCEL
    Perm::Http->connect($port)->send(
        $ask{$_}->('GET', '/users/7', 'left', '')) for sort keys %ask;

    $redis->resume;
    is $c->response($kept)->{status}, 200, 'the other streams go on';
    is $c->get('/envoy/users/7', app => 'late-1')->{status}, 403,
        'and so does the connection';
    is told('traefik', 'GET', '/users/7', 'left'), '403 no_grant',
        'nobody is let in for it';
};


subtest 'Redis is away' => sub {
    $redis->stop;
    $t->down;
    for my $gateway (sort keys %ask) {
        is told($gateway, 'GET', '/users/7', 'unknown'), '503 unavailable',
            "$gateway: no answer is no permission";
        is told($gateway, 'GET', '/users/7', 'demo'), '200 resource_grant',
            '... and what is known decides';
    }
    is $t->get('/users/7', port => $t->port('sample9'),
        headers => { 'X-Verified' => 'CN=unknown' })->{status}, 500, 'nginx';
};


# The gateways' own files say no to the switch that would open the gate.

subtest 'the samples keep the gate shut' => sub {
    my %no = ('envoy.yaml' => 'failure_mode_allow: true',
              'traefik.yml' => 'trustForwardHeader: true',
              'apisix.yaml' => 'allow_degradation: true');

    for my $file (sort keys %no) {
        my $text = slurp("$Perm::Test::ROOT/conf.d/decide/$file");
        (my $set = $text) =~ s/^\s*#.*$//mg;
        like $text, qr/^# .*\Q$no{$file}\E would open the gate/m,
            "$file warns of it";
        unlike $set, qr/\Q$no{$file}\E/, '... and has it not';
    }
};

done_testing;

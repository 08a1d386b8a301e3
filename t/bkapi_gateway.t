#!/usr/bin/perl

# conf.d/bkapi/bkapi.conf, as a client with BK_API_URL_TMPL meets it: what the
# SDKs send, and what they read off the answers.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $dir = $t->dir;
my $now = int time;

$redis->grant('smoke/prod', 'get_user', 'demo', $now + 1000)
      ->grant('smoke/prod', 'upload', 'demo', $now + 1000)
      ->grant('smoke/prod', 'broken', 'demo', $now + 1000)
      ->grant('smoke/prod', 'stream', 'demo', $now + 1000)
      ->grant('smoke/prod', undef, 'over', $now - 1000);

my $conf = slurp("$Perm::Test::ROOT/conf.d/bkapi/bkapi.conf");
$conf =~ s{include conf\.d/bkapi/}{include $dir/}g;
$conf =~ s/\b808(\d)\b/%%PORT_b$1%%/g;

spew("$dir/policies.map", "smoke/prod/ping open;\n");
spew("$dir/resources.conf", <<'EOT');
map "$request_method $uri" $bk_resource {
    volatile;
    default "";
    "~^GET /api/smoke/prod/ping/?$" ping;
    "~^(?:GET|HEAD) /api/smoke/prod/users/[^/]+/?$" get_user;
    "~^POST /api/smoke/prod/files/?$" upload;
    "~^GET /api/smoke/prod/broken/?$" broken;
    "~^GET /api/smoke/prod/stream/?$" stream;
}
EOT

# the authentication service knows the secret of each app

$t->nginx(setup => 'app_permission_redis %%REDIS%%;', http => $conf
    . <<'HTTP', servers => <<'EOT');
    map $http_x_bkapi_authorization $verified {
        default "wrong";
        "" "";
        "~\"bk_app_code\": ?\"(?<code>[a-z]+)\".*\"bk_app_secret\": ?\"s3cret\""
            $code;
    }
HTTP
    server {
        listen 127.0.0.1:%%PORT_b7%%;
        location / {
            if ($verified = wrong) { return 401; }
            add_header X-Bk-App-Code $verified;
            return 200;
        }
    }
    server {
        listen 127.0.0.1:%%PORT_b6%%;
        default_type application/json;
        location / {
            add_header X-Seen-App $http_x_bkapi_app_code;
            add_header X-Seen-Credentials "[$http_x_bkapi_authorization]";
            add_header X-Seen-Id $http_x_bkapi_request_id;
            return 200 '{"uri":"$uri"}';
        }
        location /api/smoke/prod/broken { return 444; }
        location /api/smoke/prod/stream {
            root %%DIR%%;
            rewrite ^ /stream break;
        }
    }
EOT
spew("$dir/stream", join '', map { "data: $_\n\n" } 1 .. 20000);
$t->up;

# as the SDKs do: BK_API_URL_TMPL, then the stage and the path

sub call {
    my ($path, $app, %o) = @_;
    my $url = 'http://gateway/api/{api_name}/' =~ s/\{api_name\}/smoke/r
        . "prod/$path";
    my ($uri) = $url =~ m{^http://gateway(/.*)$};
    my $r = $t->get($uri, port => $t->port('b5'), %o, headers => {
        defined $app ? ('X-Bkapi-Authorization' => sprintf(
            '{"bk_app_code": "%s", "bk_app_secret": "%s"}', $app,
            $o{secret} // 's3cret')) : (),
        'Content-Type' => 'application/json', %{$o{headers} // {}} });
    $r->{id} = $r->{headers}{'x-bkapi-request-id'};
    return $r;
}

# what an SDK makes of it: '' or "code message" of its gateway error

sub gateway_error {
    my ($r) = @_;
    my $code = $r->{headers}{'x-bkapi-error-code'} // '';
    return $code eq '' ? ''
        : "$code $r->{headers}{'x-bkapi-error-message'}";
}

sub error_is {
    my ($r, $status, $code, $name, $message, $what) = @_;
    is $r->{status}, $status, "$what: status";
    is gateway_error($r), "$code $message", 'the SDK raises its error';
    is_deeply json($r->{body}), { code => $code, code_name => $name,
        message => $message, result => JSON::PP::false, data => undef },
        'the body says the same';
    like $r->{id}, qr/^[0-9a-f]{32}$/, 'a request id';
}


subtest 'allowed' => sub {
    for my $path ('users/7/', 'users/7') {
        my $r = call($path, 'demo');
        is $r->{status}, 200, $path;
        is gateway_error($r), '', 'no error';
        is json($r->{body})->{uri}, "/api/smoke/prod/$path", 'the backend\'s';
        is $r->{headers}{'x-seen-app'}, 'demo', 'which knows the app';
        is $r->{headers}{'x-seen-credentials'}, '[]', 'not its secret';
        is $r->{headers}{'x-seen-id'}, $r->{id}, 'and the request id';
    }

    is call('files/', 'demo', method => 'POST', body => '{"a":1}')->{status},
        200, 'POST';
    is call('ping/', 'nobody')->{status}, 200, 'an open resource';
    is call('ping/', undef)->{status}, 200, 'also without credentials';

    my $r = call('stream/', 'demo');
    is length $r->{body}, -s "$dir/stream", 'a stream';
};


subtest 'refused' => sub {
    my $text = 'App has no permission to the resource';
    error_is(call('users/7/', 'nobody'), 403, 1640301, 'APP_NO_PERMISSION',
        "$text [reason=\"no permission, bk_app_code=nobody\"]", 'no grant');
    error_is(call('users/7/', 'over'), 403, 1640301, 'APP_NO_PERMISSION',
        "$text [reason=\"permission has expired, type=gateway_permission, "
        . 'bk_app_code=over"]', 'expired');
    error_is(call('users/7/', undef), 403, 1640301, 'APP_NO_PERMISSION',
        "$text [reason=\"no app code\"]", 'no credentials');
    error_is(call('users/7/', 'demo', secret => 'guess'), 400, 1640001,
        'INVALID_ARGS',
        'Parameters error [reason="the app could not be verified"]',
        'a wrong secret');
    error_is(call('nosuch/', 'demo'), 404, 1640401, 'API_NOT_FOUND',
        'API not found', 'no such resource');
    error_is(call('../../../elsewhere', 'demo'), 404, 1640401,
        'API_NOT_FOUND', 'API not found', 'elsewhere');
    error_is(call('broken/', 'demo'), 500, 1650001, 'INTERNAL_SERVER_ERROR',
        'Internal Server Error', 'a broken backend');

    my $r = call('users/7/', 'nobody', method => 'HEAD');
    is $r->{status}, 403, 'HEAD';
    like gateway_error($r), qr/^1640301 /, 'has the headers';
    like $r->{id}, qr/^[0-9a-f]{32}$/, 'and a request id';
};


subtest 'Redis is away' => sub {
    $redis->stop;
    $t->down;
    error_is(call('users/7/', 'unknown'), 503, 1650300, 'SERVICE_UNAVAILABLE',
        'Service Unavailable [reason="permission lookup failed"]',
        'an app that nobody knows');
    is call('users/7/', 'demo')->{status}, 200, 'what is known goes on';
};

done_testing;

#!/usr/bin/perl

# A request moves on to another location: it is checked there, by what holds
# there, and nothing of the check before is left.  Nor is anything of a check
# left to the location it is in.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $ends = int(time) + 1000;

$redis->grant('smoke', 'b', 'demo', $ends)
      ->grant('smoke', 'realname', 'real', $ends)
      ->grant('smoke', 'p', 'other', $ends);

# the map is not "volatile", and its regular expressions have captures

$t->nginx(server => <<'EOT', http => <<'HTTP');
        add_header X-Decision
 "$app_permission_decision/$app_permission_reason/$resource" always;
        add_header X-Code "[$app_permission_bkapi_app_code]" always;
        app_permission $policy;
        app_permission_resource $resource;
        app_permission_expires_header on;
        set $resource "";

        location /open    { set $resource a; try_files /none /b; }
        location /off     { set $resource o; try_files /none /b; }
        location /error   { set $resource a; error_page 404 /b;
                            root %%DIR%%/none; }
        location /b       { set $resource b; proxy_pass %%BACKEND%%; }
        location /back    { set $resource b; try_files /none /free; }
        location /free    { set $resource o; proxy_pass %%BACKEND%%; }
        location /twice   { set $resource b; try_files /none /b; }
        location /leave   { set $resource b; error_page 404 /c;
                            root %%DIR%%/none; }
        location /c       { set $resource c; proxy_pass %%BACKEND%%; }
        location = /by    { app_permission $by_uri;
                            app_permission_resource $resource_of_uri;
                            try_files /none /by/b; }
        location = /by/b  { app_permission $by_uri;
                            app_permission_resource $resource_of_uri;
                            proxy_pass %%BACKEND%%; }
        location = /auth  { app_permission $granted;
                            app_permission_resource b;
                            auth_request /who;
                            auth_request_set $granted $upstream_http_x_policy;
                            proxy_pass %%BACKEND%%; }
        location = /early { app_permission $granted;
                            app_permission_resource $named;
                            set $key "[$granted$named]";
                            auth_request /who;
                            auth_request_set $granted $upstream_http_x_policy;
                            auth_request_set $named $upstream_http_x_resource;
                            try_files /none /early/b; }
        location = /early/b { app_permission $granted;
                            app_permission_resource $named;
                            proxy_pass %%BACKEND%%; }
        location = /over  { app_permission $over; app_permission_resource b;
                            set $key "[$over]";
                            auth_request /who;
                            auth_request_set $over $upstream_http_x_policy;
                            try_files /none /over/b; }
        location = /over/b { app_permission $over; app_permission_resource b;
                            proxy_pass %%BACKEND%%; }
        location = /unset { app_permission off; try_files /none /unset/b; }
        location = /unset/b { app_permission $unset;
                            app_permission_resource b;
                            auth_request /who;
                            auth_request_set $unset $upstream_http_x_missing;
                            proxy_pass %%BACKEND%%; }
        location = /empty { app_permission $empty; app_permission_resource b;
                            try_files /none /empty/b; }
        location = /empty/b { app_permission $empty;
                            app_permission_resource b;
                            proxy_pass %%BACKEND%%; }
        location = /set   { set $assigned open; app_permission $assigned;
                            app_permission_resource b;
                            try_files /none /set/b; }
        location = /set/b { app_permission $assigned;
                            app_permission_resource b;
                            proxy_pass %%BACKEND%%; }
        location = /who   { internal; app_permission off;
                            proxy_pass http://127.0.0.1:%%PORT_who%%; }

        location ~ ^/api/(\w+)$ {
            app_permission $by_pattern;
            app_permission_resource $1;
            add_header X-Capture "[$1]" always;
            add_header X-Decision
     "$app_permission_decision/$app_permission_reason/" always;
            proxy_pass %%BACKEND%%;
        }
        location ~ ^/prefix/(\w+)$ { app_permission required;
                            app_permission_resource $no_match$1;
                            proxy_pass %%BACKEND%%; }
        location ~ ^/default/(\w+)$ { app_permission required;
                            app_permission_resource $of_location;
                            proxy_pass %%BACKEND%%; }
EOT
    map $resource $policy { a open; o off; default required; }
    map $uri $by_uri { /by open; default required; }
    map $uri $resource_of_uri { volatile; /by a; default b; }
    map $uri $over { default off; }
    map $uri $unset { default required; }
    map $uri $empty { /empty open; default ""; }
    map $uri $no_match { default real; ~^/a(.)i x; }
    map $uri $of_location { default $1; ~^/a(.)i x; }
    map $uri $by_pattern { default off; ~^/a(.)i required; }
    server {
        listen 127.0.0.1:%%PORT_who%%;
        location / { add_header X-Policy required;
                     add_header X-Resource b; return 200; }
    }
HTTP
ok $t->settled, 'ready';

sub headers {
    my ($name, $uri, $app) = @_;
    return map { $_->[1] } grep { lc $_->[0] eq lc $name }
        @{$t->get($uri, app => $app)->{fields}};
}


subtest 'it asks where it goes' => sub {
    is outcome('nobody', '/b'), '403 deny/no_grant/b', 'asks for a grant';
    is outcome('demo', '/b'), '200 allow/resource_grant/b', '... and has it';

    for ('/open', '/off', '/error') {
        is outcome('nobody', $_), '403 deny/no_grant/b',
            "from $_ to there: it asks, too";
        like outcome('demo', $_), qr{^\d+ allow/resource_grant/b$},
            '... and has it';
    }
    is outcome('nobody', '/back'), '403 deny/no_grant/b',
        'what is asked for first is asked for';
    is outcome('nobody', '/by'), '403 deny/no_grant/',
        'maps of the URI: those of where it goes';
    is outcome('demo', '/by'), '200 allow/resource_grant/', '... and has it';
};


subtest 'a policy that a subrequest gave stays' => sub {
    for ('/auth', '/early', '/over') {
        is outcome('nobody', $_), '403 deny/no_grant/', "$_: denied";
        is outcome('demo', $_), '200 allow/resource_grant/',
            '... allowed with a grant';
    }
    for ('/unset', '/empty') {
        is outcome('demo', "$_/b"), '500 fail/bad_config/', "$_: no policy";
        is outcome('demo', $_), '500 fail/bad_config/', "... nor from $_";
    }
};


subtest 'so does one that "set" gave' => sub {
    is outcome('nobody', '/set'), '200 allow/open/', 'allowed';
    is scalar($t->log_lines(qr/uninitialized "assigned"/)), 0,
        'nothing is logged of the variable';
};


subtest 'the header says when the grant ends that allowed' => sub {
    my $header = 'X-App-Permission-Expires-In';
    is scalar(my @once = headers($header, '/twice', 'demo')), 1,
        'allowed twice: one header';
    is scalar(@once = headers($header, '/b', 'demo')), 1,
        '... as when it is allowed once';
    is outcome('demo', '/leave/x'), '403 deny/no_grant/c',
        'allowed, and denied where it went';
    is_deeply [headers($header, '/leave/x', 'demo')], [],
        '... without the header';
};


subtest '$1 is the location\'s, whatever a map found meanwhile' => sub {
    is outcome('real', '/api/realname'), '200 allow/resource_grant/',
        'the resource is what the location captured';
    is outcome('other', '/api/realname'), '403 deny/no_grant/',
        '... and not what the policy did';
    is_deeply [headers('X-Capture', '/api/realname', 'real')], ['[realname]'],
        '... also behind the check';
    is outcome('real', $_), '200 allow/resource_grant/',
        "... and where a map finds nothing: $_"
        for '/prefix/name', '/default/realname';
};


subtest 'the app code of a header that nothing has verified' => sub {
    my $code = sub {
        my ($uri, $json) = @_;
        return $t->get($uri, app => 'demo', headers => {
            'X-Bkapi-Authorization' => $json })->{headers}{'x-code'};
    };
    my $json = '{"bk_app_code":"demo"}';

    is $code->('/b', $json), '[demo]', 'the one that it names';
    is $code->('/free', $json), '[]', '... empty where the module is off';
    is $code->('/off', $json), '[demo]', '... not where it went from there';
    is $code->('/b', $_), '[]', "not JSON: $_"
        for "\xef\xbb\xbf{\"bk_app_code\":\"demo\"}",
            '{"bk_app_code":"demo","x":}', '{"bk_app_code":"demo"',
            '{"bk_app_code":"demo"}}';
};


subtest 'a request that is none has nginx\'s own answer' => sub {
    my $c = $t->connect;
    $c->send("POST /b HTTP/1.1\r\nHost: a\r\nX-App: nobody\r\n"
             . "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nZZ\r\n");
    my $r = $c->response;
    is $r->{status}, 400, 'a body that is none';
    is_deeply [grep { /^x-bkapi/ } keys %{$r->{headers}}], [],
        '... is not what the app is told of';
};

done_testing;

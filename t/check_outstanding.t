#!/usr/bin/perl

# A request that waits for Redis may be led elsewhere, or its client leave, in
# whichever way nginx has: the answer that comes later meets nobody who is gone.
# Made for AddressSanitizer: "make sanitize TESTS=t/check_outstanding.t".

use Perm::Test;
use Perm::Http2;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $fake = $t->fake_redis(to => $redis);

# "a" is granted and "b" is not, "c" is on a whole gateway

my @apps = map { "app-$_" } 1 .. 3;
$redis->allow(@apps);
$redis->grant('smoke', 'next', $_, int(time) + 3600) for @apps;

mkdir $t->dir . '/ssi';
spew($t->dir . '/ssi/page', join '', map {
    qq(<!--# include virtual="$_?$_" -->)
} qw(/decide /decide/next /next /decide));

$t->nginx(redis => $fake->tcp_url, http => <<'HTTP', server => <<'EOT');
        app_permission_redis_timeout 3s;
        app_permission_cache_valid 0s denied=0s;
        server {
            listen 127.0.0.1:%%PORT_back%%;
            location /jump { add_header X-Accel-Redirect /next; return 200; }
            location /     { return 200 "back"; }
        }
        server {
            listen 127.0.0.1:%%PORT_h2%% http2;
            app_permission_app $http_x_app;
            app_permission_gateway smoke;
            app_permission_resource get_user;
            location / { app_permission required; post_action /after;
                         proxy_pass http://127.0.0.1:%%PORT_back%%; }
            location = /after { internal; app_permission required;
                         app_permission_resource next;
                         proxy_pass http://127.0.0.1:%%PORT_back%%; }
        }
HTTP
        app_permission required;
        location = /next     { app_permission_resource next;
                               proxy_pass http://127.0.0.1:%%PORT_back%%; }
        location = /none     { app_permission_resource none;
                               app_permission_error off; empty_gif; }
        location = /after    { app_permission_resource next;
                               proxy_pass http://127.0.0.1:%%PORT_back%%; }
        location = /error    { app_permission_resource none;
                               app_permission_error off; error_page 403 = /next;
                               empty_gif; }
        location = /error/named { app_permission_resource none;
                               app_permission_error off;
                               error_page 403 = @named; empty_gif; }
        location = /try      { try_files /nothing /next; }
        location = /try/named { try_files /nothing @named; }
        location @named      { app_permission_resource next;
                               proxy_pass http://127.0.0.1:%%PORT_back%%; }
        location = /jump     { proxy_pass http://127.0.0.1:%%PORT_back%%; }
        location = /post     { post_action /after; empty_gif; }
        location = /post/named { post_action @named; empty_gif; }
        location = /post/twice { post_action /post/then; empty_gif; }
        location = /post/then { app_permission_resource next;
                               post_action /after; empty_gif; }
        location = /post/error { app_permission_resource none;
                               app_permission_error off;
                               error_page 403 = /next;
                               post_action /after; empty_gif; }
        location = /rewrite  { auth_request /decide; rewrite ^ /next last; }
        location = /auth     { auth_request /decide; post_action /after;
                               proxy_pass http://127.0.0.1:%%PORT_back%%; }
        location = /auth/error { auth_request /decide/none;
                               error_page 403 = /next;
                               proxy_pass http://127.0.0.1:%%PORT_back%%; }
        location = /mirror   { mirror /after; mirror /decide;
                               post_action /after;
                               proxy_pass http://127.0.0.1:%%PORT_back%%; }
        location = /add      { add_before_body /decide; add_after_body /next;
                               addition_types *; post_action /after;
                               proxy_pass http://127.0.0.1:%%PORT_back%%; }
        location = /ssi/page { ssi on; ssi_types *; root %%DIR%%;
                               post_action /after; }
        location = /body     { post_action /after; client_max_body_size 1m;
                               proxy_pass http://127.0.0.1:%%PORT_back%%; }
        location /decide     { app_permission_decide; }
        location = /decide/next { app_permission_decide;
                               app_permission_resource next; }
        location = /decide/none { app_permission_decide;
                               app_permission_resource none; }
        location = /decide/post { app_permission_decide; post_action /after; }
        location /look       { app_permission_status; post_action /after; }
EOT
ok $t->up, 'up';

my $explain = '/look/explain?gateway=smoke&resource=get_user&app=';
my %status = (
    '/error' => 200, '/error/named' => 200, '/try' => 200, '/try/named' => 200,
    '/jump' => 200, '/post' => 200, '/post/named' => 200, '/post/twice' => 200,
    '/post/error' => 200, '/rewrite' => 200, '/auth' => 200,
    '/auth/error' => 200, '/mirror' => 200, '/add' => 200, '/ssi/page' => 200,
    '/body' => 200, '/decide' => 200, '/decide/none' => 403,
    '/decide/post' => 200, $explain => 200, '/none' => 403,
);

my $DELAY = 0.05;

sub begin {
    my ($uri, $app, $host) = @_;
    my $c = $t->connect;
    my $body = $uri eq '/body' ? 'x' x 5000 : '';
    $c->send("GET $uri" . ($uri eq $explain ? $app : '') . " HTTP/1.1\r\n"
             . "Host: localhost\r\nX-App: $app\r\n"
             . (length $body ? "Content-Length: 5000\r\n" : '')
             . "\r\n$body");
    return $c;
}

# nginx has nothing open but this connection

sub quiet {
    my ($name) = @_;
    ok wait_for(sub { $t->status->{access}{pending} >= 0
                      && $fake->commands(qr/^HMGET \S*grants:/)
                         == $fake->answered(qr/^HMGET \S*grants:/) }, 5), $name;
}


subtest 'clients that stay' => sub {
    $fake->rules({ match => qr/^HMGET \S*grants:/, delay => $DELAY });
    my %open = map { $_ => begin($_, $apps[0]) } sort keys %status;
    is $open{$_}->response->{status}, $status{$_}, $_ for sort keys %status;
    quiet('over');
};


# when the first lookup is on its way, or the second, or just answered

for my $when (0, 0.5, 1, 1.5, 2, 3.1) {
    subtest "clients that leave after $when times the delay" => sub {
        $fake->rules({ match => qr/^HMGET \S*grants:/, delay => $DELAY });
        $fake->forget;
        my @open = map { begin($_, $apps[1]) } sort keys %status;
        my $h2 = Perm::Http2->connect($t->port('h2'));
        my @streams = map { $h2->request('/', app => $apps[2]) } 1 .. 3;
        ok wait_for(sub { $fake->commands(qr/^HMGET \S*grants:/) }), 'looked up';
        select undef, undef, undef, $when * $DELAY;
        $h2->frame(3, 0, $streams[0], pack 'N', 8);    # RST_STREAM, CANCEL
        close $_->{socket} for @open;
        select undef, undef, undef, 0.3 * $DELAY;
        close $h2->{http}{socket};
        quiet('answered');
        $fake->rules;
        is begin('/next', $apps[0])->response->{status}, 200, 'all is well';
    };
}


# the link is lost, and each lookup is sent again, when nobody waits any more

subtest 'the link is lost when they have left' => sub {
    wait_until(time + 1.1);
    $fake->forget;
    $fake->rules({ match => qr/^HMGET \S*grants:/, hold => 1, times => 3, close => 1 });
    my @open = map { begin($_, $apps[1]) } sort keys %status;
    ok wait_for(sub { $fake->commands(qr/^HMGET \S*grants:/) }), 'looked up';
    close $_->{socket} for @open;
    select undef, undef, undef, $DELAY;
    $fake->release;
    $fake->rules;
    becomes($apps[0], 200, 'all is well', '/next', 5);
};

done_testing;

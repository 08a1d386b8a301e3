#!/usr/bin/perl

# Where policy, gateway, resource and app come from: inheritance, maps,
# variables; and what nginx -t refuses, naming the directive.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;

$redis->allow('demo')
      ->grant('fire', 'put_out', 'demo', int(time) + 1000)
      ->grant('fire', 'put_out', 'fixed', int(time) + 1000);


# ---- what is refused at nginx -t

my @location = (
    ['app_permission sometimes;', qr/"sometimes".*"app_permission"/],
    ['app_permission;', qr/"app_permission"/],
    ['app_permission open open;', qr/"app_permission"/],
    ['app_permission open; app_permission off;', qr/"app_permission".*dupl/],
    ['app_permission_dry_run maybe;', qr/"app_permission_dry_run"/],
    ['app_permission_record maybe;', qr/"app_permission_record"/],
    ['app_permission_on_error perhaps;', qr/"perhaps".*"app_permission_on_error"/],
    ['app_permission_error xml;', qr/"xml".*"app_permission_error"/],
    ['app_permission_error bkapi; app_permission_error off;',
     qr/"app_permission_error".*dupl/],
    ['app_permission_expires_header 1;', qr/"app_permission_expires_header"/],
    ['app_permission_log_level debug;', qr/"debug".*"app_permission_log_level"/],
    ['app_permission_cache_valid x;', qr/"x".*"app_permission_cache_valid"/],
    ['app_permission_cache_valid 1m allowed=1m;',
     qr/"allowed=1m".*"app_permission_cache_valid"/],
    ['app_permission_cache_valid 1m 2m;', qr/"app_permission_cache_valid"/],
    ['app_permission_cache_valid denied=1s denied=2s;',
     qr/"app_permission_cache_valid"/],
    ['app_permission_cache_stale never;',
     qr/"never".*"app_permission_cache_stale"/],
    ['app_permission_app "a b"; app_permission required;',
     qr/"a b".*"app_permission_app"/],
    ['app_permission_gateway "a:b"; app_permission required;',
     qr/"a:b".*"app_permission_gateway"/],
    ['app_permission_resource -; app_permission required;',
     qr/"-".*"app_permission_resource"/],
    ['app_permission_resource ' . 'x' x 257 . '; app_permission required;',
     qr/"app_permission_resource"/],
    ['app_permission_gateway ' . 'x' x 65 . '; app_permission required;',
     qr/"app_permission_gateway"/],
    ['app_permission_app $no_such_variable;', qr/no_such_variable/],
    ['app_permission_zone 32m;', qr/"app_permission_zone"/],
    ['app_permission_redis %%REDIS%%;', qr/"app_permission_redis"/],
    ['if ($arg_x) { app_permission open; }', qr/"app_permission"/],
    ['app_permission_status on;', qr/"app_permission_status"/],
);

my @http = (
    ['app_permission_zone 1k;', qr/"app_permission_zone"/],
    ['app_permission_zone much;', qr/"app_permission_zone"/],
    ['app_permission_zone 32m place=x;', qr/"place=x"/],
    ['app_permission_zone 32m state=;', qr/"app_permission_zone"/],
    ['app_permission_zone 32m state=/dev;',
     qr/"app_permission_zone" is not a regular file/],
    ['app_permission_redis http://127.0.0.1;', qr/"app_permission_redis"/],
    ['app_permission_redis redis://;', qr/"app_permission_redis"/],
    ['app_permission_redis redis://:secret@127.0.0.1:x;',
     qr/"app_permission_redis"/],
    ['app_permission_redis redis://127.0.0.1/x;', qr/"app_permission_redis"/],
    ['app_permission_redis unix:;', qr/"app_permission_redis"/],
    ['app_permission_redis %%REDIS%%; app_permission_redis %%REDIS%%;',
     qr/"app_permission_redis".*dupl/],
    ['app_permission_redis %%REDIS%%; app_permission_redis_prefix "a{b";',
     qr/"app_permission_redis_prefix"/],
    ['app_permission_redis %%REDIS%%;'
     . 'app_permission_redis_password_file /nonexistent;',
     qr/"app_permission_redis_password_file"/],
    ['app_permission_redis %%REDIS%%; app_permission_redis_password_file "";',
     qr/"app_permission_redis_password_file"/],
    ['app_permission_redis %%REDIS%%; app_permission_redis_timeout x;',
     qr/"app_permission_redis_timeout"/],
    ['app_permission_flush 0;', qr/"app_permission_flush"/],
    ['app_permission_lookup_limit 10;', qr/"app_permission_lookup_limit"/],
    ['app_permission_lookup_limit 0r/s;', qr/"app_permission_lookup_limit"/],
    ['app_permission_lookup_limit 5r/s burst=x;',
     qr/"app_permission_lookup_limit"/],
);

subtest 'refused in a location' => sub {
    for (@location) {
        my ($text, $message) = @$_;
        $t->refuses($text =~ s/(.{50}).*/$1.../r, $message,
                    server => "location / { $text }");
    }
};

subtest 'refused in http' => sub {
    for (@http) {
        my ($text, $message) = @$_;
        unlike $t->refuses($text, $message, setup => $text), qr/secret/,
            '... and tells no password';
    }
};


# which directives have to be there

sub setup { join ' ', map { "app_permission_$_;" } @_ }

my %all = (redis => 'redis %%REDIS%%', map { $_ => "$_ x" }
                                            qw(app gateway resource));
my $required = 'app_permission required; proxy_pass %%BACKEND%%;';
my $listen = 'server { listen 127.0.0.1:%%PORT_bare%%;';

subtest 'required without Redis' => sub {
    my @setup = (setup => setup(map { $all{$_} } qw(app gateway resource)));
    $t->refuses('for sure', qr/"app_permission_redis"/, @setup,
                server => "location / { $required }");
    $t->refuses('perhaps', qr/"app_permission_redis"/, @setup,
                server => 'location / { app_permission $arg_p; }');
};

for my $missing (qw(app gateway resource)) {
    subtest "required without $missing" => sub {
        my @setup = (setup => setup(map { $all{$_} }
                                    grep { $_ ne $missing } sort keys %all));
        my $names = qr/"app_permission_$missing"/;
        my $has = "location / { app_permission_$missing x; $required }";

        $t->refuses('a location', $names, @setup,
                    server => "location / { $required }");

        # one that is inherited may be meant for locations that have the rest

        $t->refuses('inherited, and no location has it', $names, @setup,
                    server => $_)
            for 'app_permission required; location / { }',
                'location / { app_permission required; location /in { } }';

        my ($status, $said) = $t->config(@setup, server =>
            'app_permission required; location /auth { }'
            . " location / { app_permission_$missing x; }")->check;
        is $status, 0, 'inherited, and one location has it';
        like $said, qr/warn.*"app_permission_$missing" in location "\/auth"/,
            '... warns of the others';

        # a server without locations answers by itself

        $t->refuses('a server without locations', $names, @setup,
            server => $has,
            servers => "$listen root /;$_ app_permission required; }")
            for '', ' if ($arg_x) { set $x 1; }';

        # "if" and "limit_except" are no locations that could have it

        $t->refuses("around $_", $names, @setup,
                    server => "$has location = /in { $required $_ }")
            for 'if ($arg_x) { set $x 1; }', 'limit_except GET { deny all; }';
    };
}


sub taken {
    my ($name, %o) = @_;
    my ($status, $said) = $t->config(%o)->check;
    is $status, 0, "taken: $name" or diag $said;
}

subtest 'taken' => sub {
    taken('servers without locations that have all',
        setup => setup(values %all) . ' app_permission required;',
        servers => "$listen return 301 /; }"
            . "$listen server_name b; root /; app_permission required; }");
    taken($_, server => "location / { $_ }") for
        'app_permission off;', 'app_permission open;',
        'app_permission_cache_valid 5m;', 'app_permission_cache_valid denied=0;',
        'app_permission_cache_valid 1s denied=1s;',
        'app_permission_cache_stale off;', 'app_permission_cache_stale 7d;';
};


# a status is not checked, so nothing else may be the content there

subtest 'a status and other content' => sub {
    my $two = qr/"app_permission_status" in location "\/x".*"proxy_pass"/;
    $t->refuses($_->[0], $two, server => "location /x { $_->[1] }") for
        ['status first', 'app_permission_status; proxy_pass %%BACKEND%%;'],
        ['in an "if"', 'app_permission_status;'
         . ' if ($arg_x) { proxy_pass %%BACKEND%%; }'],
        ['in a "limit_except"', 'app_permission_status;'
         . ' limit_except GET { proxy_pass %%BACKEND%%; }'];
};


# "@x" is reached by name alone, past the policy of the others

subtest 'a named location without a policy' => sub {
    my $warns = qr/warn.*location "\@x" in \S+:\d+ has no "app_permission"/;
    my $a = "location /a { $required error_page 404 = \@x; }";
    my $x = 'location @x { %s proxy_pass %%%%BACKEND%%%%; }';

    for (
        ['a location has one', 1, $a . sprintf $x, ''],
        ['one inside a location has one', 1,
         "location /b { $a }" =~ s{/a}{/b/a}r . sprintf $x, ''],
        ['the server says off', 1, "app_permission off; $a" . sprintf $x, ''],
        ['it says off', 0, $a . sprintf $x, 'app_permission off;'],
        ['it has one', 0, $a . sprintf $x, 'app_permission required;'],
        ['the server has one', 0, "app_permission required; $a"
         . sprintf $x, ''],
        ['none has one', 0, 'location /a { proxy_pass %%BACKEND%%; }'
         . sprintf $x, ''],
    ) {
        my ($name, $warned, $text) = @$_;
        my ($status, $said) = $t->config(server => $text)->check;
        is $status, 0, "$name: taken" or diag $said;
        is $said =~ $warns ? 1 : 0, $warned,
            '... with' . ($warned ? '' : 'out') . ' a warning' or diag $said;
    }
};


# ---- inheritance, maps, variables

spew($t->dir . '/policies.map', "get_user required;\nlist_status open;\n"
     . "health off;\nbroken maybe;\n");

$t->nginx(http => <<'EOT', server => <<'EOS');
    map $arg_r $policy {
        volatile;
        include %%DIR%%/policies.map;
        default required;
    }
    map $http_x_key $app_of_key { key-1 demo; default ""; }
    add_header X-Decision $app_permission_decision/$app_permission_reason
        always;
EOT
        app_permission required;

        location /inherits {
            empty_gif;
            location /inherits/deeper { empty_gif; }
            location /inherits/off  { app_permission off; empty_gif; }
            location /inherits/open {
                app_permission open;
                empty_gif;
                location /inherits/open/required {
                    app_permission required;
                    app_permission_gateway fire;
                    app_permission_resource put_out;
                    empty_gif;
                }
            }
        }

        location /map { app_permission $policy;
                        app_permission_resource $arg_r; empty_gif; }
        location ~ ^/regex/(?<gw>[a-z]+)/(?<res>[a-z_]+)$ {
                        app_permission_gateway $gw;
                        app_permission_resource $res; empty_gif; }
        location /parts/ { app_permission_resource "get_$arg_what"; empty_gif; }
        location /key { app_permission_app $app_of_key; empty_gif; }
        location /constant { app_permission_app fixed;
                        app_permission_gateway fire;
                        app_permission_resource put_out; empty_gif; }

        location /dry {
            app_permission_dry_run on;
            empty_gif;
            location /dry/not { app_permission_dry_run off; empty_gif; }
            location /dry/bad { app_permission_resource $arg_none; empty_gif; }
        }

        # "X-App: demo" of the client does not reach these

        location /set { set $who ""; app_permission_app $who; empty_gif; }
EOS

my @calls = (
    ['/inherits',            'demo',  '200 allow/resource_grant'],
    ['/inherits',            'other', '403 deny/no_grant'],
    ['/inherits/deeper',     'demo',  '200 allow/resource_grant'],
    ['/inherits/deeper',     'other', '403 deny/no_grant'],
    ['/inherits/off',        'other', '200 /'],
    ['/inherits/open',       'other', '200 allow/open'],
    ['/inherits/open/required', 'other', '403 deny/no_grant'],
    ['/inherits/open/required', 'fixed', '200 allow/resource_grant'],

    ['/map?r=get_user',      'demo',  '200 allow/resource_grant'],
    ['/map?r=get_user',      'other', '403 deny/no_grant'],
    ['/map?r=list_status',   'other', '200 allow/open'],
    ['/map?r=health',        'other', '200 /'],
    ['/map?r=unlisted',      'demo',  '403 deny/no_grant'],
    ['/map?r=broken',        'demo',  '500 fail/bad_config'],
    ['/map',                 'demo',  '500 fail/bad_config'],

    ['/regex/smoke/get_user', 'demo', '200 allow/resource_grant'],
    ['/regex/fire/put_out',  'demo',  '200 allow/resource_grant'],
    ['/regex/fire/get_user', 'demo',  '403 deny/no_grant'],
    ['/parts/?what=user',    'demo',  '200 allow/resource_grant'],
    ['/parts/?what=users',   'demo',  '403 deny/no_grant'],
    ['/parts/?what=%7B%7D',  'demo',  '500 fail/bad_config'],

    ['/key',                 'demo',  '403 deny/no_app'],
    ['/constant',            undef,   '200 allow/resource_grant'],
    ['/set',                 'demo',  '403 deny/no_app'],

    ['/dry',                 'demo',  '200 allow/resource_grant'],
    ['/dry',                 'other', '200 deny/no_grant'],
    ['/dry',                 undef,   '200 deny/no_app'],
    ['/dry',                 '{}',    '200 deny/invalid_app'],
    ['/dry/not',             'other', '403 deny/no_grant'],
    ['/dry/bad',             'demo',  '200 fail/bad_config'],
);

subtest 'inheritance, maps, variables' => sub {
    is outcome($_->[1], $_->[0]), $_->[2], "$_->[0] as " . ($_->[1] // 'nobody')
        for @calls;
    is outcome(undef, '/key', headers => { 'X-Key' => 'key-1' }), $ALLOW,
        'app by a map of the key';
};

subtest 'nothing the client says picks policy, gateway or resource' => sub {
    is outcome('other', '/inherits', headers => { $_ => 'open' }), $DENY,
        "not by $_" for qw(X-Policy X-Gateway X-Resource App-Permission
                           X-App-Permission X-Original-URI X-Rewrite-URL);
    is outcome('other', '/inherits?app_permission=open&r=open&gw=fire'), $DENY,
        'not by arguments';
};


# a status is not checked itself, and changes nothing for what is inside

my $around = 'location /status { app_permission_status;'
    . ' if ($arg_set) { set $x 1; } location /status/in { %s proxy_pass %%%%BACKEND%%%%; } }';

for (['http', 'http', '%s'], ['server', 'server', "%s $around"],
     ['variable', 'http', '%s', '$arg_policy'])
{
    my ($name, $where, $text, $value) = @$_;

    subtest "inside a status: inherited from $name" => sub {
        my $own = Perm::Test->new;
        $own->redis->load->allow('demo');
        my $policy = 'app_permission ' . ($value // 'required') . ';';
        my %text = (server => sprintf $around, '');
        $text{$where} = $where eq 'server' ? $policy . $text{server} : $policy;
        $own->nginx(%text);

        is $own->get('/status/in?policy=required', app => $_->[0])->{status},
            $_->[1], "$_->[0]: $_->[1]" for ['nobody', 403], ['demo', 200];
        is $own->get("/status$_")->{status}, 200,
            "the status itself is not checked: \"$_\"" for '', '?set=1';
    };
}

done_testing;

#!/usr/bin/perl

# Whatever an app code or a header holds: nothing is let in, injected into a
# key, a header, a log line or a body, or crashed.

use JSON::PP ();

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $fake = $t->fake_redis(to => $redis);

# what careless key building would hit

$redis->grant('smoke', 'get_user', 'demo', 4102444800)
      ->grant('smoke', '-', 'whole', 4102444800)
      ->grant('smoke', 'get_user', 'a', 4102444800);
$redis->cmd('HSET', 'app_permission:grants:{smoke:}', '-', 4102444800,
            'get_user', 4102444800);
$redis->cmd('HSET', "app_permission:grants:{smoke:$_}", '-', 4102444800)
    for '*', '?', '[a-z]*', "a\nb", "a\r\nb", '}', '{x}', 'a b', 'a:b', "a\tb",
        "\xc3\xa9", "\xff", '"', "'", '$app', '%61', 'demo,other', '\\', "a\0b";

my @apps = (
    ['a' . "\x01", 'control byte'], ["\x7f", 'DEL'], ["a\tb", 'tab'],
    ['a b', 'blank'], ['a:b', 'separator'], ['smoke:demo', 'gateway and app'],
    ['}', 'closing brace'], ['{x}', 'braces'], ['{smoke:demo}', 'hash tag'],
    ['*', 'asterisk'], ['?', 'question mark'], ['[a-z]*', 'glob'],
    ['"', 'quote'], ["'", 'apostrophe'], ['\\', 'backslash'],
    ['a,b', 'comma'], ['a;b', 'semicolon'], ['a=b', 'equals'],
    ['$app', 'dollar'], ['%64emo', 'percent'], ['<script>', 'tag'],
    ["\xc3\xa9", 'UTF-8'], ["\xff\xfe", 'not UTF-8'], ["\xc0\x80", 'overlong'],
    ["\xe2\x80\xae", 'right-to-left override'], ["a\x1b[31m", 'escape code'],
    ['x' x 129, '129 bytes'], ['x' x 4000, '4000 bytes'],
    ['demo ' . 'x', 'two words'], ['demo, demo', 'a list'],
);

sub server {
    my ($format) = @_;
    return <<"EOT";
        large_client_header_buffers 8 64k;
        app_permission required;
        app_permission_error $format;
        %%DECISION%%
        add_header X-Code "[\$app_permission_bkapi_app_code]" always;

        location /header { proxy_pass %%BACKEND%%; }

        location /argument {
            app_permission_app \$arg_app;
            proxy_pass %%BACKEND%%;
        }

        # \$uri is decoded: any byte at all

        location ~ "(?s)^/path/(?<who>.*)\$" {
            app_permission_app \$who;
            proxy_pass %%BACKEND%%;
        }

        location ~ "(?s)^/resource/(?<what>.*)\$" {
            app_permission_resource \$what;
            proxy_pass %%BACKEND%%;
        }

        location ~ "(?s)^/gateway/(?<gw>.*)\$" {
            app_permission_gateway \$gw;
            proxy_pass %%BACKEND%%;
        }

        location /bkapi {
            app_permission_app \$app_permission_bkapi_app_code;
            proxy_pass %%BACKEND%%;
        }
EOT
}

sub escaped { join '', map { sprintf '%%%02x', ord } split //, $_[0] }

sub harmless {
    my ($r, $name) = @_;

    my @lines = split /\r\n/, ($r->{raw} =~ /^(.*?)\r\n\r\n/s)[0] // '';
    my @odd = grep { !/^HTTP|^(Server|Date|Content-(Type|Length)|Connection
                     |Transfer-Encoding|X-(Decision|Expires|Worker|Code)
                     |X-Bkapi-Error-(Code|Message)):/xi } @lines;
    is "@odd", '', "$name: no header but ours";
    ok eval { json($r->{body}); 1 }, "$name: the body is JSON"
        or diag $r->{body};
}

sub escaped_json { $_[0] =~ s/([^ -~])/sprintf '\\u%04x', ord $1/ger }

sub shown { substr($_[0], 0, 40) =~ s/[^ -~]/?/gr }

# what comes of a header like this

sub bkapi {
    my ($json, $status, $name) = @_;
    my $r = $t->get('/bkapi', headers => { 'X-Bkapi-Authorization' => $json });
    is $r->{status}, $status, $name or diag $r->{headers}{'x-code'};
    harmless($r, $name) if $status == 403;
    return $r;
}


# JSON that is not what it should be

my @json = ('', '{}', '[]', 'null', '"demo"', 'demo', '{"bk_app_code"',
    '{"bk_app_code":}', '{"bk_app_code":null}', '{"bk_app_code":["demo"]}',
    '{"bk_app_code":{"a":"demo"}}', '{"bk_app_code":1}',
    '{"bk_app_code":true}', '{"BK_APP_CODE":"demo"}',
    '{"a":{"bk_app_code":"demo"}}', '[{"bk_app_code":"demo"}]',
    '{"bk_app_code":"demo"', '{"bk_app_code":"demo"}}',
    '{"bk_app_code":"demo"} x', "{'bk_app_code':'demo'}",
    '{"bk_app_code":"\ud800"}', '{"bk_app_code":"\u00"}',
    '{"bk_app_code":"demo\u0000"}', '{"bk_app_code\u0000":"demo"}',
    '{"bk_app_code":"demo\uzzzz"}', '{"bk_app_code":"demo","a":"\u0000"}',
    '{"bk_app_code":"demo","bk_app_code":"demo"}',
    '{"a":1,"bk_app_code":"demo","\u0061":1}',
    '{"bk_app_code":"' . 'x' x 30000 . '"}',
    '[' x 30000, '{"a":' x 8000, '[' x 20000 . ']' x 20000,
    '{"bk_app_code":' . '[' x 20000 . ']' x 20000 . '}',
    '{"a":1' . ',"a":1' x 5000 . '}', '-', '{"bk_app_code":1e999999}');

# bytes that only an escape can bring

my @bytes = ("a\r\nX-Evil: 1", "a\nb", "\0", "demo\0", "\0demo",
             "a\r\n\r\n<html>", "demo\r\n", "\x80", "");


for my $format (qw(bkapi problem)) {
    $t->nginx(server => server($format));
    $fake->forget;

    subtest "$format: invalid app codes" => sub {
        for (@apps) {
            my ($app, $name) = @$_;

            unless ($app =~ /[\0\r\n]/) {
                my $r = $t->get('/header', app => $app);
                ok $r->{status} == 403 || $r->{status} == 400, "header: $name"
                    or diag $r->{status};
                harmless($r, "header, $name") if $r->{status} == 403;
            }

            my $r = $t->get('/path/' . escaped($app));
            is $r->{status}, 403, "path: $name";
            is decision($r), '403 deny/invalid_app', "path, $name: reason";
            harmless($r, "path, $name");

            my $json = JSON::PP->new->latin1->encode(
                { bk_app_code => $app, other => [1, { a => 'b' }] });
            $r = bkapi(escaped_json($json), 403, "JSON: $name");
            like $r->{headers}{'x-decision'}, qr{^deny/(invalid|no)_app },
                "JSON, $name: reason";
        }
    };

    subtest "$format: bytes that need an escape" => sub {
        for my $bytes (@bytes) {
            my $shown = shown($bytes);

            # nginx itself refuses a NUL in a path

            my $nul = $bytes =~ /\0/;
            for (['path', 403], ['resource', 500], ['gateway', 500]) {
                my ($what, $status) = @$_;
                my $r = $t->get("/$what/" . escaped($bytes),
                                $what eq 'path' ? () : (app => 'demo'));
                is $r->{status}, $nul ? 400 : $status, "$what: \"$shown\"";
                harmless($r, "$what: \"$shown\"") unless $nul;
            }
            bkapi('{"bk_app_code":"' . escaped_json($bytes) . '"}', 403,
                  "JSON: \"$shown\"");
        }
    };

    subtest "$format: JSON" => sub {
        bkapi($_, 403, 'odd: ' . shown($_)) for @json;

        my $r = bkapi('{"bk_app_code": "demo", "x": 1}', 200, 'right');
        is $r->{headers}{'x-code'}, '[demo]', '... its variable';
        bkapi('{"bk_app_\u0063ode": "dem\u006f"}', 200, 'needless escapes');
    };

    subtest "$format: a header twice" => sub {
        for my $pair (['demo', 'other'], ['other', 'demo'], ['demo', ''],
                      ['', 'demo'])
        {
            my $r = $t->get('/header',
                            headers => [map { ['X-App', $_] } @$pair]);
            my $first = $pair->[0] eq 'demo' ? qr/^(200|403)$/ : qr/^403$/;
            like $r->{status}, $first, "X-App: @$pair";

            $r = $t->get('/bkapi', headers => [map { ['X-Bkapi-Authorization',
                qq({"bk_app_code":"$_"})] } @$pair]);
            is $r->{status}, 403, "JSON: @$pair";
        }
    };

    # grants of the whole gateway are no resource named "-"

    subtest "$format: values that are nearly right" => sub {
        is $t->get('/resource/-', app => 'whole')->{status}, 500,
            'resource "-"';
        is $t->get('/header', app => '')->{status}, 403, 'empty app';
        is $t->get('/argument?app=demo&app=other')->{status}, 200,
            'the first of two arguments';
        is $t->get('/argument?app=dem%6f')->{status}, 403,
            'arguments are not decoded';
    };

    subtest "$format: what Redis and the log got of it" => sub {
        my @keys = map { (split ' ')[1] } $fake->commands(qr/^HMGET \S*grants:/i);
        cmp_ok scalar(@keys), '>', 0, 'Redis was asked';
        my @bad = grep {
            !m<^app_permission:grants:\{[\w.~\@/+-]{1,64}:[\w.~\@/+-]{1,128}\}$>
        } @keys;
        is "@bad", '', '... for valid names only';

        my @log = split /\n/, $t->log;
        is join("\n", grep { /[^ -~]/ } @log), '',
            'no byte of theirs is raw in the log';
        is join("\n", grep { !m{^\d{4}/\d\d/\d\d } } @log), '',
            'no line of theirs is in the log';
        is $t->{nginx}->quit, 0, 'nginx quits';
    };
}


subtest 'the access log is JSON still, one object a line' => sub {
    my @lines = split /\n/, slurp($t->dir . '/access.log');
    my @bad = grep { !eval { JSON::PP->new->latin1->decode($_); 1 } } @lines;
    is scalar(@bad), 0, 'JSON' or diag $bad[0];
    ok !(grep { !/^\{/ } @lines), '... and no line of it is of somebody else';
};

done_testing;

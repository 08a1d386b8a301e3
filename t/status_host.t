#!/usr/bin/perl

# Under which host names the status answers, since a stranger's name can lead
# to this address; and which URIs there are below it.

use Perm::Http2;
use Perm::Test;

my $t = Perm::Test->new;
$t->redis->load->allow('demo');

my $explain = '?gateway=smoke&resource=get_user&app=demo';

$t->nginx(http => 'server_names_hash_bucket_size 128;', server => <<'EOT',
    location /status { app_permission_status; }
    location /slash/ { app_permission_status; }
    location = /exact { app_permission_status; }
    location = /exact/explain { app_permission_status; }
    location ~ ^/regex { app_permission_status; }
    location /rewritten { rewrite ^ /x break; app_permission_status; }
    location = /ssi.html { ssi on; root %%DIR%%; }
    location /named { try_files /nothing @named; }
    location @named { app_permission_status; }
EOT
    servers => join "\n", map {
        my ($port, $names, $args) = @$_;
        "server { listen 127.0.0.1:%%PORT_$port%%; $names
         location /status { app_permission_status $args; } }"
    } ['names', 'server_name Gate.example alias *.wild.example .both.example'
                . ' tail.example.* ~^regex;', ''],
      ['other', 'server_name _;', ''],
      ['none', '', ''],
      ['more', 'server_name _;', 'hosts=scraped,Metrics.example'],
      ['any', 'server_name _;', 'hosts=any']);

sub under {
    my ($host, $port, $uri, %o) = @_;
    my $r = Perm::Http->request($t->port($port), $uri // '/status',
                                host => $host, %o);
    return $r ? $r->{status} : 0;
}


subtest 'names' => sub {
    is under($_->[0], $_->[1]), $_->[2], "\"$_->[0]\" at $_->[1]: $_->[2]" for
        # always: an address, localhost
        (map { [$_, 'other', 200] } 'localhost', 'LocalHost:8081', 'localhost.',
             '127.0.0.1', '10.1.2.3:8081', '[::1]', '[fe80::1]:80'),
        # never: a name that may be a stranger's
        (map { [$_, 'other', 403] } 'evil.example', 'evil.example:8081',
             'localhost.evil.example', 'xlocalhost', '127.0.0.1.evil.example',
             '1.2.3', '[::g]', '[evil]', 'evil.example.'),
        # names of the server
        (map { [$_, 'names', 200] } 'gate.example', 'GATE.example.:80', 'alias',
             'a.wild.example', 'a.b.wild.example', 'both.example',
             'a.both.example'),
        (map { [$_, 'names', 403] } 'wild.example', 'evilwild.example',
             'xboth.example', 'gate.example.evil', 'tail.example.evil',
             'regex.evil', 'scraped'),
        # names of the directive
        (map { [$_, 'more', 200] } 'scraped', 'SCRAPED:9', 'metrics.example.',
             'localhost'),
        (map { [$_, 'more', 403] } 'evil.example', 'x.metrics.example', 'any'),
        (map { [$_, 'any', 200] } 'evil.example', 'localhost');
};


subtest 'what is refused, and what it says' => sub {
    for (['', 'the status'], ["/explain$explain", 'explain'],
         ['?format=html', 'the page'], ['?format=prometheus', 'Prometheus'],
         ['/nosuch', 'anything below']) {
        my ($uri, $name) = @$_;
        my $r = Perm::Http->request($t->port('other'), "/status$uri",
                                    host => 'evil.example');
        is $r->{status}, 403, $name;
        like json($r->{body})->{error},
            qr/"app_permission_status hosts=NAME;"/, '... what to configure';
        unlike $r->{body}, qr/smoke|evil/, '... and nothing else';
    }
    is under('evil.example', 'other', '/status', method => 'POST', body => ''),
        403, 'POST';
};


subtest 'other ways to name a host' => sub {
    is under('localhost', 'other', 'http://evil.example/status'), 403,
        'in the URI';
    is under('evil.example', 'other', 'http://localhost/status'), 403,
        '... or in the header alone';
    is under('localhost', 'other', 'http://localhost:80/status'), 200,
        '... and a known one in both';

    is under(undef, 'none', '/status', version => '1.0'), 200,
        'HTTP/1.0 without a host: of a server without a name';
    is under(undef, 'other', '/status', version => '1.0'), 403,
        '... and not of another';

    spew($t->dir . '/ssi.html', '<!--# include virtual="/status" -->');
    my $page = sub { Perm::Http->request($t->port, '/ssi.html',
                                         host => $_[0])->{body} };
    like $page->('localhost'), qr/"requests"/, 'included in a page';
    unlike $page->('evil.example'), qr/"requests"/, '... or not';
};


subtest 'what there is below a status' => sub {
    is $t->get("$_->[0]$explain")->{status}, $_->[1], "$_->[0]: $_->[1]" for
        (map { [$_, 200] } '/status', '/status/', '/status/explain', '/slash/',
             '/slash/explain', '/exact', '/exact/explain', '/regex/x',
             '/regex/explain', '/rewritten', '/named'),
        (map { [$_, 404] } '/status/nosuch', '/statusx', '/status/x/explain',
             '/statusexplain', '/status/explain/', '/slash/x');
    like json($t->get('/status/nosuch')->{body})->{error}, qr/"explain"/,
        '... and says what there is';
    like $t->get("$_$explain")->{body}, qr/"differs"/, "$_ explains"
        for '/exact/explain', '/slash/explain', '/regex/explain';
};


subtest 'HTTP/2' => sub {
    $t->config(servers => 'server { listen 127.0.0.1:%%PORT_h2%% http2;'
               . ' location /status { app_permission_status; } }')->reload;
    my $c = Perm::Http2->connect($t->port('h2'));
    is $c->get('/status')->{status}, 200, 'localhost';
    like $c->get('/status', host => 'evil.example')->{body},
        qr/hosts=NAME/, 'another host';
};


subtest 'nginx -t' => sub {
    $t->refuses($_, qr/"\Q$_\E" in "app_permission_status"/,
                server => "location /x { app_permission_status $_; }")
        for 'on', 'any', 'hosts=', 'hosts=a,,b', 'hosts=a,', 'hosts=a:80',
            'hosts=*.a', 'hosts=http://a', 'hosts=a/b', 'host=a',
            'hosts=' . 'a' x 254;
    $t->refuses('two', qr/"app_permission_status"/,
                server => 'location /x { app_permission_status hosts=a b; }');
};

done_testing;

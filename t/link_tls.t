#!/usr/bin/perl

# TLS to Redis: what is trusted, what is refused, and that the log says why.

use Perm::Ca;
use Perm::Test;
use Perm::Util qw(spawn reap);

my $t = Perm::Test->new;
my $port = $t->port('tls');
my $ca = Perm::Ca->new("$t->{dir}/tls");
my $here = 'DNS:localhost,IP:127.0.0.1';

$ca->authority('ca');
$ca->authority('other');
$ca->certificate('good', 'ca', $here);
$ca->certificate('elsewhere', 'ca', 'DNS:redis.example.com');
$ca->certificate('client', 'ca', 'DNS:client');
$ca->certificate('stranger', 'other', $here);
$ca->self_signed('self', $here);
$ca->expired('old', 'ca', $here);

my $redis;
my $ssl = 'app_permission_redis_ssl';
my $trust = "${ssl}_trusted_certificate %%DIR%%/tls/trusted.crt;";
my $n = 0;

sub copy { spew($ca->file($_[1]), slurp($ca->file($_[0]))) }

sub serve {
    my ($certificate, $clients) = @_;
    $redis->stop if $redis;
    $redis = Perm::Redis->start(dir => "$t->{dir}/redis",
        conf => $ca->redis_conf($certificate, 'ca', $port, $clients));
    $redis->load->allow('demo');
}

sub with {
    my ($directives, $url) = @_;
    $t->apply(server => $ASKS, http => "app_permission_flush 1s; $directives",
              redis => $url // 'rediss://localhost:%%PORT_tls%%');
}

sub works {
    my ($what) = @_;
    ok wait_for(sub { outcome('demo') eq "$ALLOW MISS" }, 5), $what
        or diag $t->new_log;
}

sub refused {
    my ($what, $pattern) = @_;
    my ($pid) = $t->{nginx}->workers;
    my $why = sub { grep { /\[error\] $pid#/ } $t->new_lines($pattern) };

    ok wait_for(sub { scalar $why->() }, 5), "$what: the log says why"
        or diag $t->new_log;
    is outcome('unknown-' . ++$n), $UNKNOWN, '... nothing is asked';
    is scalar($why->()), 1, '... once' or diag join "\n", $why->();
}


subtest 'trusted' => sub {
    copy('ca.crt', 'trusted.crt');
    serve('good');
    with($trust);
    works('a certificate of the trusted authority');

    ok $t->up, 'changes are pushed';
    is outcome('demo', '/long') =~ /^200/, 1, 'known for an hour';
    $redis->forbid('demo');
    becomes('demo', '403', '... but revoked', '/long', 1);
    $redis->allow('demo');

    ok wait_for(sub { ($redis->access('smoke', 'get_user', 'demo') // 0) > 0 },
        8), 'accesses are written';

    with($trust, 'rediss://127.0.0.1:%%PORT_tls%%');
    works('an address in the certificate');

    serve('good');
    works('after a restart of the server, too');
};


subtest 'refused' => sub {
    my $refuses = qr/Redis localhost:\d+: .*certificate of the server is/;
    my $hint = qr/see "app_permission_redis_ssl_trusted_certificate"/;

    with('');
    refused('an authority the system does not know',
        qr/$refuses refused: .*(?:local issuer|self.signed|first).*$hint/);

    serve('old');
    with($trust);
    refused('expired', qr/$refuses refused: certificate has expired.*$hint/);

    serve('self');
    with($trust);
    refused('self-signed', qr/$refuses refused: self.signed certificate.*$hint/);

    serve('stranger');
    with($trust);
    refused('of another authority',
        qr/$refuses refused: unable to .*(?:issuer|first).*$hint/);

    with("$trust ${ssl}_verify off;");
    works('but not with verify off');

    serve('elsewhere');
    with($trust);
    refused('of another name', qr/$refuses not for "localhost"; see "app_/);
    with($trust, 'rediss://127.0.0.1:%%PORT_tls%%');
    refused('of another address', qr/Redis 127.*is not for "127\.0\.0\.1"/);
    with("$trust ${ssl}_name redis.example.com;");
    works('which is the one expected');
    with("$trust ${ssl}_name other.example.com;");
    refused('of another than expected', qr/$refuses not for "other\.example/);
};


subtest 'a server that refuses in the middle of it' => sub {
    serve('good');
    with($trust, "rediss://localhost:$redis->{port}");
    refused('no TLS on this port',
        qr/localhost:\d+: .*TLS handshake.*speak TLS.*begins with "redis"/);
    unlike $t->status->{problems}[0]{advice}, qr/Start Redis/,
        'nobody is told to start what runs';
    with($trust, 'rediss://localhost:%%PORT%%');
    refused('... where another answer comes', qr/localhost:\d+:\ .*TLS\ handshake
        .*speak\ TLS\ on\ this\ port.*begins\ with\ "redis"/x);
    with('', "redis://localhost:$port");
    refused('TLS on this port', qr/localhost:\d+: .*TLS.*with "rediss"/);
    with($trust);
    works('right again');
};


# it speaks TLS, and is merely late

subtest 'a server that hangs when it had been up' => sub {
    serve('good');
    with("$trust app_permission_redis_connect_timeout 200ms;"
         . 'app_permission_redis_timeout 200ms;');
    works('before');
    $t->mark;
    $redis->pause;
    ok $t->wait_new(qr/\[error\].*no answer to the TLS handshake within/, 8),
        'no answer to the TLS handshake';
    $redis->resume;
    ok wait_for(sub { $t->new_lines(qr/Redis is up again/) }), 'up again';
    is scalar($t->new_lines(qr/TLS on this port/)), 0,
        'whether it speaks TLS is no question';
};


subtest 'a client certificate' => sub {
    my $mine = "${ssl}_certificate %%DIR%%/tls/mine.crt;"
             . "${ssl}_certificate_key %%DIR%%/tls/mine.key;";
    serve('good', 'yes');
    with($trust);
    refused('missing', 
        qr/localhost:\d+:\ .*alert\ "(?:certificate\ required|handshake\ failure)"
           .*see\ "app_permission_redis_ssl_certificate"/x);

    copy("stranger.$_", "mine.$_") for qw(crt key);
    with("$trust $mine");
    refused('of a stranger', qr/localhost:\d+: .*alert "unknown CA"/i);

    # the files change, the configuration does not; by the time that they
    # carry, newer nginx tells that they did

    my $before = (stat $ca->file('mine.crt'))[9];
    wait_until($before + 1);
    copy("client.$_", "mine.$_") for qw(crt key);
    ok $t->reload, 'reload';
    works('a reload reads the files anew');
};


subtest 'the authority changes' => sub {
    serve('good');
    with($trust);
    works('before');

    copy('other.crt', 'trusted.crt');
    $t->mark;
    ok $t->reload, 'reload';
    refused('no more trusted', qr/certificate of the server is refused/);

    serve('stranger');
    works('a server with the new one');
    $redis->forbid('demo');
    becomes('demo', '403', 'is asked', undef, 2);
};


subtest 'the name is sent' => sub {
    my $log = "$t->{dir}/s_server.log";
    my $pid = spawn($log, 'openssl', 's_server', '-www', '-naccept', 1,
        '-accept', $t->port('sni'), '-servername', 'redis.example.com',
        '-cert', $ca->file('good.crt'), '-key', $ca->file('good.key'),
        '-cert2', $ca->file('elsewhere.crt'),
        '-key2', $ca->file('elsewhere.key'));
    with("$trust ${ssl}_name redis.example.com;",
         'rediss://localhost:%%PORT_sni%%');
    ok defined reap($pid, 5), 'a connection';
    like slurp($log), qr/Hostname in TLS extension: "redis\.example\.com"/,
        '... tells it';
};


subtest 'at nginx -t' => sub {
    for my $case (
        ["${ssl}_trusted_certificate /nonexistent;", qr/nonexistent/],
        ["${ssl}_certificate %%DIR%%/tls/good.crt;", qr/certificate_key/],
        ["${ssl}_certificate %%DIR%%/tls/good.crt;
          ${ssl}_certificate_key %%DIR%%/tls/ca.key;", qr/mismatch|do not match/],
    ) {
        my ($directives, $says) = @$case;
        $t->refuses($directives, $says, server => $ASKS, http => $directives,
                    redis => 'rediss://localhost');
    }
};

done_testing;

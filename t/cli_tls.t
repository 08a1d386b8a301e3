#!/usr/bin/perl

# TLS of the command line: what is trusted and what is refused, and that the
# message says why.

use Perm::Ca;
use Perm::Test;

my $t = Perm::Test->new;
my $ca = Perm::Ca->new($t->dir . '/tls');
my $here = 'DNS:localhost,IP:127.0.0.1';

$ca->authority($_) for qw(ca other);
$ca->certificate('good', 'ca', $here);
$ca->certificate('elsewhere', 'ca', 'DNS:redis.example.com');
$ca->certificate('client', 'ca', 'DNS:client');
$ca->certificate('stranger', 'other', $here);
$ca->expired('old', 'ca', $here);

my $redis;
my $port = free_port();
my $url = "rediss://localhost:$port";

sub serve {
    my ($name, $clients) = @_;
    $redis->stop if $redis;
    $redis = Perm::Redis->start(dir => $t->dir . '/redis',
        conf => $ca->redis_conf($name, 'ca', $port, $clients));
    $redis->load->grant('g', 'r', 'a', 4102444800);
}

sub works {
    my ($name, @args) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->cli_is(0, $name, @args, 'list', { redis => $url });
}

sub refused {
    my ($name, $pattern, @args) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($out, $err) = $t->cli_is(3, "$name: status 3", @args, 'list',
                                 { redis => $url });
    like $err, $pattern, "$name: says why";
}

sub tls { map { /^--/ ? $_ : m{^/} ? $_ : $ca->file($_) } @_ }

my @ca = tls('--cacert', 'ca.crt');


subtest 'a certificate of the trusted authority' => sub {
    serve('good');
    works('trusted', @ca);
    refused('an unknown authority',
            qr/certificate is refused: .*(local issuer|self.signed)/);
    refused('another authority', qr/certificate is refused/,
            tls('--cacert', 'other.crt'));
    works('not verified', '--insecure');
    refused('another name is expected',
            qr/certificate is refused: .*ostname mismatch/,
            @ca, '--tls-name', 'redis.example.com');
    refused('no such file',
            qr/cannot load --cacert "\/nonexistent": No such file/,
            '--cacert', '/nonexistent');
    refused('no key', qr/cannot load --key "\/nonexistent": No such file/,
            @ca, tls('--cert', 'client.crt', '--key', '/nonexistent'));
    $t->cli_is(0, 'an address in the certificate', @ca, 'list',
               { redis => "rediss://127.0.0.1:$port" });
};


subtest 'ports with and without TLS' => sub {
    my ($out, $err) = $t->cli_is(3, 'TLS to a port without: 3', @ca,
        '--timeout', '1s', 'list',
        { redis => "rediss://localhost:$redis->{port}" });
    like $err, qr/while waiting for the TLS handshake; is this port for TLS\?/,
        'says so';
    $t->cli_is(3, 'a port with TLS without it: 3', '--timeout', '2s', 'list',
               { redis => "redis://localhost:$port" });
};


subtest 'commands over TLS' => sub {
    $t->cli_is(0, 'much data', @ca, 'import', { redis => $url, stdin =>
        join '', map {
            qq({"gateway":"g","app":"a$_","expires":1,"note":"@{['x' x 500]}"}\n)
        } 1 .. 3000 });
    is $redis->cmd('DBSIZE'), 3002, 'all of it';
    $t->cli_is(0, 'doctor', @ca, '--json', 'doctor', { redis => $url });
};


subtest 'other certificates of the server' => sub {
    serve('elsewhere');
    refused('one of another name',
            qr/certificate is refused: .*ostname mismatch/, @ca);
    works('which is the one expected', @ca, '--tls-name', 'redis.example.com');

    serve('old');
    refused('an expired one', qr/certificate is refused: .*expired/, @ca);

    serve('stranger');
    refused('the authority changed', qr/certificate is refused/, @ca);
    works('and was replaced here too', tls('--cacert', 'other.crt'));
};


subtest 'a client certificate' => sub {
    serve('good', 'yes');
    refused('none', qr/certificate required|closed the connection|alert/, @ca);
    works('the right one', @ca,
          tls('--cert', 'client.crt', '--key', 'client.key'));
    refused('one of a stranger', qr/unknown ca|alert|closed the connection/,
            @ca, tls('--cert', 'stranger.crt', '--key', 'stranger.key'));

    spew($ca->file('both.pem'), join '', map { slurp($ca->file("client.$_")) }
                                             qw(crt key));
    works('certificate and key in one file', @ca, tls('--cert', 'both.pem'));
};

done_testing;

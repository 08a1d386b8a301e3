#!/usr/bin/perl

# TLS of the command line: what is trusted and what is refused, and that the
# message says why.

use strict;
use warnings;

use Test::More;

use Perm::Test;
use Perm::Util qw(free_port);

my $t = Perm::Test->new;
my $dir = $t->dir;

sub openssl {
    my $text = `cd $dir && openssl @_ 2>&1`;
    die "openssl @_: $text" if $?;
}

# a throw-away authority, and certificates of it and of none

sub authority {
    my ($name) = @_;
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout $name.key -out $name.crt"
        . " -days 30 -subj '/CN=$name'");
}

sub certificate {
    my ($name, $ca, $san, @more) = @_;
    openssl("req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr"
        . " -subj '/CN=$name'");
    spew("$dir/$name.ext", "subjectAltName=$san\n");
    openssl("x509 -req -in $name.csr -CA $ca.crt -CAkey $ca.key"
        . " -CAcreateserial -out $name.crt -extfile $name.ext",
        @more ? @more : '-days 30');
}

authority('ca');
authority('other');
certificate('good', 'ca', 'DNS:localhost,IP:127.0.0.1');
certificate('elsewhere', 'ca', 'DNS:redis.example.com');
certificate('client', 'ca', 'DNS:client');
certificate('stranger', 'other', 'DNS:localhost,IP:127.0.0.1');

spew("$dir/index.txt", '');
spew("$dir/serial", "77\n");
spew("$dir/ca.cnf", <<"EOT");
[ca]
default_ca = d
[d]
database = $dir/index.txt
serial = $dir/serial
new_certs_dir = $dir
default_md = sha256
policy = p
copy_extensions = copy
[p]
commonName = supplied
EOT
openssl("req -newkey rsa:2048 -nodes -keyout old.key -out old.csr"
    . " -subj /CN=old -addext subjectAltName=DNS:localhost,IP:127.0.0.1");
openssl("ca -batch -config ca.cnf -cert ca.crt -keyfile ca.key -in old.csr"
    . " -out old.crt -startdate 20200101000000Z -enddate 20200201000000Z");

my $redis;
my $tls_port = free_port();

sub serve {
    my ($name, %o) = @_;
    $redis->stop if $redis;
    $redis = Perm::Redis->start(dir => "$dir/redis", conf => [
        "tls-port $tls_port", "tls-cert-file $dir/$name.crt",
        "tls-key-file $dir/$name.key", "tls-ca-cert-file $dir/ca.crt",
        'tls-auth-clients ' . ($o{auth} // 'no') ]);
    $redis->load->grant('g', 'r', 'a', 4102444800);
}

sub works {
    my ($name, @args) = @_;
    my ($status, $out, $err) = $t->cli(@args, 'list',
        { redis => "rediss://localhost:$tls_port" });
    is $status, 0, $name or diag $err;
}

sub refused {
    my ($name, $pattern, @args) = @_;
    my ($status, $out, $err) = $t->cli(@args, 'list',
        { redis => "rediss://localhost:$tls_port" });
    is $status, 3, "$name: status 3";
    like $err, $pattern, "$name: says why";
}

my @ca = ('--cacert', "$dir/ca.crt");

serve('good');
works('a certificate of the trusted authority', @ca);
refused('an unknown authority', qr/certificate is refused: .*(local issuer|self.signed)/);
refused('another authority', qr/certificate is refused/, '--cacert',
    "$dir/other.crt");
works('not verified', '--insecure');
refused('another name is expected', qr/certificate is refused: .*ostname mismatch/,
    @ca, '--tls-name', 'redis.example.com');
refused('no such file', qr/cannot load --cacert "\/nonexistent": No such file/, '--cacert',
    '/nonexistent');
refused('no key', qr/cannot load --key "\/nonexistent": No such file/, @ca, '--cert',
    "$dir/client.crt", '--key', '/nonexistent');

{
    my ($status, $out, $err) = $t->cli(@ca, 'list',
        { redis => "rediss://127.0.0.1:$tls_port" });
    is $status, 0, 'an address in the certificate' or diag $err;

    ($status, $out, $err) = $t->cli(@ca, '--timeout', '1s', 'list',
        { redis => "rediss://localhost:$redis->{port}" });
    is $status, 3, 'TLS to a port without: 3';
    like $err, qr/while waiting for the TLS handshake; is this port for TLS\?/,
        'says so';

    ($status, $out, $err) = $t->cli('--timeout', '2s', 'list',
        { redis => "redis://localhost:$tls_port" });
    is $status, 3, 'a port with TLS without it: 3';

    ($status, $out, $err) = $t->cli(@ca, 'import', {
        redis => "rediss://localhost:$tls_port", stdin => join '', map {
        qq({"gateway":"g","app":"a$_","expires":1,"note":"@{['x' x 500]}"}\n)
        } 1 .. 3000 });
    is $status, 0, 'much data' or diag $err;
    is $redis->cmd('DBSIZE'), 3002, 'all of it';

    ($status, $out) = $t->cli(@ca, '--json', 'doctor',
        { redis => "rediss://localhost:$tls_port" });
    is $status, 0, 'doctor';
}

serve('elsewhere');
refused('a certificate of another name', qr/certificate is refused: .*ostname mismatch/, @ca);
works('which is the one expected', @ca, '--tls-name', 'redis.example.com');

serve('old');
refused('an expired certificate', qr/certificate is refused: .*expired/, @ca);

serve('stranger');
refused('the authority changed', qr/certificate is refused/, @ca);
works('and was replaced here too', '--cacert', "$dir/other.crt");

serve('good', auth => 'yes');
refused('no client certificate', qr/certificate required|closed the connection|alert/,
    @ca);
works('a client certificate', @ca, '--cert', "$dir/client.crt", '--key',
    "$dir/client.key");
refused('one of a stranger', qr/unknown ca|alert|closed the connection/, @ca,
    '--cert', "$dir/stranger.crt", '--key', "$dir/stranger.key");

spew("$dir/both.pem", slurp("$dir/client.crt") . slurp("$dir/client.key"));
works('certificate and key in one file', @ca, '--cert', "$dir/both.pem");

$redis->stop;
done_testing;

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
            qr/certificate is refused: .*(local issuer|self.signed).*--cacert FILE/);
    refused('another authority',
            qr/certificate is refused: .*no authority that is trusted here has signed it.*--cacert FILE/,
            tls('--cacert', 'other.crt'));
    works('not verified', '--insecure');
    refused('another name is expected',
            qr/certificate is refused: .*ostname mismatch; it is for another name.*--tls-name/,
            @ca, '--tls-name', 'redis.example.com');
    spew($t->dir . '/no.pem', 'x');
    refused('no certificate', qr/cannot load --cacert "\S+no\.pem"/,
            '--cacert', $t->dir . '/no.pem');
    refused('no key', qr/cannot load --key "\S+no\.pem"/,
            @ca, tls('--cert', 'client.crt', '--key', $t->dir . '/no.pem'));
    $t->cli_is(0, 'an address in the certificate', @ca, 'list',
               { redis => "rediss://127.0.0.1:$port" });
};


subtest 'ports with and without TLS' => sub {
    my ($out, $err) = $t->cli_is(3, 'TLS to a port without: 3', @ca,
        '--timeout', '1s', 'list',
        { redis => "rediss://localhost:$redis->{port}" });
    like $err, qr/waiting for the TLS handshake; does Redis hang\? Or is this port not for TLS\? Then the URL begins with redis:|handshake failed: .*; is this port for TLS\? If not, the URL begins with redis:/,
        'says so';

    # one that answers at once, with what is no TLS

    my $silent = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
    my $pid = fork // die;
    if (!$pid) {
        while (my $client = $silent->accept) {
            sysread $client, my $hello, 1000;
            syswrite $client, "-ERR unknown command\r\n";
            close $client;
        }
        POSIX::_exit(0);
    }
    ($out, $err) = $t->cli_is(3, 'TLS to what answers without: 3', @ca, 'list',
        { redis => 'rediss://localhost:' . $silent->sockport });
    kill 'KILL', $pid;
    waitpid $pid, 0;
    like $err, qr/TLS handshake failed: .*; is this port for TLS\? If not, the URL begins with redis:/,
        'says the same';

    for (1 .. 5) {
        ($out, $err) = $t->cli_is(3, 'a port with TLS without it: 3',
            '--timeout', '2s', 'list', { redis => "redis://localhost:$port" });
        like $err, qr/if this port is for TLS, the URL begins with rediss:/,
            'says what to do';
    }
    ($out, $err) = $t->cli_is(3, 'a name that nobody answers at', 'list',
        { redis => 'redis://localhost:1' });
    unlike $err, qr/TLS/, 'has nothing to do with it';
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
    refused('an expired one', qr/certificate is refused: .*expired; renew it on the server/, @ca);

    serve('stranger');
    refused('the authority changed', qr/certificate is refused/, @ca);
    works('and was replaced here too', tls('--cacert', 'other.crt'));
};


subtest 'a client certificate' => sub {
    serve('good', 'yes');
    refused('none', qr/certificate required.*--cert and --key/, @ca)
        for 1 .. 5;
    works('the right one', @ca,
          tls('--cert', 'client.crt', '--key', 'client.key'));
    refused('one of a stranger', qr/unknown CA.*--cert and --key/,
            @ca, tls('--cert', 'stranger.crt', '--key', 'stranger.key'));

    spew($ca->file('both.pem'), join '', map { slurp($ca->file("client.$_")) }
                                             qw(crt key));
    works('certificate and key in one file', @ca, tls('--cert', 'both.pem'));

    local %ENV = (%ENV, APP_PERMISSION_CACERT => $ca->file('ca.crt'),
        APP_PERMISSION_CERT => $ca->file('client.crt'),
        APP_PERMISSION_KEY => $ca->file('client.key'));
    works('all of it by the environment');
};

done_testing;

#!/usr/bin/perl

# check --gateway-url: a running gateway's answer beside that of Redis.

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;
my $json = JSON::PP->new;
my $end = time + 86400;

$redis->load->grant('smoke', 'get_user', 'demo', $end);

$t->nginx(server => <<'EOT');
location = /a {
    app_permission required;
    proxy_pass %%BACKEND%%;
}
location = /garbage {
    app_permission off;
    return 200 '{"decision":';
}
location = /html {
    app_permission off;
    return 200 '<html>';
}
location = /lies/explain {
    app_permission off;
    return 200 '{"decision":"deny","reason":"x\u001b[31m","redis":{"resource_expires":7}}';
}
EOT

my @call = ('check', '--gateway', 'smoke', '--resource', 'get_user', '--app',
            'demo', '--gateway-url');
my $base = "http://127.0.0.1:$t->{listen}";

is $t->get('/a', app => 'demo')->{status}, 200, 'the gateway knows the grant';

{
    my ($status, $out, $err) = $t->cli(@call, "$base/status");
    is $status, 0, 'both allow: 0' or diag $err;
    like $out, qr/^decision +allow \(resource_grant\)$/m, 'what Redis says';
    like $out, qr/^the gateway says\n  now /m, 'what the gateway says';
    like $out, qr/^  cache\.resource_expires +$end$/m, 'what it has cached';

    ($status, $out) = $t->cli('--json', @call, "$base/status/");
    my $answer = $json->decode($out);
    is $answer->{gateway_says}{decision}, 'allow', 'as JSON';
    ok !$answer->{differs}, 'no difference';
}

{
    my ($status, $out, $err) = $t->cli('check', '--gateway', 'smoke',
        '--resource', 'a+b/c', '--app', 'x~y@z', '--gateway-url',
        "$base/status");
    is $status, 1, 'nobody: 1';
    unlike $err, qr/differs/, 'names that need escaping arrive as they are';
    like $out, qr/^  resource +"a\+b\/c"$/m, 'a name with a plus';
}

# a gateway on another table

{
    my $other = Perm::Redis->start(dir => $t->dir . '/other');
    $other->load;
    my ($status, $out, $err) = $t->cli(@call, "$base/status",
        { redis => $other->url });
    is $status, 1, 'another table: 1';
    like $err, qr/differs: its decision is "allow", by Redis it is "deny"/,
        'the decision differs';
    like $err, qr/differs: redis\.resource_expires is $end, in Redis it is null/,
        'and why';
    $other->stop;
}

# what is no gateway

{
    my ($status, $out, $err) = $t->cli(@call, "$base/lies");
    is $status, 1, 'another decision: 1';
    like $err, qr/its reason is "x\\\\u001b\[31m"/, 'escaped';

    for (['ftp://h', qr/does not begin with http/, 2],
         ["$base/nothing", qr/status 404/, 3],
         ["$base/a?x=", qr/a query/, 2],
         ['http://127.0.0.1:1/s', qr/cannot connect/, 3],
         ['http://:80/', qr/no host/, 2],
         ['http://h:x/', qr/bad port/, 2]) {
        my ($status, $out, $err) = $t->cli(@call, $_->[0]);
        is $status, $_->[2], "$_->[0]: $_->[2]";
        like $err, $_->[1], 'says why';
    }
}

$t->done;

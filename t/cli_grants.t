#!/usr/bin/perl

# grant, revoke, check, list: what they write and say, and that what others
# wrote is read with care.

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;
my $json = JSON::PP->new;

sub key { "app_permission:grants:{$_[0]:$_[1]}" }
sub value { $redis->cmd('HGET', key($_[0], $_[2]), $_[1] // '-') }
sub near { abs($_[0] - $_[1]) < 10 * $Perm::Util::SLOW }

my @g = ('--gateway', 'smoke', '--app', 'demo');
my @r = (@g, '--resource', 'get_user');

# ---- before there is a table

{
    my ($status, $out, $err) = $t->cli('check', @r);
    is $status, 1, 'check of a table that is not loaded: no';
    like $out, qr/^decision\s+fail \(unavailable\)$/m, 'it is unavailable';
    like $err, qr/not loaded: "app_permission:meta" is missing/, 'says why';

    ($status) = $t->cli('list');
    is $status, 1, 'nothing to list: 1';

    # not loaded and without a grant, as under a wrong prefix: no answer

    my @whole = (['export'], ['renew'], ['expiring'], ['renew', '--dry-run']);

    for (@whole) {
        ($status, $out, $err) = $t->cli(@$_);
        is $status, 1, "nothing to @$_: 1";
        is $out, '', 'and nothing out';
        like $err, qr/not loaded/, 'says why';
    }

    for my $fill (sub { $redis->grant('g', 'r', 'a', time + 1000) },
                  sub { $redis->load }, sub { $redis->revoke('g', 'r', 'a') }) {
        $fill->();
        for (@whole) {
            ($status) = $t->cli(@$_);
            is $status, 0, "@$_ of what is there: 0";
        }
    }
    $redis->cmd('FLUSHALL');
}

# ---- grant

{
    my ($status, $out, $err) = $t->cli('grant', @g);
    is $status, 0, 'grant on the gateway';
    like $err, qr/was not loaded and is from now on/,
        'says what else the first one does';
    like $out, qr/^granted: app demo, gateway smoke, all resources, until 20/,
        'says what';
    is $redis->cmd('HGET', 'app_permission:meta', 'schema'), '1',
        'the first grant marks the table as loaded';

    my $v = $json->decode(value('smoke', undef, 'demo'));
    ok near($v->{expires}, time + 180 * 86400), '180 days';
    ok near($v->{granted}, time), 'granted now';
    is_deeply [sort keys %$v], ['expires', 'granted'], 'and nothing else';

    ($status, $out, $err) = $t->cli('grant', @r, '--days', 0, '--type',
        'apply');
    is $err, '', 'the second one does not';
    $v = $json->decode(value('smoke', 'get_user', 'demo'));
    is $v->{expires}, 4102444800, '--days 0 is permanent';
    is $v->{type}, 'apply', 'with its type';

    $t->cli('grant', @r, '--expires', '2030-01-01T08:00:00+08:00');
    $v = $json->decode(value('smoke', 'get_user', 'demo'));
    is $v->{expires}, 1893456000, '--expires in RFC 3339';
    is $v->{type}, 'apply', 'the type stays';

    $t->cli('grant', @r, '--expires', '1893456001', '--type', "\xe6\x9d\x83");
    $v = JSON::PP->new->utf8->decode(value('smoke', 'get_user', 'demo'));
    is $v->{expires}, 1893456001, '--expires in seconds';
    is $v->{type}, "\x{6743}", 'a type in UTF-8';
}

# ---- what others keep in the value is kept, to the byte

{
    $redis->cmd('HSET', key('smoke', 'keep'), 'r', '{"ticket": '
        . '12345678901234567890, "note":"a\\u0000b", "expires" : 5,'
        . ' "sum":1.10}');
    $t->cli('grant', '--gateway', 'smoke', '--app', 'keep', '--resource', 'r',
        '--expires', 1893456000);
    like value('smoke', 'r', 'keep'), qr/^\{"ticket":12345678901234567890,"note":"a\\u0000b","expires":1893456000,"sum":1\.10,"granted":\d+\}$/,
        'unknown members stay as they were';

    for ('1893456000', '"x"', '{"expires":1,"expires":2}', "\xff\0") {
        $redis->cmd('HSET', key('smoke', 'keep'), 'r', $_);
        my ($status) = $t->cli('grant', '--gateway', 'smoke', '--app', 'keep',
            '--resource', 'r', '--days', 1);
        is $status, 0, 'grant over a value of another kind';
        like value('smoke', 'r', 'keep'), qr/^\{"expires":\d+,"granted":\d+\}$/,
            'makes it an object';
    }
}

# ---- check: every row of the decision

my $now = time;
my ($live, $over) = ($now + 1000, $now - 1000);

for (
    [undef, undef, 'deny', 'no_grant'],
    [$live, undef, 'allow', 'gateway_grant'],
    [$live, $over, 'allow', 'gateway_grant'],
    [undef, $live, 'allow', 'resource_grant'],
    [$over, $live, 'allow', 'resource_grant'],
    [$over, undef, 'deny', 'gateway_grant_expired'],
    [undef, $over, 'deny', 'resource_grant_expired'],
    [$over, $over, 'deny', 'resource_grant_expired'],
    ['253402300800', undef, 'deny', 'no_grant'],
    [$over, '{"expires":1,}', 'deny', 'gateway_grant_expired'],
    ['{"Expires":9999999999}', undef, 'deny', 'no_grant'],
) {
    my ($gateway, $resource, $decision, $reason) = @$_;
    $redis->cmd('DEL', key('g', 'a'));
    $redis->cmd('HSET', key('g', 'a'), '-', $gateway) if defined $gateway;
    $redis->cmd('HSET', key('g', 'a'), 'r', $resource) if defined $resource;

    my ($status, $out) = $t->cli('--json', 'check', '--gateway', 'g', '--app',
        'a', '--resource', 'r');
    my $answer = $json->decode($out);
    is "$answer->{decision} $answer->{reason}", "$decision $reason",
        sprintf 'gateway %s, resource %s: %s', $gateway // 'absent',
                $resource // 'absent', $reason;
    is $status, $decision eq 'allow' ? 0 : 1, 'and the status tells';
}

for (['g', 'a b', 'deny', 'invalid_app'], ['g', '', 'deny', 'no_app'],
     ['', 'a', 'fail', 'bad_config']) {
    my ($status, $out) = $t->cli('--json', 'check', '--gateway', $_->[0],
        '--app', $_->[1], '--resource', 'r');
    my $answer = $json->decode($out);
    is "$answer->{decision} $answer->{reason}", "$_->[2] $_->[3]", $_->[3];
    is $status, 1, 'status 1';
}

{
    $redis->cmd('ZADD', 'app_permission:access:{smoke:demo}', 1700000000,
        'get_user', 1700000100, 'other');
    my ($status, $out) = $t->cli('--json', 'check', @r);
    my $answer = $json->decode($out);
    is $answer->{last_access}, 1700000000, 'last access of the resource';
    is $answer->{gateway_last_access}, 1700000100, 'and of the gateway';
    is $answer->{resource_grant}{state}, 'live', 'the resource grant';
    is $answer->{resource_grant}{expires}, 1893456001, 'and its end';
}

# ---- list

{
    $redis->cmd('FLUSHALL');
    $redis->load->grant('g1', undef, 'a1', $live, type => '"apply"')
        ->grant('g1', 'r1', 'a1', $over)->grant('g1', 'r1', 'a2', $live)
        ->grant('g2', 'r2', 'a1', 4102444800)
        ->grant('g2', 'bad', 'a1', '{"expires":1,}')
        ->grant('g2', 'evil', 'a1', "\e[31m");
    $redis->cmd('HSET', key('g2', 'a1'), "bad\x07field", 1);
    $redis->cmd('HSET', 'app_permission:grants:{n o:x}', 'x', 1);
    $redis->cmd('SET', key('g2', 'a2'), 'no hash');
    $redis->cmd('ZADD', 'app_permission:access:{g1:a1}', 100, 'r1', 200, 'r9');

    my $list = sub {
        my ($status, $out, $err) = $t->cli('--json', 'list', @_);
        return join ' ', sort map {
            my $g = $json->decode($_);
            "$g->{gateway}/" . ($g->{resource} // '-') . "/$g->{app}@"
                . ($g->{last_access} // 'never');
        } split /\n/, $out;
    };

    is $list->(), 'g1/-/a1@200 g1/r1/a1@100 g1/r1/a2@never g2/r2/a1@never',
        'list';
    is $list->('--gateway', 'g1'),
        'g1/-/a1@200 g1/r1/a1@100 g1/r1/a2@never', 'by gateway';
    is $list->('--app', 'a1'), 'g1/-/a1@200 g1/r1/a1@100 g2/r2/a1@never',
        'by app';
    is $list->('--gateway', 'g1', '--app', 'a2'), 'g1/r1/a2@never', 'by both';
    is $list->('--expired'), 'g1/r1/a1@100', 'expired';
    is $list->('--unused-since', 150),
        'g1/r1/a1@100 g1/r1/a2@never g2/r2/a1@never', 'unused since';
    is $list->('--gateway', 'g'), '', 'no gateway begins with another';

    my ($status, $out, $err) = $t->cli('list');
    is $status, 0, 'list for people';
    like $out, qr/^g1 +- +a1 +\d{4}-.*1970-01-01T00:03:20Z apply$/m, 'a row';
    like $out, qr/^g2 +r2 +a1 +permanent +- +$/m, 'a permanent one';
    like $err, qr/field "bad": unreadable grant.*\{"expires":1,\}/,
        'an unreadable value is named';
    like $err, qr/field "evil": unreadable grant.*\\x1b\[31m/, 'and escaped';
    like $err, qr/field "bad\\x07field": no name/, 'so is a field that is no name';
    like $err, qr/"app_permission:grants:\{n o:x\}": no key/, 'and a key that is none';

    ($status) = $t->cli('list', '--app', 'nobody');
    is $status, 1, 'nothing found: 1';

    ($status, $out, $err) = $t->cli('list', '--gateway', 'g2', '--app', 'a2');
    is $status, 1, 'a key of another type is no grant';
    like $err, qr/\{g2:a2\}" is of another type/, 'and named';
}

# ---- a hash of many thousands is read in parts

{
    my @many = map { ("r$_", $live) } 1 .. 5000;
    $redis->cmd('HSET', key('big', 'a'), @many);
    my ($status, $out) = $t->cli('--json', 'list', '--gateway', 'big');
    my %seen = map { $json->decode($_)->{resource} => 1 } split /\n/, $out;
    is scalar keys %seen, 5000, 'all of a big hash';
    unlike $redis->cmd('INFO', 'commandstats'), qr/cmdstat_hgetall/,
        'without HGETALL';
}

# ---- revoke

{
    $redis->grant('smoke', undef, 'demo', $live);
    my ($status, $out) = $t->cli('revoke', @g);
    is $status, 0, 'revoke';
    is value('smoke', undef, 'demo'), undef, 'it is gone';

    ($status, $out) = $t->cli('--json', 'revoke', @g);
    is $status, 1, 'there is none any more: 1';
    like $out, qr/"result":"no such grant"/, 'said so';
}

# ---- a grant is not written over what somebody else just wrote

{
    my $fake = $t->fake_redis(to => $redis);
    $redis->cmd('DEL', key('smoke', 'demo'));
    $redis->grant('smoke', undef, 'demo', '{"expires":1,"mine":1}');

    # between the reading and the writing

    $fake->rules({ match => qr/^EVAL /, times => 1, delay => 0.5 });
    my $pid = fork // die;
    if (!$pid) {
        my ($status) = $t->cli('grant', @g, { redis => $fake->url });
        POSIX::_exit($status);
    }
    wait_for(sub { $fake->commands(qr/^EVAL/) });
    $redis->grant('smoke', undef, 'demo', '{"expires":2,"theirs":1}');
    waitpid $pid, 0;

    is $?, 0, 'granted';
    like value('smoke', undef, 'demo'), qr/"theirs":1/,
        'on top of what came meanwhile';
    $fake->stop;
}

$redis->stop;
done_testing;

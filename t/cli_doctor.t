#!/usr/bin/perl

# doctor, and what the other commands say when rights are missing.

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;
my $json = JSON::PP->new;

sub doctor {
    my ($url, @args) = @_;
    my ($status, $out) = $t->cli('--json', 'doctor', @args,
        { redis => $url // $redis->url });
    my %by;
    push @{$by{$_->{check}}}, $_ for map { $json->decode($_) } split /\n/, $out;
    return ($status, \%by, $out);
}
sub bad { grep { $_->{status} ne 'ok' } map { @$_ } values %{$_[0]} }

# ---- all well

{
    $redis->load;
    my ($status, $by, $out) = doctor();
    is $status, 0, 'a fit Redis: 0';
    is_deeply [map { $_->{message} } bad($by)], [], 'no complaint';
    ok $by->{$_}, "looks at $_" for qw(reachable version role eviction memory
        disk clock tracking meta rights types);
    is_deeply $redis->cmd('KEYS', '*'), ['app_permission:meta'],
        'and leaves nothing behind';

    ($status, $out) = $t->cli('doctor');
    like $out, qr/^ok       version      \S+ \d+\.\d/m, 'for people';
}

# ---- each thing that can be wrong

{
    $redis->cmd('DEL', 'app_permission:meta');
    my ($status, $by) = doctor();
    is $status, 1, 'no meta: 1';
    is $by->{meta}[0]{status}, 'error', 'an error';
    like $by->{meta}[0]{message}, qr/missing.*check --prefix/, 'what to do';

    $redis->cmd('HSET', 'app_permission:meta', 'schema', 9);
    ($status, $by) = doctor();
    like $by->{meta}[0]{message}, qr/schema "9"/, 'another schema';

    $redis->cmd('DEL', 'app_permission:meta');
    $redis->cmd('SET', 'app_permission:meta', 9);
    ($status, $by) = doctor();
    like $by->{meta}[0]{message}, qr/WRONGTYPE/, 'another type';
    $redis->cmd('DEL', 'app_permission:meta');
    $redis->load;

    $redis->cmd('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    ($status, $by) = doctor();
    is $status, 0, 'eviction without a limit: a warning';
    is $by->{eviction}[0]{status}, 'warning', 'as it says';

    $redis->cmd('CONFIG', 'SET', 'maxmemory', '100mb');
    ($status, $by) = doctor();
    is $status, 1, 'with a limit: an error';
    like $by->{eviction}[0]{message}, qr/allkeys-lru may drop grants.*noeviction/,
        'what to do';
    is $by->{memory}[0]{status}, 'ok', 'memory left';

    my ($used) = $redis->cmd('INFO', 'memory') =~ /used_memory:(\d+)/;
    $redis->cmd('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    $redis->cmd('CONFIG', 'SET', 'maxmemory', int($used * 1.05));
    ($status, $by) = doctor();
    is $by->{memory}[0]{status}, 'warning', 'memory nearly full';
    $redis->cmd('CONFIG', 'SET', 'maxmemory', 0);

    my $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/^TIME/, reply => sprintf
        "*2\r\n\$10\r\n%d\r\n\$1\r\n0\r\n", time + 100 });
    ($status, $by) = doctor($fake->url);
    is $by->{clock}[0]{status}, 'error', 'clocks apart';
    like $by->{clock}[0]{message}, qr/^(99|100|101) s apart/, 'by how much';

    $fake->rules({ match => qr/^INFO/, reply =>
        "\$43\r\nredis_version:5.0.3\r\nredis_mode:standalone\r\n\r\n" });
    ($status, $by) = doctor($fake->url);
    is $by->{version}[0]{status}, 'error', 'an old Redis';

    $fake->rules({ match => qr/^INFO/, reply =>
        "\$45\r\nredis_version:7.2.4\r\nvalkey_version:8.0.1\r\n\r\n\r\n" });
    ($status, $by) = doctor($fake->url);
    is $by->{version}[0]{message}, 'Valkey 8.0.1', 'a Valkey';
    $fake->stop;
    delete $t->{fake};

    $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/^HMGET/, reply => "-MOVED 1 h:1\r\n" });
    ($status, $by) = doctor($fake->url);
    is_deeply [map { $_->{message} } bad($by)], ['HMGET fails, needed for '
        . 'looking grants up: MOVED 1 h:1; this is a cluster: use a '
        . 'redis+cluster:// URL'], 'what fails, and what to do';
    $fake->stop;
    delete $t->{fake};

    ($status, $by) = doctor('unix:/nonexistent');
    is $status, 3, 'not there: 3';
    is $by->{reachable}[0]{status}, 'error', 'said so';
}

# ---- keys of another type: named by doctor, told of by what skips them

{
    $redis->cmd('FLUSHALL');
    $redis->load->grant('g', 'r', 'a', time - 10)
        ->grant('g', 'r', 'z', time - 400 * 86400);
    $redis->cmd('SET', 'app_permission:grants:{g:odd}', 'x');
    $redis->cmd('SADD', 'app_permission:access:{g:a}', 'x');

    my ($status, $by) = doctor();
    is $status, 1, 'keys of another type: 1';
    is_deeply [map { "$_->{status} $_->{message}" } @{$by->{types}}],
        ['error "app_permission:grants:{g:odd}" is no hash: calls of this app '
            . 'get 503; rename or remove it',
         'error "app_permission:access:{g:a}" is no sorted set: accesses of '
            . 'this app are not recorded; rename or remove it'],
        'each is named, with what it does';
    ($status, $by) = doctor(undef, '--for', 'gateway');
    is $status, 0, 'a gateway has no right to look: 0';

    # one is named, several are counted

    $redis->cmd('DEL', 'app_permission:access:{g:a}');
    my $one = qr/^app-permission: "app_permission:grants:\{g:odd\}" is of another type than the table's keys: skipped$/m;
    for my $command (qw(list export renew expiring)) {
        my ($code, $out, $err) = $t->cli($command);
        is $code, 0, "$command: 0";
        is scalar(() = $err =~ /$one/g), 1, 'the key is named';
    }

    $redis->cmd('LPUSH', "app_permission:grants:{g:odd$_}", 'x') for 1 .. 29;
    for my $command (qw(list export renew expiring)) {
        my ($code, $out, $err) = $t->cli($command);
        is $code, 0, "$command: 0";
        is_deeply [$err =~ /(.*another type.*)/g], [$err =~
            /^(app-permission: 30 keys, as ".*\{g:odd\d*\}", are of another type .*: skipped; "doctor" names them)$/m],
            'they are counted, once';
        like $err, qr/another type/, 'indeed';
    }

    ($status, $by) = doctor();
    is scalar @{$by->{types}}, 11, 'doctor names ten';
    like $by->{types}[10]{message}, qr/^30 keys are of a wrong type/,
        'and counts all';

    # nor do they stop a purge

    $redis->cmd('ZADD', 'app_permission:access:{g:odd}', 5, 'r');
    $redis->cmd('ZADD', 'app_permission:access:{g:gone}', 5, 'r');
    $redis->cmd('SET', 'app_permission:access:{g:a}', 'x');
    my ($code, $out, $err) = $t->cli('--json', 'purge');
    is $code, 0, 'purge' or diag $err;
    is_deeply($json->decode($out), { grants => 1, accesses => 1 },
        'what is of the right type is purged');
    like $err, qr/^app-permission: 30 keys, as /m, 'grants are told of';
    like $err, qr/access:\{g:a\}" is of another type/, 'and accesses';
    is $redis->access('g', 'r', 'odd'), 5,
        'accesses of an app whose grants cannot be read stay';

    ($code, $out, $err) = $t->cli('access');
    is $code, 0, 'access';
    like $err, qr/access:\{g:a\}" is of another type/, 'names it too';
    $redis->cmd('FLUSHALL');
    $redis->load;
}

# ---- a replica

{
    my $replica = Perm::Redis->start(dir => $t->dir . '/replica');
    $replica->cmd('REPLICAOF', '127.0.0.1', $redis->{port});
    wait_for(sub { $replica->cmd('INFO', 'replication')
        =~ /master_link_status:up/ });

    my ($status, $by) = doctor($replica->url);
    is $status, 1, 'a replica: 1';
    is $by->{role}[0]{status}, 'error', 'an error';

    my ($code, $out, $err) = $t->cli('grant', '--gateway', 'g', '--app', 'a',
        { redis => $replica->url });
    is $code, 3, 'a grant on a replica fails: 3';
    like $err, qr/READONLY.*give the address of the master/, 'what to do';
    $replica->stop;
}

# ---- rights: the users of the manual can do their work, and no more

sub user {
    my ($name, @rules) = @_;
    $redis->cmd('ACL', 'SETUSER', $name, 'reset', 'on', '>secret', @rules);
    return "redis://$name:secret\@127.0.0.1:$redis->{port}";
}

my $manual = slurp("$Perm::Test::ROOT/src/cli/app-permission.1")
    =~ s/\\-/-/gr =~ s/\\\(ti/~/gr;
my %lines = users($manual);
my %readme = users(slurp("$Perm::Test::ROOT/README.md"));

sub users {
    my ($text) = @_;
    return map { /^ACL SETUSER (\w+) on >PASSWORD (.*)/
        ? ($1, [split ' ', $2]) : () } split /\n/, $text;
}

is_deeply [sort @{$readme{$_}}], [sort @{$lines{$_}}],
    "README and manual have the same rights for the $_"
    for qw(renewal auditor);

for my $name (qw(renewal auditor)) {
    {
        my $url = user($name, @{$lines{$name}});
        my ($status, $by) = doctor($url, '--for', $name);
        is join("\n", map { "$_->{check}: $_->{message}" }
            grep { $_->{status} eq 'error' } bad($by)), '',
            "the $name of the manual has all its rights";
        is $status, 0, 'and doctor says so';
    }
}

{
    $redis->grant('g', 'r', 'a', time + 86400);
    $redis->cmd('ZADD', 'app_permission:access:{g:a}', time, 'r');

    my $auditor = user('auditor', @{$lines{auditor}});
    for (['list'], ['export'], ['access'], ['expiring'],
         ['check', '--gateway', 'g', '--resource', 'r', '--app', 'a']) {
        my ($status, $out, $err) = $t->cli(@$_, { redis => $auditor });
        is $status, 0, "an auditor's $_->[0]" or diag $err;
    }

    my ($status, $out, $err) = $t->cli('grant', '--gateway', 'g', '--app', 'a',
        { redis => $auditor });
    is $status, 3, 'but no grant';
    like $err, qr/NOPERM.*'(hsetnx|eval)'.*ACL SETUSER/i, 'the right is named';

    my $renewal = user('renewal', @{$lines{renewal}});
    for (['grant', '--gateway', 'g', '--app', 'b'], ['renew'], ['purge'],
         ['revoke', '--gateway', 'g', '--app', 'b']) {
        my ($status, $out, $err) = $t->cli(@$_, { redis => $renewal });
        is $status, 0, "the renewal job's $_->[0]" or diag $err;
    }
    ($status, $out, $err) = $t->cli('import', { redis => $renewal, stdin =>
        '{"gateway":"g","app":"z","expires":1}' });
    is $status, 0, 'and import' or diag $err;
}

{
    my $url = user('nobody', '~app_permission:*', '-@all', '+hget', '+hmget',
        '+zadd', '+ping', '+role', '+info', '+time');
    my ($status, $by) = doctor($url, '--for', 'gateway');
    is $status, 1, 'a right is missing: 1';
    is_deeply [map { $_->{check} } grep { $_->{status} eq 'error' } bad($by)],
        ['tracking'], 'it is named';
    like $by->{tracking}[0]{message}, qr/client(?:\|id)?/, 'as Redis calls it';

    my ($code, $out, $err) = $t->cli('list', { redis =>
        "redis://nobody:wrong\@127.0.0.1:$redis->{port}" });
    is $code, 3, 'a wrong password: 3';
    like $err, qr/WRONGPASS/, 'said so';
    unlike $err, qr/wrong\b/, 'without it';

    spew($t->dir . '/password', "secret\n");
    ($code) = $t->cli('--user', 'nobody', '--password-file',
        $t->dir . '/password', 'check', '--gateway', 'g', '--resource', 'r',
        '--app', 'a', { redis => $redis->tcp_url });
    is $code, 3, 'a user by option';

    $redis->cmd('ACL', 'SETUSER', 'default', 'off');
    ($code, $out, $err) = $t->cli('list', { redis => $redis->tcp_url });
    is $code, 3, 'no password: 3';
    like $err, qr/NOAUTH.*--password-file/, 'what to do';
    $redis->{client} && $redis->cmd('ACL', 'SETUSER', 'default', 'on');
}

$redis->stop;
done_testing;

#!/usr/bin/perl

# doctor, and what the other commands say when rights are missing.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;
my @ga = qw(--gateway g --app a);
my @gb = qw(--gateway g --app b);

# what it says, by check; bad() is what is not well of that

sub doctor {
    my ($expected, $name, @args) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($out) = $t->cli_is($expected, $name, '--json', 'doctor', @args);
    my %by;
    push @{$by{$_->{check}}}, $_ for json_lines($out);
    return \%by;
}

sub bad { grep { $_->{status} =~ /error|warning/ } map { @$_ } values %{$_[0]} }

sub says {
    my ($by, $check, $status, $pattern, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is $by->{$check}[0]{status}, $status, "$check: $status";
    like $by->{$check}[0]{message}, $pattern, $name;
}

sub remedy {
    my ($by, $user) = @_;
    my ($remedy) = grep { defined } map { $_->{remedy} } @{$by->{rights}};
    return $remedy && $remedy =~ /^in redis-cli: (ACL SETUSER $user [^;]*)/ ? $1 : '';
}

sub config { $redis->cmd('CONFIG', 'SET', @_) }


subtest 'all well' => sub {
    $t->cli('init');
    config('appendonly', 'yes');
    my $by = doctor(0, 'a fit Redis: 0');
    is_deeply [map { $_->{message} } bad($by)], [], 'no complaint';
    ok $by->{$_}, "looks at $_" for qw(reachable version role eviction memory
        disk clock tracking meta rights types values expire accesses);
    is_deeply $redis->cmd('KEYS', '*'), ['app_permission:meta'],
        'and leaves nothing behind';

    my ($out, $err) = $t->cli_is(0, 'for people', 'doctor');
    is $out, 'ok       reachable version role eviction memory disk clock tracking '
        . "meta rights types values expire accesses\n", '... one line';
    like $err, qr/: 0 errors, 0 warnings$/m, 'and the sum';
    ($out) = $t->cli_is(0, 'all of it', 'doctor', '--verbose');
    like $out, qr/^ok       version      \S+ \d+\.\d/m, '... a line each';

    $redis->cmd('HDEL', 'app_permission:meta', 'id');
    like doctor(0, 'a table without an id')->{meta}[0]{message},
        qr/no id.*"init" gives it one/, 'is told';
};


subtest 'colours on a terminal' => sub {
    plan skip_all => 'no script(1)' unless grep { -x "$_/script" } split /:/, $ENV{PATH};
    my $run = sub {
        local %ENV = (%ENV, TERM => 'xterm', @_);
        my $command = "$Perm::Cli::BINARY --redis "
            . $redis->url . ' doctor';
        return `script -qec '$command' /dev/null 2>/dev/null </dev/null`;
    };
    my $out = $run->();
    like $out, qr/\e\[32mok/, 'green';
    like $out, qr/looked at keys: \d+\r\e\[K\e\[32mok/,
        'the progress is gone when a result comes';
    unlike $run->(NO_COLOR => 1), qr/\e\[\d/, 'not with NO_COLOR';
    unlike $run->(TERM => 'dumb'), qr/\e\[\d/, 'nor where there are none';
    (undef, $out) = $t->cli('doctor');
    unlike $out, qr/\e/, 'nor in a file';
};


subtest 'a table that a restart or a crash would lose' => sub {
    config('appendonly', 'no');
    my $by = doctor(0, 'neither save nor appendonly: a warning');
    says($by, 'disk', 'warning', qr/restart of Redis loses the table/, 'says so');
    like $by->{disk}[0]{remedy}, qr/^in redis-cli: CONFIG SET appendonly yes/, 'and what to do';
    my $remedy = $by->{disk}[0]{remedy};

    config('save', '3600 1');
    $by = doctor(0, 'snapshots only: a warning');
    says($by, 'disk', 'warning', qr/^only snapshots.*a crash of Redis.*changes since the last one.*revoked/,
         'says so');
    is $by->{disk}[0]{remedy}, $remedy, 'the same to do';

    my $url = user('blind', '~*', '&*', '+@all', '-config');
    $by = doctor(0, 'who may not see: a warning', { redis => $url });
    says($by, 'disk', 'warning', qr/^no append-only file: a crash of Redis.*CONFIG GET is refused/,
         'says what is known');

    config('appendonly', 'yes');
    says(doctor(0, 'appendonly'), 'disk', 'ok', qr/append-only/, 'is fine');
    config('save', '');
};


subtest 'what is in the table' => sub {
    my $now = int time;
    $redis->empty->load->grant('g', 'long', 'a', '{"expires":9999999999,"x":"'
        . 'x' x 70000 . '"}')->grant('g', 'odd', 'a', 'x')
        ->grant('g', 'odd', 'b', '{"expires":1,}')->grant('g', 'r', 'c', 5);
    $redis->used('g', 'r', 'c', $now + 100000);
    $redis->used('g', 's', 'c', $now - 1);
    $redis->used('g', 'no-time', 'a', 'inf');
    $redis->cmd('EXPIRE', key('grants', 'c', 'g'), 1000);

    my $by = doctor(0, 'warnings only: 0');
    is_deeply [map { $_->{status} } @{$by->{values}}], ['warning', 'warning'],
        'two kinds of values that cannot be read';
    like $by->{values}[0]{message}, qr/^1 value is longer than 64 KiB.*\{g:a\}", field "long"/,
        'one that is too long';
    like $by->{values}[1]{message}, qr/^2 grants cannot be read.*\{g:[ab]\}", field "odd"/,
        'two that are no JSON';
    says($by, 'expire', 'warning', qr/^1 key of grants has a time to live.*\{g:c\}".*whatever they say/,
        'says what holds');
    says($by, 'accesses', 'warning', qr/^1 access is in Redis's future.*\{g:c\}", field "r"/,
        'counted and named');
    $redis->empty->load;
};


subtest 'meta' => sub {
    my $by;
    my $meta = 'app_permission:meta';
    $redis->cmd('DEL', $meta);
    says(doctor(1, 'no meta: 1'), 'meta', 'error',
         qr/missing.*import a copy.*init.*check --prefix/, 'what to do');
    $redis->cmd('HSET', $meta, 'schema', 9);
    says(doctor(1, 'another schema'), 'meta', 'error', qr/schema "9"/, 'which');
    $redis->cmd('DEL', $meta);
    $redis->cmd('SET', $meta, 9);
    $by = doctor(1, 'another type');
    says($by, 'meta', 'error', qr/WRONGTYPE/, 'said so');
    is scalar bad($by), 1, '... once';
    $redis->cmd('DEL', $meta);
    $redis->load;
};


subtest 'memory' => sub {
    config('maxmemory-policy', 'allkeys-lru');
    my $by = doctor(0, 'eviction without a limit: a warning');
    is $by->{eviction}[0]{status}, 'warning', 'as it says';

    config('maxmemory', '100mb');
    $by = doctor(1, 'with a limit: an error');
    like $by->{eviction}[0]{message}, qr/allkeys-lru may drop grants.*noeviction/,
        'what to do';
    is $by->{memory}[0]{status}, 'ok', 'memory left';

    my ($used) = $redis->cmd('INFO', 'memory') =~ /used_memory:(\d+)/;
    config('maxmemory-policy', 'noeviction');
    config('maxmemory', int($used * 1.05));
    $by = doctor(0, 'nearly full');
    is $by->{memory}[0]{status}, 'warning', 'memory nearly full';
    config('maxmemory', 0);
};


sub doctor_slow {
    my ($fake, $times) = @_;
    $fake->rules({ match => qr/^PING/, times => $times, delay => 0.08 });
    return doctor(0, "$times slow", { redis => $fake->url })->{reachable}[0]{status};
}

subtest 'what Redis says of itself' => sub {
    my $fake = $t->fake_redis(to => $redis);
    my $with = sub {
        my ($rule, @expected) = @_;
        $fake->rules($rule);
        return doctor(@expected, { redis => $fake->url });
    };
    my $info = sub { { match => qr/^INFO/, reply => Perm::FakeRedis::bulk(
        join '', map { "$_\r\n" } @_) } };

    says($with->({ match => qr/^TIME/, reply => sprintf
                   "*2\r\n\$10\r\n%d\r\n\$1\r\n0\r\n", int(time) + 100 },
                 1, 'another time'),
         'clock', 'error', qr/^(99|100|101) s apart/, 'by how much');

    is doctor_slow($fake, 1), 'ok', 'one slow answer is chance';
    is doctor_slow($fake, 3), 'warning', 'three are not';

    my $by = $with->($info->('redis_version:5.0.3', 'redis_mode:standalone'),
                     1, 'an old Redis');
    is $by->{version}[0]{status}, 'error', 'an error';
    is_deeply [sort keys %$by], ['reachable', 'version'], 'and nothing else is tried';
    $by = $with->($info->('redis_version:7.2.4', 'valkey_version:8.0.1'),
                  0, 'a Valkey');
    is $by->{version}[0]{message}, 'Valkey 8.0.1', 'is one';

    $by = $with->({ match => qr/^HMGET \S+grants/, reply => "-MOVED 1 h:1\r\n" },
                  3, 'one of a cluster');
    is_deeply [map { $_->{message} } bad($by)], ['MOVED: this is a '
        . 'cluster: use a redis+cluster:// URL; the rest was not looked at'],
        'what fails, and what to do';
    $fake->stop;

    $by = doctor(3, 'not there: 3', { redis => 'unix:/nonexistent' });
    is $by->{reachable}[0]{status}, 'error', 'said so';
};


# one line, not one for each command that gets the reply

subtest 'replies that are about the server' => sub {
    my $fake = $t->fake_redis(to => $redis);
    my %says = (
        LOADING => ['LOADING Redis is loading the dataset in memory',
                    qr/^LOADING: Redis is still loading its data: try again later; the rest/],
        MASTERDOWN => ["MASTERDOWN Link with MASTER is down and replica-serve-"
                       . "stale-data is set to 'no'.", qr/without its master/],
        NOAUTH => ['NOAUTH Authentication required.', qr/--password-file/],
        CLUSTERDOWN => ['CLUSTERDOWN The cluster is down', qr/all slots/],
        BUSY => ['BUSY Redis is busy running a script.', qr/SCRIPT KILL/],
        'no code' => ['ERR max number of clients reached', qr/^ERR max number of clients/],
    );

    for my $code (sort keys %says) {
        my ($reply, $pattern) = @{$says{$code}};
        for my $match ($code eq 'no code' ? '^PING' : ('.', '^ROLE', '^HMGET', '^EVAL')) {
            $fake->rules({ match => qr/$match/, reply => "-$reply\r\n" });
            my $by = doctor(3, "$code to $match: 3", { redis => $fake->url });
            my @bad = bad($by);
            is scalar @bad, 1, '... is said once';
            is $bad[0]{check}, 'reachable', '... of the server';
            like $bad[0]{message}, $pattern, '... with what to do';
        }
    }

    # ... and a link that breaks, between any two

    for my $match (qw(PING INFO ROLE TIME)) {
        $fake->rules({ match => qr/^$match/, close => 1 });
        my $by = doctor(3, "closed at $match: 3", { redis => $fake->url });
        is_deeply [map { "$_->{check} $_->{message}" } bad($by)],
            ['reachable the server closed the connection; the rest was not '
                . 'looked at'], '... is said once'
            if $match ne 'PING';
    }
    $fake->rules({ match => qr/^EVAL/, close => 1 });
    my ($out, $err) = $t->cli_is(3, 'at EVAL: 3', 'doctor', { redis => $fake->url });
    is scalar(() = "$out$err" =~ /closed the connection/g), 1, '... is said once';
    unlike $out, qr/^error/m, '... and nothing else';
    is_deeply [map { "$_->{check} $_->{message}" } bad(doctor(3, 'by program: 3',
        { redis => $fake->url }))], ['reachable not all was looked at: standard '
            . 'error says why'], '... is said there, too';

    # ... or about commands that it does not have

    $fake->rules(map { { match => qr/^$_/, reply => "-ERR unknown command '$_', "
        . "with args beginning with: 'x' \r\n" } } qw(EVAL HSCAN));
    is_deeply [map { $_->{message} } bad(doctor(1, 'renamed: 1', { redis => $fake->url }))],
        ['this server knows no HSCAN, needed for visiting the whole table: is it renamed, or is this a proxy?',
         'this server knows no EVAL, needed for changing grants: is it renamed, or is this a proxy?'],
        '... each is said once';

    # ... or about its writes

    for my $reply ("OOM command not allowed when used memory > 'maxmemory'.",
                   'MISCONF Errors writing to the AOF file: No space left',
                   'NOREPLICAS Not enough good replicas to write.')
    {
        $fake->rules({ match => qr/^(EVAL|HSETNX|HDEL)/, reply => "-$reply\r\n" });
        my @bad = bad(doctor(1, "$reply: 1", { redis => $fake->url }));
        is scalar @bad, 1, '... is said once';
        is $bad[0]{check}, 'writing', '... of all that is written';
        like $bad[0]{message}, qr/raise maxmemory|its log|its replicas/,
            '... with what to do';
    }
    $fake->stop;
};


# named by doctor, told of by what skips them

subtest 'keys of another type' => sub {
    $redis->empty->load->grant('g', 'r', 'a', int(time) - 10)
        ->grant('g', 'r', 'z', int(time) - 400 * 86400);
    $redis->cmd('SET', 'app_permission:grants:{g:odd}', 'x');
    $redis->cmd('SADD', 'app_permission:access:{g:a}', 'x');

    my $by = doctor(1, 'keys of another type: 1');
    is_deeply [map { "$_->{status} $_->{message}" } @{$by->{types}}],
        ['error "app_permission:grants:{g:odd}" is no hash: calls of this app '
            . 'get 503; rename or remove it',
         'error "app_permission:access:{g:a}" is no sorted set: accesses of '
            . 'this app are not recorded; rename or remove it'],
        'each is named, with what it does';
    my (undef, undef, $told) = $t->cli('doctor');
    unlike $told, qr/another type/, 'and once';
    doctor(0, 'a gateway has no right to look: 0', '--for', 'gateway');

    # one is named, several are counted

    $redis->cmd('DEL', 'app_permission:access:{g:a}');
    my $one = qr/^app-permission: "app_permission:grants:\{g:odd\}" is of another type than the table's keys: skipped$/m;
    my %status = (list => 0, export => 0, renew => 1, expiring => 1);
    for my $command (sort keys %status) {
        my ($out, $err) = $t->cli_is($status{$command}, "$command: status",
                                     $command);
        is scalar(() = $err =~ /$one/g), 1, 'the key is named';
    }

    $redis->cmd('LPUSH', "app_permission:grants:{g:odd$_}", 'x') for 1 .. 29;
    for my $command (sort keys %status) {
        my ($out, $err) = $t->cli_is($status{$command}, "$command: status",
                                     $command);
        is_deeply [$err =~ /(.*another type than.*)/g], [$err =~
            /^(app-permission: 30 keys, as ".*\{g:odd\d*\}", are of another type .*: skipped; "doctor" names them)$/m],
            'they are counted, once';
        like $err, qr/another type/, 'indeed';
    }

    $by = doctor(1, 'doctor');
    is scalar @{$by->{types}}, 11, '... names ten';
    like $by->{types}[10]{message}, qr/^30 keys are of a wrong type/,
        'and counts all';

    # nor do they stop a purge

    $redis->used('g', 'r', $_, 5) for 'odd', 'gone';
    $redis->cmd('SET', 'app_permission:access:{g:a}', 'x');
    my ($dry) = $t->cli_is(0, 'purge', '--json', 'purge', '--dry-run');
    my ($line, $counts) = split /\n/, $dry;
    is $line, '{"result":"removed","gateway":"g","resource":"r","app":"z","was":'
        . json($redis->value('g', 'r', 'z'))->{expires} . '}', 'a dry run';
    is_deeply json($counts), { grants => 1, accesses => 1, requests => 0,
        notices => 0, history => 0 }, '... counts';
    ok $redis->value('g', 'r', 'z'), '... and leaves all';

    my ($out, $err) = $t->cli_is(0, 'purge', '--json', 'purge');
    is_deeply json($out), { grants => 1, accesses => 1, requests => 0,
                            notices => 0, history => 0 },
        'what is of the right type is purged';
    like $err, qr/^app-permission: 30 keys, as /m, 'grants are told of';
    like $err, qr/access:\{g:a\}" is of another type/, 'and accesses';
    is $redis->access('g', 'r', 'odd'), 5,
        'accesses of an app whose grants cannot be read stay';

    ($out, $err) = $t->cli_is(0, 'access', 'access');
    like $err, qr/access:\{g:a\}" is of another type/, 'names it too';
    $redis->empty->load;
};


subtest 'a replica' => sub {
    my $replica = Perm::Redis->start(dir => $t->dir . '/replica');
    $replica->cmd('REPLICAOF', '127.0.0.1', $redis->{port});
    wait_for(sub { $replica->cmd('INFO', 'replication')
        =~ /master_link_status:up/ });

    my $by = doctor(1, 'a replica: 1', { redis => $replica->url });
    is_deeply [map { $_->{check} } bad($by)], ['role'], 'one line';
    like $by->{role}[0]{message}, qr/replica of 127\.0\.0\.1:$redis->{port} \(link: connected\)/,
        'with the address of its master';

    my ($out, $err) = $t->cli_is(3, 'a grant on a replica fails: 3',
        'grant', @ga, { redis => $replica->url });
    like $err, qr/READONLY.*give the address of the master/, 'what to do';
    ($out, $err) = $t->cli_is(3, 'nor a request', '--prefix', 'x:', 'apply',
                              @ga, { redis => $replica->url });
    unlike $err, qr/are stored/, 'which is not said to be stored';
};


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
    my $by = doctor(0, "doctor --for $name: 0", '--for', $name,
                    { redis => user($name, @{$lines{$name}}) });
    is join("\n", map { "$_->{check}: $_->{message}" }
        grep { $_->{status} eq 'error' } bad($by)), '',
        "the $name of the manual has all its rights";
}


subtest 'the users of the manual, and what they lack for another role' => sub {
    my $gateway = [grep { defined } @{$readme{gateway}}];
    my @self = qw(%R~app_permission:access:* %R~app_permission:requests:* +hscan +zscan);
    my @apply = qw(~app_permission:requests:* ~app_permission:history:* +eval
                   +hset +hlen +xadd);
    SKIP: {
        skip 'Redis 6.2 knows no %R~', 1 unless ref $redis->cmd('COMMAND',
            'INFO', 'eval_ro')->[0];
        my $url = user('gateway', @$gateway);
        doctor(0, 'a gateway: 0', '--for', 'gateway', { redis => $url });
        my $by = doctor(1, 'it has not what self needs: 1', '--for', 'self',
                        { redis => $url });
        my @lacks = map { $_->{message} } grep { $_->{status} eq 'error' } bad($by);
        is_deeply \@lacks, ['user "gateway" lacks the commands HSCAN, ZSCAN, '
            . 'needed for app_permission_self'], 'which, in one error';
        my $line = remedy($by, 'gateway');
        unlike $line, qr/reset/, 'a line that takes nothing away';
        like $line, qr/%R~app_permission:grants:\*/, 'and lets it only read grants';
        $redis->cmd(split / /, $line || "PING");
        doctor(0, 'with it: 0', '--for', 'self', { redis => $url });
        $by = doctor(1, 'but not for apply', '--for', 'self-apply', { redis => $url });
        is_deeply [map { $_->{message} } grep { $_->{status} eq 'error' } bad($by)],
            ['user "gateway" lacks the commands EVAL, HLEN, XADD, HSET, needed '
                . 'for app_permission_self apply'],
            'all that it lacks, also what EVAL would run';
        $url = user('gateway', @$gateway, @self);
        doctor(0, 'self of the manual: 0', '--for', 'self', { redis => $url });
        $url = user('gateway', @$gateway, @self, @apply);
        doctor(0, 'with apply: 0', '--for', 'self-apply', { redis => $url });
        $url = user('gateway', @$gateway, @self, @apply, '-eval');
        $by = doctor(1, 'EVAL alone', '--for', 'self-apply', { redis => $url });
        is_deeply [map { $_->{message} } grep { $_->{status} eq 'error' } bad($by)],
            ['user "gateway" lacks the command EVAL, needed for '
                . 'app_permission_self apply'], 'and nothing else';
        $url = user('gateway', @$gateway, '-pttl');
        $by = doctor(1, 'a command: 1', '--for', 'gateway', { redis => $url });
        is $by->{rights}[-1]{remedy}, 'in redis-cli: ACL SETUSER gateway +pttl',
            'is all';

        # as the user of a gateway, without a word of the role

        $by = doctor(1, 'plain doctor of a gateway: 1', { redis => $url });
        is_deeply [map { "$_->{message}: $_->{remedy}" } bad($by)],
            ['user "gateway" looks like that of a gateway (--for gateway), and '
                . 'lacks the command PTTL, needed for keeping to the time to '
                . 'live of keys: in redis-cli: ACL SETUSER gateway +pttl'],
            'rights of the command line are not advised';
        $by = doctor(1, '... of another prefix: 1', '--prefix', 'x:', { redis => $url });
        my ($error) = grep { $_->{check} eq 'rights' } bad($by);
        like $error->{message}, qr/looks like that of a gateway .*and the keys x:grants:\*, x:meta, x:access:\*, needed/,
            'the same, with the keys';
        unlike $error->{remedy}, qr/hdel|eval/, '... and no more';
        $url = user('gateway', @$gateway);
        $by = doctor(1, '... with all it needs: 1', { redis => $url });
        is_deeply [map { "$_->{check} $_->{message}" } bad($by)],
            ['rights user "gateway" has enough rights for a gateway, not for '
                . 'the command line: ask with --for gateway, or with --for '
                . 'renewal for the line that adds them'],
            'says that, and nothing else';
        is $by->{rights}[-1]{remedy}, undef, 'nor a line that widens them';
        my ($out, $err) = $t->cli_is(0, 'for people', 'doctor', '--for',
                                     'gateway', { redis => $url });
        is $out, "ok       reachable role clock tracking meta rights\n"
            . "skipped  version eviction memory disk: --verbose says why\n",
            'what a gateway may not look at is no warning, and not called ok';
    }
    my $by = doctor(0, 'plain doctor of who uses the command line: 0',
                    { redis => user('renewal', @{$lines{renewal}}) });
    says($by, 'tracking', 'skipped', qr/only a gateway needs/,
         'what only a gateway needs is not looked at');
    is_deeply [grep { /:doctor\}/ } @{$redis->cmd('KEYS', '*')}], [],
        'nothing is left behind';
};


subtest 'what these users can do' => sub {
    $redis->grant('g', 'r', 'a', int(time) + 86400);
    $redis->used('g', 'r', 'a', int time);

    my $auditor = user('auditor', @{$lines{auditor}});
    $t->cli_is(0, "an auditor's $_->[0]", @$_, { redis => $auditor })
        for ['list'], ['export'], ['access'], ['expiring'],
            ['check', @ga, '--resource', 'r'];
    my ($out, $err) = $t->cli_is(3, 'but no grant', 'grant', @ga,
                                 { redis => $auditor });
    like $err, qr/NOPERM.*'(hsetnx|eval)'.*ACL SETUSER/i, 'the right is named';

    my $renewal = user('renewal', @{$lines{renewal}});
    $t->cli_is(0, "the renewal job's $_->[0]", @$_, { redis => $renewal })
        for ['grant', @gb], ['renew'], ['purge'], ['revoke', @gb],
            ['apply', @gb], ['requests'], ['approve', @gb], ['apply', @gb],
            ['reject', @gb, '--comment', 'no'],
            ['purge', '--expired-for', '0'];
    $t->cli_is(0, 'and import', 'import', { redis => $renewal, stdin =>
        '{"gateway":"g","app":"z","expires":1}' });
};


subtest 'one line gives what is missing' => sub {
    for (['gateway', '~*', '-@all', '+ping'],
         ['gateway', '~app_permission:meta', '+@all'],
         ['renewal', '~app_permission:*', '-@all', '+eval', '+hget', '+hmget'],
         ['renewal', '~app_permission:grants:*', '~app_permission:meta', '+@all'],
         ['renewal', '-@all'], ['auditor', '-@all', '+scan'], ['all', '-@all'])
    {
        my ($for, @rules) = @$_;
        my $url = user('mend', 'resetchannels', @rules);
        my $by = doctor(1, "$for with @rules: 1", '--for', $for,
                        { redis => $url });
        my $line = remedy($by, 'mend');
        unlike $line, qr/reset| -/, 'nothing is taken away';
        my @errors = grep { $_->{status} eq 'error' } bad($by);
        is scalar @errors, 1, 'one error';
        like $errors[0]{message}, qr/ lacks (the commands? [A-Z|]+(, [A-Z|]+)*)?( and )?(the keys? \S+:\S*(, \S+:\S*)*)?( and the channel __redis__:invalidate)?, needed for /,
            'command and key are told apart';
        $redis->cmd(split / /, $line || "PING");
        if ($errors[0]{remedy} =~ /then run doctor again/) {
            $by = doctor(1, 'Redis 6.2: a second line', '--for', $for,
                         { redis => $url });
            $line = remedy($by, 'mend');
            $redis->cmd(split / /, $line || "PING");
        }
        $by = doctor(0, "then it is well: $line", '--for', $for,
                     { redis => $url });
        is_deeply [map { $_->{message} } grep { $_->{status} eq 'error' } bad($by)],
            [], 'indeed';
    }

    SKIP: {
        skip 'Redis 6.2 knows no selector', 1 unless ref $redis->cmd('COMMAND',
            'INFO', 'eval_ro')->[0];
        my $url = user('mend', '-@all');
        my @long = ('--prefix', 'p' x 127 . ':', 'doctor', '--for', 'all');
        my ($out) = $t->cli_is(1, 'a long prefix', @long, { redis => $url });
        my ($line) = $out =~ /in redis-cli: (ACL SETUSER mend \(.*\))$/m;
        ok $line, 'its line is whole' and $redis->cmd(split / /, $line || "PING");
        ($out) = $t->cli_is(1, 'then only meta is missing', @long, { redis => $url });
        is_deeply [$out =~ /^error +(\S+)/mg], ['meta'], 'indeed';
    }

    # 6.2 knows no selector: a second line may be needed

    my $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/^EVAL_RO/, reply => "-ERR unknown command\r\n" });
    user('mend', '-@all', '+ping');
    my $old = "redis://mend:secret\@127.0.0.1:$fake->{port}";
    my @lacks;
    for my $time (1, 2) {
        my $by = doctor(1, "Redis 6.2, line $time", '--for', 'auditor', { redis => $old });
        my ($error) = grep { $_->{status} eq 'error' } bad($by);
        push @lacks, $error->{message} =~ / lacks the (command|key)s? /;
        is $error->{remedy} =~ /; then run doctor again: /, $time == 1, 'another will follow or not';
        $redis->cmd(split / /, remedy($by, 'mend') || 'PING');
    }
    is_deeply \@lacks, ['command', 'key'], 'the commands, then the keys';
    doctor(0, 'then it is well', '--for', 'auditor', { redis => $old });
    $fake->stop;

    my $eval = user('mend', '~*', '&*', '+@all', '-eval');
    is remedy(doctor(1, 'only EVAL is missing: 1', { redis => $eval }), 'mend'),
        'ACL SETUSER mend +eval', 'what it would run is not given again';

    my $by = doctor(1, 'plain doctor of an auditor: 1',
                    { redis => user('auditor', @{$lines{auditor}}) });
    my @errors = bad($by);
    is scalar @errors, 1, 'one error';
    like $errors[0]{message}, qr/^user "auditor" lacks the commands HSETNX, EVAL, HSET, HDEL, XADD, HLEN, XTRIM, DEL, HEXISTS, ZREM, needed for .*; an auditor needs no more: ask with --for auditor$/,
        'which names what is missing for sure, and who has such rights';
};


subtest 'rights that are missing' => sub {
    my $url = user('nobody', '~app_permission:*', '-@all', '+hget', '+hmget',
        '+pttl', '+zadd', '+ping', '+role', '+info', '+time');
    my $by = doctor(1, 'a right is missing: 1', '--for', 'gateway',
                    { redis => $url });
    my @errors = bad($by);
    is scalar @errors, 1, 'one error';
    like $errors[0]{message}, qr/^user "nobody" lacks the commands CLIENT(\|ID, CLIENT\|TRACKING)?, SUBSCRIBE.*, needed for hearing of revoked grants at once$/,
        'it is named, as Redis calls it';
    like $errors[0]{remedy},
        qr/^in redis-cli: ACL SETUSER nobody (?=.*\+client\|id)(?=.*\+subscribe)/,
        'with the line that gives it';
    says($by, 'tracking', 'skipped', qr/see rights/, 'not a second error');

    my %rules = (info => '+info', role => '+role', clock => '+time');
    my $few = user('few', '~app_permission:*', '+@all', '-info', '-role', '-time');
    $by = doctor(0, 'what only doctor needs: 0', '--for', 'auditor', { redis => $few });
    is_deeply { map { $_->{check} => "$_->{status} $_->{remedy}" } bad($by) },
        { map { $_ => "warning in redis-cli: ACL SETUSER few $rules{$_}" } keys %rules },
        'a warning each, with the line';

    my ($out, $err) = $t->cli_is(1, 'for people', 'doctor', '--for', 'gateway',
                                 { redis => $url });
    my ($well) = $out =~ /^ok +(.*)/m;
    like $well, qr/\bmeta\b/, 'what is well is under ok';
    unlike $well, qr/\b(rights|tracking)\b/, '... and nothing that is not';
    like $out, qr/^error    rights       user "nobody".*\n {22}in redis-cli: ACL SETUSER nobody /m,
        'the line to type is part of the error';
    like $err, qr/: 1 error, 0 warnings$/m, '... of one';

    ($out, $err) = $t->cli_is(3, 'a wrong password: 3', 'list',
                                 { redis => $url =~ s/secret/wrong/r });
    like $err, qr/WRONGPASS/, 'said so';
    unlike $err, qr/wrong\b/, 'without it';

    my $tcp = $redis->tcp_url;
    spew($t->dir . '/password', "secret\n");
    $t->cli_is(3, 'a user by option', '--user', 'nobody', '--password-file',
        $t->dir . '/password', 'check', @ga, '--resource', 'r',
        { redis => $tcp });

    $redis->cmd('ACL', 'SETUSER', 'default', 'off');
    ($out, $err) = $t->cli_is(3, 'no password: 3', 'list', { redis => $tcp });
    like $err, qr/NOAUTH.*--password-file/, 'what to do';
};

done_testing;

#!/usr/bin/perl

# The command line as such: help, wrong usage, exit statuses, messages that
# name the option and its value.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;
my $dir = $t->dir;
my $cli = $Perm::Cli::BINARY;
my @ga = qw(--gateway g --app a);

subtest 'help and version' => sub {
    my @commands = qw(init grant revoke check list import export access renew
                      expiring purge doctor);
    my ($out) = $t->cli_is(0, 'help', '--help');
    like $out, qr/^  $_ /m, "help names $_" for @commands;

    for (@commands) {
        ($out) = $t->cli_is(0, "help of $_", $_, '--help');
        like $out, qr/^Usage: app-permission $_\b/, 'says how to use it';
    }

    my ($all) = $t->cli_is(0, 'help', '--help');
    ($out) = $t->cli_is(0, $_, $_), is $out, $all, "$_: the help" for qw(-h help);
    my ($one) = $t->cli_is(0, 'help', 'list', '--help');
    for (['help', 'list'], ['list', '-h'], ['-h', 'list'])  {
        ($out) = $t->cli_is(0, "@$_", @$_);
        is $out, $one, "... the help of a command";
    }

    ($out) = $t->cli_is(0, 'version', '--version');
    like $out, qr/^app-permission \d+\.\d+\.\d+\n\z/, 'says which';
};


my @usage = (
    ['no command', qr/no command/],
    ['unknown command', qr/unknown command "frobnicate"\. See /, 'frobnicate'],
    ['a typing error', qr/"grnat"; did you mean "grant"\? See/, 'grnat'],
    ['two that begin so', qr/"ex"; did you mean "extend" or "export" or "expiring"\?/, 'ex'],
    ['a typing error in an option', qr/"--gatway=g"; did you mean "--gateway"\?/,
     qw(grant --gatway=g)],
    ['an option that is cut', qr/"--exp"; did you mean "--expires"\?/,
     qw(grant --exp 1)],
    ['one of all commands', qr/"--jsno"; did you mean "--json"\?/,
     qw(list --jsno)],
    ['help of no command', qr/unknown command "lsit"; did you mean "list"\?/,
     qw(help lsit)],
    ['control bytes', qr/unknown command "a\\x1b\[31m"/, "a\e[31m"],
    ['unknown option', qr/unknown option "--frob".*grant --help/,
     qw(grant --frob 1)],
    ['an option near to none', qr/unknown option "--unknown"\. See/, '--unknown'],
    ['nothing but dashes', qr/unknown option "--"\. See/, '--'],
    ['a single letter', qr/unknown option "-r"\. See/, qw(grant -r x)],
    ['nothing to extend by', qr/--days "0": that changes nothing/,
     qw(extend --days 0), @ga],
    ['extended beyond 9999', qr/--days: that is after the year 9999/,
     qw(extend --days 2932890), @ga],
    ['half days asked for', qr/--days has to be whole days, as in 5d/, qw(apply --days 36h), @ga],
    ['half days given', qr/--days has to be whole days, as in 5d/, qw(approve --days 36h), @ga],
    ['no such policies', qr/cannot open "\/nonexistent"/,
     qw(expiring --policies /nonexistent)],
    ['no such password file', qr/--password-file "\/nonexistent": No such/,
     qw(list --password-file /nonexistent)],
    ['option without value',
     qr/: option --gateway needs a value, as in --gateway G$/m, qw(grant --gateway)],
    ['an option in its place', qr/: option --app needs a value, as in --app A$/m,
     qw(grant --app --gateway g)],
    ['... with a value', qr/: option --app needs a value/,
     qw(grant --app --gateway=g)],
    ['... of every command', qr/: option --comment needs a value, as in --comment TEXT$/m,
     qw(reject), @ga, qw(--comment --json)],
    ['words', qr/: option --dimension needs a value, as in --dimension both\|gateway\|resource$/m,
     qw(renew --dimension)],
    ['flag with value', qr/--json takes no value/, qw(--json=1 list)],
    ['argument too many', qr/"list" does not take "x"; see "app-permission list --help"$/m, qw(list x)],
    ['two files', qr/does not take "b"/, qw(import a b)],
    ['a file without a name', qr/"export" does not take ""/, 'export', ''],

    ['no gateway', qr/"grant" needs --gateway/, qw(grant --app a)],
    ['no app', qr/"grant" needs --app/, qw(grant --gateway g)],
    ['no resource', qr/"check" needs --resource/, 'check', @ga],
    ['gateway name', qr/--gateway "a b": not 1 to 64/,
     qw(grant --app a --gateway), 'a b'],
    ['long app', qr/--app "x+"?.*: not 1 to 128/,
     qw(grant --gateway g --app), 'x' x 129],
    ['the whole gateway by name', qr/--resource "-": /,
     qw(grant --resource -), @ga],
    ['empty resource', qr/--resource "": /, 'grant', @ga, '--resource', ''],

    ['negative days', qr/--days "-1": a span is not negative/,
     qw(grant --days=-1), @ga],
    ['days', qr/--days "1\.5": neither whole days nor a span/,
     qw(grant --days 1.5), @ga],
    ['too many days', qr/--days "99999999": too large: it ends after the year/,
     qw(grant --days 99999999), @ga],
    ['days beyond 9999', qr/--days: that is after the year 9999/,
     qw(grant --days 2932890), @ga],
    ['days that overflow', qr/--days "9{30}": too large/,
     qw(grant --days), '9' x 30, @ga],
    ['no time, which is not permanent', qr/--days "0h": a span of nothing/,
     qw(grant --days 0h), @ga],
    ['too many days left', qr/--days "1,99999999": too large/,
     'expiring', '--days', '1,99999999'],
    ['days left', qr/--days "1,,2": /, 'expiring', '--days', '1,,2'],
    ['half days left', qr/--days "1,12h": not whole days/,
     'expiring', '--days', '1,12h'],
    ['too late',
     qr/--expires "99999999999999": too large: at most 253402300799/,
     qw(grant --expires 99999999999999), @ga],
    ['expires', qr/--expires "tomorrow": neither unix seconds, nor a date/,
     qw(grant --expires tomorrow), @ga],
    ['a day that is none', qr/--expires "2027-02-30": neither/,
     qw(grant --expires 2027-02-30), @ga],
    ['before 1970', qr/--expires "-1": a time before 1970/,
     qw(grant --expires -1), @ga],
    ['a span with a sign', qr/--since "-1h": a time before 1970; a span has no/,
     qw(history --since -1h)],
    ['no time', qr/--expires "0d": a span of nothing/, qw(grant --expires 0d), @ga],
    ['a span too long', qr/--unused-since "99999999d": too large: it ends/,
     qw(list --unused-since 99999999d)],
    ['a span beyond 9999', qr/--expires: that is after the year 9999/,
     qw(grant --expires 2932890d), @ga],
    map({ ["a time for the span of $_",
           qr/--days "2031-01-01": neither .* span as in 180d; "grant --expires" takes a time/,
           $_, qw(--days 2031-01-01), @ga] } qw(grant extend apply approve)),
    ['both ends', qr/--days and --expires/, qw(grant --days 1 --expires 1), @ga],
    ['a name twice', qr/--app "b": it is given twice/, 'revoke', @ga,
     qw(--app b)],
    ['type', qr/--type "a\\x0ab": /, 'grant', @ga, '--type', "a\nb"],
    ['type not UTF-8', qr/--type "\\xff": /, 'grant', @ga, '--type', "\xff"],
    ['term', qr/--term "180": not a span/, qw(renew --term 180)],
    ['no term', qr/--term "0": /, qw(renew --term 0)],
    ['dimension', qr/--dimension "x": .*both\|gateway\|resource/,
     qw(renew --dimension x)],
    ['prefix', qr/--prefix "a\{b": /, qw(--prefix a{b list)],
    ['no such file', qr/cannot open "\/nonexistent": No such file/,
     qw(import /nonexistent)],
    ['a directory', qr/"\/tmp" is a directory/, qw(import /tmp)],
    ['no such directory', qr/cannot write a temporary file beside "\/nonexistent\/x"/,
     qw(export /nonexistent/x)],
);

subtest 'wrong usage' => sub {
    for (@usage) {
        my ($name, $pattern, @args) = @$_;
        my ($out, $err) = $t->cli_is(2, "$name: status 2, without Redis too",
                                     @args, { redis => 'unix:/nonexistent' });
        like $err, $pattern, "$name: said so";
        is $out, '', "$name: nothing on standard output";
    }
    my ($out, $err) = $t->cli_is(2, 'no such file for TLS', qw(list --cacert
        /nonexistent), { redis => 'rediss://127.0.0.1:1' });
    like $err, qr/--cacert "\/nonexistent": No such file/, 'is named';
    $t->cli_is(3, 'an export without Redis', 'export', "$dir/export",
               { redis => 'unix:/nonexistent' });
    is_deeply [glob "$dir/export*"], [], '... leaves no file';
};


subtest 'a Redis that cannot be' => sub {
    for (['redis://h:0', qr/port/], ['ftp://h', qr/begins with none of/],
         ['redis+cluster://a,b,', qr/no host after the last ","/],
         ['redis://user:secret@h:99999', qr/port/])
    {
        my ($url, $why) = @$_;
        my ($out, $err) = $t->cli_is(2, "$url: status 2", 'list',
                                     { redis => $url });
        like $err, $why, 'said why';
        unlike $err, qr/secret/, 'without the password';
    }
    my ($out, $err) = $t->cli_is(2, 'none named: status 2', 'list',
                                 { redis => '' });
    like $err, qr/--redis URL or set APP_PERMISSION_REDIS/, 'says how';
};


subtest 'a Redis that does not answer' => sub {
    for (['unix:/nonexistent', qr/unix:\/nonexistent.*No such file/],
         ['redis://127.0.0.1:1', qr/127\.0\.0\.1:1: .*refused/])
    {
        my ($url, $why) = @$_;
        my ($out, $err) = $t->cli_is(3, "$url: status 3", 'list',
                                     { redis => $url });
        like $err, $why, 'says which and why';
    }

    my $port = $redis->{port};
    for (["redis+cluster://127.0.0.1:$port", qr/Redis at 127\.0\.0\.1:$port: CLUSTER: ERR .*; is it a node of a cluster\?$/m],
         ["redis+sentinel://127.0.0.1:$port/m", qr/Sentinel 127\.0\.0\.1:$port: SENTINEL: ERR .*; is it a Sentinel\?$/m],
         ["redis://:bad\@127.0.0.1:$port", qr/: AUTH: .*/],
         ["redis://u:bad\@127.0.0.1:$port", qr/Redis at 127\.0\.0\.1:$port: AUTH: WRONGPASS .*; check the user and the password$/m],
         ["redis://127.0.0.1:$port/99", qr/: SELECT: ERR .*; check the database in the URL$/m])
    {
        my ($url, $why) = @$_;
        my ($out, $err) = $t->cli_is(3, "$url: status 3", 'list', { redis => $url });
        like $err, $why, 'says which, why and what to do';
    }

    $redis->pause;
    my ($out, $err) = $t->cli_is(3, 'a hung Redis: status 3', '--timeout',
                                 '1s', 'list');
    $redis->resume;
    like $err, qr/no answer within 1000 ms/, 'says so';
};


subtest 'what is wrong is named as it was given' => sub {
    my $run = sub {
        my ($env, @args) = @_;
        local %ENV = (%ENV, %$env);
        my @words = map { "'$_'" } $cli, @args;
        return scalar `@words 2>&1`;
    };
    like $run->({ APP_PERMISSION_REDIS => 'foo' }, 'list'),
        qr/APP_PERMISSION_REDIS: invalid Redis URL/, 'a URL of the environment';
    like $run->({ APP_PERMISSION_REDIS => 'unix:/x' }, '--redis', 'foo', 'list'),
        qr/--redis: invalid Redis URL/, 'one of the option';
    like $run->({ APP_PERMISSION_PREFIX => 'a{b', APP_PERMISSION_REDIS =>
        'unix:/x' }, 'list'), qr/APP_PERMISSION_PREFIX "a\{b": /,
        'a prefix of the environment';
};


subtest 'options before and behind the command, with "=" and without' => sub {
    $t->cli_is(0, 'a table of its own', qw(init --prefix other:));
    my ($out) = $t->cli_is(0, 'global options anywhere',
        qw(--json grant --gateway=g --app a --prefix other:));
    like $out, qr/^\{"gateway":"g","resource":null,"app":"a",/, 'as JSON';
    is $redis->cmd('HGET', 'other:meta', 'schema'), 1, 'under the prefix';

    local $ENV{APP_PERMISSION_PREFIX} = 'other:';
    $t->cli_is(0, 'the prefix of the environment', 'list');
};


# every option that means a time or a span takes every way to write one

subtest 'times and spans' => sub {
    my $ends = sub { json($t->cli_is(0, "grant @_", '--json', '--prefix',
        'other:', 'grant', @ga, @_))->{expires} };
    is $ends->('--expires', $_), 1924992000, "--expires $_"
        for '2031-01-01', '2031-01-01T08:00:00+08:00', 1924992000;

    for (['5', 5 * 86400], ['5d', 5 * 86400], ['36h', 36 * 3600],
         ['1d12h', 36 * 3600]) {
        my ($days, $seconds) = @$_;
        cmp_ok abs($ends->('--days', $days) - time - $seconds), '<',
            60 * $Perm::Util::SLOW, "--days $days";
    }

    my $clock = $t->fake_redis(to => $redis);
    $clock->time(1_800_000_000);
    my @at = ({ redis => $clock->url });
    my ($out) = $t->cli_is(0, 'an end from now on', qw(--json grant --gateway g
        --app span --expires 1d12h --prefix other:), @at);
    is json($out)->{expires}, 1_800_129_600, '... by the clock of Redis';

    $redis->empty->load;
    for (['idle', 1_799_990_000], ['used', 1_799_998_200]) {
        my ($resource, $at) = @$_;
        $redis->grant('g', $resource, 'a', 1_900_000_000);
        $redis->used('g', $resource, 'a', $at);
        $redis->cmd('XADD', key('history', 'a', 'g'), $at . '000-1',
                    'action', 'grant', 'resource', $resource);
    }
    ($out) = $t->cli_is(0, 'a span before now', qw(access --since 1h), @at);
    is_deeply [map { $_->{resource} } json_lines($out)], ['used'], '... access';
    ($out) = $t->cli_is(0, 'list', qw(--json list --unused-since 1h), @at);
    is_deeply [map { $_->{resource} } json_lines($out)], ['idle'], '... list';
    ($out) = $t->cli_is(0, 'history', qw(--json history --since 1h), @at);
    is_deeply [map { $_->{resource} } json_lines($out)], ['used'], '... history';
    ($out) = $t->cli_is(0, 'a span before 1970', qw(access --since 99999d), @at);
    is scalar(json_lines($out)), 2, '... is all';

    $redis->empty->load;
    for my $time ('2031-01-01', '2031-01-01T00:00:00Z', '1924992000') {
        $t->cli_is(1, "--unused-since $time", 'list', '--unused-since', $time);
        $t->cli_is(0, "--since $time", 'access', '--since', $time);
    }
    for my $span ('1d', '24h', '1440m', '86400s', '23h60m') {
        $t->cli_is(0, "--term $span", 'renew', '--term', $span);
        $t->cli_is(0, "--expired-for $span", 'purge', '--expired-for', $span);
        $t->cli_is(0, "--timeout $span", '--timeout', $span, 'renew');
        $t->cli_is(0, "--days $span", 'expiring', '--days', "3,$span");
    }
};


subtest 'what the environment gives' => sub {
    my $password = "$dir/password";
    spew($password, "secret\n");
    $redis->cmd('ACL', 'SETUSER', 'env', 'on', '>secret', '~*', '+@all');
    my $port = $redis->{port};
    my $whoami = sub {
        my ($url, $env, @args) = @_;
        local %ENV = (%ENV, %$env);
        $redis->cmd('ACL', 'LOG', 'RESET');
        return $t->cli(@args, 'access', { redis => $url });
    };
    my %env = (APP_PERMISSION_USER => 'env',
               APP_PERMISSION_PASSWORD_FILE => $password);

    $redis->cmd('ACL', 'SETUSER', 'default', 'resetpass', '>other');
    my $url = "redis://127.0.0.1:$port";
    my ($status, $out, $err) = $whoami->($url, {});
    is $status, 3, 'without a user: refused';
    ($status, $out, $err) = $whoami->($url, \%env);
    is $status, 0, 'user and password file' or diag $err;
    ($status, $out, $err) = $whoami->($url, { %env,
        APP_PERMISSION_PASSWORD_FILE => '/nonexistent' });
    is $status, 2, 'no such file: 2';
    like $err, qr/APP_PERMISSION_PASSWORD_FILE "\/nonexistent": No such file/,
        'names the variable';
    ($status, $out, $err) = $whoami->($url, { %env,
        APP_PERMISSION_PASSWORD_FILE => '/nonexistent' },
        '--password-file', $password);
    is $status, 0, 'the option goes before it' or diag $err;
    ($status, $out, $err) = $whoami->('unix:/nonexistent', \%env, '--redis',
        "redis://default:other\@127.0.0.1:$port");
    is $status, 0, 'and so does a URL of the command line with its own user';
    for (1023, 1024) {
        spew($password, 'p' x $_ . "\r\n");
        $redis->cmd('ACL', 'SETUSER', 'env', 'resetpass', '>' . 'p' x $_);
        ($status, $out, $err) = $whoami->($url, \%env);
        is $status, 0, "a password of $_ bytes" or diag $err;
    }
    spew($password, 'p' x 1025 . "\n");
    ($status, $out, $err) = $whoami->($url, \%env);
    is $status, 2, 'a password that is too long is not cut: 2';
    like $err, qr/_FILE "\Q$password\E": .* longer than a password of 1024/,
        'says so';
    spew($password, "secret\n");
    $redis->cmd('ACL', 'SETUSER', 'env', 'resetpass', '>secret');
    ($status) = $whoami->($url, { %env, APP_PERMISSION_CACERT => '' });
    is $status, 0, 'a variable that is empty is none';
    $redis->cmd('ACL', 'SETUSER', 'default', 'nopass');
};


subtest 'a reader that goes away' => sub {
    $redis->empty->load;
    $redis->at(key('grants', 'a', 'g'), 'HSET', map { ("r$_", 5) } 1 .. 20000);
    spew("$dir/all", join '', map { qq({"gateway":"g","resource":"s$_","app":"a","expires":9}\n) } 1 .. 20000);
    for my $command ('--json expiring --days 9999', "--json import --dry-run $dir/all") {
        $redis->at(key('grants', 'a', 'g'), 'HSET', map { ("r$_", 2_000_000_000) } 1 .. 5);
        $redis->grant('g', 'r', "x$_", 2_000_000_000) for 1 .. 600;
        my $text = `bash -c '{ $cli --redis @{[$redis->url]} $command; echo \$? >$dir/status; } 2>$dir/err | head -n 1'`;
        like $text, qr/^\{.*\n\z/, "$command | head: a line";
        is slurp("$dir/err"), '', 'and not a word';
        is slurp("$dir/status"), "141\n", 'as SIGPIPE would end it';
    }
    $redis->empty->load;
    $redis->at(key('grants', 'a', 'g'), 'HSET', map { ("r$_", 5) } 1 .. 20000);
    for my $command ('list', '--json list', 'export', 'export -') {
        my $text = `$cli --redis @{[$redis->url]} $command 2>&1 >$dir/fifo.out | cat`;
        is $text =~ s/.*: exported.*\n//r, '', "$command: whole";
        $text = `bash -c '{ $cli --redis @{[$redis->url]} $command; echo \$? >$dir/status; } 2>$dir/err | head -n 1'`;
        like $text, qr/^\S.*\n\z/, "$command | head: a line";
        is slurp("$dir/err"), '', 'and not a word';
        is slurp("$dir/status"), "141\n", 'as SIGPIPE would end it';
    }
    $redis->empty->load;
};


subtest 'a table of another schema is refused' => sub {
    for my $schema ("2\e", "1\0") {
        $redis->cmd('HSET', 'new:meta', 'schema', $schema);
        my $shown = $schema =~ s/(\W)/sprintf '\\\\x%02x', ord $1/er;

        for (['list'], ['renew'], ['grant', @ga]) {
            my ($out, $err) = $t->cli_is(3, "$_->[0]: refused", '--prefix',
                                         'new:', @$_);
            like $err, qr/"new:meta" says schema "$shown", .*: update it, or check --prefix/,
                'and says so, and what to do';
        }
    }
    is_deeply [$redis->cmd('KEYS', 'new:*')], [['new:meta']], 'left as it was';
    $t->cli_is(0, 'a table for what follows', qw(--prefix other: init));
};


subtest 'output that cannot be written is no success' => sub {
    my $url = $redis->url;
    is system("$cli --redis $url --prefix other: list > /dev/full"
        . ' 2>/dev/null') >> 8, 1, 'a full disk';
};


# nor is it one where nothing can be written, and Redis gets no output, nor
# messages, nor is its connection read as a file

subtest 'closed descriptors' => sub {
    my $run = sub {
        my ($args, $closed, $stdin) = @_;
        my $pid = fork // die;
        if (!$pid) {
            $ENV{APP_PERMISSION_REDIS} = $redis->url;
            spew("$dir/in", $stdin // '');
            exec 'sh', '-c', "$cli $args "
                . join ' ', "<$dir/in >$dir/out 2>$dir/err",
                            map { "$_>&-" } @$closed;
        }
        waitpid $pid, 0;
        return $? >> 8;
    };
    my $errors = sub { $redis->cmd('INFO', 'stats')
        =~ /total_error_replies:(\d+)/ ? $1 : die };

    $redis->empty->load->grant('g', 'r', 'a', int(time) + 3600);
    $redis->used('g', 'r', 'a', int time);
    my $lines = join '', "bad\n" x 3,
        map { qq({"gateway":"g","app":"a$_","expires":1}\n) } 1 .. 3000;
    my $before = $errors->();

    for ('list', 'export', 'access', 'expiring --term 1s',
         'doctor --for auditor',
         '--json purge', '--json renew', '--help', '--version',
         'check --gateway g --resource r --app a')
    {
        is $run->($_, [1]), 1, "$_ without standard output: 1";
        like slurp("$dir/err"), qr/cannot write .*: Bad file descriptor/,
            'and says why';
        is $run->($_, [0, 1, 2]), 1, 'the same without all three';
    }

    is $run->('import', [0]), 1, 'import without standard input: 1';
    like slurp("$dir/err"), qr/cannot read .*: Bad file descriptor/,
        'and says why';

    is $run->('import', [2], $lines), 1, 'import without standard error: 1';
    is $redis->cmd('DBSIZE'), 3003, 'and all good lines are there';
    is $run->("export $dir/file", [0, 1, 2]), 0,
        'an export to a file needs none of them';
    is scalar(() = slurp("$dir/file") =~ /\n/g), 3001, 'and is whole';

    is $errors->(), $before, 'Redis was told nothing but commands';
};


subtest 'completion and manual know what --help knows' => sub {
    my $root = $Perm::Test::ROOT;
    my $manual_file = "$root/src/cli/app-permission.1";
    my $manual = slurp($manual_file) =~ s/\\-/-/gr;
    my $program = $Perm::Cli::BINARY;

    my $complete = sub {
        my @words = map { "'$_'" } @_;
        my $last = $#words;
        return { map { $_ => 1 } split /\s+/, `bash -c '. $root/src/cli/app-permission.bash; COMP_WORDS=(@{[join ' ', map { s/'/"/gr } @words]}); COMP_CWORD=$last; _app_permission $program; echo "\${COMPREPLY[*]}"'` };
    };

    my ($status, $out) = $t->cli('--help');
    my ($list) = $out =~ /^Commands:\n(.*?)\n\n/ms;
    my @commands = $list =~ /^  (\w+)/mg;
    is_deeply $complete->('app-permission', ''), { map { $_ => 1 } @commands },
        'completes commands';

    is_deeply $complete->('app-permission', 'doctor', '--for', 'self'),
        { 'self' => 1, 'self-apply' => 1 }, '... roles of doctor';

    is_deeply $complete->('app-permission', 'help', ''),
        { map { $_ => 1 } @commands }, '... for help';
    my ($all) = $t->cli_is(0, 'help', '--help');
    my @variables = $all =~ /; else (APP_\w+)$/mg;
    is scalar @variables, 7, 'seven variables of the environment';
    is_deeply [grep { $manual !~ /^\.B .*\b$_\b/m } @variables], [],
        '... are in the manual';

    for my $command ('', @commands) {
        ($status, $out) = $t->cli($command || (), '--help');
        my @options = $out =~ /^  (--[\w-]+)/mg;
        my $known = $complete->('app-permission', $command || (), '--');
        is_deeply [grep { !$known->{$_} } @options], [],
            "completes options of " . ($command || 'all');
        my ($section) = $command eq '' ? $manual
            : $manual =~ /^\.SS (\Q$command\E\b.*?)^\.S[SH] /ms;
        @options = grep { !($command eq 'help') } @options;
        is_deeply [grep { ($section // '') !~ /\Q$_\E(?![\w-])/ } @options], [],
            'and the manual tells of them there';
        ok defined $section, '... in a section of its own';
    }

    is_deeply $complete->('app-permission', 'renew', '--dimension', 'g'),
        { gateway => 1 }, 'completes a value';
    is_deeply $complete->('app-permission', 'renew', '--term', ''), {},
        'but not a span';
    is_deeply $complete->('app-permission', 'import', $manual_file),
        { $manual_file => 1 }, 'completes a file';
    is_deeply $complete->('app-permission', 'renew', $manual_file), {},
        '... of a command that takes one';
};

done_testing;

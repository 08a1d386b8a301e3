#!/usr/bin/perl

# The command line as such: help, wrong usage, exit statuses, messages that
# name the option and its value.

use Perm::Test;
use Perm::Util qw(build_dir);

my $t = Perm::Test->new;
my $redis = $t->redis;
my $dir = $t->dir;
my $cli = build_dir() . '/app-permission';
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

    ($out) = $t->cli_is(0, 'version', '--version');
    like $out, qr/^app-permission \d+\.\d+\.\d+\n\z/, 'says which';
};


my @usage = (
    ['no command', qr/no command/],
    ['unknown command', qr/unknown command "frobnicate"/, 'frobnicate'],
    ['control bytes', qr/unknown command "a\\x1b\[31m"/, "a\e[31m"],
    ['unknown option', qr/unknown option "--frob".*grant --help/,
     qw(grant --frob 1)],
    ['option without value', qr/--gateway needs a value/, qw(grant --gateway)],
    ['flag with value', qr/--json takes no value/, qw(--json=1 list)],
    ['argument too many', qr/"list" does not take "x"/, qw(list x)],
    ['two files', qr/does not take "b"/, qw(import a b)],

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

    ['days', qr/--days "-1": not a whole number/, qw(grant --days=-1), @ga],
    ['days', qr/--days "1\.5": /, qw(grant --days 1.5), @ga],
    ['too many days', qr/--days "99999999": too large: at most 9999999 days/,
     qw(grant --days 99999999), @ga],
    ['days beyond 9999', qr/--days "9999999": that is after the year 9999/,
     qw(grant --days 9999999), @ga],
    ['too many days left', qr/--days "1,99999999": too large: at most 9999999/,
     'expiring', '--days', '1,99999999'],
    ['days left', qr/--days "1,,2": /, 'expiring', '--days', '1,,2'],
    ['too late',
     qr/--expires "99999999999999": too large: at most 253402300799/,
     qw(grant --expires 99999999999999), @ga],
    ['expires', qr/--expires "tomorrow": neither unix seconds/,
     qw(grant --expires tomorrow), @ga],
    ['both ends', qr/--days and --expires/, qw(grant --days 1 --expires 1), @ga],
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
    ['no such directory', qr/cannot write beside "\/nonexistent\/x"/,
     qw(export /nonexistent/x)],
);

subtest 'wrong usage' => sub {
    for (@usage) {
        my ($name, $pattern, @args) = @$_;
        my ($out, $err) = $t->cli_is(2, "$name: status 2", @args);
        like $err, $pattern, "$name: said so";
        is $out, '', "$name: nothing on standard output";
    }
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


subtest 'a table of another schema is refused' => sub {
    $redis->cmd('HSET', 'new:meta', 'schema', "2\e");

    for (['list'], ['renew'], ['grant', @ga]) {
        my ($out, $err) = $t->cli_is(3, "$_->[0]: refused", '--prefix', 'new:',
                                     @$_);
        like $err, qr/"new:meta" says schema "2\\x1b"/, 'and says so';
    }
    is_deeply [$redis->cmd('KEYS', 'new:*')], [['new:meta']], 'left as it was';
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

    for ('list', 'export', 'access', 'expiring --term 1s', 'doctor',
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
    my $program = build_dir() . '/app-permission';

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

    for my $command ('', @commands) {
        ($status, $out) = $t->cli($command || (), '--help');
        my @options = $out =~ /^  (--[\w-]+)/mg;
        my $known = $complete->('app-permission', $command || (), '--');
        is_deeply [grep { !$known->{$_} } @options], [],
            "completes options of " . ($command || 'all');
        is_deeply [grep { index($manual, $_) < 0 } @options], [],
            'and the manual tells of them';
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

#!/usr/bin/perl

# The command line as such: help, wrong usage, exit statuses, messages that
# name the option and its value.

use strict;
use warnings;

use Test::More;

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;

sub usage {
    my ($name, $pattern, @args) = @_;
    my ($status, $out, $err) = $t->cli(@args);
    is $status, 2, "$name: status 2";
    like $err, $pattern, "$name: said so";
    is $out, '', "$name: nothing on standard output";
}

{
    my ($status, $out) = $t->cli('--help');
    is $status, 0, 'help';
    like $out, qr/^  $_ /m, "help names $_"
        for qw(grant revoke check list import export access renew expiring
               purge doctor);

    for my $command (qw(grant revoke check list import export access renew
                        expiring purge doctor)) {
        my ($status, $out) = $t->cli($command, '--help');
        is $status, 0, "help of $command";
        like $out, qr/^Usage: app-permission $command\b/, 'says how to use it';
    }

    ($status, $out) = $t->cli('--version');
    is $status, 0, 'version';
    like $out, qr/^app-permission \d+\.\d+\.\d+\n\z/, 'says which';
}

usage('no command', qr/no command/);
usage('unknown command', qr/unknown command "frobnicate"/, 'frobnicate');
usage('control bytes', qr/unknown command "a\\x1b\[31m"/, "a\e[31m");
usage('unknown option', qr/unknown option "--frob".*grant --help/,
      'grant', '--frob', '1');
usage('option without value', qr/--gateway needs a value/, 'grant',
      '--gateway');
usage('flag with value', qr/--json takes no value/, '--json=1', 'list');
usage('argument too many', qr/"list" does not take "x"/, 'list', 'x');
usage('two files', qr/does not take "b"/, 'import', 'a', 'b');

usage('no gateway', qr/"grant" needs --gateway/, 'grant', '--app', 'a');
usage('no app', qr/"grant" needs --app/, 'grant', '--gateway', 'g');
usage('no resource', qr/"check" needs --resource/, 'check', '--gateway', 'g',
      '--app', 'a');

my @ga = ('--gateway', 'g', '--app', 'a');
usage('gateway name', qr/--gateway "a b": not 1 to 64/, 'grant', '--gateway',
      'a b', '--app', 'a');
usage('long app', qr/--app "x+"?.*: not 1 to 128/, 'grant', '--gateway', 'g',
      '--app', 'x' x 129);
usage('the whole gateway by name', qr/--resource "-": /, 'grant', @ga,
      '--resource', '-');
usage('empty resource', qr/--resource "": /, 'grant', @ga, '--resource', '');
usage('days', qr/--days "-1": not a whole number/, 'grant', @ga, '--days=-1');
usage('days', qr/--days "1\.5": /, 'grant', @ga, '--days', '1.5');
usage('too many days', qr/--days "99999999": too large: at most 9999999 days/,
      'grant', @ga, '--days', '99999999');
usage('days beyond the year 9999', qr/--days "9999999": that is after the year 9999/,
      'grant', @ga, '--days', '9999999');
usage('too many days left', qr/--days "1,99999999": too large: at most 9999999/,
      'expiring', '--days', '1,99999999');
usage('too late', qr/--expires "99999999999999": too large: at most 253402300799/,
      'grant', @ga, '--expires', '99999999999999');
usage('expires', qr/--expires "tomorrow": neither unix seconds/, 'grant', @ga,
      '--expires', 'tomorrow');
usage('both ends', qr/--days and --expires/, 'grant', @ga, '--days', 1,
      '--expires', 1);
usage('type', qr/--type "a\\x0ab": /, 'grant', @ga, '--type', "a\nb");
usage('type not UTF-8', qr/--type "\\xff": /, 'grant', @ga, '--type', "\xff");
usage('term', qr/--term "180": not a span/, 'renew', '--term', '180');
usage('no term', qr/--term "0": /, 'renew', '--term', '0');
usage('dimension', qr/--dimension "x": .*both\|gateway\|resource/, 'renew',
      '--dimension', 'x');
usage('days left', qr/--days "1,,2": /, 'expiring', '--days', '1,,2');
usage('prefix', qr/--prefix "a\{b": /, '--prefix', 'a{b', 'list');
usage('no such file', qr/cannot open "\/nonexistent": No such file/, 'import',
      '/nonexistent');
usage('a directory', qr/"\/tmp" is a directory/, 'import', '/tmp');
usage('no such directory', qr/cannot write beside "\/nonexistent\/x"/,
      'export', '/nonexistent/x');

for (['redis://h:0', qr/port/], ['ftp://h', qr/begins with none of/],
     ['redis+cluster://a,b,', qr/no host after the last ","/],
     ['redis://user:secret@h:99999', qr/port/]) {
    my ($status, $out, $err) = $t->cli('list', { redis => $_->[0] });
    is $status, 2, "$_->[0]: status 2";
    like $err, $_->[1], 'said why';
    unlike $err, qr/secret/, 'without the password';
}

{
    my ($status, $out, $err) = $t->cli('list', { redis => '' });
    is $status, 2, 'no Redis named: status 2';
    like $err, qr/--redis URL or set APP_PERMISSION_REDIS/, 'says how';

    for (['unix:/nonexistent', qr/unix:\/nonexistent.*No such file/],
         ['redis://127.0.0.1:1', qr/127\.0\.0\.1:1: .*refused/]) {
        ($status, $out, $err) = $t->cli('list', { redis => $_->[0] });
        is $status, 3, "$_->[0]: status 3";
        like $err, $_->[1], 'says which and why';
    }

    $redis->pause;
    ($status, $out, $err) = $t->cli('--timeout', '1s', 'list');
    $redis->resume;
    is $status, 3, 'a hung Redis: status 3';
    like $err, qr/no answer within 1000 ms/, 'says so';
}

# what is wrong is named as it was given

{
    my $run = sub {
        my ($env, @args) = @_;
        local %ENV = (%ENV, %$env);
        my @words = map { "'$_'" } Perm::Util::build_dir() . '/app-permission',
            @args;
        return scalar `@words 2>&1`;
    };
    like $run->({ APP_PERMISSION_REDIS => 'foo' }, 'list'),
        qr/APP_PERMISSION_REDIS: invalid Redis URL/, 'a URL of the environment';
    like $run->({ APP_PERMISSION_REDIS => 'unix:/x' }, '--redis', 'foo', 'list'),
        qr/--redis: invalid Redis URL/, 'one of the option';
    like $run->({ APP_PERMISSION_PREFIX => 'a{b', APP_PERMISSION_REDIS =>
        'unix:/x' }, 'list'), qr/APP_PERMISSION_PREFIX "a\{b": /,
        'a prefix of the environment';
}

# options before and behind the command, with "=" and without

{
    my ($status, $out) = $t->cli('--json', 'grant', '--gateway=g', '--app',
        'a', '--prefix', 'other:');
    is $status, 0, 'global options anywhere';
    like $out, qr/^\{"gateway":"g","resource":null,"app":"a",/, 'as JSON';
    is $redis->cmd('HGET', 'other:meta', 'schema'), 1, 'under the prefix';

    local $ENV{APP_PERMISSION_PREFIX} = 'other:';
    ($status) = $t->cli('list');
    is $status, 0, 'the prefix of the environment';
}

# a table of another schema is refused

{
    $redis->cmd('HSET', 'new:meta', 'schema', "2\e");

    for (['list'], ['renew'], ['grant', @ga]) {
        my ($status, $out, $err) = $t->cli('--prefix', 'new:', @$_);
        is $status, 3, "another schema: $_->[0] is refused";
        like $err, qr/"new:meta" says schema "2\\x1b"/, 'and says so';
    }
    is_deeply [$redis->cmd('KEYS', 'new:*')], [['new:meta']], 'left as it was';
}

# output that cannot be written is no success

{
    my $cli = Perm::Util::build_dir() . '/app-permission';
    my $url = $redis->url;
    my $status = system("$cli --redis $url --prefix other: list > /dev/full"
        . ' 2>/dev/null') >> 8;
    is $status, 1, 'a full disk';
}

# closed descriptors: nor is it one where nothing can be written, and Redis gets
# no output, nor messages, nor is its connection read as a file

{
    my $dir = $t->dir;
    my $run = sub {
        my ($args, $closed, $stdin) = @_;
        my $pid = fork // die;
        if (!$pid) {
            $ENV{APP_PERMISSION_REDIS} = $redis->url;
            spew("$dir/in", $stdin // '');
            exec 'sh', '-c', Perm::Util::build_dir() . "/app-permission $args "
                . join ' ', "<$dir/in >$dir/out 2>$dir/err",
                            map { "$_>&-" } @$closed;
        }
        waitpid $pid, 0;
        return $? >> 8;
    };
    my $errors = sub { $redis->cmd('INFO', 'stats')
        =~ /total_error_replies:(\d+)/ ? $1 : die };

    $redis->cmd('FLUSHALL');
    $redis->load->grant('g', 'r', 'a', time + 3600);
    $redis->cmd('ZADD', 'app_permission:access:{g:a}', time, 'r');
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
}

# completion and manual know what --help knows

{
    my $root = $Perm::Test::ROOT;
    my $manual = slurp("$root/src/cli/app-permission.1") =~ s/\\-/-/gr;

    my $complete = sub {
        my @words = map { "'$_'" } @_;
        my $last = $#words;
        return { map { $_ => 1 } split /\s+/, `bash -c '. $root/src/cli/app-permission.bash; COMP_WORDS=(@{[join ' ', map { s/'/"/gr } @words]}); COMP_CWORD=$last; _app_permission; echo "\${COMPREPLY[*]}"'` };
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
}

$redis->stop;
done_testing;

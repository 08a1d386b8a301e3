#!/usr/bin/perl

# import: lines in, bad ones refused by number, --replace that never passes
# through a hole, interrupts, rate and memory.  For what comes out: cli_export.t

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Time::HiRes qw(time sleep);

use Perm::Test;
use Perm::Util qw(build_dir reap);

my $t = Perm::Test->new;
my $redis = $t->redis;
my $cli = build_dir() . '/app-permission';
my $dir = $t->dir;

sub key { "app_permission:grants:{$_[0]:$_[1]}" }
sub value { $redis->cmd('HGET', key($_[0], $_[2]), $_[1] // '-') }
sub meta { $redis->cmd('HGET', 'app_permission:meta', 'schema') }
sub import_text {
    my ($text, @args) = @_;
    return $t->cli('import', @args, { stdin => $text });
}

# ---- good lines

{
    my ($status, $out, $err) = import_text(<<'EOT');
{"gateway":"g","resource":"r1","app":"a","expires":1800000000,"type":"apply"}
{"gateway":"g","resource":null,"app":"a","expires":1800000000.5}
{"app":"b","gateway":"g","expires":"2027-01-15T08:00:00Z","type":null}

  { "gateway" : "g" , "resource" : "\u0072\u0032" , "app" : "a" , "expires" : 1.8e9 , "ticket" : [ 1, 12345678901234567890 ] }
{"gateway":"g","resource":"r3","app":"a","expires":1}
{"gateway":"g","resource":"r3","app":"a","expires":2}
EOT
    is $status, 0, 'import';
    like $err, qr/imported 6 grants: .* 0 lines refused/, 'says how many';
    is value('g', 'r1', 'a'), '{"expires":1800000000,"type":"apply"}', 'a grant';
    is value('g', undef, 'a'), '{"expires":1800000001}', 'null: the gateway';
    is value('g', undef, 'b'), '{"expires":1800000000}', 'none: the gateway';
    is value('g', 'r2', 'a'),
        '{"expires":1800000000,"ticket":[ 1, 12345678901234567890 ]}',
        'other members are kept';
    is value('g', 'r3', 'a'), '{"expires":2}', 'of two lines the last counts';
    is meta(), '1', 'the table is loaded';
}

# ---- lines for the same grant: the last one counts, whatever was there

{
    my $line = sub { qq({"gateway":"g","resource":"r","app":"a","expires":$_[0]$_[1]}\n) };
    my @others = map { qq({"gateway":"g","app":"o$_","expires":1}\n) } 1 .. 900;

    for my $between ([], [@others], [@others, @others]) {
        my $text = join '', $line->(1900000000, ',"x":1'), @$between,
            $line->(1950000000, ''), @$between, $line->(2000000000, '');

        for my $stored (undef, '2000000000', '{"expires":2000000000,"x":1}',
            '{"expires":1900000000,"x":1}', '{"expires":1950000000,"y":2}')
        {
            my $case = ($stored // 'none') . ', ' . @$between . ' lines between';
            $redis->cmd('FLUSHALL');
            $redis->cmd('HSET', key('g', 'a'), 'r', $stored) if defined $stored;

            my ($status) = import_text($text);
            is $status, 0, "the same grant three times ($case)";
            my $value = JSON::PP->new->decode(value('g', 'r', 'a'));
            is $value->{expires}, 2000000000, 'the last line counts';
            is $value->{x}, 1, 'and members that only an earlier one has stay';

            my $first = value('g', 'r', 'a');
            import_text($text);
            is value('g', 'r', 'a'), $first, 'another run changes nothing';
        }
    }

    $redis->cmd('FLUSHALL');
    $redis->load->grant('g', 'r', 'a', '{"expires":2000000000}');
    my $stats = sub { $redis->cmd('INFO', 'commandstats')
        =~ /cmdstat_eval:calls=(\d+)/ ? $1 : 0 };
    my $before = $stats->();
    my ($status, $out) = $t->cli('--json', 'import', { stdin =>
        $line->(1900000000, '') . $line->(2000000000, '') });
    is_deeply(JSON::PP->new->decode($out), { grants => 2, new => 0,
        changed => 0, unchanged => 2, refused => 0, removed => 0 }, 'counted');
    is $stats->(), $before, 'and nothing written that the last line takes back';

    for (['new', 'added'], ['changed', 'changed']) {
        my ($kind, $what) = @$_;
        $redis->cmd('DEL', key('g', 'a')) if $kind eq 'new';
        $redis->grant('g', 'r', 'a', '{"expires":5}') if $kind ne 'new';
        $before = $stats->();
        ($status, $out) = $t->cli('--json', 'import', { stdin =>
            $line->(1900000000, '') . $line->(2000000000, '') });
        is_deeply(JSON::PP->new->decode($out), { grants => 2, new => 0,
            changed => 0, unchanged => 1, refused => 0, removed => 0,
            $kind => 1 }, "$what once");
        is $stats->(), $before + ($kind eq 'changed'), '... and written once';
    }
}

# ---- bad lines

{
    my @bad = (
        'garbage', '[]', '"x"', '{"gateway":"g","app":"a"}',
        '{"gateway":"g","expires":1}', '{"app":"a","expires":1}',
        '{"gateway":"g","app":"a","expires":253402300800}',
        '{"gateway":"g","app":"a","expires":-1}',
        '{"gateway":"g","app":"a","expires":1e999}',
        '{"gateway":"g","app":"a","expires":"soon"}',
        '{"gateway":"g","app":"a","expires":{"expires":1}}',
        '{"gateway":"g","app":"a b","expires":1}',
        '{"gateway":"g","app":"a\u0000","expires":1}',
        '{"gateway":"g:h","app":"a","expires":1}',
        '{"gateway":"g","resource":"-","app":"a","expires":1}',
        '{"gateway":"g","resource":"","app":"a","expires":1}',
        '{"gateway":"g","resource":7,"app":"a","expires":1}',
        '{"gateway":"g","app":"a","app":"b","expires":1}',
        '{"gateway":"g","app":"a","expires":1,"type":7}',
        '{"gateway":"' . 'g' x 65 . '","app":"a","expires":1}',
        '{"gateway":"g","app":"a","expires":1} x',
        "{\"gateway\":\"g\",\"app\":\"a\xff\",\"expires\":1}",
        '{"gateway":"g","app":"a","expires":1,' . join(',', map { "\"m$_\":1" }
            1 .. 70) . '}',
        '{"gateway":"g","app":"a","x":"' . 'x' x 1100000 . '","expires":1}',
    );
    $redis->cmd('FLUSHALL');

    my $good = '{"gateway":"g","app":"ok%d","expires":1}';
    my ($status, $out, $err) = import_text(join '', map {
        sprintf("$good\n", $_) . "$bad[$_]\n" } 0 .. $#bad);

    is $status, 1, 'bad lines: 1';
    is_deeply [$err =~ /^app-permission: line (\d+): /mg],
        [map { 2 * $_ + 2 } 0 .. $#bad], 'each named by its number';
    is $redis->cmd('DBSIZE'), @bad + 1, 'the rest is done';
    is meta(), '1', 'and the table loaded';

    ($status, $out, $err) = import_text("$bad[0]");
    is $status, 1, 'a bad line without its end';
    like $err, qr/line 1: not a JSON object: refused/, 'is refused as well';

    ($status, $out, $err) = import_text("\xef\xbb\xbf"
        . sprintf("$good\n", 1) x 2);
    is $status, 1, 'a byte order mark';
    like $err, qr/line 1: a byte order mark .*\n.*imported 1 grants/,
        'is named, and spoils its line only';
}

# ---- an import says only what is new, and keeps what it does not know

{
    $redis->cmd('FLUSHALL');
    $redis->grant('g', 'r', 'a', '{"expires":5,"note":"x","granted":3}');
    $redis->grant('g', 'same', 'a', '{"expires":7}');

    my ($status, $out, $err) = $t->cli('--json', 'import', { stdin =>
        '{"gateway":"g","resource":"r","app":"a","expires":6}' . "\n"
        . '{"gateway":"g","resource":"same","app":"a","expires":7}' });
    is value('g', 'r', 'a'), '{"expires":6,"note":"x","granted":3}',
        'unknown members of the value stay';
    my $counts = JSON::PP->new->decode($out);
    is_deeply($counts, { grants => 2, new => 0, changed => 1, unchanged => 1,
        refused => 0, removed => 0 }, 'counted');

    # what would not change is not written: no gateway hears of it

    my $watch = $redis->connect;
    my $id = $watch->cmd('CLIENT', 'ID');
    my $before = $redis->cmd('INFO', 'commandstats') =~ /cmdstat_eval:calls=(\d+)/ ? $1 : 0;
    import_text('{"gateway":"g","resource":"same","app":"a","expires":7}');
    my $after = $redis->cmd('INFO', 'commandstats') =~ /cmdstat_eval:calls=(\d+)/ ? $1 : 0;
    is $after, $before, 'an unchanged grant is not written';
}

# ---- a key of another type spoils its own line only

{
    $redis->cmd('FLUSHALL');
    $redis->cmd('SET', key('g', 'odd'), 'x');
    my ($status, $out, $err) = import_text(join '', map {
        qq({"gateway":"g","app":"$_","expires":1}\n) } qw(a odd b));
    is $status, 1, 'a key of another type: 1';
    like $err, qr/\{g:odd\}" is of another type.*\n.*line 2: refused/,
        'its line is named';
    like $err, qr/imported 2 grants: 2 new.* 1 lines refused/, 'the rest is done';
}

# ---- nothing in, nothing done

{
    $redis->cmd('FLUSHALL');
    $redis->load->grant('g', 'r', 'a', 5);

    my ($status, $out, $err) = import_text('', '--replace');
    is $status, 1, 'an empty file replaces nothing';
    like $err, qr/holds no grant.*--allow-empty/, 'and says why';
    is value('g', 'r', 'a'), '{"expires":5}', 'all is there';

    ($status) = import_text('', '--replace', '--allow-empty');
    is $status, 0, 'unless told to';
    is value('g', 'r', 'a'), undef, 'then nothing is there';
}

# ---- meta comes last

{
    $redis->cmd('FLUSHALL');
    my $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/^HSETNX app_permission:meta/, delay => 0.5 });

    my $pid = fork // die;
    if (!$pid) {
        my ($status) = $t->cli('import', { redis => $fake->url, stdin => join '',
            map { qq({"gateway":"g","app":"a$_","expires":1}\n) } 1 .. 3000 });
        POSIX::_exit($status);
    }
    wait_for(sub { $fake->commands(qr/^HSETNX app_permission:meta/) });
    is meta(), undef, 'not loaded yet';
    is $redis->cmd('DBSIZE'), 3000, 'when all lines are there';
    waitpid $pid, 0;
    is meta(), '1', 'and then it is';
    $fake->stop;
    delete $t->{fake};
}

# ---- replace

sub lines_of {
    my ($from, $to) = @_;
    return join '', map { sprintf
        qq({"gateway":"g%d","resource":"r%d","app":"a%d","expires":%d}\n),
        $_ % 3, $_ % 7, $_, 1800000000 + $from } $from .. $to;
}

{
    $redis->cmd('FLUSHALL');
    import_text(lines_of(1, 2000));

    my ($status, $out, $err) = import_text(lines_of(1001, 2500) . "bad\n",
        '--replace');
    is $status, 1, 'replace with a bad line: 1';
    like $err, qr/nothing was removed/, 'says so';
    is $redis->cmd('DBSIZE'), 2501, 'and removes nothing';

    # a reader looks all the time at grants that are in both

    spew("$dir/new.jsonl", lines_of(1001, 3000));
    my $pid = fork // die;
    if (!$pid) {
        open STDERR, '>', "$dir/err";
        exec $cli, '--redis', $redis->url, 'import', '--replace',
            "$dir/new.jsonl" or POSIX::_exit(127);
    }

    my ($rounds, $missing, $client) = (0, 0, $redis->connect);
    for ( ;; ) {
        my @got = $client->pipeline(map { ['HGET', key('g' . $_ % 3, "a$_"),
            'r' . $_ % 7] } map { 1001 + int rand 1000 } 1 .. 200);
        $missing += grep { !defined } @got;
        $rounds++;
        last if waitpid($pid, POSIX::WNOHANG()) == $pid;
    }
    is $?, 0, 'replace';
    is $missing, 0, "nothing in both was ever missing ($rounds rounds)";
    is $redis->cmd('DBSIZE'), 2001, 'what is not in the file is gone';
    is value('g' . 1001 % 3, 'r' . 1001 % 7, 'a1001'), '{"expires":1800001001}',
        'what is in it is as it says';

    # also what no import could have written

    $redis->grant('g0', 'odd', 'x', 'unreadable');
    ($status) = $t->cli('import', '--replace', "$dir/new.jsonl");
    is value('g0', 'odd', 'x'), undef, 'an unreadable grant goes as well';
}

# ---- Ctrl-C

my %number = (HUP => 1, INT => 2, TERM => 15);

for my $signal (sort keys %number) {
    $redis->cmd('FLUSHALL');
    $redis->grant('old', 'r', 'a', 5);
    POSIX::mkfifo("$dir/fifo.$signal", 0600);

    my $pid = fork // die;
    if (!$pid) {
        $SIG{HUP} = 'DEFAULT';
        open STDERR, '>', "$dir/err";
        exec $cli, '--redis', $redis->url, 'import', '--replace',
            "$dir/fifo.$signal" or POSIX::_exit(127);
    }
    open my $fifo, '>', "$dir/fifo.$signal" or die;
    $fifo->autoflush;
    print {$fifo} lines_of(1, 5000);
    wait_for(sub { $redis->cmd('DBSIZE') > 4000 });
    kill $signal, $pid;
    my $status = reap($pid, 10);

    is $status, (128 + $number{$signal}) << 8, "SIG$signal: status";
    like slurp("$dir/err"), qr/all lines to (\d+) are done, nothing was removed/,
        'says how far it came';
    my ($far) = slurp("$dir/err") =~ /all lines to (\d+)/;
    is $redis->cmd('DBSIZE'), $far + 1, 'and that is what is there';
    is meta(), undef, 'the table does not count as loaded';
    is value('old', 'r', 'a'), '{"expires":5}', 'nothing was removed';
}

# ---- Redis fails half-way

{
    $redis->cmd('FLUSHALL');
    my $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/a2500\b/, close => 1 });
    my ($status, $out, $err) = $t->cli('import', { redis => $fake->url,
        stdin => lines_of(1, 3000) });
    is $status, 3, 'status 3';
    like $err, qr/closed the connection/, 'says why';
    like $err, qr/all lines to (\d+) are done/, 'and how far it came';
    is meta(), undef, 'the table does not count as loaded';

    $fake->rules({ match => qr/^HSETNX/, reply => "-OOM command not allowed\r\n" });
    ($status, $out, $err) = $t->cli('import', { redis => $fake->url,
        stdin => lines_of(1, 1) });
    is $status, 3, 'out of memory: 3';
    like $err, qr/^app-permission: Redis at \S+ refused: OOM command not allowed; Redis is out of memory: raise maxmemory$/m,
        'says what to do';

    # as 6.2 has it of a command in a script

    $fake->rules({ match => qr/^HSETNX/, reply => '-ERR Error running script '
        . '(call to f_b4eb): @user_script:1: @user_script: 1: -OOM command '
        . "not allowed when used memory > 'maxmemory'.\r\n" });
    ($status, $out, $err) = $t->cli('import', { redis => $fake->url,
        stdin => lines_of(1, 1) });
    like $err, qr/ refused: OOM command not allowed when used memory > 'maxmemory'; Redis is out/,
        'without where in the script';
    $fake->stop;
    delete $t->{fake};

    # and as this one has it

    $redis->cmd('FLUSHALL');
    $redis->load->grant('g', 'r', 'a', 5);
    $redis->cmd('CONFIG', 'SET', 'maxmemory', 1);
    ($status, $out, $err) = $t->cli('import', { stdin =>
        '{"gateway":"g","resource":"r","app":"a","expires":6}' });
    $redis->cmd('CONFIG', 'SET', 'maxmemory', 0);
    is $status, 3, 'a change that Redis has no memory for: 3';
    like $err, qr/ refused: OOM command not allowed when used memory > 'maxmemory'; Redis is out/,
        'said without noise';
}

# ---- a million lines: rate, memory, and a set of fingerprints on disk

SKIP: {
    skip 'a million lines: set PERM_LONG=1 to run it slowed down', 4
        if $Perm::Util::SLOW > 1 && !$ENV{PERM_LONG};

    $redis->cmd('FLUSHALL');
    my $file = "$dir/million.jsonl";
    open my $out, '>', $file or die;
    printf {$out} qq({"gateway":"gw%d","resource":"resource_%d","app":"app%06d","expires":1800000000,"type":"apply"}\n),
        $_ % 50, $_ % 7, $_ / 5 for 1 .. 1_100_000;
    close $out;

    for my $replace (0, 1) {
        $redis->grant('extra', "r$_", 'a', 5) for 1 .. 3;
        my ($start, $kb) = (time, 0);

        my $pid = fork // die;
        if (!$pid) {
            open STDERR, '>', "$dir/err";
            exec $cli, '--redis', $redis->url, 'import',
                $replace ? '--replace' : (), $file or POSIX::_exit(127);
        }
        until (waitpid($pid, POSIX::WNOHANG()) == $pid) {
            $kb = $1 if slurp("/proc/$pid/status") =~ /^VmHWM:\s+(\d+)/m;
            sleep 0.02;
        }
        my ($seconds, $text) = (time - $start, slurp("$dir/err"));

        # two processes on what the machine has; the target is for a quiet one

        cmp_ok 1_100_000 / $seconds, '>', 20_000 / $Perm::Util::SLOW,
            sprintf '%d grants a second', 1_100_000 / $seconds;
        cmp_ok $kb, '<', 64 * 1024, "$kb KiB of memory"
            unless $Perm::Util::SLOW > 1;
        is $redis->cmd('EXISTS', key('extra', 'a')), $replace ? 0 : 1,
            $replace ? 'replaced' : 'only added';
        like $text, $replace ? qr/1100000 as they were; 0 lines refused, 3 grants removed/
                             : qr/1100000 grants: 1100000 new/, 'counted';
    }
}

$redis->stop;
done_testing;

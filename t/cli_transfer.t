#!/usr/bin/perl

# import: lines in, bad ones refused by number, --replace that never passes
# through a hole, interrupts, rate and memory.  For what comes out: cli_export.t

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;
my $dir = $t->dir;

sub meta { $redis->cmd('HGET', 'app_permission:meta', 'schema') }

sub import_is {
    my ($status, $name, $text, @args) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %o = ref $args[-1] ? %{pop @args} : ();
    return $t->cli_is($status, $name, 'import', @args, { stdin => $text, %o });
}

sub lines_of {
    my ($from, $to) = @_;
    return join '', map { sprintf
        qq({"gateway":"g%d","resource":"r%d","app":"a%d","expires":%d}\n),
        $_ % 3, $_ % 7, $_, 1800000000 + $from } $from .. $to;
}

sub counts { return { grants => 0, new => 0, changed => 0, shortened => 0,
                      revived => 0, unchanged => 0,
                      refused => 0, removed => 0, @_ } }


subtest 'good lines' => sub {
    my ($out, $err) = import_is(0, 'import', <<'EOT');
{"gateway":"g","resource":"r1","app":"a","expires":1800000000,"type":"apply"}
{"gateway":"g","app":"a","expires":1800000000.5}
{"app":"b","gateway":"g","expires":"2027-01-15T08:00:00Z","type":null}

  { "gateway" : "g" , "resource" : "\u0072\u0032" , "app" : "a" , "expires" : 1.8e9 , "ticket" : [ 1, 12345678901234567890 ] }
{"gateway":"g","resource":"r3","app":"a","expires":1}
{"gateway":"g","resource":"r3","app":"a","expires":2}
EOT
    like $err, qr/imported 6 grants: .* 0 lines refused/, 'says how many';
    is $redis->value('g', 'r1', 'a'), '{"expires":1800000000,"type":"apply"}', 'a grant';
    is $redis->value('g', undef, 'a'), '{"expires":1800000001}', 'the gateway';
    is $redis->value('g', undef, 'b'), '{"expires":1800000000}', 'none: the gateway';
    is $redis->value('g', 'r2', 'a'),
        '{"expires":1800000000,"ticket":[ 1, 12345678901234567890 ]}',
        'other members are kept';
    is $redis->value('g', 'r3', 'a'), '{"expires":2}', 'of two lines the last counts';
    is meta(), '1', 'the table is loaded';
};


subtest 'of lines for the same grant the last one counts' => sub {
    my $line = sub { qq({"gateway":"g","resource":"r","app":"a",)
                     . qq("expires":$_[0]@{[$_[1] // '']}}\n) };
    my @others = map { qq({"gateway":"g","app":"o$_","expires":1}\n) } 1 .. 900;

    for my $between ([], [@others], [@others, @others]) {
        my $text = join '', $line->(1900000000, ',"x":1'), @$between,
            $line->(1950000000), @$between, $line->(2000000000);

        for my $stored (undef, '2000000000', '{"expires":2000000000,"x":1}',
            '{"expires":1900000000,"x":1}', '{"expires":1950000000,"y":2}')
        {
            my $case = ($stored // 'none') . ', ' . @$between . ' lines between';
            $redis->empty;
            $redis->cmd('HSET', key('grants', 'a', 'g'), 'r', $stored) if defined $stored;

            import_is(0, "the same grant three times ($case)", $text);
            my $value = json($redis->value('g', 'r', 'a'));
            is $value->{expires}, 2000000000, 'the last line counts';
            is $value->{x}, 1, 'and members that only an earlier one has stay';

            my $first = $redis->value('g', 'r', 'a');
            $t->cli('import', { stdin => $text });
            is $redis->value('g', 'r', 'a'), $first, 'another run changes nothing';
        }
    }

    $redis->empty->load->grant('g', 'r', 'a', '{"expires":2000000000}');
    my $before = $redis->calls('eval');
    my $two = $line->(1900000000) . $line->(2000000000);
    is_deeply json(import_is(0, 'two lines', $two, '--json')),
        counts(grants => 2, unchanged => 2), 'counted';
    is $redis->calls('eval'), $before, 'and nothing written that the last line takes back';

    for (['new', 'added'], ['changed', 'changed']) {
        my ($kind, $what) = @$_;
        $redis->cmd('DEL', key('grants', 'a', 'g')) if $kind eq 'new';
        $redis->grant('g', 'r', 'a', '{"expires":5}') if $kind ne 'new';
        $before = $redis->calls('eval');
        is_deeply json(import_is(0, 'two lines', $two, '--json')),
            counts(grants => 2, unchanged => 1, revived => $kind eq 'changed' ? 1 : 0,
                   $kind => 1), "$what once";
        is $redis->calls('eval'), $before + ($kind eq 'changed'), '... and written once';
    }
};


subtest 'bad lines' => sub {
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
        '{"gateway":"g","resource":null,"app":"a","expires":1}',
        '{"gateway":"g","resource":"*","app":"a","expires":1}',
        '{"gateway_name":"g","resource_name":null,"bk_app_code":"a","expires":1}',
        '{"gateway_name":"g","resource_name":"-","bk_app_code":"a","expires":1}',
        '{"gateway_name":"g","bk_app_code":"a","expires":1}',
        '{"gateway_name":"g","resource_name":"r","resource":"s","bk_app_code":"a","expires":1}',
        '{"gateway_name":"g","resource_name":"r","app":"a","expires":1}',
        '{"gateway":"g","app":"a","expires":1800000000000}',
        '{"gateway":"g","app":"a","app":"b","expires":1}',
        '{"gateway":"g","app":"a","expires":1,"type":7}',
        '{"gateway":"' . 'g' x 65 . '","app":"a","expires":1}',
        '{"gateway":"g","app":"a","expires":1} x',
        "{\"gateway\":\"g\",\"app\":\"a\xff\",\"expires\":1}",
        '{"gateway":"g","app":"a","expires":1,' . join(',', map { "\"m$_\":1" }
            1 .. 70) . '}',
        '{"gateway":"g","app":"a","x":"' . 'x' x 1100000 . '","expires":1}',
        '{"gateway":"g","app":"a","x":"' . 'x' x 65536 . '","expires":1}',
    );
    $redis->empty;

    my $good = '{"gateway":"g","app":"ok%d","expires":1}';
    my ($out, $err) = import_is(1, 'bad lines: 1', join '', map {
        sprintf("$good\n", $_) . "$bad[$_]\n" } 0 .. $#bad);

    is_deeply [$err =~ /^app-permission: standard input: line (\d+), column \d+: .*: refused$/mg],
        [map { 2 * $_ + 2 } 0 .. 19], 'the first twenty are named by number';
    my ($more) = $err =~ /: (\d+) lines more refused, by kind:$/m;
    is $more, @bad - 20, '... and the others counted';
    my $sum = 0;
    $sum += $_ for $err =~ /^app-permission: +(\d+)  \S/mg;
    is $sum, $more, '... by kind';
    is $redis->cmd('DBSIZE'), @bad + 1, 'the rest is done';
    is meta(), '1', 'and the table loaded';

    ($out, $err) = import_is(1, 'a bad line without its end', $bad[0]);
    like $err, qr/line 1, column 1: not a JSON object: refused/, 'is refused as well';

    ($out, $err) = import_is(1, 'a byte order mark',
                             "\xef\xbb\xbf" . sprintf("$good\n", 1) x 2);
    like $err, qr/line 1, column 1: a byte order mark .*\n.*imported 1 grant:/,
        'is named, and spoils its line only';
};


subtest 'an import says only what is new, and keeps what it does not know' => sub {
    my $same = '{"gateway":"g","resource":"same","app":"a","expires":7}';
    $redis->empty->grant('g', 'r', 'a', '{"expires":5,"note":"x","granted":3}')
                 ->grant('g', 'same', 'a', '{"expires":7}');

    my ($out) = import_is(0, 'import',
        '{"gateway":"g","resource":"r","app":"a","expires":6}' . "\n$same",
        '--json');
    is $redis->value('g', 'r', 'a'), '{"expires":6,"note":"x","granted":3}',
        'unknown members of the value stay';
    is_deeply json($out), counts(grants => 2, changed => 1, unchanged => 1),
        'counted';

    # what would not change is not written: no gateway hears of it

    my $before = $redis->calls('eval');
    import_is(0, 'import', $same);
    is $redis->calls('eval'), $before, 'an unchanged grant is not written';
};


subtest 'a key of another type spoils its own line only' => sub {
    $redis->empty;
    $redis->cmd('SET', key('grants', 'odd', 'g'), 'x');
    my ($out, $err) = import_is(1, 'a key of another type: 1', join '', map {
        qq({"gateway":"g","app":"$_","expires":1}\n) } qw(a odd b));
    like $err, qr/\{g:odd\}" is of another type.*\n.*line 2: its key is of another type: refused/,
        'its line is named';
    like $err, qr/imported 2 grants: 2 new.* 1 line refused/, 'the rest is done';
};


subtest 'nothing in, nothing done' => sub {
    $redis->empty->load->grant('g', 'r', 'a', 5);

    my ($out, $err) = import_is(1, 'an empty file replaces nothing', '',
                                '--replace');
    like $err, qr/holds no grant.*--allow-empty/, 'and says why';
    is $redis->value('g', 'r', 'a'), '{"expires":5}', 'all is there';

    import_is(0, 'unless told to', '', '--replace', '--allow-empty');
    is $redis->value('g', 'r', 'a'), undef, 'then nothing is there';
};


subtest 'meta comes last' => sub {
    $redis->empty;
    my $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/^HSETNX app_permission:meta schema/, hold => 1 });
    my $run = $t->cli_begin('import', { redis => $fake->url,
                                        stdin => lines_of(1, 3000) });
    wait_for(sub { $fake->commands(qr/^HSETNX app_permission:meta schema/) });
    is meta(), undef, 'not loaded yet';
    is $redis->cmd('DBSIZE'), 3001, 'when all lines are there, and its id';
    $fake->release;
    is +($run->end)[0], 0, 'import';
    is meta(), '1', 'and then it is';
    $fake->stop;
};


subtest 'replace' => sub {
    $redis->empty;
    import_is(0, 'import', lines_of(1, 2000));
    my ($out, $err) = import_is(1, 'replace with a bad line: 1',
        lines_of(1001, 2500) . "bad\n", '--replace');
    like $err, qr/nothing was removed/, 'says so';
    is $redis->cmd('DBSIZE'), 2501, 'and removes nothing';

    # a reader looks all the time at grants that are in both

    spew("$dir/new.jsonl", lines_of(1001, 3000));
    my $run = $t->cli_begin('import', '--replace', '--max-removals', '100%',
                            "$dir/new.jsonl");
    my ($rounds, $missing, $client) = (0, 0, $redis->connect);
    do {
        my @got = $client->pipeline(map { ['HGET',
            key('grants', "a$_", 'g' . $_ % 3), 'r' . $_ % 7]
        } map { 1001 + int rand 1000 } 1 .. 200);
        $missing += grep { !defined } @got;
        $rounds++;
    } while ($run->goes_on);
    is +($run->end)[0], 0, 'replace';
    is $missing, 0, "nothing in both was ever missing ($rounds rounds)";
    is $redis->cmd('DBSIZE'), 2001, 'what is not in the file is gone';
    is $redis->value('g' . 1001 % 3, 'r' . 1001 % 7, 'a1001'),
        '{"expires":1800001001}', 'what is in it is as it says';

    # also what no import could have written

    $redis->grant('g0', 'odd', 'x', 'unreadable');
    $t->cli_is(0, 'replace', 'import', '--replace', "$dir/new.jsonl");
    is $redis->value('g0', 'odd', 'x'), undef,
        'an unreadable grant goes as well';
};


my %number = (HUP => 1, INT => 2, TERM => 15);

for my $signal (sort keys %number) {
    subtest "an import that is interrupted: $signal" => sub {
        $redis->empty->grant('old', 'r', 'a', 5);
        POSIX::mkfifo("$dir/fifo.$signal", 0600);

        local $SIG{HUP} = 'DEFAULT';
        my $run = $t->cli_begin('import', '--replace', "$dir/fifo.$signal");
        spew("$dir/fifo.$signal", lines_of(1, 100_000));
        wait_for(sub { $redis->cmd('DBSIZE') > 4000 });
        kill $signal, $run->{pid};

        my ($status, $out, $err) = $run->end;
        is $status, 128 + $number{$signal}, 'status';
        like $err, qr/all lines to (\d+) are done, nothing was removed/,
            'says how far it came';
        my ($far) = $err =~ /all lines to (\d+)/;
        is $redis->cmd('DBSIZE'), $far + 1, 'and that is what is there';
        is meta(), undef, 'the table does not count as loaded';
        is $redis->value('old', 'r', 'a'), '{"expires":5}',
            'nothing was removed';
    };
}


subtest 'Redis fails half-way' => sub {
    $redis->empty;
    my $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/a2500\b/, close => 1 });
    my ($out, $err) = import_is(3, 'status 3', lines_of(1, 3000),
                                { redis => $fake->url });
    like $err, qr/closed the connection/, 'says why';
    like $err, qr/all lines to 2048 are done, nothing was removed/,
        'and how far it came';
    is $redis->cmd('DBSIZE'), 2048, 'which is what is there';
    is meta(), undef, 'the table does not count as loaded';

    $redis->grant('old', $_, 'a', 5) for 1 .. 3;
    $fake->rules({ match => qr/^HDEL \S+ 2$/, close => 1 });
    ($out, $err) = import_is(3, 'while grants are removed: 3',
        lines_of(1, 2048), '--replace', { redis => $fake->url });
    like $err, qr/all lines to 2048 are done, 1 grant was removed/,
        'says how many were';
    $redis->cmd('DEL', key('grants', 'a', 'old'));

    $fake->rules({ match => qr/^HSETNX/, reply => "-OOM command not allowed\r\n" });
    ($out, $err) = import_is(3, 'out of memory: 3', lines_of(1, 1),
                             { redis => $fake->url });
    like $err, qr/^app-permission: Redis at \S+ refused: OOM command not allowed; Redis is out of memory: raise maxmemory$/m,
        'says what to do';

    # as 6.2 has it of a command in a script

    $fake->rules({ match => qr/^HSETNX/, reply => '-ERR Error running script '
        . '(call to f_b4eb): @user_script:1: @user_script: 1: -OOM command '
        . "not allowed when used memory > 'maxmemory'.\r\n" });
    ($out, $err) = import_is(3, 'in a script: 3', lines_of(1, 1),
                             { redis => $fake->url });
    like $err, qr/ refused: OOM command not allowed when used memory > 'maxmemory'; Redis is out/,
        'without where in the script';
    $fake->stop;

    # and as this one has it

    $redis->empty->load->grant('g', 'r', 'a', 5);
    $redis->cmd('CONFIG', 'SET', 'maxmemory', 1);
    ($out, $err) = import_is(3, 'a change that Redis has no memory for: 3',
        '{"gateway":"g","resource":"r","app":"a","expires":6}');
    $redis->cmd('CONFIG', 'SET', 'maxmemory', 0);
    like $err, qr/ refused: OOM command not allowed when used memory > 'maxmemory'; Redis is out/,
        'said without noise';
};


subtest 'a million lines: rate and memory' => sub {
    plan skip_all => 'set PERM_LONG=1 to run it slowed down'
        if $Perm::Util::SLOW > 1 && !$ENV{PERM_LONG};

    $redis->empty;
    my $file = "$dir/million.jsonl";
    open my $lines, '>', $file or die;
    printf {$lines} qq({"gateway":"gw%d","resource":"resource_%d","app":"app%06d","expires":1800000000,"type":"apply"}\n),
        $_ % 50, $_ % 7, $_ / 5 for 1 .. 1_100_000;
    close $lines;

    for (['only added', qr/1100000 grants: 1100000 new/],
         ['replaced', qr/1100000 as they were; 0 lines refused, 3 grants removed/,
          '--replace'])
    {
        my ($name, $counted, @replace) = @$_;
        $redis->grant('extra', "r$_", 'a', 5) for 1 .. 3;
        my ($start, $kb) = (time, 0);

        my $run = $t->cli_begin('import', @replace, $file);
        while ($run->goes_on) {
            $kb = $1 if slurp("/proc/$run->{pid}/status") =~ /^VmHWM:\s+(\d+)/m;
            wait_until(time + 0.02);
        }
        my $seconds = time - $start;
        my ($status, $out, $err) = $run->end;

        # two processes on what the machine has; the target is for a quiet one

        cmp_ok 1_100_000 / $seconds, '>', 20_000 / $Perm::Util::SLOW,
            sprintf '%d grants a second', 1_100_000 / $seconds;
        cmp_ok $kb, '<', 64 * 1024, "$kb KiB of memory"
            unless $Perm::Util::SLOW > 1;
        is $redis->cmd('EXISTS', key('grants', 'a', 'extra')), @replace ? 0 : 1,
            $name;
        like $err, $counted, 'counted';
    }
};

done_testing;

#!/usr/bin/perl

# import: the dashboard's array, what a bad line is told, and that neither a
# mistake nor half a file takes grants away.  For the rest: cli_transfer.t

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;
my $dir = $t->dir;

sub import_is {
    my ($status, $name, $text, @args) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    spew("$dir/file", $text);
    return $t->cli_is($status, $name, 'import', @args, "$dir/file");
}

sub counts { return { grants => 0, new => 0, changed => 0, shortened => 0,
                      revived => 0, unchanged => 0,
                      refused => 0, removed => 0, @_ } }

# the table as lines, sorted

sub table { join "\n", sort split /\n/, ($t->cli('export'))[1] }

sub lines_of {
    my ($from, $to) = @_;
    return join '', map {
        qq({"gateway":"g","resource":"r","app":"a$_","expires":1800000000}\n)
    } $from .. $to;
}


subtest "no grant is made from what another command writes" => sub {
    $redis->empty;
    $t->cli_is(0, 'init', 'init');
    my @pair = qw(--gateway g --resource r --app demo);
    $t->cli_is(0, 'grant', 'grant', @pair, '--days', 30);
    my ($listed) = $t->cli_is(0, 'list', 'list', '--json');
    my ($granted) = table();
    $t->cli_is(0, 'apply', 'apply', @pair, '--days', 60);
    my ($asked) = $t->cli_is(0, 'requests', 'requests', '--json');
    $t->cli_is(0, 'revoke', 'revoke', @pair);
    my ($past) = $t->cli_is(0, 'history', 'history', '--json');

    for (['a request', $asked, qr/: line 1, column \d+: this line is a request \("requests --json"\), not a grant: refused$/m],
         ['the history', $past, qr/: line 1, column \d+: this line is a change \("history --json", .*\), not a grant: refused$/m])
    {
        my ($name, $text, $wrong) = @$_;
        my (undef, $err) = import_is(1, $name, $text);
        like $err, $wrong, "$name: refused";
        is table(), '', "$name: nobody got a grant";
    }

    import_is(0, 'the list', $listed);
    is table(), $granted, 'a line of the list is the grant, and no more';
};


subtest "the array of the dashboard" => sub {
    $redis->empty;
    my ($out, $err) = import_is(1, 'import', <<'END', '--json');
[
  {"bk_app_code": "demo", "gateway_name": "g", "resource_name": "*",
   "expires": "2027-03-06T20:40:46.123456+00:00"},
  {"bk_app_code": "demo", "gateway_name": "g",
   "resource_name": "get,]}\"[{", "expires": 1}, {"bk_app_code":"demo",
   "gateway_name":"g","resource_name":"r","expires":"2100-01-01T00:00:00+00:00"}]

END
    like $err, qr/file: line 5, column 21: "resource_name" "get,.*\[\{": not 1 to 256 bytes/,
        'a bad one is refused, with its place in the file';
    is_deeply json($out), counts(grants => 2, new => 2, refused => 1),
        'counted';
    is table(), join("\n",
        '{"gateway":"g","app":"demo","expires":1804365646}',
        '{"gateway":"g","resource":"r","app":"demo","expires":4102444800}'),
        '"*" is the whole gateway';

    my $good = '{"gateway":"g","app":"b","expires":7}';
    for ([0, "[$good]"], [0, " \r\n\t[ $good\n,\n$good ] \n"],
         [1, "[$good,]", 'no object before the end'],
         [1, "[,$good]", 'no object before this comma'],
         [1, "[$good,,$good]", 'no object before this comma'],
         [1, "[$good] x", 'text behind the array'],
         [1, "[$good $good]\n", 'not a JSON object'],
         [1, "[[$good], $good]", 'not a JSON object'],
         [1, "[$good, 7]", 'not a JSON object'],
         [1, "[$good", 'ends within the array'],
         [1, "[$good,", 'ends within the array'],
         [1, "[$good, {\"gate", 'ends within the array'],
         [1, "\xef\xbb\xbf[$good, {\"x\":\"\\", 'ends within the array'])
    {
        my ($status, $text, $wrong) = @$_;
        my ($out, $err) = import_is($status, $text, $text);
        like $err, qr/$wrong.*: refused/, 'says what is wrong' if $wrong;
        unlike $err, qr/refused$/m, 'nothing is' unless $wrong;
    }
    ($out, $err) = import_is(1, 'an empty array', '[ ]', '--replace');
    like $err, qr/holds no grant/, 'holds no grant';
};


subtest 'an array is not read into memory' => sub {
    plan skip_all => 'memory of a sanitizer' if $Perm::Util::SLOW > 1;
    $redis->empty;
    my $element = sprintf '{"gateway":"g","app":"a","expires":1,%s"x":"%s"}',
        ' ' x 500_000, 'y' x 1000;
    spew("$dir/large", '[' . join(',', ($element) x 200) . ']');
    my ($kb, $run) = (0, $t->cli_begin('import', "$dir/large"));
    while ($run->goes_on) {
        $kb = $1 if slurp("/proc/$run->{pid}/status") =~ /^VmHWM:\s+(\d+)/m;
        wait_until(time + 0.01);
    }
    my ($status) = $run->end;
    is $status, 0, '100 MB are imported';
    cmp_ok $kb, '<', 32 * 1024, "in $kb KiB";
    cmp_ok $kb, '>', 0, 'measured';
};


subtest 'a bad line is told with its place, its value and the rule' => sub {
    $redis->empty;
    my $rule = 'A-Z a-z 0-9 \. _ ~ @ / \+ -';
    for (['{"gateway":"a b","app":"a","expires":1}',
          qr/column 12: "gateway" "a b": not 1 to 64 bytes of $rule/],
         ['{"gateway":"g","app":"\u0007\"","expires":1}',
          qr/column 22: "app" "\\x5cu0007\\x5c"": not 1 to 128 bytes of $rule/],
         [qq({"gateway":"g","app":"\e[31m","expires":1}),
          qr/"app" "\\x1b\[31m": not 1 to 128/],
         ['{"gateway":"g","resource":"-","app":"a","expires":1}',
          qr/"resource" "-": not 1 to 256 bytes of $rule, nor may it be "-" alone/],
         ['{"gateway":"g","resource":null,"app":"a","expires":1}',
          qr/column 27: "resource" null: null is no resource; without/],
         ['{"gateway":"g","app":"a","expires":1800000000000}',
          qr/column 36: "expires" 1800000000000: too large: .*in seconds/],
         ['{"gateway":"g","app":"a","expires":-1}',
          qr/"expires" -1: a time before 1970/],
         ['{"gateway":"g","app":"a","expires":"soon"}',
          qr/"expires" "soon": neither unix seconds, nor a date/],
         ['{"gateway":"g","app":"a"}', qr/"expires": missing/],
         ['{"gateway":"g","app":"a","app":"b","expires":1}',
          qr/column 32: "app" "b": this member stands twice/],
         ['{"gateway":"g",app:"a"}', qr/column 1[67]: not a JSON object/])
    {
        my ($line, $pattern) = @$_;
        my ($out, $err) = import_is(1, $line, "\n$line\n");
        like $err, qr/^app-permission: \Q$dir\E\/file: line 2, column \d+: .*: refused$/m,
            'the file and the line';
        like $err, $pattern, 'the column, the value and the rule';
    }

    my ($out, $err) = $t->cli_is(2, 'grant', qw(grant --gateway), 'a b',
                                 qw(--app a));
    like $err, qr/--gateway "a b": not 1 to 64 bytes of $rule/,
        'which grant words likewise';
};


subtest 'files of another kind' => sub {
    $redis->empty;
    my ($out, $err) = import_is(1, 'CSV', "gateway,resource,app,expires\n"
        . join '', map { "g,r,a$_,1800000000\n" } 1 .. 50);
    like $err, qr/line 1, column 1: not a JSON object; it looks like CSV/,
        'is recognised';
    like $err, qr/: 50 lines more refused.*\n.*50  not a JSON object; it looks/,
        'and told once';
    for my $text ("\xff\xfe{\0", "\xfe\xff\0{", "{\0\"\0", "\0{\0\"") {
        ($out, $err) = import_is(1, 'UTF-16', $text . "\0x" x 100);
        like $err, qr/is UTF-16.*nothing was done; save it as UTF-8/, 'told';
    }
    my $line = '{"gateway":"g","app":"a","expires":1}';
    import_is(0, 'ends of lines as Windows has them', "$line\r\n\r\n$line\r\n");
    is $redis->value('g', undef, 'a'), '{"expires":1}', 'are none of the value';
    ($out, $err) = import_is(1, 'a NUL byte', "$line\n{\"gateway\":\"g\0\"}\n");
    like $err, qr/line 2, column 14: a NUL byte/, 'told';
};


subtest 'lines for one grant with different ends' => sub {
    $redis->empty;
    my $line = sub { qq({"gateway":"g","app":"$_[0]","expires":$_[1]}\n) };
    my ($out, $err) = import_is(0, 'import', join '', $line->('a', 1),
        $line->('b', 1), (map { $line->("x$_", 1) } 1 .. 3000),
        $line->('a', 1), $line->('b', 2), $line->('a', 3));
    like $err, qr/: 2 lines repeat a grant of an earlier line with another end, as line 3004 does that of line 2: the last one counts/,
        'counted and told, with two of them';
    is $redis->value('g', undef, 'a'), '{"expires":3}', 'the last one counts';

    my $live = int(time) + 86400;
    my $text = join '', $line->('a', 1), (map { $line->("x$_", 1) } 1 .. 3000),
        $line->('a', $live);
    $redis->empty;
    ($out, $err) = import_is(0, 'a dry run', $text, '--dry-run', '--json');
    is_deeply json((split /\n/, $out)[-1]),
        counts(grants => 3002, new => 3001, unchanged => 1), 'counted';
    my $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/x2500\b/, close => 1 });
    spew("$dir/file", $text);
    $t->cli_is(3, 'it fails in between', 'import', "$dir/file",
               { redis => $fake->url });
    is $redis->value('g', undef, 'a'), qq({"expires":$live}),
        'an end that a later line replaces is never written';
    $fake->stop;
    ($out, $err) = import_is(0, 'the rest', $text, '--json');
    ($out, $err) = import_is(0, 'again', $text, '--json');
    is_deeply json($out), counts(grants => 3002, unchanged => 3002),
        'nothing changes';
    unlike $err, qr/older copy/, 'and nothing is shortened';
    for my $one (0, 1) {
        $redis->empty;
        ($out, $err) = $one
            ? import_is(0, 'on one line', '[' . join(',', split /\n/, $text) . ']',
                        '--json')
            : $t->cli_is(0, 'standard input', 'import', '--json',
                         { stdin => $text });
        is_deeply json($out), counts(grants => 3002, new => 3001, unchanged => 1),
            'counted alike from an array and from standard input';
    }

    ($out, $err) = import_is(0, 'the same end', $line->('a', 1) x 2);
    unlike $err, qr/repeat/, 'is not worth a word';
};


subtest '--max-bad' => sub {
    $redis->empty->load->grant('g', 'old', 'a', 5);
    my $bad = "bad\n" . '{"gateway":"g","app":"a b","expires":1}' . "\n";

    my ($out, $err) = import_is(1, 'two bad lines', $bad . lines_of(1, 3),
                                '--replace');
    like $err, qr/nothing was removed, as 2 lines were refused, and --max-bad is 0/,
        'no grant goes';
    ok $redis->value('g', 'old', 'a'), 'it is there';
    import_is(1, 'one too many', $bad . lines_of(1, 3), '--replace',
              '--max-bad', 1);
    ok $redis->value('g', 'old', 'a'), 'it is there still';

    ($out, $err) = import_is(1, 'as many as may be', $bad . lines_of(1, 3),
        '--json', '--replace', '--max-bad', 2);
    is $redis->value('g', 'old', 'a'), undef, 'revocations happen';
    is_deeply json($out), counts(grants => 3, unchanged => 3, refused => 2,
                                 removed => 1), 'counted';
};


subtest '--max-removals' => sub {
    my $there = sub { $redis->empty;
                      $t->cli('import', { stdin => lines_of(1, 1000) }) };
    for ([ 800, 0, '20 % of 1000'], [799, 1, 'one more'],
         [799, 0, 'a number', '201'], [799, 1, 'a smaller one', 200],
         [500, 0, 'a share', '50%'], [499, 1, 'one more than a share', '50%'],
         [999, 1, 'none at all', 0], [1, 0, 'any', '100%'])
    {
        my ($kept, $status, $name, @limit) = @$_;
        $there->();
        my ($out, $err) = import_is($status, $name, lines_of(1, $kept),
            '--replace', map { ('--max-removals', $_) } @limit);
        is $redis->cmd('DBSIZE'), 1 + ($status ? 1000 : $kept), '... grants';
        like $err, qr/nothing was removed: \d+ of 1000 grants would go, and --max-removals allows/,
            'it says why' if $status;
    }

    # new grants make the share no larger, nor do few grants stop a change

    $there->();
    import_is(1, 'all others', lines_of(2001, 3000), '--replace');
    is $redis->cmd('DBSIZE'), 2001, 'are added, and none goes';
    $redis->empty;
    $t->cli('import', { stdin => lines_of(1, 90) });
    import_is(0, 'up to 100 are fine', lines_of(91, 91), '--replace');
    is $redis->cmd('DBSIZE'), 2, 'they went';

    for (['--max-removals', '101%'], ['--max-removals', 'x'],
         ['--max-removals', '-1'], ['--max-bad', '1%'], ['--max-bad', '-1'])
    {
        my ($out, $err) = $t->cli_is(2, "@$_: wrong usage", 'import', @$_);
        like $err, qr/$_->[0] "\Q$_->[1]\E": /, 'named';
    }
};


subtest 'a file that is not whole' => sub {
    my $whole = lines_of(1, 50);
    for my $text (substr($whole, 0, length($whole) - 20),
                  '[' . join(',', split /\n/, lines_of(1, 49)))
    {
        $redis->empty->load->grant('g', 'old', 'a', 5);
        my ($out, $err) = import_is(1, 'cut', $text, '--replace', '--max-bad',
                                    9, '--max-removals', '100%');
        like $err, qr/nothing was removed: the file ends within a line, so that grants may be missing; 4[89] grants before it were written, and 0 stay as they were$/m,
            'takes nothing away, whatever is allowed';
        ok $redis->value('g', 'old', 'a'), 'it is there';
        for my $dry (1, 0) {
            ($out, $err) = import_is(1, 'again', $text, '--replace',
                                     $dry ? '--dry-run' : ());
            like $err, $dry
                ? qr/; 0 grants before it would be written, and 4[89] stay as they were$/m
                : qr/; 0 grants before it were written, and 4[89] stay as they were$/m,
                'what stays as it was is not written';
        }

        $redis->empty;
        ($out, $err) = import_is(1, 'cut, of a table that is lost', $text);
        like $err, qr/not marked as loaded: the file ends within a line/,
            'locks nobody out';
        is $redis->cmd('EXISTS', 'app_permission:meta'), 0, 'indeed';
    }
    $redis->empty;
    import_is(0, 'only the last line has no end', substr($whole, 0, -1),
              '--replace');
    is $redis->cmd('DBSIZE'), 51, 'all is there';
};


subtest 'an import that is killed can be run again' => sub {
    $redis->empty->load;
    my $old = join '', map { qq({"gateway":"old","app":"a$_","expires":1}\n) }
        1 .. 90;
    my $new = lines_of(1, 6000);
    $t->cli('import', { stdin => $old });

    # while it writes, and while it removes

    for my $at (qr/a3500\b/, qr/^HDEL/) {
        my $fake = $t->fake_redis(to => $redis);
        $fake->rules({ match => $at, hold => 1 });
        spew("$dir/new", $new);
        my $run = $t->cli_begin('import', '--replace', "$dir/new",
                                { redis => $fake->url });
        ok wait_for(sub { $fake->commands($at) }), 'it is on its way';
        kill 'KILL', $run->{pid};
        $run->end;
        $fake->stop;
        ok $redis->cmd('EXISTS', key('grants', 'a90', 'old')),
            'no grant went before all lines were written'
            if "$at" =~ /3500/;
    }
    import_is(0, 'again', $new, '--replace');
    is $redis->cmd('DBSIZE'), 6001, 'the table is what the file says';
};


subtest '--dry-run' => sub {
    $redis->empty->load->grant('g', 'same', 'a', '{"expires":7}')
        ->grant('g', undef, 'a', '{"expires":7,"by":"me"}')
        ->grant('g', 'odd', 'a', 'x')->grant('g', 'old', 'a', '5');
    my $before = table();
    my $text = join "\n", '{"gateway":"g","resource":"same","app":"a","expires":7}',
        '{"gateway":"g","app":"a","expires":8}', 'bad',
        '{"gateway":"g","resource":"new","app":"b","expires":9}', '';
    my @all = ('--replace', '--max-bad', 1);

    my ($out, $err) = import_is(1, 'dry run', $text, '--json', '--dry-run', @all);
    is table(), $before, 'changes nothing';
    my @diff = split /\n/, $out;
    my $counts = json(pop @diff);
    is_deeply [sort @diff], [sort
        '{"result":"changed","gateway":"g","app":"a","expires":8,"was":7}',
        '{"result":"new","gateway":"g","resource":"new","app":"b","expires":9}',
        '{"result":"removed","gateway":"g","resource":"odd","app":"a","was":null}',
        '{"result":"removed","gateway":"g","resource":"old","app":"a","was":5}'],
        'a line for each change';
    is_deeply $counts, counts(grants => 3, new => 1, changed => 1,
        unchanged => 1, refused => 1, removed => 2), 'and the counts';

    ($out, $err) = import_is(1, 'without --json', $text, '--dry-run', @all);
    is $out, '', 'counts only';
    like $err, qr/dry run, nothing was written: 3 grants: 1 new, 1 changed, 1 as they were; 1 line refused, 2 grants would be removed/,
        'on standard error';
    ($out) = import_is(1, 'the same for good', $text, '--json', @all);
    is_deeply json($out), $counts, 'counts the same';

    $redis->empty;
    ($out, $err) = import_is(0, 'of a table that is not loaded',
                             lines_of(1, 2), '--dry-run');
    like $err, qr/would be marked as loaded/, 'says so';
    is_deeply $redis->cmd('KEYS', '*'), [], 'and does nothing';
};


subtest 'TMPDIR has the copy of a pipe, and the rows of a long list' => sub {
    $redis->empty->load;
    my $cli = "$Perm::Cli::BINARY --redis " . $redis->url;
    my $run = sub {
        local $ENV{TMPDIR} = $_[0];
        my $err = `$_[1] 2>&1 >/dev/null`;
        return ($? >> 8, $err);
    };
    my $import = "printf '%s' '" . lines_of(1, 2) . "' 2>/dev/null | $cli import";
    my ($status, $err) = $run->("$dir/nosuch", $import);
    is $status, 1, 'a directory that is not there';
    like $err, qr/^app-permission: cannot keep a copy of the input in "\Q$dir\E\/nosuch": No such file or directory; nothing was changed; TMPDIR can name another directory\n\z/,
        'is named';
    is $redis->cmd('DBSIZE'), 1, 'indeed';
    mkdir "$dir/tmp";
    for ("$dir/tmp", '') {
        $redis->empty->load;
        is +($run->($_, $import))[0], 0, "TMPDIR=$_";
        is $redis->cmd('DBSIZE'), 3, '... imports';
    }
    is_deeply [glob "$dir/tmp/*"], [], 'and leaves nothing';

    my $text = 'x' x 4000;
    $redis->cmd('XADD', key('history', 'a', 'g'), '*', 'comment', $text)
        for 1 .. 1200;
    ($status, $err) = $run->("$dir/nosuch", "$cli --json history");
    like $err, qr/cannot keep the rows of a long list in "\Q$dir\E\/nosuch"/,
        'a long list likewise';
    is +($run->("$dir/tmp", "$cli --json history"))[0], 0, 'and in TMPDIR';
};


subtest 'a removal that is refused is in the JSON' => sub {
    my $old = join '', map { qq({"gateway":"old","app":"a$_","expires":1}\n) } 1 .. 3;
    for (['max-removals', lines_of(1, 2), qr/^nothing W removed: 3 of 5 grants would go, and --max-removals allows 2; is the file whole\?$/,
          '--max-removals', 2],
         ['max-bad', lines_of(1, 2) . "bad\n", qr/^nothing W removed, as 1 line was refused, and --max-bad is 0$/],
         ['a cut file', substr(lines_of(1, 3), 0, -20), qr/^nothing W removed: the file ends within a line, .*; 0 grants before it X written, and 2 stay as they were$/],
         ['one grant and a half', substr(lines_of(1, 2), 0, -20), qr/^nothing W removed: the file ends within a line, .*; 0 grants before it X written, and 1 stay as they were$/])
    {
        my ($name, $text, $pattern, @limit) = @$_;
        for my $dry (1, 0) {
            $redis->empty->load;
            $t->cli('import', { stdin => lines_of(1, 2) . $old });
            my ($out, $err) = import_is(1, "$name, dry run: $dry", $text, '--json',
                '--replace', @limit, $dry ? '--dry-run' : ());
            my @lines = json_lines($out);
            my $sum = pop @lines;
            my ($w, $x) = $dry ? ('would be', 'would be') : ('was', 'were');
            my $is = "$pattern" =~ s/ W / $w /r =~ s/ X / $x /r =~ s/ Y / $w /r;
            like $sum->{error}, qr/$is/, 'the sum says why';
            is $sum->{removed}, 0, 'and that none goes';
            like $err, qr/^app-permission: \Q$sum->{error}\E$/m, 'as the message does';
            is_deeply [grep { /old/ } map { "$_->{result} $_->{gateway}" } @lines],
                $dry ? [('kept old') x 3] : [], 'no line says "removed"';
        }
    }
    my ($out) = import_is(1, 'a file without a grant', '[]', '--json');
    like json($out)->{error}, qr/holds no grant: nothing was done/, 'likewise';
};


subtest 'an older copy of the table' => sub {
    my $now = int time;
    my $line = sub { sprintf qq({"gateway":"g","resource":"%s","app":"a","expires":%d}\n), @_ };
    my $old = $line->('renewed', $now + 1000) . $line->('revoked', $now + 1000)
            . $line->('ended', $now + 1000) . $line->('forever', $now + 1000)
            . $line->('later', $now + 2000) . $line->('same', $now + 1000)
            . $line->('gone', $now - 50);
    my $table = sub {
        $redis->empty->load->grant('g', 'renewed', 'a', $now + 9000)
            ->grant('g', 'ended', 'a', $now - 100)
            ->grant('g', 'forever', 'a', 4102444800)
            ->grant('g', 'later', 'a', $now + 1000)
            ->grant('g', 'same', 'a', '{"expires":' . ($now + 1000) . '}')
            ->grant('g', 'gone', 'a', $now - 100);
    };
    my $counts = counts(grants => 7, new => 1, changed => 5, shortened => 2,
                        revived => 1, unchanged => 1);
    for (['dry run, nothing was written: ', '--dry-run'], ['imported ']) {
        my ($words, @args) = @$_;
        $table->();
        my ($out, $err) = import_is(0, "import @args", $old, '--json', @args);
        my @lines = json_lines($out);
        is_deeply pop @lines, $counts, 'shortened and revived are counted';
        like $err, qr/^app-permission: 2 grants end earlier than before: is the file an older copy\?/m,
            'a warning';
        like $err, qr/: ${words}7 grants: 1 new, 5 changed \(2 shortened, 1 ended one lives again\), 1 as they were;/,
            'and in the sum';
        next unless @args;
        is_deeply { map { $_->{resource} => $_->{result} } @lines }, { map { $_ => $_ eq 'revoked'
            ? 'new' : 'changed' } qw(renewed revoked ended forever later gone) },
            'a line each';
        is_deeply [sort map { $_->{shortened} ? $_->{resource} : () } @lines],
            ['forever', 'renewed'], '... which are shortened';
        is_deeply [map { $_->{revived} ? $_->{resource} : () } @lines],
            ['ended'], '... which had ended';
    }
};


subtest 'no value is written that no gateway would read' => sub {
    $redis->empty->load->grant('g', 'r', 'a', '{"expires":5,"x":"' . 'x' x 40000
                               . '"}');
    my $line = sub { '{"gateway":"g","resource":"r","app":"a","expires":6,'
                     . '"y":"' . 'y' x $_[0] . '"}' };
    my ($out, $err) = import_is(1, 'with what is there it is too long',
                                lines_of(1, 2) . $line->(40000) . "\n");
    like $err, qr/line 3: the value is longer than 64 KiB.*: refused/, 'told';
    like $redis->value('g', 'r', 'a'), qr/^\{"expires":5,/, 'not written';
    is $redis->cmd('DBSIZE'), 4, 'the others are';

    my $long = '{"expires":5,"x":"' . 'x' x 70000 . '"}';
    my @b = qw(--gateway g --resource r --app b);
    for (['grant', @b], ['revoke', @b], ['import', "$dir/one"]) {
        $redis->grant('g', 'r', 'b', $long);
        spew("$dir/one", '{"gateway":"g","resource":"r","app":"b","expires":7}');
        $t->cli_is(0, "$_->[0] of one that is there", @$_);
        cmp_ok length($redis->value('g', 'r', 'b') // ''), '<', 100, 'is done';
    }
    $redis->cmd('DEL', key('grants', $_, 'g')) for 'a', 'b';

    import_is(0, 'the longest', $line->(65536 - length('{"expires":6,"y":""}')));
    is length $redis->value('g', 'r', 'a'), 65536, 'is written';
    ($out, $err) = import_is(1, 'one byte more',
        $line->(65537 - length('{"expires":6,"y":""}')));
    like $err, qr/longer than 64 KiB/, 'is not';
};


subtest 'members that others know go both ways' => sub {
    my $value = '{"expires":1800000000,"type":"apply","granted":1700000000,'
              . '"by":"someone","renew":false,"ticket":[1,{"a":null}]}';
    $redis->empty->load->grant('g', 'r', 'a', $value)->grant('g', undef, 'a', 7);
    my ($lines) = $t->cli_is(0, 'export', 'export');
    $redis->empty;
    import_is(0, 'import', $lines);
    is $redis->value('g', 'r', 'a'), '{"expires":1800000000,"type":"apply",'
        . '"granted":1700000000,"by":"someone","renew":false,'
        . '"ticket":[1,{"a":null}]}', 'a value is the same again';
    is $redis->value('g', undef, 'a'), '{"expires":7}', 'and a number an object';
};

done_testing;

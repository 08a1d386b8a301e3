#!/usr/bin/perl

# expiring, access and purge: who is told, what an outside job gets, and what
# is thrown away.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;
my $dir = $t->dir;

my $DAY = 86400;
my $now = int time;

# an hour into the day, so that the test may take its time

sub in_days { $now + $_[0] * $DAY + 3600 }

$redis->load
    ->grant('g', 'r0', 'a', in_days(0))->grant('g', 'r1', 'a', in_days(1))
    ->grant('g', 'r2', 'a', in_days(2))->grant('g', 'r15', 'a', in_days(15))
    ->grant('g', 'r16', 'a', in_days(16))
    ->grant('g', 'over', 'a', $now - 3600)
    ->grant('g', 'ever', 'a', 4102444800)
    ->grant('g', 'used', 'a', in_days(3))
    ->grant('h', undef, 'a', in_days(7));
$redis->used('g', 'used', 'a', $now - $DAY);

# b: the gateway's grant ends later, or is renewed to; or ends no later

$redis->grant('g', undef, 'b', in_days(30))->grant('g', 'r', 'b', in_days(3))
    ->grant('h', undef, 'b', in_days(1))->grant('h', 'r', 'b', in_days(3))
    ->grant('i', undef, 'b', in_days(0))->grant('i', 'r', 'b', in_days(3))
    ->grant('j', undef, 'b', 4102444800)->grant('j', 'r', 'b', in_days(3))
    ->grant('k', undef, 'b', $now - 5)->grant('k', 'r', 'b', in_days(3));
$redis->used('h', 'other', 'b', $now - 100);

sub told {
    my %apps;
    for my $o (json_lines($t->cli_is(0, 'expiring', '--json', 'expiring', @_))) {
        ok !exists $apps{$o->{app}}, 'one object an app';
        $apps{$o->{app}} = join ' ', map {
            "$_->{gateway}/" . ($_->{resource} // '-') . "=$_->{days_left}"
        } @{$o->{grants}};
    }
    return \%apps;
}

# as if nobody had been told yet

sub forget {
    $redis->cmd('DEL', @{$redis->cmd('KEYS', 'app_permission:notices:*')}, 'x');
}


subtest 'what a program of --notify gets of the environment' => sub {
    my $notify = "env | grep ^APP_PERMISSION | sort > $dir/env";
    my $url = "redis://127.0.0.1:$redis->{port}";
    local %ENV = (%ENV, APP_PERMISSION_PASSWORD => 'sesame',
        APP_PERMISSION_PASSWORD_FILE => '/dev/null',
        APP_PERMISSION_PREFIX => 'app_permission:');

    $t->cli('expiring', '--days', '15', '--notify', $notify,
            { redis => $url =~ s{//}{//default:sesame@}r });
    is slurp("$dir/env"), "APP_PERMISSION_PREFIX=app_permission:\n",
        'no password';

    forget();
    $t->cli('expiring', '--days', '15', '--notify', $notify, { redis => $url });
    like slurp("$dir/env"), qr/^APP_PERMISSION_REDIS=\Q$url\E$/m,
        'a URL without one';
};


subtest 'who is told' => sub {
    is_deeply told(), { a => 'g/r0=0 g/r1=1 g/r15=15 g/r2=2 h/-=7',
        b => 'i/-=0 i/r=3 k/r=3' }, 'what ends and is not saved';
    is_deeply told('--days', '1'), { a => 'g/r0=0 g/r1=1', b => 'i/-=0' },
        'above the largest nothing is due';
    is_deeply told('--days', '0,3', '--term', '2d'), { a => 'g/r0=0 g/r1=1 '
        . 'g/r2=2 g/used=3', b => 'h/r=3 i/-=0 i/r=3 k/r=3' },
        'a shorter term saves less';

    my ($o) = grep { $_->{app} eq 'a' } json_lines($t->cli_is(0, 'expiring',
        '--json', 'expiring', '--days', '7,3,20'));
    my $at = in_days(2);
    is_deeply [grep { $_->{resource} && $_->{resource} eq 'r2' }
               @{$o->{grants}}], [{ gateway => 'g', resource => 'r2',
        expires => $at, expires_at => POSIX::strftime('%Y-%m-%dT%H:%M:%SZ',
        gmtime $at), days_left => 2, notice => 3, told => JSON::PP::false, renewal => 'unused',
        granted => undef, last_access => undef }], 'all that a mail needs';

    $redis->cmd('DEL', 'app_permission:grants:{g:a}');
    $redis->grant('g', 'r15', 'a', in_days(15));
    $redis->cmd('DEL', map { "app_permission:grants:{$_:b}" } 'g' .. 'k');
    my ($out) = $t->cli_is(0, 'nothing is due: done', 'expiring', '--days', 0);
    is $out, '', '... and silent';

    forget();
    ($out) = $t->cli_is(0, 'for people', 'expiring', '--days', '15');
    like $out, qr/^APP +GATEWAY +RESOURCE +EXPIRES +DAYS +NOTICE +TOLD +RENEWAL +LAST ACCESS\na +g +r15 +20\d\d-\S+ +15 +15 +- +\w+ +\S+\na +h +- +/,
        'a table';

    # ... that says what --notify has told

    my $notices = key('notices', 'a', 'g');
    $redis->cmd('HSET', $notices, 'r15', in_days(15) . ':15');
    ($out, my $err) = $t->cli_is(0, 'one was told', 'expiring');
    like $out, qr/^a +g +r15 .* 15 +15 +yes +/m, 'so it says';
    like $out, qr/^a +h +- .* 7 +7 +- +/m, 'and not of the other';
    like $err, qr/: 2 notices are due, for the grants of 1 app; 1 of them was given already$/m,
        'counted';
    my @grants = map { @{$_->{grants}} } json_lines($t->cli_is(0, 'as JSON',
        '--json', 'expiring'));
    is_deeply { map { $_->{gateway} => $_->{told} } @grants },
        { g => JSON::PP::true, h => JSON::PP::false }, '... too';
    $redis->cmd('HSET', $notices, 'r15', in_days(14) . ':15');
    ($out) = $t->cli_is(0, 'of another end', 'expiring');
    like $out, qr/^a +g +r15 .* 15 +15 +- +/m, 'is not told';

    $redis->cmd('DEL', $notices);
    $redis->cmd('SET', $notices, 'x');
    ($out, $err) = $t->cli_is(1, 'a key of another type: 1', 'expiring');
    like $err, qr/"\Q$notices\E" is of another type than the table's keys: skipped$/m,
        'is named';
    like $out, qr/^a +g +r15 .* 15 +15 +- +/m, 'and stops nothing';
    forget();
};


subtest 'a grant that ends in this very second has ended' => sub {
    $redis->cmd('FLUSHALL');
    my ($at, $out, $within);
    for (1 .. 20) {
        $at = int(time) + 1;
        $redis->load->grant('g', 'r', 'now', $at)->grant('g', 'r', 'next',
            $at + 1000);
        wait_until($at);
        (undef, $out) = $t->cli('--json', 'expiring', '--days', 0);
        last if $within = int(time) == $at;
    }
    SKIP: {
        skip 'never within that second', 1 unless $within;
        like $out, qr/^\{"app":"next",.*\}\n\z/,
            'it is not told of as one that will';
    }
};


subtest 'notify' => sub {
    $redis->empty->load->grant('g', 'r', 'a', in_days(1))
        ->grant('g', 'r', 'b', in_days(1));
    spew("$dir/notify", <<"EOT");
cat > "$dir/in.\$\$"
grep -q '"app":"a"' "$dir/in.\$\$" && exit 7
exit 0
EOT
    forget();
    my ($out, $err) = $t->cli_is(1, 'one of them fails: 1', 'expiring',
        '--notify', "sh $dir/notify");
    like $err, qr/--notify failed for app a: exit status 7/, 'and is named';
    my @got = map { json(slurp($_)) } glob "$dir/in.*";
    is join(' ', sort map { $_->{app} } @got), 'a b', 'the others are told';
    is $out, '', 'nothing on standard output';

    forget();
    $t->cli_is(0, 'all are told: 0', 'expiring', '--notify', 'cat >/dev/null');

    forget();
    ($out, $err) = $t->cli_is(0, 'with --json', '--json', 'expiring',
        '--notify', 'echo told');
    is $out, '', 'with --json the output of the command is no JSON line';
    is scalar(() = $err =~ /^told$/mg), 2, 'but on standard error';
    forget();
    ($out) = $t->cli_is(0, 'without', 'expiring', '--notify', 'echo told');
    is $out, "told\n" x 2, 'without --json it is where it was';

    forget();
    $t->cli_is(0, 'a command that does not read', 'expiring', '--notify',
        'exec <&-; true');

    forget();
    ($out, $err) = $t->cli_is(1, 'a command that dies', 'expiring', '--notify',
        'kill -9 $$');
    like $err, qr/app b: ended by signal 9/, 'is named, for each app';

    forget();
    ($out, $err) = $t->cli_is(1, 'one that the shell does not find', 'expiring',
        '--notify', 'true; nosuch');
    like $err, qr/app b: exit status 127, as of a command that is not found$/m,
        'is named';

    spew("$dir/mode", '');
    mkdir "$dir/folder";
    spew("$dir/folder/tool", "#!/bin/sh\n");
    chmod 0755, "$dir/folder/tool";
    for (['/nonexistent', 'No such file'], ["$dir/mode x", 'Permission denied'],
         ["$dir/folder", 'it is a directory'], ['nosuch;', 'no such command'],
         ['A=b LC_ALL=C nosuch', 'no such command'], ["$dir/nosuch|cat", 'No such file'])
    {
        my ($command, $wrong) = @$_;
        ($out, $err) = $t->cli_is(2, "$command: 2, before anything is done",
            'expiring', '--notify', $command, { redis => 'unix:/nonexistent' });
        like $err, qr/^app-permission: --notify "\Q$command\E": "[^"]+" cannot be run: $wrong.*; nothing was done\n\z/,
            'told once';
    }
    for ('A=b; f() { true; }; f', 'f () { true; }; f', '"t"rue', 'A="b c" true',
         '(true)', '{ true; }', '! false', '>/dev/null true', '$(echo true)', '[ x ]',
         'A=', 'test -n x', './bin/true', "PATH=$dir/folder tool")
    {
        forget();
        local $ENV{HOME} = '/';
        ($out, $err) = $t->cli_is(0, $_, 'expiring', '--notify', $_,
                                  { before => ['env', '-C', '/'] });
    }

    for my $none ('', " \n") {
        ($out, $err) = $t->cli_is(2, 'no command: 2', 'expiring', '--notify',
            $none);
        like $err, qr/--notify ".*": no command, which would tell nobody/s,
            'says so';
    }

    forget();
    $t->cli_is(0, 'a command with the signals it is used to', 'expiring',
        '--notify', 'sh -c \'kill -PIPE $$\'; test $? -gt 128');

    # more than a pipe holds, to one that does not read it

    $redis->grant('big', "r$_", 'c', in_days(1)) for 1 .. 2000;
    forget();
    $t->cli_is(0, 'a long object to a command that does not read', 'expiring',
        '--notify', 'true');
    forget();
    ($out) = $t->cli_is(0, 'wc', 'expiring', '--notify', 'wc -c');
    cmp_ok((sort { $b <=> $a } split /\n/, $out)[0], '>', 100_000,
        'and to one that does');
};


subtest 'nobody is told where it could not be kept' => sub {
    $redis->empty->load->grant('g', 'r', 'a', in_days(1))
        ->grant('h', 'r', 'b', in_days(1));
    my $user = sub { $redis->cmd('ACL', 'SETUSER', 'reader', 'reset', 'on',
        '>secret', '+@all', @_);
        return { redis => "redis://reader:secret\@127.0.0.1:$redis->{port}" } };
    my @notify = ('expiring', '--notify', "echo >> $dir/nobody");

    for (['no command', $user->('~*', '-hset')]) {
        my ($out, $err) = $t->cli_is(3, "$_->[0]: 3", @notify, $_->[1]);
        like $err, qr/nobody was told: .*\n.*NOPERM.*hset/, 'says why';
    }
    my ($out, $err) = $t->cli_is(3, 'the notices of one app only: 3', @notify,
        $user->('~app_permission:grants:*', '~app_permission:access:*',
                '~app_permission:meta', '~app_permission:notices:{g:*'));
    like $err, qr/nobody was told: .*\n.*NOPERM/, 'says why';
    ok !-e "$dir/nobody", 'and nobody was told';

    $redis->cmd('CONFIG', 'SET', 'maxmemory', 1);
    ($out, $err) = $t->cli_is(3, 'a Redis that takes no writes: 3', @notify);
    $redis->cmd('CONFIG', 'SET', 'maxmemory', 0);
    like $err, qr/nobody was told: .*\n.*OOM/, 'says why';
    ok !-e "$dir/nobody", 'and nobody was told';

    ($out, $err) = $t->cli_is(0, 'list only', 'expiring');
    like $err, qr/^app-permission: 2 notices are due, for the grants of 2 apps$/m,
        'in words';
    ($out, $err) = $t->cli_is(0, 'with the rights', @notify);
    like $err, qr/^app-permission: 2 apps were told of 2 grants that end$/m,
        'in words';
    is_deeply [sort map { @{$redis->cmd('HKEYS', key('notices', @$_))} }
        ['a', 'g'], ['b', 'h']], ['r', 'r'], 'nothing else is kept';
    ($out, $err) = $t->cli_is(0, 'again', @notify);
    like $err, qr/^app-permission: no notice is due that was not given already$/m, 'in words';
    $redis->cmd('HDEL', key('notices', 'a', 'g'), 'r');
    ($out, $err) = $t->cli_is(1, 'one that fails', 'expiring', '--notify',
                              'false');
    like $err, qr/^app-permission: 0 apps were told; 1 app could not be told, and will be tried again by the next run$/m,
        'in words';
};


subtest 'access' => sub {
    $redis->empty->load;
    $redis->used('g', 'r1', 'a', 1700000000);
    $redis->used('g', 'r2', 'a', 1700000500);
    $redis->used('h', 'r1', 'b', '1700000900.7');
    $redis->used('h', "evil\e", 'b', 1700000900);
    $redis->used('h', 'inf', 'b', 'inf');
    $redis->cmd('SET', 'app_permission:access:{x:y}', 1);

    my ($out, $err) = $t->cli_is(0, 'access', 'access');
    is join("\n", sort split /\n/, $out), join("\n",
        '{"gateway":"g","resource":"r1","app":"a","last_access":1700000000}',
        '{"gateway":"g","resource":"r2","app":"a","last_access":1700000500}',
        '{"gateway":"h","resource":"r1","app":"b","last_access":1700000900}'),
        'lines';
    like $err, qr/member "evil\\x1b": no last access/, 'rubbish is named';

    ($out) = $t->cli_is(0, 'access', 'access', '--since', 1700000500);
    is scalar(split /\n/, $out), 2, 'since then';
    ($out, $err) = $t->cli_is(0, 'access', 'access', '--since',
                              '2030-01-01T00:00:00Z');
    is $out, '', 'since later: none, and no failure';
    like $err, qr/^app-permission: no such access$/m, 'which is said';

    $redis->each(map { [key('access', 'a', 'big'), 'ZADD', 1700000000, "r$_"] }
                     1 .. 3000);
    my %seen = map { $_->{gateway} eq 'big' ? ($_->{resource} => 1) : () }
        json_lines($t->cli_is(0, 'access', 'access'));
    is scalar keys %seen, 3000, 'all of a big set';
};


subtest 'purge' => sub {
    $redis->cmd('FLUSHALL');
    $t->cli_is(1, 'a table that is not loaded is not purged', 'purge');

    $redis->load
        ->grant('g', 'long', 'a', $now - 366 * $DAY)
        ->grant('g', 'short', 'a', $now - 364 * $DAY)
        ->grant('g', 'live', 'a', $now + $DAY)
        ->grant('g', 'broken', 'a', 'x')
        ->grant('h', undef, 'a', $now - $DAY)
        ->grant('i', undef, 'a', $now - 400 * $DAY);
    $redis->used('g', $_, 'a', $now - 370 * $DAY)
        for qw(long short live broken gone);
    $redis->used($_, 'any', 'a', $now) for qw(h i j);

    is_deeply json($t->cli_is(0, 'purge', '--json', 'purge')),
        { grants => 2, accesses => 4, requests => 0, notices => 0,
          history => 0 }, 'counted';
    is join(' ', sort @{$redis->cmd('HKEYS', 'app_permission:grants:{g:a}')}),
        'broken live short', 'grants that ended long ago are gone';
    is join(' ', sort @{$redis->cmd('ZRANGE', 'app_permission:access:{g:a}',
        0, -1)}), 'broken live short', 'and accesses without a grant';
    is $redis->access('h', 'any', 'a'), $now, 'under a gateway grant they stay';
    is $redis->cmd('EXISTS', 'app_permission:access:{i:a}',
        'app_permission:access:{j:a}'), 0, 'else not';

    is_deeply json($t->cli_is(0, 'purge', '--json', 'purge', '--expired-for',
        '10d')), { grants => 1, accesses => 1, requests => 0,
          notices => 0, history => 0 }, 'a span';

    # notices go with their grants, whatever end they are of

    my $notices = key('notices', 'n', 'g');
    $redis->grant('g', $_, 'n', $now - 400 * $DAY) for qw(r s t);
    $redis->cmd('HSET', $notices, r => in_days(1) . ':3', s => 'odd',
        t => ($now - 400 * $DAY) . ':0', live => in_days(1) . ':1');
    my $counts = { grants => 3, accesses => 0, requests => 0, notices => 3,
                   history => 0 };
    my ($dry, $says) = $t->cli_is(0, 'dry run', '--json', 'purge', '--dry-run');
    like $says, qr/: dry run, nothing was removed: would purge 3 grants, 0 accesses, 0 handled requests, 3 notices and 0 entries of the history; old is what ended or was done until 20\d\d-\d\d-\d\dT\S+Z$/m,
        'says all it counts, and until when';
    is_deeply((json_lines($dry))[-1], $counts, 'notices are counted');
    is_deeply json($t->cli_is(0, 'purge', '--json', 'purge')), $counts,
        'and go with their grants';
    is_deeply $redis->cmd('HKEYS', $notices), ['live'], 'the others stay';
    $redis->grant('g', 'r', 'n', $now - 400 * $DAY);
    $redis->cmd('DEL', $notices);
    $redis->cmd('SET', $notices, 'x');
    $t->cli_is(0, 'notices of another type', 'purge');
    is $redis->value('g', 'r', 'n'), undef, 'are no harm';
    $redis->cmd('DEL', $notices);

    # what is granted anew meanwhile stays

    $redis->grant('g', 'r', 'a', $now - 500 * $DAY);
    my $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/^EVAL /, times => 1, delay => 0.5 });
    my $run = $t->cli_begin('purge', { redis => $fake->url });
    wait_for(sub { $fake->commands(qr/^EVAL/) });
    $redis->grant('g', 'r', 'a', $now + $DAY);
    is +($run->end)[0], 0, 'purge';
    is $redis->value('g', 'r', 'a'), '{"expires":' . ($now + $DAY) . '}',
        'a new grant wins';
};

done_testing;

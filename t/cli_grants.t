#!/usr/bin/perl

# grant, revoke, check, list: what they write and say, and that what others
# wrote is read with care.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;

sub near { abs($_[0] - $_[1]) < 10 * $Perm::Util::SLOW }

my @g = ('--gateway', 'smoke', '--app', 'demo');
my @r = (@g, '--resource', 'get_user');


subtest 'before there is a table' => sub {
    my ($out, $err) = $t->cli_is(1, 'check of a table that is not loaded: no',
        'check', @r);
    like $out, qr/^decision\s+fail \(unavailable\)$/m, 'it is unavailable';
    $t->cli_is(1, 'no accesses either: 1', 'access');
    like $err, qr/not loaded, "app_permission:meta" is missing. If it was lost, "import"/, 'says why';

    $t->cli_is(1, 'nothing to list: 1', 'list');

    # not loaded and without a grant, as under a wrong prefix: no answer

    my @whole = (['export'], ['renew'], ['expiring'], ['renew', '--dry-run']);

    for (@whole) {
        ($out, $err) = $t->cli_is(1, "nothing to @$_: 1", @$_);
        is $out, '', 'and nothing out';
        like $err, qr/not loaded/, 'says why';
    }

    for my $fill (sub { $redis->grant('g', 'r', 'a', int(time) + 1000) },
                  sub { $redis->load }, sub { $redis->revoke('g', 'r', 'a') }) {
        $fill->();
        for (@whole) {
            $t->cli_is(0, "@$_ of what is there: 0", @$_);
        }
    }
    $redis->cmd('FLUSHALL');
};


# one grant must not lock every other app out

subtest 'a table that is not loaded is begun on purpose' => sub {
    my ($out, $err) = $t->cli_is(1, 'no grant before: 1', 'grant', @g);
    like $err, qr/not loaded.*"import" a copy.*"init" begins it: from then on every app without a grant is refused/,
        'says both ways out';
    is_deeply $redis->cmd('KEYS', '*'), [], 'and writes nothing';

    $redis->grant('g', 'r', 'a', int(time) + 1000)->grant('g', 's', 'a', 'x');
    ($out, $err) = $t->cli_is(0, 'init', '--json', 'init');
    is_deeply json($out), { result => 'marked', grants => 2, unreadable => 1 },
        'says what is there';
    like $err, qr/: it has 2 grants, of which 1 cannot be read\. From now on every app without a grant is refused/,
        'and what it means';
    is $redis->cmd('HGET', 'app_permission:meta', 'schema'), 1, 'it is marked';
    like $redis->cmd('HGET', 'app_permission:meta', 'id'), qr/^[0-9a-f]{16}\z/,
        'and has an id of its own';

    my $meta = $redis->cmd('DUMP', 'app_permission:meta');
    ($out, $err) = $t->cli_is(0, 'init again', 'init');
    like $err, qr/loaded already, nothing was changed: .*2 grants/, 'says so';
    is $redis->cmd('DUMP', 'app_permission:meta'), $meta, 'indeed';

    $redis->cmd('HDEL', 'app_permission:meta', 'id');
    ($out, $err) = $t->cli_is(0, 'init of a table without an id', 'init');
    like $err, qr/loaded already, and has an id now/, 'says so';
    like $redis->cmd('HGET', 'app_permission:meta', 'id'), qr/^[0-9a-f]{16}\z/,
        'it has one';
    $redis->empty->load;
};


subtest 'grant' => sub {
    my ($out, $err) = $t->cli_is(0, 'grant on the gateway', 'grant', @g);
    is $err, '', 'nothing else to say';
    like $out, qr/^granted: app demo, gateway smoke, all resources, until 20/,
        'says what';
    my $v = json($redis->value('smoke', undef, 'demo'));
    ok near($v->{expires}, int(time) + 180 * 86400), '180 days';
    ok near($v->{granted}, time), 'granted now';
    is_deeply [sort keys %$v], ['expires', 'granted'], 'and nothing else';

    ($out, $err) = $t->cli_is(0, 'another', 'grant', @r, '--days', 0, '--type',
        'apply');
    $v = json($redis->value('smoke', 'get_user', 'demo'));
    is $v->{expires}, 4102444800, '--days 0 is permanent';
    is $v->{type}, 'apply', 'with its type';

    $t->cli('grant', @r, '--expires', '2030-01-01T08:00:00+08:00');
    $v = json($redis->value('smoke', 'get_user', 'demo'));
    is $v->{expires}, 1893456000, '--expires in RFC 3339';
    is $v->{type}, 'apply', 'the type stays';

    $t->cli('grant', @r, '--expires', '1893456001', '--type', "\xe6\x9d\x83");
    $v = JSON::PP->new->utf8->decode($redis->value('smoke', 'get_user', 'demo'));
    is $v->{expires}, 1893456001, '--expires in seconds';
    is $v->{type}, "\x{6743}", 'a type in UTF-8';
};


subtest 'what others keep in the value is kept, to the byte' => sub {
    $redis->cmd('HSET', key('grants', 'keep'), 'r', '{"ticket": '
        . '12345678901234567890, "note":"a\\u0000b", "expires" : 5,'
        . ' "sum":1.10}');
    my @keep = qw(--gateway smoke --app keep --resource r);
    $t->cli('grant', @keep, '--expires', 1893456000);
    like $redis->value('smoke', 'r', 'keep'), qr/^\{"ticket":12345678901234567890,"note":"a\\u0000b","expires":1893456000,"sum":1\.10,"granted":\d+\}$/,
        'unknown members stay as they were';

    for ('1893456000', '"x"', '{"expires":1,"expires":2}', "\xff\0") {
        $redis->cmd('HSET', key('grants', 'keep'), 'r', $_);
        $t->cli_is(0, 'grant over a value of another kind', 'grant', @keep,
                   '--days', 1);
        like $redis->value('smoke', 'r', 'keep'), qr/^\{"expires":\d+,"granted":\d+\}$/,
            'makes it an object';
    }
};


my $now = int time;
my ($live, $over) = ($now + 1000, $now - 1000);

my @rows = (
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
);

sub check_is {
    my ($gateway, $app, $decision, $name) = @_;
    my $answer = json($t->cli_is($decision =~ /^allow/ ? 0 : 1, "$name: status",
        qw(--json check --resource r --gateway), $gateway, '--app', $app));
    is "$answer->{decision} $answer->{reason}", $decision, "... $decision";
}

subtest 'check: every row of the decision' => sub {
    for (@rows) {
        my ($gateway, $resource, $decision, $reason) = @$_;
        my $key = key('grants', 'a', 'g');
        $redis->cmd('DEL', $key);
        $redis->cmd('HSET', $key, '-', $gateway) if defined $gateway;
        $redis->cmd('HSET', $key, 'r', $resource) if defined $resource;
        check_is('g', 'a', "$decision $reason", sprintf
            'gateway %s, resource %s', map { $_ // 'absent' } @$_[0, 1]);
    }
    check_is('g', 'a b', 'deny invalid_app', 'an invalid app');
    check_is('g', '', 'deny no_app', 'no app');
    check_is('', 'a', 'fail bad_config', 'no gateway');
};

subtest 'check: a key that ends by itself' => sub {
    my @ends = qw(--gateway smoke --resource get_user --app ends);
    $redis->grant('smoke', undef, 'ends', 4102444800);
    my ($out) = $t->cli_is(0, 'check', 'check', @ends);
    unlike $out, qr/^key /m, 'it does not';
    is json($t->cli_is(0, 'check', '--json', 'check', @ends))->{key_expires},
        undef, 'nor in JSON';

    $redis->cmd('EXPIRE', key('grants', 'ends'), 1000);
    my $answer = json($t->cli_is(0, 'check', '--json', 'check', @ends));
    ok near($answer->{key_expires}, time + 1000), 'when its key ends';
    is $answer->{expires}, $answer->{key_expires}, '... its grants do';
    is $answer->{gateway_grant}{expires}, 4102444800, 'whatever they say';
    ($out) = $t->cli_is(0, 'check', 'check', @ends);
    like $out, qr/^key +gone at 20\d\d-\S+Z by its time to live/m, 'said so';
    like $out, qr/^last access +\S+\ngateway access +\S+, the newest of any/m,
        'both accesses have a label';
};


subtest 'check: last accesses' => sub {
    $redis->used('smoke', 'get_user', 'demo', 1700000000);
    $redis->used('smoke', 'other', 'demo', 1700000100);
    my $answer = json($t->cli_is(0, 'check', '--json', 'check', @r));
    is $answer->{last_access}, 1700000000, 'last access of the resource';
    is $answer->{gateway_last_access}, 1700000100, 'and of the gateway';
    is $answer->{resource_grant}{state}, 'live', 'the resource grant';
    is $answer->{resource_grant}{expires}, 1893456001, 'and its end';
};


subtest 'list' => sub {
    $redis->empty->load->grant('g1', undef, 'a1', $live, type => '"apply"')
        ->grant('g1', 'r1', 'a1', $over)->grant('g1', 'r1', 'a2', $live)
        ->grant('g2', 'r2', 'a1', 4102444800)
        ->grant('g2', 'bad', 'a1', '{"expires":1,}')
        ->grant('g2', 'evil', 'a1', "\e[31m");
    $redis->cmd('HSET', key('grants', 'a1', 'g2'), "bad\x07field", 1);
    $redis->cmd('HSET', 'app_permission:grants:{n o:x}', 'x', 1);
    $redis->cmd('SET', key('grants', 'a2', 'g2'), 'no hash');
    $redis->used('g1', 'r1', 'a1', 100);
    $redis->used('g1', 'r9', 'a1', 200);

    my $list = sub {
        my ($status, $out) = $t->cli('--json', 'list', @_);
        return join ' ', sort map {
            "$_->{gateway}/" . ($_->{resource} // '-') . "/$_->{app}@"
                . ($_->{last_access} // 'never');
        } json_lines($out);
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

    my ($out, $err) = $t->cli_is(0, 'list for people', 'list');
    like $out, qr/^g1 +- +a1 +\d{4}-.*1970-01-01T00:03:20Z +apply$/m, 'a row';
    like $out, qr/^g2 +r2 +a1 +permanent +- +-$/m, 'a permanent one';
    like $err, qr/field "bad": unreadable grant.*\{"expires":1,\}/,
        'an unreadable value is named';
    like $err, qr/field "evil": unreadable grant.*\\x1b\[31m/, 'and escaped';
    like $err, qr/field "bad\\x07field": no name/, 'so is a field that is no name';
    like $err, qr/"app_permission:grants:\{n o:x\}": no key/, 'and a key that is none';

    $t->cli_is(1, 'nothing found: 1', 'list', '--app', 'nobody');

    ($out, $err) = $t->cli_is(1, 'a key of another type is no grant', 'list',
        '--gateway', 'g2', '--app', 'a2');
    like $err, qr/\{g2:a2\}" is of another type/, 'and named';
};


subtest 'list for people' => sub {
    my $long = 'resource_' . 'x' x 60;
    $redis->grant('sorted', 'b', 'z', $live)->grant('sorted', $long, 'a', $over)
          ->grant('sorted', undef, 'z', 4102444800)->grant('sorted', 'b', 'a', $live);
    my ($out) = $t->cli_is(0, 'list', qw(list --gateway sorted));
    my @lines = split /\n/, $out;
    is_deeply [map { join ' ', (split)[0, 1, 2] } @lines],
        ['GATEWAY RESOURCE APP', 'sorted - z', 'sorted b a', 'sorted b z',
         "sorted $long a"], 'sorted by gateway, resource and app';
    my ($start) = $lines[0] =~ /^(.*)EXPIRES/;
    is_deeply [grep { !/^.{@{[length $start]}}(20\d\d-|permanent)/ } @lines[1 .. 4]],
        [], 'columns are as wide as the longest';

    ($out) = $t->cli_is(0, '--resource', qw(--json list --resource b));
    is_deeply [sort map { "$_->{gateway} $_->{resource} $_->{app}" } json_lines($out)],
        ['sorted b a', 'sorted b z'], 'of one resource only';
    $t->cli_is(1, 'of none', qw(list --resource nosuch));
};


subtest 'a hash of many thousands is read in parts' => sub {
    my @many = map { ("r$_", $live) } 1 .. 5000;
    $redis->cmd('HSET', key('grants', 'a', 'big'), @many);
    my %seen = map { $_->{resource} => 1 } json_lines($t->cli_is(0, 'list',
        qw(--json list --gateway big)));
    is scalar keys %seen, 5000, 'all of a big hash';
    unlike $redis->cmd('INFO', 'commandstats'), qr/cmdstat_hgetall/,
        'without HGETALL';
};


subtest 'revoke' => sub {
    $redis->grant('smoke', undef, 'demo', $live);
    my ($out) = $t->cli_is(0, 'revoke', 'revoke', @g);
    is $redis->value('smoke', undef, 'demo'), undef, 'it is gone';

    ($out) = $t->cli_is(1, 'there is none any more: 1', '--json', 'revoke', @g);
    like $out, qr/"result":"no such grant"/, 'said so';
};


subtest 'a grant is not written over what somebody else just wrote' => sub {
    my $fake = $t->fake_redis(to => $redis);
    $redis->cmd('DEL', key('grants', 'demo'));
    $redis->grant('smoke', undef, 'demo', '{"expires":1,"mine":1}');

    # between the reading and the writing

    $fake->rules({ match => qr/^EVAL /, times => 1, delay => 0.5 });
    my $run = $t->cli_begin('grant', @g, { redis => $fake->url });
    wait_for(sub { $fake->commands(qr/^EVAL/) });
    $redis->grant('smoke', undef, 'demo', '{"expires":2,"theirs":1}');
    is +($run->end)[0], 0, 'granted';
    like $redis->value('smoke', undef, 'demo'), qr/"theirs":1/,
        'on top of what came meanwhile';
};


# grants of an app of their own, for each subtest

my $apps = 0;

sub fresh {
    $redis->load;
    my $app = 'fresh' . ++$apps;
    return ($app, '--gateway', 'smoke', '--resource', 'r', '--app', $app);
}

sub ends { json($redis->value('smoke', 'r', $_[0]))->{expires} }

my $DAYS = 86400;


subtest 'grant never shortens without a word' => sub {
    my ($app, @x) = fresh();
    $t->cli_is(0, 'a permanent one', 'grant', @x, '--days', 0);
    my ($out, $err) = $t->cli_is(0, 'again, without an end', 'grant', @x);
    is ends($app), 4102444800, 'it is still permanent';
    like $err, qr/its end stays/, 'and that is said';
    like $out, qr/, permanent$/, 'as is what holds';

    ($out, $err) = $t->cli_is(0, 'with an end', 'grant', @x, '--days', 7);
    ok near(ends($app), time + 7 * $DAYS), 'it is shortened';
    like $err, qr/was shortened: it was permanent$/m,
        'and that is said';

    my $long = int(time) + 400 * $DAYS;
    $t->cli('grant', @x, '--expires', $long);
    ($out, $err) = $t->cli_is(0, 'one that ends later', '--json', 'grant', @x);
    is json($out)->{expires}, $long, 'its end stays';
    is json($out)->{expires_before}, $long, 'as it was before';

    ($out, $err) = $t->cli('grant', @x, '--days', '200');
    $t->cli('grant', @x, '--days', '10');
    (undef, $out, $err) = $t->cli('grant', @x);
    ok near(ends($app), time + 180 * $DAYS), 'one that ends earlier lasts longer';
    unlike $err, qr/shorten|stays/, 'without a word';
};


subtest 'what is kept with a grant' => sub {
    my ($app, @x) = fresh();
    $redis->grant('smoke', 'r', $app, '{"expires":5,"note":[1]}');
    $t->cli_is(0, 'grant', 'grant', @x, '--no-renew', '--by', "J. O'Neil \xe5\xbc\xa0",
        '--type', 'temporary', '--days', '1d');
    my $v = json($redis->value('smoke', 'r', $app));
    is_deeply $v, { expires => $v->{expires}, granted => $v->{granted},
        renew => json('false'), by => $v->{by}, type => 'temporary',
        note => [1] }, 'renew, by and the rest';
    ok !$v->{renew} && near($v->{granted}, time), 'renew is false';
    my ($line) = grep { $_->{app} eq $app }
        json_lines($t->cli_is(0, 'list', '--json', 'list'));
    is_deeply [@$line{qw(by type renew granted)}],
        [@$v{qw(by type renew granted)}], 'list has them';
    ($line) = grep { $_->{app} eq $app }
        json_lines(scalar +($t->cli('export'))[1]);
    is_deeply [@$line{qw(by type renew granted note)}],
        [@$v{qw(by type renew granted note)}], 'so has export';
    my (undef, $out) = $t->cli('check', @x);
    like $out, qr/^resource grant .*by J\. O'Neil .*, never renewed$/m, 'check';

    my (undef, undef, $err) = $t->cli('grant', @x, '--days', '9');
    $v = json($redis->value('smoke', 'r', $app));
    ok !$v->{renew}, 'renew stays false';
    like $err, qr/still never renewed/, 'which is said';
    is $v->{by}, undef, 'who gave the one before did not give this one';

    $t->cli_is(2, "no --by: $_", 'grant', @x, '--by', $_)
        for '', "a\nb", 'x' x 129, "\xff", 'a"b';
    $t->cli_is(2, 'a comment that is no UTF-8', 'grant', @x, '--comment', "\xff");
    is_deeply json($redis->value('smoke', 'r', $app)), $v, 'nothing changed';
};


subtest 'times' => sub {
    my ($app, @x) = fresh();
    for (['4102444799', 4102444799], ['2090-01-02', 3786998400],
         ['2090-01-02T00:00:01+08:00', 3786969601]) {
        my ($text, $seconds) = @$_;
        $t->cli_is(0, "until $text", 'grant', @x, '--expires', $text);
        is ends($app), $seconds, 'stored';
    }
    my (undef, $err) = $t->cli_is(2, 'milliseconds: 2', 'grant', @x,
        '--expires', 4102444799000);
    like $err, qr/253402300799/, 'with the bound';
    is ends($app), 3786969601, 'nothing was written';
};


subtest 'a value that no gateway would read is not written' => sub {
    my ($app, @x) = fresh();
    my $value = '{"expires":4102444799,"n":"' . 'x' x (65536 - 29) . '"}';
    $redis->grant('smoke', 'r', $app, $value);
    $t->cli_is(0, '64 KiB are read', 'list', '--app', $app);
    my ($out, $err) = $t->cli_is(1, 'grant', 'grant', @x, '--type', 'longer');
    like $err, qr/would have \d+ bytes, of which a gateway reads 65536/, 'says so';
    is $redis->value('smoke', 'r', $app), $value, 'nothing changed';
};


subtest 'extend' => sub {
    my ($app, @x) = fresh();
    ($redis->empty->load);
    $t->cli_is(1, 'nothing to extend: 1', 'extend', @x);
    is $redis->value('smoke', 'r', $app), undef, 'and nothing written';

    $redis->grant('smoke', 'r', $app, $now + 1000, type => '"apply"',
                  granted => 7);
    $t->cli_is(0, 'a live one', 'extend', @x, '--days', 3);
    is $redis->value('smoke', 'r', $app), '{"expires":'
        . ($now + 1000 + 3 * $DAYS) . ',"granted":7,"type":"apply"}',
        'N days later, and all else as it was';
    my ($out) = $t->cli_is(0, 'by default', '--json', 'extend', @x);
    is ends($app), $now + 1000 + 183 * $DAYS, '180 days';
    is_deeply json($out), { gateway => 'smoke', resource => 'r', app => $app,
        result => 'extended', expires_before => $now + 1000 + 3 * $DAYS,
        expires => $now + 1000 + 183 * $DAYS }, 'said';

    $redis->grant('smoke', 'r', $app, 1000);
    $t->cli_is(0, 'one that ended', 'extend', @x, '--days', 3);
    ok near(ends($app), time + 3 * $DAYS), 'N days from now';

    $redis->grant('smoke', 'r', $app, '{"expires":4102444800,"a":1}');
    ($out) = $t->cli_is(0, 'a permanent one', 'extend', @x, '--days', 3);
    is $redis->value('smoke', 'r', $app), '{"expires":4102444800,"a":1}', 'stays';
    like $out, qr/^permanent already/, 'said';

    $redis->grant('smoke', 'r', $app, 'x');
    $t->cli_is(1, 'an unreadable one: 1', 'extend', @x);
    is $redis->value('smoke', 'r', $app), 'x', 'stays';

    $t->cli_is(2, "--days $_: 2", 'extend', @x, '--days', $_)
        for 0, -1, 'x', 99999999;

    # the whole gateway, and between the reading and the writing

    $redis->grant('smoke', 'r', $app, '{"expires":5,"renew":false}');
    my ($json, $never) = $t->cli_is(0, 'one that is never renewed', '--json',
                                    'extend', @x);
    like $never, qr/: the grant on resource r is still never renewed, as it was given with --no-renew; "revoke" it first/,
        'is said';
    is json($json)->{renew}, JSON::PP::false, 'JSON has it';
    $redis->grant('smoke', undef, $app, $now + 1000);
    my $fake = $t->fake_redis(to => $redis);
    $fake->forget;
    $fake->rules({ match => qr/^EVAL /, times => 1, hold => 1 });
    my $run = $t->cli_begin('extend', '--gateway', 'smoke', '--app', $app,
        '--days', 1, { redis => $fake->url });
    wait_for(sub { $fake->commands(qr/^EVAL/) });
    $redis->grant('smoke', undef, $app, $now + 2000);
    $fake->release;
    my $err; (my $status, $out, $err) = $run->end;
    is $status, 0, 'extended' or diag $err;
    is json($redis->value('smoke', undef, $app))->{expires}, $now + 2000 + $DAYS,
        'on top of what came meanwhile';

    $redis->cmd('DEL', 'app_permission:meta');
    ($out, $err) = $t->cli_is(1, 'a table that is not loaded: 1', 'extend', @x);
    like $err, qr/"import".*"init"/s, 'both ways out';
};


subtest 'history' => sub {
    $redis->empty->load;
    my ($app, @x) = fresh();
    $t->cli_is(1, 'none yet: 1', 'history');

    $t->cli('grant', @x, '--by', 'alice', '--comment', "first\r\nline \e[31m");
    $t->cli('extend', @x, '--by', 'bob', '--days', 2);
    $t->cli('extend', @x[0 .. 1], '--app', 'nobody');
    $t->cli('revoke', @x, '--comment', 'gone');
    $t->cli('revoke', @x);
    $t->cli('grant', '--gateway', 'other', '--app', $app, '--days', 0);
    $redis->used('other', 'r', $app, $now);
    $t->cli('renew');
    spew($t->dir . '/line', qq({"gateway":"i","app":"$app","expires":9}\n));
    $t->cli_is(0, 'import', 'import', $t->dir . '/line');

    my ($out) = $t->cli_is(0, 'history', '--json', 'history');
    my @all = json_lines($out);
    is_deeply [map { "$_->{gateway}/" . ($_->{resource} // '-')
                     . " $_->{action}" } @all],
        ['smoke/r grant', 'smoke/r extend', 'smoke/r revoke', 'other/- grant'],
        'what changed something, in order, and neither import nor renew';
    ok near($all[0]{at}, time), 'when';
    is_deeply [map { $_->{by} } @all[0, 1]], ['alice', 'bob'], 'who';
    ok length $all[2]{by}, 'and without --by the user';
    is $all[0]{comment}, "first\r\nline \e[31m", 'why';
    is $all[0]{expires_before}, undef, 'there was none before';
    is $all[1]{expires_before}, $all[0]{expires}, 'extended from there';
    is $all[1]{expires}, $all[0]{expires} + 2 * $DAYS, 'to there';
    is_deeply [@{$all[2]}{qw(expires_before expires)}],
        [$all[1]{expires}, undef], 'revoked';

    my $count = sub { scalar json_lines(scalar +($t->cli('--json', 'history',
                                                         @_))[1]) };
    is $count->('--gateway', 'smoke'), 3, 'of a gateway';
    is $count->('--app', $app), 4, 'of an app';
    is $count->('--app', $app, '--gateway', 'other'), 1, 'of both';
    is $count->('--since', $all[0]{at}), 4, 'since then';
    is $count->('--since', int(time) + 100), 0, 'since later';

    ($out) = $t->cli_is(0, 'for people', 'history');
    like $out, qr/^\S+Z +grant +smoke +r +\Q$app\E .* alice +first\\x0d\\x0aline \\x1b\[31m$/m,
        'on one line, escaped';

    # as wide as needed, and nobody's text is taken for the whole gateway

    my $wide = 'w' x 60;
    $redis->cmd('XADD', "app_permission:history:{g:$app}", '*', 'action',
        'grant', 'resource', $_) for "x\e[31m,y", '', $wide, '-';
    ($out) = $t->cli_is(0, 'odd resources', 'history', '--app', $app);
    my ($head, @lines) = split /\n/, $out;
    like $head, qr/^WHEN +ACTION +GATEWAY +RESOURCE +APP +OLD END +NEW END +BY +COMMENT$/,
        'titles';
    my $at = index $head, 'APP';
    is_deeply [map { index $_, $app } @lines], [map { $at } @lines],
        'columns are as wide as needed';
    is_deeply [map { (split)[3] } @lines[-4 .. -1]],
        ['x\x1b[31m,y', '""', $wide, '-'], 'resources as they were written';
    is_deeply [map { $_->{resource} } json_lines(($t->cli('--json', 'history',
        '--gateway', 'g'))[1])], ["x\e[31m,y", '', $wide, undef], 'as JSON';
    $redis->cmd('DEL', "app_permission:history:{g:$app}");

    # it is bounded, and another type stops nothing but that change

    $t->cli('extend', '--gateway', 'other', '--app', $app) for 1;
    my $key = "app_permission:history:{other:$app}";
    $redis->cmd('XADD', $key, '*', 'odd', $_) for 1 .. 250;
    $t->cli('grant', '--gateway', 'other', '--app', $app, '--days', 1);
    is $redis->cmd('XLEN', $key), 100, 'at most 100 a key';
    $t->cli_is(0, 'entries of others are no harm', 'history');

    $redis->cmd('DEL', $key);
    $redis->cmd('SET', $key, 'x');
    my $before = $redis->value('other', undef, $app);
    $t->cli_is(3, 'a history that cannot be written', 'extend', '--gateway',
        'other', '--app', $app);
    is $redis->value('other', undef, $app), $before, 'nothing changed';
    ($out, my $err) = $t->cli_is(1, 'and is counted', 'history');
    like $err, qr/1 key is of another type/, 'said';
    like $out, qr/alice/, 'the others are shown';
};


# SCAN may give a key again, and HSCAN a field

subtest 'a grant is listed once' => sub {
    $redis->empty->load->grant('g', 'r', 'a', $live)->grant('g', 's', 'a', $live);
    my $key = 'app_permission:grants:{g:a}';
    my $fake = $t->fake_redis(to => $redis);
    my $bulk = sub { '$' . length($_[0]) . "\r\n$_[0]\r\n" };
    my $scan = sub { "*2\r\n" . $bulk->(shift) . '*' . @_ . "\r\n"
                     . join '', map { $bulk->($_) } @_ };
    my @rules = (
        { match => qr/^SCAN 0 /, reply => $scan->(7, $key, $key) },
        { match => qr/^SCAN 7 /, reply => $scan->(0, $key) },
        { match => qr/^HSCAN \S+ 0 /, reply => $scan->(5, 'r', $live, 's', $live) },
        { match => qr/^HSCAN \S+ 5 /, reply => $scan->(0, 's', $live, 'r', $live) },
    );
    $fake->rules(@rules);
    for (['list'], ['export'], ['renew']) {
        my (undef, $out) = $t->cli('--json', @$_, { redis => $fake->url });
        is scalar(() = $out =~ /"resource":"r"/g), 1, "@$_: once";
        is scalar(() = $out =~ /"resource":"s"/g), 1, 'and so the other';
    }
    my (undef, undef, $err) = $t->cli('export', { redis => $fake->url });
    like $err, qr/exported 2 grants/, 'counted once';
};


done_testing;

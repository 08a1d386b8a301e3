#!/usr/bin/perl

# renew: the table of what is renewed and what not, the race with somebody who
# revokes or changes, two at once, twice, late.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;

my $DAY = 86400;
my $TERM = 180 * $DAY;
my $now = int time;

sub dump_table {
    return join '', map { my $k = $_; my %h = @{$redis->cmd('HGETALL', $k)};
        map { "$k $_ $h{$_}\n" } sort keys %h }
        sort @{$redis->cmd('KEYS', 'app_permission:grants:*')};
}


subtest 'the table' => sub {
    my $end = $now + 10 * $DAY;
    $redis->load;

    # name, expires, last access, result, expires afterwards

    my @rows = (
        ['permanent', 4102444800, $now, 'permanent', 4102444800],
        ['unused', $end, undef, 'unused', $end],
        ['at-the-end', $now - 5, $now - 5, 'lapsed', $now - 5],
        ['after-the-end', $now - 50, $now - 5, 'lapsed', $now - 50],
        ['long-enough', $now + $TERM, $now, 'current', $now + $TERM],
        ['longer', $now + $TERM + 1, $now, 'current', $now + $TERM + 1],
        ['just', $now + $TERM - 1, $now, 'renewed', $now + $TERM],
        ['used', $end, $now - $DAY, 'renewed', $now - $DAY + $TERM],
        ['late', $now - 5 * $DAY, $now - 6 * $DAY, 'renewed',
         $now - 6 * $DAY + $TERM],
    );
    for (@rows) {
        my ($name, $expires, $last) = @$_;
        $redis->grant('g', $name, 'a',
            qq({"expires":$expires,"type":"apply","granted":1,"note":"\\u0000"}));
        $redis->used('g', $name, 'a', $last) if defined $last;
    }
    $redis->grant('g', 'unreadable', 'a', 'x');
    $redis->grant('g', 'number', 'a', $end . '.0');
    $redis->used('g', 'number', 'a', $now);

    my $before = dump_table();
    my ($out, $err) = $t->cli_is(1, 'dry run', 'renew', '--dry-run');
    is scalar(() = $out =~ /->/g), 4, 'says what would be renewed';
    is dump_table(), $before, 'and changes nothing';

    my %would = map { $_->{resource} => $_->{result} } json_lines(
        $t->cli_is(1, 'as JSON', '--json', 'renew', '--dry-run'));
    is_deeply \%would, { number => 'would_renew', map { $_->[0] =>
        $_->[3] eq 'renewed' ? 'would_renew' : $_->[3] } @rows },
        'nor does it say that it did';
    is dump_table(), $before, 'for it did not';

    ($out, $err) = $t->cli_is(1, 'one grant is unreadable: 1', '--json', 'renew');
    like $err, qr/renewed 4 of 10 grants/, 'says how many';
    like $err, qr/1 grant could not be read: see above$/m,
        'and how many not';
    my %result = map { $_->{resource} => $_ } json_lines($out);

    for (@rows) {
        my ($name, $expires, $last, $result, $after) = @$_;
        is $result{$name}{result}, $result, "$name: $result";
        is $redis->value('g', $name, 'a'), sprintf(
            '{"expires":%d,"type":"%s","granted":1,"note":"\u0000"}', $after,
            $result eq 'renewed' ? 'auto_renew' : 'apply'), 'as it should be';
    }
    is $redis->value('g', 'number', 'a'),
        '{"expires":' . ($now + $TERM) . ',"type":"auto_renew"}',
        'a bare number becomes an object';
    is $redis->value('g', 'unreadable', 'a'), 'x', 'what is unreadable stays';
    like $err, qr/field "unreadable": unreadable grant/, 'and is named';

    my $after = dump_table();
    ($out, $err) = $t->cli_is(1, 'renew', 'renew');
    like $err, qr/renewed 0 of 10/, 'twice is as once';
    is dump_table(), $after, 'nothing changed';
};


subtest 'accesses of another type are none, and stop nothing' => sub {
    $redis->empty->load->grant('g', 'r', 'a', $now + 5)
        ->grant('g', 'r', 'b', $now + 5)->grant('g', undef, 'b', $now + 5);
    $redis->used('g', 'r', 'a', $now);
    $redis->cmd('SET', 'app_permission:access:{g:b}', 'x');
    my ($out, $err) = $t->cli_is(1, 'one key is of another type: 1', 'renew');
    like $err, qr/: 1 key is of another type: see above$/m,
        'counted once';
    like $err, qr/renewed 1 of 3/, 'the others are renewed';
    like $err, qr/access:\{g:b\}" is of another type/, 'and it is named';
};


# a gateway's grant is used through any of its resources

subtest 'dimensions' => sub {
    my $make = sub {
        $redis->empty->load->grant('g', undef, 'a', $now + 5)
            ->grant('g', 'r', 'a', $now + 6);
        $redis->used('g', 'r', 'a', $now - 200);
        $redis->used('g', 'other', 'a', $now - 100);
        $redis->used('h', 'r', 'a', $now - 10);
    };
    my $ends = sub {
        $make->();
        $t->cli('renew', '--term', '10d', @_ ? ('--dimension', @_) : ());
        return [map { json($redis->value('g', $_, 'a'))->{expires} - $now }
                    undef, 'r'];
    };
    my ($gateway, $resource) = (10 * $DAY - 100, 10 * $DAY - 200);

    is_deeply $ends->(), [$gateway, $resource],
        'the newest over its resources, and the term';
    is_deeply $ends->('gateway'), [$gateway, 6], 'gateways only';
    is_deeply $ends->('resource'), [5, $resource], 'resources only';
    is_deeply $ends->('both'), [$gateway, $resource], 'both';
};


subtest 'somebody is faster: between the reading and the writing' => sub {
    my $fake = $t->fake_redis(to => $redis);

    my $race = sub {
        my ($meanwhile) = @_;
        $redis->empty->load->grant('g', 'r', 'a', $now + $DAY,
                                   type => '"apply"');
        $redis->used('g', 'r', 'a', $now - 50);
        $fake->forget;
        $fake->rules({ match => qr/^EVAL /, times => 1, hold => 1 });
        my $run = $t->cli_begin('--json', 'renew', { redis => $fake->url });
        wait_for(sub { $fake->commands(qr/^EVAL/) });
        is json($redis->value('g', 'r', 'a'))->{expires}, $now + $DAY,
            'not written yet';
        $meanwhile->();
        $fake->release;
        my ($status, $out, $err) = $run->end;
        is $status, 0, 'renew ends well' or diag $err;
        return json($out);
    };

    my $r = $race->(sub { $redis->revoke('g', 'r', 'a') });
    is $redis->value('g', 'r', 'a'), undef, 'a revoke wins';
    is $r->{result}, 'gone', 'and is reported';

    $r = $race->(sub { $redis->grant('g', 'r', 'a', 4102444800) });
    is $redis->value('g', 'r', 'a'), '{"expires":4102444800}', 'a new grant wins';
    is $r->{result}, 'permanent', 'and is reported';

    $r = $race->(sub { $redis->grant('g', 'r', 'a', $now + 2 * $DAY,
        note => '"new"') });
    is $redis->value('g', 'r', 'a'), '{"expires":' . ($now - 50 + $TERM)
        . ',"note":"new","type":"auto_renew"}',
        'a change that has to be renewed too is, with what is new in it';

    $r = $race->(sub { $redis->grant('g', 'r', 'a', $now - 100) });
    is $redis->value('g', 'r', 'a'), '{"expires":' . ($now - 100) . '}',
        'an end that was moved before the access stays';

    $r = $race->(sub { $redis->cmd('HSET', key('grants', 'a', 'g'), 'r', 'x') });
    is $redis->value('g', 'r', 'a'), 'x', 'nor is an unreadable value overwritten';
    is $r->{result}, 'unreadable', 'and is reported';

    $r = $race->(sub { $redis->cmd('DEL', key('grants', 'a', 'g')) });
    is $redis->cmd('EXISTS', key('grants', 'a', 'g')), 0, 'nor comes a deleted hash back';
};


subtest 'two at once, on many' => sub {
    my $make = sub {
        $redis->empty->load->each(map {
            ([key('grants', "a$_", 'g'), 'HSET', 'r',
              '{"expires":' . ($now + $_) . '}'],
             [key('access', "a$_", 'g'), 'ZADD', $now - $_, 'r'])
        } 1 .. 3000);
    };

    $make->();
    $t->cli('renew');
    my $once = dump_table();

    $make->();
    my $sum = 0;
    for my $run (map { $t->cli_begin('renew') } 1 .. 2) {
        my ($status, $out, $err) = $run->end;
        is $status, 0, 'ends well' or diag $err;
        $sum += $err =~ /renewed (\d+) of/ ? $1 : 0;
    }
    is dump_table(), $once, 'two at once do what one does';
    is $sum, 3000, 'and each grant is renewed by one of them';
};

done_testing;

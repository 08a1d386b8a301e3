#!/usr/bin/perl

# renew: the table of what is renewed and what not, the race with somebody who
# revokes or changes, two at once, twice, late.

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;
my $json = JSON::PP->new;

my $DAY = 86400;
my $TERM = 180 * $DAY;
my $now = time;

sub key { "app_permission:grants:{$_[0]:$_[1]}" }
sub value { $redis->cmd('HGET', key($_[0], $_[2]), $_[1] // '-') }
sub used {
    my ($gateway, $resource, $app, $at) = @_;
    $redis->cmd('ZADD', "app_permission:access:{$gateway:$app}", $at, $resource);
}
sub dump_table {
    return join '', map { my $k = $_; my %h = @{$redis->cmd('HGETALL', $k)};
        map { "$k $_ $h{$_}\n" } sort keys %h }
        sort @{$redis->cmd('KEYS', 'app_permission:grants:*')};
}

# ---- the table

{
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
        used('g', $name, 'a', $last) if defined $last;
    }
    $redis->grant('g', 'unreadable', 'a', 'x');
    $redis->grant('g', 'number', 'a', $end . '.0');
    used('g', 'number', 'a', $now);

    my $before = dump_table();
    my ($status, $out, $err) = $t->cli('renew', '--dry-run');
    is $status, 0, 'dry run';
    is scalar(() = $out =~ /->/g), 4, 'says what would be renewed';
    is dump_table(), $before, 'and changes nothing';

    ($status, $out) = $t->cli('--json', 'renew', '--dry-run');
    my %would = map { my $o = $json->decode($_); $o->{resource} => $o->{result} }
        split /\n/, $out;
    is_deeply \%would, { number => 'would_renew', map { $_->[0] =>
        $_->[3] eq 'renewed' ? 'would_renew' : $_->[3] } @rows },
        'nor does it say that it did';
    is dump_table(), $before, 'for it did not';

    ($status, $out, $err) = $t->cli('--json', 'renew');
    is $status, 0, 'renew';
    like $err, qr/renewed 4 of 10 grants/, 'says how many';
    my %result = map { $_->{resource} => $_ }
        map { $json->decode($_) } split /\n/, $out;

    for (@rows) {
        my ($name, $expires, $last, $result, $after) = @$_;
        is $result{$name}{result}, $result, "$name: $result";
        is value('g', $name, 'a'), sprintf(
            '{"expires":%d,"type":"%s","granted":1,"note":"\u0000"}', $after,
            $result eq 'renewed' ? 'auto_renew' : 'apply'), 'as it should be';
    }
    is value('g', 'number', 'a'),
        '{"expires":' . ($now + $TERM) . ',"type":"auto_renew"}',
        'a bare number becomes an object';
    is value('g', 'unreadable', 'a'), 'x', 'what is unreadable stays';
    like $err, qr/field "unreadable": unreadable grant/, 'and is named';

    my $after = dump_table();
    ($status, $out, $err) = $t->cli('renew');
    like $err, qr/renewed 0 of 10/, 'twice is as once';
    is dump_table(), $after, 'nothing changed';
}

# ---- accesses of another type are none, and stop nothing

{
    $redis->cmd('FLUSHALL');
    $redis->load->grant('g', 'r', 'a', $now + 5)->grant('g', 'r', 'b', $now + 5)
        ->grant('g', undef, 'b', $now + 5);
    used('g', 'r', 'a', $now);
    $redis->cmd('SET', 'app_permission:access:{g:b}', 'x');
    my ($status, $out, $err) = $t->cli('renew');
    is $status, 0, 'renew';
    like $err, qr/renewed 1 of 3/, 'the others are renewed';
    like $err, qr/access:\{g:b\}" is of another type/, 'and it is named';
}

# ---- a gateway's grant is used through any of its resources; dimensions

{
    my $make = sub {
        $redis->cmd('FLUSHALL');
        $redis->load->grant('g', undef, 'a', $now + 5)
            ->grant('g', 'r', 'a', $now + 6);
        used('g', 'r', 'a', $now - 200);
        used('g', 'other', 'a', $now - 100);
        used('h', 'r', 'a', $now - 10);
    };
    my $ends = sub {
        return map { $json->decode(value('g', $_, 'a'))->{expires} - $now }
            undef, 'r';
    };

    $make->();
    $t->cli('renew', '--term', '10d');
    is_deeply [$ends->()], [10 * $DAY - 100, 10 * $DAY - 200],
        'the newest over its resources, and the term';
    $make->();
    $t->cli('renew', '--term', '10d', '--dimension', 'gateway');
    is_deeply [$ends->()], [10 * $DAY - 100, 6], 'gateways only';
    $make->();
    $t->cli('renew', '--term', '10d', '--dimension', 'resource');
    is_deeply [$ends->()], [5, 10 * $DAY - 200], 'resources only';
    $make->();
    $t->cli('renew', '--term', '10d', '--dimension', 'both');
    is_deeply [$ends->()], [10 * $DAY - 100, 10 * $DAY - 200], 'both';
}

# ---- somebody is faster: between the reading and the writing

{
    my $fake = $t->fake_redis(to => $redis);

    my $race = sub {
        my ($meanwhile) = @_;
        $redis->cmd('FLUSHALL');
        $redis->load->grant('g', 'r', 'a', $now + $DAY, type => '"apply"');
        used('g', 'r', 'a', $now - 50);
        $fake->forget;
        $fake->rules({ match => qr/^EVAL /, times => 1, delay => 0.5 });

        my $pid = fork // die;
        if (!$pid) {
            my ($status, $out, $err) = $t->cli('--json', 'renew',
                { redis => $fake->url });
            spew($t->dir . '/race', $out);
            POSIX::_exit($status);
        }
        wait_for(sub { $fake->commands(qr/^EVAL/) });
        is $json->decode(value('g', 'r', 'a'))->{expires}, $now + $DAY,
            'not written yet';
        $meanwhile->();
        waitpid $pid, 0;
        is $?, 0, 'renew ends well';
        return $json->decode(slurp($t->dir . '/race'));
    };

    my $r = $race->(sub { $redis->revoke('g', 'r', 'a') });
    is value('g', 'r', 'a'), undef, 'a revoke wins';
    is $r->{result}, 'gone', 'and is reported';

    $r = $race->(sub { $redis->grant('g', 'r', 'a', 4102444800) });
    is value('g', 'r', 'a'), '{"expires":4102444800}', 'a new grant wins';
    is $r->{result}, 'permanent', 'and is reported';

    $r = $race->(sub { $redis->grant('g', 'r', 'a', $now + 2 * $DAY,
        note => '"new"') });
    is value('g', 'r', 'a'), '{"expires":' . ($now - 50 + $TERM)
        . ',"note":"new","type":"auto_renew"}',
        'a change that has to be renewed too is, with what is new in it';

    $r = $race->(sub { $redis->grant('g', 'r', 'a', $now - 100) });
    is value('g', 'r', 'a'), '{"expires":' . ($now - 100) . '}',
        'an end that was moved before the access stays';

    $r = $race->(sub { $redis->cmd('HSET', key('g', 'a'), 'r', 'x') });
    is value('g', 'r', 'a'), 'x', 'nor is an unreadable value overwritten';
    is $r->{result}, 'unreadable', 'and is reported';

    $r = $race->(sub { $redis->cmd('DEL', key('g', 'a')) });
    is $redis->cmd('EXISTS', key('g', 'a')), 0, 'nor comes a deleted hash back';
    $fake->stop;
}

# ---- two at once, on many

{
    my $make = sub {
        $redis->cmd('FLUSHALL');
        $redis->load;
        $redis->connect->pipeline(map {
            (['HSET', key('g', "a$_"), 'r', '{"expires":' . ($now + $_) . '}'],
             ['ZADD', "app_permission:access:{g:a$_}", $now - $_, 'r'])
        } 1 .. 3000);
    };

    $make->();
    $t->cli('renew');
    my $once = dump_table();

    $make->();
    my @pids = map {
        my $pid = fork // die;
        if (!$pid) {
            my $dir = $t->dir;
            open STDERR, '>', "$dir/err.$_";
            exec Perm::Util::build_dir() . '/app-permission', '--redis',
                $redis->url, 'renew' or POSIX::_exit(127);
        }
        $pid;
    } 1 .. 2;
    for (@pids) { waitpid $_, 0; is $?, 0, 'ends well' }
    is dump_table(), $once, 'two at once do what one does';

    my $sum = 0;
    $sum += /renewed (\d+) of/ ? $1 : 0 for map { slurp($t->dir . "/err.$_") } 1 .. 2;
    is $sum, 3000, 'and each grant is renewed by one of them';
}

$redis->stop;
done_testing;

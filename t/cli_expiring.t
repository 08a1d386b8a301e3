#!/usr/bin/perl

# expiring, access and purge: who is told, what an outside job gets, and what
# is thrown away.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep);

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;
my $json = JSON::PP->new;
my $dir = $t->dir;

my $DAY = 86400;
my $now = time;

# an hour into the day, so that the test may take its time

sub in_days { $now + $_[0] * $DAY + 3600 }
sub used {
    my ($gateway, $resource, $app, $at) = @_;
    $redis->cmd('ZADD', "app_permission:access:{$gateway:$app}", $at, $resource);
}

# ---- who is told

$redis->load
    ->grant('g', 'r0', 'a', in_days(0))->grant('g', 'r1', 'a', in_days(1))
    ->grant('g', 'r2', 'a', in_days(2))->grant('g', 'r15', 'a', in_days(15))
    ->grant('g', 'r16', 'a', in_days(16))
    ->grant('g', 'over', 'a', $now - 3600)
    ->grant('g', 'ever', 'a', 4102444800)
    ->grant('g', 'used', 'a', in_days(3))
    ->grant('g', 'broken', 'a', '{"expires":}')
    ->grant('h', undef, 'a', in_days(7));
used('g', 'used', 'a', $now - $DAY);

# b: the gateway's grant ends later, or is renewed to; or ends no later

$redis->grant('g', undef, 'b', in_days(30))->grant('g', 'r', 'b', in_days(3))
    ->grant('h', undef, 'b', in_days(1))->grant('h', 'r', 'b', in_days(3))
    ->grant('i', undef, 'b', in_days(0))->grant('i', 'r', 'b', in_days(3))
    ->grant('j', undef, 'b', 4102444800)->grant('j', 'r', 'b', in_days(3))
    ->grant('k', undef, 'b', $now - 5)->grant('k', 'r', 'b', in_days(3));
used('h', 'other', 'b', $now - 100);

my $told = sub {
    my ($status, $out, $err) = $t->cli('expiring', @_);
    my %apps;
    for (split /\n/, $out) {
        my $o = $json->decode($_);
        ok !exists $apps{$o->{app}}, 'one object an app';
        $apps{$o->{app}} = join ' ', map {
            "$_->{gateway}/" . ($_->{resource} // '-') . "=$_->{days_left}"
        } @{$o->{grants}};
    }
    return \%apps;
};

is_deeply $told->(), {
    a => 'g/r0=0 g/r1=1 g/r15=15 h/-=7',
    b => 'i/-=0 i/r=3 k/r=3',
}, 'what ends and is not saved';

is_deeply $told->('--days', '2'), { a => 'g/r2=2' }, 'other days';
is_deeply $told->('--days', '3', '--term', '2d'), {
    a => 'g/used=3', b => 'h/r=3 i/r=3 k/r=3',
}, 'a shorter term saves less';

{
    my ($status, $out) = $t->cli('expiring', '--days', '15');
    my $o = $json->decode($out);
    my $at = in_days(15);
    is_deeply $o, { app => 'a', grants => [{ gateway => 'g', resource => 'r15',
        expires => $at, expires_at => POSIX::strftime('%Y-%m-%dT%H:%M:%SZ',
        gmtime $at), days_left => 15, last_access => undef }] },
        'all that a mail needs';

    ($status, $out) = $t->cli('expiring', '--days', '100');
    is "$status$out", '0', 'nothing ends: done, and silent';
}

# ---- a grant that ends in this very second has ended

{
    $redis->cmd('FLUSHALL');
    my ($at, $out, $within);
    for (1 .. 20) {
        $at = time + 1;
        $redis->load->grant('g', 'r', 'now', $at)->grant('g', 'r', 'next',
            $at + 1000);
        sleep 0.01 while time < $at;
        (undef, $out) = $t->cli('expiring', '--days', 0);
        last if $within = time == $at;
    }
    SKIP: {
        skip 'never within that second', 1 unless $within;
        like $out, qr/^\{"app":"next",.*\}\n\z/,
            'it is not told of as one that will';
    }
    $redis->cmd('FLUSHALL');
    $redis->load->grant('g', 'r', 'a', in_days(1))
        ->grant('g', 'r', 'b', in_days(1));
}

# ---- notify

{
    spew("$dir/notify", <<"EOT");
cat > "$dir/in.\$\$"
grep -q '"app":"a"' "$dir/in.\$\$" && exit 7
exit 0
EOT
    my ($status, $out, $err) = $t->cli('expiring', '--notify',
        "sh $dir/notify");
    is $status, 1, 'one of them fails: 1';
    like $err, qr/--notify failed for app a: exit status 7/, 'and is named';
    my @got = map { $json->decode(slurp($_)) } glob "$dir/in.*";
    is join(' ', sort map { $_->{app} } @got), 'a b', 'the others are told';
    is $out, '', 'nothing on standard output';

    ($status) = $t->cli('expiring', '--notify', 'cat >/dev/null');
    is $status, 0, 'all are told: 0';

    ($status, $out, $err) = $t->cli('--json', 'expiring', '--notify',
        'echo told');
    is $out, '', 'with --json the output of the command is no JSON line';
    is scalar(() = $err =~ /^told$/mg), 2, 'but on standard error';
    ($status, $out, $err) = $t->cli('expiring', '--notify', 'echo told');
    is $out, "told\n" x 2, 'without --json it is where it was';

    ($status) = $t->cli('expiring', '--notify', 'exec <&-; true');
    is $status, 0, 'a command that does not read';

    ($status, $out, $err) = $t->cli('expiring', '--notify', 'kill -9 $$');
    is $status, 1, 'a command that dies';
    like $err, qr/app b: ended by signal 9/, 'is named, for each app';

    ($status, $out, $err) = $t->cli('expiring', '--notify', '/nonexistent');
    is $status, 1, 'a command that is not there';

    for my $none ('', " \n") {
        ($status, $out, $err) = $t->cli('expiring', '--notify', $none);
        is $status, 2, 'no command: 2';
        like $err, qr/--notify ".*": no command, which would tell nobody/s,
            'says so';
    }

    ($status) = $t->cli('expiring', '--notify',
        'sh -c \'kill -PIPE $$\'; test $? -gt 128');
    is $status, 0, 'a command with the signals it is used to';

    # more than a pipe holds, to one that does not read it

    $redis->grant('big', "r$_", 'c', in_days(1)) for 1 .. 2000;
    ($status) = $t->cli('expiring', '--notify', 'true');
    is $status, 0, 'a long object to a command that does not read';
    ($status, $out) = $t->cli('expiring', '--notify', 'wc -c');
    cmp_ok((sort { $b <=> $a } split /\n/, $out)[0], '>', 100_000,
        'and to one that does');
}

# ---- access

{
    $redis->cmd('FLUSHALL');
    $redis->load;
    used('g', 'r1', 'a', 1700000000);
    used('g', 'r2', 'a', 1700000500);
    used('h', 'r1', 'b', '1700000900.7');
    used('h', "evil\e", 'b', 1700000900);
    used('h', 'inf', 'b', 'inf');
    $redis->cmd('SET', 'app_permission:access:{x:y}', 1);

    my ($status, $out, $err) = $t->cli('access');
    is $status, 0, 'access';
    is join("\n", sort split /\n/, $out), join("\n",
        '{"gateway":"g","resource":"r1","app":"a","last_access":1700000000}',
        '{"gateway":"g","resource":"r2","app":"a","last_access":1700000500}',
        '{"gateway":"h","resource":"r1","app":"b","last_access":1700000900}'),
        'lines';
    like $err, qr/member "evil\\x1b": no last access/, 'rubbish is named';

    ($status, $out) = $t->cli('access', '--since', 1700000500);
    is scalar(split /\n/, $out), 2, 'since then';
    ($status, $out) = $t->cli('access', '--since', '2030-01-01T00:00:00Z');
    is "$status$out", '0', 'since later: none, and no failure';

    $redis->connect->pipeline(map { ['ZADD', 'app_permission:access:{big:a}',
        1700000000, "r$_"] } 1 .. 3000);
    ($status, $out) = $t->cli('access');
    my %seen = map { $json->decode($_)->{resource} => 1 }
        grep { /"big"/ } split /\n/, $out;
    is scalar keys %seen, 3000, 'all of a big set';
}

# ---- purge

{
    $redis->cmd('FLUSHALL');
    my ($status, $out, $err) = $t->cli('purge');
    is $status, 1, 'a table that is not loaded is not purged';

    $redis->load
        ->grant('g', 'long', 'a', $now - 366 * $DAY)
        ->grant('g', 'short', 'a', $now - 364 * $DAY)
        ->grant('g', 'live', 'a', $now + $DAY)
        ->grant('g', 'broken', 'a', 'x')
        ->grant('h', undef, 'a', $now - $DAY)
        ->grant('i', undef, 'a', $now - 400 * $DAY);
    used('g', $_, 'a', $now - 370 * $DAY)
        for qw(long short live broken gone);
    used('h', 'any', 'a', $now);
    used('i', 'any', 'a', $now);
    used('j', 'any', 'a', $now);

    ($status, $out, $err) = $t->cli('--json', 'purge');
    is $status, 0, 'purge';
    is_deeply($json->decode($out), { grants => 2, accesses => 4 }, 'counted');
    is join(' ', sort @{$redis->cmd('HKEYS', 'app_permission:grants:{g:a}')}),
        'broken live short', 'grants that ended long ago are gone';
    is join(' ', sort @{$redis->cmd('ZRANGE', 'app_permission:access:{g:a}',
        0, -1)}), 'broken live short', 'and accesses without a grant';
    is $redis->access('h', 'any', 'a'), $now, 'under a gateway grant they stay';
    is $redis->cmd('EXISTS', 'app_permission:access:{i:a}',
        'app_permission:access:{j:a}'), 0, 'else not';

    ($status, $out) = $t->cli('--json', 'purge', '--expired-for', '10d');
    is_deeply($json->decode($out), { grants => 1, accesses => 1 }, 'a span');

    # what is granted anew meanwhile stays

    $redis->grant('g', 'r', 'a', $now - 500 * $DAY);
    my $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/^EVAL /, times => 1, delay => 0.5 });
    my $pid = fork // die;
    if (!$pid) {
        my ($status) = $t->cli('purge', { redis => $fake->url });
        POSIX::_exit($status);
    }
    wait_for(sub { $fake->commands(qr/^EVAL/) });
    $redis->grant('g', 'r', 'a', $now + $DAY);
    waitpid $pid, 0;
    is $redis->cmd('HGET', 'app_permission:grants:{g:a}', 'r'),
        '{"expires":' . ($now + $DAY) . '}', 'a new grant wins';
    $fake->stop;
}

$redis->stop;
done_testing;

#!/usr/bin/perl

# A grant's value of more than 64 KiB: unreadable for its app alone, in nginx
# and on the command line.  And a server that sends the command line whatever
# it likes.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load->allow('demo');

my $KIB64 = 65536;

sub long_value {
    my ($len) = @_;
    my $value = '{"expires":4102444800,"remark":""}';
    substr $value, -2, 0, 'x' x ($len - length $value);
    return $value;
}

$redis->cmd('HSET', key('grants', 'big'), get_user => long_value(1_100_000));
$redis->cmd('HSET', key('grants', 'wide'), '-' => long_value($KIB64 + 1));
$redis->cmd('HSET', key('grants', 'fits'), '-' => long_value($KIB64));

$t->nginx(server => <<'END_OF_SERVER');
        %%DECISION%%
        app_permission required;
        location = /a { app_permission_cache_valid 1s denied=10ms; empty_gif; }
END_OF_SERVER


subtest 'it is unreadable for that app alone' => sub {
    ok $t->settled, 'ready';
    my $begun = $t->status->{redis};
    my %got;
    for my $n (1 .. 100) {
        $redis->allow("good$n") if $n % 2;
        my @asked = (ask('big'), ask('wide'), ask("good$n"), ask('fits'));
        $got{$_}{answer(shift @asked) =~ s/ (?:HIT|MISS)//r}++
            for 'big', 'wide', $n % 2 ? 'good' : 'bad', 'fits';
    }
    is_deeply \%got, { big => { $DENY, 100 }, wide => { $DENY, 100 },
        good => { $ALLOW, 50 }, bad => { $DENY, 50 },
        fits => { '200 allow/gateway_grant', 100 } },
        'the first calls of all others are decided';

    my $now = $t->status;
    is $now->{redis}{errors}, $begun->{errors}, 'no link was lost';
    ok $now->{invalidation}{active}, 'changes are pushed';
    cmp_ok $now->{redis}{unreadable_grants}, '>', 1, 'they are counted';

    my $line = qr/unreadable grant, value over 64 KiB, .* field/;
    is $t->log_lines(qr/$line "get_user" of \S+\{smoke:big\}/), 1, 'named once';
    is $t->log_lines(qr/$line "-" of \S+\{smoke:wide\}/), 1, 'each';
    is $t->log_lines(qr/unreadable/), 2, 'and no other';
};

subtest 'every reader names it' => sub {
    $redis->empty->load->grant('smoke', 'get_user', 'demo', time + 3600);
    $redis->cmd('HSET', key('grants', 'big'), get_user => long_value(1_100_000));

    for my $command ('list', 'export', 'renew', 'purge', 'expiring') {
        my ($status, $out, $err) = $t->cli($command);
        like $err, qr/smoke:big\}", field "get_user": .* over 64 KiB/,
            "$command names it";
        unlike $out . $err, qr/x{100}/, '... without its value';
        next if $command ne 'renew';
        is $status, 1, '... and ends with 1';
        like $err, qr/\b1 grant could not be read/, '... and counts it';
    }

    my ($out, $err) = $t->cli_is(1, 'check: 1', 'check', '--gateway', 'smoke',
        '--resource', 'get_user', '--app', 'big');
    like $out, qr/resource grant +unreadable.*over 64 KiB/, 'says why';
};


subtest 'it can be replaced and removed' => sub {
    my @big = qw(--gateway smoke --resource get_user --app big);
    $t->cli_is(0, 'grant', 'grant', @big, '--days', 10);
    my $value = $redis->cmd('HGET', key('grants', 'big'), 'get_user');
    cmp_ok length $value, '<', 200, 'a short one is there now';

    my $line = '{"gateway":"smoke","resource":"get_user","app":"big",'
               . '"expires":4102444800}';
    $redis->cmd('HSET', key('grants', 'big'), get_user => long_value($KIB64 + 1));
    $t->cli_is(0, 'import', 'import', { stdin => "$line\n" });
    $value = $redis->cmd('HGET', key('grants', 'big'), 'get_user');
    is json($value)->{expires}, 4102444800, 'replaces it';

    $redis->cmd('HSET', key('grants', 'big'), get_user => long_value(5_000_000));
    $t->cli_is(0, 'revoke', 'revoke', @big);
    is $redis->cmd('EXISTS', key('grants', 'big')), 0, 'removes it';
};


subtest 'no writer makes one' => sub {
    my @fits = qw(--gateway smoke --resource get_user --app fits);
    my $fits = long_value($KIB64);
    $redis->cmd('HSET', key('grants', 'fits'), get_user => $fits);

    my ($out, $err) = $t->cli_is(1, 'grant: 1', 'grant', @fits, '--days', 900,
                                 '--type', 'longer-than-before');
    like $err, qr/smoke:fits\}", field "get_user": not written/, 'says why';

    my $line = '{"gateway":"smoke","resource":"get_user","app":"fits",'
               . '"expires":4102444800,"more":"x"}';
    ($out, $err) = $t->cli_is(1, 'import: 1', 'import', { stdin => "$line\n" });
    like $err, qr/line 1: /, 'names the line';
    is $redis->cmd('HGET', key('grants', 'fits'), 'get_user'), $fits, 'as it was';
};


subtest 'a server that sends the command line whatever it likes' => sub {
    my $fake = $t->fake_redis(to => $redis);

    for (['nested', "*1\r\n" x 300_000, qr/nested too deeply/],
         ['wide', "*1000000000\r\n", qr/too many elements/],
         ['wide, nested', "*5000000\r\n" x 7, qr/too many elements/],
         ['RESP3', "%1\r\n+a\r\n:1\r\n", qr/no answer of a Redis server/],
         ['longer than can be', "\$999999999\r\n", qr/no valid length/],
         ['a long error', '-' . 'x' x 100_000, qr/too long/])
    {
        my ($name, $reply, $error) = @$_;
        $fake->rules({ match => qr/^SCAN/, reply => $reply });
        my ($out, $err) = $t->cli_is(3, "$name: 3", 'list',
                                     { redis => $fake->url });
        like $err, $error, 'says so';
    }
};

done_testing;

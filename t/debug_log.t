#!/usr/bin/perl

# "error_log ... debug" tells what becomes of a check: a miss, a lookup that is
# shared, a client that leaves, a late answer, a pushed change, an access on its
# way to Redis, a table that is emptied, and a link that is lost.

use Time::HiRes qw(time);

use Perm::Test;

plan skip_all => "this nginx was not built with --with-debug"
    if `$Perm::Nginx::BINARY -V 2>&1` !~ /--with-debug/;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $fake = $t->fake_redis(to => $redis);

$redis->allow(map { "x$_" } 1 .. 4);
$t->nginx(log => 'debug', server => <<'EOS', http => <<'EOH');
        %%DECISION%%
        app_permission required;
        location = /a     { empty_gif; }
        location = /short { app_permission_cache_valid 1s; empty_gif; }
EOS
        app_permission_flush 1s;
        app_permission_redis_timeout 5s;
EOH
ok $t->settled, 'ready';


# of the new lines of the log: those that the patterns match, in this order

sub in_order {
    my ($name, @patterns) = @_;
    my $all = join '.*?', map { "app_permission: $_" } @patterns;
    ok $t->wait_new(qr/$all/s), $name or diag join "\n", $t->new_lines(
        qr/app_permission/);
}

# the address that the log gives to the lookup of an app

sub lookup {
    my ($app) = @_;
    my ($line) = $t->new_lines(qr/lookup \w+, app "$app"/);
    return ($line // '') =~ /lookup (\w+)/ ? $1 : 'no lookup';
}


subtest 'a miss, and a hit' => sub {
    $t->mark;
    is outcome('x1'), "$ALLOW MISS", 'a miss';
    my $lookup = lookup('x1');
    in_order 'sent, answered and cached', "lookup $lookup, app",
        "lookup $lookup sent", "lookup $lookup answered, rc:0",
        "lookup $lookup cached, gateway:-1 resource:\\d+ tracked:1";

    $t->mark;
    is outcome('x1'), "$ALLOW HIT", 'a hit';
    is scalar($t->new_lines(qr/app_permission: lookup/)), 0, 'no lookup';
};


subtest 'two that share a lookup, and one that leaves' => sub {
    $fake->rules({ match => qr/^HMGET .*:x2/, delay => 0.3 });
    $t->mark;
    my @c = (ask('x2'), ask('x2'), ask('x2'));
    in_order 'joined', 'lookup \w+ joined', 'lookup \w+ joined';
    my $lookup = lookup('x2');
    undef $c[2];
    is answer($_), "$ALLOW MISS", 'answered' for @c[0, 1];
    in_order 'sent once', "lookup $lookup sent", "lookup $lookup has a waiter less",
        "lookup $lookup answered";
    is scalar($t->new_lines(qr/lookup \w+ sent/)), 1, '... and not again';
    $fake->rules;
};


subtest 'an answer that is late' => sub {
    like outcome('x3', '/short'), qr/^$ALLOW/, 'known';
    my $known = time;
    ok wait_for(sub { time > $known + 1 }), 'its time is over';
    $fake->rules({ match => qr/^HMGET \S*grants:/, delay => 0.5 });
    $t->mark;
    my $c = ask('x4', '/short');
    in_order 'asked', 'lookup \w+ sent';
    my $asked = time;
    ok wait_for(sub { time > $asked + 0.1 }), '... a while ago';
    is outcome('x3', '/short'), "$ALLOW STALE", 'known: it does not wait';
    in_order 'slow', 'Redis is slow, no answer for \d+ ms';
    like answer($c), qr/^$ALLOW/, 'the other one does';
    $fake->rules;
    ok $t->settled, 'over';
};


subtest 'a change' => sub {
    is outcome('x3'), "$ALLOW HIT", 'known';
    $t->mark;
    ok $t->revoke('x3'), 'revoked';
    in_order 'pushed', 'changed, app "x3", gateway "smoke"';
    in_order 'asked for again', 'lookup \w+, app "x3"', 'lookup \w+ cached',
        'revalidated 0 entries';
};


subtest 'an access' => sub {
    $t->mark;
    like outcome('x4'), qr/^$ALLOW/, 'allowed';
    in_order 'sent and acknowledged', 'flush sends 1 accesses',
        'flush ends, rc:0, 1 of 1 accesses acknowledged';
};


subtest 'the table is emptied' => sub {
    $t->mark;
    $redis->cmd('FLUSHALL');
    in_order 'found so', 'table state: all was pushed',
        'table state: not loaded, was loaded';
    $redis->load->allow('x1');
    in_order 'loaded', 'table state: loaded, was not loaded';
};


subtest 'the link that pushes is lost' => sub {
    ok $t->settled, 'ready';
    $t->mark;
    $redis->kill_listeners;
    in_order 'a gap', 'gap:1, active:0', 'gap:0, active:1',
        'table state: a gap', 'table state: "meta" was pushed';
};


subtest 'Redis is gone while it is asked' => sub {
    $fake->rules({ match => qr/^HMGET .*:y/, hang => 1 });
    $t->mark;
    my $c = ask('y');
    in_order 'asked', 'lookup \w+, app "y"', 'lookup \w+ sent';
    my $lookup = lookup('y');
    $fake->refuse(1);
    is answer($c), $UNKNOWN, 'unavailable';
    in_order 'lost', "lookup $lookup answered, rc:-1";
    $fake->refuse(0);
};

$t->stop;
done_testing;

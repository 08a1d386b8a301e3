#!/usr/bin/perl

# Redis is back, but still reads its data in, which takes minutes where there
# is much of it.  It answers LOADING meanwhile, and in the end tells who tracks
# changes already that each key it came upon has changed: calls of those would
# be unavailable until the link is up, had anybody listened.

use Perm::Test;

my %nginx = (workers => 2, server => <<'EOT');
        %%DECISION%%
        app_permission_cache_valid 1s denied=1s;
        app_permission required;
        location = /a { empty_gif; }
EOT

my $APPS = 30;
my $t = Perm::Test->new;
my $redis = $t->redis(conf => ['appendonly yes'])->load;

# Redis looks after its clients once in 1,024 commands that it reads in: it has
# some before the grants and after them

sub filler { $redis->{client}->pipeline(map { ['SET', "f:$_", 1] } 1 .. 15_000) }

filler();
$redis->allow(map { "app-$_" } 1 .. $APPS);
filler();

$t->nginx(%nginx);
my @apps = map { "app-$_" } 1 .. $APPS;
my ($load, $received);

subtest 'down' => sub {
    ok $t->settled, 'ready';
    is outcome($_), "$ALLOW MISS", $_ for @apps;

    $redis->stop;    # writes all it has
    push @{$redis->{conf}}, 'key-load-delay 50';
    $received = $t->received;
    $load = $t->load(\@apps, connections => 8, rate => 500);
    ok $load->more(500), 'requests, without Redis';
};

my $begun = time;
$redis->run;

subtest 'Redis reads its data in' => sub {
    ok wait_for(sub { eval { $redis->cmd('PING') }; $@ =~ /^LOADING/ }),
        'it does';
    ok $t->wait_log(qr/LOADING/), 'the log tells';
    ok !$t->status->{redis}{up}, 'it counts as down';
    ok !$t->status->{invalidation}{active}, '... and as not pushing changes';
    is outcome('nobody'), $UNKNOWN, 'unknown: unavailable';
};

subtest 'it has read them' => sub {
    ok wait_for(sub { eval { $redis->cmd('PING') eq 'PONG' } }, 30), 'ready';
    my $loaded = time;
    cmp_ok $loaded - $begun, '>', 2, '... after a while';
    ok wait_for(sub { outcome('nobody') =~ /^403/ }) && $t->up, 'normal again';
    cmp_ok time - $loaded, '<', 2, '... soon';
};

subtest 'what the requests got meanwhile' => sub {
    $load->more(500);
    my $seen = $load->stop;
    is_deeply [grep { !/^200/ } keys %{$seen->{outcome}}], [],
        "none of $seen->{n} failed";
    is $seen->{lost}, 0, 'none was lost';
    cmp_ok $seen->{outcome}{"$ALLOW STALE"} // 0, '>', 1000,
        'most by a stale grant';
    is $t->received, $received, 'nothing that was read in counts as changed';

    is scalar($t->log_lines(qr/\[(?:error|warn)\].*LOADING/)), 1,
        'one line for all workers';
};

subtest 'changes are pushed' => sub {
    $redis->forbid('app-1');
    becomes('app-1', '403', 'a revocation', undef, 0.5);
};

done_testing;

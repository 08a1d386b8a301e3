#!/usr/bin/perl

# Redis is back, but still reads its data in, which takes minutes where there
# is much of it.  It answers LOADING meanwhile, and in the end tells who tracks
# changes already that each key it came upon has changed: calls of those would
# be unavailable until the link is up, had anybody listened.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use Perm::Load;
use Perm::Test;

my %nginx = (workers => 2, server => <<'EOT');
        add_header X-Decision
 "$app_permission_decision/$app_permission_reason $app_permission_cache" always;
        app_permission_cache_valid 1s denied=1s;
        app_permission required;
        location = /a { empty_gif; }
EOT

my $APPS = 30;
my $t = Perm::Test->new;
my $redis = $t->redis(conf => ['appendonly yes'])->load;

sub outcome {
    my ($app) = @_;
    my $r = $t->get('/a', app => $app);
    return "$r->{status} " . ($r->{headers}{'x-decision'} // '');
}

# Redis looks after its clients once in 1,024 commands that it reads in: it has
# some before the grants and after them

sub filler { $redis->{client}->pipeline(map { ['SET', "f:$_", 1] } 1 .. 15_000) }

filler();
$redis->grant('smoke', 'get_user', "app-$_", time + 3600) for 1 .. $APPS;
filler();

$t->nginx(%nginx);
ok $t->settled, 'ready';
my @apps = map { "app-$_" } 1 .. $APPS;
is outcome($_), '200 allow/resource_grant MISS', $_ for @apps;

$redis->stop;    # writes all it has
push @{$redis->{conf}}, 'key-load-delay 50';

my $received = $t->status->{invalidation}{received};
my $load = Perm::Load->start($t, uri => '/a', apps => \@apps,
                             connections => 8, rate => 500);
ok wait_for(sub { $load->n > 500 }), 'requests, without Redis';

my $begun = time;
$redis->run;
ok wait_for(sub { eval { $redis->cmd('PING') }; $@ =~ /^LOADING/ }),
    'Redis reads its data in';
ok $t->wait_log(qr/LOADING/), 'the log tells';
ok !$t->status->{redis}{up}, 'it counts as down';
ok !$t->status->{invalidation}{active}, '... and as not pushing changes';

is outcome('nobody'), '503 fail/unavailable MISS', 'unknown: unavailable';

ok wait_for(sub { eval { $redis->cmd('PING') eq 'PONG' } }, 30), 'it is there';
my $loaded = time;
cmp_ok $loaded - $begun, '>', 2, '... after a while';

ok wait_for(sub { outcome('nobody') =~ /^403/
                  && $t->status->{invalidation}{active} }), 'normal again';
cmp_ok time - $loaded, '<', 2, '... soon';

my $n = $load->n + 500;
wait_for(sub { $load->n > $n });
my $seen = $load->stop;

is_deeply [grep { !/^200/ } keys %{$seen->{outcome}}], [],
    "none of $seen->{n} failed" or diag explain $seen->{outcome};
is $seen->{lost}, 0, 'none was lost';
cmp_ok $seen->{outcome}{'200 allow/resource_grant STALE'} // 0, '>', 1000,
    'most by a stale grant';
is $t->status->{invalidation}{received}, $received,
    'nothing that was read in counts as changed';
is scalar($t->log_lines(qr/\[(?:error|warn)\].*LOADING/)), 2,
    'one line a worker';

$redis->revoke('smoke', 'get_user', 'app-1');
ok wait_for(sub { outcome('app-1') =~ /^403/ }, 0.5), 'changes are pushed';

$t->done;

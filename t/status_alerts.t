#!/usr/bin/perl

# The alert rules and the dashboard of conf.d: valid, of metrics and labels
# that exist; and alerts that fire when they should.

use Perm::Test;

plan skip_all => 'no promtool'
    unless grep { -x "$_/promtool" } split /:/, $ENV{PATH};

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $promtool = grep { -x "$_/promtool" } split /:/, $ENV{PATH};
my $conf = "$Perm::Test::ROOT/conf.d";
my $rules = "$conf/prometheus/app-permission.rules.yml";

$redis->grant('smoke', 'get_user', 'demo', 4102444800)
      ->grant('smoke', 'get_user', 'late', int(time) - 10);
$t->nginx(server => 'location / { app_permission required;'
                    . ' proxy_pass %%BACKEND%%; }');
$t->up;

sub problem {
    my ($name, $s) = @_;
    my ($found) = grep { $_->{name} eq $name } @{($s // $t->status)->{problems}};
    return $found;
}

sub refuse {
    my ($n, @app) = @_;
    is scalar(grep { $t->get('/', @app)->{status} != 200 } 1 .. $n), $n,
        "$n calls that are refused";
}

# the share of the last minute, by the reason that most of them have

sub says {
    my ($reason, $advice) = @_;
    my $p;
    ok wait_for(sub {
        $p = problem('refusals_many');
        return $p && $p->{text} =~ /: most of them with \Q$reason\E$/;
    }, 15), "most have $reason" or diag explain $p, $t->status->{problems};
    like $p->{advice}, $advice, '... and what to do';
}

subtest 'many refusals' => sub {
    $redis->cmd('DEL', 'app_permission:meta');
    ok wait_for(sub {
        $t->get('/', app => 'unknown')->{status} == 503;
    }), 'the table is lost';
    refuse(150, app => 'unknown');
    ok wait_for(sub { problem('failing') }, 15), 'calls fail';
    my $s = $t->status;
    ok problem('table_not_loaded', $s), '... as the table is not loaded';
    is problem('refusals_many', $s), undef, '... which is no refusal';

    $redis->load;
    ok wait_for(sub { outcome('nobody') =~ /^403/ }), 'loaded again';
    $s = $t->status;
    ok problem('failing', $s), 'right after it calls that failed are told';
    is problem('refusals_many', $s), undef, '... and are still no refusal';

    refuse(100);
    says('no_app', qr/without an app code/);
    refuse(200, app => 'not an app');
    says('invalid_app', qr/not a valid name/);
    refuse(300, app => 'late');
    says('resource_grant_expired', qr/app-permission renew has run/);
    refuse(400, app => 'nobody');
    says('no_grant', qr/another or an emptied table/);

    $redis->cmd('DEL', 'app_permission:meta');
    ok wait_for(sub {
        $t->get('/', app => 'unknown')->{status} == 503;
    }), 'the table is lost again';
    ok wait_for(sub { problem('table_not_loaded', $s = $t->status) }), 'said';
    is problem('refusals_many', $s), undef, '... in place of refusals';
    $redis->load;
    ok wait_for(sub { problem('refusals_many') }), 'they are back with it';

    $redis->cmd('ACL', 'SETUSER', 'default', '-hmget');
    my $n;
    ok wait_for(sub {
        $t->get('/', app => 'new' . ++$n);
        problem('lookups_refused', $s = $t->status);
    }), 'lookups are refused';
    is problem('refusals_many', $s), undef, '... in place of refusals';
    $redis->cmd('ACL', 'SETUSER', 'default', '+hmget');
};


subtest 'promtool' => sub {
    plan skip_all => 'no promtool' unless $promtool;

    my $said = qx(promtool check rules $rules 2>&1);
    is $?, 0, 'accepts the rules' or diag $said;
};


# what there is to ask for

outcome('nobody');

my $text = $t->get('/status?format=prometheus')->{body};
my %metrics = map { $_ => 1 } $text =~ /^(app_permission_\w+)/mg;
my %labels = map { $_ => 1 } qw(instance job le), $text =~ /[{,](\w+)="/g;

sub known {
    my ($what, $text) = @_;
    my @missing = grep { !$metrics{$_} }
        $text =~ /\b(app_permission_\w+?)(?=[{\[\s,)]|$)/g;
    is_deeply \@missing, [], "$what asks for metrics that exist";
}

subtest 'the rules' => sub {
    my @expr = slurp($rules) =~ /expr: (?:>-\n)?((?:.+\n)(?:          .+\n)*)/g;
    cmp_ok scalar @expr, '>=', 8, 'rules';
    known('a rule', $_) for @expr;
};

subtest 'the dashboard' => sub {
    my $board = json(slurp("$conf/grafana/app-permission.json"));
    my (%ids, %place);
    for my $panel (@{$board->{panels}}) {
        $ids{$panel->{id}} = 1;
        my $g = $panel->{gridPos};
        for my $x ($g->{x} .. $g->{x} + $g->{w} - 1) {
            $place{"$x $_"}++ for $g->{y} .. $g->{y} + $g->{h} - 1;
        }
        my @expr = map { $_->{expr} } @{$panel->{targets}};
        known("panel \"$panel->{title}\"", $_) for @expr;
        ok $labels{$_}, "... by a label that exists: $_"
            for map { /[{,](\w+)(?==~?"|!=")/g } @expr;
    }
    is scalar keys %ids, @{$board->{panels}}, 'panels have an id each';
    is_deeply [grep { $place{$_} > 1 } keys %place], [], '... and a place each';
    ok !(grep { /^(\d+)/ && $1 > 23 } keys %place), '... within the width';
};


sub fires {
    my ($alert, $at, @series) = @_;
    my $input = join "\n", map {
        "  - series: '$_->[0]'\n    values: '$_->[1]'"
    } @series;

    # "none" is expected: when promtool got one, it says so
    spew($t->dir . '/test.yml', <<"EOT");
rule_files: [$rules]
evaluation_interval: 30s
tests:
- interval: 30s
  input_series:
$input
  alert_rule_test:
  - eval_time: $at
    alertname: $alert
    exp_alerts: []
EOT
    my $said = qx(promtool test rules @{[$t->dir]}/test.yml 2>&1);
    return $said =~ /got:\[\s*(?:\d+:)?\s*Labels:/ ? 1 : 0;
}

my $i = 'instance="g", job="j"';

my @cases = (
    ['Redis down', 'RedisDown', 1, '5m',
     ["app_permission_redis_up{$i}", '1 1 0x20']],
    ['Redis up', 'RedisDown', 0, '5m', ["app_permission_redis_up{$i}", '1x20']],
    ['Redis down for a moment', 'RedisDown', 0, '5m',
     ["app_permission_redis_up{$i}", '1 0 1x20']],
    ['a replica', 'RedisReplica', 1, '5m',
     ["app_permission_redis_replica{$i}", '1x20']],
    ['a master', 'RedisReplica', 0, '5m',
     ["app_permission_redis_replica{$i}", '0x20']],
    ['table not loaded', 'TableNotLoaded', 1, '5m',
     ["app_permission_table_loaded{$i}", '0x20']],
    ['table not asked for', 'TableNotLoaded', 0, '5m',
     ["app_permission_redis_up{$i}", '1x20']],
    ['not pushed', 'InvalidationInactive', 1, '10m',
     ["app_permission_invalidation_active{$i}", '0x40'],
     ["app_permission_redis_up{$i}", '1x40']],
    ['not pushed as Redis is down', 'InvalidationInactive', 0, '10m',
     ["app_permission_invalidation_active{$i}", '0x40'],
     ["app_permission_redis_up{$i}", '0x40']],
    ['accesses pending long', 'AccessPendingLong', 1, '20m',
     ["app_permission_access_oldest_pending_seconds{$i}", '0+30x60']],
    ['accesses pending', 'AccessPendingLong', 0, '20m',
     ["app_permission_access_oldest_pending_seconds{$i}", '5x60']],
    ['accesses dropped', 'AccessDropped', 1, '5m',
     ["app_permission_access_dropped_total{$i}", '0 0 3x20']],
    ['accesses were dropped once', 'AccessDropped', 0, '40m',
     ["app_permission_access_dropped_total{$i}", '0 0 3x100']],
    ['refusals jump', 'RefusalsJump', 1, '80m',
     ["app_permission_requests_total{$i,decision=\"deny\",reason=\"no_grant\"}",
      '0+30x140 4230+600x40']],
    ['refusals as ever', 'RefusalsJump', 0, '80m',
     ["app_permission_requests_total{$i,decision=\"deny\",reason=\"no_grant\"}",
      '0+300x200']],
    ['unreadable', 'UnreadableGrants', 1, '5m',
     ["app_permission_unreadable_grants_total{$i}", '0 0 1x20']],
    ['checks fail', 'ChecksFail', 1, '10m',
     ["app_permission_requests_total{$i,decision=\"fail\",reason=\"unavailable\"}",
      '0+3x40']],
    ['checks failed once', 'ChecksFail', 0, '40m',
     ["app_permission_requests_total{$i,decision=\"fail\",reason=\"unavailable\"}",
      '0 5x100']],
);

subtest 'what fires, and what does not' => sub {
    plan skip_all => 'no promtool' unless $promtool;
    for (@cases) {
        my ($name, $alert, $expected, $at, @series) = @$_;
        is fires("AppPermission$alert", $at, @series), $expected,
            "$name: " . ($expected ? 'fires' : 'is quiet');
    }
};

done_testing;

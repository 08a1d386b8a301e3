#!/usr/bin/perl

# What a released version left behind serves this one: t/upgrade/VERSION.json
# has its table, t/upgrade/VERSION.state its state file.
#
# UPGRADE_KEEP=DIR writes both into DIR, with the module and the command line
# in $BUILD: to be done with each release.  UPGRADE_FROM=FILE is the module of
# such a version, to begin the binary upgrade with.

use Perm::Test;

use MIME::Base64 qw(encode_base64 decode_base64);

my $DISTANT = 4070908800;   # 2099: an end, and not permanent
my $DAY = 86400;

my %TYPE = (hash => [qw(HGETALL HSET)], zset => [qw(ZRANGE ZADD)],
            stream => [qw(XRANGE XADD)]);

# what is older than a day is used all the same: the files are of years ago

my %nginx = (workers => 2, server => <<'SERVER', http => <<'HTTP');
        %%DECISION%%
        keepalive_timeout 0;
        app_permission required;
        location = /a { empty_gif; }
        location = /b { app_permission_resource b; empty_gif; }
SERVER
        app_permission_zone 2m state=%%DIR%%/state;
        app_permission_cache_stale 36500d;
        app_permission_flush 1h;
HTTP

# the answers while Redis is down, as [app, location, answer]

my @KNOWN = (
    ['gateway', '/a', '200 allow/gateway_grant STALE'],
    ['gateway', '/b', '200 allow/gateway_grant STALE'],
    ['resource', '/a', '200 allow/resource_grant STALE'],
    ['permanent', '/a', '200 allow/resource_grant STALE'],
    ['by-hand', '/a', '200 allow/resource_grant STALE'],
    ['long/' . 'x' x 123, '/a', '200 allow/resource_grant STALE'],
    ['bounded', '/a', '200 allow/resource_grant STALE'],
    ['ended', '/a', '403 deny/resource_grant_expired STALE'],
    ['unknown', '/a', '503 fail/unavailable MISS'],
);


# ---- to keep what this version leaves

sub fill {
    my ($t) = @_;
    my $redis = $t->redis;
    my $now = int time;

    $t->cli_is(0, 'import', 'import', { stdin => <<"EOT" });
{"gateway":"smoke","app":"gateway","expires":$DISTANT,"type":"initialize"}
{"gateway":"smoke","resource":"get_user","app":"permanent","expires":4102444800}
EOT
    my @grant = ('grant', '--gateway', 'smoke', '--resource', 'get_user');
    $t->cli_is(0, "grant $_", @grant, '--app', $_, '--expires', $DISTANT)
        for 'resource', $KNOWN[5][0];
    $redis->at($redis->key('grants', 'by-hand'), 'HSET', 'get_user', $DISTANT);
    $redis->grant('smoke', 'get_user', 'bounded', $DISTANT);
    $redis->at($redis->key('grants', 'bounded'), 'EXPIREAT', $DISTANT + 1);
    $redis->grant('smoke', 'get_user', 'ended', $now + 3);
    $redis->grant('smoke', 'get_user', 'kept',
                  qq({"expires":$DISTANT,"x":{"a":[1,null]}}));
    $redis->grant('smoke', 'get_user', 'used', $now + 9 * $DAY);
    $redis->used('smoke', 'get_user', 'used', $now - 9);
    $t->cli_is(0, 'renew', 'renew');
}

# where this version has them

sub fill_requests {
    my ($t) = @_;
    my @on = ('--gateway', 'smoke', '--app');

    $t->cli('apply', @on, 'asks', '--resource', $_, '--reason', 'why')
        for qw(get_user b);
    $t->cli('approve', @on, 'asks', '--resource', 'b', '--by', 'owner');
    $t->cli('grant', @on, 'told', '--days', '3');
    $t->cli('expiring', '--notify', 'cat');
}

sub keep {
    my ($dir) = @_;
    my $t = Perm::Test->new;
    my $redis = $t->redis;

    fill($t);
    fill_requests($t);
    $t->nginx(%nginx);
    $t->settled;
    outcome(@$_[0, 1]) for @KNOWN[0 .. $#KNOWN - 1];
    my %kept = (version => ($t->cli('--version'))[1] =~ s/.* |\s+\z//gr);

    for my $key (sort @{$redis->cmd('KEYS', '*')}) {
        my $type = $redis->cmd('TYPE', $key);
        my @bounds = ([], ['0', '-1', 'WITHSCORES'], ['-', '+'])
            [$type eq 'zset' ? 1 : $type eq 'stream' ? 2 : 0]->@*;
        $kept{table}{$key} = [$type,
                              $redis->cmd($TYPE{$type}[0], $key, @bounds)];
    }

    $redis->stop;
    $t->down;
    wait_until(time + 3);                 # "ended" has
    outcome(@$_[0, 1]) for @KNOWN;
    $kept{last} = int time;
    $t->{nginx}->quit;

    spew("$dir/$kept{version}.json",
         JSON::PP->new->canonical->pretty->indent_length(1)->encode(\%kept));
    spew("$dir/$kept{version}.state", slurp($t->dir . '/state'));
}

if ($ENV{UPGRADE_KEEP}) {
    subtest 'kept' => sub { keep($ENV{UPGRADE_KEEP}); pass $ENV{UPGRADE_KEEP} };
    done_testing;
    exit;
}


# ---- what was kept

sub fill_from {
    my ($redis, $table) = @_;

    for my $key (sort keys %$table) {
        my ($type, $v) = @{$table->{$key}};
        my @pairs = $type eq 'zset' ? reverse @$v : @$v;
        $type eq 'stream'
            ? $redis->cmd('XADD', $key, $_->[0], @{$_->[1]})
            : $redis->cmd($TYPE{$type}[1], $key, @pairs) for
                $type eq 'stream' ? @$v : 1;
    }
}

# a number alone means the same as an object with that end

sub ends {
    my $value = json($_[0]);
    return ref $value ? $value : { expires => $value };
}

for my $file (sort glob "$Perm::Test::ROOT/t/upgrade/*.json") {
    my $kept = json(slurp($file));
    my $version = $kept->{version};
    my $t = Perm::Test->new;
    my $redis = $t->redis;
    my @on = ('--gateway', 'smoke');

    # 1.0 did not know of a key's time to live

    my @known = grep { $_->[0] ne 'bounded' || $version ne '1.0.0' } @KNOWN;
    my @used = grep { $_->[2] =~ /^200/ } @known;

    subtest "the table of $version" => sub {
        fill_from($redis, $kept->{table});
        my $values = sub { +{ map { my %v = @{$redis->cmd('HGETALL', $_)};
                                    ($_ => { map { ($_ => ends($v{$_})) }
                                             keys %v }) }
                              grep { /grants/ } @{$redis->cmd('KEYS', '*')} } };
        my $before = $values->();

        my ($out) = $t->cli_is(0, 'list', '--json', 'list');
        my %listed = map { $_->{app} => $_ } json_lines($out);
        is scalar(keys %listed),
            scalar(grep { /grants/ } keys %{$kept->{table}}), 'all listed';
        is $listed{resource}{expires}, $DISTANT, '... with the end';
        is $listed{used}{type}, 'auto_renew', '... and what renewed it';
        ok $listed{used}{last_access}, '... and the last access';

        ($out) = $t->cli_is(0, 'check', '--json', 'check', @on, '--resource',
                            'get_user', '--app', 'gateway');
        is json($out)->{reason}, 'gateway_grant', 'check decides by it';

        $t->cli_is(0, 'renew', 'renew');
        $t->cli_is(0, 'doctor', 'doctor');
        my $copy = $t->dir . '/copy';
        $t->cli_is(0, 'export', 'export', $copy);
        $t->cli_is(0, 'import of it', 'import', '--replace', $copy);
        is_deeply $values->(), $before, 'no value was changed on the way';

        return unless grep { /requests/ } keys %{$kept->{table}};

        ($out) = $t->cli_is(0, 'requests', '--json', 'requests', '--status',
                            'all');
        is join(' ', sort map { "$_->{resource}=$_->{status}" }
            json_lines($out)), 'b=approved get_user=pending', 'requests';
        ($out) = $t->cli_is(0, 'history', '--json', 'history', @on, '--app',
                            'asks');
        is join(' ', sort map { $_->{action} } json_lines($out)),
            'apply apply approve', 'history';
        $t->cli_is(0, 'approve', 'approve', @on, '--app', 'asks');
    };

    subtest "the state file of $version" => sub {
        $redis->stop;
        spew($t->dir . '/state', slurp($file =~ s/json$/state/r));
        $t->nginx(%nginx);

        is outcome(@$_[0, 1]), $_->[2], "$_->[0] at $_->[1], Redis is down"
            for @known;
        is $t->status->{access}{pending}, @used + 1,
            'accesses came back: also of the one that has ended since';

        $redis->run;
        $t->up;
        $t->{nginx}->quit;
        for (@used) {
            my $at = $redis->access('smoke', $_->[1] eq '/a' ? 'get_user' : 'b',
                                    $_->[0]);
            cmp_ok $at // 0, '>=', $kept->{last}, "$_->[0] at $_->[1]: written";
        }
        is $t->log_lines(qr/\.bad|another version/), 0, 'it is taken whole';
    };
}


# the pid of a master that runs in the background, once it has its workers

sub started {
    my ($nginx, $old, $start) = @_;

    $start->();
    wait_for(sub {
        $nginx->{pid} = -s $nginx->{pidfile} ? int slurp($nginx->{pidfile}) : 0;
        return $nginx->{pid} && $nginx->{pid} != $old
               && (() = $nginx->workers) == 2;
    }, 20);
    return $nginx->{pid};
}

sub quits {
    my ($pid) = @_;
    kill 'QUIT', $pid;
    return wait_for(sub { !kill 0, $pid }, 15);
}

# The zone of one nginx is not the other's: known calls and unwritten accesses
# go from the old to the new one through the state file and Redis.

subtest 'a new nginx takes over (USR2)' => sub {
    my $t = Perm::Test->new;
    my @apps = map { "app-$_" } 1 .. 50;
    my $redis = $t->redis->load->allow(@apps);

    # the file is replaced while nginx runs, as a package does it

    my $module = $Perm::Nginx::MODULE;
    plan skip_all => 'the module is in the binary' if $module eq '';
    local $Perm::Nginx::MODULE = $t->dir . '/module.so';
    my $install = sub { spew($t->dir . '/new.so', slurp($_[0]));
                        rename $t->dir . '/new.so', $t->dir . '/module.so'; };
    $install->($ENV{UPGRADE_FROM} // $module);

    # with "daemon off" nginx would ignore the signal

    my $nginx = $t->config(%nginx)->{nginx};
    my $old = started($nginx, 0, sub { system $nginx->command });
    ok $old && $t->settled, 'the old one runs';
    my $load = Perm::Load->start($t, uri => '/a', apps => \@apps, rate => 300);
    ok $load->more(100), 'is called';

    $install->($module);
    my $new = started($nginx, $old, sub { kill 'USR2', $old });
    ok $new, 'the new one runs';
    ok $load->more(100), 'both are called';

    ok quits($old), 'the old one quits';
    ok $load->more(300), 'the new one is called';
    my $seen = $load->stop;
    is $seen->{lost}, 0, 'no connection was lost';
    is_deeply [grep { !/^200 allow\/resource_grant/ } keys %{$seen->{outcome}}],
        [], 'no call failed';

    ok quits($new), 'the new one quits';
    my $last = $redis->accesses(@apps);
    is_deeply [grep { ($last->{$_} // 0) < int $seen->{newest}{$_} } @apps],
        [], 'no access was lost';
    ok -s $t->dir . '/state', 'and the state was written';
    is_deeply [$nginx->alerts], [], 'no alerts';
};


done_testing;

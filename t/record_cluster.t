#!/usr/bin/perl

# A master of the cluster is gone for good: what the others are to be told
# does not wait for it.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use Perm::Cluster;
use Perm::Test;

my @apps = map { "app-$_" } 1 .. 60;
my $key = sub { "app_permission:$_[0]:{smoke:$_[1]}" };

my $t = Perm::Test->new;
my $c = Perm::Cluster->start(dir => "$t->{dir}/c",
    conf => ['cluster-require-full-coverage no']);

$c->cmd('app_permission:meta', 'HSET', 'schema', '1');
$c->each(map { [$key->('grants', $_), 'HSET', 'get_user', int(time) + 3600] }
             @apps);

my $meta = $c->owner('app_permission:meta');
my ($gone) = grep { $_ != $meta } $c->masters;
my @owners = $c->owners(map { $key->('access', $_) } @apps);
my @served = grep { $owners[$_] != $gone } 0 .. $#apps;

$t->nginx(setup => '', http => 'app_permission_flush 1s;
    app_permission_redis ' . $c->url . ';', server => <<'EOT');
        app_permission_app $http_x_app;
        app_permission_gateway smoke;
        app_permission_resource get_user;
        app_permission_cache_valid 1h;
        location = /a { app_permission required; empty_gif; }
EOT

sub allowed { scalar grep { $t->get('/a', app => $_)->{status} == 200 } @apps }

sub written {
    my ($since) = @_;
    return scalar grep {
        ($owners[$_]->cmd('ZSCORE', $key->('access', $apps[$_]), 'get_user')
            // 0) >= $since
    } @served;
}

ok wait_for(sub { $t->status->{invalidation}{active} }), 'ready';
ok wait_for(sub { allowed() == @apps }), 'all are known';

$gone->stop;
ok wait_for(sub { $t->log_lines(qr/Connection refused/) }), 'a master is gone';

my $since = int(time) + 1;
ok wait_for(sub { time > $since }), 'later';
is allowed(), @apps, 'they still are';
ok wait_for(sub { written($since) == @served }, 6),
    'what the other masters have to be told is written'
    or diag written($since) . ' of ' . @served;

$t->done;

#!/usr/bin/perl

# The zone as it is by default has room for names as they are: 5,000 calls with
# 80 bytes of gateway, resource and app.  No access of theirs is dropped, and
# all are known once Redis is gone.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use Perm::Load;
use Perm::Test;

my $gateway = 'bk-monitor-production';
my $resource = 'search_application_service_instance_logs';
my @apps = map { sprintf 'bk-saas-team-%06d', $_ } 1 .. 5000;

is length("$gateway$resource$apps[0]"), 80, 'names of 80 bytes';

my $t = Perm::Test->new;
my $redis = $t->redis(conf => ['appendonly yes'])->load;

$redis->{client}->pipeline(map { ['HSET',
    "app_permission:grants:{$gateway:$_}", $resource, int(time) + 3600] }
    @apps);

$t->nginx(workers => 2, server => <<"EOT");
        add_header X-Decision
 "\$app_permission_decision/\$app_permission_reason" always;

        app_permission required;
        app_permission_gateway $gateway;
        app_permission_resource $resource;
        location = /a { access_log off; empty_gif; }
EOT
ok $t->settled, 'changes are pushed';


sub each_once {
    my ($what) = @_;
    my $seen = Perm::Load->start($t, uri => '/a', apps => \@apps, pass => 1,
                                 rate => 4000, connections => 8)->wait;
    is_deeply $seen->{outcome}, {'200 allow/resource_grant' => scalar @apps},
        "$what: all are allowed" or diag explain $seen->{outcome};
}

each_once('with Redis');

my $s = $t->status;
is $s->{cache}{entries}, @apps, '... and known';
is $s->{cache}{evicted}, 0, '... none made room';

$redis->stop;
my $stopped = int time + 1;
wait_for(sub { time >= $stopped });
each_once('without it');

$s = $t->status;
is $s->{access}{pending}, @apps, 'all accesses are pending';
is $s->{access}{dropped}, 0, '... none was dropped';
is $s->{cache}{entries}, @apps, 'no call is known twice';

$redis->run;
ok wait_for(sub { $t->status->{access}{pending} == 0 }, 15), 'Redis is back';

my @scores = $redis->connect->pipeline(map { ['ZSCORE',
    "app_permission:access:{$gateway:$_}", $resource] } @apps);
is scalar(grep { defined && $_ >= $stopped } @scores), @apps,
    'and has the newest access of each';
is $t->status->{access}{dropped}, 0, 'none was dropped';

$t->done;

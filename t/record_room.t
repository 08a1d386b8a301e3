#!/usr/bin/perl

# The zone as it is by default has room for names as they are: 5,000 calls with
# 80 bytes of gateway, resource and app.  No access of theirs is dropped, and
# all are known once Redis is gone.

use Perm::Test;

my $gateway = 'bk-monitor-production';
my $resource = 'search_application_service_instance_logs';
my @apps = map { sprintf 'bk-saas-team-%06d', $_ } 1 .. 5000;

is length("$gateway$resource$apps[0]"), 80, 'names of 80 bytes';

my $t = Perm::Test->new;
my $redis = $t->redis(conf => ['appendonly yes'])->load;

$redis->each(map { [key('grants', $_, $gateway), 'HSET', $resource,
                    int(time) + 3600] } @apps);

$t->nginx(workers => 2, server => <<"EOT");
        add_header X-Decision
            \$app_permission_decision/\$app_permission_reason always;
        app_permission required;
        app_permission_gateway $gateway;
        app_permission_resource $resource;
        location = /a { access_log off; empty_gif; }
EOT
my $stopped;

subtest 'with Redis' => sub {
    ok $t->settled, 'changes are pushed';
    $t->all_are(\@apps, $ALLOW, 'all are allowed');
    my $s = $t->status;
    is $s->{cache}{entries}, @apps, '... and known';
    is $s->{cache}{evicted}, 0, '... none made room';
};

subtest 'without it' => sub {
    $redis->stop;
    $stopped = int time + 1;
    wait_until($stopped);
    $t->all_are(\@apps, $ALLOW, 'all are allowed');
    my $s = $t->status;
    is $s->{access}{pending}, @apps, 'all accesses are pending';
    is $s->{access}{dropped}, 0, '... none was dropped';
    is $s->{cache}{entries}, @apps, 'no call is known twice';
};

subtest 'Redis is back' => sub {
    $redis->run;
    ok $t->flushed, 'all are written';
    my @second = $redis->each(map { [key('access', $_, $gateway), 'ZSCORE',
                                     $resource] } @apps);
    is scalar(grep { defined && $_ >= $stopped } @second), @apps,
        'it has the newest access of each';
    is $t->status->{access}{dropped}, 0, 'none was dropped';
};

done_testing;

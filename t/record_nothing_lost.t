#!/usr/bin/perl

# Nothing recorded is lost.  Under a load of known accesses Redis, workers and
# nginx come and go; afterwards Redis has exactly the newest second of each,
# as the access log tells it.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Perm::Load;
use Perm::Test;

my %nginx = (workers => 2, server => <<'EOT');
        add_header X-Decision
 "$app_permission_decision/$app_permission_reason" always;

        app_permission required;
        location = /a { access_log %%DIR%%/times.log times; empty_gif; }
EOT

my $HTTP = <<'EOT';
        log_format times '$msec $http_x_app $app_permission_decision';
        app_permission_zone 4m state=%%DIR%%/state;
        app_permission_cache_valid 1h;
EOT

my $ALLOW = '200 allow/resource_grant';
my @apps = map { "app-$_" } 1 .. 300;

# what is acknowledged is in its file: a Redis that is killed forgets nothing

my $t = Perm::Test->new;
my $redis = $t->redis(conf => ['appendonly yes'])->load;
$redis->{client}->pipeline(map { ['HSET',
    "app_permission:grants:{smoke:$_}", 'get_user', int(time) + 3600] } @apps);

$t->{nginx}->allow(qr/worker process \d+ exited on signal 9/);
$t->nginx(%nginx, http => "$HTTP app_permission_flush 1s;");


# app => newest second it was allowed in

sub logged {
    my %newest;
    for (split /\n/, slurp("$t->{dir}/times.log")) {
        my ($second, $app) = /^(\d+)\.\d+ (\S+) allow$/ or next;
        $newest{$app} = $second if $second > ($newest{$app} // 0);
    }
    return \%newest;
}


sub scores {
    return $redis->connect->pipeline(map { ['ZSCORE',
        "app_permission:access:{smoke:$_}", 'get_user'] } @apps);
}


# how many of them Redis has: where a busy machine kept the worker waiting that
# writes, another one takes over, and begins at once

sub written {
    my $newest = logged();
    my @replies = scores();
    return scalar grep { (shift @replies // 0) eq $newest->{$_} } @apps;
}


# A worker that was killed may have recorded one and not have logged it: a
# request of that app has no answer then, and is the newest one.

sub exactly {
    my ($seen) = @_;
    my $newest = logged();
    my @replies = scores();

    my @wrong;
    for my $app (@apps) {
        my $score = shift @replies;
        next if ($score // 0) eq ($newest->{$app} // 0);
        my $lost = $seen->{lost_app}{$app};
        next if $lost && defined $score && $score > ($newest->{$app} // 0)
            && $score >= int $lost && $score <= $lost + 1;
        push @wrong, "$app: " . ($score // 'none') . ', not '
            . ($newest->{$app} // 'none');
    }
    is join("\n", @wrong), '', 'exactly the newest seconds';
    cmp_ok scalar(keys %$newest), '>=', @apps, '... of all apps';
}

sub settled {
    return wait_for(sub { $t->status->{access}{pending} == 0 }, 15);
}

sub under_load {
    my ($what, $happens, %o) = @_;

    subtest $what => sub {
        my $load = Perm::Load->start($t, uri => '/a', apps => \@apps,
                                     connections => 8, rate => 1200);
        my $more = sub {
            my $n = $load->n + $_[0];
            ok wait_for(sub { $load->n > $n }, 20), 'requests go on';
        };
        $more->(400);
        $happens->($more);
        $more->(400);
        my $seen = $load->stop;

        is_deeply [keys %{$seen->{outcome}}], [$ALLOW], 'all were allowed'
            or diag explain $seen->{outcome};
        note "$seen->{n} requests, $seen->{lost} lost";
        cmp_ok $seen->{lost}, '<=', $o{lost} // 0, 'none without an answer';
        ok settled(), 'all is written';
        exactly($seen);
        is $t->status->{access}{dropped}, 0, 'none dropped';
    };
}


under_load('nothing happens', sub { });

under_load('Redis is away for a while', sub {
    my ($more) = @_;
    $redis->stop;
    $more->(3000);
    cmp_ok $t->status->{access}{pending}, '>=', @apps * 0.9, 'pending';
    $redis->run;
});

under_load('Redis is killed, again and again', sub {
    my ($more) = @_;
    for (1 .. 5) {
        $redis->kill;
        $more->(300);
        $redis->run;
        ok wait_for(sub { $t->status->{redis}{up} }, 3), 'up again';
        $more->(200 + int rand 500);
    }
});

under_load('Redis hangs', sub {
    my ($more) = @_;
    $redis->pause;
    $more->(2500);
    $redis->resume;
});

under_load('a worker is killed, again and again', sub {
    my ($more) = @_;
    for (1 .. 12) {
        my @workers = $t->{nginx}->workers;
        kill 'KILL', $workers[rand @workers];
        $more->(100 + int rand 200);
    }
}, lost => 12 * 8);

under_load('a worker is killed while Redis is away', sub {
    my ($more) = @_;
    $redis->kill;
    for (1 .. 4) {
        my @workers = $t->{nginx}->workers;
        kill 'KILL', $workers[rand @workers];
        $more->(300);
    }
    kill 'KILL', $t->{nginx}->workers;
    $more->(300);
    $redis->run;
}, lost => 6 * 8);


# A keep-alive connection that nginx closes may cross a request on its way:
# that one is not answered, by any nginx.

under_load('a reload every second', sub {
    my ($more) = @_;
    for (1 .. 5) {
        ok $t->reload(old => 1), 'reload';
        $more->(1000);
    }
}, lost => 5 * 8);

under_load('a reload while Redis is away', sub {
    my ($more) = @_;
    $redis->stop;
    $more->(500);
    ok $t->reload(old => 1), 'reload';
    $more->(500);
    $redis->run;
}, lost => 8);


# From here on nothing is written but at the end.

sub some {
    my ($n) = @_;
    my $seen = Perm::Load->start($t, uri => '/a', apps => \@apps, pass => $n,
                                 rate => 2000)->wait;
    is_deeply [keys %{$seen->{outcome}}], [$ALLOW], 'all were allowed'
        or diag explain $seen->{outcome};
    return $seen;
}

sub later {
    $t->config(%nginx, http => "$HTTP app_permission_flush 1h;");
    $t->{nginx}{pid} ? ok($t->reload, 'flush 1h') : $t->start;
    ok settled(), 'nothing pending';
    my $newest = time;
    wait_for(sub { int(time) > $newest });
}

subtest 'quit' => sub {
    later();
    my $seen = some(5);
    cmp_ok $t->status->{access}{pending}, '>', 0, 'pending';
    my $begun = time;
    is $t->{nginx}->quit, 0, 'nginx quits';
    cmp_ok time - $begun, '<', 3, '... soon';
    exactly($seen);
};

subtest 'fast shutdown' => sub {
    later();
    my $seen = some(3);
    is $t->{nginx}->quit('TERM'), 0, 'nginx stops';
    exactly($seen);
};

subtest 'reload' => sub {
    later();
    my $seen = some(3);
    ok $t->reload, 'reload';
    ok settled(), 'the old workers have written, or the new ones';
    exactly($seen);
};

subtest 'stop with Redis down, start with state=' => sub {
    later();
    my $seen = some(3);
    my $written = written();
    cmp_ok $written, '<', @apps, 'not written yet';
    $redis->stop;
    my $begun = time;
    is $t->{nginx}->quit, 0, 'nginx quits';
    cmp_ok time - $begun, '<', 5, '... soon enough';

    $t->start;
    cmp_ok $t->status->{access}{pending}, '>=', @apps - $written,
        'pending again';
    my $more = some(2);    # stale ones

    is $t->{nginx}->quit, 0, 'nginx quits once more';
    $t->start;
    $redis->run;
    ok settled(), 'Redis is back: all is written';
    exactly($more);
};

$t->done;

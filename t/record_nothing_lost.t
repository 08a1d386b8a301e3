#!/usr/bin/perl

# Nothing recorded is lost.  Under a load of known accesses Redis, workers and
# nginx come and go; afterwards Redis has exactly the newest second of each,
# as the access log tells it.

use Perm::Test;
use Perm::Watch;

my %nginx = (workers => 2, server => <<'EOT');
        %%DECISION%%
        app_permission required;
        location = /a { access_log %%DIR%%/times.log perm_times; empty_gif; }
EOT

my $HTTP = <<'EOT';
        app_permission_zone 4m state=%%DIR%%/state;
        app_permission_cache_valid 1h;
EOT

my @apps = map { "app-$_" } 1 .. 300;

# what is acknowledged is in its file: a Redis that is killed forgets nothing

my $t = Perm::Test->new(late => 1);
my $redis = $t->redis(conf => ['appendonly yes'])->load->allow(@apps);
my $w = Perm::Watch->new($t, apps => \@apps, redis => sub { $redis });

# a keep-alive connection that nginx closes, or a worker that is killed, may
# cross a request on its way; each connection of the load has one

my $CONNECTIONS = 6;

sub under_load {
    my ($what, $happens, $lost) = @_;
    $w->under_load($what, $happens, rate => 1200, worst => 15,
                   lost => ($lost // 0) * $CONNECTIONS);
}

$t->{nginx}->allow(qr/worker process \d+ exited on signal 9/);
$t->nginx(%nginx, http => "$HTTP app_permission_flush 1s;");


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
}, 12);

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
}, 6);


under_load('a reload every second', sub {
    my ($more) = @_;
    for (1 .. 5) {
        ok $t->reload(old => 1), 'reload';
        $more->(1000);
    }
}, 5);

under_load('a reload while Redis is away', sub {
    my ($more) = @_;
    $redis->stop;
    $more->(500);
    ok $t->reload(old => 1), 'reload';
    $more->(500);
    $redis->run;
}, 1);


# From here on nothing is written but at the end.

sub some {
    my ($n) = @_;
    my $seen = $t->load(\@apps, pass => $n, rate => 2000)->wait;
    is_deeply [grep { !/^\Q$ALLOW/ } keys %{$seen->{outcome}}], [],
        'all were allowed';
    return $seen;
}

sub later {
    ok $t->apply(%nginx, http => "$HTTP app_permission_flush 1h;"), 'flush 1h';
    ok $t->flushed, 'nothing pending';
    wait_until(int(time) + 1);
}

subtest 'quit' => sub {
    later();
    my $seen = some(5);
    cmp_ok $t->status->{access}{pending}, '>', 0, 'pending';
    my $begun = time;
    is $t->{nginx}->quit, 0, 'nginx quits';
    cmp_ok time - $begun, '<', 3, '... soon';
    $w->exactly($seen);
};

subtest 'fast shutdown' => sub {
    later();
    my $seen = some(3);
    is $t->{nginx}->quit('TERM'), 0, 'nginx stops';
    $w->exactly($seen);
};

subtest 'reload' => sub {
    later();
    my $seen = some(3);
    ok $t->reload, 'reload';
    ok $t->flushed, 'the old workers have written, or the new ones';
    $w->exactly($seen);
};

subtest 'stop with Redis down, start with state=' => sub {
    later();
    my $seen = some(3);

    # some are: where a busy machine kept the worker waiting that writes,
    # another one takes over, and begins at once

    my ($newest, $second) = ($w->logged, $redis->accesses(@apps));
    my $written = grep { ($second->{$_} // 0) eq $newest->{$_} } @apps;
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
    ok $t->flushed, 'Redis is back: all is written';
    $w->exactly($more);
};

done_testing;

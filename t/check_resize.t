#!/usr/bin/perl

# A reload with a zone of another size, when it matters: with Redis down.  What
# is known goes on deciding, what is pending is written later, and what was
# revoked stays so.

use Perm::Test;

my %nginx = (workers => 2, server => <<'EOT');
        %%DECISION%%
        app_permission_cache_valid 1h;
        app_permission required;
        location = /a { empty_gif; }
EOT


for my $state ('', ' state=%%DIR%%/state') {
    subtest $state ? 'with state=' : 'without state=' => sub {
        my $t = Perm::Test->new;
        my $redis = $t->redis->load;

        my $zone = sub { (%nginx, http => "app_permission_flush 1h;
                          app_permission_zone $_[0]$state;") };

        # the state of a run before: it knows what is revoked now

        if ($state) {
            $redis->allow('gone');
            $t->nginx($zone->('4m'));
            $t->settled;
            like outcome('gone'), qr/^$ALLOW/, 'a run before';
            is $t->{nginx}->quit, 0, '... which quits';
        }

        $redis->allow('demo', 'gone', 'twin', 'x' x 128);
        $redis->cmd('ACL', 'SETUSER', 'default', '-zadd');
        $state ? $t->start : $t->nginx($zone->('4m'));
        ok $t->settled, 'ready';
        my $begun = int time;
        for ('demo', 'gone', 'twin', 'x' x 128) {
            becomes($_, "$ALLOW HIT", "$_: known");
        }
        my $known = time;
        is outcome('nobody'), "$DENY MISS", 'nobody: denied';
        ok $t->revoke('gone'), 'gone: revoked';
        $redis->stop;
        ok $t->down, 'Redis is down';

        ok $t->config($zone->('8m'))->reload, 'a bigger zone';
        like $t->log, qr/3 grants and 4 accesses moved/, '... takes over';
        is outcome($_), "$ALLOW STALE", "$_: stale" for 'twin', 'x' x 128;
        unlike outcome('gone'), qr/^200/, 'gone: not allowed';
        is outcome('nobody'), $UNKNOWN, 'nobody: not known';

        ok $t->config($zone->('2m'))->reload, 'a smaller one';
        is outcome('twin'), "$ALLOW STALE", 'twin: stale';
        unlike outcome('gone'), qr/^200/, 'gone: not allowed';

        # with another worker number, which keeps the zone, it is the same one

        ok $t->config($zone->('2m'), workers => 1)->reload, 'the same size';
        is scalar($t->log_lines(qr/moved to the zone/)), 2, '... nothing moves';

        # how it was when nginx ended

        $redis->run;
        $redis->cmd('ACL', 'SETUSER', 'default', '+zadd');
        $redis->allow('demo', 'twin', 'x' x 128);
        $redis->load;
        ok $t->settled, 'Redis is back';
        is $t->{nginx}->quit, 0, 'quits';
        my $access = $redis->access('smoke', 'get_user', 'demo');
        ok $access && $access >= $begun && $access <= $known,
            'what was pending is written as it was' or diag $access // 'none';
        ok $redis->access('smoke', 'get_user', 'gone'),
            '... also of who was revoked later';
    };
}


# a call that limit_req delays, with the others of that key

sub slowly {
    my ($t, $app, $key) = @_;
    my $c = $t->connect;
    $c->send(Perm::Http->text('/a', app => $app,
                              headers => { 'X-Slow' => $key }));
    return $c;
}


# Workers of before record in the zone of before until they end, and cannot ask
# Redis then: here for calls that are delayed until the reload is over.

subtest 'recorded in former zones' => sub {
    my $t = Perm::Test->new;
    my $redis = $t->redis->load->allow('demo', 'twin');
    my $zone = sub { (http => "app_permission_flush 1h;
                      app_permission_zone $_[0];
                      limit_req_zone \$http_x_slow zone=slow:1m rate=40r/m;",
                      server => "limit_req zone=slow burst=9; $nginx{server}") };
    $t->nginx($zone->('4m'));
    ok $t->settled, 'ready';
    becomes($_, "$ALLOW HIT", "$_: known") for 'demo', 'twin';
    $redis->stop;
    ok $t->down, 'Redis is down';

    my %calls;
    for my $next (['demo', '8m'], ['twin', '2m']) {
        my ($app, $size) = @$next;
        is answer(slowly($t, $app, $app)), "$ALLOW STALE", "$app: at once";
        $calls{$app} = [time, slowly($t, $app, $app)];
        ok $t->config($zone->($size))->reload(old => 1), "a zone of $size";
    }
    is answer($calls{$_}[1]), "$ALLOW STALE", "$_: when that is over"
        for sort keys %calls;

    $redis->run->load->allow('demo', 'twin');
    ok $t->settled, 'Redis is back';
    is $t->{nginx}->quit, 0, 'quits';
    for my $app (sort keys %calls) {
        my $access = $redis->access('smoke', 'get_user', $app);
        cmp_ok $access // 0, '>', $calls{$app}[0], "$app: not lost";
    }
};


# The workers of the first zone go on recording, while a second reload moves
# what the workers of the second one have taken over by then.

subtest 'recorded while zones are replaced' => sub {
    my @apps = map { "app-$_" } 1 .. 30;
    my $t = Perm::Test->new;
    my $redis = $t->redis->load->allow(@apps);
    my $zone = sub { (http => "app_permission_flush 1h;
                      app_permission_zone $_[0];
                      limit_req_zone \$http_x_slow zone=slow:1m rate=20r/s;",
                      server => "limit_req zone=slow burst=99; $nginx{server}") };
    $t->nginx($zone->('4m'));
    ok $t->settled, 'ready';
    becomes($_, "$ALLOW HIT", "$_: known") for @apps;
    $redis->stop;
    ok $t->down, 'Redis is down';

    my @before = map { slowly($t, 'nobody', 1) } 1 .. 50;    # 2.5 s
    my @calls = map { slowly($t, $_, 1) } @apps;             # 1.5 s
    ok $t->config($zone->('8m'))->reload(old => 1), 'a bigger zone';
    $t->config($zone->('6m'));
    my %done;
    my $take = sub {
        is answer(shift @calls), "$ALLOW STALE", "$_[0]: allowed";
        $done{$_[0]} = int time;
    };
    $take->($_) for @apps[0 .. 4];
    wait_until(int(time) + 1);
    $t->{nginx}->signal('HUP');
    my $hup = int time;
    for my $app (@apps[5 .. $#apps]) {
        is answer(shift @calls), "$ALLOW STALE", "$app: allowed";
        $done{$app} = $hup - 1;
    }
    ok wait_for(sub { $t->{nginx}->workers(all => 1) == 1 }), 'all are gone';

    $redis->run->load->allow(@apps);
    ok $t->settled, 'Redis is back';
    is $t->{nginx}->quit, 0, 'quits';
    is join(' ', grep { ($redis->access('smoke', 'get_user', $_) // 0)
                        < $done{$_} - 1 } @apps), '', 'none is lost';
};


# Workers of before, with accesses of their own, learn of another Redis.

subtest 'another size, and another Redis' => sub {
    my $t = Perm::Test->new;
    my $redis = $t->redis->load->allow('demo');
    my $other = Perm::Redis->start(dir => $t->dir . '/other')->load
                                                           ->allow('demo');
    my %slow = (http => 'app_permission_flush 1s;
                         limit_req_zone $http_x_slow zone=slow:1m rate=30r/m;',
                server => "limit_req zone=slow burst=9; $nginx{server}");
    my $slowly = sub {
        my $c = $t->connect;
        $c->send(Perm::Http->text('/a', app => 'demo',
                                  headers => { 'X-Slow' => 1 }));
        return $c;
    };

    $t->nginx(%slow);
    ok $t->settled, 'ready';
    becomes('demo', "$ALLOW HIT", 'known');
    is answer($slowly->()), "$ALLOW HIT", 'at once';
    my $c = $slowly->();
    ok $t->config(%slow, redis => $other->tcp_url, http =>
                  "$slow{http} app_permission_zone 8m;")->reload(old => 1),
        'reloaded';
    like answer($c), qr/^$ALLOW/, 'a call of a worker of before';
    my $at = int time;
    ok wait_for(sub { ($other->access('smoke', 'get_user', 'demo') // 0)
                      >= $at - 1 }), 'its access is at the new one';
};


# a zone that is too small for all of it says so, and keeps what it can

subtest 'more than the new one has room for' => sub {
    my @apps = map { "app-$_" } 1 .. 4000;
    my $zone = sub { (%nginx, http => "app_permission_flush 1h;
                      app_permission_redis_timeout 5s;
                      app_permission_zone $_[0];") };
    my $t = Perm::Test->new;
    my $redis = $t->redis->load;
    $redis->allow(@apps);
    $redis->cmd('ACL', 'SETUSER', 'default', '-zadd');
    $t->nginx($zone->('8m'));
    ok $t->settled, 'ready';
    $t->all_are(\@apps, "$ALLOW MISS", 'all are known');
    my $s = $t->status;
    is $s->{access}{dropped}, 0, '... and recorded';
    ok !grep({ $_->{name} =~ /cache_full|access_dropped/ } @{$s->{problems}}),
        '... in time';

    $redis->stop;
    ok $t->down, 'Redis is down';
    ok $t->config($zone->('1m'))->reload, 'a small zone';
    $s = $t->status;
    my ($pending, $dropped) = @{$s->{access}}{qw(pending dropped)};
    is $pending + $dropped, 4000, "$pending kept, $dropped dropped";
    cmp_ok $dropped, '>', 500, '... for want of room';
    is scalar($t->log_lines(
        qr/\[warn\].*no room for $dropped pending accesses of before/)), 1,
        'which the log says';
    ok grep({ $_->{name} eq 'cache_full' } @{$s->{problems}}),
        'the status says that grants made room';
    like join("\n", $t->log_lines(qr/moved to the zone/)),
        qr/ $s->{cache}{entries} grants and $pending accesses moved/,
        'what moved is what is there';
};

done_testing;

#!/usr/bin/perl

# Reload under load: no request fails, the cache is kept.  Quit: nothing is
# left open.

use Perm::Test;
use Perm::Util qw(reap);


# A child that calls without a pause, half of it on kept connections, until
# there is a file that tells it to stop (a signal could break a call off); its
# exit status is 0 when every answer was the right one.

sub load {
    my ($t, $file) = @_;

    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;

    my ($calls, $wrong, $again, %kept) = (0, '', 0);
    open my $progress, '>', "$file.calls";

    until (-e "$file.end") {
        for my $app (qw(demo other open)) {
            my $uri = $app eq 'open' ? '/open' : '/required';
            my $status = $app eq 'other' ? 403 : 200;
            my $r;

            if ($calls++ % 2) {
                # the server may close a kept connection at any time between
                # two requests: then the request is sent anew, as clients do
                my $c = $kept{$app} // $t->connect;
                my $new = !$kept{$app};
                ask($app, $uri, $c);
                $r = $c->response;
                if (!$r && !$new && $c->{buffer} eq '') {
                    $again++;
                    $r = $t->get($uri, app => $app);
                    delete $kept{$app};
                } else {
                    $kept{$app} = $c;
                    delete $kept{$app} if !$r
                        || ($r->{headers}{connection} // '') eq 'close';
                }
            } else {
                $r = $t->get($uri, app => $app);
            }

            my $got = $r ? $r->{status} : 'nothing';
            $wrong .= "$app: $got, not $status\n" if $got ne $status;
            syswrite $progress, '.';
        }
    }

    spew($file, "$calls $again\n$wrong");
    POSIX::_exit($wrong eq '' ? 0 : 1);
}


for my $workers (1, 2) {
    my $with = "$workers worker(s)";
    my $t = Perm::Test->new;
    my $redis = $t->redis->load->allow('demo');

    my %conf = (workers => $workers, server => <<'EOT');
        app_permission_cache_valid 10m denied=10m;
        location /required { app_permission required;
                             proxy_pass %%BACKEND%%; }
        location /open     { app_permission open; proxy_pass %%BACKEND%%; }
EOT
    my $status = sub { $t->get('/required', app => $_[0])->{status} };
    $t->nginx(%conf);

    subtest "$with: reloads under load" => sub {
        ok $t->settled, 'Redis is there';
        $status->($_) for 'demo', 'other';
        my $before = $t->status;
        my $file = $t->dir . '/load';
        my $child = load($t, $file);
        my $more = sub { my $n = length slurp("$file.calls");
                         wait_for(sub { (-s "$file.calls" || 0) > $n + 20 }) };

        for (1 .. 8) {
            $more->();
            ok $t->reload, "reload $_";
        }

        ok !$t->config(%conf, http => 'app_permission_flush never;')->reload,
            'a broken configuration is refused';
        $t->{nginx}->allow(qr/app_permission_flush/);
        $t->config(%conf);

        $more->();
        spew("$file.end", '');
        is reap($child, 10), 0, 'every answer was right';
        my ($calls, $again) = split ' ', (my $text = slurp($file));
        cmp_ok $calls, '>', 100, "$calls calls, $again anew";
        diag substr $text, 0, 500 if $text =~ /\n./;

        my $s = $t->status;
        cmp_ok $s->{requests}{allow}{resource_grant}, '>',
            $before->{requests}{allow}{resource_grant}, 'counters go on';
        is $s->{requests}{fail}{unavailable}, 0, 'no failure';
        cmp_ok $s->{cache}{entries}, '>=', 2, 'cache kept';
    };

    subtest "$with: another size takes another zone" => sub {
        ok $t->config(%conf, http => 'app_permission_zone 8m;')->reload,
            'reloaded';
        is $status->('demo'), 200, '... serves';
    };

    subtest "$with: out of use and back in use" => sub {
        ok $t->config(setup => '', server => <<'EOT')->reload, 'not in use';
        location /required { proxy_pass %%BACKEND%%; }
        location /status { return 204; }
EOT
        is $status->(), 200, 'open';
        ok $t->config(%conf)->reload, 'configured again';
        is $status->('other'), 403, 'checks again';
    };

    subtest "$with: quits with a request that waits for Redis" => sub {
        my $kept = ask('demo', '/required');
        is $kept->response->{status}, 200, 'a kept connection';

        $redis->pause;
        my $waiting = ask('cold', '/required');
        undef(my $gone = ask('colder', '/required'));

        # a Redis that hangs cannot tell that it was asked

        wait_until(time + 0.1);
        $t->{nginx}->signal('QUIT');
        my $r = $waiting->response;
        is $r && $r->{status}, 503, 'who waited gets an answer while quitting';
        $redis->resume;

        is reap($t->{nginx}{pid}, 15), 0, 'quits';
        $t->{nginx}{pid} = undef;
        is join("\n", $t->log_lines(qr/open socket|leak|exited on signal/)), '',
            'no open socket';
    };
}


# Under its old path a module is not even loaded; from another one it is, and
# has a zone of its own: two builds never share one, whatever their layouts are.

subtest 'an upgrade of the module without a restart' => sub {
    my $module = $Perm::Nginx::MODULE;
    plan skip_all => 'the module is in the binary' if $module eq '';

    my $t = Perm::Test->new;
    my $redis = $t->redis->load->allow('demo');
    my %conf = (workers => 2, server => 'location / {
        app_permission required; proxy_pass %%BACKEND%%; }');
    my $dir = $t->dir;
    my $upgrade = sub { spew("$dir/new.so", slurp($module));
                        rename "$dir/new.so", "$dir/$_[0].so"; };
    my $loaded = sub {
        my ($pid) = $t->{nginx}->workers;
        my %seen = map { $_ => 1 }
            slurp("/proc/$pid/maps") =~ m{\Q$dir\E/(\w+\.so.*)}g;
        return join ' ', keys %seen;
    };

    local $Perm::Nginx::MODULE = "$dir/one.so";
    $upgrade->('one');
    $t->nginx(%conf);
    ok $t->settled, 'a module of its own';
    is outcome('demo'), 200, '... checks';
    is $t->status->{cache}{entries}, 1, '... and knows a call';

    $upgrade->('one');
    ok $t->reload, 'another build under its path: reloaded';
    is $loaded->(), 'one.so (deleted)', '... with the one before';
    is $t->status->{cache}{entries}, 1, '... and its zone';

    $Perm::Nginx::MODULE = "$dir/two.so";
    $upgrade->('two');
    ok $t->config(%conf)->reload, 'under another path: reloaded';
    is $loaded->(), 'two.so', '... with it';
    is $t->status->{cache}{entries}, 0, '... and with a zone of its own';
    is outcome('demo'), 200, '... checks';
    is outcome('other'), 403, '... and denies';
};


# A worker that lives on for its clients asks the Redis that it was started for.

subtest 'another Redis, and a worker of before' => sub {
    my $t = Perm::Test->new;
    my $redis = $t->redis->load->allow('late', 'later');
    my $other = Perm::Redis->start(dir => $t->dir . '/other')->load;
    my %conf = (server => <<'EOT', http => 'app_permission_flush 6s;');
        %%DECISION%%
        app_permission required;
        app_permission_cache_valid 1h denied=1h;
        location / { empty_gif; }
EOT
    $t->nginx(%conf);
    ok $t->settled, 'ready';

    my %call = map { $_ => $t->connect } 'late', 'later';
    $call{$_}->send("GET /a HTTP/1.0\r\nX-App: $_\r\n") for keys %call;
    outcome('behind');              # so those two have come to the worker
    ok $t->config(%conf, redis => $other->tcp_url)->reload(old => 1), 'moved';
    $other->allow('here');
    ok wait_for(sub {
        outcome('here');
        sleep 0.2;
        return outcome('here') eq "$ALLOW HIT";
    }, 10), 'trusted';

    $call{late}->send("\r\n");
    is answer($call{late}), "$ALLOW MISS", 'the worker of before asks there';
    like outcome('late'), qr/^$DENY/, '... and tells nobody';

    $other->allow('new');
    becomes('new', $ALLOW, 'an access');
    $call{later}->send("\r\n");
    is answer($call{later}), "$ALLOW MISS", 'the worker of before ends';
    ok wait_for(sub { $t->{nginx}->workers(all => 1) == 1 }), '... has ended';
    is $redis->access('smoke', 'get_user', 'new'), undef,
        'accesses do not go there';
    ok wait_for(sub { $other->access('smoke', 'get_user', 'new') }, 12),
        '... but here';
};


# Neither denials nor grants of another table decide when this one fails; those
# of this table do, also after a table that was not loaded.

subtest 'another Redis and back, and it fails' => sub {
    my $t = Perm::Test->new;
    my $redis = $t->redis->load->allow('here');
    my $other = Perm::Redis->start(dir => $t->dir . '/other')->load;
    my %conf = (server => <<'EOT');
        %%DECISION%%
        app_permission required;
        app_permission_cache_valid 1h denied=1h;
        location / { empty_gif; }
EOT
    my $to = sub { $t->config(%conf, @_)->reload };
    $other->allow('there', 'idle');
    $t->nginx(%conf);
    ok $t->settled, 'ready';
    becomes('here', "$ALLOW HIT", 'a grant');
    becomes('no', "$DENY HIT", 'a denial');

    ok $to->(redis => $other->tcp_url . '/5'), 'a wrong database';
    becomes('here', "$ALLOW STALE", '... not loaded');
    ok $to->(), '... and back';
    ok wait_for(sub { $t->status->{table}{loaded} }), 'loaded';
    $redis->stop;
    becomes('no', "$DENY STALE", 'the denial decides');
    is outcome('here'), "$ALLOW STALE", '... and the grant';
    $redis->run->load->allow('here');
    ok $t->up, 'it is back';

    ok $to->(redis => $other->tcp_url), 'another table';
    becomes('here', $DENY, 'denied there');
    becomes('there', $ALLOW, 'allowed there');
    becomes('idle', $ALLOW, '... and not called again');
    $t->mark;
    my $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/^HMGET .*:idle/, hang => 1 });
    ok $to->(redis => $fake->url), 'and back';
    is outcome('new'), "$DENY MISS", 'which answers';
    $fake->refuse(1);
    ok $t->down, '... and fails';
    is outcome('here'), $UNKNOWN, 'the denial of the other table is none';
    is outcome('idle'), $UNKNOWN, '... nor is its grant one';
    is scalar $t->new_lines(qr/another one since the reload/), 1,
        'the log tells of the other table';
    delete $t->{fake};
};


# Where changes are not pushed, an answer counts as long as it is valid, but not
# that of another Redis.

subtest 'another Redis, without tracking' => sub {
    my $t = Perm::Test->new;
    my $redis = $t->redis->load->allow('here');
    my $other = Perm::Redis->start(dir => $t->dir . '/other');
    $_->cmd('ACL', 'SETUSER', 'default', '-client|tracking')
        for $redis, $other;
    my %conf = (server => <<'EOT');
        %%DECISION%%
        app_permission required;
        app_permission_cache_valid 1h;
        location / { empty_gif; }
EOT
    my $untracked = qr/does not push changes/;
    $t->nginx(%conf);
    ok $t->wait_log($untracked), 'not tracked';
    becomes('here', "$ALLOW HIT", 'a grant');

    $t->mark;
    ok $t->config(%conf, redis => $other->tcp_url)->reload, 'another one';
    ok $t->wait_new($untracked), '... not tracked, either';
    is outcome('here'), "$ALLOW STALE", '... and not loaded';
    $other->load;
    becomes('here', $DENY, '... and then without the grant');
};


# That nginx closes the link of a worker of before says nothing of Redis.

subtest 'worker_shutdown_timeout' => sub {
    my $t = Perm::Test->new;
    my @apps = map { "app-$_" } 1 .. 100;
    my $redis = $t->redis->load->allow(@apps);
    my %conf = (main => 'worker_shutdown_timeout 1s;',
        http => 'limit_req_zone $http_x_slow zone=slow:1m rate=10r/m;',
        server => <<'EOT');
        %%DECISION%%
        app_permission required;
        app_permission_cache_valid 1h;
        limit_req zone=slow burst=9;
        location / { empty_gif; }
EOT
    $t->nginx(%conf);
    ok $t->settled, 'ready';
    becomes($_, "$ALLOW HIT", "$_: known") for @apps;
    my @calls = map { $t->connect } 1 .. 2;
    $_->send(Perm::Http->text('/', app => 'app-1',
                              headers => { 'X-Slow' => 1 })) for @calls;

    $t->mark;
    ok $t->config(%conf)->reload(old => 1), 'reloaded';
    my $asked = $redis->calls('hmget');
    ok $t->wait_new(qr/the worker shuts down/), 'a worker of before is late';
    $t->all_are(\@apps, "$ALLOW HIT", 'what is known');
    cmp_ok $redis->calls('hmget') - $asked, '<', 50, '... is not asked for';
};


subtest 'a reload while writing hangs' => sub {
    my $t = Perm::Test->new;
    my @apps = map { "app-$_" } 1 .. 20;
    my $redis = $t->redis->load->allow(@apps);
    my %conf = (http => 'app_permission_flush 60s;', server => <<'EOT');
        %%DECISION%%
        app_permission required;
        app_permission_cache_valid 1h;
        location / { empty_gif; }
EOT
    $t->nginx(%conf);
    ok $t->settled, 'ready';
    becomes($_, "$ALLOW HIT", "$_: known, with an access to write") for @apps;

    my $asked = $redis->calls('hmget');
    $redis->cmd(qw(CLIENT PAUSE 20000 WRITE));
    ok $t->config(%conf)->reload, 'reloaded, the workers of before are gone';
    $t->all_are(\@apps, "$ALLOW HIT", 'what is known');
    cmp_ok $redis->calls('hmget') - $asked, '<', 10, '... is not asked for';
    $redis->cmd(qw(CLIENT UNPAUSE));
};


subtest 'other signals, and no master process' => sub {
    my $t = Perm::Test->new;
    $t->redis->load;
    my %conf = (server => 'location / { app_permission required;
                                        proxy_pass %%BACKEND%%; }');
    $t->nginx(%conf, workers => 2);
    is outcome('x'), 403, 'up';
    $t->{nginx}->signal('USR1');
    is outcome('x'), 403, 'logs reopened';
    is $t->{nginx}->quit('TERM'), 0, 'fast stop';

    # as debuggers and profilers run it

    $t->nginx(%conf, main => 'master_process off;');
    is outcome('x'), 403, 'master_process off';
};

done_testing;

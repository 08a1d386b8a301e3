#!/usr/bin/perl

# Refresh ahead: the answer of a call that is in use is renewed before it
# ends, by one lookup in all workers, and nobody waits for it.
#
# What counts is the order of events: on a busy machine who asks, Redis and
# the workers may each be late, so that an answer does end before it is
# renewed.

use Perm::Test;

my $VALID = 4;              # seconds; an answer is renewed after 3/4 of it
my $DUE = $VALID * 3 / 4;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $fake = $t->fake_redis(to => $redis);

$t->nginx(workers => 2, http => 'app_permission_redis_timeout 3s;',
          server => <<"EOT");
        %%DECISION%%

        app_permission required;
        location = /a     { app_permission_cache_valid ${VALID}s; empty_gif; }
        location = /short { app_permission_cache_valid 1s; empty_gif; }
EOT

ok $t->settled, 'changes are pushed';

my %worker = $t->worker_connections(2);

sub answered { scalar $fake->answered(qr/^HMGET .*\{smoke:\Q$_[0]\E\}/) }

sub ask_each {
    my ($app, $uri) = @_;
    ask($app, $uri, $_) for values %worker;
    return map { answer($_) } values %worker;
}


# Calls of one whose answer is due to be renewed and has not ended yet, and one
# call more when it has been renewed; undef when this test was late itself.

sub attempt {
    my ($app, $expires, %rule) = @_;
    $redis->grant('smoke', 'get_user', $app, $expires);
    $t->settled;

    my %saw;
    my $begun = time;
    $saw{first} = outcome($app);
    my $known = time;
    $fake->rules({ match => qr/^HMGET .*\{smoke:\Q$app\E\}/, %rule }) if %rule;
    wait_until($known + $DUE + 0.02);
    $saw{lookups_before} = $fake->lookups($app);

    for (1 .. 10) {
        $saw{due}{$_}++ for ask_each($app);
    }
    $saw{waited} = answered($app) > 1;
    return undef if time > $begun + $VALID;

    # nobody asks meanwhile; a worker that says anything has read that answer

    $saw{answered} = wait_for(sub { answered($app) > 1 });
    ask_each($app, '/status');
    my $r = $t->get('/a', app => $app);
    return undef if time > $begun + $DUE + $VALID && $saw{answered};

    $saw{after} = decision($r);
    $saw{expires} = $r->{headers}{'x-expires'};
    $saw{lookups} = $fake->lookups($app);
    return \%saw;
}

my $n = 0;

sub in_use {
    my ($name, @how) = @_;
    my $saw;

    for (1 .. 20) {
        last if $saw = attempt("$name-" . ++$n, @how);
        note 'late';
    }
    $fake->rules;
    is $saw->{first}, "$ALLOW MISS", 'looked up';
    is $saw->{lookups_before}, 1, '... and not again before it is due';
    is_deeply $saw->{due}, { "$ALLOW HIT" => 20 }, 'then each request is a hit';
    ok $saw->{answered}, '... and it is asked for';
    is $saw->{after}, "$ALLOW HIT", '... and renewed';
    is $saw->{lookups}, 2, '... by one lookup of all workers';
    return $saw;
}


my $ends = int(time) + 3600;

subtest 'in use' => sub {
    my $before = $t->status->{cache}{refreshes};
    in_use('hot', $ends);
    cmp_ok $t->status->{cache}{refreshes}, '>', $before, 'counted';
};


subtest 'nobody waits, although Redis is slow' => sub {
    my $saw = in_use('slow', $ends, delay => $VALID - $DUE + 0.5);
    ok !$saw->{waited}, 'all have their answers before Redis has given its';
};


# behind the back of tracking, so that only the refresh can see it

subtest 'what a refresh brings' => sub {
    my $renewed = $ends + 1000;
    my $saw = in_use('renewed', $ends, 
        reply => Perm::FakeRedis::grants(undef, $renewed));
    is $saw->{expires}, $renewed, 'the new end counts';
};


sub during {
    my ($app, $seconds) = @_;
    $redis->grant('smoke', 'get_user', $app, $ends);
    $t->settled;
    outcome($app, '/short');

    my $load = $t->load([$app], uri => '/short', connections => 8, rate => 800);
    my $begun = time;
    my ($lookups, $refreshes) = ($fake->lookups($app), $t->status->{cache}{refreshes});
    wait_until($begun + $seconds);
    my $seen = $load->stop;
    $lookups = $fake->lookups($app) - $lookups;
    $refreshes = $t->status->{cache}{refreshes} - $refreshes;
    my $took = time - $begun;
    note sprintf '%d requests, %d lookups, %d refreshes in %.1f s', $seen->{n},
        $lookups, $refreshes, $took;
    return ($seen, $lookups, $refreshes, $took);
}


# An answer that ends all the same is a miss of whoever asks then.

subtest 'under load' => sub {
    my ($seen, $lookups, $refreshes, $took) = during('load', 4);
    my $misses = delete $seen->{outcome}{"$ALLOW MISS"} // 0;
    is_deeply [keys %{$seen->{outcome}}], ["$ALLOW HIT"], 'hits'
        or diag explain $seen->{outcome};
    cmp_ok $refreshes, '>=', 1, 'refreshed';
    cmp_ok $refreshes, '<=', $took / 0.75 + 1, '... once a period';
    cmp_ok $lookups, '<=', $refreshes + $misses,
        'and nothing else is asked, but for a miss';
};


# when it fails, the old answer goes on while it may

subtest 'Redis refuses the refresh' => sub {
    $fake->rules({ match => qr/^HMGET .*refused/, times => 1 },
                 { match => qr/^HMGET .*refused/,
                   reply => "-LOADING busy\r\n" });
    my ($seen) = during('refused', 2);
    is_deeply [grep { !/^200/ } keys %{$seen->{outcome}}], [], 'none fails'
        or diag explain $seen->{outcome};
    ok $seen->{outcome}{"$ALLOW STALE"}, '... and the answer has ended';
    $fake->rules;
    ok wait_for(sub { outcome('refused', '/short') =~ /MISS/ }),
        'asked for again';
};

done_testing;

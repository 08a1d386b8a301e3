#!/usr/bin/perl

# Answers that were damaged on their way, and links that died while idle: one
# of either must not cost a caller more than it has to.

use Perm::Test;

my %nginx = (http => <<'HTTP', server => <<'EOT');
        app_permission_cache_valid 60s denied=60s;
        app_permission_redis_timeout 2s;
HTTP
        %%DECISION%%

        app_permission required;
        location = /a    { empty_gif; }
        location = /open { app_permission_on_error allow; empty_gif; }
EOT

my $t = Perm::Test->new(late => 1);
my $redis = $t->redis->load;
my $fake = $t->fake_redis(to => $redis);
$t->nginx(%nginx, redis => $fake->tcp_url);
$redis->allow(map { "app-$_" } 0 .. 20);
ok $t->settled, 'ready';

# The end of a link that is as old as tracking has the cache distrusted, and
# what is cached looked up again: the links that end here are younger.

$fake->rules({ match => qr/^HMGET .*:app-20}/, times => 1, close => 1 });
outcome('app-20');
ok $t->settled, 'ready again';
$fake->rules;

# still an answer of Redis, but not what anybody wrote

my %damaged = (
    'a member'   => '{"expizes":4102444800}',
    'a number'   => '{"expires":41024448x0}',
    'a brace'    => '{"expires":4102444800',
    'a NUL byte' => "\0\"expires\":4102444800}",
    'nothing left of it' => '',
);

subtest 'a damaged value' => sub {
    my @what = sort keys %damaged;
    $fake->rules(map {
        { match => qr/^HMGET .*:app-$_}/, times => 1,
          reply => Perm::FakeRedis::grants(undef, $damaged{$what[$_]}) }
    } 0 .. $#what);
    is outcome("app-$_"), "$DENY MISS", "$what[$_]: never allows"
        for 0 .. $#what;
    is outcome('nobody'), "$DENY MISS", 'a denial that is one';

    my $begun = time;
    becomes("app-$_", $ALLOW, "$what[$_]: the next lookup is soon")
        for 0 .. $#what;
    $t->soon($begun, 1.5, '... although denials are cached for a minute');
    is outcome('nobody'), "$DENY HIT", '... as this one is';
};

subtest 'a nil in place of a value that came' => sub {
    $fake->rules({ match => qr/^HMGET .*:app-10}/, times => 1,
                   reply => "*2\r\n\$-1\r\n\$-1\r\n4102444800\r\n" });
    $fake->forget;
    is outcome('app-10'), "$ALLOW MISS", 'all of the lookup is sent anew';
    is $fake->lookups('app-10'), 2, 'once';
};

subtest 'the schema' => sub {
    $fake->rules({ match => qr/^HGET .*meta schema/, times => 1,
                   reply => Perm::FakeRedis::bulk('3') });
    is outcome('app-11'), $UNKNOWN, 'a table that is not ours';
    becomes('app-11', $ALLOW, 'the next lookup finds it loaded');
};


subtest 'a link that died while it was idle' => sub {
    ok $t->settled, 'up';
    sleep 1.1;      # a link that ends sooner counts as one that failed
    $fake->forget;
    $fake->rules({ match => qr/^HMGET \S*grants:/, times => 1, close => 1,
                   reset => 1 });
    is outcome('app-12'), "$ALLOW MISS", 'the lookup that finds it out';
    is $fake->lookups('app-12'), 2, '... is sent once more';

    # behind the answer with the grants

    sleep 1.1;
    $fake->rules({ match => qr/^PTTL/, times => 1, close => 1 });
    is outcome('app-13'), "$ALLOW MISS", 'lost behind the grants';
    is $fake->lookups('app-13'), 2, '... is sent once more, all of it';

    # never twice

    sleep 1.1;
    $fake->rules({ match => qr/^HMGET \S*grants:/, close => 1 });
    is outcome('app-14'), $UNKNOWN, 'a link that ends again';
    is $fake->lookups('app-14'), 2, '... is not tried a third time';
    $fake->rules;
    ok $t->up, 'up';

    # an answer that refuses is none to send again for

    $fake->rules({ match => qr/^HMGET \S*grants:/, reply => "-BUSY a script\r\n" });
    is outcome('app-15'), $UNKNOWN, 'refused';
    is $fake->lookups('app-15'), 1, '... is sent once';
    $fake->rules({ match => qr/^PTTL/, reply => "-BUSY a script\r\n" });
    is outcome('app-16'), $UNKNOWN, 'refused, the time to live';
    is $fake->lookups('app-16'), 1, '... is sent once';
    $fake->rules({ match => qr/^HMGET \S*grants:/, hang => 1, times => 1 });
    is outcome('app-17'), $UNKNOWN, 'no answer in time';
    is $fake->lookups('app-17'), 1, '... is sent once';
    $fake->rules;
    ok $t->up, 'up';
};


# more on their way would make each other late

subtest 'a bounded number of lookups is on its way' => sub {
    $t->config(%nginx, redis => $fake->tcp_url,
               http => $nginx{http} =~ s/2s/9s/r
                       . 'app_permission_lookup_limit off;');
    my $conf = "$t->{dir}/nginx.conf";
    spew($conf, slurp($conf) =~ s/worker_connections \K\d+/4096/r);
    ok $t->reload, 'no limit';
    $t->settled;
    $fake->forget;
    $fake->rules({ match => qr/^HMGET .*:many-/, hold => 1, times => 1 });
    outcome('first');               # cached: the load waits for one answer
    my $load = $t->load(['first', map { "many-$_" } 1 .. 1100], pass => 1,
                        rate => 1e9, connections => 1101);
    ok wait_for(sub { $fake->commands(qr/^HMGET .*:many-/) >= 1024 }), 'many';
    is scalar($fake->commands(qr/^HMGET .*:many-/)), 1024, 'no more than that';
    $fake->release;
    my $seen = $load->wait->{outcome};
    is_deeply $seen, { "$DENY HIT" => 1, "$DENY MISS" => 1100 },
        'the rest has its turn' or diag explain $seen;
};

done_testing;

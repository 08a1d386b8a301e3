#!/usr/bin/perl

# Every row of the decision table and its boundaries, on a real Redis.

use Time::Local qw(timegm);

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $now = int time;

$t->nginx(server => <<'EOT');
        app_permission_resource $arg_r;
        add_header X-Decision
            $app_permission_decision/$app_permission_reason always;
        add_header X-Cache $app_permission_cache always;

        # answers at once, by the time it decided by

        location /now      { app_permission required; empty_gif; }
        location /off      { app_permission off;      proxy_pass %%BACKEND%%; }
        location /open     { app_permission open;     proxy_pass %%BACKEND%%; }
        location /required { app_permission required; proxy_pass %%BACKEND%%; }
        location /variable { app_permission $arg_p;   proxy_pass %%BACKEND%%; }
EOT

# [app, resource and other arguments, outcome, name], of a location

sub are {
    my ($uri, @calls) = @_;
    is outcome($_->[0], "$uri?r=$_->[1]"), $_->[2], $_->[3] for @calls;
}

my ($BAD_CONFIG, $INVALID) = ('500 fail/bad_config', '403 deny/invalid_app');


my %grant = (
    absent     => undef,
    expired    => $now - 1,
    zero       => 0,
    live       => $now + 3600,
    permanent  => 4102444800,
    unreadable => '{"expires":"soon"}',
);

my $counts = sub { $_[0] =~ /live|permanent/ ? 'live'
                 : $_[0] =~ /expired|zero/ ? 'expired' : 'absent' };

my %row = (
    'live live'       => '200 allow/gateway_grant',
    'live expired'    => '200 allow/gateway_grant',
    'live absent'     => '200 allow/gateway_grant',
    'expired live'    => '200 allow/resource_grant',
    'absent live'     => '200 allow/resource_grant',
    'absent absent'   => '403 deny/no_grant',
    'expired absent'  => '403 deny/gateway_grant_expired',
    'expired expired' => '403 deny/resource_grant_expired',
    'absent expired'  => '403 deny/resource_grant_expired',
);

subtest 'both grants in every combination' => sub {
    for my $gateway (sort keys %grant) {
        for my $resource (sort keys %grant) {
            my $app = "g-$gateway.r-$resource";
            $redis->grant('smoke', undef, $app, $grant{$gateway})
                if defined $grant{$gateway};
            $redis->grant('smoke', 'get_user', $app, $grant{$resource})
                if defined $grant{$resource};

            my $row = $row{$counts->($gateway) . ' ' . $counts->($resource)};
            are('/required', [$app, 'get_user', $row,
                    "gateway grant $gateway, resource grant $resource"],
                [$app, 'get_user', $row, '... and out of the cache']);
            are('/open', [$app, 'get_user', '200 allow/open', '... open']);
            are('/off', [$app, 'get_user', '200 /', '... off: silent']);
        }
    }
};


subtest 'a grant is of one gateway, one resource and one app' => sub {
    $redis->allow('demo')->grant('other', undef, 'stranger', $now + 3600);
    are('/required',
        ['demo',     'get_user',  $ALLOW, 'its own resource'],
        ['demo',     'get_users', $DENY,  'not another resource'],
        ['demo2',    'get_user',  $DENY,  'not another app'],
        ['DEMO',     'get_user',  $DENY,  'names are case-sensitive'],
        ['stranger', 'get_user',  $DENY,  'not another gateway']);
};


subtest 'apps' => sub {
    are('/required',
        [undef,     'get_user', '403 deny/no_app', 'no app header'],
        ['',        'get_user', '403 deny/no_app', 'empty app'],
        ['a b',     'get_user', $INVALID,          'invalid app'],
        ['a' x 129, 'get_user', $INVALID,          'app of 129 bytes']);
    are('/open',
        [undef, 'get_user', '200 allow/open', 'open needs no app'],
        ['{}',  'get_user', '200 allow/open', 'open does not look at it']);
};


subtest '"open" looks no grant up' => sub {
    for (['/open', ''], ['/required', 'MISS'], ['/required', 'HIT']) {
        my ($uri, $cache) = @$_;
        my $r = $t->get("$uri?r=get_user", app => 'unseen');
        is $r->{headers}{'x-cache'} // '', $cache,
            "$uri: " . ($cache || 'not looked up');
    }
};


subtest 'the longest names' => sub {
    my ($app, $resource) = ('a' x 128, 'r' x 256);
    $redis->grant('smoke', $resource, $app, $now + 3600);
    are('/required', [$app, $resource, $ALLOW, 'allowed'],
                     [$app, $resource, $ALLOW, '... and out of the cache']);
};


subtest 'what is not configured fails closed' => sub {
    are('/required',
        ['demo', '',        $BAD_CONFIG, 'empty resource'],
        ['demo', '-',       $BAD_CONFIG, 'a resource is never "-"'],
        ['demo', 'a:b',     $BAD_CONFIG, 'invalid resource'],
        ['demo', 'r' x 257, $BAD_CONFIG, 'resource of 257 bytes'],
        [undef,  '',        $BAD_CONFIG, 'this comes before a missing app']);
};


subtest 'a policy out of a variable' => sub {
    for my $policy ('', 'on', 'Required', 'required%20', 'OPEN', 'openx') {
        are('/variable', ['demo', "get_user&p=$policy", $BAD_CONFIG,
                          "policy \"$policy\""]);
    }
    are('/variable',
        ['demo', 'get_user&p=required', $ALLOW,           'policy "required"'],
        [undef,  'get_user&p=open',     '200 allow/open', 'policy "open"'],
        [undef,  'get_user&p=off',      '200 /',          'policy "off"'],
        [undef,  '&p=open',             '200 allow/open',
         'open looks nothing up, and needs no name']);
};


my @unreadable = ('', 'x', 'null', 'true', '"4102444800"', '[4102444800]',
    '{}', '{"expires":null}', '{"expires":"4102444800"}', '{"expires":true}',
    '{"expires":[4102444800]}', '{"expires":-1}', '-1', '-4102444800',
    '1e999', '{"expires":1e999}', 'NaN', 'Infinity', '{"expires":Infinity}',
    '4102444800 x', '4102444800,', '{"expires":4102444800', '0x7fffffff',
    "4102444800\0", '{"expires":4102444800}}', '{"Expires":4102444800}',
    '{"grant":{"expires":4102444800}}', '253402300800', '4102444800000',
    '{"expires":4102444800000}', '253402300799.5', '99999999999999999999999',
    '[' x 5000, '{"a":' x 5000, "\xff\xfe", '+4102444800', '.5', '1,',
    "'4102444800'");

my $n = 0;

subtest 'unreadable values never allow, and count as absent' => sub {
    for my $value (@unreadable) {
        my $app = 'unreadable-' . ++$n;
        $redis->grant('smoke', $_, $app, $value) for undef, 'get_user';
        my $shown = substr $value, 0, 40;
        $shown =~ s/[^ -~]/?/g;
        are('/required', [$app, 'get_user', $DENY, "unreadable: $shown"]);
    }
    cmp_ok $t->status->{redis}{unreadable_grants}, '>=', 2 * @unreadable,
        'they are counted';
};


subtest 'an unreadable value is logged once, however often it is met' => sub {
    $redis->grant('smoke', undef, 'unreadable', 'x')
          ->grant('smoke', 'get_user', 'unreadable', '{}');
    are('/required', ['unreadable', 'get_user', $DENY, 'unreadable']);
    my $logged = qr/unreadable grant.*smoke:unreadable\}/;
    is scalar($t->log_lines($logged)), 2, 'both are logged';
    my $met = $t->status->{redis}{unreadable_grants};
    ok wait_for(sub {
        $redis->grant('smoke', 'x', 'unreadable', 1);
        outcome('unreadable', '/required?r=get_user');
        return $t->status->{redis}{unreadable_grants} > $met;
    }), 'read anew';
    is scalar($t->log_lines($logged)), 2, 'not logged again';
};


my @readable = ('4102444800', ' 4102444800 ', '4102444800.0', '4.1024448e9',
    '{"expires":4102444800}', '{"type":"renew","expires":5e9,"x":{"y":[1]}}',
    '253402300799', '{"expires":253402300798.5}');

subtest 'readable values' => sub {
    for my $value (@readable) {
        my $app = 'readable-' . ++$n;
        $redis->at(key('grants', $app), 'HSET', 'get_user', $value);
        are('/required', [$app, 'get_user', $ALLOW, "readable: $value"]);
    }
};


# on the second, though it is cached

subtest 'expires == now denies' => sub {
    my $expires = int(time) + 3;
    $redis->grant('smoke', undef, 'ending', $expires)
          ->grant('smoke', 'get_user', 'ending.resource', $expires)
          ->grant('smoke', undef, 'both', $expires)
          ->grant('smoke', 'get_user', 'both', $expires + 3600);

    my ($date, %seen, @wrong) = (0);
    my %month = (Jan => 0, Feb => 1, Mar => 2, Apr => 3, May => 4, Jun => 5,
                 Jul => 6, Aug => 7, Sep => 8, Oct => 9, Nov => 10, Dec => 11);

    while ($date <= $expires) {
        for my $app (qw(ending ending.resource both)) {
            my $r = $t->get('/now?r=get_user', app => $app);

            # nginx's own idea of the time, which it decides by

            my ($day, $month, $year, $h, $m, $s) = $r->{headers}{date}
                =~ /(\d+) (\w+) (\d+) (\d+):(\d+):(\d+)/;
            $date = timegm($s, $m, $h, $day, $month{$month}, $year);

            my $got = "$app " . decision($r);
            $seen{$got}++;
            push @wrong, "$got, " . ($expires - $date) . ' s before the end'
                if $app ne 'both'
                    && ($r->{status} == 200) != ($date < $expires);
        }
        wait_until(time + 0.02);
    }

    is join("\n", @wrong), '', 'allowed before that second, not in it';
    is_deeply [sort keys %seen], [
        'both 200 allow/gateway_grant',
        'both 200 allow/resource_grant',
        'ending 200 allow/gateway_grant',
        'ending 403 deny/gateway_grant_expired',
        'ending.resource 200 allow/resource_grant',
        'ending.resource 403 deny/resource_grant_expired',
    ], 'the reasons before and after';
};

done_testing;

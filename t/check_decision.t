#!/usr/bin/perl

# Every row of the decision table and its boundaries, on a real Redis.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);
use Time::Local qw(timegm);

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $now = time;

$t->nginx(server => <<'EOT');
        app_permission_resource $arg_r;
        add_header X-Decision
            $app_permission_decision/$app_permission_reason always;
        add_header X-Cache $app_permission_cache always;

        location /off      { app_permission off;      proxy_pass %%BACKEND%%; }
        location /open     { app_permission open;     proxy_pass %%BACKEND%%; }
        location /required { app_permission required; proxy_pass %%BACKEND%%; }
        location /variable { app_permission $arg_p;   proxy_pass %%BACKEND%%; }
EOT

sub outcome {
    my ($uri, %o) = @_;
    my $r = $t->get($uri, %o);
    return "$r->{status} " . ($r->{headers}{'x-decision'} // '');
}


# both grants in every combination

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

for my $gateway (sort keys %grant) {
    for my $resource (sort keys %grant) {
        my $app = "g-$gateway.r-$resource";
        $redis->grant('smoke', undef, $app, $grant{$gateway})
            if defined $grant{$gateway};
        $redis->grant('smoke', 'get_user', $app, $grant{$resource})
            if defined $grant{$resource};

        my $expected = $row{$counts->($gateway) . ' ' . $counts->($resource)};

        is outcome('/required?r=get_user', app => $app), $expected,
            "gateway grant $gateway, resource grant $resource";
        is outcome('/required?r=get_user', app => $app), $expected,
            '... and the same out of the cache';
        is outcome('/open?r=get_user', app => $app), '200 allow/open',
            '... open: allowed';
        is outcome('/off?r=get_user', app => $app), '200 /', '... off: silent';
    }
}


# a grant is of one gateway, one resource and one app

$redis->grant('smoke', 'get_user', 'demo', $now + 3600);
$redis->grant('other', undef, 'stranger', $now + 3600);

is outcome('/required?r=get_user', app => 'demo'),
    '200 allow/resource_grant', 'its own resource';
is outcome('/required?r=get_users', app => 'demo'), '403 deny/no_grant',
    'not another resource';
is outcome('/required?r=get_user', app => 'demo2'), '403 deny/no_grant',
    'not another app';
is outcome('/required?r=get_user', app => 'DEMO'), '403 deny/no_grant',
    'names are case-sensitive';
is outcome('/required?r=get_user', app => 'stranger'), '403 deny/no_grant',
    'not another gateway';


# apps

is outcome('/required?r=get_user'), '403 deny/no_app', 'no app header';
is outcome('/required?r=get_user', app => ''), '403 deny/no_app', 'empty app';
is outcome('/required?r=get_user', app => 'a b'), '403 deny/invalid_app',
    'invalid app';
is outcome('/required?r=get_user', app => 'a' x 129),
    '403 deny/invalid_app', 'app of 129 bytes';
is outcome('/open?r=get_user'), '200 allow/open', 'open needs no app';
is outcome('/open?r=get_user', app => '{}'), '200 allow/open',
    'open does not look at the app';

# ... nor any grant up: the first to do so is who needs one

for (['/open', ''], ['/required', 'MISS'], ['/required', 'HIT']) {
    my ($uri, $cache) = @$_;
    is $t->get("$uri?r=get_user", app => 'unseen')->{headers}{'x-cache'} // '',
        $cache, "$uri: " . ($cache || 'not looked up');
}

my $longest = 'a' x 128;
$redis->grant('smoke', 'r' x 256, $longest, $now + 3600);
is outcome('/required?r=' . 'r' x 256, app => $longest),
    '200 allow/resource_grant', 'the longest names';
is outcome('/required?r=' . 'r' x 256, app => $longest),
    '200 allow/resource_grant', '... and out of the cache';


# what is not configured fails closed

is outcome('/required', app => 'demo'), '500 fail/bad_config',
    'empty resource';
is outcome('/required?r=-', app => 'demo'), '500 fail/bad_config',
    'a resource is never "-"';
is outcome('/required?r=a:b', app => 'demo'), '500 fail/bad_config',
    'invalid resource';
is outcome('/required?r=' . 'r' x 257, app => 'demo'),
    '500 fail/bad_config', 'resource of 257 bytes';
is outcome('/required'), '500 fail/bad_config',
    'bad configuration comes before a missing app';

for my $policy ('', 'on', 'Required', 'required ', 'OPEN', 'openx') {
    (my $arg = $policy) =~ s/ /%20/;
    is outcome("/variable?r=get_user&p=$arg", app => 'demo'),
        '500 fail/bad_config', "policy \"$policy\" out of a variable";
}

is outcome('/variable?r=get_user&p=required', app => 'demo'),
    '200 allow/resource_grant', 'policy "required" out of a variable';
is outcome('/variable?r=get_user&p=open'), '200 allow/open',
    'policy "open" out of a variable';
is outcome('/variable?r=get_user&p=off'), '200 /',
    'policy "off" out of a variable';
is outcome('/variable?p=open'), '200 allow/open',
    'open looks nothing up, and needs no name';


# unreadable values never allow, and count as absent

my @unreadable = ('', 'x', 'null', 'true', '"4102444800"', '[4102444800]',
    '{}', '{"expires":null}', '{"expires":"4102444800"}', '{"expires":true}',
    '{"expires":[4102444800]}', '{"expires":-1}', '-1', '-4102444800',
    '1e999', '{"expires":1e999}', 'NaN', 'Infinity', '{"expires":Infinity}',
    '4102444800 x', '4102444800,', '{"expires":4102444800', '0x7fffffff',
    "4102444800\0", '{"expires":4102444800}}', '{"Expires":4102444800}',
    '{"expires":4102444800,"expires":4102444800}', '{"grant":{"expires":1}}',
    '[' x 5000, '{"a":' x 5000, "\xff\xfe", '+4102444800', '.5', '1.',
    "'4102444800'");

# each is logged once, however often it is met

$redis->cmd('HSET', 'app_permission:grants:{smoke:unreadable}', '-', 'x',
            'get_user', '{}');
is outcome('/required?r=get_user', app => 'unreadable'), '403 deny/no_grant',
    'unreadable';
my $told = qr/unreadable grant.*smoke:unreadable\}/;
is scalar($t->log_lines($told)), 2, 'unreadable: both are logged';
my $met = $t->status->{redis}{unreadable_grants};
ok wait_for(sub {
    $redis->cmd('HSET', 'app_permission:grants:{smoke:unreadable}', 'x', 1);
    outcome('/required?r=get_user', app => 'unreadable');
    return $t->status->{redis}{unreadable_grants} > $met;
}), 'unreadable: read anew';
is scalar($t->log_lines($told)), 2, 'unreadable: not logged again';

my $n = 0;
for my $value (@unreadable) {
    my $app = 'unreadable-' . ++$n;
    $redis->cmd('HSET', "app_permission:grants:{smoke:$app}", '-', $value,
                'get_user', $value);
    my $shown = substr $value, 0, 40;
    $shown =~ s/[^ -~]/?/g;
    is outcome('/required?r=get_user', app => $app), '403 deny/no_grant',
        "unreadable: $shown";
}

cmp_ok $t->status->{redis}{unreadable_grants}, '>=', 2 * @unreadable,
    'unreadable grants are counted';

my @readable = ('4102444800', ' 4102444800 ', '4102444800.0', '4.1024448e9',
    '{"expires":4102444800}', '{"type":"renew","expires":5e9,"x":{"y":[1]}}',
    '99999999999999999999999');

for my $value (@readable) {
    my $app = 'readable-' . ++$n;
    $redis->cmd('HSET', "app_permission:grants:{smoke:$app}", 'get_user',
                $value);
    is outcome('/required?r=get_user', app => $app),
        '200 allow/resource_grant', "readable: $value";
}


# expires == now denies, on the second, though it is cached

my $expires = time + 3;
$redis->grant('smoke', undef, 'ending', $expires);
$redis->grant('smoke', 'get_user', 'ending.resource', $expires);
$redis->grant('smoke', undef, 'both', $expires);
$redis->grant('smoke', 'get_user', 'both', $expires + 3600);

my (%seen, @wrong);
my %month = (Jan => 0, Feb => 1, Mar => 2, Apr => 3, May => 4, Jun => 5,
             Jul => 6, Aug => 7, Sep => 8, Oct => 9, Nov => 10, Dec => 11);

for ( ;; ) {
    my $date = 0;
    for my $app (qw(ending ending.resource both)) {
        my $r = $t->get('/required?r=get_user', app => $app);

        # nginx's own idea of the time, which it decides by
        my ($day, $month, $year, $h, $m, $s) = $r->{headers}{date}
            =~ /(\d+) (\w+) (\d+) (\d+):(\d+):(\d+)/;
        $date = timegm($s, $m, $h, $day, $month{$month}, $year);

        my $got = "$app $r->{status} $r->{headers}{'x-decision'}";
        $seen{$got}++;
        push @wrong, "$got, " . ($expires - $date) . ' s before the end'
            if $app ne 'both'
                && ($r->{status} == 200) != ($date < $expires);
    }
    last if $date > $expires;
    sleep 0.02;
}

is join("\n", @wrong), '', 'allowed before the second of the end, not in it';
is_deeply [sort keys %seen], [
    'both 200 allow/gateway_grant',
    'both 200 allow/resource_grant',
    'ending 200 allow/gateway_grant',
    'ending 403 deny/gateway_grant_expired',
    'ending.resource 200 allow/resource_grant',
    'ending.resource 403 deny/resource_grant_expired',
], 'the reasons before and after';

$t->done;

#!/usr/bin/perl

# The status in JSON and for Prometheus: every number exact after a known mix
# of requests, with two workers and across a reload; forms, methods, headers.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $end = int(time) + 86400 * 100;

$redis->grant('smoke', 'get_user', 'demo', $end)
      ->grant('smoke', undef, 'whole', $end)
      ->grant('smoke', 'get_user', 'late', int(time) - 10)
      ->grant('smoke', undef, 'late_whole', int(time) - 10);
$redis->cmd('HSET', 'app_permission:grants:{smoke:broken}', 'get_user', '{}');

my %config = (workers => 2, server => <<'EOT');
        app_permission required;
        location = /a           { empty_gif; }
        location = /open        { app_permission open; empty_gif; }
        location = /dry         { app_permission_dry_run on; empty_gif; }
        location = /nowhere     { app_permission_gateway $arg_nothing;
                                  empty_gif; }
        location = /dry_nowhere { app_permission_dry_run on;
                                  app_permission_gateway $arg_nothing;
                                  empty_gif; }
        location = /off         { app_permission off; empty_gif; }
        location = /charset     { app_permission_status; charset utf-8;
                                  charset_types *; }
EOT

$t->nginx(%config);


subtest 'before anything was asked' => sub {
    my $s = $t->status;

    is $s->{requests}{dry_run_denied}, 0, 'nothing counted at first';
    is_deeply [sort keys %{$s->{requests}{allow}}],
        [sort qw(open gateway_grant resource_grant unavailable)],
        'reasons of allow';
    is_deeply [sort keys %{$s->{requests}{deny}}],
        [sort qw(no_app invalid_app no_grant gateway_grant_expired
                 resource_grant_expired)], 'reasons of deny';
    is_deeply [sort keys %{$s->{requests}{fail}}],
        [sort qw(unavailable bad_config)], 'reasons of fail';

    my %members = (
        cache        => [qw(hit miss stale entries capacity evicted)],
        redis        => [qw(up commands errors unreadable_grants)],
        access       => [qw(recorded pending flushed dropped
                            oldest_pending_seconds)],
        invalidation => [qw(active received last_lag_ms)],
    );

    for my $group (sort keys %members) {
        for my $member (@{$members{$group}}) {
            my $value = $s->{$group}{$member};
            my $bool = JSON::PP::is_bool($value) ? 1 : 0;
            is $bool, $member =~ /^(up|active)$/ ? 1 : 0,
                "$group.$member is of its kind";
            like "$value", qr/^\d+$/, '... and whole';
        }
    }
};


my @mix = (
    # uri, app, times, group, reason
    ['/a', 'demo', 13, 'allow', 'resource_grant'],
    ['/a', 'whole', 7, 'allow', 'gateway_grant'],
    ['/open', undef, 5, 'allow', 'open'],
    ['/a', 'nobody', 11, 'deny', 'no_grant'],
    ['/a', 'broken', 2, 'deny', 'no_grant'],
    ['/a', undef, 3, 'deny', 'no_app'],
    ['/a', 'not valid', 4, 'deny', 'invalid_app'],
    ['/a', 'late', 6, 'deny', 'resource_grant_expired'],
    ['/a', 'late_whole', 8, 'deny', 'gateway_grant_expired'],
    ['/nowhere', 'demo', 2, 'fail', 'bad_config'],
    ['/dry', 'nobody', 9, 'dry_run', 'no_grant'],
    ['/dry', 'demo', 10, 'allow', 'resource_grant'],
    ['/dry_nowhere', 'demo', 1, 'dry_run_fail', 'bad_config'],
    ['/off', 'nobody', 3],
);

my %expected;

sub play {
    for (@mix) {
        my ($uri, $app, $times, $group, $reason) = @$_;
        $t->get($uri, app => $app) for 1 .. $times;
        $expected{$group}{$reason} += $times if $group;
    }
}

sub exact {
    my ($when) = @_;
    my $s = $t->status;
    my $q = $s->{requests};

    for my $group (qw(allow deny fail)) {
        is_deeply $q->{$group}, { map { $_ => $expected{$group}{$_} // 0 }
                                      keys %{$q->{$group}} }, "$when: $group";
    }

    my ($dry, $dry_fail) = ($expected{dry_run}{no_grant},
                            $expected{dry_run_fail}{bad_config});
    is $q->{dry_run_denied}, $dry + $dry_fail, "$when: dry run";
    is $q->{dry_run}{deny}{no_grant}, $dry, "$when: by reason";
    is $q->{dry_run}{fail}{bad_config}, $dry_fail, "$when: failed ones too";

    my $looked = 0;
    for (@mix) {
        $looked += $_->[2] * ($expected{allow}{open} / 5)
            if $_->[0] =~ m{^/(a|dry)$} && defined $_->[1]
               && $_->[1] ne 'not valid';
    }
    my $c = $s->{cache};
    is $c->{hit} + $c->{miss} + $c->{stale}, $looked,
        "$when: each that needed a grant is a hit or a miss";
    is $c->{stale}, 0, "$when: none stale";
    return $s;
}

# by connections of their own, so that both workers have a part

subtest 'a mix' => sub {
    play();
    my $s = exact('after the mix');

    my $keys = 6;     # calls looked up; either worker's lookup serves both
    is $s->{cache}{miss}, $keys, 'one miss a call';
    is $s->{cache}{entries}, $keys, 'as many entries';
    ok $s->{cache}{capacity} > 1000, 'there is room';
    is $s->{redis}{unreadable_grants}, 1, 'the unreadable grant was met once';
    ok $s->{redis}{up}, 'Redis is up';
    is $s->{table}{loaded}, JSON::PP::true, 'the table is loaded';
    is $s->{latency_us}{miss}{count}, $keys, 'each miss was timed';

    ok $t->up, 'changes are pushed';

    my $received = $t->received;
    $redis->grant('smoke', 'get_user', 'someone', $end);
    ok wait_for(sub { $t->received == $received + 1 }),
        'a changed key is counted';
};


subtest 'last accesses: by what a grant allowed, and only that' => sub {
    $t->flushed;
    my $a = $t->status->{access};
    is $a->{pending}, 0, 'all accesses flushed';
    is $a->{oldest_pending_seconds}, 0, '... so none is old';
    is $a->{dropped}, 0, '... and none dropped';
    ok $a->{flushed} >= 2, 'both calls reached Redis';
    is $redis->cmd('ZCARD', key('access', 'demo')), 1, '... as Redis says';
};


subtest 'across a reload' => sub {
    ok $t->config(%config)->reload, 'reloaded';
    exact('after a reload');
    play();
    exact('and after the mix again');
};


subtest 'Prometheus: the same numbers' => sub {
    my $r = $t->get('/status?format=prometheus');
    is $r->{status}, 200, 'Prometheus';
    is $r->{headers}{'content-type'},
        'text/plain; version=0.0.4; charset=utf-8', '... its type';
    is $r->{headers}{'cache-control'}, 'no-store', '... not to be stored';

    my ($first) = $r->{body} =~ /^(app_permission\w+\{[^}]*\})/m;
    like $first,
        qr/^app_permission_requests_total\{decision="\w+",reason="\w+"\}$/,
        '... begins with the requests';

    my $requests = $t->status->{requests};
    for my $group (qw(allow deny fail)) {
        for my $reason (sort keys %{$requests->{$group}}) {
            my $labels = qr/decision="$group",reason="$reason"/;
            my ($n) = $r->{body}
                =~ /^app_permission_requests_total\{$labels\} (\d+)$/m;
            is $n, $requests->{$group}{$reason}, "... $group, $reason";
        }
    }

    my %series;
    for (grep { /^app_permission/ } split /\n/, $r->{body}) {
        like $_, qr/^app_permission_\w+(\{[^}]*\})? [0-9.]+$/, "a sample: $_"
            or last;
        $series{(split / /)[0]}++;
    }
    is_deeply [grep { $series{$_} > 1 } keys %series], [], 'no series twice';

    for my $name ('check_duration_seconds', 'redis_command_duration_seconds') {
        my $series = "app_permission_$name";
        my @le = $r->{body} =~
            /^${series}_bucket\{(?:cache="miss",)?le="[^"]+"\} (\d+)$/mg;
        ok @le > 10 && !(grep { $le[$_] < $le[$_ - 1] } 1 .. $#le),
            "$name: buckets add up";
        my ($count) = $r->{body}
            =~ /^${series}_count(?:\{cache="miss"\})? (\d+)$/m;
        is $le[-1], $count, '... to the count';
    }

    SKIP: {
        skip 'no promtool', 1
            unless grep { -x "$_/promtool" } split /:/, $ENV{PATH};
        spew($t->dir . '/metrics', $r->{body});
        my $said = qx(promtool check metrics < @{[$t->dir]}/metrics 2>&1);
        is "$? $said", '0 ', 'promtool has nothing to say';
    }
};


subtest 'forms' => sub {
    for (['json', 'application/json'], ['html', 'text/html; charset=utf-8']) {
        my $r = $t->get("/status?format=$_->[0]");
        is "$r->{status} $r->{headers}{'content-type'}", "200 $_->[1]", $_->[0];
        is $r->{headers}{'cache-control'}, 'no-store', '... not to be stored';
        is $r->{headers}{'x-content-type-options'}, 'nosniff',
            '... nor guessed at';
    }

    for (['json', 'application/json'], ['html', 'text/html'],
         ['prometheus', 'text/plain; version=0.0.4'])
    {
        my $r = $t->get("/charset?format=$_->[0]");
        is $r->{headers}{'content-type'}, "$_->[1]; charset=utf-8",
            "$_->[0] with \"charset\" around it: one charset";
    }

};


subtest 'the Accept header' => sub {
    for (
        [undef, 'json'], ['*/*', 'json'], ['application/json', 'json'],
        ['text/html', 'html'], ['TEXT/HTML', 'html'],
        ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
         'html'],
        ['application/json, text/html', 'json'],
        ['text/html;q=0.5, application/json;q=0.4', 'html'],
        ['application/json;q=0.9, text/html;q=0.8', 'json'],
        ['text/html;q=0', 'json'], ['text/htmlx', 'json'], [';q=,,;', 'json'],
        ['xtext/html', 'json'], ['text/htmlx, text/html', 'html'],
    ) {
        my ($accept, $form) = @$_;
        my $r = $t->get('/status',
                        headers => { $accept ? (Accept => $accept) : () });
        like $r->{headers}{'content-type'}, qr/$form/,
            'Accept: ' . ($accept // 'none') . " means $form";
    }

    my $r = $t->get('/status?format=json', headers => { Accept => 'text/html' });
    like $r->{headers}{'content-type'}, qr/json/, 'what is asked for wins';
};


subtest 'wrong arguments' => sub {
    for ('xml', '', 'JSON', 'json%00') {
        my $r = $t->get("/status?format=$_");
        is $r->{status}, 400, "unknown format: \"$_\"";
        like eval { json($r->{body})->{error} } // '',
            qr/prometheus/, '... says which there are';
    }

    is $t->get("/status?$_")->{status}, 400, "refused: $_"
        for 'limit=0', 'limit=257', 'limit=x', 'limit=', 'gateway=a%20b',
            'resource=%3Cscript%3E';
};


subtest 'methods' => sub {
    for my $method (qw(POST PUT DELETE OPTIONS PATCH)) {
        my $r = $t->get('/status', method => $method, body => 'x');
        is "$r->{status} $r->{headers}{allow}", '405 GET, HEAD', $method;
    }

    for my $form (qw(json prometheus html)) {
        my $r = $t->get("/status?format=$form", method => 'HEAD');
        is "$r->{status} $r->{body}", '200 ', "HEAD, $form";
        ok $r->{headers}{'content-length'} > 100, '... tells the length';
    }

    my $c = $t->connect;
    $c->send(Perm::Http->text('/status') x 3);
    is $c->response->{status}, 200, 'pipelined and kept alive' for 1 .. 3;
};


subtest 'the page\'s protection' => sub {
    my $r = $t->get('/status?format=html');
    my $policy = $r->{headers}{'content-security-policy'};
    like $policy, qr/^default-src 'none'; /, 'nothing is allowed by default';
    unlike $policy, qr/unsafe|\*|http/, '... and nothing unsafe or elsewhere';
    my ($nonce) = $policy =~ /script-src 'nonce-([0-9a-f]{32})'/;
    ok $nonce && $r->{body} =~ /<script nonce="$nonce">/,
        'a nonce for the script';
    isnt $policy, $t->get('/status?format=html')->{headers}
        {'content-security-policy'}, '... another one each time';
    unlike $r->{body}, qr{(?:src|href)\s*=\s*["']?(?:https?:)?//}i,
        'the page asks for nothing else';
};

done_testing;

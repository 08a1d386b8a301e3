#!/usr/bin/perl

# Last accesses travel apart from lookups, and by Redis's clock: a write that
# hangs delays no lookup, and a clock that is wrong for a moment leaves no
# access in the future.

use Perm::Test;

my $LIB = (glob '/usr/lib/*/faketime/libfaketime.so.1')[0];
my $DAY = 86400;

my $redis;
sub last_of { $redis->access('smoke', 'get_user', $_[0]) }

my $SERVER = <<'EOT';
        %%DECISION%%
        app_permission required;
        location = /a { app_permission_cache_valid 1h denied=1h; empty_gif; }
EOT


subtest 'writes that hang while reads go on' => sub {
    my $t = Perm::Test->new(late => 1);
    $redis = $t->redis->load->allow(map { "known-$_" } 1 .. 40);
    $t->nginx(server => $SERVER, workers => 2,
              http => 'app_permission_flush 1s;');
    ok $t->settled, 'ready';

    my $links = sub { map { /^id=(\d+) .* cmd=$_[0] / }
                          split /\n/, $redis->cmd('CLIENT', 'LIST') };
    like outcome("known-$_"), qr/^200/, 'known' for 1 .. 40;
    my @before = $links->('(?:hget|hmget|pttl)');
    wait_for(sub { !$t->status->{access}{pending} });
    cmp_ok scalar @before, '>=', 1, 'links of lookups';

    my $unwritten = qr/last accesses cannot be written and stay pending, lookup/;
    $redis->cmd('CLIENT', 'PAUSE', 20000, 'WRITE');
    my $begun = time;
    my (%got, @late);
    my ($n, $end) = (0, time + 15);
    while (time < $end && !$t->log_lines($unwritten)) {
        my $at = time;
        $got{outcome('unknown-' . ++$n)}++;
        push @late, $t->{late}->over($at, 0.25);
        outcome('known-' . (1 + $n % 40));
        select undef, undef, undef, 0.01;
    }
    is_deeply [keys %got], ["$DENY MISS"], "$n first calls, all answered";
    is join(' ', @late), '', '... at once';

    my $status = $t->status;
    ok $status->{redis}{up}, 'Redis is up';
    ok $status->{invalidation}{active}, 'changes are pushed';
    cmp_ok $status->{access}{unwritten_since}, '>', 0,
        'the status says that accesses are not written';
    my %after = map { $_ => 1 } $links->('\S+');
    is scalar(grep { !$after{$_} } @before), 0, 'no link of lookups was lost';
    is $t->log_lines($unwritten), 1, 'the log tells them apart';

    $redis->cmd('CLIENT', 'UNPAUSE');
    ok wait_for(sub { my $s = $t->status->{access};
                      !$s->{pending} && !$s->{unwritten_since} }, 8),
        'written when it is over';
    is scalar(grep { (last_of($_) // 0) >= int $begun }
              map { "known-$_" } 1 .. 40), 40, 'none is lost';
    ok $t->wait_log(qr/last accesses are written again/), 'as the log says';
    $t->stop;
};


# A value of the file is the time that nginx has

subtest 'a clock that is ahead for a moment' => sub {
    plan skip_all => 'no libfaketime' if !$LIB;
    plan skip_all => 'with a sanitizer' if defined $ENV{TEST_NGINX_BINARY};

    my $t = Perm::Test->new;
    $redis = $t->redis->load;
    $redis->grant('smoke', 'get_user', $_, time + 2000 * $DAY) for 'a', 'b';
    $t->config(server => $SERVER, http => 'app_permission_flush 200ms;',
        main => join "\n", map { "env $_;" } qw(LD_PRELOAD DONT_FAKE_MONOTONIC
            FAKETIME_NO_CACHE FAKETIME_TIMESTAMP_FILE));
    my $clock = sub { spew("$t->{dir}/clock.new", "$_[0]\n");
                      rename "$t->{dir}/clock.new", "$t->{dir}/clock" };
    $clock->('+0');
    {
        local %ENV = (%ENV, LD_PRELOAD => $LIB, DONT_FAKE_MONOTONIC => 1,
            FAKETIME_NO_CACHE => 1, FAKETIME_TIMESTAMP_FILE => "$t->{dir}/clock");
        $t->start;
    }

    my $written = sub {
        my ($app, $from) = @_;
        wait_for(sub { outcome($app);
                       (last_of($app) // 0) >= int $from }, 4);
    };
    my $from = time;
    ok $written->('a', $from), 'before';

    $clock->('+100d');
    ok wait_for(sub { $t->status->{access}{clock_ahead_seconds} }, 4), 'ahead';
    my $ahead = time;
    ok $written->('a', $ahead + 1), 'accesses are written';
    cmp_ok last_of($_) // 0, '<=', time, 'at most with the time of Redis'
        for 'a', 'b';
    my $status = $t->status;
    cmp_ok abs($status->{access}{clock_ahead_seconds} - 100 * $DAY), '<=', 2,
        'the status says by how much';
    like $t->get('/status')->{body}, qr/"clock_ahead"/, 'an alert';
    outcome('b');

    $clock->('+0');
    my $right = time;
    ok $written->('a', $right + 2), 'right again: accesses are recorded';
    ok $written->('b', $right), 'those as well that had not been sent';
    cmp_ok last_of($_), '<=', time, 'none in the future' for 'a', 'b';
    ok wait_for(sub { !$t->status->{access}{clock_ahead_seconds} }, 4),
        'the status knows';
    is $t->log_lines(qr/clock of this machine is \d+ s ahead of Redis/), 1,
        'said once';
    ok $t->wait_log(qr/is not ahead of Redis's any more/), 'and taken back';

    # the wrong way: the newest second stays

    my $last = last_of('a');
    $clock->('-5h');
    outcome('a') for 1 .. 3;
    wait_for(sub { !$t->status->{access}{pending} }, 4);
    cmp_ok last_of('a'), '>=', $last, 'five hours back: the newest stays';
    $clock->('+0');
    ok $written->('a', time + 1), 'right again: recorded';

    $redis->cmd('ACL', 'SETUSER', 'default', '-pttl');
    outcome('no-ttl');
    ok $t->wait_log(qr/answered PTTL with "NOPERM/), 'no right to PTTL';
    $redis->cmd('ACL', 'SETUSER', 'default', '+pttl');
    outcome('ttl');
    is $t->log_lines(qr/Redis answers PTTL/), 0, 'another server may have it';
    $clock->('+2m');
    ok wait_for(sub { outcome('n' . rand); $t->log_lines(qr/answers PTTL/) }),
        'two minutes later the log says that it is there';
    $clock->('+0');

    # an idle gateway has no answer that would end it

    my $refused = sub { grep { $_->{name} eq 'lookups_refused' }
                            @{$t->status->{problems}} };
    $redis->cmd('ACL', 'SETUSER', 'default', '-hmget');
    ok wait_for(sub { outcome('n' . rand); $refused->() }), 'lookups refused';
    $clock->('+9m');
    ok wait_for(sub { ($refused->())[0]{text} =~ /lookup [89] min ago/ }),
        'nine minutes later the alert says how long ago that was';
    $clock->('+11m');
    ok wait_for(sub { !$refused->() }), 'after ten it ends by itself';
    $t->stop;
};


# or the log would soon say that they cannot be written

subtest 'an outage shorter than the interval' => sub {
    my $t = Perm::Test->new;
    $redis = $t->redis->load->allow('demo');
    $t->nginx(server => $SERVER, http => 'app_permission_flush 1m;');
    ok wait_for(sub { $redis->calls('time') }), 'the first turn';
    outcome('demo');
    $redis->kill;
    ok wait_for(sub { my $s = $t->status; !$s->{redis}{up}
                          && $s->{access}{unwritten_since} }), 'down';
    $redis->run->load->allow('demo');
    ok $t->up, 'and up again';
    ok wait_for(sub { !$t->status->{access}{unwritten_since} }, 3),
        'accesses are written at once';
    ok last_of('demo'), '... that of before, too';
    is $t->log_lines(qr/last accesses/), 0, '... which is no news';
    $t->stop;
};


subtest 'without the right to TIME' => sub {
    my $t = Perm::Test->new;
    $redis = $t->redis->load->allow('demo');
    $redis->cmd('ACL', 'SETUSER', 'default', '-time');
    $t->nginx(server => $SERVER, http => 'app_permission_flush 200ms;');
    my $begun = int time;
    like outcome('demo'), qr/^200/, 'allowed';
    ok wait_for(sub { (last_of('demo') // 0) >= $begun }, 4),
        'written as it is';
    outcome('demo') && wait_until(time + 1) for 1, 2;
    is $t->log_lines(qr/does not tell its time.*NOPERM.*allow.*"time"/), 1,
        'said once';
};

done_testing;

#!/usr/bin/perl

# state=: what was known when nginx ended, also by kill -9, decides after the
# start while Redis is down.

use Perm::Test;

my %nginx = (workers => 2, server => <<'EOT', http => <<'HTTP');
        %%DECISION%%

        app_permission required;
        location = /a     { empty_gif; }
        location = /open  { app_permission_on_error allow; empty_gif; }
        location = /bound {
            app_permission_cache_valid 1s denied=1s;
            app_permission_cache_stale 1s;
            empty_gif;
        }
EOT
        app_permission_zone 4m state=%%DIR%%/state;
        app_permission_flush 1h;
HTTP

my $OPEN = '200 allow/unavailable MISS';

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $state = "$t->{dir}/state";

# unix seconds of when a whole state was written, 0 when there is none

sub saved {
    my ($magic, $saved) = unpack 'a8 x16 q', slurp($_[0]) . "\0" x 32;
    return $magic eq 'apppermS' ? $saved / 1000 : 0;
}

sub mode { sprintf '%04o', (stat $_[0])[2] & 07777 }

sub quit { is $t->{nginx}->quit, 0, 'nginx quits' }


subtest 'quit, and start with Redis down' => sub {
    $redis->allow(map { "app-$_" } 1 .. 20);
    $redis->grant('smoke', undef, 'gateway', 4102444800);
    $redis->allow('a' x 128);
    $redis->allow('changed');
    my $ends = int(time) + 2;
    $redis->grant('smoke', 'get_user', 'ending', $ends);

    $t->nginx(%nginx);
    $t->settled;
    is outcome($_), "$ALLOW MISS", $_
        for (map { "app-$_" } 1 .. 20), 'a' x 128, 'ending', 'changed';
    is outcome('gateway'), '200 allow/gateway_grant MISS', 'gateway';
    is outcome('nobody'), "$DENY MISS", 'nobody';

    $t->revoke('changed');
    quit();
    my $quit = time;
    cmp_ok saved($state), '>', time - 5, 'the state was written';
    is mode($state), '0600', 'readable by its owner only';
    is_deeply [glob "$state?*"], [], 'nothing besides it';
    $redis->stop;

    # the one has ended, and all are older than "/bound" has them

    wait_until($_) for $ends + 1, $quit + 2.1;
    $t->start;
    is outcome("app-$_"), "$ALLOW STALE", "app-$_: stale" for 1 .. 20;
    is outcome('a' x 128), "$ALLOW STALE", 'the longest name too';
    is outcome('gateway'), '200 allow/gateway_grant STALE', 'gateway: stale';
    is outcome('ending'), '403 deny/resource_grant_expired STALE',
        'one that has ended meanwhile denies';
    like outcome('nobody'), qr/^503|^\Q$DENY STALE/, 'a denial never allows';
    is outcome('changed'), $UNKNOWN,
        'one that was changed is not known any more';
    is outcome('unknown'), $UNKNOWN, 'unknown: unavailable';
    is outcome('unknown', '/open'), $OPEN, '... or on_error';
    is outcome('app-1', '/bound'), $UNKNOWN,
        'its age counts, cache_stale bounds it over the restart';
    is mode($_), '0600', "$_: mode" for glob "$state*";

    # once more without Redis: nothing is lost on the way

    quit();
    $t->start;
    is outcome('app-1'), "$ALLOW STALE", 'after another one: stale';

    $redis->run->load->allow('app-1');
    ok wait_for(sub { outcome('app-1') eq "$ALLOW MISS"
                      || outcome('app-1') eq "$ALLOW HIT" }, 2),
        'Redis is back: fresh';

    # the other worker's link may be up a little later

    my $got;
    wait_for(sub { ($got = outcome('app-2')) !~ /STALE/ }, 2);
    like $got, qr/^\Q$DENY\E (?:MISS|HIT)$/, 'and what it says counts';
};


# What a wrong Redis must not get is there for the right one.

subtest 'quit after a reload to a wrong database' => sub {
    ok $t->flushed, 'nothing is pending';
    ok $t->config(%nginx, redis => $redis->tcp_url . '/5')->reload, 'reloaded';
    becomes('app-1', "$ALLOW STALE", 'stale');
    wait_until(int(time) + 1);
    my $at = int time;
    is outcome('app-1'), "$ALLOW STALE", 'an access';
    quit();
    $redis->cmd('SELECT', 5);
    is $redis->cmd('DBSIZE'), 0, 'it is not there';
    $redis->cmd('SELECT', 0);
    $t->config(%nginx)->start;
    ok $t->flushed, 'the right one: written';
    cmp_ok $redis->access('smoke', 'get_user', 'app-1') // 0, '>=', $at,
        '... as it was';
};


# A state is never trusted while Redis answers: who was revoked while nginx
# was away is denied at once.

subtest 'start with Redis up' => sub {
    quit();
    $redis->forbid('app-1');
    $t->start;
    like outcome('app-1'), qr/^\Q$DENY\E (?:MISS|HIT)$/, 'revoked meanwhile';
};


# The state is at most a minute old when everything is killed.

subtest 'kill -9 of everything' => sub {
    $redis->allow(qw(demo changed));

    # a worker that begins to flush, also for another one that hangs, does so
    # at once, and only then each hour

    $redis->cmd('ACL', 'SETUSER', 'default', '-zadd');
    ok wait_for(sub { outcome($_) =~ /^\Q$ALLOW HIT/ }), "$_ known"
        for qw(demo changed);
    my $known = time;
    is $t->status->{access}{pending}, 2, 'accesses are pending';

    my $file;
    ok wait_for(sub {
        ($file) = grep { saved($_) > $known } $state, "$state~";
        return $file;
    }, 65), sprintf 'written after %.0f s', time - $known;
    is mode($_), '0600', "$_: mode" for glob "$state*";

    $t->{nginx}->kill;
    $redis->stop;
    $t->start;
    is outcome('demo'), "$ALLOW STALE", 'known after it';
    is outcome('unknown'), $UNKNOWN, 'unknown: unavailable';

    $redis->run;
    $redis->allow(qw(demo changed));
    $redis->load;
    my $access = wait_for(sub {
        $redis->access('smoke', 'get_user', 'changed')
    }, 5);
    ok $access, 'an access that was pending is written, with Redis back';
    ok $access >= int($known) - 1 && $access <= $known, '... as it was'
        or diag "$access, not $known";
    ok $redis->access('smoke', 'get_user', 'demo'), '... and the other';
    $t->settled;
    like outcome('demo'), qr/^\Q$ALLOW\E (?:MISS|HIT)$/, 'known anew';
    $redis->stop;
};


# Damaged, cut, foreign

subtest 'a damaged state' => sub {
    quit();
    my $good = slurp($state);
    cmp_ok length $good, '>', 150, 'a whole one';
    my $flip = sub {
        my ($at) = @_;
        my $bad = $good;
        substr($bad, $at, 1) ^= "\x40";
        return $bad;
    };

    for my $case (
        ['empty', ''],
        ['a byte', 'a'],
        ['cut in the header', substr $good, 0, 20],
        ['cut in the records', substr $good, 0, length($good) - 9],
        ['longer', $good . "\0" x 64],
        ['another magic', $flip->(1)],
        ['another version', $flip->(12)],
        ['another count', $flip->(41)],
        ['another checksum', $flip->(58)],
        ['a flipped bit in the records', $flip->(length($good) / 2)],
        ['... and in their last word', $flip->(length($good) - 1)],
        ['a foreign file', "# this is somebody's configuration\n" x 100],
        ['zeros', "\0" x 10000],
        ['a crafted length', substr($good, 0, 32) . pack('Q', 1 << 62)
            . substr($good, 40)],
    ) {
        my ($what, $bytes) = @$case;
        unlink glob "$state*";
        spew($state, $bytes);
        chmod 0600, $state;
        $t->mark;
        $t->start;

        is outcome('demo'), $UNKNOWN, "$what: not used";
        if ($bytes ne '') {
            like $t->new_log, qr/state.*is not used, .*renamed to/,
                '... the log says why';
            is slurp("$state.bad"), $bytes, '... set aside';
        }
        $t->{nginx}->kill;
    }

    # the whole one of the two serves

    for my $twin ($state, "$state~") {
        unlink glob "$state*";
        spew($state, $good);
        spew("$state~", $good);
        spew($twin, substr $good, 0, length($good) - 1);
        chmod 0600, $state, "$state~";
        $t->start;
        is outcome('demo'), "$ALLOW STALE", "$twin is cut: the other serves";
        $t->{nginx}->kill;
    }

    unlink glob "$state*";
    spew($state, $good);
    chmod 0600, $state;
    $t->start;
    is outcome('demo'), "$ALLOW STALE", 'the undamaged one is used';
    quit();
};


subtest 'nginx -t' => sub {
    my @before = (slurp($state), (stat $state)[9]);
    my ($status) = $t->check;
    is $status, 0, 'well';
    is_deeply [slurp($state), (stat $state)[9]], \@before,
        'leaves the state alone';

    spew($state, 'damaged');
    ($status) = $t->check;
    is slurp($state), 'damaged', '... and a damaged one, too';
    is_deeply [glob "$state*"], [$state], '... where it is';
    spew($state, $before[0]);

    $t->refuses('a directory that does not exist',
        qr/none\/state.*app_permission_zone/,
        %nginx, http => 'app_permission_zone 4m state=%%DIR%%/none/state;');
    for my $file ($state, "$state~") {
        rename $state, "$state.kept";
        symlink "$state.kept", $file;
        $t->refuses('a symbolic link',
            qr/"\Q$file\E" of "app_permission_zone" is a symbolic/, %nginx);
        unlink $file;
        rename "$state.kept", $state;
    }
    mkdir "$state~";
    $t->refuses('a directory for its twin',
        qr/state~" of "app_permission_zone" is not a regular file/, %nginx);
    rmdir "$state~";
    $t->refuses('no name', qr/app_permission_zone/, %nginx,
                http => 'app_permission_zone 4m state=;');
};

subtest 'a state of another user' => sub {
    plan skip_all => 'needs root' if $> != 0;
    my $nobody = getpwnam 'nobody';
    for my $file ($state, "$state~") {
        unlink glob "$state*";
        spew($file, 'x');
        chown $nobody, -1, $file;
        $t->refuses($file, qr/"\Q$file\E" of .* belongs to another user/,
                    %nginx);
        ok !eval { $t->start }, 'nginx does not start';
        is slurp($file), 'x', '... and it stays as it is';
    }
    $t->{nginx}->allow(qr/belongs to another user/);
    unlink glob "$state*";
};


# It is written step by step, between which requests have their turn.

sub unfinished {
    return grep {
        my ($file, $magic);
        open $file, '<', $_ and read $file, $magic, 8;
        ($magic // '') eq 'apppermU';
    } "$t->{dir}/many", "$t->{dir}/many~";
}

subtest 'many grants' => sub {
    $redis->run->load;
    my @many = map { "many-$_" } 1 .. 15000;
    $redis->allow(@many);

    # another nginx, as on a full disk: its log has room, not a whole state

    my $full = Perm::Test->new;
    my %small = (%nginx, workers => 1, redis => $redis->url,
                 server => "access_log off; $nginx{server}");
    my $nginx = $Perm::Nginx::BINARY;
    spew("$full->{dir}/nginx", <<"EOT");
#!/bin/sh
trap '' XFSZ
ulimit -S -f 128
exec $nginx "\$@"
EOT
    chmod 0755, "$full->{dir}/nginx";
    {
        local $Perm::Nginx::BINARY = "$full->{dir}/nginx";
        $full->nginx(%small);
    }
    $full->all_are([@many[0 .. 2999]], "$ALLOW MISS", 'known there');

    $t->config(%nginx, workers => 1, http => <<'EOT')->start;
        app_permission_zone 8m state=%%DIR%%/many;
        app_permission_flush 1h;
        app_permission_redis_timeout 5s;
EOT
    $t->settled;
    $t->all_are(\@many, "$ALLOW MISS", 'known');

    my ($n, $until) = (0, time + 60);
    wait_until(time + 0.002) until unfinished() || time > $until;
    while (unfinished()) {
        outcome('many-1');
        $n++;
    }
    cmp_ok $n, '>', 3, "$n requests are answered while it is written";

    my $alerts = sub { join ' ', map { $_->{name} }
                           @{$full->status->{problems}} };
    ok wait_for(sub { $alerts->() =~ /state_unwritten/ }, 20),
        'full: an alert';
    like $full->log, qr/\[error\] .* cannot write the state file .*File too/,
        '... and a line in the log';
    ok $full->apply(%small, http => 'app_permission_zone 4m;'),
        'a reload without one';
    unlike $alerts->(), qr/state_unwritten/, '... ends the alert';
    $full->stop;
    quit();
    $redis->stop;
};

$t->{nginx}->allow(qr/"app_permission_zone" has no directory/);
done_testing;

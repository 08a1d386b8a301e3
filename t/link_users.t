#!/usr/bin/perl

# The rights that README.md lists for the gateway: they suffice, each of them
# is needed, and the log names the one that is missing.

use Perm::Cluster;
use Perm::Test;

my $PASSWORD = 'opensesame';

# what README.md says, word by word

my $readme = slurp("$Perm::Test::ROOT/README.md");
my ($line) = $readme =~ /^ACL SETUSER (gateway .*)$/m
    or BAIL_OUT('README.md has no ACL SETUSER line for the gateway');
my ($more) = $readme =~ /^# with a cluster also (.*)$/m;
$line =~ s/>PASSWORD/>$PASSWORD/;
my @rights = split ' ', $line;
my @cluster = split ' ', $more;

my $t = Perm::Test->new;
my $redis = Perm::Redis->start(dir => "$t->{dir}/redis");
my $db = $redis->connect;
$db->cmd('SELECT', 2);
spew("$t->{dir}/password", "$PASSWORD\n");
spew("$t->{dir}/wrong", "notthis\n");

sub fill {
    for my $c ($redis, $db) {
        $c->cmd('HSET', 'app_permission:meta', 'schema', '1');
        $c->cmd('HSET', key('grants', 'demo'), 'get_user', int(time) + 3600);
    }
}

sub with {
    my ($url, $file) = @_;
    $file //= 'password';
    $t->apply(server => $ASKS, redis => $url, http => <<"EOT");
        app_permission_redis_user gateway;
        app_permission_redis_password_file %%DIR%%/$file;
        app_permission_redis_timeout 2s;
        app_permission_flush 1s;
EOT
}

# what the log says; of the workers that run now only, as old ones may try to
# connect once more

sub said {
    my ($now) = @_;
    my $pids = $now ? join '|', $t->{nginx}->workers : '\d+';
    return $t->new_lines(qr/\] (?:$pids)#.*app.permission: /);
}

sub logged {
    my ($pattern, $what) = @_;
    ok wait_for(sub {
        outcome('demo');
        return grep { $_ =~ $pattern } said();
    }, 5), $what
        or diag join "\n", said();
}

# lookups, recording and tracking all work

sub all_well {
    my ($what, $of) = @_;

    subtest $what => sub {
        becomes('demo', "$ALLOW MISS", 'lookups', undef, 5);
        ok $t->up, 'tracking';
        outcome('demo', '/long');
        my ($grants, $access) = map { key($_, 'demo') } 'grants', 'access';
        my $server = $of->($grants);
        $server->cmd('HDEL', $grants, 'get_user');
        becomes('demo', '403', '... works', '/long', 2);
        $server->cmd('HSET', $grants, 'get_user', int(time) + 3600);

        $server = $of->($access);
        $server->cmd('DEL', $access);
        ok wait_for(sub {
            outcome('demo');
            $server->cmd('ZSCORE', $access, 'get_user')
        }, 5), 'recording';

        # longer than a heartbeat

        wait_until(time + 1.5);
        my @bad = grep { /\[(?:error|warn)\]|NOPERM|right/
                         && !/ again after \d+ s$/ } said('now');
        is join("\n", @bad), '', 'nothing is amiss';
    };
}


$redis->cmd('ACL', 'SETUSER', @rights);
$redis->cmd('ACL', 'SETUSER', 'default', 'resetpass', '>admin');
fill();
my $url = "redis://127.0.0.1:$redis->{port}";
with($url);
all_well('a server', sub { $redis });
with("$url/2");
all_well('another database', sub { $db });
is scalar(grep { /denied|reason/ } map { "@$_" }
    grep { ref } @{$redis->cmd('ACL', 'LOG')}), 0, 'nothing was refused'
    or diag explain $redis->cmd('ACL', 'LOG');


# One right less each: what the log says of it.

sub without {
    my ($right) = @_;
    my @less = grep { $_ ne $right } @rights;
    is scalar @less, @rights - 1, "README.md has $right";
    return @less;
}

for my $case (
    ['+hget', qr/NOPERM.*'hget'/],
    ['+hmget', qr/NOPERM.*'hmget'/],
    ['+pttl', qr/answered PTTL with "NOPERM.*'pttl'/],
    ['+zadd', qr/last accesses.*NOPERM.*'zadd'/],
    ['+role', qr/no right to ROLE/],
    ['+select', qr/SELECT was refused.*NOPERM.*'select'/],
    ['+client|id', qr/does not push.*NOPERM.*'client(?:\|id)?'/],
    ['+client|tracking', qr/does not push.*NOPERM.*'client(?:\|tracking)?'/],
    ['+subscribe', qr/does not push.*NOPERM.*'subscribe'/],
    ['&__redis__:invalidate', qr/does not push.*NOPERM.*channel/],
    ['+ping', qr/no right to PING/],
    ['%R~app_permission:meta', qr/HGET.*NOPERM.*key/],
    ['%R~app_permission:grants:*', qr/HMGET.*NOPERM.*key/],
    [(grep { /access/ } @rights)[0], qr/last accesses.*NOPERM.*key/],
) {
    my ($right, $pattern) = @$case;

    subtest "without $right" => sub {
        $redis->cmd('ACL', 'DELUSER', 'gateway');
        $redis->cmd('ACL', 'SETUSER', without($right));
        with("$url/2");
        logged($pattern, 'the log names it');
        my @told = grep { /\[(?:error|warn|notice)\]/ && $_ =~ $pattern }
            said('now');
        cmp_ok scalar @told, '<=', 1, '... once' or diag join "\n", @told;
    };
}


subtest 'passwords' => sub {
    $redis->cmd('ACL', 'DELUSER', 'gateway');
    with($url);
    logged(qr/AUTH was refused: check user and password in .*WRONGPASS/,
        'no such user');
    is outcome('one'), $UNKNOWN, '... unavailable';

    $redis->cmd('ACL', 'SETUSER', @rights);
    becomes('demo', '200', 'there it is', undef, 5);

    with($url, 'wrong');
    logged(qr/AUTH was refused: check user and password in .*WRONGPASS/,
        'a wrong password');
    is outcome('two'), $UNKNOWN, '... unavailable';
    ok !grep({ /notthis|opensesame/ } said()), '... which is not in the log';

    spew("$t->{dir}/wrong", "$PASSWORD\n");
    ok $t->reload, 'reload';
    becomes('demo', '200', 'read anew', undef, 5);

    # changed while connected: connections go on, new ones do not

    $redis->cmd('ACL', 'SETUSER', 'gateway', 'resetpass', '>another');
    is outcome('demo'), "$ALLOW MISS", 'a connection goes on';
    $t->mark;
    $redis->cmd('CLIENT', 'KILL', 'USER', 'gateway');
    logged(qr/AUTH was refused.*WRONGPASS/, 'a new one does not');
};


# workers of before a reload, which live on for a request, tell no more of
# their links

subtest 'workers of before a reload' => sub {
    my $status = sub { $t->status->{redis} };
    my $down = sub {
        my $began = time;
        return wait_for(sub {
            my $r = $status->();
            return !$r->{up} || ($r->{last_error}{last} >= $began
                                 && !$r->{last_error}{over});
        }, 2);
    };

    spew("$t->{dir}/wrong", "another\n");
    ok $t->reload(old => 1), 'the right password';
    ok $t->up, 'is up';
    ok wait_for(sub { outcome('demo'); $status->()->{last_error}{over} }),
        '... the error is over';
    is $status->()->{server}, "127.0.0.1:$redis->{port}", 'the server';

    my $second = Perm::Redis->start(dir => "$t->{dir}/second");
    $second->cmd('HSET', 'app_permission:meta', 'schema', '1');
    my @slow = map { $t->connect } 1, 2;
    $_->send("GET /a HTTP/1.1\r\nHost: x\r\nX-App: slow\r\n") for @slow;
    outcome('demo');
    $t->config(redis => "redis://127.0.0.1:$second->{port}", server => $ASKS)
        ->mark;
    ok $t->reload(old => 1), 'another server';
    my $of = qr/\[notice\].*Redis 127\.0\.0\.1:$second->{port} is used/;
    ok $t->wait_new($of), '... which the log names';
    is $status->()->{server}, "127.0.0.1:$second->{port}", '... and the status';
    ok $t->up, 'it is up';

    $redis->cmd('ACL', 'SETUSER', 'gateway', '-hmget');
    $slow[0]->send("\r\n");
    like answer($slow[0]), qr/^503/, 'the old server refuses a lookup';
    is scalar(grep { $_->{name} eq 'lookups_refused' }
        @{$t->status->{problems}}), 0, '... which is no problem of the new one';
    is scalar $t->new_lines(qr/HMGET/), 0, '... nor in the log';

    $redis->cmd('CLIENT', 'KILL', 'USER', 'gateway');
    $redis->cmd('ACL', 'DELUSER', 'gateway');
    ok !$down->(), '... although the old server refuses the old worker'
        or diag explain $status->();
    is scalar $t->new_lines($of), 1, 'said once';

    undef @slow;
    $redis->cmd('ACL', 'SETUSER', @rights);
    $second->stop;
};


subtest 'a cluster' => sub {
    my $c = Perm::Cluster->start(dir => "$t->{dir}/c");
    my $user = sub { $_->cmd('ACL', 'SETUSER', @_) for $c->nodes };
    my $slot_key = key('grants', 'demo');
    $c->load->allow('demo');

    $user->(@rights, @cluster);
    with($c->url);
    all_well('all slots', sub { $c->owner($_[0]) });

    my $from_node = $c->owner($slot_key);
    my ($to) = grep { $_ != $from_node } $c->masters;
    my @move = ($c->slot($slot_key), $from_node, $to);
    $c->move_begin(@move);
    $c->move_keys(@move);
    is outcome('demo'), "$ALLOW MISS", 'ASK is followed';
    my %refused = map { my %entry = @$_; ("$entry{reason} $entry{object}" => 1) }
        map { @{$_->cmd('ACL', 'LOG')} } $c->nodes;
    is_deeply [keys %refused], [], 'nothing was refused';

    $t->mark;
    $user->('gateway', '-asking');
    logged(qr/no right to ASKING.*"\+asking"/, 'without +asking: logged');
    $c->move_end(@move);

    $user->('gateway', '+asking', '-cluster');
    with($c->url);
    logged(qr/no right to CLUSTER SLOTS/, 'without +cluster|slots: logged');
    is outcome('three'), $UNKNOWN, '... unavailable';
    $c->stop;
};

done_testing;

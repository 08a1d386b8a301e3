#!/usr/bin/perl

# apply, requests, approve, reject: an app asks, an administrator answers, the
# grant is there; two at once, and what is not as it should be.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $between = $t->fake_redis(to => $redis);
my $dir = $t->dir;
my $DAY = 86400;

my @ga = ('--gateway', 'g', '--app', 'a');
my @r = ('--resource', 'r');

sub stored {
    my ($app, $resource) = @_;
    my $value = $redis->cmd('HGET', key('requests', $app, 'g'), $resource);
    return defined $value ? json($value) : undef;
}

sub put {
    my ($app, $resource, $value) = @_;
    $redis->cmd('HSET', key('requests', $app, 'g'), $resource, $value);
}

sub granted {
    my ($app, $resource) = @_;
    my $value = $redis->value('g', $resource, $app);
    return defined $value ? json($value) : {};
}

sub history {
    my ($app) = @_;
    return map { { @{$_->[1]} } }
        @{$redis->cmd('XRANGE', key('history', $app, 'g'), '-', '+')};
}

sub near { cmp_ok abs($_[0] - $_[1]), '<', 60, $_[2] }


subtest 'apply' => sub {
    my ($out) = $t->cli_is(0, 'two resources', '--json', 'apply', @ga,
        qw(--resource r --resource s --resource r --days 30 --by me),
        '--reason', "why\r\n\e[31m \x{e5}\x{bc}\x{a0}");
    my @said = json_lines($out);
    is join(' ', map { "$_->{resource}:$_->{result}:$_->{status}" } @said),
        'r:applied:pending s:applied:pending', 'said, each once';
    my $r = stored('a', 'r');
    is_deeply [sort keys %$r], [qw(at by days reason status)], 'members';
    is "$r->{status} $r->{days} $r->{by}", 'pending 30 me', 'values';
    is $r->{reason}, "why\r\n\e[31m \xe5\xbc\xa0", 'the reason as it was given';
    near $r->{at}, time, 'when';

    ($out) = $t->cli_is(0, 'one is new', '--json', 'apply', @ga,
                        qw(--resource r --resource n));
    is join(' ', map { "$_->{resource}:$_->{result}" } json_lines($out)),
        'r:pending already n:applied', 'the other is left';
    is stored('a', 'r')->{days}, 30, 'as it was';
    is stored('a', 'n')->{days}, 180, '180 days by default';
    chomp(my $user = `id -un`);
    is stored('a', 'n')->{by}, $user, 'by whom it is run';
    $t->cli_is(1, 'nothing new', 'apply', @ga, @r);

    $t->cli_is(0, 'the whole gateway', 'apply', @ga, '--days', '0');
    is stored('a', '-')->{days}, 0, 'permanently';

    $redis->grant('g', 'ever', 'b', 4102444800);
    my @gb = ('--gateway', 'g', '--app', 'b');
    ($out) = $t->cli_is(1, 'what is owned permanently', 'apply', @gb,
                        '--resource', 'ever');
    like $out, qr/^owned permanently: app b, gateway g, resource ever$/m, 'said';
    is stored('b', 'ever'), undef, 'left';
    $redis->grant('g', undef, 'b', 4102444801);
    $t->cli_is(1, 'also by its gateway', 'apply', @gb, @r);

    for my $odd ('{"expires":4102444800}' . "\0", '{"expires":4102444800,"pad":"'
                 . 'x' x 65536 . '"}') {
        $redis->grant('g', 'odd', 'c', $odd);
        $redis->cmd('DEL', key('requests', 'c', 'g'));
        $t->cli_is(0, 'a value that no gateway reads is not owned', 'apply',
                   '--gateway', 'g', '--app', 'c', '--resource', 'odd');
        put('c', 'odd', '{"status":"pending","pad":"' . 'x' x 65536 . '"}');
        $t->cli_is(0, 'a request that nobody reads is replaced', 'apply',
                   '--gateway', 'g', '--app', 'c', '--resource', 'odd');
    }

    put('a', 'n', '{"status":"rejected","x":1}');
    $t->cli_is(0, 'again', 'apply', @ga, '--resource', 'n');
    is stored('a', 'n')->{x}, undef, 'replaces one that was handled';

    my %h = %{(history('a'))[0]};
    is_deeply \%h, { action => 'apply', resource => 'r', by => 'me', comment =>
        "why\r\n\e[31m \xe5\xbc\xa0" }, 'the history';
    is scalar(history('a')), 5, 'has each of them, and none that was left';
};


subtest 'wrong usage' => sub {
    $t->cli_is(2, "@$_[0 .. $#$_]", @$_) for
        ['apply', @ga, '--resource', '-'], ['apply', @ga, '--resource', 'a b'],
        ['apply', @ga, '--days', '36h'], ['apply', @ga, '--days', '36501'],
        ['apply', @ga, '--days', '-1'], ['apply', '--gateway', 'g'],
        ['apply', @ga, '--by', "a\nb"], ['apply', @ga, '--reason', ''],
        ['apply', @ga, '--reason', 'x' x 4097], ['apply', @ga, '--by', 'x' x 129],
        ['apply', @ga, '--reason', "\xff"], ['apply', @ga, '--notify', ' '],
        ['approve', @ga, '--days', '1h'], ['approve', '--app', 'a'],
        ['reject', @ga], ['reject', @ga, '--comment', ''],
        ['requests', '--status', 'new'], ['approve', @ga, '--notify', ''];
};


subtest 'requests' => sub {
    $redis->empty->load;
    my $now = int time;
    put('z', 'late', qq({"status":"pending","days":1,"by":"x","at":300}));
    put('a', 'first', qq({"status":"pending","days":0,"at":100,"more":[1, 2]}));
    put('a', '-', qq({"status":"pending","days":7,"at":200,"expires":1}));
    put('a', 'no', qq({"status":"rejected","days":7,"at":50,"comment":"c"}));
    put('a', 'yes', qq({"status":"approved","days":7,"at":60}));
    $redis->cmd('HSET', key('requests', 'a', 'h'), 'first',
        '{"status":"pending","at":150}');
    $redis->grant('g', 'first', 'a', $now + 1000)
          ->grant('g', undef, 'a', $now + 2000)
          ->grant('g', 'late', 'z', '"odd"');

    my $list = sub {
        my ($out) = $t->cli_is(0, "@_", '--json', 'requests', @_);
        return map { json($_) } split /\n/, $out;
    };
    my @all = $list->();
    is join(' ', map { "$_->{gateway}/" . ($_->{resource} // '-') } @all),
        'g/first h/first g/- g/late', 'pending, the oldest first';
    is_deeply $all[0], { gateway => 'g', resource => 'first', app => 'a',
        status => 'pending', days => 0, at => 100, more => [1, 2],
        expires => $now + 1000, gateway_expires => $now + 2000 },
        'as stored, with what the app has';
    is "$all[2]{expires} " . ($all[3]{expires} // 'none'),
        $now + 2000 . ' none', 'the grants of today, and none of its own words';
    is scalar($list->('--gateway', 'h')), 1, 'of a gateway';
    is scalar($list->('--app', 'z')), 1, 'of an app';
    is join(' ', map { $_->{resource} } $list->(@ga, '--status', 'rejected')),
        'no', 'rejected';
    is scalar($list->('--status', 'approved')), 1, 'approved';
    is join(' ', map { $_->{at} } $list->('--status', 'all')),
        '50 60 100 150 200 300', 'all';
    $t->cli_is(1, 'none', 'requests', '--app', 'nobody');
};


subtest 'odd texts are shown escaped' => sub {
    $redis->empty->load;
    put('a', 'r', qq({"status":"pending","at":1,"days":2,\n"reason":"n\\u0000l\\r\\n\\u001b[31m","by":"\e[1m","odd\n":"\xff"}));
    my ($out) = $t->cli_is(0, 'as a table', 'requests');
    like $out, qr/\\x1b\[1m/, 'by';
    like $out, qr/n\\x5cu0000l\\x5cr\\x5cn\\x5cu001b\[31m/,
        'a reason with a NUL is whole';
    unlike $out, qr/[^\x20-\x7e\n]/, 'printable only';
    ($out) = $t->cli_is(0, 'as JSON', '--json', 'requests');
    is scalar(() = $out =~ /\n/g), 1, 'one line';
    unlike $out, qr/[^\x20-\x7e\n]/, 'printable only';
    is json($out)->{reason}, "n\0l\r\n\e[31m", 'and nothing is lost';
    put('a', 'bad', '{"status":');
    put('a', 'odd field', '{"status":"pending"}');
    my (undef, $err) = $t->cli_is(1, 'some cannot be read', 'requests');
    like $err, qr/"bad": unreadable request, which "apply" replaces$/m, 'which is said';
    like $err, qr/"odd field": no name of a resource/, 'and of names';

    ($out, $err) = $t->cli_is(0, 'approve', 'approve', @ga, '--comment',
        "c\e[0m\r\nBcc: x", '--notify', 'cat');
    like $err, qr/"bad": unreadable request, which "apply" replaces$/m,
        'says so, too';
    is scalar(() = $out =~ /\n/g), 2, 'the object for CMD is one line';
    my ($object) = grep { /^\{/ } split /\n/, $out;
    unlike $object, qr/[^\x20-\x7e]/, 'and printable';
    is json($object)->{requests}[0]{comment}, "c\e[0m\r\nBcc: x", 'and whole';
    like $redis->cmd('HGET', key('requests', 'a', 'g'), 'r'),
        qr/"reason":"n\\u0000l\\r\\n\\u001b\[31m"/, 'the reason is kept';
};


subtest 'approve' => sub {
    $redis->empty->load;
    my $now = int time;
    put('a', 'new', '{"status":"pending","days":30,"reason":"w","by":"d","at":5,"ticket":12345678901234567890}');
    put('a', 'live', '{"status":"pending","days":10,"at":6}');
    put('a', 'over', '{"status":"pending","days":10,"at":7}');
    put('a', 'ever', '{"status":"pending","days":10,"at":8}');
    put('a', 'unread', '{"status":"pending","days":10,"at":9}');
    put('a', '-', '{"status":"pending","days":0,"at":10}');
    put('a', 'no', '{"status":"rejected","days":10,"at":10}');
    $redis->grant('g', 'live', 'a', $now + 100 * $DAY, granted => 7, x => '[1]')
          ->grant('g', 'over', 'a', $now - 100 * $DAY)
          ->grant('g', 'ever', 'a', 4102444800)
          ->grant('g', 'unread', 'a', '{"expires":"x"}');
    $redis->cmd('HSET', key('notices', 'a', 'g'), 'live', '5:3');

    my ($out) = $t->cli_is(0, 'all of the app', '--json', 'approve', @ga,
        '--by', 'boss', '--comment', 'fine', '--notify', "cat > $dir/told");
    is join(' ', map { $_->{result} } json_lines($out)),
        join(' ', ('approved') x 6), 'said';

    near granted('a', 'new')->{expires}, $now + 30 * $DAY, 'the days asked for';
    my $g = granted('a', 'new');
    is "$g->{type} $g->{by}", 'apply boss', 'type, and by whom';
    near $g->{granted}, $now, 'when';
    is granted('a', 'live')->{expires}, $now + 110 * $DAY,
        'a live grant is extended';
    is_deeply [@{granted('a', 'live')}{qw(granted x)}], [7, [1]],
        'and is the same one still';
    near granted('a', 'over')->{expires}, $now + 10 * $DAY,
        'one that is over begins anew';
    is granted('a', 'ever')->{expires}, 4102444800, 'a permanent one stays';
    near granted('a', 'unread')->{expires}, $now + 10 * $DAY,
        'one that cannot be read is replaced';
    is granted('a', undef)->{expires}, 4102444800, '0 days are permanent';
    is granted('a', 'no')->{expires}, undef, 'nothing for one that was handled';
    is $redis->cmd('HGET', key('notices', 'a', 'g'), 'live'), undef,
        'notices of the old end are forgotten';

    my $r = stored('a', 'new');
    is "$r->{status} $r->{handled_by} $r->{comment} $r->{granted_days} $r->{days} $r->{reason} $r->{by} $r->{at}",
        'approved boss fine 30 30 w d 5', 'the request';
    near $r->{handled_at}, $now, 'handled when';
    like $redis->cmd('HGET', key('requests', 'a', 'g'), 'new'),
        qr/"ticket":12345678901234567890/, 'unknown members are kept';

    my ($h) = grep { $_->{resource} eq 'live' } history('a');
    is "$h->{action} $h->{by} $h->{comment} $h->{before} $h->{expires}",
        "approve boss fine " . ($now + 100 * $DAY) . ' ' . ($now + 110 * $DAY),
        'the history';

    my $told = json(slurp("$dir/told"));
    is_deeply [sort keys %$told], [qw(app gateway requests)], 'CMD gets one object';
    my ($new) = grep { ($_->{resource} // '') eq 'new' } @{$told->{requests}};
    is "$new->{status} $new->{handled_by} $new->{expires}",
        "approved boss " . granted('a', 'new')->{expires}, 'with each request';

    $t->cli_is(1, 'nothing is left', 'approve', @ga);
};


subtest 'those named, other days' => sub {
    $redis->empty->load;
    my $now = int time;
    put('a', $_, '{"status":"pending","days":10,"at":1}') for 'r', 's', 't', '-';
    $t->cli_is(0, 'one', 'approve', @ga, @r, '--days', 3);
    near granted('a', 'r')->{expires}, $now + 3 * $DAY, '--days';
    is stored('a', 'r')->{granted_days} . ' of ' . stored('a', 'r')->{days},
        '3 of 10', 'granted_days';
    is stored('a', $_)->{status}, 'pending', "$_ is left" for 's', 't', '-';
    my ($out) = $t->cli_is(1, 'one that is none', 'approve', @ga, qw(--resource
        s --resource none --resource r --days 0));
    like $out, qr/^approved: app a, gateway g, resource s, permanent$/m,
        'the others are done';
    like $out, qr/^no such request: .* none$/m, 'said of each that is left';
    like $out, qr/^approved already: .*resource r/m, 'with what it is';
    $t->cli_is(0, 'the whole gateway alone', 'approve', @ga, '--whole-gateway');
    is stored('a', 't')->{status}, 'pending', 'and not the others';

    my ($no) = $t->cli_is(0, 'reject', '--json', 'reject', @ga, '--comment',
                          "no \"money\"", '--by', 'boss');
    is json($no)->{result}, 'rejected', 'said';
    my $s = stored('a', 't');
    is "$s->{status} $s->{handled_by} $s->{comment} $s->{days}",
        'rejected boss no "money" 10', 'the request';
    is granted('a', 't')->{expires}, undef, 'no grant';
    ok !exists $s->{granted_days}, 'no days';
    my ($h) = grep { $_->{action} eq 'reject' } history('a');
    is "$h->{by} $h->{resource} $h->{comment}", 'boss t no "money"', 'history';
    $t->cli_is(0, 'and again', 'apply', @ga, '--resource', 't');
};


subtest 'a grant that is never renewed' => sub {
    my $never = qr/: the grant on resource never is still never renewed, as it was given with --no-renew; "revoke" it first for one that is$/m;
    my $until = int(time) + $DAY;
    for my $end ($until, 5) {
        my $run = sub {
            $redis->grant('g', 'never', 'n', qq({"expires":$end,"renew":false}));
            $t->cli('apply', '--gateway', 'g', '--app', 'n', '--resource', 'never');
            return $t->cli_is(0, "approve one until $end", @_, 'approve',
                              '--gateway', 'g', '--app', 'n');
        };
        my (undef, $err) = $run->();
        like $err, $never, 'is said';
        is granted('n', 'never')->{renew}, JSON::PP::false, 'and kept';
        my ($out) = $run->('--json');
        is json($out)->{renew}, JSON::PP::false, 'JSON has it';
    }
    my ($out, $err) = $t->cli('apply', '--gateway', 'g', '--app', 'n');
    ($out, $err) = $t->cli_is(0, 'one that is', '--json', 'approve',
                              '--gateway', 'g', '--app', 'n');
    ok !exists json($out)->{renew}, 'JSON without it';
    is $err, '', 'nothing is said';
    $redis->grant('g', 'never', 'n', '{"expires":5,"renew":false}');
    $t->cli('apply', qw(--gateway g --app n --resource never --days 0));
    (undef, $err) = $t->cli_is(0, 'permanent', 'approve', qw(--gateway g --app n));
    is $err, '', 'needs no renewal';
};


subtest 'a table that is not loaded' => sub {
    $redis->empty;
    my (undef, $err) = $t->cli_is(0, 'takes requests', 'apply', @ga, @r);
    like $err, qr/: the table counts as not loaded.*\n.*: requests are stored all the same, and "approve" refuses them until then$/m,
        'which is said, and what becomes of them';
    $t->cli_is(1, 'and approves none', 'approve', @ga);
    is stored('a', 'r')->{status}, 'pending', 'it is pending';
    is granted('a', 'r')->{expires}, undef, 'without a grant';
    $t->cli_is(0, 'and rejects', 'reject', @ga, '--comment', 'x');
};


# What happens between reading and writing: the EVAL of the first is held until
# "meanwhile" was done.

sub race {
    my ($meanwhile, @args) = @_;
    $between->forget;
    $between->rules({ match => qr/^EVAL/, times => 1, hold => 1 });
    my $run = $t->cli_begin(@args, { redis => $between->url });
    ok wait_for(sub { scalar $between->commands(qr/^EVAL/) }), 'is about to write';
    $meanwhile->();
    $between->release;
    my ($status, $out) = $run->end;
    $between->rules;
    return ($status, $out);
}

sub pending {
    $redis->empty->load;
    put('a', 'r', '{"status":"pending","days":10,"at":1}');
}

my @reject = ('reject', @ga, '--comment', 'no', '--by', 'second');
my @approve = ('approve', @ga, '--by', 'second');

subtest 'two at once' => sub {
    for (['two approvals', \@approve, \@approve, 'approved'],
         ['an approval beside a rejection', \@reject, \@approve, 'approved'],
         ['a rejection beside an approval', \@approve, \@reject, 'rejected'],
         ['two rejections', \@reject, \@reject, 'rejected']) {
        my ($name, $slow, $fast, $is) = @$_;
        pending();
        my ($status, $out) = race(sub {
            $t->cli_is(0, 'the fast one wins', @$fast, '--by', 'first');
        }, @$slow);
        is $status, 1, "$name: the slow one does not";
        like $out, qr/^$is already: app a, gateway g, resource r, at 20/, 'and is told';
        my $r = stored('a', 'r');
        is "$r->{status} $r->{handled_by}", "$is first", 'nothing is half done';
        is scalar(history('a')), 1, 'nor is the history';
        my $grant = granted('a', 'r');
        is $grant->{by} // 'none', $is eq 'approved' ? 'first' : 'none',
            'nor the grant';
        near $grant->{expires}, time + 10 * $DAY, 'given once' if $is eq 'approved';
    }
};


subtest 'an approval beside a revoke' => sub {
    pending();
    $redis->grant('g', 'r', 'a', int(time) + $DAY);
    my ($status, $out) = race(sub { $t->cli_is(0, 'revoke', 'revoke', @ga, @r) },
                              @approve);
    is $status, 1, 'the revoke wins';
    like $out, qr/^still pending, as the grant was revoked meanwhile/, 'it is told';
    is stored('a', 'r')->{status}, 'pending', 'the request is as it was';
    is granted('a', 'r')->{expires}, undef, 'and there is no grant';

    pending();
    $redis->grant('g', 'r', 'a', int(time) + $DAY);
    ($status) = race(sub { $t->cli_is(0, 'approve', @approve) },
                     'revoke', @ga, @r);
    is $status, 0, 'a revoke that comes later takes what was approved';
    is granted('a', 'r')->{expires}, undef, 'no grant';
    is stored('a', 'r')->{status}, 'approved', 'the request was approved';
    is join(' ', map { $_->{action} } history('a')), 'approve revoke', 'history';
};


subtest 'an approval beside other changes' => sub {
    my $end = int(time) + 5 * $DAY;
    pending();
    $redis->grant('g', 'r', 'a', $end);
    my ($status) = race(sub { $redis->grant('g', 'r', 'a', $end + 7) }, @approve);
    is $status, 0, 'a grant that is renewed';
    is granted('a', 'r')->{expires}, $end + 7 + 10 * $DAY, 'is extended from there';

    pending();
    ($status) = race(sub { put('a', 'r', '{"status":"pending","days":20,"at":1}') },
                     @approve);
    is $status, 0, 'a request that was changed';
    is stored('a', 'r')->{granted_days}, 20, 'is read again';

    pending();
    my $out;
    ($status, $out) = race(sub { $redis->cmd('DEL', key('requests', 'a', 'g')) },
                           @approve);
    is $status, 1, 'a request that is gone';
    like $out, qr/^no such request/, 'is told';
    is granted('a', 'r')->{expires}, undef, 'without a grant';
};


subtest 'in one step' => sub {
    for my $kind ('history', 'requests', 'grants') {
        pending();
        $redis->cmd('DEL', key($kind, 'a', 'g'));
        $redis->cmd('SET', key($kind, 'a', 'g'), 'x');
        my ($status) = $t->cli(@approve, @r);
        isnt $status, 0, "$kind of another type: not approved";
        is granted('a', 'r')->{expires}, undef, 'no grant' if $kind ne 'grants';
        is stored('a', 'r')->{status}, 'pending', 'it is pending'
            if $kind ne 'requests';
    }
    pending();
    $redis->cmd('SET', key('notices', 'a', 'g'), 'x');
    $t->cli_is(0, 'notices of another type do no harm', @approve);
    ok granted('a', 'r')->{expires}, 'granted';
    $t->cli_is(0, 'nor to a grant', 'grant', @ga, @r);

    pending();
    $redis->grant('g', 'r', 'a', 5, x => '"' . 'y' x 65500 . '"');
    my ($out) = $t->cli_is(1, 'a grant that would be too long', @approve);
    like $out, qr/still pending, as its value or the grant's would be over 64 KiB/,
        'is told';
    is stored('a', 'r')->{status}, 'pending', 'it is pending';
};


subtest '--notify' => sub {
    pending();
    my ($out, $err) = $t->cli_is(1, 'a CMD that fails', '--json', @approve,
                                 '--notify', 'echo told; exit 3');
    like $err, qr/--notify failed for app a: exit status 3\n.*what was done stays/,
        'is told';
    like $err, qr/^told$/m, 'its output goes elsewhere with --json';
    is stored('a', 'r')->{status}, 'approved', 'and what was done stays';
    for (['apply', @ga, '--resource', 'y'], \@approve, \@reject) {
        pending();
        $t->cli_is(2, "$_->[0]: a CMD that is not there", @$_, '--notify',
                   '/nonexistent');
        is stored('a', 'y'), undef, 'nothing is asked for';
        is stored('a', 'r')->{status}, 'pending', 'nor answered';
    }
    pending();
    $t->cli_is(0, 'apply', 'apply', @ga, '--resource', 'x', '--reason', 'w',
               '--notify', "cat > $dir/told");
    my $told = json(slurp("$dir/told"));
    is "$told->{app} $told->{gateway} $told->{requests}[0]{resource} $told->{requests}[0]{reason}",
        'a g x w', 'what was asked for';
    unlink "$dir/told";
    $t->cli_is(1, 'again', 'apply', @ga, '--resource', 'x', '--notify',
               "cat > $dir/told");
    ok !-e "$dir/told", 'nobody is told of nothing';
    $t->cli_is(0, 'no password for CMD', @reject, '--notify',
               "env > $dir/told", { redis => 'unix:' . $redis->{socket} });
    unlike slurp("$dir/told"), qr/^APP_PERMISSION_PASSWORD/m, 'none';
};


subtest 'purge' => sub {
    $redis->empty->load;
    my $now = int time;
    my $old = $now - 366 * $DAY;
    put('a', 'old', qq({"status":"approved","handled_at":$old}));
    put('a', 'odd', qq({"status":"rejected"}));
    put('a', 'new', qq({"status":"rejected","handled_at":$now}));
    put('a', 'pending', qq({"status":"pending","at":5}));
    put('b', 'old', qq({"status":"approved","handled_at":$old}));
    $redis->cmd('HSET', key('notices', 'a', 'g'), old => "$old:3", new => "$now:3");
    $redis->cmd('XADD', key('history', $_, 'g'), $old * 1000, 'action', 'grant')
        for 'a', 'b';
    $redis->cmd('XADD', key('history', 'a', 'g'), '*', 'action', 'extend');

    my $counts = { grants => 0, accesses => 0, requests => 3, notices => 1,
                   history => 2 };
    my ($out) = $t->cli_is(0, 'dry', '--json', 'purge', '--dry-run');
    is_deeply json($out), $counts, 'counts';
    is $redis->cmd('HLEN', key('requests', 'a', 'g')), 4, 'and leaves all';
    ($out) = $t->cli_is(0, 'purge', '--json', 'purge');
    is_deeply json($out), $counts, 'the same counts';
    is_deeply [sort @{$redis->cmd('HKEYS', key('requests', 'a', 'g'))}],
        ['new', 'pending'], 'requests';
    is_deeply $redis->cmd('HKEYS', key('notices', 'a', 'g')), ['new'], 'notices';
    is join(' ', map { $_->{action} } history('a')), 'extend', 'history';
    is_deeply $redis->cmd('KEYS', '*:b}'), [], 'no empty key stays';
};


subtest '100,000 pending requests' => sub {
    plan skip_all => 'memory of a sanitizer' if $Perm::Util::SLOW > 1;
    $redis->empty->load;
    my $reason = 'because ' x 12;
    my $fill = sub {
        my ($from, $to) = @_;
        $redis->each(map { [key('requests', "app$_", 'g'), 'HSET', 'r',
            sprintf '{"status":"pending","days":180,"reason":"%s","by":"me","at":%d}',
                $reason, 1700000000 + $_ * 7919 % 100_003] } $from .. $to);
    };
    my $memory = sub {
        my ($n) = @_;
        my $run = $t->cli_begin('--json', 'requests');
        my $kb = 0;
        while ($run->goes_on) {
            $kb = $1 if slurp("/proc/$run->{pid}/status") =~ /^VmHWM:\s+(\d+)/m;
            select undef, undef, undef, 0.002;
        }
        my ($status, $out) = $run->end;
        is $status, 0, "lists $n";
        my @at = $out =~ /"at":(\d+)/g;
        is scalar @at, $n, 'each of them';
        ok !(grep { $at[$_] < $at[$_ - 1] } 1 .. $#at), 'the oldest first';
        return $kb;
    };
    $fill->(1, 25_000);
    my $some = $memory->(25_000);
    $fill->(25_000 * $_ + 1, 25_000 * ($_ + 1)) for 1 .. 3;
    my $all = $memory->(100_000);
    note "$some KB for 25,000, $all KB for 100,000";
    cmp_ok $some, '>', 1000, 'memory was read';
    cmp_ok $all, '<', 24_000, 'in less than 24 MB';
    cmp_ok $all - $some, '<', 3_000, 'which does not grow';
};

done_testing;

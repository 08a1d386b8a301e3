#!/usr/bin/perl

# The judge of histories (t/prove/histories.t): each kind of fault is seen, and
# its lawful twin is not taken for one.

use Perm::Test;
use Perm::History::Judge;

my $T = 1_800_000_000;      # when it all happens
my $GRANT = 4_000_000_000;


# ---- what happens

# a change of an app, that many seconds from the start

sub change {
    my ($at, $fields, %more) = @_;
    return { b => $T + $at, a => $T + $at + 0.001, fields => $fields, %more };
}

# 5 s after its beginning the app has a grant; later it has none

sub granted { (change(-100, {}), change(5, { r0 => $GRANT })) }
sub revoked { (granted(), change(20, {})) }

# a call of a1 for r0, that many seconds from the start

sub call {
    my ($at, $as, %more) = @_;
    my ($decision, $cache) = split / /, $as;
    return { sent => $T + $at, done => $T + $at + 0.002, app => 'a1',
        resource => 'r0', decision => $decision, cache => $cache // '',
        status => $decision =~ /^allow/ ? 200 : $decision =~ /^deny/ ? 403
                : $decision eq 'none' ? 0 : 503,
        expires => $decision =~ /^allow/ ? $GRANT : '', worker => 1, %more };
}

sub window {
    my ($from, $to, %more) = @_;
    return { from => $T + $from, to => $T + $to, %more };
}

sub judge {
    my (%o) = @_;
    return Perm::History::Judge->new(
        events => { a1 => [map { { %$_ } } @{$o{events} // []}] },
        windows => $o{windows} // [],
        clocks => $o{clocks} // [{ from => 0, to => 9e9, off => 0 }],
        late => sub { $o{late} // 0.01 });
}

# what is said of the last call, or ''

sub verdict {
    my ($calls, %o) = @_;
    my @wrong = judge(%o)->calls(@$calls);
    return join ', ', map {
        $_->[0] == $calls->[-1] ? $_->[1] : "an earlier call: $_->[1]"
    } @wrong;
}

sub lawful {
    my ($name, @more) = @_;
    is verdict(@more), '', $name;
}

sub wrong {
    my ($like, $name, @more) = @_;
    like verdict(@more), qr/^$like/, $name;
}

my $ALLOWED = 'allow/resource_grant';
my $DENIED = 'deny/no_grant';
my $FAILED = 'fail/unavailable';


# ---- what may be answered

subtest 'a revocation' => sub {
    my $late = [call(20.2, "$ALLOWED HIT")];
    my @revoked = (events => [revoked()]);

    wrong "$ALLOWED $GRANT, not", 'allowed 0.2 s later', $late, @revoked;
    lawful 'allowed 0.04 s later', [call(20.04, "$ALLOWED HIT")], @revoked;
    lawful 'denied at once', [call(20.002, "$DENIED HIT")], @revoked;
    lawful 'on a machine that is late', $late, @revoked, late => 0.1;
    lawful 'while no change is heard of', $late, @revoked,
        windows => [window(19, 21, blind => 0.55)];
    lawful '... and answers come late', $late, @revoked,
        windows => [window(19, 21, blind => 0.05), window(19, 21, slow => 0.1)];
    wrong $ALLOWED, '... but not longer than that',
        [call(20.7, "$ALLOWED HIT")], @revoked,
        windows => [window(19, 21, blind => 0.55)];
    wrong $ALLOWED, '... and not of another app', $late, @revoked,
        windows => [window(19, 21, blind => 0.55, apps => { a2 => 1 })];
    lawful 'a change of which nobody knows whether it was made', $late,
        events => [granted(), change(20, {}, a => 9e99)];
};

subtest 'two workers that track' => sub {
    my $late = [call(20.2, "$ALLOWED HIT")];
    my @revoked = (events => [revoked()]);

    wrong $ALLOWED, 'one is away', $late, @revoked,
        windows => [window(19, 21, less => 1)];
    wrong $ALLOWED, 'one after the other', $late, @revoked,
        windows => [window(15, 17, less => 1), window(18.5, 21, less => 1)];
    lawful 'both are away', $late, @revoked,
        windows => [window(19, 19, less => 1.5), window(19.5, 21, less => 1)];
    wrong $ALLOWED, '... but not longer than 0.6 s',
        [call(20.7, "$ALLOWED HIT")], @revoked,
        windows => [map { window(19, $_, less => 1) } 21, 22];
};

subtest 'what was never allowed' => sub {
    my @none = (events => [change(-100, {})]);

    wrong $ALLOWED, 'allowed', [call(10, "$ALLOWED MISS")], @none;
    lawful 'denied', [call(10, "$DENIED MISS")], @none;
    wrong $ALLOWED, 'the end of another grant',
        [call(10, "$ALLOWED MISS", expires => $GRANT - 1)],
        events => [granted()];
    wrong $DENIED, 'denied in spite of a grant', [call(10, "$DENIED MISS")],
        events => [granted()];
    wrong "$ALLOWED with 403", 'a status that is not the decision',
        [call(10, "$ALLOWED MISS", status => 403)], events => [granted()];
    wrong 'status 500', 'another status',
        [call(10, "$FAILED", status => 500)], events => [granted()];
};

subtest 'ends' => sub {
    my $ended = 'deny/resource_grant_expired';
    my @ends = (events => [change(-100, { r0 => $T + 30 })]);
    my $allowed = sub { [call($_[0], "$ALLOWED HIT", expires => $T + 30)] };

    lawful 'before its end', $allowed->(29.9), @ends;
    wrong $ALLOWED, 'after its end', $allowed->(30.1), @ends;
    lawful 'denied after it', [call(30.1, "$ended HIT")], @ends;
    wrong $ended, 'denied before it', [call(29.9, "$ended HIT")], @ends;
    lawful 'denied before it by a clock that is ahead',
        [call(29.9, "$ended HIT")], @ends,
        clocks => [{ from => 0, to => 9e9, off => 2 }];

    my @ttl = (events => [change(-100, {}), change(10, { r0 => $GRANT },
        lo => $T + 12, hi => $T + 12.001)]);
    lawful 'before its key is gone', [call(11.9, "$ALLOWED HIT")], @ttl;
    wrong $ALLOWED, 'after it', [call(12.2, "$ALLOWED HIT")], @ttl;
    lawful 'denied after it', [call(12.2, "$DENIED HIT")], @ttl;
    wrong $DENIED, 'denied before it', [call(11.5, "$DENIED HIT")], @ttl;
};

subtest 'no answer' => sub {
    my @granted = (events => [granted()]);

    wrong 'no answer', 'for no reason', [call(10, 'none')], @granted;
    lawful 'while a worker is killed', [call(10, 'none')], @granted,
        windows => [window(9.9, 10.1, lost => 1)];
    wrong 'no answer', 'stopped for too short a time', [call(10, 'none')],
        @granted, windows => [window(9.9, 10.9, lost => 7)];
};

subtest 'unavailable' => sub {
    my @granted = (events => [granted()]);
    my $failed = [call(10, $FAILED)];
    my @down = (windows => [window(9, 11, stale => 1, fail => 1)]);

    wrong 'unavailable while', 'for no reason', $failed, @granted;
    lawful 'while Redis is gone', $failed, @granted, @down;
    lawful 'on a machine that hangs', $failed, @granted, late => 0.2;
    wrong 'unavailable while', 'on one that is only late', $failed, @granted,
        late => 0.12;
    wrong 'unavailable, and', 'while Redis is gone, of what was known',
        [call(8, "$ALLOWED HIT"), call(10, $FAILED)], @granted, @down;
    lawful '... of what was changed since',
        [call(8, "$ALLOWED HIT"), call(10, $FAILED)],
        events => [granted(), change(8.5, {})], @down;

    my @held = ([call(9.2, "$DENIED HIT"), call(10, $FAILED)],
        events => [change(-100, {}), change(6, {})]);
    my @late = (window(5, 8, again => 0.5), window(8.4, 9.9, again => 0.2));
    lawful '... of what was reported late, and held then', @held,
        windows => [@late, @{$down[1]}];
    wrong 'unavailable, and', '... of what was reported before that', @held,
        windows => [$late[0], window(8.6, 9.9, again => 0.2), @{$down[1]}];

    my @hangs = (windows => [window(9.8, 10.4, stale => 1, fail => 0.48)]);
    lawful 'while Redis hangs', $failed, @granted, @hangs;
    wrong 'unavailable while', '... not for long enough', $failed, @granted,
        windows => [window(9.8, 10.2, stale => 1, fail => 0.48)];

    my @slow = (windows => [window(9, 11, slow => 1, timeout => 1)]);
    lawful 'after the time-out, while Redis is slow',
        [call(10, $FAILED, done => $T + 10.5)], @granted, @slow;
    wrong 'unavailable while', '... before it',
        [call(10, $FAILED, done => $T + 10.3)], @granted, @slow;
};

subtest 'STALE' => sub {
    my @granted = (events => [granted()]);
    my $stale = [call(10, "$ALLOWED STALE")];
    my @down = (windows => [window(9, 11, stale => 1, fail => 1)]);

    wrong 'stale while', 'for no reason', $stale, @granted;
    lawful 'while Redis is gone', $stale, @granted, @down;
    lawful 'while Redis is slow', $stale, @granted,
        windows => [window(9, 11, slow => 1)];
    lawful 'on a machine that is late', $stale, @granted, late => 0.05;
    lawful 'after 100 ms',
        [call(10, "$ALLOWED STALE", done => $T + 10.101)], @granted;
    my $slow = call(9.95, "$ALLOWED MISS", done => $T + 10.1);
    lawful 'beside a call that waits', [$slow, @$stale], @granted;
    wrong 'stale while', 'beside one of another worker',
        [{ %$slow, worker => 2 }, @$stale], @granted;
    wrong $ALLOWED, 'a grant that was gone before that',
        [call(22, "$ALLOWED STALE")], events => [revoked()],
        windows => [window(21, 23, stale => 1, fail => 1)];
    lawful 'a grant that went while Redis was gone',
        [call(22, "$ALLOWED STALE")], events => [revoked()],
        windows => [window(19, 23, stale => 1, fail => 1)];
};

subtest 'a MISS of what was known' => sub {
    my @granted = (events => [granted()]);
    my $twice = [call(10, "$ALLOWED MISS"), call(12, "$ALLOWED MISS")];

    wrong 'Redis was asked', 'for no reason', $twice, @granted;
    lawful 'a HIT', [call(10, "$ALLOWED MISS"), call(12, "$ALLOWED HIT")],
        @granted;
    lawful 'the first call', [call(10, "$ALLOWED MISS")], @granted;
    lawful 'after a change', $twice,
        events => [granted(), change(11, { r0 => $GRANT })];
    lawful 'after a change that a stopped worker reports once more', $twice,
        events => [granted(), change(9.49, { r0 => $GRANT })],
        windows => [window(9.5, 11, again => 0.2)];
    lawful 'after an outage', $twice, @granted,
        windows => [window(10.5, 11, stale => 1)];
    wrong 'Redis was asked', 'long after it', $twice, @granted,
        windows => [window(5, 6, stale => 1)];
    lawful 'after both workers that track were away', $twice, @granted,
        windows => [window(10, 10, less => 1), window(10.5, 10.5, less => 1)];
    wrong 'Redis was asked', 'after one of them was', $twice, @granted,
        windows => [window(10, 11, less => 1)];
    lawful 'two at the same time',
        [call(10, "$ALLOWED MISS", done => $T + 10.1),
         call(10.05, "$ALLOWED MISS")], @granted;
    lawful 'of a resource that is cached for a second',
        [call(10, "$ALLOWED MISS"),
         call(12, "$DENIED MISS", resource => 'r1')], @granted;
};


# ---- accesses

# what is said of the accesses of these calls, with this score in Redis

sub lost {
    my ($score, $calls, %o) = @_;
    my $emptied = delete $o{emptied} // [];
    return join '; ', judge(%o)->accesses(
        { map { $_ => $T + $score->{$_} } keys %$score }, $emptied, @$calls);
}

subtest 'accesses' => sub {
    my $calls = [call(8, "$ALLOWED HIT"), call(10, "$ALLOWED HIT"),
                 call(12, "$DENIED HIT")];
    my $emptied = [{ from => $T + 11, to => $T + 13 }];

    is lost({ 'a1 r0' => 10 }, $calls), '', 'the newest one';
    like lost({}, $calls), qr/a1 r0: nothing, not/, 'lost';
    like lost({ 'a1 r0' => 8 }, $calls), qr/a1 r0: \d+8, not \d+10/,
        'an older one';
    like lost({ 'a1 r0' => 12 }, $calls), qr/the newest was/, 'a newer one';
    like lost({ 'a1 r0' => 10, 'a1 r1' => 10 }, $calls),
        qr/^a1 r1: never allowed/, 'of what was never allowed';
    is lost({ 'a1 r0' => 8 }, $calls, emptied => $emptied), '',
        'lost with its server';
    is lost({ 'a1 r0' => 12 }, [@$calls, call(4, 'none', done => $T + 11)],
            windows => [window(4, 12, lost => 7)]), '',
        'by a worker that was stopped until then';
    like lost({ 'a1 r0' => 7 }, $calls, emptied => $emptied), qr/not \d+8/,
        '... but not those long before';
    is lost({}, $calls, emptied => [{ %{$emptied->[0]}, all => 1 }]), '',
        '... unless all was lost';
    like lost({ 'a1 r0' => 8 }, $calls, emptied => [
        { %{$emptied->[0]}, apps => { a2 => 1 } }]), qr/not \d+10/,
        '... or by a server that does not have it';
};

subtest 'accesses, and a clock that is set' => sub {
    my @clocks = map { { from => $T + $_->[0], to => $T + $_->[1],
                         off => $_->[2] } }
        [-1e6, 9, 0], [9, 11, -3600], [11, 9e6, 0];
    my $behind = [call(10, "$ALLOWED HIT")];
    my @set = (clocks => \@clocks);

    is lost({ 'a1 r0' => 10 - 3600 }, $behind, @set), '', 'one that is behind';
    like lost({}, $behind, @set), qr/nothing, not/, 'lost';
    like lost({ 'a1 r0' => 10 - 3610 }, $behind, @set), qr/, not/, 'an older one';
    like lost({ 'a1 r0' => 10 - 3600 }, [@$behind, call(20, "$ALLOWED HIT")],
              @set), qr/not \d+19/, 'lost after the clock was right again';

    my $twice = [call(5, "$ALLOWED HIT"), @$behind];
    my @emptied = (emptied => [{ from => $T + 6, to => $T + 7, all => 1 }]);
    is lost({}, $twice, @set, @emptied), '',
        'behind one before that, which Redis has lost';
    like lost({}, $twice, @set), qr/not \d+4/, '... or has not';
    like lost({}, $behind, @set, @emptied), qr/nothing, not/, '... or is none';

    $clocks[1]{off} = 3600;
    is lost({ 'a1 r0' => 10 }, $behind, @set), '', 'ahead: by the time of Redis';
    like lost({ 'a1 r0' => 3610 }, $behind, @set), qr/the newest was/,
        '... and not by its own';
    like lost({}, $behind, @set), qr/nothing, not/, '... lost';
};

done_testing;

#!/usr/bin/perl

# Links that nobody uses: one that was dropped without a word is found out
# before a call meets it, and one that the server closes is no error.

use Perm::Proxy;
use Perm::Test;

my $t = Perm::Test->new(late => 1);
my $redis = $t->redis->load;
$redis->allow('demo');

my $proxy = Perm::Proxy->start(to => "127.0.0.1:$redis->{port}");
my $n = 0;

sub errors { $t->new_lines(qr/\[error\].*(?:Redis \S+:\d+: |is down)/) }

sub with {
    my ($url, $more) = @_;
    $t->apply(server => $ASKS, redis => $url, http => $more // '');
    ok $t->up, 'up';
}

# the first call after it, of an app that nobody knows

sub first_call {
    my ($what) = @_;
    my $begun = time;
    is outcome('unknown-' . ++$n), "$DENY MISS", "$what: answered";
    $t->soon($begun, 0.1, '... soon');
}

sub no_error { is join("\n", errors()), '', '... no error' }


subtest 'forgotten by a firewall' => sub {
    with("redis://127.0.0.1:$proxy->{port}",
         'app_permission_redis_timeout 300ms;');
    ok wait_for(sub { $proxy->connections >= 4 }), 'connected';

    for my $round (1, 2) {
        $proxy->silence;
        my $begun = time;
        my $made = sub { $proxy->connections };
        ok wait_for(sub { $made->() >= 4 }, 5), 'links are made anew';
        $t->soon($begun, 2.2);
        ok $t->up, '... and changes pushed';
        first_call('dropped without a word');
    }
    ok $t->new_lines(qr/no answer to a command/), 'the log says so';
};


# The first link of a worker that ends so is no failure, nor is one that is a
# second old.

subtest "closed by a proxy $_" => sub {
    my $old = $_ eq 'later';
    wait_until(time + 1.1) if $old;
    with("redis://127.0.0.1:$proxy->{port}") if !$old;
    $t->mark;
    my $before = $proxy->accepted;
    $proxy->drop;
    ok wait_for(sub { $proxy->accepted >= $before + 4 }), 'made anew';
    ok $t->up, 'up';
    first_call('closed');
    no_error();
    ok $t->new_lines(qr/\[info\].*idle connection ended/), '... in the log';
} for 'at once', 'later';


# A time-out of a second leaves a beat too little room on a busy machine.

subtest "a server with a time-out" => sub {
    $redis->cmd('CONFIG', 'SET', 'timeout', 2);
    with($redis->tcp_url);
    undef $proxy;
    $t->mark;
    my $ids = sub { sort map { /^id=(\d+) addr=127/ ? $1 : () }
        split /\n/, $redis->connect->cmd('CLIENT', 'LIST') };
    ok wait_for(sub { 4 == (() = $ids->()) }), 'connected';
    my @before = $ids->();
    wait_until(time + 4.2);
    is join(' ', $ids->()), "@before", 'no link is closed';
    first_call('after a while');
    no_error();
    is scalar($t->new_lines(qr/idle connection|tracking to Redis \S+ ended/)),
        0, 'nothing ended';
};


subtest 'no beat keeps a worker' => sub {
    my ($pid) = $t->{nginx}->workers;
    my $begun = time;
    $t->reload;
    ok wait_for(sub { !-e "/proc/$pid/stat"
        || slurp("/proc/$pid/stat") =~ /^\d+ \(.*\) Z/ }), 'it quits';
    $t->soon($begun, 1);
};


subtest 'the server dies' => sub {
    wait_until(time + 1.1);
    $t->mark;
    $redis->stop;
    ok $t->wait_new(qr/\[error\].*Redis \S+:\d+: .*refused/, 5),
        'an error where it stays away';
    is scalar(errors()), 2, '... once, and what that means'
        or diag join "\n", errors();

    $redis->run->load->allow('demo');
    ok $t->up, 'back';
    ok $t->wait_new(qr/\[error\].*Redis is up again after \d+ s/),
        'back: at the level of the loss';
};

done_testing;

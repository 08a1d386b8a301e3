#!/usr/bin/perl

# Host names: several addresses, changing ones, and none, from the system at
# start and from nginx's resolver all the time.

use Perm::Dns;
use Perm::Test;

my $t = Perm::Test->new(late => 1);

# the same port at two addresses: what differs is who has a grant

my $port = $t->port('redis');
my %at = map { my $n = $_;
    my $redis = Perm::Redis->start(dir => "$t->{dir}/r$n", port => $port,
        conf => ["bind 127.0.0.$n"]);
    $redis->load->allow('both', "only-$n");
    $n => $redis } 2, 3;


my $dns = Perm::Dns->start(dir => $t->{dir}, port => $t->port('dns'));

sub names { $dns->names(@_) }

names('127.0.0.2');


my $RESOLVER = 'resolver 127.0.0.1:%%PORT_dns%% ipv6=off valid=1s;
                resolver_timeout 1s;';

sub with {
    my ($url, $directives) = @_;
    $t->apply(server => $ASKS, redis => $url,
              http => 'app_permission_flush 1s; ' . ($directives // ''));
}

# it is this one that is asked, and that tells of changes

sub asks {
    my ($n, $what, $limit) = @_;
    my $begun = time;
    ok wait_for(sub { outcome("only-$n") eq "$ALLOW MISS" }, 8), $what
        or diag $t->new_log;
    $t->soon($begun, $limit) if $limit;

    ok $t->up, '... pushed';
    becomes("only-$n", "$ALLOW HIT", '... known', '/long');
    $at{$n}->forbid("only-$n");
    becomes("only-$n", '403', '... changes too', '/long', 3);
    $at{$n}->allow("only-$n");
}


subtest 'of the system' => sub {
    my $redis = Perm::Redis->start(dir => "$t->{dir}/local");
    $redis->load->allow('local');
    with("redis://localhost:$redis->{port}");
    becomes('local', "$ALLOW MISS", 'localhost');
    $redis->stop;

    $t->refuses('one that does not exist',
        qr/"nowhere\.invalid" in "app_permission_redis"; .*configure "resolver"/,
        server => $ASKS, redis => 'redis://nowhere.invalid');
};


my $url = "redis://redis.test:$port";

subtest 'of the resolver' => sub {
    with($url, $RESOLVER);
    ok $t->wait_log(
        qr/host "redis\.test" in "app_permission_redis"; it is left to/),
        'left to it';
    asks(2, 'one address');
    is outcome('only-3'), "$DENY MISS", 'not the other';
};


# The former server is a master still, and closes nothing.  "valid=1s" is in
# whole seconds, the last one included: the resolver keeps the old address for
# almost two at worst.

subtest 'the address changes' => sub {
    becomes('both', "$ALLOW HIT", 'known for an hour', '/long');
    names('127.0.0.3');
    asks(3, 'the new one is connected to', 3);
    $at{3}->forbid('both');
    becomes('both', '403', '... and what was known is not trusted', '/long', 3);
    $at{3}->allow('both');
    is scalar($t->new_lines(qr/\[error\].*Redis redis/)), 0,
        'no error of the link'
        or diag $t->new_log;
};


# An address that nobody listens at, and one that does.

subtest 'several addresses' => sub {
    names('127.0.0.9', '127.0.0.3', '127.0.0.8');
    with($url, $RESOLVER);
    asks(3, 'the one that answers', 3);
    is outcome('both'), "$ALLOW MISS", '... goes on';
};


subtest 'the next address after a failure' => sub {
    names('127.0.0.2', '127.0.0.3');
    with($url, $RESOLVER);
    becomes('both', "$ALLOW MISS", 'either', undef, 5);

    for my $n (2, 3) {
        my $other = 5 - $n;
        $at{$n}->kill;
        my $begun = time;
        becomes("only-$other", "$ALLOW MISS", "127.0.0.$n dies: the other one",
            undef, 5);
        $t->soon($begun, 2, '... soon');
        asks($other, '... and stays');
        $at{$n}->run->load;
        $at{$n}->allow('both', "only-$n");
    }
};


# The server at the first address refuses the handshake.

subtest 'the next address after a refusal' => sub {
    $at{2}->cmd('CONFIG', 'SET', 'requirepass', 'secret');
    $at{2}->cmd('CLIENT', 'KILL', 'TYPE', $_) for qw(normal pubsub);

    for my $addrs (['127.0.0.2', '127.0.0.3'], ['127.0.0.3', '127.0.0.2']) {
        names(@$addrs);
        with($url, $RESOLVER);
        becomes('only-3', "$ALLOW MISS", "@$addrs", undef, 5);
        ok $t->up, '... pushed';
    }

    $at{2}{client} = undef;
    $at{2}->kill;
    $at{2}->run->load;
    $at{2}->allow('both', 'only-2');
};


subtest 'no answer' => sub {
    names('silent');
    with($url, $RESOLVER);
    ok $t->wait_new(qr/redis\.test:\d+: the name cannot be resolved/, 6),
        'logged';
    is outcome('new'), $UNKNOWN, 'unavailable';
    my @waited;
    for (1 .. 20) {
        my $begun = time;
        outcome('both');
        push @waited, $t->{late}->over($begun, 0.1);
    }
    is "@waited", '', '... and nobody waits';

    names('none');
    ok $t->wait_new(qr/cannot be resolved: Host not found/, 6),
        'no such name: logged';

    names('127.0.0.2');
    asks(2, 'there it is', 5);
};

done_testing;

#!/usr/bin/perl

# Host names: several addresses, changing ones, and none, from the system at
# start and from nginx's resolver at every new connection.

use strict;
use warnings;

use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

use Perm::Late;
use Perm::Redis;
use Perm::Test;
use Perm::Util qw(reap);

my $SERVER = <<'EOT';
        add_header X-Decision
 "$app_permission_decision/$app_permission_reason $app_permission_cache" always;
        app_permission required;

        location = /a    { app_permission_cache_valid 0s denied=0s; empty_gif; }
        location = /long { app_permission_cache_valid 1h; empty_gif; }
EOT

my $ALLOW = '200 allow/resource_grant';
my $t = Perm::Test->new;
my $late = Perm::Late->start($t->{dir});

# the same port at two addresses: what differs is who has a grant

my $port = $t->port('redis');
my %at = map { my $n = $_;
    my $redis = Perm::Redis->start(dir => "$t->{dir}/r$n", port => $port,
        conf => ["bind 127.0.0.$n"]);
    $redis->load->grant('smoke', 'get_user', $_, time + 3600)
        for 'both', "only-$n";
    $n => $redis } 2, 3;


# a DNS server: what the file says, with a time to live of a second

my $dns = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1',
                                LocalPort => $t->port('dns')) or die "$!\n";
my $zone = "$t->{dir}/zone";

sub names {
    spew("$zone.new", join ' ', @_);
    rename "$zone.new", $zone;
}

sub answer {
    my ($query) = @_;
    my ($id, undef, $n) = unpack 'nnn', $query;
    my $text = slurp($zone);
    return if $text eq 'silent';

    my $end = index $query, "\0", 12;
    my $question = substr $query, 12, $end + 5 - 12;
    my ($type) = unpack 'n', substr $question, -4;
    my @addrs = $text eq 'none' ? () : split ' ', $text;
    my $rcode = @addrs ? 0 : 3;
    @addrs = () if $type != 1;

    return pack('n6', $id, 0x8180 | $rcode, 1, scalar @addrs, 0, 0) . $question
        . join '', map { pack('n3Nn', 0xc00c, 1, 1, 1, 4)
                         . pack 'C4', split /\./ } @addrs;
}

names('127.0.0.2');
my $pid = fork // die;
if (!$pid) {
    $SIG{TERM} = 'DEFAULT';
    while (my $from = $dns->recv(my $query, 512)) {
        my $answer = answer($query);
        $dns->send($answer, 0, $from) if defined $answer;
    }
    POSIX::_exit(0);
}

END { my $status = $?; kill 'KILL', $pid if $pid; $? = $status }


my $RESOLVER = 'resolver 127.0.0.1:%%PORT_dns%% ipv6=off valid=1s;
                resolver_timeout 1s;';
my $from = 0;

sub error_log { slurp("$t->{dir}/error.log") }

sub with {
    my ($url, $directives) = @_;
    $from = length error_log();
    $t->config(server => $SERVER, setup => <<"EOT");
        app_permission_redis $url;
        app_permission_app \$http_x_app;
        app_permission_gateway smoke;
        app_permission_resource get_user;
        app_permission_flush 1s;
        @{[$directives // '']}
EOT
    return $t->{nginx}{pid} ? $t->reload : $t->start;
}

sub outcome {
    my ($uri, $app) = @_;
    my $r = $t->get($uri, app => $app);
    return "$r->{status} " . ($r->{headers}{'x-decision'} // '');
}

# it is this one that is asked, and that tells of changes

sub asks {
    my ($n, $what, $limit) = @_;
    my $begun = time;
    ok wait_for(sub { outcome('/a', "only-$n") eq "$ALLOW MISS" }, 8), $what
        or diag join "\n", grep /app_permission/, split /\n/,
                                                substr error_log(), $from;
    my $took = time - $begun;
    cmp_ok $took, '<', $limit + $late->since($begun), '... soon' if $limit;

    ok wait_for(sub { $t->status->{invalidation}{active} }), '... pushed';
    ok wait_for(sub { outcome('/long', "only-$n") eq "$ALLOW HIT" }),
        '... known';
    $at{$n}->revoke('smoke', 'get_user', "only-$n");
    ok wait_for(sub { outcome('/long', "only-$n") =~ /^403/ }, 3),
        '... changes too';
    $at{$n}->grant('smoke', 'get_user', "only-$n", time + 3600);
}


subtest 'of the system' => sub {
    my $redis = Perm::Redis->start(dir => "$t->{dir}/local");
    $redis->load->grant('smoke', 'get_user', 'local', time + 3600);
    with("redis://localhost:$redis->{port}");
    ok wait_for(sub { outcome('/a', 'local') eq "$ALLOW MISS" }), 'localhost';
    $redis->stop;

    my ($status, $text) = $t->config(server => $SERVER, setup =>
        'app_permission_redis redis://nowhere.invalid;
         app_permission_app $http_x_app;
         app_permission_gateway smoke;
         app_permission_resource get_user;')->check;
    is $status, 1, 'one that does not exist: refused';
    like $text, 
        qr/"nowhere\.invalid" in "app_permission_redis"; .*configure "resolver"/,
        '... says what to do';
};


my $url = "redis://redis.test:$port";

subtest 'of the resolver' => sub {
    with($url, $RESOLVER);
    ok $t->wait_log(
        qr/host "redis\.test" in "app_permission_redis"; it is left to/),
        'left to it';
    asks(2, 'one address');
    is outcome('/a', 'only-3'), '403 deny/no_grant MISS', 'not the other';
};


subtest 'the address changes' => sub {
    names('127.0.0.3');

    # "valid=1s" is in whole seconds, the last one included: the resolver may
    # keep the old one for almost two, and whoever got it stays there

    my $end = time + 2.2;
    wait_for(sub { time > $end });
    $at{2}->cmd('CLIENT', 'KILL', 'TYPE', 'normal');
    $at{2}->cmd('CLIENT', 'KILL', 'TYPE', 'pubsub');
    $at{2}->{client} = undef;
    asks(3, 'the new one at a new connection', 5);
};


# An address that nobody listens at, and one that does.

subtest 'several addresses' => sub {
    names('127.0.0.9', '127.0.0.3', '127.0.0.8');
    with($url, $RESOLVER);
    asks(3, 'the one that answers', 3);
    is outcome('/a', 'both'), "$ALLOW MISS", '... goes on';
};


subtest 'the next address after a failure' => sub {
    names('127.0.0.2', '127.0.0.3');
    with($url, $RESOLVER);
    ok wait_for(sub { outcome('/a', 'both') eq "$ALLOW MISS" }, 5), 'either';

    for my $n (2, 3) {
        my $other = 5 - $n;
        $at{$n}->kill;
        my $begun = time;
        ok wait_for(sub { outcome('/a', "only-$other") eq "$ALLOW MISS" }, 5),
            "127.0.0.$n dies: the other one";
        my $took = time - $begun;
        cmp_ok $took, '<', 2 + $late->since($begun), '... soon';
        asks($other, '... and stays');
        $at{$n}->run->load;
        $at{$n}->grant('smoke', 'get_user', $_, time + 3600)
            for 'both', "only-$n";
    }
};


subtest 'no answer' => sub {
    names('silent');
    with($url, $RESOLVER);
    ok wait_for(sub { substr(error_log(), $from)
        =~ /redis\.test:\d+: the name cannot be resolved/ }, 6), 'logged';
    is outcome('/a', 'new'), '503 fail/unavailable MISS', 'unavailable';
    my @waited;
    for (1 .. 20) {
        my $begun = time;
        outcome('/a', 'both');
        push @waited, $late->over($begun, 0.1);
    }
    is "@waited", '', '... and nobody waits';

    names('none');
    ok wait_for(sub { substr(error_log(), $from)
        =~ /cannot be resolved: Host not found/ }, 6), 'no such name: logged';

    names('127.0.0.2');
    asks(2, 'there it is', 5);
};

$_->stop for values %at;
$t->done;

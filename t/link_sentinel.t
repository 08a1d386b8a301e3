#!/usr/bin/perl

# Behind Sentinels: the master is found, fail-overs are followed under load,
# and what says that it is a replica is not believed.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Perm::FakeRedis;
use Perm::Sentinels;
use Perm::Test;
use Perm::Watch;

my $ALLOW = $Perm::Watch::ALLOW;
my @apps = map { "app-$_" } 1 .. 100;
my $key = sub { "app_permission:$_[0]:{smoke:$_[1]}" };

my $t = Perm::Test->new;
my $s = Perm::Sentinels->start(dir => "$t->{dir}/s", password => 'sesame',
    conf => ['appendonly yes']);
my $w = Perm::Watch->new($t, apps => \@apps, scores => sub {
    my $c = $s->master->connect;
    my @scores = $c->pipeline(map { ['ZSCORE', $key->('access', $_),
                                     'get_user'] } @apps);
    return { map { $apps[$_] => $scores[$_] } 0 .. $#apps };
});

$s->master->load->connect->pipeline(map { ['HSET', $key->('grants', $_),
    'get_user', int(time) + 3600] } @apps, map { "revoke-$_" } 1 .. 9);

# The servers have no password.  A Sentinel that is down from the start.

my $closed = $t->port('closed');
(my $url = $s->url('sesame')) =~ s/@/\@127.0.0.1:$closed,/;
$w->nginx(redis => $url);

sub replicated {
    my $master = $s->master;
    is wait_for(sub { $master->connect->cmd('WAIT', 1, 100) }), 1,
        'replicated';
}

# a revoke at the master is honoured, however long the answer is cached

sub revoke {
    my ($app) = @_;
    ok wait_for(sub { $w->outcome('/long', $app) eq "$ALLOW HIT" }, 3),
        "$app: known for an hour";
    is $s->master->connect->cmd('HDEL', $key->('grants', $app), 'get_user'), 1,
        '... revoked';
    ok wait_for(sub { $w->outcome('/long', $app) =~ /^403/ }, 2),
        '... at once' or diag $w->outcome('/long', $app);
}


ok wait_for(sub { $t->status->{invalidation}{active} }), 'ready';
is $w->outcome('/fresh', 'app-1'), "$ALLOW MISS", 'the master is found';
revoke('revoke-1');
replicated();


$w->under_load('a fail-over', sub {
    my ($more) = @_;
    my $old = $s->master;

    my $begun = time;
    $s->failover;
    $w->normal($begun, 8, @apps[0 .. 4]);
    isnt $s->master->{port}, $old->{port}, 'another master';
    $more->(800);
    revoke('revoke-2');
});


# A new grant on the new master only: an answer of the old one would deny.

subtest 'the old master is asked no more' => sub {
    my $replica = $s->replica;
    ok $replica, 'it is a replica now';
    my $before = $replica->connect->cmd('INFO', 'commandstats');
    my ($hmget) = $before =~ /cmdstat_hmget:calls=(\d+)/;
    $w->outcome('/fresh', $_) for @apps;
    my ($after) = $replica->connect->cmd('INFO', 'commandstats')
        =~ /cmdstat_hmget:calls=(\d+)/;
    is $after // 0, $hmget // 0, 'no lookup reaches it';
};

replicated();


$w->under_load('a Sentinel dies, then the master, by kill -9', sub {
    my ($more) = @_;
    my $old = $s->master;

    $s->end(0);
    $more->(200);
    my $begun = time;
    $old->kill;
    ok wait_for(sub { $s->named != $old->{port} }, 20), 'a fail-over';
    diag sprintf 'the Sentinels took %.2f s', time - $begun;
    $w->normal($begun, 15, @apps[0 .. 4]);

    revoke('revoke-3');

    # it returns, thinks for a moment that it is a master still, and has what
    # was revoked

    $old->run;
    $more->(400);
    for (1 .. 20) {
        my $got = $w->outcome('/fresh', 'revoke-3');
        fail("believed the old master: $got"), last if $got =~ /^200/;
        sleep 0.1;
    }
    is $w->outcome('/fresh', 'app-1'), "$ALLOW MISS", 'nothing happens';
    revoke('revoke-4');
});

$t->stop;


# A Sentinel that lies, or does not know.

my $replica = $s->replica;
my $fake;

sub answers {
    my ($port) = @_;
    $fake->rules({ match => qr/^SENTINEL/i, reply => sprintf
        "*2\r\n\$9\r\n127.0.0.1\r\n\$%d\r\n%s\r\n", length $port, $port });
}

subtest 'a replica is not trusted' => sub {
    $fake = Perm::FakeRedis->start(dir => "$t->{dir}/liar");
    answers($replica->{port});
    $w->nginx(redis => "redis+sentinel://127.0.0.1:$fake->{port}/mine");

    ok $t->wait_log(
        qr/Redis \S+:$replica->{port}: .*it is a replica, which is not trusted/),
        'the log says so';
    is $w->outcome('/fresh', 'app-1'), '503 fail/unavailable MISS',
        'it is not asked';

    my $begun = time;
    answers($s->master->{port});
    $w->normal($begun, 3, 'app-1');

    # the master that was found serves on while no Sentinel answers

    $fake->refuse(1);
    ok $t->wait_log(
        qr/no Sentinel helps; the last one, \S+:$fake->{port}/), 'no Sentinel: logged';
    is $w->outcome('/fresh', 'app-1'), "$ALLOW MISS", '... and no matter';
    $fake->refuse(0);
};

subtest 'what Sentinels say' => sub {
    my $ports = join ',', map { "127.0.0.1:$_->{port}" }
        @{$s->{sentinels}}[1, 2];

    for my $case (
        ['an unknown name', "redis+sentinel://:sesame\@$ports/theirs",
            qr/knows no master of the name in "app_permission_redis"/],
        ['a wrong password', "redis+sentinel://:wrong\@$ports/mine",
            qr/no Sentinel helps.*AUTH was refused.*WRONGPASS/],
        ['no password', "redis+sentinel://$ports/mine",
            qr/no Sentinel helps.*NOAUTH/],
        ['a server instead', 'redis+sentinel://127.0.0.1:'
            . $s->master->{port} . '/mine', qr/no Sentinel helps.*Sentinel/],
        ['a Sentinel instead of a server', "redis://127.0.0.1:$fake->{port}",
            qr/this is a Sentinel, whose URL begins/],
    ) {
        my ($what, $url, $pattern) = @$case;
        $fake->rules({ match => qr/^ROLE/i,
            reply => "*2\r\n\$8\r\nsentinel\r\n*0\r\n" });
        my $from = length $t->log;
        my $conf = slurp("$t->{dir}/nginx.conf");
        $conf =~ s/app_permission_redis \S+;/app_permission_redis $url;/;
        $t->{nginx}->write($conf);
        $t->reload;
        ok wait_for(sub { substr($t->log, $from) =~ $pattern }, 5),
            "$what: the log says so"
            or diag join "\n", grep /error/, split /\n/,
                                                substr $t->log, $from;
        is $w->outcome('/fresh', 'app-1'), '503 fail/unavailable MISS',
            '... unavailable';
        ok substr($t->log, $from) !~ /sesame|:wrong/, '... no password';
    }

    # the rights in the README: enough, and needed; the servers, where no
    # directive says otherwise, get the same user

    my ($line) = slurp("$Perm::Test::ROOT/README.md")
        =~ /^ACL SETUSER (watcher .*)$/m;
    my @user = split ' ', $line =~ s/PASSWORD/open/r;
    my $right = pop @user;
    my $conf = slurp("$t->{dir}/nginx.conf") =~
        s{app_permission_redis \S+;}
         {app_permission_redis redis+sentinel://watcher:open\@$ports/mine;}r;

    $s->master->connect->cmd('ACL', 'SETUSER', 'watcher', 'on', '>open',
        'allkeys', 'allchannels', '+@all');
    $s->ask($_, 'ACL', 'SETUSER', @user) for 1, 2;
    $t->{nginx}->write($conf);
    $t->reload;
    ok $t->wait_log(qr/no right to SENTINEL get-master-addr-by-name/),
        'a right that is missing is named';

    $s->ask($_, 'ACL', 'SETUSER', 'watcher', $right) for 1, 2;
    ok wait_for(sub { $w->outcome('/fresh', 'app-1') eq "$ALLOW MISS" }, 5),
        "with $right it has all it needs";
};

$s->stop;
$fake->stop;
$t->done;

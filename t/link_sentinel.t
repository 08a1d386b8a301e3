#!/usr/bin/perl

# Behind Sentinels: the master is found, fail-overs are followed under load,
# and what says that it is a replica is not believed.

use Perm::Sentinels;
use Perm::Test;
use Perm::Watch;

my @apps = map { "app-$_" } 1 .. 100;

my $t = Perm::Test->new(late => 1);
my $s = Perm::Sentinels->start(dir => "$t->{dir}/s", password => 'sesame',
    conf => ['appendonly yes']);
my $w = Perm::Watch->new($t, apps => \@apps, redis => sub { $s->master });

$s->master->load->allow(@apps, map { "revoke-$_" } 1 .. 9);

# The servers have no password.  A Sentinel that is down from the start.

my $closed = $t->port('closed');
(my $url = $s->url('sesame')) =~ s/@/\@127.0.0.1:$closed,/;
$w->nginx(redis => $url);

sub replicated {
    my $master = $s->master;
    is wait_for(sub { $master->connect->cmd('WAIT', 1, 100) }), 1, 'replicated';
}

# a revoke at the master is honoured, however long the answer is cached

sub revoke {
    my ($app) = @_;
    becomes($app, "$ALLOW HIT", "$app: known for an hour", '/long', 3);
    is $s->master->revoke('smoke', 'get_user', $app), 1, '... revoked';
    becomes($app, '403', '... at once', '/long', 2);
}


subtest 'the master is found' => sub {
    ok $t->up, 'ready';
    is outcome('app-1', '/fresh'), "$ALLOW MISS", 'allowed';
    revoke('revoke-1');
    replicated();
};


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
    my $before = $replica->calls('hmget');
    outcome($_, '/fresh') for @apps;
    is $replica->calls('hmget'), $before, 'no lookup reaches it';
    replicated();
};


$w->under_load('a Sentinel dies, then the master, by kill -9', sub {
    my ($more) = @_;
    my $old = $s->master;

    $s->end(0);
    $more->(200);
    my $begun = time;
    $old->kill;
    ok wait_for(sub { $s->named != $old->{port} }, 20), 'a fail-over';
    note sprintf 'the Sentinels took %.2f s', time - $begun;
    $w->normal($begun, 15, @apps[0 .. 4]);

    revoke('revoke-3');

    # it returns, thinks for a moment that it is a master still, and has what
    # was revoked

    $old->run;
    $more->(400);
    for (1 .. 20) {
        my $got = outcome('revoke-3', '/fresh');
        fail("believed the old master: $got"), last if $got =~ /^200/;
        wait_until(time + 0.1);
    }
    is outcome('app-1', '/fresh'), "$ALLOW MISS", 'nothing happens';
    revoke('revoke-4');
});

$t->stop;


# A Sentinel that lies, or does not know.

my $replica = $s->replica;
my $fake = Perm::FakeRedis->start(dir => "$t->{dir}/liar");

sub answers { $fake->rules(Perm::FakeRedis::sentinel($_[0])) }

subtest 'a replica is not trusted' => sub {
    answers($replica->{port});
    $w->nginx(redis => "redis+sentinel://127.0.0.1:$fake->{port}/mine");

    ok $t->wait_log(
        qr/Redis \S+:$replica->{port}: .*it is a replica, which is not trusted/),
        'the log says so';
    is outcome('app-1', '/fresh'), $UNKNOWN, 'it is not asked';

    my $begun = time;
    answers($s->master->{port});
    $w->normal($begun, 3, 'app-1');

    # the master that was found serves on while no Sentinel answers

    $fake->refuse(1);
    ok $t->wait_log(
        qr/no Sentinel helps; the last one, \S+:$fake->{port}/), 'no Sentinel: logged';
    is outcome('app-1', '/fresh'), "$ALLOW MISS", '... and no matter';
    $fake->refuse(0);
};

my $ports = join ',', map { "127.0.0.1:$_->{port}" } @{$s->{sentinels}}[1, 2];

# with this URL, and nothing else changed

sub reload_with {
    my ($url) = @_;
    my $conf = slurp("$t->{dir}/nginx.conf");
    $t->mark;
    $t->{nginx}->write($conf =~ s/(app_permission_redis) \S+;/$1 $url;/r);
    $t->reload;
}

subtest 'what Sentinels say' => sub {
    $fake->rules({ match => qr/^ROLE/i,
                   reply => "*2\r\n\$8\r\nsentinel\r\n*0\r\n" });

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
        reload_with($url);
        ok $t->wait_new($pattern, 5), "$what: the log says so"
            or diag $t->new_log;
        is outcome('app-1', '/fresh'), $UNKNOWN, '... unavailable';
        unlike $t->new_log, qr/sesame|:wrong/, '... no password';
    }
};

# enough, and needed; the servers, where no directive says otherwise, get the
# same user

subtest 'the rights in the README' => sub {
    my ($line) = slurp("$Perm::Test::ROOT/README.md")
        =~ /^ACL SETUSER (watcher .*)$/m;
    my @user = split ' ', $line =~ s/PASSWORD/open/r;
    my $right = pop @user;
    $s->master->connect->cmd('ACL', 'SETUSER', 'watcher', 'on', '>open',
        'allkeys', 'allchannels', '+@all');
    $s->ask($_, 'ACL', 'SETUSER', @user) for 1, 2;
    reload_with("redis+sentinel://watcher:open\@$ports/mine");
    ok $t->wait_new(qr/no right to SENTINEL get-master-addr-by-name/),
        'a right that is missing is named';

    $s->ask($_, 'ACL', 'SETUSER', 'watcher', $right) for 1, 2;
    becomes('app-1', "$ALLOW MISS", "with $right it has all it needs", '/fresh',
        5);
};

done_testing;

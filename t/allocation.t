#!/usr/bin/perl

# Allocations that fail, one in a run: the N-th of a command, of a call, of a
# start.  Here it is every 29th N; "make prove" takes each, ALLOCATION_STEP=1.
# What fails, and how, is in t/prove/allocation.c.

use Perm::Test;
use Perm::Util qw(build_dir);

chdir $Perm::Test::ROOT or die;

my $STEP = $ENV{ALLOCATION_STEP} // 29;
my $END = 4_000_000_000;
my $dir = build_dir() . '/allocation';
my $tree = build_dir() . '/nginx';

my $t = Perm::Test->new;
my $redis = $t->redis;
my $counter = $t->dir . '/allocations';

mkdir $dir;
my @cc = (split(' ', $ENV{CC} // 'cc'), qw(-std=gnu99 -D_GNU_SOURCE -g -O1 -fPIC
          -Wall -Wextra -Werror));
is system(@cc, '-shared', '-o', "$dir/allocation.so", 't/prove/allocation.c'),
    0, 'what fails allocations compiles';


# the N-th allocation from now on fails; 0: none

sub arm {
    my ($n, $module) = @_;
    my $numbers = pack 'q2', $n, $module // 0;
    if (!-e $counter) { spew($counter, $numbers); return }
    open my $fh, '+<', $counter or die "$counter: $!";
    syswrite($fh, $numbers) == 16 or die "$counter: $!";
}

sub has_failed { (unpack 'q2', slurp($counter))[0] == 0 }

arm(0);
my @preload = ("LD_PRELOAD=$dir/allocation.so", "PERM_ALLOCATIONS=$counter");


# ---- the command line

my @now = (key('grants', 'demo'), key('requests', 'demo'));

sub fill {
    my $now = time;
    $redis->cmd('FLUSHDB');
    $redis->load;
    $redis->each(
        map({ ['app_permission:grants:{smoke:demo}', 'HSET', $_,
            qq({"expires":$END,"note":"kept","more":[1,{"a":"\\u00e9"}]}) ] }
            qw(get_user other - asked)),
        ['app_permission:grants:{smoke:demo}', 'HSET', 'ends',
            sprintf '{"expires":%d,"note":"kept"}', $now + 86400],
        ['app_permission:access:{smoke:demo}', 'ZADD', $now - 100, 'ends'],
        ['app_permission:requests:{smoke:demo}', 'HSET', 'asked',
            '{"status":"pending","days":7,"at":1795000000,"by":"x"}'],
    );
}

# field => value of grants and requests, with the times of now made alike

sub table {
    my %is;
    for my $key (@now) {
        my @all = @{$redis->cmd('HGETALL', $key)};
        while (my ($field, $value) = splice @all, 0, 2) {
            $is{"$key $field"} = $value =~ s/\b1[78]\d{8}\b/NOW/gr;
        }
    }
    return \%is;
}

sub value { $_[0]{$_[1]} // 'absent' }

my @g = qw(--gateway smoke --app demo);
my @line = qq({"gateway":"smoke","resource":"get_user","app":"demo",)
    . qq("expires":$END,"type":"renew"}\n);
my @commands = (
    ['check', @g, qw(--resource get_user)],
    ['list', @g],
    ['grant', @g, qw(--resource get_user --expires 4000000001 --by me)],
    ['grant', @g, qw(--resource get_user --expires 4000000001)],
    ['extend', @g, qw(--resource get_user --days 3 --by me)],
    ['revoke', @g, qw(--resource get_user --by me)],
    ['import', { stdin => $line[0] }],
    ['import', '--replace', '--max-removals', '9', { stdin => $line[0] }],
    ['export'],
    ['renew'],
    ['expiring', '--days', '7'],
    ['apply', @g, qw(--resource new --days 7 --by me --reason why)],
    ['requests', '--json'],
    ['approve', @g, qw(--by me --comment yes)],
    ['reject', @g, qw(--by me --comment no)],
    ['history', @g],
    ['purge'],
);

# What a command has done after a failure: nothing, or what it does without one,
# for each grant; and all of it where it says so.

sub command {
    my ($args, $n, $old, $new, $good) = @_;
    my @args = @$args;
    my %o = ref $args[-1] ? %{pop @args} : ();

    fill();
    arm($n);
    my ($status, $out, $err) = $t->cli(@args,
        { %o, before => ['env', @preload] });
    my $failed = has_failed();
    arm(0);
    my $is = table();

    my @wrong;
    push @wrong, "status $status: $err" if $status > 3 || $status < 0;
    push @wrong, 'no message' if $status && $err eq '';
    push @wrong, "status 0 in place of $good->[0]" if !$status && $good->[0];
    push @wrong, 'it says that it is done' if !$status
        && $out =~ s/\b1[78]\d{8}\b|\d\d:\d\d:\d\d/NOW/gr ne $good->[1];
    for my $key (sort keys %{{%$is, %$new, %$old}}) {
        my $value = value($is, $key);
        push @wrong, "$key is $value" if $value ne value($new, $key)
            && ($status == 0 || $value ne value($old, $key));
    }
    return ($failed, \@wrong);
}

subtest 'the command line' => sub {
    for my $args (@commands) {
        my @args = @$args;
        my %o = ref $args[-1] ? %{pop @args} : ();
        fill();
        my $old = table();
        my ($status, $out) = $t->cli(@args, \%o);
        my $good = [$status, $out =~ s/\b1[78]\d{8}\b|\d\d:\d\d:\d\d/NOW/gr];
        my $new = table();

        my ($runs, $bad) = (0, 0);
        for (my $n = 1; ; $n += $STEP) {
            my ($failed, $wrong) = command($args, $n, $old, $new, $good);
            $runs++;
            diag "@args: allocation $n: $_" for @$wrong;
            $bad += @$wrong;
            last if !$failed || $bad > 3;
        }
        cmp_ok $runs, '>', 1, "@args: $runs runs";
        is $bad, 0, '... nothing is lost, and no signal';
    }
};


# ---- the gateway

# the module again, with its own calls of nginx's pools and slabs

my $module = "$dir/ngx_http_app_permission_module.so";

sub built {
    return 0 if $Perm::Nginx::MODULE ne build_dir() . '/' . ($module =~ s{.*/}{}r);

    my ($link) = `MAKEFLAGS= make -n -C $tree -f objs/Makefile \\
        -W objs/ngx_http_app_permission_module_modules.o modules`
        =~ m{^(\S+ -o objs/ngx_http_app_permission_module\.so .*?\s-shared)$}ms;
    my $wrap = join ' ', map { "-Wl,--wrap=$_" }
        slurp('t/prove/allocation.c') =~ /^WRAP\((\w+)/mg;
    $link =~ s{-o \S+}{-o $module $dir/module.o $wrap} or die 'no link command';

    return system(@cc, qw(-DMODULE -c -o), "$dir/module.o",
                  't/prove/allocation.c') == 0
        && system("cd $tree && $link") == 0;
}

my ($config, @worker);

sub begin {
    local @ENV{map { /^(.*?)=/ } @preload} = map { /=(.*)/ } @preload;
    $t->nginx(%$config);
    $t->{nginx}->allow(qr/\[emerg\] .*(?:(?:malloc|memalign|calloc)\(|is too small)/);
    $t->up;
    @worker = $t->{nginx}->workers;
}

# The N-th allocation fails during $call, which returns what is wrong.  Then all
# is as it was.

sub scenario {
    my ($name, $call, %o) = @_;
    my ($runs, @wrong) = (0);

    for (my $n = 1; !@wrong; $n += $o{step} // $STEP) {
        $o{before}->($n) if $o{before};
        arm($n, $o{module});
        push @wrong, $call->($n);
        my $failed = has_failed();
        arm(0);
        push @wrong, $o{after}->($n) if $o{after};
        my @now = $t->{nginx}->workers;
        push @wrong, "worker @now in place of @worker" if "@now" ne "@worker";
        diag "$name: allocation $n: $_" for @wrong;
        $runs++;
        last if !$failed;
    }
    cmp_ok $runs, '>', 1, "$name: $runs runs";
    is scalar @wrong, 0, '... nothing is let in, and all goes on';
}

# A call whose answer without a failure is $outcome.  With one it may be an
# error, or nothing; not a denial, but for "no_app": to nginx a variable without
# memory is an empty one.

sub call {
    my ($name, $uri, $app, $outcome, %o) = @_;
    my $of = sub { ref $app ? $app->(@_) : $app };
    my @get = ($uri, %o);

    scenario($name, sub {
        my $r = $t->get($uri, %o, app => $of->(@_));
        my $is = decision($r);
        return $is =~ /^$outcome/ || $is =~ m{^(?:[05]|403 deny/no_app)}
            && $r->{body} !~ /content/ ? () : "it is $is";
    }, after => sub {
        my $app = $of->(@_);
        my $is;
        return wait_for(sub { ($is = outcome($app, $uri, %o)) =~ /^$outcome/ }, 5)
            ? () : "then it is $is";
    });
}

subtest 'the gateway' => sub {
    plan skip_all => 'the module is not a file of its own, built by "make"'
        unless built();
    local $Perm::Nginx::MODULE = $module;

    my @n = 1 .. 400;
    $redis->cmd('FLUSHDB');
    $redis->load->allow('demo', map { "miss$_" } @n);
    $redis->grant('smoke', 'get_user', "over$_", time - 100) for @n;

    spew($t->dir . '/html/a', 'content');
    $config = { http => 'app_permission_flush 100ms;', server => <<'END' };
        %%DECISION%%
        location = /a       { app_permission required; }
        location = /self    { app_permission_self apply; }
        location = /decide  { app_permission_decide; app_permission required; }
        location = /bkapi   { app_permission required; empty_gif;
                              app_permission_app $app_permission_bkapi_app_code; }
END
    begin();
    is outcome('demo'), "$ALLOW MISS", 'it goes';

    call('hit', '/a', 'demo', '200 allow');
    call('miss', '/a', sub { "miss$_[0]" }, '200 allow');
    call('denial', '/a', sub { "none$_[0]" }, '403 deny');
    call('an expired grant', '/a', sub { "over$_[0]" }, '403 deny');

    my $auth = '{"bk_app_code":"demo"}';
    call('an app of a header', '/bkapi', 'demo', '200 allow', headers => {
        'X-Bkapi-Authorization' => $auth });
    call('a decision', '/decide?gateway=smoke&resource=get_user&app=demo',
        'demo', '20\d allow');
    call('its own', '/self', 'demo', '200');
    call('asking', '/self', sub { "asks$_[0]" }, '(?:202|409)',
        method => 'POST', body => '{"resources":["r"],"reason":"x"}');
    call("status $_", "/status$_", 'demo', '200') for '', '?format=html',
        '?format=prometheus', '?explain&gateway=smoke&resource=get_user&app=demo';

    # what is pushed, and what is sent, comes late at worst

    $redis->allow(map { "push$_" } @n);
    scenario('a grant that is revoked', sub {
        my $app = "push$_[0]";
        $redis->forbid($app);
        return wait_for(sub { outcome($app) =~ /^403/ }, 5)
            ? () : "$app: " . outcome($app);
    }, before => sub { outcome("push$_[0]") });

    $redis->allow(map { "sent$_" } @n);
    scenario('an access', sub {
        my $app = "sent$_[0]";
        outcome($app);
        wait_for(sub { $redis->access('smoke', 'get_user', $app) }, 1);
        return ();
    }, after => sub {
        my $app = "sent$_[0]";
        wait_for(sub { outcome($app) =~ /^200/ }, 5);
        return wait_for(sub { $redis->access('smoke', 'get_user', $app) }, 5)
            ? () : "no access of $app";
    });

    # a configuration is taken wholly, or refused

    my ($runs, @wrong) = (0);
    for (my $n = 1; !@wrong; $n += 2 * $STEP) {
        arm($n, 1);
        local @ENV{map { /^(.*?)=/ } @preload} = map { /=(.*)/ } @preload;
        my ($status, $said) = $t->check;
        my $failed = has_failed();
        arm(0);
        push @wrong, "status $status: $said"
            if $status > 1 || $status != $failed && $status;
        diag "nginx -t: allocation $n: $_" for @wrong;
        $runs++;
        last if !$failed;
    }
    cmp_ok $runs, '>', 1, "nginx -t: $runs runs";
    is scalar @wrong, 0, '... is taken or refused';
};

done_testing;

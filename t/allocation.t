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
    my ($n, $module, $process) = @_;
    my $numbers = pack 'q3', $n, $module // 0, $process // 0;
    if (!-e $counter) { spew($counter, $numbers); return }
    open my $fh, '+<', $counter or die "$counter: $!";
    syswrite($fh, $numbers) == 24 or die "$counter: $!";
}

sub has_failed { (unpack 'q', slurp($counter))[0] == 0 }

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
        ['app_permission:grants:{smoke:demo}', 'HSET', 'long',
            sprintf '{"expires":%d,"note":"%s"}', $END, 'x' x 20_000],
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
    $t->{nginx}->quit;
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
    for (my $n = 1; !@wrong; $n += $STEP) {
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


# A reload whose N-th allocation fails, in the master or in the other processes.
# It is taken, or refused with an [emerg].  A worker that cannot start is missed
# until the next reload.  $next makes the next configuration.

my $reloads = 0;

sub reloads {
    my ($name, $in, $module, $next) = @_;
    my ($runs, $refused, @wrong) = (0, 0);
    my $nginx = $t->{nginx};
    my $master = $in eq 'the master';
    my $step = $STEP * ($master || $STEP == 1 ? 1 : 4);

    for (my $n = 1; !@wrong; $n += $step) {
        my $app = 'reload' . ++$reloads;
        wait_for(sub { outcome($app) =~ /^200/ }, 5) or push @wrong, $app;
        my @old = $nginx->workers;
        $t->config($next->())->mark;

        arm($n, $module, $master ? $nginx->{pid} : -$nginx->{pid});
        $nginx->signal('HUP');
        my $taken = sub {
            my %now = map { $_ => 1 } $nginx->workers(all => 1);
            my $lost = () = $t->new_log =~ /exited with fatal code 2/g;
            return !grep({ $now{$_} } @old)
                && keys %now >= $nginx->configured - $lost;
        };
        my $done = wait_for(sub {
            $taken->() || $master && $t->new_log =~ /\[emerg\]/ }, 10);

        # the master reopens logs after it has reloaded

        $nginx->signal('USR1');
        $t->wait_new(qr/reopening logs/) or push @wrong, 'no master';

        # a worker that has begun may not have come so far yet

        my $failed = wait_for(\&has_failed, $master ? 0 : 1);
        arm(0);

        if ($done && "@{[$nginx->workers]}" eq "@old") {
            $refused++;
            push @wrong, 'it is refused' if !$failed;
        } elsif (!wait_for($taken, 10)) {
            push @wrong, 'neither taken nor refused';
        }
        push @wrong, $t->new_lines(
            qr/exited on signal|built from another source|no answer of/);
        my @now = $nginx->workers;
        push @wrong, 'the next one is not taken'
            if @now < $nginx->configured && !$t->reload;
        push @wrong, outcome('demo')
            if !wait_for(sub { outcome('demo') =~ /^200/ }, 5);
        diag "$name: allocation $n: $_" for @wrong;
        $runs++;
        last if !$failed;
    }
    cmp_ok $runs, '>', 1, "$name: $runs runs, $refused refused";
    is scalar @wrong, 0, '... taken or refused, and all goes on';
}

subtest 'a reload' => sub {
    plan skip_all => 'the module is not a file of its own, built by "make"'
        unless -e $module;
    local $Perm::Nginx::MODULE = $module;

    $redis->cmd('FLUSHDB');
    $redis->load->allow('demo', map { "reload$_" } 1 .. 4000);

    my $conf = sub { (workers => 2, http => "app_permission_flush 1h; $_[0]",
                      server => <<'END') };
        %%DECISION%%
        location = /a { app_permission required; empty_gif; }
END
    $config = { $conf->('') };
    begin();
    $t->{nginx}->allow(qr/fatal code 2|is not written|memory|SSL_CTX_new\(\)/);
    my $size = 2;
    my $other = sub { $size = 6 - $size; "app_permission_zone ${size}m" };

    for my $module (0, 1) {
        my $of = $module ? ' of the module' : '';
        reloads("the same zone, in workers$of", 'workers', $module,
                sub { $conf->('') });
        reloads("the same zone$of", 'the master', $module, sub { $conf->('') });
        reloads("another size$of", 'the master', $module,
                sub { $conf->($other->() . ';') });
        reloads("another size, a state file$of", 'the master', $module,
                sub { $conf->($other->() . ' state=%%DIR%%/state;') });
    }

    is $t->{nginx}->quit, 0, 'quits';
    is join(' ', grep { !$redis->access('smoke', 'get_user', $_) }
        map { "reload$_" } 1 .. $reloads), '', 'no access is lost';
};


# A start without Redis: what the state file has comes back, or nginx does not
# start and the file stays as it is.

subtest 'a start with a state file' => sub {
    plan skip_all => 'the module is not a file of its own, built by "make"'
        unless -e $module;
    local $Perm::Nginx::MODULE = $module;

    my $t = Perm::Test->new;
    my $redis = $t->redis->load->allow('demo');
    my $state = $t->dir . '/state';
    $redis->cmd('ACL', 'SETUSER', 'default', '-zadd');
    local @ENV{map { /^(.*?)=/ } @preload} = map { /=(.*)/ } @preload;
    $t->nginx(http => 'app_permission_zone 2m state=%%DIR%%/state;',
              server => <<'END');
        %%DECISION%%
        location = /a { app_permission required; empty_gif; }
END
    $t->{nginx}->allow(qr/\[emerg\]/);
    becomes('demo', "$ALLOW HIT", 'known');
    $redis->stop;
    is $t->{nginx}->quit, 0, 'quits';
    my $saved = slurp($state);

    for my $module (0, 1) {
        my ($runs, $refused, @wrong) = (0, 0);
        for (my $n = 1; !@wrong; $n += $STEP) {
            spew($state, $saved);
            chmod 0600, $state;
            unlink "$state~";
            arm($n, $module, -1);
            my $started = eval { $t->start };
            my $failed = has_failed();
            arm(0);

            if ($started) {
                my ($is, $pending) = (outcome('demo'),
                                      $t->status->{access}{pending});
                push @wrong, "it is $is, $pending pending"
                    if $is ne "$ALLOW STALE" || $pending != 1;
                $t->{nginx}->quit;
            } else {
                $refused++;
                push @wrong, 'it does not start' if !$failed;
                push @wrong, 'the file has changed' if slurp($state) ne $saved;
            }
            diag "allocation $n: $_" for @wrong;
            $runs++;
            last if !$failed;
        }
        cmp_ok $runs, '>', 1, "$runs runs, $refused refused";
        is scalar @wrong, 0, '... nothing is lost';
    }
};

done_testing;

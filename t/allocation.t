#!/usr/bin/perl

# Allocations that fail, one in a run: the N-th of a command, of a call, of a
# start.  Here it is every 29th N; "make prove" takes each, ALLOCATION_STEP=1.
# What fails, and how, is in t/prove/allocation.c.

use Perm::Ca;
use Perm::Cluster;
use Perm::Sentinels;
use Perm::Test;
use Perm::Util qw(build_dir);

chdir $Perm::Test::ROOT or die;

my $STEP = $ENV{ALLOCATION_STEP} // 29;
my $LAST = $STEP == 1 ? 3 : 1;
my $END = 4_000_000_000;
my $part = $ENV{ALLOCATION_PART} // '';
my $dir = build_dir() . "/allocation-$part";
my $tree = build_dir() . '/nginx';

my $t = Perm::Test->new;
my $redis = $t->redis;
my $counter = $t->dir . '/allocations';

mkdir $dir;
my @cc = (split(' ', $ENV{CC} // 'cc'), qw(-std=gnu99 -D_GNU_SOURCE -g -O1 -fPIC
          -Wall -Wextra -Werror));
is system(@cc, '-shared', '-o', "$dir/allocation.so", 't/prove/allocation.c'),
    0, 'what fails allocations compiles';


# the numbers of t/prove/allocation.c, from the first, or another one, on

sub numbers {
    my ($first, @numbers) = @_;
    open my $fh, '+<', $counter or die "$counter: $!";
    sysseek $fh, 8 * $first, 0;
    syswrite($fh, pack 'q*', @numbers) == 8 * @numbers or die "$counter: $!";
}

# is it among those that are asked for

sub is_part { !$part || $part eq $_[0] }

# the N-th allocation from now on fails; 0: none

sub arm { numbers(0, $_[0], $_[1] // 0, $_[2] // 0) }

sub has_failed { (unpack 'q', slurp($counter))[0] <= 0 }

# Of the process with that id: how many blocks it has more than now.

sub watch { numbers(3, 0, $_[0]) }

sub blocks { (unpack 'q4', slurp($counter))[3] }

# What comes of a timer has some for a moment: the fewest in a time, then as few
# again.

sub watch_idle {
    watch($_[0]);
    my ($fewest, $end) = (blocks(), time + 0.1);
    wait_for(sub {
        my $is = blocks();
        $fewest = $is if $is < $fewest;
        return time > $end;
    });
    return $fewest;
}

sub is_idle {
    my ($fewest) = @_;
    my $is;
    return wait_for(sub { ($is = blocks()) <= $fewest }, 5)
        ? () : "a leak: $is blocks in place of $fewest";
}

spew($counter, pack 'q6', (0) x 6);
my @preload = ("LD_PRELOAD=$dir/allocation.so", "PERM_ALLOCATIONS=$counter");


# ---- the command line

my @now = ((map { key($_, 'demo') } qw(grants requests notices)),
           'app_permission:meta');
my $file = $t->dir . '/grants';     # what "export" writes
my $told = $t->dir . '/told';       # and what "--notify" was given

sub fill {
    my ($absent) = grep { ref eq 'SCALAR' } @{$_[0]};
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
        $absent ? ['DEL', $$absent] : (),
    );
    spew($file, "old\n");
    unlink $told;
}

# what there is: field => value of the table, with the times of now and a
# table's id made alike; other keys; the file; what was told

sub alike { $_[0] =~ s/\b1[78]\d{8}\b|\d\d:\d\d:\d\d/NOW/gr }

sub table {
    my %is = map { $_ => 'there' } @{$redis->cmd('KEYS', '*')}, glob "$file*";
    $is{text} = alike(slurp($file));
    $is{told} = -e $told ? alike(slurp($told)) : '';
    delete @is{grep { /:doctor/ } keys %is};    # the next one takes it away
    for my $key (@now) {
        my @all = @{$redis->cmd('HGETALL', $key)};
        while (my ($field, $value) = splice @all, 0, 2) {
            $is{"$key $field"} = alike($value) =~ s/^[0-9a-f]{16}$/ID/r;
        }
    }
    return \%is;
}

sub value { $_[0]{$_[1]} // 'absent' }

my @g = qw(--gateway smoke --app demo);
my @line = qq({"gateway":"smoke","resource":"get_user","app":"demo",)
    . qq("expires":$END,"type":"renew"}\n);
my $policies = $t->dir . '/policies';
spew($policies, "include $policies.2;\nsmoke/long open;\n");
spew("$policies.2", "default required;\n'smoke/asked' off;\n");

my @commands = (
    ['init', \'app_permission:meta'],
    ['check', @g, qw(--resource get_user)],
    ['list', @g],
    ['grant', @g, qw(--resource get_user --expires 4000000001 --by me)],
    ['grant', @g, qw(--resource get_user --expires 4000000001)],
    ['extend', @g, qw(--resource get_user --days 3 --by me)],
    ['revoke', @g, qw(--resource get_user --by me)],
    ['import', { stdin => $line[0] }],
    ['import', '--replace', '--max-removals', '9', { stdin => $line[0] }],
    ['export'],
    ['export', $file],
    ['access'],
    ['renew'],
    ['expiring', '--days', '7'],
    ['expiring', '--days', '7', '--policies', $policies],
    ['expiring', '--days', '7', '--notify', "cat >> $told"],
    ['apply', @g, qw(--resource new --days 7 --by me --reason why)],
    ['requests', '--json'],
    ['approve', @g, qw(--by me --comment yes)],
    ['reject', @g, qw(--by me --comment no)],
    ['history', @g],
    ['purge'],
    ['doctor'],
);

# What a command has done after a failure: nothing, or what it does without one,
# for each grant; and all of it where it says so.

sub command {
    my ($args, $n, $old, $new, $good) = @_;

    my ($status, $out, $err) = run($args, $n);
    my $failed = has_failed();
    my $is = table();

    my @wrong;
    push @wrong, "status $status: $err" if $status > 3 || $status < 0;
    push @wrong, 'no message' if $status && $err eq '';
    push @wrong, "status 0 in place of $good->[0]" if !$status && $good->[0];
    push @wrong, 'it says that it is done' if !$status && $out ne $good->[1];
    push @wrong, 'told, which is not kept' if $is->{told}
        && !grep { /^app_permission:notices:\S+ ./ } keys %$is;
    for my $key (sort keys %{{%$is, %$new, %$old}}) {
        my $value = value($is, $key);
        push @wrong, "$key is $value" if $value ne value($new, $key)
            && ($status == 0 || $value ne value($old, $key));
    }
    return ($failed, \@wrong);
}

# Of the command alone, not of what it runs, the N-th fails.  A leak, or a
# sanitizer that cannot look, is status 99.

my @look = ('LSAN_OPTIONS=exitcode=99', 'ASAN_OPTIONS='
    . 'detect_leaks=1:exitcode=99:verify_asan_link_order=0');

sub run {
    my ($args, $n) = @_;
    my ($stdin) = grep { ref eq 'HASH' } @$args;

    fill($args);
    arm($n, 0, -1);
    my ($status, $out, $err) = $t->cli(grep({ !ref } @$args),
        { %{$stdin // {}}, before => ['env', @preload, @look] });
    return ($status, alike($out), $err);
}

# the command line of "make", with LeakSanitizer; another one as it is

sub with_leaks {
    my $build = build_dir();
    return $Perm::Cli::BINARY if $Perm::Cli::BINARY ne "$build/app-permission";

    system(@cc, '-fsanitize=leak', '-o', "$dir/app-permission",
           glob("$build/obj/{cli,cli/*,resp,core}/*.o"),
           qw(-l:libhiredis.a -lcjson -lssl -lcrypto -lm)) == 0 or return;
    return "$dir/app-permission";
}

is_part('commands') and subtest 'the command line' => sub {
    local $Perm::Cli::BINARY = with_leaks() or BAIL_OUT('it does not link');

    spew("$dir/leak.c", 'int main(void) { return !__builtin_malloc(9); }');
    is system(@cc, qw(-O0 -fsanitize=leak -o), "$dir/leak", "$dir/leak.c"), 0,
        'what leaks compiles';
    is system("env @preload @look $dir/leak 2> /dev/null") >> 8, 99,
        'a leak is seen';

    for my $args (@commands) {
        my @args = grep { !ref } @$args;
        fill($args);
        my $old = table();
        my $good = [run($args, 0)];
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
        is $bad, 0, '... nothing is lost or leaks, and no signal';
    }
};


# ---- the gateway

# the module again, with its own calls of nginx's pools and slabs

my $module = "$dir/ngx_http_app_permission_module.so";

my $built;

sub built { return $built //= build() }

sub build {
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
# is as it was, and a worker has as many blocks as before.  That no allocation
# failed $LAST times in a row ends it: one may come late, of a timer.

my $warm = 0;

sub scenario {
    my ($name, $call, %o) = @_;
    my ($runs, $passed, $fewest, @wrong) = (0, 0);
    my $once = sub {
        my ($n, $arm) = @_;
        $o{before}->($n) if $o{before};
        arm($arm);
        push @wrong, $call->($n);
        my $failed = has_failed();
        arm(0);
        push @wrong, $o{after}->($n) if $o{after};
        my @now = $t->{nginx}->workers;
        push @wrong, "worker @now in place of @worker" if "@now" ne "@worker";
        push @wrong, is_idle($fewest) if $arm;
        return $failed;
    };

    # an access of another app: the link for accesses is made again as well

    $once->("_$_", 0) for 1, 2;
    $warm++;
    $o{down} || wait_for(sub { outcome("warm$warm") =~ /^200/ }, 10) && $t->up
        && $t->flushed or push @wrong, 'a link is not made';
    $fewest = watch_idle($worker[0]);

    # of 400 at most there are names

    for (my $n = 1; !@wrong && $passed < $LAST && $n <= ($o{most} // 400);
         $n += $o{step} // $STEP)
    {
        $passed = $once->($n, $n) ? 0 : $passed + 1;
        diag "$name: allocation $n: $_" for @wrong;
        $runs++;
    }
    cmp_ok $runs, '>', $LAST, "$name: $runs runs";
    is scalar @wrong, 0, '... nothing is let in or leaks, and all goes on';
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
    }, down => $o{down}, after => sub {
        my $app = $of->(@_);
        my $is;
        return wait_for(sub { ($is = outcome($app, $uri, %o)) =~ /^$outcome/ }, 5)
            ? () : "then it is $is";
    });
}

# All links to a server break: what is asked then is no denial.  Links beat, so
# that a slow machine finds allocations without end: those of their beginning
# are the first.

sub linked {
    my ($server) = @_;
    return map { /^id=(\d+)/ } grep { !/ name=sentinel| flags=S| cmd=client/ }
        split /\n/, $server->cmd('CLIENT', 'LIST');
}

sub links {
    my ($name, $server, %o) = @_;
    my @n = ('', '_1', '_2', 1 .. 400);
    $server->load->allow(map({ "link$_" } @n), map { "warm$_" } 1 .. 40);
    ok wait_for(sub { outcome('link') =~ /^200/ }, 10), "$name: it goes";
    ok $t->up && $t->flushed, '... and all links are made';

    scenario($name, sub {
        my ($n) = @_;
        my @links = linked($server);
        $server->cmd(qw(CLIENT KILL ID), $_) for @links;
        my $is = outcome("link$n");

        # the link for accesses comes with the next one

        wait_for(sub { $n =~ /^\d/ && has_failed()
                       || linked($server) >= @links - 1 }, 1);
        return $is =~ /^(?:200|[05])/ ? () : "it is $is";
    }, after => sub {
        my ($n) = @_;
        my $is;
        wait_for(sub { ($is = outcome("link$n")) =~ /^200/ }, 10)
            or return "then it is $is";
        return $t->up && $t->flushed ? () : 'a link is not made';
    }, most => 200, %o);
}

# each other way to Redis, for a few allocations: most are those of the first

sub other_ways {
    my $sentinels = Perm::Sentinels->start(dir => $t->dir . '/s', n => 1);
    my ($node) = Perm::Cluster->start(dir => $t->dir . '/c',
                                      masters => 1)->nodes;
    my $ca = Perm::Ca->new($t->dir . '/tls');
    $ca->authority('ca');
    $ca->certificate('good', 'ca', 'DNS:localhost,IP:127.0.0.1');
    my $tls = Perm::Redis->start(dir => $t->dir . '/r',
        conf => $ca->redis_conf('good', 'ca', $t->port('tls')));

    for (['Sentinel', $sentinels->url, $sentinels->master],
         ['Cluster', "redis+cluster://127.0.0.1:$node->{port}", $node],
         ['TLS', 'rediss://localhost:' . $t->port('tls'), $tls])
    {
        my ($name, $url, $server) = @$_;
        my $trust = $name eq 'TLS' ? 'app_permission_redis_ssl_trusted'
            . '_certificate %%DIR%%/tls/ca.crt;' : '';
        $config = { %$config, redis => $url,
                    http => "app_permission_flush 20ms; $trust" };
        begin();
        links($name, $server, step => 5);
    }
}

is_part('gateway') and subtest 'the gateway' => sub {
    plan skip_all => 'the module is not a file of its own, built by "make"'
        unless built();
    local $Perm::Nginx::MODULE = $module;

    my @n = ('_1', '_2', 1 .. 400);
    $redis->cmd('FLUSHDB');
    $redis->load->allow('demo', map({ "miss$_" } @n), map { "warm$_" } 1 .. 40);
    $redis->grant('smoke', 'get_user', "over$_", time - 100) for @n;

    spew($t->dir . '/html/a', 'content');
    $config = { http => 'app_permission_flush 20ms;', server => <<'END' };
        %%DECISION%%
        location = /a       { app_permission required; }
        location = /self    { app_permission_self apply; }
        location = /decide  { app_permission_decide; app_permission required; }
        location = /bkapi   { app_permission required; empty_gif;
                              app_permission_app $app_permission_bkapi_app_code; }
END
    begin();
    is outcome('demo'), "$ALLOW MISS", 'it goes';
    ok $t->flushed, 'all links are made';

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

    # links that break, and then none

    links('reconnects', $redis, step => $STEP == 1 ? 1 : 4 * $STEP);
    $redis->stop;
    ok $t->down, 'Redis is down';
    call('stale', '/a', 'demo', '200 allow\S* STALE', down => 1);
    $redis->run;

    other_ways() if $STEP == 1;

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
# until the next reload.  $next makes the next configuration.  A master has as
# many blocks as when it had that configuration first; after an error of libssl,
# and the call that follows, again.

my $reloads = 0;
my (%blocks, $has, $was_ssl);

sub keeps {
    my ($conf) = @_;
    my $ssl = (unpack 'q6', slurp($counter))[5];
    numbers(5, 0);
    %blocks = () if $ssl || $was_ssl;
    $was_ssl = $ssl;
    my $is = blocks();
    return $is <= ($blocks{$conf} //= $is) ? ()
        : "a leak of the master: $is blocks in place of $blocks{$conf}";
}

sub reloads {
    my ($name, $in, $module, $next) = @_;
    my ($runs, $refused, $passed, @wrong) = (0, 0, 0);
    my $nginx = $t->{nginx};
    my $master = $in eq 'the master';
    my $step = $STEP * ($master || $STEP == 1 ? 1 : 4);

    for (my $n = 1; !@wrong; $n += $step) {
        my $app = 'reload' . ++$reloads;
        wait_for(sub { outcome($app) =~ /^200/ }, 5) or push @wrong, $app;
        my @old = $nginx->workers;
        my %next = $next->();
        $t->config(%next)->mark;

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
        } elsif (wait_for($taken, 10)) {
            $has = $next{http};
        } else {
            push @wrong, 'neither taken nor refused';
        }
        push @wrong, $t->new_lines(
            qr/exited on signal|built from another source|no answer of/);
        my @now = $nginx->workers;
        push @wrong, 'the next one is not taken'
            if @now < $nginx->configured && !$t->reload;

        # the first is libc's name of the time zone: it has it again later

        push @wrong, keeps($has) if $n > 1 || $module;
        push @wrong, outcome('demo')
            if !wait_for(sub { outcome('demo') =~ /^200/ }, 5);
        diag "$name: allocation $n: $_" for @wrong;
        $runs++;
        $passed = $failed ? 0 : $passed + 1;
        last if $passed >= ($master ? 1 : $LAST);
    }
    cmp_ok $runs, '>', 1, "$name: $runs runs, $refused refused";
    is scalar @wrong, 0, '... taken or refused, no leak, and all goes on';
}

is_part('reloads') and subtest 'a reload' => sub {
    plan skip_all => 'the module is not a file of its own, built by "make"'
        unless built();
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
    $has = $config->{http};
    $t->reload;
    watch($t->{nginx}{pid});
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

is_part('reloads') and subtest 'a start with a state file' => sub {
    plan skip_all => 'the module is not a file of its own, built by "make"'
        unless built();
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

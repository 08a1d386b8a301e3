#!/usr/bin/perl

# Reload under load: no request fails, the cache is kept.  Quit: nothing is
# left open.

use strict;
use warnings;

use IO::Select;
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);

use Perm::Test;
use Perm::Util qw(reap);


# A child that calls without a pause, half of it on kept connections, until
# there is a file that tells it to stop (a signal could break a call off); its
# exit status is 0 when every answer was the right one.

sub load {
    my ($t, $file) = @_;

    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;

    my ($calls, $wrong, $again, %kept) = (0, '', 0);

    until (-e "$file.end") {
        for my $app (qw(demo other open)) {
            my $uri = $app eq 'open' ? '/open' : '/required';
            my $status = $app eq 'other' ? 403 : 200;
            my $r;

            if ($calls++ % 2) {
                # the server may close a kept connection at any time between
                # two requests: then the request is sent anew, as clients do
                my $c = $kept{$app} // $t->connect;
                my $new = !$kept{$app};
                $c->send(Perm::Http->text($uri,
                    headers => { 'X-App' => $app }));
                $r = $c->response;
                if (!$r && !$new && $c->{buffer} eq '') {
                    $again++;
                    $r = $t->get($uri, app => $app);
                    delete $kept{$app};
                } else {
                    $kept{$app} = $c;
                    delete $kept{$app} if !$r
                        || ($r->{headers}{connection} // '') eq 'close';
                }
            } else {
                $r = $t->get($uri, app => $app);
            }

            my $got = $r ? $r->{status} : 'nothing';
            $wrong .= "$app: $got, not $status\n" if $got ne $status;
        }
    }

    spew($file, "$calls $again\n$wrong");
    POSIX::_exit($wrong eq '' ? 0 : 1);
}


for my $workers (1, 2) {
    my $t = Perm::Test->new;
    my $redis = $t->redis->load;
    $redis->grant('smoke', 'get_user', 'demo', time + 1000 | 0);

    my %conf = (workers => $workers, server => <<'EOT');
        app_permission_cache_valid 10m denied=10m;
        location /required { app_permission required;
                             proxy_pass %%BACKEND%%; }
        location /open     { app_permission open; proxy_pass %%BACKEND%%; }
EOT
    $t->nginx(%conf);
    ok $t->settled, "$workers worker(s): Redis is there";
    $t->get('/required', app => 'demo');
    $t->get('/required', app => 'other');
    my $before = $t->status;

    my $file = $t->dir . '/load';
    my $child = load($t, $file);

    for (1 .. 8) {
        sleep 0.1;
        ok $t->reload, "$workers worker(s): reload $_";
    }

    ok !$t->config(%conf, http => 'app_permission_flush never;')->reload,
        "$workers worker(s): a broken configuration is refused";
    $t->{nginx}->allow(qr/app_permission_flush/);
    $t->config(%conf);

    sleep 0.2;
    spew("$file.end", '');
    is reap($child, 10), 0, "$workers worker(s): every answer was right";
    my ($calls, $again) = split ' ', (my $text = slurp($file));
    cmp_ok $calls, '>', 100, "$workers worker(s): $calls calls, $again anew";
    diag substr $text, 0, 500 if $text =~ /\n./;

    my $s = $t->status;
    my $kinds = $s->{requests};
    cmp_ok $kinds->{allow}{resource_grant}, '>',
        $before->{requests}{allow}{resource_grant},
        "$workers worker(s): counters go on";
    is $kinds->{fail}{unavailable}, 0, "$workers worker(s): no failure";
    cmp_ok $s->{cache}{entries}, '>=', 2, "$workers worker(s): cache kept";

    # another size takes another zone: told, and served

    ok $t->config(%conf, http => 'app_permission_zone 8m;')->reload,
        "$workers worker(s): another zone size";
    is $t->get('/required', app => 'demo')->{status}, 200,
        "$workers worker(s): ... serves";

    # out of use and back in use

    ok $t->config(setup => '', server => <<'EOT')->reload,
        location /required { proxy_pass %%BACKEND%%; }
        location /status { return 204; }
EOT
        "$workers worker(s): not configured any more";
    is $t->get('/required')->{status}, 200, "$workers worker(s): open";
    ok $t->config(%conf)->reload, "$workers worker(s): configured again";
    is $t->get('/required', app => 'other')->{status}, 403,
        "$workers worker(s): checks again";

    # quit with a request that waits for Redis, and kept connections

    my $kept = $t->connect;
    $kept->send(Perm::Http->text('/required',
                                 headers => { 'X-App' => 'demo' }));
    is $kept->response->{status}, 200, "$workers worker(s): a kept connection";

    $redis->pause;
    my $waiting = $t->connect;
    $waiting->send(Perm::Http->text('/required',
                                    headers => { 'X-App' => 'cold' }));
    my $gone = $t->connect;
    $gone->send(Perm::Http->text('/required',
                                 headers => { 'X-App' => 'colder' }));
    undef $gone;
    sleep 0.1;
    $t->{nginx}->signal('QUIT');
    my $r = $waiting->response;
    is $r && $r->{status}, 503,
        "$workers worker(s): who waited gets an answer while quitting";
    $redis->resume;

    my $status = reap($t->{nginx}{pid}, 15);
    $t->{nginx}{pid} = undef;
    is $status, 0, "$workers worker(s): quits";
    is join("\n", $t->log_lines(qr/open socket|leak|exited on signal/)), '',
        "$workers worker(s): no open socket";
    $t->stop;
}


# An upgrade of the module without a restart.  Under its old path it is not even
# loaded; from another one it is, and has a zone of its own: two builds never
# share one, whatever their layouts are.

SKIP: {
    my $module = $Perm::Nginx::MODULE;
    skip 'the module is in the binary', 1 if $module eq '';

    my $t = Perm::Test->new;
    my $redis = $t->redis->load;
    $redis->grant('smoke', 'get_user', 'demo', time + 1000 | 0);
    my %conf = (workers => 2, server => 'location / {
        app_permission required; proxy_pass %%BACKEND%%; }');
    my $dir = $t->dir;
    my $upgrade = sub { spew("$dir/new.so", slurp($module));
                        rename "$dir/new.so", "$dir/$_[0].so"; };
    my $loaded = sub {
        my ($pid) = $t->{nginx}->workers;
        my %seen = map { $_ => 1 }
            slurp("/proc/$pid/maps") =~ m{\Q$dir\E/(\w+\.so.*)}g;
        return join ' ', keys %seen;
    };

    local $Perm::Nginx::MODULE = "$dir/one.so";
    $upgrade->('one');
    $t->nginx(%conf);
    ok $t->settled, 'a module of its own';
    is $t->get('/', app => 'demo')->{status}, 200, '... checks';
    is $t->status->{cache}{entries}, 1, '... and knows a call';

    $upgrade->('one');
    ok $t->reload, 'another build under its path: reloaded';
    is $loaded->(), 'one.so (deleted)', '... with the one before';
    is $t->status->{cache}{entries}, 1, '... and its zone';

    $Perm::Nginx::MODULE = "$dir/two.so";
    $upgrade->('two');
    ok $t->config(%conf)->reload, 'under another path: reloaded';
    is $loaded->(), 'two.so', '... with it';
    is $t->status->{cache}{entries}, 0, '... and with a zone of its own';
    is $t->get('/', app => 'demo')->{status}, 200, '... checks';
    is $t->get('/', app => 'other')->{status}, 403, '... and denies';
    $t->stop;
}


# fast stop, and reopen of logs

my $t = Perm::Test->new;
my $redis = $t->redis->load;
$t->nginx(workers => 2, server =>
    'location / { app_permission required; proxy_pass %%BACKEND%%; }');
is $t->get('/', app => 'x')->{status}, 403, 'up';
$t->{nginx}->signal('USR1');
is $t->get('/', app => 'x')->{status}, 403, 'logs reopened';
is $t->{nginx}->quit('TERM'), 0, 'fast stop';


# without a master process, as debuggers and profilers run it

$t->nginx(main => "master_process off;", server =>
    'location / { app_permission required; proxy_pass %%BACKEND%%; }');
is $t->get('/', app => 'x')->{status}, 403, 'master_process off';

$t->done;

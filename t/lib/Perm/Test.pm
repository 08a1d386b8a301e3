package Perm::Test;

# The harness: real nginx, real Redis, raw HTTP.  "use Perm::Test" also turns
# on strict and warnings and gives all of Test::More, and a "time" with
# fractions; see t/README.md.
#
#   use Perm::Test;
#
#   my $t = Perm::Test->new;             # late => 1: measures the machine, too
#   my $redis = $t->redis(conf => ['maxmemory 10mb']);   # see Perm::Redis
#   $redis->load->allow('demo');
#
#   $t->nginx(                           # writes the configuration and starts
#       workers => 2,                    # default 1
#       redis   => $url,                 # instead of that of $t->redis
#       main    => '...',                # text of the main context
#       http    => '...',                # text of http{}, after the setup below
#       setup   => '...',                # instead of that setup; '' for none
#       server  => 'location = /a { app_permission required; ... }',
#       servers => 'server {...}',       # more of them
#       log     => 'debug',              # level, default info
#       lua     => 1,                    # loads the Lua module ($t->has_lua)
#   );
#   $t->config(...same...)->reload;      # 1 when it was taken
#   $t->config(...same...)->check;       # nginx -t: (exit status, output)
#   $t->apply(...same...);               # starts or reloads; marks the log
#   $t->refuses($name, qr/.../, ...same...)   # asserts: nginx -t says that
#   $t->start;                           # as configured by config()
#   $t->stop;                            # quits, and asserts that the log has
#                                        #   nothing alarming: at the end of the
#                                        #   subtest it was made in, and ...
#   done_testing;                        # ... last line: stops what still runs
#
# Calls, of the Perm::Test made last.  "/a" is the URI where none is given:
#
#   outcome($app, $uri, ...)             # '200 allow/resource_grant HIT'
#   becomes($app, $outcome, $name, $uri, $seconds)
#                                        # asserts: it comes to begin with that
#   my $c = ask($app, $uri, $c);         # sends only, on a new connection if
#   answer($c)                           #   there is none; its outcome
#   decision($r)                         # the outcome of a response
#
#   my $r = $t->get('/a', app => 'demo', # header X-App: demo
#       headers => {...}, method => 'POST', body => '...');
#   is $r->{status}, 403;                # see Perm::Http for $r
#   my $c = $t->connect;                 # a Perm::Http connection
#   my %c = $t->worker_connections(2);   # one to each worker, by its pid
#   $t->load(\@apps, ...)                # Perm::Load of /a
#   $t->once(\@apps, ...)                # what came of one request of each
#   $t->all_are(\@apps, $outcome, $name) # asserts the same outcome of each
#
# What nginx says:
#
#   $t->status                           # app_permission_status as a hash
#   $t->cached($app)                     # "explain" of a call: its cache part
#   $t->log_lines(qr/.../)               # such lines of the error log
#   $t->wait_log(qr/.../, $seconds)      # waits for it in the error log
#   $t->mark;  $t->new_log;  $t->new_lines(qr/.../);  $t->wait_new(qr/.../)
#                                        # the same since the mark
#   $t->access($n)                       # access-log lines, parsed, as hashes
#   $t->backend                          # URIs that reached the backend so far
#   $t->{nginx}                          # Perm::Nginx: workers, signal, quit,
#                                        #   kill, allow(qr/expected alert/)
#
# Moments that a test may have to wait for:
#
#   $t->up       # the link is up and changes are pushed
#   $t->down     # the link is down
#   $t->flushed  # no access is pending
#   $t->settled  # up, and all that was written so far has been pushed: before
#                #   that an answer may be fetched twice
#   $t->told(sub { a change }, $n)       # it, or $n changes, have been pushed
#   $t->revoke($app)                     # revoked, and pushed
#   $t->soon($begun, $seconds, $name)    # asserts: it took no longer, but for
#                                        #   what the machine was late
#   $t->within($app, $outcome, $seconds, $name, $uri)
#                                        # asserts: a call has that outcome soon
#
# The command line, see Perm::Cli: $t->cli, $t->cli_is, $t->cli_begin.
#
# Setup, unless given: app_permission_redis of $t->redis (where it was called),
# app $http_x_app, gateway smoke, resource get_user.  In every text these are
# replaced: %%DIR%% (the temporary directory), %%REDIS%% (URL), %%PORT%% (the
# server's), %%PORT_x%% (any other; $t->port('x')), %%BACKEND%% (a proxy_pass
# target that answers 200 "backend <uri>\n"), %%DECISION%% (headers that show
# the decision, when it expires, and the worker).  location = /status and the
# log are there in every server of this harness.
#
# Helpers: wait_for(sub { condition }, $seconds), wait_until($moment),
# free_port, slurp($file), spew($file, $text), json($text), json_lines($text),
# key('grants', $app, $gateway) (a key of Redis).
#
# PERM_SLOW=n stretches every time-out; TEST_KEEP=1 keeps the directory, which
# is in memory unless TMPDIR says where.

use strict;
use warnings;

use Cwd ();
use Exporter ();
use File::Basename ();
use File::Temp ();
use JSON::PP ();
use Test::More ();
use Time::HiRes qw(time);

use Perm::Cli;
use Perm::FakeRedis;
use Perm::Http;
use Perm::Late;
use Perm::Load;
use Perm::Nginx;
use Perm::Redis;
use Perm::Table;
use Perm::Util qw(wait_for wait_until free_port slurp spew temp_dir spawn reap);

our @ISA = qw(Perm::Cli);
our @EXPORT = qw(time wait_for wait_until free_port slurp spew json json_lines
                 key outcome becomes ask answer decision subtest done_testing
                 $ALLOW $DENY $UNKNOWN $ASKS);

our $ROOT = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../..');
our $LUA = '/usr/lib/nginx/modules/ngx_http_lua_module.so';

# the outcomes that most tests are about

our $ALLOW = '200 allow/resource_grant';
our $DENY = '403 deny/no_grant';
our $UNKNOWN = '503 fail/unavailable MISS';

# a server for tests of the link: /a asks each time, /long keeps an answer for
# an hour

our $ASKS = <<'EOT';
        %%DECISION%%
        app_permission required;
        location = /a    { app_permission_cache_valid 0s denied=0s; empty_gif; }
        location = /long { app_permission_cache_valid 1h; empty_gif; }
EOT

my $current;        # the one made last
my @running;        # those whose log is to be looked through
our $depth = 0;     # of subtests

$SIG{INT} = $SIG{TERM} = sub { exit 1 };
$SIG{PIPE} = 'IGNORE';


sub import {
    my ($class) = @_;
    strict->import;
    warnings->import;

    local $Exporter::ExportLevel = $Exporter::ExportLevel + 1;
    Test::More->import(import => [grep { !/^(?:subtest|done_testing)$/ }
                                      @Test::More::EXPORT]);
    $class->Exporter::import;
}


sub new {
    my ($class, %o) = @_;

    my $temp = File::Temp->newdir('app-permission-XXXXXX', DIR => temp_dir(),
        CLEANUP => !$ENV{TEST_KEEP});
    chmod 0755, "$temp";

    my $self = bless { temp => $temp, dir => "$temp", ports => {},
                       depth => $depth }, $class;
    $self->{nginx} = Perm::Nginx->new(dir => $self->{dir});
    $self->{late} = Perm::Late->start($self->{dir}) if $o{late};
    Test::More::diag("kept: $temp") if $ENV{TEST_KEEP};
    return $current = $self;
}


sub dir { $_[0]{dir} }


# the Redis of this test; started when first asked for

sub redis {
    my ($self, %o) = @_;
    return $self->{redis} //= Perm::Redis->start(
        dir => "$self->{dir}/redis", %o);
}


# one that answers as it is told, in front of a real one or alone; another one
# when the last was stopped

sub fake_redis {
    my ($self, %o) = @_;
    delete $self->{fake} if $self->{fake} && !$self->{fake}{pid};
    return $self->{fake} //= Perm::FakeRedis->start(
        dir => "$self->{dir}/fake", %o);
}


sub port {
    my ($self, $name) = @_;
    return $self->{ports}{$name // ''} //= free_port();
}


sub json { JSON::PP->new->allow_nonref->decode($_[0]) }

sub json_lines { map { json($_) } split /\n/, $_[0] }

sub key { Perm::Table->key(@_) }


# ---- the configuration

my $DECISION = <<'EOT';
        add_header X-Decision
 "$app_permission_decision/$app_permission_reason $app_permission_cache" always;
        add_header X-Expires $app_permission_expires always;
        add_header X-Worker $pid always;
EOT

sub expand {
    my ($self, $text) = @_;
    my $server = $self->{fake} // $self->{redis};
    my $url = $server ? $server->url : 'unix:/nonexistent';

    $text =~ s/%%DECISION%%/$DECISION/g;
    $text =~ s/%%DIR%%/$self->{dir}/g;
    $text =~ s/%%REDIS%%/$url/g;
    $text =~ s/%%BACKEND%%/http:\/\/unix:$self->{dir}\/backend.sock:/g;
    $text =~ s/%%PORT(?:_(\w+))?%%/$self->port($1)/ge;
    return $text;
}


# TEST_NGINX_LUA=built-in: the binary has it, and needs no module

sub has_lua {
    return ($ENV{TEST_NGINX_LUA} // '') eq 'built-in'
        || (-e $LUA && !defined $ENV{TEST_NGINX_BINARY});
}


my $LOG_FORMAT = join ',', map { qq("$_":"\$$_") } qw(
    request_method request_uri uri status app_permission_decision
    app_permission_reason app_permission_cache app_permission_expires
    app_permission_expires_in app_permission_bkapi_app_code);


sub config {
    my ($self, %o) = @_;
    my $dir = $self->{dir};

    my $modules = $Perm::Nginx::MODULE ne ''
        ? "load_module $Perm::Nginx::MODULE;\n" : '';
    my $lua = join '', map { "load_module $_;\n" }
        ($LUA =~ s/ngx_http_lua/ndk_http/r, $LUA);
    $modules = $o{lua} eq 'last' ? $modules . $lua : $lua . $modules
        if $o{lua} && !$ENV{TEST_NGINX_LUA};

    my $url = $o{redis}
        // ($self->{redis} || $self->{fake} ? '%%REDIS%%' : undef);
    my $setup = $o{setup} // join "\n    ",
        (defined $url ? "app_permission_redis $url;" : ''),
        'app_permission_app $http_x_app;',
        'app_permission_gateway smoke;',
        'app_permission_resource get_user;';

    my $user = $> == 0 ? 'user nobody nogroup;' : '';
    my $workers = $o{workers} // 1;

    # texts of all contexts, with defaults that keep everything in $dir

    my $text = <<"EOT";
$modules$user
worker_processes $workers;
pid $dir/nginx.pid;
error_log $dir/error.log @{[$o{log} // 'info']};
@{[$o{main} // '']}

events {
    worker_connections 1024;
}

http {
    client_body_temp_path $dir/body_temp;
    proxy_temp_path $dir/proxy_temp;
    fastcgi_temp_path $dir/fastcgi_temp;
    uwsgi_temp_path $dir/uwsgi_temp;
    scgi_temp_path $dir/scgi_temp;

    log_format perm_test escape=json '{$LOG_FORMAT}';
    log_format perm_uri escape=none '\$request_uri';
    log_format perm_times '\$msec \$http_x_app \$app_permission_decision';
    access_log $dir/access.log perm_test;

    $setup
    @{[$o{http} // '']}

    server {
        listen 127.0.0.1:%%PORT%%;
        server_name localhost;
        root $dir/html;

        @{[($o{server} // '') =~ m{/status\b} ? '' : <<"STATUS"]}
        location /status {
            access_log off;
            app_permission off;
            app_permission_status;
            add_header X-Worker \$pid;
        }
STATUS
        @{[$o{server} // '']}
    }

    server {
        listen unix:$dir/backend.sock;
        access_log $dir/backend.log perm_uri;

        location / {
            default_type text/plain;
            app_permission off;
            return 200 "backend \$request_uri\\n";
        }
    }

    @{[$o{servers} // '']}
}
EOT
    $self->{nginx}->write($self->expand($text));
    $self->{listen} = $self->port;
    return $self;
}


# ---- nginx comes and goes

sub nginx {
    my ($self, %o) = @_;
    return $self->config(%o)->start;
}


sub start {
    my ($self) = @_;
    unlink "$self->{dir}/backend.sock";
    push @running, $self unless grep { $_ == $self } @running;
    $self->{nginx}->start;
    wait_for(sub { $self->connect }, 10) or die "nginx does not listen\n";
    $self->tracked if $self->{redis} && $self->{redis}{pid};
    return $self;
}


# When tracking begins the cache is distrusted once: what a test looks up
# before may be looked up twice.  Where Redis refuses to track the log says so,
# where it does not even answer this gives up.

sub tracked {
    my ($self) = @_;
    wait_for(sub {
        my $s = eval { $self->status } or return 1;
        return !$s->{redis}{configured} || $s->{invalidation}{active}
            || $self->log =~ /does not push changes/;
    }, 3);
}


sub check  { $_[0]{nginx}->check }
sub reload { my $self = shift; $self->{nginx}->reload(@_) }


sub apply {
    my ($self, %o) = @_;
    $self->config(%o)->mark;
    return $self->{nginx}{pid} ? $self->reload : $self->start;
}


sub refuses {
    my ($self, $name, $pattern, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($status, $said) = $self->config(%o)->check;
    Test::More::is($status, 1, "$name: refused");
    Test::More::like($said, $pattern, '... and says which');
    return $said;
}


# The end of every test that ran nginx: it quits by itself, and has said
# nothing that should wake anybody.

sub stop {
    my ($self) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    if ($self->{nginx}{pid}) {
        my $status = $self->{nginx}->quit;
        Test::More::is($status, 0, 'nginx quits by itself, with status 0');
    }
    Test::More::is(join("\n", $self->{nginx}->alerts), '', 'no alerts');
    @running = grep { $_ != $self } @running;

    $self->{fake}->stop if $self->{fake};
    $self->{redis}->stop if $self->{redis};
}


sub subtest {
    my ($name, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    local $depth = $depth + 1;
    Test::More::subtest($name, sub {
        $code->();
        $_->stop for grep { $_->{depth} == $depth } @running;
    });
}

sub done_testing {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $_->stop for my @all = @running;
    Test::More::done_testing();
}


# ---- calls

sub connect {
    my ($self, $where) = @_;
    return Perm::Http->connect($where // $self->{listen});
}


sub get {
    my ($self, $uri, %o) = @_;
    return Perm::Http->request($o{port} // $self->{listen}, $uri, %o)
        // { status => 0, headers => {}, fields => [], body => '', raw => '' };
}


sub decision {
    my ($r) = @_;
    return $r ? ("$r->{status} " . ($r->{headers}{'x-decision'} // ''))
                =~ s/ +$//r : 'nothing';
}

sub outcome {
    my ($app, $uri, %o) = @_;
    return decision($current->get($uri // '/a', app => $app, %o));
}

sub becomes {
    my ($app, $outcome, $name, $uri, $timeout) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $got;
    wait_for(sub { ($got = outcome($app, $uri)) =~ /^\Q$outcome\E/ }, $timeout);
    Test::More::like($got, qr/^\Q$outcome\E/, $name);
}

sub ask {
    my ($app, $uri, $c) = @_;
    $c //= $current->connect;
    $c->send(Perm::Http->text($uri // '/a', app => $app));
    return $c;
}

sub answer { decision($_[0]->response(undef, $_[1])) }


# the harness's /status says which worker it is

sub worker_connections {
    my ($self, $n) = @_;
    my %worker;

    wait_for(sub {
        my $c = $self->connect;
        $c->send(Perm::Http->text('/status'));
        $worker{$c->response->{headers}{'x-worker'}} = $c;
        return keys %worker == $n;
    });
    Test::More::is(scalar(keys %worker), $n, 'a connection to each worker');
    return %worker;
}


sub load {
    my ($self, $apps, %o) = @_;
    return Perm::Load->start($self, uri => '/a', apps => $apps, %o);
}

sub once {
    my ($self, $apps, %o) = @_;
    return $self->load($apps, pass => 1, rate => 1e9, %o)->wait;
}

sub all_are {
    my ($self, $apps, $outcome, $name, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $seen = $self->once($apps, %o)->{outcome};
    Test::More::is_deeply($seen, { $outcome => scalar @$apps }, $name)
        or Test::More::diag(Test::More::explain($seen));
}


# ---- what nginx says

sub log { $_[0]{nginx}->log }

sub log_lines {
    my ($self, $pattern) = @_;
    return grep { $_ =~ $pattern } split /\n/, $self->log;
}

sub wait_log {
    my ($self, $pattern, $timeout) = @_;
    return wait_for(sub { $self->log =~ $pattern }, $timeout);
}


sub mark { $_[0]{mark} = length slurp($_[0]{nginx}{error_log}) }

sub new_log {
    my ($self) = @_;
    return substr slurp($self->{nginx}{error_log}), $self->{mark} // 0;
}

sub new_lines {
    my ($self, $pattern) = @_;
    return grep { $_ =~ $pattern } split /\n/, $self->new_log;
}

sub wait_new {
    my ($self, $pattern, $timeout) = @_;
    return wait_for(sub { $self->new_log =~ $pattern }, $timeout);
}


# Access-log lines as hashes, waiting until there are at least $n of them: a
# client may have its answer before nginx has logged it.

sub access {
    my ($self, $n) = @_;
    my @lines;

    wait_for(sub {
        @lines = split /\n/, slurp("$self->{dir}/access.log");
        return @lines >= ($n // 0);
    });
    return map { json($_) } @lines;
}


# URIs the backend was asked for; waits until all there were are logged

sub backend {
    my ($self) = @_;
    my $mark = '/mark-' . ++$self->{marks};

    Perm::Http->request("$self->{dir}/backend.sock", $mark);
    wait_for(sub {
        slurp("$self->{dir}/backend.log") =~ /^\Q$mark\E$/m
    });
    return grep { !m{^/mark-} } split /\n/, slurp("$self->{dir}/backend.log");
}


# by this connection, or by one of its own

sub status {
    my ($self, $query, $c) = @_;
    my $uri = '/status' . ($query // '');
    $c->send(Perm::Http->text($uri)) if $c;
    my $r = $c ? $c->response : $self->get($uri);
    return eval { json($r->{body}) } // die "status: $r->{status} $r->{body}\n";
}


# as the cache has it, without a call

sub cached {
    my ($self, $app, $gateway, $resource) = @_;
    return $self->status('/explain?gateway=' . ($gateway // 'smoke')
        . '&resource=' . ($resource // 'get_user') . "&app=$app")->{cache};
}


# ---- moments to wait for

sub up {
    my ($self, $timeout) = @_;
    return wait_for(sub {
        my $s = $self->status;
        return $s->{redis}{up} && $s->{invalidation}{active};
    }, $timeout);
}

sub down {
    my ($self) = @_;
    return wait_for(sub { !$self->status->{redis}{up} });
}

sub flushed {
    my ($self) = @_;
    return wait_for(sub { $self->status->{access}{pending} == 0 }, 15);
}


sub received {
    my ($self, $c) = @_;
    return $self->status('', $c)->{invalidation}{received};
}

sub told {
    my ($self, $change, $n) = @_;
    my $before = $self->received;
    $change->();
    return wait_for(sub { $self->received >= $before + ($n // 1) });
}

sub revoke {
    my ($self, $app) = @_;
    return $self->told(sub { $self->{redis}->forbid($app) });
}


# Waits until the link to Redis is up and all that was written so far has had
# its effect on the cache.  Redis pushes changes to a connection in the order
# they were made in, so it is enough to see a later one arrive: of a key that
# nobody has written before.  "explain" tells its generation, and leaves no
# trace in the cache or the counters.  Its two counters are shared with a few
# other keys: that earlier changes move both of them, three times in a row, is
# out of the question.  The second one also means that a worker that has just
# taken tracking over has been through all that belongs to it.

sub settled {
    my ($self) = @_;

    $self->up or return 0;
    for (1 .. 3) {
        $self->pushed or return 0;
    }
    return 1;
}


# one change of a key of its own; made again when tracking may have missed it

sub pushed {
    my ($self) = @_;
    my $app = sprintf 'settled-%d-%d', ++$self->{marks}, rand 1e9;
    my $key = $self->{redis}->key('grants', $app, 'settled');
    my $generation = sub {
        $self->cached($app, 'settled', 'r')->{current_generation}{change}
    };
    my $before = $generation->();

    return wait_for(sub {
        $self->{redis}->cmd('HSET', $key, '-', 0);
        $self->{redis}->cmd('DEL', $key);
        return wait_for(sub {
            my $now = $generation->();
            return !grep { $now->[$_] == $before->[$_] } 0, 1;
        }, 1);
    });
}


# no longer than that, but for what the machine was late (late => 1)

sub soon {
    my ($self, $begun, $limit, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $took = time - $begun;
    Test::More::cmp_ok($took, '<', $limit + $self->{late}->since($begun),
        $name // sprintf '... after %.0f ms', $took * 1000);
}


sub within {
    my ($self, $app, $outcome, $limit, $name, $uri) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $begun = time;
    becomes($app, $outcome, $name, $uri, $limit + 5);
    $self->soon($begun, $limit);
}


1;

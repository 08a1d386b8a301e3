package Perm::Test;

# The harness: real nginx, real Redis, raw HTTP.
#
#   use Test::More;
#   use Perm::Test;
#
#   my $t = Perm::Test->new;
#   my $redis = $t->redis(conf => ['maxmemory 10mb']);   # see Perm::Redis
#   $redis->load->grant('smoke', 'get_user', 'demo', time + 60);
#
#   $t->nginx(                        # writes the configuration and starts
#       workers => 2,                 # default 1
#       main    => '...',             # text of the main context
#       events  => '...',
#       http    => '...',             # text of http{}, after the setup below
#       setup   => '...',             # instead of that setup; '' for none
#       server  => 'location = /a { app_permission required; ... }',
#       servers => 'server {...}',    # more of them
#       listen  => 'http2',           # parameters of the server's listen
#       log     => 'debug',           # level, default info
#       lua     => 1,                 # loads the Lua module ($t->has_lua)
#   );
#   $t->config(...same...)->check;    # nginx -t: (exit status, output)
#   $t->config(...same...)->reload;   # 1 when it was taken
#   $t->start;                        # as configured by config()
#
#   my $r = $t->get('/a', app => 'demo');      # header X-App: demo
#   is $r->{status}, 403;                      # see Perm::Http for $r
#   $t->get('/a', headers => {'X-B' => 1}, method => 'POST', body => '...');
#   my $c = $t->connect;                       # a Perm::Http connection
#   $t->curl('--http2-prior-knowledge', '-i', '/a')   # what curl printed
#
#   $t->wait_log(qr/.../)             # waits for it in the error log
#   $t->log_lines(qr/.../)            # such lines of the error log
#   $t->access                        # access-log lines, parsed, as hashes
#   $t->backend                       # URIs that reached the backend so far
#   $t->{nginx}                       # Perm::Nginx: workers, signal, reload,
#                                     #   quit, kill, allow(qr/expected alert/)
#   $t->cli('grant', ...)             # app-permission on this Redis:
#                                     #   (exit status, stdout, stderr)
#   $t->status                        # app_permission_status as a hash
#   $t->settled;                      # waits until the link to Redis is up and
#                                     #   all that was written there so far has
#                                     #   been pushed: before that an answer
#                                     #   may be fetched twice
#   $t->done;                         # the last line: quits nginx, checks that
#                                     # nothing alarming was logged; done_testing
#
# Setup, unless given: app_permission_redis of $t->redis (where it was called),
# app $http_x_app, gateway smoke, resource get_user.  In every text these are
# replaced: %%DIR%% (the temporary directory), %%REDIS%% (URL), %%PORT%% (the
# server's), %%PORT_x%% (any other; $t->port('x')), %%BACKEND%% (a proxy_pass
# target that answers 200 "backend <uri>\n"), %%CONF%% (the project's conf.d).
# location = /status and the log are there in every server of this harness.
#
# Helpers, exported: wait_for(sub { cond }, seconds), free_port, slurp, spew.
# PERM_SLOW=n stretches every time-out; TEST_KEEP=1 keeps the directory, which
# is in memory unless TMPDIR says where.

use strict;
use warnings;

use Cwd ();
use Exporter 'import';
use File::Basename ();
use File::Temp ();
use JSON::PP ();
use Test::More ();
use Time::HiRes qw(time sleep);

use Perm::FakeRedis;
use Perm::Http;
use Perm::Nginx;
use Perm::Redis;
use Perm::Util qw(wait_for free_port slurp spew temp_dir build_dir spawn reap);

our @EXPORT = qw(wait_for free_port slurp spew);

our $ROOT = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../..');
our $LUA = '/usr/lib/nginx/modules/ngx_http_lua_module.so';

$SIG{INT} = $SIG{TERM} = sub { exit 1 };
$SIG{PIPE} = 'IGNORE';


sub new {
    my ($class) = @_;

    my $temp = File::Temp->newdir('app-permission-XXXXXX', DIR => temp_dir(),
        CLEANUP => !$ENV{TEST_KEEP});
    chmod 0755, "$temp";

    my $self = bless { temp => $temp, dir => "$temp", ports => {} }, $class;
    $self->{nginx} = Perm::Nginx->new(dir => $self->{dir});
    Test::More::diag("kept: $temp") if $ENV{TEST_KEEP};
    return $self;
}


sub dir { $_[0]{dir} }


# the Redis of this test; started when first asked for

sub redis {
    my ($self, %o) = @_;
    return $self->{redis} //= Perm::Redis->start(
        dir => "$self->{dir}/redis", %o);
}


# one that answers as it is told, in front of a real one or alone

sub fake_redis {
    my ($self, %o) = @_;
    return $self->{fake} //= Perm::FakeRedis->start(
        dir => "$self->{dir}/fake", %o);
}


sub port {
    my ($self, $name) = @_;
    return $self->{ports}{$name // ''} //= free_port();
}


sub expand {
    my ($self, $text) = @_;
    my $server = $self->{fake} // $self->{redis};
    my $url = $server ? $server->url : 'unix:/nonexistent';

    $text =~ s/%%DIR%%/$self->{dir}/g;
    $text =~ s/%%REDIS%%/$url/g;
    $text =~ s/%%CONF%%/$ROOT\/conf.d/g;
    $text =~ s/%%BACKEND%%/http:\/\/unix:$self->{dir}\/backend.sock:/g;
    $text =~ s/%%PORT(?:_(\w+))?%%/$self->port($1)/ge;
    return $text;
}


sub has_lua { -e $LUA && !defined $ENV{TEST_NGINX_BINARY} }


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
        if $o{lua};

    my $setup = $o{setup} // join "\n        ",
        ($self->{redis} || $self->{fake}
            ? 'app_permission_redis %%REDIS%%;' : ''),
        'app_permission_app $http_x_app;',
        'app_permission_gateway smoke;',
        'app_permission_resource get_user;';

    my $user = $> == 0 ? 'user ' . ($o{user} // 'nobody nogroup') . ';' : '';
    my $workers = $o{workers} // 1;
    my $listen = $o{listen} // '';

    # texts of all contexts, with defaults that keep everything in $dir

    my $text = <<"EOT";
$modules$user
worker_processes $workers;
pid $dir/nginx.pid;
error_log $dir/error.log @{[$o{log} // 'info']};
@{[$o{main} // '']}

events {
    worker_connections 1024;
    @{[$o{events} // '']}
}

http {
    client_body_temp_path $dir/body_temp;
    proxy_temp_path $dir/proxy_temp;
    fastcgi_temp_path $dir/fastcgi_temp;
    uwsgi_temp_path $dir/uwsgi_temp;
    scgi_temp_path $dir/scgi_temp;

    log_format perm_test escape=json '{$LOG_FORMAT}';
    log_format perm_uri escape=none '\$request_uri';
    access_log $dir/access.log perm_test;

    $setup
    @{[$o{http} // '']}

    server {
        listen 127.0.0.1:%%PORT%% $listen;
        server_name localhost;
        root $dir/html;

        @{[($o{server} // '') =~ m{/status\b} ? '' : <<"STATUS"]}
        location /status {
            access_log off;
            app_permission off;
            app_permission_status;
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


sub nginx {
    my ($self, %o) = @_;
    return $self->config(%o)->start;
}


sub start {
    my ($self) = @_;
    unlink "$self->{dir}/backend.sock";
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


sub connect {
    my ($self, $where) = @_;
    return Perm::Http->connect($where // $self->{listen});
}


sub get {
    my ($self, $uri, %o) = @_;

    my @headers = ref $o{headers} eq 'HASH'
        ? map { [$_, $o{headers}{$_}] } sort keys %{$o{headers}}
        : @{$o{headers} // []};
    push @headers, ['X-App', $o{app}] if defined $o{app};

    return Perm::Http->request($o{port} // $self->{listen}, $uri, %o,
        headers => \@headers) // { status => 0, headers => {}, fields => [],
                                   body => '', raw => '' };
}


# "200 HIT", say: the status of a request, and what the module logged of it

sub curl {
    my ($self, @args) = @_;
    my @full = map { m{^/} ? "http://127.0.0.1:$self->{listen}$_" : $_ } @args;

    open my $pipe, '-|', 'curl', '-s', '-m', '10', @full
        or die "curl: $!\n";
    local $/;
    return scalar(<$pipe>) // '';
}


sub log { $_[0]{nginx}->log }

sub log_lines {
    my ($self, $pattern) = @_;
    return grep { $_ =~ $pattern } split /\n/, $self->log;
}

sub wait_log {
    my ($self, $pattern, $timeout) = @_;
    return wait_for(sub { $self->log =~ $pattern }, $timeout);
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
    return map { JSON::PP->new->allow_nonref->decode($_) } @lines;
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


sub status {
    my ($self, $query) = @_;
    my $r = $self->get('/status' . ($query // ''));
    return eval { JSON::PP->new->decode($r->{body}) }
        // die "status: $r->{status} $r->{body}\n";
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

    wait_for(sub {
        my $s = $self->status;
        return $s->{redis}{up} && $s->{invalidation}{active};
    }) or return 0;

    for (1 .. 3) {
        $self->pushed or return 0;
    }
    return 1;
}


# one change of a key of its own; made again when tracking may have missed it

sub pushed {
    my ($self) = @_;
    my $app = sprintf 'settled-%d-%d', ++$self->{marks}, rand 1e9;
    my $key = "$self->{redis}{prefix}grants:{settled:$app}";
    my $before = $self->generation($app);

    return wait_for(sub {
        $self->{redis}->cmd('HSET', $key, '-', 0);
        $self->{redis}->cmd('DEL', $key);
        return wait_for(sub {
            my $now = $self->generation($app);
            return !grep { $now->[$_] == $before->[$_] } 0, 1;
        }, 1);
    });
}


sub generation {
    my ($self, $app) = @_;
    my $r = $self->get("/status/explain?gateway=settled&resource=r&app=$app");
    my $e = eval { JSON::PP->new->decode($r->{body}) }
        // die "explain: $r->{status} $r->{body}\n";
    return $e->{cache}{current_generation}{change};
}


sub cli {
    my ($self, @args) = @_;
    my %o = ref $args[-1] eq 'HASH' ? %{pop @args} : ();

    my ($out, $err, $in) = map { "$self->{dir}/cli.$_" } qw(out err in);
    spew($in, $o{stdin} // '');

    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        $ENV{APP_PERMISSION_REDIS} = $o{redis} // $self->redis->url;
        open STDIN, '<', $in;
        open STDOUT, '>', $out;
        open STDERR, '>', $err;
        exec build_dir() . '/app-permission', @args or POSIX::_exit(127);
    }
    my $status = reap($pid, $o{timeout} // 60);
    kill 'KILL', $pid unless defined $status;
    return (defined $status ? $status >> 8 : -1, slurp($out), slurp($err));
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
    $self->no_alerts;
    $self->{fake}->stop if $self->{fake};
    $self->{redis}->stop if $self->{redis};
}


sub no_alerts {
    my ($self) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @alerts = $self->{nginx}->alerts;
    Test::More::is(join("\n", @alerts), '', 'no alerts');
}


sub done {
    my ($self) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $self->stop;
    Test::More::done_testing();
}


1;

package Perm::Nginx;

# An nginx in a prefix of its own.  See Perm::Test for how tests use it.
#
# TEST_NGINX_BINARY  another nginx than the system's
# TEST_NGINX_MODULE  another module; empty: it is in the binary
# TEST_NGINX_LUA     "built-in": that binary has Lua

use strict;
use warnings;

use IO::Socket::INET;
use Time::HiRes qw(time);

use Perm::Http;
use Perm::Util qw(wait_for slurp spew build_dir spawn reap);

our $BINARY = $ENV{TEST_NGINX_BINARY}
    // (grep { -x } qw(/usr/sbin/nginx /usr/local/sbin/nginx))[0] // 'nginx';
our $MODULE = $ENV{TEST_NGINX_MODULE}
    // build_dir() . '/ngx_http_app_permission_module.so';


sub new {
    my ($class, %o) = @_;
    my $dir = $o{dir};

    mkdir "$dir/$_" for qw(html logs);

    # what nginx allocates at its start it leaves to the end of the process

    # workers may be of another user

    mkdir "$dir/reports";
    chmod 0777, "$dir/reports";

    $ENV{ASAN_OPTIONS} = "detect_leaks=0:log_path=$dir/reports/asan";
    $ENV{UBSAN_OPTIONS} = "print_stacktrace=1:log_path=$dir/reports/ubsan";

    return bless { dir => $dir, conf => "$dir/nginx.conf", owner => $$,
                   error_log => "$dir/error.log", pidfile => "$dir/nginx.pid",
                   stderr => "$dir/stderr.log", allowed => [] }, $class;
}


sub write {
    my ($self, $text) = @_;
    spew($self->{conf}, $text);
    return $self;
}


sub command {
    my ($self, @more) = @_;
    return ($BINARY, '-p', $self->{dir}, '-e', $self->{error_log},
            '-c', $self->{conf}, @more);
}


# nginx -t: (exit status, what it said)

sub check {
    my ($self) = @_;

    my $log = "$self->{dir}/check.log";
    unlink $log;
    my $status = reap(spawn($log, $self->command('-t', '-g', 'daemon off;',
        '-e', "$self->{dir}/check.error.log")), 20);
    return ($status >> 8, slurp($log));
}


sub start {
    my ($self) = @_;

    unlink $self->{pidfile};

    $self->{pid} = spawn($self->{stderr}, $self->command('-g', 'daemon off;'));

    my $gone;
    wait_for(sub {
        my @now = $self->workers;
        return 1 if -s $self->{pidfile} && @now >= $self->configured;
        return $gone = waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid};
    }, 20);

    if ($gone || !-s $self->{pidfile}) {
        $self->{pid} = undef if $gone;
        die "nginx did not start:\n", slurp($self->{stderr}),
            slurp($self->{error_log});
    }

    return $self;
}


# pids of the workers, from /proc; (master) when master_process is off

sub workers {
    my ($self, %o) = @_;
    my $children = slurp("/proc/$self->{pid}/task/$self->{pid}/children");

    my @pids = grep {
        my $title = slurp("/proc/$_/cmdline");
        $title =~ /worker process/
            && ($o{all} || $title !~ /shutting down/);
    } split ' ', $children;
    return @pids if @pids;

    return slurp($self->{conf}) =~ /^\s*master_process\s+off/m
        ? ($self->{pid}) : ();
}


# How many there have to be.  One that was just forked is not among "workers":
# whoever takes fewer for all of them takes it for a new one after a reload.

sub configured {
    my ($self) = @_;
    return 1 if slurp($self->{conf}) =~ /^\s*master_process\s+off/m;
    return slurp($self->{conf}) =~ /^\s*worker_processes\s+(\d+)/m ? $1 : 1;
}


sub signal {
    my ($self, $signal, $pid) = @_;
    kill $signal, $pid // $self->{pid};
}


# Waits until workers of the new configuration, and only they, run; with
# old => 1 the old ones may still be shutting down.

sub reload {
    my ($self, %o) = @_;
    my %old = map { $_ => 1 } $self->workers;
    my $lines = () = $self->log =~ /\[emerg\]/g;

    $self->signal('HUP');

    my $failed;
    my $done = wait_for(sub {
        $failed = (() = $self->log =~ /\[emerg\]/g) > $lines;
        my @now = $self->workers(all => !$o{old});
        return $failed || (@now >= $self->configured
                           && !grep { $old{$_} } @now);
    }, 20);

    return $done && !$failed;
}


sub log { slurp($_[0]{error_log}) . slurp($_[0]{stderr}) }


# quit gracefully, or "stop" => fast; returns the exit status, undef when it
# had to be killed

sub quit {
    my ($self, $signal) = @_;

    return 0 unless $self->{pid} && $self->{owner} == $$;
    $self->signal($signal // 'QUIT');
    my $status = reap($self->{pid}, 15);
    $self->kill unless defined $status;
    $self->{pid} = undef;
    return $status;
}


# kill -9 of the master and of all its children

sub kill {
    my ($self) = @_;

    return unless $self->{pid} && $self->{owner} == $$;
    my @workers = split ' ',
        slurp("/proc/$self->{pid}/task/$self->{pid}/children");
    CORE::kill 'KILL', $self->{pid}, @workers;
    reap($self->{pid}, 5);

    # a zombie that nobody reaps yet has no command line
    wait_for(sub { !grep { slurp("/proc/$_/cmdline") ne '' } @workers }, 5);
    $self->{pid} = undef;
}


# what must not be in the logs

sub allow { push @{$_[0]{allowed}}, $_[1] }

sub alerts {
    my ($self) = @_;

    my @bad = grep { /\[(?:alert|emerg)\]|Sanitizer|runtime error:/ }
        split /\n/, $self->log;
    for my $allowed (@{$self->{allowed}}) {
        @bad = grep { $_ !~ $allowed } @bad;
    }
    push @bad, map { slurp($_) } glob "$self->{dir}/reports/*";
    return @bad;
}


sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    $self->kill;
}


1;

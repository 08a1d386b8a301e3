package Perm::Util;

# Small things that every part of the harness needs.

use strict;
use warnings;

use Exporter 'import';
use Fcntl qw(:flock O_CREAT O_RDWR);
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(wait_for wait_until free_port slurp spew temp_dir build_dir
                    nginx_source compile spawn reap);

# everything is slower under sanitizers and valgrind: PERM_SLOW=5

our $SLOW = $ENV{PERM_SLOW} || 1;

my @locks;


# Calls $condition until it is true, and returns what it returned; undef when
# that took longer than $timeout seconds.  On a busy machine, where what is
# waited for is late as well, it goes on for the number of turns that there
# are in that time otherwise, up to five times as long.

sub wait_for {
    my ($condition, $timeout) = @_;
    my ($begun, $turns) = (time, 0);
    $timeout = ($timeout // 10) * $SLOW;

    for ( ;; ) {
        my $result = $condition->();
        return $result if $result;

        $turns++;
        my $took = time - $begun;
        return undef if $took > $timeout
            && ($turns > $timeout * 25 || $took > $timeout * 5);
        sleep 0.01;
    }
}


# Until then: for tests of what the passing of time does.  A signal may end a
# sleep early.

sub wait_until {
    my ($moment) = @_;
    while ((my $left = $moment - time) > 0) { sleep $left }
}


# A port nobody has, this process's until it ends: a lock each, so that tests
# run in parallel.  The range is below the kernel's own, and leaves room for
# the bus port of a cluster node, which is 10000 higher.

sub free_port {
    my $dir = "/tmp/app-permission-ports.$<";
    mkdir $dir;

    for (1 .. 2000) {
        my $port = 11000 + int rand 10_000;

        sysopen my $lock, "$dir/$port", O_CREAT | O_RDWR or next;
        flock $lock, LOCK_EX | LOCK_NB or next;

        my $try = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $port, Proto => 'tcp', Listen => 1, ReuseAddr => 1)
            or next;
        close $try;

        push @locks, $lock;
        return $port;
    }

    die "no free port\n";
}


sub slurp {
    my ($file) = @_;
    open my $in, '<:raw', $file or return '';
    local $/;
    return scalar(<$in>) // '';
}


sub spew {
    my ($file, $text) = @_;
    open my $out, '>:raw', $file or die "$file: $!\n";
    print {$out} $text;
    close $out or die "$file: $!\n";
}


# Where a test has its files: in memory, if there is room, since a busy disk
# keeps whoever writes to it waiting for seconds, a Redis Cluster above all.

sub temp_dir {
    return $ENV{TMPDIR} if defined $ENV{TMPDIR};
    my ($free) = `df -Pk /dev/shm 2>&1` =~ /(\d+)\s+\d+%\s+\S+\s*\z/;
    return ($free // 0) > 1_000_000 && -w '/dev/shm' ? '/dev/shm' : '/tmp';
}


sub build_dir {
    require Cwd;
    return Cwd::abs_path($ENV{BUILD} || 'build') || die "no build directory\n";
}


sub nginx_source {
    chomp(my $source = `t/tools/nginx-source ${\ build_dir()}/nginx-source`);
    return $? ? die "no source of nginx\n" : $source;
}


# What make says of a target of t/$what/Makefile below the build directory; $?
# is its status.  Several tests make the same objects.

sub compile {
    my ($what, $target) = @_;
    my $build = build_dir();
    my $source = nginx_source();

    mkdir "$build/unit";
    return `flock $build/unit.lock make -s -f t/$what/Makefile BUILD=$build \\
            SOURCE=$source $build/$target 2>&1`;
}


# Runs a command, its output in $log.  It does not outlive this process, where
# the kernel can see to that.

sub spawn {
    my ($log, @command) = @_;
    my $parent = $$;

    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;

    my $prctl = { x86_64 => 157, aarch64 => 167 }->{(POSIX::uname())[4]};
    syscall $prctl, 1, POSIX::SIGTERM() if $prctl;
    POSIX::_exit(1) if getppid != $parent;

    open STDIN, '<', '/dev/null';
    open STDOUT, '>>', $log;
    open STDERR, '>&', \*STDOUT;
    exec { $command[0] } @command or POSIX::_exit(127);
}


# Waits for a child; returns its wait status, undef when it is still there
# after $timeout seconds.

sub reap {
    my ($pid, $timeout) = @_;
    my $status;

    wait_for(sub {
        my $got = waitpid $pid, POSIX::WNOHANG();
        $status = $got == $pid ? $? : 0 if $got;
        return $got;
    }, $timeout);

    return $status;
}


1;

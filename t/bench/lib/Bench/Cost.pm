package Bench::Cost;

# Instructions per request, user space only: callgrind counts an nginx of one
# process twice, over different numbers of requests on one connection, and only
# in the event loop: the rest cancels out, though not to the last instruction
# where a million entries are read from a file.  What timers do (heartbeats,
# the status's history) goes by the clock, which runs fifty times too fast for
# a program that callgrind slows down, and is left out.

use strict;
use warnings;

use Bench;
use Perm::Http;
use Perm::Util qw(reap spawn);

our ($SHORT, $LONG) = (1000, 16_000);
our @MALLOC = qw(malloc free _int_malloc _int_free malloc_consolidate sysmalloc
                 posix_memalign);


# Asks $count times, one request after the other, for the apps in turn.  Before
# that each is checked once, whatever $uri is: lookups leave the heap in another
# shape, in which every request of nginx costs malloc more or less.

sub drive {
    my ($port, $uri, $count, @apps) = @_;

    my $http = Perm::Http->connect($port) or die "connect: $!\n";
    my $request = sub {
        "GET $_[0] HTTP/1.1\r\nHost: bench\r\nX-App: $_[1]\r\n\r\n"
    };
    my @requests = map { $request->($uri, $_) } @apps;
    my ($size, $buffer);

    for (map({ $request->('/protected', $_) } @apps), $requests[0]) {
        $http->send($_);
        my $r = $http->response or die "no answer: $_";
        die "$r->{status}: $_" unless $r->{status} == 200;
        $size = length $r->{raw};
    }

    for my $i (1 .. $count) {
        syswrite $http->{socket}, $requests[$i % @requests]
            or die "nginx closed the connection\n";

        for (my $got = 0; $got < $size; ) {
            my $n = sysread $http->{socket}, $buffer, 65536
                or die "$uri: no answer\n";
            die "$uri: $buffer\n" if !$got && $buffer !~ /^HTTP\S+ 200/;
            $got += $n;
        }
    }
}


# runs nginx under callgrind for $count requests; the file callgrind wrote

sub count {
    my ($b, $uri, $count, %o) = @_;
    my $nginx = $b->{nginx};
    my $out = "$b->{dir}/callgrind." . ++$b->{counts};

    unlink $nginx->{pidfile};
    my $pid = spawn("$b->{dir}/valgrind.log", '/usr/bin/valgrind',
        '--tool=callgrind', "--callgrind-out-file=$out",
        '--toggle-collect=ngx_process_events_and_timers',
        "--log-file=$b->{dir}/valgrind.%p", $nginx->command);

    # Tracking, and the first walk of the flush through the zone, take a while;
    # how long must not show, nor how often it was asked for.

    wait_for(sub { Perm::Http->connect($b->port) }, 60)
        or die "nginx does not start under callgrind\n", $nginx->log;
    sleep($o{wait} // 4);
    my $active = $b->status->{invalidation}{active};

    drive($b->port, $uri, $count, @{$o{apps} // ['app-code00000001']})
        if $active;
    my $entries = $b->status->{cache}{entries};

    kill 'TERM', $pid;
    defined reap($pid, 120) or kill 'KILL', $pid;
    die "no tracking under callgrind\n", $nginx->log unless $active;
    die "$entries entries\n" if $uri eq '/protected'
        && $entries != ($o{entries} // $entries);
    die "callgrind wrote nothing:\n", slurp("$b->{dir}/valgrind.log")
        unless -s $out;
    return $out;
}


# the whole of $file; without what malloc() and free() take when $o{malloc} is 0

sub total {
    my ($file, %o) = @_;
    my $total;

    open my $in, '<', $file or die "$file: $!\n";
    while (my $line = <$in>) {
        $total = $1 if $line =~ /^(?:summary|totals): (\d+)/;
    }
    die "$file has no total\n" unless $total;
    $total -= functions($file, 1)->{ngx_event_expire_timers} // 0;

    if (!($o{malloc} // 1)) {
        my $functions = functions($file, 0);
        $total -= $functions->{$_} // 0 for @MALLOC;
    }
    return $total;
}


# instructions per request

sub per_request {
    my ($b, $uri, %o) = @_;
    my $short = count($b, $uri, $SHORT, %o);
    my $long = count($b, $uri, $LONG, %o);

    my $cost = (total($long, %o) - total($short, %o)) / ($LONG - $SHORT);
    return wantarray ? ($cost, $short, $long) : $cost;
}


# functions of $file, inclusive or not: name => instructions

sub functions {
    my ($file, $inclusive) = @_;
    my %cost;

    open my $in, '-|', 'callgrind_annotate', '--threshold=100', '--auto=no',
        '--inclusive=' . ($inclusive ? 'yes' : 'no'), $file
        or die "callgrind_annotate: $!\n";
    while (my $line = <$in>) {
        my ($n, $name) =
            $line =~ /^\s*([\d,]+) \(.*?\)\s+\S*?:(\w+)(?:'\d+)? / or next;
        $n =~ tr/,//d;
        $cost{$name} = $n if $n > ($cost{$name} // 0);
    }
    close $in;
    return \%cost;
}


# the same per request

sub functions_per_request {
    my ($short, $long, $inclusive) = @_;
    my ($a, $b) = map { functions($_, $inclusive) } $short, $long;
    return { map { $_ => ($b->{$_} - ($a->{$_} // 0)) / ($LONG - $SHORT) }
             keys %$b };
}


1;

package Bench::Cost;

# Instructions per request, user space only: callgrind counts an nginx of one
# process twice, over different numbers of requests on one connection, and only
# in the event loop: the rest cancels out, though not to the last instruction
# where a million entries are read from a file.  What timers do (heartbeats,
# the status's history) goes by the clock, which runs fifty times too fast for
# a program that callgrind slows down, and is left out.
#
# So is what malloc() and free() execute.  The same calls, for the blocks of a
# request's pool, take some 300 instructions more or less by what lies next to
# those blocks in the heap, which is what start, lookups and timers left there.
# How many calls there are is compared instead.

use strict;
use warnings;

use Bench;
use Perm::Http;
use Perm::Util qw(reap spawn);

our ($SHORT, $LONG) = (1000, 16_000);

my %MALLOC = map { $_ => 1 }
    qw(malloc free calloc realloc posix_memalign _mid_memalign);


# The location that is measured.  What it is compared with has other directives
# in the same place: the length of a URI and the search for it count as well.

our $URI = '/measured';

sub location {
    my ($directives) = @_;

    return "$Bench::PROTECTED        location = $URI {\n"
        . "            $directives\n            empty_gif;\n        }\n";
}


# Asks $count times, one request after the other, for the apps in turn.  Before
# that each is checked once.

sub drive {
    my ($port, $count, @apps) = @_;

    my $http = Perm::Http->connect($port) or die "connect: $!\n";
    my $request = sub {
        "GET $_[0] HTTP/1.1\r\nHost: bench\r\nX-App: $_[1]\r\n\r\n"
    };
    my @requests = map { $request->($URI, $_) } @apps;
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
                or die "no answer\n";
            die "$buffer\n" if !$got && $buffer !~ /^HTTP\S+ 200/;
            $got += $n;
        }
    }
}


# runs nginx under callgrind for $count requests; the file callgrind wrote

sub count {
    my ($b, $count, %o) = @_;
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

    drive($b->port, $count, @{$o{apps} // ['app-code00000001']})
        if $active;
    my $entries = $b->status->{cache}{entries};

    kill 'TERM', $pid;
    defined reap($pid, 120) or kill 'KILL', $pid;
    die "no tracking under callgrind\n", $nginx->log unless $active;
    die "$entries entries\n" if $entries != ($o{entries} // $entries);
    die "callgrind wrote nothing:\n", slurp("$b->{dir}/valgrind.log")
        unless -s $out;
    return $out;
}


# the whole of $file, but for timers and for malloc and free

sub total {
    my ($file) = @_;
    my $total;

    open my $in, '<', $file or die "$file: $!\n";
    while (my $line = <$in>) {
        $total = $1 if $line =~ /^(?:summary|totals): (\d+)/;
    }
    die "$file has no total\n" unless $total;

    $total -= functions($file, 1)->{ngx_event_expire_timers} // 0;
    return $total - (allocations($file))[1];
}


# how often malloc and free were called, and what they executed

sub allocations {
    my ($file) = @_;
    my ($calls, $cost) = (0, 0);
    my (%name, $caller, $callee);

    open my $in, '<', $file or die "$file: $!\n";
    while (my $line = <$in>) {
        if ($line =~ /^(c?)fn=\((\d+)\)(?: ([^.'\n]+))?/) {
            $name{$2} = $3 if defined $3;
            ($1 ? $callee : $caller) = $name{$2};

        } elsif ($line =~ /^calls=(\d+)/) {
            my $n = $1;
            my $inclusive = <$in>;
            next if $MALLOC{$caller} || !$MALLOC{$callee};
            $calls += $n;
            $cost += (split ' ', $inclusive)[-1];
        }
    }
    return ($calls, $cost);
}


# of one request in a location with these directives: instructions, calls of
# malloc and free, and the files of callgrind

sub per_request {
    my ($b, %o) = @_;
    my @files = map { count($b, $_, %o) } $SHORT, $LONG;

    my $per = sub { ($_[1] - $_[0]) / ($LONG - $SHORT) };
    my $cost = $per->(map { total($_) } @files);
    return $cost unless wantarray;
    return ($cost, $per->(map { (allocations($_))[0] } @files), @files);
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
            $line =~ /^\s*([\d,]+) \(.*?\)\s+\S*?:(\w+)(?:'\d+)?\s/ or next;
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

package Bench::Flood;

# A million app codes that nobody knows, and before that smaller floods, the
# first of as many a second as known ones.  Against the quiet case, and against
# the same flood on a location that refuses without a lookup: what that does to
# the known apps is the machine's share, which two CPUs for load, nginx and
# Redis together leave little of.  What makes the flood is "nice", as it would
# be elsewhere.

use strict;
use warnings;

use Time::HiRes qw(time);

use Bench;

our ($FLOOD, $FLOOD_RATE, $KNOWN, $RATE) = (1_000_000, 11_000, 1000, 2000);
our @SMALLER = (2000, 4000, 8000);               # a second
our ($QUIET, $SMALL) = (8, 16);                  # seconds


sub run {
    section('A flood of ' . commas($FLOOD) . ' unknown app codes at '
            . commas($FLOOD_RATE) . '/s, 2 workers, known apps at '
            . commas($RATE) . '/s');

    my $b = Bench->new;
    $b->grants(0, $KNOWN);
    $b->nginx(workers => 2, server => $Bench::PROTECTED . <<'EOT');
        location = /refused {
            set $nobody "";
            app_permission required;
            app_permission_app $nobody;
            empty_gif;
        }
EOT
    $b->fill(0, $KNOWN);

    my (@quiet, @small);
    for my $rate (@SMALLER) {
        push @quiet, quiet($b);
        my ($known) = beside($b, '/protected', "few-$rate-%", $rate,
                             $rate * $SMALL);
        push @small, p99(@{$known->{each}});
    }
    push @quiet, quiet($b);
    my ($control) = beside($b, '/refused', 'none%', $FLOOD_RATE,
                           $FLOOD_RATE * $QUIET);

    my $before = $b->status->{cache};
    my $calls = $b->calls('hmget');
    my $start = time;
    my ($during, $flood) = beside($b, '/protected', 'flood%', $FLOOD_RATE,
                                   $FLOOD);
    my $seconds = time - $start;
    my $after = $b->status->{cache};

    # what was evicted is a miss now

    $b->fill(0, $KNOWN);
    my $misses = $b->status->{cache}{miss} - $after->{miss};

    my $lookups = $b->calls('hmget') - $calls - $misses
                  - ($after->{refreshes} - $before->{refreshes});
    my $allowed = 10_000 + 10_000 / $seconds;

    push @quiet, quiet($b);
    my $p99 = p99(@quiet);
    my $p99_control = p99(@{$control->{each}});
    my $p99_during = p99(@{$during->{each}});

    row('known apps: p99, quiet, ms', decimals($p99 / 1000));
    flood_row($SMALLER[$_], $small[$_], $p99) for 0 .. $#SMALLER;
    flood_row($FLOOD_RATE, $p99_during, $p99);
    row('known apps: p99, the same refused without lookup, ms',
        decimals($p99_control / 1000));
    row('  ratio of the flood to that', decimals($p99_during / $p99_control));
    row('known apps: failed', $during->{failed}, '0', $during->{failed} == 0);
    row('known apps: to be looked up again', $misses, '0', $misses == 0);
    row('lookups/s of unknown apps', commas($lookups / $seconds),
        '<= ' . commas($allowed), $lookups / $seconds <= $allowed);
    row('flood: answered 403 / 503', join ' / ',
        map { commas($flood->{statuses}{$_} // 0) } 403, 503);
}


sub flood_row {
    my ($rate, $p99, $quiet) = @_;
    my $ratio = $p99 / $quiet;
    row('known apps: p99, flood of ' . commas($rate) . '/s, ms',
        decimals($p99 / 1000));
    row('  ratio to the quiet case', decimals($ratio), '<= 1.2', $ratio <= 1.2);
}


# of a second, as a rule

sub p99 {
    return median(map { $_->{p99} } @_);
}


# seconds without a flood; before it and after it

sub quiet {
    my ($b) = @_;
    return @{$b->load(to => $KNOWN, rate => $RATE,
                      seconds => $QUIET)->{each}};
}


# known apps as long as a flood lasts

sub beside {
    my ($b, $uri, $app, $rate, $count) = @_;

    my $known = $b->load_begin(to => $KNOWN, rate => $RATE, seconds => 3600);
    my $flood = $b->load(uri => $uri, app => $app, shuffle => 0,
        from => 0, to => $FLOOD, count => $count, rate => $rate,
        connections => 512, status => 403, nice => 15);

    return ($known->stop, $flood);
}


1;

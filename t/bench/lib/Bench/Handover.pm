package Bench::Handover;

# What a reload costs, and the end of a worker that hears of changes: lookups
# at Redis while known grants are called, and how late a revocation is that
# comes meanwhile, or while one of the two workers is stopped.

use strict;
use warnings;

use Time::HiRes qw(sleep time);

use Bench;
use Perm::Http;

our ($GRANTS, $OWN, $RATE, $SECONDS, $ROUNDS) = (100_000, 1000, 5000, 5, 3);


sub run {
    section('A reload, and the end of a worker that tracks, 2 workers, '
            . commas($GRANTS) . ' cached grants, ' . commas($RATE)
            . ' requests/s');

    my $b = Bench->new;
    $b->grants(0, $GRANTS);
    $b->{nginx}->allow(qr/exited on signal 9/);
    $b->nginx(workers => 2, zone => '64m', http => 'app_permission_cache_valid 1h;');
    my $r = $b->fill(0, $GRANTS);
    die "$r->{failed} requests failed\n" if $r->{failed};

    my $load = $b->load_begin(from => $OWN, to => $GRANTS, rate => $RATE,
                              seconds => 3600);
    sleep 2;

    my $reload = sub { $b->{nginx}->signal('HUP') };
    my $kill = sub { kill 'KILL', tracker($b) };

    row("lookups in $SECONDS s, nothing happens", lookups($b, sub { }));

    for (['a reload', $reload], ['kill -9 of a worker that tracks', $kill]) {
        my ($what, $do) = @$_;
        my $worst = quantile(1, map { lookups($b, $do) } 1 .. $ROUNDS);
        row("lookups in $SECONDS s, $what", $worst, '0', $worst == 0);
    }

    report('nothing happens', 50, revoked($b, sub { }));
    report('reloads', 50, revoked($b, $reload));
    report('kill -9 of a worker that tracks', 50, revoked($b, $kill));

    $load->stop;

    my $pid = tracker($b);
    kill 'STOP', $pid;
    my @took = revoked($b, sub { });
    kill 'CONT', $pid;
    report('one of two is stopped', 50, @took);

    die "nginx did not quit\n" unless defined $b->quit;
}


sub lookups {
    my ($b, $do) = @_;

    my $before = $b->redis->calls('pttl');
    $do->();
    sleep $SECONDS;

    return $b->redis->calls('pttl') - $before;
}


# seconds from each HDEL to the first denial; undef: none within 5 s

my $next = 0;

sub revoked {
    my ($b, $do) = @_;
    my @took;

    for my $part (1 .. $ROUNDS) {
        $do->();
        my $until = time + 3;

        while (time < $until) {
            my $app = $Bench::APP =~ s/%/sprintf '%08d', $next++ % $OWN/er;
            my $key = "app_permission:grants:{$Bench::GATEWAY:$app}";

            $b->redis->cmd('HSET', $key, $Bench::RESOURCE, $Bench::PERMANENT);
            until_status($b, $app, 200);
            $b->redis->cmd('HDEL', $key, $Bench::RESOURCE);
            push @took, until_status($b, $app, 403);
        }
    }

    return @took;
}


sub until_status {
    my ($b, $app, $status) = @_;
    my $began = time;

    while (time < $began + 5) {
        my $http = Perm::Http->connect($b->port);
        my $asked = time;
        $http->send("GET /protected HTTP/1.1\r\nHost: bench\r\n"
                    . "X-App: $app\r\nConnection: close\r\n\r\n");
        my $r = $http->response or next;
        return $asked - $began if $r->{status} == $status;
    }
    return undef;
}


sub report {
    my ($what, $bound, @took) = @_;

    my $missed = grep { !defined } @took;
    my ($p50, $p99, $worst) = map { 1000 * quantile($_, grep { defined } @took) }
        .5, .99, 1;

    row("revoked while: $what, times", commas(scalar @took));
    row('  missed', $missed, '0', $missed == 0);
    row('  median, ms', decimals($p50));
    row('  p99, ms', decimals($p99), '<= 10', $p99 <= 10);
    row('  worst, ms', decimals($worst), "<= $bound", $worst <= $bound);
}


# with two workers both track

sub tracker { ($_[0]{nginx}->workers)[-1] }


1;

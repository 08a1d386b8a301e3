package Bench::Revoke;

# From Redis's reply to HDEL until no worker allows any more, and from its
# reply to HSET until every worker does.  Two workers under load, each asked
# without pause on a connection of its own; what counts is when the first
# answer that is right has come from the later of the two.

use strict;
use warnings;

use IO::Select;
use Time::HiRes qw(time);

use Bench;
use Perm::Http;

our ($ROUNDS, $RATE, $PATIENCE) = (1000, 2000, 5);


sub run {
    section("Revoking and granting, $ROUNDS rounds, 2 workers, "
            . commas($RATE) . ' requests/s beside');

    my $b = Bench->new;
    $b->grants(0, 2000);
    $b->nginx(workers => 2, server => <<'EOT');
        location = /protected {
            app_permission required;
            add_header X-Worker $pid always;
            empty_gif;
        }
EOT
    my @workers = workers($b);
    my $load = $b->load_begin(from => 1000, to => 2000, rate => $RATE,
                              seconds => 3600);
    my (@revoked, @granted);
    our $relapses = 0;

    for my $round (0 .. $ROUNDS - 1) {
        my $app = $Bench::APP =~ s/%/sprintf '%08d', $round % 1000/er;
        my $key = "app_permission:grants:{$Bench::GATEWAY:$app}";

        until_all($app, 200, @workers);
        $b->redis->cmd('HDEL', $key, $Bench::RESOURCE);
        push @revoked, until_all($app, 403, @workers);

        $b->redis->cmd('HSET', $key, $Bench::RESOURCE,
                       "{\"expires\":$Bench::PERMANENT}");
        push @granted, until_all($app, 200, @workers);
    }

    my $background = $load->stop;
    report('revoked', @revoked);
    report('granted after a cached denial', @granted);
    row('wrong answers after the right one', $relapses, '0', $relapses == 0);
    row('failed requests of the load beside', $background->{failed}, '0',
        $background->{failed} == 0);
}


sub report {
    my ($what, @seconds) = @_;
    my ($p50, $p99, $worst) = map { 1000 * quantile($_, @seconds) } .5, .99, 1;

    row("$what, median, ms", decimals($p50));
    row("$what, p99, ms", decimals($p99), '<= 10', $p99 <= 10);
    row("$what, worst, ms", decimals($worst), '<= 50', $worst <= 50);
}


# a connection to each of the two workers

sub workers {
    my ($b) = @_;
    my (%workers, @spare);

    wait_for(sub {
        my $http = Perm::Http->connect($b->port);
        $http->send(request('nobody'));
        my $pid = $http->response->{headers}{'x-worker'};
        if ($workers{$pid}) { push @spare, $http }
        else { $workers{$pid} = $http }
        return keys %workers == 2;
    }, 20) or die "only one worker accepts connections\n";

    return values %workers;
}


sub request {
    my ($app) = @_;
    return "GET /protected HTTP/1.1\r\nHost: bench\r\nX-App: $app\r\n\r\n";
}


# Seconds until every worker has answered $status.  One that has is asked some
# more: it must not fall back.

sub until_all {
    my ($app, $status, @workers) = @_;
    my $began = time;
    my $request = request($app);
    my $worst = 0;
    my %right;

    my $select = IO::Select->new(map { $_->{socket} } @workers);
    my %http = map { fileno $_->{socket} => $_ } @workers;
    $_->send($request) for @workers;

    for ( ;; ) {
        for my $socket ($select->can_read($PATIENCE)) {
            my $http = $http{fileno $socket};
            my $r = $http->response or die "no answer\n";
            my $now = time;

            if ($r->{status} == $status) {
                $worst = $now - $began
                    if !$right{$http}++ && $now - $began > $worst;
            } elsif ($right{$http}) {
                our $relapses;
                $relapses++;
            }

            if (($right{$http} // 0) > 2) {
                $select->remove($socket);
                return $worst if !$select->count;
                next;
            }
            $http->send($request);
        }

        die "$app: not $status within $PATIENCE s\n"
            if time > $began + $PATIENCE;
    }
}


1;

package Bench;

# What every benchmark needs: a Redis, an nginx, the load generator, and the
# table that comes out.
#
#   my $b = Bench->new;                  # a directory, a Redis with the table
#   $b->redis->cmd(...)                  # Perm::Redis
#   $b->nginx(workers => 2, http => '...', server => '...', lua => 1,
#             zone => '32m', main => '...');
#   $b->{nginx}                          # Perm::Nginx
#   $b->load(uri => '/x', to => 1000, rate => 5000, seconds => 3);
#                                        # what t/bench/load.c prints, a hash;
#                                        #   {each}: the same of every second
#   my $run = $b->load_begin(...);       # the same in the background
#   my $result = $run->end;
#   $b->grants(0, 1000);                 # to app-code00000000 .. 00000999
#   $b->status                           # app_permission_status as a hash
#
#   section('Title');
#   row('what', '812', '<= 1,000', 812 <= 1000);    # bound and ok may be left
#   median(@numbers)  quantile(0.99, @numbers)  commas(1234567)

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();
use POSIX ();

use Perm::Test ();
use Perm::Util qw(wait_for build_dir reap slurp spawn spew);

our @EXPORT = qw(section row median quantile commas decimals
                 wait_for slurp spew);

our $GATEWAY = 'gateway-0001';                   # 12 bytes
our $RESOURCE = 'get_user_by_account_name';      # 24 bytes
our $APP = 'app-code%';                          # 16 bytes, with 8 digits
our $PERMANENT = 4102444800;

our @rows;                                       # for the summary

$| = 1;


sub section {
    my ($title) = @_;
    print "\n$title\n";
    push @rows, { title => $title, verdict => '' };
}


# one line of the table; $ok undef: nothing was asked for

sub row {
    my ($what, $value, $bound, $ok) = @_;

    my $verdict = !defined $ok ? '' : $ok ? 'ok' : 'MISSED';
    printf "  %-52s %14s  %-16s %s\n", $what, $value, $bound // '', $verdict;
    push @rows, { what => $what, value => $value, bound => $bound,
                  verdict => $verdict };
    return $ok;
}


# all rows so far as Markdown

sub markdown {
    my $text = '';

    for my $row (@rows) {
        if (defined $row->{title}) {
            $text .= "\n**$row->{title}**\n\n| what | measured | must | |\n"
                . "|---|--:|---|---|\n";
            next;
        }
        my $what = $row->{what} =~ s/^\s+/… /r;
        my $must = ($row->{bound} // '') =~ s/<=/≤/r =~ s/>=/≥/r;
        $text .= "| $what | $row->{value} | $must | $row->{verdict} |\n";
    }
    return $text;
}


sub quantile {
    my ($q, @numbers) = @_;
    @numbers = sort { $a <=> $b } @numbers;
    return $numbers[$q * $#numbers + 0.5];
}


sub median { quantile(0.5, @_) }


sub commas {
    my ($number) = @_;
    my $text = sprintf '%.0f', $number;
    1 while $text =~ s/^(-?\d+)(\d{3})/$1,$2/;
    return $text;
}


sub decimals {
    my ($number, $places) = @_;
    return sprintf '%.*f', $places // 2, $number;
}


sub new {
    my ($class, %o) = @_;

    my $t = Perm::Test->new;
    my $self = bless { t => $t, dir => $t->dir }, $class;

    $t->redis(conf => ['appendonly no', @{$o{redis} // []}]);
    $t->redis->load;
    $self->{nginx} = $t->{nginx};
    return $self;
}


sub redis  { $_[0]{t}->redis }
sub port   { $_[0]{t}->port }
sub status { $_[0]{t}->status }


# a file that grants, as redis-cli --pipe takes it: the apps of numbers $from
# to $to - 1

sub protocol {
    my ($self, $from, $to) = @_;
    my $file = "$self->{dir}/protocol";
    my $app = $APP =~ s/%/%08d/r;
    my $value = "{\"expires\":$PERMANENT}";

    my $key = "app_permission:grants:{$GATEWAY:$app}";
    my $bulk = sub { '$' . length($_[0]) . "\r\n$_[0]\r\n" };
    my $format = "*4\r\n\$4\r\nHSET\r\n\$" . length(sprintf $key, 0)
        . "\r\n$key\r\n" . $bulk->($RESOURCE) . $bulk->($value);

    open my $out, '>', $file or die "$file: $!\n";
    printf {$out} $format, $_ for $from .. $to - 1;
    close $out or die "$file: $!\n";
    return $file;
}


sub grants {
    my ($self, $from, $to) = @_;
    my $file = $self->protocol($from, $to);

    $self->pipe($file);
    unlink $file;
}


sub pipe {
    my ($self, $file) = @_;
    my $socket = $self->redis->{socket};

    system("redis-cli -s $socket --pipe < $file > /dev/null") == 0
        or die "redis-cli --pipe failed\n";
}


# how often Redis was asked so far

sub calls {
    my ($self, $command) = @_;
    my $stats = $self->redis->cmd('INFO', 'commandstats');
    return $stats =~ /^cmdstat_$command:calls=(\d+)/m ? $1 : 0;
}


# The configuration of a benchmark: nothing is logged, and a connection lasts
# for ever.  "Protected" is what most of them ask for.

our $PROTECTED = <<'EOT';
        location = /protected {
            app_permission required;
            empty_gif;
        }
        location = /unprotected {
            empty_gif;
        }
EOT

sub config {
    my ($self, %o) = @_;

    $self->{t}->config(
        workers => $o{workers} // 1, lua => $o{lua}, log => $o{log} // 'error',
        main => "worker_rlimit_nofile 8192;\n" . ($o{main} // ''),
        setup => '',
        http => <<"EOT",
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;

    app_permission_redis @{[$o{url} // '%%REDIS%%']};
    app_permission_zone @{[$o{zone} // '32m']};
    app_permission_app \$http_x_app;
    app_permission_gateway $GATEWAY;
    app_permission_resource $RESOURCE;
    app_permission_log_level info;
    @{[$o{http} // '']}
EOT
        server => $o{server} // $PROTECTED,
    );

    # the harness logs every request; a benchmark must not

    my $nginx = $self->{nginx};
    my $text = slurp($nginx->{conf});
    $text =~ s/^\s*access_log (?!off)[^;]*;//mg;
    $text =~ s/worker_connections \d+/worker_connections 4096/;
    $nginx->write($text);
    return $self;
}


sub nginx {
    my ($self, %o) = @_;

    $self->{nginx}->quit if $self->{nginx}{pid};
    $self->config(%o);
    $self->{t}->start;

    # the first answers come from before tracking was set up

    wait_for(sub { $self->status->{invalidation}{active} }, 10)
        or die "tracking does not become active\n" . $self->{nginx}->log;
    return $self;
}


sub quit { $_[0]{nginx}->quit }


# ---- load --------------------------------------------------------------------

sub load_begin {
    my ($self, %o) = @_;
    my %flag = (uri => 'u', app => 'A', from => 'f', to => 't',
                connections => 'c', rate => 'r', seconds => 'd', count => 'n',
                status => 's');
    my $out = "$self->{dir}/load." . ++$self->{loads};

    $o{app} //= $APP;
    $o{uri} //= '/protected';

    my @nice = $o{nice} ? ('/usr/bin/nice', '-n', $o{nice}) : ();
    my $pid = spawn($out, @nice, build_dir() . '/bench/load', '-p', $self->port,
        '-i', $o{shuffle} // 1 ? '-x' : (),
        map { defined $o{$_} ? ("-$flag{$_}", $o{$_}) : () } sort keys %flag);
    return bless { pid => $pid, out => $out }, 'Bench::Run';
}


sub load {
    my ($self, %o) = @_;
    return $self->load_begin(%o)->end;
}


# every app once, as fast as it goes

sub fill {
    my ($self, $from, $to, %o) = @_;
    return $self->load(from => $from, to => $to, count => $to - $from,
                       shuffle => 0, connections => 64, %o);
}


# wrk, one thread: requests a second, and the p99 in usec

sub wrk {
    my ($self, $uri, %o) = @_;
    my @command = ('wrk', '-t1', '-c' . ($o{connections} // 64), '--latency',
        '-d' . ($o{seconds} // 3), $o{script} ? ('-s', $o{script}) : (),
        '-H', 'X-App: ' . ($APP =~ s/%/00000001/r),
        'http://127.0.0.1:' . $self->port . $uri);

    open my $wrk, '-|', @command or die "wrk: $!\n";
    my $text = join '', <$wrk>;
    close $wrk;
    die "wrk $uri: $text\n" if $text =~ /Non-2xx|Socket errors/
        || $text !~ m{Requests/sec:\s+([\d.]+)};
    my $rate = $1;
    my ($p99, $unit) = $text =~ /99%\s+([\d.]+)(us|ms|s)\b/;
    return ($rate, $p99 * { us => 1, ms => 1e3, s => 1e6 }->{$unit});
}


# Rows of requests/s and p99 of some ways, [name, URI], in turns; each request
# is another app's.

sub ways {
    my ($self, $pairs, $seconds, @ways) = @_;
    my %o = (script => "$Perm::Test::ROOT/t/bench/apps.lua");
    my (%rates, %p99);

    $self->wrk($_->[1], %o, seconds => 1) for @ways;
    for (1 .. $pairs) {
        for my $way (@ways) {
            my ($rate, $p99) = $self->wrk($way->[1], %o, seconds => $seconds);
            push @{$rates{$way->[1]}}, $rate;
            push @{$p99{$way->[1]}}, $p99;
        }
    }

    for my $way (@ways) {
        row("requests/s, $way->[0]", commas(median(@{$rates{$way->[1]}})));
        row('p99, ms', decimals(median(@{$p99{$way->[1]}}) / 1000));
    }
}


package Bench::Run;

use strict;
use warnings;


# of a run without an end of its own

sub stop {
    my ($self) = @_;
    kill 'TERM', $self->{pid};
    return $self->end;
}


# the whole run; {each} has one entry a second

sub end {
    my ($self) = @_;

    my $status = Perm::Util::reap($self->{pid}, 600);
    my $text = Perm::Util::slurp($self->{out});
    die "load: $text\n" unless defined $status && $status == 0;

    my @parts = map { JSON::PP::decode_json($_) } split /\n/, $text;
    my $total = pop @parts;
    $total->{each} = \@parts;
    unlink $self->{out};
    return $total;
}


1;

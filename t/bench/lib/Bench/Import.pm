package Bench::Import;

# app-permission import against redis-cli --pipe: the same grants into an empty
# table on a local Redis, over the same socket.  redis-cli only has to pass on
# finished HSET commands; import reads JSON, checks every line, and leaves what
# it does not know of an old value alone.

use strict;
use warnings;

use Time::HiRes qw(sleep time);

use Bench;
use Perm::Util qw(build_dir slurp spawn);

our ($GRANTS, $PAIRS) = (1_000_000, 3);


sub run {
    my $cli = build_dir() . '/app-permission';
    return if !-x $cli;

    section('Importing ' . commas($GRANTS) . ' grants into an empty table');

    my $b = Bench->new;
    my $lines = lines($b);
    my $protocol = $b->protocol(0, $GRANTS);
    my (@import, @pipe, $rss);

    local $ENV{APP_PERMISSION_REDIS} = $b->redis->url;

    for (1 .. $PAIRS) {
        empty($b);
        my $start = time;
        my $kb = measured($b, $cli, 'import', $lines);
        push @import, $GRANTS / (time - $start);
        $rss = $kb if $kb > ($rss // 0);
        full($b);

        empty($b);
        $start = time;
        $b->pipe($protocol);
        push @pipe, $GRANTS / (time - $start);
        full($b);
    }

    my $rate = median(@import);
    row('app-permission import, grants/s', commas($rate), '>= 100,000',
        $rate >= 100_000);
    row('redis-cli --pipe, grants/s', commas(median(@pipe)));
    row('  ratio', decimals(median(map { $import[$_] / $pipe[$_] }
                                   0 .. $PAIRS - 1)));
    row('memory of import, MB', decimals($rss / 1024, 1), '< 64',
        $rss < 64 * 1024);
}


sub lines {
    my ($b) = @_;
    my $app = $Bench::APP =~ s/%/%08d/r;
    my $format = qq({"gateway":"$Bench::GATEWAY","resource":"$Bench::RESOURCE",)
        . qq("app":"$app","expires":$Bench::PERMANENT}\n);

    open my $out, '>', "$b->{dir}/grants" or die "$b->{dir}/grants: $!\n";
    printf {$out} $format, $_ for 0 .. $GRANTS - 1;
    close $out or die "$b->{dir}/grants: $!\n";
    return "$b->{dir}/grants";
}


sub empty {
    my ($b) = @_;
    $b->redis->cmd('FLUSHALL');
    $b->redis->load;
}


sub full {
    my ($b) = @_;
    my $keys = $b->redis->cmd('DBSIZE') - 1;
    die "$keys keys instead of $GRANTS\n" if $keys != $GRANTS;
}


# runs it; its largest resident size, kB

sub measured {
    my ($b, @command) = @_;
    my $pid = spawn("$b->{dir}/import.log", @command);
    my $rss = 0;

    while (waitpid($pid, POSIX::WNOHANG()) == 0) {
        $rss = $1 if slurp("/proc/$pid/status") =~ /^VmHWM:\s+(\d+)/m;
        sleep 0.02;
    }
    die "import failed:\n", slurp("$b->{dir}/import.log") if $?;
    return $rss;
}


1;

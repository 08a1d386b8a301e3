package Perm::Cli;

# The command line, on the Redis of the test unless the last argument, a hash,
# says otherwise.
#
#   my ($status, $out, $err) = $t->cli('list', '--app', 'a', {
#       redis => $url, stdin => 'text', timeout => 120,
#       before => ['faketime', '-f', $time] });
#   my ($out, $err) = $t->cli_is(0, $name, 'list');   # asserts the exit status
#   my $run = $t->cli_begin('import', $file);         # in the background
#   kill 'INT', $run->{pid} if $run->goes_on;
#   my ($status, $out, $err) = $run->end;
#
# TEST_CLI_BINARY  another one than the build's

use strict;
use warnings;

use POSIX ();
use Test::More ();

use Perm::Util qw(slurp spew build_dir reap);

our $BINARY = $ENV{TEST_CLI_BINARY} // build_dir() . '/app-permission';

our $runs = 0;


sub cli_begin {
    my ($self, @args) = @_;
    my %o = ref $args[-1] eq 'HASH' ? %{pop @args} : ();
    my $url = $o{redis} // $self->redis->url;

    my $name = "$self->{dir}/cli." . ++$runs;
    spew("$name.in", $o{stdin} // '');

    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        $ENV{APP_PERMISSION_REDIS} = $url;
        open STDIN, '<', "$name.in";
        open STDOUT, '>', "$name.out";
        open STDERR, '>', "$name.err";
        exec @{$o{before} // []}, $BINARY, @args
            or POSIX::_exit(127);
    }
    return bless { pid => $pid, name => $name, timeout => $o{timeout} // 60 },
        'Perm::Cli::Run';
}


sub cli { my $self = shift; return $self->cli_begin(@_)->end }


sub cli_is {
    my ($self, $expected, $name, @args) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($status, $out, $err) = $self->cli(@args);
    Test::More::is($status, $expected, $name) or Test::More::diag($err);
    return ($out, $err);
}


package Perm::Cli::Run;

use strict;
use warnings;

use Perm::Util qw(slurp reap);


sub goes_on {
    my ($self) = @_;
    return 0 if defined $self->{status};
    return 1 if waitpid($self->{pid}, POSIX::WNOHANG()) != $self->{pid};
    $self->{status} = $?;
    return 0;
}


# The exit status, 128 and the signal where one has ended it, -1 where nothing
# has in time.

sub end {
    my ($self) = @_;

    my $status = $self->{status} // reap($self->{pid}, $self->{timeout});
    kill 'KILL', $self->{pid} unless defined $status;
    my @text = map { slurp("$self->{name}.$_") } qw(out err);
    unlink glob "$self->{name}.*";
    return (!defined $status ? -1 : $status & 127 ? 128 + ($status & 127)
                                  : $status >> 8, @text);
}


1;

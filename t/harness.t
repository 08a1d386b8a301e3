#!/usr/bin/perl

# The test library itself: no test passes whose nginx has said something that
# should wake somebody, however the test ends.

use Perm::Test;

my $t = Perm::Test->new;
my $dir = $t->dir;

# a test that starts nginx, does this, and ends with done_testing: its exit
# status and what it said

sub test {
    my ($does) = @_;
    spew("$dir/some.t", <<"EOT");
use Perm::Test;
my \$t = Perm::Test->new;
\$t->nginx(server => 'location = /a { empty_gif; }');
is outcome('demo'), 200, 'it answers';
sub append {
    open my \$out, '>>', "\$t->{dir}/\$_[0]";
    print {\$out} "\$_[1]\\n";
}
$does
done_testing;
EOT
    my $said = `$^X -I$Perm::Test::ROOT/t/lib $dir/some.t 2>&1`;
    return ($? >> 8, $said);
}

sub fails {
    my ($what, $pattern, $does) = @_;
    my ($status, $said) = test($does);
    isnt $status, 0, "$what: fails";
    like $said, $pattern, '... and says why';
}


subtest 'nothing to say' => sub {
    for ('', '$t->stop;', 'append("error.log", "2026 [error] 1#1: x");') {
        my ($status, $said) = test($_);
        is $status, 0, "passes: $_" or diag $said;
        like $said, qr/^ok \d+ - no alerts$/m, '... having looked';
    }
};

subtest 'what the error log must not have' => sub {
    fails($_, qr/not ok \d+ - no alerts/,
          "append('error.log', '2026/01/01 00:00:00 $_ 1#1: x');")
        for '[alert]', '[emerg]', 'AddressSanitizer: overflow',
            'x.c:1:2: runtime error: x';
    fails('on standard error', qr/not ok \d+ - no alerts/,
          'append("stderr.log", "nginx: [emerg] x");');
    fails('a report of a sanitizer', qr/heap-use-after-free/,
          'append("reports/asan.1", "ERROR: heap-use-after-free");');
    fails('in a subtest that stops nginx', qr/not ok \d+ - no alerts/,
          'subtest x => sub { append("error.log", "[alert] x"); $t->stop };');
    fails('of an nginx that was killed', qr/not ok \d+ - no alerts/,
          'append("error.log", "[alert] x"); $t->{nginx}->kill;');
};

subtest 'an alert that is expected' => sub {
    my ($status, $said) = test('append("error.log", "[alert] this one");'
        . ' $t->{nginx}->allow(qr/this one/);');
    is $status, 0, 'passes' or diag $said;
};

subtest 'a worker that dies' => sub {
    fails('by a signal', qr/not ok \d+ - no alerts/,
          'kill "SEGV", $t->{nginx}->workers; $t->wait_log(qr/signal 11/);');
};

done_testing;

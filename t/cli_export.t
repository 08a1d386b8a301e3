#!/usr/bin/perl

# export: lines out that are an import again, a file that is there as a whole
# or not at all, and what happens to it on the way.

use strict;
use warnings;

use Test::More;

use Perm::Test;
use Perm::Util qw(build_dir reap);

my $t = Perm::Test->new;
my $redis = $t->redis;
my $cli = build_dir() . '/app-permission';
my $dir = $t->dir;

sub import_text {
    my ($text, @args) = @_;
    return $t->cli('import', @args, { stdin => $text });
}

# ---- export, and back

{
    $redis->cmd('FLUSHALL');
    $redis->load->grant('g', 'r1', 'a', '1800000000')
        ->grant('g', undef, 'a', "{\n\"type\" : \"apply\",\r\n\"expires\":1.8e9, \"x\":{\"a\": 1.10}}")
        ->grant('g', 'r2', 'b', '{"expires":5,"note":"\u0000\"\\\\","gateway":"evil","app":1}')
        ->grant('g', 'r3', 'b', qq({"expires":6,"n":"a\\\"\n\r"\n,"m":[1e400\r,0.1]}))
        ->grant('h', 'bad', 'b', '{"expires":1,}');

    my ($status, $out, $err) = $t->cli('export');
    is $status, 0, 'export';
    is join("\n", sort split /\n/, $out), join("\n", sort +(
        '{"gateway":"g","resource":"r1","app":"a","expires":1800000000}',
        '{"gateway":"g","resource":null,"app":"a","expires":1800000000,"type":"apply","x":{"a": 1.10}}',
        '{"gateway":"g","resource":"r2","app":"b","expires":5,"note":"\u0000\"\\\\"}',
        '{"gateway":"g","resource":"r3","app":"b","expires":6,"n":"a\"\n\r","m":[1e400 ,0.1]}')),
        'lines, with all members, never more than one a grant';
    like $err, qr/field "bad": unreadable/, 'what is unreadable is named';
    like $err, qr/: 1 grants have members named "gateway".*left out$/m,
        'and what a line cannot have';
    like $err, qr/: exported 4 grants, skipped 1 unreadable ones$/m, 'counted';

    my $file = "$dir/table.jsonl";
    spew($file, 'old');
    chmod 0600, $file;
    ($status) = $t->cli('export', $file);
    is $status, 0, 'export to a file';
    is join("\n", sort split /\n/, slurp($file)),
        join("\n", sort split /\n/, $out), 'the same';
    is ((stat $file)[2] & 0777, 0600, 'with the rights it had');
    is_deeply [glob "$file.*"], [], 'and nothing left beside it';

    $redis->cmd('FLUSHALL');
    ($status) = $t->cli('import', $file);
    is $status, 0, 'it is an import';
    my ($status2, $again) = $t->cli('export');
    is join("\n", sort split /\n/, $again), join("\n", sort split /\n/, $out),
        'which loses nothing';
    my $table = $out;

    # types that are none: what is in the file can be imported

    $redis->cmd('FLUSHALL');
    $redis->load->grant('g', 'r1', 'a', '{"expires":5,"type":["x"],"n":1}')
        ->grant('g', 'r2', 'a', '{"type":"x","expires":5,"t\u0079pe":"y"}')
        ->grant('g', 'r3', 'a', '{"type":null,"expires":5}')
        ->grant('g', 'r4', 'a', '{"expires":5,' . join(',', map { "\"m$_\":1" }
            1 .. 70) . '}');

    ($status, $out, $err) = $t->cli('export');
    is $status, 1, 'a grant that import would not take: 1';
    like $err, qr/field "r4": .*skipped/, 'it is named';
    like $err, qr/: 1 grants are not in the output .*\n.* skipped 0 unreadable/,
        'and not said to be unreadable';
    is join("\n", sort split /\n/, $out), join("\n",
        '{"gateway":"g","resource":"r1","app":"a","expires":5,"n":1}',
        '{"gateway":"g","resource":"r2","app":"a","expires":5,"t\u0079pe":"y"}',
        '{"gateway":"g","resource":"r3","app":"a","expires":5}'),
        'the last type that is one, or none';
    $redis->cmd('FLUSHALL');
    ($status, undef, $err) = import_text($out, '--replace');
    is $status, 0, 'and an import' or diag $err;

    # a failing export leaves the old file

    my $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/^HSCAN/, close => 1 });
    ($status) = $t->cli('export', $file, { redis => $fake->url });
    is $status, 3, 'Redis fails half-way: 3';
    is join("\n", sort split /\n/, slurp($file)),
        join("\n", sort split /\n/, $table), 'the old file is whole';
    is_deeply [glob "$file.*"], [], 'and nothing left beside it';
    $fake->stop;
    delete $t->{fake};
}

# ---- an export that is interrupted leaves the old file, and nothing beside it

my %number = (HUP => 1, INT => 2, TERM => 15);

for my $signal (sort(keys %number), 'nohup') {
    $redis->cmd('FLUSHALL');
    $redis->load->grant('g', 'r', 'a', 5);
    my ($file, $fake) = ("$dir/interrupted", $t->fake_redis(to => $redis));
    $fake->rules({ match => qr/^HSCAN/, delay => 0.5 });
    spew($file, 'old');

    my $pid = fork // die;
    if (!$pid) {
        $SIG{HUP} = $signal eq 'nohup' ? 'IGNORE' : 'DEFAULT';
        open STDERR, '>', "$dir/err";
        exec $cli, '--redis', $fake->url, 'export', $file
            or POSIX::_exit(127);
    }
    wait_for(sub { $fake->commands(qr/^HSCAN/) });
    is scalar(() = glob "$file.*"), 1, 'an export on its way';
    kill $signal eq 'nohup' ? 'HUP' : $signal, $pid;
    my $status = reap($pid, 10);

    if ($signal eq 'nohup') {
        is $status, 0, 'under nohup SIGHUP changes nothing';
        like slurp($file), qr/^\{"gateway":"g".*\}\n\z/, 'it is there';
    } else {
        is $status, (128 + $number{$signal}) << 8, "SIG$signal: status";
        is slurp($file), 'old', 'the old file is there';
    }
    is_deeply [glob "$file.*"], [], 'and nothing beside it';
    $fake->stop;
    delete $t->{fake};
}
# ---- behind a symbolic link the file is written, and the link stays

{
    $redis->cmd('FLUSHALL');
    $redis->load->grant('g', 'r', 'a', 5);

    for my $there (1, 0) {
        my $case = $there ? 'that is there' : 'that is not';
        my ($file, $link) = ("$dir/behind.$there", "$dir/link.$there");
        spew($file, 'old') if $there;
        symlink $file, $link or die;

        my ($status) = $t->cli('export', $link);
        is $status, 0, "export to a link to a file $case";
        ok -l $link, 'the link stays';
        is slurp($file),
            qq({"gateway":"g","resource":"r","app":"a","expires":5}\n),
            'the file is written';
    }
}

$redis->stop;
done_testing;

#!/usr/bin/perl

# export: lines out that are an import again, a file that is there as a whole
# or not at all, and what happens to it on the way.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;
my $dir = $t->dir;

sub sorted { join "\n", sort split /\n/, $_[0] }


subtest 'export, and back' => sub {
    $redis->empty->load->grant('g', 'r1', 'a', '1800000000')
        ->grant('g', undef, 'a', "{\n\"type\" : \"apply\",\r\n\"expires\":1.8e9, \"x\":{\"a\": 1.10}}")
        ->grant('g', 'r2', 'b', '{"expires":5,"note":"\u0000\"\\\\","gateway":"evil","app":1}')
        ->grant('g', 'r3', 'b', qq({"expires":6,"n":"a\\\"\n\r"\n,"m":[1e400\r,0.1]}))
        ->grant('h', 'bad', 'b', '{"expires":1,}');

    my ($out, $err) = $t->cli_is(0, 'export', 'export');
    is sorted($out), join("\n", sort +(
        '{"gateway":"g","resource":"r1","app":"a","expires":1800000000}',
        '{"gateway":"g","app":"a","expires":1800000000,"type":"apply","x":{"a": 1.10}}',
        '{"gateway":"g","resource":"r2","app":"b","expires":5,"note":"\u0000\"\\\\"}',
        '{"gateway":"g","resource":"r3","app":"b","expires":6,"n":"a\"\n\r","m":[1e400 ,0.1]}')),
        'lines, with all members, never more than one a grant';
    like $err, qr/field "bad": unreadable/, 'what is unreadable is named';
    like $err, qr/: 1 grant has members named "gateway".*left out$/m,
        'and what a line cannot have';
    like $err, qr/: exported 4 grants, skipped 1 that cannot be read$/m, 'counted';

    my $file = "$dir/table.jsonl";
    spew($file, 'old');
    chmod 0600, $file;
    $t->cli_is(0, 'export to a file', 'export', $file);
    is sorted(slurp($file)), sorted($out), 'the same';
    is ((stat $file)[2] & 0777, 0600, 'with the rights it had');
    is_deeply [glob "$file.*"], [], 'and nothing left beside it';

    $redis->cmd('FLUSHALL');
    $t->cli_is(0, 'it is an import', 'import', $file);
    my ($again) = $t->cli_is(0, 'export', 'export');
    is sorted($again), sorted($out), 'which loses nothing';

    my $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/^HSCAN/, close => 1 });
    $t->cli_is(3, 'Redis fails half-way: 3', 'export', $file,
        { redis => $fake->url });
    is sorted(slurp($file)), sorted($out), 'the old file is whole';
    is_deeply [glob "$file.*"], [], 'and nothing left beside it';
    $fake->stop;
};


# what is in the file can be imported

subtest 'a table that is lost takes no good copy with it' => sub {
    my $file = "$dir/daily.jsonl";
    $redis->empty->load->grant('g', 'r1', 'a', '1800000000');
    $t->cli_is(0, 'a copy', 'export', $file);
    my $good = slurp($file);

    $redis->empty;
    my (undef, $err) = $t->cli_is(1, 'another when the table is lost',
                                  'export', $file);
    like $err, qr/daily\.jsonl" is not written/, 'says so';
    is slurp($file), $good, 'the copy is there';
    is_deeply [glob "$file.*"], [], 'and nothing beside it';
    $t->cli_is(1, 'a new file', 'export', "$dir/other.jsonl");
    ok !-e "$dir/other.jsonl", 'neither';

    # loaded again, but by "init" in place of the copy

    $redis->load;
    for my $unreadable (0, 1) {
        $redis->grant('g', 'r', 'a', 'x') if $unreadable;
        (undef, $err) = $t->cli_is(1, 'another of a table without a grant',
                                   'export', $file);
        like $err, qr/daily\.jsonl" is not replaced: no grant was exported.*another FILE.*remove this/,
            'says so, and what to do';
        is slurp($file), $good, 'the copy is there';
        is_deeply [glob "$file.*"], [], 'and nothing beside it';
    }
    $t->cli_is(0, 'a new file', 'export', "$dir/empty.jsonl");
    $t->cli_is(0, 'which is empty, and replaced', 'export', "$dir/empty.jsonl");
    is -s "$dir/empty.jsonl", 0, 'is empty';
    my ($out) = $t->cli_is(0, 'standard output', 'export');
    is $out, '', '... too';
};


subtest 'types that are none' => sub {
    $redis->empty->load->grant('g', 'r1', 'a', '{"expires":5,"type":["x"],"n":1}')
        ->grant('g', 'r2', 'a', '{"type":"x","expires":5,"t\u0079pe":"y"}')
        ->grant('g', 'r3', 'a', '{"type":null,"expires":5}')
        ->grant('g', 'r4', 'a', '{"expires":5,' . join(',', map { "\"m$_\":1" }
            1 .. 70) . '}');

    my ($out, $err) = $t->cli_is(1, 'a grant that import would not take: 1',
        'export');
    like $err, qr/field "r4": .*skipped/, 'it is named';
    like $err, qr/: 1 grant is not in the output.*\n.* skipped 0 that cannot/,
        'and not said to be unreadable';
    is sorted($out), join("\n",
        '{"gateway":"g","resource":"r1","app":"a","expires":5,"n":1}',
        '{"gateway":"g","resource":"r2","app":"a","expires":5,"t\u0079pe":"y"}',
        '{"gateway":"g","resource":"r3","app":"a","expires":5}'),
        'the last type that is one, or none';
    $redis->cmd('FLUSHALL');
    $t->cli_is(0, 'and an import', 'import', '--replace', { stdin => $out });
};


subtest 'members that make a line one of another command are left out' => sub {
    my $lines = join "\n", sort map {
        qq({"gateway":"g","resource":"$_","app":"a","expires":5,"x":1}) } 1, 2;
    $redis->empty->load
        ->grant('g', '1', 'a', '{"expires":5,"expires_before":4,"x":1}')
        ->grant('g', '2', 'a', '{"gateway_expires":null,"expires":5,"x":1}');

    my ($out, $err) = $t->cli_is(0, 'export', 'export');
    is sorted($out), $lines, 'the grants are there';
    like $err, qr/: 2 grants have members named .*left out$/m, 'and it is said';
    $redis->empty;
    $t->cli_is(0, 'which import takes', 'import', '--replace', { stdin => $out });
};


subtest 'the counter stays while a file is written' => sub {
    plan skip_all => 'no script(1)' unless grep { -x "$_/script" } split /:/, $ENV{PATH};
    $redis->empty->load;
    $redis->each(map { [key('grants', "a$_", 'g'), 'HSET', 'r', 5] } 1 .. 5000);
    my $fake = $t->fake_redis(to => $redis);
    $fake->rules({ match => qr/^SCAN/, delay => 0.25 });
    my $out = `script -qec '$Perm::Cli::BINARY --redis @{[$fake->url]} export $dir/counted' /dev/null 2>/dev/null </dev/null`;
    like $out, qr/exported: \d+\r\e\[Kexported: \d+\r\e\[K/, 'until the next one';
    unlike $out, qr/\r\e\[K\r\e\[K/, 'no line of the file ends it';
    $fake->stop;
};


# it leaves the old file, and nothing beside it

my %number = (HUP => 1, INT => 2, TERM => 15);

for my $signal (sort(keys %number), 'nohup') {
    subtest "an export that is interrupted: $signal" => sub {
        $redis->empty->load->grant('g', 'r', 'a', 5);
        my ($file, $fake) = ("$dir/interrupted", $t->fake_redis(to => $redis));
        $fake->rules({ match => qr/^HSCAN/, delay => 0.5 });
        spew($file, 'old');

        local $SIG{HUP} = $signal eq 'nohup' ? 'IGNORE' : 'DEFAULT';
        my $run = $t->cli_begin('export', $file, { redis => $fake->url });
        wait_for(sub { $fake->commands(qr/^HSCAN/) });
        is scalar(() = glob "$file.*"), 1, 'an export on its way';
        kill $signal eq 'nohup' ? 'HUP' : $signal, $run->{pid};
        my ($status) = $run->end;

        is $status, $signal eq 'nohup' ? 0 : 128 + $number{$signal}, 'status';
        like slurp($file), $signal eq 'nohup' ? qr/^\{"gateway":"g".*\}\n\z/
                                              : qr/^old\z/, 'the file';
        is_deeply [glob "$file.*"], [], 'and nothing beside it';
        $fake->stop;
    };
}


subtest 'behind a symbolic link the file is written, and the link stays' => sub {
    $redis->empty->load->grant('g', 'r', 'a', 5);

    for my $there (1, 0) {
        my $case = $there ? 'that is there' : 'that is not';
        my ($file, $link) = ("$dir/behind.$there", "$dir/link.$there");
        spew($file, 'old') if $there;
        symlink $file, $link or die;

        $t->cli_is(0, "export to a link to a file $case", 'export', $link);
        ok -l $link, 'the link stays';
        is slurp($file),
            qq({"gateway":"g","resource":"r","app":"a","expires":5}\n),
            'the file is written';
    }
};

done_testing;

#!/usr/bin/perl

# expiring --notify: each notice once for each end, at whatever minute and how
# often the job runs; over half a year, with a job that was down, with a mailer
# that fails.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $clock = $t->fake_redis(to => $redis);
my $dir = $t->dir;

my $DAY = 86400;
my $START = 1800000000;
my @DAYS = (0, 1, 3, 7, 15);

srand 20261127;

# a mailer that fails every $every-th time, and else keeps what it gets

sub mailer {
    my ($every) = @_;
    spew("$dir/count", "0\n");
    spew("$dir/mailer", <<"EOT");
IFS= read -r line
read n < $dir/count
n=\$((n + 1))
echo \$n > $dir/count
[ $every -gt 0 ] && [ \$((n % $every)) -eq 0 ] && exit 1
printf '%s\\n' "\$line" >> $dir/mails
EOT
}

# the notices that a run gives: "app/resource" => days

sub run_at {
    my ($second) = @_;
    unlink "$dir/mails";
    $clock->time($second);
    $clock->forget;
    my ($status, $out, $err) = $t->cli('expiring', '--notify',
        ". $dir/mailer", { redis => $clock->url });
    my %told;
    for my $o (json_lines(-e "$dir/mails" ? slurp("$dir/mails") : '')) {
        $told{"$o->{app}/$_->{resource}"} = $_->{notice} for @{$o->{grants}};
    }
    return ($status, \%told);
}

sub due {
    my ($end, $second) = @_;
    return undef if $end <= $second;
    my $left = int(($end - $second) / $DAY);
    return (grep { $_ >= $left } @DAYS)[0];
}


# Runs at those times, and compares with what has to be told: where an app was
# told of anything at all, all that is due then and was not told yet.

sub simulate {
    my ($apps, $grants, $days, $gap) = @_;

    $redis->empty->load;
    my %end;
    for my $app (map { "app$_" } 1 .. $apps) {
        for my $n (1 .. $grants) {
            my $end = $START + int rand($days * $DAY);
            $end{"$app/r$n"} = $end;
            $redis->grant('g', "r$n", $app, $end);
        }
    }

    my (%told, %wrong, $failed);
    for (my $at = $START; $at < $START + $days * $DAY; $at += $gap->($at)) {
        my ($status, $now) = run_at(int $at);
        my %reached = map { m{^(.*)/} ? ($1 => 1) : () } keys %$now;
        $failed += $status;
        for my $grant (keys %end) {
            my $due = due($end{$grant}, int $at);
            my $is_new = defined $due && !grep { $_ == $due } @{$told{$grant}};
            my ($app) = $grant =~ m{^(.*)/};
            my $expected = $is_new && ($status == 0 || $reached{$app})
                ? $due : undef;
            $wrong{"$grant at $at"} = 1
                if ($now->{$grant} // 'none') ne ($expected // 'none');
            push @{$told{$grant}}, $now->{$grant} if defined $now->{$grant};
        }
    }
    is join(' ', (sort keys %wrong)[0 .. 2]) =~ s/\s+$//r, '',
        'each notice that holds, once';
    return (\%end, \%told, $failed);
}

$SIG{__WARN__} = sub { warn @_ unless $_[0] =~ /uninitialized/ };


subtest 'half a year, at random times' => sub {
    mailer(0);
    my ($end, $told) = simulate(10, 100, 182,
                                sub { (17 + rand 6.9) * 3600 });
    my @whole = grep { $end->{$_} > $START + 16 * $DAY
                       && $end->{$_} < $START + 181 * $DAY } keys %$end;
    cmp_ok scalar @whole, '>', 800, 'of 1,000 grants';
    is scalar(grep { "@{$told->{$_} // []}" ne '15 7 3 1 0' } @whole), 0,
        'each of the five notices, once and in order';
};


subtest 'a job that is down, a mailer that fails every third time' => sub {
    mailer(3);
    my $down = $START + 20 * $DAY;
    my ($end, $told, $failed) = simulate(8, 20, 45, sub {
        $_[0] > $down && $_[0] < $down + $DAY ? 5 * $DAY : (4 + rand 4) * 3600
    });
    cmp_ok $failed, '>', 10, 'runs that failed for some app';
    my @after = grep { $end->{$_} > $down + 22 * $DAY
                       && $end->{$_} < $START + 44 * $DAY } keys %$end;
    is scalar(grep { "@{$told->{$_} // []}" ne '15 7 3 1 0' } @after), 0,
        'and yet each notice once';
    my @during = grep { $end->{$_} > $down + 6 * $DAY
                        && $end->{$_} < $down + 16 * $DAY } keys %$end;
    cmp_ok scalar(grep { @{$told->{$_}} < 5 && $told->{$_}[-1] < 3 } @during),
        '>', 0, 'what was missed is made up for with the one that holds';
};


subtest 'a new end, a new time' => sub {
    mailer(0);
    my $end = $START + 2.5 * $DAY;
    my @grant = ('--gateway', 'g', '--resource', 'r1', '--app', 'a');
    my $told = sub { (run_at($START))[1]{'a/r1'} // 'none' };
    my $kept = sub { $redis->cmd('HGET', 'app_permission:notices:{g:a}', 'r1') };

    $redis->empty->load->grant('g', 'r1', 'a', $end);
    is $told->(), 3, 'told';
    is $kept->(), "$end:3", 'and kept';
    is $told->(), 'none', 'not again';
    $clock->time($START);
    my (undef, $list) = $t->cli('--json', 'expiring', { redis => $clock->url });
    is json($list)->{grants}[0]{notice}, 3, 'without --notify it is listed';

    $redis->grant('g', 'r1', 'a', $end - 10);
    is $told->(), 3, 'another end is told of';

    $clock->time($START);
    $t->cli('extend', @grant, '--days', 4, { redis => $clock->url });
    is $kept->(), undef, 'extended: nothing was told of it';
    is $told->(), 7, 'an extended end';

    $t->cli('revoke', @grant);
    $clock->time($START);
    $t->cli('grant', @grant, '--expires', $end - 10, { redis => $clock->url });
    is $told->(), 3, 'given again until the same second';

    my $import = sub {
        spew("$dir/file", join '', map { qq({"gateway":"g","resource":"$_->[0]","app":"a","expires":$_->[1]}\n) } @_);
        $clock->time($START);
        $t->cli_is(0, 'import', 'import', '--replace', "$dir/file",
                   { redis => $clock->url });
    };
    my ($same, $other) = (['r1', $end - 10], ['r2', $end + 90 * $DAY]);
    $import->($same, $other);
    is $told->(), 'none', 'imported as it is: not again';
    $import->($other);
    is $kept->(), undef, 'import --replace without it forgets what was told';
    $import->($same, $other);
    is $told->(), 3, 'imported again until the same second';
    $redis->cmd('HDEL', key('grants', 'a', 'g'), 'r1');
    $import->($same, $other);
    is $told->(), 3, 'and where somebody else had removed it';
    $import->(['r1', $end + 90 * $DAY], $other);
    $import->($same, $other);
    is $told->(), 3, 'and when it had another end meanwhile';
    $redis->cmd('DEL', key('notices', 'a', 'g'));
    $redis->cmd('SET', key('notices', 'a', 'g'), 'x');
    $import->($other);
    $import->($same, $other);
    is $redis->cmd('GET', key('notices', 'a', 'g')), 'x', 'a key of another type stops nothing';
    $redis->cmd('DEL', key('notices', 'a', 'g'));

    for my $odd ('x', "$end", "$end:", "$end:-1", ":3", "$end:3 ", '9' x 70) {
        $redis->grant('g', 'r1', 'a', $end);
        $redis->cmd('HSET', 'app_permission:notices:{g:a}', 'r1', $odd);
        is $told->(), 3, "what cannot be read was not told: $odd";
    }
    $redis->cmd('SET', 'app_permission:notices:{g:b}', 'x');
    $redis->grant('g', 'r1', 'b', $end);
    my ($status, $now) = run_at($START);
    is "$status $now->{'b/r1'}", '1 3', 'a key of another type: told, and status 1';
};


subtest 'killed between the mail and the mark' => sub {
    $redis->empty->load->grant('g', 'r1', 'a', $START + 10);
    $clock->rules({ match => qr/^TIME$/, reply => "*2\r\n\$10\r\n$START\r\n"
        . "\$1\r\n0\r\n" }, { match => qr/^HSET \S+notices:/, hang => 1 });
    unlink "$dir/mails";
    my $run = $t->cli_begin('expiring', '--notify', ". $dir/mailer",
                            { redis => $clock->url });
    wait_for(sub { -s "$dir/mails" });
    kill 'KILL', $run->{pid};
    $run->end;
    is +(run_at($START))[1]{'a/r1'}, 0, 'told twice rather than never';
    is +(run_at($START))[1]{'a/r1'}, undef, 'and then no more';
};


subtest 'why it is not renewed' => sub {
    my $now = int time;
    $redis->empty->load;
    my $in = $now + 5000;
    $redis->grant('g', 'unused', 'a', $in, granted => $now - 9 * $DAY)
        ->grant('g', 'before', 'a', $in, granted => $now - 9 * $DAY)
        ->grant('g', 'never', 'a', $in, renew => 'false')
        ->grant('g', 'old', 'a', $in);
    $redis->used('g', 'before', 'a', $now - 10 * $DAY);
    $redis->used('g', 'never', 'a', $now);
    $redis->used('g', 'old', 'a', $in - 180 * $DAY);
    my ($o) = json_lines($t->cli_is(0, 'expiring', '--json', 'expiring'));
    is_deeply { map { $_->{resource} => "$_->{renewal} "
                      . ($_->{last_access} ? 'used' : 'never') . ' '
                      . ($_->{granted} // '-') } @{$o->{grants}} },
        { unused => 'unused never ' . ($now - 9 * $DAY),
          before => 'unused used ' . ($now - 9 * $DAY),
          never => 'no_renew used -', old => 'current used -' }, 'said';
};


subtest 'policies' => sub {
    my $in = int(time) + 5000;
    $redis->empty->load->grant('g', undef, 'a', $in);
    $redis->grant('h', $_, 'a', $in)
        for qw(list_status health get_user Mixed other quoted included default);
    $redis->grant('i', 'health', 'a', $in);

    my $told = sub {
        my ($o) = json_lines($t->cli_is(0, 'expiring', '--json', 'expiring', '--policies',
                                        "$dir/policies.map"));
        return join ' ', map { "$_->{gateway}/" . ($_->{resource} // '-') }
            @{$o->{grants}};
    };

    spew("$dir/more.map", "included open;\n");
    spew("$dir/policies.map", <<'EOT');
# resource   policy; with a semicolon
list_status  open;     # open
h/health     off;
get_user required; mixed
    open;
"quoted" 'open';
\default open;
volatile;
include more.map;
EOT
    is $told->(), 'g/- h/get_user h/other i/health', 'open and off: nobody';
    spew("$dir/policies.map", "get_user required;\ndefault open;\n");
    is $told->(), 'g/- h/get_user', 'and so by default';
    spew("$dir/policies.map", '');
    like $told->(), qr{h/list_status}, 'an empty file';
    spew("$dir/policies.map", slurp("$Perm::Test::ROOT/conf.d/policies.map"));
    unlike $told->(), qr{list_status|h/health}, 'the sample';

    for (['~^get_ open;', 'regular expression'], ['a $policy;', 'neither off'],
         ['a', 'no ";"'], ['a open', 'no ";"'], ['a b c;', 'more than'],
         ['a;', 'no name and policy'], ['a open; }', 'no line of a map'],
         ['"a open;', 'no line of a map'], ['a:b open;', 'neither RESOURCE'],
         ['hostnames;', 'no name and policy'], ['include *.map;', 'not included'],
         ['a Open;', 'neither off']) {
        my ($line, $wrong) = @$_;
        spew("$dir/policies.map", "x open;\n\n$line\n");
        my ($out, $err) = $t->cli_is(2, "$line: 2", 'expiring', '--policies',
                                     "$dir/policies.map");
        like $err, qr/policies\.map", line [34]: .*\Q$wrong\E/, 'file and line';
        is $out, '', 'nobody is told';
    }
    spew("$dir/policies.map", "A open;\na off;\n");
    my ($out, $err) = $t->cli_is(2, 'twice: 2', 'expiring', '--policies',
                                 "$dir/policies.map");
    like $err, qr/twice/, 'said';
    $t->cli_is(2, 'no such file: 2', 'expiring', '--policies', '/nonexistent');
};

done_testing;

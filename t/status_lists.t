#!/usr/bin/perl

# The lists of the status: most refused, would be refused, resources, grants
# that end soon; their filters; and what an attack with made-up apps leaves.

use List::Util qw(sum);
use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $now = int time;
my $day = 86400;

$redis->grant('smoke', 'get_user', 'demo', $now + 100 * $day)
      ->grant('smoke', 'get_user', 'late', $now - $day)
      ->grant('smoke', 'get_user', 'forever', 4102444800)
      ->grant('smoke', 'get_user', 'hours', $now + 0.5 * $day)
      ->grant('smoke', 'get_user', 'days2', $now + 2 * $day)
      ->grant('smoke', undef, 'days5', $now + 5 * $day)
      ->grant('fire', undef, 'days14', $now + 14 * $day)
      ->grant('fire', undef, 'days16', $now + 16 * $day);

$t->nginx(workers => 2, http => 'keepalive_requests 1000000;',
          server => <<'EOT');
        app_permission required;
        location = /a    { empty_gif; }
        location = /open { app_permission open;
                           app_permission_resource list_status; empty_gif; }
        location = /dry  { app_permission_dry_run on;
                           app_permission_resource get_report; empty_gif; }
        location = /dry2 { app_permission_dry_run on;
                           app_permission_resource get_report_2; empty_gif; }
        location = /fire { app_permission_gateway fire;
                           app_permission_resource put_out; empty_gif; }
        location = /dry_fire { app_permission_dry_run on;
                           app_permission_gateway fire; empty_gif; }
        location = /any  { app_permission_resource $arg_r; empty_gif; }
EOT

sub repeat { my ($n, @get) = @_; $t->get(@get) for 1 .. $n }

sub lines {
    my ($list) = @_;
    return [map { join ' ', map { $_ // '-' }
                  @$_{qw(gateway resource app reason count error)} } @$list];
}

sub resources { map { $_->{resource} => $_ } @{$t->status(@_)->{resources}} }


subtest 'most refused' => sub {
    repeat(5, '/a', app => 'nobody');
    repeat(9, '/a', app => 'late');
    repeat(3, '/a');
    repeat(2, '/a', app => "<script>$_") for 1 .. 2;
    repeat(1, '/a', app => 'demo');

    my $s = $t->status;
    is_deeply lines($s->{refused}), [
        'smoke get_user late resource_grant_expired 9 0',
        'smoke get_user nobody no_grant 5 0',
        'smoke get_user - invalid_app 4 0',
        'smoke get_user - no_app 3 0',
    ], 'most refused, heaviest first, invalid apps as one';
    is_deeply $s->{would_deny}, [], 'nothing would be refused yet';
    ok !(grep { $_->{first} < $now || $_->{last} < $_->{first} }
         @{$s->{refused}}), 'with the time of the first and the last';
};


subtest 'would be refused' => sub {
    repeat(4, '/dry', app => 'nobody');
    repeat(2, '/dry', app => 'demo');
    repeat(3, '/dry2', app => 'nobody');

    is_deeply lines($t->status->{would_deny}), [
        'smoke get_report nobody no_grant 4 0',
        'smoke get_report_2 nobody no_grant 3 0',
        'smoke get_report demo no_grant 2 0',
    ], 'would be refused';
    my $of = sub { lines($t->status("?would_deny=1$_[0]")->{would_deny}) };
    is_deeply $of->(''), lines($t->status->{would_deny}), '... by itself';
    is_deeply $of->('&resource=get_report'),
        ['smoke get_report nobody no_grant 4 0',
         'smoke get_report demo no_grant 2 0'], '... of a resource';
    is_deeply $of->('&resource=get_report&limit=1'),
        ['smoke get_report nobody no_grant 4 0'], '... the first';
    is_deeply $of->('&gateway=fire'), [], '... of another gateway';
    ok !exists $t->status('?would_deny=1')->{requests}, '... and nothing else';
    ok exists $t->status('?would_deny=0')->{requests}, 'would_deny=0 is all';
};


# whoever grants what a list shows must not lock the rest out

sub rows {                               # of CSV, as hashes; notes apart
    my ($text) = @_;
    my ($head, @lines) = split /\r\n/, $text;
    my @names = split /,/, $head;
    my (@rows, @notes);
    for (@lines) {
        my @cells = map { s/^"|"$//gr =~ s/""/"/gr } /("(?:[^"]|"")*"|[^,]*)(?:,|$)/g;
        my %row;
        @row{@names} = @cells;
        push @{$row{count} eq '' ? \@notes : \@rows}, \%row;
    }
    return (\@rows, map { $_->{reason} } @notes);
}

subtest '60 apps that dry run let through: all of them' => sub {
    my $of = 'would_deny=1&gateway=fire';
    repeat(1, '/dry_fire', app => sprintf('app%02d', $_)) for 1 .. 60;
    my @all = map { sprintf 'app%02d', $_ } 1 .. 60;

    my $s = $t->status("?$of");
    my $l = $s->{lists}{would_deny};
    is scalar @{$s->{would_deny}}, 50, 'a page of 50';
    ok !$l->{complete}, '... says that it is not complete';
    is "$l->{shown} $l->{matching} $l->{missing}", '50 60 0', '... by how much';
    is "$l->{distinct} $l->{distinct_exact}", '63 1', '... of how many seen';
    like $l->{note}, qr/^50 of 60 are shown.*limit= and offset=\.$/,
        '... and how to get the rest';

    my $rest = $t->status("?$of&offset=50");
    is scalar @{$rest->{would_deny}}, 10, 'the page after that';
    is_deeply [sort map { $_->{app} } @{$s->{would_deny}},
                                      @{$rest->{would_deny}}], \@all,
        '... and together they have each app once';

    $s = $t->status("?$of&limit=60");
    is scalar @{$s->{would_deny}}, 60, 'or all of them on a page';
    ok $s->{lists}{would_deny}{complete}, '... which says that it is complete';
    is $s->{lists}{would_deny}{note}, undef, '... without a note';

    my $r = $t->get("/status?format=csv&$of");
    like $r->{headers}{'content-type'}, qr{^text/csv}, 'CSV';
    my ($rows, @notes) = rows($r->{body});
    is_deeply [sort map { $_->{app} } @$rows], \@all, '... has all of them';
    my $time = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/;
    my $since = qr/^Counted since $time, the oldest row since $time\. /;
    is scalar @notes, 1, '... and one note';
    like $notes[0], qr/$since$/, '... since when: a start begins a new list';
    cmp_ok abs($t->status("?$of")->{since} - $now), '<=', 30,
        '... and so does the JSON';
    is "$rows->[0]{list} $rows->[0]{gateway} $rows->[0]{reason} $rows->[0]{count}",
        'would_deny fire no_grant 1', '... with what the JSON has';
    like $rows->[0]{last}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, '... and times';

    ($rows, @notes) = rows($t->get("/status?format=csv&$of&limit=10&offset=55")
                             ->{body});
    is scalar @$rows, 5, 'a page of CSV';
    like "@notes", qr/${since}5 of 60 are shown, from offset 55 on/,
        '... says so in its last line';

    is $t->get("/status?$_")->{status}, 400, "refused: $_" for
        'offset=-1', 'offset=x', 'offset=', 'offset=1000001';
    is_deeply $t->status("?$of&offset=1000")->{would_deny}, [],
        'behind the end there is nothing';
};


subtest 'CSV: no cell is a formula' => sub {
    my @apps = ('=1+1', '@SUM', '+1', '-1', "\t=1", '"a",b');
    $t->get('/a', app => $_) for @apps;
    my ($rows) = rows($t->get('/status?format=csv&refused=1')->{body});
    is_deeply [grep { $_->{app} =~ /^[^'\w]/ } @$rows], [],
        'each such app begins with an apostrophe';
    is scalar(grep { $_->{app} =~ /^'(?:\@SUM|\+1|-1)$/ } @$rows), 3,
        '... and is there';
    is_deeply [grep { $_->{list} ne 'refused' } @$rows], [], '... of that list';
};


subtest 'resources' => sub {
    repeat(6, '/open');

    # a worker's first check is in the sample, and stands for 64

    ok $t->reload, 'a new worker';
    repeat(3, '/a', app => 'demo');

    my %resources = resources();
    is_deeply [sort keys %resources],
        [qw(get_report get_report_2 get_user list_status)], 'resources seen';

    my $r = $resources{get_user};
    is "$r->{policy} $r->{denied} $r->{would_deny}", 'required 27 0',
        'required';
    ok !$r->{dry_run}, '... in earnest';
    my $all = sum values %{$t->status->{requests}{allow}};
    ok $r->{allowed} >= 1, '... and somebody was allowed';
    cmp_ok $r->{allowed}, '<=', $all, '... no more than there were';
    cmp_ok abs($r->{allowed} - ($all - 6)), '<=', $r->{allowed_error},
        '... and it is said by how much it may be off';

    $r = $resources{get_report};
    is "$r->{policy} $r->{denied} $r->{would_deny}", 'required 0 6', 'dry run';
    ok $r->{dry_run}, '... says so';

    $r = $resources{list_status};
    is "$r->{policy} $r->{allowed} $r->{denied}", 'open 6 0', 'open';
    is $r->{allowed_error}, 0, '... which is exact';
};


subtest 'grants that end soon' => sub {
    $t->get('/a', app => $_) for qw(demo forever hours days2 days5);
    $t->get('/fire', app => $_) for qw(days14 days16);

    my $e = $t->status->{expiring};
    is_deeply $e->{within_days}, { 1 => 1, 3 => 2, 7 => 3, 15 => 4 },
        'grants in use that end soon';
    is_deeply [map { "$_->{gateway} $_->{resource} $_->{app}" }
                   @{$e->{grants}}],
        ['smoke get_user hours', 'smoke get_user days2', 'smoke - days5',
         'fire - days14'], '... listed, soonest first';
    is $e->{grants}[1]{expires}, $now + 2 * $day, '... with their end';
    is_deeply [map { $_->{app} } @{$t->status('?gateway=fire')->{expiring}
        {grants}}], ['days14'], '... of one gateway';

    # each becomes known as changed before it is asked for again

    $t->up;
    $redis->grant('smoke', 'get_user', 'hours', $now + 100 * $day)
          ->forbid('days2');

    ok wait_for(sub {
        $t->get('/a', app => $_) for qw(hours days2);
        my $w = $t->status->{expiring}{within_days};
        return join(' ', @$w{1, 3, 7, 15}) eq '0 0 1 2';
    }), 'one that was renewed and one that was revoked are gone';
};


subtest 'made-up apps: the list stays as long as it was, and useful' => sub {
    $redis->grant('smoke', 'get_user', 'late', $now - $day);

    my $attack = 5000;
    my $c = $t->connect;
    for my $part (1 .. $attack / 100) {
        ask('made-up-' . ($part * 100 + $_), undef, $c) for 1 .. 100;
        $c->response for 1 .. 100;
        $t->get('/a', app => 'nobody') for 1 .. 3;
    }

    my $s = $t->status('?limit=256');
    is $s->{requests}{deny}{no_grant} + $s->{requests}{dry_run_denied},
        5 + 9 + 60 + 3 + $attack + 3 * $attack / 100 + 1, 'the counters have them all'
        or diag explain $s->{requests};
    cmp_ok scalar @{$s->{refused}}, '<=', 256, 'the list is as long as it was';

    my $l = $s->{lists}{refused};
    ok !$l->{complete} && !$l->{distinct_exact}, 'it says what it does not have';
    cmp_ok abs($l->{distinct} - $attack - 8), '<', 0.1 * $attack,
        '... about how many were seen' or diag explain $l;
    is $l->{missing}, $l->{distinct} - $l->{kept}, '... how many are missing';
    like $l->{note}, qr/About $l->{distinct} were seen.*about $l->{missing} of /,
        '... in words';
    like $l->{note}, qr/are missing: the list keeps $l->{capacity},/,
        '... and why';
    my ($rows, @notes) = rows($t->get('/status?format=csv&refused=1')->{body});
    is scalar @$rows, $l->{kept}, 'CSV has what is kept';
    like "@notes", qr/^Counted since .*Z\. About \d+ were seen/,
        '... and says what is not';

    my ($nobody) = grep { ($_->{app} // '') eq 'nobody' } @{$s->{refused}};
    ok $nobody, 'who is refused again and again is in it';
    cmp_ok $nobody->{count}, '>=', 155, '... with no too small a count';
    cmp_ok $nobody->{count} - $nobody->{error}, '<=', 155,
        '... and the error says by how much it may be too large';
    my ($late) = grep { ($_->{app} // '') eq 'late' } @{$s->{refused}};
    is "$late->{count} $late->{error}", '9 0',
        'an app whose grant has ended is not pushed out at all';

    my ($worst) = sort { $b <=> $a } map { $_->{error} } @{$s->{refused}};
    cmp_ok $worst, '<=', ($attack + 200) / 192 + 1, 'the error is in its bound';

    # no app: its three, which 192 others have not pushed out for good

    my $body = $t->get('/status?format=html&limit=256')->{body};
    cmp_ok length $body, '<', 300_000, 'the page is bounded';
    is_deeply [$body =~ /(<script>\d|script>alert)/g], [],
        'nothing from outside is markup';
};


# where the configuration lets the request name them

subtest 'made-up resources' => sub {
    my $c = $t->connect;
    ask('nobody', "/any?r=made-up-$_", $c)->response for 1 .. 400;
    $t->get('/any?r=get_user', app => 'demo');
    $t->get('/any?r=late_comer', app => 'days5');

    my %resources = resources('?limit=256');
    cmp_ok scalar keys %resources, '<=', 130,
        'refused calls alone fill half of the table';
    ok $resources{late_comer}, '... so that one that is used finds its place';
};

done_testing;

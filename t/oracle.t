#!/usr/bin/perl

# The gateway and the command line against the rules in another language
# (Perm::Oracle), on random input.  SEED repeats a run, ORACLE_N sets how many
# calls there are.

use Perm::CJson qw(read_json);
use Perm::Oracle qw(decide renew notice covered too_long read_grant);
use Perm::Random;
use Perm::Test;

my $seed = seed();
my $N = $ENV{ORACLE_N} // 3000;

my $t = Perm::Test->new;
my $redis = $t->redis;
my $now = int time;
my $day = 86400;

my @gateways = @GATEWAYS;
my @resources = @RESOURCES;
my @apps = @APPS;
my @often = @apps[0 .. 19];      # asked again and again
my %table;

for my $gateway (@gateways) {
    for my $app (@apps) {
        for my $field ('-', @resources) {
            next if rand > 0.3;
            $table{$gateway}{$app}{$field} = a_value($now);
        }
        next unless $table{$gateway}{$app};
    }
}

# some keys end, in ten minutes or later

my %gone;
for my $gateway (@gateways) {
    $gone{$gateway}{$_} = $now + any(600, 10 * $day)
        for grep { rand > 0.8 } sort keys %{$table{$gateway}};
}

sub fill {
    $redis->load;
    $redis->each(map { my $g = $_;
        map { [$redis->key('grants', $_, $g), 'HSET', %{$table{$g}{$_}}] }
            keys %{$table{$g}} } keys %table);
    $redis->each(map { my $g = $_;
        map { [$redis->key('grants', $_, $g), 'EXPIREAT', $gone{$g}{$_}] }
            keys %{$gone{$g}} } keys %gone);
}
fill();

sub left {
    my ($gateway, $app, $now) = @_;
    my $end = $gone{$gateway}{$app // ''};
    return defined $end ? ($end - $now) * 1000 : undef;
}

$t->nginx(workers => 2, setup => <<'SETUP', server => <<'SERVER');
    app_permission_redis %%REDIS%%;
    app_permission_app $http_x_app;
    app_permission_gateway $http_x_gateway;
    app_permission_resource $http_x_resource;
SETUP
        large_client_header_buffers 4 32k;
        %%DECISION%%
        app_permission $http_x_policy;
        app_permission_record off;
        location = /a { empty_gif; }
        location = /d { app_permission_decide; }
        location = /allow { app_permission_on_error allow; empty_gif; }
SERVER
$t->up;

my %STATUS = (allow => 200, deny => 403, fail => 500, unavailable => 503);
my %asked;      # {tuple}: the answer, and its grants are known


subtest 'decisions over HTTP' => sub {
    my (@bad, %seen);
    my ($done, $ended, $c) = (0, 0);
    my $start = time;

    # some grants of those that are asked often end meanwhile

    for my $of (grep { defined } map { @{$table{$_}}{@often} } @gateways) {
        $of->{$_} = int($start) + any(1, 2, 2, 3)
            for grep { rand > 0.5 } sort keys %$of;
    }
    fill();
    ok $t->settled, 'changes are pushed';

    while ($done < $N || time < $start + 3.2) {
        my %q = (
            policy => any(('required') x 12, qw(open off maybe Required), ''),
            gateway => any((@gateways) x 4, '', 'a b', 'g' x 64, 'g' x 65, 'é'),
            resource => any((@resources) x 4, '', '-', 'a"b', 'x' x 257),
            app => any(map({ any(any(\@apps, \@often)->@*) } 1 .. 40),
                       '', 'a,b', 'a' x 129, "caf\xe9", 'a{b}', undef),
        );
        my $uri = any('/a', '/a', '/d');
        redo if $uri eq '/d' && $q{policy} eq 'off';
        $done++;

        my $grants = $table{$q{gateway}}{$q{app} // ''};
        my %h = map { defined $q{$_} ? ('X-' . ucfirst $_ => $q{$_}) : () }
                keys %q;

        my $begun = int time;
        $c //= $t->connect;
        $c->send("GET $uri HTTP/1.1\r\nHost: a\r\n"
            . join('', map { "$_: $h{$_}\r\n" } keys %h) . "\r\n");
        my $r = $c->response or die "no response";
        my @expected = map {
            my @d = $q{policy} eq 'off' ? ('', '') : decide(%q, now => $_,
                left => left(@q{qw(gateway app)}, $_),
                of_gateway => read_grant($grants->{'-'}),
                of_resource => read_grant($grants->{$q{resource}}));
            \@d;
        } $begun .. int time;

        my ($got) = ($r->{headers}{'x-decision'} // '') =~ m{^(\S*)};
        $seen{$got}++;
        my $key = join ' ', map { $_ // '' } @q{qw(gateway resource app)};
        $ended++ if $got =~ /^deny/ && ($asked{$key} // '') =~ /^allow/;
        $asked{$key} = $got if $q{policy} eq 'required';
        $c = undef if lc($r->{headers}{connection} // '') eq 'close';

        my $ok = grep {
            my ($outcome, $reason, $expires) = @$_;
            my $ends = $r->{headers}{'x-expires'} // '';
            $got eq "$outcome/$reason"
                && $r->{status} == ($outcome ? $STATUS{$outcome} : 200)
                && (!defined $expires ? $ends eq ''
                    : abs($ends - $expires) < 1

                      # of a key that ends, PTTL tells what is left: now plus
                      # that may be a millisecond short of the second

                      || $ends == $expires - 1
                         && $expires == ($gone{$q{gateway}}{$q{app}} // 0));
        } @expected;

        push @bad, join ' ', map { $_ // 'undef' } %q, 'values',
            map({ substr $_ // 'none', 0, 200 }
                @{{%{$grants // {}}}}{'-', $q{resource}}),
            'expected', (map { defined $_ ? $_ : '-' } @{$expected[0]}), 'got',
            $r->{status}, $got, $r->{headers}{'x-expires'}
            if !$ok;
    }

    srand $seed;       # how many there were depends on the machine
    is scalar @bad, 0, "$done decisions, as the rules have them"
        or diag map { "$_\n" }
            @bad > 5 ? @bad[0 .. 4] : @bad;
    cmp_ok $ended, '>', 5, "some ended meanwhile: $ended";
    cmp_ok scalar keys %seen, '>=', 9, 'of all kinds: '
        . join ', ', map { "$_ $seen{$_}" } sort keys %seen;
};


subtest 'check says the same' => sub {
    my @bad;

    for (1 .. $N / 40) {
        my ($gateway, $resource, $app) = (any(@gateways), any(@resources),
                                          any(@apps));
        my $grants = $table{$gateway}{$app};
        my $begun = int time;
        my ($status, $out) = $t->cli('--json', 'check', "--gateway=$gateway",
            "--resource=$resource", "--app=$app");
        my @expected = map { join '/', (decide(policy => 'required',
            gateway => $gateway, resource => $resource, app => $app,
            of_gateway => read_grant($grants->{'-'}),
            of_resource => read_grant($grants->{$resource}), now => $_,
            left => left($gateway, $app, $_)))[0, 1] } $begun .. int time;
        my $got = eval { json($out) } // {};
        my $said = "$got->{decision}/$got->{reason}";
        push @bad, "$gateway $resource $app: $said, expected $expected[0]"
            unless grep { $_ eq $said && $status == ($_ =~ /^allow/ ? 0 : 1) }
                @expected;
    }

    is scalar @bad, 0, 'check' or diag map { "$_\n" } @bad;
};


subtest 'while Redis is gone' => sub {
    my (@bad, %seen);
    my @asked = grep { my ($g, $r, $app) = split / /;
                       ($table{$g} // {})->{$app // ''} } sort keys %asked;
    $redis->stop;
    ok $t->down, 'it is';

    for my $n (1 .. $N / 20) {
        my ($gateway, $resource, $app) = (any(@gateways), any(@resources),
                                          any(@apps));
        ($gateway, $resource, $app) = split / /, any(@asked) if rand > 0.4;
        my %q = (policy => 'required', gateway => $gateway,
                 resource => $resource, app => $app);
        my $known = $asked{"$gateway $resource $app"};
        my $on_error = any('deny', 'allow');
        my $grants = $table{$gateway}{$app};
        my $begun = int time;
        my $r = $t->get($on_error eq 'deny' ? '/a' : '/allow', headers => {
            map { ('X-' . ucfirst $_ => $q{$_}) } keys %q });
        my @all = map { my $now = $_;
            my $d = join '/', (decide(%q, now => $now,
                left => left($gateway, $app, $now),
                of_gateway => read_grant($grants->{'-'}),
                of_resource => read_grant($grants->{$resource})))[0, 1];
            my $unknown = join '/', decide(%q, impossible => $on_error);
            # a denial need not be known any more
            $known && $d =~ /^allow/ ? $d : ($known ? $d : (), $unknown);
        } $begun .. int time;

        my ($got) = ($r->{headers}{'x-decision'} // '') =~ m{^(\S*)};
        $seen{$got}++;
        push @bad, "$gateway $resource $app: $got, expected @all"
            if !grep { $_ eq $got } @all;
    }

    is scalar @bad, 0, 'what is known decides, and nothing else is let in'
        or diag map { "$_\n" } @bad > 5 ? @bad[0 .. 4] : @bad;
    note join ', ', map { "$_ $seen{$_}" } sort keys %seen;
    $redis->run;
    fill();
    ok $t->settled, 'it is back';
};


# accesses: some before, some after the end, some in the future

my %used;
for my $gateway (sort keys %table) {
    for my $app (sort keys %{$table{$gateway}}) {
        for my $resource (@resources) {
            next if rand > 0.4;
            $used{$gateway}{$app}{$resource} = any(1, $now - 10,
                $now - 5 * $day, $now - 60 * $day, $now - 200 * $day,
                $now + 1000, $now + 20 * 365 * $day);
        }
    }
}
$redis->each(map { my $g = $_;
    map { my $u = $used{$g}{$_};
          [$redis->key('access', $_, $g), 'ZADD', map { ($u->{$_}, $_) } keys %$u] }
        keys %{$used{$g}} } keys %used);

sub last_of {
    my ($gateway, $app, $field) = @_;
    my $u = $used{$gateway}{$app} // {};
    return scalar $u->{$field} if $field ne '-';
    my ($last) = sort { $b <=> $a } values %$u;
    return $last;
}

# values as they are now

sub values_now {
    my %is;
    for my $g (keys %table) {
        my @keys = map { [$_, $redis->key('grants', $_, $g)] } keys %{$table{$g}};
        my @all = $redis->each(map { [$_->[1], 'HGETALL'] } @keys);
        $is{$g}{$keys[$_][0]} = { @{$all[$_]} } for 0 .. $#keys;
    }
    return \%is;
}


subtest 'notices' => sub {
    my @days = any([0, 1, 3, 7, 15], [5, 30], [0], [100, 2, 50]);
    my $days = join ',', @{$days[0]};
    my $begun = int time;
    my ($status, $out) = $t->cli('--json', 'expiring', '--days', $days);
    my (%got, @bad);

    for my $object (json_lines($out)) {
        for my $row (@{$object->{grants}}) {
            $got{$row->{gateway}}{$object->{app}}{$row->{resource} // '-'}
                = $row;
        }
    }

    for my $g (keys %table) {
        for my $app (keys %{$table{$g}}) {
            for my $field (keys %{$table{$g}{$app}}) {
                my $row = delete $got{$g}{$app}{$field};
                my ($grant, $whole) = map { read_grant($table{$g}{$app}{$_}) }
                    $field, '-';
                my @n = map {
                    my @now = ($_, 180 * $day);
                    my $n = notice($table{$g}{$app}{$field},
                        last_of($g, $app, $field), @now, @{$days[0]});
                    defined $n && !($field ne '-' && covered($grant, $whole,
                        last_of($g, $app, '-'), @now)) ? $n : 'none';
                } $begun .. int time;
                my $said = $row ? $row->{notice} : 'none';
                push @bad, "$g $app $field: $said, expected $n[0]: last "
                    . (last_of($g, $app, $field) // 'none') . ", now $now, "
                    . 'of the gateway ' . ($table{$g}{$app}{'-'} // 'none')
                    . ': ' . substr $table{$g}{$app}{$field}, 0, 200
                    unless grep { $_ eq $said } @n;
            }
        }
    }

    is scalar @bad, 0, "as the rules have them, --days $days"
        or diag map { "$_\n" } @bad > 5 ? @bad[0 .. 4] : @bad;
};


subtest 'renewal' => sub {
    my $term = any(180, 30, 365);
    my $before = values_now();
    my $begun = int time;
    $t->cli('renew', '--term', "${term}d");
    my $ended = int time;
    my $after = values_now();
    my ($renewed, @bad) = (0);

    for my $g (keys %table) {
        for my $app (keys %{$table{$g}}) {
            for my $field (keys %{$table{$g}{$app}}) {
                my ($was, $is) = map { $_->{$g}{$app}{$field} } $before, $after;
                my @expected = map { renew($was, last_of($g, $app, $field), $_,
                                           $term * $day) } $begun .. $ended + 1;
                my ($value) = read_json($is);
                $renewed++ if $was ne $is;
                next if grep {
                    defined $_ && !too_long($_) ? $was ne $is && ref $value eq 'HASH'
                        && JSON::PP->new->canonical->encode($value)
                           eq JSON::PP->new->canonical->encode($_)
                    : $was eq $is
                } @expected ? @expected : undef;
                push @bad, "$g $app $field: was " . substr($was, 0, 200)
                    . ', is ' . substr($is, 0, 200) . ', last '
                    . (last_of($g, $app, $field) // 'none');
            }
        }
    }

    is scalar @bad, 0, "as the rules have them, --term ${term}d"
        or diag map { "$_\n" } @bad > 5 ? @bad[0 .. 4] : @bad;
    cmp_ok $renewed, '>', 20, 'some were';
};

done_testing;

#!/usr/bin/perl

# The gateway and the command line against the rules in another language
# (Perm::Oracle), on random input.  ORACLE_SEED repeats a run, ORACLE_N sets how
# many calls there are.

use Perm::Oracle qw(decide renew notice valid_gateway valid_resource valid_app
                    read_grant PERMANENT);
use Perm::Test;

my $seed = $ENV{ORACLE_SEED} // int(time) % 1_000_000;
my $N = $ENV{ORACLE_N} // 4000;
srand $seed;
diag "ORACLE_SEED=$seed" if $ENV{ORACLE_SEED};

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $now = int time;
my $day = 86400;

sub any { $_[rand @_] }

sub an_end {
    return any(0, 1, $now - 1000, $now - 100 * $day, $now + 1000,
        $now + 1000.5, $now + int(rand 400 * $day), $now + 100 * $day,
        $now + int(rand(40) * $day), PERMANENT - 1, PERMANENT, PERMANENT + 1,
        253402300799, 253402300800, ($now + 1000) * 1000, -1, -0.5, '1e3',
        sprintf('%.0e', $now + 9e8), '1.8E9', '9e99');
}

sub a_value {
    my $end = an_end();
    my $odd = any(qw(null true "soon" [] {}), "\"$end\"", '');
    my $more = join '', map { any(@$_) }
        ['', '', ',"type":"apply"', ',"type":7', ',"type":null'],
        ['', '', ",\"granted\":" . any(0, $now - 50 * $day, $now - 5, $now + 5,
                                       'null', '"x"', -3)],
        ['', '', ',"renew":false', ',"renew":true', ',"renew":0',
         ',"renew":null', ',"renew":"false"'],
        ['', '', ',"by":"me"', ',"x":{"a":[1,2,{"b":null}]}',
         ',"n":12345678901234567890', ',"t":"\\u00e9\\n"'];

    return any(
        $end, "{\"expires\":$end$more}", "{\"expires\":$end$more}",
        "{\"expires\":$end$more}", " { \"expires\" : $end$more } ",
        "{\"expires\":$odd$more}", $odd, "{\"type\":\"apply\"}", '{', 'x',
        "{\"expires\":$end}x", "{\"expires\":$end", "[$end]", "$end $end",
        "{\"Expires\":$end}", "{\"expires\":$end}\0",
        "{\"expires\":$end,\"pad\":\"" . 'x' x any(100, 65000, 65600) . '"}');
}

my @gateways = qw(smoke a/b ~x G.1 +);
my @resources = ('get_user', 'a/b', '~', 'R-1', '--', 'x' x 256);
my @apps = ((map { "app$_" } 1 .. 300), 'a' x 128, '@', '-');
my %table;

for my $gateway (@gateways) {
    for my $app (@apps) {
        for my $field ('-', @resources) {
            next if rand > 0.3;
            my $value = a_value();
            $table{$gateway}{$app}{$field} = $value;
        }
        next unless $table{$gateway}{$app};
    }
}

$redis->each(map { my $g = $_;
    map { [$redis->key('grants', $_, $g), 'HSET', %{$table{$g}{$_}}] }
        keys %{$table{$g}} } keys %table);

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
SERVER
$t->up;

my %STATUS = (allow => 200, deny => 403, fail => 500);


subtest 'decisions over HTTP' => sub {
    my (@bad, %seen);
    my @connections;
    my $c;

    for my $n (1 .. $N) {
        my %q = (
            policy => any(('required') x 12, qw(open off maybe Required), ''),
            gateway => any((@gateways) x 4, '', 'a b', 'g' x 64, 'g' x 65, 'é'),
            resource => any((@resources) x 4, '', '-', 'a"b', 'x' x 257),
            app => any((@apps[map { rand @apps } 1 .. 40]), '', 'a,b', 'a' x 129,
                       "caf\xe9", 'a{b}', undef),
        );
        my $grants = $table{$q{gateway}}{$q{app} // ''};
        my @expected = map {
            my @d = $q{policy} eq 'off' ? ('', '') : decide(%q, now => $_,
                of_gateway => $grants->{'-'},
                of_resource => $grants->{$q{resource}});
            \@d;
        } int(time), int(time) + 1;

        my $uri = any('/a', '/a', '/d');
        next if $uri eq '/d' && $q{policy} eq 'off';
        my %h = map { defined $q{$_} ? ('X-' . ucfirst $_ => $q{$_}) : () }
                keys %q;

        $c //= $t->connect;
        $c->send("GET $uri HTTP/1.1\r\nHost: a\r\n"
            . join('', map { "$_: $h{$_}\r\n" } keys %h) . "\r\n");
        my $r = $c->response or die "no response";
        my ($got) = ($r->{headers}{'x-decision'} // '') =~ m{^(\S*)};
        $seen{$got}++;
        $c = undef if lc($r->{headers}{connection} // '') eq 'close';

        my $ok = grep {
            my ($outcome, $reason, $expires) = @$_;
            my $ends = $r->{headers}{'x-expires'} // '';
            $got eq "$outcome/$reason"
                && $r->{status} == ($outcome ? $STATUS{$outcome} : 200)
                && (!defined $expires ? $ends eq ''
                    : abs($ends - $expires) < 1);
        } @expected;

        push @bad, join ' ', map { $_ // 'undef' } %q, 'values',
            map({ substr $_ // 'none', 0, 200 } $grants->{'-'},
                $grants->{$q{resource}}),
            'expected', (map { defined $_ ? $_ : '-' } @{$expected[0]}), 'got',
            $r->{status}, $got, $r->{headers}{'x-expires'}
            if !$ok;
    }

    is scalar @bad, 0, "$N decisions, as the rules have them"
        or diag "ORACLE_SEED=$seed ORACLE_N=$N\n", map { "$_\n" }
            @bad > 5 ? @bad[0 .. 4] : @bad;
    cmp_ok scalar keys %seen, '>=', 9, 'of all kinds: '
        . join ', ', map { "$_ $seen{$_}" } sort keys %seen;
};


subtest 'check says the same' => sub {
    my @bad;

    for (1 .. $N / 40) {
        my ($gateway, $resource, $app) = (any(@gateways), any(@resources),
                                          any(@apps));
        my $grants = $table{$gateway}{$app};
        my @expected = map { join '/', (decide(policy => 'required',
            gateway => $gateway, resource => $resource, app => $app,
            of_gateway => $grants->{'-'}, of_resource => $grants->{$resource},
            now => $_))[0, 1] } int(time), int(time) + 1;
        my ($status, $out) = $t->cli('--json', 'check', "--gateway=$gateway",
            "--resource=$resource", "--app=$app");
        my $got = eval { json($out) } // {};
        my $said = "$got->{decision}/$got->{reason}";
        push @bad, "$gateway $resource $app: $said, expected $expected[0]"
            unless grep { $_ eq $said && $status == ($_ =~ /^allow/ ? 0 : 1) }
                @expected;
    }

    is scalar @bad, 0, 'check' or diag "ORACLE_SEED=$seed\n", map { "$_\n" } @bad;
};


# accesses: some before, some after the end, some in the future

my %used;
for my $gateway (keys %table) {
    for my $app (keys %{$table{$gateway}}) {
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

# nobody is told of a resource when the grant on its gateway lasts longer

sub covered {
    my ($gateway, $app, $field, $now) = @_;
    my $whole = $table{$gateway}{$app}{'-'};
    my $grant = read_grant($table{$gateway}{$app}{$field});
    return 0 if $field eq '-' || !$grant;

    $whole = renew($whole, last_of($gateway, $app, '-'), $now, 180 * $day)
        // read_grant($whole) // return 0;
    return $whole->{expires} > $grant->{expires};
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
                my @n = map { covered($g, $app, $field, $_) ? 'none'
                    : notice($table{$g}{$app}{$field},
                             last_of($g, $app, $field), $_, 180 * $day,
                             @{$days[0]}) // 'none' } $begun, int time;
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
        or diag "ORACLE_SEED=$seed\n", map { "$_\n" } @bad > 5 ? @bad[0 .. 4] : @bad;
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
                my $value = eval { JSON::PP->new->allow_nonref->decode($is) };
                $renewed++ if $was ne $is;
                next if grep {
                    defined $_ ? $was ne $is && ref $value eq 'HASH'
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
        or diag "ORACLE_SEED=$seed\n", map { "$_\n" } @bad > 5 ? @bad[0 .. 4] : @bad;
    cmp_ok $renewed, '>', 20, 'some were';
};

done_testing;

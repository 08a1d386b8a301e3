#!/usr/bin/perl

# Commands, calls and writes of others in random order, over simulated days,
# against the rules in Perm::Oracle: the same answer each time, and the same
# table in Redis afterwards.  SEED repeats a run, ORACLE_COMMANDS sets how many
# there are.

use Perm::CJson qw(read_json);
use Perm::Oracle::Commands;
use Perm::Random;
use Perm::Test;

use Encode ();
use List::Util qw(uniq);

seed();
my $N = $ENV{ORACLE_COMMANDS} // 150;
my $TURN = 50;       # commands in a table before it is emptied
my $DAY = 86400;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $clock = $t->fake_redis(to => $redis);
my $dir = $t->dir;
my $gateway_clock = Perm::FakeRedis->start(dir => "$dir/clock", to => $redis);
my $JSON = JSON::PP->new->allow_nonref->canonical->max_depth(1000);
my $WHO = $ENV{SUDO_USER} || getpwuid $>;

my @apps = qw(a b+);
my @resources = qw(r1 x~);
my @keys = qw(g:a g:b+ h/2:a);
my @kinds = qw(grants requests notices access);

# nginx has the real time, and is at a Redis whose clock may differ

$t->nginx(workers => 2, setup => <<"SETUP" =~ s/%/\$/gr, server => <<'SERVER');
    app_permission_redis @{[$gateway_clock->url]};
    app_permission_app %http_x_app;
    app_permission_gateway %http_x_gateway;
    app_permission_resource %http_x_resource;
    app_permission_flush 100ms;
SETUP
        %%DECISION%%
        app_permission required;
        location = /a { empty_gif; }
        location = /dry { app_permission_dry_run on; empty_gif; }
        location = /open { app_permission open; empty_gif; }
        location = /silent { app_permission_record off; empty_gif; }
        location = /self { app_permission_self apply; }
SERVER
$t->up;

spew("$dir/mailer", <<"EOT");
IFS= read -r line
printf '%s\\n' "\$line" >> $dir/mails
while read -r app; do
    case \$line in *'"app":"'"\$app"'"'*) exit 1;; esac
done < $dir/failing
EOT

my ($o, $now, $redis_now, $stderr, @log, %sent);
my %told;      # {key}: the newest ID of its history that was compared
my %gone;      # {key}: when its grants end, real time


# ---- what is compared

sub plain {
    my ($value) = @_;
    my $object = ref $value ? $value : (read_json($value))[0];
    $object = { expires => $object } if defined $object && !ref $object;
    return defined $object ? $JSON->encode($object) : $value;
}

sub differs {
    my ($name, $is, $expected) = @_;
    return $is eq $expected ? () : "$name: is $is, expected $expected";
}

# the table in Redis and that of the oracle

sub table_differs {
    my @pairs = map { my $key = $_; map { [$key, $_] } @kinds } @keys;
    my @all = $redis->each(map {
        my ($key, $kind) = @$_;
        ["app_permission:$kind:{$key}", $kind eq 'access'
            ? ('ZRANGE', 0, -1, 'WITHSCORES') : 'HGETALL']
    } @pairs);
    my @bad;

    for (@pairs) {
        my ($key, $kind) = @$_;
        my %is = @{shift @all};
        my $expected = $o->{$kind}{$key} // {};
        for my $field (uniq sort keys %is, keys %$expected) {
            my ($i, $e) = ($is{$field}, $expected->{$field});
            next if defined $i && defined $e && ($i eq $e
                || plain($i) eq plain($e));
            push @bad, "$kind:{$key} $field: is " . ($i // 'absent')
                . ', expected ' . (defined $e ? plain($e) : 'absent');
        }
    }
    return (@bad, history_differs(), map { left_differs($_) } @keys);
}

# the entries that a command has written

sub history_differs {
    my @all = $redis->each(map { ["app_permission:history:{$_}", 'XRANGE',
        ($told{$_} // '0-0') =~ s/([0-9]+)\z/1 + $1/er, '+'] } @keys);
    my @bad;

    for my $key (@keys) {
        my $entries = shift @all;
        $told{$key} = $entries->[-1][0] if @$entries;

        # "before" and "expires" are the tool's own

        my @is = map { my %is = @$_; delete @is{qw(before expires)}; \%is }
            map { $_->[1] } @$entries;
        my @said = map { $JSON->encode($_) } @is;
        my @expected = map { $JSON->encode($_) }
            @{delete $o->{history}{$key} // []};

        # a key keeps about 100; of more, which are gone is the tool's choice

        my %is = map { $_ => 1 } @said;
        @expected = grep { $is{$_} } @expected
            if @expected > 100 && @said >= 100;
        push @bad, differs("history:{$key}", map { join ', ', sort @$_ }
                           \@said, \@expected);
    }
    return @bad;
}

# ms that the grants of a key have left; undef: they do not end with it

sub left {
    my ($key) = @_;
    my $ms = $redis->cmd('PTTL', "app_permission:grants:{$key}");
    return $ms < 0 ? undef : $ms;
}

# no command changes a time to live; it goes with the last grant

sub left_differs {
    my ($key) = @_;
    delete $gone{$key} if !keys %{$o->{grants}{$key} // {}};
    my $left = left($key);
    return () if defined $left && defined $gone{$key}
        ? abs($left / 1000 + time - $gone{$key}) < 5
        : !defined $left && !defined $gone{$key};
    return "time to live of $key: is " . ($left // 'none') . ', expected '
        . ($gone{$key} // 'none');
}


# ---- how a command is run, and what it has to say

# cli(name, {oracle's arguments}, options ...): the rows it says

sub cli {
    my @args = @_;
    $clock->time($now);
    my ($status, $out, $err) = $t->cli('--json', @args,
                                       { redis => $clock->url });
    $stderr = $err;
    return ($status, [json_lines($out)]);
}

sub tuple_options {
    my ($q) = @_;
    return ("--gateway=$q->{gateway}", "--app=$q->{app}",
        defined $q->{resource} ? "--resource=$q->{resource}" : ());
}

sub a_tuple {
    my ($gateway, $app) = split /:/, any(@keys);
    my $resource = any(undef, @resources);
    return (gateway => $gateway, app => $app,
        defined $resource ? (resource => $resource) : ());
}

sub a_key { my %q = a_tuple(); delete $q{resource}; return %q }

sub some_of { my $n = shift; return grep { rand() * @_ < $n } @_ }

# options that have a value or may be left out

sub options {
    my ($q, @names) = @_;
    return map { defined $q->{$_} ? '--' . tr/_/-/r . "=$q->{$_}" : () } @names;
}

sub near { $now + any(-1, 0, 1, any(-1, 1) * int rand(40 * $DAY)) }

sub results {
    my ($rows) = @_;
    return join ', ', sort map { ($_->{resource} // '-') . ' '
        . ($_->{result} =~ s/^still pending, as its value.*/too long/r
           =~ s/^the request is unreadable\K: .*//r) } @$rows;
}

sub said { my %said = @_; return join ', ', map { "$_ $said{$_}" } sort keys %said }

# one that changes a single grant

sub simple {
    my ($name, $q, @options) = @_;
    my ($status) = cli($name, tuple_options($q), @options);
    return differs($name, $status, $o->$name(now => $now, %$q));
}

sub answered {
    my ($name, %q) = @_;
    my @fields = uniq some_of(1.5, '-', @resources);
    $q{resources} = \@fields if @fields && rand > 0.3;
    my @named = map { $_ eq '-' ? '--whole-gateway' : "--resource=$_" }
        @{$q{resources} // []};
    my ($status, $rows) = cli($name, tuple_options(\%q), @named,
        options(\%q, qw(days by comment)));
    my ($expected, %said) = $o->$name(now => $now, %q);
    return (differs("$name status", $status, $expected),
            differs($name, results($rows), said(%said)));
}

sub due_rows {
    return join ', ', sort map { my $app = $_->{app};
        map { "$_->{gateway}:$app " . ($_->{resource} // '-') . " $_->{notice}" }
            @{$_->{grants}} } @_;
}

# one that lists grants or accesses

sub listed {
    my ($name, $q, @options) = @_;
    my ($status, $rows) = cli($name, @options);
    my ($expected, @rows) = $o->$name(now => $now, %$q);
    my $text = sub { join ', ', sort map { join ' ', map { $_ // 'none' } @$_ }
                     @_ };
    return (differs("$name status", $status, $expected),
            differs($name, $text->(map { ["$_->{gateway}:$_->{app}",
                $_->{resource} // '-', @$_{qw(expires last_access)}] } @$rows),
                    $text->(@rows)));
}

# asks nginx, which sees the real time: the answer, and when it began and ended

sub http {
    my ($uri, $q, %more) = @_;
    my $begun = int time;
    my $r = $t->get($uri, headers => { 'X-App' => $q->{app},
        'X-Gateway' => $q->{gateway}, 'X-Resource' => $q->{resource} // 'r' },
        %more);
    return ($r, uniq $begun, int time);
}

# the lists of app_permission_self: (grants => {field => object}, requests => ..)

sub by_field {
    my ($r) = @_;
    my $strict = eval { JSON::PP->new->utf8->decode($r->{body}); 1 };
    my ($body) = $strict ? read_json($r->{body}) : {};
    my %lists;
    for my $list (grep { $body->{$_} } qw(grants requests)) {
        $lists{$list} = { map { (delete($_->{resource}) // '-') => $_ }
                          @{$body->{$list}} };
    }
    return %lists;
}

# text with U+FFFD for what is no UTF-8

sub well_formed { Encode::encode('UTF-8', Encode::decode('UTF-8', $_[0])) }



my %DOES;
%DOES = (
    time => sub {
        $now += any(0, 1, 3600, int(rand $DAY), int(rand 5 * $DAY));
        return ();
    },

    put_grant => sub {
        my %q = a_tuple();
        my $value = rand > 0.4 ? a_value($now)
            : '{"expires":' . any(near(), $now + int rand 20 * $DAY, 4102444800)
              . any('', ',"x":[1.5]') . '}';
        $redis->grant(@q{qw(gateway resource app)}, $value);
        $o->{grants}{"$q{gateway}:$q{app}"}{$q{resource} // '-'} = $value;
        return ();
    },

    put_end => sub {
        my %q = a_key();
        my $key = "$q{gateway}:$q{app}";
        my $seconds = any(1, 1, 10, 100) * $DAY + int rand $DAY;
        return () if !keys %{$o->{grants}{$key} // {}};
        $redis->cmd('EXPIRE', "app_permission:grants:{$key}", $seconds);
        $gone{$key} = time + $seconds;
        return ();
    },

    put_request => sub {
        my %q = a_tuple();
        my $value = any('x', '{"status":"new"}', '[]', '{"days":3}',
            '{"status":"pending"}', '{"status":"pending","days":0}',
            '{"status":"pending","days":-1}', '{"status":"pending","days":1e9}',
            '{"status":"rejected","handled_at":' . near() . '}',
            '{"status":"approved","days":2}', '{"status":["pending"]}',
            '{"status":"pending","status":"approved","days":1,"days":0}',
            '{"status":"rejected","status":"pending","handled_at":1}',
            '{"status":"pending","x":' . any('NaN', '-Infinity', '0x1', '01',
                '1.', "\1\"a\n\xff\\u0000b\"", '"\ud800"',
                '"\\\"}],"', '{"status":"new"}') . '}',
            "\x1f{\"\\u0073tatus\" : \"pending\\u0000x\"\n}",
            '{"x":{"status":"pending"},"status\u0000":"rejected"}',
            '{"status":"pending","days":7,"more":{"a":[null]},"at":'
                . near() . '}');
        $redis->at($redis->key('requests', @q{qw(app gateway)}), 'HSET',
                   $q{resource} // '-', $value);
        $o->{requests}{"$q{gateway}:$q{app}"}{$q{resource} // '-'} = $value;
        return ();
    },

    put_notice => sub {
        my %q = a_tuple();
        my $key = "$q{gateway}:$q{app}";
        my $field = $q{resource} // '-';
        my $grant = $o->grant_at($key, $field);
        my $end = ($grant // {})->{expires} // $now;
        my $value = any('x', "$end", "$end:", map { "$end:$_" } 0, 0, 3, 3, 7,
            15, 50, '-1', '3 ');
        $redis->at($redis->key('notices', @q{qw(app gateway)}), 'HSET', $field,
                   $value);
        $o->{notices}{$key}{$field} = $value;
        return ();
    },

    use => sub {
        my %q = (resource => any(@resources), a_key());
        my $second = any(1, $now, $now - 1, $now - int(rand 200 * $DAY),
                         $now - int(rand 5 * $DAY), $now + 1000, 1e10);
        $redis->used(@q{qw(gateway resource app)}, $second);
        $o->{access}{"$q{gateway}:$q{app}"}{$q{resource}} = $second;
        return ();
    },

    loaded => sub {
        $o->{loaded} = !$o->{loaded} || rand > 0.2 ? 1 : 0;
        $o->{loaded} ? $redis->load : $redis->cmd('DEL', 'app_permission:meta');
        return ();
    },

    grant => sub {
        my %q = (a_tuple(), any({}, { days => any(0, 1, 30, 4000) },
            { expires => near() })->%*, any({}, { type => "own" })->%*,
            any({}, { by => "me, too" })->%*, any({}, { comment => "\"so\"" })->%*,
            any({}, {}, { no_renew => 1 })->%*);
        return simple('grant', \%q, options(\%q,
            qw(days expires type by comment)),
                      $q{no_renew} ? '--no-renew' : ());
    },

    extend => sub {
        my %q = (a_tuple(), any({}, { days => any(1, 30) })->%*);
        return simple('extend', \%q, options(\%q, 'days'));
    },

    revoke => sub { simple('revoke', { a_tuple() }) },

    apply => sub {
        my @r = some_of(1.5, @resources);
        my %q = (a_key(), by => 'me', @r ? (resources => \@r) : (),
            any({}, { days => any(0, 1, 36500) })->%*,
            any({}, { reason => "why\n\"" })->%*);
        my $begun = int time;
        my ($status, $rows) = cli('apply', tuple_options(\%q),
            map({ "--resource=$_" } @r), options(\%q, qw(days reason by)));
        # the request has the time of the real Redis
        my ($at) = map { $_->{at} // () } @$rows;
        my ($expected, %said) = $o->apply(%q, now => $at // $begun);
        return (differs('apply status', $status, $expected),
            differs('apply', results($rows), said(%said)),
            defined $at && ($at < $begun - 1 || $at > time + 1) ? "at $at" : ());
    },

    approve => sub {
        answered('approve', a_key(), by => "boss", any({}, { days => any(0, 9) })
            ->%*, any({}, { comment => "o\\k" })->%*);
    },

    reject => sub { answered('reject', a_key(), by => 'boss', comment => 'no') },

    requests => sub {
        my %q = (status => any(qw(pending approved rejected all)),
                 any({}, { app => any(@apps) })->%*);
        my ($status, $rows) = cli('requests', options(\%q, qw(status app)));
        my ($expected, @rows) = $o->requests(%q);
        my $text = sub { join ', ', map { defined $_ ? $_ : 'none' }
            @{$_[0]}{qw(key field at expires gateway_expires)} };
        $_->{key} = "$_->{gateway}:$_->{app}", $_->{field} = $_->{resource} // '-',
            $_->{at} //= 0 for @$rows;
        return (differs('requests status', $status, $expected),
            differs('order', join(' ', map { $_->{at} } @$rows),
                    join ' ', map { $_->{at} } @rows),
            differs('requests', join('; ', sort map { $text->($_) } @$rows),
                    join '; ', sort map { $text->($_) } @rows));
    },

    check => sub {
        my %q = (resource => any(@resources), a_key());
        my $key = "$q{gateway}:$q{app}";
        my @left = left($key);
        my ($status, $rows) = cli('check', tuple_options(\%q));
        push @left, left($key);
        my $is = join ' ', $status, map { $_ // 'none' }
            @{$rows->[0] // {}}{qw(decision reason expires)};
        my @expected = map {
            my @d = $o->call(%q, now => $now, ask => 1, left => $_);
            join ' ', $d[0] eq 'allow' ? 0 : 1, @d[0, 1], $d[2] // 'none';
        } @left;
        return (grep { $_ eq $is } @expected) ? ()
            : differs('check', $is, $expected[0]);
    },

    list => sub {
        my %q = (any({}, { unused_since => near() })->%*,
                 any({}, { expired => 1 })->%*);
        return listed('list', \%q, options(\%q, 'unused_since'),
                      $q{expired} ? '--expired' : ());
    },

    access => sub {
        my %q = any({}, { since => near() })->%*;
        return listed('access', \%q, options(\%q, 'since'));
    },

    renew => sub {
        my $term = any(180, 30, 1);
        my $dimension = any(qw(both both gateway resource));
        my ($status) = cli('renew', "--term=${term}d",
                           "--dimension=$dimension");
        return differs('renew', $status, $o->run_renewal(now => $now,
            term => $term * $DAY, dimension => $dimension));
    },

    expiring => sub {
        my $list = any([0, 1, 3, 7, 15], [5, 30], [100, 2, 50]);
        my $term = any(180, 30);
        my %open = map { $_ => 1 } some_of(0.5, @resources);
        my $notify = rand > 0.3;
        my %fails = map { $_ => 1 } some_of(0.6, @apps);
        spew("$dir/policies.map", join '', map { "$_ "
            . ($open{$_} ? any('open', 'off') : 'required') . "; # of it\n" }
            @resources);
        spew("$dir/failing", join '', map { "$_\n" } sort keys %fails);
        unlink "$dir/mails";
        my ($status, $rows) = cli('expiring', '--days=' . join(',', @$list),
            "--term=${term}d", "--policies=$dir/policies.map",
            $notify ? ('--notify', ". $dir/mailer") : ());
        $rows = [json_lines(slurp("$dir/mails"))] if $notify;
        my ($expected, @due) = $o->expiring(now => $now, days => $list,
            term => $term * $DAY, open => \%open,
            $notify ? (notify => sub { !$fails{$_[0]} }) : ());
        return (differs('expiring status', $status, $expected),
            differs('expiring', due_rows(@$rows),
                    join ', ', sort map { "$_->[1] $_->[2] $_->[3]" } @due));
    },

    purge => sub {
        my $days = any(0, 1, 30);
        my ($status) = cli('purge', "--expired-for=${days}d");
        return differs('purge', $status, $o->purge(now => $now,
            expired_for => $days * $DAY));
    },

    self_get => sub {
        my %q = a_key();
        my $key = "$q{gateway}:$q{app}";
        my @left = left($key);
        my ($r, @moments) = http('/self', \%q);
        push @left, left($key);
        my %is = by_field($r);
        my $is = $JSON->encode([$r->{status}, $r->{status} == 200
            ? { grants => $is{grants} // {}, requests => $is{requests} // {} }
            : ()]);
        my @expected = map { my $left = $_; map { well_formed($JSON->encode(
            [$o->self_get(%q, now => $_, left => $left)])) } @moments } @left;
        return (grep { $_ eq $is } @expected) ? ()
            : differs('self', $is, $expected[0]);
    },

    # the last requests that an app may make itself

    crowd => sub {
        my %q = a_key();
        my $key = "$q{gateway}:$q{app}";
        my $of = $o->{requests}{$key} //= {};
        my %more = map { ("m$_" => '{"status":"rejected","handled_at":'
            . near() . '}') } 1 .. any(997 .. 1001) - keys %$of;
        $redis->at($redis->key('requests', @q{qw(app gateway)}), 'HSET', %more)
            if %more;
        %$of = (%$of, %more);
        return map { $DOES{self_post}->(%q) } 1 .. 2;
    },

    self_post => sub {
        my %q = @_ ? @_ : a_key();
        my $names = any(['r1'], ['r1', 'x~', 'r1'], [], ['-'], ['a b'], 'r1',
                        [7], [map { "n$_" } 1 .. any(100, 101)]);
        my $body = any({ resources => $names }, { resources => $names },
            { whole_gateway => JSON::PP::true }, { whole_gateway => any(1,
            JSON::PP::false) }, {}, [], { resources => ['r1'],
            whole_gateway => JSON::PP::true });
        if (ref $body eq 'HASH' && (ref $names ne 'ARRAY' || @$names < 101)) {
            $body->{days} = any(0, 1, 30, 36500, 36501, -1, 1.5, '7') if rand > 0.6;
            $body->{reason} = any("why\n", '', "\xe2\x82\xac", 7) if rand > 0.6;
            $body->{other} = [1] if rand > 0.8;
        }
        my $text = any(($JSON->encode($body)) x 9, '{', '');
        $text =~ s/^\{(?=.)/{"days":1,/ if rand > 0.9;
        $text .= ' ' x (any(16384, 16385) - length $text) if rand > 0.9;
        my ($r, @moments) = http('/self', \%q, method => 'POST', body => $text);
        my %answer = by_field($r);
        my %is = %{$answer{requests} // {}};
        my ($at) = map { $_->{at} } values %is;
        my ($status, %stored) = $o->self_post(%q, body => $text,
                                              now => $at // $moments[0]);
        return (differs('post status', $r->{status}, $status),
            differs('post', $JSON->encode(\%is), $JSON->encode(\%stored)),
            defined $at && ($at < $moments[0] - 1 || $at > $moments[-1] + 1)
                ? "at $at" : ());
    },

    calls => sub {
        return () if !$o->{loaded};
        $t->settled or return 'changes are not pushed';
        # what nginx knows of Redis's time it has from after it was set
        wait_for(sub { $gateway_clock->answered(qr/^TIME$/) }, 5)
            or return 'nobody asks for the time';
        my (@bad, %now);
        for my $key (@keys) {
            my ($gateway, $app) = split /:/, $key;
            for my $resource (@resources) {
                my %q = (gateway => $gateway, app => $app, resource => $resource);
                my $uri = any('/a', '/a', '/dry', '/open', '/silent');
                my ($r, @moments) = http($uri, \%q);
                my ($is) = ($r->{headers}{'x-decision'} // '') =~ m{^(\S*)};
                $q{policy} = 'open' if $uri eq '/open';
                my @expected = map { join '/', ($o->call(%q, now => $_,
                    ask => 1))[0, 1] } @moments;
                push @bad, differs("call of $uri $key $resource", $is,
                    $expected[0]) if !grep { $_ eq $is } @expected;
                push @bad, "$uri is $r->{status}" if $r->{status}
                    != ($is =~ /^allow/ || $uri eq '/dry' ? 200 : 403);
                my @d = $o->call(%q, now => $moments[-1],
                    redis_now => $redis_now, ask => $uri eq '/silent');
                $now{"$key $resource"} = $moments[-1] if $d[0] eq 'allow'
                    && $d[1] =~ /_grant\z/ && $uri ne '/silent';
            }
        }
        $t->flushed or push @bad, 'accesses are not flushed';
        # the second may be the one before; one that was sent is not sent again
        for (keys %now) {
            my ($key, $field) = split / /;
            my ($gateway, $app) = split /:/, $key;
            my $is = $redis->access($gateway, $field, $app);
            my $of = $o->{access}{$key};
            next if defined $is ? abs($is - $of->{$field}) > 2
                                  && ($sent{$_} // 0) < $now{$_} - 2
                                : ($sent{$_} // 0) < $now{$_} - 2;
            delete $of->{$field};
            $of->{$field} = $is if defined $is;
        }
        %sent = (%sent, %now);
        return @bad;
    },
);

my @OFTEN = (qw(time put_grant use apply approve) x 3,
    qw(calls grant extend revoke reject renew expiring self_get self_post) x 2,
    qw(expiring put_end put_request), sort keys %DOES);


sub begin_table {
    $redis->empty->load;
    $o = Perm::Oracle::Commands->new(who => $WHO);
    (%told, %gone) = ();
    my $ahead = any(0, 3600, -3600, 400 * $DAY);
    $redis_now = $ahead ? int time - $ahead : undef;
    $gateway_clock->forget;
    $ahead ? $gateway_clock->time($redis_now) : $gateway_clock->rules;
    $now = int(time) + any(0, -30 * $DAY, 30 * $DAY, int rand $DAY);
    @log = ();
}

my (%done, @bad);

for my $n (0 .. $N - 1) {
    begin_table() if $n % $TURN == 0;
    my $name = any(@OFTEN);
    push @log, "$now $name";
    $done{$name}++;
    $stderr = '';
    @bad = ($DOES{$name}->(), table_differs()) and last;
}

my $done = 0;
$done += $_ for values %done;
is scalar @bad, 0, "$done commands, as the rules have them"
    or diag "after $done: ", join(', ', @log > 6 ? @log[-6 .. -1] : @log), "\n",
            $stderr, map { substr($_, 0, 1500) . "\n" } @bad > 4 ? @bad[0 .. 3] : @bad;
note join ', ', map { "$_ $done{$_}" } sort keys %done;

done_testing;

package Perm::History;

# A history: grants come and go, apps call, and things break, as a seed says.
# Afterwards a judge looks at each call and each access.
#
#   my $history = Perm::History->run(seed => 7, seconds => 30,
#       kind => 'single',        # proxy, sentinel, cluster
#       clock => 1,              # nginx's clock is stepped, too (single)
#       workers => 2,
#       only => ['hang']);       # these faults alone
#   $history->asserts;           # what has to hold, by Test::More
#   $history->{judge}{judged}    # how many calls, by status
#
# The plan (Perm::History::Plan) is what the seed alone says; the servers and
# what can break of them are Perm::History::Servers; the callers are processes
# of their own (Perm::History::Callers); the rules are those of
# Perm::History::Judge and Perm::Oracle.
#
# HISTORY_SHOW=n: how many failures are shown, with what happened before them.
# HISTORY_LOG=1: each step is told.  HISTORY_LEVEL=debug: of nginx's log.

use strict;
use warnings;

use List::Util qw(max);
use Test::More;
use Time::HiRes qw(time sleep);

use Perm::History::Callers qw(one);
use Perm::History::Judge;
use Perm::History::Plan;
use Perm::History::Servers;
use Perm::Test ();
use Perm::Util qw(wait_for slurp spew);

my $RESTING = 1.5;      # seconds: back-off after an outage, see the README
my @FIELDS = ('-', 'r0', 'r1');


sub run {
    my ($class, %o) = @_;

    my $self = bless { workers => 2, kind => 'single', zone => 32, %o,
        log => [], windows => [], open => {}, emptied => [], events => {},
        count => {}, clocks => [{ from => 0, to => 9e9, off => 0 }] }, $class;

    $self->{plan} = Perm::History::Plan->make(%o, kind => $self->{kind});
    $self->{t} = Perm::Test->new(late => 1);
    $self->{servers} = Perm::History::Servers->start($self->{kind}, $self);
    $self->first;
    $self->nginx;

    $self->{begun} = time + 0.2;
    $self->{callers} = Perm::History::Callers->start(dir => $self->{t}{dir},
        socket => $self->socket, seed => $o{seed}, begun => $self->{begun},
        apps => $self->{plan}{apps});

    eval {
        $self->steps;
        $self->heal;
        $self->{calls} = [$self->{callers}->stop];
        $self->last;
        1;
    } or $self->died($@);
    $self->{servers}->stop;
    return $self;
}


# the driver itself failed: its last steps, and the seed

sub died {
    my ($self, $why) = @_;
    my @log = @{$self->{log}};
    diag $self->line($_) for @log[max(0, @log - 20) .. $#log];
    $self->repeats;
    die "$self->{kind}, seed $self->{seed}: $why";
}

sub repeats {
    my ($self) = @_;
    diag 'To repeat it: make prove PROVES=t/prove/histories.t SEED=',
        $self->{seed}, ' HISTORY_KINDS=', $self->{clock} ? 'clock'
        : $self->{kind}, " HISTORY_SECONDS=$self->{seconds}",
        $self->{only} ? " HISTORY_ONLY='@{$self->{only}}'" : ();
}


sub socket { "$_[0]{t}{dir}/m.sock" }

sub says {
    my ($self, $text) = @_;
    push @{$self->{log}}, [time, $text];
    diag $self->line($self->{log}[-1]) if $ENV{HISTORY_LOG};
}

sub line {
    my ($self, $said) = @_;
    return sprintf '%9.3f %s', $said->[0] - ($self->{begun} // $said->[0]),
        $said->[1];
}


# ---- nginx

my @FAKETIME = qw(LD_PRELOAD DONT_FAKE_MONOTONIC FAKETIME_NO_CACHE
                  FAKETIME_TIMESTAMP_FILE);

sub config {
    my ($self) = @_;
    my $locations = join "\n", map { <<"EOT" } ['r0', '1h'], ['r1', '1s'];
        location = /$_->[0] {
            app_permission_resource $_->[0];
            app_permission_cache_valid $_->[1] denied=$_->[1];
            empty_gif;
        }
EOT
    $self->{t}->config(
        workers => $self->{workers}, redis => $self->{servers}->url,
        log => $ENV{HISTORY_LEVEL} // 'info',
        main => $self->{clock} ? join "\n", map { "env $_;" } @FAKETIME : '',
        http => "app_permission_zone $self->{zone}m state=%%DIR%%/state;"
            . ' app_permission_flush 1s;',
        server => "listen unix:%%DIR%%/m.sock;\n access_log off;"
            . "\n %%DECISION%% app_permission required;\n$locations");
}


sub nginx {
    my ($self) = @_;
    my $t = $self->{t};

    $t->{nginx}->allow(qr/exited on signal 9/);
    $self->config;
    $self->time_is(0) if $self->{clock};
    $self->with_clock(sub { $t->start });
    chmod 0777, $self->socket;
    $t->up or die "not up\n";
}


sub with_clock {
    my ($self, $does) = @_;
    return $does->() if !$self->{clock};
    local %ENV = (%ENV, DONT_FAKE_MONOTONIC => 1, FAKETIME_NO_CACHE => 1,
        FAKETIME_TIMESTAMP_FILE => "$self->{t}{dir}/clock",
        LD_PRELOAD => (glob '/usr/lib/*/faketime/libfaketime.so.1')[0]);
    $does->();
}

sub time_is {
    my ($self, $off) = @_;
    my $file = "$self->{t}{dir}/clock";
    spew("$file.new", sprintf "%+d\n", $off);
    chmod 0644, "$file.new";

    my $before = time;
    rename "$file.new", $file;
    $self->{clocks}[-1]{to} = time + 0.05;
    push @{$self->{clocks}}, { from => $before, to => 9e9, off => $off };
}


# ---- changes

sub key { "app_permission:grants:{smoke:$_[0]}" }

sub now_of {
    my ($self, $app) = @_;
    return $self->{events}{$app}[-1] // { fields => {} };
}


# Half of the apps have a grant when it begins, and each guest.

sub first {
    my ($self) = @_;
    my $n = 3_900_000_000;

    $self->{servers}->load;
    for my $i (0 .. $#{$self->{plan}{apps}}) {
        my $app = $self->{plan}{apps}[$i][0];
        push @{$self->{events}{$app}}, { b => 0, a => 0, fields => {} };
        $self->becomes($app, { $app =~ /^a/ && $i % 4 ? 'r0' : '-' => $n + $i })
            if $app =~ /^g/ || $i % 2;
    }
}


# All fields of an app: as little as has to be written, or, where that is not
# known or its key has a time to live, all of it.

sub becomes {
    my ($self, $app, $fields, %o) = @_;
    my $was = $self->now_of($app);
    my @new = grep { defined $fields->{$_} } @FIELDS;
    my $key = key($app);
    my @commands;

    if ($o{commands}) {
        @commands = @{$o{commands}};
    } elsif ($o{all} || $was->{hi} || $was->{a} > 9e9) {
        @commands = (['DEL', $key],
            @new ? ['HSET', $key, map { $_, $fields->{$_} } @new] : ());
    } else {
        my @gone = grep { !defined $fields->{$_} && defined $was->{fields}{$_} }
            @FIELDS;
        my @set = grep { ($was->{fields}{$_} // '') ne $fields->{$_} } @new;
        @commands = ((@gone ? ['HDEL', $key, @gone] : ()),
            (@set ? ['HSET', $key, map { $_, $fields->{$_} } @set] : ()));
    }
    push @commands, ['PEXPIRE', $key, $o{ms}] if $o{ms};
    return if !@commands;

    my $before = time;
    my $error = $self->{servers}->write($app, @commands);
    $self->changed($app, $before, $fields, $error, %o);
}


sub changed {
    my ($self, $app, $before, $fields, $error, %o) = @_;
    my $after = $error ? 9e99 : time;

    push @{$self->{events}{$app}}, { b => $before, a => $after,
        fields => { map { defined $fields->{$_} ? ($_ => $fields->{$_}) : () }
                        @FIELDS },
        $o{ms} && %$fields ? (lo => $before + $o{ms} / 1000,
                              hi => $after + $o{ms} / 1000) : () };
    $self->says(sprintf '%s: %s%s%s', $app, join(' ',
        map { defined $fields->{$_} ? "$_=$fields->{$_}" : () } @FIELDS)
        || 'nothing', $o{ms} ? " for $o{ms} ms" : '',
        $error ? " NOT SURE: $error" : '');
}


my %CHANGE = (
    set => sub {
        my ($self, $step, $app, $fields) = @_;
        my $end = defined $step->{in} ? int(time) + $step->{in} : $step->{end};
        $self->becomes($app, { %$fields,
            $step->{field} => $step->{text} // $end });
    },
    unset => sub {
        my ($self, $step, $app, $fields) = @_;
        delete @$fields{@{$step->{fields}}};
        $self->becomes($app, $fields);
    },
    drop => sub {
        my ($self, $step, $app) = @_;
        $self->becomes($app, {}, commands => [[$step->{by}, key($app)]]);
    },
    ttl => sub {
        my ($self, $step, $app, $fields) = @_;
        $self->becomes($app, { %$fields, $step->{field} => $step->{end} },
            all => 1, ms => $step->{ms});
    },
    expire => sub {
        my ($self, $step, $app, $fields) = @_;
        $self->becomes($app, $fields, ms => $step->{ms},
            commands => []) if %$fields && !$self->now_of($app)->{hi};
    },
    burst => sub {
        my ($self, $step) = @_;
        $self->becomes($_, { %{$self->now_of($_)->{fields}},
            $step->{field} => $step->{end} }) for @{$step->{apps}};
    },
    grant => sub {
        my ($self, $step, $app, $fields) = @_;
        $self->by_cli($step, $app, { %$fields, $step->{field} => $step->{end} },
            '--expires', $step->{end});
    },
    revoke => sub {
        my ($self, $step, $app, $fields) = @_;
        my %left = %$fields;
        delete $left{$step->{field}};
        $self->by_cli($step, $app, \%left);
    },
);


sub by_cli {
    my ($self, $step, $app, $fields, @more) = @_;
    my $was = $self->now_of($app);
    return if $was->{hi} || $was->{a} > 9e9;

    my $before = time;
    my ($status, $out, $err) = $self->{t}->cli($step->{do}, '--gateway',
        'smoke', '--app', $app, ($step->{field} eq '-' ? ()
        : ('--resource', $step->{field})), @more,
        { redis => $self->{servers}->cli_url });
    return if $status == 1;     # there is none, or the table is not loaded

    $self->changed($app, $before, $fields,
        $status ? "exit status $status: $err" : '');
}


# ---- what breaks

# A window: see Perm::History::Judge.  "closed" closes it when what broke it is
# whole again.

sub opened {
    my ($self, $name, %window) = @_;
    my $window = { name => $name, from => time, to => 9e9, after => $RESTING,
                   %window };
    push @{$self->{windows}}, $window;
    return $self->{open}{$name} = $window;
}

sub closed {
    my ($self, $name) = @_;
    my $window = delete $self->{open}{$name};
    $window->{to} = time;
    return $window;
}

# of workers that were stopped: until then they did not see an outage end

sub resumed {
    my ($self, $name) = @_;
    my $stopped = $self->closed($name);
    $_->{after} += $stopped->{to} - max($stopped->{from}, $_->{to}) for grep {
        ($_->{stale} || $_->{fail}) && $_->{to} < $stopped->{to}
            && $_->{to} + $_->{after} > $stopped->{from}
    } @{$self->{windows}};
}

sub brief {
    my ($self, $name, $seconds, %window) = @_;
    my $window = $self->opened($name, after => 0, %window);
    $window->{to} = time + $seconds;
    delete $self->{open}{$name};
    return $window;
}


my %WORKER = (
    kill => sub {
        my ($self, $step) = @_;
        my $pid = $self->worker($step) or return;
        $self->brief('kill', 0.2, lost => 1, less => 1.3);
        kill 'KILL', $pid;
        $self->says("kill $pid");
    },
    stop => sub {
        my ($self, $step) = @_;
        my $pid = $self->{stopped} = $self->worker($step) or return;
        $self->opened('stop', again => 0.2, after => 0.3, timeout => 1,
            lost => 7, less => 1);
        kill 'STOP', $pid;
        $self->says("stop $pid");
    },
    stop_end => sub {
        my ($self) = @_;
        my $pid = delete $self->{stopped} or return;
        kill 'CONT', $pid;
        $self->resumed('stop');
        $self->says("continue $pid");
    },
    stopall => sub {
        my ($self, $step) = @_;
        $self->{all} = [$self->{t}{nginx}->workers];
        $self->opened('stopall', after => 0.3, blind => 0.55, again => 0.2,
            timeout => 1, lost => 7);
        kill 'STOP', @{$self->{all}};
        $self->says("stop @{$self->{all}}");
    },
    stopall_end => sub {
        my ($self) = @_;
        kill 'CONT', @{delete $self->{all}};
        $self->resumed('stopall');
        $self->says('continue all');
    },
    reload => sub {
        my ($self) = @_;
        $self->brief('reload', 0, less => 1);
        $self->{t}{nginx}->signal('HUP');
        $self->says('reload');
    },
    resize => sub {
        my ($self) = @_;
        $self->{zone} = 48 - $self->{zone};
        $self->config;
        $self->{t}{nginx}->signal('HUP');
        $self->brief('resize', 1.5, blind => 0.05, forgets => 1, less => 0);
        $self->says("reload, zone ${\ $self->{zone}}m");
    },
    clock => sub {
        my ($self, $step) = @_;
        $self->time_is($step->{off});
        $self->says("clock $step->{off}");
    },
);

sub worker {
    my ($self, $step) = @_;
    my @pids = sort { $a <=> $b } $self->{t}{nginx}->workers;
    return @pids ? $pids[$step->{worker} % @pids] : undef;
}


# nginx ends and begins again, with its state file

sub restart {
    my ($self) = @_;
    my $t = $self->{t};

    kill 'CONT', grep { $_ } $self->{stopped}, @{$self->{all} // []};
    $self->opened('restart', lost => 1, after => 0.1, forgets => 1);
    $self->says('nginx quits');
    my $status = $t->{nginx}->quit // 'killed';
    $self->says("nginx starts, $status");
    unlink "$t->{dir}/backend.sock", $self->socket;
    $self->with_clock(sub { $t->{nginx}->start });
    wait_for(sub { $t->connect && -S $self->socket }) or die "no nginx\n";
    chmod 0777, $self->socket;
    $self->closed('restart');
    $self->says('nginx is back');
}


# A step that takes long, as a fail-over does, puts off all that come after it.
# When the time is over, what is broken ends.

sub steps {
    my ($self) = @_;
    my ($late, %broken) = (0);

    for my $step (@{$self->{plan}{steps}}) {
        my $at = $self->{begun} + $step->{at} + $late;
        my $do = $step->{do};
        my ($ends) = $do =~ /^(.*)_end$/;
        next if $ends ? !delete $broken{$ends}
                      : $at > $self->{begun} + $self->{seconds};

        while ((my $left = $at - time) > 0) { sleep $left }
        $late += time - $at if time > $at + 0.2;

        $broken{$do} = 1 if $step->{lasts};
        $self->{count}{$do}++ if !$ends;

        if ($CHANGE{$do}) {
            my $app = $step->{app};
            $CHANGE{$do}->($self, $step, $app,
                           { %{$self->now_of($app)->{fields}} });
        } elsif ($WORKER{$do}) {
            $WORKER{$do}->($self, $step);
        } else {
            $self->{servers}->$do($step);
        }
    }
    $self->says('end of faults');
}


# ---- the end

sub heal {
    my ($self) = @_;
    $self->{servers}->healed;
    $self->{t}->up(20) or $self->says('not up again');
    sleep 2 * $RESTING;
}


# The accesses, before each call is made once more, now that nothing is broken.

sub last {
    my ($self) = @_;
    my $t = $self->{t};
    my @apps = map { $_->[0] } @{$self->{plan}{apps}};
    my @calls = @{$self->{calls}};

    ok $t->flushed, 'all accesses are written';
    is $t->status->{access}{dropped}, 0, '... and none dropped';
    my $score = $self->scores(@apps);

    push @calls, map { my $app = $_;
        map { one($self->socket, $app, $_) } qw(r0 r1) } @apps;

    my @late = map { map { [split] } split /\n/, slurp($_) }
        grep { -e } $t->{late}{file}, "$t->{dir}/late.wire";
    $self->{judge} = Perm::History::Judge->new(events => $self->{events},
        windows => $self->{windows}, clocks => $self->{clocks},
        late => sub {
            my ($from, $to) = @_;

            # what is less than 10 ms is not noted

            return max 0.01, map { $_->[1] } grep {
                $_->[0] + $_->[1] + 0.01 >= $from && $_->[0] <= $to } @late;
        });
    $self->{wrong} = [$self->{judge}->calls(@calls)];
    $self->{lost} = [$self->{judge}->accesses($score, $self->{emptied},
                                              @{$self->{calls}})];
}

sub scores {
    my ($self, @apps) = @_;
    my %score;

    for my $app (@apps) {
        my %of = @{$self->{servers}->ask($app, 'ZRANGE',
            "app_permission:access:{smoke:$app}", 0, -1, 'WITHSCORES')};
        $score{"$app $_"} = $of{$_} for keys %of;
    }
    return \%score;
}


sub asserts {
    my ($self) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $judged = $self->{judge}{judged};
    my $n = 0;
    $n += $_ for values %$judged;

    note sprintf '%s, seed %s: %d calls judged (%s); %s', $self->{kind},
        $self->{seed}, $n, join(' ', map { "$_: $judged->{$_}" }
        sort keys %$judged), join ' ', map { "$_ $self->{count}{$_}" }
        sort keys %{$self->{count}};

    cmp_ok $judged->{200} // 0, '>', 0, 'some were allowed';
    cmp_ok $judged->{403} // 0, '>', 0, '... and some denied';
    is @{$self->{wrong}}, 0, "seed $self->{seed}: each call as it had to be"
        or $self->show;
    is join("\n", @{$self->{lost}}), '', '... and each access kept';
    $self->repeats if @{$self->{wrong}} || @{$self->{lost}};
    $self->{t}->stop;
}


# the failures, each with what happened before it

sub show {
    my ($self) = @_;
    my (%seen, %kinds);
    my $left = $ENV{HISTORY_SHOW} // 4;

    for (@{$self->{wrong}}) {
        my ($call, $wrong) = @$_;
        $kinds{$wrong =~ s/ \d+\b//gr}++;
        next if $seen{"$call->{app} " . $wrong =~ s/\d+//gr}++ || $left-- <= 0;

        diag sprintf '%.3f .. %.3f %s %s: %s %s by %s: %s',
            (map { $_ - $self->{begun} } @$call{'sent', 'done'}),
            @$call{qw(app resource status cache worker)}, $wrong;
        diag "  $_" for $self->before($call);
    }
    diag sprintf '%d times: %s', $kinds{$_}, $_ for sort keys %kinds;
}

sub before {
    my ($self, $call) = @_;
    return map { $self->line($_) } grep {
        $_->[0] > $call->{sent} - 8 && $_->[0] < $call->{done} + 0.3
            && ($_->[1] !~ /^([agq]\d+):/ || $1 eq $call->{app})
    } @{$self->{log}};
}


1;

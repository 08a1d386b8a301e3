package Perm::History::Servers;

# The servers of a history, and what can break of them.  Its steps are methods
# here, by the names of Perm::History::Plan; each opens and closes its windows,
# see Perm::History::Judge.
#
#   my $servers = Perm::History::Servers->start($kind, $history);
#   $servers->url  $servers->cli_url     # for nginx, for the command line
#   $servers->load                       # marks the table as loaded
#   $servers->write($app, @commands)     # in one step; '' or why it may not
#                                        #   have been done
#   $servers->ask($app, @command)
#   $servers->healed                     # all that is still broken is mended

use strict;
use warnings;

use Scalar::Util qw(weaken);
use Time::HiRes qw(time sleep);

use Perm::Util qw(wait_for);

my $PATIENCE = 4;       # seconds for a reply
my $RETRIES = 10;       # seconds in which a write is tried again

# app_permission_redis_timeout, of which nginx's clock may lack some

my $TIMEOUT = 0.48;

# A tracker whose handshake is not answered tries again: after that time-out,
# and PERM_REDIS_BACKOFF_MAX of 800 ms.

my $BEGINS = 1.5;


sub start {
    my ($class, $kind, $h) = @_;
    my $self = bless { h => $h, t => $h->{t} }, "${class}::\u$kind";
    weaken $self->{h};
    $self->begin;
    return $self;
}


# With a new connection when the last one failed.  What is tried again is what
# leads to the same when it was done already.

sub write {
    my ($self, $app, @commands) = @_;
    my $end = time + $RETRIES;
    my $error;

    do {
        $error = $self->try($app, ['MULTI'], @commands, ['EXEC']);
        return '' if $error eq '';
        $self->again($app, $error);
        sleep 0.02;
    } while (time < $end);
    return $error;
}

sub try {
    my ($self, $app, @commands) = @_;
    my $error = eval {
        local $SIG{ALRM} = sub { die "no reply\n" };
        alarm $PATIENCE;
        my @replies = $self->client($app)->pipeline(@commands);
        alarm 0;
        my ($bad) = grep { ref $_ eq 'Perm::Redis::Error' } @replies,
            map { ref $_ eq 'ARRAY' ? @$_ : () } @replies;
        $bad ? $$bad : '';
    } // ($@ || 'no reply');
    alarm 0;
    return $error;
}

sub ask {
    my ($self, $app, @command) = @_;
    my $reply;
    wait_for(sub {
        $reply = eval { $self->client($app)->cmd(@command) };
        $self->again($app, $@) if $@;
        return !$@;
    }) or die "no reply to @command\n";
    return $reply;
}


# the master of an app; one connection of each is kept

sub client {
    my ($self, $app) = @_;
    my $server = $self->server($app);
    return $self->{client}{$server->{port}} //= $server->connect;
}

sub again {
    my ($self, $app) = @_;
    delete $self->{client}{$self->server($app)->{port}};
}


# ---- what can be done to any server

sub stalls {
    my ($self, $name, $server, %window) = @_;
    $self->{h}->opened($name, stale => 1, fail => $TIMEOUT, %window);
    $self->{stalled}{$name} = $server;
    $server->pause;
    $self->{h}->says("$name: $server->{port} hangs");
}

sub goes_on {
    my ($self, $name) = @_;
    my $server = delete $self->{stalled}{$name} or return;
    $server->resume;
    $self->{h}->closed($name);
    $self->{h}->says("$name: $server->{port} goes on");
}

# No worker tracks for a moment: an answer counts for 50 ms.  One that is stopped
# does not know, and is taken for one that tracks.

sub deaf {
    my ($self) = @_;
    $self->{h}->brief('deaf', 0.5, blind => 0.05, less => 0);
    $_->connect->pipeline(deafens($_)) for $self->all;
    $self->{h}->says('connections with pushes end');
}

# nginx's alone: a Sentinel takes a server for down whose connection ends twice
# within a second

sub deafens { map { [qw(CLIENT KILL ID), $_] } $_[0]->listeners }

sub untold {
    my ($self, $step) = @_;
    $self->{h}->brief('untold', 0.5, blind => 0.05, less => 0);
    $self->{h}->becomes($step->{app}, {}, commands => [
        deafens($self->server($step->{app})),
        ['DEL', "app_permission:grants:{smoke:$step->{app}}"]]);
}

sub healed {
    my ($self) = @_;
    $self->goes_on($_) for keys %{$self->{stalled}};
}

sub stop { $_->kill for $_[0]->all }


package Perm::History::Servers::Single;

use strict;
use warnings;

use Perm::Util qw(wait_for);
use Time::HiRes qw(time);

our @ISA = qw(Perm::History::Servers);


sub begin {
    my ($self) = @_;
    $self->{redis} = $self->{t}->redis(conf => ['appendonly yes']);
}

sub url     { $_[0]{redis}->tcp_url }
sub cli_url { $_[0]{redis}->url }
sub server  { $_[0]{redis} }
sub all     { $_[0]{redis} }

sub load {
    my ($self) = @_;
    $self->{redis}{client} = undef;
    $self->{redis}->load;
}


sub hang     { $_[0]->stalls('hang', $_[0]{redis}) }
sub hang_end { $_[0]->goes_on('hang') }


sub crash {
    my ($self) = @_;
    $self->{h}->opened('crash', stale => 1, fail => 1);
    $self->{redis}->kill;
    $self->{client} = {};
    $self->{h}->says('Redis is killed');
}

sub crash_end {
    my ($self) = @_;
    $self->{redis}->run;
    $self->{h}->closed('crash');
    $self->{h}->says('Redis is back');
}


# A table is lost, and loaded again with what its apps had; "meta" comes last.
# A fifth of it is not in there any more.

sub lost {
    my ($self, $name) = @_;
    my $window = $self->{h}->opened($name, stale => 1, fail => 1);
    push @{$self->{h}{emptied}}, { from => time, to => 9e9, all => 1 };
    return $window;
}

sub refilled {
    my ($self, $name) = @_;
    my $h = $self->{h};

    for my $app (sort keys %{$h->{events}}) {
        my $now = $h->now_of($app);
        next if !%{$now->{fields}};
        my $over = $now->{hi} || ++$self->{refills} % 5 == 0;
        $h->becomes($app, $over ? {} : $now->{fields}, all => 1);
        $h->{events}{$app}[-1]{a} = 9e98 if $over;
    }
    $h->says('loads');
    $self->load;

    # what is gone counts from then on

    for my $events (values %{$h->{events}}) {
        $events->[-1]{a} = time if $events->[-1]{a} == 9e98;
    }
    $h->closed($name);
    $h->{emptied}[-1]{to} = time;
    $h->says("$name: loaded");
}

sub empty {
    my ($self) = @_;
    $self->lost('empty');
    $self->{redis}->cmd('FLUSHALL');
    $self->{h}->says('FLUSHALL');
}

sub empty_end { $_[0]->refilled('empty') }

sub lose {
    my ($self) = @_;
    $self->lost('lose');
    $self->{redis}->kill;
    $self->{client} = {};
    system "rm -rf $self->{redis}{dir}/appendonly*";
    $self->{h}->says('Redis is killed, its data lost');
}

sub lose_end {
    my ($self) = @_;
    $self->{redis}->run;
    $self->{h}->says('Redis is back');
    $self->refilled('lose');
}


# changes go on

sub unload {
    my ($self) = @_;
    $self->{h}->opened('unload', stale => 1, fail => 1);
    $self->{redis}->cmd('DEL', 'app_permission:meta');
    $self->{h}->says('DEL meta');
}

sub unload_end {
    my ($self) = @_;
    $self->load;
    $self->{h}->closed('unload');
    $self->{h}->says('meta is back');
}


# nothing is trusted until it is known that "meta" is still there

sub otherdb {
    my ($self) = @_;
    $self->{h}->brief('otherdb', 0.2, asks => 0);
    $self->{redis}->connect->pipeline(['SELECT', 5], [qw(SET x 1)],
                                      ['FLUSHDB']);
    $self->{h}->says('FLUSHDB of another database');
}


# a script that takes long

sub busy {
    my ($self, $step) = @_;
    $self->{h}->opened('busy', stale => 1, fail => $TIMEOUT, after => 1);
    $self->{busy} = $self->{redis}->connect;
    $self->{busy}->send('EVAL', 'local e = os.clock() + ARGV[1] '
        . 'while os.clock() < e do end', 0, $step->{lasts});
    $self->{h}->says("busy for $step->{lasts}");
}

sub busy_end {
    my ($self) = @_;
    (delete $self->{busy})->reply;
    $self->{h}->closed('busy');
    $self->{h}->says('not busy any more');
}


sub pause {
    my ($self, $step) = @_;
    $self->{h}->opened('pause', stale => 1, fail => $TIMEOUT, after => 1);
    $self->{redis}->cmd('CLIENT', 'PAUSE', int $step->{lasts} * 1000);
    $self->{h}->says('CLIENT PAUSE');
}

sub pause_end {
    my ($self) = @_;
    $self->{redis}->connect->cmd('PING');
    $self->{h}->closed('pause');
    $self->{h}->says('CLIENT PAUSE is over');
}


# Lookups go on.  A key's time to live that ends meanwhile is reported later.

sub nowrite {
    my ($self, $step) = @_;
    $self->{h}->opened('nowrite', after => 0, again => 0.5);
    $self->{redis}->cmd('CLIENT', 'PAUSE', int $step->{lasts} * 1000, 'WRITE');
    $self->{h}->says('CLIENT PAUSE WRITE');
}

sub nowrite_end {
    my ($self) = @_;
    $self->{redis}->cmd('SET', 'x', 1);
    $self->{h}->closed('nowrite');
    $self->{h}->says('CLIENT PAUSE WRITE is over');
}


sub demote {
    my ($self) = @_;
    $self->{h}->opened('demote', stale => 1, fail => 1, asks => 3);
    $self->{redis}->cmd(qw(REPLICAOF 127.0.0.1 1));
    $self->{h}->says('REPLICAOF');
}

sub demote_end {
    my ($self) = @_;
    $self->{redis}->cmd(qw(REPLICAOF NO ONE));
    $self->{h}->closed('demote');
    $self->{h}->says('a master again');
}


sub restart { $_[0]{h}->restart }

sub down {
    my ($self) = @_;
    $self->crash;
    $self->{h}->restart;
}

sub down_end { $_[0]->crash_end }


# The whole table anew.  Keys with a time to live have none after it.

sub replace {
    my ($self) = @_;
    my $h = $self->{h};
    my (%new, @lines);

    for my $app (sort keys %{$h->{events}}) {
        my $now = $h->now_of($app);
        $h->becomes($app, {}, all => 1) if $now->{hi} || $now->{a} > 9e9;
        next if ++$self->{imports} % 3 == 0;
        my $end = 3_000_000_000 + $self->{imports};
        $new{$app} = { r0 => $end };
        push @lines, qq({"gateway":"smoke","resource":"r0","app":"$app",)
            . qq("expires":$end}\n);
    }
    my $before = time;
    $h->says('import --replace');
    $h->opened('replace', after => 0.2, asks => 0);
    my ($status, $out, $err) = $self->{t}->cli('import', '--replace',
        '--max-removals', '100%', { redis => $self->cli_url,
                                    stdin => join '', @lines });
    $h->closed('replace');
    $h->changed($_, $before, $new{$_} // {}, $status ? "import: $err" : '')
        for sort keys %{$h->{events}};
}


package Perm::History::Servers::Proxy;

use strict;
use warnings;

use Perm::Wire;
use List::Util qw(max min);
use Time::HiRes qw(time);

our @ISA = qw(Perm::History::Servers::Single);


sub begin {
    my ($self) = @_;
    $self->SUPER::begin;
    $self->{wire} = Perm::Wire->start(to => $self->{redis}{socket},
        seed => $self->{h}{seed}, late => "$self->{t}{dir}/late.wire");
}

sub url { $_[0]{wire}->tcp_url }

sub stop {
    my ($self) = @_;
    $self->{wire}->stop;
    $self->SUPER::stop;
}

sub wire {
    my ($self, $what, @value) = @_;
    $self->{wire}->set($what => @value);
    $self->{h}->says("wire: $what " . join ' ', map { !defined $_ ? 'off'
        : ref $_ ? "@$_" : $_ } @value);
}


# README: an answer is trusted only while one of the two has read, within the
# last 500 ms, what was pushed.

sub hold {
    my ($self, $step) = @_;
    my $least = min @{$step->{late}};
    $self->{h}->opened('hold', blind => min($least, 0.55), after => $least,
        again => max(@{$step->{late}}), less => $BEGINS);
    $self->hung if max(@{$step->{late}}) > $TIMEOUT;
    $self->wire(hold => $step->{late});
}

sub hold_end {
    my ($self) = @_;
    $self->wire(hold => undef);
    $self->{h}->closed('hold');
}

sub holdone {
    my ($self, $step) = @_;
    $self->{h}->opened('holdone', after => 0, again => 3, less => $BEGINS);
    $self->hung;
    $self->wire(hold => $step->{late});
}

# A worker that is held so long takes Redis for hung: all links are made anew.
# Where one was older than tracking, each cached grant is looked up once more.

sub hung {
    my ($self) = @_;
    $self->{h}->brief('hung', 0.7, from => time + $TIMEOUT, after => 0.2,
                      fail => 1, asks => 0.3);
}

sub holdone_end {
    my ($self) = @_;
    $self->wire(hold => undef);
    $self->{h}->closed('holdone');
}

sub late {
    my ($self, $step) = @_;
    $self->{h}->opened('late', slow => $step->{late}, timeout => 1);
    $self->wire(late => $step->{late});
}

sub late_end {
    my ($self) = @_;
    $self->wire(late => undef);
    $self->{h}->closed('late');
}

sub verylate {
    my ($self, $step) = @_;
    $self->{h}->opened('verylate', stale => 1, fail => 1,
                       after => $step->{late} + 1);
    $self->wire(late => $step->{late});
}

sub verylate_end {
    my ($self) = @_;
    $self->wire(late => undef);
    $self->{h}->closed('verylate');
}

sub jitter {
    my ($self, $step) = @_;
    $self->{h}->opened('jitter', timeout => 1,
        map { $_ => $step->{late} } qw(slow blind after again));
    $self->wire(jitter => $step->{late});
}

sub jitter_end {
    my ($self) = @_;
    $self->wire(jitter => undef);
    $self->{h}->closed('jitter');
}

sub double      { $_[0]->wire(double => 1) }
sub double_end  { $_[0]->wire(double => undef) }

sub trickle {
    my ($self) = @_;
    $self->{h}->opened('trickle', slow => 0.05, after => 0);
    $self->wire(trickle => 1);
}

sub trickle_end {
    my ($self) = @_;
    $self->wire(trickle => undef);
    $self->{h}->closed('trickle');
}


# one connection ends: of two that are pushed to the other one goes on, and a
# lookup is sent once more

# When a connection ends that is older than tracking, all that is cached is looked
# up again.

sub cut {
    my ($self, $step) = @_;
    $self->{h}->brief('cut', 0.2, asks => 1, less => 0.8);
    $self->{wire}->cut(%$step{qw(times after reset which)});
    $self->{h}->says("cut: $step->{which} after $step->{after}");
}

sub cuts {
    my ($self, $step) = @_;
    $self->{h}->opened('cuts', blind => 0.55, fail => 1);
    $self->cut($step);
}

sub cuts_end {
    my ($self) = @_;
    $self->{wire}->cut(times => 0);
    $self->{h}->closed('cuts');
    $self->{h}->says('no more cuts');
}


sub refuse {
    my ($self) = @_;
    $self->{h}->opened('refuse', stale => 1, fail => 1);
    $self->wire(refuse => 1);
}

sub refuse_end {
    my ($self) = @_;
    $self->wire(refuse => undef);
    $self->{h}->closed('refuse');
}


# what is open hangs; what is new does not

sub silence {
    my ($self) = @_;
    $self->{h}->opened('silence', stale => 1, fail => 1);
    $self->{wire}->silence;
    $self->{h}->says('silence');
}

sub silence_end { $_[0]{h}->closed('silence') }


# accesses are on their way when their connection ends

sub swallow {
    my ($self, $step) = @_;
    $self->wire(swallow => $step->{times});
}


# the time that Redis tells

sub tell {
    my ($self, $step) = @_;
    push @{$self->{h}{emptied}}, { from => time, to => 9e9 };
    $self->wire(time => $step->{off});
}

sub tell_end {
    my ($self) = @_;
    $self->wire(time => undef);

    # what Redis said last is used for a second, and a flush is every second

    $self->{h}{emptied}[-1]{to} = time + 2;
}


sub healed {
    my ($self) = @_;
    $self->{wire}->set(map { $_ => undef } qw(hold late jitter double trickle
                                              time refuse));
    $self->{wire}->cut(times => 0);
    $self->SUPER::healed;
}


# Two masters or more, of which one takes over from the other.  Redis
# replicates without waiting: what a master has not passed on is lost with it.
# So a change is there before its master goes.

package Perm::History::Servers::Many;

use strict;
use warnings;

use Perm::Util qw(wait_for);
use Time::HiRes qw(time);

our @ISA = qw(Perm::History::Servers);


sub replicated {
    my ($self, $server) = @_;
    my $redis = $server->connect;
    my ($app) = grep { $self->server($_) == $server }
        sort keys %{$self->{h}{events}} or return;
    wait_for(sub {
        my @replies = $redis->pipeline(['SET', "replicated:{smoke:$app}", 1],
                                       ['WAIT', 1, 1000]);
        return !ref $replies[1] && $replies[1] > 0;
    }) or die "$server->{port} has no replica\n";
}

# An access that was written just before may not have been passed on.

sub goes {
    my ($self, $name, %window) = @_;
    push @{$self->{h}{emptied}}, { from => time - 2, to => 9e9,
        $window{apps} ? (apps => $window{apps}) : () };
    return $self->{h}->opened($name, stale => 1, fail => 1, after => 2,
                              asks => 3, %window);
}

sub gone {
    my ($self, $name) = @_;
    $self->{h}->closed($name);
    $self->{h}{emptied}[-1]{to} = time;
    $self->{client} = {};
    $self->{h}->says("$name: another master");
}


package Perm::History::Servers::Sentinel;

use strict;
use warnings;

use Perm::Sentinels;
use Perm::Util qw(wait_for);
use Time::HiRes qw(time sleep);

our @ISA = qw(Perm::History::Servers::Many);


sub begin {
    my ($self) = @_;
    $self->{all} = Perm::Sentinels->start(dir => "$self->{t}{dir}/s",
                                          down => 1500);
    $self->{at} = $self->{all}->master;
}

sub url     { $_[0]{all}->url }
sub cli_url { $_[0]{at}->tcp_url }
sub server  { $_[0]{at} }
sub all     { grep { $_->{pid} } @{$_[0]{all}{servers}} }

sub load { $_[0]{at}->load }

sub stop {
    my ($self) = @_;
    $self->{all}->stop;
}

sub hang     { $_[0]->stalls('hang', $_[0]{at}) }
sub hang_end { $_[0]->goes_on('hang') }


my $KNOWN = 1.5;        # README: connected anew within about a second

# The Sentinels name another one, and it says so itself.  One that was late does
# nothing for 30 seconds.

my $TAKEOVER = 80;

sub takes_over {
    my ($self, $old, $seconds) = @_;
    my ($new) = grep { $_ != $old } @{$self->{all}{servers}};
    return wait_for(sub { $self->{all}->named == $new->{port}
                          && $self->{all}->role($new) eq 'master' }, $seconds)
        && $new;
}

sub promoted {
    my ($self, $old) = @_;
    my $new = $self->takes_over($old, $TAKEOVER)
        or die "nobody takes over\n";
    $self->{at} = $new;
    $self->{client} = {};
    $self->{h}->says("$new->{port} is the master");
    return $new;
}

# The other one replicates.  A Sentinel takes up to ten seconds to say so to it.

sub paired {
    my ($self, $old) = @_;
    sleep 1.5;
    eval { $old->connect->cmd('REPLICAOF', '127.0.0.1', $self->{at}{port}) };
    wait_for(sub { (eval { $old->connect->cmd('ROLE')->[3] } // '')
                       eq 'connected' }, 30) or die "no replica\n";
    wait_for(sub { !grep {
        my $named = $self->{all}->ask($_, 'SENTINEL',
            'GET-MASTER-ADDR-BY-NAME', 'mine') // [0, 0];
        $named->[1] != $self->{at}{port};
    } 0 .. 2 }, $TAKEOVER) or die "the Sentinels do not agree\n";
    $self->{h}->says("$old->{port} is its replica");
}

sub failover {
    my ($self) = @_;
    my $old = $self->{at};
    $self->replicated($old);
    $self->{h}->says('a fail-over');
    $self->goes('failover');
    wait_for(sub {
        $self->{all}->ask(0, qw(SENTINEL FAILOVER mine));
        return $self->takes_over($old, 8);
    }, $TAKEOVER);
    $self->promoted($old);
    $self->gone('failover');

    # a worker that does not know of it yet writes to the former one, which
    # still takes it

    $self->{h}{emptied}[-1]{to} += $KNOWN;
    $self->paired($old);
}

sub crash {
    my ($self) = @_;
    my $old = $self->{at};
    $self->replicated($old);
    $self->{h}->says('the master is killed');
    $self->goes('crash');
    $old->kill;
    my $new = $self->promoted($old);
    $self->gone('crash');
    local $old->{conf} = [@{$old->{conf}},
                          "replicaof 127.0.0.1 $new->{port}"];
    $old->run;
    $self->paired($old);
}


# It takes itself for the master when it is back, until a Sentinel sees it.

sub freeze {
    my ($self) = @_;
    my $old = $self->{frozen} = $self->{at};
    $self->replicated($old);
    $self->goes('freeze');
    $old->pause;
    $self->{h}->says('the master hangs');
    $self->promoted($old);
    $self->gone('freeze');
}

sub freeze_end {
    my ($self) = @_;
    my $old = delete $self->{frozen};
    $old->resume;
    $self->{h}->says('the former master goes on');
    $self->paired($old);
}


sub sentinel {
    my ($self, $step) = @_;
    $self->{hung} = $self->{all}{sentinels}[$step->{which}]{pid};
    kill 'STOP', $self->{hung};
    $self->{h}->says("Sentinel $step->{which} hangs");
}

sub sentinel_end {
    my ($self) = @_;
    kill 'CONT', delete $self->{hung};
    $self->{h}->says('the Sentinel goes on');
}


package Perm::History::Servers::Cluster;

use strict;
use warnings;

use Perm::Cluster;
use Perm::Util qw(wait_for);
use Time::HiRes qw(time sleep);

our @ISA = qw(Perm::History::Servers::Many);


sub begin {
    my ($self) = @_;
    $self->{all} = Perm::Cluster->start(dir => "$self->{t}{dir}/c",
        replicas => 1, conf => ['cluster-migration-barrier 10']);
    $self->look;
}

sub url     { $_[0]{all}->url }
sub cli_url { $_[0]{all}->url }
sub load    { $_[0]{all}->load }
sub all     { grep { $_->{pid} && !$_->{hangs} } @{$_[0]{all}{nodes}} }
sub server  { $_[0]{at}{$_[0]->slot($_[1])} }

sub slot {
    my ($self, $app) = @_;
    return $self->{slot}{$app} //= (($self->all)[0])->connect->cmd('CLUSTER',
        'KEYSLOT', $app eq 'meta' ? 'app_permission:meta' : "{smoke:$app}");
}


# who has which slot, as a node that is well says

sub look {
    my ($self) = @_;
    my ($node) = $self->all;
    $self->{at} = {};
    for (@{$node->connect->cmd('CLUSTER', 'SLOTS')}) {
        my ($from, $to, $master) = @$_;
        my $server = $self->{all}->by_port($master->[1]);
        $self->{at}{$_} = $server for $from .. $to;
    }
    $self->{client} = {};
}

sub again {
    my ($self, $app, $error) = @_;
    $self->SUPER::again($app);
    $self->look if $error =~ /MOVED|READONLY|CLUSTERDOWN|ASK/;
}


sub masters {
    my ($self) = @_;
    my %seen;
    return sort { $a->{port} <=> $b->{port} }
        grep { !$seen{$_->{port}}++ } values %{$self->{at}};
}

sub node {
    my ($self, $step) = @_;
    my @masters = $self->masters;
    return $masters[$step->{node} % @masters];
}

# the apps of a node: all, where it has "meta"

sub of {
    my ($self, $node) = @_;
    return () if $self->server('meta') == $node;
    my %apps = map { $_ => 1 } grep { $self->server($_) == $node }
        keys %{$self->{h}{events}};
    return (apps => \%apps);
}

# to the others: nothing is trusted for long while a node is not heard, and a
# worker that waits for a node takes Redis for slow

sub others {
    my ($self, $name) = @_;
    $self->{h}->opened("$name of others", slow => $TIMEOUT, asks => 2,
                       after => 2);
}

# All nodes answer CLUSTERDOWN while one of them knows of a slot without a
# master.

sub state {
    my ($self, $ok) = @_;
    my $seen = time;
    my $h = $self->{h};
    my $down = $h->{open}{'cluster down'};

    if (!$ok) {
        $down // $h->opened('cluster down', from => $self->{ok} // $seen,
                            stale => 1, fail => 1);
        return 0;
    }
    $self->{ok} = $seen;
    $h->closed('cluster down') if $down;
    return 1;
}


sub hang {
    my ($self, $step) = @_;
    my $node = $self->node($step);
    $self->others('hang');
    $self->stalls('hang', $node, $self->of($node));
}

sub hang_end {
    my ($self) = @_;
    $self->goes_on('hang');
    $self->{h}->closed('hang of others');
}


sub promoted {
    my ($self, $old) = @_;
    local $old->{hangs} = 1;
    $self->{ok} = time;
    wait_for(sub {
        $self->state(!grep {
            (eval { $_->connect->cmd('CLUSTER', 'INFO') } // '')
                !~ /cluster_state:ok/ } $self->all) or return 0;
        for my $node ($self->all) {
            for (@{$node->connect->cmd('CLUSTER', 'SLOTS')}) {
                return 0 if $_->[2][1] == $old->{port};
            }
        }
        return 1;
    }, 40) or die "nobody takes over\n";
    $self->look;
    $self->{h}->says("$old->{port} is no master any more");
}

sub paired {
    my ($self, $old) = @_;
    wait_for(sub {
        my $role = eval { $old->connect->cmd('ROLE') } // [''];
        return $role->[0] eq 'slave' && $role->[3] eq 'connected';
    }, 40) or die "no replica\n";
    $self->{all}->agreed;
    $self->{h}->says("$old->{port} is a replica");
}

sub failover {
    my ($self, $step) = @_;
    my $old = $self->node($step);
    my $new = $self->{all}->replica_of($old);
    $self->replicated($old);
    $self->others('failover');
    $self->goes('failover', $self->of($old));
    $self->{h}->says("$new->{port} takes over from $old->{port}");
    wait_for(sub {
        eval { $new->connect->cmd('CLUSTER', 'FAILOVER') };
        return wait_for(sub { $new->connect->cmd('ROLE')->[0] eq 'master' }, 3);
    }, 30) or die "no fail-over\n";
    $self->promoted($old);
    $self->gone('failover');
    $self->{h}->closed('failover of others');
    $self->paired($old);
}

sub crash {
    my ($self, $step) = @_;
    my $old = $self->node($step);
    $self->replicated($old);
    $self->others('crash');
    $self->goes('crash', $self->of($old));
    $old->kill;
    $self->{h}->says("$old->{port} is killed");
    $self->promoted($old);
    $self->gone('crash');
    $self->{h}->closed('crash of others');
    $old->run;
    $self->paired($old);
}

sub freeze {
    my ($self, $step) = @_;
    my $old = $self->{frozen} = $self->node($step);
    $self->replicated($old);
    $self->others('freeze');
    $self->goes('freeze', $self->of($old));
    $old->pause;
    $old->{hangs} = 1;
    $self->{h}->says("$old->{port} hangs");
    $self->promoted($old);
}

sub freeze_end {
    my ($self) = @_;
    my $old = delete $self->{frozen};
    $old->resume;
    $old->{hangs} = 0;
    $self->{h}->says("$old->{port} goes on");
    $self->paired($old);
    $self->gone('freeze');
    $self->{h}->closed('freeze of others');
}


# a slot moves with all its keys

sub move {
    my ($self, $step) = @_;
    my $from = $self->server($step->{app});
    my $to = ($self->masters)[$step->{to}];
    my $slot = $self->slot($step->{app});
    return if !$to || $from == $to;

    $self->{h}->says("slot $slot moves from $from->{port} to $to->{port}");
    my $before = time;
    $self->{all}->move($slot, $from, $to);
    $self->look;

    # Redis reports all its keys as changed

    push @{$self->{h}{events}{$_}}, { %{$self->{h}->now_of($_)},
        b => $before, a => time }
        for grep { $self->slot($_) == $slot } keys %{$self->{h}{events}};
    $self->{h}->says('the slot has moved');
}


sub stop { $_[0]{all}->stop }


1;

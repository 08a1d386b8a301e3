#!/usr/bin/perl

# The lock-free parts of src/ in a model of weak memory, as arm64 has it: what
# each barrier orders, and that it is needed.  A program names its barriers by
# their comments in the source ("orders: ..."), and takes their strength from
# there.  No execution of a program is bad; with any one of its barriers
# relaxed there is one.

use Perm::Test;
use Perm::MemoryModel;

chdir $Perm::Test::ROOT or die;

my ($barriers, @wrong) = barriers();
my (%relaxed, %used);

is_deeply \@wrong, [], 'each barrier of src/ says what it orders';

# the orders of a barrier

sub o {
    my ($tag) = @_;
    my $barrier = $barriers->{$tag} or die "no barrier \"$tag\" in src/\n";
    $used{$tag} = 1;
    return ('relaxed', 'relaxed') if $relaxed{$tag};
    return @{$barrier->{orders}}[0, -1];
}

sub first { return (o(@_))[0] }

# the barriers of a file, by the rest of their comments

sub of {
    my ($file) = @_;
    return sub { first("$file: $_[0]") };
}

sub program {
    my ($name, $program) = @_;
    subtest $name => sub {
        %used = %relaxed = ();
        my @found = executions($program);
        is @found, 0, 'nothing bad' or diag explain $found[0];
        my @tags = sort keys %used;
        for my $tag (grep { !$program->{besides}{$_} } @tags) {
            %relaxed = ($tag => 1);
            ok scalar executions($program), "needs $tag";
            $barriers->{$tag}{needed} = 1;
        }
        %relaxed = ();
    };
}


# ---- the cache --------------------------------------------------------------

my ($cache, $epoch, $change) = map { of($_) } qw(cache.c epoch.h change.h);

# perm_cache_fill(); $n is the sequence number before

sub fill {
    my ($n) = @_;
    store('state', $n | 1);
    fence($cache->('the odd number before the slot'));
    store('names', 1);
    store('expires', 1);
    store('state', ($n | 1) + 1, $cache->('the slot before the even number'));
}

# perm_cache_lookup(): the number and the entry, or nothing

sub lookup {
    my $number = load('state', $cache->('the sequence number before the slot'));
    return if $number & 1;
    my @entry = (load('names'), load('expires'));
    fence($cache->('the slot before its sequence number'));
    return load('state') == $number ? [$number, @entry] : undef;
}

# an entry of both

sub torn { return $_[0] && $_[0][1] != $_[0][2] }

program 'cache: a store against a lookup' => {
    init    => { state => 0, names => 0, expires => 0 },
    threads => { writer => sub { fill(0) }, reader => \&lookup },
    bad     => sub {
        my $read = $_[0]{reader};
        return torn($read) || $read && $read->[0] == 2 && $read->[1] != 1;
    },
};

program 'cache: a slot that a killed writer left, and a lookup' => {
    init    => { state => 1, names => 7, expires => 0 },
    threads => { writer => sub { fill(1) }, reader => \&lookup },
    bad     => sub { torn($_[0]{reader}) },
    besides => { map { ("cache.c: $_" => 1) } 'the odd number before the slot',
                 'the slot before its sequence number' },
};

# perm_cache_invalidate() by a tracker, and perm_cache_generation() before a
# lookup: Redis is a word here, "grant", and so is what it pushes

program 'cache: an answer of before a change is not of its generation' => {
    init    => { grant => 0, pushed => 0, count => 0 },
    threads => {
        redis   => sub { store('grant', 1); store('pushed', 1, 'release') },
        tracker => sub {
            add('count', 1, $cache->('what was pushed before its count'))
                if load('pushed', 'acquire');
        },
        worker  => sub {
            return [load('count',
                         $cache->('the counters before a lookup is sent')),
                    load('grant')];
        },
    },
    bad     => sub { $_[0]{worker}[0] && !$_[0]{worker}[1] },
};

program 'cache: an answer of before a gap is not of the next epoch' => {
    init    => { grant => 0, pushed => 0, epoch => 0 },
    threads => {
        redis   => sub { store('grant', 1); store('pushed', 1, 'release') },
        tracker => sub {
            cas('epoch', 0, 256, o('epoch.h: the gap before the next epoch'))
                if load('pushed', 'acquire');
        },
        worker  => sub {
            return [load('epoch',
                         $cache->('the epoch before a lookup is sent')),
                    load('grant')];
        },
    },
    bad     => sub { $_[0]{worker}[0] && !$_[0]{worker}[1] },
};

program 'epoch: an answer of before a suspension does not end it' => {
    init    => { emptied => 0, pushed => 0, epoch => 0 },
    threads => {
        redis   => sub { store('emptied', 1); store('pushed', 1, 'release') },
        tracker => sub {
            cas('epoch', 0, 1,
                o('epoch.h: what was pushed before the suspension'))
                if load('pushed', 'acquire');
        },
        worker  => sub {
            return [load('epoch', $epoch->('the word before the question')),
                    load('emptied')];
        },
    },
    bad     => sub { $_[0]{worker}[0] && !$_[0]{worker}[1] },
};

# perm_change_mark() in two workers

sub mark {
    my $marked = load('marked', $change->('the last mark before the count'));
    my ($count, $done);
    do {
        $count = load('count');
        ($done, $marked) = cas('marked', $marked, $count,
                               o('change.h: the count before its mark'));
    } until ($done);
}

program 'change: a mark never goes back' => {
    init    => { count => 0, marked => 0 },
    final   => 1,
    threads => {
        one     => sub { mark(); return },
        another => sub { store('count', 1); mark(); return },
    },
    bad     => sub { $_[1]{marked} != 1 },
};


# ---- the table state --------------------------------------------------------

my $table = of('table_state.c');
my $word = 'the word before the marks, and before a question';

program 'table state: the marks are there when it is EMPTY' => {
    init    => { marked => 0, word => 0 },
    threads => {
        tracker => sub {
            store('marked', 1);
            cas('word', 0, 2, o('table_state.c: the mark before the state'));
        },
        worker  => sub { return [load('word', $table->($word)),
                                 load('marked')] },
    },
    bad     => sub { $_[0]{worker}[0] == 2 && !$_[0]{worker}[1] },
};

program 'table state: an answer of before "meta" was pushed is too old' => {
    init    => { meta => 0, pushed => 0, version => 0 },
    threads => {
        redis   => sub { store('meta', 1); store('pushed', 1, 'release') },
        tracker => sub {
            add('version', 1, $table->('what was pushed before the version'))
                if load('pushed', 'acquire');
        },
        worker  => sub { return [load('version', $table->($word)),
                                 load('meta')] },
    },
    bad     => sub { $_[0]{worker}[0] && !$_[0]{worker}[1] },
};


# ---- trackers ---------------------------------------------------------------

my ($covered, $counted) = ('trackers.h: "covered" before the entry and the '
                           . 'counters',
                           'trackers.c: counts and epoch before "covered"');
my $loads = 'trackers.c: each load in one order with all stores';
my $stores = 'trackers.c: each store in one order with all loads';

program 'trackers: "covered" is never newer than the counters' => {
    init    => { first => 0, second => 0, covered => 0 },
    threads => {
        tracker => sub {
            add($_, 1) for qw(first second);
            cas('covered', 0, 1, o($counted));
        },
        worker  => sub {
            return [load('covered', first($covered)), load('first'),
                    load('second')];
        },
    },
    bad     => sub {
        my ($late, @counts) = @{$_[0]{worker}};
        return $late && grep { !$_ } @counts;
    },
};

program 'trackers: of two that are lost, one moves "covered"' => {
    init    => { one => 1, other => 1 },
    threads => {
        map {
            my ($own, $others) = @$_;
            ($own => sub {
                store($own, 0, first($stores));
                return load($others, first($loads));
            });
        } [qw(one other)], [qw(other one)],
    },
    bad     => sub { $_[0]{one} && $_[0]{other} },
};

# ---- the recorder -----------------------------------------------------------

my $recorder = of('recorder.c');

# perm_recorder_insert() of another tuple; a version is the hundreds of a word

sub insert {
    my $seen = load('word');
    return if $seen > 110;
    my $odd = int($seen / 100) % 2 ? $seen : $seen + 100;
    return if $odd != $seen && !(cas('word', $seen, $odd))[0];
    fence($recorder->('the odd version before the slot'));
    store('names', 1);
    store('word', $odd + 100,
          $recorder->('the slot before its version, which is even again'));
    return 1;
}

# perm_recorder_copy()

sub copy {
    my $seen = load('word', $recorder->('the version before the names'));
    return if int($seen / 100) % 2;
    my $names = load('names');
    fence($recorder->('the names before the version'));
    return int(load('word') / 100) == int($seen / 100)
           ? [int($seen / 100), $names] : undef;
}

for my $word (0, 100) {
    my $left = $word ? 'that a killed writer left' : 'that is acknowledged';
    program "recorder: a new tuple in a slot $left, against a copy" => {
        init    => { word => $word, names => 0 },
        threads => { writer => \&insert, reader => \&copy },
        bad     => sub {
            my $read = $_[0]{reader};
            return $read && $read->[0] / 2 != $read->[1];
        },
        besides => { $word ? (map { ("recorder.c: $_" => 1) }
                       'the odd version before the slot',
                       'the names before the version') : () },
    };
}

program 'recorder: an access never goes to the tuple that is new in a slot' => {
    init    => { word => 0, names => 0 },
    threads => {
        writer => \&insert,
        worker => sub {        # perm_recorder_touch(), of the new tuple's names
            my $seen = load('word',
                            $recorder->('the version before the names'));
            my $names = load('names');
            return [$names,
                    (cas('word', $seen, $seen + 10,
                         o('recorder.c: the names before the exchange')))[0]]
                if $seen == 0;
            return;
        },
    },
    bad     => sub { $_[0]{worker} && $_[0]{worker}[0] && $_[0]{worker}[1] },
    # the model knows no load that takes part in its own cause, as arm64 does
    besides => { map { $_ => 1 } keys %$barriers },
};


# ---- try-lock, records, leases ----------------------------------------------

my ($trylock, $sequence) = map { of($_) } qw(trylock.c trylock.h);

program 'try-lock: a record that is written against one that reads it' => {
    init    => { number => 0, first => 0, second => 0 },
    threads => {
        writer => sub {
            store('number', 1);
            fence($sequence->('the odd number before the record'));
            store($_, 1) for qw(first second);
            store('number', 2,
                  $sequence->('the record before the even number'));
        },
        reader => sub {
            my $before = load('number',
                         $trylock->('the sequence number before the record'));
            return if $before & 1;
            my @record = map { load($_) } qw(first second);
            fence($trylock->('the record before the sequence number'));
            return load('number') == $before ? [$before, @record] : undef;
        },
    },
    bad     => sub {
        my $read = $_[0]{reader};
        return torn($read) || $read && $read->[0] == 2 && !$read->[1];
    },
};

program 'try-lock: the next holder sees what the former one wrote' => {
    init    => { lock => 1, record => 0 },
    threads => {
        one     => sub {
            store('record', 1);
            cas('lock', 1, 0,
                o('trylock.c: the records before the end of the lock'));
        },
        another => sub {
            return (cas('lock', 0, 2,
                        o('trylock.c: the lock before the records')))[0]
                   ? load('record') + 1 : 0;
        },
    },
    bad     => sub { $_[0]{another} == 1 },
};

program 'lease: a successor sees what the former holder did' => {
    init    => { lease => 1, work => 0 },
    threads => {
        holder    => sub {
            store('work', 1);
            cas('lease', 1, 0, o('lease.c: the holder\'s work before its end'));
        },
        successor => sub {
            return (cas('lease', 0, 2, o('lease.c: the former holder\'s work '
                                         . 'before its successor\'s')))[0]
                   ? load('work') + 1 : 0;
        },
    },
    bad     => sub { $_[0]{successor} == 1 },
};

program 'lease: of two that saw it free, one holds it' => {
    init    => { lease => 0 },
    threads => { map { my $self = $_;
                       ($self => sub { (cas('lease', 0, $self))[0] }) } 1, 2 },
    bad     => sub { $_[0]{1} && $_[0]{2} },
};

program 'records: what is found by its hash has its names' => {
    init    => { hash => 0, names => 0 },
    threads => {
        writer => sub {
            store('names', 1);
            store('hash', 1, first('records.c: the names and the number before '
                                   . 'the hash'));
        },
        reader => sub {
            my $hash = load('hash');
            fence(first('records.c: the hash before the names'));
            return [$hash, load('names')];
        },
    },
    bad     => sub { $_[0]{reader}[0] && !$_[0]{reader}[1] },
};


# ---- health, link state -----------------------------------------------------

# perm_health_redis() and perm_link_state_up(): a worker's own state, then that
# of all, until it is what those of the workers are.  Which of the workers' is
# the first one does not matter, and a third round changes nothing.

sub agree {
    my ($file, $own, $state) = @_;
    store($own, $state,
          first("$file.c: its own state before those of the others"));
    for (1, 2) {
        my $any = 0;
        for my $worker (qw(one other)) {
            $any ||= load($worker, first('health.c: the states of the workers '
                                         . 'before that of all'));
        }
        my $all = load('all',
                       first("$file.c: its own state before that of all"));
        return 1 if $all == $any;
        cas('all', 1 - $any, $any,
            o("$file.c: the state of all before those of the workers"));
    }
    return;
}

# one state before and after, and the other one

for my $file (qw(health link_state)) {
    program "$file: the state of all is that of the workers at the end" => {
        init    => { one => 0, other => 1, all => 1 },
        final   => 1,
        threads => { one => sub { agree($file, 'one', 1) },
                     other => sub { agree($file, 'other', 0) } },
        bad     => sub {
            my ($done, $final) = @_;
            return $done->{one} && $done->{other} && !$final->{all};
        },
    };
}


# The other one orders a load that takes part in its own cause.

subtest 'each barrier is in a program' => sub {
    my $apart = qr/the names before the exchange/;
    is_deeply [grep { !$barriers->{$_}{needed} && !/$apart/ }
                    sort keys %$barriers], [], 'all are needed somewhere';
};

done_testing;

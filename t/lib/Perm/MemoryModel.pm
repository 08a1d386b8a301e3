package Perm::MemoryModel;

# An axiomatic model of weak memory: C11 as repaired in RC11 (Lahav et al.,
# PLDI 2017).  It finds each execution of a small program that the rules of
# the language allow, also those that no x86 shows.  Plain accesses count as
# relaxed.
#
#   my @found = executions({
#       init    => { data => 0, ready => 0 },
#       threads => {
#           writer => sub { store('data', 1); store('ready', 1, 'release') },
#           reader => sub { return [load('ready', 'acquire'), load('data')] },
#       },
#       bad     => sub { my ($result, $final) = @_; ... },
#   });
#
# In a thread:
#
#   my $value = load($word, $order);
#   store($word, $value, $order);
#   my ($done, $before) = cas($word, $expected, $new, $order, $failed);
#   my $before = add($word, $n, $order);
#   fence($order);
#
# An order is the C one in lower case, "relaxed" where none is given; a fence
# that is "relaxed" is none.  A thread may branch on what it reads; a run of
# more than 12 accesses does not count.  "bad" gets what each thread returned,
# and the last value of each word.  executions() returns those it accepts.
#
# barriers() reads the comments "orders: ..." of src/: see there.

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(executions load store cas add fence barriers);

use constant { MOST => 12, FIRST => -1 };

my ($choices, @events);      # of the run of a thread that is on its way


# ---- a thread: a run of it gives each read one of the values of the word ----

sub event {
    my (%event) = @_;
    die { long => 1 } if @events >= MOST;
    push @events, { order => 'relaxed', %event };
}

sub chosen {
    my ($word) = @_;
    die { more => $word } unless @$choices;
    return shift @$choices;
}

sub load {
    my ($word, $order) = @_;
    my $value = chosen($word);
    event(kind => 'R', word => $word, read => $value,
          order => $order // 'relaxed');
    return $value;
}

sub store {
    my ($word, $value, $order) = @_;
    event(kind => 'W', word => $word, write => $value,
          order => $order // 'relaxed');
}

sub cas {
    my ($word, $expected, $new, $order, $failed) = @_;
    my $value = chosen($word);
    if ($value != $expected) {
        event(kind => 'R', word => $word, read => $value,
              order => $failed // $order // 'relaxed');
        return (0, $value);
    }
    event(kind => 'U', word => $word, read => $value, write => $new,
          order => $order // 'relaxed');
    return (1, $value);
}

sub add {
    my ($word, $n, $order) = @_;
    my $value = chosen($word);
    die { long => 1 } if $value > 2;
    event(kind => 'U', word => $word, read => $value, write => $value + $n,
          order => $order // 'relaxed');
    return $value;
}

sub fence {
    my ($order) = @_;
    event(kind => 'F', order => $order) if $order ne 'relaxed';
}


# all runs of a thread with these values of the words: [result, events]

sub runs {
    my ($thread, $values) = @_;
    my (@runs, @todo);
    @todo = ([]);
    while (my $given = pop @todo) {
        $choices = [@$given];
        @events = ();
        my $result = eval { $thread->() };
        if (my $stop = $@) {
            die $stop unless ref $stop;
            push @todo, map { [@$given, $_] } sort keys %{$values->{$stop->{more}}}
                if defined $stop->{more};
            next;
        }
        push @runs, [$result, [map { { %$_ } } @events]];
    }
    return \@runs;
}


# ---- executions -------------------------------------------------------------

sub executions {
    my ($program) = @_;
    my %threads = %{$program->{threads}};
    my @names = sort keys %threads;
    my %values = map { $_ => { $program->{init}{$_} => 1 } }
                     keys %{$program->{init}};
    my (%runs, $grown);

    do {
        $grown = 0;
        for my $name (@names) {
            $runs{$name} = runs($threads{$name}, \%values);
            for my $e (map { @{$_->[1]} } @{$runs{$name}}) {
                next unless defined $e->{write};
                $grown ||= !$values{$e->{word}}{$e->{write}};
                $values{$e->{word}}{$e->{write}} = 1;
            }
        }
    } while ($grown);

    my @found;
    my @combined = ([]);
    for my $name (@names) {
        @combined = map { my $c = $_; map { [@$c, $_] } @{$runs{$name}} }
                        @combined;
    }
    for my $combined (@combined) {
        my %result;
        @result{@names} = map { $_->[0] } @$combined;
        next if !$program->{final} && !$program->{bad}->(\%result);

        my @e = map { { kind => 'W', word => $_, order => 'relaxed',
                        write => $program->{init}{$_}, thread => FIRST } }
                    sort keys %{$program->{init}};
        for my $thread (0 .. $#$combined) {
            push @e, map { { %$_, thread => $thread } }
                         @{$combined->[$thread][1]};
        }
        push @found, orders_of(\@e, \%result, $program);
    }
    return @found;
}


# from which write each read may be, and in which orders the writes

sub orders_of {
    my ($e, $result, $program) = @_;
    my @reads = grep { defined $e->[$_]{read} } 0 .. $#$e;
    my (%writes, @from, @found);
    push @{$writes{$e->[$_]{word}}}, $_
        for grep { defined $e->[$_]{write} } 0 .. $#$e;

    for my $r (@reads) {
        push @from, [grep { $_ != $r && $e->[$_]{write} == $e->[$r]{read}
                            && !($e->[$_]{thread} == $e->[$r]{thread}
                                 && $_ > $r) }
                          @{$writes{$e->[$r]{word}} // []}];
        return () unless @{$from[-1]};
    }
    each_of(\@from, sub {
        my (%rf, @orders);
        @rf{@reads} = @_;
        for my $word (sort keys %writes) {
            push @orders, [orders($e, \%rf, @{$writes{$word}})];
            return unless @{$orders[-1]};
        }
        each_of(\@orders, sub {
            my %final = map { $e->[$_->[-1]]{word} => $e->[$_->[-1]]{write} }
                            @_;
            return if $program->{final}
                      && !$program->{bad}->($result, \%final);
            push @found, { %$result, final => \%final }
                if consistent($e, \%rf, \@_);
        });
    });
    return @found;
}

sub each_of {
    my ($lists, $do, @chosen) = @_;
    return $do->(@chosen) if @chosen == @$lists;
    each_of($lists, $do, @chosen, $_) for @{$lists->[@chosen]};
}

# all orders of the writes of a word: the first one first, those of a thread as
# it made them, an exchange right behind what it read

sub orders {
    my ($e, $rf, $first, @rest) = @_;
    my @found;
    my $visit;
    $visit = sub {
        my ($done, @left) = @_;
        return push @found, $done unless @left;
        my %seen;
        for my $i (0 .. $#left) {
            my $w = $left[$i];
            next if $seen{$e->[$w]{thread}}++;
            next if $e->[$w]{kind} eq 'U' && $rf->{$w} != $done->[-1];
            next if grep { $_ != $w && $e->[$_]{kind} eq 'U'
                           && $rf->{$_} == $done->[-1] } @left;
            $visit->([@$done, $w], @left[grep { $_ != $i } 0 .. $#left]);
        }
    };
    $visit->([$first], @rest);
    return @found;
}


# ---- the axioms: a relation is an array of bit masks ------------------------

sub closure {
    my (@m) = @_;
    for my $k (0 .. $#m) {
        for my $i (0 .. $#m) {
            $m[$i] |= $m[$k] if $m[$i] >> $k & 1;
        }
    }
    return @m;
}

sub union { return map { my $i = $_; my $m = 0; $m |= $_->[$i] for @_[1 .. $#_];
                         $m } 0 .. $_[0] }

sub then {
    my ($one, $two) = @_;
    return map {
        my ($m, $to) = (0, $_);
        $m |= $two->[$_] for grep { $to >> $_ & 1 } 0 .. $#$two;
        $m;
    } @$one;
}

sub circle { return grep { $_[$_] >> $_ & 1 } 0 .. $#_ }

sub consistent {
    my ($e, $rf, $orders) = @_;
    my $n = $#$e;
    my (@sb, @mo, @fr, @rf, @sw, @far);
    @sb = @mo = @fr = @rf = @sw = @far = (0) x @$e;

    for my $i (0 .. $n) {
        for my $k (0 .. $n) {
            my ($a, $b) = ($e->[$i], $e->[$k]);
            next unless $a->{thread} == FIRST ? $b->{thread} != FIRST
                        : $a->{thread} == $b->{thread} && $i < $k;
            $sb[$i] |= 1 << $k;
            $far[$i] |= 1 << $k if ($a->{word} // '') ne ($b->{word} // '');
        }
    }
    my %place;
    for my $order (@$orders) {
        for my $i (0 .. $#$order) {
            $place{$order->[$i]} = [$order, $i];
            $mo[$order->[$i]] |= 1 << $_ for @$order[$i + 1 .. $#$order];
        }
    }
    for my $r (keys %$rf) {
        my ($order, $i) = @{$place{$rf->{$r}}};
        $rf[$rf->{$r}] |= 1 << $r;
        $fr[$r] |= 1 << $_ for grep { $_ != $r } @$order[$i + 1 .. $#$order];
    }

    # a release, or a fence before the write, with an acquire, or a fence
    # behind the read, also through exchanges

    for my $r (keys %$rf) {
        my @heads = ($rf->{$r});
        push @heads, $rf->{$heads[-1]} while $e->[$heads[-1]]{kind} eq 'U';
        my @to = grep { $e->[$_]{order} =~ /acq|seq/
                        && ($_ == $r || $e->[$_]{kind} eq 'F'
                                        && $sb[$r] >> $_ & 1) } 0 .. $n;
        for my $head (@heads) {
            for my $from (grep { $e->[$_]{order} =~ /release|acq_rel|seq/
                                 && ($_ == $head || $e->[$_]{kind} eq 'F'
                                     && $sb[$_] >> $head & 1) } 0 .. $n) {
                $sw[$from] |= 1 << $_ for @to;
            }
        }
    }
    my @hb = closure(union($n, \@sb, \@sw));
    my @eco = closure(union($n, \@rf, \@mo, \@fr));

    return 0 if circle(@hb) || circle(@eco) || circle(then(\@hb, \@eco))
                || circle(closure(union($n, \@sb, \@rf)));
    return sequential($e, \@sb, \@far, \@hb, \@eco, \@mo, \@fr);
}

# there is one order of all that is seq_cst

sub sequential {
    my ($e, $sb, $far, $hb, $eco, $mo, $fr) = @_;
    my $n = $#$e;
    my @sc = grep { $e->[$_]{order} =~ /seq/ } 0 .. $n;
    return 1 unless @sc > 1;

    my @same = map {
        my $i = $_;
        my $m = 0;
        for my $k (0 .. $n) {
            $m |= 1 << $k if $hb->[$i] >> $k & 1
                && ($e->[$i]{word} // '') eq ($e->[$k]{word} // '-');
        }
        $m;
    } 0 .. $n;
    my @scb = union($n, $sb, [then([then($far, $hb)], $far)], \@same, $mo, $fr);
    my @sides = map { [1 << $_ | ($e->[$_]{kind} eq 'F' ? $hb->[$_] : 0)] }
                    0 .. $n;
    my @through = then([then($hb, $eco)], $hb);
    my @psc = (0) x @$e;

    for my $a (@sc) {
        my ($to) = then([then($sides[$a], \@scb)], [map { 1 << $_ } 0 .. $n]);
        for my $b (@sc) {
            my ($fences) = $e->[$a]{kind} eq 'F' && $e->[$b]{kind} eq 'F';
            $psc[$a] |= 1 << $b
                if $to >> $b & 1
                   || $e->[$b]{kind} eq 'F'
                      && grep { $to >> $_ & 1 && $hb->[$_] >> $b & 1 } 0 .. $n
                   || $fences && ($hb->[$a] | $through[$a]) >> $b & 1;
        }
    }
    return !circle(closure(@psc));
}


# ---- the barriers of the source ---------------------------------------------

# Each access of src/ that orders others has a comment before it, "orders: A
# before B".  Returns
#
#   { 'cache.c: A before B' => { orders => ['seq_cst'], at => 'file:line',
#                                op => '__atomic_thread_fence' }, ... }
#
# and what is wrong: an access without such a comment, a comment without one,
# or one text for two orders.  "orders: only this word" is an access whose
# order to others means nothing: it is not returned.  Relaxed accesses, and
# ngx_atomic_fetch_add() whose result is not used, are counters or hints.

my $op = qr/\b(?:__atomic_(?!always|is)\w+|__sync_\w+|ngx_memory_barrier
               |ngx_atomic_(?:fetch_add|cmp_set))\s*\(/x;

sub barriers {
    my @files = @_ ? @_ : sort map { glob } qw(src/*/*.[ch] src/*/*/*.[ch]);
    my (%barriers, @wrong);

    for my $file (@files) {
        open my $in, '<', $file or die "$file: $!\n";
        my $text = do { local $/; <$in> };
        my $name = $file =~ s{.*/}{}r;
        my ($comment, $line);

        while ($text =~ m{(/\*.*?\*/)|(\(void\)\s+ngx_atomic_fetch_add\b)
                          |($op)}gsx) {
            my ($said, $counter, $called) = ($1, $2, $3);
            my $at = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);
            if (defined $said) {
                next unless $said =~ /\borders:\s*(.*?)\s*(?:;.*)?\*\/$/s;
                my $orders = $1 =~ s/\s*\n[\s*]*/ /gr;
                push @wrong, "$file:$line: orders nothing" if defined $comment;
                ($comment, $line) = ($orders, $at + ($said =~ tr/\n//));
                next;
            }
            $called = 'ngx_atomic_fetch_add(' if $counter;
            my ($args) = substr($text, pos($text) - 1)
                          =~ /^\s*\w*\s*(\((?:[^()]++|(?1))*\))/;
            $args //= '';
            my @orders = map { lc } $args =~ /\b__ATOMIC_([A-Z_]+)/g;
            @orders = ('seq_cst') unless $called =~ /__atomic/;

            if (!defined $comment) {
                push @wrong, "$file:$at: what does this order?"
                    unless $counter || !grep { $_ ne 'relaxed' } @orders;
                next;
            }
            push @wrong, "$file:$line: far from what it is about"
                if $at - $line > 7;
            my $tag = "$name: $comment";
            my $known = $barriers{$tag};
            push @wrong, "$file:$line: \"$comment\" with two orders"
                if $known && "@{$known->{orders}}" ne "@orders";
            $barriers{$tag} = { orders => \@orders, at => "$file:$at",
                                op => $called =~ s/\s*\($//r }
                unless $comment eq 'only this word';
            undef $comment;
        }
        push @wrong, "$file:$line: orders nothing" if defined $comment;
    }
    return (\%barriers, @wrong);
}

1;

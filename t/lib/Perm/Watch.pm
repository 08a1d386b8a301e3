package Perm::Watch;

# What counts when servers change under load: no request of a known app fails,
# no access is lost, and it is soon normal again.
#
#   my $w = Perm::Watch->new($t, apps => [...],
#       redis => sub { the Perm::Redis or Perm::Cluster that has the accesses },
#       lost => 8);       # requests that may have no answer, default 0
#   $w->nginx(redis => $url, http => '...', workers => 2);
#   $w->under_load('what', sub { my ($more) = @_; ...; $more->(500); ... },
#       lost => 0, worst => 2);      # ... of this one; seconds of the slowest
#   $w->normal($since, $seconds, @apps);
#   $w->exactly($seen);              # Redis has the newest second of each app
#
# Locations: /a (asks after a second), /fresh (always asks), /long (cached for
# an hour).  Only accesses of /a count.  Needs Perm::Test->new(late => 1).

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use Perm::Test ();
use Perm::Util qw(wait_for slurp);

my $ALLOW = $Perm::Test::ALLOW;


sub new {
    my ($class, $t, %o) = @_;
    return bless { t => $t, lost => 0, %o }, $class;
}


sub nginx {
    my ($self, %o) = @_;

    $o{http} = 'app_permission_flush 1s; ' . ($o{http} // '');
    $self->{t}->nginx(workers => 2, %o, server => <<'EOS');
        %%DECISION%%
        app_permission required;

        location = /a {
            app_permission_cache_valid 1s denied=1s;
            access_log %%DIR%%/times.log perm_times;
            empty_gif;
        }
        location = /fresh {
            app_permission_cache_valid 0s denied=0s;
            app_permission_cache_stale off;
            app_permission_record off;
            empty_gif;
        }
        location = /long {
            app_permission_cache_valid 1h denied=1h;
            app_permission_record off;
            empty_gif;
        }
EOS
    return $self;
}


# is every one of these decided by an answer of Redis, and changes pushed?

sub normal {
    my ($self, $since, $limit, @apps) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $got;
    ok wait_for(sub {
        my $s = $self->{t}->status;
        return 0 unless $s->{redis}{up} && $s->{invalidation}{active};
        for my $app (@apps) {
            $got = Perm::Test::outcome($app, '/fresh');
            return 0 if $got ne "$ALLOW MISS";
        }
        return 1;
    }, $limit + 5), 'normal again' or diag $got // 'status';
    $self->{t}->soon($since, $limit);
}


# app => newest second it was allowed in

sub logged {
    my ($self) = @_;
    my %newest;

    for (split /\n/, slurp("$self->{t}{dir}/times.log")) {
        my ($second, $app) = /^(\d+)\.\d+ (\S+) allow$/ or next;
        $newest{$app} = $second if $second > ($newest{$app} // 0);
    }
    return \%newest;
}


# A worker that was killed may have recorded one and not have logged it: a
# request of that app has no answer then, and is the newest one.

sub exactly {
    my ($self, $seen) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $newest = $self->logged;
    my $scores = $self->{redis}->()->accesses(@{$self->{apps}});
    my @wrong;

    for my $app (@{$self->{apps}}) {
        my ($new, $score) = ($newest->{$app} // 0, $scores->{$app} // 0);
        my $lost = $seen->{lost_app}{$app};
        push @wrong, "$app: $score, not $new" unless $score eq $new
            || $lost && $score > $new && $score >= int $lost
               && $score <= $lost + 1;
    }
    is join("\n", @wrong), '', 'exactly the newest seconds';
    cmp_ok scalar(keys %$newest), '>=', @{$self->{apps}}, '... of all apps';
}


sub under_load {
    my ($self, $what, $happens, %o) = @_;

    subtest $what => sub {
        my $t = $self->{t};
        my $apps = $self->{apps};
        Perm::Test::outcome($_) for @$apps;

        my $begun = time;
        my $load = $t->load($apps, connections => 6, rate => $o{rate} // 400);
        my $more = sub { ok $load->more($_[0]), 'requests go on' };
        $more->(400);
        $happens->($more);
        $more->(400);
        my $seen = $load->stop;

        my %failed = map { $_ => $seen->{outcome}{$_} }
            grep { !/^\Q$ALLOW\E/ } keys %{$seen->{outcome}};
        is_deeply \%failed, {}, "none of $seen->{n} failed";
        cmp_ok $seen->{lost}, '<=', $o{lost} // $self->{lost},
            'none without an answer';
        cmp_ok $seen->{worst}, '<', ($o{worst} // 2) + $t->{late}->since($begun),
            sprintf 'the slowest took %.2f s', $seen->{worst};
        note explain $seen->{outcome};

        ok $t->flushed, 'all accesses are written';
        $self->exactly($seen);
        is $t->status->{access}{dropped}, 0, 'none dropped';
    };
}


1;

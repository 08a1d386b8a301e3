package Perm::Watch;

# What counts when servers change under load: no request of a known app fails,
# no access is lost, and it is soon normal again.
#
#   my $w = Perm::Watch->new($t,
#       apps => [...], scores => sub { {app => ZSCORE of its access} });
#   $w->nginx(redis => $url, http => '...', workers => 2);
#   $w->under_load('what', sub { my ($more) = @_; ...; $more->(500); ... });
#
# Locations: /a (asks after a second), /fresh (always asks), /long (cached for
# an hour).  Only accesses of /a count.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);

use Perm::Late;
use Perm::Load;
use Perm::Util qw(wait_for slurp);

our $ALLOW = '200 allow/resource_grant';


sub new {
    my ($class, $t, %o) = @_;
    return bless { t => $t, apps => $o{apps}, scores => $o{scores},
                   late => Perm::Late->start($t->{dir}) }, $class;
}


sub nginx {
    my ($self, %o) = @_;

    $self->{t}->nginx(workers => 2, %o, setup => <<"EOT", server => <<'EOS');
    app_permission_redis $o{redis};
    app_permission_app \$http_x_app;
    app_permission_gateway smoke;
    app_permission_resource get_user;
    app_permission_flush 1s;
    log_format times '\$msec \$http_x_app \$app_permission_decision';
EOT
        add_header X-Decision
 "$app_permission_decision/$app_permission_reason $app_permission_cache" always;
        app_permission required;

        location = /a {
            app_permission_cache_valid 1s denied=1s;
            access_log %%DIR%%/times.log times;
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


sub outcome {
    my ($self, $uri, $app) = @_;
    my $r = $self->{t}->get($uri, app => $app);
    return "$r->{status} " . ($r->{headers}{'x-decision'} // '');
}


# is every one of these decided by an answer of Redis, and changes pushed?

sub normal {
    my ($self, $since, $limit, @apps) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $got;
    my $ok = wait_for(sub {
        my $s = $self->{t}->status;
        return 0 unless $s->{redis}{up} && $s->{invalidation}{active};
        for my $app (@apps) {
            $got = $self->outcome('/fresh', $app);
            return 0 if $got ne "$ALLOW MISS";
        }
        return 1;
    }, $limit + 5);
    my $took = time - $since;
    my $late = $self->{late}->since($since);

    ok $ok, 'normal again' or diag $got // 'status';
    cmp_ok $took, '<', $limit + $late, '... soon enough';
    diag sprintf 'normal after %.2f s', $took;
    diag sprintf 'of which %.2f s are the machine\'s', $late if $late;
    return $took;
}


sub logged {
    my ($self) = @_;
    my %newest;

    for (split /\n/, slurp("$self->{t}{dir}/times.log")) {
        my ($second, $app) = /^(\d+)\.\d+ (\S+) allow$/ or next;
        $newest{$app} = $second if $second > ($newest{$app} // 0);
    }
    return \%newest;
}


sub written {
    my ($self) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok wait_for(sub { $self->{t}->status->{access}{pending} == 0 }, 15),
        'all accesses are written';
    my $newest = $self->logged;
    my $scores = $self->{scores}->();
    my @wrong = map { "$_: " . ($scores->{$_} // 'none') . ", not $newest->{$_}" }
        grep { ($scores->{$_} // 0) ne $newest->{$_} } sort keys %$newest;

    is scalar @wrong, 0, 'exactly the newest seconds of '
        . keys(%$newest) . ' apps' or diag join "\n", @wrong[0 .. 5];
    is $self->{t}->status->{access}{dropped}, 0, 'none dropped';
}


sub under_load {
    my ($self, $what, $happens, %o) = @_;

    subtest $what => sub {
        my $t = $self->{t};
        diag $what;
        $self->outcome('/a', $_) for @{$self->{apps}};

        my $begun = time;
        my $load = Perm::Load->start($t, uri => '/a', apps => $self->{apps},
                                     connections => 6, rate => $o{rate} // 400);
        my $more = sub {
            my $n = $load->n + $_[0];
            ok wait_for(sub { $load->n > $n }, 20), 'requests go on';
        };
        $more->(400);
        $happens->($more);
        $more->(400);
        my $seen = $load->stop;

        my %failed = map { $_ => $seen->{outcome}{$_} }
            grep { !/^\Q$ALLOW\E/ } keys %{$seen->{outcome}};
        is_deeply \%failed, {}, "none of $seen->{n} failed"
            or diag explain $seen->{outcome};
        is $seen->{lost}, 0, 'none without an answer';
        my $late = $self->{late}->since($begun);
        cmp_ok $seen->{worst}, '<', ($o{worst} // 2) + $late,
            sprintf 'the slowest took %.2f s', $seen->{worst};
        note explain $seen->{outcome};
        $self->written;
    };
}


1;

package Perm::Table;

# The grant table and the accesses, in a Perm::Redis or a Perm::Cluster alike.
#
#   $redis->load;                                  # marks it as loaded
#   $redis->grant('smoke', 'get_user', 'demo', time + 60);    # undef resource:
#   $redis->revoke('smoke', undef, 'demo');                   #  whole gateway
#   $redis->value('smoke', 'get_user', 'demo');    # as it is stored
#   $redis->used('smoke', 'get_user', 'demo', $second);       # an access
#   $redis->access('smoke', 'get_user', 'demo');   # its second, or undef
#
#   $redis->allow(@apps);       # each may call smoke, get_user for an hour
#   $redis->forbid(@apps);      # ... or may not any more
#   $redis->accesses(@apps);    # of smoke, get_user: app => second
#
#   $redis->key('grants', $app, $gateway)          # smoke where there is none
#   $redis->at($key, 'HGET', ...)                  # one command
#   $redis->each([$key, 'HGET', ...], ...)         # many; errors are objects

use strict;
use warnings;

our $PREFIX = 'app_permission:';


sub prefix { (ref $_[0] ? $_[0]{prefix} : undef) // $PREFIX }

sub key {
    my ($self, $kind, $app, $gateway) = @_;
    return $self->prefix . "$kind:{" . ($gateway // 'smoke') . ":$app}";
}


sub load {
    my ($self) = @_;
    $self->at($self->prefix . 'meta', 'HSET', 'schema', '1');
    return $self;
}


# $expires may be a whole JSON value as well

sub grant {
    my ($self, $gateway, $resource, $app, $expires, %more) = @_;

    my $value = $expires =~ /^\d+$/
        ? sprintf('{"expires":%s%s}', $expires, join '',
                  map { qq(,"$_":$more{$_}) } sort keys %more)
        : $expires;
    $self->at($self->key('grants', $app, $gateway), 'HSET', $resource // '-',
              $value);
    return $self;
}

sub revoke {
    my ($self, $gateway, $resource, $app) = @_;
    return $self->at($self->key('grants', $app, $gateway), 'HDEL',
                     $resource // '-');
}

sub value {
    my ($self, $gateway, $resource, $app) = @_;
    return $self->at($self->key('grants', $app, $gateway), 'HGET',
                     $resource // '-');
}


sub used {
    my ($self, $gateway, $resource, $app, $at) = @_;
    return $self->at($self->key('access', $app, $gateway), 'ZADD', $at,
                     $resource);
}

sub access {
    my ($self, $gateway, $resource, $app) = @_;
    return $self->at($self->key('access', $app, $gateway), 'ZSCORE',
                     $resource);
}


sub allow {
    my ($self, @apps) = @_;
    my $ends = int(time) + 3600;
    $self->each(map { [$self->key('grants', $_), 'HSET', 'get_user', $ends] }
                    @apps);
    return $self;
}

sub forbid {
    my ($self, @apps) = @_;
    $self->each(map { [$self->key('grants', $_), 'HDEL', 'get_user'] } @apps);
    return $self;
}

sub accesses {
    my ($self, @apps) = @_;
    my @second = $self->each(map { [$self->key('access', $_), 'ZSCORE',
                                    'get_user'] } @apps);
    return { map { defined $second[$_] && !ref $second[$_]
                       ? ($apps[$_] => $second[$_]) : () } 0 .. $#apps };
}


1;

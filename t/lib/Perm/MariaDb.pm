package Perm::MariaDb;

# A real MariaDB in a directory of its own, reached by a unix socket.
#
#   my $db = Perm::MariaDb->start(dir => $dir);
#   $db->sql('CREATE TABLE ...; INSERT ...');     # dies on an error
#   my @rows = $db->rows('SELECT a, b FROM t');   # array references
#   $db->{conf}                                   # for --defaults-extra-file
#   $db->{name}                                   # of the database

use strict;
use warnings;

use Perm::Util qw(wait_for reap spawn slurp spew);


sub start {
    my ($class, %o) = @_;
    my $dir = $o{dir};
    my $self = bless { dir => $dir, socket => "$dir/db.sock",
                       conf => "$dir/client.cnf", name => 'bk_apigateway',
                       owner => $$ }, $class;
    mkdir $dir;

    my $log = "$dir/db.log";
    my @where = ('--no-defaults', "--datadir=$dir/data", '--user=root',
                 '--innodb-log-file-size=16M');

    my $status = reap(spawn($log, 'mariadb-install-db', @where,
        '--auth-root-authentication-method=normal', '--skip-test-db'), 60);
    die "mariadb-install-db failed:\n" . slurp($log)
        if !defined $status || $status;

    $self->{pid} = spawn($log, '/usr/sbin/mariadbd', @where,
        "--socket=$self->{socket}", '--skip-networking', '--skip-log-bin',
        '--innodb-flush-log-at-trx-commit=0');

    spew($self->{conf}, "[client]\nuser=root\nsocket=$self->{socket}\n");

    wait_for(sub { -S $self->{socket} && $self->client('SELECT 1', 'mysql') },
             30)
        or die "no MariaDB:\n" . slurp($log);
    $self->client("CREATE DATABASE $self->{name} CHARACTER SET utf8mb4",
                  'mysql');
    return $self;
}


# 1: it went well; what it said is in $self->{said}

sub client {
    my ($self, $sql, $database) = @_;
    my ($in, $out) = map { "$self->{dir}/client.$_" } qw(sql out);

    spew($in, $sql);
    my $status = system "mariadb --defaults-extra-file=$self->{conf} -N -B"
        . " --default-character-set=utf8mb4"
        . " @{[$database // $self->{name}]} < $in > $out 2>&1";
    $self->{said} = slurp($out);
    return $status == 0;
}


sub sql {
    my ($self, $sql) = @_;
    $self->client($sql) or die "$self->{said}\nof: " . substr($sql, 0, 500);
    return $self;
}


sub rows {
    my ($self, $sql) = @_;
    $self->sql($sql);
    return map { [split /\t/, $_, -1] } split /\n/, $self->{said};
}


sub DESTROY {
    my ($self) = @_;
    return unless $self->{owner} == $$ && $self->{pid};
    local ($?, $!);
    kill 'TERM', $self->{pid};
    kill 'KILL', $self->{pid} unless defined reap($self->{pid}, 10);
}

1;

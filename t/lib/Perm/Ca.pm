package Perm::Ca;

# Throw-away certificate authorities, and what they sign, in a directory.
#
#   my $ca = Perm::Ca->new("$t->{dir}/tls");   # files go there
#   $ca->authority('ca');                      # ca.crt, ca.key
#   $ca->certificate('good', 'ca', 'DNS:localhost,IP:127.0.0.1');
#   $ca->expired('old', 'ca', 'DNS:localhost');
#   $ca->self_signed('self', 'DNS:localhost');
#   $ca->file('good.crt');
#   $ca->redis_conf('good', 'ca', $port, 'yes')   # conf of Perm::Redis; whether
#                                              #   clients need a certificate

use strict;
use warnings;

use Perm::Util qw(spew);

my $KEY = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';


sub new {
    my ($class, $dir) = @_;
    mkdir $dir;
    chmod 0755, $dir;
    return bless { dir => $dir }, $class;
}


sub file { "$_[0]{dir}/$_[1]" }


sub openssl {
    my ($self, $args) = @_;
    my $text = `cd $self->{dir} && openssl $args 2>&1`;
    die "openssl $args: $text" if $?;
}


sub request {
    my ($self, $name, $san) = @_;
    $self->openssl("req $KEY -keyout $name.key"
        . " -out $name.csr -subj /CN=$name -addext subjectAltName=$san");
}


sub authority { $_[0]->self_signed($_[1]) }

sub self_signed {
    my ($self, $name, $san) = @_;
    $self->openssl("req -x509 $KEY -keyout $name.key -out $name.crt -days 30"
        . " -subj /CN=$name" . ($san ? " -addext subjectAltName=$san" : ''));
}


sub certificate {
    my ($self, $name, $ca, $san) = @_;
    $self->request($name, $san);
    spew($self->file("$name.ext"), "subjectAltName=$san\n");
    $self->openssl("x509 -req -in $name.csr -CA $ca.crt -CAkey $ca.key"
        . " -CAcreateserial -out $name.crt -extfile $name.ext -days 30");
}


# only "openssl ca" takes both dates

sub expired {
    my ($self, $name, $ca, $san) = @_;
    my $dir = $self->{dir};

    spew("$dir/index.txt", '');
    spew("$dir/serial", "77\n");
    spew("$dir/ca.cnf", <<"EOT");
[ca]
default_ca = d
[d]
database = $dir/index.txt
serial = $dir/serial
new_certs_dir = $dir
default_md = sha256
policy = p
copy_extensions = copy
[p]
commonName = supplied
EOT
    $self->request($name, $san);
    $self->openssl("ca -batch -config ca.cnf -cert $ca.crt -keyfile $ca.key"
        . " -in $name.csr -out $name.crt -notext"
        . " -startdate 20200101000000Z -enddate 20200201000000Z");
}


sub redis_conf {
    my ($self, $name, $ca, $port, $clients) = @_;
    return ["tls-port $port", "tls-cert-file $self->{dir}/$name.crt",
        "tls-key-file $self->{dir}/$name.key",
        "tls-ca-cert-file $self->{dir}/$ca.crt",
        'tls-auth-clients ' . ($clients // 'no')];
}


1;

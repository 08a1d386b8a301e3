package Perm::Frames;

# The frames of Redis's protocol, out of a buffer that is filled bit by bit.
#
#   more($socket, \$buffer)            # reads what has come; 0: the end
#   my ($raw, @words) = take_command(\$buffer);    # the next whole command
#   my $raw = take_reply(\$buffer);    # ... reply; undef when not all is there
#   bulk('text')                       # a reply to write

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(more take_command take_reply bulk);


sub bulk { defined $_[0] ? '$' . length($_[0]) . "\r\n$_[0]\r\n" : "\$-1\r\n" }

sub more { sysread $_[0], ${$_[1]}, 65536, length ${$_[1]} }


sub take_command {
    my ($buffer) = @_;

    $$buffer =~ /\A\*(\d+)\r\n/ or return;
    my ($n, $at, @words) = ($1, $+[0]);

    for (1 .. $n) {
        substr($$buffer, $at) =~ /\A\$(\d+)\r\n/ or return;
        my ($size, $skip) = ($1, $+[0]);
        return if length $$buffer < $at + $skip + $size + 2;
        push @words, substr $$buffer, $at + $skip, $size;
        $at += $skip + $size + 2;
    }

    return (substr($$buffer, 0, $at, ''), @words);
}


sub take_reply {
    my ($buffer) = @_;
    my $size = reply_size($$buffer, 0) or return undef;
    return substr $$buffer, 0, $size, '';
}


# how many bytes the reply at $at has, 0 when not all are there

sub reply_size {
    my ($bytes, $at) = @_;

    substr($bytes, $at) =~ /\A([-+:\$*])([^\r]*)\r\n/ or return 0;
    my ($type, $n, $size) = ($1, $2, $+[0]);
    return $size if $type =~ /[-+:]/ || $n < 0;

    if ($type eq '$') {
        return length $bytes < $at + $size + $n + 2 ? 0 : $size + $n + 2;
    }

    for (1 .. $n) {
        my $part = reply_size($bytes, $at + $size) or return 0;
        $size += $part;
    }
    return $size;
}


1;

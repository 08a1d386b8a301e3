#!/usr/bin/perl

# A module that was built for another layout of nginx's structures is refused:
# nginx's own signature does not tell of patches.  abi.c compares; here it is
# compiled against headers with patches, and the rest of the module as it is.

use Perm::Test;
use Perm::Util qw(build_dir);

my $tree = build_dir() . '/nginx';
my $objs = "$tree/objs";

plan skip_all => 'the module is not a file of its own, built by "make"'
    unless $Perm::Nginx::MODULE eq build_dir()
               . '/ngx_http_app_permission_module.so' && -d "$objs/addon";

my $t = Perm::Test->new;
my $dir = $t->dir;
my %server = (server => 'location = /a { empty_gif; }');

sub sh {
    my $said = `$_[0] 2>&1`;
    is $?, 0, 'it compiles' or diag "$_[0]\n$said";
}

my ($cflags, $libs) = do {
    my $make = slurp("$objs/Makefile");
    ($make =~ /^CFLAGS = (.*)$/m, $make =~ /(-l:libhiredis\.a.*-lm\b)/);
};

sh("mkdir $dir/tree && cp -rL $tree/src $dir/tree/ && cp $objs/*.h $dir/tree");
my @objects = grep { !m{/module/abi\.o$} } glob("$objs/addon/*/*.o"),
    "$objs/ngx_http_app_permission_module_modules.o";
sh("ld -r -o $dir/rest.o @objects");


# the module, with a line put behind the one that matches in that header, or
# without that line

sub build {
    my ($header, $behind, $line) = @_;
    my $file = "$dir/tree/src/$header";
    my $text = slurp($file);

    if ($header) {
        my $patched = $text;
        $patched =~ s/^(.*$behind.*\n)/defined $line ? "$1$line\n" : ''/me
            or die "$behind in $header";
        chmod 0644, $file;
        spew($file, $patched);
    }
    sh("cc -c -o $dir/abi.o $cflags -fPIC -I$Perm::Test::ROOT/src "
       . "-I$dir/tree " . join(' ', map { "-I$dir/tree/src/$_" }
           qw(core event event/modules event/quic os/unix http http/modules
              http/v2 http/v3))
       . " $Perm::Test::ROOT/src/module/abi.c");
    sh("cc -shared -o $dir/module.so $dir/rest.o $dir/abi.o "
       . ($libs // '-l:libhiredis.a -lcjson -lm'));
    spew($file, $text) if $header;
    $Perm::Nginx::MODULE = "$dir/module.so";
}


subtest 'built like this, and for this nginx' => sub {
    build('');
    my ($status, $said) = $t->config(%server)->check;
    is $status, 0, 'it loads' or diag $said;
};


for (['ngx_event_t', 'one bit more, as in OpenResty',
      'event/ngx_event.h', 'unsigned +resolver:1', 'unsigned skip:1;'],
     ['ngx_event_t', 'a field in the middle',
      'event/ngx_event.h', 'ngx_log_t +\*log;', 'void *more;'],
     ['ngx_event_t', 'a field at the end',
      'event/ngx_event.h', 'ngx_queue_t +queue;', 'void *more;'],
     ['ngx_connection_t', 'a field in the middle',
      'core/ngx_connection.h', 'ngx_proxy_protocol_t', 'void *more;'],
     ['ngx_connection_t', 'a field at the end',
      'core/ngx_connection.h', 'ngx_thread_task_t', 'void *more;'],
     ['ngx_http_request_t', 'a header that came in',
      'http/ngx_http_request.h', 'ngx_table_elt_t +\*referer;',
      'ngx_table_elt_t *more;'],
     ['ngx_http_request_t', 'a field',
      'http/ngx_http_request.h', '\*postponed;', 'void *more;'],
     ['ngx_http_request_t', 'one bit more, as in OpenResty',
      'http/ngx_http_request.h', 'unsigned +filter_finalize:1;',
      'unsigned lua_subrequest:1;'],
     ['ngx_http_request_t', 'one bit more, late',
      'http/ngx_http_request.h', 'unsigned +request_output:1;',
      'unsigned more:1;'],
     ['ngx_http_core_loc_conf_t', 'a field',
      'http/ngx_http_core_module.h', 'keepalive_timeout;', 'void *more;'],
     ['ngx_http_core_main_conf_t', 'a field',
      'http/ngx_http_core_module.h', 'variables_hash_max_size;',
      'void *more;'],
     ['ngx_core_conf_t', 'a field, as in OpenResty',
      'core/ngx_cycle.h', 'ngx_flag_t +master;',
      'ngx_flag_t privileged_agent;'],
     ['ngx_cycle_t', 'a field',
      'core/ngx_cycle.h', 'log_use_stderr;', 'void *more;'],
     ['ngx_event_t', 'one bit less: that nginx has more of them',
      'event/ngx_event.h', 'unsigned +resolver:1'],
     ['ngx_connection_t', 'a field less',
      'core/ngx_connection.h', 'ngx_udp_connection_t +\*udp;'],
     ['ngx_http_request_t', 'one bit less',
      'http/ngx_http_request.h', 'unsigned +post_action:1;'],
     ['ngx_ssl_connection_t', 'a field in the middle',
      'event/ngx_event_openssl.h', 'ngx_event_handler_pt +saved_write_handler',
      'void *more;'],
     ['ngx_ssl_connection_t', 'one bit more',
      'event/ngx_event_openssl.h', 'unsigned +handshaked:1;',
      'unsigned more:1;'],
     ['ngx_ssl_t', 'a field',
      'event/ngx_event_openssl.h', 'ngx_log_t +\\*log;', 'void *more;'],
     ['ngx_shm_zone_t', 'a field',
      'core/ngx_cycle.h', '\*tag;', 'void *more;'])
{
    my ($type, $name, @patch) = @$_;

    subtest "$type: $name" => sub {
        build(@patch);
        $t->refuses('another layout', qr/was built from another source than this nginx: "$type" has another layout.*Build it with the source/,
            %server);
    };
}

done_testing;

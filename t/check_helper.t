#!/usr/bin/perl

# A process that listens and is no worker, as the privileged agent of
# OpenResty: it has no state of a worker.  Here another module makes one of a
# worker, before the module sees it.

use Perm::Test;
use Perm::Util qw(build_dir);

my $tree = build_dir() . '/nginx';

plan skip_all => 'the module is not a file of its own, built by "make"'
    unless $Perm::Nginx::MODULE eq build_dir()
               . '/ngx_http_app_permission_module.so' && -d "$tree/objs";

my $t = Perm::Test->new;
my $redis = $t->redis->load->allow('demo');
my $dir = $t->dir;

spew("$dir/helper.c", <<'EOT');
#include <ngx_config.h>
#include <ngx_core.h>

static ngx_int_t helper(ngx_cycle_t *cycle)
{
    ngx_process = NGX_PROCESS_HELPER;
    return NGX_OK;
}

static ngx_core_module_t ctx = { ngx_string("helper"), NULL, NULL };

ngx_module_t ngx_helper_module = {
    NGX_MODULE_V1, &ctx, NULL, NGX_CORE_MODULE,
    NULL, NULL, helper, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING
};

ngx_module_t *ngx_modules[] = { &ngx_helper_module, NULL };
char *ngx_module_names[] = { "ngx_helper_module", NULL };
char *ngx_module_order[] = { NULL };
EOT

my ($cflags) = slurp("$tree/objs/Makefile") =~ /^CFLAGS = (.*)$/m;
is system("cd $tree && cc -shared -fPIC $cflags -o $dir/helper.so "
    . join(' ', map { "-I $_" } qw(src/core src/event src/event/quic src/os/unix
                                      objs))
    . " $dir/helper.c"), 0, 'it compiles';

$Perm::Nginx::MODULE = "$dir/helper.so;\nload_module $Perm::Nginx::MODULE";

$t->nginx(server => <<'EOT');
        location = /a       { app_permission required; empty_gif; }
        location = /dry     { app_permission required; empty_gif;
                              app_permission_dry_run on; }
        location = /allow   { app_permission required; empty_gif;
                              app_permission_on_error allow; }
        location = /open    { app_permission open; empty_gif; }
        location = /off     { empty_gif; }
        location /decide    { app_permission required;
                              app_permission_decide; }
        location /asks      { auth_request /decide; empty_gif; }
        location = /self    { app_permission open;
                              app_permission_self apply; }
EOT

my ($worker) = $t->{nginx}->workers;

sub code { $t->get(@_, app => 'demo')->{status} }

subtest 'a checked request gets 503' => sub {
    my $r = $t->get('/a', app => 'demo');
    is $r->{status}, 503, 'the check';
    is json($r->{body})->{code}, 1650300, 'as section 4 has it';
    is code('/a'), 503, 'again';
    is $t->get('/a')->{status}, 503, 'no app';
    is $t->get('/a', app => 'a b')->{status}, 503, 'an invalid one';
    is code('/open'), 503, 'an open policy';
    is code('/allow'), 503, 'app_permission_on_error allow';
    is code('/off'), 200, 'not our business';
    is code('/dry'), 200, 'a dry run goes on';
    is code('/a', method => 'POST', body => 'x' x 51200), 503, 'a body';
};

subtest 'the decision, and an app\'s own' => sub {
    is code('/decide'), 503, 'the decision';
    is code('/asks'), 500, 'auth_request';
    is code('/self'), 503, 'GET';
    is code('/self', method => 'POST',
        body => '{"resources":["get_user"],"days":1,"reason":"x"}'), 503,
        'POST';
};

subtest 'the status' => sub {
    for my $uri ('/status', '/status?format=prometheus', '/status?format=html',
                 '/status/explain?gateway=smoke&resource=get_user&app=demo',
                 '/status/lists', '/status/nothing') {
        like code($uri), qr/^(200|404|503)$/, $uri;
    }
};

is_deeply [$t->{nginx}->workers], [$worker], 'the process lives';
is $t->reload, 1, 'and can be replaced';
is code('/a'), 503, 'by another one';

done_testing;

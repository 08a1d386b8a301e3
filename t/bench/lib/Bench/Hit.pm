package Bench::Hit;

# What a check costs when its answer is cached, in instructions.

use strict;
use warnings;

use Bench;
use Bench::Cost;
use Bench::Lua;


sub run {
    section('A cache hit, instructions per request on top of an unprotected '
            . 'location');
    plain();
    references();
}


# One process; and a flush so rare that none is among what is counted.

sub measure {
    my ($b, $directives, %o) = @_;

    $b->config(zone => '4m', %o,
        main => "master_process off;\ndaemon off;\n",
        http => "app_permission_flush 1h;\n" . ($o{http} // ''),
        server => Bench::Cost::location($directives) . ($o{server} // ''));
    return Bench::Cost::per_request($b);
}


sub plain {
    my $b = Bench->new;
    $b->grants(0, 2);

    my ($base, $before) = measure($b, '');
    my ($hit, $calls, @files) = measure($b, 'app_permission required;');
    my $unrecorded = measure($b,
        'app_permission required; app_permission_record off;');
    my $auth = measure($b, 'auth_request /auth;', server =>
        "        location = /auth {\n            return 204;\n        }\n");

    my $functions = Bench::Cost::functions_per_request(@files, 1);
    my $counting = 0;
    $counting += $functions->{$_} // 0 for qw(perm_metrics_start
        perm_metrics_count);

    row('the unprotected location itself', commas($base));
    row('the whole check', commas($hit - $base), '<= 1,000',
        $hit - $base <= 1000);
    row('  of it, recording the access', commas($hit - $unrecorded), '<= 100',
        $hit - $unrecorded <= 100);
    row('  of it, counting for the status', commas($counting), '<= 40',
        $counting > 0 && $counting <= 40);
    row('  calls of malloc and free that it adds',
        decimals(abs($calls - $before)), '0.00', abs($calls - $before) < 0.005);
    row('reference: auth_request to return 204', commas($auth - $base));
}


sub references {
    my $b = Bench->new;
    $b->grants(0, 2);

    my @lua = (lua => 1, http => Bench::Lua::http($b));
    my ($base, $empty, $warm) = map { scalar measure($b, $_, @lua) }
        '', 'access_by_lua_block { }',
        'access_by_lua_block { permission.check(true) }';

    row('reference: empty access_by_lua_block', commas($empty - $base));
    row('reference: the check in Lua, warm lua-resty-lrucache',
        commas($warm - $base));
}


1;

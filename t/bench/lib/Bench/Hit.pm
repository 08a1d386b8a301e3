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

sub configure {
    my ($b, %o) = @_;

    return $b->config(zone => '4m', %o,
        main => "master_process off;\ndaemon off;\n",
        http => "app_permission_flush 1h;\n" . ($o{http} // ''));
}


sub plain {
    my $b = Bench->new;
    $b->grants(0, 2);

    configure($b, server => $Bench::PROTECTED . <<'EOT');
        location = /unrecorded {
            app_permission required;
            app_permission_record off;
            empty_gif;
        }
        location = /auth {
            return 204;
        }
        location = /auth_request {
            auth_request /auth;
            empty_gif;
        }
EOT
    my $base = Bench::Cost::per_request($b, '/unprotected');
    my ($hit, @files) = Bench::Cost::per_request($b, '/protected');
    my $unrecorded = Bench::Cost::per_request($b, '/unrecorded');
    my $auth = Bench::Cost::per_request($b, '/auth_request');

    my $functions = Bench::Cost::functions_per_request(@files, 1);
    my $counting = 0;
    $counting += $functions->{$_} // 0 for qw(perm_account_start
        perm_account_count perm_account_note);

    row('the unprotected location itself', commas($base));
    row('the whole check', commas($hit - $base), '<= 1,000',
        $hit - $base <= 1000);
    row('  of it, recording the access', commas($hit - $unrecorded), '<= 100',
        $hit - $unrecorded <= 100);
    row('  of it, counting for the status', commas($counting), '<= 40',
        $counting > 0 && $counting <= 40);
    row('reference: auth_request to return 204', commas($auth - $base));
}


sub references {
    my $b = Bench->new;
    $b->grants(0, 2);

    configure($b, lua => 1, http => Bench::Lua::http($b),
        server => $Bench::PROTECTED . Bench::Lua::server());

    my $base = Bench::Cost::per_request($b, '/unprotected');
    my $empty = Bench::Cost::per_request($b, '/lua_empty');
    my $warm = Bench::Cost::per_request($b, '/lua_cached');

    row('reference: empty access_by_lua_block', commas($empty - $base));
    row('reference: the check in Lua, warm lua-resty-lrucache',
        commas($warm - $base));
}


1;

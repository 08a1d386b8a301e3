package Bench::Gateways;

# What the decision costs where the check cannot stand in the way: asked by
# auth_request, and by a capture of Lua.  Instructions of a hit, and how many
# misses a worker can do.

use strict;
use warnings;

use Bench;
use Bench::Hit;

our ($PAIRS, $SECONDS) = (3, 2);

my $CAPTURE = <<'EOT';
            access_by_lua_block {
                local r = ngx.location.capture("/decide")
                if r.status ~= 200 then
                    return ngx.exit(r.status)
                end
            }
EOT

my $DECIDE = <<'EOT';
        location = /decide {
            app_permission required;
            app_permission_decide;
        }
EOT


sub run {
    section('The decision by another way than the check, instructions per '
            . 'request on top of an unprotected location');
    hits();
    section('Every request a miss, 1 worker, 64 connections, by the same ways');
    misses();
}


sub hits {
    my $b = Bench->new;
    $b->grants(0, 2);

    my @o = (lua => 1, server => $DECIDE);
    my ($base, $check, $auth, $capture) =
        map { scalar Bench::Hit::measure($b, $_, @o) }
        '', 'app_permission required;', 'auth_request /decide;', $CAPTURE;

    row('the check in the way', commas($check - $base));
    row('auth_request to the decision', commas($auth - $base));
    row('a capture of the decision', commas($capture - $base));
}


sub misses {
    my $b = Bench->new;
    my $misses = "            app_permission required;\n"
        . "            app_permission_record off;\n"
        . "            app_permission_cache_valid 0 denied=0;\n";
    my @ways = (['the check in the way', '/check'],
                ['auth_request to the decision', '/auth'],
                ['a capture of the decision', '/capture']);

    $b->grants(0, 100_000);
    $b->nginx(lua => 1, http => 'app_permission_lookup_limit off;',
        server => <<"EOT");
        location = /decide {
$misses            app_permission_decide;
        }
        location = /check {
$misses            empty_gif;
        }
        location = /auth {
            auth_request /decide;
            empty_gif;
        }
        location = /capture {
$CAPTURE            empty_gif;
        }
EOT
    $b->ways($PAIRS, $SECONDS, @ways);
}


1;

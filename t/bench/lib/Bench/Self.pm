package Bench::Self;

# app_permission_self beside a location that is proxied: requests a second and
# p99.  Every app has one grant and no request; each call is a new app's.

use strict;
use warnings;

use Bench;
use Bench::Cost;

our ($PAIRS, $SECONDS) = (3, 2);


sub run {
    section('What an app has (app_permission_self), beside a checked and '
            . 'proxied location, 1 worker, 64 connections');

    row('instructions of a request, app_permission_self',
        commas(instructions('app_permission_self;')));
    row('instructions of a request, a miss, proxied', commas(instructions(
        'app_permission required; app_permission_record off; '
        . 'app_permission_cache_valid 0 denied=0; proxy_pass %%BACKEND%%;')));

    my $b = Bench->new;
    $b->grants(0, 100_000);
    $b->nginx(http => 'app_permission_lookup_limit off;', server => <<'EOT');
        location = /self {
            app_permission_self;
        }
        location = /proxied {
            app_permission required;
            app_permission_record off;
            app_permission_cache_valid 0 denied=0;
            proxy_pass %%BACKEND%%;
        }
EOT

    my @ways = (['app_permission_self', '/self'],
                ['a miss of the check, proxied', '/proxied']);

    $b->ways($PAIRS, $SECONDS, @ways);
}


# the proxied one has those of its backend, too, which is the same process

sub instructions {
    my ($content) = @_;
    my $b = Bench->new;

    $b->grants(0, 2);
    $b->config(zone => '4m', main => "master_process off;\ndaemon off;\n",
        http => "app_permission_flush 1h;\napp_permission_lookup_limit off;",
        server => "$Bench::PROTECTED        location = $Bench::Cost::URI {"
            . " $content }\n");
    return (Bench::Cost::per_request($b))[0];
}


1;

package Bench::Lua;

# The same check in Lua, to compare with: t/bench/permission.lua.

use strict;
use warnings;

use File::Basename ();

use Bench;


sub http {
    my ($b) = @_;
    my $dir = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');

    return <<"EOT";
    lua_package_path "$dir/?.lua;;";
    init_by_lua_block {
        permission = require "permission"
        permission.redis = "unix:$b->{t}{redis}{socket}"
        permission.gateway = "$Bench::GATEWAY"
        permission.resource = "$Bench::RESOURCE"
    }
EOT
}


sub server {
    return <<'EOT';
        location = /lua_miss {
            access_by_lua_block { permission.check(false) }
            empty_gif;
        }
EOT
}


1;

#!/usr/bin/perl

# The bridge to a BlueKing dashboard's database: its permissions become grants,
# accesses renew permissions, and releases become maps for nginx.

use POSIX ();

use Perm::MariaDb;
use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis;
my $db = Perm::MariaDb->start(dir => $t->dir . '/db');
my $sync = "$Perm::Test::ROOT/conf.d/bkapi/sync";

# as much of the dashboard's tables as the statements use; the tables are of
# another character set than the database's default

$db->sql(<<'SQL');
CREATE TABLE core_api (id INT PRIMARY KEY, name VARCHAR(64)) CHARSET utf8mb3;
CREATE TABLE core_stage (id INT PRIMARY KEY AUTO_INCREMENT, api_id INT,
    name VARCHAR(64)) CHARSET utf8mb3;
CREATE TABLE core_release (id INT PRIMARY KEY AUTO_INCREMENT, api_id INT,
    stage_id INT UNIQUE, resource_version_id INT) CHARSET utf8mb3;
CREATE TABLE core_resource (id INT PRIMARY KEY, api_id INT,
    name VARCHAR(256)) CHARSET utf8mb3;
CREATE TABLE core_resource_version (id INT PRIMARY KEY, data LONGTEXT)
    CHARSET utf8mb3;
CREATE TABLE core_released_resource (id INT PRIMARY KEY AUTO_INCREMENT,
    api_id INT, resource_version_id INT, resource_id INT,
    resource_name VARCHAR(256), UNIQUE (resource_version_id, resource_id),
    KEY (resource_id)) CHARSET utf8mb3;
CREATE TABLE permission_app_api (id INT PRIMARY KEY AUTO_INCREMENT,
    bk_app_code VARCHAR(32), api_id INT, expires DATETIME(6),
    grant_type VARCHAR(16) DEFAULT 'apply', KEY (bk_app_code)) CHARSET utf8mb3;
CREATE TABLE permission_app_resource (id INT PRIMARY KEY AUTO_INCREMENT,
    bk_app_code VARCHAR(32), api_id INT, resource_id INT, expires DATETIME(6),
    grant_type VARCHAR(16) DEFAULT 'apply', updated_time DATETIME(6),
    UNIQUE (bk_app_code, resource_id)) CHARSET utf8mb3;
SQL

# bkapi-sync has the rights that its README lists, and no others

my $rights = slurp("$sync/../README.md");
my @grants = $rights =~ /^GRANT .*;$/mg;
$db->sql('CREATE USER bkapi; ' . join ' ', @grants);
our $conf = $t->dir . '/bkapi.cnf';
spew($conf, slurp($db->{conf}) =~ s/user=root/user=bkapi/r);

my $now = int time;

sub datetime { POSIX::strftime('%Y-%m-%d %H:%M:%S', gmtime $_[0]) }

my $versions;

# a release of a stage: [id, name, method, path, open, subpaths], ...

sub release {
    my ($api, $stage, @resources) = @_;
    my $version = ++$versions;

    my $data = JSON::PP->new->utf8->encode([map {
        my ($id, $name, $method, $path, $open, $below) = @$_;
        { id => $id, name => $name, method => $method // 'GET',
          path => $path // '/' . ($name // '') . '/',
          match_subpath => $below ? JSON::PP::true : JSON::PP::false,
          contexts => { resource_auth => { config => JSON::PP->new->encode({
              resource_perm_required =>
                  $open ? JSON::PP::false : JSON::PP::true }) } } }
    } @resources]);
    $data =~ s/([\\'])/\\$1/g;

    my $released = join ',', map {
        my $name = defined $_->[1] ? "'$_->[1]'" : 'NULL';
        "($api, $version, $_->[0], $name)"
    } @resources;

    $db->sql("INSERT INTO core_resource_version VALUES ($version, '$data');
        INSERT INTO core_released_resource
            (api_id, resource_version_id, resource_id, resource_name)
            VALUES $released;
        REPLACE INTO core_release (api_id, stage_id, resource_version_id)
            SELECT $api, id, $version FROM core_stage
            WHERE api_id = $api AND name = '$stage'");
}

sub permit {
    my ($app, $api, $resource, $expires) = @_;
    $expires = defined $expires ? "'$expires'" : 'NULL';
    $db->sql($resource
        ? "INSERT INTO permission_app_resource
           (bk_app_code, api_id, resource_id, expires)
           VALUES ('$app', $api, $resource, $expires)"
        : "INSERT INTO permission_app_api (bk_app_code, api_id, expires)
           VALUES ('$app', $api, $expires)");
}

# exit status, standard output, and what it said

sub sync {
    my (@args) = @_;
    my ($out, $err) = map { $t->dir . "/sync.$_" } qw(out err);
    mkdir $t->dir . '/lock';
    local @ENV{qw(BKAPI_CONF BKAPI_MYSQL_DEFAULTS BKAPI_MYSQL
                  BKAPI_LOCK_DIRECTORY BKAPI_APP_PERMISSION
                  APP_PERMISSION_REDIS)} =
        ('/nonexistent', $conf, 'mariadb', $t->dir . '/lock',
         $Perm::Cli::BINARY, $redis->url);
    my $status = system "$sync/bkapi-sync @args > $out 2> $err";
    return ($status >> 8, slurp($out), slurp($err));
}

sub synced {
    my ($name, @args) = @_;
    my ($status, $out, $err) = sync(@args);
    is $status, 0, $name or diag $err;
    return $err;
}

# 200 or 403, as a gateway would answer

sub status_of {
    my ($gateway, $resource, $app) = @_;
    my ($status) = $t->cli('check', '--gateway', $gateway, '--resource',
                           $resource, '--app', $app);
    return { 0 => 200, 1 => 403 }->{$status} // "exit status $status";
}

my $ends = datetime($now + 100 * 86400);

$db->sql("INSERT INTO core_api VALUES (1, 'smoke'), (2, 'other');
    INSERT INTO core_stage (api_id, name) VALUES
        (1, 'prod'), (1, 'test'), (2, 'prod');
    INSERT INTO core_resource VALUES
        (101, 1, NULL), (102, 1, 'beta'), (103, 1, 'alpha'),
        (105, 1, 'remade'), (107, 1, 'draft'), (201, 2, 'get')");

# alpha (102) and beta (103) are swapped in the editor, not yet published;
# 101 has no name there; 104 is deleted there; 106 was renamed; 107 was never
# published

my @prod = ([101, 'noname'], [102, 'alpha'], [103, 'beta'], [104, 'deleted'],
            [105, 'remade'], [106, 'old_name'], [108, ''], [109, undef],
            [118, 'odd name'], [119, '-']);
release(1, 'prod', @prod);
release(1, 'test', [205, 'remade'], [101, 'noname']);
release(2, 'prod', [201, 'get']);

permit('named', 1, 101, $ends);
permit('swapped', 1, 102, $ends);
permit('deleted', 1, 104, $ends);
permit('renamed', 1, 106, $ends);
permit('drafted', 1, 107, $ends);
permit('remade', 1, 205, $ends);
permit('foreign', 2, 102, $ends);        # a resource of another gateway
permit('elsewhere', 1, 105, $ends);
permit('whole', 1, undef, $ends);
permit('over', 1, 102, datetime($now - 86400));
permit('ever', 1, 102, '2100-01-01 00:00:00');


subtest 'the rows of the table of differences' => sub {
    my $said = synced('the first import', 'grants');
    like $said, qr/import/, 'says what it did';

    my @cases = (
        ['no name in the editor', 'smoke/prod', 'noname', 'named', 200],
        ['... and nowhere else', 'smoke/prod', 'alpha', 'named', 403],
        ['a resource of another gateway', 'smoke/prod', 'alpha', 'foreign',
         403],
        ['... nor there', 'other/prod', 'get', 'foreign', 403],
        ['swapped in the editor', 'smoke/prod', 'alpha', 'swapped', 200],
        ['... the other one', 'smoke/prod', 'beta', 'swapped', 403],
        ['another id in that stage', 'smoke/prod', 'remade', 'remade', 403],
        ['... its own stage', 'smoke/test', 'remade', 'remade', 200],
        ['deleted, still released', 'smoke/prod', 'deleted', 'deleted', 200],
        ['renamed, still released', 'smoke/prod', 'old_name', 'renamed', 200],
        ['never published', 'smoke/prod', 'draft', 'drafted', 403],
        ['a whole gateway', 'smoke/prod', 'alpha', 'whole', 200],
        ['... in each stage', 'smoke/test', 'remade', 'whole', 200],
        ['... of that gateway', 'other/prod', 'get', 'whole', 403],
        ['ended', 'smoke/prod', 'alpha', 'over', 403],
        ['permanent', 'smoke/prod', 'alpha', 'ever', 200]);

    is status_of(@$_[1 .. 3]), $_->[4], $_->[0] for @cases;
};


subtest 'odd rows stop no revocation' => sub {
    permit('', 1, 102, $ends);
    permit('odd code', 1, 102, $ends);
    permit("quo\"te", 1, 102, $ends);
    permit("\xc3\xa9t\xc3\xa9", 1, 102, $ends);
    permit('early', 1, 102, '1969-12-31 23:59:59');
    permit('endless', 1, 102, undef);
    permit('endless', 1, undef, undef);
    permit('unnamed', 1, $_, $ends) for 108, 109, 118, 119;
    permit('oddly', 3, undef, $ends);
    $db->sql("INSERT INTO core_api VALUES (3, 'odd gateway'), (4, 'a/b');
              INSERT INTO core_stage (api_id, name) VALUES
                  (3, 'prod'), (4, 'prod'), (1, ''), (1, 'odd stage')");
    release(@$_, [301, 'odd']) for [3, 'prod'], [4, 'prod'], [1, ''],
                                   [1, 'odd stage'];
    permit('oddly', $_->[0], $_->[1], $ends) for [4, undef], [1, 301];
    $db->sql("DELETE FROM permission_app_resource
              WHERE bk_app_code = 'swapped'");

    my $said = synced('the next import', 'grants');
    is status_of('smoke/prod', 'alpha', 'swapped'), 403, 'revoked';
    is status_of('smoke/prod', 'alpha', 'endless'), 403, 'no end, no grant';
    is status_of('smoke/prod', 'alpha', 'ever'), 200, 'the others stay';
    unlike $said, qr/\b[1-9]\d* (?:bad )?lines? refused/, 'no line was bad';
    is status_of('smoke/prod', 'alpha', 'unnamed'), 403,
        'a resource without a name is not the whole gateway';

    my ($status, $out) = sync('left-out');
    is $status, 0, 'left-out';
    is scalar(my @lines = split /\n/, $out), 15, 'lists all of them'
        or diag $out;
    like $out, qr/^resource\t\d+\tsmoke\tendless\tno end$/m, 'and why';
    like $out, qr/^whole gateway\t\d+\tsmoke\tendless\tno end$/m, 'of both';
    like $out, qr/\tearly\tends before 1970$/m, 'before 1970';
    like $out, qr{^stage\t\d+\ta/b/prod\t\tthe name of the gateway or }m,
        'a gateway with an odd name';
};


subtest 'a table cut short revokes nothing' => sub {
    permit("app$_", 1, 103, $ends) for 1 .. 200;
    synced('200 more', 'grants');

    $db->sql("DELETE FROM permission_app_resource
              WHERE bk_app_code LIKE 'app%'");
    my ($status, undef, $err) = sync('grants');
    is $status, 1, 'refused';
    like $err, qr/--max-removals/, 'and says by what';
    is status_of('smoke/prod', 'beta', 'app1'), 200, 'nothing was revoked';

    local $ENV{BKAPI_MAX_REMOVALS} = 1000;
    synced('told that it is meant', 'grants');
    is status_of('smoke/prod', 'beta', 'app1'), 403, 'revoked';
};


subtest 'a failure changes nothing, and says so' => sub {
    local $conf = "/dev/null";
    local $ENV{MYSQL_UNIX_PORT} = '/nonexistent';
    my ($status, undef, $err) = sync('grants');
    is $status, 3, 'the database is away';
    like $err, qr/nothing was changed/, 'says so';
    is status_of('smoke/prod', 'alpha', 'ever'), 200, 'the grants stay';
};


subtest 'one run at a time' => sub {
    mkdir $t->dir . '/lock';
    my $lock = $t->dir . '/lock/bkapi-sync.grants.lock';
    open my $held, '>', $lock or die;
    flock $held, 2;
    my ($status, undef, $err) = sync('grants');
    is $status, 75, 'the second one gives up';
    like $err, qr/another run goes on/, 'says why';
    close $held;
    is +(sync())[0], 2, 'usage';
    is +(sync('nosuch'))[0], 2, 'an unknown command';
};


subtest 'accesses renew permissions' => sub {
    my $used = $now - 1000;
    $redis->used(@$_, $used)
        for ['smoke/prod', 'alpha', 'ever'], ['smoke/prod', 'noname', 'named'],
            ['smoke/test', 'remade', 'remade'],
            ['smoke/prod', 'remade', 'remade'], ['smoke/prod', 'alpha', 'over'],
            ['smoke/prod', 'draft', 'drafted'],
            ['smoke/prod', 'deleted', 'deleted'],
            ['smoke/prod', 'old_name', 'renamed'],
            ['smoke/test', 'remade', 'elsewhere'],
            ['other/prod', 'alpha', 'foreign'],
            ['smoke/prod', 'alpha', 'foreign'],
            ['smoke/prod', 'noname', 'WHOLE'],
            ['smoke/prod', 'NoName', 'cased'];

    permit('Whole', 1, 101, $ends);       # another app, and another resource
    permit('cased', 1, 101, $ends);
    my %was = map { $_->[0] => $_->[1] } $db->rows(
        'SELECT bk_app_code, expires FROM permission_app_resource');
    like synced('accesses', 'accesses'), qr/renewed 4 of/, 'four are renewed';
    my %is = map { $_->[0] => $_->[1] } $db->rows(
        'SELECT bk_app_code, expires FROM permission_app_resource');
    my $renewed = datetime($used + 180 * 86400) . '.000000';

    is $is{named}, $renewed, 'a term after the last access';
    is $is{remade}, $renewed, 'in its own stage';
    is $is{$_}, $renewed, "$_, still released" for qw(deleted renamed);
    is $is{$_}, $was{$_}, "not $_"
        for qw(ever over drafted elsewhere foreign Whole cased);
    like synced('again', 'accesses'), qr/renewed 0 of/, 'once';
};


# each right is needed by a command, and the user has no other one

subtest 'rights of the database user' => sub {
    my $fails = sub { grep { (sync($_))[0] == 3 } qw(grants accesses) };

    is scalar($fails->()), 0, 'the listed ones are enough';

    for my $grant (@grants) {
        my ($what, $on) = $grant =~ /^GRANT (.*) (ON .*) TO bkapi;$/;
        my @columns = $what =~ /\((.*)\)/ ? split /, /, $1 : ();
        my $verb = $what =~ s/ \(.*//r;

        for my $right (@columns ? map { "$verb ($_)" } @columns : $what) {
            $db->sql("REVOKE $right $on FROM bkapi");
            isnt scalar($fails->()), 0, "needed: $right $on";
            $db->sql("GRANT $right $on TO bkapi");
        }
    }
};


subtest 'maps of the releases' => sub {
    my $dir = $t->dir . '/maps';
    mkdir $dir;
    release(1, 'prod', @prod,
        [110, 'ping', 'GET', '/ping/', 1],
        [111, 'get_user', 'GET', '/users/{id}/'],
        [112, 'me', 'GET', '/users/me/'],
        [113, 'any', 'ANY', '/a.b/'],
        [114, 'below', 'POST', '/files/', 0, 1],
        [115, 'evil', 'GET', '/x" y; } include /etc/passwd; {'],
        [116, 'evil2', 'GET', '/x$uri'],
        [117, 'bad name', 'GET', '/bad']);

    my ($status, undef, $err) = sync('maps', $dir);
    is $status, 1, 'some were left out';
    is scalar(() = $err =~ m{left out: smoke/prod }g), 3 + 4,
        'three paths and four names';
    is slurp("$dir/policies.map"), "smoke/prod/ping open;\n", 'the policies';
    unlike slurp("$dir/resources.conf"), qr/include|x\$/, 'nothing odd';

    $redis->grant('smoke/prod', 'get_user', 'demo', $now + 1000);
    $t->nginx(http => <<"HTTP", setup => <<'SETUP', server => <<'SERVER');
        map \$uri \$bk_gateway {
            volatile;
            default "";
            "~^/api/(?<bk_g>[a-z][a-z0-9-]*/[A-Za-z][A-Za-z0-9_-]*)/" \$bk_g;
        }
        include $dir/resources.conf;
        map \$bk_gateway/\$bk_resource \$bk_policy {
            volatile;
            include $dir/policies.map;
            default required;
        }
HTTP
        app_permission_redis %%REDIS%%;
        app_permission_app $http_x_app;
        app_permission_gateway $bk_gateway;
        app_permission_resource $bk_resource;
SETUP
        app_permission $bk_policy;
        add_header X-Resource $bk_resource always;
        location /api/ { proxy_pass %%BACKEND%%; }
SERVER

    my @cases = (['/ping', 'ping', 200], ['/ping/', 'ping', 200],
                 ['/users/7/', 'get_user', 200], ['/users/7', 'get_user', 200],
                 ['/users/me', 'me', 403], ['/users/7/x', '', 500],
                 ['/a.b', 'any', 403], ['/axb', '', 500],
                 ['/files/x/y', '', 500]);

    for (@cases) {
        my ($path, $resource, $is) = @$_;
        my $r = $t->get("/api/smoke/prod$path", app => 'demo');
        is $r->{headers}{'x-resource'} // '', $resource, "$path: resource";
        is $r->{status}, $is, 'status';
    }

    is $t->get('/api/smoke/prod/files/x/y', method => 'POST', app => 'demo')
        ->{headers}{'x-resource'}, 'below', 'paths below';
    is $t->get('/api/smoke/test/ping', app => 'demo')->{status}, 500,
        'not in the other stage';
};


subtest '100,000 permissions' => sub {
    my $n = 100_000;
    $db->sql("DELETE FROM permission_app_resource;
        DELETE FROM permission_app_api;
        INSERT INTO permission_app_resource
            (bk_app_code, api_id, resource_id, expires)
        SELECT CONCAT('app', seq DIV 6), 1, 101 + seq MOD 6, '$ends'
        FROM seq_0_to_" . ($n - 1));

    local $ENV{BKAPI_MAX_REMOVALS} = '100%';
    my $begun = time;
    synced('import', 'grants');
    note sprintf 'import: %.1f s', time - $begun;

    # every second permission of "prod" was used: a merge by an index, not a
    # scan of 100,000 rows for each

    my $used = $now - 1000;
    $redis->used('smoke/prod', 'beta', "app$_", $used) for 0 .. 99;
    my $read = sub {
        my ($n) = $db->rows("SELECT SUM(VARIABLE_VALUE)
            FROM information_schema.GLOBAL_STATUS
            WHERE VARIABLE_NAME LIKE 'HANDLER_READ_%'");
        return $n->[0];
    };
    my $before = $read->();
    like synced('100 accesses', 'accesses'), qr/renewed 100 of/, 'renewed';
    my $rows = $read->() - $before;
    cmp_ok $rows, '<', 20_000, 'by the index' or return;

    $used++;
    $redis->each(map { [$redis->key('access', "app$_", 'smoke/prod'), 'ZADD',
                        $used, 'alpha', $used, 'beta', $used, 'deleted'] }
                     0 .. 16665);
    $begun = time;
    like synced('accesses', 'accesses'), qr/renewed 49998 of/, 'all of them';
    note sprintf 'accesses: %.1f s', time - $begun;
};

done_testing;

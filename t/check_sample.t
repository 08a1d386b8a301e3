#!/usr/bin/perl

# The files in conf.d, as operators copy them, do what they say.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $dir = $t->dir;
my $now = int time;

$redis->grant('smoke', undef, 'partner', $now + 1000)
      ->grant('smoke', 'get_user', 'demo', $now + 1000)
      ->grant('smoke', 'get_user', 'late', $now - 1000);

my $lua = $t->has_lua;
mkdir "$dir/conf.d";

for my $file (glob("$Perm::Test::ROOT/conf.d/*.*"),
              $lua ? glob("$Perm::Test::ROOT/conf.d/lua/*.conf") : ())
{
    my ($name) = $file =~ m{([^/]+)$};
    my $text = slurp($file);
    next if $name !~ /\.(conf|inc|map)$/;
    $text =~ s/\b808(\d)\b/%%PORT_sample$1%%/g;
    $text =~ s{redis://127\.0\.0\.1:6379}{%%REDIS%%}g;
    $text =~ s{/var/(?:lib|log)/nginx/}{%%DIR%%/logs/}g;
    spew("$dir/conf.d/$name", $t->expand($text));
}
chmod 0777, "$dir/logs";

# "conf.d/..." is relative to nginx.conf, as on Debian

$t->nginx(setup => '', http => "include $dir/conf.d/*.conf;", lua => $lua);

my $port = $t->port('sample0');

sub call {
    my ($path, $key, %o) = @_;
    my $r = $t->get($path, port => $port, %o,
        headers => { defined $key ? ('X-Api-Key' => "key-of-$key") : () });
    return $o{whole} ? $r : $r->{status};
}

subtest 'who gets through' => sub {
    is call($_->[0], $_->[1]), $_->[2],
        "$_->[0] with the key of " . ($_->[1] // 'none') for (
        ['/users/7',    'partner', 200], ['/users/7',    'demo',    200],
        ['/users/7',    'nobody',  403], ['/users/7',    'late',    403],
        ['/users/7',    'stranger', 401], ['/users/7',   undef,     401],
        ['/users',      'partner', 200], ['/users',      'demo',    403],
        ['/orders/',    'partner', 200], ['/orders/1/2', 'demo',    403],
        ['/status',     'nobody',  200], ['/status',     undef,     401],
        ['/reports/1',  'nobody',  200], ['/health',     undef,     200],
        ['/elsewhere',  'partner', 404], ['/users/x',    'partner', 404],
        ['/_authenticate', 'demo', 404]);

    my $r = call('/users/7', 'demo', whole => 1);
    ok $r->{headers}{'x-app-permission-expires-in'} > 900, 'expires header';
    $r = call('/users/7', 'nobody', whole => 1);
    is $r->{headers}{'x-bkapi-error-code'}, 1640301, 'refused as bkapi';
    is call('/users/7', 'demo', method => 'POST', body => 'x' x 100000), 200,
        'with a body';
};


subtest 'from the refusal to the grant' => sub {
    my $r = call('/orders/1', 'nobody', whole => 1);
    is $r->{headers}{link}, '</permissions>; rel="help"', 'where to apply';
    is call('/permissions', 'nobody', method => 'POST',
            body => '{"resources":["list_orders"]}'), 202, 'applied';
    $t->cli_is(0, 'approved', 'approve', '--gateway', 'smoke', '--app', 'nobody');
    ok wait_for(sub { call('/orders/1', 'nobody') == 200 }), 'allowed';
    my $own = json(call('/permissions', 'nobody', whole => 1)->{body});
    is "$own->{grants}[0]{resource} $own->{requests}[0]{status}",
        'list_orders approved', 'sees both';
    is call('/permissions', undef), 401, 'nobody sees nothing';
    $t->cli_is(0, 'away', 'revoke', '--gateway', 'smoke', '--resource',
               'list_orders', '--app', 'nobody');
    ok wait_for(sub { call('/orders/1', 'nobody') == 403 }), 'refused again';
};


subtest 'one line of JSON a request, with who and why' => sub {
    my @lines;
    ok wait_for(sub {
        @lines = split /\n/, slurp("$dir/logs/smoke.json");
        return @lines >= 20;
    }), 'the log';
    my ($dry) = grep { $_->{uri} eq '/reports/1' } map { json($_) } @lines;
    is "$dry->{app} $dry->{resource} $dry->{decision} $dry->{reason}",
        'nobody get_report deny no_grant', 'dry run in the log';
};


subtest 'the status, for this machine only' => sub {
    my $r = $t->get('/app-permission', port => $t->port('sample1'));
    is $r->{status}, 200, 'status';
    cmp_ok json($r->{body})->{requests}{dry_run_denied}, '>=', 1, 'it counts';
};


subtest 'the mail about grants that end' => sub {
    my $end = $now + 3 * 86400;
    $redis->grant('smoke', undef, 'mail-me', $end)
          ->grant('fire', 'put_out', 'mail-me', $end + 3600)
          ->grant('smoke', undef, 'nobody-knows', $end);
    spew("$dir/contacts", "# app address\nmail-me dev\@example.org\n");
    spew("$dir/sendmail", "#!/bin/sh\ncat > $dir/mail\n");
    chmod 0755, "$dir/sendmail";

    local %ENV = (%ENV, MAIL_CONTACTS => "$dir/contacts",
        SENDMAIL => "$dir/sendmail", MAIL_SPOOL => "$dir/spool");
    my $mailer = "$Perm::Test::ROOT/conf.d/mail/app-permission-mail";
    my ($out, $err) = $t->cli_is(1, 'one of two could not be told', 'expiring',
        '--notify', $mailer);
    like $err, qr/no address for "nobody-knows"/, '... and says why';
    is system($mailer, 'send'), 0, 'sent';
    my $mail = slurp("$dir/mail");
    like $mail, qr/^To: dev\@example.org$/m, 'to';
    like $mail, qr/^Subject: .*mail-me: permissions end in [23] days$/m,
        'subject';
    like $mail, qr{smoke / all resources\n +ends in [23] days, at 20\d\d-.*\n +never used},
        'the gateway grant';
    like $mail, qr{fire / put_out\n}, 'the resource grant';
};


subtest '"make run" is for this machine only' => sub {
    my $build = "$dir/build";
    my $free = free_port();
    mkdir $build;
    symlink Perm::Util::build_dir() . "/$_", "$build/$_"
        for 'app-permission', 'ngx_http_app_permission_module.so';
    my $run = sub { `BUILD=$build PORT=$free $Perm::Test::ROOT/t/tools/run $_[0] 2>&1 </dev/null` };

    my $shown = $run->('start');
    like $shown, qr/gateway is up at http:\/\/127\.0\.0\.1:$free/, 'it runs';
    like $shown, qr/\/orders\/1\n[ ]+HTTP\/1.1[ ]403[ ].*?Link:[ ]<\/permissions>;[ ]rel="help".*
        "status":"pending","days":30,"reason":"orders[ ]report","by":"app:nobody".*
        pending[ ]+smoke[ ]+list_orders[ ]+nobody.*
        approved:[ ]app[ ]nobody.*
        \/orders\/1\n[ ]+HTTP\/1.1[ ]200.*
        \/permissions\n[ ]+HTTP\/1.1[ ]200.*?"resource":"list_orders".*?"status":"approved".*
        extended:[ ]app[ ]nobody.*
        apply.*approve.*extend.*/sx, 'and plays the way of a permission';
    my %listens = map { /^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A / ? ($2, $1) : () }
        map { split /\n/, slurp($_) } grep { -r } '/proc/net/tcp', '/proc/net/tcp6';
    my @ours = grep { defined $listens{sprintf '%04X', $_} } $free .. $free + 4;
    cmp_ok scalar @ours, '>=', 4, 'it listens';
    is_deeply [grep { $listens{sprintf '%04X', $_} ne '0100007F' } @ours], [],
        'on the loopback address only';
    $run->('stop');
};


subtest 'with Lua' => sub {
    plan skip_all => 'nginx without Lua' unless $lua;
    $port = $t->port('sample4');
    is call('/users/7', 'demo'), 200, 'granted';
    is call('/users/7', 'other'), 403, 'not granted';
    is call('/users/7', 'nobody'), 401, 'not authenticated';
};

done_testing;

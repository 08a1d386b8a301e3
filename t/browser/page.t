#!/usr/bin/perl

# The status page in headless Chromium: what it says first in each state,
# that it refreshes itself, asks for nothing else, fits a phone, reads in the
# dark, works without scripts, and shows outside text as text.
#
# PERM_SHOTS=dir keeps pictures of the states.

use Perm::Browser;
use Perm::Test;

for my $program (qw(chromedriver chromium)) {
    plan skip_all => "no $program"
        unless grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $shots = $ENV{PERM_SHOTS};

$redis->grant('smoke', 'get_user', 'demo', time + 86400 * 100)
      ->grant('smoke', 'get_user', 'soon', time + 40000)
      ->grant('smoke', 'get_user', 'late', time - 40000);

$t->nginx(server => <<'EOT');
location / {
    app_permission required;
    proxy_pass %%BACKEND%%;
}
location = /dry {
    app_permission required;
    app_permission_dry_run on;
    app_permission_resource get_report;
    proxy_pass %%BACKEND%%;
}
EOT
wait_for(sub { $t->status->{invalidation}{active} }, 5);

my $url = 'http://127.0.0.1:' . $t->port . '/status';
my $b = Perm::Browser->start(dir => $t->dir);

sub says {
    my ($pattern, $name) = @_;
    my $text;
    ok wait_for(sub {
        $text = $b->text('#verdict') // '';
        return $text =~ $pattern;
    }, 20), $name or diag $text;
    unlike $b->text('body'), qr/\bnull\b|undefined|NaN|Invalid Date/,
        '... and nothing that is not meant for people';
    $b->screenshot("$shots/" . $name =~ s/\W+/-/gr . '.png') if $shots;
}

sub quiet {
    my ($name) = @_;
    is_deeply [$b->complaints], [], "$name: the browser has no complaint";
}

sub fits {
    my ($name, $width) = @_;
    $b->size($width, 900);
    my $wide = $b->js('return document.documentElement.scrollWidth');
    cmp_ok $wide, '<=', $width, "$name: nothing sticks out at $width pixels";
    is $b->js('return [...document.querySelectorAll(".scroll")].filter('
              . 'e => e.scrollWidth > e.clientWidth).map(e => e.id).join()'),
        '', '... and no column is cut';
}


subtest 'in order' => sub {
    $t->get('/a', app => $_) for qw(demo demo demo soon nobody late late);
    $t->get('/dry', app => 'nobody') for 1 .. 4;

    $b->size(1200, 900)->open($url);
    says(qr/in order/i, 'in order');
    like $b->text('#verdict'), qr/end within a day: 1/, '... with a note';
    quiet('in order');

    like $b->text('#parts'), qr/Redis\s+up\b.*loaded.*pushed/s, 'the parts';
    like $b->text('#refused'), qr/late\s+smoke\s+get_user.*\b2\b/,
        'most refused';
    like $b->text('#would'), qr/nobody\s+smoke\s+get_report/,
        'would be refused';
    like $b->text('#resources'), qr/get_report.*dry run/, 'resources';
    like $b->text('#expiring'), qr/soon\s+smoke\s+get_user.*UTC/, 'ending soon';
    is $b->js('return performance.getEntriesByType("resource").filter('
              . 'e => !e.name.startsWith(location.origin)).length'), 0,
        'nothing is loaded from elsewhere';

    fits('in order', $_) for 1200, 768, 390, 320;
    $b->size(1200, 900);
};


subtest 'the page refreshes itself' => sub {
    $t->get('/a', app => 'newcomer') for 1 .. 3;
    ok $b->wait_js('return /newcomer/.test('
                   . 'document.getElementById("refused").innerText)', 15),
        'a new refusal appears by itself';
};


subtest 'dark and light' => sub {
    my $contrast = <<'EOT';
const lum = (c) => {
  const v = c.match(/[0-9.]+/g).slice(0, 3).map((x) => x / 255)
    .map((x) => x <= 0.03928 ? x / 12.92 : Math.pow((x + 0.055) / 1.055, 2.4));
  return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2];
};
const back = (e) => {
  for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (!/rgba\(0, 0, 0, 0\)|transparent/.test(c)) return c;
  }
  return 'rgb(255, 255, 255)';
};
let worst = 21;
for (const e of document.querySelectorAll('h1, h2, p, td, th, .hint, .mark,'
  + '.tag, .name, .more, .state, .value, small, header, footer, li span')) {
  if (!e.innerText) continue;
  const a = lum(getComputedStyle(e).color), b = lum(back(e));
  worst = Math.min(worst, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
}
return worst;
EOT

    for my $dark (0, 1) {
        $b->dark($dark);
        my ($red) = $b->js('return getComputedStyle(document.body)'
                           . '.backgroundColor') =~ /(\d+)/;
        ok $dark ? $red < 60 : $red > 200, $dark ? 'dark' : 'light';
        cmp_ok $b->js($contrast), '>=', 4.5, '... every text stands out';
    }
    $b->dark(0);
};


subtest 'explain' => sub {
    $b->js(<<'EOT');
const f = document.getElementById('explain');
f.gateway.value = 'smoke'; f.resource.value = 'get_user';
f.app.value = 'demo'; f.requestSubmit();
EOT
    ok $b->wait_js('return /allow, resource grant.*by/s.test('
                   . 'document.getElementById("because").innerText)', 10),
        'explains a call' or diag $b->text('#because');
    like $b->text('#because'), qr/^agree\s.*instance and Redis agree/i,
        '... and says that both sides agree';
    like $b->text('#because'), qr/fresh, \d+ s old\.\s+It may decide/,
        '... and what the state means';
    $b->js('[...document.querySelectorAll("#refused a")]'
           . '.find(e => e.innerText === "late").click()');
    ok $b->wait_js('return /late/.test(document.getElementById("explain").app'
                   . '.value) && /resource grant expired/.test('
                   . 'document.getElementById("because").innerText)', 10),
        'a line of a list leads there';
    $b->js('const f = document.getElementById("explain");'
           . 'f.app.value = "<b>"; f.requestSubmit();');
    ok $b->wait_js('return /valid name/.test('
                   . 'document.getElementById("because").innerText)', 10),
        '... or says what is wrong with the names';
    $b->complaints;
};


subtest 'a list with more than is shown' => sub {
    $t->get('/dry', app => "app$_") for 1 .. 60;
    ok $b->wait_js('return /15 of 61 shown.*CSV/s.test('
                   . 'document.getElementById("would").innerText)', 15),
        'says so' or diag $b->text('#would');
    $b->js('document.querySelector("#would button").click()');
    ok $b->wait_js('return /All 61\\./.test('
                   . 'document.getElementById("would").innerText)', 15),
        '... and shows all' or diag $b->text('#would');
    like $b->js('return document.querySelector("#would .rest a").href'),
        qr/\?would_deny=1&format=csv$/, '... and leads to the CSV';
    fits('many lines', 390);
    $b->size(1200, 900);
};


subtest 'hostile names' => sub {
    $t->get('/a', app => '<img src=x onerror=document.title="owned">')
        for 1 .. 5;
    $t->get('/status/explain?gateway=%3Cscript%3E');
    ok $b->wait_js('return /invalid app/.test('
                   . 'document.getElementById("refused").innerText)', 15),
        'an invalid app is one line';
    isnt $b->js('return document.title'), 'owned', '... and nothing of it runs';
    is $b->js('return document.querySelectorAll("img").length'), 0,
        '... or shows';
    quiet('hostile names');
};


subtest 'the table is gone' => sub {
    $redis->cmd('DEL', 'app_permission:meta');
    $t->get('/a', app => "unknown-$_") for 1 .. 3;
    says(qr/^act now\s+The grant table has been missing/i,
         'the table is not loaded');
    like $b->text('#verdict'), qr/app-permission import/, '... and what to do';
    like $b->text('#verdict'), qr/Checks fail/, '... and what it does to calls';
    $redis->load;
    $t->get('/a', app => 'unknown-4');
};


subtest 'Redis is gone' => sub {
    $redis->stop;
    $t->get('/a', app => $_) for qw(demo stranger);
    says(qr/^act now\s+Redis has been down for \d+ s/i, 'Redis is down');
    like $b->text('#verdict'), qr/redis\.sock: .*Cached grants still decide/,
        '... where, why, and what it does';
    like $b->text('#parts'), qr/Redis\s+down.*redis\.sock:/s,
        '... the part says so too';
    like $b->text('#parts'), qr/Grant table\s+not known/,
        '... and the table is not known';
    is $b->js('return [...document.querySelectorAll("#parts .good .name")]'
              . '.filter(e => /table/.test(e.innerText)).length'), 0,
        '... nor green';
    like $b->js('return document.title'), qr/^\(!\) Redis has been down/,
        '... the tab too';
    fits('Redis is down', 390);
    $b->size(1200, 900);
};


subtest 'without scripts' => sub {
    $b->scripts(0)->open("$url?format=html");
    my $plain = $b->text('body');
    like $plain, qr/^act now.*Redis has been down.*Cached grants/ims,
        'without scripts: the verdict';
    like $plain, qr/Denied\s+\d+.*Redis\s+down/s, '... and the numbers';
    $b->scripts(1)->open($url);
};


subtest 'Redis is back' => sub {
    $redis->run->load;
    $redis->grant('smoke', 'get_user', 'demo', time + 86400 * 100);
    says(qr/^(?!.*has been (down|missing))/s, 'Redis is back');
};


subtest 'the gateway does not answer' => sub {
    my @workers = $t->{nginx}->workers;
    $t->{nginx}->signal('STOP', $_) for @workers;
    ok $b->wait_js('return /no answer/.test('
                   . 'document.getElementById("live").innerText)', 20),
        'a page that gets no answer says so';
    $t->{nginx}->signal('CONT', $_) for @workers;
    ok $b->wait_js('return /updated/.test('
                   . 'document.getElementById("live").innerText)', 20),
        '... and goes on when there is one again';
};

$b->stop;
done_testing;

#!/usr/bin/perl

# Half a year and more of an app's life, with a moved clock and every mail: it
# applies, is approved, used, renewed, used late, no more used, told at 15, 7, 3,
# 1 and 0 days, lapses, is denied, is rejected, and gets another grant.

use Perm::Test;

my $t = Perm::Test->new;
my $redis = $t->redis->load;
my $clock = $t->fake_redis(to => $redis);

my $DAY = 86400;
my $START = 1800000000;

# the command line on that day: it goes by Redis's time

sub on {
    my ($day, @args) = @_;
    $clock->time($START + $day * $DAY);
    return $t->cli(@args, { redis => $clock->url });
}

my @call = ('--gateway', 'smoke', '--resource', 'get_user', '--app', 'demo');

# what the gateway records when it lets a call through

sub use_it {
    my ($day) = @_;
    my ($status) = on($day, 'check', @call);
    $redis->used('smoke', 'get_user', 'demo', int($START + $day * $DAY))
        if $status == 0;
    return $status == 0;
}

sub ends {
    my $v = $redis->value('smoke', 'get_user', 'demo');
    return (json($v)->{expires} - $START) / $DAY;
}

# the mails of conf.d/mail, as "to: subject"

my $dir = $t->dir;
my $mailer = "$Perm::Test::ROOT/conf.d/mail/app-permission-mail";

spew("$dir/contacts", "demo dev\@x.org\ngateway:smoke owner\@x.org\n");
spew("$dir/sendmail", "#!/bin/sh\n(cat; echo ----) >> $dir/mails\n");
chmod 0755, "$dir/sendmail";
%ENV = (%ENV, MAIL_CONTACTS => "$dir/contacts", SENDMAIL => "$dir/sendmail",
        MAIL_SPOOL => "$dir/spool");

my $mail = '';

sub mails {
    $mail = -e "$dir/mails" ? slurp("$dir/mails") : '';
    unlink "$dir/mails";
    return join '; ', map { /^To: (\S+)$/m ? "$1: " . (/^Subject: \S+ \S+ (.*)$/m)[0] : () }
        split /^----\n/m, $mail;
}

sub told {
    my ($day) = @_;
    on($day, 'expiring', '--notify', $mailer);
    system $mailer, 'send';
    return mails();
}


subtest 'applied for, approved, used, renewed' => sub {
    on(0, 'init');
    on(0, 'apply', @call, '--reason', "a\r\nBcc: x\@x.org", '--notify', $mailer);
    is mails(), 'owner@x.org: demo applies for permissions on smoke',
        'a mail to the owners';
    like $mail, qr/app-permission approve (--gateway smoke --resource get_user --app demo)$/m,
        'with the command that approves';
    like $mail, qr/reason: a\\x0d\\x0aBcc/, 'and the reason on its line';
    on(0, 'approve', split(' ', $mail =~ /permission approve (.*)/ ? $1 : ''),
       '--notify', $mailer);
    is mails(), 'dev@x.org: demo has permissions on smoke', 'a mail to the app';
    like $mail, qr/get_user, for 180 days, until 2027-07-14/, 'until when';
    is ends(), 180, 'granted for half a year';
    ok use_it(100), 'used on day 100';
    on(101, 'renew');
    is ends(), 280, 'renewed to half a year after that';
};


subtest 'renewed late' => sub {
    ok use_it(279.9), 'used on the last day';
    is told(279.95), '', 'nobody is told: renewal will save it';
    is +(on(285, 'check', @call))[0], 1, 'no renewal ran: it ended';
    on(290, 'renew');
    is ends(), 459.9, 'a late run still honours that access';
    ok use_it(291), 'and the app is in again';
    on(291, 'renew');
    is ends(), 471, 'renewed';
};


subtest 'it stops using the API; a daily job runs' => sub {
    my %told;
    for my $day (440 .. 473) {
        on($day, 'renew');
        my $text = told($day + 0.01);
        $told{471 - $day} = $text if $text ne '';
    }
    is_deeply [sort { $a <=> $b } keys %told], [1, 2, 4, 8, 16],
        'told on five days and no other';
    is $told{16}, 'dev@x.org: demo: permissions end in 15 days',
        '15 days before';
    is $told{1}, 'dev@x.org: demo: permissions end within 24 hours', 'and on the last';
    is ends(), 471, 'unused it is not renewed';

    my ($denied, $out) = on(471, '--json', 'check', @call);
    is $denied, 1, 'it lapsed';
    is json($out)->{reason}, 'resource_grant_expired', 'denied';
    ok !use_it(472), 'a denied call is no use';
};


subtest 'used after the end, by something else' => sub {
    $redis->used('smoke', 'get_user', 'demo', $START + 475 * $DAY);
    on(476, 'renew');
    is ends(), 471, 'which renews nothing';
};


subtest 'rejected, and then approved anew' => sub {
    on(478, 'apply', @call, '--notify', $mailer);
    on(478, 'reject', '--gateway', 'smoke', '--app', 'demo', '--comment',
       'not in summer', '--notify', $mailer);
    is mails(), 'owner@x.org: demo applies for permissions on smoke; '
        . 'dev@x.org: demo: permissions on smoke were refused', 'both mails';
    like $mail, qr/because: not in summer$/m, 'and why';
    is ends(), 471, 'no grant';
    on(480, 'apply', @call);
    on(480, 'approve', '--gateway', 'smoke', '--app', 'demo');
    is ends(), 660, 'granted';
    ok use_it(481), 'used';
    on(481, 'renew');
    is ends(), 661, 'and so on';
};


subtest 'purged a year after its end' => sub {
    on(1100, 'purge');
    is $redis->cmd('EXISTS', key($_, 'demo')), 0, "no $_"
        for 'grants', 'access', 'requests', 'notices';
};

done_testing;

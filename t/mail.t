#!/usr/bin/perl

# conf.d/mail: who gets which mail, in one for each address, and that nothing
# from outside gets into a header.

use Perm::Test;

my $t = Perm::Test->new;
my $dir = $t->dir;
my $mailer = "$Perm::Test::ROOT/conf.d/mail/app-permission-mail";

spew("$dir/sendmail", <<"EOT");
#!/bin/sh
cat > $dir/sending
grep -q '^To: .*broken' $dir/sending && exit 75
cat $dir/sending >> $dir/mails
echo ---- >> $dir/mails
EOT
chmod 0755, "$dir/sendmail";
spew("$dir/contacts", <<'EOT');
# app address
two        a@x.org, b@x.org
named      A. User <a@x.org>, "O, Mara" <o@x.org>
chinese    张三 <z@x.org>
lost       broken@x.org
*          all@x.org
gateway:g  owner@x.org
EOT

%ENV = (%ENV, MAIL_CONTACTS => "$dir/contacts", SENDMAIL => "$dir/sendmail",
        MAIL_SPOOL => "$dir/spool", MAIL_FROM => 'gw@x.org');

sub give {
    my ($object, @args) = @_;
    spew("$dir/object", $object);
    my $status = system "$mailer @args < $dir/object 2> $dir/errors";
    return $status >> 8;
}

# "to" => the mail

sub mails {
    my $text = -e "$dir/mails" ? slurp("$dir/mails") : '';
    unlink "$dir/mails";
    return map { /^To: (.*)$/m ? ($1 => $_) : () } split /^----\n/m, $text;
}

sub ending {
    my ($app, %more) = @_;
    my %row = (gateway => 'g', resource => 'r', expires => 1800000000,
        days_left => 3, notice => 3, renewal => 'unused', granted => 1790000000,
        last_access => undef, %more);
    return JSON::PP->new->utf8->encode({ app => $app, grants => [\%row] });
}


subtest 'a digest for each address' => sub {
    give(ending($_)) for "two", "named", "chinese", map { "app$_" } 1 .. 40;
    is scalar(() = mails()), 0, 'nothing is sent yet';
    is give('', 'send'), 0, 'sent';
    my %mail = mails();
    is_deeply [sort keys %mail], ['"A. User" <a@x.org>', '"O, Mara" <o@x.org>',
        '=?UTF-8?B?5byg5LiJ?= <z@x.org>', 'a@x.org', 'all@x.org', 'b@x.org'],
        'both addresses of an app, and names';
    is scalar(() = $mail{'all@x.org'} =~ /^  app\d+: g \/ r$/mg), 40,
        '40 apps are one mail';
    like $mail{'all@x.org'}, qr/^Subject: .*40 apps: permissions end in 3 days$/m,
        'subject';
    like $mail{'b@x.org'}, qr/app-permission extend --gateway g --resource r --app two$/m,
        'the command that extends';
    is give('', 'send'), 0, 'again';
    is scalar(() = mails()), 0, 'nothing is left';
};


subtest 'texts are true' => sub {
    my $text = sub {
        give(ending('two', @_));
        give('', 'send');
        my %mail = mails();
        return $mail{'b@x.org'};
    };
    like $text->(), qr/never used since it was given at 2026-09-21/, 'unused';
    like $text->(granted => undef), qr/never used: it is not/, 'since when unknown';
    like $text->(renewal => 'current', last_access => 1784448000),
        qr/last used at 2026-07-19 .*too long ago/, 'used too long ago';
    like $text->(renewal => 'no_renew'), qr/without renewal/, 'never renewed';
    like $text->(days_left => 0, resource => undef),
        qr{g / all resources\n +ends within 24 hours}, 'soon, the whole gateway';
    unlike $text->(), qr/\{\{|\}\}/, 'no placeholder is left';

    local $ENV{MAIL_TEMPLATES} = "$Perm::Test::ROOT/conf.d/mail/zh";
    my $mail = $text->();
    like $mail, qr/自 2026-09-21 .*以来从未使用/, 'in Chinese';
    like $mail, qr/^Subject: =\?UTF-8\?B\?/m, 'with a subject for mails';
};


subtest 'requests' => sub {
    my $reason = "first\r\nBcc: evil\@x.org\n{{link}} \e[31m \x{5f20}";
    my $object = sub {
        JSON::PP->new->utf8->encode({ app => 'two', gateway => 'g', requests =>
            [{ resource => 'r', days => 180, reason => $reason, by => 'me',
               status => $_[0], comment => $reason, granted_days => 0 }] });
    };
    for (['pending', 'owner@x.org', qr/^Subject: .*two applies/m],
         ['approved', 'a@x.org, b@x.org', qr/^  r, for ever$/m],
         ['rejected', 'a@x.org, b@x.org', qr/were refused/]) {
        my ($status, $to, $like) = @$_;
        is give($object->($status)), 0, $status;
        my %mail = mails();
        is_deeply [keys %mail], [$to], 'to whom it concerns';
        like $mail{$to}, $like, 'the text';
        like $mail{$to}, qr/first\\x0d\\x0aBcc: evil\@x\.org\\x0a\{\{link\}\} \\x1b\[31m 张/,
            'a reason is one line of the text, as it is';
        my ($head) = split /\n\n/, $mail{$to};
        unlike $head, qr/evil/, 'and none of a header';
    }
};


subtest 'what goes wrong' => sub {
    give(ending($_)) for 'lost', 'two';
    is give('', 'send'), 1, 'one could not be sent';
    my %mail = mails();
    is_deeply [sort keys %mail], ['a@x.org', 'b@x.org'], 'the others were';
    spew("$dir/sendmail", "#!/bin/sh\n(cat; echo ----) >> $dir/mails\n");
    is give('', 'send'), 0, 'the next time';
    %mail = mails();
    is_deeply [sort keys %mail], ['broken@x.org'], 'it and no other';

    give(ending($_)) for 'gone', 'two';
    spew("$dir/spool/0.json", '{"app":');
    spew("$dir/contacts", "two a\@x.org\n");
    is give('', 'send'), 1, 'one has no address any more, one is damaged';
    like slurp("$dir/errors"), qr/0\.json: .*no address for "gone"/s, 'said so';
    %mail = mails();
    is_deeply [sort keys %mail], ['a@x.org'], 'the others are told';
    unlink "$dir/spool/0.json";
    spew("$dir/contacts", "* all\@x.org\n");
    is give('', 'send'), 0, 'the next time';
    %mail = mails();
    is_deeply [sort keys %mail], ['all@x.org'], 'it and no other';

    spew("$dir/contacts", "two a\@x.org\nbad a\@x.org, nonsense\n");
    isnt give(ending('other')), 0, 'nobody to tell';
    like slurp("$dir/errors"), qr/no address for "other", and none for "\*"/,
        'said so';
    isnt give(ending('bad')), 0, 'an address that is none';
    like slurp("$dir/errors"), qr/line 2: not an address: +nonsense/, 'is named';
    isnt give(ending("two\nTo: evil")), 0, 'an app with a name that is none';
    isnt give('{'), 0, 'no object';
    is give('', 'send'), 0, 'nothing was put aside';
    is scalar(() = mails()), 0, 'nor sent';
};

done_testing;

package Perm::Browser;

# A headless Chromium, driven over WebDriver.
#
#   my $b = Perm::Browser->start(dir => $t->dir);
#   $b->open('http://127.0.0.1:8080/status');
#   $b->js('return document.title');          # what the function returns
#   $b->text('#verdict h1');                  # the text of an element
#   $b->wait_js('return ...', $seconds);      # until it is true
#   $b->size(390, 844);  $b->dark(1);  $b->scripts(0);
#   $b->screenshot($file);                    # PNG of the window
#   $b->complaints;                           # lines of the console since the
#                                             #   last call: errors, refused
#                                             #   by the content policy, ...
#   $b->stop;

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 ();

use Perm::Util qw(wait_for free_port spawn reap spew);

my $JSON = JSON::PP->new->utf8->allow_nonref;

# nothing that would look for another host

my @FLAGS = qw(--headless --no-sandbox --disable-gpu --disable-quic
    --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage
    --hide-scrollbars --force-color-profile=srgb);


sub start {
    my ($class, %o) = @_;
    my $port = free_port();

    my $self = bless { port => $port, dir => $o{dir}, owner => $$ }, $class;
    $self->{pid} = spawn("$o{dir}/chromedriver.log", 'chromedriver',
                         "--port=$port");
    wait_for(sub { eval { $self->call(GET => '/status')->{ready} } }, 20)
        or die "chromedriver did not start\n";

    my $options = {
        binary => '/usr/bin/chromium',
        args => [@FLAGS, "--user-data-dir=$o{dir}/chromium",
                 '--window-size=1280,900'],
    };
    my $session = $self->call(POST => '/session', { capabilities => {
        alwaysMatch => {
            browserName => 'chrome',
            'goog:chromeOptions' => $options,
            'goog:loggingPrefs' => { browser => 'ALL' },
        } } });

    $self->{session} = "/session/$session->{sessionId}";
    return $self;
}


sub call {
    my ($self, $method, $path, $data) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->{port}) or die "chromedriver: $!\n";
    my $body = $data ? $JSON->encode($data) : '';

    print {$socket} "$method $path HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        "Connection: close\r\nContent-Type: application/json\r\n",
        'Content-Length: ', length $body, "\r\n\r\n$body";

    # it does not close the connection

    local $/ = "\r\n";
    my $length = 0;
    while (defined(my $line = <$socket>)) {
        $length = $1 if $line =~ /^content-length:\s*(\d+)/i;
        last if $line eq "\r\n";
    }

    my $answer = '';
    read $socket, $answer, $length;
    my $value = $JSON->decode($answer || '{}')->{value};

    die "WebDriver: $value->{error}: $value->{message}\n"
        if ref $value eq 'HASH' && $value->{error};
    return $value;
}


sub command {
    my ($self, $path, $data) = @_;
    return $self->call(POST => $self->{session} . $path, $data // {});
}


sub cdp {
    my ($self, $command, %params) = @_;
    return $self->command('/goog/cdp/execute',
                          { cmd => $command, params => \%params });
}


sub open { $_[0]->command('/url', { url => $_[1] }); $_[0] }

sub js {
    my ($self, $script, @args) = @_;
    return $self->command('/execute/sync',
                          { script => $script, args => \@args });
}

sub text {
    my ($self, $selector) = @_;
    return $self->js('const e = document.querySelector(arguments[0]);'
                     . 'return e ? e.innerText : null', $selector);
}

sub wait_js {
    my ($self, $script, $timeout) = @_;
    return wait_for(sub { $self->js($script) }, $timeout);
}

sub size {
    my ($self, $width, $height) = @_;
    $self->cdp('Emulation.setDeviceMetricsOverride', width => 0 + $width,
        height => 0 + $height, deviceScaleFactor => 1,
        mobile => JSON::PP::false());
    return $self;
}

sub dark {
    my ($self, $on) = @_;
    $self->cdp('Emulation.setEmulatedMedia', features => [
        { name => 'prefers-color-scheme', value => $on ? 'dark' : 'light' }]);
    return $self;
}

sub scripts {
    my ($self, $on) = @_;
    $self->cdp('Emulation.setScriptExecutionDisabled',
               value => $on ? JSON::PP::false() : JSON::PP::true());
    return $self;
}

sub screenshot {
    my ($self, $file) = @_;
    my $png = $self->call(GET => "$self->{session}/screenshot");
    spew($file, MIME::Base64::decode_base64($png));
    return $self;
}

sub complaints {
    my ($self) = @_;
    my $log = $self->command('/se/log', { type => 'browser' });
    return map { "$_->{level} $_->{message}" } @$log;
}


sub stop {
    my ($self) = @_;
    return unless $self->{pid} && $self->{owner} == $$;

    eval { $self->call(DELETE => $self->{session}) } if $self->{session};
    kill 'TERM', $self->{pid};
    defined reap($self->{pid}, 10) or kill 'KILL', $self->{pid};
    $self->{pid} = undef;
}


sub DESTROY {
    local ($?, $@, $!);
    $_[0]->stop;
}


1;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# The log: nobody waits for its reader, whatever it is written to; what its lines look like.
use v5.36;
use Fcntl;
use IO::Select;
use Socket;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $stamp = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;

script('noisy', <<~'SH');
    #!/bin/sh
    i=0
    while [ $i -lt 150 ]; do printf '%0250d\n' $i >&2; i=$((i+1)); done
    printf 'Content-Type: text/plain\n\nnoisy\n'
    SH

# ---- a reader that stalls ---------------------------------------------------------------

sub is_blocking ($fh) { return !(fcntl($fh, F_GETFL, 0) & O_NONBLOCK) }

# All that can be read now.
sub drain ($fh) {
    my $text = '';
    my $select = IO::Select->new($fh);
    while ($select->can_read(0.3)) {
        sysread($fh, $text, 65536, length $text) or last;
    }
    return $text;
}

# A pair (what the test reads, what the daemon writes to) for each kind of standard error.
my %kinds = (
    'a pipe' => sub { pipe my $r, my $w or die "pipe: $!\n"; return ($r, $w) },
    'a socket' => sub {
        socketpair my $r, my $w, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!\n";
        return ($r, $w);
    },
    'a terminal' => \&terminal,
);

# Linux' way to a pseudo-terminal.
sub terminal () {
    my ($unlock, $number) = (0x40045431, 0x80045430); # TIOCSPTLCK, TIOCGPTN
    my $n = pack 'I', 0;
    sysopen my $master, '/dev/ptmx', O_RDWR | O_NOCTTY or die "/dev/ptmx: $!\n";
    ioctl $master, $unlock, $n or die "ptmx: $!\n";
    ioctl $master, $number, $n or die "ptmx: $!\n";
    my $name = '/dev/pts/' . unpack 'I', $n;
    sysopen my $slave, $name, O_RDWR | O_NOCTTY or die "$name: $!\n";
    return ($master, $slave);
}

sub stalled ($what, $make, %o) {
    scenario "$what that nobody reads" => sub {
        my ($reader, $writer) = $make->();
        my $bridge = Bridge->start(%o, any => 1, workers => 2, child => sub {
            open STDERR, '>&', $writer or die;
        });
        ok(wait_until(10, sub { eval { $bridge->get('unix', 'hello') } }), 'it starts');
        for my $n (1 .. 8) {
            my $r = $bridge->get('unix', 'noisy');
            is(FastCGI::body($r), "noisy\n", "script $n writes its errors and ends");
            cmp_ok($r->{total}, '<', slow(5), 'at once');
        }
        my @workers = $bridge->workers;
        $bridge->ok_serves('tcp', @workers);
        ok(is_blocking($writer), 'the mode of the descriptor is as it was');
        my $text = drain($reader);
        wait_until(5, sub { ($text .= drain($reader)) =~ /log: lines lost/ });
        like($text, qr/ warn: log: lines lost: \d+: its reader did not keep up\r?\n/,
            'once it is read, it says how many lines are lost');
        # a terminal takes parts of lines, and those of several processes may mix
        is_deeply([ grep { !/^$stamp cgibridge\[\d+\] \w+: / } split /\n/, $text ], [],
            'no line is torn') if $what ne 'a terminal';
        $bridge->get('unix', 'not-there');
        like($text = drain($reader), qr/ 404: /, 'and goes on');
        unlike($text, qr/lost/, 'as before');

        $bridge->get('unix', 'noisy') for 1 .. 8;
        $bridge->signal('HUP');
        ok(wait_until(10, sub {
            my %now = map { $_ => 1 } $bridge->workers;
            return keys %now == 2 && !grep { $now{$_} } @workers;
        }), 'it is reloaded while nobody reads');
        is(FastCGI::body($bridge->get('unix', 'hello')), "hello\n", 'and serves');
        my $since = time;
        $bridge->stop;
        cmp_ok(time - $since, '<', slow(5), 'it stops');
    };
}

stalled($_, $kinds{$_}) for sort keys %kinds;

# A pipe that another user has made cannot be opened again.
if (is_root()) {
    stalled('a pipe of another user', $kinds{'a pipe'}, user => 'nobody');

    scenario 'the access log to a pipe of another user' => sub {
        pipe my $reader, my $writer or die "pipe: $!\n";
        my $bridge = Bridge->start(user => 'nobody', args => [ '--access-log', '-' ],
            child => sub { open STDOUT, '>&', $writer or die });
        my $long = '/' . 'x' x 2000;
        for (1 .. 80) {
            my $r = $bridge->get('unix', 'hello', [ REQUEST_URI => $long ]);
            FastCGI::status($r) == 200 or fail('an answer');
        }
        ok($bridge->wait_for_log(qr/access log -: lines lost: \d+: its reader does not keep up/),
            'lines are lost, and the log says so');
        ok(is_blocking($writer), 'the mode of the descriptor is as it was');
        $bridge->stop;
        unlike(drain($reader), qr/^(?!$stamp ).|[^\n]\z/m, 'no line is torn');
    };
}

# ---- lines ----------------------------------------------------------------------------

scenario 'lines in a file have the time, those on a terminal do not' => sub {
    my $bridge = Bridge->start;
    like($bridge->log, qr/\A(?:$stamp cgibridge\[\d+\] \w+: .*\n)+\z/, 'a file');
    $bridge->stop;
    my ($reader, $writer) = terminal();
    $bridge = Bridge->start(any => 1, child => sub { open STDERR, '>&', $writer or die });
    my $text = '';
    wait_until(10, sub { ($text .= drain($reader)) =~ /ready/ });
    like($text, qr/\A(?:cgibridge\[\d+\] \w+: .*\r\n)+\z/, 'a terminal');
    $bridge->stop;
};

scenario 'a script can write any language, and no line of ours' => sub {
    my $bridge = Bridge->start;
    script('speaks', <<~'SH');
        #!/bin/sh
        printf 'Gr\303\274\303\237e \346\274\242\345\255\227\n' >&2
        printf 'typed \\x0a, \342\200\256turned, \033[2J, \377\n' >&2
        printf 'Content-Type: text/plain\n\n'
        SH
    $bridge->get('unix', 'speaks');
    ok($bridge->wait_for_log(qr/stderr: Gr\303\274\303\237e \346\274\242\345\255\227$/m), 'UTF-8');
    ok($bridge->wait_for_log(
        qr/stderr: typed \\\\x0a, \\xe2\\x80\\xaeturned, \\x1b\[2J, \\xff$/m), 'all else escaped');
    my $mark = $bridge->mark;
    $bridge->get('unix', "no\\such\nfile\302\240");
    ok($bridge->wait_for_log(qr{404: .*/no\\\\such\\x0afile\302\240: }, 5, from => $mark), 'in our words too');
    $bridge->stop;
};

# ---- who asked for what ---------------------------------------------------------------

scenario 'a line says who asked for what' => sub {
    my $bridge = Bridge->start;
    my @asked = (REMOTE_ADDR => '2001:db8::7', REQUEST_URI => "/x?y=\"z\n");
    my $origin = qr{, client: 2001:db8::7, request: "GET /x\?y="z\\x0a"};
    my $last = sub ($what) {
        local $Test::Builder::Level = $Test::Builder::Level + 1;
        ok($bridge->wait_for_log(qr/$what$origin$/m), $what);
    };
    $bridge->get('unix', 'not-there', \@asked);
    $last->(qr/ warn: request 1 from unix: 404: .*\(uid \d+\)/);
    $bridge->get('tcp', 'exits', [ @asked, QUERY_STRING => 3 ]);
    $last->(qr/ warn: \S+: request 1 from 127\.0\.0\.1:\d+: exit status 3 \(.*\)/);
    $bridge->get('unix', 'silent', \@asked);
    $last->(qr/ warn: .*: 500: .*\)/);
    $bridge->get('unix', 'hello', [ @asked, CGIBRIDGE_TIMEOUT => 'soon' ]);
    $last->(qr/ warn: .* CGIBRIDGE_TIMEOUT is 'soon': ignored/);
    $bridge->get('unix', 'sleeper', [ @asked, QUERY_STRING => 20, CGIBRIDGE_TIMEOUT => '200ms' ]);
    $last->(qr/ warn: .*timeout.*\)/);
    my $c = $bridge->connect('unix');
    my $file = file();
    $c->start(1, $bridge->params('sleeper', @asked, QUERY_STRING => 20, TEST_PIDS => $file));
    wait_pids($file, 1);
    $c->hang_up;
    $last->(qr/ info: \S+: request 1 from unix: .*/);

    $bridge->get('unix', 'no-1', [ REQUEST_URI => '/' . 'u' x 1000 ]);
    ok($bridge->wait_for_log(qr{/no-1: .*, request: "GET /u{199}\.\.\."$}m), 'a long URI is cut');
    $bridge->get('unix', 'no-2', [ REQUEST_URI => '/' . 'u' x 199 ]);
    ok($bridge->wait_for_log(qr{/no-2: .*, request: "GET /u{199}"$}m), 'one that fits is not');
    $bridge->get('unix', 'no-3', [ REQUEST_URI => undef, SCRIPT_NAME => '/n', PATH_INFO => '/p' ]);
    ok($bridge->wait_for_log(qr{/no-3: .*, client: 127.0.0.1, request: "GET /n/p"$}m),
        'without REQUEST_URI');
    $bridge->get('unix', 'no-4', [ REQUEST_URI => undef, SCRIPT_NAME => undef, REMOTE_ADDR => undef ]);
    ok($bridge->wait_for_log(qr{/no-4: .*\(uid \d+\), request: "GET -"$}m), 'without all that');
    $bridge->stop;
};

# ---- scripts that do not start -----------------------------------------------------------

scenario 'a line says what is wrong with a script' => sub {
    my $bridge = Bridge->start(args => ['--error-detail']);
    my @cases = (
        [ crlf => "#!/bin/sh\r\necho\r\n",
            'its interpreter "/bin/sh\x0d" is not there (the line ends with CR: saved on Windows)' ],
        [ bom => "\xef\xbb\xbf#!/bin/sh\necho\n",
            'a byte order mark is in front of its first line: save it without' ],
        [ gone => "#!/no/such/perl -w\n", 'its interpreter "/no/such/perl" is not there' ],
    );
    for (@cases) {
        my ($name, $text, $why) = @$_;
        my $path = script($name, $text);
        my $r = $bridge->get('unix', $name);
        is(FastCGI::status($r), 500, "$name: 500");
        ok($bridge->wait_for_log(qr{500: \Q$path\E: cannot execute: .*\Q$why\E}), "$name: $why");
        like(FastCGI::body($r), qr/is not there|byte order mark/, 'the page says it too');
    }
    $bridge->stop;
};

scenario 'a program that does not know of CGI' => sub {
    my $cure = 'no CGI header: a script writes "Content-Type: text/html" and an empty line first';
    for my $args ([], ['--strict-headers']) {
        my $bridge = Bridge->start(args => $args);
        script('says-hello', "#!/bin/sh\necho hello world\n");
        $bridge->get('unix', 'says-hello');
        ok($bridge->wait_for_log(qr/500: no CGI .*; \Q$cure\E; output starts: hello world/), "@$args the cure");
        script('says-page', "#!/bin/sh\nprintf '<html>\\n\\nhello'\n");
        $bridge->get('unix', 'says-page');
        ok($bridge->wait_for_log(qr/500: no CGI .*; \Q$cure\E; output starts: <html>/), 'for a page, too');
        my $mark = $bridge->mark;
        script('cut', "#!/bin/sh\nprintf 'Content-Type: text/plain\\n'\n");
        $bridge->get('unix', 'cut');
        ok($bridge->wait_for_log(qr/500: no CGI response/, 5, from => $mark), 'a header without an end');
        unlike($bridge->log_since($mark), qr/no CGI header/, 'is one');
        $bridge->stop;
    }
};

done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# The access log: a line a request, however it ends; none lost, torn or forged; a log
# that cannot be written stops no request.  And syslog, for it and for the log.
use v5.36;
use Fcntl;
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $time = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;
my $ends = qr/ok|failed|short|invalid|refused|timeout|aborted|lost|detached|stopped|error/;
my $line = qr/$time (?:unix|127\.0\.0\.1:\d+) \S+ \S+ \S+ (?:\d{3}|-) \d+ \d+ \d+ \d+\.\d{3} (?:\d+|-) (?:$ends) \S+/;
my @names = qw(time peer method script uri status app_status bytes_in bytes_out duration pid ended remote_addr);

# A daemon with an access log: ($bridge, its path).
sub logging (%o) {
    my $path = file();
    my $format = delete $o{format} // 'text';
    my $args = delete $o{args} // [];
    my $bridge = Bridge->start(%o,
        args => [ '--access-log', $path, '--access-log-format', $format, @$args ]);
    return ($bridge, $path);
}

# The lines of a file of text, each a hash of fields.
sub records ($path) {
    return map {
        my %r;
        @r{@names} = split / /, $_, -1;
        \%r;
    } split /\n/, slurp($path);
}

# Waits until there are `n` lines, and returns them.
sub wait_records ($path, $n) {
    wait_until(10, sub { records($path) >= $n });
    return records($path);
}

# Waits until no process of a daemon has an old file of the log open, and each the new one.
sub wait_reopened ($bridge, $path, $old = qr/\Q$path\E\./) {
    return wait_until(10, sub {
        my @pids = ($bridge->pid, $bridge->workers);
        my @open = map { readlink($_) // () } map { glob "/proc/$_/fd/*" } @pids;
        return !(grep { $_ =~ $old } @open) && @pids == grep { $_ eq $path } @open;
    });
}

scenario 'its mode, whatever the umask leaves open' => sub {
    my $path = file();
    my $bridge = Bridge->start(child => sub { umask 0 }, args => [ '--access-log', $path ]);
    is((stat $path)[2] & 07777, 0640, 'as the manual has it');
    $bridge->stop;
};

# ---- the line -----------------------------------------------------------------------

on_both 'a line has what there is to know' => sub ($kind) {
    my ($bridge, $path) = logging();
    my $before = time;
    my $r = $bridge->get($kind, 'echo', [ REQUEST_URI => '/e/x?y=z', QUERY_STRING => 'y=z' ],
        body => 'x' x 1000);
    like(slurp($path), qr/\A$line\n\z/, 'one line, in its form');
    my ($got) = records($path);
    my $at = $got->{time} =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)/
        ? POSIX::mktime($6, $5, $4, $3, $2 - 1, $1 - 1900) : 0;
    my $utc = POSIX::mktime(gmtime $before);
    ok($at >= $utc - 1 && $at <= $utc + slow(10), 'the time is UTC, and now');
    like($got->{peer}, $kind eq 'unix' ? qr/^unix$/ : qr/^127\.0\.0\.1:\d+$/, 'peer');
    is($got->{method}, 'POST', 'method');
    is($got->{script}, cgi() . '/echo', 'script');
    is($got->{uri}, '/e/x?y=z', 'URI');
    is($got->{status}, 200, 'status');
    is($got->{app_status}, 0, 'appStatus');
    is($got->{bytes_in}, 1000, 'bytes in');
    is($got->{bytes_out}, length $r->{out}, 'bytes out');
    cmp_ok($got->{duration}, '<', slow(10), 'duration');
    cmp_ok($got->{pid}, '>', 1, 'pid');
    is($got->{ended}, 'ok', 'how it ended');
    is($got->{remote_addr}, '127.0.0.1', 'the client of the web server');
    $bridge->stop;
};

scenario 'the duration and the URI without REQUEST_URI' => sub {
    my ($bridge, $path) = logging();
    $bridge->get('unix', 'sleeper', [ QUERY_STRING => '0.3', REQUEST_URI => '',
        SCRIPT_NAME => '/sleeper', PATH_INFO => '/p/q' ]);
    my ($got) = records($path);
    is($got->{uri}, '/sleeper/p/q', 'SCRIPT_NAME and PATH_INFO');
    cmp_ok($got->{duration}, '>=', 0.25, 'seconds');
    cmp_ok($got->{duration}, '<', slow(5), 'not milliseconds');
    $bridge->stop;
};

scenario 'without the option there is none' => sub {
    my $bridge = Bridge->start;
    $bridge->get('unix', 'hello');
    $bridge->signal('USR1');
    ok($bridge->wait_for_log(qr/opening the log files again/), 'USR1 ends nothing');
    $bridge->get('unix', 'hello');
    is(slurp("$bridge->{dir}/out"), '', 'nothing on standard output');
    $bridge->stop;
};

# ---- how a request ends ---------------------------------------------------------------

sub last_is ($path, $n, $kind, %wanted) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @got = wait_records($path, $n);
    is(scalar @got, $n, "$wanted{ended}: a line");
    for (sort keys %wanted) {
        is($got[-1]{$_}, $wanted{$_}, "$wanted{ended}: $_");
    }
    is((stat $path)[7], length(join '', map { "$_\n" } slurp($path) =~ /^($line)$/mg),
        'all lines are whole');
}

on_both 'each way to end has its line' => sub ($kind) {
    my ($bridge, $path) = logging();
    script('says-more', "#!/bin/sh\nprintf 'Content-Type: text/plain\\nContent-Length: 9\\n\\nx'\n");
    my $n = 0;
    $bridge->get($kind, 'hello');
    last_is($path, ++$n, $kind, ended => 'ok', status => 200, app_status => 0);
    $bridge->get($kind, 'exits', [ QUERY_STRING => 7 ]);
    last_is($path, ++$n, $kind, ended => 'failed', status => 200, app_status => 7);
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('says-more'));
    last_is($path, ++$n, $kind, ended => 'short', status => 200);
    $c->hang_up;
    $bridge->get($kind, 'silent');
    last_is($path, ++$n, $kind, ended => 'invalid', status => 500);
    $bridge->get($kind, 'not-there');
    last_is($path, ++$n, $kind, ended => 'refused', status => 404, script => '-', pid => '-',
        uri => '/not-there');
    $bridge->get($kind, 'hello', [ SCRIPT_FILENAME => '', DOCUMENT_ROOT => '' ]);
    last_is($path, ++$n, $kind, ended => 'refused', status => 500);
    $bridge->get($kind, 'sleeper', [ QUERY_STRING => 20, CGIBRIDGE_TIMEOUT => '200ms' ]);
    last_is($path, ++$n, $kind, ended => 'timeout', status => 504, app_status => 143);

    my $file = file();
    my @sleep = ('sleeper', QUERY_STRING => 20, TEST_PIDS => $file);
    $c = $bridge->connect($kind);
    $c->start(1, $bridge->params(@sleep), keep => 1);
    wait_pids($file, 2);
    $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1, ''));
    $c->wait_end(1);
    last_is($path, ++$n, $kind, ended => 'aborted', status => '-', app_status => 143);
    unlink $file;
    $c->start(1, $bridge->params(@sleep), keep => 1);
    wait_pids($file, 2);
    $c->hang_up;
    last_is($path, ++$n, $kind, ended => 'lost', status => '-');
    my $peer = (records($path))[-1]{peer};
    unlink $file;
    $c = $bridge->connect($kind);
    my $hold = $bridge->start_waiting($c, 1, [ CGIBRIDGE_ON_DISCONNECT => 'ignore' ]);
    $c->hang_up;
    ok($bridge->wait_for_log(qr/script goes on/), 'its client is gone');
    close $hold;
    last_is($path, ++$n, $kind, ended => 'detached', app_status => 0, status => 200);
    like((records($path))[-1]{peer}, qr/^(?:unix|127\.0\.0\.1:\d+)$/, 'and its peer is known');

    # a client that stops in the middle of PARAMS, one that speaks nonsense
    $c = $bridge->connect($kind);
    $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::record(FastCGI::PARAMS, 1, "\x09\x05SCRIPT"));
    $c->hang_up;
    last_is($path, ++$n, $kind, ended => 'lost', method => '-', uri => '-');
    $c = $bridge->connect($kind);
    $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::record(FastCGI::PARAMS, 1, "\xff" x 9)
        . FastCGI::record(FastCGI::PARAMS, 1, ''));
    $c->wait_end(1);
    last_is($path, ++$n, $kind, ended => 'refused', status => 400, method => '-');
    $c->hang_up;

    unlink $file;
    $c = $bridge->connect($kind);
    $c->start(1, $bridge->params(@sleep));
    wait_pids($file, 2);
    $bridge->signal('QUIT');
    $bridge->wait_exit;
    last_is($path, ++$n, $kind, ended => 'stopped', status => 503);
    $bridge->ok_log;
}, secs => 120;

scenario 'many requests on one connection' => sub {
    my ($bridge, $path) = logging();
    my $c = $bridge->connect('unix');
    $c->start($_, $bridge->params('hello', REQUEST_URI => "/r$_"), keep => 1) for 1 .. 40;
    $c->wait_end($_) for 1 .. 40;
    my @got = records($path);
    is_deeply([ sort map { $_->{uri} } @got ], [ sort map { "/r$_" } 1 .. 40 ], 'a line each');
    $c->hang_up;
    $bridge->stop;
};

# ---- what clients may try ----------------------------------------------------------------

# Text that would forge a line, a field or a value, or break a parser.
my @nasty = (
    "/a\n2026-01-01T00:00:00.000Z unix GET /forged /forged 200 0 0 0 0.000 1 ok",
    "/a\r\n\"},{\"uri\":\"/forged\"}", '/a","status":200,"x":"', '/back\\slash\\', "/tab\there",
    "/\e[2Jclear", "/\xc3\xa9t\xc3\xa9", "/\xff\xfe\xc3", "/\xed\xa0\x80", "/\xf0\x9f\x98\x80",
    "/ok \\xff", '/' . join('', map { chr } 1 .. 255), '/' . 'x' x 20000,
    '/' . "\x01" x 20000, '/' . "\xf0\x9f\x98\x80" x 5000, "/\x7f",
);

scenario 'no line can be forged: text' => sub {
    my ($bridge, $path) = logging();
    for my $text (@nasty) {
        $bridge->get('unix', 'hello', [ REQUEST_URI => $text, REQUEST_METHOD => $text =~ s{/}{}r ]);
    }
    my @lines = split /\n/, slurp($path);
    is(scalar @lines, scalar @nasty, 'as many lines as requests');
    is_deeply([ grep { !/^$line$/ } @lines ], [], 'each with its 12 fields');
    is_deeply([ grep { /[^ -~]/ } @lines ], [], 'of printable ASCII');
    is_deeply([ grep { length > 4095 } @lines ], [], 'none too long for one write to a pipe');
    # what is not cut can be had back
    my @back = map { $_->{uri} =~ s/\\x([0-9a-f]{2})/chr hex $1/ger } records($path);
    is_deeply([ @back[ 0 .. 11 ] ], [ @nasty[ 0 .. 11 ] ], 'the text is all there');
    like($back[$_], qr/\.\.\.$/, 'a long one is cut') for 12 .. 14;
    $bridge->stop;
};

scenario 'JSON is valid, whatever comes' => sub {
    my ($bridge, $path) = logging(format => 'json');
    my $json = JSON::PP->new->utf8; # strict: no relaxed parsing
    for my $text (@nasty, '') {
        $bridge->get('unix', 'hello', [ REQUEST_URI => "$text", REQUEST_METHOD => $text ]);
    }
    $bridge->get('unix', "no\nthere\xff");
    my @lines = split /\n/, slurp($path);
    is(scalar @lines, @nasty + 2, 'as many lines as requests');
    my @got = map { my $r = eval { $json->decode($_) }; diag($@, $_) if !$r; $r // {} } @lines;
    is_deeply([ grep { join(' ', sort keys %$_) ne join ' ', sort @names } @got ], [],
        'each is an object with the 12 members');
    is_deeply([ grep { /[^ -~]/ } @lines ], [], 'of printable ASCII');
    is($got[0]{uri}, $nasty[0], 'a newline comes back as one');
    is($got[2]{uri}, $nasty[2], 'so do quotes');
    is($got[6]{uri}, "/\x{e9}t\x{e9}", 'and characters beyond ASCII');
    is($got[7]{uri}, '/\\xff\\xfe\\xc3', 'bytes that are no UTF-8 are shown');
    is($got[9]{uri}, "/\x{1f600}", 'a character beyond 16 bits');
    is($got[-1]{script}, undef, 'null for what is not known');
    is($got[-1]{status}, 404, 'a number');
    ok($lines[0] =~ /"status":200,"app_status":0,/ && $lines[0] =~ /"duration":\d/,
        'numbers are no strings');
    $bridge->stop;
};

# ---- rotation --------------------------------------------------------------------------------

# Clients that ask for /CLIENT/1, /CLIENT/2... until told to stop; a code to stop them
# that returns how many requests each has made.
sub load ($bridge, $kind, $clients) {
    my @started;
    for my $n (1 .. $clients) {
        pipe(my $count, my $out) or die;
        pipe(my $stop, my $hold) or die;
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            close $hold;
            close $_->{hold} for @started;
            POSIX::_exit(client($bridge, $kind, $n, $stop, $out));
        }
        push @started, { pid => $pid, count => $count, hold => $hold };
    }
    return sub {
        close $_->{hold} for @started;
        return map {
            waitpid $_->{pid}, 0;
            is($?, 0, 'a client ended well');
            my $text = readline $_->{count};
            $text // 0;
        } @started;
    };
}

sub client ($bridge, $kind, $n, $stop, $out) {
    my $done = 0;
    my $until = time + slow(60);
    eval {
        while (time < $until) {
            my $ready = '';
            vec($ready, fileno $stop, 1) = 1;
            last if select $ready, undef, undef, 0;
            my $r = $bridge->get($kind, 'hello', [ REQUEST_URI => "/$n/" . ($done + 1) ]);
            die "an answer is not whole\n" if FastCGI::body($r) ne "hello\n";
            $done++;
        }
        1;
    } or return 1;
    syswrite $out, $done;
    return 0;
}

on_both 'rename and USR1 under load: no line is lost or torn' => sub ($kind) {
    my ($bridge, $path) = logging(workers => 4);
    my $stop = load($bridge, $kind, 4);
    my @files = ($path);
    for my $n (1 .. 12) {
        wait_until(10, sub { 10 <= (() = slurp($path) =~ /\n/g) });
        rename $path, "$path.$n" or die "$!\n";
        unshift @files, "$path.$n";
        $bridge->signal('USR1');
        wait_until(5, sub { -e $path });
    }
    my @counts = $stop->();
    my $text = join '', map { slurp($_) } @files;
    my @lines = split /\n/, $text, -1;
    is(pop @lines, '', 'the end is a line\'s end');
    is_deeply([ grep { !/^$line$/ } @lines ], [], 'all lines are whole');
    my %seen;
    $seen{ (split / /)[4] }++ for @lines;
    my @wanted = map { my $n = $_ + 1; map { "/$n/$_" } 1 .. $counts[$_] } 0 .. $#counts;
    cmp_ok(scalar @wanted, '>=', 120, 'there were ' . @wanted . ' requests');
    is_deeply([ grep { ($seen{$_} // 0) != 1 } @wanted ], [], 'each has its one line');
    is(scalar @lines, scalar @wanted, 'and there are no others');
    cmp_ok(scalar(grep { -s } @files), '>', 6, 'in many files');
    ok(wait_reopened($bridge, $path), 'all have the new file open, once, and none an old one');
    $bridge->stop;
}, secs => 120;

scenario 'a worker that starts after a rotation writes to the new file' => sub {
    my ($bridge, $path) = logging();
    rename $path, "$path.1";
    $bridge->signal('USR1');
    ok(wait_until(5, sub { -e $path }), 'USR1 makes it');
    my ($old) = $bridge->workers;
    kill 'KILL', $old;
    wait_until(10, sub { my ($new) = $bridge->workers; $new && $new != $old });
    $bridge->get('unix', 'hello');
    is(scalar(records($path)), 1, 'its line is there');
    is(-s "$path.1", 0, 'and not in the old one');
    $bridge->stop;
};

scenario 'lines of a reload are in the same file' => sub {
    my ($bridge, $path) = logging(workers => 2);
    my $c = $bridge->connect('unix');
    my $hold = $bridge->start_waiting($c);
    $bridge->signal('HUP');
    ok($bridge->wait_for_log(qr/ready.*ready/s, 15), 'reloaded');
    wait_until(5, sub { $bridge->workers == 3 });
    $bridge->get('unix', 'hello', [ REQUEST_URI => '/new' ]);
    rename $path, "$path.1";
    $bridge->signal('USR1');
    ok(wait_reopened($bridge, $path), 'all write to a new file');
    $bridge->end_waiting($c, $hold);
    is_deeply([ map { $_->{uri} } records("$path.1") ], ['/new'], 'of a new worker');
    is_deeply([ map { $_->{uri} } wait_records($path, 1) ], ['/waits'],
        'and of an old one, that got USR1 too');
    $bridge->stop;
};

# ---- logs that cannot be written ---------------------------------------------------------------

scenario 'it cannot be opened: no start' => sub {
    my $dir = tmp();
    for my $case ([ "$dir/no/such", qr/No such file/ ], [ $dir, qr/directory/ ],
        [ "$dir/fifo", qr/nobody reads it/ ])
    {
        my ($path, $why) = @$case;
        POSIX::mkfifo($path, 0600) if $path =~ /fifo/;
        my $r = run_program([ @Bridge::wrapper, $Bridge::daemon, '-s', "unix:$dir/never",
            '--access-log', $path ]);
        is($r->{exit}, 1, "$path: exit status 1");
        like($r->{err}, qr/access log \Q$path\E cannot be opened: .*$why/, 'and why');
        ok(!-e "$dir/never", 'no socket was made');
    }
};

if (is_root()) {
    scenario 'workers of another user follow a rotation' => sub {
        my $dir = file();
        mkdir $dir, 0755; # root's: only the supervisor can make a file there
        my $bridge = Bridge->start(copy => 1,
            args => [ '-u', 'nobody', '--access-log', "$dir/log", '--spool-dir', '/tmp' ]);
        rename "$dir/log", "$dir/old";
        $bridge->signal('USR1');
        ok(wait_reopened($bridge, "$dir/log", qr{^\Q$dir\E/old$}), 'all have opened it again');
        $bridge->get('tcp', 'hello');
        is(scalar(records("$dir/log")), 1, 'into the new file');
        is(-s "$dir/old", 0, 'nothing into the old one');
        is((stat "$dir/log")[2] & 0777, 0640, 'its mode is as ever');
        $bridge->stop;
    };
    scenario 'a link of whom scripts run as is not followed by root' => sub {
        my $dir = file();
        my $victim = spew(file(), "secret\n", 0600);
        mkdir $dir;
        my ($uid, $gid) = (getpwnam 'nobody')[ 2, 3 ];
        chown $uid, $gid, $dir;
        my $bridge = Bridge->start(copy => 1,
            args => [ '-u', 'nobody', '--access-log', "$dir/log", '--spool-dir', '/tmp' ]);
        rename "$dir/log", "$dir/old";
        symlink $victim, "$dir/log";
        system 'chown', '-h', "$uid:$gid", "$dir/log";
        $bridge->signal('USR1');
        ok($bridge->wait_for_log(qr/cannot be opened again: a symbolic link/), 'which is said');
        unlink "$dir/log";
        link $victim, "$dir/log";
        my $mark = $bridge->mark;
        $bridge->signal('USR1');
        $bridge->wait_for_log(qr/opening the log files again/, 5, from => $mark);
        sleep 0.3;
        is((stat $victim)[4], 0, 'what it leads to stays root\'s, also by a hard link');
        is(slurp($victim), "secret\n", 'and as it was');
        $bridge->stop;
    };
    scenario 'no permission at USR1' => sub {
        my $dir = file();
        mkdir $dir;
        chown +(getpwnam 'nobody')[ 2, 3 ], $dir;
        my $bridge = Bridge->start(user => 'nobody', args => [ '--access-log', "$dir/log" ]);
        chown 0, 0, $dir;
        rename "$dir/log", "$dir/old";
        $bridge->signal('USR1');
        ok($bridge->wait_for_log(qr/(?:cannot be opened again: Permission denied.*){2}/s), 'is said');
        $bridge->get('unix', 'hello');
        is(scalar(records("$dir/old")), 1, 'the old file stays in use');
        chown +(getpwnam 'nobody')[ 2, 3 ], $dir;
        $bridge->signal('USR1');
        wait_reopened($bridge, "$dir/log", qr{^\Q$dir\E/old$});
        $bridge->get('unix', 'hello');
        is(scalar(records("$dir/log")), 1, 'until it works');
        $bridge->stop;
    };
}

on_both 'a full disk: requests go on, and one warning says it' => sub ($kind) {
    my $bridge = Bridge->start(workers => 3, args => [ '--access-log', '/dev/full' ]);
    my $mark = $bridge->mark;
    for (1 .. 60) {
        FastCGI::body($bridge->get($kind, 'hello')) eq "hello\n" or fail('an answer');
    }
    $bridge->one_warning($mark, qr{access log /dev/full: lines lost: \d+: No space});
    $bridge->stop;
};

scenario 'a FIFO: who reads it slowly, or leaves, holds up nobody' => sub {
    my $path = file();
    POSIX::mkfifo($path, 0600) or die;
    sysopen my $fifo, $path, O_RDONLY | O_NONBLOCK or die "$path: $!\n";
    my $bridge = Bridge->start(args => [ '--access-log', $path ]);
    my $mark = $bridge->mark;
    my $long = '/' . 'x' x 2000;
    for (1 .. 60) {
        my $r = $bridge->get('unix', 'hello', [ REQUEST_URI => $long ]);
        FastCGI::body($r) eq "hello\n" or fail('an answer');
    }
    $bridge->one_warning($mark, qr/lines lost: 1: its reader does not keep up/);
    my $text = '';
    1 while sysread $fifo, $text, 65536, length $text;
    is_deeply([ grep { !/^$line$/ } split /\n/, $text ], [], 'what has come is whole');
    $bridge->get('unix', 'hello');
    ok(sysread($fifo, $text, 65536), 'there is room again, and a line comes');
    close $fifo;
    is(FastCGI::body($bridge->get('unix', 'hello')), "hello\n", 'served without a reader');
    $bridge->stop;
};

scenario 'standard output' => sub {
    my $bridge = Bridge->start(workers => 2, args => [ '--access-log', '-' ]);
    $bridge->get('unix', 'hello') for 1 .. 10;
    $bridge->signal('USR1');
    $bridge->wait_for_log(qr/opening the log files again/);
    $bridge->get('tcp', 'hello');
    my @got = split /\n/, slurp("$bridge->{dir}/out");
    is(scalar @got, 11, 'the lines are there');
    is_deeply([ grep { !/^$line$/ } @got ], [], 'and nothing else');
    $bridge->stop;
};

scenario 'standard output is a pipe that nobody reads' => sub {
    pipe(my $reader, my $writer) or die;
    my $bridge = Bridge->start(args => [ '--access-log', '-' ],
        child => sub { open STDOUT, '>&', $writer or die });
    my $long = '/' . 'x' x 2000;
    for (1 .. 60) {
        my $r = $bridge->get('unix', 'hello', [ REQUEST_URI => $long ]);
        FastCGI::body($r) eq "hello\n" or fail('an answer');
    }
    ok($bridge->wait_for_log(qr/access log -: lines lost: 1: its reader/), 'lines are lost, no request');
    $bridge->stop;
};

# ---- syslog ------------------------------------------------------------------------------------------

# A log daemon at `path`.
sub syslogd ($path) {
    unlink $path;
    my $fh = IO::Socket::UNIX->new(Local => $path, Type => SOCK_DGRAM) or die "$path: $!\n";
    chmod 0666, $path;
    $fh->blocking(0);
    return $fh;
}

sub datagrams ($fh) {
    my @got;
    while (defined $fh->recv(my $text, 65536)) {
        push @got, $text;
    }
    return @got;
}

sub wait_datagram ($fh, $re) {
    my @got;
    wait_until(5, sub { push @got, datagrams($fh); grep { /$re/ } @got });
    return grep { /$re/ } @got;
}

my $head = qr/[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d cgibridge\[\d+\]: /;

scenario 'the log goes to syslog, and finds it again' => sub {
    my $path = file();
    my $daemon = syslogd($path);
    my $bridge = Bridge->start(workers => 2, any => 1, args => [ '--syslog', '--syslog-socket', $path ]);
    ok(wait_datagram($daemon, qr/^<30>${head}ready: /), 'the supervisor\'s lines, as daemon, info');
    wait_until(5, sub { $bridge->workers == 2 });
    script('nasty', "#!/bin/sh\nprintf 'x\\033[2J\\377\\n' >&2\nprintf 'Content-Type: text/plain\\n\\n'\n");
    $bridge->get('unix', 'nasty');
    ok(wait_datagram($daemon, qr/^<28>${head}\S*nasty\[\d+\]: request 1: stderr: x\\x1b\[2J\\xff$/),
        'a worker\'s too, escaped');
    close $daemon;
    $daemon = syslogd($path);
    $bridge->get('unix', 'not-there') for 1 .. 8;
    ok(wait_datagram($daemon, qr/^<28>${head}request 1 from unix: 404/), 'a new syslogd gets them');
    is($bridge->log, '', 'standard error has nothing');
    close $daemon;
    unlink $path;
    $bridge->get('unix', 'not-there');
    ok($bridge->wait_for_log(qr/^\S+Z cgibridge\[\d+\] warn: request 1 from unix: 404/m),
        'without one they go to standard error');
    $daemon = syslogd($path);
    $bridge->signal('USR1');
    ok(wait_datagram($daemon, qr/opening the log/), 'and back');
    $bridge->stop;
};

scenario 'a facility, and no syslogd at the start' => sub {
    my $path = file();
    my $bridge = Bridge->start(args => [ '--syslog=local5', '--syslog-socket', $path ]);
    like($bridge->log, qr/no syslog daemon takes log lines at \Q$path\E: No such file.*--syslog-socket/, 'is said');
    my $daemon = syslogd($path);
    $bridge->get('unix', 'not-there');
    ok(wait_datagram($daemon, qr/^<172>${head}request 1/), 'it comes up later');
    $bridge->stop;
};

scenario 'a syslogd that hangs' => sub {
    my $path = file();
    my $daemon = syslogd($path);
    my $bridge = Bridge->start(any => 1, args => [ '--syslog', '--syslog-socket', $path,
        '--access-log', 'syslog' ]);
    wait_datagram($daemon, qr/ready/);
    my $long = '/' . 'x' x 2000;
    my $since = time;
    for (1 .. 400) {
        my $r = $bridge->get('unix', 'not-there', [ REQUEST_URI => $long ]);
        FastCGI::status($r) == 404 or fail('an answer');
    }
    cmp_ok(time - $since, '<', slow(20), 'holds up nobody');
    ok($bridge->wait_for_log(qr/access log syslog: lines lost: \d+: its reader does not keep up/),
        'and standard error has what it missed');
    $bridge->stop;
};

for my $format (qw(text json)) {
    scenario "the access log goes to syslog: $format" => sub {
        my $path = file();
        my $daemon = syslogd($path);
        my $bridge = Bridge->start(args => [ '--access-log', 'syslog', '--access-log-format', $format,
            '--syslog-socket', $path ]);
        $bridge->get('tcp', 'hello', [ REQUEST_URI => "/a\n<0>b" ]);
        my ($got) = wait_datagram($daemon, qr/hello/);
        like($got, qr/^<30>$head/, 'as daemon, info');
        $got =~ s/^<30>$head//;
        if ($format eq 'json') {
            is(JSON::PP->new->decode($got)->{uri}, "/a\n<0>b", 'valid JSON');
        } else {
            like($got, qr/^$line\z/, 'the line, without a newline');
        }
        like($bridge->log, qr/ready/, 'the log stays where it was');
        $bridge->stop;
    };
}

scenario 'an access log in a syslog that is not there: no start' => sub {
    my $dir = tmp();
    my $r = run_program([ @Bridge::wrapper, $Bridge::daemon, '-s', "unix:$dir/never",
        '--access-log', 'syslog', '--syslog-socket', "$dir/no-syslog" ]);
    is($r->{exit}, 1, 'exit status 1');
    like($r->{err}, qr{no syslog daemon takes log lines at \Q$dir\E/no-syslog}, 'and why');
};

done_testing;

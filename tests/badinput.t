#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Bad input, from clients, scripts and the command line: a defined answer or a
# closed connection, exactly one log line that says what and who, and the worker
# lives on.
use v5.36;
use IO::Socket::UNIX;
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes qw(time);
use FastCGI;
use Bridge;

my $bridge = Bridge->start(args => [ '--disconnect-grace', '0', '--kill-delay', '1s' ]);
my $dir = Bridge::cgi();
my ($worker) = $bridge->workers;

# Who did it, as the log should name the peer.
my %who = (unix => qr/\bunix\b|\bpid\b|\buid\b/, tcp => qr/\b127\.0\.0\.1:\d+/);

# Exactly one line since $mark, that says $what and names the peer.
sub one_line ($mark, $what, $kind) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $bridge->wait_for_log(qr/\n/, 5, from => $mark);
    $bridge->catch_up($kind);
    my @lines = quiet($bridge->log_since($mark));
    is(scalar @lines, 1, 'one log line') or diag(join "\n", @lines);
    like($lines[0] // '', $what, 'that says what');
    like($lines[0] // '', $who{$kind}, 'and who');
}

sub lives ($kind) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $bridge->ok_serves($kind, $worker);
}

# ---- bytes that are not FastCGI -----------------------------------------------

# Sends bytes; the connection has to be closed, with one log line.
sub closed_for ($name, $bytes, $what) {
    on_both $name => sub ($kind) {
        my $mark = $bridge->mark;
        my $c = $bridge->connect($kind);
        $c->send($bytes);
        like($c->wait_close(5), qr/^(?:eof|reset)$/, 'the connection is closed');
        is($c->{bytes_read} // 0, 0, 'with no answer');
        one_line($mark, $what, $kind);
        lives($kind);
    };
}

my $hello = FastCGI::request(1, $bridge->params('hello'));

closed_for 'version 0', "\0" . substr($hello, 1), qr/version\D*0\b/i;
closed_for 'version 2', FastCGI::record(FastCGI::BEGIN_REQUEST, 1, "\0\1\0\0\0\0\0\0",
    version => 2), qr/version\D*2\b/i;
closed_for 'HTTP', "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", qr/HTTP|version\D*71\b/i;
closed_for 'a TLS hello', "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . 'r' x 200,
    qr/version\D*22\b|TLS/i;
closed_for 'a wrong version in the second record',
    FastCGI::begin(1) . FastCGI::record(FastCGI::PARAMS, 1, '', version => 9), qr/version\D*9\b/i;
closed_for 'a content length that is too small',
    FastCGI::begin(1) . FastCGI::record(FastCGI::PARAMS, 1, 'A' x 40, length => 20),
    qr/version\D*65\b/i;
closed_for 'a content length that is too large',
    FastCGI::begin(1) . FastCGI::record(FastCGI::PARAMS, 1, FastCGI::pairs(A => 'b'),
        length => 100) . "\0" x 500, qr/version\D*0\b/i;
closed_for 'a BEGIN_REQUEST of 4 bytes',
    FastCGI::record(FastCGI::BEGIN_REQUEST, 1, "\0\1\0\0") . substr($hello, 16), qr/BEGIN/i;

on_both 'a megabyte of noise' => sub ($kind) {
    srand 42;
    my $noise = pack 'C*', map { int rand 256 } 1 .. 1 << 20;
    for my $bytes ($noise, "\1" . $noise, $hello . $noise) {
        my $mark = $bridge->mark;
        my $c = $bridge->connect($kind);
        $c->expect(1);
        $c->send($bytes);
        like($c->wait_close(5), qr/^(?:eof|reset)/, 'the connection is closed');
        # behind a whole request it may not even be looked at
        one_line($mark, qr/version|FastCGI/i, $kind) if $bytes ne $hello . $noise;
    }
    lives($kind);
};

on_both 'noise behind a request that runs' => sub ($kind) {
    my $file = Bridge::tmp() . "/noise-$kind";
    my $mark = $bridge->mark;
    my $c = $bridge->connect($kind);
    $c->expect(1);
    $c->send(FastCGI::request(1, $bridge->params('family', TEST_PIDS => $file), keep => 1));
    my @pids = wait_pids($file, 4);
    is(scalar @pids, 4, 'the script runs');
    $c->send("\xff" x 100);
    like($c->wait_close(5), qr/^(?:eof|reset)$/, 'the connection is closed');
    is_deeply([ gone(5, @pids) ], [], 'the script and its children are killed');
    my @said = grep { /version/i } quiet($bridge->log_since($mark));
    is(scalar @said, 1, 'one log line says what') or diag($bridge->log_since($mark));
    like($said[0] // '', $who{$kind}, 'and who');
    lives($kind);
};

# ---- clients that stop --------------------------------------------------------

my %stops = (
    'in a record header' => substr($hello, 0, 5),
    'in BEGIN_REQUEST' => substr($hello, 0, 12),
    'behind BEGIN_REQUEST' => substr($hello, 0, 16),
    'in PARAMS' => substr($hello, 0, 60),
    'in STDIN' => FastCGI::begin(1) . FastCGI::params(1, $bridge->post('count', 'x' x 1000))
        . substr(FastCGI::stdin(1, 'x' x 1000), 0, 500),
);
for my $where (sort keys %stops) {
    on_both "a client that stops $where and hangs up" => sub ($kind) {
        for my $how (qw(hang_up reset)) {
            my $mark = $bridge->mark;
            my $c = $bridge->connect($kind);
            $c->expect(1);
            $c->send($stops{$where});
            $bridge->catch_up($kind); # a reset throws away what has not been read
            $c->$how;
            one_line($mark, qr/clos|hung up|gone|disconnect|left|reset|EOF|end of|incomplete/i, $kind);
        }
        lives($kind);
    };
}

on_both 'a client that stops and stays harms no other' => sub ($kind) {
    my @stuck = map { my $c = $bridge->connect($kind); $c->send($_); $c } values %stops;
    lives($kind);
    my $mark = $bridge->mark;
    $_->hang_up for @stuck;
    ok(wait_until(5, sub { quiet($bridge->log_since($mark)) >= @stuck }), 'a line for each');
};

# ---- parameters ----------------------------------------------------------------

# PARAMS content that is refused: with an answer, or by closing.
sub refused_for ($name, $content, $what) {
    on_both $name => sub ($kind) {
        my $mark = $bridge->mark;
        my $c = $bridge->connect($kind);
        my $r = $c->expect(1);
        $c->send(FastCGI::begin(1) . FastCGI::stream(FastCGI::PARAMS, 1, $content)
            . FastCGI::record(FastCGI::PARAMS, 1) . FastCGI::stdin_end(1));
        is($c->wait_close(5), 'eof', 'the connection is closed');
        like($r->{out}, qr/\AStatus: [45]\d\d /, 'behind a Status 4xx or 5xx') if $r->{end};
        one_line($mark, $what, $kind);
        lives($kind);
    };
}

my $good = FastCGI::pairs(@{ $bridge->params('hello') });
my $odd = qr/param/i;

refused_for 'a pair whose value reaches past the end', $good . "\x01\x10Xshort", $odd;
refused_for 'a pair whose name reaches past the end', $good . "\x7f\x01X", $odd;
refused_for 'a pair of 2 GiB', $good . "\xff\xff\xff\xff\xff\xff\xff\xffXY", $odd;
refused_for 'half a length', $good . "\x01\x80\x00", $odd;
refused_for 'a NUL in a value', $good . FastCGI::pairs(X_TEST => "a\0b"), $odd;
refused_for 'a NUL in a name', $good . FastCGI::pairs("X\0Y" => 'b'), $odd;
refused_for 'a NUL in SCRIPT_FILENAME',
    FastCGI::pairs(SCRIPT_FILENAME => "$dir/hello\0.txt", REQUEST_METHOD => 'GET'), $odd;
refused_for 'a megabyte of parameters', $good . FastCGI::pairs(X_TEST => 'v' x (1 << 20)), $odd;
refused_for 'half a megabyte of small parameters',
    $good . FastCGI::pairs(map { ("X_$_" => 'v') } 1 .. 60_000), $odd;

# ---- scripts that cannot run -----------------------------------------------------

script('no-program', "this is neither a program nor a script\n");
script('not-executable', "#!/bin/sh\n", 0644);
script('empty', '');
mkdir "$dir/directory" or die;
POSIX::mkfifo("$dir/fifo", 0755) or die;

# A request for a script that is refused; the log line names path and errno.
sub no_script ($b, $kind, $params, $status, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $mark = $b->mark;
    my $r = FastCGI->ask($b->url($kind), $params);
    like($r->{out}, qr/\AStatus: $status /, "Status $status");
    like(FastCGI::response($r)->{header}{'content-type'} // '', qr{^text/plain}, 'text/plain');
    unlike(FastCGI::body($r), qr/\Q$dir\E/, 'no path of the server in the body');
    $b->wait_for_log(qr/\n/, 5, from => $mark);
    $b->catch_up($kind);
    my @lines = quiet($b->log_since($mark));
    is(scalar @lines, 1, 'one log line') or diag(join "\n", @lines);
    like($lines[0] // '', $what, 'that says what');
    like($lines[0] // '', qr/\buid\D*\d+/, 'and as whom');
}

my @scripts = (
    [ 'a missing script', 'missing', 404, qr{\Q$dir\E/missing.*No such file or directory} ],
    [ 'a missing directory', 'no/where', 404, qr{\Q$dir\E/no.*No such file or directory} ],
    [ 'a directory', 'directory', 403, qr{\Q$dir\E/directory.*directory}i ],
    [ 'a FIFO', 'fifo', 403, qr{\Q$dir\E/fifo} ],
    [ 'a script that is not executable', 'not-executable', 403,
        qr{\Q$dir\E/not-executable.*Permission denied} ],
    [ 'a missing interpreter', 'lost', 500, qr{\Q$dir\E/lost.*No such file or directory} ],
    [ 'a file without "#!"', 'no-program', 500, qr{\Q$dir\E/no-program.*Exec format error} ],
    [ 'an empty file', 'empty', 500, qr{\Q$dir\E/empty.*Exec format error} ],
);
for (@scripts) {
    my ($name, $script, $status, $what) = @$_;
    on_both $name => sub ($kind) {
        no_script($bridge, $kind, $bridge->params($script), $status, $what);
        lives($kind);
    };
}

on_both 'a path of 5000 bytes' => sub ($kind) {
    no_script($bridge, $kind, [ SCRIPT_FILENAME => '/x' x 2500, REQUEST_METHOD => 'GET' ], 404,
        qr/No such file or directory/);
    no_script($bridge, $kind, [ SCRIPT_FILENAME => '/.' x 2500, REQUEST_METHOD => 'GET' ], 404,
        qr/File name too long/);
};

on_both 'a relative path' => sub ($kind) {
    no_script($bridge, $kind, [ SCRIPT_FILENAME => 'cgi-bin/hello', REQUEST_METHOD => 'GET' ], 500,
        qr/cgi-bin\/hello/);
};

# Root may read everything: the daemon is another user there.
scenario 'a directory that the daemon may not search' => sub {
    my $closed = Bridge::tmp() . '/closed';
    mkdir $closed;
    spew("$closed/script", "#!/bin/sh\n", 0755);
    my $other = Bridge->start(is_root() ? (user => 'nobody') : ());
    chmod 0, $closed;
    for my $kind (qw(unix tcp)) {
        my $uid = is_root() ? (getpwnam 'nobody')[2] : $>;
        for my $name ("$closed/script", "$closed/script/info", "$closed/none") {
            no_script($other, $kind, [ SCRIPT_FILENAME => $name, REQUEST_METHOD => 'GET' ], 403,
                qr{\Q$closed\E.*Permission denied.*\b$uid\b});
        }
        is(FastCGI::body($other->get($kind, 'hello')), "hello\n", 'others are served');
    }
    chmod 0755, $closed;
    $other->stop;
};

# ---- the command line -------------------------------------------------------------

my $daemon = $Bridge::daemon;
my @program = (@Bridge::wrapper, $daemon);
my $tmp = Bridge::tmp();

my @usage = (
    [ '-c', 'x' ], [ '-c', '0' ], [ '-c', '-1' ], [ '-c', '4x' ], [ '-c', '' ],
    [ '-c', '99999999999999999999' ], [ '-m', '0' ], [ '-m', 'many' ], [ '--workers', '1.5' ],
    [ '--backlog', '0' ], [ '--backlog', 'x' ], [ '--socket-mode', '999' ],
    [ '--socket-mode', '1777' ], [ '--socket-mode', 'rw' ],
    [ '--socket-owner', 'no-such-user-here' ], [ '--socket-owner', 'root:no-such-group-here' ],
    [ '-t', '-5' ], [ '-t', '5x' ], [ '-t', 's' ], [ '-t', '' ], [ '--idle-timeout', 'soon' ],
    [ '--linger', '1d' ], [ '--kill-delay', '1 s' ], [ '--on-disconnect', 'maybe' ],
    [ '--on-disconnect', 'kil' ], [ '-l', 'loud' ], [ '-p', 'relative/path' ],
    [ '-r', 'relative' ], [ '-s', 'nonsense' ], [ '-s', 'unix:' ], [ '-s', 'unix:' . 'x' x 200 ],
    [ '-s', 'tcp:127.0.0.1' ], [ '-s', 'tcp:127.0.0.1:99999' ], [ '-s', 'tcp:127.0.0.1:x' ],
    [ '-s', 'tcp6:[::1]' ], [ '-s', 'fd:x' ], [ '-s', 'fd:-1' ],
    [ '-s', 'http://127.0.0.1:80' ], [ '-u', 'no-such-user-here' ], [ '-g', 'no-such-group-here' ],
    [ '--chroot', 'relative' ], [ '--chroot', '/no/such/directory' ], [ '--allow', 'example.org' ],
    [ '--allow', '10.0.0.0/99' ], [ '--allow-user', 'no-such-user-here' ],
    [ '--spool-dir', '/no/such/directory' ], [ '-s', 'tcp:0.0.0.0:9' ],
);
my %long = ('-c' => 'workers', '-m' => 'max-scripts', '-t' => 'timeout', '-l' => 'log-level',
    '-p' => 'program', '-r' => 'root', '-s' => 'socket', '-u' => 'user', '-g' => 'group');

for (@usage) {
    my ($option, $value) = @$_;
    scenario "usage: $option '" . substr($value, 0, 40) . "'" => sub {
        my $r = run_program([ @program, '-s', "unix:$tmp/usage", $option, $value ],
            secs => slow(10));
        is($r->{exit}, 2, 'exit status 2');
        is(($r->{err} =~ tr/\n//), 1, 'one line') or diag($r->{err});
        my $name = $long{$option} ? qr/(?:\Q$option\E|--$long{$option})\b/ : qr/\Q$option\E\b/;
        like($r->{err}, $name, 'that names the option');
        my $shown = quotemeta substr $value, 0, 60;
        like($r->{err}, qr/$shown/, 'and the value');
        is($r->{out}, '', 'nothing on stdout');
        ok(!-e "$tmp/usage", 'no socket left');
    };
}

for ([ 'an unknown option', '--no-such-option' ], [ 'an unknown letter', '-Z' ],
    [ 'a missing value', '-c' ], [ 'an operand', 'operand' ])
{
    my ($name, $option) = @$_;
    scenario "usage: $name" => sub {
        my $r = run_program([ @program, '-s', "unix:$tmp/usage", $option ]);
        is($r->{exit}, 2, 'exit status 2');
        my $letter = $option =~ s/^-+//r;
        like($r->{err}, qr/\Q$letter\E|workers/, 'the message names it');
    };
}

# ---- start-up ------------------------------------------------------------------

sub start_up ($name, $url, $what, @more) {
    scenario "start-up: $name" => sub {
        my $r = run_program([ @program, '-s', $url, '-c', '1', @more ]);
        is($r->{exit}, 1, 'exit status 1') or diag($r->{err});
        my @errors = grep { / error: / } split /\n/, $r->{err};
        is(scalar @errors, 1, 'one error') or diag($r->{err});
        like($errors[0] // '', $what, 'that says what');
        my $name = $url =~ s/^unix://r;
        like($errors[0] // '', qr/\Q$name\E/, 'and where');
    };
}

spew("$tmp/file", "precious\n");
symlink "$tmp/file", "$tmp/link";

start_up('no directory for the socket', "unix:$tmp/none/socket", qr/the directory .* does not exist/);
start_up('a live unix socket', $bridge->url('unix'), qr/in use|another/i);
start_up('a TCP port in use', $bridge->url('tcp'), qr/in use/i);
start_up('a regular file in the socket\'s place', "unix:$tmp/file", qr/socket/i);
start_up('a symbolic link to a file in the socket\'s place', "unix:$tmp/link", qr/socket/i);
start_up('a directory in the socket\'s place', "unix:$tmp", qr/socket|directory/i);
start_up('a descriptor that is not open', 'fd:77', qr/Bad file descriptor|not open|not a listening socket/i);
start_up('an address that is not ours', 'tcp:192.0.2.1:9', qr/assign|available/i, '--allow',
    '192.0.2.7');
is(slurp("$tmp/file"), "precious\n", 'the file is as it was');
ok(-l "$tmp/link", 'and the link');
lives('unix');

# Leaves a process no free descriptor, or as many as it had.
sub starve ($pid, $starved) {
    state %before;
    my ($soft, $hard) = slurp("/proc/$pid/limits") =~ /^Max open files\s+(\d+)\s+(\d+)/m;
    my $free = 0;
    $free++ while -l "/proc/$pid/fd/$free";
    $before{$pid} //= $soft;
    my $limit = ($starved ? $free : $before{$pid}) . ":$hard";
    is(run_program([ 'prlimit', "--pid=$pid", "--nofile=$limit" ])->{exit}, 0, "limit $limit");
}

on_both 'no descriptors left' => sub ($kind) {
    is_program('prlimit', 'util-linux');
    my $other = Bridge->start(sockets => [$kind]);
    my ($worker) = $other->workers;
    my $mark = $other->mark;
    my $known = $other->connect($kind);
    $known->start(1, $other->params('hello'), keep => 1);
    is(FastCGI::body($known->wait_end(1)), "hello\n", 'a connection');
    starve($worker, 1);
    $known->start(2, $other->params('hello'), keep => 1);
    is(FastCGI::status($known->wait_end(2)), 503, 'no pipe for its next script: 503');
    like($other->log_since($mark), qr/cannot start a process: Too many open files \(raise /,
        'the log says what to raise');
    my $new = $other->connect($kind);
    $new->start(1, $other->params('hello'));
    ok($other->wait_for_log(qr/cannot accept connections: Too many open files: [^\n]*\(raise /,
        5, from => $mark), 'so it does when it cannot accept') or diag($other->log_since($mark));
    $new->read_until(slow(1.3), sub { 0 });
    is(() = $other->log_since($mark) =~ /cannot accept/g, 1, 'once, though it tries again');
    starve($worker, 0);
    is(FastCGI::body($new->wait_end(1)), "hello\n", 'who came meanwhile is served');
    $known->start(3, $other->params('hello'));
    is(FastCGI::body($known->wait_end(3)), "hello\n", 'and who was there');
    $other->ok_serves($kind, $worker);
    $other->stop;
};

scenario 'start-up: a second socket that fails leaves nothing of the first' => sub {
    my $r = run_program([ @program, '-c', '1', '-s', "unix:$tmp/first",
        '-s', "unix:$tmp/none/second" ]);
    is($r->{exit}, 1, 'exit status 1');
    ok(!-e "$tmp/first", 'no socket file');
    is_deeply([ grep { !/bridge-|cgi-bin/ } glob "$tmp/first*" ], [], 'nor a temporary one');
};

scenario 'start-up: a user without rights to the directory' => sub {
    my $home = "$tmp/home";
    mkdir $home, 0555;
    my @as = is_root() ? qw(setpriv --reuid=nobody --regid=nogroup --clear-groups) : ();
    is_program('setpriv', 'util-linux') if is_root();
    spew("$tmp/copy", slurp($daemon), 0755);
    my $r = run_program([ @as, @Bridge::wrapper, "$tmp/copy", '-c', '1', '-s', "unix:$home/socket" ]);
    is($r->{exit}, 1, 'exit status 1');
    like($r->{err}, qr{\Q$home/socket\E.*Permission denied}, 'the line says where and why');
};

$bridge->stop;
done_testing;

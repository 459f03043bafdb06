#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# fcgiget end to end against a scripted FastCGI server in this file: what it
# sends, what it makes of odd answers, and its exit status.
#
# FCGIGET    the program (default ./fcgiget)
# TEST_SLOW  factor on upper time bounds (default 1), for valgrind and the like
use v5.36;
use File::Temp qw(tempdir);
use FindBin;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX qw(:sys_wait_h);
use Socket;
use Test::More;
use Time::HiRes qw(time sleep);

my $program = $ENV{FCGIGET} || './fcgiget';
my $slow = $ENV{TEST_SLOW} || 1;
my $dir = tempdir(CLEANUP => 1);
my $main = $$;
my %servers;    # pid => 1

my ($BEGIN, $END, $PARAMS, $STDIN, $STDOUT, $STDERR) = (1, 3, 4, 5, 6, 7);
my ($GET_VALUES, $VALUES_RESULT, $UNKNOWN_TYPE) = (9, 10, 11);

$SIG{PIPE} = 'IGNORE';
END {
    my $status = $?;
    if ($$ == $main) {
        kill 'KILL', $_ for keys %servers;
        waitpid $_, 0 for keys %servers;
    }
    $? = $status;
}

# ---- the wire ---------------------------------------------------------------

sub record ($type, $content, $id = 1, $padding = -length($content) % 8) {
    return pack('CCnnCC', 1, $type, $id, length $content, $padding, 0) . $content . "\0" x $padding;
}

sub end_record ($app = 0, $protocol = 0) {
    return record($STDOUT, '') . record($END, pack 'NCCCC', $app || 0, $protocol || 0, 0, 0, 0);
}

sub answer (@parts) { return record($STDOUT, join '', @parts) . end_record() }

sub read_exactly ($socket, $want) {
    my $bytes = '';
    while (length $bytes < $want) {
        my $n = sysread $socket, $bytes, $want - length $bytes, length $bytes;
        return undef if !$n;
    }
    return $bytes;
}

sub read_record ($socket) {
    my $head = read_exactly($socket, 8);
    return if !defined $head;
    my ($version, $type, $id, $length, $padding) = unpack 'CCnnC', $head;
    my $content = read_exactly($socket, $length + $padding);
    return if !defined $content;
    return ($type, $id, substr $content, 0, $length);
}

sub decode_pairs ($bytes) {
    my @pairs;
    while (length $bytes) {
        my @length;
        for (1, 2) {
            my $long = ord($bytes) & 0x80;
            push @length, $long ? unpack('N', $bytes) & 0x7fffffff : ord $bytes;
            substr $bytes, 0, $long ? 4 : 1, '';
        }
        my $name = substr $bytes, 0, $length[0], '';
        push @pairs, [$name, substr $bytes, 0, $length[1], ''];
    }
    return @pairs;
}

sub encode_pairs (@list) {
    my $bytes = '';
    while (my ($name, $value) = splice @list, 0, 2) {
        $bytes .= length $_ < 128 ? chr length : pack 'N', 0x80000000 | length for $name, $value;
        $bytes .= $name . $value;
    }
    return $bytes;
}

# Reads a request up to the end of its body, or with `head_only` of its parameters.
sub read_request ($socket, $head_only = 0) {
    my %request = (params => '', body => '', types => '');
    while (my ($type, $id, $content) = read_record($socket)) {
        $request{types} .= "$type:$id:" . (length $content ? 'x' : '') . ' ';
        (undef, $request{flags}) = unpack 'nC', $content if $type == $BEGIN;
        $request{params} .= $content if $type == $PARAMS;
        $request{body} .= $content if $type == $STDIN;
        last if ($type == $STDIN || ($head_only && $type == $PARAMS)) && $content eq '';
    }
    return \%request;
}

# ---- servers ----------------------------------------------------------------

my $count = 0;

# Forks a server that gives its one connection on `listener` to `handler`.
sub serve_on ($listener, $handler) {
    my $pid = fork;
    die "fork: $!" if !defined $pid;
    if ($pid == 0) {
        alarm 60 * $slow;
        my $socket = $listener->accept or POSIX::_exit(1);
        $handler->($socket);
        POSIX::_exit(0);
    }
    close $listener;
    $servers{$pid} = 1;
    return $pid;
}

sub serve ($handler) {
    my $path = "$dir/s" . ++$count;
    my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 5) or die "$path: $!";
    serve_on($listener, $handler);
    return "unix:$path";
}

# A server that reads the whole request, sends `bytes`, and closes.
sub serve_bytes ($bytes) {
    return serve(sub ($socket) {
        read_request($socket);
        syswrite $socket, $bytes;
    });
}

sub write_file ($name, $bytes) {
    open my $file, '>:raw', $name or die "$name: $!";
    print $file $bytes;
    close $file or die "$name: $!";
    return $name;
}

sub read_file ($name) {
    open my $file, '<:raw', $name or return '';
    local $/;
    my $bytes = <$file>;
    return defined $bytes ? $bytes : '';
}

# A server that answers and leaves the request in a file; returns its URL and a
# function that reads the request back.
sub serve_recording ($bytes) {
    my $seen = "$dir/seen" . ($count + 1);
    my $url = serve(sub ($socket) {
        my $request = read_request($socket);
        write_file($seen, pack '(N/a)*', map { $request->{$_} } qw(flags types params body));
        syswrite $socket, $bytes;
    });
    return ($url, sub {
        my %request;
        @request{qw(flags types params body)} = unpack '(N/a)*', read_file($seen);
        $request{pairs} = [decode_pairs($request{params})];
        $request{env} = {map { @$_ } @{$request{pairs}}};
        return \%request;
    });
}

# ---- running fcgiget ----------------------------------------------------------

# Starts fcgiget with its three files redirected; `in` and `out` name files.
sub start ($in, $out, @args) {
    my $pid = fork;
    die "fork: $!" if !defined $pid;
    if ($pid == 0) {
        open STDIN, '<', $in or POSIX::_exit(99);
        open STDOUT, '>', $out or POSIX::_exit(99);
        open STDERR, '>', "$dir/err" or POSIX::_exit(99);
        exec $program, @args or POSIX::_exit(99);
    }
    return $pid;
}

# Waits at most 30 s for `pid`; its exit status, -1 if it had to be killed or died.
sub finish ($pid) {
    my $until = time + 30 * $slow;
    while (waitpid($pid, WNOHANG) == 0) {
        if (time > $until) {
            kill 'KILL', $pid;
            waitpid $pid, 0;
            return -1;
        }
        sleep 0.005;
    }
    return $? & 127 ? -1 : $? >> 8;
}

sub run_with ($in, @args) {
    my $begun = time;
    my %result = (rc => finish(start($in, "$dir/out", @args)));
    $result{time} = time - $begun;
    $result{out} = read_file("$dir/out");
    $result{err} = read_file("$dir/err");
    return \%result;
}

sub run (@args) { return run_with('/dev/null', @args) }

sub check ($result, $rc, $out, $name) {
    is($result->{rc}, $rc, "$name: exit $rc") or diag $result->{err};
    is($result->{out}, $out, "$name: output");
}

my $ok = "Content-Type: text/plain\r\n\r\n";

# ---- what is sent -----------------------------------------------------------

{
    my ($url, $seen) = serve_recording(answer($ok, "hello\n"));
    check(run('-s', $url, '/srv/a.cgi?x=1&y'), 0, "hello\n", 'plain GET');
    my $request = $seen->();
    my %want = (
        SCRIPT_FILENAME => '/srv/a.cgi', SCRIPT_NAME => '/srv/a.cgi', QUERY_STRING => 'x=1&y',
        REQUEST_URI => '/srv/a.cgi?x=1&y', REQUEST_METHOD => 'GET',
        SERVER_PROTOCOL => 'HTTP/1.1', GATEWAY_INTERFACE => 'CGI/1.1',
        REMOTE_ADDR => '127.0.0.1', SERVER_NAME => 'localhost', SERVER_PORT => '80',
    );
    like(delete $request->{env}{SERVER_SOFTWARE}, qr{^fcgiget/\d}, 'SERVER_SOFTWARE');
    is_deeply($request->{env}, \%want, 'the parameters of a GET, and no others');
    is($request->{types}, '1:1:x 4:1:x 4:1: 5:1: ', 'BEGIN, PARAMS, its end, STDIN end: id 1');
    is($request->{flags}, 0, 'no KEEP_CONN');
}
{
    my ($url, $seen) = serve_recording(answer($ok, "body"));
    check(run('-s', $url, '-i', '-k', 'b.cgi'), 0, "${ok}body", '-i -k');
    my $request = $seen->();
    is($request->{flags}, 1, '-k: KEEP_CONN');
    like($request->{env}{SCRIPT_FILENAME}, qr{^/.*/b\.cgi$}, 'a relative SCRIPT is made absolute');
}
{
    my ($url, $seen) = serve_recording(answer($ok));
    check(run('-s', $url, '-d', 'a=1&b=2', '/x'), 0, '', '-d DATA');
    my $request = $seen->();
    is($request->{body}, 'a=1&b=2', '-d: the body');
    is_deeply([@{$request->{env}}{qw(REQUEST_METHOD CONTENT_LENGTH CONTENT_TYPE)}],
        ['POST', 7, 'application/x-www-form-urlencoded'], '-d: POST, length, type');
}
{
    my ($url, $seen) = serve_recording(answer($ok));
    check(run('-s', $url, '-X', 'PUT', '-d', '', '-p', 'CONTENT_TYPE=text/x', '-p', 'SERVER_NAME=',
        '-p', 'HTTP_A=1', '-p', 'HTTP_A=2=3', '/x'), 0, '', '-X, -p');
    my $request = $seen->();
    is_deeply([@{$request->{env}}{qw(REQUEST_METHOD CONTENT_LENGTH CONTENT_TYPE SERVER_NAME)}],
        ['PUT', 0, 'text/x', ''], '-X and -p override; an empty value is sent');
    is(scalar(grep { $_->[0] eq 'CONTENT_TYPE' } @{$request->{pairs}}), 1, 'overridden: sent once');
    is_deeply([map { $_->[1] } grep { $_->[0] eq 'HTTP_A' } @{$request->{pairs}}], ['1', '2=3'],
        'a repeated -p is sent repeatedly, in order');
}
{
    my $name = 'N' x 200;
    my $value = 'v' x 90000;
    my ($url, $seen) = serve_recording(answer($ok));
    check(run('-s', $url, '-p', "$name=$value", '-p', 'E=' . 'w' x 127, '-p', 'F=' . 'w' x 128, '/x'),
        0, '', 'long parameters');
    my $request = $seen->();
    is($request->{env}{$name}, $value, '4-byte lengths, pair split over records');
    is(length $request->{env}{E}, 127, 'value of 127 bytes');
    is(length $request->{env}{F}, 128, 'value of 128 bytes');
}

# ---- bodies from files --------------------------------------------------------

my $big = write_file("$dir/big", join '', map { pack 'N', $_ } 1 .. 750_000);
{
    my ($url, $seen) = serve_recording(answer($ok));
    check(run('-s', $url, '-d', "\@$big", '/x'), 0, '', '-d @FILE');
    my $request = $seen->();
    ok($request->{body} eq read_file($big), '-d @FILE: the body');
    is($request->{env}{CONTENT_LENGTH}, -s $big, '-d @FILE: CONTENT_LENGTH');
    ok(!exists $request->{env}{HTTP_TRANSFER_ENCODING}, '-d @FILE: not chunked');
}
{
    my ($url, $seen) = serve_recording(answer($ok));
    check(run_with($big, '-s', $url, '-d', '@-', '/x'), 0, '', '-d @- of a file');
    my $request = $seen->();
    is($request->{env}{CONTENT_LENGTH}, -s $big, '-d @- of a file: CONTENT_LENGTH');
    ok($request->{body} eq read_file($big), '-d @- of a file: the body');
}
{
    my ($url, $seen) = serve_recording(answer($ok, 'yes'));
    POSIX::mkfifo("$dir/fifo", 0600) or die "mkfifo: $!";
    my $writer = fork;
    die "fork: $!" if !defined $writer;
    if ($writer == 0) {
        alarm 60 * $slow;
        open my $fifo, '>', "$dir/fifo" or POSIX::_exit(1);
        for my $part (qw(one two three)) {
            syswrite $fifo, $part;
            sleep 0.05;
        }
        POSIX::_exit(0);
    }
    $servers{$writer} = 1;
    check(run_with("$dir/fifo", '-s', $url, '-d', '@-', '/x'), 0, 'yes', '-d @- of a pipe');
    my $request = $seen->();
    is($request->{body}, 'onetwothree', '-d @- of a pipe: the body');
    is($request->{env}{HTTP_TRANSFER_ENCODING}, 'chunked', '-d @- of a pipe: chunked');
    ok(!exists $request->{env}{CONTENT_LENGTH}, '-d @- of a pipe: no CONTENT_LENGTH');
}
{
    my $url = serve_bytes(answer($ok));
    check(run('-s', $url, '-d', "\@$dir/none", '/x'), 26, '', '-d @FILE that is not there');
    check(run('-s', $url, '-d', "\@$dir", '/x'), 26, '', '-d @DIRECTORY');
}

# ---- answers ------------------------------------------------------------------

for my $newline ("\n", "\r\n") {
    my $head = join $newline, 'Status: 201 Created', 'X-A: b', '', '';
    my $body = "${newline}body\n\n";
    my $stream = '';
    $stream .= record($STDOUT, $_, 1, ord() % 7) for split //, $head . $body;
    my $name = $newline eq "\n" ? 'LF' : 'CRLF';
    check(run('-s', serve_bytes($stream . end_record()), '/x'), 0, $body, "$name, a record a byte");
    check(run('-i', '-s', serve_bytes($stream . end_record()), '/x'), 0, $head . $body,
        "$name, a record a byte, -i");
}
{
    my $stream = answer($ok, "trickle\n");
    my $url = serve(sub ($socket) {
        read_request($socket);
        for my $byte (split //, $stream) {
            syswrite $socket, $byte;
            select undef, undef, undef, 0.001;
        }
    });
    check(run('-s', $url, '/x'), 0, "trickle\n", 'a write a byte');
}
{
    my $url = serve_bytes(record($STDERR, "early\n") . record($STDOUT, "A: b\n") . record($STDERR, "late\n")
        . record($STDOUT, "\nbody") . record($STDERR, '') . end_record(3));
    my $result = run('-v', '-s', $url, '/x');
    check($result, 0, 'body', 'script stderr');
    like($result->{err}, qr/^early\nlate\nfcgiget: appStatus 3\b.*protocolStatus 0\b/, 'stderr, then -v');
}
for my $case (
    ["Status: 404 Not Found\n\nno", 22, 'no'],
    ["status:500\n\n", 22, ''],
    ["Status: 399 x\n\n", 0, ''],
    ["Status: 200\n\nok", 0, 'ok'],
    ["Location: http://localhost/\n\n", 0, ''],
    ["X-Status: 500\nA: b\n\n", 0, ''],
    ["\nonly body", 0, 'only body'],
    ["Status: abc\n\n", 1, ''],
    ["Status: 1234\n\n", 1, ''],
    ["Status: \n\n", 1, ''],
) {
    my ($bytes, $rc, $out) = @$case;
    (my $name = $bytes) =~ s/\n/\\n/g;
    check(run('-f', '-s', serve_bytes(answer($bytes)), '/x'), $rc, $out, "--fail, $name");
}
check(run('-s', serve_bytes(answer("Status: 404 No\n\nno")), '/x'), 0, 'no', 'status 404 without --fail');
check(run('-X', 'HEAD', '-i', '-s', serve_bytes(answer("A: b\n\nbody")), '/x'), 0, "A: b\n\n",
    'HEAD prints no body');

for my $case (
    ['OVERLOADED', end_record(0, 2), qr/protocolStatus 2 \(OVERLOADED\)/, ''],
    ['UNKNOWN_ROLE after output', record($STDOUT, "$ok.") . end_record(0, 3), qr/UNKNOWN_ROLE/, '.'],
    ['nothing', '', qr/closed by the server/, ''],
    ['no END', record($STDOUT, "${ok}part"), qr/closed by the server.*END_REQUEST/, 'part'],
    ['cut inside a record', record($STDOUT, "${ok}part") . substr(end_record(), 0, 11),
        qr/inside a record/, 'part'],
    ['END alone', record($END, "\0" x 8), qr/empty/, ''],
    ['END of 4 bytes', record($STDOUT, $ok) . record($END, "\0" x 4), qr/4 bytes/, ''],
    ['header without end', answer("A: b\n"), qr/inside its header/, ''],
    ['header too long', record($STDOUT, 'A: ' . 'x' x 40000) x 2, qr/no empty line/, ''],
    ['HTTP', "HTTP/1.1 400 Bad Request\r\n\r\n", qr/not FastCGI/, ''],
    ['another id', record($STDOUT, $ok, 2), qr/request id 2/, ''],
    ['a type that is no answer', record($PARAMS, 'x'), qr/PARAMS/, ''],
    ['UNKNOWN_TYPE', record($UNKNOWN_TYPE, "\1" . "\0" x 7, 0), qr/UNKNOWN_TYPE/, ''],
) {
    my ($name, $bytes, $message, $out) = @$case;
    my $result = run('-s', serve_bytes($bytes), '/x');
    check($result, 1, $out, $name);
    like($result->{err}, $message, "$name: message");
    is($result->{err} =~ tr/\n//, 1, "$name: one line");
}

# ---- both directions at once ----------------------------------------------------

{
    my $url = serve(sub ($socket) {
        read_request($socket, 1);
        syswrite $socket, answer($ok, 'early answer');
    });
    check(run('-s', $url, '-d', "\@$big", '/x'), 0, 'early answer', 'answer and close, body unread');
}
{
    my $huge = 'y' x 60000;
    my $url = serve(sub ($socket) {
        read_request($socket, 1);
        my $bytes = record($STDOUT, $ok) . record($STDOUT, $huge) x 70;
        while (length $bytes) {
            my $n = syswrite $socket, $bytes or last;
            substr $bytes, 0, $n, '';
        }
        my $got = 0;
        while (my ($type, $id, $content) = read_record($socket)) {
            $got += length $content;
            last if $content eq '';
        }
        syswrite $socket, record($STDOUT, "got $got") . end_record();
    });
    my $result = run('-s', $url, '-d', "\@$big", '/x');
    is($result->{rc}, 0, 'a server that writes 4 MB before it reads 3 MB: exit 0');
    ok($result->{out} eq $huge x 70 . 'got ' . -s $big, '... and all of it both ways');
}
SKIP: {
    skip 'no /proc', 2 if !-e "/proc/$$/status";
    my $size = 256 * 1024 * 1024;
    open my $file, '>', "$dir/sparse" or die;
    truncate $file, $size or die;
    close $file;
    pipe my $go, my $hold or die;
    my $url = serve(sub ($socket) {
        my $got = 0;
        close $hold;
        1 while ($got += sysread($socket, my $bytes, 1 << 20) || last) < $size;
        syswrite $socket, record($STDOUT, $ok) . record($STDOUT, 'z' x 65000) x 200;
        sysread $go, my $end, 1; # until its client has been looked at
        syswrite $socket, end_record();
    });
    my $pid = start('/dev/null', "$dir/out", '-s', $url, '-d', "\@$dir/sparse", '/x');
    my $until = time + 30 * $slow;
    sleep 0.05 while -s "$dir/out" < 200 * 65000 && time < $until;
    my ($peak) = read_file("/proc/$pid/status") =~ /VmHWM:\s+(\d+) kB/;
    close $hold;
    is(finish($pid), 0, '256 MB body: exit 0');
    cmp_ok($peak || 1e9, '<', 128 * 1024, '256 MB body: it is not held in memory');
    unlink "$dir/sparse";
}

# ---- times ---------------------------------------------------------------------

my $silent = sub ($socket) { read_request($socket); sleep 30 * $slow; };
{
    my $result = run('-t', '300ms', '-s', serve($silent), '/x');
    check($result, 28, '', 'a server that never answers');
    cmp_ok($result->{time}, '>=', 0.29, '... not before the time');
    cmp_ok($result->{time}, '<', 3 * $slow, '... and soon after it');
}
{
    my $url = serve(sub ($socket) {
        read_request($socket);
        syswrite $socket, record($STDOUT, $ok);
        for (1 .. 300 * $slow) {
            syswrite $socket, record($STDOUT, '.') or last;
            sleep 0.1;
        }
    });
    my $result = run('--timeout=1s', '-s', $url, '/x');
    is($result->{rc}, 28, 'an endless answer: exit 28');
    like($result->{out}, qr/^\.{2,}$/, '... what came was printed');
}
{
    my $url = serve(sub ($socket) { sleep 30 * $slow; });
    check(run('-t', '300ms', '-s', $url, '-d', "\@$big", '/x'), 28, '', 'a server that never reads');
}
{
    my $path = "$dir/full";
    my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 1) or die;
    my @waiting;
    for (1 .. 10) {
        my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM) or last;
        $socket->blocking(0);
        connect $socket, pack_sockaddr_un($path) or last;
        push @waiting, $socket;
    }
    check(run('-t', '300ms', '-s', "unix:$path", '/x'), 28, '', 'a full listen queue');
}

# ---- connecting -----------------------------------------------------------------

{
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die;
    my $port = $listener->sockport;
    serve_on($listener, sub ($s) { read_request($s); syswrite $s, answer($ok, 'tcp') });
    check(run('-s', "tcp:127.0.0.1:$port", '/x'), 0, 'tcp', 'tcp:');
    my $unused = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp') or die;
    my $result = run('-s', 'tcp:127.0.0.1:' . $unused->sockport, '/x');
    check($result, 7, '', 'connection refused');
    like($result->{err}, qr/tcp:127.*refused/i, 'refused: message');
}
SKIP: {
    my $listener = eval {
        require IO::Socket::IP;
        IO::Socket::IP->new(LocalHost => '::1', Listen => 5);
    } or skip 'no IPv6 loopback', 2;
    my $port = $listener->sockport;
    serve_on($listener, sub ($s) { read_request($s); syswrite $s, answer($ok, 'tcp6') });
    check(run('-s', "tcp6:[::1]:$port", '/x'), 0, 'tcp6', 'tcp6:');
}
SKIP: {
    skip 'abstract sockets are Linux only', 2 if $^O ne 'linux';
    my $name = "fcgiget-test-$$";
    socket my $listener, AF_UNIX, SOCK_STREAM, 0 or die;
    bless $listener, 'IO::Socket::UNIX';
    bind $listener, pack('S', AF_UNIX) . "\0$name" or die "bind: $!";
    listen $listener, 5 or die;
    serve_on($listener, sub ($s) { read_request($s); syswrite $s, answer($ok, 'abstract') });
    check(run('-s', "unix:\@$name", '/x'), 0, 'abstract', 'unix:@');
}
check(run('-s', "unix:$dir/none", '/x'), 7, '', 'no such socket');

# ---- values ----------------------------------------------------------------------

sub serve_values ($bytes) {
    return serve(sub ($socket) {
        my ($type, $id, $content) = read_record($socket);
        write_file("$dir/asked", "$type:$id:" . join ',', map { "$_->[0]=$_->[1]" } decode_pairs($content));
        syswrite $socket, $bytes;
    });
}

check(run('--values', '-s', serve_values(record($VALUES_RESULT,
    encode_pairs(FCGI_MAX_CONNS => 128, FCGI_MPXS_CONNS => 1, LONG => 'x' x 200), 0))), 0,
    "FCGI_MAX_CONNS=128\nFCGI_MPXS_CONNS=1\nLONG=" . 'x' x 200 . "\n", '--values');
is(read_file("$dir/asked"), '9:0:FCGI_MAX_CONNS=,FCGI_MAX_REQS=,FCGI_MPXS_CONNS=', '--values: the question');
check(run('--values', '-s', serve_values(record($VALUES_RESULT, '', 0))), 0, '', '--values, none known');
check(run('--values', '-s', serve_values('')), 1, '', '--values, no answer');
check(run('--values', '-s', serve_values(record($UNKNOWN_TYPE, "\11" . "\0" x 7, 0))), 1, '',
    '--values, UNKNOWN_TYPE');
check(run('--values', '-s', serve_values(record($VALUES_RESULT, "\5\5abc", 0))), 1, '',
    '--values, a pair cut short');
check(run('--values', '-t', '300ms', '-s', serve($silent)), 28, '', '--values, silence');

# ---- standard output ----------------------------------------------------------------

SKIP: {
    skip 'no /dev/full', 1 if !-c '/dev/full';
    is(finish(start('/dev/null', '/dev/full', '-s', serve_bytes(answer($ok, 'x')), '/x')), 23,
        'a full device: exit 23');
}
{
    my $url = serve_bytes(record($STDOUT, $ok) . record($STDOUT, 'x' x 60000) x 20 . end_record());
    pipe my $read, my $write or die;
    my $pid = fork;
    die "fork: $!" if !defined $pid;
    if ($pid == 0) {
        close $read;
        open STDOUT, '>&', $write or POSIX::_exit(99);
        open STDERR, '>', "$dir/err" or POSIX::_exit(99);
        exec $program, '-s', $url, '/x' or POSIX::_exit(99);
    }
    close $write;
    sysread $read, my $some, 1000;
    close $read;
    is(finish($pid), 23, 'a reader that goes away: exit 23');
}
{
    my $url = serve_bytes(answer($ok, 'x'));
    system "'$program' -s '$url' /x >&- 2>/dev/null";
    is($? >> 8, 23, 'standard output closed: exit 23');
}

# ---- the command line -------------------------------------------------------------------

for my $args (
    [], ['/x'], ['-s'], ['-s', 'unix:/x'], ['-s', '/x', '/x'], ['-s', 'tcp:127.0.0.1', '/x'],
    ['-s', 'tcp:127.0.0.1:0', '/x'], ['-s', 'tcp:127.0.0.1:65536', '/x'], ['-s', 'unix:', '/x'],
    ['-s', 'fd:0', '/x'], ['-s', 'unix:/' . 'x' x 200, '/x'],
    ['-s', 'unix:/x', '/x', '/y'], ['-s', 'unix:/x', '-p', 'NAME', '/x'],
    ['-s', 'unix:/x', '-p', '=VALUE', '/x'], ['-s', 'unix:/x', '-X', 'A B', '/x'],
    ['-s', 'unix:/x', '-X', '', '/x'], ['-s', 'unix:/x', '-d', '@', '/x'],
    ['-s', 'unix:/x', '-t', '0', '/x'], ['-s', 'unix:/x', '-t', '5x', '/x'],
    ['-s', 'unix:/x', '-t', '-1', '/x'], ['-s', 'unix:/x', '-t', '25h', '/x'],
    ['-s', 'unix:/x', '-t', '99999999999999999999', '/x'], ['-s', 'unix:/x', '?a'],
    ['-s', 'unix:/x', '--values', '/x'], ['--values'], ['--no-such'], ['-z'], ['--values=1'],
) {
    my $result = run(@$args);
    my $name = "usage: @$args";
    check($result, 2, '', $name);
    like($result->{err}, qr/^fcgiget: [^\n]+\n\z/, "$name: one line");
}
for (
    ['--conections', 'unknown option --conections; did you mean --connections?'],
    ['--dcotor', 'unknown option --dcotor; did you mean --doctor?'],
    ['--time-out=5', 'unknown option --time-out=5; did you mean --timeout?'],
    ['--no-such', 'unknown option --no-such; see fcgiget --help'],
    ['--c', 'ambiguous option --c: --connections, --check, --critical'],
    ['--ver=1', 'ambiguous option --ver=1: --verbose, --version'],
    ['-z', 'unknown option -z; see fcgiget --help'],
) {
    my ($word, $error) = @$_;
    is(run('-s', 'unix:/x', $word)->{err}, "fcgiget: $error\n", "$word: what is wrong");
}
like(run('--version')->{out}, qr/^fcgiget \d+\.\d+\S*\n\z/, '--version');

my $help = run('-h');
is($help->{rc}, 0, '--help: exit 0');
my %options;
$options{$2} = $1 || '' while $help->{out} =~ /^  (?:-(\w), |    )--([\w-]+)/mg;
cmp_ok(scalar keys %options, '>=', 12, '--help lists the options');
SKIP: {
    my $page = "$FindBin::Bin/../man/fcgiget.1";
    skip 'no man page here', 1 if !-e $page;
    my %documented;
    for (split /\n/, read_file($page)) {
        $documented{$2} = $1 || '' if /^\.It (?:Fl (\w)(?: Ar \S+(?: Ns \S+)*)? , )?Fl -([\w-]+)/;
    }
    is_deeply(\%documented, \%options, 'the man page has the options of --help');
}

done_testing();

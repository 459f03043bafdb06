#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# The traps of traps.t that are about scripts: what they are given, what they
# write, and what of it a client may see.  Most scripts here are "says", which
# writes what it is told to.
use v5.36;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $bridge = Bridge->start(args => [ '--kill-delay', '1s', '--disconnect-grace', '500ms' ]);
my @workers = $bridge->workers;
my $dir = Bridge::cgi();
my $tmp = Bridge::tmp();
my $MB = 1 << 20;

# The answer to a GET of a script that writes this; more parameters may follow.
sub say_get ($kind, $text, @more) {
    return $bridge->get($kind, 'says', [ TEST_SAY => $text, @more ]);
}

# ---- 7: the header block --------------------------------------------------------

on_both 'trap 7: the header block is in one STDOUT record' => sub ($kind) {
    my $text = "Content-Type: text/plain\nX-One: 1\nX-Two: 2\r\n\nthe body";
    my $head = FastCGI::head('Content-Type: text/plain', 'X-One: 1', 'X-Two: 2');
    for my $step (1, 2, 7, 25) {
        my $r = say_get($kind, $text, TEST_STEP => $step, TEST_PAUSE => 0.005);
        is(substr($r->{first}, 0, length $head), $head, "written in pieces of $step: whole");
        is($r->{out}, $head . 'the body', 'and so is the body');
    }
    my $until = index $text, "\nthe";
    my $r = say_get($kind, $text, TEST_STEP => $until, TEST_PAUSE => 0.6);
    cmp_ok($r->{stamps}[0][0] - $r->{since}, '>', 0.5, 'nothing before the empty line has come');
    is($r->{first}, $head . 'the body', 'then the block');
};

on_both 'trap 7: what has come of the body goes with it' => sub ($kind) {
    for my $n (0, 1, 500, 8000, 60_000) {
        my $r = say_get($kind, "Content-Type: text/plain\n\n" . 'b' x $n);
        is($r->{first}, FastCGI::head('Content-Type: text/plain') . 'b' x $n,
            "$n bytes: one record");
        is(scalar(grep { $_->[0] == FastCGI::STDOUT_ && $_->[1] } @{ $r->{records} }), 1,
            'and no other');
    }
};

# A header block of exactly $n bytes, in as many lines as there can be.
sub block ($n) {
    my $block = "Content-Type: text/plain\n";
    my $left = $n - length($block) - 1;
    $block .= 'a' x ($left % 3) . "a:\n";
    return $block . "a:\n" x ($left / 3 - 1) . "\n";
}

on_both 'trap 7: a header block of 48 KiB' => sub ($kind) {
    my $block = block(48 * 1024); # with each LF a CR LF, just less than a record holds
    is(length $block, 48 * 1024, 'just so long');
    for my $step (48 * 1024, 5000) {
        my $r = say_get($kind, $block . 'body', TEST_STEP => $step, TEST_PAUSE => 0.01);
        my $head = $block =~ s/\n/\r\n/gr;
        ok(substr($r->{first}, 0, length $head) eq $head, "whole in one record, pieces of $step");
        is(FastCGI::body($r), 'body', 'and the body behind it');
    }
};

on_both 'trap 7: no header block is never forwarded' => sub ($kind) {
    my $many = 'X-Secret: ' . 's' x 80 . "\n";
    my $unended = qr/its output ends before the empty line/;
    my $text = qr/a line before the first empty one is not "Name: value"/;
    my $control = qr/a header line has a control character in it/;
    my $large = qr/the header block is larger than 64 KiB/;
    my @cases = (
        [ 'the output ends in the headers', "X-Secret: s\nContent-Type: text/plain\n", $unended ],
        [ 'in a line', 'Content-Type: text/pl', $unended ],
        [ 'behind a CR', "Content-Type: text/plain\r\n\r", $unended ],
        [ 'no header but text', "secret text\nand more\n\n", $text ],
        [ 'bytes', "\x89PNG\r\n\x1a\n\1\2", $control ],
        [ 'an empty line first', "\nContent-Type: text/plain\n\nsecret", qr/none of Content-Type/ ],
        [ '64 KiB and a byte', block(64 * 1024 + 1) . 'secret', $large ],
        [ 'more than one record', block(50 * 1024) . 'secret', $large ],
        [ '100 KB of header lines', $many x 1100, $large ],
        [ 'a line of 100 KB', 'X-Secret: ' . 's' x 100_000, $large ],
    );
    for (@cases) {
        my ($what, $output, $why) = @$_;
        for my $step (length $output, 4096) {
            my $mark = $bridge->mark;
            my $r = say_get($kind, $output, TEST_STEP => $step);
            is($r->{first}, $r->{out}, "$what: one record");
            like($r->{out}, qr{\AStatus: 500 [^\r]+\r\nContent-Type: text/plain\r\n\r\n500 .+\n\z},
                'which is a page of ours');
            unlike($r->{out}, qr/secret|ssss|PNG|a:\r/i, 'with nothing of the script in it');
            is($r->{end}{status}, FastCGI::REQUEST_COMPLETE, 'END');
            $bridge->one_warning($mark, qr{\Q$dir\E/says\[\d+\].*500: no CGI response: $why});
        }
    }
};

scenario 'trap 7: headers that are never ended by a script that stays' => sub {
    my $timed = Bridge->start(args => [ '-t', '1s', '--kill-delay', '1s' ]);
    script('half-a-head', "#!/bin/sh\nprintf 'X-Secret: s\\nContent-'\nsleep 60\n");
    for my $kind (qw(unix tcp)) {
        my $r = $timed->get($kind, 'half-a-head');
        like($r->{out}, qr/\AStatus: 504 /, "Status 504 ($kind)");
        unlike($r->{out}, qr/Secret/, 'with nothing of the script in it');
    }
    $timed->stop;
};

# ---- 10, 11, 12: one form for all ----------------------------------------------

on_both 'trap 10: Location' => sub ($kind) {
    my @cases = (
        [ "Location: http://x.example/a?b=c\n", 'Status: 302 Found',
            'Location: http://x.example/a?b=c' ],
        [ "Location: /local/path\n", 'Status: 302 Found', 'Location: /local/path' ],
        [ "X-A: b\nlocation: /p\nContent-Type: text/html\n", 'Status: 302 Found', 'X-A: b',
            'location: /p', 'Content-Type: text/html' ],
        [ "Location: /p\nStatus: 301 Moved Permanently\n", 'Status: 301 Moved Permanently',
            'Location: /p' ],
        [ "Status: 303\nLocation: /p\n", 'Status: 303 See Other', 'Location: /p' ],
        [ "Status: 201 Made\nLocation: /p\n", 'Status: 201 Made', 'Location: /p' ],
        [ "Status: 200 OK\nLocation: /p\n", 'Status: 200 OK', 'Location: /p' ],
        [ "HTTP/1.1 200 OK\nLocation: /p\n", 'Status: 200 OK', 'Location: /p' ],
    );
    for (@cases) {
        my ($text, @want) = @$_;
        my $r = say_get($kind, "$text\nbody");
        is($r->{out}, FastCGI::head(@want) . 'body',
            join(' + ', @want[0, 1]) . ($text =~ /Status|HTTP/ ? '' : ', no Status given'));
    }
};

on_both 'trap 11: Status comes first' => sub ($kind) {
    my @given = (
        '404 Not Found' => '404 Not Found', '404 nicht da' => '404 nicht da',
        404 => '404 Not Found', '404 ' => '404 Not Found', '  404   ' => '404 Not Found',
        200 => '200 OK', 418 => '418 Status', 503 => '503 Service Unavailable',
        '401 Unauthorized' => '401 Unauthorized',
    );
    my $body = "body\nis its own";
    while (my ($text, $want) = splice @given, 0, 2) {
        my @others = ('WWW-Authenticate: Basic realm="a: b"', 'Content-Type: text/plain',
            'X-Odd:   blanks  ', 'Set-Cookie: a=1', 'x-lower:none', 'Set-Cookie: b=2', 'X-Empty:');
        for my $at (0, 1, 4, scalar @others) {
            for my $name ('Status', 'status', 'STATUS') {
                my @lines = @others;
                splice @lines, $at, 0, "$name:$text";
                for my $end ("\n", "\r\n") {
                    my $r = say_get($kind, join('', map { "$_$end" } @lines, '') . $body);
                    my $out = FastCGI::head("Status: $want", @others) . $body;
                    $r->{out} eq $out or return is($r->{out}, $out, "'$name:$text' at $at");
                }
            }
        }
        pass("'Status:$text' becomes '$want'; all else is as it was, in order, with CRLF");
    }
    my $r = say_get($kind, "Content-Type: text/plain\r\nX-Mixed: a\n\r\nbody");
    is($r->{out},
        FastCGI::head('Content-Type: text/plain', 'X-Mixed: a') . 'body',
        'no Status is none, and mixed line ends are made one');
}, secs => 120;

# A body in chunks of such sizes, as HTTP/1.1 has them.
sub chunked ($body, $size, $extension = '') {
    my $out = '';
    for (my $at = 0; $at < length $body; $at += $size) {
        my $piece = substr $body, $at, $size;
        $out .= sprintf "%x%s\r\n%s\r\n", length $piece, $extension, $piece;
    }
    return $out . "0$extension\r\n";
}

on_both 'trap 12: an HTTP status line' => sub ($kind) {
    my @cases = (
        "HTTP/1.1 404 Not Found\r\n" => '404 Not Found', "HTTP/1.0 200 OK\n" => '200 OK',
        "HTTP/1.1 404\r\n" => '404 Not Found', "HTTP/2 201 Made\r\n" => '201 Made',
    );
    while (my ($line, $status) = splice @cases, 0, 2) {
        my $r = say_get($kind, "${line}Server: x\r\nContent-Type: text/plain\r\n\r\nbody");
        is($r->{out},
            FastCGI::head("Status: $status", 'Server: x', 'Content-Type: text/plain') . 'body',
            $line =~ s/\s+\z//r);
    }
    my $r = say_get($kind, "HTTP/1.1 200 OK\r\n\r\nbody");
    is($r->{out}, FastCGI::head('Status: 200 OK') . 'body', 'no other header is needed');
    $r = say_get($kind, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n"
        . "Proxy-Connection: close\r\nTE: trailers\r\nUpgrade: h2c\r\nX-Kept: yes\r\n"
        . "Content-Length: 4\r\n\r\nbody and more");
    is($r->{out}, FastCGI::head('Status: 200 OK', 'X-Kept: yes', 'Content-Length: 4') . 'body',
        'headers about the connection are dropped, Content-Length is kept and obeyed');
    my $mark = $bridge->mark;
    $r = say_get($kind, "HTTP/1.1 OK\r\nContent-Type: text/plain\r\n\r\nbody");
    is(FastCGI::status($r), 500, 'a status line without a code: 500');
    $bridge->one_warning($mark, qr/the HTTP status line has no status code/);
};

on_both 'trap 12: a chunked body is decoded' => sub ($kind) {
    my $head = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\ntransfer-encoding: Chunked\r\n"
        . "Content-Length: 7\r\nContent-Type: text/plain\r\n\r\n";
    my $want = FastCGI::head('Status: 200 OK', 'Content-Type: text/plain');
    my $body = join '', 'a' .. 'zz';
    my $mark = $bridge->mark;
    for my $size (1, 15, 16, 300, 5000) {
        for my $extension ('', ';name="va;lue"', ' ; x') {
            for my $trailer ("\r\n", "X-Sum: 1\r\nX-B: c\r\n\r\n") {
                my $text = $head . chunked($body, $size, $extension) . $trailer;
                my $r = say_get($kind, $text);
                $r->{out} eq $want . $body or return is($r->{out}, $want . $body,
                    "chunks of $size, extension '$extension', trailer '$trailer'");
            }
        }
        pass("chunks of $size");
    }
    # a write that ends anywhere: in a size, an extension, a CRLF, the trailer
    my $text = $head . chunked('0123456789abcdef!', 16, ';e=f') . "X-Sum: 1\r\n\r\n";
    for my $step (1, 2, 3, 5, 11, length($head) + 1, length($head) + 8) {
        my $r = say_get($kind, $text, TEST_STEP => $step, TEST_PAUSE => 0.002);
        is($r->{out}, $want . '0123456789abcdef!', "in writes of $step");
        is($r->{end}{app}, 0, 'END');
    }
    my $r = say_get($kind, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        . "A\r\n0123456789\r\n0\r\n\r\nof another response");
    is(FastCGI::body($r), '0123456789', 'what is behind the last chunk is dropped');
    $bridge->no_warning($mark);
};

on_both 'trap 12: a chunked body that is broken' => sub ($kind) {
    for my $bad ("5\r\nabcde\r\n", "5\r\nabc", "5\r\nabcde\r\n0\r\n", "5\r\nabcde\r\nxyz\r\n",
        "5\r\nabcdeX\r\n0\r\n\r\n")
    {
        my $mark = $bridge->mark;
        my $c = $bridge->connect($kind);
        my $r = $c->start(1, $bridge->params('says', TEST_SAY =>
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n$bad"));
        is($c->wait_close, 'eof', 'EOF');
        ok(!$r->{end}, 'and no END: the client can see it: ' . $bad =~ s/\r\n/ /gr);
        like(FastCGI::body($r), qr/\Aabc(?:de)?\z/, 'what was there of it came');
        $bridge->one_warning($mark, qr/its body is shorter than its Content-Length, or lacks its last chunk/);
    }
};

# ---- 13: how long the body is ------------------------------------------------------

on_both 'trap 13: a body where there must be none' => sub ($kind) {
    my @cases = (
        [ 'HEAD', "Content-Type: text/plain\n", 'HEAD' ],
        [ 'HEAD with Content-Length', "Content-Length: 99999999\nStatus: 200 OK\n", 'HEAD' ],
        [ 'HEAD, 404', "Status: 404 Not Found\nContent-Type: text/plain\n", 'HEAD' ],
        [ 'HEAD, chunked', "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n", 'HEAD' ],
        [ '204', "Status: 204 No Content\n", 'GET' ], [ '304', "Status: 304\n", 'GET' ],
        [ '205', "Status: 205\n", 'GET' ],
        [ '304 with Content-Length', "Status: 304\nContent-Length: 5\n", 'GET' ],
        [ 'nph 204', "HTTP/1.1 204 No Content\n", 'POST' ],
    );
    for (@cases) {
        my ($what, $text, $method) = @$_;
        for my $more (0, 3 * $MB) {
            my ($mark, $file) = ($bridge->mark, file());
            my $r = say_get($kind, "${text}\nbody", REQUEST_METHOD => $method, TEST_MORE => $more,
                TEST_MARK => $file);
            is(FastCGI::body($r), '', "$what: no byte of the body goes out");
            like($r->{out}, qr/\r\nContent-Length: \d+\r\n/, 'Content-Length is kept')
                if $text =~ /Length/;
            is(slurp($file), "all written\n", 'the script could write all of it');
            is($r->{end}{app}, 0, 'and exit as it liked');
            $bridge->no_warning($mark);
        }
    }
    my $r = $bridge->get($kind, 'missing', [ REQUEST_METHOD => 'HEAD' ]);
    like($r->{out}, qr/\AStatus: 404 .*\r\n\r\n\z/s, 'a page of ours has none for HEAD either');
};

on_both 'trap 13: a body longer than its Content-Length' => sub ($kind) {
    for my $length (0, 1, 4, 1000) {
        for my $more (2000, 3 * $MB) {
            my ($mark, $file) = ($bridge->mark, file());
            my $r = say_get($kind, "Content-Type: text/plain\nContent-Length: $length\n\n",
                TEST_MORE => $more, TEST_MARK => $file);
            is(FastCGI::body($r), 'm' x $length, "$more bytes are cut to $length");
            is(FastCGI::response($r)->{header}{'content-length'}, $length, 'as announced');
            is(slurp($file), "all written\n", 'the script could write all of it');
            is($r->{end}{app}, 0, 'and exit as it liked');
            $bridge->one_warning($mark, qr/its body is longer than its Content-Length: cut/);
        }
    }
};

on_both 'trap 13: a body shorter than its Content-Length' => sub ($kind) {
    for my $body ('', 'abcd') {
        my $mark = $bridge->mark;
        my $c = $bridge->connect($kind);
        my $r = $c->start(1, $bridge->params('says', TEST_SAY =>
            "Content-Length: 5\nContent-Type: text/plain\n\n$body"));
        is($c->wait_close, 'eof', 'EOF');
        is($r->{out}, FastCGI::head('Content-Length: 5', 'Content-Type: text/plain') . $body,
            length($body) . ' bytes of 5 come');
        ok(!$r->{end}, 'and no END: a client that had it would wait for the rest');
        $bridge->one_warning($mark,
            qr{\Q$dir\E/says\[.*its body is shorter than its Content-Length});
    }
};

on_both 'trap 13: a client that leaves after the headers of HEAD' => sub ($kind) {
    # nginx does
    my $mark = $bridge->mark;
    my $c = $bridge->connect($kind);
    my $r = $c->start(1, $bridge->params('ticker', REQUEST_METHOD => 'HEAD', QUERY_STRING => 50));
    $c->wait_out(1);
    is(FastCGI::body($r), '', 'no byte of the body');
    $c->hang_up;
    $bridge->ok_serves($kind, @workers);
    $bridge->no_warning($mark);
};

# ---- 14: stderr -------------------------------------------------------------------

my %said = (log => $bridge, map { $_ => Bridge->start(args => $_ eq 'client' ? ['-f'] :
    [ '--stderr', $_ ]) } qw(client discard));

script('warns', <<~'SH');
    #!/bin/sh
    printf 'Content-Type: text/plain\n\n'
    sleep 0.1
    echo first >&2
    flock -s -w 60 "$QUERY_STRING" true
    head -c 100000 /dev/zero >&2
    SH

on_both 'trap 14: stderr before and inside the headers, sent to the client (-f)' => sub ($kind) {
    # nginx answers 502 to 3.9 KB of it and the headers in one burst
    for my $pause (0, 0.3) {
        for my $n (64, 3904) {
            my $r = $said{client}->get($kind, 'shouts', [ TEST_BEFORE => $n, TEST_INSIDE => $n,
                TEST_AFTER => 64, TEST_PAUSE => $pause ]);
            my @types = map { $_->[0] } @{ $r->{records} };
            is($types[0], FastCGI::STDOUT_, "$n bytes, pause $pause: the header record is first");
            is(FastCGI::body($r), "fine\n", 'the answer');
            is(length $r->{err}, 2 * $n + 64, 'and all of stderr');
            is(() = $r->{err} =~ /^(?:before|inside|after) .*-\n/gm, (2 * $n + 64) / 64,
                'line by line');
        }
    }
};

on_both 'trap 14: what is held of stderr is bounded (-f)' => sub ($kind) {
    my $mark = $said{client}->mark;
    my $r = $said{client}->get($kind, 'shouts', [ TEST_BEFORE => $MB, TEST_INSIDE => $MB,
        TEST_PAUSE => 0.1 ]);
    is($r->{records}[0][0], FastCGI::STDOUT_, 'the header record is first');
    is(FastCGI::body($r), "fine\n", 'the answer');
    is(length $r->{err}, 8192, '8 KiB of it go out');
    like($r->{err}, qr/\Abefore  1 .*\nbefore  2 /, 'its beginning');
    $said{client}->one_warning($mark, qr/ stderr dropped: too much of it/);
};

on_both 'trap 14: stderr after the header record goes out as it comes (-f)' => sub ($kind) {
    my $c = $said{client}->connect($kind);
    my ($gate, $shut) = gate();
    my $r = $c->start(1, $said{client}->params('warns', QUERY_STRING => $gate), keep => 1);
    ok($c->read_until(slow(10), sub { $r->{err} eq "first\n" }), 'without a byte of output after it');
    ok(!$r->{end}, 'while the script runs');
    close $shut;
    $c->wait_end(1);
    is(length $r->{err}, 6 + 100_000, 'and all of it, however much');
};

on_both 'trap 14: stderr for a client that does not take it (-f)' => sub ($kind) {
    my ($file, $mark) = (file(), $said{client}->mark);
    my $c = $said{client}->connect($kind, rcvbuf => 16384);
    my $r = $c->expect(1);
    $c->send(FastCGI::request(1, $said{client}->params('shouts', TEST_AFTER => 20 * $MB)),
        no_read => 1);
    $said{client}->ok_serves($kind, $said{client}->workers);
    $c->wait_end(1, 30);
    is(length $r->{err}, 20 * $MB, 'waits, and nothing is lost');
    $said{client}->no_warning($mark);
};

on_both 'trap 14: stderr of a script that says nothing else (-f)' => sub ($kind) {
    script('only-errors', "#!/bin/sh\necho 'the reason' >&2\nexit 4\n");
    my $r = $said{client}->get($kind, 'only-errors');
    like($r->{out}, qr/\AStatus: 500 /, 'a page of ours comes first');
    is($r->{err}, "the reason\n", 'then stderr');
};

for my $mode (sort keys %said) {
    on_both "trap 14: 100 MB of stderr, --stderr $mode" => sub ($kind) {
        my $b = $said{$mode};
        my ($mark, $before) = ($b->mark, $b->memory);
        my $c = $b->connect($kind);
        my $r = $c->start(1, $b->params('shouts', TEST_BEFORE => 50 * $MB,
            TEST_INSIDE => 25 * $MB, TEST_AFTER => 25 * $MB));
        $b->ok_serves($kind, $b->workers);
        $c->wait_end(1, 60);
        is(FastCGI::body($r), "fine\n", 'the answer is whole');
        is($r->{end}{app}, 0, 'the script could write all of it');
        # from before the head: the 8 KiB that are held, and a pipe full that had not been read
        my ($least, $most) = $mode eq 'client' ? (25 * $MB, 25 * $MB + (8 + 64) * 1024) : (0, 0);
        cmp_ok(length $r->{err}, '>=', $least, 'the client gets all that came after the head');
        cmp_ok(length $r->{err}, '<=', $most, 'and no flood from before');
        my @lines = quiet($b->log_since($mark));
        cmp_ok(scalar @lines, '<', $mode eq 'log' ? 2000 : 10, 'nor does the log');
        like(join("\n", @lines), $mode eq 'discard' ? qr/\A\z/ : qr/ bytes of stderr dropped: /,
            $mode eq 'discard' ? 'which has nothing' : 'which says that some is missing');
        like($lines[0] // '', qr/stderr: before  1 /, 'but has its beginning') if $mode eq 'log';
        cmp_ok($b->memory - $before, '<', $Bridge::slow > 1 ? 400 * 1024 : 8 * 1024,
            'the worker has not grown by it');
    }, secs => 90;
}

$said{$_}->stop("cgibridge --stderr $_") for qw(client discard);

# ---- 16: how long the request is ---------------------------------------------------

on_both 'trap 16: CONTENT_LENGTH as it comes' => sub ($kind) {
    # what is sent, and what the script sees of it: its CONTENT_LENGTH, its stdin
    my @cases = (
        [ 'empty', 'POST', '', 'abcd', 4, 'abcd' ], [ '-1', 'POST', '-1', 'abcd', 4, 'abcd' ],
        [ 'text', 'POST', 'four', 'abcd', 4, 'abcd' ], [ 'hex', 'POST', '0x4', 'abcd', 4, 'abcd' ],
        [ 'a number and text', 'POST', '2x', 'abcd', 4, 'abcd' ],
        [ 'a blank before', 'POST', ' 2', 'abcd', 4, 'abcd' ],
        [ '+2', 'POST', '+2', 'abcd', 4, 'abcd' ],
        [ 'two of them', 'POST', '2, 2', 'abcd', 4, 'abcd' ],
        [ 'beyond 64 bits', 'POST', '99999999999999999999', 'abcd', 4, 'abcd' ],
        [ 'absent, with data', 'POST', undef, 'abcd', 4, 'abcd' ],
        [ 'absent, with data', 'PUT', undef, 'abcd', 4, 'abcd' ],
        [ 'absent, without data', 'POST', undef, '', 'unset', '' ],
        [ 'empty, without data', 'GET', '', '', 'unset', '' ],
        [ 'empty, with data', 'GET', '', 'abcd', 'unset', '' ],
        [ 'absent', 'GET', undef, '', 'unset', '' ], [ '-1', 'GET', -1, 'abcd', 4, 'abcd' ],
        [ 'exact', 'POST', 4, 'abcd', 4, 'abcd' ],
        [ 'with zeroes', 'POST', '004', 'abcdef', '004', 'abcd' ],
        [ 'smaller than the data', 'POST', 4, 'abcdefgh', 4, 'abcd' ],
        [ 'smaller than 1 MB', 'POST', 4, 'abcd' x ($MB / 4), 4, 'abcd' ],
        [ '0, with data', 'POST', 0, 'abcd', 0, '' ],
        [ 'larger than the data, the client ends early', 'POST', 8, 'abcd', 8, 'abcd' ],
        [ 'larger, no data at all', 'POST', 8, '', 8, '' ],
    );
    for my $keep (0, 1) {
        my $c = $bridge->connect($kind);
        for (@cases) {
            my ($what, $method, $length, $body, $seen, $stdin) = @$_;
            my @length = defined $length ? (CONTENT_LENGTH => $length) : ();
            $c = $bridge->connect($kind) if !$keep;
            my $r = $c->start(1, $bridge->params('input', REQUEST_METHOD => $method, @length),
                body => $body, keep => $keep);
            $c->wait_end(1);
            is(FastCGI::body($r), "$seen\n$stdin", "$method, $what, KEEP_CONN $keep");
            is($c->wait_close, 'eof', 'EOF') if !$keep;
        }
    }
    my $r = FastCGI->ask($bridge->url($kind), $bridge->params('input',
        REQUEST_METHOD => 'DELETE', HTTP_TRANSFER_ENCODING => 'chunked'), body => 'abcd');
    is(FastCGI::body($r), "4\nabcd", 'DELETE, absent but chunked');
};

on_both 'trap 16: a client that leaves before its body has ended' => sub ($kind) {
    for my $length (8, -1) {
        my $file = file();
        my $c = $bridge->connect($kind);
        $c->expect(1);
        $c->send(FastCGI::begin(1) . FastCGI::params(1, $bridge->post('family', '',
            CONTENT_LENGTH => $length, TEST_PIDS => $file)) . FastCGI::stdin(1, 'abcd'));
        my @pids = $length > 0 ? wait_pids($file, 4) : ();
        $bridge->catch_up($kind);
        $c->hang_up;
        is_deeply([ gone(5, @pids) ], [], "CONTENT_LENGTH $length: what ran is killed");
        is(scalar pids_in($file), $length > 0 ? 4 : 0, 'and nothing else is started');
        $bridge->ok_serves($kind, @workers);
    }
};

# The files in a folder that a daemon's workers have open, whether they have a name or not.
sub open_files ($b, $folder) {
    my @open = map { readlink $_ // () } map { glob "/proc/$_/fd/*" } $b->workers;
    return grep { m{^\Q$folder\E/} } @open;
}

scenario 'trap 16: a long body of unknown length waits in a file' => sub {
    mkdir "$tmp/spool";
    my $b = Bridge->start(args => [ '--spool-dir', "$tmp/spool" ]);
    my $body = noise(5 * $MB);
    for my $kind (qw(unix tcp)) {
        for my $length ('', -1, undef) {
            my $before = $b->memory;
            my $c = $b->connect($kind);
            my $r = $c->expect(1);
            my @params = @{ $b->params('input', REQUEST_METHOD => 'POST') };
            push @params, CONTENT_LENGTH => $length if defined $length;
            $c->send(FastCGI::begin(1) . FastCGI::params(1, \@params) . FastCGI::stdin(1, $body));
            ok(wait_until(5, sub { open_files($b, "$tmp/spool") == 1 }), 'a file is open there');
            is_deeply([ glob "$tmp/spool/* $tmp/spool/.c*" ], [], 'that has no name');
            is_deeply([ Bridge::children($b->workers) ], [], 'no script runs yet');
            $c->send(FastCGI::stdin_end(1));
            $c->wait_end(1, 20);
            ok(FastCGI::body($r) eq length($body) . "\n$body",
                'the script sees the length and every byte: CONTENT_LENGTH '
                . ($length // 'absent') . " ($kind)");
            ok(wait_until(5, sub { !open_files($b, "$tmp/spool") }), 'the file is closed');
            cmp_ok($b->memory - $before, '<', $Bridge::slow > 1 ? 400 * 1024 : 4 * 1024,
                'the worker has not grown by it');
        }
        my $r = $b->get($kind, 'input', [ CONTENT_LENGTH => -1 ], body => 'b' x 60_000);
        is(length FastCGI::body($r), 60_000 + length "60000\n", '60 KB wait in memory');
    }
    $b->stop;
    is_deeply([ glob "$tmp/spool/* $tmp/spool/.c*" ], [], 'nothing is left');
};

# A request whose body is refused; then the next one on the same connection.
sub is_refused ($b, $kind, $status, $warning, $params, $body) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $mark = $b->mark;
    my $c = $b->connect($kind);
    my $r = $c->start(1, $params, body => $body, keep => 1);
    $c->wait_end(1);
    like($r->{out}, qr/\AStatus: $status [^\r]+\r\n/, "Status $status ($kind)");
    $b->one_warning($mark, $warning);
    my $next = $c->start(1, $b->post('input', 'next'), body => 'next', keep => 1);
    $c->wait_end(1);
    is(FastCGI::body($next), "4\nnext", 'the next request is served');
}

scenario 'trap 16: --max-body' => sub {
    my $b = Bridge->start(args => [ '--max-body', '200K', '--kill-delay', '1s' ]);
    my @born = $b->workers;
    my $max = 200 * 1024;
    for my $kind (qw(unix tcp)) {
        my $too_large = qr/413: body exceeds --max-body/;
        for my $size ($max + 1, 5 * $MB) {
            is_refused($b, $kind, 413, $too_large,
                $b->post('input', '', CONTENT_LENGTH => -1), 'b' x $size);
        }
        my $r = $b->get($kind, 'input', [ CONTENT_LENGTH => '' ], body => 'b' x $max);
        is(length FastCGI::body($r), length("$max\n") + $max, 'just as much is taken');
        $r = $b->get($kind, 'input', [], body => 'b' x (5 * $MB));
        is(length FastCGI::body($r), length("5242880\n") + 5 * $MB,
            'what is announced, and read as it comes, may be larger');
        # one that the script does not read, for a client that has to be held back
        my $file = file();
        is_refused($b, $kind, 413, $too_large, $b->post('sleeper', 'b' x $MB, QUERY_STRING => 60,
            TEST_PIDS => $file, SERVER_SOFTWARE => 'nginx/1.22.1'), 'b' x $MB);
        is_deeply([ gone(5, pids_in($file)) ], [], 'its script is stopped');
        $b->ok_serves($kind, @born);
    }
    $b->stop;
};

for my $size (qw(200K 129K 128K 64K 1K 0)) {
    on_both "trap 16: a slow reader of a body larger than --max-body $size" => sub ($kind) {
        my $b = Bridge->start(args => [ '--max-body', $size ]);
        script('naps', "#!/bin/sh\nsleep 0.5\nexec \"\${0%/*}/input\"\n");
        for my $keep (0, 1) {
            my $r = $b->get($kind, 'naps', [], body => 'b' x $MB, keep => $keep);
            is(length FastCGI::body($r), length("1048576\n") + $MB, "KEEP_CONN $keep: it gets all");
        }
        my $r = $b->get($kind, 'input', [ CONTENT_LENGTH => -1 ], body => 'b' x (201 * 1024));
        is(FastCGI::status($r), 413, 'one that has to be collected is not');
        $b->stop;
    };
}

on_both 'trap 16: a body larger than --max-body waits with its request' => sub ($kind) {
    my $b = Bridge->start(args => [ '--max-body', '1K', '-m', 1, '--status-path', '/status' ]);
    my ($first, $c) = map { $b->connect($kind) } 1, 2;
    my $hold = $b->start_waiting($first);
    my $r = $c->expect(1);
    my $body = 'b' x $MB;
    my $part = substr $body, 0, 65536, '';
    $c->send(FastCGI::begin(1) . FastCGI::params(1, $b->post('input', $part . $body))
        . FastCGI::stdin(1, $part));
    ok($b->wait_queued(1), 'it waits');
    $b->end_waiting($first, $hold);
    $c->send(FastCGI::stdin(1, $body) . FastCGI::stdin_end(1));
    $c->wait_end(1);
    is(length FastCGI::body($r), length("1048576\n") + $MB, 'it gets all when it is its turn');
    $b->stop;
};

# What goes in front of a daemon so that $folder is too small for it, and what follows:
# a file system of its own where that can be had, else a limit to the size of files.
sub small_folder ($folder) {
    mkdir $folder;
    my @unshare = (is_program('unshare', 'util-linux'), is_root() ? '-m' : '-rm');
    my $mount = "mount -t tmpfs -o size=200k,mode=1777 tmpfs $folder";
    return [ @unshare, 'sh', '-c', "$mount && exec \"\$@\"", 'sh' ], 507, 'No space left on device'
        if run_program([ @unshare, 'sh', '-c', $mount ])->{exit} == 0;
    return limited_files();
}

sub limited_files () {
    return [ 'sh', '-c', 'ulimit -f 400; exec "$@"', 'sh' ], 500, 'File too large';
}

sub no_space ($name, $prefix, $status, $reason, $spoil = sub ($folder) {}) {
    my $folder = "$tmp/" . $name =~ tr/ /-/r;
    mkdir $folder;
    scenario "trap 16: --spool-dir $name" => sub {
        my $b = Bridge->start(args => [ '--spool-dir', $folder, '--kill-delay', '1s' ],
            prefix => $prefix);
        my @born = $b->workers;
        $spoil->($folder);
        my $warning = qr/$status: request body cannot be held in \Q$folder\E: $reason/;
        for my $kind (qw(unix tcp)) {
            for my $length (-1, 5 * $MB) { # collected, and held back with a script running
                my $file = file();
                is_refused($b, $kind, $status, $warning, $b->post('sleeper', '',
                    CONTENT_LENGTH => $length, QUERY_STRING => 60, TEST_PIDS => $file,
                    SERVER_SOFTWARE => 'nginx/1.22.1'), 'b' x (5 * $MB));
                is_deeply([ gone(5, pids_in($file)) ], [], 'no script is left');
            }
            is(scalar open_files($b, $folder), 0, 'nor an open file');
            my $r = $b->get($kind, 'input', [ CONTENT_LENGTH => -1 ], body => 'b' x 60_000);
            is(length FastCGI::body($r), 60_000 + length "60000\n",
                'what fits into memory is served');
            $b->ok_serves($kind, @born);
        }
        $b->stop;
    };
}

no_space('on a full file system', small_folder("$tmp/on-a-full-file-system"));
no_space('where files may not grow', limited_files());
no_space('that is gone', [], 500, 'No such file or directory',
    sub ($folder) { rmdir $folder or die });

# ---- 29: names that come more than once ---------------------------------------------

on_both 'trap 29: repeated names' => sub ($kind) {
    # nginx and HAProxy send a repeated header as a repeated parameter
    my @cases = (
        [ [ HTTP_X => 'a', HTTP_X => 'b', HTTP_X => 'c' ], 'HTTP_X=a, b, c' ],
        [ [ HTTP_X => 'a', HTTP_Y => 'z', HTTP_X => 'b' ], 'HTTP_X=a, b', 'HTTP_Y=z' ],
        [ [ HTTP_X => '', HTTP_X => 'b' ], 'HTTP_X=, b' ],
        [ [ HTTP_X => 'a, b', HTTP_X => 'c=d; e' ], 'HTTP_X=a, b, c=d; e' ],
        [ [ HTTP_COOKIE => 'a=1', HTTP_COOKIE => 'b=2; c=3', HTTP_COOKIE => 'd=4' ],
            'HTTP_COOKIE=a=1; b=2; c=3; d=4' ],
        [ [ HTTP_COOKIE2 => 'a', HTTP_COOKIE2 => 'b' ], 'HTTP_COOKIE2=a, b' ],
        [ [ X_HTTP_A => 'a', X_HTTP_A => 'b' ], 'X_HTTP_A=b' ],
        [ [ HTTPS => 'off', HTTPS => 'on' ], 'HTTPS=on' ],
        [ [ REMOTE_USER => 'a', REMOTE_USER => '', X_Z => 1 ], 'REMOTE_USER=', 'X_Z=1' ],
        [ [ QUERY_STRING => 'a', HTTP_A => 1, QUERY_STRING => 'b', HTTP_A => 2 ],
            'QUERY_STRING=b', 'HTTP_A=1, 2' ],
        [ [ map { (HTTP_MANY => $_) } 1 .. 1000 ], 'HTTP_MANY=' . join ', ', 1 .. 1000 ],
    );
    for (@cases) {
        my ($params, @want) = @$_;
        # behind what every request has, so that order can be told
        my $r = FastCGI->ask($bridge->url($kind), [ @{ $bridge->params('environ') }, @$params ]);
        my @env = split /\0/, FastCGI::body($r);
        for my $want (@want) {
            my ($name) = $want =~ /^([^=]+)/;
            is_deeply([ grep { /^\Q$name\E=/i } @env ], [$want], substr $want, 0, 40);
        }
        my %count;
        $count{ lc s/=.*//sr }++ for @env;
        is_deeply([ grep { $count{$_} > 1 } keys %count ], [], 'no name is there twice');
    }
    my $r = FastCGI->ask($bridge->url($kind), [ @{ $bridge->params('environ') },
        HTTP_X_CASE => 'a', http_x_case => 'b', Http_X_Case => 'c', X_Case => 1, x_cAsE => 2 ]);
    my @env = split /\0/, FastCGI::body($r);
    is_deeply([ grep { /^HTTP_X_CASE=/i } @env ], ['HTTP_X_CASE=a, b, c'],
        'names in any case are one');
    is(scalar(grep { /^X_CASE=/i } @env), 1, 'others too');
    is_deeply([ map { s/.*=//r } grep { /^X_CASE=/i } @env ], [2], 'and the last wins');
};

$bridge->stop;
done_testing;

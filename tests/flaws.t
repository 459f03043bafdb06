#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# What scripts write that is not quite CGI: what is mended, and told in the log; what is
# refused, and shown there; what is left alone because it is right as it is.
use v5.36;
use Test::More;
use Time::HiRes qw(sleep);
use FastCGI;
use Bridge;

my $dir = Bridge::cgi();
my $bridge = Bridge->start(args => [ '-c', 1 ]);
my $strict = Bridge->start(args => ['--strict-headers']);
my $shows = Bridge->start(args => ['--error-detail']);
my $NGINX = 'nginx/1.22.1';
my $serial = 0;

# The answer to a GET of a script that writes this, and has a name of its own.
sub ask ($b, $kind, $text, @more) {
    my $name = 'says-' . ++$serial;
    symlink 'says', "$dir/$name" or die;
    return $b->get($kind, $name, [ TEST_SAY => $text, @more ]);
}

sub lines ($text) { return $text =~ s/\n/ /gr =~ s/[^ -~]/?/gr }

# ---- mended ------------------------------------------------------------------------

my $type = "Content-Type: text/plain\n";
my @type = ('Content-Type: text/plain');
my @mended = (
    [ "X-Foo: bar\n", qr/none of Content-Type, Location and Status: sent without/, 'X-Foo: bar' ],
    [ "Content-Type: a/b\n$type", qr/more than one Content-Type: the last one counts/, @type ],
    [ "Location: /a\nLocation: /b\n", qr/more than one Location: the last one counts/,
        'Status: 302 Found', 'Location: /b' ],
    [ "Status: 404 No\nStatus: 200 OK\n", qr/more than one Status: the first one counts/,
        'Status: 404 No' ],
    [ "${type}Content-Length: 4\nContent-Length: 4\n",
        qr/more than one Content-Length: the first one counts/, @type, 'Content-Length: 4' ],
    [ "${type}Content-Length: abc\n", qr/Content-Length is not a number: left out/, @type ],
    [ $type =~ s/\n/\r\r\n/r, qr/a line ends with CR CR LF: mended/, @type ],
    [ "Status: 404: Not Found\n", qr/Status does not start with three digits and a blank: mended/,
        'Status: 404 Not Found' ],
    [ "\xef\xbb\xbf$type", qr/a byte order mark in front: left out/, @type ],
    [ "<!--: spam\n$type", qr/a line before the first empty one is not "Name: value": left out/,
        @type ],
    [ "X-Long: a\n  b\n$type", qr/a header line starts with a blank .*: joined/, 'X-Long: a b', @type ],
);

for (@mended) {
    my ($text, $warning, @head) = @$_;
    my $end = $text =~ /\r\r\n/ ? "\r\r\n" : "\n";
    on_both 'mended: ' . lines($text) => sub ($kind) {
        my $mark = $bridge->mark;
        my $r = ask($bridge, $kind, "$text${end}body");
        is($r->{out}, FastCGI::head(@head) . 'body', 'delivered');
        $bridge->one_warning($mark, qr{\Q$dir\E/says-$serial\[\d+\].*: in its header block: $warning});
        $r = ask($bridge, $kind, "$text${end}body", TEST_STEP => 1);
        is($r->{out}, FastCGI::head(@head) . 'body', 'byte by byte, too');
        $mark = $strict->mark;
        is(FastCGI::status(ask($strict, $kind, "$text${end}body")), 500, '--strict-headers: 500');
        $strict->one_warning($mark, qr/500: no CGI response: /);
    };
}

on_both '"Status:404" has no flaw' => sub ($kind) {
    my $mark = $bridge->mark;
    is(ask($bridge, $kind, "Status:404\n\nbody")->{out}, FastCGI::head('Status: 404 Not Found') . 'body',
        'one blank, and a reason');
    $bridge->no_warning($mark);
};

scenario 'the log is told once a minute for a script and a flaw' => sub {
    my $b = Bridge->start(args => [ '-c', 1 ]);
    my $mark = $b->mark;
    for my $kind ('unix', 'tcp', 'unix') {
        for my $name ('says', 'hello') {
            $b->get($kind, $name, [ TEST_SAY => "X-A: b\nContent-Length: x\n\nbody" ]);
        }
    }
    $b->ok_serves('unix', $b->workers);
    my @lines = grep { /header block/ } quiet($b->log_since($mark));
    is(scalar @lines, 2, 'two flaws, six requests: two lines') or diag("@lines");
    $mark = $b->mark;
    ask($b, 'unix', "X-A: b\n\nbody");
    $b->one_warning($mark, qr/none of Content-Type/);
    $b->stop;
};

# ---- refused -------------------------------------------------------------------------

on_both 'nothing can be injected' => sub ($kind) {
    for my $text ("${type}X-A: b\rSet-Cookie: c\n", "${type}X-A: \x1b[2J\n",
        "${type}X-A: b\r\r\r\n", "<\rSet-Cookie: c\n$type", "X-A: b\n \rc\n$type", "${type}X-\x7f: b\n") {
        my $mark = $bridge->mark;
        is(FastCGI::status(ask($bridge, $kind, "$text\nbody")), 500, '500: ' . lines($text));
        $bridge->one_warning($mark, qr/a header line has a control character in it/);
    }
    script('nul', "#!/bin/sh\nprintf 'Content-Type: text/plain\\nX-A: b\\000c\\n\\nbody'\n");
    is(FastCGI::status($bridge->get($kind, 'nul')), 500, '500: a NUL');
};

on_both 'an interim status is not a final one' => sub ($kind) {
    my $mark = $bridge->mark;
    is(FastCGI::status(ask($bridge, $kind, "Status: 100 Continue\n$type\nbody")), 500, 'Status 500');
    $bridge->one_warning($mark, qr/Status is that of an interim response/);
};

on_both 'a 500 shows the first 500 bytes' => sub ($kind) {
    my $output = "Traceback (most recent call last):\n  <b>x</b>\n" . 'y' x 400 . 'z' x 200;
    my $shown = substr $output, 0, 500;
    my $logged = $shown =~ s/\n/\\x0a/gr;
    my $mark = $bridge->mark;
    my $r = ask($bridge, $kind, $output);
    is(FastCGI::body($r), "500 Internal Server Error: the script gave no valid response\n",
        'not to the client');
    $bridge->one_warning($mark, qr/; output starts: \Q$logged\E \(/);
    $r = ask($shows, $kind, $output);
    like(FastCGI::body($r), qr/; output starts: \Q$logged\E\n\z/, 'with --error-detail, to it too');
    script('binary', "#!/bin/sh\nprintf '\\033[2J\\000%.0s' \$(seq 200)\n");
    $r = $shows->get($kind, 'binary');
    like(FastCGI::body($r), qr/; output starts: (?:\\x1b\[2J\?){100}\n\z/, 'and nothing else than text');
};

# ---- left alone, and read at once ----------------------------------------------------------

on_both 'what is in normal form goes out as it is' => sub ($kind) {
    my $mark = $bridge->mark;
    for my $head ("Content-Type: text/plain\r\n", "X-A:b\r\nContent-type:   text/plain; a=b \r\n",
        "Status: 404 Not Here\r\nContent-Type: text/plain\r\n",
        "Status: 200 OK\r\nContent-Type: text/plain\r\n") {
        for my $n (10, 8000, 60_000) {
            my $text = "$head\r\n" . 'b' x $n;
            my $r = ask($bridge, $kind, $text);
            ok($r->{out} eq $text, lines($head) . "and $n bytes");
            is(scalar(grep { $_->[0] == FastCGI::STDOUT_ && $_->[1] } @{ $r->{records} }), 1,
                'in one record');
        }
    }
    $bridge->no_warning($mark);
};

on_both 'a header block of 64,000 bytes' => sub ($kind) {
    my $head = "Content-Type: text/plain\r\n" . join '', map { "X-$_: " . 'v' x 990 . "\r\n" } 1 .. 64;
    cmp_ok(length $head, '>', 63_000, 'so long');
    for my $step (0, 8192) {
        my $r = ask($bridge, $kind, "$head\r\nbody", TEST_STEP => $step, TEST_PAUSE => 0.01);
        ok($r->{out} eq "$head\r\nbody", "comes whole ($step)");
    }
};

# ---- nph- scripts, chunks --------------------------------------------------------------------

my $http = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
my @ok = ('Status: 200 OK', @type);

on_both 'interim responses are skipped' => sub ($kind) {
    my $mark = $bridge->mark;
    for my $before ("HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") {
        for my $step (0, 1, 30) {
            my $r = ask($bridge, $kind, "$before$http\r\nbody", TEST_STEP => $step,
                TEST_PAUSE => 0.002);
            is($r->{out}, FastCGI::head(@ok) . 'body', lines($before) . "in steps of $step");
        }
    }
    $bridge->no_warning($mark);
    is(FastCGI::status(ask($bridge, $kind, "HTTP/1.1 100 Continue\r\n\r\n")), 500,
        'and nothing behind them is a 500');
};

on_both 'Transfer-Encoding: chunked, true and false' => sub ($kind) {
    my $chunks = "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
    for my $step (0, 1) {
        for ([ 'nph, chunked' => $http, $chunks, 'hello!', undef, @ok ],
            [ 'nph, not chunked' => $http, 'decoded', 'decoded', qr/chunked, and the body is not/, @ok ],
            [ 'CGI, chunked' => "Content-Type: text/plain\r\n", $chunks, 'hello!',
                qr/Transfer-Encoding, which is up to the web server: left out/, @type ]) {
            my ($what, $head, $body, $want, $warning, @head) = @$_;
            my $mark = $bridge->mark;
            my $r = ask($bridge, $kind, "${head}Transfer-Encoding: chunked\r\n\r\n$body",
                TEST_STEP => $step);
            is($r->{out}, FastCGI::head(@head) . $want, "$what, step $step");
            is($r->{end}{app}, 0, 'END');
            $warning ? $bridge->one_warning($mark, $warning) : $bridge->no_warning($mark);
        }
    }
};

# ---- HEAD --------------------------------------------------------------------------------------

on_both 'the body of an answer to HEAD is passed to nginx alone, which drops it itself' => sub ($kind) {
    my $mark = $bridge->mark;
    for (undef, 'HAProxy 2.6', 'Apache/2.4', $NGINX) {
        my $r = ask($bridge, $kind, "$type\nbody", REQUEST_METHOD => 'HEAD', SERVER_SOFTWARE => $_);
        is(FastCGI::body($r), ($_ // '') eq $NGINX ? 'body' : '', $_ // 'unnamed');
    }
    my $r = ask($bridge, $kind, "${type}Content-Length: 4\n\n", REQUEST_METHOD => 'HEAD',
        SERVER_SOFTWARE => $NGINX);
    is($r->{out}, FastCGI::head(@type, 'Content-Length: 4'), 'a script may know that it has none');
    ok($r->{end}, 'END');
    $bridge->no_warning($mark);
};

scenario 'nginx with fastcgi_cache: HEAD does not make an empty page for GET' => sub {
    script('page', "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\nthe page'\n");
    my $tmp = Bridge::tmp();
    my $params = Bridge::nginx_params($dir);
    my $url = $bridge->url('unix');
    my $nginx = Bridge->nginx("location / { $params fastcgi_param SCRIPT_FILENAME $dir\$fastcgi_script_name;"
        . " fastcgi_pass $url; fastcgi_cache zone;"
        . ' fastcgi_cache_key $uri; fastcgi_cache_valid 200 1m; add_header X-Cache $upstream_cache_status; }',
        http => "fastcgi_cache_path $tmp/cache keys_zone=zone:1m;");
    my $at = 'http://127.0.0.1:' . $nginx->port . '/page';
    my $curl = is_program('curl', 'curl');
    like(run_program([ $curl, '-sI', $at ])->{out}, qr/200 OK.*X-Cache: MISS/s, 'HEAD is kept');
    my $get = run_program([ $curl, '-si', $at ])->{out};
    like($get, qr/X-Cache: HIT/, 'and found by GET');
    like($get, qr/\r\n\r\nthe page\z/, 'with its body');
    $nginx->stop;
};

$_->stop for $bridge, $strict, $shows;
done_testing;

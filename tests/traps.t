#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# The traps that real FastCGI clients set, one named subtest each, over unix and
# tcp.  A client is mimicked record by record: which one is said at each.
# (Those about scripts and what they write, 7, 9 to 14, 16, 27 and 29, are in
# traps_cgi.t, 26 is in protocol.t, the first through a real nginx in nginx.t.)
use v5.36;
use Digest::SHA qw(sha256_hex);
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $bridge = Bridge->start(args => [ '--kill-delay', '1s', '--disconnect-grace', '500ms' ]);
my $dir = Bridge::cgi();

my @workers = $bridge->workers;

my $MB = 1 << 20;

# How many sockets the workers have open: connections, and what they listen on.
sub sockets () {
    my $n = 0;
    for my $pid ($bridge->workers) {
        $n += grep { (readlink $_ // '') =~ /^socket:/ } glob "/proc/$pid/fd/*";
    }
    return $n;
}

my $idle = sockets();

# ---- 1, 2, 3: the body that nobody reads -----------------------------------

on_both 'trap 1: an early answer, the whole body there' => sub ($kind) {
    my $r = $bridge->get($kind, 'hello', [], body => 'abcd');
    is_hello($r, 'the answer');
    is($r->{closed}, 'eof', 'then EOF');
    cmp_ok($r->{total}, '<', slow(1), 'at once');
};

on_both 'trap 1: an early answer, the terminator never comes' => sub ($kind) {
    # nginx stops sending STDIN once it has the response's headers
    for my $length (4, 10, 1_000_000) {
        my $c = $bridge->connect($kind);
        my $r = $c->expect(1);
        $c->send(FastCGI::begin(1) . FastCGI::params(1,
            $bridge->post('hello', '', CONTENT_LENGTH => $length)) . FastCGI::stdin(1, 'abcd'));
        $c->wait_end(1);
        is($c->wait_close, 'eof', "EOF, CONTENT_LENGTH is $length");
        is_hello($r, 'the answer');
        cmp_ok(time - $r->{since}, '<', slow(1), 'at once');
    }
};

on_both 'trap 1: an early answer, the terminator comes late' => sub ($kind) {
    # the id has to be known after END: Go's net/http/fcgi forgot it
    for my $keep (0, 1) {
        my $c = $bridge->connect($kind);
        my $r = $c->expect(1);
        $c->send(FastCGI::begin(1, keep => $keep) . FastCGI::params(1,
            $bridge->post('hello', '', CONTENT_LENGTH => 8)) . FastCGI::stdin(1, 'abcd'));
        $c->wait_end(1);
        is_hello($r, "the answer, KEEP_CONN $keep");
        $c->send(FastCGI::stdin(1, 'efgh'));
        $bridge->catch_up($kind);
        $c->send(FastCGI::stdin_end(1));
        if (!$keep) {
            my $since = time;
            is($c->wait_close, 'eof', 'EOF, and no reset');
            cmp_ok(time - $since, '<', slow(1), 'at once');
            next;
        }
        my $next = $c->start(1, $bridge->post('echo', 'next'), body => 'next', keep => 1);
        $c->wait_end(1);
        is(FastCGI::body($next), 'next', 'and the next request is served');
    }
};

on_both 'trap 2: the script ignores a 5 MB body' => sub ($kind) {
    my $body = 'b' x (5 * $MB);
    for my $no_read (0, 1) {
        for my $keep (0, 1) {
            my $c = $bridge->connect($kind);
            my $r = $c->start(1, $bridge->post('page', $body, QUERY_STRING => 100_000),
                body => $body, keep => $keep, no_read => $no_read);
            $c->wait_end(1);
            my $how = ($no_read ? 'all sent before any is read' : 'sent and read at once')
                . ", KEEP_CONN $keep";
            is($c->{send_error}, undef, "$how: the body is taken");
            is(length FastCGI::body($r), 100_000, 'the whole answer arrives');
            is($r->{end}{app}, 0, 'and the script did not fail');
            if ($keep) {
                my $next = $c->start(1, $bridge->params('hello'), keep => 1);
                $c->wait_end(1);
                is_hello($next, 'the next request');
            } else {
                is($c->wait_close, 'eof', 'EOF, and no reset');
            }
        }
    }
};

on_both 'trap 3: the terminator is not waited for' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $r = $c->expect(1);
    $c->send(FastCGI::begin(1)
        . FastCGI::params(1, $bridge->post('page', '', QUERY_STRING => 300_000,
            CONTENT_LENGTH => 5 * $MB))
        . FastCGI::stdin(1, 'x' x 100_000));
    $c->wait_end(1);
    is($c->wait_close, 'eof', 'EOF although the body has not ended');
    cmp_ok(time - $r->{since}, '<', slow(2), 'soon');
    is(length FastCGI::body($r), 300_000, 'the whole answer');
    $c->hang_up;
    ok(wait_until(5, sub { sockets() == $idle }), 'our end closed: so is the other');
};

on_both 'trap 3: a client that goes on sending after the answer' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $r = $c->expect(1);
    $c->send(FastCGI::begin(1)
        . FastCGI::params(1, $bridge->post('hello', '', CONTENT_LENGTH => 20 * $MB)));
    $c->wait_end(1);
    my $sent = $c->send(FastCGI::stdin(1, 'x' x (20 * $MB)) . FastCGI::stdin_end(1));
    cmp_ok($sent, '>', 20 * $MB, 'is drained, not reset');
    is($c->wait_close, 'eof', 'and sees EOF');
    is_hello($r, 'the answer');
};

# ---- 4: both ways at once ------------------------------------------------------

# The answer of the script duplex, to this body.
sub is_duplex ($r, $bytes, $body, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $answer = FastCGI::body($r);
    my $out = substr $answer, 0, $bytes, '';
    is($answer, join(' ', sha256_hex($out), sha256_hex($body)), "$what: both checksums");
}

on_both 'trap 4: a 4 MB answer written before 5 MB of body are read' => sub ($kind) {
    # Caddy sends all before it reads any; to nginx the answer is held back besides
    my $body = noise(5 * $MB);
    for my $software ('Caddy', 'nginx/1.22.1') {
        for my $keep (0, 1) {
            my $c = $bridge->connect($kind);
            my $r = $c->expect(1);
            my $params = $bridge->post('duplex', $body, QUERY_STRING => 4 * $MB,
                SERVER_SOFTWARE => $software);
            my $bytes = FastCGI::request(1, $params, body => $body, keep => $keep);
            my $how = "as $software, KEEP_CONN $keep";
            is($c->send($bytes, no_read => 1), length $bytes, "$how: all is sent");
            is($c->{bytes_read}, undef, 'before any is read');
            $c->wait_end(1, 20);
            is_duplex($r, 4 * $MB, $body, $how);
            is($r->{end}{app}, 0, 'and the script did not fail');
            is($c->wait_close, 'eof', 'EOF, and no reset') if !$keep;
        }
    }
}, secs => 120;

on_both 'trap 4: as much from a client that sends and reads slowly' => sub ($kind) {
    my $body = noise($MB);
    my $c = $bridge->connect($kind, rcvbuf => 16384);
    my $r = $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::params(1,
        $bridge->post('duplex', $body, QUERY_STRING => 4 * $MB)));
    for (my $at = 0; $at < length $body; $at += 65536) {
        $c->send(FastCGI::stdin(1, substr $body, $at, 65536), no_read => 1);
        $c->fill(30_000);
        sleep 0.01;
    }
    $c->send(FastCGI::stdin_end(1));
    $c->wait_end(1, 20);
    is_duplex($r, 4 * $MB, $body, 'in small pieces');
};

# Begins request 1, a script that reads nothing, with a body of 5 MB.  How much of
# that the server took, and the pids.
sub send_unread ($c, $file, $b = $bridge) {
    my $body = 'b' x (5 * $MB);
    $c->expect(1);
    $c->send(FastCGI::begin(1, keep => 1)
        . FastCGI::params(1, $b->post('sleeper', $body, QUERY_STRING => 60, TEST_PIDS => $file)));
    my @pids = wait_pids($file, 2);
    my $bytes = FastCGI::stdin(1, $body) . FastCGI::stdin_end(1);
    return length($bytes) - $c->send($bytes, timeout => 5), @pids;
}

on_both 'trap 4: a body that is not read blocks no neighbour on its connection' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $echo = $c->expect(3);
    $c->send(FastCGI::begin(3, keep => 1) . FastCGI::params(3, $bridge->post('echo', 'x' x 20))
        . FastCGI::stdin(3, 'x' x 10));
    $c->wait_out(3);
    my ($left, @pids) = send_unread($c, Bridge::tmp() . "/unread-$kind");
    is($left, 0, 'the server takes all of the body');
    $c->send(FastCGI::stdin(3, 'x' x 10) . FastCGI::stdin_end(3), timeout => 5);
    $c->wait_end(3);
    is(FastCGI::body($echo), 'x' x 20, 'one that ran before goes on');
    my $late = $c->start(5, $bridge->post('echo', 'late'), body => 'late', keep => 1);
    $c->wait_end(5);
    is(FastCGI::body($late), 'late', 'one that comes later is served');
    my $body = noise($MB);
    my $both = $c->start(7, $bridge->post('duplex', $body, QUERY_STRING => $MB), body => $body,
        keep => 1);
    $c->wait_end(7);
    is_duplex($both, $MB, $body, 'and so is one with bytes both ways');
    ok(!$c->{req}{1}{end}, 'while the first still waits');
    $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1));
    $c->wait_end(1);
    is_deeply([ gone(5, @pids) ], [], 'until it is aborted');
};

on_both 'trap 4: a body that is not read, and then the first neighbour' => sub ($kind) {
    # HAProxy multiplexes on connections with KEEP_CONN; at first there is one request
    my $c = $bridge->connect($kind);
    my ($left, @pids) = send_unread($c, Bridge::tmp() . "/alone-$kind");
    is($left, 0, 'the server takes all of the body');
    my $late = $c->start(3, $bridge->post('echo', 'late'), body => 'late', keep => 1);
    $c->wait_end(3);
    is(FastCGI::body($late), 'late', 'the neighbour is served');
    ok(!$c->{req}{1}{end}, 'while the first still waits');
    $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1));
    $c->wait_end(1);
    is_deeply([ gone(5, @pids) ], [], 'its ABORT is seen as well');
};

scenario 'trap 4: a body that is not read, and is too large to be held' => sub {
    my $small = Bridge->start(args => [ '--max-body', '1M', '--kill-delay', '1s' ]);
    for my $kind (qw(unix tcp)) {
        my $mark = $small->mark;
        my $c = $small->connect($kind);
        my $tick = $c->start(3, $small->params('ticker', QUERY_STRING => 15), keep => 1);
        $c->wait_out(3);
        my ($left, @pids) = send_unread($c, Bridge::tmp() . "/large-$kind", $small);
        is($left, 0, "the server takes all of the body ($kind)");
        my $r = $c->wait_end(1);
        is(FastCGI::status($r), 413, 'Status 413');
        ok($small->wait_for_log(qr/413: body exceeds --max-body/, 5, from => $mark), 'a log line');
        is_deeply([ gone(5, @pids) ], [], 'its script is stopped');
        $c->wait_end(3);
        is(FastCGI::body($tick), join('', map { "tick $_\n" } 1 .. 15), 'the neighbour is not');
    }
    $small->stop;
};

# ---- 5, 6 --------------------------------------------------------------------

# `count` requests over connections of their own, the empty STDIN in a write of
# its own as Apache does it; the exit status says whether all were answered.
sub hammer ($url, $params, $count, $expected) {
    my $head = FastCGI::begin(1) . FastCGI::params(1, $params);
    my $tail = FastCGI::stdin_end(1);
    for (1 .. $count) {
        my $c = FastCGI->connect($url);
        my $r = $c->expect(1);
        $c->send($head);
        $c->send($tail);
        $c->wait_end(1);
        die "'$r->{out}'\n" if FastCGI::status($r) != $expected;
        die "closed: $c->{closed}\n" if $c->wait_close ne 'eof';
    }
    die "@FastCGI::violations\n" if @FastCGI::violations;
}

# hammer() in `processes` at once; the number of those that failed.
sub hammer_all ($kind, $processes, $params, $count, $expected) {
    my @pids;
    for my $n (1 .. $processes) {
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            $SIG{ALRM} = 'DEFAULT';
            alarm 120 * $Bridge::slow;
            my $ok = eval { hammer($bridge->url($kind), $params, $count, $expected); 1 };
            print STDERR "# $@" if !$ok;
            POSIX::_exit($ok ? 0 : 1);
        }
        push @pids, $pid;
    }
    my $failed = 0;
    for (@pids) {
        my $status = Bridge::reap($_, 120);
        $failed++ if !defined $status || $status != 0;
    }
    return $failed;
}

my $rounds = $Bridge::slow > 1 ? 250 : 2500;

on_both 'trap 5: fast answers before Apache\'s separate empty STDIN' => sub ($kind) {
    my $missing = $bridge->params('missing', SCRIPT_FILENAME => "$dir/missing");
    my $mark = $bridge->mark;
    is(hammer_all($kind, 4, $missing, $rounds, 404), 0, 4 * $rounds . ' refusals, no failure');
    is(hammer_all($kind, 4, $bridge->params('hello'), $rounds / 10, 200), 0,
        4 * $rounds / 10 . ' scripts, no failure');
}, secs => 240;

on_both 'trap 6: idle kept connections do not delay the next one' => sub ($kind) {
    my @idle;
    for (1 .. 200) {
        my $c = $bridge->connect($kind);
        push @idle, $c;
        $c->start(1, $bridge->params('missing'), keep => 1);
    }
    $_->wait_end(1) for @idle;
    my $r = $bridge->get($kind, 'hello');
    is_hello($r, 'answered with 200 idle connections there');
    cmp_ok($r->{total}, '<', slow(1), 'at once');
    is(scalar(grep { $_->{closed} } @idle), 0, 'none of which was closed');
    my $last = $idle[-1]->start(1, $bridge->params('hello'), keep => 1);
    $idle[-1]->wait_end(1);
    is_hello($last, 'and each can be used again');
};

# ---- 8: always a Status -------------------------------------------------------

script('no-program', "this is neither a program nor a script\n");
script('not-executable', "#!/bin/sh\n", 0644);

on_both 'trap 8: a refusal or failure is a Status block before END' => sub ($kind) {
    my @cases = (
        [ 'no such script' => 'missing', 404 ], [ 'a directory' => '.', 403 ],
        [ 'not executable' => 'not-executable', 403 ], [ 'no interpreter' => 'lost', 500 ],
        [ 'no program' => 'no-program', 500 ], [ 'no output' => 'silent', '5\d\d' ],
    );
    for (@cases) {
        my ($what, $name, $status) = @$_;
        my $r = $bridge->get($kind, $name);
        like($r->{out}, qr/\AStatus: $status .+\r\n/, "$what: Status $status comes first");
        like(FastCGI::response($r)->{header}{'content-type'}, qr{^text/plain}, 'text/plain');
        isnt(FastCGI::body($r), '', 'with a body that says so');
        is($r->{end}{status}, FastCGI::REQUEST_COMPLETE, 'REQUEST_COMPLETE');
        is($r->{closed}, 'eof', 'EOF');
    }
    my $r = FastCGI->ask($bridge->url($kind), [ REQUEST_METHOD => 'GET' ]);
    like($r->{out}, qr/\AStatus: 500 /, 'no script named at all: Status 500');
    $r = FastCGI->ask($bridge->url($kind), []);
    like($r->{out}, qr/\AStatus: 500 /, 'no parameters at all: Status 500');
};

on_both 'trap 8: a refusal of a POST whose body is still coming' => sub ($kind) {
    my $body = 'b' x (2 * $MB);
    my $r = $bridge->get($kind, 'missing', [], body => $body);
    is(FastCGI::status($r), 404, 'Status 404');
    is($r->{closed}, 'eof', 'EOF, and no reset');
};

# ---- 15, 17 -------------------------------------------------------------------

on_both 'trap 15: HTTP_PROXY is dropped' => sub ($kind) {
    my $r = $bridge->get($kind, 'environ', [ HTTP_PROXY => 'http://evil.example:3128/',
        Http_Proxy => 'http://evil.example:3128/', HTTP_PROXY_X => 'kept' ]);
    my @names = map { /^([^=]*)/ } split /\0/, FastCGI::body($r);
    is_deeply([ grep { /^http_proxy$/i } @names ], [], 'in any case');
    is(scalar(grep { $_ eq 'HTTP_PROXY_X' } @names), 1, 'and nothing else');
};

on_both 'trap 17: no STDIN terminator' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $r = $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::params(1,
        $bridge->params('count', CONTENT_LENGTH => 0)));
    $c->wait_end(1);
    is(FastCGI::body($r), "0 unset\n", 'CONTENT_LENGTH 0: stdin is at its end');
    for my $keep (0, 1) {
        $c = $bridge->connect($kind);
        $r = $c->expect(1);
        $c->send(FastCGI::begin(1, keep => $keep)
            . FastCGI::params(1, $bridge->post('count', 'abcd')) . FastCGI::stdin(1, 'abcd'));
        $c->wait_end(1);
        is(FastCGI::body($r), "4 4\n", "the length is reached: the same, KEEP_CONN $keep");
        is($c->wait_close, 'eof', 'EOF') if !$keep;
    }
    $c = $bridge->connect($kind);
    $r = $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::params(1, $bridge->params('hello')));
    $c->wait_end(1);
    is_hello($r, 'no body at all: the script is started when the parameters have ended');
};

# ---- 18, 19: what names the script ---------------------------------------------

# The environment that a request with exactly these parameters leads to.
sub environment ($kind, %params) {
    my $r = FastCGI->ask($bridge->url($kind), [ REQUEST_METHOD => 'GET', %params ]);
    my %env = map { /^([^=]*)=(.*)/s } split /\0/, FastCGI::body($r);
    return \%env if keys %env > 1;
    return { refused => FastCGI::status($r) };
}

sub is_named ($env, $name, $info, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %got = map { $_ => $env->{$_} } qw(SCRIPT_NAME SCRIPT_FILENAME);
    $got{PATH_INFO} = $env->{PATH_INFO} // '';
    $got{PATH_TRANSLATED} = $env->{PATH_TRANSLATED} // '';
    is_deeply(\%got, { SCRIPT_NAME => $name, PATH_INFO => $info,
        SCRIPT_FILENAME => "$dir/environ",
        PATH_TRANSLATED => $info eq '' ? '' : "$dir$info" }, $what) or diag(explain($env));
}

on_both 'trap 18: SCRIPT_FILENAME as a proxy: URL' => sub ($kind) {
    my %common = (DOCUMENT_ROOT => $dir, SCRIPT_NAME => '/environ');
    for my $prefix ('proxy:fcgi://127.0.0.1:9000', 'proxy:fcgi://localhost',
        'proxy:balancer://pool', 'proxy:unix:/run/x.sock|fcgi://localhost',
        'proxy:fcgi://[::1]:9000')
    {
        is_named(environment($kind, %common, SCRIPT_FILENAME => "$prefix$dir/environ"),
            '/environ', '', $prefix);
        is_named(environment($kind, %common, SCRIPT_FILENAME => "$prefix$dir/environ?a=/b&c",
            QUERY_STRING => 'a=/b&c'), '/environ', '', 'with a query behind');
        is_named(environment($kind, %common, SCRIPT_NAME => '/environ/x/y',
            SCRIPT_FILENAME => "$prefix$dir/environ/x/y"), '/environ', '/x/y', 'with a path behind');
    }
    is(environment($kind, %common, SCRIPT_FILENAME => 'proxy:fcgi://localhost')->{refused}, 500,
        'no path in it: 500');
};

on_both 'trap 19: PATH_INFO in the wrong place' => sub ($kind) {
    my %root = (DOCUMENT_ROOT => $dir);
    is_named(environment($kind, %root, SCRIPT_FILENAME => "$dir/environ",
        SCRIPT_NAME => '/environ', PATH_INFO => '/x/y'), '/environ', '/x/y', 'where it belongs');
    is_named(environment($kind, %root, SCRIPT_FILENAME => "$dir/environ",
        SCRIPT_NAME => '/environ', PATH_INFO => ''), '/environ', '', 'empty');
    is_named(environment($kind, %root, SCRIPT_FILENAME => "$dir/environ/x/y",
        SCRIPT_NAME => '/environ/x/y'), '/environ', '/x/y', 'Apache, HAProxy: inside SCRIPT_NAME');
    is_named(environment($kind, %root, SCRIPT_FILENAME => $dir, SCRIPT_NAME => '',
        PATH_INFO => '/environ/x/y'), '/environ', '/x/y', 'Caddy: the script inside PATH_INFO');
    is_named(environment($kind, %root, SCRIPT_FILENAME => "$dir/", SCRIPT_NAME => '',
        PATH_INFO => '/environ'), '/environ', '', 'Caddy: nothing behind the script');
    is_named(environment($kind, %root, SCRIPT_NAME => '/environ/x/y'),
        '/environ', '/x/y', 'h2o: no SCRIPT_FILENAME');
    is_named(environment($kind, %root, SCRIPT_NAME => '/environ', PATH_INFO => '/x/y'),
        '/environ', '/x/y', 'h2o: no SCRIPT_FILENAME, PATH_INFO where it belongs');
    is(environment($kind, %root, SCRIPT_NAME => '/nothing/x/y')->{refused}, 404, 'no such script');
    is(environment($kind, DOCUMENT_ROOT => "$dir/..", SCRIPT_FILENAME => $dir, SCRIPT_NAME => '',
        PATH_INFO => '/../cgi-bin/environ')->{refused}, 404, 'no way out through ".."');
};

# ---- 20 to 25 --------------------------------------------------------------------

on_both 'trap 20: an id begun again, its old STDIN unterminated' => sub ($kind) {
    my $c = $bridge->connect($kind);
    for my $n (1 .. 5) {
        my $r = $c->expect(1);
        $c->send(FastCGI::begin(1, keep => 1)
            . FastCGI::params(1, $bridge->post('hello', '', CONTENT_LENGTH => 100))
            . FastCGI::stdin(1, "old $n"));
        $c->wait_end(1);
        is_hello($r, 'an early END');
        $c->send(FastCGI::stdin(1, 'old, and late'));
        $r = $c->expect(1);
        $c->send(FastCGI::request(1, $bridge->post('echo', 'new'), body => 'new', keep => 1));
        $c->wait_end(1);
        is(FastCGI::body($r), 'new', 'then a fresh request');
    }
};

on_both 'trap 21: BEGIN of id 3 while id 1 runs' => sub ($kind) {
    # HAProxy with mpxs-conns
    my $c = $bridge->connect($kind);
    my $one = $c->start(1, $bridge->params('ticker', QUERY_STRING => 8), keep => 1);
    $c->wait_out(1);
    my $three = $c->start(3, $bridge->params('hello'), keep => 1);
    $c->wait_end(3);
    is_hello($three, 'is served');
    ok(!$one->{end}, 'while id 1 goes on');
    my $five = $c->start(5, $bridge->params('ticker', QUERY_STRING => 3), keep => 1);
    $c->wait_end($_) for 5, 1;
    is(FastCGI::body($one), join('', map { "tick $_\n" } 1 .. 8), 'id 1 is complete');
    is(FastCGI::body($five), join('', map { "tick $_\n" } 1 .. 3), 'and id 5');
};

on_both 'trap 21: neither of two starves' => sub ($kind) {
    my $c = $bridge->connect($kind);
    script('noted-page', <<~'SH');
        #!/bin/sh
        printf 'Content-Type: application/octet-stream\n\n'
        echo begun >"$TEST_MARK"
        exec head -c "$QUERY_STRING" /dev/zero
        SH
    my @marks = (file(), file());
    $c->expect($_) for 1, 3;
    $c->send(join('', map { FastCGI::request($_, $bridge->params('noted-page',
        QUERY_STRING => 40 * $MB, TEST_MARK => $marks[$_ / 2]), keep => 1) } 1, 3), no_read => 1);
    wait_still(@marks); # both have filled their pipes
    my $r = $c->{req};
    $c->read_until(slow(20), sub {
        length $r->{1}{out} > 10 * $MB || length $r->{3}{out} > 10 * $MB });
    my ($less, $more) = sort { $a <=> $b } map { length $r->{$_}{out} } 1, 3;
    cmp_ok($less, '>', $MB, "at 10 MB of one the other has some ($less, $more)");
    my $hello = $c->start(5, $bridge->params('hello'), keep => 1);
    $c->wait_end(5);
    is_hello($hello, 'a third gets through');
    ok(!$r->{1}{end} || !$r->{3}{end}, 'before they are done');
    $c->wait_end($_, 30) for 1, 3;
    is(length FastCGI::body($r->{$_}), 40 * $MB, "id $_ is complete") for 1, 3;
}, secs => 90;

on_both 'trap 22: the client is gone while the script is silent' => sub ($kind) {
    for my $how (qw(hang_up reset)) {
        my $file = Bridge::tmp() . "/gone-$kind-$how";
        my $c = $bridge->connect($kind);
        $c->start(1, $bridge->params('family', TEST_PIDS => $file));
        my @pids = wait_pids($file, 4);
        is(scalar @pids, 4, 'script, children and grandchild run');
        $c->$how;
        is_deeply([ gone(5, @pids) ], [], "$how: all of them are killed");
    }
};

on_both 'trap 22: ABORT and a reset' => sub ($kind) {
    # HAProxy; the terminator not sent, and (an ABORT after it counts too) sent
    for my $ended (0, 1) {
        my $file = Bridge::tmp() . "/abort-$kind-$ended";
        my $c = $bridge->connect($kind);
        $c->expect(1);
        $c->send(FastCGI::begin(1, keep => 1)
            . FastCGI::params(1, $bridge->post('family', '', CONTENT_LENGTH => 4,
                TEST_PIDS => $file))
            . FastCGI::stdin(1, 'abcd') . ($ended ? FastCGI::stdin_end(1) : ''));
        my @pids = wait_pids($file, 4);
        is(scalar @pids, 4, 'script, children and grandchild run');
        $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1));
        $c->reset;
        is_deeply([ gone(5, @pids) ], [],
            'all of them are killed, STDIN ' . ($ended ? 'ended' : 'open'));
    }
};

on_both 'trap 22: the client is gone, other requests are not' => sub ($kind) {
    my $other = $bridge->connect($kind);
    my $r = $other->start(1, $bridge->params('ticker', QUERY_STRING => 6));
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('ticker', QUERY_STRING => 100));
    $c->wait_out(1);
    $c->hang_up;
    $other->wait_end(1);
    is(FastCGI::body($r), join('', map { "tick $_\n" } 1 .. 6), 'the other is complete');
};

scenario 'trap 22: a half-close after a complete request is no abort (unix)' => sub {
    my $c = $bridge->connect('unix');
    my $r = $c->start(1, $bridge->post('sleeper', 'body', QUERY_STRING => 1), body => 'body');
    $c->half_close;
    $c->wait_end(1);
    is(FastCGI::body($r), "slept\n", 'the answer comes');
    is($r->{end}{app}, 0, 'the script was left alone');
    is($c->wait_close, 'eof', 'then EOF');
    my $file = Bridge::tmp() . '/half-closed';
    $c = $bridge->connect('unix');
    $c->start(1, $bridge->params('family', TEST_PIDS => $file));
    $c->half_close;
    my @pids = wait_pids($file, 4);
    $bridge->catch_up;
    is(scalar(grep { alive($_) } @pids), 4, 'still at work when that has been seen');
    $c->hang_up;
    is_deeply([ gone(5, @pids) ], [], 'the other half closed: they are killed');
};

on_both 'trap 23: no record for id 0 or another id' => sub ($kind) {
    # what else would break it is checked for every record of every test
    my $c = $bridge->connect($kind);
    for my $name (qw(hello missing silent complains)) {
        $c->{seen} = [];
        $c->start(17, $bridge->params($name), keep => 1);
        $c->wait_end(17);
        is_deeply([ grep { $_->[1] != 17 } @{ $c->{seen} } ], [], $name);
    }
};

on_both 'trap 24: each burst is whole records' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $r = $c->start(1, $bridge->params('ticker', QUERY_STRING => 6));
    my $torn = 0;
    my $bursts = 0;
    while (!$c->{closed}) {
        my (undef, $readable) = $c->ready(0, 1, slow(5));
        last if !$readable;
        # a read as large as anything the script wrote: a split write shows as
        # a record that is incomplete in it
        $c->fill;
        $bursts++;
        $torn++ if length $c->{in};
    }
    cmp_ok($bursts, '>', 4, "$bursts bursts");
    is($torn, 0, 'none ends inside a record');
    ok($r->{end}, 'END came');
    # that all are padded to 8 is checked for every record of every test
};

on_both 'trap 25: a reset after END is not worth a line' => sub ($kind) {
    my $mark = $bridge->mark;
    for my $keep (0, 1) {
        for (1 .. 10) {
            my $c = $bridge->connect($kind);
            my $r = $c->start(1, $bridge->params('hello'), keep => $keep);
            $c->wait_end(1);
            $c->reset;
        }
    }
    $bridge->catch_up($kind);
    my $r = $bridge->get($kind, 'hello');
    is_hello($r, 'the worker goes on');
    is_deeply([ quiet($bridge->log_since($mark)) ], [], 'and says nothing');
};

# ---- 28: no end of it ------------------------------------------------------------

# How much a worker may grow, in KiB; checkers keep freed memory for a while.
my $growth = ($Bridge::slow > 1 ? 600 : 100) * 1024;

on_both 'trap 28: endless BEGINs' => sub ($kind) {
    my ($mark, $before) = ($bridge->mark, $bridge->memory);
    my $c = $bridge->connect($kind);
    my ($one) = ($c->start(1, $bridge->params('hello'), keep => 1));
    $c->wait_end(1);
    is_hello($one, 'the first is served');
    for my $from (map { $_ * 1000 + 2 } 0 .. 64) {
        my $last = $from + 999 < 65535 ? $from + 999 : 65535;
        last if $c->{closed} || $c->{send_error};
        $c->send(join '', map { FastCGI::begin($_, keep => 1) } $from .. $last);
        $bridge->ok_serves($kind, @workers) if $from % 8000 == 2;
    }
    like($c->wait_close, qr/^(?:eof|reset)$/, 'the connection is closed');
    ok($bridge->wait_for_log(qr/warn: connection from \S+ closed: too many requests/, 5,
        from => $mark), 'and a log line says why');
    cmp_ok($bridge->memory - $before, '<', $growth, 'the worker has not grown by it');
    $bridge->ok_serves($kind, @workers);
};

on_both 'trap 28: endless PARAMS' => sub ($kind) {
    my $before = $bridge->memory;
    my $piece = FastCGI::record(FastCGI::PARAMS, 1, FastCGI::pairs(X_LONG => 'v' x 60_000));
    for my $keep (0, 1) {
        my $mark = $bridge->mark;
        my $c = $bridge->connect($kind);
        my $r = $c->expect(1);
        $c->send(FastCGI::begin(1, keep => $keep) . FastCGI::params(1, $bridge->params('hello'))
            =~ s/.{8}\z//sr . $piece x 5);
        $c->wait_end(1);
        is(FastCGI::status($r), 431, "Status 431 at --max-params, KEEP_CONN $keep");
        is($r->{end}{status}, FastCGI::REQUEST_COMPLETE, 'REQUEST_COMPLETE');
        ok($bridge->wait_for_log(qr/431: PARAMS exceed --max-params/, 5, from => $mark),
            'a log line');
        for (1 .. 20) {
            $c->send($piece x 20);
            $bridge->ok_serves($kind, @workers) if $_ % 10 == 0;
        }
        cmp_ok($bridge->memory - $before, '<', $growth, '24 MB more go nowhere');
        $c->send(FastCGI::record(FastCGI::PARAMS, 1) . FastCGI::stdin_end(1));
        if ($keep) {
            my $next = $c->start(1, $bridge->params('hello'), keep => 1);
            $c->wait_end(1);
            is_hello($next, 'the next request is served');
        } else {
            is($c->wait_close, 'eof', 'EOF, and no reset');
        }
    }
};

on_both 'trap 28: endless PARAMS of many requests' => sub ($kind) {
    # more than --max-scripts of them on one connection, none ever complete
    my $before = $bridge->memory;
    my $c = $bridge->connect($kind);
    my $piece = FastCGI::pairs(X_LONG => 'v' x 60_000);
    for my $id (1 .. 2000) {
        $c->expect($id);
        $c->send(FastCGI::begin($id, keep => 1)
            . FastCGI::record(FastCGI::PARAMS, $id, $piece) x 4);
    }
    $bridge->ok_serves($kind, @workers);
    cmp_ok($bridge->memory - $before, '<', $growth, '480 MB are not all kept');
};

scenario 'trap 28: more requests on a connection than scripts may run' => sub {
    my $few = Bridge->start(args => [ '-m', 2, '--kill-delay', '1s' ]);
    my @few = $few->workers;
    for my $kind (qw(unix tcp)) {
        my $mark = $few->mark;
        my $c = $few->connect($kind);
        my $params = $few->params('ticker', QUERY_STRING => 8);
        my @ticks = map { $c->start($_, $params, keep => 1) } 1, 3;
        for my $id (5, 7) {
            my $r = $c->start($id, $few->params('hello'), keep => 1);
            $c->wait_end($id);
            is(FastCGI::status($r), 503, "request $id at once: Status 503 ($kind)");
            like($r->{out}, qr/\r\nRetry-After: \d+\r\n/, 'with Retry-After');
            is($r->{end}{status}, FastCGI::OVERLOADED, 'and END says OVERLOADED');
        }
        ok($few->wait_for_log(qr/503: more than --max-scripts requests on one connection/, 5,
            from => $mark), 'a log line');
        $c->wait_end($_) for 1, 3;
        is(FastCGI::body($_), join('', map { "tick $_\n" } 1 .. 8), 'the others go on') for @ticks;
        my $r = $c->start(9, $few->params('hello'), keep => 1);
        $c->wait_end(9);
        is_hello($r, 'then there is room again');
        $few->ok_serves($kind, @few);
    }
    $few->stop;
};

on_both 'trap 28: an id begun again while it is active' => sub ($kind) {
    my $file = Bridge::tmp() . "/again-$kind";
    my @states = (
        [ 'no parameters yet' => FastCGI::begin(1, keep => 1), 0 ],
        [ 'no body yet' => FastCGI::begin(1, keep => 1)
            . FastCGI::params(1, $bridge->post('input', '', CONTENT_LENGTH => -1)), 0 ],
        [ 'its script runs' => FastCGI::request(1, $bridge->params('family', TEST_PIDS => $file),
            keep => 1), 4 ],
    );
    for (@states) {
        my ($what, $bytes, $scripts) = @$_;
        my $mark = $bridge->mark;
        my $c = $bridge->connect($kind);
        $c->expect(1);
        $c->send($bytes);
        my @pids = $scripts ? wait_pids($file, $scripts) : ();
        $c->send(FastCGI::request(1, $bridge->params('hello'), keep => 1));
        like($c->wait_close, qr/^(?:eof|reset)$/, "$what: the connection is closed");
        is(scalar @pids, $scripts, "$scripts processes") if $scripts;
        is_deeply([ gone(5, @pids) ], [], 'with what ran');
        ok($bridge->wait_for_log(qr/closed: a BEGIN_REQUEST .* for an id that is active/, 5,
            from => $mark), 'and a log line says why');
        $bridge->ok_serves($kind, @workers);
    }
};

on_both 'trap 30: END before the body has been sent' => sub ($kind) {
    # HAProxy takes no more of its client's body then, and does not let go of the client
    my @post = @{ $bridge->post('hello', '', CONTENT_LENGTH => 10,
        SERVER_SOFTWARE => 'HAProxy 2.6.12') };
    for my $how (qw(ended aborted)) {
        my $c = $bridge->connect($kind);
        my $r = $c->expect(1);
        $c->send(FastCGI::begin(1, keep => 1) . FastCGI::params(1, \@post)
            . FastCGI::stdin(1, '12345'));
        $c->wait_out(1);
        is_hello($r, 'the answer goes out');
        $bridge->catch_up($kind);
        $c->fill;
        ok(!$r->{end}, 'but no END');
        $c->send(FastCGI::stdin(1, '67890')
            . ($how eq 'ended' ? FastCGI::stdin_end(1)
                : FastCGI::record(FastCGI::ABORT_REQUEST, 1)));
        $c->wait_end(1, 4);
        ok($r->{end}, "it comes once the body is $how");
        $r = $c->start(1, $bridge->params('hello'), keep => 1);
        $c->wait_end(1);
        is_hello($r, 'and the id is free');
    }
    my $c = $bridge->connect($kind);
    my $r = $c->expect(1);
    $c->send(FastCGI::begin(1, keep => 1) . FastCGI::params(1, \@post));
    $c->wait_end(1, 10);
    cmp_ok($r->{seconds}, '>', 4, 'nothing more comes: END after --linger');
};

on_both 'who is asked to authorize is not what is to be authorized' => sub ($kind) {
    # Apache and lighttpd send the latter as SCRIPT_FILENAME
    script('refuses', "#!/bin/sh\nprintf 'Status: 402 No\\n\\n'\n");
    my @asked = (CGIBRIDGE_AUTHORIZER => "$dir/refuses");
    my $r = $bridge->get($kind, 'environ', \@asked, role => FastCGI::AUTHORIZER);
    is(FastCGI::status($r), 402, 'an authorizer: the one named');
    $r = $bridge->get($kind, 'environ', [ CGIBRIDGE_AUTHORIZER => "$dir/none" ],
        role => FastCGI::AUTHORIZER);
    is(FastCGI::status($r), 404, 'which is not there');
    $r = $bridge->get($kind, 'environ', \@asked);
    like(FastCGI::body($r), qr{SCRIPT_FILENAME=\Q$dir\E/environ\0}, 'a responder: the script');
    unlike(FastCGI::body($r), qr/CGIBRIDGE_AUTHORIZER/, 'which does not see it');
};

$bridge->stop;
done_testing;

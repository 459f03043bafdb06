#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# FastCGI 1.0, point by point, from the client's side of the socket.
use v5.36;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $bridge = Bridge->start;

sub hello_ok ($r, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return 1 if $r->{end} && FastCGI::body($r) eq "hello\n" && $r->{end}{app} == 0
        && $r->{end}{status} == FastCGI::REQUEST_COMPLETE;
    fail("$what: the answer");
    diag("got '$r->{out}'");
    return 0;
}

on_both 'a plain request' => sub ($kind) {
    my $r = $bridge->get($kind, 'hello');
    hello_ok($r, 'hello') and pass('the whole answer');
    is($r->{closed}, 'eof', 'and the application closes the connection');
    like($r->{out}, qr/\AStatus: 200|\AContent-Type: text\/plain\r\n/, 'header lines end in CRLF');
};

on_both 'a request split at every byte offset' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $bytes = FastCGI::request(1, $bridge->post('echo', 'the body'), keep => 1, body => 'the body');
    my $bad = 0;
    for my $at (0 .. length $bytes) {
        my $r = $c->expect(1);
        $c->send_split($bytes, $at);
        $c->wait_end(1);
        FastCGI::body($r) eq 'the body' or $bad++ or fail("split at $at");
    }
    is($bad, 0, length($bytes) . ' offsets, on one connection');
}, secs => 120;

on_both 'a request split at every byte offset, with padding in each record' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $params = [ SCRIPT_FILENAME => Bridge::cgi() . '/echo', CONTENT_LENGTH => 2 ];
    my $bytes = FastCGI::request(1, $params, keep => 1, body => 'ab', padding => 9);
    my $bad = 0;
    for my $at (0 .. length $bytes) {
        my $r = $c->expect(1);
        $c->send_split($bytes, $at);
        $c->wait_end(1);
        FastCGI::body($r) eq 'ab' or $bad++ or fail("split at $at");
    }
    is($bad, 0, length($bytes) . ' offsets');
}, secs => 120;

on_both 'a request in writes of one byte' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $r = $c->expect(1);
    $c->send_bytewise(FastCGI::request(1, $bridge->post('echo', 'abc'), body => 'abc'));
    $c->wait_end(1);
    is(FastCGI::body($r), 'abc', 'answered');
    is($c->wait_close, 'eof', 'and closed');
};

on_both 'padding from the client' => sub ($kind) {
    for my $padding (1, 7, 8, 200, 255) {
        my $body = 'z' x 1000;
        my $c = $bridge->connect($kind);
        my $r = $c->expect(1);
        $c->send(FastCGI::request(1, $bridge->post('echo', $body), body => $body,
            padding => $padding));
        $c->wait_end(1);
        ok(FastCGI::body($r) eq $body, "$padding bytes in every record");
    }
};

on_both 'padding to the client' => sub ($kind) {
    # that each record is a multiple of 8 long is checked for every test;
    # here: whatever the length of the content
    for my $n (0 .. 17) {
        my $r = $bridge->get($kind, 'page', [ QUERY_STRING => $n ]);
        is(length FastCGI::body($r), $n, "$n bytes of body");
    }
};

on_both 'request ids' => sub ($kind) {
    for my $id (1, 2, 255, 256, 257, 32768, 65535) {
        my $r = $bridge->get($kind, 'hello', [], id => $id);
        hello_ok($r, "id $id") and pass("id $id");
    }
};

on_both 'requests one after the other on a kept connection' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $good = 0;
    for my $n (1 .. 20) {
        my $body = "request $n";
        my $id = $n % 3 ? 1 : $n;
        my $r = $c->start($id, $bridge->post('echo', $body), body => $body, keep => 1);
        $c->wait_end($id);
        $good += FastCGI::body($r) eq $body;
    }
    is($good, 20, '20 answers');
    $bridge->catch_up($kind);
    $c->fill;
    is($c->{closed}, undef, 'the application never closes it');
    my $r = $c->start(1, $bridge->params('hello'));
    $c->wait_end(1);
    is($c->wait_close, 'eof', 'but does after a request without KEEP_CONN');
};

on_both 'two requests sent in one write' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my ($one, $two) = ($c->expect(1), $c->expect(2));
    $c->send(FastCGI::request(1, $bridge->post('echo', 'one'), body => 'one', keep => 1)
        . FastCGI::request(2, $bridge->post('echo', 'two'), body => 'two', keep => 1));
    $c->wait_end($_) for 1, 2;
    is(FastCGI::body($one), 'one', 'the first');
    is(FastCGI::body($two), 'two', 'the second');
};

on_both 'requests by the dozen, interleaved record by record' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my @ids = map { $_ * 2 + 1 } 0 .. 11;
    my %body = map { $_ => "id $_ " x 500 } @ids;
    my %r = map { $_ => $c->expect($_) } @ids;
    $c->send(join '', map { FastCGI::begin($_, keep => 1) } @ids);
    my %params = map { $_ => FastCGI::pairs(@{ $bridge->post('echo', $body{$_}) }) } @ids;
    while (grep { length } values %params) {
        for (grep { length $params{$_} } @ids) {
            $c->send(FastCGI::record(FastCGI::PARAMS, $_, substr $params{$_}, 0, 37, ''));
        }
    }
    $c->send(join '', map { FastCGI::record(FastCGI::PARAMS, $_) } reverse @ids);
    my %left = %body;
    while (grep { length } values %left) {
        for (grep { length $left{$_} } @ids) {
            $c->send(FastCGI::record(FastCGI::STDIN_, $_, substr $left{$_}, 0, 700, ''));
        }
    }
    $c->send(join '', map { FastCGI::stdin_end($_) } @ids);
    $c->wait_end($_) for @ids;
    is_deeply({ map { $_ => FastCGI::body($r{$_}) } @ids }, \%body, 'each got its own bytes');
};

on_both 'a multiplexed connection without KEEP_CONN' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $hold = $bridge->start_waiting($c);
    my $fast = $c->start(2, $bridge->params('hello'));
    $c->wait_end(2);
    is(FastCGI::body($fast), "hello\n", 'one ends');
    is($bridge->end_waiting($c, $hold), "released\n",
        'it is not closed under the request that still runs');
    is($c->wait_close, 'eof', 'and closed when it has ended');
};

on_both 'ABORT_REQUEST' => sub ($kind) {
    my $pids = Bridge::tmp() . "/abort-$kind";
    my $c = $bridge->connect($kind);
    my $r = $c->start(1, $bridge->params('family', TEST_PIDS => $pids), keep => 1);
    my @pids = wait_pids($pids, 4);
    is(scalar @pids, 4, 'the script and its children run');
    my $since = time;
    $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1));
    $c->wait_end(1);
    cmp_ok(time - $since, '<', slow(4), 'END comes promptly');
    is_deeply([ gone(8, @pids) ], [], 'and they are killed');
    my $next = $c->start(1, $bridge->params('hello'), keep => 1);
    $c->wait_end(1);
    hello_ok($next, 'next') and pass('the connection goes on');
};

on_both 'ABORT_REQUEST before the parameters are complete' => sub ($kind) {
    my $c = $bridge->connect($kind);
    $c->expect(1);
    $c->send(FastCGI::begin(1, keep => 1)
        . FastCGI::record(FastCGI::PARAMS, 1, FastCGI::pairs(A => 'b'))
        . FastCGI::record(FastCGI::ABORT_REQUEST, 1));
    my $r = eval { $c->wait_end(1, 5) };
    ok($r && $r->{end}, 'END all the same');
    my $next = $c->start(1, $bridge->params('hello'), keep => 1);
    $c->wait_end(1);
    hello_ok($next, 'next') and pass('the id is free again');
};

on_both 'ABORT_REQUEST of a request that is not there' => sub ($kind) {
    my $c = $bridge->connect($kind);
    $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 7));
    my $r = $c->start(1, $bridge->params('hello'), keep => 1);
    $c->wait_end(1);
    $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1));
    my $again = $c->start(1, $bridge->params('hello'), keep => 1);
    $c->wait_end(1);
    hello_ok($r, 'first') && hello_ok($again, 'second') and pass('is ignored');
};

on_both 'GET_VALUES' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $v = $c->get_values(qw(FCGI_MAX_CONNS FCGI_MAX_REQS FCGI_MPXS_CONNS));
    is_deeply([ sort keys %{ $v // {} } ], [qw(FCGI_MAX_CONNS FCGI_MAX_REQS FCGI_MPXS_CONNS)],
        'on a fresh connection: the three values there are');
    is($v->{FCGI_MPXS_CONNS}, '1', 'connections may be multiplexed');
    like($v->{$_}, qr/^[1-9]\d*$/, "$_ is a decimal number") for qw(FCGI_MAX_CONNS FCGI_MAX_REQS);
    is_deeply($c->get_values(qw(FCGI_NO_SUCH FCGI_MPXS_CONNS HOME)), { FCGI_MPXS_CONNS => 1 },
        'unknown names are left out');
    is_deeply($c->get_values, {}, 'no name, no value');
    my $hold = $bridge->start_waiting($c, 1, [], keep => 1);
    is_deeply($c->get_values('FCGI_MPXS_CONNS'), { FCGI_MPXS_CONNS => 1 },
        'while a script runs, which it does not wait for');
    is($bridge->end_waiting($c, $hold), "released\n", 'nor disturb');
    is_deeply($c->get_values('FCGI_MPXS_CONNS'), { FCGI_MPXS_CONNS => 1 }, 'on an idle connection');
};

on_both 'GET_VALUES in the middle of a request\'s parameters' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $r = $c->expect(1);
    my $pairs = FastCGI::pairs(@{ $bridge->params('hello') });
    $c->send(FastCGI::begin(1) . FastCGI::record(FastCGI::PARAMS, 1, substr $pairs, 0, 100));
    is_deeply($c->get_values('FCGI_MPXS_CONNS'), { FCGI_MPXS_CONNS => 1 }, 'answered');
    $c->send(FastCGI::record(FastCGI::PARAMS, 1, substr $pairs, 100)
        . FastCGI::record(FastCGI::PARAMS, 1) . FastCGI::stdin_end(1));
    $c->wait_end(1);
    hello_ok($r, 'request') and pass('and the request goes on');
};

on_both 'GET_VALUES split at every byte offset' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $bytes = FastCGI::record(FastCGI::GET_VALUES, 0,
        FastCGI::long_pairs(FCGI_MPXS_CONNS => ''), padding => 3);
    my $good = 0;
    for my $at (0 .. length $bytes) {
        $c->{asked}++;
        $c->send_split($bytes, $at);
        my $m = $c->wait_mgmt or last;
        $good += $m->{type} == FastCGI::GET_VALUES_RESULT
            && $m->{content} eq FastCGI::pairs(FCGI_MPXS_CONNS => 1);
    }
    is($good, length($bytes) + 1, 'every answer');
};

on_both 'UNKNOWN_TYPE' => sub ($kind) {
    my $c = $bridge->connect($kind);
    for my $type (12, 99, 255) {
        $c->{asked}++;
        $c->send(FastCGI::record($type, 0, 'whatever', padding => 5));
        my $m = $c->wait_mgmt;
        is($m && $m->{type}, FastCGI::UNKNOWN_TYPE, "management record $type");
        is($m && $m->{content}, pack('Cx7', $type), 'the answer names it');
    }
    my $r = $c->start(1, $bridge->params('hello'));
    $c->wait_end(1);
    hello_ok($r, 'request') and pass('and the connection goes on');
};

on_both 'an unknown role' => sub ($kind) {
    for my $role (FastCGI::FILTER, 0, 4, 65535) {
        my $c = $bridge->connect($kind);
        my $r = $c->start(1, $bridge->params('hello'), role => $role, keep => 1);
        $c->wait_end(1);
        is($r->{end}{status}, FastCGI::UNKNOWN_ROLE, "role $role: END says UNKNOWN_ROLE");
        like($r->{out}, qr/^Status: [45]\d\d /m, 'and a Status comes before it');
        my $next = $c->start(1, $bridge->params('hello'), keep => 1);
        $c->wait_end(1);
        hello_ok($next, 'next') and pass('the connection goes on');
    }
};

on_both 'records of ids that are not active' => sub ($kind) {
    my $c = $bridge->connect($kind);
    $c->send(FastCGI::record(FastCGI::PARAMS, 5, FastCGI::pairs(A => 'b'))
        . FastCGI::stdin(6, 'stray') . FastCGI::stdin_end(6) . FastCGI::record(FastCGI::DATA_, 7));
    my $r = $c->start(1, $bridge->post('echo', 'body'), body => 'body', keep => 1);
    $c->wait_end(1);
    is(FastCGI::body($r), 'body', 'are ignored before a request');
    $r = $c->expect(1);
    $c->send(FastCGI::begin(1, keep => 1) . FastCGI::stdin(9, 'stray')
        . FastCGI::params(1, $bridge->post('echo', 'body')) . FastCGI::stdin(9, 'stray')
        . FastCGI::stdin(1, 'body') . FastCGI::stdin_end(9) . FastCGI::stdin_end(1));
    $c->wait_end(1);
    is(FastCGI::body($r), 'body', 'and in the midst of one');
    $c->send(FastCGI::stdin(1, 'late') . FastCGI::stdin_end(1));
    $r = $c->start(1, $bridge->post('echo', 'again'), body => 'again', keep => 1);
    $c->wait_end(1);
    is(FastCGI::body($r), 'again', 'and after its end');
};

on_both 'a stream\'s value does not depend on its records' => sub ($kind) {
    my $body = join '', map { chr($_ * 31 % 256) } 1 .. 3000;
    for my $max (1, 2, 7, 127, 128, 1000, 65535) {
        my $c = $bridge->connect($kind);
        my $r = $c->expect(1);
        my $params = $bridge->post('echo', $body);
        $c->send(FastCGI::begin(1)
            . FastCGI::stream(FastCGI::PARAMS, 1, FastCGI::pairs(@$params), max => $max)
            . FastCGI::record(FastCGI::PARAMS, 1)
            . FastCGI::stream(FastCGI::STDIN_, 1, $body, max => $max) . FastCGI::stdin_end(1));
        $c->wait_end(1);
        ok(FastCGI::body($r) eq $body, "records of at most $max bytes");
    }
};

on_both 'the largest records' => sub ($kind) {
    my $body = 'r' x (3 * 65535 + 1);
    my $c = $bridge->connect($kind);
    my $params = $bridge->post('echo', $body, X_LONG => 'v' x 100_000);
    my $r = $c->expect(1);
    $c->send(FastCGI::request(1, $params, body => $body, padding => 255));
    $c->wait_end(1);
    ok(FastCGI::body($r) eq $body, '65535 bytes and 255 of padding, 100 KB in one parameter');
};

script('say', <<'EOT');
#!/bin/sh
printf 'Content-Type: text/plain\n\n%s %s' "$REQUEST_METHOD" "$X_TEST"
EOT

on_both 'trap 26: PARAMS split anywhere, even inside a 4-byte length' => sub ($kind) {
    my $bytes = FastCGI::long_pairs(@{ $bridge->params('say') }, X_TEST => 'v' x 200);
    my $c = $bridge->connect($kind);
    my $bad = 0;
    for my $at (1 .. length($bytes) - 1) {
        my $r = $c->expect(1);
        $c->send(FastCGI::begin(1, keep => 1)
            . FastCGI::record(FastCGI::PARAMS, 1, substr $bytes, 0, $at)
            . FastCGI::record(FastCGI::PARAMS, 1, substr $bytes, $at)
            . FastCGI::record(FastCGI::PARAMS, 1) . FastCGI::stdin_end(1));
        $c->wait_end(1);
        FastCGI::body($r) eq 'GET ' . 'v' x 200 or $bad++ or fail("records split at $at");
    }
    is($bad, 0, length($bytes) - 1 . ' offsets');
}, secs => 180;

on_both 'parameters longer than 127 bytes in name and value' => sub ($kind) {
    my $name = 'X_' . 'N' x 300;
    my $r = $bridge->get($kind, 'environ', [ $name => 'V' x 128, X_EMPTY => '', X_127 => 'w' x 127 ]);
    my %env = map { /^([^=]*)=(.*)/s } split /\0/, FastCGI::body($r);
    is($env{$name}, 'V' x 128, 'a name of 302, a value of 128');
    is($env{X_127}, 'w' x 127, 'a value of 127');
};

on_both 'no STDOUT before the parameters have ended' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $r = $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::record(FastCGI::PARAMS, 1,
        FastCGI::pairs(@{ $bridge->params('hello') })));
    $c->read_until(0.3, sub { 0 });
    is_deeply($c->{seen} // [], [], 'nothing while they are open');
    $c->send(FastCGI::record(FastCGI::PARAMS, 1) . FastCGI::stdin_end(1));
    $c->wait_end(1);
    hello_ok($r, 'then') and pass('the answer when they are complete');
};

on_both 'nothing is said unasked' => sub ($kind) {
    my $c = $bridge->connect($kind);
    is($c->read_until(1, sub { length $c->{in} || $c->{seen} || $c->{closed} }), '',
        'a connection that is silent is left alone for a second');
    my $r = $c->start(1, $bridge->params('hello'), keep => 1);
    $c->wait_end(1);
    is(scalar(grep { $_->[1] == 0 } @{ $c->{seen} }), 0, 'no management record in an answer');
};

$bridge->stop;
done_testing;

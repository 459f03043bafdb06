#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# The traps of traps.t that are about the role Authorizer, which Apache's
# mod_authnz_fcgi and lighttpd ask for: whatever fails, access is denied.
use v5.36;
use Test::More;
use FastCGI;
use Bridge;

my $bridge = Bridge->start(args => [ '--kill-delay', '1s' ]);
my $MB = 1 << 20;

script('no-program', "this is neither a program nor a script\n");
script('not-executable', "#!/bin/sh\n", 0644);
script('killed', "#!/bin/sh\nkill -KILL \$\$\n");

# ---- 9: access denied ------------------------------------------------------------

# No answer from which an authorizer's client could take that access is granted:
# lighttpd takes END alone, and UNKNOWN_ROLE, for that.
sub is_denied ($r, $status, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    like($r->{first} // '', qr/\AStatus: $status [^\r]+\r\n(?:[^\r]+\r\n)*\r\n/,
        "$what: a whole block with Status $status");
    is($r->{records}[0][0], FastCGI::STDOUT_, 'is the first record');
    is($r->{records}[-1][0], FastCGI::END_REQUEST, 'END the last');
}

on_both 'trap 9: an authorizer that fails denies' => sub ($kind) {
    my @cases = (
        [ 'no such script' => 404, 'missing' ], [ 'a directory' => 403, '.' ],
        [ 'not executable' => 403, 'not-executable' ], [ 'no interpreter' => 500, 'lost' ],
        [ 'no program' => 500, 'no-program' ], [ 'no output' => 500, 'silent' ],
        [ 'exit 3, no output' => 500, 'silent', QUERY_STRING => 3 ],
        [ 'killed before it says anything' => 500, 'killed' ],
        [ 'no header' => 500, 'says', TEST_SAY => "granted\n" ],
        [ 'no CGI header' => 500, 'says', TEST_SAY => "X-Granted: yes\n\n" ],
        [ 'no end of the headers' => 500, 'says', TEST_SAY => "Status: 200 OK\nVariable-A: b\n" ],
        [ 'two Status' => 500, 'says', TEST_SAY => "Status: 200 OK\nStatus: 200 OK\n\n" ],
        [ 'a Status that is none' => 500, 'says', TEST_SAY => "Status: OK\n\n" ],
    );
    for my $keep (0, 1) {
        for (@cases) {
            my ($what, $status, $name, @more) = @$_;
            my $r = $bridge->get($kind, $name, \@more, role => FastCGI::AUTHORIZER, keep => $keep);
            is_denied($r, $status, "$what, KEEP_CONN $keep");
            is($r->{end}{status}, FastCGI::REQUEST_COMPLETE, 'which says REQUEST_COMPLETE');
            is($r->{closed}, 'eof', 'and EOF') if !$keep;
        }
    }
    my $r = FastCGI->ask($bridge->url($kind), [], role => FastCGI::AUTHORIZER);
    is_denied($r, 500, 'no parameters');
    my $c = $bridge->connect($kind);
    $r = $c->expect(1);
    $c->send(FastCGI::begin(1, role => FastCGI::AUTHORIZER)
        . FastCGI::record(FastCGI::PARAMS, 1, "\x7f\x7fbad") . FastCGI::record(FastCGI::PARAMS, 1));
    is_denied($c->wait_end(1), 400, 'parameters that are none');
};

scenario 'trap 9: an authorizer for which there is no time or room denies' => sub {
    my %o = (role => FastCGI::AUTHORIZER);
    my @prompt = ('--kill-delay', '1s', '--disconnect-grace', '0');
    my $full = Bridge->start(args => [ '-m', 1, '--queue', 0, @prompt ]);
    my $late = Bridge->start(args => [ '-m', 1, '--queue-timeout', '500ms', @prompt ]);
    my $slow = Bridge->start(args => [ '-t', '1s', @prompt ]);
    for my $kind (qw(unix tcp)) {
        for ([ $full, 'no slot and no queue', FastCGI::OVERLOADED ],
            [ $late, 'no slot in time', FastCGI::REQUEST_COMPLETE ])
        {
            my ($b, $what, $protocol_status) = @$_;
            my $file = Bridge::tmp() . "/slot-$kind-$protocol_status";
            my $c = $b->connect($kind);
            $c->start(1, $b->params('family', TEST_PIDS => $file));
            my @pids = wait_pids($file, 4);
            my $r = $b->get($kind, 'guard', [], %o);
            is_denied($r, 503, "$what ($kind)");
            is($r->{end}{status}, $protocol_status, 'and its reason');
            $c->hang_up;
            is_deeply([ gone(5, @pids) ], [], 'the slot is free again');
            $r = $b->get($kind, 'guard', [], %o);
            is(FastCGI::status($r), 200, 'then access is granted');
        }
        my $r = $slow->get($kind, 'sleeper', [ QUERY_STRING => 60 ], %o);
        is_denied($r, 504, "too slow ($kind)");
    }
    $_->stop for $full, $late, $slow;
};

on_both 'trap 9: a role that is not served denies' => sub ($kind) {
    for my $role (FastCGI::FILTER, 0, 4, 255, 65535) {
        for my $keep (0, 1) {
            my $r = $bridge->get($kind, 'guard', [], role => $role, keep => $keep);
            is_denied($r, 500, "role $role, KEEP_CONN $keep");
            is($r->{end}{status}, FastCGI::UNKNOWN_ROLE, 'which says UNKNOWN_ROLE');
        }
    }
};

on_both 'trap 9: what an authorizer is given' => sub ($kind) {
    # Apache's mod_authnz_fcgi sends no STDIN record at all
    my $c = $bridge->connect($kind);
    my $r = $c->expect(1);
    $c->send(FastCGI::begin(1, role => FastCGI::AUTHORIZER)
        . FastCGI::params(1, $bridge->params('guard', FCGI_ROLE => 'RESPONDER')));
    $c->wait_end(1);
    my %header = %{ FastCGI::response($r)->{header} };
    is($header{'variable-role'}, 'AUTHORIZER', 'FCGI_ROLE is AUTHORIZER, whatever was sent');
    is($header{'variable-stdin'}, '0', 'stdin is empty');
    is($header{'variable-length'}, 'unset', 'and has no CONTENT_LENGTH');
    for my $length (4, '', -1) {
        $r = $bridge->get($kind, 'guard', [ CONTENT_LENGTH => $length ], body => 'abcd',
            role => FastCGI::AUTHORIZER);
        %header = %{ FastCGI::response($r)->{header} };
        is($header{'variable-stdin'}, '0', "also with CONTENT_LENGTH '$length' and a body");
        is($header{'variable-length'}, 'unset', 'which it is not told of');
    }
    $r = $bridge->get($kind, 'environ');
    unlike(FastCGI::body($r), qr/FCGI_ROLE/, 'a responder gets no FCGI_ROLE');
};

# ---- 27: what an authorizer may say -------------------------------------------------

sub authorize ($kind, $text, @more) {
    return $bridge->get($kind, 'says', [ TEST_SAY => $text, @more ], role => FastCGI::AUTHORIZER);
}

on_both 'trap 27: a 200 is Status and Variable-* alone' => sub ($kind) {
    my $others = "Content-Type: text/html\nContent-Length: 4\nSet-Cookie: a=b\nVary: *\n"
        . "Variable: x\n";
    for my $status ('', "Status: 200 OK\n", "Status: 200\n", "HTTP/1.1 200 OK\n") {
        my ($file, $mark) = (file(), $bridge->mark);
        my $r = authorize($kind, ($status =~ /HTTP/ ? $status : '') . "Variable-User: me\n$others"
            . "variable-LEVEL:  9\n" . ($status =~ /HTTP/ ? '' : $status) . "\nbody",
            TEST_MORE => $MB, TEST_MARK => $file);
        is($r->{out}, FastCGI::head('Status: 200 OK', 'Variable-User: me', 'variable-LEVEL:  9'),
            $status eq '' ? 'no Status' : $status =~ s/\n//r);
        is(slurp($file), "all written\n", 'the script could write a body');
        is($r->{end}{app}, 0, 'END');
        $bridge->no_warning($mark);
    }
    my $r = authorize($kind, "Status: 200 OK\n\n");
    is($r->{out}, FastCGI::head('Status: 200 OK'), 'no variable');
};

on_both 'trap 27: the body of a refusal is in the record of its headers' => sub ($kind) {
    # Apache keeps nothing else of it
    my $head = "WWW-Authenticate: Basic realm=\"x\"\nVariable-A: b\nContent-Type: text/html\n"
        . "Status: 401\n\n";
    my $want = FastCGI::head('Status: 401 Unauthorized', 'WWW-Authenticate: Basic realm="x"',
        'Variable-A: b', 'Content-Type: text/html');
    for my $n (0, 10, 8191, 8192) {
        for my $step (length($head) + $n, length $head, 2000) {
            my $r = authorize($kind, $head . 'b' x $n, TEST_STEP => $step, TEST_PAUSE => 0.05);
            ok($r->{first} eq $want . 'b' x $n, "$n bytes, written in pieces of $step");
            is($r->{out}, $r->{first}, 'one record');
        }
    }
    for my $step (100_000, 2000) {
        my $r = authorize($kind, $head . 'b' x 20_000, TEST_STEP => $step, TEST_PAUSE => 0.02);
        cmp_ok(length $r->{first}, '>=', length($want) + 8192, 'of more, 8 KiB are');
        ok($r->{out} eq $want . 'b' x 20_000, 'and the rest follows');
    }
    my $r = authorize($kind, "Location: /login\n\nbody");
    is($r->{out}, FastCGI::head('Status: 302 Found', 'Location: /login') . 'body',
        'a redirect is kept too');
    is(scalar(grep { $_->[0] == FastCGI::STDOUT_ && $_->[1] } @{ $r->{records} }), 1, 'one record');
};

$bridge->stop;
done_testing;

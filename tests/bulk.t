#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Much output and large bodies: what goes from pipe to socket, or back, without being
# copied (on Linux), and all that may happen in the middle of a record of it.
use v5.36;
use Digest::SHA qw(sha256_hex);
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $MB = 1 << 20;
my $SIZE = 200 * $MB + 12345;
my $bridge = Bridge->start(args => [ '--kill-delay', '1s', '--linger', '1s' ]);
my ($worker) = $bridge->workers;

# Bytes without two equal stretches in 1,000,003 of them: any that are lost, doubled
# or in the wrong place changes all that follows.
my $block = substr noise(65536) x 16, 0, 1_000_003;
sub pattern ($n) { return substr $block x (1 + $n / length $block), 0, $n }
my %sum;
sub sum ($n) { return $sum{$n} //= sha256_hex(pattern($n)) }

# QUERY_STRING: bytes of the pattern, after the headers in TEST_HEAD; then TEST_LAST.
spew(tmp() . '/block', $block);
script('bulk', <<~'PERL' =~ s/BLOCK/tmp() . '\/block'/er);
    #!/usr/bin/perl
    use v5.36;
    open my $in, '<:raw', 'BLOCK' or die;
    read $in, my $block, 2_000_000;
    my ($left, $at) = ($ENV{QUERY_STRING}, 0);
    if ($ENV{TEST_PIDS}) { open my $p, '>', $ENV{TEST_PIDS}; syswrite $p, "$$\n" }
    syswrite STDOUT, "Content-Type: text/plain\n" . ($ENV{TEST_HEAD} // '') . "\n";
    $block .= $block;
    if ($ENV{TEST_MARK}) { open my $m, '>', $ENV{TEST_MARK}; syswrite $m, "0\n" }
    while ($left > 0) {
        my $n = syswrite STDOUT, $block, ($left < 1_000_003 ? $left : 1_000_003), $at % 1_000_003;
        exit 9 if !defined $n;
        $left -= $n;
        $at += $n;
        if ($ENV{TEST_MARK}) { open my $m, '>', $ENV{TEST_MARK}; syswrite $m, "$at\n" }
    }
    eval $ENV{TEST_LAST} if $ENV{TEST_LAST};
    PERL

sub ok_body ($r, $n, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $body = FastCGI::body($r);
    is(length $body, $n, "$what: its length");
    is(sha256_hex($body), sum($n), "$what: its bytes");
}

# What came is the beginning of the pattern.
sub ok_prefix ($r, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $body = FastCGI::body($r);
    ok($body eq pattern(length $body), "$what: the beginning of it") or diag(length $body);
}

# Begins a download of which nothing is read until it is stuck in the middle of a record.
sub stuck ($c, $id, @more) {
    my $mark = file();
    my $r = $c->start($id, $bridge->params('bulk', QUERY_STRING => 50 * $MB, TEST_MARK => $mark,
        @more), keep => 1, no_read => 1);
    wait_still($mark);
    return $r;
}

# ---- out -----------------------------------------------------------------------

# A download that its script leaves short: the connection ends, and no END says that it is all.
sub cut ($kind, @more) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $c = $bridge->connect($kind);
    my $r = $c->start(1, $bridge->params('bulk', @more), keep => 1);
    is($c->wait_close(60), 'eof', 'the connection is closed');
    is($r->{end}, undef, 'without an end');
    return $r;
}

on_both '200 MB out' => sub ($kind) {
    my $r = $bridge->get($kind, 'bulk', [ QUERY_STRING => $SIZE ], secs => 60);
    ok_body($r, $SIZE, 'without a length');
    is($r->{end}{app}, 0, 'it ended well');
    $r = $bridge->get($kind, 'bulk', [ QUERY_STRING => $SIZE,
        TEST_HEAD => "Content-Length: $SIZE\n" ], secs => 60);
    ok_body($r, $SIZE, 'of the length it says');
}, secs => 180;

on_both 'more than its Content-Length, and less' => sub ($kind) {
    my $says = 40 * $MB + 4321;
    my $r = $bridge->get($kind, 'bulk', [ QUERY_STRING => 60 * $MB,
        TEST_HEAD => "Content-Length: $says\n" ], secs => 60);
    ok_body($r, $says, 'cut');
    is($r->{end}{app}, 0, 'that is no failure of the script');
    my $mark = $bridge->mark;
    $r = cut($kind, QUERY_STRING => $says, TEST_HEAD => 'Content-Length: ' . 60 * $MB . "\n");
    ok_body($r, $says, 'short');
    $bridge->one_warning($mark, qr/shorter than its Content-Length/);
}, secs => 120;

on_both 'an answer to HEAD, and a chunked one' => sub ($kind) {
    my $r = $bridge->get($kind, 'bulk', [ REQUEST_METHOD => 'HEAD', QUERY_STRING => 20 * $MB ]);
    is(FastCGI::body($r), '', 'HEAD: no body');
    script('nph-bulk', <<~'SH');
        #!/bin/sh
        printf 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
        for i in 1 2 3 4; do
            printf '100000\r\n'
            head -c 1048576 /dev/zero
            printf '\r\n'
        done
        printf '0\r\n\r\n'
        SH
    $r = $bridge->get($kind, 'nph-bulk');
    ok(FastCGI::body($r) eq "\0" x (4 * $MB), 'chunked: decoded');
};

on_both 'a reader that stops in the middle of a record' => sub ($kind) {
    my $c = $bridge->connect($kind, rcvbuf => 16384);
    my $r = $c->start(1, $bridge->params('bulk', QUERY_STRING => 20 * $MB), no_read => 1);
    for my $most (1, 7, 1000, 70_001, 5, 300_007) {
        $c->fill($most);
        sleep 0.15;
    }
    $c->wait_end(1, 60);
    ok_body($r, 20 * $MB, 'all the same');
};

on_both 'a reader that stops for longer than --linger' => sub ($kind) {
    my $file = file();
    my $c = $bridge->connect($kind, rcvbuf => 16384);
    # as much as socket and pipe hold, so that the script ends at once
    my $r = $c->start(1, $bridge->params('bulk', QUERY_STRING => 300_000, TEST_PIDS => $file),
        no_read => 1);
    wait_pids($file, 1);
    $c->fill(100) while !length $c->{in};
    is_deeply([ gone(5, pids_in($file)) ], [], 'the script has ended') if $kind eq 'tcp';
    sleep 1.5;
    $c->wait_end(1, 30);
    ok_body($r, 300_000, 'it loses nothing');
    is($r->{end}{app}, 0, 'and it ended well');
};

on_both 'ABORT in the middle of a record' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $r = stuck($c, 1);
    $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1), no_read => 1);
    $bridge->catch_up($kind);
    $c->wait_end(1);
    ok_prefix($r, 'what came');
    my $more = $c->start(2, $bridge->params('bulk', QUERY_STRING => 20 * $MB), keep => 1);
    $c->wait_end(2, 30);
    ok_body($more, 20 * $MB, 'the next one on this connection');
    is($c->{in}, '', 'nothing is left over');
};

on_both 'a time limit in the middle of a record' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $mark = $bridge->mark;
    my $r = stuck($c, 1, CGIBRIDGE_TIMEOUT => 1);
    $bridge->wait_for_log(qr/longer than --timeout/, 5, from => $mark);
    is($c->wait_close(10), 'eof', 'the connection ends behind a whole record');
    ok_prefix($r, 'what came');
    ok(!$r->{end}, 'not as if it were all');
};

# The scheduler decides which of the two gets more in one try: fairness shows in three.
on_both 'two downloads on one connection' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my @less;
    for my $try (1 .. 3) {
        my @marks = (file(), file());
        my @r = map { $c->start($_, $bridge->params('bulk', QUERY_STRING => 40 * $MB,
            TEST_MARK => $marks[$_ - 1]), keep => 1, no_read => 1) } 1, 2;
        wait_still(@marks); # both have filled their pipes
        $c->read_until(60, sub { grep { $_->{end} } @r });
        push @less, sort { $a <=> $b } map { length $_->{out} } @r;
        pop @less;
        cmp_ok($less[-1], '>', $MB, 'when one has all, the other has not starved');
        $c->wait_end($_, 60) for 1, 2;
        ok_body($r[$_], 40 * $MB, "download $_") for 0, 1;
    }
    cmp_ok($less[0] + $less[1] + $less[2], '>', 30 * $MB, 'and on the whole it has its share');
};

on_both 'many downloads on one connection, one aborted' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my @marks = map { file() } 1 .. 5;
    my @r = map { $c->start($_, $bridge->params('bulk', QUERY_STRING => 10 * $MB,
        TEST_MARK => $marks[$_ - 1]), keep => 1, no_read => 1) } 1 .. 5;
    wait_still(@marks);
    $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 3));
    $c->wait_end($_, 60) for 1 .. 5;
    ok_body($r[$_ - 1], 10 * $MB, "download $_") for 1, 2, 4, 5;
    ok_prefix($r[2], 'of the other');
};

on_both 'a script that dies in the middle' => sub ($kind) {
    my $r = cut($kind, QUERY_STRING => 30 * $MB + 77, TEST_LAST => 'kill KILL => $$');
    ok_body($r, 30 * $MB + 77, 'what it wrote');
};

on_both 'a client that leaves in the middle' => sub ($kind) {
    my $file = file();
    my $c = $bridge->connect($kind);
    stuck($c, 1, TEST_PIDS => $file);
    $c->hang_up;
    is_deeply([ gone(5, pids_in($file)) ], [], 'the script goes, too');
    $bridge->ok_serves($kind, $worker);
};

# The rest of a record must never be missing: either all that was announced comes, or the
# connection ends.  FastCGI.pm sees to the records that do come.
on_both 'a script that takes its output back' => sub ($kind) {
    my $mark = file();
    script('thief', <<~'PERL');
        #!/usr/bin/perl
        use Fcntl qw(:DEFAULT :flock);
        $| = 1;
        $SIG{TERM} = sub { exit 0 }; # a script that is killed has no end in either case
        print "Content-Type: text/plain\n\n";
        if (!fork) {
            open my $own, '<', '/proc/self/fd/1' or exit 1;
            open my $gate, '<', $ENV{QUERY_STRING} or exit 1;
            flock $gate, LOCK_SH;
            fcntl $own, F_SETFL, O_NONBLOCK;
            kill TERM => getppid; # which would fill the pipe again
            select undef, undef, undef, 0.2;
            1 while sysread $own, my $bytes, 1048576;
            open my $m, '>', "$ENV{TEST_MARK}.done";
            exit 0;
        }
        open my $m, '>', $ENV{TEST_MARK};
        syswrite $m, "0\n";
        my $bytes = 'x' x 1048576;
        for my $n (1 .. 50) { syswrite STDOUT, $bytes; syswrite $m, "$n\n" }
        PERL
    my $c = $bridge->connect($kind);
    my ($gate, $shut) = gate();
    my $r = $c->start(1, $bridge->params('thief', TEST_MARK => $mark, QUERY_STRING => $gate),
        keep => 1, no_read => 1);
    wait_still($mark);
    my $log = $bridge->mark;
    close $shut;
    wait_until(5, sub { -e "$mark.done" });
    $c->read_until(10, sub { $r->{end} });
    if ($bridge->log_since($log) =~ /read back output/) {
        like($c->{closed}, qr/^(?:eof|reset)/, 'it was on its way: the connection is closed');
        ok(!$r->{end}, 'and nothing pretends that it were all');
    } else {
        ok($r->{end}, 'it was not on its way yet: the connection goes on');
        $r = $c->start(2, $bridge->params('hello'), keep => 1);
        $c->wait_end(2);
        is(FastCGI::body($r), "hello\n", 'with the next request');
    }
    $bridge->ok_serves($kind, $worker);
};

scenario '--on-disconnect ignore in the middle of a record' => sub {
    my $other = Bridge->start(args => [ '--on-disconnect', 'ignore' ]);
    on_both 'a client that leaves' => sub ($kind) {
        my ($mark, $done) = (file(), file());
        my $c = $other->connect($kind);
        $c->start(1, $other->params('bulk', QUERY_STRING => 30 * $MB, TEST_MARK => $mark,
            TEST_DONE => $done, TEST_LAST => 'open my $d, ">", $ENV{TEST_DONE}'), no_read => 1);
        wait_still($mark);
        $c->hang_up;
        ok(wait_until(10, sub { -e $done }), 'the script is left to finish');
    };
    on_both 'a client that aborts' => sub ($kind) {
        my ($mark, $done) = (file(), file());
        my $c = $other->connect($kind);
        my $r = $c->start(1, $other->params('bulk', QUERY_STRING => 30 * $MB, TEST_MARK => $mark,
            TEST_DONE => $done, TEST_LAST => 'open my $d, ">", $ENV{TEST_DONE}'), keep => 1,
            no_read => 1);
        wait_still($mark);
        $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1), no_read => 1);
        ok(wait_until(10, sub { -e $done }), 'the script is left to finish');
        $c->wait_end(1);
        ok_prefix($r, 'what came');
        $r = $c->start(2, $other->params('hello'), keep => 1);
        $c->wait_end(2);
        is(FastCGI::body($r), "hello\n", 'the connection goes on');
    };
    $other->stop('--on-disconnect ignore');
};

# ---- in ------------------------------------------------------------------------

# Sends a body of known length; the response.
sub upload ($kind, $name, $body, $more = [], %o) {
    my $c = $bridge->connect($kind);
    my $r = $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::params(1, $bridge->post($name, $body, @$more)));
    my $max = $o{max} // 65528;
    my $piece = '';
    for (my $at = 0; $at < length $body; $at += $max) {
        $piece .= FastCGI::stdin(1, substr($body, $at, $max), padding => $o{padding} // 0);
        next if length $piece < $MB;
        $c->send($piece, timeout => 60);
        $piece = '';
    }
    $c->send($piece . FastCGI::stdin_end(1), timeout => 60);
    return $c->wait_end(1, 60);
}

on_both '200 MB in' => sub ($kind) {
    my $r = upload($kind, 'digest', pattern($SIZE));
    is(FastCGI::body($r), sum($SIZE) . " $SIZE\n", 'every byte');
}, secs => 180;

on_both 'bodies in records of all sizes' => sub ($kind) {
    for my $shape ([ 65535, 1 ], [ 40_000, 255 ], [ 16_384, 0 ], [ 16_383, 3 ], [ 8192, 8 ]) {
        my $n = 6 * $MB + 11;
        my $r = upload($kind, 'digest', pattern($n), [], max => $shape->[0], padding => $shape->[1]);
        is(FastCGI::body($r), sum($n) . " $n\n", "$shape->[0] bytes, $shape->[1] of padding");
    }
};

on_both 'a body longer than its CONTENT_LENGTH, and shorter' => sub ($kind) {
    my $says = 20 * $MB + 333;
    my $r = upload($kind, 'digest', pattern(30 * $MB), [ CONTENT_LENGTH => $says ]);
    is(FastCGI::body($r), sum($says) . " $says\n", 'cut');
    $r = upload($kind, 'digest', pattern($says), [ CONTENT_LENGTH => 30 * $MB ]);
    is(FastCGI::body($r), sum($says) . " $says\n", 'short');
};

on_both 'a script that reads in fits and starts' => sub ($kind) {
    script('fits', <<~'PERL');
        #!/usr/bin/perl
        use Digest::SHA;
        my $sha = Digest::SHA->new(256);
        my ($n, $in) = 0;
        while (sysread STDIN, $in, 70_001) {
            my $before = $n;
            $n += length $in;
            $sha->add($in);
            select undef, undef, undef, 0.3 if int($n / 4e6) > int($before / 4e6);
        }
        print "Content-Type: text/plain\n\n", $sha->hexdigest, " $n\n";
        PERL
    my $n = 30 * $MB + 5;
    is(FastCGI::body(upload($kind, 'fits', pattern($n))), sum($n) . " $n\n", 'every byte');
};

on_both 'a script that stops reading, and answers' => sub ($kind) {
    for my $how ('close STDIN', 'undef', 'sleep 1') {
        script('enough', <<~PERL);
            #!/usr/bin/perl
            my \$n = 0;
            \$n += sysread STDIN, my \$in, 65536 while \$n < 10_000_000;
            $how;
            print "Content-Type: text/plain\n\nenough\n";
            PERL
        is(FastCGI::body(upload($kind, 'enough', pattern(40 * $MB))), "enough\n", $how);
    }
};

on_both 'an echo of much' => sub ($kind) {
    my $n = 50 * $MB + 9;
    ok_body(upload($kind, 'echo', pattern($n)), $n, 'both ways at once');
};

on_both 'a client that leaves in the middle of an upload' => sub ($kind) {
    my $file = file();
    script('swallows', <<~'PERL');
        #!/usr/bin/perl
        open my $p, '>', $ENV{TEST_PIDS}; syswrite $p, "$$\n"; close $p;
        my $n = 0;
        $n += sysread STDIN, my $in, 65536 while $n < 2_000_000;
        sleep 600;
        PERL
    my $c = $bridge->connect($kind);
    $c->expect(1);
    my $bytes = FastCGI::begin(1) . FastCGI::params(1, $bridge->post('swallows', '',
        CONTENT_LENGTH => 60 * $MB, TEST_PIDS => $file)) . FastCGI::stdin(1, pattern(3 * $MB));
    $c->send($bytes, timeout => 1);
    my @pids = wait_pids($file, 1);
    $c->reset;
    is_deeply([ gone(5, @pids) ], [], 'the script goes, too');
    $bridge->ok_serves($kind, $worker);
};

on_both 'an upload beside another request on its connection' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $n = 20 * $MB;
    my $big = $c->expect(1);
    $c->send(FastCGI::begin(1, keep => 1)
        . FastCGI::params(1, $bridge->post('digest', '', CONTENT_LENGTH => $n)));
    for my $part (0 .. 19) {
        $c->send(FastCGI::stdin(1, substr pattern($n), $part * $MB, $MB));
        next if $part % 5;
        my $r = $c->start(10 + $part, $bridge->params('hello'), keep => 1);
        $c->wait_end(10 + $part);
        is(FastCGI::body($r), "hello\n", "after $part MB");
    }
    $c->send(FastCGI::stdin_end(1));
    $c->wait_end(1);
    is(FastCGI::body($big), sum($n) . " $n\n", 'every byte');
};

scenario '--max-body holds for what waits, not for what passes' => sub {
    my $other = Bridge->start(args => [ '--max-body', '1M' ]);
    on_both 'with --max-body 1M' => sub ($kind) {
        my $n = 30 * $MB;
        my $r = $other->get($kind, 'digest', [], body => pattern($n), secs => 30);
        is(FastCGI::body($r), sum($n) . " $n\n", '30 MB go through');
        $r = $other->get($kind, 'digest', [ CONTENT_LENGTH => '' ], body => pattern(2 * $MB));
        is(FastCGI::status($r), 413, 'but are not kept');
    };
    $other->stop('--max-body');
};

# ---- and all of it with the same worker ------------------------------------------

scenario 'memory' => sub {
    my $other = Bridge->start;
    my $before = $other->memory;
    for my $kind (qw(unix tcp)) {
        $other->get($kind, 'bulk', [ QUERY_STRING => 100 * $MB ], secs => 30);
        $other->get($kind, 'digest', [], body => pattern(100 * $MB), secs => 30);
    }
    # checkers keep freed memory for a while
    cmp_ok($other->memory - $before, '<', $Bridge::slow > 1 ? 400 * 1024 : 1024,
        '400 MB later the worker has grown by less than a megabyte');
    $other->stop('memory');
};

is_deeply([ $bridge->workers ], [ $worker ], 'the worker is the one that there was');
$bridge->stop;
done_testing;

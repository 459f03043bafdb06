#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Bytes between client and script: at once, both ways together, in bounded
# memory; and how a response ends, by itself or by force.
use v5.36;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

# Clients leave with no grace for their scripts here: that is in left.t.
my $bridge = Bridge->start(args => [ '--kill-delay', '1s', '--linger', '1s',
    '--disconnect-grace', '0' ]);
my $MB = 1 << 20;

# ---- at once, both ways ------------------------------------------------------

on_both 'each piece goes on at once' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $r = $c->start(1, $bridge->params('ticker', QUERY_STRING => 6));
    $c->wait_end(1);
    is(FastCGI::body($r), join('', map { "tick $_\n" } 1 .. 6), 'six ticks');
    # a late reader may see two together, but all in one go is buffering
    cmp_ok(scalar @{ $r->{stamps} }, '>=', 4, 'in at least four pieces');
    cmp_ok($r->{stamps}[-1][0] - $r->{stamps}[0][0], '>', 0.6, 'spread over the second it takes');
};

on_both 'full duplex: a conversation' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $r = $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::params(1,
        $bridge->post('echo', '', CONTENT_LENGTH => 50)));
    for my $n (1 .. 5) {
        $c->send(FastCGI::stdin(1, sprintf '%-10d', $n));
        $c->read_until(slow(5), sub { FastCGI::body($r) =~ /$n +$/ });
        is(length FastCGI::body($r), $n * 10, "piece $n came back before the next was sent");
    }
    $c->send(FastCGI::stdin_end(1));
    $c->wait_end(1);
    is($r->{end}{app}, 0, 'and it ended well');
};

on_both 'full duplex: an echo of 5 MB' => sub ($kind) {
    my $body = noise(5 * $MB);
    my $r = $bridge->get($kind, 'echo', [], body => $body, secs => 30);
    ok(FastCGI::body($r) eq $body, 'every byte, in order');
};

on_both 'full duplex: 4 MB written before any is read' => sub ($kind) {
    my $body = noise(5 * $MB);
    my $r = $bridge->get($kind, 'gusher', [ QUERY_STRING => 4 * $MB ], body => $body, secs => 30);
    is(length(FastCGI::body($r)) - 4 * $MB, length "read 5242880\n", 'all of the output');
    like(substr(FastCGI::body($r), -20), qr/read 5242880\n\z/, 'and of the input');
};

on_both 'a body that comes slowly' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $r = $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::params(1, $bridge->post('count', 'x' x 30)));
    for (1 .. 30) {
        $c->send(FastCGI::stdin(1, 'x'));
        sleep 0.02;
    }
    $c->send(FastCGI::stdin_end(1));
    $c->wait_end(1);
    is(FastCGI::body($r), "30 30\n", 'is complete');
};

# ---- memory --------------------------------------------------------------------

# What the workers may grow by, in KiB; checkers keep freed memory for a while.
my $growth = $Bridge::slow > 1 ? 400 * 1024 : 8 * 1024;

on_both 'bounded memory: output that nobody reads' => sub ($kind) {
    my $before = $bridge->memory;
    my @c;
    my @marks;
    for (1 .. 4) {
        my $mark = file();
        my $c = $bridge->connect($kind, rcvbuf => 65536);
        $c->start(1, $bridge->params('big', QUERY_STRING => 100 * $MB, TEST_MARK => $mark),
            no_read => 1);
        push @c, $c;
        push @marks, $mark;
    }
    wait_still(@marks);
    cmp_ok($bridge->memory - $before, '<', $growth, 'a worker does not grow by it');
    for (@marks) {
        cmp_ok(slurp($_) || 0, '<', 32 * $MB, 'the script is held back');
    }
    my $r = $bridge->get($kind, 'hello');
    is(FastCGI::body($r), "hello\n", 'others are served meanwhile');
    cmp_ok($r->{total}, '<', slow(1), 'at once');
    $c[0]->wait_end(1, 60);
    is(length FastCGI::body($c[0]{req}{1}), 100 * $MB, 'one that is read at last is complete');
    cmp_ok($bridge->memory - $before, '<', $growth, 'still no growth');
}, secs => 120;

script('answers-early', <<~'SH');
    #!/bin/sh
    printf 'Content-Type: text/plain\n\nearly\n'
    echo >>"$TEST_MARK"
    cat >/dev/null
    echo >>"$TEST_MARK"
    exec sleep 20
    SH

# nginx's answer is held until the whole body has arrived: here just when nobody reads.
on_both 'a response that is let go while others fill the connection' => sub ($kind) {
    my $mark = file();
    my $c = $bridge->connect($kind, rcvbuf => 65536);
    $c->expect(1);
    $c->send(FastCGI::begin(1, keep => 1) . FastCGI::params(1, $bridge->post('answers-early', 'body',
        SERVER_SOFTWARE => 'nginx/1', TEST_MARK => $mark)) . FastCGI::stdin(1, 'bo'), no_read => 1);
    wait_until(10, sub { -s $mark }) or die "the script did not answer\n";
    my @marks = map { file() } 2 .. 31;
    $c->start($_, $bridge->params('big', QUERY_STRING => $MB, TEST_MARK => $marks[$_ - 2]),
        keep => 1, no_read => 1) for 2 .. 31;
    wait_still(@marks);
    $c->send(FastCGI::stdin(1, 'dy') . FastCGI::stdin_end(1), no_read => 1);
    ok(wait_until(10, sub { 2 == length slurp($mark) }), 'its script has all of the body');
    is($c->{req}{1}{out}, '', 'nothing has been read yet');
    ok($c->wait_out(1, 1, 5), 'it comes with the others, though its script goes on');
    like($c->{req}{1}{out}, qr/^early$/m, 'whole');
    $c->wait_end($_, 30) for 2 .. 31;
    is_deeply([ grep { $MB != length FastCGI::body($c->{req}{$_}) } 2 .. 31 ], [], 'so are they');
    $c->hang_up;
}, secs => 60;

on_both 'bounded memory: a slow reader' => sub ($kind) {
    my $before = $bridge->memory;
    my $c = $bridge->connect($kind);
    my $r = $c->start(1, $bridge->params('big', QUERY_STRING => 20 * $MB), no_read => 1);
    for (1 .. 50) {
        $c->fill(65536);
        sleep 0.02;
    }
    cmp_ok($bridge->memory - $before, '<', $growth, 'a worker does not grow by it');
    $c->wait_end(1, 30);
    is(length FastCGI::body($r), 20 * $MB, 'nothing is lost');
};

on_both 'bounded memory: a body that nobody reads' => sub ($kind) {
    my $before = $bridge->memory;
    my $c = $bridge->connect($kind);
    my $file = file();
    my $r = $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::params(1, $bridge->post('sleeper', '',
        CONTENT_LENGTH => 60 * $MB, QUERY_STRING => 30, TEST_PIDS => $file)));
    my @pids = wait_pids($file, 2);
    my $piece = FastCGI::stdin(1, 'b' x $MB);
    for (1 .. 40) {
        last if $c->send($piece, timeout => 1) < length $piece; # it holds us back
    }
    cmp_ok($bridge->memory - $before, '<', $growth, 'a worker does not grow by it');
    if ($kind eq 'tcp') {
        # the window is shut: an orderly end would wait behind what the client could not
        # send, only a reset gets through
        $c->reset;
    } else {
        $c->hang_up;
    }
    is_deeply([ gone(5, @pids) ], [], 'and the script dies with its client');
}, secs => 120;

on_both 'a client that leaves while its body is held back' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $file = file();
    $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::params(1, $bridge->post('sleeper', '',
        CONTENT_LENGTH => 60 * $MB, QUERY_STRING => 30, TEST_PIDS => $file)));
    my @pids = wait_pids($file, 2);
    # more than is read, and less than would shut TCP's window
    $c->send(FastCGI::stdin(1, 'b' x 180_000), timeout => 1);
    $c->hang_up;
    is_deeply([ gone(5, @pids) ], [], 'the script dies with its client');
};

on_both 'bounded memory: a slow script' => sub ($kind) {
    script('reads-slowly', <<~'PERL');
        #!/usr/bin/perl
        my ($n, $in) = 0;
        for (1 .. 20) { $n += sysread STDIN, $in, 65536; select undef, undef, undef, 0.05 }
        $n += length $in while sysread STDIN, $in, 262144;
        print "Content-Type: text/plain\n\n$n\n";
        PERL
    my $before = $bridge->memory;
    my $r = $bridge->get($kind, 'reads-slowly', [], body => 'b' x (20 * $MB), secs => 30);
    is(FastCGI::body($r), 20 * $MB . "\n", 'it got all of it');
    cmp_ok($bridge->memory - $before, '<', $growth, 'a worker does not grow by it');
};

# ---- ends -------------------------------------------------------------------------

on_both 'EPIPE on the script\'s stdin is no error' => sub ($kind) {
    my $mark = $bridge->mark;
    my $r = $bridge->get($kind, 'deaf', [], body => 'b' x (2 * $MB));
    is(FastCGI::body($r), "heard nothing\n", 'the answer');
    is($r->{end}{app}, 0, 'appStatus 0');
    $bridge->catch_up($kind);
    is_deeply([ quiet($bridge->log_since($mark)) ], [], 'nothing in the log');
};

on_both 'a descendant that holds stdout' => sub ($kind) {
    my $file = file();
    my $since = time;
    my $c = $bridge->connect($kind);
    my $r = $c->start(1, $bridge->params('holder', QUERY_STRING => 20, TEST_PIDS => $file));
    is($c->wait_close(10), 'eof', 'the connection is closed');
    my $took = time - $since;
    is(FastCGI::body($r), "held\n", 'the answer');
    is($r->{end}, undef, 'without an end: what else it would have written is not known');
    cmp_ok($took, '>', 0.7, 'not before the linger time of a second');
    cmp_ok($took, '<', slow(6), 'but soon after');
};

on_both 'a client that reads later than the linger time' => sub ($kind) {
    my $mark = $bridge->mark;
    script('writes-much', <<~'PERL');
        #!/usr/bin/perl
        print "Content-Type: text/plain\n\n", 'm' x (1000 * $ENV{QUERY_STRING});
        PERL
    # some of these exit with the end of their output still in the pipe: where the socket,
    # the buffer and a part of the pipe are full, which depends on the system
    my %asked;
    for my $kb (map { 15 * $_ } 6 .. 40) {
        my $c = $bridge->connect($kind, rcvbuf => 65536);
        $asked{$kb} = [ $c, $c->start(1,
            $bridge->params('writes-much', QUERY_STRING => $kb), keep => 1, no_read => 1) ];
    }
    sleep 1.5;
    my @short;
    for my $kb (sort { $a <=> $b } keys %asked) {
        my ($c, $r) = @{ $asked{$kb} };
        $c->wait_end(1);
        push @short, "$kb: " . length FastCGI::body($r) if length FastCGI::body($r) != 1000 * $kb;
    }
    is_deeply(\@short, [], 'gets all of it: silence is the script\'s');
    $bridge->no_warning($mark);
};

scenario '--linger 0' => sub {
    my $strict = Bridge->start(args => [ '--linger', '0' ]);
    script('writes-60K', <<~'PERL');
        #!/usr/bin/perl
        print "Content-Type: text/plain\n\n", 'm' x 60000;
        PERL
    my @lengths = map { length FastCGI::body($strict->get('unix', 'writes-60K')) } 1 .. 20;
    is_deeply(\@lengths, [ (60000) x 20 ], 'what has been written goes out');
    $strict->stop('--linger 0');
};

on_both 'a descendant that writes within the linger time' => sub ($kind) {
    script('writes-later', <<~'SH');
        #!/bin/sh
        printf 'Content-Type: text/plain\n\none\n'
        (sleep 0.4; echo two; sleep 0.4; echo three; sleep 0.4; echo four) &
        SH
    my $r = $bridge->get($kind, 'writes-later');
    is(FastCGI::body($r), "one\ntwo\nthree\nfour\n",
        'is heard, also longer than that after the exit: only silence counts');
};

on_both 'a descendant that lets go of stdout' => sub ($kind) {
    my $file = file();
    my $since = time;
    my $r = $bridge->get($kind, 'holder', [ QUERY_STRING => 0.3, TEST_PIDS => $file ]);
    is(FastCGI::body($r), "held\n", 'the answer');
    cmp_ok(time - $since, '<', slow(5), 'ends with it');
};

on_both 'stdout closed early, the script goes on' => sub ($kind) {
    my ($file, $mark) = (file(), $bridge->mark);
    my $r = $bridge->get($kind, 'closes', [ TEST_MARK => $file ]);
    is(FastCGI::body($r), "closed\n", 'the answer');
    is(slurp($file), '', 'ends with the output');
    ok(wait_until(10, sub { slurp($file) eq "done\n" }), 'the script is left to finish');
    ok($bridge->wait_for_log(qr/closes\[\d+\]: request 1: exit status 3, after the end of its response/,
        5, from => $mark), 'how it exits is in the log');
};

# ---- timeouts ------------------------------------------------------------------------

scenario 'timeouts' => sub {
    my $timed = Bridge->start(args => [ '-t', '1s', '--kill-delay', '1s' ]);
    my $idle = Bridge->start(args => [ '--idle-timeout', '1s', '--kill-delay', '1s' ]);
    on_both '-t: no header yet: 504' => sub ($kind) {
        my ($file, $mark) = (file(), $timed->mark);
        my $r = $timed->get($kind, 'sleeper', [ QUERY_STRING => 60, TEST_PIDS => $file ]);
        like($r->{out}, qr/\AStatus: 504 /, 'Status 504');
        cmp_ok($r->{total}, '>', 0.7, 'not before its time');
        cmp_ok($r->{total}, '<', slow(5), 'but soon after');
        is($r->{closed}, 'eof', 'EOF');
        is_deeply([ gone(5, pids_in($file)) ], [], 'script and child are killed');
        my @lines = grep { /sleeper/ } quiet($timed->log_since($mark));
        ok(@lines, 'a log line names the script') or diag($timed->log_since($mark));
    };
    on_both '-t: after the header' => sub ($kind) {
        my $file = file();
        my $c = $timed->connect($kind);
        my $r = $c->start(1, $timed->params('ticker', QUERY_STRING => 100, TEST_PIDS => $file));
        isnt($c->wait_close, 'still open', 'the connection is closed');
        like(FastCGI::body($r), qr/\Atick 1\ntick 2\n/, 'what came before stands');
        unlike($r->{out}, qr/504/, 'no second Status');
        ok(!$r->{end} || $r->{end}{app} != 0, 'it does not look as if it were complete');
        is_deeply([ gone(5, pids_in($file)) ], [], 'the script is killed');
    };
    on_both '-t: a script in time' => sub ($kind) {
        is(FastCGI::body($timed->get($kind, 'hello')), "hello\n", 'is left alone');
    };
    on_both '--idle-timeout: silence' => sub ($kind) {
        my $file = file();
        my $r = $idle->get($kind, 'sleeper', [ QUERY_STRING => 60, TEST_PIDS => $file ]);
        like($r->{out}, qr/\AStatus: 504 /, 'Status 504');
        cmp_ok($r->{total}, '<', slow(5), 'soon');
        is_deeply([ gone(5, pids_in($file)) ], [], 'script and child are killed');
    };
    on_both '--idle-timeout: silence after the header' => sub ($kind) {
        my $file = file();
        my $c = $idle->connect($kind);
        my $r = $c->start(1, $idle->params('family', TEST_PIDS => $file));
        isnt($c->wait_close, 'still open', 'the connection is closed');
        is(FastCGI::body($r), "family\n", 'what came before stands');
        ok(!$r->{end} || $r->{end}{app} != 0, 'it does not look as if it were complete');
        is_deeply([ gone(5, pids_in($file)) ], [], 'script, children and grandchild are killed');
    };
    on_both '--idle-timeout: a script that ticks' => sub ($kind) {
        my $r = $idle->get($kind, 'ticker', [ QUERY_STRING => 12 ]);
        is(FastCGI::body($r), join('', map { "tick $_\n" } 1 .. 12), 'is left alone');
        is($r->{end}{app}, 0, 'to its end');
    };
    on_both '--idle-timeout: a client that sends' => sub ($kind) {
        my $c = $idle->connect($kind);
        my $r = $c->expect(1);
        $c->send(FastCGI::begin(1) . FastCGI::params(1, $idle->post('count', 'x' x 12)));
        for (1 .. 12) {
            $c->send(FastCGI::stdin(1, 'x'));
            sleep 0.2;
        }
        $c->wait_end(1);
        is(FastCGI::body($r), "12 12\n", 'is left alone');
    };
    $timed->stop('-t');
    $idle->stop('--idle-timeout');
}, secs => 180;

scenario 'kill escalation' => sub {
    my $timed = Bridge->start(args => [ '-t', '1s', '--kill-delay', '1s' ]);
    on_both 'TERM, then KILL to the whole group' => sub ($kind) {
        my ($file, $mark) = (file(), file());
        my $r = $timed->get($kind, 'stubborn', [ TEST_PIDS => $file, TEST_MARK => $mark ]);
        like($r->{out}, qr/\AStatus: 504 /, 'Status 504');
        my @pids = pids_in($file);
        is(scalar @pids, 3, 'a script and two children that ignore TERM');
        is_deeply([ gone(6, @pids) ], [], 'are gone');
        is(slurp($mark), "TERM\n", 'the script got TERM first, once');
    };
    $timed->stop;
    on_both 'the client of one that ignores TERM is gone' => sub ($kind) {
        my ($file, $mark) = (file(), file());
        my $c = $bridge->connect($kind);
        $c->start(1, $bridge->params('stubborn', TEST_PIDS => $file, TEST_MARK => $mark));
        my @pids = wait_pids($file, 3);
        $c->hang_up;
        is_deeply([ gone(6, @pids) ], [], 'script and children are gone');
        is(slurp($mark), "TERM\n", 'TERM came first, once');
    };
    on_both 'children that outlive a script that TERM ends' => sub ($kind) {
        script('dies-alone', <<~'SH');
            #!/bin/sh
            (trap '' TERM; exec sh -c 'echo $$ >>"$TEST_PIDS"; exec sleep 600') &
            echo $$ >>"$TEST_PIDS"
            wait
            SH
        my $file = file();
        my $c = $bridge->connect($kind);
        $c->start(1, $bridge->params('dies-alone', TEST_PIDS => $file));
        my @pids = wait_pids($file, 2);
        $c->hang_up;
        is_deeply([ gone(6, @pids) ], [], 'are killed after the delay');
    };
};

# ---- --on-disconnect ------------------------------------------------------------------

scenario '--on-disconnect ignore: a worker that stops before its scripts do' => sub {
    my $other = Bridge->start(args => [ '--on-disconnect', 'ignore', '--kill-delay', '1s' ]);
    script('never-ends', <<~'PERL');
        #!/usr/bin/perl
        $SIG{TERM} = 'IGNORE';
        $| = 1;
        print "Content-Type: text/plain\n\n";
        print 'n' x 100 while 1;
        PERL
    my @clients = map { $other->connect('unix') } 1 .. 4;
    $_->start(1, $other->params('never-ends')) for @clients;
    $_->wait_out(1) for @clients;
    $_->hang_up for @clients;
    wait_until(5, sub { (() = $other->log =~ /script goes on/g) == 4 });
    my @family = Bridge::descendants($other->pid);
    is(scalar @family, 5, 'a worker, and four scripts without clients');
    $other->signal('QUIT');
    is($other->wait_exit(10), 0, 'it stops');
    is_deeply([ gone(5, @family) ], [], 'and nothing is left');
    $other->ok_log;
};

# How far `steps` gets whose client leaves at its first: at each --on-disconnect, and at one
# that there is not, which changes nothing.
my %steps = (
    kill => "start\n", close => "start\nawake\n", ignore => "start\nawake\nwritten\n",
    nonsense => "start\n",
);

sub ok_steps ($other, $kind, $what, @wish) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($pids, $mark) = (file(), file());
    my ($gate, $shut) = gate();
    my $c = $other->connect($kind);
    $c->start(1, $other->params('steps', TEST_MARK => $mark, TEST_PIDS => $pids,
        QUERY_STRING => $gate, @wish));
    $c->wait_out(1);
    wait_until(5, sub { slurp($mark) });
    $c->hang_up;
    # one worker: what it is asked later it does later
    is(FastCGI::body($other->get($kind, 'hello')), "hello\n", 'others are served');
    is_deeply([ gone(10, pids_in($pids)) ], [], 'the script is ended') if $steps{$what} eq "start\n";
    close $shut;
    is_deeply([ gone(10, pids_in($pids)) ], [], 'the script has ended');
    is(slurp($mark), $steps{$what}, "$what: it got as far as it should");
}

for my $what (qw(kill close ignore)) {
    scenario "--on-disconnect $what" => sub {
        my $other = Bridge->start(args => [ '--on-disconnect', $what, '--disconnect-grace', '0' ]);
        ok_steps($other, $_, $what) for qw(unix tcp);
        $other->stop("--on-disconnect $what");
    };
}

# ---- what the web server asks for, for one request ------------------------------------

scenario 'CGIBRIDGE_TIMEOUT and CGIBRIDGE_IDLE_TIMEOUT' => sub {
    my $other = Bridge->start(args => [ '--timeout', '30s', '--idle-timeout', '1s' ]);
    for my $kind (qw(unix tcp)) {
        my $ask = sub ($name, $query, @wish) {
            return $other->get($kind, $name, [ QUERY_STRING => $query, @wish ], secs => 20);
        };
        my $r = $ask->('sleeper', 20, CGIBRIDGE_TIMEOUT => '300ms');
        is(FastCGI::status($r), 504, "a shorter --timeout ($kind)");
        ok($other->wait_for_log(qr/504: longer than/, 5), 'is what the log says');
        is(FastCGI::status($ask->('sleeper', 20, CGIBRIDGE_IDLE_TIMEOUT => '300ms')), 504,
            'a shorter --idle-timeout');
        for my $long ('10s', '0', 'never') {
            is(FastCGI::status($ask->('sleeper', 20, CGIBRIDGE_IDLE_TIMEOUT => $long)), 504,
                "$long: not past the option");
        }
        ok($other->wait_for_log(qr/CGIBRIDGE_IDLE_TIMEOUT is 'never': ignored/, 5),
            'what is no time is ignored, with a line');
        is(FastCGI::body($ask->('sleeper', 0.1, CGIBRIDGE_TIMEOUT => '10s')), "slept\n",
            'one that is not reached changes nothing');
    }
    $other->stop;
}, secs => 120;

on_both 'CGIBRIDGE_ON_DISCONNECT' => sub ($kind) {
    ok_steps($bridge, $kind, $_, CGIBRIDGE_ON_DISCONNECT => $_) for sort keys %steps;
};

$bridge->stop;
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# A script may outlive its response: it closes its output and works on, its client hangs
# up, it leaves something in the background.  And what a client is told when a response
# is shorter than it should be.
use v5.36;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $bridge = Bridge->start(args => [ '--kill-delay', '3s', '--linger', '300ms' ]);

my $head = q{printf 'Content-Type: text/plain\n\n'};

# Waits at a gate of the test's: one that is shut, and is opened by its path.  A shell runs a
# trap once the command in front has ended, `wait` it leaves at once.
my $wait = q{flock -s -w 60 "$TEST_GO" true & wait $!};
my %shut;

sub shut () {
    my ($path, $hold) = gate();
    $shut{$path} = $hold;
    return $path;
}

sub go ($path) { close delete $shut{$path} }

# Waits until no script has a slot.
sub is_free ($b = $bridge) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @workers = $b->workers;
    ok(wait_until(10, sub { !grep { Bridge::children($_) } @workers }), 'no script is left');
}

# ---- a response ends with its output ---------------------------------------------------

sh('works-on', <<~SH);
    trap 'echo TERM >>"\$TEST_MARK"; exit 1' TERM
    $head; echo answer
    exec <&- >&- 2>&-
    $wait
    echo finished >>"\$TEST_MARK"
    SH

on_both 'a script that closes its output and works on' => sub ($kind) {
    for my $keep (0, 1) {
        my ($mark, $go) = (file(), shut());
        my $c = $bridge->connect($kind);
        my $r = $c->start(1, $bridge->params('works-on', TEST_MARK => $mark, TEST_GO => $go),
            keep => $keep);
        $c->wait_end(1);
        is(FastCGI::body($r), "answer\n", "the answer, KEEP_CONN $keep");
        cmp_ok($r->{seconds}, '<', slow(1), 'at once');
        is($r->{end}{app}, 0, 'appStatus 0: how it exits is not known yet');
        is($c->wait_close, 'eof', 'EOF') if !$keep;
        if ($keep) {
            my $next = $c->start(1, $bridge->params('hello'), keep => 1);
            $c->wait_end(1);
            is(FastCGI::body($next), "hello\n", 'the connection takes the next request');
        }
        $c->hang_up;
        $bridge->catch_up;
        is(slurp($mark), '', 'it is not stopped when its client leaves');
        go($go);
        ok(wait_until(5, sub { slurp($mark) eq "finished\n" }), 'and does its work');
        is_free();
    }
};

on_both 'the exit that follows at once still counts' => sub ($kind) {
    sh('closes-first', "$head; exec >&- 2>&-; exit 5");
    my $late = grep { $bridge->get($kind, 'closes-first')->{end}{app} != 5 } 1 .. 20;
    cmp_ok($late, '<=', $Bridge::slow > 1 ? 5 : 1, 'appStatus 5');
};

on_both 'one that closes its output without an answer' => sub ($kind) {
    sh('closes-only', 'exec >&-; sleep 60');
    my $mark = $bridge->mark;
    my $r = $bridge->get($kind, 'closes-only');
    is(FastCGI::status($r), 500, 'Status 500');
    cmp_ok($r->{seconds}, '<', slow(2), 'at once');
    $bridge->one_warning($mark, qr/500: no CGI response: it wrote nothing; still running/);
    is_free();
};

on_both '--timeout counts after the response, too' => sub ($kind) {
    my ($file, $mark) = (file(), $bridge->mark);
    my $r = $bridge->get($kind, 'works-on', [ TEST_GO => shut(), TEST_MARK => $file,
        CGIBRIDGE_TIMEOUT => '1s' ]);
    is(FastCGI::body($r), "answer\n", 'the answer');
    ok($bridge->wait_for_log(qr/works-on\[\d+\]: request 1: longer than --timeout: stopped, after/,
        10, from => $mark), 'a line in the log');
    is_free();
    is(slurp($file), "TERM\n", 'it got its TERM');
};

on_both '--on-disconnect close: --timeout, and the slot' => sub ($kind) {
    my $one = Bridge->start(args => [ '-m', 1, '--on-disconnect', 'close', '-t', '500ms',
        '--kill-delay', '200ms' ]);
    my $file = file();
    my $c = $one->connect($kind);
    $c->start(1, $one->params('stubborn', TEST_PIDS => $file, TEST_MARK => file()));
    my @pids = wait_pids($file, 3);
    $c->hang_up;
    is(FastCGI::body($one->get($kind, 'hello')), "hello\n", 'the next one gets its slot');
    is_deeply([ gone(5, @pids) ], [], 'it has been stopped');
    $one->stop;
};

scenario 'a worker that drains waits for it' => sub {
    for my $signal (qw(TERM QUIT)) {
        my $other = Bridge->start(args => [ '--kill-delay', '300ms' ]);
        my ($mark, $go) = (file(), shut());
        $other->get('unix', 'works-on', [ TEST_MARK => $mark, TEST_GO => $go ]);
        my @family = ($other->workers, map { Bridge::children($_) } $other->workers);
        is(scalar @family, 2, 'a worker and a script');
        $other->signal($signal);
        if ($signal eq 'TERM') {
            ok($other->wait_for_log(qr/stopping: /), 'TERM is seen');
            is(scalar(grep { alive($_) } @family), 2, 'TERM: they are still there');
            go($go);
        }
        is($other->wait_exit(10), 0, "$signal: it ends");
        is(slurp($mark), "finished\n", 'and so has the script') if $signal eq 'TERM';
        is_deeply([ gone(5, @family) ], [], 'nothing is left');
        $other->ok_log;
    }
};

scenario 'the death of its worker ends it' => sub {
    my $other = Bridge->start;
    my $mark = file();
    $other->get('unix', 'works-on', [ TEST_MARK => $mark, TEST_GO => shut() ]);
    my ($worker) = $other->workers;
    my @scripts = Bridge::descendants($worker);
    ok(scalar @scripts, 'a script runs');
    kill 'KILL', $worker;
    is_deeply([ gone(5, @scripts) ], [], 'it is killed');
    $other->stop;
};

# ---- a client that has what it wanted -----------------------------------------------------

sh('appends', <<~SH);
    $head; echo answer
    trap 'echo TERM >>"\$TEST_MARK"; exit 1' TERM
    $wait
    echo appended >>"\$TEST_MARK"
    SH

on_both 'a client that hangs up after the headers' => sub ($kind) {
    my ($mark, $go, $log) = (file(), shut(), $bridge->mark);
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('appends', TEST_MARK => $mark, TEST_GO => $go));
    $c->wait_out(1);
    $c->hang_up;
    $bridge->catch_up;
    go($go);
    ok(wait_until(5, sub { slurp($mark) eq "appended\n" }), 'the script does its work');
    is_free();
    is(scalar quiet($bridge->log_since($log)), 0, 'that is nothing for the log');
};

# Asks for `name`, hangs up after the first bytes; returns how long its pids were there.
sub outlives ($b, $kind, $name, @more) {
    my $file = file();
    my $c = $b->connect($kind);
    $c->start(1, $b->params($name, TEST_PIDS => $file, @more));
    my @pids = wait_pids($file, 1);
    $c->wait_out(1) if $name ne 'sleeper';
    my $since = time;
    $c->hang_up;
    is_deeply([ gone(10, @pids) ], [], "$name: is stopped");
    return time - $since;
}

scenario '--disconnect-grace' => sub {
    sh('floods', "echo \$\$ >\"\$TEST_PIDS\"; $head; exec yes");
    sh('trickles', "echo \$\$ >\"\$TEST_PIDS\"; $head; echo; while :; do sleep 0.2; echo tick; done");
    my %b = map { $_ => Bridge->start(args => [ '--disconnect-grace', $_, '--kill-delay', '1s' ]) }
        qw(0 800ms 30s);
    on_both '--disconnect-grace' => sub ($kind) {
        my $mark = $b{'30s'}->mark;
        cmp_ok(outlives($b{0}, $kind, 'family'), '<', slow(0.5), '0: at once');
        my $took = outlives($b{'800ms'}, $kind, 'family');
        cmp_ok($took, '>', 0.6, '800ms: not before that');
        cmp_ok($took, '<', slow(3), 'but then');
        cmp_ok(outlives($b{'30s'}, $kind, 'sleeper', QUERY_STRING => 60), '<', slow(3),
            '30s: no headers yet: at once');
        cmp_ok(outlives($b{'30s'}, $kind, 'floods'), '<', slow(3), '30s: much output: at once');
        $took = outlives($b{'30s'}, $kind, 'trickles');
        cmp_ok($took, '>', 0.8, '30s: some output: not for a second');
        cmp_ok($took, '<', slow(5), 'but then');
        ok($b{'30s'}->wait_for_log(qr/script stopped: its client is gone, and it goes on writing/,
            5, from => $mark), 'the log says why');
        like($b{'800ms'}->log, qr/script stopped: it still runs after --disconnect-grace/,
            'in each case');
    };
    $_->stop for values %b;
}, secs => 120;

on_both 'a large answer that is broken off' => sub ($kind) {
    my $file = file();
    sh('large', "echo \$\$ >\"\$TEST_PIDS\"; $head; exec cat /dev/zero");
    my $c = $bridge->connect($kind);
    my $r = $c->start(1, $bridge->params('large', TEST_PIDS => $file));
    $c->wait_out(1, 4 << 20);
    my $since = time;
    $c->hang_up;
    is_deeply([ gone(10, pids_in($file)) ], [], 'ends its script');
    cmp_ok(time - $since, '<', slow(2), 'at once');
};

on_both 'the body of one who hangs up was not whole' => sub ($kind) {
    sh('reads', "echo \$\$ >\"\$TEST_PIDS\"; $head; echo answer; cat >\"\$TEST_MARK.in\"; : >\"\$TEST_MARK\"");
    my $short = Bridge->start(args => [ '--disconnect-grace', '500ms', '--kill-delay', '1s' ]);
    my ($file, $mark) = (file(), file());
    my $c = $short->connect($kind);
    $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::params(1, $short->post('reads', '', CONTENT_LENGTH => 10,
        SERVER_SOFTWARE => 'other', TEST_PIDS => $file, TEST_MARK => $mark))
        . FastCGI::stdin(1, 'half '));
    $c->wait_out(1);
    $c->hang_up;
    is_deeply([ gone(10, wait_pids($file, 1)) ], [], 'the script is stopped after its grace');
    ok(!-e $mark, 'and has not taken half of a body for all of it');
    $short->stop;
};

# ---- standard error -------------------------------------------------------------------------

on_both 'a job in the background that has kept standard error' => sub ($kind) {
    sh('job', <<~SH);
        $head; echo started
        ($wait; echo 'a warning' >&2; echo more >&2; echo finished >"\$TEST_MARK") >/dev/null </dev/null &
        SH
    my ($mark, $go, $log) = (file(), shut(), $bridge->mark);
    my $r = $bridge->get($kind, 'job', [ TEST_MARK => $mark, TEST_GO => $go ]);
    is(FastCGI::body($r), "started\n", 'the answer');
    cmp_ok($r->{seconds}, '<', slow(1), 'at once');
    is_free();
    go($go);
    ok(wait_until(5, sub { slurp($mark) eq "finished\n" }), 'the job does its work');
    ok($bridge->wait_for_log(qr/job\[\d+\]: request 1: stderr: a warning\n.*stderr: more\n/, 5,
        from => $log), 'what it says is in the log');
};

scenario 'standard error of what is stopped, and to the client' => sub {
    sh('laments', "trap 'echo last words >&2; exit' TERM; $head; sleep 60 & wait \$!");
    my $mark = $bridge->mark;
    my $c = $bridge->connect('unix');
    $c->start(1, $bridge->params('laments'), keep => 1);
    $c->wait_out(1);
    $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1, ''));
    $c->wait_end(1);
    ok($bridge->wait_for_log(qr/stderr: last words/, 5, from => $mark), 'is in the log');
    my $told = Bridge->start(args => [ '-f' ]);
    my ($file, $go) = (file(), shut());
    my $r = $told->get('unix', 'job', [ TEST_MARK => $file, TEST_GO => $go ]);
    go($go);
    ok($told->wait_for_log(qr/stderr: a warning/, 5), 'after the response also with -f');
    $told->stop;
};

# ---- cut answers --------------------------------------------------------------------------

# Asks for `name` on a kept connection; the response, the connection closed without an end.
sub cut ($kind, $name, @more) {
    my $c = $bridge->connect($kind);
    my $r = $c->start(1, $bridge->params($name, @more), keep => 1);
    is($c->wait_close(10), 'eof', "$name: the connection is closed");
    is($r->{end}, undef, 'without an end');
    return $r;
}

sh('short', q{printf 'Content-Type: text/plain\nContent-Length: 10\n\n12345'; eval "$QUERY_STRING"});
sh('open', q{printf 'Content-Type: text/plain\n\n12345'; eval "$QUERY_STRING"});

on_both 'an answer that is cut has no end' => sub ($kind) {
    for my $end ('', 'exit 3', 'kill -9 $$') {
        my $r = cut($kind, 'short', QUERY_STRING => $end);
        is(FastCGI::body($r), '12345', "what there is of it arrives, '$end'");
    }
    cut($kind, 'short', QUERY_STRING => 'sleep 60', CGIBRIDGE_TIMEOUT => '1s');
    cut($kind, 'open', QUERY_STRING => 'kill -9 $$');
    cut($kind, 'open', QUERY_STRING => 'sleep 60', CGIBRIDGE_TIMEOUT => '1s');
    my $r = $bridge->get($kind, 'open', [ QUERY_STRING => 'exit 3' ], keep => 1);
    is($r->{end}{app}, 3, 'one that may be whole has');
};

on_both 'an answer that a descendant holds' => sub ($kind) {
    sh('leaves', "$head; echo answer; sleep 60 & echo \$! >\"\$TEST_PIDS\"");
    my $cure = qr/still holds its output after --linger.*>\/dev\/null 2>&1/;
    my $ask = sub {
        my ($file, $mark) = (file(), $bridge->mark);
        my $r = cut($kind, 'leaves', TEST_PIDS => $file);
        is(FastCGI::body($r), "answer\n", 'what there is of it arrives');
        my ($pid) = pids_in($file);
        ok($bridge->wait_for_log(qr/a process, mostly of the group \d+, $cure|process $pid $cure/, 5,
            from => $mark), 'the log says who holds it, and what to write');
        kill 'KILL', $pid;
        return $bridge->log_since($mark) =~ /process $pid $cure/;
    };
    # which one it is is looked for once a second
    is_linux() ? ok(wait_until(10, $ask), 'by its pid') : $ask->();
};

on_both 'a body that is longer than it says' => sub ($kind) {
    my $mark = $bridge->mark;
    sh('longer', q{printf 'Content-Type: text/plain\nContent-Length: 9\n\n\303\244\303\266\303\274 end!\n'});
    my $r = $bridge->get($kind, 'longer');
    is(length FastCGI::body($r), 9, 'is cut');
    is($r->{end}{app}, 0, 'and has its end');
    $bridge->one_warning($mark, qr/longer\[\d+\]: request 1 from \S+: its body is longer than its Content-Length: cut/);
};

# ---- scripts that cannot be reached by their group ---------------------------------------------

on_both 'a script that has left its process group' => sub ($kind) {
    my $file = file();
    script('escapes', <<~'PERL');
        #!/usr/bin/perl
        setpgrp 0, getpgrp getppid;
        open my $out, '>', $ENV{TEST_PIDS};
        print $out "$$\n";
        close $out;
        sleep 60;
        PERL
    my $r = $bridge->get($kind, 'escapes', [ TEST_PIDS => $file, CGIBRIDGE_TIMEOUT => '300ms' ]);
    is(FastCGI::status($r), 504, 'Status 504');
    is_deeply([ gone(5, pids_in($file)) ], [], 'it is stopped');
    is_free();
};

$bridge->stop;
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# --preload with preloaders that do not do what they should: each request is answered all the
# same, no script runs twice, and the log says what is wrong.
use v5.36;
use Test::More;
use Bridge;
use FastCGI;
use Preloading;

# mood => [ preloaded, status, what the log says ]; each on a bridge of its own.
my %moods = (
    'hang' => [ 0, 200, qr/did not start a script within 1000 ms/ ],
    'stop' => [ 0, 200, qr/did not start a script within 1000 ms/ ],
    'silent-exit' => [ 0, 200, qr/did not start a script within 1000 ms/ ],
    'die' => [ 0, 200, qr/ended with status 3/ ],
    'close' => [ 0, 200, qr/closed its socket/ ],
    'lie-child' => [ 1, 200, qr/broke the protocol: "start" is wrong/ ],
    'lie-parent' => [ 0, 200, qr/broke the protocol: "start" is wrong/ ],
    'pong' => [ 0, 200, qr/broke the protocol: "pong" is wrong/ ],
    'garbage' => [ 0, 200, qr/broke the protocol: "gibberish\\x01" is wrong/ ],
    'no-group' => [ 0, 500, qr/its preloader did not give its process id/ ],
    'twice' => [ 1, 200, qr/broke the protocol: "start" is wrong/ ],
    'die-after' => [ 1, 200, qr/was killed by signal 9/ ],
    'fail-fork' => [ 0, 200, undef ],
    'fail-limit' => [ 0, 500, qr/cannot set its limits: Invalid argument/ ],
    'unknown-exit' => [ 1, 200, undef ],
    'decline' => [ 0, 200, qr/plain\.sh: not preloaded: the test says so|notes\.sh: not/ ],
    'stale' => [ 0, 200, qr/a file that it has loaded has changed/ ],
);

# Asks for a script in this mood: its bridge, a mark before it, the answer, how the counters grew.
sub ask_in ($mood) {
    my $of = preloading();
    my $mark = $of->mark;
    set_mood($of, $mood);
    spew($ran, '');
    my $r;
    my $by = growth($of, sub {
        $r = $of->get('unix', 'notes.sh', [], body => 'a body', secs => 30);
    });
    return ($of, $mark, $r, $by);
}

for my $mood (sort keys %moods) {
    my ($preloaded, $status, $line) = @{ $moods{$mood} };
    my $hangs = $line && $line =~ /did not start/;
    scenario "mood: $mood" => sub {
        my ($of, $mark, $r, $by);
        for (1 .. 5) { # one that was late by itself shows nothing
            ($of, $mark, $r, $by) = ask_in($mood);
            last if $hangs || !was_late($of, $mark);
            $of->stop;
        }
        is(FastCGI::status($r), $status, 'answered');
        is($by->[0], $preloaded, 'started by whom');
        ok($of->wait_for_log($line, 10, from => $mark), 'the log says so') if $line;
        set_mood($of, 'good');
        ok(wait_until(20, sub { is_ready($of) }), 'then there is a preloader that works');
        is(runs(), 1, 'the script has run once') if $status == 200;
        ok(wait_until(10, sub { preloaders($of) == 1 }), 'and one only');
        $of->stop;
    };
}

scenario 'a child that comes too late' => sub {
    my $of = preloading();
    my $before = runs();
    open my $held, '<', spew("$of->{mood}.gate", '', 0644) or die;
    flock $held, 2 or die;
    set_mood($of, 'slow');
    is_deeply(growth($of, sub { answer($of, 'notes.sh') }), [ 0, 1 ], 'is not waited for');
    my ($child) = pids_in("$of->{mood}.pid");
    ok(alive($child), 'it still means to run the script');
    set_mood($of, 'good');
    close $held;
    is_deeply([ gone(10, $child) ], [], 'finds that it may not');
    is(runs() - $before, 1, 'so the script has run once');
    $of->stop;
};

scenario 'one that is declined is said once, and not tried again' => sub {
    my $of = preloading();
    set_mood($of, 'decline');
    is_deeply(growth($of, sub { answer($of, 'notes.sh') for 1 .. 3 }), [ 0, 1 ], 'once');
    is(scalar(() = $of->log =~ /not preloaded/g), 1, 'one line');
    sh('notes.sh', slurp(cgi() . '/notes.sh') =~ s/.*?\n.*?\n//sr, '#!/bin/sh -e');
    is_deeply(growth($of, sub { answer($of, 'notes.sh') }), [ 0, 1 ], 'other words are tried');
    $of->stop;
};

for my $words (qw(dies-first garbage-first bad-version)) {
    scenario "three in a row that start nothing: $words" => sub {
        my $of = preloading(words => $words);
        ok($of->wait_for_log(qr/ error: preloader for .* the last 3 ended before/, 20), 'said');
        is(answer($of, 'plain.sh'), "hello\n", 'served');
        is(scalar(() = $of->log =~ / error: /g), 1, 'one error');
        is_deeply([ preloaders($of) ], [], 'none runs');
        ok($of->reload, 'reload');
        ok($of->wait_for_log(qr/(?:the last 3 ended.*){2}/s, 20), 'which tries again');
        $of->stop;
    };
}

scenario 'preloaders that are killed and stopped under load' => sub {
    my $of = preloading();
    my $before = runs();
    my ($n, $turn, $ended) = (400, 0);
    my $load = fork // die "fork: $!\n";
    if (!$load) {
        open STDOUT, '>', file();
        exec $Bridge::fcgiget, '-s', $of->url('unix'), '-n', $n, '-c', 8, '-t', '60s', '-f',
            cgi() . '/notes.sh' or POSIX::_exit(127);
    }
    wait_until(60, sub {
        kill $turn++ % 4 == 3 ? 'STOP' : 'KILL', preloaders($of) if is_ready($of);
        $ended = waitpid($load, 1) == $load;
        return $ended;
    });
    ok($ended, 'the load has ended');
    is($?, 0, 'each request was answered well');
    is(runs() - $before, $n, 'and its script has run once');
    ok(wait_until(10, sub { status($of)->{running_scripts} == 0 }), 'no slot is taken');
    ok(wait_until(30, sub { is_ready($of) }), 'a preloader works again');
    $of->stop;
};

scenario 'one that is never ready' => sub {
    my $of = preloading(words => 'never-ready');
    is_deeply(growth($of, sub { is(answer($of, 'plain.sh'), "hello\n", 'served') }), [ 0, 1 ],
        'by exec');
    $of->stop;
};

scenario 'one that has left its process group' => sub {
    my $of = preloading(words => 'other-group');
    ok(wait_until(10, sub { is_ready($of) }), 'works');
    my ($old) = preloaders($of);
    set_mood($of, 'stop');
    is_deeply(growth($of, sub { answer($of, 'plain.sh') }), [ 0, 1 ], 'until it hangs');
    is_deeply([ gone(10, $old) ], [], 'it is ended all the same');
    $of->stop;
};

scenario 'no descriptors for another one, for a while' => sub {
    my $of = preloading();
    my ($worker) = $of->workers;
    my ($nofile) = slurp("/proc/$worker/limits") =~ /^Max open files +(\d+)/m;
    my %is_open = map { m{(\d+)\z} ? ($1 => 1) : () } glob "/proc/$worker/fd/*";
    my ($mark, $least) = ($of->mark, 0); # the lowest that it has not: it can wait, as before
    $least++ while $is_open{$least};
    is(system('prlimit', '--pid', $worker, "--nofile=$least:$nofile"), 0, 'a low limit');
    kill 'KILL', preloaders($of);
    ok($of->wait_for_log(qr/(?:cannot be started: Too many open files.*){4}/s, 20, from => $mark),
        'it is tried again');
    system 'prlimit', '--pid', $worker, "--nofile=$nofile:$nofile";
    ok(wait_until(30, sub { is_ready($of) }), 'until it can be started');
    $of->stop;
};

scenario 'its standard error' => sub {
    my $of = preloading(words => 'complains');
    ok($of->wait_for_log(qr{ warn: preloader for /bin/sh \(pid \d+\): stderr: the test's}, 10),
        'is in the log');
    $of->stop;
};

scenario '--check runs it' => sub {
    my %words = ('' => undef, 'dies-first' => 'it ended before it was ready',
        'garbage-first' => 'it does not speak the protocol of cgibridge-preload\(7\)',
        'garbage-first other-group' => 'it does not speak the protocol of cgibridge-preload\(7\)',
        'bad-version' => 'it does not speak the protocol of cgibridge-preload\(7\)');
    my @as = is_root() ? ([], [ '-u', 'nobody' ]) : ([]);
    for my $as (@as) {
        for my $words (sort keys %words) {
            my $r = run_program([ $Bridge::daemon, '-n', @$as, '-s', 'unix:/tmp/x', '--preload',
                "/bin/sh=/usr/bin/perl $preloader /bin/sh none $words" ]);
            is($r->{exit}, 0, "@$as '$words': exit status");
            like($r->{err}, $words{$words} // '' ? qr/--preload '.*': $words{$words}$/m : qr/\A\z/,
                'what it says');
        }
    }
    # one that leaves its process group, and another that says which descriptors it was given
    for my $does ('setpgrp 0, getpgrp getppid',
        'print STDERR map { "has $_\n" } grep { readlink "/proc/self/fd/$_" } 3 .. 30') {
        for my $as (@as) {
            my $r = run_program([ $Bridge::daemon, '-n', @$as, '-s', 'unix:/tmp/x', '--preload',
                "/bin/sh=/usr/bin/perl -e '$does; exec \@ARGV' /usr/bin/perl $preloader /bin/sh none" ]);
            is($r->{exit}, 0, "@$as, $does: exit status");
            is($r->{err}, '', 'it says nothing');
        }
    }
    my $r = run_program([ $Bridge::daemon, '-n', '-s', 'unix:/tmp/x', '--preload',
        '/bin/sh=/none/such' ]);
    like($r->{err}, qr/--preload '.*': cannot be started: No such file/, 'none there');
};

scenario '--preload-learn' => sub {
    my $of = Bridge->start(args => [ '--preload-learn', '--preload',
        "/bin/sh=/usr/bin/perl $preloader /bin/sh none" ]);
    ok(wait_until(10, sub { preloaders($of) }), 'it runs');
    like(slurp('/proc/' . (preloaders($of))[0] . '/cmdline'), qr/none\0--learn\0\z/, 'with --learn');
    $of->stop;
};

scenario 'a program that is not there' => sub {
    my $of = Bridge->start(args => [ '--preload', '/bin/sh=/none/such' ]);
    ok($of->wait_for_log(qr/the last 3 ended/, 20), 'is not tried for ever');
    is(answer($of, 'plain.sh'), "hello\n", 'scripts run');
    $of->stop;
};

done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# A bridge that has been kept from running: by SIGSTOP, as docker pause and the freezer of
# control groups do it, or by a system call that took long.  What came meanwhile counts
# before the clock does.
use v5.36;
use Fcntl qw(F_WRLCK F_UNLCK);
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $ticks = 25; # 5 s of them
my $tickers = 20;
my $whole = join '', map { "tick $_\n" } 1 .. $ticks;

# Starts tickers, holds the processes that $whom names for a while; all must end as if not.
sub ticks_through ($name, $whom) {
    scenario "$name: no script is timed out" => sub {
        my $bridge = Bridge->start(args => [ '--idle-timeout', '1s', '--timeout', '20s',
            '--watchdog', '1s' ]);
        my @workers = $bridge->workers;
        my @c = map { $bridge->connect('unix') } 1 .. $tickers;
        $_->start(1, $bridge->params('ticker', QUERY_STRING => $ticks)) for @c;
        $_->wait_out(1, 60) for @c;
        my @held = $whom->($bridge);
        kill 'STOP', @held;
        sleep 2;
        kill 'CONT', reverse @held;
        $_->wait_end(1, 20) for @c;
        my @other = grep { FastCGI::body($_->{req}{1}) ne $whole } @c;
        is(scalar @other, 0, 'all have told the whole story');
        unlike($bridge->log, qr/ 504: /, 'and no timeout is in the log');
        is_deeply([ $bridge->workers ], \@workers, 'no worker has been replaced');
        $bridge->stop;
    }, secs => 60;
}


ticks_through('all processes are held for 2 s',
    sub ($bridge) { ($bridge->pid, Bridge::descendants($bridge->pid)) });
ticks_through('the scripts go on, the bridge is held for 2 s',
    sub ($bridge) { ($bridge->pid, $bridge->workers) });

scenario 'a queued request is served if there is a slot by now' => sub {
    for my $held (0.6, 3.2) { # before and after it could have been refused
        my $bridge = Bridge->start(args => [ '-m', 1, '--queue-timeout', '3s',
            '--status-path', '/status' ]);
        my @c = map { $bridge->connect('unix') } 1 .. 2;
        my $hold = $bridge->start_waiting($c[0]);
        my @scripts = Bridge::descendants($bridge->workers);
        $c[1]->start(1, $bridge->params('hello'));
        ok($bridge->wait_queued(1), 'a request waits');
        kill 'STOP', $bridge->workers;
        close $hold;
        is_deeply([ gone(5, @scripts) ], [], 'the one that ran has ended');
        sleep $held;
        kill 'CONT', $bridge->workers;
        $_->wait_end(1) for @c;
        is(FastCGI::body($c[0]->{req}{1}), "released\n", 'its answer arrives');
        is(FastCGI::body($c[1]->{req}{1}), "hello\n", "held for $held s: the other is served");
        $bridge->stop;
    }
};

# A lease has the exec wait until its holder gives it back.
sub hold_lease ($path, $secs) {
    my ($f_setlease, $pid) = (1024, fork // die "fork: $!\n");
    return $pid if $pid;
    my $free;
    $SIG{IO} = sub { sleep $secs; $free = 1 };
    open my $fh, '<', $path or POSIX::_exit(1);
    fcntl $fh, $f_setlease, F_WRLCK or POSIX::_exit(2);
    spew("$path.held", '');
    while (!$free) { select undef, undef, undef, 0.1 }
    fcntl $fh, $f_setlease, F_UNLCK;
    POSIX::_exit(0);
}

scenario 'an exec that takes long takes nothing from --timeout' => sub {
    my $bridge = Bridge->start(args => [ '--timeout', '1500ms', '--idle-timeout', '1500ms' ]);
    my $path = script('leased', "#!/bin/sh\nsleep 0.3\nprintf 'Content-Type: text/plain\\n\\nran\\n'\n");
    my $holder = hold_lease($path, 2);
    ok(wait_until(5, sub { -e "$path.held" }), 'the script is held');
    my $since = time;
    my $r = $bridge->get('unix', 'leased');
    cmp_ok(time - $since, '>', 1.9, 'its exec has to wait');
    is(FastCGI::body($r), "ran\n", 'it has its time from then on');
    waitpid $holder, 0;
    is($?, 0, 'the holder ends');
    $bridge->stop;
};

done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# --preload with preloaders that hang while their scripts run: they are found out and replaced,
# no slot is lost, and a script goes on.  One that answers is left alone.
use v5.36;
use Test::More;
use Bridge;
use FastCGI;
use Preloading;

# On a bridge with one slot, a script that waits until it is let go.
sub preloading_one (%o) {
    my $of = preloading(args => [ '--max-scripts', '1' ], %o);
    wait_until(10, sub { is_ready($of) });
    my ($gate, $hold) = gate();
    sh('waits.sh', "echo \$\$ >>'$ran'\nflock -s -w 60 '$gate' true\necho done\n");
    spew($ran, '');
    my $c = $of->connect('unix');
    $c->start(1, $of->params('waits.sh', REQUEST_METHOD => 'GET'));
    wait_pids($ran, 1);
    return ($of, $c, $hold);
}

# Whether that preloader has been given up, as the log says, and there is a new one.
sub is_replaced ($of, $old, $line) {
    ok($of->wait_for_log(qr/ warn: preloader for \S+ \(pid $old\) $line/, 20), 'the log says so');
    is_deeply([ gone(10, $old) ], [], 'it is ended');
    ok(wait_until(20, sub { is_ready($of) }), 'and replaced');
    ok(wait_until(10, sub { status($of)->{running_scripts} == 0 }), 'no slot is taken');
    $of->stop;
}

my $unanswered = qr/did not answer within 5000 ms/;
my $unreported = qr/did not report the end of a script within 1000 ms/;

scenario 'one that hangs, and does not report that its script has ended' => sub {
    my ($of, $c, $hold) = preloading_one();
    my ($old) = preloaders($of);
    kill 'STOP', $old;
    close $hold;
    $c->wait_end(1);
    is(answer($of, 'plain.sh'), "hello\n", 'its slot is free for the next');
    is_replaced($of, $old, is_linux() ? $unreported : $unanswered);
};

scenario 'one that hangs while its script runs' => sub {
    my ($of, $c, $hold) = preloading_one();
    my ($old) = preloaders($of);
    kill 'STOP', $old;
    ok($of->wait_for_log($unanswered, 20), 'is found out');
    close $hold;
    like(FastCGI::body($c->wait_end(1)), qr/^done$/m, 'the script has gone on');
    is_replaced($of, $old, $unanswered);
};

scenario 'one whose script runs for a while' => sub {
    my ($of, $c, $hold) = preloading_one(words => 'tells-pings');
    ok($of->wait_for_log(qr/(?:stderr: ping\n.*){3}/s, 20), 'is asked, and its answers count');
    close $hold;
    $c->wait_end(1);
    is(answer($of, 'plain.sh'), "hello\n", 'it reports the end');
    unlike($of->log, $unanswered, 'and is not said to hang');
    $of->stop;
};

# Where the system does not show it, only its own word says that a script has ended.
scenario 'one that answers, and does not report that its script has ended' => sub {
    my ($of, $c, $hold) = preloading_one();
    my ($old) = preloaders($of);
    set_mood($of, 'no-exit');
    close $hold;
    $c->wait_end(1);
    ok($of->wait_for_log($unreported, 20), 'is found out');
    set_mood($of, 'good');
    is(answer($of, 'plain.sh'), "hello\n", 'its slot is free for the next');
    is_replaced($of, $old, $unreported);
} if is_linux();

done_testing;

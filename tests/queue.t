#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# How many scripts run at once, and what becomes of requests that have to wait: the
# limit holds over all workers, and a slot that becomes free anywhere is taken.
use v5.36;
use Test::More;
use FastCGI;
use Bridge;

# Writes a line when it starts and one when it ends, once the gate in QUERY_STRING is open.
script('counted', <<~'SH');
    #!/bin/sh
    echo + >>"$TEST_MARK"
    flock -s -w 60 "$QUERY_STRING" true
    echo - >>"$TEST_MARK"
    printf 'Content-Type: text/plain\n\ncounted\n'
    SH

# The parent of a script is its worker.
script('worker', <<~'SH');
    #!/bin/sh
    printf 'Content-Type: text/plain\n\n%s' $PPID
    SH

sub body_of ($c) { return FastCGI::body($c->{req}{1}) }

# A daemon whose queue can be looked at.
sub start ($args, %o) {
    return Bridge->start(%o, args => [ '--status-path', '/status', @$args ]);
}

# Kept connections, one to each of the `$n` workers: worker pid => connection.
sub one_each ($bridge, $kind, $n) {
    my %at;
    for (1 .. 50) {
        last if keys %at == $n;
        my $c = $bridge->connect($kind);
        $c->start(1, $bridge->params('worker'), keep => 1);
        $c->wait_end(1);
        $at{ body_of($c) } //= $c;
        push @main::spare, $c; # it counts as long as it is open
    }
    @main::spare = ();
    return %at;
}

on_both '--max-scripts' => sub ($kind) {
    my $bridge = start([ '-m', '2' ], workers => 2);
    my @c = map { $bridge->connect($kind) } 1 .. 3;
    my @hold = map { $bridge->start_waiting($_) } @c[0, 1];
    $c[2]->start(1, $bridge->params('hello'));
    ok($bridge->wait_queued(1), 'two run, the third waits');
    ok(!$c[2]{req}{1}{end}, 'as long as they do');
    is($bridge->end_waiting($c[0], shift @hold), "released\n", 'one ends');
    $c[2]->wait_end(1);
    is(body_of($c[2]), "hello\n", 'the third has its turn');
    is($bridge->end_waiting($c[1], shift @hold), "released\n", 'and so ends the other');
    my @burst = map { $bridge->connect($kind) } 1 .. 20;
    $_->start(1, $bridge->params('hello')) for @burst;
    $_->wait_end(1) for @burst;
    is(scalar(grep { body_of($_) eq "hello\n" } @burst), 20, 'a burst of twenty gets through');
    $bridge->stop;
};

on_both 'the limit is exact over all workers' => sub ($kind) {
    my $bridge = start([ '-m', '4' ], workers => 3);
    my $mark = file();
    my ($gate, $shut) = gate();
    my @c = map { $bridge->connect($kind) } 1 .. 40;
    $_->start(1, $bridge->params('counted', QUERY_STRING => $gate, TEST_MARK => $mark)) for @c;
    ok($bridge->wait_queued(36), 'all but four wait');
    ok(wait_until(10, sub { slurp($mark) eq "+\n" x 4 }), 'four run');
    close $shut;
    $_->wait_end(1, 30) for @c;
    is(scalar(grep { body_of($_) eq "counted\n" } @c), 40, 'all are served');
    my ($now, $most) = (0, 0);
    for (split /\n/, slurp($mark)) {
        $now += $_ eq '+' ? 1 : -1;
        $most = $now if $now > $most;
    }
    is($most, 4, 'four at once, and no more');
    $bridge->stop;
}, secs => 60;

on_both '--queue' => sub ($kind) {
    my $bridge = start([ '-m', '1', '--queue', '2' ], workers => 2);
    my ($first, @c) = map { $bridge->connect($kind) } 1 .. 8;
    my $hold = $bridge->start_waiting($first);
    $_->start(1, $bridge->params('hello')) for @c;
    my $ended = sub { return scalar grep { $_->fill; $_->{req}{1}{end} } @c };
    ok(wait_until(10, sub { $ended->() == 5 }), 'five are answered while the script runs');
    is($bridge->status->{queued_requests}, 2, 'two wait');
    is($bridge->end_waiting($first, $hold), "released\n", 'the one that ran is served');
    my ($served, $refused) = (0, 0);
    for my $c (@c) {
        $c->wait_end(1);
        my $r = FastCGI::response($c->{req}{1});
        $served++ if $r->{body} eq "hello\n";
        next if $r->{status} != 503;
        $refused++;
        ok($r->{header}{'retry-after'}, 'Retry-After');
    }
    is($served, 2, 'those that waited are served');
    is($refused, 5, 'the others are refused');
    ok($bridge->wait_for_log(qr/503: --max-scripts are running and --queue requests wait/, 5),
        'the log says why');
    $bridge->stop;
};

on_both '--queue-timeout' => sub ($kind) {
    my $bridge = start([ '-m', '1', '--queue-timeout', '300ms' ]);
    my $c = $bridge->connect($kind);
    my $hold = $bridge->start_waiting($c);
    my $r = $bridge->get($kind, 'hello');
    is(FastCGI::status($r), 503, '503 while the script runs');
    cmp_ok($r->{total}, '>', 0.25, 'not before that time');
    ok($bridge->wait_for_log(qr/503: no script slot became free within --queue-timeout/, 5),
        'the log says why');
    is($bridge->end_waiting($c, $hold), "released\n", 'it ends');
    is(FastCGI::body($bridge->get($kind, 'hello')), "hello\n", 'then others are served again');
    $bridge->stop;
};

on_both 'a kept connection takes a slot that another worker gives back' => sub ($kind) {
    my $bridge = start([ '-m', '1', '--queue-timeout', '1h' ], workers => 2);
    my %at = one_each($bridge, $kind, 2);
    is(scalar keys %at, 2, 'a connection to each worker') or return;
    for my $pair ([ values %at ], [ reverse values %at ]) {
        my ($busy, $waits) = @$pair;
        my $hold = $bridge->start_waiting($busy, 1, [], keep => 1);
        $waits->start(1, $bridge->params('hello'), keep => 1);
        ok($bridge->wait_queued(1), 'it waits');
        is($bridge->end_waiting($busy, $hold), "released\n", 'the other worker\'s script ends');
        $waits->wait_end(1);
        is(body_of($waits), "hello\n", 'it is served');
    }
    %at = ();
    $bridge->stop;
};

on_both 'a worker whose scripts fill all slots but one' => sub ($kind) {
    my $bridge = start([ '-m', '5' ], workers => 2);
    my %at = one_each($bridge, $kind, 2);
    is(scalar keys %at, 2, 'a connection to each worker') or return;
    my ($full, $other) = values %at;
    my @hold = map { $bridge->start_waiting($full, $_, [], keep => 1) } 1 .. 4;
    for my $c ($other, $full) {
        $c->start(9, $bridge->params('hello'), keep => 1);
        $c->wait_end(9);
        is(FastCGI::body($c->{req}{9}), "hello\n", 'the free slot is anybody\'s');
    }
    is_deeply([ grep { $full->{req}{$_}{end} } 1 .. 4 ], [], 'and those go on');
    $bridge->end_waiting($full, shift @hold, $_) for 1 .. 4;
    %at = ();
    $bridge->stop;
};

on_both 'one that leaves while it waits is no longer in the queue' => sub ($kind) {
    my $bridge = start([ '-m', '1', '--queue', '1' ]);
    my $mark = file();
    my $c = $bridge->connect($kind);
    my $hold = $bridge->start_waiting($c);
    my $leaver = $bridge->connect($kind);
    $leaver->start(1, $bridge->params('counted', QUERY_STRING => '/dev/null', TEST_MARK => $mark));
    ok($bridge->wait_queued(1), 'it waits');
    $leaver->hang_up;
    ok($bridge->wait_for_log(qr/the client is gone/, 5), 'it leaves');
    my $next = $bridge->connect($kind);
    $next->start(1, $bridge->params('hello'));
    ok($bridge->wait_queued(1), 'its place is another\'s');
    $bridge->end_waiting($c, $hold);
    $next->wait_end(1);
    is(body_of($next), "hello\n", 'which is served');
    ok(!-e $mark, 'and its script was never started');
    $bridge->stop;
};

on_both 'the slots of a killed worker are free' => sub ($kind) {
    my $bridge = start([ '-m', '2' ], workers => 2);
    my %at = one_each($bridge, $kind, 2);
    is(scalar keys %at, 2, 'a connection to each worker') or return;
    my ($dies, $lives) = keys %at;
    my $file = file();
    $at{$dies}->start($_, $bridge->params('sleeper', QUERY_STRING => 60, TEST_PIDS => $file),
        keep => 1) for 1, 2;
    my @pids = wait_pids($file, 4);
    my $mark = $bridge->mark;
    $at{$lives}->start(1, $bridge->params('hello'), keep => 1);
    ok($bridge->wait_queued(1), 'a request waits');
    kill 'KILL', $dies;
    $at{$lives}->wait_end(1, 10);
    is(body_of($at{$lives}), "hello\n", 'it gets its turn');
    is_deeply([ gone(5, @pids) ], [], 'the scripts of the dead are gone');
    %at = ();
    $bridge->stop;
};

done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# How many scripts run at once, and what becomes of requests that have to wait: the
# limit holds over all workers, and a slot that becomes free anywhere is taken.
use v5.36;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

# Writes a line when it starts and one when it ends, QUERY_STRING seconds later.
script('counted', <<~'SH');
    #!/bin/sh
    echo + >>"$TEST_MARK"
    sleep "$QUERY_STRING"
    echo - >>"$TEST_MARK"
    printf 'Content-Type: text/plain\n\ncounted\n'
    SH

# The parent of a script is its worker.
script('worker', <<~'SH');
    #!/bin/sh
    printf 'Content-Type: text/plain\n\n%s' $PPID
    SH

sub body_of ($c) { return FastCGI::body($c->{req}{1}) }

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
    my $bridge = Bridge->start(workers => 2, args => [ '-m', '2' ]);
    my @files = map { file() } 1 .. 3;
    my @c = map { $bridge->connect($kind) } @files;
    my @r;
    for my $n (0 .. 2) {
        push @r, $c[$n]->start(1,
            $bridge->params('sleeper', QUERY_STRING => 2, TEST_PIDS => $files[$n]));
        wait_pids($files[$n], 2) if $n < 2;
    }
    sleep 0.5;
    is((grep { pids_in($_) } @files), 2, 'two run, the third waits');
    $c[$_]->wait_end(1) for 0 .. 2;
    is(join('', map { FastCGI::body($_) } @r), "slept\n" x 3, 'all three are served');
    cmp_ok($r[2]{seconds}, '>', 2.5, 'the third after one of the others');
    my @burst = map { $bridge->connect($kind) } 1 .. 20;
    $_->start(1, $bridge->params('hello')) for @burst;
    $_->wait_end(1) for @burst;
    is(scalar(grep { FastCGI::body($_->{req}{1}) eq "hello\n" } @burst), 20,
        'a burst of twenty gets through');
    $bridge->stop;
};

on_both 'the limit is exact over all workers' => sub ($kind) {
    my $bridge = Bridge->start(workers => 3, args => [ '-m', '4' ]);
    my $mark = file();
    my @c = map { $bridge->connect($kind) } 1 .. 40;
    $_->start(1, $bridge->params('counted', QUERY_STRING => '0.1', TEST_MARK => $mark)) for @c;
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
    my $bridge = Bridge->start(workers => 2, args => [ '-m', '1', '--queue', '2' ]);
    my $file = file();
    my @c = map { $bridge->connect($kind) } 1 .. 8;
    $c[0]->start(1, $bridge->params('sleeper', QUERY_STRING => 2, TEST_PIDS => $file));
    wait_pids($file, 2);
    $_->start(1, $bridge->params('hello')) for @c[1 .. 7];
    my $ended = sub { return scalar grep { $_->fill; $_->{req}{1}{end} } @c[1 .. 7] };
    ok(wait_until(slow(1), sub { $ended->() == 5 }), 'five are answered at once');
    my ($served, $refused) = (0, 0);
    for my $c (@c[1 .. 7]) {
        $c->wait_end(1);
        my $r = FastCGI::response($c->{req}{1});
        $served++ if $r->{body} eq "hello\n";
        next if $r->{status} != 503;
        $refused++;
        ok($r->{header}{'retry-after'}, 'Retry-After');
    }
    is($served, 2, 'two wait and are served');
    is($refused, 5, 'the others are refused');
    ok($bridge->wait_for_log(qr/503: --max-scripts are running and --queue requests wait/, 5),
        'the log says why');
    $c[0]->wait_end(1);
    is(body_of($c[0]), "slept\n", 'who ran is served');
    $bridge->stop;
};

on_both '--queue-timeout' => sub ($kind) {
    my $bridge = Bridge->start(args => [ '-m', '1', '--queue-timeout', '300ms' ]);
    my $file = file();
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('sleeper', QUERY_STRING => 2, TEST_PIDS => $file));
    wait_pids($file, 2);
    my $r = $bridge->get($kind, 'hello');
    is(FastCGI::status($r), 503, '503');
    cmp_ok($r->{total}, '>', 0.25, 'not before that time');
    cmp_ok($r->{total}, '<', slow(1.5), 'nor much later');
    ok($bridge->wait_for_log(qr/503: no script slot became free within --queue-timeout/, 5),
        'the log says why');
    $c->wait_end(1);
    is(FastCGI::body($bridge->get($kind, 'hello')), "hello\n", 'then others are served again');
    $bridge->stop;
};

on_both 'a kept connection takes a slot that another worker gives back' => sub ($kind) {
    my $bridge = Bridge->start(workers => 2, args => [ '-m', '1' ]);
    my %at = one_each($bridge, $kind, 2);
    is(scalar keys %at, 2, 'a connection to each worker') or return;
    for my $pair ([ values %at ], [ reverse values %at ]) {
        my ($busy, $waits) = @$pair;
        my $file = file();
        $busy->start(1, $bridge->params('sleeper', QUERY_STRING => 1, TEST_PIDS => $file),
            keep => 1);
        wait_pids($file, 2);
        my $since = time;
        $waits->start(1, $bridge->params('hello'), keep => 1);
        $waits->wait_end(1);
        my $waited = time - $since;
        $busy->wait_end(1);
        is(body_of($waits), "hello\n", 'it is served');
        cmp_ok($waited, '>', 0.5, 'after it has waited');
        cmp_ok($waited, '<', slow(2), 'as soon as the other worker\'s script has ended');
    }
    $bridge->stop;
};

on_both 'a worker whose scripts fill all slots but one' => sub ($kind) {
    my $bridge = Bridge->start(workers => 2, args => [ '-m', '5' ]);
    my %at = one_each($bridge, $kind, 2);
    is(scalar keys %at, 2, 'a connection to each worker') or return;
    my ($full, $other) = values %at;
    my $file = file();
    $full->start($_, $bridge->params('sleeper', QUERY_STRING => 2, TEST_PIDS => $file), keep => 1)
        for 1 .. 4;
    wait_pids($file, 8);
    my $since = time;
    for my $c ($other, $full) {
        $c->start(9, $bridge->params('hello'), keep => 1);
        $c->wait_end(9);
        is(FastCGI::body($c->{req}{9}), "hello\n", 'the free slot is anybody\'s');
    }
    cmp_ok(time - $since, '<', slow(1), 'at once');
    $full->hang_up;
    $bridge->stop;
};

on_both 'who leaves while waiting is no longer in the queue' => sub ($kind) {
    my $bridge = Bridge->start(args => [ '-m', '1', '--queue', '1' ]);
    my ($file, $mark) = (file(), file());
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('sleeper', QUERY_STRING => 3, TEST_PIDS => $file));
    wait_pids($file, 2);
    my $leaver = $bridge->connect($kind);
    $leaver->start(1, $bridge->params('counted', QUERY_STRING => 0, TEST_MARK => $mark));
    ok(wait_until(5, sub { FastCGI::status($bridge->get($kind, 'hello')) == 503 }), 'it waits');
    $leaver->hang_up;
    ok($bridge->wait_for_log(qr/the client is gone/, 5), 'it leaves');
    my $r = $bridge->get($kind, 'hello', [], secs => 20);
    is(FastCGI::body($r), "hello\n", 'its place is another\'s');
    ok(!-e $mark, 'and its script was never started');
    $bridge->stop;
};

on_both 'the slots of a killed worker are free' => sub ($kind) {
    my $bridge = Bridge->start(workers => 2, args => [ '-m', '2' ]);
    my %at = one_each($bridge, $kind, 2);
    is(scalar keys %at, 2, 'a connection to each worker') or return;
    my ($dies, $lives) = keys %at;
    my $file = file();
    $at{$dies}->start($_, $bridge->params('sleeper', QUERY_STRING => 60, TEST_PIDS => $file),
        keep => 1) for 1, 2;
    my @pids = wait_pids($file, 4);
    my $mark = $bridge->mark;
    $at{$lives}->start(1, $bridge->params('hello'), keep => 1);
    sleep 0.3;
    ok(!$at{$lives}{req}{1}{end}, 'a request waits');
    kill 'KILL', $dies;
    $at{$lives}->wait_end(1, 10);
    is(body_of($at{$lives}), "hello\n", 'it gets its turn');
    is_deeply([ gone(5, @pids) ], [], 'the scripts of the dead are gone');
    $bridge->stop;
};

done_testing;

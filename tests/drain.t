#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Connections that are kept, when their worker drains: each request that has been sent by
# then is answered, and a client is told before its connection is closed.
use v5.36;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

# Connections of one worker, each of which has had an answer and is idle.
sub kept ($bridge, $kind, $n) {
    my @c = map { $bridge->connect($kind) } 1 .. $n;
    $_->start(1, $bridge->params('hello'), keep => 1) for @c;
    $_->wait_end(1) for @c;
    return @c;
}

# Asks again on a connection, without reading.
sub ask_again ($bridge, $c) {
    $c->expect(1);
    $c->send(FastCGI::request(1, $bridge->params('hello'), keep => 1), no_read => 1);
}

sub is_answered ($c) {
    my $r = eval { $c->wait_end(1) };
    return $r && FastCGI::body($r) eq "hello\n";
}

# More than the loop takes in a turn (256), so that most of them come after the signal.
on_both 'requests that are there when TERM is seen' => sub ($kind) {
    my $bridge = Bridge->start(args => [ '--max-scripts', 64, '--queue', 1000 ]);
    my ($worker) = $bridge->workers;
    my @c = kept($bridge, $kind, 600);
    kill 'STOP', $worker;
    wait_until(5, sub { slurp("/proc/$worker/stat") =~ /\) T / });
    kill 'TERM', $worker;
    ask_again($bridge, $_) for @c;
    kill 'CONT', $worker;
    is(scalar(grep { is_answered($_) } @c), 600, 'are all answered');
    is(scalar(grep { $_->wait_close eq 'eof' } @c), 600, 'then the connection is at its end');
    $_->hang_up for @c;
    $bridge->stop;
};

on_both 'a request soon after TERM' => sub ($kind) {
    my $bridge = Bridge->start;
    my ($c) = kept($bridge, $kind, 1);
    my ($worker) = $bridge->workers;
    $bridge->signal('TERM');
    $bridge->wait_for_log(qr/stop|TERM|drain/, 5);
    ask_again($bridge, $c);
    ok(is_answered($c), 'is answered');
    is($c->wait_close, 'eof', 'and is the last');
    $c->hang_up;
    is($bridge->wait_exit(10), 0, 'then the bridge ends');
};

on_both 'an idle connection' => sub ($kind) {
    my $bridge = Bridge->start;
    my ($c) = kept($bridge, $kind, 1);
    my $since = time;
    $bridge->signal('TERM');
    is($c->wait_close(10), 'eof', 'is at its end');
    cmp_ok(time - $since, '>', 0.4, 'after a moment');
    # only one side of it: a request that crosses is lost, but its client sees no error
    ask_again($bridge, $c);
    is($c->{send_error}, undef, 'what it sends is still read');
    $c->hang_up;
    is($bridge->wait_exit(10), 0, 'then the bridge ends');
};

on_both 'a client that never closes' => sub ($kind) {
    my $bridge = Bridge->start;
    my ($c) = kept($bridge, $kind, 1);
    my $since = time;
    $bridge->signal('TERM');
    is($bridge->wait_exit(10), 0, 'does not keep the bridge');
    cmp_ok(time - $since, '<', slow(5), 'for long');
    $c->hang_up;
};

on_both 'QUIT' => sub ($kind) {
    my $bridge = Bridge->start;
    my ($c) = kept($bridge, $kind, 1);
    my $since = time;
    $bridge->signal('QUIT');
    is($c->wait_close(10), 'eof', 'closes what is idle');
    is($bridge->wait_exit(10), 0, 'and ends');
    cmp_ok(time - $since, '<', slow(0.45), 'at once');
    $c->hang_up;
};

done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Clients that take their answer slowly: they are waited for as long as they take some of it.
use v5.36;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $limit = slow(1); # --idle-timeout, in seconds
my $bridge = Bridge->start(args => [ '--idle-timeout', int($limit * 1000) . 'ms',
    '--kill-delay', '1s', '--disconnect-grace', '0' ]);

# Eight megabytes that stay in script, bridge and sockets until the client takes them.
my $size = 8 << 20;
script('much', "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nexec head -c $size /dev/zero\n");

# A request for it whose client has not taken anything yet but the header.
sub start_much ($kind) {
    my $c = $bridge->connect($kind, rcvbuf => 4096);
    $c->send(FastCGI::request(1, $bridge->params('much')), no_read => 1);
    $c->expect(1);
    return $c;
}

on_both 'a client that takes a little at a time is waited for' => sub ($kind) {
    my $c = start_much($kind);
    my $mark = $bridge->mark;
    # less in that time than makes a unix socket writable again, more than its step of 64 KiB
    my ($since, $rate) = (time, 100_000 / $limit);
    while (time < $since + 4 * $limit && !$c->{closed}) {
        my $due = int($rate * (time - $since)) - ($c->{bytes_read} // 0);
        $c->fill($due) if $due > 0;
        sleep $limit / 20;
    }
    is($c->{closed}, undef, 'it is not cut');
    unlike($bridge->log_since($mark), qr/504/, 'the script is not stopped');
    $c->hang_up;
    ok($bridge->wait_for_log(qr/the client is gone: script stopped/, 5, from => $mark),
        'the script is stopped when its client is gone');
};

on_both 'a client that takes nothing is not' => sub ($kind) {
    my $mark = $bridge->mark;
    my $c = start_much($kind);
    my $since = time;
    ok($bridge->wait_for_log(qr/504: no byte in either direction for --idle-timeout/,
        3 * $limit / $FastCGI::slow, from => $mark), 'it is cut');
    cmp_ok(time - $since, '>', 0.9 * $limit, 'after the time');
    $c->hang_up;
};

scenario 'on a shared connection the progress of one is not that of another' => sub {
    my $mark = $bridge->mark;
    my $c = $bridge->connect('unix');
    my $silent = $c->start(1, $bridge->params('sleeper', QUERY_STRING => 60),
        keep => 1);
    my $ticks = $c->start(3, $bridge->params('ticker', QUERY_STRING => int 15 * $limit), keep => 1);
    $c->wait_end(1);
    is(FastCGI::status($silent), 504, 'the silent one is stopped');
    ok(!$ticks->{end}, 'while the other one goes on');
    $c->wait_end(3, 30);
    like(FastCGI::body($ticks), qr/^tick ${\int 15 * $limit}$/m, 'to its end');
    $c->hang_up;
};

$bridge->stop;
done_testing;

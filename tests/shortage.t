#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Not enough of something: descriptors, connections, memory.  Whoever can wait waits, the
# rest is answered 503, and the log says what to raise without being flooded.
use v5.36;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

sub few_files ($n) { return [ 'sh', '-c', "ulimit -n $n; exec \"\$@\"", 'sh' ] }

sub said_once ($bridge, $mark, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @all = $bridge->warnings($mark);
    is(scalar(grep { $_ =~ $what } @all), 1, 'the log says so, once') or diag(join "\n", @all);
}

on_both 'too few descriptors for all scripts at once' => sub ($kind) {
    my $bridge = Bridge->start(sockets => [$kind], prefix => few_files(48));
    my @workers = $bridge->workers;
    my $mark = $bridge->mark;
    my @c = map { $bridge->connect($kind) } 1 .. 12; # fewer than the limit of connections
    $_->start(1, $bridge->post('sleeper', 'a body', QUERY_STRING => 0.3), body => 'a body') for @c;
    $_->wait_end(1, 20) for @c;
    my @other = grep { FastCGI::body($_->{req}{1}) ne "slept\n" } @c;
    is(scalar @other, 0, 'all are served in the end');
    said_once($bridge, $mark, qr/no descriptors for another script: Too many open files: requests wait for one to end \(raise /);
    is_deeply([ $bridge->workers ], \@workers, 'by the same worker');
    $bridge->stop;
};

on_both 'requests wait no longer than --queue-timeout' => sub ($kind) {
    my $bridge = Bridge->start(sockets => [$kind], prefix => few_files(48),
        args => [ '--queue-timeout', '300ms' ]);
    my @c = map { $bridge->connect($kind) } 1 .. 12;
    $_->start(1, $bridge->params('sleeper', QUERY_STRING => 2)) for @c;
    $_->wait_end(1, 20) for @c;
    my %n;
    $n{ FastCGI::status($_->{req}{1}) }++ for @c;
    ok($n{200} && $n{503}, 'some run, the others get 503') or diag(explain(\%n));
    is($n{200} + $n{503}, 12, 'and each an answer');
    is(FastCGI::body($bridge->get($kind, 'hello')), "hello\n", 'then all is as before');
    $bridge->stop;
};

on_both 'the limit of connections is said once' => sub ($kind) {
    my $bridge = Bridge->start(sockets => [$kind], prefix => few_files(48));
    my $mark = $bridge->mark;
    my @c = map { $bridge->connect($kind) } 1 .. 30; # more than may be accepted
    $_->start(1, $bridge->params('hello')) for @c;
    $_->wait_end(1, 20) for @c; # as some end others are let in, up to the limit each time
    is(scalar(grep { FastCGI::body($_->{req}{1}) eq "hello\n" } @c), 30, 'all are served');
    said_once($bridge, $mark, qr/\d connections, all that the limit of open files leaves room for/);
    $bridge->stop;
};

done_testing;

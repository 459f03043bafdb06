#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Caddy: the cases of FrontEndCases.
use v5.36;
use Test::More;
use Bridge;
use FrontEnd;
use FrontEndCases;

is_program(qw(caddy caddy));

my %cannot = (
    ticks => 'only with flush_interval -1',
    cut => 'it takes the end of the connection for the end of the answer',
    kept => 'it opens a connection for each request',
    silent => 'it looks at its client only when it has something to send',
);

test_front_end(Caddy => [
    { name => 'Caddy, unix', start => 'caddy', cannot => \%cannot, edit => sub { by_unix() } },
    { name => 'Caddy, tcp, unbuffered', start => 'caddy',
        cannot => { map { $_ => $cannot{$_} } qw(cut kept silent) }, edit => sub {
            FrontEnd::swap('unix//run/cgibridge.sock', $FrontEndCases::tcp);
            FrontEnd::swap('#flush_interval', 'flush_interval') } },
]);
done_testing;

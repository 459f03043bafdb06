#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# HAProxy: the cases of FrontEndCases.
use v5.36;
use Test::More;
use Bridge;
use FrontEnd;
use FrontEndCases;

is_program(qw(haproxy haproxy));

# a body of unknown length is in one piece, if it fits its buffer of 16 KiB
my %way = (start => 'haproxy', chunked => 400, chunked_from => 15_000, cannot => {
    limit => 'it has none; the bridge has --max-body, for bodies of unknown length',
    silent => 'it looks at its client only in an upload, or when it has something to send',
    chunked => 'it takes what fits its buffer of 16 KB, and answers 400 to more' });

test_front_end(HAProxy => [
    { %way, name => 'HAProxy, unix', edit => sub { by_unix() } },
    { %way, name => 'HAProxy, tcp, many requests at once on a connection', edit => sub {
        FrontEnd::swap('unix@/run/cgibridge.sock', $FrontEndCases::tcp);
        FrontEnd::swap('#option m', 'option m') } },
]);
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# h2o: the cases of FrontEndCases.
use v5.36;
use Test::More;
use Bridge;
use FrontEnd;
use FrontEndCases;

is_program('h2o', 'h2o');

my %way = (start => 'h2o', closes => 1, cannot => {
    kept => 'not in the file of contrib/: h2o 2.2.5 may crash with fastcgi.timeout.keepalive',
    upload => 'it takes the whole upload first',
    silent => 'it looks at its client only when it has something to send',
    cut => 'it takes the end of the connection for the end of the answer',
});

test_front_end(h2o => [
    { %way, name => 'h2o, unix', edit => \&by_unix },
    { %way, name => 'h2o, tcp', edit => sub {
        my ($host, $port) = split /:/, $FrontEndCases::tcp;
        FrontEnd::swap('port: /run/cgibridge.sock', "host: $host\n          port: $port");
        FrontEnd::swap('type: unix', 'type: tcp') } },
]);
done_testing;

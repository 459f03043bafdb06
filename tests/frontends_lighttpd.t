#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# lighttpd: the cases of FrontEndCases, and an authorizer.
use v5.36;
use Test::More;
use Bridge;
use FrontEnd;
use FrontEndCases;

is_program(qw(lighttpd lighttpd));

my %cannot = (
    redirect => 'a 302 for a script that has an alias, not below DOCUMENT_ROOT',
    kept => 'it opens a connection for each request',
    upload => 'only with server.stream-request-body',
);
my %streaming = map { $_ => $cannot{$_} } qw(redirect kept);

test_front_end(lighttpd => [
    { name => 'lighttpd, unix', start => 'lighttpd', cannot => \%cannot, edit => sub { by_unix() } },
    { name => 'lighttpd, tcp, streaming', start => 'lighttpd', edit => sub {
        my ($host, $port) = split /:/, $FrontEndCases::tcp;
        FrontEnd::swap('"socket" => "/run/cgibridge.sock"', qq{"host" => "$host", "port" => $port});
        FrontEnd::swap('stream-response-body = 1', 'stream-response-body = 2');
        FrontEnd::swap('#server.stream', 'server.stream') },
        # its mod_fastcgi sends no body of unknown length, so when streaming it wants a length
        cannot => { %streaming, chunked => 'streaming' }, chunked => 411, chunked_from => 0,
        closes => 1 },
], more => sub ($result) {
    $result->{'an authorizer, FastCGI role 2'} = test_authorizer(
        { name => 'lighttpd, authorizer', start => 'lighttpd', edit => sub {
            with_authorizer('lighttpd/authorizer.conf');
            by_unix() },
            logs => qr/establishing connection failed|all handlers for/ });
});
done_testing;

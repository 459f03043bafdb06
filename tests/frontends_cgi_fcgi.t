#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# cgi-fcgi, which a web server runs as a CGI script: those cases of FrontEndCases that do not
# need a server, and exit statuses.
use v5.36;
use Test::More;
use Bridge;
use FrontEnd;
use FrontEndCases;

is_program(qw(cgi-fcgi libfcgi-bin));

sub passes_exit ($kind) {
    return scenario "cgi-fcgi, $kind: its exit status is the script's" => sub {
        my $r = ask(GET => 'hello');
        is("$r->{status} $r->{content} $r->{exit}", "200 hello\n 0", 'a script that is well');
        for my $n (0, 1, 3, 255) {
            $r = ask(GET => "exits?$n");
            is("$r->{content} $r->{exit}", "exit $n\n $n", "exit status $n");
        }
        $r = ask(GET => 'silent?3');
        is("$r->{status} $r->{exit}", '500 3', 'no output: 500');
        $r = ask(GET => 'complains');
        is("$r->{content}$r->{err}", "fine\n", 'stderr is not in it');
    };
}

my %way = (start => 'cgi_fcgi', program => 1);

test_front_end('cgi-fcgi' => [
    { %way, name => 'cgi-fcgi, unix', edit => sub { $FrontEndCases::socket } },
    { %way, name => 'cgi-fcgi, tcp', edit => sub { $FrontEndCases::tcp } },
], more => sub ($result) {
    $result->{'the exit status is the script\'s'} = passes_exit('tcp') ? 'yes' : 'failed';
});
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Shows the environment a CGI script gets (RFC 3875, section 4.1), as a table to
# a browser and as text to others.  Everything in it that came from the client is
# escaped before it goes back.
use strict;
use warnings;

sub as_text {
    my ($name, $value) = @_;
    $value =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    return sprintf "%-24s %s\n", $name, $value;
}

sub as_html {
    my %entity = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;', '"' => '&quot;');
    my ($name, $value) = map { s/([&<>"])/$entity{$1}/gr } @_;
    return "<tr><th align=left>$name<td>$value\n";
}

my $html = ($ENV{HTTP_ACCEPT} // '') =~ m{text/html};
my @rows = map { $html ? as_html($_, $ENV{$_}) : as_text($_, $ENV{$_}) } sort keys %ENV;

print 'Content-Type: ', $html ? 'text/html' : 'text/plain', "; charset=utf-8\n\n";
print "<!DOCTYPE html><title>CGI environment</title>\n<table>\n" if $html;
print @rows;
print "</table>\n" if $html;

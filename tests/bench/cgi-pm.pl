#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# cgi-pm.pl: a small page as many are made, with CGI.pm.
use strict;
use warnings;
use CGI;

my $q = CGI->new;
my $name = $q->param('name') // 'world';
print $q->header('text/html'), $q->start_html('Hello'), $q->h1('Hello, ' . $q->escapeHTML($name)),
    $q->end_html, "\n";

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# bare.pl: a script that loads nothing, so that only perl's own start can be saved.
use strict;

print "Content-Type: text/plain\r\n\r\nHello, world\n";

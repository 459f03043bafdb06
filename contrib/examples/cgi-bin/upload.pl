#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Takes what is sent with POST or PUT, of any size, and answers with its length
# and checksum.  It reads to the end of its input, which the bridge puts after
# CONTENT_LENGTH bytes, in pieces: memory does not grow with the upload.
use strict;
use warnings;
use Digest::SHA;

my $method = $ENV{REQUEST_METHOD} // '';
if ($method ne 'POST' && $method ne 'PUT') {
    print "Status: 405 Method Not Allowed\nAllow: POST, PUT\n";
    print "Content-Type: text/plain\n\nPOST or PUT something.\n";
    exit;
}

my $sha    = Digest::SHA->new(256);
my $length = 0;
binmode STDIN;
while (read STDIN, my $piece, 65536) {
    $sha->add($piece);
    $length += length $piece;
}

print "Content-Type: text/plain\n\n";
print "$length bytes, SHA-256 ", $sha->hexdigest, "\n";

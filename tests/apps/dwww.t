#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# dwww: the documentation of this machine.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $app = Recipe->serve('dwww');
my $url = '/cgi-bin/dwww';

scenario 'pages' => sub {
    $app->answers($url, 200, qr/dwww/i, '-L');
    $app->answers("$url/usr/share/doc/dwww/README?type=file", 200, qr/boldly go/, '-L');
    $app->answers("$url/usr/share/doc/dwww/?type=dir", 200, qr/README/, '-L');
    $app->answers("$url?type=runman&location=cat/1", 200, qr/cat|concatenate/, '-L');
    my $r = $app->get("$url/etc/shadow?type=file", '-L');
    unlike($r->{body}, qr/^root:/m, 'a path that is not for the web');
};

$app->stop(errors => 1);
done_testing;

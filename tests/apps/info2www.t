#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# info2www: info pages.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $app = Recipe->serve('info2www');

scenario 'nodes' => sub {
    $app->answers('/cgi-bin/info2www?(sed)Top', 200, [ qr/stream editor/i, qr{\(sed\)\w+} ], '-g');
    $app->answers('/cgi-bin/info2www?(sed)Overview', 200, qr/stdin|standard input|pipeline/i);
    $app->answers('/cgi-bin/info2www?(none-such)Top', 200, qr/not found|couldn't find|No such|Could not|cannot/i);
    is($app->answers('/info2www/infodoc.png', 200, [])->{type}, 'image/png', 'an icon');
};

$app->stop;
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Xymon: one program under many names.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $app = Recipe->serve('xymon');

scenario 'pages' => sub {
    $app->answers('/xymon-cgi/findhost.sh', 200, qr/find host|<form/i);
    $app->answers('/xymon-cgi/datepage.sh?type=day', 200, qr/<form|calendar|date/i);
    my $r = $app->get('/xymon-cgi/svcstatus.sh?HOST=none&SERVICE=none');
    like($r->{body}, qr/html/i, 'a host that is not there');
};

$app->stop(errors => 1);
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Squid: the form of its cache manager.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $app = Recipe->serve('squid-cachemgr');
my $url = '/cgi-bin/cachemgr.cgi';

scenario 'pages' => sub {
    $app->answers($url, 200, qr/<form/i);
    my $port = free_port();
    $app->answers($url, 200, qr/refused|error/i, '-d', "host=localhost&port=$port&operation=menu");
    $app->answers("$url?host=192.0.2.1&port=3128&operation=menu", 200, qr/not allowed/i);
};

$app->stop;
done_testing;

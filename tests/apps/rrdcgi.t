#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# rrdcgi: a page with a graph.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/scripts";
mkdir $dir;
must_run([ 'rrdtool', 'create', "$dir/load.rrd", '--start', 999999900, '--step', 300,
    'DS:load:GAUGE:600:0:U', 'RRA:AVERAGE:0.5:1:20' ]);
must_run([ 'rrdtool', 'update', "$dir/load.rrd", map { 1_000_000_000 + 300 * $_ . ":$_" } 1 .. 10 ]);
spew("$dir/load.cgi", Recipe->read('rrdcgi')->shown('/srv/cgi/load.cgi', '/srv/cgi' => $dir), 0755);
give($dir);
my $app = Recipe->serve('rrdcgi', { '/srv/cgi' => $dir },
    server => "location /graphs/ { alias $dir/; }");

scenario 'a page' => sub {
    my $r = $app->answers('/cgi/load.cgi?since=noon', 200, [ qr{Since "noon"}, qr{<img src="/cgi/load\.png"} ]);
    is($r->{type}, 'text/html', 'its type');
    like(slurp("$dir/load.png"), qr/\A\x89PNG\r\n/, 'the graph is a PNG');
    $app->answers('/cgi/load.cgi', 200, qr{Since "dawn"}, '-d', 'since=dawn');
    is($app->answers('/graphs/load.png', 200, [])->{type}, 'image/png', 'and is served');
};

$app->stop;
done_testing;

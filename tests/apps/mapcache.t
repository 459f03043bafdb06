#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# MapCache: a tile.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
mkdir "$tmp/cache";
give("$tmp/cache");
my $config = spew("$tmp/mapcache.xml", Recipe->read('mapcache')->shown('/etc/mapcache.xml',
    '/var/cache/mapcache' => "$tmp/cache"), 0644);
my $app = Recipe->serve('mapcache', { '/etc/mapcache.xml' => $config });
my $url = '/cgi-bin/mapcache';

scenario 'tiles' => sub {
    $app->answers("$url/?SERVICE=WMS&REQUEST=GetCapabilities", 200, qr/<WMT_MS_Capabilities|<WMS_Cap/);
    for my $which ('made', 'from the cache') {
        my $r = $app->answers("$url/tms/1.0.0/plain\@WGS84/0/0/0.png", 200, qr/\A\x89PNG/);
        is($r->{type}, 'image/png', "a tile, $which");
        is(scalar(() = glob "$tmp/cache/plain/*"), 1, 'the cache has it');
    }
    isnt($app->get("$url/tms/1.0.0/none\@WGS84/0/0/0.png")->{code}, 200, 'a tileset that is not there');
};

$app->stop(errors => 1);
done_testing;

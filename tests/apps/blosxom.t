#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Blosxom: a blog.
use v5.36;
use POSIX qw(mktime);
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
mkdir $_ for "$tmp/data", "$tmp/etc";
spew("$tmp/data/first.txt", "First light\n<p>It is dawn.</p>\n", 0644);
spew("$tmp/data/second.txt", "Second thoughts\n<p>It is noon.</p>\n", 0644);
spew("$tmp/etc/blosxom.conf", Recipe->read('blosxom')->shown('/etc/blosxom/blosxom.conf',
    '/var/lib/blosxom/data' => "$tmp/data"), 0644);
# an entry's day is that of its file
utime +(mktime(0, 0, 12, 2, 0, 120)) x 2, glob "$tmp/data/*";
my $app = Recipe->serve('blosxom', { '/etc/blosxom' => "$tmp/etc" });
my $url = '/cgi-bin/blosxom';

scenario 'pages' => sub {
    $app->answers($url, 200, [ qr/A blog/, qr/First light/, qr/It is noon/ ]);
    my $r = $app->answers("$url/first.html", 200, qr/It is dawn/);
    unlike($r->{body}, qr/It is noon/, 'one entry');
    $app->answers("$url/2020/01/02", 200, qr/First light/);
    unlike($app->answers("$url/2020/01/03", 200, [])->{body}, qr/First light/, 'another day');
    $app->answers("$url/index.rss", 200, qr/<rss/);
    unlike($app->get("$url/third.html")->{body}, qr/It is/, 'one that is not there');
};

scenario 'preloaded' => sub {
    $app->same_preloaded($url, map { "$url/$_" } qw(first.html 2020/01/02 2020/01/03 index.rss third.html));
};

$app->stop(errors => 1);
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Xapian Omega: a search.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
mkdir $_ for "$tmp/data", "$tmp/docs";
spew("$tmp/docs/$_.html", "<html><title>About $_</title><p>All about $_.</html>") for qw(apples pears);
must_run([ 'omindex', '--db', "$tmp/data/default", '--url', '/', "$tmp/docs" ]);
my $config = spew("$tmp/omega.conf", Recipe->read('xapian-omega')->shown('/etc/omega.conf',
    '/var/lib/xapian-omega/data' => "$tmp/data"), 0644);
my $app = Recipe->serve('xapian-omega', { '/etc/omega.conf' => $config });
my $url = '/cgi-bin/omega/omega';

scenario 'queries' => sub {
    $app->answers($url, 200, qr/<form/i);
    $app->answers("$url?P=apples", 200, [ qr/About apples/, qr{href="/apples\.html"}i ]);
    unlike($app->answers("$url?P=apples", 200, [])->{body}, qr/About pears/, 'and no other');
    $app->answers($url, 200, qr/About pears/, '-d', 'P=pears');
    $app->answers("$url?P=pears&FMT=xml", 200, qr/<\?xml/);
    $app->answers("$url?P=plums", 200, qr/No documents|not found|matching/i);
    $app->answers("$url?P=pears&DB=none", 200, qr/exception|error|open/i);
};

$app->stop;
done_testing;

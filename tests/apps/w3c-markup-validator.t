#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# W3C's markup validator: pages that are valid and that are not.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $app = Recipe->serve('w3c-markup-validator');
my $url = '/w3c-validator/check';
my $page = '<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">'
    . "\n<html><head><title>t</title></head><body><p>t</p></body></html>\n";
spew("$tmp/good.html", $page);
spew("$tmp/bad.html", $page =~ s{<p>t</p>}{<p><nonsense>}r);

scenario 'pages' => sub {
    for my $part ([ 'good', 'Valid' ], [ 'bad', 'Invalid' ]) {
        my ($name, $status) = @$part;
        my $r = $app->answers($url, 200, qr{</html>}, '-F', "uploaded_file=\@$tmp/$name.html;type=text/html");
        like($r->{headers}, qr/^x-w3c-validator-status: $status\r?$/mi, "uploaded: $status");
        $r = $app->answers($url, 200, [], '--data-urlencode', "fragment\@$tmp/$name.html", '-d', 'output=json');
        like($r->{headers}, qr/^x-w3c-validator-status: $status\r?$/mi, "as text: $status");
        like($r->{body}, qr/"messages"/, 'in JSON');
    }
};

$app->stop;
done_testing;

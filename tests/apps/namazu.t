#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Namazu: a search.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/scripts";
mkdir $_ for $dir, "$tmp/docs", "$tmp/index";
spew("$tmp/docs/$_.html", "<html><title>About $_</title><p>All about $_.</html>", 0644) for qw(apples pears);
must_run([ 'mknmz', '-q', '-O', "$tmp/index", "$tmp/docs" ]);
symlink '/usr/lib/cgi-bin/namazu.cgi', "$dir/namazu.cgi" or die;
spew("$dir/.namazurc", "Index $tmp/index\n", 0644);
my $app = Recipe->serve('namazu', { '/srv/namazu' => $dir });
my $url = '/namazu/namazu.cgi';

scenario 'queries' => sub {
    $app->answers($url, 200, qr/<form/i);
    my $r = $app->answers("$url?query=apples", 200, qr{docs/apples\.html});
    unlike($r->{body}, qr{docs/pears}, 'and no other');
    unlike($app->answers("$url?query=plums", 200, [])->{body}, qr{docs/}, 'none');
};

$app->stop;
done_testing;

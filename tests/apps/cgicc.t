#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# cgicc: a compiled program.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/scripts";
mkdir $dir;
spew("$dir/form.cc", Recipe->read('cgicc')->shown('/srv/cgi/form.cc'));
must_run([ 'g++', '-o', "$dir/form.cgi", "$dir/form.cc", '-lcgicc' ], secs => 120);
my $app = Recipe->serve('cgicc', { '/srv/cgi' => $dir });

scenario 'form' => sub {
    $app->answers('/cgi/form.cgi?name=a+b', 200, qr/Hello a b/);
    $app->answers('/cgi/form.cgi', 200, qr/Hello c/, '-d', 'name=c');
    spew("$tmp/large", noise(20_000_000));
    $app->answers('/cgi/form.cgi', 200, [ qr/Hello d/, qr/large: 20000000/ ], '-F', 'name=d', '-F',
        "file=\@$tmp/large");
};

$app->stop;
done_testing;

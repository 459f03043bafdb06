#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Tcl: ncgi of tcllib.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/scripts";
mkdir $dir;
spew("$dir/form.tcl", Recipe->read('tcl')->shown('/srv/cgi/form.tcl'), 0755);
my $app = Recipe->serve('tcl', { '/srv/cgi' => $dir });

scenario 'form' => sub {
    $app->answers('/cgi/form.tcl?name=a%20b', 200, qr/^name a b$/m);
    $app->answers('/cgi/form.tcl', 200, qr/^name c d$/m, '-d', 'name=c+d');
    spew("$tmp/upload", 'x' x 200_000);
    my ($sum) = split ' ', must_run([ 'md5sum', "$tmp/upload" ]);
    $app->answers('/cgi/form.tcl', 200, [ qr/^name e$/m, qr/^file $sum$/m ], '-F', 'name=e', '-F',
        "file=\@$tmp/upload");
    my $r = $app->answers('/cgi/form.tcl?go=1', 302, []);
    like($r->{headers}, qr{^location: \S*/cgi/form\.tcl\?name=there}mi, 'a redirect');
    $app->answers('/cgi/form.tcl?fail=1', 500, []);
    like($app->{bridge}->log, qr/on purpose/, 'an error is in the log');
};

$app->stop;
done_testing;

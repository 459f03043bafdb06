#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Plack: PSGI under CGI.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/scripts";
mkdir $dir;
spew("$dir/app.psgi", Recipe->read('plack')->shown('/srv/cgi/app.psgi'), 0755);
my $app = Recipe->serve('plack', { '/srv/cgi' => $dir });

scenario 'an application' => sub {
    $app->answers('/cgi/app.psgi?name=a+b', 200, qr/^name=a b $/m);
    $app->answers('/cgi/app.psgi', 200, qr/^name=c $/m, '-d', 'name=c');
    spew("$tmp/large", noise(20_000_000));
    my ($sum) = split ' ', must_run([ 'md5sum', "$tmp/large" ]);
    $app->answers('/cgi/app.psgi', 200, qr/^name=d $sum$/m, '-F', 'name=d', '-F', "file=\@$tmp/large");
    $app->answers('/cgi/app.psgi?die=1', 500, []);
    like($app->{bridge}->log, qr/stderr: .*on purpose/, 'its last words are in the log');
};

$app->stop;
done_testing;

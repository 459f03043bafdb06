#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Lua: a script without modules.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/scripts";
mkdir $dir;
spew("$dir/form.lua", Recipe->read('lua')->shown('/srv/cgi/form.lua'), 0755);
my $app = Recipe->serve('lua', { '/srv/cgi' => $dir });

scenario 'form' => sub {
    $app->answers('/cgi/form.lua?name=a%20b', 200, qr/, name a b$/);
    $app->answers('/cgi/form.lua', 200, qr/^12 bytes, name c \+$/, '-d', 'name=c+%2b&x');
    spew("$tmp/large", 'name=d&' . 'x' x 20_000_000);
    $app->answers('/cgi/form.lua', 200, qr/^20000007 bytes, name d$/, '--data-binary', "\@$tmp/large");
    $app->answers('/cgi/form.lua?name=fail', 500, []);
    like($app->{bridge}->log, qr/on purpose/, 'an error is in the log');
};

$app->stop;
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# busybox: its shell, and a link by whose name it does something else.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/scripts";
mkdir $dir;
spew("$dir/form.sh", Recipe->read('busybox')->shown('/srv/cgi/form.sh'), 0755);
symlink '/bin/busybox', "$dir/printf" or die;
symlink '/usr/sbin/nginx', "$dir/outside" or die;
my $app = Recipe->serve('busybox', { '/srv/cgi' => $dir });

scenario 'scripts and links' => sub {
    $app->answers('/cgi/form.sh', 200, qr/^applet of form\.sh, GET$/m);
    $app->answers('/cgi/form.sh', 200, qr/^5d41402abc4b2a76b9719d911017c592 /m, '-d', 'hello');
    my $r = $app->answers('/cgi/printf?Content-Type:text/plain%5Cn%5Cn%25s-%25s+a+b', 200, qr/^a-b$/);
    is($r->{type}, 'text/plain', 'the applet printf made the header');
    $app->answers('/cgi/outside', 403, []);
};

$app->stop;
done_testing;

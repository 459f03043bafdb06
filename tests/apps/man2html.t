#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# man2html: manual pages.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $app = Recipe->serve('man2html');
my $man = '/cgi-bin/man/man2html';

scenario 'pages' => sub {
    $app->answers($man, 200, qr/Manual Pages/i);
    $app->answers("$man?git", 200, [ qr{<A HREF="/cgi-bin/man/man2html/usr/share/man/man1/git\.1\.gz">}, qr{</html>}i ]);
    $app->answers("$man/usr/share/man/man1/git.1.gz", 200, qr/stupid content tracker/);
    $app->answers("$man?1+git", 200, qr/stupid content tracker/);
    $app->answers('/cgi-bin/man/mansec?query=1', 200, qr/git/);
    $app->answers("$man?1+there-is-none", 404, qr/not found|no .*page/i);
};

$app->stop;
done_testing;

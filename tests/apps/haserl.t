#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# haserl: a form and an upload.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/scripts";
mkdir $dir;
spew("$dir/form.cgi", Recipe->read('haserl')->shown('/srv/cgi/form.cgi'), 0755);
spew("$dir/cookie.cgi", "#!/usr/bin/haserl\nContent-Type: text/plain\nSet-Cookie: a=b\n\n"
    . "cookie=<% echo -n \$COOKIE_a %>\n", 0755);
my $app = Recipe->serve('haserl', { '/srv/cgi' => $dir });

scenario 'form' => sub {
    $app->answers('/cgi/form.cgi?name=a+b', 200, [ qr/Hello a b/, qr/multipart/ ]);
    $app->answers('/cgi/form.cgi', 200, qr/Hello c/, '-d', 'name=c');
    my $r = $app->answers('/cgi/cookie.cgi', 200, qr/^cookie=x$/m, '-b', 'a=x');
    like($r->{headers}, qr/^set-cookie: a=b/mi, 'a cookie is set');
    spew("$tmp/large", noise(20_000_000));
    my ($sum) = split ' ', must_run([ 'md5sum', "$tmp/large" ]);
    $app->answers('/cgi/form.cgi', 200, qr/$sum/, '-F', "file=\@$tmp/large");
};

$app->stop;
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Ruby: CGI and CGI::Session.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/scripts";
mkdir $_ for $dir, "$tmp/sessions";
give("$tmp/sessions");
spew("$dir/app.rb", Recipe->read('ruby')->shown('/srv/cgi/app.rb', '/srv/sessions' => "$tmp/sessions"), 0755);
my $app = Recipe->serve('ruby', { '/srv/cgi' => $dir });

scenario 'parameters, session, upload' => sub {
    my $r = $app->answers('/cgi/app.rb?name=a%20b', 200, qr/^request 1, name a b$/m);
    my ($cookie) = $r->{headers} =~ /^set-cookie: ([^;\r]+)/mi;
    ok($cookie, 'a cookie is set');
    $app->answers('/cgi/app.rb', 200, qr/^request 2, name c d$/m, '-b', $cookie // '', '-d', 'name=c+d');
    $app->answers('/cgi/app.rb', 200, qr/^request 1,/m);
    spew("$tmp/large", noise(20_000_000));
    my ($sum) = split ' ', must_run([ 'md5sum', "$tmp/large" ]);
    $app->answers('/cgi/app.rb', 200, qr/^file $sum$/m, '-F', "file=\@$tmp/large");
};

scenario 'an exception' => sub {
    $app->answers('/cgi/app.rb?fail=yes', 500, []);
    like($app->{bridge}->log, qr/on purpose \(RuntimeError\)/, 'is in the log');
};

$app->stop;
done_testing;

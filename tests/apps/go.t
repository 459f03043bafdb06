#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Go: net/http/cgi.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/scripts";
mkdir $_ for $dir, "$tmp/home";
my $source = spew("$dir/app.go", Recipe->read('go')->shown('/srv/cgi/app.go', '/srv/cgi' => $dir), 0644);
# the first one compiles Go's library
must_run([ 'go', 'build', '-o', "$dir/app", $source ], env => { HOME => "$tmp/home",
    GO111MODULE => 'off' }, secs => 300);
my $app = Recipe->serve('go', { '/srv/cgi' => $dir });

scenario 'methods and bodies' => sub {
    $app->answers('/cgi/app', 200, qr/^GET 0 d41d8cd9/);
    $app->answers('/cgi/app', 200, qr/^DELETE 0 /, '-X', 'DELETE');
    spew("$tmp/large", noise(20_000_000));
    my ($sum) = split ' ', must_run([ 'md5sum', "$tmp/large" ]);
    my @body = ('-H', 'Content-Type: application/octet-stream', '--data-binary', "\@$tmp/large");
    $app->answers('/cgi/app', 200, qr/^POST 20000000 $sum$/, @body);
    $app->answers('/cgi/app', 200, qr/^POST 20000000 $sum$/, @body, '-H', 'Transfer-Encoding: chunked');
};

scenario 'a file' => sub {
    is($app->answers('/cgi/app/file', 200, [])->{body}, slurp($source), 'whole');
    is($app->answers('/cgi/app/file', 206, [], '-r', '8-11')->{body}, 'main', 'a part');
    my $r = $app->answers('/cgi/app/file', 200, qr/\A\z/, '-X', 'HEAD', '-I', '-o', '/dev/null');
    my ($date) = $r->{headers} =~ /^last-modified: (.*?)\r?$/mi;
    ok($date, 'HEAD has its time');
    $app->answers('/cgi/app/file', 304, [], '-H', "If-Modified-Since: $date");
};

scenario 'other answers' => sub {
    my $r = $app->answers('/cgi/app/moved', 303, []);
    like($r->{headers}, qr{^location: (?:http://\S+)?/cgi/app\r?$}mi, 'a redirect');
    $app->answers('/cgi/app/none', 404, qr/404 page not found/);
    $app->answers('/cgi/app/panic', 500, []);
    like($app->{bridge}->log, qr/on purpose/, 'a panic is in the log');
};

$app->stop;
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Mailgraph: graphs of a log of Postfix.
use v5.36;
use File::Path ();
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
# it looks nowhere else
my $data = '/var/lib/mailgraph';
if (glob "$data/*.rrd") {
    undef $data;
    BAIL_OUT('mailgraph has data of its own here');
}
END { File::Path::remove_tree($data, { keep_root => 1 }) if $data }

my @months = qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec);
my $log = spew("$tmp/mail.log", join('', map {
    my ($sec, $min, $hour, $day, $month) = localtime(time - 60 * $_);
    sprintf "%s %2d %02d:%02d:%02d mail postfix/smtp[7]: A%d: to=<a\@example.org>, relay=b, "
        . "status=sent (250 ok)\n", $months[$month], $day, $hour, $min, $sec, $_;
} reverse 1 .. 60), 0644);
must_run([ 'mailgraph', '--cat', '-l', $log, "--daemon-rrd=$data" ]);
give(glob "$data/*");
my $app = Recipe->serve('mailgraph');
my $url = '/mailgraph/mailgraph.cgi';

scenario 'pages' => sub {
    my $r = $app->answers($url, 200, qr/Mail statistics/i);
    my ($image) = $r->{body} =~ /src="[^"?]*\?(\d+-n)"/;
    ok($image, 'it has graphs');
    is($app->answers("$url?$image", 200, qr/\A\x89PNG/)->{type}, 'image/png', 'a graph') if $image;
};

$app->stop(errors => 1);
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# awstats: statistics of a log, updated from the browser.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();

# awstats looks nowhere else
my $site = "cgibridge-test-$$";
my $config = "/etc/awstats/awstats.$site.conf";
END { unlink $config if $config }

mkdir "$tmp/data";
my ($day, $month, $year) = (localtime)[ 3 .. 5 ];
my $date = sprintf '%02d/%s/%d:00:00', $day,
    (qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec))[$month], 1900 + $year;
spew("$tmp/access.log", join('', map {
    sprintf "192.0.2.%d - - [%s:%02d +0000] \"GET /page-%d.html HTTP/1.1\" 200 1234 \"-\" "
        . "\"Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Gecko/20100101 Firefox/102.0\"\n",
        $_, $date, $_, $_ % 5
} 1 .. 50), 0644);
give("$tmp/data");
spew($config, Recipe->read('awstats')->shown('/etc/awstats/awstats.www.example.org.conf',
    '/var/log/nginx/access.log' => "$tmp/access.log", '/var/lib/awstats' => "$tmp/data"), 0644);

my $app = Recipe->serve('awstats');
my $page = "/cgi-bin/awstats.pl?config=$site";

scenario 'statistics' => sub {
    $app->answers("$page&update=1&framename=mainright", 200, [ qr/Statistics/, qr/192\.0\.2\.\d/, qr{</html>} ]);
    ok((glob "$tmp/data/*")[0], 'its data is there');
    $app->answers($page, 200, qr/<frame name="mainleft"/);
    $app->answers("$page&framename=mainright", 200, qr/page-3\.html/);
    $app->answers("$page&output=allhosts", 200, qr/192\.0\.2\.50/);
    $app->answers("$page&output=urldetail", 200, qr/page-4\.html/);
    $app->answers('/cgi-bin/awstats.pl?config=none', 200, qr/Error/);
    is($app->answers('/awstats-icon/os/linux.png', 200, [])->{type}, 'image/png', 'an icon');
};

scenario 'preloaded' => sub {
    $app->same_preloaded($page, map { "$page&$_" } qw(framename=mainright framename=mainleft
        output=allhosts output=urldetail));
};

$app->stop;
done_testing;

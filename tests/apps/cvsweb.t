#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# CVSweb: a repository.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/scripts";
mkdir $_ for $dir, "$tmp/cvs", "$tmp/import";
my @cvs = ('cvs', '-Q', '-d', "$tmp/cvs");
must_run([ @cvs, 'init' ]);
spew("$tmp/import/hello.c", "/* one */\n");
must_run([ @cvs, 'import', '-m', 'first light', 'demo', 'vendor', 'start' ], cwd => "$tmp/import");
must_run([ @cvs, 'checkout', 'demo' ], cwd => $tmp);
spew("$tmp/demo/hello.c", "/* one */\n/* two */\n");
must_run([ @cvs, 'commit', '-m', 'second thoughts' ], cwd => "$tmp/demo");
give("$tmp/cvs");
symlink '/usr/lib/cgi-bin/cvsweb', "$dir/cvsweb" or die;
spew("$dir/cvsweb.conf", Recipe->read('cvsweb')->shown('/srv/cgi/cvsweb.conf', '/var/lib/cvs' => "$tmp/cvs"), 0644);
my $app = Recipe->serve('cvsweb', { '/srv/cgi' => $dir });
my $url = '/cgi/cvsweb';

scenario 'pages' => sub {
    $app->answers("$url/", 200, qr/demo/);
    $app->answers("$url/demo/", 200, qr/hello\.c/);
    $app->answers("$url/demo/hello.c", 200, [ qr/second thoughts/, qr/first light/ ]);
    $app->answers("$url/demo/hello.c?rev=1.2;content-type=text%2Fx-cvsweb-markup", 200, qr/two/);
    my $r = $app->answers("$url/~checkout~/demo/hello.c?rev=1.1", 200, qr{\A/\* one \*/\n\z});
    like($r->{type}, qr{^text/}, 'as it is');
    $app->answers("$url/demo/hello.c.diff?r1=1.1;r2=1.2", 200, qr/two/);
    $app->answers("$url/demo/hello.c?annotate=1.2", 200, qr/two/);
    isnt($app->get("$url/demo/none.c")->{code}, 200, 'a file that is not there');
};

$app->stop(errors => 1);
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# cgit: each kind of page that it makes.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();

demo_repository();

my $recipe = Recipe->read('cgit');
spew("$tmp/cgitrc", $recipe->shown('/etc/cgitrc', '/srv/git' => "$tmp/srv"), 0644);
my $app = Recipe->serve('cgit', { '/etc/cgitrc' => "$tmp/cgitrc" });

scenario 'pages' => sub {
    my $demo = '/cgit/demo.git';
    $app->answers('/cgit/', 200, [ qr/demo\.git/, qr{</html>} ]);
    $app->answers("$demo/", 200, [ qr/second thoughts/, qr{</html>} ]);
    $app->answers("$demo/log/", 200, [ qr/first light/, qr/Anna/ ]);
    $app->answers("$demo/log/?qt=grep&q=light", 200, qr/first light/);
    $app->answers("$demo/tree/", 200, qr/hello\.txt/);
    is($app->answers("$demo/plain/hello.txt", 200, [])->{body}, "one\ntwo\nthree\n", 'a plain file');
    $app->answers("$demo/diff/", 200, qr/\+three/);
    $app->answers("$demo/patch/", 200, qr/^Subject: second thoughts$/m);
    like($app->answers("$demo/atom/?h=main", 200, qr{</feed>})->{type}, qr{^application/atom\+xml|^text/xml}, 'a feed');
    $app->answers('/cgit/none.git/', 404, qr/No repositories found|none\.git/);
    $app->answers('/cgit-css/cgit.css', 200, qr/#cgit/);
    my $r = $app->answers("$demo/log/", 200, [], '-I');
    unlike($r->{body}, qr/<html/, 'HEAD: no body');
};

scenario 'a snapshot' => sub {
    my $r = $app->answers('/cgit/demo.git/snapshot/demo-main.tar.gz', 200, []);
    spew("$tmp/snapshot.tar.gz", $r->{body});
    is(must_run([ 'tar', '-xzOf', "$tmp/snapshot.tar.gz", 'demo-main/hello.txt' ]),
        "one\ntwo\nthree\n", 'has the file');
};

$app->stop;
done_testing;

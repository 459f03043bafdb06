#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# hgweb: pages, clone, push.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $srv = "$tmp/srv";
mkdir $_ for $srv, "$srv/repos", "$tmp/home";
my $recipe = Recipe->read('hgweb');
my %swap = ('/srv/hg' => $srv);
spew("$srv/hgweb.cgi", $recipe->shown('/srv/hg/hgweb.cgi', %swap), 0755);
spew("$srv/hgweb.config", $recipe->shown('/srv/hg/hgweb.config', %swap), 0644);

sub hg (@argv) {
    return must_run([ 'hg', '-y', '--config', 'ui.username=Anna <a@example.org>', @argv ],
        env => { HOME => "$tmp/home", HGRCPATH => '' });
}

hg('init', "$tmp/tree");
spew("$tmp/tree/hello.txt", "one\n");
hg('-R', "$tmp/tree", 'commit', '-A', '-m', 'first light');
hg('clone', '-U', "$tmp/tree", "$srv/repos/demo");
give($srv);
my $app = Recipe->serve('hgweb', \%swap);

scenario 'pages' => sub {
    $app->answers('/hg/', 200, [ qr{/hg/demo/}, qr{</html>} ]);
    $app->answers('/hg/demo/', 200, qr/first light/);
    is($app->answers('/hg/demo/raw-file/tip/hello.txt', 200, [])->{body}, "one\n", 'a file');
    $app->answers('/hg/demo/archive/tip.tar.gz', 200, qr/\A\x1f\x8b/);
    $app->answers('/hg/static/style-paper.css', 200, qr/body/);
    $app->answers('/hg/none/', 404, []);
};

scenario 'preloaded' => sub {
    $app->same_preloaded('/hg/', '/hg/demo/', '/hg/demo/raw-file/tip/hello.txt',
        '/hg/demo/file/tip', '/hg/none/');
};

scenario 'clone and push' => sub {
    hg('clone', $app->url('/hg/demo'), "$tmp/clone");
    must_run([ '/bin/sh', '-c', "head -c 10000000 /dev/urandom >$tmp/clone/large" ]);
    hg('-R', "$tmp/clone", 'commit', '-A', '-m', 'large');
    hg('-R', "$tmp/clone", 'push');
    hg('clone', $app->url('/hg/demo'), "$tmp/again");
    must_run([ 'cmp', "$tmp/clone/large", "$tmp/again/large" ]);
    pass('a clone has what was pushed');
};

$app->stop;
done_testing;

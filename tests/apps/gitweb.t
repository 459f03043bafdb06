#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# gitweb: each kind of page that it makes; its symbolic link and -r.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();

demo_repository();

my $recipe = Recipe->read('gitweb');
spew("$tmp/gitweb.conf", $recipe->shown('/etc/gitweb.conf', '/srv/git' => "$tmp/srv"), 0644);
my %swap = ('/etc/gitweb.conf' => "$tmp/gitweb.conf");
my $app = Recipe->serve('gitweb', \%swap);
my $demo = '/gitweb/?p=demo.git';

scenario 'pages' => sub {
    $app->answers('/gitweb/', 200, [ qr/demo\.git/, qr{</html>} ]);
    $app->answers($demo, 200, [ qr/second thoughts/, qr{</html>} ]);
    $app->answers('/gitweb/demo.git/log', 200, qr/first light/);
    $app->answers("$demo;a=tree", 200, qr/hello\.txt/);
    is($app->answers("$demo;a=blob_plain;f=hello.txt", 200, [])->{body}, "one\ntwo\nthree\n",
        'a plain file');
    $app->answers("$demo;a=blame;f=hello.txt", 200, qr/three/);
    $app->answers("$demo;a=search;s=light", 200, qr/first/);
    like($app->answers("$demo;a=atom", 200, qr{</feed>})->{type}, qr{^application/atom\+xml}, 'a feed');
    $app->answers("$demo;a=nothing", 400, qr{Invalid action parameter});
    $app->answers('/gitweb/?p=none.git', 404, qr/No such project/);
    $app->answers('/gitweb/static/gitweb.css', 200, qr/body/);
    unlike($app->answers($demo, 200, [], '-I')->{body}, qr/<html/, 'HEAD: no body');
};

scenario 'a snapshot' => sub {
    my $r = $app->answers("$demo;a=snapshot;h=HEAD;sf=tgz", 200, []);
    spew("$tmp/snapshot.tar.gz", $r->{body});
    like(must_run([ 'tar', '-xzOf', "$tmp/snapshot.tar.gz", '--wildcards', '*/hello.txt' ]),
        qr/\Aone\ntwo\nthree\n\z/, 'has the file');
};

scenario 'preloaded' => sub {
    $app->same_preloaded('/gitweb/', $demo, "$demo;a=tree", "$demo;a=blob_plain;f=hello.txt",
        "$demo;a=blame;f=hello.txt", "$demo;a=atom", "$demo;a=nothing", '/gitweb/?p=none.git');
};

# Debian's link in /usr/lib/cgi-bin leads out of that directory.
scenario 'the symbolic link' => sub {
    for my $part ([ [ '/usr/lib/cgi-bin' ], 403 ], [ [ '/usr/lib/cgi-bin', '/usr/share/gitweb' ], 200 ]) {
        my ($roots, $status) = @$part;
        my $bridge = Bridge->start(sockets => ['unix'], args => [ map { ('-r', $_) } @$roots ]);
        my $r = FastCGI->ask($bridge->url('unix'), $bridge->params('',
            SCRIPT_FILENAME => '/usr/lib/cgi-bin/gitweb.cgi', GITWEB_CONFIG => "$tmp/gitweb.conf"));
        is(FastCGI::status($r), $status, "-r @$roots: $status");
        $bridge->stop;
    }
};

$app->stop;
done_testing;

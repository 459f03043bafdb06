#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# fossil: pages, clone, push.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $srv = "$tmp/srv";
mkdir $_ for $srv, "$tmp/home", "$tmp/tree";
my %env = (HOME => "$tmp/home", USER => 'anna');

sub fossil (@argv) { return must_run([ 'fossil', @argv ], env => \%env, cwd => "$tmp/tree") }

fossil('init', '-A', 'anna', "$srv/demo.fossil");
fossil('user', 'password', 'anna', 'secret', '-R', "$srv/demo.fossil");
fossil('settings', 'autosync', 'off', '--global');
spew("$srv/fossil.cgi", Recipe->read('fossil')->shown('/srv/fossil/fossil.cgi',
    '/srv/fossil' => $srv), 0755);
give($srv);
my $app = Recipe->serve('fossil', { '/srv/fossil' => $srv });

scenario 'pages' => sub {
    like($app->answers('/fossil', 302, [])->{headers}, qr{^location: \S*/fossil/index}mi, 'front page');
    $app->answers('/fossil/timeline', 200, [ qr/initial empty check-in/, qr{/fossil/timeline} ]);
    $app->answers('/fossil/nothing-there', 404, qr/Not Found/i);
};

scenario 'clone and push' => sub {
    my $url = $app->url('/fossil');
    fossil('clone', $url =~ s{//}{//anna:secret@}r, "$tmp/clone.fossil");
    fossil('open', "$tmp/clone.fossil");
    must_run([ '/bin/sh', '-c', "head -c 5000000 /dev/urandom >$tmp/tree/large" ]);
    fossil('add', 'large');
    fossil('commit', '-m', 'large', '--no-warnings');
    fossil('push', '--once', $url =~ s{//}{//anna:secret@}r);
    $app->answers('/fossil/timeline', 200, qr/large/);
    my $r = $app->answers('/fossil/raw/large?ci=tip&name=large', 200, [], '-u', 'anna:secret');
    cmp_ok(length $r->{body}, '>', 0, 'a file as it is');
};

$app->stop(errors => 1);
done_testing;

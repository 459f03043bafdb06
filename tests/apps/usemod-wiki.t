#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# UseModWiki: a page is written.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/wiki";
mkdir $_ for $dir, "$tmp/data";
spew("$dir/wiki.pl", slurp('/usr/share/doc/usemod-wiki/examples/wiki-wrapper.pl'), 0755);
spew("$dir/config", slurp('/etc/usemod-wiki/config') =~ s{/var/lib/usemod-wiki}{$tmp/data}r, 0644);
give("$tmp/data");
my $app = Recipe->serve('usemod-wiki', { '/srv/wiki' => $dir });
my $url = '/wiki/wiki.pl';

scenario 'pages' => sub {
    $app->answers($url, 200, qr/HomePage/);
    $app->answers("$url?action=edit&id=SandBox", 200, qr/<textarea/i);
    my $r = $app->answers($url, 302, [], '-d', 'title=SandBox&oldtime=0&oldconflict=0&summary=new&text=grains+of+sand');
    like($r->{headers}, qr/^location: \S*SandBox/mi, 'saved');
    $app->answers("$url?SandBox", 200, qr/grains of sand/);
    $app->answers("$url?action=history&id=SandBox", 200, qr/SandBox/);
    $app->answers("$url?search=grains", 200, qr/SandBox/);
    $app->answers("$url?RecentChanges", 200, qr/SandBox/);
    spew("$tmp/large", 'title=SandBox&text=' . 'x' x 900_000);
    isnt($app->get($url, '--data-binary', "\@$tmp/large")->{code}, 502, 'too large: it says so');
    $app->answers("$url?SandBox", 200, qr/grains of sand/);
};

scenario 'the wiki of the package' => sub {
    $app->answers('/cgi-bin/wiki.pl', 200, qr/HomePage/);
};

$app->stop(errors => 1);
done_testing;

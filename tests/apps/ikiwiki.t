#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# ikiwiki: a page is made in the browser; the setuid wrapper.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my ($wiki, $owner) = ("$tmp/wiki", 'nobody');
mkdir $_ for $wiki, "$wiki/src", "$wiki/www";
spew("$wiki/src/index.mdwn", "Welcome to [[page]]\n", 0644);
spew("$wiki/setup", <<"SETUP", 0644);
# IkiWiki::Setup::Yaml - YAML formatted setup file
wikiname: demo
srcdir: $wiki/src
destdir: $wiki/www
url: http://127.0.0.1/wiki
cgiurl: /wiki/ikiwiki.cgi
cgi_wrapper: $wiki/ikiwiki.cgi
cgi_wrappermode: 06755
add_plugins: [anonok]
disable_plugins: [openid, emailauth, passwordauth]
anonok_pagespec: '*'
rcs: ''
SETUP
must_run([ 'chown', '-R', "$owner:nogroup", $wiki ]);
must_run([ 'setpriv', "--reuid=$owner", '--regid=nogroup', '--clear-groups', 'ikiwiki', '--setup', "$wiki/setup" ],
    env => { HOME => $wiki });
ok(-u "$wiki/ikiwiki.cgi", 'the wrapper is setuid');
my $app = Recipe->serve('ikiwiki', { '/srv/wiki' => $wiki });

scenario 'pages' => sub {
    $app->answers('/wiki/', 200, qr/Welcome to/);
    my $jar = file();
    my $url = '/wiki/ikiwiki.cgi';
    my $r = $app->answers("$url?do=edit&page=index", 200, [ qr/<textarea/, qr/Welcome to/ ], '-c', $jar);
    my %field;
    for ($r->{body} =~ /<input [^>]*type="hidden"[^>]*>/g) {
        my ($name) = /name="([^"]*)"/;
        my ($value) = /value="([^"]*)"/;
        $field{$name} = $value // '' if defined $name;
    }
    $field{editcontent} = "Edited in the browser\n";
    $field{_submit} = 'Save Page';
    $app->answers($url, 302, [], '-b', $jar, '-c', $jar,
        map { ('--data-urlencode', "$_=$field{$_}") } sort keys %field);
    $app->answers('/wiki/', 200, qr/Edited in the browser/);
    is((stat "$wiki/src/index.mdwn")[4], scalar getpwnam $owner, 'by the owner of the wiki');
    $app->answers("$url?do=goto&page=none", 404, []);
};

$app->stop(errors => 1);
done_testing;

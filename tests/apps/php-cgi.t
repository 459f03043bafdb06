#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# php-cgi: as --handler; uploads, sessions, errors, the forced redirect.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $site = "$tmp/site";
mkdir $_ for $site, "$tmp/ini", "$tmp/sessions";
give("$tmp/sessions");
spew("$tmp/ini/site.ini", Recipe->read('php-cgi')->shown('/etc/php/site/site.ini',
    '/var/lib/php/sessions' => "$tmp/sessions"), 0644);
my %page = (
    hello => 'echo "hello ", $_GET["name"] ?? "", $_POST["name"] ?? "", " ", $_SERVER["PATH_INFO"] ?? "-";',
    count => 'session_start(); echo "count ", $_SESSION["n"] = ($_SESSION["n"] ?? 0) + 1;',
    upload => 'echo $_FILES["file"]["error"], " ", md5_file($_FILES["file"]["tmp_name"]);',
    download => 'header("Content-Type: application/octet-stream"); readfile("' . "$tmp/large" . '");',
    there => 'header("Location: /hello.php");',
    none => 'http_response_code(404); echo "no page";',
    fatal => 'ini_set("display_errors", 0); nothing();',
    parse => 'echo (;',
    three => 'echo "three"; exit(3);',
);
spew("$site/$_.php", "<?php\n$page{$_}\n", 0644) for keys %page;
spew("$tmp/large", noise(20_000_000), 0644);
my ($sum) = split ' ', must_run([ 'md5sum', "$tmp/large" ]);
my %swap = ('/srv/www' => $site, '/etc/php/site' => "$tmp/ini");
my $app = Recipe->serve('php-cgi', \%swap);

scenario 'pages' => sub {
    $app->answers('/hello.php?name=a+b', 200, qr/^hello a b -$/);
    $app->answers('/hello.php', 200, qr/^hello c /, '-d', 'name=c');
    $app->answers('/hello.php/a/b', 200, qr{^hello  /a/b$});
    my $jar = file();
    $app->answers('/count.php', 200, qr/^count $_$/, '-b', $jar, '-c', $jar) for 1, 2;
    like($app->answers('/there.php', 302, [])->{headers}, qr{^location: /hello\.php}mi, 'a redirect');
    $app->answers('/none.php', 404, qr/^no page$/);
    $app->answers('/not-there.php', 404, []);
};

scenario 'bulk' => sub {
    my @file = ('-F', "file=\@$tmp/large");
    $app->answers('/upload.php', 200, qr/^0 $sum$/, @file);
    $app->answers('/upload.php', 200, qr/^0 $sum$/, @file, '-H', 'Transfer-Encoding: chunked');
    my $r = $app->answers('/download.php', 200, []);
    ok($r->{body} eq slurp("$tmp/large"), 'a download, byte by byte');
};

scenario 'errors' => sub {
    $app->answers('/fatal.php', 500, []);
    $app->answers('/parse.php', $_, []) for 500;
    $app->answers('/three.php', 200, qr/^three$/);
    like($app->{bridge}->log, qr/three\.php\b.*(?:exit status|status) 3\b/, 'the exit status is in the log');
};

scenario 'without REDIRECT_STATUS' => sub {
    spew("$site/shebang", "#!/usr/bin/php-cgi\n<?php echo 'bare';\n", 0755);
    my $ask = sub ($bridge, $name) {
        FastCGI->ask($bridge->url('unix'), $bridge->params('', SCRIPT_FILENAME => "$site/$name"));
    };
    my $r = $ask->($app->{bridge}, 'hello.php');
    is(FastCGI::status($r), 200, '--handler sets it');
    like(FastCGI::body($r), qr/^hello/, 'the page');
    $r = $ask->($app->{bridge}, 'shebang');
    is(FastCGI::status($r), 500, '#!: php-cgi refuses');
    my $told = Bridge->start(sockets => ['unix'], args => [ '--env', 'REDIRECT_STATUS=200' ]);
    $r = $ask->($told, 'shebang');
    is(FastCGI::status($r), 200, 'but not with --env');
    like(FastCGI::body($r), qr/bare$/, 'the page');
    $told->stop;
};

$app->stop(errors => 1);
done_testing;

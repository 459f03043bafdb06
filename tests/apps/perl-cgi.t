#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# CGI.pm: a form, uploads, cookies, a script that dies.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/scripts";
mkdir $dir;
spew("$dir/upload.pl", Recipe->read('perl-cgi')->shown('/srv/cgi/upload.pl'), 0755);
spew("$dir/form.pl", <<'PL', 0755);
#!/usr/bin/perl
use CGI;
my $q = CGI->new;
die "on purpose\n" if $q->param('die');
if ($q->param('go')) { print $q->redirect('/cgi/form.pl?name=there'); exit }
print $q->header(-type => 'text/plain', -cookie => $q->cookie(-name => 'c', -value => 'v 1')),
    'name=', scalar $q->param('name') // '', ' cookie=', $q->cookie('c') // '', "\n";
PL
my $app = Recipe->serve('perl-cgi', { '/srv/cgi' => $dir });

scenario 'form' => sub {
    my $r = $app->answers('/cgi/form.pl?name=a%20b', 200, qr/^name=a b cookie=$/m);
    like($r->{headers}, qr/^set-cookie: c=v%201/mi, 'a cookie is set');
    $app->answers('/cgi/form.pl', 200, qr/^name=x y cookie=v 1$/m, '-d', 'name=x+y', '-b', 'c=v%201');
    $r = $app->answers('/cgi/form.pl?go=1', 302, []);
    like($r->{headers}, qr{^location: /cgi/form\.pl\?name=there}mi, 'a redirect');
    $app->answers('/cgi/form.pl?die=1', 500, []);
    like($app->{bridge}->log, qr/stderr: on purpose/, 'its last words are in the log');
};

scenario 'upload' => sub {
    spew("$tmp/large", noise(20_000_000));
    my ($sum) = split ' ', must_run([ 'md5sum', "$tmp/large" ]);
    $app->answers('/cgi/upload.pl', 200, qr/<form[^>]*multipart/);
    my @file = ('-F', "file=\@$tmp/large");
    $app->answers('/cgi/upload.pl', 200, qr/large: $sum/, @file);
    $app->answers('/cgi/upload.pl', 200, qr/large: $sum/, @file, '-H', 'Transfer-Encoding: chunked');
    truncate "$tmp/large", 101 * 1024 * 1024;
    unlike($app->get('/cgi/upload.pl', @file)->{body}, qr/large: /, 'too large: not taken');
};

scenario 'preloaded' => sub {
    spew("$tmp/small", noise(100_000));
    $app->same_preloaded('/cgi/form.pl?name=a%20b', '/cgi/form.pl?go=1', '/cgi/form.pl?die=1',
        [ '/cgi/form.pl', '-d', 'name=x+y', '-b', 'c=v%201' ], [ '/cgi/upload.pl', '-F', "file=\@$tmp/small" ]);
};

$app->stop;
done_testing;

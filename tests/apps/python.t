#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Python: wsgiref, cgi.FieldStorage, the page of cgitb.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/scripts";
mkdir $dir;
spew("$dir/wsgi.py", Recipe->read('python')->shown('/srv/cgi/wsgi.py'), 0755);
spew("$dir/form.py", <<'PY', 0755);
#!/usr/bin/python3 -Wignore
import cgi, cgitb, hashlib
cgitb.enable()
form = cgi.FieldStorage()
name = form.getfirst('name', '')
if name == 'fail':
    raise ValueError('on purpose')
print('Content-Type: text/plain\n\nname=' + name)
if 'file' in form:
    print(hashlib.md5(form['file'].file.read()).hexdigest())
PY
my $app = Recipe->serve('python', { '/srv/cgi' => $dir });
spew("$tmp/large", noise(5_000_000));
my ($sum) = split ' ', must_run([ 'md5sum', "$tmp/large" ]);

scenario 'wsgiref' => sub {
    $app->answers('/cgi/wsgi.py?a=b', 200, qr/^[0-9a-f]{32} a=b$/m);
    $app->answers('/cgi/wsgi.py', 200, qr/^$sum $/m, '--data-binary', "\@$tmp/large");
    $app->answers('/cgi/wsgi.py', 200, qr/^$sum $/m, '--data-binary', "\@$tmp/large",
        '-H', 'Transfer-Encoding: chunked');
    $app->answers('/cgi/wsgi.py/fail', 500, qr/server error/);
    like($app->{bridge}->log, qr/stderr: ValueError: on purpose/, 'the traceback is in the log');
};

scenario 'cgi and cgitb' => sub {
    $app->answers('/cgi/form.py?name=a+b', 200, qr/^name=a b$/m);
    $app->answers('/cgi/form.py', 200, [ qr/^name=c$/m, qr/^$sum$/m ], '-F', 'name=c', '-F',
        "file=\@$tmp/large");
    $app->answers('/cgi/form.py?name=fail', 200, [ qr/ValueError/, qr/on purpose/, qr{</html>|<table}i ]);
};

$app->stop;
done_testing;

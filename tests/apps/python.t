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
spew("$dir/list.py", <<'PY', 0755);
#!/usr/bin/python3 -Wignore
# The page of a mailing list, as Mailman 2 makes them.
import cgi
import datetime
import html
import json
import sys
import urllib.parse

members = {'anna': 'Anna <anna@example.org>', 'bo': 'Bo & Co <bo@example.org>'}
form = cgi.FieldStorage()
if form.getfirst('format') == 'json':
    print('Content-Type: application/json\n')
    json.dump(members, sys.stdout, indent=2)
    sys.exit()
user = form.getfirst('user')
if user and user not in members:
    print('Status: 404 Not Found\nContent-Type: text/html\n\n<p>No member ' + html.escape(user))
    sys.exit(1)
print('Content-Type: text/html; charset=utf-8\n\n<title>The list</title>')
for name in [user] if user else sorted(members):
    url = '?' + urllib.parse.urlencode({'user': name, 'back': '/a b'})
    print(f'<p><a href="{html.escape(url)}">{html.escape(members[name])}</a>')
print(f'<p>Founded {datetime.date(2001, 9, 9):%A, %d %B %Y} {datetime.datetime.now():%H:%M:%S}')
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

scenario 'preloaded' => sub {
    spew("$tmp/small", noise(100_000));
    $app->same_preloaded('/cgi/list.py', '/cgi/list.py?user=bo', '/cgi/list.py?user=%3Cno%3E',
        '/cgi/list.py?format=json', '/cgi/form.py?name=a+b', '/cgi/wsgi.py?a=b', '/cgi/wsgi.py/fail',
        [ '/cgi/form.py', '-F', 'name=c', '-F', "file=\@$tmp/small" ],
        [ '/cgi/wsgi.py', '--data-binary', "\@$tmp/small" ]);
};

$app->stop;
done_testing;

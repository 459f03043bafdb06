#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# nginx: the cases of FrontEndCases, and its own directives.
use v5.36;
use Test::More;
use Bridge;
use FrontEnd;
use FrontEndCases;

is_program('nginx', 'nginx');

my $dir = Bridge::cgi();
my $tmp = tmp();
my $work = file(); # a line for each script that has done its work

sh('checks', qq{case \$REQUEST_URI in *who=jo*) echo 'Status: 200' ;; *) echo 'Status: 403' ;; esac\n}
    . q{printf 'Content-Type: text/plain\n\nof the authorizer\n'});
sh('notes', qq{printf 'Content-Type: text/plain\n\nnoted\n'; echo "\$SCRIPT_NAME" >>$work});
sh('lacks', q{printf 'Status: 404 Not Found\nContent-Type: text/plain\n\nof the script\n'});
sh('accel', q{printf 'Content-Type: text/plain\nX-Accel-Redirect: /pages/one\n\nof the script\n'});
mkdir "$tmp/pages";
spew("$tmp/pages/one", "a page\n", 0644);

sub with_directives () {
    by_unix();
    my $port = free_port();
    my $cgi = 'include /etc/nginx/fastcgi_params; fastcgi_pass cgibridge; fastcgi_param SCRIPT_FILENAME';
    s/^/fastcgi_cache_path $tmp\/cache keys_zone=cache:1m;
        upstream pair { server 127.0.0.1:$port; server unix:$FrontEndCases::socket backup; }\n/;
    FrontEnd::swap('    location /cgi-bin/ {', <<~CONF);
        location = /check { internal; $cgi $dir/checks; }
        location = /guarded { auth_request /check; $cgi $dir/hello; }
        location = /mirrored { mirror /mirror; $cgi $dir/notes; }
        location = /mirror { internal; $cgi $dir/notes; }
        location = /intercepted { fastcgi_intercept_errors on; error_page 404 /pages/one; $cgi $dir/lacks; }
        location = /accel { $cgi $dir/accel; }
        location /pages/ { internal; root $tmp; }
        location = /cached { fastcgi_buffering on; fastcgi_cache cache; fastcgi_cache_key \$uri;
            fastcgi_cache_valid any 10m; $cgi $dir/notes; }
        location = /next { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $dir/hello;
            fastcgi_pass pair; }
        location /cgi-bin/ {
        CONF
}

sub works ($n) { return wait_until(10, sub { (() = slurp($work) =~ /\n/g) >= $n }) }

my @own = (
    'auth_request' => sub {
        my $r = ask(GET => '/guarded?who=jo');
        is("$r->{status} $r->{content}", "200 hello\n", 'granted');
        is(ask(GET => '/guarded?who=al')->{status}, 403, 'refused');
    },
    'mirror' => sub {
        unlink $work;
        is(ask(GET => '/mirrored')->{content}, "noted\n", 'the answer');
        works(2);
        is_deeply([ sort split /\n/, slurp($work) ], [ '/mirror', '/mirrored' ], 'both scripts work');
    },
    'fastcgi_intercept_errors' => sub {
        my $r = ask(GET => '/intercepted');
        is("$r->{status} $r->{content}", "404 a page\n", 'a page of nginx');
    },
    'X-Accel-Redirect' => sub {
        my $r = ask(GET => '/accel');
        is("$r->{status} $r->{content}", "200 a page\n", 'the page that the script names');
        is(ask(GET => '/pages/one')->{status}, 404, 'which no client can ask for');
    },
    'fastcgi_cache, HEAD and then GET' => sub {
        unlink $work;
        is(ask(HEAD => '/cached')->{content}, '', 'HEAD');
        works(1);
        is(ask(GET => '/cached')->{content}, "noted\n", 'GET has the body') for 1 .. 2;
        is(slurp($work), "/cached\n", 'from the cache');
    },
    'fastcgi_next_upstream' => sub {
        $FrontEndCases::front->expect(qr/Connection refused/);
        is(ask(GET => '/next')->{content}, "hello\n", 'the next bridge answers');
    },
);

sub test_own ($result) {
    my $front = $FrontEndCases::front = FrontEnd->nginx(edit => \&with_directives);
    $FrontEndCases::http = $front->client;
    $front->expect(qr{/pages/one|access forbidden|/guarded});
    while (my ($name, $code) = splice @own, 0, 2) {
        $result->{"nginx: $name"} = scenario("nginx: $name", $code) ? 'yes' : 'failed';
    }
    $front->stop;
}

test_front_end(nginx => [
    { name => 'nginx, unix', start => 'nginx', closes => 1, edit => \&by_unix },
    { name => 'nginx, tcp, buffered, no connection kept', start => 'nginx', edit => sub {
        FrontEnd::swap('unix:/run/cgibridge.sock', $FrontEndCases::tcp);
        FrontEnd::swap('buffering off', 'buffering on');
        FrontEnd::swap('fastcgi_keep_conn on', 'fastcgi_keep_conn off');
        FrontEnd::swap('keepalive 16;', '') },
        cannot => { ticks => 'buffered', upload => 'buffered', kept => 'off' } },
], more => \&test_own);
done_testing;

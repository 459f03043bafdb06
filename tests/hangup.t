#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Front ends that hang up as soon as they have what they wanted of an answer, its header:
# the scripts do their work all the same, all of them, and no client sees anything of it.
use v5.36;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;
use FrontEnd;

is_program(@$_) for [qw(nginx nginx)], [qw(haproxy haproxy)];

use constant EACH => 20; # requests of a kind

my $tmp = Bridge::tmp();
my $dir = Bridge::cgi();
my $work = "$tmp/work"; # a line for each script that has done its work

# 0666: HAProxy's process may be another user's
my $bridge = Bridge->start(workers => 2, args => [ '--socket-mode', '0666' ], env => { WORK => $work });
my %pass = (unix => $bridge->url('unix'), tcp => $bridge->url('tcp') =~ s/^tcp://r);

# The header asks for what the query says; the work comes after it, when nginx has hung up.
script('appends', <<~'SH');
    #!/bin/sh
    trap 'echo TERM >>"$WORK"; exit 1' TERM
    case $QUERY_STRING in
    accel) printf 'Content-Type: text/plain\nX-Accel-Redirect: /static/page\n\n' ;;
    missing) printf 'Status: 404 Not Found\nContent-Type: text/plain\n\n' ;;
    *) printf 'Content-Type: text/plain\n\n' ;;
    esac
    sleep 0.05
    echo done >>"$WORK"
    SH

mkdir "$tmp/static";
spew("$tmp/static/page", "a page\n", 0644);

# ---- nginx ------------------------------------------------------------------------

my ($conf, $http) = ("root $tmp;\nerror_page 404 /static/page;\n", '');
my $common = Bridge::nginx_params($dir);

for my $kind (qw(unix tcp)) {
    for my $keep (qw(off on)) {
        my $pool = $keep eq 'on' ? 'keepalive 8;' : '';
        $http .= "upstream $kind-$keep { server $pass{$kind}; $pool }\n";
        my $cgi = "fastcgi_param SCRIPT_FILENAME $dir/appends; $common\n"
            . "fastcgi_pass $kind-$keep; fastcgi_keep_conn $keep;";
        $conf .= <<~CONF;
            location /$kind-$keep/run { $cgi }
            location /$kind-$keep/intercepted { $cgi fastcgi_intercept_errors on; }
            location /$kind-$keep/guarded { auth_request /$kind-$keep/run; alias $tmp/static/page; }
            location /$kind-$keep/mirrored { mirror /$kind-$keep/run; alias $tmp/static/page; }
            CONF
    }
}

my $nginx = Bridge->nginx($conf, http => $http);

# The whole answers to as many equal requests at once.
sub ask ($port, $method, $path, $n) {
    my @sockets = map {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
            Timeout => slow(5)) or die "port $port: $!\n";
        $s->autoflush(1);
        print $s "$method $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        $s;
    } 1 .. $n;
    return map { local $/; scalar(readline $_) // '' } @sockets;
}

# All answers look like $expected, and all scripts do their work.
sub all_work ($port, $method, $path, $expected) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    unlink $work;
    my $since = time;
    my @answers = ask($port, $method, $path, EACH);
    is(scalar(grep { $_ =~ $expected } @answers), EACH, "$method $path: all are answered")
        or diag($answers[0]);
    cmp_ok(time - $since, '<', slow(4), 'at once');
    wait_until(10, sub { (() = slurp($work) =~ /\n/g) >= EACH });
    is_deeply([ split /\n/, slurp($work) ], [ ('done') x EACH ], 'all scripts do their work');
}

for my $kind (qw(unix tcp)) {
    for my $keep (qw(off on)) {
        my ($port, $at) = ($nginx->port, "/$kind-$keep");
        scenario "nginx, $kind, keep_conn $keep" => sub {
            my $mark = $bridge->mark;
            all_work($port, 'HEAD', "$at/run", qr{^HTTP/1.1 200 });
            all_work($port, 'GET', "$at/run?accel", qr{^HTTP/1.1 200 .*a page\n$}s);
            all_work($port, 'GET', "$at/guarded", qr{^HTTP/1.1 200 .*a page\n$}s);
            all_work($port, 'GET', "$at/mirrored", qr{^HTTP/1.1 200 .*a page\n$}s);
            all_work($port, 'GET', "$at/intercepted?missing", qr{^HTTP/1.1 404 .*a page\n$}s);
            $bridge->no_warning($mark);
        };
    }
}

# ---- HAProxy ------------------------------------------------------------------------

for my $kind (qw(unix tcp)) {
    scenario "HAProxy, $kind" => sub {
        my $haproxy = FrontEnd->haproxy(edit => sub {
            FrontEnd::swap('unix@/run/cgibridge.sock',
                $kind eq 'tcp' ? $pass{tcp} : 'unix@' . ($pass{unix} =~ s/^unix://r));
        });
        my $mark = $bridge->mark;
        all_work($haproxy->port, 'HEAD', '/cgi-bin/appends', qr{^HTTP/1.1 200 });
        all_work($haproxy->port, 'GET', '/cgi-bin/appends', qr{^HTTP/1.1 200 });
        $bridge->no_warning($mark);
        $haproxy->stop;
    };
}

$nginx->stop;
$bridge->stop;
done_testing;

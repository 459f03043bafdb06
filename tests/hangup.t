#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Front ends that hang up as soon as they have what they wanted of an answer, its header:
# the scripts do their work all the same, all of them, and no client sees anything of it.
# And the other way round: an answer that a script leaves short is one at the client, too.
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

# ---- answers that are cut ------------------------------------------------------------

script('cut', <<~'SH');
    #!/bin/sh
    echo run >>"$WORK"
    case $QUERY_STRING in
    short*) printf 'Content-Type: text/plain\nContent-Length: 100\n' ;;
    *) printf 'Content-Type: text/plain\nCache-Control: max-age=600\n' ;;
    esac
    printf '\nthe beginning'
    case $QUERY_STRING in
    late*) sleep 0.1 ;;
    esac
    case $QUERY_STRING in
    *killed) kill -9 $$ ;;
    esac
    SH

# The answer is cut for an HTTP client that keeps its connection, and it need not wait to know.
sub is_cut ($port, $path) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $since = time;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "$!\n";
    $s->autoflush(1);
    print $s "GET $path HTTP/1.1\r\nHost: localhost\r\n\r\n";
    my $answer = '';
    local $SIG{ALRM} = sub { die "$path: the client waits\n" };
    alarm int slow(20);
    1 while sysread $s, $answer, 65536, length $answer;
    alarm 0;
    unlike($answer, qr/\r\n0\r\n\r\n$/, "$path: its end does not come");
    cmp_ok(time - $since, '<', slow(4), 'and that is told soon');
}

scenario 'answers that are cut, through nginx' => sub {
    my $cgi = "fastcgi_param SCRIPT_FILENAME $dir/cut; $common fastcgi_pass $pass{unix};";
    # in most of these, nginx takes an end of the connection for that of the response
    my @ways = map { my $keep = $_; map { [ "/$keep-$_", "fastcgi_keep_conn $keep; fastcgi_buffering $_;" ] }
        qw(on off) } qw(on off);
    my $locations = join '', map { "location $_->[0] { $cgi $_->[1] }\n" } @ways;
    my $other = Bridge->nginx(<<~CONF, http => "fastcgi_cache_path $tmp/cache keys_zone=cache:1m;");
        $locations
        location /cached { $cgi fastcgi_keep_conn on;
            fastcgi_cache cache; fastcgi_cache_key \$request_uri; fastcgi_cache_valid any 10m; }
        CONF
    for my $way (@ways) {
        is_cut($other->port, "$way->[0]?$_") for qw(short short-killed killed late-killed);
    }
    unlink $work;
    ask($other->port, 'GET', '/cached?killed', 1) for 1 .. 2;
    is(slurp($work), "run\nrun\n", 'one that was cut is not kept in a cache');
    ask($other->port, 'GET', '/cached?whole', 1) for 1 .. 2;
    is(slurp($work), "run\nrun\nrun\n", 'one that was not is');
    $other->Bridge::kill_all; # its log has errors, as it should
};

# ---- HAProxy ------------------------------------------------------------------------

for my $kind (qw(unix tcp)) {
    scenario "HAProxy, $kind" => sub {
        my $haproxy = FrontEnd->haproxy(expected => qr/GET \/cgi-bin\/cut/, edit => sub {
            FrontEnd::swap('unix@/run/cgibridge.sock',
                $kind eq 'tcp' ? $pass{tcp} : 'unix@' . ($pass{unix} =~ s/^unix://r));
        });
        my $mark = $bridge->mark;
        all_work($haproxy->port, 'HEAD', '/cgi-bin/appends', qr{^HTTP/1.1 200 });
        all_work($haproxy->port, 'GET', '/cgi-bin/appends', qr{^HTTP/1.1 200 });
        $bridge->no_warning($mark);
        is_cut($haproxy->port, "/cgi-bin/cut?$_") for qw(short short-killed killed);
        $haproxy->stop;
    };
}

$nginx->stop;
$bridge->stop;
done_testing;

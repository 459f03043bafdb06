#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# The same scripts through each front end there is, besides nginx: whichever it is, the
# client gets the same answer.  The front ends run with the files of contrib/.
use v5.36;
use Digest::SHA qw(sha256_hex);
use Errno;
use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;
use FrontEnd;

is_program(@$_) for [qw(apache2 apache2-bin)], [qw(lighttpd lighttpd)], [qw(caddy caddy)],
    [qw(haproxy haproxy)], [qw(cgi-fcgi libfcgi-bin)];

my $MB = 1 << 20;
my $tmp = tmp();
my $dir = Bridge::cgi();
my $family = "$tmp/family"; # where a script tells its pids

# 0666: Apache's and HAProxy's processes may be other users' than the bridge's
my $bridge = Bridge->start(workers => 2, args => [ '--kill-delay', '1s', '--socket-mode', '0666',
    '--disconnect-grace', '1s' ],
    env => { TEST_PIDS => $family });
our $socket = $bridge->url('unix') =~ s/^unix://r;
our $tcp = $bridge->url('tcp') =~ s/^tcp://r;

# ---- scripts for answers of each kind --------------------------------------------

sh('moved', q{printf 'Location: http://localhost/elsewhere\n\n'});
sh('notfound', q{printf 'Status: 404 Not Found\nContent-Type: text/plain\n\nnothing of that name\n'});
sh('nph-teapot', q{printf 'HTTP/1.1 418 I am a teapot\r\nContent-Type: text/plain\r\n'
    printf 'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n'
    printf '6\r\nshort \r\n9\r\nand stout\r\n0\r\n\r\n'});
sh('nocontent', q{printf 'Status: 204 No Content\nContent-Type: text/plain\n\nbut there is some\n'});
sh('toolong', q{printf 'Content-Type: text/plain\nContent-Length: 5\n\nhello, and more than that\n'});
sh('killed', q{kill -9 $$});
sh('unended', q{printf 'Content-Type: text/plain\n'});

# ---- the front ends ----------------------------------------------------------------

# How ways differ for reasons of their own:
#   kept       it keeps its connections to the bridge open
#   hangs_up   it tells the bridge that a client has gone before its body was whole, while
#              the script is silent.  Apache, lighttpd and Caddy do not look at a client
#              they have nothing to send to: their scripts end by themselves, or by
#              --idle-timeout
#   closes     streaming a request, lighttpd closes the client's connection without a word if
#              the answer is there before the body: a client must not reuse it
#   undotted   it does not resolve ".." in a URL (HAProxy)
#   chunked    what it says itself to a body in chunks, of unknown length, if that is
#              longer than `chunked_from` bytes: lighttpd's mod_fastcgi sends no body of
#              unknown length, so when streaming it wants a length (411); HAProxy takes
#              what fits its buffer of 16 KiB (400)
my @ways = (
    { name => 'Apache, unix', start => 'apache', edit => sub { by_unix() } },
    { name => 'Apache, tcp', start => 'apache', edit => sub { by_unix(); apache_by_tcp() } },
    { name => 'Apache, unix, enablereuse', start => 'apache', kept => 1,
        edit => sub { by_unix(); apache_keeps() } },
    { name => 'Apache, tcp, enablereuse', start => 'apache', kept => 1,
        edit => sub { by_unix(); apache_keeps(); apache_by_tcp() } },
    { name => 'Apache, unix, ProxyPass', start => 'apache',
        edit => sub { $_ = qq{ProxyPass "/cgi-bin/" "unix:$socket|fcgi://any$dir/"\n} } },
    { name => 'Apache, tcp, ProxyPass, enablereuse', start => 'apache', kept => 1,
        edit => sub { $_ = qq{ProxyPass "/cgi-bin/" "fcgi://$tcp$dir/" enablereuse=on\n} } },
    { name => 'lighttpd, unix', start => 'lighttpd', edit => sub { by_unix() } },
    { name => 'lighttpd, tcp, streaming', start => 'lighttpd', edit => sub {
        my ($host, $port) = split /:/, $tcp;
        FrontEnd::swap('"socket" => "/run/cgibridge.sock"', qq{"host" => "$host", "port" => $port});
        FrontEnd::swap('#server.stream', 'server.stream') },
        chunked => 411, chunked_from => 0, closes => 1 },
    { name => 'Caddy, unix', start => 'caddy', edit => sub { by_unix() } },
    { name => 'Caddy, tcp', start => 'caddy',
        edit => sub { FrontEnd::swap('unix//run/cgibridge.sock', $tcp) } },
    { name => 'HAProxy, unix', start => 'haproxy', kept => 1, hangs_up => 1, undotted => 1,
        chunked => 400, chunked_from => 15_000, edit => sub { by_unix() } },
    { name => 'HAProxy, tcp, many requests at once on a connection', start => 'haproxy',
        kept => 1, hangs_up => 1, undotted => 1, chunked => 400, chunked_from => 15_000,
        edit => sub {
            FrontEnd::swap('unix@/run/cgibridge.sock', $tcp);
            FrontEnd::swap('#option m', 'option m') } },
);

sub by_unix () {
    FrontEnd::swap('/run/cgibridge.sock', $socket);
}

sub apache_by_tcp () {
    FrontEnd::swap("proxy:unix:$socket|fcgi://cgibridge", "proxy:fcgi://$tcp");
    FrontEnd::swap('<Proxy "fcgi://cgibridge">', qq{<Proxy "fcgi://$tcp">});
}

sub apache_keeps () {
    FrontEnd::swap('enablereuse=off', 'enablereuse=on');
}

# ---- asking ---------------------------------------------------------------------------

my ($front, $http);
my $listening = 0; # sockets of the bridge that are no connections

# A script by its name, or by a whole path.
sub path_of ($script) {
    return $script =~ m{^/} ? $script : "/cgi-bin/$script";
}

# An HTTP request, by a client of its own if it says so; dies when there is no whole answer.
sub ask ($method, $script, %o) {
    my $since = time;
    my $r = ($o{by} // $http)->request($method, 'http://127.0.0.1:' . $front->port . path_of($script), {
        headers => $o{headers} // {}, defined $o{body} ? (content => $o{body}) : () });
    die "$method $script: $r->{content}\n" if $r->{status} == 599;
    return { %$r, seconds => time - $since };
}

# A POST by a client that reads while it writes.  Most front ends hold little of an answer,
# so one that writes all first, as HTTP::Tiny does, could wait for them as they for it.
sub duplex ($script, $body) {
    my $path = path_of($script);
    my $since = time;
    my $s = connected();
    $s->blocking(0);
    my $out = "POST $path HTTP/1.0\r\nHost: localhost\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
    my ($in, $at) = ('', 0);
    my $select = IO::Select->new($s);
    while (time - $since < slow(30)) {
        my ($r, $w) = IO::Select->select($select, $at < length $out ? $select : undef, undef, 1)
            or next;
        if (@$w) {
            my $n = syswrite $s, $out, 65536, $at;
            die "POST $script: $!, $at bytes written\n" if !defined $n && !$!{EAGAIN};
            $at += $n // 0;
        }
        next if !@$r;
        my $got = sysread $s, $in, 262144, length $in;
        last if defined $got ? !$got : !$!{EAGAIN};
    }
    my ($head, $content) = split /\r\n\r\n/, $in, 2;
    my ($status) = ($head // '') =~ m{^HTTP/1\.\d (\d+)} or die "POST $script: no answer\n";
    return { status => $status, content => $content, seconds => time - $since };
}

# The body in pieces, of which HTTP::Tiny makes chunks.
sub pieces ($body) {
    my $at = 0;
    return sub () {
        my $piece = substr $body, $at, 100_000;
        $at += length $piece;
        return $piece;
    };
}

sub env_of ($r) {
    return { map { /^([^=]*)=(.*)/s } split /\0/, $r->{content} };
}

my $block = join '', map { chr($_ * 7 % 251) } 0 .. $MB - 1;
my $five = $block x 5;

sub pattern_sum ($n) {
    my $sha = Digest::SHA->new(256);
    for (1 .. $n) {
        substr my $piece = $block, 0, 8, sprintf '%08d', $_;
        $sha->add($piece);
    }
    return $sha->hexdigest;
}

# ---- the cases: the same for all -------------------------------------------------------

my @cases;

# A case is for the ways that have the property `only`, or for all.
sub case ($name, @o) {
    push @cases, { name => $name, @o == 1 ? (code => $o[0]) : @o };
}

case 'what a script finds in its environment' => sub ($way) {
    my $env = env_of(ask(GET => 'environ/a%20b/c%25?d=e%20f'));
    my %want = (SCRIPT_NAME => '/cgi-bin/environ', PATH_INFO => '/a b/c%', QUERY_STRING => 'd=e%20f',
        REQUEST_METHOD => 'GET', SCRIPT_FILENAME => "$dir/environ", GATEWAY_INTERFACE => 'CGI/1.1',
        REMOTE_ADDR => '127.0.0.1', SERVER_PORT => $front->port,
        REQUEST_URI => '/cgi-bin/environ/a%20b/c%25?d=e%20f', CONTENT_LENGTH => undef);
    is_deeply({ map { $_ => $env->{$_} } keys %want }, \%want, 'with PATH_INFO and a query');
    like($env->{PATH_TRANSLATED}, qr{^/.*[^/]/a b/c%$}, 'PATH_TRANSLATED');

    $env = env_of(ask(GET => 'environ'));
    is($env->{SCRIPT_NAME}, '/cgi-bin/environ', 'without: SCRIPT_NAME');
    # Caddy says PATH_INFO="", which is the same (RFC 3875, 4.1.5)
    is($env->{PATH_INFO} // '', '', 'no PATH_INFO');
    is($env->{QUERY_STRING}, '', 'an empty query');

    $env = env_of(ask(POST => 'environ', body => 'abc', headers => { 'Content-Type' => 'x/y',
        'X-Try' => 'one', Proxy => 'http://evil/' }));
    is_deeply([ @$env{qw(CONTENT_LENGTH CONTENT_TYPE REQUEST_METHOD HTTP_X_TRY HTTP_PROXY)} ],
        [ 3, 'x/y', 'POST', 'one', undef ], 'a POST');
};

case 'a POST of 5 MB comes back' => sub ($way) {
    my $r = duplex('echo', $five);
    is("$r->{status} " . sha256_hex($r->{content}), '200 ' . sha256_hex($five), 'every byte');
    is(ask(POST => 'count', body => $five)->{content}, length($five) . ' ' . length($five) . "\n",
        'and CONTENT_LENGTH says how many');
};

case 'an upload in chunks, of unknown length' => sub ($way) {
    for my $body ('a few bytes', $five) {
        my $n = length $body;
        if ($way->{chunked} && $n > $way->{chunked_from}) {
            $front->expect(qr{ 400 .*"POST /cgi-bin/count });
            my $s = connected();
            print $s "POST /cgi-bin/count HTTP/1.1\r\nHost: localhost\r\n"
                . "Transfer-Encoding: chunked\r\n\r\n" . sprintf("%x\r\n", 50_000) . 'x' x 50_000;
            like(rest_of($s), qr{^HTTP/1\.[01] $way->{chunked} }, "$n bytes: $way->{chunked}");
            next;
        }
        is(ask(POST => 'count', body => pieces($body))->{content}, "$n $n\n",
            "$n bytes, and CONTENT_LENGTH says so");
        is(ask(POST => 'digest', body => pieces($body))->{content}, sha256_hex($body) . " $n\n",
            'the right ones');
    }
};

case 'a POST of 5 MB to a script that does not read it' => sub ($way) {
    for my $script ('hello', 'deaf') {
        my $r = ask(POST => $script, body => $five);
        like("$r->{status} $r->{content}", qr/^200 hello\n$|^200 heard nothing\n$/, $script);
        cmp_ok($r->{seconds}, '<', slow(3), sprintf 'in %.3f s', $r->{seconds});
    }
    my $r = duplex('page?2000000', $five);
    is(length $r->{content}, 2_000_000, 'the whole of a long answer');
    cmp_ok($r->{seconds}, '<', slow(3), sprintf 'in %.3f s', $r->{seconds});
};

case 'both ways at once: 4 MB written before a byte is read of 5 MB' => sub ($way) {
    my $r = duplex('gusher?' . 4 * $MB, $five);
    ok(substr($r->{content}, 0, 4 * $MB) eq 'y' x (4 * $MB), 'all of it came');
    is(substr($r->{content}, 4 * $MB), 'read ' . length($five) . "\n", 'and all of it went');
};

case 'Location without Status' => sub ($way) {
    my $r = ask(GET => 'moved');
    is("$r->{status} $r->{headers}{location}", '302 http://localhost/elsewhere', 'is a 302');
};

case 'Status 404 with a body' => sub ($way) {
    my $r = ask(GET => 'notfound');
    is("$r->{status} $r->{content}", "404 nothing of that name\n", 'both as they are');
};

case 'a status line and a chunked body' => sub ($way) {
    my $r = ask(GET => 'nph-teapot');
    is("$r->{status} $r->{content}", '418 short and stout', 'its status, its body decoded');
};

case 'no body where none may be' => sub ($way) {
    for my $n (6, 2_000_000) {
        my $r = ask(HEAD => $n == 6 ? 'hello' : "page?$n");
        is("$r->{status} $r->{content}", '200 ', "HEAD, $n bytes");
    }
    my $r = ask(GET => 'nocontent');
    is("$r->{status} $r->{content}", '204 ', '204, without one');
    $r = ask(GET => 'toolong');
    is("$r->{status} $r->{content}", '200 hello', 'behind Content-Length');
    # had a byte too many been sent, the next answer on this connection would have it
    is(ask(GET => 'hello')->{content}, "hello\n", 'the next answer');
};

case 'a script that fails' => sub ($way) {
    my %status = (silent => 500, 'silent?3' => 500, killed => 500, unended => 500, lost => 500,
        missing => 404);
    for my $script (sort keys %status) {
        for my $method (qw(GET POST)) {
            my $r = ask($method => $script, $method eq 'POST' ? (body => 'some bytes') : ());
            is($r->{status}, $status{$script}, "$method $script: $status{$script}");
            like($r->{content}, qr/\S/, 'and a body that says so');
        }
    }
};

case 'stderr stays out of the answer' => sub ($way) {
    my $mark = $bridge->mark;
    is(ask(GET => 'complains')->{content}, "fine\n", 'the body');
    ok($bridge->wait_for_log(qr/complains\[\d+\].*complaint two/, 5, from => $mark),
        "it is in the bridge's log");
};

case '20 MB down' => sub ($way) {
    my $r = ask(GET => 'pattern?20');
    is("$r->{status} " . sha256_hex($r->{content}), '200 ' . pattern_sum(20), 'every byte');
};

case 'trap 5: 100 POSTs that are answered at once' => sub ($way) {
    # Apache sends the body's end in a record of its own, when the answer may be out
    my @bodies = map { 'b' x ($_ * 97) } 1 .. 100;
    for my $how ('with', 'some time after') {
        my $client = $front->client(keep_alive => !$way->{closes}, delays => $how ne 'with');
        my $bad = grep { $_->{status} != 200 || $_->{content} ne "hello\n" }
            map { ask(POST => 'hello', body => $_, by => $client) } splice @bodies, 0, 50;
        is($bad, 0, "none fails whose body comes $how its head");
    }
};

case '200 requests one after the other' => sub ($way) {
    my $bad = 0;
    for my $n (1 .. 200) {
        my $r = $n % 4 ? ask(GET => "page?$n") : ask(POST => 'echo', body => 'x' x $n);
        $bad++ if length $r->{content} != $n;
    }
    is($bad, 0, 'each has its answer');
    # some of theirs may be idle in another process of the front end
    my $kept = connections();
    $way->{kept} ? cmp_ok($kept, '>', 0, "$kept connections are kept")
        : is(wait_until(5, sub { !connections() }), 1, 'no connection is left');
    cmp_ok($kept, '<', 60, 'no more than processes and threads');
};

case 'a URL that climbs', only => 'undotted', code => sub ($way) {
    # HAProxy is told to refuse these; without that rule the bridge does
    for my $url (qw(../cgi-bin/hello %2e%2e/cgi-bin/hello hello/../..)) {
        is(ask(GET => $url)->{status}, 400, $url);
    }
};

case 'a script waits, others do not' => sub ($way) {
    my ($gate, $shut) = gate();
    sh('waits', qq{echo \$\$ >"\$TEST_PIDS"; flock -s -w 60 $gate true\n}
        . q{printf 'Content-Type: text/plain\n\nwaited\n'});
    unlink $family;
    my $s = connected();
    print $s "GET /cgi-bin/waits HTTP/1.0\r\nHost: localhost\r\n\r\n";
    wait_pids($family, 1);
    my $since = time;
    is(ask(GET => 'hello')->{content}, "hello\n", 'another request');
    my $took = time - $since;
    cmp_ok($took, '<', slow(1.5), sprintf 'is answered in %.3f s', $took);
    close $shut;
    like(rest_of($s), qr/\bwaited\n/, 'then the first');
};

case 'a client that hangs up while the script is silent', only => 'hangs_up', code => sub ($way) {
    unlink $family;
    my $s = connected();
    # HAProxy waits for the whole body, or for a buffer full of it
    print $s "POST /cgi-bin/family HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
        . 'x' x 50_000;
    my @pids = wait_pids($family, 4);
    is(scalar(grep { alive($_) } @pids), 4, 'script, children and grandchild run');
    close $s;
    is_deeply([ gone(6, @pids) ], [], 'and are gone soon after their client');
};

# Connections that the bridge has now.
sub connections () {
    my $n = 0;
    for my $pid ($bridge->workers) {
        $n += grep { (readlink $_ // '') =~ /^socket:/ } glob "/proc/$pid/fd/*";
    }
    return $n - $listening;
}

sub connected () {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $front->port,
        Timeout => slow(5)) or die $front->name . ": $!\n";
    $s->autoflush(1);
    return $s;
}

# All there is to read, of a server that has closed or is silent for a second.
sub rest_of ($s) {
    my $in = '';
    while (IO::Select->new($s)->can_read(slow(length $in ? 1 : 15))) {
        last if !sysread $s, $in, 65536, length $in;
    }
    return $in;
}

$listening = connections();

for my $way (@ways) {
    my $start = $way->{start};
    $front = FrontEnd->$start(edit => $way->{edit});
    $http = $front->client(keep_alive => !$way->{closes});
    for my $case (grep { !$_->{only} || $way->{ $_->{only} } } @cases) {
        scenario("$way->{name}: $case->{name}", sub { $case->{code}->($way) }, secs => 90);
    }
    $front->stop;
}

# ---- authorizers ------------------------------------------------------------------------

script('authorize', <<~'SH');
    #!/bin/sh
    # An authorizer: what it says is behind the ? of the URL.
    case $FCGI_ROLE:$REQUEST_METHOD:${REQUEST_URI#*\?} in
    AUTHORIZER:*:grant)
        echo 'Status: 200 OK'
        echo 'Variable-REMOTE_USER: jo'
        echo 'Variable-TEAM: red'
        printf 'Set-Cookie: none=of-this\n\nnor of this\n' ;;
    AUTHORIZER:*:challenge)
        # Status last: lighttpd would drop what stands before it
        echo 'WWW-Authenticate: Basic realm="here"'
        echo 'Content-Type: text/plain'
        printf 'Status: 401 Unauthorized\n\n'
        sleep 0.2 # Apache keeps only what comes with the headers
        echo 'who are you' ;;
    AUTHORIZER:*:forbid)
        printf 'Status: 403 Forbidden\nContent-Type: text/plain\n\nnot you\n' ;;
    AUTHORIZER:*:silent) exit 0 ;;
    AUTHORIZER:*:fails) exit 3 ;;
    AUTHORIZER:*:dies) kill -9 $$ ;;
    AUTHORIZER:*:unended) echo 'Status: 200 OK' ;;
    AUTHORIZER:*:nothing) printf 'Status: 600 what\nStatus: 200 OK\n\n' ;;
    esac
    SH

sub private ($method, $script, %o) {
    return ask($method => "/private/$script", %o);
}

# What may never be: a grant.
sub is_refused ($script, $name) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = private(GET => $script);
    like($r->{status}, qr/^[45]\d\d$/, "$name: $r->{status}");
    unlike($r->{content}, qr/REMOTE_USER|SCRIPT_NAME/, 'and nothing of what is protected');
}

my @authorizers = (
    { name => 'Apache, authorizer', start => 'apache', edit => sub {
        my $file = slurp("$Bridge::srcdir/contrib/apache/authorizer.conf");
        s/\z/\n$file/;
        s{/usr/lib/cgi-bin}{$dir}g;
        FrontEnd::swap('fcgi://127.0.0.1:9000/', "fcgi://$tcp/");
        by_unix() },
        # it says so of each refusal, and of each failure
        logs => qr/authnz_fcgi:error|authz_core:error/ },
    { name => 'lighttpd, authorizer', start => 'lighttpd', edit => sub {
        my $file = slurp("$Bridge::srcdir/contrib/lighttpd/authorizer.conf");
        s/\z/\n$file/;
        s{/usr/lib/cgi-bin}{$dir}g;
        by_unix() },
        logs => qr/establishing connection failed|all handlers for/ },
);

for my $way (@authorizers) {
    my $start = $way->{start};
    my $own = Bridge->start(args => [ '--socket-mode', '0666' ]);
    local ($socket, $tcp) = ($own->url('unix') =~ s/^unix://r, $own->url('tcp') =~ s/^tcp://r);
    $front = FrontEnd->$start(edit => $way->{edit});
    $http = $front->client;
    $front->expect($way->{logs});

    scenario "$way->{name}: grants" => sub {
        my $r = private(GET => 'environ/a/b?grant');
        my $env = env_of($r);
        is($r->{status}, 200, 'the script answers');
        is_deeply([ @$env{qw(REMOTE_USER TEAM SCRIPT_NAME PATH_INFO SCRIPT_FILENAME FCGI_ROLE
            CGIBRIDGE_AUTHORIZER)} ],
            [ 'jo', 'red', '/private/environ', '/a/b', "$dir/environ", undef, undef ], 'it has the Variables');
        is($r->{headers}{'set-cookie'}, undef, 'the client has nothing of the authorizer');
        $r = duplex('/private/echo?grant', $five);
        is(sha256_hex($r->{content}), sha256_hex($five), 'a POST');
    };

    scenario "$way->{name}: refuses" => sub {
        my $r = private(GET => 'environ?challenge');
        is("$r->{status} $r->{content}", "401 who are you\n", '401, with its body');
        is($r->{headers}{'www-authenticate'}, 'Basic realm="here"', 'WWW-Authenticate');
        $r = private(POST => 'environ?forbid', body => 'abc');
        is("$r->{status} $r->{content}", "403 not you\n", '403, with its body');
    };

    scenario "$way->{name}: what fails does not grant" => sub {
        is_refused("environ?$_", $_) for qw(silent fails dies unended nothing);
        chmod 0644, "$dir/authorize";
        is_refused('environ?grant', 'not executable');
        rename "$dir/authorize", "$dir/authorize.gone";
        is_refused('environ?grant', 'missing');
        rename "$dir/authorize.gone", "$dir/authorize";
        chmod 0755, "$dir/authorize";
        is(private(GET => 'environ?grant')->{status}, 200, 'there again');
    };

    $own->stop;
    scenario "$way->{name}: no bridge" => sub {
        is_refused('environ?grant', 'stopped');
    };
    $front->stop;
}

# ---- cgi-fcgi -----------------------------------------------------------------------------

# Runs cgi-fcgi as a web server would run a CGI script.
sub cgi_fcgi ($kind, $script, %o) {
    my %env = (@{ $bridge->params($script =~ s/\?.*//sr) }, QUERY_STRING => $script =~ s/^[^?]*\??//sr,
        defined $o{body} ? (REQUEST_METHOD => 'POST', CONTENT_LENGTH => length $o{body}) : ());
    my $r = run_program([ is_program('cgi-fcgi', 'libfcgi-bin'), '-bind', '-connect',
        $kind eq 'unix' ? $socket : $tcp ], env => \%env, stdin => $o{body} // '');
    my ($head, $body) = split /\r\n\r\n/, $r->{out}, 2;
    my $status = ($head // '') =~ /^Status: (\d+)/ ? $1 : 200;
    return { %$r, head => $head, body => $body, status => $status };
}

on_both 'cgi-fcgi: the answer, and the exit status is the script\'s' => sub ($kind) {
    my $r = cgi_fcgi($kind, 'hello');
    is("$r->{status} $r->{body} $r->{exit}", "200 hello\n 0", 'a script that is well');
    for my $n (0, 1, 3, 255) {
        $r = cgi_fcgi($kind, "exits?$n");
        is("$r->{body} $r->{exit}", "exit $n\n $n", "exit status $n");
    }
    $r = cgi_fcgi($kind, 'missing');
    is($r->{status}, 404, 'no such script: 404');
    $r = cgi_fcgi($kind, 'silent?3');
    is("$r->{status} $r->{exit}", '500 3', 'no output: 500');
    $r = cgi_fcgi($kind, 'moved');
    is($r->{status}, 302, 'Location: 302');
};

on_both 'cgi-fcgi: bodies' => sub ($kind) {
    # 1 MB: it writes while it reads, but one record after the other
    my $r = cgi_fcgi($kind, 'echo', body => $block);
    is(sha256_hex($r->{body}), sha256_hex($block), 'one that comes back');
    $r = cgi_fcgi($kind, 'hello', body => $block);
    is($r->{body}, "hello\n", 'one that is not read');
    $r = cgi_fcgi($kind, 'page?5000000');
    is(length $r->{body}, 5_000_000, 'a long answer');
    $r = cgi_fcgi($kind, 'complains');
    is("$r->{body}$r->{err}", "fine\n", 'stderr is not in it');
};

$bridge->stop;
done_testing;

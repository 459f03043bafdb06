# SPDX-License-Identifier: ISC
#
# FrontEndCases: the same scripts through each front end there is: whichever it is, the client
# gets the same answer.  The front ends run with the files of contrib/.
#
# A tests/frontends_*.t gives the ways in which its front end can be set up.  All cases run for
# each of them; those of the first way, the file of contrib/ as it is, are its column of the
# table in README, which is compared here.  tests/frontends-table writes that table.
package FrontEndCases;
use v5.36;
use Digest::SHA qw(sha256_hex);
use Errno;
use Exporter 'import';
use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;
use FrontEnd;

our @EXPORT = qw(case ask duplex connected rest_of by_unix with_authorizer
    test_front_end test_authorizer);

our ($bridge, $socket, $tcp); # what the ways connect to
our ($front, $http);          # of the way that is being tested

my $MB = 1 << 20;
my $dir = Bridge::cgi();
my $family = tmp() . '/family'; # where a script tells its pids
my $listening = 0;              # sockets of the bridge that are not connections

# ---- scripts for answers of each kind --------------------------------------------

sh('moved', q{printf 'Location: http://localhost/elsewhere\n\n'});
sh('inward', q{printf 'Location: /cgi-bin/hello\n\n'});
sh('notfound', q{printf 'Status: 404 Not Found\nContent-Type: text/plain\n\nnothing of that name\n'});
sh('nph-teapot', q{printf 'HTTP/1.1 418 I am a teapot\r\nContent-Type: text/plain\r\n'
    printf 'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n'
    printf '6\r\nshort \r\n9\r\nand stout\r\n0\r\n\r\n'});
sh('nocontent', q{printf 'Status: 204 No Content\nContent-Type: text/plain\n\nbut there is some\n'});
sh('toolong', q{printf 'Content-Type: text/plain\nContent-Length: 5\n\nhello, and more than that\n'});
sh('killed', q{kill -9 $$});
sh('unended', q{printf 'Content-Type: text/plain\n'});

# ---- ways --------------------------------------------------------------------------

# What a way may say of itself:
#   name, start    a name, and the method of FrontEnd that starts it
#   edit           what to change in the file of contrib/, which is in $_
#   kept           it keeps its connections to the bridge open
#   cannot         { KEY => why }: the cases that it cannot do; they test that it is so
#   chunked_from   with `chunked` in that: the longest body of unknown length that it takes
#   chunked        what it answers to a longer one
#   closes         streaming a request, nginx and lighttpd close the client's connection without
#                  a word if the answer is there before the body: a client must not reuse it
#   program        it is not a server: no case that needs a connection to it

sub by_unix () {
    FrontEnd::swap('/run/cgibridge.sock', $socket);
}

# ---- asking ---------------------------------------------------------------------------

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
    return { %$r, content => $r->{content} // '', seconds => time - $since };
}

# A POST by a client that reads while it writes.  Most front ends hold little of an answer,
# so one that writes all first, as HTTP::Tiny does, could wait for them as they for it.
sub duplex ($script, $body) {
    return ask(POST => $script, body => $body) if !$front->port;
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

# Its name is a row of the table in README; `key` is for the ways that cannot do it, and
# `server` for a case that needs a connection to a server.
sub case ($key, $name, $code, %o) {
    push @cases, { key => $key, name => $name, code => $code, %o };
}

sub cannot ($way, $key) { return exists $way->{cannot}{$key} }

case environ => 'environment, PATH_INFO and query' => sub ($way) {
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

case post => 'a body of 5 MB' => sub ($way) {
    my $r = duplex('echo', $five);
    is("$r->{status} " . sha256_hex($r->{content}), '200 ' . sha256_hex($five), 'every byte');
    is(ask(POST => 'count', body => $five)->{content}, length($five) . ' ' . length($five) . "\n",
        'and CONTENT_LENGTH says how many');
};

case chunked => 'a body of unknown length (chunked)' => sub ($way) {
    for my $body ('a few bytes', $five) {
        my $n = length $body;
        if (cannot($way, 'chunked') && $n > $way->{chunked_from}) {
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

case ignored => 'a script that does not read its body' => sub ($way) {
    for my $script ('hello', 'deaf') {
        my $r = ask(POST => $script, body => $five);
        like("$r->{status} $r->{content}", qr/^200 hello\n$|^200 heard nothing\n$/, $script);
        cmp_ok($r->{seconds}, '<', slow(3), sprintf 'in %.3f s', $r->{seconds});
    }
    my $r = duplex('page?2000000', $five);
    is(length $r->{content}, 2_000_000, 'the whole of a long answer');
    cmp_ok($r->{seconds}, '<', slow(3), sprintf 'in %.3f s', $r->{seconds});
};

case duplex => 'output of 4 MB before the body is read' => sub ($way) {
    my $r = duplex('gusher?' . 4 * $MB, $five);
    ok(substr($r->{content}, 0, 4 * $MB) eq 'y' x (4 * $MB), 'all of it came');
    is(substr($r->{content}, 4 * $MB), 'read ' . length($five) . "\n", 'and all of it went');
};

case location => 'a redirect: Location without Status' => sub ($way) {
    my $r = ask(GET => 'moved');
    is("$r->{status} $r->{headers}{location}", '302 http://localhost/elsewhere', 'is a 302');
};

case redirect => 'a local redirect (--local-redirect)' => sub ($way) {
    my $r = ask(GET => 'inward');
    cannot($way, 'redirect') ? is("$r->{status} $r->{headers}{location}", '302 /cgi-bin/hello', 'is a 302')
        : is("$r->{status} $r->{content}", "200 hello\n", 'is the answer of the script it leads to');
};

case status => 'a status with a page of the script' => sub ($way) {
    my $r = ask(GET => 'notfound');
    is("$r->{status} $r->{content}", "404 nothing of that name\n", 'both as they are');
};

case nph => 'an HTTP status line and a chunked body' => sub ($way) {
    my $r = ask(GET => 'nph-teapot');
    is("$r->{status} $r->{content}", '418 short and stout', 'its status, its body decoded');
};

case bodiless => 'no body after HEAD, 204, Content-Length' => sub ($way) {
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

case fails => 'a script that fails: 404, 500 with a page' => sub ($way) {
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

case stderr => 'stderr goes to the log alone' => sub ($way) {
    my $mark = $bridge->mark;
    is(ask(GET => 'complains')->{content}, "fine\n", 'the body');
    ok($bridge->wait_for_log(qr/complains\[\d+\].*complaint two/, 5, from => $mark),
        "it is in the bridge's log");
};

case download => 'a download of 20 MB' => sub ($way) {
    my $r = ask(GET => 'pattern?20');
    is("$r->{status} " . sha256_hex($r->{content}), '200 ' . pattern_sum(20), 'every byte');
};

case prompt => '100 POSTs that are answered at once' => sub ($way) {
    # Apache sends the body's end in a record of its own, when the answer may be out
    my @bodies = map { 'b' x ($_ * 97) } 1 .. 100;
    for my $how ('with', 'some time after') {
        my $client = $front->client(keep_alive => !$way->{closes}, delays => $how ne 'with');
        my $bad = grep { $_->{status} != 200 || $_->{content} ne "hello\n" }
            map { ask(POST => 'hello', body => $_, by => $client) } splice @bodies, 0, 50;
        is($bad, 0, "none fails whose body comes $how its head");
    }
};

case series => '200 requests one after the other' => sub ($way) {
    my $bad = 0;
    for my $n (1 .. 200) {
        my $r = $n % 4 ? ask(GET => "page?$n") : ask(POST => 'echo', body => 'x' x $n);
        $bad++ if length $r->{content} != $n;
    }
    is($bad, 0, 'each has its answer');
};

case kept => 'it keeps its connections to the bridge' => sub ($way) {
    my $kept = 0;
    wait_until(cannot($way, 'kept') ? 0 : 5, sub { ask(GET => 'hello'); $kept = connections() });
    cannot($way, 'kept') ? is(wait_until(5, sub { !connections() }), 1, 'no connection is left')
        : cmp_ok($kept, '>', 0, "$kept connections are kept");
    cmp_ok($kept, '<', 60, 'no more than processes and threads');
}, server => 1;

case climbs => '".." in a URL leads nowhere' => sub ($way) {
    unlink $family;
    spew(tmp() . '/outside', qq{#!/bin/sh\necho ran >"\$TEST_PIDS"\n}, 0755);
    $front->expect(qr{/outside}); # nginx looks for a file
    # most resolve it, and have no page of that name; HAProxy is told to refuse it
    ask(GET => $_) for qw(/cgi-bin/../outside /cgi-bin/%2e%2e/outside /cgi-bin/hello/../../../outside);
    ok(!-e $family, 'what is outside does not run');
}, server => 1;

case waits => 'a script waits, others do not' => sub ($way) {
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
}, server => 1;

case ticks => 'output as it comes' => sub ($way) {
    my $s = connected();
    my ($gate, $shut) = gate();
    sh('steps-by', qq{printf 'Content-Type: text/plain\n\nfirst\n'; flock -s -w 60 $gate true; echo last});
    print $s "GET /cgi-bin/steps-by HTTP/1.0\r\nHost: localhost\r\n\r\n";
    my $in = '';
    my $secs = cannot($way, 'ticks') ? 1 : slow(10);
    while ($in !~ /first/ && IO::Select->new($s)->can_read($secs)) {
        last if !sysread $s, $in, 65536, length $in;
    }
    cannot($way, 'ticks') ? unlike($in, qr/first/, 'its first line waits')
        : like($in, qr/first\n/, 'its first line is there before its last');
    close $shut;
    like($in . rest_of($s), qr/first\n.*last\n/s, 'then the last');
}, server => 1;

case upload => 'an upload as it comes' => sub ($way) {
    sh('sips', q{printf 'Content-Type: text/plain\n\n'; head -c 10 >"$TEST_PIDS"; cat >/dev/null; echo all});
    unlink $family;
    my $s = connected();
    print $s "POST /cgi-bin/sips HTTP/1.0\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"
        . 'x' x 100_000;
    my $came = wait_until(cannot($way, 'upload') ? 1 : 10, sub { -s $family });
    cannot($way, 'upload') ? ok(!$came, 'the script does not run yet')
        : ok($came, 'the script has some of it before the client has sent all');
    print $s 'x' x 100_000;
    like(rest_of($s), qr/all\n/, 'then the rest');
}, server => 1;

# Its pids are gone soon, or after a while they are not, and are stopped here.
sub are_gone ($way, $key, @pids) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    if (!cannot($way, $key)) {
        is_deeply([ gone(10, @pids) ], [], 'all that ran is gone soon after its client');
        return;
    }
    sleep 1.5;
    ok(alive($pids[0]), 'the script goes on');
    kill 'TERM', @pids;
}

# The files of contrib/ have a limit of 100 MB or MiB.
case limit => 'an upload over its limit is answered 413' => sub ($way) {
    my $left = 110_000_000;
    my $piece = 'x' x $MB;
    $front->expect(qr{client intended to send too large|/count|too large|reading input brigade|request body});
    my $s = connected();
    print $s "POST /cgi-bin/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: $left\r\n\r\n";
    $s->blocking(0);
    my ($in, $out) = map { IO::Select->new($s) } 1 .. 2;
    while ($left > 0 && !$in->can_read(0) && $out->can_write(slow(20))) {
        my $n = syswrite $s, $piece, $left < $MB ? $left : $MB;
        last if !defined $n && !$!{EAGAIN};
        $left -= $n // 0;
    }
    $in->can_read(slow(20));
    sysread $s, my $answer, 4096;
    is(($answer // '') =~ /^HTTP\S+ (\d+)/ ? $1 : 'none', cannot($way, 'limit') ? 200 : 413,
        'the answer');
}, server => 1;

case silent => 'its client leaves in silence after the header' => sub ($way) {
    unlink $family;
    my $s = connected();
    print $s "GET /cgi-bin/family HTTP/1.1\r\nHost: localhost\r\n\r\n";
    my @pids = wait_pids($family, 4);
    is(scalar(grep { alive($_) } @pids), 4, 'script, children and grandchild run');
    close $s;
    are_gone($way, 'silent', @pids);
}, server => 1;

case uploading => 'its client leaves in the middle of its upload' => sub ($way) {
    unlink $family;
    $front->expect(qr{reading input brigade|unexpected EOF|/family|unexpected end-of-file});
    my $s = connected();
    print $s "POST /cgi-bin/family HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"
        . 'x' x 100_000;
    my @pids = cannot($way, 'upload') ? () : wait_pids($family, 4);
    close $s;
    are_gone($way, 'uploading', @pids);
    ask(GET => 'hello');
    ok(!cannot($way, 'upload') || !-e $family, 'or has never run');
}, server => 1;

case leaves => 'its client leaves in the middle of output' => sub ($way) {
    sh('pours', q{echo $$ >"$TEST_PIDS"; printf 'Content-Type: text/plain\n\n'
        while sleep 0.02; do printf '%4000s\n' x; done});
    unlink $family;
    $front->expect(qr{/pours|Failed to read FastCGI header|aborting with incomplete});
    my $s = connected();
    print $s "GET /cgi-bin/pours HTTP/1.0\r\nHost: localhost\r\n\r\n";
    my @pids = wait_pids($family, 1);
    sysread $s, my $some, 1 if !cannot($way, 'ticks');
    close $s;
    are_gone($way, 'leaves', @pids);
}, server => 1;

case cut => 'an answer cut short is not taken for whole' => sub ($way) {
    sh('cut', q{printf 'Content-Type: text/plain\n\nthe beginning'; sleep 0.2; kill -9 $$});
    $front->expect(qr{/cut|unexpected end-of-file|End of file found});
    my $s = connected();
    print $s "GET /cgi-bin/cut HTTP/1.1\r\nHost: localhost\r\n\r\n";
    my $in = rest_of($s);
    my $whole = $in =~ /\r\n0\r\n\r\n\z/ || $in =~ /^HTTP\S+ 200(?!.*chunked)/s;
    cannot($way, 'cut') ? ok($whole, 'the client takes it for whole')
        : ok(!$whole, 'its end does not come') or diag($in);
}, server => 1;

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

# ---- running them --------------------------------------------------------------------

sub is_done ($way, $case) {
    return scenario("$way->{name}: $case->{name}", sub { $case->{code}->($way) }, secs => 90);
}

# All cases through one way: { name of the case => 'yes', or why not }.
sub run_way ($way) {
    my $start = $way->{start};
    my %result;
    $front = FrontEnd->$start(edit => $way->{edit});
    $http = $front->client(keep_alive => !$way->{closes});
    for my $case (grep { !$way->{program} || !$_->{server} } @cases) {
        my $ok = is_done($way, $case);
        $result{ $case->{name} } = !$ok ? 'failed' : $way->{cannot}{ $case->{key} } // 'yes';
    }
    $front->stop;
    return \%result;
}

# `column` is the front end's name in README's table; bridge => more options of the bridge.
sub test_front_end ($column, $ways, %o) {
    # 0666: Apache's and HAProxy's processes may be other users' than the bridge's
    $bridge = Bridge->start(workers => 2, args => [ '--kill-delay', '1s', '--socket-mode', '0666',
        '--linger', '1s', '--disconnect-grace', '1s', '--local-redirect' ], env => { TEST_PIDS => $family });
    $socket = $bridge->url('unix') =~ s/^unix://r;
    $tcp = $bridge->url('tcp') =~ s/^tcp://r;
    $listening = connections();
    my @results = map { run_way($_) } @$ways;
    $o{more}->($results[0]) if $o{more};
    check_column($column, $results[0]);
    $bridge->stop;
}

# ---- the table in README ----------------------------------------------------------------

# The column as README has it, { row => 'yes', '-', or why not }.
sub read_column ($column) {
    my ($head, $rows) = slurp("$Bridge::srcdir/README")
        =~ /^( {20,}nginx .*)\n((?:    \S.*\n)+)/m or die "README has no table of front ends\n";
    my ($notes) = slurp("$Bridge::srcdir/README") =~ /^    (\(1\) .*?)\n\n\n/ms;
    my %note = map { s/\s+/ /gr =~ /^(\S+) (.*)/ ? ($1, $2) : () } split /\n    (?=\()/, $notes // '';
    my @names = split ' ', $head;
    my ($at) = grep { $names[$_] eq $column } 0 .. $#names;
    die "README's table has no column $column\n" if !defined $at;
    my %cells;
    for my $row (split /\n/, $rows) {
        my ($name, $cells) = $row =~ /^    (.*?)  +(\S.*)/ or next;
        my $cell = (split ' ', $cells)[$at];
        $cells{$name} = $note{$cell} // $cell;
    }
    return \%cells;
}

# The rows are in the order of the cases, those of one front end alone come last.
# Leaves the column for tests/frontends-table, or holds README to it.
sub check_column ($column, $result) {
    my @rows = grep { exists $result->{$_} } map { $_->{name} } @cases;
    push @rows, grep { my $row = $_; !grep { $_ eq $row } @rows } sort keys %$result;
    if ($ENV{FRONT_ENDS}) {
        spew("$ENV{FRONT_ENDS}/$column", join '', map { "$_\t$result->{$_}\n" } @rows);
        return;
    }
    my $readme = read_column($column);
    is_deeply({ map { $_ => $readme->{$_} } grep { $readme->{$_} ne '-' } keys %$readme }, $result,
        "README's table says this of $column (tests/frontends-table writes it)");
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

# Adds the file to the configuration in $_.
sub with_authorizer ($file) {
    my $text = slurp("$Bridge::srcdir/contrib/$file");
    s/\z/\n$text/;
    s{/usr/lib/cgi-bin}{$dir}g;
    return;
}

# Runs `way`, with its authorizer: 'yes' if all is well.
sub test_authorizer ($way) {
    my $ok = 1;
    my $start = $way->{start};
    my $own = Bridge->start(args => [ '--socket-mode', '0666' ]);
    local ($socket, $tcp) = ($own->url('unix') =~ s/^unix://r, $own->url('tcp') =~ s/^tcp://r);
    $front = FrontEnd->$start(edit => $way->{edit});
    $http = $front->client;
    $front->expect($way->{logs});

    $ok &= scenario "$way->{name}: grants" => sub {
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

    $ok &= scenario "$way->{name}: refuses" => sub {
        my $r = private(GET => 'environ?challenge');
        is("$r->{status} $r->{content}", "401 who are you\n", '401, with its body');
        is($r->{headers}{'www-authenticate'}, 'Basic realm="here"', 'WWW-Authenticate');
        $r = private(POST => 'environ?forbid', body => 'abc');
        is("$r->{status} $r->{content}", "403 not you\n", '403, with its body');
    };

    $ok &= scenario "$way->{name}: what fails does not grant" => sub {
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
    $ok &= scenario "$way->{name}: no bridge" => sub {
        is_refused('environ?grant', 'stopped');
    };
    $front->stop;
    return $ok ? 'yes' : 'failed';
}

1;

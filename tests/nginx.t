#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# The whole way: HTTP through a real nginx to unmodified CGI programs.
use v5.36;
use Digest::SHA;
use IO::Socket::INET;
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

is_program('nginx', 'nginx');
is_program('git', 'git');

my $MB = 1 << 20;
my $tmp = Bridge::tmp();
my $dir = Bridge::cgi();
my $repos = "$tmp/repositories";
mkdir $repos;

my $bridge = Bridge->start(workers => 2, args => [ '--kill-delay', '1s', '--disconnect-grace', '1s' ]);
my %pass = (unix => $bridge->url('unix'), tcp => $bridge->url('tcp') =~ s/^tcp://r);

# ---- nginx: a location for each way to pass a request on ------------------------

my $common = Bridge::nginx_params($dir);
my ($conf, $http, @ways) = ('', '');

for my $kind (qw(unix tcp)) {
    # a pool of kept connections is for keep_conn on alone: unbuffered, nginx puts
    # a connection there even if it has asked for it to be closed
    $http .= "upstream $kind-on { server $pass{$kind}; keepalive 4; }\n"
        . "upstream $kind-off { server $pass{$kind}; }\n";
    for my $keep (qw(on off)) {
        for my $buffering (qw(on off)) {
            for my $body (qw(on off)) {
                my $way = "$kind-$keep-$buffering-$body";
                push @ways, { name => "keep_conn $keep, buffering $buffering, "
                    . "request_buffering $body, $kind", path => "/$way", kind => $kind };
                $conf .= <<~CONF;
                    location /$way/ {
                        fastcgi_split_path_info ^/$way(/[\\w-]+)(.*)\$;
                        fastcgi_param SCRIPT_FILENAME $dir\$fastcgi_script_name;
                        fastcgi_param SCRIPT_NAME /$way\$fastcgi_script_name;
                        fastcgi_param PATH_INFO \$fastcgi_path_info;
                        fastcgi_param TEST_PIDS \$arg_pids if_not_empty;
                        $common
                        fastcgi_pass $kind-$keep;
                        fastcgi_keep_conn $keep;
                        fastcgi_buffering $buffering;
                        fastcgi_request_buffering $body;
                    }
                    CONF
            }
        }
    }
    $conf .= <<~CONF;
        location /git-$kind/ {
            fastcgi_split_path_info ^(/git-$kind)(/.*)\$;
            fastcgi_param SCRIPT_FILENAME $dir/git;
            fastcgi_param SCRIPT_NAME \$fastcgi_script_name;
            fastcgi_param PATH_INFO \$fastcgi_path_info;
            fastcgi_param GIT_PROJECT_ROOT $repos;
            fastcgi_param GIT_HTTP_EXPORT_ALL "";
            fastcgi_param REMOTE_USER someone;
            fastcgi_param HOME $tmp;
            $common
            fastcgi_pass $kind-off;
            fastcgi_read_timeout 60s;
        }
        CONF
}

my $nginx = Bridge->nginx($conf, http => $http);
my $port = $nginx->port;

# ---- an HTTP client that is bounded in time and in memory --------------------------

sub http_connect () {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => slow(5))
        or die "nginx: $!\n";
    $s->autoflush(1);
    return $s;
}

sub wait_readable ($s, $secs) {
    my $r = '';
    vec($r, fileno $s, 1) = 1;
    return select($r, undef, undef, $secs) > 0;
}

# Reads a response up to the server's close, each piece of the body to $take->().
# Returns { status, head, length, seconds, times }, with length -1 if it stalled.
sub http_read ($s, $take, $secs = 15) {
    my ($since, $in, %r) = (time, '', (length => 0, times => []));
    my $chunked;
    while (1) {
        if (!wait_readable($s, slow($secs))) {
            $r{length} = -1;
            last;
        }
        my $got = sysread $s, $in, 262144, length $in;
        last if !$got;
        if (!defined $r{head}) {
            my $end = index $in, "\r\n\r\n";
            next if $end < 0;
            $r{head} = substr $in, 0, $end + 4, '';
            ($r{status}) = $r{head} =~ m{^HTTP/1\.\d (\d+)};
        }
        push @{ $r{times} }, time if length $in;
        $r{length} += length $in;
        $take->($in);
        $in = '';
    }
    $r{seconds} = time - $since;
    return \%r;
}

# HTTP/1.0, so that a body comes as it is.
sub http ($method, $path, $body = '', $secs = 15) {
    my $s = http_connect();
    my $length = $method eq 'POST' ? 'Content-Length: ' . length($body) . "\r\n" : '';
    my $since = time;
    print $s "$method $path HTTP/1.0\r\nHost: localhost\r\n$length\r\n$body";
    my $text = '';
    my $r = http_read($s, sub ($piece) { $text .= $piece }, $secs);
    return { %$r, body => $text, seconds => time - $since };
}

# ---- the founding bug -----------------------------------------------------------------

scenario 'trap 1: a POST of 4 bytes to a script that answers without reading' => sub {
    my $worst = 0;
    for my $way (@ways) {
        for my $round (1 .. 3) {
            my $r = http(POST => "$way->{path}/hello", 'abcd');
            my $ok = ($r->{status} // 0) == 200 && $r->{body} eq "hello\n"
                && $r->{seconds} < slow(1);
            $worst = max($worst, $r->{seconds});
            next if $ok && $round < 3;
            ok($ok, sprintf '%s: %.3f s', $way->{name}, $r->{seconds})
                or diag($r->{head} // 'no answer', $r->{body});
            last if !$ok;
        }
    }
    diag(sprintf 'slowest of %d: %.3f s', 3 * @ways, $worst);
    is(scalar @ways, 16, 'all sixteen ways');
}, secs => 300;

scenario 'trap 1: the same, 200 KB of body and of answer' => sub {
    my $body = 'b' x 200_000;
    for my $way (@ways) {
        my $r = http(POST => "$way->{path}/page?200000", $body);
        ok(($r->{status} // 0) == 200 && length $r->{body} == 200_000 && $r->{seconds} < slow(1),
            sprintf '%s: %.3f s', $way->{name}, $r->{seconds})
            or diag($r->{head} // 'no answer', length $r->{body});
    }
}, secs => 300;

scenario 'trap 1: the terminator of the body is held back' => sub {
    # half the body, so that with request_buffering off nginx has not ended STDIN
    # when the answer comes
    for my $way (grep { $_->{path} =~ /off$/ } @ways) {
        my $s = http_connect();
        my $since = time;
        print $s "POST $way->{path}/hello HTTP/1.0\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab";
        my $text = '';
        my $r = http_read($s, sub ($piece) { $text .= $piece });
        my $took = time - $since;
        ok($text eq "hello\n" && $took < slow(1), sprintf '%s: %.3f s', $way->{name}, $took)
            or diag($r->{head} // 'no answer', $text);
    }
}, secs => 180;

scenario 'trap 1: a script that sends its header before it reads 5 MB' => sub {
    # nginx stops sending the body once it has the header: git receive-pack
    # would wait for the rest for ever
    my $body = 'b' x (5 * $MB);
    for my $way (@ways) {
        for my $delay (0, 0.3) {
            my $r = http(POST => "$way->{path}/late?$delay", $body);
            ok($r->{body} eq 5 * $MB . "\n",
                sprintf '%s, %.1f s later: %.3f s', $way->{name}, $delay, $r->{seconds})
                or diag($r->{head} // 'no answer', $r->{body});
        }
    }
}, secs => 600;

# ---- all kinds of answers ---------------------------------------------------------------

scenario 'answers' => sub {
    for my $way (@ways) {
        my $r = http(GET => "$way->{path}/environ/a/b?c=d");
        my %env = map { /^([^=]*)=(.*)/s } split /\0/, $r->{body};
        is_deeply({ map { $_ => $env{$_} } qw(SCRIPT_NAME PATH_INFO PATH_TRANSLATED QUERY_STRING
                REQUEST_METHOD SCRIPT_FILENAME) },
            { SCRIPT_NAME => "$way->{path}/environ", PATH_INFO => '/a/b', QUERY_STRING => 'c=d',
                PATH_TRANSLATED => "$dir/a/b", REQUEST_METHOD => 'GET',
                SCRIPT_FILENAME => "$dir/environ" }, "environment: $way->{name}");
        $r = http(POST => "$way->{path}/echo", 'the body');
        is($r->{body}, 'the body', 'echo');
        $r = http(GET => "$way->{path}/missing");
        is($r->{status}, 404, '404');
        $r = http(GET => "$way->{path}/lost");
        is($r->{status}, 500, '500');
        $r = http(GET => "$way->{path}/silent");
        like($r->{status}, qr/^50[02]$/, 'no output: 50x');
        $r = http(HEAD => "$way->{path}/hello");
        is($r->{status} . $r->{body}, '200', 'HEAD');
    }
}, secs => 240;

# ---- much ----------------------------------------------------------------------------------

my $block = join '', map { chr($_ * 7 % 251) } 0 .. $MB - 1;

# The MiB number n of what the script "pattern" sends.
sub pattern ($n) {
    substr $block, 0, 8, sprintf '%08d', $n;
    return $block;
}

my $expected = do {
    my $sha = Digest::SHA->new(256);
    $sha->add(pattern($_)) for 1 .. 200;
    $sha->hexdigest;
};

# One way for each kind of socket and each buffering; the rest differs little.
my @much = grep { $_->{path} =~ m{/(?:unix|tcp)-(?:on-on-on|off-off-off)} } @ways;

for my $way (@much) {
    scenario "200 MB up ($way->{name})" => sub {
        my $s = http_connect();
        print $s "POST $way->{path}/digest HTTP/1.0\r\nHost: localhost\r\nContent-Length: "
            . 200 * $MB . "\r\n\r\n";
        for my $n (1 .. 200) {
            print $s pattern($n) or die "nginx took $n MB: $!\n";
        }
        my $text = '';
        http_read($s, sub ($piece) { $text .= $piece }, 60);
        is($text, "$expected " . 200 * $MB . "\n", 'the checksum is right');
    }, secs => 120;

    scenario "200 MB down ($way->{name})" => sub {
        my $s = http_connect();
        print $s "GET $way->{path}/pattern?200 HTTP/1.0\r\nHost: localhost\r\n\r\n";
        my $sha = Digest::SHA->new(256);
        my $r = http_read($s, sub ($piece) { $sha->add($piece) }, 60);
        is($r->{length}, 200 * $MB, 'every byte');
        is($sha->hexdigest, $expected, 'and the checksum is right');
    }, secs => 120;
}

# How much a worker may have grown by all that; checkers keep freed memory.
cmp_ok($bridge->memory, '<', ($Bridge::slow > 1 ? 400 : 32) * 1024, 'the workers stay small');

# ---- many ------------------------------------------------------------------------------------

on_both '100 clients of a script that sleeps a second' => sub ($kind) {
    my $since = time;
    my @s;
    for (1 .. 100) {
        my $s = http_connect();
        print $s "GET /$kind-off-on-on/sleeper?1 HTTP/1.0\r\nHost: localhost\r\n\r\n";
        push @s, $s;
    }
    my $good = 0;
    for (@s) {
        my $text = '';
        my $r = http_read($_, sub ($piece) { $text .= $piece }, 30);
        $good += $text eq "slept\n";
    }
    is($good, 100, 'all are answered');
    my $took = time - $since;
    cmp_ok($took, '<', slow(20), sprintf 'in %.1f s', $took);
}, secs => 120;

# ---- as it comes -----------------------------------------------------------------------------

for my $way (grep { $_->{path} =~ /-off-on$/ } @ways) {
    scenario "ticks are seen as ticks ($way->{name})" => sub {
        my $s = http_connect();
        print $s "GET $way->{path}/ticker?6 HTTP/1.0\r\nHost: localhost\r\n\r\n";
        my $text = '';
        my $r = http_read($s, sub ($piece) { $text .= $piece });
        is($text, join('', map { "tick $_\n" } 1 .. 6), 'six of them');
        cmp_ok(scalar @{ $r->{times} }, '>=', 4, 'in at least four pieces');
        cmp_ok($r->{times}[-1] - $r->{times}[0], '>', 0.6, 'over about a second');
    };
}

for my $way (@ways) {
    scenario "a client that hangs up ($way->{name})" => sub {
        my $file = "$tmp/family" . $way->{path} =~ tr{/}{-}r;
        my $s = http_connect();
        print $s "GET $way->{path}/family?pids=$file HTTP/1.0\r\nHost: localhost\r\n\r\n";
        my @pids = wait_pids($file, 4);
        is(scalar(grep { alive($_) } @pids), 4, 'script, children and grandchild run');
        close $s;
        is_deeply([ gone(6, @pids) ], [], 'and are gone soon after their client');
    };
}

# ---- git ----------------------------------------------------------------------------------------

my %git = (
    GIT_CONFIG_NOSYSTEM => 1, HOME => $tmp, GIT_TERMINAL_PROMPT => 0,
    GIT_AUTHOR_NAME => 'A', GIT_AUTHOR_EMAIL => 'a@localhost',
    GIT_COMMITTER_NAME => 'A', GIT_COMMITTER_EMAIL => 'a@localhost', LC_ALL => 'C',
    # noise is not made smaller, only slower
    GIT_CONFIG_COUNT => 1, GIT_CONFIG_KEY_0 => 'core.compression', GIT_CONFIG_VALUE_0 => 0,
);

sub git ($where, @args) {
    my $r = run_program([ 'git', '-C', $where, @args ], env => \%git,
        unset => [qw(GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE http_proxy https_proxy all_proxy
            HTTP_PROXY ALL_PROXY)], secs => 90);
    $r->{exit} == 0 or die "git @args: $r->{err}\n";
    return $r->{out};
}

# A file of `mb` MiB that does not compress; its checksum.
sub random_file ($path, $mb) {
    open my $in, '<:raw', '/dev/urandom' or die "$!\n";
    open my $out, '>:raw', $path or die "$!\n";
    for (1 .. $mb) {
        read $in, my($piece), $MB;
        print $out $piece;
    }
    close $out or die "$!\n";
    return Digest::SHA->new(256)->addfile($path, 'b')->hexdigest;
}

on_both 'git clone and git push, 50 MB each' => sub ($kind) {
    my $bare = "$repos/$kind.git";
    git($tmp, 'init', '-q', '--bare', '-b', 'main', $bare);
    git($bare, 'config', 'http.receivepack', 'true');
    git($bare, 'config', 'core.compression', 0);
    my $work = "$tmp/work-$kind";
    git($tmp, 'init', '-q', '-b', 'main', $work);
    my $first = random_file("$work/first", 50);
    git($work, 'add', 'first');
    git($work, 'commit', '-q', '-m', 'one');
    git($work, 'push', '-q', $bare, 'main');

    my $url = "http://127.0.0.1:$port/git-$kind/$kind.git";
    my $clone = "$tmp/clone-$kind";
    git($tmp, 'clone', '-q', $url, $clone);
    is(Digest::SHA->new(256)->addfile("$clone/first", 'b')->hexdigest, $first,
        'the clone has the file');

    my $second = random_file("$clone/second", 50);
    git($clone, 'add', 'second');
    git($clone, 'commit', '-q', '-m', 'two');
    git($clone, 'push', '-q', 'origin', 'main');
    is(git($bare, 'rev-parse', 'main'), git($clone, 'rev-parse', 'main'), 'the push arrived');
    git($bare, 'fsck');
    git($work, 'fetch', '-q', $url, 'main');
    git($work, 'merge', '-q', '--ff-only', 'FETCH_HEAD');
    is(Digest::SHA->new(256)->addfile("$work/second", 'b')->hexdigest, $second,
        'a fetch brings the file back');
    Bridge::remove($_) for $bare, $work, $clone;
}, secs => 300;

$nginx->stop;
$bridge->stop;
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Who may connect: --allow, --allow-user, FCGI_WEB_SERVER_ADDRS, and the sockets that
# others can reach.
#
# A socket that is bound to every address here is held to the loopback device, so that
# no other machine sees it.
use v5.36;
use IO::Socket::INET;
use POSIX ();
use Socket qw(:DEFAULT SOL_SOCKET SO_REUSEADDR AF_INET6 inet_pton pack_sockaddr_in6
    unpack_sockaddr_in6 IPPROTO_IPV6 IPV6_V6ONLY);
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

use constant SO_BINDTODEVICE => 25;

my $tmp = Bridge::tmp();
my @program = (@Bridge::wrapper, $Bridge::daemon);
my $slow = $Bridge::slow;

sub is_served ($bridge, $url, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = eval { FastCGI->ask($url, $bridge->params('hello')) };
    is($r && FastCGI::body($r), "hello\n", $what) or diag($@);
}

# Connects; the connection has to be closed without a byte, at once.
sub is_refused ($url, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $since = time;
    my $c = eval { FastCGI->connect($url) };
    my $end = $c ? $c->wait_close(5) : 'eof'; # gone before we could look
    like($end, qr/^(?:eof|reset)$/, $what);
    cmp_ok(time - $since, '<', slow(2), 'at once');
}

# ---- addresses -----------------------------------------------------------------------

scenario 'without any rule, loopback may' => sub {
    my $bridge = Bridge->start(sockets => [qw(unix tcp tcp6)]);
    is_served($bridge, $bridge->url($_), $_) for qw(unix tcp tcp6);
    unlike($bridge->log, qr/refused/, 'nobody is refused');
    $bridge->stop;
};

for my $case (
    [ 'another network', [ '--allow', '192.0.2.0/24' ], 0, 0 ],
    [ 'the address', [ '--allow', '127.0.0.1' ], 1, 0 ],
    [ 'the network', [ '--allow', '127.0.0.0/8' ], 1, 0 ],
    [ 'the other half of it', [ '--allow', '127.128.0.0/9' ], 0, 0 ],
    [ 'a mapped address', [ '--allow', '::ffff:127.0.0.1' ], 1, 0 ],
    [ 'IPv6 loopback', [ '--allow=::1' ], 0, 1 ],
    [ 'all of IPv6', [ '--allow', '::/0' ], 0, 1 ],
    [ 'all of IPv4', [ '--allow', '0.0.0.0/0' ], 1, 0 ],
    [ 'several', [ '--allow', '192.0.2.1', '--allow', '::1', '--allow', '127.0.0.1' ], 1, 1 ])
{
    my ($name, $args, @wanted) = @$case;
    scenario "--allow: $name" => sub {
        my $bridge = Bridge->start(sockets => [qw(unix tcp tcp6)], args => $args);
        my $said = 0; # once in five seconds
        for my $kind (qw(tcp tcp6)) {
            if (shift @wanted) {
                is_served($bridge, $bridge->url($kind), "$kind is served");
            } else {
                is_refused($bridge->url($kind), "$kind is refused");
                next if $said++;
                my $peer = $kind eq 'tcp' ? qr/127\.0\.0\.1:\d+/ : qr/\[::1\]:\d+/;
                ok($bridge->wait_for_log(qr/ warn: connection refused: from $peer: not one of --allow$/m),
                    'the log names the peer') or diag($bridge->log);
            }
        }
        is_served($bridge, $bridge->url('unix'), 'a unix socket has no part in it');
        $bridge->stop;
    };
}

scenario 'many that are refused are few lines' => sub {
    my $bridge = Bridge->start(args => [ '--allow', '192.0.2.1' ]);
    my $mark = $bridge->mark;
    is_refused($bridge->url('tcp'), 'refused') for 1 .. 20;
    is(scalar(() = $bridge->log_since($mark) =~ /refused/g), 1, 'one line for twenty');
    my $more = 0;
    my $next = qr/ \(and (\d+) since the last such line\)$/m;
    wait_until(15, sub {
        is_refused($bridge->url('tcp'), 'refused');
        $more++;
        return $bridge->wait_for_log($next, 0.5);
    });
    my ($between) = $bridge->log_since($mark) =~ $next;
    is($between, 19 + $more - 1, 'the next says how many');
    is_served($bridge, $bridge->url('unix'), 'others are served');
    $bridge->stop;
};

scenario 'refused connections leave nothing behind' => sub {
    my $bridge = Bridge->start(args => [ '--allow', '192.0.2.1' ]);
    my ($worker) = $bridge->workers;
    my $count = sub { scalar(() = glob "/proc/$worker/fd/*") };
    is_served($bridge, $bridge->url('unix'), 'served');
    my $before = $count->();
    for (1 .. 300) {
        my $c = eval { FastCGI->connect($bridge->url('tcp')) } or next;
        $c->wait_close(5);
    }
    ok(wait_until(5, sub { $count->() == $before }), 'no descriptor') or diag($count->() - $before);
    $bridge->stop;
};

# ---- FCGI_WEB_SERVER_ADDRS ----------------------------------------------------------------

for my $case (
    [ 'us', '127.0.0.1', [], 1, 0 ],
    [ 'a list', '192.0.2.1,127.0.0.1,192.0.2.2', [], 1, 0 ],
    [ 'others', '192.0.2.1', [], 0, 0 ],
    [ 'beside --allow', '127.0.0.1', [ '--allow', '::1' ], 1, 1 ],
    [ 'nobody: the same as without it', '', [], 1, 1 ])
{
    my ($name, $value, $args, @wanted) = @$case;
    scenario "FCGI_WEB_SERVER_ADDRS has $name" => sub {
        my $bridge = Bridge->start(sockets => [qw(unix tcp tcp6)], args => $args,
            env => { FCGI_WEB_SERVER_ADDRS => $value });
        for my $kind (qw(tcp tcp6)) {
            shift @wanted ? is_served($bridge, $bridge->url($kind), "$kind is served")
                : is_refused($bridge->url($kind), "$kind is refused");
        }
        is_served($bridge, $bridge->url('unix'), 'a unix socket has no part in it');
        my $r = $bridge->get('unix', 'environ');
        unlike(FastCGI::body($r), qr/FCGI_WEB/, 'scripts are not told');
        $bridge->stop;
    };
}

for my $value ('127.0.0.1, 127.0.0.2', '127.0.0.1,', 'localhost', '127.0.0.0/8', ',') {
    scenario "FCGI_WEB_SERVER_ADDRS is malformed: '$value'" => sub {
        for my $more ([], ['-n']) {
            my $r = run_program([ @program, '-s', "unix:$tmp/bad", @$more ],
                env => { FCGI_WEB_SERVER_ADDRS => $value });
            is($r->{exit}, 1, "exit status 1 (@$more)");
            like($r->{err}, qr/\Acgibridge: .*FCGI_WEB_SERVER_ADDRS.*\n\z/, 'one line that names it');
            ok(!-e "$tmp/bad", 'no socket is left');
        }
    };
}

# ---- sockets that others can reach -----------------------------------------------------------

for my $url ('tcp:0.0.0.0:9', 'tcp:192.0.2.1:9', 'tcp6:[::]:9', 'tcp6:[2001:db8::1]:9') {
    scenario "$url without --allow" => sub {
        for my $more ([], ['-n']) {
            my $r = run_program([ @program, '-s', "unix:$tmp/wide", '-s', $url, @$more ]);
            is($r->{exit}, 2, "exit status 2 (@$more)");
            like($r->{err}, qr/\Acgibridge: --socket '\Q$url\E': .*--allow ADDR.*127\.0\.0\.1\n\z/,
                'one line that says what to do');
            is($r->{out}, '', 'nothing on stdout');
            ok(!-e "$tmp/wide", 'no socket is left');
        }
    };
    scenario "$url with --allow" => sub {
        my $r = run_program([ @program, '-n', '-s', $url, '--allow', '192.0.2.7' ]);
        is($r->{exit}, 0, 'is fine') or diag($r->{err});
        like($r->{out}, qr/^--allow 192\.0\.2\.7$/m, 'and printed');
        $r = run_program([ @program, '-n', '-s', $url ],
            env => { FCGI_WEB_SERVER_ADDRS => '192.0.2.7' });
        is($r->{exit}, 0, 'with FCGI_WEB_SERVER_ADDRS, too') or diag($r->{err});
    };
}

# A socket at all addresses, of IPv4 or of both, that only the loopback device reaches.
sub wide_socket ($six) {
    socket(my $s, $six ? AF_INET6 : AF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
    setsockopt($s, SOL_SOCKET, SO_BINDTODEVICE, "lo\0") or die "SO_BINDTODEVICE: $!\n";
    setsockopt($s, IPPROTO_IPV6, IPV6_V6ONLY, pack 'i', 0) or die "IPV6_V6ONLY: $!\n" if $six;
    bind($s, $six ? pack_sockaddr_in6(0, inet_pton(AF_INET6, '::')) : pack_sockaddr_in(0, INADDR_ANY))
        or die "bind: $!\n";
    listen $s, 10 or die "listen: $!\n";
    my ($port) = $six ? unpack_sockaddr_in6(getsockname $s) : unpack_sockaddr_in(getsockname $s);
    return ($s, $port);
}

# Puts a socket at a descriptor; by way of another, as it may be there and close-on-exec.
sub put_at ($socket, $fd) {
    my $high = POSIX::dup2(fileno $socket, 60);
    POSIX::dup2($high, $fd);
    POSIX::close($high);
}

sub inherit ($socket) {
    return sub {
        put_at($socket, 3);
        @ENV{qw(LISTEN_FDS LISTEN_PID)} = (1, $$);
    };
}

for my $six (0, 1) {
    my $text = $six ? '\[::\]' : '0\.0\.0\.0';

    scenario "an inherited socket at $text without --allow" => sub {
        my ($socket, $port) = wide_socket($six);
        for my $way ([ [] => inherit($socket) ],
            [ [] => sub { put_at($socket, 0) } ],
            [ ['fd:7'] => sub { put_at($socket, 7) } ])
        {
            my ($sockets, $child) = @$way;
            my $bridge = Bridge->start(sockets => $sockets, any => 1, child => $child);
            is($bridge->wait_exit(10), 1 << 8, 'exit status 1');
            my @lines = grep { / error: / } split /\n/, $bridge->log;
            is(scalar @lines, 1, 'one error');
            like($lines[0], qr/cannot listen on .*$text:$port,.*--allow ADDR/, 'that says what to do');
        }
    };
}

scenario 'an inherited socket at 0.0.0.0 with --allow' => sub {
    my ($socket, $port) = wide_socket(0);
    my $bridge = Bridge->start(sockets => [], child => inherit($socket),
        args => [ '--allow', '127.0.0.1' ]);
    is_served($bridge, "tcp:127.0.0.1:$port", 'is served');
    $bridge->stop;
};

for my $case ([ '127.0.0.0/8', 1, 0 ], [ '::1', 0, 1 ], [ '::/0', 0, 1 ], [ '::ffff:127.0.0.1', 1, 0 ]) {
    my ($rule, $four, $six) = @$case;
    scenario "an inherited socket for both IPv4 and IPv6, --allow $rule" => sub {
        my ($socket, $port) = wide_socket(1);
        my $bridge = Bridge->start(sockets => [], child => inherit($socket),
            args => [ '--allow', $rule ]);
        my %is = ("tcp:127.0.0.1:$port" => $four, "tcp6:[::1]:$port" => $six);
        for my $url (sort keys %is) {
            $is{$url} ? is_served($bridge, $url, "$url is served")
                : is_refused($url, "$url is refused");
        }
        $bridge->stop;
    };
}

# ---- users of unix sockets --------------------------------------------------------------------

# Asks as another user, in a process of its own: "served", "refused", or what went wrong.
sub ask_as ($bridge, $user) {
    my $pid = open(my $out, '-|') // die "fork: $!\n";
    if (!$pid) {
        my $said = eval {
            Bridge::become($user);
            my $r = FastCGI->ask($bridge->url('unix'), $bridge->params('hello'), secs => 10);
            FastCGI::body($r) eq "hello\n" ? 'served' : 'refused';
        } // ($@ =~ /connect/ ? $@ : 'refused');
        syswrite STDOUT, $said;
        POSIX::_exit(0);
    }
    my $said = do { local $/; <$out> };
    close $out;
    return $said;
}

if (is_root()) {
    scenario '--allow-user' => sub {
        my @open = ('--socket-mode', '0666');
        my $bridge = Bridge->start(args => \@open);
        is(ask_as($bridge, $_), 'served', "without: $_") for qw(nobody daemon root);
        $bridge->stop;
        $bridge = Bridge->start(args => [ @open, '--allow-user', 'daemon' ]);
        is(ask_as($bridge, 'daemon'), 'served', 'who is named');
        is(ask_as($bridge, 'root'), 'served', 'root, always');
        my $mark = $bridge->mark;
        is(ask_as($bridge, 'nobody'), 'refused', 'nobody else');
        my $uid = getpwnam 'nobody';
        ok($bridge->wait_for_log(
            qr/ warn: connection refused: from unix, user $uid: not one of --allow-user$/m, 5,
            from => $mark), 'the log says who');
        is_served($bridge, $bridge->url('tcp'), 'TCP has no part in it');
        $bridge->stop;
        $bridge = Bridge->start(args => [ @open, '--allow-user', 'daemon', '--allow-user',
            scalar getpwnam 'nobody' ]);
        is(ask_as($bridge, $_), 'served', "several: $_") for qw(nobody daemon);
        is(ask_as($bridge, 'bin'), 'refused', 'and still nobody else');
        $bridge->stop;
        $bridge = Bridge->start(args => [ @open, '-u', 'nobody', '--allow-user', 'daemon' ]);
        is(ask_as($bridge, 'nobody'), 'served', 'who the scripts run as, always');
        is(ask_as($bridge, 'bin'), 'refused', 'nobody else');
        $bridge->stop;
    };
}

scenario '--allow-user: our own user, always' => sub {
    my $bridge = Bridge->start(args => [ '--allow-user', 'daemon' ],
        is_root() ? (user => 'nobody') : ());
    is_served($bridge, $bridge->url('unix'), 'is served') if !is_root();
    is(ask_as($bridge, 'nobody'), 'served', 'is served') if is_root();
    $bridge->stop;
};

scenario 'an abstract socket has no mode' => sub {
    my $name = "unix:\@cgibridge-allow-$$";
    my $bridge = Bridge->start(sockets => [$name]);
    like($bridge->log, qr/ warn: \Q$name\E: .*--allow-user/, 'the log warns');
    $bridge->stop;
    $bridge = Bridge->start(sockets => [$name], args => [ '--allow-user', 'root' ]);
    unlike($bridge->log, qr/ warn: \Q$name\E/, 'not with --allow-user');
    is_served($bridge, $name, 'it is served');
    $bridge->stop;
    $bridge = Bridge->start;
    unlike($bridge->log, qr/no mode/, 'nor for a socket with a file');
    $bridge->stop;
};

done_testing;

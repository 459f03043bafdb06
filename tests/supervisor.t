#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# The supervisor: keeps workers alive, stops in each way it can be asked to, and
# opens or inherits its sockets.
use v5.36;
use Fcntl;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $tmp = Bridge::tmp();

# ---- workers --------------------------------------------------------------------

scenario 'as many workers as asked for' => sub {
    for my $n (1, 3) {
        my $bridge = Bridge->start(workers => $n);
        ok(wait_until(5, sub { $bridge->workers == $n }), "-c $n: $n workers");
        $bridge->stop;
    }
};

scenario 'a worker is killed' => sub {
    my $bridge = Bridge->start(workers => 2, args => [ '--disconnect-grace', '0' ]);
    for my $kind (qw(unix tcp)) {
        my @before = $bridge->workers;
        # bursts, until each worker has a script
        my (%at, @spare);
        for my $round (1 .. 6) {
            last if keys %at == 2;
            for my $case (burst($bridge, $kind, 6)) {
                $at{ $case->{worker} } ? push @spare, $case : ($at{ $case->{worker} } = $case);
            }
        }
        $_->{c}->hang_up for @spare;
        is(scalar keys %at, 2, "both workers have a script ($kind)") or next;
        my ($dead, $other) = @before;
        my $mark = $bridge->mark;
        kill 'KILL', $dead;
        isnt($at{$dead}{c}->wait_close(5), 'still open', 'its own request ends');
        is_deeply([ gone(5, @{ $at{$dead}{pids} }) ], [], 'its script, children and all, is killed');
        ok(wait_until(10, sub {
            my @now = $bridge->workers;
            return @now == 2 && !grep { $_ == $dead } @now;
        }), 'there is a new worker');
        ok((grep { $_ == $other } $bridge->workers), 'the other one is the same');
        is(scalar(grep { alive($_) } @{ $at{$other}{pids} }), 4, 'and so is its script');
        ok(!$at{$other}{r}{end}, 'which still answers');
        ok($bridge->wait_for_log(qr/\b$dead\b.*(?:signal 9|SIGKILL|[Kk]illed)/, 5, from => $mark),
            'a log line says which and why');
        for (1 .. 10) {
            my $r = $bridge->get($kind, 'hello');
            FastCGI::body($r) eq "hello\n" or fail('requests are served');
        }
        $at{$other}{c}->hang_up;
        gone(8, @{ $at{$other}{pids} });
    }
    $bridge->stop;
}, secs => 120;

# Starts `count` scripts at once; for each { c, r, pids, worker }.
sub burst ($bridge, $kind, $count) {
    my @cases = map { { c => $bridge->connect($kind), file => file() } } 1 .. $count;
    for (@cases) {
        $_->{r} = $_->{c}->start(1, $bridge->params('family', TEST_PIDS => $_->{file}), keep => 1);
    }
    my %is_worker = map { $_ => 1 } $bridge->workers;
    for my $case (@cases) {
        $case->{pids} = [ wait_pids($case->{file}, 4) ];
        ($case->{worker}) = grep { $is_worker{$_} } map { (Bridge::process($_))[1] // 0 }
            @{ $case->{pids} };
    }
    return grep { $_->{worker} } @cases;
}

scenario 'every worker is killed, over and over' => sub {
    my $bridge = Bridge->start(workers => 2);
    my %seen;
    my $until = time + 6;
    while (time < $until) {
        for ($bridge->workers) {
            $seen{$_}++ or kill 'KILL', $_;
        }
        sleep 0.01;
    }
    my $n = keys %seen;
    cmp_ok($n, '>=', 3, "they are started again: $n in 6 seconds");
    cmp_ok($n, '<', 60, 'but with time between, not in a spin');
    ok(alive($bridge->pid), 'the supervisor lives');
    my $r = eval { $bridge->get('unix', 'hello', [], secs => 45) };
    is_hello($r, 'left alone, it serves again') if ok($r, 'it has not given up');
    $bridge->stop;
}, secs => 120;

scenario 'a worker that is killed while nobody looks' => sub {
    # several deaths in one go: no SIGCHLD may be lost
    my $bridge = Bridge->start(workers => 4);
    wait_until(5, sub { $bridge->workers == 4 });
    my @before = $bridge->workers;
    kill 'STOP', $bridge->pid;
    kill 'KILL', @before;
    gone(5, @before); # as far as they can without being waited for
    kill 'CONT', $bridge->pid;
    ok(wait_until(20, sub {
        my %old = map { $_ => 1 } @before;
        return 4 == grep { !$old{$_} } $bridge->workers;
    }), 'all four are replaced');
    is_hello($bridge->get('unix', 'hello'), 'and serve');
    $bridge->stop;
};

# ---- stopping -----------------------------------------------------------------

for my $signal (qw(TERM INT)) {
    on_both "$signal lets running requests end" => sub ($kind) {
        my $bridge = Bridge->start(workers => 2);
        my ($idle, $c) = map { $bridge->connect($kind) } 1, 2;
        my $hold = $bridge->start_waiting($c, 1, [], keep => 1);
        $bridge->signal($signal);
        ok($bridge->wait_for_log(qr/stopping: /), 'it is stopping');
        is($bridge->end_waiting($c, $hold), "released\n", 'the whole answer');
        is($c->{req}{1}{end}{app}, 0, 'the script was not disturbed');
        is($bridge->wait_exit(10), 0, 'then exit status 0');
        is($idle->wait_close, 'eof', 'an idle connection does not hold it up');
        ok(!-e "$bridge->{dir}/socket", 'the socket file is removed');
        is(eval { $bridge->connect($kind); 1 }, undef, 'and nobody listens');
        $bridge->ok_log;
    };
}

scenario 'TERM with nothing to do' => sub {
    my $bridge = Bridge->start(workers => 2);
    my $since = time;
    $bridge->signal('TERM');
    is($bridge->wait_exit(10), 0, 'exit status 0');
    cmp_ok(time - $since, '<', slow(3), 'at once');
};

on_both 'a second TERM stops at once' => sub ($kind) {
    my $bridge = Bridge->start(workers => 2);
    my $file = file();
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('family', TEST_PIDS => $file));
    my @pids = wait_pids($file, 4);
    my @workers = $bridge->workers;
    $bridge->signal('TERM');
    ok($bridge->wait_for_log(qr/stopping: /), 'the first is seen');
    ok(alive($bridge->pid), 'it waits for a script');
    is(scalar(grep { alive($_) } @pids), 4, 'which goes on');
    my $since = time;
    $bridge->signal('TERM');
    ok(defined $bridge->wait_exit(8), 'after the second it ends');
    cmp_ok(time - $since, '<', slow(4), 'soon');
    is_deeply([ gone(3, @workers, @pids) ], [], 'and so do workers and scripts');
    ok(!-e "$bridge->{dir}/socket", 'the socket file is removed');
};

on_both 'QUIT stops at once' => sub ($kind) {
    my $bridge = Bridge->start(workers => 2);
    my ($file, $mark) = (file(), file());
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('stubborn', TEST_PIDS => $file, TEST_MARK => $mark));
    my @pids = wait_pids($file, 3);
    my @workers = $bridge->workers;
    my $since = time;
    $bridge->signal('QUIT');
    ok(defined $bridge->wait_exit(8), 'it ends');
    cmp_ok(time - $since, '<', slow(4), 'soon');
    is_deeply([ gone(3, @workers, @pids) ], [],
        'and so do workers and scripts, even one that ignores TERM');
    ok(!-e "$bridge->{dir}/socket", 'the socket file is removed');
};

on_both 'the supervisor is killed' => sub ($kind) {
    my $bridge = Bridge->start(workers => 2);
    my ($file, $mark) = (file(), file());
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('family', TEST_PIDS => $file));
    my @pids = wait_pids($file, 4);
    ok(wait_until(5, sub { $bridge->workers == 2 }), 'two workers and a script run');
    my @workers = $bridge->workers;
    $bridge->signal('KILL');
    $bridge->wait_exit;
    my @left = gone(3, @workers, @pids);
    is_deeply(\@left, [], 'they are gone with it');
    kill 'KILL', @left;
};

scenario 'a TERM that comes before the daemon is ready' => sub {
    for my $delay (0, 0.002, 0.005, 0.01, 0.02, 0.05) {
        my $bridge = Bridge->start(workers => 2, any => 1);
        sleep $delay;
        $bridge->signal('TERM');
        ok(defined $bridge->wait_exit(10), "after $delay s: it ends");
        ok(!-e "$bridge->{dir}/socket", 'and leaves no socket file');
    }
};

# ---- the socket file -------------------------------------------------------------

sub socket_mode ($path) { return sprintf '%04o', (stat $path)[2] & 07777 }

scenario 'the mode of a unix socket' => sub {
    my $old = umask 0;
    for my $case ([ [], '0660' ], [ [ '--socket-mode', '0600' ], '0600' ],
        [ [ '--socket-mode', '666' ], '0666' ], [ [ '--socket-mode=0640' ], '0640' ])
    {
        my ($args, $mode) = @$case;
        for my $mask (0, 0077) {
            umask $mask;
            my $bridge = Bridge->start(args => $args);
            is(socket_mode("$bridge->{dir}/socket"), $mode,
                "@$args: $mode, whatever the umask");
            is_deeply([ grep { !m{/(?:log|out|socket)$} } glob "$bridge->{dir}/*" ], [],
                'and no temporary name is left');
            umask $old;
            $bridge->stop;
        }
    }
    umask $old;
};

scenario 'the owner of a unix socket' => sub {
    my ($user, $group) = is_root() ? ('nobody', 'nogroup')
        : (scalar getpwuid $>, scalar getgrgid((split ' ', $))[0]));
    my ($uid, $gid) = (scalar getpwnam $user, scalar getgrnam $group);
    my %cases = ("$user:$group" => [ $uid, $gid ], $user => [ $uid, (split ' ', $))[0] ],
        "$uid:$gid" => [ $uid, $gid ]);
    for my $owner (sort keys %cases) {
        my $bridge = Bridge->start(args => [ '--socket-owner', $owner ]);
        my @stat = stat "$bridge->{dir}/socket";
        is_deeply([ @stat[ 4, 5 ] ], $cases{$owner}, "--socket-owner $owner");
        $bridge->stop;
    }
};

scenario 'a stale socket is replaced' => sub {
    my $path = file();
    my $stale = IO::Socket::UNIX->new(Local => $path, Listen => 1) or die "$path: $!\n";
    close $stale;
    ok(-S $path, 'there is a socket file that nobody listens on');
    my $bridge = Bridge->start(sockets => ["unix:$path"]);
    is_hello($bridge->get('unix', 'hello'), 'the daemon took its place');
    is(socket_mode($path), '0660', 'with the right mode');
    $bridge->stop;
    ok(!-e $path, 'and removed it at the end');
};

scenario 'a live socket is refused' => sub {
    my $path = file();
    my $live = IO::Socket::UNIX->new(Local => $path, Listen => 1) or die "$path: $!\n";
    my $inode = (stat $path)[1];
    my $r = run_program([ @Bridge::wrapper, $Bridge::daemon, '-c', '1', '-s', "unix:$path" ]);
    is($r->{exit}, 1, 'exit status 1');
    like($r->{err}, qr/\Q$path\E/, 'the error says where');
    is((stat $path)[1], $inode, 'the socket is as it was');
    my $peer = IO::Socket::UNIX->new(Peer => $path);
    ok($peer, 'and live');
};

scenario 'a socket file that is another\'s by now is not removed' => sub {
    my $path = file();
    my $bridge = Bridge->start(sockets => ["unix:$path"]);
    my $other = IO::Socket::UNIX->new(Local => "$path.new", Listen => 1) or die "$!\n";
    rename "$path.new", $path or die "$!\n";
    my $inode = (stat $path)[1];
    $bridge->stop;
    is((stat $path)[1], $inode, 'it is there after the stop');
};

scenario 'a socket file that has been removed' => sub {
    my $path = file();
    my $bridge = Bridge->start(sockets => ["unix:$path"]);
    unlink $path;
    $bridge->stop;
};

scenario 'the supervisor is killed and started again' => sub {
    my $path = file();
    my $first = Bridge->start(sockets => ["unix:$path"]);
    my @workers = $first->workers;
    $first->signal('KILL');
    $first->wait_exit;
    gone(5, @workers);
    ok(-S $path, 'its socket file is left');
    my $second = Bridge->start(sockets => ["unix:$path"]);
    is_hello($second->get('unix', 'hello'), 'the next one replaces it');
    $second->stop;
};

# ---- other sockets ------------------------------------------------------------------

scenario 'an abstract unix socket' => sub {
    my $name = "unix:\@cgibridge-test-$$";
    my $bridge = Bridge->start(sockets => [$name]);
    is_hello($bridge->get('unix', 'hello'), 'is served');
    $bridge->stop;
};

scenario 'tcp6' => sub {
    my $bridge = Bridge->start(sockets => ['tcp6']);
    is_hello($bridge->get('tcp6', 'hello'), 'is served');
    $bridge->stop;
};

scenario 'tcp by name' => sub {
    ok(defined gethostbyname('localhost'), 'localhost has an address (in /etc/hosts)') or return;
    my $port = free_port();
    my $bridge = Bridge->start(sockets => ["tcp:localhost:$port"]);
    my $r = eval { FastCGI->ask("tcp:127.0.0.1:$port", $bridge->params('hello')) };
    $r //= eval { FastCGI->ask("tcp6:[::1]:$port", $bridge->params('hello')) };
    is_hello($r, 'is served') if ok($r, 'localhost answers');
    $bridge->stop;
};

scenario 'many sockets' => sub {
    my @urls = ((map { "unix:$tmp/many-$_" } 1 .. 5), map { 'tcp:127.0.0.1:' . free_port() } 1 .. 3);
    my $bridge = Bridge->start(sockets => \@urls, workers => 2);
    for (@urls) {
        is_hello(FastCGI->ask($_, $bridge->params('hello')), $_);
    }
    $bridge->stop;
    is_deeply([ glob "$tmp/many-*" ], [], 'all files are removed');
};

# Listening sockets made here, to be inherited: unix and tcp.
sub listeners () {
    my $path = file();
    my $unix = IO::Socket::UNIX->new(Local => $path, Listen => 10) or die "$!\n";
    my $tcp = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 10) or die "$!\n";
    return { unix => $unix, tcp => $tcp, path => $path,
        urls => { unix => "unix:$path", tcp => 'tcp:127.0.0.1:' . $tcp->sockport } };
}

# Puts sockets on descriptors 3 and up, as a service manager does.
sub inherit (@sockets) {
    my @high = map { POSIX::dup2(fileno $sockets[$_], 60 + $_) } 0 .. $#sockets;
    POSIX::dup2($high[$_], 3 + $_) for 0 .. $#high;
    POSIX::close($_) for @high;
}

scenario 'LISTEN_FDS: two sockets' => sub {
    my $l = listeners();
    my $bridge = Bridge->start(sockets => [], child => sub {
        inherit($l->{unix}, $l->{tcp});
        @ENV{qw(LISTEN_FDS LISTEN_PID LISTEN_FDNAMES)} = (2, $$, 'one:two');
    });
    for my $kind (qw(unix tcp)) {
        my $r = FastCGI->ask($l->{urls}{$kind}, $bridge->params('hello'));
        is_hello($r, "$kind is served");
        $r = FastCGI->ask($l->{urls}{$kind}, $bridge->params('environ'));
        unlike(FastCGI::body($r), qr/LISTEN_/, 'scripts are not told');
        $r = FastCGI->ask($l->{urls}{$kind}, $bridge->params('fds'));
        unlike(FastCGI::body($r), qr/^[3-9]/m, 'and have no part in it');
    }
    $bridge->stop;
    ok(-S $l->{path}, 'an inherited socket\'s file is the starter\'s');
};

scenario 'LISTEN_FDS and -s together' => sub {
    my $l = listeners();
    my $bridge = Bridge->start(sockets => ['unix'], child => sub {
        inherit($l->{tcp});
        @ENV{qw(LISTEN_FDS LISTEN_PID)} = (1, $$);
    });
    is_hello($bridge->get('unix', 'hello'), '-s is served');
    $bridge->stop;
};

for my $case ([ 'of another process' => 1, 1 ], [ 'that is no number' => 'x', 1 ],
    [ 'with no sockets' => undef, 0 ], [ 'with too many' => undef, 'x' ])
{
    my ($what, $pid, $count) = @$case;
    scenario "LISTEN_PID $what" => sub {
        my $l = listeners();
        my $bridge = Bridge->start(sockets => [], any => 1, child => sub {
            inherit($l->{unix});
            @ENV{qw(LISTEN_FDS LISTEN_PID)} = ($count, $pid // $$);
        });
        my $status = $bridge->wait_exit(10);
        is($status, 2 << 8, 'is ignored: no socket, exit status 2') or diag($bridge->log);
    };
}

scenario 'LISTEN_FDS: a descriptor that is no listening socket' => sub {
    my $bridge = Bridge->start(sockets => [], any => 1, child => sub {
        POSIX::dup2(POSIX::open('/dev/null', O_RDWR), 3);
        @ENV{qw(LISTEN_FDS LISTEN_PID)} = (1, $$);
    });
    my $status = $bridge->wait_exit(10);
    isnt($status, 0, 'is an error') if ok(defined $status, 'it ends');
    like($bridge->log, qr/no listening socket|not a listening socket/, 'that is explained');
};

for my $kind (qw(unix tcp)) {
    scenario "descriptor 0 is the listening socket ($kind)" => sub {
        my $l = listeners();
        my $bridge = Bridge->start(sockets => [], child => sub {
            POSIX::dup2(fileno $l->{$kind}, 0);
        });
        is_hello(FastCGI->ask($l->{urls}{$kind}, $bridge->params('hello')), 'is served');
        my $r = FastCGI->ask($l->{urls}{$kind}, $bridge->params('fds'));
        unlike(FastCGI::body($r), qr/^0 socket/m, 'and is not a script\'s stdin');
        $bridge->stop;
    };

    scenario "-s fd:N ($kind)" => sub {
        my $l = listeners();
        my $bridge = Bridge->start(sockets => ['fd:7'], child => sub {
            POSIX::dup2(fileno $l->{$kind}, 7);
        });
        is_hello(FastCGI->ask($l->{urls}{$kind}, $bridge->params('hello')), 'is served');
        $bridge->stop;
    };

    scenario "-s fd:N twice ($kind)" => sub {
        my $l = listeners();
        POSIX::dup2(fileno $l->{$kind}, 77);
        my $r = run_program([ $Bridge::daemon, '-s', 'fd:77', '-s', 'fd:77' ]);
        POSIX::close(77);
        is($r->{exit}, 1, 'exit status 1');
        like($r->{err}, qr/error: cannot listen on fd:77: it is given twice$/m, 'and why');
    };
}

scenario 'started by spawn-fcgi' => sub {
    my $program = is_program('spawn-fcgi', 'spawn-fcgi');
    for my $kind (qw(unix tcp)) {
        my ($path, $port) = (file(), free_port());
        my @where = $kind eq 'unix' ? ('-s', $path) : ('-a', '127.0.0.1', '-p', $port);
        my $bridge = Bridge->start(sockets => [], prefix => [ $program, '-n', @where, '--' ]);
        my $url = $kind eq 'unix' ? "unix:$path" : "tcp:127.0.0.1:$port";
        is_hello(FastCGI->ask($url, $bridge->params('hello')), "is served ($kind)");
        $bridge->stop;
    }
};

scenario 'no socket at all' => sub {
    my $r = run_program([ @Bridge::wrapper, $Bridge::daemon, '-c', '1' ]);
    is($r->{exit}, 2, 'exit status 2');
    like($r->{err}, qr/socket/i, 'the error says what is missing');
    is(($r->{err} =~ tr/\n//), 1, 'in one line');
};

# ---- answers ----------------------------------------------------------------------

scenario '--version and --help' => sub {
    for my $option ('-V', '--version') {
        my $r = run_program([ @Bridge::wrapper, $Bridge::daemon, $option ]);
        is($r->{exit}, 0, "$option: exit status 0");
        like($r->{out}, qr/\Acgibridge \d+\.\d+\S*\n/, 'name and version');
        is($r->{err}, '', 'nothing on stderr');
    }
    for my $option ('-h', '--help') {
        my $r = run_program([ @Bridge::wrapper, $Bridge::daemon, $option ]);
        is($r->{exit}, 0, "$option: exit status 0");
        like($r->{out}, qr/--$_\b/, "names --$_") for qw(socket socket-mode socket-owner backlog
            workers max-scripts program root timeout idle-timeout linger kill-delay on-disconnect
            log-level version help check);
        is($r->{err}, '', 'nothing on stderr');
        is((grep { length > 80 } split /\n/, $r->{out}), 0, 'no line is longer than 80 columns');
    }
};

scenario '--check' => sub {
    my $path = file();
    for my $option ('-n', '--check') {
        my $r = run_program([ @Bridge::wrapper, $Bridge::daemon, $option, '-s', "unix:$path",
            '-c', '3', '-t', '90s', '-p', '/srv/one' ]);
        is($r->{exit}, 0, "$option: exit status 0");
        like($r->{out}, qr/\Q$path\E/, 'prints the socket');
        like($r->{out}, qr/workers\D*3\b/, 'the workers');
        like($r->{out}, qr{/srv/one}, 'and the program');
        ok(!-e $path, 'opens nothing');
        $r = run_program([ @Bridge::wrapper, $Bridge::daemon, $option, '-s', "unix:$path",
            '-c', 'none' ]);
        is($r->{exit}, 2, 'a bad value: exit status 2');
    }
};

scenario '--log-level' => sub {
    my $bridge = Bridge->start(args => [ '-l', 'error' ], any => 1);
    wait_until(10, sub { eval { $bridge->get('unix', 'hello') } });
    is_hello($bridge->get('unix', 'hello'), 'a daemon that logs errors only');
    $bridge->get('unix', 'missing');
    $bridge->get('unix', 'complains');
    sleep 0.2;
    unlike($bridge->log, qr/ (?:warn|info|debug): /, 'says nothing less');
    $bridge->stop;
    $bridge = Bridge->start(args => [ '--log-level', 'debug' ]);
    $bridge->get('unix', 'hello');
    like($bridge->log, qr/ debug: /, 'and one that logs everything does');
    unlike($bridge->log, qr/^(?!\S+Z cgibridge\[\d+\] (?:error|warn|info|debug): )./m,
        'each line has the same form');
    $bridge->stop;
};

# ---- how many at once ----------------------------------------------------------------

on_both 'nothing is waited for that is no longer there' => sub ($kind) {
    # the shell dies of TERM first, its child a moment later, by itself
    script('leaves-first', <<~'SH');
        #!/bin/sh
        (trap '' TERM; sleep 0.4) &
        printf '%s\n%s\n' $$ $! >>"$TEST_PIDS"
        sleep 60
        SH
    my $bridge = Bridge->start(args => [ '--kill-delay', '30s' ]);
    my $file = file();
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('leaves-first', TEST_PIDS => $file));
    wait_pids($file, 2);
    my $since = time;
    $c->hang_up;
    $bridge->signal('TERM');
    ok(defined $bridge->wait_exit(slow(10)), 'it stops');
    cmp_ok(time - $since, '<', slow(8), 'long before --kill-delay');
};

scenario 'many scripts in one worker' => sub {
    my $bridge = Bridge->start;
    my $since = time;
    my @c = map { $bridge->connect($_ % 2 ? 'unix' : 'tcp') } 1 .. 100;
    $_->start(1, $bridge->params('sleeper', QUERY_STRING => 1)) for @c;
    $_->wait_end(1, 30) for @c;
    is(scalar(grep { FastCGI::body($_->{req}{1}) eq "slept\n" } @c), 100, 'a hundred answers');
    cmp_ok(time - $since, '<', slow(20), 'side by side, not one after the other');
    $bridge->stop;
};

done_testing;

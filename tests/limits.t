#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Each limit that a machine sets has a defined answer, and when it is lifted the same worker
# goes on.  Those that take long to reach are in limits_slow.t; shortage.t, log.t, pause.t and
# pipelining.t have more.
use v5.36;
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $prlimit = is_program('prlimit', 'util-linux');
# Where it counts, scripts run as a user that nobody else is, nor another run of this file.
my $user = is_root() ? 61_084 + $$ % 4000 : $>;
# AddressSanitizer takes terabytes of addresses for itself.
my $is_checked = slurp($Bridge::daemon) =~ /__asan_init/;

sub become_user () {
    return if !is_root();
    $) = "$user $user";
    POSIX::setgid($user);
    POSIX::setuid($user);
}

sub set_limit ($pid, $limit, @as_user) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(run_program([ @as_user, $prlimit, "--pid=$pid", "--$limit" ])->{exit}, 0, "worker: $limit");
}

# As that user, since root has no right to it in some containers.
my @as_user = is_root()
    ? (is_program('setpriv', 'util-linux'), "--reuid=$user", "--regid=$user", '--clear-groups')
    : ();

# Processor seconds that a process has used.
sub used ($pid) {
    my @field = split ' ', slurp("/proc/$pid/stat") =~ s/^.*\) //sr;
    return ($field[11] + $field[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# How many answers there were of each status; those that were cut count as 0.
sub statuses (@connections) {
    my %n;
    for my $c (@connections) {
        my $r = eval { $c->wait_end(1, 20) };
        $n{ $r ? FastCGI::status($r) : 0 }++;
    }
    return \%n;
}

# ---- descriptors, processes, memory -----------------------------------------------------

on_both 'RLIMIT_NOFILE 40: requests wait, and all are served' => sub ($kind) {
    my $bridge = Bridge->start(sockets => [$kind],
        prefix => [ 'sh', '-c', 'ulimit -n 40; exec "$@"', 'sh' ]);
    my @workers = $bridge->workers;
    my @c = map { $bridge->connect($kind) } 1 .. 25;
    $_->start(1, $bridge->post('sleeper', 'body', QUERY_STRING => 0.05), body => 'body') for @c;
    is_deeply(statuses(@c), { 200 => 25 }, 'none is refused');
    $bridge->ok_serves($kind, @workers);
    $bridge->stop;
};

scenario 'RLIMIT_NPROC: 503 and its cure, then as before' => sub {
    my $bridge = Bridge->start(sockets => ['tcp'], child => \&become_user, copy => 1,
        args => [ '-g', is_root() ? $user : (split ' ', $))[0] ]);
    my ($worker) = $bridge->workers;
    my $mark = $bridge->mark;
    my ($hard) = slurp("/proc/$worker/limits") =~ /^Max processes\s+\S+\s+(\S+)/m;
    set_limit($worker, 'nproc=1:', @as_user);
    my $r = $bridge->get('tcp', 'hello');
    is(FastCGI::status($r), 503, 'it is refused');
    like($bridge->log_since($mark), qr/cannot start a process: .*\(raise the limit of processes/,
        'the log names the limit');
    set_limit($worker, "nproc=$hard:", @as_user);
    $bridge->ok_serves('tcp', $worker);
    $bridge->stop;
};

# Lost workers that cannot be replaced: the others serve, and a restart would end their requests.
scenario 'RLIMIT_NPROC: a worker cannot be replaced, and WATCHDOG is fed' => sub {
    my ($path, $heard) = (file(), '');
    my $s = manager($path);
    my $bridge = Bridge->start(sockets => ['tcp'], child => \&become_user, copy => 1, workers => 2,
        env => { NOTIFY_SOCKET => $path, WATCHDOG_USEC => 400_000 },
        args => [ '-g', is_root() ? $user : (split ' ', $))[0], '--watchdog', '0' ]);
    my ($first, $other) = $bridge->workers;
    my ($hard) = slurp("/proc/$first/limits") =~ /^Max processes\s+\S+\s+(\S+)/m;
    my $mark = $bridge->mark;
    set_limit($bridge->pid, 'nproc=1:', @as_user);
    kill 'KILL', $first;
    ok($bridge->wait_for_log(qr/worker \d cannot be started: .*: trying again/, 5, from => $mark),
        'the log says so');
    told($s, \$heard);
    $heard = '';
    ok(wait_until(5, sub { (() = told($s, \$heard) =~ /^WATCHDOG=1$/mg) >= 5 }), 'it is fed');
    is(FastCGI::body($bridge->get('tcp', 'hello')), "hello\n", 'the other worker serves');
    is_deeply([ $bridge->workers ], [$other], 'alone');
    set_limit($bridge->pid, "nproc=$hard:", @as_user);
    ok(wait_until(15, sub { $bridge->workers == 2 }), 'the lost one is replaced');
    $bridge->ok_serves('tcp', $bridge->workers);
    $bridge->stop;
};

# Sixty requests at once whose bodies wait in memory until they are whole, which they are after
# $meanwhile: the answers' statuses.
sub ask_with_bodies ($bridge, $kind, $meanwhile = sub { }) {
    my $body = noise(60_000);
    my @c = map { $bridge->connect($kind) } 1 .. 60;
    for my $c (@c) {
        $c->expect(1);
        $c->send(FastCGI::begin(1)
            . FastCGI::params(1, $bridge->post('echo', $body, CONTENT_LENGTH => undef))
            . FastCGI::stdin(1, $body));
    }
    $meanwhile->();
    $_->send(FastCGI::stdin_end(1)) for @c;
    return statuses(@c);
}

# How many requests and connections the log says there was no memory for; those for which there was
# none when they were accepted have one line together, every few seconds: without end.
sub lost_for_memory ($bridge, $mark) {
    my $log = $bridge->log_since($mark);
    my @refused = $log =~ / warn: request 1 .*: 503: .*(?:Cannot allocate|no|out of) memory/g;
    my @closed = $log =~ / warn: connection .* closed: (?:no|out of) memory for /g;
    my $unaccepted = $log =~ / error: cannot accept connections: Cannot allocate memory/;
    return (scalar @refused, $unaccepted ? 'inf' : scalar @closed);
}

on_both 'RLIMIT_AS: what there is no memory for gets 503, or is cut' => sub ($kind) {
    my $bridge = Bridge->start(sockets => [$kind], args => [ '--limit', 'as=unlimited' ]);
    my ($worker) = $bridge->workers;
    my ($kib) = slurp("/proc/$worker/status") =~ /^VmSize:\s*(\d+)/m;
    set_limit($worker, 'as=' . ($kib + 300) * 1024 . ':') if !$is_checked; # room for some bodies
    my $mark = $bridge->mark;
    my $n = ask_with_bodies($bridge, $kind, sub {
        wait_until(10, sub { (lost_for_memory($bridge, $mark))[0] }) if !$is_checked;
    });
    my ($served, $refused, $cut) = map { $_ // 0 } delete @$n{qw(200 503 0)};
    is_deeply($n, {}, 'each was served, refused with 503, or cut');
    if (!$is_checked) {
        cmp_ok($served, '<', 60, 'there was no memory for all');
        cmp_ok($refused, '>', 0, 'some are told so');
        my @said;
        ok(wait_until(5, sub {
            @said = lost_for_memory($bridge, $mark);
            return $said[0] >= $refused && $said[0] + $said[1] >= $refused + $cut;
        }), 'the log tells of each') or diag("$refused refused, $cut cut; in the log: @said");
        set_limit($worker, 'as=unlimited:');
    }
    ok(wait_until(10, sub { Bridge::children($worker) == 0 }), 'no script is left');
    is_deeply(ask_with_bodies($bridge, $kind), { 200 => 60 }, 'with memory the same are served');
    $bridge->ok_serves($kind, $worker);
    $bridge->stop;
};

# ---- disks ---------------------------------------------------------------------------------

# In front of a daemon: a file system of 1 MB at `dir`, and its log there.
sub small_disk ($dir) {
    return [ is_program('unshare', 'util-linux'), is_root() ? '-m' : '-rm', 'sh', '-c',
        "mount -t tmpfs -o size=1m,mode=1777 tmpfs $dir && exec \"\$@\" 2>>$dir/log", 'sh' ];
}

# Fills what is left of it, for the daemon only.
sub fill ($path) {
    open my $fh, '>', $path or die "$path: $!\n";
    $fh->autoflush(1);
    1 while syswrite $fh, 'x' x 4096;
}

scenario 'disk full: a body, the access log and the log' => sub {
    my $dir = file();
    mkdir $dir;
    my $bridge = Bridge->start(any => 1, sockets => ['unix'], prefix => small_disk($dir),
        args => [ '--spool-dir', $dir, '--access-log', "$dir/access" ]);
    my $there = '/proc/' . $bridge->pid . "/root$dir";
    ok(wait_until(10, sub { slurp("$there/log") =~ /ready:/ }), 'it starts');
    my ($worker) = $bridge->workers;
    my $body = noise(400_000);
    # of unknown length: all of it has to be held before the script starts
    my $post = sub { $bridge->get('unix', 'echo', [ CONTENT_LENGTH => undef ], body => $body) };
    is(FastCGI::body($post->()), $body, 'a body fits');
    fill("$there/filler");
    my $r = $post->();
    is(FastCGI::status($r), 507, 'a body that does not: 507');
    is(FastCGI::body($bridge->get('unix', 'hello')), "hello\n", 'others are served') for 1 .. 3;
    unlink "$there/filler";
    is(FastCGI::body($post->()), $body, 'with room again, it fits');
    $bridge->get('unix', 'no-such-script');
    like(slurp("$there/log"), qr/404: .*no-such-script/, 'the log is written again');
    like(slurp("$there/access"), qr/ POST \S+ \S+ 200 .*\n.*no-such-script/,
        'and the access log');
    $bridge->ok_serves('unix', $worker);
    $bridge->stop;
};

# ---- time -----------------------------------------------------------------------------------

# A library to be preloaded.
sub library ($text) {
    my @cc = split ' ', $ENV{CC} || is_program('cc', 'gcc');
    my $c = spew(file() . '.c', $text);
    my $library = file() . '.so';
    is(run_program([ @cc, qw(-shared -fPIC -O1 -o), $library, $c ])->{exit}, 0, 'a library');
    return $library;
}

# One that adds to each clock as many seconds as the file $JUMPS holds.
sub jumping_clocks ($offsets) {
    my $library = library(<<~'C');
        #define _GNU_SOURCE
        #include <fcntl.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        #include <sys/syscall.h>
        #include <time.h>
        #include <unistd.h>
        static volatile long *offsets;
        static __attribute__((constructor)) void begin(void)
        {
            int fd = open(getenv("JUMPS"), O_RDONLY | O_CLOEXEC);
            void *memory = mmap(NULL, 64, PROT_READ, MAP_SHARED, fd, 0);
            offsets = memory == MAP_FAILED ? NULL : memory;
            close(fd);
        }
        int clock_gettime(clockid_t id, struct timespec *now)
        {
            int failed = (int)syscall(SYS_clock_gettime, id, now);
            if (offsets != NULL)
                now->tv_sec += offsets[id == CLOCK_MONOTONIC];
            return failed;
        }
        time_t time(time_t *now)
        {
            struct timespec t;
            clock_gettime(CLOCK_REALTIME, &t);
            if (now != NULL)
                *now = t.tv_sec;
            return t.tv_sec;
        }
        C
    set_offsets($offsets, 0, 0);
    return { LD_PRELOAD => $library, JUMPS => $offsets };
}

sub set_offsets ($file, @seconds) {
    open my $fh, -e $file ? '+<:raw' : '>:raw', $file or die "$file: $!\n";
    syswrite $fh, pack('l!2', @seconds) . "\0" x 48;
}

scenario 'clocks that jump' => sub {
    my $offsets = file();
    my $year = 365 * 86_400;
    my $bridge = Bridge->start(sockets => ['unix'], env => jumping_clocks($offsets),
        args => [ qw(--timeout 20s --idle-timeout 5s --queue-timeout 5s --watchdog 2s -m 2) ]);
    my @workers = $bridge->workers;
    my $mark = $bridge->mark;
    # forth and back; the other clock only goes on, as that of a machine that was suspended
    for my $jump ([ $year, 0 ], [ -$year, 0 ], [ 0, 3600 ], [ 0, 2 * $year ]) {
        my @c = map { $bridge->connect('unix') } 1 .. 4; # two of them are queued
        $_->start(1, $bridge->params('ticker', QUERY_STRING => 3)) for @c;
        $_->wait_out(1) for @c[ 0, 1 ];
        set_offsets($offsets, @$jump);
        is_deeply(statuses(@c), { 200 => 4 }, "by @$jump s: nobody's time is up");
    }
    sleep 1.2; # a sign of life, and a look at it
    $bridge->ok_serves('unix', @workers);
    $bridge->no_warning($mark);
    $bridge->stop;
} if !$is_checked;

# ---- a policy ---------------------------------------------------------------------------------

# accept(2) may say EPERM for one connection (iptables), or because it is forbidden (seccomp).
scenario 'accept that is forbidden each time' => sub {
    my $forbids = spew(file(), '');
    my $library = library(<<~'C');
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <stdlib.h>
        #include <sys/socket.h>
        #include <unistd.h>
        static int is_forbidden(void)
        {
            errno = EPERM;
            return access(getenv("FORBIDS"), F_OK) == 0;
        }
        int accept(int fd, struct sockaddr *addr, socklen_t *len)
        {
            int (*real)(int, struct sockaddr *, socklen_t *) = dlsym(RTLD_NEXT, "accept");
            return is_forbidden() ? -1 : real(fd, addr, len);
        }
        int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
        {
            int (*real)(int, struct sockaddr *, socklen_t *, int) = dlsym(RTLD_NEXT, "accept4");
            return is_forbidden() ? -1 : real(fd, addr, len, flags);
        }
        C
    my $env = { LD_PRELOAD => $library, FORBIDS => $forbids };
    for my $then ('it is allowed', 'TERM') {
        spew($forbids, '');
        my $bridge = Bridge->start(sockets => ['unix'], env => $env);
        my ($worker) = $bridge->workers;
        my $c = $bridge->connect('unix');
        $c->start(1, $bridge->params('hello'));
        ok($bridge->wait_for_log(qr/cannot accept connections: Operation not permitted/, 5),
            'the log says so');
        my $before = used($worker);
        sleep 1;
        cmp_ok(used($worker) - $before, '<', 0.5, 'the worker does not spin');
        if ($then ne 'TERM') {
            unlink $forbids;
            is(FastCGI::body($c->wait_end(1)), "hello\n", "when $then, it is served");
        }
        my $since = time;
        $bridge->stop;
        cmp_ok(time - $since, '<', slow(4), 'it ends when asked to');
        unlike($bridge->log, qr/did not drain/, 'by itself');
    }
} if !$is_checked;

# ---- processes that stand still, or are too many -----------------------------------------------

scenario 'a script that is stopped (SIGSTOP) is ended by --timeout' => sub {
    my $bridge = Bridge->start(sockets => ['unix'],
        args => [ qw(--timeout 1s --kill-delay 200ms) ]);
    my @workers = $bridge->workers;
    my $file = file();
    my $c = $bridge->connect('unix');
    $c->start(1, $bridge->params('sleeper', QUERY_STRING => 60, TEST_PIDS => $file));
    my @pids = wait_pids($file, 2);
    kill 'STOP', @pids;
    is(FastCGI::status($c->wait_end(1)), 504, 'it gets 504');
    is_deeply([ gone(5, @pids) ], [], 'it is gone');
    $bridge->ok_serves('unix', @workers);
    $bridge->stop;
};

scenario 'the supervisor is stopped: its workers serve, and TERM counts when it goes on' => sub {
    my $bridge = Bridge->start(sockets => ['unix'], args => [ qw(--watchdog 1s) ]);
    my @workers = $bridge->workers;
    $bridge->signal('STOP');
    is(FastCGI::body($bridge->get('unix', 'hello')), "hello\n", 'requests are served') for 1 .. 3;
    sleep 1.5; # longer than --watchdog
    $bridge->signal('CONT');
    sleep 0.3;
    $bridge->ok_serves('unix', @workers);
    $bridge->signal('STOP');
    $bridge->signal('TERM');
    is(FastCGI::body($bridge->get('unix', 'hello')), "hello\n", 'TERM waits');
    $bridge->signal('CONT');
    is($bridge->wait_exit(10), 0, 'then it ends');
};

script('bomb', <<~'PERL');
    #!/usr/bin/perl
    # forks as often as it may, in its own group
    $| = 1;
    open my $count, '>>', $ENV{TEST_PIDS} or die;
    $count->autoflush(1);
    $SIG{TERM} = 'IGNORE';
    while (1) {
        my $pid = fork;
        print $count "$$\n" if defined $pid && !$pid;
        select undef, undef, undef, 0.01 if !defined $pid;
    }
    PERL

# As another user than those of this machine, whose processes would count as well.
scenario 'a fork bomb under RLIMIT_NPROC' => sub {
    my $file = spew(file(), '', 0666);
    my $bridge = Bridge->start(sockets => ['tcp'], child => \&become_user, copy => 1,
        args => [ qw(--limit nproc=40 --timeout 4s --kill-delay 200ms) ]);
    my @workers = $bridge->workers;
    my $c = $bridge->connect('tcp');
    $c->start(1, $bridge->params('bomb', TEST_PIDS => $file));
    ok(wait_until(10, sub { pids_in($file) >= 20 }), 'it grows');
    my $while = $bridge->get('tcp', 'hello');
    ok(FastCGI::status($while) =~ /^(?:200|500|503)$/, 'meanwhile others have an answer');
    is(FastCGI::status($c->wait_end(1, 20)), 504, 'it gets 504');
    is_deeply([ gone(10, pids_in($file)) ], [], 'all of it is gone');
    $bridge->ok_serves('tcp', @workers);
    $bridge->stop;
} if is_root(); # else it would be the limit of the user who runs the tests

# ---- slow, small and many ---------------------------------------------------------------------

on_both 'connections that bring a byte now and then' => sub ($kind) {
    my $bridge = Bridge->start(sockets => [$kind]);
    my @workers = $bridge->workers;
    my $bytes = FastCGI::request(1, $bridge->params('hello'));
    my @c = map { $bridge->connect($kind) } 1 .. 200;
    $_->expect(1) for @c;
    for my $at (0 .. 39) {
        $_->send(substr $bytes, $at, 1) for @c;
        $bridge->ok_serves($kind, @workers) if $at % 20 == 10;
    }
    $_->send(substr $bytes, 40) for @c;
    is_deeply(statuses(@c), { 200 => 200 }, 'in the end each is answered');
    $bridge->stop;
};

on_both 'a body in records of one byte' => sub ($kind) {
    my $bridge = Bridge->start(sockets => [$kind]);
    my $body = noise(30_000);
    my $c = $bridge->connect($kind);
    $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::params(1, $bridge->post('echo', $body), max => 1)
        . FastCGI::stdin(1, $body, max => 1) . FastCGI::stdin_end(1));
    my $r = $c->wait_end(1, 20);
    is(FastCGI::body($r), $body, 'it is the same');
    $bridge->stop;
};

done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# What those with fewer rights can do to those with more: links on root's way to its files,
# a worker that writes what it likes into the memory that it shares with the supervisor,
# scripts that look into workers of the same user; and limits that are taken away.
use v5.36;
no warnings 'portable'; # addresses have 64 bits
use Fcntl qw(SEEK_SET);
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my ($nobody, $nogroup) = (getpwnam 'nobody')[ 2, 3 ];

# ---- limits ------------------------------------------------------------------------

scenario 'a worker whose limits are taken away is replaced' => sub {
    # without descriptors a leak checker cannot look either
    my $asan = join ':', grep { length } $ENV{ASAN_OPTIONS} // '', 'detect_leaks=0';
    my $bridge = Bridge->start(args => [ '--watchdog', '2s' ], env => { ASAN_OPTIONS => $asan });
    my ($worker) = $bridge->workers;
    my $mark = $bridge->mark;
    is(run_program([ is_program('prlimit', 'util-linux'), "--pid=$worker", '--nofile=0:0' ])->{exit},
        0, 'no descriptors for it any more');
    is_deeply([ gone(20, $worker) ], [], 'it ends');
    ok(wait_until(10, sub { $bridge->workers == 1 }), 'another one is there');
    is(FastCGI::body($bridge->get($_, 'hello')), "hello\n", "and serves ($_)") for qw(unix tcp);
    # without epoll it is not left to the watchdog: poll(2) waits for no more than may be open
    my $why = is_linux() ? qr// : qr/worker 0: waiting failed: [^:]+: /;
    like($bridge->log_since($mark), qr/ error: ${why}the limit nofile was lowered from outside/,
        'the log says why');
    $bridge->stop;
};

# ---- other processes of the same user ------------------------------------------------

# Says, for each process that it is to look at, whether that lets it.
my $look = script('look', <<~'END');
    #!/usr/bin/perl
    print "Content-Type: text/plain\n\n";
    for my $pid (getppid, $ENV{SUPERVISOR}, 'self') {
        open my $mem, '+<', "/proc/$pid/mem" and print "mem ";
        opendir my $fds, "/proc/$pid/fd" and print "fd ";
        open my $environ, '<', "/proc/$pid/environ" and print "environ ";
        print "of ", ($pid eq 'self' ? $pid : $pid == getppid ? 'worker' : 'supervisor'), "\n";
    }
    END

scenario 'scripts cannot look into workers of the same user, but into themselves' => sub {
    my $bridge = Bridge->start(is_root() ? (user => 'nobody') : ());
    my $r = $bridge->get('unix', 'look', [ SUPERVISOR => $bridge->pid ]);
    is(FastCGI::body($r), "of worker\nof supervisor\nmem fd environ of self\n",
        'neither into the worker nor the supervisor');
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    $bridge->wait_for_log(qr/\bready\b/, 15, from => $mark);
    ok(wait_until(10, sub {
        FastCGI::body($bridge->get('unix', 'look', [ SUPERVISOR => $bridge->pid ]))
            eq "of worker\nof supervisor\nmem fd environ of self\n"
    }), 'nor after a reload');
    $bridge->stop;
};

if (!is_root()) {
    done_testing;
    exit;
}

scenario 'nor into those that have become their user' => sub {
    my $bridge = Bridge->start(args => [ '-u', 'nobody' ]);
    is(FastCGI::body($bridge->get('unix', 'look', [ SUPERVISOR => $bridge->pid ])),
        "of worker\nof supervisor\nmem fd environ of self\n", 'closed');
    $bridge->stop;
};

# ---- links on the way ------------------------------------------------------------------

# A folder of nobody's, in a temporary one.
sub their_folder () {
    my $dir = file();
    mkdir $dir, 0755 or die "$dir: $!\n";
    chown $nobody, $nogroup, $dir;
    return $dir;
}

# Puts a link of nobody's in the place of the folder `dir`.
sub swap ($dir, $target) {
    rename $dir, "$dir.away" or die "$dir: $!\n";
    symlink $target, $dir or die "$dir: $!\n";
    system 'chown', '-h', "$nobody:$nogroup", $dir;
}

sub is_owned ($path, $owner, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is((lstat $path)[4], $owner, $what);
}

scenario 'an access log below a folder that becomes a link' => sub {
    my $home = their_folder();
    my $secret = file();
    mkdir $secret, 0700;
    mkdir "$home/logs";
    chown $nobody, $nogroup, "$home/logs";
    my $bridge = Bridge->start(args => [ '-u', 'nobody', '--access-log', "$home/logs/log" ]);
    is_owned("$home/logs/log", $nobody, 'it is made, and given to workers');
    swap("$home/logs", $secret);
    my $mark = $bridge->mark;
    $bridge->signal('USR1');
    ok($bridge->wait_for_log(qr/cannot be opened again: a symbolic link in its path/, 5,
        from => $mark), 'the link is not followed, which is said');
    is_deeply([ glob "$secret/*" ], [], 'nothing is made where it leads');
    is(FastCGI::body($bridge->get('unix', 'hello')), "hello\n", 'requests go on');
    $bridge->stop;
    my $r = run_program([ $Bridge::daemon, '-s', 'unix:' . file(), '-u', 'nobody',
        '--access-log', "$home/logs/log" ]);
    is($r->{exit}, 1, 'no start with it either');
    like($r->{err}, qr/cannot be opened: a symbolic link in its path/, 'which is said');
    is_deeply([ glob "$secret/*" ], [], 'nothing is made');
};

# Whoever owns the folder can give it the access log's name.
scenario 'an access log whose name a file of root gets' => sub {
    my $home = their_folder();
    spew("$home/notes", "secret\n", 0600);
    my $bridge = Bridge->start(args => [ '-u', 'nobody', '--access-log', "$home/log" ]);
    rename "$home/log", "$home/log.away";
    rename "$home/notes", "$home/log";
    my $mark = $bridge->mark;
    $bridge->signal('USR1');
    ok($bridge->wait_for_log(qr/cannot be opened again/, 5, from => $mark),
        'workers cannot open it');
    is_owned("$home/log", 0, 'it is not given to them at USR1');
    $bridge->stop;
    spew("$home/log", "secret\n", 0600);
    $bridge = Bridge->start(args => [ '-u', 'nobody', '--access-log', "$home/log" ]);
    is_owned("$home/log", 0, 'nor at a start');
    unlink "$home/log";
    $mark = $bridge->mark;
    $bridge->signal('USR1');
    ok(wait_until(5, sub { ((lstat "$home/log")[4] // 0) == $nobody }), 'one that is made is theirs');
    $bridge->stop;
};

scenario 'a socket below a folder that becomes a link' => sub {
    my $home = their_folder();
    my $secret = file();
    mkdir $secret, 0700;
    mkdir "$home/run";
    chown $nobody, $nogroup, "$home/run";
    my $url = "unix:$home/run/socket";
    my $bridge = Bridge->start(sockets => [$url], args => [ '-u', 'nobody' ]);
    is_owned("$home/run/socket", $nobody, 'it is made, and given to workers');
    is(sprintf('%o', (lstat "$home/run/socket")[2] & 07777), '660', 'with its mode');
    is(FastCGI::body($bridge->get('unix', 'hello')), "hello\n", 'it works');
    is_deeply([ glob "$home/run/.cgib*" ], [], 'no temporary name is left');
    swap("$home/run", $secret);
    link "$home/run.away/socket", "$secret/socket" or die "link: $!\n"; # the very file
    $bridge->stop;
    ok(-S "$secret/socket", 'nothing is removed where the link leads');
    my $r = run_program([ $Bridge::daemon, '-s', $url, '-u', 'nobody' ]);
    is($r->{exit}, 1, 'no start with it');
    like($r->{err}, qr/cannot listen on \Q$url\E: .*a symbolic link in its path/, 'which is said');
    is_deeply([ glob("$secret/* $secret/.cgib*") ], ["$secret/socket"], 'nothing is made');
};

scenario 'links of root alone are followed' => sub {
    my $run = "/run/cgibridge-test-$$";
    mkdir $run, 0755 or die "$run: $!\n";
    mkdir "$run/real", 0755;
    symlink 'real', "$run/link";
    my $done = eval {
        my $bridge = Bridge->start(sockets => ["unix:$run/link/socket"],
            args => [ '-u', 'nobody', '--access-log', "$run/link/log" ]);
        is(FastCGI::body($bridge->get('unix', 'hello')), "hello\n", 'a socket');
        like(slurp("$run/real/log"), qr{/hello}, 'an access log');
        is_owned("$run/real/log", $nobody, 'given to workers');
        $bridge->stop;
        is_deeply([ glob "$run/real/* $run/real/.cgib*" ], ["$run/real/log"],
            'the socket is removed');
        1;
    };
    my $why = $@;
    Bridge::remove($run);
    $done or die $why;
};

# ---- what a worker writes into the memory it shares ---------------------------------------

# Where that is in the worker's memory: { at, size, file }.
sub board_of ($worker) {
    my ($from, $to, $file) = slurp("/proc/$worker/maps")
        =~ m{^(\w+)-(\w+) rw-s \S+ \S+ \d+ +(\S*cgibridge\S*)}m or die "no scoreboard\n";
    return { at => hex $from, size => hex($to) - hex($from), file => $file };
}

sub peek ($worker, $board) {
    open my $mem, '<:raw', "/proc/$worker/mem" or die "mem: $!\n";
    sysseek $mem, $board->{at}, SEEK_SET;
    sysread($mem, my $bytes, $board->{size}) // die "mem: $!\n";
    return $bytes;
}

sub poke ($worker, $board, $offset, $bytes) {
    open my $mem, '+<:raw', "/proc/$worker/mem" or die "mem: $!\n";
    sysseek $mem, $board->{at} + $offset, SEEK_SET;
    syswrite($mem, $bytes) // die "mem: $!\n";
}

# A process of a user in a session of its own.
sub bystander ($uid) {
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;
    POSIX::setsid();
    POSIX::setuid($uid);
    exec 'sleep', '600' or POSIX::_exit(127);
}

sub end_all (@pids) {
    kill 'KILL', @pids;
    waitpid $_, 0 for @pids;
}

# Starts a script at the only worker, and returns its pids.
sub start_family ($bridge) {
    my $file = spew(file(), '', 0666);
    my $c = $bridge->connect('unix');
    $c->start(1, $bridge->params('family', TEST_PIDS => $file));
    return ($c, wait_pids($file, 4));
}

scenario 'a worker names others for its scripts, and dies' => sub {
    my $bridge = Bridge->start(workers => 1, args => [ '-u', 'nobody' ]);
    my ($worker) = $bridge->workers;
    my ($c, @family) = start_family($bridge);
    my @others = (bystander(0), bystander($nobody));
    my $board = board_of($worker);
    my @named = (@others, $bridge->pid);
    # a slot is its owner, the script's pid, and the same for a group
    my ($at) = grep { $_ >= 0 } map { index peek($worker, $board), pack 'l2', 1, $_ } @family;
    ok(defined $at, 'its slot is found') or return;
    poke($worker, $board, $at + 16 * (1 + $_), pack 'l4', 1, $named[$_], 1, $named[$_])
        for 0 .. $#named;
    my $mark = $bridge->mark;
    kill 'KILL', $worker;
    ok($bridge->wait_for_log(qr/worker 0 \(pid $worker\) was killed.*its 4 scripts/, 10,
        from => $mark), 'it is buried');
    is_deeply([ gone(10, @family) ], [], 'its script is killed, with its children');
    is(scalar(grep { alive($_) } @others), 2, 'and no other process, of root or of its user');
    ok(alive($bridge->pid), 'the supervisor least of all');
    is(FastCGI::body($bridge->get('unix', 'hello')), "hello\n", 'which goes on');
    end_all(@others);
    $bridge->stop;
};

my %patterns = (
    'all ones' => sub ($n) { "\xff" x $n },
    'large numbers' => sub ($n) { "\x7f" x $n },
    'noise' => sub ($n) { noise($n) },
    'texts without an end' => sub ($n) { pack('V', 2) x ($n / 4) },
);

for my $name (sort keys %patterns) {
    scenario "a worker overwrites everything: $name" => sub {
        my $bridge = Bridge->start(workers => 2, args => [ '-u', 'nobody', '--watchdog', '60s' ]);
        my ($worker) = $bridge->workers;
        my $board = board_of($worker);
        poke($worker, $board, 0, $patterns{$name}->($board->{size}));
        my $mark = $bridge->mark;
        $bridge->signal('USR2');
        ok($bridge->wait_for_log(qr/status: worker 1: .*requests in all/, 10, from => $mark),
            'the status is written');
        kill 'KILL', $worker;
        ok($bridge->wait_for_log(qr/worker \d \(pid $worker\) was killed/, 10, from => $mark),
            'it is buried');
        $mark = $bridge->mark;
        my @old = $bridge->workers; # one of them still has what was written
        $bridge->signal('HUP');
        ok($bridge->wait_for_log(qr/\bready\b/, 20, from => $mark), 'a reload inherits from it');
        is_deeply([ gone(20, @old) ], [], 'the workers from before end');
        is(FastCGI::body($bridge->get('unix', 'hello')), "hello\n", 'and serves');
        $bridge->signal('USR2');
        ok($bridge->wait_for_log(qr/status: worker 1: .*requests in all/, 10, from => $mark),
            'the status is written');
        $bridge->stop;
    };
}

# ---- groups that wait for their KILL ---------------------------------------------------------

script('stubborn', <<~'END');
    #!/bin/sh
    printf 'Content-Type: text/plain\n\n'
    echo $$ >>"$TEST_PIDS"
    (trap '' TERM; exec sh -c 'echo $$ >>"$TEST_PIDS"; exec sleep 600') >/dev/null 2>&1 </dev/null &
    wait
    END

scenario 'a worker dies while a group waits for its KILL' => sub {
    my $bridge = Bridge->start(workers => 1, args => [ '--disconnect-grace', '0', '--kill-delay', '10m' ]);
    my ($worker) = $bridge->workers;
    my $c = $bridge->connect('unix');
    my $file = file();
    $c->start(1, $bridge->params('stubborn', TEST_PIDS => $file));
    my ($script, $child) = wait_pids($file, 2);
    $c->hang_up;
    ok(wait_until(10, sub { !-e "/proc/$script" }), 'the script ends with TERM');
    ok(alive($child), 'what it has started does not');
    kill 'KILL', $worker;
    if (board_of($bridge->pid)->{file} =~ /memfd/) {
        is_deeply([ gone(10, $child) ], [], 'the supervisor sees to it');
    } else {
        kill 'KILL', $child; # this build cannot tell whose a group is
    }
    $bridge->stop;
};

done_testing;

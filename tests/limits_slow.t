#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Limits that take long to reach, or that only root can set.  Not a part of make check, for
# its length; .ci/run has it.
use v5.36;
use Fcntl qw(F_WRLCK F_UNLCK);
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

is_program('prlimit', 'util-linux');

# How many instructions a worker needs in all its life, if it is sent these bytes.
sub instructions ($max, @pieces) {
    my $out = file();
    my $bridge = Bridge->start(sockets => ['unix'], args => [ '-m', $max, '--watchdog', 0 ],
        prefix => [ is_program('valgrind', 'valgrind'), '-q', '--tool=callgrind',
            "--callgrind-out-file=$out.%p" ]);
    my ($worker) = $bridge->workers;
    my $c = $bridge->connect('unix');
    for my $piece (@pieces) {
        $c->send($piece, timeout => 120);
    }
    is_idle($c);
    $c->hang_up;
    is_idle($bridge->connect('unix'));
    $bridge->signal('QUIT');
    is($bridge->wait_exit(60), 0, 'it ends');
    my ($n) = slurp("$out.$worker") =~ /^(?:summary|totals): (\d+)/m;
    ok($n, 'its instructions are counted');
    return $n // 0;
}

# A question that is answered when all before it has been read.
sub is_idle ($c) {
    $c->{asked}++;
    $c->send(FastCGI::record(FastCGI::GET_VALUES, 0, FastCGI::pairs(FCGI_MAX_REQS => '')),
        timeout => 120);
    ok($c->wait_mgmt(120), 'all has been read');
}

scenario 'a record costs the same with 65,000 ids as with 200' => sub {
    my %cost;
    my $records = 20_000;
    for my $ids (200, 65_000) {
        my $begins = join '', map { FastCGI::begin($_, keep => 1)
            . FastCGI::record(FastCGI::PARAMS, $_, 'x') } 1 .. $ids; # the first takes memory
        my $more = join '', map { FastCGI::record(FastCGI::PARAMS, 1 + $_ * 7919 % $ids, 'x') }
            1 .. $records;
        $cost{$ids} = (instructions(65_000, $begins, $more) - instructions(65_000, $begins))
            / $records;
        note sprintf '%d ids: %.0f instructions for a record', $ids, $cost{$ids};
    }
    cmp_ok($cost{65_000}, '<', 1.3 * $cost{200}, 'no work for a record grows with them');
}, secs => 400;

scenario '65,535 ids on one connection are answered' => sub {
    my $bridge = Bridge->start(sockets => ['unix'],
        args => [ '-m', 65_535, '--ping-path', '/ping' ]);
    my @workers = $bridge->workers;
    my $n = 65_535;
    my $pairs = FastCGI::pairs(SCRIPT_NAME => '/ping', REQUEST_METHOD => 'GET');
    my $c = $bridge->connect('unix');
    $c->expect($_) for 1 .. $n;
    $c->send(join '', map { FastCGI::begin($_, keep => 1) } 1 .. $n);
    $c->send(join '', map { FastCGI::stream(FastCGI::PARAMS, $_, $pairs)
        . FastCGI::record(FastCGI::PARAMS, $_) . FastCGI::record(FastCGI::STDIN_, $_) } 1 .. $n);
    $c->read_until(slow(60), sub { @{ $c->{ended} // [] } >= $n });
    is(scalar @{ $c->{ended} // [] }, $n, 'all of them');
    $c->hang_up;
    $bridge->ok_serves('unix', @workers);
    $bridge->stop;
}, secs => 120;

scenario '100,000 management records at once' => sub {
    my $bridge = Bridge->start(sockets => ['unix']);
    my $c = $bridge->connect('unix');
    my $n = 100_000;
    $c->{asked} = $n;
    my $bytes = FastCGI::record(FastCGI::GET_VALUES, 0, FastCGI::pairs(FCGI_MPXS_CONNS => '')) x $n;
    my $sent = $c->send($bytes, no_read => 1, timeout => 0.3 / $FastCGI::slow);
    cmp_ok($sent, '<', length $bytes, 'a client that does not read is held back');
    cmp_ok($bridge->memory, '<', ($Bridge::slow > 1 ? 400 : 32) * 1024, 'and little kept (KiB)');
    $c->send(substr($bytes, $sent), timeout => 60);
    $c->read_until(slow(60), sub { @{ $c->{mgmt} } >= $n });
    is(scalar @{ $c->{mgmt} }, $n, 'each is answered');
    $bridge->stop;
}, secs => 120;

# Raises the limit of open files of this process; false if it may not be so high.
sub may_open ($n) {
    return run_program([ 'prlimit', "--pid=$$", "--nofile=$n:" ])->{exit} == 0;
}

# Its clients are web servers, which stand for all of theirs: a limit for each of them would be
# one for the service, which there is (open files), so there is none.
scenario '10,000 connections of one client' => sub {
    my $n = 10_000;
    ok(may_open($n + 500), 'so many can be open') or return;
    my $bridge = Bridge->start(sockets => [qw(unix tcp)],
        child => sub { run_program([ 'prlimit', "--pid=$$", '--nofile=15000:15000' ]) });
    my @workers = $bridge->workers;
    my $before = $bridge->memory;
    my @c = map { $bridge->connect('unix') } 1 .. $n;
    $bridge->ok_serves('tcp', @workers);
    my $kib = ($bridge->memory - $before) / $n;
    note sprintf '%.2f KiB for a connection', $kib;
    cmp_ok($kib, '<', 8, 'each takes little memory') if $Bridge::slow == 1;
    my @some = @c[ map { $_ * 100 } 0 .. 99 ];
    $_->start(1, $bridge->params('hello')) for @some;
    my @other = grep { FastCGI::body($_->wait_end(1, 20)) ne "hello\n" } @some;
    is(scalar @other, 0, 'those of them that ask are served');
    $_->hang_up for @c;
    $bridge->ok_serves('unix', @workers);
    $bridge->stop;
}, secs => 120;

scenario 'one client has all connections that there may be: others wait' => sub {
    my $bridge = Bridge->start(sockets => ['unix'],
        prefix => [ 'sh', '-c', 'ulimit -n 400; exec "$@"', 'sh' ]);
    my @workers = $bridge->workers;
    my @c = map { $bridge->connect('unix') } 1 .. 400;
    ok($bridge->wait_for_log(qr/\d connections, as many as the limit of open files allows/, 10),
        'the log says so');
    my $other = $bridge->connect('unix');
    $other->start(1, $bridge->params('hello'));
    ok(!$other->read_until(0.5, sub { $other->{req}{1}{end} }), 'another one waits');
    $_->hang_up for splice @c, 0, 350;
    is(FastCGI::body($other->wait_end(1)), "hello\n", 'until there is room');
    $_->hang_up for @c;
    $bridge->ok_serves('unix', @workers);
    $bridge->stop;
};

# ---- a file system that does not answer ---------------------------------------------------------

# A lease has open(2), and with it the exec, wait for its holder, as a network file system has
# for its server.
sub hold_lease ($path) {
    my ($f_setlease, $pid) = (1024, fork // die "fork: $!\n");
    return $pid if $pid;
    $SIG{IO} = 'IGNORE';
    $SIG{TERM} = 'DEFAULT';
    open my $fh, '<', $path or POSIX::_exit(1);
    fcntl $fh, $f_setlease, F_WRLCK or POSIX::_exit(2);
    spew("$path.held", '');
    sleep 60;
    POSIX::_exit(0);
}

scenario 'a file system that does not answer: a worker is lost to it, others serve' => sub {
    my $bridge = Bridge->start(sockets => ['unix'], workers => 2, args => [ '--watchdog', '2s' ]);
    my @workers = $bridge->workers;
    my $path = script('far-away', "#!/bin/sh\n");
    my $holder = hold_lease($path);
    ok(wait_until(5, sub { -e "$path.held" }), 'it does not answer');
    my $c = $bridge->connect('unix');
    $c->start(1, $bridge->params('far-away'));
    sleep 0.2;
    for (1 .. 5) {
        my $r = $bridge->get('unix', 'hello');
        is(FastCGI::body($r), "hello\n", 'others are served');
        cmp_ok($r->{total}, '<', slow(3), 'soon');
    }
    is($c->wait_close(10), 'eof', 'the request ends');
    like($bridge->log, qr/\(--watchdog\): killed/, 'with its worker, after --watchdog');
    ok(wait_until(5, sub { $bridge->workers == 2 }), 'there is a new one');
    kill 'KILL', $holder;
    waitpid $holder, 0;
    my @now = $bridge->workers;
    is(scalar(grep { my $pid = $_; grep { $_ == $pid } @workers } @now), 1, 'one has stayed');
    $bridge->ok_serves('unix', @now);
    $bridge->stop;
};

# ---- what only root can do ---------------------------------------------------------------

# A new control group for memory; undef where there can be none.
sub memory_group ($bytes) {
    my ($v2) = grep { -e "$_/cgroup.controllers" } '/sys/fs/cgroup';
    my $dir = ($v2 // '/sys/fs/cgroup/memory') . "/cgibridge-test-$$";
    mkdir $dir or return;
    my $limit = -e "$dir/memory.max" ? 'memory.max' : 'memory.limit_in_bytes';
    return $dir if eval { spew("$dir/$limit", $bytes) };
    rmdir $dir;
    return;
}

script('glutton', <<~'PERL');
    #!/usr/bin/perl
    my @all;
    push @all, 'x' x 1_000_000 while 1;
    PERL

my $group = is_root() ? memory_group(64 << 20) : undef;

scenario 'a control group without memory: the script ends, and the request with it' => sub {
    my $bridge = Bridge->start(sockets => ['unix'],
        child => sub { spew("$group/cgroup.procs", $$) });
    my @workers = $bridge->workers;
    for (1 .. 3) {
        my $r = $bridge->get('unix', 'glutton', [], secs => 30);
        like(FastCGI::status($r), qr/^50[02]$/, 'it gets an error');
    }
    like($bridge->log, qr/glutton\[\d+\].*killed by signal 9/, 'the log says why');
    $bridge->ok_serves('unix', @workers);
    $bridge->stop;
    wait_until(5, sub { rmdir $group });
} if $group;

# Since Linux 6.14 each PID namespace has a limit of its own; before, it is the machine's.
sub has_own_pid_max () {
    my ($major, $minor) = (POSIX::uname())[2] =~ /^(\d+)\.(\d+)/;
    return is_root() && ($major > 6 || $major == 6 && $minor >= 14);
}

scenario 'pids that are used again and again' => sub {
    my $bridge = Bridge->start(any => 1, sockets => ['unix'], args => [ '--kill-delay', '100ms' ],
        prefix => [ is_program('unshare', 'util-linux'), qw(--pid --fork --mount-proc), 'sh', '-c',
            'echo 400 >/proc/sys/kernel/pid_max && exec "$@"', 'sh' ]);
    $bridge->wait_ready;
    my ($daemon) = Bridge::children($bridge->pid);
    my $c = $bridge->connect('unix');
    my %seen;
    my $file = file();
    for my $n (1 .. 1500) {
        my @more = $n % 50 == 0 ? (CGIBRIDGE_TIMEOUT => '20ms') : ();
        my $script = @more ? 'sleeper' : $n % 50 == 25 ? 'holder' : 'hello';
        delete $c->{req}{1};
        $c->start(1, $bridge->params($script, QUERY_STRING => 0.2, TEST_PIDS => $file, @more),
            keep => 1);
        my $r = $c->wait_end(1, 20);
        $seen{"$script: " . FastCGI::status($r) . (FastCGI::body($r) =~ /^(\w+)\n/ ? " $1" : '')}++;
    }
    my %should = ('hello: 200 hello' => 1440, 'holder: 200 held' => 30, 'sleeper: 504' => 30);
    is_deeply(\%seen, \%should,
        'each script has the answer and the end that it should have');
    unlike($bridge->log, qr/killed by signal|error:/, 'none is killed for another');
    $c->hang_up;
    kill 'TERM', $daemon;
    is($bridge->wait_exit(10), 0, 'it ends');
} if has_own_pid_max();

done_testing;

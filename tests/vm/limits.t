#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# What cgroup v2 limits do to a bridge and its scripts: each has a defined answer, and when the
# load is gone the service goes on without a restart.  tests/vm/run runs this in a machine of its
# own.
use v5.36;
use Test::More;
use FastCGI;
use Bridge;
use Preloading qw(preloading preloaders is_ready counts);

my $root = '/sys/fs/cgroup';

sub set ($file, $value) {
    open my $fh, '>', $file or die "$file: $!\n";
    syswrite $fh, $value or die "$file: $value: $!\n";
}

sub value ($file, $name = qr/.*/) { return slurp($file) =~ /^(?:$name )?(\d+)$/m ? $1 : undef }

# A bridge in a cgroup of its own, and the cgroup's folder; `start` may be another function that
# starts one.
sub limited (%o) {
    state $n = 0;
    my $cgroup = "$root/bridge-" . ++$n;
    mkdir $cgroup or die "$cgroup: $!\n";
    my $start = delete $o{start} // sub (@o) { Bridge->start(@o) };
    my $bridge = $start->(sockets => ['unix'],
        child => sub { set("$cgroup/cgroup.procs", $$) }, %o);
    return ($bridge, $cgroup);
}

# Lowers the limit of processes to as many as there are, and `more`.
sub set_pids ($cgroup, $more) { set("$cgroup/pids.max", value("$cgroup/pids.current") + $more) }

sub begin ($bridge, $name, %more) {
    my $c = $bridge->connect('unix');
    $c->start(1, $bridge->params($name, %more));
    return $c;
}

# The status of its answer; 0 if it was cut.
sub status ($c) {
    my $r = eval { $c->wait_end(1, 20) };
    return $r ? FastCGI::status($r) : 0;
}

sub ok_goes_on ($bridge, @workers) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $is_free = sub { FastCGI::status($bridge->get('unix', 'hello')) == 200 };
    ok(wait_until(10, $is_free), 'requests are served again');
    $bridge->ok_serves('unix', @workers);
    $bridge->stop;
}

sh('naps', 'printf "Content-Type: text/plain\n\nnap\n"; exec sleep "$QUERY_STRING"');
script('bomb', <<~'PERL');
    #!/usr/bin/perl
    open my $count, '>>', $ENV{TEST_PIDS} or die;
    $count->autoflush(1);
    while (1) {
        my $pid = fork;
        print $count "$$\n" if defined $pid && !$pid;
        select undef, undef, undef, 0.05 if !defined $pid;
    }
    PERL
# Takes memory until it is killed, once the file $TEST_GO is there.
script('hog', <<~'PERL');
    #!/usr/bin/perl
    open my $pids, '>', $ENV{TEST_PIDS} or die;
    print $pids "$$\n";
    close $pids;
    select undef, undef, undef, 0.02 while !-e $ENV{TEST_GO};
    open my $mine, '>', '/proc/self/oom_score_adj' or die;
    print $mine "-500\n"; # one with 1000 is chosen before it, and it before all others
    close $mine;
    my @all;
    push @all, 'x' x 1_000_000 for 1 .. 500;
    print "Content-Type: text/plain\n\nall of it\n";
    PERL

# ---- pids.max ---------------------------------------------------------------------------------

scenario 'pids.max: more requests than processes' => sub {
    my ($bridge, $cgroup) = limited(args => [ '-m', 30 ]);
    my @workers = $bridge->workers;
    my $mark = $bridge->mark;
    set_pids($cgroup, 3);
    my @c = map { begin($bridge, 'naps', QUERY_STRING => 3) } 1 .. 12;
    my %n;
    $n{ status($_) }++ for @c;
    is(join(' ', sort keys %n), '200 503', 'each is served or refused');
    is($n{200}, 3, 'as many are served as there may be') or diag(explain(\%n));
    like($bridge->log_since($mark), qr/503: .*cannot start a process: .*TasksMax=/,
        'the log names the limit');
    set("$cgroup/pids.max", 'max');
    ok_goes_on($bridge, @workers);
};

scenario 'pids.max: a fork bomb' => sub {
    my $file = spew(file(), '', 0666);
    my ($bridge, $cgroup) = limited(args => [ qw(--timeout 6s --kill-delay 200ms) ]);
    my @workers = $bridge->workers;
    set_pids($cgroup, 20);
    my $c = begin($bridge, 'bomb', TEST_PIDS => $file);
    ok(wait_until(10, sub { value("$cgroup/pids.events", 'max') }), 'it reaches the limit');
    is(FastCGI::status($bridge->get('unix', 'hello')), 503, 'meanwhile others get 503');
    is(status($c), 504, 'it gets 504');
    is_deeply([ gone(10, pids_in($file)) ], [], 'all of it is gone');
    ok_goes_on($bridge, @workers);
};

scenario 'pids.max: a worker cannot be replaced' => sub {
    my ($path, $heard) = (file(), '');
    my $s = manager($path);
    my ($bridge, $cgroup) = limited(workers => 2,
        env => { NOTIFY_SOCKET => $path, WATCHDOG_USEC => 1_000_000 },
        args => [ '--watchdog', '60s' ]);
    my ($first, $other) = $bridge->workers;
    my $mark = $bridge->mark;
    set("$cgroup/pids.max", 1);
    kill 'KILL', $first;
    ok($bridge->wait_for_log(qr/cannot be started: .*trying again/, 5, from => $mark),
        'the log says so');
    told($s, \$heard);
    $heard = '';
    ok(wait_until(10, sub { (() = told($s, \$heard) =~ /^WATCHDOG=1$/mg) >= 4 }),
        'the watchdog is fed, since a worker is well');
    my $n = () = $bridge->log_since($mark) =~ /cannot be started/g;
    cmp_ok($n, '<', 20, 'it tries again less and less often');
    is(FastCGI::status($bridge->get('unix', 'hello')), 503, 'no script can be started');
    set("$cgroup/pids.max", 'max');
    ok(wait_until(15, sub { $bridge->workers == 2 }), 'it is replaced');
    ok((grep { $_ == $other } $bridge->workers), 'the other one is not');
    ok_goes_on($bridge, $bridge->workers);
};

# ---- memory -----------------------------------------------------------------------------------

# Starts a hog under memory.max; the connection, its pid, and the file that it waits for.
sub start_hog ($bridge, $cgroup, $megabytes = 60) {
    my ($file, $go) = (file(), file());
    my $c = begin($bridge, 'hog', TEST_PIDS => $file, TEST_GO => $go);
    my ($pid) = wait_pids($file, 1);
    set("$cgroup/memory.max", $megabytes << 20);
    return ($c, $pid, $go);
}

scenario 'memory.max: a script is killed' => sub {
    my ($bridge, $cgroup) = limited();
    my @workers = $bridge->workers;
    my $mark = $bridge->mark;
    my ($c, $pid, $go) = start_hog($bridge, $cgroup);
    spew($go, '');
    is(status($c), 500, 'it gets 500');
    is(value("$cgroup/memory.events", 'oom_kill'), 1, 'one process was killed');
    like($bridge->log_since($mark), qr/ warn: \S*hog\[$pid\]: .*500: .*killed by signal 9/,
        'the log names the signal') or diag($bridge->log_since($mark));
    ok_goes_on($bridge, @workers);
};

scenario 'memory.max with memory.oom.group: the service ends as a whole' => sub {
    my ($bridge, $cgroup) = limited();
    my @family = Bridge::descendants($bridge->pid);
    my ($c, $pid, $go) = start_hog($bridge, $cgroup);
    set("$cgroup/memory.oom.group", 1);
    spew($go, '');
    # 503: a worker has noticed that the supervisor was killed, and was killed after it
    ok(status($c) =~ /^(?:0|503)$/, 'its request is not served');
    is($bridge->wait_exit(20), 9, 'the supervisor is killed');
    is_deeply([ gone(10, @family, $pid) ], [], 'and all others');
};

scenario 'memory.max: a worker is killed' => sub {
    my ($bridge, $cgroup) = limited(workers => 2);
    my $mark = $bridge->mark;
    my ($c, $pid, $go) = start_hog($bridge, $cgroup);
    my ($state, $worker) = Bridge::process($pid);
    my ($other) = grep { $_ != $worker } $bridge->workers;
    set("/proc/$worker/oom_score_adj", 1000);
    spew($go, '');
    is(status($c), 0, 'its request is cut');
    is_deeply([ gone(10, $worker, $pid) ], [], 'it is gone, and its script');
    ok($bridge->wait_for_log(qr/worker \d+ \(pid $worker\) was killed by signal 9; its 1 scripts/,
        5, from => $mark), 'the log says so');
    ok(wait_until(15, sub { $bridge->workers == 2 }), 'it is replaced');
    ok((grep { $_ == $other } $bridge->workers), 'the other one is not');
    ok_goes_on($bridge, $bridge->workers);
};

scenario 'memory.max: a preloader is killed' => sub {
    my ($bridge, $cgroup) = limited(start => \&preloading);
    my @workers = $bridge->workers;
    my $mark = $bridge->mark;
    my $restarts = counts($bridge)->{preloader_restarts};
    my ($preloader) = preloaders($bridge);
    my ($c, $pid, $go) = start_hog($bridge, $cgroup);
    set("/proc/$preloader/oom_score_adj", 1000);
    spew($go, '');
    is(status($c), 500, 'the script is killed as well');
    is_deeply([ gone(10, $preloader) ], [], 'it is gone');
    is_hello($bridge->get('unix', 'hello'), 'a request is served');
    ok($bridge->wait_for_log(qr/preloader for .* was killed by signal 9/, 5, from => $mark),
        'the log says so');
    ok(wait_until(15, sub { is_ready($bridge) }), 'it is replaced');
    is(counts($bridge)->{preloader_restarts}, $restarts + 1, 'once');
    ok_goes_on($bridge, @workers);
};

scenario 'memory.high: a script is slowed down, others are served' => sub {
    my ($bridge, $cgroup) = limited(args => [ qw(--timeout 30s --kill-delay 200ms) ]);
    my @workers = $bridge->workers;
    my ($c, $pid, $go) = start_hog($bridge, $cgroup, 600);
    set("$cgroup/memory.high", 40 << 20);
    spew($go, '');
    ok(wait_until(10, sub { value("$cgroup/memory.events", 'high') > 10 }), 'it is slowed down');
    for (1 .. 3) {
        is(FastCGI::status(eval { $bridge->get('unix', 'hello') } // {}), 200,
            'another request is served');
    }
    ok(alive($pid), 'while it runs') or diag($bridge->log);
    $c->hang_up;
    is_deeply([ gone(20, $pid) ], [], 'it is ended when its client leaves');
    set("$cgroup/memory.high", 'max');
    ok_goes_on($bridge, @workers);
};

done_testing;

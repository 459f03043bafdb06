#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# HUP: a new image in the same process, nothing refused and nothing cut.  What the
# service manager is told, and workers that are stuck.
use v5.36;
use Fcntl qw(O_NONBLOCK O_WRONLY);
use File::Copy ();
use IO::Socket::UNIX;
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $tmp = Bridge::tmp();

# ---- what stays --------------------------------------------------------------------

on_both 'a reload' => sub ($kind) {
    my $bridge = Bridge->start(workers => 2);
    is_hello($bridge->get($kind, 'hello'), 'before');
    my $path = $bridge->url('unix') =~ s/^unix://r;
    my $inode = (stat $path)[1];
    ok($bridge->reload, 'new workers are there, the old ones gone');
    ok(alive($bridge->pid), 'the process is the same');
    ok(wait_until(5, sub { $bridge->workers == 2 }), 'as many as before');
    is_hello($bridge->get($kind, 'hello'), 'after');
    is((stat $path)[1], $inode, 'the socket is the same');
    my $fds = () = glob '/proc/' . $bridge->pid . '/fd/*';
    ok($bridge->reload, 'and again') for 1, 2;
    ok(wait_until(5, sub { $fds == (() = glob '/proc/' . $bridge->pid . '/fd/*') }),
        'no descriptor is lost');
    is_hello($bridge->get($kind, 'hello'), 'it still serves');
    my %env = map { split /=/, $_, 2 } split /\0/, FastCGI::body($bridge->get($kind, 'environ'));
    is_deeply([ grep { /^CGIBRIDGE_/ } keys %env ], [], 'nothing of it reaches scripts');
    is_deeply([ FastCGI::body($bridge->get($kind, 'fds')) =~ /^(\d+) /mg ], [ 0, 1, 2 ],
        'and no descriptor');
    $bridge->stop;
    ok(!-e $path, 'the socket file is removed at the end');
};

on_both 'a request that runs is not cut' => sub ($kind) {
    my $bridge = Bridge->start;
    my $c = $bridge->connect($kind);
    my $hold = $bridge->start_waiting($c);
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    ok($bridge->wait_reloaded($mark), 'reloaded');
    is_hello($bridge->get($kind, 'hello'), 'the new workers serve meanwhile');
    ok(!$c->{req}{1}{end}, 'it still runs');
    is($bridge->end_waiting($c, $hold), "released\n", 'and is answered whole');
    ok($bridge->wait_for_log(qr/workers from before the reload have ended/, 5), 'the log says so');
    $bridge->stop;
};

scenario '5000 requests, and reloads all the time' => sub {
    my $bridge = Bridge->start(workers => 2);
    my @loaders;
    for my $kind (qw(unix tcp unix tcp)) {
        my $result = file();
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            my $bad = 0;
            for (1 .. 1250) {
                my $r = eval { $bridge->get($kind, 'hello', [], secs => 30) };
                my $why = !$r ? "refused: $@" : !$r->{end} ? 'no end'
                    : FastCGI::body($r) ne "hello\n" ? 'cut' : next;
                $bad++;
                warn "$kind request $_: $why\n";
            }
            spew($result, $bad);
            POSIX::_exit(0);
        }
        push @loaders, [ $pid, $result ];
    }
    my $mark = $bridge->mark;
    while (grep { !-s $_->[1] && kill 0, $_->[0] } @loaders) {
        $bridge->signal('HUP');
        sleep 0.05;
        waitpid $_->[0], POSIX::WNOHANG() for @loaders;
    }
    my $times = () = $bridge->log_since($mark) =~ /takes over/g;
    cmp_ok($times, '>', 5, "$times reloads");
    is(slurp($_->[1]), 0, 'none refused, none cut') for @loaders;
    wait_until(15, sub { $bridge->log_since($mark) !~ /takes over(?!(?:.*\n)*.*have ended)/ });
    $bridge->stop;
}, secs => 240;

on_both 'a kept connection ends in order' => sub ($kind) {
    my $bridge = Bridge->start;
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('hello'), keep => 1);
    $c->wait_end(1);
    ok($bridge->reload, 'reloaded');
    is($c->wait_close(5), 'eof', 'it is closed, and not reset');
    $bridge->stop;
};

scenario 'inherited sockets stay' => sub {
    my $path = "$tmp/inherited";
    my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 10) or die "$path: $!";
    my %ways = (
        'descriptor 0' => sub { POSIX::dup2(fileno $listener, 0) },
        LISTEN_FDS => sub {
            my $high = POSIX::dup2(fileno $listener, 60); # it may be 3 itself, and close-on-exec
            POSIX::dup2($high, 3);
            POSIX::close($high);
            @ENV{qw(LISTEN_FDS LISTEN_PID)} = (1, $$);
        },
    );
    for my $way (sort keys %ways) {
        my $bridge = Bridge->start(sockets => [], child => $ways{$way});
        is_hello(FastCGI->ask("unix:$path", $bridge->params('hello')), "$way: before");
        for (1, 2) {
            ok($bridge->reload, 'reloaded');
            is_hello(FastCGI->ask("unix:$path", $bridge->params('hello')), 'after');
        }
        $bridge->stop;
        ok(-S $path, 'its file is not ours to remove');
    }
};

# ---- what changes ------------------------------------------------------------------

scenario '@FILE is read again' => sub {
    my ($one, $two) = ("$tmp/one.sock", "$tmp/two.sock");
    my $options = file();
    spew($options, "# the first\n--workers 1\n-s unix:$one --env 'WHO=a b' --env=X=\"1\"\n");
    my $bridge = Bridge->start(sockets => [], workers => 1, args => ["\@$options"]);
    my $env = sub ($path) {
        my $r = FastCGI->ask("unix:$path", $bridge->params('environ'));
        return { map { split /=/, $_, 2 } split /\0/, FastCGI::body($r) };
    };
    is($env->($one)->{WHO}, 'a b', 'its quotes are a shell\'s');
    is($env->($one)->{X}, '1', 'both kinds');
    spew($options, "--workers 3 -s unix:$two --env WHO=c");
    ok($bridge->reload, 'reloaded');
    ok(wait_until(5, sub { $bridge->workers == 3 }), 'three workers');
    is($env->($two)->{WHO}, 'c', 'a new socket, a new value');
    ok(!-e $one, 'the old socket is gone');
    ok($bridge->wait_for_log(qr/no longer listening on unix:\Q$one\E/, 5), 'the log says so');
    $bridge->stop;
    ok(!-e $two, 'all is removed at the end');
};

# The first trial waits for its options, which are the old ones, until the second HUP is in.
scenario 'HUP while a trial still reads the options from before' => sub {
    my $options = spew(file(), '--timeout 60');
    my $bridge = Bridge->start(args => ["\@$options"]);
    my $mark = $bridge->mark;
    unlink $options;
    POSIX::mkfifo($options, 0600) or die "$options: $!\n";
    $bridge->signal('HUP');
    my $bad;
    ok(wait_until(10, sub { sysopen $bad, $options, O_WRONLY | O_NONBLOCK }), 'a trial reads them');
    spew("$options.new", '--timeout 50');
    rename "$options.new", $options;
    $bridge->signal('HUP');
    $bridge->signal('USR1'); # which is handled after HUP
    ok($bridge->wait_for_log(qr/opening the log files again/, 5, from => $mark), 'HUP is in');
    syswrite $bad, '--no-such';
    close $bad;
    ok($bridge->wait_for_log(qr/not reloaded: /, 10, from => $mark), 'that trial fails');
    ok($bridge->wait_reloaded($mark), 'another one sees the new options');
    is_hello($bridge->get('unix', 'hello'), 'it serves');
    $bridge->stop;
};

scenario 'a socket file that another process has put in place of ours' => sub {
    my ($one, $two) = ("$tmp/taken.sock", "$tmp/kept.sock");
    my $options = file();
    spew($options, "-s unix:$one -s unix:$two");
    my $bridge = Bridge->start(sockets => [], args => ["\@$options"]);
    unlink $one, $two;
    my @others = map { IO::Socket::UNIX->new(Local => $_, Listen => 1) // die "$_: $!" } $one, $two;
    spew($options, "-s unix:$two");
    ok($bridge->reload, 'reloaded');
    ok($bridge->wait_for_log(qr/no longer listening on unix:\Q$one\E/, 5), 'one is given up');
    ok(IO::Socket::UNIX->new(Peer => $one), 'by then it is that of another, and stays');
    $bridge->stop;
    ok(IO::Socket::UNIX->new(Peer => $two), 'likewise at the end');
};

scenario 'a new binary takes over' => sub {
    my $bridge = Bridge->start(copy => 1);
    File::Copy::copy($bridge->{program}, "$bridge->{program}.new");
    chmod 0755, "$bridge->{program}.new";
    rename "$bridge->{program}.new", $bridge->{program};
    my $inode = (stat $bridge->{program})[1];
    ok($bridge->reload, 'reloaded');
    is((stat '/proc/' . $bridge->pid . '/exe')[1], $inode, 'it is the new file that runs');
    is_hello($bridge->get('unix', 'hello'), 'it serves');
    $bridge->stop;
};

scenario 'a program that was started by its name' => sub {
    my ($folder, $name) = $Bridge::daemon =~ m{(.*)/(.*)};
    local $Bridge::daemon = $name;
    local $ENV{PATH} = "/nowhere:$folder:$ENV{PATH}";
    my $bridge = Bridge->start;
    ok($bridge->reload, 'it is found again');
    is_hello($bridge->get('unix', 'hello'), 'it serves');
    $bridge->stop;
};

# ---- a new image that would not start --------------------------------------------------

sub goes_on ($bridge, $re, $what) {
    my @before = $bridge->workers;
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    ok($bridge->wait_for_log(qr/not reloaded: .*going on as before/, 30, from => $mark),
        "$what: not reloaded");
    like($bridge->log_since($mark), $re, 'the log says why');
    is_deeply([ $bridge->workers ], \@before, 'the workers are the same');
    is_hello($bridge->get($_, 'hello'), "it serves ($_)") for qw(unix tcp);
}

scenario 'a new image that would not start' => sub {
    my $options = file();
    spew($options, '--timeout 5');
    my $bridge = Bridge->start(copy => 1, args => ["\@$options"]);
    spew($options, '--timeout soon');
    goes_on($bridge, qr/--timeout 'soon': expected a time/, 'a bad option');
    spew($options, "-s unix:/no/such/directory/socket");
    goes_on($bridge, qr/cannot listen on unix:.no/, 'a socket that cannot be made');
    spew($options, "--env 'A=b");
    goes_on($bridge, qr/unclosed quote/, 'a quote that is not closed');
    unlink $options;
    goes_on($bridge, qr/No such file/, 'no file of options');
    spew($options, '--timeout 6');
    my $program = $bridge->{program};
    rename $program, "$program.kept";
    goes_on($bridge, qr/cannot execute .*No such file/, 'no program');
    spew($program, "#!/bin/sh\nexit 3\n", 0755);
    goes_on($bridge, qr/ended with status 3/, 'another program');
    spew($program, "#!/bin/sh\nkill -9 \$\$\n", 0755);
    goes_on($bridge, qr/killed by signal 9/, 'one that crashes');
    rename "$program.kept", $program;
    ok($bridge->reload, 'mended, it reloads');
    is_hello($bridge->get('unix', 'hello'), 'and serves');
    $bridge->stop;
}, secs => 120;

scenario 'a program whose path is not known' => sub {
    local @Bridge::wrapper = ('bash', '-c', 'exec -a no-such-program "$0" "$@"', @Bridge::wrapper);
    my $bridge = Bridge->start;
    goes_on($bridge, qr/the path of the program is unknown: start it by an absolute path/, 'by name');
    $bridge->stop;
};

scenario 'a trial that hangs can be stopped' => sub {
    my $bridge = Bridge->start(copy => 1);
    my $program = $bridge->{program};
    rename $program, "$program.kept";
    my $file = file();
    spew($program, "#!/bin/sh\necho \$\$ >$file\nexec sleep 600\n", 0755);
    $bridge->signal('HUP');
    my @pids = wait_pids($file, 1);
    is_hello($bridge->get('unix', 'hello'), 'meanwhile all is served');
    kill 'KILL', @pids;
    ok($bridge->wait_for_log(qr/not reloaded/, 5), 'the reload is given up');
    $bridge->stop;
};

# ---- old workers -------------------------------------------------------------------------

on_both 'an old script has --drain-timeout' => sub ($kind) {
    my $bridge = Bridge->start(args => [ '--drain-timeout', '1s', '--kill-delay', '1s' ]);
    my $file = file();
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('stubborn', TEST_PIDS => $file, TEST_MARK => file()));
    my @pids = wait_pids($file, 3);
    my $since = time;
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    $bridge->wait_reloaded($mark);
    $bridge->signal('HUP'); # it waits for the end of the first one
    is_deeply([ gone(8, @pids) ], [], 'then it is stopped');
    cmp_ok(time - $since, '>', 0.9, 'not before');
    $c->wait_end(1, 5);
    is(FastCGI::status($c->{req}{1}), 503, 'its client is told');
    ok($bridge->wait_for_log(qr/workers from before the reload have ended(?:.*\n)+.*takes over/, 10),
        'the second reload follows');
    is_hello($bridge->get($kind, 'hello'), 'it serves');
    $bridge->stop;
};

on_both 'an old worker that dies takes its scripts along' => sub ($kind) {
    my $bridge = Bridge->start;
    my ($old) = $bridge->workers;
    my $file = file();
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('family', TEST_PIDS => $file));
    my @pids = wait_pids($file, 4);
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    ok($bridge->wait_reloaded($mark), 'reloaded');
    kill 'KILL', $old;
    is_deeply([ gone(5, @pids) ], [], 'they are gone');
    ok($bridge->wait_for_log(qr/old worker \(pid $old\) did not end well; its 1 scripts/, 5),
        'the log says so');
    $bridge->stop;
};

scenario 'TERM while old workers drain' => sub {
    my $bridge = Bridge->start;
    my $c = $bridge->connect('unix');
    my $hold = $bridge->start_waiting($c);
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    ok($bridge->wait_reloaded($mark), 'reloaded');
    $bridge->signal('TERM');
    is($bridge->end_waiting($c, $hold), "released\n", 'an old request ends in peace');
    $bridge->stop;
};

# ---- stuck workers -------------------------------------------------------------------------

# A daemon that tells the manager each time it has found its workers well; and a code that
# says how often it did since it was last asked.
sub watched ($usec, %o) {
    my $path = file();
    my ($s, $heard) = (manager($path), '');
    my $bridge = Bridge->start(%o, env => { NOTIFY_SOCKET => $path, WATCHDOG_USEC => $usec });
    return ($bridge, sub {
        $heard = '';
        return scalar(() = told($s, \$heard) =~ /^WATCHDOG=1$/mg);
    });
}

# From now on it finds them well `n` times.
sub ok_well ($well, $n, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $times = $well->() * 0;
    ok(wait_until(15, sub { ($times += $well->()) >= $n }), $what);
}

scenario '--watchdog: workers that were stopped together with the supervisor' => sub {
    my ($bridge, $well) = watched(4_000_000, workers => 4, args => [ '--watchdog', '2s' ]);
    my @workers = $bridge->workers;
    ok_well($well, 1, 'it has looked at them');
    my $mark = $bridge->mark;
    kill 'STOP', $bridge->pid, @workers;
    sleep 2.5; # longer than they may be silent
    kill 'CONT', $bridge->pid;
    ok_well($well, 1, 'it looks at them before they can say that they are alive');
    kill 'CONT', @workers;
    ok_well($well, 2, 'and goes on');
    $bridge->no_warning($mark);
    is_deeply([ $bridge->workers ], \@workers, 'so do they');
    $bridge->stop;
};

scenario '--watchdog: a time shorter than a second' => sub {
    my ($bridge, $well) = watched(800_000, args => [ '--watchdog', '800ms' ]);
    my $mark = $bridge->mark;
    my @workers = $bridge->workers;
    ok_well($well, 8, 'it looks at its worker often');
    $bridge->no_warning($mark);
    is_deeply([ $bridge->workers ], \@workers, 'which is well while idle');
    $bridge->stop;
};

on_both '--watchdog: a stuck worker is replaced' => sub ($kind) {
    my $bridge = Bridge->start(workers => 2, args => [ '--watchdog', '2s' ]);
    my ($stuck, $other) = $bridge->workers;
    kill 'STOP', $stuck;
    my $mark = $bridge->mark;
    my $since = time;
    for (1 .. 20) {
        is_hello($bridge->get($kind, 'hello', [], secs => 20), 'served meanwhile') or last;
    }
    ok($bridge->wait_for_log(qr/worker \d \(pid $stuck\) has not done anything/, 10, from => $mark),
        'it is noticed');
    ok(wait_until(5, sub {
        my @now = $bridge->workers;
        return @now == 2 && !grep { $_ == $stuck } @now;
    }), 'and replaced');
    ok((grep { $_ == $other } $bridge->workers), 'the other one is not');
    $bridge->stop;
};

# ---- the service manager --------------------------------------------------------------------

for my $path ("$tmp/notify", "\@cgibridge-test-$$") {
    my $kind = $path =~ /^@/ ? 'an abstract socket' : 'a path';
    scenario "NOTIFY_SOCKET: $kind" => sub {
        my $s = manager($path);
        my $heard = '';
        my $bridge = Bridge->start(env => { NOTIFY_SOCKET => $path, WATCHDOG_USEC => 2_000_000 });
        ok(wait_until(5, sub { told($s, \$heard) =~ /^READY=1$/m }), 'READY');
        ok(wait_until(5, sub { told($s, \$heard) =~ /^WATCHDOG=1$/m }), 'WATCHDOG');
        ok(wait_until(15, sub { told($s, \$heard) =~ /^STATUS=0 scripts running, .* 1 workers$/m }),
            'STATUS');
        $heard = '';
        ok($bridge->reload, 'reloaded');
        ok(wait_until(5, sub {
            told($s, \$heard) =~ /^RELOADING=1\nMONOTONIC_USEC=\d{6,}\n(?s:.*)^READY=1$/m
        }), 'RELOADING with the time, then READY');
        $heard = '';
        ok(wait_until(5, sub { told($s, \$heard) =~ /^WATCHDOG=1$/m }), 'WATCHDOG goes on');
        my %env = map { split /=/, $_, 2 }
            split /\0/, FastCGI::body($bridge->get('unix', 'environ'));
        ok(!exists $env{NOTIFY_SOCKET} && !exists $env{WATCHDOG_USEC}, 'scripts see none of it');
        $bridge->stop;
        like(told($s, \$heard), qr/^STOPPING=1$/m, 'STOPPING');
    };
}

# How much time has passed is what another daemon says, whose worker is well.
scenario 'WATCHDOG is not fed while all workers are stuck' => sub {
    my ($bridge, $fed) = watched(4_000_000, workers => 2, args => [ '--watchdog', '60s' ]);
    my ($other, $passed) = watched(4_000_000, args => [ '--watchdog', '60s' ]);
    ok_well($fed, 1, 'fed');
    my ($worker, $last) = $bridge->workers;
    kill 'STOP', $worker;
    ok_well($fed, 4, 'fed while one of two is stuck');
    kill 'STOP', $last;
    ok_well($passed, 4, 'half of the time has passed');
    $fed->();
    ok_well($passed, 3, 'more of it');
    is($fed->(), 0, 'not any more');
    kill 'CONT', $worker;
    ok_well($fed, 1, 'fed again when one goes on');
    kill 'CONT', $last;
    $_->stop for $bridge, $other;
};

scenario 'WATCHDOG is fed with --watchdog 0, too' => sub {
    my $s = manager("$tmp/notify-3");
    my $heard = '';
    my $bridge = Bridge->start(args => [ '--watchdog', '0' ],
        env => { NOTIFY_SOCKET => "$tmp/notify-3", WATCHDOG_USEC => 400_000 });
    my $fed = sub { my @all = told($s, \$heard) =~ /^WATCHDOG=1$/mg; return scalar @all };
    my $since = time;
    # past half of the manager's time, and all of it, workers have given no sign of life
    ok(wait_until(5, sub { $fed->() >= 10 }), 'again and again');
    cmp_ok(time - $since, '>', 0.4, 'for longer than the manager would wait');
    $bridge->stop;
};

scenario 'nobody at NOTIFY_SOCKET' => sub {
    for my $path ("$tmp/nobody", '@nobody-here', 'relative', '', '/' . 'x' x 200) {
        my $bridge = Bridge->start(env => { NOTIFY_SOCKET => $path });
        is_hello($bridge->get('unix', 'hello'), 'it runs: ' . substr $path, 0, 20);
        $bridge->stop;
    }
};

done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Leaving: what becomes of sockets, of waiting clients and of scripts after TERM,
# QUIT and HUP, in each state that they may find.
use v5.36;
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

# Starts a script that waits, on a connection of its own: that, and what holds the script.
sub waiting ($bridge, $url) {
    my $c = FastCGI->connect($url);
    return ($c, $bridge->start_waiting($c));
}

sub is_refused ($url, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(wait_until(5, sub { !eval { FastCGI->connect($url); 1 } }), $what);
}

# ---- sockets ----------------------------------------------------------------------

my $serial = 0;
my %kinds = (
    tcp => sub { 'tcp:127.0.0.1:' . free_port() },
    'a path' => sub { 'unix:' . file() },
    'an abstract name' => sub { "unix:\@cgibridge-stopping-$$-" . ++$serial },
);

for my $kind (sort keys %kinds) {
    scenario "TERM while a script runs: $kind is free for another start" => sub {
        my $url = $kinds{$kind}->();
        my $bridge = Bridge->start(sockets => [$url], workers => 2);
        my ($c, $hold) = waiting($bridge, $url);
        $bridge->signal('TERM');
        is_refused($url, 'nobody can connect any more');
        my $next = Bridge->start(sockets => [$url]);
        is_hello(FastCGI->ask($url, $next->params('hello')), 'the next one serves');
        is($bridge->end_waiting($c, $hold), "released\n", 'the script has not been disturbed');
        is($bridge->wait_exit(10), 0, 'exit status 0');
        is_hello(FastCGI->ask($url, $next->params('hello')), 'it still serves');
        $next->stop;
    };

    scenario "HUP while a script runs: $kind that is no longer named is closed" => sub {
        my ($old, $new) = map { $kinds{$kind}->() } 1, 2;
        my $options = spew(file(), "-s $old\n");
        my $bridge = Bridge->start(sockets => [], args => ["\@$options"]);
        my ($c, $hold) = waiting($bridge, $old);
        spew($options, "-s $new\n");
        my $mark = $bridge->mark;
        $bridge->signal('HUP');
        ok($bridge->wait_reloaded($mark), 'reloaded');
        is_refused($old, 'nobody can connect to it');
        is_hello(FastCGI->ask($new, $bridge->params('hello')), 'the new one is served');
        is($bridge->end_waiting($c, $hold), "released\n", 'the script has not been disturbed');
        $bridge->stop;
    };
}

# ---- waiting clients -----------------------------------------------------------------

# Connects from an address of this machine, with a whole request sent.
sub queued ($bridge, $port, $from) {
    socket my $fh, PF_INET, SOCK_STREAM, 0 or die "$!\n";
    bind $fh, pack_sockaddr_in(0, inet_aton($from)) or die "$from: $!\n";
    connect $fh, pack_sockaddr_in($port, INADDR_LOOPBACK) or die "$port: $!\n";
    syswrite $fh, FastCGI::request(1, $bridge->params('hello'));
    return $fh;
}

sub answer_of ($fh) {
    local $SIG{ALRM} = sub { die "no answer\n" };
    alarm slow(10);
    my $all = '';
    1 while sysread $fh, $all, 65536, length $all;
    alarm 0;
    return $all;
}

scenario 'what is in the queue at TERM is answered' => sub {
    my $port = free_port();
    my $bridge = Bridge->start(sockets => ["tcp:127.0.0.1:$port"],
        args => [ '--allow', '127.0.0.2' ]);
    my ($worker) = $bridge->workers;
    kill 'STOP', $worker;
    my @queued = map { [ $_, queued($bridge, $port, $_) ] }
        map { $_ % 3 == 1 ? '127.0.0.3' : '127.0.0.2' } 1 .. 30;
    $bridge->signal('TERM');
    $bridge->wait_for_log(qr/stopping: /);
    kill 'CONT', $worker;
    my @answers = map { [ $_->[0], answer_of($_->[1]) ] } @queued;
    my @served = grep { $_->[0] eq '127.0.0.2' } @answers;
    is(scalar(grep { $_->[1] =~ /hello\n/ } @served), 20, 'all that may connect');
    is(scalar(grep { $_->[1] =~ /hello\n/ } @answers), 20, 'and no others, which are between them');
    is($bridge->wait_exit(10), 0, 'exit status 0');
};

# ---- a second signal -------------------------------------------------------------------

for my $second (qw(TERM QUIT)) {
    on_both "$second after --drain-timeout stops at once" => sub ($kind) {
        my $bridge = Bridge->start(args => [ '--drain-timeout', '100ms', '--kill-delay', '60s' ]);
        my $pids = file();
        my $c = $bridge->connect($kind);
        $c->start(1, $bridge->params('stubborn', TEST_PIDS => $pids, TEST_MARK => file()));
        my @pids = wait_pids($pids, 3);
        $bridge->signal('TERM');
        ok($bridge->wait_for_log(qr/still run after --drain-timeout/, 5), 'scripts have got TERM');
        my $mark = $bridge->mark;
        my $since = time;
        $bridge->signal($second);
        is($bridge->wait_exit(10), 0, 'exit status 0');
        cmp_ok(time - $since, '<', slow(4), 'soon');
        unlike($bridge->log_since($mark), qr/did not stop in time/, 'and its workers by themselves');
        is_deeply([ gone(3, @pids) ], [], 'no script is left');
    };
}

on_both '--drain-timeout without a script' => sub ($kind) {
    my $bridge = Bridge->start(args => [ '--drain-timeout', '200ms' ]);
    my $c = $bridge->connect($kind);
    $c->expect(1);
    $c->send(FastCGI::begin(1)); # and never its parameters
    is(FastCGI::body($bridge->get($kind, 'hello')), "hello\n", 'others are served');
    $bridge->signal('TERM');
    is($bridge->wait_exit(10), 0, 'exit status 0');
    like($bridge->log, qr/ 1 connections are still open after --drain-timeout: closed/,
        'the log says what was waited for');
    unlike($bridge->log, qr/scripts still run/, 'and blames no script');
};

# ---- a worker that does not react -----------------------------------------------------

scenario 'TERM again and again does not put off the end of a worker that hangs' => sub {
    my $bridge = Bridge->start;
    my ($worker) = $bridge->workers;
    kill 'STOP', $worker;
    my $since = time;
    # the first one drains, the second one asks it to stop at once, and 5 seconds later ...
    ok(wait_until(12, sub {
        $bridge->signal('TERM');
        sleep 0.2;
        return defined $bridge->wait_exit(0);
    }), 'it ends while TERM is sent all the time');
    is($bridge->wait_exit(0), 0, 'exit status 0');
    cmp_ok(time - $since, '>', 4, 'after the time that the worker has');
    ok($bridge->wait_for_log(qr/1 workers did not stop in time: killed/, 1), 'the log says so');
    is_deeply([ gone(2, $worker) ], [], 'the worker is gone');
};

scenario 'an old worker is asked before it is killed, after its own --drain-timeout' => sub {
    my $options = spew(file(), '--drain-timeout 100ms --kill-delay 100ms');
    my $bridge = Bridge->start(args => ["\@$options"]);
    my ($old) = $bridge->workers;
    kill 'STOP', $old;
    spew($options, '--drain-timeout 1h --kill-delay 100ms');
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    ok($bridge->wait_reloaded($mark), 'reloaded');
    ok($bridge->wait_for_log(qr/1 workers did not drain in time: stopped at once/, 10,
        from => $mark), 'the new time is not for it');
    kill 'CONT', $old;
    ok($bridge->wait_for_log(qr/workers from before the reload have ended/, 4, from => $mark),
        'it stops');
    unlike($bridge->log_since($mark), qr/killed|did not end well/, 'by itself');
    $bridge->stop;
};

# ---- without the right to send signals --------------------------------------------------

# As in a container that drops CAP_KILL: the supervisor may not signal --user's processes.
my @no_kill = is_root()
    ? (prefix => [ is_program('setpriv', 'util-linux'), '--bounding-set', '-kill',
            '--inh-caps', '-kill', '--' ], args => [ '-u', 'nobody' ])
    : ();

for my $signal (qw(TERM QUIT)) {
    scenario "without CAP_KILL: $signal" => sub {
        my $url = $kinds{tcp}->();
        my $bridge = Bridge->start(sockets => [$url], workers => 2, @no_kill);
        my ($c, $hold) = waiting($bridge, $url);
        my @family = Bridge::descendants($bridge->pid);
        $bridge->signal($signal);
        if ($signal eq 'TERM') {
            is_refused($url, 'the socket is closed');
            is($bridge->end_waiting($c, $hold), "released\n", 'the script is waited for');
        }
        is($bridge->wait_exit(4), 0, 'exit status 0, soon');
        is_deeply([ gone(2, @family) ], [], 'nothing is left');
        unlike($bridge->log, qr/did not|supervisor is gone/, 'all by itself');
    };
}

scenario 'without CAP_KILL: HUP' => sub {
    my $url = $kinds{tcp}->();
    my $bridge = Bridge->start(sockets => [$url], @no_kill);
    my ($c, $hold) = waiting($bridge, $url);
    my ($old) = $bridge->workers;
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    ok($bridge->wait_reloaded($mark), 'reloaded');
    is($bridge->end_waiting($c, $hold), "released\n", 'the script is waited for');
    is_deeply([ gone(4, $old) ], [], 'the old worker ends');
    is_hello(FastCGI->ask($url, $bridge->params('hello')), 'the new one serves');
    $bridge->stop;
};

# ---- a trial that hangs ------------------------------------------------------------------

# A bridge whose reload hangs in its trial, which is returned.
sub hanging ($url) {
    my $options = spew(file(), '--timeout 5');
    my $bridge = Bridge->start(sockets => [$url], args => ["\@$options"]);
    my %worker = map { $_ => 1 } $bridge->workers;
    unlink $options;
    POSIX::mkfifo($options, 0600) or die "$options: $!\n";
    $bridge->signal('HUP');
    my $trial = wait_until(5, sub { (grep { !$worker{$_} } $bridge->workers)[0] });
    ok($trial, 'there is a trial');
    ok(wait_until(5, sub { slurp("/proc/$trial/environ") =~ /^CGIBRIDGE_HANDOVER=/m
        || slurp("/proc/$trial/environ") =~ /\0CGIBRIDGE_HANDOVER=/ }), 'of the new image');
    return ($bridge, $trial);
}

for my $kind (sort keys %kinds) {
    for my $signal (qw(TERM QUIT KILL)) {
        scenario "a trial that hangs: $signal ($kind)" => sub {
            my $url = $kinds{$kind}->();
            my ($bridge, $trial) = hanging($url);
            my @family = Bridge::descendants($bridge->pid);
            $bridge->signal($signal);
            my $status = $bridge->wait_exit(4);
            is($status, $signal eq 'KILL' ? 9 : 0, 'it ends soon');
            is_deeply([ gone(4, $trial, @family) ], [], 'neither trial nor worker is left');
            my $next = Bridge->start(sockets => [$url]);
            is_hello(FastCGI->ask($url, $next->params('hello')), 'the next one serves');
            $next->stop;
        };
    }
}

done_testing;

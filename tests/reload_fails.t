#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# HUP when the new image cannot take over after all, though its trial could: what served
# before goes on until that is mended.  And workers that cannot be forked.
use v5.36;
use IO::Socket::INET;
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

# Where it counts, the daemon runs as a user that nobody else is: of its own it has the number
# of processes that it is allowed.
my $user = is_root() ? 61_083 : $>;

sub become_user () {
    return if !is_root();
    $) = "$user $user";
    POSIX::setgid($user);
    POSIX::setuid($user);
}

# Puts a program in the place of the daemon's, which runs `$for_heir` when it is to take over,
# and nothing when it is only tried; then it executes the daemon.
sub trap_heir ($bridge, $for_heir) {
    my $real = "$bridge->{program}.real";
    rename $bridge->{program}, $real if !-e $real;
    spew("$bridge->{program}.new", <<~PERL, 0755);
        #!$^X
        use Fcntl;
        if (\$ENV{CGIBRIDGE_HANDOVER} =~ /\\Apid \$\$\\n/) {
            $for_heir
        }
        \$^F = 1000;
        exec { "$real" } \$0, \@ARGV;
        PERL
    rename "$bridge->{program}.new", $bridge->{program};
}

sub untrap ($bridge) { rename "$bridge->{program}.real", $bridge->{program} }

# It goes on with the same workers, which serve.
sub goes_on ($bridge, $workers, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply([ $bridge->workers ], $workers, "$what: the workers are the same");
    is_hello($bridge->get('tcp', 'hello'), 'they serve');
    ok(alive($bridge->pid), 'and so is the supervisor');
}

# ---- it fails before it serves ------------------------------------------------------

my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "$!\n";
my %faults = (
    'a bad option' => [ '--timeout soon', qr/--timeout 'soon'/ ],
    '--check' => [ '--check', qr/nothing is served/ ],
    'a socket that cannot be bound' =>
        [ '-s tcp:127.0.0.1:' . $taken->sockport, qr/cannot listen on/ ],
    'an access log that cannot be opened' =>
        [ '--access-log /no/such/folder/log', qr/access log/ ],
);

for my $fault (sort keys %faults) {
    my ($bad, $why) = @{ $faults{$fault} };
    scenario "the heir finds $fault" => sub {
        my $options = spew(file(), '--timeout 60');
        my $bridge = Bridge->start(copy => 1, args => ["\@$options"], workers => 2);
        my @workers = $bridge->workers;
        my $path = $bridge->url('unix') =~ s/^unix://r;
        trap_heir($bridge, "open my \$f, '>', '$options'; print \$f '$bad'; close \$f;");
        my $mark = $bridge->mark;
        $bridge->signal('HUP');
        ok($bridge->wait_for_log(qr/the new image cannot take over/, 15, from => $mark),
            'it cannot take over');
        like($bridge->log_since($mark), $why, 'the log says why');
        goes_on($bridge, \@workers, 'held');
        ok(-S $path, 'the socket file is there');
        $mark = $bridge->mark;
        untrap($bridge);
        spew($options, '--timeout 60');
        ok($bridge->wait_reloaded($mark, 20), 'mended, it takes over by itself');
        is_deeply([ gone(5, @workers) ], [], 'the old workers drain');
        is_hello($bridge->get($_, 'hello'), "it serves ($_)") for qw(unix tcp);
        $bridge->stop;
        ok(!-e $path, 'and removes its socket file');
    };
}

# AddressSanitizer takes terabytes of addresses for itself: no build with it can be limited.
scenario 'the heir finds no memory' => sub {
    my $prlimit = is_program('prlimit', 'util-linux');
    my $options = spew(file(), '--max-scripts 10');
    my $bridge = Bridge->start(copy => 1, args => ["\@$options"], workers => 2);
    my @workers = $bridge->workers;
    my $path = $bridge->url('unix') =~ s/^unix://r;
    # room for the program, and none for what so many scripts write down
    trap_heir($bridge, "system '$prlimit', \"--pid=\$\$\", '--as=16000000:';");
    spew($options, '--max-scripts 65536');
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    ok($bridge->wait_for_log(qr/the new image cannot take over/, 15, from => $mark),
        'it cannot take over');
    like($bridge->log_since($mark), qr/cannot start: /, 'the log says why');
    goes_on($bridge, \@workers, 'held');
    ok(-S $path, 'the socket file is there');
    is_hello($bridge->get('unix', 'hello'), 'and leads to them');
    $mark = $bridge->mark;
    untrap($bridge);
    spew($options, '--max-scripts 10');
    ok($bridge->wait_reloaded($mark, 20), 'mended, it takes over by itself');
    is_hello($bridge->get($_, 'hello'), "it serves ($_)") for qw(unix tcp);
    $bridge->stop;
} if slurp($Bridge::daemon) !~ /__asan_init/;

# Two numbers are free: enough to load the program, and not for its loop and the pipe after that.
scenario 'the heir finds no descriptors' => sub {
    my $prlimit = is_program('prlimit', 'util-linux');
    my $bridge = Bridge->start(copy => 1, workers => 2);
    my @workers = $bridge->workers;
    my $null = readlink '/proc/' . $bridge->pid . '/fd/0';
    trap_heir($bridge, <<~PERL);
        my \@free = grep {
            my \$file = readlink "/proc/self/fd/\$_";
            !defined \$file || \$file eq '$bridge->{program}';
        } 3 .. 100;
        my \$limit = \$free[1] + 1;
        system '$prlimit', "--pid=\$\$", "--nofile=\$limit:";
        PERL
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    ok($bridge->wait_for_log(qr/the new image cannot take over/, 15, from => $mark),
        'it cannot take over');
    like($bridge->log_since($mark), qr/cannot start: Too many open files/, 'the log says why');
    ok($bridge->wait_for_log(qr/cannot supervise the old workers/, 15, from => $mark),
        'nor can it watch them');
    is(readlink '/proc/' . $bridge->pid . '/fd/0', $null, 'its standard input is still there');
    is_hello($bridge->get('tcp', 'hello'), 'they serve');
    $mark = $bridge->mark;
    untrap($bridge);
    run_program([ $prlimit, '--pid=' . $bridge->pid, '--nofile=1024:' ]);
    ok($bridge->wait_reloaded($mark, 20), 'with some, it takes over by itself');
    is_deeply([ gone(5, @workers) ], [], 'the old workers drain');
    is_hello($bridge->get($_, 'hello'), "it serves ($_)") for qw(unix tcp);
    $bridge->stop;
};

# In front of a daemon: a /dev with a null that is `file`, and nothing else.
sub with_null ($file) {
    spew($file, '', 0666);
    return [ is_program('unshare', 'util-linux'), is_root() ? '-m' : '-rm', 'sh', '-c',
        "mount -t tmpfs -o mode=755 tmpfs /dev && ln -s $file /dev/null && exec \"\$@\"", 'sh' ];
}

scenario 'the heir finds no /dev/null' => sub {
    my $null = file();
    my $bridge = Bridge->start(copy => 1, workers => 2, prefix => with_null($null));
    my @workers = $bridge->workers;
    trap_heir($bridge, "unlink '$null';");
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    ok($bridge->wait_for_log(qr{/dev/null cannot be opened, and scripts}, 15, from => $mark),
        'its workers cannot start');
    is_hello($bridge->get($_, 'hello'), "the others serve ($_)") for qw(unix tcp);
    is_deeply([ grep { !alive($_) } @workers ], [], 'they are the same');
    spew($null, '', 0666);
    ok($bridge->wait_for_log(qr/\bready\b/, 20, from => $mark), 'with it, they can');
    is_deeply([ gone(10, @workers) ], [], 'the old workers drain');
    is_hello($bridge->get($_, 'hello'), "it serves ($_)") for qw(unix tcp);
    $bridge->stop;
};

scenario 'the heir finds no memory to read what it gets' => sub {
    my @cc = split ' ', $ENV{CC} || is_program('cc', 'gcc');
    my ($library, $forbids) = (file() . '.so', spew(file(), ''));
    my $c = spew(file() . '.c', <<~'C');
        #include <stdlib.h>
        #include <unistd.h>
        extern void *__libc_calloc(size_t count, size_t size);
        void *calloc(size_t count, size_t size)
        {
            return access(getenv("FORBIDS"), F_OK) == 0 ? NULL : __libc_calloc(count, size);
        }
        C
    is(run_program([ @cc, qw(-shared -fPIC -o), $library, $c ])->{exit}, 0, 'a library');
    my $bridge = Bridge->start(copy => 1, workers => 2);
    my @workers = $bridge->workers;
    trap_heir($bridge, "\$ENV{LD_PRELOAD} = '$library'; \$ENV{FORBIDS} = '$forbids';");
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    ok($bridge->wait_for_log(qr/takes over/, 15, from => $mark), 'it begins');
    sleep 0.5;
    goes_on($bridge, \@workers, 'no memory');
    unlink $forbids;
    ok($bridge->wait_for_log(qr/\bready\b/, 20, from => $mark), 'with some, it takes over');
    is_deeply([ gone(10, @workers) ], [], 'the old workers drain');
    is_hello($bridge->get('tcp', 'hello'), 'it serves');
    $bridge->stop;
} if slurp($Bridge::daemon) !~ /__asan_init/;

for my $signal (qw(TERM QUIT)) {
    scenario "$signal while nobody can take over" => sub {
        my $options = spew(file(), '--timeout 60');
        my $bridge = Bridge->start(copy => 1, args => ["\@$options"]);
        my @workers = $bridge->workers;
        my $path = $bridge->url('unix') =~ s/^unix://r;
        trap_heir($bridge, "open my \$f, '>', '$options'; print \$f '--no-such'; close \$f;");
        $bridge->signal('HUP');
        ok($bridge->wait_for_log(qr/the new image cannot take over/, 15), 'it cannot take over');
        $bridge->signal($signal);
        is($bridge->wait_exit(10), 0, 'exit status 0');
        is_deeply([ gone(2, @workers) ], [], 'no worker is left');
        ok(!-e $path, 'nor its socket file');
    };
}

# ---- it cannot fork ------------------------------------------------------------------

# As that user, since root has no right to it in some containers.
my @as_user = is_root()
    ? (is_program('setpriv', 'util-linux'), "--reuid=$user", "--regid=$user", '--clear-groups')
    : ();
my $prlimit = is_program('prlimit', 'util-linux');

sub limit ($pid, $n) {
    is(run_program([ @as_user, $prlimit, "--pid=$pid", "--nproc=$n:" ])->{exit}, 0,
        "processes: $n");
}

# As many as there may be.
sub unlimit ($pid) {
    limit($pid, (slurp("/proc/$pid/limits") =~ /^Max processes\s+\S+\s+(\S+)/m)[0]);
}

# -g, so that there is something to become.
my @group = ('-g', is_root() ? $user : (split ' ', $))[0]);
scenario 'there is no room for new workers' => sub {
    my $notify = file();
    my ($s, $heard) = (manager($notify), '');
    my $options = spew(file(), '--timeout 60');
    my $bridge = Bridge->start(copy => 1, workers => 2, child => \&become_user,
        sockets => ['tcp'], args => [ @group, "\@$options" ],
        env => { NOTIFY_SOCKET => $notify });
    ok(wait_until(5, sub { told($s, \$heard) =~ /^READY=1$/m }), 'READY');
    my @workers = $bridge->workers;
    trap_heir($bridge, "system '$prlimit', \"--pid=\$\$\", '--nproc=1:';");
    $heard = '';
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    ok($bridge->wait_for_log(qr/worker 1 cannot be started: /, 15, from => $mark),
        'the heir cannot fork');
    goes_on($bridge, \@workers, 'no process');
    like(told($s, \$heard), qr/^RELOADING=1$/m, 'the manager knows of the reload');
    unlike($heard, qr/^READY=1$/m, 'but not that it is done');
    $bridge->signal('HUP');
    sleep 0.5;
    goes_on($bridge, \@workers, 'another HUP');
    unlimit($bridge->pid);
    untrap($bridge);
    ok($bridge->wait_reloaded($mark, 20), 'with room, it takes over');
    ok(wait_until(5, sub { told($s, \$heard) =~ /^READY=1$/m }), 'READY');
    is_deeply([ gone(5, @workers) ], [], 'the old workers drain');
    is_hello($bridge->get('tcp', 'hello'), 'it serves');
    $bridge->stop;
};

scenario 'there is no room for the trial' => sub {
    my $bridge = Bridge->start(child => \&become_user, copy => 1, sockets => ['tcp'],
        args => \@group);
    my @workers = $bridge->workers;
    limit($bridge->pid, 1);
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    ok($bridge->wait_for_log(qr/not reloaded: .*going on as before/, 15, from => $mark),
        'not reloaded');
    goes_on($bridge, \@workers, 'no process');
    unlimit($bridge->pid); # a leak checker wants a process at the end
    $bridge->stop;
};

# What the supervisor has open, in words that are the same each time.
sub open_files ($bridge) {
    return join ' ', sort map {
        (readlink $_ // '') =~ s{\S+ \(deleted\)}{a deleted file}r =~ s/\d+//gr
    } glob '/proc/' . $bridge->pid . '/fd/*';
}

scenario 'a reload while no worker lives keeps nothing of the old ones' => sub {
    my $bridge = Bridge->start(sockets => ['tcp']);
    ok($bridge->reload, 'a reload as ever');
    my $before = open_files($bridge);
    my $pause = 0;
    while ($pause < 3000) { # the next one starts later each time
        my $mark = $bridge->mark;
        my $worker;
        wait_until(10, sub { ($worker) = $bridge->workers }) or last;
        kill 'KILL', $worker;
        $bridge->wait_for_log(qr/a new one starts in \d+ ms/, 10, from => $mark) or last;
        ($pause) = $bridge->log_since($mark) =~ /a new one starts in (\d+) ms/;
    }
    cmp_ok($pause, '>', 3000, 'its worker is not there for a while');
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    ok($bridge->wait_reloaded($mark), 'a reload');
    wait_until(5, sub { open_files($bridge) eq $before });
    is(open_files($bridge), $before, 'the supervisor has open what it had');
    is_hello($bridge->get('tcp', 'hello'), 'it serves');
    $bridge->stop;
};

scenario 'a socket that is named no more stays as long as only the old workers serve' => sub {
    my ($one, $two) = map { 'unix:' . file() } 1, 2;
    my $options = spew(file(), "-s $one");
    chmod 0777, tmp();
    my $bridge = Bridge->start(copy => 1, sockets => ['tcp'], child => \&become_user,
        args => ["\@$options"]);
    spew($options, "-s $two");
    trap_heir($bridge, "system '$prlimit', \"--pid=\$\$\", '--nproc=1:';");
    $bridge->signal('HUP');
    ok($bridge->wait_for_log(qr/worker 0 cannot be started: /, 15), 'the heir cannot fork');
    is_hello(FastCGI->ask($one, $bridge->params('hello')), 'it is served');
    unlimit($bridge->pid);
    ok($bridge->wait_for_log(qr/no longer listening on \Q$one\E/, 20), 'until new ones serve');
    ok(!-e $one =~ s/unix://r, 'then it is removed');
    is_hello(FastCGI->ask($two, $bridge->params('hello')), 'and the other one served');
    untrap($bridge);
    $bridge->stop;
};

done_testing;

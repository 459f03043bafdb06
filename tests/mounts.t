#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Scripts on a file system that stops answering: a stand-in on /dev/fuse, which holds back the
# answers to the operations that a file names.  Only the requests for its scripts wait.  A machine
# without FUSE, or that lets nobody mount, cannot show this: then the only test's name says why.
use v5.36;
use File::Copy qw(copy);
use File::Path qw(make_path);
use POSIX ();
use Test::More;
use FastCGI;
use Bridge;
use Failing;
use Preloading;

# No package mends this, so it is no failure.
sub end_without ($what) {
    pass("a file system that does not answer cannot be made here: $what");
    done_testing;
    exit 0;
}

end_without('only root can mount') if !is_root();
end_without('no /dev/fuse') if !-e '/dev/fuse';
# In a namespace of mounts of its own, nothing is left over whatever happens.
if (!$ENV{TEST_MOUNTS}) {
    end_without('no namespaces of mounts') if system 'unshare -m true 2>/dev/null';
    $ENV{TEST_MOUNTS} = 1;
    exec 'unshare', '-m', $^X, (map { "-I$_" } @INC), $0 or die "unshare: $!\n";
}

# ---- the stand-in -----------------------------------------------------------------------------

# LATER is none: with it, the first process that comes has its answers.
my %opcode = (LOOKUP => 1, GETATTR => 3, OPEN => 14, READ => 15, INIT => 26, OPENDIR => 27,
    LATER => -1);
my $program = "#!/bin/sh\ncat >/dev/null\necho 'Content-Type: text/plain'\necho\necho remote\n";
my $mnt = Bridge::tmp() . '/mnt';
my $held = file(); # names of the operations that are not answered, while it is there
my $holding = file(); # the stand-in makes it when it holds one back

sub attr ($node) {
    my ($mode, $size) = $node == 1 ? (040755, 0) : (0100755, length $program);
    return pack 'Q6 L10', $node, $size, 1, 0, 0, 0, 0, 0, 0, $mode, 1, 0, 0, 0, 4096, 0;
}

sub answer_to ($op, $node, $body) {
    return pack 'L4 S2 L2 S2 L8', 7, 31, 65536, 0, 8, 8, 65536, 1, 32, 0, (0) x 8
        if $op == $opcode{INIT};
    return pack('Q4 L2', 2, 0, 0, 0, 0, 0) . attr(2)
        if $op == $opcode{LOOKUP} && $body =~ /^x\.cgi\0/;
    return \2 if $op == $opcode{LOOKUP}; # ENOENT
    return pack('Q L2', 0, 0, 0) . attr($node) if $op == $opcode{GETATTR};
    return pack 'Q L2', 1, 0, 0 if $op == $opcode{OPEN} || $op == $opcode{OPENDIR};
    return substr $program, unpack 'x8 Q', $body if $op == $opcode{READ};
    return $op == 18 || $op == 25 || $op == 29 ? '' : \38; # RELEASE, FLUSH; ENOSYS
}

sub reply ($fuse, $unique, $text) {
    my ($error, $bytes) = ref $text ? (-$$text, '') : (0, $text);
    syswrite $fuse, pack('L l Q', 16 + length $bytes, $error, $unique) . $bytes;
}

sub serve ($fuse) {
    my @kept;
    my $spared = 0; # the process that LATER answers: the first
    while (1) {
        vec(my $in = '', fileno $fuse, 1) = 1;
        my $ready = select $in, undef, undef, 0.02;
        my %hold = map { $opcode{$_} => 1 } -e $held ? split ' ', Bridge::slurp($held) : ();
        $spared = 0 if !%hold;
        @kept = grep { $hold{ $_->[1] } || (reply($fuse, $_->[0], $_->[2]), 0) } @kept;
        next if $ready <= 0;
        sysread $fuse, my $request, 1 << 20 or last;
        my (undef, $op, $unique, $node, undef, undef, $pid) = unpack 'L2 Q2 L3', $request;
        next if $op == 2 || $op == 36 || $op == 42; # FORGET, INTERRUPT
        my $answer = answer_to($op, $node, substr $request, 40);
        $spared = $pid if $hold{ $opcode{LATER} } && !$spared;
        if ($hold{$op} && $pid != $spared) {
            push @kept, [ $unique, $op, $answer ];
            spew($holding, '');
        } else {
            reply($fuse, $unique, $answer);
        }
    }
    POSIX::_exit(0);
}

sub mount_standin ($at = $mnt) {
    mkdir $at;
    local $^F = 255; # mount(8) gets the descriptor
    open my $fuse, '+<', '/dev/fuse' or return;
    my $options = 'rootmode=40000,user_id=0,group_id=0,allow_other,fd=' . fileno $fuse;
    return if system qw(mount -i -n -t fuse -o), $options, 'standin', $at;
    my $pid = fork // die "fork: $!\n";
    serve($fuse) if !$pid;
    return $pid;
}

sub unmount_standin ($pid, $at = $mnt) {
    kill 'KILL', $pid; # the kernel answers for it from now on: ENOTCONN
    waitpid $pid, 0;
    return system 'umount', '-l', $at;
}

# In some containers /dev/fuse is there, but may not be opened, or not be mounted, or does nothing.
sub can_mount () {
    my $pid = mount_standin() // return 0;
    my $reader = fork // die "fork: $!\n";
    POSIX::_exit(-s "$mnt/x.cgi" ? 0 : 1) if !$reader;
    my $status = Bridge::reap($reader, 10);
    my $gone = unmount_standin($pid) == 0;
    return $gone && defined $status && $status == 0;
}

sub hold (@ops) {
    unlink $holding;
    spew("$held.new", "@ops");
    rename "$held.new", $held or die "$held: $!\n";
}

sub release () { unlink $held }

# ---- the requests -----------------------------------------------------------------------------

sub remote ($bridge, $path = "$mnt/x.cgi", @more) {
    return $bridge->get('unix', 'x.cgi', [ SCRIPT_FILENAME => $path, @more ]);
}

sub start_remote ($bridge, $n, $path = "$mnt/x.cgi", @more) {
    my @c = map { $bridge->connect('unix') } 1 .. $n;
    $_->start(1, $bridge->params('x.cgi', SCRIPT_FILENAME => $path, @more)) for @c;
    ok(wait_until(10, sub { -e $holding }), 'the file system does not answer');
    return @c;
}

sub is_remote ($r, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(FastCGI::body($r), "remote\n", $what);
}

# Of the worker, only itself is left.
sub ok_alone (@workers) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(wait_until(10, sub { !grep { Bridge::children($_) } @workers }), 'no process is left');
}

end_without('/dev/fuse cannot be mounted') if !can_mount();

my $standin;

if (!is_linux()) {
    scenario 'where the table of mounts is not read, it costs a worker' => sub {
        my $bridge = Bridge->start(sockets => ['unix'], workers => 2);
        $standin = mount_standin() // die "/dev/fuse could be mounted before\n";
        hold(qw(LOOKUP GETATTR));
        my @workers = $bridge->workers;
        my ($c) = start_remote($bridge, 1);
        $bridge->ok_serves('unix', @workers) for 1 .. 3;
        release();
        is_remote($c->wait_end(1), 'its script runs when it answers again');
        $bridge->stop;
    };
    unmount_standin($standin);
    done_testing;
    exit 0;
}

my @args = ('--watchdog', slow(3) . 's');
my @soon = (CGIBRIDGE_TIMEOUT => '1s'); # for those that nothing answers

scenario 'a file system that is mounted while the bridge runs' => sub {
    my $bridge = Bridge->start(sockets => ['unix'], args => \@args);
    my @workers = $bridge->workers;
    $standin = mount_standin() // die "/dev/fuse could be mounted before\n";
    is_remote(remote($bridge), 'its scripts run');
    hold(qw(LOOKUP GETATTR));
    my ($c) = start_remote($bridge, 1, "$mnt/x.cgi", @soon);
    $bridge->ok_serves('unix', @workers);
    is(FastCGI::status($c->wait_end(1)), 504, 'its script gets 504');
    release();
    is_remote(remote($bridge), 'and runs when it answers again');
    ok_alone(@workers);
    $bridge->stop;
};

for my $ops ([ qw(LOOKUP GETATTR) ], [ qw(OPEN READ) ]) {
    scenario "20 requests, while @$ops hang" => sub {
        my $bridge = Bridge->start(sockets => ['unix'], args => \@args);
        my @workers = $bridge->workers;
        my $mark = $bridge->mark;
        hold(@$ops);
        my @c = start_remote($bridge, 20, "$mnt/x.cgi", @soon);
        $bridge->ok_serves('unix', @workers) for 1 .. 3;
        is(FastCGI::status($_->wait_end(1)), 504, 'it gets 504') for @c;
        is(scalar(() = $bridge->log_since($mark) =~
            m{ warn: request 1 .*: 504: \Q$mnt\E/x\.cgi: its file system does not answer }g),
            20, 'each is logged, with its path');
        $bridge->ok_serves('unix', @workers);
        cmp_ok(scalar Bridge::children($workers[0]), '<=', 16, 'few processes wait in vain');
        release();
        is_remote(remote($bridge), 'it answers again');
        $bridge->ok_serves('unix', @workers);
        ok_alone(@workers);
        $bridge->stop;
    };
}

my $link = Bridge::cgi() . '/link';
symlink $mnt, $link or die "$link: $!\n";

scenario 'through a symbolic link that has been followed before' => sub {
    my $bridge = Bridge->start(sockets => ['unix'], args => \@args);
    my @workers = $bridge->workers;
    is_remote(remote($bridge, "$link/x.cgi"), 'its script runs');
    hold(qw(LOOKUP GETATTR));
    my ($c) = start_remote($bridge, 1, "$link/x.cgi", @soon);
    $bridge->ok_serves('unix', @workers);
    is(FastCGI::status($c->wait_end(1)), 504, 'it gets 504');
    release();
    $bridge->stop;
};

scenario 'a handler on it, for local scripts' => sub {
    my $local = Bridge::script('local.hx', "text\n");
    my $bridge = Bridge->start(sockets => ['unix'],
        args => [ @args, '--handler', ".hx=$mnt/x.cgi" ]);
    my @workers = $bridge->workers;
    is_remote(remote($bridge, $local), 'it runs');
    hold(qw(LOOKUP GETATTR));
    my ($c) = start_remote($bridge, 1, $local, @soon);
    $bridge->ok_serves('unix', @workers);
    is(FastCGI::status($c->wait_end(1)), 504, 'its script gets 504');
    release();
    is_remote(remote($bridge, $local), 'and runs when it answers again');
    $bridge->stop;
};

for my $more ([ FCGI_CHDIR => "$mnt/missing" ],
    [ SCRIPT_FILENAME => Bridge::tmp(), PATH_INFO => '/mnt/x.cgi' ],
    [ SCRIPT_FILENAME => undef, DOCUMENT_ROOT => $mnt, SCRIPT_NAME => '/x.cgi' ]) {
    scenario "named by $more->[-2]" => sub {
        my $bridge = Bridge->start(sockets => ['unix'], args => \@args);
        my @workers = $bridge->workers;
        my $mark = $bridge->mark;
        hold(qw(LOOKUP GETATTR));
        my $c = $bridge->connect('unix');
        $c->start(1, $bridge->params('hello', @$more, @soon));
        ok(wait_until(10, sub { -e $holding }), 'the file system does not answer');
        $bridge->ok_serves('unix', @workers);
        is(FastCGI::status($c->wait_end(1)), 504, 'it gets 504');
        like($bridge->log_since($mark), qr/: its file system does not answer /, 'for that reason');
        release();
        is(FastCGI::status($bridge->get('unix', 'hello', $more)),
            $more->[0] eq 'FCGI_CHDIR' ? 500 : 200, 'later it gets what it gets elsewhere');
        $bridge->stop;
    };
}

scenario 'a preloaded script, when it hangs after the look' => sub {
    my $bridge = preloading(args => \@args);
    my @workers = $bridge->workers;
    my $before = status($bridge)->{preloaded_scripts};
    is_remote(remote($bridge), 'it runs');
    is(status($bridge)->{preloaded_scripts}, $before + 1, 'by the preloader');
    for my $ops ([qw(OPEN LATER)], [qw(LOOKUP GETATTR OPEN LATER)]) {
        hold(@$ops);
        my ($c) = start_remote($bridge, 1, "$mnt/x.cgi", @soon);
        $bridge->ok_serves('unix', @workers);
        is(FastCGI::status($c->wait_end(1)), 504, "@$ops: it gets 504");
        $bridge->ok_serves('unix', @workers);
        release();
        is_remote(remote($bridge), 'it runs when it answers again');
    }
    $bridge->stop;
};

scenario 'HUP while a file system hangs' => sub {
    my $bridge = Bridge->start(sockets => ['unix'], args => \@args);
    my ($old) = $bridge->workers;
    hold(qw(LOOKUP));
    my ($c) = start_remote($bridge, 1);
    $bridge->signal('HUP');
    ok(wait_until(20, sub { grep { $_ != $old } $bridge->workers }), 'there is a new worker');
    is(FastCGI::status($bridge->get('unix', 'hello')), 200, 'plain scripts run');
    release();
    is_remote($c->wait_end(1), 'the script runs when it answers again');
    $bridge->stop;
};

scenario 'a body of unknown length comes meanwhile' => sub {
    my $bridge = Bridge->start(sockets => ['unix'], args => \@args);
    hold(qw(LOOKUP));
    my $c = $bridge->connect('unix');
    $c->start(1, $bridge->params('x.cgi', SCRIPT_FILENAME => "$mnt/x.cgi",
        REQUEST_METHOD => 'POST', HTTP_TRANSFER_ENCODING => 'chunked'), body => 'x' x 100_000);
    ok(wait_until(10, sub { -e $holding }), 'the file system does not answer');
    release();
    is_remote($c->wait_end(1), 'the script runs');
    $bridge->stop;
};

# More than is kept in memory: reading stops, and has to go on.
scenario 'a long body, of known and of unknown length, and an abort' => sub {
    my $bridge = Bridge->start(sockets => ['unix'], args => \@args);
    my @workers = $bridge->workers;
    for my $more ([ CONTENT_LENGTH => 2_000_000 ], [ HTTP_TRANSFER_ENCODING => 'chunked' ]) {
        hold(qw(LOOKUP));
        my $c = $bridge->connect('unix');
        $c->expect(1);
        $c->send(FastCGI::begin(1) . FastCGI::params(1, $bridge->params('x.cgi',
            SCRIPT_FILENAME => "$mnt/x.cgi", REQUEST_METHOD => 'POST', @$more)));
        ok(wait_until(10, sub { -e $holding }), 'the file system does not answer');
        my $pid = fork // die "fork: $!\n";
        if (!$pid) { # it may have to wait
            $c->send(FastCGI::stdin(1, 'x' x 2_000_000) . FastCGI::stdin_end(1));
            POSIX::_exit(0);
        }
        $bridge->ok_serves('unix', @workers);
        release();
        is_remote($c->wait_end(1), "@$more: the script runs");
        Bridge::reap($pid, 10);
    }
    hold(qw(LOOKUP));
    my ($c) = start_remote($bridge, 1);
    $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1));
    ok($c->wait_end(1), 'aborted: it has ended');
    $bridge->ok_serves('unix', @workers);
    release();
    ok_alone(@workers);
    $bridge->stop;
};

# The process that looks first is answered: the one that executes the script is not.
scenario 'it hangs between the look and the exec' => sub {
    my $bridge = Bridge->start(sockets => ['unix'],
        args => [ @args, qw(--max-scripts 1 --queue-timeout 60s) ]);
    my @workers = $bridge->workers;
    my $mark = $bridge->mark;
    hold(qw(OPEN LATER));
    my ($c) = start_remote($bridge, 1, "$mnt/x.cgi", @soon);
    my $later = $bridge->connect('unix');
    $later->start(1, $bridge->params('x.cgi', SCRIPT_FILENAME => "$mnt/missing.cgi"));
    is(FastCGI::status($later->wait_end(1)), 404, 'the worker answers another request');
    is(FastCGI::status($c->wait_end(1)), 504, 'it gets 504');
    like($bridge->log_since($mark), qr/: 504: longer than --timeout: stopped/,
        'because its script hangs');
    release();
    is_remote(remote($bridge), 'its slot is free again');
    $bridge->ok_serves('unix', @workers);
    ok_alone(@workers);
    $bridge->stop;
};

scenario 'what cannot be executed there is refused as elsewhere' => sub {
    my $bridge = Bridge->start(sockets => ['unix'], args => [ @args, '--root', '/' ]);
    my @workers = $bridge->workers;
    my $mark = $bridge->mark;
    for my $more ([ FCGI_CHDIR => "$mnt/missing" ], [ FCGI_CHDIR => "$mnt/x.cgi" ]) {
        is(FastCGI::status(remote($bridge, "$mnt/x.cgi", @$more)), 500, "@$more: 500");
        like($bridge->log_since($mark), qr{x\.cgi: cannot change to its directory: },
            'and the log says why');
        $mark = $bridge->mark;
    }
    is_remote(remote($bridge), 'it runs where it can');
    ok_alone(@workers);
    $bridge->stop;

    my $local = Bridge::script('local.hx', "text\n");
    $bridge = Bridge->start(sockets => ['unix'], args => [ @args, '--handler', ".hx=$mnt/none" ]);
    $mark = $bridge->mark;
    is(FastCGI::status(remote($bridge, $local)), 500, 'a handler that is not there: 500');
    like($bridge->log_since($mark),
        qr{ warn: request .*local\.hx: cannot execute its handler \Q$mnt\E/none: No such file}, 'and the log says why');
    $bridge->stop;
};

scenario 'what there is not enough of for an exec there gets 503 as elsewhere' => sub {
    my $bridge = Bridge->start(sockets => ['unix'], args => \@args, env => failing_env());
    my @workers = $bridge->workers;
    for my $call (qw(execve chdir dup2)) {
        for my $error (qw(ENFILE EMFILE ENOMEM EAGAIN EIO)) {
            fail_with($call => $error);
            my $r = FastCGI::response(remote($bridge));
            my $status = $error eq 'EIO' ? 500 : 503;
            is($r->{status}, $status, "$call $error: $status");
            is(exists $r->{header}{'retry-after'}, $status == 503, 'Retry-After with a 503');
        }
    }
    fail_with();
    is_remote(remote($bridge), 'then it runs');
    $bridge->ok_serves('unix', @workers);
    ok_alone(@workers);
    $bridge->stop;
} if can_fail();

# All that is found is found by that process: the worker does not even look.
my %look = (
    'a script' => [ [] ],
    'a script with a handler' => [ [ '--handler', '.cgi=/bin/sh' ] ],
    'a script below --root' => [ [ '--root', $mnt, '--root', Bridge::cgi() ] ],
    'a script and PATH_INFO' => [ [], SCRIPT_FILENAME => "$mnt/x.cgi/more",
        SCRIPT_NAME => '/x.cgi/more' ],
    'a name that is percent-encoded' => [ [],
        SCRIPT_FILENAME => "proxy:fcgi://localhost$mnt/%78.cgi", SCRIPT_NAME => '/x.cgi' ],
    'a script in PATH_INFO' => [ [], SCRIPT_FILENAME => $mnt, SCRIPT_NAME => '',
        PATH_INFO => '/x.cgi/more' ],
);
for my $what (sort keys %look) {
    scenario "it hangs after the look, before anything else: $what" => sub {
        my ($args, @more) = $look{$what}->@*;
        my $bridge = Bridge->start(sockets => ['unix'], args => [ @args, @$args ]);
        my @workers = $bridge->workers;
        my $mark = $bridge->mark;
        hold(qw(LOOKUP GETATTR OPEN OPENDIR LATER));
        my ($c) = start_remote($bridge, 1, "$mnt/x.cgi", @soon, @more);
        $bridge->ok_serves('unix', @workers);
        is(FastCGI::status($c->wait_end(1)), 504, 'it gets 504');
        like($bridge->log_since($mark), qr/: 504: longer than --timeout: stopped/,
            'because its script hangs');
        release();
        is_remote(remote($bridge, "$mnt/x.cgi", @more), 'later it runs');
        $bridge->ok_serves('unix', @workers);
        ok_alone(@workers);
        $bridge->stop;
    };
}

# Nothing in their paths says where they lead.
Bridge::script('to-file', "text\n");
unlink Bridge::cgi() . '/to-file';
symlink "$mnt/x.cgi", Bridge::cgi() . '/to-file';
Bridge::script('by-line', "#!$mnt/x.cgi\n");
Bridge::script('by-link', "#!$link/x.cgi\n");
Bridge::script('by.handler', "text\n");
my %unknown = (
    'a link to its directory' => "$link/x.cgi",
    'a link to a script' => Bridge::cgi() . '/to-file',
    'an interpreter on it' => Bridge::cgi() . '/by-line',
    'an interpreter through a link' => Bridge::cgi() . '/by-link',
    'a handler through a link' => Bridge::cgi() . '/by.handler',
);
my @handler = ('--handler', ".handler=$link/x.cgi");

scenario 'the first requests for scripts that lead there unseen, and the next' => sub {
    my $bridge = Bridge->start(sockets => ['unix'], args => [ @args, @handler ]);
    my @workers = $bridge->workers;
    for my $which (qw(first next)) {
        hold(qw(LOOKUP GETATTR));
        my %c;
        for my $what (sort keys %unknown) {
            ($c{$what}) = start_remote($bridge, 1, $unknown{$what}, @soon);
            $bridge->ok_serves('unix', @workers);
        }
        is(FastCGI::status($c{$_}->wait_end(1)), 504, "$_: the $which gets 504") for sort keys %c;
        release();
        is_remote(remote($bridge, $unknown{$_}), "$_: it runs when it answers again")
            for sort keys %unknown;
    }
    ok_alone(@workers);
    $bridge->stop;
};

for my $what (grep { /handler|interpreter on/ } sort keys %unknown) {
    scenario "it hangs after the first look: $what" => sub {
        my $bridge = Bridge->start(sockets => ['unix'], args => [ @args, @handler ]);
        my @workers = $bridge->workers;
        my $mark = $bridge->mark;
        hold(qw(LOOKUP GETATTR OPEN LATER));
        my ($c) = start_remote($bridge, 1, $unknown{$what}, @soon);
        $bridge->ok_serves('unix', @workers);
        is(FastCGI::status($c->wait_end(1)), 504, 'it gets 504');
        like($bridge->log_since($mark), qr/: 504: longer than --timeout: stopped/,
            'because its script hangs');
        release();
        is_remote(remote($bridge, $unknown{$what}), 'it runs when it answers again');
        ok_alone(@workers);
        $bridge->stop;
    };
}

# In it there are a shell and a script, and nothing else: no /proc.
sub make_jail () {
    my $jail = Bridge::tmp() . '/jail';
    for my $file ('/bin/sh', `ldd /bin/sh` =~ m{(/\S+)}g) {
        make_path($jail . $file =~ s{/[^/]+\z}{}r);
        copy($file, "$jail$file") && chmod 0755, "$jail$file" or die "$file: $!\n";
    }
    spew("$jail/local.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nlocal\\n'\n", 0755);
    return $jail;
}

scenario 'below --chroot, where the table of mounts is out of reach' => sub {
    my $jail = make_jail();
    # in a root without /proc, nothing looks for leaks
    my $asan = join ':', grep { length } $ENV{ASAN_OPTIONS} // '', 'detect_leaks=0';
    my $bridge = Bridge->start(sockets => ['unix'], cwd => '/', env => { ASAN_OPTIONS => $asan },
        args => [ @args, '--chroot', $jail, '--spool-dir', '/' ]);
    my @workers = $bridge->workers;
    my $inner = mount_standin("$jail/mnt") // die "/dev/fuse could be mounted before\n";
    is_remote(remote($bridge, '/mnt/x.cgi'), 'its script runs');
    hold(qw(LOOKUP GETATTR));
    my ($c) = start_remote($bridge, 1, '/mnt/x.cgi', @soon);
    is(FastCGI::body(remote($bridge, '/local.cgi')), "local\n", 'others are served');
    is(FastCGI::status($c->wait_end(1)), 504, 'it gets 504');
    release();
    is_remote(remote($bridge, '/mnt/x.cgi'), 'and runs when it answers again');
    is_deeply([ $bridge->workers ], \@workers, 'by the same worker');
    $bridge->stop;
    unmount_standin($inner, "$jail/mnt");
};

# Each asks its first script, a local one, which leads there.
Bridge::script('goes', "#!/bin/sh\nprintf 'Location: %s\\n\\n' \"\$TEST_TO\"\n");
my @goes = (SCRIPT_FILENAME => Bridge::cgi() . '/goes', SERVER_SOFTWARE => 'Apache/2.4',
    DOCUMENT_ROOT => $mnt, TEST_TO => '/x.cgi/more');
my $no_answer = qr{goes\S* request 1 .*: 504: \Q$mnt\E/x\.cgi\S*: its file system does not answer};

for my $case ([ 'before the look', qr/: its file system does not answer/, qw(LOOKUP GETATTR) ],
    [ 'after it', qr/: 504: longer than --timeout: stopped/, qw(LOOKUP GETATTR OPEN LATER) ]) {
    my ($when, $reason, @ops) = @$case;
    scenario "a local redirect leads there, and it hangs $when" => sub {
        my $bridge = Bridge->start(sockets => ['unix'], args => [ @args, '--local-redirect' ]);
        my @workers = $bridge->workers;
        is_remote(remote($bridge, undef, @goes), 'its script runs');
        is(FastCGI::status(remote($bridge, undef, @goes, TEST_TO => '/none')), 302,
            'what is not there stays a 302');
        my $mark = $bridge->mark;
        hold(@ops);
        my ($c) = start_remote($bridge, 1, undef, @goes, @soon);
        $bridge->ok_serves('unix', @workers);
        is(FastCGI::status($c->wait_end(1)), 504, 'it gets 504');
        like($bridge->log_since($mark), $reason, 'for that reason');
        $bridge->ok_serves('unix', @workers);
        release();
        is_remote(remote($bridge, undef, @goes), 'it runs when it answers again');
        ok_alone(@workers);
        $bridge->stop;
    };
}

scenario 'a local redirect leads there, and its script fails meanwhile' => sub {
    my $bridge = Bridge->start(sockets => ['unix'], args => [ @args, '--local-redirect' ]);
    my ($path, $hold) = gate();
    my $mark = $bridge->mark;
    Bridge::script('fails', <<~'END');
        #!/bin/sh
        printf 'Location: /x.cgi\n\n'
        exec >&- 9<"$TEST_GATE"
        flock -s 9
        exit 3
        END
    my @fails = (@goes, SCRIPT_FILENAME => Bridge::cgi() . '/fails', TEST_GATE => $path);
    hold(qw(LOOKUP GETATTR));
    my ($c) = start_remote($bridge, 1, undef, @fails);
    close $hold;
    my @workers = $bridge->workers;
    ok(wait_until(10, sub { !grep { Bridge::slurp("/proc/$_/cmdline") =~ /\bfails\b/ }
        map { Bridge::children($_) } @workers }), 'it has exited');
    release();
    is(FastCGI::status($c->wait_end(1)), 302, 'the redirect is passed on');
    like($bridge->log_since($mark), qr/fails\S* request 1 .*: exit status 3/, 'and the log says why');
    $bridge->stop;
};

scenario 'a local redirect leads there, and its client leaves, aborts, or is silent' => sub {
    my $bridge = Bridge->start(sockets => ['unix'],
        args => [ @args, qw(--local-redirect --timeout 0 --slow-log 100ms) ]);
    my @workers = $bridge->workers;
    my $mark = $bridge->mark;
    hold(qw(LOOKUP GETATTR));
    my ($silent) = start_remote($bridge, 1, undef, @goes, CGIBRIDGE_IDLE_TIMEOUT => '1s');
    is(FastCGI::status($silent->wait_end(1)), 504, 'silent: it gets 504');
    like($bridge->log_since($mark), $no_answer, 'and the log names the path');
    my ($leaves) = start_remote($bridge, 1, undef, @goes);
    $leaves->hang_up;
    my ($aborts) = start_remote($bridge, 1, undef, @goes);
    $aborts->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1));
    ok($aborts->wait_end(1), 'aborted: it has ended');
    $bridge->ok_serves('unix', @workers);
    release();
    ok_alone(@workers);
    my $c = $bridge->connect('unix');
    hold(qw(LOOKUP GETATTR));
    ($c) = start_remote($bridge, 1, undef, @goes);
    release();
    is_remote($c->wait_end(1), 'its script runs when it answers again');
    hold(qw(LOOKUP GETATTR));
    ($c) = start_remote($bridge, 1, undef, @goes);
    $bridge->signal('QUIT');
    is($bridge->wait_exit(10), 0, 'QUIT: the bridge ends');
    is(FastCGI::status($c->wait_end(1)), 503, 'the request gets 503');
    release();
};

my @debug = (args => [ @args, '--log-level', 'debug' ]);
my %started = (
    itself => sub { Bridge->start(sockets => ['unix'], @debug) },
    'by a preloader' => sub { preloading(@debug) },
    'with a handler for its extension' => sub {
        Bridge->start(sockets => ['unix'], args => [ $debug[1]->@*, '--handler', '.cgi=/bin/sh' ]);
    },
);
for my $how (sort keys %started) {
    scenario "it hangs once a body of unknown length has begun: started $how" => sub {
        my $bridge = $started{$how}->();
        my @workers = $bridge->workers;
        my $mark = $bridge->mark;
        my $c = $bridge->connect('unix');
        $c->expect(1);
        $c->send(FastCGI::begin(1) . FastCGI::params(1, $bridge->params('x.cgi',
            SCRIPT_FILENAME => "$mnt/x.cgi", REQUEST_METHOD => 'POST',
            HTTP_TRANSFER_ENCODING => 'chunked', @soon)));
        ok($bridge->wait_for_log(qr/request 1: locating -> body/, 10, from => $mark),
            'its body is collected');
        hold(qw(LOOKUP GETATTR OPEN));
        $c->send(FastCGI::stdin(1, 'x') . FastCGI::stdin_end(1));
        ok(wait_until(10, sub { -e $holding }), 'the file system does not answer');
        $bridge->ok_serves('unix', @workers);
        is(FastCGI::status($c->wait_end(1)), 504, 'it gets 504');
        release();
        is_remote(remote($bridge), 'the next one runs');
        ok_alone(@workers) if $how !~ /preloader/; # which stays
        $bridge->stop;
    };
}

scenario 'it hangs while requests wait for a slot' => sub {
    my $bridge = Bridge->start(sockets => ['unix'],
        args => [ @args, qw(--max-scripts 2 --queue-timeout 60s --status-path /status) ]);
    my @workers = $bridge->workers;
    my @hold = map { [ $bridge->connect('unix') ] } 1 .. 2;
    $_->[1] = $bridge->start_waiting($_->[0]) for @hold;
    my @c = map { $bridge->connect('unix') } 1 .. 2;
    $c[$_]->start(1, $bridge->params('x.cgi', SCRIPT_FILENAME => "$mnt/x.cgi",
        $_ ? () : @soon)) for 0, 1;
    ok($bridge->wait_queued(2), 'they are queued');
    hold(qw(LOOKUP GETATTR));
    $bridge->end_waiting(@$_) for @hold;
    ok(wait_until(10, sub { -e $holding }), 'the file system does not answer');
    is(FastCGI::status($c[0]->wait_end(1)), 504, 'one gets 504');
    # both may hold their slots until they have ended, as scripts do: other scripts wait
    ok($bridge->status->{status_pages} > 0, 'the worker goes on');
    is_deeply([ $bridge->workers ], \@workers, 'it is the same');
    $c[1]->hang_up; # the other's client leaves
    release();
    my @more = map { [ $bridge->connect('unix') ] } 1 .. 2;
    $_->[1] = $bridge->start_waiting($_->[0]) for @more;
    pass('both slots are free again');
    $bridge->end_waiting(@$_) for @more;
    is_remote(remote($bridge), 'the next one runs');
    ok_alone(@workers);
    $bridge->stop;
};

scenario 'the client leaves' => sub {
    my $bridge = Bridge->start(sockets => ['unix'], args => \@args);
    my @workers = $bridge->workers;
    hold(qw(LOOKUP));
    my ($c) = start_remote($bridge, 1);
    undef $c;
    $bridge->ok_serves('unix', @workers);
    release();
    ok_alone(@workers);
    $bridge->stop;
};

# While the stand-in has not even read what it is asked, those that wait for it can be killed, as
# on NFS; later they cannot.
scenario 'the worker is killed' => sub {
    my $bridge = Bridge->start(sockets => ['unix'], args => \@args);
    my ($worker) = $bridge->workers;
    kill 'STOP', $standin;
    my $c = $bridge->connect('unix');
    $c->start(1, $bridge->params('x.cgi', SCRIPT_FILENAME => "$mnt/x.cgi"));
    ok(wait_until(10, sub { Bridge::children($worker) == 1 }), 'a process waits');
    my @scouts = Bridge::children($worker);
    kill 'KILL', $worker;
    is_deeply([ Bridge::gone(10, @scouts) ], [], 'it does not outlive the worker');
    kill 'CONT', $standin;
    $bridge->signal('TERM');
    is($bridge->wait_exit(10), 0, 'and the bridge ends');
};

for my $signal (qw(TERM QUIT)) {
    scenario "$signal while a file system hangs" => sub {
        my $bridge = Bridge->start(sockets => ['unix'],
            args => [ @args, qw(--drain-timeout 1s --kill-delay 200ms) ]);
        hold(qw(LOOKUP));
        my ($c) = start_remote($bridge, 1);
        $bridge->signal($signal);
        is($bridge->wait_exit(10), 0, 'it ends');
        is(FastCGI::status($c->wait_end(1)), 503, 'the request gets 503');
        release();
    };
}

unmount_standin($standin) if $standin;
done_testing;

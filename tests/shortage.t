#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Not enough of something: descriptors, connections, memory.  Whoever can wait waits, the
# rest is answered 503, and the log says what to raise without being flooded.
use v5.36;
use Test::More;
use Time::HiRes qw(time sleep);
use Errno ();
use FastCGI;
use Bridge;
use Failing;

sub few_files ($n) { return [ 'sh', '-c', "ulimit -n $n; exec \"\$@\"", 'sh' ] }

sub said_once ($bridge, $mark, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @all = $bridge->warnings($mark);
    is(scalar(grep { $_ =~ $what } @all), 1, 'the log says so, once') or diag(join "\n", @all);
}

on_both 'too few descriptors for all scripts at once' => sub ($kind) {
    my $bridge = Bridge->start(sockets => [$kind], prefix => few_files(48));
    my @workers = $bridge->workers;
    my $mark = $bridge->mark;
    my @c = map { $bridge->connect($kind) } 1 .. 12; # fewer than the limit of connections
    my $few = qr/no descriptors for another script: Too many open files: requests wait for one to end \(raise /;
    my ($gate, $shut) = gate();
    $_->start(1, $bridge->post('waits', 'a body', QUERY_STRING => $gate, TEST_PIDS => '/dev/null'),
        body => 'a body') for @c;
    $bridge->wait_for_log($few, 10, from => $mark);
    close $shut;
    $_->wait_end(1, 20) for @c;
    my @other = grep { FastCGI::body($_->{req}{1}) ne "released\n" } @c;
    is(scalar @other, 0, 'all are served in the end');
    said_once($bridge, $mark, $few);
    is_deeply([ $bridge->workers ], \@workers, 'by the same worker');
    $bridge->stop;
};

on_both 'requests wait no longer than --queue-timeout' => sub ($kind) {
    my $bridge = Bridge->start(sockets => [$kind], prefix => few_files(48),
        args => [ '--queue-timeout', '300ms' ]);
    my @c = map { $bridge->connect($kind) } 1 .. 12;
    my ($gate, $shut) = gate();
    $_->start(1, $bridge->params('waits', QUERY_STRING => $gate, TEST_PIDS => '/dev/null')) for @c;
    wait_until(10, sub { grep { $_->fill; $_->{req}{1}{end} } @c });
    close $shut;
    $_->wait_end(1, 20) for @c;
    my %n;
    $n{ FastCGI::status($_->{req}{1}) }++ for @c;
    ok($n{200} && $n{503}, 'some run, the others get 503') or diag(explain(\%n));
    is($n{200} + $n{503}, 12, 'and each an answer');
    is(FastCGI::body($bridge->get($kind, 'hello')), "hello\n", 'then all is as before');
    $bridge->stop;
};

on_both 'the limit of connections is said once' => sub ($kind) {
    my $bridge = Bridge->start(sockets => [$kind], prefix => few_files(48));
    my $mark = $bridge->mark;
    my @c = map { $bridge->connect($kind) } 1 .. 30; # more than may be accepted
    $_->start(1, $bridge->params('hello')) for @c;
    $_->wait_end(1, 20) for @c; # as some end others are let in, up to the limit each time
    is(scalar(grep { FastCGI::body($_->{req}{1}) eq "hello\n" } @c), 30, 'all are served');
    said_once($bridge, $mark, qr/\d connections, as many as the limit of open files allows/);
    $bridge->stop;
};

# A header block that does not end before it is let go, so that all of it has to be held.
script('long-head', <<~'SH');
    #!/bin/sh
    for n in 1 2 3 4 5 6; do
        printf 'X-Long-%d: %06000d\n' $n $n
    done
    flock -s -w 60 "$QUERY_STRING" true
    printf 'Content-Type: text/plain\n\n'
    exec head -c 1048576 /dev/zero
    SH

# A worker that may have hardly more memory than it has by now; its scripts may have more.
on_both 'no memory' => sub ($kind) {
    is_program('prlimit', 'util-linux');
    my $bridge = Bridge->start(sockets => [$kind], args => [ '--limit', 'data=unlimited' ]);
    my ($worker) = $bridge->workers;
    my $mark = $bridge->mark;
    my @c = map { $bridge->connect($kind) } 1 .. 40;
    my ($kib) = slurp("/proc/$worker/status") =~ /^VmData:\s*(\d+)/m;
    my $limit = ($kib + 600) * 1024; # some requests fit in, the output of all of them does not
    # a checker's own memory is not to be bounded: then this only sees that all is well
    my $checked = slurp($Bridge::daemon) =~ /__asan_init/;
    is(run_program([ 'prlimit', "--pid=$worker", "--data=$limit:" ])->{exit}, 0, "limit $limit")
        if !$checked;
    my ($gate, $shut) = gate();
    $_->start(1, $bridge->params('long-head', QUERY_STRING => $gate)) for @c; # and nobody reads
    $bridge->wait_for_log(qr/out of memory for its output/, 10, from => $mark) if !$checked;
    close $shut;
    my %n;
    for my $c (@c) {
        my $r = eval { $c->wait_end(1, 20) };
        $n{ $r ? FastCGI::status($r) : 'cut' }++;
    }
    my $log = $bridge->log_since($mark);
    unlike($log, qr/no CGI response|Cannot allocate memory; still running|read back/,
        'no script is blamed');
    like($log, qr/ 503: out of memory for its output /, 'the log says what there was none for')
        if !$checked;
    delete $n{$_} for qw(200 503 cut);
    is_deeply(\%n, {}, 'they were served, refused with 503, or cut');
    is(run_program([ 'prlimit', "--pid=$worker", '--data=unlimited:' ])->{exit}, 0, 'more again');
    $bridge->ok_serves($kind, $worker);
    $bridge->stop;
};

# In front of a daemon: a /dev with nothing in it, or with a null that is $null.
sub without_dev ($null = undef) {
    my $link = defined $null ? "ln -s $null /dev/null" : 'true';
    return [ is_program('unshare', 'util-linux'), is_root() ? '-m' : '-rm', 'sh', '-c',
        "mount -t tmpfs -o mode=755 tmpfs /dev && $link && exec \"\$@\"", 'sh' ];
}

scenario 'no /dev/null' => sub {
    my $r = run_program([ @{ without_dev() }, $Bridge::daemon, '-n' ]);
    is($r->{exit}, 1, 'it does not start');
    like($r->{err}, qr{^cgibridge: /dev/null cannot be opened: No such file}, 'and says why');
    my $null = spew(file(), '');
    chmod 0666, $null;
    my $bridge = Bridge->start(prefix => without_dev($null));
    my ($worker) = $bridge->workers;
    unlink $null;
    kill 'KILL', $worker;
    ok($bridge->wait_for_log(qr{error: /dev/null cannot be opened, and scripts need it: No such}, 5),
        'a worker that finds none says so');
    spew($null, '', 0666);
    ok(wait_until(10, sub { eval { FastCGI::body($bridge->get('unix', 'hello')) eq "hello\n" } }),
        'when it is there again, one starts');
    $bridge->stop;
};

# ---- a start that fails ------------------------------------------------------------------------

my %failed_step = (
    execve => qr/cannot execute(?: its handler \S+)?/,
    chdir => qr/cannot change to its directory/,
    dup2 => qr/cannot set its streams/,
);

# A shortage passes, and is nobody's fault: 503, and when to come again; what is wrong is 500.
sub is_refused ($bridge, $script, $call, $error, $status) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $mark = $bridge->mark;
    fail_with($call => $error);
    my $r = FastCGI::response($bridge->get('unix', $script));
    fail_with();
    my $text = do { local $! = Errno->can($error)->(); "$!" };
    is($r->{status}, $status, "$script: $call $error: $status");
    is(exists $r->{header}{'retry-after'}, $status == 503, 'Retry-After with a 503');
    like($bridge->log_since($mark), qr/ $status: \S+: $failed_step{$call}: \Q$text\E/,
        'the log says why');
}

scenario 'a script cannot be started, for want of something or for another reason' => sub {
    my $bridge = Bridge->start(sockets => ['unix'], env => failing_env(),
        args => [ '--handler', '.sh=/bin/sh' ]);
    my @workers = $bridge->workers;
    script('handled.sh', "echo Content-Type: text/plain; echo; echo hello\n");
    for my $error (qw(ENFILE EMFILE ENOMEM EAGAIN)) {
        is_refused($bridge, 'hello', $_, $error, 503) for qw(execve chdir dup2);
        is_refused($bridge, 'handled.sh', 'execve', $error, 503);
    }
    is_refused($bridge, 'hello', 'execve', 'ETXTBSY', 503); # it is being written
    is_refused($bridge, $_, 'execve', 'EIO', 500) for qw(hello handled.sh);
    is_refused($bridge, 'hello', $_, 'EIO', 500) for qw(chdir dup2);
    is(FastCGI::body($bridge->get('unix', $_)), "hello\n", "$_: then it runs") for qw(hello handled.sh);
    $bridge->ok_serves('unix', @workers);
    $bridge->stop;
} if can_fail();

done_testing;

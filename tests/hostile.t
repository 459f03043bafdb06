#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# A hostile neighbour: a script that does to its worker and to the supervisor all that its
# user may.  The supervisor runs as root, the workers as nobody.  The worst it can do is to
# end a worker, and another takes its place.  (Links, the shared memory and looks into other
# processes: privilege.t.)
use v5.36;
use Config;
use Test::More;
use FastCGI;
use Bridge;

plan skip_all => 'needs root, for the user of the workers' if !is_root();

# Does what it is asked to, as Perl, with $worker and $supervisor; prints what that returns.
script('attack', <<~'END');
    #!/usr/bin/perl
    my ($worker, $supervisor) = (getppid, $ENV{SUPERVISOR});
    my $said = eval $ENV{ATTACK};
    print "Content-Type: text/plain\n\n$said$@";
    END

sub attack ($bridge, $code) {
    return $bridge->get('unix', 'attack', [ SUPERVISOR => $bridge->pid, ATTACK => $code ]);
}

# Whether the bridge goes on: its supervisor lives, and a script runs, at a new worker perhaps.
sub goes_on ($bridge, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(alive($bridge->pid), "$what: the supervisor lives");
    ok(wait_until(20, sub {
        my $body = eval { FastCGI::body($bridge->get('unix', 'hello')) };
        ($body // '') eq "hello\n";
    }), "$what: and scripts run");
}

my @as_nobody = ('-u', 'nobody');

# Those a process can be sent, but STOP, which the watchdog answers (reload.t).
my %number;
@number{ split ' ', $Config{sig_name} } = split ' ', $Config{sig_num};
my @signals = grep { $number{$_} > 0 && !/^(?:STOP|NUM|IOT|CLD|POLL|UNUSED)/ } sort keys %number;

scenario 'no signal to the supervisor' => sub {
    my $bridge = Bridge->start(args => [@as_nobody]);
    my ($worker) = $bridge->workers;
    my $r = attack($bridge, qq{my \$n = 0; \$n += kill \$_, \$supervisor for qw(@signals STOP); \$n});
    is(FastCGI::body($r), '0', 'may be sent');
    is(($bridge->workers)[0], $worker, 'its worker is the same');
    $bridge->stop;
};

scenario 'any signal to a worker' => sub {
    my $bridge;
    for my $name (@signals) {
        # a new one after each death: a worker that dies again is started later and later
        $bridge //= Bridge->start(args => [ @as_nobody, '--drain-timeout', '1s', '--kill-delay', '1s' ]);
        my ($worker) = $bridge->workers;
        # a worker that dies takes its connection along
        eval { attack($bridge, "kill '$name', \$worker") };
        goes_on($bridge, $name);
        next if alive($worker);
        $bridge->kill_all;
        undef $bridge;
    }
    $bridge->stop if $bridge;
};

scenario 'in the process group of its worker, and deaf to TERM' => sub {
    my $bridge = Bridge->start(args => [ @as_nobody, '--timeout', '300ms', '--kill-delay', '200ms' ]);
    my ($worker) = $bridge->workers;
    my $file = file();
    spew($file, '');
    chmod 0666, $file;
    my $r = attack($bridge, <<~END);
        setpgrp(0, getpgrp(\$worker)) or die "setpgrp: \$!";
        \$SIG{TERM} = 'IGNORE';
        open my \$out, '>', '$file'; print \$out "\$\$\\n"; close \$out;
        sleep 60 while 1;
        END
    is(FastCGI::status($r), 504, 'its client is told of the timeout');
    my ($script) = wait_pids($file, 1);
    is_deeply([ gone(20, $script) ], [], 'the script is killed');
    is(($bridge->workers)[0], $worker, 'the worker is not');
    goes_on($bridge, 'after that');
    $bridge->stop;
};

scenario 'a limit of its worker is lowered' => sub {
    my $prlimit = is_program('prlimit', 'util-linux');
    # without memory or descriptors a leak checker cannot look either
    my $asan = join ':', grep { length } $ENV{ASAN_OPTIONS} // '', 'detect_leaks=0';
    # AddressSanitizer takes terabytes of addresses for itself
    my @memory = slurp($Bridge::daemon) =~ /__asan_init/ ? () : qw(as data);
    for my $limit (qw(nproc nofile fsize stack cpu), @memory) {
        my $bridge = Bridge->start(args => [ @as_nobody, '--watchdog', '2s' ], env => { ASAN_OPTIONS => $asan });
        eval { attack($bridge, "system '$prlimit', \"--pid=\$worker\", '--$limit=1:1'") };
        goes_on($bridge, $limit);
        $bridge->stop;
    }
};

scenario 'a worker is stopped, again and again' => sub {
    my $bridge = Bridge->start(args => [ @as_nobody, '--watchdog', '1s' ]);
    for my $time (1 .. 2) {
        my ($worker) = $bridge->workers;
        eval { attack($bridge, 'kill "STOP", $worker; sleep 60') };
        is_deeply([ gone(30, $worker) ], [], "the watchdog ends it ($time)");
        goes_on($bridge, 'STOP');
    }
    $bridge->stop;
};

scenario 'what /proc has of a worker' => sub {
    my $bridge = Bridge->start(args => [@as_nobody]);
    my $r = attack($bridge, <<~'END');
        my @open;
        for my $pid ($worker, $supervisor) {
            for my $name (qw(mem clear_refs coredump_filter oom_adj oom_score_adj
                timerslack_ns autogroup sched setgroups uid_map comm)) {
                open(my $file, '+<', "/proc/$pid/$name") or next;
                push @open, $name if syswrite($file, "1") // 0;
            }
            push @open, "fd $_" for grep { open(my $fd, '+<', "/proc/$pid/fd/$_") } 0 .. 99;
            chdir "/proc/$pid/cwd" and push @open, 'cwd';
            chroot "/proc/$pid/root" and push @open, 'root';
        }
        join ' ', @open;
        END
    is(FastCGI::body($r), '', 'none of it can be changed, no descriptor opened');
    goes_on($bridge, 'after that');
    $bridge->stop;
};

# A pipe can be opened again by its name in /proc: for the other direction, too.
scenario 'pipes that a script turns round' => sub {
    my $bridge = Bridge->start(args => [ @as_nobody, '--timeout', '2s', '--kill-delay', '200ms' ]);
    my ($worker) = $bridge->workers;
    my %code = (
        'eats its own output' => q{
            open my $own, '<', '/proc/self/fd/1' or die;
            syswrite STDOUT, "Content-Type: text/plain\n\n" . 'x' x 9000;
            sysread $own, my $eaten, 5000;
            die if length $eaten != 5000;
        },
        'feeds its own input' => q{
            open my $own, '>', '/proc/self/fd/0' or die;
            syswrite $own, 'y' x 1000;
            sysread STDIN, my $own_words, 1000;
        },
        'makes its pipes small' => q{
            fcntl $_, 1031, 4096 for *STDIN, *STDOUT, *STDERR;
            syswrite STDOUT, "Content-Type: text/plain\n\n" . 'x' x 300_000;
        },
        'asks for signals to its worker' => q{
            for my $fh (*STDOUT, *STDERR, *STDIN) {
                fcntl $fh, 8, $_ for $supervisor;
                fcntl $fh, 10, 9;
                fcntl $fh, 4, 020000;
            }
            syswrite STDERR, "x\n" for 1 .. 100;
        },
        'closes them all' => q{ POSIX::close($_) for 0 .. 9; exit 0 },
        'has them held by another process' => q{
            if (!fork) { $SIG{$_} = 'IGNORE' for qw(TERM HUP INT); setpgrp; sleep 3; exit }
        },
    );
    for my $what (sort keys %code) {
        eval { $bridge->get('unix', 'attack', [ SUPERVISOR => $bridge->pid,
            ATTACK => "use POSIX (); $code{$what}; ''" ], body => 'z' x 2000, secs => 30) };
        goes_on($bridge, $what);
    }
    is(($bridge->workers)[0], $worker, 'the worker is the same');
    $bridge->stop;
};

# A lease delays whoever opens the file, and so does a FIFO: neither root nor a worker waits.
scenario 'an access log that makes others wait' => sub {
    my $home = file();
    mkdir $home;
    chown +(getpwnam 'nobody')[ 2, 3 ], $home;
    my $bridge = Bridge->start(args => [ @as_nobody, '--access-log', "$home/log" ]);
    my %code = (
        'a lease' => q{
            open my $log, '+>', "$home/log" or die "open: $!";
            fcntl $log, 1024, 1 or die "lease: $!";
            push @main::held, $log;
        },
        'a FIFO that nobody reads' => q{ POSIX::mkfifo("$home/log", 0600) or die "mkfifo: $!" },
        'a FIFO that is full' => q{
            POSIX::mkfifo("$home/log", 0600) or die "mkfifo: $!";
            open my $log, '+<', "$home/log" or die "open: $!";
            fcntl $log, 4, 04000;
            1 while syswrite $log, 'x' x 4096;
            push @main::held, $log;
        },
        'a folder' => q{ mkdir "$home/log" or die "mkdir: $!" },
    );
    for my $what (sort keys %code) {
        my $ready = file();
        spew($ready, '');
        chmod 0666, $ready;
        unlink "$home/log";
        rmdir "$home/log";
        my $c = $bridge->connect('unix');
        $c->start(1, $bridge->params('attack', HOME_DIR => $home, READY => $ready, ATTACK => <<~"END"));
            use POSIX ();
            \$SIG{IO} = 'IGNORE';
            my \$home = \$ENV{HOME_DIR};
            my \$how = eval { $code{$what}; 1 } ? 'done' : \$\@;
            open my \$out, '>', \$ENV{READY}; print \$out "\$how\\n"; close \$out;
            sleep 60;
            END
        ok(wait_until(20, sub { slurp($ready) =~ /\n/ }), "$what: there");
        is(slurp($ready), "done\n", "$what: made");
        my $mark = $bridge->mark;
        $bridge->signal('USR1');
        goes_on($bridge, $what);
        $bridge->signal('USR2');
        ok($bridge->wait_for_log(qr/status: version/, 20, from => $mark),
            "$what: the supervisor does not wait");
        $c->hang_up;
    }
    $bridge->stop;
};

done_testing;

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

done_testing;

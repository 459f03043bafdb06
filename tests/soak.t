#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# 100,000 requests leave nothing behind: memory, descriptors and processes are then what
# they were after 1,000.  Not a part of make check, for its length; .ci/run has it.
use v5.36;
use Test::More;
use Time::HiRes qw(sleep);
use FastCGI;
use Bridge;

my $dir = Bridge::cgi();
my $tmp = Bridge::tmp();

spew("$tmp/hello.c", <<~'C');
    #include <unistd.h>
    int main(void)
    {
        static const char text[] = "Content-Type: text/plain\n\nhello\n";
        return write(1, text, sizeof text - 1) < 0;
    }
    C
my $cc = $ENV{CC} || is_program('cc', 'gcc');
my $made = run_program([ (split ' ', $cc), '-O1', '-static', '-o', "$dir/quick", "$tmp/hello.c" ],
    secs => 60);
is($made->{exit}, 0, 'compiled') or diag($made->{err});

# `n` requests over `c` connections; every answer has to be right.
sub requests ($bridge, $kind, $n, $c, @options) {
    my $r = run_program([ $ENV{FCGIGET} // './fcgiget', '-s', $bridge->url($kind), '-n', $n,
        '-c', $c, '-f', '-t', '30s', @options, "$dir/quick" ], secs => 300);
    is($r->{exit}, 0, "$n requests, $c connections (@options $kind)") or diag("$r->{out}$r->{err}");
}

# What the daemon holds: memory of its processes in KiB, descriptors, processes below it.
sub holdings ($bridge) {
    my @pids = ($bridge->pid, $bridge->workers);
    my ($memory, $fds) = (0, 0);
    for my $pid (@pids) {
        slurp("/proc/$pid/smaps_rollup") =~ /^Pss:\s*(\d+)/m or die "no memory of $pid\n";
        $memory += $1;
        $fds += () = glob "/proc/$pid/fd/*";
    }
    return { memory => $memory, fds => $fds, processes => scalar(() = Bridge::descendants($bridge->pid)) };
}

my $bridge = Bridge->start(workers => 2, args => [ '-l', 'warn' ], any => 1);
wait_until(10, sub { $bridge->workers == 2 && eval { $bridge->get('tcp', 'hello') } });
requests($bridge, 'unix', 500, 16);
requests($bridge, 'tcp', 500, 16, '-k');
sleep 1;
my $before = holdings($bridge);
requests($bridge, 'unix', 40_000, 16);
requests($bridge, 'unix', 40_000, 64, '-k');
requests($bridge, 'tcp', 20_000, 16);
wait_until(10, sub { holdings($bridge)->{fds} == $before->{fds} });
my $after = holdings($bridge);
is($after->{fds}, $before->{fds}, "descriptors: $after->{fds}");
is($after->{processes}, $before->{processes}, "processes: $after->{processes}");
cmp_ok($after->{memory}, '<', $before->{memory} + 512,
    "memory: $before->{memory} KiB, then $after->{memory} KiB");
$bridge->stop;
done_testing;

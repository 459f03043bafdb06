#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# A mixed run: requests that are fast, slow, failing, aborted, hung up, timed out, large, many at
# once on a connection, and preloaded, while a worker is killed every few seconds, and the bridge
# reloads now and then.  The fate of each is known: only one that ran when a worker was killed may
# be lost.  Nothing is left over at the end.  Not a part of make check, for its length; .ci/run has
# a minute of it.  STORM_REQUESTS=1000000 tests/storm.t takes its time.
use v5.36;
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $seconds = $ENV{STORM_SECONDS} // 60;
my $requests = $ENV{STORM_REQUESTS} // 0; # instead of a time
my $reload_every = $ENV{STORM_RELOAD} // ($requests ? 60 : 12);
my ($clients, $workers, $kill_every) = (6, 4, 4);
my $top = $ENV{srcdir} // '.';
my ($dir, $tmp) = (Bridge::cgi(), Bridge::tmp());

# Does as its query says, at next to no cost: hello, sleep MS, fail, much BYTES, read.
spew("$tmp/does.c", <<~'C');
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <time.h>
    #include <unistd.h>

    int main(void)
    {
        static char block[65536];
        const char *query = getenv("QUERY_STRING");
        long n = strchr(query, '=') == NULL ? 0 : atol(strchr(query, '=') + 1);
        struct timespec time = {n / 1000, n % 1000 * 1000000};
        long all = 0, got;

        if (query[0] == 'f')
            return 3;
        if (query[0] == 's')
            nanosleep(&time, NULL);
        while (query[0] == 'r' && (got = read(0, block, sizeof block)) > 0)
            all += got;
        printf("Content-Type: text/plain\n\n");
        memset(block, 'x', sizeof block);
        for (; query[0] == 'm' && n > 0; n -= (long)sizeof block)
            fwrite(block, 1, n < (long)sizeof block ? (size_t)n : sizeof block, stdout);
        if (query[0] == 'r')
            printf("%ld\n", all);
        else if (query[0] != 'm')
            puts("hello");
        return 0;
    }
    C
my $cc = $ENV{CC} || is_program('cc', 'gcc');
my $made = run_program([ (split ' ', $cc), '-O1', '-static', '-o', "$dir/does", "$tmp/does.c" ],
    secs => 60);
is($made->{exit}, 0, 'compiled') or BAIL_OUT($made->{err});
script('warm', <<~'END');
    #!/usr/bin/perl
    use strict;
    print "Content-Type: text/plain\n\nhello\n";
    END

my $bridge = Bridge->start(workers => $workers, args => [ '--status-path',
    '/status', '--kill-delay', '1s', '--preload', "/usr/bin/perl=$top/contrib/preload/perl" ]);
wait_until(10, sub { $bridge->workers == $workers && eval { $bridge->get('tcp', 'hello') } });

# ---- requests ----------------------------------------------------------------------------

sub params ($query, @more) { return $bridge->params('does', QUERY_STRING => $query, @more) }

# Why a response is not the wanted one; '' if it is.
sub judge ($r, $status, $body = undef) {
    return 'no end' if !$r->{end};
    my $got = FastCGI::status($r) // 200;
    return "status $got" if $got != $status;
    return defined $body && FastCGI::body($r) ne $body ? 'another body' : '';
}

sub one ($query, $status, $body = undef, @more) {
    my $kind = rand() < 0.5 ? 'unix' : 'tcp';
    return judge(FastCGI->ask($bridge->url($kind), params($query, @more), secs => 30), $status, $body);
}

# `n` on one connection, one after the other or all at once.
sub several ($n, $at_once) {
    my $c = $bridge->connect(rand() < 0.5 ? 'unix' : 'tcp');
    my (@faults, %r);
    for my $id (1 .. $n) {
        $r{$id} = $c->start($id, params($at_once ? 'sleep=' . int rand 10 : 'hello'), keep => 1);
        next if $at_once;
        my $ended = eval { $c->wait_end($id, 30) };
        push @faults, $ended || length $r{$id}{out} ? judge($r{$id}, 200, "hello\n") : 'crossed';
        last if !$ended;
    }
    for my $id ($at_once ? 1 .. $n : ()) {
        eval { $c->wait_end($id, 30) };
        push @faults, judge($r{$id}, 200, "hello\n");
    }
    $c->hang_up;
    return @faults;
}

sub abort () {
    my $c = $bridge->connect('unix');
    $c->start(1, params('sleep=3000'), keep => 1);
    sleep rand 0.02;
    $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1, ''));
    $c->wait_end(1, 30);
    $c->hang_up;
    return '';
}

sub hang_up () {
    my $c = $bridge->connect('tcp');
    $c->start(1, params('sleep=3000'));
    sleep rand 0.02;
    rand() < 0.5 ? $c->hang_up : $c->reset;
    return '';
}

my $upload = 'y' x 300_000;
my @mix = ( # name, weight, how: faults, '' for each request that went as it should
    [ fast => 40, sub { one('hello', 200, "hello\n") } ],
    [ kept => 5, sub { several(20, 0) } ],
    [ at_once => 2, sub { several(12, 1) } ],
    [ slow => 4, sub { one('sleep=50', 200, "hello\n") } ],
    [ failing => 3, sub { one('fail', 500) } ],
    [ timed_out => 1, sub { one('sleep=5000', 504, undef, CGIBRIDGE_TIMEOUT => '100ms') } ],
    [ large => 2, sub { one('much=1000000', 200, 'x' x 1_000_000) } ],
    [ upload => 2, sub {
        my $c = $bridge->connect('unix');
        my $r = $c->start(1, $bridge->post('does', $upload, QUERY_STRING => 'read'), body => $upload);
        $c->wait_end(1, 30);
        judge($r, 200, length($upload) . "\n");
    } ],
    [ aborted => 1, \&abort ],
    [ hung_up => 1, \&hang_up ],
    [ preloaded => 8, sub {
        judge($bridge->get('unix', 'warm', [], secs => 30), 200, "hello\n");
    } ],
);

# ---- clients -----------------------------------------------------------------------------

my $events = file(); # a line with name and time of each, written before it
spew($events, '');

sub write_down ($event) {
    open my $note, '>>', $events or die "$events: $!\n";
    print $note "$event ", time, "\n";
    close $note;
}

# Whether a worker was killed while requests went wrong that began at `begun`; or, on a kept
# connection, a reload closed it, and the next request crossed that on its way: a client sends
# it again.
sub is_excused ($begun, $fault) {
    my $which = $fault eq 'crossed' ? qr/kill|reload/ : qr/kill/;
    return grep { /^(?:$which) (\S+)/ && $1 >= $begun - 1 } split /\n/, slurp($events);
}

sub pick () {
    state $sum = do { my $n = 0; $n += $_->[1] for @mix; $n };
    my $at = rand $sum;
    for my $kind (@mix) {
        return $kind if ($at -= $kind->[1]) < 0;
    }
    return $mix[0];
}

# One client: lines of "KIND right lost wrong", the tenths' times of the fast, and faults.
sub client ($out, $begin) {
    my (%n, @times, $count);
    srand $$;
    while ($requests ? ($count // 0) < $requests / $clients : time < $begin + $seconds) {
        my ($name, undef, $how) = @{ pick() };
        my $begun = time;
        local $Test::Builder::Level = 0;
        my @faults = eval { $how->() };
        @faults = "died: $@" if $@;
        $count += @faults;
        push @times, time - $begun if $name eq 'fast';
        for my $fault (@faults) {
            my $fate = $fault eq '' ? 'right' : is_excused($begun, $fault) ? 'lost' : 'wrong';
            $n{$name}{$fate}++;
            print $out "fault $name: $fault\n" =~ s/\n(?=.)/ /gr if $fate eq 'wrong';
        }
    }
    for my $name (sort keys %n) {
        printf $out "count %s %d %d %d\n", $name, map { $n{$name}{$_} // 0 } qw(right lost wrong);
    }
    my $tenth = int(@times / 10) || 1;
    my $mean = sub { my $sum = 0; $sum += $_ for @_; 1000 * $sum / @_ };
    printf $out "times %.3f %.3f\n", $mean->(@times[ 0 .. $tenth - 1 ]), $mean->(@times[ -$tenth .. -1 ]);
    printf $out "breach %s\n", $_ for map { tr/\n/ /r } @FastCGI::violations;
}

# ---- the run -----------------------------------------------------------------------------

# What the daemon holds, when it is at rest: descriptors, processes, and KiB of memory.
sub holdings () {
    my ($memory, $fds) = (0, 0);
    for my $pid ($bridge->pid, $bridge->workers) {
        slurp("/proc/$pid/smaps_rollup") =~ /^Pss:\s*(\d+)/m or return {};
        $memory += $1;
        $fds += () = glob "/proc/$pid/fd/*";
    }
    return { memory => $memory, fds => $fds, processes => scalar(() = Bridge::descendants($bridge->pid)) };
}

sub is_at_rest ($like) {
    my $now = holdings();
    return ($now->{fds} // 0) == $like->{fds} && $now->{processes} == $like->{processes};
}

# workers from before and after a reload do not hold the same: from here on all are of the latter
ok($bridge->reload, 'a reload');
wait_until(20, sub { $bridge->get('unix', 'warm'); $bridge->status->{preloaded_scripts} });
ok(wait_until(30, sub { $bridge->status->{preloaded_scripts} }), 'scripts are preloaded')
    or diag(explain($bridge->status));
my $before;
wait_until(20, sub {
    my $was = $before // {};
    $before = holdings();
    select undef, undef, undef, 0.3;
    $before->{fds} && ($was->{fds} // 0) == $before->{fds} && $was->{processes} == $before->{processes};
});
my (@pids, @outs);
my $begin = time;
for (1 .. $clients) {
    my $path = file();
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open my $out, '>', $path or POSIX::_exit(1);
        client($out, $begin);
        close $out;
        POSIX::_exit(0);
    }
    push @pids, $pid;
    push @outs, $path;
}
my ($killed, $reloads, $next_kill, $next_reload) = (0, 0, $begin + 2, $begin + $reload_every);
my %left = map { $_ => 1 } @pids;
while (%left) {
    for my $pid (keys %left) {
        delete $left{$pid} if waitpid($pid, POSIX::WNOHANG()) == $pid;
    }
    my @now = $bridge->workers;
    if (time > $next_kill && @now > 1) {
        write_down('kill');
        kill 'KILL', $now[ rand @now ];
        $killed++;
        $next_kill = time + $kill_every;
    }
    if (time > $next_reload) {
        write_down('reload');
        $bridge->signal('HUP');
        $reloads++;
        $next_reload = time + $reload_every;
    }
    sleep 0.05;
}
my $took = time - $begin;

my (%sum, @faults, @times);
for my $line (map { split /\n/, slurp($_) } @outs) {
    if ($line =~ /^count (\w+) (\d+) (\d+) (\d+)$/) {
        $sum{$1}[$_] += ($2, $3, $4)[$_] for 0 .. 2;
    } elsif ($line =~ /^times (\S+) (\S+)$/) {
        push @times, [ $1, $2 ];
    } else {
        push @faults, $line;
    }
}
my ($all, $lost) = (0, 0);
for my $name (map { $_->[0] } @mix) {
    my ($right, $gone, $wrong) = @{ $sum{$name} // [ 0, 0, 0 ] };
    $all += $right + $gone + $wrong;
    $lost += $gone;
    cmp_ok($right, '>', 0, "$name: $right right, $gone lost with a worker, $wrong wrong");
}
is_deeply([ @faults[ 0 .. (@faults > 20 ? 19 : $#faults) ] ], [], 'no request went wrong without a killed worker')
    or diag(grep { /error:|warm|preload/ } map { "$_\n" } split /\n/, $bridge->log);
my @mean = map { my $i = $_; my $n = 0; $n += $_->[$i] for @times; $n / @times } 0, 1;
diag(sprintf '%d requests in %.0f s, %d workers killed, %d reloads, %d lost; a fast one: %.1f ms in the '
    . 'first tenth, %.1f in the last', $all, $took, $killed, $reloads, $lost, @mean);
cmp_ok($lost, '<=', $killed * $clients * 20, "no more are lost than $killed workers had");

# as at the start: a last reload gives each worker, and its preloader, the same age
$bridge->signal('HUP');
ok(wait_until(40, sub { $bridge->workers == $workers && is_at_rest($before) }), 'nothing is left over')
    or diag(explain([ $before, holdings() ]));
my $after = holdings();
cmp_ok($after->{memory}, '<', $before->{memory} * 1.2 + 1024,
    "memory: $before->{memory} KiB, then $after->{memory} KiB");
$bridge->kill_all if !alive($bridge->pid);
$bridge->signal('TERM');
is($bridge->wait_exit(30), 0, 'TERM: exit status 0');
done_testing;

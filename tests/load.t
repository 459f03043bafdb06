#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# fcgiget -n and fcgiget --check: what they count, against the daemon and against
# servers in this file that die, keep silent or say something else.
use v5.36;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $tmp = Bridge::tmp();
my $fcgiget = $Bridge::fcgiget;
my $owner = $$;
my ($serial, %servers) = (0);

END {
    my $status = $?;
    stop_server($_) for $$ == $owner ? keys %servers : ();
    $? = $status;
}

# ---- servers of our own --------------------------------------------------------

sub listen_at ($kind, %o) {
    my $backlog = $o{backlog} // 100;
    if ($kind eq 'unix') {
        my $path = "$tmp/server-" . ++$serial;
        my $listener = IO::Socket::UNIX->new(Local => $path, Listen => $backlog)
            or die "$path: $!\n";
        return ($listener, "unix:$path");
    }
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => $backlog)
        or die "listen: $!\n";
    return ($listener, 'tcp:127.0.0.1:' . $listener->sockport);
}

# Forks a server that runs `code` with the listener; its URL.
sub serve ($kind, $code, %o) {
    my ($listener, $url) = listen_at($kind, %o);
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        $SIG{$_} = 'DEFAULT' for qw(ALRM TERM INT);
        alarm int slow(60);
        eval { $code->($listener); 1 } or warn $@;
        POSIX::_exit(0);
    }
    $servers{$pid} = 1;
    return $url;
}

sub stop_server ($pid) {
    kill 'KILL', $pid;
    waitpid $pid, 0;
    delete $servers{$pid};
}

sub read_bytes ($fh, $want) {
    my $bytes = '';
    while (length $bytes < $want) {
        sysread $fh, $bytes, $want - length $bytes, length $bytes or return undef;
    }
    return $bytes;
}

# Reads a request to its end, or a question; false at the end of the connection.
sub read_request ($fh) {
    while (defined(my $head = read_bytes($fh, 8))) {
        my (undef, $type, undef, $length, $padding) = unpack 'CCnnC', $head;
        defined read_bytes($fh, $length + $padding) or return 0;
        return 1 if $type == FastCGI::GET_VALUES || $type == FastCGI::STDIN_ && !$length;
    }
    return 0;
}

sub out ($text) { return FastCGI::record(FastCGI::STDOUT_, 1, $text) }

sub end_record (%o) {
    return FastCGI::record(FastCGI::END_REQUEST, 1, pack('NCx3', $o{app} // 0, $o{status} // 0),
        padding => $o{padding} // 0);
}

my $head = "Content-Type: text/plain\r\n\r\n";
my $answer = out("${head}hello\n") . out('') . end_record();

# A server that answers each request, of one connection after the other, with `$bytes`.
sub answering ($bytes, $kind = 'unix') {
    return serve($kind, sub ($listener) {
        while (my $fh = $listener->accept) {
            while (read_request($fh)) {
                syswrite $fh, $bytes;
                last if $bytes !~ /\A\x01/; # it cannot be told where the answer ends
            }
        }
    });
}

# ---- running fcgiget ------------------------------------------------------------

sub run_it ($url, $args, %o) {
    return run_program([ $fcgiget, '-s', $url, @$args ], %o);
}

# fcgiget -n ... --json: the run, with the report as {json}.
sub load ($url, $args, %o) {
    my $r = run_it($url, [ '--json', @$args ], %o);
    $r->{json} = eval { JSON::PP::decode_json($r->{out}) } // {};
    is($r->{out} =~ tr/\n//, 1, 'the report is one line');
    return $r;
}

# What was counted: a piece of the report, by a list of "path => value".
sub counted ($r, %want) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %got;
    for my $path (keys %want) {
        my $at = $r->{json};
        $at = $at->{$_} for split m{/}, $path;
        $got{$path} = $at;
    }
    is_deeply(\%got, \%want, 'what was counted') or diag($r->{out}, $r->{err});
}

sub status_is ($r, $exit, $err = qr/^\z/) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($r->{exit}, $exit, "exit status $exit") or diag($r->{out}, $r->{err});
    like($r->{err}, $err, 'standard error');
}

# ---- with the daemon ---------------------------------------------------------------

my $bridge = Bridge->start(workers => 2, args => [ '-m', 20, '--status-path', '/status' ]);
my $cgi = cgi();
my $size = length run_it($bridge->url('unix'), [ '-i', "$cgi/hello" ])->{out};

on_both 'many requests, each on a connection of its own' => sub ($kind) {
    my $r = load($bridge->url($kind), [ -n => 200, -c => 8, "$cgi/hello" ]);
    status_is($r, 0);
    counted($r, requests => 200, ended => 200, failed => 0, signal => 0, connections => 200,
        sent_again => 0, bytes => 200 * $size, error_bytes => 0, 'status/2xx' => 200,
        'status/4xx' => 0, 'status/5xx' => 0, 'protocol_status/REQUEST_COMPLETE' => 200,
        app_status_not_0 => 0, 'errors/connect' => 0, 'errors/timeout' => 0,
        'errors/protocol' => 0, first_error => undef);
    my $latency = $r->{json}{latency};
    my @rising = @$latency{qw(least 50 90 99 99.9 max)};
    is_deeply(\@rising, [ sort { $a <=> $b } @rising ], 'the percentiles rise');
    cmp_ok($latency->{least}, '>', 0, 'from more than nothing');
    cmp_ok($latency->{max}, '<=', $r->{json}{seconds}, 'to no more than all');
    my $rate = 200 / $r->{json}{seconds};
    cmp_ok(abs($r->{json}{requests_per_second} - $rate), '<', 1, 'the rate');
};

on_both 'many requests on kept connections' => sub ($kind) {
    my $r = load($bridge->url($kind), [ -n => 200, -c => 8, '-k', "$cgi/hello" ]);
    status_is($r, 0);
    counted($r, ended => 200, failed => 0, connections => 8, sent_again => 0,
        bytes => 200 * $size, 'status/2xx' => 200);
};

on_both 'more connections than requests, and one' => sub ($kind) {
    my $r = load($bridge->url($kind), [ -n => 3, -c => 50, '-k', "$cgi/hello" ]);
    status_is($r, 0);
    counted($r, ended => 3, connections => 3, 'status/2xx' => 3);
    $r = load($bridge->url($kind), [ -n => 30, -c => 1, '-k', "$cgi/hello" ]);
    status_is($r, 0);
    counted($r, ended => 30, connections => 1, 'status/2xx' => 30);
    $r = load($bridge->url($kind), [ -n => 5, '-k', "$cgi/hello" ]);
    counted($r, ended => 5, connections => 1, 'status/2xx' => 5);
    $r = load($bridge->url($kind), [ -n => 1, '-k', "$cgi/hello" ]);
    counted($r, ended => 1, connections => 1, 'latency/max' => $r->{json}{latency}{least});
};

on_both 'a body is sent each time' => sub ($kind) {
    my $body = join '', map { pack 'N', $_ } 1 .. 60000;
    my $file = spew("$tmp/body", $body);
    my $url = $bridge->url($kind);
    my $base = length(run_it($url, [ '-i', -d => 'x', "$cgi/echo" ])->{out}) - 1;
    for my $case ([ [ -d => "\@$file" ] ], [ [ -d => '@-' ], stdin => $body ], [ [ -d => 'x' ] ]) {
        my ($args, @more) = @$case;
        my $len = $args->[1] eq 'x' ? 1 : length $body;
        for my $keep ([], ['-k']) {
            my $r = load($url, [ -n => 10, -c => 3, @$keep, @$args, "$cgi/echo" ], @more);
            status_is($r, 0);
            counted($r, ended => 10, bytes => 10 * ($base + $len), 'status/2xx' => 10,
                connections => @$keep ? 3 : 10);
        }
    }
    my $r = run_it($url, [ -n => 2, -d => "\@$tmp/none", "$cgi/echo" ]);
    status_is($r, 26, qr/^fcgiget: \S+none: No such file[^\n]*\n\z/);
    is($r->{out}, '', 'and no report');
};

on_both 'what scripts and the daemon complain of' => sub ($kind) {
    my $url = $bridge->url($kind);
    my $r = load($url, [ -n => 7, -c => 2, "$cgi/nosuch" ]);
    status_is($r, 0);
    counted($r, ended => 7, failed => 0, 'status/4xx' => 7, first_error => undef);
    $r = load($url, [ -n => 7, -c => 2, '-f', "$cgi/nosuch" ]);
    status_is($r, 22);
    counted($r, ended => 7, failed => 7, 'status/4xx' => 7, first_error => 'status 404');
    $r = load($url, [ -n => 4, "$cgi/silent?3" ]);
    status_is($r, 0);
    counted($r, 'status/5xx' => 4, app_status_not_0 => 4);
};

on_both 'FCGI_GET_VALUES' => sub ($kind) {
    my $url = $bridge->url($kind);
    my $r = load($url, [ -n => 300, -c => 5, '-k', '--values' ]);
    status_is($r, 0);
    counted($r, ended => 300, failed => 0, connections => 5, bytes => 0,
        'protocol_status/REQUEST_COMPLETE' => 0, 'status/2xx' => 0);
    is($r->{json}{latency}{max} > 0, 1, 'it has a latency');
    $r = load($url, [ -n => 20, '--values' ]);
    counted($r, ended => 20, connections => 20);
    unlike(run_it($url, [ -n => 2, '--values' ])->{out}, qr/2xx/, 'no statuses for people');
};

scenario 'the report for people' => sub {
    my $r = run_it($bridge->url('unix'), [ -n => 20, -c => 2, "$cgi/hello" ]);
    status_is($r, 0);
    for my $line ('ended +20', 'failed +0', 'connections +20', 'requests/s +[\d.]+', 'bytes/s +\d+',
        "received +@{[20 * $size]}", '50% +[\d.]+ .?s', '90% +[\d.]+ .?s', '99% +[\d.]+ .?s',
        '99[.]9% +[\d.]+ .?s', 'max +[\d.]+ .?s', '2xx +20', '4xx +0', '5xx +0',
        'REQUEST_COMPLETE +20', 'OVERLOADED +0', 'connect +0', 'timeout +0', 'protocol +0') {
        like($r->{out}, qr/^  $line$/m, $line);
    }
    unlike($r->{out}, qr/first:|early|again/, 'nothing of what did not happen');
};

# Starts fcgiget --json with these arguments, and waits until it is well under way: its pid, and
# the file for its report.
sub start_load ($bridge, $kind, @args) {
    my $out = file();
    my $before = $bridge->status->{responses_2xx};
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>', $out or POSIX::_exit(99);
        exec $fcgiget, '-s', $bridge->url($kind), '--json', @args, "$cgi/hello"
            or POSIX::_exit(99);
    }
    wait_until(10, sub { $bridge->status->{responses_2xx} > $before + 20 });
    return ($pid, $out);
}

on_both 'a signal ends it early' => sub ($kind) {
    for my $case ([ INT => 2 ], [ TERM => 15 ]) {
        my ($name, $number) = @$case;
        my ($pid, $out) = start_load($bridge, $kind, -n => 1_000_000, -c => 4, '-k');
        kill $name, $pid;
        is(Bridge::reap($pid, 10), (128 + $number) << 8, "$name: exit status");
        my $r = { json => eval { JSON::PP::decode_json(slurp($out)) } // {}, out => '', err => '' };
        counted($r, signal => $number, requests => 1_000_000, failed => 0);
        cmp_ok($r->{json}{ended}, '>', 0, "$name: so far: some");
        cmp_ok($r->{json}{ended}, '<', 1_000_000, "$name: so far: not all");
    }
};

# ---- servers that fail ------------------------------------------------------------

on_both 'a server that dies in the middle' => sub ($kind) {
    my $dying = sub ($listener) {
        for my $n (0 .. 20) {
            my $fh = $listener->accept or die "accept: $!\n";
            read_request($fh);
            close $listener if $n == 20;
            syswrite $fh, $n < 20 ? $answer : substr $answer, 0, 30;
        }
    };
    my $r = load(serve($kind, $dying), [ -n => 50, -c => 1, '/x' ]);
    status_is($r, 7);
    counted($r, ended => 50, failed => 30, 'status/2xx' => 20, 'errors/protocol' => 1,
        'errors/connect' => 29, 'errors/timeout' => 0,
        first_error => 'connection closed inside a record, before END_REQUEST');
    is($r->{json}{protocol_status}{REQUEST_COMPLETE}, 20, 'the END records that came');
};

on_both 'a server that dies on a kept connection' => sub ($kind) {
    my $dying = sub ($listener) {
        my $fh = $listener->accept or die "accept: $!\n";
        for (1 .. 20) {
            read_request($fh);
            syswrite $fh, $answer;
        }
        read_request($fh);
        close $listener;
        syswrite $fh, substr $answer, 0, 30;
    };
    my $r = load(serve($kind, $dying), [ -n => 50, -c => 1, '-k', '/x' ]);
    status_is($r, 7);
    counted($r, ended => 50, 'status/2xx' => 20, 'errors/protocol' => 1, 'errors/connect' => 29,
        connections => 1, sent_again => 0);
};

on_both 'the daemon is killed under load' => sub ($kind) {
    for my $keep ([], ['-k']) {
        my $victim = Bridge->start(workers => 2, args => [ '--status-path', '/status' ]);
        my ($pid, $out) = start_load($victim, $kind, -n => 20_000, -c => 6, @$keep);
        $victim->kill_all;
        is(Bridge::reap($pid, 20), 7 << 8, "@$keep: exit status");
        my $json = JSON::PP::decode_json(slurp($out));
        is($json->{ended}, 20_000, "@$keep: all have ended");
        cmp_ok($json->{status}{'2xx'}, '>', 0, "@$keep: some well");
        cmp_ok($json->{errors}{connect}, '>', 0, "@$keep: some not");
        my $sum = 0;
        $sum += $_ for map { values %{ $json->{$_} } } qw(status errors);
        is($sum, 20_000, "@$keep: each is counted once");
    }
};

on_both 'a server that never answers' => sub ($kind) {
    my ($listener, $url) = listen_at($kind);
    my $r = load($url, [ -n => 6, -c => 3, -t => '300ms', '/x' ]);
    status_is($r, 28);
    counted($r, ended => 6, failed => 6, connections => 6, 'errors/timeout' => 6,
        'errors/connect' => 0, 'errors/protocol' => 0, latency => undef,
        first_error => 'timed out waiting for the response');
    cmp_ok($r->{seconds}, '>=', 0.59, 'two after each other took their time');
    cmp_ok($r->{seconds}, '<', 3 * $Bridge::slow, 'and no more');
    like(run_it($url, [ -n => 1, -t => '100ms', '/x' ])->{out}, qr/^latency: none/m, 'for people');
};

on_both 'a server that never ends' => sub ($kind) {
    my $url = serve($kind, sub ($listener) {
        while (my $fh = $listener->accept) {
            next if !read_request($fh);
            syswrite $fh, out($head);
            for (1 .. 30 * $Bridge::slow) {
                sleep 0.1;
                syswrite $fh, out('.') or last;
            }
        }
    });
    my $r = load($url, [ -n => 1, -t => '1s', '/x' ]);
    status_is($r, 28);
    counted($r, ended => 1, 'errors/timeout' => 1, 'status/2xx' => 0);
    cmp_ok($r->{json}{bytes}, '>', length $head, 'what came is counted');
};

scenario 'a full queue' => sub {
    my ($listener, $url) = listen_at('unix', backlog => 1);
    my $r = load($url, [ -n => 6, -c => 6, -t => '500ms', '/x' ]);
    status_is($r, 28);
    counted($r, ended => 6, 'errors/timeout' => 6, 'errors/connect' => 0);
    cmp_ok($r->{json}{connections}, '<', 6, 'some have not been connected');
    $url = serve('unix', sub ($listener) {
        sleep 0.3;
        while (my $fh = $listener->accept) {
            syswrite $fh, $answer if read_request($fh);
        }
    }, backlog => 1);
    $r = load($url, [ -n => 20, -c => 10, '/x' ]);
    status_is($r, 0);
    counted($r, ended => 20, 'status/2xx' => 20, connections => 20);
};

scenario 'no server' => sub {
    my $r = load("unix:$tmp/none", [ -n => 100, -c => 10, '/x' ]);
    status_is($r, 7);
    counted($r, ended => 100, failed => 100, connections => 0, 'errors/connect' => 100,
        latency => undef, first_error => 'cannot connect: No such file or directory');
    $r = load('tcp:127.0.0.1:' . free_port(), [ -n => 100, -c => 10, '/x' ]);
    status_is($r, 7);
    counted($r, ended => 100, 'errors/connect' => 100,
        first_error => 'cannot connect: Connection refused');
};

on_both 'as many at once as were asked for, and no more' => sub ($kind) {
    my $url = serve($kind, sub ($listener) {
        for my $round (1 .. 2) {
            my @open = map { scalar $listener->accept } 1 .. 4;
            # a fifth would be here by now
            my $more = IO::Select->new($listener)->can_read(0.3);
            read_request($_) for @open;
            syswrite $_, $more ? 'too many' : $answer for @open;
        }
    });
    my $r = load($url, [ -n => 8, -c => 4, '/x' ]);
    status_is($r, 0);
    counted($r, ended => 8, connections => 8, 'status/2xx' => 8);
};

on_both 'a kept connection that the server closes' => sub ($kind) {
    my $url = serve($kind, sub ($listener) {
        while (my $fh = $listener->accept) {
            for (1 .. 5) {
                read_request($fh) or last;
                syswrite $fh, $answer;
            }
        }
    });
    my $r = load($url, [ -n => 20, -c => 1, '-k', '/x' ]);
    status_is($r, 0);
    counted($r, ended => 20, 'status/2xx' => 20, sent_again => 3, connections => 4);
    like(run_it($url, [ -n => 10, '-k', '/x' ])->{out}, qr/^  sent again +1$/m, 'for people');
    # a new one that is closed is a failure
    $r = load(answering(''), [ -n => 3, '/x' ]);
    status_is($r, 1);
    counted($r, 'errors/protocol' => 3, sent_again => 0);
};

on_both 'records in odd pieces on a kept connection' => sub ($kind) {
    my $bytes = out("${head}hello\n") . out('') . end_record(padding => 200);
    my $url = serve($kind, sub ($listener) {
        my $fh = $listener->accept or die "accept: $!\n";
        while (read_request($fh)) {
            syswrite $fh, substr $bytes, 0, -150;
            sleep 0.05; # the padding's rest comes when the next request is on its way
            syswrite $fh, substr $bytes, -150;
        }
    });
    my $r = load($url, [ -n => 5, '-k', '/x' ]);
    status_is($r, 0);
    counted($r, ended => 5, 'status/2xx' => 5, connections => 1);
    $r = load(answering($bytes, $kind), [ -n => 5, '-k', '/x' ]);
    counted($r, ended => 5, 'status/2xx' => 5, connections => 1, sent_again => 0);
};

for my $case (
    [ 'no FastCGI', "HTTP/1.1 400 Bad Request\r\n\r\n", qr/not FastCGI/, 4 ],
    [ 'an empty answer', out('') . end_record(), qr/empty/, 1 ],
    [ 'half a header', out("A: b\n") . out('') . end_record(), qr/inside its header/, 1 ],
    [ 'a wrong Status', out("Status: abc\n\n") . out('') . end_record(), qr/three-digit/, 4 ],
    [ 'another id', FastCGI::record(FastCGI::STDOUT_, 2, $head), qr/request id 2/, 4 ],
    [ 'a record behind the end', $answer . out('x'), qr/follows the end/, 4 ],
) {
    my ($name, $bytes, $error, $kept) = @$case;
    scenario "$name is a protocol error" => sub {
        for my $keep ([], ['-k']) {
            my $r = load(answering($bytes), [ -n => 4, -c => 1, @$keep, '/x' ]);
            status_is($r, 1);
            counted($r, ended => 4, failed => 4, 'errors/protocol' => 4,
                connections => @$keep ? $kept : 4);
            like($r->{json}{first_error}, $error, 'the first error');
        }
    };
}

scenario 'each protocolStatus is counted' => sub {
    my %names = (1 => 'CANT_MPX_CONN', 2 => 'OVERLOADED', 3 => 'UNKNOWN_ROLE', 9 => 'other');
    for my $status (sort keys %names) {
        my $name = $names{$status};
        my $r = load(answering(out('') . end_record(status => $status)), [ -n => 4, '-k', '/x' ]);
        status_is($r, 1);
        counted($r, ended => 4, failed => 4, "protocol_status/$name" => 4,
            'protocol_status/REQUEST_COMPLETE' => 0, 'errors/protocol' => 0, connections => 1);
    }
    my $r = run_it(answering(out('') . end_record(status => 2)), [ -n => 2, '/x' ]);
    like($r->{out}, qr/^  OVERLOADED +2\n/m, 'for people');
    like($r->{out}, qr/^  first: refused with protocolStatus 2 \(OVERLOADED\)$/m, 'and why');
};

scenario 'standard error, and odd statuses' => sub {
    my $text = FastCGI::record(FastCGI::STDERR_, 1, "complaint\n");
    my $r = load(answering($text . out("Status: 700 Odd\n\n") . end_record(app => 5)),
        [ -n => 3, '/x' ]);
    status_is($r, 0);
    counted($r, error_bytes => 30, 'status/other' => 3, app_status_not_0 => 3, failed => 0);
};

scenario 'values that are none' => sub {
    my $values = FastCGI::record(FastCGI::GET_VALUES_RESULT, 0, "\5\5abc");
    my $r = load(answering($values), [ -n => 3, '-k', '--values' ]);
    status_is($r, 1);
    counted($r, ended => 3, 'errors/protocol' => 3,
        first_error => 'GET_VALUES_RESULT ends inside a pair');
};

# ---- descriptors and terminals -----------------------------------------------------

scenario 'descriptors' => sub {
    my @shell = ('sh', '-c', 'ulimit -S -n 40; ulimit -H -n "$1"; shift; exec "$@"', 'sh');
    my @load = ($fcgiget, '-s', $bridge->url('unix'), -n => 90, -c => 60, '-k', '--values');
    my $r = run_program([ @shell, 60, @load ]);
    status_is($r, 2, qr/^fcgiget: 60 connections need 76 descriptors.*ulimit -n\)\n\z/);
    is($r->{out}, '', 'and no report');
    $r = run_program([ @shell, 100, @load ]);
    status_is($r, 0);
    like($r->{out}, qr/^  connections +60$/m, 'the limit is raised as far as may be');
};

# Runs a program whose standard error is a terminal; FILE gets what is drawn there.
sub on_terminal ($file, @argv) {
    my $source = spew("$tmp/pty.c", <<~'C');
        #define _XOPEN_SOURCE 700
        #include <fcntl.h>
        #include <stdlib.h>
        #include <sys/wait.h>
        #include <unistd.h>
        int main(int argc, char **argv)
        {
            int master = posix_openpt(O_RDWR | O_NOCTTY);
            int slave, out = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0600), status;
            char bytes[4096];
            ssize_t n;
            pid_t pid;

            if (argc < 3 || master < 0 || out < 0 || grantpt(master) || unlockpt(master))
                return 99;
            slave = open(ptsname(master), O_RDWR | O_NOCTTY);
            if (slave < 0 || (pid = fork()) < 0)
                return 98;
            if (pid == 0) {
                dup2(slave, 2);
                close(slave);
                close(master);
                execv(argv[2], argv + 2);
                _exit(97);
            }
            close(slave);
            while ((n = read(master, bytes, sizeof bytes)) > 0)
                if (write(out, bytes, n) != n)
                    return 96;
            return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 95;
        }
        C
    my @cc = split ' ', $ENV{CC} || 'cc';
    my $made = run_program([ @cc, '-o', "$tmp/pty", $source ], secs => 60);
    $made->{exit} == 0 or BAIL_OUT("this test needs a C compiler ($cc[0]): $made->{err}");
    return run_program([ "$tmp/pty", $file, @argv ]);
}

scenario 'progress on a terminal' => sub {
    my $url = serve('unix', sub ($listener) {
        my $fh = $listener->accept or die "accept: $!\n";
        while (read_request($fh)) {
            sleep 0.1;
            syswrite $fh, $answer;
        }
    });
    my $r = on_terminal("$tmp/drawn", $fcgiget, '-s', $url, -n => 10, '-k', '/x');
    status_is($r, 0);
    my $drawn = slurp("$tmp/drawn");
    my @lines = split /[\r\n]+/, $drawn;
    my @bars = grep { /^\[#*\.*\] +\d+% \d+\/10 / } @lines;
    cmp_ok(scalar @bars, '>=', 2, 'drawn more than once') or diag($drawn);
    like($bars[-1], qr{^\[#{7,24}\.*\] +\d\d+% (?:[3-9]|10)/10 [\d.]+/s 0 failed}, 'and further')
        or diag($drawn);
    is((grep { length > 79 } @lines), 0, 'no line is longer than 79');
    like($drawn, qr/\r {79}\r\z/, 'it is taken away at the end');
    unlike($r->{out}, qr/#|%.*\/10/, 'nothing of it on standard output');
};

# ---- as a plug-in ---------------------------------------------------------------------

# Runs fcgiget --check: the state's number, its line, the values after the bar.
sub check_is ($name, $url, $args, $state, $text, %o) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = run_it($url, [ '--check', @$args ], %o);
    my $word = (qw(OK WARNING CRITICAL UNKNOWN))[$state];
    is($r->{exit}, $state, "$name: $word") or diag($r->{out}, $r->{err});
    like($r->{out}, qr/\ACGIBRIDGE $word - $text( \| [^|\n]*)?\n\z/, "$name: the line");
    return $r;
}

my $time = qr/time=\d+\.\d{6}s/;

script('nap', <<~'SH');
    #!/bin/sh
    sleep "$QUERY_STRING"
    printf 'Content-Type: text/plain\n\nslept\n'
    SH
script('status', <<~'SH');
    #!/bin/sh
    printf 'Status: %s X\n\n' "$QUERY_STRING"
    SH

on_both 'a check of a script' => sub ($kind) {
    my $url = $bridge->url($kind);
    my $r = check_is('well', $url, [ "$cgi/hello" ], 0,
        qr/status 200, appStatus 0, $size bytes in [\d.]+ ms/);
    like($r->{out}, qr/ \| $time;;;0 size=${size}B;;;0$/, 'the values');
    $r = check_is('thresholds', $url, [ '--warning=5s', '--critical', '8s', "$cgi/hello" ], 0, qr/.*/);
    like($r->{out}, qr/ \| $time;5\.000;8\.000;0 size/, 'the values with thresholds');
    check_is('slow', $url, [ '--warning=200ms', '--critical=8s', "$cgi/nap?0.5" ], 1, qr/status 200.*/);
    check_is('too slow', $url, [ '--warning=100ms', '--critical=200ms', "$cgi/nap?0.5" ], 2,
        qr/status 200.*/);
    check_is('too slow alone', $url, [ '--critical=200ms', "$cgi/nap?0.5" ], 2, qr/status 200.*/);
    check_is('not found', $url, [ "$cgi/nosuch" ], 1, qr/status 404.*/);
    check_is('not found, -f', $url, [ '-f', "$cgi/nosuch" ], 2, qr/status 404.*/);
    check_is('a redirect', $url, [ '-f', "$cgi/status?302" ], 0, qr/status 302.*/);
    check_is('an error', $url, [ "$cgi/status?500" ], 2, qr/status 500.*/);
    check_is('slow and not found', $url, [ '--critical=1ms', '--warning=1ms', '-p', 'A=B',
        "$cgi/nap?0.1" ], 2, qr/status 200.*/);
};

on_both 'a check without a script' => sub ($kind) {
    my $busy = Bridge->start(sockets => [$kind], args => [ '-m', 1, '--queue', 0 ]);
    my $url = $busy->url($kind);
    my $c = $busy->connect($kind);
    my $r = check_is('idle', $url, [ '--values' ], 0, qr/FCGI_GET_VALUES answered in [\d.]+ ms/);
    like($r->{out}, qr/ \| $time;;;0$/, 'the values');
    $c->start(1, $busy->params('nap', QUERY_STRING => 20));
    ok(wait_until(5, sub { run_it($url, ["$cgi/hello"])->{err} =~ /OVERLOADED/ }), 'every slot taken');
    check_is('a script', $url, [ "$cgi/hello" ], 2,
        qr/refused with protocolStatus 2 \(OVERLOADED\)/);
    check_is('no script', $url, [ '--values', '--critical=5s' ], 0, qr/.*answered.*/);
    $c->hang_up;
    $busy->stop;
};

scenario 'a check of a server that is ill' => sub {
    my ($listener, $silent) = listen_at('unix');
    for my $what ('/x', '--values') {
        check_is("none, $what", "unix:$tmp/none", [$what], 2, qr/cannot connect: No such file.*/);
        check_is("silent, $what", $silent, [ -t => '300ms', $what ], 2, qr/timed out waiting for .*/);
        check_is("closing, $what", answering(''), [$what], 2, qr/connection closed .*/);
        check_is("no FastCGI, $what", answering('HTTP/1.1 400 Bad Request'), [$what], 2,
            qr/not FastCGI.*/);
    }
    check_is('overloaded', answering(out('') . end_record(status => 2)), ['/x'], 2,
        qr/refused with protocolStatus 2 \(OVERLOADED\)/);
};

scenario 'a check that cannot be made' => sub {
    my $url = $bridge->url('unix');
    my $none = "$tmp/none";
    for my $args ([], [ '--warning=x', '/x' ], [ '--no-such' ], [ '-n', 3, '/x' ], [ '-i', '/x' ],
        [ '--warning=3s', '--critical=2s', '/x' ], [ '-t', '1s', '--critical=1s', '/x' ],
        [ '--critical=10s', '/x' ], [ '/x', '/y' ]) {
        my $r = check_is("@$args", $url, $args, 3, qr/wrong command line.*/);
        like($r->{err}, qr/^fcgiget: [^\n]+\n\z/, 'what is wrong with it');
    }
    check_is('a body that is not there', $url, [ -d => "\@$none", '/x' ], 3, qr/\S+none: No such file.*/);
    is(system("'$fcgiget' -s '$url' --check --values >&- 2>/dev/null") >> 8, 3, 'standard output closed');
    my ($listener, $silent) = listen_at('unix');
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>', "$tmp/stopped" or POSIX::_exit(99);
        exec $fcgiget, '-s', $silent, '--check', '/x' or POSIX::_exit(99);
    }
    my $held = $listener->accept; # it has got as far as that
    kill 'TERM', $pid;
    is(Bridge::reap($pid, 10), 3 << 8, 'stopped by the monitoring system: UNKNOWN');
    like(slurp("$tmp/stopped"), qr/^CGIBRIDGE UNKNOWN - stopped by a signal[^\n]*\n\z/, 'and its line');
};

# ---- the command line ------------------------------------------------------------------

scenario 'options that do not go together' => sub {
    for my $args (
        [ '-n', 0, '/x' ], [ '-n', 'x', '/x' ], [ '-n', -1, '/x' ], [ '-n', 2_000_000_000, '/x' ],
        [ '-n', 1, '-c', 0, '/x' ], [ '-n', 1, '-c', 10_001, '/x' ], [ '-c', 2, '/x' ],
        [ '--json', '/x' ], [ '--warning', '1s', '/x' ], [ '--critical', '1s', '/x' ],
        [ '-n', 2, '-i', '/x' ], [ '-n', 2, '-v', '/x' ], [ '-n', 2 ], [ '-n', 2, '--values', '/x' ],
    ) {
        my $r = run_it("unix:$tmp/none", $args);
        status_is($r, 2, qr/^fcgiget: [^\n]+\n\z/);
        is($r->{out}, '', "@$args: nothing is reported");
    }
};

scenario 'a report that cannot be written' => sub {
    my $url = $bridge->url('unix');
    is(system("'$fcgiget' -s '$url' -n 2 --values >/dev/full 2>/dev/null") >> 8, 23, 'a full device');
    is(system("'$fcgiget' -s '$url' -n 2 --values >&- 2>/dev/null") >> 8, 23, 'a closed one');
};

$bridge->stop;
done_testing;

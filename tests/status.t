#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# The status page in its four forms, and ping: which requests are for them, that other
# programs can read them, that the numbers are right, and that they answer when nothing
# else does.
use v5.36;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $promtool = is_program('promtool', 'prometheus');
my $chromium = is_program('chromium', 'chromium');
my $tmp = Bridge::tmp();
my $dir = Bridge::cgi();
my @paths = ('--status-path', '/bridge/status', '--ping-path', '/ping',
    '--disconnect-grace', '0');

# One that cannot be started, and one whose name is a danger to HTML and to logs.
script('lost-interpreter', "#!/nonexistent/interpreter\n");
my $hostile = q{<script>document.title="broken"<!--&'"};
script($hostile, <<~'SH');
    #!/bin/sh
    printf 'Content-Type: text/plain\n\n'
    exec sleep "$QUERY_STRING"
    SH

# Where a front end names no file at all; the last value of a name counts.
sub nowhere (@more) {
    return [ (map { ($_ => '') } qw(SCRIPT_FILENAME DOCUMENT_ROOT SCRIPT_NAME REQUEST_URI)),
        @more ];
}

sub page ($bridge, $kind, $query = '', @more) {
    my $r = $bridge->get($kind, 'none',
        nowhere(SCRIPT_NAME => '/bridge/status', QUERY_STRING => $query, @more));
    return FastCGI::response($r);
}

sub status ($bridge, $kind = 'unix') {
    return decode_json(page($bridge, $kind, 'json')->{body});
}

# Waits until the status satisfies $check; the last one.
sub wait_status ($bridge, $check) {
    my $s;
    wait_until(10, sub { $s = status($bridge); return $check->($s) });
    return $s;
}

sub running ($bridge, $n) {
    return wait_status($bridge, sub ($s) { @{ $s->{script_list} } == $n });
}

# ---- forms ----------------------------------------------------------------------

my %types = (
    '' => 'text/plain; charset=utf-8', json => 'application/json',
    openmetrics => 'application/openmetrics-text; version=1.0.0; charset=utf-8',
    html => 'text/html; charset=utf-8', 'what=else' => 'text/plain; charset=utf-8',
);

on_both 'four forms' => sub ($kind) {
    my $bridge = Bridge->start(workers => 2, args => [@paths]);
    for my $query (sort keys %types) {
        my $r = page($bridge, $kind, $query);
        is($r->{status}, 200, "?$query: 200");
        is($r->{header}{'content-type'}, $types{$query}, 'its type');
        is($r->{header}{'cache-control'}, 'no-store', 'not to be stored');
        is($r->{header}{'content-length'}, length $r->{body}, 'its length');
        my $head = page($bridge, $kind, $query, REQUEST_METHOD => 'HEAD');
        is($head->{status}, 200, 'HEAD: 200');
        is($head->{body}, '', 'and no body');
        ok($head->{header}{'content-length'} > 100, 'but a length');
    }
    my $r = $bridge->get($kind, 'none', nowhere(SCRIPT_NAME => '/bridge/status'), body => 'x' x 9);
    is(FastCGI::status($r), 200, 'POST: 200');
    my $s = wait_status($bridge, sub ($s) { !grep { !$_->{pid} } $s->{worker_list}->@* });
    is(ref $s, 'HASH', 'JSON');
    is(scalar @{ $s->{worker_list} }, 2, 'two workers');
    is_deeply([ sort map { $_->{pid} } @{ $s->{worker_list} } ], [ sort $bridge->workers ],
        'with their pids');
    like(page($bridge, $kind)->{body}, qr/^version: [\d.]+\n.*^uptime_seconds: \d+$/ms, 'text');
    $bridge->stop;
};

scenario 'OpenMetrics: promtool accepts it' => sub {
    my $bridge = Bridge->start(args => [@paths]);
    $bridge->get('unix', 'hello');
    my $text = page($bridge, 'unix', 'openmetrics')->{body};
    like($text, qr/\n# EOF\n\z/, 'ends with # EOF');
    like($text, qr/^cgibridge_responses_total\{class="2xx"\} 1$/m, 'the response');
    like($text, qr/^cgibridge_request_seconds_count 1$/m, 'its time');
    is(page($bridge, 'unix', 'openmetrics=')->{body} =~ /# EOF/, 1,
        "?openmetrics=, as Prometheus' params make it");
    my $r = run_program([ $promtool, 'check', 'metrics' ], stdin => $text);
    is($r->{exit}, 0, 'promtool check metrics: 0');
    is("$r->{out}$r->{err}", '', 'and no complaint');
    $r = run_program([ $promtool, 'check', 'metrics' ], stdin => $text =~ s/ gauge$/ guage/mr);
    isnt($r->{exit}, 0, 'which it would have, of a fault');
    $bridge->stop;
};

# ---- which requests are meant ----------------------------------------------------

on_both 'ping' => sub ($kind) {
    my $bridge = Bridge->start(args => [@paths]);
    my $r = FastCGI::response($bridge->get($kind, 'none', nowhere(SCRIPT_NAME => '/ping')));
    is($r->{status}, 200, '200');
    is($r->{body}, 'pong', 'pong');
    is($r->{header}{'content-type'}, 'text/plain', 'its type');
    is($r->{header}{'cache-control'}, 'no-store', 'not to be stored');
    my $c = $bridge->connect($kind);
    for my $id (1 .. 3) {
        $c->start($id, $bridge->params('none', @{ nowhere(SCRIPT_NAME => '/ping') }), keep => 1);
        is(FastCGI::body($c->wait_end($id)), 'pong', "on a kept connection, $id");
    }
    $bridge->stop;
};

my @meant = (
    [ 'SCRIPT_NAME', SCRIPT_NAME => '/ping', REQUEST_URI => '/elsewhere' ],
    [ 'SCRIPT_NAME that has PATH_INFO in it', SCRIPT_NAME => '/ping', PATH_INFO => '/ping' ],
    [ 'SCRIPT_NAME and PATH_INFO', SCRIPT_NAME => '/p', PATH_INFO => 'ing' ],
    [ 'an empty SCRIPT_NAME and PATH_INFO', SCRIPT_NAME => '', PATH_INFO => '/ping' ],
    [ 'REQUEST_URI alone', REQUEST_URI => '/ping' ],
    [ 'REQUEST_URI with a query', REQUEST_URI => '/ping?x=/y' ],
);
my @others = (
    [ 'REQUEST_URI beside SCRIPT_NAME', SCRIPT_NAME => '/hello', REQUEST_URI => '/ping' ],
    [ 'REQUEST_URI beside PATH_INFO', PATH_INFO => '/hello', REQUEST_URI => '/ping' ],
    [ 'a longer path', SCRIPT_NAME => '/pings' ],
    [ 'a longer REQUEST_URI', REQUEST_URI => '/pings' ],
    [ 'a shorter path', SCRIPT_NAME => '/pin' ],
    [ 'a part of it', SCRIPT_NAME => '/pi', PATH_INFO => 'n' ],
    [ 'too much PATH_INFO', SCRIPT_NAME => '/p', PATH_INFO => 'ing/' ],
    [ 'another case', SCRIPT_NAME => '/Ping' ],
    [ 'no path' ],
);

scenario 'what names the path' => sub {
    my $bridge = Bridge->start(args => [@paths]);
    for ([ pong => @meant ], [ "hello\n" => @others ]) {
        my ($answer, @cases) = @$_;
        for my $case (@cases) {
            my ($name, @params) = @$case;
            my $r = $bridge->get('unix', 'hello',
                nowhere(SCRIPT_FILENAME => "$dir/hello", @params));
            is(FastCGI::body($r), $answer, "$name: " . $answer =~ s/\n//r);
        }
    }
    my $r = FastCGI->ask($bridge->url('unix'),
        $bridge->params('hello', SCRIPT_NAME => '/ping'), role => FastCGI::AUTHORIZER);
    unlike($r->{out}, qr/pong/, 'an authorizer is none of them');
    $bridge->stop;
    $bridge = Bridge->start;
    for my $path ('/ping', '/bridge/status', '') {
        is(FastCGI::body($bridge->get('unix', 'hello', [ SCRIPT_NAME => $path ])), "hello\n",
            "without the options '$path' is a script's");
    }
    $bridge->stop;
};

# ---- numbers ---------------------------------------------------------------------

on_both 'the numbers after known work' => sub ($kind) {
    my $bridge = Bridge->start(workers => 2, args => [@paths]);
    $bridge->get($kind, 'hello') for 1 .. 4;
    my $sent = length $bridge->get($kind, 'echo', [], body => 'x' x 1000)->{out};
    $bridge->get($kind, 'missing') for 1 .. 2;
    my $s = status($bridge, $kind);
    is($s->{requests}, 8, 'seven requests, and this one');
    is($s->{accepted_connections}, 8, 'as many connections');
    is($s->{responses_2xx}, 5, 'five well');
    is($s->{responses_4xx}, 2, 'two not found');
    is($s->{"responses_$_"}, 0, "none of $_") for qw(3xx 5xx other);
    is($s->{started_scripts}, 5, 'five scripts');
    is($s->{spawn_seconds}{count}, 5, 'each timed');
    is($s->{request_seconds}{count}, 7, 'and each request');
    cmp_ok($s->{spawn_seconds}{sum}, '>', 0, 'it took time');
    is($s->{spawn_seconds}{buckets}[-1]{count}, 5, 'less than the last bucket');
    is($s->{received_bytes}, 1000, 'bytes that came');
    cmp_ok($s->{sent_bytes}, '>', $sent, 'bytes that went');
    is($s->{active_requests}, 1, 'one is active: this one');
    is($s->{status_pages}, 1, 'the first page');
    is($s->{$_}, 0, "no $_") for qw(queued_requests running_scripts refused_requests timeouts
        kills lost_clients spawn_failures failed_scripts worker_respawns more_scripts);
    is($s->{max_scripts}, 128, 'the limits');
    is($s->{max_queue}, 512, 'of both');
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('hello'), keep => 1);
    $c->wait_end(1);
    $s = wait_status($bridge, sub ($s) { $s->{connections} == 2 });
    is($s->{connections}, 2, 'a kept connection');
    is($s->{idle_connections}, 1, 'is idle');
    $bridge->stop;
};

on_both 'the numbers after faults' => sub ($kind) {
    my $bridge = Bridge->start(args => [ @paths, '-m', '1', '--queue', '0', '--kill-delay', '300ms' ]);
    $bridge->get($kind, 'lost-interpreter');
    $bridge->get($kind, 'exits', [ QUERY_STRING => 3 ]);
    $bridge->get($kind, 'sleeper', [ QUERY_STRING => 20, CGIBRIDGE_TIMEOUT => '200ms' ]);
    running($bridge, 0);
    my $file = file();
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('stubborn', TEST_PIDS => $file, TEST_MARK => file()));
    is(scalar wait_pids($file, 3), 3, 'one runs');
    $bridge->get($kind, 'hello');
    my $s = running($bridge, 1);
    is($s->{refused_requests}, 1, 'one found no room');
    $c->hang_up;
    $s = wait_status($bridge, sub ($s) { $s->{lost_clients} && $s->{kills} });
    is($s->{kills} >= 1, 1, 'one had to be killed');
    is($s->{lost_clients}, 1, 'one client has gone');
    is($s->{timeouts}, 1, 'one took too long');
    is($s->{spawn_failures}, 1, 'one could not be started');
    is($s->{failed_scripts} >= 1, 1, 'one failed');
    is($s->{responses_5xx} >= 3, 1, 'clients were told');
    $s = wait_status($bridge, sub ($s) { !$s->{running_scripts} });
    is($s->{running_scripts}, 0, 'in the end none runs');
    is($s->{connections}, 1, 'and one connection is open');
    is($s->{idle_connections}, 0, 'which is not idle');
    $bridge->stop;
};

# ---- what runs -------------------------------------------------------------------

on_both 'scripts that run' => sub ($kind) {
    my $bridge = Bridge->start(workers => 2, args => [ @paths, '--kill-delay', '2s' ]);
    my ($file, $stubborn) = (file(), file());
    my $c = $bridge->connect($kind);
    my $since = time;
    $c->start(7, $bridge->params('sleeper', QUERY_STRING => 30, TEST_PIDS => $file,
        REMOTE_ADDR => '2001:db8::17'));
    my ($pid) = wait_pids($file, 2);
    my $s = running($bridge, 1);
    my $one = $s->{script_list}[0];
    is($one->{pid}, $pid, 'pid');
    is($one->{script}, "$dir/sleeper", 'path');
    is($one->{request}, 7, 'request id');
    is($one->{client}, '2001:db8::17', 'client');
    is($one->{state}, 'running', 'state');
    like($one->{peer}, $kind eq 'unix' ? qr/^unix$/ : qr/^127\.0\.0\.1:\d+$/, 'peer');
    cmp_ok(abs($one->{started} - $since), '<', slow(3), 'start');
    cmp_ok($one->{age}, '<', slow(5), 'age');
    my ($at) = grep { $_->{running_scripts} } @{ $s->{worker_list} };
    is($at->{worker}, $one->{worker}, 'its worker has it');
    is((Bridge::process($pid))[1], $at->{pid}, 'and is its parent');
    my $d = $bridge->connect($kind);
    $d->start(1, $bridge->params($hostile, QUERY_STRING => 30));
    $d->wait_out(1);
    $s = running($bridge, 2);
    is($s->{script_list}[1]{state}, 'answering', 'one that has begun to answer');
    is($s->{script_list}[1]{script}, "$dir/$hostile", 'its name as it is');
    unlike(page($bridge, $kind, $_)->{body}, qr/<script>document/, "?$_ has no markup of its")
        for qw(json html openmetrics);
    $_->hang_up for $c, $d;
    running($bridge, 0);
    my $e = $bridge->connect($kind);
    $e->start(1, $bridge->params('stubborn', TEST_PIDS => $stubborn, TEST_MARK => file()));
    wait_pids($stubborn, 3);
    $e->hang_up;
    $s = wait_status($bridge, sub ($s) { ($s->{script_list}[0]{state} // '') eq 'stopping' });
    is($s->{script_list}[0]{state}, 'stopping', 'one that has got its TERM');
    kill 'KILL', pids_in($stubborn);
    is(scalar @{ running($bridge, 0)->{script_list} }, 0, 'gone');
    $bridge->stop;
};

scenario 'a client that goes without sending the rest of its body' => sub {
    my $bridge = Bridge->start(args => \@paths);
    for my $name ('sleeper', 'hello') { # while its script runs; while END waits for the body
        my $c = $bridge->connect('unix');
        my $r = $c->expect(1);
        $c->send(FastCGI::begin(1, keep => 1)
            . FastCGI::params(1, $bridge->post($name, 'x' x 100, QUERY_STRING => 30,
                TEST_PIDS => file(), SERVER_SOFTWARE => 'HAProxy 2.6.12'))
            . FastCGI::stdin(1, 'x'));
        $name eq 'hello' ? $c->wait_out(1) : running($bridge, 1);
        $c->hang_up;
        running($bridge, 0);
    }
    my @idle = map { $bridge->connect('unix') } 1 .. 4;
    my $s = wait_status($bridge, sub ($s) { $s->{connections} == 5 });
    is($s->{connections}, 5, 'four connections, and the one that asks');
    is($s->{idle_connections}, 4, 'the four are idle, whatever was before');
    $bridge->stop;
};

scenario 'a script whose client has gone, with --on-disconnect close' => sub {
    my $bridge = Bridge->start(args => [ @paths, '--on-disconnect', 'close' ]);
    my $file = file();
    my $c = $bridge->connect('unix');
    $c->start(1, $bridge->params('sleeper', QUERY_STRING => 30, TEST_PIDS => $file));
    my @pids = wait_pids($file, 2);
    $c->hang_up;
    my $s = wait_status($bridge, sub ($s) { ($s->{script_list}[0]{state} // '') eq 'left' });
    is($s->{script_list}[0]{state}, 'left', 'is shown as left');
    kill 'KILL', @pids;
    $bridge->stop;
};

scenario 'the page while scripts come and go' => sub {
    my $bridge = Bridge->start(workers => 2, args => [@paths]);
    my @c = map { $bridge->connect('unix') } 1 .. 8;
    my %known = map { ("$dir/$_" => 1) } qw(hello name);
    my ($bad, $pages, $seen) = (0, 0, 0);
    for my $round (1 .. 30) {
        $_->start($round, $bridge->params($round % 2 ? 'hello' : 'name'), keep => 1) for @c;
        for (1 .. 3) {
            my $s = eval { status($bridge) } or $bad++;
            $pages++;
            $seen += @{ $s->{script_list} };
            $bad++ for grep { !$known{ $_->{script} } || $_->{peer} ne 'unix' } @{ $s->{script_list} };
        }
        $_->wait_end($round) for @c;
    }
    is($bad, 0, "nothing torn in $pages pages that showed $seen scripts");
    is(status($bridge)->{responses_2xx}, 240, 'and all are counted');
    $bridge->stop;
};

# ---- when nothing else answers -----------------------------------------------------

on_both 'every slot taken and the queue full' => sub ($kind) {
    my $bridge = Bridge->start(workers => 2, args => [ @paths, '-m', '2', '--queue', '2' ]);
    my @files = map { file() } 1 .. 2;
    my @c = map { $bridge->connect($kind) } 1 .. 4;
    for my $n (0 .. 3) {
        $c[$n]->start(1, $bridge->params('sleeper', QUERY_STRING => 30,
            TEST_PIDS => $files[$n] // ''));
        wait_pids($files[$n], 2) if $n < 2;
    }
    my $s = wait_status($bridge, sub ($s) { $s->{queued_requests} == 2 });
    is($s->{running_scripts}, 2, 'two run');
    is($s->{queued_requests}, 2, 'two wait');
    is(FastCGI::status($bridge->get($kind, 'hello')), 503, 'another one is refused');
    for (1 .. 10) {
        my $r = $bridge->get($kind, 'none', nowhere(SCRIPT_NAME => '/ping'));
        is(FastCGI::body($r), 'pong', 'ping answers');
        cmp_ok($r->{total}, '<', slow(1), 'at once');
    }
    is(page($bridge, $kind, $_)->{status}, 200, "?$_ answers") for sort keys %types;
    $_->hang_up for @c;
    $bridge->stop;
};

scenario 'many pages at once on one connection' => sub {
    my $bridge = Bridge->start(args => [ @paths, '-m', '4' ]);
    my $c = $bridge->connect('unix');
    my $params = $bridge->params('none',
        @{ nowhere(SCRIPT_NAME => '/bridge/status', QUERY_STRING => 'html') });
    my @ids = (1 .. 60);
    $c->expect($_) for @ids;
    $c->send(join '', map { FastCGI::request($_, $params, keep => 1) } @ids);
    my %n;
    $n{ FastCGI::status($c->wait_end($_)) }++ for @ids;
    cmp_ok($n{200} // 0, '>', 2, 'some are sent');
    is(($n{200} // 0) + ($n{503} // 0), 60, 'the others are told that there is no room');
    $c->start(100, $params, keep => 1);
    is(FastCGI::status($c->wait_end(100)), 200, 'the connection goes on');
    $bridge->stop;
};

# ---- deaths and signals ------------------------------------------------------------

on_both 'what a killed worker has counted stays' => sub ($kind) {
    my $bridge = Bridge->start(workers => 1, args => [@paths]);
    $bridge->get($kind, 'hello') for 1 .. 3;
    my $file = file();
    my $c = $bridge->connect($kind);
    $c->start(1, $bridge->params('sleeper', QUERY_STRING => 30, TEST_PIDS => $file));
    wait_pids($file, 2);
    my ($worker) = $bridge->workers;
    kill 'KILL', $worker;
    ok(wait_until(10, sub { my @w = $bridge->workers; @w == 1 && $w[0] != $worker }), 'replaced');
    my $s = status($bridge, $kind);
    is($s->{responses_2xx}, 3, 'the responses of the dead one');
    is($s->{requests}, 5, 'its requests, and this one');
    is($s->{worker_respawns}, 1, 'one respawn');
    is($s->{worker_list}[0]{starts}, 2, 'of this worker');
    is($s->{active_requests}, 1, 'its active requests are gone');
    is($s->{running_scripts}, 0, 'its script too');
    is($s->{connections}, 1, 'and its connections');
    is_deeply($s->{script_list}, [], 'nothing is shown of it');
    $bridge->get($kind, 'hello');
    is(status($bridge, $kind)->{responses_2xx}, 4, 'counting goes on from there');
    $bridge->stop;
};

on_both 'a reload goes on counting' => sub ($kind) {
    my $bridge = Bridge->start(workers => 2, args => [@paths, '--drain-timeout', '2m']);
    $bridge->get($kind, 'hello') for 1 .. 3;
    my $c = $bridge->connect($kind);
    my $hold = $bridge->start_waiting($c);
    my $began = status($bridge, $kind)->{uptime_seconds};
    my $before = wait_status($bridge, sub ($s) { $s->{uptime_seconds} > $began });
    my @old = $bridge->workers;
    $bridge->signal('HUP');
    my $after = wait_status($bridge, sub ($s) {
        my %pid = map { $_->{pid} => 1 } $s->{worker_list}->@*;
        return keys %pid == 2 && !grep { $pid{$_} } @old;
    });
    is($after->{start_time_seconds}, $before->{start_time_seconds}, 'since the same time');
    cmp_ok($after->{uptime_seconds}, '>=', $before->{uptime_seconds}, 'that is as long ago');
    cmp_ok($after->{$_}, '>=', $before->{$_}, "$_ is not less")
        for qw(accepted_connections requests responses_2xx started_scripts sent_bytes status_pages);
    is($after->{responses_2xx}, 3, 'what old workers have not finished is not counted yet');
    $bridge->end_waiting($c, $hold);
    my $end = wait_status($bridge, sub ($s) { $s->{responses_2xx} == 4 });
    is($end->{responses_2xx}, 4, 'and once, when they have');
    is($end->{started_scripts}, 4, 'as many scripts were started');
    $bridge->stop;
};

scenario 'USR2 writes the status to the log' => sub {
    my $bridge = Bridge->start;
    $bridge->get('unix', 'hello') for 1 .. 2;
    my $c = $bridge->connect('unix');
    $c->start(1, $bridge->params($hostile, QUERY_STRING => 30));
    $c->wait_out(1);
    my $mark = $bridge->mark;
    $bridge->signal('USR2');
    ok($bridge->wait_for_log(qr/status: script \d+: .*\n/, 5, from => $mark), 'written');
    my $log = $bridge->log_since($mark);
    like($log, qr/info: status: responses_2xx: 2$/m, 'with numbers');
    like($log, qr/info: status: worker 0: busy, pid \d+/, 'workers');
    like($log, qr/info: status: script \d+: answering, .*\Q$dir\E/, 'and scripts');
    is(scalar(grep { !/ info: status: / } split /\n/, $log), 0, 'nothing else');
    $c->hang_up;
    $bridge->stop;
};

# ---- through a web server, in a browser ---------------------------------------------

# What the browser makes of $url: its DOM, or with screenshot => file that.
sub browse ($url, %o) {
    return run_program(
        [ $chromium, qw(--headless --no-sandbox --disable-gpu --disable-breakpad
            --hide-scrollbars --no-first-run --virtual-time-budget=3000),
            "--user-data-dir=$tmp/browser", '--window-size=1200,1000',
            $o{screenshot} ? "--screenshot=$o{screenshot}" : '--dump-dom', $url ],
        env => { HOME => $tmp, XDG_RUNTIME_DIR => $tmp }, secs => 90);
}

scenario 'nginx and a browser' => sub {
    my $bridge = Bridge->start(workers => 2, args => [ @paths, '--slow-log', '10ms' ]);
    my $params = Bridge::nginx_params($dir);
    # nothing but SCRIPT_NAME is needed
    my $nginx = Bridge->nginx(<<~CONF);
        location ~ ^/(bridge/status|ping)\$ {
            fastcgi_param SCRIPT_NAME \$fastcgi_script_name;
            $params
            fastcgi_pass @{[ $bridge->url('unix') ]};
        }
        CONF
    my $base = 'http://127.0.0.1:' . $nginx->port;
    my $c = $bridge->connect('tcp');
    $c->start(1, $bridge->params($hostile, QUERY_STRING => 60, REMOTE_ADDR => '192.0.2.99'));
    $c->wait_out(1);
    is(run_program([ 'curl', '-s', "$base/ping" ])->{out}, 'pong', 'ping');
    my $s = eval { decode_json(run_program([ 'curl', '-s', "$base/bridge/status?json" ])->{out}) };
    is($s->{running_scripts}, 1, 'status');
    like(run_program([ 'curl', '-sI', "$base/bridge/status?html" ])->{out},
        qr{^HTTP/1\.1 200 .*^Content-Type: text/html.*^Content-Length: \d+}ms, 'HEAD');
    my $r = browse("$base/bridge/status?html");
    is($r->{exit}, 0, 'the browser has the page') or diag($r->{err});
    my $dom = $r->{out};
    like($dom, qr{<span>\Q$dir\E/&lt;script&gt;document}, 'it shows the script, as text');
    like($dom, qr{<title>cgibridge status</title>}, 'which has not run');
    like($dom, qr{>192\.0\.2\.99<}, 'its client');
    like($dom, qr{\(slow\)</span>}, 'that it is slow');
    like($dom, qr{<small>sleeping}, '... and what it waits for') if is_linux();
    like($dom, qr{class="state answering">answering<}, 'its state');
    like($dom, qr{<span>$_</span>}, "worker $_") for $bridge->workers;
    like($dom, qr{id="news"[^>]*>live, \d}, 'it is live');
    my $pages = status($bridge)->{status_pages};
    cmp_ok($pages, '>', 4, 'it has asked more than once');
    my $png = "$tmp/status.png";
    $r = browse("$base/bridge/status?html", screenshot => $png);
    is(substr(Bridge::slurp($png), 0, 8), "\x89PNG\r\n\x1a\n", 'a picture of it');
    cmp_ok(-s $png, '>', 20000, 'with something in it');
    $c->hang_up;
    $nginx->stop;
    $bridge->stop;
}, secs => 240;

done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Much at once on one connection: a client that asks faster than it takes the answers is
# held back, and gets them all; and it costs no more than what it asks for.
use v5.36;
use POSIX ();
use Test::More;
use FastCGI;
use Bridge;

my $bridge = Bridge->start(args => [ '--max-scripts', 30000, '--status-path', '/status',
    '--ping-path', '/ping' ]);
my ($worker) = $bridge->workers;

# Processor seconds that the worker has used.
sub used () {
    my @field = split ' ', slurp("/proc/$worker/stat") =~ s/^.*\) //sr;
    return ($field[11] + $field[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# Requests 1 to `n` for `path`, all there is of each.
sub requests ($n, $path, @more) {
    my $params = [ SCRIPT_NAME => $path, SCRIPT_FILENAME => Bridge::cgi() . $path,
        REQUEST_METHOD => 'GET', SERVER_SOFTWARE => 'test/1', @more ];
    return join '', map { FastCGI::request($_, $params, keep => 1) } 1 .. $n;
}

# Sends as much as the server takes while nothing is read, then the rest: the answers.
sub ask_at_once ($kind, $n, $bytes) {
    my $c = $bridge->connect($kind);
    $c->expect($_) for 1 .. $n;
    my $sent = $c->send($bytes, no_read => 1, timeout => 0.3 / $FastCGI::slow);
    $c->send(substr $bytes, $sent);
    $c->read_until(slow(30), sub { @{ $c->{ended} // [] } >= $n });
    return $c;
}

# It got `n` whole answers, `ok` says of each that it is right, and the connection goes on.
sub is_answered ($c, $n, $ok) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(scalar @{ $c->{ended} // [] }, $n, 'an END for each');
    is(scalar(grep { $ok->($c->{req}{$_}) } 1 .. $n), $n, 'each answer is right');
    $c->start(1, $bridge->params('hello'), keep => 1);
    is(FastCGI::body($c->wait_end(1)), "hello\n", 'then another request is served');
    $c->hang_up;
}

on_both '5,000 pings at once' => sub ($kind) {
    my $c = ask_at_once($kind, 5000, requests(5000, '/ping'));
    is_answered($c, 5000, sub ($r) { FastCGI::body($r) eq 'pong' });
};

on_both '3,000 requests at once for what is not there' => sub ($kind) {
    my $c = ask_at_once($kind, 3000, requests(3000, '/nothing'));
    is_answered($c, 3000, sub ($r) { FastCGI::status($r) == 404 });
};

on_both '100 pages of the status at once' => sub ($kind) {
    my $c = ask_at_once($kind, 100, requests(100, '/status', QUERY_STRING => 'html'));
    is_answered($c, 100, sub ($r) { FastCGI::status($r) == 200 && $r->{out} =~ m{</html>} });
};

on_both '300 scripts at once' => sub ($kind) {
    my $c = ask_at_once($kind, 300, requests(300, '/hello'));
    is_answered($c, 300, sub ($r) { FastCGI::body($r) eq "hello\n" });
};

on_both '30,000 questions at once' => sub ($kind) {
    my $n = 15_000;
    my $c = $bridge->connect($kind);
    $c->{asked} = 2 * $n;
    my $bytes = (FastCGI::record(FastCGI::GET_VALUES, 0, FastCGI::pairs(FCGI_MPXS_CONNS => ''))
        . FastCGI::record(99, 0)) x $n;
    my $sent = $c->send($bytes, no_read => 1, timeout => 0.3 / $FastCGI::slow);
    $c->send(substr $bytes, $sent);
    $c->read_until(slow(30), sub { @{ $c->{mgmt} // [] } >= 2 * $n });
    is(scalar @{ $c->{mgmt} }, 2 * $n, 'each is answered');
    my %types;
    $types{ $_->{type} }++ for @{ $c->{mgmt} };
    is_deeply(\%types, { FastCGI::GET_VALUES_RESULT, $n, FastCGI::UNKNOWN_TYPE, $n },
        'with what was asked for');
    $c->start(1, $bridge->params('hello'));
    is(FastCGI::body($c->wait_end(1)), "hello\n", 'then a request is served');
};

on_both 'a client that never reads is held back, the others are served' => sub ($kind) {
    my $c = $bridge->connect($kind);
    my $bytes = requests(30_000, '/ping') x 10;
    my $sent = $c->send($bytes, no_read => 1, timeout => 0.5 / $FastCGI::slow);
    cmp_ok($sent, '<', length $bytes, 'not all is taken');
    $bridge->ok_serves($kind, $worker);
    cmp_ok($bridge->memory, '<', ($Bridge::slow > 1 ? 400 : 64) * 1024, 'and little of it kept (KiB)');
};

on_both 'ids cost the same, however many are in use' => sub ($kind) {
    my %seconds;
    for my $n (2_000, 20_000) {
        my $c = $bridge->connect($kind);
        $c->expect($_) for 1 .. $n;
        my $before = used();
        $c->send(FastCGI::begin($_, keep => 1)) for 1 .. $n;
        my $pairs = FastCGI::pairs(SCRIPT_NAME => '/ping', REQUEST_METHOD => 'GET');
        $c->send(join '', map { FastCGI::stream(FastCGI::PARAMS, $_, $pairs)
            . FastCGI::record(FastCGI::PARAMS, $_) . FastCGI::record(FastCGI::STDIN_, $_) } 1 .. $n);
        $c->read_until(slow(30), sub { @{ $c->{ended} // [] } >= $n });
        is(scalar @{ $c->{ended} // [] }, $n, "$n requests that were open together: answered");
        $seconds{$n} = used() - $before;
        $c->hang_up;
    }
    cmp_ok($seconds{20_000}, '<', 20 * ($seconds{2_000} + 0.1), 'ten times as many take so long')
        or diag(join ' ', %seconds);
};

$bridge->stop;
done_testing;

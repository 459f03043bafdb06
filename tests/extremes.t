#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Numbers, times and sizes at their edges, wherever one is read: from parameters of a
# request, from the head of a script's response, from options.  Each has an answer that
# is defined, and no worker ends, hangs or spins over one.
use v5.36;
use Test::More;
use FastCGI;
use Bridge;

my @numbers = (
    '', '0', '00', '5000', '-1', '+1', ' 1', '1 ', '0x10', '1e9', '1.5', 'nan', 'inf',
    qw(-9223372036854775808 65535 65536 2147483647 2147483648 4294967295 4294967296 31536000
    999999999999999999 9223372036854775807 9223372036854775808 18446744073709551615
    18446744073709551616 99999999999999999999), '9' x 1000, '0' x 40 . '7000',
);
my @times = map { my $n = $_; map { "$n$_" } '', qw(ms h x) } @numbers;

# Answers with its $TEST_HEAD and a body.
script('says-head', <<~'SH');
    #!/bin/sh
    printf '%b\n\nbody' "$TEST_HEAD"
    SH

# One connection for all, which has to stay: each is answered with one of @$statuses.
sub all_answered ($bridge, $name, $requests, $statuses) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    scenario $name => sub {
        my @before = $bridge->workers;
        my %strange;
        for my $request (@$requests) {
            my ($script, @more) = @$request;
            my $r = eval { $bridge->get('unix', $script, \@more, stdin => '') };
            my $status = $r && $r->{end} ? FastCGI::status($r) : 'no end';
            $strange{"@more"} = $status if !grep { $status eq $_ } @$statuses;
            last if keys %strange > 3; # each may have taken its time
        }
        is_deeply(\%strange, {}, scalar @$requests . ' requests are answered');
        $bridge->ok_serves('unix', @before);
        is($bridge->workers, scalar @before, 'no worker has ended');
    }, secs => 180;
}

# ---- parameters of a request -------------------------------------------------------

for my $options ([], [ '--timeout', 0, '--idle-timeout', 0 ],
    [ '--timeout', '8760h', '--idle-timeout', '8760h' ]) {
    my $bridge = Bridge->start(args => $options);
    my $with = @$options ? "with @$options" : 'with the defaults';

    for my $name (qw(CGIBRIDGE_TIMEOUT CGIBRIDGE_IDLE_TIMEOUT)) {
        all_answered($bridge, "$name $with", [ map { [ 'hello', $name => $_ ] } @times ], [200]);
    }
    $bridge->stop;
}

my $bridge = Bridge->start(args => [ '--idle-timeout', '30s' ]);
all_answered($bridge, 'CONTENT_LENGTH',
    [ map { [ 'hello', REQUEST_METHOD => 'POST', CONTENT_LENGTH => $_ ] } @numbers ], [200]);
for my $name (qw(SERVER_PORT REMOTE_PORT FCGI_ROLE CGIBRIDGE_ON_DISCONNECT)) {
    all_answered($bridge, $name, [ map { [ 'hello', $name => $_ ] } @numbers ], [200]);
}

# ---- a script's response -----------------------------------------------------------

all_answered($bridge, 'Content-Length of a response', [ map {
    [ 'says-head', TEST_HEAD => "Content-Type: text/plain\\nContent-Length: $_" ] } @numbers ],
    [ 200, 500, 'no end' ]);
all_answered($bridge, 'Status of a response',
    [ map { [ 'says-head', TEST_HEAD => "Status: $_" ] } @numbers, 100 .. 110, 199, 599, 600, 999 ],
    [ 100 .. 999 ]);
all_answered($bridge, 'the length of a chunk', [ map {
    [ 'says-head', TEST_HEAD => "HTTP/1.1 200 OK\\nTransfer-Encoding: chunked\\n\\n$_" ] } @numbers,
    qw(7fffffffffffffff 8000000000000000 ffffffffffffffff 10000000000000000 fffffffffffffffffffff) ],
    [ 200, 500, 'no end' ]);
$bridge->stop;

# ---- options -----------------------------------------------------------------------

my $help = run_program([ $Bridge::daemon, '--help' ])->{out};
my %kind = map { /--([\w-]+) (TIME|N|SIZE|MODE)\b/ ? ($1 => $2) : () } split /\n/, $help;
cmp_ok(scalar keys %kind, '>', 12, 'options that take a number, time or size');

# What option `name` accepts of `values`; each has to be taken or refused.
sub accepted ($name, @values) {
    my @good;
    for my $value (@values) {
        my $r = run_program([ $Bridge::daemon, '-n', "--$name=$value" ]);
        push @good, $value if $r->{exit} == 0;
        fail("--$name=$value: exit $r->{exit}, signal $r->{signal}: $r->{err}")
            if $r->{signal} || $r->{exit} !~ /^[02]$/ || $r->{err} =~ $Bridge::complaint;
    }
    return @good;
}

scenario 'options are taken or refused' => sub {
    for my $name (sort keys %kind) {
        my @units = $kind{$name} eq 'TIME' ? qw(ms h) : $kind{$name} eq 'SIZE' ? qw(G) : ();
        my @values = map { my $n = $_; ($n, map { "$n$_" } @units) }
            grep { /^\d*$/ && length $_ < 21 } 7, @numbers;
        ok(scalar accepted($name, @values), "--$name");
    }
    ok(scalar accepted('limit', map { ("cpu=$_", "cpu=${_}ms", "as=${_}G", "fsize=$_", "core=$_") }
        grep { length $_ < 21 } @numbers), '--limit');
}, secs => 300;

# All of them at once at an end of what they allow; the rest would be another test.
my %ends = (
    'the longest and largest' => [ (map { "--$_=8760h" } grep { $kind{$_} eq 'TIME' } keys %kind),
        '--max-body=9223372036854775807', '--max-params=64M', '--backlog=65535', '--queue=1000000',
        '--max-scripts=65536', '--limit=cpu=8760h', '--limit=fsize=9223372036854775807' ],
    'the shortest and smallest' => [ (map { "--$_=0" } grep { $kind{$_} eq 'TIME' &&
        $_ ne 'queue-timeout' } keys %kind), '--queue-timeout=1ms', '--max-body=0',
        '--max-params=1K', '--backlog=1', '--queue=0', '--max-scripts=1' ],
);
for my $name (sort keys %ends) {
    my $at_end = Bridge->start(args => $ends{$name});
    all_answered($at_end, "served with options at $name", [ map { [ 'hello' ] } 1 .. 20 ], [200]);
    $at_end->stop;
}

done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# --slow-log: a script that runs longer is logged once, while it still runs, with what it
# waits for; the status page marks it.  Without the option there is neither line nor mark.
use v5.36;
use Test::More;
use Bridge;
use FastCGI;
use JSON::PP;

my $bridge = Bridge->start(args => [ '--slow-log', '100ms', '--status-path', '/status' ]);

# A script that says its pid, then waits for a FIFO to be opened and to end; and that FIFO.
sub waiter ($name) {
    my $fifo = file();
    system('mkfifo', $fifo) == 0 or die "mkfifo: $?\n";
    chmod 0666, $fifo;
    script($name, <<~"END");
        #!/bin/sh
        printf 'Content-Type: text/plain\\n\\n%s\\n' \$\$
        exec cat '$fifo'
        END
    return $fifo;
}

sub lines ($mark) {
    return grep { /slow: its script still runs/ } split /\n/, $bridge->log_since($mark);
}

sub page ($of, $form) {
    return FastCGI::body($of->get('unix', 'none', [
        (map { ($_ => '') } qw(SCRIPT_FILENAME DOCUMENT_ROOT REQUEST_URI)),
        SCRIPT_NAME => '/status', QUERY_STRING => $form ]));
}

sub serves ($of) { return is(FastCGI::body($of->get('unix', 'hello')), "hello\n", 'answered') }

on_both 'a script that runs longer has one line' => sub ($kind) {
    my $fifo = waiter('waiter');
    my $mark = $bridge->mark;
    my $c = $bridge->connect($kind);
    my $r = $c->start(1, $bridge->params('waiter', REQUEST_METHOD => 'GET',
        REQUEST_URI => '/cgi/waiter?page=7', REMOTE_ADDR => '192.0.2.7'));
    open my $hold, '+<', $fifo or die "$fifo: $!\n"; # the script reads, and waits
    ok($bridge->wait_for_log(qr/slow: its script still runs/, 5, from => $mark), 'it is there')
        or return;
    my ($line) = lines($mark);
    my ($pid) = $line =~ /waiter\[(\d+)\]: request 1 from /;
    ok(defined $pid && alive($pid), 'with the pid, of a script that runs') or diag($line);
    like($line, qr/ warn: .* after (?:0\.[1-9]\d\d|[1-9]\d*\.\d{3}) s/, 'its age');
    like($line, qr{client: 192\.0\.2\.7, request: "GET /cgi/waiter\?page=7"$}, 'and the request');
    like($line, qr/ s: sleeping, in read\(\) of \Q$fifo\E/, 'what it waits for') if is_linux();
    my ($script) = grep { $_->{pid} == $pid } @{ decode_json(page($bridge, 'json'))->{script_list} };
    ok($script->{slow}, 'the status says so as JSON');
    like($script->{doing} // '', qr/^sleeping, in read\(\) of \Q$fifo\E/, 'and what it waits for now')
        if is_linux();
    like(page($bridge, 'text'), qr/^script $pid: \w+, age [\d.]+ \(slow\), /m, 'and as text');
    print $hold "released\n";
    close $hold;
    $c->wait_end(1);
    like($r->{out}, qr/released/, 'it goes on and is answered');
    is(scalar lines($mark), 1, 'one line, no more');
};

scenario 'one that is quick has none' => sub {
    my $slow = Bridge->start(args => [ '--slow-log', '1h' ]);
    serves($slow);
    unlike($slow->log, qr/slow:/, 'no line');
    $slow->stop;
};

scenario 'a client that leaves, a script that exits before: no line, and no harm' => sub {
    my $mark = $bridge->mark;
    serves($bridge) for 1 .. 5;
    my $c = $bridge->connect('unix');
    $c->start(1, $bridge->params('sleeper', QUERY_STRING => 60));
    $c->hang_up;
    ok($bridge->wait_for_log(qr/script stopped/, 5, from => $mark), 'its script is stopped');
    $bridge->ok_serves('unix', $bridge->workers);
};

scenario 'without the option' => sub {
    my $plain = Bridge->start(args => [ '--status-path', '/status' ]);
    my $c = $plain->connect('unix');
    my $fifo = waiter('plain');
    $c->start(1, $plain->params('plain'));
    open my $hold, '>', $fifo or die "$fifo: $!\n"; # once the script has it open
    my $list;
    wait_until(10, sub { $list = decode_json(page($plain, 'json'))->{script_list}; return @$list });
    is($list->[0]{slow}, JSON::PP::false, 'nothing is slow');
    print $hold "released\n";
    close $hold;
    $c->wait_end(1);
    unlike($plain->log, qr/slow:/, 'no line');
    $plain->stop;
};

$bridge->stop;
done_testing;

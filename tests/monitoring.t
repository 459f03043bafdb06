#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# contrib/monitoring: the rules do what their tests say, and every metric that they and
# the dashboard name is one that the daemon has; its Nagios command runs.
use v5.36;
use JSON::PP;
use Test::More;
use FastCGI;
use Bridge;

my $promtool = is_program('promtool', 'prometheus');
my $dir = "$Bridge::srcdir/contrib/monitoring";

my $bridge = Bridge->start(args => [ '--status-path', '/bridge-status' ]);
my %unset = map { ($_ => '') } qw(SCRIPT_FILENAME DOCUMENT_ROOT REQUEST_URI);

# The names that the daemon has, asked for as the scrape job asks.
sub metrics () {
    my $r = $bridge->get('unix', 'none',
        [ %unset, SCRIPT_NAME => '/bridge-status', QUERY_STRING => 'openmetrics=' ]);
    return map { $_ => 1 } FastCGI::response($r)->{body} =~ /^(cgibridge_\w+)/mg;
}

my %known = metrics();

scenario 'the scrape job gets OpenMetrics' => sub {
    my ($query) = slurp("$dir/prometheus.yml") =~ /params:\n\s+(\w+):/;
    is($query, 'openmetrics', 'it asks for them');
    ok($known{cgibridge_build_info}, 'and gets them');
};

scenario 'the files name metrics that there are' => sub {
    for my $file (qw(alerts.yml alerts_test.yml dashboard.json)) {
        my %named = map { $_ => 1 } slurp("$dir/$file") =~ /\b(cgibridge_[a-z_]+)/g;
        cmp_ok(scalar keys %named, '>', 5, "$file names some");
        is_deeply([ grep { !$known{$_} } sort keys %named ], [], "$file: no other");
    }
    my ($hpa) = slurp("$dir/../container/kubernetes/cgibridge.yaml") =~ /name: (cgibridge_\w+)/;
    ok($known{$hpa}, 'and so does the autoscaler');
};

scenario 'promtool: the rules hold' => sub {
    for my $command ([ 'check', 'rules', 'alerts.yml' ], [ 'test', 'rules', 'alerts_test.yml' ]) {
        my $r = run_program([ $promtool, @$command[0, 1], "$dir/$command->[2]" ], secs => 60);
        is($r->{exit}, 0, "promtool @$command") or diag($r->{out}, $r->{err});
    }
    my @alerts = slurp("$dir/alerts.yml") =~ /alert: (\w+)/g;
    my $tests = slurp("$dir/alerts_test.yml");
    is_deeply([ grep { $tests !~ /alertname="$_"/ } @alerts ], [], 'each alert has a case');
}, secs => 150;

scenario 'the dashboard is JSON that shows something' => sub {
    my $board = JSON::PP->new->decode(slurp("$dir/dashboard.json"));
    cmp_ok(scalar $board->{panels}->@*, '>=', 8, 'panels');
    is(scalar(grep { !$_->{targets}->@* } $board->{panels}->@*), 0, 'each with a query');
};

scenario 'the journal: its lines match those of the log' => sub {
    sh('hello', 'exit 1'); # as a script that fails
    $bridge->get('unix', 'hello', [ REMOTE_ADDR => '203.0.113.7' ]);
    my @log = map { s/^\S+ cgibridge\[\d+\] \w+: //r } split /\n/, $bridge->log;
    my $cgi = Bridge::cgi();
    my @commands = grep { /^ / } split /\n/, slurp("$dir/journal") =~ s{/usr/lib/cgi-bin}{$cgi}gr;
    is(scalar @commands, 4, 'commands');
    for my $pattern (map { / -g '([^']*)'/ } @commands) {
        ok((grep { /$pattern/ } @log), "a line matches $pattern");
    }
    my ($filter) = map { / \| (sed .*)/ } @commands;
    my $r = run_program([ 'sh', '-c', $filter ], stdin => join '', map { "$_\n" } @log);
    is($r->{out} =~ s/^ +//r, "1 $cgi/hello\n", 'and which scripts fail is found');
};

scenario 'the Nagios command' => sub {
    my $text = slurp("$dir/nagios.cfg");
    my ($line) = $text =~ /command_line\s+(.*)/;
    my ($check) = $text =~ /check_command\s+(.*)/;
    my (undef, @args) = split /!/, $check;
    $args[0] = $bridge->url('unix');
    $line =~ s/\$ARG(\d)\$/$args[$1 - 1]/g;
    my ($program, @words) = split ' ', $line;
    is($program, '/usr/bin/fcgiget', 'is fcgiget');
    my $r = run_program([ $Bridge::fcgiget, @words ]);
    is($r->{exit}, 0, "fcgiget @words");
    like($r->{out}, qr/^CGIBRIDGE OK/, 'says OK');
};

$bridge->stop;
done_testing;

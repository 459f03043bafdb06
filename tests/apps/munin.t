#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# munin: overview and graphs by CGI.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

# A node with one plugin, for munin-update; what munin-cron would run.
my $tmp = tmp();
mkdir "$tmp/$_" for qw(db log run html cgi);
my $node = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die "a node: $!\n";
my $port = $node->sockport;
my %says = (cap => "cap\n", list => "load\n", nodes => "host.example\n.\n", version => "1\n",
    'config load' => "graph_title Load average\ngraph_category system\nload.label load\n.\n",
    'fetch load' => "load.value 1.5\n.\n");
my $pid = fork // die "fork: $!\n";
if (!$pid) {
    alarm 300; # it has no other end if the test dies
    while (my $peer = $node->accept) {
        $peer->autoflush(1);
        print $peer "# munin node at host.example\n";
        while (my $line = <$peer>) {
            my ($command) = $line =~ /^(cap|list|nodes|version|config load|fetch load)/ or last;
            print $peer $says{$command};
        }
    }
    POSIX::_exit(0);
}
spew("$tmp/munin.conf", Recipe->read('munin')->shown('/etc/munin/munin.conf')
    . "dbdir $tmp/db\nlogdir $tmp/log\nrundir $tmp/run\nhtmldir $tmp/html\ncgitmpdir $tmp/cgi\n"
    . "[example;host.example]\naddress 127.0.0.1\nport $port\n", 0644);
give(map { "$tmp/$_" } qw(db log run html cgi));
for my $part (qw(update limits)) {
    my $r = run_program([ 'setpriv', '--reuid=www-data', '--regid=www-data', '--clear-groups',
        "/usr/share/munin/munin-$part", '--config', "$tmp/munin.conf" ], secs => 60);
    is($r->{exit}, 0, "munin-$part") or diag($r->{err}, slurp("$tmp/log/munin-$part.log"));
}
kill 'KILL', $pid;
waitpid $pid, 0;
my $app = Recipe->serve('munin', { '/etc/munin/munin.conf' => "$tmp/munin.conf" });

scenario 'pages' => sub {
    $app->answers('/munin/', 200, [ qr/host\.example/, qr{</html>}i ]);
    $app->answers('/munin/example/host.example/index.html', 200, qr/Load average/);
    my $graph = '/munin-cgi/munin-cgi-graph/example/host.example';
    my $r = $app->answers("$graph/load-day.png", 200, qr/\A\x89PNG\r\n/);
    is($r->{type}, 'image/png', 'a graph');
    $app->answers("$graph/none-day.png", 404, []);
    $app->answers('/munin/static/style-new.css', 200, qr/\{/);
};

$app->stop(errors => 1);
done_testing;

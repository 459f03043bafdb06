#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# collection3: graphs of what collectd has collected.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/collection3";
must_run([ 'cp', '-a', '/usr/share/doc/collectd-core/examples/collection3', $dir ]);
my $config = "$dir/etc/collection.conf";
spew($config, Recipe->read('collection3')->shown('/srv/collection3/etc/local.conf',
    '/var/lib/collectd/rrd' => "$tmp/rrd") . slurp($config), 0644);
# as collectd's plugin rrdtool makes them
my $now = int(time / 10) * 10;
must_run([ 'mkdir', '-p', "$tmp/rrd/host.example/load" ]);
my $rrd = "$tmp/rrd/host.example/load/load.rrd";
must_run([ 'rrdtool', 'create', $rrd, '--start', $now - 1010, '--step', 10,
    (map { "DS:$_:GAUGE:20:0:100" } qw(shortterm midterm longterm)), 'RRA:AVERAGE:0.5:1:1200',
    'RRA:MIN:0.5:1:1200', 'RRA:MAX:0.5:1:1200' ]);
must_run([ 'rrdtool', 'update', $rrd, map { $now - 1000 + 10 * $_ . ':1:2:3' } 1 .. 100 ]);
my $app = Recipe->serve('collection3', { '/srv/collection3' => $dir });
my $bin = '/collection3/bin';

scenario 'pages' => sub {
    $app->answers("$bin/index.cgi", 200, [ qr/host\.example/, qr/load/ ]);
    $app->answers("$bin/index.cgi?action=show_selection;hostname=host.example;plugin=load", 200, qr/graph\.cgi/);
    my $r = $app->answers("$bin/graph.cgi?hostname=host.example;plugin=load;type=load;begin=-1000", 200,
        qr/\A\x89PNG/);
    like($r->{type}, qr{^image/png}, 'a graph');
    $app->answers("$bin/json.cgi?action=list_hosts", 200, qr/host\.example/);
    $app->answers('/collection3/share/style.css', 200, qr/\{/);
    unlike($app->get("$bin/graph.cgi?hostname=none;plugin=none;type=none")->{type}, qr/png/, 'no graph');
};

$app->stop(errors => 1);
done_testing;

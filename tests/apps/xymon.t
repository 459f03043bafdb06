#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Xymon: one program under many names, with xymond.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $bin = '/usr/lib/xymon/server/bin';
my ($host) = slurp('/etc/xymon/hosts.cfg') =~ /^127\.0\.0\.1\s+(\S+)/m;
background('xymon', "$bin/xymoncmd", '--env=/etc/xymon/xymonserver.cfg', 'xymond', '--no-daemon',
    '--listen=127.0.0.1:1984');
my $status = "status $host.lamp green all is bright";
wait_until(20, sub { run_program([ "$bin/xymon", '127.0.0.1', $status ])->{exit} == 0 });
my $app = Recipe->serve('xymon');

scenario 'pages' => sub {
    $app->answers('/xymon-cgi/findhost.sh', 200, qr/find host|<form/i);
    $app->answers('/xymon-cgi/datepage.sh?type=day', 200, qr/<form|calendar|date/i);
    my $r = $app->get('/xymon-cgi/svcstatus.sh?HOST=none&SERVICE=none');
    like($r->{body}, qr/html/i, 'a host that is not there');
};

scenario 'a status' => sub {
    my $page = "/xymon-cgi/svcstatus.sh?HOST=$host&SERVICE=lamp";
    $app->answers($page, 200, [ qr/green : Xymon/, qr/all is bright/ ]);
    must_run([ "$bin/xymon", '127.0.0.1', $status =~ s/green.*/red it is dark/r ]);
    $app->answers($page, 200, [ qr/red : Xymon/, qr/it is dark/ ]);
};

$app->stop(errors => 1);
done_testing;

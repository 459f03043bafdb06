#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# NUT: a UPS that is not one.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/nut";
my $port = free_port();
mkdir $_ for $dir, "$tmp/state";
# the scripts look nowhere else
my $hosts = '/etc/nut/hosts.conf';
my $before = slurp($hosts);
END { spew($hosts, $before) if defined $before }
spew($hosts, Recipe->read('nut-cgi')->shown($hosts, 'localhost' => "localhost:$port"));

spew("$dir/ups.conf", "[rack]\n driver = dummy-ups\n port = rack.dev\n desc = dummy\n", 0644);
spew("$dir/rack.dev", "ups.status: OL\nbattery.charge: 90\nups.load: 42\ninput.voltage: 230\n", 0644);
spew("$dir/upsd.conf", "LISTEN 127.0.0.1 $port\n", 0644);
spew("$dir/upsd.users", '', 0640);
must_run([ 'chown', '-R', 'nut:nut', "$tmp/state", "$dir/upsd.users" ]);
# both go into the background, each with a file of its pid
my @env = (env => { NUT_CONFPATH => $dir, NUT_STATEPATH => "$tmp/state", NUT_ALTPIDPATH => "$tmp/state" });
must_run([ '/lib/nut/dummy-ups', '-a', 'rack' ], @env);
must_run([ '/lib/nut/upsd' ], @env);
END {
    my @pids = map { slurp($_) =~ /(\d+)/ } $tmp ? glob "$tmp/state/*.pid" : ();
    kill 'TERM', @pids;
    gone(10, @pids);
}
my $app = Recipe->serve('nut-cgi');
my $url = '/cgi-bin/nut';
my $rack = "host=rack\@localhost:$port";

scenario 'pages' => sub {
    wait_until(20, sub { $app->get("$url/upsstats.cgi?$rack")->{body} =~ /42/ });
    $app->answers("$url/upsstats.cgi", 200, qr/The rack/);
    $app->answers("$url/upsstats.cgi?$rack", 200, [ qr/The rack/, qr/42/, qr/90/ ]);
    my $r = $app->answers("$url/upsimage.cgi?$rack&display=upsload", 200, qr/\A\x89PNG/);
    like($r->{type}, qr{^image/png}, 'an image');
    $app->answers("$url/upsset.cgi", 200, qr/I_HAVE_SECURED|upsset\.conf/);
};

$app->stop(errors => 1);
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# smokeping: its pages, with what one round of its daemon has measured.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

# where it wants its pid, though it is not started
my $made = mkdir('/run/smokeping') ? '/run/smokeping' : undef;
END { rmdir $made if $made }

chown +(getpwnam 'smokeping')[ 2, 3 ], $made if $made;
# it measures once, for 20 seconds
my @daemon = qw(setpriv --reuid=smokeping --regid=smokeping --init-groups smokeping --debug);
must_run(\@daemon) if !-e '/var/lib/smokeping/Local/LocalMachine.rrd';
my $app = Recipe->serve('smokeping');
my $url = '/smokeping/smokeping.cgi';

scenario 'pages' => sub {
    $app->answers($url, 200, [ qr/SmokePing/i, qr{</html>}i ]);
    $app->answers("$url?target=Local", 200, qr/Local/);
    my $r = $app->answers("$url?target=Local.LocalMachine", 200, qr/LocalMachine/);
    my ($image) = $r->{body} =~ m{src="\.\./(smokeping/images/Local/LocalMachine[^"]*)"}i;
    ok($image, 'it has a graph') and $app->answers("/$image", 200, qr/\A\x89PNG/);
    isnt($app->get("$url?target=None.Such")->{code}, 200, 'a target that is not there');
    $app->answers('/smokeping/css/smokeping-screen.css', 200, qr/\{/);
};

$app->stop(errors => 1);
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# smokeping: its pages.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

# where it wants its pid, though it is not started
my $made = mkdir('/run/smokeping') ? '/run/smokeping' : undef;
END { rmdir $made if $made }

my $app = Recipe->serve('smokeping');
my $url = '/smokeping/smokeping.cgi';

scenario 'pages' => sub {
    $app->answers($url, 200, [ qr/SmokePing/i, qr{</html>}i ]);
    $app->answers("$url?target=Local", 200, qr/Local/);
    isnt($app->get("$url?target=None.Such")->{code}, 200, 'a target that is not there');
    $app->answers('/smokeping/css/smokeping-screen.css', 200, qr/\{/);
};

$app->stop(errors => 1);
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# BackupPC: its setuid program.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
spew("$tmp/passwords", "anna:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", 0644);
my $app = Recipe->serve('backuppc', { '/etc/backuppc/htpasswd' => "$tmp/passwords" });

scenario 'pages' => sub {
    $app->answers('/backuppc/index.cgi', 401, []);
    $app->answers('/backuppc/index.cgi', 200, [ qr/BackupPC/, qr/[Uu]nable to connect|not running|Error/ ],
        '-u', 'anna:secret');
    unlike($app->{bridge}->log, qr/Wrong user|config\.pl/, 'it is the user that it has to be');
    $app->answers('/backuppc/image/BackupPC_stnd.css', 200, qr/\{/);
};

$app->stop(errors => 1);
done_testing;

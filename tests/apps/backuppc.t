#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# BackupPC: its setuid program, without and with its server.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $run = '/run/backuppc';
my @files = map { "$run/BackupPC.$_" } qw(sock pid);
unlink @files;
END {
    unlink @files;
    rmdir $run if $run;
}
my $secret = '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=';
spew("$tmp/passwords", "anna:$secret\nbackuppc:$secret\n", 0644);
my $app = Recipe->serve('backuppc', { '/etc/backuppc/htpasswd' => "$tmp/passwords" });

scenario 'pages' => sub {
    $app->answers('/backuppc/index.cgi', 401, []);
    $app->answers('/backuppc/index.cgi', 200, [ qr/BackupPC/, qr/[Uu]nable to connect|not running|Error/ ],
        '-u', 'anna:secret');
    unlike($app->{bridge}->log, qr/Wrong user|config\.pl/, 'it is the user that it has to be');
    $app->answers('/backuppc/image/BackupPC_stnd.css', 200, qr/\{/);
};

scenario 'with its server' => sub {
    must_run([ qw(install -d -o backuppc -g www-data -m 750), $run ]);
    background('backuppc', '/usr/share/backuppc/bin/BackupPC');
    ok(wait_until(20, sub { -S "$run/BackupPC.sock" }), 'its server runs');
    my @admin = ('-u', 'backuppc:secret');
    $app->answers('/backuppc/index.cgi', 200, qr/BackupPC Server Status/, @admin);
    $app->answers('/backuppc/index.cgi?action=summary', 200, qr/Host Summary/, @admin);
    $app->answers('/backuppc/index.cgi?host=localhost', 200, qr/localhost/, @admin);
    unlike($app->get('/backuppc/index.cgi?action=summary', '-u', 'anna:secret')->{body},
        qr/localhost/, 'others do not see its hosts');
    # A setuid program is not for a preloader; the script that it starts is, as that user.
    my $script = Recipe->read('backuppc');
    $script->{lines} =~ s{/usr/lib/backuppc/cgi-bin/index.cgi}{/usr/share/backuppc/lib/realindex.cgi};
    $script->{command} =~ s{-u www-data -p \S+}{-u backuppc};
    $script->run($app->{swap});
    $script->same_preloaded(map { [ "/backuppc/index.cgi$_", @admin ] } '', '?action=summary', '?host=localhost');
    $script->stop(errors => 1);
};

$app->stop(errors => 1);
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# --check warns of what will not work: a socket that cannot be made, and what the scripts'
# user may not do with the directories and programs that are named.
use v5.36;
use Test::More;
use Bridge;

my $tmp = tmp();
mkdir "$tmp/open";
chmod 0755, "$tmp/open";
mkdir "$tmp/shut";
spew("$tmp/shut/program", "#!/bin/sh\n", 0755);
mkdir "$tmp/shut/dir";
chmod(is_root() ? 0700 : 0000, "$tmp/shut");

my @as = is_root() ? ('-u', 'nobody') : ();
my @good = ('-s', "unix:$tmp/open/s", '-r', "$tmp/open", '--handler', '.x=/bin/sh', '-p', '/bin/sh');

sub check (@args) { return run_program([ $Bridge::daemon, '--check', @args ]) }

# --check is content with the options, and warns just so.
sub warns ($name, $args, @lines) {
    my $r = check(@$args);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($r->{exit}, 0, "$name: exit status");
    is($r->{err}, join('', map { "cgibridge: warning: $_\n" } @lines), "$name: warnings");
}

scenario 'what is well is not warned of' => sub {
    warns('as we are', \@good);
    warns('as the user', [ @as, @good ]);
    warns('sockets without a directory', [ '-s', 'unix:@name', '-s', 'tcp:127.0.0.1:9000', '-s', 'unix:/x' ])
        if is_root();
    ok(!-e "$tmp/open/s", 'no socket is made');
};

scenario 'a socket that cannot be made' => sub {
    my $url = "unix:$tmp/nowhere/s";
    warns('no directory', [ '-s', $url ],
        "--socket '$url': no socket can be made in $tmp/nowhere: No such file or directory");
    spew("$tmp/file", '');
    $url = "unix:$tmp/file/s";
    warns('a file', [ '-s', $url ],
        "--socket '$url': no socket can be made in $tmp/file: Not a directory");
    return if is_root();
    $url = "unix:$tmp/shut/s";
    warns('closed', [ '-s', $url ],
        "--socket '$url': no socket can be made in $tmp/shut: Permission denied");
};

scenario 'what the scripts\' user may not do' => sub {
    warns('--root', [ @as, '-r', "$tmp/shut/dir" ],
        "--root '$tmp/shut/dir': Permission denied");
    warns('--root itself', [ @as, '-r', "$tmp/shut" ], "--root '$tmp/shut': Permission denied");
    warns('--program', [ @as, '-p', "$tmp/shut/program" ],
        "--program '$tmp/shut/program': Permission denied");
    warns('--handler', [ @as, '--handler', ".x=$tmp/shut/program -e" ],
        "--handler '.x=$tmp/shut/program -e': Permission denied");
    local $ENV{TMPDIR} = "$tmp/open";
    chmod 0555, "$tmp/open";
    warns('request bodies', [ @as ], is_root()
        ? "request bodies too large for memory cannot be held: $tmp/open: Permission denied: give --spool-dir"
        : ());
    chmod 0755, "$tmp/open";
    my $r = check(@as, '--spool-dir', "$tmp/shut");
    isnt($r->{exit}, 0, 'a --spool-dir that cannot be written to is an error');
    like($r->{err}, qr/--spool-dir '?\Q$tmp\E\/shut'?\b.*: Permission denied/, 'and named');
};

scenario 'root may do all, so only the user is asked' => sub {
    warns('as root', [ '-r', "$tmp/shut/dir", '-p', "$tmp/shut/program" ]) if is_root();
    pass('others are asked as they are');
};

chmod 0755, "$tmp/shut";
done_testing;

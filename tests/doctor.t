#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# fcgiget --doctor: each fault is made, found and has its cure; a script that is well has none.
use v5.36;
use IO::Socket::UNIX;
use POSIX ();
use Test::More;
use Bridge;
use FastCGI;

my $fcgiget = $ENV{FCGIGET} // './fcgiget';
my $user = is_root() ? 'nobody' : getpwuid($>);
my @as = is_root() ? ('--user', $user) : ();
my $good = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello\\n'\n";

sub doctor (@args) { return run_program([ $fcgiget, '--doctor', @args ], secs => slow(30)) }

# One fault that says this; the first cure, if it is given, says that.
sub finds ($name, $args, $fault, $cure = undef) {
    my $r = doctor(@$args);
    my ($first) = $r->{out} =~ /^FAULT  (.*)$/m;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($r->{exit}, 1, "$name: exit status");
    like($first // 'none', $fault, "$name: is found") or diag($r->{out}, $r->{err});
    my ($likeliest) = $r->{out} =~ /^FAULT  .*\n(?: {7}\|.*\n)* {5}1\. {2}(.*)$/m;
    like($likeliest // 'none', $cure, "$name: its cure") if defined $cure;
    return $r;
}

scenario 'a script that is well' => sub {
    my $r = doctor(@as, script('well', $good));
    is($r->{exit}, 0, 'exit status') or diag($r->{out}, $r->{err});
    unlike($r->{out}, qr/^FAULT/m, 'no fault');
    like($r->{out}, qr/^ok     $_: /m, "$_ is looked at") for qw(path file start header exit time);
    like($r->{out}, qr/status 200, and 6 bytes of body/, 'what it answers');
    like($r->{out}, qr/^\nNothing is at fault\.$/m, 'the verdict');
    is($r->{err}, '', 'standard error is empty');
};

scenario 'the path' => sub {
    my $shut = tmp() . '/shut';
    mkdir $shut;
    spew("$shut/x", $good, 0755);
    chmod is_root() ? 0700 : 0600, $shut;
    finds('closed directory', [ @as, "$shut/x" ], qr/^directory: \Q$shut\E is closed to $user: d/,
        qr/^let others through: chmod o\+x \Q$shut\E$/);
    chmod 0755, $shut;
    my $dir = cgi();
    finds('nothing there', [ @as, "$dir/nowhere/x" ],
        qr/^path: \Q$dir\E\/nowhere is not there; \Q$dir\E is$/, qr/spelling/);
    symlink '/no/such/target', "$dir/dangling";
    finds('dangling link', [ @as, "$dir/dangling" ],
        qr/is a symbolic link to \/no\/such\/target: No such/, qr/^make the link again/);
    finds('a directory', [ @as, $dir ], qr/^file: \Q$dir\E is a directory$/, qr/name the script/);
    finds('behind a file', [ @as, script('well', $good) . '/more' ],
        qr/is a file, and the path continues/, qr/PATH_INFO/);
};

my @files = (
    [ 'not executable', $good, 0644, qr/^mode: $user may not execute it: -rw-r--r-- /,
        qr/^chmod a\+rx / ],
    [ 'no interpreter', "#!/no/such/perl\n", 0755, qr/^interpreter: "\/no\/such\/perl", which/,
        qr/command -v perl$/ ],
    [ 'relative interpreter', "#!perl\n", 0755, qr/^interpreter: "perl"/, qr/command -v perl$/ ],
    [ 'interpreter is no program', "#!/etc/passwd\n", 0755,
        qr/^interpreter: $user may not execute "\/etc\/passwd"/, qr/is it a program/ ],
    [ 'CR LF', "#!/bin/sh\r\necho\r\n", 0755, qr/^first line: it ends with CR LF/,
        qr/^sed -i 's\/\\r\$\/\/' / ],
    [ 'byte order mark', "\xef\xbb\xbf$good", 0755, qr/^first line: a byte order mark/,
        qr/^sed -i '1s\/\^\\xef\\xbb\\xbf\/\/' / ],
    [ 'UTF-16', "\xff\xfe#\0!\0", 0755, qr/^first line: it is in UTF-16/, qr/^iconv / ],
    [ 'empty', '', 0755, qr/^first line: the file is empty/, qr/make its first line/ ],
    [ 'no #!', "echo\n", 0755, qr/has no "#!" line/, qr/make its first line/ ],
    [ 'nothing after #!', "#!\necho\n", 0755, qr/"#!" is there, without a program after it/,
        qr/make its first line/ ],
    [ 'late #!', "\n$good", 0755, qr/not at the very beginning/, qr/make its first line/ ],
    [ 'another machine', "\x7fELF\x01\x01\x01" . "\0" x 60, 0755,
        qr/^program: it was built for another kind of machine/, qr/^compare: file / ],
);

scenario 'the file' => sub {
    finds($_->[0], [ @as, script('patient', @$_[1, 2]) ], @$_[3, 4]) for @files;
    like(doctor(@as, script('patient', $good, 0111))->{out},
        qr/^note   mode: $user may not read it/m, 'its interpreter has to read it');
    like(doctor(@as, script('patient', "${good}true # \r\n"))->{out},
        qr/^note   text: lines of it end with CR LF/m, 'CR LF in the middle may be on purpose');
};

scenario 'a file system without execution' => sub {
    my $dir = tmp() . '/noexec';
    mkdir $dir;
    spew(tmp() . '/well', $good, 0755);
    my $in = join ' && ', "mount -t tmpfs -o noexec,mode=755 none $dir",
        'cp ' . tmp() . "/well $dir/x", "exec $fcgiget --doctor --user " .
        (is_root() ? 'nobody' : 'root') . " $dir/x";
    my $r = run_program([ is_program('unshare', 'util-linux'), is_root() ? '-m' : '-rm',
        'sh', '-c', $in ], secs => slow(30));
    is($r->{exit}, 1, 'exit status') or diag($r->{err});
    like($r->{out}, qr/^FAULT  mount: its file system is mounted noexec\n     1\.  move the script/m,
        'is found, with its cure') or diag($r->{out});
};

my @runs = (
    [ 'silent', 'exit 0', qr/^output: it wrote nothing/, qr/standard error/ ],
    [ 'no header block', 'echo hello', qr/^header: what it wrote is not a CGI response/,
        qr/^write the header block first/ ],
    [ 'no CGI field', 'printf "X-A: b\\n\\nhello"', qr/^header: none of Content-Type/,
        qr/^write a Content-Type/ ],
    [ 'exit status', 'printf "Content-Type: a/b\\n\\n"; exit 3', qr/^exit: status 3$/,
        qr/^run it by hand as this user/ ],
    [ 'no such command', 'no-such-command-here', qr/^exit: status 127$/, qr/^PATH is a service's/ ],
    [ 'no program', 'exit 126', qr/^exit: status 126$/, qr/^126: a command was found/ ],
    [ 'out of memory', 'kill -KILL $$', qr/^exit: signal 9 ended it/, qr/^out of memory/ ],
    [ 'a forbidden call', 'kill -SYS $$', qr/^exit: signal 31 ended it/, qr/^SystemCallFilter=/ ],
    [ 'a signal', 'kill -SEGV $$', qr/^exit: signal 11 ended it/, qr/fault of the program/ ],
    [ 'a module of Perl', "exec perl -e 'use No::Such::Module;'", qr/^exit: status /,
        qr/install the Perl module/ ],
    [ 'its own 500', 'printf "Status: 500 x\\n\\n"', qr/^header: it answers with status 500 itself/,
        qr/its own log/ ],
    [ 'a process left behind', 'printf "Content-Type: a/b\\n\\n"; sleep 60 &',
        qr/^output: it has exited, and a process/, qr/<\/dev\/null/ ],
    [ 'no end', 'exec sleep 60', qr/^time: no end within 1 s/, qr/wait for input/, '-t', '1s' ],
    [ 'no end, in another process group', q{exec perl -e 'setpgrp 0, getpgrp getppid; sleep 60'},
        qr/^time: no end within 1 s/, qr/wait for input/, '-t', '1s' ],
);

scenario 'the run' => sub {
    for my $case (@runs) {
        my ($name, $text, $fault, $cure, @more) = @$case;
        finds($name, [ @as, @more, script('patient', "#!/bin/sh\n$text\n") ], $fault, $cure);
    }
};

scenario 'what the script is given, and what of it is shown' => sub {
    my $r = doctor(@as, '-p', 'REMOTE_USER=me', script('teller', <<~'SH') . '?a=b');
        #!/bin/sh
        echo "$PWD $QUERY_STRING $REMOTE_USER ${HOME-none} $PATH" >&2
        printf 'evil \033[31m\n' >&2
        cat >&2
        printf 'Content-Type: text/plain\n\n'
        SH
    my $dir = cgi();
    like($r->{out}, qr/^       \| \Q$dir\E a=b me none \/usr\/local\/sbin:/m, 'its surroundings');
    like($r->{out}, qr/evil \\x1b\[31m/, 'no control character reaches the terminal');
    is($r->{exit}, 0, 'words on standard error are no fault');
};

scenario 'through the server' => sub {
    my $bridge = Bridge->start;
    my @s = ('-s', $bridge->url('unix'));
    is(doctor(@s, script('well', $good))->{exit}, 0, 'a script that is well');
    my $r = finds('a file that cannot run', [ @s, @as, script('patient', $good, 0644) ], qr/^mode: /,
        qr/^chmod /);
    like($r->{out}, qr/^note   server: asked at /m, 'the server was asked');
    finds('exit status', [ @s, @as, script('patient', "$good\nexit 3\n") ], qr/^exit: status 3$/);
    finds('no header', [ @s, @as, script('patient', "#!/bin/sh\necho x\n") ],
        qr/^answer: status 500$/, qr/^cgibridge's log has a line/);
    $bridge->stop;
    $bridge = Bridge->start(args => [ '--root', '/usr' ]);
    @s = ('-s', $bridge->url('unix'));
    finds('not below --root', [ @s, @as, script('well', $good) ], qr/^answer: status 403$/,
        qr/^it is not below --root/);
    $bridge->stop;
    finds('no server', [ @s, @as, script('well', $good) ], qr/^server: nothing answers at unix:/,
        qr/does it run/);
};

# A server that takes one connection, answers with these bytes, and closes it; undef: it is silent.
sub fake ($bytes) {
    state $number = 0;
    my $path = tmp() . '/fake' . $number++;
    my $server = IO::Socket::UNIX->new(Local => $path, Listen => 5) or die "$path: $!\n";
    chmod 0666, $path;
    my $pid = fork // die "fork: $!\n";
    return { pid => $pid, url => "unix:$path" } if $pid;
    my $c = $server->accept;
    sysread $c, my $request, 65536;
    sleep 60 unless defined $bytes;
    syswrite $c, $bytes;
    shutdown $c, 1;
    1 while sysread $c, my $rest, 65536; # unread, it would cost the client the answer
    POSIX::_exit(0);
}

sub status ($status) {
    return FastCGI::record(FastCGI::STDOUT_, 1, "Status: $status\r\n\r\n")
        . FastCGI::record(FastCGI::END_REQUEST, 1, pack 'NCx3', 0, 0);
}

my @servers = (
    [ 'not there for the server', status(404), qr/^answer: status 404$/, qr/^there is no such file/ ],
    [ 'too many scripts', status(503), qr/^answer: status 503$/, qr/^--max-scripts run already/ ],
    [ 'too slow for the server', status(504), qr/^answer: status 504$/, qr/longer than --timeout/ ],
    [ 'overloaded', FastCGI::record(FastCGI::END_REQUEST, 1, pack "NCx3", 0, FastCGI::OVERLOADED),
        qr/^server: it refused the request: OVERLOADED/, qr/--queue are used up/ ],
    [ 'no server of FastCGI', "HTTP/1.1 400 Bad Request\r\n\r\n", qr/^server: /,
        qr/another FastCGI server/ ],
    [ 'complaints', FastCGI::record(FastCGI::STDERR_, 1, 'oh no') . status(404), qr/^answer: status/ ],
    [ 'a server that hangs', undef, qr/^time: no end within 1 s/, undef, '-t', '1s' ],
);

scenario 'what the server may answer' => sub {
    for my $case (@servers) {
        my ($name, $bytes, $fault, $cure, @more) = @$case;
        my $server = fake($bytes);
        finds($name, [ '-s', $server->{url}, @as, @more, script('well', $good) ], $fault, $cure);
        kill 'KILL', $server->{pid};
        waitpid $server->{pid}, 0;
    }
};

scenario 'words that do not fit' => sub {
    for my $args ([ '-n', 2, 'x' ], [ '--check', '-s', 'unix:/x', 'x' ], [ '-d', 'x', 'x' ], [ '-v', 'x' ],
        [ '--user', 'no-such-user', 'x' ], [], is_root() ? [ '/bin/true' ] : ()) {
        my $r = doctor(@$args);
        ok($r->{exit} == 2 || "@$args" =~ /check/ && $r->{exit} == 3, "@$args: exit status");
        is($r->{err} =~ tr/\n//, 1, 'one line on standard error') or diag($r->{err});
    }
};

done_testing;

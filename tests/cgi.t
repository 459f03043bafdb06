#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# What a script finds: its environment, descriptors, signals, groups, directory
# and name; and what becomes of its exit status.  RFC 3875 from inside.
use v5.36;
no warnings 'portable'; # masks have 64 bits
use Fcntl;
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $dir = Bridge::cgi();
my $tmp = Bridge::tmp();

# A daemon with a rich environment and descriptors it did not ask for.
my @spare;
my $bridge = Bridge->start(
    cwd => '/usr',
    env => {
        FROM_DAEMON => 'inherited', HTTP_FROM_DAEMON => 'leaked', HTTP_PROXY => 'leaked',
        QUERY_STRING => 'leaked', REMOTE_USER => 'leaked', CONTENT_LENGTH => '5',
        AUTH_TYPE => 'leaked', PATH_INFO => '/leaked', SCRIPT_NAME => '/leaked', HTTPS => 'on',
        LISTEN_FDS => 0, LISTEN_PID => 1, LISTEN_FDNAMES => 'leaked', NOTIFY_SOCKET => '/leaked',
        SERVER_SOFTWARE => 'leaked', GATEWAY_INTERFACE => 'leaked', LANG => 'C.UTF-8',
        'odd-name' => 'kept', X_TEST => 'the daemon\'s',
    },
    child => sub {
        for my $fd (5, 9, 42) {
            POSIX::dup2(POSIX::open('/etc/passwd', O_RDONLY), $fd);
        }
        my $blocked = POSIX::SigSet->new(POSIX::SIGUSR1(), POSIX::SIGALRM());
        POSIX::sigprocmask(POSIX::SIG_BLOCK(), $blocked);
        $SIG{$_} = 'IGNORE' for qw(HUP PIPE USR2 CHLD TTOU);
    },
);

# The environment of a script as a list of [name, value], in order.
sub environment ($kind, @params) {
    my $r = $bridge->get($kind, 'environ', \@params);
    return map { [ split /=/, $_, 2 ] } split /\0/, FastCGI::body($r);
}

sub values_of ($name, @env) { return map { $_->[1] } grep { $_->[0] eq $name } @env }

on_both 'the request\'s parameters' => sub ($kind) {
    my @params = (REMOTE_USER => 'someone', QUERY_STRING => 'a=b&c=%20d',
        HTTP_HOST => 'localhost:8080', HTTP_ACCEPT => "text/html;q=0.9, */*", X_ANY => 'thing',
        X_NEWLINE => "a\nb", X_UTF8 => "\xc3\xa4", HTTPS => 'on');
    my @env = environment($kind, @params);
    my %want = @params;
    for (sort keys %want) {
        is_deeply([ values_of($_, @env) ], [ $want{$_} ], $_);
    }
    is_deeply([ values_of('GATEWAY_INTERFACE', @env) ], ['CGI/1.1'], 'GATEWAY_INTERFACE');
};

on_both 'each name is there once' => sub ($kind) {
    my @env = environment($kind, HTTP_X_A => 'one', X_LAST => 'one', HTTP_COOKIE => 'a=1',
        HTTP_X_A => 'two', X_LAST => 'two', HTTP_COOKIE => 'b=2', HTTP_X_A => 'three',
        X_TEST => 'the request\'s', QUERY_STRING => 'old', QUERY_STRING => 'new');
    my %count;
    $count{ uc $_->[0] }++ for @env;
    is_deeply([ grep { $count{$_} > 1 } keys %count ], [], 'none twice');
    is_deeply([ values_of('HTTP_X_A', @env) ], ['one, two, three'], 'repeated HTTP_* are joined');
    is_deeply([ values_of('HTTP_COOKIE', @env) ], ['a=1; b=2'], 'cookies by "; "');
    is_deeply([ values_of('X_LAST', @env) ], ['two'], 'of any other the last wins');
    is_deeply([ values_of('QUERY_STRING', @env) ], ['new'], 'of a meta-variable too');
    is_deeply([ values_of('X_TEST', @env) ], ['the request\'s'], 'the request wins over the daemon');
};

on_both 'the daemon\'s environment below' => sub ($kind) {
    my @env = environment($kind);
    is_deeply([ values_of('FROM_DAEMON', @env) ], ['inherited'], 'is inherited');
    is_deeply([ values_of('LANG', @env) ], ['C.UTF-8'], 'LANG');
    is_deeply([ values_of('PATH', @env) ], [ $ENV{PATH} ], 'PATH');
    is_deeply([ map { $_->[0] } grep { $_->[1] =~ /leaked/ } @env ], [],
        'less meta-variables, HTTP_* and what is the daemon\'s own');
    is_deeply([ map { $_->[0] } grep { $_->[0] =~ /^(?:LISTEN_|NOTIFY_SOCKET|FCGI_|CGIBRIDGE_)/ } @env ],
        [], 'no LISTEN_*, NOTIFY_SOCKET, FCGI_*, CGIBRIDGE_*');
    is_deeply([ values_of($_, @env) ], [], "no $_") for qw(HTTPS REMOTE_USER CONTENT_LENGTH PATH_INFO);
};

on_both 'what is addressed to the bridge stays there' => sub ($kind) {
    my @env = environment($kind, FCGI_CHDIR => '/', CGIBRIDGE_TIMEOUT => '10');
    is_deeply([ grep { $_->[0] =~ /^(?:FCGI_CHDIR|CGIBRIDGE_)/ } @env ], [], 'not passed on');
};

scenario 'a daemon without an environment' => sub {
    my $bare = Bridge->start(unset => [ keys %ENV ]);
    my $r = $bare->get('unix', 'environ');
    my ($path) = FastCGI::body($r) =~ /(?:^|\0)PATH=([^\0]*)/;
    like($path // '', qr{(?:^|:)/usr/bin(?::|$)}, 'PATH is there and sane');
    unlike($path // '', qr/(?:^|:)(?:\.|:|$)/, 'and has not the current directory');
    my ($user) = FastCGI::body($r) =~ /\0?(TERM|HOME)=/;
    is($user, undef, 'nothing else was made up');
    $bare->stop;
};

on_both 'descriptors' => sub ($kind) {
    # others at work: their pipes must not leak either
    my $c = $bridge->connect($kind);
    my $hold = $bridge->start_waiting($c);
    my $r = $bridge->get($kind, 'fds');
    my %fd = map { /^(\d+) (.*)/ } split /\n/, FastCGI::body($r);
    is_deeply([ sort keys %fd ], [ 0, 1, 2 ], 'only 0, 1 and 2') or diag(explain(\%fd));
    my $posted = $bridge->get($kind, 'fds', [], body => 'body');
    my %posted = map { /^(\d+) (.*)/ } split /\n/, FastCGI::body($posted);
    is_deeply([ sort keys %posted ], [ 0, 1, 2 ], 'with a body too') or diag(explain(\%posted));
    $bridge->end_waiting($c, $hold);
};

sub process ($kind, @params) {
    my $r = $bridge->get($kind, 'process', \@params);
    my %p = map { /^(\w+):?\s+(.*)/ } split /\n/, FastCGI::body($r);
    return \%p;
}

on_both 'signals' => sub ($kind) {
    my $p = process($kind);
    is($p->{SigBlk}, '0' x 16, 'none is blocked');
    # 32 and 33 are the C library's own: it lets nobody change them
    is(hex($p->{SigIgn}) & ~0x180000000, 0, 'none is ignored');
};

on_both 'process group and session' => sub ($kind) {
    my $p = process($kind);
    my (undef, $ppid, $pgrp, $session) = split ' ', $p->{stat} =~ s/^.*\) //r;
    is($pgrp, $p->{pid}, 'a process group of its own');
    is((grep { $_ == $ppid } $bridge->workers), 1, 'a child of a worker');
    is($session, $ppid, 'its worker\'s session');

};

# In a process to be: a session of its own, with a terminal that is there as long as it.
sub take_terminal () {
    POSIX::setsid();
    my $master = POSIX::open('/dev/ptmx', O_RDWR | O_NOCTTY) // die "ptmx: $!\n";
    my $unlocked = pack 'i', 0;
    my $number = pack 'I', 0;

    open my $fh, '+<&=', $master or die "ptmx: $!\n";
    # processors have it that bit 30 or 31 stands for writing
    ioctl $fh, 0x40045431, $unlocked or ioctl $fh, 0x80045431, $unlocked or die "TIOCSPTLCK: $!\n";
    ioctl $fh, 0x80045430, $number or ioctl $fh, 0x40045430, $number or die "TIOCGPTN: $!\n";
    POSIX::open('/dev/pts/' . unpack('I', $number), O_RDWR) // die "pts: $!\n";
    POSIX::dup($master); # what perl opened goes with the exec
}

sub terminal_of ($stat) { return (split ' ', $stat =~ s/^.*\) //r)[4] }

scenario 'a daemon in a terminal' => sub {
    my $there = Bridge->start(child => \&take_terminal);
    my ($stat) = FastCGI::body($there->get('unix', 'process')) =~ /^stat (.*)/m;
    isnt(terminal_of(Bridge::slurp('/proc/' . $there->pid . '/stat')), 0, 'it has one');
    is(terminal_of($stat), 0, 'its scripts have none');
    $there->stop;
};

on_both 'working directory' => sub ($kind) {
    is(process($kind)->{cwd}, $dir, 'the script\'s directory');
    mkdir "$tmp/elsewhere";
    is(process($kind, FCGI_CHDIR => "$tmp/elsewhere")->{cwd}, "$tmp/elsewhere",
        'FCGI_CHDIR names another');
    is(process($kind, FCGI_CHDIR => '-')->{cwd}, '/usr', 'FCGI_CHDIR "-": the daemon\'s stays');
    my $r = $bridge->get($kind, 'hello', [ FCGI_CHDIR => "$tmp/none" ]);
    like($r->{out}, qr/\AStatus: (?:404|403|500) /, 'FCGI_CHDIR that is not there: refused');
    symlink $dir, "$tmp/way-$kind";
    is(process($kind, SCRIPT_FILENAME => "$tmp/way-$kind/process")->{cwd}, $dir,
        'through a symbolic link');
};

on_both 'the path is executed as given' => sub ($kind) {
    symlink 'name', "$dir/other-name" if !-l "$dir/other-name";
    is(FastCGI::body($bridge->get($kind, 'name')), "$dir/name\n", 'the script\'s own name');
    is(FastCGI::body($bridge->get($kind, 'other-name')), "$dir/other-name\n",
        'a symbolic link keeps its name');
};

scenario 'a multicall program sees the link\'s name' => sub {
    my $cc = $ENV{CC} || is_program('cc', 'gcc');
    spew("$tmp/multi.c", <<~'C');
        #include <stdio.h>
        int main(int argc, char **argv)
        {
            printf("Content-Type: text/plain\n\n%d %s\n", argc, argv[0]);
            return 0;
        }
        C
    my $r = run_program([ (split ' ', $cc), '-o', "$dir/multi", "$tmp/multi.c" ], secs => 60);
    is($r->{exit}, 0, 'compiled') or diag($r->{err});
    symlink 'multi', "$dir/call-$_" for qw(one two);
    for my $name (qw(multi call-one call-two)) {
        for my $kind (qw(unix tcp)) {
            is(FastCGI::body($bridge->get($kind, $name)), "1 $dir/$name\n", "$name ($kind)");
        }
    }
};

on_both 'no argument from a query' => sub ($kind) {
    script('argc', "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s\\n' \$#\n");
    is(FastCGI::body($bridge->get($kind, 'argc', [ QUERY_STRING => 'a+b' ])), "0\n",
        'argv holds the name alone');
};

on_both 'paths' => sub ($kind) {
    # every form a front end sends is in traps.t; here what the RFC asks
    my $env = sub (@params) {
        return { map { @$_ } environment($kind, @params) };
    };
    my $e = $env->(PATH_INFO => '/a/b');
    is($e->{PATH_INFO}, '/a/b', 'PATH_INFO');
    is($e->{PATH_TRANSLATED}, "$dir/a/b", 'PATH_TRANSLATED is PATH_INFO below the document root');
    is($e->{SCRIPT_NAME}, '/environ', 'SCRIPT_NAME');
    $e = $env->();
    ok(!exists $e->{PATH_TRANSLATED}, 'no PATH_INFO: no PATH_TRANSLATED');
    $e = $env->(PATH_INFO => '/a', PATH_TRANSLATED => '/front/end/a');
    is($e->{PATH_TRANSLATED}, '/front/end/a', 'one the front end has sent stays');
    $e = $env->(SCRIPT_FILENAME => "$dir/environ/a%20b/\xc3\xa4/", SCRIPT_NAME =>
        "/environ/a%20b/\xc3\xa4/");
    is($e->{PATH_INFO}, "/a%20b/\xc3\xa4/", 'PATH_INFO is split off byte for byte');
    $e = $env->(SCRIPT_FILENAME => "$dir/environ/", SCRIPT_NAME => '/environ/');
    is($e->{PATH_INFO}, '/', 'a slash behind the script is PATH_INFO');
    is($e->{SCRIPT_NAME}, '/environ', 'and not in SCRIPT_NAME');
    $e = $env->(SCRIPT_NAME => '/prefix/environ/x', SCRIPT_FILENAME => "$dir/environ/x");
    is($e->{SCRIPT_NAME}, '/prefix/environ', 'SCRIPT_NAME with a prefix the path has not');
};

on_both 'exit status' => sub ($kind) {
    for my $status (0, 1, 3, 126, 127, 255) {
        my $r = $bridge->get($kind, 'exits', [ QUERY_STRING => $status ]);
        is($r->{end}{app}, $status, "appStatus of exit $status");
        is($r->{end}{status}, FastCGI::REQUEST_COMPLETE, 'REQUEST_COMPLETE');
        is(FastCGI::body($r), "exit $status\n", 'and the output');
    }
    # with a length its answer is whole, however it ends; else nobody knows
    script('dies-whole', <<~'SH');
        #!/bin/sh
        printf 'Content-Type: text/plain\nContent-Length: 6\n\nwhole\n'
        kill -s "$QUERY_STRING" $$
        SH
    my %signal = (TERM => 15, KILL => 9, USR1 => 10);
    for my $name (sort keys %signal) {
        my $r = $bridge->get($kind, 'dies-whole', [ QUERY_STRING => $name ]);
        is($r->{end}{app}, 128 + $signal{$name}, "appStatus of a script that dies of SIG$name");
        is(FastCGI::body($r), "whole\n", 'and the output');
        my $c = $bridge->connect($kind);
        $r = $c->start(1, $bridge->params('dies', QUERY_STRING => $name));
        is($c->wait_close, 'eof', 'without a length: EOF');
        is($r->{end}, undef, 'and no END');
        is(FastCGI::body($r), "signal $name\n", 'behind the output');
    }
};

on_both 'a script that dies before it says anything' => sub ($kind) {
    my $mark = $bridge->mark;
    my $r = $bridge->get($kind, 'silent', [ QUERY_STRING => 7 ]);
    like($r->{out}, qr/\AStatus: 50[02] /, 'an error page');
    is($r->{end}{app}, 7, 'appStatus all the same');
    ok($bridge->wait_for_log(qr{\Q$dir\E/silent}, 5, from => $mark), 'a log line names it');
};

on_both 'stderr' => sub ($kind) {
    my $mark = $bridge->mark;
    my $r = $bridge->get($kind, 'complains');
    is(FastCGI::body($r), "fine\n", 'is no part of the output');
    is($r->{err}, '', 'nor sent to the client');
    ok($bridge->wait_for_log(qr/complaint one.*\n(?:.*\n)*.*complaint two/, 5, from => $mark),
        'but logged');
};

scenario 'stderr to the client (-f)' => sub {
    for my $args ([ '-f' ], [ '--stderr', 'client' ]) {
        my $other = Bridge->start(args => $args);
        for my $kind (qw(unix tcp)) {
            my $r = $other->get($kind, 'complains');
            is(FastCGI::body($r), "fine\n", "the output (@$args, $kind)");
            is($r->{err}, "complaint one\ncomplaint two\n", 'and all of stderr');
        }
        unlike($other->log, qr/complaint/, 'which is not logged then');
        $other->stop("cgibridge @$args");
    }
};

scenario 'stderr discarded' => sub {
    my $other = Bridge->start(args => [ '--stderr', 'discard' ]);
    my $r = $other->get('unix', 'complains');
    is(FastCGI::body($r), "fine\n", 'the output');
    is($r->{err}, '', 'no stderr to the client');
    unlike($other->log, qr/complaint/, 'nor in the log');
    $other->stop;
};

scenario 'a flood of stderr' => sub {
    script('floods', <<~'SH');
        #!/bin/sh
        i=0
        while [ $i -lt 2000 ]; do
            echo "line $i of a flood that nobody wants to read, over and over again" >&2
            i=$((i + 1))
        done
        printf 'Content-Type: text/plain\n\nover\n'
        SH
    my $r = $bridge->get('unix', 'floods');
    is(FastCGI::body($r), "over\n", 'before the header block: does not block the answer');
    my $other = Bridge->start(args => ['-f']);
    $r = $other->get('unix', 'floods');
    is(FastCGI::body($r), "over\n", 'nor when it goes to the client');
    $other->stop;
};

# ---- RFC 3875 where no other file shows it: tests/README has the table --------------

on_both 'RFC 3875 4.1: empty is as good as unset' => sub ($kind) {
    my $env = sub (@params) {
        return { map { @$_ } environment($kind, @params) };
    };
    is($env->(SCRIPT_FILENAME => '')->{SCRIPT_FILENAME}, "$dir/environ",
        'SCRIPT_FILENAME: made of the others');
    my $e = $env->(PATH_INFO => '', CONTENT_LENGTH => '', CONTENT_TYPE => '');
    ok(!exists $e->{PATH_TRANSLATED}, 'PATH_INFO: no PATH_TRANSLATED');
    ok(!exists $e->{CONTENT_LENGTH}, 'CONTENT_LENGTH: not there');
    is($e->{$_} // '', '', "$_: nothing is made up") for qw(PATH_INFO CONTENT_TYPE QUERY_STRING);
    is(process($kind, FCGI_CHDIR => '')->{cwd}, $dir, 'FCGI_CHDIR: the script\'s directory');
};

# What the client gets of a script that writes this, when nothing is mended.
my $strict = Bridge->start(args => ['--strict-headers']);
sub says ($kind, $text) { return $strict->get($kind, 'says', [ TEST_SAY => $text ]) }

on_both 'RFC 3875 6.2: at least one CGI field' => sub ($kind) {
    my %status = ("Content-Type: a/b\n" => 200, "Location: /x\n" => 302, "Status: 201 Made\n" => 201);
    for (sort keys %status) {
        for my $text ($_, lc, "X-Other: 1\n$_", "${_}X-Other: 1\n") {
            is(FastCGI::status(says($kind, "$text\nbody")), $status{$_}, $text =~ s/\n/ /gr);
        }
    }
    for my $text ('', "X-Other: 1\n", "Content-Length: 4\n", "Content-Types: a/b\n") {
        my $mark = $strict->mark;
        is(FastCGI::status(says($kind, "$text\nbody")), 500, 'none: 500: ' . $text =~ s/\n/ /gr);
        $strict->one_warning($mark, qr/none of Content-Type, Location and Status/);
    }
};

on_both 'RFC 3875 6.3: no CGI field twice, and no folding' => sub ($kind) {
    for my $name ('Content-Type', 'Location', 'Status', 'Content-Length') {
        my $value = $name eq 'Status' ? '200 OK' : $name eq 'Content-Length' ? 4 : '/x';
        my $mark = $strict->mark;
        my $r = says($kind, "$name: $value\nX-Other: 1\n\L$name\E: $value\n\nbody");
        is(FastCGI::status($r), 500, "$name twice: 500");
        $strict->one_warning($mark, qr/more than one $name;/);
    }
    for my $blank (' ', "\t") {
        my $mark = $strict->mark;
        my $r = says($kind, "Content-Type: text/plain\nX-Long: a\n${blank}b\n\nbody");
        is(FastCGI::status($r), 500, 'a folded line: 500');
        $strict->one_warning($mark, qr/starts with a blank \(folding is not allowed\)/);
    }
    my $r = says($kind, "Content-Type: a/b\nSet-Cookie: a\nSet-Cookie: b\n\nbody");
    is($r->{out}, FastCGI::head('Content-Type: a/b', 'Set-Cookie: a',
        'Set-Cookie: b') . 'body', 'any other may come twice');
};

$strict->stop;

# ---- what may run -----------------------------------------------------------------

scenario '--program' => sub {
    my $other = Bridge->start(args => [ '-p', "$dir/hello", '--program', "$dir/name" ]);
    symlink 'hello', "$dir/hello-link";
    for my $kind (qw(unix tcp)) {
        is(FastCGI::body($other->get($kind, 'hello')), "hello\n", "a script of the list ($kind)");
        is(FastCGI::body($other->get($kind, 'name')), "$dir/name\n", 'another');
        my $mark = $other->mark;
        is(FastCGI::status($other->get($kind, 'environ')), 403, 'one that is not: 403');
        ok($other->wait_for_log(qr{\Q$dir\E/environ}, 5, from => $mark), 'and a log line');
        is(FastCGI::status($other->get($kind, 'hello-link')), 403, 'the paths are compared as given');
        is(FastCGI::body($other->get($kind, 'x', [
            SCRIPT_FILENAME => "proxy:fcgi://localhost$dir/hello?a", SCRIPT_NAME => '/hello' ])),
            "hello\n", 'without what a proxy: URL has around it');
        is(FastCGI::body($other->get($kind, 'hello/info')), "hello\n", 'and without PATH_INFO');
    }
    $other->stop;
};

scenario '--root' => sub {
    mkdir "$tmp/$_" for qw(root root/sub root2 rootless);
    spew("$tmp/$_/script", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nran\\n'\n", 0755)
        for qw(root root/sub root2 rootless);
    symlink "$tmp/rootless/script", "$tmp/root/out";
    symlink "../rootless", "$tmp/root/way-out";
    symlink "sub/script", "$tmp/root/in";
    symlink "$tmp/root", "$tmp/link-to-root";
    my $other = Bridge->start(args => [ '-r', "$tmp/link-to-root", '--root', "$tmp/root2/" ]);
    my %status = (
        'root/script' => 200, 'root/sub/script' => 200, 'root2/script' => 200, 'root/in' => 200,
        'link-to-root/script' => 200, 'rootless/script' => 403, 'root/out' => 403,
        'root/way-out/script' => 403, 'root/../rootless/script' => 403, 'root/sub/../script' => 200,
        'root/none' => 404,
    );
    for my $kind (qw(unix tcp)) {
        for my $path (sort keys %status) {
            my $r = FastCGI->ask($other->url($kind),
                [ SCRIPT_FILENAME => "$tmp/$path", REQUEST_METHOD => 'GET' ]);
            is(FastCGI::status($r), $status{$path}, "$path: $status{$path} ($kind)");
            is(FastCGI::body($r), "ran\n", 'it ran') if $status{$path} == 200;
            unlike(FastCGI::body($r), qr/ran/, 'it did not run') if $status{$path} != 200;
        }
    }
    $other->stop;
};

scenario '--program and --root together' => sub {
    my $other = Bridge->start(args => [ '-p', "$dir/hello", '-p', "$tmp/rootless/script", '-r', $dir ]);
    my $status = sub ($path) {
        return FastCGI::status(FastCGI->ask($other->url('unix'),
            [ SCRIPT_FILENAME => $path, REQUEST_METHOD => 'GET' ]));
    };
    is($status->("$dir/hello"), 200, 'both allow it');
    is($status->("$dir/name"), 403, 'only --root does');
    is($status->("$tmp/rootless/script"), 403, 'only --program does');
    $other->stop;
};

# ---- handlers, arguments -----------------------------------------------------------

# Answers with its arguments, a line each, and whether it may be executed.
my $arguments = <<'SH';
printf 'Content-Type: text/plain\n\n'
printf '%s\n' "$0" "$@"
SH

scenario '--handler' => sub {
    script('by.handler', $arguments, 0644);
    script('own.handler', "#!/bin/sh\necho Content-Type: text/plain; echo; echo its own", 0755);
    script('status.handler', "printf 'Content-Type: text/plain\\n\\n'; printenv REDIRECT_STATUS", 0644);
    script('closed.handler', $arguments, 0000);
    script('by.gone', $arguments, 0644);
    my $other = Bridge->start(args => [ '--handler', '.handler=/bin/sh',
        '--handler', '.gone=/no/such/program' ]);
    for my $kind (qw(unix tcp)) {
        is(FastCGI::body($other->get($kind, 'by.handler')), "$dir/by.handler\n",
            "run by its handler, without an x bit ($kind)");
        is(FastCGI::body($other->get($kind, 'own.handler')), "its own\n",
            'but not with a "#!" line and an x bit');
        is(FastCGI::body($other->get($kind, 'status.handler')), "200\n",
            'REDIRECT_STATUS is there, for php-cgi');
        is(FastCGI::body($other->get($kind, 'status.handler', [ REDIRECT_STATUS => '404' ])), "404\n",
            'and is that of the front end if it has one');
        is(FastCGI::body($other->get($kind, 'by.handler/info')), "$dir/by.handler\n",
            'with PATH_INFO too');
        is(FastCGI::body($other->get($kind, 'hello')), "hello\n", 'others run as ever');
        my $mark = $other->mark;
        is(FastCGI::status($other->get($kind, 'by.gone')), 500, 'no such handler: 500');
        ok($other->wait_for_log(qr{\Q$dir\E/by\.gone: cannot execute its handler /no/such/program: No such},
            5, from => $mark), 'and the log names both');
        is(FastCGI::status($other->get($kind, 'none.handler')), 404, 'no such script: 404');
    }
    $other->stop;
    $other = Bridge->start(args => [ '--handler-always', '--handler',
        qq{.handler=/bin/sh -c '. "\$1"' "two words"} ]);
    is(FastCGI::body($other->get('unix', 'by.handler')), "two words\n$dir/by.handler\n",
        'a handler with arguments');
    is(FastCGI::body($other->get('unix', 'own.handler')), "its own\n", 'is run for all by --handler-always');
    $other->stop;
    if (Bridge::is_root()) {
        $other = Bridge->start(args => [ '--handler', '.handler=/bin/sh' ], user => 'nobody');
        is(FastCGI::status($other->get('tcp', 'closed.handler')), 403, 'one that cannot be read: 403');
        $other->stop;
    }
};

scenario '--query-args' => sub {
    script('arguments', "#!/bin/sh\n$arguments");
    script('arguments.handler', $arguments, 0644);
    my $other = Bridge->start(args => [ '--query-args', '--handler', '.handler=/bin/sh' ]);
    my %cases = (
        'a+b%20c+-d' => "a\nb c\n-d\n", 'a=b' => '', 'a+b=c' => '', '' => '', 'a+%00' => '',
        '%24%28id%29+%3Bx' => "\$(id)\n;x\n",
    );
    for my $kind (qw(unix tcp)) {
        for my $name (qw(arguments arguments.handler)) {
            for my $query (sort keys %cases) {
                is(FastCGI::body($other->get($kind, $name, [ QUERY_STRING => $query ])),
                    "$dir/$name\n$cases{$query}", "$name?$query ($kind)");
            }
        }
        is(FastCGI::body($other->get($kind, 'arguments', [ QUERY_STRING => 'a+b',
            REQUEST_METHOD => 'POST' ])), "$dir/arguments\n", 'not with POST');
    }
    $other->stop;
};

# ---- environment and limits that are asked for ---------------------------------------

# The environment that a script of `$other` gets, as a hash.
sub environment_of ($other, $kind, @params) {
    return map { split /=/, $_, 2 }
        split /\0/, FastCGI::body($other->get($kind, 'environ', \@params));
}

scenario '--env' => sub {
    my $other = Bridge->start(env => { FROM_DAEMON => 'inherited', HTTP_WANTED => 'by name' },
        args => [ '--env', 'NEW=a=b', '--env', 'HTTP_WANTED', '--env', 'NOT_THERE',
            '--env=X_BOTH=daemon' ]);
    for my $kind (qw(unix tcp)) {
        my %env = environment_of($other, $kind, X_BOTH => 'request');
        is($env{NEW}, 'a=b', "set ($kind)");
        is($env{FROM_DAEMON}, 'inherited', 'the rest is inherited');
        is($env{HTTP_WANTED}, 'by name', 'a name alone is inherited, withheld or not');
        ok(!exists $env{NOT_THERE}, 'if it is there');
        is($env{X_BOTH}, 'request', 'the request comes first');
    }
    $other->stop;
};

scenario '--clear-env' => sub {
    my $other = Bridge->start(env => { FROM_DAEMON => 'inherited', WANTED => 'by name' },
        args => [ '--clear-env', '--env', 'WANTED', '--env', 'NEW=1' ]);
    for my $kind (qw(unix tcp)) {
        my %env = environment_of($other, $kind);
        ok(!exists $env{FROM_DAEMON}, "nothing is inherited ($kind)");
        is($env{WANTED}, 'by name', 'but what is named');
        is($env{NEW}, '1', 'or set');
        is($env{PATH}, '/usr/local/bin:/usr/bin:/bin', 'there is a PATH');
        is($env{REQUEST_METHOD}, 'GET', 'and the request');
    }
    $other->stop;
};

scenario '--limit' => sub {
    script('limits', <<~'SH');
        #!/bin/sh
        printf 'Content-Type: text/plain\n\n'
        cat /proc/self/limits
        SH
    my %want = (cpu => [ '30s', 30, 'cpu time' ], as => [ '4G', 4 << 30, 'address space' ],
        data => [ '1G', 1 << 30, 'data size' ], stack => [ '4M', 4 << 20, 'stack size' ],
        nofile => [ 77, 77, 'open files' ], nproc => [ 5000, 5000, 'processes' ],
        fsize => [ '10M', 10 << 20, 'file size' ], core => [ 0, 0, 'core file size' ]);
    my $other = Bridge->start(args => [ map { ('--limit', "$_=$want{$_}[0]") } sort keys %want ]);
    for my $kind (qw(unix tcp)) {
        my $text = FastCGI::body($other->get($kind, 'limits'));
        for (sort keys %want) {
            my (undef, $value, $name) = @{ $want{$_} };
            my $hard = $_ eq 'cpu' ? $value + 1 : $value; # XCPU first, then KILL
            like($text, qr/^Max \Q$name\E\s+$value\s+$hard\s/m, "$_ ($kind)");
        }
    }
    $other->stop;
};

scenario '--limit cpu ends a script that spins' => sub {
    script('spins', "#!/bin/sh\nwhile :; do :; done\n");
    my $other = Bridge->start(args => [ '--limit', 'cpu=1' ]);
    for my $kind (qw(unix tcp)) {
        my $mark = $other->mark;
        is(FastCGI::status($other->get($kind, 'spins', [], secs => 50)), 500, "500 ($kind)");
        ok($other->wait_for_log(qr/spins\[\d+\].*killed by signal/, 5, from => $mark),
            'and the log says how it died');
    }
    script('catches', <<~'SH');
        #!/bin/sh
        trap 'printf "Content-Type: text/plain\n\nout of time\n"; exit' XCPU
        while :; do :; done
        SH
    is(FastCGI::body($other->get('unix', 'catches', [], secs => 50)), "out of time\n", 'which may see it coming');
    $other->stop;
}, secs => 150; # a second of CPU time takes as long as a busy machine has it

scenario '--limit nofile does not touch the bridge' => sub {
    my $other = Bridge->start(args => [ '--limit', 'nofile=32', '-c', 1 ]);
    my @c = map { $other->connect('unix') } 1 .. 50;
    is(FastCGI::body($other->get('unix', 'hello')), "hello\n", 'it goes on');
    $other->stop;
};

# ---- what the client is told ------------------------------------------------------------

scenario 'a script that ends with 1 after its answer' => sub {
    for my $case ([ 1, 'info' ], [ 2, 'warn' ]) {
        my ($status, $level) = @$case;
        script("ends-$status", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nwhole\\n'; exit $status\n");
        my $mark = $bridge->mark;
        is(FastCGI::body($bridge->get('unix', "ends-$status")), "whole\n", 'its answer');
        ok($bridge->wait_for_log(qr/ $level: .*ends-$status\[\d+\]: .*exit status $status \(/, 5,
            from => $mark), "exit status $status: $level");
    }
};

scenario '--error-detail' => sub {
    script('mute', "#!/bin/sh\nexit 3\n");
    my $other = Bridge->start(args => ['--error-detail']);
    for my $kind (qw(unix tcp)) {
        my $r = $other->get($kind, 'not-there');
        is(FastCGI::status($r), 404, "404 ($kind)");
        like(FastCGI::body($r), qr{\Q$dir\E/not-there: No such file}, 'with path and reason');
        like(FastCGI::body($other->get($kind, 'mute')), qr/wrote nothing; exit status 3/,
            'a script that failed');
        unlike(FastCGI::body($bridge->get($kind, 'not-there')), qr/\Q$dir\E|No such file/,
            'without the option: neither');
        unlike(FastCGI::body($bridge->get($kind, 'mute')), qr/exit status/, 'nor that');
    }
    $other->stop;
};

$bridge->stop;
done_testing;

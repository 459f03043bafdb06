#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# What starts the daemon: the files of contrib/ for systemd, OpenRC and runit, and the
# command lines of the manual for spawn-fcgi, multiwatch, systemd-socket-activate and
# descriptor 0.  Each is run as it stands there, but for paths, ports and users.
use v5.36;
use File::Copy ();
use Test::More;
use Time::HiRes qw(sleep);
use FastCGI;
use Bridge;

is_program(@$_) for [qw(systemd-analyze systemd)], [qw(systemd-socket-activate systemd)],
    [qw(spawn-fcgi spawn-fcgi)], [qw(multiwatch multiwatch)], [qw(runsv runit)],
    [qw(shellcheck shellcheck)], [qw(nginx nginx)];

my $tmp = tmp();
my $contrib = "$Bridge::srcdir/contrib";
my $user = getpwuid $>;
my $group = getgrgid $) + 0;

# A copy of the daemon, which every user can run.
my $bin = "$tmp/sbin";
mkdir $bin;
my $program = "$bin/cgibridge";
File::Copy::copy($Bridge::daemon, $program) or die "$Bridge::daemon: $!\n";
chmod 0755, $program;

# Waits until something listens at a path: the file is there a moment before.
sub wait_listening ($path) {
    return wait_until(10, sub { slurp('/proc/net/unix') =~ /^\S+ \S+ \S+ 00010000 .* \Q$path\E$/m });
}

sub is_served ($url, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = eval { FastCGI->ask($url, Bridge->params('hello')) };
    is($r ? FastCGI::body($r) : $@, "hello\n", $what);
}

# A file of contrib/ with other words in it, all of which it has to have.
sub adapted ($file, %swap) {
    my $text = slurp("$contrib/$file") || die "contrib/$file: $!\n";
    for my $old (sort { length $b <=> length $a } keys %swap) {
        $text =~ s/\Q$old\E/$swap{$old}/g or die "contrib/$file has no \"$old\"\n";
    }
    return $text;
}

# ---- systemd ------------------------------------------------------------------------

# As make builds them.
my $units = "$tmp/units";
my $etc = "$tmp/etc";
mkdir $_ for $units, $etc;
for my $name (qw(cgibridge.service cgibridge@.service)) {
    spew("$units/$name", adapted("systemd/$name.in", '@sbindir@' => $bin, '@sysconfdir@' => $etc)
        . slurp("$contrib/systemd/common.in"));
}
spew("$units/$_", slurp("$contrib/systemd/$_")) for qw(cgibridge.socket cgibridge@.socket);
spew("$etc/cgibridge.conf", slurp("$contrib/cgibridge.conf"));
spew("$etc/cgibridge-www-data.conf", '');

scenario 'the units of systemd: systemd-analyze' => sub {
    my $r = run_program([ is_program('systemd-analyze', 'systemd'), 'verify', '--man=no',
        map { "$units/$_" } qw(cgibridge.service cgibridge.socket
            cgibridge@www-data.service cgibridge@www-data.socket) ],
        env => { SYSTEMD_UNIT_PATH => "$units:" }, secs => 60);
    is($r->{exit}, 0, 'verify: they are well');
    is($r->{err} . $r->{out}, '', 'and nothing is said of them');
};

# With User=, systemd takes setuid and setgid bits from what a script starts as soon as one of
# these is set (NoNewPrivileges= of systemd.exec(5)), and others shut what fcgiwrap's unit leaves open.
my $sandbox = qr/^(?:NoNewPrivileges|SecureBits|SystemCall\w+|Restrict(?!Prevent)\w+|Lock\w+|Memory\w+
    |Dynamic\w+|Private\w+|Protect\w+|Capability\w+|Ambient\w+|\w+Paths|\w+Directories
    |TemporaryFileSystem|Root\w+|MountFlags|UMask|Device\w+)=/mx;

scenario 'the units of systemd: scripts may do what they may under fcgiwrap' => sub {
    for my $file ((map { "$units/$_" } qw(cgibridge.service cgibridge@.service)),
        "$contrib/fcgiwrap/fcgiwrap.service") {
        unlike(slurp($file), $sandbox, "$file: nothing is taken from them");
    }
    like(slurp("$contrib/systemd/lockdown.conf"), $sandbox, 'that is for lockdown.conf');
};

scenario 'lockdown.conf' => sub {
    my $lockdown = slurp("$contrib/systemd/lockdown.conf");
    for my $unit (qw(cgibridge.service cgibridge@.service)) {
        my $dir = file();
        mkdir $dir;
        spew("$dir/$unit", slurp("$units/$unit") . $lockdown);
        my $r = run_program([ is_program('systemd-analyze', 'systemd'), 'security',
            '--offline=true', '--no-pager', "$dir/$unit" ],
            env => { SYSTEMD_UNIT_PATH => "$dir:$units:" }, secs => 60);
        is($r->{err}, '', "$unit: nothing is said of its lines");
        my ($level) = $r->{out} =~ /Overall exposure level for \S+: (\d+\.\d+)/;
        cmp_ok($level // 10, '<', 2.6, "exposure " . ($level // '?'));
    }
};

scenario 'the units of systemd: what they start' => sub {
    for my $unit (qw(cgibridge.service cgibridge@.service)) {
        my ($command) = slurp("$units/$unit") =~ /^ExecStart=(.*)$/m;
        my @argv = split ' ', $command =~ s/%i/www-data/r;
        is($argv[0], $program, "$unit: ExecStart has the path");
        my $r = run_program([ @argv, '--check' ]);
        is($r->{exit}, 0, "$unit: ExecStart is a good command line") or diag($r->{err});
        like($r->{out}, qr/^--max-scripts 128$/m, 'with the defaults');
    }
};

# Options that are wrong: `systemctl reload` fails, and the socket unit outlives the service.
scenario 'the units of systemd: options that are wrong' => sub {
    my $slept = "$tmp/slept";
    mkdir "$tmp/path";
    spew("$tmp/path/sleep", "#!/bin/sh\necho \$1 >>$slept\n", 0755);
    my $run = sub ($line) {
        my ($script) = $line =~ m{^/bin/sh -c '(.*)'$} or die "what is $line?\n";
        return run_program([ '/bin/sh', '-c', $script =~ s/%i/www-data/gr ],
            env => { PATH => "$tmp/path:$ENV{PATH}" });
    };
    for my $unit (qw(cgibridge.service cgibridge@.service)) {
        my $text = slurp("$units/$unit");
        my @before = $text =~ /^Exec(?:StartPre|Reload)=(.*cgibridge.*)$/mg;
        is(scalar @before, 2, "$unit: a check before a start, and before a reload");
        my $options = "$etc/" . ($unit =~ /\@/ ? 'cgibridge-www-data.conf' : 'cgibridge.conf');
        my $good = slurp($options);
        for my $line (@before) {
            my $r = $run->($line);
            is_deeply([ @$r{qw(exit out err)} ], [ 0, '', '' ], 'it is silent when all is well');
            spew($options, "\n--timeout soon\n");
            $r = $run->($line);
            is($r->{exit}, 2, 'and fails when not');
            like($r->{err}, qr/\Acgibridge: \Q$options\E:2: --timeout 'soon'[^\n]*\n\z/, 'saying why');
            spew($options, $good);
        }
    }
    my @seconds = split ' ', slurp($slept);
    is(scalar @seconds, 2, 'a start that fails waits');
    cmp_ok(5 * $seconds[0], '>', 10, 'so that systemd does not count five in ten seconds');
};

# Every option that the file has as a comment is a good one.
scenario 'the file of options' => sub {
    my $text = slurp("$contrib/cgibridge.conf");
    my $count = $text =~ s/^#(?=--)//mg;
    cmp_ok($count, '>', 5, 'it has options');
    $text =~ s{/var/log/cgibridge}{$tmp};
    my $r = run_program([ $program, '@' . spew("$tmp/all.conf", $text), '--check' ]);
    is($r->{exit}, 0, 'all of them are good') or diag($r->{err});
    like($r->{out}, qr/^--timeout 600s$/m, 'and taken');
};

# The directives for times, against what the daemon's own amount to.
scenario 'the units of systemd: times' => sub {
    my $unit = slurp("$units/cgibridge.service");
    my $checked = run_program([ $program, '--check', '-s', 'fd:0' ])->{out};
    my %of = $checked =~ /^--(drain-timeout|kill-delay|watchdog) (\d+)s$/mg;
    my ($stop) = $unit =~ /^TimeoutStopSec=(\d+)s$/m;
    my ($watchdog) = $unit =~ /^WatchdogSec=(\d+)s$/m;
    cmp_ok($stop, '>', $of{'drain-timeout'} + $of{'kill-delay'}, 'there is time to stop');
    cmp_ok($watchdog, '>', 2 * $of{watchdog}, 'a stuck worker is replaced before the service is');
};

# ---- command lines of the manual ---------------------------------------------------------

my $manual = join '', map { slurp("$Bridge::srcdir/man/$_") } qw(cgibridge.8 cgibridge-migrate.7);

# The command in the manual that has this in it, for a shell.  `swap` maps words that it
# has to have to ours.
sub command_of ($word, %swap) {
    my ($text) = grep { /\Q$word\E/ } $manual =~ /^\.Bd -literal.*\n([\$#] .*\n(?:.*\n)*?)\.Ed$/mg;
    die "the manual has no command with $word\n" if !defined $text;
    $text =~ s/\\e$/\\/mg;
    $text =~ s/^[\$#] //;
    for my $old (sort { length $b <=> length $a } keys %swap) {
        $text =~ s/\Q$old\E/$swap{$old}/g or die "\"$old\" is not in: $text";
    }
    return "exec $text";
}

# Runs it; what it starts has to be the process itself, or below it, and to end by TERM.
sub start_command ($text) {
    return Bridge->start(sockets => [], any => 1, workers => 1, prefix => [ '/bin/sh', '-c',
        $text, 'sh' ]);
}

my %daemon = ('/usr/local/sbin/cgibridge' => $program);

# Changing users is for root.
sub unless_root ($text) {
    $text =~ s/ -[uUgG] \S+//g if !is_root();
    return $text;
}

scenario 'spawn-fcgi, as in the manual' => sub {
    my $socket = file();
    my $bridge = start_command(unless_root(command_of('spawn-fcgi -n -s', %daemon,
        '/run/cgibridge.sock' => $socket)));
    ok($bridge->wait_for_log(qr/\bready\b/, 10), 'it starts') or diag($bridge->log);
    is((stat $socket)[2] & 07777, 0660, 'the mode of its socket');
    is_served("unix:$socket", 'it serves');
    $bridge->stop;
};

scenario 'multiwatch, as in the manual' => sub {
    my $socket = file();
    my $bridge = start_command(unless_root(command_of('multiwatch', %daemon,
        '/run/cgibridge.sock' => $socket)));
    ok($bridge->wait_for_log(qr/\bready\b/, 10), 'it starts') or diag($bridge->log);
    is_served("unix:$socket", 'it serves');
    my ($supervisor) = Bridge::children($bridge->pid);
    kill 'KILL', $supervisor;
    ok(wait_until(10, sub {
        my ($now) = Bridge::children($bridge->pid);
        return $now && $now != $supervisor && (() = $bridge->log =~ /\bready\b/g) == 2;
    }), 'the supervisor is killed: there is another one');
    is_served("unix:$socket", 'it serves again');
    $bridge->stop;
};

scenario 'systemd-socket-activate, as in the manual' => sub {
    my ($socket, $port) = (file(), free_port());
    my $bridge = start_command(command_of('systemd-socket-activate', %daemon,
        '/tmp/bridge.sock' => $socket, '127.0.0.1:9000' => "127.0.0.1:$port"));
    ok(wait_listening($socket), 'the socket is there');
    is_served("unix:$socket", 'the first request starts it');
    is_served("tcp:127.0.0.1:$port", 'it serves the other socket');
    ok($bridge->wait_for_log(qr/\bready\b/, 5), 'the log says that it is ready');
    is(scalar(() = $bridge->log =~ /listening on inherited/g), 2, 'with both sockets');
    my $mark = $bridge->mark;
    $bridge->signal('HUP');
    ok($bridge->wait_reloaded($mark), 'HUP');
    is_served("unix:$socket", 'it serves after a reload');
    is_served("tcp:127.0.0.1:$port", 'on both');
    $bridge->stop;
};

scenario 'descriptor 0, as in the manual' => sub {
    my $port = free_port();
    my $bridge = start_command(command_of('perl -MIO::Socket::INET',
        '127.0.0.1:9000' => "127.0.0.1:$port", '"cgibridge"' => qq{"$program"}));
    ok($bridge->wait_for_log(qr/\bready\b/, 10), 'it starts') or diag($bridge->log);
    is_served("tcp:127.0.0.1:$port", 'it serves');
    $bridge->stop;
};

# ---- what fcgiwrap's own files do -------------------------------------------------------

scenario 'in the place of fcgiwrap' => sub {
    my $socket = file();
    # Debian's unit: one word of options, and the socket from systemd
    my $bridge = Bridge->start(sockets => [], any => 1, workers => 1, args => [ '-f -c 2', '' ],
        prefix => [ is_program('systemd-socket-activate', 'systemd'), '-l', $socket ]);
    ok(wait_listening($socket), 'the socket is there');
    is_served("unix:$socket", 'its unit');
    ok(wait_until(10, sub { $bridge->workers == 2 }), '-c from a joined word');
    $bridge->stop;
    # Debian's init script: env -i PATH=... spawn-fcgi -P PIDFILE -F N -s SOCKET ... -- PROGRAM -f
    my ($pidfile, $other) = (file(), file());
    my $r = run_program([ '/usr/bin/env', '-i', "PATH=$ENV{PATH}",
        is_program('spawn-fcgi', 'spawn-fcgi'), '-P', $pidfile, '-F', 2, '-s', $other, '--',
        $program, '-f' ]);
    is($r->{exit}, 0, 'its init script') or diag($r->{err});
    my @pids = split ' ', slurp($pidfile);
    is(scalar @pids, 2, 'FCGI_CHILDREN=2: two processes');
    is_served("unix:$other", 'they serve');
    my @family = map { ($_, Bridge::descendants($_)) } @pids;
    kill 'TERM', @pids;
    # spawn-fcgi has left them, so they may be ours to reap, or not
    is_deeply([ gone(10, @family) ], [], 'TERM: all of them have gone');
};

# ---- OpenRC -------------------------------------------------------------------------------

scenario 'shell scripts' => sub {
    for my $file (qw(openrc/cgibridge runit/run runit/log/run)) {
        my $path = "$contrib/$file";
        is(run_program([ '/bin/sh', '-n', $path ])->{exit}, 0, "$file: sh -n");
        my $r = run_program([ is_program('shellcheck', 'shellcheck'), $path ], secs => 60);
        is($r->{out} . $r->{err}, '', "$file: shellcheck");
        ok(-x $path, "$file is executable");
    }
};

# openrc-run reads the script and calls its functions; a shell can do the same, with
# others in the place of OpenRC's programs.
scenario 'OpenRC: what it starts' => sub {
    my $root = "$tmp/openrc";
    mkdir $root;
    my $script = spew("$root/service", adapted('openrc/cgibridge', '/usr/local/sbin' => $bin,
        '/run/' => "$root/", '=@/etc/' => "=\@$root/", '/etc/' => "$root/"));
    spew("$root/cgibridge.conf", slurp("$contrib/cgibridge.conf") . "--workers 1\n");
    my $names = is_root() ? '' : "cgibridge_socket_owner=$user:$group cgibridge_user=$user";
    mkdir "$root/bin";
    spew("$root/bin/ebegin", "#!/bin/sh\n", 0755);
    spew("$root/bin/eend", "#!/bin/sh\nexit \$1\n", 0755);
    my $call = sub ($what) {
        return run_program([ '/bin/sh', '-c',
            "RC_SVCNAME=cgibridge PATH=$root/bin:\$PATH $names; . $script; $what" ]);
    };
    is($call->('start_pre')->{exit}, 0, 'its options are good');
    my $command = $call->('echo exec $command $command_args')->{out};
    like($command, qr/--syslog/, 'the log goes to syslog');
    # there may be no syslogd, and nobody may change to www-data but root
    chomp($command = $command =~ s/ --syslog//r);
    my $bridge = Bridge->start(sockets => [], any => 1, workers => 1,
        prefix => [ '/bin/sh', '-c', $command, 'sh' ]);
    spew("$root/cgibridge.pid", $bridge->pid);
    ok($bridge->wait_for_log(qr/\bready\b/, 10), 'it starts') or diag($bridge->log);
    is_served("unix:$root/cgibridge.sock", 'it serves');
    my $mark = $bridge->mark;
    is($call->('reload')->{exit}, 0, 'reload');
    ok($bridge->wait_reloaded($mark), 'it takes new options');
    is($call->('reopen')->{exit}, 0, 'reopen');
    ok($bridge->wait_for_log(qr/opening the log files again/, 5, from => $mark), 'USR1');
    spew("$root/cgibridge.conf", "--bogus\n");
    isnt($call->('reload')->{exit}, 0, 'a reload with bad options is refused');
    isnt($call->('start_pre')->{exit}, 0, 'and a start');
    $bridge->stop;
};

# ---- runit --------------------------------------------------------------------------------

scenario 'runit' => sub {
    my $service = "$tmp/sv";
    mkdir $_ for $service, "$service/log", "$service/data";
    my $run = adapted('runit/run', '/usr/local/sbin' => $bin, '/run/' => "$service/data/",
        '@/etc/' => "\@$service/data/");
    $run =~ s/www-data(?::www-data)?/$& =~ m{:} ? "$user:$group" : $user/ge if !is_root();
    spew("$service/run", $run, 0755);
    spew("$service/log/run", adapted('runit/log/run', '/var/log' => "$service/data"), 0755);
    spew("$service/data/cgibridge.conf", slurp("$contrib/cgibridge.conf"));
    my $url = "unix:$service/data/cgibridge.sock";
    my $log = "$service/data/cgibridge/log/current";
    my $runsv = Bridge->start(sockets => [], any => 1, workers => 1, prefix => [
        '/bin/sh', '-c', 'exec "$0" "$1"', is_program('runsv', 'runit'), $service ]);
    my $sv = sub (@words) {
        run_program([ is_program('sv', 'runit'), '-w', 20, @words, $service ]);
    };
    ok(wait_until(10, sub { slurp($log) =~ /\bready\b/ }), 'the log goes to log/run')
        or diag($runsv->log . slurp($log));
    is_served($url, 'it serves');
    is($sv->('hup')->{exit}, 0, 'sv hup');
    ok(wait_until(15, sub { slurp($log) =~ /takes over.*\n(?:.*\n)*.*\bready\b/ }), 'it reloads');
    is($sv->('1')->{exit}, 0, 'sv 1');
    ok(wait_until(5, sub { slurp($log) =~ /opening the log files again/ }), 'it opens its logs');
    is_served($url, 'it serves');
    is($sv->('restart')->{exit}, 0, 'sv restart');
    ok(wait_until(10, sub { slurp($log) =~ /\bstopped\n(?:.*\n)*.*\bready\b/ }), 'it is started again');
    is_served($url, 'it serves');
    my @family = Bridge::descendants($runsv->pid);
    is($sv->('exit')->{exit}, 0, 'sv exit');
    is($runsv->wait_exit(20), 0, 'runsv ends');
    is_deeply([ gone(10, @family) ], [], 'and all that it started');
};

# ---- nginx --------------------------------------------------------------------------------

# The file of contrib/ as it is, but for its port, and with what it has as comments.
scenario 'contrib/nginx/cgibridge.conf: nginx -t' => sub {
    my $dir = "$tmp/nginx";
    mkdir $dir;
    spew("$dir/fastcgi_params", Bridge::nginx_params('/srv'));
    spew("$dir/git.htpasswd", '');
    my $site = adapted('nginx/cgibridge.conf', 'listen 80;' => 'listen 127.0.0.1:' . free_port() . ';',
        '/etc/nginx/git' => "$dir/git");
    my $temp = join ' ', map { "${_}_temp_path $dir/$_;" } qw(client_body proxy fastcgi uwsgi scgi);
    # comments that are directives
    my $whole = $site =~ s/^(\s*)#((?:    )?[a-z_]+ .*[;{](?: +# .*)?|\})$/$1$2/mgr;
    like($whole, qr/^ *$_/m, "it has $_")
        for 'auth_basic ', 'fastcgi_request_buffering', 'location ~ ';
    for my $part ([ 'as it is', $site ], [ 'with all that it offers', $whole ]) {
        my ($name, $text) = @$part;
        spew("$dir/conf", "pid $dir/pid; error_log stderr; events {}\n"
            . "http { access_log off; $temp\n$text}\n");
        my $r = run_program([ is_program('nginx', 'nginx'), '-t', '-e', "$dir/errors", '-c',
            "$dir/conf", '-p', $dir ]);
        is($r->{exit}, 0, $name) or diag($r->{err});
        unlike($r->{err}, qr/\[(?:warn|error|emerg)\]/, 'and no warning');
    }
};

done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# As whom, and below which root directory, workers and scripts run: -u, -g, --chroot.
#
# As root all of it; as another user what it refuses then.
use v5.36;
no warnings 'portable'; # masks have 64 bits
use File::Copy ();
use File::Path ();
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

# A process that has changed its user cannot be looked at by the leak checker, nor can
# one below a root directory without /proc.
$ENV{ASAN_OPTIONS} = join ':', grep { length } $ENV{ASAN_OPTIONS} // '', 'detect_leaks=0';

my $tmp = Bridge::tmp();
my @program = (@Bridge::wrapper, $Bridge::daemon);
my ($serial, $nobody, $nogroup, $daemon_uid, $daemon_gid) = (0, (getpwnam 'nobody')[ 2, 3 ],
    (getpwnam 'daemon')[ 2, 3 ]);

# ---- the script ----------------------------------------------------------------------

# It is linked statically, so that it runs below any root.
my $whoami = "$tmp/whoami";

sub compile () {
    my $cc = $ENV{CC} || is_program('cc', 'gcc');
    spew("$whoami.c", <<~'C');
        #define _GNU_SOURCE
        #include <grp.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        extern char **environ;
        int main(void)
        {
            uid_t uid[3];
            gid_t gid[3], groups[64];
            char text[4096] = "";
            long n, total = 0;
            int count = getgroups(64, groups);
            getresuid(&uid[0], &uid[1], &uid[2]);
            getresgid(&gid[0], &gid[1], &gid[2]);
            printf("Content-Type: text/plain\n\n");
            printf("uid %u %u %u\n", uid[0], uid[1], uid[2]);
            printf("gid %u %u %u\n", gid[0], gid[1], gid[2]);
            printf("groups");
            for (int i = 0; i < count; i++)
                printf(" %u", groups[i]);
            while ((n = read(0, text, sizeof text)) > 0)
                total += n;
            printf("\nread %ld\ncwd %s\n", total, getcwd(text, sizeof text));
            printf("etc %s\n", access("/etc/passwd", F_OK) == 0 ? "there" : "none");
            printf("null %s\n", access("/dev/null", F_OK) == 0 ? "there" : "none");
            for (char **item = environ; *item != NULL; item++)
                printf("env %s\n", *item);
            fprintf(stderr, "noise\n");
            printf("back %s\n", setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0 ||
                setgroups(0, NULL) == 0 ? "possible" : "impossible");
            return 0;
        }
        C
    my $r = run_program([ (split ' ', $cc), '-static', '-o', $whoami, "$whoami.c" ], secs => 60);
    is($r->{exit}, 0, 'the script is compiled') or BAIL_OUT($r->{err});
}

# What it says, as a hash; the environment as one in {env}.
sub ask ($bridge, $kind, $script, $more = [], %o) {
    my $r = $bridge->get($kind, 'x', [ SCRIPT_FILENAME => $script, @$more ], %o);
    my %said = (status => FastCGI::status($r));
    for (split /\n/, FastCGI::body($r)) {
        my ($name, $value) = split ' ', $_, 2;
        if ($name eq 'env') {
            my ($variable, $text) = split /=/, $value, 2;
            $said{env}{$variable} = $text;
        } else {
            $said{$name} = $value // '';
        }
    }
    return \%said;
}

sub is_as ($said, $uid, $gid, $groups, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($said->{uid}, "$uid $uid $uid", "$what: the user, real, effective and saved");
    is($said->{gid}, "$gid $gid $gid", "$what: the group");
    is_deeply([ sort { $a <=> $b } split ' ', $said->{groups} ], $groups, "$what: the groups");
}

# What /proc says of a process.
sub ids_of ($pid) {
    my $status = slurp("/proc/$pid/status");
    my %ids = map { /^(\w+):\s*(.*?)\s*$/ ? ($1 => $2) : () } split /\n/, $status;
    return { uid => join(' ', (split ' ', $ids{Uid})[ 0 .. 2 ]),
        gid => join(' ', (split ' ', $ids{Gid})[ 0 .. 2 ]), groups => $ids{Groups},
        capabilities => $ids{CapPrm} };
}

# A worker is root until it has become the user: its ids once it has.
sub ids_of_worker ($pid, $uid) {
    wait_until(10, sub { ids_of($pid)->{uid} eq "$uid $uid $uid" });
    return ids_of($pid);
}

# A directory to be root, with the script and a spool directory.
sub jail (%o) {
    my $jail = "$tmp/jail-" . ++$serial;
    File::Path::make_path("$jail/cgi", "$jail/spool");
    chown $nobody, $nogroup, "$jail/spool" if is_root() && !$o{closed};
    chmod 0700, "$jail/spool";
    File::Copy::copy($whoami, "$jail/cgi/whoami") or die "$!\n";
    chmod 0755, "$jail/cgi/whoami";
    return $jail;
}

# It must not start, and say so in one line.
sub fails ($name, $status, $said, @args) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    scenario $name => sub {
        my $r = run_program([ @program, '-s', "unix:$tmp/fails", '-c', '2', @args ]);
        is($r->{exit}, $status, "exit status $status");
        like($r->{err}, qr/\Acgibridge: [^\n]*$said[^\n]*\n\z/, 'one line says why');
        ok(!-e "$tmp/fails", 'no socket is left');
    };
}

compile();

# ---- what is wrong for everybody -----------------------------------------------------

for my $check ([], ['-n']) {
    my $name = "start-up @$check";
    fails("$name: no such user", 2, qr/--user 'no-such-user'/, '-u', 'no-such-user', @$check);
    fails("$name: no such group", 2, qr/--group 'no-such-group'/, '-g', 'no-such-group', @$check);
    fails("$name: a number without an entry", 2, qr/--user '3999999999'.*--group/, '-u',
        '3999999999', @$check);
    fails("$name: no such root", 2, qr/--chroot '\Q$tmp\E\/none': No such file/, '--chroot',
        "$tmp/none", @$check);
    fails("$name: a root that is a file", 2, qr/--chroot .*Not a directory/, '--chroot', $whoami,
        @$check);
    fails("$name: no spool directory below it", 2, qr{--spool-dir '/none' below --chroot },
        '--chroot', $tmp, '--spool-dir', '/none', @$check);
    fails("$name: no /tmp below it", 2, qr{--spool-dir '/tmp' below --chroot }, '--chroot', $tmp,
        @$check);
}

scenario '-n prints them' => sub {
    my $r = run_program([ @program, '-n', '-u', 'nobody', '-g', 'daemon', '--spool-dir',
        is_root() ? '/tmp' : "$tmp" ], env => { TMPDIR => '/tmp' });
    is($r->{exit}, 0, 'also for those who may not');
    like($r->{out}, qr/^--user nobody\n--group daemon$/m, 'as they were given');
};

# ---- for users other than root ------------------------------------------------------------

# Runs as nobody if we are root.
my @other = is_root() ? (user => 'nobody') : ();
my $self = is_root() ? 'nobody' : getpwuid $>;

sub fails_for_others ($name, $said, @args) {
    scenario "not as root: $name" => sub {
        my $bridge = Bridge->start(any => 1, args => \@args, @other);
        is($bridge->wait_exit(10), 1 << 8, 'exit status 1');
        like($bridge->log, qr/\Acgibridge: [^\n]*$said[^\n]*\n\z/, 'one line says why');
        ok(!-e "$bridge->{dir}/socket", 'no socket is left');
    };
}

fails_for_others('another user', qr/--user.*not permitted: only root can/, '-u', 'root');
fails_for_others('another user, -g our own', qr/--user.*not permitted: only root can/, '-u',
    'root', '-g', is_root() ? $nogroup : (split ' ', $))[0]);
fails_for_others('another group', qr/--group.*not permitted: only root can/, '-g', '54321');
fails_for_others('a root directory', qr/--chroot.*not permitted: only root can/, '--chroot', '/');

scenario 'not as root: the user we are already' => sub {
    for my $user ($self, scalar getpwnam $self) {
        my $bridge = Bridge->start(args => [ '-u', $user ], @other);
        unlike($bridge->log, qr/RUNNING AS ROOT/, 'no warning');
        my $said = ask($bridge, 'unix', $whoami);
        my $uid = getpwnam $self;
        is($said->{uid}, "$uid $uid $uid", "-u $user is nothing new");
        is($said->{env}{USER}, $self, 'and is known by name');
        $bridge->stop;
    }
};

if (!is_root()) {
    done_testing;
    exit;
}

# ---- users ---------------------------------------------------------------------------

scenario 'as root without -u, or with -u root' => sub {
    my $warning = qr/ warn: RUNNING AS ROOT: /;
    for my $args ([], [ '-g', 'daemon' ], [ '--chroot', '/' ], [ '-u', 'root' ], [ '-u', '0' ]) {
        my $bridge = Bridge->start(args => $args);
        like($bridge->log, $warning, "a warning (@$args)");
        $bridge->stop;
    }
    my $bridge = Bridge->start(args => [ '-u', 'nobody' ]);
    unlike($bridge->log, $warning, 'not with -u nobody');
    $bridge->stop;
};

for my $case (
    [ [ '-u', 'nobody' ], $nobody, $nogroup ],
    [ [ '-u', $nobody ], $nobody, $nogroup ],
    [ [ '-u', 'nobody', '-g', 'daemon' ], $nobody, $daemon_gid ],
    [ [ '--group', '54321', '--user', '3999999999' ], 3999999999, 54321 ])
{
    my ($args, $uid, $gid) = @$case;
    on_both "@$args" => sub ($kind) {
        # groups of the starter, which must not stay
        my $bridge = Bridge->start(args => [ @$args, '--spool-dir', '/tmp' ], workers => 2,
            prefix => [ is_program('setpriv', 'util-linux'), '--groups', '4,24,27', '--' ]);
        my $ids = ids_of($bridge->pid);
        is($ids->{uid}, '0 0 0', 'the supervisor is root');
        for my $worker ($bridge->workers) {
            $ids = ids_of_worker($worker, $uid);
            is($ids->{uid}, "$uid $uid $uid", 'a worker is not');
            is($ids->{gid}, "$gid $gid $gid", 'nor in its group');
            is($ids->{groups}, $gid, 'nor in its groups');
            is(hex $ids->{capabilities}, 0, 'and can do nothing besides');
        }
        my $said = ask($bridge, $kind, $whoami);
        is_as($said, $uid, $gid, [$gid], 'a script');
        is($said->{back}, 'impossible', 'and there is no way back');
        my @before = $bridge->workers;
        kill 'KILL', @before;
        ok(wait_until(10, sub {
            my @now = $bridge->workers;
            return @now == 2 && !grep { my $pid = $_; grep { $_ == $pid } @before } @now;
        }), 'workers are killed and replaced');
        ask($bridge, $kind, $whoami);
        is(ids_of_worker($_, $uid)->{uid}, "$uid $uid $uid", 'the new ones are the same')
            for $bridge->workers;
        $bridge->stop;
        ok(!-e "$bridge->{dir}/socket", 'the supervisor removes its socket');
    };
}

on_both '-g alone' => sub ($kind) {
    my $bridge = Bridge->start(args => [ '-g', 'daemon' ],
        prefix => [ is_program('setpriv', 'util-linux'), '--groups', '4,24', '--' ]);
    my $said = ask($bridge, $kind, $whoami);
    is_as($said, 0, $daemon_gid, [ 4, 24 ], 'changes only the group');
    $bridge->stop;
};

scenario 'a script that outlives its worker\'s patience is stopped as ever' => sub {
    my $bridge = Bridge->start(args => [ '-u', 'nobody', '-t', '1', '--kill-delay', '1' ]);
    my $file = "$tmp/pids";
    spew($file, '', 0666);
    my $c = $bridge->connect('unix');
    $c->start(1, $bridge->params('stubborn', TEST_PIDS => $file, TEST_MARK => "$tmp/mark"));
    my @pids = wait_pids($file, 3);
    is(scalar @pids, 3, 'it runs');
    $c->wait_end(1, 10);
    is_deeply([ gone(5, @pids) ], [], 'it is killed');
    $bridge->stop;
};

scenario 'the supervisor buries what a worker leaves' => sub {
    my $bridge = Bridge->start(args => [ '-u', 'nobody' ]);
    my $file = "$tmp/pids-2";
    spew($file, '', 0666);
    my $c = $bridge->connect('unix');
    $c->start(1, $bridge->params('family', TEST_PIDS => $file));
    my @pids = wait_pids($file, 4);
    kill 'KILL', $bridge->workers;
    is_deeply([ gone(5, @pids) ], [], 'the scripts of a worker that was killed');
    $bridge->stop;
};

# ---- what scripts are told -----------------------------------------------------------

sub names_in ($env) {
    return { map { $_ => $env->{$_} } grep { defined $env->{$_} } qw(HOME USER LOGNAME SHELL) };
}

scenario 'HOME, USER and LOGNAME' => sub {
    my $home = (getpwnam 'nobody')[7];
    my %starter = (HOME => '/root', USER => 'root', LOGNAME => 'root', SHELL => '/bin/sh');
    my %user = (HOME => $home, USER => 'nobody', LOGNAME => 'nobody');
    my @number = ('-u', 3999999999, '-g', 54321, '--spool-dir', '/tmp');
    for my $case (
        [ [], \%starter ],
        [ [ '-g', 'daemon' ], \%starter ],
        [ [ '-u', 'nobody' ], { %user, SHELL => '/bin/sh' } ],
        [ \@number, { SHELL => '/bin/sh' } ],
        [ [ '-u', 'nobody', '--clear-env' ], {} ],
        [ [ '-u', 'nobody', '--clear-env', '--env', 'HOME' ], { HOME => $home } ],
        [ [ '-u', 'nobody', '--env', 'HOME=/srv' ], { %user, HOME => '/srv', SHELL => '/bin/sh' } ])
    {
        my ($args, $wanted) = @$case;
        my $bridge = Bridge->start(args => $args, env => { %starter });
        is_deeply(names_in(ask($bridge, 'unix', $whoami)->{env}), $wanted, "with '@$args'");
        my $said = ask($bridge, 'unix', $whoami, [ HOME => '/of/the/request' ]);
        is($said->{env}{HOME}, '/of/the/request', 'a parameter comes first');
        $bridge->stop;
    }
};

# ---- sockets -------------------------------------------------------------------------

scenario 'the owner of a unix socket' => sub {
    for my $case (
        [ [ '-u', 'nobody' ], $nobody, $nogroup ],
        [ [ '-u', 'nobody', '-g', 'daemon' ], $nobody, $daemon_gid ],
        [ [ '-g', 'daemon' ], 0, $daemon_gid ],
        [ [ '-u', 'nobody', '--socket-owner', 'daemon' ], $daemon_uid, $nogroup ],
        [ [ '-u', 'nobody', '--socket-owner', 'daemon:daemon' ], $daemon_uid, $daemon_gid ],
        [ [ '-u', 'nobody', '--socket-owner', 'root:root', '--socket-mode', '0600' ], 0, 0 ])
    {
        my ($args, @owner) = @$case;
        my $bridge = Bridge->start(args => $args);
        my @stat = stat "$bridge->{dir}/socket";
        is_deeply([ @stat[ 4, 5 ] ], \@owner, "@$args");
        is(ask($bridge, 'unix', $whoami)->{status}, 200, 'is served');
        $bridge->stop;
    }
};

scenario 'a socket where the user may not make one' => sub {
    my $dir = "$tmp/closed";
    mkdir $dir, 0700;
    my $bridge = Bridge->start(sockets => ["unix:$dir/socket"], args => [ '-u', 'nobody' ]);
    is(ask($bridge, 'unix', $whoami)->{status}, 200, 'is served');
    $bridge->stop;
    ok(!-e "$dir/socket", 'and removed at the end');
};

# ---- what a user may not -------------------------------------------------------------

fails('a spool directory the user cannot write to', 1, qr{--spool-dir \Q$tmp\E .*Permission denied},
    '-u', 'nobody', '--spool-dir', $tmp);
fails('the same, with -n', 1, qr{--spool-dir \Q$tmp\E .*Permission denied}, '-u', 'nobody',
    '--spool-dir', $tmp, '-n');

scenario 'a default of --spool-dir that the user cannot write to' => sub {
    my $closed = "$tmp/closed-spool";
    mkdir $closed, 0755;
    my $bridge = Bridge->start(args => [ '-u', 'nobody' ], env => { TMPDIR => $closed });
    is(ask($bridge, 'unix', $whoami)->{status}, 200, 'is no reason not to start');
    my $mark = $bridge->mark;
    my $c = $bridge->connect('unix');
    $c->expect(1);
    # of unknown length: it is held until it is whole
    $c->send(FastCGI::begin(1) . FastCGI::params(1, $bridge->params('x', SCRIPT_FILENAME => $whoami,
        REQUEST_METHOD => 'POST')) . FastCGI::stdin(1, 'x' x 500_000) . FastCGI::stdin_end(1));
    $c->wait_end(1, 10);
    is(FastCGI::status($c->{req}{1}), 500, 'a request that needs it fails');
    $bridge->one_warning($mark, qr/request body cannot be held in \Q$closed\E: Permission denied/);
    $bridge->stop;
};

scenario 'a limit the user may not have' => sub {
    my $limited = sub (@args) {
        run_program([ 'sh', '-c', 'ulimit -n 200 && exec "$@"', 'sh', @program, '-n', '-s',
            "unix:$tmp/x", @args ]);
    };
    my $r = $limited->('-u', 'nobody', '--limit', 'nofile=300');
    is($r->{exit}, 1, 'above what the daemon has: exit status 1');
    like($r->{err}, qr/\Acgibridge: --limit nofile=300: .* 200\n\z/, 'one line says why');
    is($limited->('-u', 'nobody', '--limit', 'nofile=200')->{exit}, 0, 'below is fine');
    is($limited->('--limit', 'nofile=300')->{exit}, 0, 'and root may');
};

scenario 'a way back' => sub {
    # what root keeps when it becomes another user
    my $r = run_program([ is_program('setpriv', 'util-linux'), '--securebits',
        '+no_setuid_fixup', '--', @program, '-s', "unix:$tmp/back", '-u', 'nobody' ]);
    is($r->{exit}, 1, 'exit status 1') or diag($r->{err});
    like($r->{err}, qr/\Acgibridge: after the change to --user, root can be regained[^\n]*\n\z/,
        'one line says why');
    ok(!-e "$tmp/back", 'no socket is left');
};

# ---- a new root ----------------------------------------------------------------------

on_both '--chroot' => sub ($kind) {
    my $jail = jail();
    my $bridge = Bridge->start(workers => 2, cwd => '/', args => [ '--chroot', $jail, '-u',
        'nobody', '--spool-dir', '/spool', '--root', '/cgi', '--stderr', 'discard' ]);
    my $said = ask($bridge, $kind, '/cgi/whoami');
    is($said->{status}, 200, 'paths are below it');
    is_as($said, $nobody, $nogroup, [$nogroup], 'the user is looked up before');
    is($said->{cwd}, '/cgi', 'the script\'s directory');
    is("$said->{etc} $said->{null}", 'none none', 'nothing else is there, /dev/null neither');
    is(ask($bridge, $kind, '/cgi/whoami', [ FCGI_CHDIR => '-' ])->{cwd}, '/',
        'the daemon\'s directory is the root');
    is(ask($bridge, $kind, $_)->{status}, 404, 'what is outside is not there')
        for "$jail/cgi/whoami", '/etc/passwd', '/../etc/passwd', $whoami;
    is(readlink("/proc/$_/root"), $jail, 'each worker is in it') for $bridge->workers;
    is(readlink("/proc/@{[ $bridge->pid ]}/root"), '/', 'the supervisor is not');
    $bridge->stop;
    ok(!-e "$bridge->{dir}/socket", 'which removes its socket');
};

on_both '--chroot: large request bodies' => sub ($kind) {
    my $jail = jail();
    my $bridge = Bridge->start(args => [ '--chroot', $jail, '-u', 'nobody' ],
        env => { TMPDIR => '/spool' });
    my ($worker) = $bridge->workers;
    my $c = $bridge->connect($kind);
    my $body = 'x' x 500_000;
    my $params = $bridge->params('x', SCRIPT_FILENAME => '/cgi/whoami', REQUEST_METHOD => 'POST');
    # of unknown length: it is held until it is whole
    my $r = $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::params(1, $params) . FastCGI::stdin(1, $body));
    my $file;
    ok(wait_until(5, sub {
        ($file) = grep { /cgibridge\./ } map { readlink($_) // () } glob "/proc/$worker/fd/*";
    }), 'wait in a file');
    like($file, qr{^\Q$jail\E/spool/}, 'that is below the new root, where TMPDIR says');
    $c->send(FastCGI::stdin_end(1));
    $c->wait_end(1, 10);
    like(FastCGI::body($r), qr/^read 500000$/m, 'and the script gets all of it');
    $bridge->stop;
    is_deeply([ glob "$jail/spool/*" ], [], 'nothing is left');
};

fails('--chroot: a spool directory that is closed to the user', 1,
    qr{--spool-dir /spool .*Permission denied}, '--chroot', jail(closed => 1), '-u', 'nobody',
    '--spool-dir', '/spool');

scenario '--chroot: the root goes away' => sub {
    my $jail = jail();
    my $bridge = Bridge->start(args => [ '--chroot', $jail, '-u', 'nobody', '--spool-dir',
        '/spool' ]);
    is(ask($bridge, 'unix', '/cgi/whoami')->{status}, 200, 'it is served');
    rename $jail, "$jail.gone" or die "$!\n";
    is(ask($bridge, 'unix', '/cgi/whoami')->{status}, 200, 'a worker that is there goes on');
    my $mark = $bridge->mark;
    kill 'KILL', $bridge->workers;
    ok($bridge->wait_for_log(qr/ error: cannot change the root directory \(--chroot\) to \Q$jail\E/,
        10, from => $mark), 'a new one says what is missing');
    sleep 2;
    my $tries = () = $bridge->log_since($mark) =~ /cannot change the root/g;
    cmp_ok($tries, '<', 10, "and tries again, but not in a spin: $tries in 2 seconds");
    rename "$jail.gone", $jail or die "$!\n";
    my $said = eval { ask($bridge, 'unix', '/cgi/whoami', [], secs => 30) };
    is($said && $said->{status}, 200, 'it serves again when the root is back');
    $bridge->stop;
};

# ---- supplementary groups ------------------------------------------------------------

# The user database is that of a root directory of the test's own, which has the daemon in
# it and what that needs.
sub populated () {
    my $root = jail();
    my @needed = ($Bridge::daemon,
        map { m{(/\S+) \(0x}a ? $1 : () } split /\n/, run_program([ 'ldd', $Bridge::daemon ])->{out});
    for my $file (@needed) {
        File::Path::make_path("$root/" . ($file =~ s{/[^/]*$}{}r));
        File::Copy::copy($file, "$root/$file") or die "$file: $!\n";
        chmod 0755, "$root/$file";
    }
    File::Path::make_path(map { "$root/$_" } qw(etc dev tmp run proc/self));
    chmod 01777, "$root/tmp", "$root/run";
    spew("$root/dev/null", '', 0666);
    # where a build with sanitizers looks for its options
    spew("$root/proc/self/environ", "ASAN_OPTIONS=$ENV{ASAN_OPTIONS}\0", 0644);
    spew("$root/etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:2000:2000::/home/app:/bin/sh\n", 0644);
    spew("$root/etc/group", join('', "root:x:0:\n", "app:x:2000:\n", "one:x:2001:app\n",
        "two:x:2002:other,app\n", "other:x:2003:other,apple\n", "many:x:2100:",
        join(',', (map { "u$_" } 1 .. 500), 'app'), "\n",
        map { "g$_:x:" . (3000 + $_) . ":app\n" } 1 .. 50), 0644);
    return $root;
}

scenario 'all groups of the user, and no others' => sub {
    my $root = populated();
    my @memberships = (2001, 2002, 2100, map { 3000 + $_ } 1 .. 50);
    for my $case ([ [ '-u', 'app' ], 2000 ], [ [ '-u', 2000 ], 2000 ],
        [ [ '-u', 'app', '-g', 'two' ], 2002 ], [ [ '-u', 'app', '-g', 'other' ], 2003 ])
    {
        my ($args, $gid) = @$case;
        my %groups = map { $_ => 1 } $gid, @memberships;
        my $bridge = Bridge->start(sockets => ['unix:/run/bridge'], args => $args,
            prefix => [ is_program('chroot', 'coreutils'), $root ]);
        $bridge->{url}{unix} = "unix:$root/run/bridge";
        is_as(ask($bridge, 'unix', '/cgi/whoami'), 2000, $gid, [ sort { $a <=> $b } keys %groups ],
            "@$args");
        $bridge->stop;
    }
};

done_testing;

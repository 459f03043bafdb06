# SPDX-License-Identifier: ISC
#
# Bridge: runs cgibridge (and nginx) for the end-to-end tests.
#
# Everything a test file starts lives in one temporary folder and is gone when
# the file ends, whatever happened.  Every wait has a bound; TEST_SLOW stretches
# the upper ones for slow builds (sanitizers, valgrind).
package Bridge;
use v5.36;
use Cwd qw(abs_path);
use Exporter 'import';
use Fcntl qw(LOCK_EX SEEK_SET);
use File::Copy ();
use File::Path ();
use File::Temp ();
use IO::Handle;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX qw(WNOHANG);
use Socket qw(AF_UNIX SOCK_DGRAM MSG_DONTWAIT sockaddr_un);
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;

our @EXPORT = qw(scenario on_both slow tmp cgi script free_port wait_until alive gone slurp spew
    run_program is_program is_root is_linux quiet noise file gate pids_in wait_pids
    wait_still sh is_hello manager told);

our $slow = $ENV{TEST_SLOW} || 1;
our $srcdir = abs_path($ENV{srcdir} // '.');
our $daemon = abs_path($ENV{CGIBRIDGE}
    // ($ENV{top_builddir} ? "$ENV{top_builddir}/cgibridge" : './cgibridge'));
our $fcgiget = abs_path($ENV{FCGIGET}
    // ($ENV{top_builddir} ? "$ENV{top_builddir}/fcgiget" : './fcgiget'));
our @wrapper = split ' ', $ENV{TEST_WRAPPER} // '';

# What a build with checkers, or the daemon's own assertions, would have said.
our $complaint = qr{AddressSanitizer|LeakSanitizer|runtime error:|Assertion|assert\w* failed|==\d+== (?:Invalid|Conditional jump|Use of|Process terminating)};

my $owner = $$;
my (%running, $serial, $tmp);

$SIG{PIPE} = 'IGNORE';
umask 022; # systemd, for one, complains of files that everybody may write

# ---- small things ----------------------------------------------------------

sub slow ($secs) { return $secs * $slow }

sub is_root () { return $> == 0 }

# Whether the daemon was built with what only Linux has.
sub is_linux () {
    state $is = run_program([ 'nm', '-D', $daemon ])->{out} =~ /U signalfd/;
    return $is;
}

# The file's temporary folder, readable by every user.
sub tmp () {
    return $tmp if $tmp;
    $tmp = File::Temp::tempdir('cgibridge-XXXXXX', TMPDIR => 1);
    $tmp = abs_path($tmp);
    chmod 0755, $tmp;
    return $tmp;
}

sub slurp ($path) {
    open my $fh, '<:raw', $path or return '';
    local $/;
    return <$fh> // '';
}

sub spew ($path, $text, $mode = undef) {
    open my $fh, '>:raw', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
    chmod $mode, $path if defined $mode;
    return $path;
}

# The folder of sample scripts: a copy, executable whatever the source tree is.
my $cgi;
sub cgi () {
    return $cgi if $cgi;
    $cgi = tmp() . '/cgi-bin';
    mkdir $cgi or die "$cgi: $!\n";
    for my $from (glob "$srcdir/tests/cgi/*") {
        my ($name) = $from =~ m{([^/]+)$};
        spew("$cgi/$name", slurp($from), 0755);
    }
    return $cgi;
}

# A script made on the spot, in the same folder.
sub script ($name, $text, $mode = 0755) {
    return spew(cgi() . "/$name", $text, $mode);
}

sub sh ($name, $text) { return script($name, "#!/bin/sh\n$text\n") }

# The name of a file that is not there yet, for a script to write to.
sub file () {
    state $n = 0;
    return tmp() . '/file-' . ++$n;
}

# A gate for scripts to wait at: its path, for their `flock -s -w 60 PATH true`, and the
# handle that holds it shut until it is closed.  No script waits for longer than a minute,
# nor than this test lives.
sub gate () {
    my $path = spew(file(), '', 0644);
    open my $hold, '<', $path or die "$path: $!\n";
    flock $hold, LOCK_EX or die "$path: $!\n";
    return ($path, $hold);
}

# Pseudo-random bytes that are the same each time.
sub noise ($n) {
    my $block = join '', map { pack 'N', $_ * 2654435761 & 0xffffffff } 1 .. 16384;
    return substr $block x (1 + $n / length $block), 0, $n;
}

# A port of 127.0.0.1 that nothing listens on, and that is this test's from now on: below those
# that the kernel gives to clients, and the name of an abstract socket keeps other tests from it.
sub free_port () {
    state @held;
    for (1 .. 1000) {
        my $port = 10_000 + int rand 20_000;
        my $hold = IO::Socket::UNIX->new(Local => "\0cgibridge-test-port-$port", Listen => 1)
            or next;
        IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1,
            ReuseAddr => 1) or next;
        push @held, $hold;
        return $port;
    }
    die "no free port: $!\n";
}

# Calls $check until it is true or $secs x TEST_SLOW have passed; its last value.
sub wait_until ($secs, $check) {
    my $until = time + $secs * $slow;
    while (1) {
        my $value = $check->();
        return $value if $value || time > $until;
        sleep 0.02;
    }
}

# The state letter and the parent of a process; nothing once it is gone.
sub process ($pid) {
    my ($rest) = slurp("/proc/$pid/stat") =~ /^.*\) (.*)/s or return;
    return (split ' ', $rest)[ 0, 1 ];
}

# Whether it runs: it exists and is not a zombie.
sub alive ($pid) {
    my ($state) = process($pid) or return 0;
    return $state !~ /[ZX]/;
}

# Waits for all these processes to end; those that did not.
sub gone ($secs, @pids) {
    wait_until($secs, sub { !grep { alive($_) } @pids });
    return grep { alive($_) } @pids;
}

sub children ($parent) {
    my @pids;
    for (glob '/proc/[0-9]*') {
        my ($pid) = /(\d+)$/;
        my ($state, $ppid) = process($pid) or next;
        push @pids, $pid if $ppid == $parent && $state !~ /[ZX]/;
    }
    @pids = sort { $a <=> $b } @pids;
    return @pids;
}

sub descendants ($pid) {
    return map { ($_, descendants($_)) } children($pid);
}

# The pids written by a script, one a line.
sub pids_in ($file) {
    return grep { /^\d+$/ } split ' ', slurp($file);
}

# Waits for a script to have written `n` pids.
sub wait_pids ($file, $n, $secs = 10) {
    wait_until($secs, sub { pids_in($file) >= $n });
    return pids_in($file);
}

# A script whose output nobody reads comes to a stop: waits until each of these files, in which
# scripts note how far they are, has something in it and none changes any more.
sub wait_still (@files) {
    my ($last, $since) = ('', time);
    return wait_until(15, sub {
        my @now = map { slurp($_) } @files;
        ($last, $since) = ("@now", time) if "@now" ne $last;
        return !(grep { $_ eq '' } @now) && time - $since > 0.4;
    });
}

sub remove ($tree) { File::Path::remove_tree($tree, { error => \my $ignored }) }

sub is_program ($name, $package) {
    for (split(/:/, $ENV{PATH} // ''), qw(/usr/sbin /sbin /usr/local/sbin)) {
        return "$_/$name" if -x "$_/$name";
    }
    BAIL_OUT("this test needs $name: install the package $package");
}

# ---- subtests ---------------------------------------------------------------

# A subtest that cannot hang, cannot take the file down with it, and holds the
# server to good manners on the wire.
sub scenario ($name, $code, %o) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    subtest $name => sub {
        my $secs = int slow($o{secs} // 60);
        @FastCGI::violations = ();
        local $SIG{ALRM} = sub { die "not done after $secs seconds\n" };
        my $outer = alarm $secs;
        eval { $code->(); 1 } or fail("ran to its end: $@" =~ s/\s+$//r);
        alarm $outer;
        is_deeply(\@FastCGI::violations, [], 'the server kept to the protocol');
    };
}

# The same over each kind of socket.
sub on_both ($name, $code, %o) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for my $kind (qw(unix tcp)) {
        scenario("$name ($kind)", sub { $code->($kind) }, %o);
    }
}

# The answer of the script hello.
sub is_hello ($r, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(FastCGI::body($r), "hello\n", $what);
}

# ---- the service manager -----------------------------------------------------

# A socket for NOTIFY_SOCKET: a path, or @ and a name.
sub manager ($path) {
    socket my $s, AF_UNIX, SOCK_DGRAM, 0 or die "socket: $!\n";
    bind $s, sockaddr_un($path =~ s/^\@/\0/r) or die "$path: $!\n";
    chmod 0666, $path; # the daemon may be another user's
    return $s;
}

# Adds to $$heard what it has been told meanwhile; all of it.
sub told ($s, $heard) {
    my $text;
    $$heard .= "$text\n" while defined recv $s, $text, 4096, MSG_DONTWAIT;
    return $$heard;
}

# ---- programs that end by themselves ---------------------------------------

# Runs a program to its end, bounded: { exit, signal, out, err, seconds }.
# Options: env => {}, stdin => text, secs => n, cwd => dir.
sub run_program ($argv, %o) {
    my $base = tmp() . '/run-' . ++$serial;
    my $since = time;
    spew("$base.in", $o{stdin} // '');
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN, '<', "$base.in";
        open STDOUT, '>', "$base.out";
        open STDERR, '>', "$base.err";
        child_environment(%o);
        chdir $o{cwd} if $o{cwd};
        exec { $argv->[0] } @$argv or POSIX::_exit(127);
    }
    my $status = reap($pid, $o{secs} // 20);
    if (!defined $status) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }
    my %r = (
        exit => defined $status ? $status >> 8 : -1, signal => ($status // 9) & 127,
        out => slurp("$base.out"), err => slurp("$base.err"), seconds => time - $since,
    );
    unlink map { "$base.$_" } qw(in out err);
    return \%r;
}

sub child_environment (%o) {
    delete @ENV{qw(LISTEN_FDS LISTEN_PID LISTEN_FDNAMES NOTIFY_SOCKET)};
    delete @ENV{ @{ $o{unset} // [] } };
    my $env = $o{env} // {};
    @ENV{ keys %$env } = values %$env;
    $SIG{$_} = 'DEFAULT' for qw(PIPE ALRM INT TERM);
}

# The wait status of a child, undef if it still runs after $secs.
sub reap ($pid, $secs) {
    my $status;
    wait_until($secs, sub {
        my $got = waitpid $pid, WNOHANG;
        $status = $got == $pid ? $? : 0 if $got != 0;
        return $got != 0;
    });
    return $status;
}

# ---- the daemon -------------------------------------------------------------

# Starts a daemon and waits until it is ready.  Options:
#   sockets  kinds of socket, each 'unix', 'tcp', 'tcp6' or a whole URL;
#            default unix and tcp
#   workers  default 1
#   args     further options
#   env, unset, cwd   of the daemon
#   user     a user name to run as (for root)
#   copy     run a copy of the program: {program} may be replaced then
#   prefix   a program in front of the daemon, such as spawn-fcgi
#   child    code run in the child before exec, to set up descriptors
#   any      do not demand a ready line
sub start ($class, %o) {
    my $n = ++$serial;
    my $dir = tmp() . "/bridge-$n";
    mkdir $dir or die "$dir: $!\n";
    my $self = bless { dir => $dir, log => "$dir/log", url => {}, program => $daemon }, $class;
    my @args = $self->sockets($o{sockets} // [qw(unix tcp)]);
    $self->{workers} = $o{workers} // 1;
    push @args, '-c', $self->{workers};
    push @args, @{ $o{args} // [] };
    if ($o{user} || $o{copy}) {
        $self->{program} = "$dir/cgibridge"; # the build may lie where that user cannot go
        File::Copy::copy($daemon, $self->{program}) or die "$daemon: $!\n";
        chmod 0755, $self->{program};
    }
    chown +(getpwnam $o{user})[ 2, 3 ], $dir if $o{user};
    $self->{argv} = [ @{ $o{prefix} // [] }, @wrapper, $self->{program}, @args ];
    $self->spawn(%o);
    return $self if $o{any};
    $self->wait_ready or die "cgibridge did not get ready: " . $self->log . "\n";
    return $self;
}

sub sockets ($self, $kinds) {
    my @args;
    for my $kind (@$kinds) {
        my $url = $kind =~ /:/ ? $kind
            : $kind eq 'unix' ? "unix:$self->{dir}/socket"
            : $kind eq 'tcp' ? 'tcp:127.0.0.1:' . free_port()
            : $kind eq 'tcp6' ? 'tcp6:[::1]:' . free_port()
            : die "what socket is $kind?\n";
        push @args, '-s', $url;
        $self->{url}{ $kind =~ /^(\w+):/ ? $1 : $kind } = $url;
    }
    return @args;
}

sub spawn ($self, %o) {
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        eval {
            open STDIN, '<', '/dev/null';
            open STDERR, '>>', $self->{log} or die;
            open STDOUT, '>>', "$self->{dir}/out" or die;
            child_environment(%o);
            chdir $o{cwd} if $o{cwd};
            $o{child}->() if $o{child};
            become($o{user}) if $o{user};
            exec { $self->{argv}[0] } @{ $self->{argv} };
        };
        POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    $running{$pid} = $self;
}

sub become ($user) {
    my ($uid, $gid) = (getpwnam $user)[ 2, 3 ];
    $) = "$gid $gid";
    POSIX::setgid($gid);
    POSIX::setuid($uid);
    die if $> != $uid;
}

sub wait_ready ($self) {
    $self->wait_for_log(qr/\bready\b/, 15, from => 0) or return 0;
    wait_until(5, sub { $self->workers >= $self->{workers} });
    return 1;
}

sub pid ($self) { return $self->{pid} }

sub url ($self, $kind) { return $self->{url}{$kind} // die "no $kind socket\n" }

# Their pids; in scalar context how many.
sub workers ($self) {
    my @pids = children($self->{pid});
    return @pids;
}

sub log ($self) { return slurp($self->{log}) }

# A place in the log, for log_since().
sub mark ($self) { return -s $self->{log} // 0 }

sub log_since ($self, $mark) {
    my $text = slurp($self->{log});
    return $mark > length $text ? '' : substr $text, $mark;
}

sub wait_for_log ($self, $re, $secs = 5, %o) {
    my $from = $o{from} // 0;
    return wait_until($secs, sub {
        return 1 if $self->log_since($from) =~ $re;
        return $self->{pid} && !alive($self->{pid}) && $self->log_since($from) =~ $re ? 1 : 0;
    });
}

# The largest resident size the workers ever had, in KiB.
sub memory ($self) {
    my $most = 0;
    for ($self->workers) {
        my ($kib) = slurp("/proc/$_/status") =~ /^VmHWM:\s*(\d+)/m or next;
        $most = $kib if $kib > $most;
    }
    return $most;
}

# The parameters a front end sends for a script of cgi(): a list for
# FastCGI::pairs(), followed by more pairs, which win.
sub params ($self, $name, @more) {
    my %over = @more;
    my $dir = cgi();
    my @list = (
        SCRIPT_FILENAME => "$dir/$name", SCRIPT_NAME => "/$name", DOCUMENT_ROOT => $dir,
        REQUEST_METHOD => 'GET', QUERY_STRING => '', REQUEST_URI => "/$name",
        SERVER_PROTOCOL => 'HTTP/1.1', GATEWAY_INTERFACE => 'CGI/1.1',
        SERVER_SOFTWARE => 'test/1', SERVER_NAME => 'localhost', SERVER_PORT => '80',
        REMOTE_ADDR => '127.0.0.1',
    );
    my @kept;
    while (my ($key, $value) = splice @list, 0, 2) {
        push @kept, $key, $value if !exists $over{$key};
    }
    while (my ($key, $value) = splice @more, 0, 2) {
        push @kept, $key, $value if defined $value;
    }
    return \@kept;
}

# A POST's parameters; what `more` names replaces these, too.
sub post ($self, $name, $body, @more) {
    my %over = @more;
    my %own = (REQUEST_METHOD => 'POST', CONTENT_LENGTH => length $body,
        CONTENT_TYPE => 'application/octet-stream');
    delete @own{ keys %over };
    return $self->params($name, (map { $_ => $own{$_} } sort keys %own), @more);
}

# One request on a connection of its own: params, then FastCGI->ask()'s options.
sub get ($self, $kind, $name, $more = [], %o) {
    my $params = defined $o{body} ? $self->post($name, $o{body}, @$more)
        : $self->params($name, @$more);
    return FastCGI->ask($self->url($kind), $params, %o);
}

# The status page as a hash, of a daemon with --status-path /status.
sub status ($self, $kind = 'unix') {
    my $r = $self->get($kind, 'none', [ (map { ($_ => '') } qw(SCRIPT_FILENAME DOCUMENT_ROOT
        REQUEST_URI)), SCRIPT_NAME => '/status', QUERY_STRING => 'json' ]);
    return JSON::PP::decode_json(FastCGI::body($r));
}

# Waits until so many requests are in the queue.
sub wait_queued ($self, $n) {
    return wait_until(10, sub { $self->status->{queued_requests} == $n });
}

# What was sent to a daemon's only worker has been read by it: what it is asked later it does
# later.
sub catch_up ($self, $kind = 'unix') {
    my $r = $self->get($kind, 'hello', [], secs => 30);
    die "no answer\n" if FastCGI::body($r) ne "hello\n";
}

sub connect ($self, $kind, %o) { return FastCGI->connect($self->url($kind), %o) }

# Begins request `id`, whose script runs until the returned handle is closed: more pairs, then
# start()'s options.
sub start_waiting ($self, $c, $id = 1, $more = [], %o) {
    my ($gate, $hold) = gate();
    my $pids = spew(file(), '');
    chmod 0666, $pids; # the script may be another user's
    $c->start($id, $self->params('waits', QUERY_STRING => $gate, TEST_PIDS => $pids, @$more), %o);
    wait_pids($pids, 1) or die "no script runs for request $id\n";
    return $hold;
}

# Releases it; its answer.
sub end_waiting ($self, $c, $hold, $id = 1) {
    close $hold;
    return FastCGI::body($c->wait_end($id, 30));
}

# The supervisor's wait status once it has ended, undef after $secs.
sub wait_exit ($self, $secs = 10) {
    return $self->{status} if defined $self->{status};
    my $status = reap($self->{pid}, $secs);
    return if !defined $status;
    delete $running{ $self->{pid} };
    return $self->{status} = $status;
}

sub signal ($self, $name) { return kill $name, $self->{pid} }

# Waits until a new image serves, as the log says since a mark.
sub wait_reloaded ($self, $mark, $secs = 15) {
    return $self->wait_for_log(qr/takes over.*\n(?:.*\n)*.*\bready\b/, $secs, from => $mark);
}

# Sends HUP and waits for the new image and the end of the old workers; true if they came.
sub reload ($self) {
    my $mark = $self->mark;
    my %old = map { $_ => 1 } $self->workers;
    $self->signal('HUP');
    $self->wait_reloaded($mark) or return 0;
    $self->wait_for_log(qr/workers from before the reload have ended/, 15, from => $mark)
        or return 0;
    return wait_until(5, sub {
        my @now = $self->workers;
        return @now && !grep { $old{$_} } @now;
    });
}

# It goes on: another connection is served at once, by the workers that there were.
sub ok_serves ($self, $kind, @workers) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = eval { $self->get($kind, 'hello') };
    is($r ? FastCGI::body($r) : $@, "hello\n", 'others are served');
    cmp_ok($r->{total}, '<', slow(2), 'at once') if $r;
    is_deeply([ $self->workers ], \@workers, 'by the same worker');
}

# The log's warnings and errors since a mark.
sub warnings ($self, $mark) {
    return grep { / (?:warn|error): / } quiet($self->log_since($mark));
}

# There is exactly one, and it says this.
sub one_warning ($self, $mark, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $self->wait_for_log(qr/ warn: .*\n/, 5, from => $mark);
    sleep 0.1;
    my @lines = $self->warnings($mark);
    is(scalar @lines, 1, 'one warning') or diag(join "\n", @lines);
    like($lines[0] // '', $what, 'that says what');
}

sub no_warning ($self, $mark) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    sleep 0.1;
    is_deeply([ $self->warnings($mark) ], [], 'no warning');
}

# No complaint of a checker in the log.
sub ok_log ($self) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $log = $self->log;
    unlike($log, $complaint, 'no complaint in the log');
}

# TERM; it must end by itself, with exit status 0 and nothing left behind.
sub stop ($self, $name = 'cgibridge') {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @family = descendants($self->{pid});
    $self->signal('TERM');
    my $status = $self->wait_exit(20);
    subtest "$name: stopped" => sub {
        is($status, 0, 'TERM: exit status 0') or diag(substr $self->log, -2000);
        is_deeply([ gone(5, @family) ], [], 'no worker and no script is left');
        $self->ok_log;
    };
    $self->kill_all;
}

# At once, whatever it is doing, with no demands.
sub kill_all ($self) {
    return if defined $self->{status} || !$self->{pid};
    my @family = descendants($self->{pid});
    kill 'KILL', $self->{pid};
    $self->Bridge::wait_exit(10);
    kill 'KILL', @family if @family && gone(3, @family);
    delete $running{ $self->{pid} };
}

# The lines a piece of the log holds, without those of level debug; in scalar
# context how many.
sub quiet ($text) {
    my @lines = grep { !/ debug: / } split /\n/, $text;
    return @lines;
}

# ---- nginx ------------------------------------------------------------------

# Starts nginx with these lines in its server block, and lines => for http.
# Returns an object with {port}.
sub nginx ($class, $server, %o) {
    my $program = is_program('nginx', 'nginx');
    my $dir = tmp() . '/nginx-' . ++$serial;
    mkdir $dir or die "$dir: $!\n";
    my $port = free_port();
    my $user = is_root() ? 'user root;' : '';
    my $http = $o{http} // '';
    my $temp = join "\n", map { "${_}_temp_path $dir/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi);
    spew("$dir/conf", <<~CONF);
        $user
        daemon off;
        worker_processes 1;
        pid $dir/pid;
        error_log $dir/error.log notice;
        events { worker_connections 1024; }
        http {
            access_log off;
            $temp
            fastcgi_read_timeout 10s;
            client_max_body_size 0;
            $http
            server {
                listen 127.0.0.1:$port;
                server_name localhost;
                $server
            }
        }
        CONF
    my $self = bless { dir => $dir, port => $port, errors => "$dir/error.log",
        log => "$dir/out", argv => [ $program, '-e', "$dir/error.log", '-c', "$dir/conf",
            '-p', $dir ] }, 'Bridge::Nginx';
    $self->Bridge::spawn;
    my $up = wait_until(10, sub {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
    });
    die 'nginx did not start: ' . slurp("$dir/out") . slurp("$dir/error.log") if !$up;
    return $self;
}

# The lines of nginx's configuration that hand a location to a bridge.
sub nginx_params ($dir) {
    return <<~CONF;
        fastcgi_param QUERY_STRING \$query_string;
        fastcgi_param REQUEST_METHOD \$request_method;
        fastcgi_param CONTENT_TYPE \$content_type;
        fastcgi_param CONTENT_LENGTH \$content_length;
        fastcgi_param REQUEST_URI \$request_uri;
        fastcgi_param DOCUMENT_ROOT $dir;
        fastcgi_param SERVER_PROTOCOL \$server_protocol;
        fastcgi_param GATEWAY_INTERFACE CGI/1.1;
        fastcgi_param SERVER_SOFTWARE nginx/\$nginx_version;
        fastcgi_param REMOTE_ADDR \$remote_addr;
        fastcgi_param SERVER_NAME \$server_name;
        fastcgi_param SERVER_PORT \$server_port;
        CONF
}

# ---- the end ----------------------------------------------------------------

sub sweep () {
    return if $$ != $owner;
    for (values %running) {
        eval { $_->Bridge::kill_all; 1 } or warn $@;
    }
    %running = ();
    File::Path::remove_tree($tmp, { safe => 0, error => \my $ignored }) if $tmp;
    $tmp = undef;
}

$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);

END {
    my $status = $?;
    chdir '/';
    sweep();
    $? = $status;
}

package Bridge::Nginx;
use v5.36;
use Test::More;

sub port ($self) { return $self->{port} }

sub pid ($self) { return $self->{pid} }

# QUIT, and nothing bad in its error log.
sub stop ($self) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    kill 'QUIT', $self->{pid};
    my $status = $self->Bridge::wait_exit(20);
    my $errors = Bridge::slurp($self->{errors});
    subtest 'nginx: stopped' => sub {
        is($status, 0, 'exit status 0');
        unlike($errors, qr/timed out|prematurely closed|reset|upstream sent/,
            'nothing bad in its error log');
        unlike($errors, qr/\[(?:error|crit|alert|emerg)\]/, 'and no error of another kind');
    };
    $self->Bridge::kill_all;
}

1;

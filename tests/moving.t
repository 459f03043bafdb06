#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# cgibridge-migrate(7): the same scripts by uWSGI's CGI plugin, Apache's mod_cgid and lighttpd's
# mod_cgi, and by the bridge behind the same web server, with the options that the page gives
# for their settings.  The answers are the same, but for the differences that the page names.
use v5.36;
use Test::More;
use File::Basename qw(dirname);
use IO::Select;
use JSON::PP ();
use Bridge;
use FrontEnd;

is_program('uwsgi-core', 'uwsgi-core');
my $dir = Bridge::cgi();
my $page = slurp("$Bridge::srcdir/man/cgibridge-migrate.7");
my $quiet = int slow(3); # seconds that a script may be silent for
my ($gate, $shut) = gate(); # what a script waits at that is to be stopped

# ---- scripts ----------------------------------------------------------------------

my $head = q{printf 'Content-Type: text/plain\n\n'};
sh('moved', q{printf 'Location: http://localhost/elsewhere\n\n'});
sh('inward', q{printf 'Location: /cgi-bin/hello\n\n'});
sh('notfound', q{printf 'Status: 404 Not Found\nContent-Type: text/plain\n\nnothing\n'});
sh('nph-teapot', q{printf 'HTTP/1.1 418 I am a teapot\r\nContent-Type: text/plain\r\n\r\nshort\n'});
sh('headless', 'echo hello');
sh('mute', ':');
sh('fails', 'echo oops >&2; exit 3');
sh('laments', "echo on stderr >&2; $head; echo out");
sh('arguments', qq{$head; for a; do echo "[\$a]"; done; pwd});
sh('twice', q{printf 'X-A: 1\nX-A: 2\nContent-Type: text/plain\n\nout\n'});
sh('types', q{printf 'Content-Type: text/plain\nContent-Type: text/html\n\nout\n'});
sh('silent', "flock -s -w 60 $gate true; $head; echo out");
sh('limits', "$head; sed -En 's/^Max (cpu time|processes|address space) *([0-9]*).*/\\2/p'"
    . ' /proc/self/limits');
sh('wide', "printf 'Content-Type: text/plain\\nX-Wide: '; head -c \"\$QUERY_STRING\" /dev/zero"
    . q{ | tr '\0' x; printf '\n\nout\n'});
sh('variables.cgi', "$head; echo \"\$GREETING \$PASSED\"");
sh('upgrades', q{printf 'Status: 101 Switching Protocols\nUpgrade: echo\nConnection: upgrade\n\n'; }
    . 'read -r line; echo "echo: $line"');
script('broken.cgi', "#!/bin/sh\necho hello there\n");
script('reads.cgi', "#!/bin/sh\nn=\$(wc -c)\n$head; echo \$n\n");
sh('sends', qq{printf 'Content-Type: text/plain\\nX-Sendfile: $dir/sent.txt\\n\\n'; echo unseen});
spew("$dir/sent.txt", "a file\n");
script('unexecutable', "#!/bin/sh\n$head\n", 0644);
script('helped.pl', qq{print "Content-Type: text/plain\\n\\nhelped\\n";\n}, 0644);
script('run.cgi', "#!/bin/sh\n$head; echo \"run \$PATH_INFO\"\n");
mkdir "$dir/folder";
script('folder/index.cgi', "#!/bin/sh\n$head; echo index\n");

# What is asked of all of them: a name, then the request.
my @requests = (
    [ 'a page' => GET => 'hello' ],
    [ 'HEAD' => HEAD => 'hello' ],
    [ 'a body, read to its end' => POST => 'count', 'a body' ],
    [ 'redirect' => GET => 'moved' ],
    [ 'local redirect' => GET => 'inward' ],
    [ 'Status' => GET => 'notfound' ],
    [ 'a header twice' => GET => 'twice' ],
    [ 'Content-Type twice' => GET => 'types' ],
    [ 'nph' => GET => 'nph-teapot' ],
    [ 'no header' => GET => 'headless' ],
    [ 'no output' => GET => 'mute' ],
    [ 'exit status 3' => GET => 'fails' ],
    [ 'standard error' => GET => 'laments' ],
    [ 'arguments' => GET => 'arguments?a+b' ],
    [ 'no such script' => GET => 'missing' ],
    [ 'no x bit' => GET => 'unexecutable' ],
    [ 'a program by extension' => GET => 'helped.pl' ],
    [ 'a folder' => GET => 'folder/' ],
);

# ---- comparing --------------------------------------------------------------------

# An answer as one line.  The pages of errors are each server's own.
sub answer ($port, $method, $path, $body = undef) {
    my $r = HTTP::Tiny->new(timeout => slow(20), max_redirect => 0)->request($method,
        "http://127.0.0.1:$port/cgi-bin/$path", { defined $body ? (content => $body) : () });
    my $h = $r->{headers};
    my $type = join ' ', map { ref ? @$_ : $_ // '' } $h->{'content-type'};
    my $content = $r->{content} // '';
    return "$r->{status} $content" if $r->{status} == 599;
    return $r->{status} if $r->{status} >= 400
        && $content =~ /<html|^$r->{status} |^(?:Not Found|Forbidden)$/i;
    return "$r->{status} " . ($h->{location} // '') if $r->{status} =~ /^3/;
    my $twice = join ', ', map { ref ? @$_ : $_ // '' } $h->{'x-a'};
    return join ' ', grep { length } $r->{status}, $type, $twice, split /\n/, $content;
}

# Asks both; `differs` has { name => [ the old answer, the new one ] }.
sub compare ($old, $new, %differs) {
    for (@requests) {
        my ($name, @request) = @$_;
        my ($was, $is) = map { answer($_, @request) } $old, $new;
        my $want = delete $differs{$name} or do { is($is, $was, "$name: $was"); next };
        is_deeply([ $was, $is ], $want, "$name: $was, and then $is");
    }
    is_deeply([ keys %differs ], [], 'each difference was asked for');
}

# What servers answer when a script says nothing for too long, asked at once.
sub silence (@servers) {
    my @s = map {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $_->port) // die "$!\n"
    } @servers;
    print $_ "GET /cgi-bin/silent HTTP/1.0\r\nHost: localhost\r\n\r\n" for @s;
    return map { (<$_> // '') =~ m{^HTTP/1\.\d (\d+)} ? $1 : 'no answer' } @s;
}

sub environment ($port, $path) {
    my $r = HTTP::Tiny->new(timeout => slow(20))
        ->get("http://127.0.0.1:$port/cgi-bin/environ$path");
    my %env = map { /^([^=]*)=(.*)/s } split /\0/, $r->{content};
    delete @env{qw(REMOTE_PORT SERVER_PORT HTTP_HOST)};
    return \%env;
}

# The environments are the same but for variables whose names `differs` match.
sub compare_environments ($old, $new, @differs) {
    my ($was, $is) = map { environment($_, '/a%20b/c?d=e%20f') } $old, $new;
    is($is->{PATH_INFO}, '/a b/c', 'PATH_INFO is what it was');
    my %all = (%$was, %$is);
    $_ //= 'unset' for @$was{keys %all}, @$is{keys %all};
    my $named = join '|', @differs;
    is_deeply([ map { "$_: $was->{$_} -> $is->{$_}" } grep { $was->{$_} ne $is->{$_} }
        grep { !/^(?:$named)$/ } sort keys %all ], [], 'the rest of the environment, too');
}

# Ends servers, as each is asked to.
sub end_all (@servers) {
    kill $_->{quit} // 'QUIT', $_->{pid} for @servers;
    $_->Bridge::wait_exit(20) // fail('a server ends') for @servers;
    $_->Bridge::kill_all for @servers;
}

# The rows of the page's tables for these three; `tried`: by a test.
my @rows = map {
    my ($program) = /^ (\S+)/;
    map { { program => $program, row => $_, tried => 0 } } grep { !/^Sy / } /^\.It (.* Ta .*)/mg
} grep { /^ (?:UWSGI|APACHE|LIGHTTPD)'S / } split /^\.Sh/m, $page;

# A test has tried what the page's table says in these rows: what is on the left, and on the right.
sub in_page (@pairs) {
    while (my ($left, $right) = splice @pairs, 0, 2) {
        my @found = grep {
            my ($old, $new) = split / Ta /, $_->{row}, 2;
            $old =~ $left && $new =~ $right;
        } @rows;
        is(scalar @found, 1, "the page has $left, $right");
        $_->{tried} = 1 for @found;
    }
}

# ---- uWSGI ------------------------------------------------------------------------

# Room in nginx for the headers of an answer.
my $large = ' fastcgi_buffer_size 128k; fastcgi_buffers 8 128k; fastcgi_busy_buffers_size 256k;';

# Runs uWSGI with these settings, behind nginx; both.  Its socket is below `root`, where it
# opens it after a chroot.
sub uwsgi_below ($root, @settings) {
    my $self = FrontEnd->prepare(name => 'uwsgi', package => 'uwsgi-core', quit => 'INT');
    my $socket = $self->{socket} = $root eq '' ? "$self->{dir}/socket" : "$root/socket";
    chmod 0777, $self->{dir}, $root; # it opens the socket as its uid
    spew("$self->{dir}/ini", join "\n", '[uwsgi]', 'plugins-dir = /usr/lib/uwsgi/plugins',
        'plugins = cgi', 'socket = ' . substr($socket, length $root), 'chmod-socket = 666',
        'processes = 2', 'master = 1',
        @settings, '');
    $self->{argv} = [ is_program('uwsgi-core', 'uwsgi-core'), '--ini', "$self->{dir}/ini" ];
    $self->Bridge::spawn;
    wait_until(20, sub { IO::Socket::UNIX->new(Peer => $socket) })
        or die 'uWSGI did not start: ' . $self->log . "\n";
    my $nginx = Bridge->nginx('root ' . tmp() . ";\nlocation /cgi-bin/ {"
        . ' include /etc/nginx/uwsgi_params; uwsgi_modifier1 9;'
        . ($large =~ s/fastcgi/uwsgi/gr) . " uwsgi_pass unix:$socket; }");
    return ($nginx, $self);
}

sub uwsgi (@settings) { return uwsgi_below('', @settings) }

# The bridge with the options of the page, behind nginx; both.
sub bridge (%o) {
    my $bridge = Bridge->start(sockets => ['unix'], any => $o{any},
        args => [ '--socket-mode', '0666', @{ $o{args} } ]);
    wait_until(20, sub { IO::Socket::UNIX->new(Peer => "$bridge->{dir}/socket") })
        or die 'the bridge did not start: ' . $bridge->log . "\n";
    my $socket = $bridge->url('unix') =~ s/^unix://r;
    my $file = $o{file} // '$document_root$fastcgi_script_name';
    my $location = $o{location} // '/cgi-bin/';
    my $more = $o{more} // '';
    my $before = $o{before} // '';
    my $nginx = Bridge->nginx('root ' . tmp() . ";\n$before\nlocation $location {"
        . " include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $file;"
        . " $more $large fastcgi_pass unix:$socket; }");
    return ($nginx, $bridge);
}

my @as = is_root() ? ([ 'uid = nobody', 'gid = nogroup' ], [ qw(-u nobody -g nogroup) ])
    : ([], []);

scenario 'uWSGI: a folder of scripts' => sub {
    my ($old, $uwsgi) = uwsgi("cgi = /cgi-bin=$dir", 'cgi-helper = .pl=perl',
        'cgi-index = index.cgi', "cgi-timeout = $quiet", 'cgi-close-stdin-on-eof = 1',
        'env = GREETING=hi', @{ $as[0] });
    my ($new, $bridge) = bridge(more => 'fastcgi_index index.cgi;', args => [ '-r', $dir,
        '--handler', '.pl=/usr/bin/perl', '--idle-timeout', "${quiet}s", '--query-args',
        '--env', 'GREETING=hi', @{ $as[1] } ]);
    compare($old->port, $new->port,
        'nph' => [ 502, '418 text/plain short' ],
        map { $_ => [ 502, 500 ] } 'no header', 'no output', 'exit status 3');
    is_deeply([ silence($old, $new) ], [ 502, 504 ], 'silence: 502, and then 504');
    compare_environments($old->port, $new->port, 'UWSGI_.*', 'SERVER_SOFTWARE', 'SERVER_ADDR',
        'DOCUMENT_URI', 'CONTENT_LENGTH', 'REMOTE_USER', qw(HOME USER LOGNAME));
    is(environment($_->port, '')->{GREETING}, 'hi', 'env') for $old, $new;
    like($uwsgi->log, qr/^on stderr$/m, 'standard error: the log of uWSGI');
    like($bridge->log, qr/stderr: on stderr$/m, 'and that of the bridge');
    in_page(qr/^Li socket$/ => qr/Fl s/, qr/\bcgi = \/url=\/dir/ => qr/Fl r/,
        qr/cgi-helper/ => qr/Fl -handler/,
        qr/cgi-index/ => qr/fastcgi_index/, qr/cgi-timeout/ => qr/Fl -idle-timeout/,
        qr/^Li env/ => qr/Fl -env/, qr/uid , gid/ => qr/Fl u , g/, qr/query/ => qr/Fl -query-args/,
        qr/cgi-close-stdin-on-eof/ => qr/always/);
    end_all($old, $new, $uwsgi);
    $bridge->stop;
};

scenario 'uWSGI: the end of a body, as it comes without cgi-close-stdin-on-eof' => sub {
    my ($old, $uwsgi) = uwsgi("cgi = /cgi-bin=$dir", 'cgi-timeout = 1');
    is(answer($old->port, POST => 'count', 'a body'), 502, 'a script that reads to the end waits');
    end_all($old, $uwsgi);
};

scenario 'uWSGI: harakiri' => sub {
    my ($old, $uwsgi) = uwsgi("cgi = /cgi-bin=$dir", 'cgi-timeout = 600', "harakiri = $quiet");
    my ($new, $bridge) = bridge(args => [ '-r', $dir, '-t', "${quiet}s" ]);
    is_deeply([ silence($old, $new) ], [ 502, 504 ], 'a script that takes too long: 502, and then 504');
    in_page(qr/harakiri/ => qr/Fl t\b/);
    end_all($old, $new, $uwsgi);
    $bridge->stop;
};

scenario 'uWSGI: one script, and an extension' => sub {
    my ($old, $uwsgi) = uwsgi("cgi = $dir/run.cgi");
    my ($new, $bridge) = bridge(file => "$dir/run.cgi", more => 'fastcgi_param SCRIPT_NAME "";'
        . ' fastcgi_param PATH_INFO $fastcgi_script_name;', args => [ '-p', "$dir/run.cgi" ]);
    is(answer($_->port, GET => 'anything'), '200 text/plain run /cgi-bin/anything', 'one script')
        for $old, $new;
    in_page(qr/\bcgi = \/path\/script/ => qr/Fl p/,
        qr/Ev PATH_INFO/ => qr/fastcgi_param PATH_INFO/);
    end_all($old, $new, $uwsgi);
    $bridge->stop;

    ($old, $uwsgi) = uwsgi("cgi = /cgi-bin=$dir", 'cgi-allowed-ext = .cgi');
    ($new, $bridge) = bridge(location => '~ "\.cgi(/|$)"', args => [ '-r', $dir ],
        before => 'location /cgi-bin/ { return 403; }');
    is(answer($_->port, GET => 'run.cgi/more'), '200 text/plain run /more', 'an allowed extension')
        for $old, $new;
    is(answer($_->port, GET => 'hello'), 403, 'another one: 403') for $old, $new;
    in_page(qr/cgi-allowed-ext/ => qr/location.*\.cgi\(\/\|\$\).*return 403/s);
    end_all($old, $new, $uwsgi);
    $bridge->stop;
};

# Begins a script that waits at a gate, and then asks for one that says whether the first is
# still there; both answers.  $meanwhile is called before the gate opens.
sub overlap ($port, $meanwhile) {
    my ($held, $hold) = gate();
    my $there = file() . '/there';
    mkdir dirname($there) or die "$there: $!\n";
    chmod 0777, dirname($there); # the script may be another user's
    sh('holds', "echo >$there; flock -s -w 60 $held true; rm $there; $head; echo held");
    sh('looks', "$head; test -e $there && echo beside || echo alone");
    my @s = map {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) // die "$!\n";
        print $s "GET /cgi-bin/$_ HTTP/1.0\r\nHost: localhost\r\n\r\n";
        wait_until(10, sub { -e $there }) or die "no script runs\n";
        $s;
    } qw(holds looks);
    $meanwhile->($s[1]);
    close $hold;
    return map { my $s = $_; (join('', <$s>) =~ /\n(\w+)\n\z/)[0] // 'no answer' } @s;
}

scenario 'uWSGI: how many at once' => sub {
    my ($old, $uwsgi) = uwsgi("cgi = /cgi-bin=$dir", 'processes = 1', @{ $as[0] });
    is_deeply([ overlap($old->port, sub { }) ], [qw(held alone)], 'one process: one at a time');
    end_all($old, $uwsgi);
    my @status = qw(--status-path /status);
    my ($new, $bridge) = bridge(args => [ '-m', 1, @status, @{ $as[1] } ]);
    is_deeply([ overlap($new->port, sub ($s) { $bridge->wait_queued(1) }) ], [qw(held alone)],
        '-m 1: the same');
    end_all($new);
    $bridge->stop;
    ($new, $bridge) = bridge(args => [ '-m', 2, @{ $as[1] } ]);
    is_deeply([ overlap($new->port, sub ($s) {
        ok(IO::Select->new($s)->can_read(slow(20)), 'it is answered meanwhile');
    }) ], [qw(held beside)], '-m 2: two, in one worker');
    in_page(qr/processes/ => qr/Fl m/);
    end_all($new);
    $bridge->stop;
};

sub owner_of ($socket) {
    my @s = stat $socket;
    return sprintf '%o %d:%d', $s[2] & 0777, @s[ 4, 5 ];
}

scenario 'uWSGI: sockets' => sub {
    my ($user, $group) = is_root() ? qw(nobody nogroup) : (scalar getpwuid $>, scalar getgrgid $));
    my ($old, $uwsgi) = uwsgi("cgi = /cgi-bin=$dir", 'chmod-socket = 640',
        "chown-socket = $user:$group");
    my ($new, $bridge) = bridge(args => [ '--socket-mode', '0640', '--socket-owner',
        "$user:$group" ]);
    is(owner_of($bridge->url('unix') =~ s/^unix://r), owner_of($uwsgi->{socket}),
        'mode and owner: ' . owner_of($uwsgi->{socket}));
    in_page(qr/chmod-socket/ => qr/Fl -socket-mode , -socket-owner/);
    end_all($old, $new, $uwsgi);
    $bridge->stop;
};

# A folder with a program in it that needs nothing else.
sub jail () {
    my $jail = tmp() . '/jail';
    mkdir $_ or die "$_: $!\n" for $jail, "$jail/cgi";
    spew("$jail/where.c", <<~'C');
        #include <stdio.h>
        #include <unistd.h>
        int main(void) { char dir[99]; return puts("Content-Type: text/plain\n") < 0
            || puts(getcwd(dir, sizeof dir) == NULL ? "nowhere" : dir) < 0; }
        C
    my $r = run_program([ split(' ', $ENV{CC} // 'cc'), '-static', '-o', "$jail/cgi/where",
        "$jail/where.c" ], secs => 60);
    is($r->{exit}, 0, 'a program') or diag $r->{err};
    return $jail;
}

scenario 'uWSGI: chroot' => sub {
    in_page(qr/^Li chroot/ => qr/Fl -chroot/);
    return pass('only root can change its root directory') if !is_root();
    # LeakSanitizer needs /proc
    local $ENV{ASAN_OPTIONS} = join ':', grep { length } $ENV{ASAN_OPTIONS} // '', 'detect_leaks=0';
    my $jail = jail();
    my ($uid, $gid) = (getpwnam 'nobody')[ 2, 3 ]; # it looks for names below its new root
    my ($old, $uwsgi) = uwsgi_below($jail, 'cgi = /cgi-bin=/cgi', "chroot = $jail",
        "uid = $uid", "gid = $gid");
    my ($new, $bridge) = bridge(file => '/cgi/where', args => [ '--chroot', $jail, '-r', '/cgi',
        '--spool-dir', '/', @{ $as[1] } ]);
    is(answer($_->port, GET => 'where'), '200 text/plain /cgi', 'a script below the new root')
        for $old, $new;
    ok(-S "$jail/socket" && !-S "$bridge->{dir}/none", 'uWSGI opens its socket below it');
    ok(-S ($bridge->url('unix') =~ s/^unix://r), 'and the bridge before');
    end_all($old, $new, $uwsgi);
    $bridge->stop;
};

# The status of an answer whose request, or own header, is as long as this.
sub status_of_long ($port, $path, $header) {
    return HTTP::Tiny->new(timeout => slow(20))->get("http://127.0.0.1:$port/cgi-bin/$path",
        { headers => { 'X-Long' => 'x' x $header } })->{status};
}

scenario 'uWSGI: buffer-size and cgi-buffer-size' => sub {
    my ($old, $uwsgi) = uwsgi("cgi = /cgi-bin=$dir", 'cgi-buffer-size = 8192', @{ $as[0] });
    my ($new, $bridge) = bridge(args => [ '--max-params', '4K', @{ $as[1] } ]);
    is(status_of_long($old->port, hello => 6000), 502, 'a long request: 502');
    is(status_of_long($new->port, hello => 6000), 431, 'and then 431');
    is(status_of_long($old->port, 'wide?30000', 1), 502, 'long headers of an answer: 502');
    is(status_of_long($new->port, 'wide?30000', 1), 200, 'there is room for them');
    is(status_of_long($new->port, 'wide?66000', 1), 500, 'up to 64 KiB');
    end_all($old, $new, $uwsgi);
    $bridge->stop;
    ($old, $uwsgi) = uwsgi("cgi = /cgi-bin=$dir", 'buffer-size = 32768', @{ $as[0] });
    ($new, $bridge) = bridge(args => $as[1]);
    is(status_of_long($_->port, hello => 6000), 200, 'a larger one') for $old, $new;
    in_page(qr/^Li buffer-size/ => qr/Fl -max-params/, qr/cgi-buffer-size/ => qr/none.*64 KiB/);
    end_all($old, $new, $uwsgi);
    $bridge->stop;
};

scenario 'uWSGI: logto and stats' => sub {
    my $file = spew(file(), '', 0666);
    my $port = free_port();
    my ($old, $uwsgi) = uwsgi("cgi = /cgi-bin=$dir", "logto = $file", "stats = 127.0.0.1:$port",
        @{ $as[0] });
    my ($new, $bridge) = bridge(args => [ '--status-path', '/status', @{ $as[1] } ]);
    for my $server ($old, $new) {
        is(answer($server->port, GET => 'laments'), '200 text/plain out', 'a request') for 1 .. 3;
    }
    my $stats = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) // die "$!\n";
    my $sum = 0;
    $sum += $_->{requests} for @{ JSON::PP::decode_json(join '', <$stats>)->{workers} };
    is($sum, 3, 'stats: its requests');
    is($bridge->status->{requests}, 4, 'and those on the status page, which is one itself');
    my @lines = slurp($file) =~ /^(on stderr)$/mg;
    is(scalar @lines, 3, 'logto: standard error of scripts');
    like($bridge->log, qr/stderr: on stderr$/m, 'and the log on standard error');
    end_all($old, $new, $uwsgi);
    $bridge->stop;

    my $socket = file();
    my $syslog = manager($socket);
    ($new, $bridge) = bridge(any => 1,
        args => [ '--syslog', '--syslog-socket', $socket, @{ $as[1] } ]);
    my $heard = '';
    is(answer($new->port, GET => 'laments'), '200 text/plain out', 'a request');
    ok(wait_until(10, sub { told($syslog, \$heard) =~ /stderr: on stderr$/m }), 'or in syslog');
    in_page(qr/^Li logto/ => qr/Fl -syslog , No or standard error/,
        qr/^Li stats/ => qr/Fl -status-path/);
    end_all($new);
    $bridge->stop;
};

# ---- Apache -----------------------------------------------------------------------

sub load_modules (@names) {
    return map { "LoadModule ${_}_module /usr/lib/apache2/modules/mod_$_.so\n" } @names;
}

# Runs Apache with mod_cgid and these lines.
sub cgid ($lines) {
    my $self = FrontEnd->prepare(name => 'cgid', package => 'apache2-bin', quit => 'TERM');
    my $own = $self->{dir};
    mkdir "$own/htdocs";
    $self->{script_log} = spew("$own/scripts", '', 0666);
    spew("$own/conf", <<~CONF . $lines);
        @{[ load_modules(qw(mpm_event authz_core alias env cgid mime)) ]}
        ServerRoot $own
        ServerName localhost
        Listen 127.0.0.1:$self->{port}
        TypesConfig /dev/null
        @{[ is_root() ? "User nobody\nGroup nogroup" : '' ]}
        DefaultRuntimeDir $own
        PidFile $own/pid
        ErrorLog $own/log
        DocumentRoot $own/htdocs
        ScriptSock $own/socket
        ScriptLog $own/scripts
        CONF
    return $self->run('apache2', '-f', "$own/conf", '-DFOREGROUND');
}

scenario 'Apache: mod_cgid' => sub {
    my $old = cgid(<<~CONF);
        CGIDScriptTimeout ${quiet}s
        SetEnv GREETING hi
        RLimitCPU 50
        RLimitMEM 4294967296
        RLimitNPROC 5000
        ScriptAlias "/cgi-bin/" "$dir/"
        <Directory "$dir">
            Require all granted
        </Directory>
        CONF
    my $bridge = Bridge->start(sockets => ['unix'], args => [ '--socket-mode', '0666',
        '--idle-timeout', "${quiet}s", '--query-args', '--local-redirect',
        '--env', 'GREETING=hi', '--limit', 'cpu=50s', '--limit', 'as=4G', '--limit',
        'nproc=5000', @{ $as[1] } ]);
    my $socket = $bridge->url('unix') =~ s/^unix://r;
    my $new = FrontEnd->apache(edit => sub {
        FrontEnd::swap('/run/cgibridge.sock', $socket);
        s{\z}{DocumentRoot @{[ tmp() ]}\n}; # --local-redirect serves what is below it
    });
    compare($old->port, $new->port, 'no x bit' => [ 500, 403 ],
        'a program by extension' => [ 500, 403 ]);
    is_deeply([ silence($old, $new) ], [ 504, 504 ], 'silence: 504');
    compare_environments($old->port, $new->port,
        qw(DOCUMENT_ROOT PATH_TRANSLATED HOME USER LOGNAME),
        map { quotemeta } grep { $_ ne 'PATH' } keys %ENV); # Apache keeps these to itself
    is(environment($_->port, '')->{GREETING}, 'hi', 'SetEnv') for $old, $new;
    is(answer($_->port, GET => 'limits'), '200 text/plain 50 5000 4294967296', 'RLimit') for $old, $new;
    in_page(qr/ScriptSock/ => qr/Fl s/, qr/RLimitCPU/ => qr/Fl -limit/,
        qr/CGIDScriptTimeout/ => qr/Fl -idle-timeout/);
    end_all($old, $new);
    $bridge->stop;
};

scenario 'Apache: scripts by extension, ScriptLog, PassEnv, LimitRequestBody' => sub {
    local $ENV{PASSED} = 'along';
    mkdir "$dir/other";
    script('other/run.cgi', "#!/bin/sh\n$head; echo elsewhere\n");
    my $old = cgid(<<~CONF);
        SetEnv GREETING hi
        PassEnv PASSED
        LimitRequestBody 1000
        Alias "/cgi-bin/" "$dir/"
        AddHandler cgi-script .cgi .pl
        <Directory "$dir">
            Options +ExecCGI
            Require all granted
        </Directory>
        <Directory "$dir/other">
            Options -ExecCGI
        </Directory>
        CONF
    my $bridge = Bridge->start(sockets => ['unix'], args => [ '--socket-mode', '0666',
        (map { ('-p', "$dir/$_.cgi") } qw(run broken reads variables)), '--clear-env', '--env',
        'GREETING=hello', '--max-body', '500', @{ $as[1] } ]);
    my $socket = $bridge->url('unix') =~ s/^unix://r;
    my $new = FrontEnd->apache(edit => sub {
        FrontEnd::swap('/run/cgibridge.sock', $socket);
        s{( *SetHandler.*\n)}{<FilesMatch "\\.(cgi|pl)\$">\n$1</FilesMatch>\n}
            or die "no SetHandler\n";
        FrontEnd::swap('-gt 104857600', '-gt 1000');
        s{\A}{join '', load_modules('env'), "PassEnv PASSED\n"}e;
    });
    for my $port (map { $_->port } $old, $new) {
        is(answer($port, GET => 'run.cgi/more'), '200 text/plain run /more', 'a script');
        is(answer($port, GET => 'sent.txt'), '200 a file', 'a file');
        is(answer($port, GET => 'other/run.cgi'), 403, 'where no script may run');
        is(answer($port, GET => 'broken.cgi'), 500, 'a broken response');
        is(answer($port, POST => 'reads.cgi', 'x' x 2000), 413, 'a body that is too long');
        is(answer($port, POST => 'reads.cgi', 'x' x 900), '200 text/plain 900', 'one that is not');
    }
    like(slurp($old->{script_log}),
        qr{^%% 500 \Q$dir\E/broken\.cgi\n(?:.*\n)*%response\nhello there$}m,
        'ScriptLog has its start');
    like($bridge->log, qr{/broken\.cgi\[.* output starts: hello there\\x0a }, 'and the log');
    is(answer($old->port, GET => 'variables.cgi'), '200 text/plain hi along', 'SetEnv and PassEnv');
    is(answer($new->port, GET => 'variables.cgi'), '200 text/plain hello along',
        '--env and PassEnv');
    my @pieces = ('x' x 900) x 40; # Apache looks for the end in the first 16 KiB
    is(answer($new->port, POST => 'reads.cgi', sub { shift @pieces }), 413,
        'of unknown length, it must fit --max-body');
    in_page(qr/Options \+ExecCGI/ => qr/Fl r , p/, qr/AddHandler/ => qr/SetHandler.*FilesMatch/,
        qr/ScriptLog/ => qr/start of a broken response/, qr/SetEnv , PassEnv/ => qr/Fl -env/,
        qr/LimitRequestBody/ => qr/Redirect 413.*Fl -max-body/);
    end_all($old, $new);
    $bridge->stop;
};

# ---- lighttpd ---------------------------------------------------------------------

# Runs lighttpd with mod_cgi and these lines.
sub mod_cgi ($lines) {
    my $self = FrontEnd->prepare(name => 'mod_cgi', package => 'lighttpd', quit => 'INT');
    my $own = $self->{dir};
    spew("$own/conf", <<~CONF . $lines);
        server.document-root = "$own"
        server.bind = "127.0.0.1"
        server.port = $self->{port}
        server.errorlog = "$own/log"
        server.upload-dirs = ( "$own" )
        server.modules = ( "mod_alias", "mod_cgi" )
        alias.url += ( "/cgi-bin/" => "$dir/" )
        cgi.assign = ( ".pl" => "/usr/bin/perl", "" => "" )
        CONF
    return $self->run('lighttpd', '-D', '-f', "$own/conf");
}

scenario 'lighttpd: mod_cgi' => sub {
    my $old = mod_cgi(<<~CONF);
        index-file.names = ( "index.cgi" )
        cgi.limits = ( "read-timeout" => $quiet )
        cgi.local-redir = "enable"
        cgi.x-sendfile = "enable"
        cgi.x-sendfile-docroot = ( "$dir" )
        CONF
    my $bridge = Bridge->start(sockets => ['unix'], args => [ '--socket-mode', '0666', '--handler',
        '.pl=/usr/bin/perl', '--idle-timeout', "${quiet}s", '--clear-env', '--local-redirect' ]);
    my $socket = $bridge->url('unix') =~ s/^unix://r;
    my $new = FrontEnd->lighttpd(edit => sub {
        FrontEnd::swap('/run/cgibridge.sock', $socket);
        FrontEnd::swap('"check-local" => "disable"', '"check-local" => "enable",'
            . qq{ "x-sendfile" => "enable", "x-sendfile-docroot" => ( "$dir" )});
        s{\z}{index-file.names = ( "index.cgi" )\n};
    });
    compare($old->port, $new->port,
        'local redirect' => [ '200 text/plain hello', '302 /cgi-bin/hello' ],
        'no header' => [ '200 hello', 500 ],
        'no x bit' => [ 500, 403 ],
        'Content-Type twice' => [ '200 text/plain text/html out', '200 text/html out' ]);
    is_deeply([ silence($old, $new) ], [ 504, 504 ], 'silence: 504');
    compare_environments($old->port, $new->port, qw(CONTENT_LENGTH PATH));
    is(answer($_->port, GET => 'sends'), '200 text/plain a file', 'X-Sendfile') for $old, $new;
    in_page(qr/x-sendfile/ => qr/passed on/, qr/cgi\.assign.*program/ => qr/Fl -handler/,
        qr/cgi\.assign.*dq/ => qr/nothing/, qr/read-timeout/ => qr/Fl -idle-timeout/,
        qr/local-redir/ => qr/Fl -local-redirect/, qr/index-file/ => qr/check-local/,
        qr/environment/ => qr/Fl -clear-env/);
    end_all($old, $new);
    $bridge->stop;
};
# Has a script run that says nothing and closes the connection; the file in which it notes its
# end.  lighttpd looks for a client that leaves once it had to wait for the request.
sub leave_in_silence ($server) {
    my $file = spew(file(), '', 0666);
    my $watched = sub { scalar grep { /^tfd:/m } map { split /\n/, slurp($_) }
        glob "/proc/$server->{pid}/fdinfo/*" };
    my $before = $watched->();
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server->port) // die "$!\n";
    print $s 'GET ';
    wait_until(10, sub { $watched->() > $before }) or die "it does not wait\n";
    print $s "/cgi-bin/waits_for?$file HTTP/1.1\r\nHost: localhost\r\n\r\n";
    wait_until(10, sub { slurp($file) =~ /begun/ }) or die "no script runs\n";
    close $s;
    return $file;
}

# What comes after the change of protocols; or the status line's start.
sub upgraded ($port) {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) // die "$!\n";
    print $s "GET /cgi-bin/upgrades HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\n"
        . "Upgrade: echo\r\n\r\n";
    my $line = <$s> // '';
    return substr $line, 0, 12 if $line !~ / 101 /;
    $line = <$s> while $line =~ /\S/;
    print $s "hi\n";
    return <$s> =~ s/\n//r;
}

scenario 'lighttpd: cgi.execute-x-only, cgi.upgrade, tcp-fin-propagate' => sub {
    my ($held, $hold) = gate();
    sh('waits_for', qq{exec 3>>"\$QUERY_STRING"; trap 'echo TERM >&3; exit' TERM; echo begun >&3\n}
        . "flock -s -w 60 $held true & wait \$!; echo end >&3; $head; echo out");
    my $old = mod_cgi(<<~CONF);
        cgi.execute-x-only = "enable"
        cgi.upgrade = "enable"
        cgi.limits = ( "tcp-fin-propagate" => "SIGTERM" )
        CONF
    my $bridge = Bridge->start(sockets => ['unix'], args => [ '--socket-mode', '0666',
        '--handler', '.pl=/usr/bin/perl' ]);
    my $socket = $bridge->url('unix') =~ s/^unix://r;
    my $new = FrontEnd->lighttpd(edit => sub { FrontEnd::swap('/run/cgibridge.sock', $socket) });
    like(answer($old->port, GET => 'unexecutable'), qr/^200 .*printf/, 'no x bit: the text');
    is(answer($new->port, GET => 'unexecutable'), 403, 'and then 403');
    like(answer($old->port, GET => 'helped.pl'), qr/^200 .*print /, 'with an extension, too');
    is(answer($new->port, GET => 'helped.pl'), '200 text/plain helped', 'which the bridge runs');
    is_deeply([ map { upgraded($_->port) } $old, $new ], [ 'echo: hi', 'HTTP/1.1 500' ],
        'another protocol, and then 500');
    my ($was, $is) = map { leave_in_silence($_) } $old, $new;
    ok(wait_until(20, sub { slurp($was) =~ /TERM/ }), 'a client that leaves a silent script: TERM');
    close $hold;
    ok(wait_until(20, sub { slurp($is) =~ /end/ }), 'which goes on');
    in_page(qr/execute-x-only/ => qr/always, unless Fl -handler/,
        qr/cgi\.upgrade/ => qr/none.* 500/,
        qr/tcp-fin-propagate/ => qr/none/);
    end_all($old, $new);
    $bridge->stop;
};

# Every row has been tried, but for what would need a setuid program and scripts below /var/www.
is_deeply([ map { "$_->{program}: $_->{row}" } grep { !$_->{tried} } @rows ],
    [ "APACHE'S: Cm SuexecUserGroup Ta Fl u , No with one Nm cgibridge No for each user" ],
    'each row of the three tables has a test');
close $shut;
done_testing;

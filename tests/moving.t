#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# cgibridge-migrate(7): the same scripts by uWSGI's CGI plugin, Apache's mod_cgid and lighttpd's
# mod_cgi, and by the bridge behind the same web server, with the options that the page gives
# for their settings.  The answers are the same, but for the differences that the page names.
use v5.36;
use Test::More;
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

# The page's table has a row for each of these: what is on its left, and on its right.
sub in_page (@pairs) {
    my @rows = map { [ split / Ta /, $_, 2 ] } $page =~ /^\.It (.* Ta .*)/mg;
    while (my ($left, $right) = splice @pairs, 0, 2) {
        ok((grep { $_->[0] =~ $left && $_->[1] =~ $right } @rows), "the page has $left, $right");
    }
}

# ---- uWSGI ------------------------------------------------------------------------

# Runs uWSGI with these settings, behind nginx; both.
sub uwsgi (@settings) {
    my $self = FrontEnd->prepare(name => 'uwsgi', package => 'uwsgi-core', quit => 'INT');
    my $socket = "$self->{dir}/socket";
    chmod 0777, $self->{dir}; # it opens the socket as its uid
    spew("$self->{dir}/ini", join "\n", '[uwsgi]', 'plugins-dir = /usr/lib/uwsgi/plugins',
        'plugins = cgi', "socket = $socket", 'chmod-socket = 666', 'processes = 2', 'master = 1',
        @settings, '');
    $self->{argv} = [ is_program('uwsgi-core', 'uwsgi-core'), '--ini', "$self->{dir}/ini" ];
    $self->Bridge::spawn;
    wait_until(20, sub { IO::Socket::UNIX->new(Peer => $socket) })
        or die 'uWSGI did not start: ' . $self->log . "\n";
    my $nginx = Bridge->nginx('root ' . tmp() . ";\nlocation /cgi-bin/ {"
        . " include /etc/nginx/uwsgi_params; uwsgi_modifier1 9; uwsgi_pass unix:$socket; }");
    return ($nginx, $self);
}

# The bridge with the options of the page, behind nginx; both.
sub bridge (%o) {
    my $bridge = Bridge->start(sockets => ['unix'],
        args => [ '--socket-mode', '0666', @{ $o{args} } ]);
    my $socket = $bridge->url('unix') =~ s/^unix://r;
    my $file = $o{file} // '$document_root$fastcgi_script_name';
    my $location = $o{location} // '/cgi-bin/';
    my $more = $o{more} // '';
    my $nginx = Bridge->nginx('root ' . tmp() . ";\nlocation $location {"
        . " include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $file;"
        . " $more fastcgi_pass unix:$socket; }");
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
    in_page(qr/\bcgi = \/url=\/dir/ => qr/Fl r/, qr/cgi-helper/ => qr/Fl -handler/,
        qr/cgi-index/ => qr/fastcgi_index/, qr/cgi-timeout/ => qr/Fl -idle-timeout/,
        qr/\benv\b/ => qr/Fl -env/, qr/uid , gid/ => qr/Fl u , g/, qr/query/ => qr/Fl -query-args/,
        qr/chmod-socket/ => qr/Fl -socket-mode/, qr/cgi-close-stdin-on-eof/ => qr/always/);
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
    in_page(qr/\bcgi = \/path\/script/ => qr/Fl p/);
    end_all($old, $new, $uwsgi);
    $bridge->stop;

    ($old, $uwsgi) = uwsgi("cgi = /cgi-bin=$dir", 'cgi-allowed-ext = .cgi');
    ($new, $bridge) = bridge(location => '~ "\.cgi(/|$)"', args => [ '-r', $dir ]);
    is(answer($_->port, GET => 'run.cgi/more'), '200 text/plain run /more', 'an allowed extension')
        for $old, $new;
    is(answer($old->port, GET => 'hello'), 403, 'another one: 403');
    isnt(answer($new->port, GET => 'hello'), '200 text/plain hello', 'or what nginx does with it');
    in_page(qr/cgi-allowed-ext/ => qr/location.*\.cgi\(\/\|\$\)/);
    end_all($old, $new, $uwsgi);
    $bridge->stop;
};

# ---- Apache -----------------------------------------------------------------------

scenario 'Apache: mod_cgid' => sub {
    my $old = FrontEnd->prepare(name => 'cgid', package => 'apache2-bin', quit => 'TERM');
    my $own = $old->{dir};
    my $modules = join "\n", map { "LoadModule ${_}_module /usr/lib/apache2/modules/mod_$_.so" }
        qw(mpm_event authz_core alias env cgid);
    mkdir "$own/htdocs";
    spew("$own/conf", <<~CONF);
        ServerRoot $own
        ServerName localhost
        Listen 127.0.0.1:$old->{port}
        $modules
        @{[ is_root() ? "User nobody\nGroup nogroup" : '' ]}
        DefaultRuntimeDir $own
        PidFile $own/pid
        ErrorLog $own/log
        DocumentRoot $own/htdocs
        ScriptSock $own/socket
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
    $old->run('apache2', '-f', "$own/conf", '-DFOREGROUND');
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
    in_page(qr/RLimitCPU/ => qr/Fl -limit/, qr/SetEnv/ => qr/Fl -env/, qr/CGIDScriptTimeout/ => qr/Fl -idle-timeout/);
    end_all($old, $new);
    $bridge->stop;
};

# ---- lighttpd ---------------------------------------------------------------------

scenario 'lighttpd: mod_cgi' => sub {
    my $old = FrontEnd->prepare(name => 'mod_cgi', package => 'lighttpd', quit => 'INT');
    my $own = $old->{dir};
    spew("$own/conf", <<~CONF);
        server.document-root = "$own"
        server.bind = "127.0.0.1"
        server.port = $old->{port}
        server.errorlog = "$own/log"
        server.upload-dirs = ( "$own" )
        server.modules = ( "mod_alias", "mod_cgi" )
        index-file.names = ( "index.cgi" )
        alias.url += ( "/cgi-bin/" => "$dir/" )
        cgi.assign = ( ".pl" => "/usr/bin/perl", "" => "" )
        cgi.limits = ( "read-timeout" => $quiet )
        cgi.local-redir = "enable"
        cgi.x-sendfile = "enable"
        cgi.x-sendfile-docroot = ( "$dir" )
        CONF
    $old->run('lighttpd', '-D', '-f', "$own/conf");
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
    in_page(qr/x-sendfile/ => qr/passed on/, qr/cgi\.assign.*program/ => qr/Fl -handler/, qr/read-timeout/ => qr/Fl -idle-timeout/,
        qr/local-redir/ => qr/Fl -local-redirect/, qr/index-file/ => qr/check-local/,
        qr/environment/ => qr/Fl -clear-env/);
    end_all($old, $new);
    $bridge->stop;
};
close $shut;
done_testing;

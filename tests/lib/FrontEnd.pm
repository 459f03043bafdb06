# SPDX-License-Identifier: ISC
#
# FrontEnd: runs nginx, Apache, lighttpd, Caddy, HAProxy, h2o and cgi-fcgi for the end-to-end
# tests.
#
# Each is started with the file of contrib/, its paths and addresses replaced, so that
# those files are tested; a test that wants authorizer.conf adds it.  Folder,
# process and end are looked after by Bridge.
package FrontEnd;
use v5.36;
use HTTP::Tiny;
use IO::Socket::INET;
use Test::More;
use Bridge;

my $serial;

# What contrib/ has in its files, to be replaced.
my $SCRIPTS = '/usr/lib/cgi-bin';

# ---- starting -----------------------------------------------------------------

# A front end that is not running yet: its folder, its port.
sub prepare ($class, %o) {
    my $dir = tmp() . "/$o{name}-" . ++$serial;
    mkdir $dir or die "$dir: $!\n";
    chmod 0755, $dir;
    return bless { %o, dir => $dir, port => free_port(), log => "$dir/log" }, $class;
}

# The text of a file of contrib/, for our port and scripts.  `edit` may be a function
# that changes it further; each of its changes should die when there is nothing to change.
sub contrib ($self, $file, $edit = undef) {
    local $_ = slurp("$Bridge::srcdir/contrib/$file") || die "contrib/$file: $!\n";
    my $scripts = Bridge::cgi();
    s/\Q$SCRIPTS\E/$scripts/g;
    $edit->() if $edit;
    return $_;
}

# Says of which lines of the log it is all right that they are there.
sub expect ($self, $lines) {
    $self->{expected} = defined $self->{expected} ? qr/$self->{expected}|$lines/ : $lines;
    return;
}

# Replaces in $_ what has to be there.
sub swap ($old, $new) {
    s/\Q$old\E/$new/g or die "\"$old\" is not in the configuration\n";
}

sub run ($self, @argv) {
    $self->{argv} = [ is_program($argv[0], $self->{package}), @argv[ 1 .. $#argv ] ];
    # Caddy and lighttpd look for places of their own
    $self->Bridge::spawn(env => { HOME => $self->{dir}, XDG_CONFIG_HOME => $self->{dir},
        XDG_DATA_HOME => $self->{dir} });
    my $up = wait_until(20, sub {
        !alive($self->{pid}) || IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $self->{port});
    });
    die "$self->{name} did not start: " . $self->log . "\n" if !$up || !alive($self->{pid});
    return $self;
}

# Each starter takes edit => what else to change in the file of contrib/, which is in $_;
# haproxy() also file => another one, and global => a line for its section global.

sub nginx ($class, %o) {
    my $self = $class->prepare(name => 'nginx', package => 'nginx', quit => 'QUIT',
        bad => qr/\[(?:error|crit|alert|emerg)\]/, %o);
    my $dir = $self->{dir};
    my $user = is_root() ? 'user root;' : '';
    my $site = $self->contrib('nginx/cgibridge.conf', sub {
        FrontEnd::swap('listen 80;', "listen 127.0.0.1:$self->{port};");
        FrontEnd::swap('root /usr/lib;', 'root ' . tmp() . ';');
        FrontEnd::swap('include fastcgi_params;', 'include /etc/nginx/fastcgi_params;');
        $o{edit}->() if $o{edit};
    });
    my $temp = join ' ', map { "${_}_temp_path $dir/$_;" } qw(client_body proxy fastcgi uwsgi scgi);
    spew("$dir/conf", <<~CONF);
        $user
        daemon off;
        worker_processes 1;
        pid $dir/pid;
        error_log $dir/log notice;
        events { worker_connections 1024; }
        http {
            access_log off;
            $temp
            $site
        }
        CONF
    return $self->run('nginx', '-e', "$dir/log", '-c', "$dir/conf", '-p', $dir);
}

sub apache ($class, %o) {
    my $self = $class->prepare(name => 'Apache', package => 'apache2-bin', quit => 'TERM',
        bad => qr/:(?:error|crit|alert|emerg)\]/, %o);
    my $dir = $self->{dir};
    my $user = is_root() ? "User www-data\nGroup www-data" : '';
    my $modules = join "\n", map { "LoadModule ${_}_module /usr/lib/apache2/modules/mod_$_.so" }
        qw(mpm_event authn_core authz_core authz_user alias setenvif proxy proxy_fcgi authnz_fcgi);
    my $site = $self->contrib('apache/cgibridge.conf', $o{edit});
    mkdir "$dir/htdocs";
    spew("$dir/conf", <<~CONF);
        ServerRoot $dir
        ServerName localhost
        Listen 127.0.0.1:$self->{port}
        $modules
        $user
        DefaultRuntimeDir $dir
        PidFile $dir/pid
        ErrorLog $dir/log
        LogLevel warn
        DocumentRoot $dir/htdocs
        StartServers 1
        ServerLimit 2
        ThreadsPerChild 25
        MaxRequestWorkers 50
        MinSpareThreads 5
        MaxSpareThreads 50
        $site
        CONF
    return $self->run('apache2', '-f', "$dir/conf", '-DFOREGROUND');
}

sub lighttpd ($class, %o) {
    my $self = $class->prepare(name => 'lighttpd', package => 'lighttpd', quit => 'INT',
        bad => qr/\((?:gw_backend|mod_fastcgi|http-header-glue|connections)\S*\)/, %o);
    my $dir = $self->{dir};
    my $site = $self->contrib('lighttpd/cgibridge.conf', $o{edit});
    mkdir "$dir/htdocs";
    spew("$dir/conf", <<~CONF);
        server.document-root = "$dir/htdocs"
        server.bind = "127.0.0.1"
        server.port = $self->{port}
        server.errorlog = "$dir/log"
        server.upload-dirs = ( "$dir" )
        server.modules = ()
        $site
        CONF
    return $self->run('lighttpd', '-D', '-f', "$dir/conf");
}

sub caddy ($class, %o) {
    my $self = $class->prepare(name => 'Caddy', package => 'caddy', quit => 'TERM',
        bad => qr/"level":"(?:error|panic|fatal)"/, %o);
    my $dir = $self->{dir};
    my $site = $self->contrib('caddy/Caddyfile', sub {
        FrontEnd::swap(':80 {', ":$self->{port} {\n\tbind 127.0.0.1");
        FrontEnd::swap('root /usr/lib ', 'root ' . tmp() . ' ');
        $o{edit}->() if $o{edit};
    });
    spew("$dir/Caddyfile", <<~CONF . $site);
        {
            admin off
            auto_https off
        }
        CONF
    return $self->run('caddy', 'run', '--config', "$dir/Caddyfile", '--adapter', 'caddyfile');
}

sub haproxy ($class, %o) {
    # the first of a session's letters says who broke it off: any but the client (C), and
    # HAProxy's own refusals (PR)
    my $self = $class->prepare(name => 'HAProxy', package => 'haproxy', quit => 'TERM',
        ends => 15, # it dies of the signal
        bad => qr/ (?:[SRIKUD][A-Z-]|P[A-QS-Z-])[A-Z-]{2} /, %o);
    my $dir = $self->{dir};
    my $global = $o{global} // '';
    my $site = $self->contrib($o{file} // 'haproxy/cgibridge.cfg', sub {
        FrontEnd::swap('bind :80', "bind 127.0.0.1:$self->{port}");
        FrontEnd::swap('docroot /usr/lib ', 'docroot ' . tmp() . ' ');
        $o{edit}->() if $o{edit};
    });
    spew("$dir/cfg", <<~CONF . $site);
        global
            log stderr format raw local0
            maxconn 500
            $global
        defaults
            log global
            option httplog
            option dontlognull
            timeout connect 5s
            timeout client 60s
            timeout server 60s
        CONF
    return $self->run('haproxy', '-db', '-f', "$dir/cfg");
}

sub h2o ($class, %o) {
    my $self = $class->prepare(name => 'h2o', package => 'h2o', quit => 'TERM', ends => 0,
        bad => qr/\[(?:lib\S*|fastcgi)\].*in request/, %o);
    my $dir = $self->{dir};
    my $user = is_root() ? 'user: root' : '';
    my $site = $self->contrib('h2o/cgibridge.conf', sub {
        FrontEnd::swap('listen: 80 ', "listen: {host: 127.0.0.1, port: $self->{port}} ");
        FrontEnd::swap('document_root: /usr/lib ', 'document_root: ' . tmp() . ' ');
        $o{edit}->() if $o{edit};
    });
    spew("$dir/conf", "$user\nerror-log: $dir/log\nnum-threads: 1\n$site");
    return $self->run('h2o', '-c', "$dir/conf");
}

# Not a server: each request runs it, as a web server runs a CGI script.
sub cgi_fcgi ($class, %o) {
    my $program = is_program('cgi-fcgi', 'libfcgi-bin');
    return bless { name => 'cgi-fcgi', program => $program, connect => $o{edit}->() },
        'FrontEnd::CgiFcgi';
}

# ---- asking and stopping ------------------------------------------------------

sub name ($self) { return $self->{name} }
sub port ($self) { return $self->{port} }
sub log ($self) { return slurp($self->{log}) }

# An HTTP client, which keeps its connection.  It writes the head of a request and the body
# apart: `delays` lets TCP hold the body back until the head has been acknowledged, 40 ms
# later.
sub client ($self, %o) {
    my $delays = delete $o{delays};
    my $http = HTTP::Tiny->new(%o, timeout => slow(20), max_redirect => 0, proxy => undef,
        http_proxy => undef, https_proxy => undef, agent => 'test/1');
    return $delays ? $http : bless $http, 'FrontEnd::Prompt';
}

sub stop ($self) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @family = Bridge::descendants($self->{pid});
    kill $self->{quit}, $self->{pid};
    my $status = $self->Bridge::wait_exit(20);
    subtest "$self->{name}: stopped" => sub {
        is($status, $self->{ends} // 0, 'it ends as asked') or diag(substr $self->log, -2000);
        is_deeply([ gone(5, @family) ], [], 'nothing of it is left');
        my @bad = grep { $_ =~ $self->{bad} && $_ !~ ($self->{expected} // qr/^\0/) }
            split /\n/, $self->log;
        is_deeply(\@bad, [], 'nothing bad in its log');
    };
    $self->Bridge::kill_all;
}

# In the place of both a server and its client.
package FrontEnd::CgiFcgi;
use v5.36;
use Bridge;

sub port ($self) { return 0 }
sub name ($self) { return $self->{name} }
sub client ($self, %o) { return $self }
sub expect ($self, $lines) { return }
sub stop ($self) { return }

sub body_of ($content) {
    return $content // '' if ref $content ne 'CODE';
    my $body = '';
    while (length(my $piece = $content->() // '')) {
        $body .= $piece;
    }
    return $body;
}

sub headers_of ($head) {
    return { map { /^([^:]+): *(.*)/ ? (lc $1 => $2) : () } split /\r\n/, $head };
}

sub request ($self, $method, $url, $o) {
    my ($escaped, $query) = $url =~ m{^http://[^/]+/cgi-bin/([^?]*)\??(.*)};
    my $path = $escaped =~ s/%([0-9a-f]{2})/chr hex $1/gier;
    my $body = body_of($o->{content});
    my $headers = $o->{headers} // {};
    my %env = (@{ Bridge->params($path) }, SCRIPT_NAME => "/cgi-bin/$path", QUERY_STRING => $query,
        DOCUMENT_ROOT => tmp(), REQUEST_METHOD => $method, SERVER_PORT => 0,
        REQUEST_URI => "/cgi-bin/$escaped" . ($query eq '' ? '' : "?$query"),
        defined $o->{content} ? (CONTENT_LENGTH => length $body) : (),
        map { /^content-type$/i ? (CONTENT_TYPE => $headers->{$_})
            : ('HTTP_' . uc tr/-/_/r => $headers->{$_}) } keys %$headers);
    my $r = run_program([ $self->{program}, '-bind', '-connect', $self->{connect} ], env => \%env,
        stdin => $body, secs => 60);
    my ($head, $content) = split /\r\n\r\n/, $r->{out}, 2;
    my $status = ($head // '') =~ /^Status: (\d+)/ ? $1 : 200;
    return { status => $status, content => $content, headers => headers_of($head // ''),
        exit => $r->{exit}, err => $r->{err} };
}

# HTTP::Tiny with TCP_NODELAY.
package FrontEnd::Prompt;
use parent -norequire, 'HTTP::Tiny';
use Socket qw(IPPROTO_TCP TCP_NODELAY);

sub _open_handle ($self, @to) {
    my $handle = $self->SUPER::_open_handle(@to);
    setsockopt $handle->{fh}, IPPROTO_TCP, TCP_NODELAY, 1;
    return $handle;
}

1;

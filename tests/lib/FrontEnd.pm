# SPDX-License-Identifier: ISC
#
# FrontEnd: runs Apache, lighttpd, Caddy and HAProxy for the end-to-end tests.
#
# Each is started with the file of contrib/, its paths and addresses replaced, so that
# those files are what is tested; authorizer.conf is added by who wants it.  Folder,
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
sub expect ($self, $lines) { $self->{expected} = $lines }

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

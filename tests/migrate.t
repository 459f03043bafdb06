#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# contrib/migrate-from-fcgiwrap: machines are made in a folder, and what it prints for each
# is compared; the options it prints are taken by cgibridge.
use v5.36;
use File::Basename qw(dirname);
use File::Path qw(make_path);
use Test::More;
use Bridge;

my $program = "$Bridge::srcdir/contrib/migrate-from-fcgiwrap";
my $serial = 0;

# A machine with these files: path => text; a path that ends in * is executable.
sub machine (%files) {
    my $root = tmp() . '/machine-' . ++$serial;
    make_path($root);
    while (my ($path, $text) = each %files) {
        my $executable = $path =~ s/\*$//;
        make_path(dirname("$root/$path"));
        spew("$root/$path", $text, $executable ? 0755 : 0644);
    }
    return $root;
}

sub migrate (@args) { return run_program([ 'bash', $program, @args ], secs => slow(30)) }

# What it prints for a machine: a hash of its sections, by the first word of their titles.
sub sections ($root) {
    my $r = migrate($root);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($r->{exit}, 0, 'exit status') or diag($r->{err});
    is($r->{err}, '', 'nothing on standard error');
    my ($found, %of) = ($r->{out} =~ s/\A(.*?)(?=\n# ---- )//sr, found => $r->{out});
    while ($r->{out} =~ /^# ---- (.*)\n((?:(?!# ---- ).*\n)*)/mg) {
        my ($title, $text) = ($1, $2);
        $of{ (split ' ', $title)[-1] } = $text =~ s/\n+\z/\n/r;
    }
    return \%of;
}

# The lines of a section that are not comments.
sub plain ($section) { return join '', grep { !/^#/ } map { "$_\n" } split /\n/, $section }

my %debian = (
    'lib/systemd/system/fcgiwrap.service' => <<~'END',
        [Unit]
        Description=Simple CGI Server
        Requires=fcgiwrap.socket

        [Service]
        Environment=DAEMON_OPTS=-f
        EnvironmentFile=-/etc/default/fcgiwrap
        ExecStart=/usr/sbin/fcgiwrap ${DAEMON_OPTS}
        User=www-data
        Group=www-data
        END
    'lib/systemd/system/fcgiwrap.socket' => "[Socket]\nListenStream=/run/fcgiwrap.socket\n",
);

scenario 'as Debian installs it' => sub {
    my $of = sections(machine(%debian));
    is(plain($of->{'/etc/cgibridge.conf'}), "--stderr client\n", 'options');
    is(plain($of->{'cgibridge.socket'}),
        "[Socket]\nListenStream=\nListenStream=/run/fcgiwrap.socket\n", 'socket');
    is(plain($of->{'cgibridge.service'}), "[Service]\nUser=www-data\nGroup=www-data\n", 'service');
    is(plain($of->{nginx}), "fastcgi_read_timeout 310s;\n", 'nginx');
    like($of->{found}, qr{^#   /lib/systemd/system/fcgiwrap\.service$}m, 'what was read');
};

scenario 'drop-ins, variables, and all options' => sub {
    my $root = machine(%debian,
        'etc/default/fcgiwrap' => qq{# DAEMON_OPTS=-x\nDAEMON_OPTS="-f -c 4 -p /srv/one.cgi -p /srv/two.cgi"\nLANG='C.UTF-8'\n},
        'etc/systemd/system/fcgiwrap.service.d/a.conf' =>
            qq{[Service]\nUser=git\nLimitNOFILE=4096\nProtectSystem=strict\nEnvironment="TITLE=My site" HTTP_PROXY=http://x\n},
        'lib/systemd/system/fcgiwrap.service.d/a.conf' => "[Service]\nUser=hidden\n",
        'etc/systemd/system/fcgiwrap.socket.d/b.conf' =>
            "[Socket]\nListenStream=\nListenStream=127.0.0.1:9000\nSocketMode=0600\nSocketUser=nginx\n");
    my $of = sections($root);
    my $options = $of->{'/etc/cgibridge.conf'};
    is(plain($options), <<~'END', 'options');
        --stderr client
        --workers 4
        --program /srv/one.cgi
        --program /srv/two.cgi
        --env 'TITLE=My site'
        --env LANG=C.UTF-8
        END
    is(plain($of->{'cgibridge.socket'}),
        "[Socket]\nListenStream=\nListenStream=127.0.0.1:9000\nSocketUser=nginx\nSocketMode=0600\n",
        'socket');
    is(plain($of->{'cgibridge.service'}),
        "[Service]\nUser=git\nGroup=www-data\nLimitNOFILE=4096\nProtectSystem=strict\n", 'service');
    like($of->{different}, qr/^# HTTP_PROXY of the unit's environment does not reach scripts/m,
        'a variable that is withheld');
    spew("$root/options", $options);
    my $r = run_program([ $Bridge::daemon, "\@$root/options", '--check' ]);
    is($r->{exit}, 0, 'cgibridge takes them') or diag($r->{err});
    like($r->{out}, qr/^--env 'TITLE=My site'$/m, 'as they are meant');
};

scenario 'Debian\'s start script, without systemd' => sub {
    my $of = sections(machine('etc/init.d/fcgiwrap*' => "#!/bin/sh\n",
        'etc/default/fcgiwrap' => "FCGI_CHILDREN=3\nFCGI_ADDR=127.0.0.1\nFCGI_PORT=8999\nFCGI_USER=cgi\n"));
    is(plain($of->{'/etc/cgibridge.conf'}), "--workers 3\n--stderr client\n", 'options');
    like($of->{'cgibridge.socket'}, qr/^ListenStream=127\.0\.0\.1:8999$/m, 'socket');
    like($of->{'cgibridge.service'}, qr/^User=cgi\nGroup=www-data$/m, 'service');
};

scenario 'nginx and the scripts' => sub {
    my $root = machine(%debian,
        'etc/nginx/sites-enabled/site' => <<~'END',
            server {
                location /cgi/ {
                    fastcgi_read_timeout 10m; # fastcgi_read_timeout 20m;
                    fastcgi_param SCRIPT_FILENAME /srv/cgi$fastcgi_script_name;
                    fastcgi_param NO_BUFFERING 1;
                    fastcgi_pass unix:/run/fcgiwrap.socket;
                }
            }
            END
        'srv/cgi/silent*' => "#!/bin/sh\necho hello\nsleep 1000\n",
        'srv/cgi/mail*' => "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\n'\nmail root\n",
        'srv/cgi/work*' => "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\n'\n./job &\necho \$HOME\n",
        'srv/cgi/good*' => "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\n'\n",
        'srv/cgi/data' => "mail sleep 1000\n");
    my $of = sections($root);
    my $said = $of->{different};
    like(plain($of->{'/etc/cgibridge.conf'}), qr/^--idle-timeout 600s$/m, 'as patient as nginx');
    like($of->{nginx}, qr{/etc/nginx/sites-enabled/site:6: fastcgi_pass unix:/run/fcgiwrap\.socket;},
        'the line of nginx');
    like($of->{nginx}, qr/NO_BUFFERING has no effect/, 'a parameter without effect');
    like($said, qr{^# 4 scripts were found in: /srv/cgi$}m, 'where scripts are');
    like($said, qr{^# /srv/cgi/silent: no Content-Type}m, 'no Content-Type');
    like($said, qr{^# /srv/cgi/silent: sleeps for 1000 s: .* --idle-timeout 1060s$}m, 'silence');
    like($said, qr{^# /srv/cgi/mail: uses a setuid or setgid program}m, 'mail');
    is(plain($of->{'cgibridge.service'}), "[Service]\nUser=www-data\nGroup=www-data\n",
        'which the unit lets through as it is');
    like($said, qr{^# /srv/cgi/work: starts work in the background}m, 'work in the background');
    like($said, qr{^# /srv/cgi/work: looks at HOME}m, 'HOME');
    unlike($said, qr{/srv/cgi/(?:good|data)}, 'nothing else');
};

scenario 'a setgid program' => sub {
    my $root = machine(%debian, 'usr/lib/cgi-bin/wrapper*' => "\x7fELF");
    chmod 02755, "$root/usr/lib/cgi-bin/wrapper";
    my $of = sections($root);
    like($of->{different}, qr{^# /usr/lib/cgi-bin/wrapper: is setuid or setgid itself}m, 'is found');
    like($of->{different}, qr{wrapper: .* not with contrib/systemd/lockdown\.conf$}m,
        'and what would stop it');
};

scenario 'it runs nothing and changes nothing' => sub {
    my $trap = tmp() . '/sprung';
    my $root = machine(%debian, 'etc/default/fcgiwrap' =>
        qq{DAEMON_OPTS="-f \$(touch $trap) `touch $trap`"\ntouch $trap\nX=*\n});
    my @before = split /\n/, run_program([ 'find', $root, '-printf', '%p %s %T@ %m\n' ])->{out};
    sections($root);
    ok(!-e $trap, 'no command of theirs was run');
    is_deeply([ split /\n/, run_program([ 'find', $root, '-printf', '%p %s %T@ %m\n' ])->{out} ],
        \@before, 'the files are as they were');
};

scenario 'what cannot be' => sub {
    my $r = migrate(machine('etc/hostname' => "x\n"));
    is($r->{exit}, 1, 'no fcgiwrap');
    like($r->{err}, qr/no fcgiwrap is set up here/, 'is said');
    is(migrate(@$_)->{exit}, 2, "usage: @$_") for [ '-x' ], [ '/no/such' ], [ '/', '/' ];
    $r = migrate('--help');
    is("$r->{exit} $r->{err}", '0 ', '--help');
    like($r->{out}, qr/It changes nothing/, 'says what it does');
};

done_testing;

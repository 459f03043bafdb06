#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Every command line of cgibridge and fcgiget in the documents and in contrib/: they are
# copied and pasted, so each has to be one that the program takes, and one for root must not
# run scripts as root.
use v5.36;
use File::Copy ();
use File::Find ();
use Test::More;
use FastCGI;
use Bridge;

my $user = getpwnam('www-data') ? 'www-data' : 'nobody';

# ---- finding them --------------------------------------------------------------------

# The files that have text for people.
sub files () {
    my @files = grep { -f } map { "$Bridge::srcdir/$_" }
        qw(README CONTRIBUTING tests/README tests/bench/README);
    push @files, glob "$Bridge::srcdir/man/*.[0-9]";
    File::Find::find(sub { push @files, $File::Find::name if -f && -T },
        "$Bridge::srcdir/contrib");
    return sort @files;
}

# Its lines, each with those that go on with it.
sub lines_of ($file) {
    my $text = slurp($file);
    $text =~ s/\\e$/\\/mg if $file =~ m{/man/}; # of roff
    $text =~ s/\s*\\\n(?:#(?=\s))?\s*/ /g;
    return split /\n/, $text;
}

# Each { file, program, as (root, user, or '' where the line does not say), args, line }.
sub commands () {
    my @found;
    for my $file (files()) {
        my $is_man = $file =~ m{/man/};
        for my $line (lines_of($file)) {
            my ($mark, $before, $program, $args) = $line =~
                m{^([\$\#])?\ *(.*?)(?<![\w/.@-])(?:[\w/.@-]*/)?(cgibridge|fcgiget)\ +((?:-|@[/@]).*)$}x
                or next;
            # within a sentence there is no whole command
            next if $before !~ m{^(?:exec\ |ExecStart=|command_line\ |systemd-socket-activate\ .*
                |.*[|]\ |.*--\ )?$}x;
            push @found, { file => $file =~ s{^\Q$Bridge::srcdir\E/}{}r, program => $program,
                as => $is_man ? ($mark // '') eq '#' ? 'root' : 'user' : $before =~ /^ExecStart/
                    ? 'unit' : 'root', args => $args, line => $before . "$program $args" };
        }
    }
    return @found;
}

# A shell's words, less what it does with the output.
sub words_of ($args) {
    $args =~ s/\s+(?:[|&]|>\S*).*//;
    return map { s/^'(.*)'$/$1/sr } $args =~ /('[^']*'|\S+)/g;
}

my @commands = commands();
my %count;
$count{ $_->{program} }++ for @commands;
cmp_ok($count{cgibridge} // 0, '>=', 12, 'command lines of cgibridge are found');
cmp_ok($count{fcgiget} // 0, '>=', 10, 'and of fcgiget');
for my $file (qw(README contrib/nginx/cgibridge.conf contrib/apache/cgibridge.conf
    contrib/lighttpd/cgibridge.conf contrib/haproxy/cgibridge.cfg contrib/caddy/Caddyfile
    contrib/h2o/cgibridge.conf contrib/cluster/README contrib/runit/run man/cgibridge.8)) {
    ok((grep { $_->{file} eq $file && $_->{program} eq 'cgibridge' } @commands),
        "one is found in $file");
}

script('whoami', "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nid -un\n");
# where each user can go
File::Copy::copy($Bridge::daemon, my $daemon = file()) or die "$Bridge::daemon: $!\n";
chmod 0755, $daemon;
my ($uid, $gid) = (getpwnam 'nobody')[ 2, 3 ];
my @unprivileged = is_root() ? (is_program('setpriv', 'util-linux'), "--reuid=$uid",
    "--regid=$gid", '--clear-groups', '--') : ();

my $jail = file();
mkdir $_ for $jail, "$jail/spool";
chown +(getpwnam $user)[ 2, 3 ], "$jail/spool" if is_root();

# ---- trying them ----------------------------------------------------------------------

# Users and groups of packages that are not here, and files to be installed: others.
sub adapt (@words) {
    for (@words) {
        s{^/srv/jail$}{$jail};
        s{^\@\S*/etc/\S*}{\@$Bridge::srcdir/contrib/cgibridge.conf};
        s{^\@\@sysconfdir\@\S*}{\@$Bridge::srcdir/contrib/cgibridge.conf};
        s{\b(www-data|app)\b}{ getpwnam $1 ? $1 : $user }ge if !m{[/=]};
        s{:(haproxy|caddy|www-data)$}{ ':' . (getgrnam $1 ? $1 : getgrgid((getpwnam $user)[3])) }e;
    }
    return @words;
}

# The options as they are taken, by name: [values].
sub effective ($text) {
    my %options;
    push @{ $options{$1} }, $2 while $text =~ /^--(\S+) ?(.*)$/mg;
    return \%options;
}

for my $command (grep { $_->{program} eq 'cgibridge' } @commands) {
    scenario "$command->{file}: $command->{line}" => sub {
        my @words = adapt(words_of($command->{args}));
        my @as = is_root() && $command->{as} eq 'user' ? @unprivileged : ();
        my $r = run_program([ @as, $daemon, @words, '-n' ]);
        is($r->{exit}, 0, 'the daemon takes it') or diag($r->{err});
        my $options = effective($r->{out});
        my $gives_user = $command->{line} =~ /spawn-fcgi .*-u [^-]/ || $command->{as} eq 'unit';
        if ($command->{as} eq 'root' && !$gives_user) {
            ok($options->{user} && $options->{user}[0] !~ /^(?:root|0)$/,
                'scripts do not run as root');
        }
        run_front_end($options, @words) if $command->{file} =~ m{^contrib/(?!runit|systemd)}
            && is_root() && $options->{socket};
    };
}

# Runs it as it is, but for its paths.
sub run_front_end ($options, @words) {
    my $url = 'unix:' . file();
    my %only = ('-r' => cgi(), '-p' => cgi() . '/whoami');
    my @args = map { ($_ > 0 && $only{ $words[$_ - 1] }) || $words[$_] } 0 .. $#words;
    @args = map { /^-s$/ || m{^(?:unix:/run/|tcp:)} ? () : $_ } @args;
    my $bridge = Bridge->start(sockets => [$url], args => \@args);
    is(FastCGI::body($bridge->get('unix', 'whoami')), "$options->{user}[0]\n",
        'run as root: scripts are those of the user');
    unlike($bridge->log, qr/RUNNING AS ROOT/, 'no warning');
    my ($owner, $group) = split /:/, ($options->{'socket-owner'} // [':'])->[0];
    my @stat = lstat $url =~ s/^unix://r;
    is(sprintf('%o', $stat[2] & 07777), '660', 'the socket has its mode');
    is($stat[5], $group, 'and lets the group in') if length $group; # a number, as -n shows it
    $bridge->stop;
}

# What it asks for need not be there: it has to be asked for in the right way.
my $bridge = Bridge->start(sockets => ['unix']);
for my $command (grep { $_->{program} eq 'fcgiget' } @commands) {
    scenario "$command->{file}: $command->{line}" => sub {
        my @words = map { s{^(?:unix:/run/cgibridge\.sock|tcp:127\.0\.0\.1:9000|\$ARG1\$)$}
            { $bridge->url('unix') }er } words_of($command->{args});
        @words = map { $_ eq '5000' || $_ eq '1000' ? 20 : $_ } @words;
        @words = map { s/^\$ARG2\$$/\/srv\/cgi\/hello/r } @words;
        my $r = run_program([ $Bridge::fcgiget, @words ]);
        unlike($r->{err}, qr/--help|usage/, 'the client takes it');
        unlike($r->{err}, qr/cannot connect/, 'and connects');
    };
}
$bridge->stop;

done_testing;

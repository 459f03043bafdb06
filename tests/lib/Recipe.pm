# SPDX-License-Identifier: ISC
#
# Recipe: what contrib/recipes/NAME.md says, run as it stands there: the command line of
# the bridge, nginx's lines with Debian's own fastcgi_params, the files it shows.  Only
# paths are swapped for those of the test, and each swap has to be called for.
#
# Of a recipe with a line of --preload, same_preloaded() compares the pages.  APPS_TIMES=N in
# the environment has it ask for each page N times more, and say how long that takes.
package Recipe;
use v5.36;
use Cwd qw(abs_path);
use Exporter 'import';
use JSON::PP;
use Test::More;
use Text::ParseWords qw(shellwords);
use Bridge;
use FastCGI;

our @EXPORT = qw(give must_run demo_repository background);

# These belong to the scripts' user from now on, with all that is below.
sub give (@paths) { must_run([ 'chown', '-R', 'www-data:www-data', @paths ]) }

# A program that has to succeed; its output.
sub must_run ($argv, %o) {
    my $r = run_program($argv, secs => 60, %o);
    die "@$argv: $r->{exit}: $r->{err}$r->{out}\n" if $r->{exit} != 0;
    return $r->{out};
}

# Its parts.  A fenced block whose first line names a file is that file.
sub read ($class, $name) {
    my $text = slurp("$Bridge::srcdir/contrib/recipes/$name.md")
        || die "contrib/recipes/$name.md: $!\n";
    my ($command) = $text =~ /^    cgibridge (.*)$/m or die "$name: no command line\n";
    my ($nginx) = $text =~ /^```nginx\n(.*?)^```$/ms or die "$name: no lines for nginx\n";
    my %files = $text =~ m{^```\w+ (/\S+)\n(.*?)^```$}msg;
    my ($preload) = $text =~ /^    (--preload .*)$/m;
    return bless { name => $name, command => $command, lines => $nginx, files => \%files,
        preload => $preload }, $class;
}

# The text of a file that the recipe shows, with words swapped.
sub shown ($self, $path, %swap) {
    my $text = $self->{files}{$path} // die "$self->{name}: shows no $path\n";
    return swapped($text, \%swap, \my %used);
}

sub swapped ($text, $swap, $used) {
    for my $old (sort { length $b <=> length $a } keys %$swap) {
        $used->{$old} += $text =~ s/\Q$old\E/$swap->{$old}/g || 0;
    }
    return $text;
}

# Starts the bridge and nginx as the recipe has them; a swap that nothing calls for is an
# error.  Options: server, http => more lines for nginx; workers.
sub serve ($class, $name, $swap = {}, %o) {
    BAIL_OUT('the programs run as www-data: this needs root') if !is_root();
    return $class->read($name)->run($swap, %o);
}

# The order of a hash's keys is that of chance, in Perl, and some pages show it.
my %even_hashes = (PERL_HASH_SEED => 0, PERL_PERTURB_KEYS => 0);

# Starts them; args => more options of the bridge.
sub run ($self, $swap, %o) {
    my $name = $self->{name};
    my $socket = file();
    my %used;
    $self->@{qw(swap options socket)} = ($swap, \%o, $socket);
    my ($nginx, $command) = map {
        swapped($_, { %$swap, 'unix:/run/cgibridge.sock' => "unix:$socket" }, \%used)
    } $self->{lines}, $self->{command};
    my @unused = grep { !$used{$_} } keys %$swap;
    die "$name: nothing there to swap: @unused\n" if @unused;
    my @args = shellwords($command);
    die "$name: the command line has to begin with -s\n"
        if shift @args ne '-s' || shift @args ne "unix:$socket";
    $self->{bridge} = Bridge->start(sockets => ["unix:$socket"],
        args => [ @args, @{ $o{args} // [] } ],
        workers => $o{workers} // 2, env => { HOME => '/nonexistent', %even_hashes });
    $nginx =~ s{include fastcgi_params;}{include /etc/nginx/fastcgi_params;}g
        or die "$name: no fastcgi_params\n";
    $self->{nginx} = Bridge->nginx("$nginx\n" . ($o{server} // ''),
        http => 'include /etc/nginx/mime.types;' . ($o{http} // ''));
    return $self;
}

sub url ($self, $path = '') { return 'http://127.0.0.1:' . $self->{nginx}->port . $path }

# Starts a server that a program asks, as `user`; the end of the test is its end.
sub background ($user, @argv) {
    state $n = 0;
    my $dir = tmp() . '/server-' . ++$n;
    mkdir $dir or die "$dir: $!\n";
    my $server = bless { dir => $dir, log => "$dir/log", argv => [ 'setpriv', "--reuid=$user",
        "--regid=$user", '--init-groups', @argv ] }, 'Recipe::Server';
    $server->Bridge::spawn;
    return $server;
}

# An answer, by curl with further arguments: { code, type, headers, body, seconds }.
sub get ($self, $path, @curl) {
    my $headers = file();
    my $r = run_program([ 'curl', '-sS', '--max-time', int slow(30), '-D', $headers, @curl,
        $self->url($path) ], secs => 40);
    my @blocks = split /\r?\n\r?\n/, slurp($headers);
    my $last = $blocks[-1] // '';
    my ($code) = $last =~ m{\AHTTP/\S+ (\d+)};
    my ($type) = $last =~ /^content-type: *([^\r\n]*)/mi;
    return { code => $code // 0, type => $type // '', headers => $last, body => $r->{out},
        error => $r->{err}, seconds => $r->{seconds} };
}

# It answers with this status, and a body that matches each of these.
sub answers ($self, $path, $code, $like, @curl) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = $self->get($path, @curl);
    my ($what) = substr "@curl $path", 0, 100;
    is($r->{code}, $code, "$what: $code") or diag($r->{error}, $self->why);
    for my $re (ref $like eq 'ARRAY' ? @$like : $like) {
        like($r->{body}, $re, "... with $re");
    }
    return $r;
}

# ---- the same pages from a preloader -----------------------------------------------------

# Another bridge and web server for the same program, whose scripts are preloaded.  It has
# one worker, and with it one preloader of each kind.
sub preloading ($self) {
    my $folder = abs_path("$Bridge::srcdir/contrib/preload");
    my $words = $self->{preload} // die "$self->{name}: no line of --preload\n";
    $words =~ s{/usr/libexec/cgibridge/}{$folder/}g or die "$self->{name}: no preloader of ours\n";
    my $other = bless { $self->%{qw(name command lines)} }, ref $self;
    $other->run($self->{swap}, $self->{options}->%*, workers => 1,
        args => [ shellwords($words), '--status-path', '/status' ]);
    return $other;
}

# How many scripts of it were forked by a preloader.
sub forked ($self) {
    my $r = FastCGI->ask("unix:$self->{socket}", [ SCRIPT_NAME => '/status',
        QUERY_STRING => 'json', REQUEST_METHOD => 'GET' ]);
    return decode_json(FastCGI::body($r))->{preloaded_scripts};
}

# Less dates, and what counts the seconds.
sub timeless ($text) {
    return $text =~ s/\b\d\d?:\d\d(?::\d\d)?\b/TIME/gr =~ s/\b\d+ (?:sec|min)\w* ago/AGO/gr
        =~ s/^(?:Date|Last-Modified|Expires): [^\r\n]*/DATE/gmir;
}

sub timeless_answer ($self, $path, @curl) {
    my $r = $self->get($path, @curl);
    return { map { ($_ => timeless($r->{$_})) } qw(code headers body) };
}

# Each page is byte for byte the same from a script that is preloaded, and one was.
# A page is a path, or [path, words for curl].
sub same_preloaded ($self, @pages) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $other = $self->preloading;
    my ($path, @curl) = map { ref ? @$_ : $_ } $pages[0];

    ok(wait_until(20, sub { $other->get($path, @curl); $other->forked }), 'there is a preloader')
        or diag($other->why);
    for my $page (@pages) {
        ($path, @curl) = ref $page ? @$page : $page;
        my $before = $other->forked;
        my ($cold, $warm) = map { $_->timeless_answer($path, @curl) } $self, $other;
        my $what = substr "@curl $path", 0, 100;
        is($other->forked, $before + 1, "$what: preloaded") or diag($other->why);
        is_deeply($warm, $cold, '... and the same');
        $self->note_times($other, $path, @curl) if $ENV{APPS_TIMES};
    }
    $other->stop(errors => 1);
}

sub note_times ($self, $other, $path, @curl) {
    my @ms;
    my @format = (@curl, '-w', '%{stderr}%{time_total}');
    for (1 .. $ENV{APPS_TIMES}) {
        push $ms[$_]->@*, 1000 * ($self, $other)[$_]->get($path, @format)->{error} for 0, 1;
    }
    my ($cold, $warm) = map { (sort { $a <=> $b } @$_)[ @$_ / 2 ] } @ms;
    note(sprintf 'times: %s: %.1f ms, preloaded %.1f ms: %.1f', $path, $cold, $warm, $cold / $warm);
}

# ------------------------------------------------------------------------------------------

# What the bridge and nginx said last.
sub why ($self) {
    return substr($self->{bridge}->log, -1500) . substr slurp($self->{nginx}{errors}), -1000;
}

# A bare repository that www-data owns, $tmp/srv/demo.git: two commits of hello.txt.
sub demo_repository () {
    my $tmp = tmp();
    my %env = (HOME => '/nonexistent', GIT_CONFIG_NOSYSTEM => 1, GIT_AUTHOR_NAME => 'Anna',
        GIT_AUTHOR_EMAIL => 'a@example.org', GIT_COMMITTER_NAME => 'Anna',
        GIT_COMMITTER_EMAIL => 'a@example.org');
    mkdir "$tmp/srv";
    spew("$tmp/page.txt", "one\ntwo\n");
    must_run([ '/bin/sh', '-ec', <<~'SH', $tmp ], env => \%env);
        cd "$0"; git init -q -b main work; cp page.txt work/hello.txt
        git -C work add hello.txt; git -C work commit -q -m 'first light'
        echo three >>work/hello.txt; git -C work commit -q -a -m 'second thoughts'
        git clone -q --bare work srv/demo.git
        SH
    give("$tmp/srv");
}

# Both end well.  `errors` => 1: requests that failed on purpose are in nginx's log.
sub stop ($self, %o) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $o{errors} ? $self->{nginx}->Bridge::kill_all : $self->{nginx}->stop;
    $self->{bridge}->stop;
}

1;

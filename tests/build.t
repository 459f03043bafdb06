#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# First steps: configure, the scripts that build, and what README says to type.
use v5.36;
use Test::More;
use Bridge;

my $top = $Bridge::srcdir;
my $tmp = Bridge::tmp();

# Runs bash with contrib/lib.sh of the tree at `tree` read.
sub with_lib ($tree, $text, %o) {
    return run_program([ 'bash', '-c', ". '$tree/contrib/lib.sh'; $text" ], secs => 120, %o);
}

# ---- configure ----------------------------------------------------------------------------

scenario 'units for systemd without pkg-config' => sub {
    mkdir "$tmp/out";
    my $r = with_lib($top, "find_source '$tmp/out' && cd '$tmp/out' && PKG_CONFIG=false " .
        '"$source/configure" --with-systemdsystemunitdir');
    is($r->{exit}, 0, 'configure ends well') or diag($r->{err});
    my $where = '/usr/local/lib/systemd/system';
    like($r->{err}, qr{pkg-config.*\Q$where\E.*--with-systemdsystemunitdir=DIR},
        'says where they go, and how to choose');
    like($r->{out}, qr{systemd units +\Q$where\E$}m, 'and at the end once more');
    like(slurp("$tmp/out/Makefile"), qr{^systemdsystemunitdir = \Q$where\E$}m, 'make knows');
}, secs => 180;

# ---- the scripts that build ----------------------------------------------------------------

scenario 'a tree that has been configured in place' => sub {
    my $tree = "$tmp/tree";
    mkdir $_ or die "$_: $!\n" for $tree, map { "$tree/$_" } qw(contrib build-aux build-x out);
    spew("$tree/contrib/lib.sh", slurp("$top/contrib/lib.sh"));
    spew("$tree/$_", "x\n") for qw(configure build-aux/missing build-x/x out/x config.status x.o);
    spew("$tree/Makefile", "distclean:\n\trm -f config.status Makefile x.o\n");
    my $r = with_lib($tree, "find_source '$tree/out' && echo \"\$source\"");
    is($r->{out}, "$tree/out/source\n", 'a copy is built') or diag($r->{err});
    my $has = sub ($name) { -e "$tree/out/source/$name" ? 1 : 0 };
    is($has->($_), 1, "it has $_") for qw(configure build-aux/missing contrib/lib.sh);
    is($has->($_), 0, "it has no $_") for qw(config.status Makefile x.o build-x out);
    ok(-e "$tree/$_", "the tree keeps its $_") for qw(config.status Makefile x.o);
    unlink "$tree/config.status";
    is(with_lib($tree, "find_source '$tree/out' && echo \"\$source\"")->{out}, "$tree\n",
        'else the tree itself');
};

scenario 'packages are missing, and it is not root who asks' => sub {
    my $bin = "$tmp/bin";
    mkdir $bin;
    spew("$bin/apt-get", "#!/bin/sh\n", 0755);
    spew("$bin/id", "#!/bin/sh\necho 1000\n", 0755);
    my $r = with_lib($top, 'need_packages sh no-such-program=no-such-package',
        env => { PATH => "$bin:$ENV{PATH}" });
    isnt($r->{exit}, 0, 'it ends');
    my ($line) = $r->{err} =~ /^    (bash .*)$/m;
    is($line, "bash -c '. \"$top/contrib/lib.sh\" && install_packages no-such-package'",
        'with a line for root, whose packages start no service');
    like(slurp("$top/contrib/lib.sh"), qr/^install_packages\(\)/m, 'that is there');
};

# ---- README ------------------------------------------------------------------------------

scenario 'the examples fit together' => sub {
    my $readme = slurp("$top/README");
    my ($socket) = slurp("$top/contrib/systemd/cgibridge.socket") =~ m{^ListenStream=(/.*)$}m;
    for my $file (qw(README man/cgibridge.8 man/cgibridge-migrate.7 man/fcgiget.1
        contrib/nginx/cgibridge.conf)) {
        my %named = map { $_ => 1 } slurp("$top/$file") =~ m{(/run/(?!fcgiwrap)[^/\s;|"]+\.sock)\b}g;
        is_deeply([ keys %named ], [$socket], "$file: the socket of the unit");
    }
    my ($from, $to) = $readme =~ m{install -D (\S+) (\S+)};
    ok(-x "$top/$from", "$from is there");
    my ($root) = $readme =~ m{^ +root (\S+);}m;
    my ($path) = $readme =~ m{http://HOST(/\S+) then runs};
    is("$root$path", $to, 'the first URL leads to the script that was installed');
};

# Each list has to name them, or a preloader that is installed does not start.
scenario 'the parts of the preloaders are installed' => sub {
    my @all = sort map { s{.*/}{}r } glob "$top/contrib/preload/*";
    my @parts = grep { /-/ } @all;
    my %named = (
        'Makefile.am' => [ \@all => qr{contrib/preload/([\w-]+)} ],
        'debian/rules' => [ \@parts => qr{\b((?:perl|python3)-\w+)} ],
        'contrib/packaging/freebsd/pkg-plist' => [ \@all => qr{^libexec/cgibridge/(\S+)}m ],
    );
    cmp_ok(scalar @parts, '>=', 2, 'there are some');
    for my $file (sort keys %named) {
        my ($want, $pattern) = @{ $named{$file} };
        my %found = map { $_ => 1 } slurp("$top/$file") =~ /$pattern/g;
        is_deeply([ sort keys %found ], $want, $file);
    }
};

scenario "README's picture of the status page" => sub {
    my ($picture) = slurp("$top/README") =~ /^(    cgibridge  \d.*?)^Below it/ms;
    my @words = $picture =~ /([A-Z][a-z]+|\w+ (?:running|queued|active)|connections|workers)(?=  |$)/mg;
    cmp_ok(scalar @words, '>=', 10, 'it has labels');
    my $page = slurp("$top/src/stats/status_html.c");
    like($page, qr/'\Q$_\E'/, "the page has $_") for @words;
};

done_testing;

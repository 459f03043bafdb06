#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# git over HTTP: whole and shallow clones, pushes small and large, passwords.  APPS_MEGABYTES
# is the size of the large one.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $home = "$tmp/home";
my $megabytes = $ENV{APPS_MEGABYTES} // 20;
mkdir $_ for $home, "$tmp/srv";
my %env = (HOME => $home, GIT_CONFIG_NOSYSTEM => 1, GIT_TERMINAL_PROMPT => 0,
    (map { ("GIT_${_}_NAME" => 'A', "GIT_${_}_EMAIL" => 'a@example.org') } qw(AUTHOR COMMITTER)));

# git and its trace; it may fail.
sub git ($more, @argv) {
    return run_program([ 'git', @argv ], env => { %env, %$more }, secs => 60);
}

sub git_ok (@argv) { return must_run([ 'git', @argv ], env => \%env) }

# A repository with a history and enough branches for a request that git compresses.
git_ok('init', '-q', '-b', 'main', "$tmp/tree");
for my $n (1 .. 40) {
    spew("$tmp/tree/file", noise(1000 + $n));
    git_ok('-C', "$tmp/tree", 'add', 'file');
    git_ok('-C', "$tmp/tree", 'commit', '-q', '-m', "change $n");
    git_ok('-C', "$tmp/tree", 'branch', "b$n");
}
git_ok('clone', '-q', '--bare', "$tmp/tree", "$tmp/srv/demo.git");
give("$tmp/srv");
# {SHA} of "secret"
spew("$tmp/passwords", "anna:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", 0644);

my $app = Recipe->serve('git-http-backend', { '/srv/git' => "$tmp/srv",
    '/etc/nginx/git.htpasswd' => "$tmp/passwords" });
my $url = $app->url('/git/demo.git');
my $known = $url =~ s{//}{//anna:secret@}r;

scenario 'clone' => sub {
    for my $version (0 .. 2) {
        my $r = git({ GIT_TRACE_PACKET => 1, GIT_TRACE_CURL => 1 }, '-c',
            "protocol.version=$version", 'clone', '-q', $url, "$tmp/clone$version");
        is($r->{exit}, 0, "protocol $version") or diag(substr $r->{err}, -2000);
        is($r->{err} =~ /git< version $version/ ? 1 : 0, $version ? 1 : 0, '... is spoken');
        is(git_ok('-C', "$tmp/clone$version", 'rev-parse', 'HEAD'),
            git_ok('-C', "$tmp/tree", 'rev-parse', 'HEAD'), 'the same commit');
        like($r->{err}, qr/Content-Encoding: gzip/i, 'its body was in gzip') if $version < 2;
        git_ok('-C', "$tmp/clone$version", 'fsck', '--strict');
    }
};

scenario 'shallow' => sub {
    git_ok('clone', '-q', '--depth', 3, $url, "$tmp/shallow");
    is(git_ok('-C', "$tmp/shallow", 'rev-list', '--count', 'HEAD'), "3\n", '--depth 3');
    git_ok('-C', "$tmp/shallow", 'fetch', '-q', '--unshallow');
    is(git_ok('-C', "$tmp/shallow", 'rev-list', '--count', 'HEAD'), "40\n", '--unshallow');
};

scenario 'push' => sub {
    my $clone = "$tmp/clone2";
    my $push = sub ($to, @config) {
        return git({ GIT_TRACE_CURL => 1 }, '-C', $clone, @config, 'push', $to, 'HEAD:main');
    };
    spew("$clone/file", 'small');
    git_ok('-C', $clone, 'commit', '-q', '-a', '-m', 'small');
    isnt($push->($url)->{exit}, 0, 'without a password: refused');
    my $r = $push->($url =~ s{//}{//anna:wrong@}r);
    isnt($r->{exit}, 0, 'with a wrong one: refused');
    like($r->{err}, qr/HTTP\/1\.1 401/, 'by 401');
    $r = $push->($known);
    is($r->{exit}, 0, 'small, with a length') or diag(substr $r->{err}, -2000);
    # noise() repeats itself, which git would find
    must_run([ '/bin/sh', '-c', "head -c ${megabytes}000000 /dev/urandom >$clone/file" ]);
    git_ok('-C', $clone, 'commit', '-q', '-a', '-m', 'large');
    $r = $push->($known, '-c', 'http.postBuffer=65536');
    is($r->{exit}, 0, 'large, chunked') or diag(substr $r->{err}, -2000);
    like($r->{err}, qr/Transfer-Encoding: chunked/i, '... it was');
    git_ok('clone', '-q', $url, "$tmp/again");
    is(git_ok('-C', "$tmp/again", 'rev-parse', 'HEAD'), git_ok('-C', $clone, 'rev-parse', 'HEAD'),
        'a clone has it');
    must_run([ 'cmp', "$clone/file", "$tmp/again/file" ]);
};

scenario 'what is refused' => sub {
    $app->answers('/git/none.git/info/refs?service=git-upload-pack', 404, []);
    $app->answers('/git/demo.git/git%2dreceive-pack', 401, [], '-d', '0000');
    # past nginx's eyes, but not past git's
    $app->answers('/git/demo.git/info/refs?service=git%2dreceive-pack', 403, []);
    $app->answers('/git/demo.git/HEAD', 200, qr{^ref: refs/heads/main$});
};

$app->stop(errors => 1);
done_testing;

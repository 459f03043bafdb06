#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# --local-redirect: RFC 3875 6.2.2.  The bridge runs the script that a path in Location leads
# to, or asks nginx to go there; all else stays a 302.
use v5.36;
use Test::More;
use Time::HiRes qw(time sleep);
use FastCGI;
use Bridge;

my $dir = Bridge::cgi();
my $tmp = tmp();
my $bridge = Bridge->start(args => [ '--local-redirect', '--timeout', '20s', '-r', $dir,
    '--access-log', "$tmp/access", '--log-level', 'debug' ], env => { WORK => "$tmp/work" });

# Writes the Location in TEST_TO, and what else TEST_MORE says.
script('goes', <<~'SH');
    #!/bin/sh
    echo "goes $REQUEST_METHOD" >>"$WORK"
    printf 'Location: %s\n%b\n' "$TEST_TO" "$TEST_MORE"
    [ -z "$TEST_BODY" ] || echo "$TEST_BODY"
    exit ${TEST_EXIT:-0}
    SH
script('again', <<~'SH');
    #!/bin/sh
    echo again >>"$WORK"
    printf 'Location: %s\n\n' "$SCRIPT_NAME"
    SH
script('plain', "not a script\n", 0644);
spew("$tmp/outside", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\noutside\\n'\n", 0755);
mkdir "$dir/below";
spew("$dir/below/sp ace", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s\\n' \"\$PATH_INFO\"\n", 0755);

# What a request for `goes` gets, with TEST_TO and more parameters.
sub go ($kind, $to, @more) {
    my %o = ref $more[-1] ? %{ pop @more } : ();
    return $bridge->get($kind, 'goes', [ TEST_TO => $to, SERVER_SOFTWARE => 'Apache/2.4', @more ], %o);
}

sub env_of ($r) {
    return { map { /^([^=]*)=(.*)/s } split /\0/, FastCGI::body($r) };
}

sub location ($r) { return FastCGI::response($r)->{header}{location} // '' }

sub ran () { return [ split /\n/, slurp("$tmp/work") ] }

# ---- scripts that are run ------------------------------------------------------------

on_both 'a path runs its script' => sub ($kind) {
    my $r = go($kind, '/environ/a%20b?x=%20y', QUERY_STRING => 'q=1', HTTP_X_TRY => 'one');
    my $env = env_of($r);
    is(FastCGI::status($r), 200, 'its answer');
    my %want = (SCRIPT_NAME => '/environ', PATH_INFO => '/a b', QUERY_STRING => 'x=%20y',
        SCRIPT_FILENAME => "$dir/environ", PATH_TRANSLATED => "$dir/a b", REQUEST_METHOD => 'GET',
        REDIRECT_STATUS => 200, REDIRECT_URL => '/goes', REDIRECT_QUERY_STRING => 'q=1',
        REQUEST_URI => '/goes', HTTP_X_TRY => 'one');
    is_deeply({ map { $_ => $env->{$_} } keys %want }, \%want, 'and its environment');
    $r = go($kind, '/below/sp%20ace/%41');
    is(FastCGI::body($r), "/A\n", 'a name that is percent-encoded');
};

on_both 'a POST becomes a GET without a body' => sub ($kind) {
    unlink "$tmp/work";
    my $body = 'x' x 300_000;
    my $r = go($kind, '/environ', { body => $body });
    my $env = env_of($r);
    is_deeply([ @$env{qw(REQUEST_METHOD CONTENT_LENGTH CONTENT_TYPE)} ], [ 'GET', undef, undef ],
        'the parameters');
    is_deeply(ran(), ['goes POST'], 'the first had the POST');
    $r = go($kind, '/count', { body => $body });
    is(FastCGI::body($r), "0 unset\n", 'the second reads nothing');
};

on_both 'HEAD stays HEAD' => sub ($kind) {
    my $r = go($kind, '/hello', REQUEST_METHOD => 'HEAD');
    is(FastCGI::status($r) . FastCGI::body($r), '200', 'without a body');
};

on_both 'a redirect to a redirect, and its end' => sub ($kind) {
    unlink "$tmp/work";
    my $r = go($kind, '/again');
    is(FastCGI::status($r), 302, 'the last is a 302');
    is(location($r), '/again', 'that says where');
    is_deeply(ran(), [ 'goes GET', ('again') x 5 ], 'after five of them');
};

on_both 'one connection, many of them' => sub ($kind) {
    my $c = $bridge->connect($kind);
    for my $id (1 .. 20) {
        $c->start($id, $bridge->params('goes', TEST_TO => '/hello', SERVER_SOFTWARE => 'HAProxy 2.6'),
            keep => 1);
        is(FastCGI::body($c->wait_end($id)), "hello\n", "request $id");
    }
};

scenario 'a line of the access log, and of the log' => sub {
    my $before = -s "$tmp/access" // 0;
    go('unix', '/hello');
    wait_until(5, sub { -s "$tmp/access" > $before });
    my $line = substr slurp("$tmp/access"), $before;
    like($line, qr{^[^\n]*/goes[^\n]* 200 [^\n]*\n\z}, 'one, of the request that came');
};

# ---- what stays a 302 -------------------------------------------------------------------

my %stays = (
    'no such file' => [ '/missing' ], 'a file that cannot be executed' => [ '/plain' ],
    'a directory' => [ '/below' ], 'another server' => [ '//host/hello' ],
    'a fragment' => [ '/hello#top' ], 'a blank' => [ '/below/sp ace' ], 'a URL' => [ 'http://localhost/hello' ],
    'a relative path' => [ 'hello' ], 'a backslash' => [ '/\\\\host' ], 'a NUL' => [ '/hello%00' ],
    '..' => [ '/../outside' ], '.. that is encoded' => [ '/%2e%2e/outside' ],
    'another header' => [ '/hello', TEST_MORE => 'X-Try: one\n' ],
    'a type' => [ '/hello', TEST_MORE => 'Content-Type: text/html\n' ],
    'a status' => [ '/hello', TEST_MORE => 'Status: 302 Found\n' ],
    'a body' => [ '/hello', TEST_BODY => 'go there' ],
    'an exit status' => [ '/hello', TEST_EXIT => 3 ],
    'DOCUMENT_ROOT is elsewhere' => [ '/hello', DOCUMENT_ROOT => '/nonexistent' ],
    'a script that --root does not allow' => [ '/outside', DOCUMENT_ROOT => $tmp ],
);

on_both 'what stays a 302' => sub ($kind) {
    for my $name (sort keys %stays) {
        my ($to, @more) = @{ $stays{$name} };
        my $r = go($kind, $to, @more);
        is(FastCGI::status($r) . ' ' . location($r), "302 $to", $name);
    }
};

on_both 'nginx is asked to go there' => sub ($kind) {
    my $r = go($kind, '/a/b?c=d%20e', SERVER_SOFTWARE => 'nginx/1.22.1');
    is($r->{out}, "X-Accel-Redirect: /a/b?c=d%20e\r\n\r\n", 'with nothing else');
    $r = go($kind, '/a/b', SERVER_SOFTWARE => 'nginx/1.22.1', TEST_BODY => 'go there');
    is(FastCGI::status($r), 302, 'but not if there is a body');
};

# ---- at the edges --------------------------------------------------------------------------

on_both 'the output is ended and the script goes on' => sub ($kind) {
    my ($gate, $shut) = gate();
    script('works-on', "#!/bin/sh\nprintf 'Location: /hello\\n\\n'; exec >/dev/null\n"
        . "flock -s -w 60 $gate true; echo worked >>\"\$WORK\"\n");
    unlink "$tmp/work";
    my $r = $bridge->get($kind, 'works-on', [ SERVER_SOFTWARE => 'Apache' ]);
    is(FastCGI::body($r), "hello\n", 'the answer does not wait');
    close $shut;
    ok(wait_until(10, sub { slurp("$tmp/work") eq "worked\n" }), 'the work is done');
};

on_both 'the output is ended, the body comes later, and the script goes on' => sub ($kind) {
    my ($gate, $shut) = gate();
    script('reads-on', "#!/bin/sh\nprintf 'Location: /hello\\n\\n'; exec >/dev/null\n"
        . "echo begun >>\"\$WORK\"; cat; flock -s -w 60 $gate true\n");
    unlink "$tmp/work";
    my $c = $bridge->connect($kind);
    my $r = $c->expect(1);
    $c->send(FastCGI::begin(1) . FastCGI::params(1, $bridge->params('reads-on',
        SERVER_SOFTWARE => 'Apache', REQUEST_METHOD => 'POST', CONTENT_LENGTH => 5)));
    ok(wait_until(10, sub { slurp("$tmp/work") eq "begun\n" }), 'its output is ended');
    $c->send(FastCGI::stdin(1, 'input') . FastCGI::stdin_end(1));
    $c->wait_end(1);
    is(FastCGI::body($r), "hello\n", 'the answer does not wait for its exit');
    close $shut;
};

scenario 'no slot is free for the second' => sub {
    my $small = Bridge->start(args => [ '--local-redirect', '--max-scripts', '1', '--queue', '0' ],
        env => { WORK => "$tmp/work" });
    my $r = $small->get('unix', 'goes', [ TEST_TO => '/hello', SERVER_SOFTWARE => 'Apache' ]);
    like(FastCGI::status($r), qr/^(?:200|503)$/, 'the slot of the first is used, or it is a 503');
    is(FastCGI::body($small->get('unix', 'hello')), "hello\n", 'and the next request is served');
    $small->stop;
};

scenario 'the client leaves between the two' => sub {
    my ($gate, $shut) = gate();
    script('slow', "#!/bin/sh\necho slow \$\$ >>\"\$WORK\"; flock -s -w 60 $gate true\nprintf 'Content-Type: a/b\\n\\n'\n");
    unlink "$tmp/work";
    my $c = $bridge->connect('unix');
    $c->start(1, $bridge->params('goes', TEST_TO => '/slow', SERVER_SOFTWARE => 'Apache'));
    ok(wait_until(10, sub { slurp("$tmp/work") =~ /slow (\d+)/ }), 'the second runs');
    my ($pid) = slurp("$tmp/work") =~ /slow (\d+)/;
    $c->hang_up;
    is_deeply([ gone(10, $pid) ], [], 'and is stopped');
    close $shut;
};

scenario 'without the option' => sub {
    my $other = Bridge->start(env => { WORK => "$tmp/work" });
    for my $server (qw(nginx/1.22.1 Apache)) {
        my $r = $other->get('unix', 'goes', [ TEST_TO => '/hello', SERVER_SOFTWARE => $server ]);
        is(FastCGI::status($r) . ' ' . location($r), '302 /hello', $server);
    }
    $other->stop;
};

$bridge->stop;
done_testing;

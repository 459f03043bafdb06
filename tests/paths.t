#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Parameters that name no file, or name it in an odd way: a PATH_INFO longer than any path,
# names that no environment can hold, a variable that execve(2) refuses, what Apache makes
# of SCRIPT_FILENAME.
use v5.36;
use Test::More;
use FastCGI;
use Bridge;

my $dir = Bridge::cgi();
my $bridge = Bridge->start(args => [ '--max-params', '1M' ]);

sub environment ($r) { return map { split /=/, $_, 2 } split /\0/, FastCGI::body($r) }

sub ask ($kind, @params) {
    return FastCGI->ask($bridge->url($kind), [ REQUEST_METHOD => 'GET', @params ]);
}

on_both 'a PATH_INFO longer than any path reaches the script' => sub ($kind) {
    for my $info ('/' . 'p' x 9000, '/p' x 4500) {
        my %way = (
            'beside SCRIPT_FILENAME' => [ SCRIPT_FILENAME => "$dir/environ",
                SCRIPT_NAME => '/environ', PATH_INFO => $info ],
            'inside SCRIPT_FILENAME' => [ SCRIPT_FILENAME => "$dir/environ$info",
                SCRIPT_NAME => "/environ$info" ],
            'inside a proxy URL' => [ SCRIPT_FILENAME => "proxy:fcgi://localhost$dir/environ$info?q",
                SCRIPT_NAME => "/environ$info" ],
            'inside SCRIPT_NAME' => [ SCRIPT_NAME => "/environ$info" ],
            'behind a directory' => [ SCRIPT_FILENAME => $dir, SCRIPT_NAME => '',
                PATH_INFO => "/environ$info" ],
        );
        for my $way (sort keys %way) {
            my %env = environment(ask($kind, DOCUMENT_ROOT => $dir, @{ $way{$way} }));
            ok($env{PATH_INFO} eq $info, "$way: all of it");
            is($env{SCRIPT_NAME}, '/environ', 'SCRIPT_NAME');
            is($env{SCRIPT_FILENAME}, "$dir/environ", 'SCRIPT_FILENAME');
            ok(!exists $env{PATH_TRANSLATED}, 'PATH_TRANSLATED cannot be made');
        }
    }
    my %env = environment(ask($kind, DOCUMENT_ROOT => $dir, SCRIPT_FILENAME => "$dir/environ",
        PATH_INFO => '/' . 'p' x 3000));
    is($env{PATH_TRANSLATED}, "$dir/" . 'p' x 3000, 'but of a shorter one it is');
};

on_both 'a parameter without a name, or with "=" in it, is dropped' => sub ($kind) {
    my $mark = $bridge->mark;
    my %env = environment(ask($kind, '' => 'nameless', 'HTTP_A=B' => 'x', '=' => 'y',
        SCRIPT_FILENAME => "$dir/environ", HTTP_X => 'kept'));
    is($env{HTTP_X}, 'kept', 'the others are there');
    is_deeply([ grep { /^(?:HTTP_A|)\z/ } keys %env ], [], 'and these are not');
    $bridge->no_warning($mark);
};

on_both 'a variable that no process can have is 431' => sub ($kind) {
    my $mark = $bridge->mark;
    my @script = (SCRIPT_FILENAME => "$dir/environ");
    my $r = ask($kind, @script, HTTP_X_LONG => 'x' x (128 * 1024));
    is(FastCGI::status($r), 431, 'Status 431');
    $bridge->one_warning($mark, qr{431: \Q$dir\E/environ: cannot execute: Argument list too long });
    is(FastCGI::status(ask($kind, @script, HTTP_X_LONG => 'x' x 120_000)), 200,
        'a shorter one is passed on');
};

on_both 'what Apache makes of SCRIPT_FILENAME' => sub ($kind) {
    script('sp ace', "#!/bin/sh\necho 'Content-Type: text/plain'; echo; echo \"\$0 \$PATH_INFO\"\n");
    for ([ 'proxy:fcgi://localhost/' => 'sp%20ace', 200, '' ],
        [ 'proxy:fcgi://localhost/' => 'sp%20ace/in%20fo', 200, '/in fo' ],
        [ 'proxy:fcgi://localhost/' => 'sp%2520ace', 404 ], [ '/' => 'sp%20ace', 404 ],
        [ 'proxy:fcgi://localhost/' => '%2e%2e/cgi/sp%20ace', 404 ],
        [ '/' => 'sp ace?a=/b', 200, '' ], [ '/' => 'none?a=/b', 404 ]) {
        my ($front, $name, $status, $info) = @$_;
        my $decoded = $name =~ s/%([0-9a-f]{2})/chr hex $1/gier =~ s/\?.*//sr;
        my $r = ask($kind, SCRIPT_FILENAME => $front =~ s{/\z}{}r . "$dir/$name",
            SCRIPT_NAME => "/$decoded");
        is(FastCGI::status($r), $status, "$front...$name is $status");
        is(FastCGI::body($r), "$dir/sp ace $info\n", 'the script and its PATH_INFO')
            if $status == 200;
    }
};

$bridge->stop;
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# A reload starts again with the words of the first start: whichever way options are
# given, those in effect after HUP are those before it, and scripts run as before.
use v5.36;
use IO::Socket::UNIX;
use Socket;
use Test::More;
use Time::HiRes qw(sleep);
use FastCGI;
use Bridge;

my $tmp = Bridge::tmp();
my $serial = 0;
# the leak checker cannot look at a process that has changed its user
$ENV{ASAN_OPTIONS} = join ':', grep { length } $ENV{ASAN_OPTIONS} // '', 'detect_leaks=0';

sub options_file ($text) {
    my $path = "$tmp/options-" . ++$serial;
    spew($path, $text, 0644);
    return $path;
}

sub words_in ($path) { return split /\0/, slurp($path) }

# The daemon's words and variables, as the kernel has them of its last exec.
sub words_of ($bridge) { return [ words_in('/proc/' . $bridge->pid . '/cmdline') ] }

sub variables_of ($bridge) {
    return [ sort grep { !/^CGIBRIDGE_HANDOVER=/ } words_in('/proc/' . $bridge->pid . '/environ') ];
}

# What --check says of these words.
sub effect_of ($words) {
    my $r = run_program([ @$words, '-n' ]);
    is($r->{exit}, 0, 'they are good options') or diag($r->{err});
    return $r->{out};
}

my $whoami = script('whoami', <<~'SH');
    #!/bin/sh
    printf 'Content-Type: text/plain\n\n%s %s' "$(id -u)" "$(id -g)"
    SH
my $outside = "$tmp/outside";
spew($outside, slurp($whoami), 0755);

# Visible from outside: the user that scripts run as, the scripts that may run, the program
# that runs them.
sub behaviour ($bridge) {
    my $inside = $bridge->get('unix', 'whoami');
    return { inside => FastCGI::body($inside), workers => scalar $bridge->workers,
        outside => FastCGI::status($bridge->get('unix', 'x', [ SCRIPT_FILENAME => $outside ])) };
}

# ---- the ways in -----------------------------------------------------------------------

# Each option once, with a value that is not its default; only root can change the user.
my @user = is_root() ? (qw(-u nobody -g daemon)) : ();
my $dir = cgi();
my @options = (
    qw(--socket-mode 0606 --backlog 99 --allow 10.0.0.0/8 --allow-user daemon -c 2
       --max-scripts 9 --queue 8 --queue-timeout 7s --handler .x=/bin/sh --handler-always --query-args
       --env A=B --clear-env --limit core=0 --timeout 99 --idle-timeout 98 --linger 3
       --kill-delay 4 --drain-timeout 5 --on-disconnect close --stderr discard --error-detail
       --strict-headers
       --max-body 9M --max-params 9K --spool-dir /tmp --status-path /s --ping-path /p
       --log-level debug --access-log-format json --watchdog 97),
    '--root', $dir, '--access-log', "$tmp/access.log", @user);
# only what has a letter, or the name of an option, may start a word that is taken apart
my $line = join ' ', @options;
my %ways = (
    'words of their own' => [@options],
    'one word' => ["$line -f"],
    'a word that starts with a letter' => ["-f $line"],
    'an unset variable and a word' => [ '', $line, '' ],
    'a file' => [ '@' . options_file("# options\n" . $line =~ s/ (?=--)/\n/gr . "\n") ],
    'a file, in quotes' => [ '@' . options_file(join "\n", map { "'$_'" } @options) ],
    'two files and a word' => [ '@' . options_file('--timeout 99'), "-f $line", '@' . options_file('-t 99') ],
    'names with "="' => [ $line =~ s/(--[\w-]+) (?!-)(\S+)/$1=$2/gr =~ /\S+/g ],
    'shortened names' => [ map { /^--(?:query-args|spool-dir)/ ? substr $_, 0, -2 : $_ } @options ],
);

for my $way (sort keys %ways) {
    scenario $way => sub {
        my $bridge = Bridge->start(sockets => ['unix'], args => $ways{$way}, workers => 2);
        my $words = words_of($bridge);
        my $variables = variables_of($bridge);
        my $effect = effect_of($words);
        my $before = behaviour($bridge);
        is($before->{outside}, 403, 'a restriction holds');
        isnt($before->{inside} =~ s/ .*//r, 0, 'scripts are not run as root') if is_root();
        for my $time ('once', 'twice') {
            ok($bridge->reload, "reloaded $time");
            is_deeply(words_of($bridge), $words, 'the words are the same');
            is_deeply(variables_of($bridge), $variables, 'so are the variables');
            is(effect_of(words_of($bridge)), $effect, 'and the options in effect');
            is_deeply(behaviour($bridge), $before, 'and scripts run as before');
        }
        $bridge->stop;
    };
}

# Each of the words that were lost once, alone: the part after the first blank.
for my $lost ([ '-u', is_root() ? 'nobody' : scalar getpwuid $> ], [ '-r', $dir ],
    [ '-p', "$dir/whoami" ], [ '-c', 2 ], [ '-t', 9 ])
{
    scenario "-f @$lost" => sub {
        my $bridge = Bridge->start(sockets => ['unix'], args => ["-f @$lost"]);
        my $effect = effect_of(words_of($bridge));
        my $before = behaviour($bridge);
        ok($bridge->reload, 'reloaded');
        is(effect_of(words_of($bridge)), $effect, 'the options in effect are the same');
        is_deeply(behaviour($bridge), $before, 'and scripts run as before');
        $bridge->stop;
    };
}

# ---- options that are wrong -----------------------------------------------------------------

# HUP with a wrong line in the file of options; `$said` reads what the log's reader has got.
sub refuses ($bridge, $options, $said, $priority) {
    for my $case ([ "\n\n--timeout soon\n", qr/:3: --timeout 'soon': expected a time/ ],
        [ "\n--timout 5\n", qr/:2: --timout: unknown option; did you mean --timeout\?/ ],
        [ "# one\n--env 'A=b\n", qr/:2: unclosed quote/ ],
        [ "\n--user no-such-user", qr/:2: --user 'no-such-user': there is no such user/ ])
    {
        my ($text, $why) = @$case;
        spew($options, $text);
        my $before = length $said->();
        $bridge->signal('HUP');
        ok(wait_until(slow(10), sub { substr($said->(), $before) =~ /not reloaded: .*going on/ }),
            'not reloaded');
        like(substr($said->(), $before), qr/^$priority\Q$options\E$why/m, 'why, and where');
    }
}

scenario 'a refused reload says why, to stderr' => sub {
    my $options = options_file('-t 9');
    my $bridge = Bridge->start(sockets => ['unix'], args => ["\@$options"]);
    refuses($bridge, $options, sub { $bridge->log }, qr/.* error: /);
    $bridge->stop;
};

scenario 'a refused reload says why, to the journal' => sub {
    my $options = options_file('-t 9');
    my $bridge = Bridge->start(sockets => ['unix'], args => ["\@$options"],
        child => sub { $ENV{JOURNAL_STREAM} = join ':', (stat STDERR)[ 0, 1 ] });
    refuses($bridge, $options, sub { $bridge->log }, qr/<3>/);
    $bridge->stop;
};

scenario 'a refused reload says why, to syslog' => sub {
    my $options = options_file('-t 9');
    my $path = "$tmp/syslog";
    my $daemon = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path) or die "$path: $!";
    my $got = '';
    my $said = sub {
        $got .= "$_\n" while defined($daemon->recv($_, 4096, MSG_DONTWAIT));
        return $got;
    };
    my $bridge = Bridge->start(sockets => ['unix'], any => 1,
        args => [ "\@$options", '--syslog=local0', '--syslog-socket', $path ]);
    ok(wait_until(slow(10), sub { $said->() =~ /ready/ }), 'ready');
    refuses($bridge, $options, $said, qr/<131>.*?: /);
    $bridge->stop;
};

done_testing;

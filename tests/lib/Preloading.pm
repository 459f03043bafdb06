# SPDX-License-Identifier: ISC
#
# Preloading: bridges with the preloader of the tests, lib/preloader, and the scripts and
# counters by which one sees what it does.
package Preloading;
use v5.36;
use Exporter 'import';
use JSON::PP;
use Bridge qw(!sh); # it has one of its own
use FastCGI;

our @EXPORT = qw(preloading set_mood preloaders status is_ready counts was_late growth sh runs answer
    $preloader $ran);

our $preloader = spew(tmp() . '/preloader', slurp("$Bridge::srcdir/tests/lib/preloader"), 0755);

# A bridge with the test's preloader for /bin/sh, and its mood.
sub preloading (%o) {
    my $mood = file();
    my $words = $o{words} // '';
    my $bridge = Bridge->start(workers => 1, %o, args => [ '--status-path', '/status',
        '--preload', "/bin/sh=/usr/bin/perl $preloader /bin/sh $mood $words",
        @{ $o{args} // [] } ]);
    $bridge->{mood} = $mood;
    wait_until(10, sub { preloaders($bridge) == 1 && is_ready($bridge) }) if !$words;
    return $bridge;
}

sub set_mood ($bridge, $mood) {
    my $next = spew(file(), "$mood\n", 0644);
    rename $next, $bridge->{mood} or die "$bridge->{mood}: $!\n";
}

# Not the children of a worker that are about to execute a script, whose command line is still
# the worker's.
sub preloaders ($bridge) {
    return grep { slurp("/proc/$_/cmdline") =~ m{^/usr/bin/perl\0\Q$preloader\E\0} }
        map { Bridge::children($_) } $bridge->workers;
}

sub status ($bridge) {
    return decode_json(FastCGI::body($bridge->get('unix', 'none', [
        (map { ($_ => '') } qw(SCRIPT_FILENAME DOCUMENT_ROOT REQUEST_URI)),
        SCRIPT_NAME => '/status', QUERY_STRING => 'json' ])));
}

# A preloader is ready when it has started a script.
sub is_ready ($bridge) {
    my $before = status($bridge)->{preloaded_scripts};
    $bridge->get('unix', 'plain.sh');
    return status($bridge)->{preloaded_scripts} > $before;
}

sub counts ($bridge) {
    my $s = status($bridge);
    return { map { $_ => $s->{$_} } qw(preloaded_scripts preload_bypasses preloader_restarts) };
}

# Whether a preloader took more than its second, which can happen on a busy machine.
sub was_late ($bridge, $mark) {
    return $bridge->log_since($mark) =~ /did not (?:start a script|answer) within/;
}

# Runs `code`, and how the counters grew: [preloaded, bypassed].  Again if a preloader that
# means well was late.
sub growth ($bridge, $code) {
    for my $try (1 .. 5) {
        my ($mark, $before) = ($bridge->mark, counts($bridge));
        $code->();
        my $after = counts($bridge);
        my $late = was_late($bridge, $mark) && slurp($bridge->{mood} // '') =~ /\A(?:good\n)?\z/;
        return [ map { $after->{$_} - $before->{$_} } qw(preloaded_scripts preload_bypasses) ]
            if !$late || $try == 5;
        wait_until(20, sub { is_ready($bridge) });
    }
}

# A script that answers with its pid, and notes in a file that it ran.
our $ran = spew(file(), '', 0666);
sub sh ($name, $text, $line = '#!/bin/sh') {
    return script($name, "$line\nprintf 'Content-Type: text/plain\\n\\n'\n$text");
}
sh('plain.sh', "echo hello\n");
sh('notes.sh', "echo \$\$ >>'$ran'\necho ran \$\$\n");
sub runs () { return scalar pids_in($ran) }

sub answer ($bridge, $name, @more) { return FastCGI::body($bridge->get('unix', $name, @more)) }

1;

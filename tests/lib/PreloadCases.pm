# SPDX-License-Identifier: ISC
#
# PreloadCases: what the tests of the preloaders that come with cgibridge have in common: a script
# started by exec and by preloaders, side by side; and what any preloader has to do.
package PreloadCases;
use v5.36;
use Exporter 'import';
use File::Path qw(make_path);
use Test::More;
use Bridge;
use Preload;

our @EXPORT = qw(comparing normal same scripts_at_once worker_gives_up worker_is_gone
    answers_and_ends ways_by_links);

my %about; # see comparing()

# What is compared, if same() is not told otherwise.  by => preloaders; normal => changes what
# differs between two processes in any case, in $_; label => what is said of a preloader; start
# => starts another one.
sub comparing (%o) { %about = (label => sub ($p) { '' }, %o) }

# What is compared of a result.
sub normal ($r) {
    my %n = %$r{qw(out err exit signal answer)};
    for (grep { defined } @n{qw(out err)}) {
        s/\b$r->{pid}\b/PID/g;
        $about{normal}->();
    }
    return \%n;
}

# Runs a script both ways; returns what exec has made of it.  Options as for Preload::run(); args;
# by => a preloader, or several; interpreter => run `INTERPRETER SCRIPT` where exec is compared;
# after => what else to compare.
sub same ($name, $path, %o) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @argv = ($path, @{ $o{args} // [] });
    my $by = $o{by} // $about{by};
    my @by = ref $by eq 'ARRAY' ? @$by : $by;
    my $after = $o{after} // sub { };
    my $execed = $by[0]->run_by_exec([ @{ $o{interpreter} // [] }, @argv ], %o);
    $execed->{after} = $after->();
    for my $p (@by) {
        my $forked = $p->run(\@argv, %o);
        $forked->{after} = $after->();
        is_deeply([ normal($forked), $forked->{after} ], [ normal($execed), $execed->{after} ],
            $name . $about{label}->($p)) or diag(explain($forked, $execed), $p->log);
    }
    return $execed;
}

# Asks for a script with descriptors that lead nowhere, and does not wait for the answer.
sub ask ($p, @argv) {
    open my $null, '+<', '/dev/null' or die "/dev/null: $!\n";
    return $p->send_message($p->start_words(\@argv), (fileno $null) x 3);
}

# A script that waits for a gate, then exits with its argument as status; 3 kills it.
sub scripts_at_once ($p, $script, $hold) {
    my (%number, %end);
    for my $n (1 .. 10) {
        ask($p, $script, $n);
        my @answer = $p->packet;
        is("@answer[ 0, 1 ]", "start $p->{serial}", "script $n has started");
        $number{ $answer[2] } = $n;
    }
    is(scalar keys %number, 10, 'each with a process of its own');
    close $hold;
    for (1 .. 10) {
        my ($word, $pid, @status) = $p->packet;
        $end{ $number{$pid} } = "@status" if $word eq 'exit';
    }
    is_deeply(\%end, { map { $_ => $_ == 3 ? '0 9' : "$_ 0" } 1 .. 10 }, 'each end is reported');
}

# A script that leaves a mark.
sub worker_gives_up ($script, $mark) {
    my $p = $about{start}->();
    $p->give_up;
    ask($p, $script);
    $p->retire;
    is($p->wait_exit, 0, 'the preloader has done what was asked');
    ok(!-e $mark, 'but no line of a script was run');
}

# A script that forks, ignores TERM, and writes the pids of both to a file.
sub worker_is_gone ($script, $pids) {
    my $p = $about{start}->();
    ask($p, $script);
    my @pids = wait_pids($pids, 2);
    is(scalar @pids, 2, 'a script runs, with a child');
    $p->hang_up;
    is($p->wait_exit, 0, 'the preloader ends');
    is_deeply([ gone(5, @pids) ], [], 'and takes them along');
}

sub answers_and_ends () {
    my ($p, $q) = map { $about{start}->() } 1 .. 2;
    $p->send_message(['ping']) for 1 .. 2;
    is_deeply([ map { $p->packet } 1 .. 2 ], [qw(pong pong)], 'it answers');
    $p->retire;
    is($p->wait_exit, 0, 'without scripts it ends at once');
    kill 'TERM', $q->{pid};
    is($q->wait_exit, 15, 'TERM ends it');
}

# Links to a directory with a module: where they are, and a path to it by each of them, with whether
# nobody else than root can change it, if all is root's but the directory "others".
sub ways_by_links () {
    my $top = file();
    make_path("$top/others", "$top/real");
    spew("$top/real/module", '');
    my %link = ('others/link' => '../real', by_others => 'others/link', absolute => "$top/real",
        twice => 'absolute/../absolute', hidden => 'by_others/../real');
    symlink $link{$_}, "$top/$_" or die "$_: $!\n" for keys %link;
    my %trusted = map { $_ => 0 } qw(others/link by_others hidden);
    $trusted{$_} = 1 for qw(real absolute twice);
    return $top, map { [ "$_/module", $trusted{$_} ] } sort keys %trusted;
}

1;

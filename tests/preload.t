#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# --preload, the worker's side: which scripts a preloader starts, that they are like others, how
# they are ended, and that nothing is left of them.
use v5.36;
use Test::More;
use Bridge;
use FastCGI;
use Preloading;

# ---- like any other script ---------------------------------------------------------------

my $bridge = preloading(args => [ '--limit', 'nofile=77', '--limit', 'core=0' ]);

scenario 'it is started by the preloader' => sub {
    my $by = growth($bridge, sub { is(answer($bridge, 'plain.sh'), "hello\n", 'answered') });
    is_deeply($by, [ 1, 0 ], 'counted');
    set_mood($bridge, 'mark');
    sh('marked.sh', 'echo "$PRELOADED_BY_TEST"');
    is(answer($bridge, 'marked.sh'), "1\n", 'by the preloader indeed');
    set_mood($bridge, 'good');
};

scenario 'it is what it would be by exec' => sub {
    # the same text, for another interpreter that is the same program
    symlink '/bin/sh', tmp() . '/sh' or die;
    my $text = <<~'END';
        tr '\0' '\n' </proc/$$/environ | sort
        echo "args $0 $*"
        pwd -P
        ulimit -n; ulimit -c; umask
        grep '^Sig[A-Z]*[BIC]' /proc/self/status
        read -r stat </proc/$$/stat
        set -- ${stat#*) }
        echo "group $(( $3 == $$ )) session $4"
        cat
        cd /proc/self/fd && exec readlink 0 1 2 3 4 5 6 7 8 9 60
        END
    sh('same.sh', $text);
    my $forked = growth($bridge, sub { is(answer($bridge, 'plain.sh'), "hello\n", 'first') });
    is_deeply($forked, [ 1, 0 ], 'ready');
    my %answers;
    for my $way ('/bin/sh', tmp() . '/sh') {
        sh('same.sh', $text, "#!$way");
        my $by = growth($bridge, sub {
            $answers{$way} = answer($bridge, 'same.sh', [ QUERY_STRING => 'a+b',
                REQUEST_METHOD => 'POST', CONTENT_LENGTH => 9, HTTP_X => 'y' ],
                body => "the body\n");
        });
        is_deeply($by, $way eq '/bin/sh' ? [ 1, 0 ] : [ 0, 0 ], "$way: started as meant");
    }
    s/pipe:\[\d+\]/pipe/g for values %answers;
    is($answers{'/bin/sh'}, $answers{ tmp() . '/sh' }, 'no difference');
    like($answers{'/bin/sh'}, qr/\n(?:pipe\n){3}\z/, 'no descriptors but three pipes');
    like($answers{'/bin/sh'}, qr/^77$/m, 'with its limits');
    like($answers{'/bin/sh'}, qr/group 1/, 'and its process group');
    like($answers{'/bin/sh'}, qr/the body/, 'and its body');
};

scenario 'exit status, death by signal, standard error' => sub {
    sh('exits.sh', "echo oops >&2\nexit 3\n");
    sh('dies.sh', "kill -SEGV \$\$\n");
    my $mark = $bridge->mark;
    is($bridge->get('unix', 'exits.sh')->{end}{app}, 3, 'exit status');
    my $c = $bridge->connect('unix');
    $c->start(1, $bridge->params('dies.sh'));
    $c->wait_close; # without END, which would say that all of it was there
    ok($bridge->wait_for_log(qr/exits\.sh\[\d+\]: request 1: stderr: oops/, 5, from => $mark),
        'stderr');
    ok($bridge->wait_for_log(qr/dies\.sh\[\d+\].*killed by signal 11/, 5, from => $mark),
        'the signal');
};

# ---- which scripts -----------------------------------------------------------------------

scenario 'the #! line' => sub {
    my $of = preloading(env => { PATH => '/bin:/usr/bin' });
    my %lines = ('#! /bin/sh' => 1, "#!/bin/sh\t" => 1, '#!/bin/sh -e' => 1,
        '#!/usr/bin/env sh' => 1, '#!/bin/env sh' => 1, '#!/usr/bin/env -S sh -e' => 1,
        '#!/usr/bin/env -S sh -e -u' => 1, '#!/usr/bin/sh' => 0, '#!/usr/bin/env -S A=b sh' => 0,
        '#!/usr/bin/env -S sh "-e"' => 0, '#!/bin/dash' => 0);
    for my $line (sort keys %lines) {
        sh('line.sh', "case \$- in *e*) printf e;; esac; case \$- in *u*) printf u;; esac; echo\n", $line);
        my $answer;
        my $by = growth($of, sub { $answer = answer($of, 'line.sh') });
        is($by->[0], $lines{$line}, "$line: preloaded or not");
        is($answer, ($line =~ /-e -u/ ? 'eu' : $line =~ /-e/ ? 'e' : '') . "\n", 'its switches');
    }
    my $by = growth($of, sub { answer($of, 'plain.sh', [ PATH => '/bin' ]) });
    is_deeply($by, [ 1, 0 ], 'another PATH does not matter to /bin/sh');
    sh('env.sh', "echo env\n", '#!/usr/bin/env sh');
    $by = growth($of, sub { is(answer($of, 'env.sh', [ PATH => '/usr/bin:/bin' ]), "env\n", 'ok') });
    is_deeply($by, [ 0, 1 ], 'but to env');
    sh('noexec.sh', "echo\n");
    chmod 0644, cgi() . '/noexec.sh';
    is(FastCGI::status($of->get('unix', 'noexec.sh')), 403, 'not executable: refused');
    $of->stop;
};

scenario 'a file that changes' => sub {
    sh('changes.sh', "echo one\n");
    is_deeply(growth($bridge, sub { answer($bridge, 'changes.sh') }), [ 1, 0 ], 'preloaded');
    sh('changes.sh', "echo one\n", '#!/bin/dash');
    is_deeply(growth($bridge, sub { answer($bridge, 'changes.sh') }), [ 0, 0 ], 'and not');
    sh('changes.sh', "echo one\n");
    is_deeply(growth($bridge, sub { answer($bridge, 'changes.sh') }), [ 1, 0 ], 'and again');
};

scenario 'variables that are read at the start' => sub {
    my $of = preloading(env => { FIXED => 'mine', TZ => 'UTC' });
    my @cases = ([ [ FIXED => 'mine' ], 1 ], [ [ FIXED => 'other' ], 0 ], [ [ GROUP_X => '' ], 0 ],
        [ [ LC_ALL => 'C' ], 0 ], [ [ TZ => 'UTC' ], 1 ], [ [ TZ => 'CET' ], 0 ],
        [ [ FIXEDLY => 'x' ], 1 ], [ [ LD_PRELOAD => '' ], 0 ], [ [ HTTP_LANG => 'x' ], 1 ]);
    for my $case (@cases) {
        my ($more, $preloaded) = @$case;
        my $by = growth($of, sub { is(answer($of, 'plain.sh', $more), "hello\n", 'answered') });
        is_deeply($by, [ $preloaded, 1 - $preloaded ], "@$more");
    }
    $of->stop;
};

scenario 'a handler' => sub {
    my $of = preloading(args => [ '--handler', '.txt=/bin/sh -e' ]);
    script('plain.txt', "printf 'Content-Type: text/plain\\n\\n%s' \"\$-\"\n", 0644);
    my $answer;
    my $by = growth($of, sub { $answer = answer($of, 'plain.txt') });
    is_deeply($by, [ 1, 0 ], 'preloaded');
    like($answer, qr/e/, 'with the switches of the handler');
    script('other.txt', "#!/bin/sh -u\nprintf 'Content-Type: text/plain\\n\\nx'\n", 0644);
    $by = growth($of, sub { is(answer($of, 'other.txt'), 'x', 'with a line of its own') });
    is_deeply($by, [ 0, 1 ], 'it is not');
    $of->stop;
};

scenario 'the working directory' => sub {
    sh('pwd.sh', "pwd -P\n");
    is_deeply(growth($bridge, sub {
        is(answer($bridge, 'pwd.sh'), cgi() . "\n", 'its own');
        is(answer($bridge, 'pwd.sh', [ FCGI_CHDIR => '/usr' ]), "/usr\n", 'another');
        my $own = readlink '/proc/' . ($bridge->workers)[0] . '/cwd';
        is(answer($bridge, 'pwd.sh', [ FCGI_CHDIR => '-' ]), "$own\n", "the worker's");
    }), [ 3, 0 ], 'by the preloader');
    is_deeply(growth($bridge, sub {
        is(FastCGI::status($bridge->get('unix', 'pwd.sh', [ FCGI_CHDIR => '/none' ])), 500, 'none');
    }), [ 0, 0 ], 'it says that it failed');
    is_deeply(growth($bridge, sub {
        is(FastCGI::status($bridge->get('unix', 'pwd.sh', [ FCGI_CHDIR => '.' ])), 200, 'relative');
    }), [ 0, 1 ], 'by exec');
};

scenario 'a local redirect' => sub {
    my $of = preloading(args => [ '--local-redirect' ]);
    script('leads.sh', "#!/bin/sh\nprintf 'Location: /plain.sh\\n\\n'\n");
    is_deeply(growth($of, sub { is(answer($of, 'leads.sh'), "hello\n", 'is followed') }), [ 2, 0 ],
        'both scripts are preloaded');
    script('leads.sh', "#!/bin/dash\nprintf 'Location: /plain.sh\\n\\n'\n");
    is_deeply(growth($of, sub { is(answer($of, 'leads.sh'), "hello\n", 'is followed') }), [ 1, 0 ],
        'or the second');
    $of->stop;
};

scenario 'too large for a message' => sub {
    my @more = map { ("HTTP_X$_" => 'x' x 30_000) } 1 .. 6;
    is_deeply(growth($bridge, sub { is(answer($bridge, 'plain.sh', \@more), "hello\n", 'ok') }),
        [ 0, 1 ], 'by exec');
};

# ---- how they are ended --------------------------------------------------------------------

my ($gate, $hold) = gate();
sh('waits.sh', "echo \$\$ >>'$ran'\nflock -s -w 60 '$gate' true\n");
sh('stubborn.sh', "trap '' TERM\necho \$\$ >>'$ran'\nflock -s -w 60 '$gate' true\n");

# Starts it; its pid.
sub begin ($c, $of, $name, @more) {
    spew($ran, '');
    $c->start(1, $of->params($name, REQUEST_METHOD => 'GET', @more));
    return (wait_pids($ran, 1))[0];
}

scenario 'a client that leaves, a timeout, KILL' => sub {
    my $of = preloading(args => [ '--kill-delay', '200ms' ]);
    my $c = $of->connect('unix');
    my $pid = begin($c, $of, 'waits.sh');
    my ($shown) = @{ status($of)->{script_list} };
    is($shown->{pid}, $pid, 'the status page has its pid');
    ok($shown->{preloaded}, 'and says how it was started');
    $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1));
    is_deeply([ gone(5, $pid) ], [], 'ABORT ends it');
    $c->hang_up;
    $c = $of->connect('unix');
    $pid = begin($c, $of, 'stubborn.sh', CGIBRIDGE_TIMEOUT => '200ms');
    $c->wait_close;
    is_deeply([ gone(10, $pid) ], [], 'a timeout ends even a stubborn one');
    ok(wait_until(10, sub { status($of)->{running_scripts} == 0 }), 'and no slot is taken');
    cmp_ok(status($of)->{kills}, '>=', 1, 'a KILL is counted');
    $of->stop;
};

# Asks for a script whose child waits before it says "start": the client, and what it waits for.
sub start_held ($of) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    open my $held, '<', spew("$of->{mood}.gate", '', 0644) or die;
    flock $held, 2 or die;
    set_mood($of, 'slow');
    spew($ran, '');
    my $c = $of->connect('unix');
    $c->start(1, $of->params('waits.sh', REQUEST_METHOD => 'GET'));
    ok(wait_until(5, sub { @{ status($of)->{script_list} } }), 'it is starting');
    return $c, $held;
}

scenario 'a client that leaves before the script has started' => sub {
    my $of = preloading();
    my ($c, $held) = start_held($of);
    $c->hang_up;
    close $held;
    ok(wait_until(10, sub { status($of)->{running_scripts} == 0 }), 'it is stopped when it has');
    is_deeply([ gone(5, pids_in($ran)) ], [], 'it does not run');
    $of->stop;
};

scenario 'an exit that is none' => sub {
    my $of = preloading();
    set_mood($of, 'exit-lie');
    my $c = $of->connect('unix');
    my $pid = begin($c, $of, 'waits.sh');
    ok($of->wait_for_log(qr/broke the protocol: "exit" is wrong/, 10), 'is not believed');
    ok(alive($pid), 'the script goes on');
    is(status($of)->{running_scripts}, 1, 'in its slot');
    $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1));
    is_deeply([ gone(5, $pid) ], [], 'and can be stopped');
    $of->stop;
};

scenario 'a client that leaves meanwhile, with --on-disconnect ignore' => sub {
    my $of = preloading(args => [ '--on-disconnect', 'ignore' ]);
    my ($c, $held) = start_held($of);
    $c->hang_up;
    ok(wait_until(5, sub { status($of)->{lost_clients} == 1 }), 'its client is gone');
    close $held;
    my ($pid) = wait_pids($ran, 1);
    ok(alive($pid), 'it runs all the same');
    kill 'KILL', -$pid;
    ok(wait_until(10, sub { status($of)->{running_scripts} == 0 }), 'and ends');
    $of->stop;
};

scenario 'a preloader that ends before its script' => sub {
    my $of = preloading();
    my $c = $of->connect('unix');
    my $pid = begin($c, $of, 'waits.sh');
    kill 'KILL', preloaders($of);
    ok($of->wait_for_log(qr/was killed by signal 9/, 10), 'the log says so');
    ok(alive($pid), 'the script goes on');
    $c->send(FastCGI::record(FastCGI::ABORT_REQUEST, 1));
    is_deeply([ gone(5, $pid) ], [], 'and can be stopped');
    ok(wait_until(10, sub { status($of)->{running_scripts} == 0 }), 'its slot is free again');
    $of->stop;
};

for my $whom (qw(worker supervisor)) {
    for my $how ('', 'a preloader that is stopped') {
        scenario "kill -9 of the $whom" . ($how && ", $how") => sub {
            my $of = preloading();
            my $c = $of->connect('unix');
            my $pid = begin($c, $of, 'waits.sh');
            my @preloaders = preloaders($of);
            kill 'STOP', @preloaders if $how;
            kill 'KILL', $whom eq 'worker' ? $of->workers : $of->pid;
            is_deeply([ gone(10, $pid) ], [], 'the script is gone');
            is_deeply([ gone(10, @preloaders) ], [], 'and the preloader');
            $c->hang_up;
            if ($whom eq 'worker') {
                ok(wait_until(15, sub { is_ready($of) }), 'the next worker has one');
                $of->stop;
            } else {
                $of->kill_all;
            }
        };
    }
}

scenario 'a reload, and draining' => sub {
    my $of = preloading();
    my $c = $of->connect('unix');
    my $pid = begin($c, $of, 'waits.sh');
    my ($old) = preloaders($of);
    my $mark = $of->mark;
    $of->signal('HUP');
    ok($of->wait_reloaded($mark), 'reloaded');
    ok(alive($pid), 'the script goes on');
    ok(alive($old), 'and its preloader');
    close $hold;
    $c->wait_end(1);
    is_deeply([ gone(10, $pid, $old) ], [], 'both end');
    ok(wait_until(10, sub { is_ready($of) }), 'there is a new one');
    $of->stop;
};

# ---- the preloaders of this project ----------------------------------------------------------

scenario 'perl and python3' => sub {
    is_program('python3', 'python3');
    my $python = '/usr/bin/python3';
    my $of = Bridge->start(args => [ '--status-path', '/status', '--preload',
        "/usr/bin/perl=$Bridge::srcdir/contrib/preload/perl strict", '--preload',
        "$python=$Bridge::srcdir/contrib/preload/python3 json" ]);
    script('real.pl', <<~'END');
        #!/usr/bin/perl
        use strict;
        print "Content-Type: text/plain\n\n", join(' ', $0, rand, <STDIN>), "\n";
        END
    script('real.py', <<~"END");
        #!$python
        import json, random, sys
        print("Content-Type: text/plain\\n")
        print(sys.argv[0], random.random(), sys.stdin.read())
        END
    for my $name (qw(real.pl real.py)) {
        ok(wait_until(30, sub { growth($of, sub { answer($of, $name) })->[0] }), "$name: ready");
        my @answers;
        my $by = growth($of, sub {
            push @answers, answer($of, $name, [], body => 'the body') for 1 .. 5;
        });
        is_deeply($by, [ 5, 0 ], 'all by the preloader');
        my $path = cgi() . "/$name";
        is(scalar(grep { /^\Q$path\E [\d.]+(?:e-\d+)? the body$/ } @answers), 5, 'their answers')
            or diag(@answers);
        my %seen = map { $_ => 1 } @answers;
        is(scalar keys %seen, 5, 'with random numbers of their own');
    }
    my $mark = $of->mark;
    ok($of->reload, 'reload');
    unlike($of->log_since($mark), qr/preloader for/, 'no complaint');
    $of->stop;
};

scenario 'nothing is left open' => sub {
    my ($worker) = $bridge->workers;
    my $fds = sub { scalar(() = glob "/proc/$_[0]/fd/*") };
    answer($bridge, 'plain.sh');
    my $before = $fds->($worker);
    my ($of) = preloaders($bridge);
    my $its = $fds->($of);
    answer($bridge, 'plain.sh') for 1 .. 50;
    ok(wait_until(5, sub { $fds->($worker) <= $before }), 'in the worker');
    ok(wait_until(5, sub { $fds->($of) <= $its }), 'and in the preloader');
};

$bridge->stop;
# execve() would say ETXTBSY; cgibridge-preload(7) tells the difference.
scenario 'a script that is open for writing' => sub {
    my $of = preloading();
    my $path = sh('open.sh', "echo open\n");
    open my $writer, '+<', $path or die "$path: $!";
    is_deeply(growth($of, sub { is(answer($of, 'open.sh'), "open\n", 'runs') }), [ 1, 0 ],
        'preloaded');
    $of->stop;
};

done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# contrib/preload/perl: a script that it starts is as one that exec starts.  Each script here
# is run both ways and compared: output, errors, status.
use v5.36;
use Config;
use Cwd ();
use Test::More;
use Bridge;
use Preload;
use PreloadCases;

my $perl = '/usr/bin/perl'; # which the scripts' #! lines name
my $program = "$Bridge::srcdir/contrib/preload/perl";
my %plain = (PATH => $ENV{PATH}, LANG => 'C.UTF-8');

my $preload = Preload->start([ $perl, $program ], env => \%plain);

# A script with this text; its path.
sub perl_script ($text, $line = '#!/usr/bin/perl') {
    return spew(file(), "$line\n$text", 0755);
}

comparing(by => $preload, start => sub { Preload->start([ $perl, $program ], env => \%plain) },
    normal => sub {
        s/\(0x[0-9a-f]+\)/(ADDRESS)/g;
        s/\(eval \d+\)/(eval N)/g; # those of modules loaded before count, too
    });

# Those that are not in the list at the end.
my @cases = (
    'threads' => [ $Config{useithreads}
        ? 'use threads; print threads->create(sub { 40 + shift }, 2)->join, threads->tid' : '1' ],
    'ten errors' => [ 'use strict; ' . join "\n", map { "\$x$_ = 1;" } 1 .. 12 ],
    'DATA and a child' => [ join "\n", '$| = 1; print scalar <DATA>; print `ls /proc/self/fd`;',
        'system "true"; print <DATA>', '__END__', map { "d$_" } 1 .. 5000 ],
    'children while it is compiled' => [ join "\n", 'print 0;',
        (map { "print $_, q(" . 'x' x 50 . ');' } 1 .. 300),
        'BEGIN { print `echo child`; system "echo another" }',
        (map { "print $_;" } 1 .. 3000), 'print __LINE__' ],
    'a module of its own' => [ 'use lib "' . tmp() . '/own"; use Own::Module qw(own);
        print own(), $INC{"Own/Module.pm"}' ],
    'a library beside it' => [ 'require "./beside.pl"; print beside();
        print join "|", sort grep { /beside/ } keys %INC', dir => tmp() ],
    'do FILE' => [ 'print do "./beside.pl"; print do("./none.pl") // "none $!"', dir => tmp() ],
);
while (<DATA>) {
    if (/^== (.*?)(?:; (.*))?$/) {
        my @options = defined $2 ? eval $2 : ();
        push @cases, $1, [ '', @options ];
    } else {
        $cases[-1][0] .= $_;
    }
}

mkdir tmp() . "/$_" for qw(own own/Own);
spew(tmp() . '/own/Own/Module.pm', <<~'END');
    package Own::Module; use Exporter 'import'; our @EXPORT_OK = 'own';
    END { print "end\n" } sub own { return join '|', 'own', (caller)[ 0, 2 ] } 1
    END
spew(tmp() . '/beside.pl', "sub beside { return __FILE__ . __LINE__ }\n'value';\n");

spew(tmp() . '/own/Own/Dice.pm', 'package Own::Dice; my $first = rand; sub roll { rand } 1');

while (my ($name, $case) = splice @cases, 0, 2) {
    my ($text, %o) = @$case;
    same($name, perl_script($text, $o{line} // '#!/usr/bin/perl'), %o);
}

# perl's one text that does not come from the script's name: a handler that is there when the
# script is compiled gets it as it is.
scenario 'a handler for what is wrong with the script' => sub {
    my $script = perl_script('use strict; BEGIN { $SIG{__DIE__} = sub { print @_ } } $x = 1;');
    my $r = $preload->run([$script]);
    like($r->{out}, qr/^Execution of the script aborted due to compilation errors\.$/m, 'its text');
    my $execed = $preload->run_by_exec([$script]);
    is($execed->{out} =~ s/Execution of \K\Q$script\E/the script/r, $r->{out},
        'as by exec but for the name');
};

# ---- scripts that perl cannot become, and odd starts --------------------------------

scenario 'scripts that are started by exec after all' => sub {
    my $plain = perl_script('print "$0|", __FILE__, "|@ARGV\n"; die "x"');
    my $odd = tmp() . qq(/od"d\n name);
    rename $plain, $odd or die "$odd: $!\n";
    same('a name that #line cannot have', $odd, args => [ 'a b' ]);
    same('a name with blanks and bytes', perl_script('warn __FILE__') =~ s{.*}{
        my $path = tmp() . "/a b\xff\xc3\xa4#'"; rename $&, $path or die; $path }er);
    same("another program's #! line", perl_script('echo "$0 $1"; exit 3', '#!/bin/sh'),
        interpreter => [ $perl ], args => [ 'x' ]);
    same("another program's, and perl further down", perl_script("echo \"\$0\"\n# perl\n",
        '#!/bin/sh'), interpreter => [ $perl ]);
    same("another program's, in which perl is named", perl_script('print 1', '#!/bin/sh # perl'),
        interpreter => [ $perl ]);
    same('a #! line and nothing more', spew(file(), '#!/bin/true'), interpreter => [ $perl ]);
    same('a directory', tmp(), interpreter => [ $perl ]);
    same('a file that is gone', tmp() . '/none.pl', interpreter => [ $perl ]);
    same('no #! line', spew(file(), "print __LINE__, \"\$0\\n\";"), interpreter => [ $perl ]);
    same('a byte order mark', spew(file(), "\xef\xbb\xbfprint __LINE__, length '\xc3\xa4';"),
        interpreter => [ $perl ]);
    same('-w of the #! line alone', perl_script('print $^W; my $x = "a" + 1', '#! perl -w'),
        interpreter => [ $perl ]);
    same('a switch that comes too late', perl_script('print 1', '#!/usr/bin/perl -T'),
        interpreter => [ $perl ]);
};

scenario 'switches that perl can only be started with are declined' => sub {
    my $script = perl_script('print 1', '#!/usr/bin/perl -T');
    for my $switch ('-T', '-t', '-CS', '-I/x', '-Mstrict', '-s', '-n', '-wT', '-w -T', '-') {
        is($preload->run([$script], switches => [$switch])->{answer},
            "decline $preload->{serial} perl has to be started with $switch", $switch);
    }
    is($preload->run([$script], switches => [])->{exit}, 255, 'none: perl itself objects');
};

scenario 'variables that perl reads at its start' => sub {
    is_deeply($preload->{variables}, ['PERL*'], 'are named');
    my %env = (%plain, PERL_UNICODE => 'SDA', PERL5OPT => '-w -MText::Wrap', PERL5LIB => '/x:/y');
    my $other = Preload->start([ $perl, $program ], env => \%env);
    my %o = (by => $other, args => ["\xc3\xa4"]);
    same('PERL_UNICODE, PERL5OPT, PERL5LIB', perl_script(<<~'END'), %o);
        print length $ARGV[0], "\x{263a}", $^W, "@INC[0, 1]|${^UNICODE}|${^OPEN}\n", defined &wrap;
        print map { join(',', PerlIO::get_layers($_)), "\n" } *STDIN, *STDOUT, *STDERR;
        my $x; print "a$x";
        END
};

scenario 'limits, directories, and failures to set them' => sub {
    my $script = perl_script('open my $l, "<", "/proc/self/limits"; print <$l>');
    my $r = $preload->run([$script], limits => [ 7, 100, 200, 4, 0, 'unlimited' ]);
    like($r->{out}, qr/^Max core file size +0 +unlimited .*^Max open files +100 +200 /ms, 'limits');
    my $serial = $preload->{serial} + 1;
    like($preload->run([$script], limits => [ 99, 1, 1 ])->{answer}, qr/^fail $serial limit \d+$/,
        'a limit that there is not');
    like(join(' ', $preload->packet), qr/^exit \d+ 1 0$/, 'that child has ended');
    my $enoent = POSIX::ENOENT();
    is($preload->run([$script], dir => '/not/there')->{answer},
        'fail ' . ++$serial . " dir $enoent", 'a directory that there is not');
    like(join(' ', $preload->packet), qr/^exit \d+ 1 0$/, 'and that one');
};

scenario 'a message of the largest size' => sub {
    my $script = perl_script('print length $ENV{LONG}, " ", scalar @ARGV');
    my $r = $preload->run([ $script, (1) x 1000 ], env => { LONG => 'x' x 128_000 });
    is($r->{out}, '128000 1000', 'arrives');
};

# ---- what processes share -------------------------------------------------------------

scenario 'each process has its own numbers and time' => sub {
    my $other = Preload->start([ $perl, $program, 'Own::Dice' ],
        env => { %plain, PERL5LIB => tmp() . '/own' });
    my $script = perl_script('print rand, " $$ ", Own::Dice::roll()');
    my %seen;
    $seen{$_}++ for map { split ' ', $other->run([$script])->{out} } 1 .. 5;
    is(scalar keys %seen, 15, 'random numbers, process ids') or diag(explain(\%seen));
};

# A script finds nothing of an earlier request in its memory.
scenario 'nothing of a request is left for the next' => sub {
    my $nothing = perl_script('print 1');
    my $secret = join '', map { chr 97 + rand 26 } 1 .. 24;
    my $search = perl_script(<<~'END');
        my $backwards = shift;
        open my $maps, '<', '/proc/self/maps' or die;
        open my $mem, '<:raw', '/proc/self/mem' or die;
        my @areas = map { /^(\w+)-(\w+) rw/ ? [ hex $1, hex $2 ] : () } <$maps>;
        for (@areas) {
            sysseek $mem, $_->[0], 0; sysread $mem, my $text, $_->[1] - $_->[0] or next;
            $text = reverse $text; print "found\n" if index($text, $backwards) >= 0;
        }
        print "searched ", scalar @areas;
        END
    my $backwards = reverse $secret;
    is($preload->run([$nothing])->{out}, 1, 'a request');
    like($preload->run([ $search, $backwards ], env => { SECRET => $secret })->{out}, qr/found/,
        'the search finds its own');
    $preload->run([ $nothing, 'x', "a$secret" ], env => { HTTP_ACCEPT => 'x' x 5000,
        HTTP_COOKIE => "session=$secret" }) for 1 .. 3;
    like($preload->run([ $search, $backwards ])->{out}, qr/\Asearched \d+\z/, 'not that of others');
};

scenario 'modules loaded before are found loaded, and nothing else' => sub {
    my $other = Preload->start([ $perl, $program, 'Data::Dumper', 'File::Temp', 'Own::Module' ],
        env => { %plain, PERL5LIB => tmp() . '/own' });
    my $list = perl_script('print map { "$_ $INC{$_}\n" } sort keys %INC');
    my %inc = map { split ' ', $_, 2 } grep { / / } split /\n/, $other->run([$list])->{out};
    ok($inc{'Data/Dumper.pm'} && $inc{'Own/Module.pm'}, 'they are in %INC');
    ok(!grep({ m{preload} } %inc), 'the preloader is not') or diag(explain(\%inc));
    my %o = (by => $other);
    same('used', perl_script('use Data::Dumper; use Own::Module "own";
        print Dumper([1]), own()'), %o);
    same('not imported', perl_script('require Own::Module; print defined &Dumper ? 1 : 0'), %o);
    same('their files go with the process', perl_script('use File::Temp; my $t = File::Temp->new;
        print -e "$t" ? 1 : 0; open my $n, ">", "/dev/null"; print fileno $n;
        require Own::Module'), %o);
};

scenario 'scripts at once, in any order' => sub {
    my ($gate, $hold) = gate();
    my $script = perl_script(<<~"END");
        use Fcntl 'LOCK_SH'; open my \$g, '<', '$gate'; flock \$g, LOCK_SH;
        if (\$ARGV[0] == 3) { kill KILL => \$\$ } exit \$ARGV[0]
        END
    scripts_at_once($preload, $script, $hold);
};

scenario 'no handler of perl is run when a child ends' => sub { # it would write to ten pages
    my $handled = hex((slurp("/proc/$preload->{pid}/status") =~ /^SigCgt:\s*(\w+)/m)[0]
        =~ s/.*(?=\w{8})//r);
    is($handled >> 17 - 1 & 1, 0, 'there is none');
};

scenario 'what modules and the environment change does not stop it' => sub {
    own_module('Unblocks', 'use POSIX; POSIX::sigprocmask(SIG_SETMASK, POSIX::SigSet->new);');
    my $p = Preload->start([ $perl, $program, 'Own::Unblocks' ],
        env => { %plain, PERL5LIB => tmp() . '/own' });
    is($p->run([ perl_script('exit 3') ])->{exit}, 3, 'SIGCHLD unblocked: the end is reported');
    $p = Preload->start([ $perl, $program ], env => { %plain, PERLIO => ':utf8' });
    is($p->run([ perl_script('print 1') ])->{out}, 1, 'PERLIO=:utf8');
};

# With each fault the kernel copies or maps a page, and that is most of what a request costs.
# Measured: 42 in the parent and 173 in the child, where a page has 4 KiB.
scenario 'a request writes to few pages' => sub {
    my $p = Preload->start([ $perl, $program ], env => \%plain);
    my $script = perl_script('use strict; print "out\n"');
    my $faults = sub { (split ' ', slurp("/proc/$p->{pid}/stat") =~ s/.*\) //sr)[ 7, 8 ] };
    $p->run([$script]) for 1 .. 5;
    my @before = $faults->();
    $p->run([$script]) for 1 .. 20;
    my @after = $faults->();
    my ($parent, $child) = map { ($after[$_] - $before[$_]) / 20 } 0, 1;
    cmp_ok($parent, '<', 100, "the parent: $parent");
    cmp_ok($child, '<', 350, "a child: $child");
};

# What a child calls first, ld.so has to look up for it, which writes to a page each time.
scenario 'functions of C have been looked up before' => sub {
    my $p = Preload->start([ $perl, $program ], env => { %plain, LD_DEBUG => 'bindings' });
    my $script = perl_script('use strict; print "out\n"');
    my $bound = sub ($r) { scalar(() = $r->{err} =~ /binding file .* symbol/g) };
    my $cold = $bound->($p->run_by_exec([$script]));
    my $r = $p->run([$script]);
    my $warm = $bound->($r);
    is($r->{out}, "out\n", 'the script runs');
    # only glibc says so; those of its end are left
    cmp_ok($warm, '<=', $cold == 0 ? 0 : 12, "$warm are left, of $cold");
};

scenario 'a perl that has its modules in C elsewhere, or in itself' => sub {
    my $dir = tmp() . '/elsewhere';
    mkdir $dir or die "$dir: $!\n";
    for my $part (glob "$program $program-*") {
        my $text = slurp($part);
        $text =~ s{Call/Call\.so}{Call/Other.so} if $part eq "$program-modules";
        spew($part =~ s{.*/}{$dir/}r, $text);
    }
    my $script = perl_script('print join " ", keys %INC');
    my $r = wait_until(10, sub { # as long as its files are so new, it is stale
        my $r = Preload->start([ $perl, "$dir/perl" ], env => \%plain)->run([$script]);
        return defined $r->{out} && $r;
    });
    like($r->{out}, qr{Filter/Util/Call\.pm}, 'all of Filter::Util::Call is loaded');
};

# ---- modules that cannot be preloaded, and options -----------------------------------

scenario 'modules that would change perl for all scripts are refused' => sub {
    my %module = (
        Opens => [ 'open our $f, "<", "/dev/null";', 'descriptors' ],
        Handles => [ '$SIG{__DIE__} = sub { };', '%SIG' ],
        Includes => [ 'use lib "/x";', '@INC' ],
        Overrides => [ '*CORE::GLOBAL::sleep = sub { };', 'CORE::GLOBAL' ],
        Separates => [ '$, = "x";', 'variables' ],
        Masks => [ 'umask 077;', 'variables' ],
        Finds => [ 'use FindBin;', 'Cannot find current script' ],
        Shares => [ 'use threads::shared;', 'threads' ],
        Prints => [ 'print "hello\n";', 'output' ],
        Fails => [ 'die "broken\n";', 'broken' ],
        False => [ '0; #', 'did not return a true value' ],
    );
    for my $name (sort keys %module) {
        my ($text, $reason) = @{ $module{$name} };
        spew(tmp() . "/own/Own/$name.pm", "package Own::$name; $text 1");
        my $p = Preload->new([ $perl, $program, "Own::$name" ],
            env => { %plain, PERL5LIB => tmp() . '/own' });
        is($p->wait_exit, 1 << 8, "$name: it ends");
        like($p->log, qr/^Own::$name: .*\Q$reason\E/, 'and says why');
    }
};

scenario 'its arguments' => sub {
    my $list = spew(file(),
        "Text::Wrap  # a comment\n\n  Text::Tabs\tText::ParseWords\n#Not::There\n");
    my $p = Preload->start([ $perl, $program, '--file', $list, 'Data::Dumper' ], env => \%plain);
    my $r = $p->run([ perl_script('print join " ", grep { /^Text|Dumper/ } sort keys %INC') ]);
    is($r->{out}, 'Data/Dumper.pm Text/ParseWords.pm Text/Tabs.pm Text/Wrap.pm',
        'a list, a module');
    for ([ '--what' ], [ 'a/b.pm' ], [ '--file' ], [ '--file', '/not/there' ], [ 'Not::There' ]) {
        my $q = Preload->new([ $perl, $program, @$_ ]);
        is($q->wait_exit, 1 << 8, "@$_: it ends");
        like($q->log, qr/\A\Q$_->[0]\E.*\S.*\n/, 'and says why');
    }
    my $by_hand = run_program([ $perl, $program ]);
    is($by_hand->{exit}, 1, 'without a socket it ends');
    like($by_hand->{err}, qr/^descriptor 0 is not a socket$/, 'and says why');
};

scenario 'a link leads to it, and modules have /dev/null as their input' => sub {
    symlink Cwd::abs_path($program), my $link = file();
    own_module('Reads', 'our @lines = <STDIN>; sub lines { scalar @lines }');
    for ($program, $link) {
        my $p = Preload->start([ $perl, $_, 'Own::Reads' ],
            env => { %plain, PERL5LIB => tmp() . '/own' });
        is(join(' ', map { readlink "/proc/$p->{pid}/fd/$_" } 0, 3), '/dev/null /dev/null',
            "$_: its descriptors");
        is($p->run([ perl_script('use Own::Reads; print Own::Reads::lines()') ])->{out}, 0,
            'the module has read nothing');
    }
};

# ---- files that change, and learning ---------------------------------------------------

sub own_module ($name, $text) {
    return spew(tmp() . "/own/Own/$name.pm", "package Own::$name; $text 1");
}

scenario 'a module whose file changes' => sub {
    my $file = own_module('Changes', 'sub version { 1 }');
    my $start = sub { Preload->start([ $perl, $program, 'Own::Changes' ],
        env => { %plain, PERL5LIB => tmp() . '/own' }) };
    my $script = perl_script('use Own::Changes; print Own::Changes::version()');
    my $p = $start->();
    is($p->run([$script])->{out}, 1, 'as it was loaded');
    own_module('Changes', 'sub version { 2 }');
    is(join(' ', $p->packet), 'stale 0', 'is noticed while nothing happens');
    my $q = $start->();
    is($q->run([$script])->{out}, 2, 'the next preloader has the new one');
    my ($gate, $hold) = gate();
    my $waits = perl_script("open my \$g, '<', '$gate'; flock \$g, 1; exit 5");
    open my $null, '+<', '/dev/null' or die;
    $q->send_message($q->start_words([$waits]), (fileno $null) x 3);
    my ($word, undef, $pid) = $q->packet;
    is($word, 'start', 'a script runs');
    unlink $file;
    is($q->run([$script])->{answer}, "stale $q->{serial}", 'a start message notices it too');
    is($q->run([$script])->{answer}, "stale $q->{serial}", 'and each further one');
    $q->retire;
    close $hold;
    is(join(' ', $q->packet), "exit $pid 5 0", 'the script ends as it would');
    is($q->wait_exit, 0, 'then the preloader does');
};

scenario '--learn: what scripts use of the system is loaded for the next' => sub {
    my $p = Preload->start([ $perl, $program, '--learn' ],
        env => { %plain, PERL5LIB => tmp() . '/own' });
    own_module('Mine', '');
    my $script = perl_script(<<~'END');
        use strict;
        BEGIN { print map { $INC{$_} ? 1 : 0 } map { "$_.pm" } qw(Text/Wrap Text/Tabs Own/Mine) }
        use Text::Wrap qw(wrap); use FindBin; eval q(use Not::There);
          use Own::Mine;
        use lib '/x';
        require Text::ParseWords;
        print wrap('', '', ' x'); exit;
        __END__
        use Tie::Array;
        END
    my $r = $p->run([$script]);
    is($r->{out}, '000 x', 'the first is as before');
    ok(wait_until(10, sub { ($r = $p->run([$script]))->{out} eq '110 x' }), 'then it is loaded')
        or diag(explain($r));
    my $list = perl_script('print join " ",
        grep { /Wrap|Words|FindBin|Mine|Array|lib/ } sort keys %INC');
    my $learned = 'Text/ParseWords.pm Text/Wrap.pm lib.pm';
    ok(wait_until(10, sub { ($r = $p->run([$list]))->{out} eq $learned }), 'and nothing that looks '
        . 'at the script, that others can write, or that comes after the end') or diag(explain($r));
};

scenario '--learn: files that others can write' => sub {
    my $mark = file();
    mkdir tmp() . "/$_" for qw(before before/Text);
    spew(tmp() . '/before/Text/Tabs.pm', "package Text::Tabs; open my \$f, '>>', '$mark';"
        . "print \$f qq(\$\$\n); use Exporter 'import'; our \@EXPORT_OK = qw(expand unexpand);"
        . 'our $tabstop; sub expand { @_ } sub unexpand { @_ } 1');
    my $p = Preload->start([ $perl, $program, '--learn' ],
        env => { %plain, PERL5LIB => tmp() . '/before' });
    my $r = $p->run([ perl_script(join "\n", 'use Text::Wrap;', 'use Text::ParseWords;',
        'print $INC{"Text/Tabs.pm"}') ]);
    my $list = perl_script('print join " ", grep { /^Text/ } sort keys %INC');
    my $loaded = '';
    ok(wait_until(10, sub { ($loaded = $p->run([$list])->{out}) =~ /ParseWords/ }), 'one is learned');
    is($loaded, 'Text/ParseWords.pm', 'but none that needs a file that others can write');
    is($r->{out}, tmp() . '/before/Text/Tabs.pm', 'which scripts get');
    is(slurp($mark), "$r->{pid}\n", 'and nothing but them runs it');
};

scenario '--learn: links in directories that others can write' => sub {
    my ($top, @ways) = ways_by_links();
    my $r = run_program([ $perl, '-e', <<~'END', "$program-learn", $top, map { $_->[0] } @ways ]);
        BEGIN {
            *CORE::GLOBAL::stat = sub (_) {
                my @status = CORE::stat $_[0] or return;
                @status[ 2, 4 ] = (040755, $_[0] =~ m{/others$} ? 1 : 0);
                return @status;
            };
        }
        my ($program, $top, @paths) = @ARGV;
        do $program or die "$program: ", $@ || $!;
        print "$_ ", CgiBridge::Preload::Learning::is_of_system("$top/$_"), "\n" for @paths;
        END
    is($r->{out}, join('', map { "@$_\n" } @ways), 'each on the way counts') or diag($r->{err});
};

scenario '--learn: reading a script blocks no other' => sub {
    my $p = Preload->start([ $perl, $program, '--learn' ], env => \%plain);
    my $one = perl_script('print 1');
    for ("\n", ' ', "\nuse ", 'use a::') {
        my $long = perl_script("print 2; exit;\n=pod\n" . $_ x (300_000 / length));
        is($p->run([$long])->{out}, 2, 'a long script');
        is($p->run([$one])->{out}, 1, 'the next one');
    }
    require "$program-learn";
    my $fifo = file();
    POSIX::mkfifo($fifo, 0600) or die "mkfifo: $!\n";
    local $SIG{ALRM} = sub { die "blocks\n" };
    alarm slow(5);
    is_deeply([ eval { CgiBridge::Preload::Learning::modules_in($fifo) }, $@ ], [''],
        'a FIFO that has taken its place is not read');
    alarm 0;
};

# ---- a worker's other ways ------------------------------------------------------------

scenario 'a worker that has given up' => sub {
    my $mark = file();
    worker_gives_up(perl_script("BEGIN { open my \$f, '>', '$mark' }"), $mark);
};

scenario 'a worker that is gone' => sub {
    my $pids = file();
    worker_is_gone(perl_script(<<~"END"), $pids);
        my \$p = fork; \$SIG{TERM} = 'IGNORE';
        open my \$f, '>>', '$pids'; syswrite \$f, "\$\$\\n"; sleep 60
        END
};

scenario 'ping; retire; TERM' => sub { answers_and_ends() };

scenario 'malformed messages end it' => sub {
    open my $null, '+<', '/dev/null' or die;
    my $script = perl_script('print 1');
    my $good = $preload->start_words([$script]);
    my @null = (fileno $null) x 3;
    my $changed = sub ($n, @words) { # the words of a good message, with others in a place
        my @changed = @$good;
        splice @changed, $n, 1, @words;
        return sub ($p) { $p->send_message(\@changed, @null) };
    };
    my @cases = (
        'an unknown word' => sub ($p) { $p->send_message(['hello']) },
        'no end' => sub ($p) { $p->send_raw('retire') },
        'more than there should be' => sub ($p) { $p->send_message([ 'retire', 1 ]) },
        'ping with more' => sub ($p) { $p->send_message([ 'ping', 1 ]) },
        'no descriptors' => sub ($p) { $p->send_message($good) },
        'two descriptors' => sub ($p) { $p->send_message($good, @null[ 0, 1 ]) },
        'a hundred descriptors' => sub ($p) { $p->send_message($good, ($null[0]) x 100) },
        'a word missing' => $changed->($#$good),
        'a word more' => $changed->(scalar @$good, 'x'),
        'a count that is no number' => $changed->(2, 'x'),
        'a count that is too large' => $changed->(2, 99999),
        'an enormous count' => $changed->(5, '9' x 30),
        'a negative count' => $changed->(2, -1),
        'an empty count' => $changed->(4, ''),
        'an empty serial' => $changed->(1, ''),
        'a limit that is no number' => sub ($p) { $p->send_message(
            [ @$good[ 0 .. 3 ], 1, 7, '1x', 2, @$good[ 5 .. $#$good ] ], @null) },
        'a relative path' => $changed->(6, 'script.pl'),
        'no arguments' => sub ($p) { $p->send_message([ qw(start 1 0), '', 0, 0, 0 ], @null) },
        'too long' => sub ($p) { $p->send_message([ 'x' x 131072 ]) },
    );
    while (my ($name, $send) = splice @cases, 0, 2) {
        my $p = Preload->start([ $perl, $program ], env => \%plain);
        ok($send->($p), "$name: sent");
        is($p->wait_exit, 1 << 8, 'it ends');
        like($p->log, qr/\A(?:malformed message|message too long)\n\z/, 'and says why');
    }
};

# ---- through the bridge ----------------------------------------------------------------

scenario 'through the bridge: the same answers with --preload and without' => sub {
    my $copy = spew(tmp() . '/preload-perl', slurp($program), 0755); # where anybody can read it
    spew("$copy$_", slurp("$program$_"), 0644) for '-modules', '-start';
    my %bridge = (
        exec => Bridge->start(sockets => ['unix'], args => [ '--status-path', '/status' ]),
        preload => Bridge->start(sockets => ['unix'], args => [ '--status-path', '/status',
            '--preload', "$perl=$copy Data::Dumper" ]),
    );
    my $head = q(print "Content-Type: text/plain\n\n"; );
    script('first.pl', "#!$perl\n$head print 'x'");
    ok(wait_until(20, sub {
        $bridge{preload}->get('unix', 'first.pl');
        $bridge{preload}->status->{preloaded_scripts} > 0;
    }), 'the preloader starts scripts');
    my @parts = (
        environment => [ 'use Data::Dumper; $Data::Dumper::Sortkeys = 1; print Dumper \%ENV, $0' ],
        body => [ 'print "$.: $_" while <STDIN>; print "end"', body => "a\nb\n" x 10_000 ],
        output => [ 'print "x" x 1_000_000' ],
        status => [ 'BEGIN { print "Status: 404 Nothing\n" } print "n"; exit 3' ],
        errors => [ 'warn "to the log\n"; print "a"; $! = 0; die "uncaught"' ],
        early => [ 'BEGIN { die "before the headers" }' ],
        wrong => [ "use strict; \$x = 1;\n" ],
        signal => [ 'kill KILL => $$; sleep 10' ],
        data => [ "print <DATA>;\n__END__\nlines\nof data\n" ],
        tainted => [ 'print ${^TAINT}', line => "#!$perl -T" ],
        warned => [ 'my $x; print "a$x$^W"', line => "#!$perl -w" ],
        env => [ 'print "$0 $^X"', line => '#!/usr/bin/env perl' ],
    );
    my $before = $bridge{preload}->status->{preloaded_scripts};
    my $n = 0;
    while (my ($name, $part) = splice @parts, 0, 2) {
        my ($text, %o) = @$part;
        my $first = $name =~ /early|wrong/ ? '' : $head;
        script("$name.pl", ($o{line} // "#!$perl") . "\n$first$text");
        my %got;
        for my $way (sort keys %bridge) {
            my $mark = $bridge{$way}->mark;
            my $r = $bridge{$way}->get('unix', "$name.pl", [ HTTP_X => 'y' ], body => $o{body});
            $got{$way} = { %$r{qw(out err end)},
                log => $bridge{$way}->log_since($mark) =~ s/\d+/N/gr };
        }
        my $said = $got{preload}{log} =~ s/^.*: not preloaded: perl has to be started with -T\n//m;
        is($said || 0, $name eq 'tainted' ? 1 : 0, "$name: preloaded, or not and said so");
        is_deeply($got{preload}, $got{exec}, $name) or diag(explain(\%got), $bridge{preload}->log);
        $n++ if $name ne 'tainted';
    }
    is($bridge{preload}->status->{preloaded_scripts} - $before, $n, 'all preloaded but one');
    $_->stop for values %bridge;
};

done_testing();

__DATA__
== its names and arguments; args => ["a b", "\303\244", ""]
print "$0|", __FILE__, '|', __LINE__, '|', __PACKAGE__, '|', join('|', @ARGV), "\n";
warn 'here'; print "caller\n" if caller; print((caller(0))[3] // 'no sub', "\n");
== its environment; env => { A => "1=2\n3", B => "", "C\377" => "\376", PATH => "/bin:/usr/bin" }
print map { "$_=$ENV{$_}\n" } sort keys %ENV; delete $ENV{A}; $ENV{NEW} = 1; $| = 1;
system 'env | sort';
== its directory; dir => "/usr/bin"
use Cwd; print getcwd(), "\n"; print -e "perl" ? 1 : 0
== its descriptors
opendir my $d, '/proc/self/fd' or die; $| = 1;
print join(' ', sort { $a <=> $b } grep { /\d/ } readdir $d), "\n";
system 'ls /proc/self/fd'; open my $f, '<', '/dev/null'; print fileno $f, "\n";
print map { join(',', PerlIO::get_layers($_)), "\n" } *STDIN, *STDOUT, *STDERR;
== its group, signals, umask
print getpgrp() == $$ ? 1 : 0, umask, "\n";
open my $s, '<', '/proc/self/status' or die; print grep { /^(?:Sig|Shd)/ && !/SigQ/ } <$s>;
print map { defined $SIG{$_} ? "$_=$SIG{$_}\n" : "$_\n" } sort keys %SIG;
open my $c, '<', '/proc/self/comm' or die; print <$c>;
== its limits
open my $l, "<", "/proc/self/limits" or die; print <$l>
== variables at its start
print join '|', map { $_ // 'undef' } $!, $! + 0, $@, $?, $/, $\, $,, $;, $", $|, $^, $~, $^W,
    $^H, ${^UNICODE}, ${^UTF8LOCALE}, $^X, $^F, $^O, $<, $>, $(, $), $^S, $^P, @INC;
print "\n", abs($^T - time) < 60 ? 1 : $^T, "\n";
== nothing more in main
print join ' ', grep { /^[a-z]\w+$/ && defined &$_ } sort keys %main::;
print exists &quit ? 1 : 0;
sub run { return 'mine' } sub message { 'too' } print run(), message(), "\n";
== no strictness of others
$undeclared = 1; @list = (1, 2); my $x = "text" + 1; print "$undeclared $x\n";
print undef . 'x';
print eval('say 1; 1') ? 'say' : 'no say', $@;
== warnings by -w; line => "#!/usr/bin/perl -w", switches => ["-w"]
my $x; my @y = (1) x "b"; print "$x\n"; print $^W
== strict and warnings of its own
use strict; use warnings; my $x; print "a$x\n"; eval '$y = 1; 1' or print $@;
== exit with a status
print "text"; exit 3
== exit in BEGIN
BEGIN { print "first\n"; exit 4 } print "not"; END { print "end $?\n" }
== exit in a sub, in eval
sub f { eval { exit 7 }; print "no" } f(); END { print "end" }
== the end of the file
print "text"
== an empty script

== die
print "text\n"; $! = 0; die "reason"
== die with errno
$! = 13; die "reason\n"
== die with a status
$! = 0; $? = 3 << 8; die
== die with an object
package E; use overload q("") => sub { "object\n" }; die bless {}, "E"
== die with a reference
die []
== die in BEGIN
print "not"; BEGIN { die "early" } 
== die in a sub, a line further


sub f {
 die 'deep' }
 f(1);
== die in END
END { die "late" } print "x"
== die with a handler
$SIG{__DIE__} = sub { print "handled: @_"; exit 5 }; die "x"
== warn with a handler
$SIG{__WARN__} = sub { print "handled: @_" }; warn "x"; print exists $SIG{__DIE__} ? 1 : 0
== confess
use Carp; sub f { Carp::confess("how") } f(1, "b")
== a syntax error
print 'a';
my $x = ;
print 1
== an undeclared variable
use strict; END { print "end\n" } $x = 1; $y = 2;
== a missing brace
sub f {
 print 1;
== names used once
our $b1; $main::one = 1; $::two = 2; @three = 1; use warnings; $four = 4
== names used once, -w; line => "#!/usr/bin/perl -w", switches => ["-w"]
$one = 1; { no warnings; $four = 1 }
== names used once, warnings that are off again
BEGIN { $^W = 1 } $one = 1; BEGIN { $^W = 0 } print "text"
== autodie
use autodie; $! = 0; open my $f, "<", "/not/there"
== a write that nobody reads
pipe my $r, my $w; close $r; $| = 1; print "x"; syswrite $w, "y"; print "not"
== a module that is not there
use Not::There; print 1
== a file that is not there
print "x"; require "not/there.pl"
== death by a signal
$| = 1; print "text"; kill TERM => $$; sleep 10
== death by KILL
print "lost"; kill KILL => $$; sleep 10
== its own handler
$SIG{USR1} = sub { print "usr1\n" }; kill USR1 => $$; alarm 1;
$SIG{ALRM} = sub { print "alarm\n" }; sleep 5
== END blocks
END { print "1 $?\n"; $? = 9 } END { print "2\n" } print "x\n"; exit 2
== all phases
print "main ${^GLOBAL_PHASE}\n"; BEGIN { print "begin ${^GLOBAL_PHASE}\n" }
INIT { print "init ${^GLOBAL_PHASE}\n" } CHECK { print "check ${^GLOBAL_PHASE}\n" }
UNITCHECK { print "unitcheck ${^GLOBAL_PHASE}\n" } END { print "end ${^GLOBAL_PHASE}\n" }
our $x = bless []; sub DESTROY { print "destroy ${^GLOBAL_PHASE}\n" }
BEGIN { print join('|', map { $_ // '' } (caller 0)[ 0 .. 4 ],
    (caller 1)[ 0 .. 4 ], caller 2), "\n" }
== DATA after __END__
print <DATA>, tell DATA, ' ', fileno DATA; warn 'x'; seek DATA, 0, 0; print <DATA>;
__END__
d 1
d 2
== DATA after __DATA__
while (<DATA>) { print "$.: $_"; die 'stop' if /2/ }
__DATA__
d 1
d 2
d 3
== utf8
use utf8; my $ä = 'ö'; print length $ä, $ä; binmode STDOUT, ':utf8'; print $ä;
print STDERR "\x{263a}\n"; print __FILE__
== not utf8
print length 'ö', 'ö', "\x{263a}"
== open pragma; stdin => "\303\266\n"
use open qw(:std :utf8); print "\x{263a}", scalar <STDIN>
== its input; stdin => "a\nb\nc"
print "$.: $_" while <STDIN>; print eof(STDIN), -s STDIN, tell STDIN; warn "x"
== read and sysread; stdin => "0123456789"
read STDIN, my $a, 3; sysseek STDIN, 5, 0; sysread STDIN, my $b, 4; print "$a $b"
== the empty diamond; stdin => "a\nb\n"
while (<>) { print "$ARGV $.: $_" }
== much output
print "x" x 3000000; print STDERR "y" x 300000; print "end"
== buffers and children
print "1 "; system "echo 2"; { local $| = 1; print "3 "; system "echo 4" } print "5 ";
print `echo 6`; exit
== fork
$| = 1; if (my $pid = fork) { waitpid $pid, 0;
print "parent ", $? >> 8, "\n" } else { print "child\n"; exit 6 } END { print "end\n" }
== a pipe to a child
open my $p, "-|", "echo", "text" or die; print <$p>; close $p; open $p, "|-", "cat" or die;
print $p "more"; close $p; print $?; print wait
== exec
$| = 1; print "before\n"; $ENV{X} = 5; exec "sh", "-c", "echo \$X \$0 \$PWD; exit 8"
== eval numbers
for (1 .. 3) { eval "die"; print $@ } eval "BEGIN { die 1 }"; print $@; eval "1 +* 2"; print $@
== formats
our $v = 'text'; print "$^ $~ $= $-\n"; write;
format STDOUT_TOP =
top
.
format STDOUT =
@>>>>>>>> end
$v
.
== tied output
package T; sub TIEHANDLE { bless [] } sub PRINT { shift;
print STDERR "tied @_" } package main; tie *STDOUT, "T"; print "x\n"
== select and $|
$| = 1; print "a"; print STDERR "b"; select STDERR; print "c", $|; select STDOUT; print $|
== line directives
warn 1;
# line 70 "other"
warn __FILE__;
die __LINE__
== a here document, pod, no newline at the end
print <<A . <<B;
a
A
b
B

=pod

print 1;

=cut

print __LINE__
== CR and LF
print 1;
print "2
";
die;
== a source filter
use Filter::Util::Call; BEGIN { filter_add(sub { my $s = filter_read(); s/hello/changed/;
$s }) }
print 'hello', __LINE__; warn;
__END__
x
== a source filter, -w; line => "#!/usr/bin/perl -w", switches => ["-w"]
use Filter::Util::Call; sub filter { my $s = filter_read(); s/hello/changed/; $s }
BEGIN { filter_add(bless []) }
print 'hello', defined &Filter::Util::Call::real_import ? 1 : 0;
== the parts of perl that it has at its start
print join ' ', grep { defined &$_ } map { "Filter::Util::Call::$_" }
    qw(real_import filter_read filter_del unimport filter_add);
print exists $::{'Filter::'} ? 1 : 0;
print join ' ', grep { !/^(?:strict|warnings)/ } sort keys %INC;
== FindBin
use FindBin; print "$FindBin::Bin|$FindBin::Script|$FindBin::RealBin\n"
== lib and FindBin
use FindBin; use lib "$FindBin::Bin/lib"; print $INC[0], "\n"; print scalar @INC
== a module that runs as a program
package M; sub run { print "runs" } __PACKAGE__->run unless caller; 1
== the time
print abs(time - $^T) < 60, -M $0 < 1, " ", (times)[0] < 5
== POSIX
use POSIX qw(setlocale LC_ALL strftime _exit);
print setlocale(LC_ALL), strftime("%Y", gmtime 0); $| = 1; print "x"; print STDERR $!; _exit(11)
== a process name
$0 = "renamed"; open my $c, "<", "/proc/self/comm"; print <$c>; print $0; print __FILE__; die
== its source, read again
open my $s, "<", $0 or die; print <$s>; open $s, "<", __FILE__ or die; print <$s>
== wantarray, return, @_
print defined wantarray ? 1 : 0, scalar @_; eval { return 1 }; return; 
== sort, local $_, regular expressions
print defined $_ ? 1 : 0, defined $1 ? 1 : 0, defined $& ? 1 : 0;
for (3, 1) { print } print sort { $b <=> $a } 1 .. 3
== -w in the #! line after env -S; line => "#!/usr/bin/env -S /usr/bin/perl -w", switches => ["-w"]
my $x; print "a$x"
== a module that is loaded already, again
use POSIX (); use strict; use constant X => 5;
print X, defined &floor ? 1 : 0, defined &POSIX::floor ? 1 : 0; print ref \my @x

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# The options of both programs: --help, the man page and the parser name the same
# ones, with the same letters, arguments and defaults.
use v5.36;
use Test::More;

my $srcdir = $ENV{srcdir} // '.';
my @programs = (
    {
        name => 'cgibridge', file => $ENV{CGIBRIDGE} // './cgibridge',
        man => "$srcdir/man/cgibridge.8", bad => '!', bad_for => {}, usage_for => {},
        pages => [ map { "$srcdir/man/$_" }
            qw(cgibridge.conf.5 cgibridge-messages.7 cgibridge-migrate.7 cgibridge-scripts.7
                cgibridge-status.7) ],
    },
    {
        name => 'fcgiget', file => $ENV{FCGIGET} // './fcgiget',
        man => "$srcdir/man/fcgiget.1", bad => '', bad_for => { data => '@' },
        usage_for => { check => 3 }, # a plug-in's UNKNOWN
    },
);

# Runs a program, both outputs as one: its exit status (-1 after a signal) and text.
sub run_it (@argv) {
    my $pid = open(my $out, '-|') // die "fork: $!\n";
    if (!$pid) {
        open STDIN, '<', '/dev/null' or die;
        open STDERR, '>&', \*STDOUT or die;
        alarm 60; # no option given here may make it stay
        exec { $argv[0] } @argv or exit 127;
    }
    my $text = do { local $/; <$out> } // '';
    close $out;
    return ($? & 127 ? -1 : $? >> 8, $text);
}

# What an option is called, for lists and messages: "-s, --socket URL", "--syslog[=FACILITY]".
sub title ($option) {
    my $text = join ', ', grep { defined } $option->{letter} && "-$option->{letter}",
        $option->{name} && "--$option->{name}";
    return $text . ($option->{argument} // '') if $option->{optional};
    return defined $option->{argument} ? "$text $option->{argument}" : $text;
}

# ---- --help ------------------------------------------------------------------

sub read_help ($text) {
    my @options;

    for my $line (split /\n/, $text) {
        if ($line =~ /^  (?:-(\w)[, ]|   ) (?:--([\w-]+)(\[=\w+\])?(?: (\S+))?)?\s*(.*)$/ && ($1 || $2)) {
            push @options, { letter => $1, name => $2, argument => $3 // $4, optional => defined $3,
                text => $5 };
        } elsif (@options && $line =~ /^ {20,}(\S.*)/) {
            $options[-1]{text} .= " $1";
        }
    }
    return @options;
}

# ---- the man page --------------------------------------------------------------

sub slurp ($path) {
    open my $in, '<', $path or die "$path: $!\n";
    local $/;
    return scalar <$in>;
}

# The section that has the options: OPTIONS, else DESCRIPTION.
sub section_of ($page) {
    for my $name (qw(OPTIONS DESCRIPTION)) {
        return $1 if $page =~ /^\.Sh $name\n(.*?)(?=^\.Sh )/ms;
    }
    die "no section with options\n";
}

# An item has one of these forms:
#   .It Fl s Ar URL , Fl -socket Ar URL      .It Fl -queue Ar N
#   .It Fl V , Fl -version                   .It Fl f
#   .It Fl -syslog Ns Op = Ns Ar FACILITY
sub read_item ($item) {
    my ($letter, $name, @arguments);

    return { name => $1, argument => "[=$2]", optional => 1 }
        if $item =~ /^Fl -([\w-]+) Ns Op = Ns Ar (\w+)$/;
    for my $part (split / , /, $item) {
        my ($flag, $argument) = $part =~ /^Fl (\w|-[\w-]+)(?: Ar (\S+))?$/ or return undef;
        if ($flag =~ s/^-//) {
            return undef if defined $name;
            $name = $flag;
        } else {
            return undef if defined $letter || defined $name;
            $letter = $flag;
        }
        push @arguments, $argument;
    }
    return undef if @arguments == 2 && ($arguments[0] // '') ne ($arguments[1] // '');
    return { letter => $letter, name => $name, argument => $arguments[0] };
}

# The options of a page; those that cannot be read go to @$unread.
sub read_man ($page, $unread) {
    my @options;

    for my $line (split /\n/, section_of($page)) {
        if ($line =~ /^\.It (Fl .*)/) {
            my $option = read_item($1);
            $option ? push @options, $option : push @$unread, $line;
        } elsif (@options) {
            # the text without its macros
            $options[-1]{text} .= ' ' . ($line =~ s/^\.\w\w //r);
        }
    }
    return @options;
}

# All options that a page speaks of, anywhere: letters, and names with a dash.
sub mentioned ($page) {
    my %seen;

    for my $line (grep { /^\./ } split /\n/, $page) {
        while ($line =~ /\bFl ((?:(?:\||\w+|-[\w-]+)(?: |$))+)/g) {
            for my $word (split ' ', $1) {
                last if $word =~ /^[A-Z][a-z]$/; # the next macro
                $seen{$_}++ for $word eq '|' ? () : $word =~ /^-(.*)/ ? $word : split //, $word;
            }
        }
    }
    return sort keys %seen;
}

sub test_page ($program, @help) {
    my $page = slurp($program->{man});
    my @unread;
    my @man = read_man($page, \@unread);
    my %in_man = map { title($_) => $_ } @man;
    my %known = map { ($_->{letter} // '' => 1, '-' . ($_->{name} // '') => 1) } @help;

    is_deeply(\@unread, [], 'every item of the page is in a known form');
    is_deeply([ sort map { title($_) } @man ], [ sort map { title($_) } @help ],
        'the page has the options of --help, each once');
    for my $other ($program->{man}, @{ $program->{pages} // [] }) {
        is_deeply([ grep { !$known{$_} } mentioned(slurp($other)) ], [],
            $other =~ s/.*\///r . ' speaks of no other options');
    }
    for my $option (grep { $in_man{ title($_) } } @help) {
        # a default that is one word: "(30s)"; others are worded for where they stand
        my ($default) = $option->{text} =~ /\(([\w]+)\)$/ or next;
        like($in_man{ title($option) }{text}, qr/The default is \Q$default\E\b/,
            title($option) . ": the default is $default");
    }
}

# ---- the parser ----------------------------------------------------------------

# Each way to write an option with the value: [arguments].
sub spellings ($option, $value) {
    my @ways;
    push @ways, [ "-$option->{letter}", $value ] if defined $option->{letter};
    push @ways, [ "--$option->{name}", $value ], [ "--$option->{name}=$value" ]
        if defined $option->{name};
    return @ways;
}

# With an argument: a bad value is refused, and the message names the option.
sub test_value ($program, $option) {
    my $bad = $program->{bad_for}{ $option->{name} // '' } // $program->{bad};
    my @names = grep { defined } $option->{name} && "--$option->{name}",
        $option->{letter} && "-$option->{letter}";
    my $named = join '|', map { quotemeta } @names;

    for my $way (spellings($option, $bad)) {
        my ($status, $text) = run_it($program->{file}, @$way);
        is($status, 2, "@$way: exit status");
        like($text, qr/^$program->{name}: (?:$named)(?![\w-])[^\n]*\n\z/, "@$way: one line names it");
    }
    for my $name (@names) {
        my ($status, $text) = run_it($program->{file}, $name);
        is($status, 2, "$name with nothing behind it: exit status");
        like($text, qr/^$program->{name}: (?:$named)(?![\w-])/, "$name with nothing behind it: named");
    }
}

# With one that may be left out: with "=" or not at all.
sub test_optional ($program, $option) {
    my $name = "--$option->{name}";

    for my $bad ('=', '=!') {
        my ($status, $text) = run_it($program->{file}, "$name$bad");
        is($status, 2, "$name$bad: exit status");
        like($text, qr/^$program->{name}: $name(?![\w-])[^\n]*\n\z/, "$name$bad: one line names it");
    }
    my ($status, $text) = run_it($program->{file}, $name, '--no-such-option');
    is($status, 2, "$name --no-such-option: exit status");
    like($text, qr/--no-such-option/, "$name --no-such-option: names the latter");
}

# Without one: it is accepted, so the error is in the word after it.
sub test_flag ($program, $option) {
    my $answers = ($option->{name} // '') =~ /^(?:help|version)$/;

    for my $name (grep { defined } $option->{letter} && "-$option->{letter}",
        $option->{name} && "--$option->{name}") {
        my @more = $answers ? () : '--no-such-option';
        my ($status, $text) = run_it($program->{file}, $name, @more);
        if ($answers) {
            is($status, 0, "$name: exit status");
            like($text, qr/\b$program->{name}\b/, "$name: answered");
        } else {
            is($status, $program->{usage_for}{ $option->{name} // '' } // 2,
                "$name --no-such-option: exit status");
            like($text, qr/--no-such-option/, "$name --no-such-option: names the latter");
        }
    }
    return unless defined $option->{name};
    my ($status, $text) = run_it($program->{file}, "--$option->{name}=value");
    is($status, 2, "--$option->{name}=value: exit status");
    like($text, qr/--$option->{name}\b/, "--$option->{name}=value: named");
}

# No letter is taken that is not documented.
sub test_letters ($program, @help) {
    my %known = map { $_->{letter} => 1 } grep { $_->{letter} } @help;
    my @taken = grep {
        my ($status, $text) = run_it($program->{file}, "-$_", '--no-such-option');
        $status != 2 || $text !~ /(?<!\S)-$_(?!\w)/;
    } grep { !$known{$_} } 'a' .. 'z', 'A' .. 'Z', 0 .. 9;
    is_deeply(\@taken, [], 'no other letter is an option');
}

# ---- the tests -------------------------------------------------------------------

for my $program (@programs) {
    subtest $program->{name} => sub {
        my ($status, $text) = run_it($program->{file}, '--help');
        my @help = read_help($text);

        is($status, 0, '--help: exit status');
        cmp_ok(scalar @help, '>', 5, '--help lists options');
        test_page($program, @help);
        for my $option (@help) {
            if ($option->{optional}) {
                test_optional($program, $option);
            } elsif (defined $option->{argument}) {
                test_value($program, $option);
            } else {
                test_flag($program, $option);
            }
        }
        test_letters($program, @help);
    };
}

done_testing;

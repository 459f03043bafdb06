#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# cgibridge-messages(7) against the sources, without running anything: each text that can
# be in an error or a warning is quoted there, and each quoted text is still in the code.
#
# A text is a string literal of at least two words.  All of them count, unless they are
# listed below as something else: so a new message fails here until it is explained.
use v5.36;
use Test::More;
use Errno ();
use File::Basename qw(basename);

my $srcdir = $ENV{srcdir} // '.';
my $page = "$srcdir/man/cgibridge-messages.7";

# Files without messages: pages for clients, and what one process hands to the next.
my %silent = map { $_ => 1 } qw(status_html.c status_json.c status_metrics.c status_text.c
    response_page.c handover.c);
# Tables of other texts, and texts for clients and the service manager.
my $table = qr/option_spec specs|status_name status_names/;
my $other = join '|', map { "^\Q$_\E" } (
    'text/', 'application/', 'default-src ', 'Status: ',
    'the web server did not say which script to run', 'there is no such script',
    'this script may not be run', 'out of resources',
    '%d scripts running, ', # for the service manager
    '%.2fs, %llu bytes in, ', '; first line of stderr: ', # explained by an example
);
# Calls whose strings are not in an error or a warning, by the argument; * is all of them.
my %quiet = (
    (map { $_ => '*' } qw(log_info log_debug notify_send status_put put_time read_numbers sscanf
        printf fputs getenv setenv _Static_assert static_assert)),
    request_refuse => '2', # the client's part; the log's is the next one
    request_fail => '2',
);

sub slurp ($path) {
    open my $in, '<', $path or die "$path: $!\n";
    local $/;
    return scalar <$in>;
}

# ---- the code's texts --------------------------------------------------------------

my %escaped = (n => "\n", t => "\t", r => "\r", '0' => "\0");

# The value of one or more string literals, as they stand in the source.
sub value_of ($literals) {
    my $text = join '', $literals =~ /"((?:[^"\\]|\\.)*)"/g;
    return $text =~ s/\\(.)/$escaped{$1} \/\/ $1/ger;
}

# The texts of a source: [line, text, whether an error or a warning may have it].
sub texts_of ($path) {
    my $code = slurp($path) =~ s{("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(/\*.*?\*/)}
        {$1 // $2 =~ s/[^\n]//gr}gser;
    my ($line, @calls, @texts) = (1);

    $code =~ s/^(?:static )?const struct (?:$table)\b.*?^\};/$& =~ s{[^\n]}{}gr/mse;
    while ($code =~ /\G(?:
            (?<text>"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*) |
            (?<include>^\#\s*include[^\n]*) | '(?:[^'\\\n]|\\.)*' |
            (?<open>(?<name>\w*)\s*\() | (?<close>\)) | (?<comma>,) | (?<end>[;{}]) |
            \w+ | . )/gcmsx) {
        my %is = %+;
        if (defined $is{text}) {
            my $quiet = grep { my $which = $quiet{ $_->[0] }; defined $which &&
                ($which eq '*' || $which == $_->[1]) } @calls;
            push @texts, [ $line, value_of($is{text}), !$quiet && !$silent{ basename($path) } ];
        } elsif (defined $is{open}) {
            push @calls, [ $is{name}, 0 ];
        } elsif (defined $is{close}) {
            pop @calls;
        } elsif (defined $is{comma}) {
            $calls[-1][1]++ if @calls;
        }
        $line += $& =~ tr/\n//;
    }
    return @texts;
}

my $conversion = qr/%[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|h|ll|l|z|j)?[diouxXcsfgp]/;

# What a text says without its conversions: two words make a message.
sub is_message ($text) {
    return $text =~ s/$conversion/ /gr =~ /[A-Za-z]{2,}[,;:]?\s+[("']*[A-Za-z]/;
}

# The fixed parts of a format.
sub parts_of ($text) {
    return split /$conversion/, $text =~ s/%%/%/gr, -1;
}

# Whether a quoted text may be put together from it: words, not single letters.
sub is_known ($text) {
    my @parts = grep { /[A-Za-z]/ } parts_of($text);
    return is_message($text) || @parts && !grep { !/[A-Za-z]{2}/ } @parts;
}

# ---- the page's texts ----------------------------------------------------------------

my %roff = ('\(dq' => '"', '\e' => '\\', '\&' => '', '\-' => '-', '\(aq' => "'");

# What an item quotes: ".It Li "text" , Li "text"", up to another macro.
sub quoted_by ($item) {
    my @texts;
    while ($item =~ /\G(?:,\s+)?Li\s+(?:"([^"]*)"|(\S+))\s*/gc) {
        push @texts, ($1 // $2) =~ s/(\\(?:\(..|.))/$roff{$1} \/\/ $1/ger;
    }
    return @texts;
}

# ---- the comparison ------------------------------------------------------------------

my @sources = glob "$srcdir/src/{base,fcgi,stats,config,cgi,bridge,daemon}/*.[ch]";
my (@known, @wanted);
for my $path (@sources) {
    for my $text (texts_of($path)) {
        my ($line, $value, $is_loud) = @$text;
        push @known, $value if is_known($value);
        push @wanted, [ $path =~ s/^\Q$srcdir\E\///r . ":$line", $value ]
            if $is_loud && is_message($value) && $value !~ /$other/;
    }
}
my @quoted = map { quoted_by($_) } slurp($page) =~ /^\.It (Li .*)$/mg;

# As a pattern: what stands for a conversion may be anything.
sub pattern_of ($text) {
    my @parts = parts_of($text =~ s/\A\s+|\s+\z//gr);
    return join '.*?', map { quotemeta } @parts;
}

cmp_ok(scalar @wanted, '>', 150, 'the sources have messages');
cmp_ok(scalar @quoted, '>', 100, 'the page explains messages');
my @unexplained = grep {
    my $pattern = pattern_of($_->[1]);
    !grep { /$pattern/ } @quoted;
} @wanted;

is_deeply([ map { "$_->[0]: $_->[1]" } @unexplained ], [], 'the page quotes every message');

# Numbers, names in capitals and the system's own words are not the code's.
my $errors = join '|', map { quotemeta(do { local $! = $_; "$!" }) }
    sort { $a <=> $b } map { Errno->can($_)->() } keys %!;
my $own = qr/(?:\b[A-Z][A-Z_]*\b|[\W_])*/;

# The parts of `quoted` that no text of the code has.
sub strange_in ($quoted) {
    my $left = $quoted =~ s/$errors|\b\d+(?:\.\d+)?s?\b/"\0" x length $&/ger;
    for my $text (@known) {
        my @parts = parts_of($text =~ s/\A\s+|\s+\z//gr);
        my $pattern = join '(.*?)', map { quotemeta } @parts;
        $pattern = "\\b$pattern" if $pattern =~ /\A\w/;
        $pattern = "$pattern\\b" if $pattern =~ /\w\z/;
        while ($quoted =~ /$pattern/g) {
            my $at = $-[0];
            for my $i (0 .. $#parts) {
                substr($left, $at, length $parts[$i]) = "\0" x length $parts[$i];
                $at = $+[ $i + 1 ] if $i < $#parts;
            }
        }
    }
    return grep { !/\A$own\z/ } split /\0+/, $left;
}

my @stale = map { my @strange = strange_in($_); @strange ? "$_ [@strange]" : () } @quoted;

is_deeply(\@stale, [], 'the code has every text that the page quotes');

done_testing;

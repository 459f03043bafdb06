# SPDX-License-Identifier: ISC
#
# FastCGI: a raw client for the end-to-end tests.
#
# It sends any bytes in any pieces and reads records with a deadline.  While it
# reads it watches the server's manners, which hold for every test there is:
# version 1, records padded to 8 bytes, no record of a request that was not
# begun or has ended, no management record that was not asked for, the header
# block whole in the first STDOUT record, no STDERR before it, an empty STDOUT
# before END.  Breaches go to @FastCGI::violations, which Bridge::scenario()
# demands to be empty.
package FastCGI;
use v5.36;
use Errno qw(EAGAIN EINTR EPIPE ECONNRESET EINPROGRESS);
use IO::Handle;
use Socket qw(:DEFAULT inet_pton AF_INET6 SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY
    pack_sockaddr_in6);
use Time::HiRes qw(time);

use constant {
    BEGIN_REQUEST => 1, ABORT_REQUEST => 2, END_REQUEST => 3, PARAMS => 4,
    STDIN_ => 5, STDOUT_ => 6, STDERR_ => 7, DATA_ => 8,
    GET_VALUES => 9, GET_VALUES_RESULT => 10, UNKNOWN_TYPE => 11,
    RESPONDER => 1, AUTHORIZER => 2, FILTER => 3,
    KEEP_CONN => 1,
    REQUEST_COMPLETE => 0, CANT_MPX_CONN => 1, OVERLOADED => 2, UNKNOWN_ROLE => 3,
};

our @violations;
our $slow = $ENV{TEST_SLOW} || 1;

# ---- building records -----------------------------------------------------

# One record.  Options: padding => 0..255, version => 1, length => what the
# header says if it is not the truth.
sub record ($type, $id, $content = '', %o) {
    my $padding = $o{padding} // 0;
    return pack('CCnnCC', $o{version} // 1, $type, $id, $o{length} // length $content,
        $padding, 0) . $content . ("\xa5" x $padding);
}

# A stream's bytes in as many records as they need, none if it is empty.
sub stream ($type, $id, $bytes, %o) {
    my $max = $o{max} // 65535;
    my $out = '';
    for (my $at = 0; $at < length $bytes; $at += $max) {
        $out .= record($type, $id, substr($bytes, $at, $max), %o);
    }
    return $out;
}

sub begin ($id, %o) {
    return record(BEGIN_REQUEST, $id,
        pack('nCx5', $o{role} // RESPONDER, $o{keep} ? KEEP_CONN : 0), %o);
}

sub pair_length ($n, $long = 0) {
    return $n > 127 || $long ? pack('N', $n | 0x80000000) : pack('C', $n);
}

# Encoded name-value pairs out of a flat list, kept in order.
sub pairs (@list) {
    my $out = '';
    while (my ($name, $value) = splice @list, 0, 2) {
        $out .= pair_length(length $name) . pair_length(length $value) . $name . $value;
    }
    return $out;
}

# The same with 4-byte lengths throughout.
sub long_pairs (@list) {
    my $out = '';
    while (my ($name, $value) = splice @list, 0, 2) {
        $out .= pair_length(length $name, 1) . pair_length(length $value, 1) . $name . $value;
    }
    return $out;
}

sub parse_pairs ($bytes) {
    my @list;
    while (length $bytes) {
        my @len;
        for (1, 2) {
            if (ord($bytes) & 0x80) {
                push @len, unpack('N', $bytes) & 0x7fffffff;
                substr $bytes, 0, 4, '';
            } else {
                push @len, ord $bytes;
                substr $bytes, 0, 1, '';
            }
        }
        push @list, substr($bytes, 0, $len[0]), substr($bytes, $len[0], $len[1]);
        substr $bytes, 0, $len[0] + $len[1], '';
    }
    return @list;
}

sub params ($id, $list, %o) {
    return stream(PARAMS, $id, pairs(@$list), %o) . record(PARAMS, $id, '', %o);
}

sub stdin ($id, $bytes = '', %o) {
    return stream(STDIN_, $id, $bytes, %o);
}

sub stdin_end ($id, %o) {
    return record(STDIN_, $id, '', %o);
}

# A whole request: BEGIN, PARAMS and STDIN, both terminated.
sub request ($id, $params, %o) {
    my %pad = defined $o{padding} ? (padding => $o{padding}) : ();
    return begin($id, keep => $o{keep}, role => $o{role} // RESPONDER, %pad)
        . params($id, $params, %pad)
        . stdin($id, $o{body} // '', %pad) . stdin_end($id, %pad);
}

# ---- the connection -------------------------------------------------------

# Connects to an address written as for cgibridge -s.
sub connect ($class, $url, %o) {
    my ($fh, $name);
    if ($url =~ /^unix:(.*)$/s) {
        my $path = $1;
        $path =~ s/^@/\0/;
        socket $fh, PF_UNIX, SOCK_STREAM, 0 or die "socket: $!\n";
        # an abstract name is exactly its bytes, with none of the zeroes that
        # pack_sockaddr_un() adds
        $name = $path =~ /^\0/ ? pack('S', AF_UNIX) . $path : pack_sockaddr_un($path);
    } elsif ($url =~ /^tcp:([\d.]+):(\d+)$/) {
        my ($host, $port) = ($1, $2);
        socket $fh, PF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
        $name = pack_sockaddr_in($port, inet_aton($host));
    } elsif ($url =~ /^tcp6:\[(.*)\]:(\d+)$/) {
        my ($host, $port) = ($1, $2);
        socket $fh, AF_INET6, SOCK_STREAM, 0 or die "socket: $!\n";
        $name = pack_sockaddr_in6($port, inet_pton(AF_INET6, $host));
    } else {
        die "no address: $url\n";
    }
    setsockopt $fh, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf} if $o{rcvbuf};
    # Linux: a unix socket says EAGAIN at once when the backlog is full
    my $until = time + ($o{timeout} // 10) * $slow;
    until (connect_once($fh, $name)) {
        die "connect $url: $!\n" if $! != EAGAIN || time > $until;
        select undef, undef, undef, 0.005;
    }
    setsockopt $fh, IPPROTO_TCP, TCP_NODELAY, 1 if $url =~ /^tcp/;
    $fh->blocking(0);
    return bless { fh => $fh, url => $url, in => '', req => {}, asked => 0, mgmt => [] }, $class;
}

sub connect_once ($fh, $name) {
    return CORE::connect($fh, $name);
}

sub breach ($c, $text) {
    push @violations, "$c->{url}: $text";
}

# Says that request `id` has been begun: its records are welcome from now on.
sub expect ($c, $id) {
    return $c->{req}{$id} = { id => $id, out => '', err => '', since => time, stamps => [] };
}

# ---- input ----------------------------------------------------------------

sub take_record ($c, $type, $id, $content) {
    if ($id == 0) {
        return $c->breach("management record of type $type that nobody asked for")
            if $c->{asked} <= 0;
        $c->{asked}--;
        push @{ $c->{mgmt} }, { type => $type, content => $content };
        return;
    }
    my $r = $c->{req}{$id} or return $c->breach("record of type $type for id $id, never begun");
    return $c->breach("record of type $type for id $id after its END") if $r->{end};
    push @{ $r->{records} }, [ $type, length $content ];
    if ($type == STDOUT_) {
        if ($content eq '') {
            $c->breach("two empty STDOUT records for id $id") if $r->{out_end}++;
            return;
        }
        $c->breach("STDOUT data for id $id after its end") if $r->{out_end};
        if (!length $r->{out}) {
            $r->{first} = $content;
            $c->breach("no whole header block in the first STDOUT record for id $id")
                if $content !~ /\r\n\r\n/;
        }
        $r->{out} .= $content;
        push @{ $r->{stamps} }, [ time, length $r->{out} ];
    } elsif ($type == STDERR_) {
        $c->breach("STDERR before the header block for id $id")
            if $content ne '' && !length $r->{out};
        $r->{err} .= $content;
    } elsif ($type == END_REQUEST) {
        $c->breach('END_REQUEST of ' . length($content) . ' bytes') if length $content != 8;
        $c->breach("no empty STDOUT record before END for id $id") if !$r->{out_end};
        my ($app, $status) = unpack 'NC', $content;
        $r->{end} = { app => $app, status => $status };
        $r->{seconds} = time - $r->{since};
        push @{ $c->{ended} }, $id;
    } else {
        $c->breach("record of type $type from a server");
    }
}

sub take_input ($c) {
    while (length $c->{in} >= 8) {
        my ($version, $type, $id, $length, $padding) = unpack 'CCnnC', $c->{in};
        my $whole = 8 + $length + $padding;
        if ($version != 1) {
            $c->breach("version $version");
            $c->{in} = '';
            return;
        }
        return if length $c->{in} < $whole;
        $c->breach("a record of $whole bytes is not padded to 8") if $whole % 8;
        my $content = substr $c->{in}, 8, $length;
        substr $c->{in}, 0, $whole, '';
        push @{ $c->{seen} }, [ $type, $id, $length ];
        $c->take_record($type, $id, $content);
    }
}

# One read().
sub fill ($c, $most = 262144) {
    return 0 if $c->{closed};
    my $got = sysread $c->{fh}, $c->{in}, $most, length $c->{in};
    if (!defined $got) {
        return 0 if $! == EAGAIN || $! == EINTR;
        $c->{closed} = 'reset';
        return 0;
    }
    if ($got == 0) {
        $c->{closed} = length $c->{in} ? 'eof inside a record' : 'eof';
        return 0;
    }
    $c->{bytes_read} += $got;
    $c->take_input;
    return $got;
}

sub ready ($c, $write, $read, $secs) {
    my ($r, $w) = ('', '');
    vec($r, fileno $c->{fh}, 1) = 1 if $read;
    vec($w, fileno $c->{fh}, 1) = 1 if $write;
    $secs = 0 if $secs < 0;
    my $n = select $r, $w, undef, $secs;
    return (0, 0) if $n <= 0;
    return ($write && vec($w, fileno $c->{fh}, 1), $read && vec($r, fileno $c->{fh}, 1));
}

# Reads until $done->() says so; returns its value, or '' after $secs or when
# the server has closed.
sub read_until ($c, $secs, $done) {
    my $until = time + $secs;
    while (1) {
        my $value = $done->();
        return $value if $value;
        return '' if $c->{closed} || time > $until;
        my (undef, $r) = $c->ready(0, 1, $until - time);
        $c->fill if $r;
    }
}

# Waits for the END of request `id` and returns the response; dies without one.
sub wait_end ($c, $id, $secs = 10) {
    my $r = $c->{req}{$id} or die "id $id was never begun\n";
    $c->read_until($secs * $slow, sub { $r->{end} });
    return $r if $r->{end};
    die "no END for id $id: " . ($c->{closed} // "nothing for $secs s") . "\n";
}

# Waits until the server closes: 'eof', 'reset', or 'still open'.
sub wait_close ($c, $secs = 5) {
    $c->read_until($secs * $slow, sub { 0 });
    return $c->{closed} // 'still open';
}

# Waits for at least `n` bytes of STDOUT for `id`.
sub wait_out ($c, $id, $n = 1, $secs = 10) {
    my $r = $c->{req}{$id};
    return $c->read_until($secs * $slow, sub { length $r->{out} >= $n || $r->{end} });
}

# Waits for the next management answer.
sub wait_mgmt ($c, $secs = 5) {
    $c->read_until($secs * $slow, sub { @{ $c->{mgmt} } });
    return shift @{ $c->{mgmt} };
}

# ---- output ---------------------------------------------------------------

# Sends bytes, reading meanwhile unless no_read is set.  Returns how
# many went out: fewer than all when the server closed or timeout seconds passed.
sub send ($c, $bytes, %o) {
    my $until = time + ($o{timeout} // 20) * $slow;
    my $at = 0;
    local $SIG{PIPE} = 'IGNORE';
    while ($at < length $bytes) {
        last if time > $until;
        my ($w, $r) = $c->ready(1, !$o{no_read} && !$c->{closed}, $until - time);
        $c->fill if $r;
        next if !$w;
        my $n = syswrite $c->{fh}, $bytes, 262144, $at;
        if (defined $n) {
            $at += $n;
            next;
        }
        next if $! == EAGAIN || $! == EINTR;
        $c->{send_error} = $! + 0;
        last;
    }
    return $at;
}

# One byte a write.
sub send_bytewise ($c, $bytes) {
    for my $byte (split //, $bytes) {
        $c->send($byte) or return;
    }
}

# The same bytes in writes split at the given offset, with time for the server
# to read the first part.
sub send_split ($c, $bytes, $offset, $gap = 0.001) {
    $c->send(substr $bytes, 0, $offset) if $offset;
    select undef, undef, undef, $gap;
    $c->send(substr $bytes, $offset);
}

# Begins request `id` with these parameters, and sends all of it: body => bytes,
# keep => 1, role => n.  Returns the response, to be filled by wait_end().
sub start ($c, $id, $params, %o) {
    my $r = $c->expect($id);
    $c->send(request($id, $params, %o), no_read => $o{no_read});
    return $r;
}

# GET_VALUES for these names; the answer's pairs as a hash, undef without one.
sub get_values ($c, @names) {
    $c->{asked}++;
    $c->send(record(GET_VALUES, 0, pairs(map { $_, '' } @names)));
    my $m = $c->wait_mgmt or return;
    return if $m->{type} != GET_VALUES_RESULT;
    return { parse_pairs($m->{content}) };
}

sub half_close ($c) {
    shutdown $c->{fh}, 1;
}

sub hang_up ($c) {
    close $c->{fh};
    $c->{closed} = 'by us';
}

# Closes with a reset (TCP), or plainly on a unix socket, which has none.
sub reset ($c) {
    setsockopt $c->{fh}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0) if $c->{url} =~ /^tcp/;
    $c->hang_up;
}

# ---- one request, one connection ------------------------------------------

# Connects, asks, waits for END and for the close; returns the response with
# {closed} set.  Options as for start(), and secs => bound on each wait.
sub ask ($class, $url, $params, %o) {
    my $c = $class->connect($url);
    my $id = $o{id} // 1;
    $c->start($id, $params, %o);
    my $r = $c->wait_end($id, $o{secs} // 10);
    $r->{closed} = $o{keep} ? undef : $c->wait_close($o{secs} // 10);
    $r->{total} = time - $r->{since};
    return $r;
}

# A header block as it should come: these lines, and the empty one.
sub head (@lines) { return join '', map { "$_\r\n" } @lines, '' }

# The CGI response in what came on STDOUT: status, reason, headers (names in
# lower case), body.
sub response ($r) {
    my ($head, $body) = split /\r\n\r\n/, $r->{out}, 2;
    my %h = (status => 200, reason => '', body => $body // '', head => $head // '', header => {});
    for (split /\r\n/, $h{head}) {
        my ($name, $value) = /^([^:]+):\s*(.*?)\s*$/ or next;
        $h{header}{ lc $name } = $value;
        @h{qw(status reason)} = ($1, $2) if lc $name eq 'status' && $value =~ /^(\d{3})\s*(.*)$/;
    }
    return \%h;
}

sub status ($r) { return response($r)->{status} }
sub body ($r) { return response($r)->{body} }

1;

# SPDX-License-Identifier: ISC
#
# Preload: plays the worker to a preloader (cgibridge-preload(7)), and starts the same
# scripts by exec, so that both can be compared.
#
# A preloader ends with its object, or when the file ends; every wait has a bound.
package Preload;
use v5.36;
use Config;
use IO::Select;
use POSIX qw(WNOHANG);
use Socket qw(AF_UNIX SOCK_SEQPACKET SHUT_RD MSG_DONTWAIT);
use Time::HiRes qw(time);
use Bridge qw(slow wait_until slurp file alive);

# The number of sendmsg(), which passes descriptors and is not in core Perl.
my ($sendmsg) = map { $_->[1] } grep { $Config{archname} =~ /^(?:$_->[0])/ } (
    [ 'x86_64', 46 ], [ 'i[3-6]86', 370 ], [ 'aarch64|riscv64|loongarch64', 211 ],
    [ 'arm', 296 ], [ 'powerpc64|ppc64', 341 ], [ 's390x', 370 ],
);

# Of this process nothing but the descriptors 0, 1 and 2 is passed on.
sub close_others () {
    opendir my $fds, '/proc/self/fd' or return;
    POSIX::close($_) for grep { /^\d+$/ && $_ > 2 } readdir $fds;
}

# Starts one: its command line; env => its environment.  It need not be ready.
sub new ($class, $argv, %o) {
    die "the number of sendmsg() on $Config{archname} is not known\n" if !$sendmsg;
    socketpair my $ours, my $its, AF_UNIX, SOCK_SEQPACKET, 0 or die "socketpair: $!\n";
    my $log = file();
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        setpgrp;
        POSIX::dup2(fileno $its, 0);
        open STDOUT, '>', '/dev/null';
        open STDERR, '>>', $log;
        chdir '/';
        close_others();
        %ENV = %{ $o{env} // { PATH => $ENV{PATH} } };
        $SIG{$_} = 'DEFAULT' for qw(PIPE ALRM);
        exec { $argv->[0] } @$argv or POSIX::_exit(127);
    }
    return bless { pid => $pid, socket => $ours, log => $log, serial => 0, owner => $$,
        env => $o{env} // { PATH => $ENV{PATH} } }, $class;
}

# Starts one, and waits until it is ready.
sub start ($class, $argv, %o) {
    my $self = $class->new($argv, %o);
    my @ready = $self->packet(20);
    die "the preloader did not get ready: @ready " . $self->log . "\n"
        if ($ready[0] // '') ne 'ready';
    $self->{variables} = [ @ready[ 2 .. $#ready ] ];
    return $self;
}

sub log ($self) { return slurp($self->{log}) }

# ---- messages ----------------------------------------------------------------------

# Sends bytes as one packet, with descriptors.
sub send_raw ($self, $bytes, @fds) {
    my $iov = pack 'p L!', $bytes, length $bytes;
    my $rights = pack 'i*', @fds;
    my $cmsg = pack 'L! i i a*', length(pack 'L! i i', 0, 0, 0) + length $rights, 1, 1, $rights;
    $cmsg .= "\0" while length($cmsg) % length pack 'L!', 0;
    my $header = pack 'L! I x![L!] p L! p L! i x![L!]', 0, 0, $iov, 1, $cmsg,
        @fds ? length $cmsg : 0, 0;
    return syscall($sendmsg, fileno $self->{socket}, $header, 0x4000) == length $bytes;
}

sub send_message ($self, $words, @fds) {
    return $self->send_raw(join('', map { "$_\0" } @$words), @fds);
}

# The next packet as its words; nothing at the end of the socket or after that time.
sub packet ($self, $secs = 10) {
    IO::Select->new($self->{socket})->can_read(slow($secs)) or return;
    defined recv $self->{socket}, my $bytes, 4096, 0 or return;
    return $bytes eq '' ? () : split /\0/, substr($bytes, 0, -1), -1;
}

# The words of a start message.
sub start_words ($self, $argv, %o) {
    my %env = (%{ $self->{env} }, %{ $o{env} // {} });
    my @limits = @{ $o{limits} // [] };
    my @switches = @{ $o{switches} // [] };
    return [ 'start', ++$self->{serial}, scalar @switches, @switches, $o{dir} // '',
        @limits / 3, @limits, scalar @$argv, @$argv,
        scalar keys %env, map { "$_=$env{$_}" } sort keys %env ];
}

# ---- scripts -----------------------------------------------------------------------

# Descriptors for a script: a file with its input, and pipes; and our ends of these.
sub streams (%o) {
    my $path = Bridge::spew(file(), $o{stdin} // '');
    open my $in, '<', $path or die "$path: $!\n";
    pipe my $out, my $out_end or die "pipe: $!\n";
    pipe my $err, my $err_end or die "pipe: $!\n";
    return { its => [ $in, $out_end, $err_end ], out => $out, err => $err };
}

# Reads both outputs to their ends.
sub drain ($streams, $secs) {
    my %r = (out => '', err => '');
    my $until = time + slow($secs);
    my %name = map { $streams->{$_} => $_ } qw(out err);
    my $select = IO::Select->new(@{$streams}{qw(out err)});
    while ($select->count && time < $until) {
        for my $fh ($select->can_read($until - time)) {
            sysread($fh, $r{ $name{$fh} }, 65536, length $r{ $name{$fh} }) or $select->remove($fh);
        }
    }
    $r{err} .= "[output did not end]" if $select->count;
    return %r;
}

# Runs a script through the preloader: { out, err, exit, signal, pid }, or { answer } when it
# was not started.
sub run ($self, $argv, %o) {
    my $streams = streams(%o);
    $self->send_message($self->start_words($argv, %o), map { fileno $_ } @{ $streams->{its} })
        or return { answer => "not sent: $!" };
    delete $streams->{its};
    my @answer = $self->packet;
    return { answer => join ' ', @answer } if ($answer[0] // '') ne 'start';
    my %r = (pid => $answer[2], drain($streams, $o{secs} // 20));
    my @end = $self->packet($o{secs} // 20);
    return { %r, answer => "start, then @end" } if "@end[ 0, 1 ]" ne "exit $r{pid}";
    return { %r, exit => $end[2], signal => $end[3] };
}

# Runs it by exec, in the same circumstances: with `argv` in the first place, which may be
# an interpreter and a script.
sub run_by_exec ($self, $argv, %o) {
    my $streams = streams(%o);
    my %env = (%{ $self->{env} }, %{ $o{env} // {} });
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        setpgrp;
        POSIX::dup2(fileno $streams->{its}[$_], $_) for 0 .. 2;
        close_others();
        %ENV = %env;
        $SIG{$_} = 'DEFAULT' for qw(PIPE ALRM);
        chdir($o{dir} || '/');
        exec { $argv->[0] } @$argv or POSIX::_exit(127);
    }
    delete $streams->{its};
    my %r = (pid => $pid, drain($streams, $o{secs} // 20));
    my $status = Bridge::reap($pid, 20) // -1;
    return { %r, exit => $status >> 8, signal => $status & 127 };
}

# ---- its end -----------------------------------------------------------------------

sub retire ($self) { return $self->send_message([ 'retire' ]) }

# No child can send "start" any more, as when a worker gives the preloader up.
sub give_up ($self) { return shutdown $self->{socket}, SHUT_RD }

sub hang_up ($self) { return close $self->{socket} }

# Its wait status, undef if it still runs.
sub wait_exit ($self, $secs = 10) {
    return $self->{status} //= Bridge::reap($self->{pid}, $secs);
}

sub DESTROY ($self) {
    return if $self->{owner} != $$ || defined $self->{status};
    local ($?, $@, $!);
    kill 'KILL', -$self->{pid};
    waitpid $self->{pid}, 0;
}

1;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# contrib/cluster: several bridges behind one nginx or HAProxy, with the files there.  As root
# each bridge is on a host of its own, a network namespace with a cable to a switch, at the
# addresses that the files have.  Where no namespaces can be made the hosts are addresses
# of this machine, 127.0.0.x, and what needs a cable to pull is left out; the first test's name
# says which it is.
use v5.36;
use IO::Socket::UNIX;
use Test::More;
use Bridge;
use FrontEnd;

my @names = qw(one two three);
my %address = (web => '192.0.2.7', one => '192.0.2.11', two => '192.0.2.12', three => '192.0.2.13');

# ---- hosts -----------------------------------------------------------------------------

# This test goes on in a network namespace of its own, with nothing but a loopback.
if (is_root() && !$ENV{CLUSTER_INSIDE}
    && run_program([ 'unshare', '--net', 'true' ])->{exit} == 0) {
    $ENV{CLUSTER_INSIDE} = 1;
    Bridge::sweep(); # its folder is made again
    exec 'unshare', '--net', $^X, (map { "-I$_" } @INC), $0 or die "unshare: $!\n";
}

my %host; # by name: { pid => what holds its namespace, handle => held while this test lives }

sub ip (@words) {
    my $r = run_program([ is_program('ip', 'iproute2'), @words ]);
    die "ip @words: $r->{err}\n" if $r->{exit} != 0;
}

sub add_host ($name) {
    my $pid = open(my $handle, '|-', 'unshare', '--net', 'cat') // die "unshare: $!\n";
    $host{$name} = { pid => $pid, handle => $handle };
    my @inside = ('nsenter', "--net=/proc/$pid/ns/net");
    my $mine = readlink '/proc/self/ns/net';
    wait_until(10, sub { (readlink("/proc/$pid/ns/net") // $mine) ne $mine })
        or die "$name has no namespace\n";
    ip('link', 'add', $name, 'type', 'veth', 'peer', 'name', 'lan', 'netns', $pid);
    ip('link', 'set', $name, 'master', 'switch', 'up');
    for my $words ([qw(link set lo up)], [ qw(addr add), "$address{$name}/24", qw(dev lan) ],
        [qw(link set lan up)]) {
        must([ @inside, 'ip', @$words ]);
    }
    $host{$name}{prefix} = \@inside;
}

sub must ($argv) {
    my $r = run_program($argv);
    die "@$argv: $r->{err}\n" if $r->{exit} != 0;
}

sub make_network () {
    ip(qw(link set lo up));
    ip(qw(link add switch type bridge));
    ip('addr', 'add', "$address{web}/24", 'dev', 'switch');
    ip(qw(link set switch up));
    add_host($_) for @names;
    # as the README has it, but sooner
    my %sysctl = (time => 1, intvl => 1, probes => 2);
    spew("/proc/sys/net/ipv4/tcp_keepalive_$_", $sysctl{$_}) for keys %sysctl;
}

my $has_network = $ENV{CLUSTER_INSIDE} && eval { make_network(); 1 };
my $port = 9000;
if ($has_network) {
    pass('the hosts are network namespaces');
} else {
    my $why = is_root() ? $@ || 'unshare(1) cannot make them' : 'they need root';
    diag("no network namespaces: $why");
    pass('the hosts are addresses of this machine, not network namespaces');
    %host = ();
    %address = (web => '127.0.0.1', one => '127.0.0.11', two => '127.0.0.12',
        three => '127.0.0.13');
    $port = free_port();
}

# What the files of contrib/ say of hosts, in $_, for these.
sub swap_hosts () {
    my %shipped = (one => '192.0.2.11', two => '192.0.2.12', three => '192.0.2.13');
    for my $name (@names) {
        FrontEnd::swap("$shipped{$name}:9000", "$address{$name}:$port");
    }
}

# ---- bridges ----------------------------------------------------------------------------

my (%bridge, %spool);

sub start_bridge ($name) {
    mkdir $spool{$name} //= file();
    chmod 0777, $spool{$name};
    $bridge{$name} = Bridge->start(sockets => ["tcp:$address{$name}:$port"], workers => 1,
        prefix => $host{$name}{prefix} // [], args => [ '--allow', $address{web}, '--ping-path',
            '/bridge-ping', '--env', "HOST=$name", '--spool-dir', $spool{$name},
            '-r', Bridge::cgi(), is_root() ? ('-u', 'nobody') : () ]);
}

# All its processes die at once, as when the kernel or a service manager kills them.
sub crash ($name) {
    my @pids = ($bridge{$name}->pid, Bridge::descendants($bridge{$name}->pid));
    kill 'STOP', @pids[ 0, 1 ]; # lest one of them has time to say so
    kill 'KILL', $_ for reverse @pids;
    $bridge{$name}->kill_all;
}

script('where', "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s\\n' \"\$HOST\"\n");
my $runs = file();
my ($gate, $hold) = gate();
script('waits', <<~SH);
    #!/bin/sh
    echo \$HOST >>$runs
    flock -s -w 60 $gate true
    printf 'Content-Type: text/plain\\n\\n%s\\n' "\$HOST"
    SH
# reads late, so that its body waits in a file
script('digest', <<~'SH');
    #!/bin/sh
    sleep 0.1
    printf 'Content-Type: text/plain\n\n%s %s\n' "$HOST" "$(md5sum)"
    SH
start_bridge($_) for @names;

# ---- front ends -------------------------------------------------------------------------

my $front;

sub url ($script) { return 'http://127.0.0.1:' . $front->port . "/cgi-bin/$script" }

# With `sticky` the lines about a cookie count.
sub start_nginx (%o) {
    my $port = free_port();
    local $_ = slurp("$Bridge::srcdir/contrib/cluster/nginx.conf");
    swap_hosts();
    my $top = tmp();
    FrontEnd::swap('listen 80;', "listen 127.0.0.1:$port;");
    FrontEnd::swap('root /usr/lib;', "root $top;");
    FrontEnd::swap('include fastcgi_params;', 'include /etc/nginx/fastcgi_params;');
    FrontEnd::swap('fail_timeout=5s', 'fail_timeout=1s');
    # a body of unknown length is for the bridge to collect
    FrontEnd::swap('fastcgi_pass cgi;', 'fastcgi_pass cgi; fastcgi_request_buffering off;');
    if ($o{sticky}) {
        FrontEnd::swap('least_conn;', '');
        FrontEnd::swap('#hash $cookie', 'hash $cookie');
    }
    $front = Bridge->nginx('return 404;', http => $_);
    $front->{port} = $port;
    wait_until(10, sub { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") });
}

sub start_haproxy (%o) {
    my $admin = file();
    $front = FrontEnd->haproxy(file => 'cluster/haproxy.cfg',
        global => "stats socket $admin mode 600 level admin",
        expected => qr{"POST /cgi-bin/waits }, edit => sub {
            swap_hosts();
            FrontEnd::swap('inter 2s', 'inter 250ms');
            FrontEnd::swap('timeout check 2s', 'timeout check 1s');
            FrontEnd::swap('srvtcpka-idle 10s', 'srvtcpka-idle 1s');
            FrontEnd::swap('srvtcpka-intvl 2s', 'srvtcpka-intvl 1s');
            FrontEnd::swap('#cookie', 'cookie') if $o{sticky};
        });
    $front->{admin} = $admin;
}

# Takes a host out as the README says, or (back => 1) lets it in again.
my %take_out = (
    nginx => sub ($name, %o) {
        my $file = "$front->{dir}/conf";
        my $text = slurp($file);
        my $change = $o{back} ? $text =~ s/( fail_timeout=1s) down;/$1;/
            : $text =~ s/(server \Q$address{$name}\E:.*);/$1 down;/;
        die "$name is not there\n" if !$change;
        spew($file, $text);
        kill 'HUP', $front->pid;
        wait_until(10, sub {
            my @requests = map { where() } 1 .. 6;
            return ($o{back} ? 1 : 0) == grep({ $_ eq $name } @requests) > 0;
        });
    },
    HAProxy => sub ($name, %o) {
        my ($command) = slurp("$Bridge::srcdir/contrib/cluster/README")
            =~ /echo '(set server .*)' \|/;
        $command =~ s{cgi/one}{cgi/$name} or die 'the README has no command';
        $command =~ s/drain/ready/ if $o{back};
        my $s = IO::Socket::UNIX->new(Peer => $front->{admin}) or die "$front->{admin}: $!\n";
        print $s "$command\n";
        like(join('', <$s>), qr/\A\s*\z/, 'HAProxy takes the command');
    },
);

# ---- requests -----------------------------------------------------------------------------

# curl's arguments for one or more requests, in the background; the result is for finish().
sub begin (@curl) {
    my $out = file();
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>', $out;
        open STDERR, '>', '/dev/null';
        exec 'curl', '-s', '--max-time', int Bridge::slow(40), @curl;
    }
    return { pid => $pid, out => $out };
}

# Its output, once it is at its end.
sub finish ($begun) {
    my $status = Bridge::reap($begun->{pid}, 45);
    kill 'KILL', $begun->{pid} if !defined $status;
    return slurp($begun->{out});
}

sub where (@curl) {
    my $r = run_program([ 'curl', '-s', '--max-time', int Bridge::slow(20), @curl, url('where') ],
        secs => 25);
    return $r->{out} =~ s/\n\z//r;
}

# The hosts that answer twelve requests, one after the other.
sub hosts () {
    my $r = run_program([ 'curl', '-s', '--max-time', int Bridge::slow(20), url('where?[1-12]') ],
        secs => 25);
    my %seen = map { $_ => 1 } split /\n/, $r->{out};
    return join ' ', sort keys %seen;
}

# Many requests, eight at once: their status, one a line.
sub load ($n, @curl) {
    return begin(@curl, '-Z', '--parallel-max', 8, '-o', '/dev/null', '-w', '%{http_code}\n',
        url("where?[1-$n]"));
}

sub progress ($load, $n) {
    wait_until(30, sub { () = slurp($load->{out}) =~ /\n/g >= $n });
}

sub ok_load ($load, $n, $name) {
    my %count;
    $count{$_}++ for split /\n/, finish($load);
    is_deeply(\%count, { 200 => $n }, $name);
}

# A request for the script that waits, and the host that has it.
sub begin_waiting (@curl) {
    spew($runs, '', 0666);
    my $request = begin(@curl, url('waits'));
    wait_until(20, sub { slurp($runs) =~ /\n/ });
    return ($request, slurp($runs) =~ /(\w+)/);
}

sub open_gate () { close $hold }

sub close_gate () { open $hold, '<', $gate or die; flock $hold, 2 or die }

sub back_in ($name) {
    ok(wait_until(20, sub { where() eq $name }), "$name gets requests again");
}

# ---- the tests ----------------------------------------------------------------------------

my %start = (nginx => \&start_nginx, HAProxy => \&start_haproxy);
my %stop = (HAProxy => sub { $front->stop }, nginx => sub { # its log has what failed on purpose
    kill 'QUIT', $front->pid;
    is($front->Bridge::wait_exit(20), 0, 'nginx: stopped');
});

for my $kind (qw(nginx HAProxy)) {
    $start{$kind}->();

    scenario "$kind: requests are spread" => sub {
        is(hosts(), 'one three two', 'over all hosts');
    };

    scenario "$kind: a bridge dies while a GET runs there" => sub {
        my ($request, $name) = begin_waiting();
        crash($name);
        open_gate();
        my $answer = finish($request) =~ s/\n\z//r;
        ok($bridge{$answer} && $answer ne $name, "it died on $name and is answered by $answer");
        unlike(hosts(), qr/\b$name\b/, 'no other goes there');
        start_bridge($name);
        back_in($name);
        close_gate();
    };

    scenario "$kind: a bridge dies under load" => sub {
        my $load = load(240);
        progress($load, 60);
        crash('two');
        ok_load($load, 240, 'no GET fails');
        start_bridge('two');
        back_in('two');
    };

    scenario "$kind: a POST that was sent is not sent again" => sub {
        my ($request, $name) = begin_waiting('-d', 'x', '-w', ' %{http_code}');
        crash($name);
        open_gate();
        like(finish($request), qr/ 50[23]\z/, 'it fails');
        is(slurp($runs), "$name\n", 'and has run once');
        start_bridge($name);
        back_in($name);
        close_gate();
    };

    scenario "$kind: a bridge is stopped under load" => sub {
        my @loads = (load(200), load(200, '-d', 'x'));
        progress($_, 30) for @loads;
        $bridge{one}->stop('one');
        ok_load($loads[0], 200, 'no GET fails');
        ok_load($loads[1], 200, 'nor does a POST');
        start_bridge('one');
        back_in('one');
    };

    scenario "$kind: a host is taken out" => sub {
        my ($request, $name) = begin_waiting();
        $take_out{$kind}->($name);
        unlike(hosts(), qr/\b$name\b/, 'requests go to the others');
        open_gate();
        is(finish($request), "$name\n", 'what runs there is answered');
        $bridge{$name}->stop($name);
        start_bridge($name);
        $take_out{$kind}->($name, back => 1);
        back_in($name);
        close_gate();
    };

    scenario "$kind: uploads of a length that is not known" => sub {
        # HAProxy itself refuses one that its buffer does not hold
        my $body = spew(file(), noise($kind eq 'nginx' ? 3_000_000 : 12_000));
        my ($digest) = run_program([ 'md5sum', $body ])->{out} =~ /^(\w+)/;
        my %seen;
        for (1 .. 9) {
            my $r = run_program([ 'curl', '-s', '-H', 'Transfer-Encoding: chunked', '--data-binary',
                "\@$body", url('digest') ]);
            my ($name, $got) = split ' ', $r->{out};
            is($got, $digest, "one arrives whole, by $name");
            $seen{$name} = 1;
        }
        is(join(' ', sort keys %seen), 'one three two', 'each host has its own directory for them');
    };

    scenario "$kind: a host is gone while a GET runs there" => sub {
        my ($request, $name) = begin_waiting();
        ip('link', 'set', $name, 'down');
        my $r = run_program([ 'curl', '-s', '--max-time', int Bridge::slow(20),
            (map { url('where') } 1 .. 6) ], secs => 25);
        is(scalar(() = $r->{out} =~ /\n/g), 6, 'other GETs are answered');
        open_gate();
        my $answer = finish($request) =~ s/\n\z//r;
        ok($bridge{$answer} && $answer ne $name, "it was on $name and is answered by $answer");
        ip('link', 'set', $name, 'up');
        back_in($name);
        close_gate();
    } if $has_network;

    scenario "$kind: its bridge hangs" => sub {
        my @pids = ($bridge{three}->pid, $bridge{three}->workers);
        my $mark = length $front->log;
        kill 'STOP', @pids;
        ok(wait_until(20, sub { substr($front->log, $mark) =~ m{Server cgi/three is DOWN} }),
            'it is noticed');
        is(hosts(), 'one two', 'requests go to the others');
        kill 'CONT', @pids;
        back_in('three');
    } if $kind eq 'HAProxy';

    $stop{$kind}->();
    $start{$kind}->(sticky => 1);
    scenario "$kind: a user comes back to the same host" => sub {
        my %by_user;
        for my $user (1 .. 12) {
            my $jar = file();
            my @cookie = $kind eq 'nginx' ? ('-b', "session=$user") : ('-b', $jar, '-c', $jar);
            my %seen = map { where(@cookie) => 1 } 1 .. 3;
            is(scalar keys %seen, 1, "user $user");
            $by_user{$_} = 1 for keys %seen;
        }
        cmp_ok(scalar keys %by_user, '>', 1, 'not all of them to the same');
    };
    $stop{$kind}->();
}

scenario 'who may connect' => sub {
    my @argv = ($Bridge::fcgiget, '-s', "tcp:$address{one}:$port", '-t', '5s',
        Bridge::cgi() . '/where');
    is(run_program(\@argv)->{out}, "one\n", 'the web server');
    my $r = run_program([ @{ $host{two}{prefix} }, @argv ]);
    isnt($r->{exit}, 0, 'another host may not');
    unlike($r->{out}, qr/one/, '... and runs nothing');
} if $has_network;

$bridge{$_}->stop($_) for @names;
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# A stream without an end: frames at once, and an end when its viewer leaves.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
my $dir = "$tmp/scripts";
mkdir $dir;
my $pids = file();
spew($pids, '', 0666);
my $ended = file();
spew($ended, '', 0666);
# as ZoneMinder's nph-zms does: a status line of its own, a frame now and then
spew("$dir/nph-zms", <<"PL", 0755);
#!/usr/bin/perl
\$| = 1;
open my \$pids, '>', '$pids'; print \$pids "\$\$\\n"; close \$pids;
\$SIG{TERM} = sub { open my \$end, '>', '$ended'; print \$end "TERM\\n"; exit };
print "HTTP/1.0 200 OK\\r\\nContent-Type: multipart/x-mixed-replace;boundary=frame\\r\\n\\r\\n";
while (1) {
    print "--frame\\r\\nContent-Type: image/jpeg\\r\\nContent-Length: 5\\r\\n\\r\\nimage\\r\\n";
    select undef, undef, undef, 0.2;
}
PL
my $app = Recipe->serve('nph-mjpeg', { '/srv/cgi' => $dir });

scenario 'a viewer' => sub {
    my $viewer = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $app->{nginx}->port)
        or die "nginx: $!\n";
    print $viewer "GET /live/nph-zms HTTP/1.0\r\n\r\n";
    my $seen = '';
    while ((() = $seen =~ /image\r\n/g) < 3) {
        sysread $viewer, $seen, 4096, length $seen or last;
    }
    like($seen, qr{\AHTTP/1\.1 200 OK\r\n}, 'a status line');
    like($seen, qr{^content-type: multipart/x-mixed-replace;boundary=frame\r}mi, 'its type');
    is(scalar(() = $seen =~ /image\r\n/g) >= 3 ? 3 : 0, 3, 'frames come while it runs');
    my ($pid) = pids_in($pids);
    ok(alive($pid), 'it runs');
    close $viewer;
    is_deeply([ gone(10, $pid) ], [], 'the viewer leaves: it ends');
    is(slurp($ended), "TERM\n", 'by TERM');
};

$app->stop;
done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Nagios 4: its pages, with a Nagios that runs; a command from the web.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
mkdir "$tmp/$_" for qw(nagios nagios/rw nagios/spool nagios/archives);
my $dir = "$tmp/nagios";
spew("$dir/objects.cfg", <<'CFG', 0644);
define timeperiod {
  timeperiod_name always
  alias always
  monday 00:00-24:00
}
define command {
  command_name true
  command_line /bin/true
}
define contact {
  contact_name anna
  host_notification_period always
  service_notification_period always
  host_notification_options n
  service_notification_options n
  host_notification_commands true
  service_notification_commands true
}
define host {
  host_name example-host
  address 127.0.0.1
  check_command true
  max_check_attempts 3
  check_period always
  notification_period always
  contacts anna
}
define service {
  host_name example-host
  service_description example-service
  check_command true
  max_check_attempts 3
  check_period always
  notification_period always
  contacts anna
}
CFG
spew("$dir/nagios.cfg", <<"CFG", 0644);
log_file=$dir/nagios.log
cfg_file=$dir/objects.cfg
object_cache_file=$dir/objects.cache
precached_object_file=$dir/objects.precache
status_file=$dir/status.dat
status_update_interval=1
nagios_user=www-data
nagios_group=www-data
check_external_commands=1
command_file=$dir/rw/nagios.cmd
query_socket=$dir/rw/nagios.qh
lock_file=$dir/lock
temp_file=$dir/temp
temp_path=$dir
log_archive_path=$dir/archives
check_result_path=$dir/spool
state_retention_file=$dir/retention.dat
check_for_updates=0
use_syslog=0
CFG
spew("$dir/cgi.cfg", slurp('/etc/nagios4/cgi.cfg') =~ s{^main_config_file=.*}{main_config_file=$dir/nagios.cfg}mr
    =~ s{^use_authentication=.*}{use_authentication=1}mr, 0644);
give($dir);
my $nagios = bless { dir => $dir, log => "$dir/out", argv => [ is_program('nagios4', 'nagios4-core'), "$dir/nagios.cfg" ] }, 'Bridge';
$nagios->spawn;
wait_until(20, sub { -s "$dir/status.dat" && -p "$dir/rw/nagios.cmd" })
    or die slurp("$dir/out") . slurp("$dir/nagios.log");

my $app = Recipe->serve('nagios4', { '/etc/nagios4/cgi.cfg' => "$dir/cgi.cfg" });
my $cgi = '/nagios4/cgi-bin';

scenario 'pages' => sub {
    $app->answers("$cgi/status.cgi?host=all", 200, [ qr/example-service/, qr{</html>}i ]);
    $app->answers("$cgi/tac.cgi", 200, qr/Tactical|Monitoring Features/i);
    my $r = $app->answers("$cgi/statusjson.cgi?query=hostlist", 200, qr/"example-host"/);
    like($r->{type}, qr{^application/json}, 'JSON');
    $app->answers("$cgi/config.cgi?type=hosts", 200, qr/example-host/);
    $app->answers('/nagios4/stylesheets/common.css', 200, qr/body|\{/);
};

scenario 'a command' => sub {
    my $jar = file();
    my $what = 'cmd_typ=7&host=example-host&service=example-service';
    my $r = $app->answers("$cgi/cmd.cgi?$what", 200, qr/<form/i, '-c', $jar);
    my ($id) = $r->{body} =~ /name=['"]?nagFormId['"]? value=['"]([0-9a-f]+)/i;
    my @time = localtime;
    $app->answers("$cgi/cmd.cgi", 200, qr/successfully submitted/, '-b', $jar, '-d',
        "$what&cmd_mod=2&nagFormId=" . ($id // '') . sprintf('&start_time=%02d-%02d-%04d+%02d:%02d:%02d',
            $time[4] + 1, $time[3], $time[5] + 1900, @time[ 2, 1, 0 ]));
    ok(wait_until(10, sub { slurp("$dir/nagios.log") =~ /EXTERNAL COMMAND: SCHEDULE_SVC_CHECK/ }),
        'Nagios has it');
};

scenario 'without REMOTE_USER' => sub {
    my $r = FastCGI->ask($app->{bridge}->url('unix'), $app->{bridge}->params('',
        SCRIPT_FILENAME => '/usr/lib/cgi-bin/nagios4/status.cgi', QUERY_STRING => 'host=all',
        NAGIOS_CGI_CONFIG => "$dir/cgi.cfg"));
    unlike(FastCGI::body($r), qr/example-service/, 'nothing is shown');
};

$app->stop;
$nagios->kill_all;
done_testing;

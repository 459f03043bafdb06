/* SPDX-License-Identifier: ISC */
/*
 * check_options: each option's good and bad values, what errors say, and --help.
 */
#include "check_util.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_syslog.h"
#include "config/options.h"

enum { ARGS = 6 };

static struct options_fault fault;

/* Parses up to ARGS arguments; NULL ends them. */
static enum options_verdict parse(struct options *options, const char *const args[ARGS])
{
	const char *argv[ARGS + 2] = {"cgibridge"};
	enum options_verdict verdict;
	int argc = 1;

	for (; argc <= ARGS && args[argc - 1] != NULL; argc++)
		argv[argc] = args[argc - 1];
	verdict = options_parse(options, argc, argv, &fault);
	if (verdict == OPTIONS_USAGE || verdict == OPTIONS_FAILED)
		fprintf(stderr, "%s\n", fault.why.text);
	return verdict;
}

#define PARSE(options, ...) parse(options, (const char *const[ARGS]){__VA_ARGS__})

/* ---- defaults ---------------------------------------------------------------------- */

START_TEST(the_defaults_are_those_of_the_help)
{
	struct options options;

	unsetenv("TMPDIR");
	ck_assert_int_eq(PARSE(&options, NULL), OPTIONS_RUN);
	ck_assert_uint_eq(options.sockets.count, 0);
	ck_assert_uint_eq(options.programs.count, 0);
	ck_assert_uint_eq(options.roots.count, 0);
	ck_assert_int_eq(options.socket_mode, 0660);
	ck_assert(options.socket_owner.uid == (uid_t)-1 && options.socket_owner.gid == (gid_t)-1);
	ck_assert_int_eq(options.backlog, 511);
	ck_assert_int_ge(options.workers, 1);
	ck_assert_int_eq(options.max_scripts, 128);
	ck_assert_int_eq(options.queue, 512);
	ck_assert_int_eq(options.queue_timeout, 30000);
	ck_assert_int_eq(options.timeout, 0);
	ck_assert_int_eq(options.idle_timeout, 300000);
	ck_assert_int_eq(options.linger, 5000);
	ck_assert_int_eq(options.kill_delay, 5000);
	ck_assert_int_eq(options.disconnect_grace, 5000);
	ck_assert_int_eq(options.drain_timeout, 30000);
	ck_assert_int_eq(options.on_disconnect, ON_DISCONNECT_KILL);
	ck_assert_int_eq(options.stderr_to, STDERR_LOG);
	ck_assert_uint_eq(options.max_body, 1 << 30);
	ck_assert_uint_eq(options.max_params, 256 << 10);
	ck_assert_str_eq(options.spool_dir, "/tmp");
	ck_assert_int_eq(options.log_level, LOG_LEVEL_INFO);
	ck_assert_int_eq(options.syslog, 0);
	ck_assert_str_eq(options.syslog_socket, "/dev/log");
	ck_assert_int_eq(options.access_log.way, ACCESSLOG_NONE);
	ck_assert_int_eq(options.access_log_format, 0);
	options_fini(&options);
}
END_TEST

START_TEST(the_spool_directory_is_tmpdir)
{
	struct options options;

	setenv("TMPDIR", "/var/tmp", 1);
	ck_assert_int_eq(PARSE(&options, NULL), OPTIONS_RUN);
	ck_assert_str_eq(options.spool_dir, "/var/tmp");
	options_fini(&options);
	setenv("TMPDIR", "relative", 1);
	ck_assert_int_eq(PARSE(&options, NULL), OPTIONS_RUN);
	ck_assert_str_eq(options.spool_dir, "/tmp");
	options_fini(&options);
	setenv("TMPDIR", "/nonexistent", 1);
	ck_assert_int_eq(PARSE(&options, NULL), OPTIONS_RUN);
	ck_assert_str_eq(options.spool_dir, "/tmp");
	options_fini(&options);
	ck_assert_int_eq(PARSE(&options, "--spool-dir", "/var/tmp"), OPTIONS_RUN);
	ck_assert_str_eq(options.spool_dir, "/var/tmp");
	options_fini(&options);
	unsetenv("TMPDIR");
}
END_TEST

/* ---- what several options, or the machine, decide ----------------------------------- */

START_TEST(who_may_connect_comes_from_three_places)
{
	struct options options;

	setenv("FCGI_WEB_SERVER_ADDRS", "192.0.2.1,192.0.2.2", 1);
	ck_assert_int_eq(PARSE(&options, "--allow", "10.0.0.0/8", "-s", "tcp:0.0.0.0:9"), OPTIONS_RUN);
	ck_assert_uint_eq(options.allow.network_count, 3);
	ck_assert_uint_eq(options.allow.user_count, 0);
	options_fini(&options);
	ck_assert_int_eq(PARSE(&options, "--allow-user", "1234", "--allow-user", "nobody"), OPTIONS_RUN);
	ck_assert_uint_eq(options.allow.network_count, 2);
	ck_assert_uint_eq(options.allow.user_count, 4); /* the two, root and our own */
	ck_assert_uint_eq(options.allow.users[0].uid, 1234);
	options_fini(&options);
	unsetenv("FCGI_WEB_SERVER_ADDRS");
}
END_TEST

START_TEST(addresses_in_the_environment_have_to_be_right)
{
	struct options options;
	const char *said;

	setenv("FCGI_WEB_SERVER_ADDRS", "192.0.2.1 192.0.2.2", 1);
	capture_begin();
	ck_assert_int_eq(PARSE(&options, NULL), OPTIONS_FAILED);
	said = capture_end();
	ck_assert_ptr_nonnull(strstr(said, "FCGI_WEB_SERVER_ADDRS: expected addresses"));
	options_fini(&options);
	setenv("FCGI_WEB_SERVER_ADDRS", "", 1); /* the same as none */
	ck_assert_int_eq(PARSE(&options, NULL), OPTIONS_RUN);
	ck_assert_uint_eq(options.allow.network_count, 0);
	options_fini(&options);
	unsetenv("FCGI_WEB_SERVER_ADDRS");
}
END_TEST

START_TEST(the_spool_directory_is_below_the_new_root)
{
	struct options options;
	const char *said;

	temp_make();
	temp_mkdir("spool");
	capture_begin();
	ck_assert_int_eq(PARSE(&options, "--check", "--chroot", temp_dir()), OPTIONS_USAGE);
	said = capture_end();
	ck_assert_ptr_nonnull(strstr(said, "--spool-dir '/tmp' below --chroot"));
	options_fini(&options);
	capture_begin();
	ck_assert_int_eq(PARSE(&options, "--check", "--spool-dir", temp_path("spool"), "--chroot",
	    temp_dir()), OPTIONS_USAGE);
	capture_end();
	options_fini(&options);
	setenv("TMPDIR", "/spool", 1);
	ck_assert_int_eq(PARSE(&options, "--check", "--chroot", temp_dir()), OPTIONS_DONE);
	ck_assert_str_eq(options.spool_dir, "/spool");
	options_fini(&options);
	unsetenv("TMPDIR");
	temp_remove();
}
END_TEST

/* ---- values ---------------------------------------------------------------------------- */

#define INT(name) offsetof(struct options, name), sizeof(int)
#define WIDE(name) offsetof(struct options, name), 8

static const struct good {
	const char *option, *value;
	size_t member, size;
	long long wanted;
} goods[] = {
	{"--socket-mode", "0", INT(socket_mode), 0},
	{"--socket-mode", "666", INT(socket_mode), 0666},
	{"--socket-mode", "0777", INT(socket_mode), 0777},
	{"--socket-owner", "0", INT(socket_owner.uid), 0},
	{"--socket-owner", "root", INT(socket_owner.uid), 0},
	{"--socket-owner", "12345", INT(socket_owner.uid), 12345},
	{"--socket-owner", "1:54321", INT(socket_owner.gid), 54321},
	{"--backlog", "1", INT(backlog), 1},
	{"--backlog", "65535", INT(backlog), 65535},
	{"--workers", "1", INT(workers), 1},
	{"-c", "1024", INT(workers), 1024},
	{"--max-scripts", "1", INT(max_scripts), 1},
	{"-m", "65536", INT(max_scripts), 65536},
	{"--queue", "0", INT(queue), 0},
	{"--queue", "1000000", INT(queue), 1000000},
	{"--queue-timeout", "1ms", WIDE(queue_timeout), 1},
	{"--timeout", "0", WIDE(timeout), 0},
	{"-t", "10", WIDE(timeout), 10000},
	{"-t", "10s", WIDE(timeout), 10000},
	{"-t", "250ms", WIDE(timeout), 250},
	{"-t", "5m", WIDE(timeout), 300000},
	{"-t", "8760h", WIDE(timeout), 8760LL * 3600000},
	{"--idle-timeout", "0", WIDE(idle_timeout), 0},
	{"--slow-log", "10s", WIDE(slow_log), 10000},
	{"--linger", "0s", WIDE(linger), 0},
	{"--kill-delay", "1h", WIDE(kill_delay), 3600000},
	{"--disconnect-grace", "0", WIDE(disconnect_grace), 0},
	{"--drain-timeout", "7", WIDE(drain_timeout), 7000},
	{"--on-disconnect", "kill", INT(on_disconnect), ON_DISCONNECT_KILL},
	{"--on-disconnect", "close", INT(on_disconnect), ON_DISCONNECT_CLOSE},
	{"--on-disconnect", "ignore", INT(on_disconnect), ON_DISCONNECT_IGNORE},
	{"--stderr", "log", INT(stderr_to), STDERR_LOG},
	{"--stderr", "client", INT(stderr_to), STDERR_CLIENT},
	{"--stderr", "discard", INT(stderr_to), STDERR_DISCARD},
	{"-f", NULL, INT(stderr_to), STDERR_CLIENT},
	{"--query-args", NULL, INT(query_args), 1},
	{"--clear-env", NULL, INT(clear_env), 1},
	{"--error-detail", NULL, INT(error_detail), 1},
	{"--strict-headers", NULL, INT(strict_headers), 1},
	{"--local-redirect", NULL, INT(local_redirect), 1},
	{"--watchdog", "5s", WIDE(watchdog), 5000},
	{"--max-body", "0", WIDE(max_body), 0},
	{"--max-body", "17", WIDE(max_body), 17},
	{"--max-body", "64K", WIDE(max_body), 65536},
	{"--max-body", "10M", WIDE(max_body), 10 << 20},
	{"--max-body", "3G", WIDE(max_body), 3LL << 30},
	{"--max-body", "9223372036854775807", WIDE(max_body), INT64_MAX},
	{"--max-params", "1024", WIDE(max_params), 1024},
	{"--max-params", "64M", WIDE(max_params), 64 << 20},
	{"--log-level", "error", INT(log_level), LOG_LEVEL_ERROR},
	{"--access-log-format", "text", INT(access_log_format), 0},
	{"--access-log-format", "json", INT(access_log_format), 1},
	{"--log-level", "warn", INT(log_level), LOG_LEVEL_WARN},
	{"-l", "info", INT(log_level), LOG_LEVEL_INFO},
	{"-l", "debug", INT(log_level), LOG_LEVEL_DEBUG},
};

START_TEST(good_values_are_taken)
{
	const struct good *good = &goods[_i];
	struct options options;
	int narrow;
	int64_t wide;

	ck_assert_int_eq(PARSE(&options, good->option, good->value), OPTIONS_RUN);
	if (good->size == sizeof narrow) {
		memcpy(&narrow, (const char *)&options + good->member, sizeof narrow);
		wide = narrow;
	} else {
		memcpy(&wide, (const char *)&options + good->member, sizeof wide);
	}
	ck_assert_int_eq(wide, good->wanted);
	options_fini(&options);
}
END_TEST

static const struct bad {
	const char *option, *value;
	const char *hint; /* what the message has to say besides */
} bads[] = {
	{"--socket", "", "argument"}, {"--socket", "/run/x", "unix:"}, {"--socket", "unix:x", "absolute"},
	{"--socket", "tcp:1", "PORT"}, {"--socket", "fd:x", "number"},
	{"--socket-mode", "", "argument"}, {"--socket-mode", "8", "octal"},
	{"--socket-mode", "1000", "octal"}, {"--socket-mode", "-1", "octal"},
	{"--socket-mode", "66x", "octal"}, {"--socket-mode", "77777777777777777777777", "octal"},
	{"--socket-owner", "", "argument"}, {"--socket-owner", ":", "exist"},
	{"--socket-owner", "no such user", "exist"}, {"--socket-owner", "0:no such group", "exist"},
	{"--socket-owner", "4294967295", "exist"}, {"--socket-owner", "-1", "exist"},
	{"--socket-owner", ":0", "exist"}, {"--socket-owner", "0:", "exist"},
	{"--backlog", "0", "65535"}, {"--backlog", "65536", "65535"}, {"--backlog", "", "argument"},
	{"--workers", "0", "1024"}, {"--workers", "1025", "1024"}, {"--workers", "-1", "1024"},
	{"--workers", "1x", "number"}, {"--workers", " 1", "number"}, {"--workers", "+1", "number"},
	{"--workers", "99999999999999999999", "number"}, {"--workers", "4294967297", "number"},
	{"--max-scripts", "0", "65536"}, {"--max-scripts", "65537", "65536"},
	{"--queue", "-1", "number"}, {"--queue", "1000001", "1000000"},
	{"--queue-timeout", "0", "time"}, {"--queue-timeout", "1d", "time"},
	{"--timeout", "", "argument"}, {"--timeout", "-1", "time"}, {"--timeout", "8761h", "time"},
	{"--timeout", "1.5", "time"}, {"--timeout", "1 s", "time"}, {"--timeout", "s", "time"},
	{"--timeout", "9223372036854775807h", "time"}, {"--idle-timeout", "ms", "time"},
	{"--linger", "1S", "time"}, {"--kill-delay", "x", "time"}, {"--drain-timeout", "1hh", "time"},
	{"--on-disconnect", "", "argument"}, {"--on-disconnect", "KILL", "kill"},
	{"--on-disconnect", "kill|close", "kill"}, {"--on-disconnect", "kil", "kill"},
	{"--stderr", "off", "log|client|discard"},
	{"--max-body", "-1", "size"}, {"--max-body", "1k", "size"}, {"--max-body", "1KB", "size"},
	{"--max-body", "9223372036854775808", "size"}, {"--max-body", "9999999999G", "size"},
	{"--max-params", "1023", "size"}, {"--max-params", "65M", "size"},
	{"--spool-dir", "tmp", "directory"}, {"--spool-dir", "/nonexistent", "directory"},
	{"--status-path", "status", "path of a URL"}, {"--status-path", "/a?b", "path of a URL"},
	{"--ping-path", "", "argument"}, {"--ping-path", "/a b", "path of a URL"},
	{"--ping-path", "/%61", "path of a URL"},
	{"--chroot", "jail", "directory"}, {"--chroot", "/nonexistent", "directory"},
	{"--chroot", "/etc/passwd", "directory"},
	{"--user", "", "argument"}, {"--user", "no such user", "no such user"},
	{"--user", "3999999999", "give --group"}, {"--user", "-1", "no such user"},
	{"--group", "", "argument"}, {"--group", "no such group", "no such group"},
	{"--allow", "", "argument"}, {"--allow", "example.org", "address"},
	{"--allow", "10.0.0.0/33", "0 to 32"}, {"--allow", "10.1.2.3/8", "10.0.0.0/8"},
	{"--allow-user", "", "argument"}, {"--allow-user", "no such user", "no such user"},
	{"--socket", "tcp:0.0.0.0:9000", "--allow"}, {"--socket", "tcp6:[::]:9000", "--allow"},
	{"--socket", "tcp:192.0.2.1:9000", "127.0.0.1"},
	{"--program", "relative", "absolute"}, {"--program", "", "argument"},
	{"--root", "relative", "absolute"},
	{"--handler", "", "argument"}, {"--handler", "pl=/bin/x", ".EXT"}, {"--handler", ".pl", ".EXT"},
	{"--handler", ".pl=perl", "absolute"}, {"--handler", ".=/bin/x", ".EXT"},
	{"--handler", ".a/b=/bin/x", ".EXT"}, {"--handler", ".a=b=/bin/x", ".EXT"},
	{"--env", "", "argument"}, {"--env", "=x", "NAME"}, {"--env", "=", "NAME"}, {"--env", "1A", "NAME"}, {"--env", "A-B=1", "NAME"},
	{"--limit", "", "argument"}, {"--limit", "cpu", "nofile"}, {"--limit", "memory=1", "nofile"},
	{"--limit", "cp=1", "nofile"}, {"--limit", "cpu=", "nofile"}, {"--limit", "cpu=x", "nofile"},
	{"--limit", "as=-1", "nofile"}, {"--limit", "nofile=1K", "nofile"}, {"--limit", "=1", "nofile"},
	{"--log-level", "loud", "error|warn|info|debug"}, {"--syslog-socket", "log", "absolute"},
	{"--access-log", "log", "absolute"}, {"--access-log", "", "argument"},
	{"--access-log-format", "xml", "text|json"},
};

START_TEST(bad_values_are_refused_with_option_value_and_what_would_be_right)
{
	const struct bad *bad = &bads[_i];
	struct options options;
	enum options_verdict verdict;
	char quoted[64];
	const char *said;

	capture_begin();
	verdict = PARSE(&options, bad->option, bad->value);
	said = capture_end();
	ck_assert_int_eq(verdict, OPTIONS_USAGE);
	ck_assert_ptr_nonnull(strstr(said, bad->option));
	if (bad->value[0] != '\0') { /* an empty word is none */
		snprintf(quoted, sizeof quoted, "'%s'", bad->value);
		ck_assert_ptr_nonnull(strstr(said, quoted));
	}
	ck_assert_msg(strstr(said, bad->hint) != NULL, "no \"%s\" in: %s", bad->hint, said);
	ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1); /* one line */
	options_fini(&options);
}
END_TEST

static const struct {
	const char *args[ARGS];
	const char *named; /* what the message names */
} misuses[] = {
	{{"--nonsense"}, "--nonsense"},
	{{"-z"}, "-z"},
	{{"--workers"}, "--workers"},
	{{"-c"}, "-c"},
	{{"-c", "1", "--timeout"}, "--timeout"},
	{{"--help=yes"}, "--help"},
	{{"--socket-"}, "--socket-"}, /* may be two */
	{{"argument"}, "argument"},
	{{"-c", "1", "argument"}, "argument"},
	{{"--", "argument"}, "argument"},
	{{"argument", "--nonsense"}, "argument"}, /* the first one that is wrong */
	{{"--nonsense", "argument"}, "--nonsense"},
	{{"-fz"}, "-z"},
};

START_TEST(misuse_is_named)
{
	struct options options;
	enum options_verdict verdict;
	const char *said;

	capture_begin();
	verdict = parse(&options, misuses[_i].args);
	said = capture_end();
	ck_assert_int_eq(verdict, OPTIONS_USAGE);
	ck_assert_msg(strstr(said, misuses[_i].named) != NULL, "\"%s\" is not named in: %s",
	    misuses[_i].named, said);
	options_fini(&options);
}
END_TEST

/* What is said of one wrong word, with its line end. */
static const struct {
	const char *word, *said;
} slips[] = {
	{"--timout", "--timout: unknown option; did you mean --timeout?\n"},
	{"--timout=5", "--timout: unknown option; did you mean --timeout?\n"},
	{"--wrokers", "--wrokers: unknown option; did you mean --workers?\n"},
	{"--chrot", "--chrot: unknown option; did you mean --chroot?\n"},
	{"--usr", "--usr: unknown option; did you mean --user?\n"},
	{"--max-skripts", "--max-skripts: unknown option; did you mean --max-scripts?\n"},
	{"--nonsense", "--nonsense: unknown option (see --help)\n"},
	{"--foo", "--foo: unknown option (see --help)\n"},
	{"--x", "--x: unknown option (see --help)\n"},
	{"-z", "-z: unknown option (see --help)\n"},
	{"--max", "--max: ambiguous: --max-scripts, --max-body, --max-params\n"},
	{"--max-b", "--max-b: expected an argument\n"},
	{"--check=1", "--check: it takes no argument\n"},
	{"--handler-al=1", "--handler-al: it takes no argument\n"},
	{"-c", "-c: expected an argument\n"},
	{"--workers", "--workers: expected an argument\n"},
};

START_TEST(a_slip_has_a_hint)
{
	struct options options;
	const char *said;

	capture_begin();
	ck_assert_int_eq(PARSE(&options, slips[_i].word), OPTIONS_USAGE);
	said = capture_end();
	ck_assert_str_eq(said, slips[_i].said);
	options_fini(&options);
}
END_TEST

/* Options in a file, and what is said of the one that is wrong, behind the file's name. */
static const struct {
	const char *content, *said;
} wrong_files[] = {
	{"-c 1\n\n--timeout soon\n", ":3: --timeout 'soon': expected a time"},
	{"-c 1\n\n--timeout=soon\n", ":3: --timeout 'soon': expected a time"},
	{"-c 1\n-fz\n", ":2: -z: unknown option"},
	{"-c 1 # one\n# two\n--timout 5\n", ":3: --timout: unknown option; did you mean --timeout?"},
	{"\n-c", ":2: -c: expected an argument"},
	{"-c 1\n--env 'A=\n\n'\nrest", ":5: rest: expected only options"},
	{"-c 1\n--env 'A=\n\n'\n--env 'open\n\n", ":5: unclosed quote"},
	{"\n--user 'no such user'\n", ":2: --user 'no such user': "},
	{"-u root\n\n-g none-such\n", ":3: --group 'none-such': "},
	{"\n--chroot /nonexistent\n-c 1", ":2: --chroot '/nonexistent': "},
	{"\n\n--spool-dir /nonexistent", ":3: --spool-dir '/nonexistent': "},
	{"-s tcp:127.0.0.1:1\n-s tcp:0.0.0.0:9\n-c 1", ":2: --socket 'tcp:0.0.0.0:9': "},
	{"--limit\nx", ":2: --limit 'x': expected NAME=VALUE"},
};

START_TEST(what_is_wrong_in_a_file_has_a_line)
{
	struct options options;
	char argument[300];
	char wanted[600];

	temp_make();
	temp_write("options", 0644, wrong_files[_i].content);
	snprintf(argument, sizeof argument, "@%s", temp_path("options"));
	snprintf(wanted, sizeof wanted, "%s%s", argument + 1, wrong_files[_i].said);
	capture_begin();
	ck_assert_int_eq(PARSE(&options, "-c", "2", argument), OPTIONS_USAGE);
	capture_end();
	ck_assert_msg(strncmp(fault.why.text, wanted, strlen(wanted)) == 0, "'%s' is not '%s'", fault.why.text,
	    wanted);
	options_fini(&options);
	temp_remove();
}
END_TEST

static char warned[4000];

static void keep_warning(const char *warning)
{
	snprintf(warned + strlen(warned), sizeof warned - strlen(warned), "%s\n", warning);
}

static const char *warnings_of(const char *const args[ARGS])
{
	struct options options;

	warned[0] = '\0';
	ck_assert_int_eq(parse(&options, args), OPTIONS_RUN);
	options_warn(&options, keep_warning);
	options_fini(&options);
	return warned;
}

#define WARNINGS(...) warnings_of((const char *const[ARGS]){__VA_ARGS__})

START_TEST(what_is_not_there_is_doubted)
{
	ck_assert_str_eq(WARNINGS("-r", "/usr", "-p", "/bin/sh", "--handler", ".x=/bin/sh -e"), "");
	ck_assert_str_eq(WARNINGS("-r", "/no/such", "-r", "/bin/sh", "-r", "/"),
	    "--root '/no/such': No such file or directory\n--root '/bin/sh': Not a directory\n");
	ck_assert_str_eq(WARNINGS("-p", "/no/such", "--handler", ".x=/no/such -e"),
	    "--program '/no/such': No such file or directory\n"
	    "--handler '.x=/no/such -e': No such file or directory\n");
	ck_assert_str_eq(WARNINGS("--handler", ".x=/etc/passwd"),
	    "--handler '.x=/etc/passwd': Permission denied\n");
}
END_TEST

START_TEST(lists_keep_their_order)
{
	struct options options;

	ck_assert_int_eq(PARSE(&options, "-s", "unix:/b", "--socket=unix:@a", "-stcp:127.0.0.1:1",
			     "-s", "fd:0"), OPTIONS_RUN);
	ck_assert_uint_eq(options.sockets.count, 4);
	ck_assert_str_eq(options.sockets.items[0].url, "unix:/b");
	ck_assert_str_eq(options.sockets.items[1].url, "unix:@a");
	ck_assert_str_eq(options.sockets.items[2].url, "tcp:127.0.0.1:1");
	ck_assert_str_eq(options.sockets.items[3].url, "fd:0");
	options_fini(&options);
	ck_assert_int_eq(PARSE(&options, "-p", "/a", "-p", "/b", "-r", "/c"), OPTIONS_RUN);
	ck_assert_uint_eq(options.programs.count, 2);
	ck_assert_str_eq(options.programs.items[1], "/b");
	ck_assert_uint_eq(options.roots.count, 1);
	ck_assert_str_eq(options.roots.items[0], "/c");
	options_fini(&options);
	ck_assert_int_eq(PARSE(&options, "--env", "A=b=c", "--env=D", "--handler", ".x=/y"),
	    OPTIONS_RUN);
	ck_assert_uint_eq(options.variables.count, 2);
	ck_assert_str_eq(options.variables.items[0].text, "A=b=c");
	ck_assert_str_eq(options.variables.items[1].text, "D");
	ck_assert_str_eq(options.handlers.items[0].text, ".x=/y");
	options_fini(&options);
}
END_TEST

START_TEST(of_a_repeated_option_the_last_one_counts)
{
	struct options options;

	ck_assert_int_eq(PARSE(&options, "-c", "3", "-c", "5"), OPTIONS_RUN);
	ck_assert_int_eq(options.workers, 5);
	options_fini(&options);
	ck_assert_int_eq(PARSE(&options, "-f", "--stderr", "discard"), OPTIONS_RUN);
	ck_assert_int_eq(options.stderr_to, STDERR_DISCARD);
	options_fini(&options);
	ck_assert_int_eq(PARSE(&options, "--stderr", "discard", "-f"), OPTIONS_RUN);
	ck_assert_int_eq(options.stderr_to, STDERR_CLIENT);
	options_fini(&options);
	/* an owner without a group leaves the group of an earlier one */
	ck_assert_int_eq(PARSE(&options, "--socket-owner", "7:8", "--socket-owner", "9"),
	    OPTIONS_RUN);
	ck_assert_uint_eq(options.socket_owner.uid, 9);
	ck_assert_uint_eq(options.socket_owner.gid, 8);
	options_fini(&options);
}
END_TEST

START_TEST(several_options_may_come_in_one_word)
{
	struct options options;

	ck_assert_int_eq(PARSE(&options, "-f -c 4", "", "--timeout 5s --queue  7", "-m 9"),
	    OPTIONS_RUN);
	ck_assert_int_eq(options.stderr_to, STDERR_CLIENT);
	ck_assert_int_eq(options.workers, 4);
	ck_assert_int_eq(options.timeout, 5000);
	ck_assert_int_eq(options.queue, 7);
	ck_assert_int_eq(options.max_scripts, 9);
	options_fini(&options);
	/* a blank elsewhere stays what it is */
	ck_assert_int_eq(PARSE(&options, "-s", "unix:/a b", "--socket=unix:/c d", "-p", "/-e f"),
	    OPTIONS_RUN);
	ck_assert_uint_eq(options.sockets.count, 2);
	ck_assert_str_eq(options.sockets.items[0].url, "unix:/a b");
	ck_assert_str_eq(options.sockets.items[1].url, "unix:/c d");
	ck_assert_str_eq(options.programs.items[0], "/-e f");
	options_fini(&options);
}
END_TEST

START_TEST(no_words_are_no_options)
{
	struct options options;

	ck_assert_int_eq(PARSE(&options, "", ""), OPTIONS_RUN);
	ck_assert_uint_eq(options.sockets.count, 0);
	options_fini(&options);
}
END_TEST

/* ---- --check ------------------------------------------------------------------------------- */

/* What options_print() writes. */
static const char *printed(const struct options *options)
{
	static char texts[2][8192];
	static unsigned next;
	char *text = texts[next++ % 2];
	FILE *out = tmpfile();
	size_t n;

	ck_assert_ptr_nonnull(out);
	options_print(options, out);
	rewind(out);
	n = fread(text, 1, sizeof texts[0] - 1, out);
	text[n] = '\0';
	fclose(out);
	return text;
}

static void check_line(const char *text, const char *line)
{
	ck_assert_msg(strstr(text, line) != NULL, "no \"%s\" in:\n%s", line, text);
}

START_TEST(what_is_in_effect_is_printed)
{
	struct options options;
	const char *text;

	ck_assert_int_eq(PARSE(&options, "-s", "unix:/run/it's a.sock", "-s", "fd:0", "-t1500ms",
			     "--max-body=64K"), OPTIONS_RUN);
	text = printed(&options);
	check_line(text, "--socket 'unix:/run/it'\\''s a.sock'\n--socket fd:0\n");
	check_line(text, "--socket-mode 0660\n");
	check_line(text, "--timeout 1500ms\n");
	check_line(text, "--idle-timeout 300s\n");
	check_line(text, "--max-body 64K\n");
	check_line(text, "--on-disconnect kill\n");
	check_line(text, "--log-level info\n");
	ck_assert_ptr_null(strstr(text, "--clear-env"));
	ck_assert_ptr_null(strstr(text, "--check"));
	ck_assert_ptr_null(strstr(text, "--socket-owner"));
	ck_assert_ptr_null(strstr(text, "--program"));
	options_fini(&options);
	ck_assert_int_eq(PARSE(&options, "--clear-env", "--env=A=b c", "--limit=core=0"), OPTIONS_RUN);
	text = printed(&options);
	check_line(text, "\n--env 'A=b c'\n--clear-env\n--limit core=0\n");
	options_fini(&options);
}
END_TEST

/* Parses the lines of `text`, none of which needs a shell. */
static void parse_lines(struct options *options, const char *text)
{
	char copy[8192];
	const char *argv[100];
	int argc = 1;

	snprintf(copy, sizeof copy, "%s", text);
	argv[0] = copy;
	for (char *word = strtok(copy, " \n"); word != NULL; word = strtok(NULL, " \n"))
		argv[argc++] = word;
	argv[argc] = NULL;
	ck_assert_int_eq(options_parse(options, argc, argv, &fault), OPTIONS_RUN);
}

START_TEST(what_is_printed_can_be_given_again)
{
	const struct good *good = &goods[_i];
	struct options options;
	struct options again;
	const char *text;

	ck_assert_int_eq(PARSE(&options, good->option, good->value), OPTIONS_RUN);
	text = printed(&options);
	parse_lines(&again, text);
	ck_assert_str_eq(printed(&again), text);
	options_fini(&options);
	options_fini(&again);
}
END_TEST

START_TEST(an_argument_may_be_left_out_of_syslog)
{
	struct options options;

	ck_assert_int_eq(PARSE(&options, "--syslog", "--log-level", "warn"), OPTIONS_RUN);
	ck_assert_str_eq(log_facility_name(options.syslog), "daemon");
	check_line(printed(&options), "\n--syslog=daemon\n");
	options_fini(&options);
	ck_assert_int_eq(PARSE(&options, "--syslog=local4"), OPTIONS_RUN);
	ck_assert_str_eq(log_facility_name(options.syslog), "local4");
	options_fini(&options);
	ck_assert_int_eq(PARSE(&options, "--log-level=info"), OPTIONS_RUN);
	ck_assert_ptr_null(strstr(printed(&options), "--syslog="));
	ck_assert_ptr_null(strstr(printed(&options), "--access-log "));
	options_fini(&options);
	capture_begin();
	ck_assert_int_eq(PARSE(&options, "--syslog="), OPTIONS_USAGE);
	ck_assert_ptr_nonnull(strstr(capture_end(), "--syslog '': expected a syslog facility"));
	options_fini(&options);
	capture_begin(); /* a word of its own is no argument of it */
	ck_assert_int_eq(PARSE(&options, "--syslog", "daemon"), OPTIONS_USAGE);
	ck_assert_ptr_nonnull(strstr(capture_end(), "daemon: expected only options"));
	options_fini(&options);
}
END_TEST

/* ---- help ------------------------------------------------------------------------------------ */

static const char *const names[] = {"--socket URL", "--socket-mode MODE",
    "--socket-owner USER[:GROUP]", "--backlog N", "--workers N", "--max-scripts N", "--queue N",
    "--queue-timeout TIME", "--program PATH", "--root DIR", "--timeout TIME",
    "--idle-timeout TIME", "--slow-log TIME", "--linger TIME", "--kill-delay TIME",
    "--drain-timeout TIME",
    "--on-disconnect WHAT", "--disconnect-grace TIME", "--stderr WHERE", "--max-body SIZE",
    "--max-params SIZE", "--spool-dir DIR", "--log-level LEVEL", "--handler .EXT=COMMAND",
    "--handler-always", "--preload INTERPRETER=COMMAND", "--preload-learn", "--query-args",
    "--env NAME[=VALUE]", "--clear-env", "--limit NAME=VALUE", "--error-detail", "--strict-headers",
    "--local-redirect",
    "--status-path PATH", "--ping-path PATH", "--syslog[=FACILITY]", "--syslog-socket PATH",
    "--access-log FILE", "--access-log-format FORM", "--watchdog TIME", "--user USER",
    "--group GROUP", "--chroot DIR", "--allow ADDR[/LEN]", "--allow-user USER", "--check",
    "--version", "--help"};
static const char letters[] = "scmprtflnVhug";

static char *help_text(void)
{
	static char text[16384];
	FILE *out = tmpfile();
	size_t n;

	ck_assert_ptr_nonnull(out);
	options_help(out);
	rewind(out);
	n = fread(text, 1, sizeof text - 1, out);
	text[n] = '\0';
	fclose(out);
	return text;
}

START_TEST(help_shows_every_option)
{
	const char *help = help_text();

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		ck_assert_msg(strstr(help, names[i]) != NULL, "%s is not in --help", names[i]);
	for (const char *letter = letters; *letter != '\0'; letter++) {
		char start[] = "\n  -?";

		start[4] = *letter;
		ck_assert_msg(strstr(help, start) != NULL, "-%c is not in --help", *letter);
	}
}
END_TEST

START_TEST(help_fits_a_terminal_and_shows_no_more)
{
	size_t options = 0;

	for (char *line = strtok(help_text(), "\n"); line != NULL; line = strtok(NULL, "\n")) {
		ck_assert_msg(strlen(line) < 80, "too long: %s", line);
		if (strncmp(line, "  -", 3) == 0 || strncmp(line, "      --", 8) == 0)
			options++;
	}
	ck_assert_uint_eq(options, sizeof names / sizeof *names + 1); /* -f has no long name */
}
END_TEST

START_TEST(help_version_and_check_are_answered_and_that_is_all)
{
	struct options options[6];
	int kept = dup(STDOUT_FILENO);
	int null = open("/dev/null", O_WRONLY);
	enum options_verdict verdicts[6];

	ck_assert(kept >= 0 && null >= 0);
	fflush(stdout);
	dup2(null, STDOUT_FILENO);
	verdicts[0] = PARSE(&options[0], "--help");
	verdicts[1] = PARSE(&options[1], "-h", "--nonsense");
	verdicts[2] = PARSE(&options[2], "-c", "1", "-V");
	verdicts[3] = PARSE(&options[3], "--version");
	verdicts[4] = PARSE(&options[4], "-n", "-c", "2");
	verdicts[5] = PARSE(&options[5], "--check");
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	close(null);
	for (int i = 0; i < 6; i++) {
		ck_assert_int_eq(verdicts[i], OPTIONS_DONE);
		options_fini(&options[i]);
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, the_defaults_are_those_of_the_help);
	tcase_add_test(tcase, the_spool_directory_is_tmpdir);
	tcase_add_test(tcase, who_may_connect_comes_from_three_places);
	tcase_add_test(tcase, addresses_in_the_environment_have_to_be_right);
	tcase_add_test(tcase, the_spool_directory_is_below_the_new_root);
	tcase_add_loop_test(tcase, good_values_are_taken, 0, sizeof goods / sizeof *goods);
	tcase_add_loop_test(tcase, bad_values_are_refused_with_option_value_and_what_would_be_right,
	    0, sizeof bads / sizeof *bads);
	tcase_add_loop_test(tcase, misuse_is_named, 0, sizeof misuses / sizeof *misuses);
	tcase_add_test(tcase, what_is_not_there_is_doubted);
	tcase_add_loop_test(tcase, a_slip_has_a_hint, 0, sizeof slips / sizeof *slips);
	tcase_add_loop_test(tcase, what_is_wrong_in_a_file_has_a_line, 0,
	    sizeof wrong_files / sizeof *wrong_files);
	tcase_add_test(tcase, lists_keep_their_order);
	tcase_add_test(tcase, of_a_repeated_option_the_last_one_counts);
	tcase_add_test(tcase, several_options_may_come_in_one_word);
	tcase_add_test(tcase, no_words_are_no_options);
	tcase_add_test(tcase, what_is_in_effect_is_printed);
	tcase_add_loop_test(tcase, what_is_printed_can_be_given_again, 0,
	    sizeof goods / sizeof *goods);
	tcase_add_test(tcase, an_argument_may_be_left_out_of_syslog);
	tcase_add_test(tcase, help_shows_every_option);
	tcase_add_test(tcase, help_fits_a_terminal_and_shows_no_more);
	tcase_add_test(tcase, help_version_and_check_are_answered_and_that_is_all);
}

int main(void)
{
	return check_main("options", add);
}

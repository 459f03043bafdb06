/* SPDX-License-Identifier: ISC */
/*
 * check_memory: each allocation fails once, the first, the second and so on: what was asked for
 * is refused for lack of memory or done all the same, nothing is left over, and the next
 * attempt succeeds.  So does each attempt to watch a descriptor, which takes memory of the
 * kernel's.  The linker puts these functions in place of malloc(3) and its like.
 */
#include "check_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "cgi/arguments.h"
#include "cgi/script.h"
#include "config/cmdline.h"
#include "fcgi/record.h"

/* ---- in place of malloc ---------------------------------------------------------- */

int __real_fclose(FILE *file);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
int __wrap_fclose(FILE *file);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);

static bool armed;  /* the code that is tested runs: Check allocates, too */
static int before;  /* how many more allocations succeed, before the one that fails */
static bool failed; /* one has failed */

static bool may_go_on(void)
{
	if (!armed || failed || before-- > 0)
		return true;
	failed = true;
	errno = ENOMEM;
	return false;
}

/* A call that succeeds may change errno: what has failed before it is to be told all the same. */
static void *succeed(void *memory)
{
	if (armed)
		errno = EXDEV;
	return memory;
}

void *__wrap_malloc(size_t size)
{
	return may_go_on() ? succeed(__real_malloc(size)) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return may_go_on() ? succeed(__real_calloc(count, size)) : NULL;
}

void *__wrap_realloc(void *memory, size_t size)
{
	return may_go_on() ? succeed(__real_realloc(memory, size)) : NULL;
}

char *__wrap_strdup(const char *text)
{
	return may_go_on() ? succeed(__real_strdup(text)) : NULL;
}

int __wrap_fclose(FILE *file)
{
	int failure = __real_fclose(file);

	(void)succeed(NULL);
	return failure;
}

/* Calls `attempt` until it needs no allocation that fails; it says whether all went well. */
static void fail_each(bool (*attempt)(void *context), void *context)
{
	int n = 0;

	do {
		bool done;

		failed = false;
		before = n++;
		done = attempt(context);
		ck_assert(done || failed);
		ck_assert_int_lt(n, 1000);
	} while (failed);
	ck_assert_int_gt(n, 1);
}

/* ---- parameters and scripts -------------------------------------------------------- */

static void put_param(struct params *params, const char *name, const char *value)
{
	struct fcgi_pair pair = {(const unsigned char *)name, strlen(name),
	    (const unsigned char *)value, strlen(value)};
	unsigned char bytes[8192];

	ck_assert_uint_le(fcgi_pair_size(pair.name_len, pair.value_len), sizeof bytes);
	ck_assert_int_eq(params_feed(params, bytes, fcgi_put_pair(bytes, &pair)), 0);
}

static bool attempt_params(void *context)
{
	static const unsigned char pairs_of[] = "\1\1Ab\6\1HTTP_Ac\6\1HTTP_Ad";
	static const struct environment none;
	struct params params;
	char **vector = NULL;
	bool done;

	(void)context;
	params_init(&params, 1024);
	armed = true;
	done = params_feed(&params, pairs_of, sizeof pairs_of - 1) == 0 && params_decode(&params) == 0 &&
	    params_set(&params, "X", "y") == 0;
	if (done)
		vector = params_environ(&params, &none);
	armed = false;
	if (vector != NULL)
		ck_assert_str_eq(params_get(&params, "HTTP_A"), "c, d");
	else
		ck_assert_int_eq(errno, ENOMEM);
	free(vector);
	params_fini(&params);
	return vector != NULL;
}

START_TEST(parameters)
{
	fail_each(attempt_params, NULL);
}
END_TEST

/* How a script is named. */
struct named {
	const char *file, *info, *root, *name;
	bool handled;
	size_t padding; /* of the parameters: which value finds no room left differs with it */
};

static char padding[1024];

static bool attempt_script(void *context)
{
	const struct named *named = context;
	static char program[] = "/bin/true", *argv[] = {program, NULL};
	static struct value_handler handler = {".cgi", 4, argv, 1};
	struct options with = {.handlers = {&handler, named->handled ? 1 : 0}, .handler_always = 1};
	struct script_refusal refusal = {.status = 0};
	struct stat info;
	struct params params;
	char **made = NULL;
	bool done;

	params_init(&params, 16 * 1024);
	if (named->padding > 0)
		put_param(&params, "PADDING", padding + sizeof padding - named->padding);
	if (named->file != NULL)
		put_param(&params, "SCRIPT_FILENAME", named->file);
	if (named->info != NULL)
		put_param(&params, "PATH_INFO", named->info);
	if (named->root != NULL)
		put_param(&params, "DOCUMENT_ROOT", named->root);
	if (named->name != NULL)
		put_param(&params, "SCRIPT_NAME", named->name);
	armed = true;
	done = params_decode(&params) == 0 && script_resolve(&params, &with, &info, &refusal) == 0;
	if (done) {
		const char *script = params_get(&params, "SCRIPT_FILENAME");

		made = arguments_new(&with, &params, script, arguments_handler(&with, script));
	}
	armed = false;
	ck_assert_msg(done || refusal.status == 503 || refusal.status == 0, "%s", refusal.reason);
	done = made != NULL;
	free(made);
	params_fini(&params);
	return done;
}

START_TEST(scripts)
{
	static char file[512], deep[6000], encoded[600], directory[512], root[512];
	struct named named[] = {{file, NULL, NULL, "/x.cgi", true, 0}, {deep, NULL, root, "/x.cgi/i", true, 0},
	    {encoded, NULL, root, "/x.cgi/%", false, 0}, {directory, "/x.cgi/more", root, "", true, 0},
	    {NULL, NULL, root, "/x.cgi/more", true, 0}, {NULL, NULL, root, deep, false, 0}};

	script("x.cgi", "");
	snprintf(root, sizeof root, "%s/", temp_dir());
	snprintf(file, sizeof file, "%s", temp_path("x.cgi"));
	snprintf(directory, sizeof directory, "%s", temp_dir());
	snprintf(encoded, sizeof encoded, "proxy:fcgi://h%s/%%78.cgi/%%25", temp_dir());
	snprintf(deep, sizeof deep, "%s/%05000d", temp_path("x.cgi"), 0);
	named[5].name = deep + strlen(temp_dir());
	for (size_t i = 0; i < sizeof named / sizeof *named; i++)
		fail_each(attempt_script, &named[i]);
	memset(padding, 'x', sizeof padding - 1);
	for (named[0].padding = 1; named[0].padding < sizeof padding; named[0].padding += 8)
		fail_each(attempt_script, &named[0]);
}
END_TEST

/* ---- options ------------------------------------------------------------------------ */

static bool attempt_options(void *context)
{
	static const char *const argv[] = {"cgibridge", "-s", "unix:/run/a.sock", "-s", "fd:3",
	    "--handler", ".php=/bin/true -x", "--root", "/", "--program", "/bin/true", "--env", "A=b",
	    "--limit", "core=0", "--allow", "10.0.0.0/8", "--allow-user", "0", "-f -c 3",
	    "--preload", "/usr/bin/perl=/bin/true -x", NULL};
	struct options parsed;
	struct options_fault fault;
	enum options_verdict verdict;

	(void)context;
	armed = true;
	verdict = options_parse(&parsed, (int)(sizeof argv / sizeof *argv) - 1, argv, &fault);
	armed = false;
	ck_assert_msg(verdict == OPTIONS_RUN || strstr(fault.why.text, "memory") != NULL, "%s",
	    fault.why.text);
	options_fini(&parsed);
	return verdict == OPTIONS_RUN;
}

/* A file of options, and what is said of it in the end. */
struct named_file {
	const char *argument;
	int error; /* 0: it is read */
};

static bool attempt_file(void *context)
{
	const struct named_file *file = context;
	const char *const argv[] = {"cgibridge", file->argument, NULL};
	struct cmdline cmdline;
	struct fault why = {""};
	int got;

	armed = true;
	got = cmdline_init(&cmdline, 2, argv, &why);
	armed = false;
	cmdline_fini(&cmdline);
	if (got == 0)
		return true;
	if (file->error != 0 && strstr(why.text, strerror(file->error)) != NULL)
		return true;
	ck_assert_msg(strstr(why.text, strerror(ENOMEM)) != NULL, "%s", why.text);
	return false;
}

START_TEST(command_line)
{
	fail_each(attempt_options, NULL);
}
END_TEST

START_TEST(files_of_options)
{
	char argument[512];
	struct named_file files[] = {{argument, 0}, {"@/no/such/file", ENOENT}, {"@/", EISDIR},
	    {"@/dev/zero", EFBIG}};

	temp_write("options", 0600, "-f\n--timeout '5s'\n");
	snprintf(argument, sizeof argument, "@%s", temp_path("options"));
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		fail_each(attempt_file, &files[i]);
}
END_TEST

/* ---- requests ------------------------------------------------------------------------- */

static bool is_over(void)
{
	receive();
	return eof || answers[1].ends > 0;
}

static void take_turn(int ms)
{
	int turned;

	armed = true;
	turned = loop_turn(loop, ms);
	armed = false;
	ck_assert_int_eq(turned, 0);
}

/* The connection is closed, its script has ended, and nothing is left of either. */
static void clean_up(int fds)
{
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
	ck_assert(turn_until(loop, nothing_is_left, NULL));
	turn_for(loop, 0);
	ck_assert_int_eq(count_fds(), fds);
}

/* Sends the request in `stream`; whether its whole answer has come. */
static bool attempt_exchange(void (*put_request)(void), int sndbuf)
{
	int fds;
	bool done;

	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
	turn_for(loop, 0);
	fds = count_fds();
	dial_narrow(sndbuf);
	put_request();
	send_stream();
	for (int i = 0; i < 20 && sndbuf > 0; i++)
		take_turn(1);
	for (int64_t end = loop_clock(loop) + patience(20000); !is_over(); take_turn(10))
		ck_assert_int_lt(loop_clock(loop), end);
	done = answers[1].ends == 1 && answers[1].status == FCGI_REQUEST_COMPLETE &&
	    answers[1].out != NULL && strncmp((char *)answers[1].out, "Status: 5", 9) != 0;
	clean_up(fds);
	return done;
}

static void put_echo(void)
{
	put_post(1, FCGI_KEEP_CONN, "echo.cgi", "5");
	put(FCGI_STDIN, 1, "hello");
	put(FCGI_STDIN, 1, "");
}

static void put_collected(void)
{
	put_post(1, FCGI_KEEP_CONN, "echo.cgi", NULL);
	put(FCGI_STDIN, 1, "hello");
	put(FCGI_STDIN, 1, "");
}

static void put_much(void)
{
	put_get(1, FCGI_KEEP_CONN, "much.cgi");
}

static void put_status(void)
{
	put_begin(1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	add_pair("QUERY_STRING", "json");
	add_pair("REQUEST_URI", "/status");
	add_pair("REQUEST_METHOD", "GET");
	ck_assert_int_eq(record_put_stream(&stream, FCGI_PARAMS, 1, buf_bytes(&pairs),
			     buf_len(&pairs)), 0);
	buf_fini(&pairs);
	put(FCGI_PARAMS, 1, "");
	put(FCGI_STDIN, 1, "");
}

static bool attempt_echo(void *context)
{
	(void)context;
	return attempt_exchange(put_echo, 0);
}

static bool attempt_collected(void *context)
{
	(void)context;
	return attempt_exchange(put_collected, 0);
}

static bool attempt_much(void *context)
{
	(void)context;
	return attempt_exchange(put_much, 4096);
}

static bool attempt_status(void *context)
{
	(void)context;
	return attempt_exchange(put_status, 0);
}

START_TEST(a_request)
{
	options.slow_log = 60000;
	script("echo.cgi", "echo complaint >&2\n" HEAD "cat\n");
	script("much.cgi", HEAD "head -c 30000 /dev/zero\n");
	fail_each(attempt_echo, NULL);
	fail_each(attempt_collected, NULL);
	options.stderr_to = STDERR_CLIENT;
	fail_each(attempt_echo, NULL);
	fail_each(attempt_much, NULL);
	options.status_path = "/status";
	fail_each(attempt_status, NULL);
}
END_TEST

/* One after the other, all that a request watches: its script's pipes. */
START_TEST(a_request_without_watches)
{
	bool done = false;
	int n;

	script("echo.cgi", "echo complaint >&2\n" HEAD "cat\n");
	failed = true; /* no allocation fails */
	for (n = 0; !done && n < 100; n++) {
		int fds;

		dial_narrow(0);
		put_echo();
		send_stream();
		fds = count_fds();
		watch_at_most(n);
		for (int64_t end = loop_clock(loop) + patience(20000); !is_over(); take_turn(10))
			ck_assert_int_lt(loop_clock(loop), end);
		watch_at_most(-1);
		ck_assert_int_eq(answers[1].ends, 1);
		done = strncmp((char *)answers[1].out, "Status: 503", 11) != 0;
		hang_up();
		ck_assert(turn_until(loop, is_idle, NULL));
		ck_assert(turn_until(loop, nothing_is_left, NULL));
		turn_for(loop, 0);
		ck_assert_int_lt(count_fds(), fds);
	}
	ck_assert(done);
	ck_assert_int_gt(n, 1);
}
END_TEST

/* -1 with errno, with nothing left open. */
static int open_conn(bool without_memory)
{
	int open = count_fds();
	struct address_peer peer = {.len = sizeof(sa_family_t)};
	int fds[2];
	int opened, error;

	peer.addr.any.sa_family = AF_UNIX;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(sys_nonblock(fds[1]), 0);
	failed = false;
	before = 0;
	armed = without_memory;
	opened = conn_open(&owner, fds[1], &peer);
	error = errno;
	armed = false;
	close(fds[0]);
	ck_assert_int_eq(count_fds(), open);
	errno = error;
	return opened;
}

START_TEST(a_connection)
{
	ck_assert_int_eq(open_conn(true), -1);
	ck_assert_int_eq(errno, ENOMEM);
	watch_at_most(0);
	ck_assert_int_eq(open_conn(false), -1);
	ck_assert_int_eq(errno, ENOSPC);
	watch_at_most(-1);
}
END_TEST

/* ---- what is not part of a request's answer -------------------------------------------- */

/* A line in three pieces, the second of which is a line's end. */
static bool attempt_stderr(void *context)
{
	static const char *const pieces[] = {"a long ", "line\nand", "more"};
	struct errlog errlog;
	const char *log;
	int fds[2];

	(void)context;
	ck_assert_int_eq(sys_pipe(fds, SYS_PIPE_READ), 0);
	errlog_init(&errlog, loop, NULL);
	errlog_attach(&errlog, fds[0], "/srv/x", 4711, 7);
	capture_begin();
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(write(fds[1], pieces[i], strlen(pieces[i])),
		    (ssize_t)strlen(pieces[i]));
		armed = true; /* not for Check */
		errlog_read(&errlog);
		armed = false;
	}
	armed = true;
	errlog_finish(&errlog);
	armed = false;
	log = capture_end();
	close(fds[1]);
	errlog_fini(&errlog);
	return strstr(log, "a long line\n") != NULL && strstr(log, "andmore\n") != NULL &&
	    strstr(log, "dropped") == NULL;
}

START_TEST(lines_of_stderr)
{
	log_open(LOG_LEVEL_WARN, LOG_FORM_PLAIN);
	fail_each(attempt_stderr, NULL);
}
END_TEST

static bool attempt_board(void *context)
{
	struct scoreboard *first = scoreboard_new(1, 1);
	struct scoreboard_share share;
	struct scoreboard *second;
	int fds;

	(void)context;
	ck_assert_ptr_nonnull(first);
	fds = count_fds();
	share = scoreboard_share(first);
	share.fd = dup(share.fd);
	for (int end = 0; end < 2; end++)
		share.wake[end] = dup(share.wake[end]);
	armed = true;
	second = scoreboard_adopt(&share);
	armed = false;
	if (second == NULL) {
		ck_assert_int_eq(errno, ENOMEM);
		ck_assert_int_eq(count_fds(), fds);
		scoreboard_free(&first);
		return false;
	}
	scoreboard_free(&second);
	scoreboard_free(&first);
	return true;
}

START_TEST(the_counters_of_a_reload)
{
	fail_each(attempt_board, NULL);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, bench_setup, bench_teardown);
	tcase_add_test(tcase, parameters);
	tcase_add_test(tcase, scripts);
	tcase_add_test(tcase, command_line);
	tcase_add_test(tcase, files_of_options);
	tcase_add_test(tcase, a_request);
	tcase_add_test(tcase, a_request_without_watches);
	tcase_add_test(tcase, a_connection);
	tcase_add_test(tcase, lines_of_stderr);
	tcase_add_test(tcase, the_counters_of_a_reload);
}

int main(void)
{
	return check_main("memory", add);
}

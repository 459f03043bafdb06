/* SPDX-License-Identifier: ISC */
/*
 * check_conn: a connection with its requests and scripts, whole, in one process.  The
 * client is the other end of a socket pair; what it gets is independent of how what it
 * sends is split.
 */
#include "check_util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridge/conn.h"
#include "base/log.h"
#include "fcgi/record.h"
#include "base/sys.h"

/* ---- the bridge's side ---------------------------------------------------------------- */

enum { SLOTS = 4, CONTENT_MAX = 4 << 20 };

static struct options options;
static struct loop *loop;
static struct scoreboard *board;
static struct environment environment;
static struct admission admission;
static struct children children;
static struct relay_scratch scratch;
static struct flaw_log flaws;
static struct request_services services;
static struct request_sink sink;
static struct left_list left;
static struct conn_times times;
static struct conn_owner owner;
static int closed; /* connections */

static void on_opened(struct conn_owner *of)
{
	ck_assert_uint_gt(of->count, 0);
}

static void on_closed(struct conn_owner *of)
{
	ck_assert_ptr_eq(of, &owner);
	closed++;
}

static void on_signal(void *context, int signo)
{
	(void)context;
	(void)signo;
}

static void set_options(void)
{
	memset(&options, 0, sizeof options);
	options.workers = 3;
	options.max_scripts = SLOTS;
	options.queue = 8;
	options.queue_timeout = 3600 * 1000;
	options.linger = 100;
	options.kill_delay = 50;
	options.max_body = 1 << 20;
	options.max_params = 16 * 1024;
	options.spool_dir = temp_dir();
}

static void open_services(void)
{
	static const int signals[] = {SIGTERM, 0};
	static char path[] = "PATH=/usr/bin:/bin";
	static char *base[] = {path, NULL};

	loop = loop_new();
	board = scoreboard_new(1, SLOTS);
	ck_assert(loop != NULL && board != NULL);
	ck_assert_int_eq(loop_signals(loop, signals, on_signal, NULL), 0);
	ck_assert_int_eq(children_init(&children, loop, board, options.kill_delay), 0);
	ck_assert_int_eq(environment_init(&environment, base, NULL), 0);
	admission_init(&admission, loop, board, &options, 0);
	services = (struct request_services){.loop = loop,
	    .options = &options,
	    .environment = &environment,
	    .admission = &admission,
	    .children = &children,
	    .scratch = &scratch,
	    .flaws = &flaws,
	    .sink = &sink,
	    .left = &left};
	left_init(&left, loop, &children);
	request_sink_init(&sink, &services);
	times = conn_times;
	owner = (struct conn_owner){.services = &services,
	    .times = &times,
	    .max = 100,
	    .opened = on_opened,
	    .closed = on_closed};
	owner.scratch = malloc(CONN_SCRATCH);
	ck_assert_ptr_nonnull(owner.scratch);
}

static void close_services(void)
{
	conn_close_all(&owner);
	request_sink_stop(&sink);
	left_fini(&left);
	children_fini(&children);
	ck_assert_int_eq(loop_turn(loop, 0), 0); /* what was closed frees itself */
	ck_assert_int_eq(scoreboard_running(board), 0);
	admission_fini(&admission);
	environment_fini(&environment);
	free(owner.scratch);
	scoreboard_free(&board);
	loop_free(&loop);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* ---- the client's side ------------------------------------------------------------------- */

/* What has come back for one request id. */
struct answer {
	unsigned char *out; /* STDOUT, all records */
	size_t len;
	size_t first_len;   /* of the first record */
	size_t stderr_len;
	int ends;
	uint32_t app_status;
	unsigned status;
};

static int client = -1;
static struct buf stream; /* what is to be sent */
static struct buf input;  /* what has come and is no whole record yet */
static struct answer answers[10];
static bool eof;
static unsigned char management[1024]; /* contents of records with id 0 */
static size_t management_len;
static unsigned management_type;

static void forget_answers(void)
{
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		free(answers[i].out);
		answers[i] = (struct answer){.out = NULL};
	}
	buf_consume(&input, buf_len(&input));
	management_len = 0;
	management_type = 0;
	eof = false;
}

static void hang_up(void)
{
	if (client >= 0)
		close(client);
	client = -1;
}

/* A new connection, on which little is on its way; the old one is gone. */
static void dial_narrow(int sndbuf)
{
	struct address_peer peer = {.len = sizeof(sa_family_t)};
	int fds[2];

	hang_up();
	forget_answers();
	buf_consume(&stream, buf_len(&stream));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	for (int i = 0; i < 2; i++)
		ck_assert(sys_nonblock(fds[i]) == 0 && sys_cloexec(fds[i]) == 0);
	client = fds[0];
	peer.addr.any.sa_family = AF_UNIX;
	if (sndbuf > 0)
		ck_assert_int_eq(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf), 0);
	ck_assert_int_eq(conn_open(&owner, fds[1], &peer), 0);
}

static void dial(void)
{
	dial_narrow(0);
}

static void setup(void)
{
	signals_keep();
	temp_make();
	log_open(LOG_LEVEL_ERROR, LOG_FORM_PLAIN);
	set_options();
	open_services();
	buf_init(&stream, 8 << 20);
	buf_init(&input, 1 << 20);
	dial();
	closed = 0;
}

static void teardown(void)
{
	hang_up();
	close_services();
	forget_answers();
	buf_fini(&stream);
	buf_fini(&input);
	log_open(LOG_LEVEL_INFO, LOG_FORM_PLAIN);
	signals_restore();
	temp_remove();
}

static void take_stdout(struct answer *answer, const unsigned char *bytes, size_t len)
{
	unsigned char *out = realloc(answer->out, answer->len + len + 1);

	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(answer->ends, 0);
	memcpy(out + answer->len, bytes, len);
	answer->out = out;
	answer->first_len = answer->len == 0 ? len : answer->first_len;
	answer->len += len;
	answer->out[answer->len] = '\0';
}

static void take_record(unsigned type, unsigned id, const unsigned char *bytes, size_t len)
{
	struct answer *answer = &answers[id];

	ck_assert_uint_lt(id, sizeof answers / sizeof *answers);
	if (id == 0) {
		management_type = type;
		management_len = len;
		memcpy(management, bytes, len);
	} else if (type == FCGI_STDOUT) {
		take_stdout(answer, bytes, len);
	} else if (type == FCGI_STDERR) {
		answer->stderr_len += len;
	} else {
		ck_assert_uint_eq(type, FCGI_END_REQUEST);
		fcgi_get_end(bytes, &answer->app_status, &answer->status);
		answer->ends++;
	}
}

static void take_records(void)
{
	while (buf_len(&input) >= FCGI_HEADER_LEN) {
		const unsigned char *at = buf_bytes(&input);
		size_t len = (size_t)(at[4] << 8 | at[5]);
		size_t size = FCGI_HEADER_LEN + len + at[6];

		ck_assert_uint_eq(at[0], FCGI_VERSION_1);
		ck_assert_uint_eq(size % 8, 0);
		if (buf_len(&input) < size)
			return;
		take_record(at[1], (unsigned)(at[2] << 8 | at[3]), at + FCGI_HEADER_LEN, len);
		buf_consume(&input, size);
	}
}

/* Reads what has come. */
static void receive(void)
{
	for (;;) {
		unsigned char *to = buf_reserve(&input, 65536);
		ssize_t n;

		ck_assert_ptr_nonnull(to);
		n = read(client, to, 65536);
		if (n <= 0) {
			eof = eof || n == 0 || errno == ECONNRESET;
			return;
		}
		buf_commit(&input, (size_t)n);
		take_records();
	}
}

static bool has_ended(void *context)
{
	receive();
	return answers[*(int *)context].ends > 0;
}

static void wait_for_end(int id)
{
	ck_assert_msg(turn_until(loop, has_ended, &id), "no end of request %d", id);
	ck_assert_int_eq(answers[id].ends, 1);
}

static bool is_eof(void *context)
{
	(void)context;
	receive();
	return eof;
}

static bool is_closed(void *context)
{
	(void)context;
	return owner.count == 0;
}

static bool has_no_children(void *context)
{
	(void)context;
	return children.count == 0;
}

static bool nothing_is_left(void *context)
{
	(void)context;
	return left.first == NULL;
}

/* What a script has written to file `name`. */
static int read_number(const char *name)
{
	FILE *file = fopen(temp_path(name), "r");
	int number = 0;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%d", &number), 1);
	fclose(file);
	return number;
}

static bool has_child(void *context)
{
	return children.count == *(size_t *)context;
}

static void wait_for_children(size_t count)
{
	ck_assert(turn_until(loop, has_child, &count));
}

static bool is_idle(void *context)
{
	return is_closed(context) && has_no_children(context);
}

/* Sends bytes, letting the bridge take them. */
static void send_bytes(const unsigned char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = send(client, bytes, len, MSG_NOSIGNAL);

		if (n < 0) {
			ck_assert_int_eq(errno, EAGAIN);
			receive();
			turn_for(loop, 0);
			continue;
		}
		bytes += n;
		len -= (size_t)n;
	}
}

/* Sends all that has been put. */
static void send_stream(void)
{
	send_bytes(buf_bytes(&stream), buf_len(&stream));
	buf_consume(&stream, buf_len(&stream));
}

/* ---- requests ---------------------------------------------------------------------------- */

static struct buf pairs;

static void put_pair(const char *name, const char *value)
{
	struct fcgi_pair pair = {(const unsigned char *)name, strlen(name),
	    (const unsigned char *)value, strlen(value)};
	unsigned char *to = buf_reserve(&pairs, fcgi_pair_size(pair.name_len, pair.value_len));

	ck_assert_ptr_nonnull(to);
	buf_commit(&pairs, fcgi_put_pair(to, &pair));
}

static void put(enum fcgi_type type, uint16_t id, const char *text)
{
	ck_assert_int_eq(record_put(&stream, type, id, text, strlen(text)), 0);
}

static void put_begin(uint16_t id, enum fcgi_role role, unsigned flags)
{
	ck_assert_int_eq(record_put_begin(&stream, id, role, flags), 0);
}

/* The parameters that every request has, `pairs` too, and their end. */
static void put_params(uint16_t id, const char *method, const char *script)
{
	if (pairs.max == 0)
		buf_init(&pairs, 1 << 20);
	put_pair("REQUEST_METHOD", method);
	if (script != NULL)
		put_pair("SCRIPT_FILENAME", temp_path(script));
	put_pair("SCRIPT_NAME", "/script");
	ck_assert_int_eq(record_put_stream(&stream, FCGI_PARAMS, id, buf_bytes(&pairs),
			     buf_len(&pairs)), 0);
	put(FCGI_PARAMS, id, "");
	buf_fini(&pairs);
}

static void add_pair(const char *name, const char *value)
{
	if (pairs.max == 0)
		buf_init(&pairs, 1 << 20);
	put_pair(name, value);
}

static void put_get(uint16_t id, unsigned flags, const char *script)
{
	put_begin(id, FCGI_RESPONDER, flags);
	put_params(id, "GET", script);
	put(FCGI_STDIN, id, "");
}

/* A POST of which the body and its end are not there yet. */
static void put_post(uint16_t id, unsigned flags, const char *script, const char *length)
{
	put_begin(id, FCGI_RESPONDER, flags);
	if (length != NULL)
		add_pair("CONTENT_LENGTH", length);
	put_params(id, "POST", script);
}

static void script(const char *name, const char *body)
{
	char all[2048] = "#!/bin/sh\n";

	strcat(all, body);
	temp_write(name, 0755, all);
}

#define HEAD "printf 'Content-Type: text/plain\\n\\n'\n"
#define ANSWER "Content-Type: text/plain\r\n\r\n"

static void expect(int id, const char *text)
{
	ck_assert_ptr_nonnull(answers[id].out);
	ck_assert_str_eq((char *)answers[id].out, text);
}

static void expect_status(int id, const char *status)
{
	ck_assert_ptr_nonnull(answers[id].out);
	ck_assert_msg(strncmp((char *)answers[id].out, status, strlen(status)) == 0, "%s",
	    (char *)answers[id].out);
}

/*
 * A gate that jobs wait at without turning; it opens, too, when the test dies.  The kernel
 * lets go of the lock with the last descriptor, and no script has one.
 */
#define WAIT_AT_GATE "flock -s -w 30 gate true"

static int close_gate(void)
{
	int fd = open(temp_path("gate"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	return fd;
}

/* ---- one request ----------------------------------------------------------------------------- */

static void put_whole_request(void)
{
	add_pair("QUERY_STRING", "a=1");
	put_post(1, 0, "echo.cgi", "5");
	put(FCGI_STDIN, 1, "he");
	put(FCGI_STDIN, 1, "llo");
	put(FCGI_STDIN, 1, "");
}

START_TEST(the_answer_is_the_same_wherever_the_request_is_split)
{
	size_t len;

	script("echo.cgi", "printf 'Content-Type: text/plain\\n\\n%s %s '"
			   " $REQUEST_METHOD $QUERY_STRING; cat; exit 3\n");
	put_whole_request();
	len = buf_len(&stream);
	for (size_t cut = 0; cut <= len; cut++) {
		dial();
		put_whole_request();
		ck_assert_uint_eq(buf_len(&stream), len);
		send_bytes(buf_bytes(&stream), cut);
		turn_for(loop, 0);
		send_bytes(buf_bytes(&stream) + cut, len - cut);
		ck_assert(turn_until(loop, is_eof, NULL));
		expect(1, ANSWER "POST a=1 hello");
		ck_assert_int_eq(answers[1].ends, 1);
		ck_assert_uint_eq(answers[1].app_status, 3);
		ck_assert_uint_eq(answers[1].status, FCGI_REQUEST_COMPLETE);
		ck_assert_uint_ge(answers[1].first_len, strlen(ANSWER));
	}
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
}
END_TEST

START_TEST(the_answer_is_the_same_byte_by_byte)
{
	script("echo.cgi", HEAD "cat\n");
	put_whole_request();
	for (size_t at = 0; at < buf_len(&stream); at++) {
		send_bytes(buf_bytes(&stream) + at, 1);
		turn_for(loop, 0);
	}
	ck_assert(turn_until(loop, is_eof, NULL));
	expect(1, ANSWER "hello");
}
END_TEST

START_TEST(a_script_gets_its_environment_and_no_other)
{
	script("env.cgi", HEAD "echo $HTTP_X,${HTTP_PROXY-none},$SCRIPT_NAME,$GATEWAY_INTERFACE,"
			       "${CONTENT_LENGTH-none},${HOME-none},$PATH; pwd -P\n");
	add_pair("HTTP_X", "a");
	add_pair("HTTP_X", "b");
	add_pair("HTTP_PROXY", "http://evil/");
	add_pair("CONTENT_LENGTH", "");
	put_get(1, 0, "env.cgi");
	send_stream();
	wait_for_end(1);
	ck_assert_ptr_nonnull(strstr((char *)answers[1].out,
	    "\r\n\r\na, b,none,/script,CGI/1.1,none,none,/usr/bin:/bin\n"));
	ck_assert_ptr_nonnull(strstr((char *)answers[1].out, temp_dir()));
}
END_TEST

START_TEST(a_large_body_comes_back_whole)
{
	enum { LEN = 900000 };
	static unsigned char body[LEN];

	for (size_t i = 0; i < LEN; i++)
		body[i] = (unsigned char)(i * 13 + (i >> 10));
	script("cat.cgi", HEAD "exec cat\n");
	put_post(1, 0, "cat.cgi", "900000");
	ck_assert_int_eq(record_put_stream(&stream, FCGI_STDIN, 1, body, LEN), 0);
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	ck_assert_uint_eq(answers[1].len, strlen(ANSWER) + LEN);
	ck_assert(memcmp(answers[1].out + strlen(ANSWER), body, LEN) == 0);
}
END_TEST

START_TEST(a_client_that_sends_all_before_it_reads_is_served)
{
	/* the script writes much before it reads anything: trap 4 */
	script("deaf.cgi", HEAD "dd if=/dev/zero bs=1000 count=1000 2>/dev/null; wc -c\n");
	put_post(1, 0, "deaf.cgi", "900000");
	for (int i = 0; i < 900; i++) {
		static char piece[1001];

		memset(piece, 'p', 1000);
		put(FCGI_STDIN, 1, piece);
	}
	put(FCGI_STDIN, 1, "");
	for (size_t sent = 0; sent < buf_len(&stream);) { /* reads nothing meanwhile */
		ssize_t n = send(client, buf_bytes(&stream) + sent, buf_len(&stream) - sent,
		    MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		turn_for(loop, 0);
	}
	wait_for_end(1);
	ck_assert_uint_gt(answers[1].len, 1000000);
	ck_assert_ptr_nonnull(strstr((char *)answers[1].out + answers[1].len - 7, "900000\n"));
}
END_TEST

START_TEST(a_body_of_unknown_length_gets_one)
{
	script("len.cgi", HEAD "printf '%s:' $CONTENT_LENGTH; cat\n");
	put_post(1, 0, "len.cgi", NULL);
	put(FCGI_STDIN, 1, "hello ");
	send_stream();
	turn_for(loop, 5);
	ck_assert_uint_eq(children.count, 0); /* not before it is known */
	put(FCGI_STDIN, 1, "world");
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "11:hello world");
}
END_TEST

START_TEST(a_length_is_enough_without_the_streams_end)
{
	script("cat.cgi", HEAD "exec cat\n");
	put_post(1, FCGI_KEEP_CONN, "cat.cgi", "5");
	put(FCGI_STDIN, 1, "hello and more");
	send_stream();
	wait_for_end(1); /* the script has seen the end of its stdin */
	expect(1, ANSWER "hello");
}
END_TEST

START_TEST(head_has_no_body)
{
	script("body.cgi", HEAD "echo body\n");
	put_begin(1, FCGI_RESPONDER, 0);
	put_params(1, "HEAD", "body.cgi");
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER);
}
END_TEST

START_TEST(no_descriptor_is_left_open)
{
	int fds;

	script("hello.cgi", HEAD "echo hello\n");
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
	fds = count_fds();
	for (int i = 0; i < 10; i++) {
		dial();
		put_get(1, i % 2 == 0 ? FCGI_KEEP_CONN : 0, i % 3 == 0 ? "none.cgi" : "hello.cgi");
		send_stream();
		wait_for_end(1);
		hang_up();
		ck_assert(turn_until(loop, is_idle, NULL));
		ck_assert_int_eq(count_fds(), fds);
	}
}
END_TEST

/* ---- refusals ------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	mode_t mode;
	const char *text; /* NULL: no such file */
	const char *status;
	bool is_exec; /* execve(2) is what fails */
} refusals[] = {
	{"none.cgi", 0, NULL, "Status: 404 Not Found\r\n", false},
	{".", 0, NULL, "Status: 403 Forbidden\r\n", false},
	{"plain.cgi", 0644, "#!/bin/sh\n", "Status: 403 Forbidden\r\n", true},
	{"bad.cgi", 0755, "#!/nonexistent\n", "Status: 500 Internal Server Error\r\n", true},
	{"odd.cgi", 0755, "no program", "Status: 500 Internal Server Error\r\n", true},
	{"silent.cgi", 0755, "#!/bin/sh\n", "Status: 500 Internal Server Error\r\n", false},
	{"dies.cgi", 0755, "#!/bin/sh\nkill -9 $$\n", "Status: 500 Internal Server Error\r\n",
	    false},
	{"headless.cgi", 0755, "#!/bin/sh\necho hello\n", "Status: 500 Internal Server Error\r\n",
	    false},
};

START_TEST(what_cannot_be_answered_is_answered_with_a_page)
{
	if (is_under_valgrind() && refusals[_i].is_exec)
		return;
	log_open(LOG_LEVEL_WARN, LOG_FORM_PLAIN);
	if (refusals[_i].text != NULL)
		temp_write(refusals[_i].name, refusals[_i].mode, refusals[_i].text);
	put_get(1, 0, refusals[_i].name);
	capture_begin();
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert_ptr_nonnull(strstr(capture_end(), refusals[_i].name));
	ck_assert_int_eq(answers[1].ends, 1);
	expect_status(1, refusals[_i].status);
	ck_assert_uint_eq(answers[1].status, FCGI_REQUEST_COMPLETE);
	ck_assert_ptr_null(strstr((char *)answers[1].out, temp_dir())); /* not the client's */
}
END_TEST

START_TEST(no_script_at_all_is_500)
{
	put_get(1, 0, NULL);
	send_stream();
	wait_for_end(1);
	expect_status(1, "Status: 500 ");
}
END_TEST

START_TEST(malformed_parameters_are_400)
{
	put_begin(1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	put(FCGI_PARAMS, 1, "\x7f\x01x");
	put(FCGI_PARAMS, 1, "");
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	expect_status(1, "Status: 400 Bad Request\r\n");
	ck_assert_uint_eq(owner.count, 1); /* the request's fault, not the connection's */
}
END_TEST

START_TEST(too_many_parameters_are_431)
{
	static char value[20000];

	memset(value, 'v', sizeof value - 1);
	script("hello.cgi", HEAD "echo hello\n");
	add_pair("LARGE", value);
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	put_get(3, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	expect_status(1, "Status: 431 ");
	wait_for_end(3);
	expect(3, ANSWER "hello\n");
}
END_TEST

START_TEST(a_body_that_is_too_large_is_413)
{
	options.max_body = 100;
	script("cat.cgi", HEAD "exec cat\n");
	put_post(1, FCGI_KEEP_CONN, "cat.cgi", NULL);
	for (int i = 0; i < 11; i++)
		put(FCGI_STDIN, 1, "0123456789");
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	expect_status(1, "Status: 413 ");
	ck_assert_uint_eq(children.count, 0);
}
END_TEST

START_TEST(an_unknown_role_is_answered_and_refused)
{
	put_begin(1, FCGI_FILTER, FCGI_KEEP_CONN);
	put_params(1, "GET", "none.cgi");
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	ck_assert_uint_eq(answers[1].status, FCGI_UNKNOWN_ROLE);
	expect_status(1, "Status: 500 "); /* some take a bare END for a success */
}
END_TEST

START_TEST(an_authorizer_needs_no_stdin)
{
	script("grant.cgi", HEAD "echo $FCGI_ROLE; cat\n");
	script("refuse.cgi", "printf 'Status: 403 No\\n\\n%s' $FCGI_ROLE; cat\n");
	put_begin(1, FCGI_AUTHORIZER, FCGI_KEEP_CONN);
	put_params(1, "GET", "grant.cgi");
	put_begin(3, FCGI_AUTHORIZER, FCGI_KEEP_CONN);
	put_params(3, "POST", "refuse.cgi");
	send_stream();
	wait_for_end(1);
	wait_for_end(3);
	expect(1, "Status: 200 OK\r\n\r\n");
	expect(3, "Status: 403 No\r\n\r\nAUTHORIZER");
	ck_assert_uint_eq(answers[3].first_len, answers[3].len);
}
END_TEST

START_TEST(past_the_queue_it_is_overloaded)
{
	options.queue = 1;
	options.max_scripts = 20;
	script("cat.cgi", HEAD "exec cat\n");
	for (uint16_t id = 1; id <= SLOTS + 2; id++)
		put_post(id, FCGI_KEEP_CONN, "cat.cgi", "1");
	send_stream();
	wait_for_end(SLOTS + 2);
	expect_status(SLOTS + 2, "Status: 503 ");
	ck_assert_ptr_nonnull(strstr((char *)answers[SLOTS + 2].out, "Retry-After"));
	ck_assert_uint_eq(answers[SLOTS + 2].status, FCGI_OVERLOADED);
	ck_assert_int_eq(answers[SLOTS + 1].ends, 0); /* waits */
	put(FCGI_STDIN, SLOTS + 1, "w");
	put(FCGI_STDIN, 1, "x");
	send_stream();
	wait_for_end(1);
	wait_for_end(SLOTS + 1);
	expect(SLOTS + 1, ANSWER "w");
}
END_TEST

/* ---- the end of a connection: the founding bug, and the opposite mistakes ------------------------ */

static void answer_without_reading(unsigned flags)
{
	script("hello.cgi", HEAD "echo hello\n");
	put_post(1, flags, "hello.cgi", "4");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "hello\n");
}

START_TEST(a_late_end_of_stdin_is_recognised_and_closes)
{
	answer_without_reading(0);
	ck_assert_uint_eq(owner.count, 1);
	put(FCGI_STDIN, 1, "");
	send_stream();
	ck_assert(turn_until(loop, is_closed, NULL));
	ck_assert(turn_until(loop, is_eof, NULL));
}
END_TEST

START_TEST(a_late_body_is_drained_and_closes_however_it_is_split)
{
	size_t len = record_size(4) + record_size(0);

	for (size_t cut = 0; cut <= len; cut++) {
		dial();
		answer_without_reading(0);
		put(FCGI_STDIN, 1, "body");
		put(FCGI_STDIN, 1, "");
		send_bytes(buf_bytes(&stream), cut);
		turn_for(loop, 0);
		ck_assert_uint_eq(owner.count, cut < len);
		send_bytes(buf_bytes(&stream) + cut, len - cut);
		ck_assert(turn_until(loop, is_closed, NULL));
	}
}
END_TEST

START_TEST(a_client_that_never_ends_stdin_gets_an_end_of_file)
{
	answer_without_reading(0);
	ck_assert(turn_until(loop, is_eof, NULL)); /* nginx waits for this */
	ck_assert_uint_eq(owner.count, 1);         /* what still comes is not reset */
	put(FCGI_STDIN, 1, "late");
	send_stream();
	turn_for(loop, 5);
	ck_assert_uint_eq(owner.count, 1);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(a_connection_that_is_kept_is_not_closed)
{
	answer_without_reading(FCGI_KEEP_CONN);
	put(FCGI_STDIN, 1, "old!");
	put(FCGI_STDIN, 1, "");
	send_stream();
	turn_for(loop, 300);
	receive();
	ck_assert(!eof);
	ck_assert_uint_eq(owner.count, 1);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(an_id_may_begin_again_with_its_old_stdin_not_ended)
{
	script("cat.cgi", HEAD "exec cat\n");
	answer_without_reading(FCGI_KEEP_CONN);
	forget_answers();
	put(FCGI_STDIN, 1, "old!");
	put_post(1, FCGI_KEEP_CONN, "cat.cgi", "3");
	put(FCGI_STDIN, 1, "new");
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "new");
}
END_TEST

START_TEST(many_requests_follow_each_other)
{
	script("cat.cgi", HEAD "exec cat\n");
	for (int i = 0; i < 20; i++) {
		forget_answers();
		put_post(1, FCGI_KEEP_CONN, "cat.cgi", "4");
		put(FCGI_STDIN, 1, i % 2 == 0 ? "even" : "odd!");
		put(FCGI_STDIN, 1, "");
		send_stream();
		wait_for_end(1);
		expect(1, i % 2 == 0 ? ANSWER "even" : ANSWER "odd!");
	}
	ck_assert_uint_eq(owner.count, 1);
	put_get(1, 0, "cat.cgi"); /* the last one is not kept */
	forget_answers();
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert_int_eq(answers[1].ends, 1);
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(a_half_closed_client_is_answered)
{
	script("slow.cgi", "sleep 0.05; " HEAD "echo hello\n");
	put_get(1, 0, "slow.cgi");
	send_stream();
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	ck_assert(turn_until(loop, is_eof, NULL));
	expect(1, ANSWER "hello\n");
	ck_assert_int_eq(answers[1].ends, 1);
}
END_TEST

START_TEST(a_body_that_is_too_short_is_seen_to_be)
{
	script("short.cgi", "printf 'Content-Type: a\\nContent-Length: 10\\n\\n12345'\n");
	put_get(1, 0, "short.cgi");
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	expect(1, "Content-Type: a\r\nContent-Length: 10\r\n\r\n12345");
}
END_TEST

/* Answers before it reads, and then reads on, as git-http-backend does. */
static void script_that_answers_first(void)
{
	script("first.cgi", HEAD "echo answer; : >answered; cat\n");
}

static bool has_answered(void *context)
{
	(void)context;
	return access(temp_path("answered"), F_OK) == 0;
}

static void start_answer_first(const char *software)
{
	script_that_answers_first();
	add_pair("SERVER_SOFTWARE", software);
	put_post(1, 0, "first.cgi", "10");
	put(FCGI_STDIN, 1, "hello");
	send_stream();
	ck_assert(turn_until(loop, has_answered, NULL));
	turn_for(loop, 20);
	receive();
}

START_TEST(nginx_gets_no_answer_before_it_has_sent_all)
{
	start_answer_first("nginx/1.22.1");
	ck_assert_uint_eq(answers[1].len, 0);
	put(FCGI_STDIN, 1, "world");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "answer\nhelloworld");
}
END_TEST

START_TEST(any_other_gets_its_answer_at_once)
{
	start_answer_first("Caddy");
	ck_assert_uint_gt(answers[1].len, strlen(ANSWER));
	put(FCGI_STDIN, 1, "world");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "answer\nhelloworld");
}
END_TEST

/* ---- many requests at once --------------------------------------------------------------------------- */

START_TEST(requests_are_served_by_their_ids)
{
	script("cat.cgi", HEAD "exec cat\n");
	put_post(1, FCGI_KEEP_CONN, "cat.cgi", "6");
	put_post(3, FCGI_KEEP_CONN, "cat.cgi", "6");
	put(FCGI_STDIN, 3, "thr");
	put(FCGI_STDIN, 1, "one");
	put(FCGI_STDIN, 3, "ee!");
	put(FCGI_STDIN, 3, "");
	send_stream();
	wait_for_end(3); /* though 1 is not over */
	expect(3, ANSWER "three!");
	ck_assert_int_eq(answers[1].ends, 0);
	put(FCGI_STDIN, 1, "one");
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "oneone");
}
END_TEST

START_TEST(a_flood_of_one_does_not_starve_another)
{
	script("flood.cgi", HEAD "while :; do echo flood flood flood; done\n");
	script("hello.cgi", HEAD "echo hello\n");
	put_get(1, FCGI_KEEP_CONN, "flood.cgi");
	put_get(3, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(3);
	expect(3, ANSWER "hello\n");
	put(FCGI_ABORT_REQUEST, 1, "");
	send_stream();
	wait_for_end(1);
	ck_assert(turn_until(loop, has_no_children, NULL));
}
END_TEST

START_TEST(one_that_does_not_read_does_not_block_another)
{
	static char body[60001];

	memset(body, 'b', 60000);
	script("deaf.cgi", HEAD "exec sleep 100\n");
	script("cat.cgi", HEAD "exec cat\n");
	put_post(1, FCGI_KEEP_CONN, "deaf.cgi", "600000");
	put_post(3, FCGI_KEEP_CONN, "cat.cgi", "5");
	for (int i = 0; i < 10; i++)
		put(FCGI_STDIN, 1, body);
	put(FCGI_STDIN, 3, "hello");
	send_stream();
	wait_for_end(3);
	expect(3, ANSWER "hello");
}
END_TEST

START_TEST(records_of_inactive_ids_are_ignored)
{
	script("hello.cgi", HEAD "echo hello\n");
	put(FCGI_STDIN, 9, "nobody's");
	put(FCGI_PARAMS, 9, "nobody's");
	put(FCGI_ABORT_REQUEST, 9, "");
	put((enum fcgi_type)77, 9, "what");
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	put(FCGI_DATA, 1, "");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "hello\n");
	ck_assert_int_eq(answers[9].ends, 0);
}
END_TEST

START_TEST(padding_is_skipped)
{
	unsigned char header[FCGI_HEADER_LEN];
	char padding[255];

	memset(padding, 1, sizeof padding);
	script("cat.cgi", HEAD "exec cat\n");
	put_post(1, 0, "cat.cgi", "5");
	fcgi_put_header(header, FCGI_STDIN, 1, 5, sizeof padding);
	ck_assert_int_eq(buf_append(&stream, header, sizeof header), 0);
	ck_assert_int_eq(buf_append(&stream, "hello", 5), 0);
	ck_assert_int_eq(buf_append(&stream, padding, sizeof padding), 0);
	put(FCGI_STDIN, 1, "");
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	expect(1, ANSWER "hello");
}
END_TEST

/* ---- clients that leave ---------------------------------------------------------------------------------- */

START_TEST(an_abort_is_answered_and_ends_the_script)
{
	script("sleep.cgi", "exec sleep 100\n");
	put_get(1, FCGI_KEEP_CONN, "sleep.cgi");
	send_stream();
	wait_for_children(1);
	put(FCGI_ABORT_REQUEST, 1, "");
	send_stream();
	wait_for_end(1);
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_uint_eq(owner.count, 1);
	/* the connection is as good as new */
	forget_answers();
	script("hello.cgi", HEAD "echo hello\n");
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "hello\n");
}
END_TEST

/* Whether the head of the response has come. */
static bool has_head(void *context)
{
	receive();
	return answers[*(int *)context].len > 0;
}

static void wait_for_head(int id)
{
	ck_assert(turn_until(loop, has_head, &id));
}

static const struct {
	const char *head;
	int64_t grace;
} lost[] = {{"", 3600 * 1000}, {HEAD, 0}, {HEAD, 50}};

START_TEST(a_client_that_is_gone_ends_the_script)
{
	char body[256];

	options.disconnect_grace = lost[_i].grace;
	snprintf(body, sizeof body, "%sexec sleep 100\n", lost[_i].head);
	script("sleep.cgi", body);
	put_get(1, 0, "sleep.cgi");
	send_stream();
	wait_for_children(1);
	if (lost[_i].head[0] != '\0')
		wait_for_head(1);
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
	ck_assert_int_eq(closed, 1);
}
END_TEST

START_TEST(one_that_has_the_head_lets_the_script_end)
{
	int gate = close_gate();

	options.disconnect_grace = 3600 * 1000;
	script("work.cgi", HEAD WAIT_AT_GATE "; echo late; echo >done\n");
	put_get(1, 0, "work.cgi");
	send_stream();
	wait_for_head(1);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
	ck_assert_uint_eq(children.count, 1);
	close(gate);
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_int_eq(access(temp_path("done"), F_OK), 0);
}
END_TEST

START_TEST(after_an_abort_there_is_no_grace)
{
	options.disconnect_grace = 3600 * 1000;
	script("sleep.cgi", HEAD "exec sleep 100\n");
	put_get(1, FCGI_KEEP_CONN, "sleep.cgi");
	send_stream();
	wait_for_head(1);
	put(FCGI_ABORT_REQUEST, 1, "");
	send_stream();
	wait_for_end(1);
	ck_assert(turn_until(loop, has_no_children, NULL));
}
END_TEST

START_TEST(who_goes_on_writing_has_no_grace)
{
	options.disconnect_grace = 3600 * 1000;
	script("flood.cgi", HEAD "while :; do echo 0123456789abcdef0123456789abcdef; done\n");
	put_get(1, 0, "flood.cgi");
	send_stream();
	wait_for_head(1);
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
}
END_TEST

/* ---- scripts that outlive their response --------------------------------------------------------- */

START_TEST(a_response_ends_with_its_output)
{
	int gate = close_gate();

	options.timeout = 3600 * 1000;
	script("close.cgi", HEAD "echo hello; exec >&- 2>&-; " WAIT_AT_GATE "; "
		"echo >done; exit 3\n");
	put_get(1, 0, "close.cgi");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "hello\n");
	ck_assert_uint_eq(answers[1].app_status, 0);
	ck_assert(turn_until(loop, is_closed, NULL));
	ck_assert_uint_eq(children.count, 1);
	ck_assert_int_eq(scoreboard_running(board), 1); /* it keeps its slot */
	close(gate);
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_int_eq(access(temp_path("done"), F_OK), 0);
}
END_TEST

START_TEST(a_script_that_has_closed_its_output_gets_all_of_its_body)
{
	int gate = close_gate();

	script("sink.cgi", HEAD "echo hello; exec >&-; " WAIT_AT_GATE "; "
		"wc -c >count; : >done\n");
	put_post(1, 0, "sink.cgi", "100000");
	for (int i = 0; i < 5; i++) {
		static const unsigned char bytes[20000];

		ck_assert_int_eq(record_put_stream(&stream, FCGI_STDIN, 1, bytes, sizeof bytes), 0);
	}
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	close(gate);
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_int_eq(read_number("count"), 100000);
}
END_TEST

START_TEST(its_time_goes_on)
{
	options.timeout = 150;
	options.on_disconnect = _i;
	script("close.cgi", HEAD "echo hello; exec >&- 2>&-; exec sleep 100\n");
	put_get(1, 0, "close.cgi");
	send_stream();
	wait_for_end(1);
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

START_TEST(its_time_goes_on_even_if_it_is_up)
{
	options.timeout = 200;
	script("close.cgi", HEAD "echo hello; exec >&- 2>&-; exec sleep 100\n");
	put_get(1, 0, "close.cgi");
	send_stream();
	wait_for_head(1);
	turn_for(loop, 10);
	/* the time for its exit and all of its time are over in the same turn */
	usleep(300 * 1000);
	ck_assert(turn_until(loop, is_idle, NULL));
}
END_TEST

/* Begins one whose body of 100 bytes does not come whole. */
static void begin_half(const char *body)
{
	script("half.cgi", body);
	put_begin(1, FCGI_RESPONDER, 0);
	add_pair("SERVER_SOFTWARE", "other");
	add_pair("CONTENT_LENGTH", "100");
	put_params(1, "POST", "half.cgi");
	put(FCGI_STDIN, 1, "half");
	send_stream();
	wait_for_head(1);
}

START_TEST(one_that_waits_for_the_rest_of_its_body_has_a_grace)
{
	int gate = close_gate();

	options.disconnect_grace = 200;
	begin_half(HEAD "echo hello; exec 3<&0; " WAIT_AT_GATE "; exec >&- 2>&-; "
		"while read line <&3; do :; done; : >done\n");
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
	close(gate);
	ck_assert(turn_until(loop, is_idle, NULL));
	ck_assert_int_ne(access(temp_path("done"), F_OK), 0);
}
END_TEST

START_TEST(one_that_is_let_go_on_has_an_end_of_its_body)
{
	options.on_disconnect = _i;
	begin_half(HEAD "echo hello; exec >&- 2>&-; while read line; do :; done; : >done\n");
	turn_for(loop, 50);
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
	ck_assert_int_eq(access(temp_path("done"), F_OK), 0);
}
END_TEST

START_TEST(one_whose_pipes_are_closed_is_timed_too)
{
	options.timeout = 100;
	options.on_disconnect = ON_DISCONNECT_CLOSE;
	script("sleep.cgi", "exec sleep 100\n");
	put_get(1, 0, "sleep.cgi");
	send_stream();
	wait_for_children(1);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
	ck_assert_int_eq(scoreboard_running(board), 1);
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

static bool is_done(void *context)
{
	(void)context;
	return access(temp_path("done"), F_OK) == 0;
}

START_TEST(what_is_left_behind_may_write_to_stderr)
{
	int gate = close_gate();

	script("job.cgi", HEAD "echo hello; (" WAIT_AT_GATE "; "
		"echo a warning >&2; : >done) >/dev/null </dev/null &\n");
	log_open(LOG_LEVEL_WARN, LOG_FORM_PLAIN);
	put_get(1, 0, "job.cgi");
	send_stream();
	wait_for_end(1);
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_uint_eq(left.held, 1);
	close(gate);
	capture_begin();
	ck_assert(turn_until(loop, is_done, NULL));
	ck_assert(turn_until(loop, nothing_is_left, NULL));
	ck_assert_ptr_nonnull(strstr(capture_end(), "request 1: stderr: a warning\n"));
	ck_assert_uint_eq(left.held, 0);
}
END_TEST

START_TEST(so_much_of_stderr_is_held_and_no_more)
{
	const char *log;
	int gate = close_gate();

	script("job.cgi", HEAD "(" WAIT_AT_GATE ") >/dev/null </dev/null &\n");
	log_open(LOG_LEVEL_WARN, LOG_FORM_PLAIN);
	capture_begin();
	for (int i = 0; i < LEFT_STDERR_MAX + 2; i++) {
		forget_answers();
		put_get(1, FCGI_KEEP_CONN, "job.cgi");
		send_stream();
		wait_for_end(1);
	}
	ck_assert_uint_eq(left.held, LEFT_STDERR_MAX);
	log = capture_end();
	ck_assert_ptr_nonnull(strstr(log, "job.cgi["));
	ck_assert_ptr_nonnull(strstr(log, "more than 64 such scripts in this worker: its standard error "
					  "is closed"));
	close(gate);
	ck_assert(turn_until(loop, nothing_is_left, NULL));
}
END_TEST

/* ---- answers that are cut ----------------------------------------------------------------------------- */

#define LENGTH(n) "printf 'Content-Type: a\\nContent-Length: " n "\\n\\n12345'; "
#define NO_LENGTH "printf 'Content-Type: a\\n\\n12345'; "

static const struct {
	const char *what;
	bool whole;
} cuts[] = {
    {LENGTH("10"), false},
    {LENGTH("10") "exit 3", false},
    {LENGTH("10") "kill -9 $$", false},
    {LENGTH("10") "exec sleep 100", false}, /* --timeout */
    {NO_LENGTH "kill -9 $$", false},
    {NO_LENGTH "exec sleep 100", false},
    {NO_LENGTH "sleep 5 2>/dev/null & exit 0", false}, /* --linger */
    {LENGTH("5"), true},
    {LENGTH("5") "kill -9 $$", true},
    {LENGTH("5") "exec sleep 100", true},
    {LENGTH("5") "sleep 5 2>/dev/null & exit 0", true},
    {LENGTH("3"), true},
    {NO_LENGTH "exit 3", true},
};

START_TEST(an_answer_that_is_cut_has_no_end)
{
	options.timeout = 150;
	options.linger = 50;
	script("cut.cgi", cuts[_i].what);
	put_get(1, FCGI_KEEP_CONN, "cut.cgi");
	send_stream();
	if (cuts[_i].whole) {
		wait_for_end(1);
		ck_assert_uint_eq(owner.count, 1);
		return;
	}
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert_int_eq(answers[1].ends, 0);
	ck_assert_ptr_nonnull(strstr((const char *)answers[1].out, "\r\n\r\n12345"));
}
END_TEST

START_TEST(one_that_is_at_its_end_is_not_cut)
{
	/* the exit may be seen before the end of the output, and a linger of 0 be over then */
	options.linger = 0;
	script("hello.cgi", HEAD "echo hello\n");
	for (int i = 0; i < 50; i++) {
		forget_answers();
		put_get(1, FCGI_KEEP_CONN, "hello.cgi");
		send_stream();
		wait_for_end(1);
		expect(1, ANSWER "hello\n");
	}
}
END_TEST

START_TEST(where_others_use_the_connection_it_has_failed)
{
	script("cat.cgi", HEAD "exec cat\n");
	script("cut.cgi", LENGTH("10"));
	put_post(3, FCGI_KEEP_CONN, "cat.cgi", "5");
	put_get(1, FCGI_KEEP_CONN, "cut.cgi");
	send_stream();
	wait_for_end(1);
	ck_assert_uint_ne(answers[1].app_status, 0);
	put(FCGI_STDIN, 3, "hello");
	put(FCGI_STDIN, 3, "");
	send_stream();
	wait_for_end(3);
	expect(3, ANSWER "hello");
}
END_TEST

START_TEST(a_script_may_go_on_without_its_client)
{
	options.on_disconnect = ON_DISCONNECT_IGNORE;
	script("work.cgi", HEAD "echo started; sleep 0.1; echo more; echo done >result\n");
	put_get(1, 0, "work.cgi");
	send_stream();
	wait_for_children(1);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
	ck_assert_uint_eq(children.count, 1);
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_int_eq(access(temp_path("result"), F_OK), 0);
}
END_TEST

START_TEST(a_client_that_is_gone_before_it_has_sent_all_is_forgotten)
{
	script("hello.cgi", HEAD "echo hello\n");
	put_begin(1, FCGI_RESPONDER, 0);
	put(FCGI_PARAMS, 1, "\3\3ONE");
	send_stream();
	turn_for(loop, 2);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
	ck_assert_uint_eq(children.count, 0);
}
END_TEST

/* ---- management --------------------------------------------------------------------------------------------- */

static void put_get_values(void)
{
	add_pair("FCGI_MPXS_CONNS", "");
	add_pair("FCGI_NONSENSE", "");
	add_pair("FCGI_MAX_REQS", "");
	add_pair("FCGI_MAX_CONNS", "7");
	ck_assert_int_eq(record_put_stream(&stream, FCGI_GET_VALUES, 0, buf_bytes(&pairs),
			     buf_len(&pairs)), 0);
	buf_fini(&pairs);
}

static bool has_management(void *context)
{
	(void)context;
	receive();
	return management_type != 0;
}

static void wait_for_management(void)
{
	ck_assert(turn_until(loop, has_management, NULL));
}

START_TEST(values_are_told_wherever_the_question_is_split)
{
	static const char wanted[] = "\x0f\1FCGI_MPXS_CONNS1" "\x0d\1FCGI_MAX_REQS4"
				     "\x0e\3FCGI_MAX_CONNS300";
	size_t len;

	put_get_values();
	len = buf_len(&stream);
	for (size_t cut = 0; cut <= len; cut++) {
		forget_answers();
		buf_consume(&stream, buf_len(&stream));
		put_get_values();
		send_bytes(buf_bytes(&stream), cut);
		turn_for(loop, 0);
		send_bytes(buf_bytes(&stream) + cut, len - cut);
		wait_for_management();
		ck_assert_uint_eq(management_type, FCGI_GET_VALUES_RESULT);
		ck_assert_uint_eq(management_len, sizeof wanted - 1);
		ck_assert_mem_eq(management, wanted, management_len);
	}
	ck_assert_uint_eq(owner.count, 1);
}
END_TEST

START_TEST(no_values_are_asked_for_and_none_are_told)
{
	put(FCGI_GET_VALUES, 0, "");
	send_stream();
	wait_for_management();
	ck_assert_uint_eq(management_type, FCGI_GET_VALUES_RESULT);
	ck_assert_uint_eq(management_len, 0);
}
END_TEST

START_TEST(a_question_that_repeats_itself_is_answered_within_bounds)
{
	for (int i = 0; i < 3000; i++)
		add_pair("FCGI_MAX_CONNS", "");
	ck_assert_int_eq(record_put_stream(&stream, FCGI_GET_VALUES, 0, buf_bytes(&pairs),
			     buf_len(&pairs)), 0);
	buf_fini(&pairs);
	send_stream();
	wait_for_management();
	ck_assert_uint_eq(management_type, FCGI_GET_VALUES_RESULT);
	ck_assert_uint_ge(management_len, 19);
}
END_TEST

START_TEST(a_question_after_the_last_answer_does_not_keep_it_open)
{
	answer_without_reading(0);
	put_get_values();
	put(FCGI_BEGIN_REQUEST, 0, "what");
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert_uint_eq(management_type, 0);
	put(FCGI_STDIN, 1, "");
	send_stream();
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(an_unknown_type_is_said_to_be)
{
	put((enum fcgi_type)99, 0, "content of it");
	send_stream();
	wait_for_management();
	ck_assert_uint_eq(management_type, FCGI_UNKNOWN_TYPE);
	ck_assert_mem_eq(management, "\x63\0\0\0\0\0\0\0", 8);
	ck_assert_uint_eq(owner.count, 1);
}
END_TEST

/* ---- what makes no sense ---------------------------------------------------------------------------------------- */

/* What has been put closes the connection, and the log says why. */
static void expect_rejection(const char *why)
{
	const char *said;

	log_open(LOG_LEVEL_WARN, LOG_FORM_PLAIN);
	capture_begin();
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	said = capture_end();
	ck_assert_uint_eq(owner.count, 0);
	ck_assert_msg(strstr(said, why) != NULL, "%s", said);
	ck_assert_ptr_nonnull(strstr(said, "from unix"));
	ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1); /* once */
	ck_assert(turn_until(loop, has_no_children, NULL));
}

START_TEST(another_version_closes)
{
	ck_assert_int_eq(buf_append(&stream, "\2", 1), 0); /* its first byte is enough */
	expect_rejection("version 2");
}
END_TEST

START_TEST(http_closes_with_a_hint)
{
	ck_assert_int_eq(buf_append(&stream, "GET / HTTP/1.1\r\n", 16), 0);
	expect_rejection("HTTP");
}
END_TEST

START_TEST(another_version_closes_while_a_script_runs)
{
	script("sleep.cgi", "exec sleep 100\n");
	put_get(1, FCGI_KEEP_CONN, "sleep.cgi");
	send_stream();
	wait_for_children(1);
	ck_assert_int_eq(buf_append(&stream, "\0", 1), 0);
	expect_rejection("version 0");
}
END_TEST

START_TEST(a_begin_of_the_wrong_length_closes)
{
	put(FCGI_BEGIN_REQUEST, 1, "short");
	expect_rejection("BEGIN_REQUEST");
	dial();
	put(FCGI_BEGIN_REQUEST, 1, "much too long");
	expect_rejection("BEGIN_REQUEST");
	dial();
	put(FCGI_BEGIN_REQUEST, 1, "");
	expect_rejection("BEGIN_REQUEST");
}
END_TEST

START_TEST(a_begin_of_an_active_id_closes)
{
	put_begin(1, FCGI_RESPONDER, 0);
	put_begin(1, FCGI_RESPONDER, 0);
	expect_rejection("active");
}
END_TEST

START_TEST(a_client_that_stops_inside_a_record_is_closed)
{
	size_t len;

	put_begin(1, FCGI_RESPONDER, 0);
	len = buf_len(&stream);
	for (size_t cut = 1; cut < len; cut++) {
		dial();
		put_begin(1, FCGI_RESPONDER, 0);
		send_bytes(buf_bytes(&stream), cut);
		ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
		ck_assert(turn_until(loop, is_eof, NULL));
		ck_assert_uint_eq(owner.count, 0);
	}
}
END_TEST

START_TEST(noise_does_no_harm)
{
	draw_restart();
	for (int round = 0; round < 300; round++) {
		dial();
		for (int i = 0; i < 20; i++) {
			char text[16] = "";

			for (unsigned n = draw(15); n > 0; n--)
				text[n - 1] = (char)(draw(3) == 0 ? 1 : 'a');
			put((enum fcgi_type)draw(13), (uint16_t)draw(3), text);
		}
		if (draw(2) == 0)
			buf_bytes(&stream)[draw((unsigned)buf_len(&stream))] = (unsigned char)draw(256);
		(void)!send(client, buf_bytes(&stream), buf_len(&stream), MSG_NOSIGNAL);
		turn_for(loop, 0);
		buf_consume(&stream, buf_len(&stream));
	}
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
}
END_TEST

/* ---- time, draining, stopping --------------------------------------------------------------------------------------- */

START_TEST(a_script_that_takes_too_long_is_504)
{
	options.timeout = 40;
	script("sleep.cgi", "exec sleep 100\n");
	put_get(1, FCGI_KEEP_CONN, "sleep.cgi");
	send_stream();
	wait_for_end(1);
	expect_status(1, "Status: 504 Gateway Timeout\r\n");
	ck_assert(turn_until(loop, has_no_children, NULL));
}
END_TEST

START_TEST(a_silent_script_is_504)
{
	options.idle_timeout = 40;
	script("sleep.cgi", "exec sleep 100\n");
	put_get(1, FCGI_KEEP_CONN, "sleep.cgi");
	send_stream();
	wait_for_end(1);
	expect_status(1, "Status: 504 Gateway Timeout\r\n");
	ck_assert(turn_until(loop, has_no_children, NULL));
}
END_TEST

START_TEST(a_descendant_that_holds_the_output_is_not_waited_for)
{
	script("leave.cgi", HEAD "echo hello; sleep 100 2>/dev/null & echo $! >pid\n");
	put_get(1, 0, "leave.cgi");
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	expect(1, ANSWER "hello\n");
	ck_assert_int_eq(answers[1].ends, 0); /* what else it would have written is not known */
	ck_assert_int_eq(kill(read_number("pid"), SIGKILL), 0); /* it is still there */
}
END_TEST

START_TEST(draining_closes_what_is_idle_and_lets_the_rest_end)
{
	script("cat.cgi", HEAD "exec cat\n");
	put_post(1, FCGI_KEEP_CONN, "cat.cgi", "5");
	send_stream();
	wait_for_children(1);
	conn_drain_all(&owner);
	turn_for(loop, 5);
	ck_assert_uint_eq(owner.count, 1);
	put(FCGI_STDIN, 1, "hello");
	put(FCGI_STDIN, 1, "");
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	expect(1, ANSWER "hello");
	ck_assert(turn_until(loop, is_closed, NULL));
	dial();
	conn_drain_all(&owner);
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(stopping_ends_all_at_once)
{
	script("sleep.cgi", "exec sleep 100\n");
	put_get(1, FCGI_KEEP_CONN, "sleep.cgi");
	put_get(3, FCGI_KEEP_CONN, "sleep.cgi");
	send_stream();
	wait_for_children(2);
	conn_stop_all(&owner);
	wait_for_end(1);
	wait_for_end(3);
	expect_status(1, "Status: 503 Service Unavailable\r\n");
	expect_status(3, "Status: 503 Service Unavailable\r\n");
	ck_assert(turn_until(loop, has_no_children, NULL));
}
END_TEST

START_TEST(closing_all_closes_all)
{
	script("sleep.cgi", "exec sleep 100\n");
	put_get(1, 0, "sleep.cgi");
	send_stream();
	wait_for_children(1);
	conn_close_all(&owner);
	ck_assert_uint_eq(owner.count, 0);
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert(turn_until(loop, has_no_children, NULL));
}
END_TEST

START_TEST(an_idle_connection_has_a_moment_when_it_drains)
{
	script("hello.cgi", HEAD "echo hello\n");
	times.grace = 3600 * 1000;
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	conn_drain_all(&owner);
	turn_for(loop, 20);
	ck_assert(!is_eof(NULL));
	forget_answers();
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "hello\n");
	/* its client is told with the answer, and closes */
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert_uint_eq(owner.count, 1);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(a_moment_is_no_longer_than_that)
{
	script("hello.cgi", HEAD "echo hello\n");
	times.grace = 20;
	times.leave = 3600 * 1000;
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	conn_drain_all(&owner);
	ck_assert(turn_until(loop, is_eof, NULL));
	/* only our side is shut: what its client sends now is no error to it */
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	turn_for(loop, 20);
	ck_assert_uint_eq(owner.count, 1);
	ck_assert_uint_eq(children.count, 0);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(a_client_that_does_not_leave_is_left)
{
	script("hello.cgi", HEAD "echo hello\n");
	times.grace = times.leave = 20;
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	conn_drain_all(&owner);
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(questions_do_not_end_the_moment)
{
	script("hello.cgi", HEAD "echo hello\n");
	conn_drain_all(&owner); /* it is new */
	put_get_values();
	send_stream();
	wait_for_management();
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "hello\n");
	ck_assert(turn_until(loop, is_eof, NULL));
}
END_TEST

START_TEST(an_early_answer_of_a_drained_connection_is_not_lost)
{
	static char body[60001];
	int gate = close_gate();

	memset(body, 'b', sizeof body - 1);
	times.leave = 20;
	script("wait.cgi", HEAD WAIT_AT_GATE "; echo early\n");
	put_post(1, FCGI_KEEP_CONN, "wait.cgi", "600000");
	send_stream();
	wait_for_children(1);
	conn_drain_all(&owner);
	close(gate);
	ck_assert(turn_until(loop, has_no_children, NULL));
	turn_for(loop, 60); /* no time limit but that for all it may go on sending */
	for (int i = 0; i < 10; i++)
		put(FCGI_STDIN, 1, body);
	put(FCGI_STDIN, 1, "");
	send_stream(); /* fails if it has been closed */
	ck_assert(turn_until(loop, is_eof, NULL));
	expect(1, ANSWER "early\n");
	ck_assert_int_eq(answers[1].ends, 1);
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(stopping_closes_what_is_idle)
{
	script("hello.cgi", HEAD "echo hello\n");
	times.grace = times.leave = 3600 * 1000;
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	conn_stop_all(&owner);
	ck_assert_uint_eq(owner.count, 0);
}
END_TEST

/* ---- a client that is slow ---------------------------------------------------------------------------------------- */

enum { NARROW = 4096, SLOW_LEN = 60000 }; /* what much.cgi writes */

static bool has_written(void *context)
{
	return access(temp_path("done"), F_OK) == 0 && has_no_children(context);
}

/* An answer of SLOW_LEN bytes is made, and the script has ended; most of it waits. */
static void answer_slow_client(unsigned flags)
{
	dial_narrow(NARROW);
	script("much.cgi", HEAD "head -c 60000 /dev/zero; echo >done\n");
	put_get(1, flags, "much.cgi");
	send_stream();
	ck_assert(turn_until(loop, has_written, NULL));
	turn_for(loop, 20);
}

START_TEST(a_half_close_after_the_script_has_ended_cuts_nothing)
{
	answer_slow_client((unsigned)_i);
	ck_assert_uint_eq(owner.count, 1);
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	turn_for(loop, 20);
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert_int_eq(answers[1].ends, 1);
	ck_assert_uint_eq(answers[1].len, strlen(ANSWER) + SLOW_LEN);
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(a_client_that_takes_nothing_is_closed_and_said)
{
	const char *said;

	times.write = 30;
	log_open(LOG_LEVEL_WARN, LOG_FORM_PLAIN);
	capture_begin();
	answer_slow_client(FCGI_KEEP_CONN);
	ck_assert(turn_until(loop, is_closed, NULL));
	said = capture_end();
	ck_assert_ptr_nonnull(
	    strstr(said, "connection from unix closed: its client has read nothing of its answer for"));
	ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1); /* once */
}
END_TEST

/* Takes some of what has come, not whole records. */
static void receive_some(void)
{
	unsigned char *to = buf_reserve(&input, 512);
	ssize_t n;

	ck_assert_ptr_nonnull(to);
	n = read(client, to, 512);
	ck_assert(n > 0 || (n < 0 && errno == EAGAIN));
	if (n > 0)
		buf_commit(&input, (size_t)n);
}

START_TEST(a_client_that_takes_a_little_is_waited_for)
{
	times.write = patience(300);
	answer_slow_client(FCGI_KEEP_CONN);
	for (int i = 0; i < 40; i++) {
		receive_some();
		turn_for(loop, patience(20));
		ck_assert_uint_eq(owner.count, 1);
	}
	wait_for_end(1);
	ck_assert_uint_eq(answers[1].len, strlen(ANSWER) + SLOW_LEN);
}
END_TEST

static void add_requests(TCase *tcase)
{
	tcase_add_test(tcase, the_answer_is_the_same_wherever_the_request_is_split);
	tcase_add_test(tcase, the_answer_is_the_same_byte_by_byte);
	tcase_add_test(tcase, a_script_gets_its_environment_and_no_other);
	tcase_add_test(tcase, a_large_body_comes_back_whole);
	tcase_add_test(tcase, a_client_that_sends_all_before_it_reads_is_served);
	tcase_add_test(tcase, a_body_of_unknown_length_gets_one);
	tcase_add_test(tcase, a_length_is_enough_without_the_streams_end);
	tcase_add_test(tcase, head_has_no_body);
	tcase_add_test(tcase, no_descriptor_is_left_open);
	tcase_add_loop_test(tcase, what_cannot_be_answered_is_answered_with_a_page, 0,
	    sizeof refusals / sizeof *refusals);
	tcase_add_test(tcase, no_script_at_all_is_500);
	tcase_add_test(tcase, malformed_parameters_are_400);
	tcase_add_test(tcase, too_many_parameters_are_431);
	tcase_add_test(tcase, a_body_that_is_too_large_is_413);
	tcase_add_test(tcase, an_unknown_role_is_answered_and_refused);
	tcase_add_test(tcase, an_authorizer_needs_no_stdin);
	tcase_add_test(tcase, past_the_queue_it_is_overloaded);
}

static void add_connections(TCase *tcase)
{
	tcase_add_test(tcase, a_late_end_of_stdin_is_recognised_and_closes);
	tcase_add_test(tcase, a_late_body_is_drained_and_closes_however_it_is_split);
	tcase_add_test(tcase, a_client_that_never_ends_stdin_gets_an_end_of_file);
	tcase_add_test(tcase, a_connection_that_is_kept_is_not_closed);
	tcase_add_test(tcase, an_id_may_begin_again_with_its_old_stdin_not_ended);
	tcase_add_test(tcase, many_requests_follow_each_other);
	tcase_add_test(tcase, a_half_closed_client_is_answered);
	tcase_add_test(tcase, a_body_that_is_too_short_is_seen_to_be);
	tcase_add_test(tcase, nginx_gets_no_answer_before_it_has_sent_all);
	tcase_add_test(tcase, any_other_gets_its_answer_at_once);
	tcase_add_test(tcase, requests_are_served_by_their_ids);
	tcase_add_test(tcase, a_flood_of_one_does_not_starve_another);
	tcase_add_test(tcase, one_that_does_not_read_does_not_block_another);
	tcase_add_test(tcase, records_of_inactive_ids_are_ignored);
	tcase_add_test(tcase, padding_is_skipped);
	tcase_add_test(tcase, an_abort_is_answered_and_ends_the_script);
	tcase_add_loop_test(tcase, a_client_that_is_gone_ends_the_script, 0,
	    sizeof lost / sizeof *lost);
	tcase_add_test(tcase, one_that_has_the_head_lets_the_script_end);
	tcase_add_test(tcase, after_an_abort_there_is_no_grace);
	tcase_add_test(tcase, who_goes_on_writing_has_no_grace);
	tcase_add_test(tcase, a_response_ends_with_its_output);
	tcase_add_test(tcase, a_script_that_has_closed_its_output_gets_all_of_its_body);
	tcase_add_loop_test(tcase, its_time_goes_on, 0, ON_DISCONNECT_IGNORE + 1);
	tcase_add_test(tcase, one_whose_pipes_are_closed_is_timed_too);
	tcase_add_test(tcase, its_time_goes_on_even_if_it_is_up);
	tcase_add_test(tcase, one_that_waits_for_the_rest_of_its_body_has_a_grace);
	tcase_add_loop_test(tcase, one_that_is_let_go_on_has_an_end_of_its_body, ON_DISCONNECT_CLOSE,
	    ON_DISCONNECT_IGNORE + 1);
	tcase_add_test(tcase, what_is_left_behind_may_write_to_stderr);
	tcase_add_test(tcase, so_much_of_stderr_is_held_and_no_more);
	tcase_add_loop_test(tcase, an_answer_that_is_cut_has_no_end, 0, sizeof cuts / sizeof *cuts);
	tcase_add_test(tcase, one_that_is_at_its_end_is_not_cut);
	tcase_add_test(tcase, where_others_use_the_connection_it_has_failed);
	tcase_add_test(tcase, a_script_may_go_on_without_its_client);
	tcase_add_test(tcase, a_client_that_is_gone_before_it_has_sent_all_is_forgotten);
}

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	add_requests(tcase);
	add_connections(tcase);
	tcase_add_test(tcase, values_are_told_wherever_the_question_is_split);
	tcase_add_test(tcase, no_values_are_asked_for_and_none_are_told);
	tcase_add_test(tcase, a_question_that_repeats_itself_is_answered_within_bounds);
	tcase_add_test(tcase, a_question_after_the_last_answer_does_not_keep_it_open);
	tcase_add_test(tcase, an_unknown_type_is_said_to_be);
	tcase_add_test(tcase, another_version_closes);
	tcase_add_test(tcase, http_closes_with_a_hint);
	tcase_add_test(tcase, another_version_closes_while_a_script_runs);
	tcase_add_test(tcase, a_begin_of_the_wrong_length_closes);
	tcase_add_test(tcase, a_begin_of_an_active_id_closes);
	tcase_add_test(tcase, a_client_that_stops_inside_a_record_is_closed);
	tcase_add_test(tcase, noise_does_no_harm);
	tcase_add_test(tcase, a_script_that_takes_too_long_is_504);
	tcase_add_test(tcase, a_silent_script_is_504);
	tcase_add_test(tcase, a_descendant_that_holds_the_output_is_not_waited_for);
	tcase_add_test(tcase, draining_closes_what_is_idle_and_lets_the_rest_end);
	tcase_add_test(tcase, an_idle_connection_has_a_moment_when_it_drains);
	tcase_add_test(tcase, a_moment_is_no_longer_than_that);
	tcase_add_test(tcase, a_client_that_does_not_leave_is_left);
	tcase_add_test(tcase, questions_do_not_end_the_moment);
	tcase_add_test(tcase, an_early_answer_of_a_drained_connection_is_not_lost);
	tcase_add_test(tcase, stopping_closes_what_is_idle);
	tcase_add_loop_test(tcase, a_half_close_after_the_script_has_ended_cuts_nothing, 0, 2);
	tcase_add_test(tcase, a_client_that_takes_nothing_is_closed_and_said);
	tcase_add_test(tcase, a_client_that_takes_a_little_is_waited_for);
	tcase_add_test(tcase, stopping_ends_all_at_once);
	tcase_add_test(tcase, closing_all_closes_all);
}

int main(void)
{
	return check_main("conn", add);
}

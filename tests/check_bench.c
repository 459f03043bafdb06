/* SPDX-License-Identifier: ISC */
/*
 * check_bench: see check_bench.h.
 */
#include "check_bench.h"

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

#include "base/log.h"
#include "fcgi/record.h"
#include "base/sys.h"

/* ---- the bridge's side ---------------------------------------------------------------- */

struct options options;
struct loop *loop;
struct scoreboard *board;
static struct environment environment;
static struct admission admission;
struct children children;
static struct relay_scratch scratch;
static struct flaw_log flaws;
struct request_services services;
struct request_sink sink;
struct left_list left;
static struct mounts mounts;
static struct scouts scouts;
struct conn_times times;
struct conn_owner owner;
int closed; /* connections */

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
	    .left = &left,
	    .mounts = &mounts,
	    .scouts = &scouts,
	    .times = request_times};
	services.times.exit = 10 * 1000; /* no test depends on how soon a shell can exit */
	left_init(&left, loop, &children);
	mounts_init(&mounts, NULL);
	mounts_follow(&mounts, loop);
	scouts_init(&scouts, loop);
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
	scouts_fini(&scouts);
	mounts_fini(&mounts);
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

int client = -1;
struct buf stream; /* what is to be sent */
struct buf input;  /* what has come and is no whole record yet */
struct answer answers[10];
bool eof;
unsigned char management[1024]; /* contents of records with id 0 */
size_t management_len;
unsigned management_type;

void forget_answers(void)
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

void hang_up(void)
{
	if (client >= 0)
		close(client);
	client = -1;
}

/* A new connection, on which little is on its way; the old one is gone. */
void dial_narrow(int sndbuf)
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

void dial(void)
{
	dial_narrow(0);
}

void bench_setup(void)
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

void bench_teardown(void)
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
void receive(void)
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

void wait_for_end(int id)
{
	ck_assert_msg(turn_until(loop, has_ended, &id), "no end of request %d", id);
	ck_assert_int_eq(answers[id].ends, 1);
}

bool is_eof(void *context)
{
	(void)context;
	receive();
	return eof;
}

bool is_closed(void *context)
{
	(void)context;
	return owner.count == 0;
}

bool has_no_children(void *context)
{
	(void)context;
	return children.count == 0;
}

bool nothing_is_left(void *context)
{
	(void)context;
	return left.first == NULL;
}

/* What a script has written to file `name`. */
int read_number(const char *name)
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

void wait_for_children(size_t count)
{
	ck_assert(turn_until(loop, has_child, &count));
}

bool is_idle(void *context)
{
	return is_closed(context) && has_no_children(context);
}

/* Sends bytes, letting the bridge take them. */
void send_bytes(const unsigned char *bytes, size_t len)
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
void send_stream(void)
{
	send_bytes(buf_bytes(&stream), buf_len(&stream));
	buf_consume(&stream, buf_len(&stream));
}

/* ---- requests ---------------------------------------------------------------------------- */

struct buf pairs;

static void put_pair(const char *name, const char *value)
{
	struct fcgi_pair pair = {(const unsigned char *)name, strlen(name),
	    (const unsigned char *)value, strlen(value)};
	unsigned char *to = buf_reserve(&pairs, fcgi_pair_size(pair.name_len, pair.value_len));

	ck_assert_ptr_nonnull(to);
	buf_commit(&pairs, fcgi_put_pair(to, &pair));
}

void put(enum fcgi_type type, uint16_t id, const char *text)
{
	ck_assert_int_eq(record_put(&stream, type, id, text, strlen(text)), 0);
}

void put_begin(uint16_t id, enum fcgi_role role, unsigned flags)
{
	ck_assert_int_eq(record_put_begin(&stream, id, role, flags), 0);
}

/* The parameters that every request has, `pairs` too, and their end. */
void put_params(uint16_t id, const char *method, const char *script)
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

void add_pair(const char *name, const char *value)
{
	if (pairs.max == 0)
		buf_init(&pairs, 1 << 20);
	put_pair(name, value);
}

void put_get(uint16_t id, unsigned flags, const char *script)
{
	put_begin(id, FCGI_RESPONDER, flags);
	put_params(id, "GET", script);
	put(FCGI_STDIN, id, "");
}

/* A POST of which the body and its end are not there yet. */
void put_post(uint16_t id, unsigned flags, const char *script, const char *length)
{
	put_begin(id, FCGI_RESPONDER, flags);
	if (length != NULL)
		add_pair("CONTENT_LENGTH", length);
	put_params(id, "POST", script);
}

void script(const char *name, const char *body)
{
	char all[2048] = "#!/bin/sh\n";

	strcat(all, body);
	temp_write(name, 0755, all);
}

void expect(int id, const char *text)
{
	ck_assert_ptr_nonnull(answers[id].out);
	ck_assert_str_eq((char *)answers[id].out, text);
}

void expect_status(int id, const char *status)
{
	ck_assert_ptr_nonnull(answers[id].out);
	ck_assert_msg(strncmp((char *)answers[id].out, status, strlen(status)) == 0, "%s",
	    (char *)answers[id].out);
}

int close_gate(void)
{
	int fd = open(temp_path("gate"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	return fd;
}

void answer_without_reading(unsigned flags)
{
	script("hello.cgi", HEAD "echo hello\n");
	put_post(1, flags, "hello.cgi", "4");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "hello\n");
}

/* ---- management ------------------------------------------------------------------------------- */

void put_get_values(void)
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

void wait_for_management(void)
{
	ck_assert(turn_until(loop, has_management, NULL));
}

/* SPDX-License-Identifier: ISC */
/*
 * session: its poll(2) loop, and the verdict.
 *
 *    upload -> client -> socket -> client -> answer -> out outlet -> stdout
 *                                                   \-> err outlet -> stderr
 *
 * Standard output and error are shared with other programs and stay in blocking mode.
 */
#include "fcgiget/session.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "fcgiget/answer.h"
#include "fcgiget/client.h"
#include "fcgiget/dial.h"
#include "fcgiget/fcgiget_params.h"
#include "fcgiget/upload.h"

enum {
	BODY_CHUNK = 32 * 1024,
	/* The most that one client_ready() adds: the bytes read, and a header block held back. */
	OUTLET_STEP = CLIENT_READ_MAX + ANSWER_HEAD_MAX,
	OUTLET_MAX = 2 * OUTLET_STEP,
};

/* A descriptor to write to, and the bytes that wait for it. */
struct outlet {
	int fd;
	size_t chunk; /* most bytes that write(2) takes without blocking after POLLOUT */
	struct buf pending;
};

/*
 *    OPEN --the client has ended or failed--> DRAINING --all is written--> DONE
 *      \                                       /  ^                         |
 *       +--time, read, write, poll--> FAILED <-+  +------values to write----+
 */
enum session_state {
	SESSION_OPEN,     /* the exchange goes on */
	SESSION_DRAINING, /* it is over, and output waits to be written */
	SESSION_DONE,
	SESSION_FAILED, /* `failure` says how */
};

struct session {
	const struct fcgiget_options *options;
	enum session_state state;
	int64_t deadline;
	struct upload upload;
	struct client client;
	struct answer answer;
	struct outlet out;
	struct outlet err;
	bool head_request; /* HEAD: no body is printed */
	enum exit_status failure; /* FAILED; else EXIT_OK */
};

/* ---- state ------------------------------------------------------------------- */

static bool may_follow(enum session_state from, enum session_state to)
{
	switch (from) {
	case SESSION_OPEN:
		return to == SESSION_DRAINING || to == SESSION_FAILED;
	case SESSION_DRAINING:
		return to == SESSION_DONE || to == SESSION_FAILED;
	case SESSION_DONE:
		return to == SESSION_DRAINING || to == SESSION_FAILED;
	case SESSION_FAILED:
		return false;
	}
	return false;
}

static void set_state(struct session *s, enum session_state state)
{
	assert(may_follow(s->state, state));
	s->state = state;
}

/* Ends it early; the first failure counts, and is the only one that is said. */
static void fail(struct session *s, enum exit_status status, const char *what, const char *why)
{
	if (s->state == SESSION_FAILED)
		return;
	s->failure = complain(status, what, why);
	set_state(s, SESSION_FAILED);
}

/* ---- body ------------------------------------------------------------------ */

/* Passes one piece of the body to the client; at its end, closes the stream. */
static void body_ready(struct session *s)
{
	unsigned char bytes[BODY_CHUNK];
	ssize_t n = upload_read(&s->upload, bytes, sizeof bytes);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		fail(s, EXIT_READ, s->options->data + 1, upload_explain(errno));
		return;
	}
	client_send(&s->client, bytes, (size_t)n);
	if (n == 0)
		upload_fini(&s->upload);
}

/* ---- output ------------------------------------------------------------------ */

static void outlet_init(struct outlet *o, int fd)
{
	struct stat st;
	bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

	*o = (struct outlet){.fd = fd, .chunk = regular ? OUTLET_MAX : PIPE_BUF};
	buf_init(&o->pending, OUTLET_MAX);
}

static void outlet_put(struct session *s, struct outlet *o, const unsigned char *bytes, size_t len)
{
	if (buf_append(&o->pending, bytes, len) != 0)
		client_fail(&s->client, "cannot keep output: %s", strerror(errno));
}

/* Writes as much as cannot block.  Returns 0, or -1 with errno. */
static int outlet_flush(struct outlet *o)
{
	size_t len = buf_len(&o->pending);
	ssize_t n = write(o->fd, buf_bytes(&o->pending), len < o->chunk ? len : o->chunk);

	if (n >= 0)
		buf_consume(&o->pending, (size_t)n);
	return n >= 0 || errno == EAGAIN || errno == EINTR ? 0 : -1;
}

static void on_errors(struct client *c, void *context, const unsigned char *bytes, size_t len)
{
	struct session *s = context;

	(void)c;
	outlet_put(s, &s->err, bytes, len);
}

/* Moves header bytes to the answer.  Returns how many, or -1 after failing `c`. */
static ssize_t read_head(struct session *s, const unsigned char *bytes, size_t len)
{
	struct answer *a = &s->answer;
	ssize_t n = answer_read_header(a, bytes, len);

	if (n < 0)
		client_fail(&s->client, "%s", answer_explain(errno));
	else if (a->status != 0 && s->options->include_head)
		outlet_put(s, &s->out, buf_bytes(&a->head), buf_len(&a->head));
	return n;
}

static void on_output(struct client *c, void *context, const unsigned char *bytes, size_t len)
{
	struct session *s = context;

	(void)c;
	if (s->answer.status == 0) {
		ssize_t n = read_head(s, bytes, len);

		if (n < 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
	if (len > 0 && !s->head_request)
		outlet_put(s, &s->out, bytes, len);
}

/* ---- the loop ---------------------------------------------------------------- */

enum { WATCH_SOCKET, WATCH_BODY, WATCH_OUT, WATCH_ERR, WATCH_COUNT };

static bool has_room(const struct session *s)
{
	return buf_room(&s->out.pending) >= OUTLET_STEP && buf_room(&s->err.pending) >= OUTLET_STEP;
}

/* poll(2) reports hang-ups even for no events: a descriptor without events is left out. */
static struct pollfd watch(int fd, short events)
{
	return (struct pollfd){.fd = events == 0 ? -1 : fd, .events = events};
}

static void watch_all(const struct session *s, struct pollfd fds[WATCH_COUNT])
{
	bool body = s->upload.fd >= 0 && client_wants_body(&s->client);

	fds[WATCH_SOCKET] = watch(s->client.fd, client_interest(&s->client, has_room(s)));
	fds[WATCH_BODY] = watch(s->upload.fd, body ? POLLIN : 0);
	fds[WATCH_OUT] = watch(s->out.fd, buf_len(&s->out.pending) > 0 ? POLLOUT : 0);
	fds[WATCH_ERR] = watch(s->err.fd, buf_len(&s->err.pending) > 0 ? POLLOUT : 0);
}

static void act(struct session *s, const struct pollfd fds[WATCH_COUNT])
{
	if (fds[WATCH_SOCKET].revents != 0)
		client_ready(&s->client, fds[WATCH_SOCKET].revents, has_room(s));
	if (fds[WATCH_BODY].revents != 0)
		body_ready(s);
	if (fds[WATCH_OUT].revents != 0 && outlet_flush(&s->out) != 0)
		fail(s, EXIT_WRITE, "standard output", strerror(errno));
	/* an error of standard error itself cannot be reported anywhere */
	if (fds[WATCH_ERR].revents != 0 && outlet_flush(&s->err) != 0)
		buf_fini(&s->err.pending);
}

/* Whether there is more to wait for, as far as the client and the outputs say. */
static bool goes_on(struct session *s)
{
	if (s->state == SESSION_OPEN && s->client.state != CLIENT_OPEN)
		set_state(s, SESSION_DRAINING);
	if (s->state == SESSION_DRAINING && buf_len(&s->out.pending) == 0 &&
	    buf_len(&s->err.pending) == 0)
		set_state(s, SESSION_DONE);
	return s->state == SESSION_OPEN || s->state == SESSION_DRAINING;
}

static int wait_time(const struct session *s)
{
	int64_t left = s->deadline - clock_ms();

	return left < 0 ? 0 : (int)(left < INT_MAX ? left : INT_MAX);
}

/* Runs until it is DONE or FAILED. */
static void session_run(struct session *s)
{
	while (goes_on(s)) {
		struct pollfd fds[WATCH_COUNT];
		int n;

		watch_all(s, fds);
		n = poll(fds, WATCH_COUNT, wait_time(s));
		if (n < 0 && errno != EINTR)
			fail(s, EXIT_PROTOCOL, "poll", strerror(errno));
		else if (n > 0)
			act(s, fds);
		if (n <= 0 && clock_ms() >= s->deadline)
			fail(s, EXIT_TIMEOUT, s->options->socket,
			    "timed out waiting for the response");
	}
}

/* ---- verdicts ------------------------------------------------------------------ */

static enum exit_status refusal(const struct session *s)
{
	unsigned status = s->client.protocol_status;

	fprintf(stderr, "fcgiget: %s: request refused with protocolStatus %u (%s)\n",
	    s->options->socket, status, verdict_status_name(status));
	return EXIT_PROTOCOL;
}

static void report(const struct client *c)
{
	fprintf(stderr, "fcgiget: appStatus %lu, protocolStatus %u (%s)\n",
	    (unsigned long)c->app_status, c->protocol_status,
	    verdict_status_name(c->protocol_status));
}

/* The exit status for a request that was carried out. */
static enum exit_status request_verdict(const struct session *s)
{
	const struct client *c = &s->client;

	if (c->state == CLIENT_ENDED && s->options->verbose)
		report(c);
	if (s->state == SESSION_FAILED)
		return s->failure;
	if (c->state == CLIENT_FAILED)
		return complain(EXIT_PROTOCOL, s->options->socket, c->error);
	if (c->protocol_status != FCGI_REQUEST_COMPLETE)
		return refusal(s);
	if (s->answer.status == 0)
		return complain(EXIT_PROTOCOL, s->options->socket, answer_missing(&s->answer));
	if (s->answer.status >= 400 && s->options->fail_on_status)
		return EXIT_HTTP_STATUS;
	return EXIT_OK;
}

/* Turns the answer's pairs into lines on the way to standard output. */
static void put_values(struct session *s)
{
	const struct buf *final = &s->client.final;
	const unsigned char *at = buf_bytes(final);
	size_t left = buf_len(final);

	while (left > 0) {
		struct fcgi_pair pair;
		size_t n = fcgi_get_pair(at, left, &pair);

		if (n == 0) {
			fail(s, EXIT_PROTOCOL, s->options->socket,
			    "GET_VALUES_RESULT ends inside a pair");
			return;
		}
		outlet_put(s, &s->out, pair.name, pair.name_len);
		outlet_put(s, &s->out, (const unsigned char *)"=", 1);
		outlet_put(s, &s->out, pair.value, pair.value_len);
		outlet_put(s, &s->out, (const unsigned char *)"\n", 1);
		at += n;
		left -= n;
	}
}

/* ---- the two actions ------------------------------------------------------------- */

/* Queues the whole request except a body that comes from a file. */
static enum exit_status queue_request(struct session *s)
{
	const struct fcgiget_options *o = s->options;
	struct buf params;
	int failed;

	buf_init(&params, FCGIGET_PARAMS_MAX);
	failed = fcgiget_params_put(&params, o, upload_size(&s->upload)) != 0;
	if (failed)
		complain(EXIT_USAGE, "parameters", strerror(errno));
	else
		client_request(&s->client, o->keep_connection ? FCGI_KEEP_CONN : 0, &params);
	buf_fini(&params);
	if (failed)
		return EXIT_USAGE;
	if (o->data != NULL && *o->data != '@')
		client_send(&s->client, o->data, strlen(o->data));
	if (s->upload.fd < 0)
		client_send(&s->client, NULL, 0);
	return EXIT_OK;
}

static enum exit_status run_request(struct session *s)
{
	enum exit_status failure = queue_request(s);

	if (failure != EXIT_OK)
		return failure;
	session_run(s);
	return request_verdict(s);
}

static enum exit_status run_values(struct session *s)
{
	static const char *const names[] = {"FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"};

	client_ask(&s->client, names, sizeof names / sizeof *names);
	session_run(s);
	if (s->state == SESSION_DONE && s->client.state == CLIENT_ENDED) {
		set_state(s, SESSION_DRAINING);
		put_values(s);
		session_run(s);
	}
	if (s->state == SESSION_DONE && s->client.state == CLIENT_FAILED)
		return complain(EXIT_PROTOCOL, s->options->socket, s->client.error);
	return s->failure;
}

static enum exit_status session_run_on(struct session *s, int fd)
{
	const struct client_sink sink = {
	    .output = on_output, .errors = on_errors, .context = s};
	enum exit_status status;

	s->head_request = strcmp(fcgiget_method(s->options), "HEAD") == 0;
	client_init(&s->client, fd, &sink);
	answer_init(&s->answer);
	outlet_init(&s->out, STDOUT_FILENO);
	outlet_init(&s->err, STDERR_FILENO);
	status = s->options->action == ACTION_VALUES ? run_values(s) : run_request(s);
	client_fini(&s->client);
	answer_fini(&s->answer);
	buf_fini(&s->out.pending);
	buf_fini(&s->err.pending);
	return status;
}

static enum exit_status connect_and_run(struct session *s)
{
	const struct fcgiget_options *o = s->options;
	int fd = dial_connect(&o->server, s->deadline);
	enum exit_status status;

	if (fd < 0)
		return complain(errno == ETIMEDOUT ? EXIT_TIMEOUT : EXIT_CONNECT, o->socket,
		    strerror(errno));
	status = session_run_on(s, fd);
	close(fd);
	return status;
}

enum exit_status session_start(const struct fcgiget_options *o)
{
	struct session s = {.options = o, .deadline = clock_ms() + o->timeout};
	enum exit_status status;

	if (upload_init(&s.upload, o->data) != 0)
		return complain(EXIT_READ, o->data + 1, strerror(errno));
	status = connect_and_run(&s);
	upload_fini(&s.upload);
	return status;
}


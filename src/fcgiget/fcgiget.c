/* SPDX-License-Identifier: ISC */
/*
 * fcgiget: one FastCGI request from the shell.
 *
 *    body fd -> client -> socket -> client -> answer -> out outlet -> stdout
 *                                                  \-> err outlet -> stderr
 *
 * One poll(2) loop over these four descriptors, so that nothing waits for
 * anything else; what is held in memory is bounded whatever the sizes.  Standard
 * output and error are shared with other programs and stay in blocking mode.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "answer.h"
#include "client.h"
#include "dial.h"
#include "fcgiget_options.h"
#include "fcgiget_params.h"

/* curl's numbers */
enum exit_status {
	EXIT_OK = 0,
	EXIT_PROTOCOL = 1,
	EXIT_USAGE = 2,
	EXIT_CONNECT = 7,
	EXIT_HTTP_STATUS = 22,
	EXIT_WRITE = 23,
	EXIT_READ = 26,
	EXIT_TIMEOUT = 28,
};

enum {
	BODY_CHUNK = 32 * 1024,
	/* What one client_ready() can add: the bytes read, and a header block held back. */
	OUTLET_STEP = CLIENT_READ_MAX + ANSWER_HEAD_MAX,
	OUTLET_MAX = 2 * OUTLET_STEP,
};

/* A descriptor to write to and what waits to be written. */
struct outlet {
	int fd;
	size_t chunk; /* most bytes a write(2) cannot block for once poll(2) says so */
	struct buf pending;
};

/* Where the request's body comes from when it is a file. */
struct body {
	int fd;       /* -1: there is none, or it has been read */
	int sized;    /* `left` counts; otherwise the body ends where the file does */
	off_t left;
};

struct session {
	const struct fcgiget_options *options;
	int64_t deadline;
	struct body body;
	struct client client;
	struct answer answer;
	struct outlet out;
	struct outlet err;
	int head_request; /* HEAD: no body is printed */
	enum exit_status failure; /* EXIT_OK until something ends the session early */
};

static enum exit_status complain(enum exit_status status, const char *what, const char *why)
{
	fprintf(stderr, "fcgiget: %s: %s\n", what, why);
	return status;
}

/* ---- body ------------------------------------------------------------------ */

/* Opens what `data` names, if it names a file. */
static enum exit_status body_init(struct body *b, const char *data)
{
	struct stat st;

	*b = (struct body){.fd = -1};
	if (data == NULL || *data != '@')
		return EXIT_OK;
	b->fd = strcmp(data, "@-") == 0 ? STDIN_FILENO : open(data + 1, O_RDONLY | O_CLOEXEC);
	if (b->fd < 0 || fstat(b->fd, &st) != 0)
		return complain(EXIT_READ, data + 1, strerror(errno));
	if (S_ISREG(st.st_mode)) {
		off_t at = lseek(b->fd, 0, SEEK_CUR); /* of @- perhaps not the start */

		b->sized = 1;
		b->left = at < st.st_size ? st.st_size - at : 0;
	}
	return EXIT_OK;
}

/* The size of the body, or -1 if it is not known before its end. */
static off_t body_size(const struct fcgiget_options *o, const struct body *body)
{
	if (o->data == NULL)
		return 0;
	if (*o->data != '@')
		return (off_t)strlen(o->data);
	return body->sized ? body->left : -1;
}

static void body_fini(struct body *b)
{
	if (b->fd > STDIN_FILENO)
		close(b->fd);
	b->fd = -1;
}

/* Reads one piece of the body into the client; at its end closes the stream. */
static void body_ready(struct session *s)
{
	unsigned char bytes[BODY_CHUNK];
	struct body *b = &s->body;
	size_t want = b->sized && b->left < BODY_CHUNK ? (size_t)b->left : BODY_CHUNK;
	ssize_t n = read(b->fd, bytes, want);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 || (n == 0 && b->sized && b->left > 0)) {
		s->failure = complain(EXIT_READ, s->options->data + 1,
		    n < 0 ? strerror(errno) : "became shorter while it was sent");
		return;
	}
	b->left -= n;
	client_send(&s->client, bytes, (size_t)n);
	if (n == 0)
		body_fini(b);
}

/* ---- output ------------------------------------------------------------------ */

static void outlet_init(struct outlet *o, int fd)
{
	struct stat st;
	int regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

	*o = (struct outlet){.fd = fd, .chunk = regular ? OUTLET_MAX : PIPE_BUF};
	buf_init(&o->pending, OUTLET_MAX);
}

static void outlet_put(struct session *s, struct outlet *o, const unsigned char *bytes, size_t len)
{
	if (buf_append(&o->pending, bytes, len) != 0)
		client_fail(&s->client, "cannot keep output: %s", strerror(errno));
}

/* Writes what does not block.  Returns 0, or -1 with errno. */
static int outlet_flush(struct outlet *o)
{
	size_t len = buf_len(&o->pending);
	ssize_t n = write(o->fd, buf_bytes(&o->pending), len < o->chunk ? len : o->chunk);

	if (n >= 0)
		buf_consume(&o->pending, (size_t)n);
	return n >= 0 || errno == EAGAIN || errno == EINTR ? 0 : -1;
}

static void take_errors(struct client *c, void *context, const unsigned char *bytes, size_t len)
{
	struct session *s = context;

	(void)c;
	outlet_put(s, &s->err, bytes, len);
}

/* Gives up on a header block that answer_take() refused. */
static void refuse_head(struct client *c)
{
	if (errno == ENOBUFS)
		client_fail(c, "no empty line in %d bytes of response header", ANSWER_HEAD_MAX);
	else if (errno == EBADMSG)
		client_fail(c, "Status field without a three-digit status");
	else
		client_fail(c, "cannot keep the response header: %s", strerror(errno));
}

/* Moves header bytes to the answer.  Returns how many, or -1 after failing `c`. */
static ssize_t take_head(struct session *s, const unsigned char *bytes, size_t len)
{
	struct answer *a = &s->answer;
	ssize_t n = answer_take(a, bytes, len);

	if (n < 0)
		refuse_head(&s->client);
	else if (a->status != 0 && s->options->include_head)
		outlet_put(s, &s->out, buf_bytes(&a->head), buf_len(&a->head));
	return n;
}

static void take_output(struct client *c, void *context, const unsigned char *bytes, size_t len)
{
	struct session *s = context;

	(void)c;
	if (s->answer.status == 0) {
		ssize_t n = take_head(s, bytes, len);

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

static int has_room(const struct session *s)
{
	return buf_room(&s->out.pending) >= OUTLET_STEP && buf_room(&s->err.pending) >= OUTLET_STEP;
}

/* poll(2) reports a hang-up even where nothing is asked: such a one is left out. */
static struct pollfd watch(int fd, short events)
{
	return (struct pollfd){.fd = events == 0 ? -1 : fd, .events = events};
}

static void watch_all(const struct session *s, struct pollfd fds[WATCH_COUNT])
{
	int body = s->body.fd >= 0 && client_wants_body(&s->client);

	fds[WATCH_SOCKET] = watch(s->client.fd, client_interest(&s->client, has_room(s)));
	fds[WATCH_BODY] = watch(s->body.fd, body ? POLLIN : 0);
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
		s->failure = complain(EXIT_WRITE, "standard output", strerror(errno));
	/* a standard error that cannot be written has nowhere to say so */
	if (fds[WATCH_ERR].revents != 0 && outlet_flush(&s->err) != 0)
		buf_fini(&s->err.pending);
}

static int is_done(const struct session *s)
{
	return s->client.state != CLIENT_OPEN && buf_len(&s->out.pending) == 0 &&
	    buf_len(&s->err.pending) == 0;
}

static int wait_time(const struct session *s)
{
	int64_t left = s->deadline - dial_now();

	return left < 0 ? 0 : (int)(left < INT_MAX ? left : INT_MAX);
}

/* Runs until the exchange is over and written out, or `failure` is set. */
static void session_run(struct session *s)
{
	while (s->failure == EXIT_OK && !is_done(s)) {
		struct pollfd fds[WATCH_COUNT];
		int n;

		watch_all(s, fds);
		n = poll(fds, WATCH_COUNT, wait_time(s));
		if (n < 0 && errno != EINTR)
			s->failure = complain(EXIT_PROTOCOL, "poll", strerror(errno));
		else if (n > 0)
			act(s, fds);
		if (n <= 0 && s->failure == EXIT_OK && dial_now() >= s->deadline)
			s->failure = complain(EXIT_TIMEOUT, s->options->socket,
			    "timed out waiting for the response");
	}
}

/* ---- verdicts ------------------------------------------------------------------ */

static const char *protocol_status_name(unsigned status)
{
	static const char *const names[] = {
		"REQUEST_COMPLETE", "CANT_MPX_CONN", "OVERLOADED", "UNKNOWN_ROLE",
	};

	return status < sizeof names / sizeof *names ? names[status] : "unknown";
}

static enum exit_status refusal(const struct session *s)
{
	unsigned status = s->client.protocol_status;

	fprintf(stderr, "fcgiget: %s: request refused with protocolStatus %u (%s)\n",
	    s->options->socket, status, protocol_status_name(status));
	return EXIT_PROTOCOL;
}

static void report(const struct client *c)
{
	fprintf(stderr, "fcgiget: appStatus %lu, protocolStatus %u (%s)\n",
	    (unsigned long)c->app_status, c->protocol_status,
	    protocol_status_name(c->protocol_status));
}

/* What the shell is told about a request that was carried out. */
static enum exit_status request_verdict(const struct session *s)
{
	const struct client *c = &s->client;

	if (c->state == CLIENT_ENDED && s->options->verbose)
		report(c);
	if (s->failure != EXIT_OK)
		return s->failure;
	if (c->state == CLIENT_FAILED)
		return complain(EXIT_PROTOCOL, s->options->socket, c->error);
	if (c->protocol_status != FCGI_REQUEST_COMPLETE)
		return refusal(s);
	if (s->answer.status == 0)
		return complain(EXIT_PROTOCOL, s->options->socket,
		    buf_len(&s->answer.head) == 0 ? "the response is empty"
		                                  : "the response ends inside its header");
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
			s->failure = complain(EXIT_PROTOCOL, s->options->socket,
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
	failed = fcgiget_params_put(&params, o, body_size(o, &s->body)) != 0;
	if (failed)
		complain(EXIT_USAGE, "parameters", strerror(errno));
	else
		client_request(&s->client, o->keep_connection ? FCGI_KEEP_CONN : 0, &params);
	buf_fini(&params);
	if (failed)
		return EXIT_USAGE;
	if (o->data != NULL && *o->data != '@')
		client_send(&s->client, o->data, strlen(o->data));
	if (s->body.fd < 0)
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
	if (s->failure == EXIT_OK && s->client.state == CLIENT_ENDED) {
		put_values(s);
		session_run(s);
	}
	if (s->failure == EXIT_OK && s->client.state == CLIENT_FAILED)
		return complain(EXIT_PROTOCOL, s->options->socket, s->client.error);
	return s->failure;
}

static enum exit_status session_run_on(struct session *s, int fd)
{
	const struct client_sink sink = {
	    .output = take_output, .errors = take_errors, .context = s};
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

static enum exit_status session_start(const struct fcgiget_options *o)
{
	struct session s = {.options = o, .deadline = dial_now() + o->timeout};
	enum exit_status status = body_init(&s.body, o->data);

	if (status == EXIT_OK)
		status = connect_and_run(&s);
	body_fini(&s.body);
	return status;
}

/* ---- start ------------------------------------------------------------------------- */

static enum exit_status print_version(void)
{
	printf("fcgiget " PACKAGE_VERSION "\n");
	return EXIT_OK;
}

static enum exit_status print_help(void)
{
	fcgiget_options_help();
	return EXIT_OK;
}

static enum exit_status perform(const struct fcgiget_options *o)
{
	switch (o->action) {
	case ACTION_HELP:
		return print_help();
	case ACTION_VERSION:
		return print_version();
	case ACTION_REQUEST:
	case ACTION_VALUES:
		return session_start(o);
	}
	return EXIT_USAGE;
}

/*
 * Occupies standard descriptors that the caller closed, so that no socket gets
 * their number; the wrong way round, so that using them still fails.
 */
static int occupy_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		if (open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY) != fd)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct fcgiget_options options;
	enum exit_status status = EXIT_USAGE;

	if (occupy_standard() != 0)
		return EXIT_USAGE;
	signal(SIGPIPE, SIG_IGN);
	if (fcgiget_options_parse(&options, argc, argv) == 0)
		status = perform(&options);
	fcgiget_options_fini(&options);
	if (fflush(stdout) != 0 && status == EXIT_OK)
		status = complain(EXIT_WRITE, "standard output", strerror(errno));
	return (int)status;
}

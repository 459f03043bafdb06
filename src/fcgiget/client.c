/* SPDX-License-Identifier: ISC */
/*
 * client: queueing the request's records, and dispatching the answer's.
 */
#include "fcgiget/client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "fcgi/record.h"

enum {
	OUT_MAX = 8 * 1024 * 1024, /* the parameters of a command line, and a body record */
	BODY_LOW = 64 * 1024,      /* below this, more of the body is taken */
	REQUEST_ID = 1,
};

static void set_state(struct client *c, enum client_state state)
{
	assert(c->state == CLIENT_OPEN ? state != CLIENT_OPEN
	                               : c->state == CLIENT_ENDED && state == CLIENT_OPEN);
	c->state = state;
}

void client_init(struct client *c, int fd, const struct client_sink *sink)
{
	*c = (struct client){.fd = fd, .sink = sink};
	buf_init(&c->out, OUT_MAX);
	buf_init(&c->final, FCGI_MAX_CONTENT);
	fcgi_reader_init(&c->reader);
}

void client_fini(struct client *c)
{
	buf_fini(&c->out);
	buf_fini(&c->final);
}

void client_again(struct client *c)
{
	assert(c->state == CLIENT_ENDED && buf_len(&c->out) == 0 && !c->surplus);
	buf_consume(&c->final, buf_len(&c->final));
	set_state(c, CLIENT_OPEN);
	c->heard = false;
}

void client_fail(struct client *c, const char *fmt, ...)
{
	va_list args;

	if (c->state != CLIENT_OPEN)
		return;
	set_state(c, CLIENT_FAILED);
	va_start(args, fmt);
	vsnprintf(c->error, sizeof c->error, fmt, args);
	va_end(args);
}

static void fail_errno(struct client *c, const char *what)
{
	client_fail(c, "%s: %s", what, strerror(errno));
}

void client_request(struct client *c, unsigned flags, const struct buf *params)
{
	c->id = REQUEST_ID;
	c->awaited = FCGI_END_REQUEST;
	c->sending = CLIENT_BODY;
	if (record_put_begin(&c->out, c->id, FCGI_RESPONDER, flags) != 0 ||
	    record_put_stream(&c->out, FCGI_PARAMS, c->id, buf_bytes(params),
	        buf_len(params)) != 0 ||
	    record_put(&c->out, FCGI_PARAMS, c->id, NULL, 0) != 0)
		fail_errno(c, "cannot queue the parameters");
}

void client_ask(struct client *c, const char *const *names, size_t count)
{
	unsigned char content[512];
	size_t used = 0;

	c->id = FCGI_NULL_REQUEST_ID;
	c->awaited = FCGI_GET_VALUES_RESULT;
	c->sending = CLIENT_SENT;
	for (size_t i = 0; i < count; i++) {
		struct fcgi_pair pair = {.name = (const unsigned char *)names[i],
		    .name_len = strlen(names[i]),
		    .value = (const unsigned char *)""};

		assert(fcgi_pair_size(pair.name_len, 0) <= sizeof content - used);
		used += fcgi_put_pair(content + used, &pair);
	}
	if (record_put(&c->out, FCGI_GET_VALUES, c->id, content, used) != 0)
		fail_errno(c, "cannot queue the question");
}

bool client_wants_body(const struct client *c)
{
	return c->state == CLIENT_OPEN && c->sending == CLIENT_BODY && buf_len(&c->out) < BODY_LOW;
}

void client_send(struct client *c, const void *bytes, size_t len)
{
	if (c->sending != CLIENT_BODY)
		return;
	if (len == 0)
		c->sending = CLIENT_SENT;
	if ((len > 0 && record_put_stream(&c->out, FCGI_STDIN, c->id, bytes, len) != 0) ||
	    (len == 0 && record_put(&c->out, FCGI_STDIN, c->id, NULL, 0) != 0))
		fail_errno(c, "cannot queue the body");
}

short client_interest(const struct client *c, bool reading)
{
	int events = 0;

	if (c->state != CLIENT_OPEN)
		return 0;
	if (reading)
		events |= POLLIN;
	if (buf_len(&c->out) > 0)
		events |= POLLOUT;
	return (short)events;
}

/* The server does not read any more: drops the rest of the request; an answer may still come. */
static void cut_sending(struct client *c)
{
	c->sending = CLIENT_CUT;
	buf_fini(&c->out);
}

static void flush(struct client *c)
{
	ssize_t n = send(c->fd, buf_bytes(&c->out), buf_len(&c->out), MSG_NOSIGNAL);

	if (n >= 0)
		buf_consume(&c->out, (size_t)n);
	else if (errno == EPIPE || errno == ECONNRESET)
		cut_sending(c);
	else if (errno != EAGAIN && errno != EINTR)
		fail_errno(c, "cannot send");
}

static void finish(struct client *c)
{
	size_t len = buf_len(&c->final);

	if (c->awaited == FCGI_END_REQUEST && len < FCGI_BODY_LEN) {
		client_fail(c, "END_REQUEST record of %zu bytes, not 8", len);
		return;
	}
	if (c->awaited == FCGI_END_REQUEST)
		fcgi_get_end(buf_bytes(&c->final), &c->app_status, &c->protocol_status);
	set_state(c, CLIENT_ENDED);
}

static void read_final(struct client *c, const struct fcgi_piece *piece)
{
	if (buf_append(&c->final, piece->bytes, piece->len) != 0)
		fail_errno(c, "cannot keep the answer");
	else if (piece->last)
		finish(c);
}

static void handle_piece(struct client *c, const struct fcgi_piece *piece)
{
	if (piece->type == 0)
		return;
	if (c->state == CLIENT_ENDED)
		c->surplus = true;
	else if (piece->id == c->id && piece->type == (unsigned)c->awaited)
		read_final(c, piece);
	else if (c->id == FCGI_NULL_REQUEST_ID || piece->id != c->id ||
	    (piece->type != FCGI_STDOUT && piece->type != FCGI_STDERR))
		client_fail(c, "unexpected record: type %u (%s), request id %u", piece->type,
		    fcgi_type_name(piece->type), piece->id);
	else if (piece->len > 0 && piece->type == FCGI_STDOUT)
		c->sink->output(c, c->sink->context, piece->bytes, piece->len);
	else if (piece->len > 0)
		c->sink->errors(c, c->sink->context, piece->bytes, piece->len);
}

static void read_records(struct client *c, const unsigned char *bytes, size_t len)
{
	/* padding after the awaited record is part of it */
	while (len > 0 && c->state != CLIENT_FAILED) {
		struct fcgi_piece piece;
		ssize_t n = fcgi_reader_next(&c->reader, bytes, len, &piece);

		if (n < 0) {
			c->surplus = true;
			client_fail(c, "not FastCGI: version byte %u where a record should begin",
			    c->reader.header[0]);
			return;
		}
		handle_piece(c, &piece);
		bytes += n;
		len -= (size_t)n;
	}
}

static void receive(struct client *c)
{
	unsigned char bytes[CLIENT_READ_MAX];
	ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);

	c->heard = c->heard || n > 0;
	if (n > 0)
		read_records(c, bytes, (size_t)n);
	else if (n == 0)
		client_fail(c, "connection closed %s, before %s",
		    fcgi_reader_between(&c->reader) ? "by the server" : "inside a record",
		    fcgi_type_name((unsigned)c->awaited));
	else if (errno != EAGAIN && errno != EINTR)
		fail_errno(c, "cannot receive");
}

void client_ready(struct client *c, short events, bool reading)
{
	if ((events & (POLLOUT | POLLHUP | POLLERR)) != 0 && buf_len(&c->out) > 0)
		flush(c);
	if (reading && (events & (POLLIN | POLLHUP | POLLERR)) != 0 && c->state == CLIENT_OPEN)
		receive(c);
}

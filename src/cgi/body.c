/* SPDX-License-Identifier: ISC */
/*
 * body: FCGI_STDIN -> spool -> pipe, or straight from a socket to the pipe.
 */
#include "cgi/body.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/sys.h"

static void on_writable(struct loop_watch *watch, unsigned events);

void body_init(struct body *body, struct loop *loop, uint64_t max, const char *dir,
    body_moved_fn *moved)
{
	*body = (struct body){.loop = loop, .left = BODY_LENGTH_UNKNOWN, .moved = moved};
	spool_init(&body->spool, max, dir);
	loop_watch_init(&body->pipe, on_writable);
}

void body_fini(struct body *body)
{
	loop_close(body->loop, &body->pipe);
	spool_fini(&body->spool);
}

uint64_t body_waiting(const struct body *body)
{
	return spool_len(&body->spool);
}

void body_hand_over(struct body *from, struct body *to, body_moved_fn *moved)
{
	int fd = from->pipe.fd;
	unsigned wanted = from->pipe.wanted;

	loop_unwatch(from->loop, &from->pipe);
	*to = *from;
	to->moved = moved;
	loop_watch_init(&to->pipe, on_writable);
	spool_init(&from->spool, from->spool.max, from->spool.dir);
	from->dropped = true;
	if (fd >= 0 && loop_watch(to->loop, &to->pipe, fd, wanted) != 0) {
		close(fd); /* no memory: the script sees end of file */
		body_drop(to);
	}
}

void body_drop(struct body *body)
{
	body->dropped = true;
	body_fini(body);
	spool_init(&body->spool, body->spool.max, body->spool.dir);
}

void body_renounce(struct body *body)
{
	body_drop(body);
	body->ended = true;
}

/*
 * Writes to the script; returns how much it took.  A closed stdin is not an error: the body is
 * dropped, and all of it counts as taken.
 */
static size_t write_pipe(struct body *body, const void *bytes, size_t len)
{
	ssize_t n;

	do {
		n = write(body->pipe.fd, bytes, len);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (size_t)n;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return 0;
	body_drop(body);
	return len;
}

/* Writes waiting bytes until the pipe is full or none are left; closes it at the body's end. */
static void flush(struct body *body)
{
	const unsigned char *bytes;
	ssize_t n;

	while ((n = spool_peek(&body->spool, &bytes)) > 0) {
		size_t taken = write_pipe(body, bytes, (size_t)n);

		if (body->dropped)
			return;
		spool_consume(&body->spool, taken);
		if (taken < (size_t)n)
			break;
	}
	if (n < 0) {
		log_error("request body lost: cannot read it back from %s: %s", body->spool.dir,
		    strerror(errno));
		body_drop(body);
	} else if (n == 0 && body->ended) {
		loop_close(body->loop, &body->pipe);
	} else {
		loop_want(body->loop, &body->pipe, n > 0 ? LOOP_OUT : LOOP_HUP);
	}
}

static void on_writable(struct loop_watch *watch, unsigned events)
{
	struct body *body = CONTAINER_OF(watch, struct body, pipe);

	/* the reader is gone: write(2) would say EPIPE */
	if (events == LOOP_HUP)
		body_drop(body);
	else
		flush(body);
	body->moved(body);
}

/* The body has ended, by record or by length; the script sees that when it has read it all. */
static void finish(struct body *body)
{
	body->ended = true;
	if (body->pipe.fd >= 0 && body_waiting(body) == 0)
		loop_close(body->loop, &body->pipe);
}

void body_expect(struct body *body, uint64_t length)
{
	if (body->received > length) { /* none of it can have reached a script yet */
		spool_cut(&body->spool, length);
		body->received = length;
	}
	body->left = length - body->received;
	if (body->spool.max < BODY_PASSING)
		body->spool.max = BODY_PASSING;
	if (body->left == 0)
		finish(body);
}

int body_feed(struct body *body, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;
	size_t taken = 0;

	if (body->ended || body->dropped)
		return 0;
	if (body->left != BODY_LENGTH_UNKNOWN) {
		len = len < body->left ? len : (size_t)body->left;
		body->left -= len;
	}
	body->received += len;
	if (body->pipe.fd >= 0 && body_waiting(body) == 0)
		taken = write_pipe(body, at, len);
	if (taken < len) {
		if (spool_append(&body->spool, at + taken, len - taken) != 0)
			return -1;
		loop_want(body->loop, &body->pipe, LOOP_OUT);
	}
	if (body->left == 0 && !body->dropped)
		finish(body);
	return 0;
}

bool body_is_bulky(const struct body *body)
{
	return splice_may(body->splice, body->received, BODY_BULK) && body->pipe.fd >= 0 &&
	    !body->ended && body_waiting(body) == 0;
}

ssize_t body_move(struct body *body, int from, size_t len)
{
	ssize_t n;

	if (body->splice == SPLICE_COPIED) {
		sys_pipe_widen(body->pipe.fd, BODY_PIPE);
		splice_set_state(&body->splice, SPLICE_SPLICED);
	}
	if (len > body->left)
		len = (size_t)body->left;
	do {
		n = sys_move(from, body->pipe.fd, len);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		body->received += (uint64_t)n;
		if (body->left != BODY_LENGTH_UNKNOWN)
			body->left -= (uint64_t)n;
		if (body->left == 0)
			finish(body);
	} else if (n < 0 && errno != EAGAIN) {
		splice_set_state(&body->splice, SPLICE_BROKEN);
	}
	return n;
}

void body_await_room(struct body *body)
{
	loop_want(body->loop, &body->pipe, LOOP_OUT);
}

bool body_awaits_room(const struct body *body)
{
	return body->pipe.fd >= 0 && body->pipe.wanted == LOOP_OUT && body_waiting(body) == 0;
}

void body_end(struct body *body)
{
	if (!body->ended && !body->dropped)
		finish(body);
}

int body_attach(struct body *body, int fd)
{
	if (loop_watch(body->loop, &body->pipe, fd, LOOP_HUP) != 0) {
		close_keeping_errno(fd);
		return -1;
	}
	flush(body);
	return 0;
}

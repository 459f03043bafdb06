/* SPDX-License-Identifier: ISC */
/*
 * relay: header collection, then reads straight into records.
 */
#include "relay.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "record.h"

static void on_readable(struct loop_watch *watch, unsigned events);

void relay_init(struct relay *relay, struct loop *loop, struct buf *out, uint16_t id,
    enum response_kind kind, relay_moved_fn *moved)
{
	*relay = (struct relay){.loop = loop, .out = out, .id = id, .moved = moved};
	response_init(&relay->response, kind);
	buf_init(&relay->head, RESPONSE_HEAD_MAX);
	loop_watch_init(&relay->pipe, on_readable);
}

void relay_fini(struct relay *relay)
{
	loop_close(relay->loop, &relay->pipe);
	buf_fini(&relay->head);
}

int relay_attach(struct relay *relay, int fd)
{
	if (loop_watch(relay->loop, &relay->pipe, fd, LOOP_IN) == 0)
		return 0;
	close(fd);
	return -1;
}

bool relay_has_room(const struct relay *relay)
{
	/* a block that grows full without an end is a fault, and no longer in RELAY_HEAD */
	if (relay->state == RELAY_HEAD && buf_room(&relay->head) == 0)
		return false;
	return buf_len(relay->out) < RELAY_HIGH;
}

const char *relay_fault(const struct relay *relay)
{
	return relay->response.fault;
}

static void set_fault(struct relay *relay, const char *fault)
{
	relay->response.fault = fault;
	relay->state = RELAY_FAULT;
	loop_close(relay->loop, &relay->pipe);
}

/* ---- the header block ----------------------------------------------------------- */

/* Sends the normalised block, and the body bytes that came with it, as one record. */
static void send_head(struct relay *relay, size_t head_len)
{
	unsigned char *raw = buf_bytes(&relay->head);
	size_t body_len = buf_len(&relay->head) - head_len;
	unsigned char *record = record_open(relay->out, response_rendered_max(head_len) + body_len);
	size_t len;

	if (record == NULL) {
		set_fault(relay, strerror(errno));
		return;
	}
	len = response_render(&relay->response, raw, head_len, record);
	body_len = response_body(&relay->response, raw + head_len, body_len);
	if (body_len > 0)
		memcpy(record + len, raw + head_len, body_len);
	record_close(relay->out, FCGI_STDOUT, relay->id, len + body_len);
	relay->sent += len + body_len;
	relay->state = RELAY_BODY;
	buf_fini(&relay->head);
}

/* Apache keeps of a refusing authorizer's answer what comes with its header block. */
static bool waits_for_body(const struct relay *relay, size_t head_len)
{
	return relay->response.kind == RESPONSE_AUTHORIZER && !relay->response.drops_body &&
	    relay->pipe.fd >= 0 && buf_len(&relay->head) - head_len < RELAY_AUTHORIZER_BODY &&
	    buf_room(&relay->head) > 0;
}

static void examine_head(struct relay *relay)
{
	ptrdiff_t len =
	    response_parse(&relay->response, buf_bytes(&relay->head), buf_len(&relay->head));

	if (len < 0)
		set_fault(relay, relay->response.fault);
	else if (len == 0 && relay->eof)
		set_fault(relay, buf_len(&relay->head) == 0
			? "it wrote nothing"
			: "its output ends before the empty line that ends the headers");
	else if (len > 0 && !relay->hold && !waits_for_body(relay, (size_t)len))
		send_head(relay, (size_t)len);
}

/* Draws the conclusions from what has been read, and from the end of it. */
static void settle(struct relay *relay)
{
	if (relay->state == RELAY_HEAD)
		examine_head(relay);
	if (relay->state == RELAY_BODY && relay->eof)
		relay->state = RELAY_ENDED;
}

/* ---- reading ---------------------------------------------------------------------- */

static void end_of_output(struct relay *relay)
{
	relay->eof = true;
	loop_close(relay->loop, &relay->pipe);
	settle(relay);
}

static void take_head(struct relay *relay, size_t n)
{
	buf_commit(&relay->head, n);
	settle(relay);
}

static void take_body(struct relay *relay, unsigned char *bytes, size_t n)
{
	n = response_body(&relay->response, bytes, n);
	if (n == 0)
		return; /* an empty record would end the stream */
	record_close(relay->out, FCGI_STDOUT, relay->id, n);
	relay->sent += n;
}

/* Where the next read goes: the header buffer, or a record that is being made. */
static unsigned char *open_target(struct relay *relay, size_t *room)
{
	*room = RELAY_CHUNK;
	if (relay->state != RELAY_HEAD)
		return record_open(relay->out, RELAY_CHUNK);
	if (*room > buf_room(&relay->head))
		*room = buf_room(&relay->head);
	if (*room > 2048 && buf_len(&relay->head) == 0)
		*room = 2048; /* most responses are shorter, and this is memory of each request */
	return buf_reserve(&relay->head, *room);
}

/* `last`: nobody can write any more, so a read that had room for more is the last one. */
static void read_some(struct relay *relay, bool last)
{
	size_t room;
	unsigned char *to = open_target(relay, &room);
	ssize_t n;

	if (to == NULL) {
		set_fault(relay, strerror(errno));
		return;
	}
	do {
		n = read(relay->pipe.fd, to, room);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n > 0 && relay->state == RELAY_HEAD)
		take_head(relay, (size_t)n);
	else if (n > 0)
		take_body(relay, to, (size_t)n);
	if (n <= 0 || (last && (size_t)n < room && relay->pipe.fd >= 0))
		end_of_output(relay);
}

static void on_readable(struct loop_watch *watch, unsigned events)
{
	struct relay *relay = CONTAINER_OF(watch, struct relay, pipe);

	if (!relay_has_room(relay)) {
		relay->paused = true;
		loop_want(relay->loop, &relay->pipe, 0);
		return;
	}
	read_some(relay, (events & LOOP_HUP) != 0);
	relay->moved(relay);
}

void relay_resume(struct relay *relay)
{
	if (!relay->paused || !relay_has_room(relay))
		return;
	relay->paused = false;
	loop_want(relay->loop, &relay->pipe, LOOP_IN);
	read_some(relay, false);
	relay->moved(relay);
}

void relay_hold(struct relay *relay)
{
	relay->hold = true;
}

void relay_let_go(struct relay *relay)
{
	if (!relay->hold)
		return;
	relay->hold = false;
	settle(relay);
	relay_resume(relay);
	relay->moved(relay);
}

void relay_stop(struct relay *relay)
{
	if (relay->pipe.fd >= 0)
		end_of_output(relay);
}

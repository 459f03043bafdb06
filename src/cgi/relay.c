/* SPDX-License-Identifier: ISC */
/*
 * relay: header collection, then reads straight into records, or none at all.
 */
#include "cgi/relay.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/record.h"
#include "base/sys.h"

static void on_readable(struct loop_watch *watch, unsigned events);

void relay_init(struct relay *relay, struct loop *loop, struct outlet *out, uint16_t id,
    enum response_kind kind, relay_moved_fn *moved)
{
	*relay = (struct relay){
	    .loop = loop, .out = out, .id = id, .move_from = RELAY_BULK, .moved = moved};
	response_init(&relay->response, kind);
	buf_init(&relay->head, RESPONSE_HEAD_MAX);
	loop_watch_init(&relay->pipe, on_readable);
}

static void close_pipe(struct relay *relay)
{
	outlet_recall(relay->out, relay->pipe.fd);
	loop_close(relay->loop, &relay->pipe);
}

void relay_fini(struct relay *relay)
{
	close_pipe(relay);
	buf_fini(&relay->head);
}

int relay_attach(struct relay *relay, int fd)
{
	if (loop_watch(relay->loop, &relay->pipe, fd, LOOP_IN) == 0)
		return 0;
	close(fd);
	return -1;
}

void relay_redirect(struct relay *relay, struct outlet *out)
{
	outlet_recall(relay->out, relay->pipe.fd);
	relay->out = out;
}

bool relay_has_room(const struct relay *relay)
{
	/* a block that grows full without an end is a fault, and no longer in RELAY_HEAD */
	if (relay->state == RELAY_HEAD && buf_room(&relay->head) == 0)
		return false;
	return outlet_waiting(relay->out) < RELAY_HIGH &&
	    !outlet_is_moving(relay->out, relay->pipe.fd);
}

const char *relay_fault(const struct relay *relay)
{
	return relay->response.fault;
}

static void set_fault(struct relay *relay, const char *fault)
{
	relay->response.fault = fault;
	relay->state = RELAY_FAULT;
	close_pipe(relay);
}

/* ---- the header block ----------------------------------------------------------- */

/* Sends the normalised block, and the body bytes that came with it, as one record. */
static void send_head(struct relay *relay, size_t head_len)
{
	unsigned char *raw = buf_bytes(&relay->head);
	size_t body_len = buf_len(&relay->head) - head_len;
	size_t most = response_rendered_max(head_len) + body_len;
	unsigned char *record = record_open(&relay->out->records, most);
	size_t len;

	if (record == NULL) {
		set_fault(relay, strerror(errno));
		return;
	}
	len = response_render(&relay->response, raw, head_len, record);
	body_len = response_body(&relay->response, raw + head_len, body_len);
	if (body_len > 0)
		memcpy(record + len, raw + head_len, body_len);
	record_close(&relay->out->records, FCGI_STDOUT, relay->id, len + body_len);
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
	close_pipe(relay);
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
	record_close(&relay->out->records, FCGI_STDOUT, relay->id, n);
	relay->sent += n;
}

/* Where the next read goes: the header buffer, or a record that is being made. */
static unsigned char *open_target(struct relay *relay, size_t *room)
{
	*room = RELAY_CHUNK;
	if (relay->state != RELAY_HEAD)
		return record_open(&relay->out->records, RELAY_CHUNK);
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
	relay->last = n > 0 ? (size_t)n : 0;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n > 0 && relay->state == RELAY_HEAD)
		take_head(relay, (size_t)n);
	else if (n > 0)
		take_body(relay, to, (size_t)n);
	if (n <= 0 || (last && (size_t)n < room && relay->pipe.fd >= 0))
		end_of_output(relay);
}

/* ---- moving ------------------------------------------------------------------------ */

/* Whether there may be enough in the pipe: FIONREAD is not for those that trickle. */
static bool is_bulky(const struct relay *relay)
{
	return relay->state == RELAY_BODY && relay->sent >= relay->move_from &&
	    relay->last >= RELAY_WORTH;
}

/* Sends the next record from the pipe of `waiting` bytes: its length, or 0 if it is not to be. */
static size_t move_record(struct relay *relay, size_t waiting)
{
	size_t len = response_passes(&relay->response, waiting < RELAY_MOVE ? waiting : RELAY_MOVE);

	len -= len % 8;
	if (len < RELAY_WORTH || !outlet_move(relay->out, relay->id, relay->pipe.fd, len))
		return 0;
	response_skip(&relay->response, len);
	relay->sent += len;
	return len;
}

/* Has much output go to the client without reading it; false if it has to be read. */
static bool move_some(struct relay *relay)
{
	size_t waiting = is_bulky(relay) ? sys_readable(relay->pipe.fd) : 0;
	size_t moved = 0;
	size_t len;

	do {
		len = move_record(relay, waiting - moved);
		moved += len;
	} while (len > 0 && moved < RELAY_BURST && relay_has_room(relay));
	if (moved == 0)
		return false;
	relay->last = moved;
	if (relay->move_from > 0)
		sys_pipe_widen(relay->pipe.fd, RELAY_PIPE);
	relay->move_from = 0;
	return true;
}

/* ---- both --------------------------------------------------------------------------- */

/* Takes what there is; `last` as for read_some().  Without room it waits for relay_resume(). */
static void take_some(struct relay *relay, bool last)
{
	if (!move_some(relay))
		read_some(relay, last);
	relay->paused = outlet_is_moving(relay->out, relay->pipe.fd);
	loop_want(relay->loop, &relay->pipe, relay->paused ? 0 : LOOP_IN);
	relay->moved(relay);
}

static void on_readable(struct loop_watch *watch, unsigned events)
{
	struct relay *relay = CONTAINER_OF(watch, struct relay, pipe);

	if (relay_has_room(relay)) {
		take_some(relay, (events & LOOP_HUP) != 0);
		return;
	}
	relay->paused = true;
	loop_want(relay->loop, &relay->pipe, 0);
}

void relay_resume(struct relay *relay)
{
	if (!relay->paused || !relay_has_room(relay))
		return;
	take_some(relay, false);
}

void relay_hold(struct relay *relay)
{
	relay->hold = true;
}

void relay_let_go(struct relay *relay)
{
	if (!relay->hold || outlet_waiting(relay->out) >= RELAY_HIGH)
		return;
	relay->hold = false;
	settle(relay);
	relay_resume(relay);
	relay->moved(relay);
}

bool relay_is_silent(const struct relay *relay)
{
	struct pollfd pipe = {.fd = relay->pipe.fd, .events = POLLIN};

	return poll(&pipe, 1, 0) <= 0 || (pipe.revents & POLLIN) == 0;
}

void relay_stop(struct relay *relay)
{
	if (relay->pipe.fd >= 0)
		end_of_output(relay);
}

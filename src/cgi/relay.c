/* SPDX-License-Identifier: ISC */
/*
 * relay: the header block, then the body, read straight into records or spliced.
 */
#include "cgi/relay.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/record.h"
#include "base/sys.h"

static void on_readable(struct loop_watch *watch, unsigned events);

void relay_init(struct relay *relay, const struct relay_plan *plan)
{
	*relay = (struct relay){
	    .loop = plan->loop,
	    .scratch = plan->scratch,
	    .out = plan->out,
	    .id = plan->id,
	    .moved = plan->moved,
	    .redirects = plan->redirects,
	};
	response_init(&relay->response, plan->kind, plan->strict);
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

/* How many more bytes may be kept until they can be sent. */
static size_t head_room(const struct relay *relay)
{
	size_t had = buf_len(&relay->head);
	bool held = relay_is_holding(relay) && (relay->head_len > 0 || had < RELAY_HELD_MAX);
	size_t most = held ? RELAY_HELD_MAX : RESPONSE_HEAD_MAX;

	return had < most ? most - had : 0;
}

/* Whether its bytes are kept, or will be looked at for a header block. */
static bool is_before_body(const struct relay *relay)
{
	return relay->state == RELAY_HEAD || relay_is_holding(relay);
}

bool relay_has_room(const struct relay *relay)
{
	/* a block that fills up without an end is a fault, and in none of these states */
	if (is_before_body(relay) && head_room(relay) == 0)
		return false;
	return outlet_waiting(relay->out) < RELAY_HIGH &&
	    !outlet_is_moving(relay->out, relay->pipe.fd);
}

static bool may_follow(enum relay_state from, enum relay_state to)
{
	switch (from) {
	case RELAY_HEAD:
		return to == RELAY_HELD || to == RELAY_BODY || to >= RELAY_REDIRECT;
	case RELAY_HELD:
		return to == RELAY_HEAD || to == RELAY_HELD_ENDED || to >= RELAY_FAULT;
	case RELAY_HELD_ENDED:
		return to == RELAY_HEAD;
	case RELAY_REDIRECT:
		return to == RELAY_BODY || to == RELAY_FAULT_ENDED || to == RELAY_STARVED;
	case RELAY_BODY:
		return to == RELAY_ENDED || to == RELAY_STARVED;
	case RELAY_ENDED:
	case RELAY_FAULT:
	case RELAY_FAULT_ENDED:
	case RELAY_STARVED:
		return false;
	}
	return false;
}

static void set_state(struct relay *relay, enum relay_state state)
{
	assert(may_follow(relay->state, state));
	relay->state = state;
}

const char *relay_fault(const struct relay *relay)
{
	return relay->response.fault;
}

/* `ended`: nothing follows what has been read. */
static void set_fault(struct relay *relay, const char *fault, bool ended)
{
	relay->response.fault = fault;
	set_state(relay, ended ? RELAY_FAULT_ENDED : RELAY_FAULT);
	close_pipe(relay);
}

static bool is_faulty(const struct relay *relay)
{
	return relay->state == RELAY_FAULT || relay->state == RELAY_FAULT_ENDED;
}

/* A lack of memory is not the script's fault. */
static void starve(struct relay *relay)
{
	set_state(relay, RELAY_STARVED);
	close_pipe(relay);
}

/* ---- the header block ----------------------------------------------------------- */

/*
 * Claims the shared memory for this relay and copies the output it has kept to it; more can be
 * read in after that.
 */
static unsigned char *claim_scratch(struct relay *relay)
{
	unsigned char *raw = relay->scratch->bytes + FCGI_HEADER_LEN + RESPONSE_GROWTH_MAX;

	if (relay->scratch->borrower != NULL)
		outlet_keep(relay->scratch->borrower);
	if (buf_len(&relay->head) > 0)
		memcpy(raw, buf_bytes(&relay->head), buf_len(&relay->head));
	return raw;
}

/*
 * Sends `len` bytes of the shared memory, with room before and after them: as one record if
 * they fit into it, without a copy if there are many of them.
 */
static void send_output(struct relay *relay, unsigned char *content, size_t len)
{
	size_t first = len <= FCGI_MAX_CONTENT ? len : RELAY_MOVE; /* which needs no padding */
	unsigned char *record = content - FCGI_HEADER_LEN;
	struct buf *records = &relay->out->records;

	fcgi_put_header(record, FCGI_STDOUT, relay->id, first, fcgi_padding(first));
	if (first == len)
		memset(content + len, 0, fcgi_padding(len));
	if ((len < RELAY_LEND || !outlet_lend(relay->out, record, record_size(first),
				     &relay->scratch->borrower)) &&
	    buf_append(records, record, record_size(first)) != 0) {
		starve(relay);
		return;
	}
	set_state(relay, RELAY_BODY);
	relay->sent += first;
	if (record_put_stream(records, FCGI_STDOUT, relay->id, content + first, len - first) == 0)
		relay->sent += len - first;
	else
		starve(relay);
	buf_fini(&relay->head);
}

/*
 * Sends the header block at `raw`, in normal form, and the rest of the `len` bytes there.  A
 * block that is already in that form stays where it is; any other is replaced.
 */
static void send_head(struct relay *relay, unsigned char *raw, size_t len, bool ended)
{
	unsigned char *body = raw + relay->head_len;
	size_t block_len = relay->head_len;

	if (!relay->response.as_is) {
		unsigned char *block = relay->scratch->block;

		block_len = response_render(&relay->response, raw, relay->head_len, block);
		memcpy(body - block_len, block, block_len);
	}
	if (block_len > FCGI_MAX_CONTENT) /* it has to be in one record */
		set_fault(relay, "the header block is larger than 64 KiB", ended);
	else
		send_output(relay, body - block_len,
		    block_len + response_body(&relay->response, body, len - relay->head_len));
}

/* Apache takes only as much of a refusing authorizer's body as comes with its header block. */
static bool waits_for_body(const struct relay *relay, size_t len)
{
	return relay->response.kind == RESPONSE_AUTHORIZER &&
	    relay->response.framing != RESPONSE_EMPTY &&
	    len - relay->head_len < RELAY_AUTHORIZER_BODY && len < RESPONSE_HEAD_MAX;
}

/* A local redirect has no body (RFC 3875 6.2.2): whether one follows is known at the end. */
static bool may_redirect(const struct relay *relay, size_t len)
{
	return relay->redirects && relay->response.local && len == relay->head_len;
}

/* Looks for the end of the header block, which only a newline or the end of output can bring. */
static void parse_head(struct relay *relay, const unsigned char *raw, size_t had, size_t len,
    bool ended)
{
	ptrdiff_t head_len = 0;

	if (ended || len == RESPONSE_HEAD_MAX || relay->response.framing == RESPONSE_CHUNKED ||
	    (len > had && memchr(raw + had, '\n', len - had) != NULL))
		head_len = response_parse(&relay->response, raw, len, ended);
	if (head_len > 0)
		relay->head_len = (size_t)head_len;
	else if (head_len < 0)
		set_fault(relay, relay->response.fault, ended);
	else if (ended)
		set_fault(relay, len == 0
			? "it wrote nothing"
			: "its output ends before the empty line that ends the headers", true);
}

/* Keeps the bytes that cannot be sent yet; after a fault, those that will be shown. */
static void keep_head(struct relay *relay, const unsigned char *raw, size_t had, size_t len)
{
	if (is_faulty(relay) && len > RESPONSE_START_MAX)
		len = had < RESPONSE_START_MAX ? RESPONSE_START_MAX : had;
	if (buf_append(&relay->head, raw + had, len - had) != 0 && !is_faulty(relay))
		starve(relay);
}

/* Whether the header block may be sent now, with the `len` bytes that have been read. */
static bool may_send(const struct relay *relay, size_t len, bool ended)
{
	return relay->state == RELAY_HEAD && relay->head_len > 0 &&
	    (ended || !waits_for_body(relay, len)) && !may_redirect(relay, len);
}

/* Before RELAY_BODY: acts on the `len` bytes at `raw`, of which `had` have been seen before. */
static void examine_head(struct relay *relay, unsigned char *raw, size_t had, size_t len,
    bool ended)
{
	if (relay->head_len == 0)
		parse_head(relay, raw, had, len, ended);
	if (may_send(relay, len, ended))
		send_head(relay, raw, len, ended);
	else
		keep_head(relay, raw, had, len);
	if (!ended)
		return;
	if (relay->state == RELAY_HELD)
		set_state(relay, RELAY_HELD_ENDED);
	else if (relay->state == RELAY_HEAD)
		set_state(relay, RELAY_REDIRECT);
	else if (relay->state == RELAY_BODY)
		set_state(relay, RELAY_ENDED);
}

/* Acts on the bytes kept so far. */
static void examine_kept(struct relay *relay, bool ended)
{
	size_t len = buf_len(&relay->head);

	examine_head(relay, claim_scratch(relay), len, len, ended);
}

const char *relay_local_path(const struct relay *relay, size_t *len)
{
	return response_local_path(&relay->response, buf_bytes(&relay->head), relay->head_len, len);
}

void relay_pass_redirect(struct relay *relay, bool accel)
{
	relay->response.accel = accel;
	send_head(relay, claim_scratch(relay), relay->head_len, true);
	if (relay->state == RELAY_BODY)
		set_state(relay, RELAY_ENDED);
}

/* ---- reading ---------------------------------------------------------------------- */

static void end_of_output(struct relay *relay)
{
	close_pipe(relay);
	if (is_before_body(relay))
		examine_kept(relay, true);
	else if (relay->state == RELAY_BODY)
		set_state(relay, RELAY_ENDED);
}

static void send_body(struct relay *relay, unsigned char *bytes, size_t n)
{
	n = response_body(&relay->response, bytes, n);
	if (n == 0)
		return; /* an empty record would end the stream */
	record_close(&relay->out->records, FCGI_STDOUT, relay->id, n);
	relay->sent += n;
}

/* As read(2), but never interrupted. */
static ssize_t read_pipe(const struct relay *relay, unsigned char *to, size_t room)
{
	ssize_t n;

	do {
		n = read(relay->pipe.fd, to, room);
	} while (n < 0 && errno == EINTR);
	return n;
}

static bool is_empty(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

static void read_head(struct relay *relay, bool last)
{
	size_t had = buf_len(&relay->head);
	size_t room = head_room(relay);
	unsigned char *raw = claim_scratch(relay);
	ssize_t n = read_pipe(relay, raw + had, room);
	bool ended = n <= 0 || (last && (size_t)n < room);

	relay->last_read = n > 0 ? (size_t)n : 0;
	if (is_empty(n))
		return;
	if (ended)
		close_pipe(relay);
	examine_head(relay, raw, had, had + relay->last_read, ended);
}

static void read_body(struct relay *relay, bool last)
{
	unsigned char *to = record_open(&relay->out->records, RELAY_CHUNK);
	ssize_t n;

	if (to == NULL) {
		starve(relay);
		return;
	}
	n = read_pipe(relay, to, RELAY_CHUNK);
	relay->last_read = n > 0 ? (size_t)n : 0;
	if (is_empty(n))
		return;
	if (n > 0)
		send_body(relay, to, (size_t)n);
	if (n <= 0 || (last && n < RELAY_CHUNK))
		end_of_output(relay);
}

/* `last`: no process can write any more, and a read that had room for more is the last one. */
static void read_some(struct relay *relay, bool last)
{
	if (is_before_body(relay))
		read_head(relay, last);
	else
		read_body(relay, last);
}

/* ---- moving ------------------------------------------------------------------------ */

/* Whether there may be enough in the pipe; output that trickles is not worth a FIONREAD. */
static bool is_bulky(const struct relay *relay)
{
	return relay->state == RELAY_BODY && splice_may(relay->splice, relay->sent, RELAY_BULK) &&
	    relay->last_read >= RELAY_WORTH;
}

/* Splices the next record from the pipe, which holds `waiting` bytes; its length, or 0. */
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

/* Sends large output to the client without reading it; false if it has to be read. */
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
	relay->last_read = moved;
	if (relay->splice == SPLICE_COPIED) {
		sys_pipe_widen(relay->pipe.fd, RELAY_PIPE);
		splice_set_state(&relay->splice, SPLICE_SPLICED);
	}
	return true;
}

/* ---- both --------------------------------------------------------------------------- */

/*
 * Reads the output that is there, or moves it; `last` as for read_some().  While it is being
 * moved, the pipe is not watched until relay_resume().
 */
static void read_on(struct relay *relay, bool last)
{
	if (!move_some(relay))
		read_some(relay, last);
	loop_want(relay->loop, &relay->pipe,
	    outlet_is_moving(relay->out, relay->pipe.fd) ? 0 : LOOP_IN);
	relay->moved(relay);
}

static void on_readable(struct loop_watch *watch, unsigned events)
{
	struct relay *relay = CONTAINER_OF(watch, struct relay, pipe);

	if (relay_has_room(relay)) {
		read_on(relay, (events & LOOP_HUP) != 0);
		return;
	}
	loop_want(relay->loop, &relay->pipe, 0);
}

bool relay_is_paused(const struct relay *relay)
{
	return relay->pipe.fd >= 0 && relay->pipe.wanted == 0;
}

void relay_resume(struct relay *relay)
{
	if (relay_is_paused(relay) && relay_has_room(relay))
		read_on(relay, false);
}

void relay_hold(struct relay *relay)
{
	set_state(relay, RELAY_HELD);
}

void relay_let_go(struct relay *relay)
{
	bool ended;

	if (!relay_is_holding(relay) || outlet_waiting(relay->out) >= RELAY_HIGH)
		return;
	ended = relay->state == RELAY_HELD_ENDED;
	set_state(relay, RELAY_HEAD);
	examine_kept(relay, ended);
	relay_resume(relay);
	relay->moved(relay);
}

bool relay_is_silent(const struct relay *relay)
{
	struct pollfd pipe = {.fd = relay->pipe.fd, .events = POLLIN};

	return poll(&pipe, 1, 0) <= 0 || (pipe.revents & POLLIN) == 0;
}

bool relay_is_held(const struct relay *relay)
{
	struct pollfd pipe = {.fd = relay->pipe.fd, .events = POLLIN};

	return poll(&pipe, 1, 0) <= 0 || (pipe.revents & POLLHUP) == 0;
}

void relay_stop(struct relay *relay)
{
	if (relay->pipe.fd >= 0)
		end_of_output(relay);
}

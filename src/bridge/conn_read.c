/* SPDX-License-Identifier: ISC */
/*
 * conn_read: input from the socket: bytes that are read, bodies that are spliced, end of file.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bridge/conn_private.h"

enum {
	MOVE_WORTH = 16 * 1024, /* a record of a body with at least this content is moved */
	MOVE_STEPS = 16,        /* headers read, or contents moved, in one turn */
};

/* ---- reading ---------------------------------------------------------------------------- */

/* Whether the client has sent everything that its active requests need. */
static bool is_whole(const struct conn *conn)
{
	for (const struct request *request = conn->requests.first; request != NULL;
	     request = request_list_next(&conn->requests, request))
		if (!request_is_whole(request))
			return false;
	return true;
}

/*
 * The client has shut its side, or is gone; on TCP the two look the same.  On a unix socket, a
 * client that is gone shows as a hang-up; without it, one that has sent everything may still be
 * waiting for its answer.  When the scripts have ended there is nothing to stop: the rest of
 * the answer is sent, or that fails.
 */
static void handle_eof(struct conn *conn, unsigned events)
{
	bool gone = conn->peer.addr.any.sa_family != AF_UNIX || (events & LOOP_HUP) != 0;

	if (conn_is_served(conn) && !fcgi_reader_between(&conn->reader))
		conn_reject(conn, "the client stopped in the middle of a record");
	else if (conn->active == 0 ? outlet_waiting(&conn->out) == 0 : gone || !is_whole(conn))
		conn_close(conn);
	else if (conn_is_served(conn))
		conn_set_state(conn, CONN_HALF);
}

static void handle_reset(struct conn *conn)
{
	if (conn_is_served(conn) && !fcgi_reader_between(&conn->reader))
		conn_reject(conn, "reset by the client in the middle of a record");
	else
		conn_close(conn);
}

/* Reads up to `len` bytes; false if there were none. */
static bool read_some(struct conn *conn, unsigned events, size_t len)
{
	ssize_t n;

	do {
		n = read(conn->socket.fd, conn->owner->scratch, len);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		conn_read_records(conn, conn->owner->scratch, (size_t)n);
	else if (n == 0)
		handle_eof(conn, events);
	else if (errno != EAGAIN && errno != EWOULDBLOCK)
		handle_reset(conn);
	return n > 0;
}

/* ---- bodies that are moved ---------------------------------------------------------------- */

/*
 * The request whose body is moved, and in `*left` the rest of the record that is coming in;
 * NULL if bytes are to be read.  Between two records the last one decides, and no more than the
 * next one's header is read then.
 */
static struct request *find_moving(const struct conn *conn, size_t *left)
{
	struct fcgi_piece record;
	struct request *request;

	fcgi_reader_record(&conn->reader, &record);
	*left = record.len;
	if (record.type != FCGI_STDIN || record.content < MOVE_WORTH || !conn_is_served(conn))
		return NULL;
	request = conn_find_request(conn, record.id);
	return request != NULL && request_moves_stdin(request) ? request : NULL;
}

/* Moves some of the `left` bytes of a record's content; false if there was nothing to move. */
static bool move_stdin(struct conn *conn, struct request *request, unsigned events, size_t left)
{
	ssize_t n = request_move_stdin(request, conn->socket.fd, left);

	if (n > 0)
		fcgi_reader_skip(&conn->reader, (size_t)n);
	else if (n == 0)
		handle_eof(conn, events);
	return n > 0;
}

/* There is input, but the script has no room: waits for room, or reads. */
static void wait_or_read(struct conn *conn, struct request *request, unsigned events)
{
	if (request_moves_stdin(request)) {
		request_await_room(request);
		if (!request_wants_input(request, conn->active <= 1))
			return;
	}
	read_some(conn, events, CONN_SCRATCH);
}

/* Moves records to a script, a limited number at a time; reads where nothing can be moved. */
static void read_socket(struct conn *conn, unsigned events)
{
	for (int steps = 0; steps < MOVE_STEPS; steps++) {
		size_t left;
		struct request *request = find_moving(conn, &left);
		bool came;

		if (conn->unread != NULL)
			return;
		if (request == NULL) {
			if (steps == 0)
				read_some(conn, events, CONN_SCRATCH);
			return;
		}
		if (left == 0)
			came = read_some(conn, events, fcgi_reader_gap(&conn->reader));
		else
			came = move_stdin(conn, request, events, left);
		if (!came && left > 0 && steps == 0 && conn->state != CONN_CLOSED)
			wait_or_read(conn, request, events);
		if (!came)
			return;
	}
}

/* ---- both --------------------------------------------------------------------------------- */

void conn_await_client(struct conn *conn)
{
	int64_t left = conn->drain_until - loop_now(conn_loop(conn));
	int64_t quiet = conn->owner->times->quiet;

	if (conn->state != CONN_DRAIN && conn->state != CONN_SHUT)
		return;
	if (conn->state == CONN_SHUT)
		quiet = conn->ended.first != NULL ? left : conn->owner->times->leave;
	if (left <= 0)
		conn_close(conn);
	else
		loop_timer_set(conn_loop(conn), &conn->timer, quiet < left ? quiet : left);
}

void conn_on_ready(struct loop_watch *watch, unsigned events)
{
	struct conn *conn = CONTAINER_OF(watch, struct conn, socket);

	if (events & LOOP_IN)
		read_socket(conn, events);
	else if (events & (LOOP_HUP | LOOP_SHUT))
		conn_close(conn);
	conn_await_client(conn);
	conn_touch(conn);
}

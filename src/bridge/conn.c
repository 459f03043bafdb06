/* SPDX-License-Identifier: ISC */
/*
 * conn: the writer, and the life of a connection from its first byte to its end.
 *
 * Callbacks only note what happened and post the connection's turn; conn_turn() then
 * writes, lets requests go on, and decides what comes next, once for all of it.
 */
#include "bridge/conn_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fcgi/record.h"

enum {
	FIRST_RECORD_TIME = 60 * 1000,  /* ms for a new connection to begin a request */
	FIRST_LATE_TIME = 3 * 1000,     /* the same when the worker is on its way out */
	KEEP_IDLE_TIME = 3600 * 1000,   /* ms between requests */
	WRITE_TIME = 300 * 1000,        /* ms for a client to take any of its answer */
	DRAIN_MAX_TIME = 30 * 1000,     /* ms in all that a client may go on sending */
	VALUES_MAX = 64 * 1024,
};

void conn_touch(struct conn *conn)
{
	if (conn->state != CONN_CLOSED)
		loop_post(conn_loop(conn), &conn->turn);
}

static const char *peer_of(const struct conn *conn, char text[ADDRESS_TEXT_MAX])
{
	address_text(&conn->peer, text);
	return text;
}

/* ---- the end ------------------------------------------------------------------------- */

static void on_reap(struct loop_task *task)
{
	struct conn *conn = CONTAINER_OF(task, struct conn, reap);

	outlet_fini(&conn->out);
	buf_fini(&conn->values);
	free(conn);
}

static void leave_owner(struct conn *conn)
{
	if (conn->next != NULL)
		conn->next->prev = conn->prev;
	if (conn->prev != NULL)
		conn->prev->next = conn->next;
	else
		conn->owner->first = conn->next;
	conn->owner->count--;
}

/*
 * The socket is closed, requests that still run lose their client (`why`, for the
 * log; NULL if that has been said), memory goes later.
 */
static void close_because(struct conn *conn, const char *why)
{
	if (conn->state == CONN_CLOSED)
		return;
	conn->state = CONN_CLOSED;
	while (conn->requests != NULL) {
		struct request *request = conn->requests;

		conn_unlink_request(conn, request);
		if (request_may_detach(request)) {
			conn_count_active(conn, -1);
			request_detach(request);
			continue;
		}
		request_lose(request, why);
		request_discard(request);
	}
	loop_close(conn_loop(conn), &conn->socket);
	loop_timer_clear(conn_loop(conn), &conn->timer);
	loop_unpost(&conn->turn);
	leave_owner(conn);
	loop_post(conn_loop(conn), &conn->reap);
	conn->owner->closed(conn->owner);
}

void conn_close(struct conn *conn)
{
	close_because(conn, "the client is gone");
}

void conn_reject(struct conn *conn, const char *why)
{
	char peer[ADDRESS_TEXT_MAX];

	if (conn->state == CONN_CLOSED)
		return;
	log_warn("connection from %s closed: %s", peer_of(conn, peer), why);
	close_because(conn, NULL);
}

/* ---- what requests say --------------------------------------------------------------- */

static void on_touched(struct request_link *link)
{
	conn_touch(CONTAINER_OF(link, struct conn, link));
}

static void on_describe(struct request_link *link, char *text, size_t size)
{
	char peer[ADDRESS_TEXT_MAX];

	snprintf(text, size, "%s", peer_of(CONTAINER_OF(link, struct conn, link), peer));
}

/* Others use its connection: it ends, and all that END_REQUEST can say is that it failed. */
static void end_cut(struct request_link *link, struct request *request)
{
	char peer[ADDRESS_TEXT_MAX];

	on_describe(link, peer, sizeof peer);
	log_info("request %u from %s: its response is cut, and ended all the same: other requests "
		 "use its connection",
	    (unsigned)request->id, peer);
	if (request->app_status == 0)
		request->app_status = 1;
}

/*
 * END_REQUEST goes out, unless that would let a response pass for whole that is not:
 * then the connection ends without it, if nobody else uses it.
 */
static void on_ended(struct request_link *link, struct request *request)
{
	struct conn *conn = CONTAINER_OF(link, struct conn, link);

	conn_count_active(conn, -1);
	if (conn->state == CONN_CLOSED)
		return;
	if (request->truncated && conn->active > 0)
		end_cut(link, request);
	if (request->truncated && conn->active == 0)
		conn->keep = false;
	else if (record_put_end(&conn->out.records, request->id, request->app_status,
		     request->protocol_status) != 0) {
		log_error("no memory for the end of a response: connection closed");
		loop_post(conn_loop(conn), &conn->turn);
		conn->eof = true;
		conn->keep = false;
		return;
	}
	/* the id is needed until its stdin has ended, if it is up to us to close */
	if (request->keep_conn || request->stdin_ended)
		conn_forget_request(conn, request);
	conn_touch(conn);
}

/* ---- the turn: writing, and what comes next ------------------------------------------------ */

/*
 * Has paused requests go on while there is room.  Who has been asked goes to the end
 * of the list, so the next to be asked is the one that room did not suffice for.
 */
static void resume_requests(struct conn *conn)
{
	for (size_t n = conn->known; n > 0 && outlet_waiting(&conn->out) < RELAY_HIGH; n--) {
		struct request *next = conn_rotate_requests(conn);

		if (next == NULL)
			return;
		request_resume(next);
	}
}

/* Whether all that comes in has somewhere to go. */
static bool wants_input(const struct conn *conn)
{
	bool alone = conn->active <= 1;

	if (conn->eof || outlet_waiting(&conn->out) > RELAY_HIGH + FCGI_MAX_CONTENT)
		return false;
	for (const struct request *request = conn->requests; request != NULL;
	     request = request->next)
		if (request->state != REQUEST_ENDED && !request_wants_input(request, alone))
			return false;
	return true;
}

static void watch_socket(struct conn *conn)
{
	unsigned events = 0;

	if (wants_input(conn))
		events |= LOOP_IN;
	else if (!conn->eof && conn->peer.addr.any.sa_family != AF_UNIX)
		events |= LOOP_SHUT; /* on TCP that is all there is to see of a client that left */
	if (outlet_waiting(&conn->out) > 0)
		events |= LOOP_OUT;
	loop_want(conn_loop(conn), &conn->socket, events == 0 ? LOOP_HUP : events);
}

/* Our part is done and out.  Closing is safe once the client has nothing more to send. */
static void start_drain(struct conn *conn)
{
	if (conn->requests == NULL || conn->eof) {
		conn_close(conn);
		return;
	}
	conn->state = CONN_DRAIN;
	conn->drain_until = loop_now(conn_loop(conn)) + DRAIN_MAX_TIME;
	loop_timer_set(conn_loop(conn), &conn->timer, CONN_QUIET_TIME);
}

/* No request is active: what the connection waits for now. */
static void rest(struct conn *conn)
{
	if (outlet_waiting(&conn->out) > 0)
		loop_timer_set(conn_loop(conn), &conn->timer, WRITE_TIME);
	else if (conn->state == CONN_DRAIN && conn->requests == NULL)
		conn_close(conn);
	else if (conn->state == CONN_OPEN && (conn->eof || (!conn->keep && !conn->fresh)))
		start_drain(conn);
	else if (conn->state == CONN_OPEN && !conn->fresh)
		loop_timer_set(conn_loop(conn), &conn->timer, KEEP_IDLE_TIME);
}

/* Nothing more can be written. */
static void end_writing(struct conn *conn)
{
	if (conn->out.broken)
		conn_reject(conn, "a script has taken back output that its client was told of");
	else
		conn_close(conn);
}

static void conn_turn(struct loop_task *task)
{
	struct conn *conn = CONTAINER_OF(task, struct conn, turn);

	if (outlet_flush(&conn->out) != 0) {
		end_writing(conn);
		return;
	}
	resume_requests(conn);
	if (conn->active == 0)
		rest(conn);
	if (conn->state != CONN_CLOSED)
		watch_socket(conn);
}

/* ---- time --------------------------------------------------------------------------------- */

static void on_timer(struct loop_timer *timer)
{
	struct conn *conn = CONTAINER_OF(timer, struct conn, timer);

	if (conn->state != CONN_DRAIN || conn->shut ||
	    loop_now(conn_loop(conn)) >= conn->drain_until) {
		conn_close(conn);
		return;
	}
	/* silent, and perhaps waiting for our end of file: nginx stops sending once it has
	 * the headers of its answer */
	conn->shut = true;
	shutdown(conn->socket.fd, SHUT_WR);
	loop_timer_set(conn_loop(conn), &conn->timer, conn->drain_until - loop_now(conn_loop(conn)));
}

/* ---- life --------------------------------------------------------------------------------- */

static void join_owner(struct conn *conn)
{
	struct conn_owner *owner = conn->owner;

	conn->next = owner->first;
	if (owner->first != NULL)
		owner->first->prev = conn;
	owner->first = conn;
	owner->count++;
}

int conn_open(struct conn_owner *owner, int fd, const struct address_peer *peer)
{
	struct conn *conn = calloc(1, sizeof *conn);

	if (conn == NULL) {
		close(fd);
		errno = ENOMEM;
		return -1;
	}
	*conn = (struct conn){.owner = owner, .peer = *peer, .fresh = true, .keep = true};
	conn->link = (struct request_link){.services = owner->services,
	    .out = &conn->out,
	    .touched = on_touched,
	    .ended = on_ended,
	    .describe = on_describe};
	fcgi_reader_init(&conn->reader);
	outlet_init(&conn->out, REQUEST_OUT_MAX);
	conn->out.socket = fd;
	buf_init(&conn->values, VALUES_MAX);
	loop_watch_init(&conn->socket, conn_on_ready);
	loop_task_init(&conn->turn, conn_turn);
	loop_task_init(&conn->reap, on_reap);
	loop_timer_init(&conn->timer, on_timer);
	if (loop_watch(owner->services->loop, &conn->socket, fd, LOOP_IN) != 0) {
		int error = errno;

		close(fd);
		free(conn);
		errno = error;
		return -1;
	}
	loop_timer_set(owner->services->loop, &conn->timer, FIRST_RECORD_TIME);
	join_owner(conn);
	owner->opened(owner);
	conn_on_ready(&conn->socket, LOOP_IN); /* most clients have sent their request by now */
	return 0;
}

void conn_drain_all(struct conn_owner *owner)
{
	struct conn *next;

	for (struct conn *conn = owner->first; conn != NULL; conn = next) {
		next = conn->next;
		conn->keep = false;
		if (conn->fresh)
			loop_timer_set(conn_loop(conn), &conn->timer, FIRST_LATE_TIME);
		conn_touch(conn);
	}
}

void conn_stop_all(struct conn_owner *owner)
{
	for (struct conn *conn = owner->first; conn != NULL; conn = conn->next) {
		struct request *next;

		for (struct request *request = conn->requests; request != NULL; request = next) {
			next = request->next;
			request_stop(request);
		}
	}
}

void conn_close_all(struct conn_owner *owner)
{
	while (owner->first != NULL)
		conn_close(owner->first);
}

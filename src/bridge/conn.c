/* SPDX-License-Identifier: ISC */
/*
 * conn: the writer, and the life of a connection from its first byte to its end.
 *
 * Callbacks only record events and post the connection's turn; conn_turn() then writes, lets
 * requests go on, and decides what comes next, once for all of them.
 */
#include "bridge/conn_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "fcgi/record.h"

enum { VALUES_MAX = 64 * 1024 };

const struct conn_times conn_times = {.first = 60 * 1000,
    .late = 3 * 1000,
    .grace = 500,
    .settle = 20,
    .busy = 2000,
    .idle = 3600 * 1000,
    .write = 300 * 1000,
    .quiet = 200,
    .leave = 1000,
    .drain = 30 * 1000};

/* ---- reports from requests ----------------------------------------------------------- */

static void on_touched(struct request_link *link)
{
	conn_touch(CONTAINER_OF(link, struct conn, link));
}

static void on_describe(struct request_link *link, char *text, size_t size)
{
	char peer[ADDRESS_TEXT_MAX];

	address_text(&CONTAINER_OF(link, struct conn, link)->peer, peer);
	snprintf(text, size, "%s", peer);
}

static void log_cut(struct request_link *link, const struct request *request)
{
	char peer[ADDRESS_TEXT_MAX];

	on_describe(link, peer, sizeof peer);
	log_info("request %u from %s: its response is cut, but ends like a whole one, as other "
	    "requests use its connection",
	    (unsigned)request_id(request), peer);
}

/* Ends the connection, so that a truncated response does not pass for a whole one. */
static int put_cut(struct conn *conn, const struct request *request)
{
	if (conn->state == CONN_OPEN)
		conn_set_state(conn, CONN_LEAVING);
	return request_trusts_eof(request) ? record_put_unknown(&conn->out.records, 0) : 0;
}

/*
 * Sends END_REQUEST, unless a truncated response would then pass for a whole one: if no other
 * request uses the connection, it ends without END_REQUEST; else appStatus says failure.
 */
static void put_end(struct conn *conn, const struct request *request)
{
	const struct request_result *result = request_result(request);
	uint32_t app_status = result->app_status;
	int failed;

	if (result->truncated && conn->active > 0) {
		log_cut(&conn->link, request);
		app_status = app_status == 0 ? 1 : app_status;
	}
	if (result->truncated && conn->active == 0)
		failed = put_cut(conn, request);
	else
		failed = record_put_end(&conn->out.records, request_id(request), app_status,
		    result->protocol_status);
	if (failed == 0)
		return;
	log_error("no memory for the end of a response: connection closed");
	conn_set_state(conn, CONN_FAILED);
}

static void on_ended(struct request_link *link, struct request *request)
{
	struct conn *conn = CONTAINER_OF(link, struct conn, link);

	if (conn->state == CONN_CLOSED)
		return;
	conn_retire_request(conn, request);
	if (!conn_is_served(conn))
		return;
	put_end(conn, request);
	/* a later request may have the bridge close the connection: the id is needed till then */
	if (request_stdin_ended(request))
		conn_forget_request(conn, request);
	conn_touch(conn);
}

/* ---- the turn: writing, and what comes next ------------------------------------------------ */

/*
 * Resumes paused requests while there is room.  Each one goes to the end of the list, and the
 * next call begins with the one for which there was no room.
 */
static void resume_requests(struct conn *conn)
{
	for (unsigned n = conn->active; n > 0 && outlet_waiting(&conn->out) < RELAY_HIGH; n--) {
		struct request *next = conn_rotate_requests(conn);

		if (next == NULL)
			return;
		request_resume(next);
	}
}

/* Whether input has somewhere to go; a connection that several requests share is always read. */
static bool wants_input(const struct conn *conn)
{
	const struct request *only = conn->active == 1 ? conn->requests.first : NULL;

	if (conn->state == CONN_HALF || conn->unread != NULL || !conn_has_room(conn))
		return false;
	return only == NULL || request_wants_input(only, true);
}

static void watch_socket(struct conn *conn)
{
	unsigned events = 0;

	if (wants_input(conn))
		events |= LOOP_IN;
	else if (conn->state != CONN_HALF && conn->active > 0 && conn->peer.addr.any.sa_family != AF_UNIX)
		events |= LOOP_SHUT; /* on TCP, the only sign that a client has left */
	if (outlet_waiting(&conn->out) > 0)
		events |= LOOP_OUT;
	loop_want(conn_loop(conn), &conn->socket, events == 0 ? LOOP_HUP : events);
}

/* From here on the client's bytes are read and dropped, until it has sent them all. */
static void start_drain(struct conn *conn)
{
	conn_set_state(conn, CONN_DRAIN);
	conn->drain_until = loop_now(conn_loop(conn)) + conn->owner->times->drain;
	conn_await_client(conn);
}

/*
 * The client gets an end of file, and may go on sending.  In DRAIN it has been silent, perhaps
 * waiting for that: nginx stops sending once it has the headers of its answer.
 */
static void shut_writing(struct conn *conn)
{
	if (conn->state != CONN_DRAIN)
		conn->drain_until = loop_now(conn_loop(conn)) + conn->owner->times->drain;
	conn_set_state(conn, CONN_SHUT);
	shutdown(conn->socket.fd, SHUT_WR);
	conn_await_client(conn);
}

/* Whether bytes from the client wait to be read, which may be its next request. */
static bool has_input(const struct conn *conn)
{
	char byte;

	return conn->unread != NULL || recv(conn->socket.fd, &byte, 1, MSG_PEEK) > 0;
}

/* Limits the time in which the client has to take some of its answer. */
static void await_writing(struct conn *conn)
{
	if (conn->state == CONN_NEW || conn->state == CONN_GRACE)
		return; /* they have a shorter timer, already set */
	conn->taken = outlet_taken(&conn->out);
	loop_timer_set(conn_loop(conn), &conn->timer, conn->owner->times->write);
}

/* No request is active: sets up what the connection waits for now. */
static void conn_idle(struct conn *conn)
{
	if (outlet_waiting(&conn->out) > 0) {
		await_writing(conn);
		return;
	}
	switch (conn->state) {
	case CONN_OPEN:
		loop_timer_set(conn_loop(conn), &conn->timer, conn->owner->times->idle);
		break;
	case CONN_LAST:
		if (conn->ended.first != NULL)
			start_drain(conn);
		else
			conn_close(conn);
		break;
	case CONN_HALF:
		conn_close(conn);
		break;
	case CONN_DRAIN:
		if (conn->ended.first == NULL)
			conn_close(conn);
		break;
	case CONN_NEW:
	case CONN_GRACE:
	case CONN_LEAVING: /* its client or its timer moves it on */
	case CONN_SHUT:
	case CONN_FAILED:
	case CONN_CLOSED:
		break;
	}
}

/* Nothing more can be written. */
static void end_writing(struct conn *conn)
{
	switch (conn->out.broken) {
	case OUTLET_FINE:
		conn_close(conn);
		break;
	case OUTLET_TAKEN_BACK:
		conn_reject(conn, "a script has read back output that was already announced");
		break;
	case OUTLET_NO_MEMORY:
		conn_reject(conn, "out of memory for output that the client has not read yet");
		break;
	}
}

/* Writes the last answer and the end of file; on TCP they are sent together. */
static int write_last_records(struct conn *conn)
{
	const int push = 1;

	if (outlet_flush_last(&conn->out) != 0)
		return -1;
	if (outlet_waiting(&conn->out) > 0)
		return 0;
	if (!has_input(conn))
		shut_writing(conn);
	else if (conn->peer.addr.any.sa_family != AF_UNIX)
		(void)setsockopt(conn->socket.fd, IPPROTO_TCP, TCP_NODELAY, &push, sizeof push);
	return 0;
}

/*
 * A client whose answer was complete before END_REQUEST, by its Content-Length, may already
 * have sent its next request: that gets a moment to arrive, unless this has gone on for long.
 */
static int write_late_end(struct conn *conn)
{
	if (outlet_flush(&conn->out) != 0)
		return -1;
	if (outlet_waiting(&conn->out) > 0)
		return 0;
	if (loop_now(conn_loop(conn)) >= conn->owner->leave_by)
		shut_writing(conn);
	else
		loop_timer_set(conn_loop(conn), &conn->timer, conn->owner->times->settle);
	return 0;
}

static int write_records(struct conn *conn)
{
	size_t end = record_size(0) + record_size(FCGI_BODY_LEN);

	if (conn->state != CONN_LEAVING || conn->active > 0 || has_input(conn))
		return outlet_flush(&conn->out);
	return outlet_waiting(&conn->out) > end ? write_last_records(conn) : write_late_end(conn);
}

static void conn_turn(struct loop_task *task)
{
	struct conn *conn = CONTAINER_OF(task, struct conn, turn);

	bool waited = outlet_waiting(&conn->out) > 0; /* else no request is paused */

	if (write_records(conn) != 0 || conn->state == CONN_FAILED) {
		end_writing(conn);
		return;
	}
	conn_read_unread(conn);
	if (conn->state == CONN_CLOSED) /* these bytes were not FastCGI: it has no timer any more */
		return;
	if (waited)
		resume_requests(conn);
	if (conn->active == 0)
		conn_idle(conn);
	if (conn->state != CONN_CLOSED)
		watch_socket(conn);
}

/* ---- time --------------------------------------------------------------------------------- */

/* The time to take some of its answer is up, but the client may have taken some meanwhile. */
static void on_write_time(struct conn *conn)
{
	char why[96];

	if (conn->state == CONN_GRACE) {
		conn_set_state(conn, CONN_LEAVING);
	} else if (outlet_taken(&conn->out) == conn->taken) {
		snprintf(why, sizeof why, "the client has read none of its answer for %lld s",
		    (long long)conn->owner->times->write / 1000);
		conn_reject(conn, why);
		return;
	}
	await_writing(conn);
}

static void on_timer(struct loop_timer *timer)
{
	struct conn *conn = CONTAINER_OF(timer, struct conn, timer);
	bool kept = conn->state >= CONN_OPEN && conn->state <= CONN_LEAVING;

	if (outlet_waiting(&conn->out) > 0 && conn->state != CONN_NEW)
		on_write_time(conn);
	else if (kept && has_input(conn))
		loop_timer_set(conn_loop(conn), timer, conn->owner->times->grace);
	else if (kept || (conn->state == CONN_DRAIN &&
			     loop_now(conn_loop(conn)) < conn->drain_until))
		shut_writing(conn);
	else
		conn_close(conn);
}

/* ---- life --------------------------------------------------------------------------------- */

static void on_free(struct loop_task *task)
{
	struct conn *conn = CONTAINER_OF(task, struct conn, free_task);

	outlet_fini(&conn->out);
	buf_fini(&conn->values);
	free(conn->unread);
	free(conn);
}

static void join_owner(struct conn *conn)
{
	struct conn_owner *owner = conn->owner;

	LIST_PREPEND(owner->first, conn);
	owner->count++;
}

/* The largest number of bytes of records that may wait. */
static size_t most_waiting(const struct conn *conn)
{
	bool with_stderr = conn->owner->services->options->stderr_to == STDERR_CLIENT;
	size_t each = REQUEST_END_MAX + (with_stderr ? REQUEST_STDERR_MAX : 0);

	return REQUEST_OUT_MAX + conn_most_requests(conn) * each;
}

int conn_open(struct conn_owner *owner, int fd, const struct address_peer *peer)
{
	struct conn *conn = calloc(1, sizeof *conn);

	if (conn == NULL) {
		close(fd);
		errno = ENOMEM;
		return -1;
	}
	*conn = (struct conn){.owner = owner, .peer = *peer};
	conn->link = (struct request_link){.services = owner->services,
	    .out = &conn->out,
	    .touched = on_touched,
	    .ended = on_ended,
	    .describe = on_describe};
	fcgi_reader_init(&conn->reader);
	outlet_init(&conn->out, most_waiting(conn));
	conn->out.socket = fd;
	buf_init(&conn->values, VALUES_MAX);
	loop_watch_init(&conn->socket, conn_on_ready);
	loop_task_init(&conn->turn, conn_turn);
	loop_task_init(&conn->free_task, on_free);
	loop_timer_init(&conn->timer, on_timer);
	if (loop_watch(owner->services->loop, &conn->socket, fd, LOOP_IN) != 0) {
		int error = errno;

		close(fd);
		free(conn);
		errno = error;
		return -1;
	}
	loop_timer_set(owner->services->loop, &conn->timer, owner->times->first);
	join_owner(conn);
	owner->opened(owner);
	conn_on_ready(&conn->socket, LOOP_IN); /* most clients have sent their request by now */
	return 0;
}

/* The worker drains. */
static void prepare_end(struct conn *conn)
{
	const struct conn_times *times = conn->owner->times;
	bool idle = conn->active == 0 && outlet_waiting(&conn->out) == 0;

	if (conn->state == CONN_NEW)
		loop_timer_set(conn_loop(conn), &conn->timer, times->late);
	else if (conn->state == CONN_OPEN && idle)
		loop_timer_set(conn_loop(conn), &conn->timer, times->grace);
	if (conn->state == CONN_NEW || (conn->state == CONN_OPEN && idle))
		conn_set_state(conn, CONN_GRACE);
	else if (conn->state == CONN_OPEN)
		conn_set_state(conn, CONN_LEAVING);
}

void conn_drain_all(struct conn_owner *owner)
{
	owner->leave_by = loop_now(owner->services->loop) + owner->times->busy;
	for (struct conn *conn = owner->first; conn != NULL; conn = conn->next)
		prepare_end(conn);
}

static void stop_requests(struct conn *conn)
{
	struct request *next;

	for (struct request *request = conn->requests.first; request != NULL; request = next) {
		next = request_list_next(&conn->requests, request);
		request_stop(request);
	}
}

void conn_stop_all(struct conn_owner *owner)
{
	struct conn *next;

	for (struct conn *conn = owner->first; conn != NULL; conn = next) {
		next = conn->next;
		prepare_end(conn);
		stop_requests(conn);
		if (conn->state == CONN_GRACE)
			conn_close(conn);
	}
}

void conn_close_all(struct conn_owner *owner)
{
	while (owner->first != NULL)
		conn_close(owner->first);
}

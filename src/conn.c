/* SPDX-License-Identifier: ISC */
/*
 * conn: the record dispatcher, the writer, and the end of a connection.
 *
 * Callbacks only note what happened and post the connection's turn; conn_turn() then
 * writes, lets requests go on, and decides what comes next, once for all of it.
 */
#include "conn_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "record.h"

enum {
	FIRST_RECORD_TIME = 60 * 1000,  /* ms for a new connection to begin a request */
	FIRST_LATE_TIME = 3 * 1000,     /* the same when the worker is on its way out */
	KEEP_IDLE_TIME = 3600 * 1000,   /* ms between requests */
	WRITE_TIME = 300 * 1000,        /* ms for a client to take any of its answer */
	DRAIN_QUIET_TIME = 200,         /* ms of silence before our side is shut */
	DRAIN_MAX_TIME = 30 * 1000,     /* ms in all that a client may go on sending */
	VALUES_MAX = 64 * 1024,
	MOVE_WORTH = 16 * 1024, /* content of a record of a body from which on it is moved */
	MOVE_STEPS = 16,        /* headers read, or contents moved, in one turn */
	KNOWN_SPARE = 1024, /* request ids that one connection may have in use past --max-scripts */
};

enum conn_state { CONN_OPEN, CONN_DRAIN, CONN_CLOSED };

struct conn {
	struct conn_owner *owner;
	struct conn *next, *prev;
	struct request_link link; /* what requests see */
	enum conn_state state;
	struct address_peer peer;
	bool eof;      /* the client has shut its side */
	bool fresh;    /* no request has begun yet: whoever connects means to send one */
	bool keep;     /* every BEGIN_REQUEST had KEEP_CONN */
	bool shut;     /* our side is shut */
	struct loop_watch socket;
	struct loop_task turn;
	struct loop_task reap;
	struct loop_timer timer;
	int64_t drain_until;
	struct fcgi_reader reader;
	unsigned char begin[FCGI_BODY_LEN];
	size_t begin_len;
	struct buf values; /* content of a GET_VALUES record that is coming in */
	struct outlet out;
	struct request *requests; /* active ones, and ended ones whose id is still needed */
	struct request *last;     /* of them */
	size_t active;            /* how many are not ENDED */
	size_t known;             /* how many there are */
};

static struct loop *loop_of(const struct conn *conn)
{
	return conn->owner->services->loop;
}

static const char *peer_of(const struct conn *conn, char text[ADDRESS_TEXT_MAX])
{
	address_text(&conn->peer, text);
	return text;
}

static void touch(struct conn *conn)
{
	if (conn->state != CONN_CLOSED)
		loop_post(loop_of(conn), &conn->turn);
}

/* ---- the list of requests ---------------------------------------------------------- */

static void add_to_list(struct conn *conn, struct request *request)
{
	request->next = NULL;
	request->prev = conn->last;
	if (conn->last != NULL)
		conn->last->next = request;
	else
		conn->requests = request;
	conn->last = request;
}

static void remove_from_list(struct conn *conn, struct request *request)
{
	if (request->next != NULL)
		request->next->prev = request->prev;
	else
		conn->last = request->prev;
	if (request->prev != NULL)
		request->prev->next = request->next;
	else
		conn->requests = request->next;
	request->next = request->prev = NULL;
}

/* There is one more active request (+1), or one fewer (-1). */
static void count_active(struct conn *conn, int change)
{
	const struct admission *admission = conn->owner->services->admission;
	bool was_busy = conn->active > 0;

	if (change > 0)
		conn->active++;
	else
		conn->active--;
	if (was_busy != (conn->active > 0))
		tally_move(scoreboard_tally(admission->board, admission->worker), TALLY_BUSY, change);
}

static void link_request(struct conn *conn, struct request *request)
{
	add_to_list(conn, request);
	count_active(conn, 1);
	conn->known++;
}

static void unlink_request(struct conn *conn, struct request *request)
{
	remove_from_list(conn, request);
	conn->known--;
}

static struct request *find_request(const struct conn *conn, uint16_t id)
{
	struct request *request = conn->requests;

	while (request != NULL && request->id != id)
		request = request->next;
	return request;
}

/* Forgets an ended request. */
static void forget_request(struct conn *conn, struct request *request)
{
	unlink_request(conn, request);
	request_discard(request);
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

		unlink_request(conn, request);
		if (request_may_detach(request)) {
			count_active(conn, -1);
			request_detach(request);
			continue;
		}
		request_lose(request, why);
		request_discard(request);
	}
	loop_close(loop_of(conn), &conn->socket);
	loop_timer_clear(loop_of(conn), &conn->timer);
	loop_unpost(&conn->turn);
	leave_owner(conn);
	loop_post(loop_of(conn), &conn->reap);
	conn->owner->closed(conn->owner);
}

static void close_conn(struct conn *conn)
{
	close_because(conn, "the client is gone");
}

/* Closes a connection whose bytes make no sense; says who and what. */
static void reject(struct conn *conn, const char *why)
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
	touch(CONTAINER_OF(link, struct conn, link));
}

static void on_describe(struct request_link *link, char *text, size_t size)
{
	char peer[ADDRESS_TEXT_MAX];

	snprintf(text, size, "%s", peer_of(CONTAINER_OF(link, struct conn, link), peer));
}

/*
 * END_REQUEST goes out, unless that would let a response pass for whole that is not:
 * then the connection ends without it, if nobody else uses it.
 */
static void on_ended(struct request_link *link, struct request *request)
{
	struct conn *conn = CONTAINER_OF(link, struct conn, link);

	count_active(conn, -1);
	if (conn->state == CONN_CLOSED)
		return;
	if (request->truncated && conn->active == 0)
		conn->keep = false;
	else if (record_put_end(&conn->out.records, request->id, request->app_status,
		     request->protocol_status) != 0) {
		log_error("no memory for the end of a response: connection closed");
		loop_post(loop_of(conn), &conn->turn);
		conn->eof = true;
		conn->keep = false;
		return;
	}
	/* the id is needed until its stdin has ended, if it is up to us to close */
	if (request->keep_conn || request->stdin_ended)
		forget_request(conn, request);
	touch(conn);
}

/* ---- records ---------------------------------------------------------------------------- */

static void begin_request(struct conn *conn, uint16_t id)
{
	struct request *request = find_request(conn, id);
	size_t limit = (size_t)conn->owner->services->options->max_scripts;
	unsigned role;
	unsigned flags;

	if (conn->begin_len != FCGI_BODY_LEN ||
	    (request != NULL && (request->state != REQUEST_ENDED || request->end_held))) {
		reject(conn, "a BEGIN_REQUEST of the wrong length, or for an id that is active");
		return;
	}
	if (conn->known >= limit + KNOWN_SPARE) {
		reject(conn, "too many requests that never ended their FCGI_PARAMS or FCGI_STDIN");
		return;
	}
	if (request != NULL) /* an old one whose stdin never ended: what comes is not for it */
		forget_request(conn, request);
	fcgi_get_begin(conn->begin, &role, &flags);
	request = request_new(&conn->link, id, role, (flags & FCGI_KEEP_CONN) != 0);
	if (request == NULL) {
		reject(conn, "no memory for its request");
		return;
	}
	conn->fresh = false;
	conn->keep = conn->keep && request->keep_conn;
	request->crowded = conn->active >= limit;
	link_request(conn, request);
	loop_timer_clear(loop_of(conn), &conn->timer);
}

static void take_begin(struct conn *conn, const struct fcgi_piece *piece)
{
	fcgi_collect(piece, conn->begin, sizeof conn->begin, &conn->begin_len);
	if (!piece->last)
		return;
	if (conn->state == CONN_OPEN)
		begin_request(conn, piece->id);
	conn->begin_len = 0;
}

static void take_abort(struct conn *conn, struct request *request)
{
	if (request->state == REQUEST_ENDED && !request->end_held)
		return;
	if (!request_may_detach(request)) {
		request_abort(request);
		return;
	}
	unlink_request(conn, request);
	count_active(conn, -1);
	request_detach(request);
	if (record_put_end(&conn->out.records, request->id, 0, FCGI_REQUEST_COMPLETE) != 0)
		reject(conn, "no memory for the end of a response");
	touch(conn);
}

static void take_stdin(struct conn *conn, struct request *request, const struct fcgi_piece *piece)
{
	request_take_stdin(request, piece->bytes, piece->len);
	if (piece->content == 0 && request->state == REQUEST_ENDED &&
	    find_request(conn, piece->id) == request) {
		forget_request(conn, request);
		touch(conn);
	}
}

static void take_for_request(struct conn *conn, const struct fcgi_piece *piece)
{
	struct request *request = find_request(conn, piece->id);

	if (piece->type == FCGI_BEGIN_REQUEST) {
		take_begin(conn, piece);
		return;
	}
	if (request == NULL) /* spec 3.3: records of an inactive id are ignored */
		return;
	if (piece->type == FCGI_PARAMS)
		request_take_params(request, piece->bytes, piece->len);
	else if (piece->type == FCGI_STDIN)
		take_stdin(conn, request, piece);
	else if (piece->type == FCGI_ABORT_REQUEST && piece->last)
		take_abort(conn, request);
	/* DATA is the filter role's, which is refused; other types mean nothing to a request */
}

/* ---- management records -------------------------------------------------------------- */

static int answer_values(struct conn *conn)
{
	const struct options *options = conn->owner->services->options;
	struct conn_values values = {.max_conns = (long)conn->owner->max * options->workers,
	    .max_requests = options->max_scripts};
	unsigned char answer[256];
	size_t len = conn_put_values(
	    answer, sizeof answer, &values, buf_bytes(&conn->values), buf_len(&conn->values));

	buf_fini(&conn->values);
	return record_put(&conn->out.records, FCGI_GET_VALUES_RESULT, FCGI_NULL_REQUEST_ID, answer, len);
}

static void take_management(struct conn *conn, const struct fcgi_piece *piece)
{
	int failed = 0;

	if (piece->type == FCGI_GET_VALUES)
		failed = buf_append(&conn->values, piece->bytes, piece->len);
	if (failed == 0 && piece->last) {
		failed = piece->type == FCGI_GET_VALUES
		    ? answer_values(conn)
		    : record_put_unknown(&conn->out.records, piece->type);
		touch(conn);
	}
	if (failed != 0)
		reject(conn, "no memory for the answer to a management record");
}

/* ---- reading ---------------------------------------------------------------------------- */

static void reject_bytes(struct conn *conn, const unsigned char *bytes, size_t len)
{
	char why[128];

	if (len >= 4 && (memcmp(bytes, "GET ", 4) == 0 || memcmp(bytes, "POST", 4) == 0 ||
			    memcmp(bytes, "HEAD", 4) == 0))
		snprintf(why, sizeof why,
		    "it speaks HTTP, not FastCGI (in nginx: fastcgi_pass, not proxy_pass)");
	else
		snprintf(why, sizeof why, "bytes that are no FastCGI record: version %u instead of 1",
		    (unsigned)conn->reader.header[0]);
	reject(conn, why);
}

static void take_bytes(struct conn *conn, const unsigned char *bytes, size_t len)
{
	while (len > 0 && conn->state != CONN_CLOSED) {
		struct fcgi_piece piece;
		ssize_t n = fcgi_reader_next(&conn->reader, bytes, len, &piece);

		if (n < 0) {
			reject_bytes(conn, bytes, len);
			return;
		}
		bytes += n;
		len -= (size_t)n;
		if (piece.len == 0 && !piece.last)
			continue;
		if (piece.id == FCGI_NULL_REQUEST_ID)
			take_management(conn, &piece);
		else
			take_for_request(conn, &piece);
	}
}

/* Whether the client has sent everything that its active requests need. */
static bool is_whole(const struct conn *conn)
{
	for (const struct request *request = conn->requests; request != NULL;
	     request = request->next)
		if (request->state != REQUEST_ENDED && !request_is_whole(request))
			return false;
	return true;
}

/*
 * The client has shut its side, or has gone; on TCP the two look the same.  On a
 * unix socket, gone is a hang-up besides, and without it a client that has sent all
 * may still be waiting for its answer.
 */
static void take_eof(struct conn *conn, unsigned events)
{
	bool gone = conn->peer.addr.any.sa_family != AF_UNIX || (events & LOOP_HUP) != 0;

	conn->eof = true;
	if (conn->state == CONN_OPEN && !fcgi_reader_between(&conn->reader))
		reject(conn, "the client stopped in the middle of a record");
	else if (conn->state == CONN_DRAIN || conn->active == 0 || gone || !is_whole(conn))
		close_conn(conn);
}

static void take_reset(struct conn *conn)
{
	if (conn->state == CONN_OPEN && !fcgi_reader_between(&conn->reader))
		reject(conn, "reset by the client in the middle of a record");
	else
		close_conn(conn);
}

/* Reads up to `len` bytes; false if none have come. */
static bool read_some(struct conn *conn, unsigned events, size_t len)
{
	ssize_t n;

	do {
		n = read(conn->socket.fd, conn->owner->scratch, len);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		take_bytes(conn, conn->owner->scratch, (size_t)n);
	else if (n == 0)
		take_eof(conn, events);
	else if (errno != EAGAIN && errno != EWOULDBLOCK)
		take_reset(conn);
	return n > 0;
}

/* ---- bodies that are moved ---------------------------------------------------------------- */

/*
 * The request whose body is moved, and `*left`, what is left of the record that is coming
 * in; NULL if bytes are to be read as they come.  Between two records that depends on the
 * last one, so that no more than the next one's header is read.
 */
static struct request *find_moving(const struct conn *conn, size_t *left)
{
	struct fcgi_piece record;
	struct request *request;

	fcgi_reader_record(&conn->reader, &record);
	*left = record.len;
	if (record.type != FCGI_STDIN || record.content < MOVE_WORTH || conn->state != CONN_OPEN)
		return NULL;
	request = find_request(conn, record.id);
	return request != NULL && request_moves_stdin(request) ? request : NULL;
}

/* Moves some of the `left` bytes of a record's content; false if there was nothing to move. */
static bool move_stdin(struct conn *conn, struct request *request, unsigned events, size_t left)
{
	ssize_t n = request_move_stdin(request, conn->socket.fd, left);

	if (n > 0)
		fcgi_reader_skip(&conn->reader, (size_t)n);
	else if (n == 0)
		take_eof(conn, events);
	return n > 0;
}

/* Something has come, and it is the script that has no room: waits for that, or reads. */
static void wait_or_read(struct conn *conn, struct request *request, unsigned events)
{
	if (request_moves_stdin(request)) {
		request_await_room(request);
		if (!request_wants_input(request, conn->active <= 1))
			return;
	}
	read_some(conn, events, CONN_SCRATCH);
}

/* Moves records to a script, several but not for ever; reads where they are to be seen. */
static void read_socket(struct conn *conn, unsigned events)
{
	for (int steps = 0; steps < MOVE_STEPS; steps++) {
		size_t left;
		struct request *request = find_moving(conn, &left);
		bool came;

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

static void on_ready(struct loop_watch *watch, unsigned events)
{
	struct conn *conn = CONTAINER_OF(watch, struct conn, socket);

	if (events & LOOP_IN)
		read_socket(conn, events);
	else if (events & (LOOP_HUP | LOOP_SHUT))
		close_conn(conn);
	if (conn->state == CONN_DRAIN && loop_now(loop_of(conn)) >= conn->drain_until)
		close_conn(conn);
	else if (conn->state == CONN_DRAIN && !conn->shut)
		loop_timer_set(loop_of(conn), &conn->timer, DRAIN_QUIET_TIME);
	touch(conn);
}

/* ---- the turn: writing, and what comes next ------------------------------------------------ */

/*
 * Has paused requests go on while there is room.  Who has been asked goes to the end
 * of the list, so the next to be asked is the one that room did not suffice for.
 */
static void resume_requests(struct conn *conn)
{
	for (size_t n = conn->known; n > 0 && outlet_waiting(&conn->out) < RELAY_HIGH; n--) {
		struct request *first = conn->requests;

		if (first == NULL)
			return;
		remove_from_list(conn, first);
		add_to_list(conn, first);
		request_resume(first);
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
	loop_want(loop_of(conn), &conn->socket, events == 0 ? LOOP_HUP : events);
}

/* Our part is done and out.  Closing is safe once the client has nothing more to send. */
static void start_drain(struct conn *conn)
{
	if (conn->requests == NULL || conn->eof) {
		close_conn(conn);
		return;
	}
	conn->state = CONN_DRAIN;
	conn->drain_until = loop_now(loop_of(conn)) + DRAIN_MAX_TIME;
	loop_timer_set(loop_of(conn), &conn->timer, DRAIN_QUIET_TIME);
}

/* No request is active: what the connection waits for now. */
static void rest(struct conn *conn)
{
	if (outlet_waiting(&conn->out) > 0)
		loop_timer_set(loop_of(conn), &conn->timer, WRITE_TIME);
	else if (conn->state == CONN_DRAIN && conn->requests == NULL)
		close_conn(conn);
	else if (conn->state == CONN_OPEN && (conn->eof || (!conn->keep && !conn->fresh)))
		start_drain(conn);
	else if (conn->state == CONN_OPEN && !conn->fresh)
		loop_timer_set(loop_of(conn), &conn->timer, KEEP_IDLE_TIME);
}

/* Nothing more can be written. */
static void end_writing(struct conn *conn)
{
	if (conn->out.broken)
		reject(conn, "a script has taken back output that its client was told of");
	else
		close_conn(conn);
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

/* ---- time ------------------------------------------------------------------------------------- */

static void on_timer(struct loop_timer *timer)
{
	struct conn *conn = CONTAINER_OF(timer, struct conn, timer);

	if (conn->state != CONN_DRAIN || conn->shut ||
	    loop_now(loop_of(conn)) >= conn->drain_until) {
		close_conn(conn);
		return;
	}
	/* silent, and perhaps waiting for our end of file: nginx stops sending once it has
	 * the headers of its answer */
	conn->shut = true;
	shutdown(conn->socket.fd, SHUT_WR);
	loop_timer_set(loop_of(conn), &conn->timer, conn->drain_until - loop_now(loop_of(conn)));
}

/* ---- life --------------------------------------------------------------------------------------- */

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
	loop_watch_init(&conn->socket, on_ready);
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
	on_ready(&conn->socket, LOOP_IN); /* most clients have sent their request by now */
	return 0;
}

void conn_drain_all(struct conn_owner *owner)
{
	struct conn *next;

	for (struct conn *conn = owner->first; conn != NULL; conn = next) {
		next = conn->next;
		conn->keep = false;
		if (conn->fresh)
			loop_timer_set(loop_of(conn), &conn->timer, FIRST_LATE_TIME);
		touch(conn);
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
		close_conn(owner->first);
}

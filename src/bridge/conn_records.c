/* SPDX-License-Identifier: ISC */
/*
 * conn_records: what each record does, and the requests by id.
 */
#include <stdio.h>
#include <string.h>

#include "bridge/conn_private.h"
#include "base/log.h"
#include "fcgi/record.h"

enum { KNOWN_SPARE = 1024 }; /* request ids of one connection in use, past --max-scripts */

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

void conn_count_active(struct conn *conn, int change)
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

void conn_link_request(struct conn *conn, struct request *request)
{
	add_to_list(conn, request);
	conn_count_active(conn, 1);
	conn->known++;
}

void conn_unlink_request(struct conn *conn, struct request *request)
{
	remove_from_list(conn, request);
	conn->known--;
}

struct request *conn_rotate_requests(struct conn *conn)
{
	struct request *first = conn->requests;

	if (first != NULL) {
		remove_from_list(conn, first);
		add_to_list(conn, first);
	}
	return first;
}

struct request *conn_find_request(const struct conn *conn, uint16_t id)
{
	struct request *request = conn->requests;

	while (request != NULL && request->id != id)
		request = request->next;
	return request;
}

void conn_forget_request(struct conn *conn, struct request *request)
{
	conn_unlink_request(conn, request);
	request_discard(request);
}

/* ---- records ---------------------------------------------------------------------------- */

static void begin_request(struct conn *conn, uint16_t id)
{
	struct request *request = conn_find_request(conn, id);
	size_t limit = (size_t)conn->owner->services->options->max_scripts;
	unsigned role;
	unsigned flags;

	if (conn->begin_len != FCGI_BODY_LEN ||
	    (request != NULL && (request->state != REQUEST_ENDED || request->end_held))) {
		conn_reject(conn, "a BEGIN_REQUEST of the wrong length, or for an id that is active");
		return;
	}
	if (conn->known >= limit + KNOWN_SPARE) {
		conn_reject(conn, "too many requests that never ended their FCGI_PARAMS or FCGI_STDIN");
		return;
	}
	if (request != NULL) /* an old one whose stdin never ended: what comes is not for it */
		conn_forget_request(conn, request);
	fcgi_get_begin(conn->begin, &role, &flags);
	request = request_new(&conn->link, id, role, (flags & FCGI_KEEP_CONN) != 0);
	if (request == NULL) {
		conn_reject(conn, "no memory for its request");
		return;
	}
	conn->fresh = false;
	conn->keep = conn->keep && request->keep_conn;
	request->crowded = conn->active >= limit;
	conn_link_request(conn, request);
	loop_timer_clear(conn_loop(conn), &conn->timer);
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
	if (!request_ignores_abort(request)) {
		request_abort(request);
		return;
	}
	conn_unlink_request(conn, request);
	conn_count_active(conn, -1);
	request_detach(request);
	if (record_put_end(&conn->out.records, request->id, 0, FCGI_REQUEST_COMPLETE) != 0)
		conn_reject(conn, "no memory for the end of a response");
	conn_touch(conn);
}

static void take_stdin(struct conn *conn, struct request *request, const struct fcgi_piece *piece)
{
	request_take_stdin(request, piece->bytes, piece->len);
	if (piece->content == 0 && request->state == REQUEST_ENDED &&
	    conn_find_request(conn, piece->id) == request) {
		conn_forget_request(conn, request);
		conn_touch(conn);
	}
}

static void take_for_request(struct conn *conn, const struct fcgi_piece *piece)
{
	struct request *request = conn_find_request(conn, piece->id);

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

	if (conn->state != CONN_OPEN)
		return;
	if (piece->type == FCGI_GET_VALUES)
		failed = buf_append(&conn->values, piece->bytes, piece->len);
	if (failed == 0 && piece->last) {
		failed = piece->type == FCGI_GET_VALUES
		    ? answer_values(conn)
		    : record_put_unknown(&conn->out.records, piece->type);
		conn_touch(conn);
	}
	if (failed != 0)
		conn_reject(conn, "no memory for the answer to a management record");
}

/* ---- bytes -------------------------------------------------------------------------------- */

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
	conn_reject(conn, why);
}

void conn_take_bytes(struct conn *conn, const unsigned char *bytes, size_t len)
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

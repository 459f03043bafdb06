/* SPDX-License-Identifier: ISC */
/*
 * conn_records: the effect of each record.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/conn_private.h"
#include "fcgi/record.h"

/* ---- records ---------------------------------------------------------------------------- */

/* A request has begun: decides how the connection goes on after its answer. */
static void expect_answer(struct conn *conn, bool keep_conn)
{
	if (!keep_conn)
		conn_set_state(conn, CONN_LAST);
	else if (conn->state == CONN_NEW)
		conn_set_state(conn, CONN_OPEN);
	else if (conn->state == CONN_GRACE)
		conn_set_state(conn, CONN_LEAVING);
	loop_timer_clear(conn_loop(conn), &conn->timer);
}

/*
 * Whether one more id can be known.  On a connection that is kept a client may use any number
 * of them and end no FCGI_STDIN: the oldest that has been answered is forgotten.
 */
static bool make_room(struct conn *conn)
{
	size_t most = conn_most_requests(conn);

	if (conn->known >= most && conn->state == CONN_OPEN && conn->ended.first != NULL)
		conn_forget_request(conn, conn->ended.first);
	return conn->known < most;
}

static void begin_request(struct conn *conn, uint16_t id)
{
	struct request *request = conn_find_request(conn, id);
	struct request_begin begin = {.id = id,
	    .overloaded = conn->active >= (size_t)conn->owner->services->options->max_scripts};
	unsigned flags;

	if (conn->begin_len != FCGI_BODY_LEN ||
	    (request != NULL && !request_has_ended(request))) {
		conn_reject(conn, "a BEGIN_REQUEST of the wrong length, or for an id that is active");
		return;
	}
	if (request != NULL) /* an old one whose stdin never ended: new records are not for it */
		conn_forget_request(conn, request);
	if (!make_room(conn)) {
		conn_reject(conn, "too many requests that never ended their FCGI_PARAMS or FCGI_STDIN");
		return;
	}
	fcgi_get_begin(conn->begin, &begin.role, &flags);
	begin.keep_conn = (flags & FCGI_KEEP_CONN) != 0;
	request = request_new(&conn->link, &begin);
	if (request == NULL) {
		conn_reject(conn, "no memory for its request");
		return;
	}
	conn_link_request(conn, request);
	expect_answer(conn, begin.keep_conn);
}

static void handle_begin(struct conn *conn, const struct fcgi_piece *piece)
{
	fcgi_collect(piece, conn->begin, sizeof conn->begin, &conn->begin_len);
	if (!piece->last)
		return;
	if (conn_is_served(conn))
		begin_request(conn, piece->id);
	conn->begin_len = 0;
}

static void handle_abort(struct conn *conn, struct request *request)
{
	if (request_has_ended(request))
		return;
	if (!request_ignores_abort(request)) {
		request_abort(request);
		return;
	}
	conn_detach_request(conn, request);
	if (record_put_end(&conn->out.records, request_id(request), 0, FCGI_REQUEST_COMPLETE) != 0)
		conn_reject(conn, "no memory for the end of a response");
	conn_touch(conn);
}

static void handle_stdin(struct conn *conn, struct request *request, const struct fcgi_piece *piece)
{
	request_read_stdin(request, piece->bytes, piece->len);
	if (piece->content == 0 && request_has_ended(request) &&
	    conn_find_request(conn, piece->id) == request) {
		conn_forget_request(conn, request);
		conn_touch(conn);
	}
}

static void handle_request_record(struct conn *conn, const struct fcgi_piece *piece)
{
	struct request *request = conn_find_request(conn, piece->id);

	if (piece->type == FCGI_BEGIN_REQUEST) {
		handle_begin(conn, piece);
		return;
	}
	if (request == NULL) /* spec 3.3: records of an inactive id are ignored */
		return;
	if (piece->type == FCGI_PARAMS)
		request_read_params(request, piece->bytes, piece->len);
	else if (piece->type == FCGI_STDIN)
		handle_stdin(conn, request, piece);
	else if (piece->type == FCGI_ABORT_REQUEST && piece->last)
		handle_abort(conn, request);
	/* DATA belongs to the filter role, which is refused; other types are ignored */
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

static void handle_management(struct conn *conn, const struct fcgi_piece *piece)
{
	int failed = 0;

	if (!conn_is_served(conn))
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
		snprintf(why, sizeof why,
		    "bytes that are not a FastCGI record: version %u instead of 1",
		    (unsigned)conn->reader.header[0]);
	conn_reject(conn, why);
}

static void handle_piece(struct conn *conn, const struct fcgi_piece *piece)
{
	if (piece->len == 0 && !piece->last)
		return;
	if (piece->id == FCGI_NULL_REQUEST_ID)
		handle_management(conn, piece);
	else
		handle_request_record(conn, piece);
}

/* Returns how many of the bytes it has handled: fewer if there is no room for more answers. */
static size_t read_records(struct conn *conn, const unsigned char *bytes, size_t len)
{
	size_t taken = 0;

	while (taken < len && conn->state < CONN_FAILED && conn_has_room(conn)) {
		struct fcgi_piece piece;
		ssize_t n = fcgi_reader_next(&conn->reader, bytes + taken, len - taken, &piece);

		if (n < 0) {
			reject_bytes(conn, bytes + taken, len - taken);
			break;
		}
		taken += (size_t)n;
		handle_piece(conn, &piece);
	}
	return conn->state < CONN_FAILED ? taken : len;
}

/* ---- bytes that wait ------------------------------------------------------------------ */

struct conn_unread {
	size_t at, len;
	unsigned char bytes[];
};

void conn_read_records(struct conn *conn, const unsigned char *bytes, size_t len)
{
	size_t taken = read_records(conn, bytes, len);

	if (taken == len)
		return;
	conn->unread = malloc(sizeof *conn->unread + (len - taken));
	if (conn->unread == NULL) {
		conn_reject(conn, "no memory for what the client sends before it reads its answers");
		return;
	}
	conn->unread->at = 0;
	conn->unread->len = len - taken;
	memcpy(conn->unread->bytes, bytes + taken, len - taken);
}

void conn_read_unread(struct conn *conn)
{
	struct conn_unread *unread = conn->unread;

	if (unread == NULL)
		return;
	unread->at += read_records(conn, unread->bytes + unread->at, unread->len - unread->at);
	if (unread->at < unread->len)
		return;
	free(unread);
	conn->unread = NULL;
}

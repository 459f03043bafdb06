/* SPDX-License-Identifier: ISC */
/*
 * conn_private: shared by conn.c and the conn_*.c files.  No other file includes it.  They form
 * a chain, each calling those before it: conn_requests, conn_records, conn_read, conn.
 */
#ifndef CGIBRIDGE_CONN_PRIVATE_H
#define CGIBRIDGE_CONN_PRIVATE_H

#include "bridge/conn.h"
#include "bridge/conn_index.h"

/*
 * conn.h has the picture.  Up to CONN_LAST requests may begin, up to CONN_HALF they are
 * answered.
 */
enum conn_state {
	CONN_NEW,     /* no request has begun yet: a client that connects means to send one */
	CONN_OPEN,    /* every BEGIN_REQUEST had KEEP_CONN: the client may send another */
	CONN_GRACE,   /* the worker drains: waits a moment for a request on its way */
	CONN_LEAVING, /* like OPEN, but it ends after the answers to the requests that have begun */
	CONN_LAST,    /* the same, and the client knows: a BEGIN_REQUEST had no KEEP_CONN */
	CONN_HALF,    /* the client has shut its side: it ends after those answers, too */
	CONN_DRAIN,   /* all answers are out: reads what the client still sends */
	CONN_SHUT,    /* the same, and the bridge's side is shut */
	CONN_FAILED,  /* a record could not be made: it is closed in its next turn */
	CONN_CLOSED,
};

struct conn_unread;

struct conn {
	struct conn_owner *owner;
	struct conn *next, *prev;
	struct request_link link; /* the requests' view of it */
	enum conn_state state;
	struct address_peer peer;
	struct loop_watch socket;
	struct loop_task turn;
	struct loop_task free_task;
	struct loop_timer timer;
	union {
		int64_t taken;       /* outlet_taken() when the time to write was set */
		int64_t drain_until; /* DRAIN, SHUT: all is written */
	};
	struct fcgi_reader reader;
	unsigned char begin[FCGI_BODY_LEN];
	size_t begin_len;
	struct buf values;          /* content of a GET_VALUES record that is coming in */
	struct conn_unread *unread; /* read, but not handled for lack of room in `out`; or NULL */
	struct outlet out;
	struct request_list requests; /* the active ones: END_REQUEST is yet to come */
	struct request_list ended;    /* those whose id is still needed */
	struct conn_index *index;   /* both lists by id; NULL: they are short */
	unsigned active;            /* how many are in `requests` ... */
	unsigned known;             /* ... and in both lists */
};

static inline struct loop *conn_loop(const struct conn *conn)
{
	return conn->owner->services->loop;
}

/* Whether the connection's records are handled, and its requests answered. */
static inline bool conn_is_served(const struct conn *conn)
{
	return conn->state <= CONN_HALF;
}

/* The largest number of request ids that one connection may use at a time. */
static inline size_t conn_most_requests(const struct conn *conn)
{
	enum { SPARE = 1024 }; /* past --max-scripts */

	return (size_t)conn->owner->services->options->max_scripts + SPARE;
}

/*
 * Whether there is room for the answer that the next record may ask for.  FCGI_STDIN is read
 * that long, too: a client may be unable to take its answer before it has sent everything.
 */
static inline bool conn_has_room(const struct conn *conn)
{
	return outlet_waiting(&conn->out) <= RELAY_HIGH + FCGI_MAX_CONTENT;
}

/* ---- conn_requests.c ----------------------------------------------------------------- */

void conn_set_state(struct conn *conn, enum conn_state state);

/* Something has changed: posts the connection's turn. */
void conn_touch(struct conn *conn);

/* Closes it at once: its client is gone, or has received everything. */
void conn_close(struct conn *conn);

/* Closes it, and logs its client and `why`. */
void conn_reject(struct conn *conn, const char *why);

/* The request with this `id`, ended or not; NULL if there is none. */
struct request *conn_find_request(const struct conn *conn, uint16_t id);

/* Makes the first of its active requests the last, and returns it; NULL if there is none. */
struct request *conn_rotate_requests(struct conn *conn);

/* Adds a new, active request. */
void conn_link_request(struct conn *conn, struct request *request);

/* An active request has ended, but its id is still needed. */
void conn_retire_request(struct conn *conn, struct request *request);

/* Removes an ended request and frees it; or an active one, which goes on without a client. */
void conn_forget_request(struct conn *conn, struct request *request);
void conn_detach_request(struct conn *conn, struct request *request);

/* ---- conn_values.c ------------------------------------------------------------------- */

/* The values that a client may ask for with FCGI_GET_VALUES (spec 4.1). */
struct conn_values {
	long max_conns;
	long max_requests;
};

/*
 * Answers a FCGI_GET_VALUES record whose content is the `len` bytes at `asked`: writes those of
 * its names that are known, with their values, to `out`, which has `room` bytes.  Returns how
 * many bytes it wrote.
 */
size_t conn_put_values(unsigned char *out, size_t room, const struct conn_values *values,
    const unsigned char *asked, size_t len);

/* ---- conn_records.c ------------------------------------------------------------------ */

/*
 * Handles the next `len` bytes of records; may close the connection.  Bytes for whose answers
 * there is no room become `conn->unread`, which has to be NULL.
 */
void conn_read_records(struct conn *conn, const unsigned char *bytes, size_t len);

/* Handles more of `conn->unread`, as far as there is room for answers. */
void conn_read_unread(struct conn *conn);

/* ---- conn_read.c -------------------------------------------------------------------- */

/* In DRAIN and SHUT: limits the time for the client's next byte, or its end of file. */
void conn_await_client(struct conn *conn);

/* The socket's loop_watch_fn. */
void conn_on_ready(struct loop_watch *watch, unsigned events);

#endif

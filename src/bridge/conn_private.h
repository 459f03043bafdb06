/* SPDX-License-Identifier: ISC */
/*
 * conn_private: what conn.c and the conn_*.c have of each other.  Nobody else includes it.
 * They are a chain, each calls those before it: conn_requests, conn_records, conn_read, conn.
 */
#ifndef CGIBRIDGE_CONN_PRIVATE_H
#define CGIBRIDGE_CONN_PRIVATE_H

#include "bridge/conn.h"
#include "bridge/conn_index.h"

/* conn.h has the picture.  Up to CONN_LAST requests may begin. */
enum conn_state {
	CONN_NEW,     /* no request has begun yet: a client that connects means to send one */
	CONN_OPEN,    /* every BEGIN_REQUEST had KEEP_CONN: the client may send another */
	CONN_GRACE,   /* as OPEN, but the worker drains: waits a moment for one that is on its way */
	CONN_LEAVING, /* as OPEN, but it ends with the answers to what has begun */
	CONN_LAST,    /* the same, and the client knows: a BEGIN_REQUEST had no KEEP_CONN */
	CONN_DRAIN,   /* all answers are out: what the client still sends is read */
	CONN_SHUT,    /* the same, and our side is shut */
	CONN_FAILED,  /* a record could not be made: it is closed in its next turn */
	CONN_CLOSED,
};

struct conn_unread;

struct conn {
	struct conn_owner *owner;
	struct conn *next, *prev;
	struct request_link link; /* what requests see */
	enum conn_state state;
	struct address_peer peer;
	bool eof;                 /* the client has shut its side */
	struct loop_watch socket;
	struct loop_task turn;
	struct loop_task reap;
	struct loop_timer timer;
	union {
		int64_t taken;       /* outlet_taken() when the time to write was set */
		int64_t drain_until; /* DRAIN, SHUT: all is written */
	};
	struct fcgi_reader reader;
	unsigned char begin[FCGI_BODY_LEN];
	size_t begin_len;
	struct buf values;          /* content of a GET_VALUES record that is coming in */
	struct conn_unread *unread; /* read, but not looked at for want of room in `out`; or NULL */
	struct outlet out;
	struct request_list requests; /* the active ones: END_REQUEST is still to come */
	struct request_list ended;    /* those whose id is still needed */
	struct conn_index *index;   /* both by id; NULL: they are few */
	unsigned active;            /* how many are in `requests` ... */
	unsigned known;             /* ... and in both */
};

static inline struct loop *conn_loop(const struct conn *conn)
{
	return conn->owner->services->loop;
}

static inline bool conn_takes_requests(const struct conn *conn)
{
	return conn->state <= CONN_LAST;
}

/* How many request ids of one connection are in use at most. */
static inline size_t conn_most_requests(const struct conn *conn)
{
	enum { SPARE = 1024 }; /* past --max-scripts */

	return (size_t)conn->owner->services->options->max_scripts + SPARE;
}

/*
 * Whether there is room for the answer that the next record may ask for.  It is also how
 * long FCGI_STDIN is read: a client may be unable to take its answer before it has sent all.
 */
static inline bool conn_has_room(const struct conn *conn)
{
	return outlet_waiting(&conn->out) <= RELAY_HIGH + FCGI_MAX_CONTENT;
}

/* ---- conn_requests.c ----------------------------------------------------------------- */

void conn_set_state(struct conn *conn, enum conn_state state);

/* Something has changed: the connection gets its turn. */
void conn_touch(struct conn *conn);

/* Closes it as it is: its client is gone, or has all it will get. */
void conn_close(struct conn *conn);

/* Closes it, and logs which one and why. */
void conn_reject(struct conn *conn, const char *why);

/* The request that `id` means, ended or not; NULL if it means none. */
struct request *conn_find_request(const struct conn *conn, uint16_t id);

/* Makes the first of its active requests the last, and returns it; NULL if there is none. */
struct request *conn_rotate_requests(struct conn *conn);

/* Enters a new, active request. */
void conn_link_request(struct conn *conn, struct request *request);

/* An active request has ended, but its id is still needed. */
void conn_retire_request(struct conn *conn, struct request *request);

/* Takes out one that has ended, and frees it; an active one, which goes on without a client. */
void conn_forget_request(struct conn *conn, struct request *request);
void conn_detach_request(struct conn *conn, struct request *request);

/* ---- conn_values.c ------------------------------------------------------------------- */

/* What a client may ask for with FCGI_GET_VALUES (spec 4.1). */
struct conn_values {
	long max_conns;
	long max_requests;
};

/*
 * Writes to `out`, which has `room` bytes, what is known of the names in the `len` bytes
 * at `asked`, the content of a FCGI_GET_VALUES record.  Returns how many bytes it wrote.
 */
size_t conn_put_values(unsigned char *out, size_t room, const struct conn_values *values,
    const unsigned char *asked, size_t len);

/* ---- conn_records.c ------------------------------------------------------------------ */

/*
 * Takes the next `len` bytes of records; may close the connection.  Those that there is no
 * room to answer become `conn->unread`, which has to be NULL.
 */
void conn_read_records(struct conn *conn, const unsigned char *bytes, size_t len);

/* Goes on with `conn->unread`, as far as there is room. */
void conn_read_unread(struct conn *conn);

/* ---- conn_read.c -------------------------------------------------------------------- */

/* The client's next byte, or its end, is awaited: sets the time for that, in DRAIN and SHUT. */
void conn_await_client(struct conn *conn);

/* The socket's loop_watch_fn. */
void conn_on_ready(struct loop_watch *watch, unsigned events);

#endif

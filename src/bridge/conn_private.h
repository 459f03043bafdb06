/* SPDX-License-Identifier: ISC */
/*
 * conn_private: what conn.c and the conn_*.c have of each other.  Nobody else includes it.
 */
#ifndef CGIBRIDGE_CONN_PRIVATE_H
#define CGIBRIDGE_CONN_PRIVATE_H

#include "bridge/conn.h"

enum { CONN_QUIET_TIME = 200 }; /* ms of silence, draining, before our side is shut */

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

static inline struct loop *conn_loop(const struct conn *conn)
{
	return conn->owner->services->loop;
}

/* ---- conn.c ------------------------------------------------------------------------- */

/* Something has changed: the connection gets its turn. */
void conn_touch(struct conn *conn);

/* Closes it as it is: its client is gone, or has all it will get. */
void conn_close(struct conn *conn);

/* Closes a connection whose bytes make no sense; says who and what. */
void conn_reject(struct conn *conn, const char *why);

/* ---- conn_read.c -------------------------------------------------------------------- */

/* The socket's loop_watch_fn. */
void conn_on_ready(struct loop_watch *watch, unsigned events);

/* ---- conn_records.c ------------------------------------------------------------------ */

/* Takes the next `len` bytes of records; may close the connection. */
void conn_take_bytes(struct conn *conn, const unsigned char *bytes, size_t len);

/* The request that `id` means, ended or not; NULL if it means none. */
struct request *conn_find_request(const struct conn *conn, uint16_t id);

/* Makes the first of its requests the last, and returns it; NULL if there is none. */
struct request *conn_rotate_requests(struct conn *conn);

/* Enters a new, active request; takes one out that is freed by someone else. */
void conn_link_request(struct conn *conn, struct request *request);
void conn_unlink_request(struct conn *conn, struct request *request);

/* Takes an ended request out, and frees it. */
void conn_forget_request(struct conn *conn, struct request *request);

/* There is one more active request (`change` 1), or one fewer (-1). */
void conn_count_active(struct conn *conn, int change);

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

#endif

/* SPDX-License-Identifier: ISC */
/*
 * conn: one connection to a FastCGI client: records in and out, many requests by id.
 *
 *    NEW --BEGIN, KEEP_CONN--> OPEN --BEGIN without--> LAST --answered--> DRAIN
 *     |  \--BEGIN without-------|--------------------> ^ ^                  |
 *     |                         |                      | |      client silent|
 *     | worker drains           | worker drains:       | |                   v
 *     |                   idle  |   \--a request runs--|-|--> LEAVING ----> SHUT
 *     \-------------------> GRACE ------BEGIN without--/ \----/  ^ answered  ^
 *                             |  \-----BEGIN, KEEP_CONN---------/            |
 *                             \--no request came in time---------------------/
 *
 *    OPEN --a response is cut, nobody else uses it--> LEAVING;  OPEN --idle for long--> SHUT
 *    any of them --client gone, or bytes that are no FastCGI--------------> CLOSED
 *    LAST, DRAIN, SHUT --nothing more to be sent by the client, or time up--> CLOSED
 *    any up to LAST --no memory for a record--> FAILED --its next turn------> CLOSED
 *
 * A request id stays known until its client has ended FCGI_STDIN: on a connection
 * that we are to close, the request object stays (ENDED), and DRAIN or SHUT reads on
 * until the terminating record, or the client's end of file, has been seen.  Closing
 * before would cost the client the answer (a reset), never closing would hang it.
 *
 * A client that has set KEEP_CONN does not expect us to close, and may be sending its next
 * request when we do.  So a connection is not closed under it: GRACE still answers what is
 * on its way, and then our side is shut first, right after the last answer.
 *
 * Nobody else decides what the socket is watched for.
 */
#ifndef CGIBRIDGE_CONN_H
#define CGIBRIDGE_CONN_H

#include <stdbool.h>

#include "base/address.h"
#include "base/attributes.h"
#include "bridge/request.h"

struct conn;

/* How long a connection waits, in ms. */
struct conn_times {
	int64_t first; /* NEW: for a request to begin ... */
	int64_t late;  /* ... and when the worker drains */
	int64_t grace; /* GRACE: for a request to begin */
	int64_t settle; /* LEAVING: for one that may be on its way, after the last answer ... */
	int64_t busy;   /* ... unless they have gone on coming for so long */
	int64_t idle;  /* OPEN: for the next request */
	int64_t write; /* for a client to take any of its answer */
	int64_t quiet; /* DRAIN: of silence, before our side is shut */
	int64_t leave; /* SHUT: of silence, from a client that has ended all FCGI_STDIN */
	int64_t drain; /* DRAIN and SHUT, in all */
};

extern const struct conn_times conn_times; /* those of a worker */

/* The worker, as its connections see it; embedded there. */
struct conn_owner {
	const struct request_services *services;
	const struct conn_times *times;
	struct conn *first; /* all connections of the worker */
	size_t count;
	int64_t leave_by;   /* draining: when connections end even if requests go on coming */
	size_t max;         /* how many it accepts, for FCGI_GET_VALUES */
	unsigned char *scratch; /* CONN_SCRATCH bytes that every read goes through */
	void (*opened)(struct conn_owner *owner); /* `count` is more; nothing has been read yet */
	void (*closed)(struct conn_owner *owner); /* `count` is less */
};

enum { CONN_SCRATCH = 64 * 1024 };

/*
 * Takes over the accepted socket `fd` (non-blocking), whose other end is `peer`.
 * 0, or -1 with errno and `fd` closed.
 */
int conn_open(struct conn_owner *owner, int fd, const struct address_peer *peer) MUST_CHECK;

/*
 * The worker drains: each connection ends with the answers to what has begun, KEEP_CONN or
 * not.  An idle one still answers a request that comes within a moment.
 */
void conn_drain_all(struct conn_owner *owner);

/*
 * The worker stops: ends all requests at once, their clients are told with 503 where that
 * still goes, and closes what is idle.
 */
void conn_stop_all(struct conn_owner *owner);

/* Closes and frees all connections as they are. */
void conn_close_all(struct conn_owner *owner);

#endif

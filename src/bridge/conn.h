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
 *    OPEN --a response is cut, no other is active--> LEAVING;  OPEN --idle for long--> SHUT
 *    any of them --client gone, or bytes that are not FastCGI-------------> CLOSED
 *    LAST, DRAIN, SHUT --nothing more to be sent by the client, or time up--> CLOSED
 *    any up to LAST --client shuts its side--> HALF --answered--------------> CLOSED
 *    any up to HALF --no memory for a record--> FAILED --its next turn------> CLOSED
 *
 * A request id stays known until its client has ended FCGI_STDIN, or begins it again: the
 * request object stays (ENDED), and if the bridge has to close the connection, for this request
 * or a later one, DRAIN or SHUT reads on until it has seen the terminating record or the
 * client's end of file.  Closing earlier could cost the client its answer (a reset); never
 * closing would hang it.
 *
 * A client that has set KEEP_CONN does not expect the bridge to close the connection, and may
 * be sending its next request at that moment.  So a connection in GRACE still answers a request
 * that is on its way; then only the bridge's side is shut, right after the last answer.
 *
 * Only this family decides which events of the socket are watched.
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
	int64_t settle; /* LEAVING: for one possibly on its way, after the last answer ... */
	int64_t busy;   /* ... unless they have kept coming for this long */
	int64_t idle;  /* OPEN: for the next request */
	int64_t write; /* for a client to take any of its answer */
	int64_t quiet; /* DRAIN: for silence, before the bridge's side is shut */
	int64_t leave; /* SHUT: for silence from a client that has ended all FCGI_STDIN */
	int64_t drain; /* DRAIN and SHUT together */
};

extern const struct conn_times conn_times; /* the times that a worker uses */

/* The worker, as its connections see it; embedded there. */
struct conn_owner {
	const struct request_services *services;
	const struct conn_times *times;
	struct conn *first; /* all connections of the worker */
	size_t count;
	int64_t leave_by;   /* draining: when connections end even if requests keep coming */
	size_t max;         /* the most connections that it accepts; for FCGI_GET_VALUES */
	unsigned char *scratch; /* CONN_SCRATCH bytes that every read goes through */
	void (*opened)(struct conn_owner *owner); /* `count` has grown; nothing has been read yet */
	void (*closed)(struct conn_owner *owner); /* `count` has shrunk */
};

enum { CONN_SCRATCH = 64 * 1024 };

/*
 * Takes over the accepted socket `fd` (non-blocking), whose other end is `peer`.
 * 0, or -1 with errno and `fd` closed.
 */
int conn_open(struct conn_owner *owner, int fd, const struct address_peer *peer) MUST_CHECK;

/*
 * The worker drains: each connection ends with the answers to the requests that have begun,
 * KEEP_CONN or not.  An idle one still answers a request that arrives within a moment.
 */
void conn_drain_all(struct conn_owner *owner);

/*
 * The worker stops: ends all requests at once, with a 503 to their clients where that is still
 * possible, and closes idle connections.
 */
void conn_stop_all(struct conn_owner *owner);

/* Closes and frees all connections as they are. */
void conn_close_all(struct conn_owner *owner);

#endif

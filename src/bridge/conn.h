/* SPDX-License-Identifier: ISC */
/*
 * conn: one connection to a FastCGI client: records in and out, many requests by id.
 *
 *   OPEN --last answer out, KEEP_CONN not set--> DRAIN --client's last byte seen--> closed
 *     \--client gone, bytes that are no FastCGI, write error-----------------------> closed
 *
 * A request id stays known until its client has ended FCGI_STDIN: on a connection
 * that we are to close, the request object stays (ENDED) and DRAIN reads on until
 * the terminating record, or the client's end of file, has been seen.  Closing
 * before would cost the client the answer (a reset), never closing would hang it.
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

/* The worker, as its connections see it; embedded there. */
struct conn_owner {
	const struct request_services *services;
	struct conn *first; /* all connections of the worker */
	size_t count;
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
 * The worker drains: connections close as soon as no request is active on them,
 * KEEP_CONN or not; one that has not had its first yet may still send it.
 */
void conn_drain_all(struct conn_owner *owner);

/* Ends all requests at once; their clients are told with 503 where that still goes. */
void conn_stop_all(struct conn_owner *owner);

/* Closes and frees all connections as they are. */
void conn_close_all(struct conn_owner *owner);

#endif

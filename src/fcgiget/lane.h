/* SPDX-License-Identifier: ISC */
/*
 * lane: one request after another over one connection at a time, in a loop.
 *
 *    CLOSED -> QUEUED -> CONNECTING -> BUSY          begin, dial
 *    KEPT -> REUSED                                  begin
 *    BUSY, REUSED -> CLOSED or KEPT                  the answer is judged and reported
 *
 * If the server closes a kept connection before it has sent anything about the request, that is
 * not a failure: it may have closed it before the request arrived.  The request is then sent
 * again, once, on a new connection.
 */
#ifndef CGIBRIDGE_LANE_H
#define CGIBRIDGE_LANE_H

#include "fcgiget/answer.h"
#include "base/buf.h"
#include "fcgiget/client.h"
#include "fcgiget/fcgiget_options.h"
#include "base/loop.h"
#include "fcgiget/outcomes.h"

/* The request that is made each time. */
struct errand {
	const struct fcgiget_options *options;
	struct buf params; /* encoded; empty for ACTION_VALUES */
	struct buf body;
};

enum lane_state {
	LANE_CLOSED,
	LANE_QUEUED,     /* the server's queue is full: tries again */
	LANE_CONNECTING,
	LANE_BUSY,       /* a request is under way ... */
	LANE_REUSED,     /* ... on a kept connection, which may have been closed by now */
	LANE_KEPT,       /* connected, with nothing under way */
};

struct lane;

/* A request has ended, with ending `e`; lane_start() may be called for the next one. */
typedef void lane_ended_fn(struct lane *l, const struct ending *e);

struct lane {
	struct loop *loop;
	const struct errand *errand;
	lane_ended_fn *ended;
	void *context;         /* the owner's */
	enum lane_state state;
	struct client client;
	struct client_sink sink; /* the client's */
	struct answer answer;
	struct loop_watch watch;
	struct loop_timer timeout; /* of the request */
	struct loop_timer retry;   /* of the connect */
	struct loop_task start;
	int64_t since;         /* clock_us() when the request began */
	size_t body_at;        /* bytes of the body given to the client */
	struct ending ending;  /* so far */
};

/* Initialises `l`, without a connection; `loop` and `errand` must outlive it. */
void lane_init(struct lane *l, struct loop *loop, const struct errand *errand,
    lane_ended_fn *ended, void *context);

/* Closes its connection, and drops a request that is under way. */
void lane_fini(struct lane *l);

/* Begins a request at the end of the loop's turn; none may be under way. */
void lane_start(struct lane *l);

#endif

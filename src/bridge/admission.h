/* SPDX-License-Identifier: ISC */
/*
 * admission: decides which request may start its script now.
 *
 * The limit is the scoreboard's; this is one worker's queue in front of it.  Requests of a worker
 * are served in the order in which they came; across workers, a released slot wakes one of those
 * with waiting requests.  A request that waits too long, or finds the queue full, is refused
 * with 503.
 */
#ifndef CGIBRIDGE_ADMISSION_H
#define CGIBRIDGE_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/loop.h"
#include "config/options.h"
#include "stats/scoreboard.h"

struct admission_ticket;
typedef void admission_fn(struct admission_ticket *ticket, int granted);

/*
 *    NONE --asks--> GRANTED --its script runs--> RUNNING --it has ended--> NONE
 *     |  ^           ^   |
 *     |  |      slot |   | no descriptors
 * asks|  | late,     |   v
 *     |  | leaves    |
 *     +--+-------- WAITING
 */
enum admission_ticket_state { TICKET_NONE, TICKET_WAITING, TICKET_GRANTED, TICKET_RUNNING };

/* Embedded in the request that asks. */
struct admission_ticket {
	int slot; /* -1 until granted; then the holder has to release it */
	enum admission_ticket_state state;
	int64_t deadline;
	admission_fn *decided; /* called later for a ticket that had to wait */
	struct admission_ticket *next, *prev; /* WAITING: in the queue */
};

struct admission {
	struct loop *loop;
	struct scoreboard *board;
	const struct options *options;
	int worker;
	struct admission_ticket *first, *last; /* the queue */
	struct loop_watch wake;
	struct loop_timer timer;       /* the deadline of the first in the queue */
	struct loop_task retry;        /* serves the queue again */
	size_t running;                /* tickets that run */
	bool stalled;                  /* no descriptors: waits for one of these to end */
	int64_t quiet;                 /* loop time until which a shortage is not logged */
};

/* The queue of worker number `worker`; all pointers are borrowed. */
void admission_init(struct admission *admission, struct loop *loop, struct scoreboard *board,
    const struct options *options, int worker);
void admission_fini(struct admission *admission);

enum admission_answer { ADMISSION_GRANTED, ADMISSION_WAIT, ADMISSION_FULL };

/* Asks for a slot.  On ADMISSION_WAIT `ticket->decided` is called later, once. */
enum admission_answer admission_ask(struct admission *admission, struct admission_ticket *ticket,
    admission_fn *decided) MUST_CHECK;

/*
 * Releases the ticket's slot, because there were no descriptors for its script (`error`, for the
 * log).  The ticket waits at the head of the queue until a script of this worker has ended; then
 * `ticket->decided` is called once more.  False if no script runs: the caller keeps the slot.
 */
bool admission_put_back(struct admission *admission, struct admission_ticket *ticket,
    int error) MUST_CHECK;

/* Records that the script of `ticket` runs, and so holds descriptors. */
void admission_begin(struct admission *admission, struct admission_ticket *ticket);

/*
 * Removes `ticket` from the queue, or records that its script has ended; does nothing if it
 * neither waits nor runs.
 */
void admission_leave(struct admission *admission, struct admission_ticket *ticket);

#endif

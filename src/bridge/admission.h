/* SPDX-License-Identifier: ISC */
/*
 * admission: which request may start its script now.
 *
 * The limit is the scoreboard's; this is one worker's queue in front of it.  First
 * come, first served within a worker; over the workers, a slot that is given back
 * wakes whoever waits.  A request that waits too long, or finds the queue full, is
 * refused: its answer is 503.
 */
#ifndef CGIBRIDGE_ADMISSION_H
#define CGIBRIDGE_ADMISSION_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/loop.h"
#include "config/options.h"
#include "stats/scoreboard.h"

struct admission_ticket;
typedef void admission_fn(struct admission_ticket *ticket, int granted);

/* Embedded in who asks. */
struct admission_ticket {
	int slot;              /* -1 until granted; then the holder's to give back */
	int64_t deadline;
	admission_fn *decided; /* called later for a ticket that had to wait */
	struct admission_ticket *next, *prev;
};

struct admission {
	struct loop *loop;
	struct scoreboard *board;
	const struct options *options;
	int worker;
	struct admission_ticket queue; /* ring head */
	struct loop_watch wake;
	struct loop_timer timer;       /* of the first in the queue */
};

/* The queue of worker number `worker`; all pointers are borrowed. */
void admission_init(struct admission *admission, struct loop *loop, struct scoreboard *board,
    const struct options *options, int worker);
void admission_fini(struct admission *admission);

enum admission_answer { ADMISSION_GRANTED, ADMISSION_WAIT, ADMISSION_FULL };

/* Asks for a slot.  On ADMISSION_WAIT `ticket->decided` is called later, once. */
enum admission_answer admission_ask(struct admission *admission, struct admission_ticket *ticket,
    admission_fn *decided) MUST_CHECK;

/* Leaves the queue; nothing happens if `ticket` does not wait. */
void admission_leave(struct admission *admission, struct admission_ticket *ticket);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * scout: processes that touch files first, on file systems that may not answer.
 *
 * A scout is forked from the worker, makes the calls that the worker would be blocked by, and
 * ends.  What it has found is in memory that it shares with the worker, which may believe it: they
 * are the same program and the same user.  A scout that is not waited for any more is killed, and
 * so are all when the worker ends (on Linux, however it ends); while the kernel does not let it
 * end, it counts.  At most SCOUTS_A_DEVICE are sent to one file system and SCOUTS_MAX in all; the
 * others wait for one to end, without limit but that of their owners.
 */
#ifndef CGIBRIDGE_SCOUT_H
#define CGIBRIDGE_SCOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "base/loop.h"

enum { SCOUTS_A_DEVICE = 16, SCOUTS_MAX = 64 };

struct scout;

/* The scouts of one worker. */
struct scouts {
	struct loop *loop;
	struct scout *first, *last; /* those that wait, the oldest first */
	struct scout *sent;         /* those that are processes, at most SCOUTS_MAX */
};

/*
 * Makes the calls, in a process of its own, without descriptors.  `findings` are zeroed, and shared
 * with the worker at the same address: pointers into them may be kept there, no others.
 */
typedef void scout_look_fn(void *context, void *findings);

/*
 * It has ended: its findings, until the callback returns.  NULL: there is no process for it
 * (`error`, an errno), or it was killed (0).  Called later, once.
 */
typedef void scout_ended_fn(void *context, const void *findings, int error);

/* A task for a scout. */
struct scout_plan {
	dev_t device;   /* the file system it is sent to, or a number that stands for it */
	size_t size;    /* of its findings, > 0 */
	scout_look_fn *look;
	scout_ended_fn *ended;
	void *context; /* borrowed until `ended` or scouts_forget() */
};

/* `loop` is borrowed. */
void scouts_init(struct scouts *scouts, struct loop *loop);

/* Kills them all, and waits for none; no callback is called. */
void scouts_fini(struct scouts *scouts);

/* Sends a scout, now or when there may be one more.  0, or -1 with errno: nothing was done. */
int scouts_send(struct scouts *scouts, const struct scout_plan *plan) MUST_CHECK;

/* Whether there are any, waiting or not. */
static inline bool scouts_any(const struct scouts *scouts)
{
	return scouts->first != NULL || scouts->sent != NULL;
}

/* The one with this context, if there is one, is not waited for any more. */
void scouts_forget(struct scouts *scouts, const void *context);

#endif

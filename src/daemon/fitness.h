/* SPDX-License-Identifier: ISC */
/*
 * fitness: whether a worker can do its work at all.
 *
 * Another process can lower a worker's limits while it runs (prlimit(2)).  Its loop turns
 * and its sign of life is there, but every accept or spawn fails.  One that has started
 * with these limits can do no better; a new one, made by the supervisor, can.
 */
#ifndef CGIBRIDGE_FITNESS_H
#define CGIBRIDGE_FITNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/attributes.h"

enum { FITNESS_LIMITS = 4 };

struct fitness {
	struct rlimit limits[FITNESS_LIMITS]; /* as they were at the start */
	uint64_t spawned, failures;           /* up to the last look */
	bool spawns_fail;                     /* since the last script that was started */
	int64_t lost_since;                   /* loop time; 0: it is fit */
};

/* What a worker knows of itself. */
struct fitness_look {
	int64_t now;                /* loop time, not 0 */
	bool accepts;               /* connections can be accepted */
	uint64_t spawned, failures; /* scripts that were started, or could not be, in all */
};

/* The limits of this process are right as they are now. */
void fitness_init(struct fitness *fitness);

/*
 * The name, as of --limit, of a limit that is lower than it was, if nothing has worked for
 * `patience` ms since; else NULL.
 */
const char *fitness_lost(
    struct fitness *fitness, const struct fitness_look *look, int64_t patience) MUST_CHECK;

#endif

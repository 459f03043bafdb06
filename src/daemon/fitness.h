/* SPDX-License-Identifier: ISC */
/*
 * fitness: whether a worker can do its work at all.
 *
 * Another process can lower a worker's limits while the worker runs (prlimit(2)).  The worker's
 * loop still turns and it still gives signs of life, but every accept or spawn fails; or scripts,
 * which inherit those limits, die as soon as they run.  The worker cannot raise its limits; a new
 * one inherits those of the supervisor.
 */
#ifndef CGIBRIDGE_FITNESS_H
#define CGIBRIDGE_FITNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/attributes.h"

enum { FITNESS_LIMITS = 7 };

struct fitness {
	struct rlimit limits[FITNESS_LIMITS]; /* as they were at the start */
	uint64_t answers, failures;           /* up to the last check */
	bool scripts_fail;                    /* all have failed since the last answer */
	int64_t lost_since;                   /* loop time; 0: it is fit */
};

/* The facts that a worker knows about itself. */
struct fitness_look {
	int64_t now;       /* loop time, not 0 */
	bool accepts;      /* connections can be accepted */
	uint64_t answers;  /* good ones of scripts, in all */
	uint64_t failures; /* scripts that could not be started, or failed, in all */
};

/* Records the current limits of this process as the right ones. */
void fitness_init(struct fitness *fitness);

/* The name, as in --limit, of a limit that is lower than it was; NULL: none. */
const char *fitness_lowered(const struct fitness *fitness) MUST_CHECK;

/*
 * The name, as in --limit, of a limit that has been lowered, if accepting, or every script,
 * has failed for `patience` ms; else NULL.
 */
const char *fitness_lost(
    struct fitness *fitness, const struct fitness_look *look, int64_t patience) MUST_CHECK;

#endif

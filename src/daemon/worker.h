/* SPDX-License-Identifier: ISC */
/*
 * worker: one loop over the listening sockets, their connections, and the scripts.
 *
 *   RUNNING --TERM--> DRAINING ----all done---------------------------------> exit
 *      |                  | \--after --drain-timeout--> STOPPING--all killed--> exit
 *      |                  |                                |
 *      \------------------+--QUIT, or the supervisor is gone--> QUITTING ----> exit
 */
#ifndef CGIBRIDGE_WORKER_H
#define CGIBRIDGE_WORKER_H

#include "base/attributes.h"
#include "daemon/listener.h"
#include "config/options.h"
#include "stats/scoreboard.h"

/* What a worker is given.  All borrowed, all inherited by fork. */
struct worker_plan {
	const struct options *options;
	struct listeners *listeners;
	struct scoreboard *board;
	int number;   /* 0... */
	int lifeline; /* end of file there: the supervisor is gone */
};

/* Runs in the forked process until it is told to stop; returns the exit status. */
int worker_run(const struct worker_plan *plan);

#endif

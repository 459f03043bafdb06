/* SPDX-License-Identifier: ISC */
/*
 * worker: one event loop for the listening sockets, their connections and the scripts.
 *
 *   RUNNING --TERM--> DRAINING ----all done---------------------------------> exit
 *      |                  | \--after --drain-timeout--> STOPPING--all killed--> exit
 *      |                  |                                |
 *      \------------------+--QUIT, or the supervisor is gone--> QUITTING ----> exit
 */
#ifndef CGIBRIDGE_WORKER_H
#define CGIBRIDGE_WORKER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "daemon/listener.h"
#include "config/options.h"
#include "stats/scoreboard.h"

/* What a worker gets from the supervisor.  All of it is borrowed, and inherited by fork. */
struct worker_plan {
	const struct options *options;
	struct listeners *listeners;
	struct scoreboard *board;
	int number;       /* 0... */
	pid_t supervisor;
	int stop, drain;  /* the ends of its lifeline */
	int ready;        /* where it writes its number once it serves; closed after that */
};

/* The longest time that a worker takes to drain, in ms. */
int64_t worker_drain_time(const struct options *options);

/* Runs in the forked process until it is told to stop; returns the exit status. */
int worker_run(const struct worker_plan *plan);

#endif

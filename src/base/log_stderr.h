/* SPDX-License-Identifier: ISC */
/*
 * log_stderr: lines to standard error, which no process of ours ever waits for.
 *
 * Whatever cannot be written now waits in a queue and is tried again, by the next line and
 * by a timer.  When the queue is full, lines are dropped and counted until all of it is
 * out; then one line says how many.  Each process has its own queue: a forked one starts
 * with an empty one.
 */
#ifndef CGIBRIDGE_LOG_STDERR_H
#define CGIBRIDGE_LOG_STDERR_H

#include <stddef.h>

#include "base/attributes.h"

struct loop;

enum {
	LOG_QUEUE_MAX = 64 * 1024, /* bytes that wait */
	LOG_RETRY = 200,           /* ms between two tries */
	LOG_PATIENCE = 200,        /* ms for what waits at the end of the process */
};

/* Writes a line that says that `lost` lines are, and `why`, to `line`; returns its length. */
typedef size_t log_lost_fn(char *line, size_t size, unsigned long lost, const char *why);

/*
 * From now on no write waits; if descriptor 2 changes, this has to be called again.  Until
 * then lines are written to it as it is, and nothing is queued.
 */
void log_stderr_open(log_lost_fn *format_lost);

/* Has `loop` try again what waits; NULL: no loop does, as it is about to be freed. */
void log_stderr_follow(struct loop *loop);

/* Takes a line of `len` bytes, its newline included. */
void log_stderr_put(const char *line, size_t len);

/* The process ends, or becomes another program: the last lines get LOG_PATIENCE. */
void log_stderr_close(void);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * log_stderr: lines to standard error, without waiting for its reader.
 *
 * A line that cannot be written now is queued; the next line and a timer try again.  When the
 * queue is full or a write fails for good, lines are dropped and counted until the queue is
 * empty and writing works again; then one line says how many were lost.  Each process has its
 * own queue, which is empty after a fork.
 */
#ifndef CGIBRIDGE_LOG_STDERR_H
#define CGIBRIDGE_LOG_STDERR_H

#include <stddef.h>

#include "base/attributes.h"

struct loop;

enum {
	LOG_QUEUE_MAX = 64 * 1024, /* bytes in the queue */
	LOG_RETRY = 200,           /* ms between two attempts */
	LOG_PATIENCE = 200,        /* ms for the queue at the end of the process */
};

/* Writes to `line` one that says that `lost` lines were lost, and why; returns its length. */
typedef size_t log_lost_fn(char *line, size_t size, unsigned long lost, const char *why);

/*
 * From now on no write waits; to be called again if descriptor 2 is replaced.  Before the
 * first call, lines are written to descriptor 2 directly and nothing is queued.
 */
void log_stderr_open(log_lost_fn *format_lost);

/* Has `loop` retry the queued lines; NULL: no loop does, because it is about to be freed. */
void log_stderr_follow(struct loop *loop);

/* Writes or queues a line of `len` bytes, newline included. */
void log_stderr_put(const char *line, size_t len);

/*
 * Called before the process ends or executes another program: waits up to LOG_PATIENCE for the
 * queue.
 */
void log_stderr_close(void);

#endif

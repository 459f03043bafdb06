/* SPDX-License-Identifier: ISC */
/*
 * flaw_log: which flaws of which scripts have been logged recently.
 *
 * A script repeats its flaw in each response, so one line a minute is enough.  The table has a
 * fixed size: when a row is full, its oldest entry is dropped, and that flaw is logged again
 * sooner.
 */
#ifndef CGIBRIDGE_FLAW_LOG_H
#define CGIBRIDGE_FLAW_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum {
	FLAW_LOG_PAUSE = 60 * 1000, /* ms between two lines about the same flaw */
	FLAW_LOG_ROWS = 64,
	FLAW_LOG_WAYS = 4, /* entries of a row; a flaw's hash picks the row */
};

/* All zero: nothing has been logged. */
struct flaw_log {
	struct {
		uint64_t key;
		int64_t until; /* loop time until which it is not logged again */
	} told[FLAW_LOG_ROWS][FLAW_LOG_WAYS];
};

/* Whether to log `flaw` of the script at `path` at loop time `now`; if so, records that. */
bool flaw_log_admits(struct flaw_log *log, const char *path, unsigned flaw, int64_t now);

#endif

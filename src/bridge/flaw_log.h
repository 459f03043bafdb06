/* SPDX-License-Identifier: ISC */
/*
 * flaw_log: which flaws of which scripts the log has been told lately.
 *
 * A script has its flaw in each response; one line a minute is enough.  The table has a
 * fixed size: when there are more flaws than it holds, the one that was told first is
 * forgotten, and is told again sooner.
 */
#ifndef CGIBRIDGE_FLAW_LOG_H
#define CGIBRIDGE_FLAW_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum {
	FLAW_LOG_PAUSE = 60 * 1000, /* ms between two lines about the same */
	FLAW_LOG_ROWS = 64,
	FLAW_LOG_WAYS = 4, /* entries of a row, which a flaw's hash picks */
};

/* All zero: nothing has been told. */
struct flaw_log {
	struct {
		uint64_t key;
		int64_t until; /* loop time until which it is not told again */
	} told[FLAW_LOG_ROWS][FLAW_LOG_WAYS];
};

/* Whether `flaw` of the script at `path` is to be logged at loop time `now`; notes that it is. */
bool flaw_log_admits(struct flaw_log *log, const char *path, unsigned flaw, int64_t now);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * backoff: how long to wait until a process that has ended, or could not be started, is started
 * again.  There is no pause at first; then it is doubled each time up to BACKOFF_MAX, until a
 * process has lived for BACKOFF_HEALTHY.
 */
#ifndef CGIBRIDGE_BACKOFF_H
#define CGIBRIDGE_BACKOFF_H

#include <stdint.h>

#include "base/attributes.h"

enum {
	BACKOFF_FIRST = 100,         /* ms */
	BACKOFF_MAX = 10 * 1000,     /* ms */
	BACKOFF_HEALTHY = 10 * 1000, /* ms */
};

/* The pause that follows one of `pause` ms, in ms. */
int64_t backoff_longer(int64_t pause) MUST_CHECK;

/*
 * The pause, in ms, before the successor of a process that has lived for `age` ms.  `*pause` is
 * the caller's, 0 at first: the pause that is due, and then the one that follows it.
 */
int64_t backoff_next(int64_t *pause, int64_t age) MUST_CHECK;

#endif

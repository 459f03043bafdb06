/* SPDX-License-Identifier: ISC */
/*
 * backoff: pauses that are doubled.
 */
#include "base/backoff.h"

int64_t backoff_longer(int64_t pause)
{
	if (pause == 0)
		return BACKOFF_FIRST;
	return pause < BACKOFF_MAX / 2 ? pause * 2 : BACKOFF_MAX;
}

int64_t backoff_next(int64_t *pause, int64_t age)
{
	int64_t due = age >= BACKOFF_HEALTHY ? 0 : *pause;

	*pause = backoff_longer(due);
	return due;
}

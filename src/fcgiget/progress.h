/* SPDX-License-Identifier: ISC */
/*
 * progress: one line on a terminal, redrawn as it changes, and erased at the end.
 */
#ifndef CGIBRIDGE_PROGRESS_H
#define CGIBRIDGE_PROGRESS_H

#include <stdint.h>

struct progress {
	int fd;         /* -1: not a terminal, draw nothing */
	uint64_t total;
	int drawn;
};

/* Initialises a bar on `fd` (not owned) for `total` requests.  Non-zero if `fd` is a terminal. */
int progress_init(struct progress *p, int fd, uint64_t total);

/* Draws the progress after `elapsed` us: `done` have ended, `failed` of them in failure. */
void progress_draw(struct progress *p, uint64_t done, uint64_t failed, int64_t elapsed);

void progress_erase(struct progress *p);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * progress: one line on a terminal, drawn over and over, and taken away at the end.
 */
#ifndef CGIBRIDGE_PROGRESS_H
#define CGIBRIDGE_PROGRESS_H

#include <stdint.h>

struct progress {
	int fd;         /* -1: not a terminal, and nothing is drawn */
	uint64_t total;
	int drawn;
};

/* Draws on `fd`, not owned, towards `total`.  Non-zero if that is a terminal. */
int progress_init(struct progress *p, int fd, uint64_t total);

/* Draws how far it is after `elapsed` us: `done` have ended, `failed` of them badly. */
void progress_draw(struct progress *p, uint64_t done, uint64_t failed, int64_t elapsed);

void progress_erase(struct progress *p);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * splice: whether what passes by is copied or, once there is much of it, spliced: moved
 * between a pipe and a socket within the kernel.  For relay, out of a script, and body, into it.
 *
 *   COPIED --enough has passed, some is moved--> SPLICED --an error--> BROKEN
 */
#ifndef CGIBRIDGE_SPLICE_H
#define CGIBRIDGE_SPLICE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum splice_state {
	SPLICE_COPIED,  /* until enough has passed */
	SPLICE_SPLICED, /* some has been: its pipe is wide */
	SPLICE_BROKEN,  /* not any more: reading and writing tell what is wrong */
};

static inline void splice_set_state(enum splice_state *state, enum splice_state to)
{
	assert(to > *state);
	*state = to;
}

/* Whether it may be spliced after `passed` bytes, when copying is for the first `few`. */
static inline bool splice_may(enum splice_state state, uint64_t passed, uint64_t few)
{
	return state == SPLICE_SPLICED || (state == SPLICE_COPIED && passed >= few);
}

#endif

/* SPDX-License-Identifier: ISC */
/*
 * splice: whether a stream is copied or, once it is large, spliced: moved between a pipe and a
 * socket within the kernel.  For relay, out of a script, and for body, into it.
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
	SPLICE_SPLICED, /* some has been spliced: its pipe is wide */
	SPLICE_BROKEN,  /* copied again: reading and writing tell what is wrong */
};

static inline void splice_set_state(enum splice_state *state, enum splice_state to)
{
	assert(to > *state);
	*state = to;
}

/* Whether it may be spliced after `passed` bytes, where the first `few` are copied. */
static inline bool splice_may(enum splice_state state, uint64_t passed, uint64_t few)
{
	return state == SPLICE_SPLICED || (state == SPLICE_COPIED && passed >= few);
}

#endif

/* SPDX-License-Identifier: ISC */
/*
 * nearest: which word was probably meant.
 */
#ifndef CGIBRIDGE_NEAREST_H
#define CGIBRIDGE_NEAREST_H

#include <stddef.h>

#include "base/attributes.h"

/* The word that is asked about, and the best of the names that were offered. */
struct nearest {
	const char *word; /* set by the caller: `len` bytes, not NUL-terminated */
	size_t len;
	const char *name; /* NULL at first; still NULL if none is near enough to be meant */
	unsigned slips;   /* that turn `name` into the word */
};

/*
 * Keeps `name` if fewer slips than for all names before turn it into the word: a character that is
 * missing, one too many, a wrong one, or two swapped.  Two slips are the most.  The caller
 * keeps ownership of `name`.
 */
void nearest_offer(struct nearest *nearest, const char *name);

#endif

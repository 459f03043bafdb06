/* SPDX-License-Identifier: ISC */
/*
 * nearest: which word was probably meant.
 */
#ifndef CGIBRIDGE_NEAREST_H
#define CGIBRIDGE_NEAREST_H

#include <stddef.h>

#include "base/attributes.h"

enum { NEAREST_MOST = 2 }; /* slips; with more it is a different word */

/*
 * How many slips turn `name` into `word`, of `len` bytes: a character that is missing, one too
 * many, a wrong one, or two swapped.
 */
unsigned nearest_slips(const char *word, size_t len, const char *name) MUST_CHECK;

#endif

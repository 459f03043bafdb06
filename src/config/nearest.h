/* SPDX-License-Identifier: ISC */
/*
 * nearest: which word may have been meant.
 */
#ifndef CGIBRIDGE_NEAREST_H
#define CGIBRIDGE_NEAREST_H

#include <stddef.h>

#include "base/attributes.h"

enum { NEAREST_MOST = 2 }; /* slips; with more it is another word */

/*
 * How many slips make `word`, of `len` bytes, of `name`: a character that is missing, one
 * too many, another one, or two that have changed places.
 */
unsigned nearest_slips(const char *word, size_t len, const char *name) MUST_CHECK;

#endif

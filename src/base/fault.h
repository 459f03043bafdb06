/* SPDX-License-Identifier: ISC */
/*
 * fault: why something failed, in words.
 *
 * For an error whose cause errno does not tell: the function that knows it words it, the
 * caller that decides puts it into a log line or an error message.
 */
#ifndef CGIBRIDGE_FAULT_H
#define CGIBRIDGE_FAULT_H

#include <stdarg.h>

#include "base/attributes.h"

struct fault {
	char text[512]; /* without a line end; a longer one is cut */
};

/* Words it; returns -1, so that a function can end with it. */
int fault_set(struct fault *fault, const char *fmt, ...) PRINTF_LIKE(2, 3);
int fault_vset(struct fault *fault, const char *fmt, va_list args) PRINTF_LIKE(2, 0);

#endif

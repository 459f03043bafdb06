/* SPDX-License-Identifier: ISC */
/*
 * fault: why something failed, in words.
 *
 * For errors that errno cannot describe: the function that knows the cause words it, and the
 * caller that handles the error puts it into a log line or an error message.
 */
#ifndef CGIBRIDGE_FAULT_H
#define CGIBRIDGE_FAULT_H

#include <stdarg.h>

#include "base/attributes.h"

struct fault {
	char text[512]; /* without a line end; longer texts are cut */
};

/* Sets the text; returns -1, so that a failing function can return its result. */
int fault_set(struct fault *fault, const char *fmt, ...) PRINTF_LIKE(2, 3);
int fault_vset(struct fault *fault, const char *fmt, va_list args) PRINTF_LIKE(2, 0);

#endif

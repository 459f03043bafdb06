/* SPDX-License-Identifier: ISC */
/*
 * fault: printf into a text of limited size.
 */
#include "base/fault.h"

#include <stdio.h>

int fault_vset(struct fault *fault, const char *fmt, va_list args)
{
	vsnprintf(fault->text, sizeof fault->text, fmt, args);
	return -1;
}

int fault_set(struct fault *fault, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)fault_vset(fault, fmt, args);
	va_end(args);
	return -1;
}

/* SPDX-License-Identifier: ISC */
/*
 * verdict: error messages in one form.
 */
#include "fcgiget/verdict.h"

#include <stdio.h>

enum exit_status complain(enum exit_status status, const char *what, const char *why)
{
	fprintf(stderr, "fcgiget: %s: %s\n", what, why);
	return status;
}

const char *verdict_status_name(unsigned status)
{
	static const char *const names[] = {
		"REQUEST_COMPLETE", "CANT_MPX_CONN", "OVERLOADED", "UNKNOWN_ROLE",
	};

	return status < sizeof names / sizeof *names ? names[status] : "unknown";
}

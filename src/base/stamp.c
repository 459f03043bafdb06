/* SPDX-License-Identifier: ISC */
/*
 * stamp: UTC, which needs no time zone file: a chroot may not have any.
 */
#include "base/stamp.h"

#include <stdio.h>
#include <time.h>

void stamp_format(int64_t now, char text[STAMP_SIZE])
{
	time_t seconds = (time_t)(now / 1000);
	struct tm parts;
	char upto[24] = "1970-01-01T00:00:00";

	if (gmtime_r(&seconds, &parts) != NULL)
		strftime(upto, sizeof upto, "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text, STAMP_SIZE, "%s.%03dZ", upto, (int)(now % 1000));
}

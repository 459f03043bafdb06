/* SPDX-License-Identifier: ISC */
/*
 * stamp: the time of day at the beginning of a line.
 */
#ifndef CGIBRIDGE_STAMP_H
#define CGIBRIDGE_STAMP_H

#include <stdint.h>

enum { STAMP_SIZE = 32 };

/* Writes `now` (clock_real_ms()) as in RFC 3339, in UTC: "2026-11-21T07:21:52.123Z". */
void stamp_format(int64_t now, char text[STAMP_SIZE]);

#endif

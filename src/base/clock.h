/* SPDX-License-Identifier: ISC */
/*
 * clock: the time as one number.
 *
 * The monotonic clocks start at the same point for all processes of a machine and only go
 * forward; the real-time clock counts from 1970 and can be set.
 */
#ifndef CGIBRIDGE_CLOCK_H
#define CGIBRIDGE_CLOCK_H

#include <stdint.h>

/* Monotonic, in milliseconds and in microseconds. */
int64_t clock_ms(void);
int64_t clock_us(void);

/* Real, in milliseconds since 1970. */
int64_t clock_real_ms(void);

#endif

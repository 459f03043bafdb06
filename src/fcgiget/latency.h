/* SPDX-License-Identifier: ISC */
/*
 * latency: statistics of any number of times, in bounded memory.
 *
 * A histogram: each doubling of the time has LATENCY_STEPS buckets.  A percentile is at most
 * 1/LATENCY_STEPS too high, and times below 2 * LATENCY_STEPS us are exact.
 */
#ifndef CGIBRIDGE_LATENCY_H
#define CGIBRIDGE_LATENCY_H

#include <stdint.h>

enum {
	LATENCY_STEPS = 128,
	LATENCY_DOUBLINGS = 36, /* up to 2^42 us, 50 days */
};

struct latency {
	uint64_t count;
	int64_t least, most, sum; /* us */
	uint64_t buckets[LATENCY_STEPS * (LATENCY_DOUBLINGS + 1)];
};

void latency_init(struct latency *l);

/* Counts a time of `us` microseconds, >= 0. */
void latency_add(struct latency *l, int64_t us);

/* The time in us that `share` of ten thousand times did not exceed; 0 if there are none. */
int64_t latency_percentile(const struct latency *l, unsigned share);

/* The mean in us; 0 if there are none. */
int64_t latency_mean(const struct latency *l);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * latency: a bucket is found by the highest bit and the seven after it.
 */
#include "fcgiget/latency.h"


enum { BUCKETS = LATENCY_STEPS * (LATENCY_DOUBLINGS + 1) };

void latency_init(struct latency *l)
{
	*l = (struct latency){.count = 0};
}

/* Times below 2 * LATENCY_STEPS have a bucket each; then one for 2, for 4, ... of them. */
static unsigned bucket_of(int64_t us)
{
	unsigned shift = 0;

	while (us >> shift >= 2 * LATENCY_STEPS)
		shift++;
	if (shift >= LATENCY_DOUBLINGS)
		return BUCKETS - 1;
	return LATENCY_STEPS * shift + (unsigned)(us >> shift);
}

/* The longest time that falls into bucket `i`. */
static int64_t bucket_end(unsigned i)
{
	unsigned shift = i < 2 * LATENCY_STEPS ? 0 : i / LATENCY_STEPS - 1;

	return (((int64_t)i - LATENCY_STEPS * (int64_t)shift + 1) << shift) - 1;
}

void latency_add(struct latency *l, int64_t us)
{
	if (l->count == 0 || us < l->least)
		l->least = us;
	if (us > l->most)
		l->most = us;
	l->count++;
	l->sum += us;
	l->buckets[bucket_of(us)]++;
}

int64_t latency_percentile(const struct latency *l, unsigned share)
{
	uint64_t rank = (l->count * share + 9999) / 10000;
	uint64_t seen = 0;

	for (unsigned i = 0; i < BUCKETS; i++) {
		seen += l->buckets[i];
		if (seen >= rank && seen > 0)
			return bucket_end(i) < l->most ? bucket_end(i) : l->most;
	}
	return 0;
}

int64_t latency_mean(const struct latency *l)
{
	return l->count == 0 ? 0 : l->sum / (int64_t)l->count;
}

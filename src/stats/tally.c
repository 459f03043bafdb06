/* SPDX-License-Identifier: ISC */
/*
 * tally: relaxed additions; no number orders other memory accesses.
 */
#include "stats/tally.h"


/* The first bucket's bound; each following one is twice as large. */
static const int64_t first_bounds[TALLY_TIMES] = {
    [TALLY_SPAWN] = 125,    /* us; up to 32 s */
    [TALLY_REQUEST] = 1000, /* up to 262 s */
};

static void add(tally_word *word, uint64_t n)
{
	atomic_fetch_add_explicit(word, n, memory_order_relaxed);
}

static uint64_t get(const tally_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

void tally_add(struct tally *tally, enum tally_event event, uint64_t n)
{
	add(&tally->events[event], n);
}

uint64_t tally_count(const struct tally *tally, enum tally_event event)
{
	return get(&tally->events[event]);
}

void tally_move(struct tally *tally, enum tally_gauge gauge, int change)
{
	atomic_fetch_add_explicit(&tally->gauges[gauge], change, memory_order_relaxed);
}

int64_t tally_bound(enum tally_time time, int i)
{
	return first_bounds[time] << i;
}

void tally_time(struct tally *tally, enum tally_time time, int64_t us)
{
	int i = 0;

	if (us < 0)
		us = 0;
	while (i < TALLY_BUCKETS - 1 && us > tally_bound(time, i))
		i++;
	add(&tally->times[time].buckets[i], 1);
	add(&tally->times[time].sum, (uint64_t)us);
}

void tally_bury(struct tally *tally)
{
	for (int i = 0; i < TALLY_GAUGES; i++)
		atomic_store(&tally->gauges[i], 0);
}

void tally_grow(struct tally *tally, const struct tally_sum *now, const struct tally_sum *before)
{
	for (int i = 0; i < TALLY_EVENTS; i++)
		add(&tally->events[i], now->events[i] - before->events[i]);
	for (int t = 0; t < TALLY_TIMES; t++) {
		for (int i = 0; i < TALLY_BUCKETS; i++)
			add(&tally->times[t].buckets[i],
			    now->times[t].buckets[i] - before->times[t].buckets[i]);
		add(&tally->times[t].sum, now->times[t].sum - before->times[t].sum);
	}
}

/* Whatever was written there, the sums of a page stay in range: a histogram never goes down. */
static void add_up(uint64_t *sum, const tally_word *word)
{
	uint64_t n = get(word);

	*sum = n < TALLY_MAX - *sum ? *sum + n : TALLY_MAX;
}

void tally_read(const struct tally *tally, struct tally_sum *sum)
{
	for (int i = 0; i < TALLY_EVENTS; i++)
		add_up(&sum->events[i], &tally->events[i]);
	for (int i = 0; i < TALLY_GAUGES; i++) {
		int gauge = atomic_load(&tally->gauges[i]);

		sum->gauges[i] += gauge < 0 ? 0 : gauge; /* whatever was written there */
	}
	for (int t = 0; t < TALLY_TIMES; t++) {
		for (int i = 0; i < TALLY_BUCKETS; i++)
			add_up(&sum->times[t].buckets[i], &tally->times[t].buckets[i]);
		add_up(&sum->times[t].sum, &tally->times[t].sum);
	}
}

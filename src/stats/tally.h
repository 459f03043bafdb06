/* SPDX-License-Identifier: ISC */
/*
 * tally: the counts of one worker: events, gauges and durations.
 *
 * It lives in memory that processes share.  Only one process adds to it, any may read it; a
 * number that is read while it changes is the old or the new one.  It outlives its worker, and
 * the successor continues with it.
 */
#ifndef CGIBRIDGE_TALLY_H
#define CGIBRIDGE_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/attributes.h"

/* Where the processor lacks atomic 64-bit operations, the numbers wrap at 32 bits. */
#if ATOMIC_LLONG_LOCK_FREE == 2
typedef atomic_ullong tally_word;
#else
typedef atomic_ulong tally_word;
#endif

/* Events: these only grow. */
enum tally_event {
	TALLY_ACCEPTED,       /* connections */
	TALLY_REQUESTS,       /* begun */
	TALLY_OTHER,          /* responses with a status in none of the next four */
	TALLY_2XX,
	TALLY_3XX,
	TALLY_4XX,
	TALLY_5XX,
	TALLY_REFUSED,        /* requests that found no room for a script */
	TALLY_TIMEOUTS,       /* scripts stopped by --timeout or --idle-timeout */
	TALLY_KILLS,          /* scripts that TERM did not end */
	TALLY_LOST,           /* requests whose client aborted them, or went away */
	TALLY_SPAWNED,        /* scripts started */
	TALLY_SPAWN_FAILURES,
	TALLY_PRELOADED,      /* scripts started by a preloader, which are in TALLY_SPAWNED, too */
	TALLY_BYPASSES,       /* scripts for a preloader that were started by exec */
	TALLY_PRELOADERS,     /* preloaders started in place of one that had ended */
	TALLY_FAILED,         /* scripts with a bad exit, or without a CGI response */
	TALLY_BYTES_IN,       /* request bodies; like the next, counted when the request ends */
	TALLY_BYTES_OUT,      /* responses */
	TALLY_STATUS_PAGES,   /* pages of --status-path and --ping-path */
	TALLY_EVENTS,
};

/* How many there are at the moment. */
enum tally_gauge {
	TALLY_BUSY,   /* connections with an active request */
	TALLY_ACTIVE, /* requests that have begun and not ended */
	TALLY_GAUGES,
};

/* How long things took. */
enum tally_time {
	TALLY_SPAWN,   /* to start a script, up to its exec */
	TALLY_REQUEST, /* a request, from its beginning to its end */
	TALLY_TIMES,
};

/*
 * Bucket i counts times above the bound of the one before, up to tally_bound(time, i); the
 * last one counts all that are longer.
 */
enum { TALLY_BUCKETS = 20 };

struct tally_histogram {
	tally_word buckets[TALLY_BUCKETS];
	tally_word sum; /* us */
};

struct tally {
	tally_word events[TALLY_EVENTS];
	atomic_int gauges[TALLY_GAUGES];
	struct tally_histogram times[TALLY_TIMES];
};

/* No correct number is larger; a double, as programs that read JSON use it, is exact up to here. */
#define TALLY_MAX (UINT64_C(1) << 53)

/* The same as plain numbers, of one tally or the sum of several; none exceeds TALLY_MAX. */
struct tally_sum {
	uint64_t events[TALLY_EVENTS];
	int64_t gauges[TALLY_GAUGES];
	struct {
		uint64_t buckets[TALLY_BUCKETS];
		uint64_t sum; /* us */
	} times[TALLY_TIMES];
};

/* Counts `n` events. */
void tally_add(struct tally *tally, enum tally_event event, uint64_t n);

/* How many events of a kind there were. */
uint64_t tally_count(const struct tally *tally, enum tally_event event);

/* Adds `change`, which may be negative, to a gauge. */
void tally_move(struct tally *tally, enum tally_gauge gauge, int change);

/* Counts something that took `us` microseconds. */
void tally_time(struct tally *tally, enum tally_time time, int64_t us);

/* The upper bound of bucket `i` in microseconds; i < TALLY_BUCKETS - 1. */
int64_t tally_bound(enum tally_time time, int i);

/* After the death of the worker: resets its gauges; events and times stay. */
void tally_bury(struct tally *tally);

/* Adds to `tally` the growth of events and times from `before` to `now`. */
void tally_grow(struct tally *tally, const struct tally_sum *now, const struct tally_sum *before);

/* Adds the numbers in `tally` to `sum`, up to TALLY_MAX: a worker may write anything there. */
void tally_read(const struct tally *tally, struct tally_sum *sum);

#endif

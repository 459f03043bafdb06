/* SPDX-License-Identifier: ISC */
/*
 * scoreboard_private: the memory, for scoreboard.c and for scoreboard_info.c, which the former
 * calls.  No other file includes it.
 */
#ifndef CGIBRIDGE_SCOREBOARD_PRIVATE_H
#define CGIBRIDGE_SCOREBOARD_PRIVATE_H

#include "stats/scoreboard.h"

/* No correct count of a worker is larger, and the sum over all workers fits an int. */
enum { COUNT_MAX = 1 << 20 };

/*
 * One script that may run; and a process group whose script has ended and which is to be
 * killed after the kill delay.  That script need not have run in this slot.
 */
struct shared_slot {
	atomic_int owner;       /* 0: free; else the worker's number + 1 */
	atomic_int pid;         /* 0 until the script's process has set it */
	atomic_int group_owner; /* as owner */
	atomic_int group;
};

/* Written by a worker about itself. */
struct shared_worker {
	atomic_int waiting;     /* requests */
	atomic_int connections;
	atomic_llong beat;      /* ms of the monotonic clock */
	atomic_int pid;         /* 0: it does not run */
	atomic_int starts;
	atomic_llong started;   /* ms of the monotonic clock */
	struct tally tally;
	atomic_int preloaders[SCOREBOARD_PRELOADERS]; /* pids; 0: none */
};

enum { INFO_WORDS = (sizeof(struct script_info) + sizeof(long) - 1) / sizeof(long) };

/* An info in one piece, and word by word. */
union info_words {
	struct script_info info;
	unsigned long words[INFO_WORDS];
};

/*
 * An info as it is shared, a seqlock.  The owner of the slot makes `seq` odd, writes, and
 * makes it even.  A reader that finds the same even number before and after has read one whole
 * info.
 */
struct shared_info {
	atomic_uint seq;
	atomic_int state; /* enum scoreboard_state */
	atomic_ulong words[INFO_WORDS];
};

struct shared {
	atomic_int respawns;       /* inherited */
	atomic_llong since, made;  /* ms, since 1970 and monotonic */
	struct tally inherited;
	struct shared_slot slots[];
};

struct scoreboard {
	struct shared *shared;
	struct shared_worker *per_worker; /* after the slots */
	struct shared_info *infos;        /* one per slot, after them */
	int fd; /* of the shared memory; -1: none */
	size_t size;
	int workers, scripts;
	int next; /* where this process looks for a free slot first */
	int wake[2]; /* sockets: reading and writing end */
	int64_t since, made; /* not read from the memory, where a worker may write anything */
	struct tally_sum passed; /* passed on to an heir, so far */
	int passed_respawns;
};

/* ---- scoreboard_info.c ---------------------------------------------------------- */

/*
 * Read from the memory, whatever was written there: a count from 0 to COUNT_MAX; a time in ms
 * that can be used in sums and differences.
 */
int scoreboard_count(const atomic_int *number);
int64_t scoreboard_time(int64_t value);

#endif

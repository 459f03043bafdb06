/* SPDX-License-Identifier: ISC */
/*
 * scoreboard_private: the memory as scoreboard.c and scoreboard_shown.c see it.  Nobody else
 * includes it.
 */
#ifndef CGIBRIDGE_SCOREBOARD_PRIVATE_H
#define CGIBRIDGE_SCOREBOARD_PRIVATE_H

#include "stats/scoreboard.h"

/* One script that may run. */
struct cell {
	atomic_int owner; /* 0: free; else the worker's number + 1 */
	atomic_int pid;   /* 0 until the script's process has set it */
};

/* What a worker says of itself. */
struct seat {
	atomic_int waiting;     /* requests */
	atomic_int connections;
	atomic_llong beat;      /* ms of the monotonic clock */
	atomic_int pid;         /* 0: nobody sits here */
	atomic_int starts;
	atomic_llong started;   /* ms of the monotonic clock */
	struct tally tally;
};

enum { CARD_WORDS = (sizeof(struct scoreboard_card) + sizeof(long) - 1) / sizeof(long) };

/* A card in one piece, and word by word. */
union words {
	struct scoreboard_card card;
	unsigned long words[CARD_WORDS];
};

/*
 * A card as it is shared.  The owner of the cell makes `version` odd, writes, and makes
 * it even.  Who reads between two equal even versions has read one card.
 */
struct shown {
	atomic_uint version;
	atomic_int state; /* enum scoreboard_state */
	atomic_ulong words[CARD_WORDS];
};

struct shared {
	atomic_int running;
	atomic_int respawns;       /* inherited */
	atomic_llong since, made;  /* ms, since 1970 and monotonic */
	struct tally inherited;
	struct cell cells[];
};

struct scoreboard {
	struct shared *shared;
	struct seat *seats;  /* one a worker, behind the cells */
	struct shown *shown; /* one a cell, behind the seats */
	int fd; /* of the shared memory; -1: it has none */
	size_t size;
	int workers, scripts;
	int next; /* where this process looks for a free cell first */
	int wake[2];
	struct tally_sum passed; /* on to an heir */
	int passed_respawns;
};

#endif

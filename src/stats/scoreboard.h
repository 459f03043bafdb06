/* SPDX-License-Identifier: ISC */
/*
 * scoreboard: the memory that the supervisor and its workers share.
 *
 * One slot for each script that may run at once.  A worker claims a slot before it starts a
 * script and gives it back after the script's exit, so the number of slots *is* the limit,
 * exact over all workers, and the slots of a dead worker name the scripts that it leaves
 * behind.  Each worker has an entry with its number of waiting requests and connections, and
 * its tally; a socket wakes one waiter for each slot given back while there are any.  Each
 * slot has an info that describes its script; reading one never waits and never returns half
 * of it.
 *
 * Everything shared is atomic and there are no locks, so a process may die at any point.
 * Whatever a worker writes there, these functions return values in range, and kill only
 * processes in a dead worker's session.
 */
#ifndef CGIBRIDGE_SCOREBOARD_H
#define CGIBRIDGE_SCOREBOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "stats/tally.h"

struct scoreboard;

/* What another program needs to use a board after an exec, all numbers. */
struct scoreboard_share {
	int fd; /* -1: it cannot be shared */
	int wake[2];
	int workers, scripts;
	unsigned layout; /* of the memory: another version may have a different one */
};

/* A board for `workers` workers and `scripts` slots.  NULL with errno. */
struct scoreboard *scoreboard_new(int workers, int scripts) MUST_CHECK;

/* How to share `board`, which keeps its descriptors. */
struct scoreboard_share scoreboard_share(const struct scoreboard *board);

/*
 * A board made from `share`, whose descriptors it takes over.  NULL with errno: EPROTO if its
 * memory has another layout.  The descriptors are closed then, too.
 */
struct scoreboard *scoreboard_adopt(const struct scoreboard_share *share) MUST_CHECK;

/*
 * Adds the counts of all workers of `old` to `board`, and takes over when counting began.
 * Called again, it adds what has been counted on `old` meanwhile.
 */
void scoreboard_inherit(struct scoreboard *board, struct scoreboard *old);

/* Frees this process's view; the shared memory goes with the last one.  Nulls *board. */
void scoreboard_free(struct scoreboard **board);

/* Claims a free slot for `worker` (from 0); returns its number, or -1 when all are taken. */
int scoreboard_claim(struct scoreboard *board, int worker) MUST_CHECK;

/* Where the pid of the script in `slot` is kept: written by the script's process itself. */
atomic_int *scoreboard_pid(struct scoreboard *board, int slot);

/* Gives a slot back, and wakes a waiter, if there are any. */
void scoreboard_release(struct scoreboard *board, int slot);

/* The number of slots in use. */
int scoreboard_running(const struct scoreboard *board);

/*
 * Notes that process group `group`, whose script has ended, must be killed if `worker` dies
 * before doing so.  Returns a number for scoreboard_forget_group(), or -1 if there is no room.
 */
int scoreboard_set_group(struct scoreboard *board, int worker, pid_t group) MUST_CHECK;
void scoreboard_forget_group(struct scoreboard *board, int at);

enum { SCOREBOARD_PRELOADERS = 16 }; /* of a worker */

/*
 * Where preloader number `at` of `worker` is to write its pid, so that it and the scripts that
 * it has just started are killed if the worker dies; 0 there: none.
 */
atomic_int *scoreboard_preloader(struct scoreboard *board, int worker, int at);

/* Counts one more (+1) or one fewer (-1) waiting request of `worker`. */
void scoreboard_wait(struct scoreboard *board, int worker, int change);

/* How many requests wait, in all workers together. */
int scoreboard_waiting(const struct scoreboard *board);

/* Sets the number of connections of `worker`. */
void scoreboard_connected(struct scoreboard *board, int worker, int count);

/*
 * Records that `worker` was alive at `now` (ms of the monotonic clock); scoreboard_last_beat()
 * returns that.
 */
void scoreboard_beat(struct scoreboard *board, int worker, int64_t now);
int64_t scoreboard_last_beat(const struct scoreboard *board, int worker);

/* The smallest number of connections of any worker that runs. */
int scoreboard_fewest(const struct scoreboard *board);

/* The descriptor that becomes readable when a waiter should try again. */
int scoreboard_wake_fd(const struct scoreboard *board);

/*
 * scoreboard_clear_wake() takes one wake-up, if there is one; scoreboard_pass_wake() wakes a
 * waiter, if there are any.
 */
void scoreboard_clear_wake(struct scoreboard *board);
void scoreboard_pass_wake(struct scoreboard *board);

/* ---- the status -------------------------------------------------------- */

enum scoreboard_state {
	SCOREBOARD_NONE,      /* nothing to show */
	SCOREBOARD_STARTING,
	SCOREBOARD_RUNNING,
	SCOREBOARD_ANSWERING, /* its response has begun */
	SCOREBOARD_STOPPING,  /* it was sent TERM */
	SCOREBOARD_LEFT,      /* its request has ended, but it runs on */
};

/* A script as the status shows it.  Texts that are too long lose their beginning. */
struct script_info {
	char script[192]; /* its path */
	char client[48];  /* REMOTE_ADDR; "" if the web server did not send it */
	char peer[64];    /* the other end of the connection */
	int64_t started;  /* loop_clock() */
	unsigned request; /* its id on the connection */
	unsigned preloaded; /* not 0: a preloader starts it */
};

struct scoreboard_script {
	struct script_info info;
	enum scoreboard_state state;
	int worker;
	pid_t pid; /* 0: not started yet */
};

struct scoreboard_worker {
	pid_t pid;       /* 0: not running */
	int64_t started; /* loop_clock() */
	int starts;      /* 1 for the first one */
	int waiting;     /* requests */
	int connections;
};

/* Sets the info of a slot of ours; its script is STARTING. */
void scoreboard_describe(struct scoreboard *board, int slot, const struct script_info *info);

/* Copies `text` to `to`, of `size` bytes; if it is too long, "..." and its end. */
void scoreboard_cut(char *to, size_t size, const char *text);

/* Sets the state of the script in a slot of ours. */
void scoreboard_set_state(struct scoreboard *board, int slot, enum scoreboard_state state);

/*
 * Describes the script in `slot`; false if there is nothing to show, or it is being written
 * now.
 */
bool scoreboard_script(const struct scoreboard *board, int slot, struct scoreboard_script *script);

/*
 * Records that this process is `worker` from loop_clock() `now` on; it cannot share the board
 * then.
 */
void scoreboard_enter(struct scoreboard *board, int worker, int64_t now);

void scoreboard_worker(const struct scoreboard *board, int worker, struct scoreboard_worker *info);

/* The tally of `worker`; the sum that was inherited. */
struct tally *scoreboard_tally(const struct scoreboard *board, int worker);
const struct tally *scoreboard_inherited(const struct scoreboard *board);

/* How many workers were started in place of one that had died, inherited counts included. */
int scoreboard_respawns(const struct scoreboard *board);

/* How many workers and slots there are. */
int scoreboard_workers(const struct scoreboard *board);
int scoreboard_slots(const struct scoreboard *board);

/* When counting began, in ms since 1970 and in ms of the monotonic clock. */
int64_t scoreboard_since(const struct scoreboard *board);
int64_t scoreboard_made(const struct scoreboard *board);

/*
 * After the death of `worker`, which led `session`: kills the process groups of its scripts
 * that are in that session, frees its slots, forgets its waiters and wakes a waiter of another
 * worker; its counts stay.  Returns how many scripts it had.
 */
int scoreboard_bury(struct scoreboard *board, int worker, pid_t session);

#endif

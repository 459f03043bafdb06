/* SPDX-License-Identifier: ISC */
/*
 * scoreboard: the memory that the supervisor and its workers share.
 *
 * One slot for each script that may run at once.  A worker claims a slot before it
 * starts a script and gives it back after the script's exit, so the number of slots
 * *is* the limit, exact over all workers, and the slots of a dead worker name the
 * scripts that it leaves behind.  Each worker has an
 * entry that says how many requests wait there and how many connections it has, and keeps
 * its tally; a socket wakes one waiter for each slot given back while there are any.  With
 * each slot goes an info that says what runs there; reading one never waits and never
 * gets half of it.
 *
 * Everything shared is atomic and no lock is held, so a process may die anywhere.  Whatever
 * a worker has written there, what these functions return is in range, and no process is
 * killed that is not in a dead worker's session.
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

/* What another program image in the same process needs to use a board, all numbers. */
struct scoreboard_share {
	int fd; /* -1: it cannot be shared */
	int wake[2];
	int workers, scripts;
	unsigned layout; /* of the memory: another version of us may see it otherwise */
};

/* For `workers` workers and `scripts` slots.  NULL with errno. */
struct scoreboard *scoreboard_new(int workers, int scripts) MUST_CHECK;

/* How to share `board`; the descriptors stay its own. */
struct scoreboard_share scoreboard_share(const struct scoreboard *board);

/*
 * A board from what was shared, whose descriptors it takes over.  NULL with errno, and
 * the descriptors closed: EPROTO when its memory is laid out otherwise.
 */
struct scoreboard *scoreboard_adopt(const struct scoreboard_share *share) MUST_CHECK;

/*
 * Adds to `board` what `old` has counted, all workers together, and since when.  Said again,
 * it adds what workers have counted on `old` meanwhile.
 */
void scoreboard_inherit(struct scoreboard *board, struct scoreboard *old);

/* Gives up this process' view; the shared memory goes with the last one.  Nulls *board. */
void scoreboard_free(struct scoreboard **board);

/* Claims a free slot for `worker` (0...); its number, or -1 when all are taken. */
int scoreboard_claim(struct scoreboard *board, int worker) MUST_CHECK;

/* Where the pid of the script in `slot` is kept: written by the script's process itself. */
atomic_int *scoreboard_pid(struct scoreboard *board, int slot);

/* Gives a slot back, and wakes a waiter. */
void scoreboard_release(struct scoreboard *board, int slot);

/* The number of slots in use. */
int scoreboard_running(const struct scoreboard *board);

/*
 * Notes that process group `group`, whose script has ended, is to be killed if `worker` dies
 * before it has done so.  Where, for scoreboard_forget_group(), or -1: there is no room left.
 */
int scoreboard_note_group(struct scoreboard *board, int worker, pid_t group) MUST_CHECK;
void scoreboard_forget_group(struct scoreboard *board, int at);

/* Says that `worker` has one more (+1) or one fewer (-1) waiting request. */
void scoreboard_wait(struct scoreboard *board, int worker, int change);

/* How many requests wait in all workers. */
int scoreboard_waiting(const struct scoreboard *board);

/* Says that `worker` has `count` connections now. */
void scoreboard_connected(struct scoreboard *board, int worker, int count);

/* Says that `worker` was alive at `now` (ms of the monotonic clock); when it said so last. */
void scoreboard_beat(struct scoreboard *board, int worker, int64_t now);
int64_t scoreboard_last_beat(const struct scoreboard *board, int worker);

/* The number of connections of the worker that has the fewest, of those that run. */
int scoreboard_fewest(const struct scoreboard *board);

/* The descriptor that is readable when a waiter should try again. */
int scoreboard_wake_fd(const struct scoreboard *board);

/* Takes one wake-up, if there is one; passes one on to another waiter. */
void scoreboard_clear_wake(struct scoreboard *board);
void scoreboard_pass_wake(struct scoreboard *board);

/* ---- what is shown ----------------------------------------------------- */

enum scoreboard_state {
	SCOREBOARD_NONE,      /* nothing to show */
	SCOREBOARD_STARTING,
	SCOREBOARD_RUNNING,
	SCOREBOARD_ANSWERING, /* its response has begun */
	SCOREBOARD_STOPPING,  /* it has got its TERM */
	SCOREBOARD_LEFT,      /* its request is over, it goes on */
};

/* What is said of a script.  Texts that are too long lose their beginning. */
struct script_info {
	char script[192]; /* its path */
	char client[48];  /* REMOTE_ADDR; "" if the web server did not say */
	char peer[64];    /* the other end of the connection */
	int64_t started;  /* loop_now() */
	unsigned request; /* its id on the connection */
};

struct scoreboard_script {
	struct script_info info;
	enum scoreboard_state state;
	int worker;
	pid_t pid; /* 0: has not started yet */
};

struct scoreboard_worker {
	pid_t pid;       /* 0: does not run */
	int64_t started; /* loop_now() */
	int starts;      /* 1 for the first one */
	int waiting;     /* requests */
	int connections;
};

/* Puts `info` on a slot of ours; its script is STARTING. */
void scoreboard_describe(struct scoreboard *board, int slot, const struct script_info *info);

/* Copies `text` to `to`, of `size` bytes: its end, behind "...", if it is too long. */
void scoreboard_cut(char *to, size_t size, const char *text);

/* Says what the script in a slot of ours does now. */
void scoreboard_set_state(struct scoreboard *board, int slot, enum scoreboard_state state);

/* What runs in `slot`; false if there is nothing to show. */
bool scoreboard_script(const struct scoreboard *board, int slot, struct scoreboard_script *script);

/* Says that this process is now worker `worker`, at loop_now() `now`; it cannot share the board. */
void scoreboard_enter(struct scoreboard *board, int worker, int64_t now);

void scoreboard_worker(const struct scoreboard *board, int worker, struct scoreboard_worker *info);

/* What `worker` counts; what was inherited. */
struct tally *scoreboard_tally(const struct scoreboard *board, int worker);
const struct tally *scoreboard_inherited(const struct scoreboard *board);

/* How many workers were started in place of one that had died, the inherited ones too. */
int scoreboard_respawns(const struct scoreboard *board);

/* How many workers and slots there are. */
int scoreboard_workers(const struct scoreboard *board);
int scoreboard_slots(const struct scoreboard *board);

/* When counting began, in milliseconds since 1970, and in those of loop_now(). */
int64_t scoreboard_since(const struct scoreboard *board);
int64_t scoreboard_made(const struct scoreboard *board);

/*
 * After the death of `worker`, which led `session`: kills the process groups of its scripts,
 * as far as they are in that session, frees its slots, forgets its waiters, and wakes another
 * in its place; what it has counted stays.  Returns how many scripts that were.
 */
int scoreboard_bury(struct scoreboard *board, int worker, pid_t session);

#endif

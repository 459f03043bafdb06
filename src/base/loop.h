/* SPDX-License-Identifier: ISC */
/*
 * loop: the event loop: descriptors, timers, child exits, signals, and tasks that run at the
 * end of a turn.
 *
 * Every handle is a struct embedded in its owner; the callback gets the handle and finds the
 * owner with CONTAINER_OF().  Only the loop itself and its backend allocate memory.
 *
 * One turn:  wait -> descriptors -> children -> timers -> tasks.  A timer fires only after a
 * wait that has seen every event up to the time it was due: a byte that arrived in time is
 * handled before the timer that waits for it.  An object that other callbacks of the same turn
 * may still use is freed in a task.
 */
#ifndef CGIBRIDGE_LOOP_H
#define CGIBRIDGE_LOOP_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"

struct loop;

/* A new loop; NULL with errno.  It handles no signals until loop_signals(). */
struct loop *loop_new(void) MUST_CHECK;

/* Closes the loop's own descriptors, not those it watches.  Nulls *loop. */
void loop_free(struct loop **loop);

/* Takes turns until loop_stop(); returns 0, or -1 with errno if waiting failed. */
int loop_run(struct loop *loop) MUST_CHECK;
void loop_stop(struct loop *loop);

/*
 * Takes a turn, which waits at most `max_ms` (-1: no bound) when nothing is due.  Returns as
 * loop_run().
 */
int loop_turn(struct loop *loop, int max_ms) MUST_CHECK;

/*
 * The loop's own time, in ms: monotonic, but it stands still while the process is paused
 * (SIGSTOP, a frozen container), so that nothing becomes overdue only because nothing could
 * run.  It is updated in each turn, and by loop_refresh(), for use after a call that took
 * long.
 */
int64_t loop_now(const struct loop *loop);
void loop_refresh(struct loop *loop);

/* CLOCK_MONOTONIC in ms, from the same reading as loop_now(); comparable between processes. */
int64_t loop_clock(const struct loop *loop);

/* ---- descriptors ------------------------------------------------------- */

enum {
	LOOP_IN = 1,  /* readable, or end of file */
	LOOP_OUT = 2, /* writable */
	LOOP_HUP = 4, /* gone: both directions shut, or an error */
	LOOP_SHUT = 8, /* the peer has shut its side, unread bytes or not (where poll can tell) */
};

struct loop_watch;
typedef void loop_ready_fn(struct loop_watch *watch, unsigned events);

struct loop_watch {
	int fd;          /* -1 while not watched */
	unsigned wanted; /* LOOP_* */
	size_t slot;     /* for the backend */
	loop_ready_fn *ready;
};

/* Initialises `watch`, which does not watch anything yet. */
void loop_watch_init(struct loop_watch *watch, loop_ready_fn *ready);

/*
 * Starts watching `fd` for `events` (level-triggered; 0 to pause).  A hang-up is reported
 * whenever any event is wanted, along with LOOP_IN or LOOP_OUT if wanted.  loop_watch_shared()
 * is for a listening socket that other processes watch, too: only one is woken, if the system
 * can do that.  0, or -1 with errno (ENOMEM, ENOSPC).
 */
int loop_watch(struct loop *loop, struct loop_watch *watch, int fd, unsigned events) MUST_CHECK;
int loop_watch_shared(struct loop *loop, struct loop_watch *watch, int fd) MUST_CHECK;

/*
 * Changes the events that a descriptor is watched for, if it is watched.  Costs nothing if
 * they are the same.
 */
void loop_want(struct loop *loop, struct loop_watch *watch, unsigned events);

/* Stops watching; the descriptor stays open. */
void loop_unwatch(struct loop *loop, struct loop_watch *watch);

/* Stops watching and closes the descriptor.  Does nothing if none is watched. */
void loop_close(struct loop *loop, struct loop_watch *watch);

/* ---- timers ------------------------------------------------------------ */

struct loop_timer;
typedef void loop_fire_fn(struct loop_timer *timer);

struct loop_timer {
	int64_t when; /* in loop_now() time; -1 while not set */
	loop_fire_fn *fire;
	struct loop_timer *child, *next, *prev; /* pairing heap */
};

void loop_timer_init(struct loop_timer *timer, loop_fire_fn *fire);

/*
 * Sets `timer` to fire once, in `ms` milliseconds (a negative time is 0, and none is too
 * long); a timer that is already set is moved.  A timer set for now by one that fires waits
 * for the next turn.
 */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t ms);
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);
bool loop_timer_active(const struct loop_timer *timer);

/* ---- tasks ------------------------------------------------------------- */

struct loop_task;
typedef void loop_task_fn(struct loop_task *task);

struct loop_task {
	loop_task_fn *run;
	struct loop_task *next, *prev; /* NULL while not posted */
};

void loop_task_init(struct loop_task *task, loop_task_fn *run);

/*
 * Runs `task` once, at the end of this turn; a task posted by a task runs in the next turn,
 * which then does not wait.  Posting a posted task changes nothing.
 */
void loop_post(struct loop *loop, struct loop_task *task);
void loop_unpost(struct loop_task *task);

/* ---- children ---------------------------------------------------------- */

struct loop_child;
/* `status` is waitpid(2)'s; the child has been reaped and is no longer registered. */
typedef void loop_exit_fn(struct loop_child *child, int status);

struct loop_child {
	pid_t pid;
	bool quiet; /* see loop_child_add_quiet() */
	loop_exit_fn *exited;
	struct loop_child *next;
};

/* Has the exit of child process `pid` reported to `exited`.  Needs loop_signals(). */
void loop_child_add(struct loop *loop, struct loop_child *child, pid_t pid, loop_exit_fn *exited);
void loop_child_remove(struct loop *loop, struct loop_child *child);

/*
 * The same for a child that runs for long, so that the exit of another one costs no further
 * call to look for this one's.  Two exits at once may be seen as one: whoever learns in
 * another way that it has ended calls loop_reap().
 */
void loop_child_add_quiet(struct loop *loop, struct loop_child *child, pid_t pid,
    loop_exit_fn *exited);

/* Looks for exits in this turn or the next, as after SIGCHLD. */
void loop_reap(struct loop *loop);

/* ---- signals ----------------------------------------------------------- */

typedef void loop_signal_fn(void *context, int signo);

/*
 * Takes over SIGCHLD, for children, and the signals in the 0-terminated list `signals`, which
 * are reported to `arrived`.  0, or -1 with errno.
 */
int loop_signals(struct loop *loop, const int *signals, loop_signal_fn *arrived,
    void *context) MUST_CHECK;

#endif

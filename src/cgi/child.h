/* SPDX-License-Identifier: ISC */
/*
 * child: one running script, from its start to the end of its process group.
 *
 * Each script runs in a process group of its own, in the worker's session: a signal to the
 * negative pid reaches it and the processes it started.  If it has left that group, it is
 * signalled as well.  A child holds a slot of the scoreboard until its process has been reaped,
 * or until KILL has had no effect (it runs as another user, or the kernel does not let it end):
 * the log then says that it is left running.  It may outlive its request: its owner passes it
 * on with child_leave() (left.c).
 */
#ifndef CGIBRIDGE_CHILD_H
#define CGIBRIDGE_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "base/loop.h"
#include "stats/scoreboard.h"
#include "base/sys.h"

struct child;

/* The scripts of one worker. */
struct children {
	struct loop *loop;
	struct scoreboard *board;
	int64_t kill_delay; /* ms between TERM and KILL */
	int null_fd;        /* /dev/null, for streams without a pipe */
	const struct sys_limit *limits; /* for every script; may be NULL */
	size_t limit_count;
	int worker;         /* the worker's number in the scoreboard */
	struct child *first;
	size_t count;       /* scripts that are waited for */
	void (*emptied)(struct children *children); /* `count` is 0 again; may be NULL */
};

typedef void child_exit_fn(void *context, int status);

/* The program to run.  Everything is borrowed for the call. */
struct child_plan {
	char *const *argv;   /* argv[0]: the program, an absolute path */
	const char *dir;     /* working directory; NULL to stay */
	char *const *envp;
	int slot;            /* of the scoreboard, claimed */
	int wants_stdin;     /* a pipe, else /dev/null */
	int wants_stderr;    /* a pipe, else /dev/null */
};

/* The worker's ends of the script's pipes, non-blocking; -1 where it has /dev/null. */
struct child_pipes {
	int in, out, err;
};

/* `loop` and `board` are borrowed.  0, or -1 with errno. */
int children_init(struct children *children, struct loop *loop, struct scoreboard *board,
    int64_t kill_delay) MUST_CHECK;

/* Kills every script at once and frees everything; no callback is called. */
void children_fini(struct children *children);

/* Sends TERM to every script, and KILL after the delay. */
void children_terminate(struct children *children);

/*
 * Starts a script.  `exited` is called once: with waitpid(2)'s status when it has been reaped,
 * or as if KILL had ended it when it is left running after KILL.  NULL with `fault` filled if
 * it could not be started: no pipe is open then, and the slot is still the caller's.
 */
struct child *child_spawn(struct children *children, const struct child_plan *plan,
    struct child_pipes *pipes, struct sys_fault *fault, child_exit_fn *exited,
    void *context) MUST_CHECK;

pid_t child_pid(const struct child *child);

/* Sends TERM to the script and its process group, and KILL after the delay if any are left. */
void child_terminate(struct child *child);

/* Whether it has been sent TERM; valid also inside its exit callback. */
bool child_is_stopped(const struct child *child);

/* Its response has begun, which the scoreboard shows.  Does nothing if `child` is NULL. */
void child_answers(struct child *child);

/* Its request is over and it goes on: its exit is now reported to a new owner. */
void child_leave(struct child *child, child_exit_fn *exited, void *context);

/* The same without an owner: its exit is not reported.  Sets *child, which may be NULL, to NULL. */
void child_drop(struct child **child);

/* The script's exit status as FastCGI's appStatus: 128 + signal after a signal. */
unsigned child_app_status(int status);

#endif

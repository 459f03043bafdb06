/* SPDX-License-Identifier: ISC */
/*
 * child: one running script, from its start to the end of its process group.
 *
 * Each script runs in a process group of its own, in the worker's session: so a
 * signal to the negative pid reaches it and what it has started; it gets one of its own
 * where it has left that group.  A child holds a slot of the scoreboard until its process
 * has been reaped, or does not end although it has got its KILL (it has become another
 * user, or the kernel does not let it go): the log then says that it is left running.  It
 * may outlive its request: its owner hands it on with child_leave() (left.c).
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
	int null_fd;        /* /dev/null, for what a script is given no pipe for */
	const struct sys_limit *limits; /* for every script; may be NULL */
	size_t limit_count;
	int worker;         /* whose they are: its number in the scoreboard */
	struct child *first;
	size_t count;       /* of those that are waited for */
	void (*emptied)(struct children *children); /* the last one has gone; may be NULL */
};

typedef void child_exit_fn(void *context, int status);

/* What to run.  All is borrowed for the call. */
struct child_plan {
	char *const *argv;   /* argv[0]: the program, an absolute path */
	const char *dir;     /* working directory; NULL to stay */
	char *const *envp;
	int slot;            /* of the scoreboard, claimed */
	int wants_stdin;     /* a pipe, else /dev/null */
	int wants_stderr;    /* a pipe, else /dev/null */
};

/* Our ends of the script's pipes: non-blocking; -1 where it has /dev/null. */
struct child_pipes {
	int in, out, err;
};

/* `loop` and `board` are borrowed.  0, or -1 with errno. */
int children_init(struct children *children, struct loop *loop, struct scoreboard *board,
    int64_t kill_delay) MUST_CHECK;

/* Kills every script at once and frees all; nobody is called back. */
void children_fini(struct children *children);

/* Sends TERM to every script, and KILL after the delay. */
void children_terminate(struct children *children);

/*
 * Starts a script.  `exited` is called once, when it has been reaped, with
 * waitpid(2)'s status; or when it is left running after its KILL, as if that had ended it.
 * NULL with `fault` filled when it could not be started: no
 * pipe is open then, and the slot is still the caller's.
 */
struct child *child_spawn(struct children *children, const struct child_plan *plan,
    struct child_pipes *pipes, struct sys_fault *fault, child_exit_fn *exited,
    void *context) MUST_CHECK;

pid_t child_pid(const struct child *child);

/* TERM to the script and its process group, KILL after the delay to what is left of them. */
void child_terminate(struct child *child);

/* Whether it has got its TERM; also in the call that reports its exit. */
bool child_is_stopped(const struct child *child);

/* Its response has begun, for the scoreboard to show; nothing happens with NULL. */
void child_answers(struct child *child);

/* Its request is over, and it goes on: its exit is reported to this, its new owner. */
void child_leave(struct child *child, child_exit_fn *exited, void *context);

/* The same without an owner: nobody is called back.  Nulls *child. */
void child_drop(struct child **child);

/* The script's exit status as FastCGI's appStatus: 128 + signal after a signal. */
unsigned child_app_status(int status);

#endif

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
 *
 * A script that a preloader starts is not our child process, though it is in our session:
 * preload_item.c reports its start and its end.
 */
#ifndef CGIBRIDGE_CHILD_H
#define CGIBRIDGE_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "base/attributes.h"
#include "base/loop.h"
#include "base/sys.h"
#include "cgi/exec_fault.h"
#include "stats/scoreboard.h"

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
	bool apart;          /* it, or `dir`, is on a file system that may not answer */
};

/* The worker's ends of the script's pipes, non-blocking; -1 where it has /dev/null. */
struct child_pipes {
	int in, out, err;
};

/* Both sides of a script's three streams; theirs may be the children's null_fd. */
struct child_streams {
	int ours[3]; /* -1: none */
	int theirs[3];
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
 * it could not be started: no pipe is open then, and the slot is still the caller's.  One that
 * is started apart may still be on its way to execve(2): see child_failure().
 */
struct child *child_spawn(struct children *children, const struct child_plan *plan,
    struct child_pipes *pipes, struct sys_fault *fault, child_exit_fn *exited,
    void *context) MUST_CHECK;

/*
 * The same for a script that another process will start (preload.h): opens its streams, of which
 * the caller closes both sides.  `exited` is called as for child_spawn().  Until child_begin()
 * or child_withdraw() it is STARTING, and may be stopped or dropped.  NULL with errno, without
 * open streams, if there is no memory or no descriptor: the slot is still the caller's.
 */
struct child *child_expect(struct children *children, const struct child_plan *plan,
    struct child_streams *streams, child_exit_fn *exited, void *context) MUST_CHECK;

/* Closes one side of its streams. */
void child_close_streams(const struct children *children, const int ends[3]);

/*
 * It runs, as the leader of process group `pid`; if it has been stopped meanwhile, it is sent
 * TERM now.  `now` is the time of clock_us().  Returns whether it still has an owner.
 */
bool child_begin(struct child *child, pid_t pid, int64_t now);

/*
 * It will not be started by that process: frees it.  Returns whether it still has an owner,
 * whose slot it then is again; `exited` is not called.
 */
bool child_withdraw(struct child *child);

/*
 * It has ended, with waitpid(2)'s `status`, and been reaped by another process, as far as is
 * known: another process may have its number by now, and is left alone.
 */
void child_ended(struct child *child, int status);

/* Whether its start has not been reported yet. */
bool child_is_starting(const struct child *child);

pid_t child_pid(const struct child *child);

/* Why a script that was started apart could not be executed. */
struct child_failure {
	struct sys_fault fault;
	char why[EXEC_FAULT_MAX]; /* if execve(2) failed: what exec_fault_describe() says */
};

/*
 * That, owned by `child`; good inside its exit callback, too.  NULL: it is not known to have
 * failed, or was not started apart.
 */
const struct child_failure *child_failure(const struct child *child);

/*
 * Sends TERM to the script and its process group, and KILL after the delay if any are left; one
 * that is STARTING gets it when it begins.
 */
void child_terminate(struct child *child);

/* Whether it has been sent TERM, or will be; valid also inside its exit callback. */
bool child_is_stopped(const struct child *child);

/* Its response has begun, which the scoreboard shows.  Does nothing if `child` is NULL. */
void child_answers(struct child *child);

/* Its request is over and it goes on: its exit is now reported to a new owner. */
void child_leave(struct child *child, child_exit_fn *exited, void *context);

/*
 * The same without an owner: its exit is not reported, nor its start.  Sets *child, which may be
 * NULL, to NULL.
 */
void child_drop(struct child **child);

/* The script's exit status as FastCGI's appStatus: 128 + signal after a signal. */
static inline unsigned child_app_status(int status)
{
	if (WIFSIGNALED(status))
		return 128U + (unsigned)WTERMSIG(status);
	return (unsigned)WEXITSTATUS(status);
}

#endif

/* SPDX-License-Identifier: ISC */
/*
 * preload: scripts that are forked from a process which has their interpreter loaded.
 *
 * For each --preload a worker runs a preloader: a child that takes descriptors and a
 * description of a script through a socket, forks, and says which process the script is and,
 * later, how it ended (cgibridge-preload(7)).  Whatever a preloader does, or does not do, a
 * request is at worst started by exec; but never both ways:
 *
 *   preload_start() --says so--> STARTED
 *        |   \------ "fail"----> FAILED
 *        \----"decline", "stale", no answer in time, preloader gone--> EXEC
 *
 * A forked child runs nothing of its script before its "start" is in the worker's socket.  When
 * the worker gives up waiting it closes the socket for senders and reads what is in it: a child
 * that comes later finds it closed, and ends.
 */
#ifndef CGIBRIDGE_PRELOAD_H
#define CGIBRIDGE_PRELOAD_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/attributes.h"
#include "base/loop.h"
#include "cgi/child.h"
#include "cgi/environment.h"
#include "cgi/shebang.h"
#include "config/options.h"

struct preload;

/* Times in ms: a test has its own. */
struct preload_times {
	int64_t answer; /* that a preloader may take to start a script */
	int64_t ready;  /* that it may take to be ready */
	int64_t silence; /* until it answers a "ping", or ends after the last of its scripts */
};

extern const struct preload_times preload_times;

/* The parts of a worker that it needs.  All borrowed. */
struct preload_parts {
	struct loop *loop;
	const struct options *options;
	const struct environment *environment;
	struct children *children;
	const struct preload_times *times;
};

enum preload_outcome {
	PRELOAD_STARTED, /* it runs, with `pipes` */
	PRELOAD_FAILED,  /* it cannot run, for the reason `fault`, which exec would meet as well */
	PRELOAD_EXEC,    /* it has not been started: start it by exec */
	PRELOAD_STOPPED, /* the same, and it has been stopped meanwhile */
	PRELOAD_LOST,    /* it may run, but its pid is unknown */
};

struct preload_answer {
	enum preload_outcome outcome;
	struct child_pipes pipes; /* the receiver's */
	struct sys_fault fault;
	int64_t spent; /* us since preload_start() */
};

typedef void preload_answer_fn(void *context, const struct preload_answer *answer);

/* A look at a script's file, as it was.  `shebang` points into itself. */
struct preload_look {
	int64_t time;           /* before that stat(2), by clock_real_ms() */
	struct stat info;
	bool executable;        /* by this user */
	struct shebang shebang; /* its first line */
	char program[PATH_MAX]; /* what env finds along PATH for that line; "": nothing */
};

/* A script to start.  All borrowed. */
struct preload_script {
	const char *path; /* the file that script_resolve() has found */
	const struct child_plan *plan;
	preload_answer_fn *answered;
	child_exit_fn *exited;
	void *context;
	const struct preload_look *look; /* a look at it just now; NULL: it is looked at */
};

/* Starts the preloaders that the options name.  NULL with errno ENOMEM. */
struct preload *preload_new(const struct preload_parts *parts) MUST_CHECK;

/*
 * The worker ends: kills the preloaders; scripts that they have not started yet will not be.
 * Their scripts are left to children_fini(), which comes between this and preload_free().
 */
void preload_stop(struct preload *preload);
void preload_free(struct preload **preload);

/*
 * Looks at the file at `path`, of which `look` has `time` and `info`: in a process that may be
 * blocked by it.  `preload` may be NULL: then nothing is looked for along PATH.
 */
void preload_look(const struct preload *preload, const char *path, struct preload_look *look);

/*
 * Whether the script at `path`, with this stat(2), is one for a preloader, as far as its first
 * line and --handler tell.  Makes system calls only for a file that has not been seen as it is,
 * and none with a `look` at it (NULL: none).
 */
bool preload_concerns(struct preload *preload, const char *path, const struct stat *info,
    const struct preload_look *look);

/*
 * Has a preloader start `script`: its child is STARTING, and has the slot of the plan, until
 * `answered` is called, later and at most once: not for a child that was dropped.  After
 * STARTED the slot goes with the child; otherwise the child is gone, and the slot the caller's.
 * NULL: no preloader can do that now; nothing has been done.
 */
struct child *preload_start(struct preload *preload,
    const struct preload_script *script) MUST_CHECK;

#endif

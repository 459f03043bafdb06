/* SPDX-License-Identifier: ISC */
/*
 * left: scripts that outlive their request, and their stderr.
 *
 *   request ends, script runs ---> the script works on, or ends after its TERM --exit--\
 *                                      \ --timeout: TERM                               |
 *   request ends, script exited --------------------------> is its stderr still held? <-/
 *                                                              | yes              | no
 *                                          read until it closes, or a bound ---> freed
 *
 * A response ends with its output, or with its client; a script need not.  Whatever the reason,
 * it goes on here: it keeps its slot until its exit (child.c), --timeout still applies, it gets
 * the rest of its body, and its stderr goes to the log until no process holds it any more, not
 * even one that the script left behind.
 */
#ifndef CGIBRIDGE_LEFT_H
#define CGIBRIDGE_LEFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"
#include "cgi/body.h"
#include "cgi/child.h"
#include "cgi/errlog.h"

enum {
	LEFT_STDERR_MAX = 64,                /* held in a worker after the script's exit ... */
	LEFT_STDERR_TIME = 24 * 3600 * 1000, /* ... each for at most this many ms */
};

struct left;

/* One for each worker, embedded there. */
struct left_list {
	struct loop *loop;
	struct children *children;
	struct left *first; /* the newest */
	size_t held; /* how many have an open stderr after their script's exit */
};

/* The things that a request leaves behind. */
struct left_script {
	struct child *child;   /* NULL: it has exited */
	char *script;          /* its path; owned */
	pid_t pid;
	uint16_t id;           /* the request's */
	int64_t time;          /* ms that are left of --timeout; -1: no limit */
	bool answered;         /* its response is whole: a failing exit is still logged */
	struct body *body;     /* bytes that the script is still to read; NULL: none */
	struct errlog *errlog; /* its stderr */
};

void left_init(struct left_list *list, struct loop *loop, struct children *children);

/*
 * Takes over the script with its child, body, stderr and `script->script`; `script` is
 * borrowed.  Without memory it stops the script, and leaves body and stderr to the request.
 */
void left_adopt(struct left_list *list, const struct left_script *script);

/*
 * The worker ends: frees them all.  Running scripts are left to children_fini(); a stderr that
 * is still held is closed, and the log says so.
 */
void left_fini(struct left_list *list);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * left: what of a script outlives its request.
 *
 *   request ends, script runs ---> the script works on, or ends after its TERM --exit--\
 *                                      \ --timeout: TERM                               |
 *   request ends, script exited --------------------------> is its stderr still held? <-/
 *                                                              | yes              | no
 *                                          read until it closes, or a bound ---> freed
 *
 * A response ends with its output, or with its client; a script need not.  Whatever the
 * reason, this is where it goes on: it keeps its slot until its exit (child.c), --timeout
 * still counts, what waits of its body goes to it, and its stderr goes to the log until
 * nobody holds it any more, also if that is a process that the script has left behind.
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
	LEFT_STDERR_MAX = 64,                /* in a worker, of scripts that have exited ... */
	LEFT_STDERR_TIME = 24 * 3600 * 1000, /* ... each for so many ms at most */
};

struct left;

/* The worker's; embedded there. */
struct left_list {
	struct loop *loop;
	struct children *children;
	struct left *first; /* the newest */
	size_t held; /* of them, those whose script has exited and whose stderr is open */
};

/* What a request leaves. */
struct left_script {
	struct child *child;   /* NULL: it has exited */
	char *script;          /* its path; owned */
	pid_t pid;
	uint16_t id;           /* the request's */
	int64_t time;          /* ms that are left of --timeout; -1: no limit */
	bool answered;         /* its response is whole: how it exits is still of interest */
	struct body *body;     /* what of it the script is still to read; NULL: nothing */
	struct errlog *errlog; /* its stderr */
};

void left_init(struct left_list *list, struct loop *loop, struct children *children);

/* Takes it over, `script->script`, its child, body and stderr included. */
void left_adopt(struct left_list *list, const struct left_script *script);

/*
 * The worker ends: forgets them all.  Scripts that run are the children's to end; what is
 * held of the stderr of others is closed, and the log says so.
 */
void left_fini(struct left_list *list);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * errlog: a script's stderr, line by line to the log, or to the client.
 *
 * To the client it goes as FCGI_STDERR and only after the response's header
 * record: clients take it for a fault before that.  From then on it goes out as it comes,
 * and a script whose client is slow has to wait.  Before that, and to the log, a script
 * that floods its stderr is always read, so it never blocks, and what is past the bounds
 * is dropped with one line that says so.
 *
 * It is read until nobody holds it any more: what a script has left in the background
 * would die of its next line otherwise.  After the response left.c does that.
 *
 * Most scripts end at once and write nothing there: the pipe is watched only after
 * a moment, and read at the end.
 */
#ifndef CGIBRIDGE_ERRLOG_H
#define CGIBRIDGE_ERRLOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "base/buf.h"
#include "base/loop.h"
#include "fcgi/outlet.h"

enum {
	ERRLOG_DELAY = 10,             /* ms until a script's stderr is looked at */
	ERRLOG_LINE_MAX = 1024,        /* a longer line is logged in pieces */
	ERRLOG_BURST = 200,            /* lines logged in ERRLOG_WINDOW ms */
	ERRLOG_WINDOW = 10 * 1000,
	ERRLOG_HELD_MAX = 8 * 1024,    /* bytes held for the client until it may have them ... */
	ERRLOG_READ = 4096,            /* ... read at once ... */
	ERRLOG_TAIL_READS = 16,        /* ... and at the end, together what a pipe holds */
	ERRLOG_TAIL_MAX = ERRLOG_HELD_MAX + ERRLOG_TAIL_READS * ERRLOG_READ,
	ERRLOG_FIRST_MAX = 160,        /* of the first line, for the line of a failed request */
};

struct errlog;
typedef void errlog_read_fn(struct errlog *errlog);

struct errlog {
	struct loop *loop;
	int fd;                 /* the pipe; -1: none */
	pid_t pid;
	struct loop_watch pipe; /* for `fd`, once the script has run for ERRLOG_DELAY */
	struct loop_timer delay;
	const char *script; /* borrowed: whose stderr it is */
	errlog_read_fn *read; /* to the client, something has been read; NULL: it goes to the log */
	struct buf held;    /* log: a line's beginning; client: what it has not got yet */
	char *first;        /* the first line, NULL if there was none; owned */
	int64_t window;     /* when the current count of lines began */
	uint64_t lost;      /* bytes dropped */
	unsigned lines;     /* in this window */
	uint16_t id;
	bool started;       /* the first line has been seen whole */
	bool flows;         /* the client may have it: it waits for room, and is not dropped */
};

/*
 * To the log if `read` is NULL; else to the client: `read` is called when something has come,
 * and calls errlog_deliver() once the header record is out.
 */
void errlog_init(struct errlog *errlog, struct loop *loop, errlog_read_fn *read);
void errlog_fini(struct errlog *errlog);

/*
 * Reads from `fd`, which it owns and closes, on behalf of request `id` that runs
 * `script` (borrowed) as `pid`.
 */
void errlog_attach(struct errlog *errlog, int fd, const char *script, pid_t pid, uint16_t id);

/* Reads what is in the pipe now; whether somebody still holds its other end. */
bool errlog_catch_up(struct errlog *errlog);

/* Reads what is still in the pipe and closes it: whoever writes there then gets SIGPIPE. */
void errlog_finish(struct errlog *errlog);

/*
 * The request ends, and somebody still holds the pipe: from here on `to` reads it, for the
 * log, on behalf of `script` (borrowed).  `ready` is called when there is something to read,
 * and calls errlog_read().  0, or -1 with errno: it is not told then, errlog_finish() `to`.
 */
int errlog_hand_over(struct errlog *from, struct errlog *to, const char *script,
    loop_ready_fn *ready) MUST_CHECK;

/* The client has gone: what is held for it, and what still comes, goes to the log. */
void errlog_turn_to_log(struct errlog *errlog);

/* Reads once; at the end of the pipe `fd` is -1 then. */
void errlog_read(struct errlog *errlog);

/*
 * Moves what is held for the client to `out` while less than `most` bytes wait there.  From
 * now on nothing is dropped: when there is no room it is not read, until this is called again.
 */
void errlog_deliver(struct errlog *errlog, struct outlet *out, size_t most);

#endif

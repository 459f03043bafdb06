/* SPDX-License-Identifier: ISC */
/*
 * errlog: a script's stderr, line by line to the log, or to the client.
 *
 * To the client it is sent as FCGI_STDERR, but only after the record with the response's
 * headers: earlier, clients take it for a failure.  From then on it is sent as it arrives, and
 * a script whose client is slow has to wait.  Until then, and for the log, it is always read: a
 * script that floods its stderr never blocks, the excess is dropped, and one log line says how
 * much.
 *
 * It is read until no process holds it open: one that the script left in the background would
 * otherwise die of SIGPIPE at its next line.  After the response, left.c does that.
 *
 *   HELD --the header record is out--> FLOWS --the client is gone--> LOG
 *     '-----------------the client is gone---------------------------'
 *
 * Most scripts end soon and write nothing to stderr: the pipe is watched only after a delay,
 * and read at the end.
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
	ERRLOG_DELAY = 10,             /* ms until a script's stderr is watched */
	ERRLOG_LINE_MAX = 1024,        /* a longer line is logged in pieces */
	ERRLOG_BURST = 200,            /* lines logged in ERRLOG_WINDOW ms */
	ERRLOG_WINDOW = 10 * 1000,
	ERRLOG_HELD_MAX = 8 * 1024,    /* bytes held for the client until they may be sent ... */
	ERRLOG_READ = 4096,            /* ... read at once ... */
	ERRLOG_TAIL_READS = 16,        /* ... reads at the end, together the size of a pipe */
	ERRLOG_TAIL_MAX = ERRLOG_HELD_MAX + ERRLOG_TAIL_READS * ERRLOG_READ,
	ERRLOG_FIRST_MAX = 160,        /* bytes of the first line in a failed request's log line */
};

/* Where a script's stderr goes. */
enum errlog_state {
	ERRLOG_HELD,  /* to the client, later: the excess is dropped */
	ERRLOG_FLOWS, /* to the client: it waits for room, and is not dropped */
	ERRLOG_LOG,
};

struct errlog;
typedef void errlog_read_fn(struct errlog *errlog);

struct errlog {
	struct loop *loop;
	int fd;                 /* the pipe; -1: none */
	pid_t pid;
	struct loop_watch pipe; /* for `fd`, once the script has run for ERRLOG_DELAY */
	struct loop_timer delay;
	const char *script; /* its path, borrowed */
	errlog_read_fn *read; /* called after each read, unless it goes to the log */
	struct buf held;    /* log: the start of a line; client: bytes not sent yet */
	char *first;        /* the first line, NULL if there was none; owned */
	int64_t window;     /* when the current count of lines began */
	uint64_t lost;      /* bytes dropped */
	unsigned lines;     /* in this window */
	uint16_t id;
	bool started;       /* the first line has been seen */
	enum errlog_state state;
};

/*
 * Stderr goes to the log if `read` is NULL.  Otherwise it goes to the client: `read` is called
 * after each read, and has to call errlog_deliver() once the header record is out.
 */
void errlog_init(struct errlog *errlog, struct loop *loop, errlog_read_fn *read);
void errlog_fini(struct errlog *errlog);

/*
 * Reads from `fd`, which it owns and closes, on behalf of request `id`, whose `script`
 * (borrowed) runs as `pid`; `id` 0: of the preloader for `script`.
 */
void errlog_attach(struct errlog *errlog, int fd, const char *script, pid_t pid, uint16_t id);

/* Reads the bytes that are in the pipe now; returns whether its other end may still be open. */
bool errlog_catch_up(struct errlog *errlog);

/* Reads the bytes still in the pipe and closes it: later writers get SIGPIPE. */
void errlog_finish(struct errlog *errlog);

/*
 * The request ends, and a process may still hold the pipe: from here on `to` reads it, for the
 * log, on behalf of `script` (borrowed).  `ready` is called when there is something to read,
 * and has to call errlog_read().  0, or -1 with errno: `ready` will not be called then, and the
 * caller has to call errlog_finish() on `to`.
 */
int errlog_hand_over(struct errlog *from, struct errlog *to, const char *script,
    loop_ready_fn *ready) MUST_CHECK;

/* The client is gone: the bytes held for it, and all later ones, go to the log. */
void errlog_turn_to_log(struct errlog *errlog);

/* Reads once; sets `fd` to -1 at the end of the pipe. */
void errlog_read(struct errlog *errlog);

/*
 * Moves the bytes held for the client to `out` if fewer than `most` bytes wait there.  From now
 * on none are dropped: without room, stderr is not read until this is called again.
 */
void errlog_deliver(struct errlog *errlog, struct outlet *out, size_t most);

#endif

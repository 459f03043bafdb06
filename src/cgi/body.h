/* SPDX-License-Identifier: ISC */
/*
 * body: the request body on its way from FCGI_STDIN to the script's stdin.
 *
 *   body_feed -> [ spool ] -> the script's stdin (a pipe, non-blocking)
 *
 * What the pipe takes goes there at once; the rest waits in the spool.  Of a body that
 * grows large what comes can be moved from the client's socket to the pipe, unseen.  The end
 * of the body is the empty record or the announced length, whichever comes first
 * (some clients never send the record).  A script that does not read its body, or
 * closes it, is in its right (RFC 3875 4.2): the rest is then dropped.
 */
#ifndef CGIBRIDGE_BODY_H
#define CGIBRIDGE_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/loop.h"
#include "cgi/splice.h"
#include "cgi/spool.h"

#define BODY_LENGTH_UNKNOWN UINT64_MAX

enum {
	BODY_BULK = 256 * 1024, /* bytes received from which on a body is moved, not copied */
	BODY_PIPE = 256 * 1024, /* bytes that its pipe then holds */
	/* of a body of known length that may wait, whatever the maximum: the client is held back
	 * once so much waits as stays in memory, and a read brings as much again */
	BODY_PASSING = 2 * SPOOL_MEMORY,
};

struct body;
typedef void body_moved_fn(struct body *body);

struct body {
	struct loop *loop;
	struct spool spool;
	struct loop_watch pipe; /* the script's stdin while it is open and attached */
	uint64_t left;          /* still to come from the client, or BODY_LENGTH_UNKNOWN */
	uint64_t received;      /* bytes that have come and count */
	enum splice_state splice;
	bool ended;             /* nothing more will come */
	bool dropped;           /* nobody wants it: the script is gone or has closed it */
	body_moved_fn *moved;   /* the script has taken bytes, or has closed its stdin */
};

/*
 * An empty body of unknown length, spooled in `dir` up to `max` bytes.  Once its length is
 * known it passes to the script as it comes, and no less than BODY_PASSING may wait.
 */
void body_init(struct body *body, struct loop *loop, uint64_t max, const char *dir,
    body_moved_fn *moved);
void body_fini(struct body *body);

/*
 * Says how long the body is, before the script has it; some may have come already.
 * What is beyond is dropped.
 */
void body_expect(struct body *body, uint64_t length);

/*
 * Takes bytes of FCGI_STDIN.  0, or -1 with errno as spool_append(): the body
 * cannot be kept (EMSGSIZE: it is larger than allowed).
 */
int body_feed(struct body *body, const void *bytes, size_t len) MUST_CHECK;

/* Whether it is large, and its next byte can go straight to the script: body_move(). */
bool body_is_bulky(const struct body *body);

/*
 * Moves up to `len` bytes of FCGI_STDIN from socket `from` to the script of a bulky
 * body.  How many, 0 at the end of `from`, or -1 with errno.  EAGAIN: nothing has come,
 * or the script has not read what has.  Otherwise it is bulky no more.
 */
ssize_t body_move(struct body *body, int from, size_t len) MUST_CHECK;

/* Nothing waits, but the script has not read what it has: body_moved_fn says when it has. */
void body_await_room(struct body *body);
bool body_awaits_room(const struct body *body);

/* The empty FCGI_STDIN record: nothing more comes. */
void body_end(struct body *body);

/* Has the body go to `fd`, the script's stdin, which it owns and closes.  0, or -1 with errno. */
int body_attach(struct body *body, int fd) MUST_CHECK;

/* Closes the script's stdin and forgets all that waits for it; what still comes is dropped. */
void body_drop(struct body *body);

/*
 * The request ends, and its script goes on: `to`, which need not be initialised, has the
 * script read what waits in `from`, where nothing is left.
 */
void body_hand_over(struct body *from, struct body *to, body_moved_fn *moved);

/* How many bytes wait for the script. */
uint64_t body_waiting(const struct body *body);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * body: the request body on its way from FCGI_STDIN to the script's stdin.
 *
 *   body_feed -> [ spool ] -> the script's stdin (a pipe, non-blocking)
 *
 * The pipe takes as much as it can at once; the rest waits in the spool.  A large body can be
 * moved from the client's socket to the pipe without being read.  The end of the body is the
 * empty record or the announced length, whichever comes first (some clients never send the
 * record).  A script may leave its body unread, or close its stdin (RFC 3875 4.2): the rest is
 * then dropped.
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
	BODY_BULK = 256 * 1024, /* after this many bytes, a body is moved, not copied */
	BODY_PIPE = 256 * 1024, /* the size of its pipe from then on */
	/* bytes of a body of known length that may wait, whatever the maximum: the client is
	 * held back once SPOOL_MEMORY bytes wait, and one read can bring as many again */
	BODY_PASSING = 2 * SPOOL_MEMORY,
};

struct body;
typedef void body_moved_fn(struct body *body);

struct body {
	struct loop *loop;
	struct spool spool;
	struct loop_watch pipe; /* the script's stdin while it is open and attached */
	uint64_t left;          /* still to come from the client, or BODY_LENGTH_UNKNOWN */
	uint64_t received;      /* bytes of the body that have arrived */
	enum splice_state splice;
	bool ended;             /* no more bytes will come */
	bool dropped;           /* not wanted: the script has ended or closed its stdin */
	body_moved_fn *moved;   /* the script has taken bytes, or has closed its stdin */
};

/*
 * Initialises an empty body of unknown length, spooled in `dir` (borrowed) up to `max` bytes.
 * Once its length is known it is passed to the script as it arrives, and at least BODY_PASSING
 * bytes may wait.
 */
void body_init(struct body *body, struct loop *loop, uint64_t max, const char *dir,
    body_moved_fn *moved);
void body_fini(struct body *body);

/*
 * Sets the length of the body, before body_attach(); some of it may have arrived already.
 * Bytes past the length are dropped.
 */
void body_expect(struct body *body, uint64_t length);

/*
 * Takes bytes of FCGI_STDIN.  0, or -1 with errno as spool_append(): the body
 * cannot be kept (EMSGSIZE: it is larger than allowed).
 */
int body_feed(struct body *body, const void *bytes, size_t len) MUST_CHECK;

/* Whether it is large and its next byte can go straight to the script, with body_move(). */
bool body_is_bulky(const struct body *body);

/*
 * Moves up to `len` bytes of FCGI_STDIN from socket `from` to the script of a bulky body.
 * Returns how many, 0 at the end of `from`, or -1 with errno.  EAGAIN: `from` is empty, or the
 * pipe is full.  After any other error the body is no longer bulky.
 */
ssize_t body_move(struct body *body, int from, size_t len) MUST_CHECK;

/* The spool is empty but the pipe is full: `moved` is called when the script has read from it. */
void body_await_room(struct body *body);
bool body_awaits_room(const struct body *body);

/* The empty FCGI_STDIN record: the body has ended. */
void body_end(struct body *body);

/* Sends the body to `fd`, the script's stdin, which it always closes.  0, or -1 with errno. */
int body_attach(struct body *body, int fd) MUST_CHECK;

/* Closes the script's stdin; drops the bytes that wait for it, and those still to come. */
void body_drop(struct body *body);

/* The same, and none will come: the next script of the request has no body. */
void body_renounce(struct body *body);

/*
 * The request ends and its script goes on: `to`, which need not be initialised, takes over the
 * script's stdin and the bytes that wait in `from`.  `from` is empty then, and drops its input.
 */
void body_hand_over(struct body *from, struct body *to, body_moved_fn *moved);

/* How many bytes wait for the script. */
uint64_t body_waiting(const struct body *body);

#endif

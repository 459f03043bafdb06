/* SPDX-License-Identifier: ISC */
/*
 * relay: the script's stdout on its way to FCGI_STDOUT records.
 *
 *   the script's stdout (a pipe) -> memory that all relays of a worker share: the response
 *                                   header and what comes with it, from there a record
 *                                -> body, read straight into a record of `out`
 *                                -> much body: moved to the socket, unseen
 *
 *   HEAD --empty line--> BODY --end of file--> ENDED
 *     \--> FAULT             \--> STARVED, also from HEAD
 *
 * Each read goes on at once.  It reads only while `out` has room, so a slow reader
 * stops the script, not the bridge.
 */
#ifndef CGIBRIDGE_RELAY_H
#define CGIBRIDGE_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/buf.h"
#include "base/loop.h"
#include "fcgi/outlet.h"
#include "cgi/response.h"
#include "cgi/splice.h"

enum {
	RELAY_CHUNK = 32 * 1024,  /* of the body, read at most, at once */
	RELAY_HELD = 32 * 1024,   /* bytes that are held back, with a header block among them */
	RELAY_LEND = 2048,        /* a first record from this size on is not copied */
	RELAY_HIGH = 64 * 1024,   /* bytes waiting in `out` past which it does not read */
	RELAY_BULK = 64 * 1024,   /* bytes sent from which on output is moved, not copied ... */
	RELAY_WORTH = 16 * 1024,  /* ... if at least so much comes together ... */
	RELAY_MOVE = 65528,       /* ... in records of this content, 0 modulo 8 ... */
	RELAY_BURST = 256 * 1024, /* ... and so much at once, before others have their turn */
	RELAY_PIPE = 256 * 1024,  /* bytes that a pipe of much output holds */
	RELAY_AUTHORIZER_BODY = 8 * 1024, /* a refusing authorizer's body goes with its headers */
};

enum relay_state {
	RELAY_HEAD,  /* the header block is not whole yet: nothing has gone out */
	RELAY_BODY,  /* it has gone out */
	RELAY_ENDED, /* end of file after the header block */
	RELAY_FAULT, /* no response that could go out: relay_fault() says why */
	RELAY_STARVED, /* no memory for what the script wrote: its response ends where it is */
};

/*
 * What the first reads of all relays of a worker go into, and the first record goes out
 * of: room in front for the record's header, and for a header block that grows.
 */
struct relay_scratch {
	struct outlet *borrower; /* has the record in `bytes` still to send; NULL: nobody */
	unsigned char bytes[FCGI_HEADER_LEN + RESPONSE_GROWTH_MAX + RESPONSE_HEAD_MAX + 8];
	unsigned char block[RESPONSE_GROWTH_MAX + RESPONSE_HEAD_MAX]; /* in normal form */
};

struct relay;
typedef void relay_moved_fn(struct relay *relay);

struct relay {
	struct loop *loop;
	struct loop_watch pipe;
	enum relay_state state;
	struct response response;
	struct relay_scratch *scratch; /* borrowed */
	struct buf head;   /* raw bytes while in RELAY_HEAD; the first ones in RELAY_FAULT */
	size_t head_len;   /* of the header block, once it is whole */
	struct outlet *out; /* the connection's, borrowed */
	uint16_t id;
	size_t last_read;  /* bytes that the last read brought, or move */
	enum splice_state splice;
	bool hold;         /* the header block is not to go out yet */
	bool eof;          /* the script's side has ended, or was closed by relay_stop() */
	uint64_t sent;     /* bytes that went into records */
	relay_moved_fn *moved; /* after anything: bytes, a change of state */
};

/* What a relay works with, all borrowed, and for which response. */
struct relay_plan {
	struct loop *loop;
	struct relay_scratch *scratch;
	struct outlet *out;
	uint16_t id;
	enum response_kind kind;
	bool strict;
	relay_moved_fn *moved;
};

void relay_init(struct relay *relay, const struct relay_plan *plan);
void relay_fini(struct relay *relay);

/* Reads from `fd`, which it owns and closes.  0, or -1 with errno. */
int relay_attach(struct relay *relay, int fd) MUST_CHECK;

/* From here on its records go to `out`. */
void relay_redirect(struct relay *relay, struct outlet *out);

/* Whether there is room for another read. */
bool relay_has_room(const struct relay *relay);

/* Whether it had something to read, and no room for it. */
bool relay_is_paused(const struct relay *relay);

/* `out` has room again: reads on, at once if there was something. */
void relay_resume(struct relay *relay);

/*
 * Holds the response back, whole in its buffer, until it is let go: a script that
 * goes on writing then waits.  Letting go what is not held changes nothing, and while
 * `out` has no room it stays held: to be tried again when it has.
 */
void relay_hold(struct relay *relay);
void relay_let_go(struct relay *relay);

/* Whether nothing of the script's waits to be read, be it for want of room. */
bool relay_is_silent(const struct relay *relay);

/* Whether anyone has the script's side open; silent and not held is at its end. */
bool relay_is_held(const struct relay *relay);

/* Closes the script's stdout as it is: the response ends here. */
void relay_stop(struct relay *relay);

/* In RELAY_FAULT: what was wrong with the response, whose first bytes are in `head`. */
const char *relay_fault(const struct relay *relay);

#endif

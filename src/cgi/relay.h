/* SPDX-License-Identifier: ISC */
/*
 * relay: the script's stdout on its way to FCGI_STDOUT records.
 *
 *   the script's stdout (a pipe) -> memory that all relays of a worker share: the response
 *                                   header and the bytes read with it, sent from there
 *                                -> body, read straight into a record of `out`
 *                                -> large body: moved to the socket, unread
 *
 *   HEAD --empty line--> BODY --end of file--> ENDED
 *    ^ \--a local redirect, end of file--> REDIRECT --passed on--> BODY, at once ENDED
 *    |
 *    |--let go-- HELD --end of file--> HELD_ENDED
 *    \--let go----------------------------/
 *
 *   HEAD, HELD --not a response--> FAULT; at end of file, and from REDIRECT, FAULT_ENDED
 *   HEAD, HELD, BODY, REDIRECT --no memory--> STARVED
 *
 * The bytes of each read are passed on at once.  It reads only while `out` has room: a slow
 * client holds up its script, not the bridge.
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
	RELAY_CHUNK = 32 * 1024,  /* bytes of the body that are read at once */
	RELAY_HELD_MAX = 32 * 1024, /* bytes that are held back, the header block included */
	RELAY_LEND = 2048,        /* a first record of at least this size is not copied */
	RELAY_HIGH = 64 * 1024,   /* it reads only while fewer bytes wait in `out` */
	RELAY_BULK = 64 * 1024,   /* after this many bytes, output is moved, not copied ... */
	RELAY_WORTH = 16 * 1024,  /* ... if at least this much is there at once ... */
	RELAY_MOVE = 65528,       /* ... in records of this content, 0 modulo 8 ... */
	RELAY_BURST = 256 * 1024, /* ... and this much before others get their turn */
	RELAY_PIPE = 256 * 1024,  /* the size of its pipe from then on */
	RELAY_AUTHORIZER_BODY = 8 * 1024, /* a refusing authorizer's body, sent with its headers */
};

enum relay_state {
	RELAY_HEAD,        /* the header block is incomplete: nothing has been sent */
	RELAY_HELD,        /* the same, or it is whole but must not be sent yet */
	RELAY_HELD_ENDED,  /* the same, and the output has ended */
	RELAY_BODY,        /* the header block has been sent */
	RELAY_ENDED,       /* end of file after the header block */
	RELAY_REDIRECT,    /* it is a local redirect, has ended, and nothing has been sent */
	RELAY_FAULT,       /* the output is not a response: relay_fault() says why */
	RELAY_FAULT_ENDED, /* the same, and it was read to its end: the exit is near */
	RELAY_STARVED,     /* no memory for the script's output: the response ends where it is */
};

/*
 * The memory that the first reads of all relays of a worker go into, and the first record is
 * sent from, with room in front for the record's header and for a header block that grows.
 */
struct relay_scratch {
	struct outlet *borrower; /* has yet to send the record in `bytes`; NULL: none has */
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
	struct buf head;   /* raw bytes before RELAY_BODY; the first ones in RELAY_FAULT */
	size_t head_len;   /* of the header block, once it is whole */
	struct outlet *out; /* the connection's, borrowed */
	uint16_t id;
	size_t last_read;  /* bytes of the last read, or move */
	enum splice_state splice;
	bool redirects;    /* a local redirect is not sent, but is left to the owner */
	uint64_t sent;     /* bytes that went into records */
	relay_moved_fn *moved; /* called after any change: bytes, or a state */
};

/* The parts a relay works with, all borrowed, and the kind of its response. */
struct relay_plan {
	struct loop *loop;
	struct relay_scratch *scratch;
	struct outlet *out;
	uint16_t id;
	enum response_kind kind;
	bool strict;
	bool redirects; /* RELAY_REDIRECT may come */
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

/* Whether it has stopped reading for want of room. */
bool relay_is_paused(const struct relay *relay);

/* `out` has room again: goes on reading, if it was paused. */
void relay_resume(struct relay *relay);

/*
 * In RELAY_HEAD: holds the response back in its buffer until it is let go; a script that fills
 * the buffer waits.  relay_let_go() does nothing if the response is not held, or while `out`
 * has no room: call it again when there is.
 */
void relay_hold(struct relay *relay);
void relay_let_go(struct relay *relay);

/* Whether it is held. */
static inline bool relay_is_holding(const struct relay *relay)
{
	return relay->state == RELAY_HELD || relay->state == RELAY_HELD_ENDED;
}

/* Whether no output waits in the pipe, not even for want of room. */
bool relay_is_silent(const struct relay *relay);

/* Whether a process has the script's side open; silent and not held: the output has ended. */
bool relay_is_held(const struct relay *relay);

/* Closes the script's stdout: the response ends with what has been read. */
void relay_stop(struct relay *relay);

/* In RELAY_REDIRECT: its path and query, of `*len` bytes, not terminated. */
const char *relay_local_path(const struct relay *relay, size_t *len);

/* In RELAY_REDIRECT: sends it after all, as X-Accel-Redirect if `accel`, else as a 302. */
void relay_pass_redirect(struct relay *relay, bool accel);

/* In RELAY_FAULT, RELAY_FAULT_ENDED: the fault of a response whose first bytes are in `head`. */
const char *relay_fault(const struct relay *relay);

#endif

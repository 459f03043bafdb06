/* SPDX-License-Identifier: ISC */
/*
 * outlet: the output to one client.
 *
 *   [ header | rest of a script's pipe ]  [ whole records, in memory ]
 *     the record that is being sent         the records after it
 *
 * Records wait in a buffer.  A large record of output is not copied into it: its header is
 * sent, and its content then goes from the script's pipe to the socket without passing through
 * our memory (splice(2)).  Such a record goes out before all others.  Its content stays in the
 * pipe until then, so the owner of the pipe must call outlet_recall() before closing or
 * reading it.
 *
 * Records in memory that is shared with others are not copied either, if nothing else waits:
 * they are lent, and go out before the buffered records, in one call with them.
 */
#ifndef CGIBRIDGE_OUTLET_H
#define CGIBRIDGE_OUTLET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/buf.h"
#include "fcgi/fcgi.h"

/* Why the client cannot get the output that it was promised. */
enum outlet_fault {
	OUTLET_FINE,        /* it can */
	OUTLET_TAKEN_BACK,  /* the content that a header announces is no longer in its pipe */
	OUTLET_NO_MEMORY,   /* no memory for bytes that had to be kept */
};

struct outlet {
	struct buf records; /* whole ones; they go out after the one being sent, or lent */
	const unsigned char *lent; /* records in the lender's memory, the first to go out */
	size_t lent_len;    /* bytes of them still to go out */
	struct outlet **loan; /* the lender's pointer to this, cleared at the end; NULL: none */
	int socket;         /* non-blocking, borrowed; -1: there is no client */
	int pipe;           /* where the content for `header` is; borrowed */
	unsigned char header[FCGI_HEADER_LEN];
	uint16_t left;      /* bytes of that content that are still to go out */
	unsigned char header_left; /* bytes of `header` that are still to go out */
	bool copies;        /* the system or socket cannot splice: content is copied */
	enum outlet_fault broken; /* never reset */
	uint64_t sent;      /* bytes given to the socket, in all */
};

/* An outlet without a client; at most `max` bytes of records can wait. */
void outlet_init(struct outlet *outlet, size_t max);
void outlet_fini(struct outlet *outlet);

/* How many bytes are still to go out. */
size_t outlet_waiting(const struct outlet *outlet);

/*
 * How many of the bytes given to the socket the client has taken, as far as the system can
 * tell; for a unix socket it is too low.  To be compared with an earlier value: a change means
 * that the client, or this process, has made progress.
 */
int64_t outlet_taken(const struct outlet *outlet);

/*
 * The value that outlet_taken() reaches when the client has taken everything, including what
 * waits.
 */
int64_t outlet_end(const struct outlet *outlet);

/* Whether the rest of a record is still to come from pipe `fd`. */
bool outlet_is_moving(const struct outlet *outlet, int fd);

/*
 * Lends the `len` bytes at `bytes`, whole records, to be sent without a copy: they have to
 * stay there until `*loan`, which is set to this outlet, is NULL again.  False if they have to
 * be copied, because something else waits or there is no client.
 */
bool outlet_lend(struct outlet *outlet, const unsigned char *bytes, size_t len,
    struct outlet **loan) MUST_CHECK;

/*
 * Ends the loan, because the lender needs the memory: copies the bytes that are still to go
 * out.  Without memory for that, sets `broken`.
 */
void outlet_keep(struct outlet *outlet);

/*
 * Sends as much as the socket takes, and copies the rest of the lent bytes.  0, or -1: the
 * client has gone or, if `broken` is set, must be disconnected, because it cannot get the
 * output it was promised.
 */
int outlet_flush(struct outlet *outlet) MUST_CHECK;

/*
 * The same when our side is shut next: on TCP the last bytes go out together with the end of
 * file, so that the client sees both or neither.
 */
int outlet_flush_last(struct outlet *outlet) MUST_CHECK;

/*
 * Sends a STDOUT record of request `id` whose content is the next `len` bytes that wait in
 * pipe `fd`; a multiple of 8, at most 65528.  True if it has been sent or is being sent; false
 * if it has to be copied: something else waits, there is no client, or the system cannot
 * splice.
 */
bool outlet_move(struct outlet *outlet, uint16_t id, int fd, size_t len) MUST_CHECK;

/* Reads the content that is still to come from pipe `fd`, if any, into memory. */
void outlet_recall(struct outlet *outlet, int fd);

#endif

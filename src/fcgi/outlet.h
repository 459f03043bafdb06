/* SPDX-License-Identifier: ISC */
/*
 * outlet: what goes out to one client.
 *
 *   [ header | rest of a script's pipe ]  [ whole records, in memory ]
 *     the record that is being sent         what follows it
 *
 * Records wait in a buffer.  A record of much output is not copied through it: its
 * header is sent, and its content then goes from the script's pipe to the socket
 * without passing through us (splice(2)).  Such a record goes before anything else, so
 * the owner of the pipe must call outlet_recall() before closing or reading it.
 *
 * Nor is a record copied that is in memory which others share, if nothing else waits: it
 * is lent, and goes out in front of the records in one call with them.
 */
#ifndef CGIBRIDGE_OUTLET_H
#define CGIBRIDGE_OUTLET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/buf.h"
#include "fcgi/fcgi.h"

/* Why what the client gets next cannot be what it was told. */
enum outlet_fault {
	OUTLET_FINE,        /* it is */
	OUTLET_TAKEN_BACK,  /* the content that a header announces is no longer in its pipe */
	OUTLET_NO_MEMORY,   /* none for bytes that had to be kept */
};

struct outlet {
	struct buf records; /* whole ones; they go out after what is on its way, or lent */
	const unsigned char *lent; /* records in memory of someone else's, first to go out */
	size_t lent_len;    /* bytes of them */
	struct outlet **loan; /* where the lender knows that we have them; NULL: nobody has */
	int socket;         /* non-blocking, borrowed; -1: there is no client */
	int pipe;           /* where the content behind `header` is; borrowed */
	unsigned char header[FCGI_HEADER_LEN];
	uint16_t left;      /* bytes of the content behind it that are still to go out */
	unsigned char header_left; /* bytes of `header` that are still to go out */
	bool copies;        /* this system or socket cannot do without a copy */
	enum outlet_fault broken; /* for good */
	uint64_t sent;      /* bytes that the socket has been given, in all */
};

/* Without a client; at most `max` bytes wait. */
void outlet_init(struct outlet *outlet, size_t max);
void outlet_fini(struct outlet *outlet);

/* How many bytes are still to go out. */
size_t outlet_waiting(const struct outlet *outlet);

/*
 * How many bytes the client has taken of all that the socket was given, as far as the
 * system can tell; a unix socket counts some more as not taken.  For comparison with an earlier one:
 * it has changed if the client, or we, got on.
 */
int64_t outlet_taken(const struct outlet *outlet);

/* The same of all that it was given and what waits: outlet_taken() comes to it at the end. */
int64_t outlet_end(const struct outlet *outlet);

/* Whether the rest of a record is to come from pipe `fd`. */
bool outlet_is_moving(const struct outlet *outlet, int fd);

/*
 * Has the `len` bytes at `bytes`, whole records, go out without a copy of them: they have
 * to stay there until *`loan`, which is set to this outlet, is NULL again.  False if they
 * have to be copied, because something else waits or there is no client.
 */
bool outlet_lend(struct outlet *outlet, const unsigned char *bytes, size_t len,
    struct outlet **loan) MUST_CHECK;

/* Copies what is lent and still to go out into memory: the lender needs his.  May break it. */
void outlet_keep(struct outlet *outlet);

/*
 * Sends what the socket takes, and keeps the rest of what is lent.  0, or -1: the client is
 * gone or, if `broken`, has to be left, for what it would get next is not what it was told.
 */
int outlet_flush(struct outlet *outlet) MUST_CHECK;

/*
 * The same when our side is shut next: on TCP what is last goes out with the end of file, so
 * that the client sees both or neither.
 */
int outlet_flush_last(struct outlet *outlet) MUST_CHECK;

/*
 * Sends a STDOUT record of request `id` whose content is the next `len` bytes that
 * wait in pipe `fd`; a multiple of 8, at most 65528.  True if it is out or on its
 * way; false if it has to be copied: something else waits, or the system cannot do it.
 */
bool outlet_move(struct outlet *outlet, uint16_t id, int fd, size_t len) MUST_CHECK;

/* Takes from pipe `fd` what is still to come from it, if anything, into memory. */
void outlet_recall(struct outlet *outlet, int fd);

#endif

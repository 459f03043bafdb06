/* SPDX-License-Identifier: ISC */
/*
 * body: the request body on its way from FCGI_STDIN to the script's stdin.
 *
 *   body_feed -> [ spool ] -> the script's stdin (a pipe, non-blocking)
 *
 * What the pipe takes goes there at once; the rest waits in the spool.  The end
 * of the body is the empty record or the announced length, whichever comes first
 * (some clients never send the record).  A script that does not read its body, or
 * closes it, is in its right (RFC 3875 4.2): the rest is then dropped.
 */
#ifndef CGIBRIDGE_BODY_H
#define CGIBRIDGE_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "attributes.h"
#include "loop.h"
#include "spool.h"

#define BODY_LENGTH_UNKNOWN UINT64_MAX

struct body;
typedef void body_moved_fn(struct body *body);

struct body {
	struct loop *loop;
	struct spool spool;
	struct loop_watch pipe; /* the script's stdin while it is open and attached */
	uint64_t left;          /* still to come from the client, or BODY_LENGTH_UNKNOWN */
	uint64_t received;      /* bytes that have come and count */
	bool ended;             /* nothing more will come */
	bool dropped;           /* nobody wants it: the script is gone or has closed it */
	body_moved_fn *moved;   /* the script has taken bytes, or has closed its stdin */
};

/* An empty body of unknown length, spooled in `dir` up to `max` bytes. */
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

/* The empty FCGI_STDIN record: nothing more comes. */
void body_end(struct body *body);

/* Has the body go to `fd`, the script's stdin, which it owns and closes.  0, or -1 with errno. */
int body_attach(struct body *body, int fd) MUST_CHECK;

/* Closes the script's stdin and forgets all that waits for it; what still comes is dropped. */
void body_drop(struct body *body);

/* How many bytes wait for the script. */
uint64_t body_waiting(const struct body *body);

#endif

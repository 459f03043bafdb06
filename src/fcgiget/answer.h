/* SPDX-License-Identifier: ISC */
/*
 * answer: finds the end of a CGI response's header block, and its status.
 *
 * It takes the response's first bytes in pieces of any size, keeps the block as it arrived (at
 * most 64 KiB), and stops after the first empty line, ended by LF or CRLF.  It does not look at
 * the body.
 */
#ifndef CGIBRIDGE_ANSWER_H
#define CGIBRIDGE_ANSWER_H

#include <sys/types.h>

#include "base/buf.h"

enum { ANSWER_HEAD_MAX = 64 * 1024 };

struct answer {
	struct buf head; /* the block so far, the empty line included */
	size_t line;     /* bytes of the current line so far, a lone CR not counted */
	int status;      /* 0 until the block is complete; -1: a bad Status */
};

void answer_init(struct answer *a);
void answer_fini(struct answer *a);

/*
 * Reads header bytes from the `len` at `bytes`; call it until a->status is set.  Returns how
 * many it read: the rest is the body.  Returns -1 if the block is too long (errno ENOBUFS), has
 * a bad Status field (EBADMSG), or memory is short (ENOMEM).
 */
ssize_t answer_read_header(struct answer *a, const unsigned char *bytes, size_t len) MUST_CHECK;

/* The text for errno after answer_read_header() has failed. */
const char *answer_explain(int error);

/* The fault of a response that ended while a->status was 0, in words. */
const char *answer_missing(const struct answer *a);

#endif

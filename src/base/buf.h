/* SPDX-License-Identifier: ISC */
/*
 * buf: a linear byte buffer with a hard maximum.
 *
 *        data        start           end          cap       max
 *         |  consumed  |  the content  |  spare    |  may    |
 *         |            |               |           |  grow   |
 *
 * Always data <= start <= end <= cap <= max.  The content is contiguous, so it can be parsed
 * and written without wrapping around.  Memory is allocated by the first reservation and freed
 * by buf_fini() or buf_release(): an empty buffer that was released costs nothing but the
 * struct.
 */
#ifndef CGIBRIDGE_BUF_H
#define CGIBRIDGE_BUF_H

#include <stddef.h>

#include "base/attributes.h"

struct buf {
	unsigned char *data; /* owned; NULL while nothing is allocated */
	size_t start;        /* offset of the first byte of content */
	size_t end;          /* offset just past the last byte of content */
	size_t cap;          /* bytes allocated */
	size_t max;          /* cap never grows past this */
};

/* Makes `b` empty; it will never hold more than `max` bytes. */
void buf_init(struct buf *b, size_t max);

/* Frees the memory of `b`, which is then as after buf_init(). */
void buf_fini(struct buf *b);

/* Frees the memory if there is no content. */
void buf_release(struct buf *b);

/* The number of content bytes. */
size_t buf_len(const struct buf *b);

/* The first content byte; valid until the next reservation or append. */
unsigned char *buf_bytes(const struct buf *b);

/* How many bytes can still be added before the hard maximum. */
size_t buf_room(const struct buf *b);

/*
 * Makes room for `n` more bytes and returns where they go, or NULL with errno ENOBUFS (past
 * the maximum) or ENOMEM.  The content is unchanged either way.  Bytes written there count
 * only after buf_commit().
 */
unsigned char *buf_reserve(struct buf *b, size_t n) MUST_CHECK;

/* Adds the first `n` bytes of the last reservation to the content. */
void buf_commit(struct buf *b, size_t n);

/* Appends a copy of `n` bytes.  Returns 0, or -1 with errno as buf_reserve(). */
int buf_append(struct buf *b, const void *bytes, size_t n) MUST_CHECK;

/* Drops the first `n` bytes of content; n <= buf_len(b). */
void buf_consume(struct buf *b, size_t n);

#endif

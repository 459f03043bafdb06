/* SPDX-License-Identifier: ISC */
/*
 * upload: the source of the request's body: -d DATA, -d @FILE or -d @-.
 *
 * Of DATA, only the length is kept here: it is in memory already.
 */
#ifndef CGIBRIDGE_UPLOAD_H
#define CGIBRIDGE_UPLOAD_H

#include <sys/types.h>

#include "base/buf.h"

struct upload {
	int fd;    /* -1: the body is DATA, empty, or has been read */
	int sized; /* `left` is valid; else the body ends at end of file */
	off_t left;
};

/* Opens the source that `data`, the argument of -d or NULL, names.  0, or -1 with errno. */
int upload_init(struct upload *u, const char *data) MUST_CHECK;
void upload_fini(struct upload *u);

/* How many bytes are left to read; -1 if that is not known in advance. */
off_t upload_size(const struct upload *u);

/* Reads at most `len` bytes of the file: how many, 0 at the end, -1 with errno. */
ssize_t upload_read(struct upload *u, unsigned char *bytes, size_t len) MUST_CHECK;

/* The text for errno after upload_read() or upload_all() has failed. */
const char *upload_explain(int error);

/*
 * Appends the whole body that `data` names to `out`; may block.  0, or -1 with errno: ENOBUFS
 * if it is larger than `out` may be.
 */
int upload_all(const char *data, struct buf *out) MUST_CHECK;

#endif

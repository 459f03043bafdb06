/* SPDX-License-Identifier: ISC */
/*
 * upload: where the request's body comes from: -d DATA, -d @FILE or -d @-.
 *
 * DATA is only counted here: it is in memory already.
 */
#ifndef CGIBRIDGE_UPLOAD_H
#define CGIBRIDGE_UPLOAD_H

#include <sys/types.h>

#include "base/buf.h"

struct upload {
	int fd;    /* -1: the body is DATA, empty, or has been read */
	int sized; /* `left` counts; otherwise the body ends where the file does */
	off_t left;
};

/* Opens what `data`, -d's argument or NULL, names.  0, or -1 with errno. */
int upload_init(struct upload *u, const char *data) MUST_CHECK;
void upload_fini(struct upload *u);

/* How many bytes are to come; -1 if that is not known before their end. */
off_t upload_size(const struct upload *u);

/* Reads at most `len` bytes of the file: how many, 0 at the end, -1 with errno. */
ssize_t upload_read(struct upload *u, unsigned char *bytes, size_t len) MUST_CHECK;

/* What errno after upload_read() or upload_all() means. */
const char *upload_explain(int error);

/*
 * Puts all of the body that `data` gives into `out`, waiting for it.  0, or -1 with
 * errno: ENOBUFS if it is larger than `out` may be.
 */
int upload_all(const char *data, struct buf *out) MUST_CHECK;

#endif

/* SPDX-License-Identifier: ISC */
/*
 * record: whole FastCGI records appended to a buffer, padded to 8 bytes.
 *
 * A record is appended whole or not at all, so no failure here sends a peer a header without
 * its content.  The record_put functions return 0, or -1 with errno ENOBUFS or ENOMEM and the
 * buffer's content unchanged.
 */
#ifndef CGIBRIDGE_RECORD_H
#define CGIBRIDGE_RECORD_H

#include "base/buf.h"
#include "fcgi/fcgi.h"

/* The size in the buffer of a record with `content` bytes, with header and padding. */
size_t record_size(size_t content);

/* Appends one record; `len` <= 65535, and 0 makes the empty record that ends a stream. */
int record_put(struct buf *out, enum fcgi_type type, uint16_t id, const void *bytes,
    size_t len) MUST_CHECK;

/* Appends `len` bytes of a stream in as many records as they need (none if len is 0). */
int record_put_stream(struct buf *out, enum fcgi_type type, uint16_t id, const void *bytes,
    size_t len) MUST_CHECK;

/* Appends a BEGIN_REQUEST record; `flags` is 0 or FCGI_KEEP_CONN. */
int record_put_begin(struct buf *out, uint16_t id, enum fcgi_role role, unsigned flags) MUST_CHECK;

/* Appends the empty STDOUT record and END_REQUEST (spec 5.5). */
int record_put_end(struct buf *out, uint16_t id, uint32_t app_status,
    enum fcgi_protocol_status status) MUST_CHECK;

/* Appends an UNKNOWN_TYPE management record (spec 4.2). */
int record_put_unknown(struct buf *out, unsigned type) MUST_CHECK;

/*
 * A record whose content is read straight into the buffer: record_open() returns where up to
 * `max` content bytes go (or NULL, with errno as above), record_close() makes a record of the
 * `len` <= max bytes written there.  Opening without closing has no effect.
 */
unsigned char *record_open(struct buf *out, size_t max) MUST_CHECK;
void record_close(struct buf *out, enum fcgi_type type, uint16_t id, size_t len);

#endif

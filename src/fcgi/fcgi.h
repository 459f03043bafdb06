/* SPDX-License-Identifier: ISC */
/*
 * fcgi: the FastCGI 1.0 wire format, both ways.
 *
 * A record (spec 3.3):
 *
 *   0         1      2        4               6         7          8
 *   | version | type | id BE  | content BE    | padding | reserved | content... | padding... |
 *
 * The reader is incremental and holds no content: it hands out each record's content in the
 * pieces in which it arrived, so it needs the same memory however the input is split.  Nothing
 * here does I/O or allocates.
 */
#ifndef CGIBRIDGE_FCGI_H
#define CGIBRIDGE_FCGI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"

enum {
	FCGI_VERSION_1 = 1,
	FCGI_HEADER_LEN = 8,
	FCGI_BODY_LEN = 8,         /* BEGIN_REQUEST, END_REQUEST, UNKNOWN_TYPE bodies */
	FCGI_MAX_CONTENT = 65535,
	FCGI_MAX_PADDING = 255,
	FCGI_NULL_REQUEST_ID = 0,  /* management records */
	FCGI_KEEP_CONN = 1,        /* BEGIN_REQUEST flag */
	FCGI_LISTENSOCK_FILENO = 0,
};

enum fcgi_type {
	FCGI_BEGIN_REQUEST = 1,
	FCGI_ABORT_REQUEST = 2,
	FCGI_END_REQUEST = 3,
	FCGI_PARAMS = 4,
	FCGI_STDIN = 5,
	FCGI_STDOUT = 6,
	FCGI_STDERR = 7,
	FCGI_DATA = 8,
	FCGI_GET_VALUES = 9,
	FCGI_GET_VALUES_RESULT = 10,
	FCGI_UNKNOWN_TYPE = 11,
};

enum fcgi_role { FCGI_RESPONDER = 1, FCGI_AUTHORIZER = 2, FCGI_FILTER = 3 };

enum fcgi_protocol_status {
	FCGI_REQUEST_COMPLETE = 0,
	FCGI_CANT_MPX_CONN = 1,
	FCGI_OVERLOADED = 2,
	FCGI_UNKNOWN_ROLE = 3,
};

/*
 * The name of record type `type` for a log line; "unknown" if the specification has no such
 * type.
 */
const char *fcgi_type_name(unsigned type);

/* ---- writing ---------------------------------------------------------- */

/* Writes a record header.  `content` <= 65535 and `padding` <= 255 bytes follow it. */
void fcgi_put_header(unsigned char out[FCGI_HEADER_LEN], enum fcgi_type type, uint16_t id,
    size_t content, size_t padding);

/* How many padding bytes bring `content` to a multiple of 8. */
size_t fcgi_padding(size_t content);

/* Writes a BEGIN_REQUEST body (spec 5.1); `flags` is 0 or FCGI_KEEP_CONN. */
void fcgi_put_begin(unsigned char out[FCGI_BODY_LEN], enum fcgi_role role, unsigned flags);

/* Writes an END_REQUEST body (spec 5.5). */
void fcgi_put_end(unsigned char out[FCGI_BODY_LEN], uint32_t app_status,
    enum fcgi_protocol_status status);

/* Writes an UNKNOWN_TYPE body (spec 4.2). */
void fcgi_put_unknown(unsigned char out[FCGI_BODY_LEN], unsigned type);

/* ---- name-value pairs (spec 3.4) --------------------------------------- */

struct fcgi_pair {
	const unsigned char *name;  /* points into the parsed bytes, not terminated */
	size_t name_len;
	const unsigned char *value;
	size_t value_len;
};

/*
 * Decodes the pair at the start of the `len` bytes at `bytes` into `pair`.  Returns its size,
 * or 0 when the pair is incomplete: more bytes may complete it; at the end of a stream it is
 * malformed.
 */
size_t fcgi_get_pair(const unsigned char *bytes, size_t len, struct fcgi_pair *pair) MUST_CHECK;

/* The encoded size of a pair with these lengths. */
size_t fcgi_pair_size(size_t name_len, size_t value_len);

/* Writes `pair` at `out`, which has fcgi_pair_size() bytes of room; returns that size. */
size_t fcgi_put_pair(unsigned char *out, const struct fcgi_pair *pair);

/* ---- reading ----------------------------------------------------------- */

/* One step of the reader: a piece of a record's content. */
struct fcgi_piece {
	unsigned type;              /* as sent; not always an enum fcgi_type */
	uint16_t id;
	size_t content;             /* of the whole record; 0 ends a stream */
	const unsigned char *bytes; /* this piece, in the caller's input */
	size_t len;                 /* of this piece; 0 only if `content` is 0 */
	int last;                   /* the record's content ends with this piece */
};

struct fcgi_reader {
	unsigned char header[FCGI_HEADER_LEN];
	uint16_t content;      /* content bytes of the record still to come */
	unsigned char padding; /* padding bytes of the record still to come */
	unsigned char have;    /* header bytes collected; FCGI_HEADER_LEN inside a record */
};

void fcgi_reader_init(struct fcgi_reader *r);

/*
 * Consumes some of the `len` (> 0) bytes at `bytes`, up to the end of the next piece.  Returns
 * how many, at least 1.  If `piece->len` and `piece->last` are both 0, they were not a piece
 * but part of a header, or padding: call again with the rest.  Returns -1 when the bytes are
 * not a FastCGI 1 record; the stream is then lost, and r->header[0] is the version byte that
 * was found.
 */
ssize_t fcgi_reader_next(struct fcgi_reader *r, const unsigned char *bytes, size_t len,
    struct fcgi_piece *piece) MUST_CHECK;

/*
 * For callers that take content without the reader.  fcgi_reader_record() describes the
 * current record or, between two records, the one before; type 0 if that is not known.
 * `record->len` is how much of its content is still to come; fcgi_reader_skip() says that `n`
 * bytes of that have been taken.
 */
void fcgi_reader_record(const struct fcgi_reader *r, struct fcgi_piece *record);
void fcgi_reader_skip(struct fcgi_reader *r, size_t n);

/* After the content of a record: how many bytes there are before that of the next one. */
size_t fcgi_reader_gap(const struct fcgi_reader *r);

/* Whether the input so far ends between two records. */
bool fcgi_reader_between(const struct fcgi_reader *r);

/*
 * Collects the content of a short record that is needed whole, such as BEGIN_REQUEST.  Appends
 * `piece` to `body` (of `size` bytes) and adds its length to `*have`.  Bytes past `size` are
 * counted but not kept.
 */
void fcgi_collect(const struct fcgi_piece *piece, unsigned char *body, size_t size,
    size_t *have);

/* Reads a BEGIN_REQUEST body. */
void fcgi_get_begin(const unsigned char body[FCGI_BODY_LEN], unsigned *role, unsigned *flags);

/* Reads an END_REQUEST body. */
void fcgi_get_end(const unsigned char body[FCGI_BODY_LEN], uint32_t *app_status,
    unsigned *status);

#endif

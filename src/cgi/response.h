/* SPDX-License-Identifier: ISC */
/*
 * response: a CGI response (RFC 3875 6) -> one that every FastCGI client reads alike.
 *
 * The header block is read whole, checked, and written anew: Status first, CRLF
 * line ends, everything else as the script gave it and in its order.  A script
 * that answers in HTTP itself ("nph-": a status line first) is brought to the
 * same form, its chunked body decoded.  The body is then a filter: cut at
 * Content-Length, dropped where there must be none.
 *
 *   HEAD --(empty line)--> BODY --(all of Content-Length, last chunk)--> DONE
 *
 * It reads nothing and writes nothing.
 */
#ifndef CGIBRIDGE_RESPONSE_H
#define CGIBRIDGE_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/buf.h"

enum {
	RESPONSE_HEAD_MAX = 32 * 1024, /* header block, as the script wrote it */
	RESPONSE_PAGE_MAX = 1024,      /* what response_page() writes */
};

enum response_kind {
	RESPONSE_NORMAL,
	RESPONSE_NO_BODY,   /* to a HEAD request (RFC 3875 4.3.3) */
	RESPONSE_AUTHORIZER, /* FastCGI 6.3: a 200 is reduced to Status and Variable-* */
};

/* Where the decoder of a chunked body stands (RFC 9112 7.1). */
enum chunk_state {
	CHUNK_START, /* a digit of the size is due */
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_DATA,
	CHUNK_DATA_END,
	CHUNK_TRAILER,
	CHUNK_TRAILER_LINE,
	CHUNK_DONE,
	CHUNK_BROKEN,
};

struct response {
	enum response_kind kind;
	int status;           /* 200 if the script says nothing else */
	bool http;            /* the script wrote an HTTP status line */
	bool drops_body;      /* HEAD, 204, 304, a granting authorizer */
	bool counts;          /* `left` counts down to the end of the body */
	bool longer;          /* the script wrote more body than it said: it is cut */
	bool chunked;         /* the body is chunked, and decoded here */
	enum chunk_state chunk;
	uint64_t left;        /* of the body, or of the chunk */
	const char *fault;    /* after response_parse() has returned -1: what is wrong */
};

void response_init(struct response *response, enum response_kind kind);

/*
 * Looks for a complete header block in the `len` bytes at `raw`, which start with
 * the script's first byte.  Returns the block's length with the empty line; 0 when
 * more is needed; -1 when it is broken, `response->fault` set.
 */
ptrdiff_t response_parse(
    struct response *response, const unsigned char *raw, size_t len) MUST_CHECK;

/* The most bytes that response_render() makes of a block of `len` bytes. */
size_t response_rendered_max(size_t len);

/*
 * Writes the normalised form of the parsed block of `len` bytes at `raw` to `out`,
 * which has response_rendered_max() bytes; returns how many it wrote.
 */
size_t response_render(const struct response *response, const unsigned char *raw, size_t len,
    unsigned char *out);

/*
 * Filters the next `len` body bytes, in place: returns how many of them (now the
 * first ones) go on to the client.
 */
size_t response_body(struct response *response, unsigned char *bytes, size_t len);

/*
 * How many of the next `len` body bytes go on to the client as they are, without
 * response_body() having to see them.  response_skip() says that `n` of them have.
 */
size_t response_passes(const struct response *response, size_t len);
void response_skip(struct response *response, size_t n);

/* Whether the client can tell, without an end, that it has all. */
bool response_is_whole(const struct response *response);

/* Whether the script owes the client more body than it has given: at its end, an error. */
bool response_is_short(const struct response *response);

/* The reason phrase of an HTTP status code. */
const char *response_reason(int status);

/*
 * Writes a whole response of our own to `out` (RESPONSE_PAGE_MAX bytes): Status,
 * a plain-text line that names it and `detail`, Retry-After with a 503.
 */
size_t response_page(enum response_kind kind, int status, const char *detail, unsigned char *out);

#endif

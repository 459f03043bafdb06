/* SPDX-License-Identifier: ISC */
/*
 * response: a CGI response (RFC 3875 6) -> one that every FastCGI client reads alike.
 *
 * The header block is read whole and checked.  One in normal form goes out as it is:
 * CRLF line ends, a Status, if any, in front and with a reason, each CGI field once.
 * Another is brought to that form.  A script that answers in HTTP itself ("nph-": a
 * status line first) is too, its interim responses skipped.  What is wrong with a block
 * and can be mended is a flaw; the rest is a fault.  The body is then a filter: cut at
 * Content-Length, decoded if it is chunked, dropped where there must be none.
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
	RESPONSE_HEAD_MAX = 64 * 1024,   /* header block, as the script wrote it */
	RESPONSE_GROWTH_MAX = 22 * 1024, /* bytes that its normal form has more than it */
	RESPONSE_START_MAX = 500,        /* bytes of a faulty output that are shown */
	RESPONSE_DETAIL_MAX = 2400,      /* of an error page: them, escaped, and some words */
	RESPONSE_PAGE_MAX = RESPONSE_DETAIL_MAX + 512, /* what response_page() writes */
};

enum response_kind {
	RESPONSE_NORMAL,
	RESPONSE_HEAD,       /* to a HEAD request of a client that drops the body itself */
	RESPONSE_NO_BODY,    /* to any other HEAD request (RFC 3875 4.3.3) */
	RESPONSE_AUTHORIZER, /* FastCGI 6.3: a 200 is reduced to Status and Variable-* */
};

/* How it is known where the body ends (RFC 9112 6). */
enum response_framing {
	RESPONSE_TO_END,  /* with the script's output */
	RESPONSE_COUNTED, /* Content-Length: `left` counts down to it */
	RESPONSE_CHUNKED, /* with the last chunk; it is decoded here */
	RESPONSE_EMPTY,   /* there must be none, and what comes is dropped */
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

/* What can be wrong with a response that goes out all the same; numbers of bits. */
enum response_flaw {
	FLAW_STATUS_TWICE, /* these four in the order of enum response_field */
	FLAW_LENGTH_TWICE,
	FLAW_LOCATION_TWICE,
	FLAW_TYPE_TWICE,
	FLAW_NO_FIELD,
	FLAW_NO_HEADER,
	FLAW_FOLDED,
	FLAW_CR,
	FLAW_BAD_LENGTH,
	FLAW_STATUS_FORM,
	FLAW_MARK,
	FLAW_ENCODING,
	FLAW_NOT_CHUNKED,
	RESPONSE_FLAWS
};

/* The fields of which one line counts. */
enum response_field {
	RESPONSE_STATUS,
	RESPONSE_LENGTH,
	RESPONSE_LOCATION,
	RESPONSE_TYPE,
	RESPONSE_FIELDS
};

struct response {
	enum response_kind kind;
	bool strict;          /* a flaw is a fault, too */
	bool http;            /* the script wrote an HTTP status line */
	bool as_is;           /* the block is in normal form */
	int status;           /* 200 if the script says nothing else */
	enum response_framing framing;
	bool longer;          /* the script wrote more body than it said: it is cut */
	enum chunk_state chunk;
	uint64_t left;        /* of the body, or of the chunk */
	unsigned flaws;       /* 1 << enum response_flaw */
	uint32_t begin;       /* where the block is: behind a byte order mark, interim responses */
	uint32_t line[RESPONSE_FIELDS]; /* where the line that counts is; RESPONSE_NOWHERE */
	const char *fault;    /* after response_parse() has returned -1: what is wrong */
};

#define RESPONSE_NOWHERE UINT32_MAX

void response_init(struct response *response, enum response_kind kind, bool strict);

/*
 * Looks for a complete header block in the `len` bytes at `raw`, which start with
 * the script's first byte; `ended`: nothing follows them.  Returns the block's length
 * with all in front of it and the empty line; 0 when more is needed; -1 when it is
 * broken, `response->fault` set.
 */
ptrdiff_t response_parse(struct response *response, const unsigned char *raw, size_t len,
    bool ended) MUST_CHECK;

/*
 * Writes the normal form of the parsed block of `len` bytes at `raw` to `out`, which has
 * room for `len` + RESPONSE_GROWTH_MAX bytes; returns how many it wrote.
 */
size_t response_render(const struct response *response, const unsigned char *raw, size_t len,
    unsigned char *out);

/* In words: a flaw, and how it is dealt with. */
const char *response_flaw_text(enum response_flaw flaw);
const char *response_flaw_cure(enum response_flaw flaw);

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

/* SPDX-License-Identifier: ISC */
/*
 * response: a CGI response (RFC 3875 6) -> one that every FastCGI client reads alike.
 *
 * The header block is read whole and checked.  One in normal form is sent as it is: CRLF line
 * ends, Status, if any, in front and with a reason, each CGI field once.  Any other is brought
 * to that form, also that of a script that answers in HTTP itself ("nph-": a status line
 * first), whose interim responses are skipped.  A mistake in a block is a flaw if it can be
 * mended, else a fault.  The body is then filtered: cut at Content-Length, decoded if it is
 * chunked, dropped where there must be none.
 *
 *   the header block --> TO_END, COUNTED, CHUNKED or EMPTY;  COUNTED --a byte too many--> OVERRUN
 *
 *   CHUNKED: START --> SIZE ----its line ends----------> DATA --all of it--> DATA_END --> START
 *                       |  \--> EXTENSION --the same--> ^
 *                       \--a size of 0--> TRAILER --empty line--> DONE
 *                                            ^ \--> TRAILER_LINE --ends-\
 *                                            \--------------------------/
 *            START, SIZE, DATA_END --another byte--> BROKEN: the rest is dropped
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
	RESPONSE_HEAD_MAX = 64 * 1024,   /* bytes of a header block, as the script wrote it */
	RESPONSE_GROWTH_MAX = 22 * 1024, /* bytes by which its normal form may be longer */
	RESPONSE_START_MAX = 500,        /* bytes of faulty output that are shown */
	RESPONSE_DETAIL_MAX = 2400,      /* bytes of an error page: those, escaped, and some text */
	RESPONSE_PAGE_MAX = RESPONSE_DETAIL_MAX + 512, /* bytes that response_page() may write */
};

enum response_kind {
	RESPONSE_NORMAL,
	RESPONSE_HEAD,       /* to a HEAD request of a client that drops the body itself */
	RESPONSE_NO_BODY,    /* to any other HEAD request (RFC 3875 4.3.3) */
	RESPONSE_AUTHORIZER, /* FastCGI 6.3: a 200 is reduced to Status and Variable-* */
};

/* How the end of the body is found (RFC 9112 6). */
enum response_framing {
	RESPONSE_TO_END,  /* with the script's output */
	RESPONSE_COUNTED, /* Content-Length: `left` counts down to it */
	RESPONSE_OVERRUN, /* the same, but the script has written more: that is dropped */
	RESPONSE_CHUNKED, /* with the last chunk; it is decoded here */
	RESPONSE_EMPTY,   /* there must be none: any bytes are dropped */
};

/* Where the decoder of a chunked body stands (RFC 9112 7.1). */
enum chunk_state {
	CHUNK_START, /* a digit of the size must follow */
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_DATA,
	CHUNK_DATA_END,
	CHUNK_TRAILER,
	CHUNK_TRAILER_LINE,
	CHUNK_DONE,
	CHUNK_BROKEN,
};

/* Flaws of a response that is sent all the same; bit numbers. */
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

/* The fields of which only one line counts. */
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
	bool local;           /* a path in Location, and nothing else: RFC 3875 6.2.2 */
	int status;           /* 200 if the script says nothing else */
	enum response_framing framing;
	bool accel;           /* one that is `local` goes out as X-Accel-Redirect */
	enum chunk_state chunk;
	uint64_t left;        /* bytes left of the body, or of the chunk */
	unsigned flaws;       /* 1 << enum response_flaw */
	uint32_t begin;       /* where the block is: after byte order mark, interim responses */
	uint32_t line[RESPONSE_FIELDS]; /* offset of the line that counts, or RESPONSE_NOWHERE */
	const char *fault;    /* why response_parse() returned -1 */
};

#define RESPONSE_NOWHERE UINT32_MAX

void response_init(struct response *response, enum response_kind kind, bool strict);

/*
 * Looks for a complete header block in the `len` bytes at `raw`, which start with the script's
 * first byte; `ended`: nothing follows them.  Returns the length of the block, with everything
 * before it and its empty line; 0 if more is needed; -1 with `response->fault` set if it is
 * broken.
 */
ptrdiff_t response_parse(struct response *response, const unsigned char *raw, size_t len,
    bool ended) MUST_CHECK;

/*
 * Writes the normal form of the parsed block of `len` bytes at `raw` to `out`, which has
 * room for `len` + RESPONSE_GROWTH_MAX bytes; returns how many it wrote.
 */
size_t response_render(const struct response *response, const unsigned char *raw, size_t len,
    unsigned char *out);

/*
 * The path, and query, of the parsed block of `len` bytes at `raw`, which is `local`; it is not
 * terminated, and has `*path_len` bytes.
 */
const char *response_local_path(const struct response *response, const unsigned char *raw,
    size_t len, size_t *path_len);

/* A flaw in words, and how it is dealt with. */
const char *response_flaw_text(enum response_flaw flaw);
const char *response_flaw_cure(enum response_flaw flaw);

/*
 * Filters the next `len` body bytes, in place: returns how many of them, now the first ones, go
 * to the client.
 */
size_t response_body(struct response *response, unsigned char *bytes, size_t len);

/*
 * How many of the next `len` body bytes go to the client unchanged, without response_body();
 * response_skip() tells that `n` of them did.
 */
size_t response_passes(const struct response *response, size_t len);
void response_skip(struct response *response, size_t n);

/* Whether the client can tell that the response is complete before it ends. */
bool response_is_whole(const struct response *response);

/* Whether the body is shorter than announced: an error if the output has ended. */
bool response_is_short(const struct response *response);

/* The reason phrase of an HTTP status code. */
const char *response_reason(int status);

/*
 * Writes a response of the bridge itself to `out` (RESPONSE_PAGE_MAX bytes): Status,
 * Retry-After with a 503, and, if it may have a body, a plain-text line with the status and
 * `detail`.  Returns its length.
 */
size_t response_page(enum response_kind kind, int status, const char *detail, unsigned char *out);

#endif

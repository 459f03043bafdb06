/* SPDX-License-Identifier: ISC */
/*
 * check_response: every shape of header block, each cut at every byte; what goes out
 * instead; and the body's filter, split at every byte.
 */
#include "check_util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgi/response.h"

/* ---- blocks that are good ------------------------------------------------------- */

#define CT "Content-Type: text/plain\r\n"

static const struct shape {
	enum response_kind kind;
	const char *raw;      /* with the empty line */
	const char *rendered;
} shapes[] = {
	/* line ends */
	{RESPONSE_NORMAL, "Content-Type: text/plain\r\n\r\n", CT "\r\n"},
	{RESPONSE_NORMAL, "Content-Type: text/plain\n\n", CT "\r\n"},
	{RESPONSE_NORMAL, "Content-Type: text/plain\r\n\n", CT "\r\n"},
	{RESPONSE_NORMAL, "Content-Type: text/plain\nX: y\r\n\r\n",
	    CT "X: y\r\n\r\n"},
	/* Status goes first, three digits and a reason */
	{RESPONSE_NORMAL, "Status: 404 Not Found\n\n", "Status: 404 Not Found\r\n\r\n"},
	{RESPONSE_NORMAL, "Content-Type: text/plain\nStatus: 404 Gone Fishing\n\n",
	    "Status: 404 Gone Fishing\r\n" CT "\r\n"},
	{RESPONSE_NORMAL, "WWW-Authenticate: Basic\nStatus: 401\n\n",
	    "Status: 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n"},
	{RESPONSE_NORMAL, "status:403\n\n", "Status: 403 Forbidden\r\n\r\n"},
	{RESPONSE_NORMAL, "STATUS:  \t403 \t\n\n", "Status: 403 Forbidden\r\n\r\n"},
	{RESPONSE_NORMAL, "Status: 299\n\n", "Status: 299 Status\r\n\r\n"},
	{RESPONSE_NORMAL, "Status: 200 \n\n", "Status: 200 OK\r\n\r\n"},
	/* redirects */
	{RESPONSE_NORMAL, "Location: http://example.org/\n\n",
	    "Status: 302 Found\r\nLocation: http://example.org/\r\n\r\n"},
	{RESPONSE_NORMAL, "Location: http://example.org/\nStatus: 301 Moved\nX: 1\n\n",
	    "Status: 301 Moved\r\nLocation: http://example.org/\r\nX: 1\r\n\r\n"},
	{RESPONSE_NORMAL, "Location: /local\nContent-Type: text/plain\n\n",
	    "Status: 302 Found\r\nLocation: /local\r\n" CT "\r\n"},
	/* all else stays as it is and where it is */
	{RESPONSE_NORMAL,
	    "Set-Cookie: a=1\nContent-type:text/plain\nSet-Cookie: b=2\nX-Empty:\nX:  two  \n\n",
	    "Set-Cookie: a=1\r\nContent-type:text/plain\r\nSet-Cookie: b=2\r\n"
	    "X-Empty:\r\nX:  two  \r\n\r\n"},
	{RESPONSE_NORMAL, "Content-Type: text/plain\nX: caf\xc3\xa9\tok\n!#$%&'*+-.^_`|~09: tok\n\n",
	    CT "X: caf\xc3\xa9\tok\r\n!#$%&'*+-.^_`|~09: tok\r\n\r\n"},
	{RESPONSE_NORMAL, "Content-Type: text/plain\nConnection: close\n\n",
	    CT "Connection: close\r\n\r\n"},
	/* a Reset Content has no body, and no length of one */
	{RESPONSE_NORMAL, "Status: 205 Reset Content\r\nContent-Length: 5\r\nX: y\r\n\r\n",
	    "Status: 205 Reset Content\r\nX: y\r\n\r\n"},
	/* interim responses are skipped to the final one */
	{RESPONSE_NORMAL,
	    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
	    "HTTP/1.1 404 Not Here\r\nX: y\r\n\r\n",
	    "Status: 404 Not Here\r\nX: y\r\n\r\n"},
	{RESPONSE_NORMAL, "HTTP/1.1 102\n\nStatus: 201\nContent-Type: text/plain\n\n",
	    "Status: 201 Created\r\n" CT "\r\n"},
	/* nph: the status line becomes Status, connection headers go */
	{RESPONSE_NORMAL, "HTTP/1.1 404 Not Here\r\n\r\n", "Status: 404 Not Here\r\n\r\n"},
	{RESPONSE_NORMAL, "HTTP/1.1 404  Not Here \t\r\n\r\n", "Status: 404 Not Here\r\n\r\n"},
	{RESPONSE_NORMAL, "HTTP/1.1 404 \r\n Not\r\n Here\r\n \r\n\r\n",
	    "Status: 404 Not Here\r\n\r\n"},
	{RESPONSE_NORMAL, "HTTP/1.0 200 OK\nServer: x\n\n", "Status: 200 OK\r\nServer: x\r\n\r\n"},
	{RESPONSE_NORMAL, "HTTP/2 204\n\n", "Status: 204 No Content\r\n\r\n"},
	{RESPONSE_NORMAL,
	    "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nX: 1\r\nTE: x\r\n"
	    "Trailer: y\r\nUpgrade: z\r\nProxy-Connection: p\r\n\r\n",
	    "Status: 200 OK\r\nX: 1\r\n\r\n"},
	{RESPONSE_NORMAL, "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 3\r\n\r\n",
	    "Status: 200 OK\r\n\r\n"},
	{RESPONSE_NORMAL, "HTTP/1.1 301 Moved\r\nLocation: /x\r\n\r\n",
	    "Status: 301 Moved\r\nLocation: /x\r\n\r\n"},
	{RESPONSE_NORMAL, "HTTP/1.1 200 OK\r\nLocation: /created\r\n\r\n",
	    "Status: 200 OK\r\nLocation: /created\r\n\r\n"},
	/* an authorizer that grants says nothing but Status and Variable-* (FastCGI 6.3) */
	{RESPONSE_AUTHORIZER,
	    "Content-Type: text/plain\nVariable-USER: joe\nSet-Cookie: a=1\nvariable-x: y\n\n",
	    "Status: 200 OK\r\nVariable-USER: joe\r\nvariable-x: y\r\n\r\n"},
	{RESPONSE_AUTHORIZER, "Status: 403 No\nContent-Type: text/plain\nVariable-USER: joe\n\n",
	    "Status: 403 No\r\n" CT "Variable-USER: joe\r\n\r\n"},
	{RESPONSE_NO_BODY, "Content-Type: text/plain\nContent-Length: 5\n\n",
	    CT "Content-Length: 5\r\n\r\n"},
};

enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Parses the first `len` bytes from memory that ends there; `ended`: no more follow. */
static ptrdiff_t parse_part(struct response *response, const char *raw, size_t len, bool ended)
{
	unsigned char *copy = malloc(len + (len == 0));
	ptrdiff_t result;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, raw, len);
	result = response_parse(response, copy, len, ended);
	free(copy);
	return result;
}

static ptrdiff_t parse_cut(struct response *response, const char *raw, size_t len)
{
	return parse_part(response, raw, len, false);
}

/* Bytes that are rendered as they are, or the normal form; owned by the caller. */
static char *render(const struct response *response, const char *raw, size_t len)
{
	char *out = malloc(len + RESPONSE_GROWTH_MAX + 1);
	size_t n = len;

	ck_assert_ptr_nonnull(out);
	memcpy(out, raw, len);
	if (!response->as_is)
		n = response_render(response, (const unsigned char *)raw, len, (unsigned char *)out);
	ck_assert_uint_le(n, len + RESPONSE_GROWTH_MAX);
	out[n] = '\0';
	return out;
}

static void check_rendered(const struct shape *shape, bool strict)
{
	struct response response;
	size_t len = strlen(shape->raw);
	char *out;

	response_init(&response, shape->kind, strict);
	/* whether a body is chunked shows in the body: here it ends before that */
	ck_assert_int_eq(parse_part(&response, shape->raw, len, true), (ptrdiff_t)len);
	out = render(&response, shape->raw, len);
	ck_assert_str_eq(out, shape->rendered);
	ck_assert_int_eq(response.flaws & ~(1U << FLAW_ENCODING), 0);
	free(out);
}

START_TEST(every_shape_is_rendered)
{
	check_rendered(&shapes[_i], true);
	check_rendered(&shapes[_i], false);
}
END_TEST

START_TEST(every_shape_needs_more_until_it_is_whole)
{
	const struct shape *shape = &shapes[_i];
	size_t len = strlen(shape->raw);
	struct response grown; /* one object, as the relay uses it */
	char *more = malloc(len + 8);

	ck_assert_ptr_nonnull(more);
	memcpy(more, shape->raw, len);
	memcpy(more + len, "\n\nbody: x", 8);
	response_init(&grown, shape->kind, true);
	for (size_t cut = 0; cut < len; cut++) {
		struct response fresh;

		response_init(&fresh, shape->kind, true);
		ck_assert_int_eq(parse_cut(&fresh, shape->raw, cut), 0);
		ck_assert_int_eq(parse_cut(&grown, shape->raw, cut), 0);
	}
	/* what is behind the empty line is no header */
	for (size_t extra = 0; extra <= 8; extra++)
		ck_assert_int_eq(parse_cut(&grown, more, len + extra), (ptrdiff_t)len);
	free(more);
}
END_TEST

/* ---- blocks that are broken -------------------------------------------------------- */

#define BLOCK(text) {text, sizeof text - 1}

static const struct {
	const char *raw;
	size_t len;
} broken[] = {
	/* no headers */
	BLOCK("\n"), BLOCK("\r\n"), BLOCK("<html>\n\n"), BLOCK("hello\nContent-Type: x\n\n"),
	/* none of the three */
	BLOCK("X: y\n\n"), BLOCK("Set-Cookie: a=1\nContent-Length: 0\n\n"),
	/* more than one */
	BLOCK("Content-Type: a\ncontent-type: a\n\n"), BLOCK("Status: 200\nX: 1\nSTATUS: 200\n\n"),
	BLOCK("Location: /a\nLocation: /a\n\n"),
	BLOCK("Content-Type: a\nContent-Length: 1\nContent-Length: 1\n\n"),
	/* folding */
	BLOCK("Content-Type: a\n b\n\n"), BLOCK("Content-Type: a\n\tb\n\n"),
	BLOCK(" Content-Type: a\n\n"),
	/* names */
	BLOCK("Content-Type : a\n\n"), BLOCK(": a\n\n"), BLOCK("Content-Type\n\n"),
	BLOCK("Content Type: a\n\n"), BLOCK("Cont\xc3\xa9nt: a\n\n"), BLOCK("A(b): c\n\n"),
	BLOCK("A\0B: c\n\n"),
	/* bytes */
	BLOCK("Content-Type: a\0b\n\n"), BLOCK("Content-Type: a\rb\n\n"),
	BLOCK("Content-Type: a\r\r\n\r\n"),
	/* Status */
	BLOCK("Status:\n\n"), BLOCK("Status: OK\n\n"), BLOCK("Status: 20\n\n"),
	BLOCK("Status: 2000\n\n"), BLOCK("Status: 099\n\n"), BLOCK("Status: -20 x\n\n"),
	BLOCK("Status: 200OK\n\n"), BLOCK("HTTP/1.1 OK\n\n"), BLOCK("HTTP/1.1 2000 OK\n\n"),
	BLOCK("HTTP/1.1     \n\n"),
	/* Content-Length */
	BLOCK("Content-Type: a\nContent-Length:\n\n"),
	BLOCK("Content-Type: a\nContent-Length: x\n\n"),
	BLOCK("Content-Type: a\nContent-Length: -1\n\n"),
	BLOCK("Content-Type: a\nContent-Length: +1\n\n"),
	BLOCK("Content-Type: a\nContent-Length: 1 1\n\n"),
	BLOCK("Content-Type: a\nContent-Length: 0x1\n\n"),
	BLOCK("Content-Type: a\nContent-Length: 18446744073709551616\n\n"),
	/* a status line that is not the first line, an encoding that we cannot undo */
	BLOCK("X: y\nHTTP/1.1 200 OK\n\n"), BLOCK("HTTP/1.1 200 OK\nTransfer-Encoding: gzip\n\n"),
	/* bytes in a status line */
	BLOCK("HTTP/1.1 200 O\rK\n\n"), BLOCK("HTTP/1.1 200 O\0K\n\n"),
};

enum { BROKEN = sizeof broken / sizeof *broken };

START_TEST(every_broken_block_is_refused_with_a_reason)
{
	bool seen = false;

	for (size_t cut = 0; cut <= broken[_i].len; cut++) {
		struct response response;
		ptrdiff_t result;

		response_init(&response, RESPONSE_NORMAL, true);
		result = parse_cut(&response, broken[_i].raw, cut);
		ck_assert_int_le(result, 0); /* never taken for whole */
		ck_assert(!seen || result < 0);
		seen = result < 0;
		if (seen) {
			ck_assert_ptr_nonnull(response.fault);
			ck_assert_uint_gt(strlen(response.fault), 5);
		}
	}
	ck_assert_msg(seen, "block %d is no fault", _i);
}
END_TEST

START_TEST(a_block_has_a_largest_size)
{
	size_t len = RESPONSE_HEAD_MAX;
	char *raw = malloc(len + 100);
	struct response response;

	ck_assert_ptr_nonnull(raw);
	response_init(&response, RESPONSE_NORMAL, true);
	memset(raw, 'x', len + 100);
	memcpy(raw, "Content-Type: ", 14);
	ck_assert_int_eq(parse_cut(&response, raw, len - 1), 0);
	ck_assert_int_eq(parse_cut(&response, raw, len), -1);
	ck_assert_ptr_nonnull(strstr(response.fault, "64 KiB"));
	memcpy(raw + len - 2, "\n\n", 2);
	ck_assert_int_eq(parse_cut(&response, raw, len), (ptrdiff_t)len);
	free(raw);
}
END_TEST

START_TEST(the_worst_growth_has_room)
{
	size_t len = RESPONSE_HEAD_MAX;
	unsigned char *raw = malloc(len);
	unsigned char *out = malloc(len + RESPONSE_GROWTH_MAX);
	struct response response;
	size_t at = 0;

	ck_assert(raw != NULL && out != NULL);
	memcpy(raw, "Status:500\n", 11);
	for (at = 11; at + 4 <= len; at += 3)
		memcpy(raw + at, "a:\n", 3);
	raw[at++] = '\n';
	response_init(&response, RESPONSE_NORMAL, false);
	ck_assert_int_eq(response_parse(&response, raw, at, false), (ptrdiff_t)at);
	ck_assert_uint_le(response_render(&response, raw, at, out), at + RESPONSE_GROWTH_MAX);
	free(raw);
	free(out);
}
END_TEST

/* ---- blocks in normal form -------------------------------------------------------- */

START_TEST(what_is_in_normal_form_is_left_alone)
{
	static const struct {
		const char *raw;
		bool as_is;
	} blocks[] = {
		{CT "\r\n", true},
		{"X: y\r\n" CT "Content-Length: 5\r\n\r\n", true},
		{"Status: 404 Not Found\r\n" CT "\r\n", true},
		{"status: 404 Gone\r\nLocation: /x\r\n\r\n", true},
		{"Content-Type: text/plain\n\r\n", false},
		{CT "\n", false},
		{CT "Status: 404 Not Found\r\n\r\n", false},
		{"Status: 404\r\n\r\n", false},
		{"Status:404 Not Found\r\n\r\n", false},
		{"Status:\t404 Not Found\r\n\r\n", false},
		{"Status:  404 Not Found\r\n\r\n", false},
		{"Status: 404  Not Found\r\n\r\n", false},
		{"Status: 404 \tNot Found\r\n\r\n", false},
		{"Status: 404 : Not Found\r\n\r\n", false},
		{"Status: 404 Not Found \r\n\r\n", false},
		{"Location: /x\r\n\r\n", false},
		{"HTTP/1.1 200 OK\r\n" CT "\r\n", false},
		{CT CT "\r\n", false},
		{"X: y\r\n\r\n", false},
		{CT "Content-Length: x\r\n\r\n", false},
		{"Status: 205 No\r\nContent-Length: 0\r\n\r\n", false},
		{CT "Transfer-Encoding: x\r\n\r\n", false},
		{"\xef\xbb\xbf" CT "\r\n", false},
	};

	for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
		struct response response;
		size_t len = strlen(blocks[i].raw);

		response_init(&response, RESPONSE_NORMAL, false);
		ck_assert_int_eq(parse_cut(&response, blocks[i].raw, len), (ptrdiff_t)len);
		ck_assert_msg(response.as_is == blocks[i].as_is, "block %zu", i);
		response_init(&response, RESPONSE_AUTHORIZER, true);
		if (parse_cut(&response, blocks[i].raw, len) > 0)
			ck_assert(!response.as_is || response.status != 200);
	}
}
END_TEST

/* ---- flaws ------------------------------------------------------------------------- */

static const struct {
	enum response_flaw flaw;
	const char *raw;
	const char *rendered;
} mended[] = {
	{FLAW_NO_FIELD, "X-Foo: bar\n\n", "X-Foo: bar\r\n\r\n"},
	{FLAW_NO_FIELD, "Set-Cookie: a=1\nContent-Length: 0\n\n",
	    "Set-Cookie: a=1\r\nContent-Length: 0\r\n\r\n"},
	{FLAW_TYPE_TWICE, "Content-Type: a\nX: y\ncontent-type: b\n\n",
	    "X: y\r\ncontent-type: b\r\n\r\n"},
	{FLAW_LOCATION_TWICE, "Location: /a\nLocation: /b\n\n",
	    "Status: 302 Found\r\nLocation: /b\r\n\r\n"},
	{FLAW_STATUS_TWICE, "Status: 404 No\nStatus: 200 OK\n\n", "Status: 404 No\r\n\r\n"},
	{FLAW_LENGTH_TWICE, CT "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
	    CT "Content-Length: 1\r\n\r\n"},
	{FLAW_BAD_LENGTH, CT "Content-Length: abc\r\n\r\n", CT "\r\n"},
	{FLAW_BAD_LENGTH, CT "Content-Length:\r\n\r\n", CT "\r\n"},
	{FLAW_BAD_LENGTH, CT "Content-Length: -1\r\n\r\n", CT "\r\n"},
	{FLAW_BAD_LENGTH, CT "Content-Length: 5, 5\r\n\r\n", CT "\r\n"},
	{FLAW_BAD_LENGTH, CT "Content-Length: 18446744073709551616\r\n\r\n", CT "\r\n"},
	{FLAW_CR, "Content-Type: text/plain\r\r\nX: y\r\r\n\r\r\n", CT "X: y\r\n\r\n"},
	{FLAW_CR, CT "\r\r\n", CT "\r\n"},
	{FLAW_STATUS_FORM, "Status: 404: Not Found\n\n", "Status: 404 Not Found\r\n\r\n"},
	{FLAW_STATUS_FORM, "Status: 404Not Found\n\n", "Status: 404 Not Found\r\n\r\n"},
	{FLAW_STATUS_FORM, "HTTP/1.1 404: Not Found\n\n", "Status: 404 Not Found\r\n\r\n"},
	{FLAW_STATUS_FORM, "HTTP/1.1 404Not Found \n\n", "Status: 404 Not Found\r\n\r\n"},
	{FLAW_MARK, "\xef\xbb\xbf" CT "\r\n", CT "\r\n"},
	{FLAW_MARK, "\xef\xbb\xbfHTTP/1.1 404 No\r\n\r\n", "Status: 404 No\r\n\r\n"},
	{FLAW_NO_HEADER, "<!--: spam\n" CT "\r\n", CT "\r\n"},
	{FLAW_NO_HEADER, "PHP Warning in x\n  on line 3\nStatus: 404 No\n<b>\n\n",
	    "Status: 404 No\r\n\r\n"},
	{FLAW_NO_HEADER, CT "Content Type: a\r\nCont\xc3\xa9nt: a\r\n: a\r\n\r\n", CT "\r\n"},
	{FLAW_NO_HEADER, " text\n" CT "\r\n", CT "\r\n"},
	{FLAW_NO_HEADER, "X: y\nHTTP/1.1 200 OK\nLocation: /x\n\n",
	    "Status: 302 Found\r\nX: y\r\nLocation: /x\r\n\r\n"},
	{FLAW_FOLDED, "X: a\r\n  b\n\tc\r\n \r\n" CT "\r\n", "X: a b c\r\n" CT "\r\n"},
	{FLAW_FOLDED, "Status: 404 Not\n Found\nX: y\n\n", "Status: 404 Not Found\r\nX: y\r\n\r\n"},
	{FLAW_FOLDED, CT "Content-Length:\r\n 5\r\n\r\n", CT "Content-Length: 5\r\n\r\n"},
	{FLAW_ENCODING, CT "Transfer-Encoding: gzip\r\n\r\n", CT "\r\n"},
};

START_TEST(every_flaw_is_mended_and_told)
{
	const char *raw = mended[_i].raw;
	size_t len = strlen(raw);
	struct response response;
	struct response grown;
	char *out;

	response_init(&grown, RESPONSE_NORMAL, false);
	for (size_t cut = 0; cut < len; cut++)
		ck_assert_int_eq(parse_cut(&grown, raw, cut), 0);
	response_init(&response, RESPONSE_NORMAL, false);
	ck_assert_int_eq(parse_cut(&response, raw, len), (ptrdiff_t)len);
	ck_assert_uint_eq(response.flaws, 1U << mended[_i].flaw);
	out = render(&response, raw, len);
	ck_assert_str_eq(out, mended[_i].rendered);
	free(out);
	ck_assert_uint_gt(strlen(response_flaw_text(mended[_i].flaw)), 5);
	ck_assert_uint_gt(strlen(response_flaw_cure(mended[_i].flaw)), 5);
	response_init(&response, RESPONSE_NORMAL, true);
	if (mended[_i].flaw == FLAW_ENCODING)
		return; /* with --strict-headers, it has always been passed on */
	ck_assert_int_eq(parse_cut(&response, raw, len), -1);
	ck_assert_ptr_nonnull(response.fault);
}
END_TEST

static const struct {
	const char *raw;
	size_t len;
} refused[] = {
	/* not one header */
	BLOCK("\n"), BLOCK("\r\n"), BLOCK("\r\r\n"), BLOCK("hello\n\n"), BLOCK("hello\n world\n\n"),
	BLOCK("\xef\xbb\xbf\n\n"),
	/* a line that is none, and no field of CGI */
	BLOCK("hello\nX: y\n\n"), BLOCK("X: y\n<html>\n\n"),
	/* what could be taken for another line, or drive a terminal */
	BLOCK("Content-Type: a\rSet-Cookie: b\n\n"), BLOCK("Content-Type: a\r\r\r\n\n"),
	BLOCK("Content-Type: a\0b\n\n"), BLOCK("A\0B: c\nContent-Type: a\n\n"),
	BLOCK("Content-Type: a\nX: \x1b[31m\n\n"), BLOCK("Content-Type: a\nX: \x7f\n\n"),
	BLOCK("Content-Type: a\nX: a\n \rb\n\n"), BLOCK("bell \x07\nContent-Type: a\n\n"),
	BLOCK("HTTP/1.1 200 O\rK\n\n"), BLOCK("Content-Type: a\nX: \v\n\n"),
	/* a status that is none, or none of a final response */
	BLOCK("Status: OK\n\n"), BLOCK("Status: 20\n\n"), BLOCK("Status: 2000\n\n"),
	BLOCK("Status: 099\n\n"), BLOCK("Status: 100 Continue\n\n"),
	BLOCK("Status: 103\nContent-Type: a\n\n"),
	BLOCK("HTTP/1.1 100 Continue\n\nbody\n\n"),
	/* what we cannot undo */
	BLOCK("HTTP/1.1 200 OK\nTransfer-Encoding: gzip\n\n"),
};

START_TEST(what_cannot_be_mended_is_refused)
{
	struct response response;

	response_init(&response, RESPONSE_NORMAL, false);
	ck_assert_int_eq(parse_cut(&response, refused[_i].raw, refused[_i].len), -1);
	ck_assert_ptr_nonnull(response.fault);
	/* an authorizer's */
	response_init(&response, RESPONSE_AUTHORIZER, true);
	ck_assert_int_eq(parse_cut(&response, refused[_i].raw, refused[_i].len), -1);
}
END_TEST

/* ---- local redirects ------------------------------------------------------------------- */

static const struct {
	const char *raw, *path; /* NULL: it is not one */
} redirects[] = {
	{"Location: /\n\n", "/"},
	{"Location: /a/b?c=d&e=%20f\r\n\r\n", "/a/b?c=d&e=%20f"},
	{"location:/x.cgi/../y\n\n", "/x.cgi/../y"},
	{"Location:  \t/x \n\n", "/x"},
	{"Location: //host/x\n\n", NULL},
	{"Location: /x#y\n\n", NULL},
	{"Location: /x y\n\n", NULL},
	{"Location: /\\host\n\n", NULL},
	{"Location: /\303\251\n\n", NULL},
	{"Location: x\n\n", NULL},
	{"Location:\n\n", NULL},
	{"Location: http://host/x\n\n", NULL},
	{"Location: /x\nContent-Type: text/html\n\n", NULL},
	{"Status: 302 Found\nLocation: /x\n\n", NULL},
	{"Location: /x\nX-Other: y\n\n", NULL},
	{"Location: /x\nLocation: /y\n\n", NULL},
	{"HTTP/1.1 302 Found\nLocation: /x\n\n", NULL},
	{"Content-Type: text/html\n\n", NULL},
};

START_TEST(a_path_alone_is_a_local_redirect)
{
	const char *raw = redirects[_i].raw;
	const char *path = redirects[_i].path;
	size_t len = strlen(raw);
	struct response response;
	const char *found;
	char *out;
	char wanted[128];

	response_init(&response, RESPONSE_NORMAL, false);
	ck_assert_int_eq(parse_part(&response, raw, len, true), (ptrdiff_t)len);
	ck_assert_int_eq(response.local, path != NULL);
	if (path == NULL)
		return;
	found = response_local_path(&response, (const unsigned char *)raw, len, &len);
	ck_assert_uint_eq(len, strlen(path));
	ck_assert_int_eq(memcmp(found, path, len), 0);
	ck_assert_int_eq(response.status, 302);
	response.accel = true;
	out = render(&response, raw, strlen(raw));
	snprintf(wanted, sizeof wanted, "X-Accel-Redirect: %s\r\n\r\n", path);
	ck_assert_str_eq(out, wanted);
	free(out);
}
END_TEST

/* ---- bodies ---------------------------------------------------------------------------- */

static const struct body_case {
	enum response_kind kind;
	const char *head;
	const char *body;
	const char *wanted;
	bool is_short;
} bodies[] = {
	{RESPONSE_NORMAL, "Content-Type: a\n\n", "any body", "any body", false},
	{RESPONSE_NORMAL, "Content-Type: a\n\n", "", "", false},
	/* Content-Length */
	{RESPONSE_NORMAL, "Content-Type: a\nContent-Length: 4\n\n", "1234", "1234", false},
	{RESPONSE_NORMAL, "Content-Type: a\nContent-Length: 4\n\n", "12345678", "1234", false},
	{RESPONSE_NORMAL, "Content-Type: a\nContent-Length: 4\n\n", "123", "123", true},
	{RESPONSE_NORMAL, "Content-Type: a\nContent-Length: 4\n\n", "", "", true},
	{RESPONSE_NORMAL, "Content-Type: a\nContent-Length: 0\n\n", "x", "", false},
	{RESPONSE_NORMAL, "Content-Type: a\nContent-Length: 00000000000000000000000004\n\n", "12345",
	    "1234", false},
	/* no body where there must be none */
	{RESPONSE_NO_BODY, "Content-Type: a\n\n", "body", "", false},
	{RESPONSE_NO_BODY, "Content-Type: a\nContent-Length: 9\n\n", "body", "", false},
	{RESPONSE_NORMAL, "Status: 204\n\n", "body", "", false},
	{RESPONSE_NORMAL, "Status: 205\n\n", "body", "", false},
	{RESPONSE_NORMAL, "Status: 304 Not Modified\nContent-Length: 9\n\n", "body", "", false},
	{RESPONSE_NORMAL, "HTTP/1.1 204 No\nTransfer-Encoding: chunked\n\n", "4\r\nbody\r\n", "",
	    false},
	{RESPONSE_AUTHORIZER, "Status: 200\n\n", "body", "", false},
	{RESPONSE_AUTHORIZER, "Status: 403\n\n", "body", "body", false},
	/* chunks */
#define CHUNKED RESPONSE_NORMAL, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"
	{CHUNKED, "4\r\nWiki\r\n6\r\npedia \r\nB\r\nin chunks..\r\n0\r\n\r\n",
	    "Wikipedia in chunks..", false},
	{CHUNKED, "4\nWiki\n0\n\n", "Wiki", false},
	{CHUNKED, "00004;name=value;\"a\"\r\nWiki\r\n0;x\r\n\r\n", "Wiki", false},
	{CHUNKED, "4 \r\nWiki\r\n0\r\nTrailer: x\r\nMore: y\r\n\r\n", "Wiki", false},
	{CHUNKED, "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\nbehind the end",
	    "01234567890123456789", false},
	{CHUNKED, "0\r\n\r\n", "", false},
	{CHUNKED, "4\r\n0\r\n\r\r\n0\r\n\r\n", "0\r\n\r", false},
	{CHUNKED, "4\r\nWiki\r\n", "Wiki", true},
	{CHUNKED, "4\r\nWi", "Wi", true},
	{CHUNKED, "", "", true},
	{CHUNKED, "0\r\n", "", true},
	{CHUNKED, "4\r\nWikiX\r\n0\r\n\r\n", "Wiki", true},
	{CHUNKED, "xyz\r\n0\r\n\r\n", "", true},
	{CHUNKED, "-4\r\nWiki\r\n0\r\n\r\n", "", true},
	{CHUNKED, "11111111111111111\r\n0\r\n\r\n", "", true},
	{CHUNKED, "\r\n\r\nno size", "", true},
	{CHUNKED, ";x\r\n\r\nno size", "", true},
};

enum { BODIES = sizeof bodies / sizeof *bodies };

/* Feeds `len` bytes; appends what is left of them to `to` and returns the new end. */
static char *filter(struct response *response, const char *bytes, size_t len, char *to)
{
	unsigned char *copy = malloc(len + (len == 0));
	size_t n;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, bytes, len);
	n = response_body(response, copy, len);
	ck_assert_uint_le(n, len);
	memcpy(to, copy, n);
	free(copy);
	return to + n;
}

static void start_body(struct response *response, const struct body_case *body)
{
	response_init(response, body->kind, true);
	ck_assert_int_gt(parse_cut(response, body->head, strlen(body->head)), 0);
}

static void check_got(const struct response *response, const struct body_case *body, char *got,
    char *end)
{
	*end = '\0';
	ck_assert_str_eq(got, body->wanted);
	ck_assert_int_eq(response_is_short(response), body->is_short);
}

START_TEST(every_body_is_the_same_however_it_is_split)
{
	const struct body_case *body = &bodies[_i];
	size_t len = strlen(body->body);
	struct response response;
	char got[256];
	char *end;

	for (size_t cut = 0; cut <= len; cut++) {
		start_body(&response, body);
		end = filter(&response, body->body, cut, got);
		end = filter(&response, body->body + cut, len - cut, end);
		check_got(&response, body, got, end);
	}
	start_body(&response, body);
	end = got;
	for (size_t at = 0; at < len; at++)
		end = filter(&response, body->body + at, 1, end);
	check_got(&response, body, got, end);
}
END_TEST

#define SAYS "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define SAYS_CGI CT "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
	const char *head, *body, *wanted;
	bool chunked;
} said[] = {
	{SAYS, "4\r\nWiki\r\n0\r\n\r\n", "Wiki", true},
	{SAYS, "4;x=y\r\nWiki\r\n0\r\n\r\n", "Wiki", true},
	{SAYS_CGI, "4\r\nWiki\r\n0\r\n\r\n", "Wiki", true},
	{SAYS, "plain body, decoded", "plain body, decoded", false},
	{SAYS_CGI, "plain body, decoded", "plain body, decoded", false},
	{SAYS, "decoded", "decoded", false},
	{SAYS, "cafe au lait\r\n", "cafe au lait\r\n", false},
	{SAYS, "bad", "bad", false},
	{SAYS, "0123456789abcdef0\r\n", "0123456789abcdef0\r\n", false},
	{SAYS, "\r\n4\r\n", "\r\n4\r\n", false},
};

/* However much of the body has come with the block, the same becomes of it. */
START_TEST(a_body_is_decoded_only_if_it_is_chunked)
{
	size_t head_len = strlen(said[_i].head);
	size_t body_len = strlen(said[_i].body);
	char raw[256];

	snprintf(raw, sizeof raw, "%s%s", said[_i].head, said[_i].body);
	for (size_t cut = 0; cut <= body_len; cut++) {
		struct response response;
		char got[256];
		char *end = got;
		ptrdiff_t len;

		response_init(&response, RESPONSE_NORMAL, false);
		len = parse_part(&response, raw, head_len + cut, cut == body_len);
		if (len == 0)
			continue;
		ck_assert_int_eq(len, (ptrdiff_t)head_len);
		ck_assert_int_eq(response.framing == RESPONSE_CHUNKED, said[_i].chunked);
		ck_assert_int_eq((response.flaws & 1U << FLAW_NOT_CHUNKED) == 0, said[_i].chunked);
		end = filter(&response, said[_i].body, cut, end);
		end = filter(&response, said[_i].body + cut, body_len - cut, end);
		*end = '\0';
		ck_assert_str_eq(got, said[_i].wanted);
		ck_assert(!response_is_short(&response));
		ck_assert(cut > 0);
	}
}
END_TEST

START_TEST(a_body_for_head_is_passed_to_whoever_drops_it)
{
	static const char head[] = "Content-Type: a\nContent-Length: 4\n\n";
	unsigned char bytes[] = "12345";
	struct response response;

	response_init(&response, RESPONSE_HEAD, false);
	ck_assert_int_gt(parse_cut(&response, head, strlen(head)), 0);
	ck_assert(!response_is_short(&response)); /* it need not come */
	ck_assert_uint_eq(response_body(&response, bytes, 5), 4);
	ck_assert_int_gt(parse_part(&response, SAYS, strlen(SAYS), true), 0);
	ck_assert(!response_is_short(&response));
	ck_assert_uint_eq(response.flaws, 0);
}
END_TEST

START_TEST(a_length_may_be_huge)
{
	struct response response;
	static const char head[] = "Content-Type: a\nContent-Length: 1844674407370955160\n\n";
	unsigned char bytes[] = "abc";

	response_init(&response, RESPONSE_NORMAL, true);
	ck_assert_int_gt(parse_cut(&response, head, strlen(head)), 0);
	ck_assert_uint_eq(response_body(&response, bytes, 3), 3);
	ck_assert(response_is_short(&response));
}
END_TEST

START_TEST(what_passes_is_what_the_filter_would_leave_alone)
{
	static const struct {
		enum response_kind kind;
		const char *head;
		size_t passes; /* of 1000 */
	} cases[] = {
		{RESPONSE_NORMAL, "Content-Type: a\n\n", 1000},
		{RESPONSE_NORMAL, "Content-Type: a\nContent-Length: 2000\n\n", 1000},
		{RESPONSE_NORMAL, "Content-Type: a\nContent-Length: 999\n\n", 999},
		{RESPONSE_NORMAL, "Content-Type: a\nContent-Length: 0\n\n", 0},
		{RESPONSE_NO_BODY, "Content-Type: a\n\n", 0},
		{RESPONSE_NORMAL, "Status: 304 No\n\n", 0},
		{RESPONSE_AUTHORIZER, "Status: 200 OK\n\n", 0},
		{RESPONSE_NORMAL, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n", 0},
	};
	unsigned char bytes[1000] = {0};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct response response;

		response_init(&response, cases[i].kind, true);
		ck_assert_int_gt(parse_cut(&response, cases[i].head, strlen(cases[i].head)), 0);
		ck_assert_uint_eq(response_passes(&response, 1000), cases[i].passes);
		ck_assert_uint_eq(response_passes(&response, 0), 0);
		response_skip(&response, cases[i].passes);
		if (response.framing != RESPONSE_CHUNKED)
			ck_assert_uint_eq(response_body(&response, bytes, 1000),
			    cases[i].passes == 1000 ? 1000 : 0);
	}
}
END_TEST

START_TEST(what_was_skipped_counts)
{
	static const char head[] = "Content-Type: a\nContent-Length: 100\n\n";
	struct response response;

	response_init(&response, RESPONSE_NORMAL, true);
	ck_assert_int_gt(parse_cut(&response, head, strlen(head)), 0);
	response_skip(&response, 99);
	ck_assert(response_is_short(&response));
	ck_assert_uint_eq(response_passes(&response, 50), 1);
	response_skip(&response, 1);
	ck_assert(!response_is_short(&response));
	ck_assert_uint_eq(response_passes(&response, 50), 0);
}
END_TEST

/* ---- our own pages ------------------------------------------------------------------------ */

START_TEST(a_page_is_a_whole_response)
{
	unsigned char out[RESPONSE_PAGE_MAX + 1];
	struct response response;
	size_t n = response_page(RESPONSE_NORMAL, 404, "there is no such script", out);

	out[n] = '\0';
	ck_assert_str_eq((char *)out,
	    "Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\n"
	    "404 Not Found: there is no such script\n");
	response_init(&response, RESPONSE_NORMAL, true);
	ck_assert_int_eq(response_parse(&response, out, n, true), 51);
	n = response_page(RESPONSE_NORMAL, 500, "", out);
	out[n] = '\0';
	ck_assert_ptr_nonnull(strstr((char *)out, "\r\n\r\n500 Internal Server Error\n"));
}
END_TEST

START_TEST(a_page_has_no_body_for_head_and_a_hint_when_to_come_back)
{
	unsigned char out[RESPONSE_PAGE_MAX + 1];
	size_t n = response_page(RESPONSE_NO_BODY, 503, "busy", out);

	out[n] = '\0';
	ck_assert_ptr_nonnull(strstr((char *)out, "\r\nRetry-After: "));
	ck_assert_str_eq((char *)out + n - 4, "\r\n\r\n");
	ck_assert_ptr_null(strstr((char *)out, "busy"));
	n = response_page(RESPONSE_AUTHORIZER, 500, "no", out);
	out[n] = '\0';
	ck_assert_ptr_null(strstr((char *)out, "Retry-After"));
	ck_assert_ptr_nonnull(strstr((char *)out, "\r\n\r\n500 "));
}
END_TEST

START_TEST(a_page_is_never_larger_than_its_bound)
{
	static char detail[5000];
	unsigned char *out = malloc(RESPONSE_PAGE_MAX);

	ck_assert_ptr_nonnull(out);
	memset(detail, 'd', sizeof detail - 1);
	for (int status = 100; status < 1000; status++)
		ck_assert_uint_le(
		    response_page(RESPONSE_NORMAL, status, detail, out), RESPONSE_PAGE_MAX);
	free(out);
}
END_TEST

START_TEST(statuses_have_reasons)
{
	ck_assert_str_eq(response_reason(200), "OK");
	ck_assert_str_eq(response_reason(302), "Found");
	ck_assert_str_eq(response_reason(504), "Gateway Timeout");
	ck_assert_uint_gt(strlen(response_reason(299)), 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase, a_path_alone_is_a_local_redirect, 0,
	    sizeof redirects / sizeof *redirects);
	tcase_add_loop_test(tcase, every_shape_is_rendered, 0, SHAPES);
	tcase_add_loop_test(tcase, every_shape_needs_more_until_it_is_whole, 0, SHAPES);
	tcase_add_loop_test(tcase, every_broken_block_is_refused_with_a_reason, 0, BROKEN);
	tcase_add_test(tcase, a_block_has_a_largest_size);
	tcase_add_test(tcase, the_worst_growth_has_room);
	tcase_add_test(tcase, what_is_in_normal_form_is_left_alone);
	tcase_add_loop_test(tcase, every_flaw_is_mended_and_told, 0, sizeof mended / sizeof *mended);
	tcase_add_loop_test(tcase, what_cannot_be_mended_is_refused, 0,
	    sizeof refused / sizeof *refused);
	tcase_add_loop_test(tcase, every_body_is_the_same_however_it_is_split, 0, BODIES);
	tcase_add_loop_test(tcase, a_body_is_decoded_only_if_it_is_chunked, 0,
	    sizeof said / sizeof *said);
	tcase_add_test(tcase, a_body_for_head_is_passed_to_whoever_drops_it);
	tcase_add_test(tcase, a_length_may_be_huge);
	tcase_add_test(tcase, what_passes_is_what_the_filter_would_leave_alone);
	tcase_add_test(tcase, what_was_skipped_counts);
	tcase_add_test(tcase, a_page_is_a_whole_response);
	tcase_add_test(tcase, a_page_has_no_body_for_head_and_a_hint_when_to_come_back);
	tcase_add_test(tcase, a_page_is_never_larger_than_its_bound);
	tcase_add_test(tcase, statuses_have_reasons);
}

int main(void)
{
	return check_main("response", add);
}

/* SPDX-License-Identifier: ISC */
/*
 * response: the rules for a header block: its meaning, its flaws and its faults.
 *
 * They are as lenient as those of web servers that run CGI scripts themselves.  But nothing is
 * passed on that could be taken for another line: a control character is always a fault.
 */
#include "cgi/response.h"

#include <string.h>

#include "base/hex.h"
#include "cgi/response_private.h"

/* A block while it is read. */
struct block {
	struct response_line field[RESPONSE_FIELDS]; /* the lines that count; text NULL: none */
	struct response_line encoding;
	bool lf;        /* a line ends in a bare LF */
	size_t headers; /* how many there are */
};

static const struct {
	const char *text;
	const char *cure;
} flaws[RESPONSE_FLAWS] = {
	[FLAW_STATUS_TWICE] = {"more than one Status", "the first one counts"},
	[FLAW_LENGTH_TWICE] = {"more than one Content-Length", "the first one counts"},
	[FLAW_LOCATION_TWICE] = {"more than one Location", "the last one counts"},
	[FLAW_TYPE_TWICE] = {"more than one Content-Type", "the last one counts"},
	[FLAW_NO_FIELD] = {"none of Content-Type, Location and Status", "sent without"},
	[FLAW_NO_HEADER] = {"a line before the first empty one is not \"Name: value\"", "left out"},
	[FLAW_FOLDED] = {"a header line starts with a blank (folding is not allowed)", "joined"},
	[FLAW_CR] = {"a line ends with CR CR LF", "mended"},
	[FLAW_BAD_LENGTH] = {"Content-Length is not a number", "left out"},
	[FLAW_STATUS_FORM] = {"Status does not start with three digits and a blank", "mended"},
	[FLAW_MARK] = {"a byte order mark in front", "left out"},
	[FLAW_ENCODING] = {"Transfer-Encoding, which is up to the web server", "left out"},
	[FLAW_NOT_CHUNKED] = {"Transfer-Encoding is chunked, and the body is not", "left out"},
};

const char *response_flaw_text(enum response_flaw flaw)
{
	return flaws[flaw].text;
}

const char *response_flaw_cure(enum response_flaw flaw)
{
	return flaws[flaw].cure;
}

void response_init(struct response *response, enum response_kind kind, bool strict)
{
	*response = (struct response){.kind = kind, .strict = strict, .status = 200};
	for (size_t i = 0; i < RESPONSE_FIELDS; i++)
		response->line[i] = RESPONSE_NOWHERE;
}

/* Notes a flaw; NULL, or its text if flaws are faults. */
static const char *admit_flaw(struct response *response, enum response_flaw flaw)
{
	response->flaws |= 1U << flaw;
	return response->strict ? flaws[flaw].text : NULL;
}

/* ---- one line -------------------------------------------------------------- */

/* "404 Not Found" -> 404, or -1. */
static int parse_status(const char *text, size_t len)
{
	if (len < 3 || text[0] == '0' || (len > 3 && text[3] >= '0' && text[3] <= '9'))
		return -1;
	for (int i = 0; i < 3; i++)
		if (text[i] < '0' || text[i] > '9')
			return -1;
	return (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
}

static const char *set_status(struct response *response, const char *text, size_t len)
{
	response->status = parse_status(text, len);
	if (response->status < 0)
		return "Status does not start with three digits";
	if (len > 3 && text[3] != ' ' && text[3] != '\t')
		return admit_flaw(response, FLAW_STATUS_FORM);
	return NULL;
}

/* Keeps the line of a field that counts, if there are several. */
static const char *keep_field(struct response *response, struct block *block,
    const struct response_line *line, size_t at)
{
	enum response_field field = response_line_field(line);
	bool again;

	if (field == RESPONSE_FIELDS) {
		if (response_line_is(line, "Transfer-Encoding"))
			block->encoding = *line;
		return NULL;
	}
	again = block->field[field].text != NULL;
	if (!again || field == RESPONSE_LOCATION || field == RESPONSE_TYPE) {
		block->field[field] = *line;
		response->line[field] = (uint32_t)at;
	}
	return again ? admit_flaw(response, (enum response_flaw)field) : NULL;
}

/* Reads one line, at offset `at`; NULL, or its fault. */
static const char *read_line(struct response *response, struct block *block,
    const struct response_line *line, size_t at)
{
	const char *fault = NULL;
	size_t code;

	block->lf |= line->lf;
	if (line->control)
		return "a header line has a control character in it";
	if (line->cr)
		fault = admit_flaw(response, FLAW_CR);
	if (fault != NULL || line->len == 0)
		return fault;
	code = at == response->begin ? response_line_code(line) : 0;
	if (code != 0) {
		response->http = true;
		fault = set_status(response, line->text + code, line->len - code);
		return response->status < 0 ? "the HTTP status line has no status code" : fault;
	}
	if (line->name_len == 0)
		return admit_flaw(response, FLAW_NO_HEADER);
	block->headers++;
	if (line->folded)
		fault = admit_flaw(response, FLAW_FOLDED);
	return fault != NULL ? fault : keep_field(response, block, line, at);
}

/* ---- the body's framing ----------------------------------------------------- */

/* Whether a body declared as chunked begins like one; -1: there is too little of it to tell. */
static int looks_chunked(const unsigned char *bytes, size_t len)
{
	size_t at = 0;

	while (at < len && hex_digit((char)bytes[at]) >= 0)
		at++;
	if (at > 16 || (at == 0 && len > 0))
		return 0;
	while (at < len && (bytes[at] == ' ' || bytes[at] == '\t' || bytes[at] == '\r'))
		at++;
	if (at == len)
		return -1;
	return bytes[at] == '\n' || bytes[at] == ';';
}

/* Decides whether the body is to be decoded; false: there is too little of it to tell. */
static bool set_chunked(struct response *response, const unsigned char *body, size_t len,
    bool ended)
{
	int chunked = response->strict ? 1 : looks_chunked(body, len);

	if (chunked < 0 && !ended)
		return false;
	if (chunked <= 0 && len > 0) {
		response->framing = RESPONSE_TO_END;
		response->flaws |= 1U << FLAW_NOT_CHUNKED;
	}
	return true;
}

static bool parse_length(const struct response_line *line, uint64_t *length)
{
	*length = 0;
	for (size_t i = 0; i < line->value_len; i++) {
		char digit = line->value[i];

		if (digit < '0' || digit > '9' || *length > UINT64_MAX / 10 - 10)
			return false;
		*length = *length * 10 + (uint64_t)(digit - '0');
	}
	return line->value_len > 0;
}

/* Reads the length of the body; NULL, or its fault. */
static const char *set_length(struct response *response, const struct block *block)
{
	const struct response_line *line = &block->field[RESPONSE_LENGTH];

	if (line->text == NULL)
		return NULL;
	if (!parse_length(line, &response->left)) {
		response->left = 0;
		response->line[RESPONSE_LENGTH] = RESPONSE_NOWHERE;
		return admit_flaw(response, FLAW_BAD_LENGTH);
	}
	response->framing = RESPONSE_COUNTED;
	return NULL;
}

/* Reads Transfer-Encoding, which does not belong in a CGI response, but in many an "nph-" one. */
static const char *set_encoding(struct response *response, const struct block *block)
{
	if (block->encoding.text == NULL || (response->strict && !response->http))
		return NULL;
	if (!response->http)
		response->flaws |= 1U << FLAW_ENCODING;
	if (response_line_says(&block->encoding, "chunked")) {
		response->framing = RESPONSE_CHUNKED;
		response->left = 0;
		response->line[RESPONSE_LENGTH] = RESPONSE_NOWHERE;
		return NULL;
	}
	if (!response->http || response_line_says(&block->encoding, "identity"))
		return NULL;
	return "a Transfer-Encoding that is not chunked";
}

static bool is_bodiless(const struct response *response)
{
	return response->kind == RESPONSE_NO_BODY || response->status == 204 ||
	    response->status == 205 || response->status == 304 ||
	    (response->kind == RESPONSE_AUTHORIZER && response->status == 200);
}

static const char *set_framing(struct response *response, const struct block *block)
{
	const char *fault = set_length(response, block);

	if (fault == NULL)
		fault = set_encoding(response, block);
	if (is_bodiless(response))
		response->framing = RESPONSE_EMPTY;
	if (response->status == 205) /* RFC 9110 15.3.6: nor may it have a length other than 0 */
		response->line[RESPONSE_LENGTH] = RESPONSE_NOWHERE;
	return fault;
}

/* ---- the whole block ---------------------------------------------------------- */

/*
 * Whether Status has the place and form that every client reads, and that response_render() gives
 * it: first, "Status: 404 Not Found", with one blank at each place and none at the end.
 */
static bool is_good_status(const struct response *response, const struct response_line *line)
{
	const char *value = line->value;

	return response->line[RESPONSE_STATUS] == 0 && value == line->text + 8 && value[-1] == ' ' &&
	    line->value_len > 4 && value[3] == ' ' && strchr(": \t", value[4]) == NULL &&
	    value + line->value_len == line->text + line->len;
}

static bool is_as_is(const struct response *response, const struct block *block)
{
	const struct response_line *status = &block->field[RESPONSE_STATUS];

	if (response->http || response->flaws != 0 || block->lf || response->begin > 0)
		return false;
	if (response->kind == RESPONSE_AUTHORIZER && response->status == 200)
		return false;
	if (block->field[RESPONSE_LENGTH].text != NULL &&
	    response->line[RESPONSE_LENGTH] == RESPONSE_NOWHERE)
		return false;
	return status->text == NULL ? block->field[RESPONSE_LOCATION].text == NULL
				    : is_good_status(response, status);
}

/*
 * Whether it is a path and query of this server, of the characters that RFC 3986 lets a URI have.
 * Two slashes would begin another server's name, and a fragment is for the client.
 */
static bool is_local_path(const char *text, size_t len)
{
	if (len == 0 || text[0] != '/' || (len > 1 && text[1] == '/'))
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f || strchr("\"#<>\\^`{|}", text[i]) != NULL)
			return false;
	return true;
}

/* Whether it is a local redirect, which has no other header (RFC 3875 6.2.2). */
static bool is_local(const struct response *response, const struct block *block)
{
	const struct response_line *location = &block->field[RESPONSE_LOCATION];

	return block->headers == 1 && location->text != NULL && response->flaws == 0 &&
	    !response->http && is_local_path(location->value, location->value_len);
}

/* Whether there is one of the fields that make a CGI response, or a status line. */
static bool is_cgi(const struct response *response, const struct block *block)
{
	return response->http || block->field[RESPONSE_STATUS].text != NULL ||
	    block->field[RESPONSE_LOCATION].text != NULL ||
	    block->field[RESPONSE_TYPE].text != NULL;
}

/* Evaluates a whole block; NULL, or its fault. */
static const char *conclude(struct response *response, const struct block *block)
{
	const struct response_line *status = &block->field[RESPONSE_STATUS];
	const char *fault = NULL;

	if (!is_cgi(response, block)) {
		if (response->flaws & 1U << FLAW_NO_HEADER)
			return flaws[FLAW_NO_HEADER].text;
		fault = admit_flaw(response, FLAW_NO_FIELD);
		if (block->headers == 0)
			fault = flaws[FLAW_NO_FIELD].text;
	}
	if (fault == NULL && status->text != NULL)
		fault = set_status(response, status->value, status->value_len);
	else if (block->field[RESPONSE_LOCATION].text != NULL && !response->http)
		response->status = 302;
	if (fault == NULL && response->status < 200 && !response->http)
		fault = "Status is that of an interim response";
	if (fault == NULL)
		fault = set_framing(response, block);
	response->as_is = fault == NULL && is_as_is(response, block);
	response->local = fault == NULL && is_local(response, block);
	return fault;
}

/* Reads the block at response->begin; the offset of its end, 0: more needed, -1: fault set. */
static ptrdiff_t read_block(struct response *response, const unsigned char *raw, size_t len)
{
	struct block block = {.encoding = {.text = NULL}};
	struct response_line line;
	size_t at = response->begin;
	size_t n;

	while ((n = response_line_read(raw + at, len - at, &line)) > 0) {
		response->fault = read_line(response, &block, &line, at);
		at += n;
		if (response->fault == NULL && line.len == 0)
			response->fault = conclude(response, &block);
		if (response->fault != NULL)
			return -1;
		if (line.len == 0)
			return (ptrdiff_t)at;
	}
	return 0;
}

/* Skips the byte order mark that a text editor may have put in front of a script's output. */
static size_t skip_mark(struct response *response, const unsigned char *raw, size_t len)
{
	if (response->strict || len < 3 || memcmp(raw, "\xef\xbb\xbf", 3) != 0)
		return 0;
	response->flaws |= 1U << FLAW_MARK;
	return 3;
}

ptrdiff_t response_parse(struct response *response, const unsigned char *raw, size_t len,
    bool ended)
{
	size_t begin;
	ptrdiff_t end;

	response_init(response, response->kind, response->strict);
	begin = skip_mark(response, raw, len);
	do {
		unsigned seen = response->flaws;

		response_init(response, response->kind, response->strict);
		response->flaws = seen;
		response->begin = (uint32_t)begin;
		end = len == 0 ? 0 : read_block(response, raw, len);
		begin = end > 0 ? (size_t)end : 0;
	} while (end > 0 && response->status < 200);
	if (end > 0 && response->framing == RESPONSE_CHUNKED &&
	    !set_chunked(response, raw + end, len - (size_t)end, ended))
		end = 0;
	if (end == 0 && len >= RESPONSE_HEAD_MAX) {
		response->fault = "the header block is larger than 64 KiB";
		return -1;
	}
	return end;
}

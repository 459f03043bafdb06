/* SPDX-License-Identifier: ISC */
/*
 * response: the header block's rules, its normal form, and the body filter.
 */
#include "cgi/response.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* One header line, without its line end. */
struct line {
	const char *text;
	size_t len;
	size_t name_len; /* up to the colon */
	const char *value; /* blanks around it skipped */
	size_t value_len;
};

/* What may be there once, gathered while a block is checked. */
struct seen {
	struct line status, location, type, length, encoding;
};

void response_init(struct response *response, enum response_kind kind)
{
	*response = (struct response){.kind = kind, .status = 200};
}

/* ---- lines ---------------------------------------------------------------- */

/*
 * Takes the line at `raw`; returns its length with its line end (LF or CRLF), or 0
 * when that has not come yet.
 */
static size_t take_line(const unsigned char *raw, size_t len, struct line *line)
{
	const unsigned char *end = len == 0 ? NULL : memchr(raw, '\n', len);

	if (end == NULL)
		return 0;
	*line = (struct line){.text = (const char *)raw, .len = (size_t)(end - raw)};
	if (line->len > 0 && line->text[line->len - 1] == '\r')
		line->len--;
	return (size_t)(end - raw) + 1;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* A token character of RFC 9110 5.6.2. */
static bool is_token(char c)
{
	if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool has_control(const struct line *line)
{
	return memchr(line->text, '\0', line->len) != NULL ||
	    memchr(line->text, '\r', line->len) != NULL;
}

/* Splits "Name: value"; NULL, or what is wrong with the line. */
static const char *split_line(struct line *line)
{
	const char *end = line->text + line->len;

	if (is_blank(line->text[0]))
		return "a header line starts with a blank (folding is not allowed)";
	while (line->name_len < line->len && is_token(line->text[line->name_len]))
		line->name_len++;
	if (line->name_len == 0 || line->name_len == line->len ||
	    line->text[line->name_len] != ':')
		return "a line before the first empty one is no \"Name: value\"";
	if (has_control(line))
		return "a header line has a NUL or CR in it";
	line->value = line->text + line->name_len + 1;
	while (line->value < end && is_blank(*line->value))
		line->value++;
	while (end > line->value && is_blank(end[-1]))
		end--;
	line->value_len = (size_t)(end - line->value);
	return NULL;
}

static bool is_named(const struct line *line, const char *name)
{
	return line->name_len == strlen(name) && strncasecmp(line->text, name, line->name_len) == 0;
}

static bool has_value(const struct line *line, const char *value)
{
	return line->value_len == strlen(value) &&
	    strncasecmp(line->value, value, line->value_len) == 0;
}

/* ---- the header block ------------------------------------------------------ */

/* "404 Not Found" -> 404, or -1. */
static int parse_status(const char *text, size_t len)
{
	if (len < 3 || (len > 3 && !is_blank(text[3])))
		return -1;
	for (int i = 0; i < 3; i++)
		if (text[i] < '0' || text[i] > '9')
			return -1;
	return text[0] == '0' ? -1 : (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
}

/* "HTTP/1.1 404 Not Found": the offset of the status code, or 0 if it is no status line. */
static size_t status_line(const struct line *line)
{
	size_t at = 5;

	if (line->len < 9 || strncmp(line->text, "HTTP/", 5) != 0)
		return 0;
	while (at < line->len && !is_blank(line->text[at]))
		at++;
	while (at < line->len && is_blank(line->text[at]))
		at++;
	return at;
}

static const char *note(struct line *once, const struct line *line, const char *fault)
{
	if (once->text != NULL)
		return fault;
	*once = *line;
	return NULL;
}

static const char *note_line(struct seen *seen, const struct line *line)
{
	if (is_named(line, "Status"))
		return note(&seen->status, line, "more than one Status");
	if (is_named(line, "Location"))
		return note(&seen->location, line, "more than one Location");
	if (is_named(line, "Content-Type"))
		return note(&seen->type, line, "more than one Content-Type");
	if (is_named(line, "Content-Length"))
		return note(&seen->length, line, "more than one Content-Length");
	if (is_named(line, "Transfer-Encoding"))
		seen->encoding = *line;
	return NULL;
}

/* Takes the length of the body from `seen`; NULL, or what is wrong. */
static const char *set_length(struct response *response, const struct seen *seen)
{
	uint64_t value = 0;

	if (response->http && seen->encoding.text != NULL) {
		if (!has_value(&seen->encoding, "chunked"))
			return "a Transfer-Encoding that is not chunked";
		response->chunked = true;
		return NULL;
	}
	if (seen->length.text == NULL)
		return NULL;
	for (size_t i = 0; i < seen->length.value_len; i++) {
		char digit = seen->length.value[i];

		if (digit < '0' || digit > '9' || value > UINT64_MAX / 10 - 10)
			return "Content-Length is no number";
		value = value * 10 + (uint64_t)(digit - '0');
	}
	if (seen->length.value_len == 0)
		return "Content-Length is empty";
	response->counts = true;
	response->left = value;
	return NULL;
}

/* Draws the conclusions from a whole block; NULL, or what is wrong. */
static const char *conclude(struct response *response, const struct seen *seen)
{
	const char *fault;

	if (!response->http && seen->status.text == NULL && seen->location.text == NULL &&
	    seen->type.text == NULL)
		return "none of Content-Type, Location and Status";
	if (seen->status.text != NULL)
		response->status = parse_status(seen->status.value, seen->status.value_len);
	else if (seen->location.text != NULL && !response->http)
		response->status = 302;
	if (response->status < 0)
		return "Status does not start with three digits";
	fault = set_length(response, seen);
	response->drops_body = response->kind == RESPONSE_NO_BODY || response->status == 204 ||
	    response->status == 304 ||
	    (response->kind == RESPONSE_AUTHORIZER && response->status == 200);
	if (response->drops_body)
		response->counts = false;
	return fault;
}

/* Checks one line; NULL, or what is wrong with it. */
static const char *check_line(struct response *response, struct seen *seen, struct line *line,
    bool first)
{
	const char *fault;
	size_t at = first ? status_line(line) : 0;

	if (at != 0) {
		response->http = true;
		response->status = parse_status(line->text + at, line->len - at);
		if (response->status < 0 || has_control(line))
			return "the HTTP status line has no status code, or a NUL or CR in it";
		return NULL;
	}
	fault = split_line(line);
	return fault != NULL ? fault : note_line(seen, line);
}

ptrdiff_t response_parse(struct response *response, const unsigned char *raw, size_t len)
{
	struct seen seen = {.status = {.text = NULL}};
	struct line line;
	size_t at = 0;
	size_t n;

	response_init(response, response->kind);
	while ((n = take_line(raw + at, len - at, &line)) > 0) {
		bool first = at == 0;

		at += n;
		response->fault = line.len == 0 ? conclude(response, &seen)
						: check_line(response, &seen, &line, first);
		if (response->fault != NULL)
			return -1;
		if (line.len == 0)
			return (ptrdiff_t)at;
	}
	if (len < RESPONSE_HEAD_MAX)
		return 0;
	response->fault = "the header block is larger than 32 KiB";
	return -1;
}

/* ---- the normal form -------------------------------------------------------- */

const char *response_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"},
		{206, "Partial Content"}, {301, "Moved Permanently"}, {302, "Found"},
		{303, "See Other"}, {304, "Not Modified"}, {307, "Temporary Redirect"},
		{308, "Permanent Redirect"}, {400, "Bad Request"}, {401, "Unauthorized"},
		{403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"},
		{406, "Not Acceptable"}, {408, "Request Timeout"}, {409, "Conflict"}, {410, "Gone"},
		{411, "Length Required"}, {412, "Precondition Failed"}, {413, "Content Too Large"},
		{415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"},
		{422, "Unprocessable Content"}, {429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
		{501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"},
		{504, "Gateway Timeout"}, {507, "Insufficient Storage"},
	};

	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}

static unsigned char *put_text(unsigned char *out, const char *text, size_t len)
{
	memcpy(out, text, len);
	return out + len;
}

static unsigned char *put_line(unsigned char *out, const char *text, size_t len)
{
	return put_text(put_text(out, text, len), "\r\n", 2);
}

/* "Status: 404 Not Found": the script's own reason if it gave one. */
static unsigned char *put_status(unsigned char *out, int status, const char *given, size_t len)
{
	char text[64];
	int n;

	if (len > 4)
		return put_line(put_text(out, "Status: ", 8), given, len);
	n = snprintf(text, sizeof text, "Status: %d %s", status, response_reason(status));
	return put_line(out, text, (size_t)n);
}

/* Headers about the connection to a client that the script does not have. */
static bool is_hop_header(const struct line *line)
{
	static const char *const names[] = {"Connection", "Keep-Alive", "Proxy-Connection",
	    "Transfer-Encoding", "TE", "Trailer", "Upgrade"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (is_named(line, names[i]))
			return true;
	return false;
}

static bool is_kept(const struct response *response, const struct line *line)
{
	if (is_named(line, "Status"))
		return false;
	if (response->http && is_hop_header(line))
		return false;
	if (response->chunked && is_named(line, "Content-Length"))
		return false;
	if (response->kind == RESPONSE_AUTHORIZER && response->status == 200)
		return line->name_len > 9 && strncasecmp(line->text, "Variable-", 9) == 0;
	return true;
}

/* The text of the status as the script gave it: behind Status: or in a status line. */
static struct line find_status(
    const struct response *response, const unsigned char *raw, size_t len)
{
	struct line line;
	struct line found = {.text = NULL};
	size_t n;

	for (size_t at = 0; (n = take_line(raw + at, len - at, &line)) > 0; at += n) {
		size_t code = at == 0 && response->http ? status_line(&line) : 0;

		if (code != 0) {
			found.value = line.text + code;
			found.value_len = line.len - code;
		} else if (line.len > 0 && split_line(&line) == NULL && is_named(&line, "Status")) {
			found = line;
		}
	}
	return found;
}

size_t response_rendered_max(size_t len)
{
	/* the shortest line, "a:" LF, grows by a CR; a Status line may come on top */
	return len + len / 3 + 128;
}

size_t response_render(const struct response *response, const unsigned char *raw, size_t len,
    unsigned char *out)
{
	struct line status = find_status(response, raw, len);
	struct line line;
	unsigned char *to = put_status(out, response->status, status.value, status.value_len);
	size_t n;

	for (size_t at = 0; (n = take_line(raw + at, len - at, &line)) > 0; at += n) {
		if (line.len == 0 || (at == 0 && response->http) || split_line(&line) != NULL)
			continue;
		if (is_kept(response, &line))
			to = put_line(to, line.text, line.len);
	}
	return (size_t)(put_line(to, "", 0) - out);
}

/* ---- the body --------------------------------------------------------------- */

static int hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The line with a chunk's size has ended. */
static enum chunk_state begin_chunk(const struct response *response)
{
	return response->left == 0 ? CHUNK_TRAILER : CHUNK_DATA;
}

static enum chunk_state take_size(struct response *response, unsigned char c)
{
	int digit = hex_digit(c);

	if (digit >= 0 && response->left < 1ULL << 56) {
		response->left = response->left * 16 + (uint64_t)digit;
		return CHUNK_SIZE;
	}
	if (response->chunk == CHUNK_START)
		return CHUNK_BROKEN;
	if (c == '\n')
		return begin_chunk(response);
	return c == '\r' || c == ';' || is_blank((char)c) ? CHUNK_EXTENSION : CHUNK_BROKEN;
}

/* The state after byte `c` of anything but chunk data. */
static enum chunk_state take_chunk_byte(struct response *response, unsigned char c)
{
	switch (response->chunk) {
	case CHUNK_START:
	case CHUNK_SIZE:
		return take_size(response, c);
	case CHUNK_EXTENSION:
		return c == '\n' ? begin_chunk(response) : CHUNK_EXTENSION;
	case CHUNK_DATA_END:
		return c == '\n' ? CHUNK_START : c == '\r' ? CHUNK_DATA_END : CHUNK_BROKEN;
	case CHUNK_TRAILER:
		return c == '\n' ? CHUNK_DONE : c == '\r' ? CHUNK_TRAILER : CHUNK_TRAILER_LINE;
	case CHUNK_TRAILER_LINE:
		return c == '\n' ? CHUNK_TRAILER : CHUNK_TRAILER_LINE;
	case CHUNK_DATA:
	case CHUNK_DONE:
	case CHUNK_BROKEN:
		break;
	}
	return response->chunk;
}

static size_t unchunk(struct response *response, unsigned char *bytes, size_t len)
{
	size_t kept = 0;
	size_t at = 0;

	while (at < len && response->chunk != CHUNK_DONE && response->chunk != CHUNK_BROKEN) {
		size_t n = len - at;

		if (response->chunk != CHUNK_DATA) {
			response->chunk = take_chunk_byte(response, bytes[at++]);
			continue;
		}
		if (n > response->left)
			n = (size_t)response->left;
		memmove(bytes + kept, bytes + at, n);
		kept += n;
		at += n;
		response->left -= n;
		if (response->left == 0)
			response->chunk = CHUNK_DATA_END;
	}
	return kept;
}

size_t response_passes(const struct response *response, size_t len)
{
	if (response->chunked || response->drops_body)
		return 0;
	return response->counts && len > response->left ? (size_t)response->left : len;
}

void response_skip(struct response *response, size_t n)
{
	if (response->counts)
		response->left -= n;
}

size_t response_body(struct response *response, unsigned char *bytes, size_t len)
{
	if (response->chunked)
		len = unchunk(response, bytes, len);
	if (response->drops_body)
		return 0;
	if (!response->counts)
		return len;
	if (len > response->left) {
		response->longer = true;
		len = (size_t)response->left;
	}
	response->left -= len;
	return len;
}

bool response_is_whole(const struct response *response)
{
	if (response->drops_body)
		return true;
	if (response->chunked)
		return response->chunk == CHUNK_DONE;
	return response->counts && response->left == 0;
}

bool response_is_short(const struct response *response)
{
	if (response->drops_body)
		return false;
	if (response->chunked)
		return response->chunk != CHUNK_DONE;
	return response->counts && response->left > 0;
}

size_t response_page(enum response_kind kind, int status, const char *detail, unsigned char *out)
{
	const char *retry = status == 503 ? "Retry-After: 10\r\n" : "";
	const char *reason = response_reason(status);
	int n = snprintf((char *)out, RESPONSE_PAGE_MAX,
	    "Status: %d %s\r\nContent-Type: text/plain\r\n%s\r\n", status, reason, retry);

	if (kind == RESPONSE_NO_BODY)
		return (size_t)n;
	n += snprintf((char *)out + n, RESPONSE_PAGE_MAX - (size_t)n, "%d %s%s%.300s\n", status,
	    reason, detail[0] == '\0' ? "" : ": ", detail);
	return (size_t)n;
}

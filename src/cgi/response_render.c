/* SPDX-License-Identifier: ISC */
/*
 * response_render: a header block in normal form.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cgi/response_private.h"

static unsigned char *put_text(unsigned char *out, const char *text, size_t len)
{
	memcpy(out, text, len);
	return out + len;
}

static unsigned char *put_line(unsigned char *out, const char *text, size_t len)
{
	return put_text(put_text(out, text, len), "\r\n", 2);
}

/* A folded line as one line: each line end, with the blanks after it, becomes one blank. */
static unsigned char *put_joined(unsigned char *out, const char *text, size_t len)
{
	for (size_t at = 0; at < len; at++) {
		if (text[at] != '\r' && text[at] != '\n') {
			*out++ = (unsigned char)text[at];
			continue;
		}
		while (at + 1 < len && strchr("\r\n \t", text[at + 1]) != NULL)
			at++;
		*out++ = ' ';
	}
	return put_text(out, "\r\n", 2);
}

/*
 * "Status: 404 Not Found": the script's own reason, if `given` has one after the code, without
 * the blanks and line ends (of a folded line) around it.
 */
static unsigned char *put_status(unsigned char *out, int status, const char *given, size_t len)
{
	char text[64];
	size_t at = 3;
	int n;

	while (at < len && strchr(": \t\r\n", given[at]) != NULL)
		at++;
	while (len > at && strchr(" \t\r\n", given[len - 1]) != NULL)
		len--;
	if (at < len) {
		n = snprintf(text, sizeof text, "Status: %d ", status);
		return put_joined(put_text(out, text, (size_t)n), given + at, len - at);
	}
	n = snprintf(text, sizeof text, "Status: %d %s", status, response_reason(status));
	return put_line(out, text, (size_t)n);
}

/* Headers about a connection to the client, which the script does not have. */
static bool is_hop_header(const struct response_line *line)
{
	static const char *const names[] = {
	    "Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (response_line_is(line, names[i]))
			return true;
	return false;
}

static bool is_kept(const struct response *response, const struct response_line *line, size_t at)
{
	enum response_field field = response_line_field(line);

	if (line->name_len == 0 || field == RESPONSE_STATUS)
		return false;
	if (field != RESPONSE_FIELDS && response->line[field] != at)
		return false;
	if (response->http && is_hop_header(line))
		return false;
	if (response_line_is(line, "Transfer-Encoding"))
		return response->strict && !response->http;
	if (response->kind == RESPONSE_AUTHORIZER && response->status == 200)
		return line->name_len > 9 && strncasecmp(line->text, "Variable-", 9) == 0;
	return true;
}

/* Writes the Status line, if the block has or needs one. */
static unsigned char *begin_block(const struct response *response, const unsigned char *raw,
    size_t len, unsigned char *out)
{
	struct response_line line;
	bool found = response->line[RESPONSE_STATUS] != RESPONSE_NOWHERE;
	size_t at = found ? response->line[RESPONSE_STATUS] : response->begin;

	if ((!found && !response->http) || response_line_read(raw + at, len - at, &line) == 0) {
		/* Apache and Caddy would make a Location without Status a 200 */
		if (response->status == 200 && response->kind != RESPONSE_AUTHORIZER)
			return out;
		return put_status(out, response->status, "", 0);
	}
	if (!found) {
		size_t code = response_line_code(&line);

		return put_status(out, response->status, line.text + code, line.len - code);
	}
	return put_status(out, response->status, line.value, line.value_len);
}

const char *response_local_path(const struct response *response, const unsigned char *raw,
    size_t len, size_t *path_len)
{
	size_t at = response->line[RESPONSE_LOCATION];
	struct response_line line;

	*path_len = 0;
	if (response_line_read(raw + at, len - at, &line) > 0)
		*path_len = line.value_len;
	return line.value;
}

static size_t render_accel(const struct response *response, const unsigned char *raw, size_t len,
    unsigned char *out)
{
	static const char name[] = "X-Accel-Redirect: ";
	size_t path_len;
	const char *path = response_local_path(response, raw, len, &path_len);
	unsigned char *to = put_text(out, name, sizeof name - 1);

	return (size_t)(put_line(put_line(to, path, path_len), "", 0) - out);
}

size_t response_render(const struct response *response, const unsigned char *raw, size_t len,
    unsigned char *out)
{
	struct response_line line;
	unsigned char *to = begin_block(response, raw, len, out);
	size_t n;

	if (response->accel)
		return render_accel(response, raw, len, out);
	for (size_t at = response->begin; (n = response_line_read(raw + at, len - at, &line)) > 0;
	     at += n) {
		if (line.len == 0 || (at == response->begin && response->http) ||
		    !is_kept(response, &line, at))
			continue;
		to = line.folded ? put_joined(to, line.text, line.len)
				 : put_line(to, line.text, line.len);
	}
	return (size_t)(put_line(to, "", 0) - out);
}

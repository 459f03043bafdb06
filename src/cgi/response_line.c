/* SPDX-License-Identifier: ISC */
/*
 * response_line: the lines of a header block, and their parts.
 */
#include <string.h>
#include <strings.h>

#include "cgi/response_private.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* A token character of RFC 9110 5.6.2. */
static bool is_token(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || (c >= '0' && c <= '9'))
		return true;
	return c != '\0' && strchr("!#$%&'*+.^_`|~", c) != NULL;
}

static bool has_control(const char *text, size_t len)
{
	unsigned bad = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		bad |= (c < 0x20 && c != '\t') || c == 0x7f;
	}
	return bad != 0;
}

/*
 * Extends `line`, whose text has been set, by the part from offset `from` to the line end.
 * Returns the offset of the next line, 0 if the line end is not there yet.
 */
static size_t read_part(const unsigned char *raw, size_t len, size_t from,
    struct response_line *line)
{
	const unsigned char *end = from == len ? NULL : memchr(raw + from, '\n', len - from);
	size_t n;

	if (end == NULL)
		return 0;
	n = (size_t)(end - raw);
	if (n == from || raw[n - 1] != '\r')
		line->lf = true;
	else if (--n > from && raw[n - 1] == '\r') {
		/* a text layer turned CR LF into CR CR LF */
		line->cr = true;
		n--;
	}
	line->control |= has_control((const char *)raw + from, n - from);
	line->len = n;
	return (size_t)(end - raw) + 1;
}

/* A blank, or a part of a line end inside a folded line. */
static bool is_space(char c)
{
	return is_blank(c) || c == '\r' || c == '\n';
}

/* Finds name and value of "Name: value". */
static void split_line(struct response_line *line)
{
	const char *end = line->text + line->len;
	size_t n = 0;

	while (n < line->len && is_token(line->text[n]))
		n++;
	if (n == 0 || n == line->len || line->text[n] != ':')
		return;
	line->name_len = n;
	line->value = line->text + n + 1;
	while (line->value < end && is_space(*line->value))
		line->value++;
	while (end > line->value && is_space(end[-1]))
		end--;
	if (line->folded)
		line->len = (size_t)(end - line->text);
	line->value_len = (size_t)(end - line->value);
}

size_t response_line_read(const unsigned char *raw, size_t len, struct response_line *line)
{
	size_t at;

	*line = (struct response_line){.text = (const char *)raw};
	at = read_part(raw, len, 0, line);
	/* the next line's first byte tells whether this one goes on; an empty one never does */
	while (at > 0 && line->len > 0) {
		if (at == len)
			return 0;
		if (!is_blank((char)raw[at]))
			break;
		line->folded = true;
		at = read_part(raw, len, at, line);
	}
	if (at > 0)
		split_line(line);
	return at;
}

bool response_line_is(const struct response_line *line, const char *name)
{
	return line->name_len == strlen(name) && strncasecmp(line->text, name, line->name_len) == 0;
}

bool response_line_says(const struct response_line *line, const char *value)
{
	return line->value_len == strlen(value) &&
	    strncasecmp(line->value, value, line->value_len) == 0;
}

enum response_field response_line_field(const struct response_line *line)
{
	switch (line->name_len) {
	case sizeof "Status" - 1:
		return response_line_is(line, "Status") ? RESPONSE_STATUS : RESPONSE_FIELDS;
	case sizeof "Location" - 1:
		return response_line_is(line, "Location") ? RESPONSE_LOCATION : RESPONSE_FIELDS;
	case sizeof "Content-Type" - 1:
		return response_line_is(line, "Content-Type") ? RESPONSE_TYPE : RESPONSE_FIELDS;
	case sizeof "Content-Length" - 1:
		return response_line_is(line, "Content-Length") ? RESPONSE_LENGTH : RESPONSE_FIELDS;
	default:
		return RESPONSE_FIELDS;
	}
}

size_t response_line_code(const struct response_line *line)
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

/* SPDX-License-Identifier: ISC */
/*
 * fuzz_text: see fuzz_text.h.  These are readers by the book, and share no code with what
 * writes the text.
 */
#include "fuzz_text.h"

#include <string.h>

#include "fuzz.h"

enum { DEEP = 20 };

struct text {
	const char *at, *end;
};

static char peek(const struct text *text)
{
	return text->at < text->end ? *text->at : '\0';
}

static bool skip(struct text *text, char c)
{
	if (text->at == text->end || *text->at != c)
		return false;
	text->at++;
	return true;
}

static bool skip_word(struct text *text, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(text->end - text->at) < len || memcmp(text->at, word, len) != 0)
		return false;
	text->at += len;
	return true;
}

static size_t skip_any(struct text *text, const char *set)
{
	const char *from = text->at;

	while (text->at < text->end && *text->at != '\0' && strchr(set, *text->at) != NULL)
		text->at++;
	return (size_t)(text->at - from);
}

/* ---- JSON ------------------------------------------------------------------------------- */

static const char digits[] = "0123456789";
static const char hex[] = "0123456789abcdefABCDEF";

static bool skip_number(struct text *text)
{
	(void)skip(text, '-');
	if (!skip(text, '0') && skip_any(text, digits) == 0)
		return false;
	if (skip(text, '.') && skip_any(text, digits) == 0)
		return false;
	if (!skip(text, 'e') && !skip(text, 'E'))
		return true;
	(void)(skip(text, '-') || skip(text, '+'));
	return skip_any(text, digits) > 0;
}

static bool skip_escape(struct text *text)
{
	if (!skip(text, 'u'))
		return text->at < text->end && strchr("\"\\/bfnrt", *text->at++) != NULL;
	for (int i = 0; i < 4; i++, text->at++)
		if (text->at == text->end || *text->at == '\0' || strchr(hex, *text->at) == NULL)
			return false;
	return true;
}

static bool skip_string(struct text *text)
{
	const char *from;

	if (!skip(text, '"'))
		return false;
	from = text->at;
	while (text->at < text->end && *text->at != '"')
		if (*text->at++ == '\\' && !skip_escape(text))
			return false;
	return fuzz_is_text(from, (size_t)(text->at - from)) && skip(text, '"');
}

static bool skip_value(struct text *text, int depth);

/* What stands between `open` and `close`, separated by commas; members have names. */
static bool skip_items(struct text *text, char open, char close, int depth)
{
	if (!skip(text, open) || depth == DEEP)
		return false;
	skip_any(text, " \t\r\n");
	if (skip(text, close))
		return true;
	do {
		skip_any(text, " \t\r\n");
		if (open == '{' && (!skip_string(text) || (skip_any(text, " "), !skip(text, ':'))))
			return false;
		if (!skip_value(text, depth + 1))
			return false;
	} while (skip(text, ','));
	return skip(text, close);
}

static bool skip_scalar(struct text *text)
{
	if (peek(text) == '"')
		return skip_string(text);
	if (skip_word(text, "true") || skip_word(text, "false") || skip_word(text, "null"))
		return true;
	return skip_number(text);
}

static bool skip_value(struct text *text, int depth)
{
	bool good;

	skip_any(text, " \t\r\n");
	if (peek(text) == '{')
		good = skip_items(text, '{', '}', depth);
	else if (peek(text) == '[')
		good = skip_items(text, '[', ']', depth);
	else
		good = skip_scalar(text);
	skip_any(text, " \t\r\n");
	return good;
}

bool fuzz_is_json(const char *bytes, size_t len)
{
	struct text text = {bytes, bytes + len};

	return skip_value(&text, 0) && text.at == text.end;
}

/* ---- metrics ------------------------------------------------------------------------------ */

static const char letters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789";

static bool skip_name(struct text *text)
{
	return strchr(digits, peek(text)) == NULL && skip_any(text, letters) > 0;
}

static bool skip_label_value(struct text *text)
{
	if (!skip(text, '"'))
		return false;
	while (text->at < text->end && *text->at != '"')
		if (*text->at++ == '\\' &&
		    (text->at == text->end || strchr("\\\"n", *text->at++) == NULL))
			return false;
	return skip(text, '"');
}

static bool skip_labels(struct text *text)
{
	if (!skip(text, '{'))
		return true;
	do {
		if (!skip_name(text) || !skip(text, '=') || !skip_label_value(text))
			return false;
	} while (skip(text, ','));
	return skip(text, '}');
}

static bool is_sample(struct text line)
{
	return skip_name(&line) && skip_labels(&line) && skip(&line, ' ') && skip_number(&line) &&
	    line.at == line.end;
}

static bool is_comment(struct text line)
{
	static const char *const types[] = {"gauge", "counter", "histogram", "unknown"};

	if (skip_word(&line, "# HELP "))
		return skip_name(&line) && skip(&line, ' ') && line.at < line.end;
	if (!skip_word(&line, "# TYPE ") || !skip_name(&line) || !skip(&line, ' '))
		return false;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (skip_word(&line, types[i]))
			return line.at == line.end;
	return false;
}

/* Whether another line from `first` on is a sample with the same name and labels. */
static bool is_repeated(const char *first, struct text line)
{
	size_t len = 0;

	while (line.at + len < line.end && line.at[len] != ' ')
		len++;
	for (const char *at = first; at < line.at; at = (const char *)memchr(at, '\n', 1 << 20) + 1)
		if (memcmp(at, line.at, len + 1) == 0)
			return true;
	return false;
}

bool fuzz_is_metrics(const char *bytes, size_t len)
{
	const char *end = bytes + len;
	const char *at = bytes;

	if (!fuzz_is_lines(bytes, len) || len < 6 || memcmp(end - 6, "# EOF\n", 6) != 0)
		return false;
	while (at < end - 6) {
		struct text line = {at, memchr(at, '\n', (size_t)(end - at))};

		if (*at == '#' ? !is_comment(line) : !is_sample(line) || is_repeated(bytes, line))
			return false;
		at = line.end + 1;
	}
	return at == end - 6;
}

/* ---- lines --------------------------------------------------------------------------------- */

bool fuzz_is_lines(const char *text, size_t len)
{
	while (len > 0) {
		const char *end = memchr(text, '\n', len);

		if (end == NULL || !fuzz_is_text(text, (size_t)(end - text)))
			return false;
		len -= (size_t)(end + 1 - text);
		text = end + 1;
	}
	return true;
}

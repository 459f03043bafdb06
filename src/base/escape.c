/* SPDX-License-Identifier: ISC */
/*
 * escape: decoding UTF-8, and the escape functions.
 */
#include "base/escape.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* ---- UTF-8 ------------------------------------------------------------------------ */

size_t escape_decode(const unsigned char *at, unsigned long *point)
{
	static const unsigned long least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = at[0] < 0x80 ? 1 : at[0] < 0xc0 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3
	    : at[0] < 0xf8 ? 4 : 0;

	*point = len < 2 ? at[0] : at[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80) /* the terminator is rejected here, too */
			return 0;
		*point = *point << 6 | (at[i] & 0x3fU);
	}
	if (len > 1 && (*point < least[len] || *point > 0x10ffff ||
	    (*point >= 0xd800 && *point < 0xe000)))
		return 0;
	return len;
}

/*
 * Characters that a line must not contain: controls (Cc), format characters (Cf) that change
 * the direction of text or are invisible, line separators, and noncharacters.
 */
static const struct {
	unsigned long first, last;
} hidden[] = {
	{0x00, 0x1f}, {0x7f, 0x9f}, {0xad, 0xad}, {0x061c, 0x061c}, {0x115f, 0x1160},
	{0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164},
	{0xfdd0, 0xfdef}, {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3},
	{0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

static bool is_hidden(unsigned long point)
{
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
		if (point >= hidden[i].first && point <= hidden[i].last)
			return true;
	return (point & 0xfffe) == 0xfffe;
}

/* ---- units ------------------------------------------------------------------------ */

static void put_hex(const unsigned char *at, size_t len, char unit[ESCAPE_UNIT_MAX])
{
	for (size_t i = 0; i < len; i++)
		snprintf(unit + 4 * i, 5, "\\x%02x", (unsigned)at[i]);
}

static void put_same(const unsigned char *at, size_t len, char unit[ESCAPE_UNIT_MAX])
{
	memcpy(unit, at, len);
	unit[len] = '\0';
}

size_t escape_rest(const unsigned char *at, char unit[ESCAPE_UNIT_MAX])
{
	unsigned long point;
	size_t len = escape_decode(at, &point);

	if (len == 0 || is_hidden(point))
		put_hex(at, len == 0 ? 1 : len, unit);
	else
		put_same(at, len, unit);
	return len == 0 ? 1 : len;
}

size_t escape_line(const unsigned char *at, char unit[ESCAPE_UNIT_MAX])
{
	if (*at != '\\')
		return escape_rest(at, unit);
	memcpy(unit, "\\\\", 3);
	return 1;
}

size_t escape_field(const unsigned char *at, char unit[ESCAPE_UNIT_MAX])
{
	if (*at > ' ' && *at < 0x7f && *at != '\\')
		put_same(at, 1, unit);
	else
		put_hex(at, 1, unit);
	return 1;
}

static void put_code_point(unsigned long point, char unit[ESCAPE_UNIT_MAX])
{
	if (point < 0x10000)
		snprintf(unit, ESCAPE_UNIT_MAX, "\\u%04lx", point & 0xffff);
	else
		snprintf(unit, ESCAPE_UNIT_MAX, "\\u%04lx\\u%04lx",
		    0xd800 + ((point - 0x10000) >> 10 & 0x3ff), 0xdc00 + (point & 0x3ff));
}

size_t escape_json(const unsigned char *at, char unit[ESCAPE_UNIT_MAX])
{
	unsigned long point;
	size_t len = escape_decode(at, &point);

	if (len == 0)
		snprintf(unit, ESCAPE_UNIT_MAX, "\\\\x%02x", (unsigned)*at);
	else if (*at == '"' || *at == '\\')
		snprintf(unit, ESCAPE_UNIT_MAX, "\\%c", *at);
	else if (point >= ' ' && point < 0x7f)
		put_same(at, 1, unit);
	else
		put_code_point(point, unit);
	return len == 0 ? 1 : len;
}

size_t escape_json_html(const unsigned char *at, char unit[ESCAPE_UNIT_MAX])
{
	unsigned long point;
	size_t len = escape_decode(at, &point);

	if (len == 0)
		put_code_point(0xfffd, unit);
	else if (is_hidden(point) || strchr("\"\\<>&'", *at) != NULL)
		put_code_point(point, unit);
	else
		put_same(at, len, unit);
	return len == 0 ? 1 : len;
}

/* ---- texts ------------------------------------------------------------------------ */

size_t escape_bytes(char *out, size_t room, const char *text, size_t len, escape_fn *escape)
{
	const unsigned char *at = (const unsigned char *)text;
	const unsigned char *end = at + len;
	size_t used = 0;

	while (at < end) {
		char unit[ESCAPE_UNIT_MAX];
		size_t taken = escape(at, unit);
		size_t size = strlen(unit);

		if (used + size > room - 3) {
			memcpy(out + used, "...", 3);
			return used + 3;
		}
		memcpy(out + used, unit, size);
		used += size;
		at += taken;
	}
	return used;
}

size_t escape_copy(char *out, size_t room, const char *text, escape_fn *escape)
{
	return escape_bytes(out, room, text, strlen(text), escape);
}

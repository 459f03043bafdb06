/* SPDX-License-Identifier: ISC */
/*
 * accesslog_format: a request's line, as text or as JSON.
 *
 * Text has the fields in a fixed order with a blank between; a byte that is a blank, a
 * backslash or no printable ASCII is \xHH, and a field that is not known "-".  JSON is
 * one object of RFC 8259; a character beyond ASCII is \uHHHH, a byte that is no UTF-8
 * is the text "\xHH".
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "stats/accesslog.h"

enum {
	SMALL_MAX = 64,   /* of a line: a peer, a method */
	FIXED = 544,      /* of a line: all but script and URI, with JSON's names */
	URI_ROOM = (ACCESSLOG_LINE_MAX - FIXED) * 3 / 5,
	SCRIPT_ROOM = (ACCESSLOG_LINE_MAX - FIXED) * 2 / 5,
};

/* Else a URI could be cut where nobody says so. */
static_assert(ACCESSLOG_URI_MAX > URI_ROOM, "ACCESSLOG_URI_MAX is too small");

static const char *const ends[] = {"ok", "failed", "short", "invalid", "refused", "timeout",
    "aborted", "lost", "detached", "stopped", "error"};

struct pen {
	char *line;
	size_t used;
};

static void PRINTF_LIKE(2, 3) put(struct pen *pen, const char *fmt, ...)
{
	size_t room = ACCESSLOG_LINE_MAX - pen->used;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(pen->line + pen->used, room, fmt, args);
	va_end(args);
	pen->used += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

/* ---- escaping ---------------------------------------------------------------- */

/* Writes what stands for the first character at `at` to `unit`; returns its bytes. */
typedef size_t escape_fn(const unsigned char *at, char unit[16]);

/* Appends `text` in at most `room` bytes, each unit whole or not there. */
static void put_escaped(struct pen *pen, const char *text, size_t room, escape_fn *escape)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t end = pen->used + room - 3;

	while (*at != '\0') {
		char unit[16];
		size_t taken = escape(at, unit);

		if (pen->used + strlen(unit) > end) {
			put(pen, "...");
			return;
		}
		put(pen, "%s", unit);
		at += taken;
	}
}

static size_t escape_text(const unsigned char *at, char unit[16])
{
	bool plain = *at > 0x20 && *at < 0x7f && *at != '\\';

	snprintf(unit, 16, plain ? "%c" : "\\x%02x", (unsigned)*at);
	return 1;
}

/* The length of the UTF-8 sequence at `at`, whose code point is then in `*point`; 0 if none. */
static size_t decode(const unsigned char *at, unsigned long *point)
{
	static const unsigned long least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = at[0] < 0xc0 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf8 ? 4 : 0;

	if (len == 0)
		return 0;
	*point = at[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80) /* the terminator, too */
			return 0;
		*point = *point << 6 | (at[i] & 0x3fU);
	}
	return *point < least[len] || *point > 0x10ffff || (*point >= 0xd800 && *point < 0xe000)
	    ? 0
	    : len;
}

static size_t escape_json(const unsigned char *at, char unit[16])
{
	unsigned long point = *at;
	size_t len = *at < 0x80 ? 1 : decode(at, &point);

	if (len == 0) {
		snprintf(unit, 16, "\\\\x%02x", (unsigned)*at);
		return 1;
	}
	if (*at == '"' || *at == '\\')
		snprintf(unit, 16, "\\%c", *at);
	else if (point >= 0x20 && point < 0x7f)
		snprintf(unit, 16, "%c", (int)point);
	else if (point < 0x10000)
		snprintf(unit, 16, "\\u%04lx", point & 0xffff);
	else
		snprintf(unit, 16, "\\u%04lx\\u%04lx", 0xd800 + ((point - 0x10000) >> 10 & 0x3ff),
		    0xdc00 + (point & 0x3ff));
	return len;
}

/* ---- text ---------------------------------------------------------------------- */

static void put_word(struct pen *pen, const char *text, size_t room)
{
	put(pen, " ");
	if (text == NULL || *text == '\0')
		put(pen, "-");
	else
		put_escaped(pen, text, room, escape_text);
}

/* 0 is "not known". */
static void put_count(struct pen *pen, long number)
{
	if (number == 0)
		put(pen, " -");
	else
		put(pen, " %ld", number);
}

static void put_text(struct pen *pen, const struct accesslog_entry *entry)
{
	put_word(pen, entry->peer, SMALL_MAX);
	put_word(pen, entry->method, SMALL_MAX);
	put_word(pen, entry->script, SCRIPT_ROOM);
	put_word(pen, entry->uri, URI_ROOM);
	put_count(pen, entry->status);
	put(pen, " %lu %llu %llu %lld.%03d", (unsigned long)entry->app_status,
	    (unsigned long long)entry->in, (unsigned long long)entry->out,
	    (long long)entry->duration / 1000, (int)(entry->duration % 1000));
	put_count(pen, (long)entry->pid);
	put(pen, " %s", ends[entry->end]);
}

/* ---- JSON ---------------------------------------------------------------------- */

static void put_string(struct pen *pen, const char *name, const char *text, size_t room)
{
	if (text == NULL || *text == '\0') {
		put(pen, ",\"%s\":null", name);
		return;
	}
	put(pen, ",\"%s\":\"", name);
	put_escaped(pen, text, room, escape_json);
	put(pen, "\"");
}

static void put_number(struct pen *pen, const char *name, long number)
{
	if (number == 0)
		put(pen, ",\"%s\":null", name);
	else
		put(pen, ",\"%s\":%ld", name, number);
}

static void put_json(struct pen *pen, const struct accesslog_entry *entry)
{
	put_string(pen, "peer", entry->peer, SMALL_MAX);
	put_string(pen, "method", entry->method, SMALL_MAX);
	put_string(pen, "script", entry->script, SCRIPT_ROOM);
	put_string(pen, "uri", entry->uri, URI_ROOM);
	put_number(pen, "status", entry->status);
	put(pen, ",\"app_status\":%lu,\"bytes_in\":%llu,\"bytes_out\":%llu,\"duration\":%lld.%03d",
	    (unsigned long)entry->app_status, (unsigned long long)entry->in,
	    (unsigned long long)entry->out, (long long)entry->duration / 1000,
	    (int)(entry->duration % 1000));
	put_number(pen, "pid", (long)entry->pid);
	put(pen, ",\"ended\":\"%s\"}", ends[entry->end]);
}

/* ---- both ------------------------------------------------------------------------ */

/* "2026-11-21T07:21:52.123Z" */
static void put_time(struct pen *pen, int64_t now)
{
	time_t seconds = (time_t)(now / 1000);
	struct tm parts;
	char text[32] = "1970-01-01T00:00:00";

	if (gmtime_r(&seconds, &parts) != NULL)
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
	put(pen, "%s.%03dZ", text, (int)(now % 1000));
}

size_t accesslog_format(enum accesslog_form form, const struct accesslog_entry *entry,
    int64_t now, char line[ACCESSLOG_LINE_MAX])
{
	struct pen pen = {.line = line};

	if (form == ACCESSLOG_JSON) {
		put(&pen, "{\"time\":\"");
		put_time(&pen, now);
		put(&pen, "\"");
		put_json(&pen, entry);
	} else {
		put_time(&pen, now);
		put_text(&pen, entry);
	}
	put(&pen, "\n");
	return pen.used;
}

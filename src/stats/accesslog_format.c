/* SPDX-License-Identifier: ISC */
/*
 * accesslog_format: a request's line, as text or as JSON.
 *
 * Text has the fields in a fixed order, separated by spaces; a space, a backslash and a byte
 * that is not printable ASCII become \xHH, and an unknown field is "-".  JSON is one object
 * (RFC 8259); characters beyond ASCII become \uHHHH, a byte that is not UTF-8 the text "\xHH".
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "base/stamp.h"
#include "stats/accesslog.h"

enum {
	SMALL_MAX = 64,   /* bytes of a line, each: peer, method, client */
	FIXED = 640,      /* bytes of a line: all but script and URI, with JSON's names */
	URI_ROOM = (ACCESSLOG_LINE_MAX - FIXED) * 3 / 5,
	SCRIPT_ROOM = (ACCESSLOG_LINE_MAX - FIXED) * 2 / 5,
};

/* Otherwise a URI could be cut without "..." to show it. */
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

/* Appends `text` in at most `room` bytes. */
static void put_escaped(struct pen *pen, const char *text, size_t room, escape_fn *escape)
{
	pen->used += escape_copy(pen->line + pen->used, room, text, escape);
}

/* ---- text ---------------------------------------------------------------------- */

static void put_word(struct pen *pen, const char *text, size_t room)
{
	put(pen, " ");
	if (text == NULL || *text == '\0')
		put(pen, "-");
	else
		put_escaped(pen, text, room, escape_field);
}

/* 0 means "not known". */
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
	put_word(pen, entry->client, SMALL_MAX);
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
	put(pen, ",\"ended\":\"%s\"", ends[entry->end]);
	put_string(pen, "remote_addr", entry->client, SMALL_MAX);
	put(pen, "}");
}

/* ---- both ------------------------------------------------------------------------ */

static void put_time(struct pen *pen, int64_t now)
{
	char text[STAMP_SIZE];

	stamp_format(now, text);
	put(pen, "%s", text);
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

/* SPDX-License-Identifier: ISC */
/*
 * log: the form of a line, and where it goes.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/escape.h"
#include "base/log_stderr.h"
#include "base/log_syslog.h"
#include "base/stamp.h"

enum { SYSLOG_PATIENCE = 20 }; /* ms */

static enum log_level log_max = LOG_LEVEL_INFO;
static enum log_form log_style = LOG_FORM_PLAIN;
static unsigned long log_diverted; /* lines that went to stderr since syslog last took one */

static const struct {
	const char *name;
	int priority; /* RFC 5424, and for the journal's "<N>" */
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", 3},
	[LOG_LEVEL_WARN] = {"warn", 4},
	[LOG_LEVEL_INFO] = {"info", 6},
	[LOG_LEVEL_DEBUG] = {"debug", 7},
};

void log_open(enum log_level level, enum log_form form)
{
	log_max = level;
	log_style = form;
}

int log_level_parse(const char *name)
{
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
		if (strcmp(name, levels[i].name) == 0)
			return (int)i;
	return -1;
}

const char *log_level_name(enum log_level level)
{
	return levels[level].name;
}

bool log_enabled(enum log_level level)
{
	return level <= log_max;
}

/* ---- lines ------------------------------------------------------------------------ */

static size_t make_head(char *head, size_t size, enum log_level level)
{
	char stamp[STAMP_SIZE];
	bool dated = log_style != LOG_FORM_PLAIN;

	if (log_style == LOG_FORM_JOURNAL)
		return (size_t)snprintf(head, size, "<%d>", levels[level].priority);
	if (dated)
		stamp_format(clock_real_ms(), stamp);
	return (size_t)snprintf(head, size, "%s%scgibridge[%ld] %s: ", dated ? stamp : "",
	    dated ? " " : "", (long)getpid(), levels[level].name);
}

/* What a line says; a NUL follows it. */
struct text {
	const char *at;
	size_t len;
	escape_fn *escape;
};

static struct text text_of(const char *words, escape_fn *escape)
{
	return (struct text){words, strlen(words), escape};
}

/* Writes the line for stderr, of at most `size` bytes; returns its length. */
static size_t make_line(char *line, size_t size, enum log_level level, const struct text *text)
{
	size_t used = make_head(line, size, level);

	used += escape_bytes(line + used, size - used - 1, text->at, text->len, text->escape);
	line[used++] = '\n';
	return used;
}

static size_t make_lost_line(char *line, size_t size, unsigned long lost, const char *why)
{
	char words[128];
	struct text text;

	snprintf(words, sizeof words, "log: lines lost: %lu: %s", lost, why);
	text = text_of(words, escape_line);
	return make_line(line, size, LOG_LEVEL_WARN, &text);
}

void log_unblock(void)
{
	log_stderr_open(make_lost_line);
}

static int send_line(enum log_level level, const struct text *text)
{
	char line[LOG_LINE_MAX];

	return log_syslog_send(levels[level].priority, line,
	    escape_bytes(line, sizeof line, text->at, text->len, text->escape), SYSLOG_PATIENCE);
}

/* 0, or -1: the line has to go to stderr. */
static int write_syslog(enum log_level level, const struct text *text)
{
	char before[128];
	struct text lost;

	if (log_diverted > 0) {
		snprintf(before, sizeof before,
		    "log: lines that went to standard error instead: %lu: the log daemon did not "
		    "take them",
		    log_diverted);
		lost = text_of(before, escape_line);
		if (send_line(LOG_LEVEL_WARN, &lost) != 0)
			return -1;
		log_diverted = 0;
	}
	return send_line(level, text);
}

static void write_line(enum log_level level, const struct text *text)
{
	char line[LOG_LINE_MAX];

	if (log_style == LOG_FORM_SYSLOG) {
		if (write_syslog(level, text) == 0)
			return;
		log_diverted++;
	}
	log_stderr_put(line, make_line(line, sizeof line, level, text));
}

static void PRINTF_LIKE(2, 0) write_message(enum log_level level, const char *fmt, va_list args)
{
	int saved = errno;
	char words[LOG_LINE_MAX];
	struct text text;

	if (log_enabled(level)) {
		errno = saved;
		vsnprintf(words, sizeof words, fmt, args);
		text = text_of(words, escape_line);
		write_line(level, &text);
	}
	errno = saved;
}

void log_warn_bytes(const char *bytes, size_t len, const char *fmt, ...)
{
	int saved = errno;
	char words[LOG_LINE_MAX];
	struct text text;
	size_t room;
	va_list args;

	if (!log_enabled(LOG_LEVEL_WARN))
		return;
	va_start(args, fmt);
	vsnprintf(words, sizeof words, fmt, args);
	va_end(args);
	text = text_of(words, escape_line);
	room = sizeof words - 1 - text.len;
	if (len > room)
		len = room;
	memcpy(words + text.len, bytes, len);
	text.len += len;
	words[text.len] = '\0';
	write_line(LOG_LEVEL_WARN, &text);
	errno = saved;
}

void log_info_escaped(const char *words)
{
	int saved = errno;
	struct text text = text_of(words, escape_rest);

	if (log_enabled(LOG_LEVEL_INFO))
		write_line(LOG_LEVEL_INFO, &text);
	errno = saved;
}

#define LOG_FUNCTION(name, level)                    \
	void name(const char *fmt, ...)              \
	{                                            \
		va_list args;                        \
		va_start(args, fmt);                 \
		write_message(level, fmt, args);     \
		va_end(args);                        \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

/* SPDX-License-Identifier: ISC */
/*
 * log: formatting, escaping and the single write of each line.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log_syslog.h"

enum { SYSLOG_PATIENCE = 20 }; /* ms */

static enum log_level log_max = LOG_LEVEL_INFO;
static enum log_form log_style = LOG_FORM_PLAIN;

static const struct {
	const char *name;
	int priority; /* RFC 5424, as the journal's "<N>" takes it */
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

int log_enabled(enum log_level level)
{
	return level <= log_max;
}

/* Copies `text` to `out` with every unprintable byte as \xHH; returns the length. */
static size_t escape(char *out, size_t room, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t used = 0;

	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;

		if (used + 8 > room) { /* an escape and the ellipsis still fit */
			memcpy(out + used, "...", 3);
			return used + 3;
		}
		if (byte >= 0x20 && byte < 0x7f) {
			out[used++] = (char)byte;
			continue;
		}
		out[used++] = '\\';
		out[used++] = 'x';
		out[used++] = hex[byte >> 4];
		out[used++] = hex[byte & 15];
	}
	return used;
}

static void write_stderr(enum log_level level, const char *text)
{
	char line[LOG_LINE_MAX];
	int head;
	size_t used;

	if (log_style == LOG_FORM_JOURNAL)
		head = snprintf(line, sizeof line, "<%d>", levels[level].priority);
	else
		head = snprintf(line, sizeof line, "cgibridge[%ld] %s: ",
		    (long)getpid(), levels[level].name);
	used = (size_t)head;
	used += escape(line + used, sizeof line - used - 1, text);
	line[used++] = '\n';
	/* A log that cannot be written has nowhere to say so. */
	while (write(STDERR_FILENO, line, used) < 0 && errno == EINTR)
		;
}

static void write_line(enum log_level level, const char *text)
{
	char line[LOG_LINE_MAX];

	if (log_style != LOG_FORM_SYSLOG ||
	    log_syslog_send(levels[level].priority, line, escape(line, sizeof line, text),
		SYSLOG_PATIENCE) != 0)
		write_stderr(level, text);
}

static void PRINTF_LIKE(2, 0) write_message(enum log_level level, const char *fmt, va_list args)
{
	int saved = errno;
	char text[LOG_LINE_MAX];

	if (log_enabled(level)) {
		errno = saved;
		vsnprintf(text, sizeof text, fmt, args);
		write_line(level, text);
	}
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

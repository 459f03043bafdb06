/* SPDX-License-Identifier: ISC */
/*
 * doctor_report: printing the lines.
 *
 * They contain output of the script and names of files: control characters are escaped and do
 * not reach the terminal.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "fcgiget/doctor_private.h"

enum { LINE_SIZE = 2048 };

static void put_line(const char *mark, const char *what, const char *fmt, va_list args)
    PRINTF_LIKE(3, 0);

static void put_line(const char *mark, const char *what, const char *fmt, va_list args)
{
	char text[LINE_SIZE];
	char safe[LINE_SIZE];
	size_t len;

	vsnprintf(text, sizeof text, fmt, args);
	len = escape_copy(safe, sizeof safe, text, escape_rest);
	printf("%-5s  %s%s%.*s\n", mark, what, *what == '\0' ? "" : ": ", (int)len, safe);
}

void doctor_ok(const char *what, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put_line("ok", what, fmt, args);
	va_end(args);
}

void doctor_note(const char *what, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put_line("note", what, fmt, args);
	va_end(args);
}

void doctor_fault(struct doctor *doctor, const char *what, const char *fmt, ...)
{
	va_list args;

	doctor->faults++;
	doctor->cures = 0;
	va_start(args, fmt);
	put_line("FAULT", what, fmt, args);
	va_end(args);
}

void doctor_cure(struct doctor *doctor, const char *fmt, ...)
{
	char number[16];
	va_list args;

	snprintf(number, sizeof number, "%6d.", ++doctor->cures);
	va_start(args, fmt);
	put_line(number, "", fmt, args);
	va_end(args);
}

void doctor_quote(const char *bytes, size_t len, int most)
{
	for (int i = 0; i < most && len > 0; i++) {
		const char *end = memchr(bytes, '\n', len);
		size_t line = end == NULL ? len : (size_t)(end - bytes);
		char text[LINE_SIZE];
		char safe[LINE_SIZE];

		snprintf(text, sizeof text, "%.*s", (int)line, bytes);
		printf("       | %.*s\n", (int)escape_copy(safe, sizeof safe, text, escape_line), safe);
		line += end != NULL;
		bytes += line;
		len -= line;
	}
}

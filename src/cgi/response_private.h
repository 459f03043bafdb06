/* SPDX-License-Identifier: ISC */
/*
 * response_private: shared by the response*.c files.  No other file includes it.
 */
#ifndef CGIBRIDGE_RESPONSE_PRIVATE_H
#define CGIBRIDGE_RESPONSE_PRIVATE_H

#include "cgi/response.h"

/* ---- response_line.c ------------------------------------------------------------ */

/* One header line, without its line end, and with the lines that are folded into it. */
struct response_line {
	const char *text;
	size_t len;
	size_t name_len;   /* up to the colon; 0: it is not "Name: value" */
	const char *value; /* without blanks around it */
	size_t value_len;
	bool folded;       /* there are line ends in it */
	bool lf;           /* a line end of it is a bare LF ... */
	bool cr;           /* ... or CR CR LF */
	bool control;      /* there is a control character in it, such as NUL or CR */
};

/*
 * Reads the line at `raw`; returns its length with its line ends, or 0 if its end is not known
 * yet.
 */
size_t response_line_read(
    const unsigned char *raw, size_t len, struct response_line *line) MUST_CHECK;

bool response_line_is(const struct response_line *line, const char *name);
bool response_line_says(const struct response_line *line, const char *value);

/* Which of the fields it is; RESPONSE_FIELDS: none of them. */
enum response_field response_line_field(const struct response_line *line);

/* "HTTP/1.1 404 Not Found": the offset of the status code, or 0 if it is not a status line. */
size_t response_line_code(const struct response_line *line);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * escape: text that others have written, made safe for where it is shown.
 *
 * Each way has a function that says what stands for one character; escape_copy() applies it
 * to a whole text, with a bound.
 */
#ifndef CGIBRIDGE_ESCAPE_H
#define CGIBRIDGE_ESCAPE_H

#include <stddef.h>

enum { ESCAPE_UNIT_MAX = 17 }; /* bytes that stand for one character, terminator included */

/*
 * Writes what stands for the first character at `at`, which is not the terminator, to
 * `unit`; returns how many bytes that character has.
 */
typedef size_t escape_fn(const unsigned char *at, char unit[ESCAPE_UNIT_MAX]);

/*
 * For a line of the log: a control character, one that changes the direction of text or is
 * not to be seen, and a byte that is not UTF-8 are \xHH, byte by byte; a backslash is two.
 */
escape_fn escape_line;

/* The same for text that has been through it, in part: a backslash stays one. */
escape_fn escape_rest;

/* For a field of a line: printable ASCII but the blank and the backslash; all else is \xHH. */
escape_fn escape_field;

/*
 * For a JSON string (RFC 8259) that is ASCII: a character beyond that is \uHHHH, a byte that
 * is not UTF-8 the text "\xHH".
 */
escape_fn escape_json;

/*
 * For a JSON string in UTF-8 that is safe within HTML: its special characters are \uHHHH;
 * a byte that is not UTF-8 is U+FFFD.
 */
escape_fn escape_json_html;

/*
 * Copies `text` to the `room` bytes at `out`, each unit whole or not there; when it is cut,
 * "..." is at its end, for which `room` is at least 3.  Returns the length; there is no
 * terminator.
 */
size_t escape_copy(char *out, size_t room, const char *text, escape_fn *escape);

/* The length of the UTF-8 sequence (RFC 3629) at `at`, whose code point goes to `*point`; or 0. */
size_t escape_decode(const unsigned char *at, unsigned long *point);

#endif

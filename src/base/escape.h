/* SPDX-License-Identifier: ISC */
/*
 * escape: makes untrusted text safe for the place where it is shown.
 *
 * An escape_fn gives the representation of one character; escape_copy() applies it to a whole
 * text, within a bound.
 */
#ifndef CGIBRIDGE_ESCAPE_H
#define CGIBRIDGE_ESCAPE_H

#include <stddef.h>

enum { ESCAPE_UNIT_MAX = 17 }; /* the longest representation, terminator included */

/*
 * Writes the representation of the first character at `at`, a text with a terminator, to
 * `unit`; returns the length of that character in bytes.  It may be a NUL.
 */
typedef size_t escape_fn(const unsigned char *at, char unit[ESCAPE_UNIT_MAX]);

/*
 * For a log line: a control character, one that changes the direction of text or is invisible,
 * and a byte that is not UTF-8 become \xHH, byte by byte; a backslash is doubled.
 */
escape_fn escape_line;

/* The same for text that is partly escaped already: a backslash is not doubled. */
escape_fn escape_rest;

/*
 * For a field of a line: printable ASCII except space and backslash is kept; other bytes
 * become \xHH.
 */
escape_fn escape_field;

/*
 * For a JSON string (RFC 8259) in printable ASCII: other characters become \uHHHH, a byte that
 * is not UTF-8 the text "\xHH".
 */
escape_fn escape_json;

/*
 * For a JSON string in UTF-8 that is safe within HTML and on a terminal: the characters that a
 * log line must not have and those special to JSON or HTML become \uHHHH, a byte that is not UTF-8
 * becomes U+FFFD.
 */
escape_fn escape_json_html;

/*
 * Copies `text`, escaped, to the `room` (at least 3) bytes at `out`.  A text that takes more
 * than `room` - 3 is cut between two characters and ends in "...".  Returns the length; there
 * is no terminator.
 */
size_t escape_copy(char *out, size_t room, const char *text, escape_fn *escape);

/* The same for the `len` bytes at `text`, which may have a NUL among them, and a NUL after them. */
size_t escape_bytes(char *out, size_t room, const char *text, size_t len, escape_fn *escape);

/*
 * The length of the UTF-8 sequence (RFC 3629) at `at`, with its code point in `*point`; 0 if
 * it is not valid.
 */
size_t escape_decode(const unsigned char *at, unsigned long *point);

#endif

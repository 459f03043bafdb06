/* SPDX-License-Identifier: ISC */
/*
 * fuzz_text: whether text has the form that other programs will read.
 */
#ifndef CGIBRIDGE_FUZZ_TEXT_H
#define CGIBRIDGE_FUZZ_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"

/*
 * JSON (RFC 8259): one value, with blanks around it.  An object has each name once, and a string
 * is of whole characters.
 */
bool fuzz_is_json(const char *text, size_t len) MUST_CHECK;

/* A value in such a text; `at` NULL: there is none. */
struct fuzz_json {
	const char *at;
	size_t len;
};

/* A member of an object, and item `number`, from 0, of an array. */
struct fuzz_json fuzz_json_member(struct fuzz_json object, const char *name);
struct fuzz_json fuzz_json_item(struct fuzz_json array, size_t number);

/* Whether it is written as `text`. */
bool fuzz_json_is(struct fuzz_json value, const char *text) MUST_CHECK;

/* The number that it has to be. */
double fuzz_json_number(struct fuzz_json value);

/* What the string that it has to be says, in UTF-8; to be freed. */
char *fuzz_json_string(struct fuzz_json value) MUST_CHECK;

/*
 * The text format of Prometheus and OpenMetrics 1.0, up to "# EOF" and a line end: each family
 * in one piece, its samples of its name and type, and what a histogram has to have.
 */
bool fuzz_is_metrics(const char *text, size_t len) MUST_CHECK;

/* Lines of printable UTF-8, the last one with its line end, too. */
bool fuzz_is_lines(const char *text, size_t len) MUST_CHECK;

#endif

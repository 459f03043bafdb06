/* SPDX-License-Identifier: ISC */
/*
 * fuzz_text: whether text has the form that other programs will read.
 */
#ifndef CGIBRIDGE_FUZZ_TEXT_H
#define CGIBRIDGE_FUZZ_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"

/* JSON (RFC 8259): one value, with blanks around it. */
bool fuzz_is_json(const char *text, size_t len) MUST_CHECK;

/* The text format of Prometheus and OpenMetrics 1.0, up to "# EOF" and a line end. */
bool fuzz_is_metrics(const char *text, size_t len) MUST_CHECK;

/* Lines of printable UTF-8, the last one with its line end, too. */
bool fuzz_is_lines(const char *text, size_t len) MUST_CHECK;

#endif

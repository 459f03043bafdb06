/* SPDX-License-Identifier: ISC */
/*
 * status: the scoreboard as a page: plain text, JSON, OpenMetrics, HTML.
 *
 * A page has a hard maximum.  Its lists of workers and scripts are cut before that and say how
 * many more there are; the oldest scripts are kept.
 */
#ifndef CGIBRIDGE_STATUS_H
#define CGIBRIDGE_STATUS_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/buf.h"
#include "stats/scoreboard.h"

enum { STATUS_MAX = 60 * 1024 }; /* bytes of a page */

enum status_form { STATUS_TEXT, STATUS_JSON, STATUS_OPENMETRICS, STATUS_HTML };

/* The sources of a page, all borrowed. */
struct status_source {
	const struct scoreboard *board;
	int max_queue; /* how many requests may wait */
	int64_t slow;  /* ms after which a script counts as slow; 0: never */
	int64_t now; /* loop_clock() */
};

/*
 * The form that a query such as "json" asks for, alone or with other parameters; text by
 * default.
 */
enum status_form status_form_of(const char *query);

/* The Content-Type of a form. */
const char *status_type(enum status_form form);

/*
 * Appends the page to `out`, an empty buffer with a maximum of STATUS_MAX.
 * 0, or -1 with errno ENOMEM.
 */
int status_render(enum status_form form, const struct status_source *source,
    struct buf *out) MUST_CHECK;

/* Writes the text form to the log, line by line. */
void status_log(const struct status_source *source);

#endif

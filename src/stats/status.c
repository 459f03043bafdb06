/* SPDX-License-Identifier: ISC */
/*
 * status: choosing the form of a page, and writing it.
 */
#include "stats/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "stats/status_private.h"

/* ---- the page ------------------------------------------------------------ */

static bool is_word(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(word, name, len) == 0;
}

/* Prometheus' "params" setting sends "openmetrics=". */
enum status_form status_form_of(const char *query)
{
	while (query != NULL && *query != '\0') {
		size_t len = strcspn(query, "&=");

		if (is_word(query, len, "json"))
			return STATUS_JSON;
		if (is_word(query, len, "openmetrics"))
			return STATUS_OPENMETRICS;
		if (is_word(query, len, "html"))
			return STATUS_HTML;
		query += strcspn(query, "&");
		query += *query == '&';
	}
	return STATUS_TEXT;
}

const char *status_type(enum status_form form)
{
	switch (form) {
	case STATUS_TEXT:
		break;
	case STATUS_JSON:
		return "application/json";
	case STATUS_OPENMETRICS:
		return "application/openmetrics-text; version=1.0.0; charset=utf-8";
	case STATUS_HTML:
		return "text/html; charset=utf-8";
	}
	return "text/plain; charset=utf-8";
}

int status_render(enum status_form form, const struct status_source *source, struct buf *out)
{
	struct status_page page = {.out = out};
	struct status_snapshot snapshot;

	status_snapshot(&snapshot, source);
	switch (form) {
	case STATUS_TEXT:
		status_text(&page, &snapshot);
		break;
	case STATUS_JSON:
		status_json(&page, &snapshot);
		break;
	case STATUS_OPENMETRICS:
		status_metrics(&page, &snapshot);
		break;
	case STATUS_HTML:
		status_html(&page);
		break;
	}
	errno = page.failed ? ENOMEM : errno;
	return page.failed ? -1 : 0;
}

void status_log(const struct status_source *source)
{
	struct buf text;
	char *line;

	buf_init(&text, STATUS_MAX + 1);
	if (status_render(STATUS_TEXT, source, &text) != 0 || buf_append(&text, "", 1) != 0) {
		log_error("no memory for the status");
	} else {
		char *rest = (char *)buf_bytes(&text);

		while ((line = strtok_r(rest, "\n", &rest)) != NULL) {
			char labelled[LOG_LINE_MAX];

			snprintf(labelled, sizeof labelled, "status: %s", line);
			log_info_escaped(labelled);
		}
	}
	buf_fini(&text);
}

/* SPDX-License-Identifier: ISC */
/*
 * value_url: the path of a URL.
 */
#include <stdio.h>
#include <string.h>

#include "config/value.h"

static int read_url_path(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	(void)rule;
	if (value[0] != '/' || value[strcspn(value, "?#% \t\n")] != '\0' || strlen(value) > 1000)
		return fault_set(why,
		    "expected the path of a URL, such as /status: decoded, without a query");
	*(const char **)member = value;
	return 0;
}

static void write_url_path(const struct value_rule *rule, const void *member, char *text)
{
	const char *path = *(const char *const *)member;

	(void)rule;
	snprintf(text, VALUE_TEXT_MAX, "%s", path == NULL ? "" : path);
}

const struct value_kind value_url_path = {read_url_path, write_url_path, NULL};

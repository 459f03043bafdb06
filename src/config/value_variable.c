/* SPDX-License-Identifier: ISC */
/*
 * value_variable: environment variables of scripts, "NAME[=VALUE]".
 */
#include <stdlib.h>
#include <string.h>

#include "config/value.h"

static int read_variable(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	static const char legal[] = "_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	size_t len = strspn(value, legal);
	struct value_variables *variables = member;
	struct value_variable *items;

	(void)rule;
	if (len == 0 || (value[0] >= '0' && value[0] <= '9') ||
	    (value[len] != '\0' && value[len] != '='))
		return fault_set(why, "expected NAME or NAME=VALUE, with a name of letters, digits and _");
	items = realloc(variables->items, (variables->count + 1) * sizeof *items);
	if (items == NULL)
		return fault_set(why, "out of memory");
	variables->items = items;
	items[variables->count++] = (struct value_variable){value, value[len] == '='};
	return 0;
}

static const char *variable_item(const void *member, size_t i)
{
	const struct value_variables *variables = member;

	return i < variables->count ? variables->items[i].text : NULL;
}

const struct value_kind value_variable = {read_variable, NULL, variable_item};

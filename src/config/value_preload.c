/* SPDX-License-Identifier: ISC */
/*
 * value_preload: programs that start the scripts of an interpreter, "INTERPRETER=PROGRAM ARGS".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/value.h"

/* The length of the path that `text` starts with; 0 if it is not "/INTERPRETER=/PROGRAM". */
static size_t interpreter_length(const char *text)
{
	size_t len = strcspn(text, "=");

	return text[0] == '/' && text[len] == '=' && text[len + 1] == '/' &&
		strcspn(text, " \t\r\n") > len
	    ? len
	    : 0;
}

static bool is_known(const struct value_preloads *preloads, const char *text, size_t len)
{
	for (size_t i = 0; i < preloads->count; i++)
		if (preloads->items[i].interpreter_len == len &&
		    memcmp(preloads->items[i].text, text, len) == 0)
			return true;
	return false;
}

static int expected_preload(struct fault *why)
{
	return fault_set(why, "expected INTERPRETER=PROGRAM, both with their absolute paths; "
	    "arguments may follow");
}

static int read_preload(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	struct value_preloads *preloads = member;
	struct value_preload *items;
	struct value_preload preload = {
	    .text = value, .interpreter_len = interpreter_length(value)};

	(void)rule;
	if (preload.interpreter_len == 0)
		return expected_preload(why);
	if (is_known(preloads, value, preload.interpreter_len))
		return fault_set(why, "expected each interpreter only once");
	if (preloads->count == VALUE_PRELOADS_MAX)
		return fault_set(why, "expected at most %d interpreters", VALUE_PRELOADS_MAX);
	items = realloc(preloads->items, (preloads->count + 1) * sizeof *items);
	if (items == NULL)
		return fault_set(why, "out of memory");
	preloads->items = items;
	preload.argc = value_command(value + preload.interpreter_len + 1, &preload.argv);
	if (preload.argc == 0)
		return errno == ENOMEM ? fault_set(why, "out of memory") : expected_preload(why);
	items[preloads->count++] = preload;
	return 0;
}

static const char *preload_item(const void *member, size_t i)
{
	const struct value_preloads *preloads = member;

	return i < preloads->count ? preloads->items[i].text : NULL;
}

void value_preloads_fini(struct value_preloads *preloads)
{
	for (size_t i = 0; i < preloads->count; i++)
		free(preloads->items[i].argv);
	free(preloads->items);
	*preloads = (struct value_preloads){.items = NULL};
}

const struct value_kind value_preload_kind = {read_preload, NULL, preload_item};

/* SPDX-License-Identifier: ISC */
/*
 * value_handler: programs that run scripts, ".EXT=PROGRAM ARGS".
 *
 * PROGRAM and ARGS are quoted as in a file of options.  The path of a program without ARGS may
 * contain unquoted blanks if the file exists.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/value.h"
#include "config/cmdline.h"

/* The length of the extension that `text` starts with; 0 if it is not ".EXT=/PROGRAM". */
static size_t extension_length(const char *text)
{
	size_t len = strcspn(text, "=");

	if (text[0] != '.' || len < 2 || text[len] != '=' || text[len + 1] != '/' ||
	    memchr(text, '/', len) != NULL)
		return 0;
	return len;
}

/*
 * Splits `text` into `argv`, in `room`; returns the number of words, 0 if a quote is not
 * closed.
 */
static size_t split(const char *text, char **argv, char *room)
{
	static const char blanks[] = " \t\r\n";
	size_t count = 0;

	for (text += strspn(text, blanks); *text != '\0'; text += strspn(text, blanks)) {
		argv[count] = cmdline_cut(&text, &room);
		if (argv[count++] == NULL)
			return 0;
	}
	argv[count] = NULL;
	return count;
}

size_t value_command(const char *command, char ***words)
{
	size_t size = strlen(command) + 1;
	/* a word and the blank after it take at least two bytes */
	size_t count = size / 2 + 2;
	char **argv = malloc(count * sizeof *argv + size);

	if (argv == NULL)
		return 0;
	*words = argv;
	if (strpbrk(command, " \t") != NULL && access(command, F_OK) == 0) {
		argv[0] = memcpy(argv + count, command, size);
		argv[1] = NULL;
		return 1;
	}
	count = split(command, argv, (char *)(argv + count));
	if (count == 0) {
		free(argv);
		errno = EINVAL;
	}
	return count;
}

static int expected_handler(struct fault *why)
{
	return fault_set(why, "expected .EXT=PROGRAM, with the program's absolute path; "
	    "arguments may follow");
}

static int read_handler(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	struct value_handlers *handlers = member;
	struct value_handler *items = realloc(handlers->items, (handlers->count + 1) * sizeof *items);
	struct value_handler *handler;

	(void)rule;
	if (items == NULL)
		return fault_set(why, "out of memory");
	handlers->items = items;
	handler = &items[handlers->count];
	*handler = (struct value_handler){.text = value, .extension_len = extension_length(value)};
	if (handler->extension_len == 0)
		return expected_handler(why);
	handler->argc = value_command(value + handler->extension_len + 1, &handler->argv);
	if (handler->argc == 0)
		return errno == ENOMEM ? fault_set(why, "out of memory") : expected_handler(why);
	handlers->count++;
	return 0;
}

static const char *handler_item(const void *member, size_t i)
{
	const struct value_handlers *handlers = member;

	return i < handlers->count ? handlers->items[i].text : NULL;
}

void value_handlers_fini(struct value_handlers *handlers)
{
	for (size_t i = 0; i < handlers->count; i++)
		free(handlers->items[i].argv);
	free(handlers->items);
	*handlers = (struct value_handlers){.items = NULL};
}

const struct value_kind value_handler = {read_handler, NULL, handler_item};

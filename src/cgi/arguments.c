/* SPDX-License-Identifier: ISC */
/*
 * arguments: the handler for an extension, and the words of a query.
 */
#include "cgi/arguments.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"

/* A file named ".cgi" does not have the extension ".cgi". */
static bool has_extension(const char *script, const struct value_handler *handler)
{
	size_t len = strlen(script);
	size_t tail = handler->extension_len;

	return len > tail && memcmp(script + len - tail, handler->text, tail) == 0 &&
	    script[len - tail - 1] != '/';
}

/* Whether the kernel would run it by its "#!" line, which says more than an extension. */
static bool has_interpreter(const char *script)
{
	char start[2] = "";
	int fd;

	if (access(script, X_OK) != 0)
		return false;
	fd = open(script, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	if (read(fd, start, sizeof start) < 0)
		start[0] = '\0';
	close(fd);
	return start[0] == '#' && start[1] == '!';
}

const struct value_handler *arguments_extension(const struct options *options, const char *script)
{
	for (size_t i = 0; i < options->handlers.count; i++)
		if (has_extension(script, &options->handlers.items[i]))
			return &options->handlers.items[i];
	return NULL;
}

const struct value_handler *arguments_handler(const struct options *options, const char *script)
{
	const struct value_handler *handler = arguments_extension(options, script);

	if (handler == NULL || options->handler_always)
		return handler;
	return has_interpreter(script) ? NULL : handler;
}

/* ---- words of a query ------------------------------------------------------- */

/* Decodes the word of `len` bytes in place and terminates it; false if it cannot be an argument. */
static bool decode_word(char *word, size_t len)
{
	char *to = word;

	for (size_t i = 0; i < len; i++) {
		int byte = (unsigned char)word[i];

		if (byte == '%') {
			byte = len - i > 2 ? hex_byte(word + i + 1) : -1;
			i += 2;
		}
		if (byte <= 0) /* a NUL would end the word */
			return false;
		*to++ = (char)byte;
	}
	*to = '\0';
	return len > 0;
}

/* Splits `query` into words and stores them in `argv`; returns how many, 0 if one is unusable. */
static size_t cut_words(char *query, char **argv)
{
	size_t count = 0;

	for (;;) {
		size_t len = strcspn(query, "+");
		bool last = query[len] == '\0';

		argv[count++] = query;
		if (!decode_word(query, len))
			return 0;
		if (last)
			return count;
		query += len + 1;
	}
}

/* The query if it is a list of words, else "". */
static const char *words_of(const struct options *options, const struct params *params)
{
	const char *query = params_get_filled(params, "QUERY_STRING");
	const char *method = params_get(params, "REQUEST_METHOD");

	if (!options->query_args || query == NULL || method == NULL || strchr(query, '=') != NULL)
		return "";
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ? query : "";
}

/* ---- argv --------------------------------------------------------------------- */

/* Copies `text` to `*to` and advances `*to` past it; returns the copy. */
static char *put_text(char **to, const char *text)
{
	char *copy = *to;
	size_t size = strlen(text) + 1;

	memcpy(copy, text, size);
	*to += size;
	return copy;
}

static size_t count_plus(const char *text)
{
	size_t count = 0;

	for (; *text != '\0'; text++)
		count += *text == '+';
	return count;
}

static size_t text_size(const struct value_handler *handler)
{
	size_t size = 0;

	for (size_t i = 0; handler != NULL && i < handler->argc; i++)
		size += strlen(handler->argv[i]) + 1;
	return size;
}

char **arguments_new(const struct options *options, const struct params *params,
    const char *script, const struct value_handler *handler)
{
	const char *words = words_of(options, params);
	size_t before = handler == NULL ? 0 : handler->argc;
	size_t room = before + 3 + count_plus(words); /* script, one word more than "+", NULL */
	size_t text = text_size(handler) + strlen(script) + strlen(words) + 2;
	char **argv = malloc(room * sizeof *argv + text);
	char *to;
	size_t count = 0;

	if (argv == NULL)
		return NULL;
	to = (char *)(argv + room);
	while (count < before) {
		argv[count] = put_text(&to, handler->argv[count]);
		count++;
	}
	argv[count++] = put_text(&to, script);
	if (*words != '\0')
		count += cut_words(put_text(&to, words), argv + count);
	argv[count] = NULL;
	return argv;
}

/* SPDX-License-Identifier: ISC */
/*
 * cmdline: splitting joined words, and reading words from files.
 */
#include "config/cmdline.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for one more word and the NULL; 0, or -1 with errno. */
static int grow(struct cmdline *cmdline)
{
	size_t room = cmdline->room < 32 ? 64 : 2 * (size_t)cmdline->room;
	char **argv;
	struct cmdline_place *places;

	if (cmdline->argc + 1 < cmdline->room)
		return 0;
	if (room > CMDLINE_MAX) {
		errno = E2BIG;
		return -1;
	}
	argv = realloc(cmdline->argv, room * sizeof *argv);
	if (argv != NULL)
		cmdline->argv = argv;
	places = realloc(cmdline->places, room * sizeof *places);
	if (places != NULL)
		cmdline->places = places;
	if (argv == NULL || places == NULL) {
		errno = ENOMEM; /* the other one may have changed it */
		return -1;
	}
	cmdline->room = (int)room;
	return 0;
}

static int add(struct cmdline *cmdline, char *word, struct cmdline_place place)
{
	if (grow(cmdline) != 0)
		return -1;
	cmdline->places[cmdline->argc] = place;
	cmdline->argv[cmdline->argc++] = word;
	cmdline->argv[cmdline->argc] = NULL;
	return 0;
}

static const struct cmdline_place command_line;

/*
 * Makes `cmdline` own `text`, from malloc(3).  Returns it, or NULL with errno ENOMEM if it is NULL
 * or there is no memory for that.
 */
static char *keep(struct cmdline *cmdline, char *text)
{
	char **texts = realloc(cmdline->texts, (size_t)(cmdline->text_count + 1) * sizeof *texts);

	if (texts != NULL)
		cmdline->texts = texts;
	if (texts == NULL || text == NULL) {
		free(text);
		errno = ENOMEM;
		return NULL;
	}
	cmdline->texts[cmdline->text_count++] = text;
	return text;
}

static int add_copy(struct cmdline *cmdline, const char *word)
{
	char *copy = keep(cmdline, strdup(word));

	return copy == NULL ? -1 : add(cmdline, copy, command_line);
}

/* ---- joined words ----------------------------------------------------------------- */

static bool is_joined(const char *word)
{
	size_t name = strcspn(word, " =");

	return word[0] == '-' && word[name] == ' ' && (word[1] == '-' || name == 2);
}

static int add_joined(struct cmdline *cmdline, const char *joined)
{
	char *next;
	char *copy;

	if (!is_joined(joined))
		return *joined == '\0' ? 0 : add_copy(cmdline, joined);
	copy = keep(cmdline, strdup(joined));
	if (copy == NULL)
		return -1;
	for (char *word = strtok_r(copy, " ", &next); word != NULL;
	     word = strtok_r(NULL, " ", &next))
		if (add(cmdline, word, command_line) != 0)
			return -1;
	return 0;
}

/* ---- files ------------------------------------------------------------------------ */

/* Reads all of `in` to `text`, which takes CMDLINE_FILE_MAX bytes and a NUL; 0, or an errno. */
static int read_text(FILE *in, char *text)
{
	size_t n = fread(text, 1, CMDLINE_FILE_MAX + 1, in);

	if (ferror(in))
		return errno;
	if (n > CMDLINE_FILE_MAX)
		return EFBIG;
	if (memchr(text, '\0', n) != NULL)
		return EINVAL;
	text[n] = '\0';
	return 0;
}

/* The whole file as a string, owned by `cmdline`; NULL with errno. */
static char *read_file(struct cmdline *cmdline, const char *path)
{
	FILE *in = fopen(path, "re");
	char *text;
	int error;

	if (in == NULL)
		return NULL;
	text = keep(cmdline, malloc(CMDLINE_FILE_MAX + 1));
	error = text == NULL ? ENOMEM : read_text(in, text);
	fclose(in);
	if (error == 0)
		return text;
	errno = error;
	return NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_blanks(const char *at)
{
	while (is_blank(*at) || *at == '#')
		at += *at == '#' ? strcspn(at, "\n") : 1;
	return at;
}

char *cmdline_cut(const char **at, char **room)
{
	const char *from = *at;
	char *to = *room;
	char *word = to;
	char quote = '\0';

	for (; *from != '\0' && (quote != '\0' || !is_blank(*from)); from++) {
		if (*from == quote)
			quote = '\0';
		else if (quote == '\0' && (*from == '\'' || *from == '"'))
			quote = *from;
		else if (*from == '\\' && quote != '\'' && from[1] != '\0')
			*to++ = *++from;
		else
			*to++ = *from;
	}
	*to++ = '\0';
	*at = from;
	*room = to;
	return quote == '\0' ? word : NULL;
}

static int count_lines(const char *from, const char *to)
{
	int count = 0;

	for (; from < to; from++)
		count += *from == '\n';
	return count;
}

/* Adds the words of `text`; `place` is then that of the last word, or of the error. */
static int add_text(struct cmdline *cmdline, const char *text, struct cmdline_place *place)
{
	char *room = keep(cmdline, malloc(strlen(text) + 1));
	const char *counted = text;

	if (room == NULL)
		return -1;
	for (;;) {
		char *word;

		text = skip_blanks(text);
		place->line += count_lines(counted, text);
		counted = text;
		if (*text == '\0')
			return 0;
		word = cmdline_cut(&text, &room);
		if (word == NULL)
			errno = EILSEQ;
		if (word == NULL || add(cmdline, word, *place) != 0)
			return -1;
	}
}

static int add_file(struct cmdline *cmdline, const char *path, struct cmdline_place *place)
{
	const char *name = keep(cmdline, strdup(path));
	const char *text = name == NULL ? NULL : read_file(cmdline, path);

	if (text == NULL)
		return -1;
	*place = (struct cmdline_place){name, 1};
	return add_text(cmdline, text, place);
}

/* ---- the command line --------------------------------------------------------------- */

static const char *explain(int error)
{
	if (error == EILSEQ)
		return "unclosed quote";
	if (error == EINVAL)
		return "it is not a text file";
	return strerror(error);
}

int cmdline_init(struct cmdline *cmdline, int argc, const char *const *argv, struct fault *why)
{
	*cmdline = (struct cmdline){.argc = 0};
	for (int i = 0; i < argc; i++) {
		struct cmdline_place place = command_line;
		/* no option's argument starts with '@': paths are absolute */
		bool file = i > 0 && argv[i][0] == '@' && argv[i][1] != '\0';
		int failed = i == 0 ? add_copy(cmdline, argv[0])
		    : file	    ? add_file(cmdline, argv[i] + 1, &place)
				    : add_joined(cmdline, argv[i]);

		if (failed == 0)
			continue;
		if (place.file != NULL)
			return fault_set(why, "%s:%d: %s", place.file, place.line, explain(errno));
		return fault_set(why, "%s: %s", argv[i], explain(errno));
	}
	return 0;
}

struct cmdline_place cmdline_place(const struct cmdline *cmdline, const char *at)
{
	for (int i = 0; at != NULL && i < cmdline->argc; i++) {
		const char *word = cmdline->argv[i];

		if ((uintptr_t)at >= (uintptr_t)word &&
		    (uintptr_t)at <= (uintptr_t)word + strlen(word))
			return cmdline->places[i];
	}
	return command_line;
}

void cmdline_fini(struct cmdline *cmdline)
{
	for (int i = 0; i < cmdline->text_count; i++)
		free(cmdline->texts[i]);
	free(cmdline->texts);
	free(cmdline->argv);
	free(cmdline->places);
	*cmdline = (struct cmdline){.argc = 0};
}

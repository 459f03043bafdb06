/* SPDX-License-Identifier: ISC */
/*
 * words: joined words, and words out of files.
 */
#include "config/words.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for one more word and the NULL; 0, or -1 with errno. */
static int grow(struct words *words)
{
	size_t room = words->room < 32 ? 64 : 2 * (size_t)words->room;
	char **argv;
	struct words_place *places;

	if (words->argc + 1 < words->room)
		return 0;
	if (room > WORDS_MAX) {
		errno = E2BIG;
		return -1;
	}
	argv = realloc(words->argv, room * sizeof *argv);
	if (argv != NULL)
		words->argv = argv;
	places = realloc(words->places, room * sizeof *places);
	if (places != NULL)
		words->places = places;
	if (argv == NULL || places == NULL)
		return -1;
	words->room = (int)room;
	return 0;
}

static int add(struct words *words, char *word, struct words_place place)
{
	if (grow(words) != 0)
		return -1;
	words->places[words->argc] = place;
	words->argv[words->argc++] = word;
	words->argv[words->argc] = NULL;
	return 0;
}

static const struct words_place command_line;

/* Has `text`, from malloc(3), freed with `words`; NULL, with errno, if it or memory is missing. */
static char *keep(struct words *words, char *text)
{
	char **texts = realloc(words->texts, (size_t)(words->text_count + 1) * sizeof *texts);

	if (texts != NULL)
		words->texts = texts;
	if (texts == NULL || text == NULL) {
		free(text);
		return NULL;
	}
	words->texts[words->text_count++] = text;
	return text;
}

static int add_copy(struct words *words, const char *word)
{
	char *copy = keep(words, strdup(word));

	return copy == NULL ? -1 : add(words, copy, command_line);
}

/* ---- joined words ----------------------------------------------------------------- */

static bool is_joined(const char *word)
{
	size_t name = strcspn(word, " =");

	return word[0] == '-' && word[name] == ' ' && (word[1] == '-' || name == 2);
}

static int add_joined(struct words *words, const char *joined)
{
	char *next;
	char *copy;

	if (!is_joined(joined))
		return *joined == '\0' ? 0 : add_copy(words, joined);
	copy = keep(words, strdup(joined));
	if (copy == NULL)
		return -1;
	for (char *word = strtok_r(copy, " ", &next); word != NULL;
	     word = strtok_r(NULL, " ", &next))
		if (add(words, word, command_line) != 0)
			return -1;
	return 0;
}

/* ---- files ------------------------------------------------------------------------ */

/* The whole file as a string, which is then `words`'s; NULL with errno. */
static char *read_file(struct words *words, const char *path)
{
	FILE *in = fopen(path, "re");
	char *text = keep(words, malloc(WORDS_FILE_MAX + 1));
	size_t n;

	if (in == NULL || text == NULL) {
		if (in != NULL)
			fclose(in);
		return NULL;
	}
	n = fread(text, 1, WORDS_FILE_MAX + 1, in);
	if (ferror(in) || n > WORDS_FILE_MAX || memchr(text, '\0', n) != NULL) {
		errno = ferror(in) ? errno : n > WORDS_FILE_MAX ? EFBIG : EINVAL;
		fclose(in);
		return NULL;
	}
	fclose(in);
	text[n] = '\0';
	return text;
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

char *words_cut(const char **at, char **room)
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

/* Adds the words of `text`; `place` is in the end that of the last one, or of what is wrong. */
static int add_text(struct words *words, const char *text, struct words_place *place)
{
	char *room = keep(words, malloc(strlen(text) + 1));
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
		word = words_cut(&text, &room);
		if (word == NULL)
			errno = EILSEQ;
		if (word == NULL || add(words, word, *place) != 0)
			return -1;
	}
}

static int add_file(struct words *words, const char *path, struct words_place *place)
{
	const char *text = read_file(words, path);
	const char *name = keep(words, strdup(path));

	if (text == NULL || name == NULL)
		return -1;
	*place = (struct words_place){name, 1};
	return add_text(words, text, place);
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

int words_init(struct words *words, int argc, const char *const *argv, char *why, size_t size)
{
	*words = (struct words){.argc = 0};
	for (int i = 0; i < argc; i++) {
		struct words_place place = command_line;
		/* an argument may start with '@' too, but not one of ours: paths are absolute */
		bool file = i > 0 && argv[i][0] == '@' && argv[i][1] != '\0';
		int failed = i == 0 ? add_copy(words, argv[0])
		    : file	    ? add_file(words, argv[i] + 1, &place)
				    : add_joined(words, argv[i]);

		if (failed == 0)
			continue;
		if (place.file != NULL)
			snprintf(why, size, "%s:%d: %s", place.file, place.line, explain(errno));
		else
			snprintf(why, size, "%s: %s", argv[i], explain(errno));
		return -1;
	}
	return 0;
}

struct words_place words_place(const struct words *words, const char *at)
{
	for (int i = 0; at != NULL && i < words->argc; i++) {
		const char *word = words->argv[i];

		if ((uintptr_t)at >= (uintptr_t)word &&
		    (uintptr_t)at <= (uintptr_t)word + strlen(word))
			return words->places[i];
	}
	return command_line;
}

void words_fini(struct words *words)
{
	for (int i = 0; i < words->text_count; i++)
		free(words->texts[i]);
	free(words->texts);
	free(words->argv);
	free(words->places);
	*words = (struct words){.argc = 0};
}

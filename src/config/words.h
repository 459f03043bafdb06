/* SPDX-License-Identifier: ISC */
/*
 * words: the words of a command line, before any of them is an option.
 *
 * Start-up files pass several options as one word, "-f -c 4", where a variable is
 * not split, or an empty word where it is not set.  Such words are taken apart and
 * dropped; a blank anywhere but right behind an option's name stays what it is.
 *
 * "@FILE" stands for the words in a file: separated by blanks and line ends, quoted
 * as in a shell ('...', "...", \c), with comments from '#' at the start of a word to
 * the end of the line.  What --check prints is such a file.
 */
#ifndef CGIBRIDGE_WORDS_H
#define CGIBRIDGE_WORDS_H

#include <stddef.h>

#include "base/attributes.h"

enum {
	WORDS_FILE_MAX = 1024 * 1024, /* bytes of a file */
	WORDS_MAX = 100000,
};

/* Where a word came from. */
struct words_place {
	const char *file; /* NULL: the command line */
	int line;         /* from 1 */
};

struct words {
	char **argv; /* NULL at the end; owned */
	struct words_place *places; /* one each; owned */
	int argc;
	int room;
	char **texts; /* owned: what words point into */
	int text_count;
};

/*
 * Makes `words` of a command line, of which nothing is borrowed or changed: a reload
 * starts with it again.  0, or -1 with `why` (of `size` bytes) saying what is wrong;
 * words_fini() either way.
 */
int words_init(struct words *words, int argc, const char *const *argv, char *why,
    size_t size) MUST_CHECK;
void words_fini(struct words *words);

/* Where the word that has the byte at `at` came from; the command line if none has it. */
struct words_place words_place(const struct words *words, const char *at);

/*
 * Copies the word at `*at` to `*room`, without its quotes and terminated, which takes at
 * most a byte more than it has; moves both behind it.  The copy, or NULL when a quote is
 * not closed.
 */
char *words_cut(const char **at, char **room);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * cmdline: the words of a command line, before any of them is an option.
 *
 * Start-up files pass several options as one word, "-f -c 4", where a variable is
 * not split, or an empty word where it is not set.  Such words are taken apart and
 * dropped; a blank anywhere but right behind an option's name stays what it is.
 *
 * "@FILE" stands for the words in a file: separated by blanks and line ends, quoted
 * as in a shell ('...', "...", \c), with comments from '#' at the start of a word to
 * the end of the line.  What --check prints is such a file.
 */
#ifndef CGIBRIDGE_CMDLINE_H
#define CGIBRIDGE_CMDLINE_H

#include <stddef.h>

#include "base/attributes.h"
#include "base/fault.h"

enum {
	CMDLINE_FILE_MAX = 1024 * 1024, /* bytes of a file */
	CMDLINE_MAX = 100000,
};

/* Where a word came from. */
struct cmdline_place {
	const char *file; /* NULL: the command line */
	int line;         /* from 1 */
};

struct cmdline {
	char **argv; /* NULL at the end; owned */
	struct cmdline_place *places; /* one each; owned */
	int argc;
	int room;
	char **texts; /* owned: what words point into */
	int text_count;
};

/*
 * Makes `cmdline` of a command line, of which nothing is borrowed or changed: a reload
 * starts with it again.  0, or -1 with `why`; cmdline_fini() either way.
 */
int cmdline_init(struct cmdline *cmdline, int argc, const char *const *argv,
    struct fault *why) MUST_CHECK;
void cmdline_fini(struct cmdline *cmdline);

/* Where the word that has the byte at `at` came from; the command line if none has it. */
struct cmdline_place cmdline_place(const struct cmdline *cmdline, const char *at);

/*
 * Copies the word at `*at` to `*room`, without its quotes and terminated, which takes at
 * most a byte more than it has; moves both past it.  The copy, or NULL when a quote is
 * not closed.
 */
char *cmdline_cut(const char **at, char **room);

#endif

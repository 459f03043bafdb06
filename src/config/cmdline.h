/* SPDX-License-Identifier: ISC */
/*
 * cmdline: the words of a command line, before they are parsed as options.
 *
 * Start-up files may pass several options as one word, "-f -c 4", if a variable is not split,
 * or an empty word if it is not set.  The former are split, the latter dropped.  A word whose
 * first blank is not right after an option's name is left alone.
 *
 * "@FILE" stands for the words in a file: separated by blanks and line ends, quoted as in a
 * shell ('...', "...", \c), with comments from '#' at the start of a word to the end of the
 * line.  The output of --check is such a file.
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
	struct cmdline_place *places; /* one per word; owned */
	int argc;
	int room;
	char **texts; /* owned; the words point into them */
	int text_count;
};

/*
 * Makes `cmdline` from a command line, which is neither borrowed nor changed: a reload starts
 * from it again.  0, or -1 with `why`; call cmdline_fini() either way.
 */
int cmdline_init(struct cmdline *cmdline, int argc, const char *const *argv,
    struct fault *why) MUST_CHECK;
void cmdline_fini(struct cmdline *cmdline);

/* Where the word that contains the byte at `at` came from; the command line if none does. */
struct cmdline_place cmdline_place(const struct cmdline *cmdline, const char *at);

/*
 * Copies the word at `*at` to `*room`, without quotes and terminated, which takes at most one
 * byte more than the word; moves both past it.  The copy, or NULL when a quote is not closed.
 */
char *cmdline_cut(const char **at, char **room);

#endif

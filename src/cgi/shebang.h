/* SPDX-License-Identifier: ISC */
/*
 * shebang: which interpreter the first line of a script names, as execve(2) and env(1) read it.
 *
 *   #!/usr/bin/perl -w -T           /usr/bin/perl, and one word, "-w -T"
 *   #!/usr/bin/env perl             perl, looked up along PATH
 *   #!/usr/bin/env -S perl -w -T    the same, and two words
 *
 * It is only about lines that mean the same on all systems, and to all versions of env; every
 * other one is OTHER, which only execve(2) itself can judge.
 */
#ifndef CGIBRIDGE_SHEBANG_H
#define CGIBRIDGE_SHEBANG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"

enum {
	SHEBANG_MAX = 127, /* bytes of a line that all systems read */
	SHEBANG_WORDS_MAX = 16,
};

enum shebang_kind {
	SHEBANG_NONE,  /* the file does not begin with "#!" */
	SHEBANG_PATH,  /* `interpreter` is an absolute path */
	SHEBANG_NAME,  /* `interpreter` is a name that env looks up */
	SHEBANG_OTHER, /* a line that is not understood here, or a file that cannot be read */
};

struct shebang {
	enum shebang_kind kind;
	const char *interpreter; /* in `text`; for PATH and NAME */
	const char *words[SHEBANG_WORDS_MAX]; /* those before the script; in `text` */
	size_t word_count;
	char text[SHEBANG_MAX + 1];
};

/* Parses the first `len` bytes of a file, of which it looks at no more than SHEBANG_MAX. */
void shebang_parse(struct shebang *shebang, const char *bytes, size_t len);

/* The same for the file at `path`. */
void shebang_read(struct shebang *shebang, const char *path);

/*
 * Looks for program `name` in the directories of `path`, a PATH, and copies its path to
 * `found`.  False if it is not there, or if that depends on the working directory.
 */
bool shebang_find(const char *name, const char *path, char found[PATH_MAX]) MUST_CHECK;

#endif

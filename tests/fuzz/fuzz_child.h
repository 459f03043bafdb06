/* SPDX-License-Identifier: ISC */
/*
 * fuzz_child: scripts without processes, in place of cgi/child.c.  A script has the other ends
 * of the pipes, and does what the target says: that is fast, and the same each time.
 */
#ifndef CGIBRIDGE_FUZZ_CHILD_H
#define CGIBRIDGE_FUZZ_CHILD_H

#include <stdbool.h>
#include <stddef.h>

#include "cgi/child.h"

enum { FUZZ_SCRIPTS = 64 }; /* in one run; no more are started */

/* One that has been started, from 0 in the order of their starts. */
struct fuzz_script {
	struct child *child; /* NULL: it has exited */
	int in, out, err;    /* the script's ends, non-blocking; -1: closed */
	int tag;             /* the number in FUZZ_TAG of its environment; -1: it has none */
	int64_t length;      /* that in CONTENT_LENGTH; -1: it has none */
};

extern struct fuzz_script fuzz_scripts[FUZZ_SCRIPTS];
extern size_t fuzz_script_count;

/* Is shown each plan before its script is started; NULL: nothing is. */
extern void (*fuzz_script_started)(const struct child_plan *plan);

/* Is shown what a script reads from its stdin, in order, and its end (0 bytes); NULL: nothing is. */
extern void (*fuzz_script_took)(size_t number, const unsigned char *bytes, size_t len);

/* The next start fails at `step` with errno `error`. */
void fuzz_script_refuse(enum sys_step step, int error);

/* Writes what the pipe takes of `len` bytes to its output, or to its stderr. */
size_t fuzz_script_write(size_t number, const void *bytes, size_t len);
void fuzz_script_complain(size_t number, const void *bytes, size_t len);

/* Reads all that is in its stdin; whether that has ended, too. */
bool fuzz_script_read(size_t number);

/* Closes one of its ends, if that is open. */
void fuzz_script_close(int *end);

/* Exits with wait status `status`; its ends stay open, as those of a descendant. */
void fuzz_script_exit(size_t number, int status);

/* Ends all, and forgets them. */
void fuzz_script_reset(void);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * check_util: what the unit tests share: the main function's body, temporary
 * directories, what was written to stderr, turns of a loop with a bound.
 *
 * Times are upper bounds that only a broken program reaches; TEST_SLOW in the
 * environment multiplies them (valgrind, a loaded machine).
 */
#ifndef CGIBRIDGE_CHECK_UTIL_H
#define CGIBRIDGE_CHECK_UTIL_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"

/*
 * For a function in place of another, which the linker puts there (-Wl,--wrap): link-time
 * optimization does not see that it is called.
 */
#define IN_PLACE __attribute__((used))

/* Runs the tests that `add` puts into a case of suite `name`; main()'s exit status. */
int check_main(const char *name, void (*add)(TCase *tcase));

/* `ms`, multiplied by TEST_SLOW. */
int patience(int ms);

/* The next number of a fixed sequence, below `bound`. */
unsigned draw(unsigned bound);
void draw_restart(void);

/* ---- a temporary directory, one at a time ----------------------------------- */

void temp_make(void);
void temp_remove(void); /* with all that is in it */

const char *temp_dir(void);

/* The path of `name` there; good until the sixteenth call after this one. */
const char *temp_path(const char *name);

void temp_write(const char *name, mode_t mode, const char *text);
void temp_mkdir(const char *name);

/* ---- stderr ------------------------------------------------------------------- */

/* From here on what goes to descriptor 2 is kept; the end gives it, terminated. */
void capture_begin(void);
const char *capture_end(void);

/* Whether `text` is in what has been captured by now. */
bool capture_has(const char *text);

/* ---- the process' signals ------------------------------------------------------ */

/* Around a test that has a loop take signals over. */
void signals_keep(void);
void signals_restore(void);

/* ---- waiting --------------------------------------------------------------------- */

typedef bool done_fn(void *context);

/* Takes turns until `done` says so; false when that takes too long. */
bool turn_until(struct loop *loop, done_fn *done, void *context);

/* Takes turns for `ms`. */
void turn_for(struct loop *loop, int ms);

/* Waits for a forked process of the test; its exit status, or -1 if a signal ended it. */
int wait_for(pid_t pid);

/*
 * Whether valgrind runs this: there vfork(2) shares no memory and an execve(2) that
 * fails ends the process, so that a failure to start cannot be seen.
 */
bool is_under_valgrind(void);

/* The number of descriptors that are open in this process. */
int count_fds(void);

/* ---- shortages ------------------------------------------------------------------- */

/* The next `count` loop_watch() succeed, and those after them fail with ENOSPC; -1: none. */
void watch_at_most(int count);

#endif

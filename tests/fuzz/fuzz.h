/* SPDX-License-Identifier: ISC */
/*
 * fuzz: what the fuzz targets share.
 *
 * A target is fuzz_NAME.c with one function, LLVMFuzzerTestOneInput().  With --enable-fuzzing it
 * is linked to libFuzzer, which makes up inputs and watches which code they reach.  Without, it
 * is linked to replay.c, which runs the target over the inputs in corpus/NAME: that is its test
 * in `make check`.
 *
 * A target must do the same each time it gets the same input, leave nothing behind, and abort
 * when an answer is wrong: fuzz_require().
 */
#ifndef CGIBRIDGE_FUZZ_H
#define CGIBRIDGE_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

/* The target.  Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Aborts, and says what does not hold, unless `holds`. */
#define fuzz_require(holds)                                              \
	do {                                                             \
		if (!(holds))                                            \
			fuzz_abort(__FILE__, __LINE__, #holds);          \
	} while (0)

/* What the calls of the system are made of: base/sys_linux.c or base/sys_posix.c. */
extern const char fuzz_system[];

_Noreturn void fuzz_abort(const char *file, int line, const char *what);

/* ---- the input, from its beginning to its end ---------------------------------- */

struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

/* The next byte, or the next two as one number; 0 after the end. */
unsigned fuzz_byte(struct fuzz_input *input);
unsigned fuzz_number(struct fuzz_input *input);

/* The next `len` bytes, fewer at the end: `*len` is how many there are. */
const uint8_t *fuzz_bytes(struct fuzz_input *input, size_t *len);

/*
 * The bytes up to the next NUL, which is skipped, or up to the end: a string to be freed.  It
 * has no byte of memory too many, so that a read past its end is seen.
 */
char *fuzz_text(struct fuzz_input *input);

/* A copy of `len` bytes, with not a byte of memory after them; to be freed. */
unsigned char *fuzz_copy(const void *bytes, size_t len) MUST_CHECK;

/* ---- text ------------------------------------------------------------------------ */

/*
 * Whether these bytes are UTF-8 (RFC 3629), without a control character and any other that is
 * invisible, changes the direction of text, or is not a character.
 */
bool fuzz_is_text(const void *bytes, size_t len) MUST_CHECK;

/* The length of the character in UTF-8 at `bytes`, of which there are `left`; 0: there is none. */
size_t fuzz_character(const void *bytes, size_t left) MUST_CHECK;

/* Whether a part of `path` is "..". */
bool fuzz_climbs(const char *path) MUST_CHECK;

/* Whether `path` is below directory `dir`, by their names. */
bool fuzz_is_below(const char *path, const char *dir) MUST_CHECK;

/* ---- the process ------------------------------------------------------------------ */

/*
 * Time stands still unless this advances it: fuzz.c takes the place of base/clock.c.
 * It takes that of base/log_stderr.c too: log lines are made, checked, and written nowhere,
 * unless FUZZ_VERBOSE is set in the environment.  The process always has the same id, and
 * sys_random() always says the same; a target may define those functions of base/sys.h that
 * fuzz_sys.c names, in place of them.
 */
void fuzz_advance(int64_t ms);

/* How many log lines there were so far. */
size_t fuzz_log_lines(void);

/* A directory of this process, made by the first call and removed at its end; its path. */
const char *fuzz_dir(void);

/* Writes a file of that name there. */
void fuzz_write_file(const char *name, unsigned mode, const void *bytes, size_t len);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * mounts: the file systems that may stop answering, and the paths that lead to them.
 *
 * Every call that names a file on a file system of a server or of another process can take for
 * ever.  Which ones are mounted is read from the system's table of mounts, again whenever that
 * changes; the file systems themselves are not touched.  A path leads to one if it is below its
 * mount point as text, or if it was found to lead there before: through a symbolic link, or because
 * of the program that runs the script.  Scripts that were found to be local are remembered, too,
 * until the table changes: where a path leads that is neither, only a scout can find out.  Where
 * the system has no such table, there are no such mounts.
 */
#ifndef CGIBRIDGE_MOUNTS_H
#define CGIBRIDGE_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "base/loop.h"

enum { MOUNTS_LINKS_MAX = 64 }; /* directories and scripts that are remembered */

struct mount {
	char *path; /* an absolute directory, without a slash at its end */
	dev_t device;
};

struct mounts {
	struct loop *loop; /* NULL until mounts_follow() */
	struct loop_watch watch;
	int fd; /* of the table, until mounts_follow(); else -1 */
	char *root; /* that paths are counted from, canonical; owned, NULL: that of the table */
	struct mount *items; /* owned */
	size_t count;
	struct mount links[MOUNTS_LINKS_MAX]; /* `path` is NULL in an unused one */
	size_t next_link; /* the one to be used next */
	uint64_t *local; /* hashes of scripts that are local; owned, NULL: none yet */
};

/* The devices of what a script needs; 0: not known. */
struct mounts_trace {
	dev_t script, directory;
	dev_t program; /* its interpreter or handler */
};

/*
 * Opens the table, which may be out of reach after a change of this process's root to `root`
 * (NULL: it does not change).
 */
void mounts_init(struct mounts *mounts, const char *root);

/* After that: reads the table, and follows its changes in `loop` (borrowed). */
void mounts_follow(struct mounts *mounts, struct loop *loop);
void mounts_fini(struct mounts *mounts);

/*
 * Replaces the mounts by those of `text`, which has the format of /proc/PID/mountinfo (proc(5))
 * and is changed.  Links to devices that are still among them are kept.
 */
void mounts_parse(struct mounts *mounts, char *text);

/* Whether there are any. */
static inline bool mounts_any(const struct mounts *mounts)
{
	return mounts->count > 0;
}

/* The mount that absolute `path` leads to; NULL: none that is known. */
const struct mount *mounts_find(const struct mounts *mounts, const char *path) MUST_CHECK;

/*
 * Whether absolute `path` is that of a script that was found to be local, as is its program, or
 * goes on after it.  One with ".." has to be the same letter by letter.
 */
bool mounts_is_local(const struct mounts *mounts, const char *path) MUST_CHECK;

/*
 * Stands for the device that `path` leads to, which is not known: the same for all its
 * directory.
 */
dev_t mounts_guess(const char *path);

/*
 * The script at absolute `path` has been found.  If its directory is on one of these mounts, and
 * `path` does not say so, remembers the directory; if the script itself is, as a link, or its
 * program, the script; if none of them is, that the script is local.
 */
void mounts_learn(struct mounts *mounts, const char *path, const struct mounts_trace *trace);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * mounts: the file systems that may stop answering, and the paths that lead to them.
 *
 * Every call that names a file on a file system of a server or of another process can take for
 * ever.  Which ones are mounted is read from the system's table of mounts, again whenever that
 * changes; the file systems themselves are not touched.  A path leads to one if it is below its
 * mount point as text, or if a script in the same directory was found there before, through a
 * symbolic link.  Where the system has no such table, there are no such mounts.
 */
#ifndef CGIBRIDGE_MOUNTS_H
#define CGIBRIDGE_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "base/loop.h"

enum { MOUNTS_LINKS_MAX = 16 }; /* directories that are remembered */

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

/* Whether `device` is that of one of them. */
bool mounts_has(const struct mounts *mounts, dev_t device);

/* The mount that absolute `path` leads to; NULL: none that is known. */
const struct mount *mounts_find(const struct mounts *mounts, const char *path) MUST_CHECK;

/*
 * The script at absolute `path` is on `device`, its directory on device `directory`.  If that is
 * one of these mounts, and `path` does not say so, remembers its directory or, if only the script
 * is a link, the script.
 */
void mounts_learn(struct mounts *mounts, const char *path, dev_t device, dev_t directory);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * safepath: files that root opens, makes and removes in directories of others.
 *
 * Whoever may write in a directory on the way to a file can put a symbolic link there, at
 * any moment, and root would follow it to where they may not go.  So root walks: from the
 * start of the path, directory by directory, each opened below the one before.  It follows
 * a link only if that belongs to root and nobody else can write in any directory that has
 * led to it, such as /var/run.  For anybody else, who has no more rights than whom a link
 * could be from, paths mean what they mean to the system.
 *
 * The working directory is changed, and changed back, to reach sockets.
 */
#ifndef CGIBRIDGE_SAFEPATH_H
#define CGIBRIDGE_SAFEPATH_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/attributes.h"

#ifndef NAME_MAX
#define NAME_MAX 255
#endif

/* Where a file is or will be. */
struct safepath {
	int dir;                 /* the directory; for calls such as openat(2), not for reading */
	bool is_private;         /* nobody but root can write here, or in those above */
	char name[NAME_MAX + 1]; /* its name there */
};

/* What to do about a path whose last name is a link: to take it as it is, or follow it. */
enum safepath_link { SAFEPATH_KEEP, SAFEPATH_FOLLOW };

/*
 * Finds the directory of the file `path`, which need not be there.  0, or -1 with errno:
 * ELOOP for a link that is not to be followed.  safepath_leave() closes it.
 */
int safepath_find(struct safepath *at, const char *path, enum safepath_link last) MUST_CHECK;
void safepath_leave(struct safepath *at);

/*
 * As open(2).  Besides, where others can write root opens no file that has more than one
 * name: -1 with errno EMLINK.
 */
int safepath_open(const char *path, int flags, mode_t mode) MUST_CHECK;

/* As bind(2) and connect(2) of a unix socket, to `name` in the directory of `at`. */
int safepath_bind(int fd, const struct safepath *at, const char *name) MUST_CHECK;
int safepath_connect_at(int fd, const struct safepath *at, const char *name) MUST_CHECK;

/* As connect(2) of a unix socket to `path`. */
int safepath_connect(int fd, const char *path) MUST_CHECK;

/* As strerror(3), for an errno of these functions. */
const char *safepath_error(int error);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * safepath: files that root opens, creates and removes in other users' directories.
 *
 * A user who may write to a directory on the way to a file can put a symbolic link there at
 * any moment, and root would follow it to places where that user may not go.  So root walks
 * the path, directory by directory, each opened relative to the one before.  It follows a link
 * only if the link belongs to root and nobody else can write to any directory on the way to
 * it, such as /var/run.  For any other user, links are followed as usual: they give no right
 * that the user does not have.
 *
 * To reach sockets, the working directory is changed and changed back.
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
	bool is_private;         /* nobody but root can write to it, or to those above */
	char name[NAME_MAX + 1]; /* its name there */
};

/* What to do with a link that is the last name of a path: keep it, or follow it. */
enum safepath_link { SAFEPATH_KEEP, SAFEPATH_FOLLOW };

/*
 * Finds the directory of file `path`; the file need not exist.  0, or -1 with errno: ELOOP for
 * a link that must not be followed.  safepath_leave() closes the directory.
 */
int safepath_find(struct safepath *at, const char *path, enum safepath_link last) MUST_CHECK;
void safepath_leave(struct safepath *at);

/*
 * As open(2).  For root it fails with errno ELOOP for a link that must not be followed and,
 * where others can write, with EMLINK for a file that has more than one name.
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

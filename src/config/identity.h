/* SPDX-License-Identifier: ISC */
/*
 * identity: the user, groups and root directory that a worker switches to.
 *
 * Names are looked up at start-up, outside the new root and as the starting user.  A worker
 * then switches once and for all; the supervisor never does.  Nothing is logged here: the
 * callers know whether a start-up or a worker fails.
 */
#ifndef CGIBRIDGE_IDENTITY_H
#define CGIBRIDGE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "base/fault.h"

/* All zero: everything stays as it is. */
struct identity {
	bool has_user;
	bool has_group;
	uid_t uid;
	gid_t gid;
	char name[64];   /* of the user; "" if the user database has no entry for the number */
	char home[1024]; /* likewise */
	gid_t *groups;   /* owned: all groups of the user; only if has_user */
	size_t group_count;
	const char *root; /* borrowed: the new root directory, or NULL */
};

/* Looks up a user or group by name or number.  0, or -1 if there is none of that name. */
int identity_user_id(const char *text, uid_t *uid) MUST_CHECK;

int identity_group_id(const char *text, gid_t *gid) MUST_CHECK;

/* Writes "USER:GROUP" to `text`, with numbers for ids that have no name. */
void identity_owner_text(uid_t uid, gid_t gid, char *text, size_t size);

/*
 * Looks up `user` and `group`, names or numbers; NULL leaves either as it is.  Without
 * `group`, the user's primary group is used.  0, or -1 with `why`, and `*wrong` set to `user`
 * or `group`, whichever is wrong.  The root stays as it is.
 */
int identity_find(struct identity *identity, const char *user, const char *group,
    const char **wrong, struct fault *why) MUST_CHECK;

/* Frees the list of groups, and resets `identity`. */
void identity_fini(struct identity *identity);

/* Whether there is anything to change. */
bool identity_is_set(const struct identity *identity);

/*
 * Switches this process to the identity: root and working directory; groups and ids, real,
 * effective and saved; HOME, USER and LOGNAME in the environment.  Verifies that, and that
 * there is no way back to root.  0, or -1 with `why`: the process may then be half-way, and
 * has to exit.
 */
int identity_drop_privileges(const struct identity *identity, struct fault *why) MUST_CHECK;

/* A further check in the rehearsal: 0, or -1 with `why`. */
typedef int identity_trial(void *context, struct fault *why);

/*
 * Switches in a process that is forked for that, and calls `trial` there, to find out whether
 * a worker could do the same.  0, or -1 with `why`.
 */
int identity_rehearse(const struct identity *identity, identity_trial *trial, void *context,
    struct fault *why) MUST_CHECK;

#endif

/* SPDX-License-Identifier: ISC */
/*
 * identity: as whom, and below which root directory, a process goes on.
 *
 * Names are looked up at the start, outside the new root and as the user who started
 * us.  A worker then becomes the identity once and for ever; the supervisor never does.
 * It does not log: the callers know whether that is a start-up that fails or a worker.
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
	gid_t *groups;   /* owned: all groups of the user; only with has_user */
	size_t group_count;
	const char *root; /* borrowed: the new root directory, or NULL */
};

/* The id of a user or group, given by name or number.  0, or -1 if there is none of the name. */
int identity_user_id(const char *text, uid_t *uid) MUST_CHECK;

int identity_group_id(const char *text, gid_t *gid) MUST_CHECK;

/* Writes "USER:GROUP" to `text`, a number for what has no name. */
void identity_owner_text(uid_t uid, gid_t gid, char *text, size_t size);

/*
 * Looks up `user` and `group`, names or numbers; NULL leaves either as it is.  Without a
 * group, it is the first one of the user.  0, or -1 with `why`; then `*wrong` is `user`
 * or `group`, whichever is to blame.
 */
int identity_find(struct identity *identity, const char *user, const char *group,
    const char **wrong, struct fault *why) MUST_CHECK;

/* Frees what it holds. */
void identity_fini(struct identity *identity);

/* Whether there is anything to become. */
bool identity_is_set(const struct identity *identity);

/*
 * Becomes it, in this process: the root and working directory; the groups and ids, real,
 * effective and saved; HOME, USER and LOGNAME in the environment.  Makes sure of it, and
 * that it cannot change back to root.  0, or -1 with `why`: the process is then something
 * in between and has to exit.
 */
int identity_become(const struct identity *identity, struct fault *why) MUST_CHECK;

/* Another check of the rehearsal: 0, or -1 with `why`. */
typedef int identity_trial(void *context, struct fault *why);

/*
 * Becomes it in a process that is forked for that, and there calls `trial`, to find out
 * whether a worker could.  0, or -1 with `why`.
 */
int identity_rehearse(const struct identity *identity, identity_trial *trial, void *context,
    struct fault *why) MUST_CHECK;

#endif

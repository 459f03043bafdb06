/* SPDX-License-Identifier: ISC */
/*
 * identity: looking up users, and switching to them.
 */
#include "config/identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"

/* ---- looking up ---------------------------------------------------------------------- */

/* Whether `text` is a valid numeric id; the largest number means "none" to the system. */
static bool read_id(const char *text, unsigned *id)
{
	char *end;
	unsigned long long number;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	*id = (unsigned)number;
	return errno == 0 && *end == '\0' && number < (unsigned)-1;
}

int identity_user_id(const char *text, uid_t *uid)
{
	const struct passwd *user;
	unsigned number;

	if (read_id(text, &number)) {
		*uid = number;
		return 0;
	}
	user = getpwnam(text);
	if (user == NULL)
		return -1;
	*uid = user->pw_uid;
	return 0;
}

int identity_group_id(const char *text, gid_t *gid)
{
	const struct group *group;
	unsigned number;

	if (read_id(text, &number)) {
		*gid = number;
		return 0;
	}
	group = getgrnam(text);
	if (group == NULL)
		return -1;
	*gid = group->gr_gid;
	return 0;
}

void identity_owner_text(uid_t uid, gid_t gid, char *text, size_t size)
{
	const struct passwd *user = getpwuid(uid);
	const struct group *group = getgrgid(gid);
	char numbers[2][24];

	snprintf(numbers[0], sizeof numbers[0], "%lu", (unsigned long)uid);
	snprintf(numbers[1], sizeof numbers[1], "%lu", (unsigned long)gid);
	snprintf(text, size, "%s:%s", user == NULL ? numbers[0] : user->pw_name,
	    group == NULL ? numbers[1] : group->gr_name);
}

static int find_user(struct identity *identity, const char *text, struct fault *why)
{
	const struct passwd *user;

	if (identity_user_id(text, &identity->uid) != 0)
		return fault_set(why, "there is no such user");
	identity->has_user = true;
	user = getpwuid(identity->uid);
	if (user == NULL)
		return 0;
	if (strlen(user->pw_name) >= sizeof identity->name ||
	    strlen(user->pw_dir) >= sizeof identity->home)
		return fault_set(why, "the name or the home directory of this user is too long");
	memcpy(identity->name, user->pw_name, strlen(user->pw_name) + 1);
	memcpy(identity->home, user->pw_dir, strlen(user->pw_dir) + 1);
	identity->gid = user->pw_gid;
	identity->has_group = true;
	return 0;
}

static int find_group(struct identity *identity, const char *text, struct fault *why)
{
	if (identity_group_id(text, &identity->gid) != 0)
		return fault_set(why, "there is no such group");
	identity->has_group = true;
	return 0;
}

/* A user who is not in the database is only in the group that was given. */
static int find_groups(struct identity *identity, struct fault *why)
{
	if (!identity->has_group)
		return fault_set(why, "it is not in the user database: give --group, too");
	if (identity->name[0] != '\0') {
		identity->groups =
		    sys_groups_of(identity->name, identity->gid, &identity->group_count);
	} else {
		identity->groups = calloc(1, sizeof *identity->groups);
		identity->group_count = 1;
		if (identity->groups != NULL)
			identity->groups[0] = identity->gid;
	}
	return identity->groups != NULL ? 0
					: fault_set(why, "cannot find its groups: %s", strerror(errno));
}

int identity_find(struct identity *identity, const char *user, const char *group,
    const char **wrong, struct fault *why)
{
	*identity = (struct identity){.root = identity->root};
	*wrong = user;
	if (user != NULL && find_user(identity, user, why) != 0)
		return -1;
	*wrong = group;
	if (group != NULL && find_group(identity, group, why) != 0)
		return -1;
	*wrong = user;
	return user == NULL ? 0 : find_groups(identity, why);
}

void identity_fini(struct identity *identity)
{
	free(identity->groups);
	*identity = (struct identity){.has_user = false};
}

bool identity_is_set(const struct identity *identity)
{
	return identity->has_user || identity->has_group || identity->root != NULL;
}

/* ---- switching ----------------------------------------------------------------------- */

/* Words the failure of a call, from errno. */
static int fail_call(struct fault *why, const char *what, const char *whose)
{
	return fault_set(why, "cannot change the %s to %.120s: %s%s", what, whose, strerror(errno),
	    errno == EPERM ? ": only root can" : "");
}

static int fail_id(struct fault *why, const char *what, unsigned long id)
{
	char text[24];

	snprintf(text, sizeof text, "%lu", id);
	return fail_call(why, what, text);
}

static int change_root(const char *root, struct fault *why)
{
	if (chdir(root) == 0 && chroot(".") == 0 && chdir("/") == 0)
		return 0;
	return fail_call(why, "root directory (--chroot)", root);
}

static bool is_among(gid_t gid, const gid_t *groups, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

/* Whether this process is in exactly these groups, as when its parent has set them. */
static bool has_groups(const struct identity *identity)
{
	int count = getgroups(0, NULL);
	gid_t *ours = count < 0 ? NULL : calloc((size_t)count + 1, sizeof *ours);
	bool same = ours != NULL && getgroups(count, ours) == count;

	for (int i = 0; same && i < count; i++)
		same = is_among(ours[i], identity->groups, identity->group_count);
	/* whether the list has the effective group depends on the process that set it */
	for (size_t i = 0; same && i < identity->group_count; i++)
		same = identity->groups[i] == getegid() ||
		       is_among(identity->groups[i], ours, (size_t)count);
	free(ours);
	return same;
}

static int change_groups(const struct identity *identity, struct fault *why)
{
	if (identity->has_group && sys_set_gid(identity->gid) != 0)
		return fail_id(why, "group (--user, --group)", identity->gid);
	if (!identity->has_user ||
	    setgroups(identity->group_count, identity->groups) == 0 || has_groups(identity))
		return 0;
	return fail_id(why, "supplementary groups (--user)", identity->uid);
}

static int change_user(const struct identity *identity, struct fault *why)
{
	if (!identity->has_user || sys_set_uid(identity->uid) == 0)
		return 0;
	return fail_id(why, "user (--user)", identity->uid);
}

/* A capability, or a system with an unusual setuid(), could leave a way back. */
static int make_sure(const struct identity *identity, struct fault *why)
{
	if (identity->has_group && (getgid() != identity->gid || getegid() != identity->gid))
		return fault_set(why, "the system did not change the group (--group)");
	if (!identity->has_user)
		return 0;
	if (getuid() != identity->uid || geteuid() != identity->uid)
		return fault_set(why, "the system did not change the user (--user)");
	if (identity->uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
		return fault_set(why, "after the change to --user, root can be regained: start it "
				 "without CAP_SETUID, or as root");
	return 0;
}

/* Programs look for their files there, and cannot open those of the user who started us. */
static int set_environment(const struct identity *identity, struct fault *why)
{
	static const char *const names[] = {"USER", "LOGNAME", "HOME"};

	for (size_t i = 0; identity->has_user && i < sizeof names / sizeof *names; i++) {
		const char *value = i < 2 ? identity->name : identity->home;

		if ((value[0] == '\0' ? unsetenv(names[i]) : setenv(names[i], value, 1)) != 0)
			return fault_set(why, "cannot set %s: %s", names[i], strerror(errno));
	}
	return 0;
}

int identity_drop_privileges(const struct identity *identity, struct fault *why)
{
	if (identity->root != NULL && change_root(identity->root, why) != 0)
		return -1;
	if (change_groups(identity, why) != 0 || change_user(identity, why) != 0 ||
	    make_sure(identity, why) != 0)
		return -1;
	return set_environment(identity, why);
}

/* ---- rehearsing ---------------------------------------------------------------------- */

/* In the forked process: the reason for a failure, if any, goes through `report`. */
static void rehearse(const struct identity *identity, identity_trial *trial, void *context,
    int report)
{
	pid_t parent = getppid();
	struct fault why = {""};
	bool became = identity_drop_privileges(identity, &why) == 0;

	sys_die_with_parent(parent); /* a file system may hang, and our parent may end */
	if (!became || trial(context, &why) != 0)
		_exit(write(report, why.text, strlen(why.text)) > 0 ? 1 : 2);
	_exit(0);
}

static int fork_rehearsal(const struct identity *identity, identity_trial *trial, void *context,
    const int report[2])
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0)
		rehearse(identity, trial, context, report[1]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid < 0 ? -1 : status;
}

int identity_rehearse(const struct identity *identity, identity_trial *trial, void *context,
    struct fault *why)
{
	int report[2];
	int status;
	ssize_t len;

	/* close-on-exec: a program that `trial` runs must not get it */
	if (sys_pipe(report, SYS_PIPE_READ) != 0)
		return fault_set(why, "cannot make a pipe: %s", strerror(errno));
	status = fork_rehearsal(identity, trial, context, report);
	if (status == -1)
		fault_set(why, "cannot start a process: %s", strerror(errno));
	else if (status != 0)
		fault_set(why, "the process that tried the change died");
	close(report[1]);
	/* the text fits into the pipe, so it is there whole */
	len = read(report[0], why->text, sizeof why->text - 1);
	if (len > 0)
		why->text[len] = '\0';
	close(report[0]);
	return status == 0 ? 0 : -1;
}

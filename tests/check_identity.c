/* SPDX-License-Identifier: ISC */
/*
 * check_identity: users and groups looked up; becoming them, in processes of their own.
 *
 * What only root may is tested as root; for others, that it is refused.
 */
#include "check_util.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/identity.h"

#define NO_ENTRY "3999999999" /* a number that no user database has */

static struct identity identity;
static const char *wrong;
static struct fault why;

static void setup(void)
{
	memset(&identity, 0, sizeof identity);
	strcpy(why.text, "nothing said");
}

static void teardown(void)
{
	identity_fini(&identity);
	temp_remove();
}

static int find(const char *user, const char *group)
{
	return identity_find(&identity, user, group, &wrong, &why);
}

static bool is_root(void)
{
	return geteuid() == 0;
}

/* ---- looking up ------------------------------------------------------------------------- */

START_TEST(nothing_is_nothing)
{
	ck_assert_int_eq(find(NULL, NULL), 0);
	ck_assert(!identity.has_user && !identity.has_group);
	ck_assert(!identity_is_set(&identity));
	ck_assert_int_eq(identity_drop_privileges(&identity, &why), 0);
	identity.root = "/";
	ck_assert(identity_is_set(&identity));
	ck_assert_int_eq(find("0", NULL), 0);
	ck_assert_str_eq(identity.root, "/"); /* the options have put it there before */
}
END_TEST

START_TEST(users_are_names_or_numbers)
{
	uid_t uid = 77;

	ck_assert_int_eq(identity_user_id("root", &uid), 0);
	ck_assert_uint_eq(uid, 0);
	ck_assert_int_eq(identity_user_id("4294967294", &uid), 0);
	ck_assert_uint_eq(uid, 4294967294U);
	ck_assert_int_eq(identity_user_id("4294967295", &uid), -1); /* "none" to chown(2) */
	ck_assert_int_eq(identity_user_id("4294967296", &uid), -1);
	ck_assert_int_eq(identity_user_id("-1", &uid), -1);
	ck_assert_int_eq(identity_user_id("0x0", &uid), -1);
	ck_assert_int_eq(identity_user_id("", &uid), -1);
	ck_assert_int_eq(identity_user_id("no such user", &uid), -1);
}
END_TEST

START_TEST(a_user_brings_his_group_and_home)
{
	const struct passwd *entry = getpwnam("nobody");

	ck_assert_ptr_nonnull(entry);
	ck_assert_int_eq(find("nobody", NULL), 0);
	ck_assert_uint_eq(identity.uid, entry->pw_uid);
	ck_assert_uint_eq(identity.gid, entry->pw_gid);
	ck_assert_str_eq(identity.name, "nobody");
	ck_assert_str_eq(identity.home, entry->pw_dir);
	ck_assert_uint_ge(identity.group_count, 1);
	ck_assert_uint_eq(identity.groups[0], entry->pw_gid);
}
END_TEST

START_TEST(a_group_beside_takes_the_place_of_his_own)
{
	ck_assert_int_eq(find("nobody", "daemon"), 0);
	ck_assert_uint_eq(identity.gid, getgrnam("daemon")->gr_gid);
	ck_assert_uint_eq(identity.group_count, 1);
	ck_assert_uint_eq(identity.groups[0], identity.gid);
}
END_TEST

START_TEST(a_group_alone)
{
	ck_assert_int_eq(find(NULL, "54321"), 0);
	ck_assert(identity.has_group && !identity.has_user);
	ck_assert_uint_eq(identity.gid, 54321);
	ck_assert_ptr_null(identity.groups);
}
END_TEST

START_TEST(a_number_without_an_entry_needs_a_group)
{
	ck_assert_int_eq(find(NO_ENTRY, NULL), -1);
	ck_assert_str_eq(wrong, NO_ENTRY);
	ck_assert_ptr_nonnull(strstr(why.text, "give --group"));
	ck_assert_int_eq(find(NO_ENTRY, "54321"), 0);
	ck_assert_uint_eq(identity.uid, 3999999999U);
	ck_assert_uint_eq(identity.group_count, 1);
	ck_assert_uint_eq(identity.groups[0], 54321);
	ck_assert_str_eq(identity.name, "");
}
END_TEST

START_TEST(who_is_not_there_is_named)
{
	ck_assert_int_eq(find("no such user", "root"), -1);
	ck_assert_str_eq(wrong, "no such user");
	ck_assert_str_eq(why.text, "there is no such user");
	ck_assert_int_eq(find("root", "no such group"), -1);
	ck_assert_str_eq(wrong, "no such group");
	ck_assert_str_eq(why.text, "there is no such group");
}
END_TEST

/* ---- becoming ----------------------------------------------------------------------------- */

/* Becomes it in a process of its own and runs `check` there; the exit status. */
static int become_and(int (*check)(void))
{
	static const gid_t extra[] = {1, 2, 3}; /* that are to be lost */
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0 && is_root() && setgroups(3, extra) != 0)
		_exit(98);
	if (pid == 0)
		_exit(identity_drop_privileges(&identity, &why) != 0 ? 99 : check());
	return wait_for(pid);
}

/* All three of each, and no door left open; a number names what is wrong. */
static int check_ids(void)
{
	uid_t uid[3];
	gid_t gid[3];
	gid_t groups[8];

	if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
		return 1;
	for (int i = 0; i < 3; i++)
		if (uid[i] != identity.uid || gid[i] != identity.gid)
			return 2;
	if (getgroups(8, groups) != 1 || groups[0] != identity.gid)
		return 3;
	if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0 || setgroups(0, NULL) == 0)
		return 4;
	return 0;
}

static int check_home(void)
{
	const char *user = getenv("USER");
	const char *log = getenv("LOGNAME");
	const char *home = getenv("HOME");

	if (identity.name[0] == '\0')
		return user == NULL && log == NULL && home == NULL ? 0 : 1;
	return user != NULL && log != NULL && home != NULL && strcmp(user, identity.name) == 0 &&
		       strcmp(log, identity.name) == 0 && strcmp(home, identity.home) == 0
		   ? 0
		   : 2;
}

static int check_root(void)
{
	char cwd[100];
	struct stat info;

	return getcwd(cwd, sizeof cwd) != NULL && strcmp(cwd, "/") == 0 && stat("/inside", &info) == 0 &&
		       stat("/etc", &info) != 0 && stat("/../etc", &info) != 0
		   ? 0
		   : 1;
}

static int no_check(void)
{
	return 0;
}

/* As root: what of it is refused to others is in the test below. */
START_TEST(a_user_for_good)
{
	ck_assert_int_eq(find("nobody", "54321"), 0);
	if (!is_root()) {
		ck_assert_int_eq(become_and(check_ids), 99);
		return;
	}
	ck_assert_int_eq(become_and(check_ids), 0);
	ck_assert_int_eq(become_and(check_home), 0);
	identity_fini(&identity);
	ck_assert_int_eq(find(NO_ENTRY, "54321"), 0);
	ck_assert_int_eq(become_and(check_ids), 0);
	ck_assert_int_eq(become_and(check_home), 0);
}
END_TEST

START_TEST(the_user_we_are_already)
{
	char text[24];

	snprintf(text, sizeof text, "%lu", (unsigned long)getuid());
	ck_assert_int_eq(find(text, NULL), 0);
	ck_assert_int_eq(become_and(no_check), 0);
	ck_assert_int_eq(become_and(check_home), 0);
}
END_TEST

START_TEST(a_new_root)
{
	temp_make();
	temp_write("inside", 0644, "");
	identity.root = temp_dir();
	ck_assert_int_eq(become_and(check_root), is_root() ? 0 : 99);
}
END_TEST

static int nothing_to_try(void *context, struct fault *phrase)
{
	(void)context;
	(void)phrase;
	return 0;
}

static int try_in_vain(void *context, struct fault *phrase)
{
	(void)fault_set(phrase, "%s, said %ld", (const char *)context, (long)getppid());
	return -1;
}

static int die(void *context, struct fault *phrase)
{
	(void)context;
	(void)phrase;
	_exit(0x55);
}

START_TEST(a_rehearsal_changes_nothing_here)
{
	char text[24];
	int before = count_fds();

	snprintf(text, sizeof text, "%lu", (unsigned long)getuid());
	ck_assert_int_eq(find(is_root() ? "nobody" : text, NULL), 0);
	setenv("HOME", "/as/it/was", 1);
	ck_assert_int_eq(identity_rehearse(&identity, nothing_to_try, NULL, &why), 0);
	ck_assert_str_eq(getenv("HOME"), "/as/it/was");
	ck_assert_uint_eq(geteuid(), getuid());
	ck_assert_int_eq(count_fds(), before);
}
END_TEST

START_TEST(a_rehearsal_says_what_went_wrong)
{
	char wanted[64];
	char context[] = "no";

	snprintf(wanted, sizeof wanted, "no, said %ld", (long)getpid());
	ck_assert_int_eq(identity_rehearse(&identity, try_in_vain, context, &why), -1);
	ck_assert_str_eq(why.text, wanted);
	ck_assert_int_eq(identity_rehearse(&identity, die, NULL, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "change died"));
	identity.root = "/nonexistent";
	ck_assert_int_eq(identity_rehearse(&identity, nothing_to_try, NULL, &why), -1);
	ck_assert_str_eq(why.text, "cannot change the root directory (--chroot) to /nonexistent: "
			      "No such file or directory");
	identity.root = NULL;
	if (!is_root()) {
		ck_assert_int_eq(find("0", NULL), 0);
		ck_assert_int_eq(identity_rehearse(&identity, nothing_to_try, NULL, &why), -1);
		ck_assert_ptr_nonnull(strstr(why.text, "Operation not permitted: only root can"));
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, nothing_is_nothing);
	tcase_add_test(tcase, users_are_names_or_numbers);
	tcase_add_test(tcase, a_user_brings_his_group_and_home);
	tcase_add_test(tcase, a_group_beside_takes_the_place_of_his_own);
	tcase_add_test(tcase, a_group_alone);
	tcase_add_test(tcase, a_number_without_an_entry_needs_a_group);
	tcase_add_test(tcase, who_is_not_there_is_named);
	tcase_add_test(tcase, a_user_for_good);
	tcase_add_test(tcase, the_user_we_are_already);
	tcase_add_test(tcase, a_new_root);
	tcase_add_test(tcase, a_rehearsal_changes_nothing_here);
	tcase_add_test(tcase, a_rehearsal_says_what_went_wrong);
}

int main(void)
{
	return check_main("identity", add);
}

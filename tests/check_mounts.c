/* SPDX-License-Identifier: ISC */
/*
 * check_mounts: tables of mounts, and which paths lead to a file system that may not answer.
 */
#include "check_util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "cgi/mounts.h"

static const char table[] =
    "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
    "23 22 0:21 / /proc rw - proc proc rw\n"
    "40 22 0:45 / /mnt/nfs rw,relatime shared:7 master:2 - nfs4 server:/export rw,hard\n"
    "41 22 0:46 /sub /srv/two\\040words rw - fuse.sshfs host: rw\n"
    "42 22 0:47 / /srv/\\134x\\18 rw - fuse standin rw\n"
    "43 22 254:2 / /srv/local rw - xfs /dev/vdb rw\n"
    "44 22 0:48 / /home rw - autofs systemd-1 rw\n"
    "45 22 0:49 / /fusectl rw - fusectl fusectl rw\n"
    "46 23 0:50 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n";

static const struct {
	const char *path;
	const char *mount; /* NULL: none */
} paths[] = {
    {"/mnt/nfs/x.cgi", "/mnt/nfs"},
    {"/mnt/nfs", "/mnt/nfs"},
    {"/mnt/nfs/", "/mnt/nfs"},
    {"//mnt/.//nfs/a/b", "/mnt/nfs"},
    {"/mnt/other/../nfs/x.cgi", "/mnt/nfs"},
    {"/../mnt/nfs/x", "/mnt/nfs"},
    {"/mnt/nfs/../x.cgi", NULL},
    {"/mnt/nfs2/x.cgi", NULL},
    {"/mnt", NULL},
    {"/", NULL},
    {"", NULL},
    {"/srv/two words/x", "/srv/two words"},
    {"/srv/\\x\\18/y", "/srv/\\x\\18"},
    {"/srv/local/x", NULL},
    {"/home/me/x", "/home"},
    {"/fusectl/x", NULL},
    {"/proc/self", NULL},
    {"/proc/sys/fs/binfmt_misc/x", NULL},
};

static struct mounts mounts;

static void read_text(const char *text)
{
	char *copy = strdup(text);

	ck_assert_ptr_nonnull(copy);
	mounts_parse(&mounts, copy);
	free(copy);
}

START_TEST(a_path)
{
	const struct mount *mount;

	memset(&mounts, 0, sizeof mounts);
	read_text(table);
	mount = mounts_find(&mounts, paths[_i].path);
	if (paths[_i].mount == NULL) {
		ck_assert_ptr_null(mount);
	} else {
		ck_assert_ptr_nonnull(mount);
		ck_assert_str_eq(mount->path, paths[_i].mount);
	}
	read_text("");
	ck_assert(!mounts_any(&mounts));
	ck_assert_ptr_null(mounts_find(&mounts, "/mnt/nfs/x.cgi"));
}
END_TEST

START_TEST(a_root_on_a_server)
{
	memset(&mounts, 0, sizeof mounts);
	read_text("22 1 0:20 / / rw - nfs server:/ rw\n");
	ck_assert(!mounts_any(&mounts));
}
END_TEST

static const struct {
	const char *root, *path;
	bool found; /* counted from the root, below a mount */
} rooted[] = {
    {"/mnt", "/nfs/x.cgi", true},
    {"/mnt", "/mnt/nfs/x.cgi", false},
    {"/mn", "/t/nfs/x.cgi", false},
    {"/mnt/nfs", "/x.cgi", false}, /* the root itself is on a server */
    {"/mnt/nfs/jail", "/x.cgi", false},
    {"/srv", "/two words/x.cgi", true},
    {"/srv/local", "/two words/x.cgi", false},
    {"/", "/mnt/nfs/x.cgi", true},
};

START_TEST(paths_below_a_new_root)
{
	char root[32];

	snprintf(root, sizeof root, "%s", rooted[_i].root);
	memset(&mounts, 0, sizeof mounts);
	mounts.root = root;
	read_text(table);
	ck_assert_int_eq(mounts_find(&mounts, rooted[_i].path) != NULL, rooted[_i].found);
	read_text("");
}
END_TEST

/* Most machines have it: their requests must not pay for it. */
START_TEST(an_automount_where_no_scripts_are)
{
	memset(&mounts, 0, sizeof mounts);
	read_text("46 23 0:50 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n");
	ck_assert(!mounts_any(&mounts));
	read_text("46 23 0:50 / /process rw - nfs server: rw\n");
	ck_assert(mounts_any(&mounts));
	read_text("");
}
END_TEST

START_TEST(lines_that_are_cut)
{
	for (size_t len = 0; len < sizeof table; len++) {
		char text[sizeof table];

		memcpy(text, table, len);
		text[len] = '\0';
		memset(&mounts, 0, sizeof mounts);
		read_text(text);
		ck_assert_uint_le(mounts.count, 5); /* "fusectl" can be cut to "fuse" */
		read_text("");
	}
}
END_TEST

START_TEST(a_path_that_is_too_long)
{
	static char path[20000];

	memset(path, 'x', sizeof path - 1);
	memcpy(path, "/mnt/nfs/", 9);
	memset(&mounts, 0, sizeof mounts);
	read_text(table);
	ck_assert_ptr_nonnull(mounts_find(&mounts, path));
	path[4] = 'x';
	ck_assert_ptr_null(mounts_find(&mounts, path));
	read_text("");
}
END_TEST

/* A mount with the device of the temporary directory, which is not below it. */
static void mount_device(dev_t *device)
{
	struct stat info;

	ck_assert_int_eq(stat(temp_dir(), &info), 0);
	*device = info.st_dev;
	memset(&mounts, 0, sizeof mounts);
	read_text("40 22 0:45 / /mnt/nfs rw - nfs server: rw\n");
	mounts.items[0].device = *device;
}

static void learn(const char *path, dev_t script, dev_t directory, dev_t program)
{
	mounts_learn(&mounts, path, &(struct mounts_trace){script, directory, program});
}

START_TEST(a_link)
{
	dev_t device;
	char path[64];

	temp_make();
	mount_device(&device);
	learn(temp_path("x.cgi"), device + 1, device + 1, 0);
	ck_assert_ptr_null(mounts_find(&mounts, temp_path("x.cgi")));
	learn(temp_path("x.cgi"), device, device, 0);
	ck_assert_ptr_nonnull(mounts_find(&mounts, temp_path("y.cgi")));
	learn("/sys/x.cgi", device + 1, device, 0); /* it is a link there that leads back */
	ck_assert_ptr_nonnull(mounts_find(&mounts, "/sys/x.cgi"));
	ck_assert_ptr_nonnull(mounts_find(&mounts, "/sys/y.cgi"));
	ck_assert(!mounts_is_local(&mounts, "/sys/x.cgi"));
	learn("/x.cgi", device, device, 0);
	ck_assert_ptr_nonnull(mounts_find(&mounts, "/x.cgi"));
	ck_assert_ptr_null(mounts_find(&mounts, "/y.cgi"));
	learn("/proc/x.cgi", device, device + 1, 0); /* only the script is on it */
	ck_assert_ptr_nonnull(mounts_find(&mounts, "/proc/x.cgi"));
	ck_assert_ptr_null(mounts_find(&mounts, "/proc/y.cgi"));
	learn("/proc/z.cgi", device + 1, device + 1, device); /* only its interpreter is */
	ck_assert_ptr_nonnull(mounts_find(&mounts, "/proc/z.cgi"));
	ck_assert(!mounts_is_local(&mounts, "/proc/z.cgi"));
	for (int i = 0; i < 3 * MOUNTS_LINKS_MAX; i++) {
		snprintf(path, sizeof path, "/proc/%d.cgi", i);
		learn(path, device, device + 1, 0);
		ck_assert_ptr_nonnull(mounts_find(&mounts, path));
	}
	ck_assert_ptr_null(mounts_find(&mounts, temp_path("y.cgi"))); /* others came after it */
	read_text("");
	ck_assert_ptr_null(mounts_find(&mounts, path));
	temp_remove();
}
END_TEST

START_TEST(a_local_script)
{
	char path[64];
	int known = 0;

	memset(&mounts, 0, sizeof mounts);
	read_text(table);
	ck_assert(!mounts_is_local(&mounts, "/srv/x.cgi"));
	learn("/srv/x.cgi", 1, 1, 1);
	ck_assert(mounts_is_local(&mounts, "/srv/x.cgi"));
	ck_assert(mounts_is_local(&mounts, "/srv//./x.cgi/more/of/it"));
	ck_assert(!mounts_is_local(&mounts, "/srv/x.cgi2"));
	ck_assert(!mounts_is_local(&mounts, "/srv"));
	ck_assert(!mounts_is_local(&mounts, "/srv/y.cgi"));
	ck_assert(!mounts_is_local(&mounts, ""));
	ck_assert(!mounts_is_local(&mounts, "/srv/link/../x.cgi")); /* from where the link leads */
	learn("/srv/link/../y.cgi", 1, 1, 1);
	ck_assert(mounts_is_local(&mounts, "/srv/link/./..//y.cgi/more"));
	ck_assert(!mounts_is_local(&mounts, "/srv/y.cgi"));
	for (int i = 0; i < 20000; i++) { /* more than are remembered */
		snprintf(path, sizeof path, "/srv/%d.cgi", i);
		learn(path, 1, 1, 0);
		ck_assert(mounts_is_local(&mounts, path));
	}
	for (int i = 0; i < 20000; i++) {
		snprintf(path, sizeof path, "/srv/%d.cgi", i);
		known += mounts_is_local(&mounts, path);
	}
	ck_assert_int_gt(known, 1000);
	ck_assert_int_le(known, 4096);
	read_text(table); /* it has changed: "/srv" may be a link to what is new in it */
	ck_assert(!mounts_is_local(&mounts, path));
	ck_assert(mounts_guess("/srv/a/x") == mounts_guess("/srv/a/y"));
	ck_assert(mounts_guess("/srv/a/x") != mounts_guess("/srv/b/x"));
	read_text("");
}
END_TEST

START_TEST(the_table_of_this_process)
{
	struct loop *loop = loop_new();
	int fds = count_fds();

	ck_assert_ptr_nonnull(loop);
	mounts_init(&mounts, _i == 0 ? NULL : "/");
	ck_assert_int_eq(count_fds() - fds, mounts.fd >= 0);
	mounts_follow(&mounts, loop);
	ck_assert_int_eq(count_fds() - fds, mounts.watch.fd >= 0);
	turn_for(loop, 10);
	mounts_fini(&mounts);
	ck_assert_int_eq(count_fds(), fds);
	loop_free(&loop);
}
END_TEST

START_TEST(a_worker_that_does_not_start)
{
	int fds = count_fds();

	mounts_init(&mounts, temp_dir());
	mounts_fini(&mounts);
	ck_assert_int_eq(count_fds(), fds);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_loop_test(tcase, a_path, 0, sizeof paths / sizeof *paths);
	tcase_add_test(tcase, a_root_on_a_server);
	tcase_add_loop_test(tcase, paths_below_a_new_root, 0, sizeof rooted / sizeof *rooted);
	tcase_add_test(tcase, an_automount_where_no_scripts_are);
	tcase_add_test(tcase, lines_that_are_cut);
	tcase_add_test(tcase, a_path_that_is_too_long);
	tcase_add_test(tcase, a_link);
	tcase_add_test(tcase, a_local_script);
	tcase_add_loop_test(tcase, the_table_of_this_process, 0, 2);
	tcase_add_test(tcase, a_worker_that_does_not_start);
}

int main(void)
{
	return check_main("mounts", add_tests);
}

/* SPDX-License-Identifier: ISC */
/*
 * check_safepath: which links root follows, and that a path means what it says.  What takes
 * root is tested as root; the rest as anybody.
 */
#include "check_util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/safepath.h"
#include "base/sys.h"

enum { OTHER = 65534 }; /* a user's number */

static char folder[PATH_MAX]; /* where nobody but root can write, if we are root */
static char text[PATH_MAX + 512];

/* Of `name` in the folder. */
static const char *in(const char *name)
{
	static char paths[4][sizeof text];
	static int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof text, "%s/%s", folder, name);
	return path;
}

static void make_file(const char *name, const char *content)
{
	FILE *file = fopen(in(name), "w");

	ck_assert_ptr_nonnull(file);
	fputs(content, file);
	fclose(file);
}

static void make_dir(const char *name, uid_t owner)
{
	ck_assert_int_eq(mkdir(in(name), 0755), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(chown(in(name), owner, owner), 0);
}

static void make_link(const char *target, const char *name, uid_t owner)
{
	ck_assert_int_eq(symlink(target, in(name)), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(lchown(in(name), owner, owner), 0);
}

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(folder, sizeof folder, "%s/check-safepath-XXXXXX",
	    geteuid() == 0 ? "/run" : tmp == NULL ? "/tmp" : tmp);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chmod(folder, 0755), 0);
	make_dir("ours", 0);
	make_dir("theirs", OTHER);
	make_dir("secret", 0);
	make_file("secret/file", "root's\n");
}

static void teardown(void)
{
	char command[PATH_MAX + 32];

	snprintf(command, sizeof command, "rm -rf '%s'", folder);
	ck_assert_int_eq(system(command), 0);
}

/* What opening `path` gives: the file's first line, or what is wrong, as a number. */
static const char *read_path(const char *path)
{
	int fd = safepath_open(path, O_RDONLY | O_CLOEXEC, 0);
	ssize_t len;

	if (fd < 0) {
		snprintf(text, sizeof text, "%d", errno);
		return text;
	}
	len = read(fd, text, sizeof text - 1);
	close(fd);
	ck_assert_int_ge(len, 0);
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text;
}

#define REFUSED(path, error)                                                \
	do {                                                                \
		ck_assert_int_eq(safepath_open(path, O_RDONLY, 0), -1);     \
		ck_assert_int_eq(errno, error);                             \
	} while (0)

/* ---- anybody's ------------------------------------------------------------------------------ */

START_TEST(paths_mean_what_they_say)
{
	char cwd[PATH_MAX];

	ck_assert_str_eq(read_path(in("secret/file")), "root's");
	ck_assert_str_eq(read_path(in(".//secret/./file")), "root's");
	ck_assert_str_eq(read_path(in("ours/../secret/file")), "root's");
	REFUSED(in("none"), ENOENT);
	REFUSED(in("none/file"), ENOENT);
	REFUSED(in("secret/file/file"), ENOTDIR);
	ck_assert_ptr_nonnull(getcwd(cwd, sizeof cwd));
	ck_assert_int_eq(chdir(in("ours")), 0);
	ck_assert_str_eq(read_path("../secret/file"), "root's");
	make_file("ours/here", "here\n");
	ck_assert_str_eq(read_path("here"), "here");
	ck_assert_int_eq(chdir(cwd), 0);
}
END_TEST

START_TEST(a_file_is_made_with_its_mode)
{
	mode_t before = umask(022);
	struct stat info;
	int fd = safepath_open(in("ours/new"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	umask(before);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &info), 0);
	ck_assert_int_eq(info.st_mode & 0777, 0640);
	close(fd);
	ck_assert_int_eq(access(in("ours/new"), F_OK), 0);
}
END_TEST

START_TEST(long_names_and_paths_are_refused)
{
	static char path[PATH_MAX + 300];

	snprintf(path, sizeof path, "%s/", folder);
	memset(path + strlen(path), 'x', 256);
	REFUSED(path, ENAMETOOLONG);
	memset(path, '/', sizeof path - 2);
	path[sizeof path - 2] = 'x';
	REFUSED(path, ENAMETOOLONG);
}
END_TEST

/* Each of its turns adds to the path that is left. */
START_TEST(links_that_lead_too_far_are_refused)
{
	char target[2000];

	snprintf(target, sizeof target, "link");
	while (strlen(target) < sizeof target - 3)
		strcat(target, "/.");
	ck_assert_int_eq(symlink(target, in("ours/link")), 0);
	REFUSED(in("ours/link/x"), ENAMETOOLONG);
}
END_TEST

START_TEST(the_name_of_a_socket_has_a_bound)
{
	struct safepath at;
	char path[300];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(path, sizeof path, "%s/%0150d", in("ours"), 0);
	ck_assert_int_eq(safepath_find(&at, path, SAFEPATH_KEEP), 0);
	ck_assert_int_eq(safepath_bind(fd, &at, at.name), -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
	safepath_leave(&at);
	close(fd);
}
END_TEST

START_TEST(links_of_root_are_followed)
{
	int fd;

	make_link("secret", "relative", 0);
	make_link(in("secret"), "absolute", 0);
	make_link("../secret/file", "ours/file", 0);
	make_link("one", "two", 0);
	make_link("two", "one", 0);
	make_link("ours/dangling", "dangling", 0);
	ck_assert_str_eq(read_path(in("relative/file")), "root's");
	ck_assert_str_eq(read_path(in("absolute/file")), "root's");
	ck_assert_str_eq(read_path(in("absolute/../ours/file")), "root's");
	REFUSED(in("one"), ELOOP);
	REFUSED(in("one/file"), ELOOP);
	fd = safepath_open(in("dangling"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(access(in("ours/dangling"), F_OK), 0);
}
END_TEST

START_TEST(the_last_link_can_be_kept)
{
	struct safepath at;
	struct stat info;

	make_link("secret/file", "link", 0);
	ck_assert_int_eq(safepath_find(&at, in("link"), SAFEPATH_KEEP), 0);
	ck_assert_str_eq(at.name, "link");
	ck_assert_int_eq(fstatat(at.dir, at.name, &info, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert(S_ISLNK(info.st_mode));
	safepath_leave(&at);
	ck_assert_int_eq(at.dir, -1);
	ck_assert_int_eq(safepath_find(&at, in("link"), SAFEPATH_FOLLOW), 0);
	ck_assert_str_eq(at.name, "file");
	safepath_leave(&at);
}
END_TEST

#ifdef WITH_SYS_LINUX
START_TEST(what_is_open_is_reached_by_its_number)
{
	char path[64];
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(write(fds[1], "piped\n", 6), 6);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
	ck_assert_str_eq(read_path(path), "piped");
	close(fds[0]);
	close(fds[1]);
}
END_TEST
#endif

START_TEST(sockets_are_bound_and_found_where_they_are_said_to_be)
{
	char before[PATH_MAX], after[PATH_MAX];
	int fds = count_fds();
	struct safepath at;
	int server = socket(AF_UNIX, SOCK_STREAM, 0);
	int client = socket(AF_UNIX, SOCK_STREAM, 0);

	ck_assert_ptr_nonnull(getcwd(before, sizeof before));
	ck_assert_int_eq(safepath_find(&at, in("theirs/socket"), SAFEPATH_KEEP), 0);
	ck_assert_int_eq(safepath_bind(server, &at, at.name), 0);
	ck_assert_int_eq(safepath_bind(client, &at, at.name), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert_int_eq(listen(server, 1), 0);
	ck_assert_int_eq(safepath_connect(client, in("theirs/socket")), 0);
	ck_assert_int_eq(access(in("theirs/socket"), F_OK), 0);
	safepath_leave(&at);
	close(server);
	close(client);
	ck_assert_ptr_nonnull(getcwd(after, sizeof after));
	ck_assert_str_eq(before, after);
	ck_assert_int_eq(count_fds(), fds);
}
END_TEST

START_TEST(errors_leave_no_descriptor_open)
{
	int fds = count_fds();
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	make_link("loop", "loop", 0);
	REFUSED(in("loop/file"), ELOOP);
	REFUSED(in("none/file"), ENOENT);
	ck_assert_int_eq(safepath_connect(fd, in("none/socket")), -1);
	ck_assert_int_eq(safepath_connect(fd, in("ours/socket")), -1);
	ck_assert_int_eq(errno, ENOENT);
	close(fd);
	ck_assert_int_eq(count_fds(), fds);
}
END_TEST

/* ---- root's ----------------------------------------------------------------------------------- */

START_TEST(links_of_others_are_not_followed)
{
	make_link("../secret", "theirs/dir", OTHER);
	make_link("../secret/file", "theirs/file", OTHER);
	make_link("../secret", "theirs/by-root", 0); /* in a directory of theirs */
	make_link("secret", "of-theirs", OTHER);     /* in one of root's */
	make_dir("theirs/root", 0);
	make_link("../../secret", "theirs/root/link", 0);
	REFUSED(in("theirs/dir/file"), ELOOP);
	REFUSED(in("theirs/file"), ELOOP);
	REFUSED(in("theirs/by-root/file"), ELOOP);
	REFUSED(in("of-theirs/file"), ELOOP);
	REFUSED(in("theirs/root/link/file"), ELOOP);
	ck_assert_str_eq(safepath_error(ELOOP),
	    "a symbolic link in its path that users other than root can change");
	/* also where root's own link leads there */
	make_link("theirs", "into", 0);
	REFUSED(in("into/dir/file"), ELOOP);
	make_file("theirs/plain", "theirs\n");
	ck_assert_str_eq(read_path(in("into/plain")), "theirs");
}
END_TEST

static const struct {
	mode_t mode;
	bool is_private;
} modes[] = {{0700, true}, {0755, true}, {0775, false}, {0757, false}, {01777, false}};

START_TEST(a_directory_is_private_if_only_root_can_write_there)
{
	struct safepath at;

	ck_assert_int_eq(chmod(in("ours"), modes[_i].mode), 0);
	make_link("../secret", "ours/link", 0);
	ck_assert_int_eq(safepath_find(&at, in("ours/x"), SAFEPATH_KEEP), 0);
	ck_assert_int_eq(at.is_private, modes[_i].is_private);
	safepath_leave(&at);
	if (modes[_i].is_private)
		ck_assert_str_eq(read_path(in("ours/link/file")), "root's");
	else
		REFUSED(in("ours/link/file"), ELOOP);
}
END_TEST

START_TEST(no_way_up_leads_out_of_a_directory_that_can_be_moved)
{
	REFUSED(in("theirs/../secret/file"), ELOOP);
	make_dir("theirs/sub", OTHER);
	REFUSED(in("theirs/sub/../file"), ELOOP);
}
END_TEST

START_TEST(a_file_with_a_second_name_is_not_opened_where_others_write)
{
	ck_assert_int_eq(link(in("secret/file"), in("theirs/file")), 0);
	REFUSED(in("theirs/file"), EMLINK);
	ck_assert_int_eq(link(in("secret/file"), in("ours/file")), 0);
	ck_assert_str_eq(read_path(in("ours/file")), "root's");
}
END_TEST

/* While the directory is swapped for a link and back, all the time. */
START_TEST(no_swap_is_fast_enough)
{
	char from[PATH_MAX + 32], to[PATH_MAX + 32], link[PATH_MAX + 32];
	pid_t pid;

	make_dir("theirs/logs", OTHER);
	make_link("../secret", "theirs/link", OTHER);
	snprintf(from, sizeof from, "%s/theirs/logs", folder);
	snprintf(to, sizeof to, "%s/theirs/away", folder);
	snprintf(link, sizeof link, "%s/theirs/link", folder);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	while (pid == 0)
		if (rename(from, to) != 0 || rename(link, from) != 0 || rename(from, link) != 0 ||
		    rename(to, from) != 0)
			_exit(1);
	for (int i = 0; i < 5000; i++) {
		int fd = safepath_open(in("theirs/logs/made"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		if (fd >= 0)
			close(fd);
	}
	kill(pid, SIGKILL);
	ck_assert_int_eq(wait_for(pid), -1);
	ck_assert_int_ne(access(in("secret/made"), F_OK), 0);
}
END_TEST

static int bound(const char *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct safepath at;

	ck_assert_int_eq(safepath_find(&at, in(name), SAFEPATH_KEEP), 0);
	ck_assert_int_eq(safepath_bind(fd, &at, at.name), 0);
	safepath_leave(&at);
	return fd;
}

static uid_t owner_of(const char *name)
{
	struct stat info;

	ck_assert_int_eq(lstat(in(name), &info), 0);
	return info.st_uid;
}

START_TEST(only_a_socket_of_our_own_is_given_away)
{
	int dir = open(in("theirs"), O_RDONLY | O_CLOEXEC);
	int fds[2] = {bound("theirs/socket"), bound("secret/socket")};

	make_file("theirs/plain", "");
	make_link("../secret/socket", "theirs/link", OTHER);
	ck_assert_int_eq(link(in("secret/socket"), in("theirs/second")), 0);
	ck_assert_int_eq(sys_give_socket(dir, "socket", OTHER, OTHER), 0);
	ck_assert_uint_eq(owner_of("theirs/socket"), OTHER);
	ck_assert_int_ne(sys_give_socket(dir, "socket", 0, 0), 0); /* no longer ours */
	ck_assert_int_ne(sys_give_socket(dir, "plain", OTHER, OTHER), 0);
	ck_assert_int_ne(sys_give_socket(dir, "link", OTHER, OTHER), 0);
	ck_assert_int_ne(sys_give_socket(dir, "second", OTHER, OTHER), 0);
	ck_assert_uint_eq(owner_of("secret/socket"), 0);
	ck_assert_uint_eq(owner_of("theirs/plain"), 0);
	close(dir);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* As after `su` in somebody's home. */
START_TEST(where_we_are_need_not_be_open_to_us)
{
	int server = socket(AF_UNIX, SOCK_STREAM, 0);
	int client = socket(AF_UNIX, SOCK_STREAM, 0);
	struct safepath at;
	int status = -1;
	pid_t pid;

	ck_assert_int_eq(mkdir(in("closed"), 0700), 0);
	pid = fork();
	if (pid == 0) {
		if (chdir(in("closed")) != 0 || setgid(OTHER) != 0 || setuid(OTHER) != 0)
			_exit(1);
		if (safepath_find(&at, in("theirs/socket"), SAFEPATH_KEEP) != 0 ||
		    safepath_bind(server, &at, at.name) != 0 || listen(server, 1) != 0)
			_exit(2);
		_exit(safepath_connect_at(client, &at, at.name) == 0 ? 0 : 3);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	close(server);
	close(client);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, paths_mean_what_they_say);
	tcase_add_test(tcase, a_file_is_made_with_its_mode);
	tcase_add_test(tcase, long_names_and_paths_are_refused);
	tcase_add_test(tcase, the_name_of_a_socket_has_a_bound);
	tcase_add_test(tcase, links_of_root_are_followed);
	tcase_add_test(tcase, the_last_link_can_be_kept);
#ifdef WITH_SYS_LINUX
	tcase_add_test(tcase, what_is_open_is_reached_by_its_number);
#endif
	tcase_add_test(tcase, sockets_are_bound_and_found_where_they_are_said_to_be);
	tcase_add_test(tcase, errors_leave_no_descriptor_open);
	if (geteuid() != 0)
		return;
	tcase_add_test(tcase, links_that_lead_too_far_are_refused);
	tcase_add_test(tcase, links_of_others_are_not_followed);
	tcase_add_loop_test(tcase, a_directory_is_private_if_only_root_can_write_there, 0,
	    sizeof modes / sizeof *modes);
	tcase_add_test(tcase, no_way_up_leads_out_of_a_directory_that_can_be_moved);
	tcase_add_test(tcase, a_file_with_a_second_name_is_not_opened_where_others_write);
	tcase_add_test(tcase, no_swap_is_fast_enough);
	tcase_add_test(tcase, only_a_socket_of_our_own_is_given_away);
	tcase_add_test(tcase, where_we_are_need_not_be_open_to_us);
}

int main(void)
{
	return check_main("safepath", add);
}

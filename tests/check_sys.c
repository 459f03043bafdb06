/* SPDX-License-Identifier: ISC */
/*
 * check_sys: what the calls of the system do where something is missing: /proc, random numbers,
 * room for all groups; and what is said of processes.  The linker puts some functions in place of
 * those of libc.
 */
#include "check_util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"

/* ---- in place of libc's -------------------------------------------------------------- */

static bool has_proc = true;
static int groups; /* of the user; 0: those of the system */

DIR *__real_opendir(const char *path);
int __real_getgrouplist(const char *user, gid_t gid, gid_t *list, int *count);
IN_PLACE DIR *__wrap_opendir(const char *path);
IN_PLACE int __wrap_getgrouplist(const char *user, gid_t gid, gid_t *list, int *count);

DIR *__wrap_opendir(const char *path)
{
	if (has_proc)
		return __real_opendir(path);
	errno = ENOENT;
	return NULL;
}

/* As some libcs, it does not tell how many there are. */
int __wrap_getgrouplist(const char *user, gid_t gid, gid_t *list, int *count)
{
	if (groups == 0)
		return __real_getgrouplist(user, gid, list, count);
	if (*count < groups)
		return -1;
	for (int i = 0; i < groups; i++)
		list[i] = gid + (gid_t)i;
	*count = groups;
	return groups;
}

static void setup(void)
{
	has_proc = true;
	groups = 0;
}

/* ---- descriptors ----------------------------------------------------------------------- */

static bool is_closed(int fd)
{
	return fcntl(fd, F_GETFD) < 0;
}

/* What `act` does to descriptors from 20 on, in a process of its own: 0 if `expected` holds. */
static int try_apart(void (*act)(int lowest), bool (*expected)(int fd))
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return wait_for(pid);
	if (dup2(STDERR_FILENO, 19) != 19 || dup2(STDERR_FILENO, 20) != 20 ||
	    dup2(STDERR_FILENO, 200) != 200)
		_exit(2);
	act(20);
	_exit(!expected(20) + !expected(200) + (fcntl(19, F_GETFD) != 0));
}

static bool is_marked(int fd)
{
	return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

START_TEST(without_proc_every_number_is_marked)
{
	has_proc = false;
	ck_assert_int_eq(try_apart(sys_cloexec_each, is_marked), 0);
}
END_TEST

START_TEST(all_are_closed)
{
	ck_assert_int_eq(try_apart(sys_close_from, is_closed), 0);
	ck_assert_int_eq(try_apart(sys_close_each, is_closed), 0);
}
END_TEST

START_TEST(there_is_advice_for_what_is_missing)
{
	static const int shortages[] = {EMFILE, ENFILE, ENOSPC, EAGAIN, ENOMEM, ENOBUFS};

	for (size_t i = 0; i < sizeof shortages / sizeof *shortages; i++)
		ck_assert_int_eq(strncmp(sys_remedy(shortages[i]), " (", 2), 0);
	ck_assert_ptr_nonnull(strstr(sys_remedy(EMFILE), "LimitNOFILE="));
	ck_assert_ptr_nonnull(strstr(sys_remedy(EAGAIN), "TasksMax="));
	ck_assert_str_eq(sys_remedy(ENOENT), "");
}
END_TEST

/* ---- random numbers, groups -------------------------------------------------------------- */

START_TEST(a_guess_differs_from_the_last)
{
	unsigned char one[16], other[16], none[16] = {0};

	sys_random_guess(one, sizeof one);
	do {
		sys_random_guess(other, sizeof other);
	} while (memcmp(one, other, sizeof one) == 0); /* the clock may be coarse */
	ck_assert_mem_ne(one, none, sizeof one);
}
END_TEST

#ifdef WITH_SYS_LINUX
START_TEST(a_user_may_have_many_groups)
{
	size_t count = 0;
	gid_t *list;

	groups = 1000;
	list = sys_groups_of("nobody", 7, &count);
	ck_assert_ptr_nonnull(list);
	ck_assert_uint_eq(count, 1000);
	ck_assert_uint_eq(list[0], 7);
	ck_assert_uint_eq(list[999], 1006);
	free(list);
	groups = 1 << 21;
	errno = 0;
	ck_assert_ptr_null(sys_groups_of("nobody", 7, &count));
	ck_assert_int_eq(errno, EOVERFLOW);
}
END_TEST
#endif

/* ---- what a process is doing --------------------------------------------------------------- */

/* Waits until what is said of `pid` contains `words`, or nothing is said of anybody. */
static void doing_becomes(pid_t pid, const char *words)
{
	char text[SYS_DOING_MAX];

	sys_process_doing(getpid(), text);
	if (*text == '\0')
		return;
	for (int ms = 0; ms < patience(10000); ms++) {
		sys_process_doing(pid, text);
		if (strstr(text, words) != NULL)
			return;
		usleep(1000);
	}
	ck_abort_msg("\"%s\" does not become \"%s\"", text, words);
}

START_TEST(the_state_of_a_process_is_said)
{
	sigset_t set;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int signo;

		sigprocmask(SIG_BLOCK, &set, NULL);
		(void)sigwait(&set, &signo);
		_exit(0);
	}
	doing_becomes(pid, "sleeping");
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	doing_becomes(pid, "stopped");
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	doing_becomes(pid, "ended");
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, without_proc_every_number_is_marked);
	tcase_add_test(tcase, all_are_closed);
	tcase_add_test(tcase, there_is_advice_for_what_is_missing);
	tcase_add_test(tcase, a_guess_differs_from_the_last);
#ifdef WITH_SYS_LINUX
	tcase_add_test(tcase, a_user_may_have_many_groups);
#endif
	tcase_add_test(tcase, the_state_of_a_process_is_said);
}

int main(void)
{
	return check_main("sys", add);
}

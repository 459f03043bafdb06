/* SPDX-License-Identifier: ISC */
/*
 * check_preloader_check: what is said of the program of a --preload that does not work.
 */
#include "check_util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "config/preloader_check.h"

static struct fault why;

/* Checks a shell script with this text; 0, or -1 with `why`. */
static int check(const char *text, bool learn)
{
	char word[] = "word";
	char path[256];
	char *argv[] = {path, word, NULL};
	const struct value_preload preload = {.text = "", .argv = argv, .argc = 2};
	char script[512];

	snprintf(script, sizeof script, "#!/bin/sh\n%s\n", text);
	temp_write("program", 0700, script);
	snprintf(path, sizeof path, "%s", temp_path("program"));
	why.text[0] = '\0';
	return preloader_check(&preload, learn, &why);
}

static const struct {
	const char *text;
	bool learn;
	const char *why; /* part of it; NULL: it works */
} programs[] = {
	{"printf 'ready\\0001\\000' >&0; sleep 600", false, NULL},
	{"printf 'ready\\0001\\000NAME\\000' >&0", false, NULL},
	{"[ \"$*\" = word ] && printf 'ready\\0001\\000' >&0", false, NULL},
	{"[ \"$*\" = 'word --learn' ] && printf 'ready\\0001\\000' >&0", true, NULL},
	{"exit 1", false, "it ended before it was ready"},
	{"exec 0>&-; sleep 600", false, "it ended before it was ready"},
	{"printf 'ready\\0002\\000' >&0; sleep 600", false, "does not speak the protocol"},
	{"printf 'ready\\0001' >&0; sleep 600", false, "does not speak the protocol"},
	{"printf 'ready' >&0; sleep 600", false, "does not speak the protocol"},
	{"printf '%2000s' ready >&0; sleep 600", false, "its answer cannot be received: Message too"},
};

START_TEST(a_program_is_ready_or_it_is_said_why_not)
{
	int before = count_fds();
	int failed = check(programs[_i].text, programs[_i].learn);

	if (programs[_i].why == NULL) {
		ck_assert_msg(failed == 0, "%s", why.text);
	} else {
		ck_assert_int_eq(failed, -1);
		ck_assert_msg(strstr(why.text, programs[_i].why) != NULL, "%s", why.text);
	}
	ck_assert_int_eq(count_fds(), before);
}
END_TEST

START_TEST(a_program_that_is_not_there_is_said)
{
	char path[] = "/not/there";
	char *argv[] = {path, NULL};
	const struct value_preload preload = {.text = "", .argv = argv, .argc = 1};

	if (is_under_valgrind())
		return;
	ck_assert_int_eq(preloader_check(&preload, false, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, strerror(ENOENT)));
}
END_TEST

/* So many descriptors may be opened besides those that are open. */
static void leave_descriptors(rlim_t count, struct rlimit *before)
{
	int taken[2];
	struct rlimit limit;

	for (rlim_t i = 0; i < count; i++) {
		taken[i] = dup(STDERR_FILENO);
		ck_assert_int_ge(taken[i], 0);
	}
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, before), 0);
	limit = (struct rlimit){(rlim_t)taken[count - 1] + 1, before->rlim_max};
	for (rlim_t i = 0; i < count; i++)
		close(taken[i]);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static const struct {
	rlim_t left;
	const char *why;
} shortages[] = {
	{1, "no sockets for a preloader"},
	{2, "cannot be started"}, /* /dev/null cannot be opened */
};

START_TEST(a_lack_of_descriptors_is_said)
{
	char path[] = "/bin/true";
	char *argv[] = {path, NULL};
	const struct value_preload preload = {.text = "", .argv = argv, .argc = 1};
	char wanted[128];
	struct rlimit before;
	int failed;

	if (is_under_valgrind()) /* which has some of its own, and no limit for them */
		return;
	leave_descriptors(shortages[_i].left, &before);
	failed = preloader_check(&preload, false, &why);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(failed, -1);
	snprintf(wanted, sizeof wanted, "%s: %s", shortages[_i].why, strerror(EMFILE));
	ck_assert_str_eq(why.text, wanted);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, temp_make, temp_remove);
	tcase_add_loop_test(tcase, a_program_is_ready_or_it_is_said_why_not, 0,
	    sizeof programs / sizeof *programs);
	tcase_add_test(tcase, a_program_that_is_not_there_is_said);
	tcase_add_loop_test(tcase, a_lack_of_descriptors_is_said, 0,
	    sizeof shortages / sizeof *shortages);
}

int main(void)
{
	return check_main("preloader_check", add);
}

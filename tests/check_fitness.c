/* SPDX-License-Identifier: ISC */
/*
 * check_fitness: a worker is lost only if nothing works, for some time, and a limit is why.
 */
#include "check_util.h"

#include <sys/resource.h>

#include "base/sys.h"
#include "daemon/fitness.h"

enum { PATIENCE = 500 };

static struct fitness fitness;
static struct fitness_look look;
static struct rlimit before;

static void setup(void)
{
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	fitness_init(&fitness);
	look = (struct fitness_look){.now = 1000, .accepts = true};
}

/* A checker may want to open files at the end. */
static void teardown(void)
{
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void lower(rlim_t value)
{
	struct rlimit limit = {value, before.rlim_max};

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* What it says after `ms` more. */
static const char *after(int64_t ms)
{
	look.now += ms;
	return fitness_lost(&fitness, &look, PATIENCE);
}

START_TEST(is_fit_while_its_limits_are_as_they_were)
{
	look.accepts = false;
	for (int i = 0; i < 10; i++) {
		look.failures++;
		ck_assert_ptr_null(after(PATIENCE));
	}
}
END_TEST

START_TEST(is_fit_with_lower_limits_as_long_as_it_works)
{
	ck_assert_ptr_null(fitness_lowered(&fitness));
	lower(64);
	ck_assert_str_eq(fitness_lowered(&fitness), "nofile");
	for (int i = 0; i < 10; i++) {
		look.failures++;
		look.answers++;
		ck_assert_ptr_null(after(PATIENCE));
	}
}
END_TEST

START_TEST(is_lost_when_it_accepts_nothing_for_long_enough)
{
	lower(0);
	look.accepts = false;
	ck_assert_ptr_null(after(0));
	ck_assert_ptr_null(after(PATIENCE - 1));
	ck_assert_str_eq(after(1), "nofile");
	look.accepts = true;
	ck_assert_ptr_null(after(1));
	look.accepts = false;
	ck_assert_ptr_null(after(1)); /* from here on anew */
	ck_assert_ptr_null(after(PATIENCE - 1));
	ck_assert_str_eq(after(1), "nofile");
}
END_TEST

START_TEST(is_lost_when_every_script_fails_although_requests_are_rare)
{
	lower(0);
	look.failures = 1;
	ck_assert_ptr_null(after(0));
	ck_assert_ptr_null(after(PATIENCE / 2));
	ck_assert_str_eq(after(PATIENCE / 2), "nofile");
	look.answers = 1;
	ck_assert_ptr_null(after(1));
	ck_assert_ptr_null(after(PATIENCE));
}
END_TEST

START_TEST(every_limit_that_scripts_inherit_counts)
{
	static const struct {
		const char *name;
		sys_resource resource;
	} inherited[] = {{"as", RLIMIT_AS}, {"data", RLIMIT_DATA}, {"stack", RLIMIT_STACK},
	    {"fsize", RLIMIT_FSIZE}, {"cpu", RLIMIT_CPU}};

	for (size_t i = 0; i < sizeof inherited / sizeof *inherited; i++) {
		struct rlimit was;
		struct rlimit now;

		ck_assert_int_eq(getrlimit(inherited[i].resource, &was), 0);
		fitness_init(&fitness);
		now = (struct rlimit){was.rlim_cur == RLIM_INFINITY ? (rlim_t)1 << 40 : was.rlim_cur - 1,
		    was.rlim_max};
		ck_assert_int_eq(setrlimit(inherited[i].resource, &now), 0);
		ck_assert_str_eq(fitness_lowered(&fitness), inherited[i].name);
		ck_assert_int_eq(setrlimit(inherited[i].resource, &was), 0);
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, is_fit_while_its_limits_are_as_they_were);
	tcase_add_test(tcase, is_fit_with_lower_limits_as_long_as_it_works);
	tcase_add_test(tcase, is_lost_when_it_accepts_nothing_for_long_enough);
	tcase_add_test(tcase, every_limit_that_scripts_inherit_counts);
	tcase_add_test(tcase, is_lost_when_every_script_fails_although_requests_are_rare);
}

int main(void)
{
	return check_main("fitness", add);
}

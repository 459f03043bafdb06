/* SPDX-License-Identifier: ISC */
/*
 * check_fitness: a worker is lost only if nothing works, for some time, and a limit is why.
 */
#include "check_util.h"

#include "base/sys.h"
#include "daemon/fitness.h"

enum { PATIENCE = 500 };

static struct fitness fitness;
static struct fitness_look look;

static void setup(void)
{
	fitness_init(&fitness);
	look = (struct fitness_look){.now = 1000, .accepts = true};
}

static void lower(sys_resource resource, rlim_t value)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(resource, &limit), 0);
	limit.rlim_cur = value;
	ck_assert_int_eq(setrlimit(resource, &limit), 0);
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
	lower(RLIMIT_NOFILE, 64);
	for (int i = 0; i < 10; i++) {
		look.failures++;
		look.spawned++;
		ck_assert_ptr_null(after(PATIENCE));
	}
}
END_TEST

START_TEST(is_lost_when_it_accepts_nothing_for_long_enough)
{
	lower(RLIMIT_NOFILE, 0);
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

START_TEST(is_lost_when_no_script_starts_although_requests_are_rare)
{
	lower(RLIMIT_DATA, 1);
	look.failures = 1;
	ck_assert_ptr_null(after(0));
	ck_assert_ptr_null(after(PATIENCE / 2));
	ck_assert_str_eq(after(PATIENCE / 2), "data");
	look.spawned = 1;
	ck_assert_ptr_null(after(1));
	ck_assert_ptr_null(after(PATIENCE));
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, is_fit_while_its_limits_are_as_they_were);
	tcase_add_test(tcase, is_fit_with_lower_limits_as_long_as_it_works);
	tcase_add_test(tcase, is_lost_when_it_accepts_nothing_for_long_enough);
	tcase_add_test(tcase, is_lost_when_no_script_starts_although_requests_are_rare);
}

int main(void)
{
	return check_main("fitness", add);
}

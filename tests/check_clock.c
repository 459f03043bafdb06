/* SPDX-License-Identifier: ISC */
/*
 * check_clock: units, and which way clocks go.
 */
#include "check_util.h"

#include <time.h>
#include <unistd.h>

#include "base/clock.h"

START_TEST(monotonic_clocks_go_forward_in_their_units)
{
	int64_t ms = clock_ms();
	int64_t us = clock_us();

	ck_assert_int_gt(ms, 0);
	ck_assert_int_ge(us / 1000, ms);
	usleep(2000);
	ck_assert_int_ge(clock_us(), us + 2000);
	ck_assert_int_ge(clock_ms(), ms + 2);
	ck_assert_int_lt(clock_us() / 1000 - clock_ms(), 1000);
}
END_TEST

START_TEST(the_real_clock_is_that_of_the_system)
{
	int64_t before = (int64_t)time(NULL);
	int64_t now = clock_real_ms() / 1000;

	/* time(2) may be a tick behind */
	ck_assert_int_ge(now, before);
	ck_assert_int_le(now, (int64_t)time(NULL) + 1);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, monotonic_clocks_go_forward_in_their_units);
	tcase_add_test(tcase, the_real_clock_is_that_of_the_system);
}

int main(void)
{
	return check_main("clock", add);
}

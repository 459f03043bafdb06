/* SPDX-License-Identifier: ISC */
/*
 * check_backoff: pauses grow up to a bound, and a long life ends that.
 */
#include "check_util.h"

#include "base/backoff.h"

START_TEST(there_is_no_pause_at_first_and_then_it_doubles_up_to_a_bound)
{
	static const int64_t pauses[] = {0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
	int64_t pause = 0;

	for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++)
		ck_assert_int_eq(backoff_next(&pause, BACKOFF_HEALTHY - 1), pauses[i]);
}
END_TEST

START_TEST(one_that_has_lived_long_enough_has_a_successor_at_once)
{
	int64_t pause = 3200;

	ck_assert_int_eq(backoff_next(&pause, BACKOFF_HEALTHY), 0);
	ck_assert_int_eq(backoff_next(&pause, 0), BACKOFF_FIRST);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, there_is_no_pause_at_first_and_then_it_doubles_up_to_a_bound);
	tcase_add_test(tcase, one_that_has_lived_long_enough_has_a_successor_at_once);
}

int main(void)
{
	return check_main("backoff", add);
}

/* SPDX-License-Identifier: ISC */
/*
 * check_latency: fcgiget's percentiles against those of a sorted list.
 */
#include "check_util.h"

#include <stdlib.h>

#include "fcgiget/latency.h"

enum { MANY = 20000 };

static struct latency latency;

static int compare(const void *a, const void *b)
{
	const int64_t *x = a;
	const int64_t *y = b;

	return (*x > *y) - (*x < *y);
}

START_TEST(nothing_has_no_percentiles)
{
	latency_init(&latency);
	ck_assert_int_eq(latency_percentile(&latency, 5000), 0);
	ck_assert_int_eq(latency_mean(&latency), 0);
}
END_TEST

START_TEST(one_time_is_all_of_them)
{
	latency_init(&latency);
	latency_add(&latency, 123457);
	ck_assert_int_eq(latency_percentile(&latency, 1), 123457);
	ck_assert_int_eq(latency_percentile(&latency, 5000), 123457);
	ck_assert_int_eq(latency_percentile(&latency, 9999), 123457);
	ck_assert_int_eq(latency.least, 123457);
	ck_assert_int_eq(latency.most, 123457);
	ck_assert_int_eq(latency_mean(&latency), 123457);
}
END_TEST

START_TEST(short_times_are_exact)
{
	latency_init(&latency);
	for (int us = 200; us >= 1; us--)
		latency_add(&latency, us);
	ck_assert_int_eq(latency_percentile(&latency, 5000), 100);
	ck_assert_int_eq(latency_percentile(&latency, 9000), 180);
	ck_assert_int_eq(latency_percentile(&latency, 9900), 198);
	ck_assert_int_eq(latency_percentile(&latency, 9990), 200);
	ck_assert_int_eq(latency_percentile(&latency, 50), 1);
	ck_assert_int_eq(latency.least, 1);
	ck_assert_int_eq(latency.most, 200);
	ck_assert_int_eq(latency_mean(&latency), 100);
}
END_TEST

START_TEST(long_times_are_close_and_never_below)
{
	static int64_t times[MANY];
	static const unsigned shares[] = {1, 100, 5000, 9000, 9900, 9990, 9999, 10000};

	latency_init(&latency);
	for (int i = 0; i < MANY; i++) {
		times[i] = (int64_t)(draw(1000) + 1) << draw(30);
		latency_add(&latency, times[i]);
	}
	qsort(times, MANY, sizeof *times, compare);
	for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
		int64_t truth = times[((int64_t)MANY * shares[i] + 9999) / 10000 - 1];
		int64_t said = latency_percentile(&latency, shares[i]);

		ck_assert_int_ge(said, truth);
		ck_assert_int_le(said, truth + truth / LATENCY_STEPS);
	}
	ck_assert_int_eq(latency.most, times[MANY - 1]);
}
END_TEST

START_TEST(a_time_without_measure_is_counted)
{
	latency_init(&latency);
	latency_add(&latency, INT64_MAX / 2);
	latency_add(&latency, 0);
	ck_assert_uint_eq(latency.count, 2);
	ck_assert_int_eq(latency_percentile(&latency, 5000), 0);
	ck_assert_int_gt(latency_percentile(&latency, 9000), INT64_C(1) << 41);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, nothing_has_no_percentiles);
	tcase_add_test(tcase, one_time_is_all_of_them);
	tcase_add_test(tcase, short_times_are_exact);
	tcase_add_test(tcase, long_times_are_close_and_never_below);
	tcase_add_test(tcase, a_time_without_measure_is_counted);
}

int main(void)
{
	return check_main("latency", add);
}

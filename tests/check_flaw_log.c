/* SPDX-License-Identifier: ISC */
/*
 * check_flaw_log: each flaw of each script once a minute, however many there are.
 */
#include "check_util.h"

#include <stdio.h>

#include "bridge/flaw_log.h"

static struct flaw_log told;

static void setup(void)
{
	told = (struct flaw_log){{{{0}}}};
}

START_TEST(a_flaw_is_told_once_a_minute)
{
	for (int64_t start = 1; start < 10 * FLAW_LOG_PAUSE; start += FLAW_LOG_PAUSE) {
		ck_assert(flaw_log_admits(&told, "/srv/x.cgi", 3, start));
		ck_assert(!flaw_log_admits(&told, "/srv/x.cgi", 3, start));
		ck_assert(!flaw_log_admits(&told, "/srv/x.cgi", 3, start + FLAW_LOG_PAUSE - 1));
	}
}
END_TEST

START_TEST(another_script_or_flaw_is_another)
{
	ck_assert(flaw_log_admits(&told, "/srv/x.cgi", 3, 1));
	ck_assert(flaw_log_admits(&told, "/srv/x.cgi", 2, 1));
	ck_assert(flaw_log_admits(&told, "/srv/y.cgi", 3, 1));
	ck_assert(flaw_log_admits(&told, "", 3, 1));
	ck_assert(!flaw_log_admits(&told, "/srv/x.cgi", 2, 2));
	ck_assert(!flaw_log_admits(&told, "/srv/y.cgi", 3, 2));
	ck_assert(!flaw_log_admits(&told, "", 3, 2));
}
END_TEST

START_TEST(when_there_are_many_the_last_ones_are_remembered)
{
	char path[32];

	for (int i = 0; i < 100000; i++) {
		snprintf(path, sizeof path, "/srv/%d.cgi", i);
		ck_assert(flaw_log_admits(&told, path, 1, 1 + i / 1000));
		ck_assert(!flaw_log_admits(&told, path, 1, 1 + i / 1000));
	}
}
END_TEST

START_TEST(as_many_as_a_site_has_are_remembered_all)
{
	char path[32];
	int again = 0;

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < FLAW_LOG_ROWS; i++) {
			snprintf(path, sizeof path, "/srv/%d.cgi", i);
			again += flaw_log_admits(&told, path, 1, 1 + round);
		}
	ck_assert_int_le(again, FLAW_LOG_ROWS + 4); /* a few share a row with too many */
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, a_flaw_is_told_once_a_minute);
	tcase_add_test(tcase, another_script_or_flaw_is_another);
	tcase_add_test(tcase, when_there_are_many_the_last_ones_are_remembered);
	tcase_add_test(tcase, as_many_as_a_site_has_are_remembered_all);
}

int main(void)
{
	return check_main("flaw_log", add);
}

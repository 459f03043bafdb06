/* SPDX-License-Identifier: ISC */
/*
 * check_tally: what is counted is there, whoever counts and whoever dies.
 */
#include "check_util.h"

#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "stats/tally.h"

enum { PROCESSES = 4, ROUNDS = 20000 };

static struct tally *tally; /* shared, as in the scoreboard */
static struct tally_sum sum;

static void setup(void)
{
	tally = sys_shared_alloc(sizeof *tally);
	ck_assert_ptr_nonnull(tally);
	memset(&sum, 0, sizeof sum);
}

static void teardown(void)
{
	sys_shared_free(tally, sizeof *tally);
}

START_TEST(starts_with_nothing)
{
	static const struct tally_sum nothing;

	tally_read(tally, &sum);
	ck_assert_mem_eq(&sum, &nothing, sizeof sum);
}
END_TEST

START_TEST(events_add_up_and_stay_apart)
{
	for (int i = 0; i < TALLY_EVENTS; i++)
		tally_add(tally, (enum tally_event)i, (uint64_t)i + 1);
	tally_add(tally, TALLY_BYTES_OUT, 1000000);
	tally_read(tally, &sum);
	for (int i = 0; i < TALLY_EVENTS; i++)
		ck_assert_uint_eq(sum.events[i],
		    (uint64_t)i + 1 + (i == TALLY_BYTES_OUT ? 1000000 : 0));
	tally_read(tally, &sum); /* reading adds to what is there */
	ck_assert_uint_eq(sum.events[TALLY_ACCEPTED], 2);
}
END_TEST

START_TEST(gauges_go_up_and_down)
{
	tally_move(tally, TALLY_ACTIVE, 1);
	tally_move(tally, TALLY_ACTIVE, 1);
	tally_move(tally, TALLY_BUSY, 1);
	tally_move(tally, TALLY_ACTIVE, -1);
	tally_read(tally, &sum);
	ck_assert_int_eq(sum.gauges[TALLY_ACTIVE], 1);
	ck_assert_int_eq(sum.gauges[TALLY_BUSY], 1);
}
END_TEST

START_TEST(bounds_double)
{
	ck_assert_int_eq(tally_bound(TALLY_REQUEST, 0), 1000);
	for (int time = 0; time < TALLY_TIMES; time++)
		for (int i = 1; i < TALLY_BUCKETS - 1; i++)
			ck_assert_int_eq(tally_bound((enum tally_time)time, i),
			    2 * tally_bound((enum tally_time)time, i - 1));
}
END_TEST

START_TEST(a_time_goes_into_the_bucket_whose_bound_it_does_not_pass)
{
	int64_t first = tally_bound(TALLY_SPAWN, 0);
	int64_t last = tally_bound(TALLY_SPAWN, TALLY_BUCKETS - 2);

	tally_time(tally, TALLY_SPAWN, -5); /* a clock that went back */
	tally_time(tally, TALLY_SPAWN, 0);
	tally_time(tally, TALLY_SPAWN, first);
	tally_time(tally, TALLY_SPAWN, first + 1);
	tally_time(tally, TALLY_SPAWN, 2 * first);
	tally_time(tally, TALLY_SPAWN, last);
	tally_time(tally, TALLY_SPAWN, last + 1);
	tally_read(tally, &sum);
	ck_assert_uint_eq(sum.times[TALLY_SPAWN].buckets[0], 3);
	ck_assert_uint_eq(sum.times[TALLY_SPAWN].buckets[1], 2);
	ck_assert_uint_eq(sum.times[TALLY_SPAWN].buckets[TALLY_BUCKETS - 2], 1);
	ck_assert_uint_eq(sum.times[TALLY_SPAWN].buckets[TALLY_BUCKETS - 1], 1);
	ck_assert_uint_eq(sum.times[TALLY_SPAWN].sum,
	    (uint64_t)(first + first + 1 + 2 * first + last + last + 1));
	ck_assert_uint_eq(sum.times[TALLY_REQUEST].sum, 0);
}
END_TEST

START_TEST(the_dead_leave_events_and_no_gauges)
{
	tally_add(tally, TALLY_2XX, 7);
	tally_time(tally, TALLY_REQUEST, 5000);
	tally_move(tally, TALLY_ACTIVE, 3);
	tally_bury(tally);
	tally_read(tally, &sum);
	ck_assert_uint_eq(sum.events[TALLY_2XX], 7);
	ck_assert_uint_eq(sum.times[TALLY_REQUEST].sum, 5000);
	ck_assert_int_eq(sum.gauges[TALLY_ACTIVE], 0);
}
END_TEST

START_TEST(an_heir_gets_what_has_grown_and_no_gauges)
{
	struct tally heir = {.gauges = {0}};
	struct tally_sum before = {.events = {0}};

	tally_add(tally, TALLY_2XX, 7);
	tally_time(tally, TALLY_REQUEST, 5000);
	tally_move(tally, TALLY_ACTIVE, 3);
	tally_read(tally, &before);
	tally_grow(&heir, &before, &sum);
	tally_add(tally, TALLY_2XX, 2);
	tally_read(tally, &sum);
	tally_grow(&heir, &sum, &before);
	memset(&sum, 0, sizeof sum);
	tally_read(&heir, &sum);
	ck_assert_uint_eq(sum.events[TALLY_2XX], 9);
	ck_assert_uint_eq(sum.times[TALLY_REQUEST].sum, 5000);
	ck_assert_uint_eq(sum.times[TALLY_REQUEST].buckets[3], 1);
	ck_assert_int_eq(sum.gauges[TALLY_ACTIVE], 0);
}
END_TEST

START_TEST(a_sum_has_a_maximum)
{
	static const uint64_t large[] = {TALLY_MAX - 1, TALLY_MAX, TALLY_MAX + 1, UINT64_MAX};

	if (sizeof(tally_word) < sizeof(uint64_t)) /* no such number can be written */
		return;
	for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
		memset(tally, 0, sizeof *tally);
		memset(&sum, 0, sizeof sum);
		tally_add(tally, TALLY_2XX, large[i]);
		atomic_store(&tally->times[TALLY_SPAWN].buckets[0], large[i]);
		atomic_store(&tally->times[TALLY_SPAWN].sum, large[i]);
		for (int n = 0; n < 3; n++)
			tally_read(tally, &sum);
		ck_assert_uint_eq(sum.events[TALLY_2XX], TALLY_MAX);
		ck_assert_uint_eq(sum.times[TALLY_SPAWN].buckets[0], TALLY_MAX);
		ck_assert_uint_eq(sum.times[TALLY_SPAWN].sum, TALLY_MAX);
	}
}
END_TEST

START_TEST(no_count_is_lost_between_processes)
{
	pid_t pids[PROCESSES];

	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] == 0) {
			for (int n = 0; n < ROUNDS; n++)
				tally_add(tally, TALLY_REQUESTS, 1);
			_exit(0);
		}
	}
	for (int i = 0; i < PROCESSES; i++)
		ck_assert_int_eq(wait_for(pids[i]), 0);
	tally_read(tally, &sum);
	ck_assert_uint_eq(sum.events[TALLY_REQUESTS], (uint64_t)PROCESSES * ROUNDS);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, starts_with_nothing);
	tcase_add_test(tcase, events_add_up_and_stay_apart);
	tcase_add_test(tcase, gauges_go_up_and_down);
	tcase_add_test(tcase, bounds_double);
	tcase_add_test(tcase, a_time_goes_into_the_bucket_whose_bound_it_does_not_pass);
	tcase_add_test(tcase, the_dead_leave_events_and_no_gauges);
	tcase_add_test(tcase, an_heir_gets_what_has_grown_and_no_gauges);
	tcase_add_test(tcase, a_sum_has_a_maximum);
	tcase_add_test(tcase, no_count_is_lost_between_processes);
}

int main(void)
{
	return check_main("tally", add);
}

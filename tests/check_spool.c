/* SPDX-License-Identifier: ISC */
/*
 * check_spool: order, bounds and failures of what waits in memory and in a file.
 */
#include "check_util.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgi/spool.h"

enum { CHUNK = 20000 };

static struct spool spool;
static uint64_t appended;
static uint64_t consumed;

static void setup(void)
{
	temp_make();
	appended = consumed = 0;
	draw_restart();
}

static void teardown(void)
{
	spool_fini(&spool);
	temp_remove();
}

/* The byte at position `at` of everything that is ever appended. */
static unsigned char byte_at(uint64_t at)
{
	return (unsigned char)(at * 131 + (at >> 8));
}

static int append(size_t len)
{
	static unsigned char bytes[200000];

	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_at(appended + i);
	if (spool_append(&spool, bytes, len) != 0)
		return -1;
	appended += len;
	ck_assert_uint_eq(spool_len(&spool), appended - consumed);
	return 0;
}

/* Looks at what comes next, and takes up to `most` of it; false when none waits. */
static bool take(size_t most)
{
	const unsigned char *bytes;
	ssize_t n = spool_peek(&spool, &bytes);

	ck_assert_int_ge(n, 0);
	ck_assert_int_le(n, SPOOL_MEMORY);
	ck_assert_int_eq(n == 0, appended == consumed);
	for (ssize_t i = 0; i < n; i++)
		if (bytes[i] != byte_at(consumed + (uint64_t)i))
			ck_abort_msg("byte %zd is another", i);
	most = most < (size_t)n ? most : (size_t)n;
	spool_consume(&spool, most);
	consumed += most;
	ck_assert_uint_eq(spool_len(&spool), appended - consumed);
	return n > 0;
}

START_TEST(files_may_be_large)
{
	ck_assert_uint_ge(sizeof(off_t), 8); /* on 32-bit systems configure sees to that */
}
END_TEST

START_TEST(is_empty_at_first)
{
	const unsigned char *bytes;

	spool_init(&spool, 1000, temp_dir());
	ck_assert_uint_eq(spool_len(&spool), 0);
	ck_assert_int_eq(spool_peek(&spool, &bytes), 0);
	ck_assert_int_eq(spool_append(&spool, "", 0), 0);
	ck_assert_int_eq(spool_peek(&spool, &bytes), 0);
}
END_TEST

START_TEST(a_little_stays_in_memory)
{
	spool_init(&spool, 1 << 20, "/nonexistent"); /* no file could be made there */
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(append(SPOOL_MEMORY / 4), 0);
	while (take(777))
		;
	ck_assert_int_eq(append(SPOOL_MEMORY), 0);
	ck_assert(take(SPOOL_MEMORY));
	ck_assert(!take(1));
}
END_TEST

START_TEST(more_goes_to_a_file_that_nobody_sees)
{
	int fds = count_fds();

	spool_init(&spool, 1 << 20, temp_dir());
	ck_assert_int_eq(append(SPOOL_MEMORY), 0);
	ck_assert_int_eq(append(1), 0);
	ck_assert_int_eq(count_fds(), fds + 1);
	ck_assert_int_eq(rmdir(temp_dir()), 0); /* nothing in it */
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(append(100000), 0);
	while (take(50000))
		;
	ck_assert_uint_eq(consumed, SPOOL_MEMORY + 1 + 500000);
	ck_assert_int_eq(count_fds(), fds);
}
END_TEST

START_TEST(order_is_kept_under_random_use)
{
	spool_init(&spool, 4 << 20, temp_dir());
	for (int round = 0; round < 600; round++) {
		/* tides: more comes than goes, then the other way round */
		bool rising = round / 100 % 2 == 0;

		if (spool_len(&spool) < 3 << 20)
			ck_assert_int_eq(append(draw(rising ? 2 * CHUNK : CHUNK)), 0);
		for (unsigned i = draw(3); i > 0; i--)
			take(draw(rising ? CHUNK : 4 * CHUNK));
	}
	while (take(CHUNK))
		;
	ck_assert_uint_eq(appended, consumed);
	ck_assert_uint_gt(consumed, 1 << 20);
}
END_TEST

START_TEST(has_a_bound)
{
	spool_init(&spool, 100000, temp_dir());
	errno = 0;
	ck_assert_int_eq(append(100001), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_uint_eq(spool_len(&spool), 0);
	ck_assert_int_eq(append(60000), 0);
	ck_assert_int_eq(append(40000), 0);
	errno = 0;
	ck_assert_int_eq(append(1), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert(take(1));
	ck_assert_int_eq(append(1), 0); /* what waits is bounded, not what passes through */
	ck_assert_int_eq(append(1), -1);
	while (take(CHUNK))
		;
}
END_TEST

START_TEST(the_end_is_cut_off_wherever_it_is)
{
	spool_init(&spool, 1 << 20, temp_dir());
	ck_assert_int_eq(append(SPOOL_MEMORY), 0);
	ck_assert_int_eq(append(1000), 0);
	spool_cut(&spool, SPOOL_MEMORY + 1000);
	ck_assert_uint_eq(spool_len(&spool), SPOOL_MEMORY + 1000);
	spool_cut(&spool, SPOOL_MEMORY + 10); /* in the file */
	ck_assert_uint_eq(spool_len(&spool), SPOOL_MEMORY + 10);
	spool_cut(&spool, 20);
	ck_assert_uint_eq(spool_len(&spool), 20);
	appended = 20;
	ck_assert(take(20));
	ck_assert(!take(1));
	ck_assert_uint_eq(consumed, 20);
}
END_TEST

START_TEST(a_file_that_others_have_cut_is_an_error)
{
	const unsigned char *bytes;

	spool_init(&spool, 1 << 20, temp_dir());
	ck_assert_int_eq(append(SPOOL_MEMORY), 0);
	ck_assert_int_eq(append(1000), 0);
	ck_assert_int_eq(ftruncate(spool.fd, 0), 0);
	ck_assert(take(SPOOL_MEMORY));
	errno = 0;
	ck_assert_int_eq(spool_peek(&spool, &bytes), -1);
	ck_assert_int_eq(errno, EIO);
}
END_TEST

START_TEST(may_hold_nothing_at_all)
{
	spool_init(&spool, 0, temp_dir());
	errno = 0;
	ck_assert_int_eq(append(1), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
}
END_TEST

START_TEST(a_directory_without_room_for_it_is_an_error)
{
	spool_init(&spool, 1 << 20, temp_path("none"));
	ck_assert_int_eq(append(SPOOL_MEMORY), 0);
	errno = 0;
	ck_assert_int_eq(append(1), -1);
	ck_assert_int_eq(errno, ENOENT);
	while (take(CHUNK)) /* what is there is still there */
		;
	ck_assert_uint_eq(consumed, SPOOL_MEMORY);
	ck_assert_int_eq(append(10), 0);
	ck_assert(take(10));
}
END_TEST

START_TEST(an_endless_directory_name_is_an_error)
{
	static char name[6000];

	memset(name, 'd', sizeof name - 1);
	spool_init(&spool, 1 << 20, name);
	errno = 0;
	ck_assert_int_eq(append(SPOOL_MEMORY + 1), -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
}
END_TEST

/* Appends `len` bytes while no file may grow past `limit`. */
static int append_limited(size_t len, rlim_t limit)
{
	struct rlimit before;
	struct rlimit now;
	int result;

	getrlimit(RLIMIT_FSIZE, &before);
	now = before;
	now.rlim_cur = limit;
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &now), 0);
	result = append(len);
	setrlimit(RLIMIT_FSIZE, &before);
	signal(SIGXFSZ, SIG_DFL);
	return result;
}

START_TEST(a_full_disk_leaves_what_was_there)
{
	spool_init(&spool, 1 << 20, temp_dir());
	ck_assert_int_eq(append(SPOOL_MEMORY), 0);
	ck_assert_int_eq(append(5000), 0);
	ck_assert_int_eq(append_limited(10000, 7000), -1); /* after a part of it */
	ck_assert_uint_eq(spool_len(&spool), SPOOL_MEMORY + 5000);
	ck_assert_int_eq(append(10000), 0); /* there is room again */
	while (take(CHUNK))
		;
	ck_assert_uint_eq(consumed, SPOOL_MEMORY + 15000);
}
END_TEST

START_TEST(a_disk_full_while_what_waits_is_moved_says_so)
{
	spool_init(&spool, 1 << 20, temp_dir());
	ck_assert_int_eq(append(SPOOL_MEMORY), 0);
	ck_assert_int_eq(append(150000), 0);
	while (spool.read_at < spool.write_at - spool.read_at)
		take(CHUNK);
	errno = 0;
	ck_assert_int_eq(append_limited(10, 10000), -1); /* takes a part of the first piece */
	ck_assert_int_eq(errno, EFBIG);
	ck_assert_uint_eq(spool_len(&spool), appended - consumed);
	while (take(CHUNK))
		;
	ck_assert_uint_eq(consumed, appended);
}
END_TEST

START_TEST(a_disk_full_from_the_start_leaves_what_was_there)
{
	spool_init(&spool, 1 << 20, temp_dir());
	ck_assert_int_eq(append(SPOOL_MEMORY), 0);
	ck_assert_int_eq(append_limited(1, 0), -1);
	ck_assert_uint_eq(spool_len(&spool), SPOOL_MEMORY);
	while (take(CHUNK))
		;
	ck_assert_uint_eq(consumed, SPOOL_MEMORY);
	ck_assert_int_eq(append(10), 0);
	ck_assert(take(10));
	ck_assert(!take(1));
}
END_TEST

START_TEST(a_reader_that_never_catches_up_costs_no_more_room_than_what_waits)
{
	struct stat info;
	off_t largest = 0;

	spool_init(&spool, 300000, temp_dir());
	ck_assert_int_eq(append(200000), 0);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(append(60000), 0);
		for (uint64_t before = consumed; consumed - before < 60000;)
			take(60000 - (size_t)(consumed - before));
		if (spool.fd >= 0 && fstat(spool.fd, &info) == 0 && info.st_blocks * 512 > largest)
			largest = info.st_blocks * 512;
	}
	ck_assert_int_le(largest, 2 * 300000);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, files_may_be_large);
	tcase_add_test(tcase, is_empty_at_first);
	tcase_add_test(tcase, a_little_stays_in_memory);
	tcase_add_test(tcase, more_goes_to_a_file_that_nobody_sees);
	tcase_add_test(tcase, order_is_kept_under_random_use);
	tcase_add_test(tcase, has_a_bound);
	tcase_add_test(tcase, the_end_is_cut_off_wherever_it_is);
	tcase_add_test(tcase, a_file_that_others_have_cut_is_an_error);
	tcase_add_test(tcase, may_hold_nothing_at_all);
	tcase_add_test(tcase, a_directory_without_room_for_it_is_an_error);
	tcase_add_test(tcase, an_endless_directory_name_is_an_error);
	tcase_add_test(tcase, a_full_disk_leaves_what_was_there);
	tcase_add_test(tcase, a_disk_full_while_what_waits_is_moved_says_so);
	tcase_add_test(tcase, a_disk_full_from_the_start_leaves_what_was_there);
	tcase_add_test(tcase, a_reader_that_never_catches_up_costs_no_more_room_than_what_waits);
}

int main(void)
{
	return check_main("spool", add);
}

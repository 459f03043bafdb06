/* SPDX-License-Identifier: ISC */
/*
 * check_buf: bounds, growth, compaction and release of buf.
 */
#include "check_util.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"

START_TEST(appends_and_consumes)
{
	struct buf b;

	buf_init(&b, 10000);
	ck_assert_int_eq(buf_append(&b, "hello ", 6), 0);
	ck_assert_int_eq(buf_append(&b, "world", 5), 0);
	ck_assert_uint_eq(buf_len(&b), 11);
	ck_assert_mem_eq(buf_bytes(&b), "hello world", 11);
	buf_consume(&b, 6);
	ck_assert_mem_eq(buf_bytes(&b), "world", 5);
	buf_consume(&b, 5);
	ck_assert_uint_eq(buf_len(&b), 0);
	buf_release(&b);
	ck_assert_ptr_null(b.data);
	buf_fini(&b);
}
END_TEST

START_TEST(is_empty_and_costs_nothing_at_first)
{
	struct buf b;

	buf_init(&b, 100);
	ck_assert_uint_eq(buf_len(&b), 0);
	ck_assert_uint_eq(buf_room(&b), 100);
	ck_assert_ptr_null(buf_bytes(&b));
	ck_assert_int_eq(buf_append(&b, NULL, 0), 0);
	ck_assert_ptr_null(b.data);
	buf_consume(&b, 0);
	buf_release(&b);
	buf_fini(&b);
	buf_fini(&b);
}
END_TEST

START_TEST(holds_its_maximum_and_not_a_byte_more)
{
	static const size_t limits[] = {1, 7, 511, 512, 513, 1000, 4097};

	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct buf b;

		buf_init(&b, limits[i]);
		for (size_t n = 0; n < limits[i]; n++)
			if (buf_append(&b, "x", 1) != 0)
				ck_abort_msg("full after %zu of %zu bytes", n, limits[i]);
		ck_assert_uint_eq(buf_room(&b), 0);
		ck_assert_uint_le(b.cap, limits[i]);
		errno = 0;
		ck_assert_int_eq(buf_append(&b, "y", 1), -1);
		ck_assert_int_eq(errno, ENOBUFS);
		ck_assert_uint_eq(buf_len(&b), limits[i]);
		ck_assert_int_eq(buf_bytes(&b)[limits[i] - 1], 'x');
		buf_fini(&b);
	}
}
END_TEST

START_TEST(refuses_a_reservation_past_the_maximum)
{
	struct buf b;

	buf_init(&b, 100);
	ck_assert_int_eq(buf_append(&b, "abc", 3), 0);
	errno = 0;
	ck_assert_ptr_null(buf_reserve(&b, 98));
	ck_assert_int_eq(errno, ENOBUFS);
	errno = 0;
	ck_assert_ptr_null(buf_reserve(&b, SIZE_MAX));
	ck_assert_int_eq(errno, ENOBUFS);
	ck_assert_mem_eq(buf_bytes(&b), "abc", 3);
	ck_assert_ptr_nonnull(buf_reserve(&b, 97));
	buf_fini(&b);
}
END_TEST

START_TEST(a_reservation_without_commit_leaves_no_trace)
{
	struct buf b;
	unsigned char *to;

	buf_init(&b, 2000);
	ck_assert_int_eq(buf_append(&b, "abc", 3), 0);
	to = buf_reserve(&b, 1500);
	ck_assert_ptr_nonnull(to);
	memset(to, 'z', 1500);
	ck_assert_uint_eq(buf_len(&b), 3);
	to = buf_reserve(&b, 10);
	ck_assert_ptr_nonnull(to);
	memcpy(to, "defghijklm", 10);
	buf_commit(&b, 4);
	ck_assert_uint_eq(buf_len(&b), 7);
	ck_assert_mem_eq(buf_bytes(&b), "abcdefg", 7);
	buf_fini(&b);
}
END_TEST

START_TEST(compacts_instead_of_growing)
{
	struct buf b;
	size_t cap;

	buf_init(&b, 512);
	ck_assert_int_eq(buf_append(&b, "0123456789", 10), 0);
	cap = b.cap;
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(buf_append(&b, "abcdefg", 7), 0);
		buf_consume(&b, 7);
	}
	ck_assert_uint_eq(buf_len(&b), 10);
	ck_assert_uint_eq(b.cap, cap);
	/* all of the room is usable wherever the content stands */
	ck_assert_ptr_nonnull(buf_reserve(&b, buf_room(&b)));
	buf_fini(&b);
}
END_TEST

START_TEST(releases_only_when_empty)
{
	struct buf b;

	buf_init(&b, 100);
	ck_assert_int_eq(buf_append(&b, "ab", 2), 0);
	buf_consume(&b, 1);
	buf_release(&b);
	ck_assert_uint_eq(buf_len(&b), 1);
	ck_assert_mem_eq(buf_bytes(&b), "b", 1);
	buf_consume(&b, 1);
	buf_release(&b);
	ck_assert_ptr_null(b.data);
	ck_assert_int_eq(buf_append(&b, "again", 5), 0);
	ck_assert_uint_eq(b.max, 100);
	buf_fini(&b);
}
END_TEST

/* Content of the reference: byte number i of everything ever appended is (i * 7) & 255. */
static void fill(unsigned char *bytes, size_t first, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (unsigned char)((first + i) * 7);
}

static void append_random(struct buf *b, size_t *appended)
{
	unsigned char bytes[700];
	size_t n = draw(sizeof bytes);

	fill(bytes, *appended, n);
	if (n > buf_room(b)) {
		ck_assert_int_eq(buf_append(b, bytes, n), -1);
		return;
	}
	ck_assert_int_eq(buf_append(b, bytes, n), 0);
	*appended += n;
}

START_TEST(keeps_order_under_random_use)
{
	struct buf b;
	size_t appended = 0;
	size_t consumed = 0;

	draw_restart();
	buf_init(&b, 3000);
	for (int i = 0; i < 5000; i++) {
		unsigned char wanted[3000];
		size_t n;

		append_random(&b, &appended);
		n = draw((unsigned)buf_len(&b) + 1);
		fill(wanted, consumed, n);
		ck_assert(n == 0 || memcmp(buf_bytes(&b), wanted, n) == 0);
		buf_consume(&b, n);
		consumed += n;
		if (draw(10) == 0)
			buf_release(&b);
		ck_assert_uint_eq(buf_len(&b), appended - consumed);
		ck_assert_uint_eq(buf_room(&b), 3000 - (appended - consumed));
	}
	buf_fini(&b);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, appends_and_consumes);
	tcase_add_test(tcase, is_empty_and_costs_nothing_at_first);
	tcase_add_test(tcase, holds_its_maximum_and_not_a_byte_more);
	tcase_add_test(tcase, refuses_a_reservation_past_the_maximum);
	tcase_add_test(tcase, a_reservation_without_commit_leaves_no_trace);
	tcase_add_test(tcase, compacts_instead_of_growing);
	tcase_add_test(tcase, releases_only_when_empty);
	tcase_add_test(tcase, keeps_order_under_random_use);
}

int main(void)
{
	return check_main("buf", add);
}

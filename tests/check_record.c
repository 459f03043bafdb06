/* SPDX-License-Identifier: ISC */
/*
 * check_record: records are in the buffer whole, aligned, or not at all.
 */
#include "check_util.h"

#include <errno.h>
#include <string.h>

#include "fcgi/record.h"

static unsigned char big[200000];

START_TEST(a_record_is_header_content_and_zero_padding)
{
	struct buf out;

	buf_init(&out, 1000);
	memset(buf_reserve(&out, 900), 0xff, 900); /* padding is written, not found */
	ck_assert_int_eq(record_put(&out, FCGI_STDOUT, 258, "hello", 5), 0);
	ck_assert_uint_eq(buf_len(&out), record_size(5));
	ck_assert_mem_eq(buf_bytes(&out), "\1\6\1\2\0\5\3\0hello\0\0\0", 16);
	ck_assert_int_eq(record_put(&out, FCGI_STDERR, 1, NULL, 0), 0);
	ck_assert_mem_eq(buf_bytes(&out) + 16, "\1\7\0\1\0\0\0\0", 8);
	buf_fini(&out);
}
END_TEST

START_TEST(every_size_is_a_multiple_of_eight)
{
	struct buf out;

	for (size_t len = 0; len < 40; len++) {
		buf_init(&out, 100);
		ck_assert_int_eq(record_put(&out, FCGI_STDOUT, 1, big, len), 0);
		ck_assert_uint_eq(buf_len(&out), record_size(len));
		ck_assert_uint_eq(buf_len(&out) % 8, 0);
		ck_assert_uint_ge(buf_len(&out), 8 + len);
		buf_fini(&out);
	}
}
END_TEST

START_TEST(a_record_that_does_not_fit_leaves_the_buffer_alone)
{
	struct buf out;

	buf_init(&out, 31);
	ck_assert_int_eq(record_put(&out, FCGI_STDOUT, 1, "12345678", 8), 0);
	errno = 0;
	ck_assert_int_eq(record_put(&out, FCGI_STDOUT, 1, "12345678", 8), -1);
	ck_assert_int_eq(errno, ENOBUFS);
	ck_assert_uint_eq(buf_len(&out), 16);
	ck_assert_int_eq(record_put(&out, FCGI_STDOUT, 1, NULL, 0), 0);
	buf_fini(&out);
}
END_TEST

/* Counts the records in `out`; all have `type`, and content like `big`. */
static size_t count_records(const struct buf *out, unsigned type)
{
	const unsigned char *at = buf_bytes(out);
	size_t left = buf_len(out);
	size_t seen = 0;
	size_t count = 0;

	while (left > 0) {
		size_t content = (size_t)(at[4] << 8 | at[5]);
		size_t size = record_size(content);

		ck_assert_uint_eq(at[1], type);
		ck_assert_uint_ge(left, size);
		ck_assert(memcmp(at + 8, big + seen, content) == 0);
		seen += content;
		at += size;
		left -= size;
		count++;
	}
	return count;
}

START_TEST(a_stream_takes_as_many_records_as_it_needs)
{
	static const struct {
		size_t len, records;
	} cases[] = {{0, 0}, {1, 1}, {65535, 1}, {65536, 2}, {131070, 2}, {131071, 3}, {200000, 4}};

	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (unsigned char)(i * 31 >> 3);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;

		buf_init(&out, 1 << 20);
		ck_assert_int_eq(record_put_stream(&out, FCGI_STDIN, 1, big, cases[i].len), 0);
		ck_assert_uint_eq(count_records(&out, FCGI_STDIN), cases[i].records);
		buf_fini(&out);
	}
}
END_TEST

START_TEST(a_stream_that_does_not_fit_leaves_the_buffer_alone)
{
	struct buf out;

	buf_init(&out, 150000);
	ck_assert_int_eq(record_put(&out, FCGI_STDOUT, 1, "12345678", 8), 0);
	ck_assert_int_eq(record_put(&out, FCGI_STDOUT, 1, "abcdefgh", 8), 0);
	buf_consume(&out, 16); /* the buffer will have to move its content */
	errno = 0;
	ck_assert_int_eq(record_put_stream(&out, FCGI_STDIN, 1, big, 200000), -1);
	ck_assert_int_eq(errno, ENOBUFS);
	ck_assert_uint_eq(buf_len(&out), 16);
	ck_assert_mem_eq(buf_bytes(&out) + 8, "abcdefgh", 8);
	buf_fini(&out);
}
END_TEST

START_TEST(the_end_of_a_request_is_two_records)
{
	struct buf out;

	buf_init(&out, 100);
	ck_assert_int_eq(record_put_end(&out, 7, 256, FCGI_OVERLOADED), 0);
	ck_assert_uint_eq(buf_len(&out), 24);
	ck_assert_mem_eq(buf_bytes(&out),
	    "\1\6\0\7\0\0\0\0" "\1\3\0\7\0\x08\0\0" "\0\0\1\0\2\0\0\0", 24);
	buf_fini(&out);
}
END_TEST

START_TEST(the_end_of_a_request_is_both_records_or_none)
{
	for (size_t max = 0; max < 24; max++) {
		struct buf out;

		buf_init(&out, max);
		errno = 0;
		ck_assert_int_eq(record_put_end(&out, 7, 0, FCGI_REQUEST_COMPLETE), -1);
		ck_assert_int_eq(errno, ENOBUFS);
		ck_assert_uint_eq(buf_len(&out), 0);
		buf_fini(&out);
	}
}
END_TEST

START_TEST(begin_and_unknown_are_as_specified)
{
	struct buf out;

	buf_init(&out, 100);
	ck_assert_int_eq(record_put_begin(&out, 1, FCGI_RESPONDER, FCGI_KEEP_CONN), 0);
	ck_assert_int_eq(record_put_unknown(&out, 77), 0);
	ck_assert_mem_eq(buf_bytes(&out), "\1\1\0\1\0\x08\0\0" "\0\1\1\0\0\0\0\0", 16);
	ck_assert_mem_eq(buf_bytes(&out) + 16, "\1\x0b\0\0\0\x08\0\0" "M\0\0\0\0\0\0\0", 16);
	buf_fini(&out);
}
END_TEST

START_TEST(a_record_can_be_filled_in_place)
{
	struct buf out;
	unsigned char *content;

	buf_init(&out, 2000);
	ck_assert_ptr_nonnull(record_open(&out, 1000));
	ck_assert_uint_eq(buf_len(&out), 0);
	content = record_open(&out, 1000);
	ck_assert_ptr_nonnull(content);
	memcpy(content, "abc", 3);
	record_close(&out, FCGI_STDOUT, 2, 3);
	ck_assert_uint_eq(buf_len(&out), 16);
	ck_assert_mem_eq(buf_bytes(&out), "\1\6\0\2\0\3\5\0abc\0\0\0\0\0", 16);
	content = record_open(&out, 1976); /* what is left, less the header */
	ck_assert_ptr_nonnull(content);
	memset(content, 'x', 1976);
	record_close(&out, FCGI_STDOUT, 2, 1976);
	ck_assert_uint_eq(buf_room(&out), 0);
	errno = 0;
	ck_assert_ptr_null(record_open(&out, 0));
	ck_assert_int_eq(errno, ENOBUFS);
	buf_fini(&out);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_record_is_header_content_and_zero_padding);
	tcase_add_test(tcase, every_size_is_a_multiple_of_eight);
	tcase_add_test(tcase, a_record_that_does_not_fit_leaves_the_buffer_alone);
	tcase_add_test(tcase, a_stream_takes_as_many_records_as_it_needs);
	tcase_add_test(tcase, a_stream_that_does_not_fit_leaves_the_buffer_alone);
	tcase_add_test(tcase, the_end_of_a_request_is_two_records);
	tcase_add_test(tcase, the_end_of_a_request_is_both_records_or_none);
	tcase_add_test(tcase, begin_and_unknown_are_as_specified);
	tcase_add_test(tcase, a_record_can_be_filled_in_place);
}

int main(void)
{
	return check_main("record", add);
}

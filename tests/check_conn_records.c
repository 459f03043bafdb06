/* SPDX-License-Identifier: ISC */
/*
 * check_conn_records: records of a connection: many requests by their ids, management
 * records, and bytes that make no sense.
 */
#include "check_bench.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "fcgi/record.h"

/* ---- many requests at once --------------------------------------------------------------------------- */

START_TEST(requests_are_served_by_their_ids)
{
	script("cat.cgi", HEAD "exec cat\n");
	put_post(1, FCGI_KEEP_CONN, "cat.cgi", "6");
	put_post(3, FCGI_KEEP_CONN, "cat.cgi", "6");
	put(FCGI_STDIN, 3, "thr");
	put(FCGI_STDIN, 1, "one");
	put(FCGI_STDIN, 3, "ee!");
	put(FCGI_STDIN, 3, "");
	send_stream();
	wait_for_end(3); /* though 1 is not over */
	expect(3, ANSWER "three!");
	ck_assert_int_eq(answers[1].ends, 0);
	put(FCGI_STDIN, 1, "one");
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "oneone");
}
END_TEST

START_TEST(a_flood_of_one_does_not_starve_another)
{
	script("flood.cgi", HEAD "while :; do echo flood flood flood; done\n");
	script("hello.cgi", HEAD "echo hello\n");
	put_get(1, FCGI_KEEP_CONN, "flood.cgi");
	put_get(3, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(3);
	expect(3, ANSWER "hello\n");
	put(FCGI_ABORT_REQUEST, 1, "");
	send_stream();
	wait_for_end(1);
	ck_assert(turn_until(loop, has_no_children, NULL));
}
END_TEST

START_TEST(one_that_does_not_read_does_not_block_another)
{
	static char body[60001];

	memset(body, 'b', 60000);
	script("deaf.cgi", HEAD "exec sleep 100\n");
	script("cat.cgi", HEAD "exec cat\n");
	put_post(1, FCGI_KEEP_CONN, "deaf.cgi", "600000");
	put_post(3, FCGI_KEEP_CONN, "cat.cgi", "5");
	for (int i = 0; i < 10; i++)
		put(FCGI_STDIN, 1, body);
	put(FCGI_STDIN, 3, "hello");
	send_stream();
	wait_for_end(3);
	expect(3, ANSWER "hello");
}
END_TEST

START_TEST(records_of_inactive_ids_are_ignored)
{
	script("hello.cgi", HEAD "echo hello\n");
	put(FCGI_STDIN, 9, "nobody's");
	put(FCGI_PARAMS, 9, "nobody's");
	put(FCGI_ABORT_REQUEST, 9, "");
	put((enum fcgi_type)77, 9, "what");
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	put(FCGI_DATA, 1, "");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "hello\n");
	ck_assert_int_eq(answers[9].ends, 0);
}
END_TEST

START_TEST(padding_is_skipped)
{
	unsigned char header[FCGI_HEADER_LEN];
	char padding[255];

	memset(padding, 1, sizeof padding);
	script("cat.cgi", HEAD "exec cat\n");
	put_post(1, 0, "cat.cgi", "5");
	fcgi_put_header(header, FCGI_STDIN, 1, 5, sizeof padding);
	ck_assert_int_eq(buf_append(&stream, header, sizeof header), 0);
	ck_assert_int_eq(buf_append(&stream, "hello", 5), 0);
	ck_assert_int_eq(buf_append(&stream, padding, sizeof padding), 0);
	put(FCGI_STDIN, 1, "");
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	expect(1, ANSWER "hello");
}
END_TEST

/* ---- management --------------------------------------------------------------------------------------------- */

START_TEST(values_are_told_wherever_the_question_is_split)
{
	static const char wanted[] = "\x0f\1FCGI_MPXS_CONNS1" "\x0d\1FCGI_MAX_REQS4"
				     "\x0e\3FCGI_MAX_CONNS300";
	size_t len;

	put_get_values();
	len = buf_len(&stream);
	for (size_t cut = 0; cut <= len; cut++) {
		forget_answers();
		buf_consume(&stream, buf_len(&stream));
		put_get_values();
		send_bytes(buf_bytes(&stream), cut);
		turn_for(loop, 0);
		send_bytes(buf_bytes(&stream) + cut, len - cut);
		wait_for_management();
		ck_assert_uint_eq(management_type, FCGI_GET_VALUES_RESULT);
		ck_assert_uint_eq(management_len, sizeof wanted - 1);
		ck_assert_mem_eq(management, wanted, management_len);
	}
	ck_assert_uint_eq(owner.count, 1);
}
END_TEST

START_TEST(no_values_are_asked_for_and_none_are_told)
{
	put(FCGI_GET_VALUES, 0, "");
	send_stream();
	wait_for_management();
	ck_assert_uint_eq(management_type, FCGI_GET_VALUES_RESULT);
	ck_assert_uint_eq(management_len, 0);
}
END_TEST

START_TEST(a_question_that_repeats_itself_is_answered_within_bounds)
{
	for (int i = 0; i < 3000; i++)
		add_pair("FCGI_MAX_CONNS", "");
	ck_assert_int_eq(record_put_stream(&stream, FCGI_GET_VALUES, 0, buf_bytes(&pairs),
			     buf_len(&pairs)), 0);
	buf_fini(&pairs);
	send_stream();
	wait_for_management();
	ck_assert_uint_eq(management_type, FCGI_GET_VALUES_RESULT);
	ck_assert_uint_ge(management_len, 19);
}
END_TEST

START_TEST(a_question_after_the_last_answer_does_not_keep_it_open)
{
	answer_without_reading(0);
	put_get_values();
	put(FCGI_BEGIN_REQUEST, 0, "what");
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert_uint_eq(management_type, 0);
	put(FCGI_STDIN, 1, "");
	send_stream();
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(an_unknown_type_is_said_to_be)
{
	put((enum fcgi_type)99, 0, "content of it");
	send_stream();
	wait_for_management();
	ck_assert_uint_eq(management_type, FCGI_UNKNOWN_TYPE);
	ck_assert_mem_eq(management, "\x63\0\0\0\0\0\0\0", 8);
	ck_assert_uint_eq(owner.count, 1);
}
END_TEST

/* ---- what makes no sense ---------------------------------------------------------------------------------------- */

/* What has been put closes the connection, and the log says why. */
static void expect_rejection(const char *why)
{
	const char *said;

	log_open(LOG_LEVEL_WARN, LOG_FORM_PLAIN);
	capture_begin();
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	said = capture_end();
	ck_assert_uint_eq(owner.count, 0);
	ck_assert_msg(strstr(said, why) != NULL, "%s", said);
	ck_assert_ptr_nonnull(strstr(said, "from unix"));
	ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1); /* once */
	ck_assert(turn_until(loop, has_no_children, NULL));
}

START_TEST(another_version_closes)
{
	ck_assert_int_eq(buf_append(&stream, "\2", 1), 0); /* its first byte is enough */
	expect_rejection("version 2");
}
END_TEST

START_TEST(http_closes_with_a_hint)
{
	ck_assert_int_eq(buf_append(&stream, "GET / HTTP/1.1\r\n", 16), 0);
	expect_rejection("HTTP");
}
END_TEST

START_TEST(another_version_closes_while_a_script_runs)
{
	script("sleep.cgi", "exec sleep 100\n");
	put_get(1, FCGI_KEEP_CONN, "sleep.cgi");
	send_stream();
	wait_for_children(1);
	ck_assert_int_eq(buf_append(&stream, "\0", 1), 0);
	expect_rejection("version 0");
}
END_TEST

START_TEST(a_begin_of_the_wrong_length_closes)
{
	put(FCGI_BEGIN_REQUEST, 1, "short");
	expect_rejection("BEGIN_REQUEST");
	dial();
	put(FCGI_BEGIN_REQUEST, 1, "much too long");
	expect_rejection("BEGIN_REQUEST");
	dial();
	put(FCGI_BEGIN_REQUEST, 1, "");
	expect_rejection("BEGIN_REQUEST");
}
END_TEST

START_TEST(a_begin_of_an_active_id_closes)
{
	put_begin(1, FCGI_RESPONDER, 0);
	put_begin(1, FCGI_RESPONDER, 0);
	expect_rejection("active");
}
END_TEST

START_TEST(a_client_that_stops_inside_a_record_is_closed)
{
	size_t len;

	put_begin(1, FCGI_RESPONDER, 0);
	len = buf_len(&stream);
	for (size_t cut = 1; cut < len; cut++) {
		dial();
		put_begin(1, FCGI_RESPONDER, 0);
		send_bytes(buf_bytes(&stream), cut);
		ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
		ck_assert(turn_until(loop, is_eof, NULL));
		ck_assert_uint_eq(owner.count, 0);
	}
}
END_TEST

START_TEST(noise_does_no_harm)
{
	draw_restart();
	for (int round = 0; round < 300; round++) {
		dial();
		for (int i = 0; i < 20; i++) {
			char text[16] = "";

			for (unsigned n = draw(15); n > 0; n--)
				text[n - 1] = (char)(draw(3) == 0 ? 1 : 'a');
			put((enum fcgi_type)draw(13), (uint16_t)draw(3), text);
		}
		if (draw(2) == 0)
			buf_bytes(&stream)[draw((unsigned)buf_len(&stream))] = (unsigned char)draw(256);
		(void)!send(client, buf_bytes(&stream), buf_len(&stream), MSG_NOSIGNAL);
		turn_for(loop, 0);
		buf_consume(&stream, buf_len(&stream));
	}
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
}
END_TEST

static bool has_unread_bytes(void *context)
{
	(void)context;
	return sys_unsent(client) == 0;
}

/*
 * So many questions that the bridge stops reading for want of room for its answers, and then no
 * FastCGI: that is found when there is room again, and answers still wait.
 */
START_TEST(bytes_that_are_looked_at_later_are_rejected_as_well)
{
	static const unsigned char question[FCGI_HEADER_LEN] = {FCGI_VERSION_1, 99};

	times.write = 20;
	dial_narrow(4096);
	for (int i = 0; i < 10000; i++)
		ck_assert_int_eq(buf_append(&stream, question, sizeof question), 0);
	ck_assert_int_eq(buf_append(&stream, "GET / HTTP/1.0\r\n", 16), 0);
	ck_assert_int_eq(send(client, buf_bytes(&stream), buf_len(&stream), MSG_NOSIGNAL),
	    (ssize_t)buf_len(&stream));
	ck_assert(turn_until(loop, has_unread_bytes, NULL));
	ck_assert_uint_eq(owner.count, 1);
	capture_begin();
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert_uint_eq(owner.count, 0);
	turn_for(loop, 40);
	ck_assert_str_eq(capture_end(), "");
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, bench_setup, bench_teardown);
	tcase_add_test(tcase, bytes_that_are_looked_at_later_are_rejected_as_well);
	tcase_add_test(tcase, requests_are_served_by_their_ids);
	tcase_add_test(tcase, a_flood_of_one_does_not_starve_another);
	tcase_add_test(tcase, one_that_does_not_read_does_not_block_another);
	tcase_add_test(tcase, records_of_inactive_ids_are_ignored);
	tcase_add_test(tcase, padding_is_skipped);
	tcase_add_test(tcase, values_are_told_wherever_the_question_is_split);
	tcase_add_test(tcase, no_values_are_asked_for_and_none_are_told);
	tcase_add_test(tcase, a_question_that_repeats_itself_is_answered_within_bounds);
	tcase_add_test(tcase, a_question_after_the_last_answer_does_not_keep_it_open);
	tcase_add_test(tcase, an_unknown_type_is_said_to_be);
	tcase_add_test(tcase, another_version_closes);
	tcase_add_test(tcase, http_closes_with_a_hint);
	tcase_add_test(tcase, another_version_closes_while_a_script_runs);
	tcase_add_test(tcase, a_begin_of_the_wrong_length_closes);
	tcase_add_test(tcase, a_begin_of_an_active_id_closes);
	tcase_add_test(tcase, a_client_that_stops_inside_a_record_is_closed);
	tcase_add_test(tcase, noise_does_no_harm);
}

int main(void)
{
	return check_main("conn_records", add);
}

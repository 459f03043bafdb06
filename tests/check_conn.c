/* SPDX-License-Identifier: ISC */
/*
 * check_conn: the life of a connection: its end, draining and stopping, slow clients.
 * The client is the other end of a socket pair.
 */
#include "check_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fcgi/record.h"

/* ---- the end of a connection: the founding bug, and the opposite mistakes ------------------------ */

START_TEST(a_late_end_of_stdin_is_recognised_and_closes)
{
	answer_without_reading(0);
	ck_assert_uint_eq(owner.count, 1);
	put(FCGI_STDIN, 1, "");
	send_stream();
	ck_assert(turn_until(loop, is_closed, NULL));
	ck_assert(turn_until(loop, is_eof, NULL));
}
END_TEST

START_TEST(a_late_body_is_drained_and_closes_however_it_is_split)
{
	size_t len = record_size(4) + record_size(0);

	for (size_t cut = 0; cut <= len; cut++) {
		dial();
		answer_without_reading(0);
		put(FCGI_STDIN, 1, "body");
		put(FCGI_STDIN, 1, "");
		send_bytes(buf_bytes(&stream), cut);
		turn_for(loop, 0);
		ck_assert_uint_eq(owner.count, cut < len);
		send_bytes(buf_bytes(&stream) + cut, len - cut);
		ck_assert(turn_until(loop, is_closed, NULL));
	}
}
END_TEST

/* The first request is kept, and the next one is not: what is late of the first is not reset. */
START_TEST(a_late_body_of_an_earlier_request_is_drained_too)
{
	answer_without_reading(FCGI_KEEP_CONN);
	put_get(2, 0, "hello.cgi");
	send_stream();
	wait_for_end(2);
	turn_for(loop, 5);
	ck_assert_uint_eq(owner.count, 1);
	put(FCGI_STDIN, 1, "body");
	send_stream();
	turn_for(loop, 5);
	ck_assert_uint_eq(owner.count, 1);
	put(FCGI_STDIN, 1, "");
	send_stream();
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

/* Reads what has come, and counts its END_REQUEST records. */
static bool has_ends(void *context)
{
	unsigned *missing = context;
	unsigned char *to = buf_reserve(&input, 65536);
	ssize_t n;

	ck_assert_ptr_nonnull(to);
	n = read(client, to, 65536);
	ck_assert(n > 0 || (n < 0 && errno == EAGAIN));
	buf_commit(&input, n > 0 ? (size_t)n : 0);
	while (buf_len(&input) >= FCGI_HEADER_LEN) {
		const unsigned char *at = buf_bytes(&input);
		size_t size = FCGI_HEADER_LEN + (size_t)(at[4] << 8 | at[5]) + at[6];

		if (buf_len(&input) < size)
			break;
		*missing -= at[1] == FCGI_END_REQUEST;
		buf_consume(&input, size);
	}
	return *missing == 0;
}

START_TEST(a_client_of_a_kept_connection_may_leave_any_number_of_stdins_unended)
{
	unsigned missing = 2000;

	for (uint16_t id = 1; id <= missing; id++) {
		put_begin(id, FCGI_FILTER, FCGI_KEEP_CONN);
		put(FCGI_PARAMS, id, "");
	}
	for (size_t at = 0; at < buf_len(&stream); at += 1000) {
		size_t rest = buf_len(&stream) - at;

		send_bytes(buf_bytes(&stream) + at, rest < 1000 ? rest : 1000);
		turn_for(loop, 0);
		(void)has_ends(&missing);
	}
	ck_assert(turn_until(loop, has_ends, &missing));
	ck_assert_uint_eq(owner.count, 1);
}
END_TEST

START_TEST(a_client_that_never_ends_stdin_gets_an_end_of_file)
{
	answer_without_reading(0);
	ck_assert(turn_until(loop, is_eof, NULL)); /* nginx waits for this */
	ck_assert_uint_eq(owner.count, 1);         /* what still comes is not reset */
	put(FCGI_STDIN, 1, "late");
	send_stream();
	turn_for(loop, 5);
	ck_assert_uint_eq(owner.count, 1);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(a_connection_that_is_kept_is_not_closed)
{
	answer_without_reading(FCGI_KEEP_CONN);
	put(FCGI_STDIN, 1, "old!");
	put(FCGI_STDIN, 1, "");
	send_stream();
	turn_for(loop, 300);
	receive();
	ck_assert(!eof);
	ck_assert_uint_eq(owner.count, 1);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(an_id_may_begin_again_with_its_old_stdin_not_ended)
{
	script("cat.cgi", HEAD "exec cat\n");
	answer_without_reading(FCGI_KEEP_CONN);
	forget_answers();
	put(FCGI_STDIN, 1, "old!");
	put_post(1, FCGI_KEEP_CONN, "cat.cgi", "3");
	put(FCGI_STDIN, 1, "new");
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "new");
}
END_TEST

START_TEST(many_requests_follow_each_other)
{
	script("cat.cgi", HEAD "exec cat\n");
	for (int i = 0; i < 20; i++) {
		forget_answers();
		put_post(1, FCGI_KEEP_CONN, "cat.cgi", "4");
		put(FCGI_STDIN, 1, i % 2 == 0 ? "even" : "odd!");
		put(FCGI_STDIN, 1, "");
		send_stream();
		wait_for_end(1);
		expect(1, i % 2 == 0 ? ANSWER "even" : ANSWER "odd!");
	}
	ck_assert_uint_eq(owner.count, 1);
	put_get(1, 0, "cat.cgi"); /* the last one is not kept */
	forget_answers();
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert_int_eq(answers[1].ends, 1);
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

static const struct {
	unsigned flags;
	void (*told)(struct conn_owner *owner); /* when it has shut its side; NULL: nothing */
} half_closed[] = {{0, NULL}, {FCGI_KEEP_CONN, NULL}, {0, conn_drain_all},
    {FCGI_KEEP_CONN, conn_drain_all}};

START_TEST(a_half_closed_client_is_answered)
{
	int gate = close_gate();

	script("slow.cgi", WAIT_AT_GATE "; " HEAD "echo hello\n");
	put_get(1, half_closed[_i].flags, "slow.cgi");
	send_stream();
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	wait_for_children(1);
	turn_for(loop, 20);
	ck_assert_uint_eq(owner.count, 1);
	if (half_closed[_i].told != NULL)
		half_closed[_i].told(&owner);
	close(gate);
	ck_assert(turn_until(loop, is_eof, NULL));
	expect(1, ANSWER "hello\n");
	ck_assert_int_eq(answers[1].ends, 1);
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(a_body_that_is_too_short_is_seen_to_be)
{
	script("short.cgi", "printf 'Content-Type: a\\nContent-Length: 10\\n\\n12345'\n");
	put_get(1, 0, "short.cgi");
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	expect(1, "Content-Type: a\r\nContent-Length: 10\r\n\r\n12345");
}
END_TEST

/* Answers before it reads, and then reads on, as git-http-backend does. */
static void script_that_answers_first(void)
{
	script("first.cgi", HEAD "echo answer; : >answered; cat\n");
}

static bool has_answered(void *context)
{
	(void)context;
	return access(temp_path("answered"), F_OK) == 0;
}

static void start_answer_first(const char *software)
{
	script_that_answers_first();
	add_pair("SERVER_SOFTWARE", software);
	put_post(1, 0, "first.cgi", "10");
	put(FCGI_STDIN, 1, "hello");
	send_stream();
	ck_assert(turn_until(loop, has_answered, NULL));
	turn_for(loop, 20);
	receive();
}

START_TEST(nginx_gets_no_answer_before_it_has_sent_all)
{
	start_answer_first("nginx/1.22.1");
	ck_assert_uint_eq(answers[1].len, 0);
	put(FCGI_STDIN, 1, "world");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "answer\nhelloworld");
}
END_TEST

START_TEST(any_other_gets_its_answer_at_once)
{
	start_answer_first("Caddy");
	ck_assert_uint_gt(answers[1].len, strlen(ANSWER));
	put(FCGI_STDIN, 1, "world");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "answer\nhelloworld");
}
END_TEST

/* The end of its FCGI_STDIN, or one of the events after which that is not waited for. */
static void send_end_of_stdin(void)
{
	put(FCGI_STDIN, 1, "");
	send_stream();
}

static void send_abort(void)
{
	put(FCGI_ABORT_REQUEST, 1, "");
	send_stream();
}

static void stop_all(void)
{
	conn_stop_all(&owner);
}

static bool has_all(void *context)
{
	receive();
	return answers[1].len == *(size_t *)context;
}

static const struct {
	const char *body;
	bool answered; /* its answer is there when it happens; else its script runs */
	void (*happens)(void);
} held_ends[] = {
    {HEAD "echo hello\n", true, send_end_of_stdin},
    {HEAD "echo hello\n", true, send_abort},
    {HEAD "echo hello\n", true, stop_all},
    {"exec sleep 100\n", false, send_abort},
    {"exec sleep 100\n", false, stop_all},
};

START_TEST(one_that_sends_its_body_only_until_the_end_gets_that_after_it)
{
	options.linger = 3600 * 1000;
	script("some.cgi", held_ends[_i].body);
	add_pair("SERVER_SOFTWARE", "HAProxy 2.6");
	put_post(1, FCGI_KEEP_CONN, "some.cgi", "10");
	put(FCGI_STDIN, 1, "hello");
	send_stream();
	if (held_ends[_i].answered) {
		ck_assert(turn_until(loop, has_all, &(size_t){strlen(ANSWER "hello\n")}));
		ck_assert(turn_until(loop, has_no_children, NULL));
	} else {
		wait_for_children(1);
	}
	turn_for(loop, 20);
	receive();
	ck_assert_int_eq(answers[1].ends, 0);
	held_ends[_i].happens();
	wait_for_end(1);
	if (held_ends[_i].answered)
		expect(1, ANSWER "hello\n");
	ck_assert(turn_until(loop, has_no_children, NULL));
}
END_TEST

/* ---- time, draining, stopping --------------------------------------------------------------------------------------- */

START_TEST(a_client_that_says_nothing_is_closed_after_a_minute)
{
	ck_assert_int_eq(conn_times.first, 60 * 1000);
	times.first = 40;
	dial();
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert(turn_until(loop, is_closed, NULL));
	dial();
	put_begin(1, FCGI_RESPONDER, FCGI_KEEP_CONN); /* one that speaks is not */
	send_stream();
	turn_for(loop, 80);
	ck_assert(!is_eof(NULL));
}
END_TEST

START_TEST(params_that_do_not_end_are_408_after_a_minute)
{
	ck_assert_int_eq(request_times.params, 60 * 1000);
	services.times.params = 40;
	put_begin(1, FCGI_RESPONDER, 0);
	put(FCGI_PARAMS, 1, "\6\1X_TESTx");
	send_stream();
	wait_for_end(1);
	expect_status(1, "Status: 408 Request Timeout\r\n");
	ck_assert(turn_until(loop, is_eof, NULL));
}
END_TEST

/* Of unknown length, it is collected before the script starts. */
START_TEST(a_body_that_does_not_come_is_408)
{
	options.idle_timeout = 40;
	script("cat.cgi", HEAD "cat\n");
	put_post(1, 0, "cat.cgi", NULL);
	put(FCGI_STDIN, 1, "the start of it");
	send_stream();
	wait_for_end(1);
	expect_status(1, "Status: 408 Request Timeout\r\n");
	ck_assert_uint_eq(children.count, 0);
}
END_TEST

static void expect_504_of_a_script_that_sleeps(void)
{
	script("sleep.cgi", "exec sleep 100\n");
	put_get(1, FCGI_KEEP_CONN, "sleep.cgi");
	send_stream();
	wait_for_end(1);
	expect_status(1, "Status: 504 Gateway Timeout\r\n");
	ck_assert(turn_until(loop, has_no_children, NULL));
}

START_TEST(a_script_that_takes_too_long_is_504)
{
	options.timeout = 40;
	expect_504_of_a_script_that_sleeps();
}
END_TEST

START_TEST(a_silent_script_is_504)
{
	options.idle_timeout = 40;
	expect_504_of_a_script_that_sleeps();
}
END_TEST

START_TEST(a_descendant_that_holds_the_output_is_not_waited_for)
{
	script("leave.cgi", HEAD "echo hello; sleep 100 2>/dev/null & echo $! >pid\n");
	put_get(1, 0, "leave.cgi");
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	expect(1, ANSWER "hello\n");
	ck_assert_int_eq(answers[1].ends, 0); /* what else it would have written is not known */
	ck_assert_int_eq(kill(read_number("pid"), SIGKILL), 0); /* it is still there */
}
END_TEST

START_TEST(draining_closes_what_is_idle_and_lets_the_rest_end)
{
	script("cat.cgi", HEAD "exec cat\n");
	put_post(1, FCGI_KEEP_CONN, "cat.cgi", "5");
	send_stream();
	wait_for_children(1);
	conn_drain_all(&owner);
	turn_for(loop, 5);
	ck_assert_uint_eq(owner.count, 1);
	put(FCGI_STDIN, 1, "hello");
	put(FCGI_STDIN, 1, "");
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	expect(1, ANSWER "hello");
	ck_assert(turn_until(loop, is_closed, NULL));
	dial();
	conn_drain_all(&owner);
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(stopping_ends_all_at_once)
{
	script("sleep.cgi", "exec sleep 100\n");
	put_get(1, FCGI_KEEP_CONN, "sleep.cgi");
	put_get(3, FCGI_KEEP_CONN, "sleep.cgi");
	send_stream();
	wait_for_children(2);
	conn_stop_all(&owner);
	wait_for_end(1);
	wait_for_end(3);
	expect_status(1, "Status: 503 Service Unavailable\r\n");
	expect_status(3, "Status: 503 Service Unavailable\r\n");
	ck_assert(turn_until(loop, has_no_children, NULL));
}
END_TEST

START_TEST(closing_all_closes_all)
{
	script("sleep.cgi", "exec sleep 100\n");
	put_get(1, 0, "sleep.cgi");
	send_stream();
	wait_for_children(1);
	conn_close_all(&owner);
	ck_assert_uint_eq(owner.count, 0);
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert(turn_until(loop, has_no_children, NULL));
}
END_TEST

START_TEST(an_idle_connection_has_a_moment_when_it_drains)
{
	script("hello.cgi", HEAD "echo hello\n");
	times.grace = 3600 * 1000;
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	conn_drain_all(&owner);
	turn_for(loop, 20);
	ck_assert(!is_eof(NULL));
	forget_answers();
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "hello\n");
	/* its client is told with the answer, and closes */
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert_uint_eq(owner.count, 1);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(a_moment_is_no_longer_than_that)
{
	script("hello.cgi", HEAD "echo hello\n");
	times.grace = 20;
	times.leave = 3600 * 1000;
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	conn_drain_all(&owner);
	ck_assert(turn_until(loop, is_eof, NULL));
	/* only our side is shut: what its client sends now is no error to it */
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	turn_for(loop, 20);
	ck_assert_uint_eq(owner.count, 1);
	ck_assert_uint_eq(children.count, 0);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(a_client_that_does_not_leave_is_left)
{
	script("hello.cgi", HEAD "echo hello\n");
	times.grace = times.leave = 20;
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	conn_drain_all(&owner);
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(questions_do_not_end_the_moment)
{
	script("hello.cgi", HEAD "echo hello\n");
	conn_drain_all(&owner); /* it is new */
	put_get_values();
	send_stream();
	wait_for_management();
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "hello\n");
	ck_assert(turn_until(loop, is_eof, NULL));
}
END_TEST

START_TEST(an_early_answer_of_a_drained_connection_is_not_lost)
{
	static char body[60001];
	int gate = close_gate();

	memset(body, 'b', sizeof body - 1);
	times.leave = 20;
	script("wait.cgi", HEAD WAIT_AT_GATE "; echo early\n");
	put_post(1, FCGI_KEEP_CONN, "wait.cgi", "600000");
	send_stream();
	wait_for_children(1);
	conn_drain_all(&owner);
	close(gate);
	ck_assert(turn_until(loop, has_no_children, NULL));
	turn_for(loop, 60); /* no time limit but that for all it may go on sending */
	for (int i = 0; i < 10; i++)
		put(FCGI_STDIN, 1, body);
	put(FCGI_STDIN, 1, "");
	send_stream(); /* fails if it has been closed */
	ck_assert(turn_until(loop, is_eof, NULL));
	expect(1, ANSWER "early\n");
	ck_assert_int_eq(answers[1].ends, 1);
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(stopping_closes_what_is_idle)
{
	script("hello.cgi", HEAD "echo hello\n");
	times.grace = times.leave = 3600 * 1000;
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	conn_stop_all(&owner);
	ck_assert_uint_eq(owner.count, 0);
}
END_TEST

/* ---- a client that is slow ---------------------------------------------------------------------------------------- */

enum { NARROW = 4096, SLOW_LEN = 60000 }; /* what much.cgi writes */

static bool has_written(void *context)
{
	return access(temp_path("done"), F_OK) == 0 && has_no_children(context);
}

/* An answer of SLOW_LEN bytes is made, and the script has ended; most of it waits. */
static void answer_slow_client(unsigned flags)
{
	dial_narrow(NARROW);
	script("much.cgi", HEAD "head -c 60000 /dev/zero; echo >done\n");
	put_get(1, flags, "much.cgi");
	send_stream();
	ck_assert(turn_until(loop, has_written, NULL));
	turn_for(loop, 20);
}

START_TEST(a_half_close_after_the_script_has_ended_cuts_nothing)
{
	answer_slow_client((unsigned)_i);
	ck_assert_uint_eq(owner.count, 1);
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	turn_for(loop, 20);
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert_int_eq(answers[1].ends, 1);
	ck_assert_uint_eq(answers[1].len, strlen(ANSWER) + SLOW_LEN);
	ck_assert(turn_until(loop, is_closed, NULL));
}
END_TEST

START_TEST(a_client_that_takes_nothing_is_closed_and_said)
{
	const char *said;

	times.write = 30;
	log_open(LOG_LEVEL_WARN, LOG_FORM_PLAIN);
	capture_begin();
	answer_slow_client(FCGI_KEEP_CONN);
	ck_assert(turn_until(loop, is_closed, NULL));
	said = capture_end();
	ck_assert_ptr_nonnull(
	    strstr(said, "connection from unix closed: the client has read none of its answer for"));
	ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1); /* once */
}
END_TEST

/* Takes some of what has come, not whole records. */
static void receive_some(void)
{
	unsigned char *to = buf_reserve(&input, 512);
	ssize_t n;

	ck_assert_ptr_nonnull(to);
	n = read(client, to, 512);
	ck_assert(n > 0 || (n < 0 && errno == EAGAIN));
	if (n > 0)
		buf_commit(&input, (size_t)n);
}

START_TEST(a_client_that_takes_a_little_is_waited_for)
{
	times.write = patience(300);
	answer_slow_client(FCGI_KEEP_CONN);
	for (int i = 0; i < 40; i++) {
		receive_some();
		turn_for(loop, patience(20));
		ck_assert_uint_eq(owner.count, 1);
	}
	wait_for_end(1);
	ck_assert_uint_eq(answers[1].len, strlen(ANSWER) + SLOW_LEN);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, bench_setup, bench_teardown);
	tcase_add_test(tcase, a_late_end_of_stdin_is_recognised_and_closes);
	tcase_add_test(tcase, a_late_body_is_drained_and_closes_however_it_is_split);
	tcase_add_test(tcase, a_late_body_of_an_earlier_request_is_drained_too);
	tcase_add_test(tcase, a_client_of_a_kept_connection_may_leave_any_number_of_stdins_unended);
	tcase_add_test(tcase, a_client_that_never_ends_stdin_gets_an_end_of_file);
	tcase_add_test(tcase, a_connection_that_is_kept_is_not_closed);
	tcase_add_test(tcase, an_id_may_begin_again_with_its_old_stdin_not_ended);
	tcase_add_test(tcase, many_requests_follow_each_other);
	tcase_add_loop_test(tcase, a_half_closed_client_is_answered, 0,
	    sizeof half_closed / sizeof *half_closed);
	tcase_add_test(tcase, a_body_that_is_too_short_is_seen_to_be);
	tcase_add_test(tcase, nginx_gets_no_answer_before_it_has_sent_all);
	tcase_add_test(tcase, any_other_gets_its_answer_at_once);
	tcase_add_loop_test(tcase, one_that_sends_its_body_only_until_the_end_gets_that_after_it, 0,
	    sizeof held_ends / sizeof *held_ends);
	tcase_add_test(tcase, a_client_that_says_nothing_is_closed_after_a_minute);
	tcase_add_test(tcase, params_that_do_not_end_are_408_after_a_minute);
	tcase_add_test(tcase, a_body_that_does_not_come_is_408);
	tcase_add_test(tcase, a_script_that_takes_too_long_is_504);
	tcase_add_test(tcase, a_silent_script_is_504);
	tcase_add_test(tcase, a_descendant_that_holds_the_output_is_not_waited_for);
	tcase_add_test(tcase, draining_closes_what_is_idle_and_lets_the_rest_end);
	tcase_add_test(tcase, an_idle_connection_has_a_moment_when_it_drains);
	tcase_add_test(tcase, a_moment_is_no_longer_than_that);
	tcase_add_test(tcase, a_client_that_does_not_leave_is_left);
	tcase_add_test(tcase, questions_do_not_end_the_moment);
	tcase_add_test(tcase, an_early_answer_of_a_drained_connection_is_not_lost);
	tcase_add_test(tcase, stopping_closes_what_is_idle);
	tcase_add_loop_test(tcase, a_half_close_after_the_script_has_ended_cuts_nothing, 0, 2);
	tcase_add_test(tcase, a_client_that_takes_nothing_is_closed_and_said);
	tcase_add_test(tcase, a_client_that_takes_a_little_is_waited_for);
	tcase_add_test(tcase, stopping_ends_all_at_once);
	tcase_add_test(tcase, closing_all_closes_all);
}

int main(void)
{
	return check_main("conn", add);
}

/* SPDX-License-Identifier: ISC */
/*
 * check_request: one request with its script, whole, in one process: what the client gets
 * is independent of how what it sends is split; refusals; clients that leave; scripts that
 * outlive their response; answers that are cut.
 */
#include "check_bench.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fcgi/record.h"

/* ---- one request ----------------------------------------------------------------------------- */

static void put_whole_request(void)
{
	add_pair("QUERY_STRING", "a=1");
	put_post(1, 0, "echo.cgi", "5");
	put(FCGI_STDIN, 1, "he");
	put(FCGI_STDIN, 1, "llo");
	put(FCGI_STDIN, 1, "");
}

START_TEST(the_answer_is_the_same_wherever_the_request_is_split)
{
	size_t len;

	script("echo.cgi", "printf 'Content-Type: text/plain\\n\\n%s %s '"
			   " $REQUEST_METHOD $QUERY_STRING; cat; exit 3\n");
	put_whole_request();
	len = buf_len(&stream);
	for (size_t cut = 0; cut <= len; cut++) {
		dial();
		put_whole_request();
		ck_assert_uint_eq(buf_len(&stream), len);
		send_bytes(buf_bytes(&stream), cut);
		turn_for(loop, 0);
		send_bytes(buf_bytes(&stream) + cut, len - cut);
		ck_assert(turn_until(loop, is_eof, NULL));
		expect(1, ANSWER "POST a=1 hello");
		ck_assert_int_eq(answers[1].ends, 1);
		ck_assert_uint_eq(answers[1].app_status, 3);
		ck_assert_uint_eq(answers[1].status, FCGI_REQUEST_COMPLETE);
		ck_assert_uint_ge(answers[1].first_len, strlen(ANSWER));
	}
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
}
END_TEST

START_TEST(the_answer_is_the_same_byte_by_byte)
{
	script("echo.cgi", HEAD "cat\n");
	put_whole_request();
	for (size_t at = 0; at < buf_len(&stream); at++) {
		send_bytes(buf_bytes(&stream) + at, 1);
		turn_for(loop, 0);
	}
	ck_assert(turn_until(loop, is_eof, NULL));
	expect(1, ANSWER "hello");
}
END_TEST

START_TEST(a_script_gets_its_environment_and_no_other)
{
	script("env.cgi", HEAD "echo $HTTP_X,${HTTP_PROXY-none},$SCRIPT_NAME,$GATEWAY_INTERFACE,"
			       "${CONTENT_LENGTH-none},${HOME-none},$PATH; pwd -P\n");
	add_pair("HTTP_X", "a");
	add_pair("HTTP_X", "b");
	add_pair("HTTP_PROXY", "http://evil/");
	add_pair("CONTENT_LENGTH", "");
	put_get(1, 0, "env.cgi");
	send_stream();
	wait_for_end(1);
	ck_assert_ptr_nonnull(strstr((char *)answers[1].out,
	    "\r\n\r\na, b,none,/script,CGI/1.1,none,none,/usr/bin:/bin\n"));
	ck_assert_ptr_nonnull(strstr((char *)answers[1].out, temp_dir()));
}
END_TEST

START_TEST(a_large_body_comes_back_whole)
{
	enum { LEN = 900000 };
	static unsigned char body[LEN];

	for (size_t i = 0; i < LEN; i++)
		body[i] = (unsigned char)(i * 13 + (i >> 10));
	script("cat.cgi", HEAD "exec cat\n");
	put_post(1, 0, "cat.cgi", "900000");
	ck_assert_int_eq(record_put_stream(&stream, FCGI_STDIN, 1, body, LEN), 0);
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	ck_assert_uint_eq(answers[1].len, strlen(ANSWER) + LEN);
	ck_assert(memcmp(answers[1].out + strlen(ANSWER), body, LEN) == 0);
}
END_TEST

START_TEST(a_client_that_sends_all_before_it_reads_is_served)
{
	/* the script writes much before it reads anything: trap 4 */
	script("deaf.cgi", HEAD "dd if=/dev/zero bs=1000 count=1000 2>/dev/null; wc -c\n");
	put_post(1, 0, "deaf.cgi", "900000");
	for (int i = 0; i < 900; i++) {
		static char piece[1001];

		memset(piece, 'p', 1000);
		put(FCGI_STDIN, 1, piece);
	}
	put(FCGI_STDIN, 1, "");
	for (size_t sent = 0; sent < buf_len(&stream);) { /* reads nothing meanwhile */
		ssize_t n = send(client, buf_bytes(&stream) + sent, buf_len(&stream) - sent,
		    MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		turn_for(loop, 0);
	}
	wait_for_end(1);
	ck_assert_uint_gt(answers[1].len, 1000000);
	ck_assert_ptr_nonnull(strstr((char *)answers[1].out + answers[1].len - 7, "900000\n"));
}
END_TEST

START_TEST(a_body_of_unknown_length_gets_one)
{
	script("len.cgi", HEAD "printf '%s:' $CONTENT_LENGTH; cat\n");
	put_post(1, 0, "len.cgi", NULL);
	put(FCGI_STDIN, 1, "hello ");
	send_stream();
	turn_for(loop, 5);
	ck_assert_uint_eq(children.count, 0); /* not before it is known */
	put(FCGI_STDIN, 1, "world");
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "11:hello world");
}
END_TEST

START_TEST(a_length_is_enough_without_the_streams_end)
{
	script("cat.cgi", HEAD "exec cat\n");
	put_post(1, FCGI_KEEP_CONN, "cat.cgi", "5");
	put(FCGI_STDIN, 1, "hello and more");
	send_stream();
	wait_for_end(1); /* the script has seen the end of its stdin */
	expect(1, ANSWER "hello");
}
END_TEST

START_TEST(head_has_no_body)
{
	script("body.cgi", HEAD "echo body\n");
	put_begin(1, FCGI_RESPONDER, 0);
	put_params(1, "HEAD", "body.cgi");
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER);
}
END_TEST

START_TEST(no_descriptor_is_left_open)
{
	int fds;

	script("hello.cgi", HEAD "echo hello\n");
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
	fds = count_fds();
	for (int i = 0; i < 10; i++) {
		dial();
		put_get(1, i % 2 == 0 ? FCGI_KEEP_CONN : 0, i % 3 == 0 ? "none.cgi" : "hello.cgi");
		send_stream();
		wait_for_end(1);
		hang_up();
		ck_assert(turn_until(loop, is_idle, NULL));
		ck_assert_int_eq(count_fds(), fds);
	}
}
END_TEST

/* ---- refusals ------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	mode_t mode;
	const char *text; /* NULL: no such file */
	const char *status;
	bool is_exec; /* execve(2) is what fails */
} refusals[] = {
	{"none.cgi", 0, NULL, "Status: 404 Not Found\r\n", false},
	{".", 0, NULL, "Status: 403 Forbidden\r\n", false},
	{"plain.cgi", 0644, "#!/bin/sh\n", "Status: 403 Forbidden\r\n", true},
	{"bad.cgi", 0755, "#!/nonexistent\n", "Status: 500 Internal Server Error\r\n", true},
	{"odd.cgi", 0755, "no program", "Status: 500 Internal Server Error\r\n", true},
	{"silent.cgi", 0755, "#!/bin/sh\n", "Status: 500 Internal Server Error\r\n", false},
	{"dies.cgi", 0755, "#!/bin/sh\nkill -9 $$\n", "Status: 500 Internal Server Error\r\n",
	    false},
	{"headless.cgi", 0755, "#!/bin/sh\necho hello\n", "Status: 500 Internal Server Error\r\n",
	    false},
};

START_TEST(what_cannot_be_answered_is_answered_with_a_page)
{
	if (is_under_valgrind() && refusals[_i].is_exec)
		return;
	log_open(LOG_LEVEL_WARN, LOG_FORM_PLAIN);
	if (refusals[_i].text != NULL)
		temp_write(refusals[_i].name, refusals[_i].mode, refusals[_i].text);
	put_get(1, 0, refusals[_i].name);
	capture_begin();
	send_stream();
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert_ptr_nonnull(strstr(capture_end(), refusals[_i].name));
	ck_assert_int_eq(answers[1].ends, 1);
	expect_status(1, refusals[_i].status);
	ck_assert_uint_eq(answers[1].status, FCGI_REQUEST_COMPLETE);
	ck_assert_ptr_null(strstr((char *)answers[1].out, temp_dir())); /* not the client's */
}
END_TEST

START_TEST(no_script_at_all_is_500)
{
	put_get(1, 0, NULL);
	send_stream();
	wait_for_end(1);
	expect_status(1, "Status: 500 ");
}
END_TEST

START_TEST(malformed_parameters_are_400)
{
	put_begin(1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	put(FCGI_PARAMS, 1, "\x7f\x01x");
	put(FCGI_PARAMS, 1, "");
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	expect_status(1, "Status: 400 Bad Request\r\n");
	ck_assert_uint_eq(owner.count, 1); /* the request's fault, not the connection's */
}
END_TEST

START_TEST(too_many_parameters_are_431)
{
	static char value[20000];

	memset(value, 'v', sizeof value - 1);
	script("hello.cgi", HEAD "echo hello\n");
	add_pair("LARGE", value);
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	put_get(3, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	expect_status(1, "Status: 431 ");
	wait_for_end(3);
	expect(3, ANSWER "hello\n");
}
END_TEST

START_TEST(a_body_that_is_too_large_is_413)
{
	options.max_body = 100;
	script("cat.cgi", HEAD "exec cat\n");
	put_post(1, FCGI_KEEP_CONN, "cat.cgi", NULL);
	for (int i = 0; i < 11; i++)
		put(FCGI_STDIN, 1, "0123456789");
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	expect_status(1, "Status: 413 ");
	ck_assert_uint_eq(children.count, 0);
}
END_TEST

START_TEST(an_unknown_role_is_answered_and_refused)
{
	put_begin(1, FCGI_FILTER, FCGI_KEEP_CONN);
	put_params(1, "GET", "none.cgi");
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	ck_assert_uint_eq(answers[1].status, FCGI_UNKNOWN_ROLE);
	expect_status(1, "Status: 500 "); /* some take a bare END for a success */
}
END_TEST

START_TEST(an_authorizer_needs_no_stdin)
{
	script("grant.cgi", HEAD "echo $FCGI_ROLE; cat\n");
	script("refuse.cgi", "printf 'Status: 403 No\\n\\n%s' $FCGI_ROLE; cat\n");
	put_begin(1, FCGI_AUTHORIZER, FCGI_KEEP_CONN);
	put_params(1, "GET", "grant.cgi");
	put_begin(3, FCGI_AUTHORIZER, FCGI_KEEP_CONN);
	put_params(3, "POST", "refuse.cgi");
	send_stream();
	wait_for_end(1);
	wait_for_end(3);
	expect(1, "Status: 200 OK\r\n\r\n");
	expect(3, "Status: 403 No\r\n\r\nAUTHORIZER");
	ck_assert_uint_eq(answers[3].first_len, answers[3].len);
}
END_TEST

START_TEST(past_the_queue_it_is_overloaded)
{
	options.queue = 1;
	options.max_scripts = 20;
	script("cat.cgi", HEAD "exec cat\n");
	for (uint16_t id = 1; id <= SLOTS + 2; id++)
		put_post(id, FCGI_KEEP_CONN, "cat.cgi", "1");
	send_stream();
	wait_for_end(SLOTS + 2);
	expect_status(SLOTS + 2, "Status: 503 ");
	ck_assert_ptr_nonnull(strstr((char *)answers[SLOTS + 2].out, "Retry-After"));
	ck_assert_uint_eq(answers[SLOTS + 2].status, FCGI_OVERLOADED);
	ck_assert_int_eq(answers[SLOTS + 1].ends, 0); /* waits */
	put(FCGI_STDIN, SLOTS + 1, "w");
	put(FCGI_STDIN, 1, "x");
	send_stream();
	wait_for_end(1);
	wait_for_end(SLOTS + 1);
	expect(SLOTS + 1, ANSWER "w");
}
END_TEST

/* ---- clients that leave ---------------------------------------------------------------------------------- */

START_TEST(an_abort_is_answered_and_ends_the_script)
{
	script("sleep.cgi", "exec sleep 100\n");
	put_get(1, FCGI_KEEP_CONN, "sleep.cgi");
	send_stream();
	wait_for_children(1);
	put(FCGI_ABORT_REQUEST, 1, "");
	send_stream();
	wait_for_end(1);
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_uint_eq(owner.count, 1);
	/* the connection is as good as new */
	forget_answers();
	script("hello.cgi", HEAD "echo hello\n");
	put_get(1, FCGI_KEEP_CONN, "hello.cgi");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "hello\n");
}
END_TEST

/* Whether the head of the response has come. */
static bool has_head(void *context)
{
	receive();
	return answers[*(int *)context].len > 0;
}

static void wait_for_head(int id)
{
	ck_assert(turn_until(loop, has_head, &id));
}

static const struct {
	const char *head;
	int64_t grace;
} lost[] = {{"", 3600 * 1000}, {HEAD, 0}, {HEAD, 50}};

START_TEST(a_client_that_is_gone_ends_the_script)
{
	char body[256];

	options.disconnect_grace = lost[_i].grace;
	snprintf(body, sizeof body, "%sexec sleep 100\n", lost[_i].head);
	script("sleep.cgi", body);
	put_get(1, 0, "sleep.cgi");
	send_stream();
	wait_for_children(1);
	if (lost[_i].head[0] != '\0')
		wait_for_head(1);
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
	ck_assert_int_eq(closed, 1);
}
END_TEST

START_TEST(one_that_has_the_head_lets_the_script_end)
{
	int gate = close_gate();

	options.disconnect_grace = 3600 * 1000;
	script("work.cgi", HEAD WAIT_AT_GATE "; echo late; echo >done\n");
	put_get(1, 0, "work.cgi");
	send_stream();
	wait_for_head(1);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
	ck_assert_uint_eq(children.count, 1);
	close(gate);
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_int_eq(access(temp_path("done"), F_OK), 0);
}
END_TEST

START_TEST(after_an_abort_there_is_no_grace)
{
	options.disconnect_grace = 3600 * 1000;
	script("sleep.cgi", HEAD "exec sleep 100\n");
	put_get(1, FCGI_KEEP_CONN, "sleep.cgi");
	send_stream();
	wait_for_head(1);
	put(FCGI_ABORT_REQUEST, 1, "");
	send_stream();
	wait_for_end(1);
	ck_assert(turn_until(loop, has_no_children, NULL));
}
END_TEST

START_TEST(who_goes_on_writing_has_no_grace)
{
	options.disconnect_grace = 3600 * 1000;
	script("flood.cgi", HEAD "while :; do echo 0123456789abcdef0123456789abcdef; done\n");
	put_get(1, 0, "flood.cgi");
	send_stream();
	wait_for_head(1);
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
}
END_TEST

/* ---- scripts that outlive their response --------------------------------------------------------- */

START_TEST(a_response_ends_with_its_output)
{
	int gate = close_gate();

	options.timeout = 3600 * 1000;
	services.times.exit = request_times.exit;
	script("close.cgi", HEAD "echo hello; exec >&- 2>&-; " WAIT_AT_GATE "; "
		"echo >done; exit 3\n");
	put_get(1, 0, "close.cgi");
	send_stream();
	wait_for_end(1);
	expect(1, ANSWER "hello\n");
	ck_assert_uint_eq(answers[1].app_status, 0);
	ck_assert(turn_until(loop, is_closed, NULL));
	ck_assert_uint_eq(children.count, 1);
	ck_assert_int_eq(scoreboard_running(board), 1); /* it keeps its slot */
	close(gate);
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_int_eq(access(temp_path("done"), F_OK), 0);
}
END_TEST

START_TEST(a_script_that_has_closed_its_output_gets_all_of_its_body)
{
	int gate = close_gate();

	services.times.exit = request_times.exit;
	script("sink.cgi", HEAD "echo hello; exec >&-; " WAIT_AT_GATE "; "
		"wc -c >count; : >done\n");
	put_post(1, 0, "sink.cgi", "100000");
	for (int i = 0; i < 5; i++) {
		static const unsigned char bytes[20000];

		ck_assert_int_eq(record_put_stream(&stream, FCGI_STDIN, 1, bytes, sizeof bytes), 0);
	}
	put(FCGI_STDIN, 1, "");
	send_stream();
	wait_for_end(1);
	close(gate);
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_int_eq(read_number("count"), 100000);
}
END_TEST

START_TEST(its_time_goes_on)
{
	options.timeout = 150;
	options.on_disconnect = _i;
	script("close.cgi", HEAD "echo hello; exec >&- 2>&-; exec sleep 100\n");
	put_get(1, 0, "close.cgi");
	send_stream();
	wait_for_end(1);
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

START_TEST(its_time_goes_on_even_if_it_is_up)
{
	options.timeout = 200;
	script("close.cgi", HEAD "echo hello; exec >&- 2>&-; exec sleep 100\n");
	put_get(1, 0, "close.cgi");
	send_stream();
	wait_for_head(1);
	turn_for(loop, 10);
	/* the time for its exit and all of its time are over in the same turn */
	usleep(300 * 1000);
	ck_assert(turn_until(loop, is_idle, NULL));
}
END_TEST

/* Begins one whose body of 100 bytes does not come whole. */
static void begin_half(const char *body)
{
	script("half.cgi", body);
	put_begin(1, FCGI_RESPONDER, 0);
	add_pair("SERVER_SOFTWARE", "other");
	add_pair("CONTENT_LENGTH", "100");
	put_params(1, "POST", "half.cgi");
	put(FCGI_STDIN, 1, "half");
	send_stream();
	wait_for_head(1);
}

START_TEST(one_that_waits_for_the_rest_of_its_body_has_a_grace)
{
	int gate = close_gate();

	options.disconnect_grace = 200;
	begin_half(HEAD "echo hello; exec 3<&0; " WAIT_AT_GATE "; exec >&- 2>&-; "
		"while read line <&3; do :; done; : >done\n");
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
	close(gate);
	ck_assert(turn_until(loop, is_idle, NULL));
	ck_assert_int_ne(access(temp_path("done"), F_OK), 0);
}
END_TEST

START_TEST(one_that_is_let_go_on_has_an_end_of_its_body)
{
	options.on_disconnect = _i;
	begin_half(HEAD "echo hello; exec >&- 2>&-; while read line; do :; done; : >done\n");
	turn_for(loop, 50);
	hang_up();
	ck_assert(turn_until(loop, is_idle, NULL));
	ck_assert_int_eq(access(temp_path("done"), F_OK), 0);
}
END_TEST

START_TEST(one_whose_pipes_are_closed_is_timed_too)
{
	options.timeout = 100;
	options.on_disconnect = ON_DISCONNECT_CLOSE;
	script("sleep.cgi", "exec sleep 100\n");
	put_get(1, 0, "sleep.cgi");
	send_stream();
	wait_for_children(1);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
	ck_assert_int_eq(scoreboard_running(board), 1);
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

static bool is_done(void *context)
{
	(void)context;
	return access(temp_path("done"), F_OK) == 0;
}

START_TEST(what_is_left_behind_may_write_to_stderr)
{
	int gate = close_gate();

	/* the descendant never has the output: it could take longer to let go of it than --linger */
	script("job.cgi", HEAD "echo hello; exec >/dev/null </dev/null\n"
		"(" WAIT_AT_GATE "; echo a warning >&2; : >done) &\n");
	log_open(LOG_LEVEL_WARN, LOG_FORM_PLAIN);
	put_get(1, 0, "job.cgi");
	send_stream();
	wait_for_end(1);
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_uint_eq(left.held, 1);
	close(gate);
	capture_begin();
	ck_assert(turn_until(loop, is_done, NULL));
	ck_assert(turn_until(loop, nothing_is_left, NULL));
	ck_assert_ptr_nonnull(strstr(capture_end(), "request 1: stderr: a warning\n"));
	ck_assert_uint_eq(left.held, 0);
}
END_TEST

START_TEST(so_much_of_stderr_is_held_and_no_more)
{
	const char *log;
	int gate = close_gate();

	if (getenv("TEST_VALGRIND") != NULL) { /* it does not know how to clone() with so many files */
		close(gate);
		return;
	}
	script("job.cgi", HEAD "exec >/dev/null </dev/null\n" WAIT_AT_GATE " &\n");
	log_open(LOG_LEVEL_WARN, LOG_FORM_PLAIN);
	capture_begin();
	for (int i = 0; i < LEFT_STDERR_MAX + 2; i++) {
		forget_answers();
		put_get(1, FCGI_KEEP_CONN, "job.cgi");
		send_stream();
		wait_for_end(1);
	}
	/* END does not wait for an exit that is late */
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_uint_eq(left.held, LEFT_STDERR_MAX);
	log = capture_end();
	ck_assert_ptr_nonnull(strstr(log, "job.cgi["));
	ck_assert_ptr_nonnull(strstr(log, "more than 64 such scripts in this worker: its standard error "
					  "is closed"));
	close(gate);
	ck_assert(turn_until(loop, nothing_is_left, NULL));
}
END_TEST

/* ---- answers that are cut ----------------------------------------------------------------------------- */

#define LENGTH(n) "printf 'Content-Type: a\\nContent-Length: " n "\\n\\n12345'; "
#define NO_LENGTH "printf 'Content-Type: a\\n\\n12345'; "

static const struct {
	const char *what;
	bool whole;
} cuts[] = {
    {LENGTH("10"), false},
    {LENGTH("10") "exit 3", false},
    {LENGTH("10") "kill -9 $$", false},
    {LENGTH("10") "exec sleep 100", false}, /* --timeout */
    {NO_LENGTH "kill -9 $$", false},
    {NO_LENGTH "exec sleep 100", false},
    {NO_LENGTH "sleep 5 2>/dev/null & exit 0", false}, /* --linger */
    {LENGTH("5"), true},
    {LENGTH("5") "kill -9 $$", true},
    {LENGTH("5") "exec sleep 100", true},
    {LENGTH("5") "sleep 5 2>/dev/null & exit 0", true},
    {LENGTH("3"), true},
    {NO_LENGTH "exit 3", true},
};

START_TEST(an_answer_that_is_cut_has_no_end)
{
	options.timeout = 150;
	options.linger = 50;
	script("cut.cgi", cuts[_i].what);
	put_get(1, FCGI_KEEP_CONN, "cut.cgi");
	send_stream();
	if (cuts[_i].whole) {
		wait_for_end(1);
		ck_assert_uint_eq(owner.count, 1);
		return;
	}
	ck_assert(turn_until(loop, is_eof, NULL));
	ck_assert_int_eq(answers[1].ends, 0);
	ck_assert_ptr_nonnull(strstr((const char *)answers[1].out, "\r\n\r\n12345"));
}
END_TEST

START_TEST(one_that_is_at_its_end_is_not_cut)
{
	/* the exit may be seen before the end of the output, and a linger of 0 be over then */
	options.linger = 0;
	script("hello.cgi", HEAD "echo hello\n");
	for (int i = 0; i < 50; i++) {
		forget_answers();
		put_get(1, FCGI_KEEP_CONN, "hello.cgi");
		send_stream();
		wait_for_end(1);
		expect(1, ANSWER "hello\n");
	}
}
END_TEST

START_TEST(where_others_use_the_connection_it_has_failed)
{
	script("cat.cgi", HEAD "exec cat\n");
	script("cut.cgi", LENGTH("10"));
	put_post(3, FCGI_KEEP_CONN, "cat.cgi", "5");
	put_get(1, FCGI_KEEP_CONN, "cut.cgi");
	send_stream();
	wait_for_end(1);
	ck_assert_uint_ne(answers[1].app_status, 0);
	put(FCGI_STDIN, 3, "hello");
	put(FCGI_STDIN, 3, "");
	send_stream();
	wait_for_end(3);
	expect(3, ANSWER "hello");
}
END_TEST

START_TEST(a_script_may_go_on_without_its_client)
{
	options.on_disconnect = ON_DISCONNECT_IGNORE;
	script("work.cgi", HEAD "echo started; sleep 0.1; echo more; echo done >result\n");
	put_get(1, 0, "work.cgi");
	send_stream();
	wait_for_children(1);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
	ck_assert_uint_eq(children.count, 1);
	ck_assert(turn_until(loop, has_no_children, NULL));
	ck_assert_int_eq(access(temp_path("result"), F_OK), 0);
}
END_TEST

START_TEST(a_client_that_is_gone_before_it_has_sent_all_is_forgotten)
{
	script("hello.cgi", HEAD "echo hello\n");
	put_begin(1, FCGI_RESPONDER, 0);
	put(FCGI_PARAMS, 1, "\3\3ONE");
	send_stream();
	turn_for(loop, 2);
	hang_up();
	ck_assert(turn_until(loop, is_closed, NULL));
	ck_assert_uint_eq(children.count, 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, bench_setup, bench_teardown);
	tcase_add_test(tcase, the_answer_is_the_same_wherever_the_request_is_split);
	tcase_add_test(tcase, the_answer_is_the_same_byte_by_byte);
	tcase_add_test(tcase, a_script_gets_its_environment_and_no_other);
	tcase_add_test(tcase, a_large_body_comes_back_whole);
	tcase_add_test(tcase, a_client_that_sends_all_before_it_reads_is_served);
	tcase_add_test(tcase, a_body_of_unknown_length_gets_one);
	tcase_add_test(tcase, a_length_is_enough_without_the_streams_end);
	tcase_add_test(tcase, head_has_no_body);
	tcase_add_test(tcase, no_descriptor_is_left_open);
	tcase_add_loop_test(tcase, what_cannot_be_answered_is_answered_with_a_page, 0,
	    sizeof refusals / sizeof *refusals);
	tcase_add_test(tcase, no_script_at_all_is_500);
	tcase_add_test(tcase, malformed_parameters_are_400);
	tcase_add_test(tcase, too_many_parameters_are_431);
	tcase_add_test(tcase, a_body_that_is_too_large_is_413);
	tcase_add_test(tcase, an_unknown_role_is_answered_and_refused);
	tcase_add_test(tcase, an_authorizer_needs_no_stdin);
	tcase_add_test(tcase, past_the_queue_it_is_overloaded);
	tcase_add_test(tcase, an_abort_is_answered_and_ends_the_script);
	tcase_add_loop_test(tcase, a_client_that_is_gone_ends_the_script, 0,
	    sizeof lost / sizeof *lost);
	tcase_add_test(tcase, one_that_has_the_head_lets_the_script_end);
	tcase_add_test(tcase, after_an_abort_there_is_no_grace);
	tcase_add_test(tcase, who_goes_on_writing_has_no_grace);
	tcase_add_test(tcase, a_response_ends_with_its_output);
	tcase_add_test(tcase, a_script_that_has_closed_its_output_gets_all_of_its_body);
	tcase_add_loop_test(tcase, its_time_goes_on, 0, ON_DISCONNECT_IGNORE + 1);
	tcase_add_test(tcase, one_whose_pipes_are_closed_is_timed_too);
	tcase_add_test(tcase, its_time_goes_on_even_if_it_is_up);
	tcase_add_test(tcase, one_that_waits_for_the_rest_of_its_body_has_a_grace);
	tcase_add_loop_test(tcase, one_that_is_let_go_on_has_an_end_of_its_body, ON_DISCONNECT_CLOSE,
	    ON_DISCONNECT_IGNORE + 1);
	tcase_add_test(tcase, what_is_left_behind_may_write_to_stderr);
	tcase_add_test(tcase, so_much_of_stderr_is_held_and_no_more);
	tcase_add_loop_test(tcase, an_answer_that_is_cut_has_no_end, 0, sizeof cuts / sizeof *cuts);
	tcase_add_test(tcase, one_that_is_at_its_end_is_not_cut);
	tcase_add_test(tcase, where_others_use_the_connection_it_has_failed);
	tcase_add_test(tcase, a_script_may_go_on_without_its_client);
	tcase_add_test(tcase, a_client_that_is_gone_before_it_has_sent_all_is_forgotten);
}

int main(void)
{
	return check_main("request", add);
}

/* SPDX-License-Identifier: ISC */
/*
 * check_errlog: a script's stderr as log lines, or as records to the client.
 */
#include "check_util.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgi/errlog.h"
#include "cgi/relay.h"
#include "base/clock.h"
#include "base/log.h"
#include "fcgi/record.h"
#include "base/sys.h"

static struct loop *loop;
static struct errlog errlog;
static int script = -1; /* the script's end of its stderr */

static struct outlet *client; /* that on_read() delivers to; NULL: not yet */

static void on_read(struct errlog *of)
{
	if (client != NULL)
		errlog_deliver(of, client, RELAY_HIGH);
}

static int64_t stopped_at; /* ms, what clock_ms() says; 0: the true time */

int64_t __real_clock_ms(void);
int64_t __wrap_clock_ms(void);

int64_t __wrap_clock_ms(void)
{
	return stopped_at > 0 ? stopped_at : __real_clock_ms();
}

static void start(bool to_client)
{
	int fds[2];

	ck_assert_int_eq(sys_pipe(fds, SYS_PIPE_READ), 0);
	ck_assert_int_eq(sys_nonblock(fds[1]), 0);
	errlog_init(&errlog, loop, to_client ? on_read : NULL);
	errlog_attach(&errlog, fds[0], "/srv/x.cgi", 4711, 7);
	script = fds[1];
}

/* Starts, and lets the moment pass in which it does not look. */
static void start_watched(bool to_client)
{
	start(to_client);
	for (int i = 0; i < patience(1000) && errlog.pipe.fd < 0; i++)
		ck_assert_int_eq(loop_turn(loop, 1), 0);
	ck_assert_int_eq(errlog.pipe.fd, errlog.fd);
}

static void setup(void)
{
	log_open(LOG_LEVEL_INFO, LOG_FORM_JOURNAL);
	stopped_at = 0;
	loop = loop_new();
	ck_assert_ptr_nonnull(loop);
}

static void close_script(void)
{
	if (script >= 0)
		close(script);
	script = -1;
}

static void teardown(void)
{
	errlog_fini(&errlog);
	close_script();
	loop_free(&loop);
	log_open(LOG_LEVEL_INFO, LOG_FORM_PLAIN);
}

static void say(const char *text)
{
	ck_assert_int_eq(write(script, text, strlen(text)), (ssize_t)strlen(text));
}

static void turn(void)
{
	ck_assert_int_eq(loop_turn(loop, 0), 0);
}

#define LINE(text) "<4>/srv/x.cgi[4711]: request 7: stderr: " text "\n"

static int count(const char *text, const char *part)
{
	int n = 0;

	for (; (text = strstr(text, part)) != NULL; text += strlen(part))
		n++;
	return n;
}

/* ---- to the log ----------------------------------------------------------------------- */

START_TEST(each_line_is_logged_when_it_is_whole)
{
	start_watched(false);
	capture_begin();
	say("one\ntwo\r\n\nthr");
	turn();
	ck_assert_str_eq(capture_end(), LINE("one") LINE("two"));
	capture_begin();
	say("ee\n");
	turn();
	ck_assert_str_eq(capture_end(), LINE("three"));
	ck_assert_str_eq(errlog.first, "one");
}
END_TEST

START_TEST(a_nul_is_a_byte_as_any_other)
{
	static const char text[] = "a\0b\n\0\nc\0";

	for (size_t cut = 0; cut <= sizeof text - 1; cut++) {
		start_watched(false);
		capture_begin();
		ck_assert_int_eq(write(script, text, cut), (ssize_t)cut);
		if (cut > 0)
			turn();
		ck_assert_int_eq(write(script, text + cut, sizeof text - 1 - cut),
		    (ssize_t)(sizeof text - 1 - cut));
		turn();
		errlog_finish(&errlog);
		ck_assert_str_eq(
		    capture_end(), LINE("a\\x00b") LINE("\\x00") LINE("c\\x00"));
		ck_assert_str_eq(errlog.first, "a?b");
		errlog_fini(&errlog);
		close_script();
	}
	start_watched(true);
	ck_assert_int_eq(write(script, text, sizeof text - 1), (ssize_t)sizeof text - 1);
	turn();
	ck_assert_uint_eq(buf_len(&errlog.held), sizeof text - 1);
	ck_assert_mem_eq(buf_bytes(&errlog.held), text, sizeof text - 1);
	ck_assert_str_eq(errlog.first, "a?b");
}
END_TEST

START_TEST(lines_are_the_same_however_they_are_split)
{
	static const char text[] = "first line\nsecond\n\nlast without end";

	for (size_t cut = 0; cut <= strlen(text); cut++) {
		start_watched(false);
		capture_begin();
		ck_assert_int_eq(write(script, text, cut), (ssize_t)cut);
		if (cut > 0)
			turn();
		say(text + cut);
		turn();
		errlog_finish(&errlog);
		ck_assert_str_eq(
		    capture_end(), LINE("first line") LINE("second") LINE("last without end"));
		ck_assert_str_eq(errlog.first, "first line");
		errlog_fini(&errlog);
		close_script();
	}
	start_watched(false);
}
END_TEST

START_TEST(a_script_that_ends_at_once_is_read_and_never_watched)
{
	stopped_at = clock_ms();
	turn();
	start(false);
	say("one\n");
	capture_begin();
	stopped_at += ERRLOG_DELAY - 1;
	turn();
	ck_assert_int_eq(errlog.pipe.fd, -1);
	errlog_finish(&errlog);
	ck_assert_str_eq(capture_end(), LINE("one"));
	ck_assert_int_eq(errlog.fd, -1);
}
END_TEST

START_TEST(finishing_reads_what_is_still_there)
{
	start(false);
	say("one\ntwo");
	capture_begin();
	errlog_finish(&errlog);
	ck_assert_str_eq(capture_end(), LINE("one") LINE("two"));
	ck_assert_int_eq(errlog.fd, -1);
	capture_begin();
	errlog_finish(&errlog);
	ck_assert_str_eq(capture_end(), "");
}
END_TEST

START_TEST(silence_is_silent)
{
	start_watched(false);
	capture_begin();
	close_script();
	turn();
	ck_assert_int_eq(errlog.fd, -1);
	errlog_finish(&errlog);
	ck_assert_str_eq(capture_end(), "");
	ck_assert_ptr_null(errlog.first);
}
END_TEST

/* The x's of all lines together, however long the lines are. */
static size_t logged_bytes(const char *said)
{
	size_t bytes = 0;

	for (; *said != '\0'; said++)
		bytes += *said == 'X';
	return bytes;
}

START_TEST(a_long_line_is_logged_in_pieces)
{
	static char line[3 * ERRLOG_LINE_MAX + 100];
	const char *said;

	memset(line, 'X', sizeof line - 2);
	line[sizeof line - 2] = '\n';
	start_watched(false);
	capture_begin();
	say(line);
	turn();
	said = capture_end();
	ck_assert_int_eq(count(said, "stderr: "), 4);
	ck_assert_uint_eq(logged_bytes(said), sizeof line - 2);
	ck_assert_uint_eq(strlen(errlog.first), ERRLOG_FIRST_MAX);
}
END_TEST

START_TEST(a_line_without_end_is_logged_in_pieces)
{
	const char *said;

	start_watched(false);
	capture_begin();
	for (int i = 0; i < 3 * ERRLOG_LINE_MAX + 10; i++) {
		say("X");
		turn();
	}
	errlog_finish(&errlog);
	said = capture_end();
	ck_assert_int_eq(count(said, "stderr: "), 4);
	ck_assert_uint_eq(logged_bytes(said), 3 * ERRLOG_LINE_MAX + 10);
}
END_TEST

START_TEST(control_bytes_are_escaped)
{
	start_watched(false);
	capture_begin();
	say("a\x1b[31mb\tc\xff\n");
	turn();
	ck_assert_str_eq(capture_end(), LINE("a\\x1b[31mb\\x09c\\xff"));
}
END_TEST

START_TEST(a_flood_is_read_and_cut_with_a_line_that_says_so)
{
	const char *said;

	start_watched(false);
	capture_begin();
	for (int i = 0; i < 3000; i++) {
		say("twelve bytes\n");
		if (i % 100 == 0)
			turn();
	}
	turn();
	errlog_finish(&errlog);
	said = capture_end();
	ck_assert_int_eq(count(said, "twelve bytes"), ERRLOG_BURST);
	ck_assert_ptr_nonnull(strstr(said, "33600 bytes of stderr dropped"));
}
END_TEST

START_TEST(after_a_while_a_flood_may_go_on)
{
	const char *said;

	stopped_at = clock_ms();
	loop_refresh(loop);
	start(false);
	capture_begin();
	for (int i = 0; i <= ERRLOG_BURST; i++)
		say("x\n");
	errlog_read(&errlog);
	stopped_at += ERRLOG_WINDOW;
	loop_refresh(loop);
	say("again\n");
	errlog_read(&errlog);
	said = capture_end();
	ck_assert_ptr_nonnull(strstr(said, "request 7: 1 bytes of stderr dropped: too much of it\n" LINE("again")));
}
END_TEST

START_TEST(lines_of_a_preloader_name_it)
{
	const char *said;

	start(false);
	errlog.id = 0;
	capture_begin();
	for (int i = 0; i <= ERRLOG_BURST; i++)
		say("x\n");
	errlog_finish(&errlog);
	said = capture_end();
	ck_assert_int_eq(count(said, "<4>preloader for /srv/x.cgi (pid 4711): stderr: x\n"), ERRLOG_BURST);
	ck_assert_ptr_nonnull(strstr(said,
	    "<4>preloader for /srv/x.cgi (pid 4711): 1 bytes of stderr dropped: too much of it\n"));
}
END_TEST

/* ---- to the client ------------------------------------------------------------------------ */

START_TEST(it_is_held_until_it_is_delivered)
{
	struct outlet out;

	outlet_init(&out, 1000);
	start_watched(true);
	capture_begin();
	say("one\ntwo\n");
	turn();
	ck_assert_uint_eq(buf_len(&out.records), 0);
	errlog_deliver(&errlog, &out, SIZE_MAX);
	ck_assert_uint_eq(buf_len(&out.records), record_size(8));
	ck_assert_mem_eq(buf_bytes(&out.records), "\1\7\0\7\0\x08\0\0one\ntwo\n", 16);
	errlog_deliver(&errlog, &out, SIZE_MAX); /* nothing held */
	ck_assert_uint_eq(buf_len(&out.records), 16);
	say("three");
	errlog_finish(&errlog);
	errlog_deliver(&errlog, &out, SIZE_MAX);
	ck_assert_mem_eq(buf_bytes(&out.records) + 16, "\1\7\0\7\0\5\3\0three", 13);
	ck_assert_str_eq(capture_end(), ""); /* not logged as well */
	ck_assert_str_eq(errlog.first, "one");
	outlet_fini(&out);
}
END_TEST

START_TEST(it_leaves_room_for_others)
{
	struct outlet out;

	outlet_init(&out, 1000);
	start_watched(true);
	say("12345678");
	turn();
	ck_assert_int_eq(record_put(&out.records, FCGI_STDOUT, 1, "12345678", 8), 0);
	errlog_deliver(&errlog, &out, 16);
	ck_assert_uint_eq(buf_len(&out.records), 16);
	errlog_deliver(&errlog, &out, 17);
	ck_assert_uint_eq(buf_len(&out.records), 32);
	outlet_fini(&out);
}
END_TEST

START_TEST(a_flood_is_bounded_and_said)
{
	struct outlet out;
	char text[1001];

	memset(text, 'X', 1000);
	text[1000] = '\0';
	outlet_init(&out, 100000);
	start_watched(true);
	capture_begin();
	for (int i = 0; i < 20; i++) {
		say(text);
		turn();
	}
	errlog_finish(&errlog);
	errlog_deliver(&errlog, &out, SIZE_MAX);
	ck_assert_uint_eq(buf_len(&out.records), record_size(ERRLOG_HELD_MAX));
	ck_assert_ptr_nonnull(strstr(capture_end(), "11808 bytes of stderr dropped"));
	outlet_fini(&out);
}
END_TEST

START_TEST(to_the_log_there_is_nothing_to_deliver)
{
	struct outlet out;

	outlet_init(&out, 100);
	start_watched(false);
	say("no end");
	turn();
	errlog_deliver(&errlog, &out, SIZE_MAX);
	ck_assert_uint_eq(buf_len(&out.records), 0);
	outlet_fini(&out);
}
END_TEST

/* How much the pipe takes of `len` bytes, while the loop turns. */
static size_t flood(size_t len)
{
	static char text[4096];
	size_t said = 0;

	memset(text, 'X', sizeof text);
	for (int idle = 0; said < len && idle < 100;) {
		size_t part = len - said < sizeof text ? len - said : sizeof text;
		ssize_t n = write(script, text, part);

		idle = n > 0 ? 0 : idle + 1;
		said += n > 0 ? (size_t)n : 0;
		turn();
	}
	return said;
}

START_TEST(after_the_header_block_it_goes_out_as_it_comes)
{
	struct outlet out;

	outlet_init(&out, 1 << 20);
	client = &out;
	start_watched(true);
	say("one\n");
	turn();
	ck_assert_uint_eq(buf_len(&out.records), record_size(4));
	client = NULL;
	outlet_fini(&out);
}
END_TEST

START_TEST(after_the_header_block_nothing_is_lost)
{
	struct outlet out;
	size_t said;

	outlet_init(&out, 1 << 20);
	client = &out;
	start_watched(true);
	capture_begin();
	said = flood(1 << 20);
	/* the client takes nothing: then the script waits */
	ck_assert_uint_lt(said, 1 << 20);
	ck_assert_uint_lt(buf_len(&out.records), RELAY_HIGH + 2 * ERRLOG_HELD_MAX);
	ck_assert_uint_le(buf_len(&errlog.held), ERRLOG_HELD_MAX);
	/* it takes all: so does the script go on */
	buf_consume(&out.records, buf_len(&out.records));
	errlog_deliver(&errlog, &out, RELAY_HIGH);
	ck_assert_uint_gt(flood(16384), 0);
	/* the end: what is left goes out whether there is room or not */
	errlog_finish(&errlog);
	errlog_deliver(&errlog, &out, SIZE_MAX);
	ck_assert_uint_eq(buf_len(&errlog.held), 0);
	ck_assert_str_eq(capture_end(), "");
	client = NULL;
	outlet_fini(&out);
}
END_TEST

START_TEST(when_the_client_has_gone_it_goes_to_the_log)
{
	start_watched(true);
	capture_begin();
	say("one\ntw");
	turn();
	errlog_turn_to_log(&errlog);
	say("o\n");
	turn();
	ck_assert_str_eq(capture_end(), "<4>/srv/x.cgi[4711]: request 7: stderr: one\n"
					"<4>/srv/x.cgi[4711]: request 7: stderr: two\n");
}
END_TEST

START_TEST(finishing_ends_though_a_descendant_goes_on_writing)
{
	char text[4097];

	memset(text, 'X', 4096);
	text[4096] = '\0';
	start_watched(true);
	while (write(script, text, 4096) > 0) /* as full as a pipe can be */
		;
	capture_begin();
	errlog_finish(&errlog);
	ck_assert_int_eq(errlog.fd, -1);
	ck_assert_ptr_nonnull(strstr(capture_end(), "dropped"));
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, each_line_is_logged_when_it_is_whole);
	tcase_add_test(tcase, a_nul_is_a_byte_as_any_other);
	tcase_add_test(tcase, lines_are_the_same_however_they_are_split);
	tcase_add_test(tcase, a_script_that_ends_at_once_is_read_and_never_watched);
	tcase_add_test(tcase, finishing_reads_what_is_still_there);
	tcase_add_test(tcase, silence_is_silent);
	tcase_add_test(tcase, a_long_line_is_logged_in_pieces);
	tcase_add_test(tcase, a_line_without_end_is_logged_in_pieces);
	tcase_add_test(tcase, control_bytes_are_escaped);
	tcase_add_test(tcase, a_flood_is_read_and_cut_with_a_line_that_says_so);
	tcase_add_test(tcase, after_a_while_a_flood_may_go_on);
	tcase_add_test(tcase, lines_of_a_preloader_name_it);
	tcase_add_test(tcase, it_is_held_until_it_is_delivered);
	tcase_add_test(tcase, it_leaves_room_for_others);
	tcase_add_test(tcase, a_flood_is_bounded_and_said);
	tcase_add_test(tcase, to_the_log_there_is_nothing_to_deliver);
	tcase_add_test(tcase, after_the_header_block_it_goes_out_as_it_comes);
	tcase_add_test(tcase, after_the_header_block_nothing_is_lost);
	tcase_add_test(tcase, when_the_client_has_gone_it_goes_to_the_log);
	tcase_add_test(tcase, finishing_ends_though_a_descendant_goes_on_writing);
}

int main(void)
{
	return check_main("errlog", add);
}

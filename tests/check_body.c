/* SPDX-License-Identifier: ISC */
/*
 * check_body: a request body on its way to a script that reads, reads late, or never.
 */
#include "check_util.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cgi/body.h"
#include "base/sys.h"

static struct loop *loop;
static struct body body;
static int script = -1; /* the script's end of its stdin */
static int moves;
static unsigned char bytes[400000];
static char got[500000];
static size_t got_len;

static void on_moved(struct body *moved)
{
	ck_assert_ptr_eq(moved, &body);
	moves++;
}

static void start(uint64_t max)
{
	body_init(&body, loop, max, temp_dir(), on_moved);
}

static void setup(void)
{
	signals_keep();
	signal(SIGPIPE, SIG_IGN);
	temp_make();
	loop = loop_new();
	ck_assert_ptr_nonnull(loop);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 17 + (i >> 9));
	moves = 0;
	got_len = 0;
	start(1 << 30);
}

static void close_script(void)
{
	if (script >= 0)
		close(script);
	script = -1;
}

static void teardown(void)
{
	body_fini(&body);
	close_script();
	loop_free(&loop);
	temp_remove();
	signals_restore();
}

static int attach(void)
{
	int fds[2];

	ck_assert_int_eq(sys_pipe(fds, SYS_PIPE_WRITE), 0);
	ck_assert_int_eq(sys_nonblock(fds[0]), 0);
	script = fds[0];
	return body_attach(&body, fds[1]);
}

/* Reads what is there; true at the end of it. */
static bool read_script(void)
{
	ssize_t n;

	while ((n = read(script, got + got_len, sizeof got - got_len)) > 0)
		got_len += (size_t)n;
	return n == 0;
}

static bool at_end(void *context)
{
	(void)context;
	return read_script();
}

/* The script reads to its end, and that is the first `len` bytes. */
static void expect_all(size_t len)
{
	ck_assert(turn_until(loop, at_end, NULL));
	ck_assert_uint_eq(got_len, len);
	ck_assert(memcmp(got, bytes, len) == 0);
	ck_assert_uint_eq(body_waiting(&body), 0);
}

START_TEST(what_the_pipe_takes_goes_at_once)
{
	ck_assert_int_eq(attach(), 0);
	ck_assert_int_eq(body_feed(&body, bytes, 5), 0);
	ck_assert(!read_script());
	ck_assert_uint_eq(got_len, 5);
	ck_assert_int_eq(body_feed(&body, bytes + 5, 3), 0);
	ck_assert(!read_script());
	ck_assert_uint_eq(got_len, 8);
	ck_assert_uint_eq(body_waiting(&body), 0);
	body_end(&body);
	ck_assert(read_script());
	expect_all(8);
	ck_assert_uint_eq(body.received, 8);
}
END_TEST

START_TEST(what_comes_before_the_script_waits)
{
	ck_assert_int_eq(body_feed(&body, bytes, 100000), 0);
	ck_assert_int_eq(body_feed(&body, bytes + 100000, 200000), 0);
	ck_assert_uint_eq(body_waiting(&body), 300000);
	ck_assert_int_eq(attach(), 0);
	ck_assert_uint_lt(body_waiting(&body), 300000);
	body_end(&body);
	expect_all(300000);
	ck_assert_int_gt(moves, 0);
}
END_TEST

START_TEST(an_ended_body_is_attached_and_closed)
{
	ck_assert_int_eq(body_feed(&body, bytes, 10), 0);
	body_end(&body);
	ck_assert_int_eq(attach(), 0);
	ck_assert_int_eq(body.pipe.fd, -1);
	ck_assert(read_script());
	expect_all(10);
}
END_TEST

START_TEST(an_empty_body_is_closed_at_once)
{
	ck_assert_int_eq(attach(), 0);
	body_end(&body);
	body_end(&body);
	ck_assert(read_script());
	expect_all(0);
}
END_TEST

START_TEST(a_slow_reader_gets_all_in_order)
{
	ck_assert_int_eq(attach(), 0);
	for (size_t at = 0; at < sizeof bytes; at += 8000) {
		ck_assert_int_eq(body_feed(&body, bytes + at, 8000), 0);
		if (at % 80000 == 0) {
			got_len += (size_t)read(script, got + got_len, 5000);
			turn_for(loop, 0);
		}
	}
	ck_assert_uint_gt(body_waiting(&body), 0);
	body_end(&body);
	expect_all(sizeof bytes);
}
END_TEST

/* ---- a known length ---------------------------------------------------------------------- */

START_TEST(the_length_ends_it_whatever_follows)
{
	body_expect(&body, 10);
	ck_assert_int_eq(attach(), 0);
	ck_assert_int_eq(body_feed(&body, bytes, 4), 0);
	ck_assert(!read_script());
	ck_assert_int_eq(body_feed(&body, bytes + 4, 4), 0);
	ck_assert(!body.ended);
	ck_assert_int_eq(body_feed(&body, bytes + 8, 300), 0);
	ck_assert(body.ended);
	ck_assert(read_script());
	ck_assert_int_eq(body_feed(&body, bytes, 300), 0);
	body_end(&body);
	expect_all(10);
	ck_assert_uint_eq(body.received, 10);
}
END_TEST

START_TEST(a_length_of_nothing_ends_it_before_it_begins)
{
	body_expect(&body, 0);
	ck_assert(body.ended);
	ck_assert_int_eq(body_feed(&body, bytes, 5), 0);
	ck_assert_uint_eq(body_waiting(&body), 0);
	ck_assert_int_eq(attach(), 0);
	ck_assert(read_script());
	expect_all(0);
}
END_TEST

START_TEST(a_length_that_has_come_already_ends_it)
{
	ck_assert_int_eq(body_feed(&body, bytes, 10), 0);
	body_expect(&body, 10);
	ck_assert(body.ended);
	ck_assert_int_eq(body_feed(&body, bytes, 10), 0);
	ck_assert_int_eq(attach(), 0);
	expect_all(10);
}
END_TEST

START_TEST(what_is_beyond_the_length_is_dropped_though_it_came_before)
{
	ck_assert_int_eq(body_feed(&body, bytes, 100), 0);
	body_expect(&body, 10);
	ck_assert_int_eq(attach(), 0);
	expect_all(10);
}
END_TEST

START_TEST(a_body_may_end_before_its_length)
{
	body_expect(&body, 10);
	ck_assert_int_eq(attach(), 0);
	ck_assert_int_eq(body_feed(&body, bytes, 4), 0);
	body_end(&body);
	ck_assert(body.ended);
	expect_all(4);
}
END_TEST

/* ---- scripts that do not read -------------------------------------------------------------- */

START_TEST(a_script_that_has_closed_its_stdin_is_in_its_right)
{
	ck_assert_int_eq(attach(), 0);
	close_script();
	ck_assert_int_eq(body_feed(&body, bytes, 1000), 0);
	ck_assert(body.dropped);
	ck_assert_int_eq(body.pipe.fd, -1);
	ck_assert_int_eq(body_feed(&body, bytes, 1000), 0);
	ck_assert_uint_eq(body_waiting(&body), 0);
	body_end(&body);
}
END_TEST

static bool is_dropped(void *context)
{
	(void)context;
	return body.dropped;
}

START_TEST(a_script_that_closes_later_is_noticed_while_nothing_comes)
{
	ck_assert_int_eq(attach(), 0);
	ck_assert_int_eq(body_feed(&body, bytes, 10), 0);
	turn_for(loop, 5);
	ck_assert_int_eq(moves, 0);
	close_script();
	ck_assert(turn_until(loop, is_dropped, NULL));
	ck_assert_int_eq(moves, 1);
	ck_assert_int_eq(body.pipe.fd, -1);
}
END_TEST

START_TEST(a_script_that_closes_while_much_waits_gives_the_room_back)
{
	int fds = count_fds();

	ck_assert_int_eq(attach(), 0);
	ck_assert_int_eq(body_feed(&body, bytes, sizeof bytes), 0);
	ck_assert_uint_gt(body_waiting(&body), SPOOL_MEMORY);
	close_script();
	ck_assert(turn_until(loop, is_dropped, NULL));
	ck_assert_uint_eq(body_waiting(&body), 0);
	ck_assert_int_eq(count_fds(), fds);
}
END_TEST

START_TEST(dropping_forgets_all)
{
	ck_assert_int_eq(attach(), 0);
	ck_assert_int_eq(body_feed(&body, bytes, sizeof bytes), 0);
	body_drop(&body);
	body_drop(&body);
	ck_assert(body.dropped);
	ck_assert_uint_eq(body_waiting(&body), 0);
	while (!read_script()) /* what the pipe had, and the end */
		;
	ck_assert_int_eq(body_feed(&body, bytes, 10), 0);
	ck_assert_uint_eq(body_waiting(&body), 0);
}
END_TEST

/* ---- bounds ------------------------------------------------------------------------------------ */

START_TEST(more_than_may_wait_is_an_error)
{
	body_fini(&body);
	start(1000);
	ck_assert_int_eq(body_feed(&body, bytes, 1000), 0);
	errno = 0;
	ck_assert_int_eq(body_feed(&body, bytes, 1), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
}
END_TEST

START_TEST(of_a_known_length_as_much_may_wait_as_is_held_back_for)
{
	body_fini(&body);
	start(1000);
	body_expect(&body, sizeof bytes);
	ck_assert_int_eq(body_feed(&body, bytes, SPOOL_MEMORY - 1), 0);
	ck_assert_int_eq(body_feed(&body, bytes, SPOOL_MEMORY), 0);
	ck_assert_int_eq(body_feed(&body, bytes, 1), 0);
	ck_assert_int_eq(body_feed(&body, bytes, 1), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
}
END_TEST

START_TEST(what_passes_through_is_not_bounded)
{
	body_fini(&body);
	start(1000);
	ck_assert_int_eq(attach(), 0);
	for (size_t at = 0; at < sizeof bytes; at += 1000) {
		ck_assert_int_eq(body_feed(&body, bytes + at, 1000), 0);
		ck_assert(!read_script());
	}
	body_end(&body);
	expect_all(sizeof bytes);
}
END_TEST

START_TEST(a_spool_that_cannot_be_made_is_an_error)
{
	body_fini(&body);
	body_init(&body, loop, 1 << 30, temp_path("none"), on_moved);
	ck_assert_int_eq(body_feed(&body, bytes, SPOOL_MEMORY), 0);
	errno = 0;
	ck_assert_int_eq(body_feed(&body, bytes, 1), -1);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(a_spool_that_cannot_be_read_back_ends_it)
{
	ck_assert_int_eq(body_feed(&body, bytes, 300000), 0);
	ck_assert_int_eq(ftruncate(body.spool.fd, 0), 0);
	capture_begin();
	ck_assert_int_eq(attach(), 0);
	ck_assert(turn_until(loop, at_end, NULL)); /* the script sees the end */
	ck_assert_ptr_nonnull(strstr(capture_end(), "request body lost: cannot read it back from"));
	ck_assert_uint_lt(got_len, 300000);
	ck_assert_uint_eq(body_waiting(&body), 0);
	ck_assert_int_eq(body_feed(&body, bytes, 1), 0); /* the client may go on */
}
END_TEST

/* ---- bodies that are moved ------------------------------------------------------------- */

static int sender = -1;  /* the client's end of a socket */
static int receiver = -1;

static void open_socket(void)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert(sys_nonblock(fds[0]) == 0 && sys_nonblock(fds[1]) == 0);
	sender = fds[0];
	receiver = fds[1];
}

static void close_socket(void)
{
	if (sender >= 0)
		close(sender);
	close(receiver);
	sender = -1;
}

/* A script has read the first BODY_BULK bytes. */
static void begin_bulk(uint64_t length)
{
	open_socket();
	body_expect(&body, length);
	ck_assert_int_eq(attach(), 0);
	ck_assert(!body_is_bulky(&body));
	for (size_t at = 0; at < BODY_BULK; at += 16384) {
		ck_assert_int_eq(body_feed(&body, bytes + at, 16384), 0);
		ck_assert(!read_script());
	}
	ck_assert(body_is_bulky(&body));
}

/* Whether this system moves anything; if not, that has to be known at once. */
static bool is_moving_here(void)
{
	ssize_t n = body_move(&body, receiver, 1);

	ck_assert_int_lt(n, 0);
	if (errno == EAGAIN)
		return true;
	ck_assert_int_eq(errno, ENOSYS);
	ck_assert(!body_is_bulky(&body));
	close_socket();
	return false;
}

static void send_bytes(size_t at, size_t len)
{
	ck_assert_int_eq(send(sender, bytes + at, len, 0), (ssize_t)len);
}

START_TEST(a_large_body_is_moved_up_to_its_length)
{
	begin_bulk(BODY_BULK + 5000);
	if (!is_moving_here())
		return;
	send_bytes(BODY_BULK, 6000);
	ck_assert_int_eq(body_move(&body, receiver, 4000), 4000);
	ck_assert(body_is_bulky(&body));
	ck_assert_int_eq(body_move(&body, receiver, 4000), 1000); /* the length ends it */
	ck_assert(body.ended && !body_is_bulky(&body));
	ck_assert_uint_eq(body.received, BODY_BULK + 5000);
	expect_all(BODY_BULK + 5000);
	ck_assert_int_eq(read(receiver, got, sizeof got), 1000); /* untouched */
	close_socket();
}
END_TEST

START_TEST(what_waits_goes_before_what_is_moved)
{
	begin_bulk(1 << 30);
	if (!is_moving_here())
		return;
	while (body_waiting(&body) == 0) /* until the pipe is full */
		ck_assert_int_eq(body_feed(&body, bytes, 10000), 0);
	ck_assert(!body_is_bulky(&body));
	close_socket();
}
END_TEST

START_TEST(a_script_without_room_is_waited_for)
{
	begin_bulk(1 << 30);
	if (!is_moving_here())
		return;
	for (ssize_t n = 1; n > 0;) {
		while (send(sender, bytes, 65536, 0) > 0)
			;
		n = body_move(&body, receiver, 65536);
		ck_assert_uint_lt(body.received, 10 << 20);
	}
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert(body_is_bulky(&body));
	ck_assert(!body_awaits_room(&body));
	body_await_room(&body);
	ck_assert(body_awaits_room(&body));
	moves = 0;
	turn_for(loop, 2);
	ck_assert_int_eq(moves, 0);
	while (read(script, got, sizeof got) > 0)
		;
	turn_for(loop, 2);
	ck_assert_int_eq(moves, 1);
	ck_assert(!body_awaits_room(&body));
	ck_assert_int_gt(body_move(&body, receiver, 65536), 0);
	close_socket();
}
END_TEST

START_TEST(the_end_of_the_socket_is_told)
{
	begin_bulk(1000000);
	if (!is_moving_here())
		return;
	close(sender);
	sender = -1;
	ck_assert_int_eq(body_move(&body, receiver, 10), 0);
	ck_assert(!body.ended);
	close_socket();
}
END_TEST

START_TEST(a_script_that_closes_is_found_out_by_writing)
{
	begin_bulk(1000000);
	if (!is_moving_here())
		return;
	close_script();
	send_bytes(0, 1000);
	ck_assert_int_lt(body_move(&body, receiver, 1000), 0);
	ck_assert_int_ne(errno, EAGAIN);
	ck_assert(!body_is_bulky(&body));
	ck_assert_int_eq(body_feed(&body, bytes, 10), 0);
	ck_assert(body.dropped);
	close_socket();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, what_the_pipe_takes_goes_at_once);
	tcase_add_test(tcase, what_comes_before_the_script_waits);
	tcase_add_test(tcase, an_ended_body_is_attached_and_closed);
	tcase_add_test(tcase, an_empty_body_is_closed_at_once);
	tcase_add_test(tcase, a_slow_reader_gets_all_in_order);
	tcase_add_test(tcase, the_length_ends_it_whatever_follows);
	tcase_add_test(tcase, a_length_of_nothing_ends_it_before_it_begins);
	tcase_add_test(tcase, a_length_that_has_come_already_ends_it);
	tcase_add_test(tcase, what_is_beyond_the_length_is_dropped_though_it_came_before);
	tcase_add_test(tcase, a_body_may_end_before_its_length);
	tcase_add_test(tcase, a_script_that_has_closed_its_stdin_is_in_its_right);
	tcase_add_test(tcase, a_script_that_closes_later_is_noticed_while_nothing_comes);
	tcase_add_test(tcase, a_script_that_closes_while_much_waits_gives_the_room_back);
	tcase_add_test(tcase, dropping_forgets_all);
	tcase_add_test(tcase, more_than_may_wait_is_an_error);
	tcase_add_test(tcase, of_a_known_length_as_much_may_wait_as_is_held_back_for);
	tcase_add_test(tcase, what_passes_through_is_not_bounded);
	tcase_add_test(tcase, a_spool_that_cannot_be_made_is_an_error);
	tcase_add_test(tcase, a_spool_that_cannot_be_read_back_ends_it);
	tcase_add_test(tcase, a_large_body_is_moved_up_to_its_length);
	tcase_add_test(tcase, what_waits_goes_before_what_is_moved);
	tcase_add_test(tcase, a_script_without_room_is_waited_for);
	tcase_add_test(tcase, the_end_of_the_socket_is_told);
	tcase_add_test(tcase, a_script_that_closes_is_found_out_by_writing);
}

int main(void)
{
	return check_main("body", add);
}

/* SPDX-License-Identifier: ISC */
/*
 * check_outlet: records from memory and contents from pipes, in the order in which their
 * headers went out; and what becomes of a record whose pipe is taken away.  Where the
 * system moves nothing, all is copied, and the tests of moving ask for just that.
 */
#include "check_util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/outlet.h"
#include "fcgi/record.h"
#include "base/sys.h"

enum { JUNK = 4000, LEN_MAX = 65528, ALL_MAX = 4 << 20 };

static struct outlet outlet;
static int client = -1;
static int script = -1;
static int pipe_fd = -1;
static unsigned char *all; /* the contents that the client has got */
static struct fcgi_reader reader;
static size_t content_len; /* of records of id 7 */
static int others;         /* records of other ids */
static bool moves;         /* this system does */
static size_t len;         /* of a content */

static void open_pair(void)
{
	int size = 16 * 1024;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert(sys_nonblock(fds[0]) == 0 && sys_nonblock(fds[1]) == 0);
	ck_assert_int_eq(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
	client = fds[0];
	outlet.socket = fds[1];
}

static void setup(void)
{
	static const int signals[] = {0};
	struct loop *loop = loop_new();
	int fds[2];

	signals_keep();
	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(loop_signals(loop, signals, NULL, NULL), 0); /* blocks SIGPIPE */
	loop_free(&loop);
	outlet_init(&outlet, 200 * 1024);
	open_pair();
	ck_assert_int_eq(sys_pipe(fds, SYS_PIPE_READ), 0);
	ck_assert_int_eq(sys_nonblock(fds[1]), 0);
	pipe_fd = fds[0];
	script = fds[1];
	all = malloc(ALL_MAX);
	ck_assert_ptr_nonnull(all);
	content_len = 0;
	others = 0;
	fcgi_reader_init(&reader);
	moves = sys_move(pipe_fd, outlet.socket, 8) < 0 && errno == EAGAIN;
	len = moves ? LEN_MAX : LEN_MAX / 2 - 4;
	sys_pipe_widen(pipe_fd, 256 * 1024);
}

static void hang_up(void)
{
	if (client >= 0)
		close(client);
	client = -1;
}

static void teardown(void)
{
	hang_up();
	close(outlet.socket);
	close(pipe_fd);
	close(script);
	free(all);
	outlet_fini(&outlet);
	signals_restore();
}

/*
 * The script writes a content whose bytes tell their place.  It begins in the middle of a
 * page, so that it is on seventeen, one more than Linux sends at once.
 */
static void say(void)
{
	static unsigned char bytes[JUNK + LEN_MAX];
	size_t junk = moves ? JUNK : 0;

	for (size_t i = 0; i < len; i++)
		bytes[junk + i] = (unsigned char)(i % 251);
	ck_assert_int_eq(write(script, bytes, junk + len), (ssize_t)(junk + len));
	ck_assert_int_eq(read(pipe_fd, bytes, junk), (ssize_t)junk);
}

static void take(const unsigned char *bytes, size_t left)
{
	while (left > 0) {
		struct fcgi_piece piece;
		ssize_t n = fcgi_reader_next(&reader, bytes, left, &piece);

		ck_assert_int_gt(n, 0);
		bytes += n;
		left -= (size_t)n;
		if (piece.id == 7 && piece.len > 0) {
			ck_assert_uint_le(content_len + piece.len, ALL_MAX);
			memcpy(all + content_len, piece.bytes, piece.len);
			content_len += piece.len;
		} else if (piece.id != 7 && piece.last) {
			others++;
		}
	}
}

/* The client reads what has come. */
static void receive(void)
{
	unsigned char bytes[4096];

	ssize_t n;

	while ((n = read(client, bytes, sizeof bytes)) > 0)
		take(bytes, (size_t)n);
}

static void receive_all(void)
{
	for (int turns = 0; turns < 1000; turns++) {
		ck_assert_int_eq(outlet_flush(&outlet), 0);
		if (outlet_waiting(&outlet) == 0)
			break;
		receive();
	}
	ck_assert_uint_eq(outlet_waiting(&outlet), 0);
	receive();
}

/* The client has got `count` contents as say() wrote them. */
static void expect_contents(size_t count)
{
	ck_assert_uint_eq(content_len, count * len);
	for (size_t i = 0; i < content_len; i++)
		ck_assert_uint_eq(all[i], i % len % 251);
}

/* Moves what the script has said, until the socket is full in the middle of it. */
static void move_half(void)
{
	say();
	ck_assert(outlet_move(&outlet, 7, pipe_fd, len));
	ck_assert(outlet_is_moving(&outlet, pipe_fd));
	ck_assert_uint_gt(outlet.left, 0);
	ck_assert_uint_lt(outlet.left, len);
}

START_TEST(records_wait_for_the_socket)
{
	static const unsigned char bytes[60000];

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(record_put(&outlet.records, FCGI_STDOUT, 7, bytes, 60000), 0);
	ck_assert_uint_eq(outlet_waiting(&outlet), 3 * record_size(60000));
	ck_assert_int_eq(outlet_flush(&outlet), 0);
	ck_assert_uint_gt(outlet_waiting(&outlet), 0);
	receive_all();
	ck_assert_uint_eq(content_len, 180000);
	ck_assert_ptr_null(outlet.records.data);
}
END_TEST

START_TEST(a_client_that_is_gone_is_said_to_be)
{
	ck_assert_int_eq(record_put(&outlet.records, FCGI_STDOUT, 7, "x", 1), 0);
	hang_up();
	ck_assert_int_ne(outlet_flush(&outlet), 0);
	ck_assert_int_eq(outlet.broken, OUTLET_FINE);
}
END_TEST

START_TEST(a_system_that_moves_nothing_says_so)
{
	say();
	ck_assert_uint_eq(sys_readable(pipe_fd), moves ? len : 0);
	outlet.copies = true;
	ck_assert(!outlet_move(&outlet, 7, pipe_fd, len));
	ck_assert_uint_eq(outlet_waiting(&outlet), 0);
	outlet.copies = false;
	ck_assert(outlet_move(&outlet, 7, pipe_fd, len));
	ck_assert_int_eq(outlet.copies, !moves); /* its content has been copied, then */
	receive_all();
	expect_contents(1);
}
END_TEST

START_TEST(a_content_goes_from_the_pipe_whole)
{
	for (int i = 0; i < 3; i++) {
		say();
		ck_assert(outlet_move(&outlet, 7, pipe_fd, len) || !moves);
		if (outlet.copies) {
			receive_all();
			break;
		}
		ck_assert(!outlet_move(&outlet, 7, pipe_fd, len)); /* one at a time */
		receive_all();
	}
	expect_contents(moves ? 3 : 1);
}
END_TEST

START_TEST(what_comes_later_waits_behind_it)
{
	if (!moves) { /* then nothing is ever on its way from a pipe */
		say();
		ck_assert(outlet_move(&outlet, 7, pipe_fd, len));
		ck_assert(!outlet_is_moving(&outlet, pipe_fd));
		return;
	}
	move_half();
	ck_assert(!outlet_is_moving(&outlet, script));
	ck_assert_int_eq(record_put(&outlet.records, FCGI_STDOUT, 8, "other", 5), 0);
	ck_assert_uint_eq(outlet_waiting(&outlet), outlet.left + record_size(5));
	receive_all();
	expect_contents(1);
	ck_assert_int_eq(others, 1);
}
END_TEST

START_TEST(nothing_moves_past_what_waits)
{
	ck_assert_int_eq(record_put(&outlet.records, FCGI_STDOUT, 8, "other", 5), 0);
	say();
	ck_assert(!outlet_move(&outlet, 7, pipe_fd, len));
	receive_all();
	ck_assert_int_eq(others, 1);
	ck_assert_uint_eq(content_len, 0);
}
END_TEST

/* Sends records of another id until no byte more goes. */
static void fill_socket(void)
{
	static const unsigned char bytes[1000];

	do {
		ck_assert_int_eq(outlet_flush(&outlet), 0);
		if (outlet_waiting(&outlet) == 0)
			ck_assert_int_eq(record_put(&outlet.records, FCGI_STDOUT, 8, bytes, 1000), 0);
		ck_assert_int_eq(outlet_flush(&outlet), 0);
	} while (outlet_waiting(&outlet) == 0);
	/* what was left of the last one is taken for gone */
	buf_consume(&outlet.records, buf_len(&outlet.records));
}

START_TEST(a_record_may_wait_for_the_socket)
{
	fill_socket();
	say();
	ck_assert(outlet_move(&outlet, 7, pipe_fd, len));
	ck_assert_uint_eq(outlet_waiting(&outlet), FCGI_HEADER_LEN + len);
	receive_all();
	expect_contents(1);
	ck_assert_int_gt(others, 0);
}
END_TEST

START_TEST(a_record_that_waits_is_recalled_with_its_header)
{
	fill_socket();
	say();
	ck_assert(outlet_move(&outlet, 7, pipe_fd, len));
	outlet_recall(&outlet, pipe_fd);
	ck_assert_uint_eq(sys_readable(pipe_fd), 0);
	ck_assert_uint_eq(outlet_waiting(&outlet), FCGI_HEADER_LEN + len);
	receive_all();
	expect_contents(1);
}
END_TEST

START_TEST(what_is_recalled_goes_out_from_memory_in_its_place)
{
	if (!moves)
		outlet.copies = true;
	else
		move_half();
	ck_assert_int_eq(record_put(&outlet.records, FCGI_STDOUT, 8, "other", 5), 0);
	outlet_recall(&outlet, script); /* not the one */
	ck_assert_int_eq(outlet_is_moving(&outlet, pipe_fd), moves);
	outlet_recall(&outlet, pipe_fd);
	ck_assert(!outlet_is_moving(&outlet, pipe_fd));
	receive_all();
	expect_contents(moves ? 1 : 0);
	ck_assert_int_eq(others, 1);
}
END_TEST

/* Where nothing moves a stolen content is read, and missed, at once. */
static void steal(void)
{
	unsigned char bytes[4096];

	while (read(pipe_fd, bytes, sizeof bytes) > 0)
		;
}

START_TEST(what_is_not_there_any_more_breaks_it)
{
	if (moves) {
		move_half();
		steal();
		receive();
	} else {
		ck_assert(outlet_move(&outlet, 7, pipe_fd, len));
	}
	ck_assert_int_ne(outlet_flush(&outlet), 0);
	ck_assert_int_eq(outlet.broken, OUTLET_TAKEN_BACK);
	ck_assert_int_ne(outlet_flush(&outlet), 0);
}
END_TEST

START_TEST(what_cannot_be_recalled_breaks_it)
{
	if (moves) {
		move_half();
		steal();
		outlet_recall(&outlet, pipe_fd);
	} else {
		ck_assert(outlet_move(&outlet, 7, pipe_fd, len));
	}
	ck_assert_int_eq(outlet.broken, OUTLET_TAKEN_BACK);
	ck_assert_int_ne(outlet_flush(&outlet), 0);
	ck_assert_uint_lt(content_len, len);
}
END_TEST

START_TEST(what_finds_no_room_in_memory_breaks_it)
{
	outlet_fini(&outlet);
	buf_init(&outlet.records, 100);
	if (moves) {
		move_half();
		outlet_recall(&outlet, pipe_fd);
	} else {
		say();
		ck_assert(outlet_move(&outlet, 7, pipe_fd, len));
	}
	ck_assert_int_eq(outlet.broken, OUTLET_NO_MEMORY);
	ck_assert_int_ne(outlet_flush(&outlet), 0);
}
END_TEST

START_TEST(a_client_that_leaves_in_the_middle_is_noticed)
{
	if (moves)
		move_half();
	else
		ck_assert_int_eq(record_put(&outlet.records, FCGI_STDOUT, 7, "x", 1), 0);
	hang_up();
	ck_assert_int_ne(outlet_flush(&outlet), 0);
}
END_TEST

START_TEST(a_client_that_leaves_before_the_header_is_noticed)
{
	fill_socket();
	say();
	ck_assert(outlet_move(&outlet, 7, pipe_fd, len));
	hang_up();
	ck_assert_int_ne(outlet_flush(&outlet), 0);
}
END_TEST

/* What can be neither moved nor read into memory is lost. */
START_TEST(what_cannot_be_moved_and_finds_no_room_breaks_it)
{
	outlet_fini(&outlet);
	buf_init(&outlet.records, 100);
	if (!moves)
		return; /* as above: it is read at once */
	move_half();
	hang_up();
	ck_assert_int_ne(outlet_flush(&outlet), 0);
	ck_assert_int_eq(outlet.broken, OUTLET_NO_MEMORY);
	ck_assert(!outlet_is_moving(&outlet, pipe_fd));
}
END_TEST

START_TEST(what_is_lent_goes_out_or_is_kept)
{
	static const unsigned char bytes[4000];
	struct outlet *loan = NULL;

	fill_socket();
	ck_assert(outlet_lend(&outlet, bytes, sizeof bytes, &loan));
	ck_assert(!outlet_lend(&outlet, bytes, sizeof bytes, &loan)); /* one at a time */
	ck_assert_ptr_eq(loan, &outlet);
	ck_assert_int_eq(outlet_flush(&outlet), 0);
	ck_assert_ptr_null(loan);
	ck_assert_int_eq(outlet.broken, OUTLET_FINE);
	ck_assert_uint_eq(buf_len(&outlet.records), sizeof bytes);
}
END_TEST

START_TEST(what_is_lent_and_finds_no_room_breaks_it)
{
	static const unsigned char bytes[4000];
	struct outlet *loan = NULL;

	fill_socket();
	buf_fini(&outlet.records);
	buf_init(&outlet.records, sizeof bytes - 1);
	ck_assert(outlet_lend(&outlet, bytes, sizeof bytes, &loan));
	outlet_keep(&outlet);
	ck_assert_ptr_null(loan);
	ck_assert_int_eq(outlet.broken, OUTLET_NO_MEMORY);
	ck_assert_int_ne(outlet_flush(&outlet), 0);
}
END_TEST

START_TEST(without_a_client_nothing_moves)
{
	int socket = outlet.socket;

	outlet.socket = -1;
	say();
	ck_assert(!outlet_move(&outlet, 7, pipe_fd, len));
	outlet.socket = socket;
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, records_wait_for_the_socket);
	tcase_add_test(tcase, a_client_that_is_gone_is_said_to_be);
	tcase_add_test(tcase, a_system_that_moves_nothing_says_so);
	tcase_add_test(tcase, a_content_goes_from_the_pipe_whole);
	tcase_add_test(tcase, what_comes_later_waits_behind_it);
	tcase_add_test(tcase, nothing_moves_past_what_waits);
	tcase_add_test(tcase, a_record_may_wait_for_the_socket);
	tcase_add_test(tcase, a_record_that_waits_is_recalled_with_its_header);
	tcase_add_test(tcase, what_is_recalled_goes_out_from_memory_in_its_place);
	tcase_add_test(tcase, what_is_not_there_any_more_breaks_it);
	tcase_add_test(tcase, what_cannot_be_recalled_breaks_it);
	tcase_add_test(tcase, what_finds_no_room_in_memory_breaks_it);
	tcase_add_test(tcase, a_client_that_leaves_in_the_middle_is_noticed);
	tcase_add_test(tcase, a_client_that_leaves_before_the_header_is_noticed);
	tcase_add_test(tcase, what_cannot_be_moved_and_finds_no_room_breaks_it);
	tcase_add_test(tcase, what_is_lent_goes_out_or_is_kept);
	tcase_add_test(tcase, what_is_lent_and_finds_no_room_breaks_it);
	tcase_add_test(tcase, without_a_client_nothing_moves);
}

int main(void)
{
	return check_main("outlet", add_tests);
}

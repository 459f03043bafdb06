/* SPDX-License-Identifier: ISC */
/*
 * check_unwatched: no memory, or none of the system's watches, is left to watch a descriptor: it
 * is closed, whoever waits for it is told, and what can be done without watching is done.
 */
#include "check_util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "bridge/admission.h"
#include "cgi/body.h"
#include "cgi/errlog.h"
#include "cgi/left.h"
#include "cgi/mounts.h"
#include "cgi/relay.h"

static struct loop *loop;
static int ends[2]; /* of a pipe; what is tested closes the end that it has got */

static void setup(void)
{
	log_open(LOG_LEVEL_INFO, LOG_FORM_JOURNAL);
	loop = loop_new();
	ck_assert_ptr_nonnull(loop);
	watch_at_most(-1);
}

static void teardown(void)
{
	watch_at_most(-1);
	loop_free(&loop);
	log_open(LOG_LEVEL_INFO, LOG_FORM_PLAIN);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void expect_log(const char *text)
{
	const char *log = capture_end();

	ck_assert_msg(strstr(log, text) != NULL, "%s", log);
}

/* ---- a script's stdin and stdout -------------------------------------------------------- */

static void on_moved(struct body *body)
{
	(void)body;
}

START_TEST(a_body)
{
	struct body body;

	ck_assert_int_eq(sys_pipe(ends, SYS_PIPE_WRITE), 0);
	body_init(&body, loop, 1000, "", on_moved);
	watch_at_most(0);
	ck_assert_int_eq(body_attach(&body, ends[1]), -1);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert(!is_open(ends[1]));
	body_fini(&body);
	close(ends[0]);
}
END_TEST

START_TEST(a_body_that_is_handed_over)
{
	struct body body, other;
	char byte;

	ck_assert_int_eq(sys_pipe(ends, SYS_PIPE_WRITE), 0);
	body_init(&body, loop, 1000, "", on_moved);
	ck_assert_int_eq(body_attach(&body, ends[1]), 0);
	watch_at_most(0);
	body_hand_over(&body, &other, on_moved);
	ck_assert_int_eq(read(ends[0], &byte, 1), 0); /* the script sees the end */
	ck_assert_int_eq(body_feed(&other, "x", 1), 0);
	ck_assert_uint_eq(body_waiting(&other), 0);
	body_fini(&body);
	body_fini(&other);
	close(ends[0]);
}
END_TEST

static void on_relayed(struct relay *relay)
{
	(void)relay;
}

START_TEST(an_output)
{
	static struct relay_scratch scratch;
	struct outlet out;
	struct relay relay;

	outlet_init(&out, 1 << 20);
	ck_assert_int_eq(sys_pipe(ends, SYS_PIPE_READ), 0);
	relay_init(&relay, &(struct relay_plan){.loop = loop, .scratch = &scratch, .out = &out,
			       .id = 7, .moved = on_relayed});
	watch_at_most(0);
	ck_assert_int_eq(relay_attach(&relay, ends[0]), -1);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert(!is_open(ends[0]));
	relay_fini(&relay);
	outlet_fini(&out);
	close(ends[1]);
}
END_TEST

/* ---- a script's stderr -------------------------------------------------------------------- */

static void attach(struct errlog *errlog)
{
	ck_assert_int_eq(sys_pipe(ends, SYS_PIPE_READ), 0);
	errlog_init(errlog, loop, NULL);
	errlog_attach(errlog, ends[0], "/srv/x", 4711, 7);
	ck_assert_int_eq(write(ends[1], "a line\n", 7), 7);
}

START_TEST(stderr_is_read_at_the_end)
{
	struct errlog errlog;

	watch_at_most(0);
	attach(&errlog);
	capture_begin();
	for (int i = 0; i < patience(1000) && !capture_has("watched"); i++)
		turn_for(loop, 1);
	errlog_finish(&errlog);
	expect_log("/srv/x[4711]: request 7: stderr cannot be watched: No space left on device\n"
		   "<4>/srv/x[4711]: request 7: stderr: a line\n");
	close(ends[1]);
	errlog_fini(&errlog);
}
END_TEST

START_TEST(stderr_that_is_left_is_closed)
{
	struct errlog errlog;
	struct left_list list;

	left_init(&list, loop, NULL);
	attach(&errlog);
	capture_begin();
	watch_at_most(0);
	left_adopt(&list, &(struct left_script){.script = strdup("/srv/x"), .pid = 4711, .id = 7,
			     .time = -1, .answered = true, .errlog = &errlog});
	turn_for(loop, 1);
	expect_log("stderr cannot be watched: No space left on device: closed\n"
		   "<4>/srv/x[4711]: request 7: stderr: a line\n");
	ck_assert(!is_open(ends[0]));
	ck_assert_ptr_null(list.first);
	left_fini(&list);
	close(ends[1]);
	errlog_fini(&errlog);
}
END_TEST

/* ---- the table of mounts -------------------------------------------------------------------- */

START_TEST(the_table_of_mounts_is_read_once)
{
	int fds = count_fds();
	struct mounts mounts;

	watch_at_most(0);
	mounts_init(&mounts, NULL);
	mounts_follow(&mounts, loop);
	ck_assert_int_eq(count_fds(), fds);
	ck_assert_int_eq(mounts.watch.fd, -1);
	mounts_fini(&mounts);
}
END_TEST

/* ---- the queue ------------------------------------------------------------------------------ */

static int granted = -1;

static void on_decided(struct admission_ticket *ticket, int is_granted)
{
	(void)ticket;
	granted = is_granted;
}

static bool is_decided(void *context)
{
	(void)context;
	return granted >= 0;
}

START_TEST(one_that_waits_for_a_slot_is_told_in_its_time)
{
	struct scoreboard *board = scoreboard_new(1, 1);
	struct options options = {.queue = 1, .queue_timeout = 20};
	struct admission_ticket running, waiting;
	struct admission admission;

	ck_assert_ptr_nonnull(board);
	admission_init(&admission, loop, board, &options, 0);
	ck_assert_int_eq(admission_ask(&admission, &running, on_decided), ADMISSION_GRANTED);
	capture_begin();
	watch_at_most(0);
	ck_assert_int_eq(admission_ask(&admission, &waiting, on_decided), ADMISSION_WAIT);
	expect_log("cannot wait for a free script slot: No space left on device");
	ck_assert(turn_until(loop, is_decided, NULL));
	ck_assert_int_eq(granted, 0);
	admission_fini(&admission);
	scoreboard_free(&board);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_body);
	tcase_add_test(tcase, a_body_that_is_handed_over);
	tcase_add_test(tcase, an_output);
	tcase_add_test(tcase, stderr_is_read_at_the_end);
	tcase_add_test(tcase, stderr_that_is_left_is_closed);
	tcase_add_test(tcase, the_table_of_mounts_is_read_once);
	tcase_add_test(tcase, one_that_waits_for_a_slot_is_told_in_its_time);
}

int main(void)
{
	return check_main("unwatched", add);
}

/* SPDX-License-Identifier: ISC */
/*
 * check_scout: scouts that come back and scouts that do not, how many there are, and that none
 * is left.
 */
#include "check_util.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "cgi/scout.h"

enum { TASKS = 100, MANY = 5000 };
enum { SENT = 1, DYING, BACK };

static struct loop *loop;
static struct scouts scouts;
static int ended, wanted;
static char places[MANY + 1]; /* contexts */
static atomic_int *looked;        /* how many have looked, in shared memory */

static void on_signal(void *context, int signo)
{
	(void)context;
	(void)signo;
}

static void setup(void)
{
	static const int signals[] = {0};

	signals_keep();
	loop = loop_new();
	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(loop_signals(loop, signals, on_signal, NULL), 0);
	scouts_init(&scouts, loop);
	looked = sys_shared_alloc(sizeof *looked);
	ck_assert_ptr_nonnull(looked);
	ended = 0;
}

static void teardown(void)
{
	scouts_fini(&scouts);
	while (waitpid(-1, NULL, 0) > 0)
		;
	ck_assert_int_eq(errno, ECHILD);
	sys_shared_free(looked, sizeof *looked);
	loop_free(&loop);
	signals_restore();
}

static void look(void *context, void *findings)
{
	struct stat info;

	*(char *)findings = *(char *)context;
	for (int fd = 0; fd < 64; fd++)
		if (fstat(fd, &info) == 0)
			return;
	atomic_fetch_add(looked, 1);
}

static void hang(void *context, void *findings)
{
	look(context, findings);
	for (;;)
		pause();
}

static void die(void *context, void *findings)
{
	look(context, findings);
	raise(SIGKILL);
}

static void on_ended(void *context, const void *findings, int error)
{
	ck_assert_int_eq(error, 0);
	if (*(char *)context == DYING)
		ck_assert_ptr_null(findings);
	else
		ck_assert_int_eq(*(const char *)findings, SENT);
	*(char *)context = BACK;
	ended++;
}

static void send_to(dev_t device, scout_look_fn *task, int place)
{
	const struct scout_plan plan = {
	    .device = device, .size = 1, .look = task, .ended = on_ended,
	    .context = &places[place]};

	places[place] = task == die ? DYING : SENT;
	ck_assert_int_eq(scouts_send(&scouts, &plan), 0);
}

static bool all_ended(void *context)
{
	(void)context;
	return ended >= wanted;
}

static bool none_left(void *context)
{
	(void)context;
	return !scouts_any(&scouts);
}

static bool all_hang(void *context)
{
	(void)context;
	return atomic_load(looked) >= wanted;
}

/* So many are sent to one file system, and hang there or wait. */
static void hang_on_one(int count)
{
	for (int i = 0; i < count; i++)
		send_to(1, hang, i);
	wanted = SCOUTS_A_DEVICE;
	ck_assert(turn_until(loop, all_hang, NULL));
}

START_TEST(it_looks_without_descriptors)
{
	send_to(1, look, 0);
	wanted = 1;
	ck_assert(turn_until(loop, all_ended, NULL));
	ck_assert_int_eq(*looked, 1);
	ck_assert(!scouts_any(&scouts));
}
END_TEST

START_TEST(one_is_killed)
{
	send_to(1, die, 0);
	send_to(1, look, 1);
	wanted = 2;
	ck_assert(turn_until(loop, all_ended, NULL));
	ck_assert_int_eq(*looked, 2);
}
END_TEST

START_TEST(more_than_there_may_be_at_once)
{
	for (int i = 0; i < TASKS; i++)
		send_to(1, look, i);
	wanted = TASKS;
	ck_assert(turn_until(loop, all_ended, NULL));
	ck_assert_int_eq(*looked, TASKS);
	ck_assert(!scouts_any(&scouts));
}
END_TEST

START_TEST(one_file_system_hangs)
{
	hang_on_one(2 * SCOUTS_A_DEVICE);
	send_to(2, look, 99); /* another one answers */
	wanted = 1;
	ck_assert(turn_until(loop, all_ended, NULL));
	ck_assert_int_eq(places[99], BACK);
	ck_assert_int_eq(*looked, SCOUTS_A_DEVICE + 1);
	for (int i = 2 * SCOUTS_A_DEVICE; i-- > 0;) /* first those that wait */
		scouts_forget(&scouts, &places[i]);
	scouts_forget(&scouts, &places[0]);
	ck_assert(turn_until(loop, none_left, NULL));
	ck_assert_int_eq(ended, 1);
}
END_TEST

START_TEST(all_of_them_hang)
{
	for (int i = 0; i < TASKS; i++)
		send_to((dev_t)(i % 10), hang, i);
	wanted = SCOUTS_MAX;
	ck_assert(turn_until(loop, all_hang, NULL));
	turn_for(loop, 20);
	ck_assert_int_eq(*looked, SCOUTS_MAX);
	scouts_fini(&scouts);
	ck_assert(!scouts_any(&scouts));
}
END_TEST

/* One that has to wait costs no more when many wait: else the worker would be blocked after all. */
START_TEST(many_wait_for_one_file_system)
{
	hang_on_one(MANY);
	send_to(2, look, MANY);
	wanted = 1;
	ck_assert(turn_until(loop, all_ended, NULL));
	for (int i = 0; i < MANY; i++)
		scouts_forget(&scouts, &places[i]);
	ck_assert(turn_until(loop, none_left, NULL));
	ck_assert_int_eq(*looked, SCOUTS_A_DEVICE + 1);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, it_looks_without_descriptors);
	tcase_add_test(tcase, one_is_killed);
	tcase_add_test(tcase, more_than_there_may_be_at_once);
	tcase_add_test(tcase, one_file_system_hangs);
	tcase_add_test(tcase, all_of_them_hang);
	tcase_add_test(tcase, many_wait_for_one_file_system);
}

int main(void)
{
	return check_main("scout", add_tests);
}

/* SPDX-License-Identifier: ISC */
/*
 * check_loop: the same tests over both backends: check_loop_epoll and
 * check_loop_poll are made of this file.
 */
#include "check_util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/sys.h"

static struct loop *loop;
static int ends[2]; /* of a socket pair */

static void setup(void)
{
	signals_keep();
	loop = loop_new();
	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	/* backends may rely on it: what is closed is gone */
	ck_assert_int_eq(sys_cloexec(ends[0]), 0);
	ck_assert_int_eq(sys_cloexec(ends[1]), 0);
}

static void shut_end(int number)
{
	if (ends[number] >= 0)
		close(ends[number]);
	ends[number] = -1;
}

static void teardown(void)
{
	loop_free(&loop);
	ck_assert_ptr_null(loop);
	shut_end(0);
	shut_end(1);
	signals_restore();
}

/* One turn that does not wait. */
static void turn(void)
{
	ck_assert_int_eq(loop_turn(loop, 0), 0);
}

static void say(int fd)
{
	ck_assert_int_eq(write(fd, "x", 1), 1);
}

/* ---- descriptors -------------------------------------------------------------------- */

struct spy {
	struct loop_watch watch;
	int calls;
	unsigned events; /* of the last call */
	struct spy *other;
	bool reads;
};

static void on_ready(struct loop_watch *watch, unsigned events)
{
	struct spy *spy = CONTAINER_OF(watch, struct spy, watch);
	char byte;

	spy->calls++;
	spy->events = events;
	if (spy->reads)
		ck_assert_int_ge(read(watch->fd, &byte, 1), 0);
}

static void spy_init(struct spy *spy, loop_ready_fn *ready)
{
	*spy = (struct spy){.calls = 0};
	loop_watch_init(&spy->watch, ready);
	ck_assert_int_eq(spy->watch.fd, -1);
}

START_TEST(reports_what_is_wanted_as_long_as_it_is_there)
{
	struct spy spy;

	spy_init(&spy, on_ready);
	ck_assert_int_eq(loop_watch(loop, &spy.watch, ends[0], LOOP_IN), 0);
	turn();
	ck_assert_int_eq(spy.calls, 0);
	say(ends[1]);
	turn();
	ck_assert_int_eq(spy.calls, 1);
	ck_assert_uint_eq(spy.events, LOOP_IN);
	turn(); /* level-triggered: it is still there */
	ck_assert_int_eq(spy.calls, 2);
	loop_want(loop, &spy.watch, LOOP_IN | LOOP_OUT);
	turn();
	ck_assert_uint_eq(spy.events, LOOP_IN | LOOP_OUT);
	loop_want(loop, &spy.watch, LOOP_OUT);
	turn();
	ck_assert_int_eq(spy.calls, 4);
	ck_assert_uint_eq(spy.events, LOOP_OUT);
	loop_unwatch(loop, &spy.watch);
	ck_assert_int_eq(spy.watch.fd, -1);
	turn();
	ck_assert_int_eq(spy.calls, 4);
	say(ends[0]); /* it is still open */
}
END_TEST

START_TEST(a_paused_watch_is_silent_and_goes_on)
{
	struct spy spy;

	spy_init(&spy, on_ready);
	ck_assert_int_eq(loop_watch(loop, &spy.watch, ends[0], 0), 0);
	say(ends[1]);
	for (int i = 0; i < 3; i++)
		turn();
	ck_assert_int_eq(spy.calls, 0);
	for (int i = 1; i <= 5; i++) {
		loop_want(loop, &spy.watch, LOOP_IN);
		turn();
		ck_assert_int_eq(spy.calls, i);
		loop_want(loop, &spy.watch, 0);
		turn();
		turn();
		ck_assert_int_eq(spy.calls, i);
	}
	loop_unwatch(loop, &spy.watch);
}
END_TEST

START_TEST(a_paused_watch_does_not_see_the_hang_up_until_it_goes_on)
{
	struct spy spy;

	spy_init(&spy, on_ready);
	ck_assert_int_eq(loop_watch(loop, &spy.watch, ends[0], LOOP_IN), 0);
	loop_want(loop, &spy.watch, 0);
	shut_end(1);
	for (int i = 0; i < 3; i++)
		turn();
	ck_assert_int_eq(spy.calls, 0);
	loop_want(loop, &spy.watch, LOOP_OUT);
	turn();
	ck_assert_int_eq(spy.calls, 1);
	ck_assert_uint_eq(spy.events, LOOP_OUT | LOOP_HUP);
	loop_unwatch(loop, &spy.watch);
}
END_TEST

START_TEST(a_paused_watch_that_has_hung_up_does_not_spin)
{
	struct spy spy;
	int64_t before;

	spy_init(&spy, on_ready);
	ck_assert_int_eq(loop_watch(loop, &spy.watch, ends[0], LOOP_IN), 0);
	loop_want(loop, &spy.watch, 0);
	shut_end(1);
	for (int i = 0; i < 3; i++) /* it may be seen once */
		turn();
	before = loop_now(loop);
	ck_assert_int_eq(loop_turn(loop, 30), 0);
	ck_assert_int_ge(loop_now(loop) - before, 25); /* waited for nothing, all of it */
	ck_assert_int_eq(spy.calls, 0);
	loop_unwatch(loop, &spy.watch);
}
END_TEST

static const struct {
	unsigned wanted, reported;
} hang_ups[] = {
	{LOOP_IN, LOOP_IN | LOOP_HUP},
	{LOOP_OUT, LOOP_OUT | LOOP_HUP},
	{LOOP_IN | LOOP_OUT, LOOP_IN | LOOP_OUT | LOOP_HUP},
	{LOOP_HUP, LOOP_HUP},
	{LOOP_HUP | LOOP_IN, LOOP_IN | LOOP_HUP},
};

START_TEST(a_hang_up_comes_with_what_is_wanted)
{
	struct spy spy;

	spy_init(&spy, on_ready);
	ck_assert_int_eq(loop_watch(loop, &spy.watch, ends[0], hang_ups[_i].wanted), 0);
	turn();
	spy.calls = 0;
	shut_end(1);
	turn();
	ck_assert_int_eq(spy.calls, 1);
	ck_assert_uint_eq(spy.events, hang_ups[_i].reported);
	loop_unwatch(loop, &spy.watch);
}
END_TEST

START_TEST(a_watch_for_hang_ups_only_is_silent_before)
{
	struct spy spy;

	spy_init(&spy, on_ready);
	ck_assert_int_eq(loop_watch(loop, &spy.watch, ends[0], LOOP_HUP), 0);
	say(ends[1]);
	turn();
	ck_assert_int_eq(spy.calls, 0);
	ck_assert_int_eq(shutdown(ends[1], SHUT_WR), 0); /* half closed is no hang-up */
	turn();
	ck_assert_int_eq(spy.calls, 0);
	loop_unwatch(loop, &spy.watch);
}
END_TEST

START_TEST(a_half_closed_socket_is_readable_and_not_hung_up)
{
	struct spy spy;

	spy_init(&spy, on_ready);
	ck_assert_int_eq(loop_watch(loop, &spy.watch, ends[0], LOOP_IN), 0);
	ck_assert_int_eq(shutdown(ends[1], SHUT_WR), 0);
	turn();
	ck_assert_int_eq(spy.calls, 1);
	ck_assert_uint_eq(spy.events, LOOP_IN);
	loop_unwatch(loop, &spy.watch);
}
END_TEST

START_TEST(a_pipe_without_readers_hangs_up)
{
	struct spy spy;
	int fds[2];

	ck_assert_int_eq(sys_pipe(fds, SYS_PIPE_WRITE), 0);
	spy_init(&spy, on_ready);
	ck_assert_int_eq(loop_watch(loop, &spy.watch, fds[1], LOOP_HUP), 0);
	turn();
	ck_assert_int_eq(spy.calls, 0);
	close(fds[0]);
	turn();
	ck_assert_int_eq(spy.calls, 1);
	ck_assert_uint_eq(spy.events, LOOP_HUP);
	loop_close(loop, &spy.watch);
}
END_TEST

START_TEST(a_pipe_without_writers_is_readable_and_hung_up)
{
	struct spy spy;
	int fds[2];

	ck_assert_int_eq(sys_pipe(fds, SYS_PIPE_READ), 0);
	spy_init(&spy, on_ready);
	ck_assert_int_eq(loop_watch(loop, &spy.watch, fds[0], LOOP_IN), 0);
	close(fds[1]);
	turn();
	ck_assert_int_eq(spy.calls, 1);
	ck_assert_uint_eq(spy.events, LOOP_IN | LOOP_HUP);
	loop_close(loop, &spy.watch);
}
END_TEST

START_TEST(close_closes_once)
{
	struct spy spy;
	int fds = count_fds();

	spy_init(&spy, on_ready);
	loop_close(loop, &spy.watch); /* watches nothing */
	loop_unwatch(loop, &spy.watch);
	loop_want(loop, &spy.watch, LOOP_IN);
	ck_assert_int_eq(loop_watch(loop, &spy.watch, ends[0], LOOP_IN), 0);
	say(ends[1]);
	loop_close(loop, &spy.watch);
	ends[0] = -1;
	loop_close(loop, &spy.watch);
	ck_assert_int_eq(count_fds(), fds - 1);
	turn();
	ck_assert_int_eq(spy.calls, 0);
}
END_TEST

static void close_other(struct loop_watch *watch, unsigned events)
{
	struct spy *spy = CONTAINER_OF(watch, struct spy, watch);

	(void)events;
	spy->calls++;
	loop_close(loop, &spy->other->watch);
}

START_TEST(a_watch_closed_by_another_in_the_same_turn_is_not_called)
{
	struct spy a;
	struct spy b;
	int more[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, more), 0);
	spy_init(&a, close_other);
	spy_init(&b, close_other);
	a.other = &b;
	b.other = &a;
	ck_assert_int_eq(loop_watch(loop, &a.watch, ends[0], LOOP_IN), 0);
	ck_assert_int_eq(loop_watch(loop, &b.watch, more[0], LOOP_IN), 0);
	say(ends[1]);
	say(more[1]);
	turn();
	ck_assert_int_eq(a.calls + b.calls, 1);
	turn();
	ck_assert_int_eq(a.calls + b.calls, 2); /* the one that is left */
	loop_close(loop, &a.watch);
	loop_close(loop, &b.watch);
	ends[0] = -1;
	close(more[1]);
}
END_TEST

static void pause_other(struct loop_watch *watch, unsigned events)
{
	struct spy *spy = CONTAINER_OF(watch, struct spy, watch);

	(void)events;
	spy->calls++;
	loop_want(loop, &spy->other->watch, 0);
}

START_TEST(a_watch_paused_by_another_in_the_same_turn_is_not_called)
{
	struct spy a;
	struct spy b;

	spy_init(&a, pause_other);
	spy_init(&b, pause_other);
	a.other = &b;
	b.other = &a;
	ck_assert_int_eq(loop_watch(loop, &a.watch, ends[0], LOOP_IN), 0);
	ck_assert_int_eq(loop_watch(loop, &b.watch, ends[1], LOOP_IN), 0);
	say(ends[0]);
	say(ends[1]);
	turn();
	ck_assert_int_eq(a.calls + b.calls, 1);
	loop_unwatch(loop, &a.watch);
	loop_unwatch(loop, &b.watch);
}
END_TEST

static void close_itself(struct loop_watch *watch, unsigned events)
{
	struct spy *spy = CONTAINER_OF(watch, struct spy, watch);

	(void)events;
	spy->calls++;
	loop_close(loop, watch);
}

START_TEST(a_watch_may_close_itself)
{
	struct spy spy;

	spy_init(&spy, close_itself);
	ck_assert_int_eq(loop_watch(loop, &spy.watch, ends[0], LOOP_IN | LOOP_OUT), 0);
	say(ends[1]);
	turn();
	ends[0] = -1;
	turn();
	ck_assert_int_eq(spy.calls, 1);
}
END_TEST

/* The callback watches one more descriptor, under a number that was just closed. */
static void watch_other(struct loop_watch *watch, unsigned events)
{
	struct spy *spy = CONTAINER_OF(watch, struct spy, watch);
	int fds[2];

	(void)events;
	spy->calls++;
	loop_close(loop, watch);
	ck_assert_int_eq(sys_pipe(fds, SYS_PIPE_READ), 0);
	say(fds[1]);
	close(fds[1]);
	ck_assert_int_eq(loop_watch(loop, &spy->other->watch, fds[0], LOOP_IN), 0);
}

START_TEST(a_number_may_be_used_again_at_once)
{
	struct spy first;
	struct spy second;

	spy_init(&first, watch_other);
	spy_init(&second, on_ready);
	first.other = &second;
	ck_assert_int_eq(loop_watch(loop, &first.watch, ends[0], LOOP_IN), 0);
	say(ends[1]);
	turn();
	ends[0] = -1;
	turn();
	ck_assert_int_eq(first.calls, 1);
	ck_assert_int_ge(second.calls, 1);
	loop_close(loop, &second.watch);
}
END_TEST

START_TEST(many_descriptors_each_get_theirs)
{
	enum { MANY = 300 };
	static struct spy spies[MANY];
	static int pipes[MANY][2];

	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(sys_pipe(pipes[i], SYS_PIPE_READ), 0);
		spy_init(&spies[i], on_ready);
		spies[i].reads = true;
		ck_assert_int_eq(loop_watch(loop, &spies[i].watch, pipes[i][0], LOOP_IN), 0);
	}
	for (int i = 0; i < MANY; i += 2)
		loop_unwatch(loop, &spies[i].watch); /* holes */
	for (int i = 0; i < MANY; i++)
		say(pipes[i][1]);
	for (int i = 0; i < 4; i++) /* a backend may hand out some at a time */
		turn();
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(spies[i].calls, i % 2);
		if (i % 2 == 0)
			close(pipes[i][0]);
		loop_close(loop, &spies[i].watch);
		close(pipes[i][1]);
	}
}
END_TEST

START_TEST(a_shared_watch_reports_too)
{
	struct spy spy;

	spy_init(&spy, on_ready);
	ck_assert_int_eq(loop_watch_shared(loop, &spy.watch, ends[0]), 0);
	say(ends[1]);
	turn();
	ck_assert_int_eq(spy.calls, 1);
	ck_assert_uint_eq(spy.events, LOOP_IN);
	loop_unwatch(loop, &spy.watch);
	turn();
	ck_assert_int_eq(spy.calls, 1);
}
END_TEST

/* ---- timers ------------------------------------------------------------------------------ */

enum { TIMERS = 500 };

static struct clocked {
	struct loop_timer timer;
	int64_t delay;
	int fired;
} clocked[TIMERS];

static int fired;
static int64_t last_delay;

static void on_fire(struct loop_timer *timer)
{
	struct clocked *c = CONTAINER_OF(timer, struct clocked, timer);

	ck_assert(!loop_timer_active(timer));
	ck_assert_int_ge(c->delay, last_delay);
	last_delay = c->delay;
	c->fired++;
	fired++;
}

static bool all_fired(void *context)
{
	return fired == *(int *)context;
}

static void clocks_init(void)
{
	fired = 0;
	last_delay = 0;
	draw_restart();
	for (int i = 0; i < TIMERS; i++) {
		clocked[i] = (struct clocked){.delay = (int64_t)draw(60)};
		loop_timer_init(&clocked[i].timer, on_fire);
		ck_assert(!loop_timer_active(&clocked[i].timer));
	}
}

START_TEST(timers_fire_once_and_in_order)
{
	int wanted = TIMERS;

	clocks_init();
	for (int i = 0; i < TIMERS; i++)
		loop_timer_set(loop, &clocked[i].timer, clocked[i].delay);
	ck_assert(turn_until(loop, all_fired, &wanted));
	for (int i = 0; i < TIMERS; i++)
		ck_assert_int_eq(clocked[i].fired, 1);
	turn();
	ck_assert_int_eq(fired, TIMERS);
}
END_TEST

START_TEST(timers_moved_and_cleared_at_random_fire_as_last_set)
{
	int active = 0;

	clocks_init();
	/* all from the same moment: only turns read the clock */
	for (int i = 0; i < 20000; i++) {
		struct clocked *c = &clocked[draw(TIMERS)];

		if (draw(3) == 0) {
			loop_timer_clear(loop, &c->timer);
			loop_timer_clear(loop, &c->timer);
		} else {
			c->delay = (int64_t)draw(60);
			loop_timer_set(loop, &c->timer, c->delay);
		}
	}
	for (int i = 0; i < TIMERS; i++)
		active += loop_timer_active(&clocked[i].timer) != 0;
	ck_assert_int_gt(active, TIMERS / 2);
	for (int i = 0; i < TIMERS; i++)
		clocked[i].fired = loop_timer_active(&clocked[i].timer) ? -1 : 0;
	ck_assert(turn_until(loop, all_fired, &active));
	for (int i = 0; i < TIMERS; i++)
		ck_assert_int_eq(clocked[i].fired, 0);
}
END_TEST

START_TEST(timers_are_never_early)
{
	struct clocked *c = &clocked[0];
	int64_t start;
	int wanted = 1;

	clocks_init();
	c->delay = 30;
	turn();
	start = loop_now(loop);
	loop_timer_set(loop, &c->timer, c->delay);
	ck_assert(turn_until(loop, all_fired, &wanted));
	ck_assert_int_ge(loop_now(loop) - start, 30);
}
END_TEST

START_TEST(a_time_that_is_past_is_now)
{
	clocks_init();
	loop_timer_set(loop, &clocked[0].timer, -5);
	ck_assert(loop_timer_active(&clocked[0].timer));
	turn();
	ck_assert_int_eq(clocked[0].fired, 1);
}
END_TEST

START_TEST(no_time_is_too_far)
{
	int wanted = 1;

	clocks_init();
	loop_timer_set(loop, &clocked[0].timer, INT64_MAX);
	loop_timer_set(loop, &clocked[1].timer, INT64_MAX - loop_now(loop));
	loop_timer_set(loop, &clocked[2].timer, 1);
	ck_assert(loop_timer_active(&clocked[0].timer));
	ck_assert(loop_timer_active(&clocked[1].timer));
	ck_assert(turn_until(loop, all_fired, &wanted));
	ck_assert_int_eq(clocked[2].fired, 1);
	loop_timer_clear(loop, &clocked[1].timer);
	loop_timer_set(loop, &clocked[0].timer, 0);
	wanted = 2;
	ck_assert(turn_until(loop, all_fired, &wanted));
	ck_assert_int_eq(clocked[0].fired, 1);
}
END_TEST

static void clear_all(struct loop_timer *timer)
{
	(void)timer;
	fired++;
	for (int i = 0; i < TIMERS; i++)
		loop_timer_clear(loop, &clocked[i].timer);
}

START_TEST(a_timer_may_clear_others_that_are_due)
{
	clocks_init();
	for (int i = 0; i < TIMERS; i++) {
		loop_timer_init(&clocked[i].timer, clear_all);
		loop_timer_set(loop, &clocked[i].timer, 0);
	}
	turn();
	turn();
	ck_assert_int_eq(fired, 1);
}
END_TEST

static void set_again(struct loop_timer *timer)
{
	if (++fired < 5)
		loop_timer_set(loop, timer, 1);
}

START_TEST(a_timer_may_set_itself_again)
{
	struct loop_timer timer;
	int wanted = 5;

	fired = 0;
	loop_timer_init(&timer, set_again);
	loop_timer_set(loop, &timer, 0);
	ck_assert(turn_until(loop, all_fired, &wanted));
	turn_for(loop, 5);
	ck_assert_int_eq(fired, 5);
	ck_assert(!loop_timer_active(&timer));
}
END_TEST

static void set_for_now(struct loop_timer *timer)
{
	fired++;
	loop_timer_set(loop, timer, 0);
}

START_TEST(a_timer_set_again_for_now_runs_in_the_next_turn)
{
	struct loop_timer timer;

	fired = 0;
	loop_timer_init(&timer, set_for_now);
	loop_timer_set(loop, &timer, 0);
	turn();
	ck_assert_int_eq(fired, 1);
	usleep(2000);
	turn();
	ck_assert_int_eq(fired, 2);
	loop_timer_clear(loop, &timer);
}
END_TEST

START_TEST(a_turn_waits_no_longer_than_until_the_first_timer)
{
	clocks_init();
	loop_timer_set(loop, &clocked[0].timer, 3600 * 1000);
	loop_timer_set(loop, &clocked[1].timer, 5);
	/* a bound that the test's own would cut off */
	while (fired == 0)
		ck_assert_int_eq(loop_turn(loop, -1), 0);
	ck_assert_int_eq(clocked[1].fired, 1);
	loop_timer_clear(loop, &clocked[0].timer);
}
END_TEST

/* ---- timers and events -------------------------------------------------------------------- */

/* What came first: the order of calls. */
static char order[64];
static struct loop_timer deadline;
static int64_t limit;

static void on_deadline(struct loop_timer *timer)
{
	(void)timer;
	strcat(order, "t");
}

/* As who waits for bytes does: each puts the deadline off. */
static void on_byte(struct loop_watch *watch, unsigned events)
{
	char byte;

	(void)events;
	ck_assert_int_eq(read(watch->fd, &byte, 1), 1);
	strcat(order, "b");
	loop_timer_set(loop, &deadline, limit);
}

static void await_bytes(struct loop_watch *watch, int64_t ms)
{
	order[0] = '\0';
	limit = ms;
	loop_watch_init(watch, on_byte);
	ck_assert_int_eq(loop_watch(loop, watch, ends[1], LOOP_IN), 0);
	loop_timer_init(&deadline, on_deadline);
	loop_timer_set(loop, &deadline, ms);
}

START_TEST(what_came_in_time_is_seen_before_the_timer)
{
	struct loop_watch watch;

	await_bytes(&watch, 20);
	say(ends[0]);
	usleep(100 * 1000); /* as if we had been kept from running */
	turn();
	ck_assert_str_eq(order, "b");
	usleep(30 * 1000);
	turn();
	turn();
	ck_assert_str_eq(order, "bt");
	loop_unwatch(loop, &watch);
}
END_TEST

static void on_quick_exit(struct loop_child *child, int status)
{
	(void)child;
	(void)status;
	strcat(order, "x");
	loop_timer_clear(loop, &deadline);
}

START_TEST(an_exit_in_time_is_seen_before_the_timer)
{
	struct loop_watch watch;
	struct loop_child child;
	static const int none[] = {0};
	pid_t pid;

	ck_assert_int_eq(loop_signals(loop, none, NULL, NULL), 0);
	await_bytes(&watch, 20);
	pid = fork();
	if (pid == 0)
		_exit(0);
	loop_child_add(loop, &child, pid, on_quick_exit);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	usleep(30 * 1000);
	turn();
	turn();
	ck_assert_str_eq(order, "x");
	loop_unwatch(loop, &watch);
}
END_TEST

static int quiet_status;

static void on_loud_exit(struct loop_child *child, int status)
{
	(void)child;
	(void)status;
	strcat(order, "x");
}

static void on_quiet_exit(struct loop_child *child, int status)
{
	(void)child;
	quiet_status = status;
	strcat(order, "q");
}

static bool has_order(void *wanted)
{
	return strcmp(order, wanted) == 0;
}

START_TEST(a_quiet_child_is_not_looked_for_but_seen)
{
	static const int none[] = {0};
	struct loop_child loud;
	struct loop_child quiet;
	pid_t pids[2];

	order[0] = '\0';
	ck_assert_int_eq(loop_signals(loop, none, NULL, NULL), 0);
	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(i);
	}
	loop_child_add(loop, &loud, pids[0], on_loud_exit);
	loop_child_add_quiet(loop, &quiet, pids[1], on_quiet_exit);
	/* both have ended: one of them is reaped at the first look, and the other may be */
	for (int i = 0; i < 2; i++) {
		siginfo_t info;

		ck_assert_int_eq(waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOWAIT), 0);
	}
	ck_assert_int_eq(loop_turn(loop, 0), 0);
	loop_reap(loop);
	ck_assert_int_eq(loop_turn(loop, 0), 0);
	ck_assert(has_order((char[]){"xq"}) || has_order((char[]){"qx"}));
	ck_assert_int_eq(WEXITSTATUS(quiet_status), 1);
	/* and one that is removed counts no less */
	order[0] = '\0';
	pids[0] = fork();
	if (pids[0] == 0)
		_exit(0);
	loop_child_add_quiet(loop, &quiet, pids[0], on_quiet_exit);
	loop_child_remove(loop, &quiet);
	loop_child_add(loop, &loud, pids[0], on_loud_exit);
	ck_assert(turn_until(loop, has_order, (char[]){"x"}));
}
END_TEST

static int64_t begun; /* ms, clock_ms(): before the timer was set */

/*
 * Has another process stop us, wait `ms`, and have us go on.  Its exit status: 1 if that began
 * only when `limit` was over.
 */
static pid_t be_paused(int first_ms, int ms)
{
	pid_t us = getpid();
	pid_t pid = fork();

	if (pid == 0) {
		bool late;

		usleep((unsigned)first_ms * 1000);
		kill(us, SIGSTOP);
		late = clock_ms() - begun >= limit;
		usleep((unsigned)ms * 1000);
		say(ends[0]);
		kill(us, SIGCONT);
		_exit(late);
	}
	ck_assert_int_gt(pid, 0);
	return pid;
}

START_TEST(no_timer_fires_after_a_wait_that_was_interrupted)
{
	struct loop_watch watch;
	int was_late;

	do { /* on a busy machine the timer may be due before we are stopped */
		pid_t pid;

		begun = clock_ms();
		turn();
		await_bytes(&watch, 300);
		pid = be_paused(50, 400);
		while (strchr(order, 'b') == NULL)
			ck_assert_int_eq(loop_turn(loop, 1000), 0);
		ck_assert_int_eq(waitpid(pid, &was_late, 0), pid);
		loop_timer_clear(loop, &deadline);
		loop_unwatch(loop, &watch);
	} while (was_late);
	ck_assert_str_eq(order, "b");
}
END_TEST

START_TEST(the_loops_time_stands_still_while_it_is_paused)
{
	struct loop_watch watch;
	int64_t now;
	int64_t clock;
	pid_t pid;

	await_bytes(&watch, 3600 * 1000);
	turn();
	now = loop_now(loop);
	clock = loop_clock(loop);
	pid = be_paused(0, 3000);
	while (order[0] == '\0')
		ck_assert_int_eq(loop_turn(loop, 100), 0);
	ck_assert_int_ge(loop_clock(loop) - clock, 3000);
	/* as long as the pause, but for the wait in which it began */
	ck_assert_int_ge(loop_clock(loop) - clock - (loop_now(loop) - now), 2000);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	loop_timer_clear(loop, &deadline);
	loop_unwatch(loop, &watch);
}
END_TEST

enum { CROWD = 600 }; /* more than one wait finds */

static struct loop_watch crowd[CROWD];
static int crowd_seen;

static void on_crowd(struct loop_watch *watch, unsigned events)
{
	(void)watch;
	(void)events;
	crowd_seen++;
}

static void count_crowd(struct loop_timer *timer)
{
	(void)timer;
	fired++;
	ck_assert_int_ge(crowd_seen, CROWD);
}

/* So many that are always readable. */
static void crowd_up(void)
{
	crowd_seen = fired = 0;
	say(ends[0]);
	for (int i = 0; i < CROWD; i++) {
		int fd = dup(ends[1]);

		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(sys_cloexec(fd), 0);
		loop_watch_init(&crowd[i], on_crowd);
		ck_assert_int_eq(loop_watch(loop, &crowd[i], fd, LOOP_IN), 0);
	}
	loop_timer_init(&deadline, count_crowd);
	loop_timer_set(loop, &deadline, 0);
}

static void crowd_down(void)
{
	for (int i = 0; i < CROWD; i++)
		loop_close(loop, &crowd[i]);
}

START_TEST(timers_wait_for_what_one_wait_cannot_find)
{
	crowd_up();
	for (int i = 0; i < CROWD && fired == 0; i++)
		turn();
	ck_assert_int_eq(fired, 1);
	crowd_down();
}
END_TEST

static void count_on(struct loop_timer *timer)
{
	fired++;
	loop_timer_set(loop, timer, 1);
}

START_TEST(timers_fire_though_there_is_always_more)
{
	crowd_up();
	loop_timer_init(&deadline, count_on);
	loop_timer_set(loop, &deadline, 0);
	for (int i = 0; i < 1000 && fired < 5; i++)
		turn();
	ck_assert_int_eq(fired, 5);
	crowd_down();
}
END_TEST

/* ---- tasks ---------------------------------------------------------------------------------- */

struct job {
	struct loop_task task;
	int runs;
	struct job *posts;
	struct job *unposts;
};

static void on_job(struct loop_task *task)
{
	struct job *job = CONTAINER_OF(task, struct job, task);

	job->runs++;
	if (job->posts != NULL)
		loop_post(loop, &job->posts->task);
	if (job->unposts != NULL)
		loop_unpost(&job->unposts->task);
}

static void job_init(struct job *job)
{
	*job = (struct job){.runs = 0};
	loop_task_init(&job->task, on_job);
}

START_TEST(a_task_runs_once_a_posting)
{
	struct job job;

	job_init(&job);
	loop_unpost(&job.task);
	loop_post(loop, &job.task);
	loop_post(loop, &job.task);
	ck_assert_int_eq(job.runs, 0);
	turn();
	turn();
	ck_assert_int_eq(job.runs, 1);
	loop_post(loop, &job.task);
	loop_unpost(&job.task);
	turn();
	ck_assert_int_eq(job.runs, 1);
	loop_post(loop, &job.task);
	turn();
	ck_assert_int_eq(job.runs, 2);
}
END_TEST

START_TEST(what_a_task_posts_runs_in_the_next_turn_which_does_not_wait)
{
	struct job first;
	struct job second;

	job_init(&first);
	job_init(&second);
	first.posts = &second;
	second.posts = &second; /* for ever, but once a turn */
	loop_post(loop, &first.task);
	ck_assert_int_eq(loop_turn(loop, -1), 0);
	ck_assert_int_eq(first.runs, 1);
	ck_assert_int_eq(second.runs, 0);
	for (int i = 1; i <= 5; i++) {
		ck_assert_int_eq(loop_turn(loop, -1), 0);
		ck_assert_int_eq(second.runs, i);
	}
	loop_unpost(&second.task);
}
END_TEST

START_TEST(a_task_may_unpost_another)
{
	struct job first;
	struct job second;
	struct job third;

	job_init(&first);
	job_init(&second);
	job_init(&third);
	first.unposts = &second;
	loop_post(loop, &first.task);
	loop_post(loop, &second.task);
	loop_post(loop, &third.task);
	turn();
	ck_assert_int_eq(first.runs, 1);
	ck_assert_int_eq(second.runs, 0);
	ck_assert_int_eq(third.runs, 1);
}
END_TEST

static void post_job(struct loop_watch *watch, unsigned events)
{
	struct spy *spy = CONTAINER_OF(watch, struct spy, watch);

	(void)events;
	loop_post(loop, &((struct job *)(void *)spy->other)->task);
}

START_TEST(tasks_of_a_turn_run_when_its_events_have_been_seen)
{
	struct spy spy;
	struct job job;

	spy_init(&spy, post_job);
	job_init(&job);
	spy.other = (struct spy *)(void *)&job;
	ck_assert_int_eq(loop_watch(loop, &spy.watch, ends[0], LOOP_IN), 0);
	say(ends[1]);
	turn();
	ck_assert_int_eq(job.runs, 1);
	loop_unwatch(loop, &spy.watch);
}
END_TEST

/* ---- children and signals ----------------------------------------------------------------------- */

static int arrivals[65];

static void on_signal(void *context, int signo)
{
	ck_assert_ptr_eq(context, arrivals);
	arrivals[signo]++;
}

static void take_signals(void)
{
	static const int signals[] = {SIGTERM, SIGUSR1, SIGHUP, 0};

	memset(arrivals, 0, sizeof arrivals);
	ck_assert_int_eq(loop_signals(loop, signals, on_signal, arrivals), 0);
}

struct offspring {
	struct loop_child child;
	int status;
	int exits;
};

static int exits;

static void on_exit_of(struct loop_child *child, int status)
{
	struct offspring *o = CONTAINER_OF(child, struct offspring, child);

	o->status = status;
	o->exits++;
	exits++;
}

/* A process that ends with `code`, or waits to be killed if that is negative. */
static pid_t start_process(int code)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (code < 0)
			pause();
		_exit(code);
	}
	return pid;
}

static bool have_exits(void *context)
{
	return exits == *(int *)context;
}

START_TEST(each_childs_exit_is_reported_once)
{
	enum { MANY = 40 };
	static struct offspring os[MANY];
	int wanted = MANY;

	exits = 0;
	take_signals();
	for (int i = 0; i < MANY; i++) {
		os[i] = (struct offspring){.status = -1};
		loop_child_add(loop, &os[i].child, start_process(i), on_exit_of);
	}
	ck_assert(turn_until(loop, have_exits, &wanted));
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(os[i].exits, 1);
		ck_assert(WIFEXITED(os[i].status));
		ck_assert_int_eq(WEXITSTATUS(os[i].status), i);
	}
}
END_TEST

/* As of a worker that dies while its supervisor executes a new image. */
START_TEST(a_child_that_exited_before_signals_were_taken_is_reported)
{
	struct offspring o = {.status = -1};
	pid_t pid = start_process(7);
	siginfo_t info;

	exits = 0;
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	take_signals();
	loop_child_add(loop, &o.child, pid, on_exit_of);
	ck_assert_int_eq(loop_turn(loop, 2000), 0);
	ck_assert_int_eq(o.exits, 1);
	ck_assert_int_eq(WEXITSTATUS(o.status), 7);
}
END_TEST

START_TEST(a_child_that_was_killed_says_so)
{
	struct offspring o = {.status = -1};
	pid_t pid = start_process(-1);
	int wanted = 1;

	exits = 0;
	take_signals();
	loop_child_add(loop, &o.child, pid, on_exit_of);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert(turn_until(loop, have_exits, &wanted));
	ck_assert(WIFSIGNALED(o.status));
	ck_assert_int_eq(WTERMSIG(o.status), SIGKILL);
}
END_TEST

START_TEST(a_removed_or_unknown_child_is_not_reported)
{
	struct offspring known = {.status = -1};
	struct offspring removed = {.status = -1};
	int wanted = 1;
	pid_t pid;

	exits = 0;
	take_signals();
	pid = start_process(0); /* nobody's: reaped all the same */
	loop_child_add(loop, &removed.child, start_process(0), on_exit_of);
	loop_child_remove(loop, &removed.child);
	loop_child_remove(loop, &removed.child);
	loop_child_add(loop, &known.child, start_process(0), on_exit_of);
	ck_assert(turn_until(loop, have_exits, &wanted));
	turn_for(loop, 20);
	ck_assert_int_eq(removed.exits, 0);
	ck_assert_int_eq(known.exits, 1);
	while (kill(pid, 0) == 0) /* until it has been reaped */
		turn_for(loop, 1);
}
END_TEST

START_TEST(signals_arrive_in_a_turn)
{
	take_signals();
	ck_assert_int_eq(raise(SIGTERM), 0);
	ck_assert_int_eq(raise(SIGUSR1), 0);
	ck_assert_int_eq(arrivals[SIGTERM], 0);
	turn();
	ck_assert_int_eq(arrivals[SIGTERM], 1);
	ck_assert_int_eq(arrivals[SIGUSR1], 1);
	ck_assert_int_eq(arrivals[SIGHUP], 0);
	ck_assert_int_eq(raise(SIGTERM), 0);
	turn();
	ck_assert_int_eq(arrivals[SIGTERM], 2);
}
END_TEST

/* However many have come before. */
START_TEST(no_signal_is_lost)
{
	take_signals();
	for (int i = 0; i < 70 * 1000; i++)
		ck_assert_int_eq(raise(SIGUSR1), 0);
	ck_assert_int_eq(raise(SIGTERM), 0);
	turn();
	ck_assert_int_ge(arrivals[SIGUSR1], 1);
	ck_assert_int_eq(arrivals[SIGTERM], 1);
	turn();
	ck_assert_int_eq(arrivals[SIGTERM], 1);
}
END_TEST

START_TEST(a_broken_pipe_is_an_error_and_no_signal)
{
	take_signals();
	shut_end(1);
	errno = 0;
	ck_assert_int_eq(write(ends[0], "x", 1), -1);
	ck_assert_int_eq(errno, EPIPE);
}
END_TEST

/* ---- the loop itself -------------------------------------------------------------------------- */

static void stop(struct loop_timer *timer)
{
	(void)timer;
	fired++;
	loop_stop(loop);
}

START_TEST(runs_until_it_is_stopped)
{
	struct loop_timer timer;

	fired = 0;
	loop_timer_init(&timer, stop);
	loop_timer_set(loop, &timer, 3);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_int_eq(fired, 1);
}
END_TEST

START_TEST(leaves_no_descriptor_open)
{
	int fds = count_fds();
	struct loop *another = loop_new();
	struct loop *none = NULL;

	ck_assert_ptr_nonnull(another);
	ck_assert_int_eq(loop_turn(another, 0), 0);
	loop_free(&another);
	loop_free(&none);
	ck_assert_int_eq(count_fds(), fds);
	take_signals();
	loop_free(&loop);
	ck_assert_int_le(count_fds(), fds);
}
END_TEST

START_TEST(time_goes_on_between_turns_only)
{
	int64_t before;

	turn();
	before = loop_now(loop);
	usleep(3000);
	ck_assert_int_eq(loop_now(loop), before);
	turn();
	ck_assert_int_ge(loop_now(loop), before + 2);
}
END_TEST

/* ---- shortages ------------------------------------------------------------------------------ */

static void on_nothing(void *context, int signo)
{
	(void)context;
	(void)signo;
}

/* A loop that takes signals over; whether it could be made. */
static bool make_another(void)
{
	static const int signals[] = {SIGUSR1, 0};
	struct loop *other = loop_new();
	int made = other == NULL ? -1 : loop_signals(other, signals, on_nothing, NULL);
	int error = errno;

	if (other != NULL)
		loop_free(&other);
	ck_assert(made == 0 || error == EMFILE);
	return made == 0;
}

/* Whatever it needs, and is not there, it leaves nothing open. */
START_TEST(without_descriptors_there_is_none)
{
	int fds = count_fds();
	int lowest = dup(STDERR_FILENO);
	struct rlimit before, tight;
	int room = 0;
	bool made;

	close(lowest);
	if (is_under_valgrind()) /* it counts descriptors in its own way */
		return;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	do {
		tight = before;
		tight.rlim_cur = (rlim_t)(lowest + room++);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
		made = make_another();
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
		ck_assert_int_eq(count_fds(), fds);
	} while (!made && room < 10);
	ck_assert(made);
	ck_assert_int_gt(room, 1);
}
END_TEST

/* epoll(7) watches no regular file; poll(2) finds it ready. */
START_TEST(a_file_is_watched_or_refused)
{
	struct loop_watch watch;
	int fd;

	temp_make();
	temp_write("file", 0600, "x");
	fd = open(temp_path("file"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	loop_watch_init(&watch, NULL);
	if (loop_watch(loop, &watch, fd, 0) == 0) {
		loop_unwatch(loop, &watch);
	} else {
		ck_assert_int_eq(errno, EPERM);
		ck_assert_int_eq(watch.fd, -1);
	}
	close(fd);
	temp_remove();
}
END_TEST

static void add_watches(TCase *tcase)
{
	tcase_add_test(tcase, without_descriptors_there_is_none);
	tcase_add_test(tcase, a_file_is_watched_or_refused);
	tcase_add_test(tcase, reports_what_is_wanted_as_long_as_it_is_there);
	tcase_add_test(tcase, a_paused_watch_is_silent_and_goes_on);
	tcase_add_test(tcase, a_paused_watch_does_not_see_the_hang_up_until_it_goes_on);
	tcase_add_test(tcase, a_paused_watch_that_has_hung_up_does_not_spin);
	tcase_add_loop_test(tcase, a_hang_up_comes_with_what_is_wanted, 0,
	    sizeof hang_ups / sizeof *hang_ups);
	tcase_add_test(tcase, a_watch_for_hang_ups_only_is_silent_before);
	tcase_add_test(tcase, a_half_closed_socket_is_readable_and_not_hung_up);
	tcase_add_test(tcase, a_pipe_without_readers_hangs_up);
	tcase_add_test(tcase, a_pipe_without_writers_is_readable_and_hung_up);
	tcase_add_test(tcase, close_closes_once);
	tcase_add_test(tcase, a_watch_closed_by_another_in_the_same_turn_is_not_called);
	tcase_add_test(tcase, a_watch_paused_by_another_in_the_same_turn_is_not_called);
	tcase_add_test(tcase, a_watch_may_close_itself);
	tcase_add_test(tcase, a_number_may_be_used_again_at_once);
	tcase_add_test(tcase, many_descriptors_each_get_theirs);
	tcase_add_test(tcase, a_shared_watch_reports_too);
}

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	add_watches(tcase);
	tcase_add_test(tcase, timers_fire_once_and_in_order);
	tcase_add_test(tcase, timers_moved_and_cleared_at_random_fire_as_last_set);
	tcase_add_test(tcase, timers_are_never_early);
	tcase_add_test(tcase, a_time_that_is_past_is_now);
	tcase_add_test(tcase, no_time_is_too_far);
	tcase_add_test(tcase, a_timer_may_clear_others_that_are_due);
	tcase_add_test(tcase, a_timer_may_set_itself_again);
	tcase_add_test(tcase, a_timer_set_again_for_now_runs_in_the_next_turn);
	tcase_add_test(tcase, a_turn_waits_no_longer_than_until_the_first_timer);
	tcase_add_test(tcase, what_came_in_time_is_seen_before_the_timer);
	tcase_add_test(tcase, an_exit_in_time_is_seen_before_the_timer);
	tcase_add_test(tcase, a_quiet_child_is_not_looked_for_but_seen);
	tcase_add_test(tcase, no_timer_fires_after_a_wait_that_was_interrupted);
	tcase_add_test(tcase, timers_wait_for_what_one_wait_cannot_find);
	tcase_add_test(tcase, timers_fire_though_there_is_always_more);
	tcase_add_test(tcase, the_loops_time_stands_still_while_it_is_paused);
	tcase_add_test(tcase, a_task_runs_once_a_posting);
	tcase_add_test(tcase, what_a_task_posts_runs_in_the_next_turn_which_does_not_wait);
	tcase_add_test(tcase, a_task_may_unpost_another);
	tcase_add_test(tcase, tasks_of_a_turn_run_when_its_events_have_been_seen);
	tcase_add_test(tcase, each_childs_exit_is_reported_once);
	tcase_add_test(tcase, a_child_that_exited_before_signals_were_taken_is_reported);
	tcase_add_test(tcase, a_child_that_was_killed_says_so);
	tcase_add_test(tcase, a_removed_or_unknown_child_is_not_reported);
	tcase_add_test(tcase, signals_arrive_in_a_turn);
	tcase_add_test(tcase, no_signal_is_lost);
	tcase_add_test(tcase, a_broken_pipe_is_an_error_and_no_signal);
	tcase_add_test(tcase, runs_until_it_is_stopped);
	tcase_add_test(tcase, leaves_no_descriptor_open);
	tcase_add_test(tcase, time_goes_on_between_turns_only);
}

int main(void)
{
	return check_main("loop", add);
}

/* SPDX-License-Identifier: ISC */
/*
 * check_handover: what is given is what is taken; what is no handover is none.
 */
#include "check_util.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/handover.h"

static struct handover taken;

static void give(pid_t owner)
{
	struct handover_worker workers[] = {{4711, 0}, {4712, 1}};
	struct handover_socket sockets[] = {{.fd = 7,
						.name = "unix:/run/a b.sock",
						.has_file = true,
						.dev = (dev_t)-2,
						.ino = (ino_t)-3},
	    {.fd = 8, .name = "inherited socket 3"}, {.fd = 9, .name = "tcp:127.0.0.1:80"}};
	const struct handover given = {.lifeline = {{3, 4}, {-1, 6}},
	    .drain_time = 35300,
	    .syslog = 3,
	    .syslog_socket = "/dev/a log",
	    .board = {5, {10, 11}, 2, 128, 4242},
	    .workers = workers,
	    .worker_count = 2,
	    .sockets = sockets,
	    .socket_count = 3};

	ck_assert_int_eq(handover_give(&given, owner), 0);
}

START_TEST(what_is_given_is_taken)
{
	give(getpid());
	ck_assert_int_eq(handover_take(&taken), 0);
	ck_assert_int_eq(taken.role, HANDOVER_HEIR);
	ck_assert_int_eq(taken.syslog, 3);
	ck_assert_str_eq(taken.syslog_socket, "/dev/a log");
	ck_assert_int_eq(taken.lifeline.stop[0], 3);
	ck_assert_int_eq(taken.lifeline.stop[1], 4);
	ck_assert_int_eq(taken.lifeline.drain[0], -1);
	ck_assert_int_eq(taken.lifeline.drain[1], 6);
	ck_assert_int_eq(taken.drain_time, 35300);
	ck_assert_int_eq(taken.board.fd, 5);
	ck_assert_int_eq(taken.board.wake[0], 10);
	ck_assert_int_eq(taken.board.wake[1], 11);
	ck_assert_int_eq(taken.board.workers, 2);
	ck_assert_int_eq(taken.board.scripts, 128);
	ck_assert_uint_eq(taken.board.layout, 4242);
	ck_assert_uint_eq(taken.worker_count, 2);
	ck_assert_int_eq(taken.workers[1].pid, 4712);
	ck_assert_int_eq(taken.workers[1].number, 1);
	ck_assert_uint_eq(taken.socket_count, 3);
	ck_assert_str_eq(taken.sockets[0].name, "unix:/run/a b.sock");
	ck_assert(taken.sockets[0].has_file);
	ck_assert(taken.sockets[0].dev == (dev_t)-2);
	ck_assert(taken.sockets[0].ino == (ino_t)-3);
	ck_assert(!taken.sockets[1].has_file);
	ck_assert(!taken.sockets[2].has_file);
	handover_fini(&taken);
}
END_TEST

START_TEST(it_is_taken_once)
{
	give(getpid());
	ck_assert_int_eq(handover_take(&taken), 0);
	handover_fini(&taken);
	ck_assert_int_eq(handover_take(&taken), 0);
	ck_assert_int_eq(taken.role, HANDOVER_NONE);
	handover_fini(&taken);
	give(getpid());
	handover_withdraw();
	ck_assert_int_eq(handover_take(&taken), 0);
	ck_assert_int_eq(taken.role, HANDOVER_NONE);
	handover_fini(&taken);
}
END_TEST

START_TEST(a_socket_is_taken_once)
{
	give(getpid());
	ck_assert_int_eq(handover_take(&taken), 0);
	ck_assert_ptr_null(handover_socket(&taken, "unix:/run/a"));
	ck_assert_int_eq(handover_socket(&taken, "unix:/run/a b.sock")->fd, 7);
	handover_socket(&taken, "unix:/run/a b.sock")->fd = -1;
	ck_assert_ptr_null(handover_socket(&taken, "unix:/run/a b.sock"));
	ck_assert_int_eq(handover_socket(&taken, "inherited socket 3")->fd, 8);
	ck_assert_int_eq(handover_socket(&taken, "tcp:127.0.0.1:80")->fd, 9);
	handover_fini(&taken);
}
END_TEST

START_TEST(the_pid_says_who_it_is_for)
{
	give(getppid());
	ck_assert_int_eq(handover_take(&taken), 0);
	ck_assert_int_eq(taken.role, HANDOVER_TRIAL);
	handover_fini(&taken);
	give(1);
	ck_assert_int_eq(handover_take(&taken), 0);
	if (getppid() != 1)
		ck_assert_int_eq(taken.role, HANDOVER_NONE);
	handover_fini(&taken);
}
END_TEST

static const char *const broken[] = {"", "nonsense", "pid", "pid x\nlifeline 1 2",
    "lifeline 3 4\nsocket 5 x", "pid %ld", "pid %ld\nlifeline -1 4", "pid %ld\nlifeline 3",
    "\n\n\n", "worker\nsocket\nboard\npid\n"};

START_TEST(what_is_broken_is_no_handover)
{
	char text[256];
	int len = 0;

	if (strstr(broken[_i], "%ld") != NULL) {
		len = snprintf(text, sizeof text, "pid %ld", (long)getpid());
		snprintf(text + len, sizeof text - (size_t)len, "%s", broken[_i] + strlen("pid %ld"));
	} else {
		snprintf(text, sizeof text, "%s", broken[_i]);
	}
	setenv("CGIBRIDGE_HANDOVER", text, 1);
	ck_assert_int_eq(handover_take(&taken), 0);
	ck_assert_int_eq(taken.role, HANDOVER_NONE);
	ck_assert_ptr_null(getenv("CGIBRIDGE_HANDOVER"));
	handover_fini(&taken);
}
END_TEST

START_TEST(half_lines_are_left_out)
{
	char text[256];

	snprintf(text, sizeof text,
	    "pid %ld\nlifeline 3 4\nboard 5 6 7\nboard 5 6 7 2 128 -1\nworker 12\n"
	    "worker 1 0\nsocket 1 x\nsocket 9\n"
	    "drain 7\nworker 12 3\nsocket 7 a\nfile 7\nfile 7 1\nfile 7 1 x\nfile 8 1 1\n"
	    "syslog 3\nsyslog /dev/log\n",
	    (long)getpid());
	setenv("CGIBRIDGE_HANDOVER", text, 1);
	ck_assert_int_eq(handover_take(&taken), 0);
	ck_assert_int_eq(taken.role, HANDOVER_HEIR);
	ck_assert_int_eq(taken.board.fd, -1);
	ck_assert_int_eq(taken.syslog, 0);
	ck_assert_int_eq(taken.lifeline.drain[1], -1); /* as from a version without it */
	ck_assert_int_eq(taken.drain_time, -1);
	ck_assert_uint_eq(taken.worker_count, 1);
	ck_assert_int_eq(taken.workers[0].number, 3);
	ck_assert_uint_eq(taken.socket_count, 1);
	ck_assert(!taken.sockets[0].has_file);
	handover_fini(&taken);
}
END_TEST

START_TEST(descriptors_are_kept_over_an_exec_or_not)
{
	int fds[2];
	struct handover given;

	handover_init(&given);
	ck_assert_int_eq(pipe(fds), 0);
	given.lifeline.stop[0] = fds[0];
	given.lifeline.drain[1] = fds[1];
	ck_assert_int_eq(handover_keep(&given, false), 0);
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(handover_keep(&given, true), 0);
	ck_assert_int_eq(fcntl(fds[1], F_GETFD), 0);
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_ne(handover_keep(&given, true), 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, what_is_given_is_taken);
	tcase_add_test(tcase, it_is_taken_once);
	tcase_add_test(tcase, a_socket_is_taken_once);
	tcase_add_test(tcase, the_pid_says_who_it_is_for);
	tcase_add_loop_test(tcase, what_is_broken_is_no_handover, 0, sizeof broken / sizeof *broken);
	tcase_add_test(tcase, half_lines_are_left_out);
	tcase_add_test(tcase, descriptors_are_kept_over_an_exec_or_not);
}

int main(void)
{
	return check_main("handover", add);
}

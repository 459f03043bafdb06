/* SPDX-License-Identifier: ISC */
/*
 * check_left: what is left of a script: its exit, its time, its stderr, and their order.
 */
#include "check_util.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "cgi/left.h"

enum { SLOTS = 2 };

static struct loop *loop;
static struct scoreboard *board;
static struct children children;
static struct left_list list;
static struct errlog errlog;
static int script_stderr = -1; /* the script's end of its stderr */

static void on_signal(void *context, int signo)
{
	(void)context;
	(void)signo;
}

static void setup(void)
{
	static const int signals[] = {SIGUSR1, 0};

	signals_keep();
	temp_make();
	log_open(LOG_LEVEL_INFO, LOG_FORM_PLAIN);
	loop = loop_new();
	board = scoreboard_new(1, SLOTS);
	ck_assert(loop != NULL && board != NULL);
	ck_assert_int_eq(loop_signals(loop, signals, on_signal, NULL), 0);
	ck_assert_int_eq(children_init(&children, loop, board, 50), 0);
	left_init(&list, loop, &children);
	errlog_init(&errlog, loop, false);
}

static void close_stderr(void)
{
	if (script_stderr >= 0)
		close(script_stderr);
	script_stderr = -1;
}

static void teardown(void)
{
	left_fini(&list);
	children_fini(&children);
	errlog_fini(&errlog);
	close_stderr();
	loop_free(&loop);
	scoreboard_free(&board);
	while (waitpid(-1, NULL, 0) > 0)
		;
	signals_restore();
	temp_remove();
}

static void on_exit_of(void *context, int status)
{
	(void)context;
	(void)status;
	ck_abort_msg("its exit belongs to what is left");
}

/* Starts `body` as a script; its stderr is `errlog`'s. */
static struct child *start(const char *body)
{
	static char *no_environment[1];
	static char program[4096];
	static char *argv[2] = {program, NULL};
	struct child_plan plan = {.argv = argv, .dir = temp_dir(), .envp = no_environment,
	    .slot = scoreboard_claim(board, 0), .wants_stderr = 1};
	struct child_pipes pipes;
	struct sys_fault fault;
	char text[1024] = "#!/bin/sh\n";
	struct child *child;

	temp_write("run.cgi", 0755, strcat(text, body));
	snprintf(program, sizeof program, "%s", temp_path("run.cgi"));
	child = child_spawn(&children, &plan, &pipes, &fault, on_exit_of, NULL);
	ck_assert_ptr_nonnull(child);
	close(pipes.out);
	errlog_attach(&errlog, pipes.err, "/srv/x", child_pid(child), 7);
	return child;
}

static void leave(struct child *child, int64_t time)
{
	left_adopt(&list, &(struct left_script){.child = child, .script = strdup("/srv/x"),
			     .pid = child == NULL ? 4711 : child_pid(child), .id = 7, .time = time,
			     .answered = true, .errlog = &errlog});
}

/* Leaves the stderr of a script that has exited; it is held. */
static void leave_stderr(void)
{
	int fds[2];

	close_stderr();
	ck_assert_int_eq(sys_pipe(fds, SYS_PIPE_READ), 0);
	errlog_attach(&errlog, fds[0], "/srv/x", 4711, 7);
	script_stderr = fds[1];
	leave(NULL, -1);
}

static bool is_empty(void *context)
{
	(void)context;
	return list.first == NULL;
}

static void expect_log(const char *text, const char *log)
{
	ck_assert_msg(strstr(log, text) != NULL, "%s", log);
}

START_TEST(stderr_is_read_until_it_is_closed)
{
	leave_stderr();
	ck_assert_uint_eq(list.held, 1);
	capture_begin();
	ck_assert_int_eq(write(script_stderr, "a line\nand", 10), 10);
	turn_for(loop, 2);
	ck_assert_uint_eq(list.held, 1);
	close_stderr();
	ck_assert(turn_until(loop, is_empty, NULL));
	expect_log("/srv/x[4711]: request 7: stderr: a line\n", capture_end());
	ck_assert_uint_eq(list.held, 0);
}
END_TEST

START_TEST(the_end_of_the_worker_says_what_it_closes)
{
	leave_stderr();
	capture_begin();
	left_fini(&list);
	expect_log("/srv/x[4711]: request 7: this worker ends: its standard error is closed",
	    capture_end());
	ck_assert_uint_eq(list.held, 0);
}
END_TEST

START_TEST(a_failure_after_the_response_is_said)
{
	capture_begin();
	leave(start("echo oops >&2; exit 3\n"), -1);
	ck_assert(turn_until(loop, is_empty, NULL));
	expect_log("request 7: exit status 3, after the end of its response", capture_end());
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

START_TEST(a_signal_after_the_response_is_said)
{
	capture_begin();
	leave(start("kill -KILL $$\n"), -1);
	ck_assert(turn_until(loop, is_empty, NULL));
	expect_log("request 7: killed by signal 9, after the end of its response", capture_end());
}
END_TEST

START_TEST(its_time_is_over)
{
	capture_begin();
	leave(start("exec sleep 100\n"), 20);
	ck_assert_int_eq(scoreboard_running(board), 1);
	ck_assert(turn_until(loop, is_empty, NULL));
	expect_log("request 7: longer than --timeout: stopped, after the end", capture_end());
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

/* Its exit and its deadline are seen in one turn: the exit comes first and counts. */
START_TEST(its_time_is_over_when_it_has_exited)
{
	struct child *child = start("exit 0\n");
	siginfo_t info;
	const char *log;

	ck_assert_int_eq(waitid(P_PID, (id_t)child_pid(child), &info, WEXITED | WNOWAIT), 0);
	capture_begin();
	leave(child, 0);
	ck_assert(turn_until(loop, is_empty, NULL));
	log = capture_end();
	ck_assert_msg(strstr(log, "request 7") == NULL, "%s", log);
	ck_assert_uint_eq(list.held, 0);
}
END_TEST

START_TEST(one_that_gets_its_term_is_no_failure)
{
	struct child *child = start("exec sleep 100\n");
	const char *log;

	capture_begin();
	child_terminate(child);
	leave(child, 0);
	ck_assert(turn_until(loop, is_empty, NULL));
	log = capture_end();
	ck_assert_msg(strstr(log, "request 7") == NULL, "%s", log);
}
END_TEST

/* Whether its first line of stderr has been read. */
static bool has_started(void *context)
{
	(void)context;
	return errlog.started;
}

static bool is_held(void *context)
{
	(void)context;
	return list.held == 1;
}

/* What is held for those that nothing can end has the same bounds. */
START_TEST(stderr_of_one_that_may_not_be_killed_is_held)
{
	struct child *child;
	pid_t pid;

	if (geteuid() != 0) /* a script of another user takes root */
		return;
	child = start("exec perl -e '$< = $> = 1; print STDERR \"ready\\n\"; sleep 100'\n");
	pid = child_pid(child);
	capture_begin();
	ck_assert(turn_until(loop, has_started, NULL));
	ck_assert_int_eq(seteuid(65534), 0);
	child_terminate(child);
	leave(child, -1);
	ck_assert(turn_until(loop, is_held, NULL));
	(void)capture_end();
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert(turn_until(loop, is_empty, NULL));
	ck_assert_uint_eq(list.held, 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, stderr_is_read_until_it_is_closed);
	tcase_add_test(tcase, the_end_of_the_worker_says_what_it_closes);
	tcase_add_test(tcase, a_failure_after_the_response_is_said);
	tcase_add_test(tcase, a_signal_after_the_response_is_said);
	tcase_add_test(tcase, its_time_is_over);
	tcase_add_test(tcase, its_time_is_over_when_it_has_exited);
	tcase_add_test(tcase, one_that_gets_its_term_is_no_failure);
	tcase_add_test(tcase, stderr_of_one_that_may_not_be_killed_is_held);
}

int main(void)
{
	return check_main("left", add);
}

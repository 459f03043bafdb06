/* SPDX-License-Identifier: ISC */
/*
 * check_child: how scripts start, end, fail to start, and are brought to an end.
 */
#include "check_util.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef WITH_SYS_LINUX
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "base/clock.h"
#include "cgi/child.h"
#include "base/sys.h"

enum { SLOTS = 4, MANY = 150 };

static struct loop *loop;
static struct scoreboard *board;
static struct children children;
static struct child_pipes pipes;
static struct sys_fault fault;
static char text[4096]; /* what the script wrote */
static int exits;
static int status;
static bool stopped; /* child_is_stopped(), asked in its exit callback */
static int emptied;
static bool apart; /* whether scripts are started apart */
static struct child *spawned; /* the only one; NULL: none, or several */

static void on_emptied(struct children *family)
{
	ck_assert_uint_eq(family->count, 0);
	emptied++;
}

static void on_signal(void *context, int signo)
{
	(void)context;
	(void)signo;
}

static void setup(void)
{
	static const int signals[] = {SIGTERM, SIGUSR1, 0};

	signals_keep();
	temp_make();
	loop = loop_new();
	board = scoreboard_new(1, SLOTS);
	ck_assert(loop != NULL && board != NULL);
	ck_assert_int_eq(loop_signals(loop, signals, on_signal, NULL), 0);
	ck_assert_int_eq(children_init(&children, loop, board, 50), 0);
	children.emptied = on_emptied;
	exits = emptied = 0;
	apart = false;
	spawned = NULL;
	pipes = (struct child_pipes){-1, -1, -1};
}

static void close_pipe(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void teardown(void)
{
	children_fini(&children);
	loop_free(&loop);
	scoreboard_free(&board);
	close_pipe(&pipes.in);
	close_pipe(&pipes.out);
	close_pipe(&pipes.err);
	while (waitpid(-1, NULL, 0) > 0)
		;
	signals_restore();
	temp_remove();
}

static void on_exit_of(void *context, int exit_status)
{
	ck_assert_ptr_eq(context, &exits);
	exits++;
	status = exit_status;
	stopped = spawned != NULL && child_is_stopped(spawned);
}

static void on_left_exit(void *context, int exit_status)
{
	ck_assert_uint_eq(child_app_status(exit_status), 3);
	++*(int *)context;
}

static void script(const char *name, const char *body)
{
	char all[2048] = "#!/bin/sh\n";

	strcat(all, body);
	temp_write(name, 0755, all);
}

static struct child_plan plan_of(const char *path)
{
	static char *no_environment[1];
	static char program[4096];
	static char *argv[2] = {program, NULL};

	snprintf(program, sizeof program, "%s", path);
	return (struct child_plan){.argv = argv,
	    .dir = temp_dir(),
	    .envp = no_environment,
	    .slot = scoreboard_claim(board, 0),
	    .wants_stdin = 1,
	    .wants_stderr = 1,
	    .apart = apart};
}

static struct child *spawn(const struct child_plan *plan)
{
	struct child *child = child_spawn(&children, plan, &pipes, &fault, on_exit_of, &exits);

	ck_assert_msg(child != NULL, "step %d: %s", (int)fault.step, strerror(fault.error));
	spawned = children.count == 1 ? child : NULL;
	return child;
}

/* Runs `body` as a script. */
static struct child *run(const char *body)
{
	struct child_plan plan;

	script("run.cgi", body);
	plan = plan_of(temp_path("run.cgi"));
	return spawn(&plan);
}

static bool is_over(void *context)
{
	(void)context;
	return children.count == 0;
}

static bool has_exited(void *context)
{
	(void)context;
	return exits > 0;
}

/* Whether `fd` has come to its end; what is read goes to `text`. */
static bool at_end(void *context)
{
	size_t len = strlen(text);
	ssize_t n = read(*(int *)context, text + len, sizeof text - 1 - len);

	if (n > 0)
		text[len + (size_t)n] = '\0';
	return n == 0;
}

static const char *read_all(int fd)
{
	text[0] = '\0';
	ck_assert(turn_until(loop, at_end, &fd));
	return text;
}

static bool has_line(void *context)
{
	return at_end(context) || strchr(text, '\n') != NULL;
}

/* Waits until the script has said that it is ready. */
static void wait_for_line(void)
{
	text[0] = '\0';
	ck_assert(turn_until(loop, has_line, &pipes.out));
	ck_assert_ptr_nonnull(strchr(text, '\n'));
}

/* ---- running ---------------------------------------------------------------------------- */

START_TEST(its_output_and_exit_status_come_back)
{
	run("echo out; echo err >&2; exit 7\n");
	ck_assert_uint_eq(children.count, 1);
	ck_assert_int_eq(scoreboard_running(board), 1);
	ck_assert_str_eq(read_all(pipes.out), "out\n");
	ck_assert_str_eq(read_all(pipes.err), "err\n");
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(exits, 1);
	ck_assert(WIFEXITED(status));
	ck_assert_uint_eq(child_app_status(status), 7);
	ck_assert(!stopped);
	ck_assert_int_eq(scoreboard_running(board), 0);
	ck_assert_int_eq(emptied, 1);
}
END_TEST

START_TEST(it_reads_what_it_is_given)
{
	run("cat\n");
	ck_assert(fcntl(pipes.in, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(pipes.out, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(pipes.in, F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(write(pipes.in, "hello", 5), 5);
	close_pipe(&pipes.in);
	ck_assert_str_eq(read_all(pipes.out), "hello");
}
END_TEST

START_TEST(without_pipes_it_has_dev_null)
{
	struct child_plan plan;

	script("run.cgi", "cat; echo lost >&2; echo end\n");
	plan = plan_of(temp_path("run.cgi"));
	plan.wants_stdin = plan.wants_stderr = 0;
	spawn(&plan);
	ck_assert_int_eq(pipes.in, -1);
	ck_assert_int_eq(pipes.err, -1);
	ck_assert_str_eq(read_all(pipes.out), "end\n");
}
END_TEST

START_TEST(it_has_its_environment_directory_and_name)
{
	char variable[] = "GREETING=hello";
	char *envp[] = {variable, NULL};
	struct child_plan plan;
	char wanted[600];

	script("run.cgi", "echo $GREETING; pwd -P; echo $0; echo ${HOME-none}\n");
	plan = plan_of(temp_path("run.cgi"));
	plan.envp = envp;
	spawn(&plan);
	snprintf(wanted, sizeof wanted, "hello\n%s\n%s\nnone\n", temp_dir(), temp_path("run.cgi"));
	ck_assert_str_eq(read_all(pipes.out), wanted);
}
END_TEST

START_TEST(it_has_no_descriptor_but_its_three)
{
	sys_cloexec_from(3); /* as main() does: what its starter left open */
	run("for fd in 3 4 5 6 7 8 9; do\n"
	    "	if (: >&$fd) 2>/dev/null || (: <&$fd) 2>/dev/null; then echo $fd; fi\n"
	    "done\n");
	ck_assert_str_eq(read_all(pipes.out), "");
}
END_TEST

/* Opens descriptors here and there; all from 3 on have to be close-on-exec after `mark`. */
static void check_marking(void (*mark)(int lowest))
{
	static const int some[] = {3, 4, 30, 200};
	int fd = open("/dev/null", O_RDONLY);

	for (size_t i = 0; i < sizeof some / sizeof *some; i++)
		if (some[i] != fd && fcntl(some[i], F_GETFD) < 0)
			ck_assert_int_eq(dup2(fd, some[i]), some[i]);
	ck_assert_int_eq(fcntl(200, F_SETFD, 0), 0);
	mark(3);
	for (int at = 3; at < 1000; at++)
		ck_assert(fcntl(at, F_GETFD) != 0);
	ck_assert_int_eq(fcntl(2, F_GETFD), 0);
}

START_TEST(what_the_starter_left_open_is_marked)
{
	check_marking(sys_cloexec_from);
}
END_TEST

START_TEST(one_by_one_it_is_too)
{
	check_marking(sys_cloexec_each);
}
END_TEST

/* It cannot run what borrows our memory on a stack of its own. */
static bool under_valgrind(void)
{
	const char *preloaded = getenv("LD_PRELOAD");

	return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

/* Holds our ends of so many pipes as if their scripts ran.  The highest end of a script's. */
static int hold_many(int held[MANY])
{
	int highest = 0;

	for (int i = 0; i < MANY; i++) {
		int fds[2];

		ck_assert_int_eq(sys_pipe(fds, SYS_PIPE_READ), 0);
		highest = fds[1] > highest ? fds[1] : highest;
		close(fds[1]); /* as after a script's start */
		held[i] = fds[0];
	}
	return highest;
}

static void check_streams(void)
{
	run("read -r word; echo $word; echo lost >&2\n");
	ck_assert_int_eq(write(pipes.in, "hello\n", 6), 6);
	ck_assert_str_eq(read_all(pipes.out), "hello\n");
	ck_assert_str_eq(read_all(pipes.err), "lost\n");
}

START_TEST(it_is_the_same_when_many_run)
{
	int held[MANY];
	int highest;

	if (under_valgrind())
		return;
	highest = hold_many(held);
#ifdef WITH_SYS_LINUX
	/* scripts are given low ones: what a spawn costs depends on it */
	ck_assert_int_lt(highest, MANY);
	ck_assert_int_gt(held[MANY - 1], 2 * MANY);
#else
	ck_assert_int_ge(highest, MANY);
#endif
	check_streams();
	for (int i = 0; i < MANY; i++)
		close(held[i]);
}
END_TEST

#ifdef WITH_SYS_LINUX
/* From here on the system refuses, as in old containers, what a short table needs. */
static void forbid_unsharing(void)
{
	struct sock_filter steps[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 1, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof steps / sizeof *steps, steps};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

START_TEST(it_is_the_same_where_a_short_table_is_forbidden)
{
	int held[MANY];

	if (under_valgrind())
		return;
	ck_assert_int_lt(hold_many(held), MANY);
	forbid_unsharing();
	check_streams();
	for (int i = 0; i < MANY; i++)
		close(held[i]);
}
END_TEST
#endif

START_TEST(it_leads_a_group_of_its_own)
{
	struct child *child = run("echo ready; cat\n");
	pid_t pid = child_pid(child);

	wait_for_line();
	ck_assert_int_eq(getsid(pid), getsid(0));
	ck_assert_int_eq(getpgid(pid), pid);
	close_pipe(&pipes.in);
	ck_assert(turn_until(loop, is_over, NULL));
}
END_TEST

START_TEST(it_has_default_signals)
{
	/* blocked here, and it must not be there */
	run("kill -USR1 $$; echo survived\n");
	ck_assert_str_eq(read_all(pipes.out), "");
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert(WIFSIGNALED(status));
	ck_assert_uint_eq(child_app_status(status), 128 + SIGUSR1);
}
END_TEST

START_TEST(it_dies_of_a_broken_pipe_like_anywhere)
{
	run("while :; do echo line; done\n");
	wait_for_line();
	close_pipe(&pipes.out);
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGPIPE);
}
END_TEST

START_TEST(limits_are_set_in_it_and_not_here)
{
	struct sys_limit limit = {.resource = RLIMIT_NOFILE, .value = {77, 77}};
	struct rlimit ours;

	if (is_under_valgrind()) /* it has a limit of its own */
		return;
	children.limits = &limit;
	children.limit_count = 1;
	run("ulimit -n\n");
	ck_assert_str_eq(read_all(pipes.out), "77\n");
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &ours), 0);
	ck_assert_uint_ne(ours.rlim_cur, 77);
}
END_TEST

START_TEST(its_pid_is_in_its_slot)
{
	struct child_plan plan;
	struct child *child;

	script("run.cgi", "echo ready; cat\n");
	plan = plan_of(temp_path("run.cgi"));
	child = spawn(&plan);
	wait_for_line();
	ck_assert_int_eq(atomic_load(scoreboard_pid(board, plan.slot)), (int)child_pid(child));
	close_pipe(&pipes.in);
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(atomic_load(scoreboard_pid(board, plan.slot)), 0);
}
END_TEST

START_TEST(many_run_at_once)
{
	struct child_pipes each[SLOTS];

	script("run.cgi", "cat\n");
	for (int i = 0; i < SLOTS; i++) {
		struct child_plan plan = plan_of(temp_path("run.cgi"));

		spawn(&plan);
		each[i] = pipes;
	}
	ck_assert_uint_eq(children.count, SLOTS);
	for (int i = 0; i < SLOTS; i++) {
		close(each[i].in);
		close(each[i].out);
		close(each[i].err);
	}
	pipes = (struct child_pipes){-1, -1, -1};
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(exits, SLOTS);
	ck_assert_int_eq(emptied, 1);
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

/* ---- not starting -------------------------------------------------------------------------- */

static char why[EXEC_FAULT_MAX];

static void on_failed_exit(void *context, int exit_status)
{
	const struct child_failure *failure;

	ck_assert_int_eq(WEXITSTATUS(exit_status), 127);
	failure = child_failure(*(struct child **)context);
	ck_assert_ptr_nonnull(failure);
	fault = failure->fault;
	snprintf(why, sizeof why, "%s", failure->why);
	exits++;
}

/* It is found out when it has exited. */
static void check_failure_apart(const struct child_plan *plan, enum sys_step step, int error)
{
	struct child *child;

	child = child_spawn(&children, plan, &pipes, &fault, on_failed_exit, &child);
	ck_assert_ptr_nonnull(child);
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(exits, 1);
	ck_assert_int_eq(fault.step, step);
	ck_assert_int_eq(fault.error, error);
	ck_assert_str_eq(read_all(pipes.out), "");
	ck_assert_int_eq(scoreboard_running(board), 0);
}

static void check_failure(const struct child_plan *plan, enum sys_step step, int error)
{
	int fds = count_fds();

	if (apart) {
		check_failure_apart(plan, step, error);
		return;
	}
	if (is_under_valgrind())
		return;
	ck_assert_ptr_null(child_spawn(&children, plan, &pipes, &fault, on_exit_of, &exits));
	ck_assert_int_eq(fault.step, step);
	ck_assert_int_eq(fault.error, error);
	ck_assert_int_eq(count_fds(), fds);
	ck_assert_uint_eq(children.count, 0);
	ck_assert_int_eq(scoreboard_running(board), 1); /* the slot is still ours */
	turn_for(loop, 10);
	ck_assert_int_eq(exits, 0);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* nothing to reap */
}

static const struct {
	const char *text;
	mode_t mode;
	int error;
} unstartable[] = {
	{NULL, 0, ENOENT},
	{"#!/bin/sh\n", 0644, EACCES},
	{"#!/nonexistent/interpreter\n", 0755, ENOENT},
	{"neither program nor script\n", 0755, ENOEXEC},
};

START_TEST(an_exec_that_fails_says_why)
{
	struct child_plan plan = plan_of(temp_path("run.cgi"));

	if (unstartable[_i].text != NULL)
		temp_write("run.cgi", unstartable[_i].mode, unstartable[_i].text);
	check_failure(&plan, SYS_STEP_EXEC, unstartable[_i].error);
}
END_TEST

START_TEST(an_environment_that_is_too_large_says_so)
{
	size_t len = 8 << 20;
	char *huge = malloc(len);
	char *envp[] = {huge, NULL};
	struct child_plan plan = plan_of(temp_path("run.cgi"));

	ck_assert_ptr_nonnull(huge);
	memset(huge, 'x', len - 1);
	huge[1] = '=';
	huge[len - 1] = '\0';
	script("run.cgi", "exit 0\n");
	plan.envp = envp;
	check_failure(&plan, SYS_STEP_EXEC, E2BIG);
	free(huge);
}
END_TEST

START_TEST(a_missing_directory_is_its_own_step)
{
	struct child_plan plan = plan_of(temp_path("run.cgi"));

	script("run.cgi", "exit 0\n");
	plan.dir = temp_path("none");
	check_failure(&plan, SYS_STEP_DIR, ENOENT);
}
END_TEST

START_TEST(an_impossible_limit_is_its_own_step)
{
	struct sys_limit limit = {.resource = RLIMIT_NOFILE, .value = {78, 77}};
	struct child_plan plan = plan_of(temp_path("run.cgi"));

	script("run.cgi", "exit 0\n");
	children.limits = &limit;
	children.limit_count = 1;
	check_failure(&plan, SYS_STEP_LIMIT, EINVAL);
}
END_TEST

/* ---- apart ---------------------------------------------------------------------------------- */

START_TEST(apart_it_is_the_same)
{
	struct child *child;
	pid_t pid;

	apart = true;
	child = run("for fd in 3 4 5 6 7 8 9; do\n"
		    "	if (: >&$fd) 2>/dev/null || (: <&$fd) 2>/dev/null; then exit 1; fi\n"
		    "done\n"
		    "echo ready; cat; kill -USR1 $$; echo survived\n");
	pid = child_pid(child);
	wait_for_line();
	ck_assert_int_eq(getpgid(pid), pid);
	ck_assert_ptr_null(child_failure(child));
	close_pipe(&pipes.in);
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(exits, 1);
	ck_assert_uint_eq(child_app_status(status), 128 + SIGUSR1);
}
END_TEST

START_TEST(apart_an_exec_that_fails_says_why)
{
	struct child_plan plan;
	char wanted[EXEC_FAULT_MAX];

	if (is_under_valgrind())
		return;
	apart = true;
	plan = plan_of(temp_path("run.cgi"));
	if (unstartable[_i].text != NULL)
		temp_write("run.cgi", unstartable[_i].mode, unstartable[_i].text);
	check_failure(&plan, SYS_STEP_EXEC, unstartable[_i].error);
	exec_fault_describe(temp_path("run.cgi"), unstartable[_i].error, wanted);
	ck_assert_str_eq(why, wanted); /* the child has found out */
}
END_TEST

START_TEST(apart_a_missing_directory_is_its_own_step)
{
	struct child_plan plan;

	apart = true;
	plan = plan_of(temp_path("run.cgi"));
	script("run.cgi", "exit 0\n");
	plan.dir = temp_path("none");
	check_failure(&plan, SYS_STEP_DIR, ENOENT);
}
END_TEST

/* ---- ending ---------------------------------------------------------------------------------- */

START_TEST(term_ends_it)
{
	struct child *child = run("echo ready; exec sleep 100\n");

	wait_for_line();
	child_terminate(child);
	child_terminate(child);
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(exits, 1);
	ck_assert_uint_eq(child_app_status(status), 128 + SIGTERM);
	ck_assert(stopped);
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

START_TEST(kill_ends_what_term_does_not)
{
	struct child *child = run("trap '' TERM; echo ready; while :; do sleep 100; done\n");

	wait_for_line();
	child_terminate(child);
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(exits, 1);
	ck_assert_uint_eq(child_app_status(status), 128 + SIGKILL);
	ck_assert(stopped);
	read_all(pipes.out); /* all of its group */
}
END_TEST

START_TEST(who_ends_in_order_after_term_is_left_to)
{
	struct child *child;

	children.kill_delay = 3600 * 1000;
	child = run("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done\n");
	wait_for_line();
	child_terminate(child);
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_uint_eq(child_app_status(status), 3);
	ck_assert(stopped);
	ck_assert_str_eq(read_all(pipes.out), "bye\n");
}
END_TEST

START_TEST(what_it_has_started_is_killed_after_it)
{
	/* it dies of TERM; what it has started ignores that */
	struct child *child = run("(trap '' TERM; echo ready; exec sleep 100) & wait\n");

	wait_for_line();
	child_terminate(child);
	ck_assert(turn_until(loop, has_exited, NULL));
	ck_assert(stopped);
	ck_assert_int_eq(scoreboard_running(board), 0); /* its slot is free */
	read_all(pipes.out);
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(exits, 1);
	ck_assert_int_eq(emptied, 1);
}
END_TEST

START_TEST(what_it_leaves_behind_of_its_own_will_is_left_alone)
{
	char byte = 0;

	run("exec 3<&0; cat <&3 & echo ready\n");
	wait_for_line();
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(exits, 1);
	turn_for(loop, 20);
	ck_assert_int_eq(read(pipes.out, &byte, 1), -1); /* somebody has it open still */
	close_pipe(&pipes.in);
	read_all(pipes.out);
}
END_TEST

START_TEST(a_dropped_child_is_not_reported_and_goes_all_the_same)
{
	struct child *child = run("trap '' TERM; echo ready; while :; do sleep 100; done\n");

	wait_for_line();
	child_terminate(child);
	child_drop(&child);
	ck_assert_ptr_null(child);
	child_drop(&child);
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(exits, 0);
	ck_assert_int_eq(scoreboard_running(board), 0);
	ck_assert_int_eq(emptied, 1);
}
END_TEST

/* Has left its group for ours, and ignores TERM if `deaf`. */
static struct child *run_in_our_group(const char *deaf)
{
	char body[256];
	struct child *child;

	snprintf(body, sizeof body,
	    "exec perl -e '$| = 1; setpgrp 0, getpgrp getppid; %s print \"ready\\n\"; sleep 100'\n", deaf);
	child = run(body);
	wait_for_line();
	ck_assert_int_eq(getpgid(child_pid(child)), getpgrp());
	return child;
}

START_TEST(a_script_that_has_left_its_group_is_ended)
{
	child_terminate(run_in_our_group(""));
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(exits, 1);
	ck_assert_uint_eq(child_app_status(status), 128 + SIGTERM);
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

START_TEST(a_script_that_has_left_its_group_is_killed)
{
	child_terminate(run_in_our_group("$SIG{TERM} = \"IGNORE\";"));
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_uint_eq(child_app_status(status), 128 + SIGKILL);
}
END_TEST

START_TEST(the_end_kills_one_that_has_left_its_group)
{
	run_in_our_group("");
	children_fini(&children);
	read_all(pipes.out);
	ck_assert_int_eq(children_init(&children, loop, board, 50), 0); /* for the teardown */
}
END_TEST

static bool is_given_up(void *context)
{
	(void)context;
	return scoreboard_running(board) == 0;
}

static bool is_forgotten(void *context)
{
	(void)context;
	return children.first == NULL;
}

START_TEST(one_that_may_not_be_killed_gives_its_slot_back)
{
	struct child *child;
	pid_t pid;
	const char *log;

	if (geteuid() != 0) /* a script of another user takes root */
		return;
	child = run("exec perl -e '$| = 1; $< = $> = 1; print \"ready\\n\"; sleep 100'\n");
	pid = child_pid(child);
	wait_for_line();
	ck_assert_int_eq(seteuid(65534), 0);
	capture_begin();
	child_terminate(child);
	ck_assert(turn_until(loop, is_given_up, NULL));
	log = capture_end();
	ck_assert_msg(strstr(log, "still runs after SIGKILL (Operation not permitted): left running, "
				  "and its slot is given back") != NULL, "%s", log);
	ck_assert_uint_eq(children.count, 0);
	ck_assert_int_eq(emptied, 1);
	ck_assert_int_eq(exits, 1); /* for its owner it has ended */
	ck_assert_uint_eq(child_app_status(status), 128 + SIGKILL);
	ck_assert(stopped);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert(turn_until(loop, is_forgotten, NULL)); /* it is reaped all the same */
	ck_assert_int_eq(exits, 1);
	ck_assert_int_eq(emptied, 1);
}
END_TEST

START_TEST(one_that_is_left_to_another_owner_is_reported_there)
{
	int other = 0;
	struct child *child = run("echo ready; read -r line; exit 3\n");

	wait_for_line();
	ck_assert(!child_is_stopped(child));
	child_leave(child, on_left_exit, &other);
	close_pipe(&pipes.in);
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(exits, 0);
	ck_assert_int_eq(other, 1);
}
END_TEST

START_TEST(all_are_ended_together)
{
	for (int i = 0; i < SLOTS; i++) {
		close_pipe(&pipes.in);
		close_pipe(&pipes.out);
		close_pipe(&pipes.err);
		run("echo ready; exec sleep 100\n");
		wait_for_line();
	}
	children_terminate(&children);
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(exits, SLOTS);
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

START_TEST(the_end_kills_and_forgets_all)
{
	run("trap '' TERM; echo ready; while :; do sleep 100; done\n");
	wait_for_line();
	children_fini(&children);
	ck_assert_ptr_null(children.first);
	ck_assert_int_eq(scoreboard_running(board), 0);
	read_all(pipes.out);
	ck_assert_int_eq(exits, 0);
	ck_assert_int_eq(children_init(&children, loop, board, 50), 0); /* for the teardown */
}
END_TEST

/* ---- started by another process ----------------------------------------------------------- */

static struct child_streams streams;

static struct child *expect(void)
{
	struct child_plan plan = plan_of("/bin/true");
	struct child *child = child_expect(&children, &plan, &streams, on_exit_of, &exits);

	ck_assert_ptr_nonnull(child);
	ck_assert(child_is_starting(child));
	child_close_streams(&children, streams.theirs);
	child_close_streams(&children, streams.ours);
	return child;
}

/* A grandchild that leads a group, and whose parent reaps it when told to, by `parent`. */
static pid_t grandchild(int *tell, pid_t *parent)
{
	int told[2];
	int said[2];
	pid_t pid;

	ck_assert_int_eq(pipe(told) | pipe(said), 0);
	*parent = fork();
	if (*parent == 0) {
		char byte;

		pid = fork();
		if (pid == 0) {
			setpgid(0, 0);
			sys_signals_reset(false);
			pid = getpid();
			(void)!write(said[1], &pid, sizeof pid);
			for (;;)
				pause();
		}
		close(told[1]);
		(void)!read(told[0], &byte, 1);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		_exit(0);
	}
	close(told[0]);
	close(said[1]);
	ck_assert_int_eq(read(said[0], &pid, sizeof pid), sizeof pid);
	close(said[0]);
	*tell = told[1];
	return pid;
}

START_TEST(it_begins_and_ends_elsewhere)
{
	struct child *child = expect();
	int slot = 0;

	ck_assert_uint_eq(children.count, 1);
	ck_assert(child_begin(child, getpid(), clock_us()));
	ck_assert(!child_is_starting(child));
	ck_assert_int_eq(child_pid(child), getpid());
	ck_assert_int_eq(atomic_load(scoreboard_pid(board, slot)), getpid());
	child_ended(child, 3 << 8);
	ck_assert_int_eq(exits, 1);
	ck_assert_uint_eq(child_app_status(status), 3);
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(scoreboard_running(board), 0);
	ck_assert_int_eq(emptied, 1);
}
END_TEST

START_TEST(it_is_withdrawn_and_the_slot_comes_back)
{
	struct child *child = expect();

	ck_assert(child_withdraw(child));
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(exits, 0);
	ck_assert_int_eq(scoreboard_running(board), 1); /* the caller's */
	scoreboard_release(board, 0);
}
END_TEST

START_TEST(one_that_was_dropped_keeps_no_slot)
{
	struct child *child = expect();
	struct child *dropped = child;

	child_terminate(child);
	ck_assert(child_is_stopped(child));
	child_drop(&dropped);
	ck_assert(!child_withdraw(child));
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

/* It has no number yet; 0 would be the group of the worker itself. */
START_TEST(one_that_has_not_begun_is_not_signalled_at_the_end)
{
	(void)expect();
	children_fini(&children);
	ck_assert_int_eq(exits, 0);
	ck_assert_int_eq(scoreboard_running(board), 0);
	ck_assert_int_eq(children_init(&children, loop, board, 50), 0); /* for the teardown */
}
END_TEST

START_TEST(one_that_was_stopped_gets_it_when_it_begins)
{
	struct child *child = expect();
	int tell;
	pid_t parent;
	pid_t pid = grandchild(&tell, &parent);
	siginfo_t info;

	child_terminate(child);
	ck_assert(child_begin(child, pid, clock_us()));
	ck_assert(child_is_stopped(child));
	close(tell); /* its parent reaps it, whatever has ended it */
	ck_assert_int_eq(waitid(P_PID, (id_t)parent, &info, WEXITED | WNOWAIT), 0);
	ck_assert_int_eq(wait_for(parent), 0);
	child_ended(child, SIGTERM);
	ck_assert_int_eq(exits, 1);
	ck_assert(turn_until(loop, is_over, NULL));
}
END_TEST

/* A process that leads a group (setpgid(2)) or a session (setsid(2)) of its own. */
static pid_t leader(bool of_session, bool is_stubborn)
{
	int said[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(said), 0);
	pid = fork();
	if (pid == 0) {
		if (of_session)
			setsid();
		else
			setpgid(0, 0);
		sys_signals_reset(false);
		if (is_stubborn)
			signal(SIGTERM, SIG_IGN);
		(void)!write(said[1], "x", 1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(said[0], &byte, 1), 1);
	close(said[0]);
	close(said[1]);
	return pid;
}

/* When it is told that the script has ended, its number is another's by then. */
START_TEST(a_number_that_came_round_is_left_alone)
{
	struct child *child = expect();
	pid_t pid = leader(false, true);

	ck_assert(child_begin(child, pid, clock_us()));
	child_terminate(child);
	child_ended(child, SIGTERM);
	ck_assert_int_eq(exits, 1);
	ck_assert(turn_until(loop, is_over, NULL));
	turn_for(loop, 200); /* KILL would have come */
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	kill(pid, SIGKILL);
	ck_assert_int_eq(wait_for(pid), -1);
}
END_TEST

#ifdef WITH_SYS_LINUX
/* Nor is it before that, where the system tells since when a process runs. */
START_TEST(a_younger_process_is_not_signalled)
{
	struct child *child = expect();
	int64_t before = clock_us() - 1000000;
	pid_t pid = leader(false, true);
	const char *log;

	ck_assert(sys_is_younger(pid, before));
	ck_assert(!sys_is_younger(pid, clock_us()));
	ck_assert(child_begin(child, pid, before));
	capture_begin();
	child_terminate(child);
	ck_assert(turn_until(loop, is_given_up, NULL)); /* TERM, and KILL */
	log = capture_end();
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	child_ended(child, 0);
	ck_assert(turn_until(loop, is_forgotten, NULL));
	kill(pid, SIGKILL);
	ck_assert_int_eq(wait_for(pid), -1);
	ck_assert_msg(strstr(log, "still runs") == NULL, "%s", log); /* another process does */
}
END_TEST

/* Its parent, a preloader that hangs, does not reap it: that is not a script that goes on. */
START_TEST(a_zombie_of_another_process_does_not_run)
{
	struct child *child = expect();
	pid_t pid = leader(false, false);
	const char *log;

	ck_assert(child_begin(child, pid, clock_us()));
	capture_begin();
	child_terminate(child);
	ck_assert(turn_until(loop, is_given_up, NULL));
	log = capture_end();
	ck_assert_msg(strstr(log, "still runs") == NULL, "%s", log);
	ck_assert_int_eq(exits, 1);
	ck_assert_int_eq(wait_for(pid), -1);
	child_ended(child, 0);
	ck_assert(turn_until(loop, is_forgotten, NULL));
}
END_TEST

static void *wait_in_thread(void *context)
{
	for (;;)
		pause();
	return context;
}

static bool is_zombie(void *context)
{
	char path[64], stat[256];
	int fd;
	ssize_t len;

	snprintf(path, sizeof path, "/proc/%ld/stat", (long)*(pid_t *)context);
	fd = open(path, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	len = read(fd, stat, sizeof stat - 1);
	ck_assert_int_gt(len, 0);
	close(fd);
	stat[len] = '\0';
	return strstr(stat, ") Z ") != NULL;
}

START_TEST(a_process_runs_until_its_last_thread_has_ended)
{
	pid_t pid = fork();

	if (pid == 0) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, wait_in_thread, NULL) == 0)
			pthread_exit(NULL);
		_exit(1);
	}
	ck_assert(turn_until(loop, is_zombie, &pid));
	ck_assert(sys_is_running(pid));
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	ck_assert(!sys_is_running(pid));
	ck_assert_int_eq(wait_for(pid), -1);
}
END_TEST
#endif

/* Its number belongs to somebody else by then: another session. */
START_TEST(a_pid_that_is_not_in_our_session_is_not_signalled)
{
	struct child *child = expect();
	pid_t pid = leader(true, false);

	ck_assert(child_begin(child, pid, clock_us()));
	child_terminate(child);
	turn_for(loop, 200); /* TERM, and KILL */
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	child_ended(child, 0);
	ck_assert(turn_until(loop, is_over, NULL));
	kill(pid, SIGKILL);
	ck_assert_int_eq(wait_for(pid), -1);
}
END_TEST

static void add_elsewhere(TCase *tcase)
{
	tcase_add_test(tcase, it_begins_and_ends_elsewhere);
	tcase_add_test(tcase, it_is_withdrawn_and_the_slot_comes_back);
	tcase_add_test(tcase, one_that_was_dropped_keeps_no_slot);
	tcase_add_test(tcase, one_that_has_not_begun_is_not_signalled_at_the_end);
	tcase_add_test(tcase, one_that_was_stopped_gets_it_when_it_begins);
	tcase_add_test(tcase, a_pid_that_is_not_in_our_session_is_not_signalled);
	tcase_add_test(tcase, a_number_that_came_round_is_left_alone);
#ifdef WITH_SYS_LINUX
	tcase_add_test(tcase, a_younger_process_is_not_signalled);
	tcase_add_test(tcase, a_zombie_of_another_process_does_not_run);
	tcase_add_test(tcase, a_process_runs_until_its_last_thread_has_ended);
#endif
}

static void add_ends(TCase *tcase)
{
	tcase_add_test(tcase, a_script_that_has_left_its_group_is_ended);
	tcase_add_test(tcase, a_script_that_has_left_its_group_is_killed);
	tcase_add_test(tcase, the_end_kills_one_that_has_left_its_group);
	tcase_add_test(tcase, one_that_may_not_be_killed_gives_its_slot_back);
	tcase_add_test(tcase, one_that_is_left_to_another_owner_is_reported_there);
	tcase_add_test(tcase, term_ends_it);
	tcase_add_test(tcase, kill_ends_what_term_does_not);
	tcase_add_test(tcase, who_ends_in_order_after_term_is_left_to);
	tcase_add_test(tcase, what_it_has_started_is_killed_after_it);
	tcase_add_test(tcase, what_it_leaves_behind_of_its_own_will_is_left_alone);
	tcase_add_test(tcase, a_dropped_child_is_not_reported_and_goes_all_the_same);
	tcase_add_test(tcase, all_are_ended_together);
	tcase_add_test(tcase, the_end_kills_and_forgets_all);
}

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, its_output_and_exit_status_come_back);
	tcase_add_test(tcase, it_reads_what_it_is_given);
	tcase_add_test(tcase, without_pipes_it_has_dev_null);
	tcase_add_test(tcase, it_has_its_environment_directory_and_name);
	tcase_add_test(tcase, it_has_no_descriptor_but_its_three);
	tcase_add_test(tcase, what_the_starter_left_open_is_marked);
	tcase_add_test(tcase, one_by_one_it_is_too);
	tcase_add_test(tcase, it_is_the_same_when_many_run);
#ifdef WITH_SYS_LINUX
	tcase_add_test(tcase, it_is_the_same_where_a_short_table_is_forbidden);
#endif
	tcase_add_test(tcase, it_leads_a_group_of_its_own);
	tcase_add_test(tcase, it_has_default_signals);
	tcase_add_test(tcase, it_dies_of_a_broken_pipe_like_anywhere);
	tcase_add_test(tcase, limits_are_set_in_it_and_not_here);
	tcase_add_test(tcase, its_pid_is_in_its_slot);
	tcase_add_test(tcase, many_run_at_once);
	tcase_add_loop_test(tcase, an_exec_that_fails_says_why, 0,
	    sizeof unstartable / sizeof *unstartable);
	tcase_add_test(tcase, an_environment_that_is_too_large_says_so);
	tcase_add_test(tcase, a_missing_directory_is_its_own_step);
	tcase_add_test(tcase, an_impossible_limit_is_its_own_step);
	tcase_add_test(tcase, apart_it_is_the_same);
	tcase_add_loop_test(tcase, apart_an_exec_that_fails_says_why, 0,
	    sizeof unstartable / sizeof *unstartable);
	tcase_add_test(tcase, apart_a_missing_directory_is_its_own_step);
	add_ends(tcase);
	add_elsewhere(tcase);
}

int main(void)
{
	return check_main("child", add);
}

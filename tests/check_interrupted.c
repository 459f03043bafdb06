/* SPDX-License-Identifier: ISC */
/*
 * check_interrupted: every other call that a signal may interrupt fails with EINTR, and all goes
 * on as if it had not.  The linker puts these functions in place of those of libc.
 */
#include "check_bench.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/preloader_check.h"
#include "fcgi/outlet.h"
#include "fcgi/record.h"

/* ---- in place of libc's -------------------------------------------------------------- */

/* libc's own, and what is called in its place. */
#define WRAPPED(type, name, ...)                                         \
	type __real_##name(__VA_ARGS__);                                 \
	type __wrap_##name(__VA_ARGS__)

WRAPPED(ssize_t, read, int fd, void *bytes, size_t len);
WRAPPED(ssize_t, write, int fd, const void *bytes, size_t len);
WRAPPED(ssize_t, recv, int fd, void *bytes, size_t len, int flags);
WRAPPED(ssize_t, send, int fd, const void *bytes, size_t len, int flags);
WRAPPED(ssize_t, sendmsg, int fd, const struct msghdr *message, int flags);
WRAPPED(pid_t, waitpid, pid_t pid, int *status, int options);
WRAPPED(int, poll, struct pollfd *items, nfds_t count, int time);

enum call { READ, WRITE, RECV, SEND, SENDMSG, WAITPID, CALLS };

static bool armed; /* the code that is tested runs */
static unsigned calls[CALLS];
static int failure = EINTR;
static int poll_failure; /* 0: none */

static bool interrupts(enum call call)
{
	if (!armed || calls[call]++ % 2 != 0)
		return false;
	errno = failure;
	return true;
}

ssize_t __wrap_read(int fd, void *bytes, size_t len)
{
	return interrupts(READ) ? -1 : __real_read(fd, bytes, len);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
	return interrupts(WRITE) ? -1 : __real_write(fd, bytes, len);
}

ssize_t __wrap_recv(int fd, void *bytes, size_t len, int flags)
{
	return interrupts(RECV) ? -1 : __real_recv(fd, bytes, len, flags);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags)
{
	return interrupts(SEND) ? -1 : __real_send(fd, bytes, len, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	return interrupts(SENDMSG) ? -1 : __real_sendmsg(fd, message, flags);
}

pid_t __wrap_waitpid(pid_t pid, int *status, int how)
{
	return interrupts(WAITPID) ? -1 : __real_waitpid(pid, status, how);
}

int __wrap_poll(struct pollfd *items, nfds_t count, int time)
{
	if (poll_failure == 0)
		return __real_poll(items, count, time);
	errno = poll_failure;
	return -1;
}

/* ---- what is interrupted --------------------------------------------------------------- */

static bool is_over(void)
{
	receive();
	return eof || answers[1].ends > 0;
}

/* Sends what is in `stream`, and waits for the answer of request 1. */
static void exchange(void)
{
	send_stream();
	for (int64_t end = loop_clock(loop) + patience(20000); !is_over();) {
		int turned;

		ck_assert_int_lt(loop_clock(loop), end);
		armed = true;
		turned = loop_turn(loop, 10);
		armed = false;
		ck_assert_int_eq(turned, 0);
	}
}

/* So much that it is kept in a file: more than a pipe takes, of a length that is not known. */
static void put_large(void)
{
	static char part[30000];

	memset(part, 'x', sizeof part - 1);
	put_post(1, FCGI_KEEP_CONN, "echo.cgi", NULL);
	for (int i = 0; i < 10; i++)
		put(FCGI_STDIN, 1, part);
	put(FCGI_STDIN, 1, "");
}

START_TEST(a_request_is_answered_as_ever)
{
	script("echo.cgi", "echo complaint >&2\n" HEAD "cat\n");
	put_large();
	exchange();
	ck_assert_int_eq(answers[1].ends, 1);
	ck_assert_int_eq(answers[1].status, FCGI_REQUEST_COMPLETE);
	ck_assert_uint_eq(answers[1].len, strlen(ANSWER) + 10 * 29999);
	ck_assert_uint_gt(calls[READ], 0);
	ck_assert_uint_gt(calls[WRITE], 0);
	ck_assert_uint_gt(calls[SEND] + calls[SENDMSG], 0);
}
END_TEST

START_TEST(a_record_is_recalled_whole)
{
	static unsigned char content[8000];
	struct outlet outlet;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(write(ends[1], content, sizeof content), (ssize_t)sizeof content);
	outlet_init(&outlet, 64 * 1024);
	/* as outlet_move() leaves one whose client takes nothing */
	outlet.pipe = ends[0];
	outlet.left = sizeof content;
	armed = true;
	outlet_recall(&outlet, ends[0]);
	armed = false;
	ck_assert_int_eq(outlet.broken, OUTLET_FINE);
	ck_assert_uint_eq(buf_len(&outlet.records), sizeof content);
	ck_assert_uint_eq(calls[READ], 2);
	outlet_fini(&outlet);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

static int exits;

static void on_exit_of_child(struct loop_child *child, int status)
{
	(void)child;
	(void)status;
	exits++;
}

static bool has_exited(void *context)
{
	(void)context;
	return exits > 0;
}

/* Also if waitpid(2) fails in a way that it does not have: there is no second SIGCHLD. */
START_TEST(an_exit_is_not_missed)
{
	static const int failures[] = {EINTR, ECHILD, ENOSYS};
	struct loop_child child;
	char byte;
	int gate[2];
	pid_t pid;

	ck_assert_int_eq(pipe(gate), 0);
	pid = fork();
	if (pid == 0) {
		close(gate[1]);
		_exit((int)read(gate[0], &byte, 1));
	}
	ck_assert_int_gt(pid, 0);
	exits = 0;
	failure = failures[_i];
	loop_child_add(loop, &child, pid, on_exit_of_child);
	ck_assert_int_eq(loop_turn(loop, 0), 0); /* the one after which children are looked for anyway */
	close(gate[1]);
	armed = true;
	ck_assert(turn_until(loop, has_exited, NULL));
	armed = false;
	ck_assert_int_eq(exits, 1);
	ck_assert_uint_eq(calls[WAITPID], 2);
	close(gate[0]);
}
END_TEST

START_TEST(a_preloader_that_cannot_be_waited_for_is_not_late)
{
	char sleeps[] = "sleep 600", shell[] = "/bin/sh", option[] = "-c";
	char *argv[] = {shell, option, sleeps, NULL};
	const struct value_preload preload = {.text = "", .argv = argv, .argc = 3};
	struct fault why;
	int failed;

	poll_failure = ENOMEM;
	failed = preloader_check(&preload, false, &why);
	poll_failure = 0;
	ck_assert_int_eq(failed, -1);
	ck_assert_ptr_nonnull(strstr(why.text, strerror(ENOMEM)));
}
END_TEST

static void start(void)
{
	failure = EINTR;
	memset(calls, 0, sizeof calls);
	bench_setup();
}

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, start, bench_teardown);
	tcase_add_test(tcase, a_request_is_answered_as_ever);
	tcase_add_test(tcase, a_record_is_recalled_whole);
	tcase_add_loop_test(tcase, an_exit_is_not_missed, 0, 3);
	tcase_add_test(tcase, a_preloader_that_cannot_be_waited_for_is_not_late);
}

int main(void)
{
	return check_main("interrupted", add);
}

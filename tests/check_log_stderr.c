/* SPDX-License-Identifier: ISC */
/*
 * check_log_stderr: lines whose reader does not keep up wait, are lost with a word, and hold
 * up nobody.
 */
#include "check_util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log_stderr.h"
#include "base/loop.h"

enum { LINE = 64, TEXT_MAX = 1024 * 1024 };

static int reader = -1; /* of the pipe that is standard error for the time of a test */
static int kept = -1;
static char text[TEXT_MAX];
static size_t got;

static size_t lost_line(char *line, size_t size, unsigned long lost, const char *why)
{
	return (size_t)snprintf(line, size, "[%lu lost: %s]\n", lost, why);
}

static void put(int number);

static void setup(void)
{
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	ck_assert_int_ge(kept, 0);
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	close(fds[1]);
	reader = fds[0];
	ck_assert_int_eq(fcntl(reader, F_SETFL, O_NONBLOCK), 0);
	got = 0;
	log_stderr_open(lost_line);
}

static void teardown(void)
{
	dup2(kept, STDERR_FILENO);
	close(kept);
	if (reader >= 0)
		close(reader);
	reader = -1;
	log_stderr_open(lost_line);
	put(0); /* whatever waits, and the count of lost lines, goes out with it */
	signal(SIGPIPE, SIG_DFL);
}

/* Line `number`, of LINE bytes. */
static void put(int number)
{
	char line[LINE + 1];

	snprintf(line, sizeof line, "%-*d\n", LINE - 1, number);
	log_stderr_put(line, LINE);
}

/* Appends to `text` all that is in the pipe. */
static void read_pipe(void)
{
	ssize_t n;

	while ((n = read(reader, text + got, sizeof text - 1 - got)) > 0)
		got += (size_t)n;
	text[got] = '\0';
}

/* Puts lines from `first` on until some must have been lost; returns the number after the last. */
static int put_many(int first)
{
	int count = (256 * 1024 + LOG_QUEUE_MAX) / LINE;

	for (int i = 0; i < count; i++)
		put(first + i);
	return first + count;
}

/* The lines in `text` are those from 0 on; returns how many, up to the first other one. */
static int count_lines(const char **rest)
{
	int count = 0;
	const char *at = text;

	while (*at != '\0' && *at != '[' && atoi(at) == count) {
		ck_assert_int_eq(at[LINE - 1], '\n');
		at += LINE;
		count++;
	}
	*rest = at;
	return count;
}

START_TEST(lines_go_out_at_once)
{
	put(0);
	put(1);
	read_pipe();
	ck_assert_uint_eq(got, 2 * LINE);
}
END_TEST

START_TEST(what_waits_keeps_its_order_and_a_line_says_what_is_lost)
{
	char wanted[64];
	const char *rest;
	int put_in_all = put_many(0);
	int count;

	read_pipe();       /* makes room for some of the queue */
	put(put_in_all++); /* which goes out, with nothing between; this one is lost */
	read_pipe();
	put(put_in_all++);
	read_pipe();
	count = count_lines(&rest);
	ck_assert_int_gt(count, LOG_QUEUE_MAX / LINE);
	ck_assert_int_lt(count, put_in_all);
	snprintf(wanted, sizeof wanted, "[%d lost: its reader did not keep up]\n",
	    put_in_all - 1 - count);
	ck_assert_int_eq(strncmp(rest, wanted, strlen(wanted)), 0);
	ck_assert_int_eq(atoi(rest + strlen(wanted)), put_in_all - 1);
	ck_assert_uint_eq(strlen(rest), strlen(wanted) + LINE);
}
END_TEST

static bool has_word_of_loss(void *context)
{
	(void)context;
	read_pipe();
	return strstr(text, " lost: ") != NULL;
}

START_TEST(a_loop_tries_again_without_another_line)
{
	struct loop *loop = loop_new();
	const char *rest;

	log_stderr_follow(loop);
	put_many(0);
	ck_assert(turn_until(loop, has_word_of_loss, NULL));
	count_lines(&rest);
	ck_assert_int_eq(rest[0], '[');
	log_stderr_follow(NULL);
	loop_free(&loop);
}
END_TEST

START_TEST(a_forked_process_does_not_write_what_its_parent_has)
{
	int count = put_many(0);
	const char *rest;
	pid_t pid;

	read_pipe();
	pid = fork();
	if (pid == 0) {
		log_stderr_put("child\n", 6);
		log_stderr_close();
		_exit(0);
	}
	ck_assert_int_eq(wait_for(pid), 0);
	put(count);
	read_pipe();
	put(count + 1);
	read_pipe();
	count_lines(&rest); /* up to the child's, after what was in the pipe */
	ck_assert_int_eq(strncmp(rest, "child\n", 6), 0);
	memmove(text + (rest - text), rest + 6, strlen(rest + 6) + 1);
	count_lines(&rest);
	ck_assert_int_eq(rest[0], '[');
}
END_TEST

START_TEST(at_the_end_what_waits_gets_a_moment)
{
	pid_t pid = fork();
	const char *rest;

	if (pid == 0) {
		for (int i = 0; i < (64 * 1024 + LOG_QUEUE_MAX / 2) / LINE; i++)
			put(i);
		log_stderr_close();
		_exit(0);
	}
	/* end of file when the child has ended */
	ck_assert_int_eq(dup2(kept, STDERR_FILENO), STDERR_FILENO);
	log_stderr_open(lost_line);
	ck_assert_int_eq(fcntl(reader, F_SETFL, 0), 0);
	read_pipe();
	ck_assert_int_eq(wait_for(pid), 0);
	ck_assert_int_eq(count_lines(&rest), (64 * 1024 + LOG_QUEUE_MAX / 2) / LINE);
	ck_assert_str_eq(rest, "");
}
END_TEST

START_TEST(without_a_reader_it_ends_too)
{
	put_many(0);
	log_stderr_close();
}
END_TEST

START_TEST(nobody_reads_and_then_somebody_does)
{
	char name[64];
	int fd;

	close(reader);
	reader = -1;
	put(0);
	put(1);
	/* a named pipe, say: its reader is back */
	snprintf(name, sizeof name, "/proc/self/fd/%d", STDERR_FILENO);
	fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return; /* no /proc here */
	reader = fd;
	put(2);
	read_pipe();
	ck_assert_int_eq(strncmp(text, "[2 lost: nobody read it]\n2 ", 27), 0);
}
END_TEST

START_TEST(a_line_that_could_not_be_ended_is_before_the_next)
{
	char file[64] = "/tmp/cgibridge-check.XXXXXX";
	struct rlimit before;
	int fd = mkstemp(file);

	ck_assert_int_ge(fd, 0);
	unlink(file);
	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	log_stderr_open(lost_line);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	ck_assert_int_eq(
	    setrlimit(RLIMIT_FSIZE, &(struct rlimit){LINE + LINE / 2, before.rlim_max}), 0);
	put(0);
	put(1);
	put(2);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	put(3);
	got = (size_t)pread(fd, text, sizeof text - 1, 0);
	text[got] = '\0';
	ck_assert_int_eq(text[LINE + LINE / 2], '\n');
	ck_assert_int_eq(strncmp(text + LINE + LINE / 2 + 1, "[2 lost: File too large]\n3 ", 27), 0);
	signal(SIGXFSZ, SIG_DFL);
	close(fd);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, lines_go_out_at_once);
	tcase_add_test(tcase, what_waits_keeps_its_order_and_a_line_says_what_is_lost);
	tcase_add_test(tcase, a_loop_tries_again_without_another_line);
	tcase_add_test(tcase, a_forked_process_does_not_write_what_its_parent_has);
	tcase_add_test(tcase, at_the_end_what_waits_gets_a_moment);
	tcase_add_test(tcase, without_a_reader_it_ends_too);
	tcase_add_test(tcase, nobody_reads_and_then_somebody_does);
	tcase_add_test(tcase, a_line_that_could_not_be_ended_is_before_the_next);
}

int main(void)
{
	return check_main("log_stderr", add);
}

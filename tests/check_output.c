/* SPDX-License-Identifier: ISC */
/*
 * check_output: no write waits, whatever the descriptor is, and none of its modes change.
 */
#include "check_util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/output.h"
#include "base/sys.h"

enum { MORE_THAN_FITS = 4 * 1024 * 1024 };

/* Writes lines until there is no room; a write that waits is ended by the test's time limit. */
static size_t fill(const struct output *output)
{
	static const char line[200] = "x";
	size_t sum = 0;
	ssize_t n;

	while ((n = output_write(output, line, sizeof line)) > 0 && sum < MORE_THAN_FITS)
		sum += (size_t)n;
	ck_assert_int_eq(n, -1);
	ck_assert(output_is_full(errno));
	return sum;
}

static void empty(int fd, size_t len)
{
	static char bytes[4096];

	while (len > 0) {
		ssize_t n = read(fd, bytes, len < sizeof bytes ? len : sizeof bytes);

		ck_assert_int_gt(n, 0);
		len -= (size_t)n;
	}
}

/* Fills it, has it emptied by its reader, and writes again. */
static void fill_twice(const struct output *output, int reader)
{
	size_t sum = fill(output);

	ck_assert_uint_gt(sum, 0);
	empty(reader, sum);
	ck_assert_int_eq(output_write(output, "y", 1), 1);
	empty(reader, 1);
}

static bool is_blocking(int fd)
{
	return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

START_TEST(a_pipe_is_opened_again)
{
	struct output output;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	output_open(&output, fds[1]);
	ck_assert(is_blocking(fds[1]));
	if (access("/proc/self/fd/0", F_OK) == 0) {
		ck_assert_int_ne(output.fd, fds[1]);
		ck_assert_int_eq(output.way, OUTPUT_WRITE);
		ck_assert_int_eq(fcntl(output.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	}
	fill_twice(&output, fds[0]);
	close(fds[0]);
	if (output.fd != fds[1])
		close(output.fd);
	close(fds[1]);
}
END_TEST

START_TEST(a_pipe_that_cannot_be_opened_again_is_asked)
{
	struct output output;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	output = (struct output){fds[1], output_way(fds[1])};
	ck_assert_int_eq(output.way, OUTPUT_ASK);
	fill_twice(&output, fds[0]);
	ck_assert(is_blocking(fds[1]));
	/* the longest write that is sure not to wait */
	{
		static char big[PIPE_BUF * 4];

		ck_assert_int_eq(output_write(&output, big, sizeof big), PIPE_BUF);
	}
	close(fds[0]);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(output_write(&output, "z", 1), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert(!output_is_full(errno));
	signal(SIGPIPE, SIG_DFL);
	close(fds[1]);
}
END_TEST

enum { WRITERS = 4, ROUNDS = 10000 };

struct turns {
	atomic_int done; /* writes that have returned */
};

static void write_on(const struct output *output, struct turns *turns)
{
	static const char line[PIPE_BUF] = "w"; /* all the room that there is */

	for (;;) {
		if (output_write(output, line, sizeof line) < 0 && !output_is_full(errno))
			_exit(1);
		atomic_fetch_add(&turns->done, 1);
		sched_yield();
	}
}

/* Two writes from here on have returned, in each writer: it is not held up in one. */
static void wait_for_all(struct turns *turns)
{
	int before[WRITERS];

	for (int i = 0; i < WRITERS; i++)
		before[i] = atomic_load(&turns[i].done);
	for (int i = 0; i < WRITERS; i++)
		while (atomic_load(&turns[i].done) < before[i] + 2)
			sched_yield();
}

/*
 * The reader takes a page at a time, so that there is room for one: two writers that have
 * both been told so must not both write.
 */
START_TEST(of_many_writers_none_waits)
{
	static char page[PIPE_BUF];
	struct output output;
	struct turns *turns = sys_shared_alloc(sizeof *turns * WRITERS);
	pid_t pids[WRITERS];
	int fds[2];

	ck_assert_ptr_nonnull(turns);
	ck_assert_int_eq(pipe(fds), 0);
	output = (struct output){fds[1], OUTPUT_ASK};
	fill(&output);
	for (int i = 0; i < WRITERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			write_on(&output, &turns[i]);
	}
	for (int i = 0; i < ROUNDS; i++) {
		wait_for_all(turns);
		ck_assert_int_gt(read(fds[0], page, sizeof page), 0);
	}
	for (int i = 0; i < WRITERS; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	sys_shared_free(turns, sizeof *turns * WRITERS);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(a_socket_does_not_wait)
{
	struct output output;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	output_open(&output, fds[1]);
	ck_assert_int_eq(output.fd, fds[1]);
	ck_assert_int_eq(output.way, OUTPUT_SEND);
	fill_twice(&output, fds[0]);
	ck_assert(is_blocking(fds[1]));
	close(fds[0]);
	ck_assert_int_eq(output_write(&output, "z", 1), -1); /* and no SIGPIPE */
	ck_assert_int_eq(errno, EPIPE);
	close(fds[1]);
}
END_TEST

START_TEST(a_terminal_does_not_wait)
{
	struct output output;
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	int fd;

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	fd = open(ptsname(master), O_RDWR | O_NOCTTY);
	ck_assert_int_ge(fd, 0);
	output_open(&output, fd);
	if (output.way == OUTPUT_WRITE)
		ck_assert_uint_gt(fill(&output), 0);
	ck_assert(is_blocking(fd));
	if (output.fd != fd)
		close(output.fd);
	close(fd);
	close(master);
}
END_TEST

START_TEST(a_file_is_written_to_as_it_is)
{
	struct output output;
	int fd;

	temp_make();
	fd = open(temp_path("file"), O_RDWR | O_CREAT, 0600);
	output_open(&output, fd);
	ck_assert_int_eq(output.fd, fd);
	ck_assert_int_eq(output.way, OUTPUT_WRITE);
	ck_assert_int_eq(output_write(&output, "abc", 3), 3);
	close(fd);
	ck_assert_int_eq(output_write(&output, "abc", 3), -1);
	ck_assert_int_eq(errno, EBADF);
	temp_remove();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_pipe_is_opened_again);
	tcase_add_test(tcase, a_pipe_that_cannot_be_opened_again_is_asked);
	tcase_add_test(tcase, of_many_writers_none_waits);
	tcase_add_test(tcase, a_socket_does_not_wait);
	tcase_add_test(tcase, a_terminal_does_not_wait);
	tcase_add_test(tcase, a_file_is_written_to_as_it_is);
}

int main(void)
{
	return check_main("output", add);
}

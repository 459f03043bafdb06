/* SPDX-License-Identifier: ISC */
/*
 * log_stderr: the queue.
 */
#include "base/log_stderr.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/output.h"

enum { CLOSE_TRIES = 10, LOST_LINE_MAX = 256 };

static void on_retry(struct loop_timer *timer);

static struct {
	struct output output;
	log_lost_fn *format_lost; /* NULL: not open */
	pid_t owner;              /* the process that the queue belongs to */
	char queue[LOG_QUEUE_MAX];
	size_t used;
	unsigned long lost;       /* lines; while it is not 0, new ones are lost, too */
	int error;                /* errno of the last write; 0: it succeeded */
	bool torn;                /* the last write ended in the middle of a line */
	struct loop *loop;
	struct loop_timer retry;
} to = {.output = {STDERR_FILENO, OUTPUT_WRITE}};

/* A forked process drops the queue that it has inherited: its parent writes those lines. */
static void claim(void)
{
	if (to.owner == getpid())
		return;
	to.owner = getpid();
	to.used = 0;
	to.lost = 0;
	to.error = 0;
	to.torn = false;
	to.loop = NULL;
	loop_timer_init(&to.retry, on_retry);
}

/* ---- writing -------------------------------------------------------------------- */

static ssize_t write_some(const char *bytes, size_t len)
{
	ssize_t n = output_write(&to.output, bytes, len);

	to.error = n < 0 ? errno : 0;
	if (n > 0)
		to.torn = bytes[n - 1] != '\n';
	return n;
}

static size_t line_length(const char *line, size_t len)
{
	const char *end = memchr(line, '\n', len);

	return end == NULL ? len : (size_t)(end - line) + 1;
}

static void drop_queue(size_t done)
{
	while (done < to.used) {
		done += line_length(to.queue + done, to.used - done);
		to.lost++;
	}
	to.used = 0;
}

/*
 * One line per write: in a pipe the lines of several processes do not mix, and a datagram is
 * one line.  0 when the whole queue has been written, else -1.
 */
static int write_queue(void)
{
	size_t done = 0;
	ssize_t n = 1;

	while (done < to.used && n > 0) {
		n = write_some(to.queue + done, line_length(to.queue + done, to.used - done));
		if (n > 0)
			done += (size_t)n;
	}
	if (n < 0 && !output_is_full(to.error)) {
		drop_queue(done);
		return -1;
	}
	to.used -= done;
	if (done > 0)
		memmove(to.queue, to.queue + done, to.used);
	return to.used == 0 ? 0 : -1;
}

static const char *reason(int error)
{
	if (output_is_full(error))
		return "its reader did not keep up";
	return error == EPIPE ? "nobody read it" : strerror(error);
}

/* Called with an empty queue: writes how many lines are missing at this point. */
static void tell_lost(int error)
{
	char line[1 + LOST_LINE_MAX] = "\n";
	const char *from = to.torn ? line : line + 1;
	size_t len = to.format_lost(line + 1, LOST_LINE_MAX, to.lost, reason(error));
	ssize_t n;

	len += from == line;
	n = write_some(from, len);
	if (n < 0)
		return;
	to.lost = 0;
	to.used = len - (size_t)n;
	memcpy(to.queue, from + n, to.used);
}

static void advance(void)
{
	int error = to.error; /* the error that lost the missing lines */

	if (write_queue() == 0 && to.lost > 0)
		tell_lost(error);
	if (output_is_full(to.error) && to.loop != NULL)
		loop_timer_set(to.loop, &to.retry, LOG_RETRY);
}

static void on_retry(struct loop_timer *timer)
{
	(void)timer;
	advance();
}

/* ---- the interface ---------------------------------------------------------------- */

void log_stderr_open(log_lost_fn *format_lost)
{
	if (to.output.fd != STDERR_FILENO)
		close(to.output.fd);
	output_open(&to.output, STDERR_FILENO);
	to.format_lost = format_lost;
}

void log_stderr_follow(struct loop *loop)
{
	claim();
	if (to.loop != NULL)
		loop_timer_clear(to.loop, &to.retry);
	to.loop = loop;
	if (to.format_lost != NULL)
		advance();
}

void log_stderr_put(const char *line, size_t len)
{
	if (to.format_lost == NULL) {
		/* a failure to write the log cannot be logged */
		while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
			;
		return;
	}
	claim();
	if (to.lost > 0 || to.used + len > LOG_QUEUE_MAX)
		advance();
	if (to.lost > 0 || to.used + len > LOG_QUEUE_MAX) {
		to.lost++;
		return;
	}
	memcpy(to.queue + to.used, line, len);
	to.used += len;
	advance();
}

void log_stderr_close(void)
{
	claim();
	for (int tries = 0; to.used > 0 && tries < CLOSE_TRIES; tries++) {
		output_wait(&to.output, LOG_PATIENCE / CLOSE_TRIES);
		advance();
	}
}

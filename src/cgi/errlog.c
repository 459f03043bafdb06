/* SPDX-License-Identifier: ISC */
/*
 * errlog: reading, splitting into lines, and the two limits.
 */
#include "cgi/errlog.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "fcgi/record.h"

static void on_readable(struct loop_watch *watch, unsigned events);
static void on_delay(struct loop_timer *timer);

void errlog_init(struct errlog *errlog, struct loop *loop, errlog_read_fn *read)
{
	*errlog = (struct errlog){.loop = loop, .fd = -1, .read = read};
	errlog->state = read != NULL ? ERRLOG_HELD : ERRLOG_LOG;
	buf_init(&errlog->held, read != NULL ? ERRLOG_TAIL_MAX : ERRLOG_LINE_MAX);
	loop_watch_init(&errlog->pipe, on_readable);
	loop_timer_init(&errlog->delay, on_delay);
}

static void set_state(struct errlog *errlog, enum errlog_state state)
{
	assert(state > errlog->state);
	errlog->state = state;
}

static void close_pipe(struct errlog *errlog)
{
	if (errlog->fd < 0)
		return;
	loop_timer_clear(errlog->loop, &errlog->delay);
	if (errlog->pipe.fd >= 0)
		loop_close(errlog->loop, &errlog->pipe);
	else
		close(errlog->fd);
	errlog->fd = -1;
}

void errlog_fini(struct errlog *errlog)
{
	close_pipe(errlog);
	buf_fini(&errlog->held);
	free(errlog->first);
	errlog->first = NULL;
}

void errlog_attach(struct errlog *errlog, int fd, const char *script, pid_t pid, uint16_t id)
{
	errlog->fd = fd;
	errlog->script = script;
	errlog->pid = pid;
	errlog->id = id;
	errlog->window = loop_now(errlog->loop);
	loop_timer_set(errlog->loop, &errlog->delay, ERRLOG_DELAY);
}

/* Keeps the beginning of the very first line, as text: it becomes a part of a message. */
static void keep_first(struct errlog *errlog, const char *text, size_t len)
{
	if (errlog->started)
		return;
	errlog->started = true;
	if (len > ERRLOG_FIRST_MAX)
		len = ERRLOG_FIRST_MAX;
	errlog->first = malloc(len + 1);
	if (errlog->first == NULL) /* the log line does without it */
		return;
	for (size_t i = 0; i < len; i++)
		errlog->first[i] = text[i] == '\0' ? '?' : text[i];
	errlog->first[len] = '\0';
}

static void report_lost(struct errlog *errlog)
{
	if (errlog->lost > 0 && errlog->id == 0)
		log_warn("preloader for %s (pid %ld): %llu bytes of stderr dropped: too much of it",
		    errlog->script, (long)errlog->pid, (unsigned long long)errlog->lost);
	else if (errlog->lost > 0)
		log_warn("%s[%ld]: request %u: %llu bytes of stderr dropped: too much of it",
		    errlog->script, (long)errlog->pid, (unsigned)errlog->id,
		    (unsigned long long)errlog->lost);
	errlog->lost = 0;
}

/* ---- to the log --------------------------------------------------------------- */

static bool may_log(struct errlog *errlog)
{
	if (loop_now(errlog->loop) - errlog->window >= ERRLOG_WINDOW) {
		report_lost(errlog);
		errlog->window = loop_now(errlog->loop);
		errlog->lines = 0;
	}
	return errlog->lines++ < ERRLOG_BURST;
}

static void log_line(struct errlog *errlog, const char *text, size_t len)
{
	if (len > 0 && text[len - 1] == '\r')
		len--;
	if (len == 0)
		return;
	keep_first(errlog, text, len);
	if (!may_log(errlog))
		errlog->lost += len;
	else if (errlog->id == 0)
		log_warn_bytes(text, len, "preloader for %s (pid %ld): stderr: ", errlog->script,
		    (long)errlog->pid);
	else
		log_warn_bytes(text, len, "%s[%ld]: request %u: stderr: ", errlog->script,
		    (long)errlog->pid, (unsigned)errlog->id);
}

/* Completes the line in `held` with `len` more bytes and logs it. */
static void end_line(struct errlog *errlog, const char *text, size_t len)
{
	if (buf_len(&errlog->held) == 0) {
		log_line(errlog, text, len);
		return;
	}
	if (buf_append(&errlog->held, text, len) != 0)
		errlog->lost += len;
	log_line(errlog, (const char *)buf_bytes(&errlog->held), buf_len(&errlog->held));
	buf_consume(&errlog->held, buf_len(&errlog->held));
	buf_release(&errlog->held);
}

static void log_lines(struct errlog *errlog, const char *text, size_t len)
{
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t part = end == NULL ? len : (size_t)(end - text);
		size_t room = buf_room(&errlog->held);

		if (part > room) { /* too long for a line: cut it here */
			end_line(errlog, text, room);
			text += room;
			len -= room;
			continue;
		}
		if (end == NULL) {
			if (buf_append(&errlog->held, text, part) != 0)
				errlog->lost += part;
			return;
		}
		end_line(errlog, text, part);
		text += part + 1;
		len -= part + 1;
	}
}

/* ---- to the client -------------------------------------------------------------- */

/* How many more bytes may be held, out of `max`. */
static size_t room_for_client(const struct errlog *errlog, size_t max)
{
	size_t len = buf_len(&errlog->held);

	return len < max ? max - len : 0;
}

/* Of the first line of `text`. */
static size_t line_length(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len && text[at] != '\r' && text[at] != '\n')
		at++;
	return at;
}

static void hold_for_client(struct errlog *errlog, const char *text, size_t len)
{
	bool waits = errlog->state == ERRLOG_FLOWS;
	size_t room = room_for_client(errlog, waits ? ERRLOG_TAIL_MAX : ERRLOG_HELD_MAX);
	size_t kept = len < room ? len : room;

	keep_first(errlog, text, line_length(text, len));
	if (buf_append(&errlog->held, text, kept) != 0)
		kept = 0;
	errlog->lost += len - kept;
}

void errlog_deliver(struct errlog *errlog, struct outlet *out, size_t most)
{
	size_t len = buf_len(&errlog->held);

	if (errlog->state == ERRLOG_LOG)
		return;
	if (errlog->state == ERRLOG_HELD)
		set_state(errlog, ERRLOG_FLOWS);
	if (len == 0 || outlet_waiting(out) >= most)
		return;
	if (record_put_stream(&out->records, FCGI_STDERR, errlog->id, buf_bytes(&errlog->held),
		len) != 0)
		return; /* no memory: held until the next call */
	buf_consume(&errlog->held, len);
	buf_release(&errlog->held);
	loop_want(errlog->loop, &errlog->pipe, LOOP_IN);
}

void errlog_turn_to_log(struct errlog *errlog)
{
	struct buf held = errlog->held;

	if (errlog->state == ERRLOG_LOG)
		return;
	set_state(errlog, ERRLOG_LOG);
	buf_init(&errlog->held, ERRLOG_LINE_MAX);
	log_lines(errlog, (const char *)buf_bytes(&held), buf_len(&held));
	buf_fini(&held);
	loop_want(errlog->loop, &errlog->pipe, LOOP_IN);
}

/* The end of stderr: the last line may lack its newline. */
static void end_text(struct errlog *errlog)
{
	if (errlog->state == ERRLOG_LOG && buf_len(&errlog->held) > 0)
		end_line(errlog, "", 0);
	report_lost(errlog);
}

/* ---- the pipe ------------------------------------------------------------------ */

/* Reads up to `max` bytes; false when there is nothing more to read now, or ever. */
static bool read_some(struct errlog *errlog, size_t max)
{
	char text[ERRLOG_READ + 1];
	ssize_t n = read(errlog->fd, text, max < ERRLOG_READ ? max : ERRLOG_READ);

	if (n < 0 && errno == EINTR)
		return true;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK))
		close_pipe(errlog);
	if (n <= 0)
		return false;
	text[n] = '\0';
	if (errlog->state == ERRLOG_LOG)
		log_lines(errlog, text, (size_t)n);
	else
		hold_for_client(errlog, text, (size_t)n);
	return true;
}

void errlog_read(struct errlog *errlog)
{
	size_t max = ERRLOG_READ;

	if (errlog->state == ERRLOG_FLOWS)
		max = room_for_client(errlog, ERRLOG_HELD_MAX);
	if (max == 0) { /* the client is slow: the script has to wait */
		loop_want(errlog->loop, &errlog->pipe, 0);
		return;
	}
	(void)read_some(errlog, max);
	if (errlog->fd < 0)
		end_text(errlog);
	if (errlog->state != ERRLOG_LOG)
		errlog->read(errlog);
}

static void on_readable(struct loop_watch *watch, unsigned events)
{
	(void)events;
	errlog_read(CONTAINER_OF(watch, struct errlog, pipe));
}

/* If the pipe cannot be watched it is read at the end; a script that fills it waits until then. */
static void on_delay(struct loop_timer *timer)
{
	struct errlog *errlog = CONTAINER_OF(timer, struct errlog, delay);

	if (loop_watch(errlog->loop, &errlog->pipe, errlog->fd, LOOP_IN) != 0)
		log_warn("%s[%ld]: request %u: stderr cannot be watched: %s", errlog->script,
		    (long)errlog->pid, (unsigned)errlog->id, strerror(errno));
}

bool errlog_catch_up(struct errlog *errlog)
{
	/* a descendant may hold the pipe and go on writing: read only as much as a pipe holds */
	for (int reads = 0; errlog->fd >= 0 && reads < ERRLOG_TAIL_READS; reads++)
		if (!read_some(errlog, ERRLOG_READ))
			break;
	if (errlog->fd < 0)
		end_text(errlog);
	return errlog->fd >= 0;
}

void errlog_finish(struct errlog *errlog)
{
	(void)errlog_catch_up(errlog);
	close_pipe(errlog);
	end_text(errlog);
}

int errlog_hand_over(struct errlog *from, struct errlog *to, const char *script,
    loop_ready_fn *ready)
{
	int fd = from->fd;

	errlog_init(to, from->loop, NULL);
	loop_watch_init(&to->pipe, ready);
	to->script = script;
	to->pid = from->pid;
	to->id = from->id;
	to->window = from->window;
	to->lines = from->lines;
	to->lost = from->lost;
	to->started = true; /* the first line was for the request */
	log_lines(to, (const char *)buf_bytes(&from->held), buf_len(&from->held));
	buf_consume(&from->held, buf_len(&from->held));
	from->lost = 0;
	loop_timer_clear(from->loop, &from->delay);
	loop_unwatch(from->loop, &from->pipe);
	from->fd = -1;
	to->fd = fd;
	return fd < 0 ? 0 : loop_watch(to->loop, &to->pipe, fd, LOOP_IN);
}

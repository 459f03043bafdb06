/* SPDX-License-Identifier: ISC */
/*
 * preload_message: strings and numbers, written and read.
 */
#include "cgi/preload_message.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char preload_message_retire[] = "retire";
const char preload_message_ping[] = "ping";

/* ---- writing ---------------------------------------------------------------------- */

static int put_text(struct buf *to, const char *text)
{
	return buf_append(to, text, strlen(text) + 1);
}

static int put_number(struct buf *to, unsigned long long number)
{
	char text[24];

	snprintf(text, sizeof text, "%llu", number);
	return put_text(to, text);
}

static int put_limit(struct buf *to, rlim_t limit)
{
	return limit == RLIM_INFINITY ? put_text(to, "unlimited") : put_number(to, limit);
}

static int put_texts(struct buf *to, const char *const *texts, size_t count)
{
	if (put_number(to, count) != 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (put_text(to, texts[i]) != 0)
			return -1;
	return 0;
}

/* The same with NULL at the end. */
static int put_vector(struct buf *to, char *const *texts)
{
	size_t count = 0;

	while (texts[count] != NULL)
		count++;
	return put_texts(to, (const char *const *)texts, count);
}

static int put_limits(struct buf *to, const struct sys_limit *limits, size_t count)
{
	if (put_number(to, count) != 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (put_number(to, (unsigned long long)limits[i].resource) != 0 ||
		    put_limit(to, limits[i].value.rlim_cur) != 0 ||
		    put_limit(to, limits[i].value.rlim_max) != 0)
			return -1;
	return 0;
}

int preload_message_start(struct buf *to, const struct preload_request *request)
{
	if (put_text(to, "start") != 0 || put_number(to, request->serial) != 0 ||
	    put_texts(to, request->switches, request->switch_count) != 0 ||
	    put_text(to, request->dir) != 0 ||
	    put_limits(to, request->limits, request->limit_count) != 0 ||
	    put_vector(to, request->argv) != 0)
		return -1;
	return put_vector(to, request->envp);
}

/* ---- reading ---------------------------------------------------------------------- */

/* The strings of a packet that have not been read yet. */
struct reader {
	const char *at, *end;
};

/* The next string, or NULL if there is none. */
static const char *next(struct reader *reader)
{
	const char *text = reader->at;

	if (text == reader->end)
		return NULL;
	reader->at += strlen(text) + 1; /* the packet ends in a NUL */
	return text;
}

/* The next string as a number of at most `max`; false if it is not one. */
static bool next_number(struct reader *reader, unsigned long max, unsigned long *number)
{
	const char *text = next(reader);
	unsigned long value = 0;

	if (text == NULL || *text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		unsigned long digit = (unsigned long)(*text - '0');

		if (*text < '0' || *text > '9' || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*number = value;
	return true;
}

static bool next_serial(struct reader *reader, struct preload_message *message)
{
	return next_number(reader, ULONG_MAX, &message->serial);
}

static bool next_pid(struct reader *reader, struct preload_message *message)
{
	unsigned long number;

	if (!next_number(reader, INT_MAX, &number))
		return false;
	message->pid = (pid_t)number;
	return true;
}

static bool read_ready(struct reader *reader, struct preload_message *message)
{
	const char *version = next(reader);

	message->names = reader->at;
	while (next(reader) != NULL)
		message->name_count++;
	return version != NULL && strcmp(version, "1") == 0;
}

/* Also with the number of a process that is no script: it says that this one begins. */
static bool read_started(struct reader *reader, struct preload_message *message)
{
	return next_serial(reader, message) && next_pid(reader, message);
}

static bool read_failed(struct reader *reader, struct preload_message *message)
{
	static const struct {
		const char *name;
		enum sys_step step;
	} steps[] = {{"fork", SYS_STEP_FORK}, {"group", SYS_STEP_GROUP}, {"dir", SYS_STEP_DIR},
	    {"limit", SYS_STEP_LIMIT}, {"stdio", SYS_STEP_STDIO}};
	const char *name;
	unsigned long number;

	if (!next_serial(reader, message))
		return false;
	name = next(reader);
	if (name == NULL || !next_number(reader, INT_MAX, &number))
		return false;
	message->fault.error = (int)number;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		message->fault.step = steps[i].step;
		if (strcmp(name, steps[i].name) == 0)
			return true;
	}
	return false;
}

static bool read_declines(struct reader *reader, struct preload_message *message)
{
	if (!next_serial(reader, message))
		return false;
	message->reason = next(reader);
	return message->reason != NULL;
}

static bool read_exited(struct reader *reader, struct preload_message *message)
{
	unsigned long status;
	unsigned long signo;

	if (!next_pid(reader, message) || message->pid <= 1 ||
	    !next_number(reader, 255, &status) ||
	    !next_number(reader, 126, &signo) || (status != 0 && signo != 0))
		return false;
	message->status = (int)(status << 8 | signo);
	return true;
}

static bool read_nothing(struct reader *reader, struct preload_message *message)
{
	(void)reader;
	(void)message;
	return true;
}

int preload_message_parse(const char *bytes, size_t len, struct preload_message *message)
{
	static const struct {
		const char *name;
		bool (*read)(struct reader *reader, struct preload_message *message);
	} verbs[] = {
	    [PRELOAD_IS_READY] = {"ready", read_ready},
	    [PRELOAD_HAS_STARTED] = {"start", read_started},
	    [PRELOAD_HAS_FAILED] = {"fail", read_failed},
	    [PRELOAD_DECLINES] = {"decline", read_declines},
	    [PRELOAD_HAS_EXITED] = {"exit", read_exited},
	    [PRELOAD_IS_STALE] = {"stale", next_serial},
	    [PRELOAD_IS_ALIVE] = {"pong", read_nothing},
	};
	struct reader reader = {bytes, bytes + len};
	const char *name;

	*message = (struct preload_message){.serial = 0};
	if (len == 0 || bytes[len - 1] != '\0' || (name = next(&reader)) == NULL)
		return -1;
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (strcmp(name, verbs[i].name) != 0)
			continue;
		message->verb = (enum preload_verb)i;
		return verbs[i].read(&reader, message) && reader.at == reader.end ? 0 : -1;
	}
	return -1;
}

/* SPDX-License-Identifier: ISC */
/*
 * answer: the scan for the empty line, and the Status field.
 */
#include "fcgiget/answer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

void answer_init(struct answer *a)
{
	*a = (struct answer){.status = 0};
	buf_init(&a->head, ANSWER_HEAD_MAX);
}

void answer_fini(struct answer *a)
{
	buf_fini(&a->head);
}

/*
 * The value of field `name` in the `len` bytes of header block at `head`, up to the line's end;
 * NULL if there is no such field.  `*size` is set to its length.
 */
static const char *find_field(const char *head, size_t len, const char *name, size_t *size)
{
	size_t name_len = strlen(name);

	while (len > 0) {
		const char *end = memchr(head, '\n', len);
		size_t line = end == NULL ? len : (size_t)(end - head);

		if (line > name_len && head[name_len] == ':' &&
		    strncasecmp(head, name, name_len) == 0) {
			*size = line - name_len - 1;
			return head + name_len + 1;
		}
		line += end != NULL;
		head += line;
		len -= line;
	}
	return NULL;
}

/* The three digits at `value` as a status; -1 if it does not start with a status. */
static int parse_status(const char *value, size_t len)
{
	int status = 0;

	for (; len > 0 && (*value == ' ' || *value == '\t'); len--)
		value++;
	if (len < 3 || (len > 3 && value[3] >= '0' && value[3] <= '9'))
		return -1;
	for (size_t i = 0; i < 3; i++) {
		if (value[i] < '0' || value[i] > '9')
			return -1;
		status = status * 10 + (value[i] - '0');
	}
	return status >= 100 ? status : -1;
}

/* RFC 3875 6.3.3: without Status it is 200, or 302 with a Location. */
static int find_status(const struct answer *a)
{
	const char *head = (const char *)buf_bytes(&a->head);
	size_t len = buf_len(&a->head);
	size_t size = 0;
	const char *value = find_field(head, len, "Status", &size);

	if (value != NULL)
		return parse_status(value, size);
	return find_field(head, len, "Location", &size) != NULL ? 302 : 200;
}

/* Advances over one byte; non-zero if it ends an empty line. */
static int step(struct answer *a, unsigned char byte, int after_cr)
{
	if (byte == '\n') {
		int empty = a->line == 0;

		a->line = 0;
		return empty;
	}
	/* a CR counts only if a byte other than LF follows it */
	a->line += (byte != '\r') + (size_t)after_cr;
	return 0;
}

static unsigned char last_byte(const struct answer *a)
{
	return buf_len(&a->head) == 0 ? '\0' : buf_bytes(&a->head)[buf_len(&a->head) - 1];
}

ssize_t answer_read_header(struct answer *a, const unsigned char *bytes, size_t len)
{
	unsigned char before = last_byte(a);
	size_t taken = 0;
	int whole = 0;

	while (taken < len && !whole) {
		whole = step(a, bytes[taken], before == '\r');
		before = bytes[taken++];
	}
	if (buf_append(&a->head, bytes, taken) != 0)
		return -1;
	if (!whole)
		return (ssize_t)taken;
	a->status = find_status(a);
	if (a->status > 0)
		return (ssize_t)taken;
	errno = EBADMSG;
	return -1;
}

const char *answer_explain(int error)
{
	if (error == ENOBUFS)
		return "no empty line in 64 KiB of response header";
	return error == EBADMSG ? "Status field without a three-digit status" : strerror(error);
}

const char *answer_missing(const struct answer *a)
{
	return buf_len(&a->head) == 0 ? "the response is empty"
	                              : "the response ends inside its header";
}

/* SPDX-License-Identifier: ISC */
/*
 * buf: growth, compaction, and the one place that enforces the maximum.
 */
#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST = 512 }; /* the smallest allocation; most header blocks fit */

static void check(const struct buf *b)
{
	assert(b->start <= b->end && b->end <= b->cap && b->cap <= b->max);
	assert(b->data != NULL || b->cap == 0);
}

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
	check(b);
	free(b->data);
	buf_init(b, b->max);
}

void buf_release(struct buf *b)
{
	if (b->start == b->end)
		buf_fini(b);
}

size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

unsigned char *buf_bytes(const struct buf *b)
{
	/* NULL + 0 is undefined in C */
	return b->data == NULL ? NULL : b->data + b->start;
}

size_t buf_room(const struct buf *b)
{
	return b->max - buf_len(b);
}

/* Moves the content to the front, so that all spare room is after it. */
static void compact(struct buf *b)
{
	size_t len = buf_len(b);

	if (b->start == 0)
		return;
	memmove(b->data, b->data + b->start, len);
	b->start = 0;
	b->end = len;
}

static int grow(struct buf *b, size_t need)
{
	size_t cap = b->cap > BUF_FIRST ? b->cap : BUF_FIRST;
	unsigned char *data;

	while (cap < need && cap <= b->max / 2)
		cap *= 2;
	if (cap < need || cap > b->max)
		cap = b->max;
	data = realloc(b->data, cap);
	if (data == NULL)
		return -1;
	b->data = data;
	b->cap = cap;
	return 0;
}

unsigned char *buf_reserve(struct buf *b, size_t n)
{
	check(b);
	if (n > buf_room(b)) {
		errno = ENOBUFS;
		return NULL;
	}
	if (n > b->cap - b->end)
		compact(b);
	if ((n > b->cap - b->end || b->data == NULL) && grow(b, b->end + n) != 0)
		return NULL;
	return b->data + b->end;
}

void buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->end);
	b->end += n;
}

int buf_append(struct buf *b, const void *bytes, size_t n)
{
	unsigned char *room;

	if (n == 0)
		return 0;
	room = buf_reserve(b, n);
	if (room == NULL)
		return -1;
	memcpy(room, bytes, n);
	buf_commit(b, n);
	return 0;
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= buf_len(b));
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
	check(b);
}

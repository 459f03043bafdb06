/* SPDX-License-Identifier: ISC */
/*
 * spool: memory, then a file.
 */
#include "cgi/spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sys.h"

void spool_init(struct spool *spool, uint64_t max, const char *dir)
{
	*spool = (struct spool){.fd = -1, .max = max, .dir = dir};
	buf_init(&spool->memory, SPOOL_MEMORY);
}

static void close_file(struct spool *spool)
{
	close_keeping_errno(spool->fd);
	spool->fd = -1;
	spool->read_at = spool->write_at = 0;
}

void spool_fini(struct spool *spool)
{
	buf_fini(&spool->memory);
	close_file(spool);
}

uint64_t spool_len(const struct spool *spool)
{
	return buf_len(&spool->memory) + (uint64_t)(spool->write_at - spool->read_at);
}

static int open_file(struct spool *spool)
{
	char name[4096];
	int fd;

	if (snprintf(name, sizeof name, "%s/cgibridge.XXXXXX", spool->dir) >= (int)sizeof name) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = mkstemp(name);
	if (fd < 0)
		return -1;
	unlink(name);
	if (sys_cloexec(fd) != 0) {
		close(fd);
		return -1;
	}
	spool->fd = fd;
	return 0;
}

/* Reads at least one byte; EIO at the end of the file. */
static ssize_t read_at(int fd, void *to, size_t len, off_t at)
{
	ssize_t n;

	do {
		n = pread(fd, to, len, at);
	} while (n < 0 && errno == EINTR);
	if (n != 0)
		return n;
	errno = EIO;
	return -1;
}

/*
 * Writes all of it; 0, or -1 with errno.  A disk that fills up takes a part first, and may
 * report the error only when the rest is written; one that takes nothing is full, too.
 */
static int write_at(int fd, const unsigned char *bytes, size_t len, off_t at)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, bytes, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENOSPC;
		if (n <= 0)
			return -1;
		bytes += n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/*
 * Moves the waiting bytes to the front of the file once at least as many before them, and
 * SPOOL_MEMORY, have been read: this bounds the file's length.  Returns 0, or -1 with errno.
 */
static int move_to_front(struct spool *spool)
{
	unsigned char piece[16 * 1024];
	off_t waiting = spool->write_at - spool->read_at;
	off_t moved = 0;

	if (spool->read_at < SPOOL_MEMORY || spool->read_at < waiting)
		return 0;
	while (moved < waiting) {
		ssize_t n = read_at(spool->fd, piece, sizeof piece, spool->read_at + moved);

		if (n < 0 || write_at(spool->fd, piece, (size_t)n, moved) != 0)
			return -1;
		moved += n;
	}
	spool->read_at = 0;
	spool->write_at = waiting;
	return ftruncate(spool->fd, waiting);
}

static int append_to_file(struct spool *spool, const unsigned char *bytes, size_t len)
{
	if (move_to_front(spool) != 0)
		return -1;
	/* on failure write_at stays: a part that was written does not count */
	if (write_at(spool->fd, bytes, len, spool->write_at) != 0)
		return -1;
	spool->write_at += (off_t)len;
	return 0;
}

int spool_append(struct spool *spool, const void *bytes, size_t len)
{
	if (len > spool->max || spool_len(spool) > spool->max - len) {
		errno = EMSGSIZE;
		return -1;
	}
	/* memory is in front of the file: it takes bytes only while there is no file */
	if (spool->fd < 0 && len <= buf_room(&spool->memory))
		return buf_append(&spool->memory, bytes, len);
	if (spool->fd < 0 && open_file(spool) != 0)
		return -1;
	if (append_to_file(spool, bytes, len) == 0)
		return 0;
	if (spool->read_at == spool->write_at)
		close_file(spool);
	return -1;
}

void spool_cut(struct spool *spool, uint64_t len)
{
	size_t in_memory = buf_len(&spool->memory);

	if (len >= spool_len(spool))
		return;
	if (len > in_memory) {
		spool->write_at = spool->read_at + (off_t)(len - in_memory);
		return;
	}
	close_file(spool);
	spool->memory.end = spool->memory.start + (size_t)len;
}

/* Moves the next bytes of the file to the empty memory. */
static int refill(struct spool *spool)
{
	off_t left = spool->write_at - spool->read_at;
	size_t want = left < SPOOL_MEMORY ? (size_t)left : SPOOL_MEMORY;
	unsigned char *to = buf_reserve(&spool->memory, want);
	ssize_t n;

	if (to == NULL)
		return -1;
	n = read_at(spool->fd, to, want, spool->read_at);
	if (n < 0)
		return -1;
	buf_commit(&spool->memory, (size_t)n);
	spool->read_at += n;
	if (spool->read_at == spool->write_at)
		close_file(spool);
	return 0;
}

ssize_t spool_peek(struct spool *spool, const unsigned char **bytes)
{
	if (buf_len(&spool->memory) == 0 && spool->fd >= 0 && refill(spool) != 0)
		return -1;
	*bytes = buf_bytes(&spool->memory);
	return (ssize_t)buf_len(&spool->memory);
}

void spool_consume(struct spool *spool, size_t n)
{
	buf_consume(&spool->memory, n);
	buf_release(&spool->memory);
}

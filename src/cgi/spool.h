/* SPDX-License-Identifier: ISC */
/*
 * spool: a queue of bytes, bounded in all: in memory first, in an unlinked temporary file once
 * there are more than SPOOL_MEMORY.
 *
 *     front -> [ memory, <= 64 KiB ] [ file: read_at ....... write_at ] <- append
 */
#ifndef CGIBRIDGE_SPOOL_H
#define CGIBRIDGE_SPOOL_H

#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "base/buf.h"

enum { SPOOL_MEMORY = 64 * 1024 };

struct spool {
	struct buf memory;
	int fd; /* -1 while nothing is in a file */
	off_t read_at, write_at;
	uint64_t max;
	const char *dir; /* borrowed */
};

/* An empty spool that holds at most `max` bytes and makes its file in `dir`. */
void spool_init(struct spool *spool, uint64_t max, const char *dir);
void spool_fini(struct spool *spool);

/* How many bytes wait. */
uint64_t spool_len(const struct spool *spool);

/*
 * Appends `len` bytes.  0, or -1: errno EMSGSIZE past `max`, ENOMEM, or an error of the file
 * system (ENOSPC, EMFILE, EACCES, ...); the spool is then unchanged.
 */
int spool_append(struct spool *spool, const void *bytes, size_t len) MUST_CHECK;

/*
 * The next bytes, at most SPOOL_MEMORY of them: `*bytes` points to them until the next call.
 * Returns how many, 0 if none wait, -1 with errno if they cannot be read.
 */
ssize_t spool_peek(struct spool *spool, const unsigned char **bytes) MUST_CHECK;

/* Drops all waiting bytes after the first `len`. */
void spool_cut(struct spool *spool, uint64_t len);

/* Drops the first `n` of the bytes that spool_peek() returned. */
void spool_consume(struct spool *spool, size_t n);

#endif

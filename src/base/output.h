/* SPDX-License-Identifier: ISC */
/*
 * output: writing to standard output or error without ever waiting for their reader.
 *
 * A pipe, terminal or socket there is shared with the process that started us, so O_NONBLOCK
 * must not be set on it.  A pipe or terminal is reopened instead, which gives it a mode of its
 * own; a socket takes MSG_DONTWAIT.  Where reopening fails (a pipe made by another user, a
 * system without /proc or /dev/fd), each write asks poll(2) first.  A file is written to
 * directly: waiting for a disk is acceptable.
 */
#ifndef CGIBRIDGE_OUTPUT_H
#define CGIBRIDGE_OUTPUT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/attributes.h"

enum output_way {
	OUTPUT_WRITE, /* a file, or a pipe or terminal in non-blocking mode */
	OUTPUT_SEND,  /* a socket */
	OUTPUT_ASK,   /* a pipe or terminal in blocking mode, which is not ours to change */
};

struct output {
	int fd;
	enum output_way way;
};

/* How to write to `fd`, without reopening it, so that no write waits. */
enum output_way output_way(int fd);

/*
 * Prepares `output` for writing to the file of descriptor `fd`, which has to stay open.  If
 * the file can be reopened, output->fd is the new descriptor, close-on-exec; else it is `fd`.
 */
void output_open(struct output *output, int fd);

/*
 * Writes once.  Returns the number of bytes written, which can be less than `len`; or -1 with
 * errno, and output_is_full() says whether that means a lack of room.
 */
ssize_t output_write(const struct output *output, const char *bytes, size_t len) MUST_CHECK;

/*
 * Whether errno `error` means that there is no room now: the reader is slow, or another
 * process is writing.
 */
bool output_is_full(int error);

/* Waits until there is room, for at most `ms` milliseconds. */
void output_wait(const struct output *output, int ms);

#endif

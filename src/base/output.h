/* SPDX-License-Identifier: ISC */
/*
 * output: writing to standard output or error without ever waiting for their reader.
 *
 * A pipe, a terminal or a socket there is shared with whoever started us, so O_NONBLOCK
 * must not be set on it.  A pipe or a terminal is opened again, for a mode of its own; a
 * socket takes MSG_DONTWAIT.  Where opening it again fails (a pipe that another user has
 * made, a system without /proc or /dev/fd) each write asks with poll(2) first.  A file is
 * written to as it is: a disk may be waited for.
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

/* How to write to `fd` as it is, so that nothing waits. */
enum output_way output_way(int fd);

/*
 * Prepares `output` for writing where descriptor `fd` leads to.  `fd` has to stay open;
 * output->fd is another one, close-on-exec, if it was opened again.
 */
void output_open(struct output *output, int fd);

/*
 * Writes once.  The number of bytes written, which can be less than `len`; or -1 with
 * errno, for which output_is_full() says whether there was only no room.
 */
ssize_t output_write(const struct output *output, const char *bytes, size_t len) MUST_CHECK;

/* Whether `error` says that the reader, or the other writers, leave no room for now. */
bool output_is_full(int error);

/* Waits until there is room, for at most `ms`. */
void output_wait(const struct output *output, int ms);

#endif

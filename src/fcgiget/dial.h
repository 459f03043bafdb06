/* SPDX-License-Identifier: ISC */
/*
 * dial: from a socket's address to a connected socket, by a deadline.
 *
 * The counterpart of the listener, whole or in two halves for those who have a loop.
 * Deadlines are points of clock_ms(), so that a caller can bound what follows the connect
 * by the same one.  It parses no URL and looks up no name: that is address's.
 */
#ifndef CGIBRIDGE_DIAL_H
#define CGIBRIDGE_DIAL_H

#include <stdint.h>

#include "base/address.h"
#include "base/attributes.h"

/*
 * The first half of a connect to `to`, which is not an ADDRESS_FD: it never waits.  Returns a
 * socket (close-on-exec, non-blocking), the caller's to close, which is connected, or not,
 * once it is writable: ask dial_outcome().  Or -1 with errno, EAGAIN when a unix socket's
 * queue is full: that cannot be waited for, but tried again.
 */
int dial_begin(const struct address *to) MUST_CHECK;

/* 0 if the connect on `fd` has succeeded, or -1 with errno. */
int dial_outcome(int fd) MUST_CHECK;

/*
 * Connects to `to`, which is not an ADDRESS_FD.  Returns the socket (close-on-exec,
 * non-blocking), the caller's to close; or -1 with errno, ETIMEDOUT past `deadline`.
 */
int dial_connect(const struct address *to, int64_t deadline) MUST_CHECK;

#endif

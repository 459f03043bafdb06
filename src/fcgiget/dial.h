/* SPDX-License-Identifier: ISC */
/*
 * dial: from a socket's address to a connected socket, by a deadline.
 *
 * The counterpart of the listener, in one call or, for callers with an event loop, in two.
 * Deadlines are points of clock_ms(): the caller can use the same one for the steps after the
 * connect.  URLs and names are parsed and looked up in address.
 */
#ifndef CGIBRIDGE_DIAL_H
#define CGIBRIDGE_DIAL_H

#include <stdint.h>

#include "base/address.h"
#include "base/attributes.h"

/*
 * The first half of a connect to `to`, which is not an ADDRESS_FD: it never waits.  Returns a
 * socket (close-on-exec, non-blocking) that the caller closes; once it is writable,
 * dial_outcome() tells whether it is connected.  Or -1 with errno; EAGAIN if a unix socket's
 * queue is full: that cannot be polled for, only tried again.
 */
int dial_begin(const struct address *to) MUST_CHECK;

/* 0 if the connect on `fd` has succeeded, else -1 with errno. */
int dial_outcome(int fd) MUST_CHECK;

/*
 * Connects to `to`, which is not an ADDRESS_FD.  Returns the socket (close-on-exec,
 * non-blocking), which the caller closes; or -1 with errno, ETIMEDOUT past `deadline`.
 */
int dial_connect(const struct address *to, int64_t deadline) MUST_CHECK;

#endif

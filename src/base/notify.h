/* SPDX-License-Identifier: ISC */
/*
 * notify: messages to the service manager (the protocol of sd_notify(3), without its library).
 *
 * One datagram per message, to the unix socket that NOTIFY_SOCKET names.  Without one, or if
 * nothing listens there, messages are dropped: that is not an error.
 */
#ifndef CGIBRIDGE_NOTIFY_H
#define CGIBRIDGE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

/* Whether NOTIFY_SOCKET names a socket. */
bool notify_wanted(void);

/* Sends "NAME=VALUE" lines, such as "READY=1\nSTATUS=...".  Never blocks. */
void notify_send(const char *format, ...) PRINTF_LIKE(1, 2);

/*
 * The longest time allowed between two WATCHDOG=1 messages, in ms and at most a day
 * (WATCHDOG_USEC); 0 if none are expected, or if WATCHDOG_PID is another process.
 */
int64_t notify_watchdog(void);

#endif

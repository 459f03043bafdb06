/* SPDX-License-Identifier: ISC */
/*
 * notify: telling the service manager how it goes (sd_notify(3)'s protocol, by hand).
 *
 * One datagram a message, to the unix socket that NOTIFY_SOCKET names.  Without one,
 * or when nobody listens there, nothing happens: no service fails for that.
 */
#ifndef CGIBRIDGE_NOTIFY_H
#define CGIBRIDGE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

/* Whether somebody wants to be told. */
bool notify_wanted(void);

/* Sends "NAME=VALUE" lines, as "READY=1\nSTATUS=...".  Never blocks. */
void notify_send(const char *format, ...) PRINTF_LIKE(1, 2);

/*
 * How often WATCHDOG=1 is expected, at the least: milliseconds (WATCHDOG_USEC), if
 * WATCHDOG_PID is this process or not set; 0 if it is not.
 */
int64_t notify_watchdog(void);

#endif

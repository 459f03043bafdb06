/* SPDX-License-Identifier: ISC */
/*
 * log_syslog: lines to the system's log daemon, one datagram each.
 *
 * Written by hand rather than with syslog(3), which waits for a daemon that has
 * stopped reading.  A daemon that was started anew is found again by the next line:
 * at the same path, so in a chroot the socket has to be there too.
 */
#ifndef CGIBRIDGE_LOG_SYSLOG_H
#define CGIBRIDGE_LOG_SYSLOG_H

#include <stddef.h>

#include "base/attributes.h"

/* The facility named by `name` ("daemon", "local0"), as a number from 1 to 23, or -1. */
int log_facility_parse(const char *name);

/* The name of a facility that log_facility_parse() knows. */
const char *log_facility_name(int facility);

/*
 * Lines go to the socket at `path` (borrowed), under `facility`, from now on.  0, or -1
 * with errno: nobody takes them now; each line tries again.
 */
int log_syslog_open(const char *path, int facility) MUST_CHECK;

/* Drops the connection; the next line makes a new one. */
void log_syslog_close(void);

/*
 * Sends `len` bytes of text, without a newline and with nothing in it to be escaped, at
 * `priority` (0 to 7).  Waits up to `patience` ms, once, for a daemon that is behind.
 * 0, or -1 with errno: it has not got the line.
 */
int log_syslog_send(int priority, const char *text, size_t len, int patience) MUST_CHECK;

#endif

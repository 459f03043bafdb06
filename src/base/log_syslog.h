/* SPDX-License-Identifier: ISC */
/*
 * log_syslog: lines to the system's log daemon, one datagram each.
 *
 * Implemented here because syslog(3) waits for a daemon that has stopped reading.  After a
 * restart of the daemon the next line connects again, at the same path; in a chroot the socket
 * has to be there, too.
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
 * From now on lines go to the socket at `path` (borrowed), with `facility`.  0, or -1 with
 * errno: it cannot be reached now; each line tries again.
 */
int log_syslog_open(const char *path, int facility) MUST_CHECK;

/* Drops the connection; the next line makes a new one. */
void log_syslog_close(void);

/*
 * Sends `len` bytes of text, already escaped and without a newline, at `priority` (0 to 7).
 * Waits up to `patience` ms for a daemon that does not keep up, but not again until it takes a
 * line.  0, or -1 with errno: the line was not sent.
 */
int log_syslog_send(int priority, const char *text, size_t len, int patience) MUST_CHECK;

#endif

/* SPDX-License-Identifier: ISC */
/*
 * verdict: fcgiget's exit statuses, and its error messages.
 */
#ifndef CGIBRIDGE_VERDICT_H
#define CGIBRIDGE_VERDICT_H

/* curl's numbers */
enum exit_status {
	EXIT_OK = 0,
	EXIT_PROTOCOL = 1,
	EXIT_USAGE = 2,
	EXIT_CONNECT = 7,
	EXIT_HTTP_STATUS = 22,
	EXIT_WRITE = 23,
	EXIT_READ = 26,
	EXIT_TIMEOUT = 28,
};

/* Prints "fcgiget: WHAT: WHY" to standard error; returns `status`. */
enum exit_status complain(enum exit_status status, const char *what, const char *why);

/* The name of a protocolStatus; "unknown" for any other number. */
const char *verdict_status_name(unsigned status);

#endif

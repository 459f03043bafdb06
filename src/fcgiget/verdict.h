/* SPDX-License-Identifier: ISC */
/*
 * verdict: fcgiget's exit status, and the words for what went wrong.
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

/* Says "fcgiget: WHAT: WHY" on standard error; returns `status`. */
enum exit_status complain(enum exit_status status, const char *what, const char *why);

/* The name of a protocolStatus; "unknown" past the known ones. */
const char *verdict_status_name(unsigned status);

#endif

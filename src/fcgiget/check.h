/* SPDX-License-Identifier: ISC */
/*
 * check: one request or FCGI_GET_VALUES, made as a monitoring plug-in.
 *
 * Prints one line for Nagios and its relatives, and returns the exit status that goes with the
 * line's second word.
 */
#ifndef CGIBRIDGE_CHECK_H
#define CGIBRIDGE_CHECK_H

#include "fcgiget/fcgiget_options.h"

/* The exit statuses of a plug-in. */
enum check_result { CHECK_OK, CHECK_WARNING, CHECK_CRITICAL, CHECK_UNKNOWN };

/* Makes the check and prints the line. */
enum check_result check_run(const struct fcgiget_options *o);

/* Prints a line that says why there could be no check. */
enum check_result check_refuse(const char *why);

#endif

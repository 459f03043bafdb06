/* SPDX-License-Identifier: ISC */
/*
 * fcgiget_options: fcgiget's command line, checked.
 *
 * One table holds each option's name, letter, argument, help text and reader: --help and the
 * parser always agree.  An error is one line on stderr with the option, the value and the
 * values allowed.  It opens no files.
 */
#ifndef CGIBRIDGE_FCGIGET_OPTIONS_H
#define CGIBRIDGE_FCGIGET_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

enum fcgiget_action { ACTION_REQUEST, ACTION_VALUES, ACTION_HELP, ACTION_VERSION };

struct fcgiget_options {
	enum fcgiget_action action;
	const char *socket;      /* the server's URL, for messages; NULL without -s */
	struct address server;   /* the same, parsed; never ADDRESS_FD */
	const char *method;      /* NULL: GET, or POST with data */
	const char **params;     /* owned array of "NAME=VALUE", in order */
	size_t param_count;
	const char *data;        /* DATA, @FILE or @-; NULL: no body */
	const char *script;      /* PATH[?QUERY] */
	int64_t timeout;         /* ms; with -n and --check for each request */
	int requests;            /* 0: no load test, one answer is printed */
	int connections;         /* of the load test; 0: not given */
	int json;                /* report the load test as JSON */
	int check;               /* act as a plug-in of a monitoring system */
	int doctor;              /* find out why the script does not answer */
	const char *user;        /* with --doctor: the scripts' user; NULL: the caller */
	int64_t warning;         /* ms, of a check; 0: none */
	int64_t critical;        /* ms, of a check; 0: none */
	int include_head;
	int keep_connection;
	int fail_on_status;
	int verbose;
};

/*
 * Reads `argv` into `o`; the strings still belong to `argv`.  Returns 0, or -1 after a message.
 * Call fcgiget_options_fini() in both cases.
 */
int fcgiget_options_parse(struct fcgiget_options *o, int argc, char **argv) MUST_CHECK;

void fcgiget_options_fini(struct fcgiget_options *o);

/* Prints --help to stdout. */
void fcgiget_options_help(void);

#endif

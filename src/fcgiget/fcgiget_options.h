/* SPDX-License-Identifier: ISC */
/*
 * fcgiget_options: fcgiget's command line, checked.
 *
 * One table holds each option's name, letter, argument, help text and reader, so
 * --help and the parser agree.  An error names the option, the value and what is
 * allowed, on one line to stderr.  It opens nothing.
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
	struct address server;   /* the same, parsed; no ADDRESS_FD */
	const char *method;      /* NULL: GET, or POST with data */
	const char **params;     /* owned array of "NAME=VALUE", in order */
	size_t param_count;
	const char *data;        /* DATA, @FILE or @-; NULL: no body */
	const char *script;      /* PATH[?QUERY] */
	int64_t timeout;         /* ms; with -n and --check for each request */
	int requests;            /* 0: no load, one answer is printed */
	int connections;         /* of the load; 0: not given */
	int json;                /* the load's report */
	int check;               /* as a plug-in of a monitoring system */
	int doctor;              /* why does it not answer? */
	const char *user;        /* of the doctor: the scripts' user; NULL: who runs it */
	int64_t warning;         /* ms, of a check; 0: none */
	int64_t critical;        /* ms, of a check; 0: none */
	int include_head;
	int keep_connection;
	int fail_on_status;
	int verbose;
};

/*
 * Reads `argv` into `o`; the strings stay argv's.  Returns 0, or -1 after a
 * message.  `o` is to be given to fcgiget_options_fini() either way.
 */
int fcgiget_options_parse(struct fcgiget_options *o, int argc, char **argv) MUST_CHECK;

void fcgiget_options_fini(struct fcgiget_options *o);

/* Prints --help to stdout. */
void fcgiget_options_help(void);

#endif

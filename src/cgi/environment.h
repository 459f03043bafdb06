/* SPDX-License-Identifier: ISC */
/*
 * environment: the variables that a script inherits in addition to its request's parameters.
 *
 * The daemon's own environment, on which administrators rely, without the variables that a
 * script would take for a part of the request (RFC 3875 4.1 meta-variables, HTTP_*) and those
 * meant for the daemon itself (LISTEN_*, NOTIFY_*, ...); plus those that --env adds.
 */
#ifndef CGIBRIDGE_ENVIRONMENT_H
#define CGIBRIDGE_ENVIRONMENT_H

#include <stddef.h>

#include "base/attributes.h"
#include "config/value.h"

struct environment {
	const char **items; /* "NAME=VALUE", borrowed from the source, the wish or constant */
	size_t count;
};

/* The administrator's settings: --env and its relatives. */
struct environment_wish {
	int clear; /* inherit nothing */
	const struct value_variable *set;
	size_t count;
};

/*
 * Filters `source` (as environ(7)), sets the variables of `wish` (NULL: none) whatever the
 * filter says, and adds PATH and GATEWAY_INTERFACE if they are missing.  0, or -1 with errno
 * ENOMEM.
 */
int environment_init(struct environment *environment, char *const *source,
    const struct environment_wish *wish) MUST_CHECK;
void environment_fini(struct environment *environment);

#endif

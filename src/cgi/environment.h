/* SPDX-License-Identifier: ISC */
/*
 * environment: what a script inherits besides its request's parameters.
 *
 * The daemon's own environment, as administrators rely on it, less everything
 * that would be taken for a part of the request (RFC 3875 4.1 meta-variables,
 * HTTP_*) or that is between the daemon and its starter (LISTEN_*, NOTIFY_*, ...);
 * and what --env adds.
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

/* What an administrator asks for. */
struct environment_wish {
	int clear; /* inherit nothing */
	const struct value_variable *set;
	size_t count;
};

/*
 * Filters `source` (as environ(7)), sets what `wish` has (NULL: nothing) whatever the
 * filter says, and adds a PATH and GATEWAY_INTERFACE where there is none.  0, or -1
 * with errno ENOMEM.
 */
int environment_init(struct environment *environment, char *const *source,
    const struct environment_wish *wish) MUST_CHECK;
void environment_fini(struct environment *environment);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * arguments: what a script is started with: which program, and its argv.
 *
 *   the script itself       argv: SCRIPT [words of the query]
 *   --handler .EXT=PROGRAM  argv: PROGRAM SCRIPT [words of the query]
 *
 * With --query-args, the query of a GET or HEAD that has no "=" is words (RFC 3875
 * 4.4): split at "+", decoded, all of them or none.
 */
#ifndef CGIBRIDGE_ARGUMENTS_H
#define CGIBRIDGE_ARGUMENTS_H

#include "base/attributes.h"
#include "config/options.h"
#include "cgi/params.h"

/* The program of the first --handler whose extension `script` has; NULL if none. */
const char *arguments_handler(const struct options *options, const char *script);

/*
 * The argv for `script`, which has been resolved; argv[0] is what to execute.  One
 * allocation, the caller's to free.  NULL with errno ENOMEM.
 */
char **arguments_new(const struct options *options, const struct params *params,
    const char *script) MUST_CHECK;

#endif

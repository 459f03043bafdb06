/* SPDX-License-Identifier: ISC */
/*
 * arguments: which program a script is started with, and its argv.
 *
 *   the script itself       argv: SCRIPT [words of the query]
 *   --handler .EXT=COMMAND  argv: PROGRAM [its arguments] SCRIPT [words of the query]
 *
 * With --query-args, the query of a GET or HEAD that has no "=" is a list of words (RFC 3875
 * 4.4), split at "+" and decoded.  If one of them is unusable, the script gets none.
 */
#ifndef CGIBRIDGE_ARGUMENTS_H
#define CGIBRIDGE_ARGUMENTS_H

#include "base/attributes.h"
#include "config/options.h"
#include "cgi/params.h"

/* The first --handler whose extension `script` has; NULL if there is none.  No system call. */
const struct value_handler *arguments_extension(const struct options *options, const char *script);

/*
 * That handler if it is to run `script`: NULL also if, without --handler-always, the script is
 * executable and starts with "#!".  Makes system calls only if an extension matches.
 */
const struct value_handler *arguments_handler(const struct options *options, const char *script);

/*
 * The argv for `script`, which has been resolved, and which `handler` is to run; NULL: none.
 * argv[0] is the program to execute.  One allocation, freed by the caller.  NULL with errno
 * ENOMEM.
 */
char **arguments_new(const struct options *options, const struct params *params,
    const char *script, const struct value_handler *handler) MUST_CHECK;

#endif

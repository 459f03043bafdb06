/* SPDX-License-Identifier: ISC */
/*
 * arguments: what a script is started with: which program, and its argv.
 *
 *   the script itself       argv: SCRIPT [words of the query]
 *   --handler .EXT=COMMAND  argv: PROGRAM [its arguments] SCRIPT [words of the query]
 *
 * With --query-args, the query of a GET or HEAD that has no "=" is words (RFC 3875
 * 4.4): split at "+", decoded, all of them or none.
 */
#ifndef CGIBRIDGE_ARGUMENTS_H
#define CGIBRIDGE_ARGUMENTS_H

#include "base/attributes.h"
#include "config/options.h"
#include "cgi/params.h"

/*
 * The first --handler whose extension `script` has; NULL if none, or if the script has a
 * "#!" line and may be executed, without --handler-always.  System calls only for a
 * script that has such an extension.
 */
const struct value_handler *arguments_handler(const struct options *options, const char *script);

/*
 * The argv for `script`, which has been resolved; argv[0] is what to execute.  One
 * allocation, the caller's to free.  NULL with errno ENOMEM.
 */
char **arguments_new(const struct options *options, const struct params *params,
    const char *script) MUST_CHECK;

#endif

/* SPDX-License-Identifier: ISC */
/*
 * fcgiget_params: the parameters that fcgiget sends with a request.
 *
 * The parameters that a web server would send for the script (RFC 3875 4.1), without those that
 * -p overrides, then each -p in the order given: a repeated name is sent repeatedly, as servers
 * do with repeated header fields.
 */
#ifndef CGIBRIDGE_FCGIGET_PARAMS_H
#define CGIBRIDGE_FCGIGET_PARAMS_H

#include <sys/types.h>

#include "base/buf.h"
#include "fcgiget/fcgiget_options.h"

enum { FCGIGET_PARAMS_MAX = 8 * 1024 * 1024 }; /* more than a command line can hold */

/* The request method that `o` asks for. */
const char *fcgiget_method(const struct fcgiget_options *o);

/*
 * Appends the encoded parameters to `out`.  `size` is that of the body, -1 if it is not known
 * in advance.  Returns 0, or -1 with errno.
 */
int fcgiget_params_put(struct buf *out, const struct fcgiget_options *o, off_t size) MUST_CHECK;

#endif

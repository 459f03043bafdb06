/* SPDX-License-Identifier: ISC */
/*
 * fcgiget_params: the parameters fcgiget sends with a request.
 *
 * What a web server would say about a request for the script (RFC 3875 4.1),
 * less what -p overrides, then each -p in the order given: a name that is
 * repeated there is sent repeatedly, as servers do with repeated header fields.
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
 * Appends the encoded parameters to `out`.  `size` is the body's, -1 if it is
 * not known before its end.  Returns 0, or -1 with errno.
 */
int fcgiget_params_put(struct buf *out, const struct fcgiget_options *o, off_t size) MUST_CHECK;

#endif

/* SPDX-License-Identifier: ISC */
/*
 * front_end: which web server a request comes from, and its quirks.
 *
 * The web server is determined once, from SERVER_SOFTWARE.  Each quirk is a predicate here, so
 * that its callers know the quirk, but not the web server.
 */
#ifndef CGIBRIDGE_FRONT_END_H
#define CGIBRIDGE_FRONT_END_H

#include <stdbool.h>

#include "cgi/params.h"

enum front_end {
	FRONT_END_UNNAMED, /* it does not say */
	FRONT_END_OTHER,   /* one without a quirk */
	FRONT_END_NGINX,
	FRONT_END_HAPROXY,
};

/* The web server that sent `params`, which have to be decoded. */
enum front_end front_end_of(const struct params *params);

/*
 * Whether it stops sending FCGI_STDIN, without ending it, once it has the header block of the
 * answer.  A script that writes its headers and then continues to read, like git-http-backend,
 * would wait for ever.
 */
bool front_end_stops_stdin(enum front_end front_end);

/*
 * Whether it stops reading its client's body once it has END_REQUEST, without closing the
 * client's connection: a client that sends a large body hangs until HAProxy's `timeout client`.
 */
bool front_end_needs_stdin(enum front_end front_end);

/*
 * Whether it drops the body of an answer to HEAD by itself.  nginx does, and with fastcgi_cache
 * it stores the answer for later GET requests, which would get an empty page without the body.
 * HAProxy turns such a body into a 502.
 */
bool front_end_drops_body(enum front_end front_end);

/* Whether it serves a local redirect itself if it gets it as X-Accel-Redirect. */
bool front_end_redirects(enum front_end front_end);

/*
 * Whether it takes the end of a connection for the end of the response.  nginx does, unless it
 * buffers the response and keeps the connection, or has got a record that it does not expect,
 * such as FCGI_UNKNOWN_TYPE.
 */
bool front_end_trusts_eof(enum front_end front_end);

#endif

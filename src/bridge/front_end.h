/* SPDX-License-Identifier: ISC */
/*
 * front_end: which web server a request comes from, and its quirks.
 *
 * Found once, from SERVER_SOFTWARE.  A quirk is a predicate here; whoever asks knows what
 * to do, and not for whom.
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

/* The one that has sent `params`, which are decoded. */
enum front_end front_end_of(const struct params *params);

/*
 * Whether it sends no more of FCGI_STDIN, nor its end, once it has the header block of
 * the answer.  A script that writes it first and then reads on, as git-http-backend does,
 * would wait for ever.
 */
bool front_end_stops_stdin(enum front_end front_end);

/*
 * Whether it takes no more of its client's body once it has END_REQUEST, and does not let
 * go of that client either: who sends a large one hangs until `timeout client`.
 */
bool front_end_needs_stdin(enum front_end front_end);

/*
 * Whether it drops the body of an answer to HEAD by itself.  nginx does, and with
 * fastcgi_cache it keeps the answer for those who GET the page: without the body, theirs
 * would be empty.  HAProxy answers 502 to a body there.
 */
bool front_end_drops_body(enum front_end front_end);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * params: the FCGI_PARAMS stream of one request, then its environment.
 *
 * `raw` collects the stream as it was sent: how it is split into records does not matter.
 * params_decode() then turns it in place into "NAME=VALUE" strings: the encoding spends at
 * least two bytes per pair on lengths, just enough for '=' and the terminator.
 *
 * Each name occurs once (case-insensitively, RFC 3875 4.1): repeated HTTP_* values are joined
 * in order with ", " (HTTP_COOKIE with "; ", 4.1.18); for any other name the last value wins.
 * HTTP_PROXY is dropped ("httpoxy": scripts take it for their own proxy setting).
 */
#ifndef CGIBRIDGE_PARAMS_H
#define CGIBRIDGE_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/buf.h"
#include "cgi/environment.h"

struct param {
	size_t text;     /* offset of "NAME=VALUE" in raw; valid even when not set */
	size_t name_len;
	uint32_t hash;   /* of the name, case folded */
	bool set;
};

struct params {
	struct buf raw;
	size_t max;         /* bytes the stream may have */
	struct param *list; /* owned; `count` of `cap` are used */
	uint32_t *index;    /* hash table into list (+ 1; 0 is free), in list's allocation */
	size_t count, cap, index_mask;
};

/* Initialises an empty set for a stream of at most `max` bytes. */
void params_init(struct params *params, size_t max);
void params_fini(struct params *params);

/* Takes the next bytes of the stream.  0, or -1: errno E2BIG past the maximum, or ENOMEM. */
int params_feed(struct params *params, const void *bytes, size_t len) MUST_CHECK;

/*
 * Ends the stream and decodes it.  0, or -1: errno EBADMSG when a pair reaches past the end, or
 * a name or value has a NUL; E2BIG; ENOMEM.  A pair whose name is empty or has a '=' is
 * dropped: a client's odd header must not cost it its request.  Before this call, and after it
 * has failed, no parameter is set.
 */
int params_decode(struct params *params) MUST_CHECK;

/* The value of `name`, or NULL if it is not set; valid until the next params_set(). */
const char *params_get(const struct params *params, const char *name);

/* As params_get(), but an empty value is NULL too (RFC 3875 4.1: the same as unset). */
const char *params_get_filled(const struct params *params, const char *name);

/* Sets `name`; `value` may point into `params`.  0, or -1: E2BIG or ENOMEM. */
int params_set(struct params *params, const char *name, const char *value) MUST_CHECK;
void params_unset(struct params *params, const char *name);

/*
 * An environment for execve(2): the parameters on top of `below`, without those meant for the
 * bridge (FCGI_CHDIR, CGIBRIDGE_*).  The caller frees the vector; its strings belong to
 * `params` and `below`.  NULL with errno ENOMEM.
 */
char **params_environ(const struct params *params, const struct environment *below) MUST_CHECK;

#endif

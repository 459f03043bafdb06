/* SPDX-License-Identifier: ISC */
/*
 * conn_parts: what conn.c has of conn_values.c.  Nobody else includes it.
 */
#ifndef CGIBRIDGE_CONN_PARTS_H
#define CGIBRIDGE_CONN_PARTS_H

#include "conn.h"

/* What a client may ask for with FCGI_GET_VALUES (spec 4.1). */
struct conn_values {
	long max_conns;
	long max_requests;
};

/*
 * Writes to `out`, which has `room` bytes, what is known of the names in the `len` bytes
 * at `asked`, the content of a FCGI_GET_VALUES record.  Returns how many bytes it wrote.
 */
size_t conn_put_values(unsigned char *out, size_t room, const struct conn_values *values,
    const unsigned char *asked, size_t len);

#endif

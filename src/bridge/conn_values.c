/* SPDX-License-Identifier: ISC */
/*
 * conn_values: the answer to FCGI_GET_VALUES.
 */
#include <stdio.h>
#include <string.h>

#include "bridge/conn_private.h"
#include "fcgi/fcgi.h"

/* The value of a variable, or -1. */
static long value_of(const struct conn_values *known, const struct fcgi_pair *pair)
{
	static const char names[3][16] = {"FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"};
	const long values[3] = {known->max_conns, known->max_requests, 1};

	for (size_t i = 0; i < 3; i++)
		if (strlen(names[i]) == pair->name_len &&
		    memcmp(names[i], pair->name, pair->name_len) == 0)
			return values[i];
	return -1;
}

static size_t put_value(unsigned char *out, size_t room, const struct fcgi_pair *asked, long value)
{
	char text[24];
	struct fcgi_pair pair = *asked;
	int n = snprintf(text, sizeof text, "%ld", value);

	pair.value = (const unsigned char *)text;
	pair.value_len = (size_t)n;
	if (fcgi_pair_size(pair.name_len, pair.value_len) > room)
		return 0;
	return fcgi_put_pair(out, &pair);
}

size_t conn_put_values(unsigned char *out, size_t room, const struct conn_values *values,
    const unsigned char *asked, size_t len)
{
	size_t put = 0;

	while (len > 0) {
		struct fcgi_pair pair;
		size_t n = fcgi_get_pair(asked, len, &pair);
		long value;

		if (n == 0)
			break;
		value = value_of(values, &pair);
		if (value >= 0)
			put += put_value(out + put, room - put, &pair, value);
		asked += n;
		len -= n;
	}
	return put;
}

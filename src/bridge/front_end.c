/* SPDX-License-Identifier: ISC */
/*
 * front_end: the names, and the quirks of each.
 */
#include "bridge/front_end.h"

#include <string.h>

enum front_end front_end_of(const struct params *params)
{
	const char *software = params_get_filled(params, "SERVER_SOFTWARE");

	if (software == NULL)
		return FRONT_END_UNNAMED;
	if (strncmp(software, "nginx", 5) == 0)
		return FRONT_END_NGINX;
	if (strncmp(software, "HAProxy", 7) == 0)
		return FRONT_END_HAPROXY;
	return FRONT_END_OTHER;
}

bool front_end_stops_stdin(enum front_end front_end)
{
	return front_end == FRONT_END_NGINX || front_end == FRONT_END_UNNAMED;
}

bool front_end_needs_stdin(enum front_end front_end)
{
	return front_end == FRONT_END_HAPROXY;
}

bool front_end_drops_body(enum front_end front_end)
{
	return front_end == FRONT_END_NGINX;
}

bool front_end_redirects(enum front_end front_end)
{
	return front_end == FRONT_END_NGINX;
}

bool front_end_trusts_eof(enum front_end front_end)
{
	return front_end == FRONT_END_NGINX;
}

/* SPDX-License-Identifier: ISC */
/*
 * value_socket: socket URLs.
 */
#include <stdlib.h>

#include "config/value.h"

static int read_socket(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	struct value_sockets *sockets = member;
	struct address *items = realloc(sockets->items, (sockets->count + 1) * sizeof *items);

	(void)rule;
	if (items == NULL)
		return fault_set(why, "out of memory");
	sockets->items = items;
	if (address_parse(value, &items[sockets->count], why) != 0)
		return -1;
	sockets->count++;
	return 0;
}

static const char *socket_item(const void *member, size_t i)
{
	const struct value_sockets *sockets = member;

	return i < sockets->count ? sockets->items[i].url : NULL;
}

const struct value_kind value_socket = {read_socket, NULL, socket_item};

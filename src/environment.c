/* SPDX-License-Identifier: ISC */
/*
 * environment: the lists of names that stay with the daemon.
 */
#include "environment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A name that ends in '*' stands for all that start so. */
static const char *const withheld[] = {
	/* RFC 3875 4.1: the request's, and only the request's */
	"AUTH_TYPE", "CONTENT_*", "DOCUMENT_ROOT", "DOCUMENT_URI", "GATEWAY_INTERFACE", "HTTPS",
	"HTTP_*", "PATH_INFO", "PATH_TRANSLATED", "QUERY_STRING", "REDIRECT_*", "REMOTE_*",
	"REQUEST_*", "SCRIPT_*", "SERVER_*",
	/* between the daemon and whoever started it */
	"CGIBRIDGE_*", "FCGI_*", "INVOCATION_ID", "JOURNAL_STREAM", "LISTEN_*", "MAINPID",
	"MANAGERPID", "MEMORY_PRESSURE_*", "NOTIFY_SOCKET", "WATCHDOG_*",
};

static bool is_withheld(const char *item, size_t name_len)
{
	for (size_t i = 0; i < sizeof withheld / sizeof *withheld; i++) {
		size_t len = strlen(withheld[i]);

		if (withheld[i][len - 1] == '*') {
			if (name_len >= len - 1 && memcmp(item, withheld[i], len - 1) == 0)
				return true;
		} else if (name_len == len && memcmp(item, withheld[i], len) == 0) {
			return true;
		}
	}
	return false;
}

/* An empty PATH would have scripts look in their own directory only: it counts as none. */
static bool is_empty_path(const char *item)
{
	return strcmp(item, "PATH=") == 0;
}

static bool has_path(const struct environment *environment)
{
	for (size_t i = 0; i < environment->count; i++)
		if (strncmp(environment->items[i], "PATH=", 5) == 0)
			return true;
	return false;
}

int environment_init(struct environment *environment, char *const *source)
{
	size_t count = 0;

	while (source[count] != NULL)
		count++;
	environment->count = 0;
	environment->items = calloc(count + 2, sizeof *environment->items);
	if (environment->items == NULL)
		return -1;
	for (; *source != NULL; source++) {
		const char *equals = strchr(*source, '=');

		if (equals == NULL || is_empty_path(*source) ||
		    is_withheld(*source, (size_t)(equals - *source)))
			continue;
		environment->items[environment->count++] = *source;
	}
	if (!has_path(environment))
		environment->items[environment->count++] = "PATH=/usr/local/bin:/usr/bin:/bin";
	environment->items[environment->count++] = "GATEWAY_INTERFACE=CGI/1.1";
	return 0;
}

void environment_fini(struct environment *environment)
{
	free(environment->items);
	*environment = (struct environment){.items = NULL};
}

/* SPDX-License-Identifier: ISC */
/*
 * environment: the lists of names that stay with the daemon.
 */
#include "cgi/environment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A name that ends in '*' is a prefix. */
static const char *const withheld[] = {
	/* RFC 3875 4.1: these come from the request only */
	"AUTH_TYPE", "CONTENT_*", "DOCUMENT_ROOT", "DOCUMENT_URI", "GATEWAY_INTERFACE", "HTTPS",
	"HTTP_*", "PATH_INFO", "PATH_TRANSLATED", "QUERY_STRING", "REDIRECT_*", "REMOTE_*",
	"REQUEST_*", "SCRIPT_*", "SERVER_*",
	/* meant for the daemon, from the process that started it */
	"CGIBRIDGE_*", "FCGI_*", "INVOCATION_ID", "JOURNAL_STREAM", "LISTEN_*", "MAINPID",
	"MANAGERPID", "MEMORY_PRESSURE_*", "NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "WATCHDOG_*",
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

/* With an empty PATH, scripts would search only their own directory: it counts as unset. */
static bool is_empty_path(const char *item)
{
	return strcmp(item, "PATH=") == 0;
}

/* Whether `item` has the name that `other`, "NAME=VALUE" or "NAME", starts with. */
static bool is_named(const char *item, const char *other)
{
	size_t len = strcspn(other, "=");

	return strncmp(item, other, len) == 0 && item[len] == '=';
}

static const char *find(const char *const *items, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (is_named(items[i], name))
			return items[i];
	return NULL;
}

/* Adds `item`, in place of one of the same name. */
static void put(struct environment *environment, const char *item)
{
	for (size_t i = 0; i < environment->count; i++) {
		if (is_named(environment->items[i], item)) {
			environment->items[i] = item;
			return;
		}
	}
	environment->items[environment->count++] = item;
}

static void put_default(struct environment *environment, const char *item)
{
	if (find(environment->items, environment->count, item) == NULL)
		put(environment, item);
}

static void inherit(struct environment *environment, char *const *source)
{
	for (; *source != NULL; source++) {
		const char *equals = strchr(*source, '=');

		if (equals != NULL && !is_empty_path(*source) &&
		    !is_withheld(*source, (size_t)(equals - *source)))
			environment->items[environment->count++] = *source;
	}
}

static void set_wished(struct environment *environment, const char *const *source,
    size_t source_count, const struct environment_wish *wish)
{
	for (size_t i = 0; i < wish->count; i++) {
		const char *item = wish->set[i].text;

		if (!wish->set[i].is_set)
			item = find(source, source_count, item);
		if (item != NULL && !is_empty_path(item))
			put(environment, item);
	}
}

int environment_init(struct environment *environment, char *const *source,
    const struct environment_wish *wish)
{
	static const struct environment_wish none;
	size_t count = 0;

	if (wish == NULL)
		wish = &none;
	while (source[count] != NULL)
		count++;
	environment->count = 0;
	environment->items = calloc(count + wish->count + 2, sizeof *environment->items);
	if (environment->items == NULL)
		return -1;
	if (!wish->clear)
		inherit(environment, source);
	set_wished(environment, (const char *const *)source, count, wish);
	put_default(environment, "PATH=/usr/local/bin:/usr/bin:/bin");
	put_default(environment, "GATEWAY_INTERFACE=CGI/1.1");
	return 0;
}

void environment_fini(struct environment *environment)
{
	free(environment->items);
	*environment = (struct environment){.items = NULL};
}

/* SPDX-License-Identifier: ISC */
/*
 * fcgiget_params: the CGI meta-variables of a request, from the command line.
 */
#include "fcgiget/fcgiget_params.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/fcgi.h"

static bool is_overridden(const struct fcgiget_options *o, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < o->param_count; i++)
		if (strncmp(o->params[i], name, len) == 0 && o->params[i][len] == '=')
			return true;
	return false;
}

static int put_pair(struct buf *out, const char *name, size_t name_len, const char *value)
{
	struct fcgi_pair pair = {
	    .name = (const unsigned char *)name,
	    .name_len = name_len,
	    .value = (const unsigned char *)value,
	    .value_len = strlen(value),
	};
	size_t size = fcgi_pair_size(pair.name_len, pair.value_len);
	unsigned char *at = buf_reserve(out, size);

	if (at == NULL)
		return -1;
	buf_commit(out, fcgi_put_pair(at, &pair));
	return 0;
}

/* The script and the request line by the options, ready to be sent. */
struct target {
	char *path;        /* SCRIPT up to the question mark, absolute */
	const char *query; /* after it; "" without one */
	char *uri;         /* both, as in the request line of a client */
};

static void target_fini(struct target *t)
{
	free(t->path);
	free(t->uri);
}

/* Returns 0, or -1 with errno. */
static int target_init(struct target *t, const char *script)
{
	char *mark = strchr(script, '?');
	int len = mark == NULL ? (int)strlen(script) : (int)(mark - script);
	char *folder = *script == '/' ? NULL : getcwd(NULL, 0);

	*t = (struct target){.query = mark == NULL ? "" : mark + 1};
	if (*script != '/' && folder == NULL)
		return -1;
	if (asprintf(&t->path, "%s%s%.*s", folder == NULL ? "" : folder, folder == NULL ? "" : "/",
	        len, script) < 0)
		t->path = NULL;
	free(folder);
	if (t->path == NULL || asprintf(&t->uri, "%s%s", t->path, mark == NULL ? "" : mark) < 0)
		t->uri = NULL;
	return t->uri == NULL ? -1 : 0;
}

const char *fcgiget_method(const struct fcgiget_options *o)
{
	if (o->method != NULL)
		return o->method;
	return o->data == NULL ? "GET" : "POST";
}

/* The default parameters that no -p overrides. */
static int put_defaults(struct buf *out, const struct fcgiget_options *o, const struct target *t,
    off_t size)
{
	char length[32];
	const struct {
		const char *name;
		const char *value; /* NULL: not for this request */
	} defaults[] = {
		{"SCRIPT_FILENAME", t->path},
		{"SCRIPT_NAME", t->path},
		{"REQUEST_METHOD", fcgiget_method(o)},
		{"QUERY_STRING", t->query},
		{"REQUEST_URI", t->uri},
		{"GATEWAY_INTERFACE", "CGI/1.1"},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"SERVER_SOFTWARE", "fcgiget/" PACKAGE_VERSION},
		{"SERVER_NAME", "localhost"},
		{"SERVER_PORT", "80"},
		{"REMOTE_ADDR", "127.0.0.1"},
		{"CONTENT_TYPE", o->data == NULL ? NULL : "application/x-www-form-urlencoded"},
		{"CONTENT_LENGTH", o->data == NULL || size < 0 ? NULL : length},
		{"HTTP_TRANSFER_ENCODING", size < 0 ? "chunked" : NULL},
	};

	snprintf(length, sizeof length, "%lld", (long long)size);
	for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
		const char *name = defaults[i].name;

		if (defaults[i].value == NULL || is_overridden(o, name))
			continue;
		if (put_pair(out, name, strlen(name), defaults[i].value) != 0)
			return -1;
	}
	return 0;
}

/* Each -p in order: repeated names are sent repeatedly. */
static int put_given(struct buf *out, const struct fcgiget_options *o)
{
	for (size_t i = 0; i < o->param_count; i++) {
		const char *param = o->params[i];
		const char *equals = strchr(param, '=');

		if (put_pair(out, param, (size_t)(equals - param), equals + 1) != 0)
			return -1;
	}
	return 0;
}

int fcgiget_params_put(struct buf *out, const struct fcgiget_options *o, off_t size)
{
	struct target target;
	int result = target_init(&target, o->script);

	if (result == 0)
		result = put_defaults(out, o, &target, size);
	if (result == 0)
		result = put_given(out, o);
	target_fini(&target);
	return result;
}

/* SPDX-License-Identifier: ISC */
/*
 * request_log: who asked for what, for the log; and a request's line in the access log.
 *
 * The parameters are gone when a request ends, and its client may be: what lines need of
 * them is noted when they are there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/request_private.h"

enum {
	PEER_MAX = 95,
	METHOD_MAX = 63,
	CLIENT_MAX = 63,
	URI_SHOWN = 200, /* in a line of the log */
};

/* Strings in one piece of memory, as long as they are. */
struct request_note {
	const char *uri, *method, *client;
	const char *peer; /* for the access log; "" without one */
	char text[];
};

/* Copies the first `max` bytes of `value`, which may be NULL, to `*at`, and moves that. */
static const char *keep(char **at, const char *value, size_t max)
{
	size_t len = value == NULL ? 0 : strnlen(value, max);
	char *copy = *at;

	if (len > 0)
		memcpy(copy, value, len);
	copy[len] = '\0';
	*at += len + 1;
	return copy;
}

static size_t length_of(const char *value, size_t max)
{
	return value == NULL ? 1 : strnlen(value, max) + 1;
}

void request_take_note(struct request *request)
{
	const struct params *params = &request->params;
	size_t most = accesslog_is_open() ? ACCESSLOG_URI_MAX : URI_SHOWN + 1;
	const char *method = params_get(params, "REQUEST_METHOD");
	const char *client = params_get(params, "REMOTE_ADDR");
	const char *uri = params_get_filled(params, "REQUEST_URI");
	const char *more = uri != NULL ? NULL : params_get(params, "PATH_INFO");
	char peer[PEER_MAX + 1] = "";
	struct request_note *note;
	char *at;

	if (uri == NULL)
		uri = params_get(params, "SCRIPT_NAME");
	if (accesslog_is_open())
		request->link->describe(request->link, peer, sizeof peer);
	note = request->note = malloc(sizeof *note + length_of(uri, most) + length_of(more, most) +
	    length_of(method, METHOD_MAX) + length_of(client, CLIENT_MAX) +
	    length_of(peer, PEER_MAX));
	if (note == NULL) /* lines go without */
		return;
	at = note->text;
	note->uri = keep(&at, uri, most);
	at--; /* the rest of it comes where its terminator is */
	(void)keep(&at, more, most);
	note->method = keep(&at, method, METHOD_MAX);
	note->client = keep(&at, client, CLIENT_MAX);
	note->peer = keep(&at, peer, PEER_MAX);
}

const char *request_origin(const struct request *request, char *text, size_t size)
{
	const struct request_note *note = request->note;
	bool named = note != NULL && *note->client != '\0';

	if (note == NULL)
		return "";
	snprintf(text, size, "%s%s, request: \"%s %.*s%s\"", named ? ", client: " : "", note->client,
	    *note->method == '\0' ? "-" : note->method, URI_SHOWN,
	    *note->uri == '\0' ? "-" : note->uri, strlen(note->uri) > URI_SHOWN ? "..." : "");
	return text;
}

void request_log_end(const struct request *request)
{
	const struct request_note *note = request->note;
	char peer[PEER_MAX + 1];
	struct accesslog_entry entry;

	if (!accesslog_is_open())
		return;
	if (note == NULL)
		request->link->describe(request->link, peer, sizeof peer);
	entry = (struct accesslog_entry){.peer = note == NULL ? peer : note->peer,
	    .method = note == NULL ? NULL : note->method,
	    .uri = note == NULL ? NULL : note->uri,
	    .client = note == NULL ? NULL : note->client,
	    .script = request->script,
	    .status = request_status(request),
	    .app_status = request->app_status,
	    .in = request->body.received,
	    .out = request->relay.sent,
	    .duration = loop_now(request_loop(request)) - request->started,
	    .pid = request->pid,
	    .end = request->outcome};
	accesslog_write(&entry);
}

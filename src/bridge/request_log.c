/* SPDX-License-Identifier: ISC */
/*
 * request_log: a request's line in the access log.
 *
 * The parameters are gone when a request ends, and its client may be: what the line
 * needs of them is noted when they are there, if there is an access log.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/request_private.h"

struct request_note {
	char peer[96];
	char method[64];
	char uri[ACCESSLOG_URI_MAX];
};

static const char *value_of(const struct request *request, const char *name)
{
	const char *value = params_get(&request->params, name);

	return value == NULL ? "" : value;
}

void request_take_note(struct request *request)
{
	const char *uri = params_get_filled(&request->params, "REQUEST_URI");
	struct request_note *note;

	if (!accesslog_is_open())
		return;
	note = request->note = malloc(sizeof *note);
	if (note == NULL) /* the line goes without */
		return;
	request->link->describe(request->link, note->peer, sizeof note->peer);
	snprintf(note->method, sizeof note->method, "%s", value_of(request, "REQUEST_METHOD"));
	snprintf(note->uri, sizeof note->uri, "%s%s",
	    uri != NULL ? uri : value_of(request, "SCRIPT_NAME"),
	    uri != NULL ? "" : value_of(request, "PATH_INFO"));
}

void request_log_end(const struct request *request)
{
	const struct request_note *note = request->note;
	char peer[96];
	struct accesslog_entry entry;

	if (!accesslog_is_open())
		return;
	if (note == NULL)
		request->link->describe(request->link, peer, sizeof peer);
	entry = (struct accesslog_entry){.peer = note == NULL ? peer : note->peer,
	    .method = note == NULL ? NULL : note->method,
	    .uri = note == NULL ? NULL : note->uri,
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

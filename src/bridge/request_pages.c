/* SPDX-License-Identifier: ISC */
/*
 * request_pages: requests about the bridge itself, which need neither a script nor a slot.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/record.h"
#include "bridge/request_private.h"
#include "stats/status.h"

static const char *filled_or_empty(const struct request *request, const char *name)
{
	const char *value = params_get_filled(&request->params, name);

	return value == NULL ? "" : value;
}

/*
 * Web servers agree on little: the path is SCRIPT_NAME, or SCRIPT_NAME followed by PATH_INFO.
 * REQUEST_URI, which the client itself has sent, counts only if both are empty: otherwise a
 * client could get at the page where the web server means to run a script.
 */
static bool is_for(const struct request *request, const char *path)
{
	const char *script = filled_or_empty(request, "SCRIPT_NAME");
	const char *info = filled_or_empty(request, "PATH_INFO");
	const char *uri = filled_or_empty(request, "REQUEST_URI");
	size_t len = strlen(script);

	if (path == NULL)
		return false;
	if (len == 0 && info[0] == '\0')
		return strncmp(uri, path, strlen(path)) == 0 && strcspn(uri, "?") == strlen(path);
	return strcmp(script, path) == 0 ||
	    (strncmp(path, script, len) == 0 && strcmp(path + len, info) == 0);
}

/* Makes the answer and ends the request. */
static void answer(struct request *request, const char *type, const void *body, size_t len)
{
	static const char policy[] = "default-src 'none'; style-src 'unsafe-inline'; "
				     "script-src 'unsafe-inline'; connect-src 'self'; "
				     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
	bool bare = request->relay.response.kind == RESPONSE_NO_BODY;
	char head[640];
	int n = snprintf(head, sizeof head,
	    "Status: 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
	    "Content-Security-Policy: %s\r\n\r\n",
	    type, len, policy);
	size_t whole = (size_t)n + (bare ? 0 : len);
	unsigned char *record = record_open(&request->link->out->records, whole);

	if (record == NULL) {
		request_refuse(request, 503, "out of resources", "no memory for the status page");
		return;
	}
	memcpy(record, head, (size_t)n);
	if (!bare)
		memcpy(record + n, body, len);
	record_close(&request->link->out->records, FCGI_STDOUT, request->id, whole);
	request->relay.sent += whole;
	request->result.own_status = 200;
	request->result.uncounted = true;
	request->result.protocol_status = FCGI_REQUEST_COMPLETE; /* even if no script would run */
	request_end(request, 0);
}

static void answer_status(struct request *request)
{
	enum status_form form = status_form_of(params_get(&request->params, "QUERY_STRING"));
	const struct status_source source = {.board = request->link->services->admission->board,
	    .max_queue = request_options(request)->queue,
	    .slow = request_options(request)->slow_log,
	    .now = loop_clock(request_loop(request))};
	struct buf page;

	buf_init(&page, STATUS_MAX);
	if (status_render(form, &source, &page) == 0)
		answer(request, status_type(form), buf_bytes(&page), buf_len(&page));
	else
		request_refuse(request, 503, "out of resources", "no memory for the status page");
	buf_fini(&page);
}

bool request_answer_page(struct request *request)
{
	const struct options *options = request_options(request);
	bool is_ping = is_for(request, options->ping_path);

	if (request->role != FCGI_RESPONDER ||
	    (!is_ping && !is_for(request, options->status_path)))
		return false;
	request_count(request, TALLY_STATUS_PAGES);
	if (is_ping)
		answer(request, "text/plain", "pong", 4);
	else
		answer_status(request);
	return true;
}

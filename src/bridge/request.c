/* SPDX-License-Identifier: ISC */
/*
 * request: its life, and the calls of its connection.  The way to a running script is in
 * request_start.c, its events while it runs in request_run.c, the ways out in request_end.c;
 * the streams are in params, body, relay and errlog, the script in script and child.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "bridge/request_private.h"

/* ---- input ------------------------------------------------------------------- */

static void refuse_body(struct request *request)
{
	int error = errno;
	char reason[256];

	snprintf(reason, sizeof reason, "request body cannot be held in %s: %s%s",
	    request_options(request)->spool_dir, strerror(error),
	    error == ENOSPC ? "" : sys_remedy(error));
	request_stop_script(request, ON_DISCONNECT_KILL);
	body_drop(&request->body); /* its answer may need the memory */
	if (error == EMSGSIZE)
		request_refuse(request, 413, "its body is too large", "body exceeds --max-body");
	else if (error == ENOSPC || error == EDQUOT)
		request_refuse(request, 507, "no space for its body", reason);
	else if (sys_is_shortage(error))
		request_refuse(request, 503, "out of resources", reason);
	else
		request_refuse(request, 500, "its body cannot be held", reason);
}

void request_read_stdin(struct request *request, const void *bytes, size_t len)
{
	if (len == 0)
		request->stdin_ended = true;
	if (request->state == REQUEST_CLOSING && len > 0)
		request_hold_end(request);
	else if (request->state == REQUEST_CLOSING)
		request_release_end(request);
	if (request->state >= REQUEST_CLOSING)
		return;
	request->active = loop_now(request_loop(request));
	if (len == 0)
		body_end(&request->body);
	else if (body_feed(&request->body, bytes, len) != 0)
		refuse_body(request);
	request_review_body(request);
	if (request->state == REQUEST_BODY && request->body.ended)
		request_admit(request, NULL);
	request->link->touched(request->link);
}

bool request_moves_stdin(const struct request *request)
{
	return request_is_running(request) && body_is_bulky(&request->body);
}

ssize_t request_move_stdin(struct request *request, int from, size_t len)
{
	ssize_t n = body_move(&request->body, from, len);

	if (n > 0) {
		request->active = loop_now(request_loop(request));
		request_review_body(request);
		request->link->touched(request->link);
	}
	return n;
}

void request_await_room(struct request *request)
{
	body_await_room(&request->body);
	request->link->touched(request->link);
}

bool request_wants_input(const struct request *request, bool alone)
{
	bool stuck = request_is_running(request) && !relay_has_room(&request->relay);
	uint64_t enough = SPOOL_MEMORY;

	/* In memory, always; in a file only if waiting could last for ever: the client may be
	 * unable to read before it has sent everything, the response may be held until then, and
	 * on a shared connection other requests would wait.  A kept connection may become shared
	 * by a request that follows the body: allows all that may wait, less one read. */
	if (request->keep_conn && request_options(request)->max_body > BODY_PASSING)
		enough = request_options(request)->max_body - SPOOL_MEMORY;
	if (request->state == REQUEST_BODY || request->state >= REQUEST_CLOSING || stuck ||
	    relay_is_holding(&request->relay) || !alone)
		return true;
	if (enough == SPOOL_MEMORY && body_awaits_room(&request->body))
		return false;
	return body_waiting(&request->body) < enough;
}

/* ---- its answers -------------------------------------------------------------- */

uint16_t request_id(const struct request *request)
{
	return request->id;
}

bool request_has_ended(const struct request *request)
{
	return request->state == REQUEST_ENDED;
}

const struct request_result *request_result(const struct request *request)
{
	return &request->result;
}

bool request_stdin_ended(const struct request *request)
{
	return request->stdin_ended;
}

bool request_trusts_eof(const struct request *request)
{
	return front_end_trusts_eof(request->front_end);
}

/* ---- life -------------------------------------------------------------------- */

void request_free(struct request **request)
{
	struct request *r = *request;

	if (r == NULL)
		return;
	request_clear_timers(r);
	admission_leave(r->link->services->admission, &r->script.ticket);
	relay_fini(&r->relay);
	errlog_fini(&r->errlog);
	body_fini(&r->body);
	params_fini(&r->params);
	free(r->script.path);
	free(r->log_fields);
	free(r);
	*request = NULL;
}

static void on_later(struct loop_task *task)
{
	struct request *request = CONTAINER_OF(task, struct request, later);

	if (request->state == REQUEST_QUEUED)
		request_follow_redirect(request);
	else
		request_free(&request);
}

/* Whether BEGIN_REQUEST can be served; if not, the answer comes after PARAMS. */
static enum fcgi_protocol_status judge(const struct request_begin *begin)
{
	if (begin->overloaded)
		return FCGI_OVERLOADED;
	return begin->role == FCGI_RESPONDER || begin->role == FCGI_AUTHORIZER
	    ? FCGI_REQUEST_COMPLETE
	    : FCGI_UNKNOWN_ROLE;
}

struct request *request_new(struct request_link *link, const struct request_begin *begin)
{
	const struct options *options = link->services->options;
	struct request *request = calloc(1, sizeof *request);

	if (request == NULL)
		return NULL;
	*request = (struct request){.link = link,
	    .id = begin->id,
	    .role = begin->role,
	    .keep_conn = begin->keep_conn,
	    .limits = {.timeout = options->timeout,
		.idle = options->idle_timeout,
		.on_disconnect = (enum on_disconnect)options->on_disconnect},
	    .result = {.protocol_status = judge(begin)}};
	params_init(&request->params, (size_t)options->max_params); /* at most 64 MiB: options.c */
	request_run_init(request);
	loop_task_init(&request->later, on_later);
	request->started = request->active = loop_now(request_loop(request));
	request_count(request, TALLY_REQUESTS);
	tally_move(request_tally(request), TALLY_ACTIVE, 1);
	return request;
}

/* SPDX-License-Identifier: ISC */
/*
 * request: its life, and what its connection asks of it.  request_start.c has the way to a
 * running script, request_run.c what happens then, request_end.c the ways out; what each
 * stream does is in params, body, relay and errlog; what runs is in script and child.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "bridge/request_private.h"

/* ---- what comes in ----------------------------------------------------------- */

static void refuse_body(struct request *request)
{
	int error = errno;
	char reason[256];

	snprintf(reason, sizeof reason, "request body cannot be held in %s: %s%s",
	    request_options(request)->spool_dir, strerror(error),
	    error == ENOSPC ? "" : sys_remedy(error));
	request_stop_script(request, ON_DISCONNECT_KILL);
	if (error == EMSGSIZE)
		request_refuse(request, 413, "its body is too large", "body exceeds --max-body");
	else if (error == ENOSPC || error == EDQUOT)
		request_refuse(request, 507, "no space for its body", reason);
	else if (error == ENOMEM || error == EMFILE || error == ENFILE)
		request_refuse(request, 503, "out of resources", reason);
	else
		request_refuse(request, 500, "its body cannot be held", reason);
}

void request_take_stdin(struct request *request, const void *bytes, size_t len)
{
	if (len == 0)
		request->stdin_ended = true;
	if (request->end_held && len > 0)
		request_hold_end(request);
	else if (request->end_held)
		request_release_end(request);
	if (request->state == REQUEST_ENDED)
		return;
	request->active = loop_now(request_loop(request));
	if (len == 0)
		body_end(&request->body);
	else if (body_feed(&request->body, bytes, len) != 0)
		refuse_body(request);
	request_review_body(request);
	if (request->state == REQUEST_BODY && request->body.ended)
		request_admit(request);
	request->link->touched(request->link);
}

bool request_moves_stdin(const struct request *request)
{
	return request->state == REQUEST_RUNNING && body_is_bulky(&request->body);
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
	bool stuck = request->state == REQUEST_RUNNING && !relay_has_room(&request->relay);
	uint64_t enough = SPOOL_MEMORY;

	/* In memory, always; in a file only if waiting could be for ever: the client may be
	 * unable to read before it has sent all, the response be held until it has, and on a
	 * shared connection others would wait.  One that is kept may come to be shared by what
	 * is behind the body: as much as may wait at all, less what a read brings. */
	if (request->keep_conn && request_options(request)->max_body > BODY_PASSING)
		enough = request_options(request)->max_body - SPOOL_MEMORY;
	if (request->state == REQUEST_BODY || stuck || request->relay.hold || !alone)
		return true;
	if (enough == SPOOL_MEMORY && body_awaits_room(&request->body))
		return false;
	return body_waiting(&request->body) < enough;
}

/* ---- life -------------------------------------------------------------------- */

void request_free(struct request **request)
{
	struct request *r = *request;

	if (r == NULL)
		return;
	loop_unpost(&r->discard);
	request_clear_timers(r);
	admission_leave(r->link->services->admission, &r->ticket);
	relay_fini(&r->relay);
	errlog_fini(&r->errlog);
	body_fini(&r->body);
	params_fini(&r->params);
	free(r->script);
	free(r->note);
	free(r);
	*request = NULL;
}

static void on_discard(struct loop_task *task)
{
	struct request *request = CONTAINER_OF(task, struct request, discard);

	request_free(&request);
}

struct request *request_new(struct request_link *link, uint16_t id, unsigned role, bool keep_conn)
{
	const struct options *options = link->services->options;
	struct request *request = calloc(1, sizeof *request);

	if (request == NULL)
		return NULL;
	*request = (struct request){.link = link, .id = id, .role = role, .keep_conn = keep_conn};
	request->timeout = options->timeout;
	request->idle_timeout = options->idle_timeout;
	request->on_disconnect = (enum on_disconnect)options->on_disconnect;
	params_init(&request->params, options->max_params);
	request_run_init(request);
	loop_task_init(&request->discard, on_discard);
	request->started = request->active = loop_now(request_loop(request));
	request_count(request, TALLY_REQUESTS);
	tally_move(request_tally(request), TALLY_ACTIVE, 1);
	return request;
}

/* SPDX-License-Identifier: ISC */
/*
 * request_sink: life without a client: which requests go on without one, and the stand-in for
 * their connection.
 */
#include <stdio.h>

#include "base/log.h"
#include "bridge/request_private.h"

/* ---- in place of a connection ------------------------------------------------ */

static void sink_touched(struct request_link *link)
{
	struct buf *records = &link->out->records;

	buf_consume(records, buf_len(records));
	buf_release(records);
}

static void sink_ended(struct request_link *link, struct request *request)
{
	struct request_sink *sink = CONTAINER_OF(link, struct request_sink, link);

	sink_touched(link);
	request_list_remove(&sink->requests, request);
	request_discard(request);
}

static void sink_describe(struct request_link *link, char *text, size_t size)
{
	(void)link;
	snprintf(text, size, "a client that is gone");
}

void request_sink_init(struct request_sink *sink, const struct request_services *services)
{
	*sink = (struct request_sink){.link = {.services = services,
					  .out = &sink->out,
					  .touched = sink_touched,
					  .ended = sink_ended,
					  .describe = sink_describe}};
	outlet_init(&sink->out, REQUEST_OUT_MAX);
}

void request_sink_stop(struct request_sink *sink)
{
	while (sink->requests.first != NULL)
		request_stop(sink->requests.first);
	outlet_fini(&sink->out);
}

/* ---- the client goes --------------------------------------------------------- */

bool request_ignores_abort(const struct request *request)
{
	return request->limits.on_disconnect == ON_DISCONNECT_IGNORE &&
	    request_may_run(request) && request_is_whole(request);
}

/* Whether its client, which is gone, had received what it may have wanted. */
static bool is_served(const struct request *request)
{
	if (request->relay.state == RELAY_ENDED && request_is_whole(request))
		return true; /* the response is over: only the exit is waited for */
	return request->limits.on_disconnect == ON_DISCONNECT_KILL &&
	    request_options(request)->disconnect_grace > 0 &&
	    (request->relay.state == RELAY_BODY || request->relay.state == RELAY_ENDED);
}

bool request_may_detach(const struct request *request)
{
	return request_may_run(request) &&
	    (request_ignores_abort(request) || is_served(request));
}

/*
 * Logs that the script goes on, and starts its grace period, which ends with its exit, too.  A
 * request that is LINGERING or EXITING has its timer already, and one that is STARTING will be
 * DETACHED when its script runs.
 */
static void begin_grace(struct request *request)
{
	bool ignores = request->limits.on_disconnect == ON_DISCONNECT_IGNORE;

	if (request->state == REQUEST_STARTING)
		return;
	if (ignores)
		log_info("%s[%ld]: request %u: the client is gone: script goes on",
		    request->script.path, (long)request->script.pid, (unsigned)request->id);
	else
		log_debug("%s[%ld]: request %u: the client has the head of the response, and is gone",
		    request->script.path, (long)request->script.pid, (unsigned)request->id);
	if (request->state != REQUEST_RUNNING)
		return;
	request_set_state(request, ignores ? REQUEST_DETACHED : REQUEST_GRACE);
	if (!ignores)
		loop_timer_set(request_loop(request), &request->linger,
		    request_options(request)->disconnect_grace);
}

void request_detach(struct request *request)
{
	struct request_sink *sink = request->link->services->sink;

	begin_grace(request);
	request_count(request, TALLY_LOST);
	request->result.outcome = ACCESSLOG_DETACHED;
	if (request->script.child != NULL)
		child_leave(request->script.child, request_exited, request);
	request->link = &sink->link;
	relay_redirect(&request->relay, request->link->out);
	errlog_turn_to_log(&request->errlog);
	request_list_add(&sink->requests, request);
	request_resume(request);
}

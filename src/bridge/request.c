/* SPDX-License-Identifier: ISC */
/*
 * request: the order of events.  request_start.c has the way to a running script,
 * request_end.c the ways out; what each stream does is in params, body, relay and
 * errlog; what runs is in script and child.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"
#include "fcgi/record.h"
#include "bridge/request_private.h"

enum { PARAMS_TIME = 60 * 1000 }; /* ms a client has to send all PARAMS */

/* ---- state ------------------------------------------------------------ */

static bool may_follow(enum request_state from, enum request_state to)
{
	switch (from) {
	case REQUEST_PARAMS:
		return to != REQUEST_PARAMS;
	case REQUEST_BODY:
		return to == REQUEST_QUEUED || to == REQUEST_RUNNING || to == REQUEST_ENDED;
	case REQUEST_QUEUED:
		return to == REQUEST_RUNNING || to == REQUEST_ENDED;
	case REQUEST_RUNNING:
		return to == REQUEST_ENDED;
	case REQUEST_ENDED:
		return false;
	}
	return false;
}

void request_set_state(struct request *request, enum request_state state)
{
	static const char *const names[] = {"params", "body", "queued", "running", "ended"};

	assert(may_follow(request->state, state));
	log_debug("request %u: %s -> %s", (unsigned)request->id, names[request->state],
	    names[state]);
	request->state = state;
}

/* ---- the script ------------------------------------------------------- */

/* Lets a held response go once the script cannot want more of the request's body. */
static void review_hold(struct request *request)
{
	if (request->state != REQUEST_RUNNING)
		return;
	if (request->body.ended || request->body.dropped || request->child == NULL ||
	    request->relay.eof)
		relay_let_go(&request->relay);
}

/*
 * The output has ended, which is the end of the response; most scripts exit at once.  One
 * that is still to get some of its body is not cut off from it.
 */
static void await_exit(struct request *request)
{
	if (request_is_whole(request) && !loop_timer_active(&request->linger))
		loop_timer_set(request_loop(request), &request->linger, REQUEST_EXIT_TIME);
}

/* What output and exit, in whichever order they come, ask for now. */
static void check(struct request *request)
{
	if (request->state != REQUEST_RUNNING)
		return;
	switch (request->relay.state) {
	case RELAY_FAULT:
		/* after the end of its output the exit, on its way, makes the better message */
		if (!request->relay.eof || request->child == NULL)
			request_fail_response(request);
		else if (!loop_timer_active(&request->linger))
			loop_timer_set(request_loop(request), &request->linger, REQUEST_EXIT_TIME);
		return;
	case RELAY_STARVED:
		request_starve(request, "its output");
		return;
	case RELAY_ENDED:
		if (request->child == NULL)
			request_complete(request);
		else
			await_exit(request);
		return;
	case RELAY_HEAD:
	case RELAY_BODY:
		/* a held answer whose output has ended waits for room, not for a descendant */
		if (request->child == NULL && !request->relay.eof)
			loop_timer_set(request_loop(request), &request->linger,
			    request_options(request)->linger);
		return;
	}
}

void request_exited(void *context, int status)
{
	struct request *request = context;

	request->child = NULL;
	request->exit_status = status;
	review_hold(request);
	check(request);
	request->link->touched(request->link);
}

/* ---- its grace: the client has what it wanted, and is gone --------------- */

static bool is_detached(const struct request *request)
{
	return request->link == &request->link->services->sink->link;
}

static void end_grace(struct request *request, const char *why)
{
	char who[512];

	request->outcome = ACCESSLOG_LOST;
	log_info("%s: %s: %s", request_subject(request, who, sizeof who),
	    request->child != NULL ? "script stopped" : "its output is closed", why);
	request_stop_script(request, ON_DISCONNECT_KILL);
	request_end(request, request->child == NULL ? 0 : 128 + SIGTERM);
}

/* What it has written is dropped.  A script that still writes much, or for long, has no end. */
static void spend_grace(struct request *request)
{
	const struct relay *relay = &request->relay;
	int64_t begun = request->linger.when - request_options(request)->disconnect_grace;
	bool late = request->child != NULL && request->active - begun > REQUEST_DROP_TIME;

	if (relay->state == RELAY_ENDED) /* the rest of its time is --timeout's */
		loop_timer_clear(request_loop(request), &request->linger);
	if (relay->last > UINT32_MAX - request->dropped)
		request->dropped = UINT32_MAX;
	else
		request->dropped += (uint32_t)relay->last;
	if (request->dropped > REQUEST_DROP_MAX || (relay->last > 0 && late))
		end_grace(request, "its client is gone, and it goes on writing");
}

/* ---- events ----------------------------------------------------------- */

/* The script has exited, and its output is silent. */
static void stop_lingering(struct request *request)
{
	/* the client, or we, are slow to take what there is: reading on sets the timer again */
	if (!relay_is_silent(&request->relay))
		return;
	if (relay_is_held(&request->relay))
		request_cut_output(request);
	else
		relay_stop(&request->relay);
	check(request);
	request->link->touched(request->link);
}

static void on_linger(struct loop_timer *timer)
{
	struct request *request = CONTAINER_OF(timer, struct request, linger);

	if (request->end_held) {
		request_release_end(request);
	} else if (request->child == NULL) {
		stop_lingering(request);
	} else if (request->relay.state == RELAY_FAULT) {
		request_fail_response(request);
		request->link->touched(request->link);
	} else if (request->relay.state == RELAY_ENDED && request_is_whole(request)) {
		request_complete(request);
		request->link->touched(request->link);
	} else {
		end_grace(request, "it still runs after --disconnect-grace");
	}
}

/* --stderr client: the client has the header block, so it may have this. */
static void on_stderr(struct errlog *errlog)
{
	struct request *request = CONTAINER_OF(errlog, struct request, errlog);

	if (request->relay.state == RELAY_BODY || request->relay.state == RELAY_ENDED)
		errlog_deliver(errlog, request->link->out, RELAY_HIGH);
	request->link->touched(request->link);
}

static void on_relayed(struct relay *relay)
{
	struct request *request = CONTAINER_OF(relay, struct request, relay);

	request->active = loop_now(request_loop(request));
	request->out_end = outlet_end(request->link->out);
	review_hold(request);
	if (relay->response.flaws != 0)
		request_log_flaws(request);
	if (relay->state == RELAY_BODY && !is_detached(request)) {
		errlog_deliver(&request->errlog, request->link->out, RELAY_HIGH);
		child_answers(request->child);
	}
	if (is_detached(request) && request->on_disconnect == ON_DISCONNECT_KILL)
		spend_grace(request);
	check(request);
	request->link->touched(request->link);
}

/* Its body has moved on: a response that has ended may have waited for that. */
static void review_body(struct request *request)
{
	review_hold(request);
	if (request->relay.state == RELAY_ENDED)
		check(request);
}

static void on_body_moved(struct body *body)
{
	struct request *request = CONTAINER_OF(body, struct request, body);

	request->active = loop_now(request_loop(request));
	review_body(request);
	request->link->touched(request->link);
}

void request_resume(struct request *request)
{
	review_hold(request);
	if (request->state == REQUEST_RUNNING && request->errlog.flows)
		errlog_deliver(&request->errlog, request->link->out, RELAY_HIGH);
	if (request->state == REQUEST_RUNNING)
		relay_resume(&request->relay);
}

/* ---- time ------------------------------------------------------------- */

/* Looks several times within the limit: when the client takes something it does not tell. */
static void set_idle_timer(struct request *request)
{
	int64_t left = request->active + request->idle_timeout - loop_now(request_loop(request));
	int64_t step = request->idle_timeout / 4 + 1;

	loop_timer_set(request_loop(request), &request->idle, left < step ? left : step);
}

void request_limit_silence(struct request *request)
{
	request->active = loop_now(request_loop(request));
	loop_timer_clear(request_loop(request), &request->idle);
	if (request->idle_timeout > 0)
		set_idle_timer(request);
}

/* Whether the client has taken some of this request's output since this was asked last. */
static bool client_took_some(struct request *request)
{
	int64_t before = request->taken;

	request->taken = outlet_taken(request->link->out);
	if (request->taken > request->out_end)
		request->taken = request->out_end;
	return request->taken != before;
}

static void time_out(struct request *request, const char *what)
{
	request_count(request, TALLY_TIMEOUTS);
	request->outcome = ACCESSLOG_TIMEOUT;
	request_log_failure(request, what);
	request_stop_script(request, ON_DISCONNECT_KILL);
	request_fail(request, 504, "the script took too long", 128 + SIGTERM);
	request->link->touched(request->link);
}

static void on_total(struct loop_timer *timer)
{
	struct request *request = CONTAINER_OF(timer, struct request, total);

	time_out(request, "504: longer than --timeout: stopped");
}

static void on_silence(struct request *request)
{
	if (request->state == REQUEST_BODY) {
		request_refuse(request, 408, "the request's body did not come in time",
		    "no byte of its body for --idle-timeout");
		request->link->touched(request->link);
	} else {
		time_out(request, "504: no byte in either direction for --idle-timeout: stopped");
	}
}

static void on_idle(struct loop_timer *timer)
{
	struct request *request = CONTAINER_OF(timer, struct request, idle);
	int64_t now = loop_now(request_loop(request));

	if (request->state == REQUEST_PARAMS) {
		request_refuse(request, 408, "the request's parameters did not come in time",
		    "no end of PARAMS within 60 s");
		request->link->touched(request->link);
		return;
	}
	if (client_took_some(request))
		request->active = now;
	if (now - request->active >= request->idle_timeout)
		on_silence(request);
	else
		set_idle_timer(request);
}

/* ---- what comes in ---------------------------------------------------- */

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
	review_body(request);
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
		review_body(request);
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

bool request_is_whole(const struct request *request)
{
	return request->state != REQUEST_PARAMS && (request->body.ended || request->body.dropped);
}

/* ---- the end of the client, or of the service ------------------------- */

/* `why` is NULL when that has been logged. */
static void leave(struct request *request, const char *why)
{
	enum on_disconnect how = request->on_disconnect;
	char who[512];
	char origin[REQUEST_ORIGIN_MAX];

	request_count(request, TALLY_LOST);
	if (why != NULL)
		log_info("%s: %s%s%s", request_subject(request, who, sizeof who), why,
		    request->child != NULL && how == ON_DISCONNECT_KILL ? ": script stopped" : "",
		    request_origin(request, origin, sizeof origin));
	request_stop_script(request, how);
	request_end(request, request->child == NULL ? 0 : 128 + SIGTERM);
}

/* No more of FCGI_STDIN is waited for; false if the request has ended before. */
static bool give_up_stdin(struct request *request)
{
	request->needs_stdin = false;
	if (request->end_held)
		request_release_end(request);
	return request->state != REQUEST_ENDED;
}

void request_abort(struct request *request)
{
	if (!give_up_stdin(request))
		return;
	request->outcome = ACCESSLOG_ABORTED;
	leave(request, "aborted by the client");
	request->link->touched(request->link);
}

void request_lose(struct request *request, const char *why)
{
	if (!give_up_stdin(request))
		return;
	request->outcome = ACCESSLOG_LOST;
	leave(request, why);
}

void request_stop(struct request *request)
{
	if (!give_up_stdin(request))
		return;
	request->outcome = ACCESSLOG_STOPPED;
	request_stop_script(request, ON_DISCONNECT_KILL);
	request_fail(request, 503, "the service is stopping", 128 + SIGTERM);
	request->link->touched(request->link);
}

/* ---- life without a client -------------------------------------------- */

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
	if (request->next != NULL)
		request->next->prev = request->prev;
	if (request->prev != NULL)
		request->prev->next = request->next;
	else
		sink->first = request->next;
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
	while (sink->first != NULL)
		request_stop(sink->first);
	outlet_fini(&sink->out);
}

bool request_ignores_abort(const struct request *request)
{
	return request->on_disconnect == ON_DISCONNECT_IGNORE &&
	    request->state == REQUEST_RUNNING && request_is_whole(request);
}

/* Whether its client, which is gone, has what it may have wanted. */
static bool is_served(const struct request *request)
{
	if (request->relay.state == RELAY_ENDED && request_is_whole(request))
		return true; /* the response is over: only the exit is waited for */
	return request->on_disconnect == ON_DISCONNECT_KILL &&
	    request_options(request)->disconnect_grace > 0 &&
	    (request->relay.state == RELAY_BODY || request->relay.state == RELAY_ENDED);
}

bool request_may_detach(const struct request *request)
{
	return request->state == REQUEST_RUNNING &&
	    (request_ignores_abort(request) || is_served(request));
}

/* Says that the script goes on, and for how long; its grace ends with its exit, too. */
static void begin_grace(struct request *request)
{
	if (request->on_disconnect == ON_DISCONNECT_IGNORE) {
		log_info("%s[%ld]: request %u: the client is gone: script goes on", request->script,
		    (long)request->pid, (unsigned)request->id);
		return;
	}
	log_debug("%s[%ld]: request %u: the client has the head of the response, and is gone",
	    request->script, (long)request->pid, (unsigned)request->id);
	if (!loop_timer_active(&request->linger))
		loop_timer_set(request_loop(request), &request->linger,
		    request_options(request)->disconnect_grace);
}

void request_detach(struct request *request)
{
	struct request_sink *sink = request->link->services->sink;

	begin_grace(request);
	request_count(request, TALLY_LOST);
	request->outcome = ACCESSLOG_DETACHED;
	request->needs_stdin = false;
	if (request->child != NULL)
		child_leave(request->child, request_exited, request);
	request->link = &sink->link;
	relay_redirect(&request->relay, request->link->out);
	errlog_turn_to_log(&request->errlog);
	request->prev = NULL;
	request->next = sink->first;
	if (sink->first != NULL)
		sink->first->prev = request;
	sink->first = request;
	request_resume(request);
}

/* ---- life ------------------------------------------------------------- */

static void on_discard(struct loop_task *task)
{
	struct request *request = CONTAINER_OF(task, struct request, discard);

	request_free(&request);
}

void request_discard(struct request *request)
{
	loop_post(request_loop(request), &request->discard);
}

struct request *request_new(struct request_link *link, uint16_t id, unsigned role, bool keep_conn)
{
	const struct options *options = link->services->options;
	struct loop *loop = link->services->loop;
	struct request *request = calloc(1, sizeof *request);

	if (request == NULL)
		return NULL;
	*request = (struct request){.link = link, .id = id, .role = role, .keep_conn = keep_conn};
	request->timeout = options->timeout;
	request->idle_timeout = options->idle_timeout;
	request->on_disconnect = (enum on_disconnect)options->on_disconnect;
	params_init(&request->params, options->max_params);
	body_init(&request->body, loop, options->max_body, options->spool_dir, on_body_moved);
	relay_init(&request->relay,
	    &(struct relay_plan){.loop = loop, .scratch = link->services->scratch, .out = link->out,
		.id = id, .moved = on_relayed,
		.kind = role == FCGI_AUTHORIZER ? RESPONSE_AUTHORIZER : RESPONSE_NORMAL,
		/* what is doubtful must not grant anything */
		.strict = options->strict_headers || role == FCGI_AUTHORIZER});
	errlog_init(&request->errlog, loop, options->stderr_to == STDERR_CLIENT ? on_stderr : NULL);
	loop_timer_init(&request->total, on_total);
	loop_timer_init(&request->idle, on_idle);
	loop_timer_init(&request->linger, on_linger);
	loop_task_init(&request->discard, on_discard);
	request->started = request->active = loop_now(loop);
	loop_timer_set(loop, &request->idle, PARAMS_TIME);
	request_count(request, TALLY_REQUESTS);
	tally_move(request_tally(request), TALLY_ACTIVE, 1);
	return request;
}

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

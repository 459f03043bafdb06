/* SPDX-License-Identifier: ISC */
/*
 * request_run: events in the life of a request: bytes of its streams, the exit of its
 * script, and its timers.
 */
#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "bridge/request_private.h"

const struct request_times request_times = {.params = 60 * 1000, .exit = 20};

/* ---- their effects ----------------------------------------------------------- */

bool request_is_whole(const struct request *request)
{
	return request->state != REQUEST_PARAMS && (request->body.ended || request->body.dropped);
}

/* Releases a held response once the script cannot want more of the request's body. */
static void review_hold(struct request *request)
{
	if (!request_is_running(request))
		return;
	if (request->body.ended || request->body.dropped || request->script.child == NULL ||
	    request->relay.state == RELAY_HELD_ENDED)
		relay_let_go(&request->relay);
}

/* Its output has ended, and with it the response; most scripts exit right after that. */
static void await_exit(struct request *request)
{
	if (request->state == REQUEST_EXITING)
		return;
	request_set_state(request, REQUEST_EXITING);
	loop_timer_set(request_loop(request), &request->linger,
	    request->link->services->times.exit);
}

/*
 * Its script has exited, but more of its output may come.  A held response whose output has
 * ended waits for room, not for a descendant.
 */
static void await_output(struct request *request)
{
	if (request->state != REQUEST_LINGERING)
		request_set_state(request, REQUEST_LINGERING);
	if (request->relay.state == RELAY_HELD_ENDED)
		loop_timer_clear(request_loop(request), &request->linger);
	else
		loop_timer_set(request_loop(request), &request->linger,
		    request_options(request)->linger);
}

/* Whether its local redirect can be followed; it cannot be any more if its script has failed. */
static bool can_redirect(const struct request *request)
{
	return request_may_redirect(request) && !request_is_detached(request) &&
	    !request_has_failed(request);
}

/* Its output has ended, and its script has exited, or has had the time to. */
static void finish(struct request *request)
{
	if (request->relay.state != RELAY_REDIRECT) {
		request_complete(request);
		return;
	}
	loop_timer_clear(request_loop(request), &request->linger);
	if (request->state != REQUEST_EXITING)
		request_set_state(request, REQUEST_EXITING);
	request_set_state(request, REQUEST_QUEUED);
	loop_post(request_loop(request), &request->later);
}

/* Takes the next step after output and exit, which come in either order. */
static void request_advance(struct request *request)
{
	bool exited = request->script.child == NULL;

	if (!request_is_running(request))
		return;
	if (request->relay.state == RELAY_REDIRECT && !can_redirect(request))
		request_pass_redirect(request);
	switch (request->relay.state) {
	case RELAY_FAULT:
		request_fail_response(request);
		return;
	case RELAY_FAULT_ENDED:
		if (exited)
			request_fail_response(request);
		else
			await_exit(request); /* with it, the message is better */
		return;
	case RELAY_STARVED:
		request_starve(request, "its output");
		return;
	case RELAY_REDIRECT:
	case RELAY_ENDED:
		if (exited)
			finish(request);
		else if (request_is_whole(request)) /* else it still gets its body */
			await_exit(request);
		return;
	case RELAY_HEAD:
	case RELAY_HELD:
	case RELAY_HELD_ENDED:
	case RELAY_BODY:
		if (exited)
			await_output(request);
		return;
	}
}

void request_exited(void *context, int status)
{
	struct request *request = context;

	request->script.child = NULL;
	request->script.exit_status = status;
	review_hold(request);
	request_advance(request);
	request->link->touched(request->link);
}

/* ---- its grace: the client has its answer, and is gone ----------------------- */

static void end_grace(struct request *request, const char *why)
{
	char who[512];

	request->result.outcome = ACCESSLOG_LOST;
	log_info("%s: %s: %s", request_subject(request, who, sizeof who),
	    request->script.child != NULL ? "script stopped" : "its output is closed", why);
	request_stop_script(request, ON_DISCONNECT_KILL);
	request_end(request, request->script.child == NULL ? 0 : 128 + SIGTERM);
}

/* Drops its output.  A script that still writes a lot, or for long, may never end. */
static void spend_grace(struct request *request)
{
	const struct relay *relay = &request->relay;
	int64_t begun = request->linger.when - request_options(request)->disconnect_grace;
	bool late = request->state == REQUEST_GRACE && request->active - begun > REQUEST_DROP_TIME;

	if (relay->state == RELAY_ENDED) /* its grace goes on, if it still has a body to read */
		return;
	if (relay->last_read > UINT32_MAX - request->dropped)
		request->dropped = UINT32_MAX;
	else
		request->dropped += (uint32_t)relay->last_read;
	if (request->dropped > REQUEST_DROP_MAX || (relay->last_read > 0 && late))
		end_grace(request, "its client is gone, and it goes on writing");
}

/* The script has exited, and its output is silent. */
static void stop_lingering(struct request *request)
{
	/* the client or the bridge is slow to take the output: reading on sets the timer again */
	if (!relay_is_silent(&request->relay))
		return;
	if (relay_is_held(&request->relay))
		request_cut_output(request);
	else
		relay_stop(&request->relay);
	request_advance(request);
	request->link->touched(request->link);
}

/* The script has not exited in time: the response has ended all the same. */
static void stop_exiting(struct request *request)
{
	if (request->script.child != NULL && child_failure(request->script.child) != NULL) {
		/* it could not be executed, and is about to exit: that tells why */
		loop_timer_set(request_loop(request), &request->linger,
		    request->link->services->times.exit);
		return;
	}
	if (request->relay.state == RELAY_REDIRECT && !can_redirect(request))
		request_pass_redirect(request); /* its client has left meanwhile */
	if (request->relay.state == RELAY_FAULT_ENDED)
		request_fail_response(request);
	else if (request->relay.state == RELAY_STARVED)
		request_starve(request, "its output");
	else
		finish(request);
	request->link->touched(request->link);
}

static void on_linger(struct loop_timer *timer)
{
	struct request *request = CONTAINER_OF(timer, struct request, linger);

	switch (request->state) {
	case REQUEST_GRACE:
		end_grace(request, "it still runs after --disconnect-grace");
		return;
	case REQUEST_LINGERING:
		stop_lingering(request);
		return;
	case REQUEST_EXITING:
		stop_exiting(request);
		return;
	case REQUEST_CLOSING:
		request_release_end(request);
		return;
	case REQUEST_PARAMS:
	case REQUEST_LOCATING:
	case REQUEST_BODY:
	case REQUEST_QUEUED:
	case REQUEST_STARTING:
	case REQUEST_RUNNING:
	case REQUEST_DETACHED:
	case REQUEST_ENDED:
		return; /* they do not set it */
	}
}

/* ---- its streams ------------------------------------------------------------- */

/* --stderr client: delivered once the client has the header block. */
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
	if (relay->state == RELAY_BODY && !request_is_detached(request)) {
		errlog_deliver(&request->errlog, request->link->out, RELAY_HIGH);
		child_answers(request->script.child);
	}
	if (request_is_detached(request) && request->limits.on_disconnect == ON_DISCONNECT_KILL)
		spend_grace(request);
	request_advance(request);
	request->link->touched(request->link);
}

void request_review_body(struct request *request)
{
	review_hold(request);
	if (request->relay.state == RELAY_ENDED || request->relay.state == RELAY_REDIRECT)
		request_advance(request);
}

static void on_body_moved(struct body *body)
{
	struct request *request = CONTAINER_OF(body, struct request, body);

	request->active = loop_now(request_loop(request));
	request_review_body(request);
	request->link->touched(request->link);
}

void request_resume(struct request *request)
{
	review_hold(request);
	if (request_is_running(request) && request->errlog.state == ERRLOG_FLOWS)
		errlog_deliver(&request->errlog, request->link->out, RELAY_HIGH);
	if (request_is_running(request))
		relay_resume(&request->relay);
}

/* ---- time -------------------------------------------------------------------- */

/* Checks several times within the limit: the client taking bytes is not an event. */
static void set_idle_timer(struct request *request)
{
	int64_t left = request->active + request->limits.idle - loop_now(request_loop(request));
	int64_t step = request->limits.idle / 4 + 1;

	loop_timer_set(request_loop(request), &request->idle, left < step ? left : step);
}

void request_limit_silence(struct request *request)
{
	request->active = loop_now(request_loop(request));
	loop_timer_clear(request_loop(request), &request->idle);
	if (request->limits.idle > 0)
		set_idle_timer(request);
}

/* Whether the client has taken some of this request's output since the last call. */
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
	request->result.outcome = ACCESSLOG_TIMEOUT;
	request_log_failure(request, what);
	request_stop_script(request, ON_DISCONNECT_KILL);
	request_fail(request, 504, "the script took too long", 128 + SIGTERM);
	request->link->touched(request->link);
}

/* It has no process yet whose name its log lines begin with, or that of another script. */
static void give_up_locating(struct request *request)
{
	const char *file = params_get_filled(&request->params, "SCRIPT_FILENAME");
	const char *root = params_get_filled(&request->params, "DOCUMENT_ROOT");
	const char *name = params_get_filled(&request->params, "SCRIPT_NAME");
	char what[512];

	if (file != NULL)
		snprintf(what, sizeof what, "504: %.400s: its file system does not answer", file);
	else
		snprintf(what, sizeof what, "504: %.200s%.200s: its file system does not answer",
		    root == NULL ? "" : root, name == NULL ? "" : name);
	time_out(request, what);
}

static void on_total(struct loop_timer *timer)
{
	struct request *request = CONTAINER_OF(timer, struct request, total);

	if (request->state == REQUEST_LOCATING)
		give_up_locating(request);
	else
		time_out(request, "504: longer than --timeout: stopped");
}

static void on_silence(struct request *request)
{
	if (request->state == REQUEST_LOCATING) {
		give_up_locating(request);
	} else if (request->state == REQUEST_BODY) {
		request_refuse(request, 408, "the request's body did not come in time",
		    "no byte of its body for --idle-timeout");
		request->link->touched(request->link);
	} else {
		time_out(request, "504: no byte in either direction for --idle-timeout: stopped");
	}
}

static void refuse_late_params(struct request *request)
{
	char reason[64];

	snprintf(reason, sizeof reason, "no end of PARAMS within %lld s",
	    (long long)request->link->services->times.params / 1000);
	request_refuse(request, 408, "the request's parameters did not come in time", reason);
	request->link->touched(request->link);
}

static void on_idle(struct loop_timer *timer)
{
	struct request *request = CONTAINER_OF(timer, struct request, idle);
	int64_t now = loop_now(request_loop(request));

	if (request->state == REQUEST_PARAMS) {
		refuse_late_params(request);
		return;
	}
	if (client_took_some(request))
		request->active = now;
	if (now - request->active >= request->limits.idle)
		on_silence(request);
	else
		set_idle_timer(request);
}

/* ---- life -------------------------------------------------------------------- */

static void init_output(struct request *request)
{
	const struct options *options = request_options(request);
	struct loop *loop = request_loop(request);
	bool authorizes = request->role == FCGI_AUTHORIZER;

	relay_init(&request->relay,
	    &(struct relay_plan){.loop = loop,
		.scratch = request->link->services->scratch,
		.out = request->link->out,
		.id = request->id,
		.moved = on_relayed,
		.kind = authorizes ? RESPONSE_AUTHORIZER : RESPONSE_NORMAL,
		/* a doubtful response must not authorize anything */
		.strict = options->strict_headers || authorizes,
		.redirects = options->local_redirect && !authorizes});
	errlog_init(&request->errlog, loop, options->stderr_to == STDERR_CLIENT ? on_stderr : NULL);
}

void request_renew_output(struct request *request)
{
	enum response_kind kind = request->relay.response.kind;

	relay_fini(&request->relay);
	errlog_fini(&request->errlog);
	init_output(request);
	request->relay.response.kind = kind;
}

void request_run_init(struct request *request)
{
	const struct options *options = request_options(request);
	struct loop *loop = request_loop(request);

	body_init(&request->body, loop, options->max_body, options->spool_dir, on_body_moved);
	init_output(request);
	loop_timer_init(&request->total, on_total);
	loop_timer_init(&request->idle, on_idle);
	loop_timer_init(&request->linger, on_linger);
	loop_timer_set(loop, &request->idle, request->link->services->times.params);
}

/* SPDX-License-Identifier: ISC */
/*
 * request_start: from the last of PARAMS to a running script, or to a refusal.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgi/arguments.h"
#include "base/clock.h"
#include "base/log.h"
#include "bridge/request_private.h"
#include "cgi/exec_fault.h"
#include "cgi/preload.h"
#include "cgi/script.h"

/* Bytes of PARAMS that are read for a request that is one too many on its connection: enough to
 * see whether it is a HEAD. */
enum { OVERLOADED_PARAMS = 16 * 1024 };

enum { SLOW_SPAWN = 2000 }; /* us after which it is worth reading the clock again */

/* ---- the process ------------------------------------------------------ */

/* The handler that runs its script; NULL: none.  What the file says has been looked at before. */
static const struct value_handler *handler_of(const struct request *request)
{
	return request->handled
	    ? arguments_extension(request_options(request), request->script.path)
	    : NULL;
}

/*
 * A script that cannot be executed may be at fault itself; a handler is configured here: 500,
 * but for a shortage.  `why`: what is known of it; NULL: it is looked at now.
 */
static void refuse_exec(struct request *request, int error, const char *why)
{
	const struct value_handler *handler = handler_of(request);
	const char *program = handler == NULL ? request->script.path : handler->argv[0];
	char reason[1100];
	char text[EXEC_FAULT_MAX];
	bool handled = handler != NULL;
	int status = exec_fault_status(error);

	if (why == NULL) {
		exec_fault_describe(program, error, text);
		why = text;
	}
	snprintf(reason, sizeof reason, "%.400s: cannot execute%s%.100s: %s%s", request->script.path,
	    handled ? " its handler " : "", handled ? program : "", why, sys_remedy(error));
	if (error == E2BIG)
		request_refuse(request, 431, "its parameters are too large", reason);
	else
		request_refuse(request, handled && status != 503 ? 500 : status,
		    "the script cannot be run", reason);
}

static void refuse_start(struct request *request, const struct sys_fault *fault, const char *why)
{
	static const char *const steps[] = {"cannot start a process", "cannot make a process group",
	    "cannot change to its directory", "cannot set its limits", "cannot set its streams",
	    "cannot execute"};
	char reason[512];

	if (fault->step == SYS_STEP_EXEC) {
		refuse_exec(request, fault->error, why);
		return;
	}
	snprintf(reason, sizeof reason, "%s: %s: %s%s", request->script.path, steps[fault->step],
	    strerror(fault->error), sys_remedy(fault->error));
	request_refuse(request,
	    fault->step == SYS_STEP_FORK || sys_is_shortage(fault->error) ? 503 : 500,
	    "the script cannot be run", reason);
}

static bool has_body(const struct request *request)
{
	return !(request->body.ended && body_waiting(&request->body) == 0);
}

/* A script in the slot of the ticket, and the memory of its plan. */
struct start {
	struct child_plan plan;
	char directory[4096];
	char **argv;
	char **envp;
};

/* 0, or -1 without memory; start_fini() either way. */
static int start_init(struct start *start, const struct request *request)
{
	start->envp = params_environ(&request->params, request->link->services->environment);
	start->argv = arguments_new(request_options(request), &request->params, request->script.path,
	    handler_of(request));
	start->plan = (struct child_plan){
	    .argv = start->argv,
	    .dir = request_directory(&request->params, request->script.path,
		start->directory, sizeof start->directory),
	    .envp = start->envp,
	    .slot = request->script.ticket.slot,
	    .wants_stdin = has_body(request),
	    .wants_stderr = request_options(request)->stderr_to != STDERR_DISCARD,
	    .apart = request_mount(request) != NULL,
	};
	return start->envp == NULL || start->argv == NULL ? -1 : 0;
}

static void start_fini(struct start *start)
{
	free(start->argv);
	free(start->envp);
}

/* It was not waited for until its exec, which may have failed: then it has no output. */
static void on_exited_apart(void *context, int status)
{
	struct request *request = context;
	const struct child_failure *failure = child_failure(request->script.child);

	if (failure == NULL || !request_is_running(request)) {
		request_exited(context, status);
		return;
	}
	request->script.child = NULL;
	request->script.pid = 0; /* no script has run */
	request_count(request, TALLY_SPAWN_FAILURES);
	refuse_start(request, &failure->fault, failure->why);
	request->link->touched(request->link);
}

/* Executes the script; its pipes are then in `pipes`.  NULL with `fault` filled. */
static struct child *spawn(struct request *request, struct child_pipes *pipes,
    struct sys_fault *fault)
{
	struct start start;
	struct child *child = NULL;

	*fault = (struct sys_fault){SYS_STEP_FORK, ENOMEM};
	if (start_init(&start, request) == 0)
		child = child_spawn(request->link->services->children, &start.plan, pipes, fault,
		    start.plan.apart ? on_exited_apart : request_exited, request);
	start_fini(&start);
	return child;
}

/* Connects the script's pipes; 0, or -1 with errno and all of them closed. */
static int attach(struct request *request, const struct child_pipes *pipes)
{
	int failed = relay_attach(&request->relay, pipes->out);

	if (pipes->err >= 0)
		errlog_attach(&request->errlog, pipes->err, request->script.path,
		    request->script.pid, request->id);
	if (pipes->in >= 0)
		failed |= body_attach(&request->body, pipes->in);
	else
		body_drop(&request->body);
	return failed;
}

static void queue_up(struct request *request)
{
	if (request->state != REQUEST_QUEUED)
		request_set_state(request, REQUEST_QUEUED);
	loop_timer_clear(request_loop(request), &request->idle);
}

/* Running scripts will free descriptors: queues the request until then, if any runs. */
static bool wait_for_descriptors(struct request *request, const struct sys_fault *fault)
{
	bool short_of = fault->error == ENFILE ||
	    (fault->error == EMFILE && fault->step == SYS_STEP_FORK);

	if (!short_of || !admission_put_back(request->link->services->admission,
		&request->script.ticket, fault->error))
		return false;
	queue_up(request);
	return true;
}

/* There is no script, and its slot is free again. */
static void give_up_start(struct request *request, const struct sys_fault *fault)
{
	request_count(request, TALLY_SPAWN_FAILURES);
	scoreboard_release(request->link->services->admission->board, request->script.ticket.slot);
	refuse_start(request, fault, request_mount(request) == NULL ? NULL : strerror(fault->error));
}

/* It runs, and has taken `spent` us to start. */
static void run(struct request *request, const struct child_pipes *pipes, int64_t spent)
{
	request->script.pid = child_pid(request->script.child);
	request_count(request, TALLY_SPAWNED);
	tally_time(request_tally(request), TALLY_SPAWN, spent);
	log_debug("%s[%ld]: request %u: started", request->script.path, (long)request->script.pid,
	    (unsigned)request->id);
	request_set_state(request, REQUEST_RUNNING);
	admission_begin(request->link->services->admission, &request->script.ticket);
	request_limit_silence(request);
	if (request->limits.timeout > 0)
		loop_timer_set(request_loop(request), &request->total, request->limits.timeout);
	request_slow_begin(request);
	if (!request->body.ended && front_end_stops_stdin(request->front_end))
		relay_hold(&request->relay);
	request_keep_log_fields(request);
	if (!request_may_redirect(request))
		params_fini(&request->params); /* the script has its copy */
	if (attach(request, pipes) == 0)
		return;
	request_starve(request, "watching its pipes");
}

static void start_by_exec(struct request *request)
{
	struct child_pipes pipes;
	struct sys_fault fault;
	int64_t before = clock_us();
	int64_t spent;

	request_show(request);
	request->script.child = spawn(request, &pipes, &fault);
	if (request->script.child == NULL && wait_for_descriptors(request, &fault))
		return;
	if (request->script.child == NULL) {
		give_up_start(request, &fault);
		return;
	}
	spent = clock_us() - before;
	if (spent > SLOW_SPAWN) /* the time to start is not part of the script's time */
		loop_refresh(request_loop(request));
	run(request, &pipes, spent);
}

/* ---- by a preloader --------------------------------------------------- */

/* Its script is not started by a preloader after all. */
static void bypass(struct request *request)
{
	request->preloads = false;
	request_count(request, TALLY_BYPASSES);
	start_by_exec(request);
}

static void run_preloaded(struct request *request, const struct preload_answer *answer)
{
	request_count(request, TALLY_PRELOADED);
	run(request, &answer->pipes, answer->spent);
	if (request_is_detached(request) && request->state == REQUEST_RUNNING)
		request_set_state(request, REQUEST_DETACHED); /* its client left meanwhile */
}

/* It may be running, as an unknown process: it must not be started a second time. */
static void lose_script(struct request *request)
{
	scoreboard_release(request->link->services->admission->board, request->script.ticket.slot);
	request_count(request, TALLY_SPAWN_FAILURES);
	request_refuse(request, 500, "the script cannot be run",
	    "its preloader did not give its process id");
}

static void on_preloaded(void *context, const struct preload_answer *answer)
{
	struct request *request = context;
	struct request_link *link = request->link;

	if (answer->outcome != PRELOAD_STARTED)
		request->script.child = NULL;
	switch (answer->outcome) {
	case PRELOAD_STARTED:
		run_preloaded(request, answer);
		break;
	case PRELOAD_FAILED:
		give_up_start(request, &answer->fault);
		break;
	case PRELOAD_EXEC:
		bypass(request);
		break;
	case PRELOAD_STOPPED:
		scoreboard_release(link->services->admission->board, request->script.ticket.slot);
		request_stop(request);
		return;
	case PRELOAD_LOST:
		lose_script(request);
		break;
	}
	link->touched(link);
}

/* Asks a preloader; on_preloaded() has the answer.  NULL if none can be asked. */
static struct child *ask_preloader(struct request *request, const struct preload_look *look)
{
	struct start start;
	struct child *child = NULL;
	struct preload_script script = {.path = request->script.path,
	    .look = look,
	    .plan = &start.plan,
	    .answered = on_preloaded,
	    .exited = request_exited,
	    .context = request};

	if (start_init(&start, request) == 0)
		child = preload_start(request->link->services->preload, &script);
	start_fini(&start);
	return child;
}

static void start_by_preloader(struct request *request, const struct preload_look *look)
{
	request_show(request);
	request->script.child = ask_preloader(request, look);
	if (request->script.child == NULL) {
		bypass(request);
		return;
	}
	request_set_state(request, REQUEST_STARTING);
	loop_timer_clear(request_loop(request), &request->idle);
}

/*
 * `look`: what a scout has seen of the script just now; NULL: nothing.  Without it, to ask a
 * preloader means to look at the script, whose file system may not answer.
 */
static void start(struct request *request, const struct preload_look *look)
{
	if (!request->preloads)
		start_by_exec(request);
	else if (look != NULL || request_mount(request) == NULL)
		start_by_preloader(request, look);
	else
		bypass(request);
}

/* ---- its turn --------------------------------------------------------- */

static void on_decided(struct admission_ticket *ticket, int granted)
{
	struct request *request = CONTAINER_OF(ticket, struct request, script.ticket);

	if (granted) {
		start(request, NULL); /* what was seen may have changed */
	} else {
		request_count(request, TALLY_REFUSED);
		request_refuse(request, 503, "too many scripts are running",
		    "no script slot became free within --queue-timeout");
	}
	request->link->touched(request->link);
}

/* Asks for a slot; starts at once if there is one. */
static void admit(struct request *request, const struct preload_look *look)
{
	switch (admission_ask(request->link->services->admission, &request->script.ticket, on_decided)) {
	case ADMISSION_GRANTED:
		start(request, look);
		return;
	case ADMISSION_WAIT:
		queue_up(request);
		return;
	case ADMISSION_FULL:
		request->result.protocol_status = FCGI_OVERLOADED;
		request_count(request, TALLY_REFUSED);
		request_refuse(request, 503, "too many scripts are running",
		    "--max-scripts are running and --queue requests wait");
		return;
	}
}

/* ---- its body --------------------------------------------------------- */

/* A valid CONTENT_LENGTH, or BODY_LENGTH_UNKNOWN. */
static uint64_t announced_length(const struct params *params)
{
	const char *text = params_get_filled(params, "CONTENT_LENGTH");
	uint64_t length = 0;

	if (text == NULL || strlen(text) > 18)
		return BODY_LENGTH_UNKNOWN;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return BODY_LENGTH_UNKNOWN;
		length = length * 10 + (uint64_t)(*text - '0');
	}
	return length;
}

/* Whether the request's method usually comes without a body (RFC 9110 9.3). */
static bool is_bodiless(const struct params *params)
{
	static const char *const bodiless[] = {"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"};
	const char *method = params_get(params, "REQUEST_METHOD");

	for (size_t i = 0; method != NULL && i < sizeof bodiless / sizeof *bodiless; i++)
		if (strcmp(method, bodiless[i]) == 0)
			return true;
	return method == NULL;
}

/* Whether a request that announces no length has a body at all. */
static bool may_have_body(const struct params *params)
{
	const char *given = params_get(params, "CONTENT_LENGTH");

	if (params_get_filled(params, "HTTP_TRANSFER_ENCODING") != NULL)
		return true;
	if (given != NULL && given[0] != '\0') /* not a length: Caddy sends "-1" for chunked */
		return true;
	return !is_bodiless(params);
}

/* Sets the body's length, unless it has to be collected to know it. */
static void expect_body(struct request *request)
{
	uint64_t length = announced_length(&request->params);

	if (request->role == FCGI_AUTHORIZER) /* FastCGI 6.3: it gets no stdin */
		length = 0;
	else if (length == BODY_LENGTH_UNKNOWN && !may_have_body(&request->params))
		length = 0;
	/* lighttpd, Caddy and HAProxy send 0 with a GET: there is no body (RFC 3875 4.1.2) */
	if (request->role == FCGI_AUTHORIZER ||
	    announced_length(&request->params) == BODY_LENGTH_UNKNOWN ||
	    (length == 0 && is_bodiless(&request->params)))
		params_unset(&request->params, "CONTENT_LENGTH");
	if (length != BODY_LENGTH_UNKNOWN)
		body_expect(&request->body, length);
}

/* Whether its body is collected before the script starts: its length is unknown. */
static bool collects_body(const struct request *request)
{
	return request->body.left == BODY_LENGTH_UNKNOWN && !request->body.ended;
}

/* The collected body is complete: tells the script its length. */
static int announce_length(struct request *request)
{
	char text[24];

	if (request->role == FCGI_AUTHORIZER || request->body.received == 0 ||
	    request->body.dropped || params_get(&request->params, "CONTENT_LENGTH") != NULL)
		return 0;
	snprintf(text, sizeof text, "%llu", (unsigned long long)request->body.received);
	return params_set(&request->params, "CONTENT_LENGTH", text);
}

void request_admit(struct request *request, const struct preload_look *look)
{
	if (announce_length(request) == 0)
		admit(request, look);
	else
		request_refuse(request, 503, "out of resources", "no memory for its length");
}

/* ---- its parameters --------------------------------------------------- */

static void read_method(struct request *request)
{
	const char *method = params_get(&request->params, "REQUEST_METHOD");

	if (request->role != FCGI_AUTHORIZER && method != NULL && strcmp(method, "HEAD") == 0)
		request->relay.response.kind = front_end_drops_body(request->front_end)
		    ? RESPONSE_HEAD
		    : RESPONSE_NO_BODY;
}

static void ignore_param(const struct request *request, const char *name, const char *value)
{
	char who[512];
	char origin[REQUEST_ORIGIN_MAX];

	log_warn("%s: %s is '%.100s': ignored%s", request_subject(request, who, sizeof who), name, value,
	    request_origin(request, origin, sizeof origin));
}

/* The time that parameter `name` asks for, or the option's `limit` if that is less. */
static int64_t time_wanted(const struct request *request, const char *name, int64_t limit)
{
	const char *text = params_get_filled(&request->params, name);
	int64_t time = text == NULL ? limit : value_time(text);

	if (time < 0) {
		ignore_param(request, name, text);
		return limit;
	}
	return limit == 0 || (time > 0 && time < limit) ? time : limit;
}

/* Reads the settings that the web server sends for this request alone. */
static void read_overrides(struct request *request)
{
	static const struct value_rule choices = {0, 0, ON_DISCONNECT_CHOICES};
	const char *wish = params_get_filled(&request->params, "CGIBRIDGE_ON_DISCONNECT");
	struct fault why;
	int how;

	request->limits.timeout = time_wanted(request, "CGIBRIDGE_TIMEOUT", request->limits.timeout);
	request->limits.idle =
	    time_wanted(request, "CGIBRIDGE_IDLE_TIMEOUT", request->limits.idle);
	if (wish == NULL)
		return;
	if (value_choice.read(&choices, &how, wish, &why) == 0)
		request->limits.on_disconnect = (enum on_disconnect)how;
	else
		ignore_param(request, "CGIBRIDGE_ON_DISCONNECT", wish);
}

/* Adds parameters that a script may rely on but not every client sends. */
static int complete_params(struct request *request)
{
	/* HAProxy leaves an empty one out (RFC 3875 4.1.7) */
	if (params_get(&request->params, "QUERY_STRING") == NULL &&
	    params_set(&request->params, "QUERY_STRING", "") != 0)
		return -1;
	if (request->role != FCGI_AUTHORIZER)
		return 0;

	/* Apache and lighttpd send the page to authorize as script: this names the authorizer */
	const char *script = params_get_filled(&request->params, "CGIBRIDGE_AUTHORIZER");

	if (script != NULL && params_set(&request->params, "SCRIPT_FILENAME", script) != 0)
		return -1;
	return params_set(&request->params, "FCGI_ROLE", "AUTHORIZER");
}

static void refuse_params(struct request *request)
{
	if (errno == EBADMSG)
		request_refuse(request, 400, "its parameters are malformed",
		    "PARAMS are not name-value pairs, or contain a NUL");
	else if (errno == E2BIG)
		request_refuse(request, 431, "its parameters are too large", "PARAMS exceed --max-params");
	else
		request_refuse(request, 503, "out of resources", strerror(errno));
}

static void refuse_script(struct request *request, const struct script_refusal *refusal)
{
	const char *detail = "the web server did not say which script to run";

	if (refusal->status == 404)
		detail = "there is no such script";
	else if (refusal->status == 403)
		detail = "this script may not be run";
	else if (refusal->status == 503)
		detail = "out of resources";
	request_refuse(request, refusal->status, detail, refusal->reason);
}

/* Refuses a BEGIN_REQUEST that cannot be served; answered only now (spec 5.1, 6.1). */
static bool refuse_begin(struct request *request)
{
	switch (request->result.protocol_status) {
	case FCGI_OVERLOADED:
		request_count(request, TALLY_REFUSED);
		request_refuse(request, 503, "too many requests on one connection",
		    "more than --max-scripts requests on one connection");
		return true;
	case FCGI_UNKNOWN_ROLE:
		request_refuse(request, 500, "this FastCGI role is not served",
		    "its role is neither responder nor authorizer");
		return true;
	case FCGI_CANT_MPX_CONN:
	case FCGI_REQUEST_COMPLETE:
		break;
	}
	return false;
}

/* Whether it will be refused whatever its parameters are, and has sent enough of them. */
static bool is_rejected_early(const struct request *request, size_t len)
{
	return request->result.protocol_status == FCGI_OVERLOADED &&
	    buf_len(&request->params.raw) + len > OVERLOADED_PARAMS;
}

bool request_set_script(struct request *request, const struct request_location *location)
{
	struct preload *preload = request->link->services->preload;
	struct mounts *mounts = request->link->services->mounts;

	request->script.path = strdup(params_get(&request->params, "SCRIPT_FILENAME"));
	if (request->script.path == NULL) {
		request_refuse(request, 503, "out of resources", "no memory for its path");
		return false;
	}
	request->handled = location->handled;
	request->preloads = preload != NULL &&
	    preload_concerns(preload, request->script.path, &location->info, location->look);
	if (location->look != NULL)
		mounts_learn(mounts, request->script.path, &location->trace);
	return true;
}

/* Its script has been looked for. */
static void take_script(struct request *request, const struct request_location *location)
{
	if (location->refusal.status != 0) {
		refuse_script(request, &location->refusal);
		return;
	}
	if (!request_set_script(request, location))
		return;
	if (collects_body(request)) {
		request_set_state(request, REQUEST_BODY);
		request_limit_silence(request);
	} else {
		request_admit(request, location->look);
	}
}

static void on_looked(void *context, const void *findings, int error)
{
	struct request *request = context;
	const struct request_location *location = request_take_location(request, findings, error);

	if (location != NULL)
		take_script(request, location);
	request->link->touched(request->link);
}

static void launch(struct request *request)
{
	struct request_location location;

	if (params_decode(&request->params) != 0 || complete_params(request) != 0) {
		refuse_params(request);
		return;
	}
	request->front_end = front_end_of(&request->params);
	read_method(request);
	read_overrides(request);
	if (request_answer_page(request) || refuse_begin(request))
		return;
	expect_body(request);
	if (request_locate(request, &location, on_looked))
		take_script(request, &location);
}

void request_read_params(struct request *request, const void *bytes, size_t len)
{
	if (request->state != REQUEST_PARAMS)
		return;
	request->active = loop_now(request_loop(request));
	if (len == 0)
		launch(request);
	else if (is_rejected_early(request, len))
		(void)refuse_begin(request);
	else if (params_feed(&request->params, bytes, len) != 0)
		refuse_params(request);
	request->link->touched(request->link);
}

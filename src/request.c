/* SPDX-License-Identifier: ISC */
/*
 * request: the order of events.  What each stream does is in params, body, relay
 * and errlog; what runs is in script and child.
 */
#include "request.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "record.h"
#include "script.h"

enum { PARAMS_TIME = 60 * 1000 }; /* ms a client has to send all PARAMS */

static const struct options *options_of(const struct request *request)
{
	return request->link->services->options;
}

static struct loop *loop_of(const struct request *request)
{
	return request->link->services->loop;
}

/* ---- state -------------------------------------------------------------------- */

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

static void set_state(struct request *request, enum request_state state)
{
	static const char *const names[] = {"params", "body", "queued", "running", "ended"};

	assert(may_follow(request->state, state));
	log_debug("request %u: %s -> %s", (unsigned)request->id, names[request->state],
	    names[state]);
	request->state = state;
}

/* ---- the log line of a request ------------------------------------------------- */

/* "/srv/x.cgi[4711]: request 1 from 127.0.0.1:80: ": what every line starts with. */
static const char *subject(const struct request *request, char *text, size_t size)
{
	char peer[96];

	request->link->describe(request->link, peer, sizeof peer);
	if (request->pid > 0)
		snprintf(text, size, "%s[%ld]: request %u from %s", request->script,
		    (long)request->pid, (unsigned)request->id, peer);
	else
		snprintf(text, size, "request %u from %s", (unsigned)request->id, peer);
	return text;
}

/* "0.12s, 17 bytes in, 4711 out; stderr: first line". */
static const char *account(const struct request *request, char *text, size_t size)
{
	double seconds = (double)(loop_now(loop_of(request)) - request->started) / 1000;
	const char *first = request->errlog.first;

	snprintf(text, size, "%.2fs, %llu bytes in, %llu out%s%s", seconds,
	    (unsigned long long)request->body.received, (unsigned long long)request->relay.sent,
	    first == NULL ? "" : "; first line of stderr: ", first == NULL ? "" : first);
	return text;
}

static void log_failure(const struct request *request, const char *what)
{
	char who[512];
	char how[320];

	log_warn("%s: %s (%s)", subject(request, who, sizeof who), what,
	    account(request, how, sizeof how));
}

/* ---- ends ---------------------------------------------------------------------- */

static void clear_timers(struct request *request)
{
	loop_timer_clear(loop_of(request), &request->total);
	loop_timer_clear(loop_of(request), &request->idle);
	loop_timer_clear(loop_of(request), &request->linger);
}

/* Lets go of everything but the id: the connection still has to know that. */
static void end(struct request *request, uint32_t app_status)
{
	errlog_finish(&request->errlog);
	errlog_deliver(&request->errlog, request->link->out, record_size(FCGI_BODY_LEN) * 4);
	set_state(request, REQUEST_ENDED);
	request->app_status = app_status;
	clear_timers(request);
	admission_leave(request->link->services->admission, &request->ticket);
	body_drop(&request->body);
	relay_fini(&request->relay);
	errlog_fini(&request->errlog);
	params_fini(&request->params);
	child_drop(&request->child);
	request->link->ended(request->link, request);
}

static enum response_kind kind_of(const struct request *request)
{
	const char *method;

	if (request->role == FCGI_AUTHORIZER)
		return RESPONSE_AUTHORIZER;
	method = request->params.list == NULL ? NULL : params_get(&request->params, "REQUEST_METHOD");
	return method != NULL && strcmp(method, "HEAD") == 0 ? RESPONSE_NO_BODY : RESPONSE_NORMAL;
}

static void put_page(struct request *request, int status, const char *detail)
{
	unsigned char page[RESPONSE_PAGE_MAX];
	enum response_kind kind =
	    request->script == NULL ? kind_of(request) : request->relay.response.kind;
	size_t len = response_page(kind, status, detail, page);

	/* without memory for a page there is none for END either: the connection goes */
	if (record_put(request->link->out, FCGI_STDOUT, request->id, page, len) == 0)
		request->relay.sent += len;
	else
		request->truncated = true;
}

/*
 * Ends with an answer of ours if none has gone out yet; else the client is shown
 * that what it has is not all: by the Content-Length it has been told, or else by
 * the want of END_REQUEST.
 */
static void fail(struct request *request, int status, const char *detail, uint32_t app_status)
{
	bool answered = request->relay.state == RELAY_BODY || request->relay.state == RELAY_ENDED;

	if (answered)
		request->truncated = !request->relay.response.counts;
	else
		put_page(request, status, detail);
	end(request, app_status);
}

/* Refuses before a script has run; the log gets the particulars, the client `detail`. */
static void refuse(struct request *request, int status, const char *detail, const char *reason)
{
	char who[512];

	log_warn("%s: %d: %s (uid %ld)", subject(request, who, sizeof who), status, reason,
	    (long)geteuid());
	fail(request, status, detail, 0);
}

/* What the script gets when nobody waits for it any more. */
static void give_up_script(struct request *request, enum on_disconnect how)
{
	if (request->child != NULL && how == ON_DISCONNECT_KILL)
		child_terminate(request->child);
}

/* ---- the script's end ------------------------------------------------------------ */

static void describe_exit(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "killed by signal %d%s", WTERMSIG(status),
		    WCOREDUMP(status) ? ", core dumped" : "");
	else
		snprintf(text, size, "exit status %d", WEXITSTATUS(status));
}

/* No response that could go out: a page instead, and why in the log. */
static void fail_response(struct request *request)
{
	char how[64];
	char what[256];
	char start[33] = "";
	size_t len = buf_len(&request->relay.head);

	if (request->child != NULL)
		snprintf(how, sizeof how, "still running");
	else
		describe_exit(request->exit_status, how, sizeof how);
	if (len > 0)
		snprintf(start, sizeof start, "%.*s", len < 32 ? (int)len : 32,
		    (const char *)buf_bytes(&request->relay.head));
	snprintf(what, sizeof what, "500: no CGI response: %s; %s%s%s", relay_fault(&request->relay),
	    how, len > 0 ? "; output starts: " : "", start);
	errlog_finish(&request->errlog); /* its first line belongs to this message */
	log_failure(request, what);
	give_up_script(request, ON_DISCONNECT_KILL);
	fail(request, 500, "the script gave no valid response",
	    request->child == NULL ? child_app_status(request->exit_status) : 0);
}

/* Output and script have both ended. */
static void complete(struct request *request)
{
	char what[128];

	errlog_finish(&request->errlog);
	if (response_is_short(&request->relay.response)) {
		request->truncated = !request->relay.response.counts;
		log_failure(request, "its body is shorter than its Content-Length or not ended");
	} else if (request->exit_status != 0) {
		describe_exit(request->exit_status, what, sizeof what);
		log_failure(request, what);
	}
	end(request, child_app_status(request->exit_status));
}

/*
 * nginx stops sending FCGI_STDIN, and its end, as soon as it has the headers of the
 * answer.  A script that writes them first and reads on then, as git-http-backend
 * does, would wait for ever.
 */
static bool stops_sending(const struct params *params)
{
	const char *software = params_get_filled(params, "SERVER_SOFTWARE");

	return software == NULL || strncmp(software, "nginx", 5) == 0;
}

/* Lets a held response go once the script cannot want more of the request's body. */
static void review_hold(struct request *request)
{
	if (request->body.ended || request->body.dropped || request->child == NULL ||
	    request->relay.eof)
		relay_let_go(&request->relay);
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
			fail_response(request);
		return;
	case RELAY_ENDED:
		if (request->child == NULL)
			complete(request);
		return;
	case RELAY_HEAD:
	case RELAY_BODY:
		if (request->child == NULL)
			loop_timer_set(loop_of(request), &request->linger,
			    options_of(request)->linger);
		return;
	}
}

static void on_exited(void *context, int status)
{
	struct request *request = context;

	request->child = NULL;
	request->exit_status = status;
	review_hold(request);
	check(request);
	request->link->touched(request->link);
}

static void on_linger(struct loop_timer *timer)
{
	struct request *request = CONTAINER_OF(timer, struct request, linger);

	log_debug("request %u: a descendant still holds the script's output: closed",
	    (unsigned)request->id);
	relay_stop(&request->relay);
	check(request);
	request->link->touched(request->link);
}

/* ---- movement ---------------------------------------------------------------------- */

static void on_relayed(struct relay *relay)
{
	struct request *request = CONTAINER_OF(relay, struct request, relay);

	request->active = loop_now(loop_of(request));
	review_hold(request);
	if (relay->state == RELAY_BODY)
		errlog_deliver(&request->errlog, request->link->out, RELAY_HIGH);
	check(request);
	request->link->touched(request->link);
}

static void on_body_moved(struct body *body)
{
	struct request *request = CONTAINER_OF(body, struct request, body);

	request->active = loop_now(loop_of(request));
	review_hold(request);
	request->link->touched(request->link);
}

void request_resume(struct request *request)
{
	if (request->state == REQUEST_RUNNING)
		relay_resume(&request->relay);
}

/* ---- time --------------------------------------------------------------------------- */

static void time_out(struct request *request, const char *what)
{
	log_failure(request, what);
	give_up_script(request, ON_DISCONNECT_KILL);
	fail(request, 504, "the script took too long", 128 + SIGTERM);
	request->link->touched(request->link);
}

static void on_total(struct loop_timer *timer)
{
	struct request *request = CONTAINER_OF(timer, struct request, total);

	time_out(request, "504: longer than --timeout: stopped");
}

/* The timer is set once and looks, when it fires, whether anything moved since. */
static void on_idle(struct loop_timer *timer)
{
	struct request *request = CONTAINER_OF(timer, struct request, idle);
	int64_t limit = options_of(request)->idle_timeout;
	int64_t quiet = loop_now(loop_of(request)) - request->active;

	if (request->state == REQUEST_PARAMS) {
		refuse(request, 408, "the request's parameters did not come in time",
		    "no end of PARAMS within 60 s");
		request->link->touched(request->link);
	} else if (quiet < limit) {
		loop_timer_set(loop_of(request), timer, limit - quiet);
	} else if (request->state == REQUEST_BODY) {
		refuse(request, 408, "the request's body did not come in time",
		    "no byte of its body for --idle-timeout");
		request->link->touched(request->link);
	} else {
		time_out(request, "504: no byte in either direction for --idle-timeout: stopped");
	}
}

/* ---- starting the script -------------------------------------------------------------- */

static void refuse_start(struct request *request, const struct sys_fault *fault)
{
	static const char *const steps[] = {"cannot start a process", "cannot make a session",
	    "cannot change to its directory", "cannot set its limits", "cannot set its streams",
	    "cannot execute"};
	char reason[512];
	int status = fault->step == SYS_STEP_FORK ? 503 : 500;

	if (fault->step == SYS_STEP_EXEC)
		status = script_exec_status(fault->error);
	snprintf(reason, sizeof reason, "%s: %s: %s%s", request->script, steps[fault->step],
	    strerror(fault->error),
	    fault->step == SYS_STEP_EXEC ? script_exec_hint(fault->error) : "");
	refuse(request, status, "the script cannot be run", reason);
}

/* The script's directory, or what FCGI_CHDIR says ("-": where we are). */
static const char *directory_of(const struct request *request, char *text, size_t size)
{
	const char *wish = params_get_filled(&request->params, "FCGI_CHDIR");
	const char *slash = strrchr(request->script, '/');
	int len = slash == request->script ? 1 : (int)(slash - request->script);

	if (wish != NULL)
		return strcmp(wish, "-") == 0 ? NULL : wish;
	snprintf(text, size, "%.*s", len, request->script);
	return text;
}

static bool has_body(const struct request *request)
{
	return !(request->body.ended && body_waiting(&request->body) == 0);
}

/* Starts the script in the cell of the ticket; its pipes are then in `pipes`. */
static struct child *spawn(struct request *request, struct child_pipes *pipes,
    struct sys_fault *fault)
{
	char directory[4096];
	char **envp = params_environ(&request->params, request->link->services->environment);
	struct child_plan plan = {
	    .path = request->script,
	    .dir = directory_of(request, directory, sizeof directory),
	    .envp = envp,
	    .cell = request->ticket.cell,
	    .wants_stdin = has_body(request),
	    .wants_stderr = options_of(request)->stderr_to != STDERR_DISCARD,
	};
	struct child *child = NULL;

	*fault = (struct sys_fault){SYS_STEP_FORK, ENOMEM};
	if (envp != NULL)
		child = child_spawn(request->link->services->children, &plan, pipes, fault,
		    on_exited, request);
	free(envp);
	return child;
}

/* Connects the script's pipes; 0, or -1 with errno and all of them closed. */
static int attach(struct request *request, const struct child_pipes *pipes)
{
	int failed = relay_attach(&request->relay, pipes->out);

	if (pipes->err >= 0)
		failed |= errlog_attach(&request->errlog, pipes->err, request->script,
		    request->pid, request->id);
	if (pipes->in >= 0)
		failed |= body_attach(&request->body, pipes->in);
	else
		body_drop(&request->body);
	return failed;
}

static void limit_silence(struct request *request)
{
	const struct options *options = options_of(request);

	request->active = loop_now(loop_of(request));
	loop_timer_clear(loop_of(request), &request->idle);
	if (options->idle_timeout > 0)
		loop_timer_set(loop_of(request), &request->idle, options->idle_timeout);
}

static void start(struct request *request)
{
	struct child_pipes pipes;
	struct sys_fault fault;

	request->child = spawn(request, &pipes, &fault);
	if (request->child == NULL) {
		scoreboard_release(request->link->services->admission->board, request->ticket.cell);
		refuse_start(request, &fault);
		return;
	}
	request->pid = child_pid(request->child);
	log_debug("%s[%ld]: request %u: started", request->script, (long)request->pid,
	    (unsigned)request->id);
	set_state(request, REQUEST_RUNNING);
	limit_silence(request);
	if (options_of(request)->timeout > 0)
		loop_timer_set(loop_of(request), &request->total, options_of(request)->timeout);
	if (!request->body.ended && stops_sending(&request->params))
		relay_hold(&request->relay);
	params_fini(&request->params); /* the script has its copy */
	if (attach(request, &pipes) == 0)
		return;
	log_failure(request, "503: its pipes cannot be watched: no memory");
	give_up_script(request, ON_DISCONNECT_KILL);
	fail(request, 503, "out of resources", 0);
}

static void on_decided(struct admission_ticket *ticket, int granted)
{
	struct request *request = CONTAINER_OF(ticket, struct request, ticket);

	if (granted)
		start(request);
	else
		refuse(request, 503, "too many scripts are running",
		    "no script slot became free within --queue-timeout");
	request->link->touched(request->link);
}

/* Asks for a cell; starts at once if there is one. */
static void admit(struct request *request)
{
	switch (admission_ask(request->link->services->admission, &request->ticket, on_decided)) {
	case ADMISSION_GRANTED:
		start(request);
		return;
	case ADMISSION_WAIT:
		set_state(request, REQUEST_QUEUED);
		loop_timer_clear(loop_of(request), &request->idle);
		return;
	case ADMISSION_FULL:
		request->protocol_status = FCGI_OVERLOADED;
		refuse(request, 503, "too many scripts are running",
		    "--max-scripts are running and --queue requests wait");
		return;
	}
}

/* ---- what came in ------------------------------------------------------------------------ */

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

/* Whether a request that announces no length has a body at all (RFC 9110 9.3). */
static bool may_have_body(const struct params *params)
{
	static const char *const bodiless[] = {"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"};
	const char *method = params_get(params, "REQUEST_METHOD");
	const char *given = params_get(params, "CONTENT_LENGTH");

	if (params_get_filled(params, "HTTP_TRANSFER_ENCODING") != NULL)
		return true;
	if (given != NULL && given[0] != '\0') /* a length that is none: "-1" is Caddy's chunked */
		return true;
	for (size_t i = 0; method != NULL && i < sizeof bodiless / sizeof *bodiless; i++)
		if (strcmp(method, bodiless[i]) == 0)
			return false;
	return method != NULL;
}

/* Sets how much body comes; a body of unknown length is collected before the script starts. */
static void expect_body(struct request *request)
{
	uint64_t length = announced_length(&request->params);
	bool collect = false;

	if (request->role == FCGI_AUTHORIZER) /* FastCGI 6.3: it gets no stdin */
		length = 0;
	else if (length == BODY_LENGTH_UNKNOWN && may_have_body(&request->params))
		collect = !request->body.ended;
	else if (length == BODY_LENGTH_UNKNOWN)
		length = 0;
	if (announced_length(&request->params) == BODY_LENGTH_UNKNOWN)
		params_unset(&request->params, "CONTENT_LENGTH");
	if (length != BODY_LENGTH_UNKNOWN)
		body_expect(&request->body, length);
	if (collect)
		set_state(request, REQUEST_BODY);
}

/* The collected body is whole: its length is what the script is told. */
static int announce_length(struct request *request)
{
	char text[24];

	if (request->role == FCGI_AUTHORIZER || request->body.received == 0 ||
	    params_get(&request->params, "CONTENT_LENGTH") != NULL)
		return 0;
	snprintf(text, sizeof text, "%llu", (unsigned long long)request->body.received);
	return params_set(&request->params, "CONTENT_LENGTH", text);
}

static void begin(struct request *request)
{
	if (announce_length(request) == 0)
		admit(request);
	else
		refuse(request, 503, "out of resources", "no memory for its length");
}

static int name_role(struct request *request)
{
	if (request->role == FCGI_AUTHORIZER)
		return params_set(&request->params, "FCGI_ROLE", "AUTHORIZER");
	return 0;
}

static void refuse_params(struct request *request)
{
	if (errno == EBADMSG)
		refuse(request, 400, "its parameters are malformed",
		    "PARAMS are no name-value pairs, or have a NUL or '=' where none may be");
	else if (errno == E2BIG)
		refuse(request, 431, "its parameters are too large", "PARAMS exceed --max-params");
	else
		refuse(request, 503, "out of resources", strerror(errno));
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
	refuse(request, refusal->status, detail, refusal->reason);
}

/* What BEGIN_REQUEST asked for and is not to be had; answered only now (spec 5.1, 6.1). */
static bool refuse_begin(struct request *request)
{
	if (request->crowded) {
		request->protocol_status = FCGI_OVERLOADED;
		refuse(request, 503, "too many requests on one connection",
		    "more than --max-scripts requests on one connection");
		return true;
	}
	if (request->role == FCGI_RESPONDER || request->role == FCGI_AUTHORIZER)
		return false;
	request->protocol_status = FCGI_UNKNOWN_ROLE;
	refuse(request, 500, "this FastCGI role is not served",
	    "its role is neither responder nor authorizer");
	return true;
}

/* All parameters are here: finds the script and starts it, or waits for what it needs. */
static void take_request(struct request *request)
{
	struct script_refusal refusal;

	if (params_decode(&request->params) != 0 || name_role(request) != 0) {
		refuse_params(request);
		return;
	}
	request->relay.response.kind = kind_of(request);
	if (refuse_begin(request))
		return;
	if (script_resolve(&request->params, options_of(request), &refusal) != 0) {
		refuse_script(request, &refusal);
		return;
	}
	request->script = strdup(params_get(&request->params, "SCRIPT_FILENAME"));
	if (request->script == NULL) {
		refuse(request, 503, "out of resources", "no memory for its path");
		return;
	}
	expect_body(request);
	if (request->state == REQUEST_PARAMS)
		begin(request);
	else
		limit_silence(request);
}

void request_take_params(struct request *request, const void *bytes, size_t len)
{
	if (request->state != REQUEST_PARAMS)
		return;
	request->active = loop_now(loop_of(request));
	if (len == 0)
		take_request(request);
	else if (params_feed(&request->params, bytes, len) != 0)
		refuse_params(request);
	request->link->touched(request->link);
}

static void refuse_body(struct request *request)
{
	int error = errno;
	char reason[256];

	snprintf(reason, sizeof reason, "request body cannot be held in %s: %s",
	    options_of(request)->spool_dir, strerror(error));
	give_up_script(request, ON_DISCONNECT_KILL);
	if (error == EFBIG)
		refuse(request, 413, "its body is too large", "body exceeds --max-body");
	else if (error == ENOSPC)
		refuse(request, 507, "no space for its body", reason);
	else
		refuse(request, 500, "its body cannot be held", reason);
}

void request_take_stdin(struct request *request, const void *bytes, size_t len)
{
	if (len == 0)
		request->stdin_ended = true;
	if (request->state == REQUEST_ENDED)
		return;
	request->active = loop_now(loop_of(request));
	if (len == 0)
		body_end(&request->body);
	else if (body_feed(&request->body, bytes, len) != 0)
		refuse_body(request);
	review_hold(request);
	if (request->state == REQUEST_BODY && request->body.ended)
		begin(request);
	request->link->touched(request->link);
}

bool request_wants_input(const struct request *request, bool alone)
{
	bool stuck = request->state == REQUEST_RUNNING && !relay_has_room(&request->relay);

	/* In memory, always; in a file only if waiting could be for ever: the client may be
	 * unable to read before it has sent all, the response be held until it has, and on a
	 * shared connection others would wait. */
	return body_waiting(&request->body) < SPOOL_MEMORY || request->state == REQUEST_BODY ||
	    stuck || request->relay.hold || !alone;
}

bool request_is_whole(const struct request *request)
{
	return request->state != REQUEST_PARAMS && (request->body.ended || request->body.dropped);
}

/* ---- the client's end ---------------------------------------------------------------------- */

/* `why` is NULL when that has been logged. */
static void leave(struct request *request, const char *why)
{
	enum on_disconnect how = (enum on_disconnect)options_of(request)->on_disconnect;
	char who[512];

	if (why != NULL)
		log_info("%s: %s%s", subject(request, who, sizeof who), why,
		    request->child != NULL && how == ON_DISCONNECT_KILL ? ": script stopped" : "");
	give_up_script(request, how);
	end(request, request->child == NULL ? 0 : 128 + SIGTERM);
}

void request_abort(struct request *request)
{
	if (request->state == REQUEST_ENDED)
		return;
	leave(request, "aborted by the client");
	request->link->touched(request->link);
}

void request_lose(struct request *request, const char *why)
{
	if (request->state != REQUEST_ENDED)
		leave(request, why);
}

/* ---- life without a client --------------------------------------------------------------------- */

static void sink_touched(struct request_link *link)
{
	buf_consume(link->out, buf_len(link->out));
	buf_release(link->out);
}

static void sink_ended(struct request_link *link, struct request *request)
{
	sink_touched(link);
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
	buf_init(&sink->out, REQUEST_OUT_MAX);
}

bool request_detach(struct request *request)
{
	if (options_of(request)->on_disconnect != ON_DISCONNECT_IGNORE ||
	    request->state != REQUEST_RUNNING || !request_is_whole(request))
		return false;
	log_info("%s[%ld]: request %u: the client is gone: script goes on", request->script,
	    (long)request->pid, (unsigned)request->id);
	request->link = &request->link->services->sink->link;
	request->relay.out = request->link->out;
	request_resume(request);
	return true;
}

void request_stop(struct request *request)
{
	if (request->state == REQUEST_ENDED)
		return;
	give_up_script(request, ON_DISCONNECT_KILL);
	fail(request, 503, "the service is stopping", 128 + SIGTERM);
	request->link->touched(request->link);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void on_discard(struct loop_task *task)
{
	struct request *request = CONTAINER_OF(task, struct request, discard);

	request_free(&request);
}

void request_discard(struct request *request)
{
	loop_post(loop_of(request), &request->discard);
}

struct request *request_new(struct request_link *link, uint16_t id, unsigned role, bool keep_conn)
{
	const struct options *options = link->services->options;
	struct loop *loop = link->services->loop;
	struct request *request = calloc(1, sizeof *request);

	if (request == NULL)
		return NULL;
	*request = (struct request){.link = link, .id = id, .role = role, .keep_conn = keep_conn};
	params_init(&request->params, options->max_params);
	body_init(&request->body, loop, options->max_body, options->spool_dir, on_body_moved);
	relay_init(&request->relay, loop, link->out, id, RESPONSE_NORMAL, on_relayed);
	errlog_init(&request->errlog, loop, options->stderr_to == STDERR_CLIENT);
	loop_timer_init(&request->total, on_total);
	loop_timer_init(&request->idle, on_idle);
	loop_timer_init(&request->linger, on_linger);
	loop_task_init(&request->discard, on_discard);
	request->started = request->active = loop_now(loop);
	loop_timer_set(loop, &request->idle, PARAMS_TIME);
	return request;
}

void request_free(struct request **request)
{
	struct request *r = *request;

	if (r == NULL)
		return;
	loop_unpost(&r->discard);
	clear_timers(r);
	admission_leave(r->link->services->admission, &r->ticket);
	child_drop(&r->child);
	relay_fini(&r->relay);
	errlog_fini(&r->errlog);
	body_fini(&r->body);
	params_fini(&r->params);
	free(r->script);
	free(r);
	*request = NULL;
}

/* SPDX-License-Identifier: ISC */
/*
 * request_end: a request's states, the ways in which it can end, the answer to its client then,
 * and the log line that gives the reason.
 */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/log.h"
#include "base/sys.h"
#include "fcgi/record.h"
#include "bridge/request_private.h"

/* ---- state ------------------------------------------------------------------- */

static bool may_follow(enum request_state from, enum request_state to)
{
	switch (from) {
	case REQUEST_PARAMS:
		return (to > REQUEST_PARAMS && to <= REQUEST_RUNNING) || to >= REQUEST_CLOSING;
	case REQUEST_LOCATING:
		return (to > REQUEST_LOCATING && to <= REQUEST_RUNNING) || to >= REQUEST_CLOSING;
	case REQUEST_BODY:
		return (to > REQUEST_BODY && to <= REQUEST_RUNNING) || to >= REQUEST_CLOSING;
	case REQUEST_QUEUED:
		return to == REQUEST_LOCATING || to == REQUEST_STARTING || to == REQUEST_RUNNING ||
		    to >= REQUEST_CLOSING;
	case REQUEST_STARTING:
		return to == REQUEST_QUEUED || to == REQUEST_RUNNING || to >= REQUEST_CLOSING;
	case REQUEST_RUNNING:
		return to > REQUEST_RUNNING;
	case REQUEST_GRACE:
	case REQUEST_DETACHED:
		return to == REQUEST_LINGERING || to == REQUEST_EXITING || to == REQUEST_ENDED;
	case REQUEST_LINGERING:
		return to == REQUEST_EXITING || to >= REQUEST_CLOSING;
	case REQUEST_EXITING:
		return to == REQUEST_QUEUED || to >= REQUEST_CLOSING;
	case REQUEST_CLOSING:
		return to == REQUEST_ENDED;
	case REQUEST_ENDED:
		return false;
	}
	return false;
}

void request_set_state(struct request *request, enum request_state state)
{
	static const char *const names[] = {"params", "locating", "body", "queued", "starting",
	    "running", "grace", "detached", "lingering", "exiting", "closing", "ended"};

	assert(may_follow(request->state, state));
	log_debug("request %u: %s -> %s", (unsigned)request->id, names[request->state],
	    names[state]);
	request->state = state;
}

/* ---- the end ----------------------------------------------------------------- */

void request_clear_timers(struct request *request)
{
	loop_timer_clear(request_loop(request), &request->total);
	loop_timer_clear(request_loop(request), &request->idle);
	loop_timer_clear(request_loop(request), &request->linger);
	loop_unpost(&request->later);
	if (scouts_any(request->link->services->scouts))
		scouts_forget(request->link->services->scouts, request);
	request_slow_end(request);
}

void request_leave_script(struct request *request)
{
	bool ended = request->relay.state == RELAY_ENDED || request->relay.state == RELAY_REDIRECT;
	int64_t left = request->total.when - loop_now(request_loop(request));
	struct left_script script = {.child = request->script.child,
	    .script = request->script.path,
	    .pid = request->script.pid,
	    .id = request->id,
	    .time = -1,
	    .answered = ended,
	    /* an incomplete body ends here: the script must not wait for the rest */
	    .body = ended && request->body.ended ? &request->body : NULL,
	    .errlog = &request->errlog};

	if (request->script.child == NULL && request->errlog.fd < 0)
		return;
	if (request->script.child != NULL && child_is_starting(request->script.child)) {
		child_terminate(request->script.child); /* at once, if it does begin */
		child_drop(&request->script.child);
		return;
	}
	if (loop_timer_active(&request->total))
		script.time = left > 0 ? left : 0; /* it may be up, and fire in this turn */
	request->script.path = NULL;
	request->script.child = NULL;
	left_adopt(request->link->services->left, &script);
}

static void warn_of_longer_body(const struct request *request)
{
	if (request->relay.response.framing == RESPONSE_OVERRUN)
		request_log_failure(request, "its body is longer than its Content-Length: cut");
}

/* Whether its client sends the rest of FCGI_STDIN only until END_REQUEST. */
static bool awaits_stdin(const struct request *request)
{
	return front_end_needs_stdin(request->front_end) && request->role == FCGI_RESPONDER &&
	    request->keep_conn && !request->stdin_ended && !request_is_detached(request);
}

void request_end(struct request *request, uint32_t app_status)
{
	bool held = awaits_stdin(request);

	(void)errlog_catch_up(&request->errlog);
	errlog_deliver(&request->errlog, request->link->out, SIZE_MAX);
	request_set_state(request, held ? REQUEST_CLOSING : REQUEST_ENDED);
	request->result.app_status = app_status;
	request_count_end(request);
	request_log_end(request);
	warn_of_longer_body(request);
	request_leave_script(request);
	request_clear_timers(request);
	admission_leave(request->link->services->admission, &request->script.ticket);
	body_drop(&request->body);
	relay_fini(&request->relay);
	errlog_fini(&request->errlog);
	params_fini(&request->params);
	if (held)
		request_hold_end(request);
	else
		request->link->ended(request->link, request);
}

void request_hold_end(struct request *request)
{
	loop_timer_set(request_loop(request), &request->linger, request_options(request)->linger);
}

void request_release_end(struct request *request)
{
	request_set_state(request, REQUEST_ENDED);
	loop_timer_clear(request_loop(request), &request->linger);
	request->link->ended(request->link, request);
}

void request_discard(struct request *request)
{
	loop_post(request_loop(request), &request->later);
}

/* ---- answers of the bridge --------------------------------------------------- */

static void put_page(struct request *request, int status, const char *detail)
{
	unsigned char page[RESPONSE_PAGE_MAX];
	size_t len = response_page(request->relay.response.kind, status, detail, page);

	request->result.own_status = status;
	/* without memory for a page the response counts as cut: put_end() in conn.c */
	if (record_put(&request->link->out->records, FCGI_STDOUT, request->id, page, len) == 0)
		request->relay.sent += len;
	else
		request->result.truncated = true;
}

/*
 * Whether the response is incomplete, although END_REQUEST would say that it is complete.
 * Leaving out END_REQUEST tells the client, even if a Content-Length does too: a client that
 * has END_REQUEST would wait for the rest.
 */
static bool is_cut(const struct request *request)
{
	if (request->relay.state == RELAY_ENDED)
		return response_is_short(&request->relay.response);
	return !response_is_whole(&request->relay.response);
}

void request_fail(struct request *request, int status, const char *detail, uint32_t app_status)
{
	bool answered = request->relay.sent > 0;

	if (answered)
		request->result.truncated = is_cut(request);
	else
		put_page(request, status, detail);
	request_end(request, app_status);
}

void request_refuse(struct request *request, int status, const char *detail, const char *reason)
{
	char who[512];
	char origin[REQUEST_ORIGIN_MAX];

	request->result.outcome = ACCESSLOG_REFUSED;
	log_warn("%s: %d: %s (uid %ld)%s", request_subject(request, who, sizeof who), status, reason,
	    (long)geteuid(), request_origin(request, origin, sizeof origin));
	request_fail(request, status, request_options(request)->error_detail ? reason : detail, 0);
}

/* ---- the end of the script --------------------------------------------------- */

void request_stop_script(struct request *request, enum on_disconnect how)
{
	if (request->script.child != NULL && how == ON_DISCONNECT_KILL)
		child_terminate(request->script.child);
}

static void describe_exit(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "killed by signal %d%s", WTERMSIG(status),
		    WCOREDUMP(status) ? ", core dumped" : "");
	else
		snprintf(text, size, "exit status %d", WEXITSTATUS(status));
}

/* The first bytes of output that is not a response: as text, whatever they are. */
static void describe_output(const struct request *request, char text[RESPONSE_START_MAX + 1])
{
	size_t len = buf_len(&request->relay.head);

	if (len > RESPONSE_START_MAX)
		len = RESPONSE_START_MAX;
	if (len > 0)
		memcpy(text, buf_bytes(&request->relay.head), len);
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\0')
			text[i] = '?';
	text[len] = '\0';
}

/* Ends it with a 500; with --error-detail the client is told `what`, made safe to show. */
static void fail_response(struct request *request, const char *what)
{
	char detail[RESPONSE_DETAIL_MAX + 1];
	uint32_t app_status =
	    request->script.child == NULL ? child_app_status(request->script.exit_status) : 0;

	if (!request_options(request)->error_detail) {
		request_fail(request, 500, "the script gave no valid response", app_status);
		return;
	}
	detail[escape_copy(detail, RESPONSE_DETAIL_MAX, what, escape_line)] = '\0';
	request_fail(request, 500, detail, app_status);
}

/* Whether the first line cannot be "Name: value"; an unfinished line has not been parsed. */
static bool starts_with_text(const struct buf *head)
{
	const char *text = (const char *)buf_bytes(head);
	size_t len = buf_len(head);
	size_t at = 0;

	if (len >= 5 && memcmp(text, "HTTP/", 5) == 0)
		return false;
	while (at < len && text[at] != ':' && text[at] != ' ' && text[at] != '\n')
		at++;
	return at < len && text[at] != ':';
}

/* Whether it is the output of a program that does not know CGI. */
static bool has_no_header(const struct relay *relay)
{
	const struct response *response = &relay->response;

	return ((response->flaws & 1U << FLAW_NO_HEADER) != 0 || starts_with_text(&relay->head)) &&
	    response->line[RESPONSE_TYPE] == RESPONSE_NOWHERE &&
	    response->line[RESPONSE_STATUS] == RESPONSE_NOWHERE &&
	    response->line[RESPONSE_LOCATION] == RESPONSE_NOWHERE;
}

void request_fail_response(struct request *request)
{
	const char *cure = has_no_header(&request->relay)
	    ? "; no CGI header: a script writes \"Content-Type: text/html\" and an empty line first"
	    : "";
	char how[64];
	char what[RESPONSE_START_MAX + 384];
	char start[RESPONSE_START_MAX + 1];

	if (request->script.child != NULL)
		snprintf(how, sizeof how, "still running");
	else
		describe_exit(request->script.exit_status, how, sizeof how);
	describe_output(request, start);
	snprintf(what, sizeof what, "500: no CGI response: %s; %s%s%s%s", relay_fault(&request->relay),
	    how, cure, start[0] != '\0' ? "; output starts: " : "", start);
	request->result.outcome = ACCESSLOG_INVALID;
	(void)errlog_catch_up(&request->errlog); /* its first line belongs to this message */
	request_count(request, TALLY_FAILED);
	request_log_failure(request, what);
	request_stop_script(request, ON_DISCONNECT_KILL);
	fail_response(request, what);
}

/* Logs which process is at fault, and how to mend it. */
static void log_holder(const struct request *request)
{
	pid_t holder = sys_pipe_holder(request->relay.pipe.fd);
	char who[512];
	char name[64];

	if (holder > 0)
		snprintf(name, sizeof name, "process %ld", (long)holder);
	else
		snprintf(name, sizeof name, "a process, mostly of the group %ld,",
		    (long)request->script.pid);
	log_info("%s: %s still holds its output after --linger: the response is cut there; start "
	    "background processes with >/dev/null 2>&1",
	    request_subject(request, who, sizeof who), name);
}

void request_cut_output(struct request *request)
{
	log_holder(request);
	if (request->relay.state == RELAY_BODY)
		request->result.truncated = !response_is_whole(&request->relay.response);
	relay_stop(&request->relay);
}

void request_starve(struct request *request, const char *what)
{
	char text[128];

	snprintf(text, sizeof text, "503: out of memory for %s", what);
	request->result.outcome = ACCESSLOG_ERROR;
	request_log_failure(request, text);
	request_stop_script(request, ON_DISCONNECT_KILL);
	request_fail(request, 503, "out of resources", 0);
}

/* Many scripts exit with 1 after their answer, from their last command: that is not a warning. */
static void log_exit(const struct request *request, const char *what)
{
	char who[512];
	char how[320];

	if (request->result.truncated || !WIFEXITED(request->script.exit_status) ||
	    WEXITSTATUS(request->script.exit_status) != 1)
		request_log_failure(request, what);
	else
		log_info("%s: %s (%s)", request_subject(request, who, sizeof who), what,
		    request_account(request, how, sizeof how));
}

void request_pass_redirect(struct request *request)
{
	relay_pass_redirect(&request->relay, front_end_redirects(request->front_end));
	request->out_end = outlet_end(request->link->out);
}

void request_complete(struct request *request)
{
	char what[128];

	(void)errlog_catch_up(&request->errlog);
	if (request->script.exit_status != 0)
		request_count(request, TALLY_FAILED);
	/* had it not been killed, it might have written more */
	if (WIFSIGNALED(request->script.exit_status) &&
	    !response_is_whole(&request->relay.response))
		request->result.truncated = true;
	if (response_is_short(&request->relay.response)) {
		request->result.outcome = ACCESSLOG_SHORT;
		request->result.truncated = true;
		request_log_failure(request, "its body is shorter than its Content-Length, or "
		    "lacks its last chunk");
	} else if (request->script.exit_status != 0) {
		request->result.outcome = ACCESSLOG_FAILED;
		describe_exit(request->script.exit_status, what, sizeof what);
		log_exit(request, what);
	}
	request_end(request, child_app_status(request->script.exit_status));
}

/* ---- the end of the client, or of the service -------------------------------- */

/* `why` is NULL if it has been logged. */
static void leave(struct request *request, const char *why)
{
	enum on_disconnect how = request->limits.on_disconnect;
	char who[512];
	char origin[REQUEST_ORIGIN_MAX];

	request_count(request, TALLY_LOST);
	if (why != NULL)
		log_info("%s: %s%s%s", request_subject(request, who, sizeof who), why,
		    request->script.child != NULL && how == ON_DISCONNECT_KILL ? ": script stopped" : "",
		    request_origin(request, origin, sizeof origin));
	request_stop_script(request, how);
	request_end(request, request->script.child == NULL ? 0 : 128 + SIGTERM);
}

/* Stops waiting for FCGI_STDIN, of which no more will come. */
static void give_up_stdin(struct request *request)
{
	if (request->state == REQUEST_CLOSING)
		request_release_end(request);
}

void request_abort(struct request *request)
{
	if (request->state < REQUEST_CLOSING) {
		request->result.outcome = ACCESSLOG_ABORTED;
		leave(request, "aborted by the client");
		request->link->touched(request->link);
	}
	give_up_stdin(request);
}

void request_lose(struct request *request, const char *why)
{
	if (request->state < REQUEST_CLOSING) {
		request->result.outcome = ACCESSLOG_LOST;
		leave(request, why);
	}
	give_up_stdin(request);
}

void request_stop(struct request *request)
{
	if (request->state < REQUEST_CLOSING) {
		request->result.outcome = ACCESSLOG_STOPPED;
		request_stop_script(request, ON_DISCONNECT_KILL);
		request_fail(request, 503, "the service is stopping", 128 + SIGTERM);
		request->link->touched(request->link);
	}
	give_up_stdin(request);
}
